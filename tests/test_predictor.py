"""A checkpoint in one's own script: fit from Python, load in one line, predict anything."""

import json
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from csv_table import table
from lightning.pytorch import Trainer
from PIL import Image

import lit_tasks
from lit_tasks.__main__ import main
from lit_tasks.data.image_folder import ImageFolderDataModule
from lit_tasks.data.style_pairs import StylePairsDataModule
from lit_tasks.data.text_files import TextFilesDataModule
from lit_tasks.nn.image import Backbone, Finetuning
from lit_tasks.nn.style import Phase
from lit_tasks.nn.text import BagOfWords
from lit_tasks.tasks.image_classification import ImageClassificationTask
from lit_tasks.tasks.style_transfer import StyleTransferTask
from lit_tasks.tasks.text_classification import TextClassificationTask

FIXTURES = Path(__file__).parent / "fixtures"
TEXTS, IMAGES = FIXTURES / "text", FIXTURES / "images"
ANT = IMAGES / "train/ants/0.jpg"


def fitted(task: Any, data: Any, folder: Path) -> Path:
    trainer = Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        default_root_dir=folder,
    )
    trainer.fit(task, data)
    path = folder / "model.ckpt"
    trainer.save_checkpoint(path)
    return path


@pytest.fixture(scope="module")
def text_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    task = TextClassificationTask(
        encoder=partial(BagOfWords, ngrams=2, buckets=64),
        optimizer=partial(torch.optim.Adam, lr=0.05),
    )
    data = TextFilesDataModule(
        train=TEXTS / "sentences.txt", val=TEXTS / "sentences_held_out.txt", batch_size=8
    )
    return fitted(task, data, tmp_path_factory.mktemp("text"))


@pytest.fixture(scope="module")
def image_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("timm")
    task = ImageClassificationTask(
        backbone=partial(Backbone, name="test_resnet", weights="random", size=32),
        finetuning=Finetuning(),
        flip_tta=True,
    )
    data = ImageFolderDataModule(root=IMAGES, batch_size=5)
    return fitted(task, data, tmp_path_factory.mktemp("image"))


def test_importing_the_package_imports_no_framework() -> None:
    code = "import lit_tasks, sys; assert not {'torch', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        lit_tasks.lode  # noqa: B018 (asking is the test)


def test_what_python_trained_works_on_the_command_line(
    text_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--trainer.logger=false", "--trainer.enable_progress_bar=false"]
    predict = f"--data.predict={TEXTS}/unlabelled.txt"
    assert (
        main(["predict", f"--ckpt_path={text_checkpoint}", predict, "--run_dir=out", *words]) == 0
    )
    written = table(Path("out/predictions/predictions.csv"))
    found = lit_tasks.load(text_checkpoint).predict(TEXTS / "unlabelled.txt")
    assert [row["label"] for row in found] == [row["label"] for row in written]
    assert [row["id"] for row in found] == [int(row["id"]) for row in written]
    for mine, theirs in zip(found, written, strict=True):
        assert mine["probability"] == pytest.approx(float(theirs["probability"]), abs=1e-6)


def test_texts_in_any_number_have_the_rows_of_one(text_checkpoint: Path) -> None:
    model = lit_tasks.load(text_checkpoint, device="cpu")
    assert isinstance(model.task, TextClassificationTask)
    assert "TextClassificationTask" in repr(model)
    texts = ["a fine film", "", "dull \U0001f600", "a fine film"]
    rows = model.predict(texts)
    assert [row["id"] for row in rows] == [0, 1, 2, 3]
    assert rows[0]["probability"] == pytest.approx(rows[3]["probability"])
    assert model.predict("a fine film") == [rows[0]]
    for inputs in (iter(texts), np.array(texts), tuple(texts)):
        for mine, row in zip(model.predict(inputs, batch_size=3), rows, strict=True):
            assert mine["label"] == row["label"]
            assert mine["probability"] == pytest.approx(row["probability"], abs=1e-6)
    assert model.predict([]) == []


def test_all_probabilities_are_stated_on_request(
    text_checkpoint: Path,
    image_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for checkpoint, inputs in ((text_checkpoint, "a film"), (image_checkpoint, ANT)):
        model = lit_tasks.load(checkpoint)
        [row] = model.predict(inputs, probabilities=True)
        stated = {label: row[f"p_{label}"] for label in model.task.hparams["labels"]}
        assert sum(stated.values()) == pytest.approx(1)
        assert row["probability"] == stated[row["label"]] == max(stated.values())
        assert not any(name.startswith("p_") for name in model.predict(inputs)[0])
    Path("film.txt").write_text("a film\n")
    words = ["--trainer.logger=false", "--predictions.probabilities=true", "--run_dir=out"]
    words += [f"--ckpt_path={text_checkpoint}", "--data.predict=film.txt"]
    assert main(["predict", *words]) == 0
    [written] = table(Path("out/predictions/predictions.csv"))
    model = lit_tasks.load(text_checkpoint)
    for name, value in model.predict("a film", probabilities=True)[0].items():
        if name.startswith("p"):
            assert float(written[name]) == pytest.approx(value, abs=1e-5)


def test_texts_are_read_together_and_predicted_in_batches(
    text_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = lit_tasks.load(text_checkpoint)
    texts = [f"a film {'fine ' * (n % 5)}" for n in range(20)]
    expected = [model.predict(text)[0]["probability"] for text in texts]
    sizes: list[int] = []
    predict = model.task.predict_step

    def counted(batch: Any, number: int) -> Any:
        sizes.append(len(batch.lengths))
        return predict(batch, number)

    monkeypatch.setattr(model.task, "predict_step", counted)
    rows = model.predict(texts)
    assert sizes == [8, 8, 4]  # those of training
    assert [row["id"] for row in rows] == list(range(20))
    assert [row["probability"] for row in rows] == pytest.approx(expected, abs=1e-6)


def test_rows_come_before_all_inputs_are_read(text_checkpoint: Path) -> None:
    read: list[int] = []

    def endless() -> Any:
        while True:
            read.append(1)
            yield "a film"

    rows = lit_tasks.load(text_checkpoint).rows(endless(), batch_size=4)
    assert next(rows)["id"] == 0
    assert len(read) == 4


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (5, "input 0 is a int"),
        (["a", b"b"], "input 1 is a bytes"),
        (["a", None], "input 1 is a NoneType"),
        (["a", "\ud800"], "input 1 is no text in UTF-8"),
        (Path("nowhere.csv"), "there is no file of texts nowhere.csv"),
    ],
    ids=str,
)
def test_what_is_no_text_is_refused(text_checkpoint: Path, inputs: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError, FileNotFoundError), match=message):
        lit_tasks.load(text_checkpoint).predict(inputs)


