"""What is learned, how it carries over, and whether training and inference agree."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from tfcourse.doctor.findings import Finding
from tfcourse.doctor.rules.heads import near
from tfcourse.doctor.rules.making import make, severity_of
from tfcourse.doctor.view import View, as_dict, late, number

PENALTY_RATIO = 2.0
HIGH_DROPOUT = 0.75


def find(view: View) -> Iterator[Finding]:
    """Yield faults of the loss's reduction, the modes and the fit."""
    yield from _reduction(view)
    yield from _modes(view)
    yield from _regularised(view)
    yield from _overfitting(view)
    yield from _underfitting(view)


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
        yield _reduced(
            view,
            "warning" if severity == "note" else severity,
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


def _all_pairs(view: View) -> Iterator[Finding]:
    """Targets [batch] against outputs [batch, 1] are broadcast to [batch, batch]."""
    for when, record in (("train", view.end), ("validation", view.end)):
        candidates = as_dict(view.output_fit(when).get("losses"))
        pairs, own = number(candidates, "mse_of_pairs"), number(candidates, "mse")
        value = number(as_dict(record.get(f"{when}_modes")), "inference")
        built_in = any(loss.get("built_in") for loss in view.losses)
        if built_in or math.isnan(pairs) or near(pairs, own):
            continue
        # Within a batch the pairs vary a little from those over all kept examples.
        if abs(value - pairs) < 0.15 * pairs and abs(value - own) > 0.3 * own:
            yield _reduced(
                view,
                severity_of(view) if not view.learns_well else "warning",
                0.9,
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
    training, inference = number(modes, "training"), number(modes, "inference")
    again = number(modes, "again")
    scale = max(abs(inference), 1e-9)
    dropouts = [
        layer
        for layer in view.layers
        if "Dropout" in layer["class"] and number(layer, "rate") > 0.05
    ]
    if abs(again - inference) > 1e-4 * scale:
        yield _gap(
            view,
            "warning" if abs(again - inference) < 0.2 * scale else "error",
            0.93,
            "In inference mode the same batch gives another loss each time: something "
            "random stays switched on.",
            "x = layers.Dropout(0.5)(x, training=training)  # not training=True",
            "two inference runs on one batch differ",
            {"one": inference, "the other": again},
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
    elif inference > 1.3 * training + 0.02 * abs(training) and has_averages(view):
        drop = inference / max(training, 1e-9)
        if drop > 1.5 or view.fails:
            yield _gap(
                view,
                "error" if drop > 2 or view.fails else "warning",
                0.92 if drop > 2 else 0.75,
                f"The same batches have a loss of {training:.3g} in training mode and "
                f"{inference:.3g} in inference mode: batch normalisation's moving "
                "averages are far from the batches' own.",
                "layers.BatchNormalization(momentum=0.9)  # larger batches, more steps",
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


def _regularised(view: View) -> Iterator[Finding]:
    if view.learns_well:
        return
    penalty, data = view.values("step/regularisation"), view.data_loss
    finite = [v[np.isfinite(v)] for v in (penalty, data)]
    if all(len(v) for v in finite):
        # At the end the penalty may be small because it has won.
        ratio = float(np.max(finite[0]) / max(abs(float(np.median(finite[1]))), 1e-9))
        shrunk = _shrunk(view)
        if ratio > PENALTY_RATIO and (shrunk < 0.3 or ratio > 5):
            yield _strong(
                view,
                0.9,
                f"The penalty on the weights is up to {ratio:.2g} times as large as the "
                "loss of the data: it is what is minimised.",
                "kernel_regularizer=keras.regularizers.L2(1e-4)",
                f"penalty over data loss beyond {PENALTY_RATIO:g}",
                {"ratio": ratio, "weights, end over start": shrunk},
                "step/regularisation",
            )
            return
    rates = [(number(layer, "rate"), layer["name"]) for layer in view.layers]
    rates = [(r, name) for r, name in rates if r >= HIGH_DROPOUT and r < 1]
    named = {layer["name"]: layer["class"] for layer in view.layers}
    rates = [(r, name) for r, name in rates if "Dropout" in named[name]]
    if rates:
        rate, name = max(rates)
        yield _strong(
            view,
            0.85,
            f"{name} drops {rate:.0%} of its inputs: too little is left to learn from.",
            f"layers.Dropout({0.3})  # the rate is what is dropped, not what is kept",
            f"a dropout rate of at least {HIGH_DROPOUT:g} in a run that learns badly",
            {"rate": rate},
            "epoch_loss",
            name,
        )


def _shrunk(view: View) -> float:
    """Return the weights' size at the end over that at the start: the least kernel."""
    after = as_dict(view.end.get("weights"))
    ratios = []
    for path in view.kernels:
        start = number(view.variables[path], "std")
        if start > 0:
            ratios.append(number(as_dict(after.get(path)), "std") / start)
    return min(ratios) if ratios else math.nan


def _strong(
    view: View,
    confidence: float,
    message: str,
    remedy: str,
    rule: str,
    numbers: dict[str, float],
    tag: str,
    layer: str = "",
) -> Finding:
    return make(
        "over-regularised",
        severity_of(view),
        confidence,
        message,
        remedy,
        rule=rule,
        numbers=numbers,
        layer=layer,
        series=(tag, "step/data_loss"),
    )


def _overfitting(view: View) -> Iterator[Finding]:
    losses = view.values("epoch_loss")
    validation = view.values("epoch_loss", "validation")
    gap = view.outcome.train - view.outcome.validation
    rises = 0.0
    if len(validation) >= 4 and np.isfinite(validation).all() and len(losses):
        best = int(np.argmin(validation))
        after = validation[best:]
        lowest = float(validation[best])
        last = float(np.median(after[-3:])) if len(after) >= 3 else lowest
        rises = (last - lowest) / max(abs(lowest), 1e-9)
        if rises > 0.2 and losses[-1] < 0.6 * last and losses[-1] < losses[best] + 1e-9:
            yield make(
                "overfitting",
                "warning",
                min(0.9, 0.6 + 0.2 * rises),
                f"From epoch {best} on the validation loss rises ({lowest:.3g} to "
                f"{last:.3g}) while the training loss goes on falling.",
                "keras.callbacks.EarlyStopping(patience=3, restore_best_weights=True)",
                rule="validation loss 20 % above its least while the training loss is "
                "below 60 % of it",
                numbers={"least": lowest, "last": last, "training": float(losses[-1])},
                series=("epoch_loss",),
            )
            return
    if gap > 0.3 and view.outcome.train > 0.85:
        yield make(
            "overfitting",
            "warning",
            0.65,
            f"The model is {view.outcome.train:.0%} right above chance on training "
            f"examples and {view.outcome.validation:.0%} on validation examples.",
            "more data, augmentation, dropout or a smaller model",
            rule="a gap of 0.3 between what it reaches on the two",
            numbers={"gap": gap, "rise of validation loss": rises},
            series=("epoch_loss",),
        )


def _underfitting(view: View) -> Iterator[Finding]:
    outcome = view.outcome
    if math.isnan(outcome.train) or view.learns_well:
        return
    known = not math.isnan(outcome.attainable)
    short = outcome.attainable - outcome.train if known else 0.35 - outcome.train
    if short < 0.1:
        return
    narrow = _narrowest(view)
    confidence = min(0.75, 0.35 + 0.4 * short) + (0.2 if narrow else 0.0)
    layer, units, outputs = narrow or ("", 0, 0)
    yield make(
        "underfitting",
        "error" if view.fails else "warning",
        confidence,
        f"The model reaches {max(outcome.train, 0):.0%} above chance on its own training "
        "data"
        + (f", where neighbours reach {outcome.attainable:.0%}" if known else "")
        + (f": {layer} has {units} units for {outputs} outputs." if narrow else "."),
        "layers.Dense(128)  # a wider or deeper model, more epochs",
        rule="training score at least 0.1 below what neighbours or a linear model reach",
        numbers={"reached": outcome.train, "attainable": outcome.attainable},
        layer=layer,
        series=("epoch_loss",),
    )


def _narrowest(view: View) -> tuple[str, int, int] | None:
    """Return the hidden layer that is too narrow for the outputs, with both widths."""
    sized = [
        (layer["name"], int(number(layer, "units")))
        for layer in view.layers
        if number(layer, "units") > 0
    ]
    if len(sized) < 2:
        return None
    outputs = sized[-1][1]
    name, units = min(sized[:-1], key=lambda item: item[1])
    if units <= max(1, math.log2(max(outputs, 2)) - 1) and outputs > units:
        return name, units, outputs
    return None
