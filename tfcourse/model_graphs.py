"""The two graphs of a model that TensorBoard draws: of its operations and of its layers.

Keras 3's own callback writes the second alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence, Set
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
    layers = {layer.name for layer in model.layers}
    renamed: dict[str, str] = {}
    for node in kept:
        parts = node.name.split("/")
        if len(parts) > 1 and _unnumbered(parts[0], {model.name}) == model.name:
            parts = parts[1:]
        name = "/".join([_unnumbered(parts[0], layers), *parts[1:]])
        # A layer that is called twice keeps its numbers.
        renamed[node.name] = node.name if name in renamed.values() else name
    del graph_def.node[:]
    for node in kept:
        inputs = [renamed[i] + port for i, port in _split_ports(node.input, renamed)]
        node.name = renamed[node.name]
        node.input[:] = inputs
        graph_def.node.append(node)
    return graph_def


def _unnumbered(name: str, known: Set[str]) -> str:
    """Return the name without the number that tracing added, if that is known.

    >>> _unnumbered("logits_1", {"logits"}), _unnumbered("dense_1", {"dense_1"})
    ('logits', 'dense_1')
    """
    stem = re.sub(r"_\d+$", "", name)
    return stem if name not in known and stem in known else name


def _split_ports(
    inputs: Sequence[str], known: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Yield each data input as (node, `:port` or nothing); control inputs are dropped."""
    for text in inputs:
        node, colon, port = text.partition(":")
        if node in known:
            yield node, colon + port
