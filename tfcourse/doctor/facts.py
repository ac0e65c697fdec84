"""What can be said of a model, its optimizer and its loss without running them."""

from __future__ import annotations

import contextlib
import inspect
from typing import Any

import keras
import numpy as np

from tfcourse.doctor.layers import activation_name, open_layers, variable_names

MAX_LAYERS = 256
# Layers through which a tensor passes as it is, or nearly: they make nothing nonlinear.
PASSING = ("Dropout", "Flatten", "Reshape", "InputLayer", "Permute", "RepeatVector")


def describe_model(model: keras.Model) -> dict[str, Any]:
    """Return the model's layers, outputs, and how they are connected."""
    layers = list(open_layers(model).items())
    names = variable_names(model)
    return {
        "class": type(model).__name__,
        "kind": model_kind(model),
        "num_parameters": int(model.count_params()) if model.built else None,
        "trainable_variables": [names[id(v)] for v in model.trainable_variables],
        "layers": [
            describe_layer(path, layer, names) for path, layer in layers[:MAX_LAYERS]
        ],
        "num_layers": len(layers),
        "links": links(model),
        "outputs": output_activations(model),
        "custom_train_step": type(model).train_step is not keras.Model.train_step,
        "jit_compile": bool(getattr(model, "jit_compile", False)),
        "steps_per_execution": int(getattr(model, "steps_per_execution", 1) or 1),
        "run_eagerly": bool(getattr(model, "run_eagerly", False)),
    }


def model_kind(model: keras.Model) -> str:
    """Return "sequential", "functional" or "subclassed"."""
    if isinstance(model, keras.Sequential):
        return "sequential"
    functional = bool(getattr(model, "inputs", None)) and hasattr(model, "operations")
    return "functional" if functional else "subclassed"


def describe_layer(path: str, layer: Any, names: dict[int, str]) -> dict[str, Any]:
    """Return one layer's class, activation, weights and rates."""
    record: dict[str, Any] = {
        "name": path,
        "class": type(layer).__name__,
        "activation": activation_name(layer),
        "trainable": bool(layer.trainable),
        "variables": [
            describe_variable(variable, names.get(id(variable), variable.path))
            for variable in layer.weights
        ],
        "dtype": getattr(layer.dtype_policy, "name", str(layer.dtype)),
    }
    for name in ("rate", "momentum", "units", "filters", "stateful"):
        value = getattr(layer, name, None)
        if isinstance(value, bool | int | float):
            record[name] = value
    for name in ("kernel_regularizer", "bias_regularizer", "activity_regularizer"):
        regularizer = getattr(layer, name, None)
        if regularizer is not None:
            record[name] = describe_object(regularizer)
    initializer = getattr(layer, "kernel_initializer", None)
    if initializer is not None:
        record["kernel_initializer"] = describe_object(initializer)
    return record


def describe_variable(variable: Any, name: str) -> dict[str, Any]:
    """Return a variable's path, shape and how its values lie now."""
    shape = tuple(int(size) for size in variable.shape)
    record: dict[str, Any] = {
        "path": name,
        "name": variable.name,
        "shape": list(shape),
        "trainable": bool(variable.trainable),
    }
    if not str(variable.dtype).startswith(("float", "bfloat")):
        return record
    values = variable.numpy().astype(np.float64)
    record["std"] = float(values.std())
    record["mean"] = float(values.mean())
    record["max_abs"] = float(np.abs(values).max(initial=0.0))
    if len(shape) >= 2 and variable.name != "embeddings":
        fan_in, fan_out = fans(shape)
        record["fan_in"] = fan_in
        record["fan_out"] = fan_out
        matrix = values.reshape(-1, shape[-1])
        scale = np.sqrt(np.square(matrix).mean())
        spread = np.sqrt(matrix.var(axis=1).mean())
        record["unit_spread"] = float(spread / scale) if scale else 0.0
    return record


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return fan-in and fan-out of a kernel, as Keras's initialisers count them."""
    receptive_field = int(np.prod(shape[:-2]))
    return shape[-2] * receptive_field, shape[-1] * receptive_field


def links(model: keras.Model) -> list[list[str]] | None:
    """Return [from, to] for the operations of a Functional model; None for others."""
    if model_kind(model) == "subclassed":
        return None
    functional = getattr(model, "_functional", None) or model
    found = []
    for operation in getattr(functional, "operations", []):
        for node in operation._inbound_nodes:
            for parent in node.parent_nodes:
                found.append([_label(parent.operation), _label(operation)])
    return found[:2000]


def _label(operation: Any) -> str:
    """Return name, class and activation of a node, parted by bars."""
    kind = type(operation).__name__
    return f"{operation.name}|{kind}|{activation_name(operation)}"


