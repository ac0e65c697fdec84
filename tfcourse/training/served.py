"""What the whole-epoch programs serve, and what is left to `model.fit`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import tensorflow as tf

# A model that overrides one of these may do anything, also in Python.
OWN_METHODS = (
    "call",
    "train_step",
    "test_step",
    "compute_metrics",
    "make_train_function",
    "make_test_function",
    "reset_metrics",
    "fit",
    "evaluate",
)
BATCH_METHODS = (
    "on_batch_begin",
    "on_batch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
)
# A callback sets this to True to say that a few calls per epoch are enough for it.
FEW_CALLS_ATTRIBUTE = "few_batch_calls_are_enough"
# A callback sets this to True to say that it takes hold of the train function.
EVERY_BATCH_ATTRIBUTE = "looks_into_batches"


def reason_for_fit(
    model: keras.Model, callbacks: Iterable[keras.callbacks.Callback]
) -> str | None:
    """Return why only `model.fit` can train this model with these callbacks, if so."""
    if not model.compiled or model.optimizer is None:
        return "the model is not compiled"
    if model.run_eagerly or tf.config.functions_run_eagerly():
        return "the model runs eagerly"
    if has_strategy(model):
        return "a distribution strategy is in use"
    if keras.config.max_epochs() or keras.config.max_steps_per_epoch():
        return "Keras's limits for debugging are set"
    for name in OWN_METHODS:
        if not _is_from_keras(getattr(type(model), name)):
            return f"{type(model).__name__} has a {name} of its own"
    for callback in callbacks:
        if needs_every_batch(callback):
            return f"{type(callback).__name__} asks for every batch"
    return None


def has_strategy(model: keras.Model) -> bool:
    """Tell whether a distribution strategy is in use, even one with a single device."""
    if tf.distribute.has_strategy():
        return True
    # Outside of any scope this is the default strategy.
    return model.distribute_strategy is not tf.distribute.get_strategy()


def needs_every_batch(callback: keras.callbacks.Callback) -> bool:
    """Tell whether the callback does something at batches that can't wait.

    Progress bars can, and so can Keras's callbacks unless they are set to a number of
    batches.
    """
    if getattr(callback, EVERY_BATCH_ATTRIBUTE, False):
        return True
    if getattr(callback, FEW_CALLS_ATTRIBUTE, False):
        return False
    if isinstance(callback, keras.callbacks.ProgbarLogger):
        return False
    if isinstance(callback, keras.callbacks.TensorBoard):
        # Without a summary at each batch only the profiler looks at them.
        profiles = getattr(callback, "_should_trace", False)
        per_batch = callback.update_freq != "epoch" or callback.write_steps_per_second
        if profiles or per_batch:
            return True
    if getattr(callback, "save_freq", "epoch") != "epoch":
        return True
    return not all(_is_from_keras(getattr(callback, name)) for name in BATCH_METHODS)


def _is_from_keras(method: Any) -> bool:
    return str(getattr(method, "__module__", "")).split(".")[0] == "keras"
