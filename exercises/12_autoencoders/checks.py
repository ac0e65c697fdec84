"""What right answers to autoencoders promise."""

import itertools

import keras
import numpy as np
import scipy.sparse
import tensorflow as tf
from sklearn.decomposition import PCA

from tfcourse.checking import check, explain

IMAGE_SHAPE = (8, 12)


def new_generator():
    """Return a generator that follows the seed of the checks."""
    return np.random.default_rng(np.random.randint(2**31))


def array(value, shape, what):
    """Return a student's array as float64, or fail with what it should have been."""
    try:
        received = None if value is None else np.asarray(value, np.float64)
    except (TypeError, ValueError):
        received = None
    assert received is not None and received.shape == shape, explain(
        f"{what}: the shape is not right",
        expected=shape,
        received=value if received is None else received.shape,
    )
    return received


def finite(value, shape, what):
    """Return a student's array of finite numbers, or fail."""
    received = array(value, shape, what)
    assert np.isfinite(received).all(), explain(
        f"{what}: some are not finite",
        expected="finite numbers",
        received=f"{np.sum(~np.isfinite(received))} that are not",
    )
    return received


def blobs(rng, count, shape=IMAGE_SHAPE):
    """Return smooth images in [0, 1] with a mean that is not flat: float32."""
    height, width = shape
    rows, columns = np.mgrid[:height, :width]
    y = rng.uniform(1, height - 2, (count, 1, 1))
    x = rng.uniform(1, width - 2, (count, 1, 1))
    size = rng.uniform(1, 3, (count, 1, 1))
    images = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / size**2)
    return images.astype("float32")


# pca_reconstructions --------------------------------------------------------------------


def pca_oracle(train, images, size):
    """Return scikit-learn's reconstructions."""
    pca = PCA(size, svd_solver="full").fit(train.reshape(len(train), -1))
    codes = pca.transform(images.reshape(len(images), -1))
    return pca.inverse_transform(codes).reshape(images.shape)


@check(task="pca_reconstructions")
def reconstructions_are_scikit_learns(submission):
    rng = new_generator()
    train, images = blobs(rng, 60), blobs(rng, 25) * 0.5
    kept = train.copy(), images.copy()
    received = finite(
        submission.pca_reconstructions(train, images, 5),
        images.shape,
        "the reconstructions have the images' shape",
    )
    unchanged = all(
        np.array_equal(a, b) for a, b in zip(kept, (train, images), strict=True)
    )
    assert unchanged, (
        "your function changes the images that it is given: work on copies"
    )
    expected = pca_oracle(train, images, 5)
    own = pca_oracle(images, images, 5)
    assert not np.allclose(received, own, atol=1e-3), explain(
        "mean and directions come from the training images alone: here they were fitted to "
        "the images that are reconstructed",
        expected=expected[0, 0],
        received=received[0, 0],
    )
    flat_train, flat = train.reshape(60, -1), images.reshape(25, -1)
    _, _, directions = np.linalg.svd(flat_train, full_matrices=False)
    uncentred = (flat @ directions[:5].T @ directions[:5]).reshape(images.shape)
    assert not np.allclose(received, uncentred, atol=1e-3), explain(
        "take the mean of the training images away first, and add it at the end",
        expected=expected[0, 0],
        received=received[0, 0],
    )
    mean = flat_train.mean(axis=0).reshape(IMAGE_SHAPE)
    assert not np.allclose(received, expected - mean, atol=1e-3), explain(
        "add the mean again after the way back from the codes",
        expected=expected[0, 0],
        received=received[0, 0],
    )
    shifted = pca_oracle(
        train, images + mean - flat.mean(axis=0).reshape(IMAGE_SHAPE), 5
    )
    shifted += flat.mean(axis=0).reshape(IMAGE_SHAPE) - mean
    assert not np.allclose(received, shifted, atol=1e-3), explain(
        "center by the mean of the training images, not by that of the images at hand",
        expected=expected[0, 0],
        received=received[0, 0],
    )
    assert np.allclose(received, expected, atol=1e-3), explain(
        "these are not the projections on the directions of largest variance",
        expected=expected[0, 0],
        received=received[0, 0],
    )


@check(task="pca_reconstructions")
def the_error_is_the_variance_that_was_left_out(submission):
    rng = new_generator()
    train = blobs(rng, 70)
    variances = np.linalg.eigvalsh(np.cov(train.reshape(70, -1), rowvar=False))[::-1]
    for size in (1, 4, 12):
        received = finite(
            submission.pca_reconstructions(train, train, size),
            train.shape,
            "the reconstructions have the images' shape",
        )
        error = np.sum(np.square(received - train)) / 69
        expected = variances[size:].sum()
        least = variances[:-size].sum()
        assert abs(error - least) > 0.01 * least or error < 1.1 * expected, explain(
            "these are the directions of least variance: eigh sorts in ascending order",
            expected=expected,
            received=error,
        )
        assert abs(error - expected) < 0.01 * expected + 1e-6, explain(
            f"the squared error of {size} components is the sum of the other eigenvalues "
            "of the covariance",
            expected=expected,
            received=error,
        )


@check(task="pca_reconstructions")
def few_training_images_and_other_shapes_are_fine(submission):
    rng = new_generator()
    train, images = blobs(rng, 9, (5, 7)), blobs(rng, 3, (5, 7))
    received = finite(
        submission.pca_reconstructions(train, images, 4),
        images.shape,
        "9 training images of 35 pixels",
    )
    expected = pca_oracle(train, images, 4)
    assert np.allclose(received, expected, atol=1e-3), explain(
        "9 training images of 35 pixels, 4 components",
        expected=expected[0, 0],
        received=received[0, 0],
    )


# autoencoders ---------------------------------------------------------------------------


