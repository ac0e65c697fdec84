"""Is the loss a mean over examples? Do training and inference agree?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from tfcourse.doctor.findings import Finding, Severity
from tfcourse.doctor.rules.making import make, severity_of
from tfcourse.doctor.rules.outputs import near
from tfcourse.doctor.view import View, as_dict, late, number

RANDOM = (
    *("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"),
    *("AlphaDropout", "GaussianDropout", "GaussianNoise"),
)


def find(view: View) -> Iterator[Finding]:
    """Yield faults of the loss's reduction and of the modes."""
    yield from _reduction(view)
    yield from _modes(view)


def _reduction(view: View) -> Iterator[Finding]:
    sizes = as_dict(view.start.get("loss_by_size"))
    whole = number(sizes, "whole")
    halves = [number(sizes, f"{which}_half") for which in ("first", "second")]
    mean, total = sum(halves) / 2, sum(halves)
    declared = any(loss.get("reduction") == "sum" for loss in view.losses)
    penalties = view.values("step/regularisation")
    penalty = float(penalties[0]) if len(penalties) else 0.0
    data, data_mean = whole - penalty, mean - penalty
    summed = abs(data) > 1e-6 and abs(data / (2 * data_mean) - 1) < 0.02
    if declared or (summed and not near(data, data_mean)):
        severity = severity_of(view)
        if severity == "note" and not _is_mean(view, whole):
            severity = "warning"
        yield _reduced(
            view,
            severity,
            0.97,
            "The loss is summed over the batch, not averaged: the gradient grows with "
            "the batch size, as if the learning rate were that many times larger.",
            'keras.losses.MeanSquaredError(reduction="sum_over_batch_size")',
            "a batch's loss is the sum of its halves' losses",
            {"whole": whole, "sum of halves": total, "mean of halves": mean},
        )
        return
    yield from _all_pairs(view)
    if abs(data - data_mean) > 0.1 * abs(data_mean) + 1e-3 and not view.learns_well:
        yield _reduced(
            view,
            severity_of(view),
            0.6,
            "The loss of a batch is neither the mean nor the sum of its parts' losses: "
            "it mixes examples, as a mean or a softmax over the batch axis does.",
            "tf.reduce_mean(loss_per_example)  # softmax and sums over axis=-1",
            "a batch's loss differs from the mean of its halves' losses by over 10 %",
            {"whole": whole, "mean of halves": mean},
        )


def _is_mean(view: View, loss: float) -> bool:
    """Return whether a loss is the mean of one of the usual ones: divided by hand."""
    return any(
        near(loss, value)
        for _, candidates in view.losses_and_candidates()[:1]
        for value in candidates.values()
        if isinstance(value, int | float)
    )


def _all_pairs(view: View) -> Iterator[Finding]:
    """Targets [batch] against outputs [batch, 1] are broadcast to [batch, batch]."""
    for value, candidates in view.losses_and_candidates():
        pairs, own = number(candidates, "mse_of_pairs"), number(candidates, "mse")
        if math.isnan(pairs):
            continue
        same = abs(value - pairs) < 1e-3 * abs(pairs)
        if same and abs(value - own) > 5e-3 * abs(own):
            yield _reduced(
                view,
                "warning" if view.learns_well else severity_of(view),
                0.95,
                "The loss compares every target with every prediction of the batch: "
                "shapes [batch] and [batch, 1] were broadcast to [batch, batch], and "
                "the best answer is the mean.",
                "y_true = tf.reshape(y_true, tf.shape(y_pred))",
                "the loss equals the mean over all pairs, not over the examples",
                {"loss": value, "over pairs": pairs, "over examples": own},
            )
            return


def _reduced(
    view: View,
    severity: Any,
    confidence: float,
    message: str,
    remedy: str,
    rule: str,
    numbers: dict[str, float],
) -> Finding:
    return make(
        "loss-reduction",
        severity,
        confidence,
        message,
        remedy,
        rule=rule,
        numbers=numbers,
        series=("step/loss",),
        see=(("text", "cards/loss"), ("scalars", "step/loss")),
    )


