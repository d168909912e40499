"""The usual names of splits, in any case, and nothing else."""

import pytest

from lit_tasks.data.readers.split_names import split_named, split_of_row


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", "train"),
        ("Training", "train"),
        ("TRAIN ", "train"),
        ("training_set", "train"),
        ("trainset", "train"),
        ("valid", "val"),
        ("Validation", "val"),
        ("dev", "val"),
        (" Val", "val"),
        ("testing", "test"),
        ("EVAL", "test"),
        ("test-data", "test"),
        ("\uff54\uff45\uff53\uff54", "test"),  # full-width letters
        ("ants", None),
        ("trainer", None),
        ("set", None),
        ("data", None),
        ("", None),
        ("True", None),
    ],
)
def test_the_usual_names_stand_for_their_split(name: str, split: str | None) -> None:
    assert split_named(name) == split


def test_an_unknown_name_in_a_table_is_told_with_its_place() -> None:
    assert split_of_row("Valid", "part", "t.csv, line 2") == "val"
    with pytest.raises(ValueError, match=r"t\.csv, line 3: column part is 'True', the name of no"):
        split_of_row("True", "part", "t.csv, line 3")
