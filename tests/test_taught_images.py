"""Warped copies and what a teacher says about them."""

import numpy as np
import tensorflow as tf

from tfcourse import lenets
from tfcourse.taught_images import taught_images
from tfcourse.warps import random_warps


def test_each_copy_is_warped_anew_and_answered_by_the_teacher(monkeypatch):
    monkeypatch.setattr("tfcourse.taught_images.BATCH_SIZE", 4)
    rng = np.random.default_rng(0)
    images = rng.random((10, 8, 8), dtype=np.float32)
    labels = np.arange(10) % 3
    teacher = lenets.mlp((5,), image_shape=(8, 8), num_classes=3)
    taught = taught_images(images, labels, teacher, num_copies=3, strength=0.5, seed=7)
    assert taught.images.dtype == np.float16 and taught.targets.dtype == np.float32
    assert taught.images.shape == (30, 8, 8) and taught.targets.shape == (30, 4)
    np.testing.assert_array_equal(taught.targets[:, 0], np.tile(labels, 3))
    copies = taught.images.reshape(3, 10, 8, 8).astype(np.float32)
    # Warped, each copy in another way, the images not all alike either.
    assert np.abs(copies - images).max() > 0.1
    assert np.abs(copies[0] - copies[1]).max() > 0.1
    expected = random_warps(tf.constant(images[4:8]), [7, 4], 0.5)
    np.testing.assert_allclose(copies[0, 4:8], expected, atol=1e-3)
    answers = teacher(taught.images.astype(np.float32))
    np.testing.assert_allclose(taught.targets[:, 1:], answers, atol=5e-3)
    same = taught_images(images, labels, teacher, num_copies=3, strength=0.5, seed=7)
    np.testing.assert_array_equal(same.targets, taught.targets)
