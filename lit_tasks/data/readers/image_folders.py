"""Folders of images: what is found in them, what is passed over, and what both are called."""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

from PIL import features

from lit_tasks.files import not_there
from lit_tasks.printable import printable

_JPEG = (".jpg", ".jpeg", ".jpe", ".jfif")
_OTHER = (".png", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm")
_WITH = {"avif": (".avif",), "jpg_2000": (".jp2", ".j2k", ".jpx")}  # features of Pillow
HEIF = (".heic", ".heif", ".hif")  # what telephones save; Pillow reads it with pillow-heif
_NO_CLASSES = {
    "@eadir",
    "__macosx",
    "__pycache__",
    "$recycle.bin",
    "#recycle",
    "#snapshot",
    "lost+found",
}
_NO_CLASSES |= {"system volume information", "@__thumb", "#snapshot"}
_NO_CLASSES |= {"@recycle", "@recently-snapshot"}
_INVISIBLE = re.compile(r"^[\s\0\u200b\u2060\ufeff]+|[\s\0\u200b\u2060\ufeff]+$")
_OF_SYSTEMS = {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"}


class Found(NamedTuple):
    """What a folder holds.

    Attributes:
        images: Files whose names end like those of images that can be read, by name.
        others: The other files; hidden ones, and what systems leave behind, are not among them.
    """

    images: list[Path]
    others: list[Path]


@cache
def endings() -> tuple[str, ...]:
    """Return the endings of images that can be read here, in small letters."""
    some = [suffixes for feature, suffixes in _WITH.items() if features.check(feature)]
    with suppress(ImportError):
        from pillow_heif import register_heif_opener  # type: ignore[import-not-found, unused-ignore]

        register_heif_opener()
        some.append(HEIF)
    return (*_JPEG, *_OTHER, *(suffix for suffixes in some for suffix in suffixes))


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is hidden, or one that systems and archivers make."""
    return name.startswith(".") or name.casefold() in _NO_CLASSES | _OF_SYSTEMS


def folders_in(folder: Path) -> list[Path]:
    """Return the folders in a folder that are not hidden, by name."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not is_hidden(path.name))


def loose_images(folder: Path) -> list[Path]:
    """Return the images in a folder itself, which stand in no folder of a class."""
    files = (path for path in folder.iterdir() if not is_hidden(path.name) and path.is_file())
    return sorted(path for path in files if path.suffix.lower() in endings())


def found_below(folder: Path) -> Found:
    """Return the files in a folder and in its folders, links to folders included.

    A folder that several links lead to is read once; hidden folders are not read.

    Raises:
        OSError: A folder cannot be read.
    """

    def stop(error: OSError) -> None:
        raise error

    images: list[Path] = []
    others: list[Path] = []
    seen = {_identity(folder)}
    for parent, folders, names in os.walk(folder, onerror=stop, followlinks=True):
        place, kept = Path(parent), []
        for name in sorted(folders):
            if not is_hidden(name) and (identity := _identity(place / name)) not in seen:
                seen.add(identity)
                kept.append(name)
        folders[:] = kept
        for path in (place / name for name in names if not is_hidden(name)):
            (images if path.suffix.lower() in endings() else others).append(path)
    return Found(sorted(images), sorted(others))


def files_below(folder: Path) -> Found:
    """Return the images in a folder and in its folders; a file is taken as it is.

    Raises:
        FileNotFoundError: There are none.
    """
    if folder.is_file():
        return Found([folder], [])
    found = found_below(folder) if folder.is_dir() else Found([], [])
    if not found.images:
        what = "has no images" if folder.is_dir() else "is not there"
        rest = f" ({left_out(found.others)})" if found.others else ""
        raise not_there(
            folder,
            f"{path_text(folder)} {what}{rest}: give a folder of files that end in"
            f" {', '.join(endings())}",
        )
    return found


def left_out(others: Sequence[object]) -> str:
    """Return a sentence that counts files that are not images by their names."""
    count = Counter(os.path.splitext(str(path))[1].lower() for path in others)
    kinds = ", ".join(
        f"{n:,} {printable(kind) or 'without one'}" for kind, n in count.most_common(5)
    )
    remedy = "; .heic is read after pip install pillow-heif" if {*HEIF} & {*count} else ""
    some = "1 file is" if len(others) == 1 else f"{len(others):,} files are"
    return (
        f"{some} left out, whose names do not end like those of images that can be read: {kinds}"
        f"{remedy}; first {path_text(others[0])}"
    )


def class_name(name: str) -> str:
    """Return a label as it is compared: composed letters (NFC), nothing invisible around it.

    A Mac writes an accent as a letter of its own; names look alike and would be two classes.
    """
    return _INVISIBLE.sub("", unicodedata.normalize("NFC", text_of(name)))


def within_folder(names: Sequence[str]) -> list[str]:
    """Return paths as they are within the folder that they share."""
    if any(map(os.path.isabs, names)):
        names = [os.path.abspath(name) for name in names]
    folder = os.path.commonpath([os.path.dirname(name) for name in names]) if names else ""
    return [os.path.relpath(name, folder or ".") for name in names]


def path_text(path: object) -> str:
    """Return a path as text that can be written and shown."""
    return printable(text_of(str(path)))


def text_of(name: str) -> str:
    r"""Return a name as UTF-8 can hold it; other bytes become ``\xe9``."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def located(name: str, folders: Sequence[Path]) -> Path:
    r"""Return the file that a table names, in the first of the folders that has it.

    Where none has it, backslashes are taken for slashes, letters are composed and decomposed, and
    an ending is added if just one fits. What is not found at all stays as it was written.
    """
    forms = [name, name.strip(), name.strip().replace("\\", "/")]
    forms += [unicodedata.normalize(form, forms[-1]) for form in ("NFC", "NFD")]
    for folder in folders:
        with suppress(OSError):  # a name may be too long for any file
            for form in dict.fromkeys(forms):
                if (folder / form).exists():
                    return folder / form
            for form in dict.fromkeys(forms[2:]):
                longer = [Path(f"{folder / form}{ending}") for ending in endings()]
                there = [path for path in longer if path.is_file()]
                if len(there) == 1:
                    return there[0]
    return folders[0] / forms[2]


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino
