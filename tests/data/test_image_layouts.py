"""Folders and tables of images as people have them: nothing is lost, no class is made up."""

import os
import shutil
import unicodedata
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest
from image_task import attached
from PIL import Image

from lit_tasks.data.image_folder import ImageFolderDataModule

NFC, NFD = (unicodedata.normalize(form, "abeille é") for form in ("NFC", "NFD"))


def draw(root: Path, *names: str) -> Path:
    """Draw an image for each name, every one different."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new(
            "RGB", (9, 8), f"#{zlib.crc32(name.encode(errors='surrogateescape')) & 0xFFFFFF:06x}"
        ).save(path)
    return root


def split(root: Path, folder: str, count: int = 3, classes: tuple[str, ...] = ("a", "b")) -> None:
    draw(root, *(f"{folder}/{name}/{folder}{n}.png" for name in classes for n in range(count)))


def sizes(root: Path | None = None, **options: Any) -> dict[str, int]:
    module = attached(ImageFolderDataModule(root, **options))
    assert module.labels == ["a", "b"]
    parts: tuple[Any, ...] = ("train", "val", "test")
    return {part: len(module.images(part).names) for part in parts}


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level("INFO", "lightning.pytorch.utilities.rank_zero")
    return caplog


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("train", "valid", "test"),
        ("Train", "Val", "Test"),
        ("training", "validation", "testing"),
        ("TRAINING", "dev", "eval"),
        ("training_set", "validation-set", "test_set"),
    ],
)
def test_folders_of_splits_have_their_usual_names(
    tmp_path: Path, said: pytest.LogCaptureFixture, train: str, val: str, test: str
) -> None:
    for folder, count in ((train, 4), (val, 3), (test, 2)):
        split(tmp_path, folder, count)
    assert sizes(tmp_path) == {"train": 8, "val": 6, "test": 4}
    assert f": train is {train}/, val is {val}/, test is {test}/" in said.text


@pytest.mark.parametrize(
    ("folders", "sentence"),
    [
        (["val/a", "test/a"], r"holds test, val: names of splits, but not of a training split"),
        (["ants", "bees", "test"], r"holds test beside ants, bees: names of splits, but not"),
        (["bus", "car", "train"], r"holds train beside bus, car: names of splits"),
        (["train/a", "train/b", "Training/a"], r"holds Training and train, both names of the tr"),
        (["train/a", "train/valid"], r"train should hold a folder of images per class.* valid"),
        (["a/train", "a/val", "b/train", "b/val"], r"/a holds train, val, .* as in train/a"),
        (["data/train/a", "data/val/a"], r"/data holds train, val, .*: set data\.root to .*/data"),
    ],
)
def test_a_split_never_becomes_a_class(tmp_path: Path, folders: list[str], sentence: str) -> None:
    draw(tmp_path, *(f"{folder}/{n}.png" for folder in folders for n in range(5)))
    with pytest.raises(ValueError, match=sentence):
        ImageFolderDataModule(tmp_path).images("train")


def test_a_folder_beside_the_splits_is_counted(
    tmp_path: Path, said: pytest.LogCaptureFixture
) -> None:
    split(tmp_path, "train")
    split(tmp_path, "val")
    draw(tmp_path, "unlabeled/0.png", "unlabeled/1.png")
    assert sizes(tmp_path) == {"train": 6, "val": 6, "test": 6}
    assert "unlabeled is no split: its 2 images are not used" in said.text


def test_what_systems_and_archives_leave_behind_is_passed_over(
    tmp_path: Path, said: pytest.LogCaptureFixture
) -> None:
    split(tmp_path, "train")
    split(tmp_path, "val")
    folders = (".ipynb_checkpoints", "@eaDir", "__MACOSX", "@EADIR", "$RECYCLE.BIN")
    draw(
        tmp_path,
        *(f"{outer}{name}/x.png" for outer in ("", "train/", "val/a/") for name in folders),
    )
    for name in ("._0.png", ".DS_Store", "Thumbs.db", "desktop.ini"):
        (tmp_path / "train/a" / name).write_text("no image")
    assert sizes(tmp_path) == {"train": 6, "val": 6, "test": 6}
    assert "left out" not in said.text
    assert "no split" not in said.text


def test_a_hidden_folder_that_was_named_itself_is_read(tmp_path: Path) -> None:
    split(tmp_path / ".cache", "train")
    split(tmp_path / ".cache", "val")
    assert sizes(tmp_path / ".cache")["train"] == 6


def test_links_to_folders_are_followed_and_loops_end(tmp_path: Path) -> None:
    draw(tmp_path / "elsewhere", "more/0.png", "more/deep/1.png")
    split(tmp_path / "root", "train")
    split(tmp_path / "root", "val")
    (tmp_path / "root/train/a/more").symlink_to(tmp_path / "elsewhere/more")
    (tmp_path / "root/train/a/again").symlink_to(tmp_path / "elsewhere/more/deep")
    (tmp_path / "root/train/a/loop").symlink_to(tmp_path / "root/train/a")
    (tmp_path / "elsewhere/more/up").symlink_to(tmp_path / "elsewhere")
    assert sizes(tmp_path / "root") == {"train": 8, "val": 6, "test": 6}


def test_a_link_that_leads_nowhere_is_missing(tmp_path: Path) -> None:
    split(tmp_path, "train")
    split(tmp_path, "val")
    (tmp_path / "train/a/gone.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(ValueError, match=r"a/gone\.png is missing: it is a link to .*bad_images"):
        sizes(tmp_path)
    assert sizes(tmp_path, bad_images="skip")["train"] == 6


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    split(tmp_path, "train")
    split(tmp_path, "val")
    os.mkfifo(tmp_path / "train/a/pipe.png")
    with pytest.raises(ValueError, match=r"pipe\.png is not a file"):
        sizes(tmp_path)


def test_a_class_without_images_and_other_files_are_counted(
    tmp_path: Path, said: pytest.LogCaptureFixture
) -> None:
    split(tmp_path, "train")
    split(tmp_path, "val")
    (tmp_path / "val/wasps").mkdir()
    for name in ("labels.txt", "noextension", "more.txt", "film.mp4"):
        (tmp_path / "train/b" / name).write_text("")
    assert sizes(tmp_path) == {"train": 6, "val": 6, "test": 6}
    assert "val: a folder without images left out: wasps; put images in" in said.text
    assert "4 files are left out, whose names do not end like" in said.text
    assert ": 2 .txt, 1 .mp4, 1 without one; first " in said.text
    shutil.rmtree(tmp_path / "val/a")
    shutil.rmtree(tmp_path / "val/b")
    with pytest.raises(FileNotFoundError, match=r"val has no images in its folders: put images"):
        sizes(tmp_path)


def test_images_beside_the_folders_are_counted(
    tmp_path: Path, said: pytest.LogCaptureFixture
) -> None:
    split(tmp_path, "train")
    split(tmp_path, "val")
    draw(tmp_path, "loose.png", "train/0.png", "train/1.png", "val/.hidden.png")
    assert sizes(tmp_path) == {"train": 6, "val": 6, "test": 6}
    assert "1 image is left out, in no class's folder, first " in said.text
    assert "2 images are left out, in no class's folder, first " in said.text
    assert said.text.count("in no class's folder") == 2


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_images_to_hold_one_out_are_told_with_the_remedy(
    tmp_path: Path, count: int
) -> None:
    draw(tmp_path, *(f"{name}/{n}.png" for name in "ab" for n in range(count)))
    with pytest.raises(ValueError, match=rf"to hold one out for val: {count} a, {count} b; give"):
        ImageFolderDataModule(tmp_path).images("train")
    with pytest.raises(ValueError, match=r"to hold one out for test: .* data\.test_fraction"):
        ImageFolderDataModule(tmp_path, val_fraction=0.5 / count, test_fraction=0.001).images("val")


def test_what_is_held_out_is_told(tmp_path: Path, said: pytest.LogCaptureFixture) -> None:
    draw(tmp_path, *(f"{name}/{n}.png" for name in "ab" for n in range(10)), "rare/0.png")
    ImageFolderDataModule(tmp_path).images("train")
    assert "4 of 21 images are held out for val, none of rare" in said.text


def test_names_that_look_alike_are_one_class(tmp_path: Path) -> None:
    split(tmp_path, "train", classes=(NFD, "b"))
    split(tmp_path, "val", classes=(NFC, "b"))
    module = attached(ImageFolderDataModule(tmp_path))
    assert module.labels == [NFC, "b"]
    assert module.images("val").labels == [NFC] * 3 + ["b"] * 3


def test_names_that_are_not_utf8_are_written_out(tmp_path: Path) -> None:
    split(tmp_path, "train", classes=(os.fsdecode(b"caf\xe9"), "b"))
    split(tmp_path, "val", classes=(os.fsdecode(b"caf\xe9"), "b"))
    module = attached(ImageFolderDataModule(tmp_path))
    assert module.labels == ["b", r"caf\xe9"]
    assert r"caf\xe9/val0.png" in module.sample_ids("val")
    assert module.shown("val", [3])[0].shape == (8, 8, 3)


def test_images_in_two_splits_and_in_two_classes_are_told(
    tmp_path: Path, said: pytest.LogCaptureFixture
) -> None:
    split(tmp_path, "train")
    split(tmp_path, "val")
    for n in range(2):
        shutil.copy(tmp_path / f"train/a/train{n}.png", tmp_path / f"val/a/copy{n}.png")
    shutil.copy(tmp_path / "train/a/train0.png", tmp_path / "train/b/also.png")
    sizes(tmp_path)
    assert "2 of 8 validation images stand in the training split as well, first" in said.text
    assert "1 image has more than one label, first" in said.text
    assert "train0.png: a, b" in said.text


def table(root: Path, text: str) -> Path:
    (root / "t.csv").write_text(text)
    return root / "t.csv"


@pytest.mark.parametrize(
    "name", [r"a\1.png", "a/1.png ", "a/1", f"{NFC}.png", f"{NFD}.png", "./a/1.png"]
)
def test_a_table_names_files_as_other_systems_write_them(tmp_path: Path, name: str) -> None:
    draw(tmp_path, "a/1.png", "b/1.png", f"{NFD if NFC in name else NFC}.png")
    rows = [f"{name},a,train", "b/1.png,b,train", f"{name},a,val", "b/1.png,b,val"]
    csv = table(tmp_path, "\n".join(["file,label,split", *rows]))
    assert sizes(table=csv, split_column="split") == {"train": 2, "val": 2, "test": 2}


def test_a_file_that_is_not_there_is_missing_and_not_unreadable(tmp_path: Path) -> None:
    draw(tmp_path, "1.png")
    csv = table(tmp_path, "file,label\ngone.png,a\n1.png,a\ntoo.png,b\n")
    sentence = r"gone\.png is missing \(as well as 1 others\); correct its name or data\.root"
    with pytest.raises(ValueError, match=sentence):
        ImageFolderDataModule(table=csv).images("train")
    csv = table(tmp_path, f"file,label\ngone.png,a\n{'x' * 300}.png,b\n")
    with pytest.raises(ValueError, match=r"is missing.*, and no image is left: correct data\.root"):
        ImageFolderDataModule(table=csv, bad_images="skip").images("train")


def test_labels_of_tables_lose_blanks_and_similar_ones_are_told(
    tmp_path: Path, said: pytest.LogCaptureFixture
) -> None:
    draw(tmp_path, *(f"{n}.png" for n in range(12)))
    labels = ["ants", "ants ", " ants", "Ants", "bees", "bees", f"{NFC}", f"{NFD}"]
    csv = table(
        tmp_path, "\n".join(["file,label", *(f"{n}.png,{x}" for n, x in enumerate(labels))])
    )
    module = ImageFolderDataModule(table=csv, val_fraction=0.4)
    assert sorted(set(module.images("train").labels) | set(module.images("val").labels)) == [
        "Ants",
        NFC,
        "ants",
        "bees",
    ]
    assert "differ only in capitals are several classes: Ants and ants" in said.text


def predicted(*values: str, **options: Any) -> list[str]:
    given: Any = values[0] if len(values) == 1 else list(values)
    module = ImageFolderDataModule(predict=given, **options)
    images = module.images("predict")
    for number in range(len(images.names)):
        assert images.read(number).mode == "RGB"
    assert len(images.digest()) == 64
    return module.predict_ids


def test_images_to_predict_are_named_in_many_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(draw(tmp_path, "p/a.png", "p/deep/b.png", "q/c.jpg", "q/.hidden/d.png"))
    (tmp_path / "q/notes.txt").write_text("")
    (tmp_path / "some.txt").write_text("p/a.png\n\nq\\c.jpg\n")
    for name in ("NEW.CSV", "new.csv"):
        (tmp_path / name).write_text("file\na.png\n")
    with zipfile.ZipFile("zipped.zip", "w") as archive:
        for name in ("q/c.jpg", "q/notes.txt", "p/deep/b.png"):
            archive.write(name)
        archive.write("p/a.png", "__MACOSX/._a.png")
    assert predicted("p") == ["a.png", "deep/b.png"]
    assert predicted("p/*.png") == ["a.png"]
    assert predicted("**/*.png") == ["a.png", "deep/b.png"]
    assert predicted("p", "q") == ["p/a.png", "p/deep/b.png", "q/c.jpg"]
    assert "1 file is left out" in said.text
    assert predicted("some.txt") == ["p/a.png", "q/c.jpg"]
    assert predicted("NEW.CSV", root=Path("p")) == predicted("new.csv", root=Path("p")) == ["a.png"]
    assert predicted("zipped.zip") == ["p/deep/b.png", "q/c.jpg"]
    assert predicted("zipped.zip", str(tmp_path / "p/a.png")) == [
        "zipped.zip/p/deep/b.png",
        "zipped.zip/q/c.jpg",
        "p/a.png",
    ]
    with pytest.raises(FileNotFoundError, match=r"no file is named like z\*\.gif"):
        predicted("z*.gif")
    with pytest.raises(FileNotFoundError, match=r"gone is not there: give a folder"):
        predicted("p", "gone")
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04 no zip file")
    with pytest.raises(ValueError, match=r"broken\.zip is not a readable zip file"):
        predicted("broken.zip")


def test_a_table_to_predict_may_stand_away_from_the_training_images(tmp_path: Path) -> None:
    """The checkpoint brings the root of the training images, and the new table its own place."""
    draw(tmp_path, "new/x.png", "old/y.png")
    (tmp_path / "new/t.csv").write_text("file\nx.png\n")
    assert predicted(str(tmp_path / "new/t.csv"), root=tmp_path / "old") == ["x.png"]


@pytest.mark.parametrize(
    "names", [("seg_train", "seg_test"), ("x-train", "x-val"), ("trainval", "val_final")]
)
def test_folders_named_after_splits_are_no_classes(tmp_path: Path, names: tuple[str, str]) -> None:
    for name in names:
        split(tmp_path, name)
    with pytest.raises(ValueError, match="named after splits and would all be classes: rename"):
        sizes(tmp_path)


def of_classes(root: Path, *classes: str) -> Path:
    return draw(root, *(f"{name}/{n}.png" for name in classes for n in range(5)))


def test_folders_whose_names_differ_in_capitals_are_told(
    tmp_path: Path, said: pytest.LogCaptureFixture
) -> None:
    module = ImageFolderDataModule(of_classes(tmp_path, "Ants", "ants"))
    assert module.labels == ["Ants", "ants"]
    assert "differ only in capitals are several classes: Ants and ants" in said.text


def table_of(root: Path, *rows: str) -> Path:
    of_classes(root, "a", "b")
    good = [f"{name}/{n}.png,{name}" for name in ("a", "b") for n in range(5)]
    text = "\n".join(["file,label", *good, *rows, ""])
    (root / "t.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
    return root / "t.csv"


def test_what_is_not_seen_around_a_label_makes_no_class(tmp_path: Path) -> None:
    rows = ("a/0.png,\ufeffa", "a/1.png,a\u200b ", "a/2.png,a\0")
    assert ImageFolderDataModule(table=table_of(tmp_path, *rows)).labels == ["a", "b"]
    with pytest.raises(ValueError, match=r"t\.csv, line 12: column label is empty; fill it"):
        sizes(table=table_of(tmp_path, "a/0.png,\u200b"))


def test_a_label_that_is_not_utf8_is_told_with_its_line(tmp_path: Path) -> None:
    sentence = r"line 12: the bytes of column label are not UTF-8 \(0xe9"
    with pytest.raises(ValueError, match=sentence):
        sizes(table=table_of(tmp_path, "a/0.png,caf\udce9"))


def test_a_table_without_rows_is_told(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("file,label\n")
    with pytest.raises(ValueError, match=r"t\.csv has no rows; give a table with images"):
        sizes(table=tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text("")
    with pytest.raises(ValueError, match=r"t\.csv is empty; give a file with a header line"):
        sizes(table=tmp_path / "t.csv")


def test_what_a_table_leaves_open_is_told(tmp_path: Path, said: pytest.LogCaptureFixture) -> None:
    of_classes(tmp_path, "a", "b")
    rows = [
        f"{name}/{n}.png;{label};x;{'Train' if n else 'valid'}"
        for name, label in (("a", "a"), ("b", "nan"))
        for n in range(5)
    ]
    (tmp_path / "t.csv").write_text("\n".join(["file;label;label;part", *rows]))
    assert ImageFolderDataModule(table=tmp_path / "t.csv").labels == ["a", "nan"]
    assert "is read with ';' between its columns" in said.text
    assert "has 2 columns called 'label'; the first one is read" in said.text
    assert "column part names splits and is not used" in said.text
    assert "set data.split_column=part" in said.text
    assert "5 images have the label nan; it is a class like others" in said.text


@pytest.mark.parametrize("pattern", ["*", "**"])
def test_a_pattern_finds_images_as_a_folder_does(
    tmp_path: Path, said: pytest.LogCaptureFixture, pattern: str
) -> None:
    draw(tmp_path, "a.png", "more/b.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("no list of images")
    (tmp_path / "Thumbs.db").write_bytes(b"x")
    module = ImageFolderDataModule(predict=str(tmp_path / pattern))
    assert sorted(module.predict_ids) == ["a.png", "more/b.png"]
    assert "1 file is left out" in said.text
    assert "notes.txt" in said.text


@pytest.mark.parametrize("value", ["", " ", [], "list.txt", "table.csv"])
def test_nothing_to_predict_is_told(tmp_path: Path, value: Any) -> None:
    (tmp_path / "list.txt").write_text("\n")
    (tmp_path / "table.csv").write_text("file\n")
    given = str(tmp_path / value) if isinstance(value, str) and value.strip() else value
    with pytest.raises(ValueError, match="give an image, a folder or a CSV file"):
        ImageFolderDataModule(predict=given).images("predict")


def test_folders_of_one_name_within_all_classes_are_told(
    tmp_path: Path, said: pytest.LogCaptureFixture
) -> None:
    """``fold1/a`` and ``fold2/a``: the classes may be meant to be ``a`` and ``b``."""
    for fold in ("a", "b"):
        names = ("x/1.png", "x/2.png", "deep/er/3.png", f"of {fold}/4.png")
        draw(tmp_path, *(f"{fold}/{name}" for name in names))
    assert sizes(tmp_path, val_fraction=0.5) == {"train": 4, "val": 4, "test": 4}
    assert "The classes are a, b, and each has the folders deep, x: if these are the" in said.text


@pytest.mark.parametrize(
    "names",
    [
        ("a/x/1.png", "a/x/2.png", "b/x/1.png", "b/x/2.png"),
        ("a/x/1.png", "a/y/2.png", "b/z/1.png", "b/w/2.png"),
        ("a/x/1.png", "a/y/2.png", "b/x/1.png", "b/y/2.png", "b/3.png"),
        ("a/1.png", "a/2.png", "b/1.png", "b/2.png"),
    ],
)
def test_other_folders_within_classes_are_no_news(
    tmp_path: Path, said: pytest.LogCaptureFixture, names: tuple[str, ...]
) -> None:
    sizes(draw(tmp_path, *names), val_fraction=0.5)
    assert "The classes are" not in said.text


@pytest.mark.parametrize("root", [None, "nowhere", "beside"])
@pytest.mark.parametrize("start", ["", "{folder}/"])
def test_files_of_a_table_stand_below_root_or_beside_it(
    tmp_path: Path, root: str | None, start: str
) -> None:
    """The shipped config names a root, which a table of one's own needs not have."""
    names = [f"{label}/{number}.png" for label in "ab" for number in range(2)]
    draw(tmp_path / ("beside" if root == "beside" else ""), *names)
    folder = (tmp_path / "beside" if root == "beside" else tmp_path) if start else ""
    rows = [f"{start.format(folder=folder)}{name},{name[0]}" for name in names]
    (tmp_path / "t.csv").write_text("\n".join(["file,label", *rows]) + "\n")
    given = None if root is None else tmp_path / root
    assert sizes(given, table=tmp_path / "t.csv", val_fraction=0.5)["train"] == 2
