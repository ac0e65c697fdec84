"""What right answers to densenet promise."""

import contextlib
import itertools
import math

import keras
import numpy as np
import tensorflow as tf

from tfcourse.checking import check, explain

TOLERANCE = 3e-3


def new_generator():
    """Return a generator that follows the seed of the checks."""
    return np.random.default_rng(np.random.randint(2**31))


@contextlib.contextmanager
def given(submission, **ours):
    """Let functions of ours stand in for the student's, so that a task stands alone."""
    namespace = getattr(submission, "namespace", None) or vars(submission)
    kept = {name: namespace[name] for name in ours if name in namespace}
    namespace.update(ours)
    try:
        yield
    finally:
        for name in ours:
            del namespace[name]
        namespace.update(kept)


def our_composite(inputs, filters, kernel_size):
    """Return what composite_function() promises."""
    normalised = keras.layers.BatchNormalization(momentum=0.9)(inputs)
    layer = keras.layers.Conv2D(filters, kernel_size, padding="same", use_bias=False)
    return layer(keras.ops.relu(normalised))


def our_layer(inputs, growth_rate):
    """Return what basic_layer() promises."""
    return our_composite(inputs, growth_rate, 3)


def our_block(inputs, num_layers, growth_rate, layer):
    """Return what dense_block() promises."""
    for _ in range(num_layers):
        inputs = keras.ops.concatenate([inputs, layer(inputs, growth_rate)], axis=-1)
    return inputs


def our_transition(inputs, compression):
    """Return what transition() promises."""
    maps = our_composite(inputs, math.floor(compression * inputs.shape[-1]), 1)
    return keras.layers.AveragePooling2D(2)(maps)


def keras_tensor(value):
    """Return a student's tensor, or fail where none comes back."""
    assert keras.backend.is_keras_tensor(value), explain(
        "a Keras tensor comes back, the output of the last layer: call the layers",
        expected="a KerasTensor",
        received=value,
    )
    return value


def expect_shape(tensor, shape, what, mistakes=()):
    """Fail where a tensor has another shape; name the mistake if the shape is one of them.

    Args:
        tensor: With a batch axis.
        shape: Expected, without the batch axis.
        what: Said where the shape is none of the mistakes'.
        mistakes: Pairs of a shape without the batch axis and what is wrong about it.
    """
    received = tuple(tensor.shape)[1:]
    for wrong, mistake in mistakes:
        assert received != tuple(wrong) or received == tuple(shape), explain(
            mistake, expected=(None, *shape), received=(None, *received)
        )
    assert received == tuple(shape), explain(
        what, expected=(None, *shape), received=(None, *received)
    )


def parts_of(model):
    """Return kernels, normalisations (dicts of variables) and other variables by order."""
    kernels, norms, others = [], {}, []
    for variable in model.weights:
        owner, _, name = variable.path.rpartition("/")
        if len(variable.shape) == 4:
            kernels.append(variable)
        elif name in ("gamma", "beta", "moving_mean", "moving_variance"):
            norms.setdefault(owner, {})[name] = variable
        else:
            others.append(variable)
    return kernels, list(norms.values()), others


def channels_of(norm):
    """Return a normalisation's number of channels."""
    return int(next(iter(norm.values())).shape[0])


def check_parts(model, kernel_shapes, num_channels, what):
    """Fail where the model has other weights than these convolutions and normalisations.

    Returns:
        Kernels in the order of `kernel_shapes`, normalisations in that of `num_channels`.
    """
    kernels, norms, others = parts_of(model)
    assert not others, explain(
        f"{what}: the convolutions have no bias, the next normalisation would take it away",
        expected="kernels and normalisations",
        received=[variable.path for variable in others],
    )
    received = [tuple(kernel.shape) for kernel in kernels]
    assert sorted(received) == sorted(kernel_shapes), explain(
        f"{what}: other convolutions than these (height, width, channels in, channels out)",
        expected=kernel_shapes,
        received=received,
    )
    channels = [channels_of(norm) for norm in norms]
    outputs = sorted(shape[-1] for shape in kernel_shapes)
    inputs = sorted(num_channels)
    assert sorted(channels) != outputs or outputs == inputs, explain(
        f"{what}: the normalisation stands behind the convolution; here it comes before, "
        "and has as many channels as the convolution's inputs",
        expected=f"for {inputs} channels",
        received=f"for {sorted(channels)} channels",
    )
    assert sorted(channels) == inputs, explain(
        f"{what}: other normalisations than one in front of each convolution",
        expected=f"for {inputs} channels",
        received=f"for {sorted(channels)} channels",
    )
    assert all(len(norm) == 4 for norm in norms), explain(
        f"{what}: a normalisation trains a scale and a shift, and has two moving averages",
        expected="gamma, beta, moving_mean, moving_variance",
        received=[sorted(norm) for norm in norms],
    )
    return (
        in_order(kernels, lambda kernel: tuple(kernel.shape), kernel_shapes),
        in_order(norms, channels_of, num_channels),
    )


def in_order(items, key, wanted):
    """Return the items by the order of their keys in `wanted`."""
    left, ordered = list(items), []
    for entry in wanted:
        place = next(i for i, item in enumerate(left) if key(item) == entry)
        ordered.append(left.pop(place))
    return ordered


def randomise(rng, kernels, norms):
    """Give all weights random values."""
    for kernel in kernels:
        size = np.sqrt(np.prod(kernel.shape[:3]))
        kernel.assign(rng.normal(0, 1.5 / size, kernel.shape))
    for norm in norms:
        for name, low, high in (
            ("gamma", 0.6, 1.6),
            ("beta", -1, 1),
            ("moving_mean", -1, 1),
            ("moving_variance", 2, 4),  # So large that the epsilon does not matter.
        ):
            norm[name].assign(rng.uniform(low, high, norm[name].shape))


def normalised(inputs, norm):
    """Return the inputs as batch normalisation gives them in inference mode."""
    scale = norm["gamma"] / tf.sqrt(norm["moving_variance"] + 1e-4)
    return (inputs - norm["moving_mean"]) * scale + norm["beta"]


def convolve(inputs, kernel):
    """Return the convolution with zeros around."""
    return tf.nn.conv2d(inputs, kernel.numpy(), 1, "SAME")


