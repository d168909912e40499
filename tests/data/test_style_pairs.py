"""Pairs of images: which there are, what they look like as tensors, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lit_tasks.data.base.style_dataset import Groups
from lit_tasks.data.base.style_names import Pair, Region, names_of
from lit_tasks.data.style_pairs import StylePairsDataModule
from lit_tasks.data.synthetic.strokes import draw_strokes


@pytest.fixture
def root(tmp_path: Path) -> Path:
    draw = np.random.default_rng(0)
    for name, size in (("a", (40, 30)), ("b", (20, 33)), ("c", (16, 16))):
        pixels = draw.integers(256, size=(size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    (tmp_path / "paintings").mkdir()
    for name in ("p", "q"):
        Image.new("RGB", (10, 12), "red").save(tmp_path / "paintings" / f"{name}.jpg")
    return tmp_path


def module(root: Path, **options: Any) -> StylePairsDataModule:
    data = StylePairsDataModule(root=root, **options)
    data.setup("fit")
    return data


def test_every_photograph_meets_every_painting(root: Path) -> None:
    data = module(root, contents=["a.png", "b.png"], styles=["paintings", "c.png"])
    assert data.names == ["a__p", "a__q", "a__c", "b__p", "b__q", "b__c"]


def test_hidden_files_in_a_folder_are_passed_over(root: Path) -> None:
    for name in ("._p.jpg", ".q.jpg"):
        (root / "paintings" / name).write_text("what a Mac leaves behind")
    data = module(root, contents=["a.png"], styles=["paintings"])
    assert data.names == ["a__p", "a__q"]


def test_pairs_come_one_by_one_and_equal_names_are_told_apart(root: Path) -> None:
    blend = Pair("b.png", {"c.png": 3.0, "paintings/p.jpg": 1.0})
    data = module(root, pairs=[Pair("a.png", "c.png"), Pair("a.png", "c.png"), blend])
    assert data.names == ["a__c", "a__c-2", "b__c_p"]
    pair = data.pair(2)
    assert (pair["style_weights"], len(pair["styles"])) == ([3.0, 1.0], 2)


def test_sizes_are_those_of_the_shorter_side_as_torchvision_resizes(root: Path) -> None:
    transforms = pytest.importorskip("torchvision.transforms.functional")
    options: dict[str, Any] = {"contents": ["a.png"], "styles": ["b.png"]}
    data = module(root, image_size=21, style_size=18, style_scale=1.5, **options)
    pair = data.pair(0)
    for found, name, size in ((pair["content"], "a", 21), (pair["styles"][0], "b", 27)):
        with Image.open(root / f"{name}.png") as image:
            expected = np.asarray(transforms.resize(image, size))
        assert np.array_equal(found.permute(1, 2, 0).numpy(), expected)


def test_with_nothing_given_there_is_a_pair_that_needs_no_file(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    data = module(tmp_path, image_size=64)
    assert data.names == ["photograph__strokes"]
    content, [style] = data.pair(0)["content"], data.pair(0)["styles"]
    assert content.shape == (3, 64, 95)
    assert style.shape == (3, 64, 64)
    assert content.float().std() > 20
    assert style.float().std() > 20


def test_strokes_are_the_same_every_time() -> None:
    one, other = (np.asarray(draw_strokes(32)) for _ in range(2))
    assert np.array_equal(one, other)


def test_a_group_of_pairs_is_an_epoch() -> None:
    groups = Groups(pairs=5, size=2, steps=3)
    epochs = []
    for epoch in range(3):
        groups.set_epoch(epoch)
        epochs.append(list(groups))
    assert epochs == [[[0, 1]] * 3, [[2, 3]] * 3, [[4]] * 3]
    assert len(groups) == 3


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "CMYK", "1", "I;16"])
def test_any_kind_of_image_is_red_green_and_blue(mode: str, tmp_path: Path) -> None:
    if mode == "I;16":
        image = Image.fromarray(np.full((9, 9), 40000, dtype=np.uint16))
    else:
        image = Image.new("RGB", (9, 9), (200, 100, 50)).convert(mode)
    name = "x.tif" if mode in ("CMYK", "I;16") else "x.png"
    image.save(tmp_path / name)
    data = module(tmp_path, contents=[name], styles=[name], image_size=9)
    content = data.pair(0)["content"]
    assert content.shape == (3, 9, 9)
    assert content.dtype == torch.uint8


def test_a_photograph_is_turned_as_its_exif_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    Image.new("RGB", (16, 8)).save(tmp_path / "x.jpg", exif=exif)
    data = module(tmp_path, contents=["x.jpg"], styles=["x.jpg"], image_size=8)
    assert data.pair(0)["content"].shape == (3, 16, 8)


def test_one_pixel_is_an_image(tmp_path: Path) -> None:
    Image.new("RGB", (1, 1), "red").save(tmp_path / "x.png")
    data = module(tmp_path, contents=["x.png"], styles=["x.png"], image_size=16)
    assert data.pair(0)["content"].shape == (3, 16, 16)


def test_a_strip_that_would_grow_beyond_all_bounds_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (30000, 2)).save(tmp_path / "x.png")
    data = module(tmp_path, contents=["x.png"], styles=["x.png"], image_size=512)
    with pytest.raises(ValueError, match=r"x\.png of 30000 x 2 pixels would become 7680000 x 512"):
        data.pair(0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"contents": ["A.png"], "styles": ["c.png"]}, r"no image .*A\.png; did you mean a\.png"),
        ({"contents": ["a.png"], "styles": ["x/y.png"]}, r"no image .*y\.png; give its path"),
        ({"contents": ["a.png"]}, "contents are given without styles: give both, or pairs"),
        ({"styles": ["a.png"]}, "styles are given without contents"),
        ({"image_size": 0}, "image_size must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"style_scale": 0.0}, r"style_scale must be above 0, got 0\.0"),
        ({"pairs": [Pair("a.png", {})]}, "a pair's styles need weights"),
        ({"pairs": [Pair("a.png", {"c.png": -1.0})]}, "weights that are not negative"),
        ({"contents": ["empty"], "styles": ["c.png"]}, "empty has no images"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_told(root: Path, options: dict[str, Any], message: str) -> None:
    (root / "empty").mkdir()
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        module(root, **options)


def test_what_is_no_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_text("hello")
    data = module(tmp_path, contents=["x.png"], styles=["x.png"])
    with pytest.raises(ValueError, match=r"x\.png is not a readable image .*unknown format"):
        data.pair(0)


def test_a_run_goes_on_with_the_same_pairs_only(root: Path) -> None:
    first = module(root, contents=["a.png"], styles=["c.png"])
    other = StylePairsDataModule(root=root, contents=["b.png"], styles=["c.png"])
    other.load_state_dict(first.state_dict())
    with pytest.raises(ValueError, match="checkpoint was made for the pairs a__c, now there are"):
        other.setup("fit")
    other.setup("predict")  # which shows what is finished, and needs no file
    assert [batch.names for batch in other.predict_dataloader()] == [["a__c"]]


def test_what_a_mac_leaves_beside_images_is_no_image(root: Path) -> None:
    folder = root / "paintings"
    (folder / "._p.jpg").write_bytes(b"\0\5\26\7")
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX" / "._q.jpg").write_bytes(b"\0\5\26\7")
    assert module(root, contents=["a.png"], styles=["paintings"]).names == ["a__p", "a__q"]


@pytest.mark.parametrize(
    "contents", ["*.png", ["*.png"], "[*.png]", ["[ab].png", "c.png"], "['a.png', [bc].png]"]
)
def test_contents_may_be_a_pattern(root: Path, contents: Any) -> None:
    data = module(root, contents=contents, styles="paintings/q.jpg")
    assert data.names == ["a__q", "b__q", "c__q"]
    with pytest.raises(FileNotFoundError, match="no file is named like"):
        module(root, contents="*.bmp", styles="c.png")


def test_one_bad_image_of_many_is_left_out_and_counted(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (root / "bad.png").write_bytes(b"no image")
    options: dict[str, Any] = {"contents": ["a.png", "bad.png", "b.png"], "styles": ["paintings"]}
    with caplog.at_level("INFO"):
        data = module(root, bad_images="skip", **options)
    assert data.names == ["a__p", "a__q", "b__p", "b__q"]
    assert "1 of 5 files cannot be read, so 2 of 6 pairs are left out; first" in caplog.text
    assert "bad.png is not a readable image" in caplog.text
    with pytest.raises(ValueError, match=r"no pair is left: .*bad\.png"):
        module(root, contents="bad.png", styles="a.png", bad_images="skip")
    with pytest.raises(ValueError, match=r"bad\.png is not a readable image"):
        module(root, **options).pair(2)


def files_of(name: str) -> set[str]:
    ends = ("", ".png", ".gif", ".json", "_loss.png")
    return {f"{name}{end}".casefold() for end in ends}


@pytest.mark.parametrize(
    "given",
    [
        ["x", "x.png"],
        ["x.png", "x"],
        ["x.gif", "x", "x.json", "x_loss", "x_loss.png"],
        ["a/b", "a\\b", "a:b", "a_b"],
        ["..", ".", "", "..."],
        ["e\u0301", "\u00e9"],
        ["long" * 100, "long" * 100 + "er"],
        ["nul\0", "nul\n"],
    ],
    ids=repr,
)
def test_no_two_pairs_write_one_file(given: list[str]) -> None:
    names = names_of([Pair("a.png", "b.png", name) for name in given])
    seen: set[str] = set()
    for name in names:
        assert not seen & files_of(name)
        seen |= files_of(name)
        assert not set("/\\:\0\n") & set(name)
        assert not name.startswith(".")
        assert len(name.encode()) < 200


def test_a_pair_may_have_regions_and_an_image_to_start_from(root: Path) -> None:
    Image.new("L", (80, 60), 255).save(root / "sky.png")
    Image.new("L", (16, 16), 9).save(root / "stars.png")
    pair = Pair("a.png", "c.png", init="a.png", regions=[Region("sky.png", "stars.png")])
    sample = module(root, pairs=[pair], image_size=15).pair(0)
    assert torch.equal(sample["init"], sample["content"])
    [region] = sample["regions"]
    assert region.content.shape == sample["content"].shape[1:]
    assert region.styles[0].tolist() == [[9] * 15] * 15
    begun = module(root, contents="a.png", styles="c.png", init_image="a.png", image_size=15)
    assert begun.pair(0)["init"].shape == (3, 15, 20)
    assert begun.pair(0)["regions"] == []


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (Pair("a.png", "c.png", init="none.png"), "there is no image"),
        (Pair("a.png", "c.png", init="c.png"), r"c\.png of 16 x 16 pixels does not lie on"),
        (Pair("a.png", "c.png", regions=[Region("c.png", "c.png")]), "does not lie on an image"),
        (Pair("a.png", "c.png", regions=[Region("a.png", [])]), "a mask for each of 1 paintings"),
        (Pair("a.png", "c.png", regions=[Region("black.png", "c.png")]), r"black\.png is black"),
    ],
    ids=str,
)
def test_masks_that_do_not_fit_are_refused(root: Path, pair: Pair, message: str) -> None:
    Image.new("L", (40, 30)).save(root / "black.png")
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        module(root, pairs=[pair]).pair(0)


@pytest.mark.parametrize("ending", ["gif", "webp", "png", "tif"])
def test_of_a_clip_the_first_frame_is_read_and_that_is_told(
    root: Path, caplog: pytest.LogCaptureFixture, ending: str
) -> None:
    first, *others = [Image.new("RGB", (12, 12), color) for color in ("red", "lime", "blue")]
    first.save(root / f"clip.{ending}", save_all=True, append_images=others, **LOSSLESS)
    caplog.set_level("INFO", "lightning.pytorch.utilities.rank_zero")
    data = module(root, contents=[f"clip.{ending}"], styles=["c.png"], image_size=12)
    assert data.pair(0)["content"][:, 6, 6].tolist() == [255, 0, 0]
    assert f"clip.{ending} has several frames: the first one is read" in caplog.text
    assert "c.png" not in caplog.text


LOSSLESS: dict[str, Any] = {"lossless": True}


@pytest.mark.parametrize("white", [1023, 4095, 65535])
@pytest.mark.parametrize("role", ["contents", "styles", "init_image"])
def test_gray_of_sixteen_bits_is_as_bright_as_it_was(
    root: Path, caplog: pytest.LogCaptureFixture, white: int, role: str
) -> None:
    ramp = np.linspace(0, white, 256).reshape(16, 16).astype(np.uint16)
    Image.fromarray(ramp).save(root / "deep.png")
    given: dict[str, Any] = {"contents": ["c.png"], "styles": ["c.png"], role: ["deep.png"]}
    given[role] = "deep.png" if role == "init_image" else ["deep.png"]
    pair = module(root, image_size=16, **given).pair(0)
    found = {"contents": pair["content"], "styles": pair["styles"][0], "init_image": pair["init"]}
    assert abs(found[role][0].int().flatten() - torch.arange(256)).max() <= 1


def test_files_of_a_folder_that_are_no_images_are_counted_once(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (root / "paintings/film.mp4").write_bytes(b"0")
    caplog.set_level("INFO", "lightning.pytorch.utilities.rank_zero")
    data = module(root, contents=["a.png", "b.png"], styles=["paintings"])
    assert data.names == ["a__p", "a__q", "b__p", "b__q"]
    assert caplog.text.count("1 file is left out, whose names do not end like those") == 1
    assert "film.mp4" in caplog.text
