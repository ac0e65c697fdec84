"""Variants of one training: run over the same batches, timed in turns."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfcourse.training_variants import Variants, spread_after, time_in_turns


class FakeTime:
    """A clock that goes on when somebody works, by seconds for each step."""

    def __init__(self):
        self.now = 100.0

    def clock(self):
        return self.now


def counting_variants(fake, seconds, *, first=7.0):
    """Return variants that add up what they see; each step takes its fake seconds."""
    inputs = keras.Input((1,))
    model = keras.Model(inputs, keras.layers.Dense(1, use_bias=False)(inputs))
    optimizer = keras.optimizers.SGD()
    optimizer.build(model.trainable_variables)
    called = []

    def work(name, num_steps):
        fake.now += seconds[name] * num_steps + (0 if name in called else first)
        called.append(name)

    def step_of(name):
        def step(images, labels):
            work(name, 1)
            model.weights[0].assign_add([[float(tf.reduce_sum(labels))]])
            return tf.reduce_mean(images)

        return step

    def epoch_of(name):
        def epoch(images, labels, order):
            batches = np.reshape(order, [-1, 2])
            work(name, len(batches))
            model.weights[0].assign_add([[float(np.sum(np.take(labels, order)))]])
            return tf.constant([np.mean(np.take(images, batch)) for batch in batches])

        return epoch

    steps = {name: step_of(name) for name in ("slow", "fast")}
    return Variants(model, optimizer, 2, steps, {"loop": epoch_of("loop")})


IMAGES = tf.reshape(tf.range(10.0), [10, 1])
LABELS = tf.range(10)


def test_all_variants_see_the_same_batches_in_the_same_order():
    seconds = {"slow": 1.0, "fast": 0.1, "loop": 0.01}
    variants = counting_variants(FakeTime(), seconds)
    order = np.array([9, 0, 4, 3])
    for name in variants.names:
        losses = variants.train(name, IMAGES, LABELS, order)
        np.testing.assert_allclose(losses, [4.5, 3.5])


def test_less_than_a_batch_is_left_out_by_steps():
    variants = counting_variants(FakeTime(), {"slow": 1.0, "fast": 1.0, "loop": 1.0})
    assert len(variants.train("slow", IMAGES, LABELS, np.arange(5))) == 2


def test_snapshots_bring_model_and_optimizer_back():
    variants = counting_variants(FakeTime(), {"slow": 1.0, "fast": 1.0, "loop": 1.0})
    before, values = variants.snapshot(), variants.weights()
    variants.train("slow", IMAGES, LABELS, np.arange(4))
    variants.optimizer.iterations.assign(9)
    assert not np.array_equal(variants.weights(), values)
    before.restore()
    np.testing.assert_array_equal(variants.weights(), values)
    assert int(variants.optimizer.iterations) == 0


def test_spread_is_zero_for_equals_and_a_share_for_others():
    variants = counting_variants(FakeTime(), {"slow": 1.0, "fast": 1.0, "loop": 1.0})
    order = np.arange(4)
    apart = spread_after(variants, IMAGES, LABELS, order)
    assert apart == pytest.approx({"slow": 0, "fast": 0, "loop": 0}, abs=1e-6)
    wrong = {
        "slow": variants.steps["slow"],
        "fast": lambda images, labels: tf.zeros([]),
    }
    idle = Variants(variants.model, variants.optimizer, 2, wrong, {})
    assert spread_after(idle, IMAGES, LABELS, order)["fast"] == pytest.approx(1)


def test_what_happens_once_is_timed_apart():
    fake = FakeTime()
    seconds = {"slow": 1.0, "fast": 0.1, "loop": 0.01}
    timings = time_in_turns(
        counting_variants(fake, seconds),
        IMAGES,
        LABELS,
        window_seconds=4.0,
        num_rounds=3,
        max_steps=5,
        clock=fake.clock,
    )
    assert timings.first_seconds["slow"] == pytest.approx(8)
    assert timings.first_seconds["loop"] == pytest.approx(7.05)
    for name, duration in seconds.items():
        assert timings.rates[name] == pytest.approx([1 / duration] * 3)


def test_a_step_longer_than_the_window_is_still_timed():
    fake = FakeTime()
    seconds = {"slow": 30.0, "fast": 20.0, "loop": 10.0}
    timings = time_in_turns(
        counting_variants(fake, seconds),
        IMAGES,
        LABELS,
        window_seconds=1.0,
        num_rounds=1,
        max_steps=5,
        clock=fake.clock,
    )
    assert {name: rates[0] for name, rates in timings.rates.items()} == pytest.approx(
        {"slow": 1 / 30, "fast": 1 / 20, "loop": 1 / 10}
    )
