"""Images that would fill the memory are refused by their size; ordinary large ones are read."""

import io
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageOps

from lit_tasks.data.base.caption_dataset import CaptionRecord, usable
from lit_tasks.data.image_folder import ImageFolderDataModule
from lit_tasks.data.readers.bit_depth import WhiteLevels
from lit_tasks.data.readers.images import in_color, read_image, reasons
from lit_tasks.data.readers.opened_images import MAX_PIXELS
from lit_tasks.data.streamed_images import StreamedImagesDataModule
from lit_tasks.data.style_pairs import StylePairsDataModule

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "tests/fixtures/images"


def saved(path: Path, width: int, height: int, mode: str = "RGB", **how: Any) -> Path:
    Image.new(mode, (width, height)).save(path, **how)
    return path


def bomb(path: Path) -> Path:
    """Write 169 million pixels in 20 kB; only the beginning is ever decoded here."""
    return saved(path, 13000, 13000, "1")


@pytest.fixture(scope="module")
def the_bomb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bomb(tmp_path_factory.mktemp("bomb") / "bomb.png")


SENTENCE = (
    r"bomb\.png has 13,000 x 13,000 pixels; at most 64,000,000 are read, since reading takes up to"
    r" 8 bytes of memory each: make it smaller, or raise data\.max_pixels"
)


def test_a_bomb_is_refused_in_a_sentence_before_it_is_decoded(the_bomb: Path) -> None:
    assert the_bomb.stat().st_size < 30_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=SENTENCE + r"; remove it, or .*bad_images: skip"):
        read_image(the_bomb, min_side=256)
    assert reasons([the_bomb], whole=True)[0].startswith("has 13,000 x 13,000 pixels")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000


