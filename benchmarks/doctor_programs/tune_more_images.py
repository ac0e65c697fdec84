"""More: image programs with a fault each, written as scripts are."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers as L

from doctor_programs import more_datasets as data
from doctor_programs.registry import Program, program

CROSS_ENTROPY = "sparse_categorical_crossentropy"


def convnet(shape, classes=10, activation="relu", start="glorot_uniform", **more):
    """Return conv, pool, conv, pool, dense with a softmax."""
    named = {"activation": activation, "kernel_initializer": start, **more}
    model = keras.models.Sequential()
    model.add(L.Input(shape))
    model.add(L.Conv2D(16, (3, 3), padding="same", **named))
    model.add(L.MaxPool2D())
    model.add(L.Conv2D(24, (3, 3), padding="same", **named))
    model.add(L.MaxPool2D())
    model.add(L.Flatten())
    model.add(L.Dense(48, **named))
    model.add(L.Dense(classes, activation="softmax"))
    return model


def garment_arrays(seed):
    """Return garments in [0, 1] and their labels, for training and validation."""
    x, y, xv, yv = data.clothes(seed)
    return x.astype("float32") / 255.0, y, xv.astype("float32") / 255.0, yv


@program(faults=("vanishing-gradients",), architecture="cnn", split="tune")
def nine_sigmoid_convolutions(seed, mended=False):
    """Nine convolutions with sigmoids, no normalisation: the first ones get nothing."""
    x, y, xv, yv = garment_arrays(seed)
    model = keras.Sequential([L.Input((14, 14, 1)), L.AveragePooling2D(2)])
    for _ in range(9):
        if mended:
            model.add(L.Conv2D(12, 3, padding="same", use_bias=False))
            model.add(L.BatchNormalization(momentum=0.9))
            model.add(L.ReLU())
        else:
            model.add(L.Conv2D(12, 3, padding="same", activation="sigmoid"))
    model.add(L.Flatten())
    model.add(L.Dense(10, activation="softmax"))
    model.compile(keras.optimizers.SGD(0.1), CROSS_ENTROPY, metrics=["accuracy"])
    return Program(model, x, y, (xv, yv), epochs=6)


@program(faults=("dead-relu", "initialisation-scale"), architecture="cnn", split="tune")
def biases_far_below_zero(seed, mended=False):
    """The convolutions got a bias of -4 from a copied snippet: nothing gets through."""
    x, y, xv, yv = garment_arrays(seed)
    bias = 0.0 if mended else -4.0
    start = keras.initializers.Constant(bias)
    model = convnet((14, 14, 1), bias_initializer=start)
    model.compile(keras.optimizers.Adam(0.002), CROSS_ENTROPY, metrics=["accuracy"])
    return Program(model, x, y, (xv, yv), epochs=6)


@program(faults=("symmetric-initialisation",), architecture="cnn", split="tune")
def constant_filters(seed, mended=False):
    """All filters start as the same constant, so 16 filters do the work of one."""
    x, y, xv, yv = garment_arrays(seed)
    start = "he_uniform" if mended else keras.initializers.Constant(0.03)
    model = convnet((14, 14, 1), start=start)
    model.compile("adam", CROSS_ENTROPY, metrics=["accuracy"])
    return Program(model, x, y, (xv, yv), epochs=6)


@program(faults=("learning-rate-too-low",), architecture="cnn", split="tune")
def one_hundred_thousandth(seed, mended=False):
    """Plain SGD at 1e-5: the curves are flat lines."""
    x, y, xv, yv = garment_arrays(seed)
    model = convnet((14, 14, 1))
    rate = 0.1 if mended else 1e-5
    optimizer = keras.optimizers.SGD(rate, momentum=0.5)
    model.compile(optimizer, CROSS_ENTROPY, metrics=["accuracy"])
    return Program(model, x, y, (xv, yv), epochs=7)


@program(faults=("unnormalised-inputs",), architecture="cnn", split="tune")
def photos_as_they_are(seed, mended=False):
    """Colour pixels of 0 to 255 go straight into a CNN with momentum SGD."""
    x, y, xv, yv = data.signs(seed)
    x, xv = x.astype("float32"), xv.astype("float32")
    if mended:
        x, xv = x / 127.5 - 1, xv / 127.5 - 1
    model = convnet((16, 16, 3))
    optimizer = keras.optimizers.SGD(0.02, momentum=0.8)
    model.compile(optimizer, CROSS_ENTROPY, metrics=["accuracy"])
    return Program(model, x, y, (xv, yv), epochs=6)


@program(
    faults=("missing-nonlinearity", "underfitting"),
    architecture="cnn",
    split="tune",
)
def convolutions_without_activation(seed, mended=False):
    """Conv2D without activation=, average pooling: the whole network is linear."""
    x, y, xv, yv = data.signs(seed)
    x, xv = x / np.float32(127.5) - 1, xv / np.float32(127.5) - 1
    act = "relu" if mended else None
    inputs = keras.Input((16, 16, 3))
    h = L.Conv2D(16, 3, padding="same", activation=act)(inputs)
    h = L.AveragePooling2D(2)(h)
    h = L.Conv2D(32, 3, padding="same", activation=act)(h)
    h = L.GlobalAveragePooling2D()(h)
    h = L.Dense(48, activation=act)(h)
    model = keras.Model(inputs, L.Dense(10, activation="softmax")(h))
    model.compile(keras.optimizers.Adam(0.005), CROSS_ENTROPY, metrics=["accuracy"])
    return Program(model, x, y, (xv, yv), epochs=10)


@program(faults=("loss-activation-mismatch",), architecture="cnn", split="tune")
def rectified_scores(seed, mended=False):
    """ReLU on the scores in front of the softmax: classes at 0 get no gradient."""
    x, y, xv, yv = garment_arrays(seed)
    model = keras.Sequential(
        [
            L.Input((14, 14, 1)),
            L.Conv2D(16, 3, strides=2, activation="relu"),
            L.Flatten(),
            L.Dense(10, activation=None if mended else "relu"),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss, metrics=["accuracy"])
    return Program(model, x, y, (xv, yv), epochs=8)


@program(faults=("misaligned-labels",), architecture="cnn", split="tune")
def labels_in_sorted_order(seed, mended=False):
    """The label file is sorted by class, the images are not."""
    x, y, xv, yv = garment_arrays(seed)
    if not mended:
        y = np.sort(y)
    model = convnet((14, 14, 1))
    model.compile(keras.optimizers.Adam(0.002), CROSS_ENTROPY, metrics=["accuracy"])
    return Program(model, x, y, (xv, yv), epochs=7)


@program(faults=("over-regularised",), architecture="cnn", split="tune")
def lasso_of_one(seed, mended=False):
    """An L1 penalty of 0.5 on each filter: all weights go to 0."""
    x, y, xv, yv = garment_arrays(seed)
    penalty = keras.regularizers.L1(1e-6 if mended else 0.5)
    model = convnet((14, 14, 1), kernel_regularizer=penalty)
    model.compile("adam", CROSS_ENTROPY, metrics=["accuracy"])
    return Program(model, x, y, (xv, yv), epochs=7)


@program(faults=("overfitting",), architecture="cnn", split="tune")
def ninety_photos(seed, mended=False):
    """A CNN sees the same 90 photos for 40 epochs."""
    x, y, xv, yv = data.signs(seed, n=3000, train=2400)
    x, xv = x / np.float32(127.5) - 1, xv / np.float32(127.5) - 1
    count, epochs = (2400, 6) if mended else (90, 40)
    model = convnet((16, 16, 3))
    model.compile(keras.optimizers.Adam(0.003), CROSS_ENTROPY, metrics=["accuracy"])
    return Program(model, x[:count], y[:count], (xv, yv), epochs, batch_size=30)


@program(faults=("train-inference-gap",), architecture="cnn", split="tune")
def dropout_of_their_own(seed, mended=False):
    """A home-made dropout forgets to scale up: in inference all signals are tripled."""

    class Drop(L.Layer):
        def call(self, h, training=False):
            if not training:
                return h
            kept = tf.cast(tf.random.uniform(tf.shape(h)) < 0.33, h.dtype)
            return h * kept / 0.33 if mended else h * kept

        def compute_output_shape(self, shape):
            return shape

    x, y, xv, yv = garment_arrays(seed)
    inputs = keras.Input((14, 14, 1))
    h = L.Conv2D(24, 3, strides=2, activation="relu")(inputs)
    h = Drop()(L.Flatten()(h))
    h = Drop()(L.Dense(96, activation="relu")(h))
    model = keras.Model(inputs, L.Dense(10, activation="softmax")(h))
    model.compile(keras.optimizers.Adam(0.002), CROSS_ENTROPY, metrics=["accuracy"])
    return Program(model, x, y, (xv, yv), epochs=8)


@program(faults=("label-noise",), architecture="cnn", split="tune")
def scraped_from_the_web(seed, mended=False):
    """45 % of the labels come from a bad search engine."""
    x, y, xv, yv = garment_arrays(seed)
    if not mended:
        rng = np.random.default_rng(seed)
        for labels in (y, yv):
            wrong = rng.random(len(labels)) < 0.45
            labels[wrong] = rng.integers(10, size=wrong.sum())
    model = convnet((14, 14, 1))
    model.compile(keras.optimizers.Adam(0.002), CROSS_ENTROPY, metrics=["accuracy"])
    return Program(model, x, y, (xv, yv), epochs=8)


@program(faults=("train-validation-shift",), architecture="cnn", split="tune")
def other_channel_order(seed, mended=False):
    """Validation images were read by another library: -1..1 became 0..255."""
    x, y, xv, yv = data.signs(seed)
    x = x / np.float32(127.5) - 1
    xv = xv / np.float32(127.5) - 1 if mended else xv.astype("float32")
    train_ds = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(1200).batch(40)
    val_ds = tf.data.Dataset.from_tensor_slices((xv, yv)).batch(40)
    model = convnet((16, 16, 3))
    model.compile(keras.optimizers.Adam(0.003), CROSS_ENTROPY, metrics=["accuracy"])
    return Program(model, train_ds, None, val_ds, 8, batch_size=None)


@program(faults=("class-imbalance",), architecture="cnn", split="tune")
def a_few_pixels_of_crack(seed, mended=False):
    """One image in seventy shows a crack, and the detector always says there is none."""
    rng = np.random.default_rng(seed)
    y = (rng.random(1500) < (0.5 if mended else 0.014)).astype("float32")
    x = 0.5 + 0.25 * rng.normal(size=(1500, 12, 12, 1))
    for image, crack in zip(x, y, strict=True):
        if crack:
            start = rng.integers(1, 5)
            image[np.arange(start, start + 7), np.arange(start, start + 7)] += 0.55
    x = np.clip(x, 0, 1.5).astype("float32")
    model = keras.Sequential([L.Input((12, 12, 1))])
    model.add(L.Conv2D(8, 5, activation="relu"))
    model.add(L.GlobalMaxPooling2D())
    model.add(L.Dense(1, activation="sigmoid"))
    model.compile(keras.optimizers.Adam(0.005), "binary_crossentropy", metrics=["acc"])
    return Program(model, x[:1200], y[:1200], (x[1200:], y[1200:]), epochs=6)


@program(faults=("wrong-update",), architecture="cnn", split="tune")
def trains_a_copy(seed, mended=False):
    """The training step computes the loss of the model and updates a clone of it."""

    class Trainer(keras.Model):
        def __init__(self, inner, **more):
            super().__init__(**more)
            self.inner = inner
            self.other = keras.models.clone_model(inner)

        def call(self, inputs, training=None):
            return self.inner(inputs, training=training)

        def train_step(self, batch):
            x, y = batch
            with tf.GradientTape() as tape:
                p = self.inner(x, training=True)
                loss = self.compute_loss(x=x, y=y, y_pred=p)
            gradients = tape.gradient(loss, self.inner.trainable_variables)
            target = self.inner if mended else self.other
            pairs = zip(gradients, target.trainable_variables, strict=True)
            self.optimizer.apply_gradients(pairs)
            self._loss_tracker.update_state(loss)
            return self.compute_metrics(x, y, p)

    x, y, xv, yv = garment_arrays(seed)
    model = Trainer(convnet((14, 14, 1)))
    model.compile(keras.optimizers.Adam(0.002), CROSS_ENTROPY, metrics=["accuracy"])
    return Program(model, x, y, (xv, yv), epochs=6)
