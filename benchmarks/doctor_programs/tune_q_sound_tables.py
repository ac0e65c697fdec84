"""Healthy programs on tables: hard, small, rare, raw, or with large targets."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from doctor_programs import more_datasets_q as data
from doctor_programs.registry import Program, program


@program(architecture="tabular", split="tune")
def q_chance_has_its_say(seed: int) -> Program:
    """Who leaves is mostly chance: no model can be right in more than about 70 %."""
    x, y = data.customers(seed, 4000, sharpness=0.5)
    x = data.standardised(x, 3200)
    x, y, x_val, y_val = data.cut(x, y[:, None], 3200)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(16, activation="relu"),
            layers.Dense(8, activation="relu"),
            layers.Dense(1),
        ]
    )
    model.compile(
        keras.optimizers.Adam(3e-3),
        keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.BinaryAccuracy(threshold=0.0)],
    )
    return Program(model, x, y, (x_val, y_val), epochs=10, batch_size=64)


@program(architecture="tabular", split="tune")
def q_rare_but_plain(seed: int) -> Program:
    """Five of a hundred customers leave, and the model finds them without any weights."""
    x, y = data.customers(seed, 3000, sharpness=25.0, share=0.05)
    x = data.standardised(x, 2400)
    x, y, x_val, y_val = data.cut(x, y[:, None], 2400)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(32, activation="elu"),
            layers.Dense(32, activation="elu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    metrics = [
        keras.metrics.Precision(name="precision"),
        keras.metrics.Recall(name="recall"),
        keras.metrics.AUC(curve="PR", name="pr_auc"),
    ]
    model.compile(keras.optimizers.Adam(8e-3), "binary_crossentropy", metrics=metrics)
    return Program(model, x, y, (x_val, y_val), epochs=20, batch_size=64)


@program(architecture="tabular", split="tune")
def q_raw_columns_behind_batchnorm(seed: int) -> Program:
    """Raw columns from 0.001 to 4,000, which BatchNormalization at the front takes on."""
    x, y, x_val, y_val = data.table("breast_cancer", seed, 450, scaled=False)
    model = keras.Sequential(
        [
            keras.Input((30,)),
            layers.BatchNormalization(momentum=0.9),
            layers.Dense(16, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(3e-3), "binary_crossentropy", metrics=["accuracy"]
    )
    held = (x_val, y_val[:, None])
    return Program(model, x, y[:, None], held, epochs=20, batch_size=32)


@program(architecture="tabular", split="tune")
def q_irises(seed: int) -> Program:
    """A hundred irises for training and fifty for validation, sorted by species."""
    x, y, x_val, y_val = data.table("iris", seed, 100)
    order = np.argsort(y_val, kind="stable")
    x_val, y_val = x_val[order], y_val[order]
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(10, activation="tanh"),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.02),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=25, batch_size=10)


@program(architecture="regression", split="tune")
def q_progression_as_it_is(seed: int) -> Program:
    """Targets of 25 to 346 as they are, and a rate that the last layer copes with."""
    x, y, x_val, y_val = data.table("diabetes", seed, 340)
    y, y_val = y[:, None].astype("float32"), y_val[:, None].astype("float32")
    model = keras.Sequential(
        [
            keras.Input((10,)),
            layers.Dense(12, activation="relu"),
            layers.Dense(1, bias_initializer=keras.initializers.Constant(150.0)),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.02), keras.losses.Huber(delta=50.0), metrics=["mae"]
    )
    return Program(model, x, y, (x_val, y_val), epochs=15, batch_size=16)


@program(architecture="mlp", split="tune")
def q_long_plateau_of_parity(seed: int) -> Program:
    """The parity of four signs: long nothing, then everything at once."""
    rng = np.random.default_rng(seed)
    x = rng.choice([-1.0, 1.0], size=(2400, 8)).astype("float32")
    x += 0.1 * rng.normal(size=x.shape).astype("float32")
    y = (np.sign(x[:, :4]).prod(1) > 0).astype("float32")[:, None]
    x, y, x_val, y_val = data.cut(x, y, 2000)
    model = keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(48, activation="tanh"),
            layers.Dense(24, activation="tanh"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.05, momentum=0.9),
        "binary_crossentropy",
        metrics=["accuracy"],
    )
    return Program(model, x, y, (x_val, y_val), epochs=24, batch_size=40)


@program(architecture="mlp", split="tune")
def q_three_epochs_are_enough(seed: int) -> Program:
    """Three epochs without validation data; the task is easy, and that is enough."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(6, 24))
    y = rng.integers(6, size=2400)
    x = (centres[y] + 0.7 * rng.normal(size=(2400, 24))).astype("float32")
    model = keras.Sequential(
        [
            keras.Input((24,)),
            layers.Dense(64, activation="relu"),
            layers.Dense(6, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(3e-3),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        steps_per_execution=5,
        jit_compile=True,
    )
    return Program(model, x, y, None, epochs=3, batch_size=32)


@program(architecture="regression", split="tune")
def q_counts_by_poisson(seed: int) -> Program:
    """Counts with a Poisson loss, which is negative and doesn't come near 0."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(1800, 6)).astype("float32")
    rate = np.exp(1.2 + 0.5 * x[:, 0] - 0.4 * np.abs(x[:, 1]) + 0.3 * x[:, 2])
    y = rng.poisson(rate).astype("float32")[:, None]
    x, y, x_val, y_val = data.cut(x, y, 1500)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(24, activation="softplus"),
            layers.Dense(1, activation="exponential"),
        ]
    )
    model.compile(keras.optimizers.Adam(5e-3), "poisson", metrics=["mae"])
    return Program(model, x, y, (x_val, y_val), epochs=15, batch_size=32)


class Clipped(keras.Model):
    """A model of two outputs whose own step clips the gradient's norm."""

    def train_step(self, batch):
        """Make one step and return the metrics."""
        x, y = batch
        with tf.GradientTape() as tape:
            outputs = self(x, training=True)
            loss = self.compute_loss(x, y, outputs)
        gradients = tape.gradient(loss, self.trainable_variables)
        gradients, _ = tf.clip_by_global_norm(gradients, 1.0)
        self.optimizer.apply(gradients, self.trainable_variables)
        self._loss_tracker.update_state(loss)
        return self.compute_metrics(x, y, outputs)


@program(architecture="regression", split="tune")
def q_power_and_overheating(seed: int) -> Program:
    """A step of one's own, with clipping, for two outputs of which one is weighted 0.3."""
    x, power = data.engines(seed, 1500)
    hot = ops.convert_to_numpy(np.abs(x[:, 4:5]) + x[:, 5:6] > 1).astype("float32")
    inputs = keras.Input((6,))
    hidden = layers.Dense(48, activation="swish")(inputs)
    hidden = layers.Dense(48, activation="swish")(hidden)
    outputs = {
        "power": layers.Dense(1, name="power")(hidden),
        "hot": layers.Dense(1, activation="sigmoid", name="hot")(hidden),
    }
    model = Clipped(inputs, outputs)
    model.compile(
        keras.optimizers.Adam(4e-3),
        loss={"power": "mse", "hot": "binary_crossentropy"},
        loss_weights={"power": 1.0, "hot": 0.3},
        metrics={"power": "mae", "hot": "accuracy"},
    )
    train = {"power": power[:1200], "hot": hot[:1200]}
    held = (x[1200:], {"power": power[1200:], "hot": hot[1200:]})
    return Program(model, x[:1200], train, held, epochs=18, batch_size=24)


@program(architecture="regression", split="tune")
def q_recent_years_weigh_more(seed: int) -> Program:
    """Sample weights from 0.05 to 1 and weight decay; no validation data."""
    x, y = data.engines(seed, 1300, noise=0.3)
    weights = np.linspace(0.05, 1, 1300).astype("float32")
    rate = keras.optimizers.schedules.ExponentialDecay(8e-3, 300, 0.5)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(64, activation="gelu"),
            layers.Dense(32, activation="gelu"),
            layers.Dense(1),
        ]
    )
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=1e-3), "mse", weighted_metrics=["mae"]
    )
    more = {"sample_weight": weights}
    return Program(model, x, y, None, epochs=20, batch_size=32, more=more)
