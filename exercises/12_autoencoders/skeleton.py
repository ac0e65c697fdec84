# %%
"""Autoencoders: what a bottleneck keeps, what noise teaches, and 100 labels."""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import keras
import numpy as np
import scipy.sparse
import tensorflow as tf
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from tfcourse import autoencoder_comparisons as comparisons
from tfcourse import few_labels
from tfcourse.autoencoder_study import Study, predict
from tfcourse.runs import Run
from tfcourse.warps import random_warps

Images = NDArray[np.float32]  # [n, height, width], in [0, 1].
Coder = tuple[keras.Model, keras.Model]  # Encoder and decoder.


@dataclasses.dataclass(frozen=True)
class Config:
    """What can be set: `tfcourse run 12 --set pretrain_epochs=12`."""

    source: str = "real"  # Where the data come from: "embedded" or "real".
    val_fraction: float = 1 / 12  # Of the training images: 5,000 of MNIST's 60,000.
    batch_size: int = 128
    learning_rate: float = 3e-3  # Of autoencoders, at first; a cosine takes it to 0.
    bottlenecks: tuple[int, ...] = (2, 4, 8, 16, 32, 64)
    hidden_units: tuple[int, ...] = (256,)  # Of the dense encoder.
    filters: tuple[int, ...] = (8, 16)  # Of the convolutional one,
    wide_filters: tuple[int, ...] = (16, 32)  # and where it denoises or pretrains.
    study_epochs: int = 2
    linear_epochs: int = 6  # Of the linear autoencoder.
    noise_std: float = 0.5  # Of the grey levels' range.
    pretrain_epochs: int = 5
    warp_strength: float = 2.0  # Of what pretraining undoes; classifiers see 1.
    pretrain_bottleneck: int = 64
    labels_per_class: int = 10
    num_draws: int = 10  # Of the labels, for the figures that are reported.
    num_tuning_draws: int = 2  # Others, for the choice of rates.
    rates: tuple[float, ...] = (3e-3, 1e-2, 3e-2)  # Tried for each start.
    decays: tuple[float, ...] = (0.0, 0.3)  # Of the weights, at each rate.
    label_steps: int = 300  # Of 100 warped images each.
    num_neighbours: int = 10
    alpha: float = 0.99  # How far labels spread along the graph.
    propagation_steps: int = 100
    student_epochs: int = 2
    student_rate: float = 3e-3  # Of its training, at first.
    seed: int = 0


LAB = Config()
SMOKE = Config(
    source="embedded",
    val_fraction=0.2,
    batch_size=32,
    learning_rate=5e-3,
    bottlenecks=(2, 16),
    wide_filters=(8, 16),
    study_epochs=8,
    linear_epochs=20,
    pretrain_epochs=8,
    pretrain_bottleneck=32,
    warp_strength=1.0,
    num_draws=2,
    rates=(1e-2,),
    decays=(0.0,),
    label_steps=80,
    student_epochs=6,
)
FULL = dataclasses.replace(
    LAB, study_epochs=50, wide_filters=(32, 64), pretrain_epochs=100, label_steps=2000
)


# %%
def pca_reconstructions(
    train_images: Images, images: Images, num_components: int
) -> Images:
    """Return the images as the first principal components of the training images show them.

    Each image is projected onto the plane of largest variance of the training images,
    which goes through their mean: float [n, height, width]; a little may lie outside of
    [0, 1].

    Args:
        train_images: float32 [m, height, width]: mean and directions come from these.
        images: float32 [n, height, width].
        num_components: Dimensions of the plane.
    """
    raise NotImplementedError("exercise 12: write pca_reconstructions()")


# %%
def dense_autoencoder(
    image_shape: tuple[int, int], bottleneck: int, hidden_units: Sequence[int]
) -> Coder:
    """Return an encoder and a decoder of dense layers, two Functional models.

    The encoder maps float32 [batch, height, width] to codes [batch, bottleneck]: hidden
    layers with ReLU, then the code without activation. The decoder is its mirror image,
    its pixels without activation too. Without hidden layers both are affine maps.

    Args:
        image_shape: Height and width.
        bottleneck: Units of the code.
        hidden_units: Of the encoder's hidden layers, from the image to the code.
    """
    raise NotImplementedError("exercise 12: write dense_autoencoder()")


