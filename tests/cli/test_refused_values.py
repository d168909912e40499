"""A wrong value of an option of texts is told what it may be."""

from pathlib import Path

import pytest

from lit_tasks.__main__ import main


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("--data.bad_rows=drop", "bad_rows must be stop or skip, got drop"),
        ("--data.quoting=single", "quoting must be double or none or null, got single"),
        ("--data.train=[a.csv, b.csv]", "train must be path or null, got ['a.csv', 'b.csv']"),
    ],
)
def test_names_and_paths_that_are_wanted_are_listed(
    tmp_path: Path,
    option: str,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["fit", "--config", "text_own", option]) == 2
    assert sentence in capfd.readouterr().err
