"""What `list`, `config`, `completion` and the short help say is so."""

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from lightning.pytorch import Callback, LightningDataModule, LightningModule
from torch import nn

from lit_tasks import bundled_configs
from lit_tasks.__main__ import COMMANDS, find_own_modules, main
from lit_tasks.catalog import classes
from lit_tasks.catalog.listing import KINDS
from lit_tasks.catalog.requirements import extras_of_config
from lit_tasks.catalog.short_help import short_help

ROOT = Path(__file__).parents[2]
BASES = {
    "tasks": LightningModule,
    "data": LightningDataModule,
    "encoders": nn.Module,
    "captioners": nn.Module,
    "backbones": nn.Module,
    "callbacks": Callback,
}


@pytest.mark.parametrize(
    "words", [["list"], ["config", "text_own"], ["completion", "bash"], ["fit", "--help"]], ids=str
)
def test_no_framework_is_imported(words: list[str]) -> None:
    if words[0] == "completion":
        pytest.importorskip("shtab")
    code = (
        f"import sys; from lit_tasks.__main__ import main; assert main({words}) == 0;"
        "sys.exit(any(m in sys.modules for m in ('torch', 'lightning', 'jsonargparse', 'numpy')))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert done.returncode == 0


@pytest.mark.parametrize("kind", BASES)
def test_a_listed_class_is_what_it_is_listed_as(kind: str) -> None:
    listed = classes.of_kind(kind)
    assert listed
    for each in listed:
        module, _, name = each.path.rpartition(".")
        found = getattr(importlib.import_module(module), name)
        assert issubclass(found, BASES[kind]), each
        assert each.sentence, each


def test_every_task_dataset_encoder_and_captioner_is_listed() -> None:
    """Whatever a shipped config names is found by its bare name, and listed with its kind."""
    text = "".join(path.read_text() for path in ROOT.glob("configs/*.yaml"))
    for kind in ("tasks", "data", "encoders", "captioners", "backbones"):
        listed = {each.path for each in classes.of_kind(kind)}
        folder = {"encoders": "nn.text", "captioners": "nn.caption", "backbones": "nn.image"}
        package = f"lit_tasks.{folder.get(kind, kind)}."
        named = {
            word.rstrip(",}")
            for line in text.splitlines()
            if "class_path" in line
            for word in line.split()
            if word.startswith(package)
        }
        assert named, kind
        assert named <= listed, kind


def test_list_prints_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "configs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == bundled_configs.names("")
    assert main(["list"]) == 0
    printed = capsys.readouterr().out
    assert all(f"{kind} (" in printed for kind in KINDS)
    assert "Progress (--progress)" in printed
    assert main(["list", "config"]) == 2


@pytest.mark.parametrize(
    ("name", "extras"),
    [
        ("quickstart", ["quickstart"]),
        ("image_own", ["image"]),
        ("text_own", []),
        ("text_sentences_glove", ["quickstart"]),
        ("caption_flickr8k_lstm", ["image", "quickstart"]),
        ("style_quickstart", ["image"]),
    ],
)
def test_what_a_config_needs(name: str, extras: list[str]) -> None:
    assert extras_of_config(bundled_configs.shipped(name)) == extras


def test_what_is_not_installed_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "lit_tasks.catalog.requirements.missing", lambda extras: [e for e in extras if e == "image"]
    )
    assert main(["list", "tasks"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.endswith("[image]")] == lines[1:4]
    assert "TextClassificationTask" in lines[4]


def test_config_prints_the_file_whatever_lies_in_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text_own.yaml").write_text("mine")
    assert main(["config", "text_own"]) == 0
    assert capsys.readouterr().out == (ROOT / "configs/text_own.yaml").read_text()
    assert main(["config", "../../etc/passwd"]) == 2
    assert main(["config", "text_won"]) == 2
    assert "did you mean 'text_own'?" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["fit", "validate", "test", "predict"])
def test_help_is_one_screen(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 100
    assert "--help=all" in "\n".join(lines)
    assert short_help(command).count("lit-tasks") > 3


def test_all_of_the_help_is_there_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--help=all"]) == 0
    printed = capsys.readouterr().out
    assert len(printed.splitlines()) > 300
    assert "--trainer.gradient_clip_val" in printed


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("lit-tasks pred", {"predict"}),
        ("lit-tasks fit --config quick", {"quickstart"}),
        ("lit-tasks fit --model.optimizer.l", {"--model.optimizer.lr"}),
        ("lit-tasks list back", {"backbones"}),
        ("lit-tasks config text_o", {"text_own"}),
    ],
)
def test_bash_completes(line: str, expected: set[str], tmp_path: Path) -> None:
    pytest.importorskip("shtab")
    if (bash := shutil.which("bash")) is None:
        pytest.skip("no bash here")
    with (tmp_path / "completion.bash").open("w") as file:
        words = [sys.executable, "-m", "lit_tasks", "completion", "bash"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run(words, stdout=file, check=True, env=environment)
    script = f"""
source {tmp_path}/completion.bash
COMP_WORDS=({line}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
COMP_LINE="{line}"; COMP_POINT=${{#COMP_LINE}}
"$(complete -p lit-tasks | sed 's/.*-F \\([^ ]*\\).*/\\1/')" lit-tasks
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run([bash, "-c", script], capture_output=True, text=True, check=False)
    found = {word.strip() for word in done.stdout.splitlines()}
    assert expected <= found, done.stderr


@pytest.mark.slow  # starts Python anew and imports everything
def test_bare_names_are_classes_whatever_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a process of its own: here the tests have imported everything."""
    monkeypatch.chdir(tmp_path)
    words = [
        *("fit", "--model=TextClassificationTask", "--model.encoder=RecurrentEncoder"),
        *("--model.encoder.hidden_size=8", "--data=TextFilesDataModule", "--print_config"),
    ]
    code = f"import sys; from lit_tasks.__main__ import main; sys.exit(main({words}))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    for path in (
        "lit_tasks.tasks.text_classification.TextClassificationTask",
        "lit_tasks.nn.text.RecurrentEncoder",
        "lit_tasks.data.text_files.TextFilesDataModule",
    ):
        assert f"class_path: {path}" in done.stdout


def test_the_working_directory_is_searched_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["/installed"])
    find_own_modules()
    find_own_modules()
    assert sys.path == ["/installed", str(tmp_path)]


def test_commands_are_in_the_completion_and_the_help() -> None:
    assert {"list", "config", "completion"} <= set(COMMANDS)
