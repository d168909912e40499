"""What `text_own` makes of small sets and of scripts without spaces."""

import csv
import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from lit_tasks.__main__ import main
from lit_tasks.data.imdb import ImdbDataModule
from lit_tasks.data.text_files import TextFilesDataModule

# Words of one label, of the other, and of both.
Words = tuple[Sequence[str], Sequence[str], Sequence[str]]
ENGLISH: Words = (
    ["wonderful", "lovely", "delightful", "superb", "great"],
    ["dull", "dreadful", "awful", "terrible", "boring"],
    "the a an and on in that was we saw with night monday town film plot actor".split(),  # noqa: SIM905
)
UNSPACED: dict[str, Words] = {
    "Chinese": (
        ["精彩", "好看", "感人", "出色", "喜欢"],
        ["无聊", "难看", "糟糕", "失望", "讨厌"],
        ["电影", "故事", "演员", "导演", "昨天", "很", "的", "觉得", "今天", "我们"],
    ),
    "Thai": (
        ["สนุก", "ยอดเยี่ยม", "ประทับใจ", "ชอบมาก", "สวยงาม"],
        ["น่าเบื่อ", "แย่มาก", "ผิดหวัง", "ไม่ชอบ", "เลวร้าย"],
        ["หนัง", "เรื่อง", "นี้", "นักแสดง", "เมื่อวาน", "เรา", "ดู", "ที่", "บ้าน", "กับ"],
    ),
    "Japanese": (
        ["面白い", "素晴らしい", "感動的", "最高", "楽しい"],
        ["つまらない", "最悪", "退屈", "残念", "ひどい"],
        ["この", "映画", "は", "とても", "俳優", "が", "昨日", "見た", "物語", "でした"],
    ),
}


def write(path: Path, words: Words, between: str, rows: int, seed: int) -> Path:
    """Write texts of eight words, one to three of which tell the label."""
    draw = random.Random(seed)
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["text", "label"])
        for row in range(rows):
            text = draw.choices(words[2], k=8)
            for place in draw.sample(range(8), draw.randint(1, 3)):
                text[place] = draw.choice(words[row % 2])
            table.writerow([between.join(text), ("pos", "neg")[row % 2]])
    return path


def accuracy(folder: Path, train: Path, test: Path, seed: int) -> float:
    words = ["fit", "--config=text_own", f"--data.train={train}", f"--data.test={test}"]
    words += ["--test=true", f"--run_dir={folder}/run", f"--seed_everything={seed}"]
    words += [f"--data.seed={seed}", f"--data.cache_dir={folder}/cache", "--trainer.logger=false"]
    assert main(words) == 0
    results = json.loads((folder / "run" / "results.json").read_text())
    return float(results["test/accuracy"]["value"])


@pytest.mark.slow  # ten fits
@pytest.mark.parametrize("seed", range(10))
def test_sixty_texts_are_enough_whatever_the_seed(tmp_path: Path, seed: int) -> None:
    train = write(tmp_path / "train.csv", ENGLISH, " ", rows=60, seed=seed)
    test = write(tmp_path / "test.csv", ENGLISH, " ", rows=400, seed=1000 + seed)
    assert accuracy(tmp_path, train, test, seed) >= 0.95


@pytest.mark.slow  # three fits
@pytest.mark.parametrize("language", UNSPACED)
def test_texts_without_spaces_are_told_apart(tmp_path: Path, language: str) -> None:
    train = write(tmp_path / "train.csv", UNSPACED[language], "", rows=600, seed=0)
    test = write(tmp_path / "test.csv", UNSPACED[language], "", rows=400, seed=1)
    assert accuracy(tmp_path, train, test, seed=0) >= 0.98


@pytest.mark.parametrize("language", [*UNSPACED, "English"])
def test_the_choice_of_characters_is_said_once_and_travels(
    tmp_path: Path, language: str, caplog: pytest.LogCaptureFixture
) -> None:
    words = UNSPACED.get(language, ENGLISH)
    path = write(tmp_path / "a.csv", words, "" if language in UNSPACED else " ", rows=100, seed=0)
    data = TextFilesDataModule(train=path, cache_dir=tmp_path)
    with caplog.at_level("INFO"):
        data.setup("fit")
    said = [text for text in caplog.messages if "n-grams of characters are counted" in text]
    assert len(said) == (language in UNSPACED)
    assert data.text.split == ("characters" if language in UNSPACED else "words")
    torch.save(data.state_dict(), tmp_path / "state.pt")
    other = ImdbDataModule(predict=path, cache_dir=tmp_path)
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    [first, *_] = other.predict_dataloader()
    [same, *_] = data.val_dataloader()
    assert len(other._set("predict")) == 100
    known = {*same.tokens.tolist(), *first.tokens.tolist()} - {0}
    assert len(known) > len(words[0]) + len(words[1])
    assert not (first.tokens == 0).all()
