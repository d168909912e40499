import subprocess
import sys

import pytest

from lit_tasks import __version__
from lit_tasks.__main__ import COMMANDS, main


@pytest.mark.parametrize("word", ["--help", "--version", "ftt"])
def test_the_front_answers_without_any_framework(word: str) -> None:
    code = (
        f"import sys; from lit_tasks.__main__ import main; main([{word!r}]);"
        "sys.exit(any(m in sys.modules for m in ('torch', 'lightning', 'jsonargparse', 'numpy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(command in printed for command in COMMANDS)


def test_version_is_the_package_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"{__version__}\n"


def test_a_misspelt_command_is_answered_with_the_nearest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["predcit"]) == 2
    assert "did you mean 'predict'?" in capsys.readouterr().err
