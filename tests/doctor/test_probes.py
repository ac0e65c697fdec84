"""The probes and what kept examples say: each on data where the answer is known."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tfcourse.doctor.example_answers import agreement, giveaway
from tfcourse.doctor.example_comparisons import overlap, shift
from tfcourse.doctor.example_statistics import describe_input, describe_target
from tfcourse.doctor.examples import Examples
from tfcourse.doctor.prediction_statistics import describe_predictions
from tfcourse.doctor.probes import Probe, depends_on_mode
from tfcourse.doctor.tensor_statistics import (
    activation_entries,
    activation_statistics,
)
from tfcourse.doctor.time_probe import gradient_over_time


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_kinds_of_targets(rng):
    kinds = {
        "classes": rng.integers(0, 5, 100),
        "binary": rng.integers(0, 2, 100),
        "values": rng.normal(size=100),
        "one_hot": np.eye(4)[rng.integers(0, 4, 100)],
        "multi_label": rng.integers(0, 2, (100, 6)),
        "large": rng.random((20, 28, 28)),
    }
    assert {
        name: describe_target(values)["kind"] for name, values in kinds.items()
    } == {name: name for name in kinds}
    assert describe_target(np.array([1.5, np.nan]))["non_finite_share"] == 0.5


def test_scales_of_inputs(rng):
    table = rng.normal(size=(200, 3)) * [1, 100, 1] + [0, 0, 50]
    record = describe_input(table)
    assert 50 < record["feature_std_max"] / record["feature_std_median"] < 200
    assert 40 < record["feature_offset_max"] < 60


def test_overlap_counts_equal_and_nearly_equal_examples(rng):
    train = rng.normal(size=(200, 20)).astype(np.float32)
    fresh = rng.normal(size=(60, 20)).astype(np.float32)
    record = overlap([train], [np.concatenate([train[:20], fresh])])
    assert (record["exact"], record["near"]) == (20, 20)
    shaken = train[:20] + 1e-3 * rng.normal(size=(20, 20)).astype(np.float32)
    record = overlap([train], [np.concatenate([shaken, fresh])])
    assert (record["exact"], record["near"]) == (0, 20)


def test_noisy_copies_are_told_from_neighbours(rng):
    train = rng.normal(size=(150, 30)).astype(np.float32)
    copies = np.repeat(train, 3, axis=0)
    copies += 0.05 * rng.normal(size=copies.shape).astype(np.float32)
    copies = rng.permutation(copies)
    fresh = rng.normal(size=(50, 30)).astype(np.float32)
    leaked = overlap([copies[50:]], [np.concatenate([copies[:50], fresh])])
    assert 30 <= leaked["copies"] <= 50
    assert leaked["distinct_share"] > 0.99
    assert overlap([train], [fresh])["copies"] <= 1
    grades = overlap([rng.integers(0, 3, (200, 8))], [rng.integers(0, 3, (60, 8))])
    assert grades["distinct_share"] < 0.1


def test_tokens_of_another_vocabulary(rng):
    words = rng.zipf(1.5, (300, 12)).clip(max=50).astype(np.int32)
    record = shift([words[:200]], [words[200:]])["tokens"]
    assert record["distance"] < 2 * record["noise"] + 0.05
    renamed = rng.permutation(51).astype(np.int32)[words[200:]]
    assert shift([words[:200]], [renamed])["tokens"]["distance"] > 0.5


def test_pictures_as_targets_belong_to_their_inputs_or_not(rng):
    small = rng.normal(size=(200, 12)).astype(np.float32)
    large = np.tile(small, (1, 10)) + 0.1 * rng.normal(size=(200, 120))
    right = agreement({"train": [small]}, {"train": [large]})
    assert right["reduced"] and right["train"]["linear"] > 0.9
    wrong = agreement({"train": [small]}, {"train": [rng.permutation(large)]})
    assert max(wrong["train"]["linear"], wrong["train"]["neighbours"]) < 0.1


def test_shift_in_standard_deviations(rng):
    one, other = rng.normal(size=(2, 500, 4))
    same = shift([one], [other])
    assert same["overall_shift"] < 0.1
    assert 0.9 < same["std_ratio"] < 1.1
    moved = shift([one], [3 * other + 2])
    assert moved["overall_shift"] == pytest.approx(2, abs=0.2)
    assert moved["std_ratio"] == pytest.approx(3, abs=0.2)


def test_neighbours_tell_true_labels_and_not_shuffled_ones(rng):
    x = rng.normal(size=(300, 6)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int64)
    right = agreement({"train": [x]}, {"train": [y]})["train"]
    assert max(right["neighbours"], right["linear"]) > 0.85
    wrong = agreement({"train": [x]}, {"train": [rng.permutation(y)]})["train"]
    assert max(wrong["neighbours"], wrong["linear"]) < 0.65


def test_an_input_that_gives_the_target_away(rng):
    x = rng.normal(size=(300, 6)).astype(np.float32)
    y = x[:, 1] + x[:, 2]
    assert giveaway([x], y)["best"] < 0.7
    x[:, 4] = 2 * y
    assert giveaway([x], y)["best"] > 0.99


def test_wrong_labels_are_scattered_and_hard_ones_are_next_best(rng):
    labels = rng.integers(0, 10, 2000)
    scores = np.eye(10)[labels] + 0.1 * rng.random((2000, 10))
    noisy = np.where(rng.random(2000) < 0.3, rng.integers(0, 10, 2000), labels)
    assert describe_predictions(scores, noisy)["wrong_rank"] == pytest.approx(
        0.5, abs=0.05
    )
    hard = np.where(rng.random(2000) < 0.3, (labels + 1) % 10, labels)
    scores += 0.5 * np.roll(np.eye(10), 1, axis=1)[labels]
    assert describe_predictions(scores, hard)["wrong_rank"] < 0.05


def recurrent(activation):
    """A recurrent model of 60 steps."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((60, 2))
    state = layers.SimpleRNN(8, activation=activation)(inputs)
    model = keras.Model(inputs, layers.Dense(2)(state))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def test_the_gradient_of_the_first_steps_fades_through_sigmoids(rng):
    x = tf.constant(rng.normal(size=(16, 60, 2)), tf.float32)
    batch = (x, tf.constant(rng.integers(0, 2, 16)), None)
    model = recurrent("sigmoid")
    before = [variable.numpy() for variable in model.variables]
    record = gradient_over_time(Probe(model), batch)
    assert record["first"] / record["last"] < 1e-6
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    kept = gradient_over_time(Probe(recurrent("linear")), batch)
    assert kept["first"] / kept["last"] > 1e-3


