"""Beside the table of attacks: curves, targets, transfer, signs of masking."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfcourse import adversarial_figures as figures
from tfcourse.adversarial_networks import accuracy, first_kernel
from tfcourse.adversarial_study import ATTACKS, Study, on_arrays, surviving

History = Mapping[str, Sequence[float]]
DEFENDED = ("standard", "masked", "fgsm_trained", "robust")
CURVES = ("standard", "masked", "robust")
CURVES_L2 = ("standard", "robust")
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25)  # Radii of balls, as shares of epsilon;
SHARES_L2 = (0.0, 2.0, 4.0, 6.0, 9.0, 12.0)  # a Euclidean ball needs a larger one.
MODELS = ("standard", "other", "masked", "fgsm_trained", "robust")


def report(study: Study, histories: Mapping[str, History]) -> dict[str, float]:
    """Attack everything, draw the figures and return the metrics.

    Args:
        study: Networks, attacks and test images.
        histories: Of the trainings, by network.
    """
    run, settings = study.run, study.settings
    outcomes = study.evaluate(DEFENDED)
    metrics = _table(study, outcomes)
    metrics |= _signs(study, outcomes)
    metrics |= _targets(study)
    _curves(study)
    transfer = study.transfer(MODELS)
    run.figure(
        "transfer",
        figures.shares(
            transfer,
            MODELS,
            MODELS,
            title="Accuracy on examples made for another network, in percent",
            row_label="made for",
            column_label="classified by",
        ),
    )
    metrics["transfer_standard_to_other"] = transfer[0, 1]
    metrics["transfer_standard_to_masked"] = transfer[0, MODELS.index("masked")]
    survivors = {name: outcomes[name]["square"]["survivors"] for name in DEFENDED}
    run.figure("queries", figures.queries(survivors, len(study.labels)))
    kernels = {n: first_kernel(study.networks[n]) for n in ("standard", "robust")}
    run.figure("filters", figures.filters(kernels))
    trained = {"FGSM": histories["fgsm_trained"], "PGD": histories["robust"]}
    run.figure("training", figures.training(trained))
    _examples(study)
    metrics["test_images"] = len(study.labels)
    for name, history in histories.items():
        for unit in ("seconds", "processor_seconds"):
            metrics[f"{name}_train_{unit}"] = float(sum(history[unit]))
    print(
        f"training on PGD: {metrics['robust_train_seconds']:.0f} s, "
        f"{metrics['robust_train_processor_seconds']:.0f} processor seconds, "
        f"{settings.robust_epochs} epochs"
    )
    return metrics


def _table(study: Study, outcomes: Mapping[str, Any]) -> dict[str, float]:
    """Draw the accuracies of each network under each attack; return metrics."""
    columns = ("clean", *ATTACKS)
    rows = []
    metrics = {"norm_excess": -np.inf, "range_excess": 0.0}
    for name in DEFENDED:
        row = [float(np.mean(outcomes[name][attack]["right"])) for attack in columns]
        worst = surviving(outcomes[name])
        rows.append([*row, worst])
        keyed = dict(zip(columns, row, strict=True))
        metrics |= {f"{name}_{attack}_accuracy": v for attack, v in keyed.items()}
        metrics[f"{name}_accuracy"] = worst
        for attack in ATTACKS:
            for key in ("norm_excess", "range_excess"):
                metrics[key] = max(metrics[key], outcomes[name][attack][key])
    study.run.figure(
        "attacks",
        figures.shares(
            np.array(rows),
            DEFENDED,
            (*columns, "all attacks"),
            title=f"Accuracy in percent, changes up to {study.settings.epsilon:g}",
            row_label="network",
            column_label="attack",
            separate_last=True,
        ),
    )
    return metrics


def _signs(study: Study, outcomes: Mapping[str, Any]) -> dict[str, float]:
    """Print and return what tells a masked gradient from a robust network."""

    def zero_share(name: str) -> float:
        gradient = on_arrays(study.graphs[name], _gradient_of(study))
        made = gradient(study.images, study.labels, 0.0, 0)
        return float(np.mean(np.abs(made).max(axis=(1, 2)) == 0))

    def unbounded(name: str) -> float:
        make = study.attacks(name)["pgd_cross_entropy"]
        attacked = make(study.images, study.labels, 1.0, study.settings.seed)
        return accuracy(study.predictors[name], attacked, study.labels)

    def measure():
        return {name: [zero_share(name), unbounded(name)] for name in DEFENDED}

    measured = study.run.once("signs", measure)
    metrics = {}
    lines = [
        "| network | gradient is 0 | PGD | Square | PGD without a bound |",
        "|:--|--:|--:|--:|--:|",
    ]
    for name in DEFENDED:
        zero, free = measured[name]
        metrics[f"{name}_zero_gradient_share"] = zero
        metrics[f"{name}_unbounded_accuracy"] = free
        white = np.mean(outcomes[name]["pgd_cross_entropy"]["right"])
        black = np.mean(outcomes[name]["square"]["right"])
        cells = " | ".join(f"{100 * v:.1f}" for v in (zero, white, black, free))
        lines.append(f"| {figures.words(name)} | {cells} |")
    table = "\n".join(lines)
    study.run.text("signs_of_masking", table)
    print(f"\nSigns of masking, in percent:\n{table}\n")
    return metrics


def _gradient_of(study: Study):
    def gradient(model, images, labels, *, epsilon, seed):
        del epsilon, seed
        return study.tools.input_gradient(model, images, labels)

    return gradient


def _targets(study: Study) -> dict[str, float]:
    """Aim at every other class; draw the standard network's; return success rates."""
    epsilon, seed = study.settings.epsilon, study.settings.seed
    rng = np.random.default_rng(seed)
    labels = study.labels
    targets = (labels + rng.integers(1, 10, len(labels))) % 10

    def measure(name: str) -> float:
        make = study.attacks(name, targeted=True)["pgd_cross_entropy"]
        attacked = make(study.images, targets, epsilon, seed)
        return accuracy(study.predictors[name], attacked, targets)

    metrics = {}
    for name in ("standard", "robust"):
        reached = study.run.once(f"targets/{name}", functools.partial(measure, name))
        metrics[f"{name}_target_reached"] = reached
    clean = study.predictors["standard"](study.images).argmax(axis=-1)
    first = [int(np.argmax((labels == k) & (clean == k))) for k in range(10)]
    images = np.repeat(study.images[first], 10, axis=0)  # [100, height, width]
    aims = np.tile(np.arange(10), 10)
    make = study.attacks("standard", targeted=True)["pgd_cross_entropy"]
    attacked = make(images, aims, epsilon, seed)
    diagonal = aims == np.repeat(np.arange(10), 10)
    attacked[diagonal] = images[diagonal]
    predictions = study.predictors["standard"](attacked).argmax(axis=-1)
    square = attacked.reshape(10, 10, *images.shape[1:])
    study.run.figure("targeted", figures.targeted(square, predictions.reshape(10, 10)))
    return metrics


def _curves(study: Study) -> None:
    """Draw accuracy against the size of the ball, measured in three ways."""
    settings, run = study.settings, study.run
    chosen = slice(settings.num_curve_images)
    images, labels = study.images[chosen], study.labels[chosen]

    def made(name: str, attack: str, epsilon: float, **options: Any) -> np.ndarray:
        make = study.attacks(name, **options)[attack]
        return make(images, labels, epsilon, settings.seed)

    def right(name: str, attacked: np.ndarray) -> np.ndarray:
        return study.predictors[name](attacked).argmax(axis=-1) == labels

    def measure(epsilon: float) -> dict[str, list[float]]:
        transferred = made("standard", "pgd_margin", epsilon)
        found = {}
        for name in CURVES:
            naive = right(name, made(name, "pgd_cross_entropy", epsilon))
            worst = naive & right(name, transferred)
            if name != "standard":
                worst = worst & right(name, made(name, "pgd_margin", epsilon))
            found[name] = [float(np.mean(naive)), float(np.mean(worst))]
        return found

    def measure_l2(epsilon: float) -> dict[str, float]:
        attacked = {n: made(n, "pgd_margin", epsilon, norm="l2") for n in CURVES_L2}
        return {n: float(np.mean(right(n, x))) for n, x in attacked.items()}

    radii = [share * settings.epsilon for share in SHARES]
    radii_l2 = [share * settings.epsilon for share in SHARES_L2]
    linf = {
        epsilon: run.once(f"curve/{epsilon:g}", functools.partial(measure, epsilon))
        for epsilon in run.progress(radii, "curves")
    }
    l2 = {
        epsilon: run.once(f"l2/{epsilon:g}", functools.partial(measure_l2, epsilon))
        for epsilon in run.progress(radii_l2, "curves in L2")
    }
    naive, worst = (
        {name: {e: found[name][place] for e, found in linf.items()} for name in CURVES}
        for place in (0, 1)
    )
    panels = {
        "L∞: PGD, cross-entropy": naive,
        "L∞: the worst of three": worst,
        "L2: PGD, margin": {
            name: {e: found[name] for e, found in l2.items()} for name in CURVES_L2
        },
    }
    marked = dict.fromkeys(list(panels)[:2], settings.epsilon)
    run.figure("epsilon", figures.epsilon_curves(panels, marked=marked))


def _examples(study: Study) -> None:
    """Draw one digit of each class, attacked in two networks."""
    first = [int(np.argmax(study.labels == digit)) for digit in range(10)]
    images, labels = study.images[first], study.labels[first]
    rows = {}
    for name in ("standard", "robust"):
        attacked = study.examples(name)[first]
        rows[name] = (attacked, study.predictors[name](attacked).argmax(axis=-1))
        study.run.image(f"attacked_{name}", attacked)
    clean = study.predictors["standard"](images).argmax(axis=-1)
    study.run.figure("examples", figures.examples(images, labels, rows, clean))
