"""Pairs of hashes that differ in few bits."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

BLOCK = 1000  # Rows compared at a time with all others: 16 MB for 4,000.


def near_twins(hashes: np.ndarray, max_distance: int) -> np.ndarray:
    """Return pairs of rows that differ in few bits, int [num_pairs, 2], closest first.

    No row is in two pairs: a cluster of look-alikes gives a few pairs that say something
    new each, not one for every two of its members.

    Args:
        hashes: bool [n, bits].
        max_distance: Bits in which a pair may differ.
    """
    found = list(_close_pairs(hashes, max_distance))
    distances = np.concatenate([part[0] for part in found])
    pairs = np.concatenate([part[1] for part in found])
    taken = np.zeros(len(hashes), bool)
    chosen = []
    for pair in pairs[np.argsort(distances, kind="stable")]:
        if not taken[pair].any():
            taken[pair] = True
            chosen.append(pair)
    return np.array(chosen, np.int64).reshape(-1, 2)


def nearest_distances(hashes: np.ndarray) -> np.ndarray:
    """Return in how many bits each row differs from its nearest other row: int [n]."""
    nearest = np.full(len(hashes), hashes.shape[1], np.int64)
    for start, distances in _distances(hashes):
        rows = np.arange(len(distances))
        distances[rows, start + rows] = hashes.shape[1]
        nearest[start : start + len(distances)] = distances.min(axis=1)
    return nearest


def _close_pairs(
    hashes: np.ndarray, max_distance: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for start, distances in _distances(hashes):
        first, second = np.nonzero(distances <= max_distance)
        later = second > first + start
        first, second = first[later], second[later]
        yield distances[first, second], np.column_stack([first + start, second])


def _distances(hashes: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (first row, Hamming distances float32 [rows, n]) for block after block."""
    signs = np.where(hashes, np.float32(1), np.float32(-1))
    for start in range(0, len(hashes), BLOCK):
        products = signs[start : start + BLOCK] @ signs.T  # Exact: small whole numbers.
        yield start, (hashes.shape[1] - products) / 2
