"""Text files as they lie about: packed with gzip or not, UTF-8, UTF-16 or what Windows wrote."""

import codecs
import io
import re
from pathlib import Path
from typing import IO, TextIO

from lit_tasks.zip_files import unpacked

_MARKS = {  # the longer ones first
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    codecs.BOM_UTF8: "utf-8-sig",
}
_OTHERS = {
    b"PK\3\4": "a spreadsheet or a zip archive",
    b"\xd0\xcf\x11\xe0": "an Excel file",
    b"PAR1": "a Parquet file",
    b"%PDF": "a PDF file",
    b"SQLite format 3": "a database",
    b"\x28\xb5\x2f\xfd": "packed with zstd",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a rar archive",
    b"{\\rtf": "rich text (RTF)",
}
_CHUNK = 1 << 17
_ENOUGH = 20  # characters of several bytes that are UTF-8: this is no accident
_SEVERAL = 2  # bytes that are not UTF-8: one alone may be damage
_UNDECODED = re.compile("[\udc80-\udcff]+")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x19\x1b\x7f]")
_UNDEFINED = re.compile("[\udc81\udc8d\udc8f\udc90\udc9d]")  # in cp1252
_KEEP = "lit_tasks.keep_bytes"
_BYTE = 0xDC00  # added to a byte that could not be decoded


def _keep_bytes(error: UnicodeError) -> tuple[str, int]:
    """Return bytes that cannot be decoded as what no text has, so that the rest is read."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "".join(chr(_BYTE + byte) for byte in error.object[error.start : error.end]), error.end


codecs.register_error(_KEEP, _keep_bytes)


def undecoded(text: str) -> str:
    """Return which byte of a text could not be decoded and where, or nothing."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        byte = ord(error.object[error.start]) - _BYTE
        if not 0x80 <= byte <= 0xFF:  # as JSON writes it
            return f"(half of a character, \\u{byte + _BYTE:04x}, at character {error.start})"
        return f"(0x{byte:02x} at character {error.start})"
    return ""


def check_encoding(name: str | None) -> None:
    """Refuse the name of an encoding that Python does not know.

    Raises:
        ValueError: It does not; gives examples.
    """
    try:
        io.TextIOWrapper(io.BytesIO(b"a\n"), encoding=name, errors=_KEEP).readline()
    except UnicodeError as error:
        if "BOM" in str(error):  # of UTF-16, where each file has its own
            return
        raise ValueError(f"encoding must be one of files, got '{name}' ({error})") from None
    except LookupError:
        raise ValueError(
            "encoding must be one that Python knows, such as utf-8, utf-16, cp1252 or shift_jis, "
            f"got '{name}'"
        ) from None


def encoding_of(path: Path, given: str | None) -> tuple[str, str]:
    r"""Return the encoding of a text file, and a sentence where it had to be guessed.

    Marks at the beginning tell UTF-8, UTF-16 and UTF-32, null bytes tell UTF-16 without a mark.
    Several bytes that are not UTF-8, most of them alone between ASCII letters as in ``caf\xe9``,
    are cp1252.
    """
    with unpacked(path) as file:
        head = file.read(_CHUNK)
        for magic, what in _OTHERS.items():
            if head.startswith(magic):
                raise ValueError(
                    f"{path} is {what} and no text, whatever its name: export it as CSV, "
                    "or give it its own ending"
                )
        if given is not None:
            return _of_given(path, head, codecs.lookup(given).name), ""
        for mark, encoding in _MARKS.items():
            if head.startswith(mark):
                return encoding, ""
        without_mark = _utf16_without_mark(head)
        if without_mark:
            return without_mark, f"{path} is read as {without_mark}, which its null bytes tell"
        if _is_cp1252(head, file):
            return "cp1252", (
                f"{path} is not UTF-8 and is read as cp1252 (Western Europe); if that is wrong, "
                "save it as UTF-8, or give its encoding with data.encoding if there is that option"
            )
    return "utf-8-sig", ""


def _of_given(path: Path, head: bytes, given: str) -> str:
    """Return how an encoding that was given is read: with a mark at the beginning or without.

    Raises:
        ValueError: UTF-16 or UTF-32 was given, and neither mark nor null bytes tell it.
    """
    if given == "utf-8":  # Python leaves its mark in the text
        return "utf-8-sig"
    if given not in ("utf-16", "utf-32") or any(
        head.startswith(mark) for mark, name in _MARKS.items() if name == given
    ):
        return given
    if given == "utf-16" and (found := _utf16_without_mark(head)):
        return found
    if head.count(0) and given == "utf-32":
        return "utf-32-le" if head[:1] != b"\0" else "utf-32-be"
    raise ValueError(
        f"{path} is not {given}: it has no such mark at its beginning; leave out data.encoding, or "
        f"set it to {given}-le or {given}-be if it is"
    )


def _utf16_without_mark(head: bytes) -> str:
    """Return the encoding where every second byte is often null and the others never are."""
    sample = head[:4096]
    for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        nulls = sample[first::2].count(0)
        if nulls > max(1, len(sample) // 20) and not sample[1 - first :: 2].count(0):
            return encoding
    return ""


def _is_cp1252(head: bytes, file: IO[bytes]) -> bool:
    decode = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode
    single = crowded = others = 0
    while head:
        text = decode(head)
        if not text.isascii():
            runs = [len(run) for run in _UNDECODED.findall(text)]
            single += runs.count(1)
            crowded += sum(runs) - runs.count(1)
            others += len(re.findall(r"[^\x00-\x7f]", text)) - sum(runs)
            if _UNDEFINED.search(text) or (others >= _ENOUGH and not single):
                return False
        if _CONTROL.search(text):
            return False
        head = file.read(_CHUNK)
    return single >= _SEVERAL and single > 4 * crowded and single > 20 * others


def open_text(path: Path, encoding: str = "utf-8-sig", newline: str | None = None) -> TextIO:
    """Open a text file, packed or not; what cannot be decoded becomes what no text has."""
    return io.TextIOWrapper(
        unpacked(path),
        encoding=encoding,
        errors=_KEEP,
        newline=newline,
    )
