from functools import partial
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer

from lit_tasks.batch import TextBatch
from lit_tasks.data.text_files import TextFilesDataModule
from lit_tasks.nn.text.encoders import BagOfWords, MeanOfEmbeddings
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
    task = TextClassificationTask(encoder, Adam, decay="cosine")
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


@pytest.mark.parametrize(("decay", "middle"), [("linear", 0.5), ("cosine", 0.5)])
def test_the_learning_rate_falls_to_zero_over_the_run(
    tmp_path: Path, decay: str, middle: float
) -> None:
    task = TextClassificationTask(BagOfWords, partial(torch.optim.SGD, lr=1.0), decay=decay)
    rates: list[float] = []
    task.on_train_batch_start = lambda *_: rates.append(task.optimizers().param_groups[0]["lr"])
    trainer(max_epochs=2).fit(task, data(tmp_path))
    assert len(rates) == 10
    assert rates[0] == 1.0
    assert rates[5] == pytest.approx(middle)
    assert 0 < rates[-1] < 0.11


def test_two_rulers_of_the_learning_rate_are_refused() -> None:
    scheduler = partial(torch.optim.lr_scheduler.ExponentialLR, gamma=0.5)
    with pytest.raises(ValueError, match="lr_scheduler and decay 'linear' set the same"):
        TextClassificationTask(BagOfWords, lr_scheduler=scheduler, decay="linear")
