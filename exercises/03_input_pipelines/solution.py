# %% [markdown]
# The tasks are the functions that raise `NotImplementedError`; `main` uses them.

# %%
"""Input pipelines: what the order of shuffle, batch and repeat does, and what it costs."""

import collections
import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfcourse import data, pipeline_costs, pipeline_speed, pipeline_study
from tfcourse.pipelines import Pipelines, normalise
from tfcourse.runs import Run

AUTOTUNE = tf.data.AUTOTUNE
ORDERS = tuple(map(" ".join, itertools.permutations(("shuffle", "batch", "repeat"))))
QUESTIONS = {  # An epoch: the first n examples of the stream, the next n, and so on.
    "epochs_complete": "does every epoch show each example once?",
    "epochs_blend": "can an example come again before another has come at all?",
    "short_batch_each_pass": "is there a short batch in every pass through the data?",
    "short_batch_at_end": "is a short batch always the last one of an epoch?",
    "company_drawn_anew": "are the members of a batch drawn anew in every pass?",
}
Batches = Sequence[np.ndarray]  # Each int64 [batch]: examples by number, as shown.


@dataclasses.dataclass(frozen=True)
class Config:
    """What can be set."""

    source: str = "real"  # Where the data come from: "embedded" or "real".
    num_examples: int = 60_000
    batch_size: int = 128  # For orders and training; does not divide num_examples.
    num_trainings: int = 3  # Per pipeline, each with a seed of its own.
    speed_batch_size: int = 1024
    num_file_images: int = 2_000  # Kept as PNG, one file per class.
    window_seconds: float = 0.25  # Timed, after as long a warm-up.
    num_rounds: int = 5  # Turns that each candidate gets.
    seed: int = 0


SMOKE = Config(
    source="embedded",
    num_examples=1_000,
    batch_size=32,
    num_trainings=1,
    speed_batch_size=128,
    num_file_images=200,
    window_seconds=0.02,
    num_rounds=1,
)
LAB = Config()
FULL = Config(num_trainings=10, window_seconds=1.0, num_rounds=9)


# %%
def predict() -> dict[str, dict[str, bool]]:
    """Return your answer, for each of ORDERS, to each of QUESTIONS.

    "shuffle batch repeat" means `ds.shuffle(b).batch(m).repeat(k)` on n examples; the
    buffer holds several batches, m does not divide n, and k is at least 2.
    """
    # BEGIN SOLUTION
    return {
        order: {
            "epochs_complete": order.index("shuffle") < order.index("repeat"),
            "epochs_blend": order.index("repeat") < order.index("shuffle"),
            "short_batch_each_pass": order.index("batch") < order.index("repeat"),
            "short_batch_at_end": order.index("shuffle") < order.index("batch"),
            "company_drawn_anew": order.index("shuffle") < order.index("batch"),
        }
        for order in ORDERS
    }
    # END SOLUTION


# %%
def coverage_per_epoch(batches: Batches, num_examples: int) -> np.ndarray:
    """Return which share of the examples each epoch shows: float64 [epochs], in (0, 1].

    Epoch 0 is the first `num_examples` examples shown, epoch 1 the next, and so on.
    """
    # BEGIN SOLUTION
    shown = np.concatenate(batches)  # [epochs * num_examples]
    epochs = np.split(shown, range(num_examples, len(shown), num_examples))
    return np.array([len(np.unique(epoch)) / num_examples for epoch in epochs])
    # END SOLUTION


# %%
def epoch_blending(batches: Batches, num_examples: int) -> float:
    """Return the share of all places in the stream whose example belongs elsewhere.

    The k-th appearance of an example, counted from 0, belongs into epoch k.
    """
    # BEGIN SOLUTION
    shown = np.concatenate(batches).tolist()
    num_seen = collections.Counter()
    num_outside = 0
    for place, example in enumerate(shown):
        num_outside += num_seen[example] != place // num_examples
        num_seen[example] += 1
    return num_outside / len(shown)
    # END SOLUTION


# %%
def company_kept(batches: Batches) -> float:
    """Return which share of an example's company it meets again when it comes next.

    Company: the other members of its batch. The mean is over all examples and all pairs
    of successive appearances; who is alone in a batch has none and does not count.
    """
    # BEGIN SOLUTION
    latest, shares = {}, []
    for batch in batches:
        members = set(batch.tolist())
        for example in members:
            before = latest.get(example, ())
            if len(before) > 1:  # The example is a member, but not its own company.
                shares.append((len(members & before) - 1) / (len(before) - 1))
            latest[example] = members
    return float(np.mean(shares))
    # END SOLUTION


# %%
def mixing_distance(order: np.ndarray) -> float:
    """Return by how many places an example moves on average, to either side.

    Args:
        order: int64 [n]; `order[p]` is the place before shuffling of what is at p now.
    """
    # BEGIN SOLUTION
    return float(np.mean(np.abs(order - np.arange(len(order)))))
    # END SOLUTION


