"""Kills, signals and losses that are not numbers: nobody hangs, nothing good is lost."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from cases import Batch, TextClassifier, TextData, trainer
from lightning.pytorch import seed_everything
from processes import outcomes, run
from torch import Tensor

from lit_tasks.distributed.last_checkpoint import LastCheckpoint
from lit_tasks.distributed.rng_state import RandomState
from lit_tasks.distributed.terminate_on_nan import TerminateOnNaN


class Faulty(TextClassifier):
    """At one step, one process does something."""

    def __init__(self, fault: str, rank: int, step: int) -> None:
        super().__init__(dropout=0.3)
        self.fault, self.rank, self.step = fault, rank, step

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss = super().training_step(batch, batch_idx)
        if (self.global_step, self.global_rank) == (self.step, self.rank):
            if self.fault == "nan":
                return loss * float("nan")
            os.kill(os.getpid(), getattr(signal, self.fault))
        return loss


def fit(
    folder: Path, fault: str = "", rank: int = 0, step: int = -1, go_on: bool = False
) -> dict[str, list[float]]:
    seed_everything(1, verbose=False)
    module = Faulty(fault, rank, step)
    last = LastCheckpoint(folder, every_n_train_steps=4)
    callbacks = [TerminateOnNaN(every_n_steps=3), RandomState(), last]
    runner = trainer(callbacks=callbacks, enable_checkpointing=True, max_epochs=3)
    path = folder / "last.ckpt" if go_on else None
    runner.fit(module, datamodule=TextData(37), ckpt_path=path, weights_only=True)
    return module.weights()


def step_of(path: Path) -> int:
    step: int = torch.load(path, weights_only=True)["global_step"]
    return step


@pytest.mark.parametrize(
    ("world", "rank", "step"), [(1, 0, 6), (1, 0, 9), (2, 0, 6), (2, 1, 6), (2, 1, 9)]
)
def test_sigterm_on_any_process_saves_and_stops_them_all(
    tmp_path: Path, world: int, rank: int, step: int
) -> None:
    """Step 9 is the last of an epoch, with a validation after it."""
    whole = run(world, fit, tmp_path / "whole")
    _, failures = outcomes(world, fit, tmp_path / "again", "SIGTERM", rank, step, seconds=150)
    assert len(failures) == world
    assert all("SystemExit: 143" in text for text in failures.values())
    assert step_of(tmp_path / "again/last.ckpt") == step + 1
    assert run(world, fit, tmp_path / "again", "", 0, -1, True) == whole


@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_ends_the_other_and_the_run_continues(tmp_path: Path, rank: int) -> None:
    whole = run(2, fit, tmp_path / "whole")
    started = time.monotonic()
    _, failures = outcomes(2, fit, tmp_path / "again", "SIGKILL", rank, 6, seconds=150)
    assert time.monotonic() - started < 30
    assert failures[rank].startswith("died without a word")
    assert "no end in time" not in failures[1 - rank]
    assert step_of(tmp_path / "again/last.ckpt") == 5  # the end of the first epoch
    assert run(2, fit, tmp_path / "again", "", 0, -1, True) == whole


@pytest.mark.parametrize(
    ("world", "rank", "step"), [(1, 0, 2), (1, 0, 12), (2, 0, 4), (2, 1, 2), (2, 1, 4), (2, 1, 12)]
)
def test_a_loss_that_is_not_a_number_stops_all_and_is_never_saved(
    tmp_path: Path, world: int, rank: int, step: int
) -> None:
    _, failures = outcomes(world, fit, tmp_path, "nan", rank, step, seconds=150)
    assert len(failures) == world
    saved = {2: None, 4: 4, 12: 12}[step]
    for text in failures.values():
        assert f"ValueError: the loss is nan in step {step}, samples " in text
        if saved is None:
            assert "there is no checkpoint yet: lower the learning rate" in text
        else:
            assert f"checkpoint is {tmp_path}/last.ckpt of step {saved}: lower" in text
    assert saved is None or step_of(tmp_path / "last.ckpt") == saved


def validate(folder: Path) -> None:
    class Slow(TextClassifier):
        def validation_step(self, batch: Batch, batch_idx: int) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(20)

    runner = trainer(callbacks=[LastCheckpoint(folder)], enable_checkpointing=True)
    runner.validate(Slow(), datamodule=TextData(37), verbose=False)


def test_sigterm_ends_an_evaluation_at_once(tmp_path: Path) -> None:
    _, failures = outcomes(1, validate, tmp_path, seconds=60)
    assert "SystemExit: 143" in failures[0]


def check(folder: Path, rank: int) -> None:
    class Checked(TextClassifier):
        def validation_step(self, batch: Batch, batch_idx: int) -> None:
            if self.trainer.sanity_checking and self.global_rank == rank:
                os.kill(os.getpid(), signal.SIGTERM)
            super().validation_step(batch, batch_idx)

    runner = trainer(
        callbacks=[LastCheckpoint(folder)], enable_checkpointing=True, num_sanity_val_steps=2
    )
    runner.fit(Checked(), datamodule=TextData(37))


@pytest.mark.parametrize("rank", [0, 1])
def test_sigterm_in_a_sanity_check_ends_all_processes(tmp_path: Path, rank: int) -> None:
    _, failures = outcomes(2, check, tmp_path, rank, seconds=60)
    assert "SystemExit: 143" in failures[rank]
    assert "no end in time" not in failures[1 - rank]


SCRIPT = """
import os, sys
from pathlib import Path
sys.path[:0] = {paths}
import torch
torch.set_num_threads(1)
import test_faults
folder = Path({folder!r})
first = not folder.exists() or not (folder / "last.ckpt").exists()
weights = test_faults.fit(folder, "SIGKILL", 1, 12 if first else -1, not first)
if os.environ["RANK"] == "0":
    torch.save(weights, folder / "weights.pt")
    (folder / "restarts.txt").write_text(os.environ["TORCHELASTIC_RESTART_COUNT"])
"""


@pytest.mark.slow  # torchrun waits, starts Python anew and imports everything, three times
def test_torchrun_carries_on_after_a_kill(tmp_path: Path) -> None:
    [whole, _] = run(2, fit, tmp_path / "whole")
    here = Path(__file__).parent
    paths = [str(here), str(here.parent), str(here.parents[1])]
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(paths=paths, folder=str(tmp_path / "again")))
    words = ["--standalone", "--nproc-per-node=2", "--max-restarts=2"]
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", *words, str(script)],
        env=os.environ | {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "again/restarts.txt").read_text() == "1"
    assert torch.load(tmp_path / "again/weights.pt") == whole
