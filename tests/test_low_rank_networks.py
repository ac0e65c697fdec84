"""Thin networks: which rank each layer gets, and what they compute."""

import numpy as np
import pytest

from tfcourse import lenets
from tfcourse.errors import UserError
from tfcourse.low_rank_networks import ranks_within, with_low_rank, without_border


def svd(kernel, rank):
    u, s, v = np.linalg.svd(kernel, full_matrices=False)
    return u[:, :rank] * s[:rank], v[:rank]


def small_mlp():
    return lenets.mlp((10, 6), image_shape=(8, 8), name="tiny")


def test_a_network_has_the_rank_where_that_saves_weights():
    model = small_mlp()
    rng = np.random.default_rng(0)
    images = rng.random((5, 8, 8), dtype=np.float32)
    kernel = rng.normal(size=(64, 2)) @ rng.normal(size=(2, 10)) / 8
    model.get_layer("fc1").kernel.assign(kernel)  # Of rank 2 already.
    thin = with_low_rank(model, svd, {"fc1": 2, "fc2": 3})
    assert [layer.name for layer in thin.layers[2:]] == [
        "fc1_left",
        "fc1_right",
        "fc2_left",
        "fc2_right",
        "fc3",
    ]
    np.testing.assert_allclose(
        thin.get_layer("fc1_left").kernel @ thin.get_layer("fc1_right").kernel,
        kernel,
        atol=1e-5,
    )
    # 8 * (64 + 10) < 640, but 8 * (10 + 6) > 60: there two layers would be larger.
    thicker = with_low_rank(model, svd, {"fc1": 8, "fc2": 8})
    assert [layer.name for layer in thicker.layers[2:]] == [
        "fc1_left",
        "fc1_right",
        "fc2",
        "fc3",
    ]
    np.testing.assert_allclose(thicker(images), model(images), atol=1e-4)


def test_a_convolution_becomes_two_where_that_saves_weights():
    model = lenets.lenet_5(image_shape=(16, 16), filters=(4, 12), units=30)
    rng = np.random.default_rng(1)
    images = rng.random((3, 16, 16), dtype=np.float32)
    kernel = rng.normal(size=(100, 5)) @ rng.normal(size=(5, 12)) / 20  # Of rank 5.
    model.get_layer("conv2").kernel.assign(kernel.reshape(5, 5, 4, 12))
    thin = with_low_rank(model, svd, {"conv1": 4, "conv2": 5})  # conv1: 25 by 4.
    names = [layer.name for layer in thin.layers[2:]]
    convolutions = ["conv1", "pool1", "conv2_left", "conv2_right", "pool2"]
    assert names == [*convolutions, "features", "fc1", "fc2"]
    assert thin.get_layer("conv2_left").kernel.shape == (5, 5, 4, 5)
    assert not thin.get_layer("conv2_left").use_bias
    np.testing.assert_allclose(thin(images), model(images), atol=1e-4)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
def test_ranks_use_up_a_share_of_the_weights(share):
    model = small_mlp()
    limit = share * model.count_params()
    ranks = ranks_within(model, limit)
    thin = with_low_rank(model, svd, ranks)
    dearest = 64 + 10  # What one direction more costs in fc1.
    assert limit - dearest < thin.count_params() <= limit


def test_the_layer_with_much_to_lose_gets_the_higher_rank():
    model = lenets.mlp((20, 20), image_shape=(4, 5), name="square")  # Equal costs.
    rng = np.random.default_rng(2)
    for name, values in (("fc1", np.ones(20)), ("fc2", 0.1 ** np.arange(20))):
        u, _, v = np.linalg.svd(rng.normal(size=(20, 20)))
        model.get_layer(name).kernel.assign((u * values) @ v)
    size = model.count_params()
    assert ranks_within(model, 0.6 * size) == {"fc1": 8, "fc2": 1}
    whole = ranks_within(
        model, 0.7 * size
    )  # 10 directions cost as much as all of them.
    assert whole == {"fc1": 20, "fc2": 2}


def test_too_few_weights_are_refused():
    with pytest.raises(ValueError, match="80 weights are too few"):
        ranks_within(small_mlp(), 80)


def test_a_border_that_is_empty_is_not_missed():
    model = small_mlp()
    images = np.zeros((3, 8, 8), np.float32)
    images[:, 2:-2, 2:-2] = np.random.default_rng(3).random((3, 4, 4))
    inner = without_border(model, 2)
    assert model.count_params() - inner.count_params() == (64 - 16) * 10
    np.testing.assert_allclose(inner(images), model(images), atol=1e-6)
    drawn = images + 1
    np.testing.assert_allclose(
        inner(drawn), inner(np.pad(drawn[:, 2:-2, 2:-2], [(0, 0), (2, 2), (2, 2)]))
    )
    thin = with_low_rank(inner, svd, {"fc1": 2})
    assert thin.get_layer("fc1_left").kernel.shape == (16, 2)


@pytest.mark.parametrize("width", [-1, 4, 99])
def test_a_border_that_leaves_nothing_is_refused(width):
    with pytest.raises(UserError, match=f"border={width}: .* leave some of 8 by 8"):
        without_border(small_mlp(), width)


def test_convolutions_see_the_border():
    model = lenets.lenet_5(image_shape=(16, 16), filters=(4, 12), units=30)
    assert without_border(model, 2) is model
