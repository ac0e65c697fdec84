"""A coder of the tests' own, which reads and writes bit by bit."""

import heapq

import numpy as np

from tfcourse.weights.packing import Coder
from tfcourse.weights.positions import canonical_codewords, places_from_gaps


def gaps(places, largest_gap):
    symbols, before = [], -1
    for place in map(int, places):
        gap = place - before - 1
        while gap >= largest_gap:
            symbols.append(largest_gap)
            gap -= largest_gap
        symbols.append(gap)
        before = place
    return np.array(symbols, np.int64)


def lengths(counts):
    heap = [(int(n), i, [i]) for i, n in enumerate(counts) if n]
    result = np.zeros(len(counts), np.int64)
    if len(heap) == 1:
        result[heap[0][1]] = 1
    heapq.heapify(heap)
    while len(heap) > 1:
        (m, i, a), (n, j, b) = heapq.heappop(heap), heapq.heappop(heap)
        result[a + b] += 1
        heapq.heappush(heap, (m + n, min(i, j), a + b))
    return result


def encode(symbols, code_lengths):
    words = canonical_codewords(code_lengths)
    text = "".join(words[int(symbol)] for symbol in symbols)
    text += "0" * (-len(text) % 8)
    return int(text or "0", 2).to_bytes(len(text) // 8, "big")


def decode(content, code_lengths, count):
    symbols = {
        word: symbol for symbol, word in canonical_codewords(code_lengths).items()
    }
    if count > 8 * len(content):
        raise ValueError("too few bytes")
    word, found, used = "", [], 0
    for bit in "".join(f"{byte:08b}" for byte in content):
        if len(found) == count:
            break
        word, used = word + bit, used + 1
        if word in symbols:
            found.append(symbols[word])
            word = ""
    if len(found) < count or 8 * len(content) - used >= 8:
        raise ValueError("bits missing or left over")
    return np.array(found, np.int64)


CODER = Coder(gaps, places_from_gaps, lengths, encode, decode)
