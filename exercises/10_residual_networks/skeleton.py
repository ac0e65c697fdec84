# %%
"""Residual networks: why depth alone makes a network worse, and what a shortcut does."""

import dataclasses
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import keras
import numpy as np
import tensorflow as tf
from keras.ops import relu
from numpy.typing import NDArray

from tfcourse import residual_comparisons as comparisons
from tfcourse.rate_schedules import RateByStep, tenth_by_tenth
from tfcourse.residual_study import Study
from tfcourse.runs import Run

Tensor = keras.KerasTensor
Shortcut = Callable[..., Tensor] | None  # From inputs, filters and stride.


@dataclasses.dataclass(frozen=True)
class Config:
    """What can be set: `tfcourse run 10 --set epochs=12`."""

    source: str = "real"  # Where the data come from: "embedded" or "real".
    val_fraction: float = 1 / 18  # Of the training images.
    depth: int = 20  # Of the network that is trained for accuracy,
    epochs: int = 16  # for so many epochs
    batch_size: int = 64
    peak_rate: float = 0.2  # at a rate that rises to this
    warmup_share: float = 0.2  # in this share of the steps.
    schedule: str = "cosine"  # Or "steps": the paper's.
    weight_decay: float = 5e-3  # Times rate and weight, at each step.
    label_smoothing: float = 0.1
    padding: int = 4  # Pixels around an image before a random crop,
    mirror: bool = True  # which is mirrored at random.
    study_depths: tuple[int, ...] = (20, 56)  # Plain and residual,
    study_epochs: int = 5  # each trained for so many epochs
    study_images: int = 8000  # on so many images
    study_size: int = 16  # of so many pixels in height and width,
    study_batch: int = 128
    study_rate: float = 0.1  # at a rate that rises to this.
    seed: int = 0


LAB = Config()
SMOKE = Config(
    source="embedded",
    val_fraction=0.4,
    mirror=False,  # It would turn rising stripes into falling ones.
    depth=8,
    epochs=1,
    batch_size=32,
    study_depths=(8, 14),
    study_epochs=1,
    study_images=256,
    study_size=8,
    study_batch=32,
)
# He et al., 2016, section 4.2: 64,000 steps of 128 images. Its decay of 1e-4 acts through
# the momentum, which makes it ten times as much.
FULL = dataclasses.replace(
    LAB,
    val_fraction=0.1,
    epochs=182,
    batch_size=128,
    peak_rate=0.1,
    schedule="steps",
    weight_decay=1e-3,
    label_smoothing=0.0,
    study_epochs=182,
    study_images=45_000,
    study_size=32,
)


# %%
def convolution(inputs, filters: int, kernel_size: int, stride: int = 1) -> Tensor:
    """Return a convolution of the inputs.

    The kernel starts with normally distributed weights of mean 0 and variance 2 / (number
    of inputs of one output). There is no bias: the normalisation that follows has one.
    Zeros around the inputs keep height and width; a stride divides them, rounded up.

    Args:
        inputs: float32 [batch, height, width, channels].
        filters: Channels of the output.
        kernel_size: Height and width of the kernel, odd.
        stride: In both directions.

    Returns:
        float32 [batch, ceil(height / stride), ceil(width / stride), filters].

    Source: He et al., 2015, section 2.2, for the weights.
    """
    raise NotImplementedError("exercise 10: write convolution()")


def normalise(inputs: Tensor) -> Tensor:
    """Return the inputs after batch normalisation.

    Trainings are short here: its moving averages forget after some ten batches.
    """
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(inputs)


# %%
def zero_padded_shortcut(inputs, filters: int, stride: int) -> Tensor:
    """Return every `stride`-th pixel, the channels filled up with zeros: option A.

    It has no weights.

    Args:
        inputs: float32 [batch, height, width, channels].
        filters: Channels of the output, at least those of the inputs.
        stride: In both directions, from the first pixel on.

    Returns:
        float32 [batch, ceil(height / stride), ceil(width / stride), filters].
    """
    raise NotImplementedError("exercise 10: write zero_padded_shortcut()")


# %%
def projection_shortcut(inputs, filters: int, stride: int) -> Tensor:
    """Return a normalised 1x1 convolution of every `stride`-th pixel: option B.

    Args:
        inputs: float32 [batch, height, width, channels].
        filters: Channels of the output.
        stride: In both directions, from the first pixel on.

    Returns:
        float32 [batch, ceil(height / stride), ceil(width / stride), filters], linear: no
        activation.
    """
    raise NotImplementedError("exercise 10: write projection_shortcut()")


