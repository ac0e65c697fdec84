"""The way out: `model.fit`, for what the whole-epoch programs can't serve.

Where the data are arrays, the epochs still have the order and the random states that
follow from seed and epoch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfcourse.training import arrays
from tfcourse.training.arrays import NotServed, TooLarge
from tfcourse.training.order import EpochStart, OrderedBatches, ordered_dataset
from tfcourse.training.programs import programs_of
from tfcourse.training.request import Request
from tfcourse.training.served import has_strategy, needs_every_batch

STEPS_PER_EXECUTION = 32

Callbacks = keras.callbacks.CallbackList | Sequence[keras.callbacks.Callback]


def train(
    model: keras.Model, request: Request, callbacks: Callbacks
) -> keras.callbacks.History:
    """Train with `model.fit`, several steps per execution where nothing forbids it."""
    start = EpochStart()
    if isinstance(callbacks, keras.callbacks.CallbackList):
        listed = list(callbacks.callbacks)
        start.set_model(model)
        callbacks.callbacks.insert(0, start)
    else:
        listed = list(callbacks)
        callbacks = [start, *listed]
    steps = contextlib.nullcontext()
    if model.compiled and not model.run_eagerly:
        if not any(needs_every_batch(callback) for callback in listed):
            steps = several_steps(model)
    with steps:
        return model.fit(
            **_data(model, request, start),
            **request.keras_arguments(),
            callbacks=callbacks,
        )


def _data(model: keras.Model, request: Request, start: EpochStart) -> dict[str, Any]:
    """Return the arguments of `model.fit` that carry the data and their order."""
    # Keras warns that it can't shuffle these.
    is_stream = isinstance(request.x, tf.data.Dataset) or hasattr(request.x, "__next__")
    as_given = {
        "x": request.x,
        "y": request.y,
        "batch_size": request.batch_size,
        "shuffle": request.shuffle and not is_stream,
        "sample_weight": request.sample_weight,
        "class_weight": request.class_weight,
        "validation_data": request.validation_data,
        "validation_split": request.validation_split,
    }
    # A strategy distributes the data itself; it can't share the epoch's variable.
    if not request.shuffle or has_strategy(model):
        return as_given
    options: dict[str, Any] = {"batch_size": request.batch_size, "seed": request.seed}
    try:
        examples, validation = request.examples()
        try:
            data = arrays.tensors(examples)
            x = ordered_dataset(data, epoch=start.epoch, **options)
        except TooLarge:
            x = OrderedBatches(examples, start=start, **options)
    except NotServed:
        return as_given
    return {"x": x, "shuffle": False, "validation_data": validation}


@contextlib.contextmanager
def several_steps(model: keras.Model) -> Iterator[None]:
    """Run several steps per execution, unless the model was compiled to do so already.

    The model has its own number and its own compiled functions back afterwards.
    """
    if model.steps_per_execution > 1:
        yield
        return
    own = model.train_function, model.test_function, model.steps_per_execution
    kept = programs_of(model).fit_functions
    model.train_function, model.test_function = kept or (None, None)
    model.steps_per_execution = STEPS_PER_EXECUTION
    try:
        yield
    finally:
        functions = model.train_function, model.test_function
        programs_of(model).fit_functions = functions
        model.train_function, model.test_function, model.steps_per_execution = own
