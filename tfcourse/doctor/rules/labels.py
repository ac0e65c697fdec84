"""Do the labels belong to their inputs? Do validation examples stand for new ones?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from tfcourse.doctor.findings import Finding
from tfcourse.doctor.rules.making import make
from tfcourse.doctor.rules.outputs import by_output
from tfcourse.doctor.view import View, above_chance, as_dict, number

# Losses that leave single wild targets alone.
ROBUST = ("huber", "mean_absolute_error", "log_cosh", "logcosh")
COPIED_SHARE = 0.5
FEW_LEVELS = 20  # A tenth of a spread apart: fewer make a lattice with noise on it.
MIN_FEATURES = 6  # In fewer dimensions a neighbour may be close by chance.
MAX_NOISE = 0.2  # Of what examples tell by chance, where nothing contradicts it.


def find(view: View) -> Iterator[Finding]:
    """Yield faults of labels and of the split."""
    # Neighbours were asked about the first target.
    yield from _labels((by_output(view) or [view])[0])
    yield from _leakage(view)
    yield from _shift(view)


def _quality(record: dict[str, Any]) -> float:
    """Return what neighbours or a linear model reach, from 0 (chance) to 1."""
    best = max(number(record, "neighbours"), number(record, "linear"))
    return above_chance(best, number(record, "baseline"))


def _labels(view: View) -> Iterator[Finding]:
    agreement = as_dict(view.examples.get("agreement"))
    train, validation = (
        as_dict(agreement.get("train")),
        as_dict(agreement.get("validation")),
    )
    if not train:
        return
    outcome = view.outcome
    count = max(number(train, "num_examples"), 1.0)
    noise = 2.5 / math.sqrt(count) / max(1 - number(train, "baseline"), 0.1)
    told, told_there = _quality(train), _quality(validation) if validation else math.nan
    learned = (
        outcome.validation if not math.isnan(outcome.validation) else outcome.train
    )
    contrast = told_there > max(0.3, told + 0.2)
    # With few examples a real relation may hide in the noise.
    limit = noise if contrast else min(noise, MAX_NOISE)
    # A loss that falls by half shows a relation where nothing else can be told.
    learned = learned > 0.15 or (math.isnan(learned) and view.learns_well)
    if told < limit + 0.05 and not learned:
        yield make(
            "misaligned-labels",
            "error",
            0.93 if contrast else 0.55,
            "The labels have nothing to do with their inputs: alike inputs have labels "
            "no more alike than chance, and what is learned does not carry over.",
            "order = rng.permutation(len(x)); x, y = x[order], y[order]  # one order "
            "for both",
            rule="neighbours and a linear model tell the label no better than a constant "
            "guess, and neither does the trained model on validation data",
            numbers={
                "told by neighbours": number(train, "neighbours"),
                "told by a linear model": number(train, "linear"),
                "constant guess": number(train, "baseline"),
                "the same in validation data": told_there,
            },
            series=("epoch_loss",),
            see=(("images", "images/inputs"), ("scalars", "epoch_loss")),
        )
        return
    yield from _noise(view, told, told_there)


def _noise(view: View, told: float, told_there: float) -> Iterator[Finding]:
    fit = view.output_fit("train")
    rank = number(fit, "wrong_rank")
    other = view.output_fit("validation")
    wrong = 1 - number(fit, "accuracy")
    share = wrong
    gap = view.outcome.validation - view.outcome.train
    contrast = told_there - told
    has_dropout = any("Dropout" in layer["class"] for layer in view.layers)
    # Where classes overlap the label is next best; where it is wrong, it is anywhere.
    scattered = 0.42 < rank < 0.62 and wrong > 0.08 and view.outcome.train > 0.2
    by_val = number(other, "wrong_rank")
    scattered_there = 0.42 < by_val < 0.62 and number(other, "accuracy") < 0.85
    scattered_there = scattered_there and view.outcome.validation > 0.35
    cleaner = gap > 0.12 and contrast > 0.1 and not (has_dropout and gap < 0.2)
    signs = (
        2 * bool(cleaner)
        + bool(scattered)
        + 2 * bool(scattered_there)
        + (contrast > 0.2)
        + (contrast > 0.35)
    )
    # Of few rare examples the neighbours tell little on either side.
    noise = math.hypot(*(_chance(view, side) for side in ("train", "validation")))
    by_model = cleaner or scattered or scattered_there
    if signs < 2 or not (by_model or contrast > 3 * noise):
        return
    robust = {str(loss.get("name")) for loss in view.losses} & set(ROBUST)
    harmless = robust and view.outcome.validation > 0.85
    yield make(
        "label-noise",
        "note" if harmless else "warning",
        min(0.9, 0.5 + 0.12 * signs),
        f"About {share:.0%} of the training labels look wrong: they contradict inputs "
        "like theirs, and where the model errs the label is any of the other classes.",
        "look at the examples with the greatest loss; then clean them, or use "
        "CategoricalCrossentropy(label_smoothing=0.1) and stop early",
        rule="labels of wrong guesses scattered evenly over the other classes; or "
        "validation labels that fit their inputs better than training labels do",
        numbers={
            "rank of the label when wrong (0.5: any)": rank,
            "validation minus training": gap,
            "neighbours, validation minus training": contrast,
        },
        series=("epoch_loss",),
        see=(("scalars", "epoch_loss"), ("images", "images/inputs")),
    )


def _chance(view: View, side: str) -> float:
    """Return by how much luck changes what neighbours tell, on the scale from chance."""
    record = as_dict(as_dict(view.examples.get("agreement")).get(side))
    base, count = number(record, "baseline"), max(number(record, "num_examples"), 1.0)
    return math.sqrt(base * (1 - base) / count) / max(1 - base, 1e-6)


def _leakage(view: View) -> Iterator[Finding]:
    yield from _giveaway(view)
    record = as_dict(view.examples.get("overlap"))
    count = number(record, "num_validation")
    if not count > 0:
        return
    exact, near = number(record, "exact"), number(record, "near")
    queries = max(number(record, "num_queries"), 1.0)
    seen = number(record, "num_train")
    steps = number(view.data, "steps_per_epoch")
    size = number(view.data, "batch_size")
    coverage = min(1.0, seen / (steps * size)) if steps > 0 else 1.0
    # Of a small alphabet some examples are equal by chance: as many, pair by pair, as
    # within the validation set.
    whole = any(item.get("integers") for item in view.inputs())
    # Numbers that never repeat by themselves don't do so in whole rows.
    continuous = number(record, "distinct_share") > 0.9 and not whole
    pairs = 0.0 if continuous else 2 * seen / count
    by_chance = pairs * (number(record, "repeated_in_validation") + whole)
    near_by_chance = pairs * (number(record, "near_in_validation") / 2 + whole)
    leaked = min(1.0, (exact - by_chance) / count / max(coverage, 0.01))
    near_share = (near - near_by_chance) / queries
    is_exact = exact >= 4 and exact > 2 * by_chance + 3 and leaked > 0.05
    # Where the validation examples repeat one another, so do all examples there can be.
    is_exact = is_exact and (
        continuous or number(record, "repeated_in_validation") < 0.2 * count
    )
    is_wide = number(record, "num_features") >= MIN_FEATURES
    is_near = near >= 5 and near > 2 * near_by_chance + 3 and near_share > 0.05
    is_near = is_near and is_wide
    copied = number(record, "copies") / queries
    are_copies = (
        copied > COPIED_SHARE and is_wide and number(record, "levels") > FEW_LEVELS
    )
    if not is_exact and not is_near and not are_copies:
        return
    share = max(leaked if is_exact else 0.0, near_share, copied if are_copies else 0.0)
    yield make(
        "data-leakage",
        "warning" if share < 0.3 else "error",
        0.95 if is_exact else 0.8,
        f"About {min(share, 1.0):.0%} of the validation examples are training examples: "
        "the validation score says nothing about new data.",
        "split once, before shuffling and augmenting: x_val, x_train = x[:n], x[n:]",
        rule="validation inputs that are equal, or nearly, to training inputs seen",
        numbers={
            "equal": exact,
            "equal by chance": by_chance,
            "nearly equal": near,
            "with a few changed copies": number(record, "copies"),
            "compared": count,
            "share of the training data seen": coverage,
        },
        see=(("scalars", "epoch_loss"), ("images", "images/inputs")),
        series=("epoch_loss",),
    )


def _giveaway(view: View) -> Iterator[Finding]:
    record = as_dict(view.examples.get("giveaway"))
    best, following = number(record, "best"), number(record, "next")
    if best > 0.98 and following < 0.8:
        yield make(
            "data-leakage",
            "warning",
            0.75,
            "One input tells the target nearly by itself, far better than any other: it "
            "may have been made from the target, and won't be there in use.",
            "x = np.delete(x, column, axis=1)  # and ask where this column comes from",
            rule="a feature that explains over 98 % of the target, while the next one "
            "explains under 80 %",
            numbers={"best feature": best, "next": following},
            see=(("scalars", "epoch_loss"), ("histograms", "inputs/input")),
            series=("epoch_loss",),
        )


def _shift(view: View) -> Iterator[Finding]:
    found = list(_other_relation(view))
    yield from found
    record = as_dict(view.examples.get("shift"))
    overall, ratio = number(record, "overall_shift"), number(record, "std_ratio")
    noise = number(record, "noise")
    median = number(record, "median_shift")
    moved = median > max(0.35, 3 * noise) or overall > max(0.35, 3 * noise)
    scaled = ratio > 2.0 or ratio < 0.5
    train, validation = view.targets(), view.targets("validation")
    labels = label_distance(train, validation)
    if found or not (moved or scaled or labels > 0.4):
        return
    drop = view.outcome.train - view.outcome.validation
    costs = drop > 0.1 or math.isnan(drop)
    extreme = ratio > 5 or ratio < 0.2 or overall > 1.0
    # Kinds that are not in the training data can't be learned from them.
    extreme = extreme or (labels > 0.6 and drop > 0.3)
    yield make(
        "train-validation-shift",
        "error" if costs and (scaled or moved) else "warning" if extreme else "note",
        0.9 if costs else 0.5,
        "The validation inputs lie elsewhere than the training inputs"
        + (f" (spread {ratio:.2g} times as large)" if scaled else "")
        + ": the two were not prepared in the same way, or come from different sources."
        if moved or scaled
        else "The classes are mixed differently in training and validation data.",
        "x_val = normalise(x_val)  # the same function, with the training data's numbers",
        rule="means that differ by more than 0.35 spreads, spreads by more than 2, or over "
        "40 % of the labels of other classes",
        numbers={
            "shift of the mean": overall,
            "median over features": median,
            "ratio of spreads": ratio,
            "labels that differ": labels,
        },
        see=(("histograms", "inputs/input"), ("scalars", "epoch_loss")),
        series=("epoch_loss",),
    )


def _other_relation(view: View) -> Iterator[Finding]:
    """Each side can be learned by itself, but the one tells nothing of the other."""
    agreement = as_dict(view.examples.get("agreement"))
    train, validation, across = (
        as_dict(agreement.get(name)) for name in ("train", "validation", "across")
    )
    if not across or not validation:
        return
    told = [
        above_chance(number(side, "neighbours"), number(side, "baseline"))
        for side in (train, validation, across)
    ]
    drop = view.outcome.train - view.outcome.validation
    tokens = as_dict(as_dict(view.examples.get("shift")).get("tokens"))
    moved = number(tokens, "distance") - 2 * number(tokens, "noise")
    apart = min(told[:2]) > 0.3 and told[2] < 0.35 * min(told[:2])
    if drop > 0.3 and (apart or moved > 0.15):
        yield make(
            "train-validation-shift",
            "error",
            0.85,
            "The validation examples follow another rule than the training examples: each "
            "part can be learned by itself, but what holds in the one fails in the other.",
            "x_val = prepare(x_val)  # the same vocabulary, classes and order of columns",
            rule="neighbours tell the labels within each part, and not from one part to "
            "the other; or tokens that come much more often in one part",
            numbers={
                "within training": told[0],
                "within validation": told[1],
                "from one to the other": told[2],
                "tokens that differ": number(tokens, "distance"),
            },
            see=(("histograms", "inputs/input"), ("scalars", "epoch_loss")),
            series=("epoch_loss",),
        )


def label_distance(train: dict[str, Any], validation: dict[str, Any]) -> float:
    """Return the share of labels that differ between two mixtures of classes."""
    one, other = train.get("shares"), validation.get("shares")
    if not isinstance(one, list) or not isinstance(other, list):
        return 0.0
    width = max(len(one), len(other))
    a, b = (np.pad(np.array(s, float), (0, width - len(s))) for s in (one, other))
    return float(np.abs(a - b).sum() / 2)
