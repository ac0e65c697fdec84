"""The schedule of the Square attack: how large its squares are."""

import math


def square_side(query: int, num_queries: int, size: int) -> int:
    """Return how many pixels wide the next square is: large at first, 1 at last.

    >>> [square_side(query, 1_000, 28) for query in (1, 10, 100, 999)]
    [25, 13, 6, 1]

    Source: Andriushchenko et al., 2020, arXiv:1912.00049, section 4.1; their area, a
    share p of the image, halves at these points of 10,000 queries, and begins with 0.8.
    """
    points = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
    halvings = sum(query * 10_000 > point * num_queries for point in points)
    return max(1, min(size - 1, round(size * math.sqrt(0.8 * 0.5**halvings))))
