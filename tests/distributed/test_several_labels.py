"""Texts with several labels get the same predictions and metrics on one and two processes."""

import json
from pathlib import Path

import pytest
from csv_table import table
from processes import run
from test_every_task import ROOT, commands

LABELS = {"good": "fine", "loud": "noise", "long": "slow"}


@pytest.mark.slow  # test_every_task has one label, by the same code
def test_several_labels_are_the_same_on_any_number_of_processes(tmp_path: Path) -> None:
    rows = [
        [label for bit, label in enumerate(LABELS) if number >> bit & 1] for number in range(41)
    ]
    path = tmp_path / "rows.jsonl"
    with path.open("w") as file:
        for number, labels in enumerate(rows):
            text = " ".join(["film", str(number), *(LABELS[label] for label in labels)])
            file.write(json.dumps({"text": text, "label": labels}) + "\n")
    words = ["--config", f"{ROOT}/configs/text_own.yaml", "--trainer.logger=false"]
    words += [f"--data.{split}={path}" for split in ("train", "val", "predict")]
    words += ["--data.multi_label=true", "--data.batch_size=7", f"--data.cache_dir={tmp_path}"]
    words += ["--predictions.probabilities=true", "--figures=null"]
    assert run(2, commands, ("fit", *words, f"--run_dir={tmp_path}/fit")) == [[0], [0]]
    words.append(f"--ckpt_path={tmp_path}/fit/checkpoints/best.ckpt")
    for world in (1, 2):
        stages = [
            (stage, *words, f"--run_dir={tmp_path}/{stage}-{world}")
            for stage in ("validate", "predict")
        ]
        assert run(world, commands, *stages) == [[0, 0]] * world
    one, two = (tmp_path / f"predict-{w}/predictions/predictions.csv" for w in (1, 2))
    assert one.read_bytes() == two.read_bytes()
    found = table(one)
    assert [row["id"] for row in found] == [str(number) for number in range(41)]
    for row in found:
        probable = [label for label in sorted(LABELS) if float(row[f"p_{label}"]) >= 0.5]
        assert row["label"] == ",".join(probable)
    results = [json.loads((tmp_path / f"validate-{w}/results.json").read_text()) for w in (1, 2)]
    for name, entry in results[0].items():
        assert results[1][name]["value"] == pytest.approx(entry["value"], abs=1e-6)
    right = [
        row["label"] == ",".join(sorted(labels)) for row, labels in zip(found, rows, strict=True)
    ]
    assert results[0]["val/subset_accuracy"]["value"] == sum(right) / 41
    one, two = (tmp_path / f"validate-{w}/samples_val.csv" for w in (1, 2))
    assert [row["prediction"] for row in table(one)] == [row["label"] for row in found]
    assert one.read_bytes() == two.read_bytes()
