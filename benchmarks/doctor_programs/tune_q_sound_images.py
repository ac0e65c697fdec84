"""Healthy programs on images and tables that look odd in one way or another."""

import keras
import numpy as np
from keras import layers, ops

from doctor_programs import more_datasets_q as data
from doctor_programs.registry import Program, program


@program(architecture="mlp", split="tune")
def q_random_features_on_purpose(seed: int) -> Program:
    """An extreme learning machine: 800 random features stay frozen, on purpose."""
    x, y, x_val, y_val = data.table("digits", seed, 1400)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(800, activation="relu", trainable=False, name="random"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(2e-3),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=8, batch_size=40)


@program(architecture="cnn", split="tune")
def q_backbone_learnt_elsewhere(seed: int) -> Program:
    """The frozen backbone has learnt the other nine garments beforehand."""
    x, y = data.pictures("fashion_mnist", seed, 2400)
    backbone = keras.Sequential(
        [
            keras.Input((14, 14, 1)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Flatten(),
        ]
    )
    earlier = keras.Sequential([backbone, layers.Dense(10, activation="softmax")])
    earlier.compile(keras.optimizers.Adam(2e-3), "sparse_categorical_crossentropy")
    earlier.fit(x[:1600], y[:1600], epochs=4, batch_size=32, verbose=0)
    backbone.trainable = False
    # The new task: things for the feet, for the hands, for the legs, or for the rest.
    kinds = np.array([0, 1, 0, 0, 0, 2, 0, 2, 3, 2])[y]
    x, kinds, x_val, kinds_val = data.cut(x[1600:], kinds[1600:], 600)
    inputs = keras.Input((14, 14, 1))
    features = backbone(inputs, training=False)
    model = keras.Model(inputs, layers.Dense(4, activation="softmax")(features))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return Program(model, x, kinds, (x_val, kinds_val), epochs=10, batch_size=32)


@program(architecture="cnn", split="tune")
def q_batches_of_256_and_a_rate_of_one(seed: int) -> Program:
    """A batch of 256 with a rate of 1.0, which BatchNormalization and warm-up bear."""
    x, y = data.pictures("mnist", seed, 1437)
    x, y, x_val, y_val = data.cut(x, y, 1200)
    model = keras.Sequential(
        [
            keras.Input((14, 14, 1)),
            layers.Conv2D(16, 3, use_bias=False),
            layers.BatchNormalization(momentum=0.8),
            layers.ReLU(),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(48, use_bias=False),
            layers.BatchNormalization(momentum=0.8),
            layers.ReLU(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    rate = keras.optimizers.schedules.CosineDecay(
        0.02, decay_steps=65, warmup_target=1.0, warmup_steps=15
    )
    model.compile(
        keras.optimizers.SGD(rate),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=16, batch_size=256)


class Augmented(keras.utils.PyDataset):
    """Batches of pictures, each moved and mirrored anew.

    Args:
        pictures: float32 [n, height, width, channels].
        labels: Class numbers [n].
        seed: For the moves.
    """

    def __init__(self, pictures, labels, seed: int):
        super().__init__()
        self.pictures, self.labels = pictures, labels
        self.rng = np.random.default_rng(seed)
        self.order = self.rng.permutation(len(labels))

    def __len__(self):
        """Return the number of batches of 32."""
        return len(self.labels) // 32

    def __getitem__(self, index):
        """Return one batch."""
        rows = self.order[32 * index : 32 * (index + 1)]
        x = self.pictures[rows]
        if self.rng.uniform() < 0.5:
            x = x[:, :, ::-1]
        x = np.roll(x, self.rng.integers(-1, 2, size=2), axis=(1, 2))
        return x, self.labels[rows]

    def on_epoch_end(self):
        """Draw another order."""
        self.order = self.rng.permutation(len(self.labels))


@program(architecture="cnn", split="tune")
def q_harder_in_training(seed: int) -> Program:
    """With dropout and augmentation, training looks worse than validation throughout."""
    x, y = data.pictures("fashion_mnist", seed, 2000)
    x, y, x_val, y_val = data.cut(x, y, 1600)
    model = keras.Sequential(
        [
            keras.Input((14, 14, 1)),
            layers.Conv2D(24, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(64, activation="relu"),
            layers.Dropout(0.4),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(2e-3),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    batches = Augmented(x, y, seed)
    return Program(model, batches, None, (x_val, y_val), epochs=12, batch_size=None)


@program(architecture="autoencoder", split="tune")
def q_sparse_code_that_works(seed: int) -> Program:
    """A sparse autoencoder: by its penalty most of the code is 0, and it still restores."""
    x, _, x_val, _ = data.table("digits", seed, 1400, scaled=False)
    x, x_val = x / 16, x_val / 16
    sparse = keras.regularizers.L1(2e-4)
    inputs = keras.Input((64,))
    code = layers.Dense(128, activation="relu", activity_regularizer=sparse)(inputs)
    outputs = layers.Dense(64)(code)
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(2e-3), "mse", metrics=["mse"])
    return Program(model, x, x, (x_val, x_val), epochs=20, batch_size=32)


@program(architecture="cnn", split="tune")
def q_smoothed_labels(seed: int) -> Program:
    """With label smoothing of 0.2 the loss can't get below 0.9; the accuracy is fine."""
    x, y = data.pictures("mnist", seed, 1400)
    x, y, x_val, y_val = data.cut(x, np.eye(10, dtype="float32")[y], 1150)
    model = keras.Sequential(
        [
            keras.Input((14, 14, 1)),
            layers.Conv2D(16, 5, strides=2, activation="relu"),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10),
        ]
    )
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.2)
    model.compile(keras.optimizers.AdamW(2e-3), loss, metrics=["accuracy"])
    return Program(model, x, y, (x_val, y_val), epochs=12, batch_size=23)


def contrastive(same, distance):
    """Return the contrastive loss of each pair, with a margin of 1."""
    far = ops.square(ops.maximum(1 - distance, 0))
    return ops.mean(same * ops.square(distance) + (1 - same) * far, axis=-1)


@program(architecture="siamese", split="tune")
def q_pairs_of_garments(seed: int) -> Program:
    """Contrastive learning of pairs of garments with shared weights; no metrics."""
    x, y = data.pictures("fashion_mnist", seed, 1500)
    rng = np.random.default_rng(seed)
    by_class = [np.flatnonzero(y == c) for c in range(10)]
    right = np.array(
        [rng.choice(by_class[c if i % 2 else (c + 3) % 10]) for i, c in enumerate(y)]
    )
    same = (y == y[right]).astype("float32")[:, None]
    encoder = keras.Sequential(
        [
            keras.Input((14, 14, 1)),
            layers.Conv2D(16, 3, strides=2, activation="relu"),
            layers.Flatten(),
            layers.Dense(32, activation="relu"),
            layers.Dense(8),
        ]
    )
    one, other = keras.Input((14, 14, 1)), keras.Input((14, 14, 1))
    apart = ops.sum(ops.square(encoder(one) - encoder(other)), -1, keepdims=True)
    model = keras.Model([one, other], ops.sqrt(apart + 1e-6))
    model.compile(keras.optimizers.Adam(2e-3), contrastive)
    train = [x[:1200], x[right][:1200]]
    held = [x[1200:], x[right][1200:]]
    return Program(model, train, same[:1200], (held, same[1200:]), epochs=15)


@program(architecture="autoencoder", split="tune")
def q_colours_from_noise(seed: int) -> Program:
    """A denoiser's loss soon stops falling: the pictures' own grain can't be foretold."""
    x, _ = data.pictures("cifar10", seed, 900)
    noise = 0.1 * np.random.default_rng(seed).normal(size=x.shape)
    noisy, clean, noisy_val, clean_val = data.cut((x + noise).astype("float32"), x, 750)
    inputs = keras.Input((16, 16, 3))
    hidden = layers.Conv2D(16, 3, padding="same", activation="gelu")(inputs)
    hidden = layers.Conv2D(16, 3, padding="same", activation="gelu")(hidden)
    outputs = layers.Conv2D(3, 3, padding="same")(hidden)
    model = keras.Model(inputs, layers.Add()([inputs, outputs]))
    model.compile(keras.optimizers.Adam(3e-3), "mae")
    return Program(model, noisy, clean, (noisy_val, clean_val), epochs=6, batch_size=16)
