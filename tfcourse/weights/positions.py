"""What a decoder derives: places from gaps, codewords from their lengths."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MAX_CODE_BITS = 64


def places_from_gaps(
    symbols: NDArray[np.int64], largest_gap: int, size: int
) -> NDArray[np.int64]:
    """Return where the weights are, int64 [n], ascending, each in [0, size).

    Args:
        symbols: int64 [symbols]. A symbol below `largest_gap` says: so many zeros, then a
            weight. The symbol `largest_gap`: so many zeros, and no weight yet.
        largest_gap: At least 1.
        size: Of the array.

    Raises:
        ValueError: If a symbol is not in [0, largest_gap], a weight would lie outside of
            the array, or the last symbol leads to no weight.
    """
    symbols = np.asarray(symbols, np.int64)
    if np.any((symbols < 0) | (symbols > largest_gap)):
        raise ValueError(f"a gap must be from 0 to {largest_gap}")
    has_weight = symbols < largest_gap  # [symbols]
    if len(symbols) and not has_weight[-1]:
        raise ValueError("the last gap leads to no weight")
    places = (np.cumsum(symbols + has_weight) - 1)[has_weight]  # [n]
    if len(places) and places[-1] >= size:
        raise ValueError(f"a weight at {places[-1]} is outside of an array of {size}")
    return places


def canonical_codewords(lengths: NDArray[np.int64]) -> dict[int, str]:
    """Return each symbol's codeword as a text of 0 and 1, from the lengths alone.

    Codewords are given in the order of length, then of symbol, each the next binary
    number after the one before: so lengths are all that a file must hold.

    >>> canonical_codewords(np.array([2, 1, 0, 2]))
    {1: '0', 0: '10', 3: '11'}

    Args:
        lengths: int [symbols], bits of each codeword; 0 for a symbol without one.

    Raises:
        ValueError: If a length is not in [0, 64], or there are too many short codewords
            for any code in which none begins with another (Kraft's inequality).

    Source: Deutsch, 1996, RFC 1951, section 3.2.2.
    """
    codewords: dict[int, str] = {}
    code = before = 0
    for length, symbol in sorted((int(n), s) for s, n in enumerate(lengths) if n):
        if not 0 < length <= MAX_CODE_BITS:
            raise ValueError(f"a codeword has 1 to {MAX_CODE_BITS} bits; got {length}")
        code <<= length - before
        if code >> length:
            raise ValueError("codewords of these lengths can't be told apart")
        codewords[symbol] = f"{code:0{length}b}"
        code, before = code + 1, length
    return codewords
