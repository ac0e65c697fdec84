"""Own training steps, own data pipelines, siamese and branched models that fail."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from doctor_programs import datasets
from doctor_programs.registry import Program, program


class StepOfOurOwn(keras.Model):
    """A Functional model whose training step is written by hand.

    Args:
        sign: What the gradients are multiplied with; 0: they are not applied at all.
        broadcast: Subtract [batch, 1] outputs from [batch] targets, as NumPy would.
    """

    def __init__(self, *args, sign: float = 1.0, broadcast: bool = False, **named):
        super().__init__(*args, **named)
        self.sign, self.broadcast = sign, broadcast

    def train_step(self, data):
        """Return the metrics after one step."""
        x, y = data
        with tf.GradientTape() as tape:
            outputs = self(x, training=True)
            if self.broadcast:
                loss = tf.reduce_mean(tf.square(y - outputs))
            else:
                loss = self.compute_loss(x, y, outputs)
        gradients = tape.gradient(loss, self.trainable_variables)
        if self.sign:
            gradients = [self.sign * gradient for gradient in gradients]
            self.optimizer.apply_gradients(
                zip(gradients, self.trainable_variables, strict=True)
            )
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, outputs)
        return {metric.name: metric.result() for metric in self.metrics}


@program(faults=("wrong-update",), architecture="mlp", split="tune")
def gradients_never_applied(seed: int, mended: bool = False) -> Program:
    """The training step computes gradients and forgets apply_gradients."""
    (x, y), validation = datasets.part(*datasets.blobs(seed))
    inputs = keras.Input((20,))
    hidden = layers.Dense(48, activation="relu")(inputs)
    outputs = layers.Dense(4, activation="softmax")(hidden)
    model = StepOfOurOwn(inputs, outputs, sign=1.0 if mended else 0.0)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return Program(model, x, y, validation, epochs=8)


@program(faults=("wrong-update",), architecture="regression", split="tune")
def uphill(seed: int, mended: bool = False) -> Program:
    """The training step adds the gradient: the loss is maximised."""
    (x, y), validation = datasets.part(*datasets.friedman(seed))
    inputs = keras.Input((10,))
    hidden = layers.Dense(32, activation="tanh")(inputs)
    outputs = layers.Dense(1)(hidden)
    model = StepOfOurOwn(inputs, outputs, sign=1.0 if mended else -1.0)
    y_mean, y_std = y.mean(), y.std()
    model.compile(keras.optimizers.SGD(0.05), "mse")
    validation = (validation[0], (validation[1] - y_mean) / y_std)
    return Program(model, x, (y - y_mean) / y_std, validation, epochs=10)


@program(faults=("loss-reduction",), architecture="regression", split="tune")
def every_target_against_every_output(seed: int, mended: bool = False) -> Program:
    """Targets [batch] minus outputs [batch, 1] make [batch, batch]: the mean is learned."""
    x, y = datasets.friedman(seed)
    y = ((y - y.mean()) / y.std()).astype("float32")
    (x, y), validation = datasets.part(x, y)
    inputs = keras.Input((10,))
    hidden = layers.Dense(48, activation="relu")(inputs)
    hidden = layers.Dense(48, activation="relu")(hidden)
    outputs = layers.Dense(1)(hidden)
    model = StepOfOurOwn(inputs, outputs, broadcast=not mended)
    model.compile(keras.optimizers.Adam(0.003), "mse")
    return Program(model, x, y, validation, epochs=12)


@keras.saving.register_keras_serializable("doctor_programs")
class AlwaysDropping(keras.Model):
    """A subclassed network whose dropout may ignore the mode."""

    def __init__(self, training: bool | None = True, **named):
        super().__init__(**named)
        self.mode = training
        self.hidden = [layers.Dense(48, activation="relu") for _ in range(2)]
        self.drop = [layers.Dropout(0.6) for _ in range(2)]
        self.head = layers.Dense(5, activation="softmax")

    def call(self, inputs, training=None):
        """Return the probabilities of five classes."""
        training = self.mode if self.mode is not None else training
        for dense, drop in zip(self.hidden, self.drop, strict=True):
            inputs = drop(dense(inputs), training=training)
        return self.head(inputs)


@program(faults=("train-inference-gap",), architecture="mlp", split="tune")
def dropout_in_inference(seed: int, mended: bool = False) -> Program:
    """Dropout is called with training=True, so it goes on in validation and use."""
    data = datasets.blobs(seed, classes=5, spread=1.3, features=16)
    (x, y), validation = datasets.part(*data)
    model = AlwaysDropping(None if mended else True)
    optimizer = keras.optimizers.Adam(0.003)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return Program(model, x, y, validation, epochs=12)


def _siamese(images: np.ndarray, stop: bool = False) -> keras.Model:
    """Return a model of two images that gives their distance; not compiled."""
    size = images.shape[1]
    tower = keras.Sequential(
        [
            keras.Input((size, size, 1)),
            layers.Conv2D(12, 3, strides=2, activation="relu"),
            layers.Flatten(),
            layers.Dense(24),
        ],
        name="tower",
    )
    left, right = keras.Input((size, size, 1)), keras.Input((size, size, 1))
    codes = [tower(left), tower(right)]
    if stop:
        codes = [layers.Lambda(tf.stop_gradient)(code) for code in codes]
    gap = keras.ops.abs(codes[0] - codes[1])
    return keras.Model([left, right], layers.Dense(1, activation="sigmoid")(gap))


def _pairs(seed: int, n: int = 1400) -> tuple:
    """Return [left, right] images and whether they show one class, cut in two parts."""
    images, labels = datasets.digits("train")
    images = images[..., None].astype("float32") / 255
    left, right, same = datasets.pairs(images, labels, seed, n)
    cut = int(0.8 * n)
    train = ((left[:cut], right[:cut]), same[:cut])
    return *train, ((left[cut:], right[cut:]), same[cut:])


@program(faults=("disconnected-gradient",), architecture="siamese", split="tune")
def tower_cut_off(seed: int, mended: bool = False) -> Program:
    """Both embeddings pass through stop_gradient, so the tower never learns."""
    x, y, validation = _pairs(seed)
    model = _siamese(x[0], stop=not mended)
    optimizer = keras.optimizers.Adam(0.003)
    model.compile(optimizer, "binary_crossentropy", metrics=["accuracy"])
    return Program(model, x, y, validation, epochs=5)


class Batches(keras.utils.PyDataset):
    """Batches from arrays; `slip` takes the labels of a later batch."""

    def __init__(self, x, y, size: int, slip: int = 0):
        super().__init__()
        self.x, self.y, self.size, self.slip = x, y, size, slip

    def __len__(self):
        """Return the number of batches."""
        return len(self.x) // self.size

    def __getitem__(self, index):
        """Return one batch."""
        start = index * self.size
        other = (index + self.slip) % len(self) * self.size
        return self.x[start : start + self.size], self.y[other : other + self.size]


@program(faults=("misaligned-labels",), architecture="siamese", split="tune")
def labels_of_the_next_batch(seed: int, mended: bool = False) -> Program:
    """A generator gives each batch of pairs the labels of the next batch."""
    x, y, validation = _pairs(seed)
    model = _siamese(x[0])
    optimizer = keras.optimizers.Adam(0.003)
    model.compile(optimizer, "binary_crossentropy", metrics=["accuracy"])
    both = np.stack(x, axis=1)  # [n, 2, height, width, 1]

    class Pairs(Batches):
        def __getitem__(self, index):
            images, labels = super().__getitem__(index)
            return (images[:, 0], images[:, 1]), labels

    batches = Pairs(both, y, 32, slip=0 if mended else 1)
    return Program(model, batches, None, validation, 5, batch_size=None)


@program(faults=("data-leakage",), architecture="cnn", split="tune")
def reshuffled_split(seed: int, mended: bool = False) -> Program:
    """Take and skip after a shuffle that is drawn anew each epoch: the parts mix."""
    images, labels = datasets.digits("train")
    x, y = images[:600, ..., None].astype("float32") / 255, labels[:600]
    whole = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(
        600, seed=seed, reshuffle_each_iteration=not mended
    )
    val_ds = whole.take(150).batch(50)
    train_ds = whole.skip(150).batch(32)
    model = keras.Sequential(
        [
            keras.Input((14, 14, 1)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return Program(model, train_ds, None, val_ds, 12, batch_size=None)


@program(faults=("frozen-weights", "underfitting"), architecture="mlp", split="tune")
def frozen_trunk_of_two_heads(seed: int, mended: bool = False) -> Program:
    """A trunk that two heads share was set to trainable=False and forgotten."""
    x, y = datasets.rings(seed)
    size = np.hypot(x[:, 0], x[:, 1]).astype("float32")
    inputs = keras.Input((2,))
    trunk = layers.Dense(6, activation="tanh", name="trunk")
    trunk_2 = layers.Dense(6, activation="tanh", name="trunk_2")
    trunk.trainable = trunk_2.trainable = mended
    hidden = trunk_2(trunk(inputs))
    kind = layers.Dense(1, activation="sigmoid", name="kind")(hidden)
    radius = layers.Dense(1, name="radius")(hidden)
    model = keras.Model(inputs, {"kind": kind, "radius": radius})
    model.compile(
        keras.optimizers.Adam(0.01),
        {"kind": "binary_crossentropy", "radius": "mse"},
        metrics={"kind": "accuracy"},
    )
    y = y.astype("float32")
    train = {"kind": y[:1000], "radius": size[:1000]}
    validation = (x[1000:], {"kind": y[1000:], "radius": size[1000:]})
    return Program(model, x[:1000], train, validation, epochs=20)


@program(faults=("learning-rate-too-high",), architecture="mlp", split="tune")
def compiled_and_far_too_fast(seed: int, mended: bool = False) -> Program:
    """RMSprop at 1.0, compiled with XLA."""
    (x, y), validation = datasets.part(*datasets.rings(seed))
    model = keras.Sequential(
        [
            keras.Input((2,)),
            layers.Dense(32, activation="relu"),
            layers.Dense(32, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(
        keras.optimizers.RMSprop(0.003 if mended else 1.0),
        "binary_crossentropy",
        metrics=["accuracy"],
        jit_compile=True,
    )
    return Program(model, x, y, validation, epochs=12)


@program(faults=("learning-rate-too-low",), architecture="tabular", split="tune")
def decay_to_nothing(seed: int, mended: bool = False) -> Program:
    """A schedule that halves the rate each 10 steps: after one epoch it is nothing."""
    (x, y), validation = datasets.part(*datasets.risks(seed))
    rate = keras.optimizers.schedules.ExponentialDecay(
        0.003, decay_steps=1000 if mended else 10, decay_rate=0.5, staircase=True
    )
    model = keras.Sequential(
        [
            keras.Input((12,)),
            layers.Dense(48, activation="relu"),
            layers.Dense(48, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(rate),
        "binary_crossentropy",
        metrics=["accuracy"],
        steps_per_execution=5,
    )
    return Program(model, x, y, validation, epochs=8)
