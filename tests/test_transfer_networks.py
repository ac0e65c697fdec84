"""Sources of trunks: the small network, and those of `keras.applications`."""

import keras
import numpy as np
import pytest

from tfcourse.errors import UserError
from tfcourse.transfer_networks import BACKBONES, imagenet_source, small_cnn


def test_the_small_network_has_the_parameters_that_a_formula_gives():
    model = small_cnn((32, 32, 3), 10, (16, 32, 64))
    widths = [3, 16, 32, 32, 64, 64]
    kernels = sum(9 * a * b for a, b in zip(widths[:-1], widths[1:], strict=True))
    norms = 4 * sum(widths[1:])
    assert model.count_params() == kernels + norms + 65 * 10 == 71_034


def test_grey_is_0_for_the_first_convolution():
    model = small_cnn((4, 4, 3), 2, (3,))
    scaled = keras.Model(model.input, model.layers[2].input)
    np.testing.assert_allclose(scaled(np.full((1, 4, 4, 3), 0.5, "float32")), 0)


# Keras 3.15 saves weights by a call that NumPy 2 warns of.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_the_last_layer_is_dense_and_the_trunk_can_be_copied(tmp_path):
    weights = str(tmp_path / "mobile.weights.h5")
    own = keras.applications.MobileNet(
        include_top=False, weights=None, pooling="avg", input_shape=(128, 128, 3)
    )
    own.save_weights(weights)
    source = imagenet_source("MobileNet", (32, 32, 3), weights)
    assert isinstance(source.layers[-1], keras.layers.Dense)
    trunk = keras.Model(source.input, source.layers[-1].input)
    copy = keras.models.clone_model(trunk)
    copy.set_weights(trunk.get_weights())
    images = np.random.default_rng(0).uniform(size=(1, 32, 32, 3)).astype("float32")
    features = trunk(images)
    assert features.shape == (1, 1024)
    np.testing.assert_allclose(copy(images), features, rtol=1e-4, atol=1e-5)
    large = keras.ops.image.resize(images, (128, 128))
    scaled = keras.applications.mobilenet.preprocess_input(255 * np.asarray(large))
    np.testing.assert_allclose(own(scaled), features, rtol=1e-3, atol=1e-4)


def test_unknown_networks_and_missing_files_are_refused(tmp_path):
    with pytest.raises(
        UserError, match="backbone is one of MobileNet, .*; got 'VGG99'"
    ):
        imagenet_source("VGG99", (32, 32, 3))
    with pytest.raises(UserError, match="there is no file"):
        imagenet_source("MobileNet", (32, 32, 3), str(tmp_path / "none.h5"))


@pytest.mark.parametrize("name", BACKBONES)
def test_without_a_network_the_error_says_what_to_do(name, monkeypatch):
    def refuse(**options):
        assert options["weights"] == "imagenet" and not options["include_top"]
        raise Exception(
            "URL fetch failure on https://example.org/w.h5: None -- refused"
        )

    monkeypatch.setattr(keras.applications, name, refuse)
    with pytest.raises(UserError, match="URL fetch failure.*backbone_weights=FILE"):
        imagenet_source(name, (32, 32, 3))
