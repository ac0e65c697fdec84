"""Models that learn too much, too little, or otherwise in training than afterwards."""

import keras
import tensorflow as tf
from keras import layers

from doctor_programs import more_datasets_q as data
from doctor_programs.registry import Program, program


@program(faults=("overfitting",), architecture="transformer", split="tune")
def q_two_hundred_tickets(seed: int, mended: bool = False) -> Program:
    """A transformer with wide embeddings learns two hundred tickets by heart."""
    x, y = data.tickets(seed, 2600, topics=5, share=0.08, words=1500)
    x, y, x_val, y_val = data.cut(x, y, 2400)
    epochs = 2
    if not mended:
        x, y, epochs = x[:200], y[:200], 24
    inputs = keras.Input((24,), dtype="int32")
    words = layers.Embedding(1500, 32)(inputs)
    seen = layers.MultiHeadAttention(2, 16)(words, words)
    words = layers.LayerNormalization()(words + seen)
    further = layers.Dense(64, activation="gelu")(words)
    words = layers.LayerNormalization()(words + layers.Dense(32)(further))
    pooled = layers.GlobalAveragePooling1D()(words)
    outputs = layers.Dense(5)(pooled)
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.Adam(3e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=epochs, batch_size=20)


@program(faults=("overfitting",), architecture="regression", split="tune")
def q_diabetes_learnt_by_heart(seed: int, mended: bool = False) -> Program:
    """A network of 50,000 weights is fitted for long to the records of 340 patients."""
    x, y, x_val, y_val = data.table("diabetes", seed, 340)
    mean, std = y.mean(), y.std()
    y, y_val = (y - mean) / std, (y_val - mean) / std
    model = keras.Sequential(
        [
            keras.Input((10,)),
            layers.Dense(192, activation="relu"),
            layers.Dense(192, activation="relu"),
            layers.Dense(64, activation="relu"),
            layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.Adam(1e-3), "mse", metrics=["mae"])
    stop = keras.callbacks.EarlyStopping(patience=2, restore_best_weights=True)
    more = {"callbacks": [stop]} if mended else {}
    return Program(model, x, y, (x_val, y_val), 45, batch_size=17, more=more)


@program(faults=("underfitting",), architecture="cnn", split="tune")
def q_two_filters_for_ten_garments(seed: int, mended: bool = False) -> Program:
    """Two convolutions of two filters each are to tell ten garments apart."""
    x, y = data.pictures("fashion_mnist", seed, 2200)
    x, y, x_val, y_val = data.cut(x, y, 1800)
    filters = 24 if mended else 2
    model = keras.Sequential(
        [
            keras.Input((14, 14, 1)),
            layers.Conv2D(filters, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(filters, 3, activation="relu"),
            layers.GlobalMaxPooling2D(),
            layers.Dense(10),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=10, batch_size=64)


@program(faults=("underfitting",), architecture="recurrent", split="tune")
def q_memory_of_one_number(seed: int, mended: bool = False) -> Program:
    """A recurrent layer with one unit has to recognise four kinds of vibration."""
    x, y = data.machines(seed, 1300, length=36, noise=0.2)
    x, y, x_val, y_val = data.cut(x, y, 1000)
    train = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(1000, seed=seed)
    held = tf.data.Dataset.from_tensor_slices((x_val, y_val)).batch(100)
    units = 40 if mended else 1
    model = keras.Sequential(
        [
            keras.Input((36, 1)),
            layers.GRU(units),
            layers.Dense(4, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.015),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, train.batch(50), None, held, epochs=20, batch_size=None)


@program(faults=("over-regularised",), architecture="autoencoder", split="tune")
def q_code_made_too_sparse(seed: int, mended: bool = False) -> Program:
    """The L1 penalty on the code is so strong that nothing is left of the code."""
    x, y = data.pictures("mnist", seed, 1400)
    x, _, x_val, _ = data.cut(x, y, 1200)
    strength = 1e-5 if mended else 0.1
    inputs = keras.Input((14, 14, 1))
    flat = layers.Flatten()(inputs)
    code = layers.Dense(
        48, activation="relu", activity_regularizer=keras.regularizers.L1(strength)
    )(flat)
    flat = layers.Dense(196, activation="sigmoid")(code)
    model = keras.Model(inputs, layers.Reshape((14, 14, 1))(flat))
    model.compile(keras.optimizers.Adam(3e-3), "mse", metrics=["mse"])
    return Program(model, x, x, (x_val, x_val), epochs=15, batch_size=32)


@program(faults=("over-regularised",), architecture="recurrent", split="tune")
def q_keep_probability_of_ported_code(seed: int, mended: bool = False) -> Program:
    """Ported from TensorFlow 1: 0.9 was the share to keep, and is now the share dropped."""
    x, y = data.machines(seed, 1200, noise=0.2)
    x, y, x_val, y_val = data.cut(x, y, 1000)
    rate = 0.1 if mended else 0.9
    model = keras.Sequential(
        [
            keras.Input((48, 1)),
            layers.Conv1D(16, 5, strides=2, activation="relu"),
            layers.GRU(32, dropout=rate),
            layers.Dropout(rate),
            layers.Dense(4),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=15, batch_size=40)


@program(faults=("train-inference-gap",), architecture="cnn", split="tune")
def q_averages_of_a_long_run(seed: int, mended: bool = False) -> Program:
    """BatchNormalization keeps averages over thousands of steps in a run of 130."""
    x, y = data.pictures("mnist", seed, 1400)
    x, y, x_val, y_val = data.cut(x, y, 1040)
    momentum = 0.9 if mended else 0.999
    model = keras.Sequential([keras.Input((14, 14, 1))])
    for filters in (12, 24):
        model.add(layers.Conv2D(filters, 3, padding="same", use_bias=False))
        model.add(layers.BatchNormalization(momentum=momentum))
        model.add(layers.ReLU())
        model.add(layers.MaxPooling2D())
    model.add(layers.Flatten())
    model.add(layers.Dense(10, activation="softmax"))
    model.compile(
        keras.optimizers.Adam(3e-3),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=8, batch_size=64)


class OwnDropout(layers.Layer):
    """Dropout by hand.

    Args:
        rate: The share that is dropped.
        always: Drop whenever the layer is called.
    """

    def __init__(self, rate: float, always: bool):
        super().__init__()
        self.rate = rate
        self.always = always

    def call(self, x, training=None):
        """Return the features, some of them 0."""
        if self.always or training:
            return tf.nn.dropout(x, self.rate)
        return x


@program(faults=("train-inference-gap",), architecture="mlp", split="tune")
def q_dropout_never_switched_off(seed: int, mended: bool = False) -> Program:
    """The author's dropout layer ignores training, and drops in prediction as well."""
    x, y, x_val, y_val = data.table("digits", seed, 1300, scaled=False)
    model = keras.Sequential([keras.Input((64,)), layers.Rescaling(1 / 16)])
    for units in (64, 48):
        model.add(layers.Dense(units, activation="relu"))
        model.add(OwnDropout(0.6, always=not mended))
    model.add(layers.Dense(10, activation="softmax"))
    model.compile(
        keras.optimizers.Adam(3e-3),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=20, batch_size=32)
