"""What right answers to convolutional_networks promise."""

import contextlib
import math
from unittest import mock

import keras
import numpy as np
import tensorflow as tf

from tfcourse.checking import check, explain
from tfcourse.layer_lists import Layer, keras_layer, measured_fields


def new_generator():
    """Return a generator that follows the seed of the checks."""
    return np.random.default_rng(np.random.randint(2**31))


def array(value, shape, what):
    """Return a student's array as float64, or fail with what it should have been."""
    try:
        received = None if value is None else np.asarray(value, np.float64)
    except (TypeError, ValueError):
        received = None
    assert received is not None and received.shape == tuple(shape), explain(
        f"{what}: the shape is not right",
        expected=tuple(shape),
        received=value if received is None else received.shape,
    )
    return received


def finite(value, shape, what):
    """Return a student's array of finite numbers, or fail."""
    received = array(value, shape, what)
    assert np.isfinite(received).all(), explain(
        f"{what}: some are not finite",
        expected="finite numbers",
        received=f"{np.sum(~np.isfinite(received))} that are not",
    )
    return received


def close(first, second, tolerance=1e-4):
    """Tell whether two arrays have one shape and nearly the same numbers."""
    return np.shape(first) == np.shape(second) and np.allclose(
        first, second, rtol=tolerance, atol=tolerance
    )


@contextlib.contextmanager
def with_right(function, **names):
    """Let the student's function find right answers to other tasks under their names.

    A check is about its own task, whatever became of the others.
    """
    known = getattr(function, "__globals__", None)
    if known is None:
        yield
        return
    with mock.patch.dict(known, names):
        yield


# pad_sizes ------------------------------------------------------------------------------


def tensorflow_padding(size, window, stride):
    """Return what TensorFlow's "SAME" adds, read off the patches that it makes."""
    line = tf.ones((1, size, 1), tf.float64)
    taps = tf.eye(window, dtype=tf.float64)[
        :, None
    ]  # One filter for each place in the window.
    patches = tf.nn.conv1d(line, taps, stride, "SAME")[0].numpy()  # [positions, window]
    return int(np.argmax(patches[0] > 0)), int(np.argmax(patches[-1][::-1] > 0))


def right_pad_sizes(size, window, stride, padding):
    """Return the padding, as the course's solution does."""
    if padding == "valid":
        return 0, 0
    total = max((math.ceil(size / stride) - 1) * stride + window - size, 0)
    return total // 2, total - total // 2


def pads_of(submission, *arguments):
    """Return the student's padding: two whole numbers."""
    answer = submission.pad_sizes(*arguments)
    try:
        numbers = [float(number) for number in answer]
    except (TypeError, ValueError):
        numbers = []
    assert len(numbers) == 2, explain(
        "two numbers come back: padding before and after",
        expected="a pair of whole numbers",
        received=answer,
    )
    whole = all(isinstance(n, int | np.integer) for n in answer) or (
        np.asarray(answer).dtype.kind in "iu"
    )
    assert whole, explain(
        "padding is counted in whole pixels: divide with //",
        expected="int",
        received=answer,
    )
    first, second = (int(number) for number in numbers)
    assert first >= 0 and second >= 0, explain(
        f"size {arguments[0]}, window {arguments[1]}, stride {arguments[2]}: where the "
        "image has more pixels than the windows need, there is no padding, and none is "
        "ever negative",
        expected="(0, 0)",
        received=(first, second),
    )
    return first, second


