"""A seeded generator of grey garment silhouettes: the embedded twin of Fashion-MNIST.

The ten classes of the real set as drawings: each garment is a union of trapezoids and
capsules whose proportions vary from example to example, then shifted, turned, shaded,
striped and made noisy. As in the real set the shirt, the T-shirt, the pullover and the coat
are close to one another, and that is where a wrong model loses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

IMAGE_SIZE = 28  # Pixels; Fashion-MNIST's height and width.
NOISE = 0.06  # Standard deviation of the pixel noise, pixels in [0, 1].

Floats = NDArray[Any]  # float32


def garments(
    num_examples: int, *, seed: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return images uint8 [n, 28, 28] and labels int64 [n], numbered as the real set's.

    The classes are equally frequent (to within one example) and in random order. The same
    arguments give the same arrays.

    Raises:
        ValueError: If `num_examples` is negative.
    """
    if num_examples < 0:
        raise ValueError(f"num_examples must be at least 0; got {num_examples}")
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(num_examples, dtype=np.int64) % len(_DRAWERS))
    images = np.empty((num_examples, IMAGE_SIZE, IMAGE_SIZE), np.float32)
    for label, drawer in enumerate(_DRAWERS):
        of_class = np.flatnonzero(labels == label)
        images[of_class] = _photograph(drawer, len(of_class), rng)
    images += NOISE * rng.standard_normal(images.shape, dtype=np.float32) * (images > 0)
    return (images.clip(0.0, 1.0) * 255.0).round().astype(np.uint8), labels


class _Pen:
    """Draws one class: coordinates, and random proportions, one per example.

    The garment's box is x in [-1, 1] to the right, y in [-1, 1] downwards. Depths are
    positive inside, in units of the box; [n, 28, 28].
    """

    def __init__(self, count: int, rng: np.random.Generator) -> None:
        self._count, self._rng = count, rng
        pixels = (np.arange(IMAGE_SIZE, dtype=np.float32) + 0.5) / IMAGE_SIZE * 2 - 1
        right = pixels[np.newaxis, np.newaxis, :] - self.about(0.0, 0.08)
        down = pixels[np.newaxis, :, np.newaxis] - self.about(0.0, 0.08)
        tilt = self.about(0.0, 0.12)  # Radians.
        width, height = self.about(0.85, 0.1), self.about(0.85, 0.08)
        # Half of the garments is seen from the other side.
        side = np.where(rng.random((count, 1, 1)) < 0.5, -1, 1).astype(np.float32)
        self.x = side * (np.cos(tilt) * right + np.sin(tilt) * down) / width
        self.y = (np.cos(tilt) * down - np.sin(tilt) * right) / height  # [n, 28, 28]

    def about(self, value: float, spread: float) -> Floats:
        """Return a proportion per example, `value` within +-2 `spread`: [n, 1, 1]."""
        draws = self._rng.standard_normal((self._count, 1, 1), dtype=np.float32)
        proportion: Floats = value + spread * draws.clip(-2.0, 2.0)
        return proportion

    def trapezoid(
        self, top: Floats | float, bottom: Floats | float, widths: tuple[Floats, Floats]
    ) -> Floats:
        """Return the depth in a body from y `top` to `bottom`, its half widths given."""
        share = ((self.y - top) / (bottom - top)).clip(0.0, 1.0)
        half_width = widths[0] + share * (widths[1] - widths[0])
        height = np.minimum(self.y - top, bottom - self.y)
        depth: Floats = np.minimum(half_width - np.abs(self.x), height)
        return depth

    def capsule(
        self,
        start: tuple[Floats | float, Floats | float],
        end: tuple[Floats | float, Floats | float],
        thickness: Floats | float,
        *,
        mirrored: bool = False,
    ) -> Floats:
        """Return the depth in a thick line; `mirrored` draws it left and right."""
        x = np.abs(self.x) if mirrored else self.x
        along_x, along_y = end[0] - start[0], end[1] - start[1]
        share = (x - start[0]) * along_x + (self.y - start[1]) * along_y
        share = (share / (along_x**2 + along_y**2)).clip(0.0, 1.0)
        distance = np.hypot(
            x - start[0] - share * along_x, self.y - start[1] - share * along_y
        )
        return thickness - distance

    def ellipse(self, x: float, y: float, width: Floats, height: Floats) -> Floats:
        """Return the depth in an ellipse with these half axes."""
        radius = np.hypot((self.x - x) / width, (self.y - y) / height)
        return (1.0 - radius) * np.minimum(width, height)


