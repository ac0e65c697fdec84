"""Sound programs on pictures and with parts of one's own; most look odd somewhere."""

import math

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from doctor_programs import datasets
from doctor_programs import more_datasets_p as data
from doctor_programs.registry import Program, program


def _backbone(size: int) -> keras.Model:
    """Return convolutions that were trained on clothes for a moment."""
    x, y, _, _ = data.images("fashion_mnist", size)
    backbone = keras.Sequential(
        [
            keras.Input((size, size, 1)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Flatten(),
        ],
        name="backbone",
    )
    teacher = keras.Sequential([backbone, layers.Dense(10, activation="softmax")])
    teacher.compile("adam", "sparse_categorical_crossentropy")
    teacher.fit(x, y, epochs=3, verbose=0)
    return backbone


@program(architecture="cnn", split="tune")
def p_backbone_frozen_on_purpose(seed: int, mended: bool = False) -> Program:
    """Convolutions trained on clothes stay frozen; a new head learns digits on them."""
    x, y, x_val, y_val = data.images("mnist", 14, n=800)
    backbone = _backbone(14)
    backbone.trainable = False
    inputs = keras.Input((14, 14, 1))
    h = layers.Dropout(0.2)(backbone(inputs, training=False))
    model = keras.Model(inputs, layers.Dense(10, activation="softmax")(h))
    model.compile(
        keras.optimizers.Adam(3e-3),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=8)


class _WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """Rises in a straight line, then falls with the root of the step."""

    def __init__(self, peak, warm):
        self.peak, self.warm = peak, warm

    def __call__(self, step):
        """Return the rate at this step."""
        step = ops.cast(step, "float32") + 1
        return self.peak * ops.minimum(step / self.warm, ops.sqrt(self.warm / step))

    def get_config(self):
        """Return the arguments."""
        return {"peak": self.peak, "warm": self.warm}


@program(architecture="transformer", split="tune")
def p_transformer_that_warms_up(seed: int, mended: bool = False) -> Program:
    """The rate starts at nearly 0, so that the first epoch hardly does anything."""
    x, y, x_val, y_val = data.split(*data.tickets(seed, n=1200))
    inputs = keras.Input((24,), dtype="int32")
    h = layers.Embedding(800, 24)(inputs)
    z = layers.MultiHeadAttention(2, 12)(h, h)
    h = layers.LayerNormalization()(layers.add([h, z]))
    z = layers.Dense(24)(layers.Dense(48, activation="relu")(h))
    h = layers.LayerNormalization()(layers.add([h, z]))
    h = layers.GlobalAveragePooling1D()(h)
    model = keras.Model(inputs, layers.Dense(4)(h))
    model.compile(
        keras.optimizers.Adam(_WarmUp(0.004, 60.0), beta_2=0.98),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=7)


@program(architecture="cnn", split="tune")
def p_eight_pictures_at_a_time(seed: int, mended: bool = False) -> Program:
    """Batches of eight make the loss of the steps jump, while the epochs get better."""
    x, y, x_val, y_val = data.images("fashion_mnist", 14, n=1000)
    model = keras.Sequential(
        [
            keras.Input((14, 14, 1)),
            layers.Rescaling(1 / 127.5, offset=-1),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.02),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=8, batch_size=8)


@program(architecture="autoencoder", split="tune")
def p_code_that_is_mostly_zero(seed: int, mended: bool = False) -> Program:
    """A sparse autoencoder: most code units are silent for most examples, as wanted."""
    x, _, x_val, _ = data.images("mnist", 14)
    x = x.reshape(len(x), 196).astype("float32") / 255
    x_val = x_val.reshape(len(x_val), 196).astype("float32") / 255
    inputs = keras.Input((196,))
    sparse = keras.regularizers.L1(2e-4)
    code = layers.Dense(96, activation="relu", activity_regularizer=sparse)(inputs)
    model = keras.Model(inputs, layers.Dense(196, activation="sigmoid")(code))
    model.compile(keras.optimizers.Adam(2e-3), "binary_crossentropy")
    return Program(model, x, x, (x_val, x_val), epochs=20)


class ClippedModel(keras.Model):
    """Trains with a step of its own: gradients are clipped together."""

    def train_step(self, batch):
        """Return the metrics after one step."""
        x, y = batch
        with tf.GradientTape() as tape:
            scores = self(x, training=True)
            loss = self.compute_loss(x, y, scores)
        gradients = tape.gradient(loss, self.trainable_variables)
        gradients, _ = tf.clip_by_global_norm(gradients, 1.0)
        self.optimizer.apply(gradients, self.trainable_variables)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, scores)
        return {metric.name: metric.result() for metric in self.metrics}


