"""Exercise 04's scripts: their data, their text with changes, their recordings."""

from __future__ import annotations

import contextlib
import functools
import inspect
import itertools
import linecache
import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from tfcourse import data
from tfcourse.catalog import find_exercise
from tfcourse.doctor.record import Record
from tfcourse.workspace import Workspace

EXERCISE = "failing_scripts"
NAMES = tuple("amber birch cedar delta ember fjord grove heath islet juniper".split())
HEALTHY = "healthy"
VAL_SHARE = 0.2
SPLIT_SEED = 0  # Fixed: every script sees the same digits.

BATCH_SIZE = 32  # Of all scripts.
ONE_BATCH_EPOCHS = 60
STEPS_PER_CALL = 36  # An epoch's, of the embedded digits.
# What `Recorder` writes and `read_run` leaves: pictures, texts and the graph.
UNREAD_TAGS = {"images/inputs", "keras"} | {
    f"cards/{name}" for name in ("model", "optimizer", "loss", "data")
}

Examples = tuple[np.ndarray, np.ndarray]
_counter = itertools.count()


def digits() -> tuple[Examples, Examples]:
    """Return embedded digits to train on and to validate on, as `split` does."""
    (images, labels), _ = data.load_arrays("mnist", "train", source="embedded")
    return split(images, labels)


def split(
    images: np.ndarray, labels: np.ndarray, num_examples: int | None = None
) -> tuple[Examples, Examples]:
    """Return examples to train on and to validate on: uint8 [n, 28, 28], int64 [n].

    Args:
        images: uint8 [n, 28, 28].
        labels: int64 [n].
        num_examples: Of both parts together; default: all.
    """
    order = np.random.default_rng(SPLIT_SEED).permutation(len(labels))[:num_examples]
    cut = round(len(order) * VAL_SHARE)
    train, val = order[cut:], order[:cut]
    return (images[train], labels[train]), (images[val], labels[val])


def log_folder(name: str) -> Path:
    """Return a new recording's folder, where `tfcourse board` finds it."""
    folder = Workspace.find().runs / find_exercise(EXERCISE).name
    return folder / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"


def script_text(name: str) -> str:
    """Return the text of a script as it is.

    Raises:
        ValueError: If there is no such script.
    """
    if name not in NAMES:
        raise ValueError(f"the scripts are {', '.join(NAMES)}; got {name!r}")
    path = find_exercise(EXERCISE).path("scripts") / f"{name}.py"
    return path.read_text(encoding="utf-8")


def changed(text: str, changes: Mapping[str, str]) -> str:
    """Return a script's text with each key of `changes` replaced by its value.

    Raises:
        ValueError: If a key does not occur exactly once.

    >>> changed("rate = 3", {"3": "0.3"})
    'rate = 0.3'
    """
    for old, new in changes.items():
        count = text.count(old)
        if count != 1:
            raise ValueError(
                f"{old!r} occurs {count} times in the script: copy a piece that occurs "
                "exactly once, spaces and line ends included"
            )
        text = text.replace(old, new)
    return text


def load_script(name: str, changes: Mapping[str, str] | None = None) -> ModuleType:
    """Return a script, with `changes` or as it is, as a module: call its `train`.

    Raises:
        ValueError: If there is no such script, or a change does not fit.
        SyntaxError: If the changed text is no Python.
    """
    text = changed(script_text(name), changes or {})
    module = ModuleType(f"tfcourse_script_{name}_{next(_counter)}")
    module.__file__ = f"{name}.py" if not changes else f"{name}.py, changed"
    # TensorFlow's AutoGraph and tracebacks look for the source there.
    lines = text.splitlines(keepends=True)
    key = f"<{module.__name__}>"
    linecache.cache[key] = (len(text), None, lines, key)
    exec(compile(text, key, "exec"), module.__dict__)
    if not inspect.isfunction(getattr(module, "train", None)):
        raise ValueError(f"the changed {name}.py defines no train()")
    return module


def record(
    name: str,
    changes: Mapping[str, str] | None = None,
    *,
    one_batch: bool = False,
    epochs: int | None = None,
) -> Path:
    """Train a script on embedded digits, recorded for TensorBoard; return the folder.

    Args:
        name: Of the script.
        changes: Texts to replace in it; default: the script as it is.
        one_batch: Whether to train on one batch alone, and to validate on the same: can
            the network learn it by heart?
        epochs: Default: the script's own; of one batch, `ONE_BATCH_EPOCHS`.
    """
    import keras

    from tfcourse.doctor import Recorder

    train_data, val_data = digits()
    ending = "mended" if changes else "as_it_is"
    if one_batch:
        train_data = val_data = train_data[0][:BATCH_SIZE], train_data[1][:BATCH_SIZE]
        ending, epochs = f"{ending}_one_batch", epochs or ONE_BATCH_EPOCHS
    folder = log_folder(f"{name}_{ending}")
    module = load_script(name, changes)
    keras.utils.set_random_seed(0)
    options = {"epochs": epochs} if epochs else {}
    module.train(train_data, val_data, [Recorder(folder)], **options)
    return folder


@contextlib.contextmanager
def fit_replaced(replacement: Callable[[Callable, Any, dict], Any]) -> Iterator[None]:
    """Let `replacement(fit, model, arguments)` stand in for Keras's `fit` in the body."""
    import keras

    original = keras.Model.fit

    def fit(self: Any, *args: Any, **kwargs: Any) -> Any:
        bound = inspect.signature(original).bind(self, *args, **kwargs)
        bound.apply_defaults()
        arguments = {k: v for k, v in bound.arguments.items() if k != "self"}
        return replacement(original, self, arguments)

    keras.Model.fit = fit
    try:
        yield
    finally:
        keras.Model.fit = original


@functools.cache
def mended_accuracy(name: str, changes: tuple[tuple[str, str], ...]) -> float:
    """Return the validation accuracy of a changed script, trained on embedded digits.

    The training is that of the script, with many steps in one call, without XLA and with
    one validation at the end: half of the time.
    """
    import keras

    def fit(original: Callable, model: Any, arguments: dict) -> Any:
        model.jit_compile = False
        with contextlib.suppress(TypeError):  # A tf.data set of unknown length.
            len(arguments["x"])
            model.steps_per_execution = STEPS_PER_CALL
        return original(model, **arguments | {"validation_freq": arguments["epochs"]})

    module, datasets = load_script(name, dict(changes)), digits()
    keras.utils.set_random_seed(0)
    with fit_replaced(fit):
        history = module.train(*datasets, []).history
    return float(history["val_accuracy"][-1])


def recorded_tags(found: Record) -> set[str]:
    """Return the tags of a recording that TensorBoard shows, as `plain_tag` has them."""
    tags = {*found.train, *found.validation, *found.histograms}
    return {plain_tag(tag) for tag in tags} | UNREAD_TAGS


def plain_tag(tag: str) -> str:
    """Return a tag as it is in every process: Keras numbers layers without a name.

    >>> plain_tag("activations/flatten_3")
    'activations/flatten'
    """
    return re.sub(r"\b(flatten|rescaling|input_layer)_\d+", r"\1", tag.strip())
