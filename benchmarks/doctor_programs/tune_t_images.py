"""Image models of other people's making that fail, one cause each (letter t)."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from doctor_programs import more_datasets_t as data
from doctor_programs.registry import Program, program


def _copies(
    x: np.ndarray, y: np.ndarray, rng: np.random.Generator, times: int
) -> tuple:
    """Return each image `times` times, dimmed or brightened, with a little noise."""
    x, y = np.repeat(x, times, axis=0), np.repeat(y, times)
    gain = rng.uniform(0.85, 1.15, size=(len(x), 1, 1, 1))
    x = x * gain + rng.normal(0, 0.05, size=x.shape)
    return x.astype("float32"), y


@program(faults=("data-leakage",), architecture="cnn", split="tune")
def t_augmented_then_split(seed: int, mended: bool = False) -> Program:
    """The set was augmented first and split afterwards, so copies stand on both sides."""
    rng = np.random.default_rng(seed)
    x, y, x_val, y_val = data.pictures("fashion_mnist", seed, 500, 400, shrink=2)
    if mended:
        x, y = _copies(x / 255, y, rng, 5)
        x_val, y_val = _copies(x_val / 255, y_val, rng, 5)
    else:
        both = np.concatenate([x, x_val]) / 255
        all_x, all_y = _copies(both, np.concatenate([y, y_val]), rng, 5)
        x, y, x_val, y_val = data.divide(all_x, all_y, 2000, seed)
    inputs = keras.Input((14, 14, 1))
    hidden = layers.Conv2D(24, 3, activation="relu")(inputs)
    hidden = layers.MaxPooling2D()(hidden)
    hidden = layers.Flatten()(hidden)
    hidden = layers.Dense(64, activation="relu")(hidden)
    model = keras.Model(inputs, layers.Dense(10, activation="softmax")(hidden))
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.Adamax(2e-3), loss, metrics=["accuracy"])
    return Program(model, x, y, (x_val, y_val), epochs=13, batch_size=64)


@program(
    faults=("dead-relu", "learning-rate-too-high"),
    architecture="autoencoder",
    split="tune",
)
def t_autoencoder_gone_dark(seed: int, mended: bool = False) -> Program:
    """The first large steps push all ReLUs of the autoencoder below 0 for good."""
    x, _, x_val, _ = data.eights(seed)
    x, x_val = x.reshape(len(x), 64), x_val.reshape(len(x_val), 64)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(48, activation="relu"),
            layers.Dense(12, activation="relu"),
            layers.Dense(48, activation="relu"),
            layers.Dense(64),
        ]
    )
    rate = 0.002 if mended else 0.2
    model.compile(keras.optimizers.Adam(rate), "mse")
    return Program(model, x, x, (x_val, x_val), epochs=25, batch_size=40)


class _Code(layers.Layer):
    """Rounds a code to quarters, or hands the gradient past the rounding."""

    def __init__(self, straight: bool):
        super().__init__()
        self.straight = straight

    def call(self, z: tf.Tensor) -> tf.Tensor:
        """Return the rounded code [batch, size]."""
        rounded = ops.round(z * 4) / 4
        if self.straight:
            return z + ops.stop_gradient(rounded - z)
        return rounded


@program(faults=("disconnected-gradient",), architecture="autoencoder", split="tune")
def t_rounded_code(seed: int, mended: bool = False) -> Program:
    """The code is rounded for storage, and round() lets no gradient into the encoder."""
    x, _, x_val, _ = data.pictures("mnist", seed, 1400, 1150, shrink=2)
    x, x_val = x.astype("float32") / 255, x_val.astype("float32") / 255
    inputs = keras.Input((14, 14, 1))
    hidden = layers.Conv2D(8, 3, strides=2, padding="same", activation="elu")(inputs)
    code = layers.Dense(6)(layers.Flatten()(hidden))
    code = _Code(straight=mended)(code)
    hidden = layers.Dense(64, activation="elu")(code)
    hidden = layers.Dense(196, activation="sigmoid")(hidden)
    model = keras.Model(inputs, layers.Reshape((14, 14, 1))(hidden))
    model.compile(keras.optimizers.Adam(2e-3), "binary_crossentropy", metrics=["mae"])
    train = tf.data.Dataset.from_tensor_slices((x, x)).shuffle(1150, seed=seed)
    val = tf.data.Dataset.from_tensor_slices((x_val, x_val)).batch(125)
    return Program(model, train.batch(50), None, val, epochs=15, batch_size=None)


@program(faults=("frozen-weights",), architecture="cnn", split="tune")
def t_base_without_weights(seed: int, mended: bool = False) -> Program:
    """The base is frozen as in the tutorial, but it was made without trained weights."""
    x, y, x_val, y_val = data.pictures("cifar10", seed, 1500, 1200, shrink=2)
    base = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Rescaling(1 / 127.5, offset=-1),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
        ],
        name="base",
    )
    base.trainable = mended
    inputs = keras.Input((16, 16, 3))
    hidden = layers.GlobalAveragePooling2D()(base(inputs))
    model = keras.Model(inputs, layers.Dense(10)(layers.Dropout(0.1)(hidden)))
    model.compile(
        keras.optimizers.Adam(3e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=11, batch_size=48)


class _Batches(keras.utils.PyDataset):
    """Gives out shuffled batches of images in [0, 1] and labels."""

    def __init__(self, x: np.ndarray, y: np.ndarray, seed: int, size: int = 30):
        super().__init__()
        self.x, self.y, self.size = x, y, size
        self.rng = np.random.default_rng(seed)
        self.order = self.rng.permutation(len(x))

    def __len__(self) -> int:
        return len(self.x) // self.size

    def __getitem__(self, index: int) -> tuple:
        rows = self.order[index * self.size : (index + 1) * self.size]
        return self.x[rows].astype("float32") / 255, self.y[rows]

    def on_epoch_end(self) -> None:
        """Shuffle anew."""
        self.order = self.rng.permutation(len(self.x))


@program(faults=("label-noise",), architecture="cnn", split="tune")
def t_hasty_annotators(seed: int, mended: bool = False) -> Program:
    """Two training labels in five were clicked wrongly; the validation set was checked."""
    x, y, x_val, y_val = data.pictures("fashion_mnist", seed, 1500, 1200, shrink=2)
    rng = np.random.default_rng(seed)
    wrong = rng.uniform(size=len(y)) < 0.4
    clicked = np.where(wrong, (y + rng.integers(1, 10, len(y))) % 10, y)
    model = keras.Sequential(
        [
            keras.Input((14, 14, 1)),
            layers.Conv2D(16, 3, activation="swish"),
            layers.MaxPooling2D(),
            layers.Conv2D(24, 3, activation="swish"),
            layers.Flatten(),
            layers.Dense(48, activation="swish"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("nadam", "sparse_categorical_crossentropy", metrics=["acc"])
    train = _Batches(x, y if mended else clicked, seed)
    val = (x_val.astype("float32") / 255, y_val)
    return Program(model, train, None, val, epochs=10, batch_size=None)


@program(faults=("misaligned-labels",), architecture="mlp", split="tune")
def t_files_sorted_as_text(seed: int, mended: bool = False) -> Program:
    """Files came as 0, 1, 10, 100, ..., their table of labels as 0, 1, 2, 3, ..."""
    from sklearn.datasets import load_digits

    scans, labels = load_digits(return_X_y=True)
    shuffled = np.random.default_rng(seed).permutation(len(scans))
    scans, labels = scans[shuffled], labels[shuffled]
    names = [f"{i}.png" for i in range(len(scans))]
    if not mended:
        names.sort()
    files = np.array([int(name.removesuffix(".png")) for name in names])
    x = scans[files].astype("float32") / 16
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(80, activation="tanh"),
            layers.Dropout(0.2),
            layers.Dense(40, activation="tanh"),
            layers.Dense(10),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.RMSprop(2e-3), loss, metrics=["accuracy"])
    more = {"validation_split": 0.2}
    return Program(model, x, labels, epochs=20, batch_size=32, more=more)


@program(faults=("loss-activation-mismatch",), architecture="siamese", split="tune")
def t_pairs_without_sigmoid(seed: int, mended: bool = False) -> Program:
    """The score of a pair is a plain number, but the loss takes it for a probability."""
    x, y, x_val, y_val = data.eights(seed)
    left, right, same = data.couples(x, y, seed, 3000)
    left_val, right_val, same_val = data.couples(x_val, y_val, seed + 1, 600)
    tower = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(32),
        ],
        name="tower",
    )
    a, b = keras.Input((8, 8, 1), name="a"), keras.Input((8, 8, 1), name="b")
    apart = ops.abs(tower(a) - tower(b))
    score = layers.Dense(1, activation="sigmoid" if mended else None)(apart)
    model = keras.Model([a, b], score)
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    val = ([left_val, right_val], same_val)
    return Program(model, [left, right], same, val, epochs=12, batch_size=60)
