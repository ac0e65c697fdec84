"""Data for training programs: bundled tables, machines, tickets, cells, customers.

All makers return fresh arrays, and the same ones for the same seed.
"""

from typing import Any

import numpy as np

from tfcourse.data import load_arrays

Split = tuple[Any, Any, Any, Any]


def cut(x: Any, y: Any, train: int) -> Split:
    """Return the first `train` examples and the rest: x, y, x_val, y_val."""
    return x[:train], y[:train], x[train:], y[train:]


def table(name: str, seed: int, train: int, scaled: bool = True) -> Split:
    """Return a bundled table in random order, by default standardised.

    Args:
        name: wine, breast_cancer, diabetes, iris or digits.
        seed: For the order.
        train: Number of training rows; the others are for validation.
        scaled: Standardise the columns by the training rows.
    """
    import sklearn.datasets

    options = {"scaled": False} if name == "diabetes" else {}
    x, y = getattr(sklearn.datasets, f"load_{name}")(return_X_y=True, **options)
    order = np.random.default_rng(seed).permutation(len(x))
    x, y = x[order].astype("float32"), y[order]
    if scaled:
        mean, std = x[:train].mean(0), x[:train].std(0) + 1e-3
        x = (x - mean) / std
    return cut(x, y, train)


def pictures(name: str, seed: int, n: int, shrink: int = 2) -> tuple[Any, Any]:
    """Return n images float32 [n, size, size, channels] in [0, 1], and labels.

    Args:
        name: mnist, fashion_mnist or cifar10, in the embedded form.
        seed: For the order.
        n: How many.
        shrink: So many pixels, squared, become one.
    """
    (images, labels), _ = load_arrays(name, "train", source="embedded")
    order = np.random.default_rng(seed).permutation(len(images))[:n]
    images, labels = images[order], labels[order]
    if images.ndim == 3:
        images = images[..., None]
    size = images.shape[1] // shrink
    images = images.reshape(n, size, shrink, size, shrink, -1).mean((2, 4))
    return (images / 255).astype("float32"), labels.astype("int64")


def machines(
    seed: int,
    n: int = 1200,
    length: int = 48,
    noise: float = 0.3,
    shares: Any = (0.25, 0.25, 0.25, 0.25),
) -> tuple[Any, Any]:
    """Return vibrations float32 [n, length, 1] and the state of the machine.

    It hums (0), knocks once (1), whines ever higher (2) or trembles (3).
    """
    rng = np.random.default_rng(seed)
    labels = rng.choice(len(shares), size=n, p=shares)
    time = np.arange(length) / length
    phase = rng.uniform(0, 2 * np.pi, (n, 1))
    cycles = rng.uniform(3, 5, (n, 1))
    hum = np.sin(2 * np.pi * cycles * time + phase)
    whine = np.sin(2 * np.pi * cycles * (time + time**2) + phase)
    tremble = hum * np.sin(2 * np.pi * 2 * time + 2 * phase)
    knock = np.exp(-(((time - rng.uniform(0.1, 0.9, (n, 1))) * length / 2) ** 2))
    state = labels[:, None]
    x = np.select([state == 2, state == 3], [whine, tremble], hum)
    x = x + 2.0 * knock * (state == 1)
    x = x + noise * rng.normal(size=x.shape)
    return x[..., None].astype("float32"), labels.astype("int64")


def tickets(
    seed: int,
    n: int = 1500,
    topics: int = 4,
    share: float = 0.25,
    words: int = 800,
    length: int = 24,
    shares: Any = None,
) -> tuple[Any, Any]:
    """Return word numbers int32 [n, length] of support tickets, and their topics.

    Each topic has 30 words, which make about `share` of a ticket; the other words are
    common to all and follow Zipf's law. Word 0 is never used.
    """
    rng = np.random.default_rng(seed)
    labels = rng.choice(topics, size=n, p=shares)
    first = 30 * topics + 1
    ranks = 1 / np.arange(1, words - first + 1)
    neutral = rng.choice(np.arange(first, words), (n, length), p=ranks / ranks.sum())
    own = 1 + 30 * labels[:, None] + rng.integers(30, size=(n, length))
    x = np.where(rng.uniform(size=(n, length)) < share, own, neutral)
    return x.astype("int32"), labels.astype("int64")


