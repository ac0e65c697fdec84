"""Programs whose signals, inputs or targets have the wrong size, or the wrong order."""

import keras
import tensorflow as tf
from keras import layers, ops
from sklearn.datasets import load_digits

from doctor_programs import more_datasets_u as data
from doctor_programs.registry import Program, program


@program(faults=("saturated-activations",), architecture="mlp", split="tune")
def u_summed_points_into_tanh(seed: int, mended: bool = False) -> Program:
    """Features of sixty points are summed, not averaged, and saturate the tanh behind."""
    x, y = data.clouds(seed)
    points = keras.Input((60, 2))
    h = layers.Dense(48, activation="relu")(points)
    h = layers.Dense(48, activation="relu")(h)  # [batch, 60, 48]
    pool = ops.mean if mended else ops.sum
    h = layers.Lambda(lambda each: pool(each, axis=1), output_shape=(48,))(h)
    h = layers.Dense(32, activation="tanh")(h)
    h = layers.Dense(32, activation="tanh")(h)
    model = keras.Model(points, layers.Dense(4, activation="softmax")(h))
    model.compile(
        keras.optimizers.SGD(0.05, momentum=0.9),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x[:960], y[:960], (x[960:], y[960:]), 15, 32)


@program(faults=("symmetric-initialisation",), architecture="mlp", split="tune")
def u_ported_constant_weights(seed: int, mended: bool = False) -> Program:
    """Every kernel was ported with the constant 0.02, so a layer's units stay the same."""
    x, y, x_val, y_val = data.table(load_digits(), seed, 1400)
    x, x_val = x / 16, x_val / 16
    start = "glorot_uniform" if mended else keras.initializers.Constant(0.02)

    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.one = layers.Dense(48, activation="tanh", kernel_initializer=start)
            self.two = layers.Dense(24, activation="tanh", kernel_initializer=start)
            self.head = layers.Dense(10, kernel_initializer=start)

        def call(self, pixels):
            return self.head(self.two(self.one(pixels)))

    model = Net()
    model.compile(
        keras.optimizers.Adagrad(0.05),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), 15, 32)


@program(faults=("vanishing-gradients",), architecture="cnn", split="tune")
def u_sigmoid_after_each_convolution(seed: int, mended: bool = False) -> Program:
    """A copy of an early network, with a sigmoid after each of seven layers."""
    x, y, x_val, y_val = data.images("mnist", seed, 1400, 1100)
    x, x_val = data.halved(x), data.halved(x_val)
    activation = "relu" if mended else "sigmoid"
    model = keras.Sequential([keras.Input((14, 14, 1))])
    for filters in (12, 12, 24, 24):
        model.add(layers.Conv2D(filters, 3, activation=activation, padding="same"))
        if filters == 12:
            model.add(layers.MaxPooling2D(2))
    model.add(layers.Flatten())
    for units in (64, 48, 32):
        model.add(layers.Dense(units, activation=activation))
    model.add(layers.Dense(10, activation="softmax"))
    model.compile(
        keras.optimizers.SGD(0.03, momentum=0.9),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), 14, 32)


@program(faults=("unnormalised-inputs",), architecture="mlp", split="tune")
def u_weather_in_its_units(seed: int, mended: bool = False) -> Program:
    """Pressure about 1000 and wind direction up to 360 go in beside a wind speed of 3."""
    hours = data.weather(seed)
    train = hours[:2000]
    warm = (hours[:, 1] - train[:, 1].mean()) / train[:, 1].std()
    if mended:
        hours = (hours - train.mean(0)) / train.std(0)
    sets = [
        keras.utils.timeseries_dataset_from_array(
            part, later, 24, batch_size=100, shuffle=fresh, seed=seed
        )
        for part, later, fresh in (
            (hours[:2000], warm[35:2000], True),
            (hours[2000:], warm[2035:], False),
        )
    ]
    model = keras.Sequential(
        [
            keras.Input((24, 5)),
            layers.Flatten(),
            layers.Dense(32, activation="relu"),
            layers.Dense(16, activation="relu"),
            layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.RMSprop(1e-3), "mse", metrics=["mae"])
    return Program(model, sets[0], None, sets[1], 10, None)


@program(faults=("unscaled-targets",), architecture="cnn", split="tune")
def u_areas_in_square_microns(seed: int, mended: bool = False) -> Program:
    """A network reads cell areas of 10,000 to 100,000 square microns, as they are."""
    x, y = data.discs(seed)
    if mended:
        y = (y - y[:800].mean()) / y[:800].std()
    y = y[:, None]
    model = keras.Sequential(
        [
            keras.Input((24, 24, 1)),
            layers.Conv2D(8, 3, strides=2, activation="relu"),
            layers.Conv2D(16, 3, strides=2, activation="relu"),
            layers.Flatten(),
            layers.Dense(32, activation="relu"),
            layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.Adam(1e-3), "mse", metrics=["mae", "r2_score"])
    return Program(model, x[:800], y[:800], (x[800:], y[800:]), 10, 20)


@program(faults=("unshuffled-data",), architecture="cnn", split="tune")
def u_one_activity_after_another(seed: int, mended: bool = False) -> Program:
    """Recordings lie one activity after another; the shuffle buffer holds 32 of 1,250."""
    x, y = data.activities(seed)
    held = tf.range(len(x)) % 6 == 0
    x_val, y_val = x[held], y[held]
    x, y = x[~held], y[~held]
    buffer = len(x) if mended else 32
    train = tf.data.Dataset.from_tensor_slices((x, y))
    train = train.shuffle(buffer, seed=seed).batch(25).prefetch(2)
    model = keras.Sequential(
        [
            keras.Input((40, 3)),
            layers.Conv1D(24, 5, activation="relu"),
            layers.MaxPooling1D(2),
            layers.Conv1D(24, 5, activation="relu"),
            layers.GlobalMaxPooling1D(),
            layers.Dense(5, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.02, momentum=0.9),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, train, None, (x_val, y_val), 10, None)
