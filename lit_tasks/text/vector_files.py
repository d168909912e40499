"""Files of word vectors as programs write them: packed, zipped, as text or binary."""

import codecs
import io
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from lit_tasks.files import not_there
from lit_tasks.zip_files import DAMAGED, check_sizes, unpacked

MAX_LINE = 1 << 20
"""Bytes of a line: 4,096 numbers have a tenth of that."""
_MAX_WORD = 10_000  # bytes
_CHUNK = 1 << 20
_ENDINGS = (".txt", ".vec", ".bin")
_CONTROL = bytes({*range(9), *range(14, 32)})


def width_of(line: bytes) -> int:
    """Return how many numbers stand at the end of a line, behind a word."""
    width = 0
    for field in reversed(line.split()[1:]):
        try:
            float(field)
        except ValueError:
            break
        width += 1
    return width


def is_header(line: bytes, embedding_dim: int) -> bool:
    """Tell whether a first line says how many words of how many numbers follow."""
    fields = line.split()
    digits = len(fields) == 2 and all(field.isdigit() and len(field) < 12 for field in fields)
    return digits and (embedding_dim != 1 or fields[1] == b"1")  # or a word and its only number


def is_binary(sample: bytes, embedding_dim: int) -> bool:
    """Tell whether what follows a header is binary: the four bytes of a number are rarely text."""
    first = sample.partition(b"\n")[0]
    if width_of(first) == embedding_dim:
        return False
    return len(sample) > len(sample.translate(None, _CONTROL))


def binary_vectors(
    path: Path, file: IO[bytes], count: int, embedding_dim: int
) -> Iterator[tuple[bytes, bytes]]:
    """Yield the words of a binary file of word2vec and their numbers, float32 in little endian.

    Raises:
        ValueError: The file has fewer or more than ``count`` words, or is none of these.
    """
    size, buffer, start = 4 * embedding_dim, b"", 0
    for number in range(count):
        end = buffer.find(b" ", start)
        while end < 0 or len(buffer) <= end + size:
            if end < 0 and len(buffer) - start > _MAX_WORD:
                raise ValueError(
                    f"{path}: word {number + 1:,} has more than {_MAX_WORD:,} bytes; this is no "
                    "file of word2vec, or it is damaged"
                )
            more = file.read(_CHUNK)
            if not more:
                raise ValueError(
                    f"{path} ends within word {number + 1:,} of {count:,}; download it again"
                )
            buffer, start = buffer[start:] + more, 0
            end = buffer.find(b" ")
        yield buffer[start:end].lstrip(b"\n"), buffer[end + 1 : end + 1 + size]
        start = end + 1 + size
    if (buffer[start:] + file.read(_CHUNK)).strip():
        raise ValueError(
            f"{path} says that it has {count:,} words, and has more; the file is damaged, download"
            " it again"
        )


def read_until(file: io.BufferedReader, end: bytes) -> bytes:
    """Return the next line, which ends with another byte than a line feed."""
    line = b""
    while len(line) <= MAX_LINE and (ahead := file.peek(1)):
        place = ahead.find(end)
        line += file.read(place + 1 if place >= 0 else len(ahead))
        if place >= 0:
            break
    return line


@contextmanager
def opened_vectors(path: Path, embedding_dim: int) -> Iterator[io.BufferedReader]:
    """Open a file of word vectors, or the one of that width in a zip.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged, or has none or several of that width; names the file.
    """
    if not path.is_file():
        raise not_there(
            path,
            f"no word vectors at {path}; give a GloVe text file, a .vec file, a binary file of "
            "word2vec, a zip of one, or 'glove-6b-50d'",
        )
    if path.suffix.lower() != ".zip":
        with unpacked(path) as file:
            yield file
        return
    try:
        archive = zipfile.ZipFile(path)
    except DAMAGED as error:
        raise ValueError(
            f"{path} is not a complete zip file ({error}); download it again"
        ) from error
    with archive:
        check_sizes(archive, path)
        with _member(path, archive, _name_of(path, archive, embedding_dim)) as file:
            yield file


def _name_of(path: Path, archive: zipfile.ZipFile, embedding_dim: int) -> str:
    names = sorted(
        name
        for name in archive.namelist()
        if name.lower().endswith(_ENDINGS) and not name.startswith("__MACOSX/")
    )
    if len(names) == 1:
        return names[0]
    widths = {name: _width_within(path, archive, name) for name in names}
    suitable = [name for name in names if widths[name] == embedding_dim]
    if len(suitable) == 1:
        return suitable[0]
    if names and not suitable:
        shown = ", ".join(f"{name} of {width}" for name, width in widths.items() if width)
        raise ValueError(
            f"{path} has no vectors of {embedding_dim} numbers, only {shown or 'other files'}; set "
            "embedding_dim to one of these"
        )
    raise ValueError(
        f"{path} must hold one .txt, .vec or .bin file of {embedding_dim} numbers, got {suitable}; "
        "unpack it and give one of them"
    )


def _width_within(path: Path, archive: zipfile.ZipFile, name: str) -> int:
    with _member(path, archive, name) as file:
        try:
            line = re.split(rb"[\r\n]", file.read(MAX_LINE).removeprefix(codecs.BOM_UTF8))[0]
        except DAMAGED as error:
            raise ValueError(f"{path} is not a complete zip file ({error})") from error
    return int(line.split()[1]) if is_header(line, 0) else width_of(line)


def _member(path: Path, archive: zipfile.ZipFile, name: str) -> io.BufferedReader:
    try:
        return io.BufferedReader(archive.open(name), _CHUNK)  # type: ignore[arg-type]
    except DAMAGED as error:
        raise ValueError(f"{path} cannot be unpacked ({error}); unpack it yourself") from error
