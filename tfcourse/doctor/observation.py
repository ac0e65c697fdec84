"""One step looked at from beside: loss, gradients, activations and weights of a batch.

The training step itself is left alone. What it will do is computed before it, by a
compiled function of its own, on the same batch, with the same weights and the same
random numbers: the model's `train_step` is traced in a `keras.StatelessScope`, which
keeps every assignment to itself, with an optimizer that only hands its gradients over.
So the training's result is the same, bit by bit, with and without.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfcourse.doctor.layers import tapped_layers, variable_names
from tfcourse.doctor.tensor_statistics import (
    activation_entries,
    activation_statistics,
    drawn_entries,
    gradient_statistics,
    square_sum,
    weight_entries,
)

MAX_VARIABLES = 64
MAX_LAYERS = 64
# An operation of these in the traced step would act twice: such a step isn't traced.
SIDE_EFFECTS = ("PyFunc", "EagerPyFunc", "Print", "WriteSummary", "IteratorGetNext")
ASSIGNMENTS = ("Assign", "ResourceApply", "ResourceScatter", "ResourceSparse")


class NotObservable(Exception):
    """The step can't be run beside the training without changing it."""


@dataclass
class Observation:
    """What was seen of one step; names are paths of variables and layers.

    Attributes:
        logs: The batch's own loss and metrics.
        scalars: `kind/name` to value, such as `gradient_norm/dense/kernel`.
        samples: `kind/name` to some entries, float32, such as
            `gradients/dense/kernel`, `activations/dense`, `predictions/output`.
    """

    logs: dict[str, float] = field(default_factory=dict)
    scalars: dict[str, float] = field(default_factory=dict)
    samples: dict[str, np.ndarray] = field(default_factory=dict)


class Observer:
    """Traces the step of a model once and runs it on batches.

    Args:
        model: A built Keras model.
        step: Takes (batch) and runs one training step in Keras terms; default: the
            model's `train_step`.
        optimizers: Whose `apply` hands over the gradients; default: the model's.
    """

    def __init__(
        self,
        model: keras.Model,
        step: Callable[[Any], Any] | None = None,
        optimizers: list[Any] | None = None,
    ):
        self.model = model
        self._step = step or model.train_step
        self._optimizers = optimizers or find_optimizers(model)
        self._function = tf.function(
            self._trace, autograph=False, reduce_retracing=True
        )
        self._names: dict[str, list[str]] = {}
        self._checked = False
        self.variables = spread(list(model.trainable_variables), MAX_VARIABLES)
        self.names = variable_names(model)
        self._seeds = seed_states(model)
        self.without_gradient: list[str] = []
        self.not_given: list[str] = []  # Variables that no optimizer is handed.
        self.layers: dict[str, str] = {}  # Name of each tapped layer to its activation.

    def seeds(self) -> list[tf.Tensor]:
        """Return a copy of the states of the model's random number generators."""
        return [tf.identity(seed.value) for seed in self._seeds]

    def observe(self, batch: Any, seeds: list[tf.Tensor]) -> Observation:
        """Return what a step on the batch would see, and change nothing.

        Raises:
            NotObservable: If the step can't be traced, or would have effects.
        """
        if not self._checked:
            self._check(batch, seeds)
        logs, squares, entries = self._function(batch, seeds)
        observation = Observation(
            logs=dict(zip(self._names["logs"], logs.numpy().tolist(), strict=True))
        )
        arrays = {
            name: values.numpy()
            for name, values in zip(self._names["entries"], entries, strict=True)
        }
        sums = dict(zip(self._names["squares"], squares.numpy(), strict=False))
        self._describe_variables(observation, arrays, sums)
        self._describe_layers(observation, arrays)
        return observation

    def _describe_variables(
        self,
        observation: Observation,
        arrays: dict[str, np.ndarray],
        sums: dict[str, float],
    ) -> None:
        for variable in self.variables:
            name = self.names[id(variable)]
            weights = arrays[f"weights/{name}"]
            observation.samples[f"weights/{name}"] = weights.ravel()
            gradient = arrays.get(f"gradients/{name}")
            if gradient is None:
                continue
            norm = float(np.sqrt(sums[f"gradients/{name}"]))
            found = gradient_statistics(gradient, weights, norm)
            size = max(1, int(np.prod(variable.shape)))
            found["weight_rms"] = float(np.sqrt(sums[f"weights/{name}"] / size))
            observation.scalars |= {f"{kind}/{name}": v for kind, v in found.items()}
            observation.samples[f"gradients/{name}"] = gradient.ravel()

    def _describe_layers(
        self, observation: Observation, arrays: dict[str, np.ndarray]
    ) -> None:
        for name, activation in self.layers.items():
            for kind in ("predictions", "activations"):
                values = arrays.get(f"{kind}/{name}")
                if values is None:
                    continue
                found = activation_statistics(values, activation, kind == "predictions")
                observation.scalars |= {f"{k}/{name}": v for k, v in found.items()}
                observation.samples[f"{kind}/{name}"] = drawn_entries(values)

    def _check(self, batch: Any, seeds: list[tf.Tensor]) -> None:
        try:
            graph = self._function.get_concrete_function(batch, seeds).graph
        except Exception as error:  # Any error of the user's own code lands here.
            raise NotObservable(first_line(error)) from error
        for operation in all_operations(graph):
            if operation in SIDE_EFFECTS:
                raise NotObservable(f"the step holds a {operation}")
            if operation.startswith(ASSIGNMENTS):
                raise NotObservable(
                    "the step assigns to variables that are not Keras's"
                )
        self._checked = True

    def _trace(self, batch: Any, seeds: list[tf.Tensor]) -> Any:
        """Trace the step; runs once per signature of a batch."""
        captured: list[tuple[Any, Any]] = []
        mapping = list(zip(self._seeds, seeds, strict=True))
        # Not copies but the variables' own values, so that tapes follow them.
        own_values = [(variable, variable.value) for variable in self.model.weights]
        with (
            keras.StatelessScope(collect_losses=True) as scope,
            tapped_layers(self.model, MAX_LAYERS) as taps,
            handed_over(self._optimizers, captured),
        ):
            for update in own_values + mapping:
                scope.add_update(update)
            for metric in self.model.metrics:
                metric.reset_state()
            logs = flat_logs(self._step(batch))
            losses = self.model.losses
            logs["regularisation"] = tf.add_n(
                [tf.cast(tf.reduce_sum(loss), tf.float32) for loss in losses]
                or [tf.constant(0.0)]
            )
        gradients = {id(variable): g for g, variable in captured if g is not None}
        given = {id(variable) for _, variable in captured}
        self.not_given = [
            self.names[id(variable)]
            for variable in self.model.trainable_variables
            if id(variable) not in given
        ]
        squares, entries = self._of_variables(gradients)
        for tap in taps:
            if not tap.is_output or tap.name not in self.layers:
                self.layers[tap.name] = tap.activation
            kind = "predictions" if tap.is_output else "activations"
            entries[f"{kind}/{tap.name}"] = activation_entries(tap.tensor)
        self._names = {
            "logs": list(logs),
            "squares": list(squares),
            "entries": list(entries),
        }
        return (
            tf.stack([tf.cast(value, tf.float32) for value in logs.values()]),
            tf.stack(list(squares.values()) or [tf.constant(0.0)]),
            list(entries.values()),
        )

    def _of_variables(self, gradients: dict[int, Any]) -> Any:
        """Return sums of squares and entries of the variables and their gradients."""
        squares: dict[str, tf.Tensor] = {}
        entries: dict[str, tf.Tensor] = {}
        self.without_gradient = [
            self.names[id(variable)]
            for variable in self.model.trainable_variables
            if id(variable) not in gradients
        ]
        for variable in self.variables:
            found = {"weights": variable.value}
            gradient = gradients.get(id(variable))
            if gradient is not None:
                found["gradients"] = tf.convert_to_tensor(gradient)
            for kind, values in found.items():
                name = f"{kind}/{self.names[id(variable)]}"
                squares[name] = square_sum(values)
                entries[name] = weight_entries(values)
        return squares, entries


