"""What right answers to graph_execution promise."""

import collections
import contextlib
import functools
import re
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfcourse import graph_puzzles, messages
from tfcourse.checking import check, explain


def fresh_rng():
    """Return a numpy generator that follows the seed of the check."""
    return np.random.default_rng(np.random.randint(2**31))


def number(value, what):
    """Return a student's value as a float, or fail with what it should have been."""
    try:
        received = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        received = None
    is_number = received is not None and received.shape == () and value is not None
    assert is_number, explain(
        f"{what} is one number", expected="a number", received=value
    )
    return float(received)


def vector(value, length, what):
    """Return a student's values as float64 [length], or fail with what is expected."""
    try:
        received = np.asarray(value, np.float64)
    except (TypeError, ValueError, NotImplementedError):
        received = None
    assert received is not None and received.shape == (length,), explain(
        what, expected=f"float32, shape ({length},)", received=value
    )
    return received


def in_graphs(function):
    """Keep TensorFlow's advice out of a check, and put its errors into words."""

    @functools.wraps(function)
    def quiet(submission):
        with graph_puzzles.without_advice(), graph_errors_in_words():
            function(submission)

    return quiet


# What TensorFlow says when Python does in a graph what it can't, and what it means.
IN_A_GRAPH = {
    "InaccessibleTensorError|out of scope": (
        "what is made inside a loop or a branch can't be kept in a Python list or "
        "variable: use a tf.TensorArray",
        "tensors that leave the loop through its variables",
    ),
    "OperatorNotAllowedInGraph": (
        "Python can't look into a tensor of a graph, as a condition or to iterate: use "
        "TensorFlow's operations, or `if` and `while` where AutoGraph sees them",
        "code that needs no values while it is traced",
    ),
    "return statement cannot be placed": (
        "AutoGraph can't return from the middle of a loop over tensors: leave it with "
        "break, and return behind it",
        "break",
    ),
    "before the loop|inconsistent|must also be (defined|initialized)|TensorArray": (
        "a variable of a loop keeps its dtype and shape, and exists before it starts",
        "tensors of the right dtype before the loop",
    ),
    "has no attribute 'numpy'|symbolic tf.Tensor|SymbolicTensor": (
        "a graph has no values while it is traced: float(), int(), .numpy() and numpy's "
        "functions don't work on its tensors",
        "TensorFlow's operations",
    ),
    "tf.function only supports singleton tf.Variables|creating a variable on": (
        "a graph may not make variables when it is called again: make them before",
        "a variable made outside the tf.function",
    ),
    "unsupported operations when trying to compile|No registered": (
        "XLA can't compile one of the operations: tf.data, text and Python functions are "
        "not for it",
        "tf.gather, tf.range, tf.TensorArray and the like",
    ),
    "No gradients provided": (
        "the tape saw nothing that depends on the weights: the call of the model and the "
        "loss belong inside `with tf.GradientTape()`",
        "gradients",
    ),
    "Unknown variable": (
        "only model.trainable_variables have gradients, moving means have none",
        "gradients of model.trainable_variables",
    ),
    "Can not cast TensorSpec|incompatible with": (
        "the signature must fit every call; leave the axis of the batch open (None)",
        "tf.TensorSpec([None, ...])",
    ),
}


@contextlib.contextmanager
def graph_errors_in_words():
    """Turn what TensorFlow raises in a graph into the mistake behind it."""
    try:
        yield
    except AssertionError:
        raise
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        for pattern, (mistake, expected) in IN_A_GRAPH.items():
            if re.search(pattern, text) and "exercise 08" not in text:
                received = messages.error_summary(error)
                raise AssertionError(
                    explain(mistake, expected=expected, received=received)
                ) from error
        raise


def table_of(answers, names, what):
    """Return the student's table, or fail if an entry is missing."""
    assert isinstance(answers, dict), explain(
        f"return a dict with {what} for each name", expected="a dict", received=answers
    )
    missing = [name for name in names if name not in answers]
    assert not missing, explain(
        f"{missing[0]!r} has no prediction", expected=what, received=sorted(answers)
    )
    unknown = [name for name in answers if name not in names]
    assert not unknown, explain(
        f"{unknown[0]!r} is none of the programs",
        expected=f"one of {', '.join(names)}",
        received=unknown[0],
    )
    return answers


# predict_traces


def predicted_traces(submission):
    """Return the student's numbers of traces, as whole numbers."""
    answers = table_of(
        submission.predict_traces(), graph_puzzles.TRACING, "a number of traces"
    )
    for name, answer in answers.items():
        whole = isinstance(answer, int | np.integer) and not isinstance(answer, bool)
        assert whole, explain(
            f"the number of traces of {name!r} is a whole number",
            expected="an int",
            received=answer,
        )
    return answers


