"""What right answers to adversarial_examples promise."""

import contextlib
import inspect

import keras
import numpy as np
import tensorflow as tf
from scipy.special import log_softmax, softmax

from tfcourse.adversarial_search import square_side
from tfcourse.checking import check, explain


def new_generator():
    """Return a generator that follows the seed of the checks."""
    return np.random.default_rng(np.random.randint(2**31))


def array(value, shape, what):
    """Return a student's array as float64, or fail with what it should have been."""
    try:
        received = None if value is None else np.asarray(value, np.float64)
    except (TypeError, ValueError, NotImplementedError):
        received = None
    assert received is not None and received.shape == shape, explain(
        f"{what}: the shape is not right",
        expected=shape,
        received=value if received is None else received.shape,
    )
    assert np.isfinite(received).all(), explain(
        f"{what} has values that are no numbers: is something divided by 0?",
        expected="finite numbers",
        received=f"{np.sum(~np.isfinite(received))} that are not",
    )
    return received


def same(first, second, tolerance=1e-4):
    """Return whether two arrays are equal up to rounding."""
    return np.allclose(first, second, rtol=tolerance, atol=tolerance)


# A network that numpy can differentiate -------------------------------------------------

CLASSES = 4
SHAPE = (5, 4)  # Height and width differ, so that exchanged axes are seen.


class Network(keras.Model):
    """A dense network with one hidden layer and dropout; notes what it is shown."""

    def __init__(self, rng, shape=SHAPE, *, dropout=0.0, size=1.0):
        super().__init__()
        pixels = int(np.prod(shape))
        weights = rng.normal(0, size, (pixels, 6)), rng.normal(0, 1, (6, CLASSES))
        self.first, self.second = (
            keras.Variable(w.astype("float32"), name=f"kernel_{i}")
            for i, w in enumerate(weights)
        )
        self.dropout = keras.layers.Dropout(dropout)
        self.seen, self.training_flags = [], []
        self.built = True

    def call(self, images, training=None):
        """Return the logits."""
        self.training_flags.append(training)
        if isinstance(images, np.ndarray) or hasattr(images, "numpy"):
            self.seen.append(np.array(images, np.float64))
        flat = tf.reshape(images, [tf.shape(images)[0], self.first.shape[0]])
        hidden = self.dropout(tf.tanh(flat @ self.first.value), training=training)
        return hidden @ self.second.value

    def logits(self, images):
        """Return what numpy computes."""
        return np.tanh(self._flat(images) @ self._first()) @ np.array(self.second)

    def gradient(self, images, of_logits):
        """Return what numpy computes: the gradient by the images, given that by logits."""
        hidden = np.tanh(self._flat(images) @ self._first())
        behind = of_logits @ np.array(self.second, np.float64).T * (1 - hidden**2)
        return (behind @ self._first().T).reshape(np.shape(images))

    def _flat(self, images):
        return np.reshape(images, (len(images), -1)).astype(np.float64)

    def _first(self):
        return np.array(self.first, np.float64)


class Linear(keras.Model):
    """Logits that are linear in the pixels: the best attack has a closed form."""

    def __init__(self, kernel, bias=None):
        super().__init__()
        self.kernel = keras.Variable(np.asarray(kernel, "float32"), name="kernel")
        bias = np.zeros(self.kernel.shape[1]) if bias is None else bias
        self.bias = tf.constant(bias, tf.float32)
        self.seen = []
        self.built = True

    def call(self, images, training=None):
        """Return the logits."""
        if isinstance(images, np.ndarray) or hasattr(images, "numpy"):
            self.seen.append(np.array(images, np.float64))
        flat = tf.reshape(images, [tf.shape(images)[0], self.kernel.shape[0]])
        return flat @ self.kernel.value + self.bias


def some_images(rng, count, shape=SHAPE, low=0.0, high=1.0):
    """Return float32 images and int64 labels."""
    images = rng.uniform(low, high, (count, *shape)).astype(np.float32)
    return images, rng.integers(0, CLASSES, count)


def entropy_gradient(model, images, labels):
    """Return the gradient of each image's cross-entropy by its pixels, by numpy."""
    error = softmax(model.logits(images), axis=-1) - np.eye(CLASSES)[labels]
    return model.gradient(images, error)


# What stands in for the other tasks, so that each is checked by itself.


def true_margin(labels, logits):
    logits = tf.convert_to_tensor(logits)
    mask = tf.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
    others = tf.reduce_max(tf.where(mask > 0, -np.inf, logits), axis=-1)
    return others - tf.reduce_sum(mask * logits, axis=-1)


def true_entropy(labels, logits):
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)


def true_gradient(model, images, labels, loss=true_entropy):
    images = tf.convert_to_tensor(images)
    with tf.GradientTape() as tape:
        tape.watch(images)
        losses = loss(labels, model(images, training=False))
    return tape.gradient(losses, images)


def true_projection(images, originals, epsilon, norm):
    change = images - originals
    if norm == "linf":
        change = tf.clip_by_value(change, -epsilon, epsilon)
    else:
        length = tf.sqrt(tf.reduce_sum(change**2, axis=(1, 2), keepdims=True))
        change = change * tf.minimum(1.0, epsilon / tf.maximum(length, 1e-12))
    return tf.clip_by_value(originals + change, 0.0, 1.0)


STAND_INS = {
    "margin_loss": true_margin,
    "input_gradient": true_gradient,
    "project": true_projection,
}


@contextlib.contextmanager
def standing_on(function, *names):
    """Put right versions of other tasks into the namespace of the function."""
    function = getattr(inspect.unwrap(function), "python_function", function)
    namespace = getattr(function, "__globals__", {})
    saved = {name: namespace[name] for name in names if name in namespace}
    namespace.update({name: STAND_INS[name] for name in saved})
    try:
        yield
    finally:
        namespace.update(saved)


def in_a_graph(function, what):
    """Return what the function gives in a graph as Keras makes it, or fail with words."""
    try:
        return tf.function(function, autograph=False).get_concrete_function()()
    except (NotImplementedError, TypeError, ValueError, AttributeError) as error:
        problem = str(error)
        if "exercise 13: write" in problem:
            raise
    except tf.errors.OperatorNotAllowedInGraphError as error:
        problem = str(error)
    hint = (
        f"{what} works eagerly but not in a graph, which is what training makes of it: use "
        "TensorFlow's functions instead of numpy's, and Python's range and if"
    )
    raise AssertionError(
        explain(hint, expected="tensors in, a tensor out", received=problem[:90])
    )


def untouched(before, after, what):
    """Fail where the student's function has changed what it was given."""
    assert np.array_equal(before, after), explain(
        f"{what} were changed in place: make new ones",
        expected="the same values afterwards",
        received="others",
    )


# margin_loss ----------------------------------------------------------------------------


def margins_by_hand(labels, logits):
    rows = [
        np.delete(row, label).max() - row[label]
        for label, row in zip(labels, logits, strict=True)
    ]
    return np.array(rows)


def some_logits(rng, size=3.0, shift=0.0, count=24):
    logits = rng.normal(shift, size, (count, CLASSES)).astype(np.float32)
    return rng.integers(0, CLASSES, count), logits


