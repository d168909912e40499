"""Words of captions are those of the Java tokenizer that coco-caption runs."""

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lit_tasks.text.captions import CaptionVocabulary, caption_words

GOLDEN = Path(__file__).parents[1] / "fixtures/captions/ptb_words.json"
SHARED = Path(__file__).parents[2].parent / "shared/data"


@pytest.mark.parametrize(("sentence", "words"), json.loads(GOLDEN.read_text()))
def test_words_are_those_of_coco_caption(sentence: str, words: str) -> None:
    assert caption_words(sentence) == words.split()


def test_all_captions_there_are_have_the_words_that_java_finds() -> None:
    files = sorted(SHARED.glob("*_captions/annotations/captions_*.json"))
    tokenizer = pytest.importorskip("pycocoevalcap.tokenizer.ptbtokenizer")
    if not files or not shutil.which("java"):
        pytest.skip("needs java and ../shared/data")
    entries = [e for file in files for e in json.loads(file.read_text())["annotations"]]
    theirs = tokenizer.PTBTokenizer().tokenize({i: [e] for i, e in enumerate(entries)})
    assert len(theirs) > 6000
    wrong = [
        (entry["caption"], theirs[i][0])
        for i, entry in enumerate(entries)
        if caption_words(entry["caption"]) != theirs[i][0].split()
    ]
    assert not wrong


@given(st.text(alphabet="ab c'’.,-()\"/1:&;né", max_size=30))
def test_cutting_twice_changes_nothing_and_nothing_is_punctuation(sentence: str) -> None:
    words = caption_words(sentence)
    assert not {".", ",", "-", "'", '"', ""} & set(words)
    assert not any(character.isspace() for word in words for character in word)


@given(st.text(alphabet="acdtnoe ,.-'", max_size=24))
def test_plain_sentences_take_a_short_cut_to_the_same_words(sentence: str) -> None:
    # A bracket keeps a sentence from the short cut and is a word of its own.
    assert caption_words(sentence) == caption_words(f"( {sentence}")[1:]


def test_numbers_are_spelled_as_the_words_they_came_from() -> None:
    vocabulary = CaptionVocabulary.count(["A dog .", "The man's dog"], min_count=1)
    assert vocabulary.words[:4] == ["<START>", "<END>", "<UNK>", "dog"]
    numbers = vocabulary.encode("the dog's cat")
    spelled = [vocabulary.words[number] for number in numbers]
    assert spelled == ["<START>", "the", "dog", "'s", "<UNK>", "<END>"]
    assert vocabulary.encode("the dog 's", max_tokens=4) == [*vocabulary.encode("the dog")]
    with pytest.raises(ValueError, match="must begin with <START>, <END>, <UNK>"):
        CaptionVocabulary(["a", "b"])
