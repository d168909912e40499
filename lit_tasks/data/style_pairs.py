"""Pairs of a photograph and a painting, in files or carried by packages."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from lit_tasks.batch import StyleBatch
from lit_tasks.data.pictures import ENDINGS, in_colour, read_picture
from lit_tasks.data.strokes import draw_strokes

PHOTOGRAPH, STROKES = "photograph", "strokes"
_CARRIED = (("sklearn", "datasets/images/china.jpg"), ("skimage", "data/astronaut.png"))
_MOST = 100_000_000  # pixels of a picture that is worked on


@dataclass(frozen=True)
class Pair:
    """What is to be seen and how it is to be painted.

    Attributes:
        content: File of the photograph, or ``photograph`` for one that a package carries.
        style: File of the painting, or ``strokes`` for a drawn one; several with their shares.
        name: What files about the pair are called; made of the two names when left out.
    """

    content: str
    style: str | dict[str, float]
    name: str | None = None

    @property
    def styles(self) -> dict[str, float]:
        """Every painting with its share."""
        return {self.style: 1.0} if isinstance(self.style, str) else dict(self.style)


class StylePairsDataModule(LightningDataModule):
    """Pairs of pictures for style transfer, each a piece of work of its own.

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
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        sizes = {"image_size": image_size, "batch_size": batch_size, "style_size": style_size or 1}
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
        self.image_size = image_size
        self.style_size = max(1, round((style_size or image_size) * style_scale))
        self.names: list[str] = []
        self._dataset: StylePairs | None = None

    @property
    def predict_ids(self) -> list[str]:
        """What each pair is called."""
        return self.names

    def setup(self, stage: str) -> None:
        """Find all files of all pairs, unless only finished pictures are asked for."""
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
                self.root, pairs, names, self.image_size, self.style_size, self.batch_size
            )

    def train_dataloader(self) -> DataLoader[StyleBatch]:
        """Return one group of pairs an epoch, as often as a picture takes steps."""
        assert self.trainer is not None
        assert self._dataset is not None
        steps = getattr(self.trainer.lightning_module, "steps", 1)
        groups = Groups(len(self.names), self.batch_size, steps)
        return DataLoader(dataset=self._dataset, batch_sampler=groups, collate_fn=collate)

    def val_dataloader(self) -> DataLoader[StyleBatch]:
        """Return every pair once."""
        assert self._dataset is not None
        return DataLoader(dataset=self._dataset, batch_size=self.batch_size, collate_fn=collate)

    test_dataloader = val_dataloader

    def predict_dataloader(self) -> DataLoader[StyleBatch]:
        """Return every pair's name: no picture is read."""
        named = _Named(self.names, self.batch_size)
        return DataLoader(dataset=named, batch_size=self.batch_size, collate_fn=collate)

    def pair(self, index: int) -> dict[str, Any]:
        """Return the pictures of a pair, its name and its shares."""
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
            shares = pair.styles.values()
            if not shares or min(shares) < 0 or not sum(shares) > 0:
                raise ValueError(
                    f"a pair's styles need shares that are not negative and not all 0, got {pair}"
                )
            yield pair
        if not self.contents and not self.pairs:
            yield Pair(PHOTOGRAPH, STROKES)

    def _files(self, names: Sequence[str]) -> Iterator[str]:
        for name in names:
            folder = self.root / name
            if folder.is_dir():
                found = sorted(p for p in folder.iterdir() if p.suffix.lower() in ENDINGS)
                if not found:
                    raise FileNotFoundError(f"{folder} has no pictures")
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
        raise FileNotFoundError(f"there is no picture {path}; {hint}")