def composed(inputs, norm, kernel):
    """Return what a composite function with these weights gives."""
    return convolve(tf.nn.relu(normalised(inputs, norm)), kernel)


def close(received, expected):
    """Tell whether outputs agree, within float32 and whatever epsilon."""
    received, expected = (np.asarray(a, np.float64) for a in (received, expected))
    if received.shape != expected.shape:
        return False
    return bool(np.abs(received - expected).max() < TOLERANCE * np.abs(expected).max())


def judge(received, expected, mistakes, what):
    """Fail unless the outputs are the expected ones; name a mistake if it is one.

    Args:
        received: The student's outputs.
        expected: Right ones.
        mistakes: Outputs by what is wrong about them.
        what: Said where nothing fits.
    """
    if close(received, expected):
        return
    for mistake, outputs in mistakes.items():
        assert not close(received, outputs), mistake
    first = np.asarray(expected, np.float64).ravel()[:4]
    raise AssertionError(
        explain(what, expected=first, received=np.asarray(received).ravel()[:4])
    )


def number_of(value, what):
    """Return a student's whole number, or fail."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole and getattr(value, "shape", None) == ():
        array = np.asarray(value)
        whole = array.dtype.kind in "iu"
    assert whole, explain(f"{what} is a whole number", expected="int", received=value)
    return int(value)


# composite_function ---------------------------------------------------------------------


def composite_model(submission, shape, filters, kernel_size):
    """Return the student's composite function as a model, its kernel and its norm."""
    inputs = keras.Input(shape)
    outputs = keras_tensor(submission.composite_function(inputs, filters, kernel_size))
    height, width, channels = shape
    around = kernel_size - 1
    expect_shape(
        outputs,
        (height, width, filters),
        f"the output of inputs {shape} has another shape",
        [
            (
                (height - around, width - around, filters),
                'zeros around the inputs keep height and width: padding="same"',
            )
        ],
    )
    model = keras.Model(inputs, outputs)
    kernel_shape = (kernel_size, kernel_size, channels, filters)
    (kernel,), (norm,) = check_parts(
        model, [kernel_shape], [channels], "one convolution behind its normalisation"
    )
    return model, kernel, norm


@check(task="composite_function")
def normalisation_then_relu_then_convolution(submission):
    rng = new_generator()
    for shape, filters, kernel_size in (
        ((5, 6, 4), 4, 3),
        ((4, 7, 3), 5, 1),
        ((7, 6, 2), 3, 5),
    ):
        model, kernel, norm = composite_model(submission, shape, filters, kernel_size)
        randomise(rng, [kernel], [norm])
        images = rng.normal(0, 2, (2, *shape)).astype("float32")
        right = composed(images, norm, kernel)
        linear = convolve(normalised(images, norm), kernel)
        mistakes = {
            "the ReLU is missing: normalisation and convolution are linear, one behind the "
            "other": linear,
            "the ReLU stands behind the convolution: its place is before, behind the "
            "normalisation": tf.nn.relu(linear),
            "there is a second ReLU, behind the convolution: the next layer has its own": (
                tf.nn.relu(right)
            ),
            "the ReLU stands before the normalisation: normalise first": convolve(
                normalised(tf.nn.relu(images), norm), kernel
            ),
        }
        if filters == shape[-1]:
            behind = normalised(convolve(images, kernel), norm)
            mistakes[
                "the normalisation stands behind the convolution; here it is first"
            ] = behind
            mistakes[
                "the convolution comes first, as in a classic network: here the order is "
                "normalisation, ReLU, convolution"
            ] = tf.nn.relu(behind)
        judge(
            model(images),
            right,
            mistakes,
            f"inputs {shape}, {kernel_size}x{kernel_size} kernel: this is not a "
            "convolution of the ReLU of the normalised inputs",
        )


@check(task="composite_function")
def in_training_the_batch_counts_and_the_averages_follow(submission):
    rng = new_generator()
    model, kernel, norm = composite_model(submission, (4, 4, 3), 2, 1)
    images = rng.normal(2, 3, (8, 4, 4, 3)).astype("float32")
    received = model(images, training=True)
    mean, variance = images.mean(axis=(0, 1, 2)), images.var(axis=(0, 1, 2))
    right = convolve(tf.nn.relu((images - mean) / np.sqrt(variance)), kernel)
    judge(
        received,
        right,
        {
            "in training mode the normalisation uses moving averages: leave `training` and "
            "`trainable` to Keras": convolve(tf.nn.relu(images), kernel)
        },
        "in training mode this is not a convolution of the normalised batch's ReLU",
    )
    share = float(np.mean(np.asarray(norm["moving_mean"]) / mean))
    assert abs(share - 0.1) < 0.02, explain(
        "the normalisation's momentum is 0.9: a batch moves the averages by a tenth",
        expected=0.1,
        received=share,
    )


@check(task="composite_function")
def the_kernel_starts_as_he_has_it(submission):
    _, kernel, _ = composite_model(submission, (4, 4, 40), 60, 3)
    values = kernel.numpy().astype(np.float64)
    deviation, inputs, outputs = values.std(), 9 * 40, 9 * 60
    right = np.sqrt(2 / inputs)
    for wrong, mistake in (
        (
            np.sqrt(2 / (inputs + outputs)),
            "this is Glorot's start, Keras's default: behind a ReLU the variance must be "
            "2 / (inputs of one output)",
        ),
        (np.sqrt(1 / inputs), "the ReLU needs twice the variance 1 / (inputs)"),
        (
            np.sqrt(2 / outputs),
            "the variance is that of the inputs, fan in, not fan out",
        ),
    ):
        assert abs(deviation / wrong - 1) > 0.04, explain(
            mistake, expected=right, received=deviation
        )
    assert abs(deviation / right - 1) < 0.04, explain(
        "the kernel starts with standard deviation sqrt(2 / inputs of one output)",
        expected=right,
        received=deviation,
    )
    assert np.abs(values).max() > 1.9 * deviation, explain(
        "the kernel starts with normally distributed numbers; these are uniform",
        expected="numbers beyond two standard deviations",
        received=f"at most {np.abs(values).max() / deviation:.2f} of them",
    )
    _, other, _ = composite_model(submission, (4, 4, 40), 60, 3)
    assert not np.allclose(values, other.numpy()), (
        "two convolutions start with the same kernel: a fixed seed, or one layer for all; "
        "each call makes layers of its own"
    )


