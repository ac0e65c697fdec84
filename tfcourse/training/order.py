"""The order of an epoch's examples, and what else of chance belongs to an epoch.

Both follow from the seed and the epoch's number alone, so a training that is resumed at
an epoch sees what the uninterrupted one saw.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

# Random numbers that one layer may draw within an epoch before they repeat.
DRAWS_PER_EPOCH = 1 << 20


@tf.function(reduce_retracing=True, autograph=False)
def epoch_order(num_examples: tf.Tensor, seed: tf.Tensor, epoch: tf.Tensor) -> Any:
    """Return int64 [num_examples]: a permutation that depends on the arguments alone.

    Philox gives the same bits on every device; equal ones stay in their order.
    """
    bits = tf.random.stateless_uniform(
        [num_examples],
        tf.stack([seed, epoch]),
        minval=None,
        maxval=None,
        dtype=tf.int32,
        alg="philox",
    )
    return tf.cast(tf.argsort(bits, stable=True), tf.int64)


def order_of(num_examples: int, seed: int, epoch: int, *, shuffle: bool) -> tf.Tensor:
    """Return int64 [num_examples], the order of the epoch's examples."""
    if not shuffle:
        return tf.range(num_examples, dtype=tf.int64)
    return epoch_order(*(tf.constant(n, tf.int64) for n in (num_examples, seed, epoch)))


def begin_epoch(model: keras.Model, epoch: int) -> None:
    """Set the random states of dropout and other noise layers to the epoch's start.

    Keras keeps a seed and a count of draws for each; the seed stays, the count jumps.
    """
    weights = {id(variable) for variable in model.weights}
    for variable in model.variables:
        if id(variable) not in weights and variable.name == "seed_generator_state":
            seed = variable.numpy()[0]
            variable.assign(np.array([seed, epoch * DRAWS_PER_EPOCH], variable.dtype))


class EpochStart(keras.callbacks.Callback):
    """Gives `model.fit` the epochs' own randomness: `begin_epoch` and the order."""

    def __init__(self) -> None:
        super().__init__()
        self.epoch = tf.Variable(0, dtype=tf.int64, trainable=False)

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Tell the data which epoch it is."""
        self.epoch.assign(epoch)
        begin_epoch(self.model, epoch)


def ordered_dataset(
    data: tuple[Any, ...], *, batch_size: int, seed: int, epoch: tf.Variable
) -> tf.data.Dataset:
    """Return batches of the data in the order of the epoch that the variable names.

    The order is read when an iterator is made, which `model.fit` does in each epoch.
    """
    num_examples = len(keras.tree.flatten(data)[0])
    num_full = num_examples // batch_size

    def batched_order(_: tf.Tensor) -> tf.data.Dataset:
        numbers = tf.constant(num_examples, tf.int64), tf.constant(seed, tf.int64)
        indices = epoch_order(*numbers, epoch)
        whole, rest = tf.split(indices, [num_full * batch_size, -1])
        # Batches are cut in one piece: element by element would cost more than the
        # steps of a small model.
        batches = tf.reshape(whole, [num_full, batch_size])
        dataset = tf.data.Dataset.from_tensor_slices(batches)
        if num_examples % batch_size:
            dataset = dataset.concatenate(tf.data.Dataset.from_tensors(rest))
        return dataset

    def take(indices: tf.Tensor, whole: Any) -> Any:
        return tf.nest.map_structure(lambda tensor: tf.gather(tensor, indices), whole)

    order = tf.data.Dataset.range(1).flat_map(batched_order)
    dataset = tf.data.Dataset.zip(order, tf.data.Dataset.from_tensors(data).repeat())
    dataset = dataset.map(take, num_parallel_calls=tf.data.AUTOTUNE)
    steps = tf.data.experimental.assert_cardinality(-(-num_examples // batch_size))
    return dataset.apply(steps).prefetch(tf.data.AUTOTUNE)


class OrderedBatches(keras.utils.PyDataset):
    """Batches of arrays too large to be copied, such as memory maps, sliced one by one."""

    def __init__(
        self, data: tuple[Any, ...], *, batch_size: int, seed: int, start: Any
    ):
        super().__init__()
        self.data = data
        self.batch_size = batch_size
        self.seed = seed
        self.start = start
        self.num_examples = len(keras.tree.flatten(data)[0])
        self._ordered: tuple[int, np.ndarray] | None = None

    def __len__(self) -> int:
        """Return the number of batches."""
        return -(-self.num_examples // self.batch_size)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        """Return one batch of the epoch."""
        epoch = int(self.start.epoch)
        if self._ordered is None or self._ordered[0] != epoch:
            order = order_of(self.num_examples, self.seed, epoch, shuffle=True)
            self._ordered = epoch, order.numpy()
        first = index * self.batch_size
        rows = self._ordered[1][first : first + self.batch_size]
        return keras.tree.map_structure(lambda array: array[rows], self.data)
