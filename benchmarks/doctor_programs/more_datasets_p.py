"""More data for training programs: bundled tables, small pictures, made-up signals."""

from functools import cache
from typing import Any

import numpy as np

from tfcourse.data import load_arrays

Split = tuple[Any, Any, Any, Any]


def bundled(name: str, seed: int, share: float = 0.75, scaled: bool = True) -> Split:
    """Return one of scikit-learn's bundled tables: x, y, x_val, y_val.

    Args:
        name: wine, breast_cancer, diabetes, iris or digits.
        seed: Of the order of the rows.
        share: Of the rows for training.
        scaled: Whether columns get the mean 0 and deviation 1 of the training rows.
    """
    import sklearn.datasets

    x, y = getattr(sklearn.datasets, f"load_{name}")(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(x))
    x, y = x[order].astype("float32"), y[order]
    count = int(share * len(x))
    if scaled:
        std = x[:count].std(0)
        x = (x - x[:count].mean(0)) / np.where(std > 0, std, 1)
    return x[:count], y[:count], x[count:], y[count:]


@cache
def _images(name: str, split: str, size: int) -> tuple[Any, Any]:
    (images, labels), _ = load_arrays(name, split, source="embedded")
    if images.ndim == 3:
        images = images[..., None]
    n, full, _, channels = images.shape
    step = full // size
    pooled = images.reshape(n, size, step, size, step, channels).mean((2, 4))
    return pooled.astype("uint8"), labels


def images(name: str, size: int, n: int = 1200, n_val: int = 300) -> Split:
    """Return uint8 images [n, size, size, channels] and labels of both parts."""
    x, y = _images(name, "train", size)
    x_val, y_val = _images(name, "test", size)
    return x[:n].copy(), y[:n].copy(), x_val[:n_val].copy(), y_val[:n_val].copy()


def bearings(seed: int, n: int = 1000, length: int = 64) -> tuple[Any, Any]:
    """Return vibrations [n, length, 1] of four kinds of bearings, and the kinds.

    0: sound (noise and a slow turn), 1: regular knocks, 2: a fast whine, 3: both.
    """
    rng = np.random.default_rng(seed)
    kinds = rng.integers(4, size=n)
    time = np.arange(length)
    x = np.sin(2 * np.pi * (time / 40 + rng.uniform(size=(n, 1))))
    knock = ((time + rng.integers(11, size=(n, 1))) % 11 == 0) * 2.0
    whine = np.sin(2 * np.pi * (time / 3.3 + rng.uniform(size=(n, 1))))
    x = x + knock * np.isin(kinds, (1, 3))[:, None]
    x = x + 0.9 * whine * np.isin(kinds, (2, 3))[:, None]
    x = x + 0.35 * rng.normal(size=x.shape)
    return x[..., None].astype("float32"), kinds


def demand(seed: int, hours: int = 1400) -> Any:
    """Return the hourly demand [hours] of a town in kW: about 3,000 to 9,000."""
    rng = np.random.default_rng(seed)
    hour = np.arange(hours)
    daily = np.sin(2 * np.pi * (hour % 24 - 8) / 24)
    evening = np.exp(-((hour % 24 - 19) ** 2) / 6)
    weekend = (hour // 24 % 7 >= 5) * 0.6
    drift = np.cumsum(rng.normal(size=hours)) * 0.02
    load = 6000 + 1300 * (daily + evening - weekend + drift)
    return (load + 120 * rng.normal(size=hours)).astype("float32")


def tickets(
    seed: int, n: int = 1200, words: int = 800, length: int = 24
) -> tuple[Any, Any]:
    """Return support tickets, int32 [n, length] (0: padding), and their departments.

    Each of four departments has 30 words of its own; three to six of them stand in a
    ticket, between words of all kinds, and one or two words of another department.
    """
    rng = np.random.default_rng(seed)
    departments = rng.integers(4, size=n)
    x = np.zeros((n, length), "int32")
    for row, own in zip(x, departments, strict=True):
        used = rng.integers(10, length + 1)
        row[:used] = rng.integers(121, words, size=used)
        places = rng.permutation(used)
        count, strange = rng.integers(3, 7), rng.integers(1, 3)
        row[places[:count]] = 1 + 30 * own + rng.integers(30, size=count)
        other = (own + rng.integers(1, 4)) % 4
        foreign = places[count : count + strange]
        row[foreign] = 1 + 30 * other + rng.integers(30, size=len(foreign))
    return x, departments


def bands(seed: int, n: int = 1200) -> tuple[Any, Any]:
    """Return sound levels [n, 16] in units of 80 dB below full scale, and five machines.

    All levels lie between -1 and 0, as sound programs give them.
    """
    rng = np.random.default_rng(seed)
    spectra = rng.uniform(-65, -20, size=(5, 16))
    machines = rng.integers(5, size=n)
    levels = spectra[machines] + 9 * rng.normal(size=(n, 16))
    return (np.clip(levels, -80, 0) / 80).astype("float32"), machines


def yields(seed: int, n: int = 1200) -> tuple[Any, Any]:
    """Return process settings [n, 6] in -1 to 1 and standardised yields [n].

    The yield has an optimum inside and products of settings: no plane fits it.
    """
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, size=(n, 6))
    y = 3 * x[:, 0] * x[:, 1] - 4 * (x[:, 2] - 0.1) ** 2 + np.sin(4 * x[:, 3])
    y = y + 0.4 * x[:, 4] + 0.15 * rng.normal(size=n)
    y = (y - y.mean()) / y.std()
    return x.astype("float32"), y.astype("float32")


def split(x: Any, y: Any, share: float = 0.8) -> Split:
    """Return the first share of the examples and the others: x, y, x_val, y_val."""
    count = int(share * len(x))
    return x[:count], y[:count], x[count:], y[count:]
