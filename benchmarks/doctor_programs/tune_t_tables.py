"""Tables, regressions and sequences that go wrong, one cause each (letter t)."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from doctor_programs import more_datasets_t as data
from doctor_programs.registry import Program, program


@program(faults=("class-imbalance",), architecture="tabular", split="tune")
def t_few_bad_loans(seed: int, mended: bool = False) -> Program:
    """One loan in 25 goes bad, and the model finds that none ever does."""
    numbers, regions, bad = data.loans(seed)
    number_in = keras.Input((8,), name="numbers")
    region_in = keras.Input((), dtype="int32", name="region")
    hidden = layers.concatenate([number_in, layers.Embedding(20, 3)(region_in)])
    hidden = layers.Dense(24, activation="relu")(hidden)
    hidden = layers.Dropout(0.3)(hidden)
    output = layers.Dense(1, activation="sigmoid")(hidden)
    model = keras.Model({"numbers": number_in, "region": region_in}, output)
    model.compile(
        keras.optimizers.AdamW(1e-3, weight_decay=1e-3),
        "binary_crossentropy",
        metrics=["accuracy", keras.metrics.Recall(name="recall")],
    )
    x = {"numbers": numbers[:4000], "region": regions[:4000]}
    x_val = {"numbers": numbers[4000:], "region": regions[4000:]}
    more = {"class_weight": {0: 0.52, 1: 12.5}} if mended else {}
    val = (x_val, bad[4000:])
    return Program(model, x, bad[:4000], val, epochs=8, batch_size=50, more=more)


@program(faults=("exploding-gradients",), architecture="recurrent", split="tune")
def t_identity_over_sixty_steps(seed: int, mended: bool = False) -> Program:
    """A ReLU recurrence multiplies state and gradient sixty times, and nothing clips."""
    x, y = data.meters(seed)
    model = keras.Sequential(
        [
            keras.Input((60, 2)),
            layers.SimpleRNN(24, activation="relu", recurrent_initializer="identity"),
            layers.Dense(1),
        ]
    )
    clip = {"clipnorm": 1.0} if mended else {}
    model.compile(keras.optimizers.SGD(0.003, **clip), "mse")
    val = (x[750:], y[750:])
    return Program(model, x[:750], y[:750], val, epochs=15, batch_size=30)


class _OldDense(layers.Layer):
    """A dense layer with ReLU, as it was written by hand for an older version."""

    def __init__(self, units: int, initializer: object):
        super().__init__()
        self.units, self.initializer = units, initializer

    def build(self, shape: tuple) -> None:
        """Make kernel [inputs, units] and bias [units]."""
        self.kernel = self.add_weight(
            shape=(shape[-1], self.units), initializer=self.initializer, name="w"
        )
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="b")

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Return activations [batch, units]."""
        return ops.relu(x @ self.kernel + self.bias)


@program(faults=("initialisation-scale",), architecture="mlp", split="tune")
def t_random_normal_by_hand(seed: int, mended: bool = False) -> Program:
    """Kernels were ported as tf.random.normal(shape), so their deviation is 1."""
    x, y, x_val, y_val = data.table("breast_cancer", seed, 400)
    normal = keras.initializers.RandomNormal(stddev=1.0)
    start = "he_normal" if mended else normal
    model = keras.Sequential(
        [
            keras.Input((30,)),
            _OldDense(100, start),
            _OldDense(100, start),
            _OldDense(50, start),
            layers.Dense(2, kernel_initializer="glorot_normal" if mended else normal),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(2e-4), loss, metrics=["accuracy"])
    return Program(model, x, y, (x_val, y_val), epochs=12, batch_size=25)


class Arm(keras.Model):
    """A regression with a step of its own, whose loss is a sum or a mean."""

    def __init__(self, mean: bool):
        super().__init__()
        self.mean = mean
        self.hidden = [
            layers.Dense(48, activation="gelu"),
            layers.LayerNormalization(),
            layers.Dense(48, activation="gelu"),
            layers.LayerNormalization(),
        ]
        self.out = layers.Dense(3)

    def call(self, x: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Return places [batch, 3]."""
        for layer in self.hidden:
            x = layer(x)
        return self.out(x)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ) -> tf.Tensor:
        """Return Huber's error of the batch."""
        away = ops.abs(y - y_pred)
        errors = ops.where(away < 1, 0.5 * away**2, away - 0.5)
        return ops.mean(errors) if self.mean else ops.sum(errors)


@program(faults=("loss-reduction",), architecture="regression", split="tune")
def t_errors_added_up(seed: int, mended: bool = False) -> Program:
    """Huber's errors of 128 examples and 3 outputs are added rather than averaged."""
    x, y = data.robot_arm(seed)
    model = Arm(mean=mended)
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9), metrics=["mae"])
    train = tf.data.Dataset.from_tensor_slices((x[:1600], y[:1600]))
    train = train.shuffle(1600, seed=seed).batch(128)
    val = tf.data.Dataset.from_tensor_slices((x[1600:], y[1600:])).batch(200)
    return Program(model, train, None, val, epochs=25, batch_size=None)


