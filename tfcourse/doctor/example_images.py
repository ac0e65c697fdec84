"""A grid of some inputs with their labels, when the inputs look like images."""

from __future__ import annotations

import io
from typing import Any

import keras
import numpy as np

from tfcourse.doctor.event_log import EventLog
from tfcourse.doctor.examples import as_array

NUM_IMAGES = 12
COLUMNS = 4
CELL = 84  # Pixels: an image of 62 and its label below; TensorBoard's card fits four.
IMAGE = 62
FONT_SIZE = 14
SQUARES = (784, 64, 256, 1024)  # Flat images of these sizes are shown as squares.


def write_images(log: EventLog, batch: tuple[Any, Any, Any]) -> None:
    """Write one image with a grid of the first inputs and their labels."""
    images = as_images(batch[0])
    if images is None:
        return
    from PIL import Image, ImageDraw, ImageFont

    rows = -(-len(images) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * CELL, rows * CELL), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(FONT_SIZE)
    for i, (pixels, label) in enumerate(zip(images, labels(batch[1]), strict=False)):
        left, top = i % COLUMNS * CELL, i // COLUMNS * CELL
        tile = Image.fromarray(pixels).resize((IMAGE, IMAGE), Image.Resampling.NEAREST)
        sheet.paste(tile, (left + 11, top + 2))
        draw.text((left + 11, top + IMAGE + 3), label, fill="black", font=font)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    log.image("images/inputs", buffer.getvalue(), *sheet.size, 0)


def as_images(inputs: Any) -> np.ndarray | None:
    """Return the first inputs as uint8 [n, height, width, 3]; None if no images."""
    flat = [value for value in keras.tree.flatten(inputs) if value is not None]
    array = as_array(flat[0]) if flat else None
    if array is None or array.dtype.kind == "b":
        return None
    values = array[:NUM_IMAGES].astype(np.float64)
    if values.ndim == 2 and values.shape[1] in SQUARES:
        side = int(np.sqrt(values.shape[1]))
        values = values.reshape(-1, side, side)
    if values.ndim == 4 and values.shape[-1] in (1, 3, 4):
        values = values[..., :3]
    elif values.ndim == 3 and min(values.shape[1:]) >= 8:
        values = values[..., None]
    else:
        return None
    if not np.isfinite(values).any():
        return None
    values = np.nan_to_num(values)
    low, high = values.min(), values.max()
    scaled = (values - low) / (high - low) if high > low else np.zeros_like(values)
    pixels = (255 * scaled).astype(np.uint8)
    return np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels


def labels(targets: Any) -> list[str]:
    """Return a short text for each target: its class, or its value."""
    flat = [value for value in keras.tree.flatten(targets) if value is not None]
    array = as_array(flat[0]) if flat else None
    if array is None:
        return [""] * NUM_IMAGES
    table = array[:NUM_IMAGES].reshape(min(len(array), NUM_IMAGES), -1)
    if table.shape[1] == 1:
        return [f"{float(value):.4g}" for value in table[:, 0]]
    if table.shape[1] <= 1000 and np.isin(table, (0, 1)).all():
        return [str(int(row.argmax())) if row.sum() == 1 else "" for row in table]
    return [""] * len(table)
