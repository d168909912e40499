"""Options that data modules pass on: in the help, refused when wrong, kept in ``hparams``."""

import inspect
import pkgutil
import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch import LightningDataModule

import lit_tasks.data
from lit_tasks.__main__ import main

CLASSES = [
    cls
    for module in pkgutil.iter_modules(lit_tasks.data.__path__, "lit_tasks.data.")
    if not module.ispkg
    for cls in vars(import_module(module.name)).values()
    if isinstance(cls, type)
    and issubclass(cls, LightningDataModule)
    and cls.__module__ == module.name
]
every_class = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)


def options(cls: type) -> dict[str, Any]:
    """Return each option of a class and its bases with its default; the class's own wins."""
    found: dict[str, Any] = {}
    for base in cls.__mro__:
        if base.__module__.startswith("lit_tasks.data.") and "__init__" in vars(base):
            for name, parameter in list(inspect.signature(base).parameters.items()):
                if parameter.kind is not parameter.VAR_KEYWORD:
                    found.setdefault(name, parameter.default)
    return found


def written(default: Any) -> str:
    """Return a default as the help writes it."""
    return "null" if default is None else str(default)


def test_every_dataset_has_one_class() -> None:
    assert len({cls.__module__ for cls in CLASSES}) == len(CLASSES) == 13


@every_class
def test_a_signature_is_short_and_hands_the_rest_on(cls: type) -> None:
    for base in cls.__mro__:
        if base.__module__.startswith("lit_tasks.data.") and "__init__" in vars(base):
            own = inspect.signature(base).parameters
            assert len(own) - ("kwargs" in own) <= 12
            assert all(p.default is not p.empty for n, p in own.items() if n != "kwargs")


@every_class
def test_help_has_every_option_with_its_default_and_a_sentence(
    cls: type, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", f"--data.help={cls.__module__}.{cls.__name__}"]) == 0
    entries: dict[str, str] = {}
    for block in re.split(r"^  (?=--data\.)", capsys.readouterr().out, flags=re.M)[1:]:
        name = block.removeprefix("--data.").split(maxsplit=1)[0]
        entries[name] = " ".join(block.split())
    for name, default in options(cls).items():
        if name == "text":  # a dataclass: each field is an entry of its own
            assert {"text.min_count", "text.max_length"} <= set(entries)
            continue
        said = re.sub(r"^--data\.\S+ (?:[A-Z_]+ |\{[^}]*\} |, \S+ )*", "", entries[name])
        assert re.match(r"\(?(?!type:)[A-Za-z`].{8,}", said), (name, said)
        if not isinstance(default, Path | tuple):
            assert f"default: {written(default)}" in said, (name, said)


@every_class
def test_a_typo_and_a_wrong_type_are_refused_by_name(
    cls: type, refusal: Callable[..., str]
) -> None:
    path = f"--data={cls.__module__}.{cls.__name__}"
    model = "--model=lit_tasks.tasks.image_classification.ImageClassificationTask"
    for name in ("batch_size", list(options(cls))[-1]):
        assert name in refusal("fit", model, path, f"--data.{name}s=3")
    assert "batch_size must be int, got many" in refusal(
        "fit", model, path, "--data.batch_size=many"
    )


@every_class
def test_hparams_hold_every_value_given_or_not(cls: type) -> None:
    module: Any = cls(batch_size=7)
    expected = {**options(cls), "batch_size": 7}
    assert {name: module.hparams[name] for name in expected} == expected
    assert set(module.hparams) == set(expected)
    again: Any = cls(**module.hparams)
    assert dict(again.hparams) == dict(module.hparams)


@every_class
def test_python_refuses_a_typo(cls: type) -> None:
    with pytest.raises(TypeError, match="batchsize"):
        cls(batchsize=3)


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [("StreamedTexts", "length_buckets", True), ("StreamedCaptions", "captions", 9)],
)
def test_a_stream_refuses_what_needs_all_rows(name: str, option: str, value: object) -> None:
    [cls] = [cls for cls in CLASSES if cls.__name__ == f"{name}DataModule"]
    with pytest.raises(ValueError, match=option):
        cls(**{option: value})
