"""Data for the programs whose names start with x: tables, tokens, signals and images."""

from typing import Any

import numpy as np

from tfcourse.data import load_arrays

Split = tuple[Any, Any, Any, Any]


def cut(x: Any, y: Any, train: int, seed: int) -> Split:
    """Return a shuffled split: x, y, x_val, y_val."""
    order = np.random.default_rng(seed).permutation(len(x))
    first, rest = order[:train], order[train:]
    return x[first], y[first], x[rest], y[rest]


def small_digits(seed: int, train: int = 1400) -> Split:
    """Return scikit-learn's digits [n, 64] in [0, 1] and their numbers."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return cut((x / 16).astype("float32"), y.astype("int64"), train, seed)


def standard_table(name: str, seed: int, train: int) -> Split:
    """Return one of scikit-learn's tables, standardised by its training part."""
    from sklearn import datasets

    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    x, y, x_val, y_val = cut(x.astype("float32"), y, train, seed)
    mean, deviation = x.mean(0), x.std(0)
    return (x - mean) / deviation, y, (x_val - mean) / deviation, y_val


def pictures(name: str, seed: int, n: int, train: int, side: int = 28) -> Split:
    """Return images of an embedded set, [n, side, side, channels] in [0, 1], and labels."""
    (images, labels), _ = load_arrays(name, "train", source="embedded")
    order = np.random.default_rng(seed).permutation(len(images))[:n]
    x = images[order].astype("float32") / 255
    x = x.reshape(*x.shape[:3], -1)
    step = x.shape[1] // side
    if step > 1:
        x = x.reshape(len(x), side, step, side, step, -1).mean((2, 4))
    y = labels[order].astype("int64")
    return x[:train], y[:train], x[train:], y[train:]


def machines(
    seed: int, n: int = 4000, share: float = 0.03, noise: float = 1.0
) -> Split:
    """Return readings of machines [n, 10] and which of them fail within a week."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 10)).astype("float32")
    risk = x[:, 0] + 0.8 * x[:, 3] - 0.7 * x[:, 5] + noise * rng.normal(size=n)
    y = (risk > np.quantile(risk, 1 - share)).astype("float32")
    train = int(0.75 * n)
    return x[:train], y[:train], x[train:], y[train:]


def orders(seed: int, n: int = 1800, length: int = 12, words: int = 20) -> Split:
    """Return tokens int32 [n, length]; the label: does the first 1 stand before the 2?"""
    rng = np.random.default_rng(seed)
    x = rng.integers(3, words, size=(n, length)).astype("int32")
    y = np.zeros(n, "int64")
    for i in range(n):
        one, two = rng.choice(length, 2, replace=False)
        x[i, one], x[i, two] = 1, 2
        y[i] = one < two
    train = int(0.8 * n)
    return x[:train], y[:train], x[train:], y[train:]


def chirps(seed: int, n: int = 1000, length: int = 40, noise: float = 0.2) -> Split:
    """Return signals [n, length, 1] whose frequency rises, falls or stays the same."""
    rng = np.random.default_rng(seed)
    y = rng.integers(3, size=n)
    time = np.linspace(0, 1, length)
    slope = np.array([5.0, -5.0, 0.0])[y][:, None]
    start = np.array([2.0, 7.0, 4.5])[y][:, None] + rng.uniform(-0.4, 0.4, (n, 1))
    turns = start * time + 0.5 * slope * time**2 + rng.uniform(size=(n, 1))
    x = np.sin(2 * np.pi * turns) + noise * rng.normal(size=turns.shape)
    train = int(0.8 * n)
    x = x[..., None].astype("float32")
    return x[:train], y[:train], x[train:], y[train:]


def load_curve(seed: int, steps: int = 1200) -> Any:
    """Return the load of a power grid in megawatts, one value an hour [steps]."""
    rng = np.random.default_rng(seed)
    hour = np.arange(steps)
    load = 42_000 + 7_000 * np.sin(2 * np.pi * hour / 24)
    load += 3_000 * np.sin(2 * np.pi * hour / 168)
    return (load + 900 * rng.normal(size=steps)).astype("float32")


def past_and_next(series: Any, length: int = 24) -> tuple[Any, Any]:
    """Return windows [n, length, 1] and the values after them [n]."""
    windows = np.lib.stride_tricks.sliding_window_view(series, length + 1)
    return windows[:, :length, None].copy(), windows[:, length].copy()


def twins(x: Any, y: Any, seed: int, n: int) -> tuple[Any, Any, Any]:
    """Return n left and n right examples, and float32 [n]: 1 where both have one label."""
    rng = np.random.default_rng(seed)
    left = rng.integers(len(x), size=n)
    right = rng.integers(len(x), size=n)
    for i in range(0, n, 2):
        right[i] = rng.choice(np.flatnonzero(y == y[left[i]]))
    return x[left], x[right], (y[left] == y[right]).astype("float32")