@program(architecture="recurrent", split="tune")
def p_own_step_that_clips(seed: int, mended: bool = False) -> Program:
    """The train step is hand-made and clips all gradients, and it is right."""
    x, y, x_val, y_val = data.split(*data.bearings(seed))
    x, x_val = x.reshape(-1, 16, 4), x_val.reshape(-1, 16, 4)
    inputs = keras.Input((16, 4))
    h = layers.LSTM(32)(layers.Dense(16, activation="relu")(inputs))
    model = ClippedModel(inputs, layers.Dense(4)(h))
    model.compile(
        keras.optimizers.Adam(3e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
    )
    return Program(model, x, y, (x_val, y_val), epochs=14)


@program(architecture="cnn", split="tune")
def p_compiled_in_blocks_of_eight(seed: int, mended: bool = False) -> Program:
    """Eight steps run in one call and XLA compiles them; nothing else is special."""
    x, y, x_val, y_val = data.images("mnist", 14, n=1280)
    model = keras.Sequential(
        [
            keras.Input((14, 14, 1)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )
    model.compile(
        "adam",
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        steps_per_execution=8,
        jit_compile=True,
    )
    return Program(model, x, y, (x_val, y_val), epochs=12, batch_size=20)


@program(architecture="cnn", split="tune")
def p_form_and_filling_at_once(seed: int, mended: bool = False) -> Program:
    """Two outputs, the form and the area, with losses of quite different sizes."""
    x, masks = datasets.shapes(seed, n=900)
    form = np.arange(900) % 3
    area = masks.mean((1, 2, 3)) * 256 / 20  # About 1.
    order = np.random.default_rng(seed).permutation(900)
    x, form, area = x[order], form[order], area[order]
    inputs = keras.Input((16, 16, 1))
    h = layers.Conv2D(16, 3, activation="relu")(inputs)
    h = layers.MaxPooling2D(2)(h)
    h = layers.Conv2D(32, 3, activation="relu")(h)
    h = layers.MaxPooling2D(2)(h)
    h = layers.Dense(48, activation="relu")(layers.Flatten()(h))
    outputs = {
        "form": layers.Dense(3, activation="softmax", name="form")(h),
        "area": layers.Dense(1, name="area")(h),
    }
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.Adam(2e-3),
        {"form": "sparse_categorical_crossentropy", "area": "mse"},
        metrics={"form": "accuracy", "area": "mae"},
    )
    train = {"form": form[:700], "area": area[:700]}
    validation = (x[700:], {"form": form[700:], "area": area[700:]})
    return Program(model, x[:700], train, validation, epochs=14)


@program(architecture="cnn", split="tune")
def p_rate_lowered_on_plateau(seed: int, mended: bool = False) -> Program:
    """Callbacks lower the rate when validation stands still, and stop in the end."""
    x, y, x_val, y_val = data.images("cifar10", 16, n=1000)
    model = keras.Sequential([keras.Input((16, 16, 3)), layers.Rescaling(1 / 255)])
    for filters in (16, 32):
        model.add(layers.Conv2D(filters, 3, padding="same", use_bias=False))
        model.add(layers.BatchNormalization(momentum=0.9))
        model.add(layers.Activation("relu"))
        model.add(layers.MaxPooling2D(2))
    model.add(layers.Flatten())
    model.add(layers.Dropout(0.3))
    model.add(layers.Dense(10, activation="softmax"))
    model.compile(
        keras.optimizers.AdamW(2e-3, weight_decay=1e-3),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    callbacks = [
        keras.callbacks.ReduceLROnPlateau(patience=1, factor=0.3),
        keras.callbacks.EarlyStopping(patience=4, restore_best_weights=True),
    ]
    more = {"callbacks": callbacks}
    return Program(model, x, y, (x_val, y_val), epochs=10, more=more)


@program(architecture="autoencoder", split="tune")
def p_denoiser_of_heavy_noise(seed: int, mended: bool = False) -> Program:
    """The noise is as large as the readings, so that the loss can't come near 0."""
    clean = datasets.sensors(seed, n=1200, features=24, factors=4)
    noise = np.random.default_rng(seed).normal(size=clean.shape)
    noisy = (clean + 0.6 * noise).astype("float32")
    model = keras.Sequential(
        [
            keras.Input((24,)),
            layers.GaussianNoise(0.1),
            layers.Dense(48, activation="relu"),
            layers.Dense(4),
            layers.Dense(48, activation="relu"),
            layers.Dense(24),
        ]
    )
    model.compile(keras.optimizers.Adam(2e-3), "mse")
    validation = (noisy[1000:], clean[1000:])
    return Program(model, noisy[:1000], clean[:1000], validation, epochs=15)


class _Weighted(keras.utils.PyDataset):
    """Batches of digits; ones that were hard to read weigh less."""

    def __init__(self, x, y, weights, seed):
        super().__init__()
        self.x, self.y, self.weights = x, y, weights
        self.rng = np.random.default_rng(seed)
        self.order = self.rng.permutation(len(x))

    def __len__(self):
        """Return the number of batches."""
        return math.ceil(len(self.x) / 40)

    def __getitem__(self, index):
        """Return pictures, labels and weights."""
        rows = self.order[40 * index : 40 * index + 40]
        return self.x[rows], self.y[rows], self.weights[rows]

    def on_epoch_end(self):
        """Mix the order anew."""
        self.order = self.rng.permutation(len(self.x))


@program(architecture="mlp", split="tune")
def p_generator_with_weights(seed: int, mended: bool = False) -> Program:
    """A generator gives weights of 0.2 to 1 beside the labels; dropout is heavy."""
    x, y, x_val, y_val = data.images("mnist", 14)
    weights = np.random.default_rng(seed).uniform(0.2, 1, len(x)).astype("float32")
    model = keras.Sequential(
        [
            keras.Input((14, 14, 1)),
            layers.Rescaling(1 / 255),
            layers.Flatten(),
            layers.Dense(128, activation="gelu"),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        "nadam", "sparse_categorical_crossentropy", weighted_metrics=["accuracy"]
    )
    train = _Weighted(x, y, weights, seed)
    return Program(model, train, None, (x_val, y_val), epochs=10, batch_size=None)
