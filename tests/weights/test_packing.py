"""Files of weights: round trips, sizes, and what comes from strangers."""

import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.weights.coder import CODER
from tfcourse.weights import packing
from tfcourse.weights.packing import (
    Affine,
    Coded,
    Raw,
    Sparse,
    limited_lengths,
    pack,
    restored,
    unpack,
)

SHAPES = st.lists(st.integers(0, 6), max_size=4).map(tuple)


def sparse_array(rng, shape, share=0.1):
    values = rng.normal(size=shape).astype(np.float32)
    return values * (rng.random(shape) < share)


def example(rng, shape):
    """Return one array of each kind."""
    count = int(rng.integers(1, 40))
    codebook = rng.normal(size=count).astype(np.float16)
    lines = tuple(shape[:-1] and (1,) * (len(shape) - 1)) + shape[-1:]
    return [
        Raw(rng.normal(size=shape).astype(np.float32)),
        Raw(rng.normal(size=shape).astype(np.float16)),
        Sparse(sparse_array(rng, shape)),
        Coded(codebook, rng.integers(-1, count, shape)),
        Coded(codebook, rng.integers(0, count, shape)),
        Affine(
            rng.integers(0, 256, shape, dtype=np.uint8),
            rng.random(lines, dtype=np.float32),
            rng.integers(0, 256, lines),
        ),
    ]


@given(seed=st.integers(0, 2**32 - 1), shape=SHAPES)
@settings(max_examples=60, deadline=None)
def test_every_bit_comes_back(seed, shape):
    arrays = example(np.random.default_rng(seed), shape)
    back = unpack(pack(arrays, CODER), CODER)
    assert len(back) == len(arrays)
    for array, weights in zip(arrays, back, strict=True):
        expected = restored(array)
        assert weights.dtype == np.float32
        assert weights.shape == expected.shape == shape
        assert weights.tobytes() == expected.tobytes()


def test_a_file_with_few_weights_is_near_the_entropy():
    rng = np.random.default_rng(0)
    codes = np.where(rng.random(200_000) < 0.02, rng.integers(0, 16, 200_000), -1)
    content = pack([Coded(np.arange(1, 17), codes)], CODER)
    share = np.mean(codes >= 0)
    bits = -share * np.log2(share) - (1 - share) * np.log2(1 - share) + 4 * share
    entropy_bytes = 200_000 * bits / 8
    assert entropy_bytes < len(content) < 1.05 * entropy_bytes + 150


def test_more_values_or_weights_than_a_file_may_have():
    with pytest.raises(ValueError, match="1 to 256 values; got 257"):
        pack([Coded(np.zeros(257), np.zeros(4, int))], CODER)
    with pytest.raises(ValueError, match="6 axes"):
        pack([Raw(np.zeros((1,) * 7, np.float32))], CODER)
    with pytest.raises(ValueError, match="one longer than 1"):
        scale = np.ones((2, 2), np.float32)
        pack([Affine(np.zeros((2, 2), np.uint8), scale, np.zeros((2, 2)))], CODER)


def test_codewords_fit_into_four_bits_of_length():
    counts = np.array([1, 1])
    while len(counts) < 30:  # Fibonacci's numbers give the deepest trees.
        counts = np.append(counts, counts[-2:].sum())
    assert CODER.lengths(counts).max() > packing.MAX_CODE_LENGTH
    limited = limited_lengths(counts, CODER)
    assert limited.max() <= packing.MAX_CODE_LENGTH
    assert limited.min() >= 1
    assert sum(2.0 ** -limited.astype(float)) == 1


def small_file():
    rng = np.random.default_rng(1)
    return pack(example(rng, (5, 7)), CODER)


def test_a_damaged_byte_is_noticed():
    content = small_file()
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        with pytest.raises(ValueError, match="checksum|begins with"):
            unpack(bytes(damaged), CODER)


def test_a_file_that_is_cut_off_or_longer_is_refused():
    content = small_file()
    for length in range(len(content)):
        with pytest.raises(ValueError):
            unpack(content[:length], CODER)
    body = content[8:] + b"\0"
    with pytest.raises(ValueError, match="1 bytes too many"):
        unpack(with_checksum(body), CODER)


def with_checksum(body):
    return packing.MAGIC + zlib.crc32(body).to_bytes(4, "little") + body


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=300, deadline=None)
def test_hostile_files_end_in_a_value_error_or_in_weights(seed):
    """Whoever damages a file on purpose mends its checksum."""
    rng = np.random.default_rng(seed)
    body = bytearray(small_file()[8:])
    for _ in range(rng.integers(1, 6)):
        place = int(rng.integers(len(body)))
        action = rng.integers(4)
        if action == 0:
            body[place] = int(rng.integers(256))
        elif action == 1:
            del body[place : place + int(rng.integers(1, 9))]
        elif action == 2:
            body[place:place] = rng.bytes(int(rng.integers(1, 9)))
        else:
            body[place] = 255
    try:
        arrays = unpack(with_checksum(bytes(body)), CODER, max_weights=10_000)
    except ValueError:
        return
    assert sum(array.size for array in arrays) <= 10_000


@given(body=st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_random_bytes_end_in_a_value_error_or_in_weights(body):
    try:
        arrays = unpack(with_checksum(body), CODER, max_weights=10_000)
    except ValueError:
        return
    assert sum(array.size for array in arrays) <= 10_000


def test_a_few_bytes_that_claim_a_huge_array_take_no_memory():
    huge = packing.write_number(1) + packing.write_number(2)
    huge += packing.write_number(2**24) * 2 + b"\2"
    tracemalloc.start()
    with pytest.raises(ValueError, match="more than|at most"):
        unpack(with_checksum(huge), CODER)
    many_symbols = packing.write_number(1) + packing.write_number(1)
    many_symbols += packing.write_number(2**24) + bytes([packing.SPARSE, 2])
    many_symbols += b"\x22\x22" + packing.write_number(2**24) + packing.write_number(1)
    with pytest.raises(ValueError, match="too few bytes"):
        unpack(with_checksum(many_symbols + b"\0"), CODER)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_a_coder_that_lies_writes_nothing_outside_of_an_array():
    import dataclasses

    content = pack([Sparse(np.eye(3, dtype=np.float32))], CODER)
    lying = dataclasses.replace(CODER, places=lambda *_: np.array([0, 1, 9]))
    with pytest.raises(ValueError, match="outside of its array"):
        unpack(content, lying)
    short = dataclasses.replace(CODER, decode=lambda *_: np.array([0]))
    with pytest.raises(ValueError, match="symbols were expected"):
        unpack(content, short)
