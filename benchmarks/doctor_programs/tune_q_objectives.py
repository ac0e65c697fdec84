"""Losses, metrics and targets that are not what their authors think."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from doctor_programs import more_datasets_q as data
from doctor_programs.registry import Program, program


@program(faults=("wrong-metric",), architecture="tabular", split="tune")
def q_wines_by_one_hot_accuracy(seed: int, mended: bool = False) -> Program:
    """CategoricalAccuracy gets a column of class numbers where it expects one-hot rows."""
    x, y, x_val, y_val = data.table("wine", seed, 130)
    y, y_val = y[:, None], y_val[:, None]
    model = keras.Sequential(
        [
            keras.Input((13,)),
            layers.Dense(16, activation="relu"),
            layers.Dense(3, activation="softmax"),
        ]
    )
    if mended:
        metric = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
    else:
        metric = keras.metrics.CategoricalAccuracy(name="accuracy")
    model.compile(
        keras.optimizers.Adam(5e-3), "sparse_categorical_crossentropy", metrics=[metric]
    )
    return Program(model, x, y, (x_val, y_val), epochs=25, batch_size=16)


@program(faults=("wrong-metric",), architecture="cnn", split="tune")
def q_iou_of_chances(seed: int, mended: bool = False) -> Program:
    """MeanIoU casts the sigmoid's outputs to integers, so that every pixel counts as 0."""
    x, y = data.cells(seed, n=500)
    x, y, x_val, y_val = data.cut(x, y, 400)
    inputs = keras.Input((20, 20, 1))
    top = layers.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    low = layers.MaxPooling2D()(top)
    low = layers.Conv2D(16, 3, padding="same", activation="relu")(low)
    both = layers.Concatenate()([top, layers.UpSampling2D()(low)])
    outputs = layers.Conv2D(1, 3, padding="same", activation="sigmoid")(both)
    model = keras.Model(inputs, outputs)
    if mended:
        metric = keras.metrics.BinaryIoU(threshold=0.5, name="mean_iou")
    else:
        metric = keras.metrics.MeanIoU(num_classes=2, name="mean_iou")
    model.compile(keras.optimizers.Nadam(5e-3), "binary_crossentropy", metrics=[metric])
    return Program(model, x, y, (x_val, y_val), epochs=12, batch_size=20)


def summed_focal_loss(labels, chances):
    """Return the focal loss of the whole batch, summed up."""
    one_hot = ops.one_hot(ops.cast(ops.reshape(labels, (-1,)), "int32"), 10)
    right = ops.sum(one_hot * chances, axis=-1)
    return ops.sum(-((1 - right) ** 2) * ops.log(right + 1e-7))


def focal_loss(labels, chances):
    """Return the focal loss of each example."""
    one_hot = ops.one_hot(ops.cast(ops.reshape(labels, (-1,)), "int32"), 10)
    right = ops.sum(one_hot * chances, axis=-1)
    return -((1 - right) ** 2) * ops.log(right + 1e-7)


