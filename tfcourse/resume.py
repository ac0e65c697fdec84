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

import io
import itertools
import json
import os
import random
import time
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfcourse.errors import UserError
from tfcourse.run_folder import write_bytes, writing

FORMAT = 1
# Writing may take this share of the training time; then some epochs write no point.
MAX_SHARE_OF_TIME = 0.1


@dataclass
class Point:
    """The state at the end of an epoch."""

    num_epochs: int  # Epochs done.
    complete: bool  # Whether `fit` has ended.
    variables: list[np.ndarray]
    history: dict[str, list[float]]
    num_iterators: int = 0  # Made of the training set since the stage began.
    callbacks: list[dict[str, Any]] = field(default_factory=list)


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
        others: Callbacks with a state of their own, such as `EarlyStopping`.
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
        self._waiting: list[dict[str, Any]] = []
        self._last_written = time.perf_counter()
        self._seconds_to_write = 0.0
        self.model._initial_epoch = None
        point = self._newest_point() if self.resume else None
        if point is not None:
            self._restore(point)

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Seed what draws random numbers outside the model."""
        # By now every callback has begun and set itself to its start.
        for callback, state in zip(self.others, self._waiting, strict=False):
            restore_state(callback, state)
        self._waiting = []
        seed = _seed((self.seed, self.name, epoch))
        random.seed(seed)
        np.random.seed(seed)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Write a point, unless the last one was expensive and is recent."""
        self._num_epochs = epoch + 1
        for key, value in (logs or {}).items():
            self._record.setdefault(key, []).append(float(value))
        elapsed = time.perf_counter() - self._last_written
        if elapsed * MAX_SHARE_OF_TIME >= self._seconds_to_write:
            self._write(complete=False)

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Write the last point; the stage is not trained again."""
        self.model._initial_epoch = None
        history = getattr(self.model, "history", None)
        if history is not None:
            history.history = {key: list(v) for key, v in self._record.items()}
            history.epoch = list(range(self._num_epochs))
        self._write(complete=True)
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
        self._waiting = point.callbacks
        self.iterators.advance(point.num_iterators)
        epochs = self.params.get("epochs") or point.num_epochs
        # What Keras's own BackupAndRestore sets: `fit` starts at this epoch.
        self.model._initial_epoch = epochs if point.complete else point.num_epochs
        done = (
            "complete" if point.complete else f"resumed after epoch {point.num_epochs}"
        )
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

    def _write(self, *, complete: bool) -> None:
        started = time.perf_counter()
        point = Point(
            num_epochs=self._num_epochs,
            complete=complete,
            variables=[variable.numpy() for variable in self._variables()],
            history=self._record,
            num_iterators=self.iterators.since_begin(),
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
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
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


class CountedIterators:
    """Counts the iterators made of a dataset, and makes a given number of them.

    A dataset shuffles by seeds that it draws once per iterator, and Keras makes one or
    two iterators per epoch, so the count alone tells where the order stands.
    """

    def __init__(self, dataset: tf.data.Dataset | None):
        self.dataset = dataset
        self._at_begin = 0
        if dataset is not None and not hasattr(dataset, "num_iterators_made"):
            dataset.num_iterators_made = 0
            # `iter` looks at the class alone: this one object gets its own class.
            dataset.__class__ = _counting_class(type(dataset))

    def begin(self) -> None:
        """Count from here."""
        self._at_begin = self._total()

    def since_begin(self) -> int:
        """Return how many iterators were made since `begin`."""
        return self._total() - self._at_begin

    def advance(self, num_iterators: int) -> None:
        """Make iterators until `num_iterators` were made since `begin`."""
        if self.dataset is None:
            return
        for index in range(self.since_begin(), num_iterators):
            iterator = iter(self.dataset)
            if index == 0:
                # The first pass fills the caches, as it did in the first epoch: a cache
                # after the shuffle keeps that pass's order for good.
                cardinality = int(self.dataset.cardinality())
                num_batches = cardinality if cardinality >= 0 else None
                for _ in itertools.islice(iterator, num_batches):
                    pass

    def _total(self) -> int:
        return 0 if self.dataset is None else self.dataset.num_iterators_made


def _counting_class(base: type) -> type:
    def __iter__(self: Any) -> Any:
        self.num_iterators_made += 1
        return base.__iter__(self)

    return type(base.__name__, (base,), {"__iter__": __iter__})


def saved_state(callback: keras.callbacks.Callback) -> dict[str, Any]:
    """Return the callback's numbers, texts and arrays: what it counts and remembers."""
    state = {}
    for key, value in vars(callback).items():
        if isinstance(value, bool | int | float | str | np.number | np.ndarray) or (
            isinstance(value, list) and all(isinstance(v, np.ndarray) for v in value)
        ):
            state[key] = value
    return state


def restore_state(callback: keras.callbacks.Callback, state: Mapping[str, Any]) -> None:
    """Give the callback the state that `saved_state` returned."""
    vars(callback).update(state)


def encode(point: Point) -> bytes:
    """Return the point as the bytes of an npz file, which carries checksums."""
    arrays: dict[str, np.ndarray] = {}

    def store(value: Any) -> Any:
        """Return a JSON value that stands for `value`, arrays by their names."""
        if isinstance(value, np.ndarray):
            key = f"array_{len(arrays)}"
            # bfloat16 and its like are unknown to the file format: bytes and a name.
            raw = np.frombuffer(np.ascontiguousarray(value).tobytes(), np.uint8)
            arrays[key] = raw
            return {"array": key, "dtype": value.dtype.name, "shape": value.shape}
        if isinstance(value, np.number):
            return value.item()
        if isinstance(value, list):
            return [store(item) for item in value]
        if isinstance(value, dict):
            return {key: store(item) for key, item in value.items()}
        return value

    content = {
        "format": FORMAT,
        "num_epochs": point.num_epochs,
        "complete": point.complete,
        "variables": store(point.variables),
        "history": point.history,
        "num_iterators": point.num_iterators,
        "callbacks": store(point.callbacks),
    }
    text = np.frombuffer(json.dumps(content).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, content=text, **arrays)
    return buffer.getvalue()


def decode(data: bytes) -> Point:
    """Return the point that `encode` turned into bytes.

    Raises:
        ValueError, KeyError, EOFError, zipfile.BadZipFile: If the bytes are damaged.
    """
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        content = json.loads(arrays["content"].tobytes())
        if content.pop("format") != FORMAT:
            raise ValueError("unknown format")

        def load(value: Any) -> Any:
            if isinstance(value, list):
                return [load(item) for item in value]
            if isinstance(value, dict) and set(value) == {"array", "dtype", "shape"}:
                dtype = tf.dtypes.as_dtype(value["dtype"]).as_numpy_dtype
                raw = arrays[value["array"]].tobytes()
                return np.frombuffer(raw, dtype).reshape(value["shape"]).copy()
            if isinstance(value, dict):
                return {key: load(item) for key, item in value.items()}
            return value

        return Point(
            **{
                **content,
                "variables": load(content["variables"]),
                "callbacks": load(content["callbacks"]),
            }
        )
