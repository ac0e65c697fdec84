"""Lists of layers, built, read back and measured."""

import keras
import numpy as np
import pytest

from tfcourse.layer_lists import Layer, keras_layer, layers_of, measured_fields

CHAIN = [
    Layer("conv", 3, 2, "same", 4, use_bias=False),
    Layer("norm"),
    Layer("relu"),
    Layer("pool", 2, 2, "valid"),
    Layer("conv", 2, 1, "valid", 5),
    Layer("relu"),
    Layer("flatten"),
    Layer("dense", units=3),
]


def test_a_list_becomes_a_model_and_a_list_again():
    maps = inputs = keras.Input((16, 16, 2))
    for layer in CHAIN:
        maps = keras_layer(layer)(maps)
    assert layers_of(keras.Model(inputs, maps)) == CHAIN


def test_an_activation_is_a_layer_of_its_own():
    inputs = keras.Input((8, 8, 1))
    maps = keras.layers.Conv2D(3, 3, activation="relu")(inputs)
    outputs = keras.layers.GlobalAveragePooling2D()(maps)
    kinds = [layer.kind for layer in layers_of(keras.Model(inputs, outputs))]
    assert kinds == ["conv", "relu", "mean"]


def test_what_a_list_can_t_say_is_refused():
    inputs = keras.Input((8,))
    model = keras.Model(inputs, keras.layers.Dropout(0.5)(inputs))
    with pytest.raises(ValueError, match="no Dropout"):
        layers_of(model)
    with pytest.raises(
        ValueError, match=r"kind must be one of conv.*got 'convolution'"
    ):
        Layer("convolution")


def test_fields_are_counted_from_the_first_pixel_to_the_last():
    # By hand: 3; then 3 outputs, 2 pixels apart: 3 + 2 * 2; ones with gaps between.
    layers = [Layer("conv", 3, 2), Layer("conv", 3, 1), Layer("norm")]
    assert measured_fields(layers, 41) == [3, 7, 7]
    gaps = [Layer("conv", 1, 3), Layer("pool", 2, 1)]
    assert measured_fields(gaps, 41) == [1, 4]


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_keras_layers_have_the_padding(padding):
    images = np.zeros((1, 7, 7, 1), "float32")
    for kind in ("conv", "pool"):
        built = keras_layer(Layer(kind, 3, 2, padding, 1))
        assert built(images).shape[1] == {"same": 4, "valid": 3}[padding]
