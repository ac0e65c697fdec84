"""The library behind exercise 13: what is counted, checked, trained and drawn."""

import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfcourse import adversarial_figures as figures
from tfcourse.adversarial_networks import (
    AttackValidation,
    first_kernel,
    mlp,
    predictor,
    small_cnn,
)
from tfcourse.adversarial_search import square_side
from tfcourse.adversarial_study import excess, on_arrays, surviving
from tfcourse.adversarial_training import AdversarialTraining


def test_excess_is_measured_in_float64():
    images = np.array([[[0.0, 0.5]], [[1.0, 0.2]]], np.float32)
    candidates = np.stack([images + np.float32(0.25), images])
    found = excess(candidates, images, 0.2)
    assert found["norm_excess"] == pytest.approx(0.05, abs=1e-6)
    assert found["range_excess"] == pytest.approx(0.25)
    inside = excess(candidates[1:], images, 0.2)
    assert inside == {"norm_excess": pytest.approx(-0.2), "range_excess": 0.0}


def test_surviving_counts_image_by_image():
    outcomes = {
        "clean": {"right": [True, True, True, False]},
        "first": {"right": [True, False, True, True]},
        "second": {"right": [True, True, False, True]},
    }
    assert surviving(outcomes, ("first", "second")) == 0.25
    assert surviving(outcomes, ("first",)) == 0.5


def test_attacks_go_through_all_images_in_order():
    seeds = []

    def attack(model, images, labels, *, epsilon, seed):
        seeds.append(tuple(int(s) for s in seed))
        return images + epsilon * tf.cast(labels, tf.float32)[:, None, None]

    images = np.arange(2 * 1_100, dtype=np.float32).reshape(1_100, 2, 1)
    labels = np.arange(1_100)
    made = on_arrays(None, attack)(images, labels, 0.5, 7)
    np.testing.assert_allclose(made, images + 0.5 * labels[:, None, None])
    assert seeds == [(7, 0), (7, 1)]


def test_squares_shrink_and_never_cover_everything():
    sides = [square_side(query, 1_000, 28) for query in range(1, 1_000)]
    assert sides == sorted(sides, reverse=True)
    assert sides[0] < 28 and sides[-1] >= 1
    # The schedule is that of 10,000 queries, drawn together.
    assert square_side(1, 1_000, 28) == square_side(10, 10_000, 28)


def test_predictions_come_in_pieces_but_are_the_models():
    model = small_cnn((8, 8), 3, (2, 2), 5)
    images = np.random.default_rng(0).random((1_003, 8, 8)).astype(np.float32)
    np.testing.assert_allclose(
        predictor(model)(images), model(images).numpy(), rtol=1e-4, atol=1e-5
    )
    assert first_kernel(model).shape == (4, 4, 1, 2)
    assert mlp((8, 8), 3, 4).output_shape == (None, 3)


class Recorder:
    """Stands for the attack and the loss: notes epsilon and seed of each batch."""

    def __init__(self):
        self.epsilons, self.seeds = [], []

    def attack(self, network, images, labels, *, epsilon, seed):
        self.epsilons.append(float(epsilon))
        self.seeds.append([int(part) for part in seed])
        return images

    def loss(self, network, images, labels, attack):
        logits = network(attack(network, images, labels), training=True)
        return tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        )


def test_training_ramps_epsilon_and_moves_the_network():
    recorder = Recorder()
    network = mlp((4, 4), 3, 4)
    before = [weight.copy() for weight in network.get_weights()]
    trainer = AdversarialTraining(
        network,
        recorder.loss,
        recorder.attack,
        epsilon=0.4,
        ramp_steps=4,
        seed=9,
    )
    trainer.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    images = np.random.default_rng(0).random((12, 4, 4)).astype(np.float32)
    history = trainer.fit(
        images, np.arange(12) % 3, batch_size=2, epochs=1, verbose=0, shuffle=False
    )
    assert recorder.epsilons == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, 0.4])
    assert recorder.seeds == [[9, step] for step in range(6)]
    assert np.isfinite(history.history["loss"][0])
    moved = [
        not np.allclose(a, b)
        for a, b in zip(before, network.get_weights(), strict=True)
    ]
    assert all(moved)
    assert trainer(images).shape == (12, 3)


def test_validation_adds_accuracies_to_the_logs():
    network = mlp((4, 4), 3, 4)
    images = np.random.default_rng(0).random((9, 4, 4)).astype(np.float32)
    labels = network(images).numpy().argmax(axis=1)
    spoil = types.SimpleNamespace(images=np.zeros_like(images))
    callback = AttackValidation(
        network, (images, labels), {"spoil": lambda images, labels: spoil.images}
    )
    logs = {"loss": 1.0}
    callback.on_epoch_end(0, logs)
    assert logs["val_accuracy"] == 1.0
    constant = network(spoil.images).numpy().argmax(axis=1)
    assert logs["val_accuracy_spoil"] == pytest.approx(np.mean(constant == labels))


def test_figures_take_what_the_study_gives():
    rng = np.random.default_rng(0)
    images = rng.random((3, 5, 5))
    rows = {"standard": (images, np.array([0, 1, 1])), "robust": (images, np.arange(3))}
    figure = figures.examples(images, np.arange(3), rows, np.arange(3))
    assert len(figure.axes) == 15
    square = rng.random((3, 3, 5, 5))
    assert len(figures.targeted(square, rng.integers(0, 3, (3, 3))).axes) == 9
    table = figures.shares(
        rng.random((2, 3)),
        ("a", "b"),
        ("c", "d", "e"),
        title="",
        row_label="",
        column_label="",
    )
    assert {text.get_text() for text in table.axes[0].texts}
    kernels = {"standard": rng.normal(size=(4, 4, 1, 9))}
    assert len(figures.filters(kernels).axes) == 16
    (ax,) = figures.queries({"masked": [10, 5, 0], "robust": [10, 9]}, 10).axes
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [100, 50, 0])
