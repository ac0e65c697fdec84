"""Ten digits, a train_step of its own, gradient descent."""

import keras
import tensorflow as tf
from keras import layers


class Classifier(keras.Model):
    """A Functional model with a train_step of its own."""

    def train_step(self, data):
        """Take one step of gradient descent; return the metrics."""
        images, labels = data
        with tf.GradientTape() as tape:
            logits = self(images, training=True)
            loss = self.compute_loss(images, labels, logits)
        gradients = tape.gradient(loss, self.trainable_variables)
        downhill = [-gradient for gradient in gradients]
        self.optimizer.apply(downhill, self.trainable_variables)
        for metric in self.metrics:
            values = (loss,) if metric.name == "loss" else (labels, logits)
            metric.update_state(*values)
        return {metric.name: metric.result() for metric in self.metrics}


def train(train_data, val_data, callbacks, epochs=15):
    """Return the history of `fit`; data are uint8 [n, 28, 28] and labels [n]."""
    inputs = keras.Input((28, 28))
    hidden = layers.Flatten()(layers.Rescaling(1 / 255)(inputs))
    hidden = layers.Dense(64, "relu", name="hidden_1")(hidden)
    model = Classifier(inputs, layers.Dense(10, name="output")(hidden), name="heath")
    model.compile(
        optimizer=keras.optimizers.SGD(0.02),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model.fit(
        *train_data,
        batch_size=32,
        epochs=epochs,
        validation_data=val_data,
        callbacks=callbacks,
        verbose=0,
    )


if __name__ == "__main__":
    from tfcourse.doctor import Recorder
    from tfcourse.failing_scripts import digits, log_folder

    keras.utils.set_random_seed(0)
    train(*digits(), [Recorder(log_folder("heath"))])
