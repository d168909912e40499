"""Images and tables in any logger."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from small_runs import TEXTS, fit


def test_tensorboard_gets_images_tables_and_configuration() -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = fit(
        *TEXTS,
        *("--trainer.logger=lightning.pytorch.loggers.TensorBoardLogger",),
        *("--trainer.logger.save_dir=board", "--trainer.max_epochs=2"),
    )
    assert (run / "metrics.csv").is_file()  # beside whatever logger
    (folder,) = {path.parent for path in Path("board").rglob("events.*")}
    events = EventAccumulator(str(folder), size_guidance={"images": 0, "tensors": 0})
    events.Reload()
    assert {"learning_curves", "test/confusion_matrix"} <= set(events.Tags()["images"])
    assert "val/examples/text_summary" in events.Tags()["tensors"]
    (first, *_) = events.Tensors("val/examples/text_summary")
    assert "| sample | text |" in first.tensor_proto.string_val[0].decode()
    assert len(events.Scalars("val/accuracy")) == 2
    settings = yaml.safe_load((folder / "hparams.yaml").read_text())
    assert settings["model.init_args.encoder.init_args.ngrams"] == 2


def test_a_logger_that_shows_nothing_says_so_once(refusal: Callable[..., str]) -> None:
    code = (
        "from lightning.pytorch.loggers import Logger\n"
        "class Numbers(Logger):\n"
        "    name, version = 'numbers', 0\n"
        "    def log_metrics(self, metrics, step=None): pass\n"
        "    def log_hyperparams(self, params, *args, **kwargs): pass\n"
    )
    Path("numbers_logger.py").write_text(code)
    sys.path.insert(0, str(Path.cwd()))
    try:
        with pytest.warns(UserWarning, match="Numbers cannot show") as said:
            fit(*TEXTS, "--trainer.max_epochs=3", "--trainer.logger=numbers_logger.Numbers")
    finally:
        sys.path.pop(0)
    texts = sorted(str(w.message) for w in said if "cannot show" in str(w.message))
    assert [text.partition(":")[0] for text in texts] == [
        "Numbers cannot show images",
        "Numbers cannot show tables",
    ]


def test_mlflow_gets_images_tables_and_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow", reason="heavy, and no part of the dev extra")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    where = Path.cwd() / "flow"
    fit(
        *TEXTS,
        *("--trainer.logger=lightning.pytorch.loggers.MLFlowLogger",),
        *(f"--trainer.logger.tracking_uri=file:{where}", "--trainer.max_epochs=2"),
    )
    found = {str(path.relative_to(path.parents[1])) for path in where.rglob("*") if path.is_file()}
    assert {"figures/learning_curves.png", "figures/test_confusion_matrix.png"} <= found
    assert sum(name.startswith("tables/val_examples") for name in found) == 2
    assert "params/model.init_args.encoder.init_args.ngrams" in found
    assert {"val/accuracy", "test/accuracy"} <= found
