"""How well each sample was done, in a file of its own."""

import json

import pytest
from csv_table import table
from small_runs import ROOT, TEXTS, fit


def test_each_test_sample_is_written_with_its_own_id_and_score() -> None:
    run = fit(*TEXTS, "--trainer.logger=false")
    rows, results = table(run / "samples_test.csv"), json.loads((run / "results.json").read_text())
    assert len(rows) == results["test/accuracy"]["samples"]
    for name in ("accuracy", "loss"):
        mean = sum(float(row[name]) for row in rows) / len(rows)
        assert mean == pytest.approx(results[f"test/{name}"]["value"], abs=1e-5)
    reviews = table(ROOT / "tests/fixtures/text/reviews.csv")
    imdb = [row for row in reviews if row["source"] == "imdb"]
    names = {"0": "neg", "1": "pos"}
    for row in rows:  # the id is the row in the file
        label = imdb[int(row["id"])]["label"]
        assert row["target"] == names.get(label, label)
        assert (row["prediction"] == row["target"]) == (row["accuracy"] == "1")
        assert row["text"] == " ".join(imdb[int(row["id"])]["text"].split())[:300]
    assert list(rows[0])[:4] == ["id", "text", "target", "prediction"]
