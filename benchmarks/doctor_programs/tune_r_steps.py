"""Programs whose steps are too large, too small, or not a number."""

import keras
from keras import layers, ops

from doctor_programs import more_datasets_r as data
from doctor_programs.registry import Program, program


class Positions(layers.Layer):
    """Word and place embeddings, added."""

    def __init__(self, words: int, length: int, width: int) -> None:
        super().__init__()
        self.words = layers.Embedding(words, width)
        self.places = layers.Embedding(length, width)
        self.length = length

    def call(self, tokens: object) -> object:
        """Return [n, length, width]."""
        return self.words(tokens) + self.places(ops.arange(self.length))


def encoder_block(h: object, heads: int, width: int) -> object:
    """Return the output of one transformer block, normalised after each sum."""
    seen = layers.MultiHeadAttention(heads, width // heads)(h, h)
    h = layers.LayerNormalization()(h + seen)
    wide = layers.Dense(2 * width, activation="gelu")(h)
    return layers.LayerNormalization()(h + layers.Dense(width)(wide))


@program(faults=("learning-rate-too-high",), architecture="transformer", split="tune")
def r_transformer_at_a_tenth(seed: int, mended: bool = False) -> Program:
    """A small transformer is trained with Adam at 0.1, without any warm-up."""
    x, y, x_val, y_val = data.commands(seed)
    tokens = keras.Input((12,), dtype="int32")
    h = encoder_block(Positions(40, 12, 32)(tokens), 4, 32)
    h = layers.GlobalAveragePooling1D()(h)
    model = keras.Model(tokens, layers.Dense(4, activation="softmax")(h))
    model.compile(
        keras.optimizers.Adam(0.002 if mended else 0.1),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=14, batch_size=32)


@program(faults=("learning-rate-too-low",), architecture="mlp", split="tune")
def r_decay_counted_in_epochs(seed: int, mended: bool = False) -> Program:
    """The decay was meant per epoch, but counts steps: after two epochs the rate is 0."""
    x, y, x_val, y_val = data.small_digits(seed)
    per_epoch = -(-len(x) // 32)
    rate = keras.optimizers.schedules.ExponentialDecay(
        0.02, decay_steps=per_epoch if mended else 1, decay_rate=0.92
    )
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(64, activation="relu"),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.SGD(rate, momentum=0.5),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=25, batch_size=32)


@program(faults=("non-finite-values",), architecture="tabular", split="tune")
def r_log_of_no_rentals(seed: int, mended: bool = False) -> Program:
    """A loss of logarithms, but in some hours not one bike was rented."""
    x, y, x_val, y_val = data.rentals(seed)
    more = 1.0 if mended else 0.0

    def rmsle(y_true: object, y_pred: object) -> object:
        apart = ops.log(more + y_pred) - ops.log(more + y_true)
        return ops.sqrt(ops.mean(ops.square(apart)))

    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(64, activation="relu"),
            layers.Dense(32, activation="relu"),
            layers.Dense(1, activation="softplus"),
        ]
    )
    model.compile(keras.optimizers.RMSprop(2e-3), rmsle, metrics=["mae"])
    return Program(model, x, y, (x_val, y_val), epochs=15, batch_size=64)