@check(task="margin_loss")
def the_best_other_class_minus_the_label(submission):
    labels, logits = some_logits(new_generator())
    received = submission.margin_loss(tf.constant(labels), tf.constant(logits))
    received = array(received, (len(labels),), "the margins, one for each image")
    expected = margins_by_hand(labels, logits.astype(np.float64))
    assert not same(received, -expected), explain(
        "the sign is the other way round: above 0 means misclassified",
        expected=expected[:4],
        received=received[:4],
    )
    assert not same(received, np.maximum(expected, 0)), explain(
        "the margin never falls below 0: the label is not one of the others, and nothing "
        "is cut off, else a right answer has no gradient to follow",
        expected=expected[:4],
        received=received[:4],
    )
    by_chance = margins_by_hand(labels, softmax(logits.astype(np.float64), axis=1))
    assert not same(received, by_chance), explain(
        "these are margins of probabilities: don't apply softmax, which saturates",
        expected=expected[:4],
        received=received[:4],
    )
    assert same(received, expected), explain(
        "the largest of the other logits minus the label's",
        expected=expected[:4],
        received=received[:4],
    )


@check(task="margin_loss")
def negative_and_huge_logits_are_fine(submission):
    rng = new_generator()
    for size, shift in ((1.0, -20.0), (1.0, 20.0), (30_000.0, 0.0)):
        labels, logits = some_logits(rng, size, shift)
        received = submission.margin_loss(tf.constant(labels), tf.constant(logits))
        received = array(received, (len(labels),), "the margins")
        expected = margins_by_hand(labels, logits.astype(np.float64))
        assert same(received, expected, 1e-3), explain(
            f"logits around {shift:g} of size {size:g}: whatever stands in the label's "
            "place must lose against every other logit (-inf does; 0 does not)",
            expected=expected[:4],
            received=received[:4],
        )


@check(task="margin_loss")
def arrays_are_taken_and_gradients_come_through(submission):
    labels, logits = some_logits(new_generator())
    received = submission.margin_loss(labels, logits)
    array(received, (len(labels),), "the margins of numpy arrays")
    scores = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(scores)
        margins = submission.margin_loss(tf.constant(labels), scores)
    slope = tape.gradient(margins, scores) if tf.is_tensor(margins) else None
    assert slope is not None, explain(
        "no gradient comes through: use TensorFlow's functions, not numpy's",
        expected="a gradient by the logits",
        received=None,
    )
    hidden = np.where(np.eye(CLASSES)[labels] > 0, -np.inf, logits)
    expected = np.eye(CLASSES)[hidden.argmax(axis=1)] - np.eye(CLASSES)[labels]
    slope = array(slope, logits.shape, "the gradient by the logits")
    assert same(slope, expected), explain(
        "the gradient by the logits is +1 for the best other class, -1 for the label",
        expected=expected[0],
        received=slope[0],
    )


# input_gradient -------------------------------------------------------------------------


@check(task="input_gradient")
def it_is_the_gradient_by_the_pixels(submission):
    rng = new_generator()
    model = Network(rng)
    images, labels = some_images(rng, 7)
    received = submission.input_gradient(
        model, tf.constant(images), tf.constant(labels)
    )
    assert received is not None, explain(
        "there is no gradient: the tape has to watch the images before the model is "
        "called, and only TensorFlow's functions may stand between",
        expected="float32 [7, 5, 4]",
        received=None,
    )
    assert not isinstance(received, list | tuple), explain(
        "this is a list, as for weights: take the gradient by the images",
        expected="one tensor, as the images",
        received=received,
    )
    received = array(received, images.shape, "the gradient, like the images")
    expected = entropy_gradient(model, images, labels)
    assert not same(received * len(images), expected), explain(
        "this is the gradient of the mean over the batch: an image's gradient shrinks "
        "when others stand beside it; take each image's own loss, or their sum",
        expected=expected[0, 0],
        received=received[0, 0],
    )
    assert not same(received, -expected), explain(
        "the sign is the other way round: along the gradient the loss grows",
        expected=expected[0, 0],
        received=received[0, 0],
    )
    assert not same(received, np.sign(expected)), explain(
        "this is the sign of the gradient: return the gradient itself",
        expected=expected[0, 0],
        received=received[0, 0],
    )
    assert same(received, expected), explain(
        "the gradient of the cross-entropy by the pixels, computed by hand",
        expected=expected[0, 0],
        received=received[0, 0],
    )


@check(task="input_gradient")
def the_model_is_in_inference_mode(submission):
    rng = new_generator()
    model = Network(rng, dropout=0.5)
    images, labels = some_images(rng, 9)
    arguments = model, tf.constant(images), tf.constant(labels)
    received = [submission.input_gradient(*arguments) for _ in range(2)]
    first, second = (array(g, images.shape, "the gradient") for g in received)
    assert same(first, second) and same(
        first, entropy_gradient(model, images, labels)
    ), explain(
        "dropout is on: the attacked model is the one in use, so training=False",
        expected="the same gradient at each call",
        received="another one",
    )


@check(task="input_gradient")
def any_loss_can_be_given(submission):
    rng = new_generator()
    model = Network(rng)
    images, labels = some_images(rng, 6)
    factors = rng.normal(size=CLASSES)
    asked = []

    def weighted(first, second):
        asked.append((first.shape, second.shape))
        logits = second if len(second.shape) == 2 else first
        return tf.reduce_sum(logits * tf.constant(factors, tf.float32), axis=-1)

    received = submission.input_gradient(
        model, tf.constant(images), tf.constant(labels), weighted
    )
    assert asked, explain(
        "the loss that was given is never called",
        expected="loss(labels, logits)",
        received="no call",
    )
    assert len(asked[0][0]) == 1 and len(asked[0][1]) == 2, explain(
        "a loss is called as loss(labels, logits), in this order",
        expected="shapes [6] and [6, 4]",
        received=asked[0],
    )
    received = array(received, images.shape, "the gradient")
    of_logits = np.tile(factors, (len(images), 1))
    expected = model.gradient(images, of_logits)
    assert same(received, expected), explain(
        "with a loss that adds up weighted logits: its gradient by hand",
        expected=expected[0, 0],
        received=received[0, 0],
    )


@check(task="input_gradient")
def the_gradient_works_in_a_graph(submission):
    rng = new_generator()
    model = Network(rng)
    images, labels = some_images(rng, 6)
    received = in_a_graph(
        lambda: submission.input_gradient(
            model, tf.constant(images), tf.constant(labels)
        ),
        "input_gradient()",
    )
    received = array(received, images.shape, "the gradient")
    assert same(received, entropy_gradient(model, images, labels)), explain(
        "the gradient in a graph is not the one by hand",
        expected=entropy_gradient(model, images, labels)[0, 0],
        received=received[0, 0],
    )


# fgsm -----------------------------------------------------------------------------------


def fast_sign(submission, *arguments, **options):
    with standing_on(submission.fgsm, "input_gradient"):
        return submission.fgsm(*arguments, **options)


def explained_step(received, images, slope, epsilon, direction):
    """Fail with what a wrong step of FGSM is."""
    free = images + direction * epsilon * np.sign(slope)
    expected = np.clip(free, 0, 1)
    spot = (0, 0)
    assert same(received, free) is False or same(free, expected), explain(
        "pixels leave the range [0, 1]: clip at the end",
        expected=expected[spot],
        received=received[spot],
    )
    away = np.clip(images - direction * epsilon * np.sign(slope), 0, 1)
    towards = "a target's loss has to fall" if direction < 0 else "the loss has to grow"
    assert not same(received, away), explain(
        f"the step goes the wrong way: {towards}",
        expected=expected[spot],
        received=received[spot],
    )
    plain = np.clip(images + direction * epsilon * slope, 0, 1)
    assert not same(received, plain), explain(
        "the step follows the gradient: take its sign, so that every pixel moves by "
        "epsilon",
        expected=expected[spot],
        received=received[spot],
    )
    assert not same(received, direction * epsilon * np.sign(slope)), explain(
        "this is the change alone: add it to the images",
        expected=expected[spot],
        received=received[spot],
    )
    assert same(received, expected), explain(
        "each pixel moves by epsilon along the sign of the gradient of the "
        "cross-entropy, and stays in [0, 1]",
        expected=expected[spot],
        received=received[spot],
    )


