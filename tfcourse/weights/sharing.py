"""Layers whose kernels hold few different values, which can be trained."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from tfcourse.weights.packing import Coded, Packable, Raw, Sparse

# From the gradient of the weights that share, float32 [n], their codes, int32 [n], and the
# number of shared values k, to the gradient of these: float32 [k].
SharedGradient = Callable[[tf.Tensor, tf.Tensor, int], tf.Tensor]
# From weights, float32 [...], to a codebook, float32 [k], and each weight's code, int in
# [-1, k), in the weights' shape; -1 is a weight that is 0.
Cluster = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
PRUNED = -1  # The code of a weight that is 0 and stays 0.


def _lookup(codebook, codes: np.ndarray, gradient: SharedGradient):
    """Return float32 [...]: the shared value of each code, 0 for `PRUNED`."""
    num_values = codebook.shape[0]
    places = np.flatnonzero(codes != PRUNED)  # Few: gradients of zeros are not needed.
    kept = tf.constant(codes.ravel()[places], tf.int32)  # [n]

    @tf.custom_gradient
    def look_up(values):
        flat = tf.scatter_nd(places[:, None], tf.gather(values, kept), [codes.size])

        def backward(kernel_gradient):
            at_places = tf.gather(tf.reshape(kernel_gradient, [-1]), places)  # [n]
            result = tf.convert_to_tensor(gradient(at_places, kept, num_values))
            return tf.ensure_shape(result, [num_values])

        return tf.reshape(flat, codes.shape), backward

    return look_up(tf.convert_to_tensor(codebook))


class _Shared:
    """Adds to a layer: its kernel is looked up in a codebook."""

    def share(self, codebook, codes, gradient: SharedGradient) -> None:
        """Take the codebook, float32 [k], and the codes, int [...kernel's shape].

        To be called before the layer is built.
        """
        self._gradient = gradient
        self._start = np.asarray(codebook, np.float32)
        self.codes = np.asarray(codes, np.int32)  # `PRUNED` for zeros.

    def build(self, input_shape):
        """Make the codebook and the bias."""
        self.codebook = self.add_weight(
            shape=self._start.shape, initializer="zeros", name="codebook"
        )
        self.codebook.assign(self._start)
        self.bias = None
        if self.use_bias:
            size = getattr(self, "units", None) or self.filters
            self.bias = self.add_weight(shape=(size,), initializer="zeros", name="bias")
        self.built = True

    @property
    def kernel(self):
        """The weights, as the layer uses them."""
        return _lookup(self.codebook, self.codes, self._gradient)


class SharedDense(_Shared, keras.layers.Dense):
    """A dense layer with shared weights."""


class SharedConv2D(_Shared, keras.layers.Conv2D):
    """A 2-D convolution with shared weights."""


SHARED = {keras.layers.Dense: SharedDense, keras.layers.Conv2D: SharedConv2D}


def with_shared_kernels(
    model: keras.Model,
    cluster: Cluster,
    gradient: SharedGradient,
) -> keras.Model:
    """Return a copy of the model whose kernels have few values, trained together.

    Args:
        model: A Functional model whose layers form a chain; zeros in its kernels stay.
        cluster: See `Cluster`; it is asked for each dense and convolutional layer.
        gradient: See `SharedGradient`.

    Returns:
        A model with `SharedDense` and `SharedConv2D` in their place. Biases train too.
    """

    def copy(layer):
        if type(layer) not in SHARED:
            return layer.__class__.from_config(layer.get_config())
        twin = SHARED[type(layer)].from_config(layer.get_config())
        twin.share(*cluster(layer.kernel.numpy()), gradient)
        return twin

    twin = keras.models.clone_model(model, clone_function=copy)
    for layer in model.layers:
        if type(layer) in SHARED and layer.use_bias:
            twin.get_layer(layer.name).bias.assign(layer.bias)
        elif type(layer) not in SHARED and layer.weights:
            twin.get_layer(layer.name).set_weights(layer.get_weights())
    return twin


def arrays_to_pack(shared: keras.Model, cluster: Cluster) -> list[Packable]:
    """Return what a file must hold, in the order of the plain model's weights.

    Kernels have codebooks already; biases get some of their own. Other weights are kept
    as they are.
    """
    arrays: list[Packable] = []
    for layer in shared.layers:
        if isinstance(layer, _Shared):
            arrays.append(Coded(layer.codebook.numpy(), layer.codes))
            if layer.use_bias:
                bias = layer.bias.numpy()
                is_zero = not np.any(bias)
                arrays.append(Sparse(bias) if is_zero else Coded(*cluster(bias)))
        else:
            arrays += [Raw(weights) for weights in layer.get_weights()]
    return arrays
