"""Splits of labeled image files as people give them, and what is told about them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_info, rank_zero_only

from lit_tasks.data.base.labels import stands_for_missing
from lit_tasks.data.readers.image_folders import folders_in, found_below, path_text
from lit_tasks.data.readers.images import content_numbers
from lit_tasks.data.readers.split_names import USUAL_NAMES, holds_split, split_named
from lit_tasks.printable import printable

Labeled = tuple[Sequence[Path], Sequence[str]]
"""Files, and the class of each."""
_CALLED = {"train": "training", "val": "validation", "test": "test"}


def split_folders(root: Path) -> dict[str, Path]:
    """Return the folder of each split, none where the folders have no usual name of a split.

    Which folder was taken for what is told, and what other folders hold is counted.

    Raises:
        ValueError: Folders have names of splits, but none is for training or two are for one split,
            or the splits stand within the classes.
    """
    folders = folders_in(root)
    name = path_text(root)
    found: dict[str, Path] = {}
    for path in folders:
        split = split_named(path.name)
        if split in found:
            both = f"{path_text(found[split].name)} and {path_text(path.name)}"
            raise ValueError(
                f"{name} holds {both}, both names of the {_CALLED[split]} split: merge or rename"
            )
        if split is not None:
            found[split] = path
    others = [path for path in folders if path not in found.values()]
    if not found:
        _refuse_splits_in_classes(name, folders)
        return {}
    if "train" not in found or (others and not folders_in(found["train"])):
        names = listed([path.name for path in found.values()])
        beside = f" beside {listed([path.name for path in others])}" if others else ""
        raise ValueError(
            f"{name} holds {names}{beside}: names of splits, but not of a training split with a"
            f" folder for each class. Rename a folder that is a class; the splits are {USUAL_NAMES}"
        )
    told = [f"{split} is {path_text(found[split].name)}/" for split in _CALLED if split in found]
    rank_zero_info(f"{name}: {', '.join(told)}")
    for path in others:
        count = len(found_below(path).images)
        rank_zero_info(f"{path_text(path)} is no split: its {count:,} images are not used")
    return {split: found[split] for split in _CALLED if split in found}


def _refuse_splits_in_classes(name: str, folders: Sequence[Path]) -> None:
    """Refuse ``ants/train``, ``ants/val``, ... and ``seg_train``, ``seg_test``: no classes."""
    if len(folders) > 1 and all(holds_split(folder.name) for folder in folders):
        raise ValueError(
            f"{name} holds {listed([folder.name for folder in folders])}, which are named after"
            f" splits and would all be classes: rename them to {USUAL_NAMES}"
        )
    for path in folders:
        within = [split_named(folder.name) for folder in folders_in(path)]
        if "train" in within and all(within):
            inner = listed([folder.name for folder in folders_in(path)])
            outer = path_text(path.name)
            what = (
                f"set data.root to {name}/{outer}"
                if len(folders) == 1
                else f"put the splits above the classes, as in train/{outer}"
            )
            raise ValueError(f"{name}/{outer} holds {inner}, which are names of splits: {what}")


@rank_zero_only
def tell_copies(given: Mapping[str, Labeled]) -> None:
    """Say how many images of one split stand in another one as well."""
    files = [file for found, _ in given.values() for file in found]
    labels = [label for _, found in given.values() for label in found]
    numbers = content_numbers(files)
    tell_conflicts(files, labels, numbers)
    left = iter(numbers)
    contents = {split: [next(left) for _ in found] for split, (found, _) in given.items()}
    for first, second in combinations([split for split in _CALLED if split in given], 2):
        rows = [i for i, n in enumerate(contents[second]) if n in set(contents[first])]
        if rows:
            rank_zero_info(
                f"{len(rows):,} of {len(contents[second]):,} {_CALLED[second]} images stand in the"
                f" {_CALLED[first]} split as well, first {path_text(given[second][0][rows[0]])}:"
                " metrics are too good by them; remove them from one of the two"
            )


@rank_zero_only
def tell_conflicts(files: Sequence[Path], labels: Sequence[str], numbers: Sequence[int]) -> None:
    """Say how many images have two labels; files of one number have the same content."""
    classes: dict[int, set[str]] = {}
    for number, label in zip(numbers, labels, strict=True):
        classes.setdefault(number, set()).add(label)
    rows = {n: row for row, n in reversed(list(enumerate(numbers))) if len(classes[n]) > 1}
    if rows:
        number, row = min(rows.items(), key=lambda item: item[1])
        some = "1 image has" if len(rows) == 1 else f"{len(rows):,} images have"
        rank_zero_info(
            f"{some} more than one label, first {path_text(files[row])}:"
            f" {listed(sorted(classes[number]))}"
        )


def tell_inner(classes: Mapping[Path, Sequence[Path]]) -> None:
    """Say where every class has the same folders of images: those may be meant to be the classes.

    Args:
        classes: The images below the folder of each class.
    """
    inner = [{file.relative_to(path).parts[:-1][:1] for file in classes[path]} for path in classes]
    if len(inner) < 2 or () in set().union(*inner):
        return
    same = sorted(name for (name,) in set.intersection(*inner))
    if len(same) > 1:
        names = [path.name for path in classes]
        rank_zero_info(
            f"The classes are {listed(names)}, and each has the folders {listed(same)}: if these"
            " are the classes, put the images of each into one folder, or name labels in a table"
            " (data.table)"
        )


def tell_similar(labels: Sequence[str]) -> None:
    """Say which labels differ only in capitals: they are classes of their own."""
    same: dict[str, set[str]] = {}
    for label in labels:
        same.setdefault(label.casefold(), set()).add(label)
    pairs = [" and ".join(sorted(names)) for names in same.values() if len(names) > 1]
    if pairs:
        rank_zero_info(f"Labels that differ only in capitals are several classes: {listed(pairs)}")


def tell_missing(labels: Sequence[str]) -> None:
    """Say how many images have a label such as ``nan``, which may stand for a missing one."""
    missing = Counter(filter(stands_for_missing, labels))
    if missing:
        rank_zero_info(
            f"{missing.total():,} images have the label {' or '.join(sorted(missing))}; it is a"
            " class like others, so leave these rows out if it stands for a missing label"
        )


def listed(names: Sequence[str]) -> str:
    """Return some names with commas, and how many more there are."""
    more = f" and {len(names) - 5:,} more" if len(names) > 5 else ""
    return ", ".join(path_text(name) for name in names[:5]) + more


def counted(labels: Sequence[str]) -> str:
    """Return how many images some classes have."""
    return listed([f"{n:,} {printable(label)}" for label, n in sorted(Counter(labels).items())])