def compare_traces(submission, reasons):
    """Fail at the first number that is not what TensorFlow does."""
    answers = predicted_traces(submission)
    for name, reason in reasons.items():
        truth = graph_puzzles.measure_traces()[name]
        assert answers[name] == truth, explain(
            f"{name}: {reason}", expected=f"{truth} traces", received=answers[name]
        )


@check(task="predict_traces")
def every_program_has_a_number(submission):
    predicted_traces(submission)


@check(task="predict_traces")
def tensors_are_described_by_shape_and_dtype(submission):
    compare_traces(
        submission,
        {
            "tensors": "three tensors of one shape and dtype fit one graph",
            "numbers_as_tensors": "a number inside a tensor is an input of the graph",
            "numpy_arrays": "arrays become tensors, described by shape and dtype",
            "shapes": "each new shape is traced; one that was seen is found again",
            "dtypes": "each dtype needs a graph of its own",
        },
    )


@check(task="predict_traces")
def python_values_are_built_into_the_graph(submission):
    compare_traces(
        submission,
        {
            "python_numbers": "a Python number is built in, so each new one is traced",
            "numbers_seen_before": "a number that was seen finds its graph again",
            "default_spelt_out": "how an argument is given makes no difference",
            "a_flag": "each value of a flag has a graph of its own",
            "lists": "the length of a list counts; one that was seen is found again",
        },
    )


@check(task="predict_traces")
def objects_count_by_identity_and_signatures_are_shared(submission):
    compare_traces(
        submission,
        {
            "one_object": "it is the same object at each call",
            "new_objects": "each new object is traced, however equal it looks",
            "new_functions": "each tf.function(...) starts with no graph at all",
            "input_signature": "one description for all lengths: one graph",
            "reduce_retracing": "the second shape makes a graph for all lengths",
        },
    )


# count_traces


@check(task="count_traces")
@in_graphs
def one_graph_takes_all_calls(submission):
    rng = fresh_rng()
    same = [(tf.constant(rng.normal(size=3), tf.float32),) for _ in range(5)]
    received = number(submission.count_traces(lambda x: 2 * x, same), "the count")
    assert received != 5, explain(
        "five tensors of one shape: make one tf.function and call it five times; it is "
        "traced once (a count of 5 counts calls, or a new tf.function at each call)",
        expected=1,
        received=received,
    )
    assert received != 0, explain(
        "count in a wrapper that runs while the graph is traced",
        expected=1,
        received=received,
    )
    assert received == 1, explain(
        "five tensors of one shape are traced once", expected=1, received=received
    )


@check(task="count_traces")
@in_graphs
def new_shapes_and_numbers_are_counted(submission):
    lengths = [2, 5, 2, 3, 5]
    calls = [(tf.zeros([length]),) for length in lengths]
    received = number(submission.count_traces(lambda x: x + 1, calls), "the count")
    assert received == 3, explain(
        f"tensors of the lengths {lengths}: three shapes", expected=3, received=received
    )
    calls = [(tf.zeros([2]), n) for n in (1, 2, 1, 3)]

    def add(x, n):
        return x + tf.cast(n, tf.float32)

    received = number(submission.count_traces(add, calls), "the count")
    assert received == 3, explain(
        "the Python numbers 1, 2, 1, 3 are traced for each new value; hand the arguments "
        "over as they are",
        expected=3,
        received=received,
    )


@check(task="count_traces")
@in_graphs
def options_reach_tf_function(submission):
    calls = [(tf.zeros([length]),) for length in (4, 2, 3)]
    signature = [tf.TensorSpec([None], tf.float32)]
    received = number(
        submission.count_traces(lambda x: x + 1, calls, input_signature=signature),
        "the count",
    )
    assert received == 1, explain(
        "with an input_signature for every length there is one trace: give the options "
        "to tf.function",
        expected=1,
        received=received,
    )


@check(task="count_traces")
@in_graphs
def the_function_runs_as_a_graph_each_time(submission):
    total = tf.Variable(0.0)
    calls = [(tf.constant(value),) for value in (1.0, 2.0, 3.0)]

    def add(value):
        total.assign_add(value)
        return total.read_value()

    counts = [submission.count_traces(add, calls) for _ in range(2)]
    assert float(total) == 12, explain(
        "two counts with the values 1, 2 and 3: the function runs at each call",
        expected="12 added",
        received=float(total),
    )
    assert [number(count, "the count") for count in counts] == [1, 1], explain(
        "each count starts at 0", expected=[1, 1], received=counts
    )


# predict_code


