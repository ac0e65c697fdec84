"""Learning rates by step, in the form that Keras's optimizers take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras


class RateByStep(keras.optimizers.schedules.LearningRateSchedule):
    """A function of the step as a schedule.

    Args:
        function: Called as `function(step, **settings)`, step a tensor.
        **settings: Its other arguments.
    """

    def __init__(self, function: Callable[..., Any], **settings: Any):
        self.function = function
        self.settings = settings

    def __call__(self, step: Any) -> Any:
        """Return the rate of a step."""
        return self.function(step, **self.settings)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {"function": self.function, **self.settings}


def tenth_by_tenth(
    num_steps: int, first: float
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Return a rate that falls to a tenth after one half and after three quarters.

    Source: He et al., 2016, arXiv:1512.03385, section 4.2: 32,000 and 48,000 of 64,000.
    """
    places = [num_steps // 2, 3 * num_steps // 4]
    rates = [first, first / 10, first / 100]
    return keras.optimizers.schedules.PiecewiseConstantDecay(places, rates)
