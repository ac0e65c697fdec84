"""One network that is trained again and again: rates, first losses, no trace left."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import log_softmax

from tfcourse.transfer_training import Trainer, decaying_sgd, warm_cosine

NUM_STEPS = 10


def train_step(model, optimizer, images, labels, factors):
    variables = model.trainable_variables
    with tf.GradientTape() as tape:
        logits = model(images, training=True)
        losses = tf.nn.softmax_cross_entropy_with_logits(labels, logits)
        loss = tf.reduce_mean(losses)
    gradients = tape.gradient(loss, [v.value for v in variables])
    scaled = [factors[k] * gradient for k, gradient in enumerate(gradients)]
    optimizer.apply(scaled, variables)
    return loss


def linear_model(seed):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((2, 2, 1))
    flat = keras.layers.Flatten()(inputs)
    return keras.Model(inputs, keras.layers.Dense(3)(flat))


@pytest.fixture(scope="module")
def trainer():
    return Trainer(linear_model(0), train_step, num_steps=NUM_STEPS, decay=0.0)


def examples():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 30)
    images = rng.normal(size=(30, 2, 2, 1)).astype("float32")
    images[np.arange(30), 0, 0, 0] += 3 * labels
    return images, np.eye(3, dtype=np.float32)[labels]


def train(trainer, start, rate=0.1, factors=(1.0, 1.0)):
    batch_ds = tf.data.Dataset.from_tensor_slices(examples()).batch(8)
    losses = trainer.train(start, batch_ds, rate=rate, factors=factors)
    return losses, trainer.model.get_weights()


def test_the_first_loss_is_that_of_the_starting_weights(trainer):
    start = linear_model(3)
    (first, last), _ = train(trainer, start)
    images, labels = examples()
    kernel, bias = start.get_weights()
    logits = images[:8].reshape(8, 4).astype(float) @ kernel + bias
    expected = -np.mean(np.sum(labels[:8] * log_softmax(logits, axis=1), axis=1))
    assert first == pytest.approx(expected, rel=1e-5)
    assert last < first


def test_trainings_leave_no_trace(trainer):
    weights = [train(trainer, linear_model(seed))[1] for seed in (1, 2, 1)]
    for first, last in zip(weights[0], weights[2], strict=True):
        np.testing.assert_array_equal(first, last)
    assert not np.allclose(weights[0][0], weights[1][0])


def test_factors_of_0_leave_variables_alone(trainer):
    start = linear_model(4)
    _, (kernel, bias) = train(trainer, start, factors=(0.0, 1.0))
    np.testing.assert_array_equal(kernel, start.get_weights()[0])
    assert not np.allclose(bias, start.get_weights()[1])


def test_accuracy_counts_right_answers(trainer):
    train(trainer, linear_model(5), rate=0.5)
    images, labels = examples()
    expected = np.mean(
        trainer.model(images).numpy().argmax(axis=1) == labels.argmax(axis=1)
    )
    batch_ds = tf.data.Dataset.from_tensor_slices((images, labels)).batch(7)
    assert trainer.accuracy(batch_ds, 30) == pytest.approx(expected)


def test_the_rate_rises_on_a_line_and_falls_on_a_cosine():
    steps = np.arange(12)
    rates = [float(warm_cosine(step, 10, 0.5)) for step in steps]
    share = np.clip((steps - 2) / 8, 0, 1)
    expected = np.where(steps < 2, (steps + 1) / 2, (1 + np.cos(np.pi * share)) / 2)
    np.testing.assert_allclose(rates, 0.5 * expected, atol=1e-6)


def test_kernels_alone_decay():
    model = linear_model(6)
    optimizer = decaying_sgd(10, 0.5, 0.1)
    optimizer.build(model.trainable_variables)
    kernel, bias = model.trainable_variables
    bias.assign(tf.ones_like(bias))
    before = kernel.numpy()
    optimizer.apply([tf.zeros_like(v) for v in (kernel, bias)], [kernel, bias])
    rate = 0.5 / 2  # Of the first step.
    np.testing.assert_allclose(kernel.numpy(), (1 - 0.1 * rate) * before, rtol=1e-5)
    np.testing.assert_array_equal(bias.numpy(), 1)