@check(task="fgsm")
def each_pixel_moves_by_epsilon_along_the_sign(submission):
    rng = new_generator()
    model = Network(rng)
    images, labels = some_images(rng, 8)
    before = images.copy()
    received = fast_sign(
        submission, model, tf.constant(images), tf.constant(labels), epsilon=0.2
    )
    received = array(received, images.shape, "the adversarial images")
    slope = entropy_gradient(model, images, labels)
    explained_step(received, images.astype(np.float64), slope, 0.2, 1.0)
    fast_sign(submission, model, images, tf.constant(labels), epsilon=0.2)
    untouched(before, images, "the images")


@check(task="fgsm")
def targeted_goes_to_the_label(submission):
    rng = new_generator()
    model = Network(rng)
    images, labels = some_images(rng, 8)
    received = fast_sign(
        submission,
        model,
        tf.constant(images),
        tf.constant(labels),
        epsilon=0.15,
        targeted=True,
    )
    received = array(received, images.shape, "the adversarial images")
    slope = entropy_gradient(model, images, labels)
    explained_step(received, images.astype(np.float64), slope, 0.15, -1.0)


@check(task="fgsm")
def pixels_without_a_gradient_stay(submission):
    rng = new_generator()
    kernel = rng.normal(size=(20, CLASSES))
    kernel[rng.permutation(20)[:9]] = 0.0  # Pixels that the model does not look at.
    images, labels = some_images(rng, 6, low=0.3, high=0.7)
    received = fast_sign(
        submission,
        Linear(kernel),
        tf.constant(images),
        tf.constant(labels),
        epsilon=0.1,
    )
    moved = np.abs(array(received, images.shape, "the adversarial images") - images)
    unseen = moved.reshape(len(images), 20)[:, np.all(kernel == 0, axis=1)]
    assert np.allclose(unseen, 0, atol=1e-6), explain(
        "a pixel whose gradient is 0 stays as it is: tf.sign(0) is 0, a comparison with "
        "0 is not",
        expected=0.0,
        received=unseen.max(),
    )


@check(task="fgsm")
def the_step_works_in_a_graph(submission):
    rng = new_generator()
    model = Network(rng)
    images, labels = some_images(rng, 6)

    def attack():
        return fast_sign(
            submission,
            model,
            tf.constant(images),
            tf.constant(labels),
            epsilon=tf.constant(0.1),
        )

    received = array(in_a_graph(attack, "fgsm()"), images.shape, "the images")
    slope = entropy_gradient(model, images, labels)
    explained_step(received, images.astype(np.float64), slope, 0.1, 1.0)


# project --------------------------------------------------------------------------------


def projected(submission, images, originals, epsilon, norm):
    """Return what the student's projection makes, as float64."""
    tensors = tf.constant(images, tf.float32), tf.constant(originals, tf.float32)
    received = submission.project(*tensors, epsilon, norm)
    return array(received, np.shape(originals), f"project(..., {norm!r})")


def lengths(change):
    """Return the Euclidean length of each image's change, by numpy."""
    return np.sqrt(np.sum(np.reshape(change, (len(change), -1)) ** 2, axis=1))


def shortened(images, originals, epsilon):
    """Return the images brought into the Euclidean ball, not yet into the range."""
    change = images.astype(np.float64) - originals
    factor = np.minimum(1, epsilon / np.maximum(lengths(change), 1e-30))
    return originals + change * factor[:, None, None]


@check(task="project")
def linf_bounds_every_pixel(submission):
    rng = new_generator()
    originals, _ = some_images(rng, 6)
    images = originals + rng.normal(0, 0.4, originals.shape).astype(np.float32)
    received = projected(submission, images, originals, 0.3, "linf")
    change = received - originals.astype(np.float64)
    assert received.min() > -1e-6 and received.max() < 1 + 1e-6, explain(
        "pixels leave the range [0, 1]: clip the result too",
        expected="[0, 1]",
        received=[received.min(), received.max()],
    )
    assert np.abs(change).max() <= 0.3 + 1e-5, explain(
        "a pixel differs by more than epsilon from the original",
        expected=0.3,
        received=np.abs(change).max(),
    )
    expected = np.clip(np.clip(images, originals - 0.3, originals + 0.3), 0, 1)
    assert same(received, expected), explain(
        "a pixel within epsilon of the original and in [0, 1] stays, and any other goes "
        "to the nearest that is",
        expected=expected[0, 0],
        received=received[0, 0],
    )


@check(task="project")
def l2_shortens_long_changes_and_keeps_their_direction(submission):
    rng = new_generator()
    originals, _ = some_images(rng, 6, low=0.4, high=0.6)
    change = rng.normal(0, 1, originals.shape)
    change *= (np.array([0.1, 3.0, 0.05, 2.0, 0.29, 1.0]) / lengths(change))[
        :, None, None
    ]
    images = (originals + change).astype(np.float32)
    received = projected(submission, images, originals, 0.3, "l2")
    found = lengths(received - originals)
    inside = np.array([0, 2, 4])
    assert not np.allclose(found[inside], 0.3, rtol=1e-3), explain(
        "what lies in the ball was stretched to its surface: only too long changes are "
        "shortened",
        expected=[0.1, 0.05, 0.29],
        received=found[inside],
    )
    assert found.max() <= 0.3 + 1e-4, explain(
        "an image's change is longer than epsilon: its length is the root of the sum "
        "over all of its pixels",
        expected=np.minimum(lengths(change), 0.3),
        received=found,
    )
    assert np.allclose(found[inside], [0.1, 0.05, 0.29], atol=1e-3), explain(
        "a short change was shortened: each image has a length of its own, so the norm "
        "goes over the axes of pixels and not over the batch",
        expected=[0.1, 0.05, 0.29],
        received=found[inside],
    )
    expected = shortened(images, originals, 0.3)
    assert same(received, expected), explain(
        "a long change gets the length epsilon and keeps its direction",
        expected=expected[1, 0],
        received=received[1, 0],
    )


@check(task="project")
def l2_first_the_ball_then_the_range(submission):
    rng = new_generator()
    originals, _ = some_images(rng, 8)
    images = originals + rng.normal(0, 0.5, originals.shape).astype(np.float32)
    received = projected(submission, images, originals, 0.8, "l2")
    assert received.min() > -1e-6 and received.max() < 1 + 1e-6, explain(
        "pixels leave the range [0, 1]: clip the result too",
        expected="[0, 1]",
        received=[received.min(), received.max()],
    )
    expected = np.clip(shortened(images, originals, 0.8), 0, 1)
    other_order = shortened(np.clip(images, 0, 1), originals, 0.8)
    assert same(received, expected) or not same(received, other_order), explain(
        "this is first the range, then the ball: the other way round was asked for",
        expected=expected[0, 0],
        received=received[0, 0],
    )
    assert same(received, expected), explain(
        "first the change is shortened to epsilon, then pixels are clipped to [0, 1]",
        expected=expected[0, 0],
        received=received[0, 0],
    )


@check(task="project")
def no_change_no_problem_and_other_norms_are_refused(submission):
    originals, _ = some_images(new_generator(), 3)
    for norm in ("linf", "l2"):
        received = projected(submission, originals, originals, 0.3, norm)
        assert same(received, originals), explain(
            f"{norm}: what was not changed stays as it is",
            expected=originals[0, 0],
            received=received[0, 0],
        )
    try:
        received = submission.project(
            tf.constant(originals), tf.constant(originals), 0.3, "l1"
        )
    except ValueError:
        return
    raise AssertionError(
        explain(
            "a norm that is neither linf nor l2 is refused, not taken for one of them",
            expected="ValueError",
            received=received,
        )
    )


