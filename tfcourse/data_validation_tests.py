"""What exercise 06 tests but does not teach: broken images, and what explains a shift."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy import stats

from tfcourse.data_fault_images import blurred
from tfcourse.data_faults import SETS, Part
from tfcourse.near_twins import near_twins

FLAT_SHARE = (
    0.25  # Of an image's rows, each of one colour: it was cut off, or is black.
)
LEAST_CORRELATION = 0.2  # Of neighbouring pixels; 0 in static.
BLUR_DEVIATIONS = (0.2, 2.0)  # Pixels; what is looked for lies between them.
# What a diagnosis collects; see `name_faults` of the exercise.
FINDINGS = (
    "pixels",
    "labels",
    "absent",
    "copies",
    "twins",
    "order",
    "corrupt",
    "balance",
    "images",
    "processing",
    "agreement",
    "renamed",
)


def is_corrupt(images: np.ndarray) -> np.ndarray:
    """Return which images look broken, bool [n]: cut off, black, or static.

    A sound image can look so too, such as one on plain white; so compare how many there
    are in each set.

    Args:
        images: [n, height, width, 3].
    """
    same = images[:, :, 1:] == images[:, :, :-1]
    flat_rows = same.all(axis=(2, 3))  # [n, height]
    grey = images.astype(np.float32).mean(axis=-1)
    grey -= grey.mean(axis=(1, 2), keepdims=True)
    products = (grey[:, :, 1:] * grey[:, :, :-1]).mean(axis=(1, 2))
    correlation = products / ((grey**2).mean(axis=(1, 2)) + 1e-9)
    broken: np.ndarray = flat_rows.mean(axis=1) >= FLAT_SHARE
    broken |= correlation < LEAST_CORRELATION
    return broken


def excess_p_value(flags: Mapping[str, np.ndarray], name: str) -> float:
    """Return Fisher's exact one-sided p-value that a set has too many flagged rows.

    Args:
        flags: bool [n] of each set.
        name: The set that is compared with all others.
    """
    total = sum(len(flag) for flag in flags.values())
    flagged = sum(int(flag.sum()) for flag in flags.values())
    mine = flags[name]
    return float(stats.hypergeom.sf(mine.sum() - 1, total, flagged, len(mine)))


def severities(others: np.ndarray, suspect: np.ndarray) -> dict[str, float]:
    """Return the severity at which each processing is most likely to explain a shift.

    Scaling has one that fits the mean brightness, and a blur one that fits the mean
    sharpness.
    """
    return {
        "darkened": float(suspect.mean() / max(others.mean(), 1e-9)),
        "mirrored": 1.0,
        "transposed": 1.0,
        "channels_swapped": 1.0,
        "blurred": _blur_deviation(others, suspect),
    }


def _blur_deviation(others: np.ndarray, suspect: np.ndarray) -> float:
    """Return the deviation that makes the other images as sharp, by halving."""
    low, high = BLUR_DEVIATIONS
    target = _sharpness(suspect)
    for _ in range(8):
        middle = (low + high) / 2
        too_sharp = _sharpness(blurred(others, middle)) > target
        low, high = (middle, high) if too_sharp else (low, middle)
    return (low + high) / 2


def _sharpness(images: np.ndarray) -> float:
    return float(np.abs(np.diff(images.astype(np.float32), axis=2)).mean())


def twin_sets(
    sets: Mapping[str, Part], perceptual_hash: Callable[..., np.ndarray], settings: Any
) -> set[str]:
    """Return the held-out sets in whose pairs across sets a twin lies."""
    hashes = np.concatenate([perceptual_hash(sets[name][0]) for name in SETS])
    groups = np.repeat(range(len(SETS)), [len(sets[name][1]) for name in SETS])
    pairs = groups[near_twins(hashes, settings.max_distance)]  # [k, 2]
    across = pairs[pairs[:, 0] != pairs[:, 1]]
    counts = {
        name: int(np.sum(across.max(axis=1) == k)) for k, name in enumerate(SETS) if k
    }
    most = max(counts.values())
    return {name for name, count in counts.items() if count >= max(1, most / 4)}
