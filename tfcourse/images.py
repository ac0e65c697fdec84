"""What stands around models that take images."""

from __future__ import annotations

import keras


def with_shifts(model: keras.Model, max_shift: float) -> keras.Model:
    """Return the model behind a layer that shifts images at random, in training only.

    What moves in from outside repeats the border: black, where the border is black.

    Args:
        model: Takes float32 [batch, height, width].
        max_shift: Pixels, up or down and left or right; fractions interpolate.

    Returns:
        A Functional model that takes what `model` takes and shares its weights.
    """
    height, width = model.input_shape[1:]
    inputs = keras.Input((height, width))
    shift = keras.layers.RandomTranslation(
        max_shift / height, max_shift / width, fill_mode="nearest"
    )
    images = keras.layers.Reshape((height, width, 1))(inputs)  # [batch, h, w, 1]
    images = keras.layers.Reshape((height, width))(shift(images))  # [batch, h, w]
    return keras.Model(inputs, model(images), name=f"shifted_{model.name}")