@check(task="project")
def the_projection_works_in_a_graph(submission):
    rng = new_generator()
    originals, _ = some_images(rng, 4)
    images = originals + rng.normal(0, 0.4, originals.shape).astype(np.float32)
    for norm in ("linf", "l2"):
        received = in_a_graph(
            lambda norm=norm: submission.project(
                tf.constant(images), tf.constant(originals), tf.constant(0.3), norm
            ),
            "project()",
        )
        received = array(received, originals.shape, "the projection in a graph")
        expected = np.asarray(true_projection(images, originals, 0.3, norm))
        assert same(received, expected), explain(
            f"project() in {norm} gives something else in a graph",
            expected=expected[0, 0],
            received=received[0, 0],
        )


# pgd ------------------------------------------------------------------------------------


def descent(submission, *arguments, **options):
    """Call the student's pgd on right versions of the tasks before it."""
    arguments = [
        argument if isinstance(argument, keras.Model) else tf.constant(argument)
        for argument in arguments
    ]
    options = {"seed": tf.constant([3, 5]), "step_size": 0.05, "num_steps": 3} | options
    with standing_on(submission.pgd, "input_gradient", "project"):
        return submission.pgd(*arguments, **options)


def start_and_step(submission, model, images, labels, **options):
    """Return the images after no step and after one, and what the step changed."""
    received = [
        array(
            descent(submission, model, images, labels, num_steps=n, **options),
            images.shape,
            f"what pgd() returns after {n} steps",
        )
        for n in (0, 1)
    ]
    return received[0], received[1], received[1] - received[0]


@check(task="pgd")
def it_begins_at_a_random_place_in_the_ball(submission):
    rng = new_generator()
    model = Network(rng)
    images, labels = some_images(rng, 12, low=0.4, high=0.6)
    for norm, epsilon in (("linf", 0.2), ("l2", 0.3)):
        starts = [
            array(
                descent(
                    submission,
                    model,
                    images,
                    labels,
                    epsilon=epsilon,
                    norm=norm,
                    num_steps=0,
                    seed=tf.constant(seed),
                ),
                images.shape,
                "what pgd() returns after no step",
            )
            for seed in ([1, 2], [1, 2], [9, 2])
        ]
        change = starts[0] - images
        assert not np.allclose(change, 0, atol=1e-6), explain(
            "it begins at the image itself: draw a random place in the ball",
            expected="another place",
            received=change[0, 0],
        )
        size = np.abs(change).max() if norm == "linf" else lengths(change).max()
        assert size <= epsilon + 1e-5, explain(
            f"the random start lies outside the {norm} ball",
            expected=f"at most {epsilon}",
            received=size,
        )
        assert np.array_equal(starts[0], starts[1]), explain(
            "the same seed gives another start: draw with tf.random.stateless_...",
            expected="the same images",
            received="others",
        )
        assert not np.allclose(starts[0], starts[2]), explain(
            "another seed gives the same start: so every restart is the same attack",
            expected="other images",
            received="the same",
        )
    pixels = (starts[0] - images).reshape(len(images), -1)
    alike = np.allclose(pixels, pixels[:, :1], atol=1e-6)
    assert not alike and not np.allclose(pixels, pixels[:1], atol=1e-6), explain(
        "all pixels, or all images, get the same random number: draw one for each",
        expected="a change of its own for each pixel of each image",
        received=pixels[0, :4],
    )
    for_linf = descent(submission, model, images, labels, epsilon=0.2, num_steps=0)
    change = np.asarray(for_linf, np.float64) - images
    assert change.min() < -0.1 and change.max() > 0.1, explain(
        "the random start lies in a corner of the ball only",
        expected="changes from -epsilon to epsilon",
        received=[change.min(), change.max()],
    )


@check(task="pgd")
def a_step_has_the_step_size_and_the_right_direction(submission):
    rng = new_generator()
    model = Network(rng, size=0.5)
    images, labels = some_images(rng, 5, low=0.45, high=0.55)
    for targeted in (False, True):
        for norm, epsilon in (("linf", 0.3), ("l2", 0.5)):
            start, _, step = start_and_step(
                submission,
                model,
                images,
                labels,
                epsilon=epsilon * 0.5,
                norm=norm,
                step_size=0.02,
                targeted=targeted,
            )
            explained_move(model, start, step, labels, norm, targeted, images, epsilon)


def explained_move(model, start, step, labels, norm, targeted, images, epsilon):
    """Fail with what is wrong with one small step; a border may have cut it."""
    slope = entropy_gradient(model, start, labels)
    way = -slope if targeted else slope
    along = np.sum(step * way, axis=(1, 2))
    towards = "a target's loss has to fall" if targeted else "the loss has to grow"
    assert np.mean(along > 0) > 0.5, explain(
        f"targeted={targeted}: the step goes the wrong way: {towards}",
        expected="a step along the gradient",
        received=along,
    )
    if norm == "linf":
        inside = np.abs(start + 0.02 * np.sign(way) - images) < epsilon * 0.5
        same_sign = np.sign(step)[inside] == np.sign(way)[inside]
        assert np.mean(same_sign) > 0.99, explain(
            "linf: the step goes along the sign of the gradient where the attack is now, "
            "not along the gradient itself or the one at the image",
            expected="the same signs",
            received=f"{np.mean(same_sign):.0%} of them",
        )
        sizes = np.abs(step)[inside]
        assert np.allclose(sizes, 0.02, atol=1e-4), explain(
            "linf: each pixel moves by the step size, along the sign of the gradient",
            expected=0.02,
            received=sizes[:4],
        )
        return
    unit = way / lengths(way)[:, None, None]
    expected = shortened(start + 0.02 * unit, images, epsilon * 0.5) - start
    assert same(step, expected, 2e-3), explain(
        "l2: the step goes along the gradient where the attack is now and has the step "
        "size as its length: for each image, divide its gradient by its own length; then "
        "back into the ball",
        expected=expected[0, 0],
        received=step[0, 0],
    )


@check(task="pgd")
def every_place_on_the_way_is_in_the_ball_and_the_range(submission):
    rng = new_generator()
    for norm, epsilon in (("linf", 0.1), ("l2", 0.4)):
        model = Network(rng)
        images, labels = some_images(rng, 6)
        received = descent(
            submission,
            model,
            images,
            labels,
            epsilon=epsilon,
            step_size=epsilon,
            num_steps=6,
            norm=norm,
        )
        received = array(received, images.shape, "the adversarial images")
        places = [place for place in model.seen if place.shape == images.shape]
        assert not places or len(places) >= 6, explain(
            "fewer gradients were taken than steps asked for",
            expected=6,
            received=len(places),
        )
        for index, place in enumerate([*places, received]):
            change = place - images
            size = np.abs(change).max() if norm == "linf" else lengths(change).max()
            where = "the result" if index == len(places) else f"step {index + 1}"
            assert size <= epsilon + 1e-4, explain(
                f"{where} is outside the {norm} ball: project behind every step, around "
                "the images that were given, not around where the attack is",
                expected=f"at most {epsilon}",
                received=size,
            )
            assert place.min() > -1e-5 and place.max() < 1 + 1e-5, explain(
                f"{where} leaves the range [0, 1]",
                expected="[0, 1]",
                received=[place.min(), place.max()],
            )


