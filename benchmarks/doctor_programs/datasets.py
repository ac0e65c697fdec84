"""Small data sets for the programs: real digits and seeded generators.

Every generator returns fresh arrays from its own seed, so that the same program and seed
train on the same data. Features are float32, labels int64 unless stated otherwise.
"""

from functools import cache
from typing import Any

import numpy as np

from tfcourse.data.digits import digits as bundled_digits

Arrays = tuple[Any, Any]


@cache
def _digits(split: str, size: int) -> Arrays:
    images, labels = bundled_digits(split)
    if size == 28:
        return images, labels
    step = 28 // size
    pooled = images.reshape(-1, size, step, size, step).mean((2, 4))
    return pooled.round().astype(np.uint8), labels


def digits(split: str = "train", size: int = 14) -> Arrays:
    """Return real handwritten digits, uint8 [n, size, size] in 0..255, and labels.

    Args:
        split: train (1,437) or test (360).
        size: 28, 14 or 7 pixels.
    """
    images, labels = _digits(split, size)
    return images.copy(), labels.copy()


def blobs(
    seed: int, n: int = 1200, classes: int = 4, features: int = 20, spread: float = 1.0
) -> Arrays:
    """Return Gaussian clouds [n, features] about random centres, and their numbers.

    Centres are standard normal; with `spread` 1 and 20 features the clouds hardly overlap.
    """
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(classes, features))
    labels = rng.integers(classes, size=n)
    x = centres[labels] + spread * rng.normal(size=(n, features))
    return x.astype("float32"), labels


def spirals(seed: int, n: int = 1500, arms: int = 3, noise: float = 0.05) -> Arrays:
    """Return points [n, 2] in [-1, 1] on spiral arms, and the arms' numbers."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(arms, size=n)
    radius = rng.uniform(0.1, 1, n)
    angle = 3.5 * radius + labels * 2 * np.pi / arms + noise * rng.normal(size=n)
    x = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return x.astype("float32"), labels


def rings(seed: int, n: int = 1200, noise: float = 0.08) -> Arrays:
    """Return points [n, 2] on an inner (0) or outer (1) ring."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=n)
    radius = 0.5 + 0.7 * labels + noise * rng.normal(size=n)
    angle = rng.uniform(0, 2 * np.pi, n)
    x = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return x.astype("float32"), labels


def friedman(seed: int, n: int = 1500, noise: float = 1.0) -> Arrays:
    """Return features [n, 10] in [0, 1] and Friedman's targets [n] (mean 14, std 5).

    Source: Friedman, 1991, doi:10.1214/aos/1176347963, section 4.3.
    """
    rng = np.random.default_rng(seed)
    x = rng.uniform(size=(n, 10))
    y = 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2
    y += 10 * x[:, 3] + 5 * x[:, 4] + noise * rng.normal(size=n)
    return x.astype("float32"), y.astype("float32")


def houses(seed: int, n: int = 1500) -> Arrays:
    """Return area (m2), year, rooms, distance (m), floor [n, 5] and prices [n] in euros.

    Prices lie between about 50,000 and 900,000; about 4 % of their spread is noise.
    """
    rng = np.random.default_rng(seed)
    area = rng.gamma(6, 15, n) + 25
    year = rng.integers(1900, 2024, n)
    rooms = np.clip(np.round(area / 25 + rng.normal(size=n)), 1, 9)
    distance = rng.gamma(2, 2500, n)
    floor = rng.integers(0, 12, n)
    price = area * 2500 * (0.6 + 0.8 * np.exp(-distance / 5000))
    price *= 0.8 + 0.4 * (year - 1900) / 123
    price += 8000 * rooms + 1500 * floor
    price *= 1 + 0.05 * rng.normal(size=n)
    x = np.stack([area, year, rooms, distance, floor], axis=1)
    return x.astype("float32"), price.astype("float32")


def risks(
    seed: int, n: int = 2000, positive: float = 0.5, noise: float = 0.3
) -> Arrays:
    """Return standard normal features [n, 12] and rare or common events (0 or 1).

    The risk depends on products of features too; `positive` is the share of events.
    """
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 12))
    score = x[:, 0] + x[:, 1] * x[:, 2] + np.abs(x[:, 3]) - 0.5 * x[:, 4]
    score += noise * rng.normal(size=n)
    labels = (score > np.quantile(score, 1 - positive)).astype("int64")
    return x.astype("float32"), labels


def waves(seed: int, n: int = 900, length: int = 32, noise: float = 0.3) -> Arrays:
    """Return sequences [n, length, 1]: a slow or fast sine, a square wave, a sawtooth."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(4, size=n)
    cycles = np.where(labels == 1, 5, 2) * rng.uniform(0.9, 1.1, n)
    time = np.arange(length) / length
    turns = cycles[:, None] * time + rng.uniform(size=(n, 1))
    sine = np.sin(2 * np.pi * turns)
    shape = labels[:, None]
    x = np.where(shape == 2, np.sign(sine), sine)
    x = np.where(shape == 3, 2 * (turns % 1) - 1, x)
    x = x + noise * rng.normal(size=x.shape)
    return x[..., None].astype("float32"), labels


def recall(seed: int, n: int = 1000, length: int = 60, symbols: int = 4) -> Arrays:
    """Return one-hot sequences [n, length, symbols] whose label is the first symbol."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(symbols, size=(n, length))
    return np.eye(symbols, dtype="float32")[tokens], tokens[:, 0].astype("int64")


