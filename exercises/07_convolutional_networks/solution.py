# %%
"""Convolutional networks: what a convolution computes, a small CNN, then a good one."""

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from numpy.lib.stride_tricks import sliding_window_view

from tfcourse.convnet_ablation import PARTS
from tfcourse.convnet_study import Study
from tfcourse.convnet_training import Methods
from tfcourse.layer_lists import Layer
from tfcourse.runs import Run


@dataclasses.dataclass(frozen=True)
class Config:
    """What can be set: `tfcourse run 7 --set cifar_epochs=20`."""

    source: str = "real"  # Where the data come from: "embedded" or "real".
    parts: tuple[str, ...] = ("fashion", "ablation", "cifar")  # What is run.
    num_val: int = 2000  # Training images that choices are made on,
    train_on_all: bool = True  # and that the reported networks learn from as well.
    batch_size: int = 128
    plain_filters: tuple[int, ...] = (16, 32)  # Of the plain CNN.
    plain_units: int = 64
    plain_epochs: int = 4
    plain_rate: float = 1e-3  # Adam's.
    momentum: float = 0.9
    decay: float = 5e-3  # Of the kernels, times the rate, in each step.
    smoothing: float = 0.1  # Share of the label that goes to all classes.
    warmup: float = 0.2  # Share of the steps.
    fashion_widths: tuple[int, ...] = (12, 24, 40, 64)
    fashion_pool_first: bool = False
    fashion_epochs: int = 10
    fashion_rate: float = 0.2  # The largest one.
    fashion_shift: int = 2  # Pixels.
    left_out: tuple[str, ...] = PARTS  # By turns, and at last nothing is.
    ablation_widths: tuple[int, ...] = (16, 24, 32)
    ablation_images: int = 10_000
    ablation_epochs: int = 5
    ablation_seeds: int = 3
    ablation_rates: tuple[float, ...] = (0.01, 0.05, 0.2)  # The best one counts.
    cifar_widths: tuple[int, ...] = (32, 64, 128, 256)
    cifar_pool_first: bool = True  # A quarter of the work in all that follows.
    cifar_epochs: int = 16
    cifar_rate: float = 0.2
    cifar_shift: int = 4
    seed: int = 0


LAB = Config()
SMOKE = Config(
    source="embedded",
    num_val=400,
    batch_size=64,
    plain_filters=(8, 16),
    plain_epochs=2,
    fashion_widths=(8, 16),
    fashion_pool_first=True,
    fashion_epochs=3,
    left_out=("normalisation",),
    ablation_widths=(4, 8),
    ablation_images=1000,
    ablation_epochs=1,
    ablation_seeds=2,
    ablation_rates=(0.1,),
    cifar_widths=(8, 16, 32),
    cifar_epochs=3,
)
FULL = dataclasses.replace(
    LAB,
    fashion_widths=(64, 128, 256),
    fashion_epochs=60,
    cifar_widths=(64, 128, 256, 512),
    cifar_epochs=100,
)