@check(task="pgd")
def it_finds_the_best_attack_on_a_linear_model(submission):
    rng = new_generator()
    kernel = rng.normal(size=(20, 2))
    images = rng.uniform(0.4, 0.6, (9, *SHAPE)).astype(np.float32)
    labels = rng.integers(0, 2, 9)
    slope = (kernel[:, 1] - kernel[:, 0])[None] * np.where(labels == 0, 1, -1)[:, None]
    margins = np.sum(images.reshape(9, 20) * slope, axis=1)
    for norm, epsilon, dual in (
        ("linf", 0.2, np.sum(np.abs(slope), axis=1)),
        ("l2", 0.3, np.sqrt(np.sum(slope**2, axis=1))),
    ):
        received = descent(
            submission,
            Linear(kernel),
            images,
            labels,
            epsilon=epsilon,
            step_size=epsilon / 4,
            num_steps=16,
            norm=norm,
            loss=true_margin,
        )
        received = array(received, images.shape, "the adversarial images")
        reached = np.sum(received.reshape(9, 20) * slope, axis=1) - margins
        # Hölder: the most that a ball allows is its radius times the dual norm.
        assert np.allclose(reached, epsilon * dual, rtol=2e-2, atol=1e-3), explain(
            f"{norm}: a linear margin can grow by epsilon times the "
            f"{'L1' if norm == 'linf' else 'L2'} norm of its gradient, and 16 steps are "
            "enough for that",
            expected=(epsilon * dual)[:4],
            received=reached[:4],
        )


@check(task="pgd")
def the_loss_that_is_given_is_followed(submission):
    rng = new_generator()
    model = Linear(rng.normal(size=(20, CLASSES)))
    images, labels = some_images(rng, 6, low=0.45, high=0.55)

    def first_logit(labels, logits):
        return logits[:, 0]

    options = {"epsilon": 0.2, "step_size": 0.01, "loss": first_logit}
    _, _, step = start_and_step(submission, model, images, labels, **options)
    slope = np.array(model.kernel)[:, 0].reshape(SHAPE)
    moved = np.abs(step) > 1e-3
    agrees = np.sign(step) == np.sign(slope)[None]
    assert np.mean(agrees[moved]) > 0.95, explain(
        "another loss was given: the steps follow its gradient, not the cross-entropy's",
        expected=np.sign(slope)[0],
        received=np.sign(step)[0, 0],
    )


@check(task="pgd")
def without_a_gradient_it_stays_where_it_is(submission):
    rng = new_generator()
    model = Linear(np.zeros((20, CLASSES)))
    images, labels = some_images(rng, 4)
    for norm in ("linf", "l2"):
        start, _, step = start_and_step(
            submission, model, images, labels, epsilon=0.1, norm=norm
        )
        assert np.allclose(step, 0, atol=1e-6), explain(
            f"{norm}: where the gradient is 0 there is no step",
            expected=0.0,
            received=np.abs(step).max(),
        )


@check(task="pgd")
def descent_works_in_a_graph(submission):
    rng = new_generator()
    model = Network(rng)
    images, labels = some_images(rng, 4)
    tensors = tf.constant(images), tf.constant(labels)

    def attack():
        epsilon, batch = tf.constant(0.2), tf.constant(7)
        with standing_on(submission.pgd, "input_gradient", "project"):
            return submission.pgd(
                model,
                *tensors,
                epsilon=epsilon,
                step_size=0.3 * epsilon,
                num_steps=2,
                seed=[0, batch],
            )

    received = array(in_a_graph(attack, "pgd()"), images.shape, "the images")
    change = np.abs(received - images).max()
    assert 0.01 < change <= 0.2 + 1e-5, explain(
        "in a graph the attack leaves the ball",
        expected="at most 0.2",
        received=change,
    )


# square_attack --------------------------------------------------------------------------

SIDE = 8  # Of the images that are searched.


class Oracle:
    """A linear classifier that notes every question; its label can't be beaten."""

    def __init__(self, rng, lead=100.0):
        self.kernel = rng.normal(size=(SIDE * SIDE, CLASSES))
        self.lead = lead
        self.asked = []

    def __call__(self, images):
        """Return the logits and note the question."""
        images = np.asarray(images)
        assert images.ndim == 3 and len(images) > 0, explain(
            "predict() is shown images [n, height, width], at least one",
            expected=f"[n, {SIDE}, {SIDE}], n > 0",
            received=images.shape,
        )
        self.asked.append(images.astype(np.float64))
        return self.logits(images)

    def logits(self, images):
        """Return float32 [n, classes]."""
        flat = np.asarray(images, np.float32).reshape(len(images), -1)
        logits = flat @ self.kernel.astype(np.float32)
        logits[:, 0] += self.lead  # Everything is class 0, safely.
        return logits.astype(np.float32)

    def margins(self, images):
        """Return the margins as float32 gives them: what is larger is decided there."""
        logits = self.logits(images)
        return logits[:, 1:].max(axis=1) - logits[:, 0]


def searched(submission, predict, images, labels, seed=0, **options):
    """Return what the student's search finds, as float64."""
    options = {"epsilon": 0.2, "num_queries": 40} | options
    with standing_on(submission.square_attack, "margin_loss"):
        received = submission.square_attack(
            predict, images, labels, rng=np.random.default_rng(seed), **options
        )
    return array(received, images.shape, "the adversarial images")


def square_images(rng, count=5, low=0.3, high=0.7):
    images = rng.uniform(low, high, (count, SIDE, SIDE)).astype(np.float32)
    return images, np.zeros(count, np.int64)


@check(task="square_attack")
def it_begins_with_vertical_stripes(submission):
    rng = new_generator()
    images, labels = square_images(rng, 6)
    received = searched(submission, Oracle(rng), images, labels, num_queries=1)
    change = received - images
    assert np.allclose(np.abs(change), 0.2, atol=1e-5), explain(
        "after the first query each pixel is changed by +epsilon or -epsilon",
        expected=0.2,
        received=np.abs(change)[0, 0],
    )
    signs = np.sign(change)
    rows_alike = np.all(signs == signs[:, :1], axis=(1, 2))
    columns_alike = np.all(signs == signs[:, :, :1], axis=(1, 2))
    assert not (columns_alike.all() and not rows_alike.all()), explain(
        "the stripes lie: a column of the image has one sign, not a row",
        expected="the same sign all the way down a column",
        received=signs[0, :, 0],
    )
    assert rows_alike.all(), explain(
        "the first images are vertical stripes, one pixel wide",
        expected="the same sign all the way down a column",
        received=signs[0, :, 0],
    )
    assert not columns_alike.all(), explain(
        "all stripes have the same sign: draw one for each column",
        expected="both signs",
        received=signs[0, 0],
    )
    assert not np.array_equal(signs[0], signs[1]) or len(set(map(str, signs))) > 2, (
        explain(
            "all images get the same stripes: draw for each of them",
            expected="different stripes",
            received="the same",
        )
    )


@check(task="square_attack")
def it_stays_in_the_ball_and_the_range(submission):
    rng = new_generator()
    images, labels = square_images(rng, 6, 0.0, 1.0)
    before = images.copy()
    oracle = Oracle(rng)
    received = searched(submission, oracle, images, labels, epsilon=0.3)
    untouched(before, images, "the images")
    for place in [received, *oracle.asked]:
        if place.shape != images.shape:
            continue
        change = np.abs(place - images).max()
        assert change <= 0.3 + 1e-5, explain(
            "a pixel differs by more than epsilon from the original: a square is set to "
            "original plus or minus epsilon, not added to what was changed before",
            expected="at most 0.3",
            received=change,
        )
        assert place.min() > -1e-6 and place.max() < 1 + 1e-6, explain(
            "pixels leave the range [0, 1]",
            expected="[0, 1]",
            received=[place.min(), place.max()],
        )


