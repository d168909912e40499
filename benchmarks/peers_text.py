"""Text classification by others, on the data, splits and words of docs/results.md.

    pip install scikit-learn fasttext-numpy2
    python benchmarks/peers_text.py [--data ../shared/data] [--out docs/peers_text.json]

- scikit-learn: TF-IDF of words and pairs of words, logistic regression;
- fastText (Joulin et al. 2017): the mean of vectors of words and hashed pairs, supervised. The
  package is built from Facebook's code, with mends for numpy 2.

Words are those of our tokenizer, the validation texts those of our data modules. One setting of
each is chosen on validation, from those below, and IMDB's test split looked at with that one; of
fastText three times while this was written, as larger learning rates were tried.
"""

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from lit_tasks.data.base.text import TextDataModule
from lit_tasks.data.imdb import ImdbDataModule
from lit_tasks.data.text_files import TextFilesDataModule
from lit_tasks.protocols import Split
from lit_tasks.text.encoding import TextOptions

REGULARIZATIONS = (1.0, 10.0, 100.0)  # C of scikit-learn
LEARNING_RATES = (0.25, 0.5, 1.0)
_AT_ONCE = 1024  # texts


class Texts(NamedTuple):
    """A split.

    Attributes:
        texts: The words of each, with blanks between.
        labels: Its labels.
    """

    texts: list[str]
    labels: list[str]


#: A fitted classifier: the fraction of the texts of a split that it gets right.
Accuracy = Callable[[Texts], float]


def split_of(data: TextDataModule, split: Split) -> Texts:
    """Return a split as a data module reads it."""
    source = data.source(split)
    table = source.data.data.table.select(["text", "label"])
    if source.select is not None:
        table = table.take(pa.array(source.select))
    tokenizer, texts = data.text.tokenizer, table["text"].combine_chunks()
    starts = range(0, len(texts), _AT_ONCE)
    words = [pc.binary_join(tokenizer(texts[i : i + _AT_ONCE]), " ") for i in starts]
    return Texts(pa.concat_arrays(words).to_pylist(), table["label"].to_pylist())


def tfidf(train: Texts, regularization: float) -> Accuracy:
    """Fit scikit-learn's logistic regression on TF-IDF of words and pairs of words."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\S+"),
        LogisticRegression(C=regularization, solver="liblinear"),
    )
    model.fit(*train)
    return lambda split: float(model.score(*split))


def fasttext(train: Texts, learning_rate: float) -> Accuracy:
    """Fit fastText as its paper does: ten numbers a vector, pairs of words, five epochs."""
    import fasttext as package  # type: ignore[import-not-found, import-untyped, unused-ignore]

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.txt"
        _write(train, path, shuffle=True)  # fastText reads in order, and IMDB stands by label
        model = package.train_supervised(
            str(path), lr=learning_rate, wordNgrams=2, epoch=5, dim=10, thread=1, verbose=0
        )

    def accuracy(split: Texts) -> float:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "split.txt"
            _write(split, path, shuffle=False)
            _, precision, _ = model.test(str(path))
        return float(precision)

    return accuracy


def _write(split: Texts, path: Path, shuffle: bool) -> None:
    """Write a split as fastText reads it."""
    lines = [f"__label__{label} {text}\n" for text, label in zip(*split, strict=True)]
    if shuffle:
        random.Random(0).shuffle(lines)
    path.write_text("".join(lines), encoding="utf-8")


PEERS: dict[str, tuple[Callable[[Texts, float], Accuracy], str, tuple[float, ...]]] = {
    "scikit-learn, TF-IDF and logistic regression": (tfidf, "C", REGULARIZATIONS),
    "fastText, pairs of words": (fasttext, "lr", LEARNING_RATES),
}


def row(name: str, data: TextDataModule, splits: dict[str, Texts], test: bool) -> dict[str, object]:
    """Choose a peer's setting on validation; return what it reaches and what one fit took."""
    fit, setting, values = PEERS[name]
    best: tuple[float, float, float, Accuracy] | None = None
    for value in values:
        start = time.perf_counter()
        accuracy = fit(splits["train"], value)
        took, found = time.perf_counter() - start, accuracy(splits["val"])
        print(f"{name}, {setting} {value}: val {found:.4f}, {took:.0f} s")
        if best is None or found > best[0]:
            best = found, value, took, accuracy
    assert best is not None
    found, value, took, accuracy = best
    result: dict[str, object] = {"setting": f"{setting} {value:g}", "seconds": round(took, 1)}
    result["val/accuracy"] = round(found, 4)
    if test:
        result["test/accuracy"] = round(accuracy(split_of(data, "test")), 4)
        print(f"{name}: test {result['test/accuracy']}")
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, help="JSON file of the results")
    options = parser.parse_args()
    sentences = options.data / "sentiment_sentences"
    sets: dict[str, tuple[TextDataModule, bool]] = {
        "sentences": (
            TextFilesDataModule(
                train=sentences / "train.txt",
                val=sentences / "dev.txt",
                text=TextOptions(split="space"),
            ),
            False,
        ),
        "imdb": (
            ImdbDataModule(
                options.data / "imdb", text=TextOptions(split="words"), val_fraction=0.04
            ),
            True,
        ),
    }
    found = {}
    for name, (data, test) in sets.items():
        print(name)
        splits = {"train": split_of(data, "train"), "val": split_of(data, "val")}
        found[name] = {peer: row(peer, data, splits, test=test) for peer in PEERS}
    if options.out is not None:
        options.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
