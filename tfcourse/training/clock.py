"""How long training took, interruptions left out."""

from __future__ import annotations

import time
from typing import Any

import keras


class EpochClock(keras.callbacks.Callback):
    """Adds to each epoch's logs its `seconds` and `cpu_seconds`, of all processor cores.

    The first epoch's count from the clock's making, so that tracing and compiling are a
    part of them. What callbacks do between two epochs is not counted. The clock belongs
    before the callbacks that read the logs. Since the seconds are a part of the history,
    they outlive an interruption, and resuming does not shorten them.
    """

    def __init__(self):
        super().__init__()
        self._is_new = True
        self._start()

    def _start(self) -> None:
        self._started = time.perf_counter(), time.process_time()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Start the clock, if this is not the first epoch."""
        if not self._is_new:
            self._start()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Add the epoch's seconds."""
        self._is_new = False
        if logs is not None:
            logs["seconds"] = time.perf_counter() - self._started[0]
            logs["cpu_seconds"] = time.process_time() - self._started[1]
