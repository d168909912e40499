import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lit_tasks.data.readers.image_folders import endings, files_below, left_out
from lit_tasks.data.readers.images import ImageFiles, in_color, read_image


def ramp() -> np.ndarray:
    return np.arange(48, dtype=np.uint8).reshape(4, 4, 3) * 5


def test_every_mode_becomes_red_green_and_blue() -> None:
    colors = Image.fromarray(ramp())
    for mode in ("RGB", "CMYK", "YCbCr", "HSV", "P", "L", "1", "LA", "RGBA"):
        assert in_color(colors.convert(mode)).mode == "RGB", mode
    assert np.array_equal(np.asarray(in_color(colors.convert("RGBA"))), ramp())


def test_sixteen_bits_become_eight_without_clipping() -> None:
    values = (np.arange(16, dtype=np.uint16).reshape(4, 4) * 4369).astype(np.uint16)  # to 65535
    found = np.asarray(in_color(Image.fromarray(values)))[:, :, 0]
    assert np.array_equal(found, np.arange(16).reshape(4, 4) * 17)


def test_what_is_transparent_becomes_white() -> None:
    clear = Image.new("RGBA", (2, 2), (200, 10, 10, 0))
    assert np.asarray(in_color(clear)).min() == 255


def test_a_photograph_is_turned_as_its_exif_says(tmp_path: Path) -> None:
    image, exif = Image.new("RGB", (8, 4)), Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    image.save(tmp_path / "turned.jpg", exif=exif)
    assert read_image(tmp_path / "turned.jpg").size == (4, 8)


def test_a_large_photograph_is_decoded_smaller_but_large_enough(tmp_path: Path) -> None:
    Image.new("RGB", (1600, 1200)).save(tmp_path / "large.jpg")
    assert read_image(tmp_path / "large.jpg", min_side=100).size == (400, 300)
    assert read_image(tmp_path / "large.jpg").size == (1600, 1200)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("hello")
    with pytest.raises(ValueError, match=r"text\.jpg is not a readable image .*unknown format"):
        read_image(tmp_path / "text.jpg")
    Image.fromarray(np.random.default_rng(0).integers(256, size=(64, 64, 3), dtype=np.uint8)).save(
        tmp_path / "cut.jpg"
    )
    whole = (tmp_path / "cut.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"cut\.jpg is not a readable image .*truncated"):
        read_image(tmp_path / "cut.jpg")
    with pytest.raises(FileNotFoundError, match=r"nothing\.jpg is missing"):
        read_image(tmp_path / "nothing.jpg")


def test_a_folder_is_searched_for_images_only(tmp_path: Path) -> None:
    for name in ("b.JPG", "a/c.png", ".hidden.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    assert [path.name for path in files_below(tmp_path).images] == ["c.png", "b.JPG"]
    with pytest.raises(FileNotFoundError, match=r"nothing is not there"):
        files_below(tmp_path / "nothing")


def test_images_are_told_apart_by_content_and_order(tmp_path: Path) -> None:
    for name, color in (("a", "red"), ("b", "blue"), ("c", "red")):
        Image.new("RGB", (4, 4), color).save(tmp_path / f"{name}.png")
    a, b, c = (tmp_path / f"{name}.png" for name in "abc")
    assert ImageFiles([a, b]).digest() == ImageFiles([c, b]).digest()
    assert ImageFiles([a, b]).digest() != ImageFiles([b, a]).digest()


def test_telephones_and_newer_formats_are_read_where_pillow_can(tmp_path: Path) -> None:
    pytest.importorskip("pillow_heif").register_heif_opener()
    for name in ("a.HEIC", "b.avif", "c.jp2", "d.jfif"):
        Image.fromarray(ramp().repeat(8, 0).repeat(8, 1)).save(tmp_path / name)
    found = files_below(tmp_path)
    assert [path.name for path in found.images] == ["a.HEIC", "b.avif", "c.jp2", "d.jfif"]
    for path in found.images:
        error = np.asarray(read_image(path)).astype(int) - ramp().repeat(8, 0).repeat(8, 1)
        assert abs(error).mean() < 25, path.name


def test_without_a_decoder_they_are_counted_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as if it were not installed
    monkeypatch.setattr("PIL.features.check", lambda feature: False)
    endings.cache_clear()
    for name in ("a.heic", "b.avif", "c.png"):
        (tmp_path / name).write_text("")
    try:
        found = files_below(tmp_path)
    finally:
        endings.cache_clear()
    assert [path.name for path in found.images] == ["c.png"]
    assert "2 files are left out" in left_out(found.others)
    assert "1 .heic, 1 .avif; .heic is read after pip install pillow-heif" in left_out(found.others)
