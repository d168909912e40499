"""Word vectors as people have them: every form gives the same rows."""

import bz2
import codecs
import gzip
import lzma
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from lit_tasks.text.vectors import load_vectors

WORDS = {"a": [0.5, -1.0, 2.0], "café": [3.0, 0.25, -8.0], "2": [1.0, 2.0, 3.0]}
LINES = "".join(" ".join([word, *map(str, row)]) + "\n" for word, row in WORDS.items())
ODD = ". . . 9 9 9\nat name@domain.com 8 8 8\n"  # words of the 840B file


def binary(ends: bytes) -> bytes:
    rows = [w.encode() + b" " + struct.pack("<3f", *row) + ends for w, row in WORDS.items()]
    return b"3 3\n" + b"".join(rows)


def zipped(path: Path, **members: str) -> bytes:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "."), content)
    return path.read_bytes()


FORMS = {
    "plain": LINES.encode(),
    "words with spaces first": (ODD + LINES).encode(),
    "header": ("3 3\n" + LINES).encode(),
    "byte order mark": codecs.BOM_UTF8 + LINES.encode(),
    "byte order mark and header": codecs.BOM_UTF8 + ("3 3\n" + LINES).encode(),
    "tabs": LINES.replace(" ", "\t").encode(),
    "two spaces, and one at the end": LINES.replace(" ", "  ").replace("\n", " \n").encode(),
    "carriage return and line feed": LINES.replace("\n", "\r\n").encode(),
    "carriage return": LINES.replace("\n", "\r").encode(),
    "carriage return and header": ("3 3\n" + LINES).replace("\n", "\r").encode(),
    "blank last lines": (LINES + "\n \n").encode(),
    "no last line end": LINES.rstrip().encode(),
    "binary": binary(b""),
    "binary with line feeds": binary(b"\n"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["v.txt", "v.vec", "v.bin", "v.gz", "v.txt.bz2", "v.xz", "v.zip"])
def test_every_form_gives_the_same_rows(tmp_path: Path, form: str, name: str) -> None:
    path, content = tmp_path / name, FORMS[form]
    pack = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}.get(path.suffix)
    path.write_bytes(pack(content) if pack else content)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("glove.3d.txt", content)
            archive.writestr("__MACOSX/._glove.3d.txt", b"\0\1")
            archive.writestr("glove.2d.txt", "a 1 2\n")
            archive.writestr("readme.txt", "Vectors 3\n")
    rows, found = load_vectors(str(path), ["<unk>", *WORDS, "A"], 3)
    np.testing.assert_array_equal(rows, [[0] * 3, *WORDS.values(), [0] * 3])
    assert found.tolist() == [False, True, True, True, False]


@pytest.mark.parametrize("form", ["header", "binary", "byte order mark and header", "plain"])
def test_another_width_is_told(tmp_path: Path, form: str) -> None:
    (tmp_path / "v.vec").write_bytes(FORMS[form])
    with pytest.raises(ValueError, match=r"v\.vec, line 1: a row has 3 numbers, .* to 3"):
        load_vectors(str(tmp_path / "v.vec"), ["a"], 4)


def test_a_number_may_be_a_word(tmp_path: Path) -> None:
    for content in ("2 5\nfilm 3\n", "2 1\n2 5\nfilm 3\n"):
        (tmp_path / "v.txt").write_text(content)
        rows, found = load_vectors(str(tmp_path / "v.txt"), ["2", "film"], 1)
        assert rows.tolist() == [[5], [3]]
        assert found.all()
    (tmp_path / "v.txt").write_text("2 3\na 1 2 3\n")  # a header of another width
    with pytest.raises(ValueError, match=r"line 2: a row has 3 numbers, got embedding_dim 1"):
        load_vectors(str(tmp_path / "v.txt"), ["a"], 1)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (binary(b"")[:-1], "ends within word 3 of 3"),
        (b"9" + binary(b""), "ends within word 4 of 93"),
        (binary(b"").replace(struct.pack("<f", -8.0), struct.pack("<f", np.nan)), "'café': a row"),
        (b"3 3\n" + b"\0" * 20_000, "word 1 has more than 10,000 bytes"),
        (b"\xba\x16\x4f\x2f\x0c\0\0\0", "is a model of fastText; give the .vec file"),
        (LINES.encode("utf-16"), "is UTF-16; save it as UTF-8"),
        (gzip.compress(LINES.encode(), mtime=0)[:-9], "is not a whole packed file"),
    ],
)
def test_what_is_damaged_or_another_file_is_named(
    tmp_path: Path, content: bytes, sentence: str
) -> None:
    (tmp_path / "v.bin").write_bytes(content)
    with pytest.raises(ValueError, match=sentence) as caught:
        load_vectors(str(tmp_path / "v.bin"), ["café"], 3)
    assert str(tmp_path / "v.bin") in str(caught.value)


def test_a_zip_without_that_width_says_which_there_are(tmp_path: Path) -> None:
    zipped(tmp_path / "v.zip", a__txt="a 1 2\n", b__txt="a 1 2 3\n", c__vec="1 4\na 1 2 3 4\n")
    with pytest.raises(ValueError, match=r"of 9 numbers, only a.txt of 2, b.txt of 3, c.vec of 4"):
        load_vectors(str(tmp_path / "v.zip"), ["a"], 9)
    for width in (2, 3, 4):
        assert load_vectors(str(tmp_path / "v.zip"), ["a"], width)[1].all()


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "v.txt").write_text(LINES)
    assert load_vectors("~/v.txt", ["a"], 3)[1].all()


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "mac-roman"])
@pytest.mark.parametrize("header", ["", "3 3\n"])
@pytest.mark.parametrize("words", [["a"], ["café"]])
def test_words_that_are_not_utf_8_are_refused(
    tmp_path: Path, encoding: str, header: str, words: list[str]
) -> None:
    (tmp_path / "v.txt").write_bytes((header + LINES).encode(encoding))
    number = 3 if header else 2
    sentence = rf"v\.txt, line {number}: the word holds the byte 0x\w\w, which is not UTF-8, as in"
    with pytest.raises(ValueError, match=sentence) as caught:
        load_vectors(str(tmp_path / "v.txt"), words, 3)
    assert "as in 1 of the 1 words that are not ASCII; save the file as UTF-8" in str(caught.value)
    assert f"iconv -f latin1 -t utf-8 {tmp_path}/v.txt" in str(caught.value)


def test_a_damaged_word_among_others_is_none_of_any_text(tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_bytes(LINES.encode() + b"caf\xe9 1 2 3\n")
    assert load_vectors(str(tmp_path / "v.txt"), ["café"], 3)[0].tolist() == [WORDS["café"]]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_told(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "v.txt").write_bytes(LINES.encode(encoding))
    with pytest.raises(ValueError, match=r"v\.txt has null bytes in its first line, as UTF-16"):
        load_vectors(str(tmp_path / "v.txt"), ["a"], 3)
