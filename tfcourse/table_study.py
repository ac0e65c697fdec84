"""The reports on a table: what is in it, and how classifiers do on it, fold by fold.

What measures comes from outside. Each function writes figures and tables into the run
and returns the metrics that it found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.stats

from tfcourse import table_figures
from tfcourse.data import Table, TableInfo
from tfcourse.runs import Run

Metrics = dict[str, float]

NUM_TENTHS = 10
NUM_BINS = 10
MIN_DISTINCT = 20  # A column with fewer values can't be cut into tenths.
# Short names of the models, for metrics.
MODELS = {
    "logistic regression": "logistic",
    "untuned MLPClassifier": "untuned",
    "MLPClassifier": "scikit",
    "Keras": "keras",
    "weighted": "weighted",
    "weights undone": "undone",
}
BAR = "logistic regression"


class Measures(NamedTuple):
    """Functions of targets and scores that the exercise writes."""

    roc_auc: Callable[[np.ndarray, np.ndarray], float]
    average_precision: Callable[[np.ndarray, np.ndarray], float]
    calibration_curve: Callable[..., tuple[np.ndarray, np.ndarray, np.ndarray]]


def explore(
    run: Run,
    table: Table,
    info: TableInfo,
    column_report: Callable[..., dict[str, dict[str, Any]]],
    share_by_group: Callable[..., dict[Any, tuple[int, float, float, float]]],
) -> Metrics:
    """Return what exploring found: missing cells, shares of positives.

    Args:
        run: Gets the figures `distributions`, `correlations`, `target_by_group` and the
            table of columns.
        table: The whole table.
        info: Its description.
        column_report: The exercise's.
        share_by_group: The exercise's.
    """
    report = column_report(table.columns)
    run.text("columns", _markdown(report))
    numbers = {
        name: values for name, values in table.columns.items() if values.dtype != object
    }
    far_out = {name: row["far_out"] for name, row in report.items()}
    run.figure(
        "distributions",
        table_figures.distributions(numbers, table.targets, far_out, info.class_names),
    )
    names = [*numbers, info.target]
    matrix = rank_correlations([*numbers.values(), table.targets])
    run.figure("correlations", table_figures.correlations(matrix, names))
    with_target = {
        name: abs(float(value))
        for name, value in zip(names[:-1], matrix[-1], strict=False)
        if report[name]["distinct"] >= MIN_DISTINCT
    }
    strongest = max(with_target, key=lambda name: with_target[name])
    tenths = share_by_group(cut(numbers[strongest]), table.targets)
    panels = {
        name: dict(
            sorted(
                share_by_group(values, table.targets).items(),
                key=lambda entry: entry[1][1],
            )
        )
        for name, values in table.columns.items()
        if values.dtype == object
    }
    panels[f"tenths of {strongest}"] = tenth_names(numbers[strongest], tenths)
    overall = float(np.mean(table.targets))
    run.figure("target_by_group", table_figures.shares(panels, overall))
    by_tenth = [share for _, share, _, _ in tenths.values()]
    return {
        "missing_cells": float(sum(row["missing"] for row in report.values())),
        "positive_share": overall,
        "positive_share_lowest_tenth": by_tenth[0],
        "positive_share_highest_tenth": by_tenth[-1],
    }


def rank_correlations(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Return Spearman's correlation of each pair of columns: float [columns, columns].

    Ranks, so that one far value does not decide.
    """
    ranks = np.stack([scipy.stats.rankdata(values) for values in columns])
    return np.asarray(np.corrcoef(ranks))


def cut(values: np.ndarray, num_parts: int = NUM_TENTHS) -> np.ndarray:
    """Return for each value the number of its part, int [n]; equal values stay together.

    >>> cut(np.array([5.0, 1.0, 1.0, 9.0]), 2)
    array([1, 0, 0, 1])
    """
    limits = np.quantile(values, np.arange(1, num_parts) / num_parts)
    return np.searchsorted(limits, values, side="left")


def tenth_names(
    values: np.ndarray, tenths: Mapping[Any, tuple[int, float, float, float]]
) -> dict[str, tuple[int, float, float, float]]:
    """Return the tenths under the ranges of their values."""
    parts = cut(values)
    named = {}
    for part, found in tenths.items():
        mine = values[parts == part]
        named[f"{mine.min():.4g} to {mine.max():.4g}"] = found
    return named


def compare(
    run: Run,
    targets: np.ndarray,
    results: Sequence[Mapping[str, Any]],
    measures: Measures,
) -> Metrics:
    """Return how the models compare over the folds.

    Args:
        run: Gets the figures `scores`, `calibration`, `thresholds` and a table.
        targets: int [n], 0 or 1.
        results: By fold, what `table_networks.one_fold` returns.
        measures: The exercise's.
    """
    aucs: dict[str, list[float]] = {name: [] for name in MODELS}
    precisions: dict[str, list[float]] = {name: [] for name in MODELS}
    for result in results:
        truth = targets[result["test"]]
        for name in MODELS:
            scores = np.asarray(result["scores"][name])
            aucs[name].append(measures.roc_auc(truth, scores))
            precisions[name].append(measures.average_precision(truth, scores))
    # Undoing weights keeps the order: its row would repeat the one above.
    shown = [name for name in MODELS if name != "weights undone"]
    run.figure(
        "scores",
        table_figures.scores(
            {name: aucs[name] for name in shown},
            {name: precisions[name] for name in shown},
        ),
    )
    metrics = _comparison(aucs, precisions)
    metrics |= _calibration(run, targets, results, measures)
    metrics |= _decisions(run, targets, results)
    for key in ("copied_difference", "reloaded_difference"):
        metrics[key] = max(result[key] for result in results)
    run.text("models", _model_table(aucs, precisions, metrics))
    return metrics