def predicted_code(submission):
    """Return the student's outcomes, each one of three words."""
    answers = table_of(
        submission.predict_code(), graph_puzzles.CODE, "one of same, differs, raises"
    )
    for name, answer in answers.items():
        assert answer in graph_puzzles.OUTCOMES, explain(
            f"the answer for {name!r} is one of three words",
            expected=" or ".join(map(repr, graph_puzzles.OUTCOMES)),
            received=answer,
        )
    return answers


def compare_code(submission, names):
    """Fail at the first outcome that is not what TensorFlow does."""
    answers = predicted_code(submission)
    for name in names.split():
        truth = graph_puzzles.measure_code()[name]
        assert answers[name] == truth.outcome, explain(
            f"{name} ({truth.seen})", expected=truth.outcome, received=answers[name]
        )


@check(task="predict_code")
def every_function_has_an_outcome(submission):
    predicted_code(submission)


@check(task="predict_code")
def side_effects_are_predicted_as_they_are_measured(submission):
    compare_code(
        submission,
        "python_print append_to_list python_counter variable_counter numpy_noise "
        "numpy_function",
    )


@check(task="predict_code")
def branches_are_predicted_as_they_are_measured(submission):
    compare_code(
        submission,
        "if_on_tensor early_return return_a_zero none_in_one_branch try_except",
    )


@check(task="predict_code")
def loops_are_predicted_as_they_are_measured(submission):
    compare_code(
        submission,
        "while_with_break loop_from_int loop_from_float list_in_tensor_loop "
        "list_in_python_loop comprehension growing_tensor",
    )


# logged


