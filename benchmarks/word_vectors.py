"""Word vectors from texts without labels, for ``vectors: FILE`` of an encoder.

    pip install 'lit-tasks[vectors]'
    python benchmarks/word_vectors.py data/imdb --out data/imdb_vectors.bin

A file or folder is read as ``TextFilesDataModule`` reads texts to predict; of IMDB's folder the
training reviews and the 50,000 without labels are read, never the test reviews.

Words are those of the data modules' tokenizer; the objective is skip-gram with negative samples
(Mikolov et al. 2013), by gensim. The vectors are written in word2vec's binary form, scaled to a
standard deviation of 0.5, about that of GloVe's: a network on vectors of gensim's size learns
slowly at first. One thread and one seed give the same file again.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
from gensim.models import Word2Vec  # type: ignore[import-untyped, unused-ignore]

from lit_tasks.data.readers.text_files import Columns
from lit_tasks.data.text_files import file_source
from lit_tasks.text.tokenizer import Tokenizer

_AT_ONCE = 1024  # texts


def without_test(path: Path) -> list[Path]:
    """Return the training files of IMDB's folder, and any other path as it is."""
    parts = [*sorted(path.glob("train-*.parquet")), *sorted(path.glob("unsupervised-*.parquet"))]
    if parts:
        return parts
    return [path / "train"] if (path / "train").is_dir() else [path]


def write_words(files: list[Path], path: Path) -> None:
    """Write the words of each text on a line of its own."""
    tokenizer = Tokenizer(markup=True)
    with path.open("w", encoding="utf-8") as lines:
        for file in files:
            source = file_source(file, None, columns=Columns(), split="predict", cache_dir=None)
            texts = source.data.data["text"].combine_chunks()
            for start in range(0, len(texts), _AT_ONCE):
                words = pc.binary_join(tokenizer(texts[start : start + _AT_ONCE]), " ")
                lines.writelines(f"{text}\n" for text in words.to_pylist())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("paths", type=Path, nargs="+", help="texts, as data.predict reads them")
    parser.add_argument("--out", type=Path, default=Path("vectors.bin"))
    parser.add_argument("--embedding_dim", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        words = Path(folder) / "words.txt"
        write_words([file for path in options.paths for file in without_test(path)], words)
        model = Word2Vec(
            corpus_file=str(words),
            vector_size=options.embedding_dim,
            epochs=options.epochs,
            sg=1,
            sample=1e-4,
            workers=1,
            seed=0,
        )
    vectors = model.wv
    vectors.vectors *= np.float32(0.5 / vectors.vectors.std())
    vectors.save_word2vec_format(str(options.out), binary=True)
    print(
        f"{options.out}: {len(vectors):,} words, {time.perf_counter() - start:.0f} s, of them"
        f" {time.process_time():.0f} s of one core"
    )


if __name__ == "__main__":
    main()
