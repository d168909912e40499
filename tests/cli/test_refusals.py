"""A mistake in the command line ends in one sentence with the nearest right name."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

Refusal = Callable[..., str]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--config", "toyy.yaml"], r"there is no config file toyy.yaml; did you mean 'toy.yaml'?"),
        (
            ["--trainer.max_epoch=3"],
            "no option 'trainer.max_epoch'; did you mean 'trainer.max_epochs'",
        ),
        (["--model.hiden_size=3"], "there is no option 'hiden_size'; did you mean 'hidden_size'?"),
        (["--model.hidden_size=big"], "hidden_size must be int, got big"),
        (["--model.hidden_size=3"], "hidden_size must be even, got 3"),
        (["--checkpoint.monitr=x"], "there is no option 'monitr'; did you mean 'monitor'?"),
        (["--model=toy_task.ToyTsk"], "there is no class toy_task.ToyTsk; did you mean 'ToyTask'?"),
        (["--model=toy_tsk.ToyTask"], "there is no module toy_tsk; did you mean 'toy_task'?"),
        (
            ["--model.optimizer=torch.optim.Adamm"],
            "no class torch.optim.Adamm; did you mean 'Adam'?",
        ),
        (
            ["--trainer.callbacks+=EarlyStoping"],
            "no class EarlyStoping; did you mean 'EarlyStopping'",
        ),
        (["--trainer.accelerator=gpuu"], "gpuu"),
        (["--seed_everything=abc"], "seed_everything must be bool or int, got abc"),
        (["--checkpoint.monitor=val/los"], "'val/los', which nothing logs; logged are"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_a_wrong_word_is_named_with_its_remedy(
    words: list[str], sentence: str, refusal: Refusal
) -> None:
    assert sentence in refusal("fit", "--config", "toy.yaml", *words)


def test_an_option_that_another_class_fills_in_is_not_suggested_for_itself(
    refusal: Refusal,
) -> None:
    config = ["--config", "image_hymenoptera_frozen", "--model.backbone.pretrained=false"]
    assert "'pretrained' is no option here: what builds the class sets" in refusal("fit", *config)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("model: [", "wrong.yaml, line 1, is not YAML"),
        ("- a\n- b\n", "wrong.yaml must hold a mapping of settings to values, got list"),
        ("\n\nmodle: {x: 1}\n", "there is no option 'modle.x' (wrong.yaml, line 3)"),
        (
            "trainer:\n  max_epochs: ten\n",
            "trainer.max_epochs must be int or null, got ten (wrong.yaml, line 2)",
        ),
        (
            "model:\n  init_args:\n    hiden_size: 4\n",
            "did you mean 'hidden_size'? (wrong.yaml, line 3)",
        ),
    ],
)
def test_a_mistake_in_a_config_is_named_with_file_and_line(
    text: str, sentence: str, refusal: Refusal
) -> None:
    Path("wrong.yaml").write_text(text)
    assert sentence in refusal("fit", "--config", "toy.yaml", "--config", "wrong.yaml")


def test_commands_that_need_a_trained_model_say_so(refusal: Refusal) -> None:
    assert "--ckpt_path FILE" in refusal("test", "--config", "toy.yaml")


def test_a_checkpoint_that_is_none_is_refused(refusal: Refusal) -> None:
    assert "there is no checkpoint none.ckpt" in refusal("test", "--ckpt_path", "none.ckpt")
    Path("cut.ckpt").write_bytes(b"PK\x03\x04 the rest is missing")
    assert "cut.ckpt looks truncated (24 bytes)" in refusal("test", "--ckpt_path=cut.ckpt")


def test_a_run_folder_in_use_is_refused(refusal: Refusal) -> None:
    Path("mine").mkdir()
    Path("mine/config.yaml").touch()  # a run that failed before its first step leaves no more
    assert "did you mean" in refusal("fit", "--config", "toy.yaml", "--run_dir=mine", "--sed=1")
    Path("mine/metrics.csv").touch()
    sentence = refusal("fit", "--config", "toy.yaml", "--run_dir=mine")
    assert "already holds a run; go on in it with --resume=true" in sentence


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write into a read-only folder")
def test_a_folder_without_write_permission_is_named(refusal: Refusal) -> None:
    Path("locked").mkdir(mode=0o555)
    assert "locked" in refusal("fit", "--config", "toy.yaml", "--runs=locked")


def test_a_run_folder_that_cannot_be_made_is_named(refusal: Refusal) -> None:
    Path("file").touch()
    sentence = refusal("fit", "--config", "toy.yaml", "--run_dir=file/run")
    assert "file/run (Not a directory): choose another with --run_dir" in sentence