def _modes(view: View) -> Iterator[Finding]:
    modes = as_dict(view.end.get("train_modes"))
    sizes = as_dict(view.start.get("loss_by_size"))
    training, inference = number(modes, "training"), number(modes, "inference")
    once, again = number(modes, "once"), number(modes, "again")
    scale = max(abs(once), 1e-9)
    dropouts = [
        layer
        for layer in view.layers
        if "Dropout" in layer["class"] and number(layer, "rate") > 0.05
    ]
    # The state of a recurrent layer may go on from batch to batch, as it should.
    goes_on = any(layer.get("stateful") for layer in view.layers)
    if abs(again - once) > 1e-4 * scale and not goes_on:
        yield _gap(
            view,
            _severity_of_chance(view, abs(again - once) / scale),
            0.93,
            "In inference mode the same batch gives another loss each time: something "
            "random stays switched on.",
            "x = layers.Dropout(0.5)(x, training=training)  # not training=True",
            "two inference runs on one batch differ",
            {"one": once, "the other": again},
        )
    elif has_averages(view) and number(sizes, "company") > 1e-2:
        yield _gap(
            view,
            severity_of(view) if view.fails else "warning",
            0.85,
            "In inference mode a prediction depends on the other examples of its batch: "
            "batch normalisation still uses the batch's own mean and variance.",
            "x = layers.BatchNormalization()(x)  # without training=True",
            "predictions of half a batch alone differ from those within the batch",
            {"difference in spreads": number(sizes, "company")},
        )
    elif dropouts and is_inactive(view, dropouts):
        yield _gap(
            view,
            "warning",
            0.85,
            "Dropout does nothing in training: the step calls the model in inference "
            "mode.",
            "y_pred = self(x, training=True)  # in train_step",
            "a dropout layer whose output has no more zeros than its input",
            {"rate": number(dropouts[0], "rate")},
        )
    elif untouched_averages(view):
        yield _gap(
            view,
            "error" if view.fails else "warning",
            0.9,
            "The moving averages of batch normalisation are still 0 and 1, as they "
            "began: the step calls the model in inference mode.",
            "y_pred = self(x, training=True)  # in train_step",
            "moving mean all 0 and moving variance all 1 after training",
            {},
        )
    else:
        yield from _averages(view, training, inference)


def _severity_of_chance(view: View, difference: float) -> Severity:
    """Return how bad it is that inference is random, by the loss's relative change."""
    is_meant = not any(layer["class"] in RANDOM for layer in view.layers)
    if difference < 0.02 and is_meant and not view.fails:
        return "note"  # A variational autoencoder samples its code.
    return "warning" if difference < 0.2 else "error"


def _averages(view: View, training: float, inference: float) -> Iterator[Finding]:
    """Moving averages far from what the batches have, or a layer of one's own."""
    # A gap that is small beside what the loss was costs nothing.
    first = view.data_loss[np.isfinite(view.data_loss)][:1]
    scale = float(abs(first[0])) if len(first) else 0.0
    if inference > 1.3 * training + 0.02 * max(abs(training), scale):
        drop = inference / max(training, 1e-9)
        averages = has_averages(view)
        if drop > 1.5 or view.fails:
            yield _gap(
                view,
                "error" if drop > 2 or view.fails else "warning",
                0.92 if drop > 2 else 0.75,
                f"The same batches have a loss of {training:.3g} in training mode and "
                f"{inference:.3g} in inference mode: "
                + (
                    "batch normalisation's moving averages are far from the batches' own."
                    if averages
                    else "a layer does another thing in inference than it was trained for."
                ),
                "layers.BatchNormalization(momentum=0.9)  # larger batches, more steps"
                if averages
                else "x = x * kept / (1 - rate)  # scale up in training, once",
                "loss in inference mode over 1.5 times that in training mode",
                {"training": training, "inference": inference},
            )


def is_inactive(view: View, dropouts: list[dict[str, Any]]) -> bool:
    """Return whether dropout layers let everything through in the training step."""
    rates = view.named("zero_share")
    names = list(rates)
    for layer in dropouts:
        values = rates.get(layer["name"])
        if values is None or not len(values):
            continue
        place = names.index(layer["name"])
        before = late(rates[names[place - 1]]) if place else 0.0
        expected = before + (1 - before) * number(layer, "rate")
        if late(values) > before + 0.5 * (expected - before):
            return False
    return any(layer["name"] in rates for layer in dropouts)


def has_averages(view: View) -> bool:
    """Return whether the model has batch normalisation."""
    return any(layer["class"] == "BatchNormalization" for layer in view.layers)


def untouched_averages(view: View) -> bool:
    """Return whether trainable batch normalisation kept its first averages."""
    weights = as_dict(view.end.get("weights"))
    trainable = {
        v["path"]
        for layer in view.layers
        if layer["trainable"]
        for v in layer["variables"]
    }
    found = False
    for path, variable in weights.items():
        if path not in trainable:
            continue
        name = str(as_dict(variable).get("name"))
        if name == "moving_mean":
            found = True
            if number(variable, "max_abs") != 0:
                return False
        if name == "moving_variance" and number(variable, "std") != 0:
            return False
    return found


def _gap(
    view: View,
    severity: Any,
    confidence: float,
    message: str,
    remedy: str,
    rule: str,
    numbers: dict[str, float],
) -> Finding:
    return make(
        "train-inference-gap",
        severity,
        confidence,
        message,
        remedy,
        rule=rule,
        numbers=numbers,
        series=("epoch_loss",),
        see=(("scalars", "epoch_loss"), ("text", "cards/model")),
    )
