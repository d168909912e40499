"""Readers of COCO's caption files and of Karpathy's split; all that is wrong gets a sentence."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lit_tasks.data.readers.caption_records import CaptionRecord, EmptyCaptions
from lit_tasks.data.readers.encodings import undecoded
from lit_tasks.data.readers.split_names import split_named
from lit_tasks.files import not_there, parse_json

Kind = type | tuple[type, ...]


def read_coco(
    path: Path, folder: Path, left_out: EmptyCaptions | None = None
) -> list[CaptionRecord]:
    """Return the images of an official ``captions_*.json``, in its order.

    Args:
        path: The file.
        folder: Where its images are; one that a file name begins with may be beside it.
        left_out: Counts empty captions; they are refused if left out.

    Raises:
        ValueError: The file is broken, or captions and images do not belong together.
    """
    content = read_json(path)
    images = _entries(path, content, name="images", wanted={"id": (int, str), "file_name": str})
    found: dict[str, CaptionRecord] = {}  # 7 in images may be "7" in annotations
    for image in images:
        if str(image["id"]) in found:
            raise ValueError(f"{path}: image {image['id']} is there twice; remove one")
        found[str(image["id"])] = CaptionRecord(
            image["id"], _beside(folder, image["file_name"]), []
        )
    wanted: dict[str, Kind] = {"image_id": (int, str), "caption": str}
    for number, annotation in enumerate(_entries(path, content, name="annotations", wanted=wanted)):
        where = f"{path}: annotations[{number}] (id {annotation.get('id')})"
        if str(annotation["image_id"]) not in found:
            raise ValueError(
                f"{where} is about image {annotation['image_id']}, which is not in images; remove"
                " it, or add the image"
            )
        sentence = _one_line(where, annotation["caption"], left_out)
        found[str(annotation["image_id"])].sentences.extend(sentence)
    return list(found.values())


def _beside(folder: Path, name: str) -> Path:
    """Return the image in a folder, or where its own name has a folder in the one above."""
    place, above = folder / name, folder.parent / name
    return above if "/" in name and not place.is_file() and above.is_file() else place


def read_karpathy(
    path: Path, root: Path, left_out: EmptyCaptions | None = None
) -> dict[str, list[CaptionRecord]]:
    """Return the images of train, val and test of ``dataset_coco.json`` and its kin.

    What Karpathy calls restval is for training, as everybody takes it. Where the folders of 2014
    are not there, images are looked for under their names of 2017.

    Args:
        path: The file.
        root: Where the folders of its images are.
        left_out: Counts empty captions; they are refused if left out.

    Raises:
        ValueError: The file is broken.
    """
    splits: dict[str, list[CaptionRecord]] = {"train": [], "val": [], "test": []}
    wanted: dict[str, Kind] = {"filename": str, "split": str, "sentences": list}
    there: dict[str, bool] = {}
    seen: dict[tuple[object, str], int] = {}
    for number, image in enumerate(_entries(path, read_json(path), name="images", wanted=wanted)):
        where = f"{path}: images[{number}] ({image['filename']})"
        split = split_named(image["split"])
        if split is None:
            raise ValueError(
                f"{where} belongs to {image['split']!r}; it should be train, restval, val or test"
            )
        if (key := (image.get("filepath"), image["filename"])) in seen:
            raise ValueError(f"{where} is there twice, before as images[{seen[key]}]; remove one")
        seen[key] = number
        sentences = []
        for sentence in image["sentences"]:
            if not isinstance(sentence, dict) or not isinstance(sentence.get("raw"), str):
                raise ValueError(f"{where} has a sentence without 'raw'; download the file again")
            sentences.extend(_one_line(where, sentence["raw"], left_out))
        place = _place(root, image, there)
        name = image.get("cocoid", image.get("imgid", image["filename"]))
        splits[split].append(CaptionRecord(name, place, sentences))
    return splits


def read_json(path: Path) -> dict[str, Any]:
    """Return the object of a JSON file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not JSON; the sentence names line and column.
    """
    if not path.is_file():
        raise not_there(path, f"there is no file {path}; give the path of a caption file")
    try:
        content = parse_json(path.read_bytes())
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{path}, line {error.lineno}, column {error.colno}: invalid JSON ({error.msg});"
            " the download may be incomplete, get the file again"
        ) from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not JSON, byte {error.start} is not UTF-8") from error
    except ValueError as error:
        raise ValueError(f"{path} is not readable JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(
            f"{path} should be a JSON object, it is a {type(content).__name__}; a list of captions"
            " is read by lit_tasks.data.caption_files.CaptionFilesDataModule"
        )
    return content


def _entries(
    path: Path, content: dict[str, Any], name: str, wanted: Mapping[str, Kind]
) -> list[dict[str, Any]]:
    entries = content.get(name)
    if not isinstance(entries, list):
        raise ValueError(
            f"{path} has no list '{name}', it has {', '.join(content) or 'nothing'}: is it a"
            " caption file?"
        )
    for number, entry in enumerate(entries):
        for key, kind in wanted.items():
            value = entry.get(key) if isinstance(entry, dict) else None
            if not isinstance(value, kind) or isinstance(value, bool):
                raise ValueError(
                    f"{path}: {name}[{number}] should have '{key}', {_KINDS[kind]}, got {value!r}"
                )
    return entries


_KINDS: dict[Kind, str] = {
    int: "a whole number",
    str: "a text",
    list: "a list",
    (int, str): "a whole number or a text",
}


def _one_line(where: str, sentence: str, left_out: EmptyCaptions | None) -> list[str]:
    """Return a caption with single blanks between its words, nothing for an empty one."""
    words = " ".join(sentence.split())
    if not words:
        (left_out or EmptyCaptions()).add(f"{where} has an empty caption", "remove it")
        return []
    if wrong := undecoded(words):
        raise ValueError(f"{where} has a caption that is no text {wrong}; correct or remove it")
    return [words]


def _place(root: Path, image: dict[str, Any], there: dict[str, bool]) -> Path:
    folder = image.get("filepath", "")
    if not isinstance(folder, str) or not isinstance(image.get("cocoid", 0), int):
        raise ValueError(
            f"image {image['filename']} should have a text 'filepath' and a whole number 'cocoid',"
            f" got {folder!r:.60} and {image.get('cocoid')!r:.60}"
        )
    if folder not in there:
        there[folder] = (root / folder).is_dir()
    named: Path = root / folder / image["filename"]
    flat: Path = root / image["filename"]
    if not there[folder] and flat.is_file():
        return flat
    if there[folder] or "cocoid" not in image:
        return named
    name = f"{image['cocoid']:012}.jpg"
    later = [root / year / name for year in ("train2017", "val2017")]
    return next((path for path in later if path.is_file()), named)
