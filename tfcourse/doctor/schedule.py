"""Which steps are looked at: densely at first, then ever more sparsely."""

import sys

DENSE_STEPS = 8  # All of them: most faults show in the first steps.
STEP_GROWTH = 6  # Later the gap to the next sample is a sixth of the way so far.


class Schedule:
    """Says which optimizer steps to sample.

    After `n` steps there were about 8 + 6 ln(n / 8) samples, however long the run: 25
    after 100 steps, 80 after a million.
    """

    def __init__(self, dense: int = DENSE_STEPS, growth: int = STEP_GROWTH):
        self._dense = dense
        self._growth = growth
        self._next = 0

    def is_due(self, step: int) -> bool:
        """Return whether the step, counted from 0, is to be sampled."""
        return step >= self._next

    def advance(self, step: int) -> None:
        """Plan the next sample after the one at `step`."""
        gap = 1 if step + 1 < self._dense else max(1, step // self._growth)
        self._next = step + gap

    def stop(self) -> None:
        """Sample no more."""
        self._next = sys.maxsize
