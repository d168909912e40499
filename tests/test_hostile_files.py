"""Files that want to do harm, or were damaged: a sentence or a counted skip, and bounded memory."""

import json
import random
import re
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lit_tasks.__main__ import main
from lit_tasks.data.readers import lines
from lit_tasks.data.readers.archives import unpack
from lit_tasks.data.readers.coco import read_karpathy
from lit_tasks.data.readers.tables import TableOptions, table_rows
from lit_tasks.data.readers.text_files import Columns, format_of, read_rows
from lit_tasks.files import MAX_DEPTH, MAX_NODES, check_yaml, parse_json, read_yaml
from lit_tasks.nn.image.pretrained import _from_hub
from lit_tasks.printable import printable
from lit_tasks.runs import formats
from lit_tasks.runs.analysis import compare
from lit_tasks.runs.folder import read
from lit_tasks.tensor_files import safe_torch_load
from lit_tasks.text.vectors import load_vectors

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
def test_compare_names_the_file_that_is_damaged(
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
        shown += [formats.as_markdown(compared), formats.as_csv(compared)]
        json.loads(formats.as_json(compared))
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


# Rows of texts.

GOOD = "".join(f"a word {n},l{n % 2}\n" for n in range(30))


def problems(path: Path, columns: Columns | None = None) -> tuple[int, dict[int, str]]:
    """Return how many rows can be used, and what is wrong with the others by line."""
    rows = list(read_rows(path, format_of(path, None), columns or Columns()))
    bad = {row["line"]: row["problem"] for row in rows if row["problem"]}
    return len(rows) - len(bad), bad


@pytest.mark.parametrize(
    ("name", "bad", "reason"),
    [
        ("a.csv", '"never closed,l0\n', "a quote is opened and never closed"),
        ("a.csv", "x,l0,more\n", "2 columns were announced, got 3"),
        ("a.csv", "x\n", "2 columns were announced, got 1"),
        ("a.csv", b"caf\xe9,l0\n", "the bytes are not UTF-8"),
        ("a.csv", "y" * (1 << 23) + ",l0\n", "a row must have at most 8,388,608 characters"),
        ("a.csv", '"two\nlines",l0,"open\n', "a quote is opened and never closed"),
        ("b.tsv", '"never closed\tl0\n', "a quote is opened and never closed"),
        ("a.tsv", "x\tl0\tmore\n", "2 columns were announced, got 3; set data.quoting to double"),
        ("a.jsonl", '{"text": ' + "[" * 200_000 + "\n", "nested too deeply"),
        ("a.jsonl", '{"text": oops}\n', "this is not JSON (Expecting value"),
        ("a.jsonl", '{"text": "\n', "this is not JSON"),
        ("a.jsonl", '{"text": 1' + "0" * 5000 + "}\n", "this is not JSON (Exceeds the limit"),
        ("a.jsonl", "3\n", "this is not a JSON object"),
        ("a.jsonl", '{"text": "\\ud800", "label": 1}\n', "the bytes are not UTF-8"),
        ("a.jsonl", '["' + "y" * (1 << 23) + '"]\n', "a row must have at most"),
        ("a.txt", b"l0 caf\xe9\n", "the bytes are not UTF-8"),
        ("a.txt", "l0 " + "y" * (1 << 23) + "\n", "a row must have at most"),
    ],
)
@pytest.mark.parametrize("last", [False, True], ids=["in the middle", "at the end"])
def test_a_row_that_cannot_be_parsed_is_one_bad_row(
    tmp_path: Path, name: str, bad: str | bytes, reason: str, last: bool
) -> None:
    csv = "text,label\n", GOOD
    good = {
        "a.csv": csv,
        "a.tsv": tuple(part.replace(",", "\t") for part in csv),
        "b.tsv": tuple(part.replace(",", "\t") for part in csv),
        "a.txt": ("", "l0 a word\n" * 30),
        "a.jsonl": ("", '{"text": "a", "label": 1}\n' * 30),
    }[name]
    parts = [*good, bad, *([] if last else [good[1]])]
    path = tmp_path / name
    path.write_bytes(b"".join(p if isinstance(p, bytes) else p.encode() for p in parts))
    quoted = Columns(table=TableOptions(quoting="double")) if name == "b.tsv" else None
    with at_most(150):
        usable, found = problems(path, quoted)
    assert usable == (30 if last else 60)
    [(line, problem)] = found.items()
    assert line == (32 if good[0] else 31)
    assert reason in problem


def test_a_blank_line_is_a_bad_row_where_more_follows(tmp_path: Path) -> None:
    good = '{"text": "a", "label": 1}\n' * 3
    (tmp_path / "a.jsonl").write_text(f"{good}\n{good}\n \n")
    assert problems(tmp_path / "a.jsonl") == (6, {4: "this is not JSON (the line is empty)"})


def test_no_file_of_one_endless_row_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        lines, "MAX_CHARACTERS", 1 << 16
    )  # the same in small: 30 times that is 2 MB
    for name, content, first in (
        ("a.csv", "text,label\n" + '"' + "a line of text\n" * 30_000, 2),
        ("b.csv", "text,label\n" + '"a\n","b\n",' * 30_000, 2),
        ("a.txt", "l0 " + "y" * 3_000_000, 1),
    ):
        (tmp_path / name).write_text(content)
        with at_most(6):
            rows = read_rows(tmp_path / name, format_of(tmp_path / name, None), Columns())
            row = next(rows)
            last = max(row["line"] for row in rows) if ".csv" in name else first
        assert row["line"] == first
        assert row["problem"].startswith("a row must have at most")
        assert last >= content.count("\n") - 65536 // 4  # what cannot be parsed hides no more


