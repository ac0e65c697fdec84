"""Studies of hyperparameters: many short runs, recorded, grouped, reported.

What an exercise teaches about a study (which configurations to try, what an effect is)
stands in the exercise; here is the rest. A configuration is a dict with a level for each
factor; a trial is a configuration with its `design`, `seed`, `accuracy` and `seconds`.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from tfcourse import plots
from tfcourse.runs import Run

Configuration = dict[str, Any]
Accuracies = dict[str, dict[Any, list[float]]]

LEARNING_RATE = "learning_rate"  # The factor that a random search draws continuously.


def optimizer(name: str, learning_rate: float) -> keras.optimizers.Optimizer:
    """Return a fresh optimizer with Keras's defaults for everything but the rate.

    Args:
        name: sgd, momentum (SGD with momentum 0.9), rmsprop, adam or adamw.
        learning_rate: Constant rate.

    Raises:
        ValueError: If the name is not one of these.
    """
    builders: dict[str, Callable[..., keras.optimizers.Optimizer]] = {
        "sgd": keras.optimizers.SGD,
        "momentum": functools.partial(keras.optimizers.SGD, momentum=0.9),
        "rmsprop": keras.optimizers.RMSprop,
        "adam": keras.optimizers.Adam,
        "adamw": keras.optimizers.AdamW,
    }
    if name not in builders:
        raise ValueError(
            f"an optimizer's name is one of {', '.join(builders)}; got {name!r}"
        )
    return builders[name](learning_rate)


def compare(
    run: Run,
    accuracy: Callable[..., float],
    factors: Mapping[str, Sequence[Any]],
    effect_table: Callable[[Accuracies], list[dict[str, Any]]],
    design: str,
    configurations: Sequence[Configuration],
    *,
    base: Configuration | None = None,
) -> dict[str, float]:
    """Try all configurations, report what mattered, and return the design's metrics.

    Args:
        run: Where trials, figure and table go.
        accuracy: Called as `accuracy(**configuration, seed=seed)`.
        factors: Levels by factor.
        effect_table: From accuracies by factor and level to the rows of `report`.
        design: Name of the design, such as `random_search`.
        configurations: What to try.
        base: As for `accuracies_by_level`.

    Returns:
        `<design>_runs`, `<design>_seconds`, and `<design>_effect_<factor>`.
    """
    trials = run_trials(run, design, configurations, accuracy, seed=run.seed)
    seconds = sum(trial["seconds"] for trial in trials)
    metrics = {f"{design}_runs": len(trials), f"{design}_seconds": seconds}
    accuracies = accuracies_by_level(trials, factors, base)
    if not accuracies:
        print(f"{design}: {len(trials)} runs are too few, no level has two of them")
        return metrics
    effects = report(run, design, accuracies, effect_table(accuracies))
    best = max(trials, key=lambda trial: trial["accuracy"])
    found = ", ".join(f"{name} {plain_level(best[name])}" for name in factors)
    print(f"best of {len(trials)}: {best['accuracy']:.4f} with {found}")
    return metrics | effects


def run_trials(
    run: Run,
    design: str,
    configurations: Sequence[Configuration],
    accuracy: Callable[..., float],
    *,
    seed: int = 0,
) -> list[Configuration]:
    """Return the trials: each configuration trained once, recorded for HParams.

    A resumed run trains only what is missing.

    Args:
        run: Where they are recorded.
        design: Name of the design, such as `random`; part of the trials' names.
        configurations: What to try. Equal ones get different seeds.
        accuracy: Called as `accuracy(**configuration, seed=seed)`.
        seed: First of the seeds.
    """

    def attempt(name: str, configuration: Configuration, seed: int) -> Configuration:
        # Dozens of small models: without this Keras keeps the graphs of all of them.
        keras.backend.clear_session(free_memory=False)
        keras.utils.set_random_seed(seed)
        started = time.perf_counter()
        reached = accuracy(**configuration, seed=seed)
        seconds = time.perf_counter() - started
        metrics = {"val_accuracy": reached, "seconds": seconds}
        run.hparams(name, {"design": design, **configuration, "seed": seed}, metrics)
        outcome = {"design": design, "seed": seed}
        return {**configuration, **outcome, "accuracy": reached, "seconds": seconds}

    trials: list[Configuration] = []
    times_seen: dict[tuple[tuple[str, str], ...], int] = {}
    plan = list(enumerate(configurations))
    for index, configuration in run.progress(plan, f"study {design}"):
        key = tuple(sorted((k, str(v)) for k, v in configuration.items()))
        times_seen[key] = times_seen.get(key, -1) + 1
        name = f"{design}{index:04d}"
        work = functools.partial(attempt, name, configuration, seed + times_seen[key])
        trials.append(run.once(f"study/{name}", work))
    return trials


def accuracies_by_level(
    trials: Sequence[Configuration],
    factors: Mapping[str, Sequence[Any]],
    base: Configuration | None = None,
) -> Accuracies:
    """Return, by factor and level, the accuracies of the trials with this level.

    Args:
        trials: As `run_trials` returns them.
        factors: Levels by factor. A learning rate between two levels counts for the
            nearest in its logarithm.
        base: If given, a factor's trials are those that agree with `base` in all other
            factors: one factor at a time. Otherwise they are all trials, and the other
            factors' influence is a part of the spread.

    Returns:
        Levels with fewer than two trials are left out: they say nothing about spread.
    """
    table: Accuracies = {}
    for factor, levels in factors.items():
        found: dict[Any, list[float]] = {level: [] for level in levels}
        for trial in trials:
            others = [name for name in factors if name != factor]
            if base is None or all(trial[name] == base[name] for name in others):
                level = trial[factor]
                if factor == LEARNING_RATE:
                    level = nearest_rate(level, levels)
                if level in found:
                    found[level].append(trial["accuracy"])
        table[factor] = {k: values for k, values in found.items() if len(values) > 1}
    return {factor: levels for factor, levels in table.items() if levels}


def plain_level(level: Any) -> str:
    """Return a level as text, a continuous rate with three digits.

    >>> plain_level(0.00123456), plain_level("adam"), plain_level(64)
    ('0.00123', 'adam', '64')
    """
    return f"{level:.3g}" if isinstance(level, float) else str(level)


def nearest_rate(rate: float, levels: Sequence[float]) -> float:
    """Return the level nearest to the rate in the logarithm.

    >>> nearest_rate(0.002, [1e-4, 1e-3, 1e-2])
    0.001
    """
    return min(levels, key=lambda level: abs(math.log(level / rate)))


def report(
    run: Run, design: str, accuracies: Accuracies, rows: Sequence[Mapping[str, Any]]
) -> dict[str, float]:
    """Draw the figure, write and print the table; return the effects as metrics.

    Args:
        run: Where figure and table go.
        design: Name of the design.
        accuracies: By factor, by level, one accuracy per trial.
        rows: `factor`, `best`, `worst`, `effect` and `spread`, the largest effect first.
    """
    errors = {
        factor: {level: [1 - value for value in v] for level, v in levels.items()}
        for factor, levels in accuracies.items()
    }
    figure = plots.factor_effects(errors, metric="validation error", log_y=True)
    run.figure(f"study_{design}", figure)
    table = markdown_table(rows)
    run.text(f"study_{design}", table)
    print(
        f"\nWhat mattered, {design.replace('_', ' ')}, in points of accuracy:\n{table}"
    )
    return {f"{design}_effect_{row['factor']}": row["effect"] for row in rows}


def markdown_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the effects as a table in Markdown, in points (hundredths).

    >>> row = {"factor": "width", "best": 64, "worst": 16, "effect": 0.021, "spread": 0.002}
    >>> print(markdown_table([row]))
    | factor | best | worst | effect | spread |
    |:-------|-----:|------:|-------:|-------:|
    | width  |   64 |    16 |   2.10 |   0.20 |
    """
    heads = ["factor", "best", "worst", "effect", "spread"]
    table = [heads]
    for row in rows:
        points = [f"{100 * row[key]:.2f}" for key in ("effect", "spread")]
        table.append([plain_level(row[key]) for key in heads[:3]] + points)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = []
    for first, *others in table:
        cells = [first.ljust(widths[0])]
        cells += [c.rjust(w) for c, w in zip(others, widths[1:], strict=True)]
        lines.append("| " + " | ".join(cells) + " |")
    rule = [":" + "-" * (widths[0] + 1), *("-" * (w + 1) + ":" for w in widths[1:])]
    lines.insert(1, "|" + "|".join(rule) + "|")
    return "\n".join(lines)