# %%
def basic_block(inputs, filters: int, stride: int, shortcut: Shortcut) -> Tensor:
    """Return two 3x3 convolutions of the inputs, added to the inputs, after a ReLU.

    Each convolution is normalised; the first has the stride, and a ReLU behind it. The
    second has its ReLU after the addition.

    Args:
        inputs: float32 [batch, height, width, channels].
        filters: Channels of both convolutions.
        stride: Of the first convolution.
        shortcut: Called as `shortcut(inputs, filters, stride)` where the shape changes;
            where it stays, the inputs themselves are added. None: nothing is added, which
            makes a plain network.

    Returns:
        float32 [batch, ceil(height / stride), ceil(width / stride), filters].

    Source: He et al., 2016, figure 2 and section 4.2.
    """
    raise NotImplementedError("exercise 10: write basic_block()")


# %%
def bottleneck_block(inputs, filters: int, stride: int, shortcut: Shortcut) -> Tensor:
    """Return 1x1, 3x3 and 1x1 convolutions, added to the inputs, after a ReLU.

    Arguments as for `basic_block`. The first two convolutions have `filters` channels and
    a ReLU behind them, the third has four times as many, and its ReLU after the addition.
    The 3x3 convolution has the stride: in the first 1x1 convolution, where the paper had
    it, three of four pixels would be lost.

    Returns:
        float32 [batch, ceil(height / stride), ceil(width / stride), 4 * filters]; the
        shortcut has as many channels.

    Source: He et al., 2016, figure 5.
    """
    raise NotImplementedError("exercise 10: write bottleneck_block()")


# %%
def preactivation_block(inputs, filters: int, stride: int, shortcut) -> Tensor:
    """Return the inputs plus two 3x3 convolutions, each behind its normalisation and ReLU.

    Arguments and shape as for `basic_block`. On the way of the convolutions: batch
    normalisation, ReLU, convolution, and the same again; the first convolution has the
    stride. Nothing comes after the addition: from block to block the inputs are handed
    on unchanged. Where the shape changes, `shortcut` gets the inputs as they are.

    Source: He et al., 2016 (Identity Mappings), figure 4 (e).
    """
    raise NotImplementedError("exercise 10: write preactivation_block()")


# %%
def cifar_resnet(input_shape, num_classes, depth, block, shortcut, preactivation=False):
    """Return the paper's network for CIFAR-10 as a Functional model, images to logits.

    A normalised 3x3 convolution with 16 channels and a ReLU; three stages of n blocks
    with 16, 32 and 64 filters, of which the second and the third begin with stride 2; the
    mean over height and width; a dense layer. With n = (depth - 2) / 6 blocks of two
    convolutions the network has `depth` layers with weights.

    Args:
        input_shape: Height, width and channels.
        num_classes: Logits.
        depth: 6 n + 2.
        block: Called as `block(inputs, filters, stride, shortcut)`.
        shortcut: Handed on to the blocks.
        preactivation: Whether the blocks normalise before they convolve. Then the first
            convolution stands alone, and a normalisation and a ReLU come before the mean.

    Raises:
        ValueError: If depth is not 6 n + 2 with n at least 1.

    Source: He et al., 2016, section 4.2.
    """
    raise NotImplementedError("exercise 10: write cifar_resnet()")


# %%
def imagenet_resnet(input_shape, num_classes, num_blocks, block, shortcut):
    """Return the paper's network for ImageNet as a Functional model, images to logits.

    A normalised 7x7 convolution with stride 2, 64 channels and a ReLU; the maximum of 3x3
    pixels with stride 2, which halves once more; four stages of blocks with 64, 128, 256
    and 512 filters, of which all but the first begin with stride 2; mean over height and
    width; a dense layer. ResNet-18 has (2, 2, 2, 2) basic blocks.

    Args:
        input_shape: Height, width and channels.
        num_classes: Logits.
        num_blocks: Of each of the four stages, integers.
        block: Called as `block(inputs, filters, stride, shortcut)`.
        shortcut: Handed on to the blocks.

    Source: He et al., 2016, table 1.
    """
    raise NotImplementedError("exercise 10: write imagenet_resnet()")


