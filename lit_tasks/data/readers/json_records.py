"""Records of JSON files: an object a line, or one array of objects."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from lit_tasks.data.readers import lines
from lit_tasks.data.readers.encodings import open_text
from lit_tasks.files import RepeatedKeyError, parse_json, repeated

_CHUNK = 1 << 16
_BLANK = " \t\r\n\ufeff"


class JsonRecord(NamedTuple):
    """A record.

    Attributes:
        line: The line that it begins in, counted from 1.
        fields: Its values by name.
        problem: Empty, or why there are none.
    """

    line: int
    fields: dict[str, Any]
    problem: str = ""


def json_records(path: Path, encoding: str = "utf-8-sig") -> Iterator[JsonRecord]:
    """Yield the objects of a file in their order; blank lines at the end are none.

    Raises:
        ValueError: An array breaks off, so that nothing behind that place can be read.
    """
    with open_text(path, encoding) as file:
        head = file.read(_CHUNK).lstrip(_BLANK)
    is_array = head.startswith("[") and head[1:].lstrip(_BLANK)[:1] in ("{", "]")
    with open_text(path, encoding) as file:
        yield from _array(path, file) if is_array else _lines(file)


def _lines(file: TextIO) -> Iterator[JsonRecord]:
    blank: list[int] = []
    for number, line, problem in lines.lines_of(file):
        if not problem and not line.strip():
            blank.append(number)
            continue
        for empty in blank:
            yield JsonRecord(empty, {}, "this is not JSON (the line is empty)")
        blank = []
        yield JsonRecord(number, {}, problem) if problem else _record(number, line)


def _record(number: int, line: str) -> JsonRecord:
    try:
        value = parse_json(line)
    except RepeatedKeyError as error:
        return JsonRecord(number, {}, str(error))
    except ValueError as error:  # a number of 5,000 digits is one
        more = "; write one object a line, or one array of objects" if line.strip() == "{" else ""
        return JsonRecord(number, {}, f"this is not JSON ({error}){more}")
    return _object(number, value, "this is not a JSON object on a line of its own")


def _object(number: int, value: object, problem: str) -> JsonRecord:
    return JsonRecord(number, value) if isinstance(value, dict) else JsonRecord(number, {}, problem)


def _array(path: Path, file: TextIO) -> Iterator[JsonRecord]:
    """Yield the elements of an array; no more of it than one is in memory."""
    reader = _Buffer(path, file)
    reader.take("[")
    while reader.next_letter() != "]":
        line, value = reader.line, reader.value()
        if reader.repeated:
            yield JsonRecord(line, {}, reader.repeated)
        else:
            yield _object(line, value, "this element of the array is no object")
        if reader.next_letter() != "]":
            reader.take(",")
    reader.take("]")
    if reader.next_letter():
        raise reader.broken("something stands behind the array")


class _Buffer:
    """The part of a file that is being parsed.

    Attributes:
        line: The line that is reached, counted from 1.
        repeated: What is said of a key that stands twice within the last value, or nothing.
    """

    def __init__(self, path: Path, file: TextIO) -> None:
        self.path, self.file = path, file
        self.text, self.start, self.line, self.ended = "", 0, 1, False
        self.repeated = ""
        self._decode = json.JSONDecoder(object_pairs_hook=self._object).raw_decode

    def next_letter(self) -> str:
        """Return the next character that is no white space, or nothing at the end."""
        while True:
            while self.start < len(self.text) and self.text[self.start] in _BLANK:
                self._advance(self.start + 1)
            if self.start < len(self.text) or not self._more():
                return self.text[self.start : self.start + 1]

    def take(self, letter: str) -> None:
        """Go behind a letter that must come now."""
        found = self.next_letter()
        if found != letter:
            raise self.broken(f"'{letter}' must stand here, not '{found or 'the end of the file'}'")
        self._advance(self.start + 1)

    def value(self) -> Any:
        """Return the next value and go behind it."""
        while True:
            self.repeated = ""
            try:
                value, end = self._decode(self.text, self.start)
            except RecursionError:
                raise self.broken("lists or objects are nested too deeply") from None
            except ValueError as error:
                # Half of an object is not JSON either: more of the file tells.
                if not self._more():
                    message = error.msg if isinstance(error, json.JSONDecodeError) else error
                    raise self.broken(str(message)) from None
                continue
            if end < len(self.text) or not self._more():
                self._advance(end)
                return value

    def broken(self, reason: str) -> ValueError:
        return ValueError(
            f"{self.path}, line {self.line}: the JSON array cannot be read from here on ({reason});"
            " correct it, or write one object a line"
        )

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            self.repeated = repeated(pairs)
        return found

    def _advance(self, end: int) -> None:
        self.line += self.text.count("\n", self.start, end)
        self.start = end

    def _more(self) -> bool:
        """Read on; return whether there was anything."""
        rest = self.text[self.start :]
        if self.ended or len(rest) > lines.MAX_CHARACTERS:
            return False
        read = self.file.read(max(_CHUNK, len(rest)))
        self.text, self.start, self.ended = rest + read, 0, not read
        return bool(read)
