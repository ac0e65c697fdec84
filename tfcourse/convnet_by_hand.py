"""Sizes and convolutions computed by hand, against TensorFlow's and Keras's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfcourse.layer_lists import Layer, layers_of, measured_fields

# Height, width, window, stride of what is tried, with both paddings.
SIZES = ((9, 12, 3, 1), (10, 7, 3, 2), (11, 11, 2, 2), (8, 13, 5, 3))
FIELD_SIZE = 129  # Pixels: larger than the receptive fields that are measured.

Growth = dict[str, list[tuple[Layer, int]]]


def by_hand_differences(
    conv2d: Callable[..., Any],
    max_pool: Callable[..., Any],
    layer_table: Callable[..., Any],
    receptive_fields: Callable[..., Any],
    networks: Mapping[str, keras.Model],
) -> tuple[dict[str, float], Growth]:
    """Return how far what was computed by hand is from what was computed independently.

    Args:
        conv2d: The exercise's function, as all here.
        max_pool: Likewise.
        layer_table: Likewise.
        receptive_fields: Likewise.
        networks: By name; their layers are listed, counted and measured.

    Returns:
        Metrics, and for each network its convolutions and pools with their receptive
        fields by hand.
    """
    rng = np.random.default_rng(0)
    metrics = {"conv2d_difference": 0.0, "max_pool_difference": 0.0}
    for height, width, window, stride in SIZES:
        images = rng.normal(-1, 1, (2, height, width, 3)).astype(np.float32)
        kernels = rng.normal(0, 1, (window, window, 3, 4))
        for padding in ("same", "valid"):
            where = stride, padding.upper()
            pairs = {
                "conv2d": (
                    conv2d(images, kernels, stride, padding),
                    tf.nn.conv2d(images, kernels, *where),
                ),
                "max_pool": (
                    max_pool(images, window, stride, padding),
                    tf.nn.max_pool2d(images, window, *where),
                ),
            }
            for name, (by_hand, expected) in pairs.items():
                difference = np.abs(np.asarray(by_hand) - np.asarray(expected)).max()
                key = f"{name}_difference"
                metrics[key] = max(metrics[key], float(difference))
    counts, fields, growth = 0, 0, {}
    for name, model in networks.items():
        layers = layers_of(model)
        counts += num_wrong_rows(model, layer_table(layers, model.input_shape[1:]))
        maps = [x for x in layers if x.kind in ("conv", "pool", "norm", "relu")]
        if len(layers) > len(maps) and layers[-2].kind == "relu":
            maps = maps[:-1]  # The hidden layer's, behind "flatten".
        by_hand = list(receptive_fields(maps))
        fields += int(np.sum(np.asarray(by_hand) != measured_fields(maps, FIELD_SIZE)))
        growth[name] = [
            pair
            for pair in zip(maps, by_hand, strict=True)
            if pair[0].kind in ("conv", "pool")
        ]
    metrics["parameter_difference"] = counts
    metrics["receptive_field_difference"] = fields
    return metrics, growth


def num_wrong_rows(model: keras.Model, table: Any) -> int:
    """Return for how many layers a table has another shape or number than Keras.

    Args:
        model: A Functional chain; the table has a row of its own for activations.
        table: Output shapes and numbers of parameters of `layers_of(model)`.
    """
    rows, wrong = iter(table), 0
    for layer in model.layers[1:]:
        shape, count = next(rows)
        is_right = tuple(shape) == layer.output.shape[1:]
        wrong += not (is_right and count == layer.count_params())
        if getattr(layer, "activation", None) is keras.activations.relu:
            next(rows)
    return wrong
