import pyarrow as pa
import pytest

from lit_tasks.text.vocabulary import UNKNOWN, Vocabulary

WORDS = pa.array(["the", "cat", "saw", "the", "other", "cat", "and", "the", "dog"])


def test_frequent_words_come_first_and_equals_in_alphabetical_order() -> None:
    assert Vocabulary.count(WORDS).words == [
        UNKNOWN, "the", "cat", "and", "dog", "other", "saw",
    ]  # fmt: skip


def test_the_order_of_the_texts_does_not_matter() -> None:
    assert Vocabulary.count(WORDS[::-1]).words == Vocabulary.count(WORDS).words


def test_rare_words_and_words_beyond_the_size_are_unknown() -> None:
    assert Vocabulary.count(WORDS, min_count=2).words == [UNKNOWN, "the", "cat"]
    assert Vocabulary.count(WORDS, max_size=2).words == [UNKNOWN, "the"]


def test_numbers_spell_the_words_they_came_from() -> None:
    vocabulary = Vocabulary.count(WORDS, min_count=2)
    token_ids = vocabulary.token_ids(pa.array(["cat", "cow", "the", UNKNOWN]))
    assert token_ids.tolist() == [2, 0, 1, 0]
    assert [vocabulary.words[n] for n in token_ids] == ["cat", "<unk>", "the", "<unk>"]


def test_a_text_that_holds_the_unknown_word_does_not_add_it_twice() -> None:
    assert Vocabulary.count(pa.array([UNKNOWN, "a"])).words == [UNKNOWN, "a"]


def test_the_first_word_must_be_the_unknown_one() -> None:
    with pytest.raises(ValueError, match="must be <unk>"):
        Vocabulary(["the"])
