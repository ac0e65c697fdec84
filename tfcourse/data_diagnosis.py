"""The diagnosis of a triplet: which tests are made on what, and what their results mean.

The tests themselves, and how faults are named, are exercise 06's and come as functions.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy import stats
from scipy.optimize import linear_sum_assignment
from sklearn.linear_model import RidgeClassifier

from tfcourse.data_fault_images import PROCESSINGS
from tfcourse.data_faults import SETS, Schema, Sets
from tfcourse.data_validation_tests import (
    FINDINGS,
    excess_p_value,
    is_corrupt,
    severities,
    twin_sets,
)
from tfcourse.near_twins import near_twins
from tfcourse.patch_features import Embed

PAIRS = tuple(itertools.combinations(SETS, 2))
PValues = dict[tuple[str, ...], float]  # By test and sets: ("order", "val").
UNEXPLAINED = 1e-3  # Level at which images differ from those of an explanation.


class Tests(NamedTuple):
    """The exercise's functions that a diagnosis calls, under their own names."""

    schema_problems: Callable[..., set[str]]
    balance_p_value: Callable[..., float]
    order_p_value: Callable[..., float]
    copies: Callable[..., np.ndarray]
    perceptual_hash: Callable[..., np.ndarray]
    overlap_p_value: Callable[..., float]
    image_statistics: Callable[..., dict[str, np.ndarray]]
    holm: Callable[..., np.ndarray]
    domain_classifier: Callable[..., Any]
    name_faults: Callable[..., dict[str, tuple[str, ...]]]


def class_matched(
    first: np.ndarray, second: np.ndarray, num_classes: int, seed: int
) -> tuple[np.ndarray, ...]:
    """Return rows of two sets among which the classes have the same shares: two int [k].

    Whatever differs between these rows is no consequence of other class frequencies.
    """
    generator = np.random.default_rng(seed)
    chosen = []
    for label in range(num_classes):
        rows = [
            generator.permutation(np.flatnonzero(x == label)) for x in (first, second)
        ]
        scale = min(len(rows[0]) / len(first), len(rows[1]) / len(second))
        chosen.append([rows[0][: int(scale * len(first))]])
        chosen[-1].append(rows[1][: int(scale * len(second))])
    return tuple(np.concatenate(rows) for rows in zip(*chosen, strict=True))


def p_values(
    sets: Sets, schema: Schema, embed: Embed, config: Any, tests: Tests
) -> PValues:
    """Return the p-value of each test of a triplet that fulfils the schema."""
    found: PValues = {}
    num_classes = schema.num_classes
    for name, (_, labels) in sets.items():
        found["balance", name] = tests.balance_p_value(labels, schema.class_shares)
        found["order", name] = tests.order_p_value(labels)
    hashes = np.concatenate([tests.perceptual_hash(sets[name][0]) for name in SETS])
    groups = np.repeat(range(3), [len(sets[name][1]) for name in SETS])
    pairs = near_twins(hashes, config.max_distance)
    found["twins", *SETS] = tests.overlap_p_value(pairs, groups)
    broken = {name: is_corrupt(sets[name][0]) for name in SETS}
    for name in SETS:
        found["corrupt", name] = excess_p_value(broken, name)
    intact = {name: tuple(x[~broken[name]] for x in sets[name]) for name in SETS}
    statistics = {name: tests.image_statistics(intact[name][0]) for name in SETS}
    features = {name: embed(intact[name][0]) for name in SETS}
    models = {s: RidgeClassifier(100.0).fit(features[s], intact[s][1]) for s in SETS}
    for first, second in PAIRS:
        both = intact[first][1], intact[second][1]  # Their labels.
        rows = class_matched(*both, num_classes, config.seed)
        for statistic, values in statistics[first].items():
            samples = values[rows[0]], statistics[second][statistic][rows[1]]
            test = stats.ks_2samp(*samples, method="asymp")
            found["images", first, second, statistic] = float(test.pvalue)
        parts = features[first][rows[0]], features[second][rows[1]]
        auc_and_p = tests.domain_classifier(*parts, config.seed)
        found["images", first, second, "classifier"] = auc_and_p[1]
        (third,) = {*SETS} - {first, second}
        hits = [
            models[third].predict(part) == label[row]
            for part, label, row in zip(parts, both, rows, strict=True)
        ]
        worse = (first, second)[int(hits[0].mean() > hits[1].mean())]
        table = [[np.sum(hit), np.sum(~hit)] for hit in hits]
        found["agreement", worse, third] = float(stats.fisher_exact(table).pvalue)
    return found


