"""Ordinary TensorBoard logs, from scalars to HParams and the embedding projector.

Keras 3's own callback writes no op graph, and embeddings that the projector can't read;
what stands here was looked at in TensorBoard, dashboard by dashboard.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams_api

from tfcourse.run_folder import cannot_write, write_bytes, writing

MIN_FREE_BYTES = 16 * 1024
MAX_IMAGES = 16  # Per call: TensorBoard shows each in a card of its own.
MAX_SPRITE_PIXELS = 4096  # Side of the projector's sprite sheet: WebGL's common limit.


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

    def text(self, name: str, markdown: str) -> None:
        """Write a text in Markdown."""
        with self.writer("text"):
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

    def projector(
        self,
        name: str,
        vectors: np.ndarray,
        labels: Sequence[object],
        images: np.ndarray | None = None,
    ) -> None:
        """Write points, labels and thumbnails for the embedding projector."""
        vectors = np.asarray(vectors, dtype=np.float32)
        if vectors.ndim != 2 or len(vectors) != len(labels):
            raise ValueError(
                "vectors must be [n, dimensions] with one label each; got shape "
                f"{vectors.shape} and {len(labels)} labels"
            )
        folder = self.directory / name
        rows = "\n".join("\t".join(f"{value:.6g}" for value in row) for row in vectors)
        write_bytes(folder / "vectors.tsv", f"{rows}\n".encode())
        names = "\n".join(" ".join(str(label).split()) for label in labels)
        write_bytes(folder / "labels.tsv", f"{names}\n".encode())
        config = [
            "embeddings {",
            f"  tensor_name: {json.dumps(name)}",
            '  tensor_path: "vectors.tsv"',
            '  metadata_path: "labels.tsv"',
        ]
        if images is not None:
            sheet, height, width = sprite_sheet(images)
            png = tf.io.encode_png(sheet).numpy()
            write_bytes(folder / "sprites.png", png)
            config += [
                "  sprite {",
                '    image_path: "sprites.png"',
                f"    single_image_dim: [{width}, {height}]",
                "  }",
            ]
        config.append("}")
        write_bytes(folder / "projector_config.pbtxt", "\n".join(config).encode())
        # The projector looks only into folders that have an event file.
        with self.writer(name):
            tf.summary.text("about", f"{len(vectors)} points for the projector", step=0)


def plain_hparams(hparams: Mapping[str, Any]) -> dict[str, bool | float | str]:
    """Return the hyperparameters with values that the HParams plugin takes.

    >>> plain_hparams({"width": 64, "hidden": (64, 32), "schedule": None})
    {'width': 64, 'hidden': '(64, 32)', 'schedule': 'None'}
    """
    return {
        key: value if isinstance(value, bool | int | float | str) else str(value)
        for key, value in hparams.items()
    }


def sprite_sheet(images: np.ndarray) -> tuple[np.ndarray, int, int]:
    """Return a square sheet of thumbnails, row by row, and one thumbnail's size.

    Thumbnails are thinned out where the sheet would be larger than WebGL takes.

    Args:
        images: uint8, or float in [0, 1]: [n, height, width] or [n, height, width, c].

    Returns:
        uint8 [side * height, side * width, 3], height, width.
    """
    images = np.asarray(images)
    if images.ndim == 3:
        images = images[..., None]
    if images.dtype != np.uint8:
        images = np.round(np.clip(images, 0, 1) * 255).astype(np.uint8)
    if images.shape[-1] == 1:
        images = np.repeat(255 - images, 3, axis=-1)  # Dark strokes on white.
    side = math.ceil(math.sqrt(len(images)))
    stride = math.ceil(side * max(images.shape[1:3]) / MAX_SPRITE_PIXELS)
    images = images[:, ::stride, ::stride, :3]
    _, height, width, channels = images.shape
    sheet = np.full((side * side, height, width, channels), 255, np.uint8)
    sheet[: len(images)] = images
    sheet = sheet.reshape(side, side, height, width, channels).swapaxes(1, 2)
    return sheet.reshape(side * height, side * width, channels), height, width


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
        """Write the two graphs."""
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
                for weight in self.model.weights:
                    tf.summary.histogram(weight.path, weight, step=epoch + 1)

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Close the event files."""
        self.events.close(f"{self.name}/train")
        self.events.close(f"{self.name}/validation")

    def _learning_rate(self) -> float | None:
        rate = getattr(self.model.optimizer, "learning_rate", None)
        return None if rate is None else float(rate)


def write_graphs(model: keras.Model) -> None:
    """Write the op graph of the forward pass and the Keras graph of the layers."""
    if not getattr(model, "inputs", None):
        return  # A subclassed model: its inputs are known only when it is called.
    tf.summary.graph(forward_graph(model))
    metadata = tf.compat.v1.SummaryMetadata()
    metadata.plugin_data.plugin_name = "graph_keras_model"
    metadata.plugin_data.content = b"1"
    tf.summary.write("keras", tf.constant(model.to_json()), step=0, metadata=metadata)


def forward_graph(model: keras.Model) -> Any:
    """Return the GraphDef of a Functional model's forward pass, with layers on top.

    What tracing adds is left out: the scope of the model, the outputs' identities, the
    node that waits for all reads, and the numbers behind the layers' names.
    """

    @tf.function
    def forward(inputs: Any) -> Any:
        return model(inputs, training=False)

    specs = [tf.TensorSpec(t.shape, t.dtype, name=t.name) for t in model.inputs]
    graph_def = forward.get_concrete_function(
        specs[0] if len(specs) == 1 else specs
    ).graph.as_graph_def()
    kept = [
        node
        for node in graph_def.node
        if node.op != "NoOp" and not (node.op == "Identity" and "/" not in node.name)
    ]
    layers = {layer.name for layer in model.layers}
    renamed: dict[str, str] = {}
    for node in kept:
        parts = node.name.split("/")
        if len(parts) > 1 and _unnumbered(parts[0], {model.name}) == model.name:
            parts = parts[1:]
        name = "/".join([_unnumbered(parts[0], layers), *parts[1:]])
        # A layer that is called twice keeps its numbers.
        renamed[node.name] = node.name if name in renamed.values() else name
    del graph_def.node[:]
    for node in kept:
        inputs = [renamed[i] + port for i, port in _split_ports(node.input, renamed)]
        node.name = renamed[node.name]
        node.input[:] = inputs
        graph_def.node.append(node)
    return graph_def


def _unnumbered(name: str, known: Set[str]) -> str:
    """Return the name without the number that tracing added, if that is known.

    >>> _unnumbered("logits_1", {"logits"}), _unnumbered("dense_1", {"dense_1"})
    ('logits', 'dense_1')
    """
    stem = re.sub(r"_\d+$", "", name)
    return stem if name not in known and stem in known else name


def _split_ports(
    inputs: Sequence[str], known: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Yield each data input as (node, `:port` or nothing); control inputs are dropped."""
    for text in inputs:
        node, colon, port = text.partition(":")
        if node in known:
            yield node, colon + port
