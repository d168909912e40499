"""How well each sample was done, in a file of its own."""

import json
import math
from pathlib import Path

import pytest
from csv_table import table
from lightning.pytorch import LightningModule, Trainer
from small_runs import ROOT, TEXTS, fit
from torch.utils.data import DataLoader

from lit_tasks.callbacks.per_sample_scores import PerSampleScores


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
        # Of two classes the one with at least half is predicted; the loss is that of the true one.
        probability, loss = float(row["probability"]), float(row["loss"])
        assert 0.5 <= probability <= 1
        of_truth = probability if row["accuracy"] == "1" else 1 - probability
        assert math.exp(-loss) == pytest.approx(of_truth, abs=1e-4)
    assert list(rows[0])[:5] == ["id", "text", "target", "prediction", "probability"]


def test_tables_of_a_task_are_written_when_all_samples_are_there(tmp_path: Path) -> None:
    class Scores(LightningModule):
        def sample_tables(self, stage: str) -> dict[str, list[dict[str, object]]]:
            rows = [{"id": "a,b", "caption": 'a "dog"', "cider_d": 1 / 3}]
            return {"captions": rows, "nothing": []}

        def test_step(self, batch: object, batch_idx: int) -> None:
            return None

    task = Scores()
    trainer = Trainer(
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
        callbacks=[PerSampleScores()],
        accelerator="cpu",
    )
    trainer.test(task, DataLoader(dataset=[0, 1]), verbose=False)
    [written] = tmp_path.rglob("captions_test.csv")
    assert table(written) == [{"id": "a,b", "caption": 'a "dog"', "cider_d": "0.333333"}]
    assert not list(tmp_path.rglob("nothing_*"))
