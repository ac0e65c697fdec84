"""Examples as points: tables of one scale, hashes, distances. Plain numpy."""

from __future__ import annotations

import hashlib

import numpy as np

MAX_FEATURES = 1024


class Points:
    """Examples as points whose features are of one scale: [n, features], float32."""

    def __init__(self, table: np.ndarray, centre: np.ndarray, spread: np.ndarray):
        self.centre = centre
        self.spread = spread
        self.scaled = ((table - centre) / spread).astype(np.float32)


def features(arrays: list[np.ndarray], like: Points | None) -> Points | None:
    """Return the inputs of examples as points; scaled as those of `like` if given.

    Whole numbers (tokens) become counts; of too many features an even choice is taken.
    """
    tables = []
    for array in arrays:
        flat = array.reshape(len(array), -1)
        if array.dtype.kind in "iu" and array.dtype.itemsize > 1 and flat.shape[1] > 1:
            flat = token_counts(flat)
        tables.append(finite_floats(flat))
    if not tables or any(len(table) != len(tables[0]) for table in tables):
        return None
    if len(tables) == 2 and tables[0].shape == tables[1].shape:
        tables.append(np.abs(tables[0] - tables[1]))  # Pairs are judged by difference.
    table = np.concatenate(tables, axis=1)
    if table.shape[1] > MAX_FEATURES:
        columns = np.linspace(0, table.shape[1] - 1, MAX_FEATURES).astype(int)
        table = table[:, columns]
    if like is not None:
        if table.shape[1] != len(like.centre):
            return None
        return Points(table, like.centre, like.spread)
    spread = table.std(axis=0)
    # Pixels that hardly vary would be noise if they were scaled up.
    spread = np.maximum(spread, 0.1 * spread.mean() + 1e-12)
    return Points(table, table.mean(axis=0), spread)


def token_counts(tokens: np.ndarray) -> np.ndarray:
    """Return how often each token occurs: [n, buckets], with a square root taken."""
    buckets = tokens.astype(np.int64) % MAX_FEATURES
    counts = np.zeros((len(tokens), MAX_FEATURES), np.float32)
    for column in buckets.T:
        counts[np.arange(len(tokens)), column] += 1
    return np.sqrt(counts)


def fingerprints(arrays: list[np.ndarray]) -> list[bytes]:
    """Return a hash of each example over all inputs."""
    tables = [np.ascontiguousarray(a, np.float32).reshape(len(a), -1) for a in arrays]
    return [
        hashlib.blake2b(
            b"".join(t[i].tobytes() for t in tables), digest_size=8
        ).digest()
        for i in range(len(tables[0]))
    ]


def distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return squared distances [n, m] of points [n, d] and [m, d]."""
    squares = np.square(one).sum(axis=1)[:, None] + np.square(other).sum(axis=1)[None]
    return np.asarray(np.maximum(squares - 2 * one @ other.T, 0.0))


def finite_floats(array: np.ndarray) -> np.ndarray:
    """Return the array as float64 [n, ...] with zeros for what isn't finite."""
    values = array.astype(np.float64)
    values = values.reshape(len(values), -1) if values.ndim == 1 else values
    return np.where(np.isfinite(values), values, 0.0)
