"""A JSON object whose names are those of images and whose values are their captions."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lit_tasks.data.readers.encodings import open_text
from lit_tasks.files import RepeatedKeyError, parse_json


def caption_mapping(table: Path, encoding: str, columns: frozenset[str]) -> dict[str, Any] | None:
    """Return the object in a file, or nothing where the file holds records.

    Args:
        table: The file.
        encoding: Python's name of its encoding.
        columns: Names that a record has for its image, in small letters.

    Raises:
        ValueError: An image stands there twice, or the object is one of COCO's.
    """
    with open_text(table, encoding) as file:
        if not file.read(1 << 16).lstrip().startswith("{"):
            return None
    with open_text(table, encoding) as file:
        try:
            content: dict[str, Any] = parse_json(file.read())
        except RepeatedKeyError as error:
            raise ValueError(f"{table}: {error}; put its captions into one list") from None
        except ValueError:  # an object a line, of which each is looked at by itself
            return None
    if columns & {name.strip().casefold() for name in content}:
        return None
    if isinstance(content.get("images"), list):
        raise ValueError(
            f"{table}, line 1 has no column 'file', only {', '.join(map(repr, content))}: this is"
            " a file of COCO's or Karpathy's, which"
            " lit_tasks.data.coco_captions.CocoCaptionsDataModule reads"
        )
    return content


def mapped_captions(table: Path, content: dict[str, Any]) -> Iterator[tuple[str, str, list[Any]]]:
    """Yield where each image stands, its name, and its captions."""
    for name, value in content.items():
        yield f"{table}, image '{name}'", name, value if isinstance(value, list) else [value]
