"""What a summary's value holds: a number, a histogram, or text. No TensorFlow."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from tensorboard.compat.proto import types_pb2

Tensor: TypeAlias = Any  # The protos have no type stubs.
Floats: TypeAlias = npt.NDArray[np.float64]

MAX_BINS = 200  # Kept: neighbours are merged beyond.
MAX_BINS_READ = 2000  # TensorFlow 1 and PyTorch write up to 1,549.
MAX_ELEMENTS = 3 * MAX_BINS_READ

# dtype -> numpy's name of it and the field that holds single values.
_KINDS: dict[int, tuple[str, str]] = {
    types_pb2.DT_FLOAT: ("<f4", "float_val"),
    types_pb2.DT_DOUBLE: ("<f8", "double_val"),
    types_pb2.DT_HALF: ("<f2", "half_val"),
    types_pb2.DT_BFLOAT16: ("<u2", "half_val"),
    types_pb2.DT_INT8: ("<i1", "int_val"),
    types_pb2.DT_INT16: ("<i2", "int_val"),
    types_pb2.DT_INT32: ("<i4", "int_val"),
    types_pb2.DT_INT64: ("<i8", "int64_val"),
    types_pb2.DT_UINT8: ("<u1", "int_val"),
    types_pb2.DT_UINT16: ("<u2", "int_val"),
    types_pb2.DT_UINT32: ("<u4", "uint32_val"),
    types_pb2.DT_UINT64: ("<u8", "uint64_val"),
    types_pb2.DT_BOOL: ("?", "bool_val"),
}
_FLOAT = types_pb2.DT_FLOAT
_STRING = types_pb2.DT_STRING


@dataclass(frozen=True)
class Histogram:
    """One histogram.

    Attributes:
        step: As written.
        edges: float64 [k + 1], ascending.
        counts: float64 [k], not negative.
    """

    step: int
    edges: Floats
    counts: Floats


def numbers(tensor: Tensor) -> Floats | None:
    """Return a small numeric tensor's values, or None if it isn't one.

    Returns:
        float64 of the tensor's shape, at most `MAX_ELEMENTS` elements.
    """
    kind = _KINDS.get(tensor.dtype)
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    if kind is None or tensor.tensor_shape.unknown_rank or len(shape) > 8:
        return None
    if any(size < 0 for size in shape) or math.prod(shape) > MAX_ELEMENTS:
        return None
    num_elements = math.prod(shape)
    dtype, field = np.dtype(kind[0]), kind[1]
    if tensor.tensor_content:
        if len(tensor.tensor_content) != num_elements * dtype.itemsize:
            return None
        flat = np.frombuffer(tensor.tensor_content, dtype=dtype)
    else:
        listed = getattr(tensor, field)
        if len(listed) > num_elements or bool(listed) != bool(num_elements):
            return None
        flat = _from_field(listed, dtype, field)
        if 0 < len(flat) < num_elements:  # The last value stands for all that follow.
            flat = np.pad(flat, (0, num_elements - len(flat)), mode="edge")
    if tensor.dtype == types_pb2.DT_BFLOAT16:
        flat = (flat.astype(np.uint32) << 16).view(np.float32)
    return flat.astype(np.float64).reshape(shape)


def _from_field(listed: Any, dtype: np.dtype[Any], field: str) -> npt.NDArray[Any]:
    if field == "half_val":  # Sixteen bits in an int32.
        return (np.array(listed, dtype=np.int64) & 0xFFFF).astype("<u2").view(dtype)
    if field in ("float_val", "double_val", "bool_val"):
        return np.array(listed, dtype=dtype)
    return np.array(listed, dtype=np.float64)


def scalar(tensor: Tensor) -> float | None:
    """Return the number that a tensor of one element holds, or None."""
    content = tensor.tensor_content
    if tensor.dtype == _FLOAT and not tensor.tensor_shape.dim:  # Nearly every one.
        if len(content) == 4:
            return float(struct.unpack("<f", content)[0])
        if not content and len(tensor.float_val) == 1:
            return float(tensor.float_val[0])
    array = numbers(tensor)
    return float(array.reshape(())) if array is not None and array.size == 1 else None


def text(tensor: Tensor) -> bytes | None:
    """Return the one text that a string tensor holds, or None."""
    if tensor.dtype != _STRING or len(tensor.string_val) != 1:
        return None
    return bytes(tensor.string_val[0])


def histogram_of_tensor(step: int, tensor: Tensor) -> Histogram | None:
    """Return the histogram that a tensor [k, 3] of left, right, count holds, or None."""
    table = numbers(tensor)
    if table is None or table.ndim != 2 or table.shape[1] != 3:
        return None
    return _checked(step, table[:, 0], table[:, 1], table[:, 2])


def histogram_of_proto(step: int, histogram: Any) -> Histogram | None:
    """Return the histogram of a `HistogramProto`, or None.

    Its first bin begins at the least value and its last ends at the greatest: the limits
    there are those of the number format.
    """
    num_bins = len(histogram.bucket)
    if num_bins != len(histogram.bucket_limit) or num_bins > MAX_BINS_READ:
        return None
    limits = np.array(histogram.bucket_limit, dtype=np.float64)
    counts = np.array(histogram.bucket, dtype=np.float64)
    filled = np.flatnonzero(counts)
    if not len(filled):
        return _checked(step, limits[:0], limits[:0], limits[:0])
    kept = slice(int(filled[0]), int(filled[-1]) + 1)
    rights = limits[kept].copy()
    rights[-1] = min(rights[-1], histogram.max)
    lefts = np.concatenate([[histogram.min], rights[:-1]])
    return _checked(step, lefts, rights, counts[kept])


def _checked(
    step: int, lefts: Floats, rights: Floats, counts: Floats
) -> Histogram | None:
    if not len(counts):
        return Histogram(step, np.zeros(1), np.zeros(0))
    edges = np.append(lefts, rights[-1])
    if not (np.isfinite(edges).all() and np.isfinite(counts).all()):
        return None
    if (np.diff(edges) < 0).any() or (counts < 0).any():
        return None
    if len(counts) > MAX_BINS:
        width = -(-len(counts) // MAX_BINS)
        starts = np.arange(0, len(counts), width)
        edges = np.append(edges[starts], edges[-1])
        counts = np.add.reduceat(counts, starts)
    return Histogram(step, edges, counts)
