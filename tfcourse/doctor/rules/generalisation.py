"""What is learned, and how it carries over."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from tfcourse.doctor.findings import Finding
from tfcourse.doctor.rules.making import make, severity_of
from tfcourse.doctor.rules.outputs import by_output
from tfcourse.doctor.view import View, as_dict, number

PENALTY_RATIO = 2.0
HIGH_DROPOUT = 0.75
LARGE_RISE = 0.4  # Of the validation loss over its least.
LARGE_GAP = 0.3  # Between what is reached in training and in validation.
HUGE_GAP = 0.5
FEW_STEPS = 30  # After fewer nobody expects much.


def find(view: View) -> Iterator[Finding]:
    """Yield faults of the fit."""
    yield from _regularised(view)
    yield from _overfitting(view)
    for focused in by_output(view) or [view]:
        yield from _underfitting(focused)


def _regularised(view: View) -> Iterator[Finding]:
    if view.learns_well:
        return
    penalty, data = view.values("step/regularisation"), view.data_loss
    finite = [v[np.isfinite(v)] for v in (penalty, data)]
    # Where all of the loss comes through add_loss, it is no penalty on anything.
    if all(len(v) for v in finite) and np.median(np.abs(finite[1])) > 1e-6 * abs(
        finite[0][0]
    ):
        # At the end the penalty may be small because it has won.
        ratio = float(np.max(finite[0]) / max(abs(float(np.median(finite[1]))), 1e-9))
        shrunk = _shrunk(view)
        # A penalty on activations is gone once all of them are.
        has_won = view.fails and finite[0][-1] < 0.05 * np.max(finite[0])
        if ratio > PENALTY_RATIO and (shrunk < 0.3 or ratio > 5 or has_won):
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
    rises = highest = 0.0
    if len(validation) >= 4 and np.isfinite(validation).all() and len(losses):
        best = int(np.argmin(validation))
        after = validation[best:]
        lowest = float(validation[best])
        last = float(np.median(after[-3:])) if len(after) >= 3 else lowest
        rises = (last - lowest) / max(abs(lowest), 1e-9)
        # One epoch may be unlucky: the third worst counts.
        worst = float(np.sort(after)[-3]) if len(after) >= 3 else lowest
        highest = (worst - lowest) / max(abs(lowest), 1e-9)
        if rises > 0.2 and losses[-1] < 0.6 * last and losses[-1] < losses[best] + 1e-9:
            # The loss may rise by a few sure errors while the score stays.
            harmless = gap < 0.05 or view.outcome.validation > 0.95
            harmless = harmless or (rises < LARGE_RISE and gap < LARGE_GAP)
            yield make(
                "overfitting",
                "note" if harmless else "warning",
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
    # Small data leave a gap; it does harm where the validation loss has risen.
    is_harmful = gap > HUGE_GAP or (gap > LARGE_GAP and highest > 0.1)
    if is_harmful and view.outcome.train > 0.85:
        yield make(
            "overfitting",
            "warning",
            0.65,
            f"The model is {view.outcome.train:.0%} right above chance on training "
            f"examples and {view.outcome.validation:.0%} on validation examples.",
            "more data, augmentation, dropout or a smaller model",
            rule=f"a gap of {HUGE_GAP} between what it reaches on the two, or of "
            f"{LARGE_GAP} and a validation loss 10 % above its least",
            numbers={"gap": gap, "rise of validation loss": highest},
            series=("epoch_loss",),
        )


def _underfitting(view: View) -> Iterator[Finding]:
    outcome = view.outcome
    if math.isnan(outcome.train) or view.learns_well:
        return
    known = not math.isnan(outcome.attainable)
    narrow = _narrowest(view)
    # Through a single unit hardly anything passes, whatever could be reached.
    least = 0.6 if narrow and narrow[1] <= 1 else 0.35
    short = (outcome.attainable if known else least) - outcome.train
    if short < 0.1:
        return
    confidence = min(0.75, 0.35 + 0.4 * short) + (0.2 if narrow else 0.0)
    layer, units, outputs = narrow or ("", 0, 0)
    # Who stops early knows it: it is a fault only where more epochs would not help.
    is_short = view.num_steps < FEW_STEPS
    improving = (is_short or is_improving(view)) and not narrow
    yield make(
        "underfitting",
        "note" if improving else "error" if view.fails else "warning",
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


def is_improving(view: View) -> bool:
    """Return whether the training loss still fell by over 3 % in the last epoch."""
    losses = view.values("epoch_loss")
    if len(losses) < 2 or not np.isfinite(losses[-2:]).all():
        return False
    # Over two epochs where there are three: one may be lucky.
    span = min(len(losses) - 1, 2)
    fall = (losses[-1 - span] - losses[-1]) / max(abs(losses[-1 - span]), 1e-12)
    return bool(fall > 0.03 * span)


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
