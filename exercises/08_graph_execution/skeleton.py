# %% [markdown]
# The tasks are the functions that raise `NotImplementedError`; `main` uses them.

# %%
"""Graph execution: eager, `tf.function`, XLA; what tracing is and when it happens."""

import collections
import dataclasses
import functools
import sys
from collections.abc import Callable, Iterable

import keras
import numpy as np
import tensorflow as tf

from tfcourse import data, graph_speed, graph_study, training_variants
from tfcourse.runs import Run

Step = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]  # (images, labels) -> loss.


@dataclasses.dataclass(frozen=True)
class Config:
    """What can be set."""

    source: str = "real"  # Where the data come from: "embedded" or "real".
    num_examples: int = 60_000
    small_widths: tuple[int, ...] = (32, 32, 32)  # Hidden layers of the small model.
    batch_size: int = 32
    learning_rate: float = 1e-3
    widths: tuple[int, ...] = (16, 64, 256, 1024, 4096)  # Two layers each, compared.
    filters: int = 16  # Of the small convolutional network, compared with them.
    num_same_steps: int = 100  # After which all variants must have the same weights.
    same_weights_dtype: str = "float64"  # In that comparison; try "float32" too.
    window_seconds: float = 0.5  # Timed for each variant in each round, at least.
    num_rounds: int = 5  # Turns that each variant gets.
    seed: int = 0


SMOKE = Config(
    source="embedded",
    num_examples=640,
    small_widths=(16, 16),
    widths=(16, 256),
    filters=2,
    num_same_steps=20,
    window_seconds=0.03,
    num_rounds=3,
)
LAB = Config()
FULL = Config(widths=(64, 1024, 16384), filters=64, window_seconds=2.0, num_rounds=9)


# %%
def predict_traces() -> dict[str, int]:
    """Return how often `body` is traced in each of these programs.

    Before each one, f = tf.function(body) is made anew, with body(value, flag=False);
    x is tf.constant([1.0, 2.0, 3.0]), and each Setting() is an object of a plain class.

        tensors: f(x), f(x + 1), f(x + 2)
        python_numbers: [f(n) for n in range(5)]
        numbers_seen_before: f(1), f(2), f(1), f(2)
        numbers_as_tensors: [f(tf.constant(n)) for n in range(5)]
        numpy_arrays: f(np.zeros(2)), f(np.ones(2))
        shapes: f(x), f(x[:2]), f(x[:1]), f(x[:2])
        dtypes: f(x), f(tf.cast(x, tf.int32))
        default_spelt_out: f(x), f(x, False), f(x, flag=False)
        a_flag: f(x, flag=True), f(x, flag=False), f(x, flag=True)
        lists: f([x, x]), f([x, x, x]), f([x, x])
        one_object: [f(o) for o in [Setting()] * 3]
        new_objects: [f(Setting()) for _ in range(3)]
        new_functions: [tf.function(body)(x) for _ in range(3)]
        input_signature: [g(x[:n]) for n in (3, 2, 1)] with
            g = tf.function(body, input_signature=[tf.TensorSpec([None])])
        reduce_retracing: [g(x[:n]) for n in (3, 2, 1)] with
            g = tf.function(body, reduce_retracing=True)
    """
    raise NotImplementedError("exercise 08: write predict_traces()")


# %%
def count_traces(function: Callable, calls: Iterable[tuple], **options) -> int:
    """Return how often TensorFlow traces `function` while one graph takes all the calls.

    Args:
        function: A plain Python function of tensors.
        calls: For each call, the tuple of its positional arguments.
        options: What `tf.function` is given: `input_signature`, `reduce_retracing`, ...
    """
    raise NotImplementedError("exercise 08: write count_traces()")