@contextlib.contextmanager
def handed_over(
    optimizers: list[Any], captured: list[tuple[Any, Any]]
) -> Iterator[None]:
    """Let the optimizers' `apply` append (gradient, variable) instead of applying."""

    def replacement(optimizer: Any) -> Callable[..., None]:
        def apply(grads: Any, trainable_variables: Any = None) -> None:
            if trainable_variables is None:
                trainable_variables = optimizer._trainable_variables
            scale = loss_scale(optimizer)
            for gradient, variable in zip(grads, trainable_variables, strict=False):
                if gradient is not None and scale is not None:
                    gradient = tf.convert_to_tensor(gradient) / tf.cast(
                        scale, gradient.dtype
                    )
                captured.append((gradient, variable))

        return apply

    for optimizer in optimizers:
        # Past Keras's tracking of attributes: nothing of the optimizer may change.
        object.__setattr__(optimizer, "apply", replacement(optimizer))
    try:
        yield
    finally:
        for optimizer in optimizers:
            object.__delattr__(optimizer, "apply")


def loss_scale(optimizer: Any) -> Any:
    """Return by what `scale_loss` multiplies, None if it leaves the loss alone."""
    if hasattr(optimizer, "dynamic_scale"):
        return optimizer.dynamic_scale if optimizer.built else optimizer.initial_scale
    return getattr(optimizer, "loss_scale_factor", None)


def find_optimizers(model: keras.Model) -> list[Any]:
    """Return the model's optimizer and those that it has as attributes."""
    found = [value for value in vars(model).values() if is_optimizer(value)]
    if getattr(model, "optimizer", None) is not None:
        found.append(model.optimizer)
    return list({id(optimizer): optimizer for optimizer in found}.values())


def is_optimizer(value: Any) -> bool:
    """Return whether the value is a Keras optimizer."""
    return isinstance(value, keras.optimizers.Optimizer)


def seed_states(model: keras.Model) -> list[Any]:
    """Return the state variables of the random number generators in the model."""
    return [
        variable
        for variable in model.non_trainable_variables
        if variable.path.endswith("seed_generator_state")
    ]


def flat_logs(logs: Any) -> dict[str, tf.Tensor]:
    """Return what `train_step` returned as names and float scalars."""
    if not isinstance(logs, dict):
        return {"loss": tf.reduce_mean(tf.cast(logs, tf.float32))}
    flat: dict[str, tf.Tensor] = {}
    for name, value in logs.items():
        if isinstance(value, dict):
            flat |= {f"{name}_{key}": item for key, item in flat_logs(value).items()}
        else:
            flat[name] = tf.reduce_mean(tf.cast(value, tf.float32))
    return flat


def spread(items: list[Any], limit: int) -> list[Any]:
    """Return at most `limit` of the items, evenly spread, with the first and last."""
    if len(items) <= limit:
        return items
    positions = np.linspace(0, len(items) - 1, limit).round().astype(int)
    return [items[position] for position in positions]


def all_operations(graph: tf.Graph) -> Iterator[str]:
    """Yield the types of all operations, those of called functions included."""
    graph_def = graph.as_graph_def()
    for node in graph_def.node:
        yield node.op
    for function in graph_def.library.function:
        for node in function.node_def:
            yield node.op


def first_line(error: BaseException) -> str:
    """Return the kind of the error and the first line of its message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:300]
