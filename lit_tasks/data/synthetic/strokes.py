"""A synthetic painting of brush strokes, so that the quickstart needs no download."""

from math import cos, pi, sin

import numpy as np
from PIL import Image, ImageDraw

_COLORS = np.array([
    (22, 42, 92), (34, 74, 140), (58, 120, 178), (120, 176, 200), (214, 220, 190),
    (242, 200, 70), (226, 150, 40), (180, 70, 40), (40, 90, 80),
], dtype=float)  # fmt: skip
_LAYERS = ((900, 0.10, 0.028), (2600, 0.07, 0.016), (3200, 0.045, 0.009))
"""Number, length and width of the strokes of each layer of paint, as fractions of the side."""
_FINE = 2  # drawn larger and reduced, so that edges are smooth


def draw_strokes(size: int = 384, seed: int = 0) -> Image.Image:
    """Return a square image of short strokes that follow a swirling field.

    Colors change slowly from place to place and a little from stroke to stroke, as in paintings
    made of visible strokes.
    """
    random = np.random.default_rng(seed)
    side = size * _FINE
    image = Image.new("RGB", (side, side))
    pen = ImageDraw.Draw(image)
    whirls = random.uniform((0, 0, 0.12, -1.0), (1, 1, 0.35, 1.0), (7, 4))
    patches = random.uniform(0, 1, (12, 2))
    for number, length, width in _LAYERS:
        start = random.uniform(-0.05, 1.05, (number, 2))
        away = ((patches - start[:, None]) ** 2).sum(axis=2)
        nearest = (away + random.normal(0, 0.02, away.shape)).argmin(axis=1) % len(_COLORS)
        colors = _COLORS[nearest] + random.normal(0, 16, (number, 3))
        paths = _paths(start, whirls, length * random.uniform(0.6, 1.2, number)) * side
        for path, color in zip(paths, colors, strict=True):
            _draw(pen, path, thick=max(1, int(width * side)), color=color)
    return image.resize((size, size), Image.Resampling.BOX)


def _draw(pen: ImageDraw.ImageDraw, path: np.ndarray, thick: int, color: np.ndarray) -> None:
    """Draw a line with round ends."""
    fill = tuple(int(value) for value in color.clip(0, 255))
    pen.line([(float(x), float(y)) for x, y in path], fill=fill, width=thick, joint="curve")
    for x, y in (path[0], path[-1]):
        pen.ellipse([x - thick / 2, y - thick / 2, x + thick / 2, y + thick / 2], fill=fill)


def _paths(start: np.ndarray, whirls: np.ndarray, length: np.ndarray, steps: int = 5) -> np.ndarray:
    """Return the points of lines of given lengths that follow the field, ``(N, steps + 1, 2)``."""
    points = [start]
    for _ in range(steps):
        points.append(points[-1] + _field(points[-1], whirls) * length[:, None] / steps)
    return np.stack(points, axis=1)


def _field(place: np.ndarray, whirls: np.ndarray) -> np.ndarray:
    """Return the field's direction: around each whirl near it, slanting elsewhere."""
    away = place[:, None] - whirls[:, :2]
    distance = np.sqrt((away**2).sum(axis=2))
    pull = np.exp(-(distance**2) / whirls[:, 2] ** 2) * np.sign(whirls[:, 3]) / (distance + 1e-6)
    around = np.stack((-away[:, :, 1], away[:, :, 0]), axis=2)
    field = (pull[:, :, None] * around).sum(axis=1) + 0.35 * np.array([cos(pi / 8), sin(pi / 8)])
    direction: np.ndarray = field / np.linalg.norm(field, axis=1, keepdims=True)
    return direction
