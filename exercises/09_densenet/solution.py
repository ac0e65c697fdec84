# %%
"""Densely connected networks: every layer gets the maps of all layers before it."""

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial

import keras
import numpy as np
from keras.ops import relu
from numpy.typing import ArrayLike, NDArray

from tfcourse import densenet_sizes as sizes
from tfcourse.densenet_study import Study
from tfcourse.runs import Run

Tensor = keras.KerasTensor
Layer = Callable[[Tensor, int], Tensor]  # From maps and the growth rate to new maps.


@dataclasses.dataclass(frozen=True)
class Config:
    """What can be set: `tfcourse run 9 --set epochs=12`."""

    source: str = "real"  # Where the data come from: "embedded" or "real".
    parts: tuple[str, ...] = ("sizes", "memory", "densenet", "plain")  # What is run.
    val_fraction: float = 1 / 18  # Of the training images; choices are made on these.
    num_layers: tuple[int, ...] = (2, 4, 6)  # Of each dense block.
    growth_rate: int = 16
    compression: float = 0.5
    stem_filters: int = 32
    stem_stride: int = 2  # A quarter of the work in all that follows.
    epochs: int = 16
    batch_size: int = 64
    rate: float = 0.2  # The largest one, of SGD.
    schedule: str = "cosine"  # Or "steps": the paper's.
    warmup: float = 0.2  # Share of the steps in which a cosine's rate rises.
    momentum: float = 0.9
    decay: float = 5e-3  # Of the kernels, times the rate, in each step.
    smoothing: float = 0.1  # Share of the label that goes to all classes.
    shift: int = 4  # Pixels by which images move at most.
    mirror: bool = True
    plain_filters: tuple[int, ...] = (16, 32)  # Of exercise 07's plain CNN.
    plain_units: int = 64
    wide_filters: tuple[int, ...] = (32, 64, 128)  # Of a wider one; () for none.
    wide_units: int = 128
    plain_batch_size: int = 64
    plain_rate: float = 0.05
    plain_decay: float = 5e-3
    plain_epochs: int = 0  # With 0 as many as take as long as the DenseNet,
    spare_time: float = 0.05  # and this share of its seconds more.
    memory_layers: tuple[int, ...] = (4, 8, 12, 16, 20, 24)  # Of the blocks measured,
    memory_size: int = 32  # on maps of so many pixels in height and width.
    peak_layers: tuple[int, ...] = (8, 16, 24)  # Of those whose memory is measured too.
    seed: int = 0


LAB = Config()
SMOKE = Config(
    source="embedded",
    val_fraction=0.4,
    num_layers=(2, 2, 2),
    growth_rate=8,
    stem_filters=16,
    epochs=2,
    batch_size=32,
    mirror=False,  # It would turn rising stripes into falling ones.
    plain_filters=(8, 16),
    plain_units=32,
    wide_filters=(),
    plain_batch_size=32,
    plain_epochs=2,
    memory_layers=(1, 2, 3),
    memory_size=8,
    peak_layers=(),
)
# Huang et al., 2017, section 4.2: DenseNet-BC with L = 100 and k = 12, all of CIFAR-10.
# Its decay of 1e-4 acts through the momentum, which makes it ten times as much.
FULL = dataclasses.replace(
    LAB,
    parts=("sizes", "densenet"),
    val_fraction=0.002,  # The paper's network learns from all training images.
    num_layers=(16, 16, 16),
    growth_rate=12,
    stem_filters=24,
    stem_stride=1,
    epochs=300,
    rate=0.1,
    schedule="steps",
    decay=1e-3,
    smoothing=0.0,
)