def call_logged(submission, values, every):
    """Return the results, the counter and the lines of a graph called with `values`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.txt"
        path.touch()
        returned = submission.logged(
            lambda value, scale: value * scale,
            every=every,
            output_stream=f"file://{path}",
        )
        assert isinstance(returned, tuple | list) and len(returned) == 2, explain(
            "return the graph and its counter", expected="a pair", received=returned
        )
        graph, counter = returned
        assert callable(graph), explain(
            "the first of the pair is the graph", expected="a function", received=graph
        )
        before = number(counter, "the counter, before the first call,")
        assert before == 0, explain("no call was made yet", expected=0, received=before)
        scale = tf.constant(2.0)
        results = [graph(tf.constant(value), scale) for value in values]
        return results, counter, path.read_text(encoding="utf-8").splitlines()


@check(task="logged")
@in_graphs
def every_call_is_counted(submission):
    _, counter, _ = call_logged(submission, [1.0] * 7, every=3)
    received = number(counter, "the counter")
    assert received != 0, explain(
        "the counter stayed at 0: a Python number that is returned is a copy, and is "
        "changed while the graph is traced at most; return a tf.Variable",
        expected=7,
        received=received,
    )
    assert received != 1, explain(
        "a Python counter runs while the graph is traced, and never again: keep the count "
        "in a tf.Variable and add with assign_add",
        expected=7,
        received=received,
    )
    assert received == 7, explain("seven calls", expected=7, received=received)


@check(task="logged")
@in_graphs
def the_graph_returns_what_the_function_returns(submission):
    values = fresh_rng().uniform(1, 2, size=4)
    results, _, _ = call_logged(submission, values.astype(np.float32), every=2)
    received = vector(results, 4, "each call returns the loss")
    assert np.allclose(received, 2 * values, rtol=1e-5), explain(
        "each call returns the loss of its own arguments",
        expected=2 * values,
        received=received,
    )


@check(task="logged")
@in_graphs
def every_so_many_calls_a_line_is_printed(submission):
    values = fresh_rng().integers(1, 50, size=9).astype(np.float32)
    _, _, lines = call_logged(submission, values, every=3)
    assert lines, explain(
        "nothing arrived in output_stream: print() runs while the graph is traced, on "
        "Python's own output, and a Python condition is decided then; use tf.print with "
        "the output_stream, and `if` on the variable",
        expected="3 lines",
        received="none",
    )
    assert len(lines) != 9, explain(
        "print at every third call alone: `if` on a tensor, inside the tf.function",
        expected="3 lines",
        received="9",
    )
    numbers = [text.split() for text in lines]
    calls = [entry[0] for entry in numbers if entry]
    assert calls == ["3", "6", "9"], explain(
        "with every=3 and nine calls the lines begin with the numbers of the calls",
        expected=["3", "6", "9"],
        received=lines,
    )
    try:
        losses = [float(entry[-1]) for entry in numbers]
    except ValueError:
        losses = None
    assert losses is not None and np.allclose(losses, 2 * values[[2, 5, 8]]), explain(
        "each line ends with the loss of its own call",
        expected=(2 * values[[2, 5, 8]]).tolist(),
        received=lines,
    )


@check(task="logged")
@in_graphs
def what_is_logged_is_a_graph_that_is_traced_once(submission):
    num_traces = []

    def loss_of(value):
        num_traces.append(value)
        return value * 2

    # Nothing is printed, since there are fewer calls than `every`.
    graph, _ = submission.logged(loss_of, every=9, output_stream=sys.stderr)
    graph(tf.constant(1.0))
    first = len(num_traces)
    for value in (2.0, 3.0):
        graph(tf.constant(value))
    assert len(num_traces) == first, explain(
        "the function must run as one graph (tf.function, made once): its Python code ran "
        "again",
        expected=f"{first} traces",
        received=len(num_traces),
    )


# train_until: a step that halves a number, so that the losses are known.


def halving(start):
    """Return a step whose losses are start, start / 2, start / 4, ..."""
    value = tf.Variable(start)

    def step():
        loss = value.read_value()
        value.assign(value / 2)
        return loss

    return step


def losses_until(submission, start, target, max_steps, *, as_graph=True):
    """Return what train_until returns, inside a graph unless told otherwise."""
    step = halving(start)

    def run(target, max_steps):
        return submission.train_until(step, target, max_steps)

    run = tf.function(run) if as_graph else run
    return run(tf.constant(target), tf.constant(max_steps))


def compare_losses(submission, why, start, target, max_steps, expected, **options):
    """Fail if the losses are not the expected ones."""
    returned = losses_until(submission, start, target, max_steps, **options)
    assert returned is not None and hasattr(returned, "shape"), explain(
        "return the losses as one tensor", expected="float32 [steps]", received=returned
    )
    received = np.asarray(returned, np.float64)
    assert received.shape == (len(expected),) and np.allclose(received, expected), (
        explain(why, expected=expected, received=received.tolist())
    )


@check(task="train_until")
@in_graphs
def the_step_that_reaches_the_target_is_the_last(submission):
    start = float(fresh_rng().integers(6, 9))
    expected = [start, start / 2, start / 4]
    compare_losses(
        submission,
        f"the losses halve from {start:g}; the target is {start / 3:g}: the first loss "
        "that is at most the target ends it, and belongs to the result",
        start,
        start / 3,
        20,
        expected,
    )
    compare_losses(
        submission,
        f"a loss equal to the target ({start / 2:g}) is low enough",
        start,
        start / 2,
        20,
        [start, start / 2],
    )


@check(task="train_until")
@in_graphs
def there_are_never_more_than_max_steps(submission):
    compare_losses(
        submission,
        "the target is out of reach and max_steps is 4: take 4 steps",
        8.0,
        0.0,
        4,
        [8, 4, 2, 1],
    )
    compare_losses(submission, "max_steps is 0: take no step", 8.0, 0.0, 0, [])


@check(task="train_until")
@in_graphs
def the_first_step_is_always_looked_at(submission):
    compare_losses(
        submission,
        "the first loss (1) is below the target (5): one step was taken to know it",
        1.0,
        5.0,
        10,
        [1],
    )


@check(task="train_until")
@in_graphs
def eagerly_it_does_the_same(submission):
    compare_losses(
        submission,
        "called without tf.function it returns the same losses",
        8.0,
        2.5,
        10,
        [8, 4, 2],
        as_graph=False,
    )


@check(task="train_until")
@in_graphs
def other_targets_need_no_other_graph(submission):
    num_traces = []
    value = tf.Variable(16.0)

    def step():
        num_traces.append(1)
        value.assign(value / 2)
        return value.read_value()

    @tf.function
    def run(target, max_steps):
        return submission.train_until(step, target, max_steps)

    lengths = []
    for target, max_steps in ((4.0, 10), (1.0, 10), (0.0, 3)):
        value.assign(16.0)
        losses = run(tf.constant(target), tf.constant(max_steps))
        lengths.append(int(np.asarray(losses).shape[0]))
        lengths_traced = len(num_traces)
    assert lengths_traced <= 3, explain(
        "the step is traced inside the loop, not once for each step that is taken: loop "
        "with `while` or `tf.while_loop` on tensors",
        expected="a few traces of the step",
        received=lengths_traced,
    )
    assert lengths == [2, 4, 3], explain(
        "one graph for three targets: losses 8, 4, 2, ... until 4, until 1, at most 3",
        expected=[2, 4, 3],
        received=lengths,
    )


# train_step: softmax regression, whose gradient numpy knows.


def softmax_regression(rng, *, num_classes=4):
    """Return a model, images, labels: logits are a linear function of the pixels."""
    images = rng.uniform(size=(6, 3, 3)).astype(np.float32)
    labels = rng.integers(0, num_classes, size=6)
    inputs = keras.Input((3, 3))
    logits = keras.layers.Dense(num_classes)(keras.layers.Flatten()(inputs))
    model = keras.Model(inputs, logits)
    model.set_weights([rng.normal(size=(9, num_classes)), rng.normal(size=num_classes)])
    return model, tf.constant(images), tf.constant(labels, tf.int64)


def numpy_step(kernel, bias, images, labels, rate):
    """Return (loss, kernel, bias) of one step of gradient descent, by numpy."""
    x = np.asarray(images, np.float64).reshape(len(labels), -1)
    logits = x @ kernel + bias
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    rows = np.arange(len(labels))
    loss = -np.mean(np.log(probabilities[rows, labels]))
    probabilities[rows, labels] -= 1
    gradient = probabilities / len(labels)  # [batch, classes]
    return loss, kernel - rate * x.T @ gradient, bias - rate * gradient.sum(axis=0)


LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def built_sgd(model, rate):
    """Return gradient descent whose variables exist."""
    optimizer = keras.optimizers.SGD(rate)
    optimizer.build(model.trainable_variables)
    return optimizer


def compare_step(submission, *, as_graph):
    """Fail if one step on softmax regression is not numpy's."""
    rng = fresh_rng()
    model, images, labels = softmax_regression(rng)
    before = [weight.astype(np.float64) for weight in model.get_weights()]
    rate = 0.5
    expected = numpy_step(*before, images, np.asarray(labels), rate)
    optimizer = built_sgd(model, rate)

    def step(images, labels):
        return submission.train_step(model, optimizer, LOSS, images, labels)

    returned = (tf.function(step) if as_graph else step)(images, labels)
    where = "as a graph" if as_graph else "eagerly"
    loss = number(returned, f"the loss, {where},")
    after = model.get_weights()
    moved = np.concatenate(
        [np.ravel(a - b) for a, b in zip(after, before, strict=True)]
    )
    should = np.concatenate(
        [np.ravel(a - b) for a, b in zip(expected[1:], before, strict=True)]
    )
    assert not np.allclose(moved, 0), explain(
        f"{where} the weights stay as they are: give the gradients to the optimizer",
        expected="changed weights",
        received="the same weights",
    )
    assert not np.allclose(moved, -should, rtol=1e-3, atol=1e-5), explain(
        f"{where} the weights go uphill", expected=should[:3], received=moved[:3]
    )
    assert np.allclose(moved, should, rtol=1e-3, atol=1e-5), explain(
        f"{where} one step of SGD with rate {rate} moves the weights by minus the rate "
        "times the gradient, once; the first three of them",
        expected=np.round(should[:3], 5).tolist(),
        received=np.round(moved[:3], 5).tolist(),
    )
    assert np.isclose(loss, expected[0], rtol=1e-4), explain(
        f"{where}, return the loss of the batch before the step",
        expected=expected[0],
        received=loss,
    )


