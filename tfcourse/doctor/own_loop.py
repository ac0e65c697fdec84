"""What a loop of one's own does, in the terms of Keras; and models that aren't built."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf


def is_built(model: keras.Model, batch: Any) -> bool:
    """Build what `fit` would build when it traces its first step; return whether it is.

    Without that the variables would be made while the step is looked at. The order is
    the same, so the initial weights are.
    """
    compiled = getattr(model, "_compile_metrics", None)
    if all(layer.built for layer in model._flatten_layers()) and (
        compiled is None or compiled.built
    ):
        return True
    try:
        with model.distribute_strategy.scope():
            model._symbolic_build(data_batch=batch)
    except Exception:  # Of the user's code; the step itself will raise or build.
        return (
            all(layer.built for layer in model._flatten_layers()) and compiled is None
        )
    return True


def own_loss(model: keras.Model, loss: Any) -> Any:
    """Return loss(targets, predictions) with the model's penalties, as probes call it."""

    def total(x: Any, y: Any, predictions: Any, weight: Any, training: bool) -> Any:
        value = tf.reduce_mean(loss(y, predictions))
        return tf.add_n([value, *[tf.cast(p, value.dtype) for p in model.losses]])

    return total


def own_step(model: keras.Model, optimizer: Any, loss: Any) -> Callable[[Any], Any]:
    """Return one step in Keras terms for a loop of one's own."""

    def step(batch: Any) -> dict[str, Any]:
        x, y, weight = keras.utils.unpack_x_y_sample_weight(batch)
        with tf.GradientTape() as tape:
            predictions = model(x, training=True)
            if loss is not None:
                value = loss(x, y, predictions, weight, True)
            else:
                value = model.compute_loss(x, y, predictions, weight)
        gradients = tape.gradient(value, model.trainable_weights)
        optimizer.apply(gradients, model.trainable_weights)
        return {"loss": value}

    return step
