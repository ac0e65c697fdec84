"""More: images, sequences, text and own steps that train well."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers as L
from keras import ops

from doctor_programs import more_datasets as data
from doctor_programs.registry import Program, program
from doctor_programs.tune_more_custom import (
    contrastive,
    flat_clothes,
    twin_model,
    twins,
)
from doctor_programs.tune_more_images import convnet, garment_arrays
from doctor_programs.tune_more_sequences import attention_model

CROSS_ENTROPY = "sparse_categorical_crossentropy"


@program(architecture="cnn", split="tune")
def residual_convolutions(seed):
    """Six residual blocks of convolutions with batch normalisation, cosine decay."""
    x, y, xv, yv = garment_arrays(seed)
    inputs = keras.Input((14, 14, 1))
    h = L.Conv2D(12, 3, strides=2, padding="same")(inputs)
    for _ in range(6):
        b = L.Activation("relu")(L.BatchNormalization(momentum=0.9)(h))
        h = h + L.Conv2D(12, 3, padding="same", use_bias=False)(b)
    h = L.GlobalAveragePooling2D()(L.Activation("relu")(h))
    model = keras.Model(inputs, L.Dense(10, activation="softmax")(h))
    rate = keras.optimizers.schedules.CosineDecay(0.01, 230)
    model.compile(keras.optimizers.Adam(rate), CROSS_ENTROPY, metrics=["accuracy"])
    return Program(model, x, y, (xv, yv), epochs=6)


@program(architecture="cnn", split="tune")
def pretrained_and_frozen(seed):
    """Filters that learned garments 0 to 4 stay frozen; a dense head learns 5 to 9."""
    x, y, xv, yv = data.clothes(seed, n=2500, train=2000)
    x, xv = x.astype("float32") / 255, xv.astype("float32") / 255
    body = keras.Sequential(
        [
            L.Conv2D(16, 3, activation="relu"),
            L.MaxPool2D(),
            L.Conv2D(24, 3, activation="relu"),
            L.Flatten(),
        ]
    )
    old = keras.Sequential([L.Input((14, 14, 1)), body, L.Dense(5, "softmax")])
    old.compile("adam", CROSS_ENTROPY)
    old.fit(x[y < 5], y[y < 5], epochs=4, verbose=0)
    for layer in body.layers:
        layer.trainable = False
    head = [L.Dense(32, activation="relu"), L.Dense(5, activation="softmax")]
    model = keras.Sequential([L.Input((14, 14, 1)), body, *head])
    model.compile(keras.optimizers.Adam(0.003), CROSS_ENTROPY, metrics=["accuracy"])
    validation = (xv[yv >= 5], yv[yv >= 5] - 5)
    return Program(model, x[y >= 5], y[y >= 5] - 5, validation, epochs=8)


@program(architecture="cnn", split="tune")
def dropout_in_a_cnn(seed):
    """Dropout of 0.4 between convolutions: training looks worse than validation."""
    x, y, xv, yv = garment_arrays(seed)
    model = keras.Sequential([L.Input((14, 14, 1))])
    for filters in (16, 32):
        model.add(L.Conv2D(filters, 3, padding="same", activation="relu"))
        model.add(L.MaxPool2D())
        model.add(L.SpatialDropout2D(0.3))
    model.add(L.Flatten())
    model.add(L.Dropout(0.4))
    model.add(L.Dense(10, activation="softmax"))
    model.compile(keras.optimizers.Adam(0.003), CROSS_ENTROPY, metrics=["accuracy"])
    return Program(model, x, y, (xv, yv), epochs=8)


@program(architecture="cnn", split="tune")
def colour_figures(seed):
    """Hard colour figures; after five epochs it is half way and still improving."""
    x, y, xv, yv = data.signs(seed, n=3000, train=2500)
    x, xv = x / np.float32(127.5) - 1, xv / np.float32(127.5) - 1
    model = convnet((16, 16, 3), start="he_normal")
    model.compile(keras.optimizers.Adam(0.003), CROSS_ENTROPY, metrics=["accuracy"])
    return Program(model, x, y, (xv, yv), epochs=5)


@program(architecture="autoencoder", split="tune")
def noise_removed(seed):
    """A convolutional denoiser of garments; the loss ends at the noise it can't know."""
    x, _, xv, _ = garment_arrays(seed)
    rng = np.random.default_rng(seed)
    noisy, noisy_val = (a + 0.25 * rng.normal(size=a.shape) for a in (x, xv))
    model = keras.Sequential(
        [
            L.Input((14, 14, 1)),
            L.Conv2D(12, 3, strides=2, padding="same", activation="relu"),
            L.Conv2D(12, 3, padding="same", activation="relu"),
            L.Conv2DTranspose(12, 3, strides=2, padding="same", activation="relu"),
            L.Conv2D(1, 3, padding="same", activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.005), "mse")
    noisy, noisy_val = noisy.astype("float32"), noisy_val.astype("float32")
    return Program(model, noisy, x, (noisy_val, xv), epochs=6)


@program(architecture="autoencoder", split="tune")
def pixels_as_probabilities(seed):
    """Grey values as targets of a binary cross-entropy, whose minimum is far from 0."""
    x, xv = flat_clothes(seed)
    model = keras.Sequential([L.Input((196,))])
    for width, act in ((64, "relu"), (16, None), (64, "relu"), (196, "sigmoid")):
        model.add(L.Dense(width, activation=act))
    model.compile(keras.optimizers.Adam(0.003), "binary_crossentropy")
    return Program(model, x, x, (xv, xv), epochs=10)


@program(architecture="recurrent", split="tune")
def bumps_in_a_trace(seed):
    """A bidirectional GRU counts bumps in two channels, one of them only noise."""
    x, y, xv, yv = data.heartbeats(seed, n=1800, train=1500)
    model = keras.Sequential(
        [
            L.Input((40, 2)),
            L.Conv1D(8, 5, strides=2, activation="relu"),
            L.Bidirectional(L.GRU(8)),
            L.Dense(3, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), CROSS_ENTROPY, metrics=["accuracy"])
    return Program(model, x, y, (xv, yv), epochs=10)


@program(architecture="recurrent", split="tune")
def noisy_oscillation(seed):
    """One-step forecast of an autoregression, in time order, shuffle=False."""
    x, y = data.lagged(data.walk(seed, steps=2000), 12)
    model = keras.Sequential([L.Input((12, 1)), L.LSTM(12), L.Dense(1)])
    model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"])
    more = {"shuffle": False}
    return Program(model, x[:1600], y[:1600], (x[1612:], y[1612:]), 8, more=more)


@program(architecture="recurrent", split="tune")
def causal_convolutions(seed):
    """Dilated causal convolutions with skip connections give a value at each step."""
    x, _ = data.lagged(data.walk(seed), 24)
    x, y = x[:-1], x[1:]
    inputs = keras.Input((24, 1))
    h = L.Conv1D(12, 1)(inputs)
    for rate in (1, 2, 4):
        h = h + L.Conv1D(
            12, 2, padding="causal", dilation_rate=rate, activation="relu"
        )(h)
    model = keras.Model(inputs, L.Dense(1)(h))
    model.compile(keras.optimizers.Adam(0.005), "mse", jit_compile=True)
    return Program(model, x[:1150], y[:1150], (x[1180:], y[1180:]), epochs=6)


@program(architecture="transformer", split="tune")
def counts_of_symbols(seed):
    """The attention model of the faulty programs, without any fault, AdamW, warm-up."""
    x, y, xv, yv = data.brackets(seed, n=3000, train=2500)
    model = attention_model()
    rate = keras.optimizers.schedules.CosineDecay(
        1e-5, 350, warmup_target=0.006, warmup_steps=50
    )
    model.compile(keras.optimizers.AdamW(rate), CROSS_ENTROPY, metrics=["accuracy"])
    return Program(model, x, y, (xv, yv), epochs=5)


@program(architecture="transformer", split="tune")
def bag_of_words(seed):
    """Word numbers, padding masked, mean of embeddings, a generator of batches."""
    x, y, xv, yv = data.brackets(seed, n=2500, train=2000)

    class Texts(keras.utils.PyDataset):
        def __len__(self):
            return 50

        def __getitem__(self, i):
            rows = slice(40 * i, 40 * i + 40)
            return x[rows], y[rows]

    model = keras.Sequential(
        [
            L.Input((16,)),
            L.Embedding(31, 12, mask_zero=True),
            L.GlobalAveragePooling1D(),
            L.Dense(3, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.02), CROSS_ENTROPY, metrics=["accuracy"])
    return Program(model, Texts(), None, (xv, yv), 6, batch_size=None)


@program(architecture="siamese", split="tune")
def kinds_of_clothes(seed):
    """Contrastive learning with a safe distance."""
    x, same, validation = twins(seed)

    def distance(a, b):
        square = ops.sum(ops.square(a - b), axis=1, keepdims=True)
        return ops.sqrt(ops.maximum(square, 1e-7))

    model = twin_model(distance)
    model.compile(keras.optimizers.Adam(0.001), contrastive)
    return Program(model, x, same, validation, epochs=6)


@program(architecture="cnn", split="tune")
def where_and_what(seed):
    """Two heads: what kind of garment, and how bright it is on average."""
    x, y, xv, yv = garment_arrays(seed)
    light, light_val = 4 * x.mean((1, 2, 3)), 4 * xv.mean((1, 2, 3))
    inputs = keras.Input((14, 14, 1))
    h = L.Conv2D(16, 3, strides=2, activation="relu")(inputs)
    h = L.Dense(48, activation="relu")(L.Flatten()(h))
    kind = L.Dense(10, activation="softmax", name="kind")(h)
    brightness = L.Dense(1, name="brightness")(h)
    model = keras.Model(inputs, [kind, brightness])
    losses = [CROSS_ENTROPY, "mse"]
    model.compile("adam", losses, metrics=[["accuracy"], ["mae"]])
    return Program(model, x, [y, light], (xv, [yv, light_val]), epochs=7)


@program(architecture="mlp", split="tune")
def distilled(seed):
    """A custom step that adds a consistency term, as it should be."""

    class Consistent(keras.Model):
        def train_step(self, batch):
            x, y = batch
            with tf.GradientTape() as tape:
                p = self(x, training=True)
                q = self(x + tf.random.normal(tf.shape(x), stddev=0.05), training=True)
                loss = self.compute_loss(y=y, y_pred=p)
                loss += 0.1 * tf.reduce_mean(tf.square(p - q))
            gradients = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply(gradients, self.trainable_variables)
            self._loss_tracker.update_state(loss)
            return self.compute_metrics(x, y, p, None)

    x, y, xv, yv = data.moons(seed)
    inputs = keras.Input((2,))
    h = L.Dense(48, activation="relu")(inputs)
    h = L.Dense(48, activation="relu")(h)
    model = Consistent(inputs, L.Dense(2, activation="softmax")(h))
    model.compile(keras.optimizers.Adam(0.005), CROSS_ENTROPY, metrics=["accuracy"])
    return Program(model, x, y, (xv, yv), epochs=12)