@check(task="train_step")
@in_graphs
def eagerly_one_step_is_gradient_descent(submission):
    compare_step(submission, as_graph=False)


@check(task="train_step")
@in_graphs
def as_a_graph_one_step_is_gradient_descent(submission):
    compare_step(submission, as_graph=True)


@check(task="train_step")
@in_graphs
def the_loss_stays_a_tensor(submission):
    model, images, labels = softmax_regression(fresh_rng())
    optimizer = built_sgd(model, 0.1)
    returned = submission.train_step(model, optimizer, LOSS, images, labels)
    assert tf.is_tensor(returned) and returned.shape == (), explain(
        "return the loss as a tensor: float() and .numpy() don't work in a graph, and make "
        "Python wait for the result",
        expected="a tensor, float32 []",
        received=returned,
    )


@check(task="train_step")
@in_graphs
def layers_know_that_they_are_trained(submission):
    seen = []

    class Watch(keras.layers.Layer):
        def call(self, inputs, training=None):
            seen.append(training)
            return inputs

    inputs = keras.Input((3, 3))
    x = keras.layers.BatchNormalization()(Watch()(keras.layers.Flatten()(inputs)))
    model = keras.Model(inputs, keras.layers.Dense(3)(x))
    rng = fresh_rng()
    images = tf.constant(rng.uniform(1, 2, size=(8, 3, 3)), tf.float32)
    labels = tf.constant(rng.integers(0, 3, size=8))
    optimizer = built_sgd(model, 0.1)
    seen.clear()
    submission.train_step(model, optimizer, LOSS, images, labels)
    assert seen and seen[-1] is not None and bool(seen[-1]), explain(
        "call the model with training=True: batch normalisation and dropout need it",
        expected=True,
        received=seen[-1] if seen else "the model was not called",
    )
    assert len(seen) == 1, explain(
        "one forward pass per step: the loss that is returned is the one whose gradient "
        "was taken",
        expected="1 call of the model",
        received=len(seen),
    )


