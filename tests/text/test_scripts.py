"""When n-grams of characters stand in for words."""

import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lit_tasks.text.scripts import needs_characters
from lit_tasks.text.tokenizer import Tokenizer
from lit_tasks.text.vocabulary import Vocabulary

WORDS = {
    "Chinese": [
        "电影",
        "故事",
        "演员",
        "导演",
        "昨天",
        "很",
        "的",
        "觉得",
        "今天",
        "我们",
        "非常",
        "喜欢",
    ],
    "Japanese": [
        "この",
        "映画",
        "は",
        "とても",
        "面白い",
        "俳優",
        "が",
        "昨日",
        "見た",
        "物語",
        "でした",
        "ます",
    ],
    "Thai": ["หนัง", "เรื่อง", "นี้", "สนุก", "มาก", "นักแสดง", "เมื่อวาน", "เรา", "ดู", "ที่", "บ้าน", "ชอบ"],
    "English": [
        "the",
        "film",
        "was",
        "so",
        "good",
        "that",
        "we",
        "saw",
        "it",
        "again",
        "last",
        "night",
    ],
}


def texts(language: str, between: str, number: int = 200) -> list[str]:
    draw = random.Random(0)
    return [between.join(draw.choices(WORDS[language], k=8)) for _ in range(number)]


def needs(texts: list[str]) -> bool:
    words = Tokenizer()(pa.array(texts)).flatten()
    return needs_characters(pa.Table.from_struct_array(words.value_counts()), len(texts))


@pytest.mark.parametrize("language", WORDS)
def test_sentences_without_spaces_need_characters_and_others_do_not(language: str) -> None:
    assert needs(texts(language, ""))
    assert not needs(texts(language, " "))
    if language != "English":
        mixed = [f"the film {text} !" for text in texts(language, "", 60)]
        assert needs(mixed + texts("English", " ", 60))


def test_names_need_characters_and_labels_of_a_few_words_do_not() -> None:
    draw = random.Random(0)
    names = ["".join(draw.choices("aeioulmnrst", k=7)) for _ in range(60)]
    assert needs(names)
    assert not needs(names[:20])  # too few to tell
    assert not needs(["good", "bad"] * 40)
    assert not needs(["", "!!!"] * 40)


@given(st.lists(st.text("ab \0é電\u0301😀", max_size=9), max_size=5))
def test_character_ngrams_are_all_of_one_to_three_characters(lines: list[str]) -> None:
    wanted = []
    for line in lines:
        grams = []
        for word in line.replace("\0", " ").split():
            grams += [
                word[i : i + n] for i in range(len(word)) for n in (1, 2, 3) if i + n <= len(word)
            ]
        wanted.append(grams)
    assert Tokenizer("characters")(pa.array(lines, pa.string())).to_pylist() == wanted


def test_counts_of_pieces_are_those_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    from datasets import Dataset

    from lit_tasks.data.cache import token_ids

    lines = [line.split() for line in texts("English", " ", 50)]
    data = Dataset(pa.table({"words": pa.chunked_array([lines[:20], lines[20:21], lines[21:]])}))
    rows = np.array([3, 49, 20, 21, 7])
    wanted = Vocabulary.count(pa.array([word for row in rows for word in lines[row]]))
    for at_once in (1, 10**6):
        monkeypatch.setattr(token_ids, "_COUNTED_AT_ONCE", at_once)
        assert Vocabulary.of_counts(token_ids.word_counts(data, rows)).words == wanted.words
