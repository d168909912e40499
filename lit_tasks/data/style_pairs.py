"""Pairs of a photograph and a painting, in files or carried by packages."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from itertools import count
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader

from lit_tasks.batch import StyleBatch
from lit_tasks.checked_loading import CheckedLoading
from lit_tasks.data.base.style_dataset import (
    PHOTOGRAPH,
    STROKES,
    Groups,
    Pair,
    PairNames,
    StylePairs,
    collate,
)
from lit_tasks.data.readers.image_folders import endings, is_hidden
from lit_tasks.data.readers.opened_images import MAX_PIXELS
from lit_tasks.protocols import HasSteps


class StylePairsDataModule(CheckedLoading, LightningDataModule):
    """Pairs of images for style transfer, each a piece of work of its own.

    Every photograph of ``contents`` is painted like every painting of ``styles``; ``pairs`` are
    added to that grid. With nothing given there is one pair, which needs no file: a photograph that
    scikit-learn or scikit-image carries, and drawn strokes.

    Args:
        root: Folder that file names start from.
        contents: Photographs, or folders of them.
        styles: Paintings, or folders of them.
        pairs: Further pairs, one by one.
        image_size: Pixels of the photograph's shorter side.
        style_size: Pixels of the painting's shorter side; as the photograph's when left out.
        style_scale: Multiplies the painting's size: larger makes larger strokes.
        batch_size: Pairs that are worked on at the same time, over all processes: at least as many
            as there are processes, if none is to wait.
        max_pixels: Pixels that an image may have: reading takes up to 8 bytes of memory each.
    """

    def __init__(
        self,
        root: Path = Path("."),
        contents: list[str] | None = None,
        styles: list[str] | None = None,
        pairs: list[Pair] | None = None,
        image_size: int = 256,
        style_size: int | None = None,
        style_scale: float = 1.0,
        batch_size: int = 1,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        sizes = {"image_size": image_size, "batch_size": batch_size, "style_size": style_size or 1}
        sizes["max_pixels"] = max_pixels
        for option, value in sizes.items():
            if value < 1:
                raise ValueError(f"{option} must be at least 1, got {value}")
        if style_scale <= 0:
            raise ValueError(f"style_scale must be above 0, got {style_scale}")
        if bool(contents) != bool(styles):
            given, other = ("contents", "styles") if contents else ("styles", "contents")
            raise ValueError(f"{given} are given without {other}: give both, or pairs")
        self.root, self.contents, self.styles = Path(root), contents or [], styles or []
        self.pairs, self.batch_size = pairs or [], batch_size
        self.image_size, self.max_pixels = image_size, max_pixels
        self.style_size = max(1, round((style_size or image_size) * style_scale))
        self.names: list[str] = []
        self._dataset: StylePairs | None = None

    @property
    def predict_ids(self) -> list[str]:
        """What each pair is called."""
        return self.names

    def setup(self, stage: str) -> None:
        """Find all files of all pairs, unless only finished images are asked for."""
        if stage == "predict" and self.names:
            return
        if self._dataset is None:
            pairs = list(self._all())
            for pair in pairs:
                for name in (pair.content, *pair.styles):
                    self._check(name)
            names = _unique([pair.name or _name(pair) for pair in pairs])
            if self.names and self.names != names:
                raise ValueError(
                    f"the checkpoint was made for the pairs {', '.join(self.names)}, now there are "
                    f"{', '.join(names)}: restore them, or start a new run"
                )
            self.names = names
            self._dataset = StylePairs(
                self.root,
                pairs,
                names=names,
                image_size=self.image_size,
                style_size=self.style_size,
                batch_size=self.batch_size,
                max_pixels=self.max_pixels,
            )

    def train_dataloader(self) -> DataLoader[StyleBatch]:
        """Return one group of pairs an epoch, as often as an image takes steps."""
        assert self.trainer is not None
        assert self._dataset is not None
        task: object = self.trainer.lightning_module
        steps = task.steps if isinstance(task, HasSteps) else 1
        groups = Groups(len(self.names), self.batch_size, steps)
        return DataLoader(dataset=self._dataset, batch_sampler=groups, collate_fn=collate)

    def val_dataloader(self) -> DataLoader[StyleBatch]:
        """Return every pair once."""
        assert self._dataset is not None
        return DataLoader(dataset=self._dataset, batch_size=self.batch_size, collate_fn=collate)

    test_dataloader = val_dataloader

    def predict_dataloader(self) -> DataLoader[StyleBatch]:
        """Return every pair's name: no image is read."""
        named = PairNames(self.names, self.batch_size)
        return DataLoader(dataset=named, batch_size=self.batch_size, collate_fn=collate)

    def pair(self, index: int) -> dict[str, Any]:
        """Return the images of a pair, its name and the weights of its styles."""
        assert self._dataset is not None
        return self._dataset[index]

    def state_dict(self) -> dict[str, Any]:
        """Return what the pairs are called."""
        return {"names": list(self.names)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what the pairs of a checkpoint are called."""
        self.names = list(state_dict["names"])

    def _all(self) -> Iterator[Pair]:
        for content in self._files(self.contents):
            for style in self._files(self.styles):
                yield Pair(content, style)
        for pair in self.pairs:
            style_weights = pair.styles.values()
            if not style_weights or min(style_weights) < 0 or not sum(style_weights) > 0:
                raise ValueError(
                    f"a pair's styles need weights that are not negative and not all 0, got {pair}"
                )
            yield pair
        if not self.contents and not self.pairs:
            yield Pair(PHOTOGRAPH, STROKES)

    def _files(self, names: Sequence[str]) -> Iterator[str]:
        for name in names:
            folder = self.root / name
            if folder.is_dir():
                seen = (p for p in folder.iterdir() if not is_hidden(p.name))
                found = sorted(p for p in seen if p.suffix.lower() in endings())
                if not found:
                    raise FileNotFoundError(f"{folder} has no images")
                yield from (str(p.relative_to(self.root)) for p in found)
            else:
                yield name

    def _check(self, name: str) -> None:
        path = self.root / name
        if name in (PHOTOGRAPH, STROKES) or path.is_file():
            return
        there = {p.name.lower(): p.name for p in path.parent.glob("*")}
        near = get_close_matches(path.name.lower(), there, n=1)
        hint = f"did you mean {there[near[0]]}?" if near else "give its path, or root"
        raise FileNotFoundError(f"there is no image {path}; {hint}")


def _name(pair: Pair) -> str:
    return "__".join([Path(pair.content).stem, "_".join(Path(s).stem for s in pair.styles)])


def _unique(names: Sequence[str]) -> list[str]:
    """Return the names, a number added where their files would be those of an earlier one."""
    taken: set[str] = set()
    result = []
    for name in names:
        name = name.replace("/", "_")
        candidates = (name if number == 1 else f"{name}-{number}" for number in count(1))
        free = next(candidate for candidate in candidates if not taken & _files_of(candidate))
        taken |= _files_of(free)
        result.append(free)
    return result


def _files_of(name: str) -> set[str]:
    """Return what files of a pair are called, as file systems compare that ignore the case."""
    return {name.casefold(), f"{name}_loss".casefold()}
