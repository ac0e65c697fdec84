"""Seeing the outputs of a model's layers while a step is traced."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

# What is inside these runs in loops, where no tensor can be taken out.
CLOSED = (keras.layers.RNN, keras.layers.Bidirectional, keras.layers.TimeDistributed)


@dataclass(frozen=True)
class Tap:
    """The output of a layer in the traced step: [batch, ..., units], any dtype."""

    name: str
    tensor: tf.Tensor
    activation: str  # Its name, such as "relu"; "" if the layer has none.
    is_output: bool = False


@contextlib.contextmanager
def tapped_layers(
    model: keras.Model, limit: int, eager: bool = False
) -> Iterator[list[Tap]]:
    """Collect the first output of each layer that is called inside the context.

    A tensor that reaches a layer with weights without being the output of another one
    (an activation that isn't a layer) is collected as `layer/input`. The model's own
    outputs are taps with `is_output`.
    """
    taps: list[Tap] = []
    layers = {layer: path for path, layer in open_layers(model).items()}
    chosen = set(list(layers)[: limit - 1]) | set(list(layers)[-1:])
    recorder = _TapRecorder(taps, eager)
    for layer in chosen:
        recorder.wrap(layer, layers[layer])
    recorder.wrap_model(model)
    try:
        yield taps
    finally:
        recorder.unwrap()


class _TapRecorder:
    """Replaces `call` of layers, on the objects alone, and puts it back."""

    def __init__(self, taps: list[Tap], eager: bool):
        self._taps = taps
        self._eager = eager
        self._wrapped: list[Any] = []
        self._seen: set[int] = set()
        self._names: set[str] = set()
        self._graph = None if eager else tf.compat.v1.get_default_graph()
        self._kept: list[Any] = []  # Ids stay unique only while the tensors live.

    def wrap(self, layer: Any, path: str) -> None:
        """Collect what the layer gives."""
        call = layer.call
        has_kernel = bool(getattr(layer, "trainable_weights", None))

        def tapped(*args: Any, **kwargs: Any) -> Any:
            if has_kernel and args:
                self._collect(first_tensor(args[0]), f"{path}/input", "")
            outputs = call(*args, **kwargs)
            self._collect(first_tensor(outputs), path, activation_name(layer))
            return outputs

        self._replace(layer, tapped, call)

    def wrap_model(self, model: Any) -> None:
        """Collect what the model gives, and know what it is given."""
        call = model.call

        def tapped(*args: Any, **kwargs: Any) -> Any:
            for value in keras.tree.flatten((args, kwargs)):
                self._remember(value)
            outputs = call(*args, **kwargs)
            for name, tensor in named_outputs(model, outputs):
                if f"outputs {name}" not in self._names and is_float(tensor):
                    self._names.add(f"outputs {name}")
                    self._taps.append(Tap(name, tensor, "", is_output=True))
            return outputs

        self._replace(model, tapped, call)

    def _replace(self, layer: Any, tapped: Callable[..., Any], call: Any) -> None:
        if not self._eager:
            tapped = tf.autograph.experimental.do_not_convert(tapped)
        # Past Keras's tracking of attributes: nothing of the layer may change.
        had = "call" in vars(layer)
        object.__setattr__(layer, "call", tapped)
        self._wrapped.append((layer, had, call))

    def unwrap(self) -> None:
        """Put every `call` back."""
        for layer, had, call in reversed(self._wrapped):
            if had:
                object.__setattr__(layer, "call", call)
            else:
                object.__delattr__(layer, "call")

    def _collect(self, tensor: Any, name: str, activation: str) -> None:
        if not is_float(tensor):
            return
        if self._eager != tf.executing_eagerly():
            return
        # What is made inside a loop can't be used outside of it.
        if not self._eager and tensor.graph is not self._graph:
            return
        is_new = id(tensor) not in self._seen
        self._remember(tensor)
        if name in self._names or (name.endswith("/input") and not is_new):
            return
        self._names.add(name)
        self._taps.append(Tap(name, tensor, activation))

    def _remember(self, value: Any) -> None:
        self._seen.add(id(value))
        self._kept.append(value)


def open_layers(model: keras.Model) -> dict[str, Any]:
    """Return path to layer for all layers whose outputs a trace can see, in order."""
    found: dict[str, Any] = {}

    def visit(layer: Any, prefix: str) -> None:
        for child in getattr(layer, "_layers", []):
            if isinstance(child, keras.layers.InputLayer):
                continue
            name = f"{prefix}{child.name}"
            while name in found:
                name += "_"
            if isinstance(child, CLOSED) or not getattr(child, "_layers", []):
                found[name] = child
            else:
                visit(child, f"{name}/")

    visit(model, "")
    # A layer that stands in two places is one layer.
    unique = {id(layer): (name, layer) for name, layer in reversed(found.items())}
    return dict(reversed(list(unique.values())))


def variable_names(model: keras.Model) -> dict[int, str]:
    """Return a name for each variable, by its id: its path, made unique by a number.

    Two parts of a model may be called alike, and then so are their variables.
    """
    names: dict[int, str] = {}
    taken: set[str] = set()
    for variable in model.variables:
        name, number = variable.path, 1
        while name in taken:
            number += 1
            name = f"{variable.path}_{number}"
        taken.add(name)
        names[id(variable)] = name
    return names


def activation_name(layer: Any) -> str:
    """Return the name of a layer's activation, such as "relu"; "" if it has none."""
    by_class = {
        "ReLU": "relu",
        "LeakyReLU": "leaky_relu",
        "PReLU": "leaky_relu",
        "ELU": "elu",
        "Softmax": "softmax",
    }
    kind = type(layer).__name__
    if kind in by_class:
        return by_class[kind]
    activation = getattr(layer, "activation", None)
    if activation is None:
        return ""
    name = getattr(activation, "__name__", None) or type(activation).__name__
    return "" if name == "linear" else str(name).lower()


def named_outputs(model: Any, outputs: Any) -> list[tuple[str, Any]]:
    """Return the model's outputs with their names: those of a dict, or of its layers."""
    if isinstance(outputs, dict):
        # In the order in which Keras flattens targets of the same names.
        return [(str(key), outputs[key]) for key in sorted(outputs)]
    flat = keras.tree.flatten(outputs)
    functional = getattr(model, "_functional", None) or model
    names = list(getattr(functional, "output_names", None) or [])
    if len(names) != len(flat):
        names = (
            [f"output_{i}" for i in range(len(flat))] if len(flat) > 1 else ["output"]
        )
    return list(zip(names, flat, strict=True))


def first_tensor(value: Any) -> Any:
    """Return the first tensor of a structure, None if there is none."""
    flat = keras.tree.flatten(value)
    return next((item for item in flat if isinstance(item, tf.Tensor)), None)


def is_float(tensor: Any) -> bool:
    """Return whether this is a tensor of floats with a batch axis."""
    return (
        isinstance(tensor, tf.Tensor)
        and tensor.dtype.is_floating
        and (tensor.shape.rank or 0) >= 1
    )
