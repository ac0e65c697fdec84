"""What exercise 11 compares: sizes, operations, starts, classes, and a larger network."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfcourse import plots
from tfcourse import transfer_figures as figures
from tfcourse.transfer_networks import imagenet_source as load_backbone
from tfcourse.transfer_study import Part, Study, of_classes, one_hot

NUM_SHOWN = 8  # Images of a figure's row.
NUM_TURNED = 500  # Images that the task of turns is scored on, each turned four times.

Accuracies = dict[str, list[float]]  # By way, one for each draw.


def show_operations(study: Study) -> None:
    """Draw what each operation makes of some training images."""
    images = tf.constant(study.train[0][:NUM_SHOWN])
    labels = tf.constant(one_hot(study.train[1][:NUM_SHOWN], len(study.class_names)))
    rows = {"": images.numpy()}
    names = [*study.settings.single, *study.settings.traps]
    for name in dict.fromkeys(names):
        changed, _ = study.change([name])(images, labels, tf.constant([0, 1]))
        rows[name] = np.asarray(changed)
        study.run.image(
            f"operations/{name.replace(' ', '_').replace(',', '')}", rows[name]
        )
    study.run.figure("operations", figures.rows_of_images(rows))


def compare_sizes(study: Study) -> dict[str, float]:
    """Return what augmentation gains at each number of images; draw it.

    All trainings have as many steps.

    Returns:
        `accuracy_<way>_<size>` and `deviation_...` for "plain" and "augmented";
        `augmentation_gain_<size>`, the mean difference over the draws, and
        `augmentation_gain`, that at `num_labels`.
    """
    s = study.settings
    source = study.network(len(study.class_names))
    ways: Mapping[str, Any] = {"plain": (), "augmented": s.operations}
    curves: dict[str, dict[int, list[float]]] = {way: {} for way in ways}
    plan = [
        (size, seed, way)
        for size in s.sizes
        for seed in study.draws(size)
        for way in ways
    ]
    for size, seed, way in study.run.progress(plan, "numbers of images"):
        options = {"size": size, "seed": seed, "names": ways[way]}
        reached = study.trial("sizes", way, source, **options)
        curves[way].setdefault(size, []).append(reached)
    metrics = {}
    for size in s.sizes:
        for way in ways:
            values = curves[way][size]
            metrics[f"accuracy_{way}_{size}"] = float(np.mean(values))
            metrics[f"deviation_{way}_{size}"] = deviation(values)
            study.run.scalars(f"sizes/{way}", {"accuracy": np.mean(values)}, size)
        gains = np.subtract(curves["augmented"][size], curves["plain"][size])
        metrics[f"augmentation_gain_{size}"] = float(np.mean(gains))
    metrics["augmentation_gain"] = metrics[f"augmentation_gain_{s.num_labels}"]
    study.run.figure("accuracy_by_size", figures.accuracy_by_size(curves))
    return metrics


def compare_operations(study: Study) -> dict[str, float]:
    """Return what each operation gains alone, traps included; draw it.

    Returns:
        `<operation>_gain`, the mean difference to no operation over the draws.
    """
    s = study.settings
    show_operations(study)
    source = study.network(len(study.class_names))
    names = tuple(dict.fromkeys((*s.single, *s.traps)))
    seeds = study.draws(s.num_labels)[: s.single_draws]
    plain = _measured(study, "plain", seeds)
    gains: Accuracies = {}
    plan = [(name, seed) for name in names for seed in seeds]
    for name, seed in study.run.progress(plan, "operations"):
        options = {"size": s.num_labels, "seed": seed, "names": (name,)}
        reached = study.trial("operations", name, source, **options)
        gains.setdefault(name, []).append(reached - plain[len(gains.get(name, []))])
    together = _measured(study, "augmented", seeds)
    gains["together"] = np.subtract(together, plain).tolist()
    study.run.figure("gains", figures.gains(gains, s.traps))
    return {f"{metric_name(name)}_gain": float(np.mean(v)) for name, v in gains.items()}


def learn_turns(
    study: Study, four_turns: Callable[..., Any]
) -> tuple[keras.Model, dict[str, float]]:
    """Return a network that learned by how much images are turned, and its accuracy.

    It sees `source_images` training images, at most, and none of their labels.
    """
    s = study.settings
    images, _ = study.subset(s.source_images, study.all_classes, s.seed)
    change = study.change(s.operations)

    def turned(batch: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor):
        # Mirrored first, turned then: a mirrored turn is a turn the other way around.
        changed, _ = change(batch, labels, seed)
        four, turns = four_turns(changed)
        return four, tf.one_hot(tf.cast(turns, tf.int32), 4)

    model = study.network(4)
    train_ds = study.methods.batches(
        images,
        np.zeros([len(images), 1], np.float32),
        turned,
        batch_size=s.turn_batch,
        seed=s.seed,
        training=True,
    )
    scored, turns = four_turns(tf.constant(study.scored[0][:NUM_TURNED]))
    val = np.asarray(scored), one_hot(np.asarray(turns), 4)
    history = study.fit(
        "turns",
        model,
        train_ds,
        val,
        epochs=s.turn_epochs,
        steps_per_epoch=-(-len(images) // s.turn_batch),
    )
    study.run.figure("learning_turns", plots.loss_curves({"turns": history}))
    return model, {"turn_accuracy": history["val_accuracy"][-1]}


def compare_starts(study: Study, turned: keras.Model) -> dict[str, float]:
    """Return the accuracies with few labels from the turned network and from scratch.

    Returns:
        `<start>_accuracy` and `<start>_deviation` over the draws, and `transfer_gain`, of
        fine-tuning with augmentation over neither.
    """
    s = study.settings
    seeds = study.draws(s.num_labels)
    tuned: dict[str, Any] = {"start": "fine_tuned", "names": s.operations}
    ways = {
        "fine-tuned, plain": tuned | {"names": ()},
        "frozen": tuned | {"start": "frozen"},
        "fine-tuned": tuned,
        "layer-wise rates": tuned | {"factor": s.factor},
    }
    rows = {
        "scratch, plain": _measured(study, "plain", seeds),
        "scratch": _measured(study, "augmented", seeds),
    } | _over_draws(study, "starts", turned, ways, seeds, s.num_labels)
    title = f"from turned images, {s.num_labels:,} labels of ten classes"
    study.run.figure("starts", figures.strips(rows, title))
    metrics = summary(rows)
    gains = np.subtract(rows["fine-tuned"], rows["scratch, plain"])
    metrics["transfer_gain"] = float(np.mean(gains))
    metrics["transfer_gain_least"] = float(np.min(gains))
    return metrics


def compare_five_classes(study: Study, turned: keras.Model) -> dict[str, float]:
    """Return the accuracies on half of the classes, after a training on the other half.

    Labels are as many for each class as among all classes.

    Returns:
        `five_<start>_accuracy` and `..._deviation` over the draws, and
        `five_classes_gain`, of fine-tuning from the other classes over scratch. Nothing
        without draws.
    """
    s, half = study.settings, len(study.class_names) // 2
    seeds = study.draws(s.num_labels)[: s.class_draws]
    if not seeds:
        return {}
    learned, scored = study.all_classes[:half], study.all_classes[half:]
    source = study.network(half)
    images, labels = study.subset(s.source_images, learned, s.seed)
    train_ds = study.methods.batches(
        images,
        one_hot(labels, half),
        study.change(s.operations),
        batch_size=s.batch_size,
        seed=s.seed,
        training=True,
    )
    val_images, val_labels = of_classes(study.scored, learned)
    history = study.fit(
        "five_classes",
        source,
        train_ds,
        (val_images, one_hot(val_labels, half)),
        epochs=s.class_epochs,
        steps_per_epoch=-(-len(labels) // s.batch_size),
    )
    size = s.num_labels * len(scored) // len(study.class_names)
    options: dict[str, Any] = {"names": s.operations, "classes": scored}
    tuned = options | {"start": "fine_tuned"}
    rows = _over_draws(
        study,
        "five",
        source,
        {
            "scratch": options,
            "other classes, frozen": options | {"start": "frozen"},
            "other classes": tuned,
        },
        seeds,
        size,
    )
    rows |= _over_draws(study, "five", turned, {"turns": tuned}, seeds, size)
    names = ", ".join(study.class_names[k] for k in scored)
    study.run.figure("five_classes", figures.strips(rows, f"{size} labels: {names}"))
    metrics = {f"five_{name}": value for name, value in summary(rows).items()}
    gains = np.subtract(rows["other classes"], rows["scratch"])
    metrics["five_classes_gain"] = float(np.mean(gains))
    metrics["five_learned_accuracy"] = history["val_accuracy"][-1]
    return metrics


def imagenet_source(study: Study) -> keras.Model | None:
    """Return the network with ImageNet's weights that the settings name, if they do.

    Raises:
        UserError: If it can't be had.
    """
    s = study.settings
    if not s.backbone:
        return None
    return load_backbone(s.backbone, study.image_shape, s.backbone_weights or None)


def compare_backbone(study: Study, source: keras.Model | None) -> dict[str, float]:
    """Return the accuracies of a network with ImageNet's weights; nothing without one.

    Its head is trained first, on the frozen trunk, then all of it.

    Returns:
        `backbone_frozen_accuracy` and `backbone_accuracy`.
    """
    if source is None:
        return {}
    s, methods, num_classes = study.settings, study.methods, len(study.class_names)
    (seed, *_) = study.draws(s.num_labels)
    part: Part = study.subset(s.num_labels, study.all_classes, seed)
    model = methods.transfer(source, num_classes, "frozen")
    train_ds = methods.batches(
        part[0],
        one_hot(part[1], num_classes),
        study.change(s.operations),
        batch_size=s.batch_size,
        seed=seed,
        training=True,
    )
    val = study.scored[0], one_hot(study.scored[1], num_classes)
    steps = -(-s.num_labels // s.batch_size)
    epochs = max(1, s.num_steps // (2 * steps))
    options = {"epochs": epochs, "steps_per_epoch": steps}
    head = study.fit("backbone/frozen", model, train_ds, val, **options)
    methods.unfreeze(model, s.backbone_rate)
    whole = study.fit_compiled("backbone/whole", model, train_ds, val, epochs=epochs)
    curves = {"frozen": head, "whole": whole}
    study.run.figure("backbone", plots.loss_curves(curves))
    return {
        "backbone_frozen_accuracy": head["val_accuracy"][-1],
        "backbone_accuracy": whole["val_accuracy"][-1],
    }


def _measured(study: Study, way: str, seeds: list[int]) -> list[float]:
    """Return what `compare_sizes` measured at `num_labels`."""
    size = study.settings.num_labels
    return [study.measured["sizes", way, size, seed] for seed in seeds]


def _over_draws(
    study: Study,
    group: str,
    source: keras.Model,
    ways: Mapping[str, Mapping[str, Any]],
    seeds: list[int],
    size: int,
) -> Accuracies:
    """Return the accuracies of several ways on the same draws."""
    rows: Accuracies = {way: [] for way in ways}
    plan = [(way, seed) for way in ways for seed in seeds]
    for way, seed in study.run.progress(plan, group):
        trial = functools.partial(study.trial, group, way, source, size=size, seed=seed)
        rows[way].append(trial(**ways[way]))
    return rows


def summary(rows: Mapping[str, list[float]]) -> dict[str, float]:
    """Return mean and deviation of each row."""
    metrics = {}
    for name, values in rows.items():
        metrics[f"{metric_name(name)}_accuracy"] = float(np.mean(values))
        metrics[f"{metric_name(name)}_deviation"] = deviation(values)
    return metrics


def metric_name(name: str) -> str:
    """Return a way's name as a metric's.

    >>> metric_name("other classes, layer-wise")
    'other_classes_layer_wise'
    """
    return "_".join(name.replace(",", " ").replace("-", " ").split())


def deviation(values: list[float]) -> float:
    """Return the standard deviation over draws, 0 of a single one."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
