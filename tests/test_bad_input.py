"""Whatever a person may hand over by mistake ends in one sentence and leaves nothing half-written.

The readers' own tests say more about each; here the command line is driven as a person would.
"""

import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lit_tasks.__main__ import main
from lit_tasks.data.readers.archives import unpack
from lit_tasks.data.readers.text_files import Columns, read_rows
from lit_tasks.tensor_files import safe_torch_load

ROOT = Path(__file__).parents[1]
GOOD = "text,label\n" + "".join(f"a good thing {i},pos\na bad thing {i},neg\n" for i in range(9))
NO_FIGURES = ("--figures=null", "--curves=null")
QUIET = ("--trainer.enable_progress_bar=false", *NO_FIGURES)

Refusal = Callable[..., str]


def config(name: str) -> list[str]:
    return ["--config", f"configs/{name}.yaml", "--config", f"tests/configs/{name}.yaml", *QUIET]


TEXTS, IMAGES = config("text_own"), config("image_hymenoptera_frozen")


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("WANDB_MODE", "disabled")  # its service would hold the full disk's files


@pytest.fixture
def refusal(refusal: Refusal, tmp_path: Path) -> Refusal:
    """Run a command that must fail in a folder of its own; return its one sentence."""

    def run(*words: str) -> str:
        said = refusal(words[0], f"--run_dir={tmp_path}/run", *words[1:])
        assert not list(tmp_path.glob("run/**/.*.tmp"))
        return said

    return run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Checkpoints of two tasks."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setenv("WANDB_MODE", "disabled")
        for name, words in (("text", TEXTS), ("image", IMAGES)):
            assert main(["fit", *words, f"--run_dir={folder}/{name}"]) == 0
    return {name: folder / name / "checkpoints" / "last.ckpt" for name in ("text", "image")}


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.csv", "", "a.csv has no column 'text', only none"),
        ("a.csv", "text,label\n", "a.csv has no rows"),
        ("a.csv", "text,lable\na,b\n", "no column 'label', only 'text', 'lable' (did you mean"),
        ("a.csv", "review,label\na,b\n", "to the option --data.*_column that is 'text' now"),
        ("a.csv", GOOD + "x,y,z\n", "a.csv, line 20: 2 columns were announced, got 3"),
        ("a.csv", GOOD.encode() + b"caf\xe9,pos\n", "line 20: the bytes are not UTF-8 (0xe9"),
        (
            "a.csv",
            ("词," + GOOD).encode("gbk"),
            "line 1: the bytes are not UTF-8; name their enc",
        ),
        ("a.csv", b"PK\3\4" + GOOD.encode(), "a.csv is a spreadsheet or a zip archive and no text"),
        (
            "a.xlsx",
            b"PK\3\4",
            "a.xlsx is a spreadsheet: save it as CSV there (in Excel",
        ),
        ("a.csv.gz", b"\x1f\x8b" + GOOD.encode(), "a.csv.gz is not a whole packed file"),
        ("a.csv", b"\x89PNG\r\n\x1a\n\0\0", "a.csv, line 1: the bytes are not UTF-8"),
        ("a.csv", "text,label\n" + "a b,pos\n" * 9, "needs at least two labels"),
        (
            "a.jsonl",
            '{"text": "a", "label": 1}\n{"text": oops\n',
            "a.jsonl, line 2: this is not JSON",
        ),
        ("a.json", '["text", "a"]', "line 1: this is not a JSON object on a line"),
        ("a.json", '[{"text": "a", "label": 1},\n{"text": "b"', "a.json, line 2: the JSON array"),
        ("a.parquet", "PAR1 cut short", "a.parquet is not a readable Parquet file"),
        ("a.xyz", GOOD, "the format of"),
    ],
)
def test_a_file_of_texts_that_is_wrong_is_named(
    tmp_path: Path, refusal: Refusal, name: str, content: str | bytes, sentence: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    assert sentence in refusal("fit", *TEXTS, f"--data.train={path}")


def test_a_text_of_a_hundred_thousand_words_is_a_text(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_text(GOOD + "word " * 100_000 + ",pos\n")
    assert main(["fit", *TEXTS, f"--data.train={path}", f"--run_dir={tmp_path}/run"]) == 0


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("good 1 2 nan\n", "line 1: a row needs 3 finite numbers"),
        ("good 1 2 3\nbad 1 2\n", "line 2: a row needs 3 numbers, got 2"),
        ("good 1 2\n", "a row has 2 numbers, got embedding_dim 3; set embedding_dim to 2"),
        ("", "has no word vectors, it is empty"),
    ],
)
def test_word_vectors_that_are_wrong_are_named(
    tmp_path: Path, refusal: Refusal, content: str, sentence: str
) -> None:
    texts, vectors = tmp_path / "a.csv", tmp_path / "vectors.txt"
    texts.write_text(GOOD)
    vectors.write_text(content)
    encoder = "--model.encoder"
    words = [
        f"{encoder}=lit_tasks.nn.text.MeanOfWordVectors",
        f"{encoder}.embedding_dim=3",
    ]
    words += [f"{encoder}.vectors={vectors}", f"--data.train={texts}"]
    assert sentence in refusal("fit", *TEXTS, *words)