# bottleneck_layer -----------------------------------------------------------------------


@check(task="bottleneck_layer")
def a_bottleneck_is_two_composite_functions(submission):
    rng = new_generator()
    alone = "the new maps come back alone: dense_block() appends them to the others"
    for shape, rate in (((4, 5, 7), 2), ((5, 4, 3), 3)):
        height, width, channels = shape
        inputs = keras.Input(shape)
        with given(submission, composite_function=our_composite):
            outputs = keras_tensor(submission.bottleneck_layer(inputs, rate))
        expect_shape(
            outputs,
            (height, width, rate),
            f"growth_rate={rate}: so many new maps come back",
            [
                ((height, width, channels + rate), alone),
                (
                    (height, width, 4 * rate),
                    "growth_rate maps come back; four times as many are between the two "
                    "convolutions alone",
                ),
            ],
        )
        model = keras.Model(inputs, outputs)
        shapes = [tuple(kernel.shape) for kernel in parts_of(model)[0]]
        assert shapes != [(3, 3, channels, 4 * rate), (1, 1, 4 * rate, rate)], (
            "the kernels are exchanged: 1x1 first, which makes the 3x3 convolution cheap"
        )
        narrow = [shape[-1] for shape in shapes if shape[:2] == (1, 1)]
        assert narrow in ([], [4 * rate]) or len(narrow) > 1, explain(
            "the 1x1 convolution has four times as many filters as the layer has new maps",
            expected=4 * rate,
            received=narrow[0],
        )
        kernels, norms = check_parts(
            model,
            [(1, 1, channels, 4 * rate), (3, 3, 4 * rate, rate)],
            [channels, 4 * rate],
            "a 1x1 convolution with 4 * growth_rate filters and a 3x3 convolution, each "
            "behind its normalisation",
        )
        randomise(rng, kernels, norms)
        images = rng.normal(0, 2, (2, *shape)).astype("float32")
        hidden = composed(images, norms[0], kernels[0])
        plain = convolve(normalised(images, norms[0]), kernels[0])
        judge(
            model(images),
            composed(hidden, norms[1], kernels[1]),
            {
                "the ReLU behind the second normalisation is missing": convolve(
                    normalised(hidden, norms[1]), kernels[1]
                ),
                "the ReLU behind the first normalisation is missing": composed(
                    plain, norms[1], kernels[1]
                ),
                "there is a ReLU behind the last convolution": tf.nn.relu(
                    composed(hidden, norms[1], kernels[1])
                ),
            },
            "this is not a 3x3 composite function of a 1x1 composite function",
        )


# dense_block ----------------------------------------------------------------------------


class LinearLayers:
    """Stands in for a layer: each call mixes its maps by other constant weights.

    Args:
        rng: Draws the weights.
    """

    def __init__(self, rng):
        self.rng = rng
        self.calls = []  # Number of channels and growth rate.
        self.weights = []  # float32 [channels, growth rate].

    def __call__(self, maps, growth_rate):
        """Return new maps."""
        channels = int(maps.shape[-1])
        weights = self.rng.normal(0, 1 / np.sqrt(channels), (channels, growth_rate))
        self.calls.append((channels, int(growth_rate)))
        self.weights.append(weights.astype("float32"))
        return keras.ops.matmul(maps, self.weights[-1])


def check_calls(calls, channels, num_layers, rate):
    """Fail where a block calls its layer on other maps: calls are of channels and rate."""
    received = [call[0] for call in calls]
    assert calls, (
        "`layer` is never called: the block is made of it, be it basic or bottleneck"
    )
    assert len(calls) == num_layers, explain(
        "layer() is called once for each layer",
        expected=num_layers,
        received=len(received),
    )
    assert all(call[1] == rate for call in calls), explain(
        "layer() gets the growth rate as its second argument",
        expected=[rate] * num_layers,
        received=[call[1] for call in calls],
    )
    expected = [channels + index * rate for index in range(num_layers)]
    rest = range(num_layers - 1)
    for wrong, mistake in (
        (
            [channels, *(rate for _ in rest)],
            "each layer gets the newest maps alone, as in a plain chain; it gets all maps "
            "before it",
        ),
        (
            [channels] * num_layers,
            "each layer gets the block's inputs alone, or a sum; it gets the maps of all "
            "layers before it as well, behind each other",
        ),
        (
            [channels, *((index + 1) * rate for index in rest)],
            "the block's inputs are missing from what later layers get",
        ),
        (
            [channels, *(channels + rate for _ in rest)],
            "each layer gets the inputs and the newest maps; the older ones are missing",
        ),
    ):
        assert received != wrong or wrong == expected, explain(
            mistake, expected=expected, received=received
        )
    assert received == expected, explain(
        "layers get other numbers of channels than inputs + growth_rate for each layer "
        "before",
        expected=expected,
        received=received,
    )


def block_outputs(submission, shape, num_layers, rate, images):
    """Return the student's block of these images, and the layer that stood in."""
    layer = LinearLayers(new_generator())
    inputs = keras.Input(shape)
    with given(submission, composite_function=our_composite):
        outputs = keras_tensor(submission.dense_block(inputs, num_layers, rate, layer))
    check_calls(layer.calls, shape[-1], num_layers, rate)
    height, width, channels = shape
    total = channels + num_layers * rate
    expect_shape(
        outputs,
        (height, width, total),
        "the block returns its inputs and the maps of all layers",
        [
            (
                (height, width, num_layers * rate),
                "the block's inputs are missing from what it returns",
            ),
            ((height, width, rate), "the block returns the last layer's maps alone"),
            (
                (height, width, total - rate),
                "the last layer's maps are missing from what the block returns",
            ),
        ],
    )
    return np.asarray(keras.Model(inputs, outputs)(images), np.float64), layer


@check(task="dense_block")
def every_layer_gets_all_maps_before_it(submission):
    rng = new_generator()
    for shape, num_layers, rate in (
        ((3, 4, 5), 4, 2),
        ((4, 3, 3), 3, 4),
        ((2, 2, 2), 1, 3),
    ):
        images = rng.normal(size=(2, *shape)).astype("float32")
        received, layer = block_outputs(submission, shape, num_layers, rate, images)
        expected, pieces = images.astype(np.float64), [images.astype(np.float64)]
        for weights in layer.weights:
            pieces.append(expected @ weights)
            expected = np.concatenate([expected, pieces[-1]], axis=-1)
        judge(
            received,
            expected,
            newest_first(images, layer.weights)
            | {
                "the inputs stand behind the new maps: channels of the inputs come first": (
                    np.concatenate([*pieces[1:], pieces[0]], axis=-1)
                ),
            },
            "the channels are not the inputs' first, then those of each layer in order",
        )


