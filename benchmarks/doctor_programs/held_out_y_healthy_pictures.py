"""Healthy programs of y on pictures, words and pairs; most of them look odd."""

import keras
import numpy as np
from keras import layers, ops
from sklearn.datasets import load_digits

from doctor_programs import datasets
from doctor_programs.held_out_data_y import order_of_tokens, pictures, split
from doctor_programs.registry import Program, program


@program(architecture="siamese", split="held-out")
def y_pairs_checked_in_order(seed: int, mended: bool = False) -> Program:
    """The validation pairs are sorted: first all equal ones, then all others."""
    data = load_digits()
    images = (data.data / 16).astype("float32")
    x, x_val, y, y_val = split(seed, images, data.target)
    left, right, same = datasets.pairs(x, y, seed, 2400)
    a_val, b_val, check = datasets.pairs(x_val, y_val, seed, 400)
    order = np.argsort(-check, kind="stable")
    base = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(64, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(32, activation="relu"),
        ]
    )
    a, b = keras.Input((64,)), keras.Input((64,))
    apart = ops.abs(base(a) - base(b))
    model = keras.Model([a, b], layers.Dense(1, activation="sigmoid")(apart))
    model.compile(
        keras.optimizers.Adam(0.002), "binary_crossentropy", metrics=["accuracy"]
    )
    validation = ([a_val[order], b_val[order]], check[order, None])
    return Program(model, [left, right], same[:, None], validation, 8, batch_size=48)


@keras.saving.register_keras_serializable("y_programs")
class _WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """A rate that rises for some steps and then falls with the root of the step."""

    def __init__(self, top: float, steps: int):
        self.top, self.steps = top, steps

    def __call__(self, step):
        """Return the rate at a step."""
        step = ops.cast(step, "float32") + 1.0
        return self.top * ops.minimum(step / self.steps, ops.sqrt(self.steps / step))

    def get_config(self):
        """Return the arguments."""
        return {"top": self.top, "steps": self.steps}


@program(architecture="transformer", split="held-out")
def y_transformer_warms_up(seed: int, mended: bool = False) -> Program:
    """The rate starts near 0 and rises for 150 steps, so the first epochs do little."""
    x, y = order_of_tokens(seed + 50, 2600, length=12)
    inputs = keras.Input((12,), dtype="int32")
    place = layers.Embedding(12, 24)(ops.arange(12))
    h = layers.Embedding(30, 24)(inputs) + place
    for _ in range(2):
        normal = layers.LayerNormalization()(h)
        h = h + layers.MultiHeadAttention(3, 8)(normal, normal)
        normal = layers.LayerNormalization()(h)
        h = h + layers.Dense(24)(layers.Dense(48, activation="gelu")(normal))
    h = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(h))
    model = keras.Model(inputs, layers.Dense(2, activation="softmax")(h))
    optimizer = keras.optimizers.Adam(_WarmUp(0.004, 150), beta_2=0.98)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return Program(model, x[:2200], y[:2200], (x[2200:], y[2200:]), 8, batch_size=50)


@program(architecture="cnn", split="held-out")
def y_frozen_base_from_other_digits(seed: int, mended: bool = False) -> Program:
    """The base is frozen on purpose: it has been trained on digits 0 to 4 before."""
    x, y = datasets.digits("train")
    x = x[..., None] / np.float32(255)
    base = keras.Sequential(
        [
            keras.Input((14, 14, 1)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Flatten(),
        ]
    )
    before = keras.Sequential([base, layers.Dense(5, activation="softmax")])
    before.compile("adam", "sparse_categorical_crossentropy")
    before.fit(x[y < 5], y[y < 5], epochs=4, verbose=0)
    base.trainable = False
    x, x_val, y, y_val = split(seed, x[y >= 5], y[y >= 5] - 5)
    model = keras.Sequential([base, layers.Dense(5, activation="softmax")])
    model.compile(
        keras.optimizers.Adam(0.003),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=8)


class _Augmented(keras.utils.PyDataset):
    """Batches of images, moved and turned at random, in a new order in each epoch."""

    def __init__(self, x, y, seed: int, size: int = 64):
        super().__init__()
        self.x, self.y, self.size = x, y, size
        self.rng = np.random.default_rng(seed)
        self.order = self.rng.permutation(len(x))

    def __len__(self):
        """Return the number of batches."""
        return len(self.x) // self.size

    def __getitem__(self, index):
        """Return one batch."""
        rows = self.order[index * self.size : (index + 1) * self.size]
        x = self.x[rows]
        moves = self.rng.integers(-1, 2, size=(len(rows), 2))
        x = [np.roll(image, move, (0, 1)) for image, move in zip(x, moves, strict=True)]
        return np.array(x), self.y[rows]

    def on_epoch_end(self):
        """Shuffle."""
        self.order = self.rng.permutation(len(self.x))


@program(architecture="cnn", split="held-out")
def y_validation_above_training(seed: int, mended: bool = False) -> Program:
    """Augmentation and dropout make training harder than validation, which is better."""
    x, y = pictures("fashion_mnist", 2200, start=1500)
    x = x[:, ::2, ::2]
    model = keras.Sequential(
        [
            keras.Input((14, 14, 1)),
            layers.Conv2D(20, 3, padding="same", use_bias=False),
            layers.BatchNormalization(momentum=0.9),
            layers.ReLU(),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.4),
            layers.Dense(10),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.006), loss, metrics=["accuracy"])
    data = _Augmented(x[:1800], y[:1800], seed)
    return Program(model, data, None, (x[1800:], y[1800:]), 9, batch_size=None)


@program(architecture="mlp", split="held-out")
def y_words_that_never_come(seed: int, mended: bool = False) -> Program:
    """An embedding of 8,000 words, of which the texts use 500: most rows never move."""
    x, y = datasets.reviews(seed, n=2000, length=24)
    y = y[:, None]
    model = keras.Sequential(
        [
            keras.Input((24,), dtype="int32"),
            layers.Embedding(8000, 12),
            layers.GlobalAveragePooling1D(),
            layers.Dense(12, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.008), "binary_crossentropy", metrics=["accuracy"]
    )
    stop = keras.callbacks.EarlyStopping(patience=1, restore_best_weights=True)
    validation = (x[1600:], y[1600:])
    more = {"callbacks": [stop]}
    return Program(model, x[:1600], y[:1600], validation, 12, more=more)
