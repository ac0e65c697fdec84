"""More data for training programs: sets that are made unlike those of `datasets`."""

from typing import Any

import numpy as np

from tfcourse.data.colour_shapes import colour_shapes
from tfcourse.data.garments import garments

Split = tuple[Any, Any, Any, Any]


def cut(x: Any, y: Any, train: int) -> Split:
    """Return the first `train` examples and the others: x, y, x_val, y_val."""
    return x[:train], y[:train], x[train:], y[train:]


def clothes(seed: int, n: int = 1500, train: int = 1200) -> Split:
    """Return grey images uint8 [n, 14, 14, 1] of ten kinds of garments."""
    images, labels = garments(n, seed=100 + seed)
    small = images.reshape(n, 14, 2, 14, 2).mean((2, 4)).astype("uint8")
    return cut(small[..., None], labels, train)


def signs(seed: int, n: int = 1500, train: int = 1200) -> Split:
    """Return colour images uint8 [n, 16, 16, 3] of ten figures; a line finds nothing."""
    images, labels = colour_shapes(n, seed=200 + seed)
    small = images.reshape(n, 16, 2, 16, 2, 3).mean((2, 4)).astype("uint8")
    return cut(small, labels, train)


def cancer(seed: int, standardise: bool = True) -> Split:
    """Return real measurements of tumours [569, 30], raw or standardised, and 0 or 1."""
    from sklearn.datasets import load_breast_cancer

    return _bundled(load_breast_cancer(return_X_y=True), seed, standardise, 450)


def wine(seed: int, standardise: bool = True) -> Split:
    """Return real analyses of wines [178, 13], raw or standardised, and three growers."""
    from sklearn.datasets import load_wine

    return _bundled(load_wine(return_X_y=True), seed, standardise, 118)


def diabetes(seed: int) -> Split:
    """Return ten real measurements [442, 10], standardised, and standardised progress."""
    from sklearn.datasets import load_diabetes

    x, y, x_val, y_val = _bundled(load_diabetes(return_X_y=True), seed, True, 350)
    mean, std = y.mean(), y.std()
    return x, (y - mean) / std, x_val, (y_val - mean) / std


def _bundled(arrays: tuple, seed: int, standardise: bool, train: int) -> Split:
    x, y = arrays
    order = np.random.default_rng(seed).permutation(len(x))
    x, y = x[order], y[order]
    if standardise:
        x = (x - x[:train].mean(0)) / x[:train].std(0)
    y = y.astype("float32" if y.dtype.kind == "f" else "int64")
    return cut(x.astype("float32"), y, train)


def impedance(seed: int, n: int = 1500, train: int = 1200, raw: bool = False) -> Split:
    """Return resistance, frequency, inductance, capacity and the impedance.

    Raw: inputs up to 100, 1,760, 1 and 11, targets up to about 1,700. Otherwise all are
    standardised. Source: Friedman, 1991, doi:10.1214/aos/1176347963, section 4.4.
    """
    from sklearn.datasets import make_friedman2

    x, y = make_friedman2(n, noise=30.0, random_state=seed)
    if not raw:
        x, y = (x - x.mean(0)) / x.std(0), (y - y.mean()) / y.std()
    return cut(x.astype("float32"), y.astype("float32"), train)


def moons(seed: int, n: int = 1200, train: int = 900, noise: float = 0.12) -> Split:
    """Return points [n, 2] of two interleaving half circles."""
    from sklearn.datasets import make_moons

    x, y = make_moons(n, noise=noise, random_state=seed)
    return cut(x.astype("float32"), y.astype("int64"), train)


def parity(seed: int, n: int = 2400, train: int = 2000) -> Split:
    """Return points [n, 6] whose label is the sign of x0 * x1 * x2: no line helps."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, size=(n, 6)).astype("float32")
    return cut(x, (x[:, 0] * x[:, 1] * x[:, 2] > 0).astype("int64"), train)


def heartbeats(seed: int, n: int = 1200, train: int = 960, steps: int = 40) -> Split:
    """Return traces [n, steps, 2] with one, two or three bumps at random times."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=n)
    time = np.arange(steps)
    x = 0.15 * rng.normal(size=(n, steps, 2))
    for row, label in zip(x, labels, strict=True):
        for place in rng.choice(np.arange(4, steps - 4, 5), label + 1, replace=False):
            row[:, 0] += np.exp(-0.5 * ((time - place) / 1.2) ** 2)
    return cut(x.astype("float32"), labels, train)


def brackets(seed: int, n: int = 1800, train: int = 1500, length: int = 16) -> Split:
    """Return symbols int32 [n, length] in 1..30; the label: which of 1, 2, 3 is commonest.

    No two of them are equally frequent.
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=n)
    x = rng.integers(4, 31, size=(n, length))
    for row, label in zip(x, labels, strict=True):
        places = rng.permutation(length)
        number = rng.integers(3, 6)
        row[places[:number]] = label + 1
        others = rng.integers(1, 3, size=number - 1)
        row[places[number : 2 * number - 1]] = (label + others) % 3 + 1
        extra = np.bincount(row, minlength=4)[1:4]
        if (np.sort(extra)[-1] == np.sort(extra)[-2]).any():
            row[places[-1]] = label + 1
    return cut(x.astype("int32"), labels, train)


def walk(seed: int, steps: int = 1500, level: float = 0.0, scale: float = 1.0) -> Any:
    """Return a series float32 [steps]: a second-order autoregression (period about 12)."""
    rng = np.random.default_rng(seed)
    series = np.zeros(steps)
    for t in range(2, steps):
        series[t] = 1.68 * series[t - 1] - 0.94 * series[t - 2] + 0.3 * rng.normal()
    return (level + scale * series / series.std()).astype("float32")


def lagged(series: Any, length: int = 16) -> tuple[Any, Any]:
    """Return windows [n, length, 1] and the value that follows each, [n, 1]."""
    x = np.lib.stride_tricks.sliding_window_view(series[:-1], length)
    return x[..., None].copy(), series[length:, None].copy()
