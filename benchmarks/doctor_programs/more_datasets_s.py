"""Data of the held-out programs whose names start with s."""

from typing import Any

import numpy as np

from tfcourse.data import load_arrays

Split = tuple[Any, Any, Any, Any]


def pictures(name: str, seed: int, train: int, validation: int) -> Split:
    """Return grey images [n, 14, 14, 1] in [0, 1] and labels, for both purposes."""
    (images, labels), _ = load_arrays(name, "train", source="embedded")
    order = np.random.default_rng(seed).permutation(len(images))[: train + validation]
    small = images[order].reshape(-1, 14, 2, 14, 2).mean((2, 4)) / 255
    x = small[..., None].astype("float32")
    y = labels[order].astype("int64")
    return x[:train], y[:train], x[train:], y[train:]


def table(name: str, seed: int, train: int) -> Split:
    """Return raw columns and targets of one of scikit-learn's tables, shuffled."""
    from sklearn import datasets

    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(x))
    x, y = x[order].astype("float32"), y[order]
    return x[:train], y[:train], x[train:], y[train:]


def standardised(x: Any, x_val: Any) -> tuple[Any, Any]:
    """Return both arrays, scaled by the mean and deviation of the first."""
    mean, std = x.mean(0), x.std(0) + 1e-6
    return (x - mean) / std, (x_val - mean) / std


def passengers(seed: int, days: int = 900) -> Any:
    """Return daily passengers of a railway, float32 [days]: about 42,000 a day."""
    rng = np.random.default_rng(seed)
    day = np.arange(days)
    weekend = np.where(day % 7 >= 5, -14_000, 3_000)
    yearly = 6_000 * np.sin(2 * np.pi * day / 365)
    noise = 1_200 * rng.normal(size=days)
    return (42_000 + weekend + yearly + noise).astype("float32")


def commands(seed: int, n: int = 1600, length: int = 12) -> tuple[Any, Any]:
    """Return token numbers int32 [n, length] in 1..59 and one of four intents.

    Two trigger words stand anywhere: one of 1..2 and one of 3..4; their pair is the intent.
    Other words are random and may be triggers as well, so some intents stay doubtful.
    """
    rng = np.random.default_rng(seed)
    tokens = rng.integers(1, 60, size=(n, length))
    intents = rng.integers(4, size=n)
    for row, intent in zip(tokens, intents, strict=True):
        first, second = rng.choice(length, 2, replace=False)
        row[first] = 1 + intent // 2
        row[second] = 3 + intent % 2
    return tokens.astype("int32"), intents.astype("int64")


def churn(seed: int, n: int, columns: int = 30, noise: float = 1.0) -> tuple[Any, Any]:
    """Return customers [n, columns] and who left; six of the columns matter."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, columns))
    score = x[:, 0] - x[:, 1] + 0.8 * x[:, 2] * x[:, 3] + 0.6 * (x[:, 4] - x[:, 5])
    left = score + noise * rng.normal(size=n) > 0
    return x.astype("float32"), left.astype("int64")


def faults_of_bearings(seed: int, n: int, share: float) -> tuple[Any, Any]:
    """Return vibration features [n, 8] and rare defects (1); the clouds overlap a bit."""
    rng = np.random.default_rng(seed)
    y = (rng.uniform(size=n) < share).astype("int64")
    x = rng.normal(size=(n, 8)) + 0.9 * y[:, None] * np.array([1, 1, 1, 0, 0, -1, 0, 0])
    return x.astype("float32"), y


def parity(seed: int, n: int = 2000, bits: int = 10, used: int = 3) -> tuple[Any, Any]:
    """Return signs [n, bits], and 1 where the product of the first `used` is positive."""
    rng = np.random.default_rng(seed)
    x = rng.choice([-1.0, 1.0], size=(n, bits))
    return x.astype("float32"), (x[:, :used].prod(1) > 0).astype("int64")


def heartbeats(seed: int, n: int = 900, length: int = 40) -> tuple[Any, Any]:
    """Return sequences [n, length, 1] of three rhythms: even, slowing, with a gap."""
    rng = np.random.default_rng(seed)
    y = rng.integers(3, size=n)
    x = 0.15 * rng.normal(size=(n, length))
    for row, label in zip(x, y, strict=True):
        at, period = rng.uniform(0, 4), rng.uniform(4.5, 5.5)
        beat, skipped = 0, rng.integers(2, 5)
        while at < length:
            if label != 2 or beat != skipped:
                row[int(at)] += 1.5
            beat += 1
            at += period + (0.7 * beat if label == 1 else 0)
    return x[..., None].astype("float32"), y.astype("int64")
