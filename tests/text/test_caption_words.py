"""Words of captions are those of the Java tokenizer that coco-caption runs."""

import json
import random
import shutil
import time
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
    # Any captions_*.json there, the whole of COCO's val2017 for one. A neutral caption stands
    # between two: Java looks into the next one to decide about a last full stop.
    files = sorted(SHARED.glob("*captions*/**/captions_*.json"))
    tokenizer = pytest.importorskip("pycocoevalcap.tokenizer.ptbtokenizer")
    if not files or not shutil.which("java"):
        pytest.skip("needs java and ../shared/data")
    captions = [e["caption"] for f in files for e in json.loads(f.read_text())["annotations"]]
    captions += [_mutated(caption, random.Random(i)) for i, caption in enumerate(captions[:500])]
    entries = [{"caption": text} for caption in captions for text in (caption, "A dog .")]
    theirs = tokenizer.PTBTokenizer().tokenize({i: [e] for i, e in enumerate(entries)})
    assert len(captions) > 6000
    wrong = [
        (caption, theirs[2 * i][0])
        for i, caption in enumerate(captions)
        if caption_words(caption) != theirs[2 * i][0].split()
    ]
    assert not wrong


def _mutated(caption: str, chance: random.Random) -> str:
    """Return a caption with something that captions rarely have at one of its spaces."""
    words = caption.split()
    words.insert(chance.randrange(1, len(words) + 1), chance.choice(_RARE.split()))
    return " ".join(words)


_RARE = (
    "U.S. U.S.A D.V.D K. KY. St. No. 3/4 12:30 '90s Mr. vs. etc. p.m. cannot n't I. A sun. sat."
    " fig. vol. ca. ft. B&W AT&T M&M's Ph.D. – — ’ “quoted” (left) 50% $5 € 😀 ½ ... !! x.y a/b"
)


@pytest.mark.parametrize("piece", ["a:", "a.", "<a ", "a@", "a,", "n't", "1-", "www.", "'", "é"])
def test_long_sentences_take_time_in_proportion(piece: str) -> None:
    def seconds(count: int) -> float:
        begin = time.process_time()
        caption_words(piece * count)
        return time.process_time() - begin

    seconds(10)
    assert seconds(4000) < 16 * max(0.02, seconds(1000))


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
