"""GitHub's files are what GitHub takes: by its schemas, and by actionlint where there is one."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("vendor.github-workflows", WORKFLOWS),
        ("vendor.dependabot", [ROOT / ".github/dependabot.yml"]),
        ("vendor.citation-file-format", [ROOT / "CITATION.cff"]),
    ],
    ids=["workflows", "dependabot", "citation"],
)
def test_a_file_follows_its_schema(schema: str, files: list[Path]) -> None:
    pytest.importorskip("check_jsonschema", reason="schemas come with the extra 'dev'")
    words = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *map(str, files)]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_actionlint_has_nothing_to_say_about_the_workflows() -> None:
    if (actionlint := shutil.which("actionlint")) is None:
        pytest.skip("actionlint is not installed (its package fetches it from GitHub)")
    done = subprocess.run(
        [actionlint, *map(str, WORKFLOWS)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: str(path.stem))
def test_a_workflow_runs_what_is_there_with_the_rights_it_needs(path: Path) -> None:
    said = yaml.safe_load(path.read_text())
    steps = [step for job in said["jobs"].values() for step in job["steps"]]
    script = "\n".join(step.get("run", "") for step in steps)
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert set(re.findall(r"\bmake ([a-z]+)", script)) <= set(targets)
    assert all((ROOT / name).is_file() for name in re.findall(r"tests/\w+\.py", script))
    assert said["permissions"] == {"contents": "read"}
    assert all("timeout-minutes" in job for job in said["jobs"].values())
