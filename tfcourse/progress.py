"""Live progress of training and loops: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import atexit
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

import keras
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

Item = TypeVar("Item")

# Without a terminal, a line at most this often: 200 short epochs don't fill a log.
SECONDS_BETWEEN_LINES = 2.0


class LiveProgress:
    """The bars of one run; in a notebook or a pipe it prints lines instead."""

    def __init__(self, *, show: bool = True, console: Console | None = None):
        self.console = console or Console()
        self.show = show
        self.is_live = show and self.console.is_terminal
        self._bars: Progress | None = None
        self._num_open = 0

    def open(self, label: str, total: float | None) -> TaskID | None:
        """Add a bar and return its id; None where there are only lines."""
        if not self.is_live:
            return None
        if self._bars is None:
            self._bars = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                TextColumn("{task.fields[detail]}"),
                TimeRemainingColumn(compact=True),
                console=self.console,
                transient=True,
                refresh_per_second=4,
            )
            self._bars.start()
            # An interrupted run would leave the terminal without its cursor.
            atexit.register(self._bars.stop)
        self._num_open += 1
        return self._bars.add_task(label, total=total, detail="")

    def update(self, task: TaskID | None, completed: float, detail: str) -> None:
        """Move a bar."""
        if self._bars is not None and task is not None:
            self._bars.update(task, completed=completed, detail=detail)

    def close(self, task: TaskID | None) -> None:
        """Remove a bar; the last one gives the terminal back."""
        if self._bars is None or task is None:
            return
        self._bars.remove_task(task)
        self._num_open -= 1
        if self._num_open == 0:
            self._bars.stop()
            atexit.unregister(self._bars.stop)
            self._bars = None

    def line(self, text: str) -> None:
        """Print a line (above the bars)."""
        if self.show:
            self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def track(self, iterable: Iterable[Item], label: str) -> Iterator[Item]:
        """Yield the items, showing how many are done and how long the rest takes."""
        total = len(iterable) if hasattr(iterable, "__len__") else None
        task = self.open(label, total)
        started = last_line = time.perf_counter()
        done = 0
        try:
            for item in iterable:
                yield item
                done += 1
                count = f"{done}/{total}" if total else f"{done}"
                self.update(task, done, count)
                now = time.perf_counter()
                if task is None and now - last_line > SECONDS_BETWEEN_LINES:
                    last_line = now
                    self.line(f"{label}: {count}, {now - started:.0f} s")
        finally:
            self.close(task)
            seconds = time.perf_counter() - started
            self.line(f"{label}: {done} done in {seconds:.1f} s")


class FitProgress(keras.callbacks.ProgbarLogger):
    """Shows epoch, loss, validation metric and time left of one `fit`.

    It is a `ProgbarLogger` so that `fit` leaves its own bar out, whatever `verbose` is.
    """

    def __init__(self, live: LiveProgress, name: str, epochs: int):
        super().__init__()
        self.live = live
        self.name = name
        self.epochs = epochs
        self._task: TaskID | None = None
        self._epoch = 0
        self._detail = ""

    def set_params(self, params: dict[str, Any] | None) -> None:
        """Take the parameters of `fit` (number of steps of an epoch, if known)."""
        self.params = params or {}

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Open the bar."""
        self._started = self._last_line = time.perf_counter()
        self._last_shown = 0.0
        self._epoch = 0
        self._first_epoch: int | None = None
        self._logs: Mapping[str, Any] = {}
        self._task = self.live.open(self.name, self.epochs)

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Show the epoch's number."""
        if self._first_epoch is None:
            self._first_epoch = epoch
        self._epoch = epoch
        self.live.update(self._task, epoch, self._text(epoch + 1))

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Do nothing."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Move the bar within a long epoch, four times a second at most."""
        steps = self.params.get("steps")
        now = time.perf_counter()
        if self._task is None or not steps or now - self._last_shown < 0.25:
            return
        self._last_shown = now
        # Converting the loss waits for the step: that is why it happens so rarely.
        if logs and "loss" in logs:
            self._logs = {**self._logs, "loss": float(logs["loss"])}
        done = self._epoch + min((batch + 1) / steps, 1.0)
        self.live.update(self._task, done, self._text(self._epoch + 1))

    def on_test_begin(self, logs: Any = None) -> None:
        """Do nothing."""

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """Do nothing."""

    def on_test_end(self, logs: Any = None) -> None:
        """Do nothing."""

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Show the epoch's figures."""
        self._logs = dict(logs or {})
        self.live.update(self._task, epoch + 1, self._text(epoch + 1))
        now = time.perf_counter()
        due = now - self._last_line > SECONDS_BETWEEN_LINES
        if self._task is None and due and epoch + 1 < self.epochs:
            self._last_line = now
            done = epoch + 1 - (self._first_epoch or 0)
            left = (now - self._started) / done * (self.epochs - epoch - 1)
            self.live.line(
                f"{self.name}: {self._text(epoch + 1)}, about {left:.0f} s left"
            )

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Close the bar and leave one line."""
        self.live.close(self._task)
        if self._first_epoch is not None:
            seconds = time.perf_counter() - self._started
            self.live.line(
                f"{self.name}: {self._text(self._epoch + 1)}, {seconds:.1f} s"
            )

    def _text(self, epoch: int) -> str:
        parts = [f"epoch {epoch}/{self.epochs}"]
        for key in shown_metrics(self._logs):
            parts.append(f"{key} {float(self._logs[key]):.4g}")
        return "  ".join(parts)


def shown_metrics(logs: Mapping[str, Any]) -> list[str]:
    """Return the keys to show: the loss and one metric, of the validation set if any.

    >>> shown_metrics({"loss": 1, "accuracy": 0.5, "val_loss": 1, "val_accuracy": 0.4})
    ['loss', 'val_accuracy']
    """
    others = [key for key in logs if key not in ("loss", "val_loss", "learning_rate")]
    validation = [key for key in others if key.startswith("val_")]
    fallback = ["val_loss"] if "val_loss" in logs else []
    metric = (validation or fallback or others)[:1]
    return [key for key in ["loss", *metric] if key in logs]