def is_renamed(sets: Sets, name: str, num_classes: int, embed: Embed) -> bool:
    """Return whether another numbering of the classes fits a set's labels far better."""
    other = "val" if name == "train" else "train"
    model = RidgeClassifier(100.0).fit(embed(sets[other][0]), sets[other][1])
    predicted, labels = model.predict(embed(sets[name][0])), sets[name][1]
    counts = np.zeros((num_classes, num_classes))
    np.add.at(counts, (predicted[::2], labels[::2]), 1)
    renamed = linear_sum_assignment(-counts)[1]  # The best label for each prediction.
    predicted, labels = predicted[1::2], labels[1::2]  # The half that chose nothing.
    share = np.mean(renamed[predicted] == labels)
    return bool(share > 1.5 * np.mean(predicted == labels))


def processing_of(sets: Sets, name: str, level: float, tests: Tests) -> str | None:
    """Return what, done to the other sets, makes their images like this set's, or None."""
    others = np.concatenate([sets[other][0] for other in SETS if other != name])[::3]
    target = tests.image_statistics(sets[name][0])
    p_values = {}
    for process, severity in severities(others, sets[name][0]).items():
        values = tests.image_statistics(PROCESSINGS[process](others, severity))
        found = [stats.ks_2samp(values[k], target[k], method="asymp") for k in target]
        p_values[process] = min(test.pvalue for test in found)
    best = max(p_values, key=lambda process: p_values[process])
    return best if len(target) * p_values[best] > level else None


def examine(
    sets: Sets, schema: Schema, embed: Embed, config: Any, tests: Tests
) -> tuple[dict[str, tuple[str, ...]], PValues]:
    """Return the faults of a triplet by name, and the p-values that they rest on."""
    findings: dict[str, Any] = {name: set() for name in FINDINGS}
    for name in SETS:
        problems = tests.schema_problems(*sets[name], schema)
        findings["pixels"] |= {name} if problems - {"labels", "count"} else set()
        findings["labels"] |= {name} if problems & {"labels", "count"} else set()
    if any(findings.values()):
        return tests.name_faults(findings), {}
    for name in SETS:
        absent = np.bincount(sets[name][1], minlength=schema.num_classes) == 0
        findings["absent"] |= {name} if absent.any() else set()
    for first, second in PAIRS:
        if tests.copies(sets[first][0], sets[second][0]).any():
            findings["copies"].add(second)
    found = p_values(sets, schema, embed, config, tests)
    adjusted = dict(zip(found, tests.holm(np.array([*found.values()])), strict=True))
    for test, *where in [
        k for k, p in adjusted.items() if p <= config.false_alarm_rate
    ]:
        if test == "images":
            findings["images"].add((where[0], where[1]))
        elif test == "twins":
            findings["twins"] = twin_sets(sets, tests.perceptual_hash, config)
        else:
            findings[test].add(where[0])
    if pairs := findings["images"]:
        odd = [name for name in SETS if sum(name in pair for pair in pairs) == 2]
        findings["processing"] = {
            name: processing_of(sets, name, UNEXPLAINED, tests) for name in odd
        }
    for name in findings["agreement"] if not findings["images"] else ():
        if is_renamed(sets, name, schema.num_classes, embed):
            findings["renamed"].add(name)
    return tests.name_faults(findings), found
