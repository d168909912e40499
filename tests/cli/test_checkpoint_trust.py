"""A checkpoint is data: whatever it says, no code of its choice is imported or run."""

import json
import os
import pickle
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from jsonargparse import ArgumentError
from torch import nn

from lit_tasks.__main__ import main
from lit_tasks.data.text_files import TextFilesDataModule
from lit_tasks.tasks.text_classification import TextClassificationTask
from lit_tasks.trust import CheckedParser, Trust, plain

Refusal = Callable[..., str]
TASK = "lit_tasks.tasks.text_classification.TextClassificationTask"
DATA = "lit_tasks.data.text_files.TextFilesDataModule"
ENCODER = "lit_tasks.nn.text.MeanOfEmbeddings"
QUIET = ["--trainer.logger=false", "--trainer.enable_progress_bar=false"]
MARK = Path("ran")
SHELL = {"class_path": "os.system", "init_args": {"command": f"touch {MARK}"}}
GETOUTPUT = {
    "class_path": "lit_tasks.runs.sweep.subprocess.getoutput",
    "init_args": {"cmd": f"touch {MARK}"},
}
POPEN = {
    "class_path": "lit_tasks.runs.sweep.subprocess.Popen",
    "init_args": {"args": ["touch", str(MARK)]},
}
MADE = ("mine", "evilmod", "évilmod", "test_evil")  # modules
EVIL = {"class_path": "evilmod.Enc"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the content of a checkpoint whose settings look like names that could be imported."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        rows = [f"a good thing {n},email.spam\na bad thing {n},email.ham\n" for n in range(9)]
        Path("test.csv").write_text("email.body,label\n" + "".join(rows))
        words = [f"--data={DATA}", "--data.train=test.csv", "--data.test=test.csv"]
        words += ["--data.text_column=email.body", "--data.cache_dir=os.path"]
        words += [
            f"--model={TASK}",
            f"--model.encoder={ENCODER}",
            "--model.encoder.embedding_dim=3",
        ]
        assert main(["fit", *words, *QUIET, "--trainer.max_epochs=1", "--run_dir=run"]) == 0
        content: dict[str, Any] = torch.load("run/checkpoints/best.ckpt", weights_only=True)
    assert content["hyper_parameters"]["labels"] == ["email.ham", "email.spam"]
    return content


@pytest.fixture
def content(trained: dict[str, Any]) -> dict[str, Any]:
    return deepcopy(trained)


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder with modules that leave a mark when they are imported."""
    monkeypatch.syspath_prepend(tmp_path)
    Path("email.csv").write_text("email.body\na good thing\na bad thing\n")
    mark = f"from pathlib import Path\nPath({str(tmp_path / MARK)!r}).touch()\n"
    for name in ("evilmod", "évilmod", "test_evil"):
        Path(f"{name}.py").write_text(
            f"{mark}from torch.nn import Identity as Enc\ncsv = ckpt = Enc\n"
        )
    Path("mine").mkdir()
    Path("mine/__init__.py").write_text("from mine._nets import Enc\n")
    Path("mine/_nets.py").write_text(
        "from subprocess import Popen\n"
        "from lit_tasks.nn.text.encoders import MeanOfEmbeddings\n"
        "class Enc(MeanOfEmbeddings):\n    pass\n"
        "class Other(MeanOfEmbeddings):\n    pass\n"
        "def make(num_embeddings: int) -> MeanOfEmbeddings:\n    return Enc(num_embeddings)\n"
    )
    Path("mine/evil.py").write_text(f"{mark}class Enc:\n    pass\n")
    yield
    assert not MARK.exists()
    for name in [
        name for name in sys.modules if name.split(".")[0] in ("mine", "evilmod", "évilmod")
    ]:
        del sys.modules[name]


def predict(content: object, *words: str, name: str = "model.ckpt") -> list[str]:
    torch.save(content, name)
    return ["predict", f"--ckpt_path={name}", "--data.predict=email.csv", *QUIET, *words]


#: What is put where, in the hyper-parameters of the model.
ATTACKS: dict[str, dict[str, Any]] = {
    "a function": {"encoder": SHELL},
    "a function as string": {"encoder": "os.system"},
    "a string of JSON": {"encoder": json.dumps(SHELL)},
    "a string of YAML": {"encoder": f"class_path: os.system\ninit_args:\n  command: touch {MARK}"},
    "a string of JSON as optimizer": {"optimizer": json.dumps(SHELL)},
    "a string of JSON as scheduler": {"lr_scheduler": json.dumps(SHELL)},
    "runpy": {
        "encoder": json.dumps(
            {"class_path": "runpy.run_path", "init_args": {"path_name": "evilmod.py"}}
        )
    },
    "a string with a trusted class": {"encoder": ENCODER},
    "a string with a short name": {"optimizer": "Adam"},
    "a string of JSON with a trusted class": {"optimizer": '{"class_path": "torch.optim.Adam"}'},
    "a function under a trusted package": {"encoder": GETOUTPUT},
    "a function under a trusted package as optimizer": {"optimizer": GETOUTPUT},
    "a class under a trusted package": {"encoder": POPEN},
    "a class under a trusted package as scheduler": {"lr_scheduler": POPEN},
    "a module under torch.nn": {
        "encoder": {
            "class_path": "torch.nn.modules.module.torch.hub.load",
            "init_args": {"repo_or_dir": "x", "model": "y"},
        }
    },
    "a function of torch.nn": {"encoder": {"class_path": "torch.nn.functional.relu"}},
    "another function of torch.nn": {
        "encoder": {"class_path": "torch.nn.utils.convert_parameters.parameters_to_vector"}
    },
    "a function of ours": {"encoder": {"class_path": "lit_tasks.nn.image.pretrained.network"}},
    "a function of lightning": {
        "lr_scheduler": {"class_path": "lightning.pytorch.cli.instantiate_module"}
    },
    "a command line": {"encoder": {"class_path": "lit_tasks.cli.command.TaskCLI"}},
    "a command line of lightning": {
        "optimizer": {"class_path": "lightning.pytorch.cli.LightningCLI"}
    },
    "a logger of ours": {"encoder": {"class_path": "lit_tasks.loggers.csv.RunCSVLogger"}},
    "a logger where anything goes": {
        "preprocessing": {
            "class_path": "lightning.fabric.loggers.csv_logs._ExperimentWriter",
            "init_args": {"log_dir": "."},
        }
    },
    "a module of another name": {"encoder": EVIL},
    "a module that is not ASCII": {"encoder": {"class_path": "évilmod.Enc"}},
    "a module that is not ASCII as string": {"encoder": "évilmod.Enc"},
    "a module whose name begins like a trusted one": {"encoder": {"class_path": "torch.nnx.Enc"}},
    "a path of a YAML": {"encoder": "evil.yaml"},
    "an absolute path of a YAML": {"encoder": "{tmp}/evil.yaml"},
    "a path of a YAML as optimizer": {"optimizer": "evil.yaml"},
    "spaces around a name": {"encoder": {"class_path": " os.system\n"}},
    "a relative name": {"encoder": {"class_path": ".evilmod.Enc"}},
    "a number for a name": {"encoder": {"class_path": 3}},
    "a list for a name": {"encoder": {"class_path": ["os", "system"]}},
    "no dot": {"encoder": {"class_path": "evilmod"}},
    "deep in init_args": {
        "encoder": {"class_path": ENCODER, "init_args": {"sparse": {"class_path": "os.system"}}}
    },
    "deep in dict_kwargs": {
        "encoder": {"class_path": ENCODER, "dict_kwargs": {"deep": [{"er": EVIL}]}}
    },
    "in a list": {"labels": [SHELL, "pos"]},
    "in a list as strings": {"lr_scheduler": ["os.system"]},
    "in a dict": {"optimizer": {"class_path": "torch.optim.Adam", "init_args": {"lr": EVIL}}},
    "in a key with dots": {"encoder.class_path": "evilmod.Enc"},
    "in a key with dots, deep": {
        "encoder": {"class_path": ENCODER, "init_args": {"embedding_dim.class_path": "evilmod.Enc"}}
    },
    "appended": {"labels+": EVIL},
    "a meta key": {"__path__": "evil.yaml"},
    "as default config": {"__default_config__": "evil.yaml"},
    "as config": {"config": "evil.yaml"},
    "as JSON for a number": {"dropout": json.dumps(SHELL)},
    "as JSON for a list": {"labels": json.dumps([SHELL, SHELL])},
    "in the text of an error": {"dropout": "No module named 'evilmod.Enc'"},
    "in the text of another error": {"dropout": "module 'evilmod' has no attribute 'Enc'"},
    "as the class": {"_class_path": "os.system"},
    "as the class of another package": {"_class_path": "evilmod.Enc"},
    "as the class, a string of JSON": {"_class_path": json.dumps(SHELL)},
    "as the class, re-exported": {"_class_path": "lit_tasks.runs.sweep.subprocess.Popen"},
    "as the class, a number": {"_class_path": 3},
    "as the class, a list": {"_class_path": ["os.system"]},
    "as the class, a dict": {"_class_path": SHELL},
    "as the class, another of ours": {"_class_path": DATA},
    "as the class, its own": {"_class_path": "evilmod.ckpt"},
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_checkpoint_cannot_choose_code(
    attack: str, content: dict[str, Any], refusal: Refusal, tmp_path: Path
) -> None:
    Path("evil.yaml").write_text(json.dumps(SHELL))
    change = ATTACKS[attack]
    if change == {"encoder": "{tmp}/evil.yaml"}:
        change = {"encoder": f"{tmp_path}/evil.yaml"}
    content["hyper_parameters"].update(change)
    refusal(*predict(content))
    assert not MARK.exists()


def test_data_cannot_choose_code(content: dict[str, Any], refusal: Refusal) -> None:
    for change in (
        {"_class_path": "evilmod.Enc"},
        {"_class_path": "lightning.pytorch.demos.mnist_datamodule.MNISTDataModule"},
        {"text": json.dumps(SHELL)},
        {"text": SHELL},
        {"text": "evil.yaml", "train": "evil.yaml"},
        {"cache_dir": SHELL},
        {"deep": [[SHELL]]},
    ):
        Path("evil.yaml").write_text(json.dumps(SHELL))
        evil = deepcopy(content)
        evil["datamodule_hyper_parameters"].update(change)
        refusal(*predict(evil))


def test_the_sentence_names_file_class_and_option(
    content: dict[str, Any], refusal: Refusal
) -> None:
    content["hyper_parameters"]["encoder"] = EVIL
    sentence = refusal(*predict(content))
    assert "model.ckpt wants to import evilmod.Enc, which is neither a building" in sentence
    assert "--trusted_modules=evilmod" in sentence
    content["hyper_parameters"]["encoder"] = json.dumps(SHELL)
    assert "model.ckpt has a string where a class belongs: encoder" in refusal(*predict(content))


@pytest.mark.parametrize("name", ["evilmod.ckpt", "evilmod.Enc"])
def test_no_file_name_vouches(name: str, content: dict[str, Any], refusal: Refusal) -> None:
    content["hyper_parameters"]["encoder"] = {"class_path": name}
    Path("evilmod.csv").write_text(Path("email.csv").read_text())
    words = ["--data.predict=evilmod.csv", "--experiment=evilmod.Enc", "--runs=evilmod.runs"]
    assert "wants to import evilmod" in refusal(*predict(content, *words, name="evilmod.ckpt"))
    Path("note.yaml").write_text(f"# {name} {{class_path: {name}}}\nexperiment: {name}\n")
    words += ["--config=note.yaml"]
    assert "wants to import evilmod" in refusal(*predict(content, *words, name="evilmod.ckpt"))


def test_what_another_class_makes_of_a_string_is_not_imported(
    content: dict[str, Any], refusal: Refusal
) -> None:
    """A flag brings another class, whose option of the same name asks for a class."""
    Path("mine/_nets.py").write_text(
        "from collections.abc import Callable\nfrom torch import nn\n"
        "class Plain(nn.Module):\n"
        "    def __init__(self, n: int, inner: str = ''):\n        super().__init__()\n"
        "class Enc(nn.Module):\n"
        "    def __init__(self, n: int, inner: Callable[[int], nn.Module] | None = None):\n"
        "        super().__init__()\n"
    )
    Path("evil.yaml").write_text(json.dumps(EVIL))
    for text in ("evilmod.Enc", json.dumps(EVIL), "evil.yaml"):
        content["hyper_parameters"]["encoder"] = {
            "class_path": "mine._nets.Plain",
            "init_args": {"inner": text},
        }
        words = ["--trusted_modules=mine", "--model.encoder=mine._nets.Enc"]
        words += ["--data.predict=evilmod.Enc"]
        main(predict(content, *words))
        assert not MARK.exists()


def test_settings_that_look_like_names_are_settings(content: dict[str, Any]) -> None:
    assert main(predict(content, "--run_dir=out")) == 0
    assert "email.spam" in Path("out/predictions/predictions.csv").read_text()
    Path("test.csv").write_text("email.body,label\na good thing,email.spam\nbad,email.ham\n")
    content["hyper_parameters"]["labels"] = 2 * ['{"class_path": "os.system"}']
    content["TextFilesDataModule"]["labels"] = content["hyper_parameters"]["labels"]
    torch.save(content, "os.ckpt")
    assert main(predict(content, "--run_dir=again")) == 0
    assert "os.system" in Path("again/predictions/predictions.csv").read_text()


@pytest.mark.parametrize(
    "words",
    [
        ["--trusted_modules=mine"],
        ["--trusted_modules", "mine._nets"],
        ["--trusted_modules=[os.path, mine]"],
        ["--trusted_modules+=mine"],
        ["--config=vouches.yaml"],
        ["--config=names.yaml"],
        ["--config=short.yaml"],
        ["--config=other.yaml"],
        ["--model.encoder=mine._nets.Enc", "--model.encoder.embedding_dim=3"],
    ],
    ids=" ".join,
)
def test_the_user_vouches_for_modules(words: list[str], content: dict[str, Any]) -> None:
    encoder = {"class_path": "mine._nets.Enc", "init_args": {"embedding_dim": 3}}
    names = {"model": {"class_path": TASK, "init_args": {"encoder": encoder}}}
    data = {"class_path": DATA, "init_args": {"text_column": "email.body"}}
    Path("names.yaml").write_text(json.dumps({**names, "data": data}))
    for name, cls in (("short", "Enc"), ("other", "Other")):  # of one module
        short = {"model": {"class_path": TASK, "init_args": {"encoder": f"mine._nets.{cls}"}}}
        Path(f"{name}.yaml").write_text(json.dumps({**short, "data": data}))
    Path("vouches.yaml").write_text(json.dumps({"trusted_modules": ["mine"], "data": data}))
    content["hyper_parameters"]["encoder"] = encoder
    assert main(predict(content, *words)) == 0


@pytest.mark.parametrize(
    "said",
    [
        {"data": {"class_path": DATA, "init_args": {"text_column": "evilmod.Enc"}}},
        {"model": {"class_path": TASK, "init_args": {"dropout": "evilmod.Enc"}}},
        {"model": {"class_path": TASK, "init_args": {"labels": ["evilmod.Enc", "b"]}}},
        {"encoder": "evilmod.Enc", "run_dir": "evilmod.Enc"},
        {"model": {"class_path": TASK, "init_args": {"encoder": {"sparse": "evilmod.Enc"}}}},
    ],
    ids=range(5),
)
def test_a_path_vouches_only_where_a_class_belongs(
    said: dict[str, Any], content: dict[str, Any], refusal: Refusal
) -> None:
    Path("said.yaml").write_text(json.dumps(said))
    content["hyper_parameters"]["encoder"] = EVIL
    assert "wants to import evilmod.Enc" in refusal(*predict(content, "--config=said.yaml"))
    words = ["--data.text_column=evilmod.Enc", "--model.dropout=evilmod.Enc"]
    assert "wants to import evilmod.Enc" in refusal(*predict(content, *words))


@pytest.mark.parametrize("name", ["Popen", "make"])
def test_a_trusted_module_gives_its_own_classes_alone(
    name: str, content: dict[str, Any], refusal: Refusal
) -> None:
    content["hyper_parameters"]["encoder"] = {"class_path": f"mine._nets.{name}"}
    refusal(*predict(content, "--trusted_modules=mine"))


def test_a_class_that_the_user_names_vouches_for_its_module_alone(
    content: dict[str, Any], refusal: Refusal
) -> None:
    Path("mine/tasks.py").write_text(
        f"from {TASK.rpartition('.')[0]} import TextClassificationTask\n"
        "class Task(TextClassificationTask):\n    pass\n"
        f"from lit_tasks.nn.text.encoders import MeanOfEmbeddings\n"
        "class Enc(MeanOfEmbeddings):\n    pass\n"
    )
    parameters = content["hyper_parameters"]
    parameters["_class_path"] = "mine.tasks.Task"
    parameters["encoder"]["class_path"] = "mine.tasks.Enc"
    assert main(predict(content, "--model", "mine.tasks.Task")) == 0
    assert main(predict(content, "--model.class_path=mine.tasks.Task")) == 0
    parameters["encoder"]["class_path"] = "mine.evil.Enc"
    assert "wants to import mine.evil.Enc" in refusal(*predict(content, "--model=mine.tasks.Task"))


def test_the_user_may_name_what_he_likes(content: dict[str, Any]) -> None:
    """Classes, functions and files in his own flags, beside a checkpoint."""
    Path("encoder.yaml").write_text(f"class_path: {ENCODER}\ninit_args: {{embedding_dim: 3}}\n")
    Path("mine/callbacks.py").write_text(
        "from lightning.pytorch import Callback\nclass Mine(Callback):\n    pass\n"
    )
    Path("mine/_nets.py").write_text(
        "from lit_tasks.nn.text.encoders import MeanOfEmbeddings as M\n"
        "class Enc(M):\n    pass\n"
        "def make(num_embeddings: int) -> M:\n    return M(num_embeddings, 3)\n"
    )
    for encoder in ("mine._nets.make", "encoder.yaml"):
        words = [f"--model.encoder={encoder}", "--trainer.callbacks+=mine.callbacks.Mine"]
        assert main(predict(content, *words)) == 0


@dataclass
class Options:
    inner: nn.Module | None = None
    word: str = ""


class Pair(NamedTuple):
    inner: nn.Module | None = None


class Slots(nn.Module):
    def __init__(
        self,
        anything: Any = None,
        untyped=None,
        text: str = "",
        texts: dict[str, list[str]] | None = None,
        path: Path | None = None,
        module: nn.Module | None = None,
        modules: list[nn.Module] | None = None,
        by_name: dict[str, nn.Module] | None = None,
        call: Callable | None = None,
        make: Callable[[int], nn.Module] | None = None,
        kind: type[nn.Module] | None = None,
        either: str | Callable[[int], nn.Module] = "relu",
        other: Callable[[int], nn.Module] | str = "relu",
        options: Options | None = None,
        pair: Pair | None = None,
        **more: Any,
    ) -> None:
        super().__init__()


RELU = {"class_path": "torch.nn.ReLU"}


@lru_cache(maxsize=1)
def slots_parser() -> CheckedParser:
    parser = CheckedParser(exit_on_error=False)
    parser.add_subclass_arguments(Slots, "module", fail_untyped=False)
    return parser


def slots(**settings: Any) -> None:
    """Check settings of a class with options of many types."""
    spec = {"class_path": f"{__name__}.Slots", "init_args": plain(settings, "model.ckpt")}
    Trust("model.ckpt", [__name__, "mine"]).check(slots_parser(), {"module": spec})


@pytest.mark.parametrize(
    "settings",
    [
        {"anything": RELU, "untyped": [{"deep": RELU}]},
        {"anything": "torch.nn.ReLU", "untyped": "os.system"},
        {"text": json.dumps(EVIL), "texts": {"a": ["os.system", json.dumps(EVIL), "evil.yaml"]}},
        {"path": "os.system", "text": "evil.yaml"},
        {"module": RELU, "modules": [RELU, RELU], "by_name": {"os.system": RELU}},
        {"call": RELU, "make": RELU, "either": RELU, "kind": "torch.nn.ReLU"},
        {"either": "relu", "other": "a text"},
        {"options": {"inner": RELU, "word": "os.system"}, "pair": {"inner": RELU}},
    ],
    ids=str,
)
def test_each_slot_takes_what_it_is_for(settings: dict[str, Any]) -> None:
    Path("evil.yaml").write_text(json.dumps(EVIL))
    slots(**settings)


@pytest.mark.parametrize(
    "evil",
    [EVIL, pytest.param(POPEN, marks=pytest.mark.slow)],  # every slot is parsed four times again
    ids=lambda e: e["class_path"],
)
@pytest.mark.parametrize(
    "name",
    ["anything", "untyped", "text", "path", "module", "call", "make", "kind", "either", "options"],
)
def test_no_slot_takes_a_class_of_others(name: str, evil: dict[str, Any]) -> None:
    for value in (evil, {"a": [[evil]]}, {"inner": evil}):
        for settings in ({name: value}, {"more": {name: value}}):
            with pytest.raises(ValueError, match=r"model\.ckpt"):
                slots(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        {name: text}
        for name in ("module", "call", "make", "kind", "either", "other", "options", "pair")
        for text in (json.dumps(EVIL), "evil.yaml", "evilmod.Enc", "class_path: evilmod.Enc")
    ]
    + [
        {name: [text]}
        for name in ("modules", "by_name", "pair")
        for text in (json.dumps(EVIL), "evil.yaml", "evilmod.Enc")
    ]
    + [{"by_name": {"a": "evil.yaml"}}, {"options": {"inner": "evil.yaml"}}]
    + [{"anything": json.dumps(text)} for text in (EVIL, [EVIL], {"a": EVIL})]
    + [
        {"call": "torch.nn.functional.relu"},
        {"kind": "torch.nn.functional.relu"},
        {"pair": {"inner": "x"}},
    ],
    ids=str,
)
def test_no_string_becomes_a_class(settings: dict[str, Any]) -> None:
    Path("evil.yaml").write_text(json.dumps(EVIL))
    with pytest.raises((ValueError, ArgumentError)):
        slots(**settings)


@pytest.mark.parametrize(
    "name",
    [
        "torch.nn.functional.relu",
        "torch.nn.utils.parametrize.cached",
        "torch.nn.init",
        "torch.nn.modules.module.torch.hub.load",
        "torch.nn.Module.__call__",
        "lightning.pytorch.Trainer",
        "lightning.pytorch.cli.LightningCLI",
        "lightning.pytorch.loggers.CSVLogger",
        "lightning.fabric.loggers.csv_logs._ExperimentWriter",
        "lightning.pytorch.demos.mnist_datamodule.MNISTDataModule",
        "lit_tasks.data.base.feature_cache.FeatureCache",
        "lit_tasks.data.base.feature_cache.Path",
        "lit_tasks.trust.Trust",
        "lit_tasks.cli.command.TaskCLI",
        "mine._nets.Popen",
    ],
)
def test_a_trusted_name_of_no_building_block_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"model\.ckpt (names|wants to import) "):
        slots(anything={"class_path": name})
    with pytest.raises((ValueError, ArgumentError)):
        slots(call={"class_path": name})


@pytest.mark.parametrize(
    "change",
    [
        {"encoder": SHELL},
        {"encoder": json.dumps(SHELL)},
        {"optimizer": json.dumps(SHELL)},
        {"encoder": GETOUTPUT},
        {"encoder": EVIL},
        {"encoder": "lit_tasks.nn.image.pretrained.network"},
        {"encoder": "evil.yaml"},
        {"_class_path": "evilmod.Enc"},
        {"_instantiator": "os.system"},
    ],
    ids=str,
)
def test_no_code_is_chosen_from_python_either(
    change: dict[str, Any], content: dict[str, Any]
) -> None:
    Path("evil.yaml").write_text(json.dumps(SHELL))
    content["hyper_parameters"].update(change)
    torch.save(content, "model.ckpt")
    with pytest.raises(ValueError, match=r"model\.ckpt|The instantiator"):
        TextClassificationTask.load_from_checkpoint("model.ckpt")
    assert not MARK.exists()
    content["module_arguments"] = content.pop("hyper_parameters")
    torch.save(content, "model.ckpt")
    with pytest.raises(ValueError, match=r"model\.ckpt|The instantiator"):
        TextClassificationTask.load_from_checkpoint("model.ckpt")


def test_a_pickle_is_not_run_from_python(content: dict[str, Any]) -> None:
    content["hyper_parameters"]["labels"] = Evil()
    torch.save(content, "model.ckpt")
    for cls in (TextClassificationTask, TextFilesDataModule):
        with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
            cls.load_from_checkpoint("model.ckpt")


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(MARK),)


def test_python_loads_what_the_command_line_saved(content: dict[str, Any]) -> None:
    torch.save(content, "model.ckpt")
    model = TextClassificationTask.load_from_checkpoint("model.ckpt", dropout=0.5)
    assert model.dropout.p == 0.5
    torch.testing.assert_close(model.state_dict(), content["state_dict"])
    data = TextFilesDataModule.load_from_checkpoint("model.ckpt")
    assert data.labels == ["email.ham", "email.spam"]
    content["hyper_parameters"]["encoder"]["class_path"] = "mine.Enc"
    torch.save(content, "model.ckpt")
    with pytest.raises(ValueError, match=r"wants to import mine\.Enc"):
        TextClassificationTask.load_from_checkpoint("model.ckpt")
    with open("model.ckpt", "rb") as file:
        model = TextClassificationTask.load_from_checkpoint(file, trusted_modules=["mine"])
    assert type(model.encoder).__module__ == "mine._nets"


def test_a_flag_replaces_a_string(content: dict[str, Any]) -> None:
    content["hyper_parameters"]["encoder"] = "mine._nets.make"
    words = [f"--model.encoder={ENCODER}", "--model.encoder.embedding_dim=3"]
    assert main(predict(content)) != 0
    assert main(predict(content, *words)) == 0


def test_help_has_the_option(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("fit", "validate", "test", "predict"):
        assert main([command, "--help"]) == 0
        assert "--trusted_modules" in capsys.readouterr().out


def spoil(content: dict[str, Any], *keys: Any, value: object) -> dict[str, Any]:
    place = content
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    return content


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (["hyper_parameters"], [1, 2]),
        (["hyper_parameters"], "text"),
        (["hyper_parameters"], None),
        (["hyper_parameters"], {1: 2, "_class_path": TASK}),
        (["datamodule_hyper_parameters"], [1]),
        (["datamodule_hyper_parameters", "_class_path"], 3),
        (["state_dict"], [torch.zeros(1)]),
        (["state_dict"], None),
        (["state_dict"], {"encoder.weight": "text"}),
        (["state_dict"], {3: torch.zeros(1)}),
        (["hyper_parameters", "_class_path"], 3),
        (["hyper_parameters", "labels"], 3),
        (["hyper_parameters", "labels"], torch.zeros(3)),
        (["hyper_parameters", "num_embeddings"], -1),
        (["hyper_parameters", "encoder"], 3),
        (["hyper_parameters", "encoder"], []),
        (["hyper_parameters", "encoder", "init_args"], [3]),
        (["hyper_parameters", "encoder", "init_args"], "text"),
        (["TextFilesDataModule"], {"text": 3, "words": 4, "labels": 5}),
        (["TextFilesDataModule", "words"], [[]]),
        (["TextFilesDataModule", "words"], None),
        (["TextFilesDataModule", "words"], ["<unk>", 3]),
        (["TextFilesDataModule", "labels"], "ab"),
        (["TextFilesDataModule", "text"], {"nothing": 1}),
        (["TextFilesDataModule", "text"], [1]),
        (["TextFilesDataModule"], [1]),
        (["callbacks"], [3]),
        (["loops"], 3),
        (["pytorch-lightning_version"], 3),
    ],
    ids=str,
)
def test_a_damaged_checkpoint_ends_in_a_sentence(
    keys: list[str], value: object, content: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(predict(spoil(content, *keys, value=value)))
    lines = capsys.readouterr().err.splitlines()
    errors = [line for line in lines if line.startswith("lit-tasks: error: ")]
    assert len(errors) == (code != 0)
    assert not any("Traceback" in line for line in lines)
    if keys[0] == "TextFilesDataModule":
        assert not any("LIT_TASKS_TRACEBACK" in line for line in errors)
    harmless = keys[0] in (
        "callbacks",
        "loops",
        "pytorch-lightning_version",
        "TextFilesDataModule",
    )
    assert code or harmless


def test_a_checkpoint_that_holds_itself_ends_in_a_sentence(
    content: dict[str, Any], refusal: Refusal
) -> None:
    content["hyper_parameters"]["labels"] = content["hyper_parameters"]
    refusal(*predict(content))


@pytest.mark.parametrize(
    "error", [AttributeError, TypeError, RecursionError, KeyError, AssertionError]
)
def test_every_error_is_one_sentence_with_the_way_to_its_trace(
    error: type[Exception],
    refusal: Refusal,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object) -> None:
        raise error("what happened")

    monkeypatch.setattr("lit_tasks.cli.TaskCLI", fail)
    sentence = refusal("predict")
    assert sentence.startswith(f"{error.__name__}: ")
    assert "what happened" in sentence
    assert "LIT_TASKS_TRACEBACK=1 shows the whole trace" in sentence
    monkeypatch.setenv("LIT_TASKS_TRACEBACK", "1")
    assert main(["predict"]) == 1
    assert "Traceback (most recent call last)" in capsys.readouterr().err
