"""Ten digits, two wide hidden layers, Adam."""

import keras
from keras import layers


def train(train_data, val_data, callbacks, epochs=10):
    """Return the history of `fit`; data are uint8 [n, 28, 28] and labels [n]."""
    images, labels = train_data
    model = keras.Sequential(
        [
            keras.Input((28, 28)),
            layers.Rescaling(1 / 255),
            layers.Flatten(),
            layers.Dense(128, "relu", name="hidden_1"),
            layers.Dense(128, "relu", name="hidden_2"),
            layers.Dense(10, name="output"),
        ],
        name="delta",
    )
    model.compile(
        optimizer=keras.optimizers.Adam(0.1),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model.fit(
        images,
        labels,
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
    train(*digits(), [Recorder(log_folder("delta"))])
