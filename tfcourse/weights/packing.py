"""A file of weights that counts every byte, and the decoder that restores them bit by bit.

    magic, 4 bytes; CRC-32 of all that follows, 4 bytes; number of arrays; the arrays

An array is its number of axes and its shape, then one byte that says how it is kept:

    raw      float32 or float16, as they are
    sparse   a stream of gaps between the weights that are not 0, then these as float32
    coded    a codebook, float16 [k]; the bits per gap; a stream of gaps, unless every
             weight has a code; a stream of codes
    affine   an axis, or 255; scales, float32, and zero points, one byte each, for each
             index of that axis; a stream of codes

A stream is a Huffman code: the lengths of its codewords (4 bits each), the number of
symbols, the number of bytes, the bytes. Whole numbers are written 7 bits at a time, lowest
first, where the eighth says that more follow. All else is little-endian.

How gaps are made and how symbols become bits is handed in as a `Coder`.
"""

from __future__ import annotations

import dataclasses
import math
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfcourse.weights.byte_reader import ByteReader, write_number

Array = NDArray[Any]  # Its dtype and shape stand beside it.
MAGIC = b"TFW\x01"
MAX_AXES = 6
MAX_ARRAYS = 10_000
MAX_WEIGHTS = 2**24  # 64 MiB as float32: a file of a few bytes may claim any shape.
MAX_CODE_LENGTH = 15  # Four bits; 0 stands for a symbol that does not occur.
MAX_VALUES = 256
GAP_BITS = range(2, 9)
RAW_KINDS: dict[int, np.dtype[Any]] = {0: np.dtype("<f4"), 1: np.dtype("<f2")}
SPARSE, CODED, AFFINE = 2, 3, 4
NO_AXIS = 255


@dataclasses.dataclass(frozen=True)
class Coder:
    """How positions become gaps and symbols become bits.

    Attributes:
        gaps: From positions, int [n], ascending, and the largest gap to symbols, int.
        places: From symbols, the largest gap and the array's size back to positions.
        lengths: From counts, int [k], to the lengths of the codewords, int [k].
        encode: From symbols and lengths to bytes.
        decode: From bytes, lengths and the number of symbols back to symbols.

    `places` and `decode` raise ValueError for what can't be right.
    """

    gaps: Callable[[Array, int], Array]
    places: Callable[[Array, int, int], Array]
    lengths: Callable[[Array], Array]
    encode: Callable[[Array, Array], bytes]
    decode: Callable[[bytes, Array, int], Array]


@dataclasses.dataclass(frozen=True)
class Raw:
    """Weights as they are: float32 or float16 [...]."""

    values: Array


@dataclasses.dataclass(frozen=True)
class Sparse:
    """Weights of which many are 0: float32 [...]."""

    values: Array


@dataclasses.dataclass(frozen=True)
class Coded:
    """Weights with few values: the codebook, float [k], is stored as float16.

    Attributes:
        codebook: Up to 256 values.
        codes: int [...] in [-1, k); -1 stands for 0.
    """

    codebook: Array
    codes: Array


@dataclasses.dataclass(frozen=True)
class Affine:
    """Weights as `scale * (codes - zero_point)`.

    Attributes:
        codes: uint8 [...].
        scale: float32, of as many axes; one of them may be longer than 1.
        zero_point: int in [0, 255], in the shape of `scale`.
    """

    codes: Array
    scale: Array
    zero_point: Array


Packable = Raw | Sparse | Coded | Affine


def restored(array: Packable) -> Array:
    """Return the weights that the decoder will give: float32 [...]."""
    if isinstance(array, Affine):
        return _line(array.codes, array.scale, array.zero_point)
    if isinstance(array, Coded):
        with_zero = np.append(np.asarray(array.codebook, "<f2"), np.float16(0))
        return with_zero[array.codes].astype(np.float32)
    values = np.asarray(array.values, np.float32)
    # What is -0 after a mask comes back as 0.
    return values + np.float32(0) if isinstance(array, Sparse) else values


def _line(codes: Array, scale: Array, zero_point: Array) -> Array:
    steps = codes.astype(np.int32) - np.asarray(zero_point, np.int32)
    return (np.asarray(scale, np.float32) * steps).astype(np.float32)


def pack(arrays: Sequence[Packable], coder: Coder) -> bytes:
    """Return the file's bytes.

    Raises:
        ValueError: If an array has too many values, axes or weights.
    """
    body = bytearray(write_number(len(arrays)))
    for array in arrays:
        body += _packed_array(array, coder)
    return MAGIC + zlib.crc32(body).to_bytes(4, "little") + bytes(body)