def test_images_in_any_form_have_the_same_rows(image_checkpoint: Path) -> None:
    model = lit_tasks.load(image_checkpoint)
    image = Image.open(ANT).convert("RGB")
    array = np.asarray(image)
    [row] = model.predict(ANT)
    assert row["id"] == row["file"] == str(ANT)
    forms = [str(ANT), image, array, array / 255, torch.from_numpy(array.copy()).permute(2, 0, 1)]
    for found in model.predict(forms):
        assert found["label"] == row["label"]
        assert found["probability"] == pytest.approx(row["probability"], abs=0.02)
    again = model.predict([image, image])[1]["probability"]
    assert model.predict(image)[0]["probability"] == pytest.approx(again, abs=1e-6)
    assert len(model.predict(np.stack([array, array]))) == 2
    folder = model.predict(IMAGES / "unlabelled")
    assert [Path(found["file"]).name for found in folder] == ["0.jpg", "1.jpg", "2.png"]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ("nowhere.jpg", "nowhere.jpg is not there"),
        ([ANT, 5], "input 1 is a int"),
        (np.zeros((4, 4, 7)), r"the shape \(4, 4, 7\)"),
        (np.zeros((0, 4, 3)), r"the shape \(0, 4, 3\)"),
        (np.full((4, 4, 3), 300), "whole numbers must be from 0 to 255"),
        (np.full((4, 4, 3), 255.0), "fractions must be from 0 to 1"),
        (np.full((4, 4, 3), np.nan), "fractions must be from 0 to 1"),
        (Image.new("RGB", (1, 60_000_000)), "more than"),
        (Path(__file__), "not a readable image"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_no_image_is_refused(image_checkpoint: Path, inputs: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError, FileNotFoundError), match=message):
        lit_tasks.load(image_checkpoint).predict(inputs)


def test_a_fine_tuned_image_checkpoint_loads_by_its_class(image_checkpoint: Path) -> None:
    task = ImageClassificationTask.load_from_checkpoint(image_checkpoint)
    saved = torch.load(image_checkpoint, weights_only=True)["state_dict"]
    torch.testing.assert_close(task.state_dict(), saved)
    assert not any(parameter.requires_grad for parameter in task.backbone.parameters())


def test_a_loaded_task_can_be_trained_and_saved_again(
    image_checkpoint: Path, tmp_path: Path
) -> None:
    task = ImageClassificationTask.load_from_checkpoint(image_checkpoint, label_smoothing=0.2)
    again = fitted(task, ImageFolderDataModule(root=IMAGES, batch_size=5), tmp_path)
    model = lit_tasks.load(again)
    assert model.task.label_smoothing == 0.2
    assert len(model.predict(ANT)) == 1


