"""Small data sets for the held-out programs whose names start with t."""

from typing import Any

import numpy as np

Split = tuple[Any, Any, Any, Any]


def divide(x: Any, y: Any, train: int, seed: int) -> Split:
    """Return shuffled x, y, x_val, y_val with `train` training examples."""
    order = np.random.default_rng(seed).permutation(len(x))
    x, y = x[order], y[order]
    return x[:train], y[:train], x[train:], y[train:]


def eights(seed: int, train: int = 1400, n: int = 1797) -> Split:
    """Return real digits float32 [n, 8, 8, 1] in [0, 1] and labels."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype("float32").reshape(-1, 8, 8, 1)
    order = np.random.default_rng(500 + seed).permutation(len(x))[:n]
    return divide(x[order], y[order], train, seed)


def pictures(name: str, seed: int, n: int, train: int, shrink: int = 1) -> Split:
    """Return images uint8 [n, side, side, channels], pooled by `shrink`, and labels."""
    from tfcourse.data import load_arrays

    (x, y), _ = load_arrays(name, "train", source="embedded")
    order = np.random.default_rng(700 + seed).permutation(len(x))[:n]
    x, y = np.asarray(x)[order], np.asarray(y)[order]
    if x.ndim == 3:
        x = x[..., None]
    side, channels = x.shape[1] // shrink, x.shape[-1]
    x = x.reshape(n, side, shrink, side, shrink, channels).mean((2, 4))
    return divide(x.astype("uint8"), y.astype("int64"), train, seed)


def table(name: str, seed: int, train: int, standardise: bool = True) -> Split:
    """Return the scikit-learn set of that name, features and targets as they are."""
    from sklearn import datasets

    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    x, y, x_val, y_val = divide(x.astype("float32"), y, train, seed)
    if standardise:
        mean, std = x.mean(0), x.std(0)
        x, x_val = (x - mean) / std, (x_val - mean) / std
    return x, y, x_val, y_val


def onion(seed: int, n: int = 2600, train: int = 2000) -> Split:
    """Return points [n, 5] in three shells about the origin, a little askew."""
    x = np.random.default_rng(seed).normal(size=(n, 5))
    score = np.linalg.norm(x, axis=1) + 0.25 * x[:, 0] - 0.15 * x[:, 1]
    y = np.digitize(score, np.quantile(score, [1 / 3, 2 / 3]))
    return divide(x.astype("float32"), y, train, seed)


def loans(seed: int, n: int = 5000, rare: float = 0.04) -> tuple[Any, Any, Any]:
    """Return numbers [n, 8], regions int32 [n] in 0..19, and 1 for the rare defaults."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(n, 8)).astype("float32")
    regions = rng.integers(20, size=n).astype("int32")
    score = numbers[:, 0] - 0.8 * numbers[:, 1] + 0.6 * numbers[:, 2] * numbers[:, 3]
    score += np.linspace(-1, 1, 20)[regions] + 1.0 * rng.normal(size=n)
    return numbers, regions, (score > np.quantile(score, 1 - rare)).astype("float32")


def sentences(seed: int, n: int = 2400, length: int = 24, words: int = 800) -> Any:
    """Return words int32 [n, length] and topics 0..3, each with words of its own.

    Words are drawn with Zipf's frequencies; a fifth to a third of them are about the topic.
    """
    rng = np.random.default_rng(seed)
    topics = rng.integers(4, size=n)
    share = 1 / np.arange(1, words - 99)
    x = rng.choice(np.arange(100, words), size=(n, length), p=share / share.sum())
    own = rng.uniform(size=x.shape) < rng.uniform(0.2, 0.34, size=(n, 1))
    x = np.where(own, 25 * topics[:, None] + rng.integers(25, size=x.shape), x)
    return x.astype("int32"), topics


def machines(seed: int, n: int = 1500, steps: int = 48) -> tuple[Any, Any]:
    """Return vibrations [n, steps, 1] of sound, worn and loose machines (0, 1, 2)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=n)
    time = np.arange(steps) + rng.uniform(0, 20, size=(n, 1))
    base = np.sin(2 * np.pi * time / 12)
    worn = 0.8 * np.sin(2 * np.pi * time / 4) * (labels == 1)[:, None]
    loose = 0.8 * np.sin(2 * np.pi * time / 7) * (labels == 2)[:, None]
    x = base + worn + loose
    x = x + 0.4 * rng.normal(size=x.shape)
    return x[..., None].astype("float32"), labels


def meters(seed: int, n: int = 900, steps: int = 60) -> tuple[Any, Any]:
    """Return centred loads and alarms [n, steps, 2] and a sum of them, scaled to 1, [n]."""
    rng = np.random.default_rng(seed)
    load = rng.uniform(-0.5, 0.5, size=(n, steps))
    alarm = (rng.uniform(size=(n, steps)) < 0.1) - 0.1
    total = load.sum(1) + 2 * alarm.sum(1)
    x = np.stack([load, alarm], -1).astype("float32")
    return x, (total / total.std()).astype("float32")


def robot_arm(seed: int, n: int = 2000) -> tuple[Any, Any]:
    """Return joint angles [n, 6] and the hand's place [n, 3], each about unit size."""
    rng = np.random.default_rng(seed)
    angles = rng.uniform(-1, 1, size=(n, 6))
    bend = np.cumsum(angles[:, :3] * 1.2, axis=1)
    across, up = np.cos(bend).sum(1), np.sin(bend).sum(1)
    turn = angles[:, 3] * 1.5
    place = np.stack([across * np.cos(turn), across * np.sin(turn), up], 1)
    place += 0.1 * angles[:, 4:5] + 0.03 * rng.normal(size=(n, 3))
    return angles.astype("float32"), place.astype("float32")


def couples(x: Any, y: Any, seed: int, n: int) -> tuple[Any, Any, Any]:
    """Return n left and right examples and float32 [n]: 1 where both are of one class."""
    rng = np.random.default_rng(seed)
    left = rng.integers(len(x), size=n)
    right = rng.integers(len(x), size=n)
    for i in range(0, n, 2):
        right[i] = rng.choice(np.flatnonzero(y == y[left[i]]))
    return x[left], x[right], (y[left] == y[right]).astype("float32")
