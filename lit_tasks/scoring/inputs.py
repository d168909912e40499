"""Captions and references from files, put together by image."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from lit_tasks.data.readers.caption_records import CaptionRecord
from lit_tasks.data.readers.caption_tables import FILES, CaptionColumns, caption_rows, one_line
from lit_tasks.data.readers.coco import read_coco, read_json, read_karpathy
from lit_tasks.files import not_there

_COLUMNS = CaptionColumns(usual_files=("image_id", "id", *FILES))
_OFFICIAL = re.compile(r"(?:COCO_\w+_)?0*(\d+)\.\w+")  # COCO's file names hold its ids


@dataclass
class Scored:
    """Images with a caption and references, in the order of the captions.

    Attributes:
        ids: What the captions call each image.
        captions: The sentence about each.
        references: Those of people about each.
        left_out: How many images have references and no caption.
    """

    ids: list[str] = field(default_factory=list)
    captions: list[str] = field(default_factory=list)
    references: list[list[str]] = field(default_factory=list)
    left_out: int = 0


def matched(captions: Path, references: Path) -> Scored:
    """Return what two files say about the same images.

    As coco-caption does, only images with a caption count; the others are told in ``left_out``.

    Raises:
        FileNotFoundError: A file is not there.
        ValueError: A file cannot be read, an image has two captions or no reference.
    """
    known = read_references(references)
    found = Scored()
    seen: dict[int, str] = {}
    for where, name, sentence in _sentences(captions):
        number = known.number(name)
        if number is None:
            raise ValueError(f"{where}: image {name} has no reference in {references}")
        if number in seen:
            raise ValueError(
                f"{where}: image {name} has a caption already ({seen[number]}); give one an image"
            )
        seen[number] = where
        found.ids.append(name)
        found.captions.append(sentence)
        found.references.append(known.sentences[number])
    if not found.ids:
        raise ValueError(f"{captions} has no captions; give a file with some")
    found.left_out = len(known.sentences) - len(found.ids)
    return found


def _sentences(path: Path) -> Iterable[tuple[str, str, str]]:
    """Yield place, image and the one caption of each row; an empty caption is one, too."""
    for row in caption_rows(path, _COLUMNS, empty=True):
        if len(row.captions) != 1:
            raise ValueError(
                f"{row.where}: image {row.file} has {len(row.captions)} captions; give one an image"
            )
        yield row.where, row.file, row.captions[0]


class References:
    """What people wrote about images, found by id or file name."""

    def __init__(self) -> None:
        self.sentences: list[list[str]] = []
        self._number: dict[str, int] = {}  # by the most certain name
        self._other: dict[str, int | None] = {}  # by others; None where two images have one

    def add(self, names: Iterable[str], sentences: Iterable[str]) -> None:
        """Add sentences about an image of several names, the most certain one first."""
        first, *others = names
        if first not in self._number:
            self._number[first] = len(self.sentences)
            self.sentences.append([])
        number = self._number[first]
        for name in others:
            same = self._other.setdefault(name, number) == number
            self._other[name] = number if same else None
        self.sentences[number].extend(sentences)

    def number(self, name: str) -> int | None:
        """Return which image a name means: an id, a file, or a file that COCO called by its id.

        A name that two images have, such as that of files in two folders, means none.
        """
        found = (self._number.get(one, self._other.get(one)) for one in _names(name))
        return next((number for number in found if number is not None), None)


def _names(name: str) -> list[str]:
    """Return a name, that of its file, and the id in a file of COCO, the most certain first."""
    file = PurePosixPath(name.replace("\\", "/")).name
    official = _OFFICIAL.fullmatch(file)
    return [name, file, *([official[1]] if official else [])]


def read_references(path: Path) -> References:
    """Return the references of COCO's JSON, of Karpathy's, or of a table of captions."""
    found = References()
    content = read_json(path) if path.suffix.lower() == ".json" and _is_object(path) else {}
    if {"images", "annotations"} & {*content}:
        records: list[CaptionRecord]
        if "annotations" in content:
            records = read_coco(path, Path())
        else:
            records = [r for split in read_karpathy(path, Path()).values() for r in split]
        for record in records:
            if record.sentences:
                found.add((str(record.id), record.path.name), map(one_line, record.sentences))
    else:
        for row in caption_rows(path, _COLUMNS):
            found.add(_names(row.file), row.captions)
    if not found.sentences:
        raise ValueError(f"{path} has no references; give a file with some")
    return found


def _is_object(path: Path) -> bool:
    if not path.is_file():
        raise not_there(path, f"there is no file {path}; give a file of references")
    with path.open("rb") as file:
        return file.read(1 << 16).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")
