"""The usual names of splits, in any case, and nothing else."""

import pytest

from lit_tasks.data.readers.split_names import (
    holds_split,
    split_columns,
    split_named,
    split_of_row,
)


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
        ("train2017", "train"),
        ("val_images", "val"),
        ("images-test", "test"),
        ("1_train", "train"),
        ("train.", "train"),
        ("restval", "train"),
        ("seg_train", None),
        ("train-val", None),
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


def test_a_name_is_seen_to_be_made_of_that_of_a_split() -> None:
    assert all(map(holds_split, ("seg_train", "x-test", "trainval", "Val 2", "dev")))
    assert not any(map(holds_split, ("ants", "trainer", "contest", "validity", "")))


def test_a_column_of_splits_is_one_whose_cells_all_name_splits() -> None:
    rows = [
        {"a": "train", "b": "train", "c": "train", "d": "Train"},
        {"a": "val", "b": "x", "c": "train", "d": "dev"},
    ]
    assert split_columns(rows, ["a", None]) == ["d"]
    assert split_columns([], []) == []
