"""Text cards for TensorBoard (model, optimizer, loss, data), and the model's graphs."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import keras

from tfcourse.doctor.event_log import EventLog
from tfcourse.model_graphs import forward_graph

MAX_ROWS = 60


def write_cards(log: EventLog, facts: Mapping[str, Any]) -> None:
    """Write the cards of a run from its facts."""
    log.text("cards/model", model_card(facts.get("model") or {}))
    log.text("cards/optimizer", table(facts.get("optimizer") or {}))
    losses = facts.get("losses") or []
    metrics = facts.get("metrics") or []
    log.text("cards/loss", "\n\n".join(table(item) for item in [*losses, *metrics]))
    log.text("cards/data", table(facts.get("data") or {}))


def write_graphs(log: EventLog, model: keras.Model) -> None:
    """Write the graphs of the operations and of the layers, where there are inputs."""
    if not getattr(model, "inputs", None):
        return  # A subclassed model: its inputs are known only when it is called.
    with contextlib.suppress(Exception):  # A drawing must not end a training.
        log.graph(forward_graph(model))
        log.keras_graph(model.to_json())


def model_card(model: Mapping[str, Any]) -> str:
    """Return the model's layers as a Markdown table."""
    lines = [
        f"**{model.get('class', '?')}** ({model.get('kind', '?')}), "
        f"{model.get('num_parameters') or 0:,} parameters",
        "",
        "| layer | class | activation | weights | trained |",
        "|---|---|---|---|---|",
    ]
    for layer in (model.get("layers") or [])[:MAX_ROWS]:
        shapes = ", ".join(str(tuple(v["shape"])) for v in layer["variables"])
        cells = (layer["name"], layer["class"], layer["activation"], shapes)
        trained = "yes" if layer["trainable"] else "no"
        lines.append("| " + " | ".join(escaped(c) for c in (*cells, trained)) + " |")
    return "\n".join(lines)


def table(record: Mapping[str, Any]) -> str:
    """Return a record as a Markdown table."""
    lines = ["| | |", "|---|---|"]
    for key, value in record.items():
        if value is not None and value != "":
            lines.append(f"| {escaped(key)} | {escaped(value)} |")
    return "\n".join(lines)


def escaped(value: Any) -> str:
    """Return text that can't end a cell of a table."""
    return str(value).replace("|", "\\|").replace("\n", " ")