def coder_of(answer, image_shape, bottleneck):
    """Return the student's encoder and decoder, or fail where they are no such models."""
    is_pair = isinstance(answer, tuple | list) and len(answer) == 2
    assert is_pair and all(isinstance(m, keras.Model) for m in answer), explain(
        "two models come back: the encoder and the decoder",
        expected="a pair of keras.Model",
        received=answer,
    )
    encoder, decoder = answer
    expected = (None, *image_shape), (None, bottleneck)
    for model, name, (given, made) in (
        (encoder, "encoder", expected),
        (decoder, "decoder", expected[::-1]),
    ):
        received = tuple(model.input_shape), tuple(model.output_shape)
        assert received == (given, made), explain(
            f"the {name} does not map what it should",
            expected=f"{given} → {made}",
            received=f"{received[0]} → {received[1]}",
        )
    return encoder, decoder


def check_code(encoder, rng):
    """Fail where a code can't be any number."""
    images = rng.normal(0, 3, (400, *encoder.input_shape[1:])).astype("float32")
    codes = finite(encoder(images), (400, encoder.output_shape[-1]), "the codes")
    assert (codes < 0).any(axis=0).mean() > 0.3, explain(
        "the code has an activation that is never negative: leave it linear, for a ReLU "
        "unit that is 0 for every image never learns again",
        expected="codes of both signs",
        received=codes.min(),
    )
    bounded = np.abs(codes).max() <= 1
    codes = np.asarray(encoder(images * 1000))
    assert not (bounded and np.abs(codes).max() <= 1), explain(
        "the code can't leave [-1, 1]: it has an activation, and needs none",
        expected="any number",
        received=np.abs(codes).max(),
    )


def check_pixels(decoder, rng):
    """Fail where the pixels have an activation."""
    codes = rng.normal(0, 300, (400, decoder.input_shape[-1])).astype("float32")
    pixels = finite(
        decoder(codes), (400, *decoder.output_shape[1:]), "the reconstructions"
    )
    sums = pixels.reshape(400, -1).sum(axis=1)
    assert not np.allclose(sums, 1, atol=1e-3), (
        "the pixels of each image add up to 1: that is a softmax, and pixels are no classes"
    )
    assert pixels.min() < 0, explain(
        "the last layer has an activation that is never negative: with a ReLU a pixel that "
        "is 0 stays 0, with a sigmoid the squared error learns slowly; leave it linear",
        expected="any number",
        received=[pixels.min(), pixels.max()],
    )
    assert np.abs(pixels).max() > 1.01, explain(
        "the last layer has an activation that can't leave [-1, 1]: leave it linear",
        expected="any number",
        received=[pixels.min(), pixels.max()],
    )


def check_bends(model, scale, rng, what):
    """Fail where the model is an affine map."""
    first, second = (
        rng.normal(0, scale, (50, *model.input_shape[1:])).astype("float32")
        for _ in range(2)
    )
    outputs = [np.asarray(model(x)) for x in (first, second, (first + second) / 2)]
    middle = (outputs[0] + outputs[1]) / 2
    assert not np.allclose(outputs[2], middle, rtol=1e-3, atol=1e-4), (
        f"the {what} is one affine map: the hidden layers need their activation (ReLU)"
    )


def check_learns(encoder, decoder, rng, what):
    """Fail where a few images can't be learned by heart, or a variable gets no gradient."""
    images = tf.constant(blobs(rng, 6, encoder.input_shape[1:]))
    variables = encoder.trainable_variables + decoder.trainable_variables
    optimizer = keras.optimizers.Adam(0.01)
    optimizer.build(variables)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            outputs = decoder(encoder(images, training=True), training=True)
            loss = tf.reduce_mean(tf.square(outputs - images))
        gradients = tape.gradient(loss, variables)
        optimizer.apply(gradients, variables)
        return loss

    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(decoder(encoder(images)) - images))
    gradients = tape.gradient(loss, variables)
    lost = [v.path for v, g in zip(variables, gradients, strict=True) if g is None]
    assert not lost, explain(
        "the loss of the reconstruction does not reach all weights",
        expected="a gradient for each",
        received=lost[0] if lost else "",
    )
    losses = [float(step()) for _ in range(150)]
    flat = float(tf.reduce_mean(tf.square(images - tf.reduce_mean(images, axis=0))))
    assert losses[-1] < 0.6 * flat, explain(
        f"{what} can't learn 6 images by heart in 150 steps; their mean has the error "
        f"{flat:.3g}",
        expected=f"below {0.6 * flat:.3g}",
        received=losses[-1],
    )


def dense_answer(submission, bottleneck, hidden_units):
    """Return the student's dense encoder and decoder."""
    answer = submission.dense_autoencoder(IMAGE_SHAPE, bottleneck, hidden_units)
    return coder_of(answer, IMAGE_SHAPE, bottleneck)


def dense_parameters(widths):
    """Return the number of weights and biases of dense layers in a chain."""
    return sum((before + 1) * after for before, after in itertools.pairwise(widths))


@check(task="dense_autoencoder")
def dense_layers_have_their_sizes(submission):
    for hidden_units, bottleneck in (((20, 9), 3), ((15,), 6), ((), 4)):
        coder = dense_answer(submission, bottleneck, hidden_units)
        widths = [96, *hidden_units, bottleneck]
        for model, name, chain in (
            (coder[0], "encoder", widths),
            (coder[1], "decoder", widths[::-1]),
        ):
            assert model.count_params() == dense_parameters(chain), explain(
                f"the {name}'s layers go from {' to '.join(map(str, chain))} units: the "
                "decoder runs through hidden_units backwards; all have biases",
                expected=f"{dense_parameters(chain)} parameters",
                received=f"{model.count_params()} parameters",
            )


