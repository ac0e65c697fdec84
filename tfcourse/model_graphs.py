"""The two graphs of a model that TensorBoard draws: of its operations and of its layers.

Keras 3's own callback writes the second alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf


def write_graphs(model: keras.Model) -> None:
    """Write the op graph of the forward pass and the Keras graph of the layers."""
    if not getattr(model, "inputs", None):
        return  # A subclassed model: its inputs are known only when it is called.
    tf.summary.graph(forward_graph(model))
    metadata = tf.compat.v1.SummaryMetadata()
    metadata.plugin_data.plugin_name = "graph_keras_model"
    metadata.plugin_data.content = b"1"
    tf.summary.write("keras", tf.constant(model.to_json()), step=0, metadata=metadata)


def forward_graph(model: keras.Model) -> Any:
    """Return the GraphDef of a Functional model's forward pass, with layers on top.

    What tracing adds is left out: the scope of the model, the outputs' identities, the
    node that waits for all reads, and the numbers behind the layers' names.
    """

    @tf.function(autograph=False)
    def forward(inputs: Any) -> Any:
        return model(inputs, training=False)

    specs = [tf.TensorSpec(t.shape, t.dtype, name=t.name) for t in model.inputs]
    graph_def = forward.get_concrete_function(
        specs[0] if len(specs) == 1 else specs
    ).graph.as_graph_def()
    kept = [
        node
        for node in graph_def.node
        if node.op != "NoOp" and not (node.op == "Identity" and "/" not in node.name)
    ]
    within = {node.name: _within(node.name, model.name) for node in kept}
    scopes = dict.fromkeys(parts[0] for parts in within.values())
    layers = _layers_of_scopes(scopes, [layer.name for layer in model.layers])
    renamed = {
        name: "/".join([layers.get(parts[0], parts[0]), *parts[1:]])
        for name, parts in within.items()
    }
    del graph_def.node[:]
    for node in kept:
        inputs = [renamed[i] + port for i, port in _split_ports(node.input, renamed)]
        node.name = renamed[node.name]
        node.input[:] = inputs
        graph_def.node.append(node)
    return graph_def


def _within(name: str, model_name: str) -> list[str]:
    """Return the parts of a node's name without the scope of the model.

    >>> _within("net_1/dense_1/MatMul", "net")
    ['dense_1', 'MatMul']
    """
    parts = name.split("/")
    is_model = model_name in (parts[0], _stem(parts[0]))
    return parts[1:] if len(parts) > 1 and is_model else parts


def _layers_of_scopes(scopes: Iterable[str], layers: Sequence[str]) -> dict[str, str]:
    """Return which layer each scope stands for; both come in the order of the calls.

    Tracing adds numbers, and so do layers' own names: of the layers that a scope may
    stand for it is the first that has no scope yet. A layer that is called twice keeps
    its numbers the second time.

    >>> _layers_of_scopes(["conv_1", "pool_1", "conv_1_2"], ["conv", "pool", "conv_1"])
    {'conv_1': 'conv', 'pool_1': 'pool', 'conv_1_2': 'conv_1'}
    >>> _layers_of_scopes(["x", "conv", "conv_1"], ["conv", "conv_1"])
    {'conv': 'conv', 'conv_1': 'conv_1'}
    """
    found: dict[str, str] = {}
    for scope in scopes:
        free = [
            layer
            for layer in layers
            if layer in (scope, _stem(scope)) and layer not in found.values()
        ]
        if free:
            found[scope] = free[0]
    return found


def _stem(name: str) -> str:
    return re.sub(r"_\d+$", "", name)


def _split_ports(
    inputs: Sequence[str], known: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Yield each data input as (node, `:port` or nothing); control inputs are dropped."""
    for text in inputs:
        node, colon, port = text.partition(":")
        if node in known:
            yield node, colon + port
