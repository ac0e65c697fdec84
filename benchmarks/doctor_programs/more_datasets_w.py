"""Data sets for the held-out programs whose names start with w."""

from typing import Any

import numpy as np

from tfcourse.data import load_arrays

Split = tuple[Any, Any, Any, Any]


def cut(x: Any, y: Any, train: int) -> Split:
    """Return the first `train` examples and the others: x, y, x_val, y_val."""
    return x[:train], y[:train], x[train:], y[train:]


def mixed(x: Any, y: Any, seed: int, n: int | None = None) -> tuple[Any, Any]:
    """Return n of the examples (all, if n is None) in a random order."""
    order = np.random.default_rng(seed).permutation(len(x))[:n]
    return x[order], y[order]


def pictures(name: str, seed: int, n: int) -> tuple[Any, Any]:
    """Return n random images of an embedded set, float32 in [0, 1], and their labels."""
    (images, labels), _ = load_arrays(name, "train", source="embedded")
    images, labels = mixed(images, labels, seed, n)
    return images.astype("float32") / 255, labels


def smaller(images: Any) -> Any:
    """Return grey images [n, s, s] at half their size: means of 2 x 2 pixels."""
    half = images.shape[1] // 2
    return images.reshape(-1, half, 2, half, 2).mean((2, 4))


def eight_by_eight(seed: int) -> tuple[Any, Any]:
    """Return scikit-learn's digits, float32 [1797, 64] in [0, 1], and their labels."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return mixed((x / 16).astype("float32"), y, seed)


def tumours(seed: int) -> tuple[Any, Any]:
    """Return scikit-learn's breast cancer set as it is: [569, 30], and 0 or 1."""
    from sklearn.datasets import load_breast_cancer

    x, y = load_breast_cancer(return_X_y=True)
    return mixed(x.astype("float32"), y, seed)


def customers(seed: int, n: int = 2000) -> tuple[Any, Any]:
    """Return columns [n, 6] in their own units, and whether the customer left (0 or 1).

    The columns: age, yearly income, day of joining in Unix seconds, number of products,
    balance, share of months with a complaint.
    """
    rng = np.random.default_rng(seed)
    age = rng.normal(42, 12, n)
    income = rng.lognormal(10.8, 0.4, n)
    joined = rng.uniform(1.3e9, 1.7e9, n)
    products = rng.integers(1, 5, n)
    balance = rng.gamma(1.5, 30000, n)
    complaints = rng.beta(2, 5, n)
    score = 6 * complaints - 0.9 * products + 0.06 * np.abs(age - 42)
    score += (joined - 1.5e9) / 1.5e8 - 0.5 * np.log(balance / income)
    score += 0.5 * rng.normal(size=n)
    x = np.stack([age, income, joined, products, balance, complaints], axis=1)
    return x.astype("float32"), (score > np.median(score)).astype("int64")


def waving_surface(seed: int, n: int = 1200) -> tuple[Any, Any]:
    """Return places [n, 2] in [-1, 1] and the height [n, 1] of a surface with noise."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (n, 2))
    y = np.sin(4 * x[:, 0]) * np.cos(4 * x[:, 1]) + 0.5 * x[:, 0] * x[:, 1]
    y += 0.05 * rng.normal(size=n)
    return x.astype("float32"), y[:, None].astype("float32")


def alarms(seed: int, n: int = 1500, length: int = 20) -> tuple[Any, Any]:
    """Return event numbers int32 [n, length] in 1..49 and which alarm of four follows.

    The alarm is the kind (1 to 4) that occurs most often among the other events.
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(4, size=n)
    events = rng.integers(5, 50, size=(n, length))
    for row, label in zip(events, labels, strict=True):
        places = rng.permutation(length)[:7]
        row[places[:4]] = label + 1
        row[places[4:]] = rng.integers(1, 5, size=3)
    return events.astype("int32"), labels


def transactions(seed: int, n: int = 4000, share: float = 0.06) -> tuple[Any, Any]:
    """Return features [n, 8], roughly standard, and rare frauds (0 or 1)."""
    rng = np.random.default_rng(seed)
    y = (rng.uniform(size=n) < share).astype("int64")
    x = rng.normal(size=(n, 8))
    x[:, 0] += 2.2 * y
    x[:, 1] *= 1 + 1.5 * y
    x[:, 2] -= 1.5 * y
    x[:, 3] += 1.5 * y * np.sign(x[:, 4])
    return x.astype("float32"), y