@check(task="square_attack")
def a_trial_is_one_square_and_only_better_ones_stay(submission):
    rng = new_generator()
    images, labels = square_images(rng, 6)
    oracle = Oracle(rng)
    num_queries = 60
    received = searched(submission, oracle, images, labels, num_queries=num_queries)
    asked = [place for place in oracle.asked if place.shape == images.shape]
    assert len(asked) > 0.9 * num_queries, explain(
        "no image is misclassified here, so all of them go on to the end",
        expected=f"{num_queries} queries of {len(images)} images",
        received=[len(place) for place in oracle.asked][:8],
    )
    best = asked[0]
    changed = np.abs(asked[1] - best).max(axis=2) > 1e-6  # [images, rows]
    tallest = changed.sum(axis=1).max()
    side = square_side(2, num_queries, SIDE)  # Whether the stripes count is left open.
    assert tallest >= side, explain(
        "the first square is too small: square_side() says how many pixels it has",
        expected=side,
        received=tallest,
    )
    for query, trial in enumerate(asked[1:num_queries], 1):
        side = square_side(query - 1, num_queries, SIDE)
        explained_square(trial, best, images, side, query)
        better = oracle.margins(trial) > oracle.margins(best)
        best = np.where(better[:, None, None], trial, best)
    highest = np.max([oracle.margins(place) for place in asked], axis=0)
    reached = oracle.margins(received)
    assert np.allclose(reached, highest, rtol=1e-3, atol=1e-3), explain(
        "what comes back is not the best that was tried: a trial stays only where it "
        "makes the margin larger",
        expected=highest[:4],
        received=reached[:4],
    )


def explained_square(trial, best, images, side, query):
    """Fail where a trial differs from the best so far in more than one square."""
    places = []
    for new, old, original in zip(trial, best, images, strict=True):
        rows, columns = np.nonzero(np.abs(new - old) > 1e-6)
        if not len(rows):
            places.append(None)
            continue
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert max(height, width) <= side, explain(
            f"query {query}: a trial is the best so far with one square of {side} pixels "
            "in it, and stays only where it makes the margin larger",
            expected=f"at most {side} x {side}",
            received=f"{height} x {width}",
        )
        signs = np.sign(new - original)[rows, columns]
        assert np.all(signs == signs[0]), explain(
            f"query {query}: a square has one sign for all of its pixels",
            expected="original + epsilon everywhere in it, or original - epsilon",
            received=signs[:6],
        )
        places.append((rows.min(), columns.min(), rows.max(), columns.max()))
    moved = [place for place in places if place is not None]
    assert side > 2 or len(moved) < 4 or len(set(moved)) > 1, explain(
        "all images get their square at the same place: draw one for each of them",
        expected="different places",
        received=moved[:2],
    )


@check(task="square_attack")
def squares_reach_every_corner(submission):
    rng = new_generator()
    images, labels = square_images(rng, 30)
    oracle = Oracle(rng)
    searched(submission, oracle, images, labels, num_queries=120)
    asked = [place for place in oracle.asked if place.shape == images.shape]
    touched = np.zeros((SIDE, SIDE), bool)
    best = asked[0]
    for trial in asked[1:]:
        touched |= np.any(np.abs(trial - best) > 1e-6, axis=0)
        better = oracle.margins(trial) > oracle.margins(best)
        best = np.where(better[:, None, None], trial, best)
    missing = np.argwhere(~touched)
    assert not len(missing), explain(
        "some pixels are never in a square: its corner lies in [0, size - side], both "
        "included",
        expected="squares everywhere",
        received=f"never (row, column) {missing[:3].tolist()}",
    )


@check(task="square_attack")
def it_keeps_to_its_queries_and_drops_who_is_fooled(submission):
    rng = new_generator()
    images, labels = square_images(rng, 6)
    oracle = Oracle(rng)
    num_queries = 25
    searched(submission, oracle, images, labels, num_queries=num_queries)
    total = sum(map(len, oracle.asked))
    assert total <= num_queries * len(images), explain(
        "an image is shown more often than num_queries allows; the first stripes count",
        expected=num_queries * len(images),
        received=total,
    )
    labels[:3] = 1  # The oracle says 0 to everything: these three are misclassified.
    oracle = Oracle(rng)
    received = searched(submission, oracle, images, labels, num_queries=num_queries)
    total = sum(map(len, oracle.asked))
    assert total <= 6 + 3 * num_queries, explain(
        "an image that is misclassified is finished: don't ask about it again",
        expected=6 + 3 * (num_queries - 1),
        received=total,
    )
    assert len(received) == 6, explain(
        "all images come back, also those that were finished early",
        expected=6,
        received=len(received),
    )
    oracle = Oracle(rng)
    received = searched(submission, oracle, images[:3], labels[:3])
    assert len(oracle.asked) == 1, explain(
        "all images are misclassified after the first query: there is nothing to do",
        expected="1 query",
        received=f"{len(oracle.asked)} queries",
    )
    assert not np.allclose(received, images[:3], atol=1e-3), explain(
        "the image that fooled the network comes back, not the original",
        expected="stripes",
        received="the clean image",
    )


@check(task="square_attack")
def it_gets_close_to_the_best_attack_on_a_linear_model(submission):
    rng = new_generator()
    images, labels = square_images(rng, 12)
    oracle = Oracle(rng)
    oracle.kernel[:, 2:] = -1e3  # Two classes matter.
    slope = oracle.kernel[:, 1] - oracle.kernel[:, 0]
    received = searched(submission, oracle, images, labels, num_queries=300)
    gain = (received - images).reshape(len(images), -1) @ slope
    share = np.mean(gain) / (0.2 * np.abs(slope).sum())
    assert share > 0.6, explain(
        "the search does not get far: 300 queries of 64 pixels find most of what a "
        "linear margin allows",
        expected="more than 0.6 of the optimum",
        received=share,
    )


@check(task="square_attack")
def all_that_is_random_comes_from_the_generator(submission):
    rng = new_generator()
    images, labels = square_images(rng)
    oracle = Oracle(rng)
    found = [searched(submission, oracle, images, labels, seed) for seed in (1, 1, 2)]
    assert np.array_equal(found[0], found[1]), explain(
        "two generators with the same seed give two results: draw from rng alone",
        expected="the same images",
        received="others",
    )
    assert not np.array_equal(found[0], found[2]), explain(
        "another generator gives the same result: draw from rng",
        expected="other images",
        received="the same",
    )


# still_right ----------------------------------------------------------------------------


def by_brightness(images):
    """Return logits of a classifier that looks at one pixel: class 1 if it is bright."""
    bright = np.asarray(images)[:, 0, 0]
    return np.stack([1 - bright, bright], axis=1).astype(np.float32)


def judged(submission, images, labels, candidates, epsilon=0.4):
    """Return the student's flags as an array of bool."""
    received = submission.still_right(
        by_brightness, images, labels, candidates, epsilon
    )
    received = np.asarray(received)
    assert received.shape == (len(labels),), explain(
        "one flag for each image comes back, not an accuracy: attacks are combined image "
        "by image",
        expected=(len(labels),),
        received=received.shape if received.shape else received,
    )
    assert received.dtype == bool, explain(
        "the flags are true or false", expected="bool", received=received.dtype
    )
    return received


def brightness_table(rng, num_attacks, num_images):
    """Return images, labels, candidates: who is right is drawn for each of them."""
    labels = rng.integers(0, 2, num_images)
    right = rng.random((1 + num_attacks, num_images)) < 0.7
    # Between 0.35 and 0.65, so that every candidate is allowed.
    offset = rng.uniform(0.02, 0.15, right.shape)
    first = 0.5 + np.where(right == (labels == 1), offset, -offset)
    everything = rng.uniform(0.3, 0.7, (1 + num_attacks, num_images, *SHAPE))
    everything[:, :, 0, 0] = first
    everything = everything.astype(np.float32)
    return everything[0], labels, everything[1:], right


