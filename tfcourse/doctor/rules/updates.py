"""How long the steps are: too long, too short."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from tfcourse.doctor.findings import Finding
from tfcourse.doctor.rules.making import make
from tfcourse.doctor.rules.structure import RECURRENT
from tfcourse.doctor.view import EARLY, View, early, late, number

# Updates of about a thousandth of the weights are usual (Karpathy's rule of thumb).
LARGE_UPDATE = 0.3
SMALL_UPDATE = 3e-5
# Rates beyond these are unusual for the kind of optimizer.
USUAL_RATES = {"SGD": 0.5, "Adagrad": 0.5, "Adadelta": 2.0, "Ftrl": 0.5}
USUAL_RATE = 0.02
EXPLODING_NORM = 1e3  # Of a gradient.
HUGE_NORM = 1e4  # No usual rate bears it.


def find(view: View) -> Iterator[Finding]:
    """Yield faults of the learning rate."""
    yield from _too_high(view)
    yield from _too_low(view)


def update_ratio(view: View, at_the_end: bool = False) -> float:
    """Return the median over kernels of the relative size of a step."""
    ratios = []
    for path, values in view.named("update_ratio").items():
        if path in view.kernels:
            ratios.append(late(values) if at_the_end else early(values))
    finite = [ratio for ratio in ratios if math.isfinite(ratio)]
    return float(np.median(finite)) if finite else math.nan


def peak_ratio(view: View) -> float:
    """Return the largest relative step among the early samples, median over kernels."""
    rows = [
        v[:EARLY] for k, v in view.named("update_ratio").items() if k in view.kernels
    ]
    length = min((len(row) for row in rows), default=0)
    if not length:
        return math.nan
    table = np.array([row[:length] for row in rows])
    return float(np.nanmax(np.median(np.where(np.isfinite(table), table, 0), axis=0)))


def usual_rate(view: View) -> float:
    """Return the greatest rate that is usual for the run's optimizer."""
    usual = USUAL_RATES.get(str(view.optimizer.get("class")), USUAL_RATE)
    momentum = number(view.optimizer, "momentum")
    return usual * (1 - momentum) * 2 if 0 < momentum < 1 else usual


def same_batch(view: View) -> tuple[np.ndarray, np.ndarray]:
    """Return the loss of a batch before and after its step, at the early samples."""
    before, after = view.values("step/loss"), view.values("step/loss_after")
    length = min(len(before), len(after), 16)
    return before[:length], after[:length]


def _too_high(view: View) -> Iterator[Finding]:
    ratio = update_ratio(view)
    before, after = same_batch(view)
    usable = np.isfinite(before)
    # A loss that is no number says nothing about the length of a short step.
    if not update_ratio(view) >= LARGE_UPDATE / 3:
        usable &= ~np.isnan(after)
    worse = float(np.mean(~(after[usable] <= before[usable]))) if usable.any() else 0.0
    rate = number(view.optimizer, "learning_rate")
    rates = view.values("step/learning_rate")
    if len(rates):
        rate = float(rates.max())
    unusual = rate > usual_rate(view)
    losses = view.data_loss[np.isfinite(view.data_loss)]
    jump = float(losses.max() / max(abs(losses[0]), 1e-9)) if len(losses) else math.inf
    ratio = max(ratio, 0.5 * peak_ratio(view))
    large = ratio > LARGE_UPDATE
    signs = [large, worse >= 0.5, unusual, jump > 3 or view.became_non_finite]
    outcome = view.outcome
    short = outcome.train < 0.92 * outcome.attainable
    # It can recover from a start that threw it far off, but not to where it could be.
    is_adaptive = str(view.optimizer.get("class")) not in USUAL_RATES
    is_far = is_adaptive and rate > 3 * USUAL_RATE
    is_thrown = unusual and jump > (1.5 if is_far else 2.5) and ratio > 0.1
    is_thrown = is_thrown and not outcome.train > 0.9
    is_short = (unusual and short) or is_thrown
    if view.learns_well and not view.became_non_finite and not is_short:
        return
    is_sure = large or worse >= 0.5 or (unusual and jump > 3)
    # Where steps are as long as the rate, whatever the gradient, and a run stays behind,
    # a rate far beyond the usual ones is sign enough.
    is_extreme = is_far and not view.learns_well
    if not (is_extreme or is_thrown) and (sum(signs) < 2 or not is_sure):
        return
    confidence = 0.35 + 0.15 * sum(signs) + (0.1 if unusual else 0.0)
    is_grown = first_norm(view) > HUGE_NORM  # Before any step: not by the rate.
    if not unusual and (is_grown or _explodes_in_time(view)):
        confidence = min(confidence, 0.55)
    numbers = {
        "update over weights": ratio,
        "steps that make it worse": worse,
        "learning rate": rate,
        "largest loss over first": jump,
    }
    yield _too_long(view, confidence, numbers)


