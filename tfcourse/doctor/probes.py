"""Cheap experiments before and after the training, on batches that were kept.

They run in a `keras.StatelessScope`, on copies of the random states: nothing of the
model changes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfcourse.doctor.example_comparisons import describe
from tfcourse.doctor.examples import Examples, as_array, num_examples
from tfcourse.doctor.layers import named_outputs, tapped_layers, variable_names
from tfcourse.doctor.observation import first_line, seed_states
from tfcourse.doctor.prediction_statistics import describe_predictions
from tfcourse.doctor.time_probe import gradient_over_time

MAX_PREDICTED = 1024  # Examples that a probe predicts.
MAX_TAPPED = 64
MAX_WEIGHTS = 256  # Variables that are described at the end.
MAX_MODE_BATCHES = 4
# Keras's layers that do the same in training as in inference; the first two hand it on.
MODELESS = {
    *("Functional", "Sequential", "InputLayer", "Dense", "EinsumDense", "Embedding"),
    *("Conv1D", "Conv2D", "Conv3D", "DepthwiseConv2D", "SeparableConv2D"),
    *("Conv1DTranspose", "Conv2DTranspose", "Flatten", "Reshape", "Permute"),
    *("MaxPooling1D", "MaxPooling2D", "AveragePooling1D", "AveragePooling2D"),
    *("GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalAveragePooling1D"),
    *("GlobalAveragePooling2D", "Activation", "ReLU", "LeakyReLU", "ELU", "Softmax"),
    *("Add", "Subtract", "Multiply", "Concatenate", "Rescaling", "Normalization"),
    *("LayerNormalization", "UpSampling2D", "ZeroPadding2D"),
}

Loss = Callable[[Any, Any, Any, Any, bool], Any]


class Probe:
    """Runs experiments on a model.

    Args:
        model: A built model.
        loss: Takes (x, y, predictions, sample_weight, training); default: what the
            model was compiled with.
    """

    def __init__(self, model: keras.Model, loss: Loss | None = None):
        self.model = model
        self._loss = loss or self._compiled_loss

    def start(self, batch: tuple[Any, Any, Any]) -> dict[str, Any]:
        """Return what is known before the first step, from one batch."""
        return {
            "when": "start",
            **guarded("loss_by_size", lambda: self.loss_by_size(batch)),
            **guarded("modes", lambda: self.modes([batch])),
            **guarded("outputs", lambda: self.outputs([batch])),
            **guarded("time", lambda: gradient_over_time(self, batch)),
        }

    def end(self, train: Examples, validation: Examples) -> dict[str, Any]:
        """Return what the trained model does with kept examples, and what they are."""
        record: dict[str, Any] = {"when": "end"}
        for name, examples in (("train", train), ("validation", validation)):
            if not examples:
                continue
            batches = some_batches(examples)
            record |= guarded(f"{name}_modes", lambda b=batches: self.modes(b))
            record |= guarded(f"{name}_outputs", lambda b=batches: self.outputs(b))
        if train:
            batches = some_batches(train)
            record |= guarded("units", lambda: self.units(batches))
        record |= guarded("examples", lambda: describe(train, validation))
        record |= guarded("weights", lambda: describe_weights(self.model))
        return record

    def loss_by_size(self, batch: tuple[Any, Any, Any]) -> dict[str, float]:
        """Return the loss of a batch and of its parts, in inference mode.

        A mean over examples is the mean of the parts' losses; a sum is the sum.
        """
        size = num_examples(batch[0])
        if size < 4:
            return {}
        half = size // 2
        parts = [rows(batch, 0, half), rows(batch, half, 2 * half)]
        with beside(self.model):
            whole = self._total(rows(batch, 0, 2 * half), training=False)
            halves = [self._total(part, training=False) for part in parts]
        record = {"whole": whole, "first_half": halves[0], "second_half": halves[1]}
        return record | {"company": self._company(rows(batch, 0, 2 * half), half)}

    def _company(self, batch: tuple[Any, Any, Any], half: int) -> float:
        """Return how much predictions depend on the rest of the batch, in spreads."""
        with beside(self.model):
            whole = named_outputs(self.model, self.model(batch[0], training=False))
            alone = named_outputs(
                self.model, self.model(rows(batch, 0, half)[0], training=False)
            )
        together = np.asarray(as_array(whole[0][1][:half]), np.float64)
        difference = np.abs(together - np.asarray(as_array(alone[0][1]), np.float64))
        return float(difference.max() / max(float(together.std()), 1e-6))

    def modes(self, batches: list[tuple[Any, Any, Any]]) -> dict[str, float]:
        """Return the loss in training and in inference mode.

        once, again: of the first batch, twice in inference mode.
        """
        modes = {"inference": False}
        if depends_on_mode(self.model):
            modes["training"] = True
        totals: dict[str, list[float]] = {name: [] for name in modes}
        sizes = []
        for batch in batches[:MAX_MODE_BATCHES]:
            sizes.append(num_examples(batch[0]))
            for name, training in modes.items():
                with beside(self.model):
                    totals[name].append(self._total(batch, training=training))
        # Both inference runs in one scope: random layers that stay active differ.
        with beside(self.model):
            pair = [self._total(batches[0], training=False) for _ in range(2)]
        record = {k: float(np.average(v, weights=sizes)) for k, v in totals.items()}
        record.setdefault("training", record["inference"])
        return record | {"once": pair[0], "again": pair[1]}

    def outputs(self, batches: list[tuple[Any, Any, Any]]) -> dict[str, Any]:
        """Return how the predictions lie beside the targets, for each output."""
        predictions: list[list[np.ndarray]] = []
        names: list[str] = []
        for x, _, _ in merged(batches):
            with beside(self.model):
                pairs = named_outputs(self.model, self.model(x, training=False))
            names = [name for name, _ in pairs]
            predictions.append([np.asarray(as_array(value)) for _, value in pairs])
        targets = named_targets(batches, names)
        record = {}
        for i, name in enumerate(names):
            values = np.concatenate([parts[i] for parts in predictions])
            record[name] = describe_predictions(values, targets.get(name))
        return record

    def units(self, batches: list[tuple[Any, Any, Any]]) -> dict[str, Any]:
        """Return for each layer how many units are dead or constant over all examples."""
        live: dict[str, np.ndarray] = {}
        for x, _, _ in merged(batches):
            with beside(self.model), tapped_eagerly(self.model) as taps:
                self.model(x, training=False)
            for name, values in taps.items():
                active = (values != 0).reshape(-1, values.shape[-1]).any(axis=0)
                if name not in live:
                    live[name] = active
                elif live[name].shape == active.shape:
                    live[name] = live[name] | active
        return {name: {"dead_share": float(1 - a.mean())} for name, a in live.items()}

    def loss(self, batch: tuple[Any, Any, Any], training: bool) -> Any:
        """Return the mean loss of a batch, float32, as a tensor."""
        x, y, weight = batch
        predictions = self.model(x, training=training)
        loss = self._loss(x, y, predictions, weight, training)
        return tf.reduce_mean(tf.cast(loss, tf.float32))

    def _total(self, batch: tuple[Any, Any, Any], training: bool) -> float:
        return float(self.loss(batch, training))

    def _compiled_loss(
        self, x: Any, y: Any, p: Any, weight: Any, training: bool
    ) -> Any:
        has_own = type(self.model).compute_loss is not keras.Model.compute_loss
        if getattr(self.model, "_compile_loss", None) is None and not has_own:
            raise ValueError("the model was compiled without a loss")
        return self.model.compute_loss(
            x=x, y=y, y_pred=p, sample_weight=weight, training=training
        )


def depends_on_mode(model: keras.Model) -> bool:
    """Return whether a layer, or `call` of the model, may do other things in training."""
    return any(
        # A class of one's own may do anything, whatever it is called.
        type(layer).__name__ not in MODELESS
        or not type(layer).__module__.startswith("keras.")
        for layer in model._flatten_layers()
    )


@contextlib.contextmanager
def beside(model: keras.Model) -> Iterator[None]:
    """Let nothing in the body change a variable of the model."""
    own = [
        (variable, tf.convert_to_tensor(variable.value)) for variable in model.weights
    ]
    own += [(seed, tf.identity(seed.value)) for seed in seed_states(model)]
    with keras.StatelessScope(collect_losses=True) as scope:
        for update in own:
            scope.add_update(update)
        yield


@contextlib.contextmanager
def tapped_eagerly(model: keras.Model) -> Iterator[dict[str, np.ndarray]]:
    """Collect the layers' outputs of an eager call as arrays [batch, ..., units]."""
    values: dict[str, np.ndarray] = {}
    with tapped_layers(model, MAX_TAPPED, eager=True) as taps:
        yield values
    for tap in taps:
        if not tap.is_output:
            values[tap.name] = np.asarray(tap.tensor, np.float32)


