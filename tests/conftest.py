"""What every test runs in, and how many examples a property test draws."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import settings
from small_runs import TOY

from lit_tasks.__main__ import main

settings.register_profile("all", deadline=None, max_examples=100)
settings.register_profile("quick", deadline=None, max_examples=15)
settings.register_profile("all-ci", settings.get_profile("all"), derandomize=True)
settings.register_profile("quick-ci", settings.get_profile("quick"), derandomize=True)


def pytest_configure(config: pytest.Config) -> None:
    """Draw few examples where slow tests are left out, and always the same ones in CI."""
    quick = "not slow" in config.option.markexpr
    ci = "-ci" if os.environ.get("CI") else ""
    settings.load_profile(("quick" if quick else "all") + ci)


@pytest.fixture(scope="session", autouse=True)
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Compute on one thread or as told, send nothing to W&B, leave the user's cache alone."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 1)))
    # A shell that starts the tests in the background has them and their children ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("WANDB_MODE", "offline")
        patch.setattr("logging.raiseExceptions", False)  # handlers keep streams pytest closed
        yield


@pytest.fixture
def toy_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder that holds ``toy.yaml``."""
    monkeypatch.chdir(tmp_path)
    Path("toy.yaml").write_text(yaml.safe_dump(TOY))
    return tmp_path


@pytest.fixture
def refusal(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command that must fail; return its one sentence."""

    def run(*words: str) -> str:
        capsys.readouterr()
        assert main(list(words)) != 0
        lines = capsys.readouterr().err.splitlines()
        [error] = [line for line in lines if line.startswith("lit-tasks: error: ")]
        assert not any("Traceback" in line for line in lines)
        return error.removeprefix("lit-tasks: error: ")

    return run
