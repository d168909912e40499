"""Pairs of a photograph and a painting, in files or carried by packages."""

from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from difflib import get_close_matches
from functools import partial
from glob import has_magic
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities import rank_zero_info
from torch.utils.data import DataLoader

from lit_tasks.batch import StyleBatch
from lit_tasks.checked_loading import CheckedLoading, texts_of_state
from lit_tasks.data.base.given_images import GivenImages, given_images
from lit_tasks.data.base.style_dataset import (
    PHOTOGRAPH,
    STROKES,
    Groups,
    PairNames,
    StylePairs,
    as_tensor,
    collate,
)
from lit_tasks.data.base.style_names import Pair, names_of
from lit_tasks.data.readers.bit_depth import found_levels
from lit_tasks.data.readers.image_folders import left_out, path_text
from lit_tasks.data.readers.image_inputs import images_named
from lit_tasks.data.readers.images import color_profile, has_frames, reasons
from lit_tasks.data.readers.opened_images import MAX_PIXELS
from lit_tasks.data.readers.tables import BadRows
from lit_tasks.files import not_there
from lit_tasks.protocols import HasSteps, InputBatch


class StylePairsDataModule(CheckedLoading, LightningDataModule):
    """Pairs of images for style transfer, each a piece of work of its own.

    Every photograph of ``contents`` is painted like every painting of ``styles``; ``pairs`` are
    added to that grid. With nothing given there is one pair, which needs no file: a photograph that
    scikit-learn or scikit-image carries, and drawn strokes.

    Args:
        root: Folder that file names start from.
        contents: Photographs, folders of them or patterns (``photos/*.jpg``), one or several.
        styles: Paintings, likewise.
        pairs: Further pairs, one by one.
        image_size: Pixels of the photograph's shorter side.
        style_size: Pixels of the painting's shorter side; as the photograph's when left out.
        style_scale: Multiplies the painting's size: larger makes larger strokes.
        batch_size: Pairs that are worked on at the same time, over all processes: at least as many
            as there are processes, if none is to wait.
        max_pixels: Pixels that an image may have: reading takes up to 8 bytes of memory each.
        init_image: Image that all start from instead of what the task's ``init`` says.
        bad_images: ``stop`` ends the run at a pair whose files cannot be read; ``skip`` leaves such
            pairs out and counts them.
    """

    def __init__(
        self,
        root: Path = Path("."),
        contents: list[str] | str | None = None,
        styles: list[str] | str | None = None,
        pairs: list[Pair] | None = None,
        image_size: int = 256,
        style_size: int | None = None,
        style_scale: float = 1.0,
        batch_size: int = 1,
        max_pixels: int = MAX_PIXELS,
        init_image: str | None = None,
        bad_images: BadRows = "stop",
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
        self.root = Path(root).expanduser()
        self.contents, self.styles = _listed(contents), _listed(styles)
        self.init_image, self.bad_images = init_image, bad_images
        self.pairs, self.batch_size = pairs or [], batch_size
        self.image_size, self.max_pixels = image_size, max_pixels
        self.style_size = max(1, round((style_size or image_size) * style_scale))
        self.names: list[str] = []
        self.profiles: dict[str, str] = {}
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
            pairs = self._usable(list(self._all()))
            names = names_of(pairs)
            if self.names and self.names != names:
                raise ValueError(
                    f"the checkpoint was made for the pairs {', '.join(self.names)}, now there are "
                    f"{', '.join(names)}: restore them, or start a new run"
                )
            self.names = names
            self._tell_read(pairs)
            found = {n: self._profile(pair) for n, pair in zip(names, pairs, strict=True)}
            self.profiles = {name: text for name, text in found.items() if text}
            self._dataset = self._pairs(pairs, names)

    def _pairs(self, pairs: Sequence[Pair], names: Sequence[str]) -> StylePairs:
        return StylePairs(
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

    def input_batches(
        self, inputs: Iterable[object], task: object, batch_size: int | None = None
    ) -> Iterator[InputBatch]:
        """Yield photographs, each with every painting that the data module has.

        Args:
            inputs: Paths of files and folders, Pillow's images, arrays ``(H, W, 3)``.
            task: The task that paints.
            batch_size: Of no effect: each pair is a batch.
        """
        pairs = list(self._all())
        paintings = list({str(pair.styles): pair for pair in pairs}.values())
        for name in (style for pair in paintings for style in pair.styles):
            self._check(name)
        reader = self._pairs(pairs, [])
        styles = [
            [reader.image(style, self.style_size) for style in pair.styles] for pair in paintings
        ]
        for photograph in given_images(inputs):
            shown = GivenImages([photograph], self.max_pixels).read(0)
            content = as_tensor(shown, self.image_size, str(photograph.id))
            for pair, images in zip(paintings, styles, strict=True):
                [made] = names_of([Pair(str(photograph.id), pair.style)])
                yield (
                    [{"id": made}],
                    StyleBatch(
                        content=[content],
                        styles=[images],
                        style_weights=[list(pair.styles.values())],
                        names=[made],
                        slot=[0],
                        index=torch.tensor([len(self.names)]),  # behind those of the checkpoint
                    ),
                )

    def state_dict(self) -> dict[str, Any]:
        """Return what the pairs are called, and the ICC profiles of their photographs."""
        return {"names": list(self.names), "profiles": dict(self.profiles)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what the pairs of a checkpoint are called."""
        self.names = texts_of_state(state_dict, "names")
        given = state_dict.get("profiles", {})
        self.profiles = {name: text for name, text in given.items() if isinstance(text, str)}

    def color_profile(self, name: str) -> bytes | None:
        """Return the ICC profile of a pair's photograph, which is that of its image as well."""
        text = self.profiles.get(name)
        return None if text is None else b64decode(text)

    def _profile(self, pair: Pair) -> str | None:
        found = color_profile(self.root / pair.content)
        return None if found is None else b64encode(found).decode()

    def _all(self) -> Iterator[Pair]:
        styles = list(self._files(self.styles))
        for content in self._files(self.contents):
            for style in styles:
                yield self._begun(Pair(content, style))
        for pair in self.pairs:
            pair.check()
            yield self._begun(pair)
        if not self.contents and not self.pairs:
            yield self._begun(Pair(PHOTOGRAPH, STROKES))

    def _begun(self, pair: Pair) -> Pair:
        return pair if pair.init else replace(pair, init=self.init_image)

    def _files(self, names: Sequence[str]) -> Iterator[str]:
        for name in names:
            path = self.root / name
            if path.is_dir() or (has_magic(name) and not path.exists()):
                named = images_named([str(path)])
                if named.others:
                    rank_zero_info(left_out(named.others))
                for found in named.images:
                    assert isinstance(found, Path)
                    inside = found.is_relative_to(self.root)
                    yield str(found.relative_to(self.root) if inside else found)
            else:
                yield name

    def _usable(self, pairs: list[Pair]) -> list[Pair]:
        """Return the pairs whose files can be read; others stop the run or are counted.

        Raises:
            FileNotFoundError: A file is missing.
            ValueError: None of the pairs is left.
        """
        names = list(dict.fromkeys(name for pair in pairs for name in pair.files))
        for name in names:
            self._check(name)
        if self.bad_images == "stop":
            return pairs
        files = [name for name in names if (self.root / name).is_file()]
        whys = reasons([self.root / name for name in files], True, self.max_pixels)
        bad = {name: why for name, why in zip(files, whys, strict=True) if why}
        kept = [pair for pair in pairs if not bad.keys() & set(pair.files)]
        if bad:
            first, why = next(iter(bad.items()))
            said = f"{path_text(self.root / first)} {why}"
            if not kept:
                raise ValueError(f"no pair is left: {said}; correct data.root or the names")
            lost = len(pairs) - len(kept)
            rank_zero_info(
                f"{len(bad):,} of {len(files):,} files cannot be read, so {lost:,} of "
                f"{len(pairs):,} pairs are left out; first {said}"
            )
        return kept

    def _tell_read(self, pairs: Sequence[Pair]) -> None:
        """Say of which files more is there than is painted: further frames, brighter colors."""
        given = (name for pair in pairs for name in (pair.content, *pair.styles, pair.init))
        for path in dict.fromkeys(self.root / name for name in given if name):
            if not path.is_file():
                continue
            if has_frames(path):
                rank_zero_info(f"{path_text(path)} has several frames: the first one is read")
            found_levels([path], self.max_pixels, tell=partial(_told, path))

    def _check(self, name: str) -> None:
        path = self.root / name
        if name in (PHOTOGRAPH, STROKES) or path.is_file():
            return
        there = {p.name.lower(): p.name for p in path.parent.glob("*")}
        near = get_close_matches(path.name.lower(), there, n=1)
        hint = f"did you mean {there[near[0]]}?" if near else "give its path, or root"
        raise not_there(name, f"there is no image {path}; {hint}")


def _told(path: Path, sentence: str) -> None:
    rank_zero_info(f"{path_text(path)}: {sentence}")


def _listed(names: list[str] | str | None) -> list[str]:
    """Return names as a list; ``[*.jpg, b.png]`` is one that YAML does not take for one."""
    if isinstance(names, str) and names.startswith("[") and names.endswith("]"):
        return [name.strip().strip("'\"") for name in names[1:-1].split(",")]
    return [names] if isinstance(names, str) else list(names or [])