# %%
def label_entropy(label_batches: Sequence[np.ndarray], num_classes: int) -> np.ndarray:
    """Return the entropy of the labels in each batch: float64 [batches], in bits.

    Args:
        label_batches: int64 [batch] each, in [0, num_classes).
        num_classes: C; an entropy is in [0, log2 C].
    """
    # BEGIN SOLUTION
    entropies = []
    for labels in label_batches:
        shares = np.bincount(labels, minlength=num_classes) / len(labels)  # [classes]
        present = shares[shares > 0]  # 0 log 0 is 0, but nan in numpy.
        entropies.append(-np.sum(present * np.log2(present)))
    return np.array(entropies)
    # END SOLUTION


# %%
def training_pipeline(
    images, labels, *, batch_size: int, seed: int, transform=normalise
) -> tf.data.Dataset:
    """Return one epoch of shuffled batches, in a new order each time it is iterated.

    Args:
        images: uint8 [n, height, width], numpy, in memory.
        labels: int64 [n], numpy.
        batch_size: Of all batches but the last, which has what is left.
        seed: The same seed gives the same succession of epochs.
        transform: Takes a batch as it is stored, (uint8 [batch, height, width], int64
            [batch]), and returns it as the model wants it. Called once per batch.
    """
    # BEGIN SOLUTION
    images, labels = tf.constant(images), tf.constant(labels)
    num_examples = len(labels)

    def index_batches(epoch_seed):
        order = tf.random.experimental.stateless_shuffle(  # One call for a whole epoch.
            tf.range(num_examples), tf.stack([seed, epoch_seed])
        )  # [n]
        starts = tf.data.Dataset.range(0, num_examples, batch_size)
        return starts.map(lambda start: order[start : start + batch_size])

    def gather(indices):
        return transform(tf.gather(images, indices), tf.gather(labels, indices))

    epoch_seeds = tf.data.Dataset.random(seed, rerandomize_each_iteration=True).take(1)
    batches = epoch_seeds.flat_map(index_batches)
    return batches.map(gather, num_parallel_calls=AUTOTUNE).prefetch(AUTOTUNE)
    # END SOLUTION


# %% [markdown]
# What is compared in speed. A chain is a pipeline in words: `slices` are images in memory,
# `records` are PNG files, `files` are the same on slow storage; a `*` lets a step run in
# parallel. `tfcourse/pipelines.py` makes pipelines of them: add chains of your own.

# %%
COMPARISONS = {  # From slow to fast; the metric is the last one's speed over the first's.
    "memory_over_generator": ("generator batch map", "slices batch map"),
    "batch_before_map": ("slices map batch", "slices map* batch", "slices batch map"),
    "one_permutation": (
        "slices shuffle batch map",
        "indices shuffle batch gather*",
        "training_pipeline",
    ),
    "batch_before_decode": (
        "records decode batch",
        "records decode* batch",
        "records batch decode*",
    ),
    "cache_after_decode": (
        "records decode shuffle batch",
        "records cache decode shuffle batch",
        "records decode cache shuffle batch",
    ),
    "interleave": (
        "files read batch decode",
        "files interleave batch decode",
        "files interleave* batch decode",
    ),
    "prefetch": (
        "slices batch augment bare",
        "slices batch augment",
        "slices batch augment prefetch",
    ),
}
TUNED = {  # By metric: chains for AUTOTUNE, against the best of a sweep by hand.
    "autotune_over_best_by_hand": "records batch decode* map prefetch",
    "autotune_over_best_by_hand_per_image": "records decode* batch map prefetch",
}


def main(config: Config, run: Run) -> dict[str, float]:
    """Return the metrics that exercise.toml promises."""
    (images, labels), info = data.load_arrays("mnist", "train", source=config.source)
    test, _ = data.load_arrays("mnist", "test", source=config.source)
    run.record_data(info)
    images, labels = images[: config.num_examples], labels[: config.num_examples]
    pipelines = Pipelines(images, labels, seed=config.seed)
    measures = pipeline_study.Measures(coverage_per_epoch, epoch_blending, company_kept)
    metrics = pipeline_study.study_orders(
        run, pipelines, predict(), measures, batch_size=config.batch_size
    )
    metrics |= pipeline_study.study_mixing(run, pipelines, mixing_distance)
    metrics |= pipeline_costs.study_balance(
        run,
        pipelines.sorted_by_class(),
        test,
        label_entropy,
        batch_size=config.batch_size,
        num_trainings=config.num_trainings,
    )
    return metrics | pipeline_speed.study_speed(
        run,
        pipelines,
        training_pipeline,
        COMPARISONS,
        TUNED,
        batch_size=config.speed_batch_size,
        num_file_images=config.num_file_images,
        window_seconds=config.window_seconds,
        num_rounds=config.num_rounds,
    )
