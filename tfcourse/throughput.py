"""Compares the speed of several things fairly, and the apparatus for it.

A machine's speed drifts: other programs come and go, clocks and caches warm up. Candidates
measured one after the other would be compared with that drift as well. So they take turns,
in rounds, every second one backwards; ratios are taken within a round, and medians last.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf

Candidate = TypeVar("Candidate")
Batch = TypeVar("Batch")


def images_per_second(
    dataset: Iterable[Any],
    *,
    window_seconds: float,
    warmup_seconds: float | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Return how many images per second an endless dataset gives.

    The start is not counted: the first batch fills shuffle buffers, traces functions and
    starts threads, and AUTOTUNE needs a while to settle. Images are counted, not batches:
    the last batch of an epoch may be short.

    Args:
        dataset: Gives (images, labels) without end: a `tf.data.Dataset` that ends in
            `repeat()`, or a generator.
        window_seconds: Length of the timed window; it ends with a whole batch.
        warmup_seconds: Before the window; default: as long as the window. At least one
            batch is taken.
        clock: Seconds from any moment on, never running backwards.
    """
    if warmup_seconds is None:
        warmup_seconds = window_seconds
    iterator = iter(dataset)
    start = clock()
    next(iterator)
    while clock() - start < warmup_seconds:
        next(iterator)
    num_images = 0
    start = clock()
    while (seconds := clock() - start) < window_seconds:
        images, _ = next(iterator)
        num_images += len(images)
    return num_images / seconds


def rates_in_turns(
    candidates: Mapping[str, Candidate],
    measure: Callable[[Candidate], float],
    *,
    num_rounds: int,
) -> dict[str, list[float]]:
    """Return each candidate's rates, one per round, the candidates taking turns.

    Args:
        candidates: By name, what is measured.
        measure: Returns one rate of a candidate, such as images per second.
        num_rounds: Rounds; every second one runs through the candidates backwards.

    Raises:
        ValueError: If there is no candidate, or no round.

    >>> rates_in_turns({"a": 3, "b": 4}, lambda value: 2.0 * value, num_rounds=2)
    {'a': [6.0, 6.0], 'b': [8.0, 8.0]}
    """
    if not candidates or num_rounds < 1:
        raise ValueError(
            "needs at least one candidate and one round; "
            f"got {len(candidates)} and num_rounds={num_rounds}"
        )
    rates: dict[str, list[float]] = {name: [] for name in candidates}
    names = list(candidates)
    for round_number in range(num_rounds):
        for name in names if round_number % 2 == 0 else reversed(names):
            rates[name].append(float(measure(candidates[name])))
    return rates


def median_ratio(numerator: Sequence[float], denominator: Sequence[float]) -> float:
    """Return the median over rounds of one candidate's rate over another's.

    Both rates of a ratio come from the same round: what slowed the machine down then
    slowed both.

    >>> median_ratio([20.0, 10.0, 30.0], [10.0, 5.0, 10.0])
    2.0
    """
    return float(np.median(np.divide(numerator, denominator)))


def medians(rates: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Return the median of each candidate's rates.

    >>> medians({"a": [1.0, 9.0, 2.0]})
    {'a': 2.0}
    """
    return {name: float(np.median(values)) for name, values in rates.items()}


def with_busy_accelerator(batches: Iterable[Batch], seconds: float) -> Iterator[Batch]:
    """Yield the batches; after each the consumer is away for `seconds`, the CPU idle.

    A stand-in for the training step of an accelerator: this thread waits, and the other
    threads of a pipeline have the processor for themselves.
    """
    for batch in batches:
        yield batch
        time.sleep(seconds)


def write_png_files(folder: Path, images: np.ndarray, labels: np.ndarray) -> list[str]:
    """Return the paths of TFRecord files below `folder`, one per class.

    Args:
        folder: Is made where it is missing.
        images: uint8 [n, height, width].
        labels: int64 [n], in [0, 256).

    Each record is one byte with the label and then the image as PNG, as images come from
    a camera or the web: `parse_png` reads it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    encoded = encode_png(images)
    paths = []
    for label in np.unique(labels).tolist():
        paths.append(str(folder / f"class-{label}.tfrecord"))
        with tf.io.TFRecordWriter(paths[-1]) as writer:
            for index in np.flatnonzero(labels == label):
                writer.write(bytes([label]) + encoded[index])
    return paths


def encode_png(images: np.ndarray) -> np.ndarray:
    """Return object [n]: uint8 images [n, height, width] as PNG files in memory."""

    def encode(batch: Any) -> Any:
        return tf.map_fn(
            lambda image: tf.io.encode_png(image[..., tf.newaxis]),
            batch,
            fn_output_signature=tf.string,
        )

    return np.asarray(tf.function(encode)(tf.constant(images)).numpy())


def parse_png(record: Any) -> tuple[Any, Any]:
    """Return the image, uint8 [height, width], and the label, int64 [], of one record."""
    label = tf.io.decode_raw(tf.strings.substr(record, 0, 1), tf.uint8)[0]
    image = tf.io.decode_png(tf.strings.substr(record, 1, -1))[..., 0]
    return image, tf.cast(label, tf.int64)


def slow_records(path: Any, *, seconds: float) -> tf.data.Dataset:
    """Return the records of a file whose storage takes `seconds` to answer.

    A stand-in for a disk across a network: nothing computes while it waits. The wait is
    an operation of TensorFlow's: Python that sleeps in a pipeline's threads can keep an
    interrupted program from ending.
    """
    name = tf.TensorSpec((), tf.string)
    waiting = tf.raw_ops.SleepDataset(
        input_dataset=tf.data.experimental.to_variant(
            tf.data.Dataset.from_tensors(path)
        ),
        sleep_microseconds=round(seconds * 1e6),
        output_types=[name.dtype],
        output_shapes=[name.shape],
    )
    answered = tf.data.experimental.from_variant(waiting, name)
    return answered.flat_map(tf.data.TFRecordDataset)
