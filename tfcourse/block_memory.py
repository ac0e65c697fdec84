"""What a dense block keeps for its backward pass: counted in graphs, and measured.

    python -m tfcourse.block_memory '{"num_layers": 8, ...}'

runs one block forward and backward in a process of its own, since the largest size that a
process ever had can't be reset, and prints what it took as JSON.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfcourse.errors import UserError

Tensors = Sequence[tf.Tensor]
# Operations that hand an array on without a copy,
SAME_ARRAY = ("Identity", "IdentityN", "StopGradient")
# that look at its shape alone,
SHAPES = ("Shape", "ShapeN", "Size", "Rank")
# and arrays that exist anyway.
NO_MAPS = ("ReadVariableOp", "Const", "VarHandleOp")
NUM_STEPS = 3  # Of which the fastest counts.
FILLER_BYTES = 1_000_000
MOST_FILLERS = 2000
# Windows does not tell how large a process was at most.
CAN_MEASURE = importlib.util.find_spec("resource") is not None


def kept_channels_of(
    compute: Callable[[tf.Tensor], tf.Tensor],
    input_shape: Sequence[int],
    variables: Tensors,
) -> float:
    """Return how many channels TensorFlow keeps from the forward to the backward pass.

    Counted in the graph: arrays of maps that an operation of the forward pass makes and one
    of the backward pass takes, each once; a smaller map counts less.

    Args:
        compute: From maps, float32 [1, height, width, channels], to maps.
        input_shape: Height, width and channels.
        variables: Those whose gradients are wanted too.
    """
    num_forward = 0

    def both(inputs: tf.Tensor) -> list[tf.Tensor]:
        nonlocal num_forward
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = compute(inputs)
        num_forward = len(tf.compat.v1.get_default_graph().get_operations())
        upstream = tf.ones(outputs.shape)
        sources = [inputs, *variables]
        return [g for g in tape.gradient(outputs, sources, upstream) if g is not None]

    spec = tf.TensorSpec((1, *input_shape), tf.float32)
    graph = tf.function(both).get_concrete_function(spec).graph
    operations = graph.get_operations()
    forward = {operation.name for operation in operations[:num_forward]}
    kept: dict[str, int] = {}
    for operation in operations[num_forward:]:
        if operation.type in SHAPES:
            continue
        for tensor in operation.inputs:
            source = _origin(tensor)
            is_map = source.shape.rank == 4 and source.op.type not in NO_MAPS
            if is_map and source.op.name in forward and _is_large(source):
                kept[source.name] = source.shape.num_elements()
    return sum(kept.values()) / (input_shape[0] * input_shape[1])


def _is_large(tensor: tf.Tensor) -> bool:
    """Tell whether an array has pixels: means and variances of channels have none."""
    return tensor.shape[1] > 1 or tensor.shape[2] > 1


def _origin(tensor: tf.Tensor) -> tf.Tensor:
    """Return the tensor whose array this one is."""
    while tensor.op.type in SAME_ARRAY:
        tensor = tensor.op.inputs[tensor.value_index]
    return tensor


def kept_by_model(model: keras.Model) -> float:
    """Return `kept_channels_of` a Keras model in training mode."""
    variables = [variable.value for variable in model.trainable_variables]
    shape = model.input_shape[1:]
    return kept_channels_of(lambda maps: model(maps, training=True), shape, variables)


class BareBlock:
    """A block of bottleneck layers, of TensorFlow's operations alone.

    Args:
        num_layers: Number of layers.
        channels: Of its inputs.
        growth_rate: Maps that each layer adds.
        recompute: Whether the first half of each layer (concatenation, normalisation, ReLU,
            1x1 convolution) is computed again in the backward pass.
    """

    def __init__(
        self, num_layers: int, channels: int, growth_rate: int, *, recompute: bool
    ):
        self.recompute = recompute
        rng = np.random.default_rng(0)

        def kernel(size: int, before: int, after: int) -> tf.Variable:
            scale = np.sqrt(2 / (size * size * before))
            shape = size, size, before, after
            return tf.Variable(rng.normal(0, scale, shape).astype(np.float32))

        self.kernels = [
            (
                kernel(1, channels + index * growth_rate, 4 * growth_rate),
                kernel(3, 4 * growth_rate, growth_rate),
            )
            for index in range(num_layers)
        ]

    @property
    def variables(self) -> list[tf.Variable]:
        """All kernels."""
        return [kernel for pair in self.kernels for kernel in pair]

    def __call__(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return the block's output: float32 [batch, height, width, all channels]."""
        maps = [inputs]
        for narrow, wide in self.kernels:
            first = tf.recompute_grad(_first_half) if self.recompute else _first_half
            hidden = first(tf.convert_to_tensor(narrow), *maps)  # [batch, h, w, 4 k]
            maps.append(_normalised_convolution(hidden, wide))  # [batch, h, w, k]
        return tf.concat(maps, axis=-1)


