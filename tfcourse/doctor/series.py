"""Series of points in bounded memory, however many there are. No TensorFlow."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tfcourse.doctor.event_values import Histogram

Steps: TypeAlias = npt.NDArray[np.int64]
Values: TypeAlias = npt.NDArray[np.float64]

MAX_POINTS = 10_000  # Of one series.
MAX_POINTS_IN_ALL = 4_000_000  # Above 400 series, each gets fewer: 64 MB.
MAX_HISTOGRAMS = 32  # Of one tag.


@dataclass(frozen=True)
class Series:
    """The points of one scalar.

    Attributes:
        steps: int64 [n], strictly ascending.
        values: float64 [n]; may hold NaN and infinities.
    """

    steps: Steps
    values: Values

    def __len__(self) -> int:
        return len(self.steps)


class Budget:
    """How many points a series may have, now that there are so many."""

    def __init__(self) -> None:
        self.num_series = 0

    @property
    def max_points(self) -> int:
        """Points of one series: fewer if there are very many series."""
        return min(MAX_POINTS, MAX_POINTS_IN_ALL // max(1, self.num_series))


class SeriesBuilder:
    """Takes points one by one and keeps at most twice as many as the budget says.

    Beyond, the axis of steps is divided into even stretches. Of each stay the first
    point, the least, the greatest, and the first that is not finite; so do the first and
    the last of all.
    """

    def __init__(self, budget: Budget) -> None:
        self.steps = array("q")
        self.values = array("d")
        self._budget = budget
        budget.num_series += 1
        self._num_full = 2 * budget.max_points
        self._stretch_steps = 1

    def add(self, step: int, value: float) -> None:
        """Add a point. A step that comes again replaces what stood from there on.

        A run that was restarted or resumed in the same folder writes its steps again:
        what the earlier attempt had recorded beyond them is not of this run.
        """
        steps = self.steps
        if steps and step <= steps[-1]:
            self.cut(step)
        steps.append(step)
        self.values.append(value)
        if len(steps) >= self._num_full:
            self._thin(self._budget.max_points)
            self._num_full = 2 * self._budget.max_points

    def cut(self, step: int) -> None:
        """Drop the points from `step` on."""
        place = bisect_left(self.steps, step)
        del self.steps[place:]
        del self.values[place:]

    def build(self) -> Series:
        """Return the points, at most `MAX_POINTS`."""
        max_points = self._budget.max_points
        if len(self.steps) > max_points:
            self._thin(max_points)
        return Series(
            np.array(self.steps, dtype=np.int64),
            np.array(self.values, dtype=np.float64),
        )

    def _thin(self, max_points: int) -> None:
        steps = np.array(self.steps, dtype=np.int64)
        values = np.array(self.values, dtype=np.float64)
        while True:
            kept = kept_points(steps, values, self._stretch_steps)
            if len(kept) <= max_points or self._stretch_steps >= 2**62:
                break
            self._stretch_steps *= 2
        kept = kept[:max_points]
        self.steps = array("q", steps[kept].tobytes())
        self.values = array("d", values[kept].tobytes())


def kept_points(
    steps: Steps, values: Values, stretch_steps: int
) -> npt.NDArray[np.intp]:
    """Return the places of the points that stay: int [m], ascending.

    Args:
        steps: int64 [n], ascending.
        values: float64 [n].
        stretch_steps: Length of the stretches of which four points stay.
    """
    stretches = steps // stretch_steps
    finite = np.isfinite(values)
    numbers = np.where(finite, values, np.nan)  # NaN is sorted to the end.
    orders = [
        np.arange(len(steps)),
        np.lexsort((numbers, stretches)),
        np.lexsort((-numbers, stretches)),
        np.lexsort((finite, stretches)),  # Stable: the first that isn't finite.
    ]
    # The stretches stand in the same order in each: their first places are the same.
    is_first = np.append(True, stretches[1:] != stretches[:-1])
    chosen = [order[is_first] for order in orders]
    return np.unique(np.concatenate([*chosen, [0, len(steps) - 1]]))


class HistogramBuilder:
    """Takes histograms one by one and keeps the first, the last, and some between."""

    def __init__(self) -> None:
        self.histograms: list[Histogram] = []
        self._stretch_steps = 1

    def add(self, histogram: Histogram) -> None:
        """Add one; a step that comes again replaces what stood from there on."""
        kept = self.histograms
        while kept and kept[-1].step >= histogram.step:
            kept.pop()
        kept.append(histogram)
        if len(kept) >= 2 * MAX_HISTOGRAMS:
            self._thin()

    def build(self) -> list[Histogram]:
        """Return at most `MAX_HISTOGRAMS`."""
        if len(self.histograms) > MAX_HISTOGRAMS:
            self._thin()
        return list(self.histograms)

    def _thin(self) -> None:
        last = self.histograms[-1]
        while True:
            stretches = [h.step // self._stretch_steps for h in self.histograms]
            kept = [
                histogram
                for place, histogram in enumerate(self.histograms)
                if not place or stretches[place] != stretches[place - 1]
            ]
            if len(kept) < MAX_HISTOGRAMS or self._stretch_steps >= 2**62:
                break
            self._stretch_steps *= 2
        kept = kept[: MAX_HISTOGRAMS - 1]
        self.histograms = kept if kept[-1] is last else [*kept, last]
