"""Constructor arguments become the words of a config, or are said to be none."""

from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lit_tasks.nn.text import RecurrentEncoder
from lit_tasks.recorded_arguments import plain_argument, recorded


class Color(Enum):
    RED = 1


@dataclass
class Choice:
    size: int
    make: Any = None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, None),
        (Path("a/b"), "a/b"),
        (np.float32(0.5), 0.5),
        ((1, 2), [1, 2]),
        (Color.RED, "RED"),
        (torch.optim.Adam, {"class_path": "torch.optim.Adam"}),
        (
            partial(torch.optim.SGD, lr=0.1),
            {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1}},
        ),
        (RecurrentEncoder, {"class_path": "lit_tasks.nn.text.RecurrentEncoder"}),
        (
            Choice(2, partial(torch.optim.SGD, lr=1.0)),
            {"size": 2, "make": {"class_path": "torch.optim.SGD", "init_args": {"lr": 1.0}}},
        ),
        ({"a": [Path("x")]}, {"a": ["x"]}),
    ],
    ids=str,
)
def test_an_argument_becomes_plain(given: Any, expected: Any) -> None:
    assert plain_argument(given) == expected


def test_objects_and_functions_are_left_and_named() -> None:
    class Local:
        pass

    kept, left = recorded(
        {
            "number": 3,
            "module": torch.nn.Linear(1, 1),
            "function": lambda size: None,
            "positional": partial(torch.nn.Linear, 3),
            "inside": [torch.nn.ReLU()],
            "local": Local,
        }
    )
    assert kept == {"number": 3}
    assert left == ["module", "function", "positional", "inside", "local"]
