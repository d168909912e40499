"""Runs side by side: settings that differ, ranking, groups of seeds, paired differences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum, isfinite
from pathlib import Path
from typing import Any, Literal

from lit_tasks.metrics.names import without_stage
from lit_tasks.runs.folder import Run
from lit_tasks.runs.settings import differing, short_names, short_value
from lit_tasks.statistics import Difference, Spread, paired_difference, spread

Goal = Literal["maximize", "minimize"]
_SHOWN = 2  # metrics of a stage that are shown unless others are asked for


@dataclass(frozen=True)
class Group:
    """Runs that differ in nothing but what is repeated over, such as the seed.

    Attributes:
        runs: Their numbers, counted from 1.
        settings: Their common values of the settings that differ, by short name.
        metrics: Mean and deviation of each metric.
    """

    runs: list[int]
    settings: dict[str, str]
    metrics: dict[str, Spread]


@dataclass(frozen=True)
class Pair:
    """Two runs on the same samples.

    Attributes:
        stage: ``test`` or ``val``.
        metric: Which value of a sample.
        run: Number of the one.
        against: Number of the other; the difference is the one minus this.
        difference: What lies between them.
    """

    stage: str
    metric: str
    run: int
    against: int
    difference: Difference


@dataclass(frozen=True)
class Best:
    """The run that is best by one metric.

    Attributes:
        metric: By which.
        run: Its number.
        value: Its value.
        interval: Of the value, where there is one.
        next: Number of the second best run; none if there is no other.
        ahead: How much better it is than the next, as a positive number.
    """

    metric: str
    run: int
    value: float
    interval: tuple[float, float] | None
    next: int | None
    ahead: float | None


@dataclass(frozen=True)
class Comparison:
    """Runs side by side.

    Attributes:
        runs: The runs; they are numbered from 1.
        names: What each is called: its path without what all have in common.
        settings: For each setting that differs, by short name, its value in each run.
        metrics: The metrics that are compared.
        groups: Runs with equal settings; empty if no two have them.
        pairs: Differences on the same samples.
        notes: Sentences about what could not be compared.
        best: The best run by the metric that was asked for.
    """

    runs: list[Run]
    names: list[str]
    settings: dict[str, list[str]]
    metrics: list[str]
    groups: list[Group]
    pairs: list[Pair]
    notes: list[str]
    best: Best | None = None


def compare(
    runs: Sequence[Run],
    metrics: Sequence[str] = (),
    over: Sequence[str] = ("seed_everything",),
    against: int = 1,
    by: str | None = None,
    goal: Goal | None = None,
) -> Comparison:
    """Compare runs.

    Args:
        runs: At least one.
        metrics: Which to compare; a few important ones if none.
        over: Settings (or ends of their names) that only repeat an experiment.
        against: Number of the run that the others are paired with.
        by: Metric that numbers the runs, the best first, and chooses the best.
        goal: Which way that metric is better; as the runs declare it if not given.

    Raises:
        ValueError: A metric is in no run, or there is no such number.
    """
    if not 1 <= against <= len(runs):
        raise ValueError(f"against must be the number of a run, 1 to {len(runs)}, got {against}")
    chosen = _metrics(runs, metrics or ([by] if by else ()), also=by)
    best = None
    if by is not None:
        more = higher_is_better(runs, by) if goal is None else goal == "maximize"
        runs, best = _ranked(runs, by, more)
    keys = differing(run.settings for run in runs)
    short = short_names(keys)
    values = {
        short[key]: [short_value(run.settings[key]) if key in run.settings else "" for run in runs]
        for key in keys
    }
    repeated = {short[k] for k in keys if any(k == o or k.endswith(f".{o}") for o in over)}
    notes = [f"{run.path} has no results yet" for run in runs if not run.results]
    groups, same = _groups(runs, values, repeated=repeated, metrics=chosen)
    notes += [
        f"runs {_and(numbers)} have the same settings and the same seed: they count as one sample"
        for numbers in same
    ]
    notes += [
        f"{metric} is not ranked: no run declares which way it is better (higher_is_better)"
        for metric in chosen
        if higher_is_better(runs, metric) is None and not (metric == by and goal)
    ]
    pairs = _pairs(runs, against)
    if len(runs) > 1 and not pairs:
        notes.append(
            f"no run has a samples_test.csv or samples_val.csv of the same samples as run {against}"
            ": without them there is no paired difference"
        )
    return Comparison(
        list(runs),
        _names([run.path for run in runs]),
        settings=values,
        metrics=chosen,
        groups=groups,
        pairs=pairs,
        notes=notes,
        best=best,
    )


def final(run: Run, metric: str) -> float | None:
    """Return what counts of a metric: at the best checkpoint, else the last of its curve."""
    entry = run.results.get(metric, {})
    value = entry.get("value", entry.get("last", {}).get("value"))
    return None if value is None else float(value)


def higher_is_better(runs: Sequence[Run], metric: str) -> bool | None:
    """Return whether more of a metric is better, or ``None``: no run says it, or they disagree.

    What is said of a metric in one stage holds in the others.
    """
    said = {
        entry["higher_is_better"]
        for run in runs
        for name, entry in run.results.items()
        if "higher_is_better" in entry and without_stage(name) == without_stage(metric)
    }
    return said.pop() if len(said) == 1 else None


def _metrics(runs: Sequence[Run], asked: Sequence[str], also: str | None = None) -> list[str]:
    known = list(dict.fromkeys(name for run in runs for name in run.results))
    if asked:
        asked = list(dict.fromkeys([*([also] if also else []), *asked]))
        for name in asked:
            if name not in known:
                raise ValueError(f"no run has a metric {name}; they have {', '.join(known)}")
        return list(asked)
    monitored = {str(run.settings.get("checkpoint.init_args.monitor", "")) for run in runs}
    kinds = {name.partition("/")[2] for name in monitored}
    found: list[str] = []
    for stage in ("test", "val", "train"):
        names = [name for name in known if name.startswith(f"{stage}/")]
        bounded = {n for run in runs for n, entry in run.results.items() if "interval" in entry}
        names.sort(
            key=lambda n: (n.partition("/")[2] not in kinds, n not in bounded, "loss" not in n)
        )
        found += names[:_SHOWN]
    evaluated = [name for name in found if not name.startswith("train/")]
    return evaluated or found


def _names(paths: Sequence[Path]) -> list[str]:
    """Return the paths without the folders that all have in common."""
    parts = [path.absolute().parts for path in paths]
    shared = 0
    while all(len(p) > shared + 1 for p in parts) and len({p[shared] for p in parts}) == 1:
        shared += 1
    return ["/".join(p[shared:]) for p in parts]


def _groups(
    runs: Sequence[Run],
    settings: Mapping[str, Sequence[str]],
    repeated: set[str],
    metrics: Sequence[str],
) -> tuple[list[Group], list[list[int]]]:
    """Return runs that repeat an experiment, and the numbers of those that are no repetition.

    Runs whose settings agree to the seed are one sample, with the mean of their values.
    """
    kept = [name for name in settings if name not in repeated]
    samples: dict[tuple[str, ...], list[int]] = {}
    for number in range(len(runs)):
        samples.setdefault(tuple(column[number] for column in settings.values()), []).append(number)
    members: dict[tuple[str, ...], list[list[int]]] = {}
    for numbers in samples.values():
        key = tuple(settings[name][numbers[0]] for name in kept)
        members.setdefault(key, []).append(numbers)
    same = [[n + 1 for n in numbers] for numbers in samples.values() if len(numbers) > 1]
    if all(len(several) == 1 for several in members.values()):
        return [], same
    groups = []
    for values, several in members.items():
        found = {name: [_mean(runs, numbers, name) for numbers in several] for name in metrics}
        spreads = {
            name: spread(there)
            for name, all_values in found.items()
            if (there := [v for v in all_values if v is not None])
        }
        named = dict(zip(kept, values, strict=True))
        groups.append(Group(sorted(n + 1 for ns in several for n in ns), named, spreads))
    return groups, same


def _mean(runs: Sequence[Run], numbers: Sequence[int], metric: str) -> float | None:
    values = [value for n in numbers if (value := final(runs[n], metric)) is not None]
    return fsum(values) / len(values) if values else None


def _ranked(runs: Sequence[Run], metric: str, more: bool | None) -> tuple[list[Run], Best | None]:
    """Return the runs by a metric, and what there is to say of the first.

    They stay as they are where nobody knows whether more is better.
    """
    values = [(run, final(run, metric)) for run in runs]
    with_value = [(run, value) for run, value in values if value is not None and isfinite(value)]
    without = [run for run, value in values if value is None or not isfinite(value)]
    if more is None or not with_value:
        return list(runs), None
    with_value.sort(key=lambda pair: -pair[1] if more else pair[1])
    (first, value), *others = with_value
    interval = first.results[metric].get("interval")
    ahead = abs(value - others[0][1]) if others else None
    best = Best(
        metric,
        1,
        value=value,
        interval=None if interval is None else tuple(interval),
        next=2 if others else None,
        ahead=ahead,
    )
    return [*(run for run, _ in with_value), *without], best


def _and(numbers: Sequence[int]) -> str:
    return f"{', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"


def _pairs(runs: Sequence[Run], against: int) -> list[Pair]:
    pairs = []
    for stage in ("test", "val"):
        samples = [run.samples(stage) for run in runs]
        reference = samples[against - 1]
        for number, mine in enumerate(samples, start=1):
            if number == against or not _same_samples(mine, reference):
                continue
            if runs[number - 1].settings.get("data.class_path") != runs[against - 1].settings.get(
                "data.class_path"
            ):
                continue
            for metric in _common_columns(mine, reference):
                one, other = (
                    [float(table[key][metric]) for key in reference] for table in (mine, reference)
                )
                found = paired_difference(one, other)
                pairs.append(Pair(stage, metric, run=number, against=against, difference=found))
        if pairs:
            return pairs  # the test samples, where there are any
    return pairs


def _same_samples(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two tables hold the same ids with the same targets."""
    return (
        bool(one)
        and one.keys() == other.keys()
        and all(one[key].get("target") == other[key].get("target") for key in other)
    )


def _common_columns(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    mine, reference = (next(iter(table.values())) for table in (one, other))
    return [name for name in mine if name != "target" and name in reference]