def seasons(seed: int, steps: int = 1600, noise: float = 0.1) -> Any:
    """Return a series float32 [steps]: two periods (24 and 7) and noise, std about 1."""
    rng = np.random.default_rng(seed)
    time = np.arange(steps)
    series = np.sin(2 * np.pi * time / 24) + 0.6 * np.sin(2 * np.pi * time / 7)
    return (series + noise * rng.normal(size=steps)).astype("float32")


def windows(series: Any, length: int, ahead: int = 1) -> Arrays:
    """Return windows [n, length, 1] of a series and the value `ahead` steps after each."""
    n = len(series) - length - ahead + 1
    x = np.stack([series[i : i + length] for i in range(n)])
    return x[..., None], series[length + ahead - 1 :][:n]


def reviews(
    seed: int, n: int = 1500, vocabulary: int = 500, length: int = 20
) -> Arrays:
    """Return word numbers int32 [n, length] and moods: more good words (1) or bad (0).

    Words 1 to 40 are good, 41 to 80 bad, the others neutral; 0 is never used.
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=n)
    words = rng.integers(81, vocabulary, size=(n, length))
    for row, label in zip(words, labels, strict=True):
        places = rng.permutation(length)
        good = rng.integers(3, 6) + 3 * label
        bad = rng.integers(3, 6) + 3 * (1 - label)
        row[places[:good]] = rng.integers(1, 41, size=good)
        row[places[good : good + bad]] = rng.integers(41, 81, size=bad)
    return words.astype("int32"), labels


def shapes(seed: int, n: int = 900, size: int = 16, noise: float = 0.15) -> Arrays:
    """Return images [n, size, size, 1] in [0, 1] and masks of the same shape, 0 or 1.

    Each shows a circle (label 0), a square (1) or a cross (2) at a random place; the label
    of example i is i % 3.
    """
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size]
    masks = np.zeros((n, size, size), "float32")
    for i in range(n):
        centre = rng.uniform(5, size - 5, 2)
        reach = rng.uniform(2.5, 4)
        down, right = np.abs(rows - centre[0]), np.abs(columns - centre[1])
        if i % 3 == 0:
            away = np.hypot(down, right)
            masks[i] = (away < reach) & (away > reach - 1.6)
        elif i % 3 == 1:
            masks[i] = np.maximum(down, right) < 0.85 * reach
        else:
            masks[i] = (np.minimum(down, right) < 1) & (down + right < 1.3 * reach)
    images = 0.2 + 0.6 * masks + noise * rng.normal(size=masks.shape)
    images = np.clip(images, 0, 1).astype("float32")
    return images[..., None], masks[..., None]


def sensors(seed: int, n: int = 1200, features: int = 24, factors: int = 4) -> Any:
    """Return readings [n, features] of few hidden factors, in about [-1, 1]."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(n, factors))
    x = np.tanh(hidden @ rng.normal(size=(factors, features)) / 2)
    return (x + 0.05 * rng.normal(size=x.shape)).astype("float32")


def counts(seed: int, n: int = 1500) -> Arrays:
    """Return features [n, 6] and Poisson counts [n] (float32) with means of 0.3 to 12."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 6))
    rate = np.exp(0.8 + 0.5 * x[:, 0] - 0.4 * x[:, 1] + 0.3 * x[:, 2] * x[:, 3])
    return x.astype("float32"), rng.poisson(np.clip(rate, 0.3, 12)).astype("float32")


def tags(seed: int, n: int = 1500, labels: int = 6) -> Arrays:
    """Return features [n, 16] and float32 tags [n, labels], several of which may be 1."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 16))
    scores = x @ rng.normal(size=(16, labels)) + 2 * np.sin(2 * x[:, :labels])
    return x.astype("float32"), (scores > 1).astype("float32")


def pairs(images: Any, labels: Any, seed: int, n: int = 2000) -> tuple[Any, Any, Any]:
    """Return n left and n right images, and float32 [n]: 1 where both show one class."""
    rng = np.random.default_rng(seed)
    by_class = [np.flatnonzero(labels == c) for c in np.unique(labels)]
    left, right = [], []
    for i in range(n):
        first = rng.integers(len(by_class))
        other = (first + rng.integers(1, len(by_class))) % len(by_class)
        second = first if i % 2 else other
        left.append(rng.choice(by_class[first]))
        right.append(rng.choice(by_class[second]))
    same = (np.arange(n) % 2).astype("float32")
    order = rng.permutation(n)
    return images[left][order], images[right][order], same[order]


def flip_labels(labels: Any, share: float, classes: int, seed: int) -> Any:
    """Return the labels with this share of them replaced by a random other class."""
    rng = np.random.default_rng(seed)
    wrong = rng.uniform(size=len(labels)) < share
    moved = (labels + rng.integers(1, classes, size=len(labels))) % classes
    return np.where(wrong, moved, labels)


def part(x: Any, y: Any, share: float = 0.8) -> tuple[Arrays, Arrays]:
    """Return the first part of the examples, and the rest."""
    cut = int(len(x) * share)
    return (x[:cut], y[:cut]), (x[cut:], y[cut:])
