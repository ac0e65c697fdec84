# %%
"""Augmentation and transfer: more from few labels, and what it costs to get it wrong."""

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfcourse import transfer_comparisons as comparisons
from tfcourse.runs import Run
from tfcourse.transfer_study import Methods, Study

GREY = 0.5  # What stands where an image has no pixels.
Pair = tuple[tf.Tensor, tf.Tensor]  # Images [b, h, w, c]; labels [b, classes].
Operation = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], Pair]  # The pair and a seed.


@dataclasses.dataclass(frozen=True)
class Config:
    """What can be set: `tfcourse run 11 --set num_steps=900`."""

    source: str = "real"  # Where the data come from: "embedded" or "real".
    num_val: int = 2000  # Training images that choices are made on,
    train_on_all: bool = True  # and that the reported networks learn from as well.
    widths: tuple[int, ...] = (16, 32, 64)  # Filters of the network's blocks.
    operations: tuple[str, ...] = ("mirror", "crop", "colour")  # Together,
    single: tuple[str, ...] = ("mirror", "crop", "cutout", "mixup", "colour")  # alone,
    traps: tuple[str, ...] = ("upside down", "mixup of images alone")
    padding: int = 4  # Pixels by which a crop moves.
    hole: int = 12  # Pixels of a cutout's side.
    strength: float = 0.2  # Of the colours.
    alpha: float = 0.2  # Of mixup's Beta distribution.
    sizes: tuple[int, ...] = (500, 1000, 2000, 5000, 18_000)  # Training images,
    draws: tuple[int, ...] = (3, 5, 3, 2, 1)  # each drawn so often.
    num_labels: int = 1000  # Where ways are compared; as many of each class.
    single_draws: int = 2
    batch_size: int = 64
    num_steps: int = 600  # Of every training, whatever the number of images.
    rate: float = 0.1  # Largest rate of a network that starts from fresh weights,
    tuned_rate: float = 0.07  # and of one that starts from trained weights.
    factor: float = 0.85  # From a block's rate to that of the block before it.
    decay: float = 5e-3  # Of the kernels, times the rate, in each step.
    source_images: int = 18_000  # At most so many are learned from for what follows.
    turn_epochs: int = 8  # Of the training on turned images,
    turn_batch: int = 32  # so many in each step, each turned four times.
    class_epochs: int = 8  # Of the training on the classes that are not scored;
    class_draws: int = 3  # draws of those that are. With 0 all of this is left out.
    backbone: str = ""  # A network with ImageNet's weights, e.g. "MobileNetV2".
    backbone_weights: str = "imagenet"  # Or a file that has them.
    backbone_rate: float = 0.01
    seed: int = 0


LAB = Config()
SMOKE = Config(
    source="embedded",
    num_val=100,
    widths=(8, 16),
    operations=("crop", "colour"),  # Mirrored stripes are another class.
    single=("crop",),
    traps=("mirror",),
    sizes=(200,),
    draws=(1,),
    num_labels=200,
    batch_size=32,
    num_steps=50,
    rate=0.2,
    source_images=800,
    turn_epochs=1,
    class_draws=0,
)
FULL = dataclasses.replace(
    LAB,
    widths=(64, 128, 256),
    sizes=(500, 1000, 2000, 5000, 18_000, 50_000),
    draws=(5, 5, 5, 5, 5, 3),
    num_steps=6000,
    source_images=50_000,
    turn_epochs=100,
    backbone="MobileNetV2",
)


