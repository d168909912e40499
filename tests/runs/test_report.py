"""One HTML page about a run, or several: what it holds, what it refuses, how it looks."""

import csv
import json
import math
import os
import re
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest
from browser import browser
from PIL import Image
from test_compare import write_run

from lit_tasks.__main__ import main
from lit_tasks.runs.report.line_chart import line_chart
from lit_tasks.runs.report.page import MARK

EVIL = "<script>alert(1)</script>"
VOID = {"meta", "link", "img", "br", "line", "polyline", "circle"}


class Balance(HTMLParser):
    """Collects the tags and the text of a page; every tag that opens has to close."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def full_run(folder: Path, label: str = "ant") -> Path:
    run = write_run(folder, right=[1, 0, 1, 0])
    rows = ["id,target,accuracy,loss,prediction"]
    rows += [f"{n},{label},{n % 2},{n / 10},bee" for n in range(8)]
    (run / "samples_val.csv").write_text("\n".join(rows) + "\n")
    (run / "samples_test.csv").unlink()
    examples = ["epoch,step,sample,text,label", "0,9,0,answer-of-epoch-0,bee"]
    examples += [f"1,19,0,{EVIL},bee", "1,19,1,fine,ant"]
    (run / "examples.csv").write_text("\n".join(examples) + "\n")
    (run / "environment.json").write_text(json.dumps({"python": "3.11", "torch": "2.9"}))
    (run / "figures").mkdir()
    Image.new("RGB", (40, 30), "red").save(run / "figures/val_reliability.png")
    Image.effect_noise((2000, 1500), 90).save(run / "figures/val_large.png")
    (run / "figures/val_broken.png").write_bytes(b"no image")
    return run


def page_of(*words: str, path: Path) -> Balance:
    assert main(["report", *words]) == 0
    page = path.read_text(encoding="utf-8")
    assert page.startswith(MARK)
    return Balance(page)


def test_a_page_holds_everything_about_a_run(tmp_path: Path) -> None:
    run = full_run(tmp_path / "run")
    page = page_of(str(run), path=run / "report.html")
    for said in ("val/accuracy", "0.9000", "0.8500 – 0.9500", "Learning curves", "Examples"):
        assert said in page.text
    assert "val: 4 wrong in all" in page.text
    assert "answer-of-epoch-0" not in page.text  # an earlier epoch's example
    assert "val: true \\ predicted" in page.text
    assert "python" in page.text
    assert "model.init_args.optimizer.class_path" in page.text
    assert "1 more lie in the run folder" in page.text  # the broken one
    images = [attributes["src"] for tag, attributes in page.tags if tag == "img"]
    assert [str(source)[:16] for source in images] == ["data:image/jpeg;", "data:image/png;b"]
    assert (run / "report.html").stat().st_size < 1_000_000
    assert sum(tag == "svg" for tag, _ in page.tags) == 2


def test_the_most_certain_mistakes_come_first(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    rows = ["id,text,target,prediction,probability,accuracy,loss"]
    rows += [f"{n},said-{n},ant,bee,{0.4 + n / 100},0,{9 - n / 10}" for n in range(30)]
    rows += ["30,right-one,ant,ant,0.99,1,0.01"]
    (run / "samples_test.csv").write_text("\n".join(rows) + "\n")
    page = page_of(str(run), path=run / "report.html")
    assert "test: 30 wrong in all, those of the largest probability first" in page.text
    shown = re.findall(r"said-(\d+)", page.text)
    assert [int(n) for n in shown] == list(range(29, 9, -1))
    assert "right-one" not in page.text
    assert "0.69" in page.text


def captions(run: Path, scores: list[float], references: str = '["of a person", "b"]') -> None:
    lines = [["image_id", "caption", "references", "bleu4", "cider_d", "rouge_l"]]
    lines += [
        [f"{n}.jpg", f"said {n}", references, "0", f"{s}", "0.5"] for n, s in enumerate(scores)
    ]
    with (run / "captions_val.csv").open("w", newline="") as file:
        csv.writer(file).writerows(lines)


def test_the_best_and_the_worst_captions_stand_in_tables(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    captions(run, [(n * 7) % 30 / 10 for n in range(30)])
    page = page_of(str(run), path=run / "report.html")
    shown = [int(n) * 7 % 30 for n in re.findall(r"(\d+)\.jpg", page.text)]
    assert shown == [*range(29, 19, -1), *range(10)]
    assert page.text.count("of a person") == 20
    captions(run, [0.5])
    page = page_of(str(run), path=run / "report.html")
    assert page.text.count("0.jpg") == 1


@pytest.mark.parametrize("references", ["", "[", "{}", "[]", "3", "[" * 50_000, "[1]"])
def test_references_that_are_no_list_are_left_out(tmp_path: Path, references: str) -> None:
    run = write_run(tmp_path / "run")
    captions(run, [0.5, math.nan, 0.1], references)
    page = page_of(str(run), path=run / "report.html")
    assert "said 2" in page.text


def test_nothing_that_a_file_holds_becomes_part_of_the_page(tmp_path: Path) -> None:
    run = full_run(tmp_path / EVIL.replace("/", ""), label=f'"{EVIL}\x1b[2J"')
    results = json.loads((run / "results.json").read_text())
    results[f"val/{EVIL}"] = {"value": 1.0}
    (run / "results.json").write_text(json.dumps(results))
    page = page_of(str(run), path=run / "report.html")
    assert EVIL in page.text  # as words
    assert "\x1b" not in page.text
    assert "script" not in {tag for tag, _ in page.tags}
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)


def test_no_request_leaves_the_page(tmp_path: Path) -> None:
    run = full_run(tmp_path / "run")
    page = page_of(str(run), path=run / "report.html")
    for _, attributes in page.tags:
        for name in ("src", "href"):
            assert str(attributes.get(name, "data:")).startswith("data:")
    [policy] = [a for tag, a in page.tags if tag == "meta" and "http-equiv" in a]
    assert str(policy["content"]).startswith("default-src 'none'")
    assert "url(" not in (run / "report.html").read_text()


def test_several_runs_stand_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "runs/a", lr=0.1, accuracy=0.8, right=[0, 1, 1])
    write_run(tmp_path / "runs/b", lr=0.2, accuracy=0.9, right=[1, 1, 1])
    page = page_of("runs", "--by", "val/accuracy", path=Path("report.html"))
    assert "2 runs" in page.text
    assert "best by val/accuracy: run 1 (b) with lr=0.2" in page.text
    assert "test/accuracy minus that of run 1, on the same 3 samples" in page.text
    names = {attributes.get("class") for tag, attributes in page.tags if tag == "polyline"}
    assert names == {"c0", "c1"}


def test_a_run_without_anything_has_a_page(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("seed_everything: 0\n")
    page = page_of(str(tmp_path), path=tmp_path / "report.html")
    assert "There are no results yet." in page.text


def test_an_older_report_is_replaced_and_another_file_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "run")
    mine = tmp_path / "mine.html"
    assert main(["report", str(run), "--output", str(mine)]) == 0
    assert main(["report", str(run), "--output", str(mine)]) == 0
    mine.write_text("<p>my own words</p>")
    capsys.readouterr()
    assert main(["report", str(run), "--output", str(mine)]) == 2
    assert "is there and is no report" in capsys.readouterr().err
    assert mine.read_text() == "<p>my own words</p>"
    assert main(["report", str(tmp_path / "nothing")]) == 2


def test_a_damaged_file_is_named_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "run")
    (run / "environment.json").write_text("[1]")
    assert main(["report", str(run)]) == 2
    assert "environment.json must hold a mapping" in capsys.readouterr().err
    assert not (run / "report.html").exists()


def test_it_takes_no_framework_and_less_than_two_seconds(tmp_path: Path) -> None:
    run = full_run(tmp_path / "run")
    code = (
        f"import sys; from lit_tasks.__main__ import main; main(['report', {str(run)!r}]);"
        "sys.exit(any(m in sys.modules for m in ('torch', 'lightning', 'matplotlib', 'wandb')))"
    )
    before = os.times()
    done = subprocess.run([sys.executable, "-c", code], check=False)
    after = os.times()
    assert done.returncode == 0
    assert after.children_user - before.children_user < 2


def test_a_curve_is_broken_where_it_is_no_number() -> None:
    points = [(0.0, 1.0), (1.0, 2.0), (2.0, math.nan), (3.0, 4.0), (4.0, math.inf), (5.0, 3.0)]
    chart = line_chart("loss", {"a": points}, "epoch", {"a": 0})
    assert chart is not None
    [(_, _, pieces)] = chart.lines
    assert [len(piece.split()) for piece in pieces] == [2, 1, 1]
    assert "a ends at 3" in chart.summary
    assert line_chart("loss", {"a": [(0.0, math.nan)]}, "epoch", {"a": 0}) is None


@pytest.mark.parametrize("values", [[0.5], [0.5, 0.5], [0.0, 0.0], [1e-9, 3e-9], [-1e6, 1e6]])
def test_every_point_and_mark_is_within_the_frame(values: list[float]) -> None:
    points = [(float(n), value) for n, value in enumerate(values)]
    chart = line_chart("x", {"a": points}, "epoch", {"a": 0})
    assert chart is not None
    [(_, _, pieces)] = chart.lines
    for place in " ".join(pieces).split():
        x, y = map(float, place.split(","))
        assert chart.left - 0.1 <= x <= chart.right + 0.1
        assert chart.top - 0.1 <= y <= chart.bottom + 0.1
    assert all(chart.top - 0.1 <= y <= chart.bottom + 0.1 for y, _ in chart.y_ticks)
    assert len(chart.y_ticks) >= 2


def test_a_long_curve_is_thinned_to_its_last_point() -> None:
    points = [(float(n), float(n)) for n in range(10_000)]
    chart = line_chart("x", {"a": points}, "epoch", {"a": 0})
    assert chart is not None
    [(_, _, [piece])] = chart.lines
    assert len(piece.split()) <= 402
    assert piece.split()[-1].startswith(f"{chart.right:.1f},")


def look(page: Path, width: int, *options: str) -> subprocess.CompletedProcess[str]:
    words = ["--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},900"]
    words += ["--enable-logging=stderr", f"--user-data-dir={page.parent}/profile", *options]
    return subprocess.run(
        [browser(), *words, page.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )


@pytest.mark.slow  # starts a browser three times
def test_a_browser_shows_the_page_whole_and_quietly(tmp_path: Path) -> None:
    run = full_run(tmp_path / "run", label="a-class-with-a-very-long-name" * 3)
    assert main(["report", str(run)]) == 0
    page = run / "report.html"
    log = tmp_path / "net.json"
    done = look(page, 1200, f"--log-net-log={log}", f"--screenshot={tmp_path}/page.png")
    assert "CONSOLE" not in done.stderr
    assert re.findall(r'"url":"(https?://[^"]*report[^"]*)"', log.read_text()) == []
    assert len(Image.open(tmp_path / "page.png").convert("RGB").getcolors(10**7) or []) > 50
    # What no style sheet tells: whether something is wider than the window, or is cut.
    probe = """<script>
const wide = [...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll')
  && e.getBoundingClientRect().right > document.documentElement.clientWidth + 1);
const cut = [...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth
  && getComputedStyle(e).overflowX !== 'auto');
document.title = `wide ${wide.length} cut ${cut.length}`;
</script>"""
    probed = tmp_path / "probed.html"
    for width in (500, 1200):
        text = re.sub(r"<meta http-equiv[^>]*>", "", page.read_text(encoding="utf-8"))
        probed.write_text(text.replace("</body>", f"{probe}</body>"), encoding="utf-8")
        found = look(probed, width, "--dump-dom").stdout
        assert "<title>wide 0 cut 0</title>" in found


def test_the_page_is_quick_for_a_long_run(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    lines = ["epoch,step,train/loss,val/loss"]
    lines += [f"{n // 100},{n},{1 / (n + 1)},{2 / (n + 1)}" for n in range(20_000)]
    (run / "metrics.csv").write_text("\n".join(lines) + "\n")
    began = time.process_time()
    page_of(str(run), path=run / "report.html")
    assert time.process_time() - began < 2
    assert (run / "report.html").stat().st_size < 200_000
