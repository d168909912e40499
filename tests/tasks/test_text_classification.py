import json
import random
from functools import partial
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer
from torchmetrics.classification import MulticlassCohenKappa

from lit_tasks.batch import TextBatch
from lit_tasks.data.text_files import TextFilesDataModule
from lit_tasks.nn.text.encoders import (
    BagOfWords,
    MeanOfEmbeddings,
    MeanOfWordVectors,
    SparseLinear,
)
from lit_tasks.tasks.text_classification import TextClassificationTask

TEXTS = Path("tests/fixtures/text")
Adam = partial(torch.optim.Adam, lr=0.05)


def data(tmp_path: Path, **arguments: object) -> TextFilesDataModule:
    files = {"train": TEXTS / "sentences.txt", "val": TEXTS / "sentences_held_out.txt"}
    return TextFilesDataModule(**{**files, "cache_dir": tmp_path, **arguments}, batch_size=8)


def trainer(**arguments: object) -> Trainer:
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    return Trainer(**{**quiet, "enable_model_summary": False, "accelerator": "cpu", **arguments})


@pytest.mark.parametrize(
    "encoder", [partial(BagOfWords, naive_bayes=1.0), partial(MeanOfEmbeddings, embedding_dim=8)]
)
def test_made_up_reviews_are_learned(tmp_path: Path, encoder: object) -> None:
    torch.manual_seed(0)
    task = TextClassificationTask(encoder, Adam, lr_decay="cosine")
    fit = trainer(max_epochs=15)
    fit.fit(task, data(tmp_path))
    assert fit.callback_metrics["val/accuracy"] > 0.9  # 11 of 12
    assert fit.callback_metrics["val/samples"] == 12
    [figure] = task.figures("val").values()
    assert figure.axes


def test_two_classes_need_one_output_and_more_need_their_own(tmp_path: Path) -> None:
    two = TextClassificationTask(BagOfWords, num_embeddings=4, labels=["a", "b"])
    three = TextClassificationTask(BagOfWords, num_embeddings=4, labels=["a", "b", "c"])
    batch = TextBatch(torch.tensor([1, 2]), torch.tensor([2, 0]), None, torch.tensor([0, 1]))
    torch.nn.init.normal_(two.head.weight)
    score = two.head.weight[[1, 2]].sum()
    probability = two(batch).softmax(1)
    torch.testing.assert_close(probability[0, 1], score.sigmoid())
    assert three(batch).shape == (2, 3)


def test_predictions_name_the_label_and_its_probability() -> None:
    task = TextClassificationTask(BagOfWords, num_embeddings=3, labels=["bad", "good"])
    task.head.weight.data = torch.tensor([[0.0], [2.0], [-1.0]])
    batch = TextBatch(torch.tensor([1, 2]), torch.tensor([1, 1, 0]), None, torch.arange(3))
    rows = task.predict_step(batch, 0)
    assert [row["label"] for row in rows] == ["good", "bad", "bad"]
    chances = [row["probability"] for row in rows]
    assert chances == pytest.approx([0.880797, 0.731059, 0.5], abs=1e-6)


def test_evaluation_counts_samples_and_not_batches(tmp_path: Path) -> None:
    module = data(tmp_path)  # 12 texts in batches of 8 and 4
    module.setup("fit")
    task = TextClassificationTask(
        BagOfWords, num_embeddings=len(module.vocabulary), labels=module.labels
    )
    torch.nn.init.normal_(task.head.weight)
    [values] = trainer().validate(task, module, verbose=False)
    whole = module._sets["val"].__getitems__(range(12))
    scores = task(whole)
    loss = torch.nn.functional.cross_entropy(scores, whole.label)
    assert values["val/loss"] == pytest.approx(loss.item(), abs=1e-5)
    right = (scores.argmax(1) == whole.label).double().mean()
    assert values["val/accuracy"] == pytest.approx(float(right))


@pytest.mark.parametrize(("lr_decay", "middle"), [("linear", 0.5), ("cosine", 0.5)])
def test_the_learning_rate_falls_to_zero_over_the_run(
    tmp_path: Path, lr_decay: str, middle: float
) -> None:
    task = TextClassificationTask(BagOfWords, partial(torch.optim.SGD, lr=1.0), lr_decay=lr_decay)
    rates: list[float] = []
    task.on_train_batch_start = lambda *_: rates.append(task.optimizers().param_groups[0]["lr"])
    trainer(max_epochs=2).fit(task, data(tmp_path))
    assert len(rates) == 10
    assert rates[0] == 1.0
    assert rates[5] == pytest.approx(middle)
    assert 0 < rates[-1] < 0.11


