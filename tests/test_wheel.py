"""What is installed: the wheel's content, and that it works where there is no checkout."""

import os
import re
import subprocess
import sys
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

from lit_tasks import __version__

ROOT = Path(__file__).parents[1]
CONFIGS = sorted(p.relative_to(ROOT).as_posix() for p in (ROOT / "configs").rglob("*.yaml"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling", reason="building the wheel needs hatchling: the extra 'dev'")
    folder = tmp_path_factory.mktemp("dist")
    words = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def run(installed: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder, with the unpacked wheel before everything else that is installed."""
    surroundings = {**os.environ, "PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=surroundings,
        check=False,
        capture_output=True,
        text=True,
    )


def test_the_wheel_is_small_and_holds_the_package_its_configs_and_nothing_else(wheel: Path) -> None:
    assert wheel.stat().st_size < 1_000_000
    names = set(zipfile.ZipFile(wheel).namelist())
    files = (p for p in (ROOT / "lit_tasks").rglob("*.*") if "__pycache__" not in p.parts)
    package = {p.relative_to(ROOT).as_posix() for p in files if p.is_file()}
    assert {"lit_tasks/py.typed", "lit_tasks/__main__.py"} <= package
    wanted = package | {f"lit_tasks/{config}" for config in CONFIGS}
    assert {name for name in names if not name.split("/")[0].endswith(".dist-info")} == wanted


def test_the_wheel_has_the_version_the_license_and_the_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        folder = f"lit_tasks-{__version__}.dist-info"
        metadata = message_from_string(archive.read(f"{folder}/METADATA").decode())
        commands = archive.read(f"{folder}/entry_points.txt").decode()
        assert f"{folder}/licenses/LICENSE" in archive.namelist()
    assert (metadata["Version"], metadata["License-Expression"]) == (__version__, "MIT")
    assert "lit-tasks = lit_tasks.__main__:main" in commands


@pytest.mark.parametrize("flag", ["--help", "--version"])
def test_the_front_answers_from_the_wheel(installed: Path, tmp_path: Path, flag: str) -> None:
    done = run(installed, tmp_path, "-m", "lit_tasks", flag)
    assert (done.returncode, done.stderr) == (0, "")
    assert __version__ in done.stdout


@pytest.mark.slow  # starts Python anew and imports everything
def test_a_shipped_config_is_found_by_name_in_an_empty_folder(
    installed: Path, tmp_path: Path
) -> None:
    place = run(installed, tmp_path, "-c", "import lit_tasks.bundled_configs as s; print(s.FOLDER)")
    assert Path(place.stdout.strip()) == installed / "lit_tasks" / "configs"
    done = run(
        installed, tmp_path, "-m", "lit_tasks", "fit", "--config", "quickstart", "--print_config"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "experiment: quickstart" in done.stdout
    assert not list(tmp_path.iterdir())


def test_a_sweep_is_found_by_name_and_so_is_the_config_of_its_trials(
    installed: Path, tmp_path: Path
) -> None:
    done = run(installed, tmp_path, "-m", "lit_tasks", "sweep", "quickstart", "--dry_run")
    assert done.returncode == 0
    assert done.stdout.count("configs/quickstart.yaml") == 6  # which the trial itself looks up


def test_the_version_stands_in_one_place_and_the_changelog_begins_with_it() -> None:
    heading = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert heading
    assert heading[1] == __version__
    assert not re.search(r"^version\s*[:=]", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert not re.search(r"^version\s*=", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
