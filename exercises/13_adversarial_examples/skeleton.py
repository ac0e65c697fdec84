# %%
"""Adversarial examples: attacks from the gradient, defences, and whom to believe."""

import dataclasses
from collections.abc import Callable, Mapping

import keras
import numpy as np
import tensorflow as tf

from tfcourse import adversarial_networks, adversarial_study
from tfcourse.adversarial_comparisons import report
from tfcourse.adversarial_search import square_side
from tfcourse.adversarial_training import train_networks
from tfcourse.runs import Run

Loss = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]  # labels, logits -> [batch].
Predict = Callable[[np.ndarray], np.ndarray]  # images [n, h, w] -> logits [n, classes].


@dataclasses.dataclass(frozen=True)
class Config:
    """What can be set; training was tuned on validation images."""

    source: str = "real"  # Where the data come from: "embedded" or "real".
    val_fraction: float = 1 / 12  # Of the training images: 5,000 of MNIST's 60,000.
    num_test_images: int = 1_000  # What all attacks are made on.
    epsilon: float = 0.3  # Largest change of a pixel; pixels are in [0, 1].
    filters: tuple[int, int] = (16, 32)
    units: int = 100
    batch_size: int = 128
    plain_epochs: int = 4  # Without attacks.
    fgsm_epochs: int = 4  # On examples of FGSM.
    robust_epochs: int = 12  # On examples of PGD.
    learning_rate: float = 2e-3  # At first; a cosine takes it to 0.
    train_epsilon: float = 0.32  # A little more than what is promised.
    train_steps: int = 7  # Of PGD, for each batch.
    train_step_share: float = 0.3  # Size of a step, as a share of epsilon.
    ramp_share: float = 0.3  # Of the training, until epsilon has its full size.
    logit_scale: float = 10_000.0  # Of the defence that masks.
    attack_steps: int = 40
    attack_step_share: float = 0.1
    num_restarts: int = 5  # For each of two losses.
    num_queries: int = 5_000  # Of the attack that sees no gradient.
    num_curve_images: int = 300  # For accuracy against epsilon.
    seed: int = 0


SMOKE = Config(
    source="embedded",
    val_fraction=0.2,
    num_test_images=120,
    epsilon=0.15,
    filters=(8, 16),
    batch_size=32,
    plain_epochs=6,
    fgsm_epochs=6,
    robust_epochs=10,
    train_epsilon=0.15,
    train_steps=4,
    attack_steps=8,
    attack_step_share=0.3,
    num_restarts=2,
    num_queries=200,
    num_curve_images=40,
)
LAB = Config()
FULL = dataclasses.replace(  # Attack, batches and steps as in Madry et al., 2018.
    LAB,
    num_test_images=10_000,
    units=1024,
    batch_size=50,
    learning_rate=1e-4,
    robust_epochs=91,
    train_epsilon=0.3,
    train_steps=40,
    train_step_share=1 / 30,
    num_queries=10_000,
)


