"""Data of the programs in `tune_u_*`: bundled tables and seeded generators."""

from typing import Any

import numpy as np

from tfcourse.data import load_arrays

Split = tuple[Any, Any, Any, Any]


def images(name: str, seed: int, n: int, train: int) -> Split:
    """Return images float32 [n, 28, 28, 1] or [n, 32, 32, 3] in [0, 1] and labels."""
    (x, y), _ = load_arrays(name, "train", source="embedded")
    order = np.random.default_rng(seed).permutation(len(x))[:n]
    x = x[order].astype("float32") / 255
    x = x[..., None] if x.ndim == 3 else x
    return x[:train], y[order][:train], x[train:], y[order][train:]


def halved(x: Any) -> Any:
    """Return images [n, h / 2, w / 2, c]: means of two by two pixels."""
    n, high, wide, channels = x.shape
    return x.reshape(n, high // 2, 2, wide // 2, 2, channels).mean((2, 4))


def table(bunch: Any, seed: int, train: int) -> Split:
    """Return the shuffled columns of a bundled table as they are, split in two."""
    order = np.random.default_rng(seed).permutation(len(bunch.data))
    x = bunch.data[order].astype("float32")
    y = bunch.target[order]
    return x[:train], y[:train], x[train:], y[train:]


def standardised(x: Any, x_val: Any) -> tuple[Any, Any]:
    """Return both, scaled by the mean and deviation of the first."""
    mean, deviation = x.mean(0), x.std(0) + 1e-7
    return (x - mean) / deviation, (x_val - mean) / deviation


def clouds(seed: int, n: int = 1200, points: int = 60) -> tuple[Any, Any]:
    """Return sets of points [n, points, 2]: a ring, a square, a cross or a wave."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(4, size=n)
    at = rng.uniform(-1, 1, (n, points))
    side = rng.integers(2, size=(n, points)) * 2 - 1
    turn = rng.integers(2, size=(n, points))
    ring = np.stack([np.cos(np.pi * at), np.sin(np.pi * at)], -1)
    edge = np.stack(
        [np.where(turn, at, side), np.where(turn, side, at)], -1
    )  # [n, points, 2]
    cross = np.stack([np.where(turn, at, 0), np.where(turn, 0, at)], -1)
    wave = np.stack([at, 0.7 * np.sin(5 * at)], -1)
    sets = np.stack([ring, edge, cross, wave])[labels, np.arange(n)]
    sets = sets * rng.uniform(0.8, 1.2, (n, 1, 1)) + 0.1 * rng.normal(size=sets.shape)
    return sets.astype("float32"), labels


def weather(seed: int, hours: int = 2600) -> Any:
    """Return pressure, temperature, humidity, wind, direction: float32 [hours, 5]."""
    rng = np.random.default_rng(seed)
    time = np.arange(hours)
    slow = np.convolve(rng.normal(size=hours + 71), np.ones(72) / 8.5, "valid")
    pressure = 1005 + 9 * slow + 0.3 * rng.normal(size=hours)
    warm = 10 + 7 * np.sin(2 * np.pi * time / 24) - 4 * slow
    warm += 0.5 * rng.normal(size=hours)
    humid = np.clip(75 - 2 * (warm - 10) + 6 * rng.normal(size=hours), 15, 100)
    wind = rng.gamma(2, 1.5, hours)
    direction = rng.uniform(0, 360, hours)
    return np.stack([pressure, warm, humid, wind, direction], 1).astype("float32")


def activities(seed: int, n: int = 1500, steps: int = 40) -> tuple[Any, Any]:
    """Return accelerations [n, steps, 3] of five activities, one after another."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(5), n // 5)
    pace = np.array([0.0, 1.5, 3.0, 5.0, 3.0])[labels] * rng.uniform(0.85, 1.15, n)
    force = np.array([0.0, 0.6, 0.9, 1.2, 0.9])[labels][:, None, None]
    time = np.arange(steps)[:, None] / steps
    phase = rng.uniform(0, 2 * np.pi, (n, 1, 1)) + np.array([0, 1.0, 2.0])
    x = force * np.sin(2 * np.pi * pace[:, None, None] * time + phase)
    x[labels == 4, :, 2] = np.abs(x[labels == 4, :, 2]) * 1.5
    x += 0.5 * rng.normal(size=x.shape)
    return x.astype("float32"), labels


def discs(seed: int, n: int = 1000, size: int = 24) -> tuple[Any, Any]:
    """Return micrographs [n, size, size, 1] of one cell, and its area in square microns."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size]
    radius = rng.uniform(3, 9, n)
    centre = rng.uniform(9, size - 9, (n, 2, 1, 1))
    away = np.hypot(rows - centre[:, 0], columns - centre[:, 1])
    x = 0.15 + 0.7 * (away < radius[:, None, None]) + 0.1 * rng.normal(size=away.shape)
    return x[..., None].astype("float32"), (400 * np.pi * radius**2).astype("float32")


def topics(seed: int, n: int, words: int = 400, length: int = 24) -> tuple[Any, Any]:
    """Return word numbers int32 [n, length], padded with 0, and one of four topics."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(4, size=n)
    x = rng.integers(100, words, (n, length))
    own = rng.uniform(size=(n, length)) < 0.3
    x = np.where(own, 1 + 24 * labels[:, None] + rng.integers(24, size=x.shape), x)
    ends = rng.integers(length // 2, length + 1, (n, 1))
    return np.where(np.arange(length) < ends, x, 0).astype("int32"), labels


def shares(seed: int, steps: int = 1200) -> Any:
    """Return a series float32 [steps] between 0 and 1 that looks like a share's price."""
    rng = np.random.default_rng(seed)
    time = np.arange(steps)
    price = 50 + 10 * np.sin(time / 40) + 6 * np.sin(time / 13)
    price = price + 0.8 * rng.normal(size=steps)
    return ((price - price.min()) / (price.max() - price.min())).astype("float32")
