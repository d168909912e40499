"""What we rest on in jsonargparse and argparse beyond their documentation."""

from pathlib import Path
from typing import Any

import pytest
from jsonargparse import ArgumentParser, set_parsing_settings
from torch import nn

from lit_tasks import jsonargparse_internals as internals


class Parser(internals.WatchedParser):
    """Remembers what it is shown."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.seen: list[tuple[Any, ...]] = []

    def before_value(self, key: str, value: Any, hint: Any) -> None:
        self.seen.append((key, value, hint))

    def after_value(self, key: str, value: Any) -> None:
        self.seen.append((key, value))


def test_a_watched_parser_shows_values_before_and_after_with_their_types() -> None:
    parser = Parser(exit_on_error=False)
    parser.add_argument("--number", type=int | None)
    parser.parse_object({"number": "3"})
    assert ("number", "3", int | None) in parser.seen
    assert parser.seen[parser.seen.index(("number", "3", int | None)) + 1] == ("number", 3)


def test_a_watched_parser_shows_a_path_inside_of_a_class() -> None:
    parser = Parser(exit_on_error=False)
    parser.add_subclass_arguments(nn.Module, "net", fail_untyped=False)
    sizes = {"in_features": 1, "out_features": 2}
    parser.parse_object({"net": {"class_path": "torch.nn.Linear", "init_args": sizes}})
    assert any(key == "net" for key, *_ in parser.seen)


def test_option_names_are_full() -> None:
    parser = ArgumentParser()
    parser.add_argument("--model.lr", type=float)
    assert "model.lr" in internals.option_names(parser)


def test_restored_settings_end_what_was_denied() -> None:
    assert internals.imported("torch.nn.GRU") is nn.GRU
    with internals.restored_settings():
        allowed = ["torch.nn.LSTM", "torch.nn.modules.rnn.LSTM"]
        set_parsing_settings(import_path_denylist=["*"], import_path_allowlist=allowed)
        assert internals.imported("torch.nn.LSTM") is nn.LSTM
        with pytest.raises(ValueError, match=r"torch\.nn\.GRU"):
            internals.imported("torch.nn.GRU")
        assert internals.imported("torch.nn.GRU", with_check=False) is nn.GRU
    assert internals.imported("torch.nn.GRU") is nn.GRU


def test_import_path_is_the_shortest() -> None:
    assert internals.import_path(nn.Linear) == "torch.nn.Linear"


def test_accepts_any_value_is_so_of_any_alone() -> None:
    assert internals.accepts_any_value(Any)
    assert not internals.accepts_any_value(int)


def test_another_loader_reads_every_config(tmp_path: Path) -> None:
    before = internals.yaml_loader()
    texts = []

    class Loader(before):  # type: ignore[misc, valid-type]
        def __init__(self, stream: str) -> None:
            texts.append(stream)
            super().__init__(stream)

    internals.replace_yaml_loader(Loader)
    try:
        assert internals.yaml_loader() is Loader
        parser = ArgumentParser()
        parser.add_argument("--number", type=int)
        parser.parse_string("number: 3")
    finally:
        internals.replace_yaml_loader(before)
    assert "number: 3" in texts
