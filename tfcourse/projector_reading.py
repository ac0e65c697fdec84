"""What TensorBoard's projector makes of a folder, read through its own plugin.

The answers are those that the browser gets. So a test, or a run, can tell whether the
projector would show the points, without a browser.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import (
    EventMultiplexer,
)
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.projector.projector_plugin import ProjectorPlugin
from werkzeug.test import Client


class Embedding(NamedTuple):
    """One embedding as the projector gets it."""

    vectors: np.ndarray  # float32 [n, dimensions].
    labels: list[str]  # One per line of the file that has any text.
    sprites: np.ndarray | None  # uint8 [places, height, width, 3], in reading order.
    num_columns: int  # Thumbnails in a row of the sheet; 0 without a sheet.


def read_projector(logdir: str | Path) -> dict[str, dict[str, Embedding]]:
    """Return what the projector offers: by run, by name of the embedding.

    A folder that is given as `logdir` itself is the run "."; those below it are found
    as TensorBoard finds runs, by their event files.

    Args:
        logdir: As given to `tensorboard --logdir`.

    Raises:
        ValueError: If the plugin answers a request that the browser sends with an error;
            the message is the plugin's.
    """
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(logdir))
    multiplexer.Reload()
    provider = MultiplexerDataProvider(multiplexer, str(logdir))
    plugin = ProjectorPlugin(TBContext(data_provider=provider, logdir=str(logdir)))
    runs = json.loads(_answer(plugin, "/runs"))
    return {run: _read_run(plugin, run) for run in runs}


def _answer(plugin: ProjectorPlugin, route: str, **query: Any) -> bytes:
    client = Client(plugin.get_plugin_apps()[route])
    response = client.get(route, query_string=query)
    content = response.get_data()
    if response.status_code != 200:
        raise ValueError(content.decode(errors="replace"))
    return content


def _read_run(plugin: ProjectorPlugin, run: str) -> dict[str, Embedding]:
    config = json.loads(_answer(plugin, "/info", run=run))
    found = {}
    for entry in config["embeddings"]:
        name = entry["tensorName"]
        query = {"run": run, "name": name}
        shape = entry.get("tensorShape")
        if not shape:
            raise ValueError(f"{name} has no points that can be read")
        flat = np.frombuffer(_answer(plugin, "/tensor", **query), np.float32)
        if flat.size != math.prod(shape):
            raise ValueError(f"{name} has {flat.size} numbers for the shape {shape}")
        labels: list[str] = []
        if entry.get("metadataPath"):
            text = _answer(plugin, "/metadata", **query).decode()
            labels = [line for line in text.split("\n") if line.strip()]
            if (
                labels and "\t" in labels[0]
            ):  # Several columns: the first line has names.
                labels = labels[1:]
        sprites, num_columns = None, 0
        if entry.get("sprite", {}).get("imagePath"):
            image = _answer(plugin, "/sprite_image", **query)
            sprites, num_columns = _cut(image, entry["sprite"]["singleImageDim"])
        found[name] = Embedding(flat.reshape(shape), labels, sprites, num_columns)
    return found


def _cut(image: bytes, size: list[int]) -> tuple[np.ndarray, int]:
    """Return the thumbnails of a sheet as the browser cuts it, and how many in a row."""
    width, height = size
    sheet = tf.io.decode_png(image, channels=3).numpy()
    rows, columns = sheet.shape[0] // height, sheet.shape[1] // width
    if sheet.shape != (rows * height, columns * width, 3) or not rows * columns:
        raise ValueError(
            f"a sheet of {sheet.shape[1]} x {sheet.shape[0]} pixels does not hold whole "
            f"thumbnails of {width} x {height}"
        )
    cells = sheet.reshape(rows, height, columns, width, 3).swapaxes(1, 2)
    return cells.reshape(rows * columns, height, width, 3), columns
