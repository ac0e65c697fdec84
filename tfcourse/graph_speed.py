"""The experiments on the speed of graphs: over sizes of models, whole epochs, profiles.

Each stage is stored in the run, so that a resumed run does not repeat it.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from tfcourse import graph_figures
from tfcourse.profiles import Profile, read_profile, write_graph, write_profile
from tfcourse.runs import Run
from tfcourse.throughput import median_ratio
from tfcourse.training_variants import Variants, time_in_turns

Metrics = dict[str, float]
Make = Callable[[], Variants]

BASELINE = "eager"
NUM_CURVE_POINTS = 100  # Of a loss curve in TensorBoard.
PROFILED_STEPS = 5


def study_sizes(
    run: Run,
    models: Mapping[str, Make],
    images: Any,
    labels: Any,
    *,
    count_operations: Callable[[Variants], int],
    window_seconds: float,
    num_rounds: int,
) -> dict[str, dict[str, float]]:
    """Return for each model how many times as fast as eagerly each variant runs.

    Args:
        run: Gets the figures `speed_by_size` and `gains`, a table, and HParams.
        models: By name, what makes the variants; those whose names begin with "MLP" are
            drawn over their size, the others apart.
        images: A tensor, float32 [n, ...].
        labels: A tensor, int64 [n].
        count_operations: Returns how many operations the graph of a step has.
        window_seconds: See `time_in_turns`.
        num_rounds: See `time_in_turns`.
    """

    def compute(make: Make) -> dict[str, Any]:
        variants = seeded(run, make)
        timings = time_in_turns(
            variants,
            images,
            labels,
            window_seconds=window_seconds,
            num_rounds=num_rounds,
            max_steps=len(labels) // variants.batch_size,
        )
        return {
            "first_seconds": timings.first_seconds,
            "rates": timings.rates,
            "operations": count_operations(variants),
            "parameters": variants.model.count_params(),
            "batch_size": variants.batch_size,
        }

    found = {}
    for name, make in run.progress(list(models.items()), "models"):
        stage = f"sizes/{as_name(name)}"
        found[name] = run.once(stage, functools.partial(compute, make))
        keras.backend.clear_session()
    faster = {name: _gains(entry) for name, entry in found.items()}
    _log_sizes(run, found, faster)
    return faster


def speedups(gains: Mapping[str, Mapping[str, float]], *, small: str) -> Metrics:
    """Return what exercise.toml promises of the gains that `study_sizes` returns.

    Args:
        gains: By model, by variant; the MLPs from small to large.
        small: The model of few and small operations.
    """
    largest = [values for name, values in gains.items() if name.startswith("MLP")][-1]
    convolutions = gains["convolutions"]
    return {
        "graph_speedup": gains[small]["graph"],
        "xla_speedup": gains[small]["XLA"],
        "epoch_speedup": gains[small]["epoch"],
        "compiled_epoch_speedup": gains[small]["epoch, XLA"],
        "largest_model_graph_speedup": largest["graph"],
        "largest_model_best_speedup": max(largest.values()),
        "convolutions_xla_over_graph": convolutions["XLA"] / convolutions["graph"],
    }


def _gains(entry: Mapping[str, Any]) -> dict[str, float]:
    baseline = entry["rates"][BASELINE]
    return {
        name: median_ratio(rates, baseline) for name, rates in entry["rates"].items()
    }


def _log_sizes(
    run: Run, found: Mapping[str, Any], faster: Mapping[str, Mapping[str, float]]
) -> None:
    for name, entry in found.items():
        for variant, rates in entry["rates"].items():
            run.hparams(
                f"{as_name(name)}-{as_name(variant)}",
                {"model": name, "variant": variant},
                {
                    "images_per_second": np.median(rates) * entry["batch_size"],
                    "times_eager": faster[name][variant],
                },
            )
    mlps = [entry for name, entry in found.items() if name.startswith("MLP")]
    milliseconds = {
        variant: [1e3 / np.median(entry["rates"][variant]) for entry in mlps]
        for variant in mlps[0]["rates"]
    }
    parameters = [entry["parameters"] for entry in mlps]
    run.figure("speed_by_size", graph_figures.speed_by_size(parameters, milliseconds))
    others = {k: v for k, v in faster.items() if not k.startswith("MLP")}
    run.figure("gains", graph_figures.gain_bars(others))
    run.text("sizes", size_table(found, faster))


def size_table(
    found: Mapping[str, Mapping[str, Any]], faster: Mapping[str, Mapping[str, float]]
) -> str:
    """Return a table in Markdown: the speed of each variant of each model."""
    variants = list(next(iter(faster.values())))
    heads = ["model", "parameters", "operations", f"{BASELINE}, images/s"]
    heads += [f"{name}, times {BASELINE}" for name in variants[1:]]
    heads += [f"{name}, first call, s" for name in variants[1:]]
    rows = []
    for name, entry in found.items():
        rate = np.median(entry["rates"][BASELINE]) * entry["batch_size"]
        cells = [name, f"{entry['parameters']:,}", f"{entry['operations']:,}"]
        cells += [f"{rate:,.0f}", *(f"{faster[name][v]:.2f}" for v in variants[1:])]
        cells += [f"{entry['first_seconds'][v]:.2f}" for v in variants[1:]]
        rows.append(cells)
    return table(heads, rows)


def study_epochs(
    run: Run, make: Make, images: Any, labels: Any, test: tuple[Any, Any]
) -> Metrics:
    """Return the seconds of one whole epoch in each variant, and the test accuracy.

    Each starts from the same weights and takes the same batches. What happens once
    (tracing, compiling) is done before and not counted.

    Args:
        run: Gets the loss curve of each variant.
        make: Returns the variants of a new model.
        images: A tensor, float32 [n, ...].
        labels: A tensor, int64 [n].
        test: Images, float32, and labels that the accuracy is measured on.
    """
    order = shuffled(run.seed, len(labels))

    def compute(name: str) -> dict[str, Any]:
        variants = seeded(run, make)
        before = variants.snapshot()
        # A loop is traced for the length of its order, a step for its batch.
        rehearsal = order if name in variants.epochs else order[: variants.batch_size]
        variants.train(name, images, labels, rehearsal)
        before.restore()
        started = time.perf_counter()
        losses = variants.train(name, images, labels, order)
        seconds = time.perf_counter() - started
        logits = variants.model(test[0], training=False)  # [n, classes]
        accuracy = np.mean(np.argmax(logits, axis=-1) == test[1])
        return {"seconds": seconds, "accuracy": accuracy, "losses": losses}

    metrics: Metrics = {}
    accuracies = []
    for name in run.progress(seeded(run, make).names, "epochs"):
        key = as_name(name)
        found = run.once(f"epochs/{key}", functools.partial(compute, name))
        _log_curve(run, f"epochs/{key}", found["losses"])
        metrics[f"epoch_seconds_{key}"] = found["seconds"]
        accuracies.append(found["accuracy"])
    metrics["epoch_accuracy"] = float(np.mean(accuracies))
    metrics["epoch_accuracies_apart"] = max(accuracies) - min(accuracies)
    return metrics


def _log_curve(run: Run, name: str, losses: list[float]) -> None:
    num_points = min(NUM_CURVE_POINTS, len(losses))
    for part in np.array_split(np.arange(len(losses)), num_points):
        mean = float(np.mean(np.take(losses, part)))
        run.scalars(name, {"loss": mean}, step=int(part[-1]) + 1)


def study_profile(run: Run, make: Make, images: Any, labels: Any) -> Metrics:
    """Return how often Python hands something over in one step, and what runs.

    Args:
        run: Gets a profile of each variant that is called for each step, below
            `profile/<variant>`, the op graph below `graph/step`, the figure `step` and a
            table of operations.
        make: Returns the variants of a new model.
        images: A batch, float32.
        labels: Its labels, int64.
    """
    found: dict[str, Profile] = {}
    variants = seeded(run, make)
    for name, step in variants.steps.items():
        folder = run.directory / "profile" / as_name(name)
        call = functools.partial(step, images, labels)
        call()
        write_profile(folder, call, PROFILED_STEPS)
        found[name] = read_profile(folder)
    write_graph(run.directory / "graph/step", variants.steps["graph"], images, labels)
    run.figure(
        "step",
        graph_figures.step_anatomy(
            {name: profile.num_dispatches for name, profile in found.items()},
            {name: profile.num_operations for name, profile in found.items()},
            {
                name: (p.microseconds / 1e3, p.operation_microseconds / 1e3)
                for name, p in found.items()
            },
        ),
    )
    for name, profile in found.items():
        run.text(f"profile_{as_name(name)}", operation_table(profile))
    return {
        f"dispatches_{as_name(name)}": profile.num_dispatches
        for name, profile in found.items()
    } | {
        f"operations_run_{as_name(name)}": profile.num_operations
        for name, profile in found.items()
    }


def operation_table(profile: Profile, num_rows: int = 20) -> str:
    """Return the operations that took longest, as a table in Markdown."""
    longest = sorted(profile.operations.items(), key=lambda entry: -entry[1][1])
    rows = [
        [name, f"{count:.1f}", f"{microseconds:,.1f}"]
        for name, (count, microseconds) in longest[:num_rows]
    ]
    return table(["operation", "times per step", "µs per step"], rows)


def seeded(run: Run, make: Make) -> Variants:
    """Return the variants of a new model, which starts from the run's seed."""
    keras.utils.set_random_seed(run.seed)
    return make()


def shuffled(seed: int, num_examples: int) -> np.ndarray:
    """Return int64 [num_examples], a permutation."""
    return np.random.default_rng(seed).permutation(num_examples)


def as_name(text: str) -> str:
    """Return a text as a part of a path or the name of a metric.

    >>> as_name("epoch, XLA")
    'epoch_xla'
    """
    return text.lower().replace(",", "").replace(" ", "_").replace("×", "x")


def table(heads: Any, rows: Any) -> str:
    """Return a table in Markdown.

    >>> print(table(["a", "b"], [["1", "2"]]))
    | a | b |
    |---|---|
    | 1 | 2 |
    """
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])