Drawer = Callable[[_Pen], tuple[Floats, Floats | None]]


def _photograph(drawer: Drawer, count: int, rng: np.random.Generator) -> Floats:
    """Return `count` shaded images of one class, float32 [n, 28, 28], 0 outside."""
    pen = _Pen(count, rng)
    silhouette, seams = drawer(pen)
    shape = (count, 1, 1)
    brightness = rng.uniform(0.35, 0.95, shape)
    fold = rng.normal(0.0, 0.12, shape) * pen.y + rng.normal(0.0, 0.12, shape) * pen.x
    # A third of the garments is striped, across or along.
    amplitude = rng.uniform(0.1, 0.25, shape) * (rng.random(shape) < 0.33)
    direction = np.where(rng.random(shape) < 0.7, pen.y, pen.x)
    waves = np.sin(rng.uniform(8, 25, shape) * direction + rng.uniform(0, 6.3, shape))
    cloth = (brightness + fold + amplitude * waves).clip(0.12, 1.0)
    if seams is not None:
        darkness = rng.uniform(0.4, 0.8, shape)
        cloth = cloth * (1.0 - darkness * _cover(seams))
    image: Floats = (cloth * _cover(silhouette)).astype(np.float32)
    return image


def _cover(depth: Floats) -> Floats:
    """Return how much of each pixel lies inside; edges are about one pixel wide."""
    return (0.5 + depth * IMAGE_SIZE / 2).clip(0.0, 1.0)


def _union(*depths: Floats) -> Floats:
    union: Floats = np.maximum.reduce(depths)
    return union


def _without(depth: Floats, hole: Floats) -> Floats:
    return np.minimum(depth, -hole)


def _top(pen: _Pen, *, sleeve: float, hem: float, width: float, neck: float) -> Floats:
    """Return an upper garment; `sleeve` is 0 at the shoulder and 1 at the wrist."""
    shoulder = pen.about(width, 0.04)
    body = pen.trapezoid(
        pen.about(-0.85, 0.03), pen.about(hem, 0.05), (shoulder, pen.about(width, 0.05))
    )
    length = pen.about(sleeve, 0.12)
    spread = pen.about(0.32, 0.07)
    arm = pen.capsule(
        (shoulder - 0.1, -0.68),
        (shoulder - 0.1 + spread * length, -0.68 + 1.3 * length),
        pen.about(0.15, 0.015),
        mirrored=True,
    )
    collar = pen.ellipse(0.0, -0.9, pen.about(0.2, 0.03), pen.about(neck, 0.03))
    return _without(_union(body, arm), collar)


def _t_shirt(pen: _Pen) -> tuple[Floats, None]:
    return _top(pen, sleeve=0.3, hem=0.8, width=0.45, neck=0.16), None


def _trouser(pen: _Pen) -> tuple[Floats, None]:
    hips, hem = pen.about(0.34, 0.04), pen.about(0.4, 0.05)
    legs = pen.trapezoid(-0.92, pen.about(0.92, 0.03), (hips, hem))
    crotch = pen.about(-0.25, 0.08)
    gap = np.minimum(pen.about(0.14, 0.03) * (pen.y - crotch) - np.abs(pen.x), 1.0)
    return _without(legs, gap), None


def _pullover(pen: _Pen) -> tuple[Floats, Floats]:
    hem = pen.trapezoid(0.66, 0.7, (pen.about(0.6, 0.0), pen.about(0.6, 0.0)))
    return _top(pen, sleeve=0.95, hem=0.8, width=0.46, neck=0.1), hem