def _comparison(
    aucs: Mapping[str, Sequence[float]], precisions: Mapping[str, Sequence[float]]
) -> Metrics:
    metrics: Metrics = {}
    for name, short in MODELS.items():
        metrics[f"{short}_auc"] = float(np.mean(aucs[name]))
        metrics[f"{short}_average_precision"] = float(np.mean(precisions[name]))
    for short in ("scikit", "keras"):
        gain = metrics[f"{short}_auc"] - metrics["logistic_auc"]
        metrics[f"{short}_minus_logistic"] = gain
    variances = [np.var(aucs[name], ddof=1) for name in ("MLPClassifier", "Keras")]
    apart = abs(metrics["keras_auc"] - metrics["scikit_auc"])
    metrics["networks_apart"] = apart
    metrics["spread_over_folds"] = float(np.sqrt(np.mean(variances)))
    metrics["networks_apart_over_spread"] = apart / metrics["spread_over_folds"]
    return metrics


def pooled(
    targets: np.ndarray, results: Sequence[Mapping[str, Any]], model: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return targets and probabilities of all test rows of all folds, one after another."""
    rows = np.concatenate([result["test"] for result in results])
    scores = np.concatenate([result["scores"][model] for result in results])
    return targets[rows], scores


def _calibration(
    run: Run,
    targets: np.ndarray,
    results: Sequence[Mapping[str, Any]],
    measures: Measures,
) -> Metrics:
    curves, metrics = {}, {}
    for name, short in MODELS.items():
        truth, scores = pooled(targets, results, name)
        curve = measures.calibration_curve(truth, scores, NUM_BINS)
        metrics[f"{short}_calibration_error"] = calibration_error(*curve)
        if name in (BAR, "Keras", "weighted", "weights undone"):
            curves[name] = curve
    run.figure("calibration", table_figures.calibration(curves))
    return metrics


def calibration_error(
    predicted: np.ndarray, observed: np.ndarray, counts: np.ndarray
) -> float:
    """Return the mean distance of predicted and observed shares, weighted by rows."""
    distances = np.abs(np.asarray(predicted) - np.asarray(observed))
    return float(np.average(distances, weights=counts))


def _decisions(
    run: Run, targets: np.ndarray, results: Sequence[Mapping[str, Any]]
) -> Metrics:
    truth, scores = pooled(targets, results, "Keras")
    run.figure("thresholds", table_figures.thresholds(truth, scores))
    taken = scores >= 0.5
    riskiest = np.argsort(-scores, kind="stable")[: len(scores) // NUM_TENTHS]
    return {
        "majority_accuracy": float(max(np.mean(truth), 1 - np.mean(truth))),
        "keras_accuracy": float(np.mean(taken == truth)),
        "keras_positives_found": float(np.mean(taken[truth == 1])),
        "keras_positive_share_riskiest_tenth": float(np.mean(truth[riskiest])),
    }


def report_decay(
    run: Run,
    alphas: Sequence[float],
    results: Sequence[Mapping[str, Any]],
    histories: Mapping[str, Mapping[str, Sequence[float]]],
) -> None:
    """Write how the penalty was chosen: the figure `decay`, and trials for HParams.

    Args:
        run: Gets them.
        alphas: The penalties that were tried.
        results: By fold, what `table_networks.one_fold` returns.
        histories: By alpha, those of the Keras network in one fold.
    """
    sweeps = np.array([result["sweep"] for result in results])  # [folds, alphas, 2]
    run.figure(
        "decay",
        table_figures.decay(alphas, sweeps[..., 0], sweeps[..., 1], histories),
    )
    for fold, sweep in enumerate(sweeps):
        for alpha, (on_train, on_val) in zip(alphas, sweep, strict=True):
            values = {"train_auc": on_train, "val_auc": on_val}
            run.hparams(f"fold{fold}_alpha{alpha:g}", {"alpha": alpha}, values)


def _markdown(report: Mapping[str, Mapping[str, Any]]) -> str:
    keys = list(next(iter(report.values())))
    lines = ["| column | " + " | ".join(keys) + " |", "|---" * (len(keys) + 1) + "|"]
    for name, row in report.items():
        cells = [f"{row[key]:.3g}" if "share" in key else str(row[key]) for key in keys]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _model_table(
    aucs: Mapping[str, Sequence[float]],
    precisions: Mapping[str, Sequence[float]],
    metrics: Mapping[str, float],
) -> str:
    lines = [
        "| model | AUC | average precision | calibration error |",
        "|---|---|---|---|",
    ]
    for name, short in MODELS.items():
        cells = [
            f"{np.mean(values[name]):.4f} ± {np.std(values[name], ddof=1):.4f}"
            for values in (aucs, precisions)
        ]
        error = metrics[f"{short}_calibration_error"]
        lines.append(f"| {name} | {cells[0]} | {cells[1]} | {error:.4f} |")
    return "\n".join(lines)
