"""What packages ask of one another: said in one file, printed in the docs, kept by our modules."""

import importlib
import inspect
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import Callback

from lit_tasks import protocols
from lit_tasks.batch import ImageBatch
from lit_tasks.cli.default_callbacks import CALLBACKS, after_fit, taking_part
from lit_tasks.data.base.captions import CaptionDataModule
from lit_tasks.data.base.images import ImageDataModule
from lit_tasks.data.base.text import TextDataModule
from lit_tasks.data.style_pairs import StylePairsDataModule

ROOT = Path(__file__).parents[1]


def test_the_page_about_adding_prints_the_file() -> None:
    text = (ROOT / "lit_tasks/protocols.py").read_text()
    assert f"```python\n{text}```" in (ROOT / "docs/adding.md").read_text(), (
        "docs/adding.md prints lit_tasks/protocols.py: copy the file into its block"
    )


@pytest.mark.parametrize("kind", [TextDataModule, ImageDataModule, CaptionDataModule])
def test_samples_are_described_and_shown_by_one_signature(kind: type) -> None:
    methods = [kind.__dict__[n] for n in ("describe", "shown") if n in kind.__dict__]
    assert methods
    for method in methods:
        assert [*inspect.signature(method).parameters][2:] == ["indices"]


def test_what_is_missing_is_named_and_nothing_is_computed() -> None:
    class Data:
        @property
        def labels(self) -> list[str]:
            raise AssertionError("a property was read")

    sentence = r"needs data with train_dataloader and vocabulary \(.*TextData\), which Data lacks"
    with pytest.raises(TypeError, match=sentence):
        protocols.required(Data(), protocols.TextData, object())
    data = Data()
    with pytest.raises(TypeError, match=r"object needs a data module: give one to trainer\.fit"):
        protocols.required(None, protocols.TextData, object())
    assert protocols.required(data, protocols.HasLabels, object()) is data
    pairs = StylePairsDataModule()
    assert protocols.required(pairs, protocols.StyleData, object()) is pairs


def test_the_index_of_a_plain_tuple_is_no_position() -> None:
    index = torch.arange(2)
    assert protocols.batch_index(ImageBatch(torch.zeros(2, 3, 1, 1), None, index)) is index
    assert protocols.batch_index((index,)) is None
    assert protocols.batch_index([index]) is None
    assert protocols.batch_index(SimpleNamespace()) is None


def callbacks_of(package: str) -> Iterator[type[Callback]]:
    root = importlib.import_module(package)
    for module in pkgutil.walk_packages(root.__path__, f"{package}."):
        for _, kind in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(kind, Callback) and kind.__module__ == module.name:
                yield kind


@pytest.mark.parametrize(
    ("package", "display"), [("lit_tasks.callbacks", True), ("lit_tasks.distributed", False)]
)
def test_every_callback_announces_itself(package: str, display: bool) -> None:
    """`compare` goes by the package, as it imports nothing: both must say the same."""
    found = list(callbacks_of(package))
    assert found
    for kind in found:
        assert isinstance(kind, protocols.AnnouncesItself), kind
        assert kind.commands, kind
        assert kind.display_only == display, kind


def test_a_command_has_the_callbacks_that_it_needs() -> None:
    always = {"exact_batches", "last_checkpoint", "progress"}
    shown = {"results", "samples", "figures"}
    assert set(taking_part("predict")) == always | {"images", "predictions"}
    assert set(taking_part("validate")) == set(taking_part("test")) == always | shown
    fit = {"early_stopping", *CALLBACKS} - shown - {"images", "predictions"}
    assert set(taking_part("fit")) == fit
    assert after_fit() == sorted(shown)


def test_types_of_frameworks_are_named_and_not_imported() -> None:
    """`pyproject.toml` lets this module name them; at run time it must not load them."""
    code = "import sys, lit_tasks.protocols; print({'lightning', 'matplotlib'} & {*sys.modules})"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
