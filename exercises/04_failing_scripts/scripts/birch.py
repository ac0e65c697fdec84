"""Ten digits, three hidden layers, gradient descent with momentum."""

import keras
from keras import layers


def train(train_data, val_data, callbacks, epochs=10):
    """Return the history of `fit`; data are uint8 [n, 28, 28] and labels [n]."""
    images, labels = train_data
    model = keras.Sequential(
        [
            keras.Input((28, 28)),
            layers.Flatten(),
            layers.Dense(64, "relu", name="hidden_1"),
            layers.Dense(64, "relu", name="hidden_2"),
            layers.Dense(64, "relu", name="hidden_3"),
            layers.Dense(10, name="output"),
        ],
        name="birch",
    )
    model.compile(
        optimizer=keras.optimizers.SGD(0.02, momentum=0.9),
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
    train(*digits(), [Recorder(log_folder("birch"))])
