"""Programs that read off the wrong number, or whose step is never made."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from doctor_programs import more_datasets_u as data
from doctor_programs.registry import Program, program


@program(faults=("wrong-metric",), architecture="recurrent", split="tune")
def u_accuracy_of_a_forecast(seed: int, mended: bool = False) -> Program:
    """A forecast of a share's price is judged by accuracy, which stays at 0."""
    series = data.shares(seed)
    x = np.stack([series[i : i + 20] for i in range(len(series) - 20)])[..., None]
    y = series[20:, None]
    model = keras.Sequential([keras.Input((20, 1)), layers.LSTM(24), layers.Dense(1)])
    metric = keras.metrics.MeanAbsoluteError() if mended else "accuracy"
    model.compile(keras.optimizers.Adam(0.005), "mse", metrics=[metric])
    return Program(model, x[:900], y[:900], (x[900:], y[900:]), 12, 32)


class Accumulating(keras.Model):
    """A model that is meant to apply the mean gradients of four batches at once.

    Attributes:
        every: Apply after so many batches.
    """

    every = 4
    count = 0

    def train_step(self, data):
        """Take one batch; the number of batches is a Python number, counted at tracing."""
        x, y = data
        with tf.GradientTape() as tape:
            scores = self(x, training=True)
            loss = self.compute_loss(x=x, y=y, y_pred=scores)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.count += 1
        if self.count % self.every == 0:
            self.optimizer.apply(gradients, self.trainable_variables)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, scores)
        return {metric.name: metric.result() for metric in self.metrics}


@program(faults=("wrong-update",), architecture="transformer", split="tune")
def u_every_fourth_batch_never_comes(seed: int, mended: bool = False) -> Program:
    """The step waits for every fourth batch, but its counter counts only when traced."""
    x, y = data.topics(seed, 1200)
    words = keras.Input((24,), dtype="int32")
    h = layers.Embedding(400, 24)(words)
    h = h + layers.Embedding(24, 24)(np.arange(24))
    h = h + layers.MultiHeadAttention(2, 12)(h, h)
    h = layers.LayerNormalization()(h)
    h = layers.LayerNormalization()(h + layers.Dense(24, activation="gelu")(h))
    h = layers.GlobalAveragePooling1D()(h)
    model = Accumulating(words, layers.Dense(4)(h))
    model.every = 1 if mended else 4
    model.compile(
        keras.optimizers.Adam(0.002),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return Program(model, x[:960], y[:960], (x[960:], y[960:]), 10, 32)