def broken_folder(folder: Path, name: str, content: bytes | None) -> Path:
    shutil.copytree("tests/fixtures/images", folder)
    if content is not None:
        (folder / "train/ants" / name).write_bytes(content)
    return folder


def cut(name: str) -> bytes:
    content = Path("tests/fixtures/images/train/ants", name).read_bytes()
    return content[: len(content) * 3 // 4]


@pytest.mark.parametrize(
    ("name", "content"),
    [("x.jpg", b""), ("x.jpg", b"hello"), ("imageNotFound.gif", b"GIF89a"), ("0.jpg", None)],
    ids=["no bytes", "a text", "a damaged gif", "cut short"],
)
def test_an_image_that_is_none_is_named_or_left_out(
    tmp_path: Path, refusal: Refusal, name: str, content: bytes | None, caplog: Any
) -> None:
    root = broken_folder(tmp_path / "root", name, cut(name) if content is None else content)
    sentence = refusal("fit", *IMAGES, f"--data.root={root}")
    assert f"{root}/train/ants/{name} is not a readable image" in sentence
    shutil.rmtree(tmp_path / "run")
    words = [*IMAGES, f"--data.root={root}", "--data.bad_images=skip"]
    assert main(["fit", *words, f"--run_dir={tmp_path}/run"]) == 0
    assert "1 of 1" in caplog.text


def test_folders_that_are_wrong_are_named(tmp_path: Path, refusal: Refusal) -> None:
    assert "there is no folder nowhere" in refusal("fit", *IMAGES, "--data.root=nowhere")
    (tmp_path / "empty").mkdir()
    (tmp_path / "flat/train").mkdir(parents=True)
    assert "empty/train; set data.root to one with train/ and val/" in refusal(
        "fit", *IMAGES, f"--data.root={tmp_path}/empty"
    )
    assert "has no folders" in refusal("fit", *IMAGES, f"--data.root={tmp_path}/flat")
    root = broken_folder(tmp_path / "root", "", None)
    shutil.move(root / "val/ants", root / "val/wasps")
    sentence = refusal("fit", *IMAGES, f"--data.root={root}")
    assert "has the label 'wasps', training knew only ants, bees" in sentence
    sentence = refusal("fit", *IMAGES, "--data.counts=[244,153]")
    assert "tests/fixtures/images/train should hold 244 images, it holds 12" in sentence


class Evil:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.trace),)


def test_no_code_runs_from_a_file(tmp_path: Path, refusal: Refusal) -> None:
    path, trace = tmp_path / "evil.pt", tmp_path / "trace"
    torch.save({"state_dict": Evil(trace)}, path)
    sentence = "evil.pt names posix.mkdir, which is neither a tensor nor a plain value"
    assert sentence in refusal("test", f"--ckpt_path={path}")
    backbone = ["--model.backbone.name=resnet18", f"--model.backbone.weights={path}"]
    assert sentence in refusal("fit", *IMAGES, *backbone)
    assert not trace.exists()


def test_a_checkpoint_of_another_task_is_refused(
    trained: dict[str, Path], refusal: Refusal
) -> None:
    sentence = refusal("fit", *TEXTS, f"--ckpt_path={trained['image']}")
    assert "is a checkpoint of lit_tasks.tasks.image_classification.ImageClass" in sentence
    assert "the model here is lit_tasks.tasks.text_classification.TextClass" in sentence
    data = "--data=lit_tasks.data.text_files.TextFilesDataModule"
    sentence = refusal("test", f"--ckpt_path={trained['image']}", data)
    assert "was trained with lit_tasks.data.hymenoptera.HymenopteraDataModule" in sentence


