"""The embedded twins: their form, their seeds, and that a wrong model scores worse."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers
from sklearn.datasets import load_digits

from tfcourse.data import catalogue, load_arrays
from tfcourse.data.colour_shapes import colour_shapes
from tfcourse.data.digits import enlarge
from tfcourse.data.garments import garments

SPECS = pytest.mark.parametrize("spec", catalogue(), ids=lambda spec: spec.name)
GENERATORS = pytest.mark.parametrize("generator", [garments, colour_shapes])


@SPECS
@pytest.mark.parametrize("split", ["train", "test"])
def test_arrays_and_description_agree(spec, split):
    (images, labels), info = load_arrays(spec.name, split)
    assert images.dtype == np.uint8 and labels.dtype == np.int64
    assert images.shape == (info.num_examples, *info.image_shape)
    assert info.image_shape == spec.image_shape
    assert labels.shape == (info.num_examples,)
    assert info.num_classes == len(info.class_names) == 10
    assert (info.source, info.split, info.dtype) == ("embedded", split, "uint8")
    counts = np.bincount(labels)
    assert len(counts) == 10 and counts.min() >= 0.9 * counts.max()
    # The whole range is used: nobody forgets to normalise without seeing it.
    assert images.min() == 0 and images.max() == 255


@SPECS
def test_loading_twice_gives_the_same_images(spec):
    first, second = load_arrays(spec.name, "test"), load_arrays(spec.name, "test")
    np.testing.assert_array_equal(first[0][0], second[0][0])
    np.testing.assert_array_equal(first[0][1], second[0][1])
    first[0][0][:] = 0  # A caller may write into its arrays.
    assert load_arrays(spec.name, "test")[0][0].any()


@SPECS
def test_no_test_image_is_a_training_image(spec):
    (train, _), _ = load_arrays(spec.name, "train")
    (test, _), _ = load_arrays(spec.name, "test")
    seen = {image.tobytes() for image in train}
    assert not seen & {image.tobytes() for image in test}


def test_the_digits_split_is_the_bundled_set():
    bundled = load_digits()
    whole = sorted(image.tobytes() for image in enlarge(bundled.images))
    parts = [load_arrays("mnist", split)[0] for split in ("train", "test")]
    images = np.concatenate([images for images, _ in parts])
    assert sorted(image.tobytes() for image in images) == whole
    labels = np.concatenate([labels for _, labels in parts])
    np.testing.assert_array_equal(np.bincount(labels), np.bincount(bundled.target))


def test_enlarged_digits_keep_place_and_brightness():
    small = np.zeros((2, 8, 8))
    small[0, 2:6, 2:6] = 16  # In the middle.
    small[1, 0:4, 4:8] = 16  # Top right.
    large = enlarge(small).astype(float)
    assert large.shape == (2, 28, 28)
    assert not large[:, :4].any() and not large[:, :, -4:].any()  # The margin.
    np.testing.assert_array_equal(large[0], large[0].T)
    np.testing.assert_allclose(large[0], large[0, ::-1, ::-1], atol=1)
    # A spline through a step swings by a tenth of its height.
    assert large[0, 13, 13] > 225
    assert large[1, 8, 19] > 225 and large[1, 19, 8] < 25
    # Area scales by (20 / 8) squared.
    assert large[0].sum() / 255 == pytest.approx(16 * 6.25, rel=0.06)


@GENERATORS
@settings(max_examples=20, deadline=None)
@given(num_examples=st.integers(0, 40), seed=st.integers(0, 2**32))
def test_generators_are_balanced_and_seeded(generator, num_examples, seed):
    images, labels = generator(num_examples, seed=seed)
    assert images.dtype == np.uint8 and len(images) == len(labels) == num_examples
    counts = np.bincount(labels, minlength=10)
    assert counts.max() - counts.min() <= 1
    np.testing.assert_array_equal(images, generator(num_examples, seed=seed)[0])
    if num_examples:
        other = generator(num_examples, seed=seed + 1)[0]
        assert not np.array_equal(images, other)


@GENERATORS
def test_generators_refuse_negative_counts(generator):
    with pytest.raises(ValueError, match="at least 0; got -1"):
        generator(-1, seed=0)


def test_colours_say_nothing_about_the_class():
    images, labels = colour_shapes(4_000, seed=3)
    means = np.array([images[labels == label].mean((0, 1, 2)) for label in range(10)])
    # The mean over 400 images of colours spread over [0, 255] varies by about 4.
    assert np.abs(means - 127.5).max() < 15


def normalised(name):
    splits = [load_arrays(name, split)[0] for split in ("train", "test")]
    return [(images / np.float32(255) - 0.5, labels) for images, labels in splits]


def best_accuracy(model, data, *, epochs, learning_rate):
    """Return the best test accuracy after any epoch: no luck with the last one."""
    train, test = data
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    history = model.fit(
        *train, batch_size=32, epochs=epochs, validation_data=test, verbose=0
    )
    return max(history.history["val_accuracy"])


def linear_model(shape):
    keras.utils.set_random_seed(0)
    inputs = keras.Input(shape)
    return keras.Model(inputs, layers.Dense(10)(layers.Flatten()(inputs)))


def small_cnn(shape):
    keras.utils.set_random_seed(0)
    inputs = keras.Input(shape)
    x = layers.Reshape((*shape, 1)[:3])(inputs)
    for filters in (16, 32, 64):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        pool = layers.GlobalMaxPooling2D if filters == 64 else layers.MaxPooling2D
        x = pool()(x)
    return keras.Model(inputs, layers.Dense(10)(x))


def test_a_linear_model_fails_on_colour_images_and_a_small_cnn_does_not():
    data = normalised("cifar10")
    linear = best_accuracy(
        linear_model((32, 32, 3)), data, epochs=6, learning_rate=1e-3
    )
    cnn = best_accuracy(small_cnn((32, 32, 3)), data, epochs=3, learning_rate=3e-3)
    assert linear < 0.45  # Chance is 0.1.
    assert cnn > 0.85


def test_a_linear_model_is_visibly_worse_on_garments():
    data = normalised("fashion_mnist")
    linear = best_accuracy(linear_model((28, 28)), data, epochs=8, learning_rate=1e-3)
    cnn = best_accuracy(small_cnn((28, 28)), data, epochs=4, learning_rate=3e-3)
    assert 0.75 < linear < 0.88
    assert cnn > 0.9


def test_digits_are_learnt_by_a_linear_model():
    data = normalised("mnist")
    accuracy = best_accuracy(
        linear_model((28, 28)), data, epochs=15, learning_rate=1e-3
    )
    assert accuracy > 0.92
