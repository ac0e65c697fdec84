"""The networks of the compression literature."""

import keras
import numpy as np
import pytest

from tfcourse import lenets


def test_lenet_300_100_has_the_published_number_of_weights():
    expected = 784 * 300 + 300 + 300 * 100 + 100 + 100 * 10 + 10
    assert lenets.lenet_300_100().count_params() == expected == 266_610


def test_lenet_5_has_the_published_number_of_weights():
    convolutions = 25 * 20 + 20 + 25 * 20 * 50 + 50
    dense = 4 * 4 * 50 * 500 + 500 + 500 * 10 + 10
    assert lenets.lenet_5().count_params() == convolutions + dense == 431_080


@pytest.mark.parametrize("shape", [(28, 28), (8, 8)])
@pytest.mark.parametrize(
    "build",
    [lenets.lenet_300_100, lenets.lenet_5, lambda **o: lenets.small_cnn((3, 4), **o)],
)
def test_images_become_logits(build, shape):
    model = build(image_shape=shape, num_classes=7)
    assert model.input_shape == (None, *shape)
    assert model.output_shape == (None, 7)


def test_a_folded_norm_changes_no_answer():
    keras.utils.set_random_seed(0)
    model = lenets.small_cnn((3, 4, 5), image_shape=(14, 14), num_classes=6)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.random(weights.shape) for weights in layer.weights])
    folded = lenets.with_folded_norms(model)
    images = rng.random((5, 14, 14), dtype=np.float32)
    np.testing.assert_allclose(folded(images), model(images), rtol=1e-4, atol=1e-5)
    num_norms = sum("norm" in layer.name for layer in folded.layers)
    assert num_norms == 0
