"""Streams from Parquet shards: every row once, ordered by seed and epoch alone, faults named."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torchvision.transforms import v2

from lit_tasks.data.base.images import ImageDataModule
from lit_tasks.data.streamed_images import StreamedImagesDataModule
from lit_tasks.data.streamed_texts import StreamedTextsDataModule

STREAMS = Path("tests/fixtures/streams")
HELD_OUT = Path("tests/fixtures/text/sentences_held_out.txt")


def texts(tmp_path: Path, **arguments: Any) -> StreamedTextsDataModule:
    defaults = {"shards": f"{STREAMS}/texts-*.parquet", "val": HELD_OUT, "cache_dir": tmp_path}
    data = StreamedTextsDataModule(**{"batch_size": 7, **defaults, **arguments})
    data.setup("fit")
    return data


def images(tmp_path: Path, **arguments: Any) -> StreamedImagesDataModule:
    defaults = {"shards": f"{STREAMS}/images-*.parquet", "cache_dir": tmp_path, "batch_size": 5}
    defaults["val"] = f"{STREAMS}/images_val.parquet"
    return StreamedImagesDataModule(**{**defaults, **arguments})


def spelled(data: StreamedTextsDataModule, batches: Any) -> list[tuple[str, str]]:
    found = []
    for batch in batches:
        for text, label in zip(
            batch.tokens.split(batch.lengths.tolist()), batch.label, strict=True
        ):
            words = " ".join(data.vocabulary[number] for number in text.tolist())
            found.append((words, data.labels[int(label)]))
    return found


def written(folder: Path, rows: dict[str, list[Any]], name: str = "a.parquet") -> str:
    pq.write_table(pa.table(rows), folder / name)
    return str(folder / name)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stream_gives_every_text_once_with_its_label(tmp_path: Path, workers: int) -> None:
    data = texts(tmp_path, num_workers=workers)
    expected = [
        (text, label)
        for label, text in (
            line.split(" ", 1)
            for line in Path("tests/fixtures/text/sentences.txt").read_text().splitlines()
        )
    ]
    assert sorted(spelled(data, data.train_dataloader())) == sorted(expected)


def test_the_order_is_another_one_each_epoch_and_the_same_each_time(tmp_path: Path) -> None:
    orders = []
    for epoch in (0, 1, 0):
        data = texts(tmp_path)
        loader = data.train_dataloader()
        loader.dataset.set_epoch(epoch)
        orders.append(spelled(data, loader))
    assert orders[0] == orders[2] != orders[1]


@pytest.mark.parametrize("world", [2, 3, 5])
def test_processes_share_the_rows(tmp_path: Path, world: int) -> None:
    data = texts(tmp_path)
    rows = data.train_dataloader().dataset
    found = [row["text"] for rank in range(world) for row in rows.split_by_process(rank, world)]
    assert sorted(found) == sorted(row["text"] for row in rows)
    assert len(found) == 40


def test_an_image_is_cut_alike_on_any_worker_and_anew_each_epoch(tmp_path: Path) -> None:
    seen = []
    for epoch, workers in ((0, 0), (0, 2), (1, 0)):
        data = images(tmp_path, crop=0.3, augment=[v2.RandomHorizontalFlip()], num_workers=workers)
        loader = data.train_dataloader()
        loader.dataset.set_epoch(epoch)
        total = torch.cat([batch.image for batch in loader]).float().flatten(1).std(1)
        seen.append(sorted(total.tolist()))
        assert len(total) == 12
    assert seen[0] == seen[1] != seen[2]
    state = torch.get_rng_state()
    assert len(list(loader.dataset)) == 12
    assert torch.equal(torch.get_rng_state(), state)


def test_images_of_shards_are_those_of_the_files(tmp_path: Path) -> None:
    """The oracle is the folder that the shards were made of."""
    from lit_tasks.data.image_folder import ImageFolderDataModule

    folder = ImageFolderDataModule(root=Path("tests/fixtures/images"), batch_size=100)
    found: list[list[tuple[float, str]]] = []
    modules: tuple[ImageDataModule, ...] = (images(tmp_path), folder)
    for data in modules:
        data.setup("fit")
        pairs = []
        for loader in (data.train_dataloader(), data.val_dataloader()):
            for batch in loader:
                names = [data.labels[number] for number in batch.label]
                pairs += list(
                    zip(batch.image.double().mean((1, 2, 3)).tolist(), names, strict=True)
                )
        found.append(sorted(pairs))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"text": ["good", ""], "label": [1, 0]}, "row 2: the text is empty"),
        ({"text": ["good", "bad", "odd"], "label": [1, 0, 7]}, "row 3: the label '7' is not one"),
    ],
)
def test_a_row_of_text_that_cannot_be_used_is_named_or_counted(
    tmp_path: Path, rows: dict[str, list[Any]], message: str
) -> None:
    good = written(tmp_path, {"text": ["good", "bad"] * 3, "label": [1, 0] * 3}, "0.parquet")
    data = texts(tmp_path / "cache", shards=good, buffer=1)
    state = data.state_dict()
    shard = written(tmp_path, rows)
    for bad_rows in ("stop", "skip"):
        data = StreamedTextsDataModule(
            shards=shard, val=HELD_OUT, bad_rows=bad_rows, cache_dir=tmp_path / "cache", buffer=1
        )
        data.load_state_dict(state)
        if bad_rows == "stop":
            with pytest.raises(ValueError, match=f"{shard}, {message}.*bad_rows to skip"):
                list(data.train_dataloader())
        else:
            assert len(spelled(data, data.train_dataloader())) == len(rows["text"]) - 1


def test_an_image_that_cannot_be_read_is_named_or_left_out(tmp_path: Path) -> None:
    table = pq.read_table(STREAMS / "images-0.parquet")
    first, *rest = table["image"].to_pylist()
    rows = [first["bytes"], first["bytes"][:700], b"", *(row["bytes"] for row in rest)]
    labels = ["a", "b", "a", *("b" for _ in rest)]
    shard = written(tmp_path, {"image": rows, "label": labels})
    data = images(tmp_path / "cache", shards=shard, first_rows=2, buffer=1)
    with pytest.raises(ValueError, match=r"a\.parquet, row 2: the image is not a readable image"):
        list(data.train_dataloader())
    data = images(tmp_path / "cache", shards=shard, bad_rows="skip", buffer=1)
    assert sum(len(batch.index) for batch in data.train_dataloader()) == len(rows) - 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: "nowhere/*.parquet", "there is no file nowhere"),
        (lambda folder: written(folder, {"body": ["a"]}), "has no column 'text', only 'body'"),
        (lambda folder: str(HELD_OUT), "is not a readable Parquet file"),
    ],
)
def test_shards_that_cannot_be_read_are_named(tmp_path: Path, make: Any, message: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        texts(tmp_path / "cache", shards=make(tmp_path))


def test_a_stream_wants_a_file_to_validate_on(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no automatic validation split.*data\.val"):
        texts(tmp_path, val=None)
    with pytest.raises(ValueError, match=r"set data\.val to a pattern"):
        images(tmp_path, val=None).setup("fit")


def test_texts_of_a_stream_may_have_several_labels(tmp_path: Path) -> None:
    rows = {"text": [f"film {i}" for i in range(6)], "label": [["a"], ["b", "a"], [], ["c"]]}
    rows["label"] += [["a"], ["c", "b"]]
    path = written(tmp_path, rows)
    data = texts(tmp_path, shards=path, val=path, multi_label=True)
    assert data.labels == ["a", "b", "c"]
    found = {}
    for batch in data.train_dataloader():
        found |= dict(zip(batch.index.tolist(), batch.label.tolist(), strict=True))
    assert found == {i: [x in given for x in "abc"] for i, given in enumerate(rows["label"])}
    with pytest.raises(ValueError, match=r"the label is a list.*set data\.multi_label to true"):
        texts(tmp_path, shards=path, val=path)
