"""What the steps do to the weights: nothing, the wrong way, or what is undone later."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from tfcourse.doctor.findings import Finding
from tfcourse.doctor.rules.making import make, severity_of
from tfcourse.doctor.rules.updates import rate_faded, same_batch, update_ratio
from tfcourse.doctor.view import View, early, late


def find(view: View) -> Iterator[Finding]:
    """Yield steps that are not applied, or that go the wrong way."""
    yield from _not_applied(view)
    yield from _wrong_direction(view)
    yield from _wrong_aim(view)


def no_update(view: View, confidence: float) -> Finding:
    """Return that the optimizer never applies what is computed."""
    return make(
        "wrong-update",
        "error",
        confidence,
        "The step computes gradients, but the weights stay as they were: the optimizer "
        "never applies them.",
        "self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))",
        rule="no weight changes at any sampled step",
        steps=view.sampled_steps(),
        series=tuple(f"update_rms/{path}" for path in view.kernels[:2]),
    )


def _not_applied(view: View) -> Iterator[Finding]:
    sizes = view.named("update_rms")
    norms = view.named("gradient_norm")
    if not sizes:
        return
    still = [path for path, v in sizes.items() if len(v) and (v == 0).all()]
    pushed = [path for path in still if len(norms.get(path, ())) and norms[path].any()]
    rate = view.values("step/learning_rate")
    if len(rate) and not np.any(rate > 0):
        return
    if len(still) == len(sizes) and (pushed or not norms):
        yield no_update(view, 0.95)
    elif _is_put_back(view):
        yield make(
            "wrong-update",
            "error",
            0.95,
            "Each epoch starts from the same weights as the one before: something puts "
            "back what the steps have changed.",
            "# a callback of your own that calls set_weights or load_weights: look at "
            "when it does",
            rule="weights at the start of an epoch equal to those at the start of the "
            "one before, though steps have changed them in between",
            steps=view.sampled_steps(),
            series=("epoch_weight_change", "epoch_loss"),
        )
    elif pushed and any(path in view.kernels for path in pushed):
        path = next(path for path in pushed if path in view.kernels)
        yield make(
            "wrong-update",
            severity_of(view) if not view.fails else "error",
            0.8,
            f"{view.layer_of(path)} has a gradient but never changes, while others do: "
            "its variables are not among those that the optimizer is given.",
            "self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))",
            rule="a variable with a gradient that no sampled step changes",
            numbers={"variables": len(pushed)},
            layer=view.layer_of(path),
            variable=path,
            series=(f"update_rms/{path}", f"gradient_norm/{path}"),
        )


def _is_put_back(view: View) -> bool:
    """Return whether most epochs left the weights where the one before had left them."""
    change = view.values("epoch_weight_change")
    # The last sampled steps must have changed something: dead networks stay as well.
    still_moves = max((late(v) for v in view.named("update_rms").values()), default=0)
    if len(change) < 3 or not still_moves > 0 or rate_faded(view):
        return False
    return bool(np.mean(change == 0) > 0.5)


def _wrong_direction(view: View) -> Iterator[Finding]:
    cosines = [
        early(v) for k, v in view.named("update_cosine").items() if k in view.kernels
    ]
    finite = [cosine for cosine in cosines if math.isfinite(cosine)]
    against = bool(finite) and float(np.median(finite)) < -0.2
    before, after = same_batch(view)
    predicted = view.values("step/predicted_change")[: len(before)]
    reversed_share = reversed_steps(before, after, predicted)
    if not view.named("gradient_norm") and len(before) >= 4:
        # A loop without an optimizer shows no gradient: short steps must still help.
        modest = np.isfinite(before) & (np.abs(after - before) < np.abs(before))
        if modest.sum() >= 3 and update_ratio(view) < 0.15:
            reversed_share = float(np.mean(after[modest] > before[modest]))
    if against or reversed_share > 0.75:
        yield make(
            "wrong-update",
            "error",
            0.95 if against else 0.85,
            "The steps go up the loss instead of down: right after a step the same "
            "batch has a greater loss.",
            "loss = ...  # without the minus sign; variable.assign_sub(rate * gradient)",
            rule="cosine of update and negative gradient below -0.2, or the loss of the "
            "same batch changes by about minus what the gradient promises",
            numbers={
                "cosine": float(np.median(finite)) if finite else math.nan,
                "share of reversed steps": reversed_share,
            },
            steps=view.sampled_steps(),
            series=("step/loss", "step/loss_after"),
        )


def _wrong_aim(view: View) -> Iterator[Finding]:
    """A loss of one's own that falls while the predictions get worse."""
    if not view.losses or any(loss.get("built_in") for loss in view.losses):
        return
    start, end = view.quality_at_start, view.outcome.train
    if view.improvement > 0.2 and end < -0.2 and start > end + 0.2:
        yield make(
            "wrong-update",
            "error",
            0.8,
            "The loss falls while the predictions move away from the targets, beyond what "
            "a constant guess gives: a score that should grow is made smaller.",
            "return 1.0 - score  # a loss is what shall become small",
            rule="a loss of one's own that falls by a fifth, while the predictions of the "
            "same examples become worse than a constant guess",
            numbers={"at the start": start, "at the end": end},
            steps=view.sampled_steps(),
            series=("step/loss", "epoch_loss"),
        )


def reversed_steps(
    before: np.ndarray, after: np.ndarray, predicted: np.ndarray
) -> float:
    """Return the share of steps that changed the loss against what was promised.

    Only modest changes count. Too long a step overshoots: with a curvature c along it the
    loss changes by (1 - c / 2) of the promise and grows (c - 1) squared times, so a
    modest growth goes with a small change. Up the hill it is -(1 + c / 2) of it.
    """
    if len(predicted) != len(before):
        return math.nan
    finite = np.isfinite(before) & np.isfinite(after)
    before, after, predicted = before[finite], after[finite], predicted[finite]
    change = after - before
    # Smaller promises drown in rounding.
    usable = (predicted < -1e-4 * np.abs(before)) & (np.abs(change) < np.abs(before))
    if usable.sum() < 2:
        return math.nan
    return float(np.mean(change[usable] / predicted[usable] < -0.6))
