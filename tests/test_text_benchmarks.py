"""Scripts beside which our results on texts stand, or that make what a config reads."""

import importlib.util
import shutil
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lit_tasks.data.imdb import ImdbDataModule
from lit_tasks.data.text_files import TextFilesDataModule
from lit_tasks.text.encoding import TextOptions
from lit_tasks.text.vectors import load_vectors

ROOT = Path(__file__).parents[1]
IMDB = ROOT / "tests/fixtures/text/aclImdb"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_peers_read_the_words_and_splits_of_our_data_modules() -> None:
    data = ImdbDataModule(IMDB, text=TextOptions(split="words"), val_fraction=0.25)
    data.setup("fit")
    for split, loader in (("train", data.train_dataloader()), ("val", data.val_dataloader())):
        found = script("peers_text").split_of(data, split)
        batches = list(loader)
        assert len(found.texts) == len(found.labels) == sum(len(b.lengths) for b in batches)
        lengths = sorted(n for b in batches for n in b.lengths.tolist())
        assert sorted(len(text.split()) for text in found.texts) == lengths
        ones = sum(int(b.label.sum()) for b in batches if b.label is not None)
        assert sum(label == data.labels[1] for label in found.labels) == ones


def test_a_peer_learns_what_tells_two_labels_apart(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    path = tmp_path / "texts.txt"
    path.write_text("1 Good , good !\n0 not good\n" * 10, encoding="utf-8")
    peers = script("peers_text")
    data = TextFilesDataModule(train=path, val=path, text=TextOptions(split="words"))
    texts = peers.split_of(data, "val")
    assert set(texts.texts) == {"good , good !", "not good"}
    assert peers.tfidf(texts, 10.0)(texts) == 1
    assert peers.tfidf(texts, 10.0)(texts._replace(labels=["0"] * 20)) == 0.5


def test_vectors_of_imdb_are_of_its_training_reviews_alone(tmp_path: Path) -> None:
    pytest.importorskip("gensim")
    vectors = script("word_vectors")
    for name in ("train", "unsupervised", "test"):
        pq.write_table(pa.table({"text": [f"{name} IT'S"]}), tmp_path / f"{name}-0.parquet")
    files = vectors.without_test(tmp_path)
    vectors.write_words(files, tmp_path / "words.txt")
    assert (tmp_path / "words.txt").read_text() == "train it 's\nunsupervised it 's\n"
    assert vectors.without_test(IMDB) == [IMDB / "train"]
    assert vectors.without_test(IMDB / "test") == [IMDB / "test"]


def test_vectors_are_written_as_an_encoder_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("gensim")
    texts, out = tmp_path / "texts.txt", tmp_path / "vectors.bin"
    texts.write_text("a fine film\na dull film\n" * 10, encoding="utf-8")
    words = ["word_vectors.py", str(texts), "--out", str(out), "--embedding_dim", "4"]
    monkeypatch.setattr("sys.argv", words)
    script("word_vectors").main()
    rows, found = load_vectors(str(out), ["film", "dull", "other"], 4)
    assert found.tolist() == [True, True, False]
    known, _ = load_vectors(str(out), ["a", "fine", "film", "dull"], 4)
    assert np.isclose(known.std(), 0.5, rtol=1e-5)
    assert rows[2].tolist() == [0] * 4


def test_a_mean_of_runs_is_right_where_the_more_certain_one_is(tmp_path: Path) -> None:
    said = {
        "first/0": (("pos", 0.9), ("neg", 0.6)),
        "second/0": (("neg", 0.7), ("pos", 0.8)),
        "second/1": (("pos", 0.7), ("pos", 0.6)),
    }
    for name, rows in said.items():
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "seconds.txt").write_text("2.5\n")
        lines = [
            f"{target},{label},{p}" for target, (label, p) in zip(("pos", "neg"), rows, strict=True)
        ]
        text = "\n".join(["target,prediction,probability", *lines])
        (tmp_path / name / "samples_test.csv").write_text(text + "\n")
    (tmp_path / "second/before.txt").write_text("10.0\n")
    best = script("imdb_best")
    first, second = best.Member("first"), best.Member("second")
    assert best.average([first], tmp_path)["value"] == 1
    assert best.average([second], tmp_path)["value"] == 0
    # 0.9 and 0.3 are positive together, which is right; 0.4 and 0.8 are as well, which is wrong.
    found = best.average([first, second], tmp_path)
    assert found == {"value": 0.5, "interval": [0.0945, 0.9055]}
    # 0.4 four times and 0.8 are negative together.
    heavy = best.Member("first", weight=4)
    assert best.average([heavy, second], tmp_path)["value"] == 1
    # The seeds of one config weigh what one run of another does.
    both = best.Member("second", seeds=2)
    assert best.weighted([both], tmp_path, lambda run: best.said_of_test(run)[0]).tolist() == [
        pytest.approx(0.5),
        pytest.approx(0.7),
    ]
    assert best.Member("second", seeds=2, first=1).runs(tmp_path) == [
        tmp_path / "second/1",
        tmp_path / "second/2",
    ]
    assert best.seconds([heavy, both, second], tmp_path) == 17.5
    assert [str(member) for member in (first, best.Member("second", 2, weight=3))] == [
        "`first`",
        "`second` (2 seeds, weight 3)",
    ]


def test_self_training_adds_the_surest_reviews_without_a_label_to_those_for_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    best = script("imdb_best")
    folder = tmp_path / "imdb"
    shutil.copytree(IMDB, folder)
    (folder / "train/unsup").mkdir()
    for name in ("0_0", "1_0", "2_0"):
        (folder / f"train/unsup/{name}.txt").write_text(f"unlabeled {name}")
    monkeypatch.setattr(best, "probabilities", lambda run, texts: np.array([0.2, 0.45, 0.7]))
    best.label(folder, tmp_path, tmp_path / "out")
    data = ImdbDataModule(folder, val_fraction=0.04)
    rows = pq.read_table(tmp_path / "out/train.parquet").to_pylist()
    assert [(row["text"], row["label"]) for row in rows[-2:]] == [
        ("unlabeled 0_0", "neg"),
        ("unlabeled 2_0", "pos"),
    ]
    assert rows[:-2] == best.labeled(data, "train").to_pylist()
    held_out = pq.read_table(tmp_path / "out/val.parquet").to_pylist()
    assert held_out == best.labeled(data, "val").to_pylist()
    assert not {row["text"] for row in held_out} & {row["text"] for row in rows}