def output_activations(model: keras.Model) -> list[dict[str, Any]]:
    """Return for each output the layer that makes it and its activation."""
    if model_kind(model) == "subclassed":
        # The last layer with weights is the best guess there is.
        candidates = [
            (path, layer) for path, layer in open_layers(model).items() if layer.weights
        ]
        last = candidates[-1] if candidates else None
        return [
            {"layer": path, "activation": None, "guess": activation_name(layer)}
            for path, layer in ([last] if last else [])
        ]
    found = []
    functional = getattr(model, "_functional", None) or model
    names = list(getattr(functional, "output_names", []))
    for name, tensor in zip(names, functional.outputs, strict=False):
        operation = tensor._keras_history.operation
        while type(operation).__name__ in PASSING:
            operation = operation._inbound_nodes[0].parent_nodes[0].operation
        activation = activation_name(operation)
        kind = type(operation).__name__
        if not activation and not getattr(operation, "weights", []):
            activation = kind.lower()  # keras.ops.softmax and its like.
        found.append(
            {
                "layer": operation.name,
                "output": name,
                "class": kind,
                "activation": activation,
                "shape": [int(size) if size else None for size in tensor.shape],
            }
        )
    return found


def describe_optimizer(optimizer: Any) -> dict[str, Any] | None:
    """Return an optimizer's class, rate and settings; None if there is none."""
    if optimizer is None:
        return None
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    schedule = getattr(inner, "_learning_rate", None)
    has_schedule = isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule)
    record: dict[str, Any] = {
        "class": type(inner).__name__,
        "learning_rate": learning_rate(optimizer),
        "schedule": type(schedule).__name__ if has_schedule else "",
        "loss_scaling": inner is not optimizer,
    }
    settings = ("momentum", "clipnorm", "global_clipnorm", "clipvalue", "weight_decay")
    for name in (*settings, "use_ema"):
        value = getattr(inner, name, None)
        if isinstance(value, bool | int | float):
            record[name] = value
    return record


def learning_rate(optimizer: Any) -> float | None:
    """Return the rate of the next step, None if it can't be known."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    if inner is None:
        return None
    try:
        return float(keras.ops.convert_to_tensor(inner.learning_rate))
    except (AttributeError, TypeError, ValueError):
        return None


def describe_losses(model: keras.Model) -> list[dict[str, Any]]:
    """Return the compiled losses, flat, with from_logits and reduction.

    output: of several, the name or the place of the one that the loss is for.
    """
    compiled = getattr(model, "_compile_loss", None)
    built = getattr(compiled, "_flat_losses", None) or []
    if built:
        return [
            describe_loss(item.loss) | {"output": item.path[-1] if item.path else 0}
            for item in built
        ]
    given = getattr(compiled, "_user_loss", None)
    return [describe_loss(loss) for loss in keras.tree.flatten(given) if loss]


def describe_loss(loss: Any) -> dict[str, Any]:
    """Return the name of a loss (as Keras's classes are called), and its settings."""
    instance = loss
    if isinstance(loss, str):
        with contextlib.suppress(ValueError):
            instance = keras.losses.get(loss)
    function = getattr(instance, "fn", None)
    settings = dict(getattr(instance, "_fn_kwargs", {}))
    name = getattr(function, "__name__", None) or getattr(instance, "__name__", None)
    # A function of one's own may have the name of one of Keras's.
    home = str(getattr(function or instance, "__module__", ""))
    return {
        "class": type(instance).__name__,
        "name": name or type(instance).__name__,
        "built_in": home.startswith("keras."),
        "from_logits": settings.get("from_logits"),
        "reduction": getattr(instance, "reduction", None),
        "label_smoothing": settings.get("label_smoothing"),
    }


def describe_metrics(model: keras.Model) -> list[dict[str, Any]]:
    """Return the compiled metrics with the function that each computes.

    name: as in the logs; output: of several, the name of the one that is measured.
    """
    compiled = getattr(model, "_compile_metrics", None)
    groups = [
        group
        for kind in ("_flat_metrics", "_flat_weighted_metrics")
        for group in getattr(compiled, kind, None) or []
        if group is not None
    ]
    pairs = [
        (group.output_name, metric) for group in groups for metric in group.metrics
    ]
    found = []
    for output, metric in pairs:
        function = getattr(metric, "_fn", None)
        settings = dict(getattr(metric, "_fn_kwargs", {}))
        found.append(
            {
                "name": f"{output}_{metric.name}" if output else metric.name,
                "output": output,
                "class": type(metric).__name__,
                "function": getattr(function, "__name__", ""),
                "threshold": settings.get("threshold"),
                "from_logits": settings.get("from_logits"),
            }
        )
    return found


def describe_object(thing: Any) -> dict[str, Any]:
    """Return the class of an initializer or regularizer and its plain settings."""
    record: dict[str, Any] = {"class": type(thing).__name__}
    if inspect.isfunction(thing):
        record["class"] = thing.__name__
    config = getattr(thing, "get_config", None)
    if callable(config):
        try:
            settings = config()
        except NotImplementedError:
            return record
        plain = bool | int | float | str
        record |= {k: v for k, v in settings.items() if isinstance(v, plain)}
    return record
