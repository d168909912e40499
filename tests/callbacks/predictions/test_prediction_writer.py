"""Predictions are the same file on any number of processes, also after an interruption."""

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from cases import Batch, TextClassifier, TextData, trainer
from csv_table import table
from processes import outcomes, run

from lit_tasks.callbacks.predictions.parts import PartFile, finished, write_json, write_merged
from lit_tasks.callbacks.predictions.writer import PredictionWriter

SAMPLES = (1, 2, 5, 7, 153)


class Predicting(TextClassifier):
    """Counts what it predicts, and breaks off where asked."""

    def __init__(self, breaks_at: int | None = None) -> None:
        super().__init__(dtype=torch.float32)
        self.breaks_at, self.predicted = breaks_at, list[int]()

    def predict_step(self, batch: Batch, batch_idx: int) -> list[dict[str, Any]]:
        if self.breaks_at is not None and len(self.predicted) >= self.breaks_at:
            raise InterruptedError("power cut")
        self.predicted += batch.index.tolist()
        rows = super().predict_step(batch, batch_idx)
        return [row | {"words": n} for row, n in zip(rows, batch.lengths.tolist(), strict=True)]


def predict(
    folder: Path, samples: int, breaks_at: int | None = None, batch_size: int = 8, **options: Any
) -> list[int]:
    module = Predicting(breaks_at)
    data = TextData(2, batch_size, evaluated=samples)
    data.predict_ids = [f"text-{i}" for i in range(samples)]
    runner = trainer(callbacks=[PredictionWriter(**options)], default_root_dir=folder)
    runner.predict(module, datamodule=data, return_predictions=False)
    return module.predicted


def predict_all(folder: Path) -> None:
    for n in SAMPLES:
        predict(folder / str(n), n)
        predict(folder / f"{n}-all-digits", n, format="jsonl", digits=None)
        predict(folder / f"{n}-lines", n, format="lines", column="label")


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.slow  # test_every_task compares these files as well
def test_predictions_are_the_same_bytes_on_any_number_of_processes(tmp_path: Path) -> None:
    for world in (1, 2, 3):
        run(world, predict_all, tmp_path / str(world))
    alone = files(tmp_path / "1")
    assert len(alone) == 3 * len(SAMPLES)
    assert files(tmp_path / "2") == files(tmp_path / "3") == alone
    rows = table(tmp_path / "1/153/predictions/predictions.csv")
    assert [row["id"] for row in rows] == [f"text-{i}" for i in range(153)]
    assert list(rows[0]) == ["id", "score", "label", "words"]
    lines = (tmp_path / "1/153-lines/predictions/predictions.txt").read_text().split()
    assert lines == [row["label"] for row in rows]
    assert {"0", "1"} == set(lines)


@pytest.mark.parametrize(("before", "after"), [(1, 1), (2, 2), (2, 1), (1, 3)])
def test_an_interrupted_prediction_goes_on_where_it_stopped(
    tmp_path: Path, before: int, after: int
) -> None:
    run(1, predict, tmp_path / "whole", 153)
    _, failures = outcomes(before, predict, tmp_path / "again", 153, 40)
    assert "power cut" in failures[0]
    folder = tmp_path / "again/predictions"
    assert not (folder / "predictions.csv").exists()
    done = finished(folder / "parts")
    assert len(done) >= 40
    with (folder / "parts/00000.jsonl").open("a") as file:
        file.write('[152, {"score": 0.')  # what a kill leaves
    missing = run(after, predict, tmp_path / "again", 153)
    assert sorted(i for part in missing for i in part) == sorted(set(range(153)) - done)
    assert files(tmp_path / "again") == files(tmp_path / "whole")


def test_parts_of_other_inputs_are_not_used(tmp_path: Path) -> None:
    outcomes(1, predict, tmp_path, 153, 40)
    [predicted] = run(1, predict, tmp_path, 37)
    assert predicted == list(range(37))


def test_rows_are_merged_by_position_and_columns_by_first_use(tmp_path: Path) -> None:
    for name, content in {
        "0": [(3, {"b": [1, 2], "c": None}), (0, {"a": 1 / 3})],
        "1": [(1, {"a": 2.0, "b": "x,y"}), (3, {"b": "twice"})],
    }.items():
        part = PartFile(tmp_path / f"parts/{name}.jsonl")
        part.append([at for at, _ in content], [row for _, row in content])
        part.close()
    write_merged(tmp_path / "parts", tmp_path / "rows.csv", None, None, 3)
    expected = 'id,a,b,c\n0,0.333,,\n1,2.0,"x,y",\n3,,"[1, 2]",\n'
    assert (tmp_path / "rows.csv").read_text() == expected
    write_merged(tmp_path / "parts", tmp_path / "rows.jsonl", ["p", "q", "r", "s"], None, None)
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").open()]
    assert [row["id"] for row in rows] == ["p", "q", "s"]
    assert rows[0]["a"] == 1 / 3
    with pytest.raises(ValueError, match="row 2 has no 'a'; it has"):
        write_merged(tmp_path / "parts", tmp_path / "rows.txt", None, "a", None)
    assert not (tmp_path / "rows.txt").exists()


def test_a_column_belongs_to_lines() -> None:
    with pytest.raises(ValueError, match="got format 'lines' with column None"):
        PredictionWriter(format="lines")


class Careless(TextClassifier):
    def predict_step(self, batch: Batch, batch_idx: int) -> Any:
        return self.answer


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([{"score": 1.0}], "got 1 rows for a batch of 3 samples"),
        ([{"score": torch.ones(1)}], "got a Tensor under 'score'; call .tolist"),
        (torch.ones(3), "must return rows .dicts., got a Tensor"),
    ],
)
def test_rows_that_cannot_be_written_are_named(tmp_path: Path, answer: Any, message: str) -> None:
    module = Careless()
    module.answer = answer
    runner = trainer(callbacks=[PredictionWriter()], default_root_dir=tmp_path)
    with pytest.raises(ValueError, match=message):
        runner.predict(module, datamodule=TextData(3), return_predictions=False)


class Describing(Predicting):
    """Describes texts as if they were COCO's images."""

    json_files: ClassVar = {"captions.json": ("image_id", "caption")}

    def predict_step(self, batch: Batch, batch_idx: int) -> list[dict[str, Any]]:
        rows = super().predict_step(batch, batch_idx)
        numbers = batch.index.tolist()
        return [
            row | {"image_id": 139 + at, "caption": f"a “{at}”"}
            for at, row in zip(numbers, rows, strict=True)
        ]


def describe(folder: Path) -> None:
    runner = trainer(callbacks=[PredictionWriter()], default_root_dir=folder)
    runner.predict(Describing(), datamodule=TextData(2, 2, evaluated=7), return_predictions=False)


def test_cocos_tools_take_the_results_and_they_are_in_order(tmp_path: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    for world in (1, 3):
        run(world, describe, tmp_path / str(world))
    name = "predictions/captions.json"
    assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "3" / name).read_bytes()
    images = [{"id": number} for number in range(139, 146)]
    truth = {"info": {}, "images": images, "annotations": [], "type": "captions"}
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    results = coco.COCO(str(tmp_path / "truth.json")).loadRes(str(tmp_path / "1" / name))
    assert results.getImgIds() == list(range(139, 146))
    found = results.loadAnns(results.getAnnIds())
    assert [(a["image_id"], a["caption"]) for a in found][:2] == [(139, "a “0”"), (140, "a “1”")]
    write_json(tmp_path / "no parts", tmp_path / "none.json", ("image_id", "caption"))
    assert json.loads((tmp_path / "none.json").read_text()) == []
