"""Programs whose weights do not move as their author thinks."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from doctor_programs import datasets
from doctor_programs import more_datasets_s as data
from doctor_programs.registry import Program, program


@program(faults=("frozen-weights",), architecture="cnn", split="tune")
def s_backbone_without_pretraining(seed: int, mended: bool = False) -> Program:
    """The recipe of transfer learning freezes a backbone that has random weights."""
    x, y, x_val, y_val = data.pictures("fashion_mnist", seed, 1000, 300)
    backbone = keras.Sequential(
        [
            keras.Input((14, 14, 1)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.Conv2D(24, 3, strides=2, activation="relu"),
            layers.GlobalAveragePooling2D(),
        ],
        name="backbone",
    )
    backbone.trainable = mended
    inputs = keras.Input((14, 14, 1))
    outputs = layers.Dense(10, activation="softmax")(backbone(inputs))
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.Adam(0.02),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=18)


@keras.saving.register_keras_serializable("held_out_s")
class HashCode(layers.Layer):
    """Turns an embedding into a code of -1 and 1, or into a soft one."""

    def __init__(self, soft: bool, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.soft = soft

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Return the code of each row."""
        return keras.ops.tanh(x) if self.soft else keras.ops.sign(x)


@program(faults=("disconnected-gradient",), architecture="siamese", split="tune")
def s_hash_codes_of_digits(seed: int, mended: bool = False) -> Program:
    """The tower's embedding goes through sign(), which lets no gradient back."""
    images, labels = datasets.digits("train", 7)
    images = images.reshape(len(images), 49).astype("float32") / 255
    left, right, same = datasets.pairs(images, labels, seed, 1600)
    tower = keras.Sequential(
        [
            keras.Input((49,)),
            layers.Dense(64, activation="relu"),
            layers.Dense(16),
            HashCode(soft=mended),
        ]
    )
    first, second = keras.Input((49,)), keras.Input((49,))
    product = layers.Multiply()([tower(first), tower(second)])
    score = layers.Dense(1, activation="sigmoid")(product)
    model = keras.Model([first, second], score)
    model.compile(
        keras.optimizers.Adam(0.003), "binary_crossentropy", metrics=["accuracy"]
    )
    train = tf.data.Dataset.from_tensor_slices(
        ((left[:1300], right[:1300]), same[:1300])
    )
    train = train.shuffle(1300, seed=seed).batch(32)
    validation = ([left[1300:], right[1300:]], same[1300:])
    return Program(model, train, None, validation, epochs=12, batch_size=None)


class KeepBest(keras.callbacks.Callback):
    """Goes back to the best weights if an epoch did not improve accuracy."""

    def __init__(self, best: float) -> None:
        super().__init__()
        self.best = best
        self.weights: list | None = None

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Take the first weights as the best ones so far."""
        self.weights = self.model.get_weights()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Keep or put back."""
        if logs["val_accuracy"] > self.best:
            self.best = logs["val_accuracy"]
            self.weights = self.model.get_weights()
        else:
            self.model.set_weights(self.weights)


@program(faults=("wrong-update",), architecture="recurrent", split="tune")
def s_best_starts_at_infinity(seed: int, mended: bool = False) -> Program:
    """A callback made for losses finds no accuracy better and undoes each epoch."""
    (x, y), validation = datasets.part(*data.heartbeats(seed))
    model = keras.Sequential(
        [
            keras.Input((40, 1)),
            layers.Conv1D(12, 5, activation="relu", padding="same"),
            layers.GRU(20),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.005),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    keep = KeepBest(-np.inf if mended else np.inf)
    more = {"callbacks": [keep]}
    return Program(model, x, y, validation, epochs=10, more=more)


class PlainRegressor(keras.Model):
    """A dense network with its own step; the targets come as [batch]."""

    def __init__(self, column: bool) -> None:
        super().__init__()
        self.hidden = layers.Dense(48, activation="relu")
        self.more = layers.Dense(24, activation="relu")
        self.out = layers.Dense(1)
        self.column = column
        self.average = keras.metrics.Mean(name="loss")

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Return predictions [batch, 1]."""
        return self.out(self.more(self.hidden(x)))

    @property
    def metrics(self) -> list:
        """Return what `fit` resets at the start of an epoch."""
        return [self.average]

    def error(self, y: tf.Tensor, predicted: tf.Tensor) -> tf.Tensor:
        """Return the mean squared error."""
        y = tf.reshape(y, (-1, 1)) if self.column else tf.reshape(y, (-1,))
        return tf.reduce_mean(tf.square(y - predicted))

    def train_step(self, batch: tuple) -> dict:
        """Take one step."""
        x, y = batch
        with tf.GradientTape() as tape:
            loss = self.error(y, self(x, training=True))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        self.average.update_state(loss)
        return {"loss": self.average.result()}

    def test_step(self, batch: tuple) -> dict:
        """Measure one batch."""
        x, y = batch
        self.average.update_state(self.error(y, self(x, training=False)))
        return {"loss": self.average.result()}


@program(faults=("loss-reduction",), architecture="regression", split="tune")
def s_column_minus_row(seed: int, mended: bool = False) -> Program:
    """Targets [batch] minus predictions [batch, 1] make [batch, batch] differences."""
    x, y = datasets.friedman(seed, 1200)
    y = (y - y.mean()) / y.std()
    x = 2 * x - 1
    model = PlainRegressor(column=mended)
    model.build((None, 10))
    model.compile(keras.optimizers.Adam(0.005))
    validation = (x[1000:], y[1000:])
    return Program(model, x[:1000], y[:1000], validation, epochs=15, batch_size=40)


class PositionedTokens(layers.Layer):
    """Embeddings of tokens plus embeddings of places."""

    def __init__(self, words: int, length: int, width: int) -> None:
        super().__init__()
        self.words = layers.Embedding(words, width)
        self.places = layers.Embedding(length, width)
        self.length = length

    def call(self, tokens: tf.Tensor) -> tf.Tensor:
        """Return [batch, length, width]."""
        return self.words(tokens) + self.places(keras.ops.arange(self.length))


@program(faults=("wrong-metric",), architecture="transformer", split="tune")
def s_top_five_of_four(seed: int, mended: bool = False) -> Program:
    """Top-5 accuracy, copied from a project of 1,000 classes, is always 1 for four."""
    (x, y), validation = datasets.part(*data.commands(seed, 2400))
    inputs = keras.Input((12,), dtype="int32")
    tokens = PositionedTokens(60, 12, 24)(inputs)
    seen = layers.MultiHeadAttention(2, 12)(tokens, tokens)
    mixed = layers.LayerNormalization()(tokens + seen)
    deep = layers.Dense(24)(layers.Dense(48, activation="gelu")(mixed))
    mixed = layers.LayerNormalization()(mixed + deep)
    pooled = layers.GlobalAveragePooling1D()(mixed)
    model = keras.Model(inputs, layers.Dense(4)(pooled))
    top = keras.metrics.SparseTopKCategoricalAccuracy(name="top")
    plain = keras.metrics.SparseCategoricalAccuracy(name="top")
    model.compile(
        keras.optimizers.Adam(0.003),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[plain if mended else top],
    )
    return Program(model, x, y, validation, epochs=5, batch_size=64)
