"""The experiments on the order of a pipeline: measure streams, draw, log.

What is measured comes from outside: the pipelines, and the functions that measure them.
Each stage is stored in the run, so that a resumed run does not repeat it, and returns
the metrics that it found.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from tfcourse import stream_figures
from tfcourse.errors import UserError
from tfcourse.pipelines import Pipelines
from tfcourse.runs import Run

Batches = Sequence[np.ndarray]
Metrics = dict[str, float]

# Company that is kept by chance is a batch's share of the data, far below; a batch that
# is cut from neighbours keeps at least half.
COMPANY_BY_CHANCE = 0.25
MIN_EXAMPLES = 200
NUM_STREAMS = 3  # Per order, each with a seed of its own.
# Measured beside the orders: a cache keeps what it was given, the order too.
CACHED_ORDERS = ("cache shuffle batch repeat", "shuffle cache batch repeat")


class Measures(NamedTuple):
    """Functions that measure a stream of batches of example numbers."""

    coverage: Callable[[Batches, int], np.ndarray]  # Per epoch, the share shown.
    blending: Callable[[Batches, int], float]  # Share shown outside its epoch.
    company: Callable[[Batches], float]  # Share of a batch that meets again.

    def all(self, batches: Batches, num_examples: int) -> Metrics:
        """Return all of them on one stream; of the coverage, the worst epoch's."""
        return {
            "coverage": float(np.min(self.coverage(batches, num_examples))),
            "blending": float(self.blending(batches, num_examples)),
            "company_kept": float(self.company(batches)),
        }


def answers(
    streams: Sequence[Batches],
    measured: Mapping[str, float],
    num_examples: int,
    batch_size: int,
) -> dict[str, bool]:
    """Return what streams of one order say about the five questions.

    Args:
        streams: With different seeds, so that a short batch which is last by luck in one
            of them is not in all.
        measured: What `Measures.all` returns for one of them.
        num_examples: Examples in one epoch.
        batch_size: Examples in a full batch.
    """
    sizes = [np.array([len(batch) for batch in batches]) for batches in streams]
    ends = [np.cumsum(row)[row < batch_size] for row in sizes]
    num_passes = sizes[0].sum() // num_examples
    return {
        "epochs_complete": measured["coverage"] == 1,
        "epochs_blend": measured["blending"] > 0,
        "short_batch_each_pass": all(len(row) == num_passes for row in ends),
        "short_batch_at_end": not np.any(np.concatenate(ends) % num_examples),
        "company_drawn_anew": measured["company_kept"] < COMPANY_BY_CHANCE,
    }


def study_orders(
    run: Run,
    pipelines: Pipelines,
    predicted: Mapping[str, Mapping[str, bool]],
    measures: Measures,
    *,
    batch_size: int,
    num_epochs: int = 3,
) -> Metrics:
    """Return how far the predictions and the laws hold for the orders.

    Args:
        run: Gets the figure `orders`, and a table that sets each prediction beside what
            was measured.
        pipelines: Over the examples; the shuffle buffer has room for half of them.
        predicted: By order, such as "shuffle batch repeat", by question.
        measures: What measures the streams.
        batch_size: Should not divide the number of examples.
        num_epochs: Passes through the data, at least 2.

    Raises:
        UserError: If the sizes leave nothing to see.
    """
    num_examples = len(pipelines.labels)
    if num_examples < MIN_EXAMPLES or num_examples % batch_size == 0:
        raise UserError(
            f"needs at least {MIN_EXAMPLES} examples, and a last batch that is short: "
            f"batches of {batch_size} must not divide {num_examples} examples"
        )

    sizes = {
        "buffer_size": num_examples // 2,
        "batch_size": batch_size,
        "num_epochs": num_epochs,
    }

    def compute() -> dict[str, Any]:
        found = {}
        for order in run.progress([*predicted, *CACHED_ORDERS], "orders"):
            streams = [
                dataclasses.replace(pipelines, seed=run.seed + k).stream(order, **sizes)
                for k in range(NUM_STREAMS)
            ]
            values = measures.all(streams[0], num_examples)
            found[order] = {
                "measured": values,
                "answers": answers(streams, values, num_examples, batch_size),
            }
        return found

    found = run.once("orders", compute)
    run.text("orders", _order_table(predicted, found))
    run.figure("orders", small_streams(list(predicted)))
    return _order_metrics(predicted, found)


