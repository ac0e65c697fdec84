"""Learning rates by step."""

import keras
import numpy as np
import tensorflow as tf

from tfcourse.rate_schedules import RateByStep, tenth_by_tenth


def test_a_function_of_the_step_drives_an_optimizer():
    def halved(step, first):
        return first / 2.0 ** keras.ops.cast(step, "float32")

    optimizer = keras.optimizers.SGD(RateByStep(halved, first=0.8))
    variable = keras.Variable([0.0])
    for _ in range(3):
        optimizer.apply([keras.ops.ones(1)], [variable])
    np.testing.assert_allclose(variable.numpy(), [-(0.8 + 0.4 + 0.2)], rtol=1e-6)


def test_a_function_that_knows_the_rest_drives_an_optimizer():
    schedule = RateByStep(lambda step: tf.cast(step, tf.float32) / 4 + 1)
    optimizer = keras.optimizers.SGD(schedule)
    weight = keras.Variable(10.0)
    optimizer.build([weight])
    for expected in (9.0, 7.75):
        optimizer.apply([tf.constant(1.0)], [weight])
        assert float(weight) == expected


def test_the_settings_are_its_config():
    schedule = RateByStep(max, first=0.1, last=0.0)
    assert schedule.get_config() == {"function": max, "first": 0.1, "last": 0.0}


def test_the_rate_falls_to_a_tenth_twice():
    rate = tenth_by_tenth(64_000, 0.1)
    received = [float(rate(step)) for step in (0, 32_000, 32_001, 48_000, 48_001)]
    np.testing.assert_allclose(received, [0.1, 0.1, 0.01, 0.01, 0.001], rtol=1e-6)