def _packed_array(array: Packable, coder: Coder) -> bytes:
    values = array.codes if isinstance(array, Coded | Affine) else array.values
    if values.ndim > MAX_AXES or values.size > MAX_WEIGHTS:
        raise ValueError(
            f"an array may have {MAX_AXES} axes and {MAX_WEIGHTS:,} weights; got shape "
            f"{values.shape}"
        )
    head = write_number(values.ndim) + b"".join(map(write_number, values.shape))
    if isinstance(array, Raw):
        kind = 1 if values.dtype == np.float16 else 0
        return head + bytes([kind]) + values.astype(RAW_KINDS[kind]).tobytes()
    flat = values.ravel()
    if isinstance(array, Sparse):
        kept = np.flatnonzero(flat)
        stream = _gap_stream(kept, coder)
        return head + bytes([SPARSE]) + stream + flat[kept].astype("<f4").tobytes()
    if isinstance(array, Affine):
        return head + bytes([AFFINE]) + _packed_affine(array, coder)
    codebook = np.asarray(array.codebook, "<f2")
    if not 1 <= len(codebook) <= MAX_VALUES:
        raise ValueError(
            f"a codebook has 1 to {MAX_VALUES} values; got {len(codebook)}"
        )
    kept = np.flatnonzero(flat >= 0)
    dense = len(kept) == len(flat)
    gaps = b"\0" if dense else _gap_stream(kept, coder)
    codes = _stream(flat[kept], len(codebook), coder)
    start = bytes([CODED]) + write_number(len(codebook)) + codebook.tobytes()
    return head + start + gaps + codes


def _packed_affine(array: Affine, coder: Coder) -> bytes:
    scale = np.asarray(array.scale, "<f4")
    zero_point = np.asarray(array.zero_point)
    long = [axis for axis, size in enumerate(scale.shape) if size != 1]
    if scale.ndim != array.codes.ndim or len(long) > 1:
        raise ValueError(
            "a scale has as many axes as the weights, one longer than 1; got "
            f"{scale.shape} for {array.codes.shape}"
        )
    start = bytes(long or [NO_AXIS]) + scale.tobytes()
    codes = array.codes.ravel().astype(np.int64)
    return start + zero_point.astype(np.uint8).tobytes() + _stream(codes, 256, coder)


def _gap_stream(places: Array, coder: Coder) -> bytes:
    """Return the bits per gap, of those that give the fewest bytes, and the stream."""
    streams = (
        bytes([bits]) + _stream(coder.gaps(places, 2**bits - 1), 2**bits, coder)
        for bits in GAP_BITS
    )
    return min(streams, key=len)


def _stream(symbols: Array, alphabet: int, coder: Coder) -> bytes:
    symbols = np.asarray(symbols, np.int64)
    counts = np.bincount(symbols, minlength=alphabet)
    lengths = limited_lengths(counts, coder)
    nibbles = np.append(lengths, 0)[: alphabet + alphabet % 2].astype(np.uint8)
    content = coder.encode(symbols, lengths)
    table = (nibbles[::2] | nibbles[1::2] << 4).astype(np.uint8).tobytes()
    return table + write_number(len(symbols)) + write_number(len(content)) + content


