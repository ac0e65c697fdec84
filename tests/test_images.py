import keras
import numpy as np

from tfcourse.images import with_shifts


def identity(height, width):
    inputs = keras.Input((height, width))
    return keras.Model(inputs, keras.layers.Flatten()(inputs), name="identity")


def image_with_dot():
    images = np.zeros((64, 9, 9), np.float32)
    images[:, 4, 4] = 1
    return images


def test_prediction_sees_images_as_they_are():
    model, images = with_shifts(identity(9, 9), 2), image_with_dot()
    assert np.array_equal(model.predict(images, verbose=0), images.reshape(64, 81))


def test_training_shifts_by_at_most_max_shift_and_differently():
    keras.utils.set_random_seed(0)
    model, images = with_shifts(identity(9, 9), 2), image_with_dot()
    shifted = np.asarray(model(images, training=True)).reshape(64, 9, 9)
    rows, columns = np.mgrid[:9, :9]
    weights = shifted.sum(axis=(1, 2))
    assert np.allclose(weights, 1, atol=1e-5)  # Interpolation keeps the amount of ink.
    for axis in (rows, columns):
        centres = (shifted * axis).sum(axis=(1, 2)) - 4
        assert np.abs(centres).max() <= 2 + 1e-5
        assert np.abs(centres).max() > 1 and centres.min() < 0 < centres.max()


def test_weights_are_shared():
    inputs = keras.Input((3, 5))
    flat = keras.layers.Flatten()(inputs)
    inner = keras.Model(inputs, keras.layers.Dense(2)(flat), name="mlp")
    outer = with_shifts(inner, 1)
    assert [id(w) for w in outer.trainable_weights] == [
        id(w) for w in inner.trainable_weights
    ]
    assert outer.name == "shifted_mlp"
