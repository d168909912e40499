"""Several labels a sample, however they are written; what is none is said."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from lit_tasks.data.image_folder import ImageFolderDataModule
from lit_tasks.data.readers.label_lists import (
    check_separator,
    indicators,
    joined_labels,
    rarest,
    several_in,
)
from lit_tasks.data.text_files import TextFilesDataModule

ROWS = [("fine film", ["good"]), ("slow and loud", ["long", "loud"]), ("a film", [])] * 10


@pytest.mark.parametrize(
    ("value", "labels"),
    [
        ("b,a", "a,b"),
        (" b , a ,, b", "a,b"),
        ("", ""),
        ("a", "a"),
        (["b", "a"], "a,b"),
        ([], ""),
        ([1, 2.5, True], "1,2.5,True"),
        ('["b", "a"]', "a,b"),
        ("['b', 'a']", "a,b"),
        ("[]", ""),
        ("('b', 'a')", "a,b"),
        ("('b',)", "b"),
        ("()", ""),
        ("{'b', 'a'}", "a,b"),
        ("set()", ""),
        ("(so so)", "(so so)"),
        ("(1)", "(1)"),
        (3, "3"),
    ],
)
def test_labels_are_joined(value: object, labels: str) -> None:
    assert joined_labels(value, ",") == (labels, "")


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "there is no label; an empty list says that a sample has none"),
        (float("nan"), "there is no label"),
        ([["a"]], "a label is a list, it must be a string or a number"),
        ({"a": 1}, "a label is a dict"),
        ([None], "a label is a NoneType"),
        (["a", float("nan")], "a label is nan, which is no name of a class"),
        (float("inf"), "a label is inf, which is no name"),
        ("{'a': 1}", "begin like a list, and are none"),
        (["a,b", "c"], "the label 'a,b' holds the separator ','; set data.label_separator"),
        ("[a, b", "begin like a list, and are none"),
        ("[" * 10_000, "begin like a list, and are none"),
    ],
)
def test_what_is_no_label_has_a_problem(value: object, problem: str) -> None:
    labels, found = joined_labels(value, ",")
    assert labels == ""
    assert problem in found


def test_a_separator_is_needed() -> None:
    with pytest.raises(ValueError, match="label_separator must not be empty"):
        check_separator("")


def test_sets_become_columns_and_are_split_by_their_rarest_label() -> None:
    sets = [["a"], ["a", "b"], [], ["a", "b", "c"]]
    expected = [[1, 0, 0], [1, 1, 0], [0, 0, 0], [1, 1, 1]]
    assert (
        indicators(sets, {"a": 0, "b": 1, "c": 2}).tolist()
        == torch.tensor(expected).bool().tolist()
    )
    assert rarest(sets) == ["a", "b", "", "c"]


@pytest.mark.parametrize(
    ("labels", "separator"),
    [(["a", "b", "a|b"], "'|'"), (["a", "b", "b; a"], "';'"), (["a", "b", "c", "a,b,c"], "','")],
)
def test_labels_made_of_others_are_doubted(labels: list[str], separator: str) -> None:
    assert several_in(labels).endswith(
        "if a sample may have several, set data.multi_label to true and data.label_separator to "
        + separator
    )
    assert several_in(labels, multi_label=True).endswith(f"set data.label_separator to {separator}")


def test_names_with_commas_are_not_doubted() -> None:
    assert several_in(["red, white", "green", "blue"]) == ""
    assert "are lists" in several_in(["['a', 'b']", "['a']"])
    assert "are lists" in several_in(["('a', 'b')", "('a',)"])


def test_another_separator_is_doubted_where_labels_stand_alone_as_well() -> None:
    said = "set data.label_separator to '|'"
    assert several_in(["long", "loud|long"], multi_label=True).endswith(said)
    assert several_in(["long", "loud|long"]) == ""


# Files of texts


def _jsonl(path: Path) -> None:
    path.write_text("".join(json.dumps({"text": t, "label": x}) + "\n" for t, x in ROWS))


def _csv(path: Path) -> None:
    path.write_text("text,label\n" + "".join(f"{t},{';'.join(x)}\n" for t, x in ROWS))


def _lists_in_csv(path: Path) -> None:
    path.write_text("text,label\n" + "".join(f'{t},"{x}"\n' for t, x in ROWS))


def _parquet(path: Path) -> None:
    texts, labels = zip(*ROWS, strict=True)
    pq.write_table(pa.table({"text": texts, "label": labels}), path)


def _lines(path: Path) -> None:
    rows = (" ".join([*(f"__label__{label}" for label in x), t]) for t, x in ROWS if x)
    path.write_text("\n".join(rows) + "\n")


FILES: dict[str, tuple[Callable[[Path], None], Mapping[str, Any]]] = {
    "a.jsonl": (_jsonl, {}),
    "a.csv": (_csv, {"label_separator": ";"}),
    "lists.csv": (_lists_in_csv, {}),
    "a.parquet": (_parquet, {}),
    "a.txt": (_lines, {}),
}


@pytest.mark.parametrize("name", FILES)
def test_files_with_several_labels_are_read(name: str, tmp_path: Path) -> None:
    write, options = FILES[name]
    write(tmp_path / name)
    files = {"train": tmp_path / name, "val": tmp_path / name, "cache_dir": tmp_path / "cache"}
    data = TextFilesDataModule(**files, multi_label=True, **options, batch_size=100)
    data.setup("fit")
    prefix = "__label__" if name == "a.txt" else ""
    assert data.labels == [f"{prefix}{label}" for label in ("good", "long", "loud")]
    batch = next(iter(data.val_dataloader()))
    expected = [
        [label in x for label in ("good", "long", "loud")] for _, x in ROWS if x or not prefix
    ]
    assert batch.label.tolist() == expected
    assert data.train_class_counts == [10, 10, 10]
    assert data.train_size == len(expected)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("a.jsonl", "line 1: the label is a list, and a text has one label; if a text may have"),
        ("a.parquet", "line 1: the label is a list, and a text has one label; if a text may have"),
        ("a.txt", "line 2: there are several labels (__label__long, __label__loud); one label a"),
    ],
)
def test_several_labels_without_the_option_are_refused_with_the_remedy(
    name: str, sentence: str, tmp_path: Path
) -> None:
    FILES[name][0](tmp_path / name)
    data = TextFilesDataModule(tmp_path / name, cache_dir=tmp_path / "cache")
    with pytest.raises(ValueError, match=r"data\.multi_label to true") as error:
        data.setup("fit")
    assert sentence in str(error.value)


def test_each_label_is_held_out_in_proportion(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows = [(f"text {i}", ["common"] + ["rare"] * (i < 20)) for i in range(200)]
    path.write_text("".join(json.dumps({"text": t, "label": x}) + "\n" for t, x in rows))
    data = TextFilesDataModule(path, cache_dir=tmp_path, multi_label=True, val_fraction=0.2)
    data.setup("fit")
    batches = list(data.val_dataloader())
    assert torch.cat([batch.label for batch in batches]).sum(dim=0).tolist() == [40, 4]


def test_a_label_that_training_did_not_have_is_named(tmp_path: Path) -> None:
    for name, label in (("train", ["a", "b"]), ("test", ["a", "c"])):
        row = json.dumps({"text": "x", "label": label})
        (tmp_path / f"{name}.jsonl").write_text(f"{row}\n" * 30)
    paths = {name: tmp_path / f"{name}.jsonl" for name in ("train", "test")}
    data = TextFilesDataModule(**paths, cache_dir=tmp_path, multi_label=True)
    assert data.labels == ["a", "b"]
    with pytest.raises(ValueError, match=r"the label 'a,c' is not one of 'a', 'b'"):
        data.setup("test")


# Tables of images


def _table(folder: Path, cells: list[str]) -> Path:
    from PIL import Image

    for i, _ in enumerate(cells):
        Image.new("RGB", (8, 8), (i, 0, 0)).save(folder / f"{i}.png")
    table = folder / "table.csv"
    table.write_text("file,label\n" + "".join(f'{i}.png,"{c}"\n' for i, c in enumerate(cells)))
    return table


def test_a_table_of_images_with_several_labels_is_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = _table(tmp_path, ["cat|dog", "dog", "", "['cat']"] * 5)
    data = ImageFolderDataModule(table=table, multi_label=True, label_separator="|")
    with caplog.at_level("INFO"):
        assert data.labels == ["cat", "dog"]
    assert "with several labels" in caplog.text
    found = torch.cat([data._class_indices(split) for split in ("train", "val")])  # type: ignore[misc]
    assert found.sum(dim=0).tolist() == [10, 10]
    assert (~found.any(dim=1)).sum() == 5  # none of the labels
    assert data.train_size == sum(1 for _ in data.images("train").names)


def test_one_label_an_image_is_doubted_where_it_is_made_of_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = _table(tmp_path, ["cat|dog", "dog", "cat"] * 5)
    with caplog.at_level("INFO"):
        assert ImageFolderDataModule(table=table).labels == ["cat", "cat|dog", "dog"]
    assert "set data.multi_label to true and data.label_separator to '|'" in caplog.text


def test_folders_of_classes_have_one_label_an_image(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"multi_label needs data\.table"):
        ImageFolderDataModule(root=tmp_path, multi_label=True)