# %%
def conv_autoencoder(
    image_shape: tuple[int, int], bottleneck: int, filters: Sequence[int]
) -> Coder:
    """Return a convolutional encoder and decoder, two Functional models.

    The encoder maps float32 [batch, height, width] to codes [batch, bottleneck]: for each
    number of filters a 3x3 convolution with ReLU that halves height and width, then a
    dense layer without activation. The decoder is its mirror image: a dense layer with
    ReLU, then 3x3 convolutions that double height and width, with ReLU but for the last,
    which has one filter and no activation.

    Args:
        image_shape: Height and width, divisible by 2 as often as there are convolutions.
        bottleneck: Units of the code.
        filters: Of the encoder's convolutions, from the image to the code.
    """
    raise NotImplementedError("exercise 12: write conv_autoencoder()")


# %%
def psnr(images: Images, reconstructions: Images) -> NDArray[np.floating]:
    """Return the peak signal-to-noise ratio of each image, in decibels: float [n].

    The peak is 1, the largest grey level; an image that comes back exactly has infinity.

    Args:
        images: float [n, height, width], in [0, 1].
        reconstructions: float [n, height, width].
    """
    raise NotImplementedError("exercise 12: write psnr()")


# %%
def add_noise(images: tf.Tensor, seed: tf.Tensor, noise_std: float) -> tf.Tensor:
    """Return the images with Gaussian noise on each pixel: float32 [batch, height, width].

    Grey levels stay in [0, 1]: what leaves it is clipped.

    Args:
        images: float32 [batch, height, width], in [0, 1].
        seed: int [2]: the same seed gives the same noise, also inside of `Dataset.map`.
        noise_std: Standard deviation.
    """
    raise NotImplementedError("exercise 12: write add_noise()")


# %%
def corrupted_pairs(
    images: Images,
    corrupt: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    *,
    batch_size: int,
    seed: int,
) -> tf.data.Dataset:
    """Return batches (corrupted images, clean images) for the training of an autoencoder.

    Every epoch has all images in a new order, the last batch being short where it must,
    and corrupts each of them anew; batches are corrupted independently of one another.
    The same seed gives the same epochs.

    Args:
        images: float32 [n, height, width].
        corrupt: From images [batch, height, width] and a seed, int [2], to images.
        batch_size: Images of a batch.
        seed: Of orders and corruptions.
    """
    raise NotImplementedError("exercise 12: write corrupted_pairs()")


# %%
def label_draw(
    labels: NDArray[np.integer], num_per_class: int, seed: int
) -> NDArray[np.integer]:
    """Return which examples get a label: int [classes * num_per_class], places in `labels`.

    Each class has `num_per_class` different ones, drawn at random; the same seed gives the
    same draw.

    Args:
        labels: int [n]; each class has at least `num_per_class` examples.
        num_per_class: Labels of each class.
        seed: Of the draw.
    """
    raise NotImplementedError("exercise 12: write label_draw()")


# %%
def classifier(encoder: keras.Model, num_classes: int, start: str) -> keras.Model:
    """Return a Functional model from images to logits: an encoder and one dense layer.

    Its encoder is a copy: whatever becomes of the classifier, `encoder` stays as it is.

    Args:
        encoder: From float32 [batch, height, width] to codes; may have batch
            normalisation.
        num_classes: Logits.
        start: "frozen": the copy has the encoder's weights, and training changes nothing
            of it, moving statistics included. "fine_tuned": the copy has the encoder's
            weights, and all is trained. "scratch": the copy has fresh weights, and all is
            trained.
    """
    raise NotImplementedError("exercise 12: write classifier()")


