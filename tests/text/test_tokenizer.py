import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lit_tasks.text.tokenizer import Tokenizer


def words(text: str, **options: object) -> list[str]:
    [row] = Tokenizer(**options)(pa.array([text])).to_pylist()
    return row


def test_contractions_are_cut_as_in_glove() -> None:
    assert words("I can't; it's John’s") == ["i", "ca", "n't", ";", "it", "'s", "john", "'s"]


def test_quotation_marks_are_cut_off_and_apostrophes_inside_a_word_stay() -> None:
    assert words("'Ten o'clock'") == ["'", "ten", "o'clock", "'"]


def test_letters_of_any_language_make_words() -> None:
    assert words("Été à Zürich, 東京!") == ["été", "à", "zürich", ",", "東京", "!"]


def test_markup_is_a_line_break_when_asked() -> None:
    assert words("good<br /><BR>bad", markup=True) == ["good", "bad"]
    assert "br" in words("good<br />bad")


def test_white_space_tokens_stay_as_they_are() -> None:
    assert words("$ _num_  Isn't\t(it)", split="space", lowercase=False) == [
        "$", "_num_", "Isn't", "(it)",
    ]  # fmt: skip


@pytest.mark.parametrize("split", ["words", "space"])
@given(texts=st.lists(st.text(alphabet=st.characters(codec="utf-8"), max_size=20), max_size=6))
def test_every_text_gets_its_own_words_and_none_is_empty(split: str, texts: list[str]) -> None:
    tokenizer = Tokenizer(split)
    rows = tokenizer(pa.array(texts, pa.string())).to_pylist()
    assert rows == [tokenizer(pa.array([text]))[0].as_py() for text in texts]
    assert all(word for row in rows for word in row)


def test_a_slice_of_an_array_is_read_from_where_it_begins() -> None:
    texts = pa.array([" x y ", " a ", "", "b c"]).slice(1)
    assert Tokenizer("space")(texts).to_pylist() == [["a"], [], ["b", "c"]]
