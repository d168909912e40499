"""Files of captions as people have them are read, and nothing in them is dropped in silence."""

import csv
import gzip
import io
import json
from pathlib import Path

import pytest

from lit_tasks.data.caption_files import CaptionFilesDataModule, read_captions
from lit_tasks.data.readers.caption_tables import CaptionColumns, caption_rows

SAID = [("a.jpg", "a black dog, and a white dog"), ("b.jpg", 'a "big" cat'), ("a.jpg", "two dogs")]


def said(path: Path, **columns: str) -> list[tuple[str, str]]:
    rows = caption_rows(path, CaptionColumns(**columns))
    return [(row.file, caption) for row in rows for caption in row.captions]


def written(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def as_csv(header: list[str], delimiter: str = ",") -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows([header, *SAID])
    return text.getvalue()


PIPE = "image_name| comment_number| comment\na.jpg| 0| {}\nb.jpg| 0| {}\na.jpg| 1| {}\n"
TOKEN = "a.jpg#0\t{}\nb.jpg#0\t{}\na.jpg#1\t{}\n"
SENTENCES = [caption for _, caption in SAID]
OBJECTS = [{"image": name, "caption": caption} for name, caption in SAID]
FILES = {
    "captions.csv": as_csv(["file", "caption"]),
    "blank_first.token": "\n \n" + TOKEN.format(*SENTENCES),
    "captions.txt": as_csv(["image", "caption"]),  # Flickr8k of Kaggle
    "semicolons.csv": as_csv(["Image", "Caption"], ";"),
    "metadata.csv": as_csv(["file_name", "text"]),  # imagefolder of Hugging Face
    "tabs.tsv": "image\tcaption\n" + "".join(f"{name}\t{text}\n" for name, text in SAID),
    "results.csv": PIPE.format(*SENTENCES),  # Flickr30k of Kaggle
    "Flickr8k.token.txt": TOKEN.format(*SENTENCES),
    "results_20130124.token": TOKEN.format(*SENTENCES),
    "metadata.jsonl": "".join(json.dumps(o) + "\n" for o in OBJECTS),
    "coco_karpathy_train.json": json.dumps(OBJECTS),
    "excel.csv": b"\xff\xfe" + as_csv(["file", "caption"]).encode("utf-16-le"),
    "marked.csv": b"\xef\xbb\xbf" + as_csv(["file", "caption"]).encode(),
    "packed.csv.gz": gzip.compress(as_csv(["file", "caption"]).encode()),
}


@pytest.mark.parametrize("name", FILES)
def test_files_of_all_kinds_say_the_same(tmp_path: Path, name: str) -> None:
    assert said(written(tmp_path / name, FILES[name])) == SAID


def test_several_captions_of_a_row_stand_in_columns_or_in_a_list(tmp_path: Path) -> None:
    wide = written(
        tmp_path / "wide.csv", "image,caption_0,caption_1\na.jpg,one,two\nb.jpg,three,\n"
    )
    assert said(wide) == [("a.jpg", "one"), ("a.jpg", "two"), ("b.jpg", "three")]
    objects = [
        {"file": "a.jpg", "captions": ["one", "two"]},
        {"file": "b.jpg", "captions": [{"raw": "three"}]},
    ]
    assert said(written(tmp_path / "lists.json", json.dumps(objects))) == said(wide)


def test_columns_can_be_named(tmp_path: Path) -> None:
    table = written(tmp_path / "t.csv", "id,url,en,de\n1,a.jpg,a dog,ein Hund\n")
    assert said(table, file="url", caption="de") == [("a.jpg", "ein Hund")]


REFUSED = {
    "an unquoted comma": (
        "t.csv",
        "file,caption\na.jpg,a dog\nb.jpg,A black dog , and a white dog\n",
        r"t\.csv, line 3: 2 columns were announced, got 3.*; correct it, or remove the row",
    ),
    "an open quote": (
        "t.csv",
        'file,caption\na.jpg,"a dog\nb.jpg,a cat\nc.jpg,a cow\n',
        r"t\.csv, line 2: a quote is opened and never closed; correct it",
    ),
    "cp1252": (
        "t.csv",
        "file,caption\na.jpg,a dog\nb.jpg,a caf\xe9\n".encode("cp1252"),
        r"t\.csv, line 3: the bytes are not UTF-8 \(0xe9 at character 10\); save the file as UTF-8,"
        r" or give its encoding, for example --data\.encoding=cp1252",
    ),
    "cp1252 all over": (
        "t.csv",
        ("file,caption\n" + "b.jpg,a caf\xe9 au lait\n" * 40).encode("cp1252"),
        r"t\.csv, line 2: the bytes are not UTF-8 \(0xe9",
    ),
    "cp1252 in Flickr's format": (
        "f.token",
        "a.jpg#0\ta caf\xe9\n".encode("cp1252"),
        r"f\.token, line 1: the bytes are not UTF-8",
    ),
    "an empty caption": ("t.csv", "file,caption\na.jpg, \n", r"line 2: column caption is empty"),
    "an empty file": ("t.csv", "image,caption\n,a dog\n", r"line 2: column image is empty"),
    "no caption at all": ("t.csv", "file,c0\na.jpg,x\n", r"no column 'caption', only 'file', 'c0'"),
    "a token without a caption": (
        "f.txt",
        "a.jpg#0\ta dog\na.jpg a cat\n",
        r"f\.txt, line 2: name#number, a tab and a caption must stand here; correct it",
    ),
    "JSON that breaks off": ("t.jsonl", '{"file": "a.jpg"', r"t\.jsonl, line 1: this is not JSON"),
    "a list that breaks off": ("t.json", '[{"file": "a.jpg"', r"line 1: the JSON array cannot be"),
    "a number for a caption": (
        "t.json",
        '[{"file": "a.jpg", "caption": 3}]',
        r"t\.json, line 1: file should be a text and caption a text or a list of texts, got",
    ),
    "no list of captions": (
        "t.json",
        '[{"file": "a.jpg", "caption": []}]',
        r"t\.json, line 1: column caption is empty",
    ),
    "another name": ("t.json", '[{"url": "a.jpg", "caption": "a"}]', r"no column 'file', only"),
    "an object of COCO's": ("t.json", '{"images": []}', r"line 1 has no column 'file', only"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_be_lost_is_refused_with_line_and_remedy(tmp_path: Path, name: str) -> None:
    file, text, sentence = REFUSED[name]
    with pytest.raises(ValueError, match=sentence) as caught:
        said(written(tmp_path / file, text))
    assert "\n" not in str(caught.value)


def test_an_encoding_that_is_given_is_believed(tmp_path: Path) -> None:
    table = written(tmp_path / "t.csv", "file,caption\nb.jpg,a caf\xe9\n".encode("cp1252"))
    images, _ = read_captions(table, None, CaptionColumns(), encoding="cp1252")
    assert images[0].sentences == ["a caf\xe9"]
    assert images[0].path == tmp_path / "b.jpg"
    with pytest.raises(ValueError, match="encoding must be one that Python knows"):
        CaptionFilesDataModule(table, encoding="cp12520")


def test_a_split_column_is_asked_of_json_too_and_flickrs_files_have_none(tmp_path: Path) -> None:
    objects = [{"file": "a.jpg", "caption": "a", "part": "dev"}]
    table = written(tmp_path / "t.json", json.dumps(objects))
    assert read_captions(table, None, CaptionColumns(split="part"))[1] == ["val"]
    with pytest.raises(ValueError, match=r"no column 'split', only 'file', 'caption', 'part'"):
        read_captions(table, None, CaptionColumns(split="split"))
    token = written(tmp_path / "f.txt", "a.jpg#0\ta dog\n")
    with pytest.raises(ValueError, match=r"no column split: leave data\.split_column out"):
        read_captions(token, None, CaptionColumns(split="split"))


@pytest.mark.parametrize(
    "spelled", ["./a.jpg", "more/../a.jpg", ".\\a.jpg", "a", " a.jpg", "{root}/a.jpg"]
)
def test_spellings_of_one_file_are_one_image(tmp_path: Path, spelled: str) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "a.jpg").touch()
    name = spelled.format(root=tmp_path)
    table = written(tmp_path / "c.csv", f"file,caption\na.jpg,one\n{name},two\nb.jpg,three\n")
    images, _ = read_captions(table, None, CaptionColumns())
    assert [(image.id, image.sentences) for image in images] == [
        ("a.jpg", ["one", "two"]),
        ("b.jpg", ["three"]),
    ]
    again = f"file,caption,part\na.jpg,one,train\n{name},two,val\n"
    with pytest.raises(ValueError, match=r"line 3: .* is for val here and train before"):
        read_captions(written(tmp_path / "s.csv", again), None, CaptionColumns(split="part"))


@pytest.mark.parametrize(
    "cell", ['["one, two", "it\'s"]', "['one, two', \"it's\"]", "[one, two]", "one [two]"]
)
def test_a_cell_may_hold_a_list_of_captions(tmp_path: Path, cell: str) -> None:
    text = io.StringIO()
    csv.writer(text).writerows([["filename", "raw"], ["a.jpg", cell]])
    found = said(written(tmp_path / "c.csv", text.getvalue()), caption="raw")
    whole = [("a.jpg", "one, two"), ("a.jpg", "it's")]
    assert found == (whole if "'" in cell else [("a.jpg", cell)])


def test_a_column_of_captions_and_numbered_ones_are_all_read(tmp_path: Path) -> None:
    wide = written(tmp_path / "c.csv", "image,caption,caption_1\na.jpg,one,two\nb.jpg,three,\n")
    whole = [("a.jpg", "one"), ("a.jpg", "two"), ("b.jpg", "three")]
    assert said(wide) == whole
    lines = [
        {"image": "a.jpg", "caption_0": "one", "caption_1": "two"},
        {"image": "b.jpg", "caption_0": "three", "caption_1": None},
    ]
    assert said(written(tmp_path / "c.jsonl", "\n".join(map(json.dumps, lines)))) == whole


def test_what_a_table_of_captions_leaves_open_is_told(tmp_path: Path) -> None:
    rows = "file;caption;caption;part\na.jpg;one;x;train\nb.jpg;two;y;dev\n"
    told: list[str] = []
    list(caption_rows(written(tmp_path / "c.csv", rows), CaptionColumns(), tell=told.append))
    whole = " ".join(told)
    assert "is read with ';' between its columns" in whole
    assert "has 2 columns called 'caption'; the first one is read" in whole
    assert (
        "column part names splits and is not used; to use it, set data.split_column=part" in whole
    )


def test_half_a_character_is_told_as_such(tmp_path: Path) -> None:
    row = r'{"image": "a.jpg", "caption": "a \ud83d dog"}'
    with pytest.raises(ValueError, match=r"line 1: .*half of a character, .ud83d, at character 7"):
        said(written(tmp_path / "c.jsonl", row))
