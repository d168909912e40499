"""``compare`` on run folders written by hand: what it finds, prints, draws and refuses."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from lit_tasks.__main__ import main
from lit_tasks.runs.formats import folded
from lit_tasks.runs.sample_tables import read_samples
from lit_tasks.runs.settings import differing, flat


def write_run(
    path: Path,
    lr: float = 0.1,
    seed: int = 0,
    accuracy: float = 0.9,
    right: list[int] | None = None,
    encoder: str = "pkg.Bag",
    **init_args: Any,
) -> Path:
    path.mkdir(parents=True)
    config = {
        "seed_everything": seed,
        "run_dir": str(path),
        "model": {
            "class_path": "pkg.Task",
            "init_args": {
                "optimizer": {"class_path": "torch.optim.Adam", "init_args": {"lr": lr}},
                "encoder": {"class_path": encoder, "init_args": init_args},
            },
        },
        "data": {"class_path": "pkg.Data"},
        "checkpoint": {"init_args": {"monitor": "val/accuracy"}},
    }
    (path / "config.yaml").write_text(yaml.safe_dump(config))
    point = {"value": accuracy, "epoch": 1, "step": 19}
    results = {
        "val/accuracy": {
            "value": accuracy,
            "interval": [accuracy - 0.05, accuracy + 0.05],
            "best": point,
            "last": {**point, "value": accuracy - 0.01},
            "higher_is_better": True,
        },
        "test/accuracy": {"value": accuracy - 0.02, "samples": 4},
    }
    (path / "results.json").write_text(json.dumps(results))
    lines = ["epoch,step,train/loss,val/accuracy"]
    lines += [f"{n // 10},{n},{1 / (n + 1)}," for n in range(20)]
    lines += [f"0,9,,{accuracy - 0.1}", f"1,19,,{accuracy}"]
    (path / "metrics.csv").write_text("\n".join(lines) + "\n")
    if right is not None:
        rows = [f"{n},{n % 2},{value}" for n, value in enumerate(right)]
        (path / "samples_test.csv").write_text("\n".join(["id,target,accuracy", *rows]) + "\n")
    return path


def as_json(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["compare", *words, "--format", "json"]) == 0
    content: dict[str, Any] = json.loads(capsys.readouterr().out)
    return content


def test_settings_that_differ_are_shown_by_their_shortest_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "a", lr=0.1, seed=0, width=3)
    write_run(tmp_path / "b", lr=1e-5, seed=7, width=3)
    runs = as_json(capsys, str(tmp_path))["runs"]
    assert [run["settings"] for run in runs] == [
        {"seed_everything": "0", "lr": "0.1"},
        {"seed_everything": "7", "lr": "1e-05"},
    ]


def test_callbacks_that_show_a_run_are_no_settings_and_others_are() -> None:
    ours, theirs = "lit_tasks.callbacks.images.ImageWriter", "mine.Writer"
    configs = [
        flat({"figures": figures, "trainer": {"callbacks": [own, other]}})
        for figures, own, other in (
            (None, {"class_path": ours, "init_args": {"every": 1}}, {"class_path": theirs, "x": 1}),
            (
                {"class_path": "lit_tasks.callbacks.figures.FigureWriter", "init_args": {"dpi": 9}},
                {"class_path": ours, "init_args": {"every": 2}},
                {"class_path": theirs, "x": 2},
            ),
        )
    ]
    assert differing(configs) == ["trainer.callbacks.1.x"]


def test_arguments_that_only_one_class_has_are_told_by_the_class(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "a", encoder="pkg.Bag", ngrams=2, shared=1)
    write_run(tmp_path / "b", encoder="pkg.LSTM", hidden=5, shared=2)
    runs = as_json(capsys, str(tmp_path))["runs"]
    assert [run["settings"] for run in runs] == [
        {"encoder": "Bag", "shared": "1"},
        {"encoder": "LSTM", "shared": "2"},
    ]


def test_runs_that_differ_only_in_the_seed_are_one_group(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed, accuracy in enumerate((0.9, 0.92, 0.97)):
        write_run(tmp_path / f"a{seed}", lr=0.1, seed=seed, accuracy=accuracy)
    write_run(tmp_path / "b", lr=0.2, seed=0, accuracy=0.5)
    first, second = as_json(capsys, str(tmp_path))["groups"]
    assert (first["runs"], second["runs"]) == ([1, 2, 3], [4])
    value = first["metrics"]["val/accuracy"]
    assert value["mean"] == pytest.approx(0.93)
    assert value["deviation"] == pytest.approx(0.036055512)
    assert value["interval"] == pytest.approx([0.93 - 0.0895663, 0.93 + 0.0895663], abs=1e-6)
    assert second["metrics"]["val/accuracy"]["deviation"] is None


def test_runs_on_the_same_samples_are_compared_sample_by_sample(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "a", right=[1, 0, 0, 0, 1, 0])
    write_run(tmp_path / "b", right=[1, 1, 1, 1, 0, 0])
    write_run(tmp_path / "c", right=[1, 1])  # other samples
    (pair,) = as_json(capsys, str(tmp_path))["pairs"]
    assert (pair["run"], pair["against"], pair["stage"], pair["metric"]) == (
        2,
        1,
        "test",
        "accuracy",
    )
    assert pair["difference"]["mean"] == pytest.approx(2 / 6)
    assert (pair["difference"]["better"], pair["difference"]["worse"]) == (3, 1)
    assert pair["difference"]["p"] == pytest.approx(2 * 5 / 16)  # at most 1 of 4 throws, twice


def test_texts_and_predictions_of_samples_are_no_numbers(tmp_path: Path) -> None:
    path = tmp_path / "samples_val.csv"
    path.write_text('id,text,target,prediction,accuracy\n7,"a, b",pos,neg,0\n')
    assert read_samples(path) == {"7": {"target": "pos", "accuracy": "0"}}


def test_samples_with_other_targets_are_not_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "a", right=[1, 0])
    other = write_run(tmp_path / "b", right=[1, 1])
    (other / "samples_test.csv").write_text("id,target,accuracy\n0,1,1\n1,1,1\n")
    found = as_json(capsys, str(tmp_path))
    assert found["pairs"] == []
    assert "same samples" in found["notes"][-1]


def test_best_and_last_come_from_the_curve_where_nobody_summed_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/metrics.csv").write_text(
        "epoch,step,val/loss,val/accuracy\n0,4,0.5,0.7\n1,9,0.3,0.9\n2,14,0.4,nan\n3,15,,\n"
    )
    (tmp_path / "run/config.yaml").write_text(
        "checkpoint: {init_args: {monitor: val/accuracy, mode: max}}"
    )
    (run,) = as_json(capsys, str(tmp_path / "run"))["runs"]
    # Nobody declared which way the loss is better: its name does not declare it.
    assert run["results"]["val/loss"] == {"last": {"value": 0.4, "epoch": 2, "step": 14}}
    assert run["results"]["val/accuracy"]["best"]["value"] == 0.9


@pytest.mark.parametrize("declared", [False, True, None])
def test_the_best_run_is_first_where_a_direction_is_declared(
    declared: bool | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (("a", 0.4), ("b", 0.2), ("c", 0.3)):
        entry = {"value": value} | ({} if declared is None else {"higher_is_better": declared})
        (tmp_path / name).mkdir()
        (tmp_path / name / "results.json").write_text(json.dumps({"test/wer": entry}))
    assert main(["compare", str(tmp_path), "--format", "markdown"]) == 0
    text = capsys.readouterr().out
    ranked = text.partition("test/wer")[2]
    names = re.findall(r"^\| \d \| (\w) \|", ranked, re.M)
    assert names == {False: ["b", "c", "a"], True: ["a", "c", "b"], None: ["a", "b", "c"]}[declared]
    assert ("test/wer is not ranked" in text) == (declared is None)


@pytest.mark.parametrize("width", [80, 120])
def test_twenty_runs_with_long_names_fit_the_terminal(
    width: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    for n in range(20):
        name = f"text_sentences_lstm_bidirectional_attention/20261122-0{n:05}-{n:04x}"
        extra = {f"knob_{k}": n * k for k in range(1, 9)}
        write_run(tmp_path / "runs" / name, lr=0.1 / (n + 1), seed=n, right=[n % 2, 1], **extra)
    assert main(["compare", str(tmp_path / "runs")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    assert all(f"{n:04x}" in text for n in range(20))  # the end of a name tells it apart
    assert "knob_8=152" in text.replace("\n", "")
    assert not any("…" in line.partition("0.")[2] for line in lines)  # no number is cut


@pytest.mark.parametrize("width", [40, 80, 120])
def test_no_digit_and_no_letter_is_left_out(
    width: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    names = [f"reviews-lstm-hidden128-dropout0.0-trial{n:03}" for n in range(12)]
    for n, name in enumerate(names):
        options = {f"option_{k}": 0.001 * (n + 1) for k in range(3)}
        write_run(tmp_path / name, lr=0.001 * (n + 1), accuracy=0.9467 - n / 1000, **options)
    assert main(["compare", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "…" not in printed
    assert all(value in printed for value in ("0.9467", "0.9357", "0.8967-0.9967"))
    whole = re.sub(r"\s", "", printed)
    assert all(f"trial{n:03}" in whole for n in range(12))
    rows = re.findall(r"(?:lr=|\s)(0\.0\d+)\b", printed.partition("test/accuracy")[0])
    assert {"0.001", "0.002", "0.012"} <= set(rows)


def test_runs_with_the_same_settings_and_seed_are_one_sample(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, seed, accuracy in (("a", 0, 0.9), ("b", 0, 0.9), ("c", 1, 0.8)):
        write_run(tmp_path / name, seed=seed, accuracy=accuracy)
    content = as_json(capsys, str(tmp_path))
    [group] = content["groups"]
    assert group["runs"] == [1, 2, 3]
    found = group["metrics"]["val/accuracy"]
    assert (found["size"], found["mean"]) == (2, pytest.approx(0.85))
    assert "runs 1 and 2 have the same settings and the same seed" in " ".join(content["notes"])
    content = as_json(capsys, str(tmp_path / "a"), str(tmp_path / "b"))
    assert content["groups"] == []  # nothing was repeated: no deviation of 0


def test_runs_are_numbered_by_a_metric_and_the_best_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "a", lr=0.1, accuracy=0.8, right=[0, 0, 1])
    write_run(tmp_path / "b", lr=0.2, accuracy=0.9, right=[1, 1, 1])
    write_run(tmp_path / "c", lr=0.3, accuracy=0.7)
    unfinished = write_run(tmp_path / "d", lr=0.4)
    (unfinished / "results.json").unlink()
    (unfinished / "metrics.csv").unlink()
    assert main(["compare", str(tmp_path), "--by", "val/accuracy"]) == 0
    *_, last = capsys.readouterr().out.splitlines()
    assert last.startswith("best by val/accuracy: run 1 (b) with ")
    assert "lr=0.2" in last
    assert "0.9000 (0.8500-0.9500), 0.1000 better than run 2 (p 0.5)" in last
    content = as_json(capsys, str(tmp_path), "--by", "val/accuracy")
    assert [run["name"] for run in content["runs"]] == ["b", "a", "c", "d"]
    assert content["best"]["value"] == 0.9
    assert main(["compare", str(tmp_path), "--by", "val/wer"]) == 2
    assert "no run has a metric val/wer" in capsys.readouterr().err


def test_latex_is_escaped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "50%_a&b", lr=0.1)
    write_run(tmp_path / "c", lr=0.2)
    assert main(["compare", str(tmp_path), "--format", "latex"]) == 0
    printed = capsys.readouterr().out
    assert r"1 & 50\%\_a\&b & 0.1 \\" in printed
    assert printed.count(r"\begin{tabular}") == printed.count(r"\bottomrule") == 3
    assert r"95 \% interval" in printed


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("a/b-c_d", 4, ["a/b-", "c_d"]),
        ("abcdefghij", 4, ["abcd", "efgh", "ij"]),
        ("lr=0.1, dropout=0.2", 12, ["lr=0.1,", "dropout=0.2"]),
        ("", 4, [""]),
    ],
)
def test_names_are_folded_where_they_have_parts(text: str, width: int, lines: list[str]) -> None:
    assert folded(text, width).split("\n") == lines


def test_markdown_and_csv_hold_the_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "a", lr=0.1, accuracy=0.9)
    write_run(tmp_path / "b", lr=0.2, accuracy=0.8)
    assert main(["compare", str(tmp_path), "--format", "markdown"]) == 0
    assert "| 1 | a | 0.9000 | 0.8500-0.9500 | 0.9000 | 2 | 0.8900 |" in capsys.readouterr().out
    assert main(["compare", str(tmp_path), "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(row["run"], row["lr"], row["val/accuracy"]) for row in rows] == [
        ("a", "0.1", "0.9"),
        ("b", "0.2", "0.8"),
    ]
    assert rows[0]["val/accuracy low"] == "0.85"
    assert rows[0]["val/accuracy best epoch"] == "1"


def test_the_curves_of_all_runs_are_drawn_into_one_image(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    write_run(tmp_path / "runs/a")
    write_run(tmp_path / "runs/b", lr=0.2)
    image = tmp_path / "new/curves.png"
    assert main(["compare", str(tmp_path / "runs"), "--plot", str(image)]) == 0
    assert min(Image.open(image).size) > 200
    assert capsys.readouterr().err == f"curves: {image}\n"


def test_fifty_runs_take_less_than_a_second_and_no_framework(tmp_path: Path) -> None:
    for n in range(50):
        extra = {f"knob_{k}": k for k in range(150)}
        write_run(tmp_path / f"{n:02}", seed=n, accuracy=0.5 + n / 200, right=[n % 2, 1], **extra)
    code = (
        "import sys; from lit_tasks.__main__ import main; main(['compare', sys.argv[1]]);"
        "sys.exit(any(m in sys.modules for m in ('torch', 'lightning', 'numpy', 'matplotlib')))"
    )
    seconds = []
    for _ in range(3):
        start = os.times()
        run = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True)
        assert run.returncode == 0, run.stderr
        end = os.times()
        seconds.append(
            end.children_user + end.children_system - start.children_user - start.children_system
        )
    assert min(seconds) < 1.0


def broken(path: Path, name: str, text: str | bytes) -> None:
    write_run(path)
    (path / name).write_bytes(text if isinstance(text, bytes) else text.encode())


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("results.json", '{"a": {},\n nonsense', "results.json, line 2, is not JSON"),
        ("results.json", "[1]", "results.json must hold a mapping of metrics to values"),
        ("results.json", b"\xff\xfe", "results.json is not JSON: it is not UTF-8 text"),
        ("config.yaml", "x: 1\na: b: c", "config.yaml, line 2, is not YAML"),
        ("config.yaml", "- a", "config.yaml must hold a mapping of settings to values"),
        ("config.yaml", b"a: \xff", "config.yaml is not YAML"),
        (
            "metrics.csv",
            "epoch,step,val/loss\n0,1,x\n",
            "metrics.csv, line 2: val/loss must be a number, got 'x'",
        ),
    ],
)
def test_a_file_that_cannot_be_understood_is_named_in_one_sentence(
    name: str, text: str | bytes, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken(tmp_path / "run", name, text)
    if name == "metrics.csv":
        (tmp_path / "run/results.json").unlink()
    assert main(["compare", str(tmp_path / "run")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("lit-tasks: error: ")
    assert sentence in line


def test_words_that_name_no_run_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    run = str(write_run(tmp_path / "run"))
    for words, sentence in (
        ([str(tmp_path / "none")], "there is no folder"),
        ([str(tmp_path / "empty")], "is not a run folder and holds none"),
        ([run, "--metrics", "val/acc"], "no run has a metric val/acc; they have val/accuracy"),
        ([run, "--against", "2"], "against must be the number of a run, 1 to 1, got 2"),
        ([run, "--format", "xml"], "invalid choice: 'xml'"),
        ([], "the following arguments are required: runs"),
    ):
        assert main(["compare", *words]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert sentence in line
