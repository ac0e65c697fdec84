"""What right answers to 01_deep_mlp promise."""

import contextlib
import math
import warnings

import keras
import numpy as np
import tensorflow as tf

from tfcourse.checking import check, explain

IMAGE_SHAPE = (4, 5)
NUM_CLASSES = 3
NUM_PIXELS = 20


def numpy_array(value, what):
    """Return the value as an array, or say what is wrong with it."""
    assert value is not None, explain(
        f"nothing comes back for {what}: is there a return?",
        expected="an array",
        received=None,
    )
    return np.asarray(value)


# prepare_data ---------------------------------------------------------------------------


def sorted_images():
    """Return 400 images sorted by class, their labels, and 50 brighter test images.

    In each image pixel (0, 0) is black, (0, 1) is white, (1, 0) and (1, 1) hold the
    image's number: whatever the scale, an image can be recognised.
    """
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (450, 1, 1)) * rng.uniform(0, 1, (450, 4, 4))
    images[400:] = images[400:] * 0.5 + 127
    numbers = np.arange(450)
    images[:, 0, 0], images[:, 0, 1] = 0, 255
    images[:, 1, 0], images[:, 1, 1] = numbers // 256, numbers % 256
    images = images.astype(np.uint8)
    return images[:400], np.repeat(np.arange(10), 40), images[400:]


def prepared(submission, val_fraction=0.25, seed=0):
    """Return the parts that prepare_data makes of `sorted_images()`."""
    images, labels, test_images = sorted_images()
    parts = submission.prepare_data(
        images, labels, test_images, val_fraction=val_fraction, seed=seed
    )
    form = "(train_images, train_labels), (val_images, val_labels), test_images"
    right_form = isinstance(parts, tuple | list) and len(parts) == 3
    right_form = right_form and all(
        isinstance(part, tuple | list) and len(part) == 2 for part in parts[:2]
    )
    assert right_form, explain(
        "the arrays come back in another form", expected=form, received=parts
    )
    train, val = (
        [numpy_array(array, "the training or the validation part") for array in part]
        for part in parts[:2]
    )
    for name, (part_images, part_labels) in (("training", train), ("validation", val)):
        assert part_images.shape[1:] == (4, 4) and part_labels.ndim == 1, explain(
            f"the {name} part does not hold images, then labels",
            expected="images [n, 4, 4] and labels [n]",
            received=f"shapes {part_images.shape} and {part_labels.shape}",
        )
        assert len(part_images) == len(part_labels), explain(
            f"the {name} part has not one label per image",
            expected=len(part_images),
            received=len(part_labels),
        )
    return train, val, numpy_array(parts[2], "the test images")


def numbers_used(images):
    """Return the mean and the deviation, in grey levels, that an array was scaled by."""
    black, white = float(images[0, 0, 0]), float(images[0, 0, 1])
    assert np.isfinite(images).all() and white > black, explain(
        "a constant pixel has lost its value: use one mean and one deviation for all "
        "pixels together, since a deviation per pixel is zero at the border",
        expected="finite numbers, white above black",
        received=f"black {black}, white {white}",
    )
    deviation = 255 / (white - black)
    return -black * deviation, deviation


def image_numbers(images):
    """Return each image's number, whatever the scale."""
    mean, deviation = numbers_used(images)
    codes = np.rint(images[:, 1, :2].astype(np.float64) * deviation + mean).astype(int)
    return codes[:, 0] * 256 + codes[:, 1]


@check(task="prepare_data")
def images_are_float32_and_labels_integers(submission):
    (train_images, train_labels), (val_images, _), test_images = prepared(submission)
    for images in (train_images, val_images, test_images):
        assert images.dtype == np.float32, explain(
            "images must be float32: integers can't hold fractions, float64 doubles "
            "the memory",
            expected="float32",
            received=images.dtype.name,
        )
    assert np.issubdtype(train_labels.dtype, np.integer), explain(
        "labels must stay integers",
        expected="integers",
        received=train_labels.dtype.name,
    )


