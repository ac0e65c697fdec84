"""What `fit` is given, as tensors: the rules of `model.fit` for arrays, in one place."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

# A copy of the data may take this share of the memory that is free.
MAX_SHARE_OF_MEMORY = 0.5


class NotServed(Exception):
    """The whole-epoch programs can't serve this call; the message says why."""


class TooLarge(NotServed):
    """The arrays would not fit into memory a second time."""


def examples(x: Any, y: Any, sample_weight: Any) -> tuple[Any, ...]:
    """Return `(x,)`, `(x, y)` or `(x, y, sample_weight)` as arrays that can be sliced.

    Lists become tuples, as in `model.fit`; pandas objects become NumPy arrays.

    Raises:
        NotServed: If something is not a dense array or tensor.
        ValueError: If the arrays differ in their number of examples.
    """
    if y is None and sample_weight is not None:
        raise NotServed("sample weights without targets")
    if sample_weight is not None and keras.tree.is_nested(y):
        if not keras.tree.is_nested(sample_weight):
            # One weight per example counts for each output.
            weight = sample_weight
            sample_weight = keras.tree.map_structure(lambda _: weight, y)
    parts = [part for part in (x, y, sample_weight) if part is not None]
    parts = [keras.tree.lists_to_tuples(part) for part in parts]
    arrays = tuple(keras.tree.map_structure(_array, part) for part in parts)
    counts = {len(array) for array in keras.tree.flatten(arrays)}
    if len(counts) != 1 or counts == {0}:
        raise ValueError(
            "all arrays must have the same number of examples, at least one; "
            f"got {sorted(counts)}"
        )
    return arrays


def _array(value: Any) -> Any:
    """Return the value as a NumPy array or a dense tensor, not yet copied."""
    if isinstance(value, tf.RaggedTensor | tf.SparseTensor):
        raise NotServed(f"the data contain a {type(value).__name__}")
    if hasattr(value, "to_numpy"):
        value = value.to_numpy()
    elif not tf.is_tensor(value) and hasattr(value, "__array__"):
        value = np.asarray(value)
    if not tf.is_tensor(value) and not isinstance(value, np.ndarray):
        raise NotServed(f"the data are not arrays but {type(value).__name__}")
    if not value.shape:
        raise NotServed("the data contain a single number")
    if isinstance(value, np.ndarray) and value.dtype == object:
        if not all(isinstance(item, str) for item in value.flat):
            raise NotServed("the data contain an array of Python objects")
    return value


def tensors(arrays: Any) -> Any:
    """Return the arrays as tensors, in memory; floats get Keras's `floatx`.

    Integers keep their type, uint8 images their small size. Tensors are not copied.

    Raises:
        TooLarge: If the copies would take more than half of the free memory, or don't
            fit into the memory of the GPU.
    """
    num_bytes = sum(
        array.nbytes for array in keras.tree.flatten(arrays) if not tf.is_tensor(array)
    )
    free = free_bytes()
    if free is not None and num_bytes > MAX_SHARE_OF_MEMORY * free:
        raise TooLarge(
            f"the data take {num_bytes / 2**30:.1f} GiB and "
            f"{free / 2**30:.1f} GiB of memory are free"
        )
    try:
        return keras.tree.map_structure(_tensor, arrays)
    except tf.errors.ResourceExhaustedError:
        raise TooLarge(
            f"the data take {num_bytes / 2**30:.1f} GiB, which the device can't hold"
        ) from None


def _tensor(array: Any) -> tf.Tensor:
    if tf.as_dtype(array.dtype).is_floating:
        dtype = tf.as_dtype(keras.config.floatx())
        if tf.is_tensor(array):
            return tf.cast(array, dtype)
        array = array.astype(dtype.as_numpy_dtype, copy=False)
    return tf.convert_to_tensor(array)


def free_bytes() -> int | None:
    """Return the memory that is free for new data, None where it is not known."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        # macOS tells how much memory there is, not how much is free.
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def class_weights(y: Any, class_weight: Mapping[int, float]) -> np.ndarray:
    """Return float32 [n]: each example's weight by its class, 1 for classes not named.

    Args:
        y: Integer labels [n] or [n, 1], or one-hot [n, classes].
        class_weight: Weight by class.
    """
    if keras.tree.is_nested(y):
        raise ValueError("class_weight is for models with a single output")
    labels = np.asarray(y)
    if labels.ndim > 1:
        labels = labels.argmax(-1) if labels.shape[-1] != 1 else labels[..., 0]
    labels = np.round(labels).astype(int)
    weights = np.ones(len(labels), keras.config.floatx())
    for label, weight in class_weight.items():
        weights[labels == label] = weight
    return weights


def split(arrays: tuple[Any, ...], validation_split: float) -> tuple[Any, Any]:
    """Return the first part for training and the last for validation."""
    num_examples = len(keras.tree.flatten(arrays)[0])
    border = math.floor(num_examples * (1 - validation_split))
    if not 0 < border < num_examples:
        raise ValueError(
            "validation_split must leave examples on both sides; got "
            f"validation_split={validation_split} of {num_examples} examples"
        )
    first = keras.tree.map_structure(lambda array: array[:border], arrays)
    last = keras.tree.map_structure(lambda array: array[border:], arrays)
    return first, last
