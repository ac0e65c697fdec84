"""How long training took, interruptions left out."""

from __future__ import annotations

import time
from typing import Any

import keras


class EpochClock(keras.callbacks.Callback):
    """Adds `seconds` to each epoch's logs: its training and its validation.

    It belongs before the callbacks that read the logs. Since the seconds are a part of
    the history, they outlive an interruption, and resuming does not shorten them.
    """

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Start the clock."""
        self._started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Add the epoch's seconds."""
        if logs is not None:
            logs["seconds"] = time.perf_counter() - self._started
