"""A config is named by its file, or by its name where the package ships it."""

from pathlib import Path

import pytest

from lit_tasks import bundled_configs
from lit_tasks.__main__ import main


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("word", ["quickstart", "quickstart.yaml", "configs/quickstart.yaml"])
def test_a_name_finds_the_shipped_config_where_there_is_no_such_file(word: str) -> None:
    assert bundled_configs.found(Path(word)) == bundled_configs.FOLDER / "quickstart.yaml"
    assert bundled_configs.found(Path(word)).is_file()


@pytest.mark.parametrize("word", ["quickstart.yaml", "configs/quickstart.yaml", "quickstart"])
def test_a_file_of_ones_own_comes_before_a_shipped_one(word: str) -> None:
    Path("configs").mkdir()
    Path(word).touch()
    assert bundled_configs.found(Path(word)) == Path(word)


@pytest.mark.parametrize(
    "word", ["elsewhere/quickstart.yaml", "quickstart.yml", "sweeps/quickstart.yaml", "no", ""]
)
def test_any_other_path_stays_what_it_is(word: str) -> None:
    assert bundled_configs.found(Path(word)) == Path(word)


def test_sweeps_are_found_among_sweeps() -> None:
    sweep = bundled_configs.FOLDER / "sweeps" / "quickstart.yaml"
    for word in ("quickstart", "configs/sweeps/quickstart.yaml"):
        assert bundled_configs.found(Path(word), "sweeps") == sweep


@pytest.mark.parametrize(
    ("word", "answer"),
    [
        ("quikstart", "there is no config file quikstart; did you mean 'quickstart'?"),
        ("configs/quikstart.yaml", "configs/quikstart.yaml; did you mean 'quickstart.yaml'?"),
        ("text_imdb_lstn.yaml", "did you mean 'text_imdb_lstm.yaml'?"),
    ],
)
def test_a_name_that_is_nearly_right_is_answered_with_the_right_one(
    word: str, answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", "--config", word, "--trainer.logger=false"]) == 1
    assert answer in capsys.readouterr().err


def test_an_unknown_sweep_is_answered_with_those_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["sweep", "nothing"]) == 2
    assert "nothing; give one of yours, or quickstart, text_" in capsys.readouterr().err
