"""Networks whose wide layers are two thin ones, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import keras
import numpy as np

from tfcourse.errors import UserError

# float32 [inputs, units] and a rank to float32 [inputs, rank] and [rank, units].
LowRank = Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]]


def ranks_within(model: keras.Model, num_weights: float) -> dict[str, int]:
    """Return a rank for each wide layer, such that so many weights are left at most.

    All singular directions of all layers stand in one row, by squared singular value for
    each weight that it costs; from the first on they are taken as long as they fit. So a
    layer gets a high rank where a low one would leave out much. The last layer has none.

    Args:
        model: A Functional model whose layers form a chain.
        num_weights: Of all weights, biases and the last layer's among them.

    Raises:
        ValueError: If a rank of 1 in each layer is too much.

    Source: after Idelbayev and Carreira-Perpiñán, 2020, doi:10.1109/CVPR42600.2020.00807;
        theirs trains meanwhile, and what the weights cost is a term of the loss.
    """
    matrices = {
        layer.name: _matrix(layer)
        for layer in model.layers[:-1]
        if isinstance(layer, keras.layers.Dense | keras.layers.Conv2D)
    }
    ranks = dict.fromkeys(matrices, 1)
    kept = sum(matrix.size for matrix in matrices.values())
    left = num_weights - (model.count_params() - kept)
    left -= sum(_size(matrix, 1) for matrix in matrices.values())
    if left < 0:
        raise ValueError(f"{num_weights:,.0f} weights are too few for a rank of 1")
    worth = [
        (value**2 / sum(matrix.shape), name)
        for name, matrix in matrices.items()
        for value in np.linalg.svd(matrix, compute_uv=False)[1:]
    ]
    for _, name in sorted(worth, reverse=True):
        matrix, rank = matrices[name], ranks[name]
        cost = _size(matrix, rank + 1) - _size(matrix, rank)
        if cost <= left:
            left -= cost
            ranks[name] += 1
    return ranks


def without_border(model: keras.Model, width: int) -> keras.Model:
    """Return a copy that does not see the images' edges, where nearly nothing is drawn.

    The weights of pixels that are 0 do nothing. Where they are gone, the same number of
    weights allows a higher rank. A convolution has no weights of single pixels: a model
    that begins with one stays as it is.

    Args:
        model: A Functional model whose layers form a chain, of images [height, width].
        width: Pixels that are left out at each of the four edges.

    Raises:
        UserError: If that leaves nothing of the images.
    """
    height_and_width = model.input_shape[1:3]
    if not 0 <= 2 * width < min(height_and_width):
        size = " by ".join(map(str, height_and_width))
        raise UserError(
            f"border={width}: choose 0 or more, and leave some of {size} pixels"
        )
    flatten, first = model.layers[1:3]
    if not isinstance(flatten, keras.layers.Flatten) or width == 0:
        return model
    inputs = keras.Input(model.input_shape[1:])
    hidden = keras.layers.Reshape((*inputs.shape[1:], 1))(inputs)
    hidden = keras.layers.Cropping2D(width)(hidden)
    hidden = keras.layers.Flatten()(hidden)
    kernel = first.kernel.numpy().reshape(*inputs.shape[1:], -1)
    weights = {layer.name: layer.get_weights() for layer in model.layers[2:]}
    seen = kernel[width:-width, width:-width]
    weights[first.name][0] = seen.reshape(hidden.shape[-1], -1)
    for layer in model.layers[2:]:
        part = layer.__class__.from_config(layer.get_config())
        hidden = part(hidden)
        part.set_weights(weights[layer.name])
    return keras.Model(inputs, hidden, name=model.name)


def _size(matrix: np.ndarray, rank: int) -> int:
    """Return the weights of two factors, or of the matrix where those are more."""
    return min(rank * sum(matrix.shape), matrix.size)


def _matrix(layer: keras.Layer) -> np.ndarray:
    """Return a kernel as a matrix: float32 [inputs, units]."""
    return layer.kernel.numpy().reshape(-1, layer.kernel.shape[-1])


def with_low_rank(
    model: keras.Model, factors: LowRank, ranks: Mapping[str, int]
) -> keras.Model:
    """Return a copy in which a wide layer is two thin ones, one after the other.

    A convolution's kernel is taken as a matrix with a column for each filter; its factors
    are a convolution with fewer filters and one of 1 by 1. A layer that the factors would
    make larger stays.

    Args:
        model: A Functional model whose layers form a chain.
        factors: The learner's.
        ranks: By layer; others stay.

    Source: for convolutions Zhang et al., 2015, arXiv:1505.06798, section 3.1.
    """
    hidden = inputs = keras.Input(model.input_shape[1:])
    for layer in model.layers[1:]:
        parts = [(layer.__class__.from_config(layer.get_config()), layer.get_weights())]
        if layer.name in ranks:
            matrix, rank = _matrix(layer), ranks[layer.name]
            if _size(matrix, rank) < matrix.size:
                parts = _two_layers(layer, *factors(matrix, rank))
        for part, weights in parts:
            hidden = part(hidden)
            part.set_weights(weights)
    return keras.Model(inputs, hidden, name=f"{model.name}_thin")


def _two_layers(
    layer: keras.Layer, left: np.ndarray, right: np.ndarray
) -> list[tuple[keras.Layer, list[np.ndarray]]]:
    """Return two layers and their weights in place of a dense or convolutional one."""
    config = layer.get_config()
    thin = {**config, "name": f"{layer.name}_left", "use_bias": False}
    thin["activation"] = "linear"
    wide = {**config, "name": f"{layer.name}_right"}
    if isinstance(layer, keras.layers.Conv2D):
        thin["filters"] = left.shape[1]
        wide |= {"kernel_size": 1, "strides": 1, "padding": "valid"}
        left = left.reshape(*layer.kernel.shape[:3], -1)  # [height, width, in, rank]
        right = right[None, None]  # [1, 1, rank, filters]
    else:
        thin["units"] = left.shape[1]
    weights = [left], [right, *layer.get_weights()[1:]]
    layers = (layer.__class__.from_config(options) for options in (thin, wide))
    return list(zip(layers, weights, strict=True))
