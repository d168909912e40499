"""Which files a run removes: a checkpoint that it goes on from may name any."""

from pathlib import Path
from typing import Any

import pytest
import torch

from lit_tasks.__main__ import main
from lit_tasks.cli.checkpoint_io import WholeCheckpoints


def fit(*words: str) -> None:
    assert main(["fit", "--config", "toy.yaml", "--trainer.logger=false", *words]) == 0


@pytest.mark.parametrize("protocol", ["local://", "file://", "", "run/checkpoints/../.."])
def test_a_checkpoint_cannot_name_files_to_remove(protocol: str, tmp_path: Path) -> None:
    """Lightning removes the worst of the best checkpoints; the resumed one says which that is."""
    thesis = tmp_path / "thesis.txt"
    thesis.write_text("precious")
    fit("--run_dir=first", "--trainer.max_epochs=1")
    content: dict[str, Any] = torch.load("first/checkpoints/last.ckpt", weights_only=True)
    name = f"{tmp_path}/{protocol}/thesis.txt" if ".." in protocol else f"{protocol}{thesis}"
    [state] = [s for key, s in content["callbacks"].items() if key.startswith("ModelCheckpoint")]
    state.pop("dirpath")  # Lightning takes the run's own then
    worst = torch.tensor(1e9)
    state |= {"best_k_models": {name: worst}, "kth_best_model_path": name, "kth_value": worst}
    torch.save(content, "evil.ckpt")
    fit("--ckpt_path=evil.ckpt", "--run_dir=run", "--trainer.max_epochs=3")
    assert thesis.read_text() == "precious"
    assert (tmp_path / "run/checkpoints/best.ckpt").is_file()


def test_the_run_s_own_checkpoints_are_removed_also_those_of_before(tmp_path: Path) -> None:
    old, new = tmp_path / "old.ckpt", tmp_path / "new.ckpt"
    WholeCheckpoints().save_checkpoint({}, old)
    files = WholeCheckpoints()
    with pytest.warns(UserWarning, match=r"old\.ckpt is not removed"):
        files.remove_checkpoint(old)
    assert old.is_file()
    files.save_checkpoint({}, new)
    (tmp_path / "folder").mkdir()
    for path in (old, new):
        files.remove_checkpoint(path)
        assert not path.exists()
    with pytest.warns(UserWarning, match="folder is not removed"):
        files.remove_checkpoint(tmp_path / "folder")
    assert (tmp_path / "folder").is_dir()
