"""Exercise 06's measurements: planted faults, clean triplets, flipped labels.

What is tested, and how a fault is named, stands in the exercise and comes as functions.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
from sklearn.metrics import average_precision_score, precision_recall_curve
from threadpoolctl import threadpool_limits

from tfcourse import data, training
from tfcourse import data_validation_figures as figures
from tfcourse.data_diagnosis import Tests, examine
from tfcourse.data_fault_effects import effects
from tfcourse.data_faults import FAULTS, flip_labels, make_triplet
from tfcourse.errors import UserError
from tfcourse.near_twins import nearest_distances
from tfcourse.patch_features import Embed, patch_features
from tfcourse.runs import Run

__all__ = ["detect", "effects", "find_flipped_labels", "hard_cases", "load_pool"]

CLEAN = "clean"
MIRROR_SIZES = (500, 1000, 2000, 4000, 8000)  # Images on each side.


class Pool(NamedTuple):
    """Where triplets are drawn from, and the features that see their images."""

    images: np.ndarray  # uint8 [n, height, width, 3], all different.
    labels: np.ndarray  # int64 [n].
    embed: Embed
    class_names: tuple[str, ...]


def load_pool(run: Run, settings: Any) -> Pool:
    """Return CIFAR-10's training and test images as one pool, all different.

    Some are kept apart, to make features of. The twin's drawings, which know no up, no
    left and no colour of their own, are lit from above, in a warm light.

    Raises:
        UserError: If the set is too small for the triplets.
    """
    parts = []
    for split in ("train", "test"):
        arrays, info = data.load_arrays("cifar10", split, source=settings.source)
        run.record_data(info)
        parts.append(arrays)
    images, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    if settings.source == "embedded":
        images = lit(images)
    rng = np.random.default_rng([settings.seed, 605])
    keys = [image.tobytes() for image in images]
    unique = np.array(list(dict(zip(keys, range(len(keys)), strict=True)).values()))
    order = rng.permutation(unique)
    apart, rest = np.split(order, [settings.num_pool_examples])
    if len(rest) < 1.2 * sum(settings.sizes):
        raise UserError(
            f"sizes add up to {sum(settings.sizes)}, but {len(rest)} images are left for "
            "triplets: make sizes or num_pool_examples smaller"
        )
    with threadpool_limits(limits=1):
        embed = patch_features(images[apart], seed=settings.seed)
    return Pool(images[rest], labels[rest], embed, info.class_names)


def lit(images: np.ndarray) -> np.ndarray:
    """Return images lit from above, from one side and in a warm light: same form."""
    height, width = images.shape[1:3]
    down = np.linspace(1.15, 0.75, height)[:, np.newaxis, np.newaxis]
    across = np.linspace(1.05, 0.95, width)[:, np.newaxis]
    return (images * down * across * (1.0, 0.95, 0.85)).clip(0, 255).astype(np.uint8)


def plan(settings: Any) -> list[tuple[str | None, tuple[str, ...] | None, int]]:
    """Return (fault, sets, seed) of all triplets: the planted ones, then the clean."""
    planted = []
    for fault, entry in FAULTS.items():
        for index in range(settings.num_planted):
            where = entry.where[(index + settings.seed) % len(entry.where)]
            planted.append((fault, where, index))
    clean = [(None, None, 1000 + index) for index in range(settings.num_clean)]
    return planted + clean


def detect(run: Run, pool: Pool, settings: Any, tests: Tests) -> dict[str, float]:
    """Return how many planted faults were named right, and how many false alarms came.

    Args:
        run: Gets the figures and a text.
        pool: As `load_pool` returns it.
        settings: The exercise's Config.
        tests: The exercise's.
    """
    run.figure("faults", figures.examples(pool, settings))

    def attempt(fault, where, seed):
        triplet = make_triplet(
            pool.images,
            pool.labels,
            fault=fault,
            where=where,
            sizes=settings.sizes,
            seed=100_000 * settings.seed + seed,
        )
        with threadpool_limits(limits=1):  # Matrices so small only wait for threads.
            named, found = examine(
                triplet.sets, triplet.schema, pool.embed, settings, tests
            )
        return {
            "fault": fault or CLEAN,
            "where": list(triplet.where),
            "named": {name: list(where) for name, where in named.items()},
            "p_values": {"/".join(key): value for key, value in found.items()},
        }

    trials = []
    for fault, where, seed in run.progress(plan(settings), "triplets"):
        work = functools.partial(attempt, fault, where, seed)
        trials.append(run.once(f"triplets/{fault or CLEAN}{seed:04d}", work))
    planted = [trial for trial in trials if trial["fault"] != CLEAN]
    clean = [trial for trial in trials if trial["fault"] == CLEAN]
    run.figure("diagnoses", figures.diagnoses(trials))
    run.figure("evidence", figures.evidence(trials, settings.false_alarm_rate))
    smallest = np.array([_smallest(trial["p_values"]) for trial in clean])
    run.figure("smallest", figures.smallest(smallest, settings.false_alarm_rate))
    run.text("diagnoses", _table(trials))
    exact = [trial["named"] == {trial["fault"]: trial["where"]} for trial in planted]
    return {
        "faults_planted": len({trial["fault"] for trial in planted}),
        "triplets_planted": len(planted),
        "faults_found": np.mean(
            [trial["fault"] in trial["named"] for trial in planted]
        ),
        "faults_named": np.mean([[*t["named"]] == [t["fault"]] for t in planted]),
        "sets_named": float(np.mean(exact)),
        "clean_triplets": len(clean),
        "false_alarms": sum(bool(trial["named"]) for trial in clean),
        "false_alarms_expected": settings.false_alarm_rate * len(clean),
        "alarms_at_5_percent": float(np.mean(smallest <= 0.05)),
    }


def hard_cases(
    run: Run, pool: Pool, settings: Any, domain_classifier: Callable[..., Any], hashes
) -> dict[str, float]:
    """Return the AUC at which sets are told from mirrored ones, in both ways.

    The figure `hashes` shows how close images come to one another.

    Args:
        run: Gets the figures.
        pool: As `load_pool` returns it.
        settings: The exercise's Config.
        domain_classifier: The exercise's.
        hashes: The exercise's `perceptual_hash`.
    """

    def measure():
        found: dict[str, list[Any]] = {"left_right": [], "upside_down": []}
        for name, axis in (("left_right", 2), ("upside_down", 1)):
            for size in MIRROR_SIZES:
                if 2 * size <= len(pool.images):
                    first = pool.embed(pool.images[:size])
                    mirrored = np.flip(pool.images[size : 2 * size], axis)
                    second = pool.embed(mirrored)
                    result = domain_classifier(first, second, settings.seed)
                    found[name].append((size, *result))
        return found

    found = run.once("mirrored", measure)
    run.figure("mirrored", figures.mirrored(found, settings.false_alarm_rate))
    sizes = settings.sizes
    arguments = {"sizes": sizes, "seed": 100_000 * settings.seed + 99}
    clean = make_triplet(pool.images, pool.labels, **arguments)
    planted = make_triplet(
        pool.images, pool.labels, fault="near_duplicates", where=("test",), **arguments
    )
    distances = {}
    for name, triplet in (("clean", clean), ("near_duplicates", planted)):
        both = np.concatenate([triplet.sets[part][0] for part in ("train", "test")])
        nearest = nearest_distances(hashes(both))
        distances[name] = nearest[len(triplet.sets["train"][1]) :]
    run.figure("hashes", figures.hashes(distances, settings.max_distance))
    return {
        "left_right_auc": found["left_right"][-1][1],
        "left_right_p_value": found["left_right"][-1][2],
        "upside_down_auc": found["upside_down"][-1][1],
    }


def _smallest(p_values: Mapping[str, float]) -> float:
    """Return the smallest of a triplet's adjusted p-values."""
    return min(1.0, len(p_values) * min(p_values.values(), default=1.0))


