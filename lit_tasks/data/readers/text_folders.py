"""Folders of text files: one text a file, and its folder's name is its label."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from lit_tasks.data.readers.encodings import encoding_of, open_text
from lit_tasks.data.readers.lines import MAX_CHARACTERS
from lit_tasks.data.readers.text_rows import Row, problem_of, text_row


def files_of(folder: Path, nested: bool = True) -> Iterator[Path]:
    """Yield the files in a folder that are not hidden, those of its folders too."""
    for path in folder.rglob("*") if nested else folder.iterdir():
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.is_file() and not hidden:
            yield path


def labels_of(folder: Path) -> list[str]:
    """Return the names of the folders in a folder.

    Raises:
        ValueError: There are none.
    """
    labels = sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")
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


def notes_of_folder(folder: Path) -> tuple[str, ...]:
    """Return a sentence about files that stand beside the folders of labels, if any do."""
    others = sorted(file.name for file in files_of(folder, nested=False))
    if not others:
        return ()
    shown = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
    return (f"{folder}: {len(others):,} files beside its folders are not read ({shown})",)


def _file_row(file: Path, folder: Path, label: str | None, encoding: str | None) -> Row:
    with open_text(file, encoding_of(file, encoding)[0]) as read:
        text = read.read(MAX_CHARACTERS + 1)
    row = text_row(
        text[:MAX_CHARACTERS], label or "", id=file.relative_to(folder).as_posix(), line=0
    )
    if len(text) > MAX_CHARACTERS:
        row["problem"] = f"a text must have at most {MAX_CHARACTERS:,} characters"
    else:
        row["problem"] = problem_of(row, labeled=label is not None)
    return row


def _number_in_name(file: Path) -> tuple[int, str]:
    number = file.stem.split("_")[0]
    return int(number) if number.isdecimal() and len(number) < 20 else -1, str(file)
