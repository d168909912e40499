"""A checkpoint and an input file in an empty folder: nothing else is needed to predict."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from csv_table import table

from lit_tasks.__main__ import main

ROOT = Path(__file__).parents[1]
TEXTS = ["a fine film", "a dull film", "", "nothing that was ever seen"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train on labeled lines with options that have to travel; return the checkpoint alone."""
    folder = tmp_path_factory.mktemp("training")
    lines = [f"good a fine and moving film {n}\nbad a dull and empty film {n}\n" for n in range(30)]
    (folder / "train.txt").write_text("".join(lines))
    words = ["fit", f"--config={ROOT}/configs/text_sentences_lstm.yaml", "--data.val=null"]
    words += [
        f"--data.train={folder}/train.txt",
        "--data.text.max_length=5",
        "--trainer.max_epochs=1",
    ]
    words += ["--model.encoder.vectors=null", "--data.batch_size=8", "--trainer.logger=false"]
    assert main([*words, f"--run_dir={folder}/run"]) == 0
    alone = tmp_path_factory.mktemp("alone") / "model.ckpt"
    shutil.move(folder / "run/checkpoints/best.ckpt", alone)
    shutil.rmtree(folder)
    return alone


def rows(run: str) -> list[dict[str, str]]:
    return table(Path(run, "predictions/predictions.csv"))


@pytest.mark.slow  # starts Python anew and imports everything
def test_a_checkpoint_predicts_in_an_empty_folder(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(checkpoint, "model.ckpt")
    Path("input.csv").write_text("text\n" + "".join(f'"{text}"\n' for text in TEXTS if text))
    command = [sys.executable, "-m", "lit_tasks", "predict", "--ckpt_path", "model.ckpt"]
    command += ["--data.predict=input.csv", "--run_dir=out", "--trainer.logger=false"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = rows("out")
    assert [row["id"] for row in found] == ["0", "1", "2"]
    assert all(row["label"] in ("good", "bad") for row in found)
    assert sorted(os.listdir(".")) == ["input.csv", "model.ckpt", "out"]


def test_the_text_settings_travel_and_a_flag_wins_over_them(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    long = "a fine and moving film but a dull and empty film"
    Path("input.txt").write_text(f"{long}\n{' '.join(long.split()[:5])}\n")
    words = ["predict", f"--ckpt_path={checkpoint}", "--data.predict=input.txt"]
    words += ["--trainer.logger=false"]
    assert main([*words, "--run_dir=stored"]) == 0
    first, second = (row["probability"] for row in rows("stored"))
    assert first == second  # max_length 5 came with the checkpoint
    assert main([*words, "--run_dir=flag", "--data.text.max_length=100"]) == 0
    first, second = (row["probability"] for row in rows("flag"))
    assert first != second


def test_a_checkpoint_holds_plain_values_only(checkpoint: Path) -> None:
    content = torch.load(checkpoint, weights_only=True)
    assert content["TextFilesDataModule"]["labels"] == ["bad", "good"]