def _table(trials: list[dict[str, Any]]) -> str:
    lines = ["| planted | in | named |", "|---|---|---|"]
    for trial in trials:
        if trial["fault"] != CLEAN or trial["named"]:
            named = "; ".join(
                f"{k} ({', '.join(v)})" for k, v in trial["named"].items()
            )
            where = ", ".join(trial["where"])
            lines.append(f"| {trial['fault']} | {where} | {named or 'nothing'} |")
    return "\n".join(lines)


def find_flipped_labels(
    run: Run,
    settings: Any,
    out_of_sample: Callable[..., np.ndarray],
    label_errors: Callable[..., Any],
) -> dict[str, float]:
    """Return how well flipped labels of MNIST are found.

    Args:
        run: Gets figures and curves.
        settings: The exercise's Config.
        out_of_sample: The exercise's.
        label_errors: The exercise's.
    """
    (images, labels), info = data.load_arrays("mnist", "train", source=settings.source)
    run.record_data(info)
    count = min(settings.num_label_examples, len(labels))
    images, labels = images[:count], labels[:count]
    rng = np.random.default_rng([settings.seed, 604])
    given, is_flipped = flip_labels(labels, settings.flipped_share, 10, rng)
    scaled = images.astype(np.float32) / 255
    model = _digit_classifier(images.shape[1:])
    fold = iter(range(1, settings.num_folds + 1))

    def fit_predict(train_images, train_labels, others):
        number = next(fold)
        training.reinitialize(model, seed=settings.seed + number)
        training.fit(
            model,
            train_images,
            train_labels,
            batch_size=128 if len(labels) > 5000 else 32,
            epochs=settings.label_epochs,
            callbacks=run.callbacks(
                f"labels/fold_{number}", epochs=settings.label_epochs
            ),
            seed=settings.seed,
        )
        return model.predict(others, batch_size=1000, verbose=0)

    def measure():
        arguments = (scaled, given, fit_predict, settings.num_folds, settings.seed)
        return np.round(out_of_sample(*arguments), 6)

    probabilities = np.array(run.once("label_probabilities", measure))
    flags, quality = (np.asarray(x) for x in label_errors(given, probabilities))
    precision, recall, _ = precision_recall_curve(is_flipped, -quality)
    average = average_precision_score(is_flipped, -quality)
    run.figure("precision_recall", figures.precision_recall(precision, recall, average))
    worst = np.argsort(quality)[:16]
    run.figure(
        "worst_labels", figures.worst_labels(images, given, labels, is_flipped, quality)
    )
    run.image("worst_labels", images[worst])
    metrics = {
        "label_average_precision": average,
        "label_errors_flagged": float(flags.mean()),
        "flag_precision": float(is_flipped[flags].mean()) if flags.any() else 0.0,
        "flag_recall": float(flags[is_flipped].mean()),
    }
    if importlib.util.find_spec("cleanlab") is not None:
        metrics["cleanlab_agreement"] = float(
            np.mean(flags == cleanlab_flags(given, probabilities))
        )
    return metrics


def cleanlab_flags(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return which labels cleanlab flags by the confident joint, bool [n].

    Raises:
        ImportError: If cleanlab is not installed.
    """
    from cleanlab.filter import find_label_issues

    return find_label_issues(
        labels, probabilities, filter_by="confident_learning", n_jobs=1
    )


def _digit_classifier(image_shape: tuple[int, ...]) -> keras.Model:
    """Return a compiled MLP: float32 [batch, height, width] to probabilities."""
    inputs = keras.Input(image_shape)
    hidden = keras.layers.Flatten()(inputs)
    hidden = keras.layers.Dense(256, "relu")(hidden)
    hidden = keras.layers.Dropout(0.5)(hidden)
    model = keras.Model(inputs, keras.layers.Dense(10, "softmax")(hidden))
    model.compile(
        keras.optimizers.Adam(1e-3),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model