# %%
def composite_function(inputs, filters: int, kernel_size: int) -> Tensor:
    """Return batch normalisation, then ReLU, then a convolution of the inputs.

    The normalisation is `keras.layers.BatchNormalization` with momentum 0.9. The
    convolution has no bias, zeros around its inputs that keep height and width, and starts
    as He et al. (2015) have it: "he_normal".

    Args:
        inputs: float32 [batch, height, width, channels].
        filters: Channels of the output.
        kernel_size: Height and width of the kernel, odd.

    Returns:
        float32 [batch, height, width, filters].

    Source: Huang et al., 2017, section 3, "Composite function".
    """
    # BEGIN SOLUTION
    normalised = keras.layers.BatchNormalization(momentum=0.9)(inputs)
    options = {"use_bias": False, "kernel_initializer": "he_normal"}
    layer = keras.layers.Conv2D(filters, kernel_size, padding="same", **options)
    return layer(relu(normalised))
    # END SOLUTION


def basic_layer(inputs: Tensor, growth_rate: int) -> Tensor:
    """Return `growth_rate` new maps: the layer of a DenseNet without bottlenecks."""
    return composite_function(inputs, growth_rate, 3)


# %%
def bottleneck_layer(inputs, growth_rate: int) -> Tensor:
    """Return `growth_rate` new maps, by way of four times as many 1x1 filters.

    Two composite functions: the first has 1x1 kernels and 4 * growth_rate filters, the
    second 3x3 kernels.

    Args:
        inputs: float32 [batch, height, width, channels], however many channels.
        growth_rate: Number of new maps.

    Returns:
        float32 [batch, height, width, growth_rate]: the new maps alone.

    Source: Huang et al., 2017, section 3, "Bottleneck layers".
    """
    # BEGIN SOLUTION
    narrow = composite_function(inputs, 4 * growth_rate, 1)  # [batch, h, w, 4 k]
    return composite_function(narrow, growth_rate, 3)  # [batch, h, w, k]
    # END SOLUTION


# %%
def dense_block(inputs, num_layers: int, growth_rate: int, layer: Layer) -> Tensor:
    """Return the inputs and the new maps of all layers, one behind the other.

    Each layer gets the inputs and the maps of all layers before it.

    Args:
        inputs: float32 [batch, height, width, channels].
        num_layers: Number of layers.
        growth_rate: Maps that each of them adds.
        layer: Called as `layer(maps, growth_rate)`.

    Returns:
        float32 [batch, height, width, channels + num_layers * growth_rate]: channels of
        the inputs first, then those of each layer in their order.

    Source: Huang et al., 2017, equation 2.
    """
    # BEGIN SOLUTION
    maps = inputs
    for _ in range(num_layers):
        new_maps = layer(maps, growth_rate)  # [batch, h, w, k]
        maps = keras.layers.Concatenate()([maps, new_maps])
    return maps
    # END SOLUTION


# %%
def transition(inputs, compression: float) -> Tensor:
    """Return fewer and smaller maps: a 1x1 composite function, then 2x2 average pooling.

    Args:
        inputs: float32 [batch, height, width, channels].
        compression: Share of the channels that are left, in (0, 1]; their number is rounded
            down.

    Returns:
        float32 [batch, height // 2, width // 2, floor(compression * channels)].

    Source: Huang et al., 2017, section 3, "Pooling layers" and "Compression".
    """
    # BEGIN SOLUTION
    filters = int(compression * inputs.shape[-1])
    maps = composite_function(inputs, filters, 1)
    return keras.layers.AveragePooling2D(2)(maps)
    # END SOLUTION