@pytest.mark.parametrize(
    "reduction, parts", [("sum", 2.0), ("sum_over_batch_size", 1.0)]
)
def test_a_sum_is_told_from_a_mean(reduction, parts, rng):
    inputs = keras.Input((3,))
    model = keras.Model(inputs, layers.Dense(1)(inputs))
    model.compile("sgd", keras.losses.MeanSquaredError(reduction=reduction))
    x = tf.constant(rng.normal(size=(32, 3)), tf.float32)
    record = Probe(model).loss_by_size((x, tf.ones((32, 1)), None))
    halves = (record["first_half"] + record["second_half"]) / 2
    assert record["whole"] / halves == pytest.approx(parts, rel=1e-3)
    assert record["company"] < 1e-4


def test_batch_normalisation_in_training_mode_depends_on_company(rng):
    inputs = keras.Input((3,))
    hidden = layers.Dense(4)(inputs)

    class AlwaysTraining(layers.BatchNormalization):
        def call(self, x, training=None, mask=None):
            return super().call(x, training=True)

    model = keras.Model(inputs, layers.Dense(1)(AlwaysTraining()(hidden)))
    model.compile("sgd", "mse")
    x = tf.constant(rng.normal(size=(32, 3)), tf.float32)
    record = Probe(model).loss_by_size((x, tf.ones((32, 1)), None))
    assert record["company"] > 0.01


def test_kept_examples_are_bounded():
    examples = Examples(max_examples=100)
    for i in range(1000):
        examples.add((tf.fill((10, 2), float(i)), tf.zeros(10)))
    assert len(examples.inputs()[0]) <= 100
    kept = {float(batch[0][0, 0]) for batch in examples.batches}
    assert 0.0 in kept
    assert max(kept) > 500


def test_saturation_is_seen_behind_functions_without_a_name(rng):
    z = rng.normal(size=(64, 1, 20)).astype(np.float32)

    def shares(values):
        found = activation_statistics(values.astype(np.float32), "", False)
        return found.get("saturated_share")

    steep = 1 / (1 + np.exp(np.float64(-40) * z))
    assert shares(steep) > 0.8
    assert shares(np.tanh(40 * z)) > 0.8
    assert shares(1 / (1 + np.exp(-z))) is None  # Hardly one at the bounds.
    assert shares(np.tanh(z)) is None
    assert shares((z > 0).astype(np.float32)) is None  # Bits.
    pixels = np.clip(z, 0, 1)  # Half of them exactly 0, some at 1.
    assert shares(pixels) is None


def test_entries_of_activations_keep_examples_and_units(rng):
    images = tf.constant(rng.normal(size=(32, 20, 20, 6)), tf.float32)
    entries = activation_entries(images).numpy()
    assert entries.shape == (32, 16_384 // (32 * 6), 6)
    flat = images.numpy().reshape(32, -1, 6)
    assert all((flat == entries[:, [i]]).all(axis=(0, 2)).any() for i in range(3))
    assert activation_entries(images[:, 0, 0]).shape == (32, 1, 6)
    assert activation_entries(images[:, 0, 0, 0]).shape == (32, 1, 1)


def test_only_models_with_a_mode_are_run_in_both():
    inputs = keras.Input((4,))
    plain = keras.Model(inputs, layers.Dense(2)(inputs))
    dropped = keras.Model(inputs, layers.Dropout(0.5)(plain(inputs)))
    assert not depends_on_mode(plain)
    assert depends_on_mode(dropped)
