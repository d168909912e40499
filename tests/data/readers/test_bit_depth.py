"""Which value is white is told once for a set, and never by the single image."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_task import attached
from PIL import Image

from lit_tasks.data.image_folder import ImageFolderDataModule
from lit_tasks.data.readers.bit_depth import WhiteLevels, found_levels
from lit_tasks.data.readers.images import read_image

RAMP = np.linspace(0, 1, 64).reshape(8, 8)


def gray(path: Path, white: float, brightness: float = 1.0, **how: Any) -> Path:
    """Save a ramp up to a fraction of ``white``, as whole numbers or, below 2, as fractions."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = RAMP * white * brightness
    kind = np.float32 if path.suffix == ".tif" and white < 2 else np.uint16
    Image.fromarray(values.astype(kind)).save(path, **how)
    return path


def eight(path: Path, levels: WhiteLevels) -> np.ndarray:
    return np.asarray(read_image(path, levels=levels))[:, :, 0].astype(int)


@pytest.mark.parametrize(
    ("white", "ending"),
    [(255, "png"), (1023, "png"), (4095, "png"), (16383, "tif"), (65535, "tif"), (1.0, "tif")],
)
def test_every_depth_becomes_the_same_eight_bits(tmp_path: Path, white: float, ending: str) -> None:
    bright = gray(tmp_path / f"bright.{ending}", white)
    dark = gray(tmp_path / f"dark.{ending}", white, 0.1)
    levels = found_levels([dark, bright])
    assert levels is not None
    assert levels[white < 2] == white
    assert abs(eight(bright, levels) - RAMP * 255).max() <= 1
    assert abs(eight(dark, levels) - RAMP * 25.5).max() <= 1.5


def test_a_set_of_eight_bits_has_no_level(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    (tmp_path / "broken.png").write_text("")
    assert found_levels([tmp_path / "a.png", tmp_path / "broken.png"]) is None


def test_what_is_no_number_decides_nothing(tmp_path: Path) -> None:
    values = RAMP.astype(np.float32)
    values[0, 0], values[0, 1] = np.nan, np.inf
    Image.fromarray(values).save(tmp_path / "a.tif")
    levels = found_levels([tmp_path / "a.tif"])
    assert levels == WhiteLevels(65535, 1)
    assert eight(tmp_path / "a.tif", levels)[0, 0] == 0


def test_the_transparent_value_of_sixteen_bits_becomes_white(tmp_path: Path) -> None:
    path = gray(tmp_path / "a.png", 65535, transparency=0)
    found = eight(path, WhiteLevels())
    assert found[0, 0] == 255
    assert found[0, 1] == round(255 / 63)


def test_all_splits_and_new_images_have_the_white_of_the_training_images(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for part, brightness in (("train", 1.0), ("val", 0.05)):
        for label in "ab":
            for n in range(2):
                gray(tmp_path / f"root/{part}/{label}/{n}.png", 4095, brightness - n / 100)
    gray(tmp_path / "new/n.png", 4095, 0.05)
    with caplog.at_level("INFO", "lightning.pytorch.utilities.rank_zero"):
        module = attached(ImageFolderDataModule(tmp_path / "root", predict=str(tmp_path / "new")))
    assert caplog.text.count("Images of more than 8 bits: white is 4,095 in whole numbers") == 1
    dark = (255 * RAMP * 0.05).max()
    assert abs(int(np.asarray(module._of_split("val").read(0)).max()) - dark) <= 1
    later = ImageFolderDataModule(predict=str(tmp_path / "new"))
    later.load_state_dict(module.state_dict())
    later.setup("predict")
    assert abs(int(np.asarray(later._of_split("predict").read(0)).max()) - dark) <= 1
    told = ImageFolderDataModule(tmp_path / "root", white_level=200)
    assert int(np.asarray(told._of_split("val").read(0)).max()) == 255
    with pytest.raises(ValueError, match="white_level must be above 0, got 0"):
        ImageFolderDataModule(white_level=0)


def test_values_below_zero_are_told(tmp_path: Path) -> None:
    values = np.linspace(-1, 1, 16, dtype=np.float32).reshape(4, 4)
    Image.fromarray(values).save(tmp_path / "a.tif")
    Image.fromarray(values.clip(0)).save(tmp_path / "b.tif")
    told: list[str] = []
    found_levels([tmp_path / "b.tif"], tell=told.append)
    assert told == []
    found_levels([tmp_path / "a.tif", tmp_path / "b.tif"], tell=told.append)
    assert told == ["1 image has values below 0, which become black: scale them to begin at 0"]


def deep_color(path: Path, white: int) -> Path:
    """Write a PNG of three colors of 16 bits, a ramp from black to ``white``; Pillow cannot."""
    row = np.linspace(0, white, 8).astype(">u2")
    rows = b"".join(b"\0" + np.repeat(row, 3).tobytes() for _ in range(8))

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + crc(kind + content)

    def crc(content: bytes) -> bytes:
        return struct.pack(">I", zlib.crc32(content))

    header = struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))
    return path


@pytest.mark.parametrize("white", [1023, 4095, 16383, 65535])
def test_colors_of_sixteen_bits_that_are_all_dark_are_told(tmp_path: Path, white: int) -> None:
    dark, told = deep_color(tmp_path / "a.png", white), list[str]()
    assert found_levels([dark], tell=told.append) is None
    assert eight(dark, WhiteLevels())[0].max() == white >> 8
    assert len(told) == (white < 65535)
    if told:
        fraction = f"{(white >> 8) / 255:.0%}"
        assert f"has colors of 16 bits and none brighter than {fraction} of white" in told[0]
    bright = deep_color(tmp_path / "b.png", 65535)
    told.clear()
    found_levels([dark, bright], tell=told.append)
    assert told == []


@pytest.mark.parametrize("kind", ["RGB", "L", "RGBA", "P"])
def test_dark_images_of_eight_bits_are_no_news(tmp_path: Path, kind: str) -> None:
    Image.new(kind, (8, 8), 3 if kind in "LP" else (3, 3, 3)).save(tmp_path / "a.png")
    found_levels([tmp_path / "a.png"], tell=lambda sentence: pytest.fail(sentence))