# compiled_step and compiled_epoch: steps of the check's own.


class Recorder:
    """A step without a model: adds up what it sees, and counts how often Python runs."""

    def __init__(self):
        self.num_python_calls = 0
        self.batch_shape = None
        self.weighted = tf.Variable(0.0)
        self.num_calls = tf.Variable(0)

    def __call__(self, images, labels):
        """Return the sum of all that a batch holds, as its loss."""
        self.num_python_calls += 1
        self.batch_shape = (
            images.shape.as_list()
        )  # As far as it is known while tracing.
        self.num_calls.assign_add(1)
        # In the order of the calls: each step halves what came before.
        seen = tf.reduce_sum(images) + tf.cast(tf.reduce_sum(labels), tf.float32)
        self.weighted.assign(self.weighted / 2 + seen)
        return seen + 0.0


def a_batch(rng, size, shape=(2, 3)):
    """Return images and labels of a size."""
    images = tf.constant(rng.uniform(size=(size, *shape)), tf.float32)
    return images, tf.constant(rng.integers(0, 5, size=size), tf.int64)


def needs_xla(images, labels):
    """Return a loss that XLA can't compile: it goes through text."""
    text = tf.strings.as_string(tf.reduce_sum(images))
    return tf.strings.to_number(text) + 0.0 * tf.cast(labels[0], tf.float32)


def xla_refuses(graph, *arguments):
    """Tell whether XLA was asked to compile, which fails on text."""
    try:
        graph(*arguments)
    except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError):
        return True
    return False


@check(task="compiled_step")
@in_graphs
def one_trace_serves_batches_of_any_size(submission):
    step, rng = Recorder(), fresh_rng()
    graph = submission.compiled_step(step, (2, 3), jit_compile=False)
    assert callable(graph), explain(
        "return a function", expected="a tf.function", received=graph
    )
    sizes = [4, 4, 3, 1, 5]
    for size in sizes:
        images, labels = a_batch(rng, size)
        received = number(graph(images, labels), "the loss")
        expected = float(np.sum(images) + np.sum(labels))
        assert np.isclose(received, expected, rtol=1e-4), explain(
            "return what the step returns", expected=expected, received=received
        )
    assert int(step.num_calls) == len(sizes), explain(
        "each call takes one step", expected=len(sizes), received=int(step.num_calls)
    )
    assert step.num_python_calls != len(sizes), explain(
        "the step ran in Python at every call: make one tf.function, outside the calls",
        expected="1 trace",
        received=step.num_python_calls,
    )
    assert callable(getattr(graph, "get_concrete_function", None)), explain(
        "return the tf.function itself, whose graph can be looked at",
        expected="a tf.function",
        received=graph,
    )
    assert step.num_python_calls == 1, explain(
        f"batches of {sizes} examples are traced once, with an input_signature that leaves "
        "the batch axis open (None)",
        expected="1 trace",
        received=step.num_python_calls,
    )


@check(task="compiled_step")
@in_graphs
def xla_compiles_when_asked_and_not_otherwise(submission):
    batch = a_batch(fresh_rng(), 3)
    plain = submission.compiled_step(needs_xla, (2, 3), jit_compile=False)
    assert not xla_refuses(plain, *batch), explain(
        "with jit_compile=False XLA must not compile",
        expected="a graph without XLA",
        received="an error of XLA's",
    )
    compiled = submission.compiled_step(needs_xla, (2, 3), jit_compile=True)
    assert xla_refuses(compiled, *batch), explain(
        "with jit_compile=True XLA must compile: hand the flag to tf.function",
        expected="jit_compile=True",
        received="a graph without XLA",
    )


@check(task="compiled_step")
@in_graphs
def each_compiled_step_keeps_to_its_own_step(submission):
    rng = fresh_rng()
    steps = [Recorder(), Recorder()]
    graphs = [submission.compiled_step(s, (2, 2), jit_compile=False) for s in steps]
    for size in (2, 3):
        for graph in graphs:
            graph(*a_batch(rng, size, (2, 2)))
    counts = [int(step.num_calls) for step in steps]
    assert counts == [2, 2], explain(
        "two graphs of two steps, each called twice", expected=[2, 2], received=counts
    )


def run_epoch(
    submission, num_examples=11, batch_size=3, *, jit_compile=False, order=None
):
    """Return the step, the losses of one epoch, and the batches that it should take."""
    rng, step = fresh_rng(), Recorder()
    images, labels = a_batch(rng, num_examples)
    if order is None:
        order = rng.permutation(num_examples)
    epoch = submission.compiled_epoch(
        step, batch_size=batch_size, jit_compile=jit_compile
    )
    assert callable(epoch), explain(
        "return a function that runs an epoch", expected="a function", received=epoch
    )
    losses = epoch(images, labels, tf.constant(order, tf.int64))
    num_steps = len(order) // batch_size
    batches = np.reshape(order[: num_steps * batch_size], [num_steps, batch_size])
    should = np.sum(np.asarray(images)[batches], axis=(1, 2, 3)) + np.sum(
        np.asarray(labels)[batches], axis=1
    )
    return step, losses, should


