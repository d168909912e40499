"""Features that somebody else computed: a file of numbers, and whose image each row is."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lit_tasks.data.readers.feature_files import read_feature_files
from lit_tasks.files import not_there

_H5 = (".h5", ".hdf5")
_IDS = ("ids", "image_ids")


def read_features(path: Path, ids: Sequence[int | str]) -> np.ndarray:
    """Return the features of images, ``(N, F)`` or ``(N, P, F)``, single precision.

    An ``.npy`` file has its ids beside it, one a line: ``vgg16.npy`` in ``vgg16.ids.txt``. An
    ``.h5`` file (needs h5py) has the dataset ``features`` and perhaps ``ids``. Without ids there
    must be as many rows as images, in the images' order. A folder has a file an image:
    :func:`~lit_tasks.data.readers.feature_files.read_feature_files`.

    Args:
        path: The file, or the folder.
        ids: The images, in the order that is wanted.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It holds something else, or lacks an image.
    """
    if path.is_dir():
        return read_feature_files(path, ids)
    if not path.is_file():
        raise not_there(path, f"there is no file of features {path}; set data.features to one")
    values, theirs = _read_h5(path) if path.suffix in _H5 else _read_npy(path)
    if values.ndim not in (2, 3) or values.dtype.kind != "f":
        raise ValueError(
            f"{path} should hold floating-point features of shape (images, features) or (images,"
            f" positions, features), it holds {values.dtype} of shape {values.shape}"
        )
    if theirs is None:
        if len(values) != len(ids):
            raise ValueError(
                f"{path} has {len(values):,} rows without ids for {len(ids):,} images: name the"
                f" image of each row in {_ids_beside(path)} (or, in an .h5 file, in ids)"
            )
        return values.astype(np.float32, copy=False)
    if len(theirs) != len(values):
        raise ValueError(f"{path} has {len(values):,} rows of features but {len(theirs):,} ids")
    row: dict[str, int] = {}
    for number, name in enumerate(theirs):
        if row.setdefault(name, number) != number:
            raise ValueError(
                f"{path}: rows {row[name] + 1:,} and {number + 1:,} are both of image {name};"
                " give each image one row"
            )
    rows = [row.get(str(name), -1) for name in ids]
    if -1 in rows:
        lost = [name for name, number in zip(ids, rows, strict=True) if number < 0]
        raise ValueError(
            f"{path} has no features of image {lost[0]}"
            f"{f' and {len(lost) - 1:,} others' if len(lost) > 1 else ''}; compute them, or take"
            " these images out of the captions"
        )
    if rows == list(range(len(values))):
        return values.astype(np.float32, copy=False)
    return values[rows].astype(np.float32, copy=False)


def _read_npy(path: Path) -> tuple[np.ndarray, list[str] | None]:
    try:
        values = np.load(path, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{path} cannot be read as an array of numpy ({error}); give an .npy or .h5 file"
        ) from error
    beside = _ids_beside(path)
    return values, _read_ids(beside) if beside.is_file() else None


def _read_ids(path: Path) -> list[str]:
    try:
        ids = [line.strip() for line in path.read_text("utf-8-sig").rstrip().splitlines()]
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: byte {error.start} is not UTF-8; save it as UTF-8") from error
    return ids


def _read_h5(path: Path) -> tuple[np.ndarray, list[str] | None]:
    try:
        import h5py  # type: ignore[import-untyped, unused-ignore]
    except ModuleNotFoundError:
        raise ValueError(f"{path} needs the package h5py: pip install h5py") from None
    try:
        file: Any = h5py.File(path)
    except OSError as error:
        raise ValueError(f"{path} cannot be read as HDF5 ({error}); make it again") from error
    with file:
        if "features" not in file:
            raise ValueError(
                f"{path} has no dataset 'features', it has {', '.join(file) or 'nothing'}"
            )
        name = next((name for name in _IDS if name in file), None)
        ids = None if name is None else [_text(value) for value in file[name][:]]
        return file["features"][:], ids


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _ids_beside(path: Path) -> Path:
    return path.with_suffix(".ids.txt")
