"""Features of others, a file an image: read in order, and hostile until shown otherwise."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lit_tasks.data.readers.features import read_features


def saved(folder: Path, **arrays: Any) -> Path:
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values)
    return folder


@pytest.mark.parametrize("shape", [(4,), (3, 4)])
def test_each_image_gets_its_own_file(tmp_path: Path, shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).normal(size=(3, *shape))
    np.save(tmp_path / "7.npy", values[0].astype(np.float16))
    np.savez(tmp_path / f"{8:012}.npz", feat=values[1], bbox=values[1])
    (tmp_path / "val").mkdir()
    np.savez_compressed(tmp_path / "val/dog.npz", np.asfortranarray(values[2]))
    found = read_features(tmp_path, [8, 7, "val/dog.jpg"])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, values[[1, 0, 2]], atol=2e-3)


def test_a_file_below_another_folder_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    saved(tmp_path, secret=np.ones(3))
    with pytest.raises(FileNotFoundError, match=r"image \.\./secret\.jpg has no features in"):
        read_features(tmp_path / "inside", ["../secret.jpg"])


def npy(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values, allow_pickle=True)
    return file.getvalue()


def announced(count: int) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": "<f4", "fortran_order": False, "shape": (count,)}
    )
    return file.getvalue()


def zipped(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


WRONG: dict[str, tuple[str, bytes, str]] = {
    "a pickle": ("npy", npy(np.array([{}, 1], dtype=object)), "floating-point .* it holds object"),
    "whole numbers": ("npy", npy(np.arange(3)), "floating-point features, it holds int64"),
    "three dimensions": ("npy", npy(np.ones((1, 2, 3))), r"it holds \(1, 2, 3\)"),
    "nothing": ("npy", npy(np.ones(0)), r"features of one image, .* it holds \(0,\)"),
    "not a number": ("npy", npy(np.array([1, np.nan])), "not finite; compute them again"),
    "another length": ("npy", npy(np.ones(5)), r"shape \(5,\), those of image 1 have \(3,\)"),
    "half a file": ("npy", npy(np.ones(3))[:-4], "breaks off; make it again"),
    "no array": ("npy", b"hello", "cannot be read as an array of numpy"),
    "a huge array": ("npy", announced(1 << 40), "announces 4,398,046,511,104 bytes"),
    "no zip": ("npz", b"hello", "cannot be read as an array of numpy"),
    "a zip bomb": ("npz", zipped(x=bytes(80 << 20)), "must unpack to at most 100 times its size"),
    "two arrays": ("npz", zipped(a=npy(np.ones(3)), b=npy(np.ones(3))), "has the arrays a, b"),
    "a zipped pickle": ("npz", zipped(x=npy(np.array([{}], dtype=object))), "it holds object"),
}


@pytest.mark.parametrize("name", WRONG)
def test_files_that_are_no_features_are_named(tmp_path: Path, name: str) -> None:
    ending, content, sentence = WRONG[name]
    np.save(tmp_path / "1.npy", np.ones(3))
    (tmp_path / f"2.{ending}").write_bytes(content)
    with pytest.raises(ValueError, match=sentence) as caught:
        read_features(tmp_path, [1, 2])
    assert str(tmp_path / "2.") in str(caught.value)


def test_a_file_may_be_called_as_the_image_with_its_ending(tmp_path: Path) -> None:
    np.save(tmp_path / "dog.jpg.npy", np.ones(3))
    (tmp_path / "val").mkdir()
    np.savez(tmp_path / "val/cat.1.png.npz", np.zeros(3))
    found = read_features(tmp_path, ["val/dog.jpg", "val/cat.1.png"])
    np.testing.assert_array_equal(found, [[1, 1, 1], [0, 0, 0]])


def test_ids_beside_a_file_are_read_whatever_stands_around_them(tmp_path: Path) -> None:
    np.save(tmp_path / "f.npy", np.arange(6.0).reshape(3, 2))
    ids = tmp_path / "f.ids.txt"
    ids.write_bytes(b"\xef\xbb\xbfc.jpg \r\nb.jpg\r\n a.jpg\r\n\r\n")
    found = read_features(tmp_path / "f.npy", ["a.jpg", "c.jpg"])
    np.testing.assert_array_equal(found, [[4, 5], [0, 1]])
    ids.write_text("a.jpg\nb.jpg\na.jpg")
    with pytest.raises(ValueError, match=r"f\.npy: rows 1 and 3 are both of image a\.jpg"):
        read_features(tmp_path / "f.npy", ["a.jpg"])
    ids.write_bytes(b"a.jpg\nb.jpg\ncaf\xe9.jpg")
    with pytest.raises(ValueError, match=r"f\.ids\.txt: byte 15 is not UTF-8; save it as UTF-8"):
        read_features(tmp_path / "f.npy", ["a.jpg"])
