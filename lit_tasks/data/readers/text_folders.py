"""Folders of text files: one text a file, and its folder's name is its label."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from lit_tasks.data.readers.encodings import encoding_of, open_text
from lit_tasks.data.readers.lines import MAX_CHARACTERS
from lit_tasks.data.readers.split_names import split_named
from lit_tasks.data.readers.tables import format_suffix
from lit_tasks.data.readers.text_rows import Row, problem_of, text_row
from lit_tasks.printable import printable

_TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json")


def files_of(folder: Path, nested: bool = True) -> Iterator[Path]:
    """Yield the files in a folder that are not hidden, those of its folders too."""
    for path in folder.rglob("*") if nested else folder.iterdir():
        hidden = any(map(_is_hidden, map(Path, path.relative_to(folder).parts)))
        if path.is_file() and not hidden:
            yield path


def _is_hidden(path: Path) -> bool:
    return path.name.startswith(".") or path.name == "__MACOSX"


def labels_of(folder: Path) -> list[str]:
    """Return the names of the folders in a folder.

    Raises:
        ValueError: There are none.
    """
    labels = sorted(
        path.name for path in folder.iterdir() if path.is_dir() and not _is_hidden(path)
    )
    if len(labels) > 1 and all(map(split_named, labels)):
        raise ValueError(
            f"{folder} has the folders {', '.join(labels)}, which are parts of a data set and no "
            f"labels: set data.train to one of them, and data.val or data.test to others"
        )
    if not labels:
        raise ValueError(
            f"{folder} has no folders: it should hold a folder of text files for each label"
        )
    return labels


def unlabeled_files(folder: Path, encoding: str | None = None) -> Iterator[Row]:
    """Yield the text files in a folder and in its folders, each in order of number."""
    for file in sorted(files_of(folder), key=_number_in_name):
        yield _file_row(file, folder, label=None, encoding=encoding)


def read_folders(folder: Path, labels: Sequence[str], encoding: str | None = None) -> Iterator[Row]:
    """Yield the text files of ``folder/<label>/``, label after label, each in order of number.

    ``10_7.txt`` comes after ``9_8.txt``; names without numbers stand in alphabetical order.
    """
    for label in labels:
        for file in sorted(files_of(folder / label), key=_number_in_name):
            yield _file_row(file, folder, label=label, encoding=encoding)


def notes_of_folder(folder: Path, labeled: bool) -> tuple[str, ...]:
    """Return sentences about what in a folder is not read, or not as people may think."""
    tables = [file for file in files_of(folder) if format_suffix(file) in _TABLES]
    notes = _note(folder, tables, "are tables or lists, and each is read as one text")
    if not labeled:
        return notes
    folders = [path for path in folder.iterdir() if path.is_dir() and not _is_hidden(path)]
    empty = [path for path in folders if not any(files_of(path))]
    beside = list(files_of(folder, nested=False))
    lost = [path for path in folder.rglob("*") if path.is_symlink() and not path.exists()]
    return (
        *notes,
        *_note(folder, beside, "beside its folders are not read"),
        *_note(folder, empty, "hold no texts, so they are no labels", what="folders"),
        *_note(folder, lost, "point to files that are not there, and are not read", what="links"),
    )


def _note(folder: Path, paths: Sequence[Path], says: str, what: str = "files") -> tuple[str, ...]:
    if not paths:
        return ()
    names = sorted(printable(path.relative_to(folder).as_posix()) for path in paths)
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return (f"{folder}: {len(names):,} {what} {says} ({shown})",)


def _file_row(file: Path, folder: Path, label: str | None, encoding: str | None) -> Row:
    text, problem = "", ""
    try:
        with open_text(file, encoding_of(file, encoding)[0]) as read:
            text = read.read(MAX_CHARACTERS + 1)
    except ValueError as error:  # an image among texts
        problem = str(error).removeprefix(f"{file} ")
    row = text_row(
        text[:MAX_CHARACTERS], label or "", id=file.relative_to(folder).as_posix(), line=0
    )
    if problem:
        row["problem"] = f"the file {problem}"
    elif len(text) > MAX_CHARACTERS:
        row["problem"] = f"a text must have at most {MAX_CHARACTERS:,} characters"
    else:
        row["problem"] = problem_of(row, labeled=label is not None)
    return row


def _number_in_name(file: Path) -> tuple[int, str]:
    number = file.stem.split("_")[0]
    return int(number) if number.isdecimal() and len(number) < 20 else -1, str(file)
