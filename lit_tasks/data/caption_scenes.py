"""Synthetic scenes with sentences, for a machine that cannot download any."""

from typing import Any

from lightning.pytorch.utilities import rank_zero_info

from lit_tasks.data.base.caption_dataset import CaptionedImages
from lit_tasks.data.base.captions import CaptionDataModule
from lit_tasks.data.scenes import SyntheticScenes
from lit_tasks.data.synthetic.sentences import captioned_scene, kinds, sentences
from lit_tasks.protocols import LabeledSplit

_SPLIT_INDEX: dict[str, int] = {"train": 0, "val": 1, "test": 2}


class CaptionScenesDataModule(CaptionDataModule):
    """Colored shapes on textured grounds with five sentences each.

    The sentences tell shape, color, size, place and number. The scenes are drawn from a seed, in
    any number: for trying out and for tests. Metrics on them say that the machinery works, and
    nothing about photographs. Some pairs of color and shape are never seen in training; every
    second scene for validation and test begins with one of them.

    Args:
        train: Scenes to learn from.
        val: Scenes to choose by.
        test: Scenes to judge by.
        held_out: How many pairs of color and shape are kept out of training, from 0 to 6.
        size: Pixels a side.
        predict: A split, whose scenes are described; or an image, a folder or several of your own.
        kwargs: Options of :class:`~lit_tasks.data.base.captions.CaptionDataModule`.
    """

    def __init__(
        self,
        train: int = 1200,
        val: int = 200,
        test: int = 200,
        held_out: int = 6,
        size: int = 96,
        predict: list[str] | str | None = "test",
        **kwargs: Any,
    ) -> None:
        super().__init__(predict=predict, **kwargs)
        if min(train, val, test) < 1 or size < 16:
            raise ValueError(
                "train, val and test must be at least 1 and size at least 16, got"
                f" {train}, {val}, {test} and {size}"
            )
        kinds(self.seed, held_out)
        self.counts = {"train": train, "val": val, "test": test}
        self.held_out, self.size = held_out, size

    def read(self, split: LabeledSplit) -> CaptionedImages:
        """Return scenes and sentences of a split, no scene in two splits."""
        known, unseen = kinds(self.seed, self.held_out)
        seed = len(_SPLIT_INDEX) * self.seed + _SPLIT_INDEX[split]
        scenes = []
        for index in range(self.counts[split]):
            new = split != "train" and bool(unseen) and index % 2 == 1
            scenes.append(
                captioned_scene(seed, index, first=unseen if new else known, others=known)
            )
        images = SyntheticScenes(scenes, self.size, f"{split}_")
        return CaptionedImages(images, list(range(len(scenes))), [sentences(s) for s in scenes])

    def setup(self, stage: str) -> None:
        """Draw what a stage needs, and say what its metrics are worth."""
        super().setup(stage)
        if stage != "predict":
            rank_zero_info("Synthetic scenes: these metrics do not carry over to photographs.")
