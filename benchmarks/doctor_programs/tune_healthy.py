"""Dense networks that train as they should, among them some that look suspicious."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from doctor_programs import datasets
from doctor_programs.registry import Program, program


def _scaled(x: np.ndarray) -> np.ndarray:
    """Return the columns with mean 0 and standard deviation 1."""
    return ((x - x.mean(0)) / x.std(0)).astype("float32")


def _flat_digits(scale: float = 255.0) -> tuple:
    """Return flat digits, labels, and a validation pair."""
    x, y = datasets.digits("train")
    x_val, y_val = datasets.digits("test")
    x, x_val = (a.reshape(len(a), -1).astype("float32") / scale for a in (x, x_val))
    return x, y, (x_val, y_val)


def _dense(inputs: int, widths: tuple, head: layers.Layer, activation: str = "relu"):
    """Return a dense network; not compiled."""
    model = keras.Sequential([keras.Input((inputs,))])
    for width in widths:
        model.add(layers.Dense(width, activation=activation))
    model.add(head)
    return model


@program(architecture="mlp", split="tune")
def sparse_on_purpose(seed: int) -> Program:
    """An L1 penalty on activations and a bias of -0.3: most ReLUs are 0, it learns well."""
    x, y, validation = _flat_digits()
    hidden = layers.Dense(
        256,
        activation="relu",
        bias_initializer=keras.initializers.Constant(-0.3),
        activity_regularizer=keras.regularizers.L1(1e-4),
    )
    model = keras.Sequential([keras.Input((196,)), hidden])
    model.add(layers.Dense(10, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return Program(model, x, y, validation, epochs=12)


@program(architecture="regression", split="tune")
def mostly_noise(seed: int) -> Program:
    """Two thirds of the targets' variance is noise that nobody can predict."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2500, 8)).astype("float32")
    y = np.sin(x[:, 0]) + 0.4 * x[:, 1] + 1.1 * rng.normal(size=2500)
    (x, y), validation = datasets.part(x, y.astype("float32"))
    model = _dense(8, (24,), layers.Dense(1))
    model.compile(keras.optimizers.Adam(0.002), "mse", metrics=["mae"])
    return Program(model, x, y, validation, epochs=10)


