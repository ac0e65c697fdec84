"""Even digit or odd one: three hidden layers, Adam."""

import keras
from keras import layers


def train(train_data, val_data, callbacks, epochs=12):
    """Return the history of `fit`; data are uint8 [n, 28, 28] and labels [n]."""
    (images, labels), (val_images, val_labels) = train_data, val_data
    inputs = keras.Input((28, 28))
    hidden = layers.Flatten()(layers.Rescaling(1 / 255)(inputs))
    for number, width in enumerate((256, 128, 64), start=1):
        hidden = layers.Dense(width, name=f"hidden_{number}")(hidden)
    outputs = layers.Dense(2, name="output")(hidden)
    model = keras.Model(inputs, outputs, name="ember")
    model.compile(
        optimizer=keras.optimizers.Adam(0.001),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model.fit(
        images,
        labels % 2,
        batch_size=32,
        epochs=epochs,
        validation_data=(val_images, val_labels % 2),
        callbacks=callbacks,
        verbose=0,
    )


if __name__ == "__main__":
    from tfcourse.doctor import Recorder
    from tfcourse.failing_scripts import digits, log_folder

    keras.utils.set_random_seed(0)
    train(*digits(), [Recorder(log_folder("ember"))])
