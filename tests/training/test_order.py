"""Each epoch takes every example once, in an order of its own: laws for any size."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.small import classes, classifier, state
from tfcourse.training import fit
from tfcourse.training.order import (
    EpochStart,
    OrderedBatches,
    order_of,
    ordered_dataset,
)
from tfcourse.training.programs import Program

sizes = st.integers(1, 60)
# Each example of Hypothesis traces a program: some 0.1 s.
few = settings(max_examples=12, deadline=None)


class Visits:
    """A step that notes which examples it gets, in order."""

    def __init__(self, num_examples):
        self.seen = tf.Variable(tf.fill([num_examples], -1))
        self.count = tf.Variable(0)

    def __call__(self, data):
        (ids,) = data
        size = ids.shape[0]
        positions = self.count + tf.range(size)
        self.seen.assign(
            tf.tensor_scatter_nd_update(self.seen, positions[:, None], ids)
        )
        self.count.assign_add(size)


@few
@given(sizes, st.integers(1, 20), st.data())
def test_a_program_takes_each_example_once_in_order_however_it_is_cut(
    num_examples, batch_size, data
):
    visits = Visits(num_examples)
    ids = (tf.range(num_examples),)
    program = Program(visits, ids, min(batch_size, num_examples))
    order = order_of(num_examples, 0, 0, shuffle=True)
    num_steps = program.num_steps(ids)
    cuts = data.draw(st.lists(st.integers(0, num_steps), max_size=3))
    bounds = [0, *sorted(cuts), num_steps]
    for start, stop in zip(bounds, bounds[1:], strict=False):
        program.run(ids, order, start, stop, xla=False)
    assert visits.count.numpy() == num_examples
    np.testing.assert_array_equal(visits.seen, order)


def test_xla_takes_the_same_examples():
    visits, ids = Visits(23), (tf.range(23),)
    order = order_of(23, 0, 0, shuffle=True)
    Program(visits, ids, 5).run(ids, order, 0, 5, xla=True)
    np.testing.assert_array_equal(visits.seen, order)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3000), st.integers(-5, 2**40), st.integers(0, 2**20))
def test_the_order_is_a_permutation_that_repeats(num_examples, seed, epoch):
    order = order_of(num_examples, seed, epoch, shuffle=True).numpy()
    np.testing.assert_array_equal(np.sort(order), np.arange(num_examples))
    again = order_of(num_examples, seed, epoch, shuffle=True)
    np.testing.assert_array_equal(order, again)
    if num_examples > 30:
        for other in ((seed + 1, epoch), (seed, epoch + 1)):
            assert (order != order_of(num_examples, *other, shuffle=True).numpy()).any()


def test_the_order_is_fair():
    # Where example 0 lands over many epochs: uniform to 5 standard deviations.
    places = [int(np.argmin(order_of(8, 3, e, shuffle=True))) for e in range(800)]
    counts = np.bincount(places, minlength=8)
    assert np.abs(counts - 100).max() < 5 * np.sqrt(800 / 8 * 7 / 8)


@few
@given(sizes, st.integers(1, 20), st.integers(0, 9))
def test_what_goes_to_keras_has_the_same_order(num_examples, batch_size, epoch):
    data = {"ids": tf.range(num_examples)}, tf.range(num_examples) * 2
    start = EpochStart()
    options = {"batch_size": batch_size, "seed": 4}
    dataset = ordered_dataset(data, epoch=start.epoch, **options)
    numpy = tf.nest.map_structure(lambda tensor: tensor.numpy(), data)
    batches = OrderedBatches(numpy, start=start, **options)
    assert int(dataset.cardinality()) == len(batches) == -(-num_examples // batch_size)
    for number in (epoch, epoch + 1):
        start.epoch.assign(number)
        order = order_of(num_examples, 4, number, shuffle=True).numpy()
        found = [batches[index] for index in range(len(batches))]
        for source in (list(dataset), found):
            ids = np.concatenate([inputs["ids"] for inputs, _ in source])
            np.testing.assert_array_equal(ids, order)
            doubled = np.concatenate([targets for _, targets in source])
            np.testing.assert_array_equal(doubled, 2 * order)


@pytest.mark.parametrize("engine", ["graph", "fit"])
def test_same_seed_same_weights(engine):
    def train(seed):
        model = classifier("adam", dropout=0.5)
        fit(model, *classes(), batch_size=16, epochs=2, seed=seed, engine=engine)
        return state(model)

    np.testing.assert_array_equal(train(3), train(3))
    assert (train(3) != train(4)).any()


@pytest.mark.parametrize(("engine", "dropout"), [("fit", 0.5), ("xla", 0.0)])
def test_engines_share_the_order(engine, dropout):
    # XLA draws other masks than TensorFlow from the same state of a dropout layer.
    def train(engine):
        model = classifier(keras.optimizers.SGD(0.1), dropout=dropout)
        fit(model, *classes(), batch_size=16, epochs=3, seed=3, engine=engine)
        return state(model)

    np.testing.assert_allclose(train(engine), train("graph"), atol=1e-5)