def cross_entropy(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Return the loss that training minimises, for each image: float32 [batch]."""
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)


# %%
def margin_loss(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Return by how much the best other class beats the label: float32 [batch].

    The largest logit of all classes but the label's, minus the label's. Above 0 the
    image is misclassified; unlike the cross-entropy it grows with the logits' scale.

    Args:
        labels: int64 [batch].
        logits: float32 [batch, classes], of any sign and size.

    Source: Carlini and Wagner, 2017, arXiv:1608.04644, section V.A.
    """
    raise NotImplementedError("exercise 13: write margin_loss()")


# %%
def input_gradient(
    model: keras.Model, images: tf.Tensor, labels: tf.Tensor, loss: Loss = cross_entropy
) -> tf.Tensor:
    """Return the gradient of each image's loss by its pixels: float32, as images.

    The model is in inference mode. An image's gradient does not depend on how many
    others are in the batch.

    Args:
        model: From images to logits.
        images: float32 [batch, height, width].
        labels: int64 [batch].
        loss: Called as `loss(labels, logits)`; gives one loss per image.
    """
    raise NotImplementedError("exercise 13: write input_gradient()")


# %%
def fgsm(
    model: keras.Model,
    images: tf.Tensor,
    labels: tf.Tensor,
    *,
    epsilon: float,
    targeted: bool = False,
) -> tf.Tensor:
    """Return adversarial images by the fast gradient sign method: float32, as images.

    One step of size epsilon along the sign of the gradient of the cross-entropy, then
    back into the range [0, 1].

    Args:
        model: From images to logits.
        images: float32 [batch, height, width], in [0, 1].
        labels: int64 [batch]: the classes to get away from; targeted: to get to.
        epsilon: Largest change of a pixel.
        targeted: Whether the labels are targets.

    Source: Goodfellow, Shlens and Szegedy, 2015, arXiv:1412.6572, section 4.
    """
    raise NotImplementedError("exercise 13: write fgsm()")


# %%
def project(
    images: tf.Tensor, originals: tf.Tensor, epsilon: float, norm: str
) -> tf.Tensor:
    """Return the images brought back into the ball around the originals and into [0, 1].

    "linf": no pixel differs by more than epsilon. "l2": the Euclidean length of an
    image's change is at most epsilon; a longer one is shortened and keeps its direction.
    What lies in the ball and the range stays as it is. First the ball, then the range.

    Args:
        images: float32 [batch, height, width].
        originals: float32 [batch, height, width], in [0, 1].
        epsilon: Radius of the ball.
        norm: "linf" or "l2".

    Raises:
        ValueError: If the norm is none of these.
    """
    raise NotImplementedError("exercise 13: write project()")


# %%
def pgd(
    model: keras.Model,
    images: tf.Tensor,
    labels: tf.Tensor,
    *,
    epsilon: float,
    step_size: float,
    num_steps: int,
    seed: tf.Tensor,
    norm: str = "linf",
    loss: Loss = cross_entropy,
    targeted: bool = False,
) -> tf.Tensor:
    """Return adversarial images by projected gradient descent: float32, as images.

    From a random place in the ball, `num_steps` steps, each followed by the projection.
    A step of "linf" changes each pixel by the step size; one of "l2" has this length.
    Where the gradient of an image is 0, it stays where it is. It works eagerly, and in a
    graph that is traced without AutoGraph, as Keras traces `train_step`.

    Args:
        model: From images to logits.
        images: float32 [batch, height, width], in [0, 1].
        labels: int64 [batch]: the classes to get away from; targeted: to get to.
        epsilon: Radius of the ball.
        step_size: Of each step, in the norm.
        num_steps: A Python int; 0 gives the random start.
        seed: int [2], for `tf.random.stateless_...`: the same gives the same images.
        norm: "linf" or "l2".
        loss: What the steps make larger; targeted: smaller.
        targeted: Whether the labels are targets.

    Source: Madry et al., 2018, arXiv:1706.06083, section 2.1.
    """
    raise NotImplementedError("exercise 13: write pgd()")


# %%
def square_attack(
    predict: Predict,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    epsilon: float,
    num_queries: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return adversarial images by random search: float32, as images, no gradient used.

    Starts with vertical stripes, one pixel wide: each column of an image is changed by
    +epsilon or by -epsilon, at random. Then, `num_queries - 1` times: a square of
    `square_side(query, num_queries, height)` pixels, at a random place in each image, is
    set to original + epsilon or to original - epsilon, at random for the whole square;
    it stays only where that makes the margin loss larger. All is kept in [0, 1]. An image
    that is misclassified is finished and costs no further query.

    Args:
        predict: From float32 [n, height, width] to logits float32 [n, classes]. It is
            called with any n above 0.
        images: float32 [n, height, width], in [0, 1]; height and width are equal.
        labels: int64 [n].
        epsilon: Largest change of a pixel.
        num_queries: How often an image is shown to `predict`, at most.
        rng: For all that is random.

    Source: Andriushchenko et al., 2020, arXiv:1912.00049, algorithms 1 and 2.
    """
    raise NotImplementedError("exercise 13: write square_attack()")


# %%
def still_right(
    predict: Predict,
    images: np.ndarray,
    labels: np.ndarray,
    candidates: np.ndarray,
    epsilon: float,
) -> np.ndarray:
    """Return which images no attack has broken: bool [n]. Their share is the accuracy.

    An image counts only if it is classified as its label when it is clean, and in each
    of its candidates. A candidate that breaks the rules is refused: norm and range are
    allowed an excess of 1e-5 for rounding.

    Args:
        predict: From float32 [n, height, width] to logits float32 [n, classes].
        images: float32 [n, height, width], in [0, 1].
        labels: int64 [n].
        candidates: float32 [attacks, n, height, width]: what each attack made of them.
        epsilon: Largest change of a pixel that was allowed.

    Raises:
        ValueError: If a candidate changes a pixel by more than epsilon, leaves [0, 1],
            or has values that are no numbers.
    """
    raise NotImplementedError("exercise 13: write still_right()")


# %%
def transfer_matrix(
    predictors: Mapping[str, Predict], examples: Mapping[str, np.ndarray], labels
) -> np.ndarray:
    """Return who is fooled by whose examples: float64 [models, models], in [0, 1].

    Row: the model that the examples were made for. Column: the model that classifies
    them. The entry is the column's accuracy on the row's examples.

    Args:
        predictors: By name of the model, from images to logits.
        examples: By name of the model that they were made for, float32 [n, height,
            width]. The same names, but maybe in another order: `predictors` has the one
            that counts, for rows and columns.
        labels: int64 [n], the true classes.
    """
    raise NotImplementedError("exercise 13: write transfer_matrix()")


# %%
def saturated(model: keras.Model, scale: float) -> keras.Model:
    """Return the model with all logits multiplied by `scale`: a defence that masks.

    It shares the model's weights and predicts the same class for every image.
    """
    raise NotImplementedError("exercise 13: write saturated()")


# %%
def adversarial_loss(model: keras.Model, images, labels, attack) -> tf.Tensor:
    """Return the mean cross-entropy on the examples that `attack` makes: float32 [].

    For the weights, these examples are data: the gradient does not go through the
    attack. The model is in training mode for the loss.

    Args:
        model: From images to logits.
        images: float32 [batch, height, width], in [0, 1].
        labels: int64 [batch].
        attack: Called as `attack(model, images, labels)`; gives images.

    Source: Madry et al., 2018, arXiv:1706.06083, equation 2.1.
    """
    raise NotImplementedError("exercise 13: write adversarial_loss()")


# %%
def main(config: Config, run: Run) -> dict[str, float]:
    """Return the metrics that exercise.toml promises."""
    tools = adversarial_study.Tools(
        cross_entropy=cross_entropy,
        margin_loss=margin_loss,
        input_gradient=input_gradient,
        fgsm=fgsm,
        pgd=pgd,
        square_attack=square_attack,
        still_right=still_right,
        transfer_matrix=transfer_matrix,
    )
    parts = adversarial_networks.load_parts(run, config)
    networks, histories = train_networks(run, tools, adversarial_loss, parts, config)
    networks["masked"] = saturated(networks["standard"], config.logit_scale)
    study = adversarial_study.Study(run, tools, networks, parts["test"], config)
    return report(study, histories)