def weighted_sum(values):
    """Return what a Recorder has after these batches, in this order."""
    total = 0.0
    for value in values:
        total = total / 2 + value
    return total


def compare_epoch(submission, **options):
    """Fail if the losses or the order of the steps are not what the order asks for."""
    step, losses, should = run_epoch(submission, **options)
    num_steps = int(step.num_calls)
    assert num_steps == len(should), explain(
        "the order has room for so many whole batches; what is left is left out",
        expected=f"{len(should)} steps",
        received=f"{num_steps} steps",
    )
    received = vector(losses, len(should), "return the loss of each step")
    assert not np.allclose(received, received[0]), explain(
        "each step takes a batch of its own", expected=should, received=received
    )
    assert np.allclose(received, should, rtol=1e-4), explain(
        "batch k holds the examples order[k * batch_size : (k + 1) * batch_size], images "
        "and labels; the losses come in this order",
        expected=np.round(should, 3).tolist(),
        received=np.round(received, 3).tolist(),
    )
    assert np.isclose(float(step.weighted), weighted_sum(should), rtol=1e-4), explain(
        "the steps are taken one after the other, in the order of the batches",
        expected=weighted_sum(should),
        received=float(step.weighted),
    )


@check(task="compiled_epoch")
@in_graphs
def every_batch_is_taken_in_the_order_given(submission):
    compare_epoch(submission)


@check(task="compiled_epoch")
@in_graphs
def an_order_may_leave_examples_out(submission):
    order = fresh_rng().permutation(11)[:6]
    compare_epoch(submission, order=order, batch_size=2)


@check(task="compiled_epoch")
@in_graphs
def xla_takes_the_same_steps(submission):
    compare_epoch(submission, jit_compile=True)


@check(task="compiled_epoch")
@in_graphs
def the_size_of_a_batch_is_known(submission):
    step, _, _ = run_epoch(submission, num_examples=8, batch_size=4)
    assert step.batch_shape == [4, 2, 3], explain(
        "the step must see batches of a known size while it is traced: the length of "
        "order[i * size : (i + 1) * size] is known to you alone, and XLA makes every batch "
        "as long as the whole order; take row i of a tensor of shape [steps, size], or "
        "tf.slice",
        expected=[4, 2, 3],
        received=step.batch_shape,
    )


@check(task="compiled_epoch")
@in_graphs
def xla_compiles_the_epoch_when_asked(submission):
    images, labels = a_batch(fresh_rng(), 4)
    order = tf.range(4, dtype=tf.int64)
    plain = submission.compiled_epoch(needs_xla, batch_size=2, jit_compile=False)
    assert not xla_refuses(plain, images, labels, order), explain(
        "with jit_compile=False XLA must not compile",
        expected="a graph without XLA",
        received="an error of XLA's",
    )
    compiled = submission.compiled_epoch(needs_xla, batch_size=2, jit_compile=True)
    assert xla_refuses(compiled, images, labels, order), explain(
        "with jit_compile=True XLA must compile the whole epoch",
        expected="jit_compile=True",
        received="a graph without XLA",
    )


@check(task="compiled_epoch")
@in_graphs
def the_loop_is_in_the_graph(submission):
    rng, step = fresh_rng(), Recorder()
    images, labels = a_batch(rng, 40)
    epoch = submission.compiled_epoch(step, batch_size=2, jit_compile=False)
    epoch(images, labels, tf.constant(rng.permutation(40)))
    assert step.num_python_calls != 20, explain(
        "the step was traced for each of the 20 batches, or ran in Python: `range` and "
        "zip unroll a loop, tf.range and tf.while_loop keep it",
        expected="one or two traces of the step",
        received=step.num_python_calls,
    )
    assert step.num_python_calls <= 3, explain(
        "the step is traced a fixed number of times, whatever the number of batches",
        expected="one or two traces of the step",
        received=step.num_python_calls,
    )
    before = step.num_python_calls
    epoch(images, labels, tf.constant(rng.permutation(40)))
    assert step.num_python_calls == before, explain(
        "the next epoch, in another order, must find the graph of the first: one "
        "tf.function, made once; the order is an input",
        expected="no new trace",
        received=f"{step.num_python_calls - before} more",
    )


