"""A model as plain data: what crosses the border between Keras 3 and tf_keras.

`read_blueprint` takes the JSON of a Keras 3 model (its `to_json`, or the config.json of a
.keras file) and needs neither Keras nor TensorFlow: a model that can't be moved is refused
before anything is started. `build` makes the model again with the Keras namespace that it
is given. Models inside models are laid out flat; layers that are called twice stay shared.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from tfcourse.compression.portable_layers import (
    PORTABLE_ACTIVATIONS,
    PORTABLE_LAYERS,
    RENAMED,
    REQUIRED,
)
from tfcourse.errors import UserError

CAN_BE_MOVED = (
    "Functional and Sequential models of Keras's own dense, convolution, embedding, "
    "normalization, activation, dropout, pooling, reshaping and merging layers"
)
MAX_LAYERS = 10_000  # Calls after inlining; a hostile file could nest without end.
MAX_DEPTH = 20


@dataclasses.dataclass
class Layer:
    """A layer of Keras's own.

    `path` leads to it in the Keras 3 model: its name, after those of the models around it.
    """

    name: str
    class_name: str
    config: dict[str, Any]
    path: list[str]


@dataclasses.dataclass
class Call:
    """A layer applied to tensors: numbers of inputs, then of the calls before."""

    layer: int
    tensors: list[int]
    takes_list: bool


@dataclasses.dataclass
class Blueprint:
    """A model: inputs (shape without batch, dtype, name), layers, calls, outputs."""

    inputs: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    layers: list[Layer] = dataclasses.field(default_factory=list)
    calls: list[Call] = dataclasses.field(default_factory=list)
    outputs: list[int] = dataclasses.field(default_factory=list)

    def ends_in(self, activation: str) -> bool:
        """Return whether the (first) output comes out of this activation."""
        place = self.outputs[0] - len(self.inputs)
        if place < 0:
            return False
        layer = self.layers[self.calls[place].layer]
        named = layer.config.get("activation") == activation
        return named or layer.class_name.lower() == activation


def blueprint_from_json(value: dict[str, Any]) -> Blueprint:
    """Return the blueprint that `dataclasses.asdict` made a dictionary of."""
    return Blueprint(
        value["inputs"],
        [Layer(**layer) for layer in value["layers"]],
        [Call(**call) for call in value["calls"]],
        value["outputs"],
    )


def read_blueprint(config: Any) -> Blueprint:
    """Return the blueprint of a Keras 3 model.

    Args:
        config: What `json.loads(model.to_json())` gives.

    Raises:
        UserError: If the model can't be moved: names the layer and what can be.
    """
    try:
        return _Reader().read(config)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise UserError(
            f"this is not the description of a Keras 3 model ({error!r}); what can be "
            f"compressed: {CAN_BE_MOVED}"
        ) from None


def is_model(entry: dict[str, Any]) -> bool:
    """Return whether a serialized object is a Functional or Sequential model."""
    return entry["class_name"] in ("Functional", "Sequential", "Model") and str(
        entry["module"]
    ).startswith("keras")


class _Reader:
    def __init__(self) -> None:
        self.blueprint = Blueprint()
        self._layers: dict[tuple[str, ...], int] = {}

    def read(self, config: dict[str, Any]) -> Blueprint:
        if not is_model(config) or "layers" not in config["config"]:
            raise UserError(
                f"a model of class {str(config['class_name'])[:60]} can't be moved: its "
                f"layers stand in its code alone; what can be: {CAN_BE_MOVED}"
            )
        if config["class_name"] == "Sequential":
            inputs = [_sequential_input(config["config"])]
        else:
            inputs = _functional_inputs(config["config"])
        self.blueprint.inputs = inputs
        tensors = list(range(len(inputs)))
        self.blueprint.outputs = self._inline(config, tensors, ())
        return self.blueprint

    def _inline(
        self, entry: dict[str, Any], tensors: list[int], path: tuple[str, ...]
    ) -> list[int]:
        """Lay a model's calls out on tensors; return its outputs."""
        if len(path) > MAX_DEPTH:
            raise UserError(f"models are nested more than {MAX_DEPTH} deep")
        if entry["class_name"] == "Sequential":
            for layer in entry["config"]["layers"]:
                if layer["class_name"] != "InputLayer":
                    tensors = self._call(layer, tensors, False, path)
            return tensors
        return self._functional(entry["config"], tensors, path)

    def _functional(
        self, config: dict[str, Any], tensors: list[int], path: tuple[str, ...]
    ) -> list[int]:
        known = {}
        for key, tensor in zip(_keys(config["input_layers"]), tensors, strict=True):
            known[key] = [tensor]
        waiting = [
            (layer, place, node)
            for layer in config["layers"]
            if layer["class_name"] != "InputLayer"
            for place, node in enumerate(layer["inbound_nodes"])
        ]
        while waiting:
            later = []
            for layer, place, node in waiting:
                keys, takes_list = _arguments(layer, node)
                if any(key[:2] not in known for key in keys):
                    later.append((layer, place, node))
                    continue
                given = [known[key[:2]][key[2]] for key in keys]
                made = self._call(layer, given, takes_list, path)
                known[(layer["name"], place)] = made
            if len(later) == len(waiting):
                raise UserError("the model's layers don't hang together")
            waiting = later
        outputs = _keys(config["output_layers"], with_tensor=True)
        return [known[key[:2]][key[2]] for key in outputs]

    def _call(
        self,
        entry: dict[str, Any],
        tensors: list[int],
        takes_list: bool,
        path: tuple[str, ...],
    ) -> list[int]:
        name = str(entry.get("name") or entry["config"]["name"])
        here = (*path, name)
        if is_model(entry) and "layers" in entry["config"]:
            return self._inline(entry, tensors, here)
        if len(self.blueprint.calls) >= MAX_LAYERS:
            raise UserError(f"the model has more than {MAX_LAYERS:,} layers")
        if here not in self._layers:
            self._layers[here] = len(self.blueprint.layers)
            # tfmot tells depthwise convolutions from others by the layer's name.
            own_name = f"layer_{len(self.blueprint.layers):03}_{entry['class_name']}"
            layer = Layer(
                own_name.lower(), entry["class_name"], _settings(entry), list(here)
            )
            self.blueprint.layers.append(layer)
        self.blueprint.calls.append(Call(self._layers[here], tensors, takes_list))
        return [len(self.blueprint.inputs) + len(self.blueprint.calls) - 1]