@check(task="still_right")
def an_image_counts_if_no_attack_breaks_it(submission):
    rng = new_generator()
    images, labels, candidates, right = brightness_table(rng, 3, 60)
    received = judged(submission, images, labels, candidates)
    expected = right.all(axis=0)
    broken = "broken by one attack is broken, whatever the others say"
    assert not np.array_equal(received, right[1:].all(axis=0)), explain(
        "the clean image counts too: who is misclassified without an attack is not robust",
        expected=expected.mean(),
        received=received.mean(),
    )
    assert not np.array_equal(received, right[-1] & right[0]), explain(
        f"only the last attack counts: {broken}",
        expected=expected.mean(),
        received=received.mean(),
    )
    assert not np.array_equal(received, right[1:].any(axis=0) & right[0]), explain(
        f"these survive one attack, not all: {broken}",
        expected=expected.mean(),
        received=received.mean(),
    )
    assert not np.array_equal(received, ~expected), explain(
        "true stands for an image that is still right",
        expected=expected[:6],
        received=received[:6],
    )
    assert np.array_equal(received, expected), explain(
        f"right when clean and under every attack: {broken}",
        expected=expected[:8],
        received=received[:8],
    )


@check(task="still_right")
def one_attack_is_enough_and_it_is_not_asked_for_its_success(submission):
    rng = new_generator()
    images, labels, candidates, right = brightness_table(rng, 1, 40)
    received = judged(submission, images, labels, candidates)
    assert np.array_equal(received, right.all(axis=0)), explain(
        "one attack: right when clean and right under it",
        expected=right.all(axis=0)[:8],
        received=received[:8],
    )


@check(task="still_right")
def what_breaks_the_rules_is_refused(submission):
    rng = new_generator()
    images, labels, candidates, _ = brightness_table(rng, 2, 12)
    spot = (1, 7, 2, 3)

    def changed(to):
        other = candidates.copy()
        other[spot] = to
        return other

    original = images[spot[1:]]
    dark, light = images.copy(), images.copy()
    dark[spot[1:]], light[spot[1:]] = 0.01, 0.99
    for what, base, made in (
        ("a pixel that is brighter by more than epsilon", images, original + 0.25),
        ("a pixel that is darker by more than epsilon", images, original - 0.25),
        ("a pixel below 0", dark, -0.1),
        ("a pixel above 1", light, 1.1),
        ("a pixel that is no number", images, np.nan),
    ):
        epsilon = 0.2 if "epsilon" in what else 0.6
        batch = changed(made)
        # Only one pixel breaks the rule: the others stay close to their images.
        batch = np.where(np.abs(candidates - base) > 0.19, base, batch)
        batch[spot] = made
        assert refused(submission, base, labels, batch, epsilon), explain(
            f"{what} breaks the rules: such a candidate proves nothing",
            expected="ValueError",
            received="flags",
        )


def refused(submission, images, labels, candidates, epsilon):
    """Return whether the candidates raise a ValueError."""
    try:
        submission.still_right(
            by_brightness, images, labels, candidates.astype(np.float32), epsilon
        )
    except ValueError:
        return True
    return False


@check(task="still_right")
def rounding_and_the_whole_ball_are_allowed(submission):
    rng = new_generator()
    images = rng.uniform(0, 1, (300, *SHAPE)).astype(np.float32)
    labels = rng.integers(0, 2, 300)
    signs = np.where(rng.random(images.shape) < 0.5, -1, 1)
    # In float32, as attacks compute: the difference is epsilon up to rounding.
    step = np.float32(0.3) * signs.astype(np.float32)
    candidates = np.clip(images + step, 0, 1)[None]
    assert not refused(submission, images, labels, candidates, 0.3), explain(
        "changes of exactly epsilon, computed in float32, were refused: allow 1e-5",
        expected="flags",
        received="ValueError",
    )
    slightly = candidates + np.float32(4e-6)
    assert not refused(submission, images, labels, slightly, 0.3), explain(
        "an excess of 4e-6 is rounding and allowed, of the norm and of the range",
        expected="flags",
        received="ValueError",
    )


# transfer_matrix ------------------------------------------------------------------------


def pixel_reader(index):
    """Return a classifier that reads its answer from one pixel of the image."""

    def predict(images):
        images = np.asarray(images)
        answers = np.round(images.reshape(len(images), -1)[:, index] * CLASSES)
        return np.eye(CLASSES)[np.clip(answers.astype(int), 0, CLASSES - 1)]

    return predict


def readers_and_examples(rng, num_models, num_images):
    """Return predictors, examples in another order, labels, and the matrix expected."""
    names = [f"model_{index}" for index in range(num_models)]
    labels = rng.integers(0, CLASSES, num_images)
    predictors = {name: pixel_reader(index) for index, name in enumerate(names)}
    examples, expected = {}, np.zeros((num_models, num_models))
    for source in range(num_models):
        images = np.zeros((num_images, *SHAPE), np.float32)
        for target in range(num_models):
            right = rng.random(num_images) < rng.uniform(0.1, 0.9)
            other = (labels + rng.integers(1, CLASSES, num_images)) % CLASSES
            answer = np.where(right, labels, other) / CLASSES
            images.reshape(num_images, -1)[:, target] = answer
            expected[source, target] = right.mean()
        examples[names[source]] = images
    return predictors, dict(reversed(examples.items())), labels, expected


@check(task="transfer_matrix")
def rows_are_sources_and_columns_classify(submission):
    rng = new_generator()
    predictors, examples, labels, expected = readers_and_examples(rng, 3, 200)
    in_order = {name: examples[name] for name in predictors}
    received = submission.transfer_matrix(predictors, in_order, labels)
    received = array(received, (3, 3), "the matrix, a row for each source")
    assert not same(received, expected.T), explain(
        "rows and columns are exchanged: the row is the model that the examples were "
        "made for",
        expected=expected[0],
        received=received[0],
    )
    assert not same(received, 1 - expected), explain(
        "these are the shares that were fooled: the entry is the accuracy",
        expected=expected[0],
        received=received[0],
    )
    assert not same(received, 100 * expected), explain(
        "accuracies lie in [0, 1]", expected=expected[0], received=received[0]
    )
    assert same(received, expected), explain(
        "the entry is the share of all examples that the column's model assigns to their "
        "true classes",
        expected=expected[0],
        received=received[0],
    )


@check(task="transfer_matrix")
def the_order_is_that_of_the_predictors(submission):
    rng = new_generator()
    predictors, examples, labels, expected = readers_and_examples(rng, 4, 150)
    received = submission.transfer_matrix(predictors, examples, labels)
    received = array(received, (4, 4), "the matrix")
    assert not same(received, expected[::-1]), explain(
        "the examples are looked up by place: their names are in another order, and "
        "`predictors` has the one that counts",
        expected=expected[0],
        received=received[0],
    )
    assert same(received, expected), explain(
        "rows and columns are in the order of `predictors`",
        expected=expected[0],
        received=received[0],
    )


# saturated ------------------------------------------------------------------------------


def functional_network(rng, dropout=0.0):
    """Return a Functional model from images to logits, and its logits by numpy."""
    inputs = keras.Input(SHAPE)
    hidden = keras.layers.Flatten()(inputs)
    hidden = keras.layers.Dense(7, "tanh")(hidden)
    hidden = keras.layers.Dropout(dropout)(hidden)
    model = keras.Model(inputs, keras.layers.Dense(CLASSES)(hidden))
    for weight in model.weights:
        weight.assign(rng.normal(0, 1, weight.shape))

    def logits(images):
        kernel, bias, last, offset = (np.array(w, np.float64) for w in model.weights)
        flat = images.reshape(len(images), -1).astype(np.float64)
        return np.tanh(flat @ kernel + bias) @ last + offset

    return model, logits