def _order_metrics(
    predicted: Mapping[str, Mapping[str, bool]], found: Mapping[str, Any]
) -> Metrics:
    right = [
        predicted[order][question] == answer
        for order in predicted
        for question, answer in found[order]["answers"].items()
    ]

    def over(first: str, second: str, measure: str) -> list[float]:
        return [
            found[order]["measured"][measure]
            for order in predicted
            if order.index(first) < order.index(second)
        ]

    kept = {order: entry["measured"]["company_kept"] for order, entry in found.items()}
    return {
        "predictions_right": float(np.mean(right)),
        "coverage_shuffle_before_repeat": min(over("shuffle", "repeat", "coverage")),
        "coverage_repeat_before_shuffle": max(over("repeat", "shuffle", "coverage")),
        "blending_shuffle_before_repeat": max(over("shuffle", "repeat", "blending")),
        "blending_repeat_before_shuffle": min(over("repeat", "shuffle", "blending")),
        "company_kept_shuffle_first": max(over("shuffle", "batch", "company_kept")),
        "company_kept_batch_first": min(
            kept[order] for order in kept if order.startswith("batch")
        ),
        "company_kept_cache_behind_shuffle": kept[CACHED_ORDERS[1]],
    }


def small_streams(orders: Sequence[str]) -> Figure:
    """Return the streams of 12 examples in batches of 5, three times, for each order."""
    few = Pipelines(np.zeros((12, 1, 1), np.uint8), np.zeros(12, np.int64), seed=1)
    streams = {
        order.replace(" ", " → "): few.stream(order, batch_size=5, num_epochs=3)
        for order in orders
    }
    return stream_figures.stream_panels(streams, 12)


def _order_table(
    predicted: Mapping[str, Mapping[str, bool]], found: Mapping[str, Any]
) -> str:
    questions = list(next(iter(predicted.values())))
    measures = list(next(iter(found.values()))["measured"])
    heads = ["order", *(name.replace("_", " ") for name in (*questions, *measures))]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for order, entry in found.items():
        cells = []
        for question in questions:
            answer = "yes" if entry["answers"][question] else "no"
            truth = entry["answers"][question]
            right = order not in predicted or predicted[order][question] == truth
            cells.append(answer if right else f"**{answer}**, not as predicted")
        cells += [f"{entry['measured'][name]:.2f}" for name in measures]
        lines.append("| " + " | ".join([order, *cells]) + " |")
    return "\n".join(lines)


def study_mixing(
    run: Run, pipelines: Pipelines, distance: Callable[[np.ndarray], float]
) -> Metrics:
    """Return how well the mixing of a buffer follows its laws.

    Args:
        run: Gets the figure `mixing`.
        pipelines: Over the examples.
        distance: The mean distance that an example moves in an order.
    """
    n = len(pipelines.labels)
    sizes = [*(10**power for power in range(9) if 10**power < n), n]

    def shuffled(size: int) -> np.ndarray:
        return np.concatenate(
            pipelines.stream("shuffle batch", buffer_size=size, batch_size=1_000)
        )

    def compute() -> dict[str, list[float]]:
        found: dict[str, list[float]] = {"distances": [], "earliest": []}
        for size in run.progress(sizes, "buffers"):
            order = shuffled(size)
            found["distances"].append(float(distance(order)))
            came_forward = int(np.max(order - np.arange(n)))
            found["earliest"].append(came_forward - (size - 1))
        return found

    found = run.once("mixing", compute)
    distances = dict(zip(sizes, found["distances"], strict=True))
    for size, moved in distances.items():
        run.scalars("mixing", {"mean_distance": moved}, step=size)
    large, middle = sizes[-2], sizes[-3]
    run.figure(
        "mixing", stream_figures.mixing_curves(distances, shuffled(large), large)
    )
    expected = 2 * middle * (1 - 1 / middle) ** middle
    return {
        "mixing_distance_over_theory": distances[middle] / expected,
        "mixing_distance_full_buffer": distances[n] / n,
        "places_beyond_the_bound": max(0.0, *found["earliest"]),
    }
