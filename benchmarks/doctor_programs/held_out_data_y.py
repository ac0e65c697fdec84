"""Data makers and small helpers for the programs whose names start with y."""

from typing import Any

import numpy as np

from tfcourse.data import load_arrays


def pictures(name: str, n: int, start: int = 0) -> tuple[Any, Any]:
    """Return n images of an embedded set in [0, 1], with a channel axis, and labels."""
    (images, labels), _ = load_arrays(name, "train", source="embedded")
    images = images[start : start + n].astype("float32") / 255
    if images.ndim == 3:
        images = images[..., None]
    return images, labels[start : start + n].astype("int64")


def like_the_first(x: Any, *others: Any) -> list[Any]:
    """Return all arrays scaled by the columns' mean and deviation of the first."""
    mean, deviation = x.mean(0), x.std(0) + 1e-8
    return [((part - mean) / deviation).astype("float32") for part in (x, *others)]


def split(seed: int, *arrays: Any, share: float = 0.75) -> list[Any]:
    """Return train and validation part of each array, in one random order."""
    order = np.random.default_rng(seed).permutation(len(arrays[0]))
    cut = int(len(order) * share)
    parts = []
    for array in arrays:
        parts += [array[order[:cut]], array[order[cut:]]]
    return parts


def sentences(seed: int, n: int, words: int = 400, length: int = 18) -> tuple:
    """Return n lists of made-up words, and 1 where the praise outweighs the blame."""
    rng = np.random.default_rng(seed)
    plain = [f"word{i}" for i in range(words)]
    praise = [f"good{i}" for i in range(25)]
    blame = [f"bad{i}" for i in range(25)]
    frequency = 1 / np.arange(3, words + 3)
    frequency /= frequency.sum()
    texts, labels = [], rng.integers(2, size=n)
    for label in labels:
        more, fewer = (praise, blame) if label else (blame, praise)
        text = list(rng.choice(more, 5)) + list(rng.choice(fewer, 2))
        text += list(rng.choice(plain, length - 7, p=frequency))
        texts.append([str(word) for word in rng.permutation(text)])
    return texts, labels


def weather(seed: int, n: int, days: int = 14) -> tuple[Any, Any]:
    """Return raw weather [n, days, 4] and whether it rains on the day after.

    Columns: pressure in hPa, temperature in K, wind direction in degrees, humidity.
    """
    rng = np.random.default_rng(seed)
    steps = n + days + 1
    noise = rng.normal(size=(steps, 4))
    state = np.zeros((steps, 4))
    for i in range(1, steps):
        state[i] = 0.8 * state[i - 1] + 0.6 * noise[i]
    x = np.stack(
        [
            1013 + 9 * state[:, 0],
            285 + 7 * state[:, 1],
            (180 + 80 * state[:, 2]) % 360,
            np.clip(0.6 + 0.15 * state[:, 3], 0, 1),
        ],
        axis=1,
    )
    falling = state[:-1, 3] - state[:-1, 0] + 0.2 * rng.normal(size=steps - 1)
    rain = (falling > 0.2).astype("int64")
    windows = np.stack([x[i : i + days] for i in range(n)])
    return windows.astype("float32"), rain[days - 1 : days - 1 + n]


def order_of_tokens(seed: int, n: int, length: int = 16) -> tuple[Any, Any]:
    """Return tokens [n, length] of 30 and 1 where token 1 stands before token 2."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(3, 30, size=(n, length))
    labels = rng.integers(2, size=n)
    for row, label in zip(tokens, labels, strict=True):
        early, late = np.sort(rng.choice(length, 2, replace=False))
        row[early], row[late] = (1, 2) if label else (2, 1)
    return tokens.astype("int32"), labels
