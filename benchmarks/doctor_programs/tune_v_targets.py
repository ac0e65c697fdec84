"""Programs whose targets, losses, metrics or data are at fault."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from doctor_programs import more_datasets_v as data
from doctor_programs.registry import Program, program


@program(faults=("wrong-metric",), architecture="recurrent", split="tune")
def v_consumption_accuracy(seed: int, mended: bool = False) -> Program:
    """A forecast of electricity use is watched with accuracy, which stays at zero."""
    x, y, x_val, y_val = data.consumption(seed)
    model = keras.Sequential(
        [keras.Input((24, 1)), layers.LSTM(24), layers.Dense(1, name="next_hour")]
    )
    model.compile(
        keras.optimizers.RMSprop(0.003),
        "mse",
        metrics=["mae" if mended else "accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=12)


@program(faults=("class-imbalance",), architecture="tabular", split="tune")
def v_churn_nobody_leaves(seed: int, mended: bool = False) -> Program:
    """One customer in twenty leaves, and the model says of everybody that they stay."""
    x, y, x_val, y_val = data.customers(seed)
    model = keras.Sequential(
        [
            keras.Input((9,)),
            layers.Dense(16, activation="relu"),
            layers.Dense(8, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.02, momentum=0.9),
        "binary_crossentropy",
        metrics=["accuracy", keras.metrics.Recall(name="recall")],
    )
    more = {"class_weight": {0: 1.0, 1: 19.0}} if mended else {}
    return Program(model, x, y, (x_val, y_val), epochs=10, batch_size=64, more=more)


@program(faults=("overfitting",), architecture="cnn", split="tune")
def v_messages_by_heart(seed: int, mended: bool = False) -> Program:
    """A text CNN with wide embeddings goes over 250 messages forty times."""
    x, y, x_val, y_val = data.messages(seed, n=850, train=250, words=900, strength=0.25)
    model = keras.Sequential(
        [
            keras.Input((24,), dtype="int32"),
            layers.Embedding(900, 64),
            layers.Conv1D(64, 3, activation="relu"),
            layers.GlobalMaxPooling1D(),
            layers.Dense(64, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    more = {}
    if mended:
        stop = keras.callbacks.EarlyStopping(patience=2, restore_best_weights=True)
        more["callbacks"] = [stop]
    return Program(model, x, y, (x_val, y_val), epochs=40, batch_size=16, more=more)


@program(faults=("unscaled-targets",), architecture="tabular", split="tune")
def v_car_prices_in_euros(seed: int, mended: bool = False) -> Program:
    """Prices of used cars in euros are the targets, and the network stays far below."""
    x, make, price = data.cars(seed)
    if mended:
        price = (price - price[:1200].mean()) / price[:1200].std()
    numbers = keras.Input((2,), name="numbers")
    makes = keras.Input((), dtype="int32", name="make")
    h = layers.Concatenate()([numbers, layers.Embedding(12, 4)(makes)])
    h = layers.Dense(32, activation="relu")(h)
    h = layers.Dense(32, activation="relu")(h)
    model = keras.Model({"numbers": numbers, "make": makes}, layers.Dense(1)(h))
    model.compile(
        keras.optimizers.Adam(0.001), "mse", metrics=[keras.metrics.R2Score(name="r2")]
    )
    price = price[:, None]
    validation = ({"numbers": x[1200:], "make": make[1200:]}, price[1200:])
    inputs = {"numbers": x[:1200], "make": make[:1200]}
    return Program(model, inputs, price[:1200], validation, epochs=20)


@program(faults=("train-validation-shift",), architecture="cnn", split="tune")
def v_cifar_folders_split(seed: int, mended: bool = False) -> Program:
    """Images come folder by folder, so validation_split takes kinds never trained on."""
    x, y, _, _ = data.pictures("cifar10", seed, 1300, 1300)
    x = 2 * x - 1
    if not mended:
        order = np.argsort(y, kind="stable")
        x, y = x[order], y[order]
    model = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Conv2D(16, 3, strides=2, activation="relu"),
            layers.Conv2D(32, 3, strides=2, activation="relu"),
            layers.SpatialDropout2D(0.1),
            layers.GlobalAveragePooling2D(),
            layers.Dense(32, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.003),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, epochs=14, more={"validation_split": 0.2})


@program(
    faults=("missing-nonlinearity", "underfitting"),
    architecture="regression",
    split="tune",
)
def v_ripples_straight_line(seed: int, mended: bool = False) -> Program:
    """Three dense layers without activations can only draw a line through a sine."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-3, 3, (1000, 1)).astype("float32")
    y = np.sin(2 * x) + 0.3 * x + 0.05 * rng.normal(size=x.shape).astype("float32")
    activation = "tanh" if mended else None
    model = keras.Sequential([keras.Input((1,))])
    for units in (48, 48, 24):
        model.add(layers.Dense(units, activation=activation))
    model.add(layers.Dense(1))
    model.compile(keras.optimizers.Adamax(0.01), "mse", metrics=["mae"])
    train = tf.data.Dataset.from_tensor_slices((x[:800], y[:800]))
    train = train.shuffle(800, seed=seed).batch(20)
    validation = (x[800:], y[800:])
    return Program(model, train, None, validation, epochs=30, batch_size=None)


class SummedLoss(keras.losses.Loss):
    """Cross-entropy as in the tutorial on several devices: a sum over the batch."""

    def __init__(self, divide_by: int) -> None:
        super().__init__(reduction=None)
        self.divide_by = divide_by

    def call(self, y_true, y_pred):
        """Return the sum over the batch, divided by what was asked for."""
        labels = tf.cast(tf.reshape(y_true, [-1]), tf.int32)
        each = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, y_pred)
        return tf.reduce_sum(each) / self.divide_by


@program(faults=("loss-reduction",), architecture="mlp", split="tune")
def v_tumours_sum_of_losses(seed: int, mended: bool = False) -> Program:
    """The losses of a batch of 64 are added up and never divided by its size."""
    x, y, x_val, y_val = data.table("load_breast_cancer", seed, 420)
    mean, deviation = x.mean(0), x.std(0)
    x, x_val = (x - mean) / deviation, (x_val - mean) / deviation
    model = keras.Sequential(
        [
            keras.Input((30,)),
            layers.Dense(32, activation="relu"),
            layers.Dense(16, activation="relu"),
            layers.Dense(2),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.9),
        SummedLoss(64 if mended else 1),
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=15, batch_size=64)
