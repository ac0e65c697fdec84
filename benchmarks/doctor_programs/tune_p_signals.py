"""Networks whose signals or gradients get lost, blow up or stand still."""

import keras
import numpy as np
from keras import layers

from doctor_programs import datasets
from doctor_programs import more_datasets_p as data
from doctor_programs.registry import Program, program


@program(faults=("vanishing-gradients",), architecture="tabular", split="tune")
def p_cancer_eight_sigmoids(seed: int, mended: bool = False) -> Program:
    """Eight hidden sigmoid layers on a small table pass no gradient to the first ones."""
    x, y, x_val, y_val = data.bundled("breast_cancer", seed)
    activation = "relu" if mended else "sigmoid"
    inputs = keras.Input((30,), name="cells")
    h = inputs
    for units in (64, 64, 48, 48, 32, 32, 16, 16):
        h = layers.Dense(units, activation=activation)(h)
    model = keras.Model(inputs, layers.Dense(1, activation="sigmoid")(h))
    model.compile(
        keras.optimizers.SGD(0.005, momentum=0.9),
        "binary_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=9, batch_size=16)


@program(faults=("vanishing-gradients",), architecture="autoencoder", split="tune")
def p_autoencoder_all_logistic(seed: int, mended: bool = False) -> Program:
    """A deep autoencoder with sigmoids in each layer gives the mean picture for all."""
    x, _, x_val, _ = data.images("mnist", 14)
    x = x.reshape(len(x), 196).astype("float32") / 255
    x_val = x_val.reshape(len(x_val), 196).astype("float32") / 255
    activation = "relu" if mended else "sigmoid"
    model = keras.Sequential([keras.Input((196,))])
    for units in (128, 64, 48, 24, 48, 64, 128):
        model.add(layers.Dense(units, activation=activation))
    model.add(layers.Dense(196, activation="sigmoid"))
    model.compile(keras.optimizers.Adam(2e-3), "binary_crossentropy")
    return Program(model, x, x, (x_val, x_val), epochs=20, batch_size=64)


@program(
    faults=("exploding-gradients", "initialisation-scale"),
    architecture="recurrent",
    split="tune",
)
def p_relu_rnn_over_three_days(seed: int, mended: bool = False) -> Program:
    """A simple ReLU RNN whose recurrent weights are too large runs over 72 steps."""
    series = data.demand(seed, 1000)
    series = (series - series[:800].mean()) / series[:800].std()
    x, y, x_val, y_val = data.split(*datasets.windows(series, 72))
    recurrent = (
        keras.initializers.Orthogonal(seed=seed)
        if mended
        else keras.initializers.RandomNormal(stddev=0.3, seed=seed)
    )
    model = keras.Sequential(
        [
            keras.Input((72, 1)),
            layers.SimpleRNN(32, activation="relu", recurrent_initializer=recurrent),
            layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.Adam(2e-3), "mse", metrics=["mae"])
    return Program(model, x, y, (x_val, y_val), epochs=10)


@program(faults=("exploding-gradients",), architecture="regression", split="tune")
def p_residual_tower_without_norm(seed: int, mended: bool = False) -> Program:
    """Sixteen residual blocks without any normalisation: each makes the signal larger."""
    x, y, x_val, y_val = data.split(*data.yields(seed))
    inputs = keras.Input((6,))
    h = layers.Dense(32)(inputs)
    for _ in range(16):
        z = layers.LayerNormalization()(h) if mended else h
        z = layers.Dense(32, activation="relu", kernel_initializer="he_normal")(z)
        h = layers.add([h, layers.Dense(32)(z)])
    if mended:
        h = layers.LayerNormalization()(h)
    model = keras.Model(inputs, layers.Dense(1)(h))
    model.compile(keras.optimizers.SGD(0.004), "mse", metrics=["mae"])
    return Program(model, x, y, (x_val, y_val), epochs=8)


@program(faults=("dead-relu", "initialisation-scale"), architecture="cnn", split="tune")
def p_prior_bias_everywhere(seed: int, mended: bool = False) -> Program:
    """The bias for rare events, meant for the head, is given to the hidden layers too."""
    x, y, x_val, y_val = data.images("fashion_mnist", 14)
    prior = -float(np.log((1 - 0.01) / 0.01))  # -4.6
    bias = keras.initializers.Constant(0.0 if mended else prior)
    inputs = keras.Input((14, 14, 1))
    h = layers.Rescaling(1 / 255)(inputs)
    for filters in (16, 32):
        h = layers.Conv2D(filters, 3, activation="relu", bias_initializer=bias)(h)
        h = layers.MaxPooling2D()(h)
    h = layers.Flatten()(h)
    head = keras.initializers.Constant(prior)
    outputs = layers.Dense(10, activation="sigmoid", bias_initializer=head)(h)
    model = keras.Model(inputs, outputs)
    model.compile("adam", "binary_crossentropy", metrics=["categorical_accuracy"])
    one_hot, one_hot_val = np.eye(10)[y], np.eye(10)[y_val]
    return Program(model, x, one_hot, (x_val, one_hot_val), epochs=12)


@program(faults=("dead-relu", "initialisation-scale"), architecture="mlp", split="tune")
def p_decibels_meet_positive_weights(seed: int, mended: bool = False) -> Program:
    """All inputs are negative and all first weights positive, so no ReLU ever fires."""
    x, y, x_val, y_val = data.split(*data.bands(seed))
    kernel = (
        keras.initializers.HeUniform(seed=seed)
        if mended
        else keras.initializers.RandomUniform(0.0, 0.2, seed=seed)
    )
    model = keras.Sequential(
        [
            keras.Input((16,), name="levels"),
            layers.Dense(48, activation="relu", kernel_initializer=kernel),
            layers.Dense(24, activation="relu"),
            layers.Dense(5),
        ]
    )
    model.compile(
        keras.optimizers.Nadam(3e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=20, batch_size=24)


class _Distance(layers.Layer):
    """Mean absolute difference of two embeddings, unit by unit."""

    def call(self, pair):
        """Return [batch, units]."""
        return keras.ops.abs(pair[0] - pair[1])


@program(
    faults=("saturated-activations", "initialisation-scale"),
    architecture="siamese",
    split="tune",
)
def p_twins_drawn_from_minus_one_to_one(seed: int, mended: bool = False) -> Program:
    """A siamese encoder's weights are drawn from -1 to 1, so each tanh is at an end."""
    x, y, x_val, y_val = data.images("mnist", 14)
    left, right, same = datasets.pairs(x, y, seed, 2000)
    left_val, right_val, same_val = datasets.pairs(x_val, y_val, seed + 1, 300)
    kernel = "glorot_uniform" if mended else keras.initializers.RandomUniform(-1, 1)
    encoder = keras.Sequential(
        [
            layers.Rescaling(1 / 255),
            layers.Flatten(),
            layers.Dense(96, activation="tanh", kernel_initializer=kernel),
            layers.Dense(64, activation="tanh", kernel_initializer=kernel),
            layers.Dense(32, activation="tanh", kernel_initializer=kernel),
        ]
    )
    inputs = [keras.Input((14, 14, 1), name=side) for side in ("left", "right")]
    far = _Distance()([encoder(side) for side in inputs])
    model = keras.Model(inputs, layers.Dense(1, activation="sigmoid")(far))
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    validation = ([left_val, right_val], same_val)
    return Program(model, [left, right], same, validation, epochs=15)


@program(
    faults=("saturated-activations", "unnormalised-inputs"),
    architecture="recurrent",
    split="tune",
)
def p_lstm_fed_with_kilowatts(seed: int, mended: bool = False) -> Program:
    """Demand in kW goes into an LSTM as it is; all gates are fully open or shut."""
    series = data.demand(seed)
    mean, deviation = series[:1100].mean(), series[:1100].std()
    x, y = datasets.windows(series, 24)
    y = (y - mean) / deviation
    if mended:
        x = (x - mean) / deviation
    x, y, x_val, y_val = data.split(x, y)
    model = keras.Sequential([keras.Input((24, 1)), layers.LSTM(24), layers.Dense(1)])
    model.compile(keras.optimizers.Adam(5e-3), "mse")
    return Program(model, x, y, (x_val, y_val), epochs=12)
