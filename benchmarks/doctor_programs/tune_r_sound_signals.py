"""Programs on images, words and signals that look odd, but are sound."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from doctor_programs import datasets
from doctor_programs import more_datasets_r as data
from doctor_programs.registry import Program, program
from doctor_programs.tune_r_steps import Positions


@program(architecture="cnn", split="tune")
def r_borrowed_eyes(seed: int, mended: bool = False) -> Program:
    """Filters trained on digits 0 to 4 are frozen on purpose; the head learns 5 to 9."""
    x, y, _, _ = data.pictures("mnist", seed, 1437, 1437)
    old, new = y < 5, y >= 5
    eyes = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(12, 3, strides=2, activation="relu"),
            layers.Conv2D(24, 3, strides=2, activation="relu"),
            layers.Flatten(),
        ]
    )
    first = keras.Sequential([eyes, layers.Dense(5, activation="softmax")])
    first.compile("adam", "sparse_categorical_crossentropy")
    first.fit(x[old], y[old], epochs=6, verbose=0)
    eyes.trainable = False
    model = keras.Sequential([eyes, layers.Dense(5, activation="softmax")])
    model.compile(
        keras.optimizers.Adam(2e-3),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    x, y, x_val, y_val = data.cut(x[new], y[new] - 5, 550)
    return Program(model, x, y, (x_val, y_val), epochs=12)


@program(architecture="cnn", split="tune")
def r_validation_in_order(seed: int, mended: bool = False) -> Program:
    """Only the validation recordings are sorted by machine; the training is shuffled."""
    x, y = data.machine_sounds(seed, each=200)
    x_val, y_val = data.machine_sounds(seed + 50, each=60)
    pairs = tf.data.Dataset.from_tensor_slices((x, y))
    train = pairs.shuffle(len(x), seed=seed).batch(25)
    valid = tf.data.Dataset.from_tensor_slices((x_val, y_val)).batch(50)
    model = keras.Sequential(
        [
            keras.Input((64, 1)),
            layers.Conv1D(16, 7, strides=2, activation="relu"),
            layers.Conv1D(24, 5, strides=2, activation="relu"),
            layers.GlobalMaxPooling1D(),
            layers.Dense(5, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.RMSprop(2e-3),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, train, None, valid, epochs=8, batch_size=None)


@keras.saving.register_keras_serializable("held_out_r")
class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """The rate rises linearly over the first steps, then falls as 1 / sqrt(step)."""

    def __init__(self, peak: float, steps: int) -> None:
        self.peak, self.steps = peak, steps

    def __call__(self, step: object) -> object:
        """Return the rate at this step."""
        share = (ops.cast(step, "float32") + 1) / self.steps
        return self.peak * ops.minimum(share, 1 / ops.sqrt(share))

    def get_config(self) -> dict:
        """Return what rebuilds the schedule."""
        return {"peak": self.peak, "steps": self.steps}


@program(architecture="transformer", split="tune")
def r_transformer_warms_up(seed: int, mended: bool = False) -> Program:
    """The rate of a transformer begins at nearly nothing and rises for 150 steps."""
    x, y, x_val, y_val = data.commands(seed)
    tokens = keras.Input((12,), dtype="int32")
    h = Positions(40, 12, 32)(tokens)  # [n, 12, 32]
    normal = layers.LayerNormalization()(h)
    h = h + layers.MultiHeadAttention(2, 16)(normal, normal)
    normal = layers.LayerNormalization()(h)
    h = h + layers.Dense(32)(layers.Dense(64, activation="relu")(normal))
    h = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(h))
    model = keras.Model(tokens, layers.Dense(4)(h))
    model.compile(
        keras.optimizers.Adam(WarmUp(4e-3, 150), beta_2=0.98),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=12, batch_size=32)


@program(architecture="recurrent", split="tune")
def r_vocabulary_mostly_unseen(seed: int, mended: bool = False) -> Program:
    """The embedding has 20,000 rows for a corpus that uses 500 words."""
    x, y = datasets.reviews(seed, 1500)
    x = x * 37  # The words' numbers are spread over the whole dictionary.
    x, y, x_val, y_val = data.cut(x, y.astype("float32")[:, None], 1200)
    model = keras.Sequential(
        [
            keras.Input((20,), dtype="int32"),
            layers.Embedding(20000, 16),
            layers.Bidirectional(layers.GRU(12)),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(5e-3), "binary_crossentropy", metrics=["accuracy"]
    )
    return Program(model, x, y, (x_val, y_val), epochs=4, batch_size=32)


class Contrastive(keras.Model):
    """Two views of one encoder, and a training step written by hand."""

    def __init__(self, encoder: keras.Model) -> None:
        super().__init__()
        self.encoder = encoder
        self.mean = keras.metrics.Mean("loss")

    @property
    def metrics(self) -> list:
        """The mean loss, which Keras sets back each epoch."""
        return [self.mean]

    def call(self, pair: tuple) -> object:
        """Return distances [n, 1]."""
        apart = ops.square(self.encoder(pair[0]) - self.encoder(pair[1]))
        return ops.sqrt(ops.sum(apart, axis=1, keepdims=True) + 1e-6)

    def contrast(self, distance: object, same: object) -> object:
        """Return the contrastive loss with a margin of 1."""
        far = ops.square(ops.maximum(1.0 - distance, 0.0))
        return ops.mean(same * ops.square(distance) + (1 - same) * far)

    def train_step(self, batch: tuple) -> dict:
        """Take one step."""
        pair, same = batch
        with tf.GradientTape() as tape:
            loss = self.contrast(self(pair, training=True), same)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        self.mean.update_state(loss)
        return {"loss": self.mean.result()}

    def test_step(self, batch: tuple) -> dict:
        """Return the loss of a batch."""
        pair, same = batch
        self.mean.update_state(self.contrast(self(pair), same))
        return {"loss": self.mean.result()}


@program(architecture="siamese", split="tune")
def r_contrast_by_hand(seed: int, mended: bool = False) -> Program:
    """A contrastive step of one's own; many pairs beyond the margin give no gradient."""
    x, y, x_val, y_val = data.small_digits(seed)
    left, right, same = data.same_or_not(x, y, 2400, seed)
    left_val, right_val, same_val = data.same_or_not(x_val, y_val, 600, seed + 1)
    encoder = keras.Sequential(
        [keras.Input((64,)), layers.Dense(64, activation="relu"), layers.Dense(16)]
    )
    model = Contrastive(encoder)
    model.compile(keras.optimizers.Adam(2e-3))
    validation = ((left_val, right_val), same_val)
    return Program(model, (left, right), same, validation, epochs=15, batch_size=64)


