"""Writes ordinary TensorBoard summaries without TensorFlow's summary operations.

One event holds all values of a step, so that a sample costs one write. TensorFlow's own
writer of records is used, not TensorBoard's: that one computes checksums in Python, in a
thread that takes its time from the training.
"""

from __future__ import annotations

import itertools
import json
import os
import socket
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, types_pb2
from tensorboard.plugins.text import metadata as text_metadata

from tfcourse.errors import UserError

PLUGIN_NAME = "doctor"
NUM_BINS = 30
SUFFIX = ".doctor"
FLUSH_SECONDS = 15.0  # What is seen of a run in progress is at most so old.
_numbers = itertools.count()


class EventLog:
    """An event file in a folder, made on the first write.

    A disk that is full later ends the recording with a warning, not the training.

    Raises:
        UserError: If the folder can't be written at the start.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._writer: tf.io.TFRecordWriter | None = None
        self._last_flush = time.monotonic()
        self._failed = False
        self._values: dict[int, list[Any]] = {}

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Add one point of each scalar."""
        self._add(
            step,
            [
                summary_pb2.Summary.Value(tag=tag, simple_value=float(value))
                for tag, value in values.items()
            ],
        )

    def histogram(self, tag: str, values: np.ndarray, step: int) -> None:
        """Add a histogram of the finite values, in 30 bins."""
        values = np.asarray(values, np.float64).ravel()
        values = values[np.isfinite(values)]
        if values.size:
            histogram = histogram_proto(values)
            self._add(step, [summary_pb2.Summary.Value(tag=tag, histo=histogram)])

    def image(self, tag: str, png: bytes, width: int, height: int, step: int) -> None:
        """Add an image."""
        image = summary_pb2.Summary.Image(
            height=height, width=width, colorspace=3, encoded_image_string=png
        )
        self._add(step, [summary_pb2.Summary.Value(tag=tag, image=image)])

    def text(self, tag: str, markdown: str, step: int = 0) -> None:
        """Add a text card in Markdown."""
        metadata = text_metadata.create_summary_metadata(tag, "")
        self._add_tensor(tag, markdown, metadata, step)

    def json(self, tag: str, record: Any, step: int = 0) -> None:
        """Add a record for the doctor and its tab."""
        metadata = summary_pb2.SummaryMetadata(
            plugin_data=summary_pb2.SummaryMetadata.PluginData(plugin_name=PLUGIN_NAME),
            data_class=summary_pb2.DATA_CLASS_TENSOR,
        )
        text = json.dumps(strict(record), allow_nan=False)
        self._add_tensor(tag, text, metadata, step)

    def keras_graph(self, model_json: str) -> None:
        """Add the graph of the model's layers."""
        metadata = summary_pb2.SummaryMetadata(
            plugin_data=summary_pb2.SummaryMetadata.PluginData(
                plugin_name="graph_keras_model", content=b"1"
            )
        )
        self._add_tensor("keras", model_json, metadata, 0)

    def graph(self, graph_def: Any) -> None:
        """Add the graph of the model's operations: a GraphDef."""
        event = event_pb2.Event(
            wall_time=time.time(), graph_def=graph_def.SerializeToString()
        )
        self._write(event)

    def flush_if_due(self) -> None:
        """Bring everything to the disk if the last time was long ago."""
        if time.monotonic() - self._last_flush > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Bring everything to the disk."""
        self._last_flush = time.monotonic()
        for step in sorted(self._values):
            summary = summary_pb2.Summary(value=self._values[step])
            self._write(
                event_pb2.Event(wall_time=time.time(), step=step, summary=summary)
            )
        self._values.clear()
        if self._writer is not None:
            self._try(self._writer.flush)

    def close(self) -> None:
        """Flush and close the file; a later write opens another."""
        self.flush()
        if self._writer is not None:
            self._try(self._writer.close)
            self._writer = None

    def _add_tensor(self, tag: str, text: str, metadata: Any, step: int) -> None:
        tensor = tensor_pb2.TensorProto(
            dtype=types_pb2.DT_STRING, string_val=[text.encode()]
        )
        value = summary_pb2.Summary.Value(tag=tag, tensor=tensor, metadata=metadata)
        self._add(step, [value])

    def _add(self, step: int, values: list[Any]) -> None:
        self._values.setdefault(step, []).extend(values)

    def _write(self, event: Any) -> None:
        if self._failed:
            return
        writer = self._writer
        if writer is None:
            self._writer = writer = tf.io.TFRecordWriter(str(self._new_file()))
            version = event_pb2.Event(
                wall_time=time.time(), file_version="brain.Event:2"
            )
            self._try(lambda: writer.write(version.SerializeToString()))
        self._try(lambda: writer.write(event.SerializeToString()))

    def _new_file(self) -> Path:
        name = (
            f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}."
            f"{os.getpid()}.{next(_numbers)}{SUFFIX}"
        )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / name).touch()
        except OSError as error:
            raise UserError(
                f"cannot write the recording into {self.folder}: {error.strerror}; "
                "give Recorder a folder that you may write to"
            ) from error
        return self.folder / name

    def _try(self, work: Callable[[], None]) -> None:
        try:
            work()
        except tf.errors.OpError as error:
            if not self._failed:
                warnings.warn(
                    f"the recording in {self.folder} ends here ({error.message}); the "
                    "training goes on",
                    stacklevel=2,
                )
            self._failed = True


def histogram_proto(values: np.ndarray) -> Any:
    """Return a HistogramProto of finite values [n], float64."""
    low, high = float(values.min()), float(values.max())
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        # Too near to one another for bins between them.
        counts, edges = np.array([values.size]), np.array([low, high])
    else:
        counts, edges = np.histogram(values, bins=NUM_BINS)
    return summary_pb2.HistogramProto(
        min=values.min(),
        max=values.max(),
        num=values.size,
        sum=values.sum(),
        sum_squares=float(np.square(values).sum()),
        bucket_limit=edges[1:].tolist(),
        bucket=counts.tolist(),
    )


def strict(record: Any) -> Any:
    """Return the record with what JSON can't hold as text: "nan", "inf", "-inf"."""
    if isinstance(record, Mapping):
        return {str(key): strict(value) for key, value in record.items()}
    if isinstance(record, list | tuple):
        return [strict(value) for value in record]
    if isinstance(record, np.ndarray):
        return strict(record.tolist())
    if isinstance(record, np.generic):
        record = record.item()
    if isinstance(record, float):
        return record if np.isfinite(record) else str(record)
    if record is None or isinstance(record, bool | int | str):
        return record
    return str(record)
