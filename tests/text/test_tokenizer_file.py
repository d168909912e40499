"""tokenizer.json gives the token ids that training had."""

import re

import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tokenizers import Tokenizer as Theirs

from lit_tasks.text.encoding import TextOptions, encode
from lit_tasks.text.tokenizer_file import tokenizer_json
from lit_tasks.text.vocabulary import Vocabulary

SENTENCES = [
    "It isn't the best film, but DON'T miss it!",
    "o'clock rock'n'roll 'quoted' it’s they've I'd we'll 's",
    "A fine<br />film<BR>... 100% (8/10) naïve Ünïcode\u00a0spaces\u2003here",
    "",
    " \t\n ",
    "so-called x'y <unk> '' ' a'",
]
PIECES = st.sampled_from(
    ["a", "n't", "'", "’", "s", "re", " ", "  ", ".", "-", "9", "é", "<br/>", "B", "\n", "m", "ll"]
)


def ours(texts: list[str], vocabulary: Vocabulary, options: TextOptions) -> list[list[int]]:
    return encode(options.tokenizer(pa.array(texts, pa.string())), vocabulary, options).to_pylist()


def theirs(texts: list[str], vocabulary: Vocabulary, options: TextOptions) -> list[list[int]]:
    tokenizer = Theirs.from_str(tokenizer_json(vocabulary, options))
    return [
        [number for number, there in zip(row.ids, row.attention_mask, strict=True) if there]
        for row in tokenizer.encode_batch(texts)
    ]


def vocabulary_of(texts: list[str], options: TextOptions) -> Vocabulary:
    words = options.tokenizer(pa.array(texts, pa.string())).flatten()
    return Vocabulary.count(words)


@pytest.mark.parametrize(
    "options",
    [
        TextOptions(),
        TextOptions(markup=True, lowercase=False),
        TextOptions(split="space"),
        TextOptions(max_length=3),
        TextOptions(max_length=3, truncate="tail"),
    ],
    ids=str,
)
def test_the_file_gives_the_ids_of_training(options: TextOptions) -> None:
    vocabulary = vocabulary_of(SENTENCES[:-1], options)
    assert theirs(SENTENCES, vocabulary, options) == ours(SENTENCES, vocabulary, options)


@given(st.lists(PIECES, max_size=12).map("".join))
def test_any_text_gives_the_same_ids(text: str) -> None:
    assume(not re.search(r"[^\W\d_]['’][^\W\d_]['’][^\W\d_]['’][^\W\d_]", text))
    options = TextOptions(markup=True)
    vocabulary = vocabulary_of([text], options)
    assert theirs([text], vocabulary, options) == ours([text], vocabulary, options)


def test_what_the_file_cannot_say_is_refused() -> None:
    options = TextOptions(max_length=3, truncate="both")
    with pytest.raises(ValueError, match="cuts texts at one end"):
        tokenizer_json(vocabulary_of(["a"], options), options)
    options = TextOptions(split="characters")
    with pytest.raises(ValueError, match="no n-grams of characters"):
        tokenizer_json(vocabulary_of(["a"], options), options)