def test_a_closed_quote_hides_no_line_and_a_null_byte_is_a_letter(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('text,label\r\n"x\ny, ""z""",l0\r\n\r\na\0b,l1')
    rows = list(read_rows(tmp_path / "a.csv", "csv", Columns()))
    assert [(r["text"], r["label"], r["line"]) for r in rows] == [
        ('x\ny, "z"', "l0", 2),
        ("a\0b", "l1", 5),
    ]


def test_bytes_that_are_no_text_spoil_a_row_of_parquet_and_not_the_file(tmp_path: Path) -> None:
    binary = pa.array([b"good", b"caf\xe9", None, b"fine"], pa.binary())
    texts = pa.Array.from_buffers(pa.string(), 4, binary.buffers())
    table = pa.table({"text": texts, "label": [1, 0, 1, 0]})
    table = table.replace_schema_metadata({"huggingface": '[{"info": 3}]'})
    pq.write_table(table, tmp_path / "a.parquet")
    usable, found = problems(tmp_path / "a.parquet")
    assert usable == 2
    assert found[2].startswith("the bytes are not UTF-8")
    assert found[3] == "the text is empty"


def test_skipped_rows_are_counted_and_stopping_names_file_and_line(
    tmp_path: Path,
    refusal: Refusal,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    path = tmp_path / "a.csv"
    path.write_text(f'text,label\n{GOOD}"open,l0\n{GOOD}x\n{GOOD}')
    words = ["fit", "--config=text_own", f"--data.train={path}", f"--run_dir={tmp_path}/run"]
    words += ["--trainer.logger=false", "--trainer.fast_dev_run=1"]
    said = refusal(*words)
    assert said.startswith(f"{path}, line 32: a quote is opened and never closed (2 such rows")
    with caplog.at_level("INFO"):
        assert main([*words, "--data.bad_rows=skip"]) == 0
    assert re.search(r"a\.csv: 2 of \d+ rows skipped as unusable", caplog.text)


def test_a_table_of_files_names_the_line_that_cannot_be_parsed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('file,label\na.png,1\n"b.png,2\nc.png,1\n')
    with pytest.raises(ValueError, match=r"a\.csv, line 3: a quote is opened and never closed"):
        list(table_rows(tmp_path / "a.csv", ("file", "label")))


# Captions, word vectors and archives.


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("[" * 200_000, "is not readable JSON: lists or objects are nested too deeply"),
        ('{"images": 1' + "0" * 5000 + "}", "is not readable JSON: Exceeds the limit"),
        ('{"images": [{"filename": "a", "split": "val", "sentences": [], "filepath": 3}]}', "text"),
        (
            '{"images": [{"filename": "a", "split": "val", "sentences": [], "cocoid": "3"}]}',
            "a whole number 'cocoid'",
        ),
    ],
)
def test_caption_files_of_wrong_types_are_named(
    tmp_path: Path, content: str, sentence: str
) -> None:
    (tmp_path / "dataset.json").write_text(content)
    with pytest.raises(ValueError, match=re.escape(sentence)):
        read_karpathy(tmp_path / "dataset.json", tmp_path)


