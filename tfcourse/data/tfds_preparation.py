"""TFDS: turns verified original files into arrays. The only file that imports TFDS."""

from __future__ import annotations

import contextlib
import errno
import io
import itertools
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcourse.data.folder import Progress
from tfcourse.data.records import SPLITS, DatasetSpec, Split

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

READ_BATCH_SIZE = 1_000
REPORT_EVERY = 500  # Examples; some ten times a second.


def arrays_from_originals(
    spec: DatasetSpec,
    originals: Path,
    scratch: Path,
    progress: Progress | None = None,
) -> dict[Split, tuple[NDArray[np.uint8], NDArray[np.int64]]]:
    """Return images uint8 [n, *image_shape] and labels int64 [n] of each split.

    The examples come in the order in which TFDS stores them, always the same.

    Args:
        spec: The set.
        originals: Folder of the original files; read only.
        scratch: Existing folder for TFDS's own files, of no use afterwards.
        progress: Called with (what, examples done, examples in all).

    Raises:
        OSError: If the files can't be written.
    """
    import tensorflow_datasets as tfds

    import tfcourse.runtime  # noqa: F401  # Loads TensorFlow without its notes.

    config = tfds.download.DownloadConfig(
        manual_dir=str(originals),
        # Not what somebody else prepared: the checksums are those of the originals.
        try_download_gcs=False,
        force_checksums_validation=True,
    )
    try:
        with _quiet():
            builder = tfds.builder(f"{spec.name}:{spec.tfds_version}", data_dir=scratch)
            if progress:
                _count_examples(builder, spec, progress)
            builder.download_and_prepare(
                download_dir=scratch / "downloads", download_config=config
            )
            return {split: _read(spec, builder, split) for split in SPLITS}
    except Exception as error:
        number = _storage_error_number(error)
        if number is None:
            raise
        reason = str(error).splitlines()[0][:200]
        raise OSError(number, os.strerror(number), reason) from error


def _storage_error_number(error: BaseException | None) -> int | None:
    """Return the number of the storage error that is behind `error`, None if none is.

    TFDS wraps errors in its own, and TensorFlow's have words in place of numbers.
    """
    import tensorflow as tf

    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            return error.errno
        if "No space left" in str(error):
            return errno.ENOSPC
        if isinstance(error, tf.errors.OpError):
            return errno.EIO
        error = error.__cause__ or error.__context__
    return None


def _count_examples(builder: Any, spec: DatasetSpec, progress: Progress) -> None:
    """Let `progress` see the examples that the builder generates."""
    generate = builder._generate_examples  # The method that every builder defines.
    total = sum(spec.num_examples.values())
    numbers = itertools.count(1)

    def counted(*args: Any, **kwargs: Any) -> Iterator[Any]:
        for example in generate(*args, **kwargs):
            number = next(numbers)
            if number % REPORT_EVERY == 0 or number == total:
                progress(f"preparing {spec.name}", number, total)
            yield example

    builder._generate_examples = counted


def _read(
    spec: DatasetSpec, builder: Any, split: Split
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    import numpy as np
    import tensorflow_datasets as tfds

    dataset = builder.as_dataset(
        split=split,
        batch_size=READ_BATCH_SIZE,
        read_config=tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False),
        as_supervised=True,
    )
    count = spec.num_examples[split]
    images = np.empty((count, math.prod(spec.image_shape)), np.uint8)
    labels = np.empty(count, np.int64)
    done = 0
    for image_batch, label_batch in dataset.as_numpy_iterator():
        end = done + len(label_batch)
        images[done:end] = image_batch.reshape(len(label_batch), -1)
        labels[done:end] = label_batch
        done = end
    if done != count:
        raise ValueError(f"{spec.name} must have {count} {split} examples; got {done}")
    return images.reshape(count, *spec.image_shape), labels


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep TFDS's bars and its greeting out of the terminal."""
    import tensorflow_datasets as tfds

    tfds.display_progress_bar(False)
    try:
        # Only stdout: on stderr the caller may be showing its progress.
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        tfds.display_progress_bar(True)
