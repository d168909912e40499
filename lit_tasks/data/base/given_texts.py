"""Texts that a program holds, or files of them, as batches."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path

import pyarrow as pa
import torch

from lit_tasks.batch import TextBatch
from lit_tasks.data.readers.text_files import Columns, check_regular, format_of, read_rows
from lit_tasks.files import not_there
from lit_tasks.text.encoding import TextOptions, encode
from lit_tasks.text.vocabulary import Vocabulary

Given = tuple[int | str, str]  # what a text is called, and the text


def encoded_batch(
    texts: Sequence[str], vocabulary: Vocabulary, options: TextOptions, first: int = 0
) -> TextBatch:
    """Return texts as one ragged batch without labels.

    Args:
        texts: At least none.
        vocabulary: The number of each word.
        options: How texts become words.
        first: Position of the first text among all that are predicted.
    """
    words = options.tokenizer(pa.array(texts, pa.string()))
    numbers = encode(words, vocabulary, options)
    return TextBatch(
        torch.from_numpy(numbers.values.to_numpy().astype("int64")),
        torch.from_numpy(numbers.value_lengths().to_numpy().astype("int64")),
        label=None,
        index=torch.arange(first, first + len(texts)),
    )


def parts_of(batch: TextBatch, size: int) -> Iterator[TextBatch]:
    """Yield a batch without labels in batches of ``size``, and the rest."""
    lengths, index = batch.lengths.split(size), batch.index.split(size)
    tokens = batch.tokens.split([int(each.sum()) for each in lengths])
    for mine, many, where in zip(tokens, lengths, index, strict=True):
        yield TextBatch(mine, many, label=None, index=where)


def given_texts(inputs: Iterable[object], columns: Columns) -> Iterator[Given]:
    """Yield texts with their position, and those of files with the file's own ids or rows.

    Args:
        inputs: Strings, each a text, and paths, each a file of texts.
        columns: Where text and id stand in files that have columns.

    Raises:
        TypeError: Something is neither text nor path.
        ValueError: A text cannot be written as UTF-8, or a row of a file cannot be used.
    """
    for position, item in enumerate(inputs):
        if isinstance(item, str):
            yield position, _checked(item, position)
        elif isinstance(item, PathLike):
            yield from _texts_of(Path(item), columns)
        else:
            raise TypeError(
                "a text is a str, and a file of texts a pathlib.Path; input"
                f" {position} is a {type(item).__name__}"
            )


def _checked(text: str, position: int) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"input {position} is no text in UTF-8 ({error.reason})") from error
    return text


def _texts_of(path: Path, columns: Columns) -> Iterator[Given]:
    if not path.exists():
        raise not_there(path, f"there is no file of texts {path}; a text itself is a str")
    check_regular(path)
    rows = read_rows(path, format_of(path, None), replace(columns, label=None))
    for number, row in enumerate(rows):
        if row["problem"]:
            raise ValueError(f"{path}, line {row['line']}: {row['problem']}")
        yield row["id"] or number, row["text"]
