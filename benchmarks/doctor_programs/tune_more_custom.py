"""More: autoencoders, siamese networks, own layers and steps with a fault each."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers as L
from keras import ops

from doctor_programs import more_datasets as data
from doctor_programs.datasets import pairs
from doctor_programs.registry import Program, program

CROSS_ENTROPY = "sparse_categorical_crossentropy"


def flat_clothes(seed, n=1500):
    """Return garments as rows [n, 196] in [0, 1], for training and validation."""
    x, _, xv, _ = data.clothes(seed, n)
    return [a.reshape(len(a), 196).astype("float32") / 255 for a in (x, xv)]


def bottleneck(code=24, activation="relu", gain=1.0, head="sigmoid"):
    """Return an autoencoder of 196 pixels."""
    first = h = keras.Input((196,))
    for width in (64, code, 64):
        h = L.Dense(width)(h)
        if gain != 1.0:
            h = L.Rescaling(gain)(h)
        h = L.Activation(activation)(h)
    return keras.Model(first, L.Dense(196, activation=head)(h))


@program(faults=("saturated-activations",), architecture="autoencoder", split="tune")
def temperature_of_sixty(seed, mended=False):
    """Each tanh gets its input times 60: it is a switch, and learns like one."""
    x, xv = flat_clothes(seed)
    model = bottleneck(activation="tanh", gain=1.0 if mended else 60.0)
    model.compile(keras.optimizers.SGD(1.0, momentum=0.9), "mse")
    return Program(model, x, x, (xv, xv), epochs=12)


@program(
    # With plain SGD a rate divided by the number of pixels is the same cure.
    faults=("loss-reduction", "learning-rate-too-high"),
    architecture="autoencoder",
    split="tune",
)
def summed_over_pixels(seed, mended=False):
    """The squared errors of all pixels of all images are added up."""
    x, xv = flat_clothes(seed)

    def loss(a, b):
        reduce = ops.mean if mended else ops.sum
        return reduce(ops.square(a - b))

    model = bottleneck(head=None)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss)
    return Program(model, x, x, (xv, xv), epochs=10)


@program(faults=("wrong-metric",), architecture="autoencoder", split="tune")
def accuracy_of_pixels(seed, mended=False):
    """Accuracy of grey values: it asks which decimals are equal."""
    x, xv = flat_clothes(seed)
    model = bottleneck()
    metric = "mae" if mended else "accuracy"
    model.compile(keras.optimizers.Adam(0.003), "mse", metrics=[metric])
    return Program(model, x, x, (xv, xv), epochs=10)


@program(faults=("misaligned-labels",), architecture="autoencoder", split="tune")
def clean_image_of_another(seed, mended=False):
    """A denoiser whose noisy inputs were shuffled and whose clean targets were not."""
    x, xv = flat_clothes(seed)
    rng = np.random.default_rng(seed)
    noisy, noisy_val = (a + 0.2 * rng.normal(size=a.shape) for a in (x, xv))
    if not mended:
        noisy = rng.permutation(noisy)
    model = bottleneck(code=48)
    model.compile(keras.optimizers.Adam(0.003), "mse")
    noisy, noisy_val = noisy.astype("float32"), noisy_val.astype("float32")
    return Program(model, noisy, x, (noisy_val, xv), epochs=12)


@program(faults=("underfitting",), architecture="autoencoder", split="tune")
def everything_through_one_number(seed, mended=False):
    """Garments of ten kinds are squeezed through a single unit."""
    x, xv = flat_clothes(seed)
    model = bottleneck(code=32 if mended else 1)
    model.compile(keras.optimizers.Adam(0.003), "binary_crossentropy")
    return Program(model, x, x, (xv, xv), epochs=12)


def twins(seed, n=3000):
    """Return pairs of garments and whether they are of one kind: x, y, validation."""
    x, y, xv, yv = data.clothes(seed, n=2500, train=2000)
    made = []
    for images, labels, count in ((x, y, n), (xv, yv, n // 4)):
        rows = images.reshape(len(images), 196).astype("float32") / 255
        left, right, same = pairs(rows, labels, seed, count)
        made.append(([left, right], same))
    return *made[0], made[1]


def twin_model(distance):
    """Return the shared tower on two inputs, and `distance` of the two codes."""
    tower = keras.Sequential([L.Dense(64, activation="relu"), L.Dense(16)])
    a, b = keras.Input((196,)), keras.Input((196,))
    return keras.Model([a, b], distance(tower(a), tower(b)))


def contrastive(same, distance):
    """Return the contrastive loss with a margin of 1."""
    far = ops.square(ops.maximum(1 - distance, 0))
    return ops.mean(same * ops.square(distance) + (1 - same) * far)


@program(faults=("non-finite-values",), architecture="siamese", split="tune")
def root_of_nothing(seed, mended=False):
    """The square root of a distance of exactly 0 has an infinite gradient."""
    (left, right), same, validation = twins(seed)
    left[:40], same[:40] = right[:40], 1.0
    floor = 1e-6 if mended else 0.0

    def distance(a, b):
        square = ops.sum(ops.square(a - b), axis=1, keepdims=True)
        return ops.sqrt(square + floor)

    def absolute(same, distance):
        return ops.mean(same * distance + (1 - same) * ops.relu(2 - distance))

    model = twin_model(distance)
    model.compile(keras.optimizers.Adam(0.002), absolute)
    return Program(model, [left, right], same, validation, epochs=6)


@program(faults=("learning-rate-too-high",), architecture="siamese", split="tune")
def twins_at_full_speed(seed, mended=False):
    """Nadam at 5 on a siamese network."""
    x, same, validation = twins(seed)

    def likeness(a, b):
        return L.Dense(1, activation="sigmoid")(ops.abs(a - b))

    model = twin_model(likeness)
    optimizer = keras.optimizers.Nadam(0.002 if mended else 5.0)
    model.compile(optimizer, "binary_crossentropy", metrics=["accuracy"])
    return Program(model, x, same, validation, epochs=6)


@program(faults=("wrong-update",), architecture="siamese", split="tune")
def pushes_the_wrong_way(seed, mended=False):
    """Somebody "maximises the similarity" by negating the whole loss."""

    class Climber(keras.Model):
        def train_step(self, batch):
            x, y = batch
            with tf.GradientTape() as tape:
                p = self(x, training=True)
                loss = self.compute_loss(y=y, y_pred=p)
            gradients = tape.gradient(loss, self.trainable_weights)
            if not mended:
                gradients = [-g for g in gradients]
            self.optimizer.apply(gradients, self.trainable_weights)
            self._loss_tracker.update_state(loss)
            return self.compute_metrics(x, y, p)

    x, same, validation = twins(seed)

    def likeness(a, b):
        return L.Dense(1, activation="sigmoid")(ops.abs(a - b))

    plain = twin_model(likeness)
    model = Climber(plain.inputs, plain.outputs[0])
    model.compile(keras.optimizers.Adam(0.002), "binary_crossentropy", metrics=["acc"])
    x = tuple(x)
    return Program(model, x, same, (tuple(validation[0]), validation[1]), epochs=6)


@program(faults=("disconnected-gradient",), architecture="mlp", split="tune")
def detour_through_numpy(seed, mended=False):
    """A hand-written squashing in NumPy: TensorFlow knows no gradient of it."""

    class Squash(L.Layer):
        def call(self, h):
            if mended:
                return ops.tanh(h)
            out = tf.numpy_function(np.tanh, [h], tf.float32)
            out.set_shape(h.shape)
            return out

        def compute_output_shape(self, shape):
            return shape

    x, y, xv, yv = data.parity(seed)
    model = keras.Sequential([L.Input((6,)), L.Dense(16), Squash()])
    model.add(L.Dense(32, activation="relu"))
    model.add(L.Dense(2, activation="softmax"))
    model.compile(keras.optimizers.Adam(0.01), CROSS_ENTROPY, metrics=["accuracy"])
    return Program(model, x, y, (xv, yv), epochs=15)


@program(faults=("loss-activation-mismatch",), architecture="mlp", split="tune")
def a_softmax_too_many(seed, mended=False):
    """Dense(3, activation="softmax"), and a Softmax layer behind it."""
    x, y, xv, yv = data.wine(seed)
    model = keras.Sequential([L.Input((13,)), L.Dense(24, activation="relu")])
    model.add(L.Dense(3, activation=None if mended else "softmax"))
    model.add(L.Softmax())
    model.compile(keras.optimizers.SGD(0.1), CROSS_ENTROPY, metrics=["accuracy"])
    return Program(model, x, y, (xv, yv), epochs=20, batch_size=16)


@program(
    faults=("loss-activation-mismatch", "loss-reduction"),
    architecture="mlp",
    split="tune",
)
def softmax_down_the_batch(seed, mended=False):
    """The softmax sums to 1 over the batch (axis=0), not over the classes."""
    x, y, xv, yv = data.clothes(seed)
    x, xv = (a.reshape(len(a), -1).astype("float32") / 255 for a in (x, xv))
    axis = -1 if mended else 0
    inputs = keras.Input((196,))
    h = L.Dense(48, activation="relu")(inputs)
    p = L.Lambda(lambda s: tf.nn.softmax(s, axis=axis) + 1e-7)(L.Dense(10)(h))
    model = keras.Model(inputs, p)

    def own_cross_entropy(labels, p):
        labels = tf.one_hot(tf.cast(tf.reshape(labels, [-1]), tf.int32), 10)
        return -tf.reduce_mean(tf.reduce_sum(labels * tf.math.log(p), axis=1))

    model.compile(keras.optimizers.Adam(0.002), own_cross_entropy, metrics=["accuracy"])
    return Program(model, x, y, (xv, yv), epochs=8)


@program(faults=("train-inference-gap",), architecture="tabular", split="tune")
def averages_that_lag(seed, mended=False):
    """momentum=0.999 for batch normalisation in a run of 150 steps, compiled by XLA."""
    x, y, xv, yv = data.cancer(seed, standardise=False)
    x, xv = np.log1p(x), np.log1p(xv)
    model = keras.Sequential([L.Input((30,))])
    momentum = 0.8 if mended else 0.999
    model.add(L.BatchNormalization(momentum=momentum))
    model.add(L.Dense(32, activation="relu"))
    model.add(L.BatchNormalization(momentum=momentum))
    model.add(L.Dense(1, activation="sigmoid"))
    model.compile(
        keras.optimizers.Adam(0.003),
        "binary_crossentropy",
        metrics=["accuracy"],
        jit_compile=True,
    )
    return Program(model, x, y, (xv, yv), epochs=10)


@program(faults=("data-leakage",), architecture="cnn", split="tune")
def augmented_before_the_split(seed, mended=False):
    """Each photo was copied with a little noise four times, then the set was divided."""
    x, y, xv, yv = data.clothes(seed, n=600, train=240)
    x, xv = x.astype("float32") / 255, xv.astype("float32") / 255
    rng = np.random.default_rng(seed)
    x, y = np.tile(x, (5, 1, 1, 1)), np.tile(y, 5)
    x = (x + 0.02 * rng.normal(size=x.shape)).astype("float32")
    order = rng.permutation(len(x))
    x, y = x[order], y[order]
    validation = (xv, yv) if mended else (x[900:], y[900:])
    model = keras.Sequential(
        [
            L.Input((14, 14, 1)),
            L.Conv2D(16, 3, strides=2, activation="relu"),
            L.Flatten(),
            L.Dense(10, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.002), CROSS_ENTROPY, metrics=["accuracy"])
    return Program(model, x[:900], y[:900], validation, epochs=7)


@program(faults=("frozen-weights", "underfitting"), architecture="mlp", split="tune")
def recompiled_while_frozen(seed, mended=False):
    """Layers were frozen for a warm-up of the head, and stayed so for the real run."""
    x, y, xv, yv = data.parity(seed)
    inputs = keras.Input((6,))
    h = inputs
    for i in range(3):
        layer = L.Dense(24, activation="relu", name=f"block_{i}")
        layer.trainable = mended
        h = layer(h)
    model = keras.Model(inputs, L.Dense(1, activation="sigmoid")(h))
    optimizer = keras.optimizers.Adam(0.01)
    model.compile(optimizer, "binary_crossentropy", metrics=["accuracy"])
    return Program(model, x, y, (xv, yv), epochs=15)


@program(faults=("non-finite-values",), architecture="mlp", split="tune")
def softmax_by_hand(seed, mended=False):
    """exp(x) / sum(exp(x)) without subtracting the maximum, on scores in the hundreds."""
    x, y, xv, yv = data.wine(seed)
    gain = 1.0 if mended else 80.0

    def by_hand(scores):
        powers = ops.exp(gain * scores)
        return powers / ops.sum(powers, axis=-1, keepdims=True)

    inputs = keras.Input((13,))
    h = L.Dense(24, activation="relu")(inputs)
    p = L.Activation(by_hand)(L.Dense(3)(h))
    model = keras.Model(inputs, p)
    model.compile(keras.optimizers.SGD(0.1), CROSS_ENTROPY, metrics=["accuracy"])
    return Program(model, x, y, (xv, yv), epochs=12, batch_size=16)
