"""Draw scenes with their sentences: `python benchmarks/caption_scenes_figure.py OUT.jpg`."""

import argparse
from textwrap import fill

import numpy as np

from lit_tasks.data.caption_scenes import CaptionScenesDataModule
from lit_tasks.plots import image_grid


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", help="image file to write")
    out = parser.parse_args().out
    captioned = CaptionScenesDataModule(train=1, val=8, test=1, size=128).captioned("val")
    images = [np.asarray(captioned.images.read(number)) for number in range(8)]
    titles = [fill(captioned.sentences[number][number % 5], 30) for number in range(8)]
    image_grid(images, titles, columns=4).savefig(out, dpi=80)


if __name__ == "__main__":
    main()
