"""Keras 3 models: their blueprint, weights in its order, outputs, and files."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfcourse.compression.blueprint import Blueprint, read_blueprint
from tfcourse.errors import UserError

# Moved outputs differ by rounding alone; relative to the largest output above 1.
MOVE_TOLERANCE = 1e-5

Array = NDArray[Any]
Inputs = Array | Sequence[Array]


def save_keras(model: Any, path: Path) -> None:
    """Save a Keras 3 model as a .keras file."""
    with warnings.catch_warnings():
        # Keras hands its variables to numpy in a way that numpy 2 warns of.
        warnings.simplefilter("ignore", DeprecationWarning)
        model.save(path)


def blueprint_of(model: Any) -> Blueprint:
    """Return the blueprint of a Keras 3 model.

    Raises:
        UserError: If the model can't be moved: says which layer, and what can be.
    """
    import keras

    if not isinstance(model, (keras.Sequential, keras.src.models.Functional)):
        return read_blueprint({"class_name": type(model).__name__, "module": "custom"})
    return read_blueprint(json.loads(model.to_json()))


def weights_of(model: Any, blueprint: Blueprint) -> list[Array]:
    """Return the weights of a Keras 3 model in the order of the blueprint's layers."""
    return [
        array for layer in _leaves(model, blueprint) for array in layer.get_weights()
    ]


def with_weights(model: Any, blueprint: Blueprint, arrays: list[Array]) -> Any:
    """Return a copy of a Keras 3 model that has these weights; it is not compiled."""
    copy = type(model).from_config(model.get_config())
    if not copy.built:
        copy.build([(None, *entry["shape"]) for entry in blueprint.inputs][0])
    left = list(arrays)
    for layer in _leaves(copy, blueprint):
        count = len(layer.weights)
        layer.set_weights(left[:count])
        left = left[count:]
    return copy


def _leaves(model: Any, blueprint: Blueprint) -> list[Any]:
    found = []
    for entry in blueprint.layers:
        layer = model
        for name in entry.path:
            layer = layer.get_layer(name)
        found.append(layer)
    return found


def outputs_of(model: Any, inputs: list[Array]) -> list[Array]:
    """Return what a Keras model gives, one float32 array [n, ...] per output."""
    outputs = model(inputs if len(inputs) > 1 else inputs[0], training=False)
    outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    return [np.asarray(output) for output in outputs]


def check_equal(expected: list[Array], received: list[Array]) -> None:
    """Compare a model's outputs before and after the move.

    Raises:
        UserError: If they differ by more than rounding: the model means something else
            to tf_keras, so nothing that was made from it can be trusted.
    """
    for before, after in zip(expected, received, strict=True):
        largest = max(1.0, float(np.abs(before).max(initial=0.0)))
        error = float(np.abs(before - after).max(initial=0.0)) / largest
        if not error <= MOVE_TOLERANCE:
            raise UserError(
                f"moved to tf_keras, the model's outputs differ by {error:.2g} (at most "
                f"{MOVE_TOLERANCE:g} is rounding): this model can't be moved"
            )


def as_list(inputs: Inputs) -> list[Array]:
    """Return the arrays, one per input of the model."""
    return list(inputs) if isinstance(inputs, (list, tuple)) else [np.asarray(inputs)]
