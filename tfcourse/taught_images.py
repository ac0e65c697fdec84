"""Images for a student: warped copies, with what a teacher says about each."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from tfcourse.warps import random_warps

BATCH_SIZE = 1000


@dataclasses.dataclass(frozen=True)
class TaughtImages:
    """Examples for distillation.

    A teacher answers once for each image, however many students learn from it and for
    however many epochs; and a step of the student alone can be compiled.

    Args:
        images: float16 [n, height, width]: half the memory of float32, and grey levels of
            8 bits fit.
        targets: float32 [n, 1 + classes]: the label, then the teacher's logits.
    """

    images: np.ndarray
    targets: np.ndarray


def taught_images(
    images: np.ndarray,
    labels: np.ndarray,
    teacher: keras.Model,
    *,
    num_copies: int,
    strength: float,
    seed: int,
) -> TaughtImages:
    """Return copies of the images, each warped in its own way, with a teacher's answers.

    Args:
        images: float32 [n, height, width] in [0, 1].
        labels: int [n].
        teacher: From images to logits.
        num_copies: Of each image.
        strength: Of the warps, see `random_warps`.
        seed: Of the warps.
    """
    all_images, all_targets = [], []
    for copy in range(num_copies):
        for start in range(0, len(images), BATCH_SIZE):
            batch = tf.constant(images[start : start + BATCH_SIZE])
            place = copy * len(images) + start
            warped = random_warps(batch, [seed, place], strength)
            logits = teacher(warped, training=False)  # [batch, classes]
            some = labels[start : start + BATCH_SIZE, None]
            all_images.append(warped.numpy().astype(np.float16))
            all_targets.append(np.concatenate([some, logits], axis=1))
    return TaughtImages(
        np.concatenate(all_images), np.concatenate(all_targets).astype(np.float32)
    )
