# %%
"""What went wrong with three sets of images: statistics, tests, and a name for it."""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
from scipy import stats
from scipy.fft import dctn
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import StratifiedKFold

from tfcourse import data_diagnosis
from tfcourse import data_validation_study as study
from tfcourse.data_faults import SETS, Schema
from tfcourse.runs import Run


@dataclasses.dataclass(frozen=True)
class Config:
    """What can be set: `tfcourse run 6 --set num_clean=50`."""

    source: str = "real"  # Where the data come from: "embedded" or "real".
    sizes: tuple[int, int, int] = (1600, 800, 800)  # Train, val, test of a triplet.
    num_clean: int = 200  # Triplets without a fault.
    num_planted: int = 3  # Triplets with each fault.
    false_alarm_rate: float = 1e-4  # Chance that a clean triplet raises any alarm.
    max_distance: int = 6  # Bits of 64 in which the hashes of near-duplicates differ.
    num_pool_examples: int = 2000  # Kept apart from the triplets, for the features.
    num_label_examples: int = 60_000  # Of MNIST, for label errors.
    flipped_share: float = 0.1
    num_folds: int = 5
    label_epochs: int = 4
    effect_repeats: int = 3
    effect_epochs: int = 30
    seed: int = 0


SMOKE = Config(
    source="embedded",
    sizes=(1400, 700, 700),
    num_clean=3,
    num_planted=1,
    max_distance=4,
    num_pool_examples=600,
    num_folds=3,
    label_epochs=15,
    effect_repeats=1,
    effect_epochs=10,
)
LAB = Config()
FULL = Config(
    sizes=(10_000, 5_000, 5_000),
    num_clean=1000,
    num_planted=20,
    false_alarm_rate=2e-5,
    num_pool_examples=5000,
    effect_repeats=10,
)


# %%
def schema_problems(images: np.ndarray, labels: np.ndarray, schema: Schema) -> set[str]:
    """Return what breaks the schema; an empty set if nothing does.

    - "count": there are not as many labels as images;
    - "shape": one image is not of shape `schema.image_shape`;
    - "dtype": the images are not of dtype `schema.dtype`;
    - "not_finite": a pixel is infinite or not a number;
    - "range": a pixel, of those that are finite, lies outside `schema.low` to
      `schema.high`;
    - "labels": the labels are no integers, or one lies outside 0 to
      `schema.num_classes` - 1.
    """
    raise NotImplementedError("exercise 06: write schema_problems()")


# %%
def balance_p_value(labels: np.ndarray, class_shares: np.ndarray) -> float:
    """Return the p-value of Pearson's chi-squared test that classes have these shares.

    Args:
        labels: int [n], from 0; a class may be absent.
        class_shares: float [num_classes], all positive, adding up to 1.
    """
    raise NotImplementedError("exercise 06: write balance_p_value()")


# %%
def order_p_value(labels: np.ndarray) -> float:
    """Return the p-value of the runs test: have the labels fewer runs than by chance?

    A run is a stretch of equal labels that no equal label extends. The p-value is
    one-sided, from the normal distribution with the exact mean and variance of the number
    of runs in a random order of the same labels.

    Source: Mood, 1940, section 4.
    """
    raise NotImplementedError("exercise 06: write order_p_value()")


