"""An address in the place of a path: data are read from disk, and the sentence says so."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lit_tasks.cli.parser import check_config_files
from lit_tasks.data.caption_files import CaptionFilesDataModule
from lit_tasks.data.coco_captions import CocoCaptionsDataModule
from lit_tasks.data.hymenoptera import HymenopteraDataModule
from lit_tasks.data.image_folder import ImageFolderDataModule
from lit_tasks.data.imdb import ImdbDataModule
from lit_tasks.data.movie_reviews import MovieReviewsDataModule
from lit_tasks.data.readers.features import read_features
from lit_tasks.data.streamed_images import StreamedImagesDataModule
from lit_tasks.data.streamed_texts import StreamedTextsDataModule
from lit_tasks.data.style_pairs import StylePairsDataModule
from lit_tasks.data.text_files import TextFilesDataModule
from lit_tasks.files import not_there
from lit_tasks.nn.image.pretrained import read_state
from lit_tasks.scoring.inputs import matched
from lit_tasks.text.vectors import load_vectors

Ask = Callable[[str], object]


def path(address: str) -> Any:
    """Return an address as the command line gives it where a path belongs: it loses a slash."""
    return Path(address)


ASKED: dict[str, Ask] = {
    "train": lambda a: TextFilesDataModule(train=path(a)).setup("fit"),
    "val": lambda a: StreamedTextsDataModule(val=path(a)).source("val"),
    "predict": lambda a: MovieReviewsDataModule(predict=path(a)).source("predict"),
    "a file of texts": lambda a: TextFilesDataModule(predict=path(a)).source("predict"),
    "IMDB": lambda a: ImdbDataModule(path=path(a)).source("train"),
    "captions": lambda a: CaptionFilesDataModule(table=path(a)).read("train"),
    "images of captions": lambda a: CaptionFilesDataModule(Path(__file__), path(a)).read("train"),
    "COCO": lambda a: CocoCaptionsDataModule(root=path(a)).read("train"),
    "Karpathy": lambda a: CocoCaptionsDataModule(Path("."), split=path(a)).read("train"),
    "images of COCO": lambda a: CocoCaptionsDataModule(Path("."), images=a).read("train"),
    "features": lambda a: read_features(path(a), ["a"]),
    "classes": lambda a: ImageFolderDataModule(root=path(a)).images("train"),
    "a table": lambda a: ImageFolderDataModule(table=path(a)).images("train"),
    "root of a table": lambda a: ImageFolderDataModule(path(a), Path(__file__)).images("train"),
    "insects": lambda a: HymenopteraDataModule(root=path(a)).images("train"),
    "images to predict": lambda a: ImageFolderDataModule(predict=a).images("predict"),
    "several images": lambda a: StreamedImagesDataModule(predict=["a", a][1:]).images("predict"),
    "contents": lambda a: StylePairsDataModule(contents=a, styles="strokes").setup("fit"),
    "styles": lambda a: StylePairsDataModule(contents="photograph", styles=[a]).setup("fit"),
    "init_image": lambda a: StylePairsDataModule(init_image=a).setup("fit"),
    "word vectors": lambda a: load_vectors(a, ["a"], 3),
    "weights": lambda a: read_state(path(a)),
    "captions to score": lambda a: matched(Path("c.csv"), path(a)),
}


@pytest.mark.parametrize("what", ASKED)
def test_an_address_is_told_to_be_downloaded_first(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/captions_train2017.json").write_text("{}")
    with pytest.raises(FileNotFoundError) as caught:
        ASKED[what]("https://example.org/set/train.csv")
    sentence = str(caught.value)
    assert sentence.startswith("https://example.org/set/train.csv is an address, and this is read")
    assert "download it first, for example with curl -LO https://example.org/set/train.csv," in (
        sentence
    )


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("s3://bucket/a.csv", "with aws s3 cp --recursive s3://bucket/a.csv ."),
        ("gs://bucket/a", "with gcloud storage cp -r gs://bucket/a ."),
        ("hf://datasets/o/n/a.csv", "with the program hf of huggingface_hub,"),
        ("abfs://c@a/b.csv", "download it first and give the path"),
        ("HTTPS://example.org/a?b=c", "curl -LO HTTPS://example.org/a?b=c"),
        ("file:///home/me/a.csv", "give the path alone, without file://"),
    ],
)
def test_how_to_download_it_depends_on_the_address(address: str, words: str) -> None:
    for given in (address, Path(address)):
        assert words in str(not_there(given, "there is no file"))


@pytest.mark.parametrize("given", ["a.csv", "C:/data/a.csv", "a/b:/c", "/a:/b", "", "a:b"])
def test_a_path_is_none(given: str) -> None:
    assert str(not_there(given, "there is no file")) == "there is no file"


def test_a_config_at_an_address_is_none_either() -> None:
    with pytest.raises(ValueError, match=r"https://example\.org/a\.yaml is an address"):
        check_config_files([Path("https://example.org/a.yaml")])