def _first_half(kernel: tf.Tensor, *maps: tf.Tensor) -> tf.Tensor:
    together = tf.concat(maps, axis=-1) if len(maps) > 1 else maps[0]
    return _normalised_convolution(together, kernel)


def _normalised_convolution(maps: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    mean, variance = tf.nn.moments(maps, axes=(0, 1, 2), keepdims=True)
    normalised = tf.nn.batch_normalization(maps, mean, variance, None, None, 1e-3)
    return tf.nn.conv2d(tf.nn.relu(normalised), kernel, 1, "SAME")


def megabytes(num_channels: float, batch_size: int, size: int) -> float:
    """Return how much so many channels of float32 maps take, in units of 10^6 bytes."""
    return 4 * num_channels * batch_size * size * size / 1e6


def peak_of(**settings: Any) -> dict[str, float]:
    """Return what one block takes, measured in a child process.

    Args:
        **settings: Of `BareBlock`, and `batch_size` and `size` of its maps.

    Returns:
        `megabytes`, by which the process grew at most; `seconds` of one step.

    Raises:
        UserError: If the process fails, for want of memory above all.
    """
    command = [sys.executable, "-m", "tfcourse.block_memory", json.dumps(settings)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["killed"]
        raise UserError(
            f"a block of {settings['num_layers']} layers could not be measured "
            f"({lines[-1]}); if the memory is too small, set peak_layers to smaller ones"
        )
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def measure_peak(settings: dict[str, Any]) -> dict[str, float]:
    """Return what `peak_of` does, of this process, which should have done nothing else."""
    options = dict(settings)
    batch_size, size = options.pop("batch_size"), options.pop("size")
    block = BareBlock(**options)

    @tf.function
    def step(inputs: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = tf.reduce_sum(block(inputs))
        return tape.gradient(loss, [inputs, *block.variables])

    shape = batch_size, size, size, block.kernels[0][0].shape[2]
    inputs = tf.random.stateless_normal(shape, (0, 0))
    step.get_concrete_function(inputs)
    filler = _fill_up()
    before = _largest_size()
    seconds = []
    for _ in range(NUM_STEPS):
        started = time.perf_counter()
        step(inputs)[0].numpy()
        seconds.append(time.perf_counter() - started)
    grown = _largest_size() - before
    del filler
    return {"megabytes": grown / 1e6, "seconds": min(seconds)}


def _largest_size() -> int:
    """Return how many bytes this process had at most."""
    import resource  # Not on Windows.

    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else 1024 * size  # Linux counts kilobytes.


def _fill_up() -> list[np.ndarray]:
    """Return arrays that bring the process to the largest size that it ever had.

    It was larger than it is now, while TensorFlow was imported and the graph made. As long
    as the arrays are held, whatever is added shows.
    """
    before, arrays = _largest_size(), []
    while _largest_size() <= before and len(arrays) < MOST_FILLERS:
        arrays.append(np.ones(FILLER_BYTES, np.uint8))
    return arrays


if __name__ == "__main__":
    print(json.dumps(measure_peak(json.loads(sys.argv[1]))))
