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


def space(parameters: Mapping[str, Any], place: str, prefix: str = "") -> Space:
    """Return the parameters by dotted name; nested ``parameters`` are flattened.

    Args:
        parameters: What the sweep file says under ``parameters``.
        place: The file, for messages.
        prefix: What the names begin with.

    Raises:
        ValueError: A parameter says nothing that can be tried.
    """
    found: Space = {}
    for name, said in parameters.items():
        if not isinstance(said, Mapping):
            raise ValueError(
                f"{place}: parameter {prefix}{name} must say value, values or min and max, got"
                f" {said!r}"
            )
        if "parameters" in said:
            found |= space(said["parameters"], place, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = _checked(f"{place}: parameter {prefix}{name}", dict(said))
    return found


def grid(parameters: Space, place: str) -> list[Trial]:
    """Return every combination, the last parameter changing fastest.

    Raises:
        ValueError: A parameter has no finite number of values.
    """
    choices = []
    for name, said in parameters.items():
        values = _values(said)
        if values is None:
            raise ValueError(
                f"{place}: a grid needs values for {name}; give them, or method: random"
            )
        choices.append(values)
    return [dict(zip(parameters, values, strict=True)) for values in itertools.product(*choices)]


def drawn(parameters: Space, number: int, seed: int) -> Trial:
    """Return a trial of a random search: the same for the same number, however many there are."""
    return {
        name: _draw(said, random.Random(f"{seed} {number} {name}"))
        for name, said in parameters.items()
    }


def _values(said: Mapping[str, Any]) -> list[Any] | None:
    if "value" in said:
        return [said["value"]]
    if "values" in said:
        return list(said["values"])
    if said["distribution"] == "int_uniform":
        return list(range(said["min"], said["max"] + 1))
    return None


def _checked(place: str, said: dict[str, Any]) -> dict[str, Any]:
    if "value" in said:
        return said
    if "values" in said:
        if not isinstance(said["values"], list) or not said["values"]:
            raise ValueError(
                f"{place}: values must be a list of at least one, got {said['values']!r}"
            )
        return said
    limits = [said.get("min"), said.get("max")]
    whole = all(isinstance(limit, int) for limit in limits)
    kind = said.setdefault("distribution", "int_uniform" if whole else "uniform")
    if kind not in _DRAWS:
        raise ValueError(
            f"{place}: distribution {kind} is not known; known are {', '.join(_DRAWS)}"
        )
    for key in ("min", "max"):
        if not isinstance(said.get(key), int | float):
            raise ValueError(f"{place}: {kind} needs a number {key}, got {said.get(key)!r}")
    if said["min"] > said["max"]:
        raise ValueError(f"{place}: min must be at most max, got {said['min']} and {said['max']}")
    if kind.endswith("_values") and said["min"] <= 0:
        raise ValueError(f"{place}: {kind} needs a positive min, got {said['min']}")
    return said


def _draw(said: Mapping[str, Any], source: random.Random) -> Any:
    if "value" in said:
        return said["value"]
    if "values" in said:
        return source.choices(said["values"], said.get("probabilities"))[0]
    value = _DRAWS[said["distribution"]](said, source)
    if str(said["distribution"]).startswith("q_"):
        step = said.get("q", 1)
        value = round(value / step) * step
    return float(f"{value:.6g}") if isinstance(value, float) else value


_DRAWS: dict[str, Callable[[Mapping[str, Any], random.Random], Any]] = {
    "int_uniform": lambda s, r: r.randint(s["min"], s["max"]),
    "uniform": lambda s, r: r.uniform(s["min"], s["max"]),
    "q_uniform": lambda s, r: r.uniform(s["min"], s["max"]),
    "log_uniform_values": lambda s, r: math.exp(r.uniform(math.log(s["min"]), math.log(s["max"]))),
}