# %%
def random_flip(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Return the images, each one mirrored left to right or not, with even chances.

    Args:
        images: float32 [batch, height, width, channels].
        seed: int32 [2]: the same seed gives the same flips, inside of a graph too.
    """
    # BEGIN SOLUTION
    flip = tf.random.stateless_uniform([tf.shape(images)[0], 1, 1, 1], seed) < 0.5
    return tf.where(flip, images[:, :, ::-1], images)
    # END SOLUTION


# %%
def random_crop(images: tf.Tensor, seed: tf.Tensor, padding: int) -> tf.Tensor:
    """Return each image moved by a number of pixels of its own, down and to the right.

    Both numbers are drawn from -padding to padding, all equally likely. Height and width
    stay; what moves in at a border is GREY.

    Args:
        images: float32 [batch, height, width, channels], in [0, 1].
        seed: int32 [2]: the same seed gives the same crops.
        padding: Pixels, at least 0.
    """
    # BEGIN SOLUTION
    count, height, width, _ = tf.unstack(tf.shape(images))
    around = [[0, 0], [padding, padding], [padding, padding], [0, 0]]
    padded = tf.pad(images, around, constant_values=GREY)
    shape, places = [2, count, 1], 2 * padding + 1
    first = tf.random.stateless_uniform(shape, seed, 0, places, tf.int32)
    rows, columns = first[0] + tf.range(height), first[1] + tf.range(width)
    cropped = tf.gather(padded, rows, axis=1, batch_dims=1)
    return tf.gather(cropped, columns, axis=2, batch_dims=1)
    # END SOLUTION


# %%
def cutout(images: tf.Tensor, seed: tf.Tensor, size: int) -> tf.Tensor:
    """Return each image with a square of GREY at a place of its own.

    The square's upper left pixel is drawn: its row from -(size // 2) to
    height - size // 2 - 1, its column likewise, all equally likely. So its centre may lie
    at the border, and what lies outside of the image is lost.

    Args:
        images: float32 [batch, height, width, channels], in [0, 1].
        seed: int32 [2]: the same seed gives the same squares.
        size: Pixels of the square's side.

    Source: DeVries and Taylor, 2017, section 3.
    """
    # BEGIN SOLUTION
    count, height, width, _ = tf.unstack(tf.shape(images))
    draw = tf.random.stateless_uniform([2, count, 1], seed)  # In [0, 1).
    top = tf.cast(draw[0] * tf.cast(height, tf.float32), tf.int32) - size // 2
    left = tf.cast(draw[1] * tf.cast(width, tf.float32), tf.int32) - size // 2
    rows, columns = tf.range(height) - top, tf.range(width) - left  # [batch, pixels]
    in_rows = (rows >= 0) & (rows < size)  # [batch, height]
    in_columns = (columns >= 0) & (columns < size)  # [batch, width]
    square = in_rows[:, :, None] & in_columns[:, None]  # [batch, height, width]
    return tf.where(square[..., None], GREY, images)
    # END SOLUTION


# %%
def colour_jitter(images: tf.Tensor, seed: tf.Tensor, strength: float) -> tf.Tensor:
    """Return the images with other contrasts and colours, each with its own.

    Of a value x of a channel whose mean over the image is m remains

        m + contrast * (x - m) + shift, cut off at 0 and 1.

    The contrast is one number for each image, from 1 - strength to 1 + strength; the shift
    is one for each image and channel, from -strength to strength; all are uniform and
    independent.

    Args:
        images: float32 [batch, height, width, channels], in [0, 1].
        seed: int32 [2]: the same seed gives the same colours.
        strength: In [0, 1]; with 0 the images stay as they are.
    """
    # BEGIN SOLUTION
    count, channels = tf.shape(images)[0], tf.shape(images)[-1]
    seeds = tf.random.split(seed)  # [2, 2]
    low, high = -strength, strength
    contrast = 1 + tf.random.stateless_uniform([count, 1, 1, 1], seeds[0], low, high)
    shift = tf.random.stateless_uniform([count, 1, 1, channels], seeds[1], low, high)
    mean = tf.reduce_mean(images, axis=(1, 2), keepdims=True)  # [batch, 1, 1, channels]
    return tf.clip_by_value(mean + contrast * (images - mean) + shift, 0.0, 1.0)
    # END SOLUTION


# %%
def mixup(images: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor, alpha: float) -> Pair:
    """Return each image mixed with one of the batch, and the labels mixed alike.

    Each image x has a partner p, by a random order of the batch, and a share s of its own:

        s * x + (1 - s) * p, with s drawn from Beta(alpha, alpha).

    Args:
        images: float32 [batch, height, width, channels].
        labels: float32 [batch, classes], one-hot or mixed already.
        seed: int32 [2]: the same seed gives the same partners and shares.
        alpha: Positive: near 0 most images stay nearly as they are, with 1 all shares are
            equally likely.

    Source: Zhang et al., 2018, equation 1.
    """
    # BEGIN SOLUTION
    count = tf.shape(images)[0]
    seeds = tf.random.split(seed, 3)
    first = tf.random.stateless_gamma([count], seeds[0], alpha)
    second = tf.random.stateless_gamma([count], seeds[1], alpha)
    share = first / (first + second)  # [batch], distributed by Beta(alpha, alpha).
    partners = tf.random.experimental.stateless_shuffle(tf.range(count), seeds[2])
    of_image, of_label = share[:, None, None, None], share[:, None]
    return (
        of_image * images + (1 - of_image) * tf.gather(images, partners),
        of_label * labels + (1 - of_label) * tf.gather(labels, partners),
    )
    # END SOLUTION


# %%
def augment(
    images: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor, operations: Sequence
) -> Pair:
    """Return images and labels after all operations, one after another.

    Each operation gets a seed of its own, which follows from `seed` and from its place:
    draws of different operations have nothing to do with one another.

    Args:
        images: float32 [batch, height, width, channels].
        labels: float32 [batch, classes].
        seed: int32 [2].
        operations: Functions of images, labels and a seed, int32 [2], which return both.
    """
    # BEGIN SOLUTION
    for place, operation in enumerate(operations):
        images, labels = operation(images, labels, tf.random.fold_in(seed, place))
    return images, labels
    # END SOLUTION


# %%
def batches(
    images: NDArray[np.float32],
    labels: NDArray[np.float32],
    change: Operation,
    *,
    batch_size: int,
    seed: int,
    training: bool,
) -> tf.data.Dataset:
    """Return batches of images and labels: changed for training, as they are for scoring.

    In training every epoch has all examples in a new order and changes each batch with a
    new seed; the same `seed` gives the same epochs. Without training they come in their
    order and unchanged. The last batch is short where it must be.

    Args:
        images: float32 [n, height, width, channels].
        labels: float32 [n, classes].
        change: From a batch's images and labels and a seed, int [2], to both.
        batch_size: Examples of a batch.
        seed: Of orders and changes.
        training: Whether the batches are to learn from.
    """
    # BEGIN SOLUTION
    example_ds = tf.data.Dataset.from_tensor_slices((images, labels))
    if not training:
        return example_ds.batch(batch_size)
    batch_ds = example_ds.shuffle(len(images), seed).batch(batch_size)
    seed_ds = tf.data.Dataset.random(seed, rerandomize_each_iteration=True).batch(2)
    changed_ds = tf.data.Dataset.zip(batch_ds, seed_ds).map(
        lambda batch, key: change(*batch, tf.cast(key, tf.int32)), tf.data.AUTOTUNE
    )
    return changed_ds.prefetch(tf.data.AUTOTUNE)
    # END SOLUTION


# %%
def four_turns(images: tf.Tensor) -> Pair:
    """Return every image four times, turned, and by how much: a task without labels.

    Args:
        images: float32 [batch, height, width, channels], as high as wide.

    Returns:
        Images float32 [4 * batch, height, width, channels] in any order, and for each of
        them how many quarter turns it was turned, counterclockwise: int32 [4 * batch], 0,
        1, 2 or 3.

    Source: Gidaris, Singh and Komodakis, 2018, section 2.2.
    """
    # BEGIN SOLUTION
    turned = [tf.image.rot90(images, turns) for turns in range(4)]
    return tf.concat(turned, axis=0), tf.repeat(tf.range(4), tf.shape(images)[0])
    # END SOLUTION


# %%
def transfer(source: keras.Model, num_classes: int, start: str) -> keras.Model:
    """Return a Functional model from images to logits: the source's trunk, a new head.

    The trunk is all of the source but its last layer. The head is a dense layer without
    activation, with fresh weights. The trunk is a copy: whatever becomes of the model,
    `source` stays as it is.

    Args:
        source: Functional, with one input and one output; its last layer is dense.
        num_classes: Logits.
        start: "frozen": the trunk has the source's weights, and training changes nothing of
            it, moving statistics included. "fine_tuned": it has the source's weights, and
            all is trained. "scratch": it has fresh weights, and all is trained.
    """
    # BEGIN SOLUTION
    trunk = keras.Model(source.input, source.layers[-1].input)
    copy = keras.models.clone_model(trunk)  # The weights are fresh.
    if start != "scratch":
        copy.set_weights(trunk.get_weights())
    copy.trainable = start != "frozen"
    images = keras.Input(source.input_shape[1:])
    return keras.Model(images, keras.layers.Dense(num_classes)(copy(images)))
    # END SOLUTION


# %%
def rate_factors(variables: Sequence[keras.Variable], factor: float):
    """Return each variable's share of the learning rate: float [variables].

    Variables come from the image to the logits, block after block. A block begins with a
    kernel, which has more than one axis; what has one axis (bias, gamma, beta) belongs to
    the kernel before it. The last block has 1, the one before it `factor`, the next
    factor², and so on.

    Args:
        variables: A model's trainable variables; the first one is a kernel.
        factor: In (0, 1].

    Source: Howard and Ruder, 2018, section 3.2.
    """
    # BEGIN SOLUTION
    blocks = np.cumsum([len(variable.shape) > 1 for variable in variables])
    return factor ** (blocks[-1] - blocks)
    # END SOLUTION


# %%
def train_step(
    model: keras.Model,
    optimizer: keras.Optimizer,
    images: tf.Tensor,
    labels: tf.Tensor,
    factors: tf.Tensor,
) -> tf.Tensor:
    """Do one step of training; return the loss before it, a scalar.

    The loss is the mean of the cross-entropy with labels that may be mixed. The model is
    called as in training. Each variable's gradient is multiplied by its factor, which for
    SGD is as good as a rate of its own.

    Args:
        model: From images to logits.
        optimizer: Built for the model's trainable variables.
        images: float32 [batch, height, width, channels].
        labels: float32 [batch, classes], rows that add up to 1.
        factors: float32 [trainable variables], in their order.
    """
    # BEGIN SOLUTION
    variables = model.trainable_variables
    with tf.GradientTape() as tape:
        logits = model(images, training=True)  # [batch, classes]
        losses = tf.nn.softmax_cross_entropy_with_logits(labels, logits)  # [batch]
        loss = tf.reduce_mean(losses)
    gradients = tape.gradient(loss, [variable.value for variable in variables])
    scaled = [f * g for f, g in zip(tf.unstack(factors), gradients, strict=True)]
    optimizer.apply(scaled, variables)
    return loss
    # END SOLUTION


# %%
def unfreeze(model: keras.Model, rate: float) -> None:
    """Let all layers of a frozen model be trained by its next `fit`.

    The model is compiled with SGD at this rate, momentum 0.9, and the cross-entropy of
    logits with labels float32 [batch, classes], and with the metric "accuracy".

    Args:
        model: From `transfer`, frozen, compiled and trained.
        rate: Learning rate.
    """
    # BEGIN SOLUTION
    # Keras hands the flag on to the layers where it changes, and the model's own is True.
    model.trainable = False
    model.trainable = True
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(rate, 0.9), loss, metrics=["accuracy"])
    # END SOLUTION


# %%
def named_operations(config: Config) -> dict[str, Operation]:
    """Return what can be done to a batch, by name; the last two are traps."""

    def on_images(function: Callable[..., tf.Tensor], **settings) -> Operation:
        return lambda images, labels, seed: (function(images, seed, **settings), labels)

    def upside_down(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        swapped = [0, 2, 1, 3]  # Rows for columns.
        return tf.transpose(random_flip(tf.transpose(images, swapped), seed), swapped)

    return {
        "mirror": on_images(random_flip),
        "crop": on_images(random_crop, padding=config.padding),
        "cutout": on_images(cutout, size=config.hole),
        "colour": on_images(colour_jitter, strength=config.strength),
        "mixup": partial(mixup, alpha=config.alpha),
        "upside down": on_images(upside_down),
        "mixup of images alone": lambda x, y, seed: (mixup(x, y, seed, 1.0)[0], y),
    }


# %%
def main(config: Config, run: Run) -> dict[str, float]:
    """Return the metrics that exercise.toml promises."""
    methods = Methods(augment, batches, transfer, rate_factors, train_step, unfreeze)
    study = Study(run, config, methods, named_operations(config))
    backbone = comparisons.imagenet_source(study)  # Before minutes of other work.
    metrics = comparisons.compare_sizes(study) | comparisons.compare_operations(study)
    turned, of_turns = comparisons.learn_turns(study, four_turns)
    metrics |= of_turns | comparisons.compare_starts(study, turned)
    metrics |= comparisons.compare_five_classes(study, turned)
    return metrics | comparisons.compare_backbone(study, backbone)
