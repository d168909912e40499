"""Features that somebody else computed, a file an image: ``.npy``, or ``.npz`` with one array."""

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from lit_tasks.zip_files import DAMAGED, check_sizes

_NAMES = ("feat", "features", "x", "arr_0")  # of the array in an .npz with several
MAX_BYTES = 64 << 20
"""Of one image's features: 100 regions of 2048 single-precision numbers have 0.8 MB."""


def read_feature_files(folder: Path, ids: Sequence[int | str]) -> np.ndarray:
    """Return the features of images from a file each, ``(N, F)`` or ``(N, P, F)``, float32.

    Files are called as the image: ``391895.npy``, or with twelve digits as COCO has it; of
    ``val/dog.jpg`` it is ``val/dog.npy``, ``dog.npy`` or one of these with ``.jpg.npy``.
    All must have the same shape.

    Args:
        folder: Where they are.
        ids: The images, in the order that is wanted.

    Raises:
        FileNotFoundError: An image has no file.
        ValueError: A file holds something else than numbers in one shape, or is too large.
    """
    if not ids:
        return np.zeros((0, 1), np.float32)
    found: np.ndarray | None = None
    for row, name in enumerate(ids):
        path = _file(folder, name)
        values = _read(path)
        if found is None:
            found = np.empty((len(ids), *values.shape), np.float32)
        if values.shape != found.shape[1:]:
            raise ValueError(
                f"{path} has features of shape {values.shape}, those of image {ids[0]} have"
                f" {found.shape[1:]}: give every image as many regions, by padding or by the best"
            )
        found[row] = values
    assert found is not None
    return found


def _file(folder: Path, name: int | str) -> Path:
    plain = Path(str(name)).with_suffix("") if isinstance(name, str) else Path(str(name))
    names = [str(plain), plain.name, str(name), Path(str(name)).name]
    names += [f"{name:012}"] if isinstance(name, int) else []
    places = [folder / f"{stem}{ending}" for stem in names for ending in (".npy", ".npz")]
    inside = [place for place in places if place.resolve().is_relative_to(folder.resolve())]
    there = next((place for place in inside if place.is_file()), None)
    if there is None:
        raise FileNotFoundError(
            f"image {name} has no features in {folder}, neither {names[0]}.npy nor {names[0]}.npz;"
            " compute them, or take the image out of the captions"
        )
    return there


def _read(path: Path) -> np.ndarray:
    try:
        with _opened(path) as file:
            values = _array(path, file)
    except (OSError, ValueError, *DAMAGED) as error:
        if str(error).startswith(str(path)):
            raise
        raise ValueError(
            f"{path} cannot be read as an array of numpy ({error}); make it again"
        ) from error
    if values.ndim not in (1, 2) or not values.size:
        raise ValueError(
            f"{path} should hold the features of one image, of shape (features) or (positions,"
            f" features), it holds {values.shape}"
        )
    if not np.isfinite(values).all():
        raise ValueError(f"{path} holds numbers that are not finite; compute them again")
    return values


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """Open the bytes of the array."""
    if path.suffix == ".npy":
        with path.open("rb") as file:
            yield file
        return
    with zipfile.ZipFile(path) as archive:
        check_sizes(archive, path)
        members = [name.removesuffix(".npy") for name in archive.namelist()]
        name = members[0] if len(members) == 1 else next((n for n in _NAMES if n in members), None)
        if name is None:
            raise ValueError(
                f"{path} has the arrays {', '.join(members[:9]) or 'none'}; it should have one, or"
                f" one called {', '.join(_NAMES)}"
            )
        with archive.open(archive.namelist()[members.index(name)]) as file:
            yield file


def _array(path: Path, file: IO[bytes]) -> np.ndarray:
    """Return the array, after a look at what its header announces."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        header: tuple[Any, ...] = np.lib.format.read_array_header_1_0(file)
    else:
        header = np.lib.format.read_array_header_2_0(file)
    shape, fortran, dtype = header
    count = int(np.prod(shape, dtype=object))
    if dtype.kind != "f":
        raise ValueError(f"{path} should hold floating-point features, it holds {dtype}")
    if count * dtype.itemsize > MAX_BYTES:
        raise ValueError(
            f"{path} announces {count * dtype.itemsize:,} bytes; the features of one image must"
            f" have at most {MAX_BYTES:,}"
        )
    content = file.read(count * dtype.itemsize)
    if len(content) < count * dtype.itemsize:
        raise ValueError(f"{path} breaks off; make it again")
    flat = np.frombuffer(content, dtype)
    values: np.ndarray = flat.reshape(shape, order="F" if fortran else "C")
    return values
