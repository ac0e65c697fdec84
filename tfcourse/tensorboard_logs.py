"""Ordinary TensorBoard logs: scalars, histograms, graphs, images, sounds, text and HParams.

What stands here was looked at in TensorBoard, dashboard by dashboard.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorboard.plugins.histogram import metadata as histogram_metadata
from tensorboard.plugins.hparams import api as hparams_api

from tfcourse.model_graphs import write_graphs
from tfcourse.run_folder import cannot_write, writing

MIN_FREE_BYTES = 16 * 1024
NUM_BINS = 30
MAX_IMAGES = 16  # Per call: TensorBoard shows each in a card of its own.
MAX_CLIPS = 16  # The same of sounds.


class EventFiles:
    """The event files below one run's folder, one writer per name."""

    def __init__(self, directory: Path):
        self.directory = directory
        self._writers: dict[str, Any] = {}

    @contextlib.contextmanager
    def writer(self, name: str) -> Iterator[None]:
        """Make `tf.summary` calls in the body go to `directory/name`, then flush.

        Raises:
            UserError: If the disk is full or the folder is not writable.
        """
        path = self.directory / name
        try:
            with writing(path):
                path.mkdir(parents=True, exist_ok=True)
            if name not in self._writers:
                self._writers[name] = tf.summary.create_file_writer(str(path))
            with self._writers[name].as_default():
                yield
            self._writers[name].flush()
        except tf.errors.OpError as error:
            # The message names functions and files, and ends with the reason.
            reason = error.message.splitlines()[0].rpartition("; ")[2].lower()
            raise cannot_write(path, reason) from error
        # On a full disk the writer often loses events without an error.
        if shutil.disk_usage(path).free < MIN_FREE_BYTES:
            raise cannot_write(path, "no space left on device")

    def close(self, name: str | None = None) -> None:
        """Close one writer, or all."""
        for key in [name] if name is not None else list(self._writers):
            writer = self._writers.pop(key, None)
            if writer is not None:
                writer.close()

    def scalars(self, name: str, values: Mapping[str, float], step: int) -> None:
        """Write one point of each scalar."""
        with self.writer(name):
            for tag, value in values.items():
                tf.summary.scalar(tag, float(value), step=step)

    def text(self, name: str, markdown: str, folder: str = "text") -> None:
        """Write a text in Markdown below `folder`."""
        with self.writer(folder):
            tf.summary.text(name, markdown, step=0)

    def image(self, name: str, images: np.ndarray, step: int) -> None:
        """Write images: uint8, or float in [0, 1]: [n, h, w] or [n, h, w, channels]."""
        images = np.asarray(images)
        if images.ndim == 3:
            images = images[..., None]
        if images.ndim != 4 or images.shape[-1] not in (1, 3, 4):
            raise ValueError(
                "images must be [n, height, width] or [n, height, width, 1, 3 or 4]; "
                f"got shape {images.shape}"
            )
        with self.writer("images"):
            tf.summary.image(name, images, step=step, max_outputs=MAX_IMAGES)

    def audio(self, name: str, clips: np.ndarray, sample_rate: int, step: int) -> None:
        """Write clips that can be played: float [n, samples], or one [samples].

        A WAV file holds [-1, 1] and would clip what lies outside: where a peak exceeds 1,
        all clips of the call are made quieter by one factor, which the card tells.
        """
        clips = np.asarray(clips, np.float32)
        clips = clips[None] if clips.ndim == 1 else clips
        if clips.ndim != 2 or not clips.size or not np.isfinite(clips).all():
            raise ValueError(
                "clips must be finite floats [n, samples] or [samples]; got shape "
                f"{clips.shape}"
            )
        factor = 1.0 / max(1.0, float(np.abs(clips).max()))
        note = "" if factor == 1.0 else f"Made quieter by a factor of {factor:.3g}."
        with self.writer("audio"):
            tf.summary.audio(
                name,
                clips[..., None] * factor,
                sample_rate,
                step=step,
                max_outputs=MAX_CLIPS,
                encoding="wav",
                description=note,
            )

    def png(self, name: str, data: bytes) -> None:
        """Write a PNG file's bytes as one image."""
        with self.writer("figures"):
            image = tf.io.decode_png(data, channels=3)
            # The prefix keeps the figures together in the list of tags.
            tf.summary.image(f"figures/{name}", image[None], step=0)

    def hparams(
        self, trial: str, hparams: Mapping[str, Any], metrics: Mapping[str, float]
    ) -> None:
        """Write one trial of a study below `study/`."""
        name = f"study/{trial}"
        self.close(name)
        # A resumed run writes a trial again: in place of the old one, not beside it.
        shutil.rmtree(self.directory / name, ignore_errors=True)
        with self.writer(name):
            hparams_api.hparams(plain_hparams(hparams), trial_id=trial)
            for tag, value in metrics.items():
                tf.summary.scalar(tag, float(value), step=0)
        self.close(name)