def zipped(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "."), content)
    return path


def test_vectors_whose_line_never_ends_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"word 1 2 3\n" + b"1 " * 20_000_000)
    with (
        at_most(50),
        pytest.raises(ValueError, match=r"a\.txt, line 2: a line must have at most 1,048,576"),
    ):
        load_vectors(str(tmp_path / "a.txt"), ["word"], 3)
    path = zipped(tmp_path / "a.zip", a__txt=b"word 1 2 3\n" + b"1 " * 20_000_000)
    with at_most(50), pytest.raises(ValueError, match=r"line 2: a line must have at most"):
        load_vectors(str(path), ["word"], 3)


@pytest.mark.parametrize("read", [lambda p: load_vectors(str(p), ["a"], 3), None, safe_torch_load])
def test_an_archive_that_unpacks_to_far_more_than_its_size_is_refused(
    tmp_path: Path, read: Callable[[Path], object] | None
) -> None:
    path = zipped(tmp_path / "a.zip", a__txt=b"word 1 2 3\n" * 7_000_000)
    with at_most(50), pytest.raises(ValueError, match="at most 100 times its size") as caught:
        read(path) if read else unpack(path, tmp_path)
    assert str(path) in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["a.zip"]


@pytest.mark.parametrize("at", [40, 200, -60, -10])
def test_an_archive_with_damaged_bytes_is_refused(tmp_path: Path, at: int) -> None:
    path = zipped(tmp_path / "a.zip", a__txt=random.Random(0).randbytes(500).hex().encode())
    content = bytearray(path.read_bytes())
    content[at : at + 8] = b"\xff" * 8
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.zip"):
        load_vectors(str(path), ["a"], 3)
    with pytest.raises(ValueError, match=r"a\.zip"):
        unpack(path, tmp_path)


def test_an_archive_with_a_password_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", a__txt=b"word 1 2 3\n")
    content = path.read_bytes()
    for mark, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        place = content.index(mark) + at
        content = content[:place] + b"\1" + content[place + 1 :]
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.zip cannot be unpacked .*password"):
        load_vectors(str(path), ["word"], 3)
    with pytest.raises(ValueError, match=r"a\.zip is not a complete zip file .*password"):
        unpack(path, tmp_path)


def test_weights_from_the_network_are_checked_and_run_no_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: dict[str, Any] = {}

    def fetched(url: str, **how: Any) -> dict[str, Any]:
        asked.update(how, url=url)
        raise OSError("no network here")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fetched)
    with pytest.raises(ValueError, match=r"could not be loaded from the hub \(no network here\)"):
        _from_hub("resnet18", "torchvision", None)
    assert re.fullmatch(r"https://.*-[0-9a-f]{8}\.pth", asked["url"])
    assert asked["check_hash"] is asked["weights_only"] is True
