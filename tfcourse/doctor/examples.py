"""Examples that were kept of the batches seen, bounded, as arrays."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

MAX_EXAMPLES = 2048
MAX_BYTES = 32 * 2**20


class Examples:
    """Inputs and targets of some batches; when it grows too large, every other goes.

    Attributes:
        batches: (x, y, sample_weight) structures of tensors.
    """

    def __init__(self, max_examples: int = MAX_EXAMPLES, max_bytes: int = MAX_BYTES):
        self.batches: list[tuple[Any, Any, Any]] = []
        self._max_examples = max_examples
        self._max_bytes = max_bytes

    def add(self, batch: Any) -> None:
        """Keep a batch."""
        unpacked = keras.utils.unpack_x_y_sample_weight(batch)
        if size_bytes(unpacked) > self._max_bytes:
            return
        self.batches.append(unpacked)
        while len(self.batches) > 2 and self._is_full():
            self.batches = self.batches[::2]

    def _is_full(self) -> bool:
        examples = sum(num_examples(batch[0]) for batch in self.batches)
        size = sum(size_bytes(batch) for batch in self.batches)
        return examples > self._max_examples or size > self._max_bytes

    def __bool__(self) -> bool:
        return bool(self.batches)

    def inputs(self) -> list[np.ndarray]:
        """Return each input of the model as one array [n, ...]."""
        return joined([batch[0] for batch in self.batches])

    def targets(self) -> list[np.ndarray]:
        """Return each target as one array [n, ...]; none if there are no targets."""
        return joined([batch[1] for batch in self.batches])


def joined(structures: list[Any]) -> list[np.ndarray]:
    """Return the parts of equal structures, joined along the batch axis.

    Batches whose other axes differ (texts of different length) are cut to the shortest.
    """
    flat = [keras.tree.flatten(structure) for structure in structures]
    flat = [[as_array(part) for part in parts if part is not None] for parts in flat]
    if not flat or not flat[0] or any(len(p) != len(flat[0]) for p in flat):
        return []
    arrays = []
    for parts in zip(*flat, strict=True):
        if any(part is None or part.ndim != parts[0].ndim for part in parts):
            continue
        shortest = np.min([part.shape[1:] for part in parts], axis=0, initial=2**31)
        window = tuple(slice(0, int(size)) for size in shortest[: parts[0].ndim - 1])
        arrays.append(np.concatenate([part[(slice(None), *window)] for part in parts]))
    return arrays


def as_array(value: Any) -> np.ndarray | None:
    """Return a tensor as an array; None for what isn't numbers or has no batch axis."""
    if isinstance(value, tf.RaggedTensor | tf.SparseTensor):
        return None
    array = np.asarray(value)
    if array.dtype.kind == "V":  # bfloat16.
        array = array.astype(np.float32)
    return array if array.ndim >= 1 and array.dtype.kind in "fiub" else None


def num_examples(structure: Any) -> int:
    """Return the length of the first tensor of a structure."""
    for value in keras.tree.flatten(structure):
        if value is not None and len(getattr(value, "shape", ())):
            return int(value.shape[0])
    return 0


def size_bytes(structure: Any) -> int:
    """Return how many bytes the tensors of a structure take."""
    total = 0
    for value in keras.tree.flatten(structure):
        shape = getattr(value, "shape", None)
        dtype = getattr(value, "dtype", None)
        if shape is not None and dtype is not None:
            total += int(np.prod([int(size or 1) for size in shape])) * 8
    return total