def _encoder(words: int, length: int, outputs: int) -> keras.Model:
    """Return a small transformer over words that gives logits."""
    tokens = keras.Input((length,), dtype="int32")
    place = layers.Embedding(length, 32)(ops.arange(length))
    x = layers.Embedding(words, 32)(tokens) + place
    for _ in range(2):
        seen = layers.MultiHeadAttention(2, 16)(x, x)
        x = layers.LayerNormalization()(x + seen)
        more = layers.Dense(32)(layers.Dense(64, activation="gelu")(x))
        x = layers.LayerNormalization()(x + more)
    pooled = layers.GlobalAveragePooling1D()(x)
    return keras.Model(tokens, layers.Dense(outputs)(pooled))


@program(faults=("learning-rate-too-high",), architecture="transformer", split="tune")
def t_adam_at_a_tenth(seed: int, mended: bool = False) -> Program:
    """A small transformer is trained with Adam at 0.1, the rate of an SGD script."""
    x, y = data.sentences(seed)
    model = _encoder(800, 24, 4)
    model.compile(
        keras.optimizers.Adam(1e-3 if mended else 0.1),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    val = (x[2000:], y[2000:])
    return Program(model, x[:2000], y[:2000], val, epochs=4, batch_size=40)


@program(faults=("learning-rate-too-low",), architecture="recurrent", split="tune")
def t_decays_by_the_epoch(seed: int, mended: bool = False) -> Program:
    """The rate is halved every two steps: decay_steps was meant in epochs."""
    x, y = data.machines(seed)
    steps_per_epoch = 1200 // 24
    schedule = keras.optimizers.schedules.ExponentialDecay(
        5e-3, decay_steps=4 * steps_per_epoch if mended else 2, decay_rate=0.5
    )
    model = keras.Sequential(
        [
            keras.Input((48, 1)),
            layers.Conv1D(12, 5, strides=2, activation="relu"),
            layers.GRU(20),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(schedule),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    val = (x[1200:], y[1200:])
    return Program(model, x[:1200], y[:1200], val, epochs=10, batch_size=24)


class Shells(keras.Model):
    """A classifier whose activations are computed; the faulty one drops the result."""

    def __init__(self, use: bool):
        super().__init__()
        self.use = use
        self.first, self.second = layers.Dense(64), layers.Dense(32)
        self.activation = layers.ReLU()
        self.out = layers.Dense(3, activation="softmax")

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Return probabilities [batch, 3]."""
        for layer in (self.first, self.second):
            x = layer(x)
            active = self.activation(x)
            x = active if self.use else x
        return self.out(x)


@program(faults=("missing-nonlinearity",), architecture="mlp", split="tune")
def t_activation_not_assigned(seed: int, mended: bool = False) -> Program:
    """The activation is called, but its result isn't assigned: all layers are linear."""
    x, y, x_val, y_val = data.onion(seed)
    model = Shells(use=mended)
    one_hot = np.eye(3, dtype="float32")
    model.compile(
        keras.optimizers.Lion(1e-3), "categorical_crossentropy", metrics=["accuracy"]
    )
    val = (x_val, one_hot[y_val])
    return Program(model, x, one_hot[y], val, epochs=16, batch_size=80)
