"""Weights that stay 0 while a network trains."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

Masks = Sequence[NDArray[np.bool_]]


def kernels(model: keras.Model) -> list[keras.Variable]:
    """Return the kernels of the dense and convolutional layers, from first to last."""
    return [
        layer.kernel for layer in model.layers if hasattr(layer, "kernel_initializer")
    ]


class Masked(keras.constraints.Constraint):
    """Sets weights to 0 after each step of the optimizer, where a mask says so.

    Args:
        shape: Of the weights; at first nothing is masked.
    """

    def __init__(self, shape: Sequence[int]):
        self.mask = tf.Variable(tf.ones(shape), trainable=False)  # 1 keeps, 0 prunes.

    def __call__(self, w):
        """Return the weights with zeros where the mask has them."""
        return w * tf.cast(self.mask, w.dtype)


def set_masks(model: keras.Model, masks: Masks) -> None:
    """Set the kernels to 0 where a mask is False, and keep them there in training.

    Args:
        model: To be trained after this; a training that runs already sees no new masks,
            unless each kernel had one before.
        masks: bool, one per kernel of `kernels(model)`, in its shape.

    Raises:
        ValueError: If the masks don't fit the kernels.
    """
    variables = kernels(model)
    shapes = [tuple(np.shape(mask)) for mask in masks]
    if shapes != [tuple(variable.shape) for variable in variables]:
        raise ValueError(
            "there must be one mask per kernel, in its shape; expected "
            f"{[tuple(v.shape) for v in variables]}, received {shapes}"
        )
    for variable, mask in zip(variables, masks, strict=True):
        constraint = _masked(variable)
        constraint.mask.assign(np.asarray(mask, np.float32))
        variable.assign(constraint(variable))


def _masked(variable: keras.Variable) -> Masked:
    """Return the variable's mask; a new one lets everything pass."""
    if not isinstance(variable.constraint, Masked):
        variable.constraint = Masked(variable.shape)
    return variable.constraint


def free_weights(model: keras.Model) -> None:
    """Take all masks off."""
    for variable in kernels(model):
        variable.constraint = None


class PruneAtEpochs(keras.callbacks.Callback):
    """Prunes at the start of each epoch, to a sparsity that depends on the epoch.

    Masks follow from the weights alone (what is 0 already is the smallest), so a run that
    is resumed goes on as if it had not been stopped.

    Args:
        model: Whose kernels are pruned; the model that trains may contain it.
        sparsity_at: From the epoch, counted from 0, to the sparsity in [0, 1).
        masks_for: From the kernels, float32, and the sparsity to the masks, bool.
    """

    def __init__(
        self,
        model: keras.Model,
        sparsity_at: Callable[[int], float],
        masks_for: Callable[[list[np.ndarray], float], Masks],
    ):
        super().__init__()
        self._pruned = model
        self._sparsity_at = sparsity_at
        self._masks_for = masks_for
        # From the start: a training program that is traced already sees no new ones.
        for variable in kernels(model):
            _masked(variable)

    def on_epoch_begin(self, epoch, logs=None):
        """Prune."""
        values = [variable.numpy() for variable in kernels(self._pruned)]
        set_masks(self._pruned, self._masks_for(values, self._sparsity_at(epoch)))


def sparsity(model: keras.Model) -> float:
    """Return the share of the kernels' entries that are exactly 0."""
    values = [variable.numpy() for variable in kernels(model)]
    return float(sum((v == 0).sum() for v in values) / sum(v.size for v in values))


def drop_dead_units(model: keras.Model) -> int:
    """Set to 0 what leads to units that lead nowhere; return how many weights that were.

    A hidden unit of a dense layer whose weights into the next dense layer are all 0 may
    have any bias and any weights: the outputs stay the same, bit by bit.
    """
    layers = [layer for layer in model.layers if layer.weights]
    num_dropped = 0
    for first, second in reversed(list(itertools.pairwise(layers))):
        if not (type(first) is type(second) is keras.layers.Dense):
            continue
        dead = ~np.any(second.kernel.numpy(), axis=1)  # [units]
        kernel, bias = (weights.numpy() for weights in (first.kernel, first.bias))
        num_dropped += np.count_nonzero(kernel[:, dead]) + np.count_nonzero(bias[dead])
        kernel[:, dead], bias[dead] = 0, 0
        first.kernel.assign(kernel)
        first.bias.assign(bias)
    return int(num_dropped)
