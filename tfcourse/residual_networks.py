"""Residual networks for inputs of any size: images, spectrograms, frames of a video.

    model = residual_network((64, 128, 1), num_classes=10, block="basic")

What exercise 10 teaches, for those who come after it. Other arrangements than those of the
papers are made by `filters` and `num_blocks`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
from keras.ops import pad, relu

EXPANSION = {"basic": 1, "bottleneck": 4}  # Channels of a block's output, by filter.
SHORTCUTS = ("A", "B", None)
STEMS = ("small", "large")

Tensor = keras.KerasTensor


def residual_network(
    input_shape: Sequence[int | None],
    num_classes: int | None,
    *,
    filters: Sequence[int] = (16, 32, 64),
    num_blocks: Sequence[int] = (3, 3, 3),
    block: str = "basic",
    shortcut: str | None = "A",
    preactivation: bool = False,
    stem: str = "small",
    name: str = "residual_network",
) -> keras.Model:
    """Return a residual network as a Functional model from inputs to logits.

    Each stage but the first begins with stride 2; height and width are rounded up when
    they are halved, and may be None. Convolutions have no bias and start as He et al.
    (2015) have it; batch normalisation forgets after some ten batches (momentum 0.9).

    Args:
        input_shape: Height, width and channels.
        num_classes: Logits; None leaves the dense layer out: then the outputs are the
            features float32 [batch, filters[-1] * (4 if block is "bottleneck" else 1)].
        filters: Of each stage.
        num_blocks: Of each stage.
        block: "basic" (two 3x3 convolutions) or "bottleneck" (1x1, 3x3, 1x1; the 3x3
            convolution has the stride).
        shortcut: Where the shape changes: "A", every second pixel and zeros for new
            channels, without weights; "B", a 1x1 convolution. None leaves all shortcuts
            out: a plain network.
        preactivation: Whether blocks normalise before they convolve, and leave the sum
            as it is (He et al., 2016, Identity Mappings).
        stem: "small", a 3x3 convolution; or "large", 7x7 with stride 2 and a 3x3 maximum
            with stride 2, for inputs of hundreds of pixels.
        name: Of the model.

    Raises:
        ValueError: If an argument is none of these, or stages disagree.

    Source: He et al., 2016, arXiv:1512.03385 and arXiv:1603.05027.
    """
    _check(filters, num_blocks, block, shortcut, stem)
    inputs = keras.Input(input_shape)
    maps = _convolution(inputs, filters[0], *((3, 1) if stem == "small" else (7, 2)))
    if not preactivation:
        maps = relu(_normalise(maps))
    if stem == "large":
        maps = keras.layers.MaxPooling2D(3, 2, "same")(maps)
    branch: Callable[..., Tensor] = _BRANCHES[block, preactivation]
    for stage, (width, count) in enumerate(zip(filters, num_blocks, strict=True)):
        for index in range(count):
            stride = 2 if stage and not index else 1
            residual = branch(maps, width, stride)
            maps = _add(maps, residual, stride, shortcut)
            if not preactivation:
                maps = relu(maps)
    if preactivation:
        maps = relu(_normalise(maps))
    outputs = keras.layers.GlobalAveragePooling2D()(maps)
    if num_classes is not None:
        outputs = keras.layers.Dense(num_classes, name="logits")(outputs)
    return keras.Model(inputs, outputs, name=name)


def cifar_resnet(
    input_shape: Sequence[int | None], num_classes: int, depth: int, **options: object
) -> keras.Model:
    """Return ResNet-`depth` for small images; options as for `residual_network`.

    >>> cifar_resnet((32, 32, 3), 10, 20).output_shape
    (None, 10)

    Args:
        input_shape: Height, width and channels.
        num_classes: Logits.
        depth: 6 n + 2, such as 20 or 56.
        **options: Of `residual_network`.

    Raises:
        ValueError: If depth is not 6 n + 2 with n at least 1.
    """
    num_blocks, rest = divmod(depth - 2, 6)
    if rest or num_blocks < 1:
        raise ValueError(f"depth must be 6 n + 2, such as 20 or 56; got {depth}")
    options = {"name": f"resnet_{depth}", **options}
    return residual_network(
        input_shape, num_classes, num_blocks=(num_blocks,) * 3, **options
    )


def resnet18(
    input_shape: Sequence[int | None], num_classes: int | None, **options: object
) -> keras.Model:
    """Return ResNet-18 for large inputs; options as for `residual_network`."""
    options = {"shortcut": "B", "stem": "large", "name": "resnet_18", **options}
    return residual_network(
        input_shape,
        num_classes,
        filters=(64, 128, 256, 512),
        num_blocks=(2, 2, 2, 2),
        **options,
    )


def _check(
    filters: Sequence[int],
    num_blocks: Sequence[int],
    block: str,
    shortcut: str | None,
    stem: str,
) -> None:
    for what, value, allowed in (
        ("block", block, tuple(EXPANSION)),
        ("shortcut", shortcut, SHORTCUTS),
        ("stem", stem, STEMS),
    ):
        if value not in allowed:
            raise ValueError(f"{what} must be one of {allowed}; got {value!r}")
    if not filters or len(filters) != len(num_blocks):
        raise ValueError(
            "filters and num_blocks must have one number for each stage; got "
            f"{tuple(filters)} and {tuple(num_blocks)}"
        )
    widths = (filters[0], *(EXPANSION[block] * count for count in filters))
    if shortcut == "A" and list(widths) != sorted(widths):
        raise ValueError(
            f'shortcut "A" can only add channels; got filters {tuple(filters)}'
        )


def _convolution(inputs: Tensor, filters: int, size: int, stride: int = 1) -> Tensor:
    padding = "same"
    if stride > 1 and size > 1:
        # "same" would put the windows around odd pixels, where shortcuts take even ones.
        inputs = keras.layers.ZeroPadding2D(size // 2)(inputs)
        padding = "valid"
    options = {"use_bias": False, "kernel_initializer": "he_normal"}
    return keras.layers.Conv2D(filters, size, stride, padding, **options)(inputs)


def _normalise(inputs: Tensor) -> Tensor:
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(inputs)


def _basic(inputs: Tensor, filters: int, stride: int) -> Tensor:
    hidden = relu(_normalise(_convolution(inputs, filters, 3, stride)))
    return _normalise(_convolution(hidden, filters, 3))


def _bottleneck(inputs: Tensor, filters: int, stride: int) -> Tensor:
    hidden = relu(_normalise(_convolution(inputs, filters, 1)))
    hidden = relu(_normalise(_convolution(hidden, filters, 3, stride)))
    return _normalise(_convolution(hidden, 4 * filters, 1))


def _basic_preactivation(inputs: Tensor, filters: int, stride: int) -> Tensor:
    hidden = _convolution(relu(_normalise(inputs)), filters, 3, stride)
    return _convolution(relu(_normalise(hidden)), filters, 3)


def _bottleneck_preactivation(inputs: Tensor, filters: int, stride: int) -> Tensor:
    hidden = _convolution(relu(_normalise(inputs)), filters, 1)
    hidden = _convolution(relu(_normalise(hidden)), filters, 3, stride)
    return _convolution(relu(_normalise(hidden)), 4 * filters, 1)


_BRANCHES = {
    ("basic", False): _basic,
    ("basic", True): _basic_preactivation,
    ("bottleneck", False): _bottleneck,
    ("bottleneck", True): _bottleneck_preactivation,
}


def _add(inputs: Tensor, residual: Tensor, stride: int, shortcut: str | None) -> Tensor:
    """Return the sum of a block's inputs and its residual; the shortcut fits shapes."""
    if shortcut is None:
        return residual
    filters = residual.shape[-1]
    if stride != 1 or inputs.shape[-1] != filters:
        if shortcut == "A":
            missing = filters - inputs.shape[-1]
            kept = inputs[:, ::stride, ::stride]
            inputs = pad(kept, [(0, 0), (0, 0), (0, 0), (0, missing)])
        else:
            inputs = _normalise(_convolution(inputs, filters, 1, stride))
    return inputs + residual