def _settings(entry: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a layer in tf_keras's terms."""
    class_name, config = str(entry["class_name"]), entry["config"]
    name = str(config.get("name", "-"))[:60]
    where = f"the layer {name} ({class_name[:60]})"
    if entry.get("registered_name") or not str(entry["module"]).startswith("keras."):
        raise UserError(f"{where} is a custom layer; what can be moved: {CAN_BE_MOVED}")
    if class_name not in PORTABLE_LAYERS:
        raise UserError(
            f"{where} can't be moved to tf_keras; what can be moved: {CAN_BE_MOVED}"
        )
    policy = config.get("dtype")
    if isinstance(policy, dict):
        policy = policy["config"].get("name")
    if policy not in (None, "float32"):
        raise UserError(f"{where} computes in {policy}; only float32 can be moved")
    for key, only in REQUIRED.items():
        if config.get(key, only) != only:
            raise UserError(f"{where} has {key}={config[key]!r}, which can't be moved")
    settings: dict[str, Any] = {"trainable": bool(config.get("trainable", True))}
    for key in PORTABLE_LAYERS[class_name]:
        if key not in config:
            continue  # Written by an older Keras 3, which had the default alone.
        value = config[key]
        if key == "activation":
            value = _activation(value, where)
        elif isinstance(value, dict):
            raise UserError(f"{where} has a {key} that can't be moved")
        settings[RENAMED.get((class_name, key), key)] = value
    return settings


def _activation(value: Any, where: str) -> str:
    if not isinstance(value, str) or value not in PORTABLE_ACTIVATIONS:
        shown = value if isinstance(value, str) else "a function or layer of its own"
        raise UserError(
            f"{where} has the activation {str(shown)[:60]}; what can be moved: "
            f"{', '.join(PORTABLE_ACTIVATIONS)}"
        )
    return PORTABLE_ACTIVATIONS[value]


def _arguments(
    layer: dict[str, Any], node: dict[str, Any]
) -> tuple[list[tuple[str, int, int]], bool]:
    """Return (keys of the tensors that a layer is called with, whether in a list)."""
    args = node["args"]
    if len(args) != 1 or any(
        value not in (None, False) for value in node["kwargs"].values()
    ):
        raise UserError(
            f"the layer {str(layer['name'])[:60]} ({layer['class_name']}) is called with "
            f"more than tensors, as operators such as x + 1 are: write it with a layer "
            f"of Keras's own, such as Add or Rescaling; what can be moved: {CAN_BE_MOVED}"
        )
    takes_list = isinstance(args[0], list)
    tensors = args[0] if takes_list else [args[0]]
    return [tuple(t["config"]["keras_history"]) for t in tensors], takes_list


def _keys(value: Any, with_tensor: bool = False) -> list[Any]:
    """Return keys of tensors from [name, node, tensor], a list or a dict of such."""
    if isinstance(value, dict):
        raise UserError("a model with a dict of inputs or outputs can't be moved")
    if len(value) == 3 and isinstance(value[0], str):
        value = [value]
    return [tuple(v) if with_tensor else (v[0], v[1]) for v in value]


def _functional_inputs(config: dict[str, Any]) -> list[dict[str, Any]]:
    layers = {layer["name"]: layer for layer in config["layers"]}
    names = [key[0] for key in _keys(config["input_layers"])]
    return [_input(layers[name]["config"], name) for name in names]


def _sequential_input(config: dict[str, Any]) -> dict[str, Any]:
    first = config["layers"][0]
    if first["class_name"] == "InputLayer":
        return _input(first["config"], str(first["config"]["name"]))
    if is_model(first):
        nested = first["config"]
        if first["class_name"] == "Sequential":
            return _sequential_input(nested)
        return _functional_inputs(nested)[0]
    shape = config.get("build_input_shape")
    if not shape:
        raise UserError(
            "the Sequential model has no input shape: begin it with keras.Input(...)"
        )
    return {"shape": list(shape[1:]), "dtype": "float32", "name": "input"}


def _input(config: dict[str, Any], name: str) -> dict[str, Any]:
    shape = list(config["batch_shape"])[1:]
    return {"shape": shape, "dtype": str(config.get("dtype")), "name": name}


def build(k: Any, blueprint: Blueprint) -> Any:
    """Return the model of a blueprint, built with the Keras namespace `k`."""
    tensors = [
        k.Input(tuple(entry["shape"]), dtype=entry["dtype"], name=f"input_{number}")
        for number, entry in enumerate(blueprint.inputs)
    ]
    inputs = list(tensors)
    layers = [
        getattr(k.layers, layer.class_name)(name=layer.name, **layer.config)
        for layer in blueprint.layers
    ]
    for call in blueprint.calls:
        given = [tensors[number] for number in call.tensors]
        tensors.append(layers[call.layer](given if call.takes_list else given[0]))
    outputs = [tensors[number] for number in blueprint.outputs]
    return k.Model(inputs if len(inputs) > 1 else inputs[0], _one_or_all(outputs))


def _one_or_all(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else values