@check(task="compiled_epoch")
@in_graphs
def the_graph_is_as_large_for_many_batches_as_for_few(submission):
    images, labels = a_batch(fresh_rng(), 60)
    step = tf.function(Recorder())  # Traced once by itself, however often it is called.
    epoch = submission.compiled_epoch(step, batch_size=2, jit_compile=False)
    assert callable(getattr(epoch, "get_concrete_function", None)), explain(
        "the epoch is one graph, not a Python loop over compiled steps: return the "
        "tf.function itself",
        expected="a tf.function",
        received=epoch,
    )
    sizes = {}
    for num_examples in (6, 60):
        order = tf.TensorSpec([num_examples], tf.int64)
        graph = epoch.get_concrete_function(images, labels, order).graph.as_graph_def()
        bodies = [function.node_def for function in graph.library.function]
        sizes[num_examples // 2] = sum(map(len, (graph.node, *bodies)))
    assert sizes[30] < sizes[3] + 27, explain(
        "the graph grows with the number of batches: the loop was unrolled; use tf.range "
        "or tf.while_loop",
        expected=f"about {sizes[3]} operations for 30 batches, as for 3",
        received=sizes[30],
    )


@check(task="compiled_epoch")
@in_graphs
def each_epoch_follows_its_own_order(submission):
    rng, step = fresh_rng(), Recorder()
    images, labels = a_batch(rng, 8)
    epoch = submission.compiled_epoch(step, batch_size=4, jit_compile=False)
    for _ in range(3):
        order = rng.permutation(8)
        received = vector(
            epoch(images, labels, tf.constant(order)), 2, "the loss of each step"
        )
        batches = order.reshape(2, 4)
        should = np.sum(np.asarray(images)[batches], axis=(1, 2, 3)) + np.sum(
            np.asarray(labels)[batches], axis=1
        )
        assert np.allclose(received, should, rtol=1e-4), explain(
            "each epoch has an order of its own, given to it as a tensor; nothing is "
            "shuffled inside, and nothing is kept from the epoch before",
            expected=np.round(should, 3).tolist(),
            received=np.round(received, 3).tolist(),
        )


# operations


def counted(submission, graph, *arguments):
    """Return the student's counts as a dict."""
    returned = submission.operations(graph, *arguments)
    assert isinstance(returned, dict), explain(
        "return a Counter of the kinds of operations",
        expected="{'MatMul': 2, ...}",
        received=returned,
    )
    return collections.Counter(returned)


@check(task="operations")
@in_graphs
def kinds_are_counted_not_names(submission):
    times = int(fresh_rng().integers(2, 5))

    @tf.function
    def graph(x):
        for _ in range(times):
            x = tf.matmul(x, x)
        return tf.nn.relu(x) + 1.0

    received = counted(submission, graph, tf.zeros([2, 2]))
    assert received["MatMul"] == times, explain(
        f"{times} matrix products: count node.op, not node.name",
        expected={"MatMul": times, "Relu": 1, "AddV2": 1},
        received=dict(received),
    )
    assert received["Relu"] == received["AddV2"] == 1, explain(
        "each operation of the graph counts",
        expected={"MatMul": times, "Relu": 1, "AddV2": 1},
        received=dict(received),
    )


@check(task="operations")
@in_graphs
def bodies_of_loops_and_branches_count(submission):
    @tf.function
    def graph(x):
        total = tf.zeros([2, 2])
        for _ in tf.range(5):
            total = tf.matmul(total, x)
        if tf.reduce_sum(total) > 0:
            total = tf.sinh(total)
        else:
            total = tf.cosh(total)
        return tf.exp(total)

    received = counted(submission, graph, tf.zeros([2, 2]))
    assert received["Exp"] == 1, explain(
        "the outer nodes count too", expected={"Exp": 1}, received=dict(received)
    )
    assert received["MatMul"] == received["Sinh"] == received["Cosh"] == 1, explain(
        "the bodies of a loop and of both branches are functions in the graph's library: "
        "their nodes count, each once",
        expected={"MatMul": 1, "Sinh": 1, "Cosh": 1},
        received={key: received[key] for key in ("MatMul", "Sinh", "Cosh")},
    )


@check(task="operations")
@in_graphs
def the_graph_is_traced_and_not_run(submission):
    num_runs = tf.Variable(0)

    @tf.function
    def graph(x):
        num_runs.assign_add(1)
        return tf.matmul(x, x)

    received = counted(submission, graph, tf.TensorSpec([None, 4]))
    assert int(num_runs) == 0, explain(
        "look at the graph without running it",
        expected="0 runs",
        received=int(num_runs),
    )
    assert received["MatMul"] == received["AssignAddVariableOp"] == 1, explain(
        "a TensorSpec describes an argument as well as a tensor does",
        expected={"MatMul": 1, "AssignAddVariableOp": 1},
        received=dict(received),
    )