def write_histogram(tag: str, values: np.ndarray, step: int) -> None:
    """Write a histogram, ten times as fast as `tf.summary.histogram` runs eagerly."""
    metadata = histogram_metadata.create_summary_metadata(None, None)
    tf.summary.write(tag, histogram(values), step=step, metadata=metadata)


def histogram(values: np.ndarray, num_bins: int = NUM_BINS) -> np.ndarray:
    """Return the counts of the finite values in bins of equal width.

    Returns:
        float64 [num_bins, 3]: left edge, right edge, count. No bins without values.
    """
    flat = np.ravel(values).astype(np.float64)
    flat = flat[np.isfinite(flat)]
    if not len(flat):
        return np.zeros((0, 3))
    low, high = flat.min(), flat.max()
    if low == high:  # A bin needs a width to be seen.
        low, high = low - 0.5, high + 0.5
    places = ((flat - low) * (num_bins / (high - low))).astype(np.int64)
    counts = np.bincount(np.minimum(places, num_bins - 1), minlength=num_bins)
    edges = np.linspace(low, high, num_bins + 1)
    return np.stack([edges[:-1], edges[1:], counts], axis=1)


def plain_hparams(hparams: Mapping[str, Any]) -> dict[str, bool | float | str]:
    """Return the hyperparameters with values that the HParams plugin takes.

    >>> plain_hparams({"width": 64, "hidden": (64, 32), "schedule": None})
    {'width': 64, 'hidden': '(64, 32)', 'schedule': 'None'}
    """
    return {
        key: value if isinstance(value, bool | int | float | str) else str(value)
        for key, value in hparams.items()
    }


def weight_tags(model: keras.Model) -> list[str]:
    """Return `weights/layer/variable` for each of the model's weights.

    Keras numbers the layers of all models that a process builds. Here those without a
    name of their own are numbered within the model, so that two runs of one model have
    the same tags.
    """
    names: dict[str, str] = {}
    counts: dict[str, int] = {}
    for layer in model._flatten_layers():
        kind, _, number = layer.name.rpartition("_")
        if not number.isdecimal():
            kind = layer.name
        if kind.replace("_", "") != type(layer).__name__.lower():
            continue  # Somebody chose this name.
        count = counts.get(kind, 0)
        counts[kind] = count + 1
        names.setdefault(layer.name, f"{kind}_{count}" if count else kind)
    paths = [weight.path.split("/") for weight in model.weights]
    tags = ["/".join(["weights", *(names.get(n, n) for n in path)]) for path in paths]
    # A name that somebody chose can look like a number of ours.
    if len(set(tags)) < len(tags):
        tags = [f"weights/{weight.path}" for weight in model.weights]
    return tags


class TrainingLog(keras.callbacks.Callback):
    """Writes scalars, weight histograms and the model's graphs while `fit` runs.

    Training and validation go to sibling folders under the same tags, so that
    TensorBoard draws them into one chart.
    """

    def __init__(self, events: EventFiles, name: str, *, histograms: bool = True):
        super().__init__()
        self.events = events
        self.name = name
        self.histograms = histograms

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Note that nothing is written: a stage that is complete stays as it is."""
        self._has_graphs = False

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Write the two graphs, once."""
        if not self._has_graphs:
            self._has_graphs = True
            with self.events.writer(f"{self.name}/train"):
                write_graphs(self.model)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Write the epoch's scalars and histograms."""
        logs = dict(logs or {})
        train = {k: v for k, v in logs.items() if not k.startswith("val_")}
        validation = {
            k.removeprefix("val_"): v for k, v in logs.items() if k.startswith("val_")
        }
        rate = self._learning_rate()
        if rate is not None:
            train.setdefault("learning_rate", rate)
        self.events.scalars(
            f"{self.name}/train", {f"epoch_{k}": v for k, v in train.items()}, epoch + 1
        )
        if validation:
            self.events.scalars(
                f"{self.name}/validation",
                {f"epoch_{k}": v for k, v in validation.items()},
                epoch + 1,
            )
        if self.histograms:
            with self.events.writer(f"{self.name}/train"):
                for tag, weight in zip(
                    weight_tags(self.model), self.model.weights, strict=True
                ):
                    write_histogram(tag, weight.numpy(), step=epoch + 1)

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Close the event files."""
        self.events.close(f"{self.name}/train")
        self.events.close(f"{self.name}/validation")

    def _learning_rate(self) -> float | None:
        rate = getattr(self.model.optimizer, "learning_rate", None)
        return None if rate is None else float(tf.convert_to_tensor(rate))
