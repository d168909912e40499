"""Captioned images from Parquet shards: each once an epoch, with a sentence of its own."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from torchvision.transforms import v2

from lit_tasks.data.caption_scenes import CaptionScenesDataModule
from lit_tasks.data.streamed_captions import StreamedCaptionsDataModule
from lit_tasks.nn.image.preprocessing import Preprocessing

STREAMS = Path("tests/fixtures/streams")


def captions(tmp_path: Path, **arguments: Any) -> StreamedCaptionsDataModule:
    defaults = {"shards": f"{STREAMS}/captions-*.parquet", "cache_dir": tmp_path, "batch_size": 5}
    defaults |= {"val": f"{STREAMS}/captions_val.parquet", "id_column": "image_id"}
    data = StreamedCaptionsDataModule(**{**defaults, **arguments})
    task = SimpleNamespace(preprocessing=Preprocessing(size=8, resize=9))
    data.trainer = SimpleNamespace(lightning_module=task)  # type: ignore[assignment]
    data.setup("fit")
    return data


def said(data: Any, epoch: int) -> list[tuple[float, str]]:
    loader = data.train_dataloader()
    loader.dataset.set_epoch(epoch)
    found = []
    for batch in loader:
        rows = batch.tokens.split(batch.lengths.tolist())
        words = [" ".join(data.vocabulary[n] for n in row.tolist()[1:-1]) for row in rows]
        found += list(zip(batch.image.double().mean((1, 2, 3)).tolist(), words, strict=True))
    return found


@pytest.mark.parametrize("workers", [0, 2])
def test_every_image_comes_once_an_epoch_with_a_sentence_of_its_own(
    tmp_path: Path, workers: int
) -> None:
    data = captions(tmp_path, num_workers=workers)
    scenes = CaptionScenesDataModule(train=12, val=5, test=1, size=32, seed=1)  # of the fixture
    several = [{s.replace(" ,", "") for s in texts} for texts in scenes.references("train")]
    epochs = [said(data, epoch) for epoch in (0, 1, 0)]
    assert epochs[0] == epochs[2] != epochs[1]
    for epoch in epochs:
        left = [text for _, text in epoch]
        assert len(left) == 12
        for texts in several:  # every image's sentences tell it apart, or its twin is there too
            mine = [text for text in left if text in texts]
            assert mine
    images = [sorted(image for image, _ in epoch) for epoch in epochs[:2]]
    assert images[0] == images[1]
    assert {text for _, text in epochs[0]} != {text for _, text in epochs[1]}


def test_the_sentence_and_the_crop_do_not_depend_on_the_worker(tmp_path: Path) -> None:
    options = {"crop": 0.4, "augment": [v2.RandomGrayscale()]}
    seen = [
        sorted(said(captions(tmp_path, num_workers=workers, **options), epoch))
        for workers, epoch in ((0, 0), (2, 0), (0, 1))
    ]
    assert seen[0] == seen[1] != seen[2]


@pytest.mark.parametrize("world", [2, 3, 5])
def test_processes_share_the_images(tmp_path: Path, world: int) -> None:
    rows = captions(tmp_path).train_dataloader().dataset
    found = [sample for rank in range(world) for sample in rows.split_by_process(rank, world)]
    assert sorted(sample[1] for sample in found) == sorted(sample[1] for sample in rows)
    assert len(found) == 12


def test_images_to_validate_have_all_references_and_their_own_ids(tmp_path: Path) -> None:
    data = captions(tmp_path, predict="val", train_references=True)
    batch = next(iter(data.val_dataloader()))
    scenes = CaptionScenesDataModule(train=12, val=5, test=1, size=32, seed=1)
    assert batch.references == scenes.references("val")
    assert batch.image.shape == (5, 3, 8, 8)
    assert data.image_ids("val") == data.predict_ids == [100, 101, 102, 103, 104]
    assert data.predict_files[1].endswith("captions_val.parquet, row 2")
    assert captions(tmp_path, id_column=None).image_ids("val") == [0, 1, 2, 3, 4]
    trained = next(iter(data.train_dataloader()))
    assert {len(several) for several in trained.references} == {5}


def test_rows_that_cannot_be_used_are_named_or_left_out(tmp_path: Path) -> None:
    good = pq.read_table(STREAMS / "captions-0.parquet").to_pylist()
    for change, sentence in (
        ({"captions": []}, r"a\.parquet, row 2: there is no caption, or an empty one, in captions"),
        ({"captions": ["a", " "]}, r"row 2: there is no caption, or an empty one"),
        ({"image": None}, r"a\.parquet, row 2: there are no bytes of an image; correct it, or set"),
        ({"image": {"bytes": b"x", "path": ""}}, r"row 2: the image is not a readable image"),
    ):
        rows = [good[0], {**good[1], **change}, *good[2:]]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
        options: dict[str, Any] = {"shards": str(tmp_path / "a.parquet")}
        with pytest.raises(ValueError, match=sentence):
            captions(tmp_path, **options)
        data = captions(tmp_path, bad_rows="skip", **options)
        assert len(said(data, 0)) == 3
    with pytest.raises(ValueError, match=r"has no column 'texts', only .*_column"):
        captions(tmp_path, caption_column="texts")
    with pytest.raises(ValueError, match=r"set data\.shards to a pattern of Parquet files"):
        captions(tmp_path, shards=None)


def test_one_sentence_a_row_will_do(tmp_path: Path) -> None:
    rows = pq.read_table(STREAMS / "captions-0.parquet").to_pylist()
    single = [{"image": row["image"]["bytes"], "text": row["captions"][0]} for row in rows]
    pq.write_table(pa.Table.from_pylist(single), tmp_path / "b.parquet")
    shards = {"shards": str(tmp_path / "b.parquet"), "val": str(tmp_path / "b.parquet")}
    data = captions(tmp_path, caption_column="text", id_column=None, **shards)
    assert data.references("val") == [[row["text"]] for row in single]
    assert sorted(text for _, text in said(data, 0)) == sorted(row["text"] for row in single)
