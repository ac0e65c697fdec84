"""Whether a data set fits a model, and the set in the model's form. No TensorFlow."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tfcourse.compression.blueprint import is_model
from tfcourse.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tfcourse.data import DatasetSpec

SCALING_LAYERS = ("Rescaling", "Normalization", "BatchNormalization")


def check_fit(config: dict[str, Any], spec: DatasetSpec) -> tuple[int, ...]:
    """Return the shape of one example for the model.

    Args:
        config: The model's config.json.
        spec: The data set, with its image shape.

    Raises:
        UserError: If the model takes something else, such as two inputs or other sizes.
    """
    shapes = input_shapes(config)
    if len(shapes) != 1:
        raise UserError(
            f"the model has {len(shapes)} inputs, {spec.name} has one: use "
            "tfcourse.compression.compress with your own arrays"
        )
    shape = shapes[0]
    size = math.prod(spec.image_shape)
    if any(not isinstance(length, int) for length in shape):
        shape = spec.image_shape if len(shape) == len(spec.image_shape) else ()
    if not shape or math.prod(shape) != size:
        raise UserError(
            f"the model does not fit {spec.name}: it takes {shapes[0]} per example, "
            f"the images have {spec.image_shape}, {size} numbers"
        )
    return tuple(shape)


def input_shapes(config: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Return the shapes of a serialized model's inputs, without the batch.

    Raises:
        UserError: If the model is neither Functional nor Sequential.
    """
    try:
        if not is_model(config):
            raise UserError(
                f"the model is of class {str(config['class_name'])[:60]}; Functional and "
                "Sequential models can be compressed"
            )
        layers = config["config"]["layers"]
        if config["class_name"] == "Sequential":
            first = layers[0]["config"]
            given = first.get("batch_shape") or config["config"].get(
                "build_input_shape"
            )
            if not given:
                raise UserError("the Sequential model has no input shape")
            return [tuple(given[1:])]
        return [
            tuple(layer["config"]["batch_shape"][1:])
            for layer in layers
            if layer["class_name"] == "InputLayer"
        ]
    except (KeyError, TypeError, IndexError, AttributeError):
        raise UserError("the file's config.json describes no Keras 3 model") from None


def chosen_scale(scale: str, config: dict[str, Any]) -> str:
    """Return the scale, "auto" resolved by the model's first layers."""
    if scale != "auto":
        return scale
    layers = config["config"]["layers"]
    first = [layer["class_name"] for layer in layers]
    shaping = ("InputLayer", "Reshape", "Flatten", "Permute")
    first = [name for name in first if name not in shaping]
    return "raw" if first and first[0] in SCALING_LAYERS else "unit"


def as_inputs(
    images: NDArray[np.uint8], scale: str, shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """Return images uint8 [n, ...] as float32 [n, *shape] in the scale's range."""
    values = images.reshape(len(images), *shape).astype("float32")
    if scale == "unit":
        values /= 255.0
    elif scale == "signed":
        values = values / 127.5 - 1.0
    return values