def test_two_rulers_of_the_learning_rate_are_refused() -> None:
    scheduler = partial(torch.optim.lr_scheduler.ExponentialLR, gamma=0.5)
    with pytest.raises(ValueError, match="lr_scheduler and lr_decay 'linear' set the same"):
        TextClassificationTask(BagOfWords, lr_scheduler=scheduler, lr_decay="linear")


@pytest.mark.parametrize(
    ("owner", "method", "encoder"),
    [
        (MeanOfWordVectors, "initialize", MeanOfWordVectors),
        (SparseLinear, "observe", partial(BagOfWords, naive_bayes=1.0)),
    ],
)
def test_a_new_model_is_initialized_once_and_a_resumed_one_by_its_checkpoint(
    owner: type, method: str, encoder: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, original = [], getattr(owner, method)

    def counted(*arguments: object) -> object:
        calls.append(arguments)
        return original(*arguments)

    monkeypatch.setattr(owner, method, counted)
    task, module = TextClassificationTask(encoder, Adam), data(tmp_path)
    first = trainer(max_epochs=1)
    first.fit(task, module)
    first.save_checkpoint(tmp_path / "last.ckpt")
    assert len(calls) == 1
    resumed = TextClassificationTask(encoder, Adam)
    trainer(max_epochs=1).fit(
        resumed, data(tmp_path), ckpt_path=tmp_path / "last.ckpt", weights_only=False
    )
    assert len(calls) == 1
    for name, value in task.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_class_weights_are_those_of_the_training_texts_and_travel(tmp_path: Path) -> None:
    task = TextClassificationTask(BagOfWords, Adam, class_weights=True)
    module = data(tmp_path)
    trainer(max_epochs=1).fit(task, module)
    counts = torch.tensor(module.train_class_counts)
    assert int(counts.sum()) == len(module._set("train"))
    # Each class weighs as much.
    weighed = task.weights * counts
    torch.testing.assert_close(weighed, weighed[:1].expand(len(counts)))
    assert "weights" in task.state_dict()
    assert (
        "weights"
        not in TextClassificationTask(BagOfWords, num_embeddings=3, labels=["a", "b"]).state_dict()
    )


def test_each_class_has_its_precision_recall_and_f1(tmp_path: Path) -> None:
    task = TextClassificationTask(BagOfWords, metrics={"kappa": MulticlassCohenKappa(2)})
    fit = trainer(max_epochs=1)
    fit.fit(task, data(tmp_path))
    found = {name.removeprefix("val/") for name in fit.callback_metrics}
    labels = task.hparams["labels"]
    assert {f"{kind}_{x}" for kind in ("precision", "recall", "f1") for x in labels} < found
    assert {"macro_f1", "kappa", "loss", "calibration_error"} < found
    assert task.higher_is_better["kappa"] is True
    assert task.higher_is_better["loss"] is False


# Several labels a text, and all probabilities


def several(**options: object) -> TextClassificationTask:
    known = {"num_embeddings": 3, "labels": ["bad", "good"], "threshold": 0.5}
    task = TextClassificationTask(BagOfWords, **{**known, **options})
    task.head.weight.data = torch.tensor([[0.0, 0.0], [2.0, -1.0], [1.0, 1.5]])
    return task


WORDS = TextBatch(torch.tensor([1, 2, 2]), torch.tensor([1, 2, 0]), None, torch.tensor([0, 1, 2]))


def test_a_text_gets_every_label_that_is_probable_enough() -> None:
    task = several()
    assert task.head.weight.shape == (3, 2)  # one output each, also of two labels
    task.head.bias.data = torch.tensor([0.0, -1e-4])
    assert [row["label"] for row in task.predict_step(WORDS, 0)] == ["bad", "bad,good", "bad"]
    higher = several(threshold={"good": 0.9})
    higher.head.bias.data = torch.tensor([-1.0, 0.0])
    # The second text is bad with a probability of exactly 0.5, and good with 0.82.
    assert [row["label"] for row in higher.predict_step(WORDS, 0)] == ["bad", "bad", ""]


def test_all_probabilities_of_several_labels_are_stated() -> None:
    task = several()
    task.all_probabilities = True
    for row, values in zip(
        task.predict_step(WORDS, 0), task(WORDS).sigmoid().tolist(), strict=True
    ):
        assert [row["p_bad"], row["p_good"]] == values
        assert set(row) == {"label", "p_bad", "p_good"}


def test_the_loss_of_several_labels_is_binary_cross_entropy() -> None:
    target = torch.tensor([[True, False], [True, True], [False, False]])
    batch = WORDS._replace(label=target)
    task = several(label_smoothing=0.2, class_weights={"good": 3.0})
    task.weights.copy_(torch.tensor([1.0, 3.0]))
    p, y = task(WORDS).sigmoid(), target.float() * 0.8 + 0.1
    by_hand = -(torch.tensor([1.0, 3.0]) * y * p.log() + (1 - y) * (1 - p).log()).mean()
    task.trainer = trainer(max_epochs=1)
    torch.testing.assert_close(task.training_step(batch, 0), by_hand)
    found = task.validation_step(batch, 0)
    plain = torch.nn.functional.binary_cross_entropy(p, target.float(), reduction="none")
    torch.testing.assert_close(found["loss"], plain.mean(dim=1))
    assert found["accuracy"].tolist() == ((p >= 0.5) == target).all(dim=1).tolist()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"threshold": 1.0}, r"threshold must be between 0 and 1, got 1\.0"),
        ({"threshold": {"goood": 0.4}}, "threshold has the label 'goood', the data have only bad"),
    ],
)
def test_a_threshold_that_is_none_is_refused(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        several(**options)


def test_a_threshold_for_one_label_a_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"set data\.multi_label to true"):
        trainer(max_epochs=1).fit(TextClassificationTask(BagOfWords, threshold=0.3), data(tmp_path))


