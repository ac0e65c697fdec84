"""Ten digits, two hidden layers, gradient descent."""

import keras
from keras import layers


def train(train_data, val_data, callbacks, epochs=10):
    """Return the history of `fit`; data are uint8 [n, 28, 28] and labels [n]."""
    (images, labels), (val_images, val_labels) = train_data, val_data
    model = keras.Sequential(
        [
            keras.Input((28, 28)),
            layers.Flatten(),
            layers.Dense(128, "relu", name="hidden_1"),
            layers.Dense(64, "relu", name="hidden_2"),
            layers.Dense(10, name="output"),
        ],
        name="amber",
    )
    model.compile(
        optimizer=keras.optimizers.SGD(0.1),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model.fit(
        images / 255,
        labels,
        batch_size=32,
        epochs=epochs,
        validation_data=(val_images / 255, val_labels),
        callbacks=callbacks,
        verbose=0,
    )


if __name__ == "__main__":
    from tfcourse.doctor import Recorder
    from tfcourse.failing_scripts import digits, log_folder

    keras.utils.set_random_seed(0)
    train(*digits(), [Recorder(log_folder("amber"))])
