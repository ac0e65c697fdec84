"""Programs whose signals, weights or steps are at fault."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from doctor_programs import more_datasets_v as data
from doctor_programs.registry import Program, program


@program(faults=("disconnected-gradient",), architecture="autoencoder", split="tune")
def v_digits_binary_code(seed: int, mended: bool = False) -> Program:
    """The code is rounded to bits, and the encoder gets no gradient through round()."""
    x, _, x_val, _ = data.table("load_digits", seed, 1500)
    x, x_val = x / 16, x_val / 16
    image = keras.Input((64,), name="image")
    h = layers.Dense(64, activation="relu")(image)
    code = layers.Dense(20, activation="sigmoid", name="code")(h)
    if not mended:
        code = layers.Lambda(ops.round, name="bits")(code)
    h = layers.Dense(64, activation="relu")(code)
    image_again = layers.Dense(64, activation="sigmoid")(h)
    model = keras.Model(image, image_again)
    model.compile("adam", "mse")
    return Program(model, x, x, (x_val, x_val), epochs=25)


def _steep(x):
    """Return a sigmoid that is nearly a step."""
    return ops.sigmoid(100 * x)


@program(faults=("saturated-activations",), architecture="mlp", split="tune")
def v_garments_steep_sigmoid(seed: int, mended: bool = False) -> Program:
    """The hidden units use sigmoid(100 x), so nearly all of them sit at 0 or 1."""
    x, y, x_val, y_val = data.pictures("fashion_mnist", seed, 1400, 1100)
    activation = "sigmoid" if mended else _steep
    model = keras.Sequential([keras.Input((28, 28)), layers.Flatten()])
    for _ in range(3):
        model.add(layers.Dense(50, activation=activation))
    model.add(layers.Dense(10))
    model.compile(
        keras.optimizers.RMSprop(0.002),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=20)


@program(faults=("initialisation-scale",), architecture="cnn", split="tune")
def v_mnist_truncated_normal(seed: int, mended: bool = False) -> Program:
    """All weights come from a truncated normal of deviation 1, as in old tutorials."""
    x, y, x_val, y_val = data.pictures("mnist", seed, 1400, 1100)
    x, x_val = x[:, ::2, ::2, None], x_val[:, ::2, ::2, None]
    wide = keras.initializers.TruncatedNormal(stddev=1.0)
    start = "he_normal" if mended else wide
    model = keras.Sequential(
        [
            keras.Input((14, 14, 1)),
            layers.Conv2D(16, 3, activation="relu", kernel_initializer=start),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, activation="relu", kernel_initializer=start),
            layers.Flatten(),
            layers.Dense(64, activation="relu", kernel_initializer=start),
            layers.Dense(10, kernel_initializer=start),
        ]
    )
    model.compile(
        keras.optimizers.Adam(1e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=8, batch_size=64)


class AccumulatingPair(keras.Model):
    """Adds up gradients of some batches, then makes one step."""

    def __init__(self, inner: keras.Model, every: int, count_in_graph: bool) -> None:
        super().__init__()
        self.inner = inner
        self.every = every
        self.count_in_graph = count_in_graph
        self.calls = 0
        self.sums = [
            tf.Variable(tf.zeros(v.shape), trainable=False)
            for v in inner.trainable_variables
        ]
        self.seen = tf.Variable(0, trainable=False)

    def call(self, inputs, training=None):
        """Return the probability that both are of one kind."""
        return self.inner(inputs, training=training)

    def train_step(self, data):
        """Add this batch's gradients; after some batches, apply them."""
        x, y = data
        with tf.GradientTape() as tape:
            probability = self(x, training=True)
            loss = self.compute_loss(x=x, y=y, y_pred=probability)
        gradients = tape.gradient(loss, self.inner.trainable_variables)
        for total, gradient in zip(self.sums, gradients, strict=True):
            total.assign_add(gradient / self.every)
        if self.count_in_graph:
            self.seen.assign_add(1)
            tf.cond(self.seen % self.every == 0, self.apply_sums, lambda: None)
        else:
            # Python runs this line while the graph is traced, and never again.
            self.calls += 1
            if self.calls == self.every:
                self.apply_sums()
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
        return self.compute_metrics(x, y, probability)

    def apply_sums(self):
        """Make a step with the sums, and set them back to zero."""
        self.optimizer.apply(self.sums, self.inner.trainable_variables)
        for total in self.sums:
            total.assign(tf.zeros_like(total))