# %%
def densenet(
    input_shape: Sequence[int],
    num_classes: int,
    num_layers: Sequence[int],
    growth_rate: int,
    layer: Layer,
    compression: float,
    stem_filters: int,
    stem_stride: int = 1,
) -> keras.Model:
    """Return a DenseNet as a Functional model, from images to logits.

    A 3x3 convolution without bias, and without normalisation or ReLU, as both stand in
    front of each convolution here; dense blocks, a transition between each two of them;
    batch normalisation and ReLU of what the last block returns; the mean over height and
    width; a dense layer.

    Args:
        input_shape: Height, width and channels.
        num_classes: Logits.
        num_layers: Of each dense block.
        growth_rate: Maps that each layer adds.
        layer: Handed on to the blocks.
        compression: Handed on to the transitions.
        stem_filters: Of the first convolution,
        stem_stride: and its stride; height and width are rounded up when they are divided.

    Source: Huang et al., 2017, figure 2 and section 3, "Implementation Details".
    """
    # BEGIN SOLUTION
    images = keras.Input(input_shape)
    options = {"use_bias": False, "kernel_initializer": "he_normal"}
    stem = keras.layers.Conv2D(stem_filters, 3, stem_stride, "same", **options)
    maps = stem(images)
    for index, count in enumerate(num_layers):
        if index > 0:
            maps = transition(maps, compression)
        maps = dense_block(maps, count, growth_rate, layer)
    maps = relu(keras.layers.BatchNormalization(momentum=0.9)(maps))
    features = keras.layers.GlobalAveragePooling2D()(maps)  # [batch, channels]
    return keras.Model(images, keras.layers.Dense(num_classes)(features))
    # END SOLUTION


# %%
def cifar_densenet(
    depth: int, growth_rate: int, *, bottleneck: bool, compression: float
) -> keras.Model:
    """Return one of the paper's networks for CIFAR-10: 32x32x3 images, 10 logits.

    It is built by `densenet`, with three dense blocks of equally many layers. `depth`
    counts all layers with weights: the first convolution, those of the blocks (a
    bottleneck layer has two), of the two transitions, and the dense layer. DenseNet-BC,
    with bottlenecks and a compression below 1, has 2 * growth_rate filters in its first
    convolution, all others have 16.

    Args:
        depth: 3 n + 4, or with bottlenecks 6 n + 4.
        growth_rate: Maps that each layer adds.
        bottleneck: Whether the layers are `bottleneck_layer`; else `basic_layer`.
        compression: Of the transitions.

    Raises:
        ValueError: If depth is of another form, or leaves no layer for a block.

    Source: Huang et al., 2017, section 3, "Implementation Details", and table 2.
    """
    # BEGIN SOLUTION
    num_layers, rest = divmod(depth - 4, 6 if bottleneck else 3)
    if rest or num_layers < 1:
        form = "6 n + 4" if bottleneck else "3 n + 4"
        raise ValueError(f"depth must be {form}, with n at least 1; got {depth}")
    return densenet(
        (32, 32, 3),
        10,
        [num_layers] * 3,
        growth_rate,
        bottleneck_layer if bottleneck else basic_layer,
        compression,
        stem_filters=2 * growth_rate if bottleneck and compression < 1 else 16,
    )
    # END SOLUTION


# %%
def num_parameters(
    num_layers: Sequence[int],
    growth_rate: int,
    compression: float,
    stem_filters: int,
    num_classes: int,
) -> int:
    """Return how many numbers are trained in a `densenet` with bottleneck layers.

    Images have three channels. To be worked out by arithmetic, without a model: kernels,
    scales and shifts of the normalisations, and the dense layer.

    Args:
        num_layers: Of each dense block.
        growth_rate: Maps that each layer adds.
        compression: Of the transitions.
        stem_filters: Of the first convolution.
        num_classes: Logits.
    """
    # BEGIN SOLUTION
    k, channels = growth_rate, stem_filters
    total = 9 * 3 * channels
    for index, count in enumerate(num_layers):
        if index > 0:
            filters = int(compression * channels)
            total += 2 * channels + channels * filters
            channels = filters
        for _ in range(count):
            total += 2 * channels + channels * 4 * k  # Normalisation, 1x1 convolution.
            total += 2 * 4 * k + 9 * 4 * k * k  # Normalisation, 3x3 convolution.
            channels += k
    return total + 2 * channels + (channels + 1) * num_classes
    # END SOLUTION