def _dress(pen: _Pen) -> tuple[Floats, Floats]:
    waist = pen.about(0.22, 0.03)
    bodice = pen.trapezoid(-0.92, -0.2, (pen.about(0.3, 0.04), waist))
    skirt = pen.trapezoid(-0.22, pen.about(0.92, 0.04), (waist, pen.about(0.46, 0.1)))
    neck = pen.ellipse(0.0, -0.95, pen.about(0.15, 0.02), pen.about(0.2, 0.06))
    belt = pen.trapezoid(-0.24, -0.17, (waist, waist))
    return _without(_union(bodice, skirt), neck), belt


def _coat(pen: _Pen) -> tuple[Floats, Floats]:
    opening = pen.capsule((0.0, -0.8), (pen.about(0.0, 0.03), 0.95), 0.04)
    return _top(pen, sleeve=0.95, hem=0.92, width=0.47, neck=0.1), opening


def _sandal(pen: _Pen) -> tuple[Floats, None]:
    sole = pen.capsule(
        (-0.85, pen.about(0.5, 0.05)), (0.8, 0.42), pen.about(0.08, 0.01)
    )
    heel = pen.capsule((0.78, 0.42), (0.8, pen.about(0.55, 0.06)), 0.08)
    straps = [
        pen.capsule((pen.about(start, 0.06), 0.42), (pen.about(end, 0.08), top), 0.05)
        for start, end, top in ((-0.7, -0.3, 0.0), (-0.2, -0.4, 0.0), (0.3, 0.7, -0.2))
    ]
    back = pen.capsule((0.78, 0.4), (0.72, pen.about(-0.2, 0.08)), 0.05)
    return _union(sole, heel, back, *straps), None


def _shirt(pen: _Pen) -> tuple[Floats, Floats]:
    buttons = pen.capsule((0.0, -0.7), (0.0, 0.75), 0.05)
    dotted = np.minimum(buttons, 0.05 * np.sin(22.0 * pen.y))
    return _top(pen, sleeve=0.75, hem=0.85, width=0.44, neck=0.14), dotted


def _shoe(pen: _Pen, *, shaft: float) -> tuple[Floats, Floats]:
    """Return a shoe with its toe to the left; `shaft` is the y of its upper edge."""
    toe = pen.capsule((-0.7, 0.38), (0.0, pen.about(0.22, 0.04)), pen.about(0.2, 0.02))
    instep = pen.capsule(
        (-0.3, 0.3), (0.3, pen.about(0.05, 0.04)), pen.about(0.28, 0.02)
    )
    heel = pen.capsule((0.5, 0.3), (0.52, shaft + 0.35), pen.about(0.36, 0.03))
    level = pen.y - (shaft + pen.about(0.0, 0.05))
    body = np.minimum(_union(toe, instep, heel), np.minimum(level, 0.55 - pen.y))
    sole = pen.capsule((-0.85, 0.55), (0.85, 0.55), pen.about(0.07, 0.015))
    seam = pen.capsule((-0.85, 0.47), (0.85, 0.47), 0.03)
    return _union(body, sole), seam


def _sneaker(pen: _Pen) -> tuple[Floats, Floats]:
    return _shoe(pen, shaft=-0.1)


def _bag(pen: _Pen) -> tuple[Floats, Floats]:
    top = pen.about(-0.25, 0.1)
    box = pen.trapezoid(top, pen.about(0.75, 0.06), (pen.about(0.7, 0.08),) * 2)
    width, height = pen.about(0.42, 0.08), pen.about(0.5, 0.1)
    handle = pen.ellipse(0.0, -0.25, width, height)
    ring = 0.06 - np.abs(handle - 0.06)
    flap = pen.trapezoid(top + 0.3, top + 0.36, (pen.about(0.7, 0.0),) * 2)
    return _union(box, ring), flap


def _ankle_boot(pen: _Pen) -> tuple[Floats, Floats]:
    return _shoe(pen, shaft=-0.75)


# In the order of the real set's labels.
_DRAWERS: tuple[Drawer, ...] = (
    _t_shirt,
    _trouser,
    _pullover,
    _dress,
    _coat,
    _sandal,
    _shirt,
    _sneaker,
    _bag,
    _ankle_boot,
)
