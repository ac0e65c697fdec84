"""The library's residual networks: sizes by arithmetic, agreement with exercise 10."""

import functools
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfcourse.catalog import exercises_folder, load_module
from tfcourse.residual_networks import cifar_resnet, residual_network, resnet18

SOLUTION = load_module(
    exercises_folder() / "10_residual_networks" / "solution.py",
    "residual_networks_library",
)
BLOCKS = {
    ("basic", False): SOLUTION.basic_block,
    ("bottleneck", False): SOLUTION.bottleneck_block,
    ("basic", True): SOLUTION.preactivation_block,
}
SHORTCUTS = {
    "A": SOLUTION.zero_padded_shortcut,
    "B": SOLUTION.projection_shortcut,
    None: None,
}


def num_trained(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


def assert_same_function(model, other):
    """Give both the same random weights, and compare outputs in both modes."""
    rng = np.random.default_rng(0)
    assert [w.shape for w in model.weights] == [w.shape for w in other.weights]
    weights = [rng.uniform(0.1, 0.6, w.shape).astype("float32") for w in model.weights]
    for each in (model, other):
        each.set_weights(weights)
    images = rng.normal(size=(3, *model.input_shape[1:])).astype("float32")
    for training in (False, True):
        outputs = [np.asarray(m(images, training=training)) for m in (model, other)]
        np.testing.assert_allclose(*outputs, rtol=1e-4)


@pytest.mark.parametrize(
    ("block", "shortcut", "preactivation"),
    [
        ("basic", "A", False),
        ("basic", "B", False),
        ("basic", None, False),
        ("bottleneck", "A", False),
        ("bottleneck", "B", False),
        ("basic", "A", True),
        ("basic", "B", True),
    ],
)
def test_library_and_solution_compute_the_same(block, shortcut, preactivation):
    ours = cifar_resnet(
        (9, 12, 3),
        4,
        8,
        block=block,
        shortcut=shortcut,
        preactivation=preactivation,
    )
    theirs = SOLUTION.cifar_resnet(
        (9, 12, 3),
        4,
        8,
        BLOCKS[block, preactivation],
        SHORTCUTS[shortcut],
        preactivation,
    )
    assert_same_function(ours, theirs)


def test_library_and_solution_have_the_same_resnet_18():
    theirs = SOLUTION.imagenet_resnet(
        (40, 32, 3),
        7,
        (2, 2, 2, 2),
        SOLUTION.basic_block,
        SOLUTION.projection_shortcut,
    )
    assert_same_function(resnet18((40, 32, 3), 7), theirs)


def test_resnet_18_has_the_parameters_that_everybody_counts():
    widths = [64, *[64] * 4, *[128] * 4, *[256] * 4, *[512] * 4]
    pairs = list(itertools.pairwise(widths))
    kernels = 49 * 3 * 64 + sum(9 * a * b for a, b in pairs)
    projections = sum(a * b for a, b in pairs if a != b)
    channels = sum(widths) + 128 + 256 + 512  # Normalised, projections included.
    expected = kernels + projections + 2 * channels + 513 * 1000
    assert expected == 11_689_512
    model = resnet18((224, 224, 3), 1000)
    assert num_trained(model) == expected
    assert model.count_params() - expected == 2 * channels == 9600


def test_resnet_50_has_the_parameters_that_everybody_counts():
    model = residual_network(
        (64, 64, 3),
        1000,
        filters=(64, 128, 256, 512),
        num_blocks=(3, 4, 6, 3),
        block="bottleneck",
        shortcut="B",
        stem="large",
    )
    assert num_trained(model) == 25_557_032


@pytest.mark.parametrize(("depth", "millions"), [(20, 0.27), (32, 0.46), (56, 0.85)])
def test_the_networks_for_cifar_have_the_papers_sizes(depth, millions):
    model = cifar_resnet((32, 32, 3), 10, depth)
    count = num_trained(model)
    assert round(count / 1e6, 2) == millions  # Table 6 of the paper.
    assert count == SOLUTION.num_parameters(depth, 10)
    assert depth != 20 or count == 269_722


@pytest.mark.parametrize("shape", [(64, 128, 1), (33, 47, 6), (None, None, 3)])
def test_inputs_of_any_shape_are_taken(shape):
    model = cifar_resnet(shape, None, 8)
    assert model.output_shape == (None, 64)
    size = [extent or 21 for extent in shape]
    features = model(np.ones((2, *size), "float32"))
    assert np.isfinite(features).all()


# Keras's conversion of variables to numpy.
@pytest.mark.filterwarnings("ignore:__array__ impl:DeprecationWarning")
def test_a_model_is_saved_and_loaded(tmp_path):
    model = cifar_resnet((8, 8, 3), 4, 8, shortcut="A")
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
    np.testing.assert_allclose(model(images), loaded(images), rtol=1e-5)


def test_a_shortcut_takes_the_pixels_that_the_convolutions_centre_on():
    """With kernels that keep their centre, a block of stride 2 adds equal pixels."""
    block = functools.partial(SOLUTION.basic_block, filters=4, stride=2)
    inputs = keras.Input((8, 8, 4))
    model = keras.Model(inputs, block(inputs, shortcut=SOLUTION.zero_padded_shortcut))
    kernel = np.zeros((3, 3, 4, 4), "float32")
    kernel[1, 1] = np.eye(4)
    for weight in model.weights:
        if len(weight.shape) == 4:
            weight.assign(kernel)
    images = np.abs(np.random.default_rng(0).normal(size=(1, 8, 8, 4))).astype(
        "float32"
    )
    np.testing.assert_allclose(model(images), 2 * images[:, ::2, ::2], rtol=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"block": "wide"}, "block must be one of"),
        ({"shortcut": "C"}, "shortcut must be one of"),
        ({"stem": "tiny"}, "stem must be one of"),
        ({"num_blocks": (1, 1)}, "one number for each stage"),
        ({"filters": (32, 16, 8)}, "can only add channels"),
    ],
)
def test_what_makes_no_network_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        residual_network((8, 8, 3), 4, **options)


@pytest.mark.parametrize("depth", [2, 18, 21])
def test_other_depths_are_refused(depth):
    with pytest.raises(ValueError, match="6 n"):
        cifar_resnet((8, 8, 3), 4, depth)


def test_the_receptive_field_is_that_of_the_arithmetic():
    """Each 3x3 convolution adds two pixels of its inputs, `jump` apart in the image."""
    field, jump = 3, 1  # Behind the first convolution.
    for stride in (1, 2, 2):  # One block in each of three stages.
        field += 2 * jump
        jump *= stride
        field += 2 * jump
    assert (field, jump) == (25, 4)
    model = cifar_resnet((64, 64, 1), 2, 8)
    for weight in model.weights:  # Positive kernels: nothing cancels, no ReLU closes.
        if len(weight.shape) == 4:
            weight.assign(np.full(weight.shape, 0.01, "float32"))
    pooling = next(
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.GlobalAveragePooling2D)
    )
    maps = keras.Model(model.input, pooling.input)
    images = tf.ones((1, 64, 64, 1))
    with tf.GradientTape() as tape:
        tape.watch(images)
        centre = tf.reduce_sum(maps(images)[:, 8, 8])
    seen = tape.gradient(centre, images)[0, :, :, 0].numpy() > 0
    assert seen.any(axis=0).sum() == seen.any(axis=1).sum() == field
