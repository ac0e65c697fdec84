"""Exercise 23's bookkeeping: trains a stage, measures a file, remembers both."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfcourse import training
from tfcourse.image_parts import load_image_parts
from tfcourse.images import with_shifts
from tfcourse.runs import Run
from tfcourse.taught_images import TaughtImages
from tfcourse.training.clock import EpochClock
from tfcourse.weights.packing import Coder, Packable, pack, restored, unpack

# From student logits, teacher logits, float32 [batch, classes], and labels, int [batch],
# to the loss of each example: float32 [batch].
DistillationLoss = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]
BYTES_PER_WEIGHT = 4  # float32: what all ratios refer to.


@dataclasses.dataclass(frozen=True)
class Point:
    """One file of one network: what it costs and what it is worth."""

    network: str
    method: str
    setting: str
    num_bytes: int
    num_weights: int  # That are not 0.
    val_accuracy: float
    test_accuracy: float


@dataclasses.dataclass(frozen=True)
class Examples:
    """Images, float32 [n, height, width] in [0, 1], and labels, int64 [n]."""

    train: tuple[np.ndarray, np.ndarray]
    val: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]


class Study:
    """Everything that is trained and measured in one run.

    Args:
        run: The run; every training is a stage of it and can be resumed.
        examples: The data.
        coder: The learner's coder of files.
        batch_size: Of all trainings.
        learning_rate: At the start of each training; a cosine takes it to 0.
        max_shift: Pixels by which training images move at random.
        seed: Of the order of examples.
    """

    def __init__(
        self,
        run: Run,
        examples: Examples,
        coder: Coder,
        *,
        batch_size: int,
        learning_rate: float,
        max_shift: float,
        seed: int,
    ):
        self.run = run
        self.examples = examples
        self.coder = coder
        self.points: list[Point] = []
        self.seconds: dict[str, float] = {}  # Of training, by network.
        self.latest: dict[tuple[str, str], list[np.ndarray]] = {}  # By network, method.
        self._batch_size = batch_size
        self._learning_rate = learning_rate
        self._max_shift = max_shift
        self._seed = seed

    @classmethod
    def start(cls, run: Run, config: Any, coder: Coder) -> Study:
        """Return a study of MNIST with the settings of an exercise's config."""
        parts, _ = load_image_parts(
            run,
            "mnist",
            config.source,
            val_fraction=config.val_fraction,
            seed=config.seed,
        )
        scaled = {
            name: (images.astype(np.float32) / 255, labels)
            for name, (images, labels) in parts.items()
        }
        examples = Examples(**scaled)
        return cls(
            run,
            examples,
            coder,
            batch_size=config.batch_size,
            learning_rate=config.learning_rate,
            max_shift=config.max_shift,
            seed=config.seed,
        )

    def train(
        self,
        stage: str,
        model: keras.Model,
        epochs: int,
        *,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ) -> None:
        """Train the model on labels.

        Args:
            stage: `network/what`, unique in the run.
            model: From images to logits.
            epochs: Over the training images, shifted at random.
            callbacks: Others than the run's.
        """
        images, labels = self.examples.train
        shifted = with_shifts(model, self._max_shift)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        rate = self._learning_rate
        self._fit(stage, shifted, images, labels, loss, rate, epochs, callbacks)

    def distil(
        self,
        stage: str,
        model: keras.Model,
        taught: TaughtImages,
        loss: DistillationLoss,
        *,
        learning_rate: float,
        epochs: int,
    ) -> None:
        """Train the model on labels and what a teacher said about each image.

        Args:
            stage: `network/what`, unique in the run.
            model: From images to logits.
            taught: Images and targets; all copies are one epoch.
            loss: Of student, teacher and labels.
            learning_rate: At first.
            epochs: Over all copies.
        """

        def distillation(targets, logits):
            labels = tf.cast(targets[:, 0], tf.int32)  # [batch]
            return loss(logits, targets[:, 1:], labels)

        arrays = taught.images, taught.targets
        self._fit(stage, model, *arrays, distillation, learning_rate, epochs, ())

    def _fit(self, stage, model, x, y, loss, learning_rate, epochs, callbacks) -> None:
        num_steps = epochs * math.ceil(len(y) / self._batch_size)
        schedule = keras.optimizers.schedules.CosineDecay(learning_rate, num_steps)
        model.compile(keras.optimizers.Adam(schedule), loss)
        clock = EpochClock()
        training.fit(
            model,
            x,
            y,
            batch_size=self._batch_size,
            epochs=epochs,
            seed=self._seed,
            callbacks=[
                clock,
                *callbacks,
                *self.run.callbacks(stage, epochs=epochs, histograms=False),
            ],
        )
        seconds = sum(model.history.history.get("seconds", [0.0]))
        network = stage.split("/")[0]
        self.seconds[network] = self.seconds.get(network, 0.0) + seconds

    def accuracy(self, model: keras.Model, part: str) -> float:
        """Return the accuracy in [0, 1] on `train`, `val` or `test`."""
        images, labels = getattr(self.examples, part)
        # Not `predict`: it would trace a graph for each network and size of a batch.
        parts = (images[k : k + 1000] for k in range(0, len(images), 1000))
        logits = np.concatenate([model(part, training=False) for part in parts])
        return float(np.mean(logits.argmax(-1) == labels))  # Of [n, classes].

    def measure(
        self, model: keras.Model, method: str, setting: str = "", network: str = ""
    ) -> Point:
        """Add the model as it is, in float32, and return its point."""
        num_bytes = BYTES_PER_WEIGHT * model.count_params()
        return self._add(model, network or model.name, method, setting, num_bytes)

    def measure_file(
        self,
        model: keras.Model,
        arrays: Sequence[Packable],
        method: str,
        setting: str = "",
        network: str = "",
    ) -> Point:
        """Pack the arrays, restore them from the file's bytes, and add what came back.

        Args:
            model: Whose weights the arrays are; it gets the restored ones.
            arrays: In the order of `model.weights`.
            method: What was done to it.
            setting: With which setting.
            network: Which network it is a form of, if its name does not say so.

        Raises:
            ValueError: If the restored weights differ in a single bit.
        """
        network = network or model.name
        content = pack(arrays, self.coder)
        weights = unpack(content, self.coder)
        for array, back in zip(arrays, weights, strict=True):
            if restored(array).tobytes() != back.tobytes():
                raise ValueError(f"{network}, {method}: the file gives other weights")
        model.set_weights(weights)
        self.latest[network, method] = weights
        words = f"{network} {method} {setting}".strip().lower()
        name = re.sub(r"[^a-z0-9.]+", "_", words)
        self.run.file(f"files/{name}.tfw", content)
        return self._add(model, network, method, setting, len(content))

    def add(self, point: Point) -> None:
        """Add a point that was measured elsewhere."""
        self.points.append(point)
        words = f"{point.network} {point.method}".lower()
        name = re.sub(r"[^a-z0-9]+", "_", words)
        values = {"test_error_percent": 100 * (1 - point.test_accuracy)}
        # The step is the size: TensorBoard's curve is accuracy against bytes.
        self.run.scalars(f"points/{name}", values, point.num_bytes)

    def _add(self, model, network, method, setting, num_bytes) -> Point:
        point = Point(
            network,
            method,
            setting,
            num_bytes,
            int(sum(np.count_nonzero(weights) for weights in model.get_weights())),
            self.accuracy(model, "val"),
            self.accuracy(model, "test"),
        )
        self.add(point)
        return point

    def table(self) -> str:
        """Return all points as a Markdown table."""
        lines = [
            "| network | method | setting | bytes | weights | validation % | test % |",
            "|---|---|---|---:|---:|---:|---:|",
        ]
        for p in self.points:
            lines.append(
                f"| {p.network} | {p.method} | {p.setting} | {p.num_bytes:,} | "
                f"{p.num_weights:,} | {100 * p.val_accuracy:.2f} | "
                f"{100 * p.test_accuracy:.2f} |"
            )
        return "\n".join(lines)


def pareto_front(points: Sequence[Point]) -> list[Point]:
    """Return the points that no other beats in both bytes and test accuracy, by bytes.

    Of equals the first stays.
    """
    front: list[Point] = []
    for point in sorted(points, key=lambda p: (p.num_bytes, -p.test_accuracy)):
        if not front or point.test_accuracy > front[-1].test_accuracy:
            front.append(point)
    return front