def written(path: Path, count: int = 300) -> Path:
    draw = random.Random(0)
    words = {"good": "fine nice great", "long": "slow endless hours", "loud": "noise bang shout"}
    with path.open("w") as file:
        for number in range(count):
            labels = [label for label in words if draw.random() < 0.4]
            text = [draw.choice(words[label].split()) for label in labels for _ in range(2)]
            row = {"text": " ".join(["the", "film", str(number), *text]), "label": labels}
            file.write(json.dumps(row) + "\n")
    return path


@pytest.mark.parametrize("class_weights", [False, True])
def test_several_labels_are_learned(tmp_path: Path, class_weights: bool) -> None:
    torch.manual_seed(0)
    path = written(tmp_path / "rows.jsonl")
    task = TextClassificationTask(
        partial(BagOfWords, normalize=True), Adam, lr_decay="linear", class_weights=class_weights
    )
    texts = TextFilesDataModule(path, cache_dir=tmp_path, multi_label=True, batch_size=16)
    fit = trainer(max_epochs=15)
    fit.fit(task, texts)
    assert fit.callback_metrics["val/subset_accuracy"] > 0.85  # of 30, most had all labels right
    assert fit.callback_metrics["val/micro_f1"] > 0.95
    assert task.hparams["threshold"] == 0.5
    [figure] = task.figures("val").values()
    assert figure.axes
    if class_weights:
        counts, size = torch.tensor(texts.train_class_counts), texts.train_size
        torch.testing.assert_close(task.weights, ((size - counts) / counts).float())


@pytest.mark.parametrize(
    ("chosen", "weights"), [({"good": 3.0}, [1.0, 3.0]), ({"good": 2.0, "bad": 0.5}, [0.5, 2.0])]
)
def test_classes_weigh_what_they_are_told_to(
    tmp_path: Path, chosen: dict[str, float], weights: list[float]
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("text,label\n" + "fine film 1,good\npoor film 2,bad\n" * 20)
    task = TextClassificationTask(BagOfWords, class_weights=chosen)
    files = {"train": path, "val": path, "cache_dir": tmp_path}
    trainer(max_epochs=1).fit(task, TextFilesDataModule(**files))
    assert task.weights.tolist() == weights
    wrong = TextClassificationTask(BagOfWords, class_weights={"godo": 2.0})
    with pytest.raises(ValueError, match="class_weights has the label 'godo', the data have only"):
        trainer(max_epochs=1).fit(wrong, TextFilesDataModule(**files))