@program(architecture="tabular", split="tune")
def hardly_better_than_a_coin(seed: int) -> Program:
    """Overlapping classes: about 65 % is the best that any model can reach."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(3000, 6)).astype("float32")
    chance = 1 / (1 + np.exp(-0.7 * x[:, 0] - 0.5 * x[:, 1]))
    y = (rng.uniform(size=3000) < chance).astype("int64")
    (x, y), validation = datasets.part(x, y)
    model = _dense(6, (12,), layers.Dense(1, activation="sigmoid"))
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return Program(model, x, y, validation, epochs=8)


@program(architecture="mlp", split="tune")
def fine_tuned_head(seed: int) -> Program:
    """A base that learned digits 0 to 4 is frozen on purpose; a head learns 5 to 9."""
    x, y, (x_val, y_val) = _flat_digits()
    base = keras.Sequential(
        [
            keras.Input((196,)),
            layers.Dense(128, activation="relu"),
            layers.Dense(64, activation="relu"),
        ],
        name="base",
    )
    low, low_val = y < 5, y_val < 5
    first = keras.Sequential([base, layers.Dense(5, activation="softmax")])
    first.compile("adam", "sparse_categorical_crossentropy")
    first.fit(x[low], y[low], epochs=5, verbose=0)
    base.trainable = False
    model = keras.Sequential([base, layers.Dense(5, activation="softmax")])
    optimizer = keras.optimizers.Adam(0.01)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    validation = (x_val[~low_val], y_val[~low_val] - 5)
    return Program(model, x[~low], y[~low] - 5, validation, epochs=10)


@program(architecture="mlp", split="tune")
def better_in_validation(seed: int) -> Program:
    """With dropout of one half the training scores stay below the validation's."""
    x, y, validation = _flat_digits()
    model = keras.Sequential([keras.Input((196,))])
    for _ in range(2):
        model.add(layers.Dense(128, activation="relu"))
        model.add(layers.Dropout(0.5))
    model.add(layers.Dense(10, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return Program(model, x, y, validation, epochs=12)


@program(architecture="mlp", split="tune")
def warm_up_and_cosine(seed: int) -> Program:
    """The rate rises from 0 in two epochs, then follows half a cosine down to 0."""
    x, y, validation = _flat_digits()
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, 450, warmup_target=0.005, warmup_steps=90
    )
    model = _dense(196, (96, 96), layers.Dense(10))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    return Program(model, x, y, validation, epochs=12)


@program(architecture="mlp", split="tune")
def large_batches(seed: int) -> Program:
    """Batches of 512 and Adam: few steps, each a good one."""
    x, y = datasets.blobs(seed, n=5000, classes=8)
    (x, y), validation = datasets.part(x, y)
    model = _dense(20, (64, 64), layers.Dense(8, activation="softmax"))
    optimizer = keras.optimizers.Adam(0.005)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return Program(model, x, y, validation, epochs=15, batch_size=512)


@program(architecture="mlp", split="tune")
def plain_descent(seed: int) -> Program:
    """SGD without momentum on spirals takes its time, and gets there."""
    (x, y), validation = datasets.part(*datasets.spirals(seed, arms=2))
    model = _dense(2, (64, 64), layers.Dense(2, activation="softmax"))
    optimizer = keras.optimizers.SGD(0.2)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return Program(model, x, y, validation, epochs=30)


@program(architecture="mlp", split="tune")
def several_tags_each(seed: int) -> Program:
    """Six independent tags per example: sigmoids and binary cross-entropy."""
    (x, y), validation = datasets.part(*datasets.tags(seed))
    model = _dense(16, (64, 64), layers.Dense(6, activation="sigmoid"))
    optimizer = keras.optimizers.Adam(0.003)
    model.compile(optimizer, "binary_crossentropy", metrics=["binary_accuracy"])
    return Program(model, x, y, validation, epochs=8)


@program(architecture="tabular", split="tune")
def four_to_one(seed: int) -> Program:
    """80 % of one class, 20 % of the other, and both are learned."""
    data = datasets.risks(seed, n=2500, positive=0.2, noise=0.2)
    (x, y), validation = datasets.part(*data)
    model = _dense(12, (48, 48), layers.Dense(1, activation="sigmoid"))
    metrics = ["accuracy", keras.metrics.AUC(name="auc")]
    model.compile(keras.optimizers.Adam(0.002), "binary_crossentropy", metrics=metrics)
    return Program(model, x, y, validation, epochs=10)


@program(architecture="regression", split="tune")
def counts_with_poisson(seed: int) -> Program:
    """Counts, an exponential head, and the Poisson loss (which may be negative)."""
    (x, y), validation = datasets.part(*datasets.counts(seed, n=2500))
    model = _dense(6, (24,), layers.Dense(1, activation="exponential"))
    model.compile(keras.optimizers.Adam(0.002), "poisson", metrics=["mae"])
    return Program(model, x, y, validation, epochs=12)


@program(architecture="regression", split="tune")
def a_line_is_enough(seed: int) -> Program:
    """One dense layer without activation, on data that is linear."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(1000, 5)).astype("float32")
    y = x @ np.array([1.0, -2.0, 0.5, 0.0, 1.5]) + 0.3 + 0.1 * rng.normal(size=1000)
    (x, y), validation = datasets.part(x, y.astype("float32"))
    model = keras.Sequential([keras.Input((5,)), layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.02), "mse")
    return Program(model, x, y, validation, epochs=10)


@program(architecture="tabular", split="tune")
def scaled_inside(seed: int) -> Program:
    """Raw columns of any size, with a Normalization layer at the model's entry."""
    x, y = datasets.houses(seed)
    (x, y), validation = datasets.part(x, _scaled(y))
    normalise = layers.Normalization()
    normalise.adapt(x)
    model = keras.Sequential([keras.Input((5,)), normalise])
    model.add(layers.Dense(48, activation="relu"))
    model.add(layers.Dense(48, activation="relu"))
    model.add(layers.Dense(1))
    model.compile(keras.optimizers.Adam(0.003), "mse", metrics=["mae"])
    return Program(model, x, y, validation, epochs=12)


@program(architecture="mlp", split="tune")
def mixed_beforehand(seed: int) -> Program:
    """shuffle=False, which does no harm, since the arrays are in random order."""
    (x, y), validation = datasets.part(*datasets.blobs(seed, classes=6, spread=1.2))
    model = _dense(20, (48,), layers.Dense(6, activation="softmax"))
    optimizer = keras.optimizers.Adam(0.003)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return Program(model, x, y, validation, epochs=10, more={"shuffle": False})


@program(architecture="mlp", split="tune")
def fused_and_in_tens(seed: int) -> Program:
    """XLA and ten steps per execution, no validation data."""
    x, y = datasets.rings(seed, n=2000)
    model = _dense(2, (32, 32), layers.Dense(1, activation="sigmoid"), "tanh")
    model.compile(
        keras.optimizers.Adam(0.01),
        "binary_crossentropy",
        metrics=["accuracy"],
        jit_compile=True,
        steps_per_execution=10,
    )
    return Program(model, x, y, epochs=10)


@program(architecture="tabular", split="tune")
def hundred_and_fifty_flowers(seed: int) -> Program:
    """Very few real examples (iris), unscaled centimetres, and a small network fits."""
    from sklearn.datasets import load_iris

    x, y = load_iris(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(x))
    x, y = x[order].astype("float32"), y[order]
    (x, y), validation = datasets.part(x, y)
    model = _dense(4, (16,), layers.Dense(3, activation="softmax"))
    optimizer = keras.optimizers.Adam(0.02)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return Program(model, x, y, validation, epochs=25, batch_size=16)


@program(architecture="mlp", split="tune")
def stopped_while_improving(seed: int) -> Program:
    """Two epochs, after which the model is far from done and getting better."""
    x, y, validation = _flat_digits()
    train_ds = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(2000).batch(32)
    model = _dense(196, (64,), layers.Dense(10, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return Program(model, train_ds, None, validation, 3, batch_size=None)
