"""A chain of resonators whose frequencies change: the vocal tract of the synthesiser."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000  # Hz
FRAME_SAMPLES = 80  # 5 ms, in which the resonators stand still (Klatt's choice).

Floats = NDArray[Any]


def resonate(
    source: NDArray[np.float32],
    frequencies: Floats,
    bandwidths: Floats,
    *,
    peak: bool = False,
) -> NDArray[np.float32]:
    """Return the source behind a chain of resonators: float32 [n, samples].

    All resonators of all clips move on by one sample at a time: each takes what the one
    before it gave at the sample before, which delays the whole by a few samples and lets
    one operation serve them all.

    Args:
        source: [n, samples].
        frequencies: float [n, frames, resonators], Hz; a frame has FRAME_SAMPLES.
        bandwidths: Of the same shape, Hz.
        peak: Whether the gain is 1 at a resonator's frequency rather than at 0 Hz.

    Source: Klatt, 1980, equations 1 and 2.
    """
    radius = np.exp(-np.pi * bandwidths / SAMPLE_RATE)
    angle = 2.0 * np.pi * frequencies / SAMPLE_RATE
    from_last, from_before = 2.0 * radius * np.cos(angle), -(radius**2)
    turn = np.exp(-1j * angle if peak else 0j * angle)
    gain = np.abs(1.0 - from_last * turn - from_before * turn**2)
    # [frames, resonators, n], contiguous.
    a, b, c = (
        np.ascontiguousarray(x.transpose(1, 2, 0), np.float32)
        for x in (gain, from_last, from_before)
    )
    count, length = source.shape
    rows = a.shape[1] + 1
    # Row 0: the source; row k: what resonator k gives.
    now, last, before = (np.zeros((rows, count), np.float32) for _ in range(3))
    product = np.empty((rows - 1, count), np.float32)
    inputs = np.ascontiguousarray(source.T)  # [samples, n]
    outputs = np.empty_like(inputs)
    for place in range(length):
        frame = place // FRAME_SAMPLES
        last[0] = inputs[place]
        new = now[1:]
        np.multiply(a[frame], last[:-1], out=new)
        np.multiply(b[frame], last[1:], out=product)
        new += product
        np.multiply(c[frame], before[1:], out=product)
        new += product
        outputs[place] = new[-1]
        now, last, before = before, now, last
    return np.ascontiguousarray(outputs.T)