# %%
def num_parameters(depth: int, num_classes: int) -> int:
    """Return how many numbers are trained in a `cifar_resnet` of basic blocks and option A.

    Images have three channels. To be worked out by arithmetic, without a model: kernels,
    scales and shifts of the normalisations, and the dense layer.

    Args:
        depth: 6 n + 2.
        num_classes: Logits.
    """
    raise NotImplementedError("exercise 10: write num_parameters()")


# %%
def gradient_norms(model: keras.Model, images, labels) -> NDArray[np.floating]:
    """Return the norm of the loss's gradient for each convolution's kernel.

    The loss is the mean cross-entropy of a batch in training mode, where batch
    normalisation uses the batch's own mean and variance. Norms are Euclidean.

    Args:
        model: From images to logits. Its trainable kernels of convolutions are the
            variables with four axes.
        images: float32 [batch, height, width, channels].
        labels: int [batch].

    Returns:
        float [kernels], in the order of the model's variables.
    """
    raise NotImplementedError("exercise 10: write gradient_norms()")


# %%
def learning_rate(step, num_steps: int, warmup_steps: int, peak: float) -> tf.Tensor:
    """Return the learning rate of a step: a linear warm-up, then a half cosine to 0.

    It is peak / warmup_steps at step 0 and rises by as much with each step, up to the
    peak at step warmup_steps - 1. From step warmup_steps on it is

        peak * (1 + cos(pi * t)) / 2

    where t goes from 0 at this step to 1 at step num_steps, and 0 for all later ones.

    Args:
        step: int, a tensor or a number: how many steps were done. Graphs trace this
            function: no `if` on its value.
        num_steps: Of the whole training.
        warmup_steps: At least 1, less than num_steps.
        peak: The largest rate.

    Returns:
        float32 scalar.
    """
    raise NotImplementedError("exercise 10: write learning_rate()")


# %%
def decaying_sgd(rate, momentum: float, weight_decay: float) -> keras.Optimizer:
    """Return gradient descent with Nesterov momentum that lets kernels decay.

    Each step takes rate * weight_decay of a kernel away from it, besides what the
    gradient does (decoupled from gradient and momentum, as `keras.optimizers.SGD` has it).
    Scales and shifts of normalisations, `gamma` and `beta`, and biases don't decay.

    Args:
        rate: Learning rate, a number or a schedule.
        momentum: Share of the last step that is repeated.
        weight_decay: Times the rate.
    """
    raise NotImplementedError("exercise 10: write decaying_sgd()")


# %%
def compile_model(
    model: keras.Model, num_steps: int, peak_rate: float, config: Config
) -> None:
    """Compile a model for so many steps."""
    warmup_steps = max(round(config.warmup_share * num_steps), 1)
    steps = {"num_steps": num_steps, "warmup_steps": warmup_steps}
    rate = RateByStep(learning_rate, peak=peak_rate, **steps)
    if config.schedule == "steps":
        rate = tenth_by_tenth(num_steps, peak_rate)
    loss = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=config.label_smoothing
    )
    optimizer = decaying_sgd(rate, 0.9, config.weight_decay)
    model.compile(optimizer, loss, metrics=["accuracy"])


# %%
def main(config: Config, run: Run) -> dict[str, float]:
    """Return the metrics that exercise.toml promises."""
    study = Study(run, config, partial(compile_model, config=config))
    padded, project = zero_padded_shortcut, projection_shortcut
    basic = partial(cifar_resnet, num_classes=study.num_classes, block=basic_block)
    large = partial(imagenet_resnet, (224, 224, 3), 1000, shortcut=project)
    builders = {
        "resnet_20": partial(basic, (32, 32, 3), depth=20, shortcut=padded),
        "resnet_18": partial(large, num_blocks=(2, 2, 2, 2), block=basic_block),
        "resnet_50": partial(large, num_blocks=(3, 4, 6, 3), block=bottleneck_block),
    }
    metrics = comparisons.count_parameters(run, builders)
    metrics["resnet_20_by_arithmetic"] = num_parameters(20, study.num_classes)
    kinds = {
        "plain": partial(basic, shortcut=None),
        "residual": partial(basic, shortcut=padded),
        "preactivation": partial(
            basic, block=preactivation_block, shortcut=padded, preactivation=True
        ),
    }
    metrics |= comparisons.compare_depths(study, kinds, gradient_norms)
    network = basic(study.image_shape, depth=config.depth, shortcut=padded)
    return metrics | comparisons.train_for_accuracy(study, network)
