"""One call of `fit`: its arguments, and the data in them as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import keras

from tfcourse.training import arrays
from tfcourse.training.arrays import NotServed


@dataclass(frozen=True)
class Request:
    """The arguments of `fit` that say what to train on; `fit` explains them."""

    x: Any
    y: Any = None
    batch_size: int = 32
    epochs: int = 1
    validation_data: Any = None
    shuffle: bool = True
    seed: int = 0
    initial_epoch: int = 0
    verbose: int | str = 0
    sample_weight: Any = None
    class_weight: Mapping[int, float] | None = None
    validation_split: float = 0.0
    validation_batch_size: int | None = None
    validation_freq: int | list[int] = 1
    others: Mapping[str, Any] = field(default_factory=dict)

    def check(self) -> None:
        """Refuse what makes no sense for any engine.

        Raises:
            ValueError: With the rule and what was received.
        """
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1; got {self.batch_size}")
        if self.sample_weight is not None and self.class_weight is not None:
            raise ValueError("give sample_weight or class_weight, not both")
        if self.validation_split and self.validation_data is not None:
            raise ValueError("give validation_data or validation_split, not both")

    def examples(self) -> tuple[tuple[Any, ...], Any]:
        """Return the arrays to train on, and what to validate on (None: nothing).

        Raises:
            NotServed: If `x` is no array, or `fit` got arguments for `model.fit` alone.
            ValueError: If the arrays don't fit together.
        """
        if self.others:
            raise NotServed(f"{', '.join(self.others)} was given")
        if self.shuffle not in (True, False):
            raise NotServed(f"shuffle is {self.shuffle!r}")
        sample_weight = self.sample_weight
        if self.class_weight is not None:
            sample_weight = arrays.class_weights(self.y, self.class_weight)
        examples = arrays.examples(self.x, self.y, sample_weight)
        if not self.validation_split:
            return examples, self.validation_data
        return arrays.split(examples, self.validation_split)

    def validates_after(self, epoch: int) -> bool:
        """Tell whether the epoch, counted from 0, ends with a validation."""
        frequency = self.validation_freq
        if isinstance(frequency, int):
            return (epoch + 1) % frequency == 0
        return epoch + 1 in frequency

    def keras_arguments(self) -> dict[str, Any]:
        """Return the arguments for `model.fit`, the data and their order left out."""
        return {
            "epochs": self.epochs,
            "verbose": self.verbose,
            "initial_epoch": self.initial_epoch,
            "validation_batch_size": self.validation_batch_size or self.batch_size,
            "validation_freq": self.validation_freq,
            **self.others,
        }


def num_steps(examples: tuple[Any, ...], batch_size: int) -> int:
    """Return the number of steps of one epoch."""
    return -(-len(keras.tree.flatten(examples)[0]) // batch_size)
