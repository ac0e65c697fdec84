"""A model starts over as if it had been built and compiled anew."""

import random

import keras
import numpy as np
import pytest

from tests.training.small import classes, classifier, state
from tfcourse.training import fit, reinitialize


def train(model):
    fit(model, *classes(), batch_size=16, epochs=2, seed=9, engine="graph")
    return state(model)


@pytest.mark.parametrize("name", ["adam", "nadam", "adagrad", "ftrl"])
def test_training_again_gives_the_same_bits(name):
    model = classifier(name, normalized=True, dropout=0.4)
    reinitialize(model, seed=1)
    first = train(model)
    reinitialize(model, seed=2)
    other = train(model)
    reinitialize(model, seed=1)
    assert int(model.optimizer.iterations) == 0
    np.testing.assert_array_equal(train(model), first)
    assert (other != first).any()


def test_it_equals_a_fresh_model():
    model = classifier("adam", dropout=0.4, seed=5)
    train(model)
    reinitialize(model, seed=3)
    fresh = classifier("adam", dropout=0.4, seed=3)
    for ours, theirs in zip(model.variables, fresh.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(train(model), train(fresh))


def test_seeds_of_the_layers_give_way():
    layers = [
        keras.Input((4,)),
        keras.layers.Dense(
            4, kernel_initializer=keras.initializers.HeNormal(seed=7), name="first"
        ),
    ]
    model = keras.Sequential(layers)
    model.compile("sgd", "mse")
    before = model.get_weights()[0]
    reinitialize(model, seed=1)
    assert (model.get_weights()[0] != before).any()


def test_the_rest_of_the_world_stays():
    model = classifier(keras.optimizers.SGD(0.5))
    random.seed(4)
    expected = random.random()
    random.seed(4)
    reinitialize(model, seed=1)
    assert random.random() == expected
    assert float(model.optimizer.learning_rate) == 0.5
    reinitialize(model, seed=1, learning_rate=0.25)
    assert float(model.optimizer.learning_rate) == 0.25