def guarded(name: str, experiment: Callable[[], Any]) -> dict[str, Any]:
    """Return {name: result}; {"failed <name>": reason} if the experiment can't run.

    A model of one's own may take its data or its loss in any form: what can't be tried
    is recorded as such and must not end the training.
    """
    try:
        return {name: experiment()}
    except Exception as error:
        return {f"failed {name}": first_line(error)}


def some_batches(examples: Examples) -> list[tuple[Any, Any, Any]]:
    """Return kept batches, spread over the run, of at most about 1,024 examples."""
    sizes = [num_examples(batch[0]) for batch in examples.batches]
    count = max(1, min(len(sizes), MAX_PREDICTED // max(1, max(sizes))))
    positions = np.linspace(0, len(sizes) - 1, count).round().astype(int)
    batches = [examples.batches[position] for position in sorted(set(positions))]
    return [rows(batch, 0, MAX_PREDICTED) for batch in batches]


def named_targets(
    batches: list[tuple[Any, Any, Any]], names: list[str]
) -> dict[str, np.ndarray]:
    """Return the targets [n, ...] that belong to the outputs of these names.

    Targets in a dict go by their keys, others by their order.
    """
    kept = Examples()
    kept.batches = batches
    arrays = kept.targets()
    first = batches[0][1]
    keys = sorted(first) if isinstance(first, dict) else names
    return dict(zip([str(key) for key in keys], arrays, strict=False))


def merged(batches: list[tuple[Any, Any, Any]]) -> list[tuple[Any, Any, Any]]:
    """Return the batches as one, if their shapes allow it."""
    flat = [keras.tree.flatten(batch) for batch in batches]
    shapes = {
        tuple(None if v is None else tuple(v.shape[1:]) for v in parts)
        for parts in flat
    }
    is_dense = all(v is None or isinstance(v, tf.Tensor) for v in flat[0])
    if len(shapes) != 1 or not is_dense:
        return batches
    parts = [
        None if vs[0] is None else tf.concat(vs, 0) for vs in zip(*flat, strict=True)
    ]
    return [keras.tree.pack_sequence_as(batches[0], parts)]


def rows(batch: tuple[Any, Any, Any], first: int, last: int) -> tuple[Any, Any, Any]:
    """Return the examples from `first` to before `last` of a batch."""
    return keras.tree.map_structure(
        lambda value: None if value is None else value[first:last], batch
    )


def describe_weights(model: keras.Model) -> dict[str, Any]:
    """Return how the weights lie, by path."""
    from tfcourse.doctor.facts import describe_variable

    names = variable_names(model)
    found = {}
    for variable in list(model.weights)[:MAX_WEIGHTS]:
        name = names.get(id(variable), variable.path)
        found[name] = describe_variable(variable, name)
    return found
