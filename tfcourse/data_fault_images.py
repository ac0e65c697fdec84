"""What happens to images on their way: processing, re-encoding, damage."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from scipy.ndimage import gaussian_filter

GREY_LEVEL = 128  # What a decoder writes where a file ends too early.


def _to_pixels(values: np.ndarray) -> np.ndarray:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


def darkened(images: np.ndarray, factor: float) -> np.ndarray:
    """Return uint8 images with all values multiplied by the factor."""
    return _to_pixels(images * np.float32(factor))


def mirrored(images: np.ndarray, _: float = 1.0) -> np.ndarray:
    """Return the images upside down, mirrored at the horizontal axis."""
    return images[:, ::-1].copy()


def transposed(images: np.ndarray, _: float = 1.0) -> np.ndarray:
    """Return the images with rows and columns exchanged."""
    return images.swapaxes(1, 2).copy()


def channels_swapped(images: np.ndarray, _: float = 1.0) -> np.ndarray:
    """Return the images with their channels in reversed order."""
    return images[..., ::-1].copy()


def blurred(images: np.ndarray, deviation: float) -> np.ndarray:
    """Return images convolved with a Gaussian; the deviation is in pixels."""
    deviations = (0, deviation, deviation, 0)
    return _to_pixels(gaussian_filter(images.astype(np.float32), deviations))


PROCESSINGS: Mapping[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "darkened": darkened,
    "mirrored": mirrored,
    "transposed": transposed,
    "channels_swapped": channels_swapped,
    "blurred": blurred,
}


def re_encode(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return images a little brighter or darker, with a little noise: no byte survives."""
    factors = rng.uniform(0.9, 1.1, (len(images), 1, 1, 1))
    return _to_pixels(images * factors + rng.normal(0.0, 4.0, images.shape))


def damage(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return broken images: a third each truncated, static, and black."""
    broken = images.copy()
    height = images.shape[1]
    for index, image in enumerate(broken):
        if index % 3 == 0:
            image[rng.integers(height // 4, 3 * height // 4 + 1) :] = GREY_LEVEL
        elif index % 3 == 1:
            image[:] = rng.integers(0, 256, image.shape)
        else:
            image[:] = 0
    return broken