def _too_long(view: View, confidence: float, numbers: dict[str, float]) -> Finding:
    ratio, worse, rate = list(numbers.values())[:3]
    return make(
        "learning-rate-too-high",
        "error" if view.fails else "warning",
        confidence,
        f"The steps are too long: the early ones change the weights by up to {ratio:.2g} "
        "times their size"
        + (
            f", and after {worse:.0%} of them the same batch has a greater loss."
            if worse >= 0.3
            else "."
        ),
        f"keras.optimizers.{view.optimizer.get('class', 'Adam')}(learning_rate="
        f"{suggested(view, rate):.0e})",
        rule=f"two of: update over weights beyond {LARGE_UPDATE}, the same batch worse "
        "after half of the steps, an unusual rate, a loss three times the first; or an "
        "unusual rate that throws the run off at its start, or far beyond the usual",
        numbers=numbers,
        steps=view.sampled_steps(),
        series=("step/loss", "step/loss_after", "step/learning_rate"),
    )


def _explodes_in_time(view: View) -> bool:
    """Return whether gradients through a recurrent layer reach huge norms."""
    kinds = {layer["class"] for layer in view.layers}
    norms = [v[np.isfinite(v)] for v in view.named("gradient_norm").values()]
    largest = max((float(v.max()) for v in norms if len(v)), default=0.0)
    return bool(kinds & {*RECURRENT, "RNN"}) and largest > EXPLODING_NORM


def first_norm(view: View) -> float:
    """Return the norm of the whole gradient before the first step; NaN if unknown."""
    norms = [v[0] for v in view.named("gradient_norm").values() if len(v)]
    return float(np.linalg.norm(norms)) if norms else math.nan


def suggested(view: View, rate: float) -> float:
    """Return a rate whose first step would change the weights by a few thousandths."""
    first_steps = [
        v[0] for k, v in view.named("update_ratio").items() if k in view.kernels
    ]
    ratio = float(np.median(first_steps)) if first_steps else math.nan
    if not (rate > 0 and ratio > 0 and math.isfinite(ratio)):
        return 1e-3
    power = 10 ** np.floor(np.log10(rate * 5e-3 / ratio))
    return float(np.clip(power, 1e-4, usual_rate(view) / 5))


def rate_faded(view: View) -> bool:
    """Return whether the rate was next to nothing for more than half of the run."""
    rates, steps = view.values("step/learning_rate"), view.steps("step/learning_rate")
    if len(rates) < 8 or not rates.max() > 0:
        return False
    middle = int(np.searchsorted(steps, view.num_steps / 2))
    before = rates[: min(middle, len(rates) - 1) + 1]
    return bool(before[-1] < 1e-4 * rates.max())


def _too_low(view: View) -> Iterator[Finding]:
    ratios = [v for k, v in view.named("update_ratio").items() if k in view.kernels]
    finite = [v[np.isfinite(v)] for v in ratios]
    peaks = [float(v.max()) for v in finite if len(v)]
    if not peaks:
        return
    peak = float(np.median(peaks))
    ends = update_ratio(view, at_the_end=True)
    before, after = same_batch(view)
    better = float(np.mean(after <= before)) if len(before) else 0.0
    moved = peak * view.num_steps
    rates = view.values("step/learning_rate")
    faded = rate_faded(view)
    if view.learns_well and not faded:
        return
    is_small = peak < 10 * SMALL_UPDATE
    if peak < SMALL_UPDATE or (is_small and moved < 0.05 and better > 0.6):
        confidence, place = 0.9, "all along"
    elif is_small and better > 0.8 and view.improvement < 0.5:
        confidence, place = 0.7, "all along"
    elif faded and ends < SMALL_UPDATE:
        confidence, place = 0.8, "after its schedule took it down"
    else:
        return
    rate = float(rates.max()) if len(rates) else number(view.optimizer, "learning_rate")
    yield make(
        "learning-rate-too-low",
        "error" if view.fails else "warning",
        confidence,
        f"The learning rate is too small {place}: a step changes the weights by "
        f"{min(peak, ends) if place != 'all along' else peak:.1g} times their size, so "
        "they hardly move in the whole run.",
        f"keras.optimizers.{view.optimizer.get('class', 'Adam')}(learning_rate=1e-3)",
        rule=f"update over weights below {SMALL_UPDATE:g}, or in sum below 0.05, while "
        "each step makes its batch better",
        numbers={
            "update over weights": peak,
            "at the end": ends,
            "learning rate": rate,
        },
        steps=view.sampled_steps(),
        series=tuple(f"update_ratio/{path}" for path in view.kernels[:2])
        + ("step/learning_rate",),
    )
