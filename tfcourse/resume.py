"""Resume points: a killed `fit` goes on to the weights that it would have had.

Each epoch ends with a file that holds the model's variables (random states of dropout
layers included), the optimizer's, the history so far, and the state of other callbacks.
The file before it is kept too: if the newest is damaged, training repeats one epoch.

Randomness outside the model is tied to names instead of saved: a stage and each of its
epochs begin with Python's, NumPy's and TensorFlow's generators seeded from the run's
seed, the stage's name and the epoch. The order of a shuffled `tf.data` set depends on
how many iterators were made of it: they are counted, and a resumed run makes as many.
"""

from __future__ import annotations

import os
import random
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfcourse.errors import UserError
from tfcourse.resume_points import (
    DamagedPointError,
    Point,
    decode,
    encode,
    restore_state,
    saved_state,
)
from tfcourse.run_folder import write_bytes, writing
from tfcourse.shuffle_order import CountedIterators

# Writing may take this share of the training time; then some epochs write no point.
MAX_SHARE_OF_TIME = 0.1


def seed_everything(*parts: object) -> None:
    """Seed Python, NumPy, TensorFlow and Keras from the parts' text."""
    keras.utils.set_random_seed(_seed(parts))


def _seed(parts: Sequence[object]) -> int:
    return zlib.crc32("/".join(map(str, parts)).encode())


class ResumePoints(keras.callbacks.Callback):
    """Writes resume points, and goes on from the newest when the run was resumed.

    Args:
        folder: Where this stage's points lie.
        seed: The run's seed.
        name: The stage's name.
        resume: Whether to go on from a point that is there.
        train_ds: The shuffled `tf.data` set given to `fit`, if any.
        others: Callbacks with a state of their own, such as `EarlyStopping`. They stand
            before this one in the list given to `fit`.
        say: Receives a line when a point is damaged or the stage is resumed.
        saved: Called after each point.
    """

    def __init__(
        self,
        folder: Path,
        *,
        seed: int,
        name: str,
        resume: bool,
        train_ds: tf.data.Dataset | None = None,
        others: Sequence[keras.callbacks.Callback] = (),
        say: Callable[[str], None] = print,
        saved: Callable[[], None] = lambda: None,
    ):
        super().__init__()
        self.folder = folder
        self.seed = seed
        self.name = name
        self.resume = resume
        self.others = others
        self.say = say
        self.saved = saved
        self.iterators = CountedIterators(train_ds)

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Restore the newest point, if the run was resumed and has one."""
        seed_everything(self.seed, self.name)
        self.iterators.begin()
        self._num_epochs = 0
        self._record: dict[str, list[float]] = {}
        self._warned = False
        self._last_written = time.perf_counter()
        self._seconds_to_write = 0.0
        self.model._initial_epoch = None
        point = self._newest_point() if self.resume else None
        if point is not None:
            self._restore(point)

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Seed what draws random numbers outside the model."""
        self.iterators.begin_epoch()
        seed = _seed((self.seed, self.name, epoch))
        random.seed(seed)
        np.random.seed(seed)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Write a point, unless the last one was expensive and is recent."""
        self._num_epochs = epoch + 1
        for key, value in (logs or {}).items():
            self._record.setdefault(key, []).append(float(value))
        if not self._warned and not self.iterators.can_be_found():
            self._warned = True
            self.say(
                f"{self.name}: `fit` does not make an iterator of train_ds for each "
                "epoch; if this run is resumed, the order of examples will differ"
            )
        elapsed = time.perf_counter() - self._last_written
        if elapsed * MAX_SHARE_OF_TIME >= self._seconds_to_write:
            self._write(ended=bool(self.model.stop_training))

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Write the last point; the stage is not trained again."""
        self.model._initial_epoch = None
        history = getattr(self.model, "history", None)
        if history is not None:
            history.history = {key: list(v) for key, v in self._record.items()}
            history.epoch = list(range(self._num_epochs))
        self._write(ended=True)
        seed_everything(self.seed, self.name, "end")

    def _restore(self, point: Point) -> None:
        variables = self._variables()
        shapes = [tuple(value.shape) for value in point.variables]
        if [tuple(variable.shape) for variable in variables] != shapes:
            raise UserError(
                f"the unfinished run trained another model in {self.name!r}; "
                "start a new run (without --resume)"
            )
        for variable, value in zip(variables, point.variables, strict=True):
            variable.assign(value)
        self._num_epochs = point.num_epochs
        self._record = {key: list(values) for key, values in point.history.items()}
        for callback, state in zip(self.others, point.callbacks, strict=False):
            restore_state(callback, state)
        self.iterators.restore(point.data_order)
        epochs = self.params.get("epochs") or point.num_epochs
        # What Keras's own BackupAndRestore sets: `fit` starts at this epoch.
        self.model._initial_epoch = epochs if point.ended else point.num_epochs
        done = "complete" if point.ended else f"resumed after epoch {point.num_epochs}"
        self.say(f"{self.name}: {done}")

    def _variables(self) -> list[Any]:
        """Return everything that training changes, built, in a fixed order."""
        variables = list(self.model.variables)
        optimizer = self.model.optimizer
        if optimizer is not None:
            if not optimizer.built:
                optimizer.build(self.model.trainable_variables)
            variables += optimizer.variables
        return variables

    def _write(self, *, ended: bool) -> None:
        started = time.perf_counter()
        point = Point(
            num_epochs=self._num_epochs,
            ended=ended,
            variables=[np.asarray(v.numpy()) for v in self._variables()],
            history=self._record,
            data_order=self.iterators.state(),
            callbacks=[saved_state(callback) for callback in self.others],
        )
        newest, previous = self._paths()
        if newest.exists():
            with writing(newest):
                os.replace(newest, previous)
        write_bytes(newest, encode(point))
        self.saved()
        self._last_written = time.perf_counter()
        self._seconds_to_write = self._last_written - started

    def _paths(self) -> tuple[Path, Path]:
        return self.folder / "newest.npz", self.folder / "previous.npz"

    def _newest_point(self) -> Point | None:
        damaged = False
        for path in self._paths():
            if not path.exists():
                continue
            try:
                point = decode(path.read_bytes())
            except (OSError, DamagedPointError):
                damaged = True
                continue
            if damaged:
                self.say(
                    f"{self.name}: the newest resume point is damaged; "
                    "took the one before"
                )
            return point
        if damaged:
            self.say(f"{self.name}: the resume points are damaged; starts from epoch 1")
        return None
