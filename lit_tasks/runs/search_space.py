"""Trials of a sweep: what W&B's sweep files ask for, drawn without W&B.

Source of the file format: https://docs.wandb.ai/guides/sweeps/sweep-config-keys.
"""

import itertools
import math
import random
from collections.abc import Callable, Mapping
from typing import Any

Space = dict[str, dict[str, Any]]
Trial = dict[str, Any]


def space(parameters: Mapping[str, Any], where: str, prefix: str = "") -> Space:
    """Return the parameters by dotted name; nested ``parameters`` are flattened.

    Args:
        parameters: What the sweep file says under ``parameters``.
        where: The file, for messages.
        prefix: What the names begin with.

    Raises:
        ValueError: A parameter says nothing that can be tried.
    """
    found: Space = {}
    for name, choice in parameters.items():
        if not isinstance(choice, Mapping):
            raise ValueError(
                f"{where}: parameter {prefix}{name} must say value, values or min and max, got"
                f" {choice!r}"
            )
        if "parameters" in choice:
            found |= space(choice["parameters"], where, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = _checked(f"{where}: parameter {prefix}{name}", dict(choice))
    return found


def grid(parameters: Space, where: str) -> list[Trial]:
    """Return every combination, the last parameter changing fastest.

    Raises:
        ValueError: A parameter has no finite number of values.
    """
    choices = []
    for name, choice in parameters.items():
        values = _values(choice)
        if values is None:
            raise ValueError(
                f"{where}: a grid needs values for {name}; give them, or method: random"
            )
        choices.append(values)
    return [dict(zip(parameters, values, strict=True)) for values in itertools.product(*choices)]


def random_trial(parameters: Space, index: int, seed: int) -> Trial:
    """Return a trial of a random search: the same for the same number, however many there are."""
    return {
        name: _draw(choice, random.Random(f"{seed} {index} {name}"))
        for name, choice in parameters.items()
    }


def _values(choice: Mapping[str, Any]) -> list[Any] | None:
    if "value" in choice:
        return [choice["value"]]
    if "values" in choice:
        return list(choice["values"])
    if choice["distribution"] == "int_uniform":
        return list(range(choice["min"], choice["max"] + 1))
    return None


def _checked(where: str, choice: dict[str, Any]) -> dict[str, Any]:
    if "value" in choice:
        return choice
    if "values" in choice:
        if not isinstance(choice["values"], list) or not choice["values"]:
            raise ValueError(
                f"{where}: values must be a list of at least one, got {choice['values']!r}"
            )
        return choice
    limits = [choice.get("min"), choice.get("max")]
    whole = all(isinstance(limit, int) for limit in limits)
    kind = choice.setdefault("distribution", "int_uniform" if whole else "uniform")
    if kind not in _DRAWS:
        raise ValueError(
            f"{where}: distribution {kind} is not known; known are {', '.join(_DRAWS)}"
        )
    for key in ("min", "max"):
        if not isinstance(choice.get(key), int | float):
            raise ValueError(f"{where}: {kind} needs a number {key}, got {choice.get(key)!r}")
    if choice["min"] > choice["max"]:
        raise ValueError(
            f"{where}: min must be at most max, got {choice['min']} and {choice['max']}"
        )
    if kind.endswith("_values") and choice["min"] <= 0:
        raise ValueError(f"{where}: {kind} needs a positive min, got {choice['min']}")
    return choice


def _draw(choice: Mapping[str, Any], source: random.Random) -> Any:
    if "value" in choice:
        return choice["value"]
    if "values" in choice:
        return source.choices(choice["values"], choice.get("probabilities"))[0]
    value = _DRAWS[choice["distribution"]](choice, source)
    if str(choice["distribution"]).startswith("q_"):
        step = choice.get("q", 1)
        value = round(value / step) * step
    return float(f"{value:.6g}") if isinstance(value, float) else value


_DRAWS: dict[str, Callable[[Mapping[str, Any], random.Random], Any]] = {
    "int_uniform": lambda s, r: r.randint(s["min"], s["max"]),
    "uniform": lambda s, r: r.uniform(s["min"], s["max"]),
    "q_uniform": lambda s, r: r.uniform(s["min"], s["max"]),
    "log_uniform_values": lambda s, r: math.exp(r.uniform(math.log(s["min"]), math.log(s["max"]))),
}
