"""Random affine maps of images, against scipy's."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.ndimage import affine_transform

from tfcourse import warps
from tfcourse.warps import RandomWarp, random_warps, with_warps


def images_of(count, shape=(28, 28)):
    rng = np.random.default_rng(count)
    images = np.zeros((count, *shape), np.float32)
    images[:, 8:-8, 8:-8] = rng.uniform(size=(count, shape[0] - 16, shape[1] - 16))
    return images


def test_strength_zero_gives_the_images_back():
    images = images_of(5, (24, 30))
    warped = random_warps(tf.constant(images), [3, 4], 0.0)
    np.testing.assert_allclose(warped, images, atol=1e-5)


def test_the_seed_decides_in_graphs_too():
    images = tf.constant(images_of(6))
    first = random_warps(images, [3, 4])
    np.testing.assert_array_equal(first, random_warps(images, [3, 4]))
    assert not np.allclose(first, random_warps(images, [3, 5]))
    in_graph = tf.function(random_warps)(images, tf.constant([3, 4]))
    np.testing.assert_allclose(first, in_graph, atol=1e-5)
    assert first.shape == images.shape and first.dtype == tf.float32


def test_warps_are_affine_maps_about_the_centre():
    images, seed = images_of(4), [7, 9]
    draws = tf.random.stateless_uniform([6, 4], seed, -1.0, 1.0).numpy()
    warped = random_warps(tf.constant(images), seed)
    for image, result, (turn, shear, wide, high, right, down) in zip(
        images, warped, draws.T, strict=True
    ):
        turn, shear = warps.MAX_TURN * turn, warps.MAX_SHEAR * shear
        rotation = np.array(
            [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
        )
        # scipy counts rows first; the map leads from the result to the image.
        stretch = np.diag(np.exp(warps.MAX_LOG_STRETCH * np.array([high, wide])))
        matrix = rotation @ np.array([[1, 0], [shear, 1]]) @ stretch
        shift = 2 * np.array([down, right])
        offset = 13.5 - matrix @ [13.5, 13.5] + shift
        expected = affine_transform(image, matrix, offset, order=1)
        np.testing.assert_allclose(result, expected, atol=2e-3)


def test_each_image_gets_a_map_of_its_own_and_stays_in_range():
    images = np.repeat(images_of(1), 8, axis=0)
    warped = random_warps(tf.constant(images), [1, 2], 2.0).numpy()
    assert warped.min() >= 0 and warped.max() <= 1
    assert np.std(warped, axis=0).max() > 0.1


def test_the_layer_warps_in_training_alone_and_can_be_saved(tmp_path):
    inputs = keras.Input((28, 28))
    model = keras.Model(inputs, keras.layers.Flatten()(inputs), name="flat")
    warped = with_warps(model, 0.5)
    images = images_of(3)
    np.testing.assert_array_equal(warped(images), model(images))
    first, second = (np.asarray(warped(images, training=True)) for _ in range(2))
    assert not np.allclose(first, model(images)) and not np.allclose(first, second)
    warped.save(tmp_path / "warped.keras")
    loaded = keras.models.load_model(tmp_path / "warped.keras")
    assert loaded.get_layer("warp").strength == 0.5


@pytest.mark.parametrize("seed", [None, 3])
def test_the_layer_is_made_again_from_its_configuration(seed):
    layer = RandomWarp(0.5, seed=seed)
    again = RandomWarp.from_config(layer.get_config())
    assert again.strength == 0.5 and again.seed == seed
