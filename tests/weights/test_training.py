"""Masks and shared values hold while a network trains."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfcourse import lenets, training
from tfcourse.weights.masks import (
    PruneAtEpochs,
    drop_dead_units,
    free_weights,
    kernels,
    set_masks,
    sparsity,
)
from tfcourse.weights.packing import restored
from tfcourse.weights.sharing import arrays_to_pack, with_shared_kernels

SHAPE = (8, 8)
SMALL = {"image_shape": SHAPE, "num_classes": 4}


def examples(seed=0, count=64):
    rng = np.random.default_rng(seed)
    images = rng.random((count, *SHAPE), dtype=np.float32)
    return images, rng.integers(0, 4, count)


def compiled(model):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss)
    return model


def models():
    keras.utils.set_random_seed(3)
    convolutional = lenets.lenet_5(filters=(3, 4), units=12, **SMALL)
    return [lenets.mlp((12, 6), **SMALL), convolutional]


def random_masks(model, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.random(kernel.shape) < 0.3 for kernel in kernels(model)]


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("engine", ["graph", "fit"])
def test_pruned_weights_stay_zero_and_others_move(index, engine):
    model = compiled(models()[index])
    masks = random_masks(model)
    set_masks(model, masks)
    before = [kernel.numpy() for kernel in kernels(model)]
    training.fit(model, *examples(), epochs=2, batch_size=16, engine=engine)
    for mask, old, kernel in zip(masks, before, kernels(model), strict=True):
        assert not np.any(kernel.numpy()[~mask])
        assert np.mean(kernel.numpy()[mask] != old[mask]) > 0.5
    free_weights(model)
    training.fit(compiled(model), *examples(), epochs=1, batch_size=16, engine=engine)
    assert sparsity(model) < 0.5


def test_masks_must_fit():
    model = models()[0]
    with pytest.raises(ValueError, match="one mask per kernel"):
        set_masks(model, random_masks(model)[:-1])


def test_pruning_by_epochs_follows_its_schedule():
    model = compiled(models()[0])
    seen = []

    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(sparsity(model))

    def masks_for(values, share):
        everything = np.sort(np.concatenate([np.abs(v).ravel() for v in values]))
        threshold = everything[int(share * len(everything))]
        return [np.abs(v) >= threshold for v in values]

    pruning = PruneAtEpochs(model, lambda epoch: [0.2, 0.5, 0.5][epoch], masks_for)
    training.fit(
        model, *examples(), epochs=3, batch_size=16, callbacks=[pruning, Look()]
    )
    np.testing.assert_allclose(seen, [0.2, 0.5, 0.5], atol=0.002)


def test_dropping_dead_units_changes_no_answer():
    model = models()[0]
    first, second, third = (model.get_layer(f"fc{i}") for i in (1, 2, 3))
    second.kernel.assign(tf.tensor_scatter_nd_update(second.kernel, [[2]], [[0.0] * 6]))
    third.kernel.assign(tf.tensor_scatter_nd_update(third.kernel, [[5]], [[0.0] * 4]))
    first.bias.assign(np.arange(12.0))
    images, _ = examples()
    before = model(images).numpy()
    assert drop_dead_units(model) == 64 + 1 + 12 - 1  # One of the 12 was dropped twice.
    np.testing.assert_array_equal(model(images).numpy(), before)
    assert not np.any(first.kernel.numpy()[:, 2]) and first.bias.numpy()[2] == 0
    assert not np.any(second.kernel.numpy()[:, 5])
    assert drop_dead_units(model) == 0


def quartiles(weights):
    """Return four shared values and codes; zeros are pruned."""
    kept = weights[weights != 0]
    codebook = np.quantile(kept, [0.1, 0.4, 0.6, 0.9]).astype(np.float32)
    codes = np.abs(weights[..., None] - codebook).argmin(-1)
    return codebook, np.where(weights == 0, -1, codes)


def segment_sum(gradient, codes, num_values):
    return tf.math.unsorted_segment_sum(gradient, codes, num_values)


@pytest.mark.parametrize(
    ("index", "engine"),
    [(0, "graph"), (0, "xla"), (0, "fit"), (1, "graph"), (1, "fit")],
)
def test_shared_values_train_together(index, engine):
    model = models()[index]
    set_masks(model, random_masks(model))
    shared = with_shared_kernels(model, quartiles, segment_sum)
    compiled(shared)
    before = [
        layer.codebook.numpy() for layer in shared.layers if hasattr(layer, "share")
    ]
    first = shared.evaluate(*examples(), verbose=0)
    training.fit(shared, *examples(), epochs=3, batch_size=16, engine=engine)
    assert shared.evaluate(*examples(), verbose=0) < first
    layers = [layer for layer in shared.layers if hasattr(layer, "share")]
    for layer, old, plain in zip(layers, before, kernels(model), strict=True):
        assert not np.any(layer.codebook.numpy() == old)
        kernel = np.asarray(layer.kernel)
        assert set(np.unique(kernel)) <= {0.0, *layer.codebook.numpy().tolist()}
        np.testing.assert_array_equal(kernel == 0, plain.numpy() == 0)


def test_the_gradient_of_shared_values_agrees_with_a_plain_lookup():
    model = models()[0]
    shared = with_shared_kernels(model, quartiles, segment_sum)
    images, labels = examples()
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(
            keras.losses.sparse_categorical_crossentropy(
                labels, shared(images), from_logits=True
            )
        )
    layer = shared.get_layer("fc2")
    gradient = tape.gradient(loss, layer.codebook.value)
    start = layer.codebook.numpy()
    step = 1e-3
    for value in range(4):
        losses = []
        for sign in (1, -1):
            book = start.copy()
            book[value] += sign * step
            layer.codebook.assign(book)
            logits = shared(images)
            losses.append(
                float(
                    tf.reduce_mean(
                        keras.losses.sparse_categorical_crossentropy(
                            labels, logits, from_logits=True
                        )
                    )
                )
            )
        slope = (losses[0] - losses[1]) / (2 * step)
        assert abs(slope - float(gradient[value])) < 1e-3 + 0.02 * abs(slope)


def test_what_is_packed_is_what_the_shared_network_computes():
    model = models()[1]
    shared = with_shared_kernels(model, quartiles, segment_sum)
    arrays = arrays_to_pack(shared, quartiles)
    model.set_weights([restored(array) for array in arrays])
    images, _ = examples()
    np.testing.assert_allclose(model(images), shared(images), atol=2e-3)