# %%
def copies(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return which images of the second set occur in the first, pixel by pixel.

    bool [number of images in `second`]; both are of the same dtype and image shape. The
    time grows with the sum of the sizes, not with their product.
    """
    raise NotImplementedError("exercise 06: write copies()")


# %%
def perceptual_hash(images: np.ndarray) -> np.ndarray:
    """Return 64 bits for each image that survive small changes: bool [n, 64].

    The image becomes grey by the mean of its channels. Of its two-dimensional cosine
    transform (DCT-II) 64 coefficients are kept, those of vertical and of horizontal
    frequencies 1 to 8, row by row. A bit says whether its coefficient is above the median
    of the 64.

    Args:
        images: [n, height, width, 3] of any dtype, height and width at least 9.

    Source: Zauner, 2010, section 3.2.1.
    """
    raise NotImplementedError("exercise 06: write perceptual_hash()")


# %%
def overlap_p_value(pairs: np.ndarray, groups: np.ndarray) -> float:
    """Return the p-value that so many pairs lie across sets, one-sided.

    If images were shared out at random, each pair would lie across with the probability
    of two different images drawn at random; the pairs have no image in common, so their
    number is taken as binomial. Without a pair the p-value is 1.

    Args:
        pairs: int [num_pairs, 2], rows of images that look alike.
        groups: int [n], the set of each image.
    """
    raise NotImplementedError("exercise 06: write overlap_p_value()")


# %%
def image_statistics(images: np.ndarray) -> dict[str, np.ndarray]:
    """Return numbers for each image, by name: float [n] each.

    "Grey" is the mean of the three channels; pixels keep their scale.

    - "brightness": mean of grey; "contrast": its standard deviation;
    - "sharpness": mean of the absolute differences of grey between neighbours to the
      right, plus that between neighbours below;
    - "direction": the first of these two means minus the second;
    - "red_minus_blue": mean of the difference;
    - "top_minus_bottom", "left_minus_right": mean grey of one half minus the other's.

    Args:
        images: [n, height, width, 3] of any dtype, height and width even.
    """
    raise NotImplementedError("exercise 06: write image_statistics()")


# %%
def holm(p_values: np.ndarray) -> np.ndarray:
    """Return Holm's adjusted p-values, in the given order: float [m], at most 1.

    Reject what is at most alpha, and the chance of even one false rejection is at most
    alpha, however the tests depend on one another.

    Source: Holm, 1979, section 3.
    """
    raise NotImplementedError("exercise 06: write holm()")


# %%
def domain_classifier(first: np.ndarray, second: np.ndarray, seed: int):
    """Return how well a linear model tells two sets apart: (AUC, p-value).

    The model learns from a random half of each set which one a row is from. On the other
    halves its scores give the AUC, the chance that a row of the second set scores higher
    than one of the first, and the one-sided p-value of the Mann-Whitney test that it does
    not. Sets may differ in size.

    Args:
        first: Features, float [n, dimensions].
        second: float [m, dimensions].
        seed: Of the halves.

    Source: Lopez-Paz and Oquab, 2017, section 3.
    """
    raise NotImplementedError("exercise 06: write domain_classifier()")


# %%
def out_of_sample(
    features: np.ndarray,
    labels: np.ndarray,
    fit_predict: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray],
    num_folds: int,
    seed: int,
) -> np.ndarray:
    """Return the probabilities of each row by a model that never saw it: [n, num_classes].

    The rows are dealt at random to the folds, each with its share of every class.

    Args:
        features: [n, ...].
        labels: int [n].
        fit_predict: From the rows to learn from, their labels, and other rows to the
            probabilities of these, float [number of others, num_classes].
        num_folds: Each is predicted once, by a model of all others.
        seed: Of the folds.
    """
    raise NotImplementedError("exercise 06: write out_of_sample()")


# %%
def confident_classes(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return the class that each row confidently belongs to, -1 where there is none.

    A class's threshold is the mean probability of this class over the rows that have its
    label. A row confidently belongs to the most probable of the classes whose probability
    reaches their threshold. Every class has rows.

    Args:
        labels: int [n], some of them wrong.
        probabilities: float [n, num_classes], out of sample.

    Source: Northcutt, Jiang and Chuang, 2021, section 3.1, equations 1 and 2.
    """
    raise NotImplementedError("exercise 06: write confident_classes()")


# %%
def label_errors(labels: np.ndarray, probabilities: np.ndarray):
    """Return which labels are probably wrong, bool [n], and how good each is, float [n].

    A label is flagged if its row confidently belongs to another class. Its quality is the
    normalised margin: the probability of the label minus the largest of any other class;
    the worst labels come first when sorted by it.

    Source: Northcutt, Jiang and Chuang, 2021, section 3.2.
    """
    raise NotImplementedError("exercise 06: write label_errors()")


# %%
def name_faults(findings: Mapping) -> dict[str, tuple[str, ...]]:
    """Return the faults that explain the findings, and the sets that each happened to.

    Findings by name, each a set of names of sets, empty where nothing was found, unless
    said otherwise:

    - "pixels", "labels": break the schema. Where one does, nothing else was tested:
      "wrong_range", "labels_from_one";
    - "copies", "twins": held-out sets with exact copies and with near-duplicates of other
      sets' images: "duplicates"; "near_duplicates" unless there are exact copies, which
      look alike too;
    - "order": "ordered"; "corrupt": "corrupt_images";
    - "balance", "absent": "missing_classes" where classes are absent; "imbalance" where
      none is;
    - "images": set of pairs of sets whose images differ. The set that is in most pairs is
      the odd one: its fault is what "processing", a dict, has for it. If that is None, or
      no set is in more pairs than all others, it is "other_distribution" of "val" and
      "test";
    - "agreement": sets that a model of another set fits worse than a third one:
      "labels_permuted" for those in "renamed", "labels_noisy" for others; neither where
      images differ, which would explain it.

    Returns:
        Names of sets in the order of `SETS`; only faults that happened.
    """
    raise NotImplementedError("exercise 06: write name_faults()")


# %%
def main(config: Config, run: Run) -> dict[str, float]:
    """Return the metrics that exercise.toml promises."""
    tests = data_diagnosis.Tests(
        schema_problems=schema_problems,
        balance_p_value=balance_p_value,
        order_p_value=order_p_value,
        copies=copies,
        perceptual_hash=perceptual_hash,
        overlap_p_value=overlap_p_value,
        image_statistics=image_statistics,
        holm=holm,
        domain_classifier=domain_classifier,
        name_faults=name_faults,
    )
    pool = study.load_pool(run, config)
    metrics = study.detect(run, pool, config, tests)
    metrics |= study.hard_cases(run, pool, config, domain_classifier, perceptual_hash)
    metrics |= study.find_flipped_labels(run, config, out_of_sample, label_errors)
    return metrics | study.effects(run, pool, config)