def limited_lengths(
    counts: Array, coder: Coder, longest: int = MAX_CODE_LENGTH
) -> Array:
    """Return the lengths of codewords of at most `longest` bits.

    Where Huffman's would be longer, counts are halved (and stay above 0) until they fit:
    rare symbols become a little less rare.
    """
    lengths = np.asarray(coder.lengths(counts), np.int64)
    while len(lengths) and lengths.max() > longest:
        counts = -(-counts // 2)
        lengths = np.asarray(coder.lengths(counts), np.int64)
    return lengths


def unpack(
    content: bytes, coder: Coder, *, max_weights: int = MAX_WEIGHTS
) -> list[Array]:
    """Return the arrays, float32, as they were packed.

    Args:
        content: The file's bytes; from anywhere.
        coder: The one that packed.
        max_weights: Of all arrays together; what claims more is refused before memory
            for it is taken.

    Raises:
        ValueError: If the file is damaged, cut off, of another kind or too large.
    """
    if content[: len(MAGIC)] != MAGIC:
        raise ValueError(f"a file of weights begins with {MAGIC!r}: {content[:4]!r}")
    body = content[len(MAGIC) + 4 :]
    if content[len(MAGIC) : len(MAGIC) + 4] != zlib.crc32(body).to_bytes(4, "little"):
        raise ValueError("the checksum differs: the file is damaged or cut off")
    reader = ByteReader(body)
    arrays: list[Array] = []
    left = max_weights
    for _ in range(reader.number(MAX_ARRAYS, "number of arrays")):
        axes = range(reader.number(MAX_AXES, "number of axes"))
        shape = tuple(reader.number(max_weights, "size of an axis") for _ in axes)
        size = math.prod(shape)
        if size > left:
            raise ValueError(f"more than {max_weights:,} weights: shape {shape}")
        left -= size
        arrays.append(_unpacked_array(reader, shape, coder).reshape(shape))
    reader.check_end()
    return arrays


def _unpacked_array(reader: ByteReader, shape: tuple[int, ...], coder: Coder) -> Array:
    size = math.prod(shape)
    kind = reader.byte()
    if kind in RAW_KINDS:
        dtype = RAW_KINDS[kind]
        raw = reader.take(size * dtype.itemsize)
        return np.frombuffer(raw, dtype).astype(np.float32)
    if kind == AFFINE:
        return _unpacked_affine(reader, shape, coder)
    if kind == SPARSE:
        places = _places(reader, reader.byte(), size, coder)
        values = np.frombuffer(reader.take(4 * len(places)), "<f4").astype(np.float32)
    elif kind == CODED:
        num_values = reader.number(MAX_VALUES, "number of values")
        codebook = np.frombuffer(reader.take(2 * num_values), "<f2")
        gap_bits = reader.byte()
        is_dense = gap_bits == 0
        places = np.arange(0) if is_dense else _places(reader, gap_bits, size, coder)
        count = size if is_dense else len(places)
        codes = _symbols(reader, num_values, count, coder)
        if len(codes) != count:
            raise ValueError(f"{count} weights need as many codes; got {len(codes)}")
        values = codebook.astype(np.float32)[codes]
        if is_dense:
            return values
    else:
        raise ValueError(f"kind {kind} of an array is unknown")
    flat = np.zeros(size, np.float32)
    flat[places] = values
    return flat


def _unpacked_affine(reader: ByteReader, shape: tuple[int, ...], coder: Coder) -> Array:
    axis = reader.byte()
    if axis != NO_AXIS and axis >= len(shape):
        raise ValueError(f"there is no axis {axis} in shape {shape}")
    lines = tuple(n if i == axis else 1 for i, n in enumerate(shape))
    count, size = math.prod(lines), math.prod(shape)
    scale = np.frombuffer(reader.take(4 * count), "<f4").reshape(lines)
    zero_point = np.frombuffer(reader.take(count), np.uint8).reshape(lines)
    codes = _symbols(reader, 256, size, coder)
    if len(codes) != size:
        raise ValueError(f"{size} weights need as many codes; got {len(codes)}")
    with np.errstate(all="ignore"):  # Scales may be anything.
        return _line(codes.reshape(shape), scale, zero_point)


def _places(reader: ByteReader, gap_bits: int, size: int, coder: Coder) -> Array:
    if gap_bits not in GAP_BITS:
        raise ValueError(f"gaps of {gap_bits} bits are unknown")
    gaps = _symbols(reader, 2**gap_bits, size, coder)
    places = np.asarray(coder.places(gaps, 2**gap_bits - 1, size), np.int64)
    # Whoever wrote the coder: nothing is written outside of the array.
    if len(places) and not (0 <= places.min() and places.max() < size):
        raise ValueError(f"a weight lies outside of its array of {size}")
    return places


def _symbols(reader: ByteReader, alphabet: int, most: int, coder: Coder) -> Array:
    """Return the symbols of a stream: at most `most`, below `alphabet`."""
    table = np.frombuffer(reader.take((alphabet + 1) // 2), np.uint8)
    lengths = np.stack([table & 15, table >> 4], 1).ravel().astype(np.int64)
    if lengths[alphabet:].any():
        raise ValueError(
            "the table of a stream has lengths for symbols that don't exist"
        )
    count = reader.number(most, "number of symbols")
    content = reader.take(reader.number(len(reader.content), "bytes of a stream"))
    symbols = np.asarray(coder.decode(content, lengths[:alphabet], count), np.int64)
    if len(symbols) != count or (count and not 0 <= symbols.min()):
        raise ValueError(f"{count} symbols were expected, {len(symbols)} came")
    if count and symbols.max() >= alphabet:
        raise ValueError(f"symbol {symbols.max()} is not in an alphabet of {alphabet}")
    return symbols