def test_a_checkpoint_that_was_damaged_is_refused(
    tmp_path: Path, trained: dict[str, Path], refusal: Refusal
) -> None:
    content = trained["text"].read_bytes()
    short, damaged = tmp_path / "short.ckpt", tmp_path / "damaged.ckpt"
    short.write_bytes(content[: len(content) // 2])
    middle = len(content) // 2
    damaged.write_bytes(content[:middle] + bytes(2000) + content[middle + 2000 :])
    assert "looks truncated" in refusal("test", f"--ckpt_path={short}")
    assert "damaged.ckpt is damaged" in refusal("test", f"--ckpt_path={damaged}")


@given(content=st.binary(max_size=300))
@example(content=b"U\x01\x80")  # a pickled text that is not UTF-8
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_a_file_of_tensors_or_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "any.pt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"any\.pt"):
        safe_torch_load(path)


@pytest.mark.parametrize("format", ["lines", "csv", "tsv", "jsonl", "parquet"])
@given(content=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_rows_of_text_or_are_refused_by_name(
    tmp_path: Path, format: Any, content: bytes
) -> None:
    """Every row is usable or says why not; and what comes out can be written as UTF-8."""
    path = tmp_path / f"any.{format}"
    path.write_bytes(content)
    rows, sentence = [], ""
    try:
        rows = list(read_rows(path, format, Columns()))
    except ValueError as error:
        sentence = str(error)
    assert not sentence or f"any.{format}" in sentence
    for row in rows:
        assert json.dumps(row, ensure_ascii=False).encode()
        assert row["problem"] or row["text"].strip()


@pytest.mark.parametrize("name", ["../out.txt", "/out.txt", "a/../../out.txt", "..\\out.txt"])
def test_an_archive_cannot_write_outside(tmp_path: Path, name: str) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("data/fine.txt", "fine")
        file.writestr(name, "not fine")
    folder = tmp_path / "deep" / "folder"
    folder.mkdir(parents=True)
    with pytest.raises(ValueError, match="leads out of its folder"):
        unpack(archive, folder)
    assert {path.name for path in tmp_path.rglob("*")} == {"a.zip", "deep", "folder"}
    assert not Path("/out.txt").exists()


def test_an_archive_is_unpacked_whole_or_not_at_all(tmp_path: Path) -> None:
    archive, folder = tmp_path / "a.zip", tmp_path / "folder"
    folder.mkdir()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("data/fine.txt", "fine" * 100)
    content = archive.read_bytes()
    archive.write_bytes(content.replace(b"finefine", b"FINEfine", 1))  # its check sum is wrong now
    with pytest.raises(ValueError, match=r"a\.zip is not a complete zip file"):
        unpack(archive, folder)
    assert not list(folder.iterdir())
    archive.write_bytes(content)
    unpack(archive, folder)
    assert (folder / "data/fine.txt").read_text() == "fine" * 100


@pytest.fixture
def small_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={request.param}", "tmpfs", str(disk)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root may make a small disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("small_disk", ["16k", "60k", "100k"], indirect=True)
def test_a_full_disk_leaves_no_half_file(small_disk: Path, refusal: Refusal) -> None:
    """Too small for the configuration, for the second checkpoint, and for the results."""
    words = [word for word in TEXTS if word not in NO_FIGURES]
    sentence = refusal("fit", *words, f"--runs={small_disk}", f"--run_dir={small_disk}/run")
    assert sentence.startswith("the disk is full at ")
    assert not list(small_disk.rglob(".*.tmp"))
    for checkpoint in small_disk.rglob("*.ckpt"):
        assert safe_torch_load(checkpoint)["state_dict"]


def test_a_folder_that_only_can_be_read_is_named(tmp_path: Path, refusal: Refusal) -> None:
    folder = tmp_path / "locked"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root may make a disk that cannot be written")
    try:
        sentence = refusal("fit", *TEXTS, f"--run_dir={folder}/run")
    finally:
        subprocess.run(["umount", str(folder)], check=True)
    assert sentence == (
        f"nothing can be written into the run's folder {folder}/run (Read-only file system): "
        "choose another with --run_dir, or another place for all runs with --runs"
    )


@pytest.mark.parametrize("name", ["text_stream", "image_stream", "caption_stream"])
def test_a_stream_without_an_end_has_no_schedule_that_falls_to_it(
    name: str, refusal: Refusal
) -> None:
    """Lightning says -1 steps there, and the learning rate would be zero after the first."""
    endless = ["--trainer.max_steps=-1", "--trainer.max_epochs=1", "--trainer.val_check_interval=1"]
    sentence = refusal("fit", *config(name), *endless)
    assert "a stream has no known length: set trainer.max_steps" in sentence
