"""What each fault does to a classifier: the accuracy that is reported, and the true one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from scipy.ndimage import convolve1d
from scipy.special import softmax

from tfcourse import data_validation_figures as figures
from tfcourse import training
from tfcourse.data_faults import make_triplet
from tfcourse.runs import Run

CLEAN = "clean"
# Where each fault is planted: where it shows what it does.
CASES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "duplicates": ("duplicates", ("val", "test")),
    "near_duplicates": ("near_duplicates", ("val", "test")),
    "ordered, in test": ("ordered", ("test",)),
    "ordered, in train": ("ordered", ("train",)),
    "labels_noisy, in train": ("labels_noisy", ("train",)),
    "labels_permuted, in train": ("labels_permuted", ("train",)),
    "imbalance, in train": ("imbalance", ("train",)),
    "missing_classes, in train": ("missing_classes", ("train",)),
    "corrupt_images, in train": ("corrupt_images", ("train",)),
    "blurred, in train": ("blurred", ("train",)),
    "mirrored, in train": ("mirrored", ("train",)),
    "transposed, in train": ("transposed", ("train",)),
    "channels_swapped, in test": ("channels_swapped", ("test",)),
    "darkened, in test": ("darkened", ("test",)),
    "wrong_range, in test": ("wrong_range", ("test",)),
    "other_distribution": ("other_distribution", ("val", "test")),
    "labels_noisy, in test": ("labels_noisy", ("test",)),
    "labels_from_one, in test": ("labels_from_one", ("test",)),
}
MAX_UNSEEN = 2000  # Images for the true accuracy.
# What a model of sequences may make of the rows before and behind.
NEIGHBOUR_WEIGHTS = (0.25, 0.5, 1.0, 0.5, 0.25)


def effects(run: Run, pool: Any, settings: Any) -> dict[str, float]:
    """Return by case how far the reported and the true accuracy move, in points.

    Reported is the accuracy on the triplet's own test set; true is that of the same model
    on images that no set of the triplet had anything to do with.

    Args:
        run: Gets the figure `effects`, a table and curves.
        pool: As `load_pool` returns it.
        settings: The exercise's Config.
    """
    found: dict[str, list[list[float]]] = {name: [] for name in (CLEAN, *CASES)}
    plan = [(k, name) for k in range(settings.effect_repeats) for name in found]
    model = _classifier(pool, settings)
    trained: dict[bytes, Any] = {}
    num_unseen = min(MAX_UNSEEN, len(pool.images) // 10)  # In no triplet.
    unseen = pool.embed(pool.images[-num_unseen:]), pool.labels[-num_unseen:]
    for repeat, name in run.progress(plan, "effects"):

        def measure(repeat=repeat, name=name):
            return _accuracies(model, trained, unseen, pool, settings, name, repeat)

        key = name.replace(", ", "_").replace(" ", "_")
        found[name].append(run.once(f"effects/{key}{repeat}", measure))
    means = {name: np.mean(values, axis=0) for name, values in found.items()}
    run.figure("effects", figures.effects(found, CLEAN))
    run.text("effects", _table(means))
    metrics = {"clean_accuracy": float(means[CLEAN][1])}
    for name in CASES:
        reported, true = means[name]
        key = name.replace(", in ", "_")
        metrics[f"reported_{key}"] = 100 * float(reported - means[CLEAN][0])
        metrics[f"true_{key}"] = 100 * float(true - means[CLEAN][1])
    return metrics


def _classifier(pool: Any, settings: Any) -> keras.Model:
    """Return a compiled MLP on features: float32 [batch, features] to logits."""
    inputs = keras.Input(pool.embed(pool.images[:1]).shape[1:])
    hidden = keras.layers.Dense(128, "relu")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(len(pool.class_names))(hidden))
    model.compile(
        keras.optimizers.Adam(1e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def _accuracies(
    model: keras.Model,
    trained: dict[bytes, Any],
    unseen: tuple[np.ndarray, np.ndarray],
    pool: Any,
    settings: Any,
    name: str,
    repeat: int,
) -> tuple[float, float]:
    """Return the reported and the true accuracy of one case."""
    fault, where = CASES.get(name, (None, None))
    triplet = make_triplet(
        pool.images[: -len(unseen[1])],
        pool.labels[: -len(unseen[1])],
        fault=fault,
        where=where,
        sizes=settings.sizes,
        seed=100_000 * settings.seed + 5000 + repeat,
    )
    images, labels = triplet.sets["train"]
    # Faults of held-out sets leave the training set as it was: one training for all.
    key = images.tobytes() + labels.tobytes()
    if key not in trained:
        training.reinitialize(model, seed=settings.seed + repeat)
        training.fit(
            model,
            pool.embed(images),
            labels,
            epochs=settings.effect_epochs,
            # Whoever trusts the order of the file does not shuffle.
            shuffle=name != "ordered, in train",
            seed=settings.seed + repeat,
            engine="graph",
        )
        trained[key] = model.get_weights()
    model.set_weights(trained[key])
    images, labels = triplet.sets["test"]
    logits = model(pool.embed(images), training=False).numpy()
    if name == "ordered, in test":
        logits = with_neighbours(logits)
    reported = np.mean(logits.argmax(axis=1) == labels)
    true = model(unseen[0], training=False).numpy().argmax(axis=1)
    return float(reported), float(np.mean(true == unseen[1]))


def with_neighbours(logits: np.ndarray) -> np.ndarray:
    """Return weighted means of each row's probabilities with those of the rows around.

    Args:
        logits: float [n, num_classes].
    """
    probabilities = softmax(logits, axis=1)
    return convolve1d(probabilities, NEIGHBOUR_WEIGHTS, axis=0, mode="constant")


def _table(means: Mapping[str, np.ndarray]) -> str:
    lines = ["| fault | reported | true |", "|---|---:|---:|"]
    for name, (reported, true) in means.items():
        lines.append(f"| {name} | {reported:.3f} | {true:.3f} |")
    return "\n".join(lines)