@check(task="dense_autoencoder")
def without_hidden_layers_it_can_be_pca(submission):
    rng = new_generator()
    train, images = blobs(rng, 60), blobs(rng, 10)
    encoder, decoder = dense_answer(submission, 5, ())
    pca = PCA(5, svd_solver="full").fit(train.reshape(60, -1))
    kernel = pca.components_.T  # [pixels, 5]
    shapes = [tuple(w.shape) for w in (*encoder.weights, *decoder.weights)]
    assert shapes == [(96, 5), (5,), (5, 96), (96,)], explain(
        "without hidden layers each model is one dense layer",
        expected="a kernel and a bias each",
        received=shapes,
    )
    encoder.set_weights([kernel, -pca.mean_ @ kernel])
    decoder.set_weights([kernel.T, pca.mean_])
    received = finite(decoder(encoder(images)), images.shape, "the reconstructions")
    expected = pca_oracle(train, images, 5)
    assert np.allclose(received, expected, atol=1e-3), explain(
        "with the directions of PCA as weights it must reconstruct as PCA does: "
        "something besides two affine maps is in the way, an activation or another order "
        "of the pixels",
        expected=expected[0, 0],
        received=received[0, 0],
    )


@check(task="dense_autoencoder")
def dense_codes_and_pixels_are_linear(submission):
    rng = new_generator()
    encoder, decoder = dense_answer(submission, 6, (15,))
    check_code(encoder, rng)
    check_pixels(decoder, rng)


@check(task="dense_autoencoder")
def hidden_layers_bend(submission):
    rng = new_generator()
    encoder, decoder = dense_answer(submission, 6, (15,))
    check_bends(encoder, 1.0, rng, "encoder")
    check_bends(decoder, 1.0, rng, "decoder")


@check(task="dense_autoencoder")
def a_dense_autoencoder_learns_a_few_images(submission):
    rng = new_generator()
    encoder, decoder = dense_answer(submission, 8, (40,))
    check_learns(encoder, decoder, rng, "the autoencoder")


def conv_parameters(shape, bottleneck, filters):
    """Return the numbers of parameters of the encoder and of the decoder."""
    chain = (1, *filters)
    convolutions = sum((9 * a + 1) * b for a, b in itertools.pairwise(chain))
    cells = shape[0] * shape[1] // 4 ** len(filters) * filters[-1]
    back = sum((9 * a + 1) * b for a, b in itertools.pairwise(chain[::-1]))
    return convolutions + (cells + 1) * bottleneck, (bottleneck + 1) * cells + back


@check(task="conv_autoencoder")
def convolutions_have_their_sizes(submission):
    for shape, bottleneck, filters in (((8, 12), 5, (3, 4)), ((8, 8), 2, (6,))):
        coder = coder_of(
            submission.conv_autoencoder(shape, bottleneck, filters), shape, bottleneck
        )
        expected = conv_parameters(shape, bottleneck, filters)
        for model, name, count in zip(
            coder, ("encoder", "decoder"), expected, strict=True
        ):
            kinds = [type(layer).__name__ for layer in model.layers]
            assert any("Conv2D" in kind for kind in kinds), explain(
                f"the {name} has no convolution", expected="Conv2D", received=kinds
            )
            assert model.count_params() == count, explain(
                f"the {name} of filters {filters}: 3x3 convolutions that halve (double) "
                "height and width, one for each number of filters, and one dense layer "
                "between the last maps and the code; the last convolution of the decoder "
                "has one filter",
                expected=f"{count} parameters",
                received=f"{model.count_params()} parameters",
            )


@check(task="conv_autoencoder")
def conv_codes_and_pixels_are_linear(submission):
    rng = new_generator()
    coder = coder_of(submission.conv_autoencoder((8, 8), 6, (4, 5)), (8, 8), 6)
    check_code(coder[0], rng)
    check_pixels(coder[1], rng)
    check_bends(coder[0], 1.0, rng, "encoder")
    check_bends(coder[1], 1.0, rng, "decoder")


