"""Files for TensorBoard's embedding projector: points, labels, thumbnails.

Keras 3's own callback writes a checkpoint that the projector can't read; plain files it
reads always.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfcourse.run_folder import write_bytes

MAX_SHEET_PIXELS = 4096  # Side of the sheet of thumbnails: WebGL's common limit.


def write_projector_files(
    folder: Path,
    vectors: np.ndarray,
    labels: Sequence[object],
    images: np.ndarray | None = None,
) -> None:
    """Write points, labels and thumbnails, and the file that names them.

    TensorBoard looks only into folders that have an event file, too.

    Args:
        folder: Its name is what the projector shows.
        vectors: float [n, dimensions].
        labels: One per vector.
        images: One thumbnail per vector: uint8, or float in [0, 1],
            [n, height, width] or [n, height, width, channels].
    """
    vectors = np.asarray(vectors, dtype=np.float32)
    counts = {len(vectors), len(labels), len(labels if images is None else images)}
    if vectors.ndim != 2 or len(counts) != 1 or not len(vectors):
        raise ValueError(
            "vectors must be [n, dimensions] with one label and one image each; got "
            f"shape {vectors.shape}, {len(labels)} labels and "
            f"{'no' if images is None else len(images)} images"
        )
    rows = "\n".join("\t".join(f"{value:.6g}" for value in row) for row in vectors)
    write_bytes(folder / "vectors.tsv", f"{rows}\n".encode())
    # A label is one line without tabs.
    names = "\n".join(" ".join(str(label).split()) for label in labels)
    write_bytes(folder / "labels.tsv", f"{names}\n".encode())
    config = [
        "embeddings {",
        f"  tensor_name: {json.dumps(folder.name)}",
        '  tensor_path: "vectors.tsv"',
        '  metadata_path: "labels.tsv"',
    ]
    if images is not None:
        sheet, height, width = sprite_sheet(images)
        write_bytes(folder / "sprites.png", tf.io.encode_png(sheet).numpy())
        config += [
            "  sprite {",
            '    image_path: "sprites.png"',
            f"    single_image_dim: [{width}, {height}]",
            "  }",
        ]
    config.append("}\n")
    write_bytes(folder / "projector_config.pbtxt", "\n".join(config).encode())


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
