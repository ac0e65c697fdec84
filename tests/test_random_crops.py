"""Random crops and mirror images, against a loop over images."""

import numpy as np
import tensorflow as tf

from tfcourse.random_crops import random_crops


def crops_of(image, padding):
    """Return all crops of an image and of its mirror image, by numpy."""
    padded = np.pad(image, ((padding, padding), (padding, padding), (0, 0)))
    height, width = image.shape[:2]
    found = []
    for top in range(2 * padding + 1):
        for left in range(2 * padding + 1):
            crop = padded[top : top + height, left : left + width]
            found += [crop, crop[:, ::-1]]
    return found


def some_images(count, height=5, width=7):
    rng = np.random.default_rng(0)
    return rng.normal(size=(count, height, width, 2)).astype("float32")


def test_each_image_gets_one_of_its_crops():
    images = some_images(40)
    received = random_crops(tf.constant(images), [1, 2], 2).numpy()
    for image, crop in zip(images, received, strict=True):
        assert any(np.array_equal(crop, right) for right in crops_of(image, 2))


def test_all_places_are_equally_likely():
    images = np.tile(some_images(1, 4, 4), (9000, 1, 1, 1))
    received = random_crops(tf.constant(images), [3, 4], 1).numpy()
    known = [crop.tobytes() for crop in crops_of(images[0], 1)]
    counts = np.bincount([known.index(crop.tobytes()) for crop in received])
    assert len(counts) == 18
    assert np.abs(counts - 500).max() < 5 * np.sqrt(500)


def test_the_same_seed_gives_the_same_crops_in_graphs_too():
    images = tf.constant(some_images(20))
    first = random_crops(images, [5, 6], 3)
    again = tf.function(random_crops)(images, tf.constant([5, 6]), 3)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, random_crops(images, [5, 7], 3))


def test_without_padding_images_are_mirrored_alone():
    images = some_images(30)
    received = random_crops(tf.constant(images), [8, 9], 0).numpy()
    turned = [
        np.array_equal(crop, image[:, ::-1])
        for image, crop in zip(images, received, strict=True)
    ]
    same = [
        np.array_equal(crop, image)
        for image, crop in zip(images, received, strict=True)
    ]
    assert all(a or b for a, b in zip(turned, same, strict=True))
    assert 5 < sum(turned) < 25
    received = random_crops(tf.constant(images), [8, 9], 0, mirror=False)
    np.testing.assert_array_equal(received, images)
