"""Scenes with captions: what, how large, how many and where."""

from collections.abc import Sequence
from itertools import product
from math import pi

import numpy as np

from lit_tasks.data.synthetic.scenes import COLORS, GROUND_COLORS, GROUNDS, SHAPES, Scene, Thing

Kind = tuple[str, str]  # color and shape

_RADIUS = {"small": (0.08, 0.10), "large": (0.17, 0.20)}
_WORDS = {2: "two", 3: "three", 4: "four"}
_PLACES = {
    (0, 0): "in the top left corner", (1, 0): "at the top", (2, 0): "in the top right corner",
    (0, 1): "on the left", (1, 1): "in the middle", (2, 1): "on the right",
    (0, 2): "in the bottom left corner", (1, 2): "at the bottom",
    (2, 2): "in the bottom right corner",
}  # fmt: skip
_OTHER_SIDE = {
    "to the left of": "to the right of", "to the right of": "to the left of",
    "above": "below", "below": "above",
}  # fmt: skip


def kinds(seed: int, held_out: int) -> tuple[list[Kind], list[Kind]]:
    """Return colors with shapes that training may show, and ``held_out`` ones that it may not.

    Every color and every shape stays in training.

    Raises:
        ValueError: That many cannot be held out.
    """
    most = min(len(SHAPES), len(COLORS))
    if not 0 <= held_out <= most:
        raise ValueError(f"held_out must be from 0 to {most}, got {held_out}")
    draw = np.random.default_rng(seed)
    colors, shapes = draw.permutation(list(COLORS)), draw.permutation(SHAPES)
    kept_back = [(str(c), str(s)) for c, s in zip(colors, shapes, strict=False)][:held_out]
    return [kind for kind in product(COLORS, SHAPES) if kind not in kept_back], kept_back


def captioned_scene(seed: int, index: int, first: Sequence[Kind], others: Sequence[Kind]) -> Scene:
    """Return scene ``index`` of all that ``seed`` stands for.

    In turn: one thing somewhere, two things side by side or one above the other, and two to four
    of a kind in a row.

    Args:
        seed: Stands for all scenes.
        index: Which of them.
        first: Colors and shapes of the first thing.
        others: Colors and shapes of a second thing.
    """
    draw = np.random.default_rng((seed, index))
    color, shape = first[int(draw.integers(len(first)))]
    make = (_one, _two, _several)[index % 3]
    things = make(draw, color, shape, others)
    ground, tint = str(draw.choice(GROUNDS)), str(draw.choice(list(GROUND_COLORS)))
    return Scene(tuple(things), ground, ground_color=tint, grain=int(draw.integers(2**31)))


def sentences(scene: Scene) -> list[str]:
    """Return five sentences about a scene of :func:`captioned_scene`, all of them true."""
    thing, *more = scene.things
    if not more:
        return _of_one(thing)
    if len(more) == 1 and not _alike(thing, more[0]):
        return _of_two(thing, more[0])
    return _of_several(thing, 1 + len(more))


def _one(draw: np.random.Generator, color: str, shape: str, others: Sequence[Kind]) -> list[Thing]:
    column, row = draw.integers(3, size=2).tolist()
    center = (0.24 + 0.26 * column, 0.24 + 0.26 * row)
    return [_thing(draw, color, shape=shape, size=str(draw.choice(list(_RADIUS))), center=center)]


def _two(draw: np.random.Generator, color: str, shape: str, others: Sequence[Kind]) -> list[Thing]:
    different = [kind for kind in others if kind != (color, shape)]
    second = different[int(draw.integers(len(different)))]
    sizes = [str(size) for size in draw.choice(list(_RADIUS), size=2)]
    near, far, beside = 0.26, 0.74, 0.5
    if draw.integers(2):
        near, far = far, near
    upright = bool(draw.integers(2))
    centers = [(beside, offset) if upright else (offset, beside) for offset in (near, far)]
    pairs = zip(((color, shape), second), sizes, centers, strict=True)
    return [_thing(draw, *kind, size, center) for kind, size, center in pairs]


def _several(
    draw: np.random.Generator, color: str, shape: str, others: Sequence[Kind]
) -> list[Thing]:
    count = int(draw.integers(2, 5))
    centers = [(step + 0.5) / count for step in range(count)]
    return [_thing(draw, color, shape=shape, size="small", center=(step, 0.5)) for step in centers]


def _thing(
    draw: np.random.Generator, color: str, shape: str, size: str, center: tuple[float, float]
) -> Thing:
    x, y = (at + float(draw.uniform(-0.03, 0.03)) for at in center)
    radius, angle = float(draw.uniform(*_RADIUS[size])), float(draw.uniform(-pi / 9, pi / 9))
    return Thing(shape, color, size=size, x=x, y=y, radius=radius, angle=angle)


def _alike(first: Thing, second: Thing) -> bool:
    return (first.color, first.shape) == (second.color, second.shape)


def _named(thing: Thing) -> str:
    return f"a {thing.size} {thing.color} {thing.shape}"


def _of_one(thing: Thing) -> list[str]:
    column, row = (min(2, max(0, round((at - 0.24) / 0.26))) for at in (thing.x, thing.y))
    place, name = _PLACES[column, row], _named(thing)
    article = "an" if thing.color[0] in "aeiou" else "a"
    return [
        f"{name} {place}",
        f"there is {name} {place}",
        f"{name} is {place} of the picture",
        f"{place} there is {name}",
        f"{article} {thing.color} {thing.shape} {place} , it is {thing.size}",
    ]


def _of_two(first: Thing, second: Thing) -> list[str]:
    if abs(first.x - second.x) > abs(first.y - second.y):
        side = "to the left of" if first.x < second.x else "to the right of"
        together = "side by side"
    else:
        side, together = ("above" if first.y < second.y else "below"), "one above the other"
    one, other = _named(first), _named(second)
    return [
        f"{one} {side} {other}",
        f"{other} {_OTHER_SIDE[side]} {one}",
        f"there is {one} {side} {other}",
        f"{one} is {side} {other}",
        f"{one} and {other} {together}",
    ]


def _of_several(thing: Thing, count: int) -> list[str]:
    plural = f"{thing.shape}es" if thing.shape.endswith("s") else f"{thing.shape}s"
    number = _WORDS[count]
    name = f"{thing.size} {thing.color} {plural}"
    return [
        f"{number} {name} in a row",
        f"there are {number} {name}",
        f"a row of {number} {name}",
        f"{number} {name} side by side",
        f"{number} {thing.color} {plural} in a row , all of them {thing.size}",
    ]
