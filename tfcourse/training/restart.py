"""A fresh start for a model without compiling it again."""

from __future__ import annotations

import random
from typing import Any

import keras


def reinitialize(
    model: keras.Model, *, seed: int, learning_rate: float | None = None
) -> None:
    """Give the model new weights, and its optimizer its first state.

    What `fit` compiled for the model stays, so trainings that differ in seed or learning
    rate alone cost one compilation. All randomness of the layers (initializers, masks of
    dropout) follows from `seed`, whatever seeds the model was built with.

    Args:
        model: Compiled; its layers can be made from their configurations.
        seed: Of weights and random states.
        learning_rate: New constant rate. By default it stays what it is now: callbacks
            may have changed it.
    """
    # Keras draws the seeds of layers from Python's generator, whose state is the user's.
    state = random.getstate()
    random.seed(seed)
    try:
        fresh = keras.models.clone_model(model, clone_function=_unseeded)
    finally:
        random.setstate(state)
    for variable, value in zip(model.variables, fresh.variables, strict=True):
        variable.assign(value)
    optimizer = model.optimizer
    if learning_rate is not None:
        optimizer.learning_rate = learning_rate
    if optimizer.built:
        first = type(optimizer).from_config(optimizer.get_config())
        first.build(model.trainable_variables)
        for variable, value in zip(optimizer.variables, first.variables, strict=True):
            variable.assign(value)
    model.reset_metrics()


def _unseeded(layer: keras.Layer) -> keras.Layer:
    return type(layer).from_config(_without_seeds(layer.get_config()))


def _without_seeds(config: Any) -> Any:
    if isinstance(config, dict):
        return {
            key: None if key == "seed" else _without_seeds(value)
            for key, value in config.items()
        }
    if isinstance(config, list | tuple):
        return type(config)(_without_seeds(item) for item in config)
    return config