@program(faults=("loss-reduction",), architecture="cnn", split="tune")
def q_focal_loss_summed(seed: int, mended: bool = False) -> Program:
    """The author's focal loss sums over the batch of 100, and the rate is for a mean."""
    x, y = data.pictures("mnist", seed, 1400)
    x, y, x_val, y_val = data.cut(x, y, 1100)
    model = keras.Sequential(
        [
            keras.Input((14, 14, 1)),
            layers.Conv2D(12, 3, strides=2, activation="relu"),
            layers.Conv2D(24, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    loss = focal_loss if mended else summed_focal_loss
    optimizer = keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True)
    model.compile(optimizer, loss, metrics=["sparse_categorical_accuracy"])
    return Program(model, x, y, (x_val, y_val), epochs=12, batch_size=100)


class Estimator(keras.Model):
    """A regressor whose step computes the squared error itself."""

    def train_step(self, batch):
        """Make one step and return the loss."""
        x, y = batch
        with tf.GradientTape() as tape:
            guess = self(x, training=True)  # [batch, 1]
            loss = tf.reduce_mean(tf.square(y - guess))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(
            zip(gradients, self.trainable_variables, strict=True)
        )
        self._loss_tracker.update_state(loss)
        return self.get_metrics_result()


@program(faults=("loss-reduction",), architecture="regression", split="tune")
def q_column_minus_row(seed: int, mended: bool = False) -> Program:
    """Targets [batch] minus guesses [batch, 1] make a square of errors: all with all."""
    x, y = data.engines(seed, 1100)
    x, y, x_val, y_val = data.cut(x, y, 900)
    if not mended:
        y, y_val = y[:, 0], y_val[:, 0]
    inputs = keras.Input((6,))
    hidden = layers.Dense(48, activation="tanh")(inputs)
    hidden = layers.Dense(48, activation="tanh")(hidden)
    model = Estimator(inputs, layers.Dense(1)(hidden))
    model.compile(keras.optimizers.Adam(5e-3), "mse")
    return Program(model, x, y, (x_val, y_val), epochs=30, batch_size=32)


@program(faults=("unscaled-targets",), architecture="recurrent", split="tune")
def q_visitors_by_the_thousand(seed: int, mended: bool = False) -> Program:
    """An LSTM is to say how many visitors come, in ten thousands, from scaled windows."""
    x, y = data.windows(data.sales(seed, 900))
    if not mended:
        y = 50000 + 15000 * y
    x, y, x_val, y_val = data.cut(x, y, 700)
    model = keras.Sequential(
        [keras.Input((21, 1)), layers.LSTM(24), layers.Dense(1, name="visitors")]
    )
    model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["r2_score"])
    return Program(model, x, y, (x_val, y_val), epochs=15, batch_size=32)


@program(faults=("unscaled-targets",), architecture="cnn", split="tune")
def q_area_in_square_nanometres(seed: int, mended: bool = False) -> Program:
    """A small CNN measures the area of cells in square nanometres: targets of 400,000."""
    x, masks = data.cells(seed, 900)
    y = masks.sum((1, 2, 3))[:, None] * 5000
    if mended:
        y = (y - y[:750].mean()) / y[:750].std()
    x, y, x_val, y_val = data.cut(x, y, 750)
    train = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(750, seed=seed).batch(25)
    model = keras.Sequential(
        [
            keras.Input((20, 20, 1)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.Conv2D(16, 3, strides=2, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(32, activation="relu"),
            layers.Dense(1),
        ]
    )
    model.compile(
        keras.optimizers.RMSprop(4e-3), "mean_squared_error", metrics=["r2_score"]
    )
    return Program(model, train, None, (x_val, y_val), epochs=20, batch_size=None)


@program(faults=("class-imbalance",), architecture="cnn", split="tune")
def q_bearing_that_rarely_knocks(seed: int, mended: bool = False) -> Program:
    """Three in a hundred vibrations hold a knock, and the network never says so."""
    shares = (0.97, 0.03)
    x, y = data.machines(seed, 2000, length=40, noise=0.6, shares=shares)
    x, y, x_val, y_val = data.cut(x, y[:, None].astype("float32"), 1500)
    model = keras.Sequential(
        [
            keras.Input((40, 1)),
            layers.Conv1D(8, 7, activation="relu"),
            layers.Conv1D(8, 5, activation="relu"),
            layers.GlobalMaxPooling1D(),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(1e-3),
        "binary_crossentropy",
        metrics=["accuracy", keras.metrics.Recall(name="recall")],
    )
    weights = {"class_weight": {0: 0.5, 1: 16.0}} if mended else {}
    return Program(model, x, y, (x_val, y_val), epochs=10, more=weights)


@program(faults=("class-imbalance",), architecture="transformer", split="tune")
def q_nearly_all_tickets_are_billing(seed: int, mended: bool = False) -> Program:
    """Nine of ten tickets are about bills, and so is nearly every prediction."""
    shares = (0.91, 0.03, 0.03, 0.03)
    x, y = data.tickets(seed, 1800, share=0.2, shares=shares)
    x, y, x_val, y_val = data.cut(x, np.eye(4, dtype="float32")[y], 1400)
    if mended:
        often = np.where(y[:, 0] == 1, 1, 20)
        x, y = np.repeat(x, often, axis=0), np.repeat(y, often, axis=0)
        kept = np.random.default_rng(seed).permutation(len(x))[:1400]
        x, y = x[kept], y[kept]
    inputs = keras.Input((24,), dtype="int32")
    words = layers.Embedding(800, 16)(inputs)
    seen = layers.MultiHeadAttention(2, 8)(words, words)
    words = layers.LayerNormalization()(words + seen)
    words = layers.Dense(16, activation="gelu")(words)
    pooled = layers.GlobalAveragePooling1D()(words)
    outputs = layers.Dense(4, activation="softmax")(pooled)
    model = keras.Model(inputs, outputs)
    f1 = keras.metrics.F1Score(average="macro", name="macro_f1")
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy", f1])
    return Program(model, x, y, (x_val, y_val), epochs=4, batch_size=64)