@program(architecture="cnn", split="tune")
def r_five_epochs_and_dropout(seed: int, mended: bool = False) -> Program:
    """Five epochs only, and heavy dropout makes training look worse than validation."""
    x, y, x_val, y_val = data.pictures("mnist", seed, 1437, 1200)
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(16, 5, strides=2, activation="relu"),
            layers.Conv2D(32, 3, strides=2, activation="relu"),
            layers.Flatten(),
            layers.Dropout(0.4),
            layers.Dense(64, activation="relu"),
            layers.Dropout(0.4),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Nadam(3e-3),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        steps_per_execution=4,
    )
    return Program(model, x, y, (x_val, y_val), epochs=5, batch_size=20)


@program(architecture="recurrent", split="tune")
def r_state_and_remaining_time(seed: int, mended: bool = False) -> Program:
    """One GRU with two outputs, whose losses are of quite different sizes."""
    rng = np.random.default_rng(seed)
    x, kind = data.machine_sounds(seed, each=240, steps=40)
    wear = rng.uniform(0.3, 1.5, len(x)).astype("float32")
    x = x * wear[:, None, None]
    order = rng.permutation(len(x))
    x, kind, hours = x[order], kind[order], (100 * wear[order])[:, None]
    inputs = keras.Input((40, 1))
    h = layers.Conv1D(16, 5, strides=2, activation="relu")(inputs)
    h = layers.GRU(32)(h)
    state = layers.Dense(5, activation="softmax", name="state")(h)
    worn = layers.Rescaling(100.0, name="worn")(layers.Dense(1)(h))
    model = keras.Model(inputs, {"state": state, "worn": worn})
    model.compile(
        keras.optimizers.Adam(5e-3),
        loss={"state": "sparse_categorical_crossentropy", "worn": "mae"},
        loss_weights={"state": 1.0, "worn": 0.02},
        metrics={"state": ["accuracy"]},
    )
    train = {"state": kind[:950], "worn": hours[:950]}
    valid = {"state": kind[950:], "worn": hours[950:]}
    return Program(model, x[:950], train, (x[950:], valid), epochs=14)
