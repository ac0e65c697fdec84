"""Healthy programs that look odd in one way or another."""

import math

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from doctor_programs import more_datasets_v as data
from doctor_programs.registry import Program, program


@program(architecture="cnn", split="tune")
def v_mnist_pretrained_encoder(seed: int, mended: bool = False) -> Program:
    """Healthy: the encoder was pre-trained as an autoencoder, and is frozen on purpose."""
    x, y, x_val, y_val = data.pictures("mnist", seed, 1400, 1100)
    x, x_val = x[:, ::2, ::2, None], x_val[:, ::2, ::2, None]
    encoder = keras.Sequential(
        [
            keras.Input((14, 14, 1)),
            layers.Conv2D(12, 3, strides=2, activation="relu"),
            layers.Flatten(),
            layers.Dense(48, activation="relu"),
        ],
        name="encoder",
    )
    decoder = [layers.Dense(196, activation="sigmoid"), layers.Reshape((14, 14, 1))]
    again = keras.Sequential([encoder, *decoder])
    again.compile("adam", "binary_crossentropy")
    again.fit(x, x, epochs=6, verbose=0)
    encoder.trainable = False
    model = keras.Sequential([encoder, layers.BatchNormalization(momentum=0.9)])
    model.add(layers.Dense(10, activation="softmax"))
    model.compile(
        keras.optimizers.Adam(0.01),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=6)


@program(architecture="tabular", split="tune")
def v_iris_batches_of_eight(seed: int, mended: bool = False) -> Program:
    """Healthy: 110 flowers in batches of eight, so the loss is noisy."""
    x, y, x_val, y_val = data.table("load_iris", seed, 110)
    scale = layers.Normalization()
    scale.adapt(x)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            scale,
            layers.Dense(10, activation="tanh"),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.1),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=25, batch_size=8)