def who_came_first(seed: int, n: int = 1500, length: int = 20) -> tuple[Any, Any]:
    """Return symbols int32 [n, length] in 1..12; 1 if symbol 11 stands before 12.

    Either stands once in each sequence; the others are random.
    """
    rng = np.random.default_rng(seed)
    x = rng.integers(1, 11, size=(n, length))
    labels = rng.integers(2, size=n)
    for row, label in zip(x, labels, strict=True):
        early, late = np.sort(rng.choice(length, 2, replace=False))
        row[early], row[late] = (11, 12) if label else (12, 11)
    return x.astype("int32"), labels.astype("int64")


def cells(seed: int, n: int = 700, size: int = 20) -> tuple[Any, Any]:
    """Return microscope images [n, size, size, 1] of one to three cells, and masks."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size]
    masks = np.zeros((n, size, size), "float32")
    for mask in masks:
        for _ in range(rng.integers(1, 4)):
            down, right = rng.uniform(3, size - 3, 2)
            high, wide = rng.uniform(1.5, 4.0, 2)
            inside = ((rows - down) / high) ** 2 + ((columns - right) / wide) ** 2
            mask[inside < 1] = 1
    light = rng.uniform(-0.2, 0.2, (n, 1, 1)) * (columns / size - 0.5)
    images = 0.35 + light + 0.3 * masks + 0.1 * rng.normal(size=masks.shape)
    return images[..., None].astype("float32"), masks[..., None]


def customers(
    seed: int, n: int = 1500, sharpness: float = 4.0, share: float = 0.5
) -> tuple[Any, Any]:
    """Return age, income, months, visits, distance, calls [n, 6], raw, and who left.

    Args:
        seed: For all numbers.
        n: How many customers.
        sharpness: The larger, the less chance has a say in who leaves.
        share: About so many leave.
    """
    rng = np.random.default_rng(seed)
    age = rng.uniform(18, 80, n)
    income = rng.lognormal(10.4, 0.4, n)
    months = rng.gamma(2, 15, n)
    visits = rng.poisson(5, n)
    distance = rng.gamma(2, 4000, n)
    calls = rng.poisson(1.5, n)
    score = 0.8 * (calls - 1.5) - 0.03 * (months - 30) + 0.0002 * (distance - 8000)
    score += np.where(age < 40, 1.0, -1.0) * (visits - 5) / 2
    risk = 1 / (1 + np.exp(-sharpness * (score - np.quantile(score, 1 - share))))
    left = rng.uniform(size=n) < risk
    x = np.stack([age, income, months, visits, distance, calls], axis=1)
    return x.astype("float32"), left.astype("int64")


def standardised(x: Any, train: int) -> Any:
    """Return the columns with mean 0 and deviation 1 in the first `train` rows."""
    return ((x - x[:train].mean(0)) / (x[:train].std(0) + 1e-6)).astype("float32")


def sales(seed: int, steps: int = 1200, growth: float = 0.0, noise: float = 0.1) -> Any:
    """Return daily sales float32 [steps]: a weekly and a longer period, and growth.

    Without growth mean 0 and deviation about 0.8; `growth` is what 1,000 days add.
    """
    rng = np.random.default_rng(seed)
    time = np.arange(steps)
    week = np.array([0.2, 0.0, -0.1, 0.1, 0.7, 1.0, -1.2])[time % 7]
    season = 0.7 * np.sin(2 * np.pi * time / 61)
    series = week + season + growth * time / 1000 + noise * rng.normal(size=steps)
    return series.astype("float32")


def windows(series: Any, length: int = 21) -> tuple[Any, Any]:
    """Return windows [n, length, 1] and the value that follows each, [n, 1]."""
    starts = range(len(series) - length)
    x = np.stack([series[i : i + length] for i in starts])[..., None]
    return x, series[length:, None].copy()


def engines(seed: int, n: int = 1200, noise: float = 0.1) -> tuple[Any, Any]:
    """Return six standard normal settings [n, 6] and the power [n, 1] (deviation 1)."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 6))
    y = np.sin(1.5 * x[:, 0]) + 0.6 * x[:, 1] * x[:, 2] + 0.4 * np.abs(x[:, 3])
    y = (y - y.mean()) / y.std() + noise * rng.normal(size=n)
    return x.astype("float32"), y[:, None].astype("float32")