@check(task="conv_autoencoder")
def every_pixel_counts_and_is_made(submission):
    rng = new_generator()
    encoder, decoder = coder_of(
        submission.conv_autoencoder(IMAGE_SHAPE, 6, (8, 8)), IMAGE_SHAPE, 6
    )
    images = tf.constant(rng.uniform(0.2, 0.8, (16, *IMAGE_SHAPE)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(images)
        total = tf.reduce_sum(tf.abs(encoder(images)))
    seen = np.abs(tape.gradient(total, images)).sum(axis=0) > 0
    assert seen.all(), explain(
        "the code does not depend on every pixel: no padding, or a stride beyond the "
        "kernel, leaves some out",
        expected="all pixels",
        received=f"{np.sum(~seen)} that don't matter",
    )
    pixels = np.asarray(decoder(rng.normal(0, 3, (64, 6)).astype("float32")))
    still = pixels.std(axis=0) < 1e-7
    assert not still.any(), explain(
        "some pixels are the same for all codes",
        expected="every pixel depends on the code",
        received=f"{still.sum()} that don't",
    )


@check(task="conv_autoencoder")
def a_convolutional_autoencoder_learns_a_few_images(submission):
    rng = new_generator()
    encoder, decoder = coder_of(
        submission.conv_autoencoder((8, 8), 8, (8, 12)), (8, 8), 8
    )
    check_learns(encoder, decoder, rng, "the autoencoder")


# psnr -----------------------------------------------------------------------------------


@check(task="psnr")
def decibels_are_tensorflows(submission):
    rng = new_generator()
    images = blobs(rng, 7)
    noise = rng.normal(0, 1, images.shape) * np.geomspace(0.01, 0.4, 7)[:, None, None]
    given = (images + noise).astype("float32")
    received = submission.psnr(images, given)
    expected = tf.image.psnr(images[..., None], given[..., None], 1.0).numpy()
    error = np.square(given - images).mean(axis=(1, 2))
    whole = -10 * np.log10(error.mean())
    if received is not None and np.shape(received) == ():
        single = np.asarray(received, np.float64)
        what = "of the mean error" if np.isclose(single, whole, rtol=1e-3) else ""
        raise AssertionError(
            explain(
                f"one number {what} comes back: each image has its own, for the mean of "
                "logarithms is not the logarithm of the mean",
                expected="7 numbers",
                received=received,
            )
        )
    received = finite(received, (7,), "one number for each image")
    for wrong, mistake in (
        (-expected, "the sign is turned: less error means more decibels"),
        (
            expected + 20 * np.log10(255),
            "the peak is 1, not 255: grey levels lie in [0, 1]",
        ),
        (-10 * np.log(error), "decibels take the logarithm to the base 10"),
        (
            expected / 2,
            "the squared error takes 10 times the logarithm; 20 are for its root",
        ),
        (
            expected * 2,
            "the squared error takes 10 times the logarithm; 20 are for its root",
        ),
        (expected / 10, "a decibel is a tenth of a bel: 10 times the logarithm"),
        (
            -10 * np.log10(np.square(given - images).sum(axis=(1, 2))),
            "take the mean over the pixels, not their sum",
        ),
        (
            -10 * np.log10(np.abs(given - images).mean(axis=(1, 2))),
            "the error is squared, pixel by pixel",
        ),
    ):
        assert not np.allclose(received, wrong, rtol=1e-3), explain(
            mistake, expected=expected[:3], received=received[:3]
        )
    assert np.allclose(received, expected, rtol=1e-3), explain(
        "these are not 10 log10(1 / mean squared error) for each image",
        expected=expected[:3],
        received=received[:3],
    )


@check(task="psnr")
def an_image_that_comes_back_has_infinity(submission):
    images = blobs(new_generator(), 3)
    given = images.copy()
    given[1] = 1 - given[1]
    received = array(submission.psnr(images, given), (3,), "one number for each image")
    assert np.isposinf(received[[0, 2]]).all(), explain(
        "an image that comes back exactly has an infinite ratio",
        expected="inf",
        received=received[0],
    )
    assert np.isfinite(received[1]), explain(
        "an image with an error has a finite ratio",
        expected="a number",
        received=received,
    )


# add_noise ------------------------------------------------------------------------------


def noisy_images(submission, images, seed, noise_std):
    """Return the student's noisy images as float64."""
    received = submission.add_noise(tf.constant(images), seed, noise_std)
    dtype = getattr(received, "dtype", None)
    assert dtype is not None and tf.as_dtype(dtype) == tf.float32, explain(
        "images stay float32", expected="float32", received=received
    )
    return finite(received, images.shape, "the noisy images")


@check(task="add_noise")
def noise_is_gaussian_and_anew_for_each_pixel(submission):
    images = np.full((40, 6, 9), 0.5, np.float32)
    key = tf.constant([np.random.randint(2**31), 1])
    noise = noisy_images(submission, images, key, 0.05) - 0.5
    by_image = noise.reshape(40, -1)
    assert np.std(by_image, axis=0).min() > 1e-4, (
        "all images of a batch get the same noise: draw a number for each pixel of each "
        "image"
    )
    assert np.std(by_image, axis=1).min() > 1e-4, (
        "all pixels of an image get the same noise: draw a number for each pixel"
    )
    assert abs(noise.mean()) < 0.01, explain(
        "the noise has mean 0", expected=0.0, received=noise.mean()
    )
    assert abs(noise.std() - 0.05**2) > 5e-4, explain(
        "this is the variance: noise_std is the standard deviation",
        expected=0.05,
        received=noise.std(),
    )
    assert 0.045 < noise.std() < 0.055, explain(
        "the noise has the standard deviation noise_std",
        expected=0.05,
        received=noise.std(),
    )
    assert np.abs(noise).max() > 2.2 * 0.05, explain(
        "the noise has no tails: it is not Gaussian",
        expected="values beyond 2.2 standard deviations",
        received=np.abs(noise).max() / 0.05,
    )


@check(task="add_noise")
def grey_levels_stay_in_their_range(submission):
    rng = new_generator()
    images = rng.choice([0.0, 0.1, 1.0], (30, 6, 9)).astype("float32")
    key = tf.constant([np.random.randint(2**31), 5])
    received = noisy_images(submission, images, key, 0.5)
    assert received.min() >= 0 and received.max() <= 1, explain(
        "grey levels have left [0, 1]: clip them",
        expected="[0, 1]",
        received=[received.min(), received.max()],
    )
    at_ends = np.mean((received == 0) | (received == 1))
    assert at_ends > 0.25, explain(
        "clip what leaves [0, 1]; scaling the images back would change their contrast",
        expected="about half of these pixels at 0 or 1",
        received=at_ends,
    )


@check(task="add_noise")
def the_seed_decides_also_inside_of_map(submission):
    images = np.full((4, 6, 9), 0.5, np.float32)
    number = np.random.randint(2**30)
    keys = [
        tf.constant(k) for k in ([number, 1], [number, 1], [number, 2], [number + 1, 1])
    ]
    first, again, *others = (noisy_images(submission, images, k, 0.1) for k in keys)
    assert np.array_equal(first, again), (
        "the same seed gives other noise: tf.random.normal and numpy's generators keep a "
        "state; take tf.random.stateless_normal"
    )
    assert not any(np.allclose(first, other) for other in others), (
        "another seed gives the same noise: both numbers of the seed count"
    )
    dataset = tf.data.Dataset.from_tensors((images, keys[0]))
    mapped = dataset.map(lambda x, key: submission.add_noise(x, key, 0.1))
    inside = np.asarray(next(iter(mapped)))
    assert np.allclose(inside, first, atol=1e-6), (
        "inside of Dataset.map the same seed gives other noise: only TensorFlow's "
        "stateless functions compute there what they compute outside"
    )


# corrupted_pairs ------------------------------------------------------------------------


def numbered(count):
    """Return images that carry their number in their first pixel."""
    images = np.full((count, 2, 3), 0.5, np.float32)
    images[:, 0, 0] = np.arange(count) / count
    return images


def shifted_by_noise(images, key):
    """Return images plus noise that is far from 0: who sees it knows its seed."""
    return images + tf.random.stateless_uniform(tf.shape(images), key, 2.0, 3.0)


def epochs_of(
    submission, images, num_epochs, seed, batch_size=8, corrupt=shifted_by_noise
):
    """Return the student's epochs: lists of batches (corrupted, clean), as arrays."""
    pairs = submission.corrupted_pairs(
        images, corrupt, batch_size=batch_size, seed=seed
    )
    assert isinstance(pairs, tf.data.Dataset), explain(
        "a tf.data.Dataset comes back", expected="a Dataset", received=pairs
    )
    epochs, limit = [], 3 * len(images) + 3
    for _ in range(num_epochs):
        batches = list(itertools.islice(pairs, limit))
        assert len(batches) < limit, (
            "the dataset never ends: no repeat, an epoch is one pass"
        )
        for batch in batches:
            assert isinstance(batch, tuple) and len(batch) == 2, explain(
                "an element is a pair of inputs and targets",
                expected="(corrupted, clean)",
                received=batch,
            )
        epochs.append([tuple(np.asarray(part) for part in batch) for batch in batches])
    return epochs


def joined(epoch):
    """Return all corrupted and all clean images of an epoch, sorted by their numbers."""
    inputs, targets = (np.concatenate(part) for part in zip(*epoch, strict=True))
    order = np.argsort(targets[:, 0, 0])
    return inputs[order], targets[order]


@check(task="corrupted_pairs")
def inputs_are_corrupted_and_targets_clean(submission):
    images = numbered(21)
    (epoch,) = epochs_of(submission, images, 1, np.random.randint(2**20))
    shapes = [batch[1].shape for batch in epoch]
    assert [s[0] for s in shapes] != [16, 16] and shapes[0] == (8, 2, 3), explain(
        "batches of 8 images",
        expected=(8, 2, 3),
        received=shapes[0],
    )
    assert len(epoch) == 3 and shapes[-1][0] == 5, explain(
        "21 images in batches of 8: the last batch is short, and none is left out",
        expected="8, 8 and 5 images",
        received=[s[0] for s in shapes],
    )
    first_in, first_out = epoch[0]
    swapped = first_out.min() >= 2 and first_in.max() <= 1
    assert not swapped, (
        "inputs and targets are exchanged: the network gets the corrupted images and has "
        "to give the clean ones"
    )
    assert first_out.max() <= 1, (
        "the targets are corrupted too: then the network learns to copy noise"
    )
    assert first_in.min() >= 2, "the inputs are clean: they go through `corrupt`"
    inputs, targets = joined(epoch)
    assert np.allclose(targets, images, atol=1e-6), (
        "the targets are not the images, each of them once"
    )
    difference = inputs - targets
    assert difference.min() >= 1.99 and difference.max() <= 3.01, (
        "inputs and targets of a batch are not the same images: corrupt behind the "
        "shuffle, both from one batch"
    )


@check(task="corrupted_pairs")
def every_epoch_corrupts_anew(submission):
    images = numbered(21)
    epochs = epochs_of(submission, images, 3, np.random.randint(2**20))
    noises = [np.subtract(*joined(epoch)) for epoch in epochs]
    # The same draws may lie on other images, where the order alone is new.
    sorted_noises = [np.sort(noise.ravel()) for noise in noises]
    for first, second in itertools.combinations(sorted_noises, 2):
        assert not np.allclose(first, second, atol=1e-4), (
            "every epoch has the same corruption, so the network can learn it by heart: a "
            "fixed seed, a cache behind the map, or a random state that starts again with "
            "each pass"
        )
    rows = np.concatenate([noise.reshape(21, -1) for noise in noises])
    near = [np.abs(a - b).max() for a, b in itertools.combinations(rows, 2)]
    assert min(near) > 1e-4, (
        "two batches get the same corruption: each batch needs a seed of its own"
    )


@check(task="corrupted_pairs")
def every_epoch_has_an_order_of_its_own(submission):
    images = numbered(40)
    epochs = epochs_of(submission, images, 2, np.random.randint(2**20), batch_size=4)
    orders = [np.concatenate([b[1][:, 0, 0] for b in epoch]) for epoch in epochs]
    assert not np.allclose(orders[0], images[:, 0, 0]), (
        "the images come in their own order: shuffle them, all of them"
    )
    blocks = np.sort(orders[0].reshape(10, 4), axis=1)
    assert not np.allclose(np.diff(blocks, axis=1), 1 / 40), (
        "whole batches are shuffled, with the same images together: shuffle before you "
        "batch"
    )
    assert not np.allclose(orders[0], orders[1]), (
        "each epoch has the same order: reshuffle"
    )
    # A buffer of b images gives none more than b - 1 places too early.
    early = int(np.max(np.round(orders[0] * 40) - np.arange(40)))
    assert early > 12, explain(
        "the buffer of the shuffle is too small: late images never come early",
        expected="a buffer of all images",
        received=f"no image more than {early} places before its own",
    )


@check(task="corrupted_pairs")
def the_seed_repeats_it_all(submission):
    images, seed = numbered(21), np.random.randint(2**20)
    first, again = (epochs_of(submission, images, 2, seed) for _ in range(2))
    for epoch, other in zip(first, again, strict=True):
        same_order = all(
            np.array_equal(a[1], b[1]) for a, b in zip(epoch, other, strict=True)
        )
        assert same_order, "the same seed gives another order: give shuffle the seed"
        same = all(np.allclose(a[0], b[0]) for a, b in zip(epoch, other, strict=True))
        assert same, (
            "the same seed gives another corruption: the seeds that `corrupt` gets must "
            "follow from `seed`"
        )
    other = epochs_of(submission, images, 1, seed + 1)[0]
    assert not np.allclose(joined(first[0])[0], joined(other)[0]), (
        "another seed gives the same corruption"
    )
    assert len(images) == 21 and np.array_equal(images, numbered(21)), (
        "your function changes the images that it is given"
    )


# label_draw -----------------------------------------------------------------------------


def unbalanced_labels(rng):
    """Return labels of four classes, one of them five times as frequent."""
    return rng.permutation(np.repeat([0, 1, 2, 5], [200, 40, 40, 30]))


def drawn(submission, labels, num_per_class, seed):
    """Return the student's places, or fail where they are none."""
    received = submission.label_draw(labels, num_per_class, seed)
    places = array(received, (4 * num_per_class,), "places of 4 classes")
    whole = np.issubdtype(np.asarray(received).dtype, np.integer)
    assert whole, explain(
        "places are whole numbers, to be used as an index",
        expected="integers",
        received=received,
    )
    assert places.min() >= 0 and places.max() < len(labels), explain(
        "places lie in the labels", expected=f"0 to {len(labels) - 1}", received=places
    )
    return places.astype(np.int64)


@check(task="label_draw")
def each_class_has_its_share_and_nobody_twice(submission):
    rng = new_generator()
    labels = unbalanced_labels(rng)
    kept = labels.copy()
    for num_per_class in (25, 30):
        places = drawn(submission, labels, num_per_class, np.random.randint(2**20))
        values, counts = np.unique(labels[places], return_counts=True)
        assert not np.array_equal(np.sort(places), np.sort(labels[places])), (
            "these are labels; return their places"
        )
        assert values.tolist() == [0, 1, 2, 5] and set(counts) == {num_per_class}, (
            explain(
                "each class has exactly as many labels: draw in each class by itself, "
                "not from all examples at once",
                expected=f"{num_per_class} of each",
                received=dict(zip(values.tolist(), counts.tolist(), strict=True)),
            )
        )
        assert len(np.unique(places)) == len(places), (
            "an example was drawn twice: draw without putting back"
        )
    assert np.array_equal(labels, kept), "your function changes the labels it is given"


@check(task="label_draw")
def the_seed_decides_and_nothing_else(submission):
    labels, seed = unbalanced_labels(new_generator()), np.random.randint(2**20)
    first = drawn(submission, labels, 5, seed)
    np.random.seed(seed + 7)
    keras.utils.set_random_seed(seed + 7)
    again = drawn(submission, labels, 5, seed)
    assert np.array_equal(np.sort(first), np.sort(again)), (
        "the same seed gives another draw: np.random.default_rng(seed) follows the seed "
        "alone"
    )
    other = drawn(submission, labels, 5, seed + 1)
    assert not np.array_equal(np.sort(first), np.sort(other)), (
        "another seed gives the same draw: use the seed, and draw at random"
    )
    state = np.random.get_state()[1].copy()
    drawn(submission, labels, 5, seed)
    assert np.array_equal(state, np.random.get_state()[1]), (
        "your draw moves numpy's global generator: whoever draws afterwards gets other "
        "numbers; take np.random.default_rng(seed)"
    )


@check(task="label_draw")
def everybody_can_be_drawn(submission):
    labels, start = unbalanced_labels(new_generator()), np.random.randint(2**20)
    places = [drawn(submission, labels, 6, start + k) for k in range(60)]
    counts = np.bincount(np.concatenate(places), minlength=len(labels))
    rare = counts[labels == 5]  # 60 draws of 6 among 30: 12 each.
    assert rare.min() > 0, explain(
        "some examples are never drawn: draw among all of a class",
        expected="about 12 times each in 60 draws",
        received=f"{np.sum(rare == 0)} of 30 never",
    )
    frequent = counts[labels == 0]  # 60 draws of 6 among 200.
    assert np.sum(frequent > 0) > 120, explain(
        "most examples of the largest class are never drawn",
        expected="about 168 of 200 in 60 draws",
        received=f"{np.sum(frequent > 0)}",
    )


# classifier -----------------------------------------------------------------------------


def small_encoder(rng):
    """Return an encoder with batch normalisation, its weights and statistics not fresh."""
    images = keras.Input((4, 5))
    hidden = keras.layers.Flatten()(images)
    hidden = keras.layers.Dense(9, "relu")(hidden)
    hidden = keras.layers.BatchNormalization()(hidden)
    encoder = keras.Model(images, keras.layers.Dense(6)(hidden))
    for weight in encoder.weights:
        weight.assign(rng.uniform(0.3, 1.2, weight.shape) * rng.choice([1.0, 0.8]))
    return encoder


def classifier_of(submission, encoder, start, num_classes=3):
    """Return the student's classifier, or fail where it is none."""
    model = submission.classifier(encoder, num_classes, start)
    assert isinstance(model, keras.Model), explain(
        "a keras.Model comes back", expected="a model", received=model
    )
    received = tuple(model.input_shape), tuple(model.output_shape)
    expected = (None, *encoder.input_shape[1:]), (None, num_classes)
    assert received == expected, explain(
        "the classifier maps images to logits",
        expected=f"{expected[0]} → {expected[1]}",
        received=f"{received[0]} → {received[1]}",
    )
    count = encoder.count_params() + (encoder.output_shape[-1] + 1) * num_classes
    assert model.count_params() == count, explain(
        "a classifier is the encoder and one dense layer on its codes: no decoder, no "
        "hidden layer",
        expected=f"{count} parameters",
        received=f"{model.count_params()} parameters",
    )
    return model


def train_a_little(model, rng):
    """Train for a few steps with large strides, as the lab does."""
    model.compile(
        keras.optimizers.SGD(0.05),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        run_eagerly=True,
    )
    images = rng.normal(2, 1, (12, 4, 5)).astype("float32")
    for _ in range(3):
        model.train_on_batch(images, rng.integers(0, 3, 12))


def logits_of(encoder, kernel, bias, images):
    """Return what numpy makes of the encoder's codes."""
    return np.asarray(encoder(images, training=False)) @ kernel + bias


def contains(model, arrays):
    """Tell whether each of the arrays is among the model's weights."""
    weights = [w.numpy() for w in model.weights]
    return [
        any(w.shape == a.shape and np.allclose(w, a) for w in weights) for a in arrays
    ]


@check(task="classifier")
def logits_are_a_dense_layer_on_the_codes(submission):
    rng = new_generator()
    encoder = small_encoder(rng)
    images = rng.normal(0, 1, (30, 4, 5)).astype("float32")
    for start in ("frozen", "fine_tuned"):
        model = classifier_of(submission, encoder, start)
        last = [w.numpy() for w in model.weights if w.shape in ((6, 3), (3,))]
        assert len(last) == 2, explain(
            "the last layer has a kernel and a bias", expected=2, received=len(last)
        )
        kernel, bias = sorted(last, key=np.ndim, reverse=True)
        received = finite(model(images, training=False), (30, 3), "the logits")
        expected = logits_of(encoder, kernel, bias, images)
        shares = np.exp(expected - expected.max(axis=1, keepdims=True))  # No overflow.
        shares /= shares.sum(axis=1, keepdims=True)
        assert not np.allclose(received, shares, atol=1e-4), (
            "the last layer has a softmax: return logits, the loss adds it"
        )
        given = contains(model, [w.numpy() for w in encoder.weights])
        assert all(given), (
            f'"{start}" starts from fresh weights: clone_model copies the architecture '
            "only; bring the encoder's weights over with set_weights"
        )
        assert np.allclose(received, expected, atol=1e-3), explain(
            "the logits are not the dense layer's of the encoder's codes",
            expected=expected[0],
            received=received[0],
        )


@check(task="classifier")
def frozen_means_that_the_head_alone_learns(submission):
    rng = new_generator()
    encoder = small_encoder(rng)
    model = classifier_of(submission, encoder, "frozen")
    shapes = sorted(tuple(w.shape) for w in model.trainable_variables)
    assert len(shapes) > 0, "nothing can be trained, not even the last layer"
    assert shapes == [(3,), (6, 3)], explain(
        '"frozen": only the last layer\'s kernel and bias are trainable; set '
        "trainable = False on the whole copy, before the model is compiled",
        expected="2 variables",
        received=f"{len(shapes)} variables",
    )
    before = [w.numpy() for w in encoder.weights]
    head = [w.numpy() for w in model.trainable_variables]
    train_a_little(model, rng)
    kept = contains(model, before)
    assert all(kept), "training moved the frozen encoder: " + (
        "its batch normalisation still follows the batches; trainable = False must "
        "reach these layers, or call the copy with training=False"
        if kept.count(False) <= 2
        else "its weights are trained"
    )
    moved = [
        not np.allclose(a, w.numpy())
        for a, w in zip(head, model.trainable_variables, strict=True)
    ]
    assert all(moved), "the last layer does not learn"
    images = rng.normal(5, 3, (16, 4, 5)).astype("float32")
    same = np.allclose(model(images, training=True), model(images), atol=1e-4)
    assert same, (
        "in training the frozen encoder gives other codes than afterwards: its batch "
        "normalisation uses the statistics of the batch"
    )


@check(task="classifier")
def fine_tuned_and_scratch_train_everything(submission):
    rng = new_generator()
    encoder = small_encoder(rng)
    for start in ("fine_tuned", "scratch"):
        model = classifier_of(submission, encoder, start)
        expected = len(encoder.trainable_variables) + 2
        assert len(model.trainable_variables) == expected, explain(
            f'"{start}": all layers are trained',
            expected=f"{expected} trainable variables",
            received=f"{len(model.trainable_variables)}",
        )
    frozen_first = classifier_of(submission, encoder, "frozen")
    after = classifier_of(submission, encoder, "fine_tuned")
    assert len(after.trainable_variables) == expected and encoder.trainable, (
        'a "frozen" classifier has frozen the encoder itself, so that the next one can\'t '
        "be fine-tuned: freeze the copy"
    )
    assert len(frozen_first.trainable_variables) == 2, (
        "a later classifier has thawed the frozen one: they share layers"
    )


@check(task="classifier")
def scratch_starts_from_fresh_weights(submission):
    rng = new_generator()
    encoder = small_encoder(rng)
    kernels = [w.numpy() for w in encoder.weights if len(w.shape) == 2]
    models = [classifier_of(submission, encoder, "scratch") for _ in range(2)]
    assert not any(contains(models[0], kernels)), (
        '"scratch" has the pretrained weights: it is the comparison without pretraining'
    )
    first, second = (
        [w.numpy() for w in model.weights if w.shape == (20, 9)] for model in models
    )
    assert len(first) == 1 and np.std(first[0]) > 1e-3, explain(
        "fresh weights are random, not all alike",
        expected="kernels as their initializer draws them",
        received=first[0].std() if first else "none",
    )
    assert not np.allclose(first[0], second[0]), (
        "two classifiers from scratch start from the same weights: a seed is fixed"
    )
    moving = [w.numpy() for w in models[0].weights if "moving_mean" in w.path]
    assert all(np.allclose(value, 0) for value in moving), (
        'the moving statistics of the pretrained encoder came along into "scratch"'
    )


@check(task="classifier")
def the_encoder_stays_as_it_is(submission):
    rng = new_generator()
    encoder = small_encoder(rng)
    before = [w.numpy() for w in encoder.weights]
    for start in ("fine_tuned", "scratch", "frozen"):
        model = classifier_of(submission, encoder, start)
        train_a_little(model, rng)
        same = all(
            np.array_equal(a, w.numpy())
            for a, w in zip(before, encoder.weights, strict=True)
        )
        assert same, (
            f'training the "{start}" classifier changed the encoder that it was made '
            "from: the next draw of labels would start from there; work on a copy"
        )
        assert encoder.trainable and all(x.trainable for x in encoder.layers), (
            f'"{start}" has frozen the encoder itself: freeze the copy'
        )


# propagate_labels -----------------------------------------------------------------------


def ring_graph(rng, count=40):
    """Return a connected graph with uneven weights, as a sparse matrix."""
    places = np.arange(count)
    rows = np.concatenate([places, places, [0, 3, 7]])
    columns = np.concatenate([(places + 1) % count, (places + 3) % count, [20, 30, 15]])
    weights = rng.uniform(0.2, 2.0, len(rows))
    graph = scipy.sparse.csr_matrix((weights, (rows, columns)), shape=(count, count))
    return (graph + graph.T).tocsr()


def exact_steps(graph, labelled, labels, num_classes, alpha, num_steps):
    """Return F after the steps as a sum of a series of dense matrices, before scaling."""
    dense = graph.toarray()
    degrees = dense.sum(axis=1)
    spread = dense / np.sqrt(np.outer(degrees, degrees))
    given = np.zeros((len(dense), num_classes))
    given[labelled, labels] = 1
    power, total = np.eye(len(dense)), np.zeros_like(dense)
    for step in range(num_steps + 1):
        total += power * (
            alpha**step if step == num_steps else (1 - alpha) * alpha**step
        )
        power = power @ spread
    return total @ given


def shares_of(submission, *arguments):
    """Return the student's shares, rows that add up to 1."""
    graph, num_classes = arguments[0], arguments[3]
    received = submission.propagate_labels(*arguments)
    assert not scipy.sparse.issparse(received), (
        "a sparse matrix comes back: F is an ordinary array"
    )
    received = finite(received, (graph.shape[0], num_classes), "shares of each example")
    assert received.min() >= 0, "shares are never negative"
    columns = received.sum(axis=0)
    assert not np.allclose(columns, 1, atol=1e-3), (
        "the columns add up to 1: divide each row, an example's shares of the classes"
    )
    sums = received.sum(axis=1)
    assert np.allclose(sums, 1, atol=1e-3), explain(
        "each row adds up to 1", expected=1.0, received=sums[np.argmax(abs(sums - 1))]
    )
    return received


def by_rows(shares):
    """Return the shares with rows that add up to 1."""
    return shares / shares.sum(axis=1, keepdims=True)


@check(task="propagate_labels")
def shares_are_those_of_the_power_series(submission):
    rng = new_generator()
    graph = ring_graph(rng)
    labelled, labels = rng.permutation(40)[:5], np.array([0, 1, 2, 1, 0])
    kept = graph.copy()
    for alpha, num_steps in ((0.8, 6), (0.5, 30)):
        arguments = (labelled, labels, 3, alpha, num_steps)
        received = shares_of(submission, graph, *arguments)
        expected = by_rows(exact_steps(graph, *arguments) + 1e-300)
        reached = exact_steps(graph, *arguments).sum(axis=1) > 0
        dense = graph.toarray()
        given = np.zeros((40, 3))
        given[labelled, labels] = 1

        def variant(spread, anchor, alpha=alpha, num_steps=num_steps, given=given):
            shares = given
            for _ in range(num_steps):
                shares = alpha * (spread @ shares) + anchor * given
            return by_rows(shares + 1e-300)

        degrees = dense.sum(axis=1)
        symmetric = dense / np.sqrt(np.outer(degrees, degrees))
        for spread, anchor, mistake in (
            (
                dense / degrees[:, None],
                1 - alpha,
                "this is a random walk D^-1 W: divide by the roots of both row sums",
            ),
            (
                dense / degrees[None, :],
                1 - alpha,
                "this is W D^-1: divide by the roots of both row sums",
            ),
            (dense, 1 - alpha, "the graph is not normalised"),
            (symmetric, 0.0, "the given labels are lost: each step adds (1 - alpha) Y"),
            (symmetric, 1.0, "each step adds (1 - alpha) Y, not Y"),
        ):
            wrong = variant(spread, anchor)
            close = np.allclose(received[reached], wrong[reached], atol=1e-4)
            differs = not np.allclose(wrong[reached], expected[reached], atol=1e-3)
            assert not (close and differs), mistake
        assert np.allclose(received[reached], expected[reached], atol=1e-3), explain(
            f"F after {num_steps} steps with alpha {alpha} is not what the power series of "
            "S gives",
            expected=expected[reached][0],
            received=received[reached][0],
        )
    changed = (graph != kept).nnz if graph.shape == kept.shape else 1
    assert changed == 0, "your function changes the graph that it is given"


@check(task="propagate_labels")
def many_steps_reach_the_closed_form(submission):
    rng = new_generator()
    graph = ring_graph(rng)
    labelled, labels = rng.permutation(40)[:6], np.array([0, 0, 1, 1, 2, 2])
    received = shares_of(submission, graph, labelled, labels, 3, 0.7, 200)
    dense = graph.toarray()
    degrees = dense.sum(axis=1)
    spread = dense / np.sqrt(np.outer(degrees, degrees))
    given = np.zeros((40, 3))
    given[labelled, labels] = 1
    expected = by_rows(np.linalg.solve(np.eye(40) - 0.7 * spread, given))
    assert np.allclose(received, expected, atol=2e-3), explain(
        "after many steps F is proportional to (I - alpha S)^-1 Y",
        expected=expected[0],
        received=received[0],
    )


@check(task="propagate_labels")
def what_nothing_reaches_is_undecided(submission):
    rng = new_generator()
    parts = [ring_graph(rng, 31), ring_graph(rng, 31)]
    graph = scipy.sparse.block_diag(parts).tocsr()
    labelled, labels = np.array([4, 11]), np.array([1, 3])
    received = shares_of(submission, graph, labelled, labels, 4, 0.9, 40)
    assert np.allclose(received[31:], 0.25, atol=1e-6), explain(
        "the second half of this graph has no label: its rows are 1 / num_classes",
        expected=[0.25, 0.25, 0.25, 0.25],
        received=received[40],
    )
    assert np.allclose(received[:31, [0, 2]], 0, atol=1e-6), explain(
        "classes without a label have no share where labels arrive",
        expected=0.0,
        received=received[:31, [0, 2]].max(),
    )


@check(task="propagate_labels")
def a_large_graph_stays_sparse(submission):
    count = 60_000
    places = np.arange(count)
    chain = scipy.sparse.csr_matrix(
        (np.ones(count - 1, np.float32), (places[:-1], places[1:])), (count, count)
    )
    graph = (chain + chain.T).tocsr()
    labelled = np.array([0, count - 1])
    try:
        received = shares_of(submission, graph, labelled, np.array([0, 1]), 2, 0.9, 5)
    except MemoryError:
        raise AssertionError(
            "60,000 examples don't fit in memory as a dense graph: stay with scipy.sparse"
        ) from None
    assert received[2, 0] > 0.99 and received[-3, 1] > 0.99, explain(
        "labels at both ends of a chain reach their neighbours",
        expected=1.0,
        received=received[2, 0],
    )