@check(task="prepare_data")
def every_example_is_in_one_part_with_its_label(submission):
    (train_images, train_labels), (val_images, val_labels), _ = prepared(submission)
    train_numbers, val_numbers = image_numbers(train_images), image_numbers(val_images)
    both = set(train_numbers) & set(val_numbers)
    assert not both, explain(
        "the parts overlap: training examples validate too",
        expected="no common example",
        received=f"{len(both)} common examples",
    )
    assert abs(len(val_images) - 100) <= 5, explain(
        "val_fraction is the share of the examples that validate",
        expected="100 of 400 for val_fraction=0.25",
        received=len(val_images),
    )
    numbers = np.concatenate([train_numbers, val_numbers])
    assert sorted(numbers) == list(range(400)), explain(
        "some examples are lost or doubled",
        expected="each of 400 examples once",
        received=f"{len(set(numbers))} different ones among {len(numbers)}",
    )
    labels = np.concatenate([train_labels, val_labels])
    wrong = int(np.sum(labels != numbers // 40))
    assert wrong == 0, explain(
        "images and labels are shuffled apart",
        expected="each image with its label",
        received=f"{wrong} of 400 images with another image's label",
    )


@check(task="prepare_data")
def the_split_is_shuffled_and_stratified(submission):
    for seed in (0, 1, 2):
        (train_images, train_labels), (_, val_labels), _ = prepared(
            submission, seed=seed
        )
        found = np.bincount(val_labels.astype(int), minlength=10)
        assert found.max() <= 20, explain(
            "the split is not shuffled: it cuts data sorted by class in two",
            expected="10 validation examples of each class",
            received=found.tolist(),
        )
        assert np.abs(found - 10).max() <= 1, explain(
            "the split is not stratified: class counts are left to luck",
            expected="10 validation examples of each class",
            received=found.tolist(),
        )
        numbers = image_numbers(train_images)
        steps = np.mean(np.diff(numbers) > 0)
        assert 0.3 < steps < 0.7 and np.any(np.diff(train_labels) < 0), explain(
            "the training part is not shuffled: it keeps the order of the input",
            expected="a random order",
            received=f"images {numbers[:6].tolist()}... in this order",
        )


@check(task="prepare_data")
def the_seed_decides_the_split(submission):
    first, again, other = (
        image_numbers(prepared(submission, seed=seed)[1][0]).tolist()
        for seed in (0, 0, 1)
    )
    assert first == again, explain(
        "the same seed gives two different splits",
        expected=f"validation images {first[:4]}...",
        received=f"{again[:4]}...",
    )
    assert sorted(first) != sorted(other), explain(
        "the seed is ignored: each seed gives the same split",
        expected="another split for another seed",
        received=f"validation images {first[:4]}... for both",
    )


@check(task="prepare_data")
def training_pixels_have_mean_0_and_deviation_1(submission):
    (train_images, _), _, _ = prepared(submission)
    numbers_used(train_images)  # Says it where a pixel has become NaN.
    lowest, highest = float(train_images.min()), float(train_images.max())
    pixels = train_images.astype(np.float64)
    found = f"mean {pixels.mean():.5f}, deviation {pixels.std():.5f}"
    for mistake, holds in (
        ("pixels were left in 0 to 255", (lowest, highest) == (0, 255)),
        ("pixels were scaled to 0 to 1 only", lowest == 0 and 0.99 < highest < 1.01),
        ("pixels were divided by 255 twice", lowest == 0 and highest < 0.01),
        ("the mean is not subtracted", lowest == 0),
        ("the deviation is not divided by", abs(pixels.std() - 1) > 0.1),
    ):
        assert not holds, explain(
            mistake, expected="mean 0, deviation 1", received=found
        )
    right = abs(pixels.mean()) < 1e-4 and abs(pixels.std() - 1) < 1e-4
    assert right, explain(
        "mean and deviation must come from the training part alone",
        expected="mean 0, deviation 1 of the training images",
        received=found,
    )


@check(task="prepare_data")
def all_parts_are_scaled_by_the_training_numbers(submission):
    for seed in (0, 1):
        (train_images, _), (val_images, _), test_images = prepared(
            submission, seed=seed
        )
        assert test_images.shape == (50, 4, 4), explain(
            "the test images must stay as many and as large as they were",
            expected=(50, 4, 4),
            received=test_images.shape,
        )
        mean, deviation = numbers_used(train_images)
        for name, images in (("validation", val_images), ("test", test_images)):
            found = numbers_used(images)
            assert np.allclose(found, (mean, deviation), rtol=1e-3), explain(
                f"the {name} images are scaled by other numbers than the training "
                "images: their own statistics are none of a model's business",
                expected=f"mean {mean:.2f} and deviation {deviation:.2f} (grey levels)",
                received=f"mean {found[0]:.2f} and deviation {found[1]:.2f}",
            )
        assert np.array_equal(image_numbers(test_images), np.arange(400, 450)), explain(
            "the test images must keep their order",
            expected="400, 401, 402, ...",
            received=image_numbers(test_images)[:6].tolist(),
        )


@check(task="prepare_data")
def the_given_arrays_stay_as_they_were(submission):
    given = sorted_images()
    submission.prepare_data(*given, val_fraction=0.25, seed=0)
    for name, array, before in zip(
        ("images", "labels", "test_images"), given, sorted_images(), strict=True
    ):
        assert np.array_equal(array, before), explain(
            f"prepare_data changes the {name} that it is given: it must make new arrays",
            expected=before[:2],
            received=array[:2],
        )


# Models ---------------------------------------------------------------------------------


def random_images(num_images=8, scale=1.0):
    """Return float32 [num_images, 4, 5], normally distributed."""
    rng = np.random.default_rng(1)
    return (scale * rng.standard_normal((num_images, *IMAGE_SHAPE))).astype("float32")


def give_random_weights(model):
    """Set all variables at random: what an initialiser did no longer matters."""
    rng = np.random.default_rng(2)
    for variable in model.trainable_variables:
        fan_in = variable.shape[0] if len(variable.shape) > 1 else 1
        values = rng.standard_normal(tuple(variable.shape)) / math.sqrt(fan_in)
        variable.assign(values.astype("float32"))


def require_functional(model):
    """Fail unless it is a Functional model of the right shapes."""
    assert isinstance(model, keras.Model), explain(
        "this is no Keras model: return keras.Model(inputs, outputs)",
        expected="a keras.Model",
        received=model,
    )
    assert not isinstance(model, keras.Sequential) and model.built, explain(
        "the task asks for a Functional model: keras.Model(inputs, outputs)",
        expected="a Functional model",
        received=type(model).__name__,
    )
    assert tuple(model.input_shape) == (None, *IMAGE_SHAPE), explain(
        f"the input must have the shape of image_shape={IMAGE_SHAPE}",
        expected=(None, *IMAGE_SHAPE),
        received=model.input_shape,
    )
    assert tuple(model.output_shape) == (None, NUM_CLASSES), explain(
        f"the output must have one number per class, num_classes={NUM_CLASSES}",
        expected=(None, NUM_CLASSES),
        received=model.output_shape,
    )


def require_logits(model, activation=""):
    """Fail if the output has been through softmax, relu or another activation."""
    give_random_weights(model)
    outputs = np.asarray(model(random_images(64, scale=3.0), training=False))
    for mistake, holds in (
        (
            "there is a softmax in the model: the loss has one already (from_logits)",
            np.allclose(outputs.sum(axis=1), 1, atol=1e-4),
        ),
        (
            "there is an activation at the output: logits can be negative",
            outputs.min() >= 0,
        ),
        (
            "there is an activation at the output: logits can be large",
            np.abs(outputs).max() <= 1,
        ),
    ):
        assert not holds, explain(
            mistake,
            expected="logits of any size and sign",
            received=outputs[0].round(3).tolist(),
        )


def kernels_and_biases(model):
    """Return the trainable matrices and vectors, from the input to the output."""
    values = [np.asarray(variable) for variable in model.trainable_variables]
    kernels = [value for value in values if value.ndim == 2]
    return kernels, [value for value in values if value.ndim == 1]


@check(task="linear_model")
def it_maps_an_image_to_one_number_per_class(submission):
    model = submission.linear_model(IMAGE_SHAPE, NUM_CLASSES)
    require_functional(model)
    outputs = np.asarray(model(random_images(2)))
    assert outputs.shape == (2, NUM_CLASSES), explain(
        "two images must give two rows",
        expected=(2, NUM_CLASSES),
        received=outputs.shape,
    )


@check(task="linear_model")
def its_output_is_logits(submission):
    model = submission.linear_model(IMAGE_SHAPE, NUM_CLASSES)
    require_logits(model)


@check(task="linear_model")
def it_is_linear_and_sees_every_pixel(submission):
    model = submission.linear_model(IMAGE_SHAPE, NUM_CLASSES)
    num_weights = model.count_params()
    expected = NUM_PIXELS * NUM_CLASSES + NUM_CLASSES
    assert num_weights == expected, explain(
        "a linear model has one weight per pixel and class, and one bias per class",
        expected=f"{NUM_PIXELS} x {NUM_CLASSES} + {NUM_CLASSES} = {expected} parameters",
        received=num_weights,
    )
    give_random_weights(model)
    first, second = random_images(4), random_images(8)[4:]
    together, alone, other, blank = (
        np.asarray(model(images, training=False))
        for images in (first + second, first, second, first * 0)
    )
    assert np.allclose(together + blank, alone + other, atol=1e-3), explain(
        "the model is not linear: f(a + b) differs from f(a) + f(b) - f(0)",
        expected=(alone + other - blank)[0],
        received=together[0],
    )


def build_deep(submission, **changes):
    """Return a small deep_mlp: three hidden layers of seven units, tanh."""
    settings = {"depth": 3, "width": 7, "activation": "tanh"}
    settings |= {"initializer": "he_normal", **changes}
    return submission.deep_mlp(IMAGE_SHAPE, NUM_CLASSES, **settings)


def forward(model, images, activation, at_output=False):
    """Return what an MLP with the model's weights gives, in numpy: the oracle."""
    kernels, biases = kernels_and_biases(model)
    x = images.reshape(len(images), -1).astype(np.float64)
    for index, (kernel, bias) in enumerate(zip(kernels, biases, strict=True)):
        x = x @ kernel + bias
        if index < len(kernels) - 1 or at_output:
            x = activation(x)
    return x


ACTIVATIONS = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
}


@check(task="deep_mlp")
def depth_and_width_are_those_of_the_hidden_layers(submission):
    require_functional(build_deep(submission))
    for depth, width in ((4, 6), (1, 7)):
        model = build_deep(submission, depth=depth, width=width)
        kernels, biases = kernels_and_biases(model)
        shapes = [kernel.shape for kernel in kernels]
        sizes = [NUM_PIXELS, *[width] * depth, NUM_CLASSES]
        expected = list(zip(sizes[:-1], sizes[1:], strict=True))
        for mistake, holds in (
            (
                "depth counts the hidden layers, and the output layer comes on top",
                abs(len(shapes) - len(expected)) == 1,
            ),
            (
                "each hidden layer needs weights of its own: make it inside the loop",
                len(shapes) != len(expected),
            ),
        ):
            assert not holds, explain(
                mistake,
                expected=f"for depth={depth} kernels {expected}",
                received=shapes,
            )
        assert shapes == expected, explain(
            f"every hidden layer must have width={width} units",
            expected=f"kernels {expected}",
            received=shapes,
        )
        assert [len(bias) for bias in biases] == sizes[1:], explain(
            "each layer has a bias, and nothing else is trained",
            expected=f"biases of {sizes[1:]}",
            received=[len(bias) for bias in biases],
        )


@check(task="deep_mlp")
def hidden_layers_are_activated_and_the_output_is_not(submission):
    images = random_images(64)
    for name in ("tanh", "relu", "sigmoid"):
        model = build_deep(submission, activation=name)
        require_logits(model)
        received = np.asarray(model(images, training=False))
        candidates = {
            other: forward(model, images, function)
            for other, function in ACTIVATIONS.items()
        }
        expected = candidates.pop(name)
        for other, outputs in candidates.items():
            same = np.allclose(received, outputs, atol=1e-3)
            assert not (same and other == "linear"), explain(
                "there is no activation between the layers: a deep linear model is a "
                "linear model",
                expected=expected[0].round(3).tolist(),
                received=received[0].round(3).tolist(),
            )
            assert not same, explain(
                f"activation={name!r} is ignored, the hidden layers have {other}",
                expected=expected[0].round(3).tolist(),
                received=received[0].round(3).tolist(),
            )
        outputs = forward(model, images, ACTIVATIONS[name], at_output=True)
        assert not np.allclose(received, outputs, atol=1e-3), explain(
            "there is an activation at the output",
            expected=expected[0].round(3).tolist(),
            received=received[0].round(3).tolist(),
        )
        assert np.allclose(received, expected, atol=1e-3), explain(
            f"every hidden layer must be dense, then {name}; the output dense alone",
            expected=expected[0].round(3).tolist(),
            received=received[0].round(3).tolist(),
        )


@check(task="deep_mlp")
def hidden_kernels_start_as_the_initializer_says(submission):
    for name, value in (("zeros", 0.0), ("ones", 1.0)):
        kernels, _ = kernels_and_biases(build_deep(submission, initializer=name))
        for index, kernel in enumerate(kernels[:-1]):
            assert np.all(kernel == value), explain(
                f"initializer={name!r} is ignored in hidden layer {index + 1}",
                expected=f"a kernel of {name}",
                received=f"mean {kernel.mean():.3f}, deviation {kernel.std():.3f}",
            )


@check(task="deep_mlp")
def every_layer_starts_with_weights_of_its_own(submission):
    for name in ("he_normal", "glorot_uniform"):
        first = kernels_and_biases(build_deep(submission, initializer=name))[0]
        assert len(first) > 2 and not np.array_equal(first[1], first[2]), explain(
            "two hidden layers start with the same weights: one initialiser object "
            "draws the same numbers each time, so make one for each layer",
            expected="different kernels",
            received=first[1][0] if len(first) > 1 else "no second hidden layer",
        )
        second = kernels_and_biases(build_deep(submission, initializer=name))[0]
        assert not np.array_equal(first[1], second[1]), explain(
            "two models start with the same weights: a fixed seed hides the spread "
            "over seeds",
            expected="different kernels",
            received=first[1][0],
        )


@check(task="deep_mlp")
def dropout_is_applied_to_hidden_layers_in_training_only(submission):
    num_units, rate = 200, 0.25
    model = submission.deep_mlp(
        IMAGE_SHAPE,
        1,
        depth=1,
        width=num_units,
        activation="relu",
        initializer="zeros",
        dropout_rate=rate,
    )
    for variable in model.trainable_variables:
        is_head_bias = tuple(variable.shape) == (1,)
        is_hidden_kernel = tuple(variable.shape) == (NUM_PIXELS, num_units)
        value = 0.0 if is_head_bias or is_hidden_kernel else 1.0
        variable.assign(np.full(tuple(variable.shape), value, "float32"))
    images = random_images(256)
    resting = np.asarray(model(images, training=False))
    assert np.allclose(resting, num_units, rtol=1e-4), explain(
        "outside training nothing may be dropped", expected=200.0, received=resting[0]
    )
    active = np.asarray(model(images, training=True))
    assert not np.allclose(active, num_units, rtol=1e-4), explain(
        "dropout_rate is ignored, or drops something else than hidden units",
        expected="other sums in training",
        received=active[:3, 0],
    )
    assert np.all(active != 0), explain(
        "dropout sets logits to 0: it belongs behind hidden layers, not the output",
        expected="no logit of 0",
        received=active[:8, 0],
    )
    kept = float(
        active.std() ** 2 / num_units
    )  # Variance of one unit: rate / (1 - rate).
    share = kept / (1 + kept)
    assert abs(share - rate) < 0.1, explain(
        f"dropout_rate={rate} is the share that is dropped",
        expected=f"{rate:.0%} dropped",
        received=f"{share:.0%} dropped",
    )


@check(task="deep_mlp")
def one_batch_can_be_learned_by_heart(submission):
    model = build_deep(submission, depth=2, width=32, activation="relu")
    images = random_images(16)
    labels = np.arange(16) % NUM_CLASSES
    optimizer = keras.optimizers.Adam(0.02)
    optimizer.build(model.trainable_variables)
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = loss_of(labels, model(images, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        return loss

    losses = [float(step()) for _ in range(60)]
    assert losses[-1] < 0.1, explain(
        "60 steps on 16 images must bring the loss to 0: the gradient does not reach "
        "the weights, or the output can't be what it should",
        expected="a loss below 0.1",
        received=f"{losses[0]:.3f} at first, {losses[-1]:.3f} at last",
    )


# train ----------------------------------------------------------------------------------


class Recorder(keras.Model):
    """A Functional model that records which examples `fit` trains and validates on."""

    def reset(self):
        """Forget what was recorded; return the model."""
        self.trained, self.validated = [], []
        return self

    def train_step(self, data):
        """Record and train."""
        self.trained.append(tuple(np.asarray(part) for part in data[:2]))
        return super().train_step(data)

    def test_step(self, data):
        """Record and validate."""
        self.validated.append(tuple(np.asarray(part) for part in data[:2]))
        return super().test_step(data)


class Counter(keras.callbacks.Callback):
    """Counts epochs."""

    num_epochs = 0

    def on_epoch_end(self, epoch, logs=None):
        """Count."""
        self.num_epochs += 1


@contextlib.contextmanager
def eagerly():
    """Run tf.functions line by line: nothing to compile, and arrays can be looked at."""
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        with warnings.catch_warnings():
            # tf.data says that its functions are compiled all the same.
            warnings.simplefilter("ignore")
            yield
    finally:
        tf.config.run_functions_eagerly(before)


def logit_model(kind=keras.Model):
    """Return a model whose logits are the input's second to fourth number."""
    inputs = keras.Input((4,))
    pick = keras.layers.Dense(3, use_bias=False, name="pick")
    model = kind(inputs, pick(inputs))
    pick.kernel.assign(np.eye(4, 3, -1, dtype="float32"))
    return model


def logit_data(first, num_examples):
    """Return float32 [n, 4], an example's number and its logits, and labels."""
    rng = np.random.default_rng(first + 3)
    numbers = np.arange(first, first + num_examples)
    logits = 2 * rng.standard_normal((num_examples, 3))
    inputs = np.column_stack([numbers, logits]).astype("float32")
    return inputs, numbers % 3


def train_recorder(submission, **changes):
    """Return the recorder and the history of one epoch, batch size 8, SGD at 0."""
    model = changes.pop("model", None) or logit_model(Recorder)
    optimizer = changes.pop("optimizer", None) or keras.optimizers.SGD(0.0)
    options = {"batch_size": 8, "epochs": 1, "verbose": 0, **changes}
    model.reset()
    with eagerly():
        try:
            history = submission.train(
                model, optimizer, logit_data(0, 20), logit_data(100, 7), **options
            )
        except (ValueError, tf.errors.InvalidArgumentError) as error:
            # Complaints about shapes only: whatever else there is, the student made.
            text = str(error).lower()
            if "rank" not in text and "shape" not in text:
                raise
            raise AssertionError(
                explain(
                    "the loss or the metric does not fit integer labels and logits: take "
                    'SparseCategoricalCrossentropy and "accuracy"',
                    expected="labels int [batch], logits [batch, classes]",
                    received=str(error).splitlines()[0],
                )
            ) from None
    assert hasattr(history, "history"), explain(
        "train must return what fit returns",
        expected="a History",
        received=history,
    )
    return model, history.history


def log_softmax(logits):
    """Return log softmax of float [n, classes]."""
    logits = logits.astype(np.float64)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


@check(task="train")
def an_epoch_takes_each_training_example_once(submission):
    model, _ = train_recorder(submission)
    assert model.trained, explain(
        "no step of fit was seen: train with fit(model, ...), and leave the model as "
        "it is",
        expected="an epoch of fit",
        received="none",
    )
    sizes = [len(labels) for _, labels in model.trained]
    numbers = np.concatenate([inputs[:, 0] for inputs, _ in model.trained]).astype(int)
    labels = np.concatenate([labels for _, labels in model.trained])
    assert not np.any(numbers >= 100), explain(
        "it trains on the validation data",
        expected="training examples alone",
        received=f"{int(np.sum(numbers >= 100))} validation examples in training steps",
    )
    assert sizes[:3] != [8, 8, 8] and len(numbers) >= 20, explain(
        "an epoch must show all 20 examples, the last, smaller batch included",
        expected="20 examples",
        received=f"{len(numbers)} in batches of {sizes}",
    )
    assert sizes[:3] == [8, 8, 4], explain(
        "batch_size=8 is ignored", expected="batches of 8, 8 and 4", received=sizes
    )
    assert sorted(numbers) == list(range(20)), explain(
        "an epoch must show each training example once",
        expected="0 to 19, in any order",
        received=sorted(numbers.tolist()),
    )
    assert np.array_equal(labels.ravel(), numbers % 3), explain(
        "images and labels are shuffled apart",
        expected=(numbers % 3)[:8],
        received=labels.ravel()[:8],
    )


@check(task="train")
def the_training_examples_are_shuffled(submission):
    model, _ = train_recorder(submission)
    numbers = np.concatenate([inputs[:, 0] for inputs, _ in model.trained]).astype(int)
    # Not that epochs differ: with a global seed, Keras's fit repeats its first order.
    first_epoch = numbers[:20].tolist()
    assert first_epoch != sorted(first_epoch), explain(
        "the training data are not shuffled: batches come in the order of the file",
        expected="a random order",
        received=first_epoch,
    )


@check(task="train")
def validation_uses_the_validation_data(submission):
    model, _ = train_recorder(submission)
    assert model.validated, explain(
        "nothing is validated: validation_data is missing",
        expected="the validation data after each epoch",
        received="none",
    )
    numbers = np.concatenate([inputs[:, 0] for inputs, _ in model.validated])
    numbers = numbers.astype(int).tolist()
    assert min(numbers) >= 100, explain(
        "it validates on training examples: these it knows by heart",
        expected="100 to 106",
        received=sorted(set(numbers)),
    )
    assert sorted(numbers) == list(range(100, 107)), explain(
        "each epoch must validate on all validation examples",
        expected="100 to 106, once",
        received=numbers,
    )


@check(task="train")
def the_loss_is_the_cross_entropy_of_logits(submission):
    _, history = train_recorder(submission)
    inputs, labels = logit_data(0, 20)
    received, logits = history["loss"][0], inputs[:, 1:]
    rows = np.arange(20)
    expected = float(-log_softmax(logits)[rows, labels].mean())
    twice = float(-log_softmax(np.exp(log_softmax(logits)))[rows, labels].mean())
    as_probabilities = keras.losses.SparseCategoricalCrossentropy()(labels, logits)
    for mistake, loss in (
        (
            "the loss takes logits for probabilities: from_logits=True is missing",
            float(as_probabilities),
        ),
        ("softmax is applied twice", twice),
    ):
        assert abs(received - loss) > 1e-3, explain(
            mistake, expected=f"loss {expected:.4f}", received=f"{received:.4f}"
        )
    assert abs(received - expected) < 1e-3, explain(
        "the loss is not the mean cross-entropy of the logits and integer labels",
        expected=f"{expected:.4f}",
        received=f"{received:.4f}",
    )


@check(task="train")
def equal_logits_cost_the_logarithm_of_the_number_of_classes(submission):
    model = logit_model(Recorder)
    model.get_layer("pick").kernel.assign(np.zeros((4, 3), "float32"))
    _, history = train_recorder(submission, model=model)
    received = history["loss"][0]
    assert abs(received - math.log(3)) < 1e-3, explain(
        "before it has learned anything a model loses ln(num_classes); this loss is none "
        "of logits (from_logits=True?)",
        expected=f"ln 3 = {math.log(3):.4f}",
        received=f"{received:.4f}",
    )


@check(task="train")
def accuracy_is_reported_for_training_and_validation(submission):
    _, history = train_recorder(submission)
    for key, data in (("accuracy", (0, 20)), ("val_accuracy", (100, 7))):
        hint = "validation_data" if key.startswith("val") else 'metrics=["accuracy"]'
        assert key in history, explain(
            f"the history has no {key}: {hint} is missing",
            expected=key,
            received=sorted(history),
        )
        inputs, labels = logit_data(*data)
        expected = float(np.mean(inputs[:, 1:].argmax(axis=1) == labels))
        assert abs(history[key][0] - expected) < 1e-4, explain(
            f"{key} is not the share of right predictions of its data",
            expected=f"{expected:.4f}",
            received=f"{history[key][0]:.4f}",
        )


@check(task="train")
def fit_gets_the_optimizer_and_the_options(submission):
    counter, optimizer = Counter(), keras.optimizers.SGD(0.0)
    model, _ = train_recorder(
        submission, callbacks=[counter], epochs=2, optimizer=optimizer
    )
    assert model.optimizer is optimizer, explain(
        "the model is compiled with another optimizer than the given one",
        expected="SGD with learning rate 0",
        received=type(model.optimizer).__name__,
    )
    assert counter.num_epochs > 0, explain(
        "the callbacks do not reach fit: no logs, no progress, no resume points",
        expected="2 epochs seen",
        received=0,
    )
    assert counter.num_epochs == 2, explain(
        "epochs=2 is ignored", expected="2 epochs", received=counter.num_epochs
    )


@check(task="train")
def the_given_fit_does_the_work(submission):
    calls = []

    def fit(model, *arguments, **options):
        calls.append(options)
        return keras.Model.fit(model, *arguments, **options)

    train_recorder(submission, fit=fit)
    assert len(calls) == 1, explain(
        "the argument fit is not called once: write fit(model, ...), so that the study "
        "can pass a faster one",
        expected="1 call",
        received=f"{len(calls)} calls",
    )


# evaluate -------------------------------------------------------------------------------


def scored_model(num_classes, dropout_rate=0.0):
    """Return a compiled model whose logits are its input, float32 [batch, 1, classes]."""
    inputs = keras.Input((1, num_classes))
    x = keras.layers.Dropout(dropout_rate)(keras.layers.Flatten()(inputs))
    dense = keras.layers.Dense(num_classes, use_bias=False)
    model = keras.Model(inputs, dense(x))
    dense.kernel.assign(np.eye(num_classes, dtype="float32"))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(loss=loss, metrics=["accuracy"])
    return model


def scored_data(num_classes, used_classes, num_examples=70):
    """Return images (the logits), labels, and predictions: the first is often 1 for 0."""
    rng = np.random.default_rng(4)
    labels = rng.integers(0, used_classes, num_examples)
    predictions = np.where(rng.random(num_examples) < 0.6, labels, (labels + 1) % 3)
    logits = rng.uniform(-2, 0, (num_examples, num_classes))
    logits[np.arange(num_examples), predictions] = 1
    return logits[:, None].astype("float32"), labels, predictions


def evaluated(submission, num_classes=3, used_classes=3, dropout_rate=0.0):
    """Return accuracy and matrix, as received, and labels and predictions."""
    images, labels, predictions = scored_data(num_classes, used_classes)
    model = scored_model(num_classes, dropout_rate)
    with eagerly():
        result = submission.evaluate(model, images, labels, num_classes)
    assert isinstance(result, tuple | list) and len(result) == 2, explain(
        "evaluate must return the accuracy and the matrix",
        expected="accuracy, matrix",
        received=result,
    )
    matrix = numpy_array(result[1], "the matrix")
    accuracy = numpy_array(result[0], "the accuracy")
    assert accuracy.ndim == 0, explain(
        "the accuracy is one number, and comes first",
        expected="a number",
        received=accuracy,
    )
    return float(accuracy), matrix, labels, predictions


@check(task="evaluate")
def the_accuracy_counts_all_examples(submission):
    accuracy, _, labels, predictions = evaluated(submission)
    right = labels == predictions
    expected = float(right.mean())
    assert not abs(accuracy - 100 * expected) < 0.1, explain(
        "the accuracy is in percent", expected=f"{expected:.4f}", received=accuracy
    )
    assert not any(abs(accuracy - right[:n].mean()) < 1e-6 for n in (32, 64)), explain(
        "the last, smaller batch is dropped",
        expected=f"{expected:.4f} of 70 examples",
        received=f"{accuracy:.4f}",
    )
    assert abs(accuracy - expected) < 1e-5, explain(
        "the accuracy is the share of examples whose largest logit is the label's "
        "(is the order of images and labels kept?)",
        expected=f"{expected:.4f}",
        received=f"{accuracy:.4f}",
    )


@check(task="evaluate")
def rows_are_true_classes_and_columns_predictions(submission):
    _, matrix, labels, predictions = evaluated(submission)
    expected = np.zeros((3, 3), int)
    for true, predicted in zip(labels, predictions, strict=True):
        expected[true, predicted] += 1
    assert matrix.shape == (3, 3), explain(
        "the matrix has one row and one column per class",
        expected=(3, 3),
        received=matrix.shape,
    )
    for mistake, other in (
        ("the matrix is transposed: rows are true classes", expected.T),
        ("repeated pairs are counted once: matrix[a, b] += 1 does that", expected > 0),
        ("the matrix holds shares: leave counts", expected / 70),
        (
            "the matrix holds shares of each row: leave counts",
            expected / expected.sum(axis=1, keepdims=True),
        ),
    ):
        assert not np.allclose(matrix, other), explain(
            mistake, expected=expected.tolist(), received=matrix.round(2).tolist()
        )
    assert matrix.sum() == 70, explain(
        "the matrix must count all examples, those of the last batch too",
        expected=70,
        received=matrix.sum(),
    )
    assert np.array_equal(matrix, expected), explain(
        "the counts are wrong (is the order of images and labels kept?)",
        expected=expected.tolist(),
        received=matrix.tolist(),
    )


@check(task="evaluate")
def a_class_that_does_not_occur_keeps_its_row(submission):
    _, matrix, _, _ = evaluated(submission, num_classes=5)
    assert matrix.shape == (5, 5), explain(
        "classes that do not occur must keep their rows and columns: the size is "
        "num_classes",
        expected=(5, 5),
        received=matrix.shape,
    )
    assert np.issubdtype(matrix.dtype, np.integer), explain(
        "the matrix counts: its entries are integers",
        expected="integers",
        received=matrix.dtype.name,
    )


@check(task="evaluate")
def dropout_is_off_in_evaluation(submission):
    accuracy, _, labels, predictions = evaluated(submission, dropout_rate=0.8)
    expected = float(np.mean(labels == predictions))
    assert abs(accuracy - expected) < 1e-5, explain(
        "the model is evaluated in training mode: dropout is on",
        expected=f"{expected:.4f}",
        received=f"{accuracy:.4f}",
    )


# Study ----------------------------------------------------------------------------------

LEVELS = {
    "learning_rate": [1e-4, 1e-2, 1.0],
    "activation": ["relu", "tanh", "gelu"],
    "optimizer": ["sgd", "adam"],
    "width": [16, 64],
}
BASE = {"learning_rate": 1e-2, "activation": "tanh", "optimizer": "adam", "width": 16}


def drawn_configurations(submission, num_draws=600):
    """Return many draws, each a dict with all factors."""
    rng = np.random.default_rng(5)
    levels = {factor: list(values) for factor, values in LEVELS.items()}
    draws = [submission.sample_configuration(rng, levels) for _ in range(num_draws)]
    for draw in draws:
        assert isinstance(draw, dict) and set(draw) == set(LEVELS), explain(
            "a configuration has a level for each factor",
            expected=sorted(LEVELS),
            received=draw,
        )
    assert any(draw != draws[0] for draw in draws), explain(
        "all draws are the same: the randomness must come from rng, which moves on",
        expected="different configurations",
        received=draws[0],
    )
    return draws


@check(task="sample_configuration")
def learning_rates_are_log_uniform(submission):
    rates = np.array(
        [draw["learning_rate"] for draw in drawn_configurations(submission)]
    )
    lowest, highest = rates.min(), rates.max()
    assert lowest >= 0.999e-4 and highest <= 1.001, explain(
        "rates must lie between the lowest and the highest level (take the same "
        "logarithm there and back)",
        expected="0.0001 to 1.0",
        received=f"{lowest:.3g} to {highest:.3g}",
    )
    assert lowest < 0.015, explain(
        "small rates never occur: take the same logarithm there and back (np.log with "
        "np.exp, np.log10 with 10 **)",
        expected="0.0001 to 1.0",
        received=f"{lowest:.3g} to {highest:.3g}",
    )
    below = float(np.mean(rates < 1e-2))
    assert below > 0.1, explain(
        "the learning rate is uniform, not log-uniform: nearly all draws are large",
        expected="half of the draws below 0.01, the middle of 0.0001 and 1 in logarithm",
        received=f"{below:.1%}",
    )
    assert len(np.unique(rates)) > 300, explain(
        "the learning rate is drawn from few values: it is continuous",
        expected="600 different rates",
        received=f"{len(np.unique(rates))} different rates",
    )
    shares = np.histogram(np.log10(rates), bins=4, range=(-4, 0))[0] / len(rates)
    assert np.abs(shares - 0.25).max() < 0.09, explain(
        "the learning rate is not log-uniform: each decade gets the same share",
        expected="25% in each of four decades",
        received=[f"{share:.0%}" for share in shares],
    )


@check(task="sample_configuration")
def all_randomness_comes_from_rng(submission):
    first, again, other = (
        submission.sample_configuration(np.random.default_rng(seed), LEVELS)
        for seed in (6, 6, 7)
    )
    assert first == again, explain(
        "the same rng gives different configurations: use rng alone, no other generator",
        expected=first,
        received=again,
    )
    assert first != other, explain(
        "another rng gives the same configuration: use rng, no generator of your own",
        expected="another configuration",
        received=other,
    )


@check(task="sample_configuration")
def levels_are_equally_likely_and_independent(submission):
    draws = drawn_configurations(submission)
    for factor in ("activation", "optimizer", "width"):
        levels = LEVELS[factor]
        for level in levels:
            share = float(np.mean([draw[factor] == level for draw in draws]))
            assert abs(share - 1 / len(levels)) < 0.1, explain(
                f"the levels of {factor} are not equally likely",
                expected=f"{1 / len(levels):.0%} {level}",
                received=f"{share:.0%}",
            )
    pairs = {(draw["optimizer"], draw["width"]) for draw in draws}
    assert len(pairs) == 4, explain(
        "the factors are not independent: some combinations never occur",
        expected="4 pairs of optimizer and width",
        received=sorted(pairs),
    )


def designed(submission):
    """Return the configurations of the one-factor design."""
    base = dict(BASE)
    levels = {factor: list(values) for factor, values in LEVELS.items()}
    received = submission.one_factor_at_a_time(base, levels)
    assert base == BASE, explain(
        "base is changed: copy it before you change a factor",
        expected=BASE,
        received=base,
    )
    is_list = isinstance(received, list | tuple) and len(received) > 0
    assert is_list and all(isinstance(entry, dict) for entry in received), explain(
        "the design is a list of configurations",
        expected="a list of dicts",
        received=received,
    )
    return list(received)


@check(task="one_factor_at_a_time")
def no_configuration_changes_two_factors(submission):
    received = designed(submission)
    for entry in received:
        assert set(entry) == set(BASE), explain(
            "each configuration has a level for every factor",
            expected=sorted(BASE),
            received=entry,
        )
    changed = [
        [factor for factor in BASE if entry[factor] != BASE[factor]]
        for entry in received
    ]
    assert max(map(len, changed)) <= 1, explain(
        "two factors change at once: what caused the difference can't be told",
        expected="at most one factor other than base",
        received=next(names for names in changed if len(names) > 1),
    )


@check(task="one_factor_at_a_time")
def the_base_comes_first_and_once(submission):
    received = designed(submission)
    assert received[0] == BASE, explain(
        "the base comes first: it is what all others are compared with",
        expected=BASE,
        received=received[0],
    )
    count = received.count(BASE)
    assert count == 1, explain(
        "the base is listed more than once: it is one run, whatever factor it serves",
        expected="once",
        received=f"{count} times",
    )


@check(task="one_factor_at_a_time")
def every_level_is_tried_once(submission):
    received = designed(submission)
    for factor, levels in LEVELS.items():
        for level in levels:
            if level != BASE[factor]:
                count = received.count({**BASE, factor: level})
                assert count == 1, explain(
                    f"{factor}={level} with all else as in base must occur once",
                    expected=1,
                    received=count,
                )
    assert len(received) == 7, explain(
        "the design has the base and one configuration per other level",
        expected="1 + 2 + 2 + 1 + 1 = 7",
        received=len(received),
    )


ACCURACIES = {
    "width": {16: [0.90, 0.91, 0.92], 64: [0.93, 0.94, 0.95], 256: [0.92, 0.92, 0.97]},
    "activation": {"relu": [0.90, 0.96, 0.90], "linear": [0.80, 0.82, 0.81]},
    "depth": {1: [0.93, 0.93, 0.94], 2: [0.93, 0.94, 0.94]},
}


def table(submission):
    """Return the rows by factor."""
    given = {
        factor: {level: list(values) for level, values in levels.items()}
        for factor, levels in ACCURACIES.items()
    }
    rows = submission.effect_table(given)
    is_list = isinstance(rows, list | tuple) and len(rows) > 0
    assert is_list and all(isinstance(row, dict) for row in rows), explain(
        "the table is a list of rows",
        expected="a list of dicts",
        received=rows,
    )
    keys = {"factor", "best", "worst", "effect", "spread"}
    for row in rows:
        assert keys <= set(row), explain(
            "a row lacks a key", expected=sorted(keys), received=sorted(row)
        )
    factors = [row["factor"] for row in rows]
    assert sorted(factors) == sorted(ACCURACIES), explain(
        "the table has one row per factor",
        expected=sorted(ACCURACIES),
        received=factors,
    )
    return list(rows)


@check(task="effect_table")
def an_effect_is_a_difference_of_means_over_seeds(submission):
    for row in table(submission):
        levels = ACCURACIES[row["factor"]]
        means = [np.mean(values) for values in levels.values()]
        everything = np.concatenate(list(levels.values()))
        expected, lucky = max(means) - min(means), everything.max() - everything.min()
        assert not abs(row["effect"] - lucky) < 1e-6, explain(
            "the effect compares the luckiest seed with the unluckiest: compare means "
            "over seeds",
            expected=f"{expected:.4f} for {row['factor']}",
            received=f"{row['effect']:.4f}",
        )
        assert abs(row["effect"] - expected) < 1e-6, explain(
            "the effect is the best level's mean minus the worst level's",
            expected=f"{expected:.4f} for {row['factor']}",
            received=f"{row['effect']:.4f}",
        )


@check(task="effect_table")
def the_spread_is_that_over_seeds(submission):
    for row in table(submission):
        values = np.array(list(ACCURACIES[row["factor"]].values()))
        expected = math.sqrt(values.var(axis=1, ddof=1).mean())
        others = (
            (
                "the spread is that between levels, not between seeds",
                [
                    values.mean(axis=1).std(ddof=1),
                    values.mean(axis=1).std(),
                    math.sqrt(values.var(axis=0, ddof=1).mean()),
                    math.sqrt(values.var(axis=0).mean()),
                    values.std(axis=0, ddof=1).mean(),
                ],
            ),
            (
                "the spread mixes levels and seeds: take the variance within each level",
                [
                    values.std(ddof=1),
                    values.std(),
                ],
            ),
            (
                "few seeds: divide by n - 1 (ddof=1)",
                [
                    math.sqrt(values.var(axis=1).mean()),
                ],
            ),
            (
                "pool variances, not deviations: the root of their mean",
                [
                    values.std(axis=1, ddof=1).mean(),
                ],
            ),
        )
        right = abs(row["spread"] - expected) < 1e-6
        for mistake, candidates in others:
            same = any(abs(row["spread"] - value) < 1e-6 for value in candidates)
            assert right or not same, explain(
                mistake,
                expected=f"{expected:.5f} for {row['factor']}",
                received=f"{row['spread']:.5f}",
            )
        assert right, explain(
            "the spread is the root of the levels' mean variance over seeds",
            expected=f"{expected:.5f} for {row['factor']}",
            received=f"{row['spread']:.5f}",
        )


@check(task="effect_table")
def best_and_worst_are_levels_and_rows_are_sorted(submission):
    rows = table(submission)
    for row in rows:
        levels = ACCURACIES[row["factor"]]
        means = {level: float(np.mean(values)) for level, values in levels.items()}
        for key, choose in (("best", max), ("worst", min)):
            expected = choose(means, key=means.get)
            # Sums in another order may tell equal means apart.
            is_as_good = abs(means.get(row[key], np.inf) - means[expected]) < 1e-9
            assert is_as_good, explain(
                f"{key} is the level with the {'highest' if key == 'best' else 'lowest'} "
                "mean over seeds",
                expected=f"{expected} for {row['factor']}",
                received=row[key],
            )
    factors = [row["factor"] for row in rows]
    assert factors == ["activation", "width", "depth"], explain(
        "the largest effect comes first",
        expected=["activation", "width", "depth"],
        received=factors,
    )
