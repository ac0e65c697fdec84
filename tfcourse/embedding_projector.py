"""Files for TensorBoard's embedding projector: points, labels, thumbnails.

Keras 3's own callback writes a checkpoint that the projector can't read; plain files it
reads always.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from google.protobuf import text_format
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

from tfcourse.run_folder import write_bytes

MAX_SHEET_PIXELS = 4096  # Side of the sheet of thumbnails: WebGL's common limit.
MIN_COLUMNS = 3  # With fewer the projector's PCA, its first view, draws nothing.
NO_LABEL = "-"


def write_projector_files(
    folder: Path,
    vectors: np.ndarray | Mapping[str, np.ndarray],
    labels: Sequence[object],
    images: np.ndarray | None = None,
) -> None:
    """Write points, labels and thumbnails, and the file that names them.

    TensorBoard looks only into folders that have an event file, too.

    Args:
        folder: A single embedding is shown under its name.
        vectors: float [n, dimensions]; or several such arrays of the same n points, by
            name, between which the projector lets one choose. With one or two
            dimensions, columns of zeros follow.
        labels: One per point.
        images: One thumbnail per point: uint8, or float in [0, 1],
            [n, height, width] or [n, height, width, channels].
    """
    named = vectors if isinstance(vectors, Mapping) else {folder.name: vectors}
    arrays = {name: np.asarray(array, np.float32) for name, array in named.items()}
    _check(arrays, labels, images)
    arrays = {name: _widened(array) for name, array in arrays.items()}
    config = ProjectorConfig()
    for index, (name, array) in enumerate(arrays.items()):
        path = "vectors.tsv" if len(arrays) == 1 else f"vectors_{index}.tsv"
        rows = ("\t".join(f"{value:.6g}" for value in row) for row in array.tolist())
        write_bytes(folder / path, "".join(f"{row}\n" for row in rows).encode())
        config.embeddings.add(
            tensor_name=name, tensor_path=path, metadata_path="labels.tsv"
        )
    # A label is one line without tabs; the projector would skip a line without text, and
    # all labels below it would move up.
    names = (" ".join(str(label).split()) or NO_LABEL for label in labels)
    write_bytes(folder / "labels.tsv", "".join(f"{name}\n" for name in names).encode())
    if images is not None:
        sheet, height, width = sprite_sheet(images)
        write_bytes(folder / "sprites.png", tf.io.encode_png(sheet).numpy())
        for embedding in config.embeddings:
            embedding.sprite.image_path = "sprites.png"
            embedding.sprite.single_image_dim.extend([width, height])
    # Last, so that the projector never reads of a file that is not there yet.
    text = text_format.MessageToString(config)
    write_bytes(folder / "projector_config.pbtxt", text.encode())


def _check(
    arrays: Mapping[str, np.ndarray],
    labels: Sequence[object],
    images: np.ndarray | None,
) -> None:
    for array in arrays.values():
        counts = {len(array), len(labels), len(labels if images is None else images)}
        if array.ndim != 2 or len(counts) != 1 or not len(array):
            raise ValueError(
                "vectors must be [n, dimensions] with one label and one image each; got "
                f"shape {array.shape}, {len(labels)} labels and "
                f"{'no' if images is None else len(images)} images"
            )


def _widened(array: np.ndarray) -> np.ndarray:
    missing = max(MIN_COLUMNS - array.shape[1], 0)
    return np.pad(array, ((0, 0), (0, missing)))  # [n, at least MIN_COLUMNS]


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
    stride = math.ceil(side * max(images.shape[1:3]) / MAX_SHEET_PIXELS)
    images = images[:, ::stride, ::stride, :3]
    _, height, width, channels = images.shape
    sheet = np.full((side * side, height, width, channels), 255, np.uint8)
    sheet[: len(images)] = images
    sheet = sheet.reshape(side, side, height, width, channels).swapaxes(1, 2)
    return sheet.reshape(side * height, side * width, channels), height, width