# %%
def receptive_fields(num_layers: Sequence[int], stem_stride: int) -> tuple[int, int]:
    """Return the smallest and the largest receptive field behind the last dense block.

    There are many ways from the image to one place of the last block's output, since a
    layer can be passed by. A field is how many pixels, in a row of the image, can reach
    the place along one way: the smallest along the way past all layers of all blocks,
    the largest along the way through all of them.

    Args:
        num_layers: Of each dense block; each layer has one 3x3 convolution.
        stem_stride: Of the first 3x3 convolution.
    """
    # BEGIN SOLUTION
    smallest = largest = 3
    jump = stem_stride  # Pixels of the image between neighbours in the maps.
    for index, count in enumerate(num_layers):
        if index > 0:
            smallest += jump  # The pooling sees two places.
            largest += jump
            jump *= 2
        largest += 2 * jump * count
    return smallest, largest
    # END SOLUTION


# %%
def kept_channels(
    num_layers: int, channels: int, growth_rate: int, recompute: bool
) -> int:
    """Return how many channels a block of bottleneck layers keeps for its backward pass.

    A normalisation needs its inputs again for its gradient; a ReLU and the convolution
    behind it need the ReLU's output, one and the same array. Nothing else is kept, not
    even the block's output, which belongs to what comes behind.

    Each concatenation copies: its output is a new array. (The first layer gets the block's
    inputs themselves, and these are kept all the same.)

    With `recompute`, the first half of each layer (concatenation, normalisation, ReLU, 1x1
    convolution) is computed again in the backward pass. Of it only what it begins with is
    kept, once for the whole block: the inputs of the block, and the new maps of all layers
    but the last, which no layer needs. Of the second halves all is kept as before.

    Args:
        num_layers: Number of layers.
        channels: Of the block's inputs.
        growth_rate: Maps that each layer adds.
        recompute: Whether the first halves are computed again.

    Source: Pleiss et al., 2017, section 3.
    """
    # BEGIN SOLUTION
    second_halves = num_layers * 2 * 4 * growth_rate
    if recompute:
        return channels + (num_layers - 1) * growth_rate + second_halves
    first_inputs = [channels + i * growth_rate for i in range(num_layers)]
    return 2 * sum(first_inputs) + second_halves
    # END SOLUTION


# %%
def weight_by_source(
    kernel: ArrayLike, scale: ArrayLike, num_channels: Sequence[int]
) -> NDArray[np.floating]:
    """Return how strongly a layer's 1x1 convolution listens to each of its sources.

    For one source (the block's inputs, or one layer before): the mean of |scale * weight|
    over all weights that begin at its channels.

    Args:
        kernel: float [1, 1, channels, filters], of the convolution.
        scale: float [channels], the normalisation's `gamma` in front of it.
        num_channels: Of each source, in the order of the channels.

    Returns:
        float [sources].

    Source: Huang et al., 2017, figure 5, which leaves the scale out.
    """
    # BEGIN SOLUTION
    strength = np.abs(np.asarray(scale)[:, None] * np.asarray(kernel)[0, 0])
    ends = np.cumsum(num_channels)[:-1]
    return np.array([part.mean() for part in np.split(strength, ends)])
    # END SOLUTION


# %%
def main(config: Config, run: Run) -> dict[str, float]:
    """Return the metrics that exercise.toml promises."""
    study, metrics = Study(run, config), {}
    if "sizes" in config.parts:
        paper = partial(cifar_densenet, 100, 12, bottleneck=True, compression=0.5)
        by_hand = num_parameters([16] * 3, 12, 0.5, 24, 10)
        metrics |= sizes.count_parameters(run, {"paper": (paper, by_hand)})
        metrics |= sizes.measure_fields(
            run, config, densenet, bottleneck_layer, receptive_fields
        )
    if "memory" in config.parts:
        block = partial(dense_block, layer=bottleneck_layer)
        metrics |= sizes.measure_memory(run, config, block, kept_channels)
    if "densenet" in config.parts:
        network = densenet(
            study.image_shape,
            study.num_classes,
            config.num_layers,
            config.growth_rate,
            bottleneck_layer,
            config.compression,
            config.stem_filters,
            config.stem_stride,
        )
        metrics |= study.train(network)
        study.draw_sources(network, weight_by_source)
    if "plain" in config.parts:
        metrics |= study.compare_with_plain()
    return metrics