# %%
def propagate_labels(
    graph: scipy.sparse.csr_matrix,
    labelled: NDArray[np.integer],
    labels: NDArray[np.integer],
    num_classes: int,
    alpha: float,
    num_steps: int,
) -> NDArray[np.floating]:
    """Return class shares of all examples, spread from a few along a graph of neighbours.

    With S = D^-1/2 W D^-1/2 for the graph W and its diagonal D of row sums, each step is
    F <- alpha S F + (1 - alpha) Y, from F = Y.

    Args:
        graph: Symmetric weights of neighbours [n, n], at least 0; no row is empty.
        labelled: int [m], places of the examples with a label.
        labels: int [m], these labels, in [0, num_classes).
        num_classes: Columns of the result.
        alpha: In (0, 1).
        num_steps: How often.

    Returns:
        float [n, num_classes]: F after the last step, each row divided by its sum; a row
        that nothing has reached is 1 / num_classes everywhere.

    Source: Zhou et al., 2003, section 2.
    """
    raise NotImplementedError("exercise 12: write propagate_labels()")


# %%
def pretrain(study: Study, config: Config) -> dict[str, Coder]:
    """Return autoencoders of one architecture that learned to undo three corruptions."""
    corruptions = {
        "nothing": lambda images, seed: images,
        "noise": functools.partial(add_noise, noise_std=config.noise_std),
        "warps": functools.partial(random_warps, strength=config.warp_strength),
    }
    shape, size = study.test_images.shape[1:], config.pretrain_bottleneck
    options = {"batch_size": config.batch_size, "seed": config.seed}
    coders = {}
    for name, corrupt in corruptions.items():
        coders[name] = conv_autoencoder(shape, size, config.wide_filters)
        train_ds = corrupted_pairs(study.train_images, corrupt, **options)
        val_inputs = np.asarray(corrupt(study.val_images, [config.seed, 1]))
        study.pretrain(name, coders[name], train_ds, val_inputs)
    return coders


# %%
def student_study(study: Study, config: Config, encoder: keras.Model):
    """Return two lists over the draws: accuracies of spread labels, and of their student.

    Labels spread to all training images along a graph of neighbouring codes; a classifier
    then learns from all of them on warped images, from each as far as it is certain.
    """
    images, labels = study.parts["train"]
    graph = few_labels.neighbour_graph(predict(encoder, images), config.num_neighbours)
    model = classifier(encoder, study.num_classes, "fine_tuned")
    trainer = few_labels.Trainer(model, batch_size=config.batch_size)
    start = model.get_weights()
    spreading = study.num_classes, config.alpha, config.propagation_steps
    options = {"rate": config.student_rate, "epochs": config.student_epochs}

    def accuracies(seed: int) -> list[float]:
        draw = np.asarray(label_draw(labels, config.labels_per_class, seed))
        shares = np.asarray(propagate_labels(graph, draw, labels[draw], *spreading))
        winners = np.argmax(shares, axis=1)  # [n]
        certain = few_labels.certainty(shares)  # [n], in [0, 1]
        trainer.train(
            images, winners, start, seed=seed, sample_weight=certain, **options
        )
        return [np.mean(winners == labels), trainer.accuracy(*study.parts["test"])]

    return study.over_draws("student", accuracies)


# %%
def main(config: Config, run: Run) -> dict[str, float]:
    """Return the metrics that exercise.toml promises."""
    study = Study(run, config)
    builders = {
        "dense": functools.partial(dense_autoencoder, hidden_units=config.hidden_units),
        "convolutional": functools.partial(conv_autoencoder, filters=config.filters),
    }
    pca = pca_reconstructions
    with threadpool_limits(limits=1):  # On small matrices numpy's threads just wait.
        metrics = comparisons.compare_sizes(study, pca, builders)
        metrics |= comparisons.linear_over_pca(study, pca, dense_autoencoder)
        coders = pretrain(study, config)
        metrics |= comparisons.compare_denoising(study, coders, pca, add_noise, psnr)
    encoders = {name: encoder for name, (encoder, _) in coders.items()}
    starts = comparisons.compare_starts(study, encoders, label_draw, classifier)
    student = student_study(study, config, encoders["warps"])
    return metrics | study.report_labels(starts, student, encoders["warps"])
