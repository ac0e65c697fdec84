"""`tf.data` pipelines from a chain of steps in words: `slices shuffle batch map`.

So that pipelines which differ in one step can be compared, and a figure can name them by
what they do. A `*` behind a step lets it run in parallel: `map*`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfcourse.throughput import parse_png, slow_records

# How long a file on slow storage takes to answer.
STORAGE_SECONDS = 0.02


def normalise(images: Any, labels: Any) -> tuple[Any, Any]:
    """Return images as float32 in [0, 1], one or a batch of them, and the labels."""
    return tf.cast(images, tf.float32) / 255.0, labels


def decode(records: Any) -> tuple[Any, Any]:
    """Return uint8 images and int64 labels from records of PNG files, one or a batch."""
    if records.shape.rank == 0:
        return parse_png(records)
    images, labels = tf.map_fn(
        parse_png, records, fn_output_signature=(tf.uint8, tf.int64)
    )
    return images, labels


def augment(images: Any, labels: Any) -> tuple[Any, Any]:
    """Return normalised images with random noise, in [0, 1], and the labels."""
    images, labels = normalise(images, labels)
    noise = tf.random.normal(tf.shape(images), stddev=0.1)
    return tf.clip_by_value(images + noise, 0.0, 1.0), labels


@dataclasses.dataclass(frozen=True)
class Pipelines:
    """Data in memory and in files, and the pipelines that a chain of steps makes of them.

    A chain begins with where the examples come from:

    - `slices`: the arrays, cut into examples by `from_tensor_slices`
    - `generator`: the arrays, cut by a Python generator
    - `indices`: the numbers of the examples; `gather` fetches images and labels
    - `records`: the TFRecord files, one after the other; `decode` makes images of them
    - `files`: the names of the files; `read` and `interleave` open them on slow storage

    The other steps are the methods of `tf.data.Dataset`: shuffle, batch, repeat, cache,
    prefetch, and two maps: `map` normalises, `augment` adds noise as well. A pipeline
    without `prefetch` gets one from `tf.data` all the same, except behind `bare`.
    """

    images: np.ndarray  # uint8 [n, height, width]
    labels: np.ndarray  # int64 [n]
    seed: int = 0
    files: Sequence[str] = ()  # TFRecord files of images as PNG.

    def build(
        self,
        chain: str,
        *,
        batch_size: int = 1,
        buffer_size: int | None = None,
        num_epochs: int | None = None,
        parallel_calls: int = tf.data.AUTOTUNE,
        batches_ahead: int = tf.data.AUTOTUNE,
    ) -> tf.data.Dataset:
        """Return the pipeline of a chain.

        Args:
            chain: Steps in their order, such as "slices shuffle batch map*".
            batch_size: Of `batch`.
            buffer_size: Of `shuffle`, in examples: behind `batch` the buffer gets as many
                batches as hold so many. Default: all.
            num_epochs: Of `repeat`; default: without end.
            parallel_calls: Of steps with a `*`.
            batches_ahead: Of `prefetch`.

        Raises:
            ValueError: If a step is unknown.
        """
        buffer_size = buffer_size or len(self.labels)
        steps = self._steps(batch_size, num_epochs, batches_ahead)
        ds: Any = None
        is_batched = False
        for name in chain.split():
            step, star = name.removesuffix("*"), name.endswith("*")
            if step == "shuffle":
                size = -(-buffer_size // batch_size) if is_batched else buffer_size
                ds = ds.shuffle(size, seed=self.seed)
            elif step not in steps:
                raise ValueError(f"steps are {', '.join(steps)}, shuffle; got {step!r}")
            else:
                ds = steps[step](ds, parallel_calls if star else None)
            is_batched = is_batched or step == "batch"
        return ds

    def stream(self, chain: str, **sizes: Any) -> list[np.ndarray]:
        """Return the batches of example numbers that a chain of steps gives.

        Args:
            chain: Steps behind `indices`; must hold `batch`.
            sizes: As for `build`.

        Returns:
            int64 [batch] each, in the order shown.
        """
        return list(self.build(f"indices {chain}", **sizes).as_numpy_iterator())

    def sorted_by_class(self) -> Pipelines:
        """Return pipelines over the same examples, sorted by their labels."""
        order = np.argsort(self.labels, kind="stable")
        return dataclasses.replace(
            self, images=self.images[order], labels=self.labels[order]
        )

    def _steps(
        self, batch_size: int, num_epochs: int | None, batches_ahead: int
    ) -> dict[str, Callable[[Any, int | None], Any]]:
        """Return the steps by name: functions of a dataset and of the parallel calls."""
        dataset = tf.data.Dataset
        open_slowly = functools.partial(slow_records, seconds=STORAGE_SECONDS)
        num_files = len(self.files)

        return {
            "slices": lambda _, calls: dataset.from_tensor_slices(
                (self.images, self.labels)
            ),
            "generator": lambda _, calls: self._generator(),
            "indices": lambda _, calls: dataset.range(len(self.labels)),
            "records": lambda _, calls: tf.data.TFRecordDataset(self.files),
            "files": lambda _, calls: dataset.from_tensor_slices(list(self.files)),
            "read": lambda ds, calls: ds.flat_map(open_slowly),
            "interleave": lambda ds, calls: ds.interleave(
                open_slowly, num_files, num_parallel_calls=calls and num_files
            ),
            "gather": self._gather,
            "decode": lambda ds, calls: ds.map(decode, calls),
            "map": lambda ds, calls: ds.map(normalise, calls),
            "augment": lambda ds, calls: ds.map(augment, calls),
            "batch": lambda ds, calls: ds.batch(batch_size),
            "repeat": lambda ds, calls: ds.repeat(num_epochs),
            "cache": lambda ds, calls: ds.cache(),
            "prefetch": lambda ds, calls: ds.prefetch(batches_ahead),
            "bare": lambda ds, calls: ds.with_options(_without_injected_prefetch()),
        }

    def _gather(self, indices_ds: Any, calls: int | None) -> tf.data.Dataset:
        # Tensors once: numpy arrays would be copied into the graph of the function.
        images, labels = tf.constant(self.images), tf.constant(self.labels)
        return indices_ds.map(
            lambda i: normalise(tf.gather(images, i), tf.gather(labels, i)), calls
        )

    def _generator(self) -> tf.data.Dataset:
        def one_by_one() -> Iterator[tuple[np.ndarray, np.int64]]:
            yield from zip(self.images, self.labels, strict=True)

        image = tf.TensorSpec(self.images.shape[1:], tf.uint8)
        label = tf.TensorSpec((), tf.int64)
        return tf.data.Dataset.from_generator(
            one_by_one, output_signature=(image, label)
        )


def _without_injected_prefetch() -> tf.data.Options:
    options = tf.data.Options()
    options.experimental_optimization.inject_prefetch = False
    return options
