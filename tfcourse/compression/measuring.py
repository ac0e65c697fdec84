"""Honest counts: bytes, accuracy with its interval, latency with its spread."""

from __future__ import annotations

import dataclasses
import gzip
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfcourse.compression.litert import LiteRTFile

NUM_CALLS = 200
NUM_WARMUP = 20  # The first calls fill caches and compile.
Z_95 = 1.959964  # Two-sided 95 % quantile of the normal distribution.


@dataclasses.dataclass(frozen=True)
class Latency:
    """Milliseconds of single calls with one example: median and quartiles."""

    median: float
    lower_quartile: float
    upper_quartile: float
    num_threads: int
    num_calls: int

    def text(self) -> str:
        """Return `median (lower-upper)` in microseconds: small models take few."""
        low, high = map(_microseconds, (self.lower_quartile, self.upper_quartile))
        return f"{_microseconds(self.median)} ({low}-{high})"


def _microseconds(milliseconds: float) -> str:
    value = milliseconds * 1000.0
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def latency_of_seconds(seconds: list[float], num_threads: int) -> Latency:
    """Return the median and the quartiles of measured calls."""
    low, middle, high = np.percentile(np.asarray(seconds) * 1000.0, [25, 50, 75])
    return Latency(float(middle), float(low), float(high), num_threads, len(seconds))


def latency_of(
    source: Path | bytes,
    example: NDArray[Any] | list[NDArray[Any]],
    num_threads: int,
    num_calls: int = NUM_CALLS,
    input_names: list[str] | None = None,
) -> Latency:
    """Return how long a LiteRT file takes for one example.

    Args:
        source: The file or its bytes.
        example: float32 [1, ...], one array per input.
        num_threads: Threads of the interpreter.
        num_calls: Calls that are measured, after `NUM_WARMUP` that are not.
        input_names: As in `LiteRTFile`.
    """
    file = LiteRTFile(source, num_threads=num_threads, input_names=input_names)
    seconds = file.seconds_of_calls(example, num_calls, NUM_WARMUP)
    return latency_of_seconds(seconds, num_threads)


def gzipped(content: bytes) -> bytes:
    """Return a gzip file with the content; the same content gives the same bytes."""
    return gzip.compress(content, compresslevel=9, mtime=0)


def gzip_size(content: bytes) -> int:
    """Return the bytes of `gzipped`."""
    return len(gzipped(content))


def wilson_interval(num_right: int, num_examples: int) -> tuple[float, float]:
    """Return the 95 % interval of a share; it stays within [0, 1], also near its ends.

    >>> [round(end, 3) for end in wilson_interval(340, 360)]
    [0.916, 0.964]

    Raises:
        ValueError: If the counts are no counts.

    Source: Wilson, 1927, doi:10.1080/01621459.1927.10502953.
    """
    if not 0 <= num_right <= num_examples or num_examples == 0:
        raise ValueError(
            "num_right must be from 0 to num_examples, which is at least 1; got "
            f"num_right={num_right}, num_examples={num_examples}"
        )
    share, z = num_right / num_examples, Z_95
    scale = 1 + z * z / num_examples
    centre = share + z * z / (2 * num_examples)
    variance = share * (1 - share) + z * z / (4 * num_examples)
    spread = z * math.sqrt(variance / num_examples)
    low, high = (centre - spread) / scale, (centre + spread) / scale
    return max(0.0, low), min(1.0, high)


def num_right(outputs: NDArray[Any], labels: NDArray[Any]) -> int:
    """Return how many answers are right: outputs float32 [n, classes], labels int [n]."""
    return int((outputs.argmax(-1) == labels).sum())
