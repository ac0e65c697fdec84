"""Data for the held-out programs v: bundled tables, small images, texts and series.

A split is x, y, x_val, y_val; every maker returns fresh arrays from its own seed.
"""

from typing import Any

import numpy as np

from tfcourse.data import load_arrays

Split = tuple[Any, Any, Any, Any]


def mixed(x: Any, y: Any, seed: int, train: int) -> Split:
    """Return both in one random order, cut behind the first `train` examples."""
    order = np.random.default_rng(seed).permutation(len(x))
    x, y = x[order], y[order]
    return x[:train], y[:train], x[train:], y[train:]


def pictures(name: str, seed: int, n: int, train: int) -> Split:
    """Return n images of a catalogue's set, float32 in [0, 1], and labels."""
    (images, labels), _ = load_arrays(name, "train", source="embedded")
    x, y, _, _ = mixed(images, labels, seed, n)
    x = x.astype("float32") / 255
    return x[:train], y[:train], x[train:n], y[train:n]


def table(loader: str, seed: int, train: int) -> Split:
    """Return a raw table of scikit-learn, float32, by the name of its loader."""
    from sklearn import datasets

    x, y = getattr(datasets, loader)(return_X_y=True)
    y = y.astype("float32" if y.dtype.kind == "f" else "int64")
    return mixed(x.astype("float32"), y, seed, train)


def messages(
    seed: int,
    n: int = 900,
    train: int = 700,
    words: int = 400,
    length: int = 24,
    strength: float = 0.9,
) -> Split:
    """Return word numbers int32 [n, length], 0 at the end of short ones, and spam or not.

    Words are frequent or rare as in a language; each word leans to one of the classes,
    the more so the greater `strength` is.
    """
    rng = np.random.default_rng(seed)
    y = rng.integers(2, size=n)
    frequency = 1 / np.arange(3, words + 2)
    lean = rng.normal(size=words - 1)
    x = np.zeros((n, length), "int32")
    for row, label in zip(x, y, strict=True):
        weight = frequency * np.exp(strength * lean * (2 * label - 1))
        number = rng.integers(length // 2, length + 1)
        row[:number] = 1 + rng.choice(words - 1, number, p=weight / weight.sum())
    return x[:train], y[:train], x[train:], y[train:]


def commands(seed: int, n: int = 1600, train: int = 1280, length: int = 14) -> Split:
    """Return tokens int32 [n, length] and which of four verbs (1 to 4) follows token 5.

    Other verbs stand elsewhere, so the order of the tokens matters.
    """
    rng = np.random.default_rng(seed)
    x = rng.integers(6, 30, size=(n, length))
    y = rng.integers(4, size=n)
    for row, label in zip(x, y, strict=True):
        row[rng.integers(length - 2, length)] = 1 + rng.integers(4)
        place = rng.integers(0, length - 3)
        row[place], row[place + 1] = 5, 1 + label
    return x[:train].astype("int32"), y[:train], x[train:].astype("int32"), y[train:]


def customers(seed: int, n: int = 4000, train: int = 3000) -> Split:
    """Return standardised features [n, 9] and who leaves (about 5 %); classes overlap."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 9))
    score = 0.9 * x[:, 0] + 0.8 * x[:, 1] - 0.6 * x[:, 2] * (x[:, 3] > 0)
    score = score + 1.2 * rng.normal(size=n)
    y = (score > np.quantile(score, 0.95)).astype("int64")
    return (
        x[:train].astype("float32"),
        y[:train],
        x[train:].astype("float32"),
        y[train:],
    )


def cars(seed: int, n: int = 1500) -> tuple[Any, Any, Any]:
    """Return age and mileage, standardised [n, 2], the make [n] and the price in euros."""
    rng = np.random.default_rng(seed)
    age = rng.uniform(0, 15, n)
    mileage = age * rng.uniform(5, 20, n)
    make = rng.integers(12, size=n)
    new = rng.uniform(15_000, 60_000, 12)[make]
    price = new * np.exp(-0.13 * age - 0.002 * mileage)
    price = price * np.exp(0.08 * rng.normal(size=n))
    x = np.stack([(age - 7.5) / 4.3, (mileage - 94) / 64], axis=1)
    return x.astype("float32"), make.astype("int32"), price.astype("float32")


def consumption(seed: int, hours: int = 1300, window: int = 24) -> Split:
    """Return windows [n, window, 1] of hourly use, scaled, and the next hour's."""
    rng = np.random.default_rng(seed)
    time = np.arange(hours)
    use = np.sin(2 * np.pi * time / 24) + 0.5 * np.sin(2 * np.pi * time / 12 + 1)
    use = use + 0.4 * np.sin(2 * np.pi * time / 168) + 0.15 * rng.normal(size=hours)
    use = (use / use.std()).astype("float32")
    x = np.stack([use[i : i + window] for i in range(hours - window)])[..., None]
    y = use[window:, None]
    return x[:1000], y[:1000], x[1000:], y[1000:]


def gestures(seed: int, n: int, kinds: int = 6) -> tuple[Any, Any]:
    """Return curves [n, 30, 2] of some kinds, each drawn with its own noise, and kinds."""
    rng = np.random.default_rng(77)
    shape = np.cumsum(rng.normal(size=(kinds, 30, 2)), axis=1)
    shape = (shape - shape.mean(1, keepdims=True)) / shape.std(1, keepdims=True)
    rng = np.random.default_rng(seed)
    y = rng.integers(kinds, size=n)
    x = shape[y] * rng.uniform(0.7, 1.3, (n, 1, 1)) + 0.5 * rng.normal(size=(n, 30, 2))
    return x.astype("float32"), y


def couples(seed: int, n: int) -> tuple[Any, Any, Any]:
    """Return two gestures for each of n couples, and 1 for two of one kind, else 0."""
    rng = np.random.default_rng(seed + 1)
    x, y = gestures(seed, 600)
    left, right = rng.integers(600, size=(2, n))
    for i in range(0, n, 2):
        right[i] = rng.choice(np.flatnonzero(y == y[left[i]]))
    return x[left], x[right], (y[left] == y[right]).astype("float32")[:, None]
