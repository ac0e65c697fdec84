"""Images, sequences, pairs and own steps that train as they should."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from doctor_programs import datasets
from doctor_programs.registry import Program, program
from doctor_programs.tune_custom import Batches, StepOfOurOwn


def _digit_images() -> tuple:
    """Return digits [n, 14, 14, 1] in [0, 1], labels, and a validation pair."""
    x, y = datasets.digits("train")
    x_val, y_val = datasets.digits("test")
    x, x_val = (a[..., None].astype("float32") / 255 for a in (x, x_val))
    return x, y, (x_val, y_val)


@program(architecture="cnn", split="tune")
def normalised_cnn(seed: int) -> Program:
    """Batch normalisation where it belongs, momentum 0.9."""
    x, y, validation = _digit_images()
    model = keras.Sequential([keras.Input((14, 14, 1))])
    for filters in (8, 16):
        model.add(layers.Conv2D(filters, 3, padding="same", use_bias=False))
        model.add(layers.BatchNormalization(momentum=0.9))
        model.add(layers.ReLU())
        model.add(layers.MaxPooling2D())
    model.add(layers.Flatten())
    model.add(layers.Dense(10, activation="softmax"))
    optimizer = keras.optimizers.Adam(0.002)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return Program(model, x, y, validation, epochs=6)


@program(architecture="cnn", split="tune")
def deep_and_residual(seed: int) -> Program:
    """Seven residual blocks with layer normalisation: deep, and the gradient gets down."""
    x, y, validation = _digit_images()
    inputs = keras.Input((14, 14, 1))
    hidden = layers.Dense(48)(layers.Flatten()(inputs))
    for _ in range(7):
        branch = layers.LayerNormalization()(hidden)
        branch = layers.Dense(48, activation="relu")(branch)
        hidden = hidden + layers.Dense(48)(branch)
    hidden = layers.LayerNormalization()(hidden)
    model = keras.Model(inputs, layers.Dense(10, activation="softmax")(hidden))
    optimizer = keras.optimizers.Adam(0.001)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return Program(model, x, y, validation, epochs=6)


@program(architecture="cnn", split="tune")
def outlines(seed: int) -> Program:
    """A small U-shaped network finds the pixels of noisy figures (15 % are positive)."""
    (x, y), validation = datasets.part(*datasets.shapes(seed, 600))
    inputs = keras.Input((16, 16, 1))
    fine = layers.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    coarse = layers.MaxPooling2D()(fine)
    coarse = layers.Conv2D(16, 3, padding="same", activation="relu")(coarse)
    joined = layers.Concatenate()([layers.UpSampling2D()(coarse), fine])
    outputs = layers.Conv2D(1, 3, padding="same", activation="sigmoid")(joined)
    model = keras.Model(inputs, outputs)
    optimizer = keras.optimizers.Adam(0.005)
    model.compile(optimizer, "binary_crossentropy", metrics=["binary_accuracy"])
    return Program(model, x, y, validation, epochs=8)


@program(architecture="cnn", split="tune")
def augmented_stream(seed: int) -> Program:
    """tf.data with a shuffle buffer and random shifts; validation is not shifted."""
    x, y, validation = _digit_images()
    train_ds = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(500, seed=seed)
    train_ds = train_ds.batch(32).prefetch(2)
    model = keras.Sequential(
        [
            keras.Input((14, 14, 1)),
            layers.RandomTranslation(0.1, 0.1, fill_mode="constant"),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    optimizer = keras.optimizers.Adam(0.003)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return Program(model, train_ds, None, validation, 8, batch_size=None)


@program(architecture="cnn", split="tune")
def rescaled_inside(seed: int) -> Program:
    """Pixels go in as uint8 0 to 255, and the first layer rescales them."""
    x, y = datasets.digits("train", 28)
    x_val, y_val = datasets.digits("test", 28)
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(12, 5, strides=2, activation="relu"),
            layers.Conv2D(24, 3, strides=2, activation="relu"),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    optimizer = keras.optimizers.Adam(0.002)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return Program(model, x[..., None], y, (x_val[..., None], y_val), epochs=6)


@program(architecture="autoencoder", split="tune")
def tanh_autoencoder(seed: int) -> Program:
    """Readings in [-1, 1], tanh everywhere, a code of four for four hidden factors."""
    x = datasets.sensors(seed)
    model = keras.Sequential([keras.Input((24,))])
    for width in (32, 4, 32, 24):
        model.add(layers.Dense(width, activation="tanh"))
    model.compile(keras.optimizers.Adam(0.005), "mse")
    return Program(model, x[:1000], x[:1000], (x[1000:], x[1000:]), epochs=20)


@program(architecture="recurrent", split="tune")
def next_value(seed: int) -> Program:
    """A GRU predicts a seasonal series; windows in time order, shuffled by fit."""
    x, y = datasets.windows(datasets.seasons(seed), 24)
    model = keras.Sequential([keras.Input((24, 1)), layers.GRU(16), layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"])
    return Program(model, x[:1200], y[:1200], (x[1230:], y[1230:]), epochs=8)


@program(architecture="recurrent", split="tune")
def moods_of_reviews(seed: int) -> Program:
    """Word numbers up to 500 into an embedding: integers need no normalising."""
    (x, y), validation = datasets.part(*datasets.reviews(seed, n=2000))
    model = keras.Sequential(
        [
            keras.Input((20,), dtype="int32"),
            layers.Embedding(500, 12),
            layers.Bidirectional(layers.LSTM(8)),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    optimizer = keras.optimizers.Adam(0.004)
    model.compile(optimizer, "binary_crossentropy", metrics=["accuracy"])
    return Program(model, x, y, validation, epochs=4)


@program(architecture="transformer", split="tune")
def small_transformer(seed: int) -> Program:
    """One attention block, a learned position, and a warm-up of 30 steps."""
    (x, y), validation = datasets.part(*datasets.reviews(seed, n=2000))
    inputs = keras.Input((20,), dtype="int32")
    places = layers.Embedding(20, 16)(keras.ops.arange(20))
    hidden = layers.Embedding(500, 16)(inputs) + places
    normal = layers.LayerNormalization()(hidden)
    hidden = hidden + layers.MultiHeadAttention(2, 8)(normal, normal)
    hidden = hidden + layers.Dense(16, activation="gelu")(hidden)
    pooled = layers.GlobalAveragePooling1D()(hidden)
    model = keras.Model(inputs, layers.Dense(1)(pooled))
    rate = keras.optimizers.schedules.PolynomialDecay(0.005, 250, 0.0005)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    metric = keras.metrics.BinaryAccuracy(threshold=0.0)
    model.compile(keras.optimizers.AdamW(rate), loss, metrics=[metric])
    return Program(model, x, y, validation, epochs=4)


@program(architecture="siamese", split="tune")
def contrastive_distance(seed: int) -> Program:
    """Two towers with shared weights and the contrastive loss on their distance."""
    images, labels = datasets.digits("train", 7)
    left, right, same = datasets.pairs(images / 255.0, labels, seed, 3000)
    left, right = (a.reshape(-1, 49).astype("float32") for a in (left, right))
    tower = keras.Sequential(
        [
            keras.Input((49,)),
            layers.Dense(48, activation="relu"),
            layers.Dense(16),
        ]
    )
    inputs = [keras.Input((49,)), keras.Input((49,))]
    gap = tower(inputs[0]) - tower(inputs[1])
    square = keras.ops.sum(keras.ops.square(gap), axis=-1, keepdims=True)
    model = keras.Model(inputs, keras.ops.sqrt(square + 1e-6))

    def contrastive(same, distance):
        apart = keras.ops.square(keras.ops.maximum(1.0 - distance, 0.0))
        return same * keras.ops.square(distance) + (1 - same) * apart

    model.compile(keras.optimizers.Adam(0.003), contrastive)
    validation = ((left[2400:], right[2400:]), same[2400:])
    return Program(
        model, (left[:2400], right[:2400]), same[:2400], validation, epochs=6
    )


@program(architecture="mlp", split="tune")
def ordered_grades(seed: int) -> Program:
    """Four ordered grades as three cumulative yes-or-no targets."""
    x, y = datasets.friedman(seed, n=2000)
    grades = np.digitize(y, np.quantile(y, [0.25, 0.5, 0.75]))
    steps = (grades[:, None] > np.arange(3)).astype("float32")
    (x, y), validation = datasets.part(x, steps)
    model = keras.Sequential(
        [
            keras.Input((10,)),
            layers.Dense(48, activation="relu"),
            layers.Dense(3, activation="sigmoid"),
        ]
    )
    optimizer = keras.optimizers.Adam(0.005)
    model.compile(optimizer, "binary_crossentropy", metrics=["binary_accuracy"])
    return Program(model, x, y, validation, epochs=12)


@program(architecture="regression", split="tune")
def a_step_of_our_own(seed: int) -> Program:
    """A custom train_step without a mistake in it, fed by a PyDataset."""
    x, y = datasets.friedman(seed)
    y = ((y - y.mean()) / y.std())[:, None].astype("float32")
    inputs = keras.Input((10,))
    hidden = layers.Dense(48, activation="relu")(inputs)
    model = StepOfOurOwn(inputs, layers.Dense(1)(hidden))
    model.compile(keras.optimizers.Adam(0.005), "mse", metrics=["mae"])
    validation = (x[1200:], y[1200:])
    batches = Batches(x[:1200], y[:1200], 32)
    return Program(model, batches, None, validation, 12, batch_size=None)


@program(architecture="tabular", split="tune")
def words_and_numbers(seed: int) -> Program:
    """Two inputs (numbers and a category) and two outputs (a class and an amount)."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(1800, 6)).astype("float32")
    category = rng.integers(12, size=(1800, 1)).astype("int32")
    effect = rng.normal(size=12)[category[:, 0]]
    score = numbers[:, 0] * numbers[:, 1] + effect
    event = (score > 0).astype("float32")
    amount = (np.tanh(score) + 0.1 * rng.normal(size=1800)).astype("float32")
    number_input = keras.Input((6,), name="numbers")
    category_input = keras.Input((1,), dtype="int32", name="category")
    place = layers.Flatten()(layers.Embedding(12, 4)(category_input))
    hidden = layers.Concatenate()([number_input, place])
    hidden = layers.Dense(64, activation="relu")(hidden)
    hidden = layers.Dense(32, activation="relu")(hidden)
    outputs = {
        "event": layers.Dense(1, activation="sigmoid", name="event")(hidden),
        "amount": layers.Dense(1, name="amount")(hidden),
    }
    model = keras.Model({"numbers": number_input, "category": category_input}, outputs)
    model.compile(
        keras.optimizers.Adam(0.004),
        {"event": "binary_crossentropy", "amount": "mse"},
        metrics={"event": "accuracy"},
    )

    def named(rows: slice) -> tuple:
        x = {"numbers": numbers[rows], "category": category[rows]}
        return x, {"event": event[rows], "amount": amount[rows]}

    x, y = named(slice(0, 1500))
    return Program(model, x, y, named(slice(1500, 1800)), epochs=10)
