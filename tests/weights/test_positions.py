"""What a decoder derives."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.weights.coder import gaps
from tfcourse.weights.positions import canonical_codewords, places_from_gaps


@given(
    places=st.sets(st.integers(0, 400), max_size=60).map(sorted),
    largest_gap=st.integers(1, 40),
)
def test_places_come_back(places, largest_gap):
    symbols = gaps(np.array(places, int), largest_gap)
    assert places_from_gaps(symbols, largest_gap, 401).tolist() == places


@pytest.mark.parametrize(
    ("symbols", "message"),
    [
        ([1, 9], "from 0 to 3"),
        ([-1], "from 0 to 3"),
        ([1, 3], "leads to no weight"),
        ([2, 2, 2, 2], "outside of an array of 10"),
    ],
)
def test_impossible_gaps_are_refused(symbols, message):
    with pytest.raises(ValueError, match=message):
        places_from_gaps(np.array(symbols), 3, 10)


def test_codewords_of_the_standards_example():
    """RFC 1951, section 3.2.2: lengths (3, 3, 3, 3, 3, 2, 4, 4) for A to H."""
    words = canonical_codewords(np.array([3, 3, 3, 3, 3, 2, 4, 4]))
    expected = ["010", "011", "100", "101", "110", "00", "1110", "1111"]
    assert [words[symbol] for symbol in range(8)] == expected


@pytest.mark.parametrize("lengths", [[1, 1, 1], [1, 2, 2, 2], [65], [-1], [10**9]])
def test_lengths_of_no_code_are_refused(lengths):
    with pytest.raises(ValueError):
        canonical_codewords(np.array(lengths))