class StylePairs(Dataset[Any]):
    """Pairs as pictures of the sizes that are asked for.

    Args:
        root: Folder that file names start from.
        pairs: The pairs.
        names: What they are called.
        image_size: Pixels of a photograph's shorter side.
        style_size: Pixels of a painting's shorter side.
        batch_size: Pairs that are worked on at the same time.
    """

    def __init__(
        self,
        root: Path,
        pairs: Sequence[Pair],
        names: Sequence[str],
        image_size: int,
        style_size: int,
        batch_size: int,
    ) -> None:
        self.root, self.pairs, self.names = root, pairs, names
        self.image_size, self.style_size, self.batch_size = image_size, style_size, batch_size
        # Every step asks for the same few pictures again.
        self._read = lru_cache(maxsize=4 * batch_size)(self._picture)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> dict[str, Any]:
        pair = self.pairs[index]
        return {
            "content": self._read(pair.content, self.image_size),
            "styles": [self._read(name, self.style_size) for name in pair.styles],
            "shares": list(pair.styles.values()),
            "name": self.names[index],
            "place": index % self.batch_size,
            "index": index,
        }

    def _picture(self, name: str, size: int) -> Tensor:
        path = self.root / name
        if name == PHOTOGRAPH and not path.is_file():
            picture = _photograph()
        elif name == STROKES and not path.is_file():
            picture = draw_strokes()
        else:
            picture = read_picture(path, name=str(path))
        return torch.from_numpy(np.array(resized(picture, size, name))).permute(2, 0, 1)


class Groups(Sampler[list[int]]):
    """The same few pairs in every batch of an epoch, and the next ones in the next epoch.

    Args:
        pairs: How many there are.
        size: Pairs of a group.
        steps: Batches of an epoch.
    """

    def __init__(self, pairs: int, size: int, steps: int) -> None:
        self.pairs, self.size, self.steps, self.epoch = pairs, size, steps, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the group."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[int]]:
        first = self.epoch * self.size
        group = list(range(self.pairs))[first : first + self.size]
        for _ in range(self.steps):
            yield group


class _Named(Dataset[Any]):
    def __init__(self, names: Sequence[str], batch_size: int) -> None:
        self.names, self.batch_size = names, batch_size

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"name": self.names[index], "place": index % self.batch_size, "index": index}


def collate(samples: list[dict[str, Any]]) -> StyleBatch:
    """Return pairs side by side: their pictures differ in size."""
    whole = "content" in samples[0]
    return StyleBatch(
        content=[sample["content"] for sample in samples] if whole else None,
        styles=[sample["styles"] for sample in samples] if whole else None,
        shares=[sample["shares"] for sample in samples] if whole else [],
        names=[sample["name"] for sample in samples],
        place=[sample["place"] for sample in samples],
        index=torch.tensor([sample["index"] for sample in samples]),
    )


def resized(picture: Image.Image, size: int, name: str) -> Image.Image:
    """Return a picture whose shorter side has ``size`` pixels, as torchvision's Resize does.

    Raises:
        ValueError: The other side would be too long.
    """
    width, height = picture.size
    short = min(width, height)
    new = (
        (size, int(size * height / short)) if width <= height else (int(size * width / short), size)
    )
    if new[0] * new[1] > _MOST:
        raise ValueError(
            f"{name} of {width} x {height} pixels would become {new[0]} x {new[1]}: choose a "
            "smaller size, or cut it"
        )
    return picture if new == picture.size else picture.resize(new, Image.Resampling.BILINEAR)


def _photograph() -> Image.Image:
    for package, file in _CARRIED:
        spec = find_spec(package)  # importing them would take a second
        if spec is not None and spec.origin and (Path(spec.origin).parent / file).is_file():
            with Image.open(Path(spec.origin).parent / file) as picture:
                return in_colour(picture)
    raise FileNotFoundError(
        "no package here carries a photograph: pip install scikit-learn, or give one of your own"
    )


def _name(pair: Pair) -> str:
    return "__".join([Path(pair.content).stem, "_".join(Path(s).stem for s in pair.styles)])


def _unique(names: Sequence[str]) -> list[str]:
    """Return the names, a number added where one comes again: they become names of files."""
    seen: Counter[str] = Counter()
    result = []
    for name in names:
        name = name.replace("/", "_")
        seen[name] += 1
        result.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return result
