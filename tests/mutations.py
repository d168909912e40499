"""Break one line in each of the central functions, and see that the default run notices.

    python tests/mutations.py              # all, half a minute each
    python tests/mutations.py wilson bleu  # those whose name holds one of these words

Each change is made in a copy of the repository, never here; the tests named beside it are a part
of what ``make test`` runs. The exit code is the number of changes that no test noticed.
``tests/test_mutations.py`` holds every change to a line that is there.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
COPIED = ("lit_tasks", "tests", "configs", "docs", "benchmarks", "notebooks", ".github")


class Mutation(NamedTuple):
    """One change: a text that stands once in the package, what takes its place, who must notice."""

    name: str
    right: str
    wrong: str
    tests: str


MUTATIONS = [
    Mutation(
        "derivative of the cell gate",
        "bar_g * (1 - g**2)",
        "bar_g * (1 - g)",
        "functional",
    ),
    Mutation(
        "derivative of tanh",
        "grad_h * (1 - h**2)",
        "grad_h * (1 - h)",
        "functional",
    ),
    Mutation(
        "cell state",
        "c_next = f * c + i * g",
        "c_next = i * c + f * g",
        "functional",
    ),
    Mutation(
        "forward step in place",
        "torch.mul(f, c, out=c_next)",
        "torch.mul(i, c, out=c_next)",
        "nn",
    ),
    Mutation(
        "packing of an empty sequence",
        "times, right=True)",
        "times, right=False)",
        "functional",
    ),
    Mutation(
        "reversal",
        "turned = offsets[last - step] + lane",
        "turned = offsets[step] + lane",
        "functional nn",
    ),
    Mutation(
        "BLEU's tie",
        "min((abs(len(r) - length), len(r)) for r in references)[1]",
        "-min((abs(len(r) - length), -len(r)) for r in references)[1]",
        "metrics",
    ),
    Mutation(
        "brevity penalty of one sentence",
        "exp(min(0.0, 1 - len(reference) / len(prediction)))",
        "exp(1 - len(reference) / len(prediction))",
        "functional/caption",
    ),
    Mutation(
        "CIDEr-D's clipping",
        "min(our, their) * their",
        "our * their",
        "metrics",
    ),
    Mutation(
        "ROUGE-L's weight of recall",
        "1.2**2",
        "1.0**2",
        "metrics",
    ),
    Mutation(
        "Wilson",
        "z**2 / (4 * total**2)",
        "z**2 / (4 * total)",
        "test_wilson.py test_statistics.py",
    ),
    Mutation(
        "Newcombe",
        "a * a - 2 * phi * a * b",
        "a * a + 2 * phi * a * b",
        "test_statistics.py",
    ),
    Mutation(
        "McNemar",
        "range(fewer + 1)",
        "range(fewer)",
        "test_statistics.py",
    ),
    Mutation(
        "Student",
        "term *= cosine**2 * (k - 1) / k",
        "term *= cosine**2",
        "test_statistics.py",
    ),
    Mutation(
        "temperature",
        "if (expected - true).mean() > 0",
        "if (expected - true).mean() > 1",
        "functional",
    ),
    Mutation(
        "upper edge of a bin",
        "(confidence * self.bins).ceil()",
        "(confidence * self.bins)",
        "metrics",
    ),
    Mutation(
        "class weights",
        "weights = 1 / counts.clamp(min=1)",
        "weights = 1 / (counts + 1)",
        "functional",
    ),
    Mutation(
        "n-grams across texts",
        "place.unsqueeze(1) >= torch",
        "place.unsqueeze(1) > torch",
        "functional",
    ),
    Mutation(
        "shard index",
        "batch[self.rank :: self.world_size]",
        "batch[:: self.world_size]",
        "test_sampling.py",
    ),
    Mutation(
        "padded sample",
        "BatchShard(batch[:1], 0, len(batch))",
        "BatchShard(batch[:1], 1, len(batch))",
        "test_sampling.py distributed/test_exact_batches.py",
    ),
    Mutation(
        "order of an epoch",
        "manual_seed(derived_seed(self.seed, self.epoch))\n        batches",
        "manual_seed(derived_seed(self.seed))\n        batches",
        "test_sampling.py",
    ),
    Mutation(
        "groups stay together",
        "split_of_row = split_of_group[member]",
        "split_of_row = split_of_group[member[::-1]]",
        "data",
    ),
    Mutation(
        "Gram matrix",
        ".second / features.shape[1]",
        ".second",
        "functional",
    ),
    Mutation(
        "Wasserstein distance",
        "- 2 * overlap",
        "- overlap",
        "functional",
    ),
    Mutation(
        "total variation",
        "down.square().sum(dim=(1, 2, 3)) + right.square()",
        "down.square().sum(dim=(1, 2, 3)) + down.square()",
        "functional",
    ),
    Mutation(
        "beams that end",
        "new[:, num_beams:] = False",
        "new[:, :num_beams] = False",
        "nn",
    ),
    Mutation(
        "self-critical baseline",
        "others = by_image.sum(dim=1, keepdim=True) - by_image",
        "others = by_image.sum(dim=1, keepdim=True)",
        "nn",
    ),
    Mutation(
        "frozen stages",
        "stages[: max(0, len(stages) - self._trained_stages)]",
        "stages[:0]",
        "nn",
    ),
    Mutation(
        "random state of a resumed run",
        'torch.set_rng_state(state["torch"].cpu())',
        "pass",
        "distributed/test_resume.py",
    ),
    Mutation(
        "rows of a resumed run",
        'int(row["step"]) < step',
        'int(row["step"]) <= step',
        "cli",
    ),
    Mutation(
        "merged predictions",
        'numpy.unique(entries["index"], return_index=True)',
        '(0, numpy.argsort(entries["offset"]))',
        "callbacks/predictions/test_prediction_writer.py",
    ),
    Mutation(
        "split column",
        "split = split_named(cell)",
        'split = split_named(cell) or "train"',
        "data",
    ),
    Mutation(
        "rare words",
        'pc.greater_equal(counts["counts"], min_count)',
        'pc.greater(counts["counts"], min_count)',
        "text",
    ),
    Mutation(
        "F1",
        '"f1": 2 * right / (of_class + taken)',
        '"f1": right / (of_class + taken)',
        "metrics",
    ),
    Mutation(
        "linear decay",
        '"linear": 1 - done',
        '"linear": 1 - done / 2',
        "tasks",
    ),
]


def place(mutation: Mutation, package: Path) -> Path:
    """Return the one file in which a change is to be made.

    Raises:
        ValueError: The text stands nowhere or more than once.
    """
    texts = {path: path.read_text() for path in sorted(package.rglob("*.py"))}
    found = [path for path, text in texts.items() for _ in range(text.count(mutation.right))]
    if len(found) != 1:
        raise ValueError(f"{mutation.name}: {mutation.right!r} must stand once, got {found}")
    return found[0]


def passes(tests: str, mutation: Mutation | None = None) -> bool:
    """Return whether these tests pass in a copy, with a change or without."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        for name in COPIED:
            shutil.copytree(ROOT / name, copy / name)
        for path in ROOT.glob("*.*"):
            if path.is_file():
                shutil.copy(path, copy)
        if mutation is not None:
            path = place(mutation, copy / "lit_tasks")
            path.write_text(path.read_text().replace(mutation.right, mutation.wrong))
        words = ["-m", "pytest", "-q", "-x", "-m", "not slow", "-p", "no:cacheprovider"]
        words += [f"tests/{name}" for name in tests.split()]
        environment = {**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, *words], cwd=copy, env=environment, capture_output=True, text=True
        )
    if done.returncode not in (0, 1):
        raise RuntimeError(f"pytest ended with {done.returncode} on {tests}\n{done.stdout}")
    return done.returncode == 0


def main(words: list[str]) -> int:
    """Try the changes; return how many of them nothing noticed."""
    chosen = [m for m in MUTATIONS if not words or any(word in m.name for word in words)]
    files = " ".join(sorted({name for mutation in chosen for name in mutation.tests.split()}))
    if not passes(files):
        sys.exit("the tests fail without any change: what they notice says nothing")
    survivors = []
    for mutation in chosen:
        noticed = not passes(mutation.tests, mutation)
        print(f"{'noticed ' if noticed else 'SURVIVED'}  {mutation.name}", flush=True)
        survivors += [] if noticed else [mutation.name]
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} changes noticed")
    return len(survivors)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
