"""The child process that imports tf_keras and tensorflow_model_optimization (tfmot).

    python -P -m tfcourse.compression.worker FOLDER

tfmot works on tf_keras alone, and importing it sets TF_USE_LEGACY_KERAS=1 for the whole
process. So it lives here: arrays and JSON come in through the folder of `exchange` and go
out the same way. Nothing else imports these two packages.

Each stage begins with a freshly built model that is given the weights of the stage before.
What `strip_pruning` and `strip_clustering` return shares layers with the wrapped model;
tfmot can fail to clone such a model ("Unable to clone model").
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # Read when TensorFlow loads.

import numpy as np
import tensorflow_model_optimization as tfmot
import tf_keras

# No package offers `cluster.cluster_weights` with preserve_sparsity under a shorter name.
from tensorflow_model_optimization.python.core.clustering.keras.experimental import (
    cluster as sparse_clustering,
)

from tfcourse.compression.blueprint import Blueprint, blueprint_from_json, build
from tfcourse.compression.conversion import to_litert
from tfcourse.compression.exchange import (
    Reporter,
    in_order,
    numbered,
    one_line,
    read_arrays,
    serve,
    write_arrays,
)
from tfcourse.errors import UserError
from tfcourse.run_folder import write_bytes

# Whose kernel tfmot prunes 2:4 and clusters; others keep their weights as they are.
DENSE_OR_2D = (tf_keras.layers.Dense, tf_keras.layers.Conv2D)
NEVER_WRAPPED = (tf_keras.layers.DepthwiseConv2D, tf_keras.layers.Conv2DTranspose)
# Those for which tfmot has ranges.
QUANTIZED_ACTIVATIONS = (
    "linear",
    "relu",
    "softmax",
    "sigmoid",
    "tanh",
    "swish",
    "gelu",
)
SEPARABLE = (tf_keras.layers.SeparableConv1D, tf_keras.layers.SeparableConv2D)
MIN_SECONDS_BETWEEN_EVENTS = 0.2


class _Epochs(tf_keras.callbacks.Callback):
    """Reports the training's progress, some times a second at most."""

    def __init__(self, reporter: Reporter, job: int, stage: str, place: str) -> None:
        super().__init__()
        self._report = reporter
        self._fixed = {"job": job, "stage": stage, "place": place}
        self._epoch = 0
        self._last = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        now = time.monotonic()
        if now - self._last < MIN_SECONDS_BETWEEN_EVENTS:
            return
        self._last = now
        steps = self.params.get("steps") or batch + 1
        self._emit(self._epoch + (batch + 1) / steps, logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._emit(epoch + 1, logs)

    def _emit(self, done: float, logs: Any) -> None:
        values = {key: float(value) for key, value in (logs or {}).items()}
        total = self.params.get("epochs", 1)
        progress = {"done": done, "total": total, "logs": values}
        self._report.emit("progress", **progress, **self._fixed)


def main(folder: Path, request: dict[str, Any], reporter: Reporter) -> None:
    """Do the jobs of a request; a job that fails doesn't stop the others."""
    blueprint = blueprint_from_json(request["blueprint"])
    weights = in_order(read_arrays(folder / "weights.npz"))
    data = read_arrays(folder / "data.npz") if request["jobs"] else {}
    reporter.emit("ready")
    _write_probe(folder, blueprint, weights)
    for number, job in enumerate(request["jobs"]):
        tf_keras.backend.clear_session()
        try:
            _do(folder, number, job, blueprint, weights, data, reporter)
            reporter.emit("done", job=number)
        except OSError:
            raise  # A full disk is no fault of the method.
        except Exception as error:
            if isinstance(error, UserError) and error.__cause__ is not None:
                raise  # `writing` raised it from an OSError.
            message = _without_names(one_line(error), blueprint)
            reporter.emit("failed", job=number, message=message)


def _write_probe(folder: Path, blueprint: Blueprint, weights: list[np.ndarray]) -> None:
    """Write what the moved model gives for some inputs: the parent compares.

    The weights go out as tf_keras holds them, so that the parent can move them back.
    """
    model = _fresh(blueprint, weights)
    inputs = in_order(read_arrays(folder / "probe.npz"))
    outputs = model(inputs if len(inputs) > 1 else inputs[0], training=False)
    outputs = outputs if isinstance(outputs, list) else [outputs]
    write_arrays(folder / "probed.npz", numbered([o.numpy() for o in outputs]))
    write_arrays(folder / "returned.npz", numbered(_weights(model, blueprint)))


def _do(
    folder: Path,
    number: int,
    job: dict[str, Any],
    blueprint: Blueprint,
    weights: list[np.ndarray],
    data: dict[str, np.ndarray],
    reporter: Reporter,
) -> None:
    """Do the stages of one job; write its weights or none, and its LiteRT file."""
    inputs = [data[name] for name in sorted(data) if name.startswith("input_")]
    given = inputs if len(inputs) > 1 else inputs[0]
    stages, plain = job["stages"], True
    for place, stage in enumerate(stages):
        tf_keras.utils.set_random_seed(job["seed"] + place)
        where = f"{place + 1}/{len(stages)}"
        watch = _Epochs(reporter, number, stage["kind"], where)
        plain = stage["kind"] != "quantize"
        training = _Training(stage, job["loss"], given, data["labels"], watch)
        model = STAGES[stage["kind"]](_fresh(blueprint, weights), training)
        if plain:
            weights = _weights(model, blueprint)
    if plain:
        write_arrays(folder / f"weights_{number}.npz", numbered(weights))
    reporter.emit("progress", job=number, stage="convert", place="", done=0, total=1)
    # After quantisation-aware training the ranges stand in the model: no examples needed.
    litert = to_litert(model, "float" if plain else "dynamic")
    write_bytes(folder / f"model_{number}.tflite", litert)


def _fresh(blueprint: Blueprint, weights: list[np.ndarray]) -> tf_keras.Model:
    model = build(tf_keras, blueprint)
    left = list(weights)
    for layer in blueprint.layers:
        own = model.get_layer(layer.name)
        own.set_weights([left.pop(0) for _ in own.weights])
    if left:
        raise ValueError(f"{len(left)} weights are left over: no layer takes them")
    return model


def _weights(model: tf_keras.Model, blueprint: Blueprint) -> list[np.ndarray]:
    """Return the weights in the order of the blueprint's layers."""
    found: list[np.ndarray] = []
    for layer in blueprint.layers:
        found += model.get_layer(layer.name).get_weights()
    return found


@dataclass(frozen=True)
class _Training:
    """What a stage trains with: its settings, the loss, the data, and who watches."""

    settings: dict[str, Any]
    loss: dict[str, Any]
    inputs: Any
    labels: np.ndarray
    watch: tf_keras.callbacks.Callback

    def fit(
        self, model: tf_keras.Model, *callbacks: tf_keras.callbacks.Callback
    ) -> None:
        """Train the model."""
        options = {k: v for k, v in self.loss.items() if k != "class_name"}
        model.compile(
            tf_keras.optimizers.Adam(self.settings["learning_rate"]),
            getattr(tf_keras.losses, self.loss["class_name"])(**options),
        )
        model.fit(
            self.inputs,
            self.labels,
            batch_size=self.settings["batch_size"],
            epochs=self.settings["epochs"],
            callbacks=[*callbacks, self.watch],
            verbose=0,
        )


def _wrapped(model: tf_keras.Model, wrap: Any, wanted: Any) -> tf_keras.Model:
    """Return the model with those layers wrapped that `wanted` says."""
    layers = [layer for layer in model.layers if layer.weights and wanted(layer)]
    if not layers:
        raise UserError("the model has no layer with a kernel that this method takes")
    return tf_keras.models.clone_model(
        model, clone_function=lambda layer: wrap(layer) if layer in layers else layer
    )


def _prune(
    model: Any, training: _Training, m_by_n: tuple[int, int] | None = None
) -> Any:
    """Return the model with zeros, in its weights, where tfmot put them."""
    sparsity = tfmot.sparsity.keras
    settings = training.settings
    steps = -(-len(training.labels) // settings["batch_size"]) * settings["epochs"]
    if m_by_n:
        schedule = sparsity.ConstantSparsity(0.5, 0, frequency=max(1, steps // 20))
    else:
        # The last update must fall on the end, or the last zeros would be missing: tfmot
        # prunes at begin + i * frequency alone.
        frequency = max(1, steps // 40)
        end = max(1, int(0.6 * steps) // frequency) * frequency
        schedule = sparsity.PolynomialDecay(
            0.0, settings["sparsity"], 0, end, frequency=frequency
        )
    wanted = DENSE_OR_2D if m_by_n else tf_keras.layers.Layer

    def takes(layer: Any) -> bool:
        skipped = isinstance(layer, NEVER_WRAPPED) and bool(m_by_n)
        kernels = ("kernel", "pointwise_kernel", "embeddings")
        has_kernel = any(hasattr(layer, name) for name in kernels)
        return has_kernel and isinstance(layer, wanted) and not skipped

    wrapped = _wrapped(
        model,
        lambda layer: sparsity.prune_low_magnitude(
            layer, schedule, sparsity_m_by_n=m_by_n
        ),
        takes,
    )
    training.fit(wrapped, sparsity.UpdatePruningStep())
    return sparsity.strip_pruning(wrapped)


def _prune_2_4(model: Any, training: _Training) -> Any:
    return _prune(model, training, m_by_n=(2, 4))


def _cluster(model: Any, training: _Training) -> Any:
    """Return the model whose kernels have few values each."""
    clustering = tfmot.clustering.keras
    count = training.settings["num_clusters"]
    settings = {
        "number_of_clusters": count,
        "cluster_centroids_init": clustering.CentroidInitialization.KMEANS_PLUS_PLUS,
    }
    if training.settings["preserve_sparsity"]:
        # Zeros stay where they are, as a centroid of their own.
        settings["preserve_sparsity"] = True
        cluster_weights = sparse_clustering.cluster_weights
    else:
        cluster_weights = clustering.cluster_weights

    shared: list[str] = []

    def takes(layer: Any) -> bool:
        kernel = getattr(layer, "kernel", getattr(layer, "embeddings", None))
        if kernel is None or isinstance(layer, NEVER_WRAPPED):
            return False
        if len(np.unique(kernel.numpy())) > count:
            shared.append(layer.name)
            return True
        # It has few values as it is. Training it freely would lose these, and the zeros
        # that pruning left; k-means++ can't find more centroids than values.
        layer.trainable = False
        return False

    wrapped = _wrapped(model, lambda layer: cluster_weights(layer, **settings), takes)
    training.fit(wrapped)
    stripped = clustering.strip_clustering(wrapped)
    for layer in stripped.layers:
        if any(layer.name == name for name in shared):
            values = len(np.unique(layer.get_weights()[0]))
            if values > count:  # Never claim what the file does not hold.
                raise UserError(f"{layer.name} kept {values} values instead of {count}")
    return stripped


class _Scheme:
    """A scheme of tfmot's, and its registry: layers without ranges are left in float."""

    def __init__(self, scheme: Any, default: Any) -> None:
        self.get_layout_transformer = scheme.get_layout_transformer
        self.get_quantize_config = scheme.get_quantize_registry().get_quantize_config
        self._known = default.get_quantize_registry()

    def get_quantize_registry(self) -> _Scheme:
        return self

    def supports(self, layer: Any) -> bool:
        activation = getattr(layer, "activation", tf_keras.activations.linear)
        is_known = activation.__name__ in QUANTIZED_ACTIVATIONS
        return is_known and self._known.supports(layer)

    def annotate(self, layer: Any) -> Any:
        # tfmot makes two layers of a separable one, if it is marked.
        twin = tf_keras.layers.Conv2D(
            1, 1, activation=getattr(layer, "activation", None)
        )
        is_known = self.supports(twin if isinstance(layer, SEPARABLE) else layer)
        mark = tfmot.quantization.keras.quantize_annotate_layer
        return mark(layer) if is_known else layer


def _quantize(model: Any, training: _Training) -> Any:
    """Return the model with the ranges that it learned beside the weights."""
    quantization = tfmot.quantization.keras
    combined = tfmot.experimental.combine
    preserve = training.settings["preserve"]
    default = base = quantization.default_8bit.Default8BitQuantizeScheme()
    if preserve == "sparsity":
        base = combined.Default8BitPrunePreserveQuantizeScheme()
    elif preserve != "nothing":
        base = combined.Default8BitClusterPreserveQuantizeScheme(preserve == "both")
    scheme = _Scheme(base, default)
    annotated = tf_keras.models.clone_model(model, clone_function=scheme.annotate)
    quantized = quantization.quantize_apply(annotated, scheme)
    training.fit(quantized)
    if preserve in ("clusters", "both"):
        quantized = combined.strip_clustering_cqat(quantized)
    return quantized


STAGES = {
    "prune": _prune,
    "prune_2_4": _prune_2_4,
    "cluster": _cluster,
    "quantize": _quantize,
}


def _without_names(message: str, blueprint: Blueprint) -> str:
    """Return tfmot's message with the user's names of layers instead of ours."""
    for layer in blueprint.layers:
        message = message.replace(layer.name, "/".join(layer.path))
    return message


if __name__ == "__main__":
    sys.exit(serve(Path(sys.argv[1]), main))