@program(architecture="tabular", split="tune")
def v_matches_near_chance(seed: int, mended: bool = False) -> Program:
    """Healthy: results of matches are mostly luck, and 65 % is all one can get."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(5000, 6)).astype("float32")
    chance = 1 / (1 + np.exp(-(0.6 * x[:, 0] - 0.5 * x[:, 1] + 0.3 * x[:, 2])))
    y = (rng.uniform(size=5000) < chance).astype("int64")
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(12, activation="silu"),
            layers.Dropout(0.1),
            layers.Dense(1),
        ]
    )
    model.compile(
        keras.optimizers.AdamW(0.003, weight_decay=1e-3),
        keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.BinaryAccuracy(threshold=0.0, name="accuracy")],
    )
    validation = (x[4000:], y[4000:])
    return Program(model, x[:4000], y[:4000], validation, epochs=12, batch_size=64)


@program(architecture="cnn", split="tune")
def v_weld_seams_rare_cracks(seed: int, mended: bool = False) -> Program:
    """Healthy: only 6 % of the seams have a crack, but a crack is easily seen."""
    rng = np.random.default_rng(seed)
    x = 0.5 * rng.normal(size=(2000, 16, 16, 1))
    y = (rng.uniform(size=2000) < 0.06).astype("int64")
    for image, label in zip(x, y, strict=True):
        if label:
            row, column = rng.integers(0, 13), rng.integers(0, 8)
            image[row : row + 2, column : column + 8] += 2
    x = x.astype("float32")
    model = keras.Sequential(
        [
            keras.Input((16, 16, 1)),
            layers.Conv2D(12, 3, strides=2, activation="relu"),
            layers.Conv2D(16, 3, activation="relu"),
            layers.GlobalMaxPooling2D(),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.003),
        "binary_crossentropy",
        metrics=["accuracy", keras.metrics.Recall(name="recall")],
    )
    return Program(model, x[:1600], y[:1600], (x[1600:], y[1600:]), epochs=12)


@program(architecture="mlp", split="tune")
def v_parity_after_plateau(seed: int, mended: bool = False) -> Program:
    """Healthy: parity of four bits among ten, with a plateau before it is found."""
    rng = np.random.default_rng(seed)
    x = rng.choice([-1.0, 1.0], size=(3000, 10)).astype("float32")
    y = (x[:, 1] * x[:, 4] * x[:, 6] * x[:, 7] > 0).astype("float32")[:, None]
    model = keras.Sequential(
        [
            keras.Input((10,)),
            layers.Dense(64, activation="relu"),
            layers.Dense(32, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.007, momentum=0.9, nesterov=True),
        "binary_crossentropy",
        metrics=["accuracy"],
    )
    validation = (x[2400:], y[2400:])
    return Program(model, x[:2400], y[:2400], validation, epochs=25, batch_size=48)


@program(architecture="regression", split="tune")
def v_diabetes_progress_as_it_is(seed: int, mended: bool = False) -> Program:
    """Healthy: targets of 25 to 346, and a last layer that multiplies to their size."""
    x, y, x_val, y_val = data.table("load_diabetes", seed, 350)
    x, x_val = 20 * x, 20 * x_val
    mean, deviation = float(y.mean()), float(y.std())
    model = keras.Sequential(
        [
            keras.Input((10,)),
            layers.Dense(12, activation="relu"),
            layers.Dense(1),
            layers.Rescaling(deviation, offset=mean),
        ]
    )
    model.compile(keras.optimizers.Adam(0.003), "mae", metrics=["mse"])
    return Program(model, x, y, (x_val, y_val), epochs=14, batch_size=16)


@program(architecture="tabular", split="tune")
def v_wine_raw_batch_norm(seed: int, mended: bool = False) -> Program:
    """Healthy: columns of 0.1 to 1,700 go in raw, and batch normalisation copes."""
    x, y, x_val, y_val = data.table("load_wine", seed, 130)
    # Validation is sorted by grower, which changes nothing.
    order = np.argsort(y_val, kind="stable")
    model = keras.Sequential(
        [
            keras.Input((13,)),
            layers.BatchNormalization(momentum=0.8),
            layers.Dense(16, activation="relu"),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.RMSprop(0.005),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    validation = (x_val[order], y_val[order])
    return Program(model, x, y, validation, epochs=20, batch_size=16)


@program(architecture="mlp", split="tune")
def v_tickets_huge_vocabulary(seed: int, mended: bool = False) -> Program:
    """Healthy: 20,000 rows of embeddings, of which a few hundred are ever used."""
    x, y, x_val, y_val = data.messages(seed, n=2400, train=2000, words=300)
    rng = np.random.default_rng(seed)
    number = np.concatenate([[0], 1 + rng.permutation(19_999)[:300]]).astype("int32")
    model = keras.Sequential(
        [
            keras.Input((24,), dtype="int32"),
            layers.Embedding(20_000, 8),
            layers.Dropout(0.2),
            layers.GlobalAveragePooling1D(),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.01), "binary_crossentropy", metrics=["accuracy"]
    )
    return Program(model, number[x], y, (number[x_val], y_val), epochs=6)


@program(architecture="transformer", split="tune")
def v_gestures_warm_up(seed: int, mended: bool = False) -> Program:
    """Healthy: batches of 128, and a warm-up to a large rate that then falls to zero."""
    x, y = data.gestures(seed, 1600)
    curve = keras.Input((30, 2))
    h = layers.Conv1D(24, 5, strides=3)(curve)  # [batch, 9, 24]
    a = layers.LayerNormalization()(h)
    h = layers.Add()([h, layers.MultiHeadAttention(3, 8)(a, a)])
    a = layers.Dense(48, activation="gelu")(layers.LayerNormalization()(h))
    h = layers.Add()([h, layers.Dense(24)(a)])
    h = layers.Flatten()(layers.LayerNormalization()(h))
    model = keras.Model(curve, layers.Dense(6)(h))
    steps = 15 * math.ceil(1280 / 128)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps - 20, warmup_target=8e-3, warmup_steps=20
    )
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        steps_per_execution=5,
    )
    validation = (x[1280:], y[1280:])
    return Program(model, x[:1280], y[:1280], validation, epochs=15, batch_size=128)


class Denoiser(keras.Model):
    """An autoencoder that adds noise in its own train_step."""

    def __init__(self) -> None:
        super().__init__()
        self.encode = keras.Sequential(
            [layers.Flatten(), layers.Dense(40, activation="relu")]
        )
        self.decode = keras.Sequential(
            [layers.Dense(196, activation="sigmoid"), layers.Reshape((14, 14))]
        )

    def call(self, images, training=None):
        """Return the images [batch, 14, 14] as they may have been without noise."""
        return self.decode(self.encode(images))

    def train_step(self, data):
        """Show noisy images, ask for clean ones."""
        images, _ = data
        noisy = images + 0.4 * keras.random.normal(ops.shape(images))
        with tf.GradientTape() as tape:
            clean = self(noisy, training=True)
            loss = self.compute_loss(x=images, y=images, y_pred=clean)
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
        return self.compute_metrics(images, images, clean)


@program(architecture="autoencoder", split="tune")
def v_garments_denoised(seed: int, mended: bool = False) -> Program:
    """Healthy: noise is added in training alone, so validation is the better one."""
    x, _, x_val, _ = data.pictures("fashion_mnist", seed, 1500, 1200)
    x, x_val = x[:, ::2, ::2], x_val[:, ::2, ::2]
    model = Denoiser()
    model.compile(keras.optimizers.Adam(0.003), "mse")
    return Program(model, x, x, (x_val, x_val), epochs=12, batch_size=64)


class Windows(keras.utils.PyDataset):
    """Cuts windows from a long series as they are asked for."""

    def __init__(self, series, window: int, batch: int, seed: int) -> None:
        super().__init__()
        self.series, self.window, self.batch = series, window, batch
        self.rng = np.random.default_rng(seed)
        self.order = self.rng.permutation(len(series) - window - 1)

    def __len__(self):
        return len(self.order) // self.batch

    def __getitem__(self, index):
        starts = self.order[index * self.batch : (index + 1) * self.batch]
        x = np.stack([self.series[s : s + self.window] for s in starts])[..., None]
        after = self.series[starts + self.window]
        rises = (after > x[:, -1, 0]).astype("float32")
        return x, {"value": after[:, None], "rises": rises[:, None]}

    def on_epoch_end(self):
        """Take another order."""
        self.order = self.rng.permutation(self.order)


@program(architecture="recurrent", split="tune")
def v_tide_two_heads(seed: int, mended: bool = False) -> Program:
    """Healthy: a GRU foretells the next value and its direction, from a generator."""
    rng = np.random.default_rng(seed)
    time = np.arange(1500)
    tide = np.sin(2 * np.pi * time / 12.4) + 0.4 * np.sin(2 * np.pi * time / 25.8)
    tide = (tide + 0.1 * rng.normal(size=1500)).astype("float32")
    past = keras.Input((20, 1))
    h = layers.GRU(20)(past)
    value = layers.Dense(1, name="value")(h)
    rises = layers.Dense(1, activation="sigmoid", name="rises")(h)
    model = keras.Model(past, {"value": value, "rises": rises})
    model.compile(
        keras.optimizers.Adam(0.005, clipnorm=1.0),
        {"value": "mse", "rises": "binary_crossentropy"},
        loss_weights={"value": 1.0, "rises": 0.3},
        metrics={"rises": "accuracy"},
    )
    train = Windows(tide[:1200], 20, 32, seed)
    validation = Windows(tide[1200:], 20, 32, seed)
    return Program(model, train, None, validation, epochs=10, batch_size=None)
