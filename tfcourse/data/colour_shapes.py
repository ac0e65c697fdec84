"""A seeded generator of colour images: the embedded twin of CIFAR-10.

Ten classes of figures and patterns in random colours, at random places, on random
backgrounds. A figure is as often lighter as darker than its background, so the mean image
of every class is the same grey: a linear model finds next to nothing, while a small
convolutional network, which sees edges wherever they are, learns the classes in seconds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfcourse.data.specs import COLOUR_SHAPES

IMAGE_SIZE = 32  # Pixels; CIFAR-10's height and width.
# Below this distance (Euclidean, RGB in [0, 1]) a figure is hard to see for people too.
MIN_COLOUR_DISTANCE = 0.45
NOISE = 0.07  # Standard deviation of the pixel noise, pixels in [0, 1].
MAX_TILT = 0.2  # Radians; far less than the 45 degrees between two stripe classes.

Floats = NDArray[Any]  # float32


def colour_shapes(
    num_examples: int, *, seed: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return images uint8 [n, 32, 32, 3] and labels int64 [n].

    The classes are equally frequent (to within one example) and in random order. The same
    arguments give the same arrays.

    Raises:
        ValueError: If `num_examples` is negative.
    """
    if num_examples < 0:
        raise ValueError(f"num_examples must be at least 0; got {num_examples}")
    rng = np.random.default_rng(seed)
    labels = rng.permutation(
        np.arange(num_examples, dtype=np.int64) % len(COLOUR_SHAPES)
    )
    figure = _coverage(labels, rng)[..., np.newaxis]  # [n, 32, 32, 1]
    background, foreground = _colours(num_examples, rng)
    images = background + figure * (foreground - background)
    images += NOISE * rng.standard_normal(images.shape, dtype=np.float32)
    return (images.clip(0.0, 1.0) * 255.0).round().astype(np.uint8), labels


def _coverage(labels: NDArray[np.int64], rng: np.random.Generator) -> Floats:
    """Return how much of each pixel the figure covers, float32 [n, 32, 32] in [0, 1]."""

    def draw(low: float, high: float) -> Floats:
        return rng.uniform(low, high, (len(labels), 1, 1)).astype(np.float32)

    radius = draw(7.0, 12.0)  # Pixels.
    centre_x, centre_y = draw(-5.0, 5.0), draw(-5.0, 5.0)
    tilt = draw(-MAX_TILT, MAX_TILT)
    wave_number, phase = draw(3.6, 5.4), draw(0.0, 2 * np.pi)
    pixels = np.arange(IMAGE_SIZE, dtype=np.float32) - (IMAGE_SIZE - 1) / 2
    right = (pixels[np.newaxis, np.newaxis, :] - centre_x) / radius  # [n, 1, 32]
    down = (pixels[np.newaxis, :, np.newaxis] - centre_y) / radius  # [n, 32, 1]
    x = (
        np.cos(tilt) * right + np.sin(tilt) * down
    )  # [n, 32, 32], the figure's own axes.
    y = np.cos(tilt) * down - np.sin(tilt) * right
    coverage = np.empty_like(x)
    for label, inside in enumerate(_INSIDE):
        of_class = labels == label
        depth = inside(x[of_class], y[of_class], wave_number[of_class], phase[of_class])
        # `depth` is in units of the radius; an edge is about one pixel wide.
        coverage[of_class] = (0.5 + radius[of_class] * depth).clip(0.0, 1.0)
    return coverage


def _colours(num_examples: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return background [n, 32, 32, 3] and foreground [n, 1, 1, 3] colours in [0, 1]."""
    shape = (num_examples, 1, 1, 3)
    background = rng.uniform(0.1, 0.9, shape)
    step = rng.standard_normal(shape)
    step /= np.linalg.norm(step, axis=-1, keepdims=True)
    step *= rng.uniform(MIN_COLOUR_DISTANCE, 0.9, (num_examples, 1, 1, 1))
    # Away from the nearer wall of the colour cube, so that clipping keeps the distance.
    foreground = background + np.where(background > 0.5, -1, 1) * np.abs(step)
    swap = rng.random((num_examples, 1, 1, 1)) < 0.5
    background, foreground = (
        np.where(swap, foreground, background),
        np.where(swap, background, foreground),
    )
    ramp = np.linspace(-0.5, 0.5, IMAGE_SIZE)
    slopes = rng.normal(0.0, 0.15, (2, *shape))
    light = (
        slopes[0] * ramp[:, np.newaxis, np.newaxis] + slopes[1] * ramp[:, np.newaxis]
    )
    return (background + light).astype(np.float32), foreground.astype(np.float32)


# Each function returns the depth inside the figure, negative outside: float32 [n, 32, 32],
# for coordinates x (right) and y (down) in units of the figure's radius.


def _waves(along: Floats, wave_number: Floats, phase: Floats) -> Floats:
    depth: Floats = np.sin(wave_number * along + phase) / wave_number
    return depth


def _horizontal(x: Floats, y: Floats, wave_number: Floats, phase: Floats) -> Floats:
    return _waves(y, wave_number, phase)


def _vertical(x: Floats, y: Floats, wave_number: Floats, phase: Floats) -> Floats:
    return _waves(x, wave_number, phase)


def _rising(x: Floats, y: Floats, wave_number: Floats, phase: Floats) -> Floats:
    return _waves((x + y) * np.float32(0.5**0.5), wave_number, phase)


def _falling(x: Floats, y: Floats, wave_number: Floats, phase: Floats) -> Floats:
    return _waves((x - y) * np.float32(0.5**0.5), wave_number, phase)


def _checkerboard(x: Floats, y: Floats, wave_number: Floats, phase: Floats) -> Floats:
    depth: Floats = np.sin(wave_number * x + phase) * _waves(y, wave_number, phase)
    return depth


def _disc(x: Floats, y: Floats, wave_number: Floats, phase: Floats) -> Floats:
    return 0.95 - np.hypot(x, y)


def _ring(x: Floats, y: Floats, wave_number: Floats, phase: Floats) -> Floats:
    return 0.22 - np.abs(np.hypot(x, y) - 0.78)


def _square(x: Floats, y: Floats, wave_number: Floats, phase: Floats) -> Floats:
    return 0.85 - np.maximum(np.abs(x), np.abs(y))


def _triangle(x: Floats, y: Floats, wave_number: Floats, phase: Floats) -> Floats:
    slanted = np.float32(0.75**0.5) * np.abs(x) - 0.5 * y
    depth: Floats = 0.55 - np.maximum(slanted, y)
    return depth


def _cross(x: Floats, y: Floats, wave_number: Floats, phase: Floats) -> Floats:
    across, along = np.abs(x), np.abs(y)
    bars = np.maximum(
        np.minimum(0.27 - across, 1.0 - along), np.minimum(0.27 - along, 1.0 - across)
    )
    return bars


_INSIDE = (
    _horizontal,
    _vertical,
    _rising,
    _falling,
    _checkerboard,
    _disc,
    _ring,
    _square,
    _triangle,
    _cross,
)