def test_every_data_module_refuses_it_or_leaves_it_out(
    the_bomb: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a", "b"):
        (tmp_path / "root" / name).mkdir(parents=True)
        for n in range(5):
            saved(tmp_path / "root" / name / f"{n}.png", 8 + n, 8)
    bad = tmp_path / "root" / "a" / "bomb.png"
    bad.symlink_to(the_bomb)
    with pytest.raises(ValueError, match=SENTENCE):
        ImageFolderDataModule(tmp_path / "root").images("train")
    with caplog.at_level("INFO"):
        found = ImageFolderDataModule(tmp_path / "root", bad_images="skip").images("train")
    assert bad not in found.paths
    assert "1 of 11 files left out, first" in caplog.text
    large = ImageFolderDataModule(tmp_path / "root", max_pixels=169_000_000)
    assert bad in [*large.images("train").paths, *large.images("val").paths]
    with pytest.raises(ValueError, match=r"image 7 has 13,000 x 13,000 pixels.*others|image 7 has"):
        usable([CaptionRecord(7, bad, ["a b"])], skip=False)
    style = StylePairsDataModule(tmp_path / "root" / "a", contents=["bomb.png"], styles=["0.png"])
    style.setup("fit")
    with pytest.raises(ValueError, match=SENTENCE):
        style.pair(0)


@pytest.mark.parametrize("bad_rows", ["stop", "skip"])
def test_a_stream_counts_it_as_a_bad_row(the_bomb: Path, tmp_path: Path, bad_rows: Any) -> None:
    small = io.BytesIO()
    Image.new("RGB", (8, 8)).save(small, "png")
    rows = [{"image": small.getvalue(), "label": n % 2} for n in range(4)]
    rows.append({"image": the_bomb.read_bytes(), "label": 0})
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    module = StreamedImagesDataModule(
        str(tmp_path / "*.parquet"), bad_rows=bad_rows, cache_dir=tmp_path / "cache"
    )
    if bad_rows == "skip":
        assert len(module.images("train").names) == 4
    else:
        with pytest.raises(ValueError, match="row 5: the image has 13,000 x 13,000 pixels"):
            module.images("train")


def test_pillow_keeps_its_own_limit_for_others(the_bomb: Path) -> None:
    before = Image.MAX_IMAGE_PIXELS
    reasons([the_bomb], max_pixels=10**9)
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("max_pixels", [0, -1])
def test_a_limit_is_positive(max_pixels: int) -> None:
    for make in (ImageFolderDataModule, StylePairsDataModule):
        with pytest.raises(ValueError, match=f"max_pixels must be at least 1, got {max_pixels}"):
            make(max_pixels=max_pixels)


def one_scan_a_color(content: bytes) -> bytes:
    """Return a JPEG whose first scan is said to hold one color of three."""
    at = content.index(b"\xff\xda")
    return content[:at] + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" + content[at + 14 :]


def test_a_large_jpeg_is_read_smaller_unless_the_decoder_would_hold_all_of_it(
    tmp_path: Path,
) -> None:
    plain = saved(tmp_path / "plain.jpg", 800, 400)
    progressive = saved(tmp_path / "progressive.jpg", 800, 400, progressive=True)
    scans = tmp_path / "scans.jpg"
    scans.write_bytes(one_scan_a_color(plain.read_bytes()))
    assert read_image(plain, min_side=25, max_pixels=20_000).size == (100, 50)
    for path, least in ((plain, None), (progressive, 25), (scans, 25)):
        with pytest.raises(ValueError, match="has 800 x 400 pixels; at most 20,000 are read"):
            read_image(path, least, max_pixels=20_000)
    assert read_image(progressive, min_side=25).size == (100, 50)


@pytest.mark.parametrize(("format", "share"), [("webp", 2), ("avif", 2), ("jp2", 3)])
def test_decoders_that_hold_several_copies_read_fewer(
    tmp_path: Path, format: str, share: int
) -> None:
    try:
        path = saved(tmp_path / f"a.{format}", 100, 100)
    except (KeyError, OSError, ValueError):
        pytest.skip(f"this Pillow writes no {format}")
    assert read_image(path, max_pixels=10_000 * share).size == (100, 100)
    with pytest.raises(ValueError, match=r"at most \d+,?\d+ are read in the format"):
        read_image(path, max_pixels=10_000 * share - share)


def test_a_thread_of_an_image_is_not_blown_up(tmp_path: Path) -> None:
    path = saved(tmp_path / "thread.png", 40_000, 2)
    with pytest.raises(ValueError, match=r"40,000 x 2 pixels and would be made 5,120,000 x 256"):
        read_image(path, min_side=256)
    assert read_image(path).size == (40_000, 2)
    assert read_image(saved(tmp_path / "small.png", 2, 2), min_side=256).size == (2, 2)


def test_no_image_starts_another_program(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n")
    assert reasons([path]) == ["is not a readable image"]
    with pytest.raises(ValueError, match=r"a\.jpg is not a readable image \(EPS is not read"):
        read_image(path)


def plainly(image: Image.Image) -> Image.Image:
    """Convert as a whole, as it was done before memory was saved."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        values = np.asarray(image, dtype=np.float64)
        scale = 255 / 65535 if values.max(initial=0) > 255 else 1.0
        image = Image.fromarray((values * scale).round().clip(0, 255).astype(np.uint8))
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(ground, image)
    return image.convert("RGB")


@pytest.mark.parametrize(
    "mode", ["RGB", "RGBA", "LA", "PA", "P", "L", "1", "CMYK", "I", "F", "I;16", "YCbCr"]
)
def test_converting_in_strips_changes_no_pixel(mode: str) -> None:
    random = np.random.default_rng(0)
    noise = random.integers(256, size=(600, 37, 4), dtype=np.uint8)
    rgba = Image.fromarray(noise)
    if mode in ("I", "F", "I;16"):
        values = random.integers(65536, size=(600, 37))
        kind = {"I": np.int32, "F": np.float32, "I;16": np.uint16}[mode]
        image = Image.fromarray(values.astype(kind))
    elif mode in ("RGBA", "LA", "PA"):
        image = rgba.convert(mode)
    else:
        image = rgba.convert("RGB").convert(mode)
    levels = WhiteLevels(65535, 65535)
    assert np.array_equal(np.asarray(in_color(image.copy(), levels)), np.asarray(plainly(image)))
    if mode in ("P", "L"):
        image.info["transparency"] = 7
        assert np.array_equal(np.asarray(in_color(image.copy())), np.asarray(plainly(image)))


@pytest.mark.parametrize("format", ["png", "jpg", "gif", "webp", "tiff", "bmp", "ppm"])
def test_an_image_is_usable_after_its_file_is_closed(tmp_path: Path, format: str) -> None:
    path = tmp_path / f"a.{format}"
    noise = np.random.default_rng(0).integers(256, size=(20, 30, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise).save(path, **({"exif": exif} if format in ("jpg", "webp") else {}))
    with Image.open(path) as opened:
        expected = plainly(ImageOps.exif_transpose(opened))
    found = read_image(path)
    assert found.size == expected.size
    assert np.array_equal(np.asarray(found.resize((7, 7))), np.asarray(expected.resize((7, 7))))
    assert np.array_equal(np.asarray(found.rotate(0)), np.asarray(expected))


MEASURE = """
import resource, sys
from pathlib import Path
from lit_tasks.data.readers.images import read_image
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    read_image(Path(sys.argv[1]))
except ValueError:
    assert sys.argv[2] == "refused"
else:
    assert sys.argv[2] == "read"
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def turned(path: Path) -> Path:
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(path, 8192, 6144, exif=exif)


@pytest.mark.slow  # seven images of 50 megapixels take 20 s to make and to read
@pytest.mark.parametrize(
    ("make", "outcome"),
    [
        (lambda f: saved(f / "camera.jpg", 8688, 5792), "read"),
        (lambda f: turned(f / "turned.jpg"), "read"),
        (lambda f: saved(f / "a.jpg", 8000, 7990, progressive=True), "read"),
        (lambda f: saved(f / "a.png", 8000, 7990, "RGBA"), "read"),
        (lambda f: saved(f / "a.png", 8000, 7990, "I;16"), "read"),
        (lambda f: saved(f / "a.webp", 5600, 5600), "read"),
        (lambda f: bomb(f / "bomb.png"), "refused"),
    ],
    ids=["camera", "turned", "progressive", "transparent", "16 bits", "webp", "bomb"],
)
def test_reading_takes_at_most_500_megabytes(
    tmp_path: Path, make: Callable[[Path], Path], outcome: str
) -> None:
    path = make(tmp_path)
    with Image.open(path) as image:
        assert image.width * image.height <= MAX_PIXELS or outcome == "refused"
    words = [sys.executable, "-c", MEASURE, str(path), outcome]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert int(done.stdout) <= 500
