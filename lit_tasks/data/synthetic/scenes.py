"""Synthetic scenes: colored shapes on textured grounds, any number of them from a seed.

They stand in for photographs where none can be had, and are easy on purpose: for trying out and for
tests. What is in a scene is known exactly, so that it can be named (classes) and told (captions).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, pi, sin

import numpy as np
from PIL import Image, ImageDraw

SHAPES = ("circle", "square", "triangle", "star", "cross", "ring")
COLORS = {
    "red": (205, 40, 40),
    "orange": (240, 140, 30),
    "yellow": (240, 215, 50),
    "green": (45, 155, 65),
    "blue": (45, 85, 205),
    "purple": (135, 60, 170),
    "white": (250, 250, 250),
    "black": (20, 20, 20),
}
GROUNDS = ("plain", "striped", "checked", "dotted", "grainy")
GROUND_COLORS = {
    "grey": (140, 140, 140),
    "brown": (140, 105, 75),
    "pink": (240, 185, 195),
    "turquoise": (95, 190, 185),
}
SIZES = {"small": (0.16, 0.21), "large": (0.32, 0.42)}  # radius, as a fraction of the image
_FINE = 2  # drawn larger and reduced, so that edges are smooth


@dataclass(frozen=True)
class Thing:
    """A shape in a scene.

    Attributes:
        shape: One of :data:`SHAPES`.
        color: One of :data:`COLORS`.
        size: One of :data:`SIZES`.
        x: Center, from 0 (left) to 1.
        y: Center, from 0 (top) to 1.
        radius: Distance of the outline from the center, as a fraction of the image's side.
        angle: Turn in radians.
    """

    shape: str
    color: str
    size: str
    x: float
    y: float
    radius: float
    angle: float


@dataclass(frozen=True)
class Scene:
    """Things on a ground; those named later lie on top.

    Attributes:
        things: The shapes.
        ground: One of :data:`GROUNDS`.
        ground_color: One of :data:`GROUND_COLORS`.
        grain: Seed of the ground's irregularities.
    """

    things: tuple[Thing, ...]
    ground: str
    ground_color: str
    grain: int


def random_scene(seed: int, index: int, shapes: Sequence[str] = SHAPES) -> Scene:
    """Return scene ``index`` of all scenes that ``seed`` stands for: one thing somewhere.

    Its shape goes through ``shapes`` in turn, so that every class comes equally often.
    """
    draw = np.random.default_rng((seed, index))
    shape, size = shapes[index % len(shapes)], str(draw.choice(list(SIZES)))
    radius = float(draw.uniform(*SIZES[size]))
    x, y = float(draw.uniform(radius, 1 - radius)), float(draw.uniform(radius, 1 - radius))
    color, angle = str(draw.choice(list(COLORS))), float(draw.uniform(-pi / 9, pi / 9))
    thing = Thing(shape, color, size=size, x=x, y=y, radius=radius, angle=angle)
    ground, tint = str(draw.choice(GROUNDS)), str(draw.choice(list(GROUND_COLORS)))
    return Scene((thing,), ground, ground_color=tint, grain=int(draw.integers(2**31)))


def draw_scene(scene: Scene, size: int) -> Image.Image:
    """Return the image of a scene, ``size`` pixels wide and high."""
    fine = size * _FINE
    values = _ground(scene, fine)
    image = Image.fromarray(values.round().clip(0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(image)
    for thing in scene.things:
        _draw_thing(pen, thing, fine=fine, ground_color=scene.ground_color)
    return image.resize((size, size), Image.Resampling.BOX)


def _ground(scene: Scene, fine: int) -> np.ndarray:
    """Return the ground's colors, ``(H, W, 3)``: a texture, soft light and a little noise."""
    random = np.random.default_rng(scene.grain)
    place = np.linspace(0, 1, fine)
    y, x = place[:, None], place[None, :]
    step, shift = random.uniform(0.08, 0.14), random.uniform(0, 1, 2)
    turned = x * cos(turn := random.uniform(0, pi)) + y * sin(turn)
    mark = {
        "plain": lambda: np.zeros((fine, fine)),
        "striped": lambda: np.floor(turned / step + shift[0]) % 2,
        "checked": lambda: (np.floor(x / step + shift[0]) + np.floor(y / step + shift[1])) % 2,
        "dotted": lambda: (
            ((x / step + shift[0]) % 1 - 0.5) ** 2 + ((y / step + shift[1]) % 1 - 0.5) ** 2 < 0.08
        ).astype(float),
        "grainy": lambda: (
            random.random((fine // 6 + 1,) * 2).repeat(6, 0).repeat(6, 1)[:fine, :fine]
        ),
    }[scene.ground]()
    light = 1 + 0.12 * (x * random.uniform(-1, 1) + y * random.uniform(-1, 1))
    color = np.array(GROUND_COLORS[scene.ground_color], dtype=float)
    shade = light * (1 - 0.3 * mark)
    noise = random.normal(0, 5, (fine, fine, 1))
    ground: np.ndarray = shade[:, :, None] * color + noise
    return ground


def _draw_thing(pen: ImageDraw.ImageDraw, thing: Thing, fine: int, ground_color: str) -> None:
    x, y, r = thing.x * fine, thing.y * fine, thing.radius * fine
    fill = COLORS[thing.color]
    edge = tuple(int(0.6 * value) for value in fill)
    width = max(1, fine // 120)
    if thing.shape in ("circle", "ring"):
        pen.ellipse((x - r, y - r, x + r, y + r), fill=fill, outline=edge, width=width)
    if thing.shape == "ring":
        hole = GROUND_COLORS[ground_color]
        h = 0.55 * r
        pen.ellipse((x - h, y - h, x + h, y + h), fill=hole, outline=edge, width=width)
    if thing.shape in _OUTLINES:
        points = [
            (
                x + r * (px * cos(thing.angle) - py * sin(thing.angle)),
                y + r * (px * sin(thing.angle) + py * cos(thing.angle)),
            )
            for px, py in _OUTLINES[thing.shape]
        ]
        pen.polygon(points, fill=fill, outline=edge, width=width)


def _round(corners: int, radii: Sequence[float], start: float) -> list[tuple[float, float]]:
    """Return points around the center, whose distances go through ``radii`` in turn."""
    angles = [start + 2 * pi * number / corners for number in range(corners)]
    return [
        (radii[i % len(radii)] * cos(a), radii[i % len(radii)] * sin(a))
        for i, a in enumerate(angles)
    ]


_ARM = 0.34
_OUTLINES = {
    "square": _round(4, [1.1], pi / 4),
    "triangle": _round(3, [1.1], -pi / 2),
    "star": _round(10, [1.1, 0.45], -pi / 2),
    "cross": [
        (-_ARM, -1), (_ARM, -1), (_ARM, -_ARM), (1, -_ARM), (1, _ARM), (_ARM, _ARM),
        (_ARM, 1), (-_ARM, 1), (-_ARM, _ARM), (-1, _ARM), (-1, -_ARM), (-_ARM, -_ARM),
    ],
}  # fmt: skip
