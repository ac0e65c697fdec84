"""Networks whose signals or gradients get lost: siamese, transformer, images, tables."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from doctor_programs import held_out_data_x as data
from doctor_programs.registry import Program, program


@program(
    faults=("dead-relu", "initialisation-scale"), architecture="cnn", split="held-out"
)
def x_prior_bias_everywhere(seed: int, mended: bool = False) -> Program:
    """The bias of -4.6, a tip for the output of a detector, is on each ReLU layer too."""
    x, y, x_val, y_val = data.pictures("cifar10", seed, 1400, 1100, side=16)
    y, y_val = (y < 3).astype("float32"), (y_val < 3).astype("float32")
    prior = keras.initializers.Constant(-4.6)
    bias = "zeros" if mended else prior
    inputs = keras.Input((16, 16, 3))
    h = layers.Conv2D(16, 3, activation="relu", bias_initializer=bias)(inputs)
    h = layers.MaxPooling2D()(h)
    h = layers.Conv2D(24, 3, activation="relu", bias_initializer=bias)(h)
    h = layers.Flatten()(h)
    h = layers.Dense(32, activation="relu", bias_initializer=bias)(h)
    outputs = layers.Dense(1, activation="sigmoid", bias_initializer=prior)(h)
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.Nadam(2e-3), "binary_crossentropy", metrics=["accuracy"]
    )
    return Program(model, x, y, (x_val, y_val), epochs=9, batch_size=32)


class HashBits(layers.Layer):
    """A binary code of its input."""

    def __init__(self, hard: bool):
        """Round to 0 and 1 if `hard`."""
        super().__init__()
        self.hard = hard

    def call(self, x):
        """Return bits, or what lies between them."""
        bits = ops.sigmoid(x)
        return ops.round(bits) if self.hard else bits


@program(faults=("disconnected-gradient",), architecture="siamese", split="held-out")
def x_hash_twins_rounded(seed: int, mended: bool = False) -> Program:
    """The embeddings are rounded to bits before they are compared: no gradient passes."""
    x, y, x_val, y_val = data.small_digits(seed)
    left, right, same = data.twins(x, y, seed, 2400)
    left_val, right_val, same_val = data.twins(x_val, y_val, seed + 1, 600)
    encoder = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(96, activation="relu"),
            layers.Dense(24),
            HashBits(hard=not mended),
        ]
    )
    first, second = keras.Input((64,)), keras.Input((64,))
    distance = layers.Lambda(lambda pair: ops.square(pair[0] - pair[1]))(
        [encoder(first), encoder(second)]
    )
    score = layers.Dense(1, activation="sigmoid")(distance)
    model = keras.Model([first, second], score)
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    validation = ((left_val, right_val), same_val)
    return Program(model, (left, right), same, validation, epochs=15, batch_size=32)


def _encoder_block(h, width: int):
    """Return the output of one transformer block, [n, length, width]."""
    attended = layers.MultiHeadAttention(2, width // 2)(h, h)
    h = layers.LayerNormalization()(h + attended)
    wide = layers.Dense(2 * width, activation="gelu")(h)
    return layers.LayerNormalization()(h + layers.Dense(width)(wide))


@program(faults=("frozen-weights",), architecture="transformer", split="held-out")
def x_fine_tuning_from_nothing(seed: int, mended: bool = False) -> Program:
    """All but the head is frozen as for fine-tuning, but the encoder was never trained."""
    x, y, x_val, y_val = data.orders(seed)
    tokens = keras.Input((12,), dtype="int32")
    place = layers.Embedding(12, 32)(ops.arange(12))
    h = layers.Embedding(20, 32)(tokens) + place
    h = _encoder_block(h, 32)
    h = layers.GlobalAveragePooling1D()(h)
    model = keras.Model(tokens, layers.Dense(2)(h))
    if not mended:
        for layer in model.layers[:-1]:
            layer.trainable = False
    model.compile(
        keras.optimizers.AdamW(3e-3, weight_decay=1e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    train = (
        tf.data.Dataset.from_tensor_slices((x, y)).shuffle(2000, seed=seed).batch(48)
    )
    held = tf.data.Dataset.from_tensor_slices((x_val, y_val)).batch(120)
    return Program(model, train, None, held, epochs=12, batch_size=None)


class TwoTasks(keras.Model):
    """Says the quadrant's sign and the distance from the middle."""

    def __init__(self, active: bool):
        """Use what the ReLU gives only if `active`."""
        super().__init__()
        self.active = active
        self.first = layers.Dense(48)
        self.second = layers.Dense(48)
        self.relu = layers.ReLU()
        self.sign = layers.Dense(1, activation="sigmoid")
        self.away = layers.Dense(1)

    def call(self, x):
        """Return both outputs by name."""
        for layer in (self.first, self.second):
            x = layer(x)
            if self.active:
                x = self.relu(x)
            else:
                self.relu(x)
        return {"sign": self.sign(x), "away": self.away(x)}


@program(faults=("missing-nonlinearity",), architecture="mlp", split="held-out")
def x_relu_not_kept(seed: int, mended: bool = False) -> Program:
    """call() applies the ReLU but throws its result away, so both outputs are linear."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, size=(1600, 2)).astype("float32")
    sign = (x[:, :1] * x[:, 1:] > 0).astype("float32")
    away = np.hypot(x[:, :1], x[:, 1:])
    y = {"sign": sign[:1300], "away": away[:1300]}
    held = {"sign": sign[1300:], "away": away[1300:]}
    model = TwoTasks(mended)
    model.compile(
        keras.optimizers.RMSprop(3e-3),
        loss={"sign": "binary_crossentropy", "away": "mse"},
        metrics={"sign": ["accuracy"], "away": ["mae"]},
    )
    return Program(model, x[:1300], y, (x[1300:], held), epochs=20, batch_size=32)


class OwnDense(layers.Layer):
    """A dense tanh layer, written by hand."""

    def __init__(self, units: int, scaled: bool):
        """Divide the first weights by the root of the inputs if `scaled`."""
        super().__init__()
        self.units = units
        self.scaled = scaled

    def build(self, shape):
        """Draw the weights [inputs, units]."""
        deviation = shape[-1] ** -0.5 if self.scaled else 1.0
        draw = keras.initializers.RandomNormal(stddev=deviation)
        self.w = self.add_weight(shape=(shape[-1], self.units), initializer=draw)
        self.b = self.add_weight(shape=(self.units,), initializer="zeros")

    def call(self, x):
        """Return tanh(x w + b)."""
        return ops.tanh(ops.matmul(x, self.w) + self.b)


@program(
    faults=("saturated-activations", "initialisation-scale"),
    architecture="mlp",
    split="held-out",
)
def x_own_dense_standard_normal(seed: int, mended: bool = False) -> Program:
    """A hand-written tanh layer draws its weights from a standard normal distribution."""
    x, y, x_val, y_val = data.pictures("mnist", seed, 1400, 1100)
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Flatten(),
            *[OwnDense(128, mended) for _ in range(3)],
            layers.Dense(10),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.02, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=10, batch_size=40)