@program(faults=("wrong-update",), architecture="siamese", split="tune")
def v_gestures_accumulation(seed: int, mended: bool = False) -> Program:
    """Gradients are added up, but a counter in Python never lets the step happen."""
    left, right, same = data.couples(seed, 1200)
    left_val, right_val, same_val = data.couples(seed + 500, 300)
    encoder = keras.Sequential(
        [
            keras.Input((30, 2)),
            layers.Conv1D(16, 5, strides=2, activation="relu"),
            layers.Flatten(),
            layers.Dense(24),
        ]
    )
    a, b = keras.Input((30, 2)), keras.Input((30, 2))
    away = ops.abs(encoder(a) - encoder(b))
    inner = keras.Model([a, b], layers.Dense(1, activation="sigmoid")(away))
    model = AccumulatingPair(inner, every=4, count_in_graph=mended)
    optimizer = keras.optimizers.Adam(0.004)
    optimizer.build(inner.trainable_variables)
    model.compile(optimizer, "binary_crossentropy", metrics=["accuracy"])
    validation = ((left_val, right_val), same_val)
    return Program(
        model,
        (left, right),
        same,
        validation,
        epochs=15,
        batch_size=16,
    )


class Block(layers.Layer):
    """Attention and two dense layers, each with a shortcut."""

    def __init__(self, width: int, heads: int = 2) -> None:
        super().__init__()
        self.attention = layers.MultiHeadAttention(heads, width // heads)
        self.up = layers.Dense(2 * width, activation="gelu")
        self.down = layers.Dense(width)
        self.before, self.between = (
            layers.LayerNormalization(),
            layers.LayerNormalization(),
        )

    def call(self, x):
        """Return tokens [batch, length, width] that have looked at one another."""
        h = self.before(x)
        x = x + self.attention(h, h)
        return x + self.down(self.up(self.between(x)))


class Positions(layers.Layer):
    """Adds a learned vector for each place."""

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        self.places = layers.Embedding(length, width)
        self.length = length

    def call(self, x):
        """Return x [batch, length, width] with its places."""
        return x + self.places(ops.arange(self.length))


def _reader(vocabulary: int, length: int, width: int, classes: int) -> keras.Model:
    """Return a transformer with two blocks that classifies token sequences."""
    tokens = keras.Input((length,), dtype="int32")
    x = layers.Embedding(vocabulary, width)(tokens)
    x = Positions(length, width)(x)
    x = Block(width)(Block(width)(x))
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))
    return keras.Model(tokens, layers.Dense(classes, activation="softmax")(x))


@program(faults=("learning-rate-too-high",), architecture="transformer", split="tune")
def v_commands_adam_hot(seed: int, mended: bool = False) -> Program:
    """Adam with 0.1, a rate for SGD, on a small transformer."""
    x, y, x_val, y_val = data.commands(seed)
    model = _reader(30, 14, 24, 4)
    rate = 3e-3 if mended else 0.1
    model.compile(
        keras.optimizers.Adam(learning_rate=rate),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    train = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(1280, seed=seed)
    validation = tf.data.Dataset.from_tensor_slices((x_val, y_val)).batch(64)
    return Program(
        model,
        train.batch(32),
        None,
        validation,
        epochs=12,
        batch_size=None,
    )


@program(faults=("frozen-weights",), architecture="recurrent", split="tune")
def v_spam_encoder_left_frozen(seed: int, mended: bool = False) -> Program:
    """The encoder is set to trainable = False as for fine-tuning, but has no training."""
    x, y, x_val, y_val = data.messages(seed, n=1200, train=1000)
    encoder = keras.Sequential(
        [
            keras.Input((24,), dtype="int32"),
            layers.Embedding(400, 16, mask_zero=True),
            layers.GRU(24),
        ],
        name="encoder",
    )
    encoder.trainable = mended
    model = keras.Sequential([encoder, layers.Dense(1, activation="sigmoid")])
    model.compile(
        keras.optimizers.Nadam(0.003), "binary_crossentropy", metrics=["accuracy"]
    )
    return Program(model, x, y, (x_val, y_val), epochs=5)


@program(faults=("non-finite-values",), architecture="mlp", split="tune")
def v_digits_constant_pixels(seed: int, mended: bool = False) -> Program:
    """Pixels are standardised by hand, and pixels that never change give 0 / 0."""
    x, y, x_val, y_val = data.table("load_digits", seed, 1400)
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    if mended:
        deviation = np.where(deviation == 0, 1, deviation)
    with np.errstate(divide="ignore", invalid="ignore"):
        x, x_val = (x - mean) / deviation, (x_val - mean) / deviation
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(48, activation="elu"),
            layers.Dropout(0.1),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.AdamW(0.002, weight_decay=1e-3),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=10, batch_size=50)
