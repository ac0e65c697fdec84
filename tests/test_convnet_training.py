"""What stands around the training of image classifiers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfcourse.convnet_by_hand import num_wrong_rows
from tfcourse.convnet_figures import filter_sheet
from tfcourse.convnet_training import (
    RandomImages,
    accuracy,
    flip_averaged,
    predict,
    standardised,
    with_random_images,
)


def add_noise(images, seed):
    return images + tf.random.stateless_normal(tf.shape(images), seed)


def test_images_change_in_training_only_and_differ_by_step():
    layer = RandomImages(add_noise, seed=3)
    images = tf.ones((4, 5, 6, 1))
    np.testing.assert_array_equal(layer(images), images)
    first, second = (layer(images, training=True) for _ in range(2))
    assert first.shape == images.shape
    assert not np.allclose(first, second) and not np.allclose(first, images)
    again = RandomImages(add_noise, seed=3)(images, training=True)
    np.testing.assert_array_equal(first, again)


def test_the_model_behind_the_augmentation_shares_its_weights():
    inputs = keras.Input((4, 4, 1))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(inputs)))
    augmented = with_random_images(model, add_noise)
    images = np.random.default_rng(0).normal(size=(3, 4, 4, 1)).astype("float32")
    np.testing.assert_array_equal(augmented(images), model(images))
    assert augmented.trainable_variables[0] is model.trainable_variables[0]


def test_standardised_images_have_mean_zero_and_deviation_one():
    rng = np.random.default_rng(0)
    images = rng.integers(0, [50, 100, 250], (40, 6, 6, 3)).astype(np.uint8)
    inputs = keras.Input((6, 6, 3))
    model = standardised(keras.Model(inputs, inputs), images)
    scaled = np.asarray(model(images.astype("float32")))
    np.testing.assert_allclose(scaled.mean(axis=(0, 1, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(scaled.std(axis=(0, 1, 2)), 1, atol=1e-4)


def test_the_mean_over_the_mirror_image():
    inputs = keras.Input((1, 3, 1))
    model = keras.Model(inputs, keras.layers.Flatten()(inputs))
    images = np.array([[[[1], [2], [9]]]], np.uint8)
    np.testing.assert_array_equal(predict(model, images), [[1, 2, 9]])
    np.testing.assert_array_equal(flip_averaged(model, images), [[5, 2, 5]])
    assert accuracy(np.array([[0, 1], [3, 2]]), np.array([1, 1])) == 0.5


def test_a_wrong_row_of_a_table_is_counted():
    inputs = keras.Input((6, 6, 1))
    maps = keras.layers.Conv2D(2, 3, activation="relu")(inputs)
    model = keras.Model(inputs, keras.layers.MaxPooling2D()(maps))
    right = [((4, 4, 2), 20), ((4, 4, 2), 0), ((2, 2, 2), 0)]
    assert num_wrong_rows(model, right) == 0
    assert num_wrong_rows(model, [((4, 4, 2), 18), *right[1:]]) == 1
    assert num_wrong_rows(model, [*right[:2], ((3, 2, 2), 0)]) == 1


def test_a_sheet_of_filters_has_grey_for_zero():
    kernels = np.zeros((3, 2, 2, 1))
    kernels[0, 0, 0], kernels[0, 1, 1] = 2, -1
    sheet = filter_sheet(kernels, columns=2)
    assert sheet.shape == (2 * 18, 2 * 18, 1)
    assert sheet[1, 1] == 1 and sheet[16, 16] == pytest.approx(0.25)
    assert sheet[1, 19] == 0.5 and sheet[19, 19] == 1  # Beside; no fourth filter.