def scaled_model(submission, model, scale):
    """Return the student's model, or fail where it is none."""
    masked = submission.saturated(model, scale)
    assert isinstance(masked, keras.Model), explain(
        "a Keras model comes back", expected="a keras.Model", received=masked
    )
    return masked


@check(task="saturated")
def all_logits_are_multiplied(submission):
    rng = new_generator()
    model, logits = functional_network(rng, dropout=0.5)
    images, _ = some_images(rng, 9)
    before = logits(images)
    masked = scaled_model(submission, model, 50.0)
    received = masked(tf.constant(images), training=False)
    assert same(logits(images), before), explain(
        "the model that was given has changed: multiply behind it, not in its weights",
        expected=before[0],
        received=logits(images)[0],
    )
    received = array(received, before.shape, "the logits")
    assert not np.allclose(received.sum(axis=1), 1, atol=1e-3), explain(
        "these are probabilities: the masked model gives logits, like the other",
        expected=50 * before[0],
        received=received[0],
    )
    assert not same(received, before / 50), explain(
        "the logits are divided: that makes the softmax flat, not steep",
        expected=50 * before[0],
        received=received[0],
    )
    assert same(received / 50, before, 1e-3), explain(
        "the logits are those of the model, times the scale, dropout off in inference",
        expected=50 * before[0],
        received=received[0],
    )


@check(task="saturated")
def the_weights_are_shared(submission):
    rng = new_generator()
    model, logits = functional_network(rng)
    images, _ = some_images(rng, 5)
    masked = scaled_model(submission, model, 10.0)
    for weight in model.weights:
        weight.assign(rng.normal(0, 1, weight.shape))
    received = array(masked(tf.constant(images)), (5, CLASSES), "the logits")
    assert same(received / 10, logits(images), 1e-3), explain(
        "the model was changed and the masked one was not: it has weights of its own; "
        "call the model that was given instead of copying it",
        expected=10 * logits(images)[0],
        received=received[0],
    )
    count = len(masked.trainable_variables)
    assert count == len(model.trainable_variables), explain(
        "the masked model has the same trainable weights and no others",
        expected=len(model.trainable_variables),
        received=count,
    )


@check(task="saturated")
def the_cross_entropy_has_no_gradient_left(submission):
    rng = new_generator()
    model, _ = functional_network(rng)
    images, _ = some_images(rng, 40)
    labels = np.asarray(model(images)).argmax(axis=1)  # All of them right.
    masked = scaled_model(submission, model, 1e6)
    slope = np.asarray(true_gradient(masked, images, labels))
    share = np.mean(np.abs(slope).max(axis=(1, 2)) == 0)
    assert share > 0.8, explain(
        "with a large scale the softmax saturates, and the cross-entropy's gradient is "
        "exactly 0 in float32 for most images that are right",
        expected="a share above 0.8",
        received=share,
    )
    slope = np.asarray(true_gradient(masked, images, labels, true_margin))
    assert np.all(np.abs(slope).max(axis=(1, 2)) > 0), explain(
        "the margin still has a gradient: nothing but the logits' size was changed",
        expected="a gradient for every image",
        received="none for some",
    )


# adversarial_loss -----------------------------------------------------------------------


def of_weights(model, images, labels):
    """Return an attack whose images depend on the model's weights."""
    pattern = tf.reshape(model.first.value[:, 0], (1, *SHAPE))
    return images + 0.5 * pattern * (1.0 - images)


def entropy_by_hand(model, images, labels):
    chances = log_softmax(model.logits(images), axis=-1)
    return -chances[np.arange(len(labels)), labels]


def loss_on(submission, model, images, labels, attack):
    return submission.adversarial_loss(
        model, tf.constant(images), tf.constant(labels), attack
    )


@check(task="adversarial_loss")
def it_is_the_mean_loss_on_what_the_attack_makes(submission):
    rng = new_generator()
    model = Network(rng)
    images, labels = some_images(rng, 9)
    calls = []

    def attack(*arguments):
        calls.append(arguments)
        return arguments[1] * 0.5 + 0.2

    received = loss_on(submission, model, images, labels, attack)
    assert len(calls) == 1, explain(
        "the attack is made once for the batch", expected="1 call", received=len(calls)
    )
    (given,) = calls
    fits = len(given) == 3 and given[0] is model and given[2].shape == labels.shape
    assert fits, explain(
        "the attack is called as attack(model, images, labels)",
        expected="the model, the images, the labels",
        received=[type(argument).__name__ for argument in given],
    )
    clean = entropy_by_hand(model, images, labels)
    expected = entropy_by_hand(model, images * 0.5 + 0.2, labels)
    received = array(received, (), "the loss, one number for the batch")
    assert not same(received, clean.mean()), explain(
        "this is the loss on the clean images: train on what the attack makes",
        expected=expected.mean(),
        received=received,
    )
    assert not same(received, (clean.mean() + expected.mean()) / 2), explain(
        "half of this is the loss on clean images: here only attacked ones count",
        expected=expected.mean(),
        received=received,
    )
    assert not same(received, expected.sum()), explain(
        "this is the sum: take the mean over the batch",
        expected=expected.mean(),
        received=received,
    )
    assert same(received, expected.mean()), explain(
        "the mean cross-entropy of the labels, on the images of the attack",
        expected=expected.mean(),
        received=received,
    )


@check(task="adversarial_loss")
def no_gradient_goes_through_the_attack(submission):
    rng = new_generator()
    model = Network(rng)
    images, labels = some_images(rng, 8)
    fixed = tf.stop_gradient(of_weights(model, tf.constant(images), labels))
    weights = [model.first.value, model.second.value]
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(true_entropy(labels, model(fixed)))
    expected = tape.gradient(loss, weights)
    with tf.GradientTape() as tape:
        loss = loss_on(submission, model, images, labels, of_weights)
    received = tape.gradient(loss, weights) if tf.is_tensor(loss) else [None, None]
    assert all(slope is not None for slope in received), explain(
        "no gradient reaches the weights: only the attack is cut off, not the loss",
        expected="a gradient for each weight",
        received=received,
    )
    for slope, right in zip(received, expected, strict=True):
        assert same(slope, right, 1e-4), explain(
            "the gradient goes through the attack: for the weights its images are data "
            "(tf.stop_gradient)",
            expected=np.ravel(right)[:4],
            received=np.ravel(slope)[:4],
        )


@check(task="adversarial_loss")
def the_loss_is_in_training_mode(submission):
    rng = new_generator()
    model = Network(rng)
    images, labels = some_images(rng, 5)
    loss_on(submission, model, images, labels, lambda model, images, labels: images)
    flags = model.training_flags
    assert len(flags) == 1, explain(
        "the model is called once for the loss", expected=1, received=len(flags)
    )
    assert flags[0] is True, explain(
        "for the loss the model is called with training=True, so that dropout and batch "
        "normalisation work as in any training",
        expected=True,
        received=flags[0],
    )


@check(task="adversarial_loss")
def the_loss_works_in_a_graph(submission):
    rng = new_generator()
    model = Network(rng)
    images, labels = some_images(rng, 8)
    received = in_a_graph(
        lambda: loss_on(submission, model, images, labels, lambda m, x, y: x * 0.7),
        "adversarial_loss()",
    )
    received = array(received, (), "the loss")
    expected = entropy_by_hand(model, images * 0.7, labels).mean()
    assert same(received, expected), explain(
        "the loss in a graph", expected=expected, received=received
    )