def newest_first(images, weights):
    """Return the block with new maps in front, by what is wrong about it."""
    maps = images.astype(np.float64)
    for matrix in weights:
        maps = np.concatenate([maps @ matrix, maps], axis=-1)
    return {
        "new maps stand before the old ones: they belong behind, in their order": maps
    }


@check(task="dense_block")
def maps_are_put_behind_each_other_not_added(submission):
    # As many new maps as inputs: here a sum or another axis would raise no error.
    inputs = keras.Input((4, 4, 4))
    with given(submission, composite_function=our_composite):
        outputs = keras_tensor(
            submission.dense_block(inputs, 2, 4, LinearLayers(new_generator()))
        )
    expect_shape(
        outputs,
        (4, 4, 12),
        "the block returns its inputs and the maps of all layers",
        [
            (
                (4, 4, 4),
                "the maps are added, as in a residual network: concatenate them, so that "
                "nothing is lost",
            ),
            (
                (16, 4, 4),
                "the maps are put below each other: channels are the last axis",
            ),
            ((4, 16, 4), "the maps are put side by side: channels are the last axis"),
        ],
    )


# transition -----------------------------------------------------------------------------


POOL = {"ksize": 2, "strides": 2, "padding": "VALID"}


def wrong_transitions(images, norm, kernel):
    """Return what wrong transitions make of the images, by mistake."""
    maps = composed(images, norm, kernel)  # [batch, height, width, filters]
    height, width = maps.shape[1] // 2, maps.shape[2] // 2
    return {
        "the maximum is taken: a transition takes the mean of 2x2 pixels": (
            tf.nn.max_pool2d(maps, **POOL)
        ),
        "three of four pixels are thrown away: take the mean of 2x2": (
            maps[:, : 2 * height : 2, : 2 * width : 2]
        ),
        "the pooling comes first: normalisation and ReLU stand in front of it": (
            composed(tf.nn.avg_pool2d(images, **POOL), norm, kernel)
        ),
        "the ReLU is missing": (
            tf.nn.avg_pool2d(convolve(normalised(images, norm), kernel), **POOL)
        ),
        "there is a ReLU behind the convolution": (
            tf.nn.avg_pool2d(tf.nn.relu(maps), **POOL)
        ),
    }


