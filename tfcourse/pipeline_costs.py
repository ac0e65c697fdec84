"""The experiment on what a pipeline's order costs: labels in a batch, and accuracy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from tfcourse import stream_figures
from tfcourse.pipelines import Pipelines, normalise
from tfcourse.runs import Run

Batches = Sequence[np.ndarray]
Metrics = dict[str, float]


def study_balance(
    run: Run,
    pipelines: Pipelines,
    test: tuple[np.ndarray, np.ndarray],
    entropy: Callable[[Batches, int], np.ndarray],
    *,
    batch_size: int,
    num_trainings: int,
) -> Metrics:
    """Return what the order costs when the data are sorted by class.

    Args:
        run: Gets the figure `balance`.
        pipelines: Over examples that are sorted by class.
        test: Images and labels to score on.
        entropy: Entropy of the labels in each batch.
        batch_size: Of the training.
        num_trainings: Trainings per pipeline, each with a seed of its own.
    """
    n = len(pipelines.labels)
    test_ds = tf.data.Dataset.from_tensor_slices(test).batch(1_000).map(normalise)
    num_classes = int(np.max(pipelines.labels)) + 1
    chains = {"no shuffle": ("slices batch map", n)}
    chains["batch, shuffle all"] = ("slices batch shuffle map", n)
    for size in (n // 600, n // 60, n // 6, n):
        name = f"shuffle {'all' if size == n else format(size, ',')}, batch"
        chains[name] = ("slices shuffle batch map", max(1, size))

    def compute() -> dict[str, Any]:
        found: dict[str, Any] = {"entropies": {}, "accuracies": {}}
        for name, (chain, size) in run.progress(list(chains.items()), "trainings"):
            train_ds = pipelines.build(chain, batch_size=batch_size, buffer_size=size)
            labels = [labels for _, labels in train_ds.as_numpy_iterator()]
            found["entropies"][name] = float(np.mean(entropy(labels, num_classes)))
            found["accuracies"][name] = [
                accuracy_after_one_epoch(train_ds, test_ds, seed=run.seed + number)
                for number in range(num_trainings)
            ]
        return found

    found = run.once("balance", compute)
    entropies, accuracies = found["entropies"], found["accuracies"]
    best = list(chains)[-1]
    figure = stream_figures.buffer_costs(
        entropies, accuracies, best_entropy=entropies[best]
    )
    run.figure("balance", figure)
    means = {name: float(np.mean(values)) for name, values in accuracies.items()}
    for step, name in enumerate(chains):
        values = {"test_accuracy": means[name], "label_entropy_bits": entropies[name]}
        run.scalars("balance", values, step)
    return {
        "entropy_bits_all_shuffled": entropies[best],
        "entropy_bits_batch_before_shuffle": entropies["batch, shuffle all"],
        "accuracy_all_shuffled": means[best],
        "accuracy_cost_small_buffer": means[best] - means[list(chains)[3]],
        "accuracy_cost_batch_before_shuffle": means[best] - means["batch, shuffle all"],
    }


def accuracy_after_one_epoch(
    train_ds: tf.data.Dataset, test_ds: tf.data.Dataset, *, seed: int
) -> float:
    """Return the test accuracy of a small network that has seen `train_ds` once."""
    keras.utils.set_random_seed(seed)
    image_shape = train_ds.element_spec[0].shape[1:]
    inputs = keras.Input(image_shape)
    hidden = layers.Dense(64, activation="relu")(layers.Flatten()(inputs))
    model = keras.Model(inputs, layers.Dense(10)(hidden))
    model.compile(
        optimizer="adam",
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    # Left at True, Keras warns that it can't shuffle a tf.data set.
    model.fit(train_ds, shuffle=False, verbose=0)
    return float(model.evaluate(test_ds, verbose=0)[1])
