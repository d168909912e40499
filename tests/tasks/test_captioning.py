"""The captioning task in whole runs on synthetic scenes, and the laws of its steps."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer

from lit_tasks.batch import CaptionBatch
from lit_tasks.data.caption_scenes import CaptionScenesDataModule
from lit_tasks.nn.caption.attention import AttentionCaptioner
from lit_tasks.nn.caption.generation import GenerationConfig
from lit_tasks.nn.caption.recurrent import RecurrentCaptioner
from lit_tasks.nn.caption.self_critical import SelfCritical
from lit_tasks.nn.image.backbone import Backbone
from lit_tasks.nn.image.finetuning import Finetuning
from lit_tasks.tasks.captioning import CaptioningTask

pytest.importorskip("timm")
SMALL = {"embedding_dim": 24, "hidden_size": 48}
LSTM = partial(RecurrentCaptioner, image="always", normalize=True, **SMALL)
NETWORK: Any = partial(Backbone, name="test_resnet", weights="random", size=32)
MAPS: Any = partial(Backbone, name="test_resnet", weights="random", size=32, output="map")


def scenes(tmp_path: Path, **options: Any) -> CaptionScenesDataModule:
    few = {"train": 6, "val": 4, "test": 4, "size": 32, "batch_size": 5, "held_out": 0}
    return CaptionScenesDataModule(**{**few, "cache_dir": tmp_path, **options})


def trainer(tmp_path: Path, epochs: int = 1, **options: Any) -> Trainer:
    return Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        default_root_dir=tmp_path,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        num_sanity_val_steps=0,
        **options,
    )


def fitted(tmp_path: Path, epochs: int = 1, data: Any = None, **options: Any) -> Any:
    torch.manual_seed(0)
    task = CaptioningTask(**{"captioner": LSTM, "backbone": NETWORK, **options})
    run = trainer(tmp_path, epochs)
    run.fit(task, data or scenes(tmp_path))
    return task


def test_captions_that_are_memorized_come_back_word_for_word(tmp_path: Path) -> None:
    data = scenes(tmp_path, captions=6, validate_on="train")
    optimizer = partial(torch.optim.Adam, lr=0.01)
    task = fitted(tmp_path, 60, data, optimizer=optimizer, lr_decay="cosine")
    [metrics] = trainer(tmp_path).validate(task, data, verbose=False)
    for name in ("bleu1", "bleu4", "rouge_l", "assignment_bleu"):
        assert metrics[f"val/{name}"] == pytest.approx(1, abs=1e-6)
    assert metrics["val/loss"] < 0.5
    assert metrics["val/samples"] == 6
    rows = trainer(tmp_path).predict(task, scenes(tmp_path, captions=6, predict="train"))
    captions = [row["caption"] for row in rows[0] + rows[1]]
    assert captions == [several[0] for several in data.references("train")]


def test_the_words_of_people_never_reach_the_sentences_of_an_evaluation(tmp_path: Path) -> None:
    task = fitted(tmp_path)
    image, index = torch.randn(3, task.hparams["in_features"]), torch.arange(3)
    said = []
    for words in ([0, 5, 6, 1] * 3, [0, 7, 3, 1] * 3):
        tokens, lengths = torch.tensor(words), torch.tensor([4, 4, 4])
        task.eval()
        task.on_validation_epoch_start()
        task.validation_step(CaptionBatch(image, tokens, lengths, [["a"]] * 3, index), 0)
        said.append([row.prediction for row in task.scores.described()])
        said.append(float(task.losses.compute()))
    assert said[0] == said[2]
    assert said[1] != said[3]


def test_the_loss_is_the_sum_over_words_and_the_mean_over_captions(tmp_path: Path) -> None:
    task = fitted(tmp_path)
    task.eval()
    image = torch.randn(2, task.hparams["in_features"])
    first, second = [0, 5, 6, 1], [0, 7, 3, 4, 5, 1]
    both = CaptionBatch(
        image, torch.tensor(first + second), torch.tensor([4, 6]), None, image[:, 0]
    )
    each = [
        float(
            task.training_step(
                CaptionBatch(i[None], torch.tensor(c), torch.tensor([len(c)]), None, i[:1]), 0
            )
        )
        for i, c in zip(image, (first, second), strict=True)
    ]
    assert float(task.training_step(both, 0)) == pytest.approx(sum(each) / 2, rel=1e-5)
    scores = task(both)
    log = scores.logits.log_softmax(1).gather(1, scores.target[:, None])
    assert sum(each) == pytest.approx(-float(log.sum()), rel=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"captioner": partial(AttentionCaptioner, attention_size=8, **SMALL), "backbone": MAPS},
        {"scheduled_sampling": 0.5},
        {
            "label_smoothing": 0.1,
            "generation": GenerationConfig(num_beams=3, no_repeat_ngram_size=2),
        },
        {"generation": GenerationConfig(method="sample", top_p=0.9)},
        {"finetuning": Finetuning(from_epoch=1, stages=1)},
        {"self_critical": SelfCritical(from_epoch=1, samples=2)},
        {"self_critical": SelfCritical(from_epoch=1, samples=1), "lr_decay": "linear"},
    ],
    ids=[
        "attention",
        "scheduled",
        "beam",
        "sample",
        "finetuned",
        "self-critical",
        "greedy-baseline",
    ],
)
def test_a_run_of_two_epochs_gives_all_figures_and_images(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    data = scenes(tmp_path, train_references="self_critical" in options)
    task = fitted(tmp_path, 2, data, **options)
    names = {"loss", "samples", "cider_d", "rouge_l", "assignment_bleu"}
    names |= {f"bleu{n}" for n in range(1, 5)}
    run = trainer(tmp_path)
    for stage, evaluate in (("val", run.validate), ("test", run.test)):
        [metrics] = evaluate(task, data, verbose=False)
        assert {f"{stage}/{name}" for name in names} <= metrics.keys()
        figures = set(task.figures(stage))
        assert {"captions", "captions_of_train", "best_captions", "worst_captions"} <= figures
        assert ("attention" in figures) == (options.get("backbone") is MAPS)
    rows = trainer(tmp_path).predict(task, data)
    assert rows[0][0].keys() == {"image_id", "file", "caption"}


def test_drawn_sentences_do_not_depend_on_the_batches(tmp_path: Path) -> None:
    generation = GenerationConfig(method="sample", temperature=2.0)
    task = fitted(tmp_path, generation=generation)
    runs = []
    for size in (1, 4):
        rows = trainer(tmp_path).predict(task, scenes(tmp_path, batch_size=size))
        runs.append([row["caption"] for batch in rows for row in batch])
    assert runs[0] == runs[1]


def test_a_frozen_backbone_is_the_same_after_training_and_a_tuned_one_is_not(
    tmp_path: Path,
) -> None:
    for tuning in (None, Finetuning(from_epoch=0, stages=1)):
        torch.manual_seed(0)
        task = CaptioningTask(captioner=LSTM, backbone=NETWORK, finetuning=tuning)
        run = trainer(tmp_path)
        run.fit_loop.max_epochs = 0
        data = scenes(tmp_path)
        run.fit(task, data)
        before = {k: v.clone() for k, v in task.backbone.state_dict().items()}
        trainer(tmp_path).fit(task, data)
        same = [torch.equal(before[k], v) for k, v in task.backbone.state_dict().items()]
        assert all(same) == (tuning is None)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"backbone": None}, "neither a backbone nor a file of features: set model.backbone"),
        ({"backbone": None, "finetuning": Finetuning()}, "finetuning needs a backbone"),
        ({"scheduled_sampling": 1.5}, "scheduled_sampling must be from 0 to 1, got 1.5"),
        ({"self_critical": SelfCritical(0)}, "set data.train_references to true"),
        (
            {"lr_decay": "linear", "lr_scheduler": torch.optim.lr_scheduler.ConstantLR},
            "leave lr_scheduler out, or lr_decay",
        ),
    ],
    ids=["nothing-to-see", "no-backbone", "share", "references", "schedules"],
)
def test_settings_that_contradict_each_other_are_refused(
    tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        fitted(tmp_path, **options)


def test_images_are_refused_where_only_features_are_known() -> None:
    task = CaptioningTask(LSTM, words=["<START>", "<END>", "<UNK>", "a"], in_features=4)
    with pytest.raises(ValueError, match="has no backbone, so it cannot describe images"):
        task.features(torch.zeros(1, 3, 8, 8))


def test_the_best_sentences_of_a_beam_stand_side_by_side(tmp_path: Path) -> None:
    generation = GenerationConfig(num_beams=4, n_best=3, max_words=6)
    data = scenes(tmp_path, predict="val")
    task = fitted(tmp_path, generation=generation)
    rows = [row for batch in trainer(tmp_path).predict(task, data) for row in batch]
    assert all(list(row)[2:] == ["caption", "caption_2", "caption_3"] for row in rows)
    assert all(len({row[f"caption{k}"] for k in ("", "_2", "_3")}) == 3 for row in rows)
    task.generation = GenerationConfig(num_beams=4, max_words=6)
    alone = [row for batch in trainer(tmp_path).predict(task, data) for row in batch]
    assert [row["caption"] for row in alone] == [row["caption"] for row in rows]
    with pytest.raises(ValueError, match="of a beam, at most num_beams, got 3 and num_beams 2"):
        GenerationConfig(num_beams=2, n_best=3)


def test_each_image_is_told_with_its_caption_references_and_scores(tmp_path: Path) -> None:
    data = scenes(tmp_path)
    task = fitted(tmp_path, data=data)
    [metrics] = trainer(tmp_path).validate(task, data, verbose=False)
    tables = task.sample_tables("val")
    assert [row["image_id"] for row in tables["captions"]] == data.image_ids("val")
    assert [json.loads(row["references"]) for row in tables["captions"]] == data.references("val")
    for name in ("cider_d", "rouge_l", "assignment_bleu"):
        mean = sum(row[name] for row in tables["samples"]) / len(tables["samples"])
        assert mean == pytest.approx(metrics[f"val/{name}"], abs=1e-6)
    assert "bleu4" in tables["captions"][0]
    assert "bleu4" not in tables["samples"][0]


def test_the_best_and_the_worst_captions_are_drawn_with_their_scores(tmp_path: Path) -> None:
    data = scenes(tmp_path)
    task = fitted(tmp_path, data=data)
    trainer(tmp_path).validate(task, data, verbose=False)
    rows = task.sample_tables("val")["captions"]
    said = {
        f"CIDEr-D {row['cider_d']:.2f}, {row['image_id']}": float(row["cider_d"]) for row in rows
    }
    figures = task.figures("val")
    shown = [
        [text.get_text() for axes in figures[name].axes for text in axes.texts]
        for name in ("best_captions", "worst_captions")
    ]
    assert sorted(shown[0] + shown[1]) == sorted(said)
    best, worst = ([said[text] for text in texts] for texts in shown)
    assert best == sorted(best, reverse=True)
    assert worst == sorted(worst)
    assert min(best) >= max(worst)


def test_a_run_of_a_few_steps_says_why_it_learns_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fitted(tmp_path, 2)
    sentence = "This run has 12 steps, too few to learn sentences"
    assert sentence in caplog.text