@check(task="transition")
def a_transition_halves_height_and_width(submission):
    rng = new_generator()
    for shape, compression, filters in (
        ((5, 7, 11), 0.3, 3),
        ((6, 8, 7), 0.5, 3),
        ((4, 4, 3), 1.0, 3),
        ((4, 6, 10), 0.25, 2),
    ):
        height, width, channels = shape
        inputs = keras.Input(shape)
        with given(submission, composite_function=our_composite):
            outputs = keras_tensor(submission.transition(inputs, compression))
        small = height // 2, width // 2
        what = f"inputs {shape}, compression {compression}"
        expect_shape(
            outputs,
            (*small, filters),
            f"{what}: another shape comes back",
            [
                (
                    (*small, filters + 1),
                    f"{what}: the number of channels is rounded down",
                ),
                (
                    (-(-height // 2), -(-width // 2), filters),
                    f"{what}: height and width are rounded down: no padding",
                ),
                ((height, width, filters), f"{what}: the pooling is missing"),
                ((*small, channels), f"{what}: the compression is missing"),
                (
                    (*small, channels - filters),
                    f"{what}: compression is the share that is left, not the share that "
                    "goes",
                ),
            ],
        )
        model = keras.Model(inputs, outputs)
        kernels, norms = check_parts(
            model,
            [(1, 1, channels, filters)],
            [channels],
            "one 1x1 convolution behind its normalisation",
        )
        randomise(rng, kernels, norms)
        images = rng.normal(0, 2, (2, *shape)).astype("float32")
        judge(
            model(images),
            tf.nn.avg_pool2d(composed(images, norms[0], kernels[0]), **POOL),
            wrong_transitions(images, norms[0], kernels[0]),
            f"{what}: this is not the mean over 2x2 pixels of the 1x1 composite function",
        )


# densenet -------------------------------------------------------------------------------


def network_parts(num_layers, rate, compression, stem_filters):
    """Return shapes of kernels and channels of normalisations, in the network's order.

    All of them differ, for the numbers that the checks take.
    """
    channels = stem_filters
    kernels, norms = [(3, 3, 3, channels)], []
    for index, count in enumerate(num_layers):
        if index:
            filters = math.floor(compression * channels)
            kernels.append((1, 1, channels, filters))
            norms.append(channels)
            channels = filters
        for _ in range(count):
            kernels.append((3, 3, channels, rate))
            norms.append(channels)
            channels += rate
    return kernels, [*norms, channels]


def dense_layer(others, features, num_classes):
    """Return kernel and bias of the one dense layer that there should be."""
    dense = [variable for variable in others if len(variable.shape) == 2]
    vectors = [tuple(v.shape) for v in others if len(v.shape) != 2]
    assert len(dense) == 1, explain(
        "one dense layer at the end",
        expected=(features, num_classes),
        received=[tuple(variable.shape) for variable in dense],
    )
    assert tuple(dense[0].shape) == (features, num_classes), explain(
        "the dense layer gets one number for each channel: the mean over height and width",
        expected=(features, num_classes),
        received=tuple(dense[0].shape),
    )
    assert vectors == [(num_classes,)], explain(
        "the dense layer has a bias, the convolutions have none",
        expected=[(num_classes,)],
        received=vectors,
    )
    bias = next(variable for variable in others if len(variable.shape) == 1)
    return dense[0], bias


def check_network_parts(model, settings, num_classes):
    """Fail where a network has other weights; return kernels, norms and dense layer."""
    num_layers, rate, compression, stem_filters = settings
    shapes, channels = network_parts(*settings)
    kernels, norms, others = parts_of(model)
    received = [tuple(kernel.shape) for kernel in kernels]
    norm_channels = sorted(channels_of(norm) for norm in norms)
    features = channels[-1]
    after_last = (1, 1, features, math.floor(compression * features))
    first = shapes[num_layers[0] + 1]  # The first transition.
    for wrong, mistake in (
        (
            sorted(received) == sorted([*shapes, after_last]),
            "there is a transition behind the last block: transitions stand between blocks",
        ),
        (
            not any(shape[0] == 1 for shape in received),
            "the transitions between the blocks are missing",
        ),
        (
            any(s[0] == 1 and s[-1] == 4 * rate and s != first for s in received),
            "the blocks have bottlenecks: they are made of the `layer` that is given",
        ),
        (
            sorted(norm_channels) == sorted([*channels, stem_filters]),
            "the first convolution is normalised: the first layer of the block does that",
        ),
        (
            sorted(norm_channels) == sorted(channels[:-1]),
            "the normalisation behind the last block is missing: its maps have had none",
        ),
    ):
        assert not wrong, explain(
            mistake,
            expected=f"kernels {shapes}",
            received=f"{received}, normalisations for {norm_channels}",
        )
    assert sorted(received) == sorted(shapes), explain(
        f"{settings}: other convolutions (height, width, channels in, channels out)",
        expected=shapes,
        received=received,
    )
    assert norm_channels == sorted(channels), explain(
        "other normalisations than one in front of each convolution but the first, and one "
        "behind the last block",
        expected=sorted(channels),
        received=norm_channels,
    )
    dense, bias = dense_layer(others, features, num_classes)
    ordered = (
        in_order(kernels, lambda kernel: tuple(kernel.shape), shapes),
        in_order(norms, channels_of, channels),
    )
    return *ordered, dense, bias


def network_logits(images, kernels, norms, dense, settings, stem, end):
    """Return the logits of a network with these weights.

    Args:
        images: float32 [batch, height, width, 3].
        kernels: In the network's order.
        norms: Likewise.
        dense: Kernel and bias.
        settings: As for `network_parts`.
        stem: From images and a kernel to the first maps.
        end: From the last maps and the last normalisation to features.
    """
    left, norms_left = iter(kernels), iter(norms)
    maps = stem(images, next(left).numpy())
    for index, count in enumerate(settings[0]):
        if index:
            maps = composed(maps, next(norms_left), next(left))
            maps = tf.nn.avg_pool2d(maps, 2, 2, "VALID")
        for _ in range(count):
            new = composed(maps, next(norms_left), next(left))
            maps = tf.concat([maps, new], axis=-1)
    features = end(maps, next(norms_left))
    return tf.matmul(features, dense[0].value) + dense[1].value


def features_of(maps, norm):
    """Return the mean over height and width of the normalised maps' ReLU."""
    return tf.reduce_mean(tf.nn.relu(normalised(maps, norm)), axis=(1, 2))


def stems(stride):
    """Return first convolutions, with TensorFlow's padding and with zeros on both sides."""
    around = [[0, 0], [1, 1], [1, 1], [0, 0]]
    return [
        lambda images, kernel, sides=sides: tf.nn.conv2d(images, kernel, stride, sides)
        for sides in ("SAME", around)
    ]


@check(task="densenet", timeout_seconds=40)
def blocks_with_transitions_between_them(submission):
    rng = new_generator()
    for shape, settings, stride in (
        ((12, 8, 3), ((2, 1, 2), 3, 0.5, 9), 1),
        ((9, 14, 3), ((1, 2), 2, 0.6, 9), 2),
    ):
        num_layers, rate, compression, stem_filters = settings
        with given(
            submission,
            composite_function=our_composite,
            dense_block=our_block,
            transition=our_transition,
        ):
            arguments = (
                shape,
                4,
                num_layers,
                rate,
                our_layer,
                compression,
                stem_filters,
            )
            options = {} if stride == 1 else {"stem_stride": stride}
            model = submission.densenet(*arguments, **options)
        assert isinstance(model, keras.Model), explain(
            "a Functional model comes back: keras.Model(images, logits)",
            expected="a keras.Model",
            received=model,
        )
        assert model.output_shape == (None, 4), explain(
            "the model returns one logit for each class",
            expected=(None, 4),
            received=model.output_shape,
        )
        kernels, norms, *dense = check_network_parts(model, settings, 4)
        randomise(rng, kernels, norms)
        dense[0].assign(rng.normal(0, 1, dense[0].shape))
        dense[1].assign(rng.normal(0, 1, dense[1].shape))
        images = rng.normal(0, 2, (3, *shape)).astype("float32")
        received = np.asarray(model(images), np.float64)
        judge_network(received, images, (kernels, norms, dense, settings), stride)


def judge_network(received, images, weights, stride):
    """Fail unless these are the logits of a network with these weights."""
    rights = [
        network_logits(images, *weights, stem, features_of) for stem in stems(stride)
    ]
    if any(close(received, right) for right in rights):
        return

    def with_end(end):
        return network_logits(images, *weights, stems(stride)[0], end)

    def active(images, kernel):
        return tf.nn.relu(stems(stride)[0](images, kernel))

    relu = tf.nn.relu
    mistakes = {
        "the logits go through a softmax: the loss has one": tf.nn.softmax(rights[0]),
        "the ReLU behind the last normalisation is missing": with_end(
            lambda maps, norm: tf.reduce_mean(normalised(maps, norm), axis=(1, 2))
        ),
        "the last maps are not normalised before their ReLU": with_end(
            lambda maps, norm: normalised(tf.reduce_mean(relu(maps), axis=(1, 2)), norm)
        ),
        "the largest value of each channel is taken: take the mean": with_end(
            lambda maps, norm: tf.reduce_max(relu(normalised(maps, norm)), axis=(1, 2))
        ),
        "the ReLU stands before the last normalisation": with_end(
            lambda maps, norm: tf.reduce_mean(normalised(relu(maps), norm), axis=(1, 2))
        ),
        "there is a ReLU behind the first convolution: each layer has its own in front": (
            network_logits(images, *weights, active, features_of)
        ),
        "the logits have a ReLU: they may be negative": relu(rights[0]),
    }
    judge(
        received,
        rights[0],
        mistakes,
        f"stem_stride={stride}: these are not the logits of stem, blocks, transitions, "
        "normalisation, ReLU, mean and dense layer",
    )


# cifar_densenet -------------------------------------------------------------------------

NAMES = (
    "input_shape",
    "num_classes",
    "num_layers",
    "growth_rate",
    "layer",
    "compression",
    "stem_filters",
    "stem_stride",
)


def paper_call(submission, depth, rate, bottleneck, compression):
    """Return the arguments with which the student calls densenet(), by name."""
    calls = []
    inputs = keras.Input((2,))
    stand_in_model = keras.Model(inputs, keras.layers.Dense(1)(inputs))

    def densenet(
        input_shape,
        num_classes,
        num_layers,
        growth_rate,
        layer,
        compression,
        stem_filters,
        stem_stride=1,
    ):
        values = locals()
        calls.append({name: values[name] for name in NAMES})
        return stand_in_model

    with given(submission, densenet=densenet):
        model = submission.cifar_densenet(
            depth, rate, bottleneck=bottleneck, compression=compression
        )
    if calls:
        assert model is stand_in_model, explain(
            "the model that densenet() builds comes back",
            expected="a keras.Model",
            received=model,
        )
        return calls[0]
    assert isinstance(model, keras.Model), explain(
        "a model comes back", expected="a keras.Model", received=model
    )
    raise AssertionError("build the network by densenet()")


def has_bottleneck(submission, layer):
    """Tell whether a layer has two convolutions."""
    inputs = keras.Input((4, 4, 3))
    with given(
        submission,
        composite_function=our_composite,
        bottleneck_layer=lambda maps, rate: our_layer(
            our_composite(maps, 4 * rate, 1), rate
        ),
    ):
        model = keras.Model(inputs, keras_tensor(layer(inputs, 2)))
    return len(parts_of(model)[0]) > 1


@check(task="cifar_densenet")
def depth_counts_all_layers_with_weights(submission):
    for depth, rate, bottleneck, compression, num_layers in (
        (40, 12, False, 1.0, 12),
        (100, 24, False, 1.0, 32),
        (100, 12, True, 0.5, 16),
        (250, 24, True, 0.5, 41),
        (10, 6, True, 1.0, 1),
        (7, 5, False, 0.5, 1),
    ):
        call = paper_call(submission, depth, rate, bottleneck, compression)
        what = f"depth {depth}, bottleneck={bottleneck}, compression {compression}"
        try:
            received = [int(count) for count in call["num_layers"]]
        except (TypeError, ValueError):
            received = call["num_layers"]
        for wrong, mistake in (
            (
                (depth - 4) // 3 if bottleneck else (depth - 4) // 6,
                "a bottleneck layer has two convolutions, a basic layer one",
            ),
            (depth // (6 if bottleneck else 3), "four layers are not in the blocks"),
            (depth - 4, "the layers are shared out to three blocks"),
        ):
            assert received != [wrong] * 3 or wrong == num_layers, explain(
                f"{what}: {mistake}", expected=[num_layers] * 3, received=received
            )
        assert received == [num_layers] * 3, explain(
            f"{what}: other layers than these for the three blocks",
            expected=[num_layers] * 3,
            received=received,
        )
        compressed = bottleneck and compression < 1
        stem = 2 * rate if compressed else 16
        assert call["stem_filters"] == stem, explain(
            f"{what}: the first convolution has 2 * growth_rate filters in DenseNet-BC, "
            "with bottlenecks and compression, and 16 in all others",
            expected=stem,
            received=call["stem_filters"],
        )
        for name, expected in (
            ("input_shape", (32, 32, 3)),
            ("num_classes", 10),
            ("growth_rate", rate),
            ("compression", compression),
            ("stem_stride", 1),
        ):
            value = call[name]
            value = tuple(value) if name == "input_shape" else value
            assert value == expected, explain(
                f"{what}: densenet() gets another {name}",
                expected=expected,
                received=value,
            )


@check(task="cifar_densenet")
def the_layers_have_bottlenecks_if_asked(submission):
    for bottleneck in (True, False):
        call = paper_call(submission, 16, 4, bottleneck, 0.5)
        assert has_bottleneck(submission, call["layer"]) == bottleneck, explain(
            f"bottleneck={bottleneck}: densenet() gets the other kind of layer",
            expected="bottleneck_layer" if bottleneck else "basic_layer",
            received=getattr(call["layer"], "__name__", call["layer"]),
        )


@check(task="cifar_densenet")
def other_depths_are_refused(submission):
    for depth, bottleneck in (
        (41, False),
        (99, True),
        (43, True),
        (4, False),
        (4, True),
        (-2, True),
        (1, False),
    ):
        try:
            paper_call(submission, depth, 12, bottleneck, 0.5)
        except ValueError:
            continue
        form = "6 n + 4" if bottleneck else "3 n + 4"
        raise AssertionError(
            explain(
                f"depth {depth}, bottleneck={bottleneck}: a depth that is not {form}, "
                "with n at least 1, is refused",
                expected="a ValueError",
                received="a network",
            )
        )


# num_parameters -------------------------------------------------------------------------


def parameters_of(
    num_layers,
    rate,
    compression,
    stem_filters,
    num_classes,
    *,
    per_norm=2,
    width=4,
    bias=0,
    dense_bias=1,
    last_norm=True,
    last_transition=False,
    compressed=True,
    inner_norm=True,
):
    """Return the sum over all weights, with options for what can be forgotten."""
    sums, channels = [27 * stem_filters + bias * stem_filters], stem_filters
    for index, count in enumerate(num_layers):
        sizes = channels + rate * np.arange(count)  # Channels that each layer gets.
        hidden = width * rate
        sums.append(per_norm * int(sizes.sum()) + hidden * int(sizes.sum()))
        sums.append(count * (per_norm * hidden * inner_norm + 9 * hidden * rate))
        sums.append(count * bias * (hidden + rate))
        channels += count * rate
        if index < len(num_layers) - 1 or last_transition:
            filters = math.floor(compression * channels) if compressed else channels
            sums.append(per_norm * channels + channels * filters + bias * filters)
            channels = filters
    return (
        sum(sums)
        + per_norm * channels * last_norm
        + (channels + dense_bias) * (num_classes)
    )


@check(task="num_parameters")
def every_trained_number_is_counted(submission):
    rng = new_generator()
    cases = [
        ((16, 16, 16), 12, 0.5, 24, 10),
        ((2, 3), 5, 0.5, 7, 4),
        ((3,), 4, 0.5, 6, 2),
    ]
    for _ in range(20):
        layers = tuple(int(n) for n in rng.integers(1, 9, rng.integers(1, 5)))
        rate, stem, classes = (int(n) for n in rng.integers((2, 3, 2), (30, 60, 20)))
        cases.append(
            (layers, rate, float(rng.choice([0.25, 0.5, 0.75, 1.0])), stem, classes)
        )
    mistakes = {
        "a normalisation trains two numbers for each channel; its two moving averages are "
        "not trained": {"per_norm": 4},
        "a normalisation has a scale and a shift: two numbers for each channel": (
            {"per_norm": 1}
        ),
        "the normalisations are missing": {"per_norm": 0},
        "the convolutions have no bias": {"bias": 1},
        "the dense layer has a bias for each class": {"dense_bias": 0},
        "the normalisation behind the last block is missing": {"last_norm": False},
        "the normalisation in front of each 3x3 convolution is missing": (
            {"inner_norm": False}
        ),
        "there is no transition behind the last block": {"last_transition": True},
        "the transitions compress": {"compressed": False},
        "a bottleneck has four times as many filters as the layer has new maps": (
            {"width": 1}
        ),
    }
    for case in cases:
        what = f"num_parameters{case}"
        received = number_of(submission.num_parameters(*case), what)
        expected = parameters_of(*case)
        if received == expected:
            continue
        for mistake, options in mistakes.items():
            assert received != parameters_of(*case, **options), explain(
                f"{what}: {mistake}", expected=expected, received=received
            )
        raise AssertionError(explain(what, expected=expected, received=received))


@check(task="num_parameters")
def the_papers_network_has_point_eight_million(submission):
    received = number_of(
        submission.num_parameters([16, 16, 16], 12, 0.5, 24, 10), "the number"
    )
    assert received == 769_162, explain(
        "DenseNet-BC with L = 100 and k = 12 (0.8 million in the paper's table 2)",
        expected=769_162,
        received=received,
    )


# receptive_fields -----------------------------------------------------------------------


def fields_of(num_layers, stride):
    """Return the fields, walking from one place of the last maps back to the image."""
    fields = []
    for through in (False, True):
        first = last = 0  # Places, in a row, that reach the one.
        for index, count in reversed(list(enumerate(num_layers))):
            first, last = first - count * through, last + count * through
            if index:
                first, last = 2 * first, 2 * last + 1
        fields.append((stride * last + 1) - (stride * first - 1) + 1)
    return tuple(fields)


def wrong_fields(num_layers, stride):
    """Yield wrong answers and what is wrong about them."""
    smallest, largest = fields_of(num_layers, stride)
    yield (largest, smallest), "the smallest comes first, then the largest"
    small, large, jump = 3, 3, stride
    early_small, early_large, early = 3, 3, stride
    bare_small, bare_large, bare = 3, 3, stride
    for index, count in enumerate(num_layers):
        if index:
            small, large, jump = small + jump, large + jump, 2 * jump
            early *= 2
            early_small, early_large = early_small + early, early_large + early
            bare *= 2
        large += 2 * count
        early_large += 2 * early * count
        bare_large += 2 * bare * count
    yield (
        (small, large),
        "behind a stride or a pooling, neighbouring places are further apart in the image: "
        "a convolution adds 2 * jump",
    )
    yield (
        (early_small, early_large),
        "a transition's two pixels are as far apart as before it: add the jump, then "
        "double it",
    )
    yield (
        (bare_small, bare_large),
        "the pooling of a transition sees two places: the field grows by one jump",
    )
    yield (
        (smallest - 2, largest - 2),
        "the first convolution sees 3 pixels before any block",
    )
    if stride != 1:
        yield fields_of(num_layers, 1), "the first convolution's stride counts"
    yield (
        (largest, largest),
        "there is a way past all layers: the smallest field has none of their convolutions",
    )
    rest = num_layers[0]
    yield (
        (smallest + 2 * stride * rest, largest),
        "the smallest field belongs to the way past the layers of *all* blocks",
    )


@check(task="receptive_fields")
def fields_are_those_of_both_ways(submission):
    rng = new_generator()
    cases = [((3,), 1), ((2, 2), 1), ((6, 6, 6), 2), ((2, 1, 3), 2), ((0,), 1)]
    for _ in range(15):
        layers = tuple(int(n) for n in rng.integers(1, 9, rng.integers(1, 5)))
        cases.append((layers, int(rng.integers(1, 4))))
    for layers, stride in cases:
        what = f"receptive_fields({layers}, {stride})"
        answer = submission.receptive_fields(list(layers), stride)
        try:
            smallest, largest = answer
        except (TypeError, ValueError):
            raise AssertionError(
                explain(
                    "two numbers come back: the smallest field and the largest",
                    expected="a pair",
                    received=answer,
                )
            ) from None
        received = number_of(smallest, what), number_of(largest, what)
        expected = fields_of(layers, stride)
        if received == expected:
            continue
        for wrong, mistake in wrong_fields(layers, stride):
            assert received != wrong, explain(
                f"{what}: {mistake}", expected=expected, received=received
            )
        raise AssertionError(explain(what, expected=expected, received=received))


# kept_channels --------------------------------------------------------------------------


def kept_arrays(num_layers, channels, rate, recompute):
    """Return the channels of all arrays that are kept, in one list."""
    arrays = [channels] if recompute else []
    for index in range(num_layers):
        together = channels + index * rate
        if not recompute:
            arrays += [together, together]  # Normalisation, convolution.
        elif index:
            arrays.append(rate)  # The layer's before.
        arrays += [4 * rate, 4 * rate]
    return arrays


def wrong_with_recompute(num_layers, channels, rate, right):
    """Yield wrong answers to what is kept if first halves are computed again."""
    first = sum(channels + index * rate for index in range(num_layers))
    halves = 8 * num_layers * rate
    yield (
        right + rate,
        "the last layer's maps are needed by no layer: the block's output belongs to "
        "what comes behind",
    )
    yield right - channels, "the block's inputs are kept too"
    yield (
        2 * first + halves,
        "with recompute the concatenations are made again, not kept",
    )
    yield (
        first + halves,
        "with recompute the maps are kept once for the whole block, not once for each "
        "layer that needs them",
    )
    yield (
        channels + 2 * (num_layers - 1) * rate + halves,
        "new maps are kept once: what ReLU makes of them is computed again",
    )


def wrong_with_copies(num_layers, channels, rate, right):
    """Yield wrong answers to what is kept if each concatenation is a copy."""
    first = sum(channels + index * rate for index in range(num_layers))
    halves = 8 * num_layers * rate
    total = channels + num_layers * rate
    yield (
        first + halves,
        "the first half keeps two arrays of the concatenation's size: the concatenation "
        "for the normalisation's gradient, and the ReLU's output for the convolution's",
    )
    yield (
        3 * first + halves,
        "the normalisation's output is not kept: the ReLU's gradient is known from its own "
        "output",
    )
    for more in (num_layers * rate, (num_layers - 1) * rate):
        yield (
            right + more,
            "the new maps are not kept a second time: concatenations have copies of them",
        )
    for more in (total, 2 * total):
        yield (
            right + more,
            "the block's output is not the block's: it belongs to what comes behind",
        )
    yield right - channels, "the first layer keeps the block's inputs, too"
    yield (
        2 * (first + num_layers * rate) + halves,
        "layer i, counted from 0, gets channels + i * growth_rate channels, not its own",
    )
    yield (
        2 * num_layers * channels + halves,
        "each layer gets more channels than the one before it",
    )


def wrong_kept(num_layers, channels, rate, recompute):
    """Yield wrong answers and what is wrong about them."""
    right = sum(kept_arrays(num_layers, channels, rate, recompute))
    halves = 8 * num_layers * rate
    yield (
        right - halves,
        "the second half of each layer keeps two arrays of 4 k channels",
    )
    yield (
        right - halves // 2,
        "the second half keeps two arrays of 4 k channels: what its normalisation gets, "
        "and what its convolution gets",
    )
    yield (
        right - 6 * num_layers * rate,
        "the 1x1 convolution makes four times as many maps as the layer adds",
    )
    wrong = wrong_with_recompute if recompute else wrong_with_copies
    yield from wrong(num_layers, channels, rate, right)


@check(task="kept_channels")
def what_the_backward_pass_needs_is_counted(submission):
    rng = new_generator()
    cases = [(4, 7, 3), (16, 24, 12)]
    cases += [
        tuple(int(n) for n in rng.integers((2, 3, 2), (30, 90, 40))) for _ in range(15)
    ]
    cases.append((1, 7, 3))  # Last: it tells few mistakes apart.
    for case, recompute in itertools.product(cases, (False, True)):
        what = f"kept_channels{(*case, recompute)}"
        received = number_of(submission.kept_channels(*case, recompute), what)
        expected = sum(kept_arrays(*case, recompute))
        if received == expected:
            continue
        for wrong, mistake in wrong_kept(*case, recompute):
            assert received != wrong, explain(
                f"{what}: {mistake}", expected=expected, received=received
            )
        raise AssertionError(explain(what, expected=expected, received=received))


# weight_by_source -----------------------------------------------------------------------


def strengths(kernel, scale, num_channels):
    """Return the strength of each source, weight by weight."""
    found, start = [], 0
    for count in num_channels:
        values = [
            abs(float(scale[channel]) * float(weight))
            for channel in range(start, start + count)
            for weight in kernel[0, 0, channel]
        ]
        found.append(values)
        start += count
    return found


@check(task="weight_by_source")
def strengths_are_means_over_a_sources_weights(submission):
    rng = new_generator()
    for num_channels, filters in (((5, 2, 2, 2), 8), ((3,), 4), ((4, 3, 1), 6)):
        channels = sum(num_channels)
        kernel = rng.normal(0, 1, (1, 1, channels, filters)).astype("float32")
        scale = (rng.uniform(0.3, 2, channels) * rng.choice([-1, 1], channels)).astype(
            "float32"
        )
        kept = kernel.copy(), scale.copy()
        answer = submission.weight_by_source(kernel, scale, list(num_channels))
        assert np.array_equal(kept[0], kernel) and np.array_equal(kept[1], scale), (
            "your function changes the arrays that it is given: work on copies"
        )
        try:
            received = None if answer is None else np.asarray(answer, np.float64)
        except (TypeError, ValueError):
            received = None
        shape = (len(num_channels),)
        assert received is not None and received.shape == shape, explain(
            "one number for each source",
            expected=shape,
            received=answer if received is None else received.shape,
        )
        values = strengths(kernel, scale, num_channels)
        expected = np.array([np.mean(v) for v in values])
        judge(
            received,
            expected,
            wrong_strengths(kernel, scale, num_channels),
            f"sources of {num_channels} channels: these are not the means of "
            "|scale * weight|",
        )


def wrong_strengths(kernel, scale, num_channels):
    """Return wrong answers by what is wrong about them."""
    values = strengths(kernel, scale, num_channels)
    expected = np.array([np.mean(v) for v in values])
    ends = np.cumsum(num_channels)[:-1]

    def means(table):
        return np.array([np.mean(part) for part in np.split(table, ends)])

    signed = scale[:, None] * kernel[0, 0]  # [channels, filters]
    per_source = zip(values, num_channels, strict=True)
    return {
        "the normalisation's scale is missing: a weight behind a small scale does little": (
            means(np.abs(kernel[0, 0]))
        ),
        "the mean is of absolute values: weights of both signs cancel": means(signed),
        "take absolute values before the mean, not of it": np.abs(means(signed)),
        "the scale's sign does not matter: take the absolute value of the product": means(
            scale[:, None] * np.abs(kernel[0, 0])
        ),
        "the sum is taken: sources with many channels would seem to be stronger": np.array(
            [np.sum(v) for v in values]
        ),
        "the sum over the channels is taken, and the mean over the filters alone": np.array(
            [np.sum(v) / kernel.shape[-1] for v in values]
        ),
        "the mean is over the channels alone: take it over the filters too": np.array(
            [np.sum(v) / count for v, count in per_source]
        ),
        "the root of the mean square is taken: take the mean of absolute values": np.sqrt(
            means(signed**2)
        ),
        "the strengths are divided by the largest: return them as they are": (
            expected / expected.max()
        ),
        "the strengths are divided by their sum: return them as they are": (
            expected / expected.sum()
        ),
        "the sources are in reverse order": expected[::-1],
    }