@check(task="pad_sizes")
def same_pads_as_tensorflow_does(submission):
    rng = new_generator()
    cases = [(28, 3, 1), (7, 2, 2), (32, 3, 2), (5, 4, 1), (9, 1, 3), (8, 2, 5)]
    cases += [
        tuple(int(n) for n in rng.integers((1, 1, 1), (30, 8, 6))) for _ in range(60)
    ]
    for size, window, stride in cases:
        received = pads_of(submission, size, window, stride, "same")
        expected = tensorflow_padding(size, window, stride)
        where = f"size {size}, window {window}, stride {stride}"
        assert received != expected[::-1] or received == expected, explain(
            f"{where}: where the padding is odd, the one more comes after",
            expected=expected,
            received=received,
        )
        one = max(window - 1, 0)
        ignoring = one // 2, one - one // 2
        assert received != ignoring or received == expected or stride == 1, explain(
            f"{where}: this is the padding of stride 1; fewer positions need less",
            expected=expected,
            received=received,
        )
        both = received == (window // 2, window // 2) and received != expected
        assert not both, explain(
            f"{where}: half of the window on both sides is another library's rule; here "
            "only what is lacking is added",
            expected=expected,
            received=received,
        )
        assert sum(received) == sum(expected), explain(
            f"{where}: ceil(size / stride) positions need (positions - 1) * stride + "
            "window pixels, and what the image lacks of that is padding",
            expected=expected,
            received=received,
        )
        assert received == expected, explain(
            where, expected=expected, received=received
        )


@check(task="pad_sizes")
def valid_pads_nothing(submission):
    for size, window, stride in ((28, 3, 1), (7, 2, 2), (10, 4, 3)):
        received = pads_of(submission, size, window, stride, "valid")
        assert received == (0, 0), explain(
            '"valid" adds no padding', expected=(0, 0), received=received
        )


# conv2d ---------------------------------------------------------------------------------

# Height, width, kernel height, kernel width, channels, filters, stride.
CONVOLUTIONS = (
    (6, 9, 3, 3, 2, 4, 1),
    (8, 7, 3, 2, 3, 2, 2),
    (9, 10, 2, 4, 1, 3, 3),
    (4, 5, 5, 5, 2, 2, 1),
    (7, 7, 1, 1, 3, 5, 2),
)
LIBRARIES = (
    (tf.nn, "conv2d"),
    (tf.nn, "convolution"),
    (tf.nn, "depthwise_conv2d"),
    (keras.ops, "conv"),
    (keras.layers, "Conv2D"),
)


@contextlib.contextmanager
def no_library(attributes, what):
    """Fail where the student lets a library do the work."""
    called = []

    def record(name):
        def stand_in(*args, **options):
            called.append(name)
            raise AssertionError(f"write {what} by hand: {name}() is a library's")

        return stand_in

    with contextlib.ExitStack() as stack:
        for owner, name in attributes:
            stack.enter_context(mock.patch.object(owner, name, record(name)))
        yield
    assert not called, f"write {what} by hand: {called[0]}() is a library's"


def convolution_of(submission, images, kernels, stride, padding):
    """Return the student's convolution, with the padding of the course."""
    expected = tf.nn.conv2d(images, kernels, stride, padding.upper()).numpy()
    kept = images.copy(), kernels.copy()
    with (
        with_right(submission.conv2d, pad_sizes=right_pad_sizes),
        no_library(LIBRARIES, "the convolution"),
    ):
        answer = submission.conv2d(images, kernels, stride, padding)
    unchanged = np.array_equal(kept[0], images) and np.array_equal(kept[1], kernels)
    assert unchanged, (
        "your function changes the images or kernels that it is given: work on copies"
    )
    where = (
        f"images {images.shape}, kernels {kernels.shape}, stride {stride}, {padding}"
    )
    return finite(answer, expected.shape, where), expected, where


@check(task="conv2d", timeout_seconds=30)
def maps_are_tensorflows(submission):
    rng = new_generator()
    for height, width, rows, columns, channels, filters, stride in CONVOLUTIONS:
        images = rng.normal(0.5, 1, (2, height, width, channels))
        kernels = rng.normal(0.3, 1, (rows, columns, channels, filters))
        for padding in ("same", "valid"):
            if padding == "valid" and (rows > height or columns > width):
                continue
            received, expected, where = convolution_of(
                submission, images, kernels, stride, padding
            )
            for wrong, mistake in (
                (
                    kernels[::-1, ::-1],
                    "the kernels are flipped: a convolutional layer lays them on as they "
                    "are (a cross-correlation)",
                ),
                (kernels[::-1], "the kernels are upside down"),
                (kernels[:, ::-1], "the kernels are mirrored left to right"),
                (
                    kernels / channels,
                    "add the channels up, don't take their mean",
                ),
            ):
                other = tf.nn.conv2d(images, wrong, stride, padding.upper()).numpy()
                looks = close(received, other) and not close(other, expected)
                assert not looks, explain(
                    mistake, expected=expected[0, 0, 0], received=received[0, 0, 0]
                )
            assert close(received, expected), explain(
                f"{where}: this is not what TensorFlow's convolution gives",
                expected=expected[0, 0, 0],
                received=received[0, 0, 0],
            )


@check(task="conv2d")
def odd_padding_lies_below_and_to_the_right(submission):
    rng = new_generator()
    images = rng.normal(0, 1, (1, 6, 8, 2))
    for size, stride in ((2, 1), (4, 1), (3, 2)):
        kernels = rng.normal(0, 1, (size, size, 2, 2))
        received, expected, _ = convolution_of(
            submission, images, kernels, stride, "same"
        )
        turned = tf.nn.conv2d(
            images[:, ::-1, ::-1], kernels[::-1, ::-1], stride, "SAME"
        ).numpy()[:, ::-1, ::-1]
        assert not close(received, turned) or close(turned, expected), explain(
            "the one row and column more of padding lie above and to the left: they "
            "belong below and to the right",
            expected=expected[0, 0, 0],
            received=received[0, 0, 0],
        )
        assert close(received, expected), explain(
            f"a {size}x{size} kernel with stride {stride} and same padding",
            expected=expected[0, -1, -1],
            received=received[0, -1, -1],
        )


@check(task="conv2d")
def a_kernel_with_one_weight_shifts_the_image(submission):
    rng = new_generator()
    images = rng.normal(0, 1, (2, 5, 6, 1))
    kernels = np.zeros((3, 3, 1, 1))
    kernels[0, 2] = 1  # Looks up and to the right.
    received, _, _ = convolution_of(submission, images, kernels, 1, "same")
    expected = np.zeros_like(images)
    expected[:, 1:, :-1] = images[:, :-1, 1:]
    assert not close(received, expected.transpose(0, 2, 1, 3)[:, :5]), (
        "rows and columns of the kernel are exchanged"
    )
    assert close(received, expected), explain(
        "a kernel whose only weight is in its first row and last column takes each pixel "
        "from above and to the right, and 0 from beyond the border",
        expected=expected[0, 1, :3, 0],
        received=received[0, 1, :3, 0],
    )


# max_pool -------------------------------------------------------------------------------

POOLS = (
    (tf.nn, "max_pool2d"),
    (tf.nn, "max_pool"),
    (tf.nn, "pool"),
    (keras.ops, "max_pool"),
    (keras.layers, "MaxPooling2D"),
    (keras.layers, "MaxPool2D"),
)


def pooled_by(submission, images, window, stride, padding):
    """Return the student's pooling, with the padding of the course, and TensorFlow's."""
    expected = tf.nn.max_pool2d(images, window, stride, padding.upper()).numpy()
    kept = images.copy()
    with (
        with_right(submission.max_pool, pad_sizes=right_pad_sizes),
        no_library(POOLS, "the pooling"),
    ):
        answer = submission.max_pool(images, window, stride, padding)
    assert np.array_equal(kept, images), (
        "your function changes the images that it is given: work on a copy"
    )
    where = f"images {images.shape}, window {window}, stride {stride}, {padding}"
    return array(answer, expected.shape, where), expected, where


@check(task="max_pool", timeout_seconds=30)
def pools_are_tensorflows(submission):
    rng = new_generator()
    for height, width, window, stride in (
        (6, 8, 2, 2),
        (7, 9, 2, 2),
        (7, 6, 3, 2),
        (9, 8, 3, 1),
        (8, 9, 2, 3),
    ):
        images = rng.normal(2, 1, (2, height, width, 3))
        for padding in ("valid", "same"):
            received, expected, where = pooled_by(
                submission, images, window, stride, padding
            )
            mean = tf.nn.avg_pool2d(images, window, stride, padding.upper()).numpy()
            assert not close(received, mean), explain(
                "this is the mean of each window, not its largest value",
                expected=expected[0, 0, 0],
                received=received[0, 0, 0],
            )
            least = -tf.nn.max_pool2d(-images, window, stride, padding.upper()).numpy()
            assert not close(received, least), explain(
                "this is the smallest value of each window",
                expected=expected[0, 0, 0],
                received=received[0, 0, 0],
            )
            across = np.broadcast_to(expected.max(-1, keepdims=True), expected.shape)
            assert not close(received, across), (
                "the channels are mixed: each one is pooled by itself"
            )
            assert close(received, expected), explain(
                f"{where}: these are not the largest values of the windows",
                expected=expected[0, 0, 0],
                received=received[0, 0, 0],
            )


@check(task="max_pool")
def padding_never_wins(submission):
    rng = new_generator()
    images = rng.uniform(-9, -3, (2, 5, 7, 2))
    for window, stride in ((3, 2), (2, 2), (4, 1)):
        received, expected, _ = pooled_by(submission, images, window, stride, "same")
        assert not (received == 0).any(), explain(
            "all pixels are negative, and yet a 0 comes out: that is the padding; pad "
            "with minus infinity",
            expected=expected.max(),
            received=0.0,
        )
        assert close(received, expected), explain(
            f"negative images, window {window}, stride {stride}, same padding: where a "
            "window reaches beyond the border, the largest of what lies inside counts",
            expected=expected[0, -1, -1],
            received=received[0, -1, -1],
        )


# layer_table ----------------------------------------------------------------------------


def chain(rng):
    """Return a list of layers, some of which have no bias, and an input shape."""
    widths = [int(n) for n in rng.integers(2, 9, 4)]
    layers = [
        Layer("conv", 3, 1, "same", widths[0]),
        Layer("relu"),
        Layer("pool", 2, 2, "valid"),
        Layer("conv", 4, 2, "same", widths[1], use_bias=False),
        Layer("norm"),
        Layer("relu"),
        Layer("conv", int(rng.integers(1, 4)), 1, "valid", widths[2]),
        Layer("pool", 3, 2, "same"),
        Layer("flatten" if rng.integers(2) else "mean"),
        Layer("dense", units=widths[3], use_bias=bool(rng.integers(2))),
        Layer("relu"),
        Layer("dense", units=10),
    ]
    height, width, channels = (int(n) for n in rng.integers((17, 21, 1), (24, 30, 5)))
    return layers, (height, width, channels)


def rows_of(submission, layers, input_shape):
    """Return the student's table as pairs of a tuple and an int."""
    with with_right(submission.layer_table, pad_sizes=right_pad_sizes):
        table = submission.layer_table(layers, input_shape)
    assert isinstance(table, list | tuple), explain(
        "a list comes back", expected="a list", received=table
    )
    assert len(table) == len(layers), explain(
        "there is one row for each layer, those without parameters too",
        expected=f"{len(layers)} rows",
        received=f"{len(table)} rows",
    )
    rows = []
    for row in table:
        try:
            shape, count = row
            rows.append((tuple(int(side) for side in shape), int(count)))
            whole = float(count) == int(count)
        except (TypeError, ValueError):
            whole = False
        assert whole, explain(
            "each row is a pair: the output shape, a tuple without batch, and a number",
            expected="((height, width, channels), count)",
            received=row,
        )
    return rows


def keras_rows(layers, input_shape):
    """Return what Keras says when the chain is built."""
    maps, rows = keras.Input(input_shape), []
    for layer in layers:
        built = keras_layer(layer)
        maps = built(maps)
        rows.append((tuple(maps.shape[1:]), built.count_params()))
    return rows


def name_of_count(layer, before, received):
    """Return what a wrong number of parameters suggests."""
    channels = before[-1]
    if layer.kind == "conv":
        weights = layer.size**2 * channels * layer.units
        bias = layer.units if layer.use_bias else 0
        return {
            layer.size**2 * layer.units + bias: "a filter has weights for each channel",
            layer.size * channels * layer.units
            + bias: "a window has size * size pixels",
            weights: "each filter has a bias",
            weights + layer.units: "this layer has no bias (use_bias)",
            weights + 1: "each filter has a bias of its own, not the layer one",
        }.get(received, "size * size * channels weights for each filter, and its bias")
    if layer.kind == "norm":
        if received == 2 * channels:
            return "the moving mean and the moving variance of each channel count too"
        return "four numbers for each channel, not for each position"
    if layer.kind == "dense":
        weights = channels * layer.units
        return {
            weights: "each unit has a bias",
            weights + layer.units: "this layer has no bias (use_bias)",
        }.get(received, "a weight for each pair of input and unit, and the bias")
    return "this layer has no parameters"


def name_of_shape(layer, before):
    """Return what a wrong output shape suggests."""
    if layer.kind in ("conv", "pool"):
        if layer.padding == "valid":
            return "without padding there are (size - window) // stride + 1 positions"
        return "with same padding there are ceil(size / stride) positions"
    if layer.kind == "flatten":
        return "flatten makes one row of height * width * channels"
    if layer.kind == "mean":
        return "the mean over all positions leaves one number for each channel"
    if layer.kind == "dense":
        return "a dense layer has `units` outputs"
    return "this layer keeps the shape"


def compare_tables(received, layers, input_shape):
    """Fail at the first row that differs from Keras's."""
    before = tuple(input_shape)
    for index, (layer, row, expected) in enumerate(
        zip(layers, received, keras_rows(layers, input_shape), strict=True)
    ):
        where = f"row {index}, {layer.kind} on {before}"
        assert row[0] == expected[0], explain(
            f"{where}: {name_of_shape(layer, before)}",
            expected=expected[0],
            received=row[0],
        )
        assert row[1] == expected[1], explain(
            f"{where}: {name_of_count(layer, before, row[1])}",
            expected=expected[1],
            received=row[1],
        )
        before = expected[0]


@check(task="layer_table")
def rows_are_what_keras_builds(submission):
    rng = new_generator()
    for _ in range(3):
        layers, input_shape = chain(rng)
        kept = list(layers)
        compare_tables(rows_of(submission, layers, input_shape), layers, input_shape)
        assert layers == kept, "your function changes the list that it is given"


@check(task="layer_table")
def every_window_and_padding_counts(submission):
    rng = new_generator()
    for kind in ("conv", "pool"):
        for padding in ("same", "valid"):
            for size, stride in ((2, 2), (3, 2), (5, 3), (1, 2), (2, 3)):
                layers = [Layer(kind, size, stride, padding, 4)]
                shape = tuple(int(n) for n in rng.integers((6, 9, 1), (15, 19, 4)))
                compare_tables(rows_of(submission, layers, shape), layers, shape)


@check(task="layer_table")
def dense_layers_see_what_comes_before(submission):
    layers = [
        Layer("conv", 3, 1, "same", 6),
        Layer("norm"),
        Layer("mean"),
        Layer("norm"),
        Layer("dense", units=7, use_bias=False),
        Layer("dense", units=3),
    ]
    compare_tables(rows_of(submission, layers, (8, 11, 2)), layers, (8, 11, 2))


# receptive_fields -----------------------------------------------------------------------


def field_variant(layers, *, first_stride, whole, pools, jumps):
    """Return fields by a formula with a mistake in it."""
    field, jump, fields = 1, 1, []
    for layer in layers:
        if layer.kind == "conv" or (layer.kind == "pool" and pools):
            if first_stride:
                jump *= layer.stride
            field += (layer.size - (not whole)) * jump
            if not first_stride and jumps:
                jump *= layer.stride
        fields.append(field)
    return fields


FIELD_MISTAKES = (
    (
        {"first_stride": True},
        "a layer's own stride moves the outputs behind it apart, not its own inputs: add "
        "to the field first, then multiply the jump",
    ),
    ({"whole": True}, "a window of `size` adds size - 1 jumps, not size"),
    ({"pools": False}, "pooling layers widen the field, too"),
    (
        {"jumps": False},
        "behind a stride, neighbouring outputs are further apart in the image: the jump "
        "grows by the factor of the stride",
    ),
)


def fields_of(submission, layers):
    """Return the student's fields: a whole number for each layer."""
    answer = submission.receptive_fields(layers)
    received = array(answer, (len(layers),), "one number for each layer")
    assert (received == np.round(received)).all(), explain(
        "fields are whole pixels", expected="whole numbers", received=answer
    )
    return received.astype(int).tolist()


@check(task="receptive_fields")
def fields_are_where_gradients_arrive(submission):
    rng = new_generator()
    chains = [
        [
            Layer("conv", 3, 1, "same", 8),
            Layer("relu"),
            Layer("pool", 2, 2),
            Layer("conv", 3, 1, "same", 8),
            Layer("norm"),
            Layer("relu"),
            Layer("conv", 3, 2, "same", 8),
            Layer("pool", 3, 2, "same"),
            Layer("conv", 3, 1, "same", 8),
        ]
    ]
    for _ in range(3):
        draws = zip(
            rng.choice(["conv", "pool", "norm"], 6, p=[0.5, 0.3, 0.2]),
            rng.integers(1, 5, 6),
            rng.integers(1, 3, 6),
            strict=True,
        )
        chains.append(
            [Layer(str(k), int(size), int(stride), "same") for k, size, stride in draws]
        )
    for layers in chains:
        received = fields_of(submission, layers)
        expected = measured_fields(layers, 255)
        for options, mistake in FIELD_MISTAKES:
            right = {
                "first_stride": False,
                "whole": False,
                "pools": True,
                "jumps": True,
            }
            wrong = field_variant(layers, **(right | options))
            assert received != wrong or wrong == expected, explain(
                mistake, expected=expected, received=received
            )
        assert received == expected, explain(
            "these are not the pixels that a gradient from one output reaches",
            expected=expected,
            received=received,
        )


@check(task="receptive_fields")
def stacked_windows_add_up(submission):
    threes = [Layer("conv", 3, 1, "valid", 4) for _ in range(4)]
    received = fields_of(submission, threes)
    assert received == [3, 5, 7, 9], explain(
        "two 3x3 convolutions see 5 pixels, three see 7",
        expected=[3, 5, 7, 9],
        received=received,
    )
    halves = [Layer("pool", 2, 2) for _ in range(4)]
    received = fields_of(submission, halves)
    assert received == [2, 4, 8, 16], explain(
        "each 2x2 pooling with stride 2 doubles the field",
        expected=[2, 4, 8, 16],
        received=received,
    )
    points = [Layer("norm"), Layer("conv", 1, 1, "same", 3), Layer("relu")]
    received = fields_of(submission, points)
    assert received == [1, 1, 1], explain(
        "1x1 convolutions, norms and ReLU see one position",
        expected=[1, 1, 1],
        received=received,
    )


# networks -------------------------------------------------------------------------------


def model_of(model, input_shape, output_shape, what):
    """Return the student's model, or fail where it is none or maps something else."""
    assert isinstance(model, keras.Model), explain(
        f"{what}() returns a keras.Model", expected="a model", received=model
    )
    received = tuple(model.input_shape), tuple(model.output_shape)
    expected = (None, *input_shape), (None, *output_shape)
    assert received == expected, explain(
        f"{what}() does not map what it should",
        expected=f"{expected[0]} → {expected[1]}",
        received=f"{received[0]} → {received[1]}",
    )
    return model


def with_new_weights(model, rng):
    """Give all weights values that show which is used for what; return them in order."""
    for weight in model.weights:
        positive = "gamma" in weight.path or "variance" in weight.path
        low, high = (0.5, 1.5) if positive else (-0.6, 0.6)
        weight.assign(rng.uniform(low, high, weight.shape))
    return [weight.numpy() for weight in model.weights]


def shapes_of(model):
    """Return the shapes of all weights."""
    return [tuple(weight.shape) for weight in model.weights]


def softmax(logits):
    """Return the probabilities."""
    return np.asarray(tf.nn.softmax(tf.constant(logits)))


def plain_forward(
    weights, images, *, conv_relu=True, hidden_relu=True, mean_pool=False
):
    """Return the logits that a plain CNN's weights give, computed by TensorFlow alone."""
    *convolutions, kernel, bias, last, last_bias = weights
    pool = tf.nn.avg_pool2d if mean_pool else tf.nn.max_pool2d
    maps = tf.constant(images)
    for filters, offset in zip(convolutions[::2], convolutions[1::2], strict=True):
        maps = tf.nn.conv2d(maps, filters, 1, "SAME") + offset
        maps = tf.nn.relu(maps) if conv_relu else maps
        maps = pool(maps, 2, 2, "VALID")
    hidden = tf.reshape(maps, (len(images), -1)) @ kernel + bias
    hidden = tf.nn.relu(hidden) if hidden_relu else hidden
    return (hidden @ last + last_bias).numpy()


def plain_shapes(input_shape, num_classes, filters, units):
    """Return the shapes of a plain CNN's weights."""
    height, width, channels = input_shape
    shapes = []
    for count in filters:
        shapes += [(3, 3, channels, count), (count,)]
        height, width, channels = height // 2, width // 2, count
    shapes += [(height * width * channels, units), (units,)]
    return [*shapes, (units, num_classes), (num_classes,)]


@check(task="plain_cnn")
def plain_weights_have_their_shapes(submission):
    for arguments in (((15, 12, 2), 5, (4, 7), 11), ((8, 8, 1), 3, (6,), 5)):
        model = submission.plain_cnn(*arguments)
        model_of(model, arguments[0], (arguments[1],), "plain_cnn")
        expected, received = plain_shapes(*arguments), shapes_of(model)
        assert len(received) == len(expected), explain(
            f"{len(arguments[2])} convolutions, a hidden layer and the logits, each with "
            "kernel and bias",
            expected=f"{len(expected)} variables",
            received=f"{len(received)} variables",
        )
        for have, want in zip(received, expected, strict=True):
            hint = (
                "3x3 kernels, in the order of `filters`"
                if len(want) == 4
                else "same padding keeps the size, and 2x2 pooling halves it behind each "
                "convolution; the hidden layer sees all positions"
            )
            assert have == want, explain(hint, expected=want, received=have)


@check(task="plain_cnn")
def plain_logits_are_what_its_weights_say(submission):
    rng = new_generator()
    model = submission.plain_cnn((10, 13, 2), 4, (5, 6), 9)
    model_of(model, (10, 13, 2), (4,), "plain_cnn")
    assert shapes_of(model) == plain_shapes((10, 13, 2), 4, (5, 6), 9), (
        "the layers are not those of the docstring"
    )
    weights = with_new_weights(model, rng)
    images = rng.normal(0, 1, (6, 10, 13, 2)).astype("float32")
    received = finite(model(images, training=False), (6, 4), "the logits")
    expected = plain_forward(weights, images)
    for wrong, mistake in (
        (
            softmax(expected),
            "the last layer has a softmax: return logits, the loss adds it",
        ),
        (
            plain_forward(weights, images, conv_relu=False),
            "the convolutions have no ReLU: two of them in a row are one",
        ),
        (
            plain_forward(weights, images, hidden_relu=False),
            "the hidden layer has no ReLU: with the logits it is one layer",
        ),
        (
            plain_forward(weights, images, mean_pool=True),
            "this is average pooling; the docstring says max pooling",
        ),
        (np.maximum(expected, 0), "the logits have a ReLU: they may be negative"),
    ):
        assert not close(received, wrong, 1e-3), explain(
            mistake, expected=expected[0], received=received[0]
        )
    assert close(received, expected, 1e-3), explain(
        "the logits are not what convolution, ReLU, pooling, hidden layer and logits make "
        "of the model's own weights, in this order",
        expected=expected[0],
        received=received[0],
    )
    again = np.asarray(model(images, training=True))
    assert close(again, received, 1e-3), (
        "in training the network gives other logits: there is no dropout in it"
    )


@check(task="plain_cnn")
def fresh_plain_logits_know_nothing(submission):
    rng = new_generator()
    model = submission.plain_cnn((16, 16, 3), 10, (8, 16), 32)
    model_of(model, (16, 16, 3), (10,), "plain_cnn")
    images = rng.normal(0, 1, (200, 16, 16, 3)).astype("float32")
    logits = finite(model(images, training=False), (200, 10), "the logits")
    labels = rng.integers(0, 10, 200)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    loss = float(tf.reduce_mean(losses))
    assert 0.8 * math.log(10) < loss < 4 * math.log(10), explain(
        "at step 0 the loss is near ln(classes); far above it the first weights are too "
        "large",
        expected=f"about {math.log(10):.3f}",
        received=loss,
    )
    assert logits.std() > 1e-4, explain(
        "all logits are alike: the first weights must be random",
        expected="different logits",
        received=logits[0],
    )


def block_model(submission, input_shape, filters, *, pool):
    """Return the student's block as a model."""
    images = keras.Input(input_shape)
    maps = submission.conv_block(images, filters, pool=pool)
    assert isinstance(maps, keras.KerasTensor), explain(
        "the maps behind the layers come back: call each layer on what the one before "
        "returned",
        expected="a KerasTensor",
        received=maps,
    )
    model = keras.Model(images, maps)
    height, width, _ = input_shape
    sides = (height // 2, width // 2) if pool else (height, width)
    assert tuple(model.output_shape) == (None, *sides, filters), explain(
        f"pool={pool}: the convolution keeps height and width, and pooling, if asked, "
        "halves them",
        expected=(None, *sides, filters),
        received=tuple(model.output_shape),
    )
    return model


def right_block(maps, filters, *, pool):
    """Return a block as the course's solution makes it."""
    layer = keras.layers.Conv2D(filters, 3, padding="same", use_bias=False)
    maps = layer(maps)
    if pool:
        maps = keras.layers.MaxPooling2D()(maps)
    return keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(maps))


def block_forward(weights, maps, *, pool, order="norm relu"):
    """Return what a block's weights make of maps, in inference, by TensorFlow alone."""
    kernel, gamma, beta, mean, variance = weights
    maps = tf.nn.conv2d(maps, kernel, 1, "SAME")
    if pool:
        maps = tf.nn.max_pool2d(maps, 2, 2, "VALID")
    for step in order.split():
        if step == "relu":
            maps = tf.nn.relu(maps)
        else:
            maps = (maps - mean) / tf.sqrt(variance + 1e-3) * gamma + beta
    return maps


BLOCK_SHAPES = "a 3x3 kernel, then scale, offset, moving mean and moving variance"


@check(task="conv_block")
def a_block_has_no_bias_but_a_norm(submission):
    for pool in (False, True):
        shapes = shapes_of(block_model(submission, (8, 6, 3), 7, pool=pool))
        expected = [(3, 3, 3, 7), (7,), (7,), (7,), (7,)]
        assert shapes != [(3, 3, 3, 7), (7,), *expected[1:]], explain(
            "the convolution has a bias, which batch normalisation takes away again: "
            "use_bias=False",
            expected="5 variables",
            received="6 variables",
        )
        assert len(shapes) > 2, explain(
            "there is no batch normalisation",
            expected=BLOCK_SHAPES,
            received=shapes,
        )
        assert shapes == expected, explain(
            BLOCK_SHAPES, expected=expected, received=shapes
        )


@check(task="conv_block")
def norm_comes_before_relu(submission):
    rng = new_generator()
    for pool in (False, True):
        model = block_model(submission, (8, 10, 2), 5, pool=pool)
        assert len(model.weights) == 5, explain(
            BLOCK_SHAPES, expected=5, received=len(model.weights)
        )
        images = rng.normal(0, 1, (4, 8, 10, 2)).astype("float32")
        for _ in range(20):  # Until two ReLUs give something else than one.
            weights = with_new_weights(model, rng)
            expected = block_forward(weights, images, pool=pool).numpy()
            twice = block_forward(weights, images, pool=pool, order="relu norm relu")
            if not close(twice.numpy(), expected, 1e-2):
                break
        received = np.asarray(model(images, training=False))
        for order, mistake in (
            (
                "relu norm",
                "the ReLU stands before the norm: then half of what is normalised is 0, "
                "and the block may return negative numbers",
            ),
            ("relu norm relu", "there are two ReLUs: the convolution needs none"),
            ("norm", "there is no ReLU"),
            ("relu", "the norm does nothing"),
        ):
            wrong = block_forward(weights, images, pool=pool, order=order).numpy()
            assert not close(received, wrong, 1e-2), explain(
                mistake, expected=expected[0, 0, 0], received=received[0, 0, 0]
            )
        assert close(received, expected, 1e-2), explain(
            "the maps are not what convolution, pooling, norm and ReLU make of the "
            "block's own weights",
            expected=expected[0, 0, 0],
            received=received[0, 0, 0],
        )


@check(task="conv_block")
def the_norm_follows_the_batches_in_training(submission):
    rng = new_generator()
    model = block_model(submission, (6, 6, 2), 4, pool=False)
    before = [w.numpy() for w in model.weights if "moving" in w.path]
    assert len(before) == 2, explain(
        "there is no batch normalisation", expected=2, received=len(before)
    )
    images = rng.normal(3, 2, (16, 6, 6, 2)).astype("float32")
    model(images, training=True)
    after = [w.numpy() for w in model.weights if "moving" in w.path]
    moved = not any(np.allclose(a, b) for a, b in zip(before, after, strict=True))
    assert moved, "in training the norm's moving mean and variance don't move"
    received = np.asarray(model(images, training=True))
    maps = tf.nn.conv2d(images, model.weights[0].numpy(), 1, "SAME").numpy()
    scaled = (maps - maps.mean((0, 1, 2))) / np.sqrt(maps.var((0, 1, 2)) + 1e-3)
    expected = np.maximum(scaled, 0)
    assert close(received, expected, 1e-2), explain(
        "in training each channel gets the mean 0 and the deviation 1 over the batch and "
        "all positions, then the ReLU",
        expected=expected[0, 0, 0],
        received=received[0, 0, 0],
    )


@check(task="conv_block")
def kernels_start_for_relu(submission):
    model = block_model(submission, (4, 4, 24), 96, pool=False)
    kernel = model.weights[0].numpy()
    fan_in = 9 * 24
    expected = math.sqrt(2 / fan_in)
    glorot = math.sqrt(2 / (fan_in + 9 * 96))
    received = float(kernel.std())
    assert abs(received / glorot - 1) > 0.1, explain(
        "the kernel starts as Glorot and Bengio propose, Keras's default; behind it is a "
        'ReLU: "he_normal"',
        expected=expected,
        received=received,
    )
    assert abs(received / expected - 1) < 0.1, explain(
        "the deviation of the first kernel is sqrt(2 / inputs of a filter)",
        expected=expected,
        received=received,
    )


def good_model(submission, input_shape, num_classes, widths, pool_first):
    """Return the student's good network, made of right blocks."""
    with with_right(submission.good_cnn, conv_block=right_block):
        model = submission.good_cnn(
            input_shape, num_classes, widths, pool_first=pool_first
        )
    return model_of(model, input_shape, (num_classes,), "good_cnn")


def good_shapes(channels, num_classes, widths):
    """Return the shapes of the good network's weights."""
    shapes = []
    for width in [widths[0], *(w for w in widths[1:] for _ in range(2))]:
        shapes += [(3, 3, channels, width), *[(width,)] * 4]
        channels = width
    return [*shapes, (channels, num_classes), (num_classes,)]


def good_forward(weights, images, pools, *, last="mean"):
    """Return the logits that the weights give, in inference, by TensorFlow alone."""
    *blocks, kernel, bias = weights
    maps = tf.constant(images)
    for index in range(0, len(blocks), 5):
        part = blocks[index : index + 5]
        maps = block_forward(part, maps, pool=pools[index // 5])
    reduce = tf.reduce_mean if last == "mean" else tf.reduce_max
    return (reduce(maps, axis=(1, 2)) @ kernel + bias).numpy()


@check(task="good_cnn")
def good_weights_have_their_shapes(submission):
    for widths in ((4, 6, 9), (5,), (3, 8)):
        model = good_model(submission, (16, 20, 2), 7, widths, len(widths) == 3)
        received, expected = shapes_of(model), good_shapes(2, 7, widths)
        kernels = [shape[2:] for shape in received if len(shape) == 4]
        wanted = [shape[2:] for shape in expected if len(shape) == 4]
        assert kernels == wanted, explain(
            "one block of the first width, two of each other one; from and to channels",
            expected=wanted,
            received=kernels,
        )
        last = [shape for shape in received if len(shape) == 2]
        assert len(last) == 1, explain(
            "one dense layer, the logits", expected=1, received=len(last)
        )
        assert last == [expected[-2]], explain(
            "the logits see the mean of each channel, not all positions: global average "
            "pooling",
            expected=expected[-2],
            received=last[0],
        )
        assert received == expected, explain(
            "each block has a kernel and a norm, the logits have a bias",
            expected=f"{len(expected)} variables",
            received=f"{len(received)} variables",
        )


@check(task="good_cnn")
def good_logits_are_what_its_weights_say(submission):
    rng = new_generator()
    for first in (True, False):
        model = good_model(submission, (16, 24, 2), 4, (3, 5, 6), first)
        assert shapes_of(model) == good_shapes(2, 4, (3, 5, 6)), (
            "the layers are not those of the docstring"
        )
        weights = with_new_weights(model, rng)
        images = rng.normal(0, 1, (5, 16, 24, 2)).astype("float32")
        received = finite(model(images, training=False), (5, 4), "the logits")
        pools = [first, True, False, True, False]
        expected = good_forward(weights, images, pools)
        for wrong, mistake in (
            (
                softmax(expected),
                "the last layer has a softmax: return logits, the loss adds it",
            ),
            (
                good_forward(weights, images, pools, last="max"),
                "this is global max pooling; the docstring says the mean of each channel",
            ),
            (
                good_forward(weights, images, [first, False, True, False, True]),
                "of the two blocks of a width the first one pools, not the second",
            ),
            (
                good_forward(weights, images, [first, *[False] * 4]),
                "the first block of each further width pools: here none does",
            ),
            (
                good_forward(weights, images, [not first, *pools[1:]]),
                "the block of the first width pools if pool_first says so",
            ),
        ):
            assert not close(received, wrong, 1e-2), explain(
                mistake, expected=expected[0], received=received[0]
            )
        assert close(received, expected, 1e-2), explain(
            "the logits are not what blocks, mean and dense layer make of the model's own "
            "weights: which block pools?",
            expected=expected[0],
            received=received[0],
        )


@check(task="good_cnn")
def images_of_any_size_fit(submission):
    rng = new_generator()
    with with_right(submission.good_cnn, conv_block=right_block):
        model = submission.good_cnn((None, None, 3), 5, (4, 6), pool_first=True)
    model_of(model, (None, None, 3), (5,), "good_cnn")
    for size in (8, 13):
        images = rng.normal(0, 1, (2, size, size + 2, 3)).astype("float32")
        finite(model(images), (2, 5), f"logits of images of {size} by {size + 2}")


# augmentation ---------------------------------------------------------------------------


def changed(function, images, seed, *arguments):
    """Return a student's random images, eagerly, or fail where they are no such array."""
    kept = images.copy()
    answer = function(tf.constant(images), tf.constant(seed, tf.int32), *arguments)
    received = array(answer, images.shape, "the images keep their shape")
    dtype = getattr(answer, "dtype", np.asarray(answer).dtype)
    assert tf.as_dtype(dtype) == tf.float32, explain(
        "the images stay float32", expected="float32", received=tf.as_dtype(dtype).name
    )
    assert np.array_equal(images, kept), "the images that were given have changed"
    return received.astype("float32")


def check_seeds(function, images, *arguments):
    """Fail where the same seed gives something else, or another seed the same."""
    first, second, other = (
        changed(function, images, seed, *arguments) for seed in ((3, 4), (3, 4), (3, 5))
    )
    assert np.array_equal(first, second), (
        "two calls with the same seed differ: use a stateless function of tf.random, and "
        "give it the seed"
    )
    assert not np.array_equal(first, other), "another seed gives the same images"
    also = changed(function, images, (9, 4), *arguments)
    assert not np.array_equal(first, also), (
        "the first number of the seed makes no difference: both belong to it"
    )


def check_in_graph(function, images, *arguments):
    """Fail where the function does not work inside of a pipeline as it does outside."""
    eager = changed(function, images, (7, 8), *arguments)
    spec = tf.TensorSpec((None, *images.shape[1:]), tf.float32)
    traced = tf.function(
        lambda batch, seed: function(batch, seed, *arguments), autograph=False
    )
    try:
        graph = traced.get_concrete_function(spec, tf.TensorSpec((2,), tf.int32))
        received = np.asarray(graph(tf.constant(images), tf.constant((7, 8), tf.int32)))
    except (NotImplementedError, AssertionError):
        raise
    except Exception as error:
        reason = str(error).strip().splitlines()[0][:150] if str(error).strip() else ""
        raise AssertionError(
            "this works eagerly but not inside of a graph, where the size of the batch "
            f"is not known and tensors have no numbers yet: {type(error).__name__}: "
            f"{reason}"
        ) from None
    assert np.array_equal(received, eager), (
        "inside of a graph the same seed gives other images than outside: random numbers "
        "that numpy draws, or a loop in Python, stay as they were while it was traced"
    )


@check(task="random_flips")
def each_image_is_itself_or_its_mirror(submission):
    rng = new_generator()
    images = rng.normal(0, 1, (300, 4, 6, 2)).astype("float32")
    received = changed(submission.random_flips, images, rng.integers(1000, size=2))
    same = (received == images).all(axis=(1, 2, 3))
    mirrored = (received == images[:, :, ::-1]).all(axis=(1, 2, 3))
    upside_down = (received == images[:, ::-1]).all(axis=(1, 2, 3))
    assert not upside_down.any(), (
        "images are upside down: mirror the axis of columns, left to right"
    )
    assert (same | mirrored).all(), explain(
        "each image comes back as it was or mirrored left to right, in its own place",
        expected="300 of 300",
        received=f"{np.sum(same | mirrored)} of 300",
    )
    assert 0 < mirrored.sum() < 300, explain(
        "all images of the batch are treated alike: each one needs a draw of its own",
        expected="about half mirrored",
        received=f"{mirrored.sum()} of 300 mirrored",
    )
    assert 105 < mirrored.sum() < 195, explain(
        "each image is mirrored with probability one half",
        expected="about 150 of 300",
        received=f"{mirrored.sum()} of 300",
    )
    alternating = mirrored[::2].all() or not mirrored[::2].any()
    assert not alternating, "every second image is mirrored: that is no draw"


@check(task="random_flips")
def flips_follow_the_seed(submission):
    images = new_generator().normal(0, 1, (40, 3, 5, 1)).astype("float32")
    check_seeds(submission.random_flips, images)
    check_in_graph(submission.random_flips, images)


def shifts_of(received, images, max_shift, mode="reflect"):
    """Return for each image the shift that it shows, int [n, 2], or None where none does.

    Down and to the right.
    """
    count, height, width, _ = images.shape
    around = (max_shift, max_shift)
    padded = np.pad(images, ((0, 0), around, around, (0, 0)), mode)
    found = np.full((count, 2), max_shift + 1)
    for row in range(2 * max_shift + 1):
        for column in range(2 * max_shift + 1):
            window = padded[:, row : row + height, column : column + width]
            same = (window == received).all(axis=(1, 2, 3))
            found[same] = max_shift - row, max_shift - column
    return found if (found <= max_shift).all() else None


def crops_of(submission, rng, count, max_shift, shape=(7, 9, 2)):
    """Return images and what the student makes of them."""
    images = rng.normal(0, 1, (count, *shape)).astype("float32")
    seed = rng.integers(1000, size=2)
    return images, changed(submission.random_crops, images, seed, max_shift)


@check(task="random_crops")
def each_image_is_shifted_and_reflected(submission):
    rng = new_generator()
    for max_shift, shape in ((2, (7, 9, 2)), (4, (12, 8, 1)), (1, (5, 5, 3))):
        images, received = crops_of(submission, rng, 40, max_shift, shape)
        for mode, mistake in (
            ("constant", "what moves in is 0: pad with the image mirrored"),
            ("symmetric", "the border pixel is repeated: REFLECT leaves it out"),
            ("edge", "what moves in repeats the border: REFLECT mirrors the image"),
            ("wrap", "what leaves at one side comes in at the other: this is no roll"),
        ):
            wrong = shifts_of(received, images, max_shift, mode)
            right = shifts_of(received, images, max_shift)
            assert wrong is None or right is not None, mistake
        assert right is not None, explain(
            f"max_shift {max_shift}: each image comes back shifted by at most max_shift "
            "pixels, what moves in being its reflection",
            expected="a shift of each image",
            received="images that no such shift gives",
        )


@check(task="random_crops")
def each_image_has_shifts_of_its_own(submission):
    rng = new_generator()
    images, received = crops_of(submission, rng, 600, 2)
    shifts = shifts_of(received, images, 2)
    assert shifts is not None, "images come back that are no shifted and reflected ones"
    for axis, name in ((0, "down"), (1, "to the right")):
        drawn = np.unique(shifts[:, axis])
        assert len(drawn) > 1, explain(
            f"all images move alike {name}: each one needs a draw of its own",
            expected="shifts from -2 to 2",
            received=drawn,
        )
        assert set(drawn) == {-2, -1, 0, 1, 2}, explain(
            f"not every shift {name} occurs: from -max_shift to max_shift there are "
            "2 * max_shift + 1, and maxval is exclusive",
            expected=[-2, -1, 0, 1, 2],
            received=drawn.tolist(),
        )
        counts = np.bincount(shifts[:, axis] + 2, minlength=5)
        assert counts.min() > 70 and counts.max() < 180, explain(
            f"the shifts {name} are not equally likely",
            expected="about 120 of 600 each",
            received=counts.tolist(),
        )
    together = abs(np.corrcoef(shifts.T)[0, 1])
    assert together < 0.5, explain(
        "an image's two shifts hang together: rows and columns need draws of their own",
        expected="independent draws",
        received=f"a correlation of {together:.2f}",
    )


@check(task="random_crops")
def crops_follow_the_seed(submission):
    images = new_generator().normal(0, 1, (40, 6, 5, 1)).astype("float32")
    check_seeds(submission.random_crops, images, 2)
    check_in_graph(submission.random_crops, images, 2)
    same = changed(submission.random_crops, images, (1, 2), 0)
    assert np.array_equal(same, images), "max_shift 0 gives the images back"


# warmup_cosine --------------------------------------------------------------------------


def rate_oracle(steps, num_steps, peak, warmup_steps):
    """Return the rates of steps, in numpy."""
    steps = np.asarray(steps, np.float64)
    rising = (steps + 1) / warmup_steps
    share = (steps - warmup_steps) / (num_steps - warmup_steps)
    return peak * np.where(
        steps < warmup_steps, rising, (1 + np.cos(np.pi * share)) / 2
    )


def rates_of(submission, steps, *arguments):
    """Return the student's rates, from a graph that does not know the step."""

    @tf.function(autograph=False, input_signature=[tf.TensorSpec((), tf.int64)])
    def traced(step):
        rate = submission.warmup_cosine(step, *arguments)
        assert rate is not None, explain(
            "a rate comes back", expected="a number", received=None
        )
        return tf.convert_to_tensor(rate)

    try:
        rates = [traced(tf.constant(step, tf.int64)) for step in steps]
    except (NotImplementedError, AssertionError):
        raise
    except Exception as error:
        reason = str(error).strip().splitlines()[0][:150] if str(error).strip() else ""
        raise AssertionError(
            "inside of a graph the step is a tensor without a number: Python's if, min "
            "and math can't use it; tf.where, tf.minimum and tf.cos can. "
            f"{type(error).__name__}: {reason}"
        ) from None
    assert rates[0].dtype == tf.float32, explain(
        "the rate is float32: cast the step",
        expected="float32",
        received=rates[0].dtype.name,
    )
    return finite([rate.numpy() for rate in rates], (len(steps),), "one rate")


@check(task="warmup_cosine")
def rates_follow_the_formula(submission):
    rng = new_generator()
    for num_steps, warmup_steps in ((20, 5), (11, 1), (37, 12)):
        peak = float(rng.uniform(0.1, 2))
        steps = np.arange(num_steps)
        received = rates_of(submission, steps, num_steps, peak, warmup_steps)
        expected = rate_oracle(steps, num_steps, peak, warmup_steps)
        where = f"{num_steps} steps, {warmup_steps} of warm-up, peak {peak:.3g}"
        assert received[0] > 0, explain(
            f"{where}: the rate of step 0 is 0, a step that changes nothing",
            expected=expected[0],
            received=received[0],
        )
        assert not close(received, expected / peak) or close(peak, 1), explain(
            f"{where}: multiply by the peak",
            expected=expected[:3],
            received=received[:3],
        )
        assert close(received[:warmup_steps], expected[:warmup_steps]), explain(
            f"{where}: the warm-up is a line from peak / warmup_steps in step 0 to the "
            f"peak in step {warmup_steps - 1}",
            expected=expected[:warmup_steps],
            received=received[:warmup_steps],
        )
        falling = slice(warmup_steps, None)
        without = peak * (1 + np.cos(np.pi * steps / num_steps)) / 2
        assert not close(received[falling], without[falling]), explain(
            f"{where}: the cosine starts at the end of the warm-up, from the peak on",
            expected=expected[falling],
            received=received[falling],
        )
        linear = peak * (num_steps - steps) / (num_steps - warmup_steps)
        assert not close(received[falling], linear[falling]), explain(
            f"{where}: this falls on a line, not on half a cosine",
            expected=expected[falling],
            received=received[falling],
        )
        whole = peak * (
            1 + np.cos(2 * np.pi * (steps - warmup_steps) / (num_steps - warmup_steps))
        )
        assert not close(received[falling], whole[falling] / 2), explain(
            f"{where}: this is a whole cosine, which rises again",
            expected=expected[falling],
            received=received[falling],
        )
        assert close(received[falling], expected[falling]), explain(
            f"{where}: half a cosine from the peak in step {warmup_steps} to 0 in step "
            f"{num_steps}",
            expected=expected[falling],
            received=received[falling],
        )


@check(task="warmup_cosine")
def long_trainings_keep_their_digits(submission):
    steps = np.array([0, 999, 1000, 500_000, 999_999])
    received = rates_of(submission, steps, 1_000_000, 0.4, 1000)
    expected = rate_oracle(steps, 1_000_000, 0.4, 1000)
    assert np.allclose(received, expected, rtol=1e-3, atol=1e-6), explain(
        "a million steps", expected=expected, received=received
    )


# smoothed_cross_entropy -----------------------------------------------------------------


def entropy_oracle(labels, logits, smoothing, *, others_only=False):
    """Return the losses in numpy, in float64."""
    logits = np.asarray(logits, np.float64)
    count = logits.shape[1]
    shifted = logits - logits.max(axis=1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    targets = np.full(logits.shape, smoothing / count)
    places = np.arange(len(labels)), labels
    targets[places] += 1 - smoothing
    if others_only:
        targets = np.full(logits.shape, smoothing / (count - 1))
        targets[places] = 1 - smoothing
    return -(targets * logs).sum(axis=1)


def losses_of(submission, labels, logits, smoothing):
    """Return the student's losses, one for each example."""
    answer = submission.smoothed_cross_entropy(
        tf.constant(labels, tf.int64), tf.constant(logits, tf.float32), smoothing
    )
    assert np.shape(answer) != (), explain(
        "one loss for each example comes back, not their mean",
        expected=f"float32 [{len(labels)}]",
        received=answer,
    )
    return array(answer, (len(labels),), "one loss for each example")


@check(task="smoothed_cross_entropy")
def losses_are_cross_entropies_with_smoothed_labels(submission):
    rng = new_generator()
    for count, smoothing in ((10, 0.1), (4, 0.3), (7, 0.0)):
        logits = rng.normal(0, 2, (30, count)).astype("float32")
        labels = rng.integers(count, size=30)
        received = losses_of(submission, labels, logits, smoothing)
        expected = entropy_oracle(labels, logits, smoothing)
        plain = entropy_oracle(labels, logits, 0.0)
        for wrong, mistake in (
            (
                entropy_oracle(labels, logits, smoothing, others_only=True),
                "the smoothing is shared out among all classes, the label among them: "
                "smoothing / classes each, not smoothing / (classes - 1)",
            ),
            (plain, "the labels are not smoothed"),
            ((1 - smoothing) * plain, "the smoothed share is missing"),
            (
                plain + expected - (1 - smoothing) * plain,
                "the label keeps a weight of 1 beside its share: the target must add up "
                "to 1",
            ),
            (-expected, "the sign: a cross-entropy is never negative"),
            (expected / count, "this is the mean over the classes, not the sum"),
            (expected / np.log(2), "take the natural logarithm"),
        ):
            looks = close(received, wrong, 1e-3) and not close(wrong, expected, 1e-3)
            assert not looks, explain(
                mistake, expected=expected[0], received=received[0]
            )
        assert close(received, expected, 1e-3), explain(
            f"{count} classes, smoothing {smoothing}: not the cross-entropy with target "
            "(1 - smoothing) one-hot + smoothing / classes",
            expected=expected[0],
            received=received[0],
        )


@check(task="smoothed_cross_entropy")
def equal_logits_cost_the_logarithm_of_the_classes(submission):
    labels = np.arange(10)
    received = losses_of(submission, labels, np.full((10, 10), 3.0), 0.2)
    assert close(received, np.full(10, math.log(10))), explain(
        "equal logits cost ln(classes), whatever the smoothing",
        expected=math.log(10),
        received=received[0],
    )


@check(task="smoothed_cross_entropy")
def large_logits_stay_finite(submission):
    logits = np.array([[300.0, -200.0, 0.0], [0.0, 900.0, -900.0]])
    labels = np.array([1, 1])
    received = losses_of(submission, labels, logits, 0.1)
    expected = entropy_oracle(labels, logits, 0.1)
    assert np.isfinite(received).all(), explain(
        "with large logits a probability is 0 and its logarithm is not finite: use "
        "tf.nn.log_softmax",
        expected=expected,
        received=received,
    )
    assert np.allclose(received, expected, rtol=1e-3), explain(
        "large logits", expected=expected, received=received
    )


@check(task="smoothed_cross_entropy")
def gradients_are_probabilities_less_targets(submission):
    rng = new_generator()
    logits = tf.Variable(rng.normal(0, 1, (6, 5)).astype("float32"))
    labels = tf.constant(rng.integers(5, size=6))
    losses_of(submission, labels, logits, 0.2)

    @tf.function(autograph=False)
    def gradient():
        with tf.GradientTape() as tape:
            losses = submission.smoothed_cross_entropy(labels, logits, 0.2)
            total = tf.reduce_sum(losses)
        return tape.gradient(total, logits)

    received = gradient()
    assert received is not None, (
        "no gradient reaches the logits: stay with TensorFlow's functions"
    )
    targets = np.full((6, 5), 0.2 / 5)
    targets[np.arange(6), labels.numpy()] += 0.8
    expected = softmax(logits.numpy()) - targets
    assert close(np.asarray(received), expected, 1e-3), explain(
        "the gradient by the logits is the probabilities less the smoothed labels",
        expected=expected[0],
        received=np.asarray(received)[0],
    )
