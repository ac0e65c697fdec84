"""Writes TensorBoard event files without TensorFlow, as the tests of the tab need them."""

import base64
import json
import re
import time

import numpy as np
from tensorboard.compat.proto import event_pb2, graph_pb2, summary_pb2
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util import tensor_util

SCALAR = summary_pb2.DATA_CLASS_SCALAR
PIXEL_PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVQI12P4z8AAAAMBAQAY3Y2wAAAA"
    "AElFTkSuQmCC"
)
TENSOR = summary_pb2.DATA_CLASS_TENSOR


class EventFile:
    """A new event file in `folder`; a context manager that closes it."""

    def __init__(self, folder, wall_time=None):
        folder.mkdir(parents=True, exist_ok=True)
        self.wall_time = time.time() if wall_time is None else wall_time
        number = len(list(folder.glob("events.out.tfevents.*")))
        name = f"events.out.tfevents.{int(self.wall_time)}.host.{number}.v2"
        self.path = folder / name
        self._file = open(self.path, "wb")
        self._records = RecordWriter(self._file)
        self._write(event_pb2.Event(file_version="brain.Event:2"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()

    def _write(self, event):
        event.wall_time = self.wall_time
        self._records.write(event.SerializeToString())
        self._file.flush()

    def _tensor(self, tag, step, array, plugin, data_class):
        metadata = summary_pb2.SummaryMetadata(
            plugin_data=summary_pb2.SummaryMetadata.PluginData(plugin_name=plugin),
            data_class=data_class,
        )
        value = summary_pb2.Summary.Value(
            tag=tag, tensor=tensor_util.make_tensor_proto(array), metadata=metadata
        )
        self._write(event_pb2.Event(step=step, summary={"value": [value]}))

    def scalar(self, tag, step, value):
        self._tensor(tag, step, np.float32(value), "scalars", SCALAR)

    def scalars(self, tag, values, every=1):
        for index, value in enumerate(values):
            self.scalar(tag, index * every, value)

    def histogram(self, tag, step, values):
        counts, edges = np.histogram(values, bins=10)
        rows = np.stack([edges[:-1], edges[1:], counts], axis=1)  # [bins, 3]
        self._tensor(tag, step, rows.astype(np.float64), "histograms", TENSOR)

    def image(self, tag, step, png):
        image = summary_pb2.Summary.Image(
            width=1, height=1, colorspace=3, encoded_image_string=png
        )
        value = summary_pb2.Summary.Value(tag=tag, image=image)
        self._write(event_pb2.Event(step=step, summary={"value": [value]}))

    def graph(self, name):
        """Write an op graph of one operation."""
        graph = graph_pb2.GraphDef()
        graph.node.add(name=name, op="Placeholder")
        self._write(event_pb2.Event(graph_def=graph.SerializeToString()))

    def text(self, tag, step, text):
        array = np.array([text.encode()], dtype=object)
        self._tensor(tag, step, array, "text", TENSOR)

    def doctor(self, tag, step, record):
        """Write `record` as Recorder does; text is written as it is."""
        text = record if isinstance(record, str) else json.dumps(record)
        array = np.array(text.encode(), dtype=object)
        self._tensor(f"doctor/{tag}", step, array, "doctor", TENSOR)


def finding(
    fault="dead-relu", severity="error", confidence=0.93, layer="dense_1", **changes
):
    """Return a finding as JSON."""
    return {
        "fault": fault,
        "severity": severity,
        "confidence": confidence,
        "where": {"layer": layer, "variable": "", "steps": [40, 160]},
        "evidence": [
            {
                "rule": "More than 50 % of the units gave 0 for every example.",
                "numbers": {"dead_units": 0.8125, "threshold": 0.5},
                "series": [f"dead_units/{layer}", "epoch_loss"],
            }
        ],
        "message": f"Most units of {layer} give 0 for every image: they can't learn.",
        "remedy": (
            "# A smaller learning rate.\n"
            "model.compile(optimizer=keras.optimizers.Adam(1e-3), ...)"
        ),
        "see": [
            {"dashboard": "scalars", "tag": f"dead_units/{layer}"},
            {"dashboard": "histograms", "tag": f"activations/{layer}"},
        ],
    } | changes


def write_run(folder, findings, *, finished=True, num_steps=200, wall_time=None):
    """Write a run as Recorder would, with `findings` at its end."""
    steps = np.arange(0, num_steps, 10)
    random = np.random.default_rng(0)
    with EventFile(folder, wall_time) as file:
        for epoch, loss in enumerate([2.31, 1.9, 1.74, 1.7, 1.71]):
            file.scalar("epoch_loss", epoch, loss)
        for step in steps:
            file.scalar(
                "dead_units/dense_1", step, 0.82 / (1 + np.exp((60 - step) / 9))
            )
            file.scalar("gradient_norm/dense/kernel", step, 10.0 ** (-step / 40))
            file.scalar(
                "step/loss", step, 2.3 * np.exp(-step / 90) + random.random() / 9
            )
        file.histogram("activations/dense_1", 0, random.normal(size=500))
        file.text("cards/model", 0, "A model.")
        file.image("images/inputs", 0, PIXEL_PNG)
        file.graph("images_of_" + re.sub(r"\W", "_", folder.name))
        file.doctor("facts", 0, {"model": {"name": "mlp", "num_parameters": 101770}})
        file.doctor("probes", 0, {"when": "start"})
        file.doctor("findings", num_steps, findings)
        if finished:
            file.doctor("probes", num_steps, {"when": "end"})
    with EventFile(folder / "validation", wall_time) as file:
        file.scalars("epoch_loss", [2.32, 2.0, 1.9, 1.95, 2.05])
