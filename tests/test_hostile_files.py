"""Files that want to do harm, or were spoilt: a sentence or a counted skip, and bounded memory."""

import json
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lit_tasks.__main__ import main
from lit_tasks.plain_files import MAX_DEPTH, MAX_NODES, check_yaml, parse_json, read_yaml
from lit_tasks.printable import printable
from lit_tasks.runs import show
from lit_tasks.runs.comparison import compare
from lit_tasks.runs.folder import read

ROOT = Path(__file__).parents[1]
ESCAPE, TITLE, TURNED = "\x1b[2J", "\x1b]0;owned\x07", "\u202egnp.exe"
LAUGHS = "a: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n" + "".join(
    f"b{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
)
Refusal = Callable[..., str]


@contextmanager
def at_most(megabytes: float) -> Iterator[None]:
    """Fail where Python asks for more memory than that at any moment."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < megabytes * 2**20


# YAML and JSON.


def test_aliases_count_as_what_they_stand_for() -> None:
    check_yaml("a: &x [1, 2]\nb: *x\n", max_nodes=9)  # one mapping, two keys, twice a list of two
    with pytest.raises(ValueError, match="at most 8 keys and values"):
        check_yaml("a: &x [1, 2]\nb: *x\n", max_nodes=8)
    check_yaml("a: &x [1, 2]\nb: *x\n", max_nodes=3, aliases_only=True)
    with pytest.raises(ValueError, match="at most 2 keys and values"):
        check_yaml("a: &x [1, 2]\nb: *x\n", max_nodes=2, aliases_only=True)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (LAUGHS, f"must stand for at most {MAX_NODES:,} keys and values"),
        (LAUGHS.replace("[", "{<<: [").replace("]", "]}"), "must stand for at most"),
        ("a: &x [1, *x]", "the alias *x stands within what it stands for"),
        ("a: &x {b: {c: *x}}", "the alias *x stands within what it stands for"),
        ("a: " + "[" * 200 + "]" * 200, f"nested at most {MAX_DEPTH} deep"),
        ("".join(f"{'  ' * n}a:\n" for n in range(200)), f"nested at most {MAX_DEPTH} deep"),
        ("[" * 100_000, "is not YAML: exceeded maximum nesting depth"),
        (
            "a: &a0 [1]\n" + "".join(f"b{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 200)),
            f"nested at most {MAX_DEPTH} deep",
        ),
        ("a: 1" + ":59" * 100_000, "a value of 300,001 characters must be in quotes"),
        ("a: " + "9" * 5000, "Exceeds the limit (4300"),
        ("[" + "1," * 200_000 + "]", "must stand for at most"),
        ("- 1\n" * 5_000_000, "must have at most 16 MiB to be a file of settings"),
        ("? [a]\n: 1", "found unhashable key"),
        ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("a: *nobody", "found undefined alias"),
        ("a: \x00", "is not YAML"),
    ],
    ids=range(16),
)
def test_yaml_that_stands_for_too_much_is_refused(
    tmp_path: Path, text: str, sentence: str, refusal: Refusal
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with at_most(100), pytest.raises(ValueError, match=r"config\.yaml") as caught:
        read_yaml(path)
    assert sentence in str(caught.value)
    for words in (["compare", str(tmp_path)], ["fit", "--config", str(path)], ["sweep", str(path)]):
        assert sentence in refusal(*words)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text("abc*&", max_size=3),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab"), inner),
    )
)
def test_the_count_is_that_of_the_tree(value: Any) -> None:
    def nodes(node: Any) -> int:
        if isinstance(node, dict):
            return 1 + sum(1 + nodes(child) for child in node.values())
        return 1 + (sum(map(nodes, node)) if isinstance(node, list) else 0)

    shared = [value, value]  # PyYAML writes an anchor and an alias for what is not plain
    total = nodes(shared)
    check_yaml(yaml.safe_dump(shared), max_nodes=total)
    with pytest.raises(ValueError, match="must stand for at most"):
        check_yaml(yaml.safe_dump(shared), max_nodes=total - 1)


def test_a_config_that_another_one_names_is_checked_as_well(
    tmp_path: Path, refusal: Refusal
) -> None:
    (tmp_path / "model.yaml").write_text(LAUGHS)
    (tmp_path / "config.yaml").write_text(f"model: {tmp_path}/model.yaml\n")
    words = ["fit", "--run_dir", str(tmp_path / "run"), "--trainer.logger=false"]
    inline = "{" + LAUGHS.strip().replace("\n", ", ") + "}"
    (tmp_path / "text.yaml").write_text(f"model: '{inline}'\n")
    for more in (
        f"--config={tmp_path}/config.yaml",
        f"--config={tmp_path}/text.yaml",
        f"--model={tmp_path}/model.yaml",
        f"--model={inline}",
    ):
        assert len(refusal(*words, more)) < 2000


def test_the_shipped_configs_are_far_below_every_limit() -> None:
    for path in (ROOT / "configs").rglob("*.yaml"):
        check_yaml(path.read_text(), max_nodes=MAX_NODES // 100)


def test_json_that_is_nested_too_deeply_is_an_ordinary_error() -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_json("[" * 200_000)


# Run folders.


def run_folder(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True)
    good = {
        "config.yaml": "seed_everything: 0\ndata: {class_path: a.B}\n",
        "results.json": '{"val/loss": {"value": 1, "best": {"value": 1, "epoch": 0}}}',
        "metrics.csv": "epoch,step,train/loss,val/loss\n0,1,1,\n0,1,,1\n",
        "samples_val.csv": "id,target,loss\na,0,1\nb,1,2\n",
    }
    for name, content in (good | {n.replace("__", "."): c for n, c in files.items()}).items():
        (folder / name).write_text(content)
    return folder


RESULTS = "results__json"


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        (RESULTS, "[" * 100_000, "results.json cannot be read as JSON: lists or objects are"),
        (RESULTS, '{"val/loss": {"value": 1, "best": 3}}', "val/loss: best must be a mapping"),
        (RESULTS, '{"val/loss": {"value": "NaN<script>"}}', "value must be a number, got 'NaN<"),
        (RESULTS, '{"val/loss": {"value": true}}', "value must be a number, got True"),
        (RESULTS, '{"val/loss": {"value": 1, "interval": 2}}', "must be a list of two numbers"),
        (RESULTS, '{"val/loss": {"interval": [1, 2, 3]}}', "must be a list of two numbers"),
        (RESULTS, '{"val/loss": {"interval": [1, null]}}', "must be a list of two numbers"),
        (RESULTS, '{"val/loss": {"last": {"value": []}}}', "last: value must be a number, got []"),
        (RESULTS, '{"val/loss": {"best": {"best": {}}}}', "best must be a mapping of value"),
        (
            RESULTS,
            '{"val/loss": {"value": 1' + "0" * 400 + "}}",
            "value must be a number, got 1000",
        ),
        (RESULTS, '{"val/loss": {"value": 1' + "0" * 5000 + "}}", "results.json cannot be read"),
        (RESULTS, "[1]", "results.json must hold a mapping of metrics"),
        (RESULTS, '{"a": 1}', "results.json must hold a mapping of metrics"),
        (RESULTS, "", "results.json, line 1, is not JSON"),
        ("config__yaml", "[1]", "config.yaml must hold a mapping"),
        ("metrics__csv", "epoch,val/loss\nnan,1\n", "line 2: epoch must be a whole number"),
        ("metrics__csv", "epoch,val/loss\ninf,1\n", "line 2: epoch must be a whole number"),
        ("metrics__csv", "step,val/loss\n1.5,1\n", "line 2: step must be a whole number"),
        ("metrics__csv", "step,val/loss\n1,x\n", "line 2: val/loss must be a number, got 'x'"),
        ("metrics__csv", "step,val/loss\n1," + "1" * 200_000, "metrics.csv, line 1, is not CSV"),
        ("samples_val__csv", "id,loss\na,x\n", "samples_val.csv, line 2: loss must be a number"),
        ("samples_val__csv", "id,loss\na\n", "samples_val.csv, line 2: loss must be a number"),
        ("samples_val__csv", "id,loss\n" + "a" * 200_000, "samples_val.csv, line 1, is not CSV"),
    ],
)
def test_compare_names_the_file_that_is_spoilt(
    tmp_path: Path, refusal: Refusal, name: str, content: str, sentence: str
) -> None:
    run_folder(tmp_path / "good")
    files = {name: content} | ({RESULTS: "{}"} if name == "metrics__csv" else {})
    run_folder(tmp_path / "bad", **files)
    said = refusal("compare", f"{tmp_path}/good", f"{tmp_path}/bad")
    assert sentence in said
    assert f"{tmp_path}/bad/" in said
    assert len(said) < 400


def test_compare_reads_what_lacks_or_has_more_columns(tmp_path: Path) -> None:
    samples = "id,target,loss\na,0,1,7,8\nb,1,2\n"
    run_folder(tmp_path / "a", samples_val__csv=samples)
    run_folder(tmp_path / "b", metrics__csv="")
    run_folder(tmp_path / "c", config__yaml="init_args: 1\nclass_path: 2\n3: {null: [4]}\n'': 5\n")
    assert main(["compare", str(tmp_path)]) == 0


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
ENTRIES = st.dictionaries(
    st.sampled_from(["value", "interval", "samples", "best", "last", "epoch", "x"]), VALUES
)


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(
    results=VALUES | st.dictionaries(st.sampled_from(["val/loss", "test/a", "\x1b"]), ENTRIES),
    config=VALUES | st.dictionaries(st.text("a.", max_size=4), VALUES),
    metrics=st.text("epoch,\n1.5x\"'", max_size=30),
    samples=st.lists(st.text("id,\n1.5x", max_size=9)).map("".join),
)
def test_whatever_a_run_folder_holds_it_is_compared_or_refused(
    tmp_path_factory: pytest.TempPathFactory, results: Any, config: Any, metrics: str, samples: str
) -> None:
    folder = tmp_path_factory.mktemp("run")
    try:
        files = {
            RESULTS: json.dumps(results),
            "config__yaml": yaml.safe_dump(config, allow_unicode=True),
            "metrics__csv": "epoch,step,val/loss\n" + metrics,
            "samples_val__csv": "id,target,loss\n" + samples,
        }
        run_folder(folder / "a", **files)
    except UnicodeEncodeError:  # lone halves of surrogate pairs
        return
    run_folder(folder / "b")
    shown = [str(folder)]
    try:
        runs = [read(folder / name) for name in "ab"]
        compared = compare([*runs, runs[0]])
        shown += [show.as_markdown(compared), show.as_csv(compared)]
        json.loads(show.as_json(compared))
    except ValueError as error:
        shown = [str(error)]  # a sentence that names the file
    assert str(folder) in shown[0]
    assert not any("\x1b" in text for text in shown[1:])


# Terminals.


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ünïcödé 漢字 ☹ \\x1b", "plain, ünïcödé 漢字 ☹ \\x1b"),
        (TITLE, r"\x1b]0;owned\x07"),
        ("a\x00\x7f\x80\x9b31m", r"a\x00\x7f\x80\x9b31m"),
        (TURNED, r"\u202egnp.exe"),
        ("\u2066\u2069\u200f\u061c", r"\u2066\u2069\u200f\u061c"),
        ("a\nb\tc\rd\u2028", r"a\nb\tc\rd\u2028"),
        ("\udcff", r"\udcff"),
    ],
)
def test_control_characters_are_shown_and_not_obeyed(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable("a\nb\tc\x1b", lines=True) == "a\nb\tc\\x1b"


@pytest.mark.parametrize("format", ["table", "markdown", "csv", "json"])
def test_compare_obeys_no_name_setting_metric_or_value(
    tmp_path: Path, format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = yaml.safe_dump({f"lr{ESCAPE}": f"{TITLE}{TURNED}\x9b", "b": f"{TITLE}\n{TITLE}"})
    results = json.dumps({f"val/loss{TITLE}": {"value": 1, f"x{ESCAPE}": 2}})
    run_folder(tmp_path / f"c{TITLE}{TURNED}", config__yaml=config, results__json=results)
    run_folder(tmp_path / f"d{ESCAPE}\n\udcff", results__json="{}", metrics__csv="")
    capsys.readouterr()
    assert main(["compare", str(tmp_path), "--format", format]) == 0
    said = capsys.readouterr().out
    assert not any(letter in said for letter in "\x1b\x07\x9b\u202e\udcff")
    assert main(["compare", f"{tmp_path}/none{TITLE}"]) == 2
    assert r"none\x1b]0;owned\x07" in capsys.readouterr().err


def test_errors_and_log_lines_obey_no_name_or_label(
    tmp_path: Path,
    refusal: Refusal,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    table = tmp_path / f"a{TITLE}.csv"
    table.write_text(f"text,label{ESCAPE}\na,b\n")
    words = ["fit", "--config=text_own", f"--data.train={table}", f"--run_dir={tmp_path}/run"]
    words += ["--trainer.logger=false", "--trainer.fast_dev_run=1"]
    assert r"a\x1b]0;owned\x07.csv has no column 'label', only 'text', 'label\x1b" in refusal(
        *words
    )
    assert r"no option '\x1b[2J'" in refusal(*words, f"--{ESCAPE}=1")
    rows = "".join(f"a word {n},l{n % 2}{TITLE}{TURNED}\n" for n in range(40))
    table.write_text("text,label\n" + rows)
    with caplog.at_level("INFO"):
        assert main(words) == 0
    said = "\n".join(caplog.messages)
    assert r"labels l0\x1b]0;owned\x07\u202egnp.exe" in said
    assert "\x1b" not in said
