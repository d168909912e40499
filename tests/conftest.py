"""What every test runs in; property tests take as long as they need, and are the same in CI."""

import os
import signal
from collections.abc import Callable, Iterator

import pytest
import torch
from hypothesis import settings

from lit_tasks.__main__ import main

settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")


@pytest.fixture(scope="session", autouse=True)
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Compute on one thread, send nothing to W&B, and leave the user's cache alone."""
    torch.set_num_threads(1)
    # A shell that starts the tests in the background has them and their children ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("WANDB_MODE", "offline")
        patch.setattr("logging.raiseExceptions", False)  # handlers keep streams pytest closed
        yield


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
