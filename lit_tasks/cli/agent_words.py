"""The words of a sweep's agent, which are Python's own spelling of values, as YAML has them.

``wandb agent`` writes ``--model.dropout=None`` and ``--model.encoder={'ngrams': 2, 'x': None}``;
by ``${args_no_boolean_flags}`` it writes ``--test`` for a setting that is true.
"""

import ast
import json
import os
from collections.abc import Sequence


def understood(words: Sequence[str]) -> list[str]:
    """Return the words of a command line with their values in JSON where they were Python's."""
    by_agent = "WANDB_SWEEP_ID" in os.environ
    found = []
    for word, after in zip(words, [*words[1:], "--"], strict=True):
        name, equals, value = word.partition("=")
        if not word.startswith("--"):
            found.append(_value(word))
        elif equals:
            found.append(f"{name}={_value(value)}")
        else:
            found.append(f"{word}=true" if by_agent and _is_switch(word, after) else word)
    return found


def _is_switch(word: str, after: str) -> bool:
    return after.startswith("--") and not word.endswith(("help", "print_config"))


def _value(text: str) -> str:
    if text == "None":
        return "null"
    if not text.startswith(("[", "{", "(")):
        return text
    try:
        return json.dumps(ast.literal_eval(text))
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return text  # YAML or JSON, as people write it
