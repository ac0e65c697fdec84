"""Ten digits in order, a tf.data pipeline, two hidden layers, gradient descent."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers


def train(train_data, val_data, callbacks, epochs=10):
    """Return the history of `fit`; data are uint8 [n, 28, 28] and labels [n]."""
    images, labels = train_data
    order = np.argsort(labels, kind="stable")  # As they lie on the disk, by folder.
    train_ds = tf.data.Dataset.from_tensor_slices((images[order], labels[order]))
    train_ds = train_ds.cache().batch(32).shuffle(4).prefetch(tf.data.AUTOTUNE)
    val_ds = tf.data.Dataset.from_tensor_slices(val_data).batch(256)
    model = keras.Sequential(
        [
            keras.Input((28, 28)),
            layers.Rescaling(1 / 255),
            layers.Flatten(),
            layers.Dense(64, "relu", name="hidden_1"),
            layers.Dense(10, name="output"),
        ],
        name="grove",
    )
    model.compile(
        optimizer=keras.optimizers.SGD(0.1),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model.fit(
        train_ds,
        shuffle=False,
        epochs=epochs,
        validation_data=val_ds,
        callbacks=callbacks,
        verbose=0,
    )


if __name__ == "__main__":
    from tfcourse.doctor import Recorder
    from tfcourse.failing_scripts import digits, log_folder

    keras.utils.set_random_seed(0)
    train(*digits(), [Recorder(log_folder("grove"))])