# %%
def predict_code() -> dict[str, str]:
    """Return whether each function, under `tf.function`, does the "same" as eagerly.

    Each is called three times with x, which is tf.constant([1.0, 2.0, 3.0]). `notes` is
    an empty list and `total` a tf.Variable with the value 0.0; they, what the calls return
    and what they print are compared. The answer is "differs" if something is another, and
    "raises" if there is an error as a graph (eagerly, none of them raises).

        def python_print(x):            def append_to_list(x):
            print("called")                 notes.append("called")
            return x                        return x

        def python_counter(x):          def variable_counter(x):
            notes.append("called")          total.assign_add(1.0)
            return x * len(notes)           return x * total

        def numpy_noise(x):             def numpy_function(x):
            noise = np.random.normal()      return np.sin(x)
            return x + noise

        def if_on_tensor(x):            def early_return(x):
            if x[0] > 5:                    if x[0] > 0:
                y = x                           return x
            else:                           return -x
                y = -x
            return y                    def none_in_one_branch(x):
                                            y = None
        def return_a_zero(x):               if x[0] > 0:
            if x[0] > 0:                        y = x
                return x[0]                 return y
            return 0
                                        def loop_from_int(x):
        def while_with_break(x):            s = 0
            while x[0] < 100:               for v in x:
                x = 2 * x                       s += v
                if x[2] > 20:               return s
                    break
            return x                    def loop_from_float(x):
                                            s = 0.0
        def list_in_tensor_loop(x):         for v in x:
            squares = []                        s += v
            for v in x:                     return s
                squares.append(v * v)
            return tf.stack(squares)    def growing_tensor(x):
                                            y = x[:1]
        def list_in_python_loop(x):         for v in x:
            squares = []                        y = tf.concat([y, [v]], axis=0)
            for i in range(3):              return y
                squares.append(x[i]**2)
            return tf.stack(squares)    def try_except(x):
                                            try:
        def comprehension(x):                   tf.debugging.assert_negative(x)
            squares = [v * v for v in x]    except tf.errors.InvalidArgumentError:
            return tf.stack(squares)            x = -x
                                            return x
    """
    raise NotImplementedError("exercise 08: write predict_code()")


# %%
def logged(function: Callable, *, every: int, output_stream=sys.stdout):
    """Return a graph of `function` that counts its calls and logs, and its counter.

    Args:
        function: A plain Python function of tensors that returns a loss, float32 [].
        every: Call number `every`, 2 `every`, 3 `every`, ... prints a line with the
            number of the call, a space and the loss.
        output_stream: Where `tf.print` writes.

    Returns:
        (A `tf.function` that takes and returns what `function` does, the calls so far as
        a `tf.Variable`, int64 []).
    """
    raise NotImplementedError("exercise 08: write logged()")


# %%
def train_until(step: Callable[[], tf.Tensor], target, max_steps) -> tf.Tensor:
    """Return the losses of the steps that it took until one was at most `target`.

    Runs inside a `tf.function`, where `target` (float32 []) and `max_steps` (int32 []) are
    tensors: another target needs no other graph. Runs eagerly as well.

    Args:
        step: Takes one training step and returns its loss, float32 [].
        target: The loss that is low enough; the step that reached it is the last one.
        max_steps: No more steps than these.

    Returns:
        float32 [steps].
    """
    raise NotImplementedError("exercise 08: write train_until()")


# %%
def train_step(model, optimizer, loss_fn, images, labels) -> tf.Tensor:
    """Return the loss of a batch, float32 [], after one step of training on it.

    It is the loss before the step. The same code runs eagerly and as a graph.

    Args:
        model: Returns logits, float32 [batch, classes].
        optimizer: A Keras optimizer.
        loss_fn: Takes labels and logits; returns the mean loss, float32 [].
        images: float32 [batch, height, width].
        labels: int64 [batch].
    """
    raise NotImplementedError("exercise 08: write train_step()")


# %%
def compiled_step(step: Step, image_shape: tuple[int, ...], *, jit_compile: bool):
    """Return `step` as a `tf.function` that is traced once, for batches of any size.

    Args:
        step: A plain Python function that takes images, float32 [batch, *image_shape],
            and labels, int64 [batch], and returns the loss, float32 [].
        image_shape: Of one image.
        jit_compile: Whether XLA compiles the graph.
    """
    raise NotImplementedError("exercise 08: write compiled_step()")


# %%
def compiled_epoch(step: Step, *, batch_size: int, jit_compile: bool):
    """Return a function that runs one epoch as one graph.

    Args:
        step: A plain Python function, as for `compiled_step`. The size of its batches is
            known while it is traced.
        batch_size: Examples per step. What is left at the end of an order, less than a
            batch, is left out.
        jit_compile: Whether XLA compiles the graph.

    Returns:
        `epoch(images, labels, order)`, a `tf.function` that trains on them in the order
        given, int64 [n], batch by batch, and returns the losses, float32 [n //
        batch_size]. The loop is in the graph: `step` is traced a fixed number of times,
        however many batches there are, and not at all in the next epoch.
    """
    raise NotImplementedError("exercise 08: write compiled_epoch()")


