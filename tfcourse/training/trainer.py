"""`fit` for data in memory: a whole epoch as one compiled program."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import keras

from tfcourse.training import engines, keras_fit
from tfcourse.training.arrays import NotServed
from tfcourse.training.engines import Engine
from tfcourse.training.epochs import EpochLoop
from tfcourse.training.keras_fit import Callbacks
from tfcourse.training.request import Request, num_steps
from tfcourse.training.served import reason_for_fit

logger = logging.getLogger("tfcourse.training")


def fit(
    model: keras.Model,
    x: Any,
    y: Any = None,
    *,
    batch_size: int | None = 32,
    epochs: int = 1,
    validation_data: Any = None,
    callbacks: Callbacks | None = None,
    shuffle: bool = True,
    seed: int = 0,
    initial_epoch: int = 0,
    verbose: int | str = 0,
    engine: str = "auto",
    sample_weight: Any = None,
    class_weight: Mapping[int, float] | None = None,
    validation_split: float = 0.0,
    validation_batch_size: int | None = None,
    validation_freq: int | list[int] = 1,
    **fit_arguments: Any,
) -> keras.callbacks.History:
    """Train the model as `model.fit` does on arrays, and return its history.

    An epoch, shuffling included, runs as one compiled program, with XLA or without: the
    first steps are timed with both and the faster goes on. `history.engine` says which
    and why. What it can't serve (generators, `tf.data`, models with a `train_step` of
    their own, callbacks that ask for every batch) it gives to `model.fit`, and says so
    in one line of the log.

    The order of an epoch follows from `seed` and the epoch's number alone, its dropout
    masks from the layers' own seeds and that number. Engines round differently, and XLA
    draws other masks: name one to get the same bits in every run. A resumed run
    (`ResumePoints`, `BackupAndRestore`) keeps its engine.

    Callbacks get their epochs as usual; of batches they get one call per epoch, or one
    a second in long epochs, as with a large `steps_per_execution`. One of your own with
    methods for batches that is content with this sets `few_batch_calls_are_enough`.

    Args:
        model: Compiled. A second call with the same shapes compiles nothing again.
        x: Array or tensor [n, ...], or a tuple, list or dict of them.
        y: Targets, likewise.
        batch_size: Examples per step, 32 for None; the last step takes what is left.
        epochs: Number of the last epoch, counted from 1.
        validation_data: `(x, y)` or `(x, y, sample_weight)`, or what `evaluate` takes.
        callbacks: As for `model.fit`.
        shuffle: Whether each epoch has an order of its own.
        seed: Of the epochs' orders.
        initial_epoch: Epochs that are already done.
        verbose: 0 silent, 1 Keras's progress bar, 2 a line per epoch.
        engine: auto, xla, graph (compiled without XLA) or fit.
        sample_weight: Weight per example, or one array per output.
        class_weight: Weight by class, for a model with one output.
        validation_split: Share of the examples, the last ones, to validate on.
        validation_batch_size: Examples per validation step, `batch_size` by default.
        validation_freq: Validate each so many epochs, or after the epochs in this list.
        **fit_arguments: Others of `model.fit`; with them `model.fit` trains.

    Raises:
        ValueError: If `engine` is unknown or, named, can't serve this call.
    """
    if engine not in ("auto", *engines.NAMES):
        raise ValueError(f"engine must be auto, xla, graph or fit; got {engine!r}")
    request = Request(
        x=x,
        y=y,
        batch_size=32 if batch_size is None else batch_size,
        epochs=epochs,
        validation_data=validation_data,
        shuffle=shuffle,
        seed=seed,
        initial_epoch=initial_epoch,
        verbose=verbose,
        sample_weight=sample_weight,
        class_weight=class_weight,
        validation_split=validation_split,
        validation_batch_size=validation_batch_size,
        validation_freq=validation_freq,
        others=fit_arguments,
    )
    request.check()
    return _train(model, request, callbacks, engine)


def _train(
    model: keras.Model,
    request: Request,
    callbacks: Callbacks | None,
    engine: str,
) -> keras.callbacks.History:
    given = callbacks if callbacks is not None else []
    is_list = isinstance(given, keras.callbacks.CallbackList)
    plain = list(given.callbacks if is_list else given)
    name = engine if engine != "auto" else engines.recorded(plain) or "auto"
    if name == "fit":
        return _fit_with_keras(model, request, given, "named")
    try:
        reason = reason_for_fit(model, plain)
        if reason is not None:
            raise NotServed(reason)
        examples, validation = request.examples()
        if not is_list:
            given = keras.callbacks.CallbackList(
                plain,
                add_history=True,
                add_progbar=request.verbose != 0,
                verbose=request.verbose,
                epochs=request.epochs,
                steps=num_steps(examples, request.batch_size),
                model=model,
            )
        loop = EpochLoop(model, request, examples, validation, given, name)
    except NotServed as error:
        if engine != "auto":
            raise ValueError(
                f"engine={engine!r} can't train this: {error}; use engine='auto'"
            ) from error
        logger.warning("tfcourse.training: model.fit trains, since %s", error)
        return _fit_with_keras(model, request, given, str(error))
    return loop.run()


def _fit_with_keras(
    model: keras.Model, request: Request, callbacks: Callbacks, reason: str
) -> keras.callbacks.History:
    history = keras_fit.train(model, request, callbacks)
    history.engine = Engine("fit", reason)
    return history
