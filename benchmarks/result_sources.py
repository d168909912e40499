"""Where the data of docs/results.md come from; a table of that page."""

from typing import NamedTuple

_STANFORD = "http://cs231n.stanford.edu/assignments/2017/spring1617_assignment3_v3.zip"
_FLICKR = "https://github.com/jbrownlee/Datasets/releases/download/Flickr8k"
_COCO = "http://images.cocodataset.org/annotations/annotations_trainval2017.zip"
_SQUEEZENET = "https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth"


class DataSource(NamedTuple):
    """A folder that experiments read.

    Attributes:
        name: The folder or file in that of the data.
        said: What it holds.
        commands: How to get it, one after the other; none where nobody publishes it.
    """

    name: str
    said: str
    commands: tuple[str, ...]


SOURCES = (
    DataSource(
        "hymenoptera_data",
        "397 images of ants and bees, PyTorch's tutorial",
        (
            "curl -LO https://download.pytorch.org/tutorial/hymenoptera_data.zip",
            "unzip -q hymenoptera_data.zip -d data",
        ),
    ),
    DataSource(
        "imdb",
        "100,000 reviews (Maas et al. 2011)",
        (
            "curl -LO https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",
            "mkdir -p data/imdb",
            "tar xzf aclImdb_v1.tar.gz -C data/imdb --strip-components=1",
        ),
    ),
    DataSource(
        "sentiment_sentences",
        "the assignment's sentences, `train.txt` and `dev.txt` of `<label> <words>` lines: a course"
        " hands them out, nobody publishes them",
        (),
    ),
    DataSource(
        "style",
        "the assignment's photograph and paintings, from Stanford's CS231n of 2017",
        (
            f"curl -LO {_STANFORD}",
            "mkdir -p data/style",
            "unzip -qj spring1617_assignment3_v3.zip '*/styles/*.jpg' -d data/style",
        ),
    ),
    DataSource(
        "weights/squeezenet1_1_calibrated.pth",
        "SqueezeNet 1.1. Ours is Caffe's, rescaled to the assignment's check values; torchvision's"
        " are on the same scale, with other last digits",
        (f"curl -L --create-dirs -o data/weights/squeezenet1_1_calibrated.pth {_SQUEEZENET}",),
    ),
    DataSource(
        "coco_captions",
        "380 images of COCO 2017, named in `caption_parts.json`",
        (
            f"curl -LO {_COCO}",
            "unzip -q annotations_trainval2017.zip -d coco",
            "python benchmarks/caption_parts.py coco --urls > coco.txt",
            "wget -x -nH -P coco -i coco.txt",
            "python benchmarks/caption_parts.py coco --source coco --out data/coco_captions",
        ),
    ),
    DataSource(
        "flickr8k_captions",
        "900 images of Flickr8k, named in `caption_parts.json`",
        (
            f"curl -LO {_FLICKR}/Flickr8k_Dataset.zip",
            f"curl -LO {_FLICKR}/Flickr8k_text.zip",
            "unzip -q Flickr8k_Dataset.zip -d flickr8k",
            "unzip -q Flickr8k_text.zip -d flickr8k",
            "python benchmarks/caption_parts.py flickr8k --source flickr8k"
            " --out data/flickr8k_captions",
        ),
    ),
)
"""In the order of the page; ``data`` is the folder that ``--data`` names."""


def lines() -> list[str]:
    """Return the page's part about the data."""
    rows = [
        f"| `{name}` | {said} | {'<br>'.join(f'`{command}`' for command in commands)} |"
        for name, said, commands in SOURCES
    ]
    return [
        "## The data",
        "",
        "All of it lies in one folder: `data`, unless `make results DATA=FOLDER` names another."
        " These commands are run by hand: no test can, for they need the network. Rows whose data"
        " are absent are skipped and named. GloVe's vectors of 50 numbers come with `pip install"
        " 'lit-tasks[quickstart]'`; longer ones are in https://nlp.stanford.edu/data/glove.6B.zip,"
        " for `--model.encoder.vectors=glove.6B.zip`. Licenses are in README.",
        "",
        "| in the folder | what | how to get it |",
        "| --- | --- | --- |",
        *rows,
    ]