# %%
def operations(graph, *arguments) -> collections.Counter:
    """Return how many operations of each kind a graph has: `{"MatMul": 5, ...}`.

    The bodies of loops and branches and the functions that it calls are functions in the
    graph's library. Each counts once, however often it runs.

    Args:
        graph: A `tf.function`; it is traced and not run.
        arguments: Of a call, tensors or `tf.TensorSpec`.
    """
    raise NotImplementedError("exercise 08: write operations()")


# %% [markdown]
# The same step in five ways. `main` times them in turns, on models from small to large.


# %%
def build_network(image_shape: tuple[int, ...], widths: Iterable[int]) -> keras.Model:
    """Return an MLP with ReLU that gives logits, float32 [batch, 10]."""
    images = keras.Input(image_shape)
    x = keras.layers.Flatten()(images)
    for width in widths:
        x = keras.layers.Dense(width, activation="relu")(x)
    return keras.Model(images, keras.layers.Dense(10)(x))


def build_convolutional(image_shape: tuple[int, ...], filters: int) -> keras.Model:
    """Return a small convolutional network that gives logits, float32 [batch, 10]."""
    images = keras.Input(image_shape)
    x = keras.layers.Reshape((*image_shape, 1))(images)
    for _ in range(2):
        x = keras.layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, keras.layers.Dense(10)(x))


def variants(model: keras.Model, config: Config) -> training_variants.Variants:
    """Return the training of `model` in all variants, over the same weights."""
    optimizer = keras.optimizers.Adam(config.learning_rate)
    # Its variables must exist before anything is traced: a graph that is called again
    # can't make any, and a loop in a graph can't at all.
    optimizer.build(model.trainable_variables)
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    step = functools.partial(train_step, model, optimizer, loss_fn)
    shape, size = model.input_shape[1:], config.batch_size
    return training_variants.Variants(
        model=model,
        optimizer=optimizer,
        batch_size=size,
        steps={
            "eager": step,
            "graph": compiled_step(step, shape, jit_compile=False),
            "XLA": compiled_step(step, shape, jit_compile=True),
        },
        epochs={
            "epoch": compiled_epoch(step, batch_size=size, jit_compile=False),
            "epoch, XLA": compiled_epoch(step, batch_size=size, jit_compile=True),
        },
    )


def main(config: Config, run: Run) -> dict[str, float]:
    """Return the metrics that exercise.toml promises."""
    (images, labels), info = data.load_arrays(
        "fashion_mnist", "train", source=config.source
    )
    test, _ = data.load_arrays("fashion_mnist", "test", source=config.source)
    run.record_data(info)
    images = tf.constant(images[: config.num_examples] / 255, tf.float32)
    labels = tf.constant(labels[: config.num_examples])
    shape, size = tuple(images.shape[1:]), config.batch_size

    def make(build, *sizes):
        return lambda: variants(build(shape, *sizes), config)

    small = make(build_network, config.small_widths)
    models = {
        f"MLP {width}, {width}": make(build_network, [width, width])
        for width in config.widths
    }
    models["convolutions"] = make(build_convolutional, config.filters)
    metrics = graph_study.study_puzzles(run, predict_traces(), predict_code())
    metrics |= graph_study.study_retracing(
        run, small, images[:size], labels[:size], count_traces=count_traces
    )
    metrics |= graph_study.study_effects(
        run,
        small,
        images[:size],
        labels[:size],
        logged=logged,
        train_until=train_until,
        count_traces=count_traces,
    )
    metrics |= graph_study.study_same_weights(
        run, small, images, labels, config.num_same_steps, config.same_weights_dtype
    )
    gains = graph_speed.study_sizes(
        run,
        {"small MLP": small, **models},
        images,
        labels,
        count_operations=lambda made: operations(made.steps["graph"]).total(),
        window_seconds=config.window_seconds,
        num_rounds=config.num_rounds,
    )
    metrics |= graph_speed.study_profile(run, small, images[:size], labels[:size])
    metrics |= graph_speed.study_epochs(
        run, small, images, labels, (test[0] / np.float32(255), test[1])
    )
    return metrics | graph_speed.speedups(gains, small="small MLP")