def test_a_new_photograph_is_painted_like_those_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("timm")
    monkeypatch.chdir(tmp_path)
    data = StylePairsDataModule(
        root=IMAGES, contents=["train/ants/0.jpg"], styles=["train/bees/0.jpg"], image_size=32
    )
    task = StyleTransferTask(
        content={"blocks.2.0": 0.5},
        style={"blocks.0.0": 1e4},
        phases=[Phase(3, partial(torch.optim.Adam, lr=0.1))],
    )
    model = lit_tasks.load(fitted(task, data, tmp_path))
    with pytest.raises(ValueError, match="states no probabilities"):
        model.predict(ANT, probabilities=True)
    made = model.task.image_of(0)
    first, second = (model.predict(ANT)[0] for _ in range(2))
    assert (first["file"], second["file"]) == ("painted/0__0.png", "painted/0__0-2.png")
    for row in (first, second):
        np.testing.assert_array_equal(np.asarray(Image.open(row["file"])), made)


@pytest.mark.slow  # starts Python anew
def test_a_text_model_runs_without_this_package(text_checkpoint: Path, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from tokenizers import Tokenizer

    model = lit_tasks.load(text_checkpoint)
    path, tokenizer_file = model.export_onnx(tmp_path / "model.onnx")
    assert tokenizer_file.name == "model.tokenizer.json"
    session = onnxruntime.InferenceSession(path)
    labels = json.loads(session.get_modelmeta().custom_metadata_map["labels"])
    texts = ["a fine film", "it isn't moving, it's dull!", ""]
    encoded = Tokenizer.from_file(str(tokenizer_file)).encode_batch(texts)
    ids = np.array([text.ids for text in encoded])
    mask = np.array([text.attention_mask for text in encoded])
    [found] = session.run(None, {"input_ids": ids, "attention_mask": mask})
    rows = model.predict(texts)
    assert [labels[n] for n in found.argmax(1)] == [row["label"] for row in rows]
    np.testing.assert_allclose(found.max(1), [row["probability"] for row in rows], atol=1e-6)


@pytest.mark.slow  # trains, and exports two models: the parts have tests of their own
def test_the_page_about_python_does_what_it_says(
    text_checkpoint: Path,
    image_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    Path("runs/mine/checkpoints").mkdir(parents=True)
    shutil.copy(text_checkpoint, "runs/mine/checkpoints/best.ckpt")
    rows = [f"a {word} film {n},{word}\n" for n in range(20) for word in ("good", "bad")]
    Path("reviews.csv").write_text("text,label\n" + "".join(rows))
    shutil.copy(ANT, "photo.jpg")
    classifier = lit_tasks.load(image_checkpoint)
    classifier.export_onnx("images.onnx")
    page = (Path(__file__).parents[1] / "docs/python.md").read_text()
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL):
        exec(block, names)
    assert capsys.readouterr().out.splitlines()[-1].count("'") == 4  # two labels
    classifier.task.flip_tta = False  # the file has one view of each image
    [row] = classifier.predict("photo.jpg")
    assert names["probability"].max() == pytest.approx(row["probability"], abs=1e-4)


def test_a_checkpoint_that_names_nothing_says_what_is_missing(
    text_checkpoint: Path, tmp_path: Path
) -> None:
    content = torch.load(text_checkpoint, weights_only=True)
    del content["hyper_parameters"]["_class_path"]
    torch.save(content, tmp_path / "nameless.ckpt")
    with pytest.raises(ValueError, match="does not say what it is a checkpoint of"):
        lit_tasks.load(tmp_path / "nameless.ckpt")
    with pytest.raises(ValueError, match="there is no checkpoint"):
        lit_tasks.load(tmp_path / "none.ckpt")


def test_a_checkpoint_without_data_predicts_nothing(text_checkpoint: Path, tmp_path: Path) -> None:
    content = torch.load(text_checkpoint, weights_only=True)
    del content["datamodule_hyper_parameters"]
    torch.save(content, tmp_path / "alone.ckpt")
    with pytest.raises(TypeError, match="trained with no data module"):
        lit_tasks.load(tmp_path / "alone.ckpt").predict("a film")


@pytest.mark.parametrize("section", ["hyper_parameters", "datamodule_hyper_parameters"])
@pytest.mark.parametrize("name", ["os.system", "subprocess.Popen", "lit_tasks.cli.command.TaskCLI"])
def test_no_class_of_the_files_choice_is_built(
    text_checkpoint: Path, tmp_path: Path, section: str, name: str
) -> None:
    content = torch.load(text_checkpoint, weights_only=True)
    content[section]["_class_path"] = name
    torch.save(content, tmp_path / "evil.ckpt")
    with pytest.raises(ValueError, match=r"evil\.ckpt"):
        lit_tasks.load(tmp_path / "evil.ckpt")


def test_what_cannot_be_recorded_is_named_when_it_is_saved(tmp_path: Path) -> None:
    task = TextClassificationTask(encoder=BagOfWords, lr_scheduler=None)
    data = TextFilesDataModule(
        train=TEXTS / "sentences.txt", val=TEXTS / "sentences_held_out.txt", batch_size=8
    )
    task.hparams["optimizer"] = torch.nn.ReLU()  # an object, of which no config makes another
    with pytest.warns(UserWarning, match="does not say optimizer of TextClassificationTask"):
        path = fitted(task, data, tmp_path)
    assert lit_tasks.load(path).predict("a film")
