"""Everything that README and docs tell people to type or to open is there and is understood."""

import os
import re
import runpy
import sys
import tomllib
from pathlib import Path

import pytest
from documents import PAGES, ROOT, Command, anchors, commands, flags, links, programs

from lit_tasks import bundled_configs
from lit_tasks.__main__ import main
from lit_tasks.runs import compare
from lit_tasks.runs.report import command as report

DOCUMENTED = [command for page in PAGES for command in commands(page)]
#: Commands on files of the reader's own package: this test runs them with that package.
RUN_ELSEWHERE = {"adding.md": "test_adding.py"}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def value(words: tuple[str, ...], option: str) -> str | None:
    """Return the value of an option, written in either way."""
    pairs = zip(words, (*words[1:], ""), strict=True)
    found = [w.partition("=")[2] if "=" in w else n for w, n in pairs if w.split("=")[0] == option]
    return found[0] if found else None


def trained_with(command: Command) -> str:
    """Return the config of a checkpoint: its experiment's, or that of the page's first fit."""
    experiment = Path(value(command.words, "--ckpt_path") or "").parts[1:2]
    if experiment and experiment[0] in bundled_configs.names(""):
        return experiment[0]
    fits = [c for c in DOCUMENTED if c.page == command.page and c.words[0] == "fit"]
    return str(value(fits[0].words, "--config"))


def parsed_only(command: Command) -> list[str]:
    """Return the words that let our own parser read a command and stop there."""
    words = list(command.words)
    if words[0] in ("list", "config", "completion"):
        return words
    own = [at for at, word in enumerate(words) if word == "mine.yaml"]
    for at in own:  # made by `lit-tasks config` on the same page
        words[at] = str(bundled_configs.shipped("text_own"))
    if words[0] == "sweep":
        return [*words, "--dry_run"]
    if (checkpoint := value(command.words, "--ckpt_path")) and words[0] != "fit":
        at = next(i for i, word in enumerate(words) if word.startswith("--ckpt_path"))
        words[at : at + 2 - ("=" in words[at])] = []
        if value(command.words, "--config") is None:
            words[1:1] = ["--config", trained_with(command)]
        assert checkpoint.endswith(".ckpt")
    return [*words, "--print_config"]


@pytest.mark.parametrize("command", [c for c in DOCUMENTED if not c.answer], ids=str)
def test_our_parser_understands_every_documented_command(command: Command) -> None:
    if command.page in RUN_ELSEWHERE:
        assert (ROOT / "tests" / RUN_ELSEWHERE[command.page]).is_file()
    elif command.words[0] == "compare":
        assert compare._options(command.words[1:]).runs
    elif command.words[0] == "report":
        assert report.options_of(command.words[1:]).runs
    else:
        assert main(parsed_only(command)) == 0


@pytest.mark.parametrize("command", [f for page in PAGES for f in flags(page)], ids=str)
def test_our_parser_understands_every_option_that_is_listed_alone(command: Command) -> None:
    assert main(parsed_only(command)) == 0


@pytest.mark.parametrize("command", [c for c in DOCUMENTED if c.answer], ids=str)
def test_a_mistake_is_answered_as_the_page_shows(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command.words, "--trainer.logger=false"]) != 0
    assert capsys.readouterr().err.strip() == command.answer


@pytest.mark.parametrize("more", ["--no_such=1", "--trainer.max_epochs=many", "--data.typo=1"])
def test_a_documented_command_that_were_wrong_would_be_noticed(more: str) -> None:
    wrong = Command("", ("fit", "--config", "quickstart", more))
    assert main(parsed_only(wrong)) != 0


def test_the_pages_are_read_as_people_read_them() -> None:
    by_page = {command.page for command in DOCUMENTED}
    assert {"README.md", "runs.md", "scaling.md", "transfer_learning.md"} <= by_page
    assert len(DOCUMENTED) >= 30


@pytest.mark.parametrize(
    "words",
    sorted({words for page in PAGES for words in programs(page)}),
    ids=" ".join,
)
def test_every_program_named_is_there_and_knows_the_options_it_is_given(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = words[0].removesuffix(".py").replace("/", ".")
    path = ROOT / f"{name.replace('.', '/')}.py"
    assert "argparse" in path.read_text()  # else --help would start the measurement
    monkeypatch.setattr(sys, "argv", [str(path), "--help"])
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    monkeypatch.syspath_prepend(ROOT)
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(path), run_name="__main__")
    assert stop.value.code == 0
    known = set(re.findall(r"--[\w-]+", capsys.readouterr().out))
    assert {word.split("=")[0] for word in words if word.startswith("--")} <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.name))
def test_every_link_and_image_of_a_page_leads_somewhere(page: Path) -> None:
    for link in links(page):
        name, _, anchor = link.partition("#")
        target = Path(os.path.normpath(page.parent / name)) if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.name))
def test_every_target_config_extra_and_test_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text()
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z]+)", text, flags=re.MULTILINE)) <= targets
    files = set(re.findall(r"(?:configs|tests)/[\w./]+\.(?:yaml|py)\b", text))
    assert [name for name in sorted(files) if not (ROOT / name).is_file()] == []
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    named = re.findall(r"(?:lit-tasks|pip install '?\.)\[([\w,]+)\]", text)
    assert {extra for names in named for extra in names.split(",")} <= set(extras)
