"""Classifiers that are trained again and again on draws of labels."""

import keras
import numpy as np
import pytest
from scipy.stats import entropy

from tfcourse.few_labels import Trainer, certainty


def linear_classifier():
    inputs = keras.Input((4, 4))
    flat = keras.layers.Flatten()(inputs)
    return keras.Model(inputs, keras.layers.Dense(3)(flat))


def bars(count):
    """Return images of which one of three rows is bright, and which it is."""
    rng = np.random.default_rng(count)
    labels = rng.integers(0, 3, count)
    images = rng.uniform(0, 0.2, (count, 4, 4)).astype("float32")
    images[np.arange(count), labels] += 0.8
    return images, labels


def test_trainings_leave_no_trace():
    trainer = Trainer(linear_classifier())
    start = trainer.model.get_weights()
    images, labels = bars(20)
    options = {"num_steps": 20, "rate": 0.1}
    results = []
    for seed in (1, 2, 1):
        trainer.train_on_labels(images, labels, start, seed=seed, **options)
        results.append(trainer.model.get_weights())
    for first, last in zip(results[0], results[2], strict=True):
        np.testing.assert_array_equal(first, last)
    assert not np.allclose(results[0][0], results[1][0])


def test_it_learns_from_labels_and_from_shares():
    trainer = Trainer(linear_classifier())
    images, labels = bars(60)
    trainer.train_on_labels(images, labels, None, num_steps=60, rate=0.1, seed=0)
    assert trainer.accuracy(*bars(50)) > 0.8
    shares = np.eye(3)[labels]
    weights = np.ones(60, np.float32)
    weights[30:] = 0  # The others say nothing; half of them is turned.
    shares[30:] = shares[30:, ::-1]
    trainer.train(
        images,
        shares,
        None,
        rate=0.1,
        seed=0,
        epochs=8,
        batch_size=10,
        sample_weight=weights,
    )
    assert trainer.accuracy(*bars(50)) > 0.8


def test_certainty_is_one_minus_the_relative_entropy():
    shares = np.random.default_rng(0).dirichlet(np.ones(4), size=6)
    expected = 1 - entropy(shares, axis=1) / np.log(4)
    np.testing.assert_allclose(certainty(shares), expected, rtol=1e-5)
    assert certainty(np.array([[0.0, 1.0]]))[0] == pytest.approx(1)
    assert certainty(np.full((1, 5), 0.2))[0] == pytest.approx(0, abs=1e-6)
