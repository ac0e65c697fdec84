"""What right answers to residual networks promise."""

import contextlib
import itertools

import keras
import numpy as np
import tensorflow as tf

from tfcourse.checking import check, explain

TOLERANCE = 3e-3


def new_generator():
    """Return a generator that follows the seed of the checks."""
    return np.random.default_rng(np.random.randint(2**31))


@contextlib.contextmanager
def given(submission, *names):
    """Let functions of ours stand in for the student's, so that a task stands alone."""
    namespace = getattr(submission, "namespace", None) or vars(submission)
    ours = {"convolution": our_convolution, "normalise": our_normalise}
    kept = {name: namespace[name] for name in names if name in namespace}
    namespace.update({name: ours[name] for name in names})
    try:
        yield
    finally:
        for name in names:
            del namespace[name]
        namespace.update(kept)


def our_convolution(inputs, filters, kernel_size, stride=1):
    """Return what convolution() promises."""
    padding = "same"
    if stride > 1:
        inputs = keras.layers.ZeroPadding2D(kernel_size // 2)(inputs)
        padding = "valid"
    layer = keras.layers.Conv2D(filters, kernel_size, stride, padding, use_bias=False)
    return layer(inputs)


def our_normalise(inputs):
    """Return the inputs after batch normalisation."""
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(inputs)


def our_shortcut(inputs, filters, stride):
    """Return a shortcut without weights that is neither option A nor option B."""
    kept = 0.5 * inputs[:, ::stride, ::stride]
    return keras.ops.pad(kept, [(0, 0), (0, 0), (0, 0), (filters - kept.shape[-1], 0)])


def array(value, shape, what):
    """Return a student's array as finite float64, or fail with what it should have been."""
    try:
        received = None if value is None else np.asarray(value, np.float64)
    except (TypeError, ValueError):
        received = None
    assert received is not None and received.shape == shape, explain(
        f"{what}: the shape is not right",
        expected=shape,
        received=value if received is None else received.shape,
    )
    assert np.isfinite(received).all(), explain(
        f"{what}: some are not finite",
        expected="finite numbers",
        received=f"{np.sum(~np.isfinite(received))} that are not",
    )
    return received


def model_of(build, input_shape, output_shape):
    """Return the student's layers as a model, or fail where no such tensor comes back."""
    inputs = keras.Input(input_shape)
    outputs = build(inputs)
    assert keras.backend.is_keras_tensor(outputs), explain(
        "a Keras tensor comes back, the output of the last layer: call the layers",
        expected="a KerasTensor",
        received=outputs,
    )
    assert tuple(outputs.shape) == (None, *output_shape), explain(
        f"the output of inputs {input_shape} has another shape",
        expected=(None, *output_shape),
        received=tuple(outputs.shape),
    )
    return keras.Model(inputs, outputs)


def parts_of(model):
    """Return kernels, normalisations (four variables each) and other variables by order."""
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


def check_parts(model, kernel_shapes, num_channels, what):
    """Fail where the model has other weights than these convolutions and normalisations.

    Returns:
        Kernels in the order of `kernel_shapes` or, of equal shapes, of their creation, and
        normalisations.
    """
    kernels, norms, others = parts_of(model)
    assert not others, explain(
        f"{what}: convolutions have no bias here, the normalisation behind them has one; "
        "use convolution() and normalise()",
        expected="kernels and normalisations",
        received=[variable.path for variable in others],
    )
    received = [tuple(kernel.shape) for kernel in kernels]
    assert sorted(received) == sorted(kernel_shapes), explain(
        f"{what}: other convolutions than these (height, width, channels in, channels out)",
        expected=kernel_shapes,
        received=received,
    )
    channels = sorted(int(norm["moving_mean"].shape[0]) for norm in norms)
    assert channels == sorted(num_channels), explain(
        f"{what}: other normalisations than one for each convolution",
        expected=f"for {sorted(num_channels)} channels",
        received=f"for {channels} channels",
    )
    left, ordered = list(kernels), []
    for shape in kernel_shapes:
        place = next(i for i, kernel in enumerate(left) if tuple(kernel.shape) == shape)
        ordered.append(left.pop(place))
    return ordered, norms


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
            if name in norm:
                norm[name].assign(rng.uniform(low, high, norm[name].shape))


def convolve(inputs, kernel, stride, centred):
    """Return a convolution with zeros around; `centred` on the pixels 0, stride, ..."""
    around = kernel.shape[0] // 2
    sides = [[0, 0], [around, around], [around, around], [0, 0]]
    return tf.nn.conv2d(inputs, kernel, stride, sides if centred else "SAME")


def normalised(inputs, norm):
    """Return the inputs as batch normalisation gives them in inference mode."""
    scale = norm["gamma"] / tf.sqrt(norm["moving_variance"] + 1e-4)
    return (inputs - norm["moving_mean"]) * scale + norm["beta"]


def close(received, expected):
    """Tell whether outputs agree, within float32 and whatever epsilon."""
    expected = np.asarray(expected, np.float64)
    if received.shape != expected.shape:
        return False
    return bool(np.abs(received - expected).max() < TOLERANCE * np.abs(expected).max())


def orders(items, size_of):
    """Yield the items in all orders that keep the sequence of their sizes."""
    sizes = [size_of(item) for item in items]
    for order in itertools.permutations(items):
        if [size_of(item) for item in order] == sizes:
            yield order


# convolution ----------------------------------------------------------------------------


def convolution_model(submission, input_shape, filters, kernel_size, stride=None):
    """Return the student's convolution as a model and its kernel."""
    options = {} if stride is None else {"stride": stride}
    step = stride or 1
    height, width, channels = input_shape
    model = model_of(
        lambda inputs: submission.convolution(inputs, filters, kernel_size, **options),
        input_shape,
        (-(-height // step), -(-width // step), filters),
    )
    shape = (kernel_size, kernel_size, channels, filters)
    kernels, norms, others = parts_of(model)
    assert not norms, (
        "the convolution comes back alone: normalise() is called where it is needed, for "
        "pre-activation has it before the convolution"
    )
    assert not others, explain(
        "the convolution has a bias: the normalisation behind it takes the mean away, and "
        "has a shift of its own",
        expected="a kernel",
        received=[variable.path for variable in model.weights],
    )
    received = [tuple(kernel.shape) for kernel in kernels]
    assert received == [shape], explain(
        "one kernel (height, width, channels in, channels out)",
        expected=[shape],
        received=received,
    )
    return model, kernels[0]


@check(task="convolution")
def zeros_keep_the_size_and_a_stride_divides_it(submission):
    rng = new_generator()
    for shape, kernel_size, stride in (
        ((6, 9, 2), 3, None),
        ((7, 8, 3), 3, 2),
        ((8, 6, 2), 1, 2),
        ((9, 8, 2), 7, 2),
    ):
        model, kernel = convolution_model(submission, shape, 5, kernel_size, stride)
        randomise(rng, [kernel], [])
        images = rng.normal(size=(2, *shape)).astype("float32")
        received = np.asarray(model(images), np.float64)
        rights = [
            convolve(images, kernel.numpy(), stride or 1, centred)
            for centred in (True, False)
        ]
        for activation in (tf.nn.relu, tf.nn.gelu, tf.nn.silu):
            assert not any(close(received, activation(right)) for right in rights), (
                "the convolution has an activation: it stands alone here, ReLU comes "
                "behind the normalisation"
            )
        assert any(close(received, right) for right in rights), explain(
            f"this is not the convolution of {shape} with a kernel of {kernel_size} and "
            f"stride {stride or 1}, zeros around the image",
            expected=rights[0][0, 0, 0],
            received=received[0, 0, 0],
        )


@check(task="convolution")
def the_kernel_starts_as_he_has_it(submission):
    _, kernel = convolution_model(submission, (8, 8, 40), 60, 3)
    values = kernel.numpy().astype(np.float64)
    deviation, inputs, outputs = values.std(), 9 * 40, 9 * 60
    right = np.sqrt(2 / inputs)
    for wrong, mistake in (
        (
            np.sqrt(2 / (inputs + outputs)),
            "this is Glorot's start, Keras's default: behind a ReLU half of each sum is "
            "lost, and the variance must be twice 1 / (inputs of one output)",
        ),
        (np.sqrt(1 / inputs), "the ReLU needs twice the variance 1 / (inputs)"),
        (
            np.sqrt(2 / outputs),
            "the variance is that of the inputs of one output (fan in), not of the outputs",
        ),
        (np.sqrt(2 / 40), "an output has 9 times as many inputs as there are channels"),
    ):
        assert abs(deviation / wrong - 1) > 0.04, explain(
            mistake, expected=right, received=deviation
        )
    assert abs(deviation / right - 1) < 0.04, explain(
        "the kernel starts with standard deviation sqrt(2 / inputs of one output)",
        expected=right,
        received=deviation,
    )
    assert abs(values.mean()) < 0.05 * right, explain(
        "the kernel starts with mean 0", expected=0.0, received=values.mean()
    )
    assert np.abs(values).max() > 1.9 * deviation, explain(
        "the kernel starts with normally distributed numbers; these are uniform",
        expected="numbers beyond two standard deviations",
        received=f"at most {np.abs(values).max() / deviation:.2f} of them",
    )


@check(task="convolution")
def every_convolution_starts_differently(submission):
    kernels = []
    for _ in range(2):
        _, kernel = convolution_model(submission, (4, 4, 6), 7, 3)
        kernels.append(kernel.numpy())
    assert not np.allclose(*kernels), (
        "two convolutions start with the same kernel: a fixed seed, or one layer for all; "
        "each call makes a layer of its own"
    )


# shortcuts ------------------------------------------------------------------------------


def padded_variants(kept, filters):
    """Yield the pixels with zero channels before and behind them, in all shares."""
    missing = filters - kept.shape[-1]
    for before in range(missing + 1):
        sides = [(0, 0), (0, 0), (0, 0), (before, missing - before)]
        yield np.pad(kept, sides)


@check(task="zero_padded_shortcut")
def pixels_are_left_out_and_channels_filled_with_zeros(submission):
    rng = new_generator()
    for shape, filters, stride in (
        ((6, 8, 3), 7, 2),
        ((7, 5, 2), 4, 2),
        ((4, 4, 3), 6, 1),
        ((4, 6, 3), 3, 2),
        ((9, 7, 2), 4, 3),
    ):
        height, width = (-(-size // stride) for size in shape[:2])
        model = model_of(
            lambda inputs, filters=filters, stride=stride: (
                submission.zero_padded_shortcut(inputs, filters, stride)
            ),
            shape,
            (height, width, filters),
        )
        assert not model.weights, explain(
            "option A has no weights",
            expected="none",
            received=[variable.path for variable in model.weights],
        )
        images = rng.normal(size=(2, *shape)).astype("float32")
        received = np.asarray(model(images), np.float64)
        kept = images[:, ::stride, ::stride]
        if any(
            np.allclose(received, v, atol=1e-6) for v in padded_variants(kept, filters)
        ):
            continue
        pools = {
            "the mean of pixels": tf.nn.avg_pool2d,
            "the maximum of pixels": tf.nn.max_pool2d,
        }
        for what, pool in pools.items():
            pooled = pool(images, stride, stride, "SAME").numpy()
            wrongs = padded_variants(pooled, filters)
            assert not any(
                np.allclose(received, wrong, atol=1e-5) for wrong in wrongs
            ), f"{what} is taken: option A keeps every {stride}nd pixel as it is"
        shifted = images[:, 1::stride, 1::stride]
        if shifted.shape == kept.shape:
            wrongs = padded_variants(shifted, filters)
            assert not any(
                np.allclose(received, wrong, atol=1e-5) for wrong in wrongs
            ), "the pixels are counted from the second on: begin with the first"
        empty = [c for c in range(filters) if not received[..., c].any()]
        assert len(empty) == filters - shape[-1], explain(
            f"{shape[-1]} channels are handed on, the {filters - shape[-1]} new ones are 0 "
            "everywhere",
            expected=f"{filters - shape[-1]} channels of zeros",
            received=f"{len(empty)}",
        )
        raise AssertionError(
            explain(
                f"inputs {shape}, stride {stride}: these are not the pixels "
                f"inputs[:, ::{stride}, ::{stride}] in their order",
                expected=kept[0, 0, 0],
                received=received[0, 0, 0],
            )
        )


@check(task="projection_shortcut")
def a_projection_is_a_normalised_convolution_of_one_pixel(submission):
    rng = new_generator()
    for shape, filters, stride in (((6, 9, 3), 5, 2), ((4, 4, 3), 4, 1)):
        height, width = (-(-size // stride) for size in shape[:2])
        with given(submission, "convolution", "normalise"):
            model = model_of(
                lambda inputs, filters=filters, stride=stride: (
                    submission.projection_shortcut(inputs, filters, stride)
                ),
                shape,
                (height, width, filters),
            )
        kernel_shape = (1, 1, shape[-1], filters)
        kernels, norms = check_parts(
            model, [kernel_shape], [filters], "a 1x1 convolution and its normalisation"
        )
        randomise(rng, kernels, norms)
        images = rng.normal(size=(2, *shape)).astype("float32")
        received = np.asarray(model(images), np.float64)
        linear = images[:, ::stride, ::stride] @ kernels[0].numpy()[0, 0]
        expected = normalised(linear, norms[0])
        assert not close(received, tf.nn.relu(expected)), (
            "the shortcut has a ReLU: it is linear, the ReLU comes after the addition"
        )
        assert close(received, expected), explain(
            f"this is not the normalised 1x1 convolution of every {stride}nd pixel",
            expected=np.asarray(expected)[0, 0, 0],
            received=received[0, 0, 0],
        )


# blocks ---------------------------------------------------------------------------------


def block_model(submission, name, shape, filters, stride, shortcut, expansion=1):
    """Return the student's block as a model, and the calls of the shortcut."""
    calls = []

    def recorded(inputs, filters, stride):
        calls.append((tuple(inputs.shape), filters, stride))
        return shortcut(inputs, filters, stride)

    function = getattr(submission, name)
    given_shortcut = None if shortcut is None else recorded
    with given(submission, "convolution", "normalise"):
        model = model_of(
            lambda inputs: function(inputs, filters, stride, given_shortcut),
            shape,
            (*(-(-size // stride) for size in shape[:2]), expansion * filters),
        )
    changes = stride != 1 or shape[-1] != expansion * filters
    expected = [((None, *shape), expansion * filters, stride)]
    if shortcut is not None:
        assert calls or not changes, explain(
            f"inputs {shape}, stride {stride}: the shape changes, so shortcut(inputs, "
            "filters, stride) must be added, not the inputs",
            expected="one call of shortcut",
            received="none",
        )
        assert changes or not calls, (
            "where the shape stays, the inputs are added as they are: shortcut is called "
            "where stride or channels change it"
        )
        assert calls == (expected if changes else []), explain(
            "shortcut gets the block's inputs, the channels of its output and the stride",
            expected=expected,
            received=calls,
        )
    return model


def skipped(images, filters, stride, shortcut):
    """Return what a block of these inputs adds."""
    if shortcut is None:
        return 0.0
    if stride == 1 and images.shape[-1] == filters:
        return images
    return np.asarray(shortcut(tf.constant(images), filters, stride))


def judge(received, arrangements, mistakes, what):
    """Fail unless the outputs are those of an arrangement; name a mistake if it is one.

    Args:
        received: The student's outputs.
        arrangements: Arguments of the functions: several, where weights can't be told
            apart.
        mistakes: Functions by what is wrong about them; the key None is the right one.
        what: Said where nothing fits.
    """
    right = mistakes[None]
    if any(close(received, right(*arguments)) for arguments in arrangements):
        return
    for mistake, function in mistakes.items():
        if mistake is not None:
            found = any(close(received, function(*a)) for a in arrangements)
            assert not found, mistake
    expected = np.asarray(right(*arrangements[0]), np.float64)
    raise AssertionError(
        explain(what, expected=expected[0, 0, 0], received=received[0, 0, 0])
    )


def channels_of(norm):
    """Return a normalisation's number of channels."""
    return int(norm["moving_mean"].shape[0])


def basic_variants(images, stride, added):
    """Return outputs of a basic block, right and wrong, by what is wrong."""
    relu = tf.nn.relu

    def residual(kernels, norms, centred, inner=relu):
        hidden = inner(
            normalised(convolve(images, kernels[0], stride, centred), norms[0])
        )
        return normalised(convolve(hidden, kernels[1], 1, centred), norms[1])

    def swapped(kernels, norms, centred):
        hidden = normalised(
            relu(convolve(images, kernels[0], stride, centred)), norms[0]
        )
        return relu(
            added + normalised(convolve(hidden, kernels[1], 1, centred), norms[1])
        )

    def normalised_sum(kernels, norms, centred):
        hidden = relu(
            normalised(convolve(images, kernels[0], stride, centred), norms[0])
        )
        total = added + convolve(hidden, kernels[1], 1, centred)
        return relu(normalised(total, norms[1]))

    def late_stride(kernels, norms, centred):
        hidden = relu(normalised(convolve(images, kernels[0], 1, centred), norms[0]))
        end = normalised(convolve(hidden, kernels[1], stride, centred), norms[1])
        return relu(added + end)

    return {
        None: lambda k, n, c: relu(added + residual(k, n, c)),
        "the ReLU stands before the addition: the sum could only grow from block to block; "
        "add first": lambda k, n, c: added + relu(residual(k, n, c)),
        "there is a ReLU before the addition and one after it: the residual must be able "
        "to take something away": lambda k, n, c: relu(added + relu(residual(k, n, c))),
        "the ReLU after the addition is missing": lambda k, n, c: (
            added + residual(k, n, c)
        ),
        "the ReLU between the convolutions is missing: without it they are one": (
            lambda k, n, c: relu(added + residual(k, n, c, tf.identity))
        ),
        "the first ReLU stands before its normalisation": swapped,
        "the sum is normalised: the second normalisation belongs to the convolution, "
        "before the addition": normalised_sum,
        "nothing is added: the inputs don't reach the sum": (
            lambda k, n, c: relu(residual(k, n, c))
        ),
        "the stride belongs to the first convolution": late_stride,
    }


def check_basic(submission, shape, filters, stride, shortcut):
    """Fail where a basic block computes something else."""
    rng = new_generator()
    model = block_model(submission, "basic_block", shape, filters, stride, shortcut)
    shapes = [(3, 3, shape[-1], filters), (3, 3, filters, filters)]
    kernels, norms = check_parts(
        model, shapes, [filters] * 2, "two 3x3 convolutions, each normalised"
    )
    randomise(rng, kernels, norms)
    images = rng.normal(0, 2, (2, *shape)).astype("float32")
    added = skipped(images, filters, stride, shortcut)
    arrangements = [
        (k, n, centred)
        for k in orders([kernel.numpy() for kernel in kernels], np.shape)
        for n in orders(norms, channels_of)
        for centred in (True, False)
    ]
    judge(
        np.asarray(model(images), np.float64),
        arrangements,
        basic_variants(images, stride, added),
        "this is not relu(inputs + residual) with residual = normalise(convolution(relu("
        "normalise(convolution(inputs)))))",
    )


@check(task="basic_block")
def the_inputs_are_added_before_the_last_relu(submission):
    check_basic(submission, (5, 6, 4), 4, 1, our_shortcut)


@check(task="basic_block")
def where_the_shape_changes_the_shortcut_is_added(submission):
    check_basic(submission, (6, 7, 3), 5, 2, our_shortcut)
    check_basic(submission, (4, 5, 3), 4, 1, our_shortcut)
    check_basic(submission, (6, 6, 4), 4, 2, our_shortcut)


@check(task="basic_block")
def without_a_shortcut_the_block_is_plain(submission):
    check_basic(submission, (5, 4, 4), 4, 1, None)
    check_basic(submission, (6, 5, 3), 4, 2, None)


def bottleneck_variants(images, stride, added):
    """Return outputs of a bottleneck block, right and wrong, by what is wrong."""
    relu = tf.nn.relu

    def residual(kernels, norms, centred, strides=(1, stride, 1), inner=(relu, relu)):
        hidden = images
        for place in range(3):
            hidden = convolve(hidden, kernels[place], strides[place], centred)
            hidden = normalised(hidden, norms[place])
            if place < 2:
                hidden = inner[place](hidden)
        return hidden

    def with_options(**options):
        return lambda k, n, c: relu(added + residual(k, n, c, **options))

    return {
        None: with_options(),
        "the stride belongs to the 3x3 convolution: in the first 1x1 convolution three of "
        "four pixels are lost": with_options(strides=(stride, 1, 1)),
        "the stride belongs to the 3x3 convolution, not to the last": with_options(
            strides=(1, 1, stride)
        ),
        "the ReLU stands before the addition": (
            lambda k, n, c: added + relu(residual(k, n, c))
        ),
        "there is a ReLU before the addition and one after it: the residual must be able "
        "to take something away": lambda k, n, c: relu(added + relu(residual(k, n, c))),
        "the ReLU after the addition is missing": lambda k, n, c: (
            added + residual(k, n, c)
        ),
        "the ReLU behind the first convolution is missing": with_options(
            inner=(tf.identity, relu)
        ),
        "the ReLU behind the second convolution is missing": with_options(
            inner=(relu, tf.identity)
        ),
        "the ReLUs between the convolutions are missing": with_options(
            inner=(tf.identity, tf.identity)
        ),
        "nothing is added: the inputs don't reach the sum": (
            lambda k, n, c: relu(residual(k, n, c))
        ),
    }


def check_bottleneck(submission, shape, filters, stride, shortcut):
    """Fail where a bottleneck block computes something else."""
    rng = new_generator()
    model = block_model(
        submission, "bottleneck_block", shape, filters, stride, shortcut, expansion=4
    )
    shapes = [
        (1, 1, shape[-1], filters),
        (3, 3, filters, filters),
        (1, 1, filters, 4 * filters),
    ]
    kernels, norms = check_parts(
        model,
        shapes,
        [filters, filters, 4 * filters],
        "1x1, 3x3 and 1x1 convolutions, each normalised, of which the last has four times "
        "as many channels",
    )
    randomise(rng, kernels, norms)
    images = rng.normal(0, 2, (2, *shape)).astype("float32")
    added = skipped(images, 4 * filters, stride, shortcut)
    norms = sorted(norms, key=channels_of)
    arrangements = [
        ([kernel.numpy() for kernel in kernels], n, centred)
        for n in orders(norms, channels_of)
        for centred in (True, False)
    ]
    judge(
        np.asarray(model(images), np.float64),
        arrangements,
        bottleneck_variants(images, stride, added),
        "this is not relu(inputs + residual) of three normalised convolutions with a ReLU "
        "behind the first two",
    )


@check(task="bottleneck_block")
def three_convolutions_are_added_to_the_inputs(submission):
    check_bottleneck(submission, (4, 5, 12), 3, 1, our_shortcut)


@check(task="bottleneck_block")
def a_bottleneck_changes_the_shape_in_its_middle(submission):
    check_bottleneck(submission, (6, 5, 4), 3, 2, our_shortcut)
    check_bottleneck(submission, (4, 5, 3), 3, 1, our_shortcut)


@check(task="bottleneck_block")
def a_plain_bottleneck_adds_nothing(submission):
    check_bottleneck(submission, (5, 4, 8), 2, 2, None)


def preactivation_variants(images, stride, shortcut):
    """Return outputs of a pre-activation block, right and wrong, by what is wrong."""
    relu = tf.nn.relu

    def residual(kernels, norms, centred, first=None, inner=relu):
        start = relu(normalised(images, norms[0])) if first is None else first(norms[0])
        hidden = convolve(start, kernels[0], stride, centred)
        hidden = inner(normalised(hidden, norms[1]))
        return convolve(hidden, kernels[1], 1, centred)

    def added(inputs, kernels):
        return skipped(np.asarray(inputs), kernels[1].shape[-1], stride, shortcut)

    def total(kernels, norms, centred, **options):
        return added(images, kernels) + residual(kernels, norms, centred, **options)

    def activated(kernels, norms, centred):
        start = relu(normalised(images, norms[0]))
        return added(start, kernels) + residual(kernels, norms, centred)

    def swapped(kernels, norms, centred):
        return total(
            kernels, norms, centred, first=lambda norm: normalised(relu(images), norm)
        )

    return {
        None: total,
        "there is a ReLU after the addition: the sum is handed on as it is": (
            lambda k, n, c: relu(total(k, n, c))
        ),
        "the shortcut starts from the activated inputs: it gets the inputs as they are": (
            activated
        ),
        "the first ReLU stands before its normalisation": swapped,
        "the first ReLU is missing": lambda k, n, c: total(
            k, n, c, first=lambda norm: normalised(images, norm)
        ),
        "the second ReLU is missing": lambda k, n, c: total(k, n, c, inner=tf.identity),
        "nothing is added: the inputs don't reach the sum": residual,
    }


def check_preactivation(submission, shape, filters, stride, shortcut):
    """Fail where a pre-activation block computes something else."""
    rng = new_generator()
    model = block_model(
        submission, "preactivation_block", shape, filters, stride, shortcut
    )
    shapes = [(3, 3, shape[-1], filters), (3, 3, filters, filters)]
    kernels, _, _ = parts_of(model)
    kernels, norms = check_parts(
        model,
        shapes,
        [shape[-1], filters],
        "two 3x3 convolutions, each behind a normalisation of what goes into it",
    )
    randomise(rng, kernels, norms)
    images = rng.normal(0, 2, (2, *shape)).astype("float32")
    arrangements = [
        (k, n, centred)
        for k in orders([kernel.numpy() for kernel in kernels], np.shape)
        for n in itertools.permutations(norms)
        if [channels_of(norm) for norm in n] == [shape[-1], filters]
        for centred in (True, False)
    ]
    judge(
        np.asarray(model(images), np.float64),
        arrangements,
        preactivation_variants(images, stride, shortcut),
        "this is not inputs + convolution(relu(normalise(convolution(relu(normalise("
        "inputs))))))",
    )


@check(task="preactivation_block")
def the_inputs_are_handed_on_unchanged(submission):
    check_preactivation(submission, (5, 6, 4), 4, 1, our_shortcut)


@check(task="preactivation_block")
def preactivation_changes_the_shape_by_the_shortcut(submission):
    check_preactivation(submission, (6, 7, 3), 5, 2, our_shortcut)


@check(task="preactivation_block")
def plain_preactivation_adds_nothing(submission):
    check_preactivation(submission, (5, 4, 3), 4, 2, None)


# networks -------------------------------------------------------------------------------


class Blocks:
    """Stands in for a block: keeps its calls, and has no weights."""

    def __init__(self, expansion=1):
        self.calls = []
        self.shortcuts = []
        self.expansion = expansion

    def __call__(self, inputs, filters, stride, shortcut):
        """Return every stride-th pixel, channels repeated and scaled."""
        self.calls.append((filters, stride))
        self.shortcuts.append(shortcut)
        return self.compute(inputs, filters, stride)

    def compute(self, inputs, filters, stride):
        """Return the same of arrays and of Keras tensors."""
        kept = inputs[:, ::stride, ::stride]
        times = -(-self.expansion * filters // kept.shape[-1])
        return -0.9 * keras.ops.concatenate([kept] * times, axis=-1) + 0.1


def network_model(answer, input_shape, num_classes):
    """Return the student's network, or fail where it is no such model."""
    assert isinstance(answer, keras.Model), explain(
        "a keras.Model comes back", expected="keras.Model", received=answer
    )
    received = tuple(answer.input_shape), tuple(answer.output_shape)
    expected = (None, *input_shape), (None, num_classes)
    assert received == expected, explain(
        "the network does not map images to logits",
        expected=f"{expected[0]} → {expected[1]}",
        received=f"{received[0]} → {received[1]}",
    )
    return answer


def check_calls(blocks, expected, shortcut):
    """Fail where the blocks are other ones than these (filters, stride)."""
    received = blocks.calls
    if received != expected:
        assert len(received) == len(expected), explain(
            "another number of blocks",
            expected=f"{len(expected)} blocks (filters, stride): {expected}",
            received=f"{len(received)}: {received}",
        )
        filters = [call[0] for call in received] == [call[0] for call in expected]
        assert not filters, explain(
            "stride 2 belongs to the first block of each stage but the first, and to no "
            "other",
            expected=[stride for _, stride in expected],
            received=[stride for _, stride in received],
        )
        raise AssertionError(
            explain(
                "the blocks have other filters",
                expected=[filters for filters, _ in expected],
                received=[filters for filters, _ in received],
            )
        )
    assert all(s is shortcut for s in blocks.shortcuts), (
        "each block gets the shortcut that the network was given, the same for all"
    )


def check_frame(model, stem, classes, expected, what):
    """Fail where the network has other weights around its blocks.

    Returns:
        The first kernel, the normalisation, the dense layer's kernel and its bias.
    """
    kernels, norms, others = parts_of(model)
    shapes = [tuple(kernel.shape) for kernel in kernels]
    assert shapes == [stem], explain(
        f"{what}: the first convolution's kernel, and no other outside of the blocks",
        expected=[stem],
        received=shapes,
    )
    dense = [v for v in others if len(v.shape) == 2]
    bias = [v for v in others if len(v.shape) == 1]
    features = expected["features"]
    flat = len(dense) == 1 and dense[0].shape[0] > features
    assert not flat, explain(
        "the dense layer sees every pixel: take the mean over height and width before it",
        expected=(features, classes),
        received=tuple(dense[0].shape) if dense else (),
    )
    assert len(dense) == 1 and len(bias) == 1 and len(others) == 2, explain(
        f"{what}: one convolution without bias before the blocks, and one dense layer "
        "behind them",
        expected=[(features, classes), (classes,)],
        received=[tuple(v.shape) for v in others],
    )
    channels = [channels_of(norm) for norm in norms]
    assert channels == [expected["norm"]], explain(
        f"{what}: one normalisation outside of the blocks; pre-activation has it behind "
        "them, and the others behind the first convolution",
        expected=f"for {expected['norm']} channels",
        received=f"for {channels} channels",
    )
    return kernels[0], norms[0], dense[0], bias[0]


def check_network(model, rng, stem, classes, expected, what):
    """Fail where the network around the blocks computes something else.

    Args:
        model: The student's.
        rng: Draws weights and images.
        stem: Shape of the first kernel.
        classes: Logits.
        expected: "features" and "norm", channels of the last maps and of the one
            normalisation, and "variants": functions of images, kernel, normalisation and
            a flag (centred windows) that return features, by what is wrong; None is right.
        what: Said where the weights are others.
    """
    kernel, norm, dense, bias = check_frame(model, stem, classes, expected, what)
    randomise(rng, [kernel], [norm])
    dense.assign(rng.normal(0, 1, dense.shape))
    bias.assign(rng.normal(0, 3, bias.shape))
    images = rng.normal(0, 1, (3, *model.input_shape[1:])).astype("float32")
    outputs = np.asarray(model(images), np.float64)
    arrangements = [(images, kernel.numpy(), norm, c) for c in (True, False)]
    logits = {
        mistake: [function(*a) @ dense.numpy() + bias.numpy() for a in arrangements]
        for mistake, function in expected["variants"].items()
    }
    if any(close(outputs, right) for right in logits[None]):
        return
    for right in logits[None]:
        assert not close(outputs, tf.nn.softmax(right)), (
            "the outputs are probabilities: logits come back, the loss has the softmax"
        )
        assert not close(outputs, tf.nn.relu(right)), (
            "the logits have a ReLU: the dense layer has no activation"
        )
    for mistake, wrongs in logits.items():
        if mistake is not None:
            assert not any(close(outputs, wrong) for wrong in wrongs), mistake
    raise AssertionError(
        explain(
            f"{what}: with given weights the logits are others",
            expected=np.asarray(logits[None][0])[0],
            received=outputs[0],
        )
    )


def cifar_variants(blocks, preactivation):
    """Return the features of a CIFAR network by what is wrong about them."""
    relu = tf.nn.relu

    def maps(images, kernel, norm, centred, first):
        hidden = first(convolve(images, kernel, 1, centred), norm)
        for filters, stride in blocks:
            hidden = Blocks().compute(hidden, filters, stride)
        return hidden

    def normal(x, norm):
        return relu(normalised(x, norm))

    def alone(x, norm):
        return x

    def mean(x):
        return np.asarray(x).mean(axis=(1, 2))

    if preactivation:
        return {
            None: lambda i, k, n, c: mean(normal(maps(i, k, n, c, alone), n)),
            "the ReLU before the mean is missing": lambda i, k, n, c: mean(
                normalised(maps(i, k, n, c, alone), n)
            ),
        }
    return {
        None: lambda i, k, n, c: mean(maps(i, k, n, c, normal)),
        "the ReLU behind the first convolution is missing": lambda i, k, n, c: mean(
            maps(i, k, n, c, normalised)
        ),
        "the maximum over height and width is taken: take the mean": (
            lambda i, k, n, c: np.asarray(maps(i, k, n, c, normal)).max(axis=(1, 2))
        ),
    }


def check_cifar(submission, depth, preactivation):
    """Fail where a network of so many layers is another one."""
    rng = new_generator()
    blocks, shortcut = Blocks(), object()
    options = {"preactivation": True} if preactivation else {}
    with given(submission, "convolution", "normalise"):
        answer = submission.cifar_resnet(
            (8, 12, 3), 7, depth, blocks, shortcut, **options
        )
    model = network_model(answer, (8, 12, 3), 7)
    count = (depth - 2) // 6
    expected = [
        (filters, 2 if index == 0 and filters > 16 else 1)
        for filters in (16, 32, 64)
        for index in range(count)
    ]
    check_calls(blocks, expected, shortcut)
    promises = {
        "features": 64,
        "norm": 64 if preactivation else 16,
        "variants": cifar_variants(expected, preactivation),
    }
    what = f"depth {depth}, preactivation={preactivation}"
    check_network(model, rng, (3, 3, 3, 16), 7, promises, what)


@check(task="cifar_resnet")
def three_stages_of_blocks_stand_between_convolution_and_mean(submission):
    check_cifar(submission, 8, False)
    check_cifar(submission, 20, False)


@check(task="cifar_resnet")
def preactivation_normalises_at_the_end(submission):
    check_cifar(submission, 14, True)


@check(task="cifar_resnet")
def other_depths_are_refused(submission):
    with given(submission, "convolution", "normalise"):
        for depth in (18, 21, 2):
            try:
                submission.cifar_resnet((8, 8, 3), 4, depth, Blocks(), None)
            except ValueError:
                continue
            raise AssertionError(
                explain(
                    f"depth {depth} is not 6 n + 2 with n at least 1: such a network does "
                    "not exist, say so by a ValueError",
                    expected="ValueError",
                    received="a network",
                )
            )


def imagenet_variants(blocks, expansion):
    """Return the features of an ImageNet network by what is wrong about them."""
    relu = tf.nn.relu
    stand_in = Blocks(expansion)

    def features(pool, first=None):
        def compute(images, kernel, norm, centred):
            hidden = normalised(convolve(images, kernel, 2, centred), norm)
            hidden = pool(relu(hidden) if first is None else hidden)
            for filters, stride in blocks:
                hidden = stand_in.compute(hidden, filters, stride)
            return np.asarray(hidden).mean(axis=(1, 2))

        return compute

    def largest(maps):
        return tf.nn.max_pool2d(maps, 3, 2, "SAME")

    def other_windows(maps):
        return tf.nn.max_pool2d(
            tf.pad(maps, [[0, 0], [1, 1], [1, 1], [0, 0]]), 3, 2, "VALID"
        )

    return (
        {
            None: features(largest),
            "the mean is taken in the beginning: it is the maximum of 3x3 pixels": features(
                lambda maps: tf.nn.avg_pool2d(maps, 3, 2, "SAME")
            ),
            "the maximum is that of 2x2 pixels: it is taken of 3x3": features(
                lambda maps: tf.nn.max_pool2d(maps, 2, 2, "SAME")
            ),
            "the first ReLU is missing": features(largest, tf.identity),
        },
        features(other_windows),
    )


def check_imagenet(submission, shape, num_blocks, expansion):
    """Fail where a network of such stages is another one."""
    rng = new_generator()
    blocks, shortcut = Blocks(expansion), object()
    with given(submission, "convolution", "normalise"):
        answer = submission.imagenet_resnet(shape, 5, num_blocks, blocks, shortcut)
    model = network_model(answer, shape, 5)
    expected = [
        (filters, 2 if index == 0 and filters > 64 else 1)
        for filters, count in zip((64, 128, 256, 512), num_blocks, strict=True)
        for index in range(count)
    ]
    check_calls(blocks, expected, shortcut)
    variants, other = imagenet_variants(expected, expansion)
    promises = {"features": 512 * expansion, "norm": 64, "variants": variants}
    arguments = model, rng, (7, 7, shape[-1], 64), 5
    what = f"stages of {num_blocks} blocks"
    try:
        check_network(*arguments, promises, what)
    except AssertionError:
        try:  # Other windows of the maximum are as right.
            check_network(*arguments, promises | {"variants": {None: other}}, what)
        except AssertionError:
            pass
        else:
            return
        raise


@check(task="imagenet_resnet")
def four_stages_follow_a_large_convolution_and_a_maximum(submission):
    check_imagenet(submission, (40, 48, 3), (2, 2, 2, 2), 1)


@check(task="imagenet_resnet")
def stages_have_the_lengths_that_are_asked_for(submission):
    check_imagenet(submission, (33, 40, 1), (1, 3, 2, 1), 4)


# num_parameters -------------------------------------------------------------------------


def layer_sizes(depth):
    """Return (channels in, channels out) of all convolutions."""
    count = (depth - 2) // 6
    widths = [3, 16, *[16] * 2 * count, *[32] * 2 * count, *[64] * 2 * count]
    return list(itertools.pairwise(widths))


@check(task="num_parameters")
def parameters_are_counted_layer_by_layer(submission):
    for depth, num_classes in ((20, 10), (56, 10), (8, 3), (32, 100), (110, 10)):
        sizes = layer_sizes(depth)
        kernels = sum(9 * before * after for before, after in sizes)
        outputs = sum(after for _, after in sizes)
        dense = 65 * num_classes
        expected = kernels + 2 * outputs + dense
        value = submission.num_parameters(depth, num_classes)
        received = array(value, (), "one number")
        projection = 16 * 32 + 32 * 64 + 2 * (32 + 64)
        for wrong, mistake in (
            (kernels + dense, "each normalisation trains two numbers for each channel"),
            (
                kernels + 4 * outputs + dense,
                "the moving mean and variance are not trained, only scale and shift are",
            ),
            (
                kernels + 3 * outputs + dense,
                "the convolutions have no bias: scale and shift are all",
            ),
            (
                kernels + outputs + dense,
                "a normalisation has a scale and a shift for each channel: two numbers",
            ),
            (expected - num_classes, "the dense layer has a bias"),
            (expected - dense, "the dense layer is missing"),
            (
                expected + projection,
                "these are the 1x1 convolutions of option B: option A has no weights",
            ),
            (expected + projection - 192, "option A has no weights"),
            (expected - 9 * 3 * 16 - 32, "the first convolution is missing"),
            (expected - 9 * 3 * 16, "the first convolution is missing"),
        ):
            assert received != wrong, explain(
                f"depth {depth}, {num_classes} classes: {mistake}",
                expected=expected,
                received=int(received),
            )
        assert received == expected, explain(
            f"depth {depth}, {num_classes} classes: kernels have {kernels:,} numbers, "
            f"normalisations {2 * outputs:,}, the dense layer {dense:,}",
            expected=expected,
            received=value,
        )


# gradient_norms -------------------------------------------------------------------------


@check(task="gradient_norms")
def the_norm_is_that_of_the_closed_form(submission):
    rng = new_generator()
    inputs = keras.Input((4, 5, 3))
    layer = keras.layers.Conv2D(6, 1, use_bias=False)
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(layer(inputs)))
    layer.kernel.assign(rng.normal(0, 1, (1, 1, 3, 6)))
    images = rng.normal(1, 1, (8, 4, 5, 3)).astype("float32")
    labels = rng.integers(0, 6, 8)
    means = images.mean(axis=(1, 2))  # [8, 3]
    logits = means @ layer.kernel.numpy()[0, 0]
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    gradient = means.T @ (shares - np.eye(6)[labels]) / 8
    expected = np.linalg.norm(gradient)
    received = array(
        submission.gradient_norms(model, tf.constant(images), tf.constant(labels)),
        (1,),
        "one norm for each kernel",
    )[0]
    for wrong, mistake in (
        (expected**2, "the norm is the root of the sum of squares"),
        (8 * expected, "the loss is the mean over the batch, not the sum"),
        (expected / np.sqrt(18), "the norm is not divided by the number of weights"),
        (
            np.abs(gradient).sum(),
            "this is the sum of absolute values: squares are summed",
        ),
        (np.abs(gradient).max(), "this is the largest entry: squares are summed"),
        (
            np.linalg.norm(layer.kernel),
            "this is the norm of the kernel, not its gradient",
        ),
    ):
        assert not np.isclose(received, wrong, rtol=1e-3), explain(
            mistake, expected=expected, received=received
        )
    assert np.isclose(received, expected, rtol=1e-3), explain(
        "one 1x1 convolution and the mean: the gradient of the cross-entropy is the mean "
        "of (softmax(logits) - one-hot label) times the mean pixel",
        expected=expected,
        received=received,
    )


def network_with_norms(rng):
    """Return a small model with two convolutions, normalisations and a frozen kernel."""
    inputs = keras.Input((6, 6, 2))
    hidden = keras.layers.Conv2D(3, 3, padding="same")(inputs)
    hidden = keras.layers.ReLU()(keras.layers.BatchNormalization()(hidden))
    frozen = keras.layers.Conv2D(3, 1, use_bias=False)
    hidden = keras.layers.Conv2D(4, 3, use_bias=False)(frozen(hidden))
    hidden = keras.layers.ReLU()(keras.layers.BatchNormalization()(hidden))
    features = keras.layers.GlobalAveragePooling2D()(hidden)
    model = keras.Model(inputs, keras.layers.Dense(5)(features))
    frozen.trainable = False
    for variable in model.weights:
        if variable.path.rpartition("/")[2] == "moving_variance":
            variable.assign(rng.uniform(3, 9, variable.shape))
        elif len(variable.shape) == 1:
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    return model


def norms_by_tape(model, variables, images, labels, training):
    """Return the norms of the gradients of the mean cross-entropy."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    kept = [variable.numpy() for variable in model.weights]
    with tf.GradientTape() as tape:
        value = loss(labels, model(images, training=training))
    gradients = tape.gradient(value, variables)
    for variable, before in zip(model.weights, kept, strict=True):
        variable.assign(before)
    return np.array([np.linalg.norm(gradient) for gradient in gradients])


@check(task="gradient_norms")
def gradients_are_those_of_training_mode(submission):
    rng = new_generator()
    model = network_with_norms(rng)
    images = rng.normal(0, 1, (7, 6, 6, 2)).astype("float32")
    labels = rng.integers(0, 5, 7)
    variables = model.trainable_variables
    kernels = [v for v in variables if len(v.shape) == 4]
    before = [variable.numpy() for variable in variables]
    value = submission.gradient_norms(model, images, labels)
    after = [variable.numpy() for variable in variables]
    assert all(map(np.array_equal, before, after)), (
        "the weights are others afterwards: the gradient is measured, nothing is trained"
    )
    try:
        shape = np.shape(value)
    except (TypeError, ValueError):
        shape = None
    for count, mistake in (
        (len(variables), "all variables are counted: take the kernels of convolutions"),
        (3, "kernels of convolutions alone, the trainable ones: four axes"),
    ):
        assert shape != (count,), explain(mistake, expected=(2,), received=shape)
    received = array(value, (2,), "one norm for each trainable kernel of a convolution")
    expected = norms_by_tape(model, kernels, images, labels, True)
    inference = norms_by_tape(model, kernels, images, labels, False)
    assert not np.allclose(received, inference, rtol=1e-2), explain(
        "batch normalisation used its moving averages: call the model with training=True",
        expected=expected,
        received=received,
    )
    assert not np.allclose(received, expected[::-1], rtol=1e-2), explain(
        "the order is that of the model's variables, from the image to the classes",
        expected=expected,
        received=received,
    )
    assert np.allclose(received, expected, rtol=1e-2), explain(
        "these are not the norms of the gradients of the mean cross-entropy",
        expected=expected,
        received=received,
    )


# learning_rate --------------------------------------------------------------------------


def expected_rates(steps, num_steps, warmup_steps, peak):
    """Return the rates in float64."""
    steps = np.asarray(steps, np.float64)
    share = np.minimum((steps - warmup_steps) / (num_steps - warmup_steps), 1)
    falling = peak * (1 + np.cos(np.pi * share)) / 2
    return np.where(steps < warmup_steps, peak * (steps + 1) / warmup_steps, falling)


def rates_of(submission, steps, *arguments):
    """Return the student's rates of these steps."""
    rates = [submission.learning_rate(step, *arguments) for step in steps]
    return array(
        [array(rate, (), "one rate") for rate in rates], (len(steps),), "rates"
    )


@check(task="learning_rate")
def the_rate_rises_in_a_line_and_falls_as_a_cosine(submission):
    rng = new_generator()
    for num_steps, warmup_steps in ((60, 12), (35, 1), (20, 10)):
        peak = float(rng.uniform(0.05, 0.5))
        settings = (num_steps, warmup_steps, peak)
        steps = np.arange(num_steps + 1)
        received = rates_of(submission, [tf.constant(s) for s in steps], *settings)
        expected = expected_rates(steps, *settings)
        share = np.clip((steps - warmup_steps) / (num_steps - warmup_steps), 0, 1)
        whole = steps / num_steps
        warm = steps < warmup_steps
        falling = {
            "the cosine begins with the warm-up: t is 0 where the warm-up ends": (
                peak * (1 + np.cos(np.pi * whole)) / 2
            ),
            "the rate falls in a line: it is a half cosine": peak * (1 - share),
            "a quarter of a cosine's wave falls to 0: take a half, (1 + cos(pi t)) / 2": (
                peak * np.cos(np.pi * share / 2)
            ),
            "this is a whole wave of the cosine: it rises again": (
                peak * (1 + np.cos(2 * np.pi * share)) / 2
            ),
            "the rate does not fall": np.full(len(steps), peak),
        }
        for mistake, wrong in falling.items():
            assert not np.allclose(received[~warm], wrong[~warm], atol=1e-4), explain(
                mistake,
                expected=expected[warmup_steps:][:4],
                received=received[warmup_steps:][:4],
            )
        if warmup_steps > 1:
            rising = {
                "the rate is 0 in the first step: take (step + 1) / warmup_steps": (
                    peak * steps / warmup_steps
                ),
                "there is no warm-up": expected_rates(steps, num_steps, 0, peak),
                "the warm-up stays at the peak": np.full(len(steps), peak),
                "the warm-up forgets the peak": (steps + 1) / warmup_steps,
            }
            for mistake, wrong in rising.items():
                assert not np.allclose(received[warm], wrong[warm], atol=1e-4), explain(
                    mistake, expected=expected[warm][:4], received=received[warm][:4]
                )
        place = int(np.argmax(np.abs(received - expected)))
        assert np.allclose(received, expected, atol=1e-4), explain(
            f"step {place} of {num_steps} with {warmup_steps} for the warm-up, peak "
            f"{peak:.3g}",
            expected=expected[place],
            received=received[place],
        )


@check(task="learning_rate")
def the_rate_stays_at_zero_after_the_end(submission):
    settings = (30, 5, 0.4)
    steps = [30, 31, 45, 80]
    received = rates_of(submission, [tf.constant(s) for s in steps], *settings)
    assert np.allclose(received, 0, atol=1e-6), explain(
        "after the last step the rate is 0: the cosine would rise again, or fall below 0",
        expected=[0.0] * 4,
        received=received,
    )


@check(task="learning_rate")
def graphs_and_numbers_give_the_same_rate(submission):
    settings = (40, 8, 0.25)
    steps = [0, 3, 7, 8, 20, 39, 44]
    expected = expected_rates(steps, *settings)
    received = rates_of(submission, steps, *settings)
    assert np.allclose(received, expected, atol=1e-4), explain(
        "the step may be a number as well as a tensor",
        expected=expected,
        received=received,
    )
    for dtype in (tf.int64, tf.int32):
        traced = tf.function(
            lambda step: submission.learning_rate(step, *settings),
            input_signature=[tf.TensorSpec((), dtype)],
            autograph=False,  # As in Keras's training step.
        )
        try:
            received = [traced(tf.constant(step, dtype)) for step in steps]
        except tf.errors.OperatorNotAllowedInGraphError:
            raise AssertionError(
                "in a graph the step has no value yet that an `if` could ask for: compute "
                "both branches and choose by tf.where"
            ) from None
        received = array(received, (7,), "rates")
        assert np.allclose(received, expected, atol=1e-4), explain(
            f"in a graph, the step a tensor of {dtype.name}, the rates are others",
            expected=expected,
            received=received,
        )


# decaying_sgd ---------------------------------------------------------------------------


def optimizer_of(submission, *arguments):
    """Return the student's optimizer, or fail."""
    optimizer = submission.decaying_sgd(*arguments)
    assert isinstance(optimizer, keras.optimizers.Optimizer), explain(
        "an optimizer comes back", expected="keras.optimizers.SGD", received=optimizer
    )
    return optimizer


def some_variables(rng):
    """Return variables of a small model by their names."""
    inputs = keras.Input((4, 4, 2))
    hidden = keras.layers.Conv2D(3, 3)(inputs)
    hidden = keras.layers.BatchNormalization()(hidden)
    model = keras.Model(inputs, keras.layers.Dense(3)(hidden))
    for variable in model.trainable_variables:
        variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    return model.trainable_variables


@check(task="decaying_sgd")
def kernels_decay_and_nothing_else_does(submission):
    rng = new_generator()
    variables = some_variables(rng)
    before = [variable.numpy() for variable in variables]
    optimizer = optimizer_of(submission, 0.2, 0.0, 0.05)
    zeros = [tf.zeros(variable.shape) for variable in variables]
    optimizer.apply(zeros, variables)
    shares = {}
    for variable, start in zip(variables, before, strict=True):
        lost = 1 - variable.numpy() / start
        shares.setdefault(variable.path.rpartition("/")[2], []).append(lost.mean())
    for name, mistake in (
        ("gamma", "the scale of a normalisation (gamma) decays: it is no kernel"),
        ("beta", "the shift of a normalisation (beta) decays: it is no kernel"),
        ("bias", "biases decay: only kernels do"),
    ):
        assert np.allclose(shares[name], 0, atol=1e-5), explain(
            mistake, expected=0.0, received=shares[name]
        )
    assert not np.allclose(shares["kernel"], 0, atol=1e-5), (
        "without a gradient the kernels stay as they are: they must decay"
    )
    assert not np.allclose(shares["kernel"], 0.05, rtol=1e-2), explain(
        "the kernels lose weight_decay of themselves: it is multiplied by the rate",
        expected=0.2 * 0.05,
        received=shares["kernel"],
    )
    assert np.allclose(shares["kernel"], 0.01, rtol=1e-2), explain(
        "a step without gradient takes rate * weight_decay of each kernel away",
        expected=0.2 * 0.05,
        received=shares["kernel"],
    )


def nesterov_path(start, gradients, rates, momentum):
    """Return a variable after steps of Nesterov's method."""
    value, speed = start, np.zeros_like(start)
    for gradient, rate in zip(gradients, rates, strict=True):
        speed = momentum * speed - rate * gradient
        value = value + momentum * speed - rate * gradient
    return value


def heavy_ball_path(start, gradients, rates, momentum):
    """Return a variable after steps with momentum, not Nesterov's."""
    value, speed = start, np.zeros_like(start)
    for gradient, rate in zip(gradients, rates, strict=True):
        speed = momentum * speed - rate * gradient
        value = value + speed
    return value


@check(task="decaying_sgd")
def steps_are_those_of_nesterov(submission):
    rng = new_generator()
    gradients = rng.normal(0, 1, (3, 4)).astype("float32")
    start = rng.normal(0, 1, 4).astype("float32")
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([1], [0.3, 0.1])
    for rate, rates in ((0.2, (0.2, 0.2, 0.2)), (schedule, (0.3, 0.3, 0.1))):
        variable = keras.Variable(start, name="kernel")
        optimizer = optimizer_of(submission, rate, 0.8, 0.0)
        for gradient in gradients:
            optimizer.apply([tf.constant(gradient)], [variable])
        received = np.asarray(variable, np.float64)
        expected = nesterov_path(start, gradients, rates, 0.8)
        for wrong, mistake in (
            (
                heavy_ball_path(start, gradients, rates, 0.8),
                "this is momentum without Nesterov's look ahead: nesterov=True",
            ),
            (nesterov_path(start, gradients, rates, 0.0), "there is no momentum"),
            (
                nesterov_path(start, gradients, rates, 0.9),
                "the momentum is not the one that was given",
            ),
        ):
            assert not np.allclose(received, wrong, atol=1e-5), explain(
                mistake, expected=expected, received=received
            )
        assert np.allclose(received, expected, atol=1e-4), explain(
            "three steps of Nesterov's method without decay end elsewhere",
            expected=expected,
            received=received,
        )
