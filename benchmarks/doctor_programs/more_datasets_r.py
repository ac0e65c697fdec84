"""Data for the held-out programs whose names begin with r."""

from typing import Any

import numpy as np

Split = tuple[Any, Any, Any, Any]


def cut(x: Any, y: Any, train: int) -> Split:
    """Return the first `train` examples and the rest: x, y, x_val, y_val."""
    return x[:train], y[:train], x[train:], y[train:]


def mixed(x: Any, y: Any, train: int, seed: int) -> Split:
    """Return the same after one shuffle of the pairs."""
    order = np.random.default_rng(seed).permutation(len(x))
    return cut(x[order], y[order], train)


def pictures(name: str, seed: int, n: int = 1500, train: int = 1200) -> Split:
    """Return images of an embedded set as float32 [n, h, w, c] in [0, 1], and labels."""
    from tfcourse.data import load_arrays

    (images, labels), _ = load_arrays(name, "train", source="embedded")
    images = images if images.ndim == 4 else images[..., None]
    order = np.random.default_rng(seed).permutation(len(images))[:n]
    x = images[order].astype("float32") / 255
    return cut(x, labels[order].astype("int64"), train)


def small_digits(seed: int, train: int = 1400) -> Split:
    """Return scikit-learn's digits [1797, 64] in [0, 1], and labels."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return mixed((x / 16).astype("float32"), y.astype("int64"), train, seed)


def applicants(seed: int, n: int = 2000, train: int = 1600) -> Split:
    """Return income, age, debts, years in the job, cards [n, 5] in units, and defaults."""
    rng = np.random.default_rng(seed)
    income = rng.lognormal(10.6, 0.5, n)
    age = rng.uniform(19, 75, n)
    debts = income * rng.gamma(2, 0.2, n)
    job = rng.gamma(1.5, 4, n)
    cards = rng.poisson(2.5, n)
    burden = debts / income
    score = 4 * (burden - 0.4) - 0.15 * (job - 6) + 0.5 * (cards - 2.5)
    score += 0.001 * (age - 45) ** 2 + 0.3 * rng.normal(size=n)
    y = (score > np.median(score)).astype("int64")
    x = np.stack([income, age, debts, job, cards], axis=1).astype("float32")
    return cut(x, y, train)


def rentals(seed: int, n: int = 2000, train: int = 1600) -> Split:
    """Return hour and weather features [n, 6], about standard, and bikes rented [n, 1]."""
    rng = np.random.default_rng(seed)
    hour = rng.integers(24, size=n)
    weather = rng.normal(size=(n, 4))
    day = np.stack([np.sin(hour * np.pi / 12), np.cos(hour * np.pi / 12)], axis=1)
    x = np.concatenate([1.4 * day, weather], axis=1)
    rate = np.exp(3 - 0.8 * day[:, 1] + 0.4 * weather[:, 0] - 0.3 * weather[:, 1] ** 2)
    y = rng.poisson(rate)[:, None]
    return cut(x.astype("float32"), y.astype("float32"), train)


def machine_sounds(
    seed: int, each: int = 300, kinds: int = 5, steps: int = 64
) -> tuple[Any, Any]:
    """Return vibrations [kinds * each, steps, 1], sorted by kind, and the kinds."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(kinds), each)
    time = np.arange(steps) / steps
    cycles = (3 + 3 * y + rng.uniform(-0.6, 0.6, len(y)))[:, None]
    phase = rng.uniform(0, 2 * np.pi, (len(y), 1))
    x = np.sin(2 * np.pi * cycles * time + phase)
    x += 0.5 * np.sin(4 * np.pi * cycles * time + 2 * phase)
    x += 0.4 * rng.normal(size=x.shape)
    return x[..., None].astype("float32"), y.astype("int64")


def commands(seed: int, n: int = 2000, train: int = 1600, length: int = 12) -> Split:
    """Return words int32 [n, length] in 1..39, and which of four verbs comes first.

    A sentence has two different verbs, the words 1 to 4.
    """
    rng = np.random.default_rng(seed)
    x = rng.integers(5, 40, size=(n, length))
    y = rng.integers(4, size=n)
    other = (y + rng.integers(1, 4, size=n)) % 4
    for row, verb, decoy in zip(x, y, other, strict=True):
        first, second = np.sort(rng.permutation(length)[:2])
        row[first], row[second] = verb + 1, decoy + 1
    return cut(x.astype("int32"), y.astype("int64"), train)


def tides(seed: int, steps: int = 1500) -> Any:
    """Return a standardised series float32 [steps] of two tides and weather."""
    rng = np.random.default_rng(seed)
    time = np.arange(steps)
    level = np.sin(2 * np.pi * time / 12.4) + 0.5 * np.sin(2 * np.pi * time / 25.8)
    weather = np.convolve(rng.normal(size=steps), np.ones(6) / 6, "same")
    level = level + 0.4 * weather
    return ((level - level.mean()) / level.std()).astype("float32")


def lagged(series: Any, length: int) -> tuple[Any, Any]:
    """Return windows [n, length, 1] and the value after each [n, 1]."""
    view = np.lib.stride_tricks.sliding_window_view(series[:-1], length)
    return view[..., None].copy(), series[length:, None].copy()


def same_or_not(x: Any, y: Any, n: int, seed: int) -> tuple[Any, Any, Any]:
    """Return left and right examples, and float32 [n, 1]: 1 for two of one class."""
    rng = np.random.default_rng(seed)
    left = rng.integers(len(x), size=n)
    right = rng.integers(len(x), size=n)
    for i in range(0, n, 2):
        right[i] = rng.choice(np.flatnonzero(y == y[left[i]]))
    same = (y[left] == y[right]).astype("float32")
    return x[left], x[right], same[:, None]