# %%
def pad_sizes(size: int, window: int, stride: int, padding: str) -> tuple[int, int]:
    """Return how many rows (or columns) of padding TensorFlow adds before and after.

    With "valid" there is none. With "same" there are as many as it takes for
    ceil(size / stride) positions of the window; where their number is odd, the one more
    comes after.

    Args:
        size: Rows (or columns) of the image.
        window: Of the kernel or pooling window; may be smaller than the stride.
        stride: Step from one position to the next.
        padding: "same" or "valid".

    Source: Dumoulin and Visin, 2016, section 2; TensorFlow, tf.nn, notes on padding.
    """
    # BEGIN SOLUTION
    if padding == "valid":
        return 0, 0
    num_positions = -(-size // stride)  # Rounded up.
    total = max((num_positions - 1) * stride + window - size, 0)
    return total // 2, total - total // 2
    # END SOLUTION


# %%
def conv2d(
    images: np.ndarray, kernels: np.ndarray, stride: int, padding: str
) -> np.ndarray:
    """Return a convolutional layer's maps, without bias: [n, height', width', filters].

    Each filter is laid on each position as it is, not flipped (a cross-correlation), and
    adds up the products over window and channels; beyond the border pixels are 0.

    Args:
        images: float [n, height, width, channels].
        kernels: float [kernel height, kernel width, channels, filters].
        stride: Step between positions, down and to the right.
        padding: "same" or "valid", as for `pad_sizes`.
    """
    # BEGIN SOLUTION
    height, width, windows = *images.shape[1:3], kernels.shape[:2]
    down = pad_sizes(height, windows[0], stride, padding)
    across = pad_sizes(width, windows[1], stride, padding)
    padded = np.pad(images, [(0, 0), down, across, (0, 0)])
    patches = sliding_window_view(padded, windows, axis=(1, 2))
    patches = patches[:, ::stride, ::stride]  # [n, height', width', channels, k, k]
    return np.einsum("nyxcij,ijcf->nyxf", patches, kernels, optimize=True)
    # END SOLUTION


# %%
def max_pool(images: np.ndarray, window: int, stride: int, padding: str) -> np.ndarray:
    """Return the largest value in each window, channel by channel: [n, height', width', c].

    Padding never wins: where a window reaches beyond the border, the largest of what lies
    inside counts, even if all of it is negative.

    Args:
        images: float [n, height, width, channels].
        window: Height and width of the window.
        stride: Step between positions; windows overlap where it is smaller.
        padding: "same" or "valid", as for `pad_sizes`.
    """
    # BEGIN SOLUTION
    pads = [pad_sizes(size, window, stride, padding) for size in images.shape[1:3]]
    padded = np.pad(images, [(0, 0), *pads, (0, 0)], constant_values=-np.inf)
    patches = sliding_window_view(padded, (window, window), axis=(1, 2))
    return patches[:, ::stride, ::stride].max(axis=(-2, -1))
    # END SOLUTION


# %%
def layer_table(
    layers: Sequence[Layer], input_shape: tuple[int, int, int]
) -> list[tuple[tuple[int, ...], int]]:
    """Return the output shape, without batch, and the number of parameters of each layer.

    Parameters are all numbers that a layer keeps, those that move without a gradient
    included: what Keras calls `count_params()`.

    Args:
        layers: A chain. `layer.kind` is "conv" (`units` filters of `size` times `size`
            pixels, with `stride`, `padding` and `use_bias`), "pool" (with `size`, `stride`
            and `padding`), "norm" (batch normalisation of each channel: scale, offset,
            moving mean and moving variance), "relu", "mean" (global average pooling),
            "flatten", or "dense" (`units`, `use_bias`).
        input_shape: Height, width, channels.
    """
    # BEGIN SOLUTION
    shape, table = tuple(input_shape), []
    for layer in layers:
        count = 0
        if layer.kind == "conv":
            count = (layer.size**2 * shape[-1] + layer.use_bias) * layer.units
        elif layer.kind == "norm":
            count = 4 * shape[-1]
        elif layer.kind == "dense":
            count = (shape[-1] + layer.use_bias) * layer.units
        if layer.kind in ("conv", "pool"):
            channels = layer.units if layer.kind == "conv" else shape[-1]
            padded = [
                size + sum(pad_sizes(size, layer.size, layer.stride, layer.padding))
                for size in shape[:2]
            ]
            sides = [(size - layer.size) // layer.stride + 1 for size in padded]
            shape = (*sides, channels)
        elif layer.kind in ("mean", "flatten", "dense"):
            units = {"mean": shape[-1], "flatten": int(np.prod(shape))}
            shape = (units.get(layer.kind, layer.units),)
        table.append((shape, count))
    return table
    # END SOLUTION


# %%
def receptive_fields(layers: Sequence[Layer]) -> list[int]:
    """Return, for each layer, the side of the square of pixels that one output looks at.

    The image's border is left out of account: a field may be larger than the image.

    Args:
        layers: A chain of "conv" and "pool", which have `size` and `stride`, and "norm"
            and "relu", which work on each position by itself.

    Source: Araujo, Norris and Sim, 2019, doi:10.23915/distill.00021.
    """
    # BEGIN SOLUTION
    field, jump, fields = 1, 1, []  # Jump: pixels between neighbouring outputs.
    for layer in layers:
        if layer.kind in ("conv", "pool"):
            field += (layer.size - 1) * jump
            jump *= layer.stride
        fields.append(field)
    return fields
    # END SOLUTION


# %%
def plain_cnn(
    input_shape: tuple[int, int, int],
    num_classes: int,
    filters: Sequence[int],
    units: int,
) -> keras.Model:
    """Return a small CNN, a Functional model from images to logits.

    For each number of filters a 3x3 convolution that keeps height and width, with ReLU,
    then 2x2 max pooling; then a hidden layer of all positions and channels, with ReLU,
    and the logits.

    Args:
        input_shape: Height, width, channels of float32 images.
        num_classes: Logits.
        filters: Of the convolutions.
        units: Of the hidden layer.
    """
    # BEGIN SOLUTION
    images = keras.Input(input_shape)
    maps = images  # [batch, height, width, channels]
    for count in filters:
        maps = keras.layers.Conv2D(count, 3, padding="same", activation="relu")(maps)
        maps = keras.layers.MaxPooling2D()(maps)  # Halves height and width.
    hidden = keras.layers.Dense(units, "relu")(keras.layers.Flatten()(maps))
    return keras.Model(images, keras.layers.Dense(num_classes)(hidden))
    # END SOLUTION


# %%
def conv_block(maps: keras.KerasTensor, filters: int, *, pool: bool):
    """Return the maps behind convolution, 2x2 max pooling if asked, norm and ReLU.

    The convolution is 3x3, keeps height and width, and has no bias, since batch
    normalisation takes the mean away and adds an offset of its own. Its kernel starts as
    He et al. propose for ReLU ("he_normal").

    Args:
        maps: [batch, height, width, channels].
        filters: Of the convolution.
        pool: Whether to pool.

    Source: Ioffe and Szegedy, 2015, section 3.2; He et al., 2015, section 2.2.
    """
    # BEGIN SOLUTION
    options = {"use_bias": False, "kernel_initializer": "he_normal"}
    maps = keras.layers.Conv2D(filters, 3, padding="same", **options)(maps)
    if pool:
        maps = keras.layers.MaxPooling2D()(maps)
    maps = keras.layers.BatchNormalization(momentum=0.9)(maps)
    return keras.layers.ReLU()(maps)
    # END SOLUTION


# %%
def good_cnn(
    input_shape: tuple[int | None, int | None, int],
    num_classes: int,
    widths: Sequence[int],
    *,
    pool_first: bool,
) -> keras.Model:
    """Return a CNN that ends in global average pooling, a Functional model to logits.

    One `conv_block` of the first width, then two of each further width, of which the first
    one pools. Then the mean of each channel over all positions, and the logits. Height and
    width may be None: images of any size fit.

    Args:
        input_shape: Height, width, channels of float32 images.
        num_classes: Logits.
        widths: Filters, from the image on.
        pool_first: Whether the block of the first width pools as well.

    Source: Lin, Chen and Yan, 2013, section 3.2, on global average pooling.
    """
    # BEGIN SOLUTION
    images = keras.Input(input_shape)
    maps = conv_block(images, widths[0], pool=pool_first)
    for width in widths[1:]:
        maps = conv_block(maps, width, pool=True)
        maps = conv_block(maps, width, pool=False)
    features = keras.layers.GlobalAveragePooling2D()(maps)  # [batch, widths[-1]]
    return keras.Model(images, keras.layers.Dense(num_classes)(features))
    # END SOLUTION


# %%
def random_flips(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
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
def random_crops(images: tf.Tensor, seed: tf.Tensor, max_shift: int) -> tf.Tensor:
    """Return each image shifted by a number of pixels of its own, down and to the right.

    Both numbers are drawn from -max_shift to max_shift, all equally likely. Height and
    width stay; what moves in at a border is the image mirrored there, the border pixel
    itself not repeated (`tf.pad` calls it "REFLECT").

    Args:
        images: float32 [batch, height, width, channels].
        seed: int32 [2]: the same seed gives the same shifts, inside of a graph too.
        max_shift: Pixels, less than height and width; 0 gives the images back.
    """
    # BEGIN SOLUTION
    count, height, width, _ = tf.unstack(tf.shape(images))
    around = [max_shift, max_shift]
    padded = tf.pad(images, [[0, 0], around, around, [0, 0]], "REFLECT")
    shape, places = [2, count, 1], 2 * max_shift + 1
    first = tf.random.stateless_uniform(shape, seed, 0, places, tf.int32)
    rows, columns = first[0] + tf.range(height), first[1] + tf.range(width)
    cropped = tf.gather(padded, rows, axis=1, batch_dims=1)  # [batch, height, ., c]
    return tf.gather(cropped, columns, axis=2, batch_dims=1)
    # END SOLUTION


# %%
def warmup_cosine(
    step: tf.Tensor, num_steps: int, peak: float, warmup_steps: int
) -> tf.Tensor:
    """Return the learning rate of a step: float32 [].

    It rises on a line, from peak / warmup_steps in step 0 to the peak in step
    warmup_steps - 1, and falls on half a cosine from the peak in step warmup_steps to 0 in
    step num_steps, which is the first that is not taken.

    Args:
        step: int64 [], a tensor whose value is not known while a graph is traced.
        num_steps: Of the training.
        peak: Largest rate.
        warmup_steps: More than 0, less than num_steps.

    Source: Loshchilov and Hutter, 2016, section 3; Goyal et al., 2017, section 2.2.
    """
    # BEGIN SOLUTION
    step = tf.cast(step, tf.float32)
    rising = (step + 1) / warmup_steps
    share = (step - warmup_steps) / (num_steps - warmup_steps)
    falling = (1 + tf.cos(np.pi * share)) / 2
    return peak * tf.where(step < warmup_steps, rising, falling)
    # END SOLUTION


# %%
def smoothed_cross_entropy(
    labels: tf.Tensor, logits: tf.Tensor, smoothing: float
) -> tf.Tensor:
    """Return each example's cross-entropy with a smoothed label: float32 [batch].

    The target gives the label 1 - smoothing, and shares `smoothing` out to all classes
    alike, the label among them.

    Args:
        labels: int64 [batch], in [0, classes).
        logits: float32 [batch, classes], of any size.
        smoothing: In [0, 1).

    Source: Szegedy et al., 2016, section 7.
    """
    # BEGIN SOLUTION
    log_probabilities = tf.nn.log_softmax(logits)  # [batch, classes]
    given = tf.gather(log_probabilities, labels, batch_dims=1)  # [batch]
    mean = tf.reduce_mean(log_probabilities, axis=1)
    return -(1 - smoothing) * given - smoothing * mean
    # END SOLUTION


# %%
def augment(images: tf.Tensor, seed: tf.Tensor, max_shift: int) -> tf.Tensor:
    """Return the images flipped and shifted at random: float32 [batch, h, w, channels]."""
    flipped = random_flips(images, tf.random.fold_in(seed, 0))
    return random_crops(flipped, tf.random.fold_in(seed, 1), max_shift)


# %%
def main(config: Config, run: Run) -> dict[str, float]:
    """Return the metrics that exercise.toml promises."""
    study = Study(run, config, Methods(augment, warmup_cosine, smoothed_cross_entropy))
    metrics = study.check_by_hand(conv2d, max_pool, layer_table, receptive_fields)
    if "fashion" in config.parts:
        metrics |= study.compare_fashion(plain_cnn, good_cnn)
    if "ablation" in config.parts:
        metrics |= study.ablation()
    if "cifar" in config.parts:
        metrics |= study.train_cifar(good_cnn)
    return metrics
