"""Healthy runs on images, tokens, pairs and signals, most of which look odd."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from doctor_programs import held_out_data_x as data
from doctor_programs.registry import Program, program


@program(architecture="cnn", split="held-out")
def x_large_batch_large_rate(seed: int, mended: bool = False) -> Program:
    """Batches of 200 with a rate that warms up to 0.2 and goes down as a cosine."""
    x, y, x_val, y_val = data.pictures("mnist", seed + 1, 1437, 1200, side=14)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, decay_steps=90, warmup_target=0.2, warmup_steps=20
    )
    model = keras.Sequential([keras.Input((14, 14, 1))])
    for filters in (16, 32):
        model.add(layers.Conv2D(filters, 3, use_bias=False))
        model.add(layers.BatchNormalization(momentum=0.9))
        model.add(layers.ReLU())
        model.add(layers.MaxPooling2D())
    model.add(layers.Flatten())
    model.add(layers.Dense(10))
    model.compile(
        keras.optimizers.SGD(rate, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=18, batch_size=200)


@program(architecture="recurrent", split="held-out")
def x_words_never_seen(seed: int, mended: bool = False) -> Program:
    """The vocabulary has 6,000 words, of which the padded texts use only some."""
    rng = np.random.default_rng(seed)
    n, length = 1400, 18
    x = np.zeros((n, length), "int32")
    y = rng.integers(2, size=n)
    for i in range(n):
        size = rng.integers(7, length + 1)
        x[i, :size] = rng.integers(200, 900, size=size)
        moods = rng.integers(1, 80, size=4) + 80 * y[i]
        x[i, rng.choice(size, 4, replace=False)] = moods
    model = keras.Sequential(
        [
            keras.Input((length,), dtype="int32"),
            layers.Embedding(6000, 12, mask_zero=True),
            layers.GRU(16),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    held = (x[1100:], y[1100:])
    return Program(model, x[:1100], y[:1100], held, epochs=4, batch_size=32)


def _contrastive(same, distance):
    """Pull like pairs together; push the others apart, up to a distance of 1."""
    near = same * ops.square(distance)
    far = (1 - same) * ops.square(ops.relu(1 - distance))
    return ops.mean(near + far, axis=-1)


@program(architecture="siamese", split="held-out")
def x_contrastive_garments(seed: int, mended: bool = False) -> Program:
    """Contrastive loss without metric and validation: a bare figure is all one sees."""
    x, y, _, _ = data.pictures("fashion_mnist", seed + 2, 1200, 1200, side=14)
    left, right, same = data.twins(x, y, seed, 2000)
    encoder = keras.Sequential(
        [
            keras.Input((14, 14, 1)),
            layers.Conv2D(16, 3, strides=2, activation="relu"),
            layers.Flatten(),
            layers.Dense(32, activation="relu"),
            layers.Dense(8),
            layers.UnitNormalization(),
        ]
    )
    first, second = keras.Input((14, 14, 1)), keras.Input((14, 14, 1))
    gap = layers.Subtract()([encoder(first), encoder(second)])
    distance = layers.Lambda(
        lambda v: ops.sqrt(ops.sum(ops.square(v), axis=-1, keepdims=True) + 1e-6)
    )(gap)
    model = keras.Model([first, second], distance)
    model.compile(keras.optimizers.RMSprop(1e-3), _contrastive)
    return Program(model, (left, right), same[:, None], epochs=12, batch_size=40)


class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """A rate that rises, then falls with the root of the step."""

    def __init__(self, peak: float, steps: int):
        """Reach `peak` at `steps`."""
        self.peak, self.steps = peak, steps

    def __call__(self, step):
        """Return the rate of this step."""
        step = ops.cast(step, "float32") + 1
        rise = step / self.steps
        return self.peak * ops.minimum(rise, ops.rsqrt(rise))


@program(architecture="transformer", split="held-out")
def x_attention_warms_up(seed: int, mended: bool = False) -> Program:
    """The rate starts near zero and rises for five epochs, so progress begins slowly."""
    x, y, x_val, y_val = data.chirps(seed + 9, n=1200, length=48, noise=0.1)
    patches = (48 // 6, 6)
    inputs = keras.Input((48, 1))
    h = layers.Dense(24)(layers.Reshape(patches)(inputs))
    h = h + layers.Embedding(8, 24)(ops.arange(8))
    normed = layers.LayerNormalization()(h)
    h = h + layers.MultiHeadAttention(3, 8, dropout=0.1)(normed, normed)
    normed = layers.LayerNormalization()(h)
    h = h + layers.Dense(24)(layers.Dense(48, activation="relu")(normed))
    h = layers.Flatten()(layers.LayerNormalization()(h))
    model = keras.Model(inputs, layers.Dense(3, activation="softmax")(h))
    model.compile(
        keras.optimizers.Adam(WarmUp(3e-3, 150), beta_2=0.98),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=12, batch_size=32)


@program(architecture="cnn", split="held-out")
def x_validation_sorted(seed: int, mended: bool = False) -> Program:
    """Validation images are sorted by class; that changes nothing in their mean loss."""
    x, y, x_val, y_val = data.pictures("cifar10", seed + 3, 2000, 1600, side=16)
    even_train = (y % 2).astype("float32")
    order = np.argsort(y_val, kind="stable")
    x_val, y_val = x_val[order], y_val[order]
    even_val = (y_val % 2).astype("float32")
    inputs = h = keras.Input((16, 16, 3))
    for filters in (16, 32, 48):
        h = layers.Conv2D(filters, 3, padding="same", activation="relu")(h)
        h = layers.MaxPooling2D()(h)
    h = layers.Dense(64, activation="relu")(layers.Flatten()(h))
    figure = layers.Dense(10, activation="softmax", name="figure")(h)
    even = layers.Dense(1, activation="sigmoid", name="even")(h)
    model = keras.Model(inputs, {"figure": figure, "even": even})
    model.compile(
        keras.optimizers.Adam(2e-3),
        loss={
            "figure": "sparse_categorical_crossentropy",
            "even": "binary_crossentropy",
        },
        loss_weights={"figure": 1.0, "even": 0.5},
        metrics={"figure": ["accuracy"], "even": ["accuracy"]},
        steps_per_execution=5,
    )
    train = tf.data.Dataset.from_tensor_slices((x, {"figure": y, "even": even_train}))
    held = tf.data.Dataset.from_tensor_slices(
        (x_val, {"figure": y_val, "even": even_val})
    )
    train = train.shuffle(1600, seed=seed).batch(32)
    return Program(model, train, None, held.batch(50), epochs=10, batch_size=None)


@program(architecture="cnn", split="held-out")
def x_dropout_makes_training_worse(seed: int, mended: bool = False) -> Program:
    """With dropout of one half the training figures stay below those of validation."""
    x, y, x_val, y_val = data.small_digits(seed + 21, train=1300)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Reshape((8, 8, 1)),
            layers.Conv2D(24, 3, activation="relu"),
            layers.SpatialDropout2D(0.2),
            layers.Flatten(),
            layers.Dense(96, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.AdamW(2e-3, weight_decay=0.004),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=10, batch_size=24)
