"""Triplets of training, validation and test sets in which something went wrong.

    triplet = make_triplet(images, labels, fault="blurred", where=("test",), seed=3)
    triplet.sets["test"]  # (images, labels), the images blurred

The sets of a triplet are drawn from one pool and have no image in common, until a fault
puts one there. The same arguments give the same arrays.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from tfcourse.data_fault_images import PROCESSINGS, damage, re_encode

Part = tuple[np.ndarray, np.ndarray]  # Images uint8 [n, h, w, 3], labels int64 [n].
Sets = Mapping[str, Part]
Generator = np.random.Generator
SETS = ("train", "val", "test")
RUN_LENGTH = 8  # Rows of one class behind one another, as frames of one film.


@dataclasses.dataclass(frozen=True)
class Schema:
    """What the owner of the data says about each of the three sets."""

    image_shape: tuple[int, ...]
    num_classes: int
    dtype: str = "uint8"
    low: float = 0.0  # Of the pixels.
    high: float = 255.0

    @property
    def class_shares(self) -> np.ndarray:
        """Return the share of each class: float64 [num_classes], all alike."""
        return np.full(self.num_classes, 1 / self.num_classes)


@dataclasses.dataclass(frozen=True)
class Triplet:
    """Three sets, what they should be, and what was done to which of them."""

    sets: dict[str, Part]
    schema: Schema
    fault: str | None  # None: they are clean.
    where: tuple[str, ...]  # The sets that it was done to.


@dataclasses.dataclass(frozen=True)
class Fault:
    """One way in which a triplet goes wrong.

    Attributes:
        text: What went wrong, for people.
        where: Each entry is a choice of sets that it can happen to.
        severity: By default; what it means is the fault's own.
    """

    text: str
    where: tuple[tuple[str, ...], ...]
    severity: float


ANY_SET = (("train",), ("val",), ("test",))
HELD_OUT = (("val",), ("test",), ("val", "test"))
FAULTS: Mapping[str, Fault] = {
    "wrong_range": Fault("pixels of one set in [0, 1]", ANY_SET, 255.0),
    "labels_from_one": Fault("labels of one set count from 1", ANY_SET, 1.0),
    "corrupt_images": Fault("truncated, static or black images", ANY_SET, 0.02),
    "duplicates": Fault("copies of training images held out", HELD_OUT, 0.05),
    "near_duplicates": Fault("re-encoded training images held out", HELD_OUT, 0.08),
    "ordered": Fault("rows of one class behind one another", ANY_SET, 0.8),
    "imbalance": Fault(
        "the rarest class is 2.5 times rarer than the commonest", ANY_SET, 0.4
    ),
    "missing_classes": Fault("one set lacks classes", ANY_SET, 2.0),
    "darkened": Fault("pixel values of one set scaled down", ANY_SET, 0.85),
    "mirrored": Fault("images of one set upside down", ANY_SET, 1.0),
    "transposed": Fault("rows and columns of one set exchanged", ANY_SET, 1.0),
    "channels_swapped": Fault("blue, green, red instead of RGB", ANY_SET, 1.0),
    "blurred": Fault("images of one set blurred", ANY_SET, 0.65),
    "other_distribution": Fault(
        "validation and test images from another source, before brighter backgrounds",
        (("val", "test"),),
        1.0,
    ),
    "labels_permuted": Fault("one set numbers the classes otherwise", ANY_SET, 1.0),
    "labels_noisy": Fault("many labels of one set are wrong", ANY_SET, 0.4),
}


def make_triplet(
    images: np.ndarray,
    labels: np.ndarray,
    *,
    fault: str | None = None,
    where: tuple[str, ...] | None = None,
    severity: float | None = None,
    sizes: tuple[int, int, int] = (2000, 1000, 1000),
    seed: int = 0,
) -> Triplet:
    """Return a triplet drawn from a pool, with one fault or none.

    Args:
        images: The pool, uint8 [n, height, width, 3], all different.
        labels: int [n].
        fault: A name in `FAULTS`.
        where: The sets to do it to; drawn from the fault's choices if None.
        severity: As the fault's entry says; its own if None.
        sizes: Examples in training, validation and test set.
        seed: Of everything.

    Raises:
        ValueError: If the fault is unknown, can't happen to these sets, or the pool is
            too small.
    """
    if fault is not None and fault not in FAULTS:
        raise ValueError(f"a fault is one of {', '.join(FAULTS)}; got {fault!r}")
    if len(images) < 1.2 * sum(sizes):
        raise ValueError(
            f"{sum(sizes)} examples need a pool a fifth larger; got {len(images)}"
        )
    rng = np.random.default_rng([seed, 606])
    num_classes = int(labels.max()) + 1
    schema = Schema(images.shape[1:], num_classes, str(images.dtype))
    order = rng.permutation(len(images))
    *drawn, spare = np.split(order, np.cumsum(sizes))
    rows = dict(zip(SETS, drawn, strict=True))
    chosen: tuple[str, ...] = ()
    if fault is not None:
        choices = FAULTS[fault].where
        chosen = where or choices[rng.integers(len(choices))]
        if chosen not in choices:
            raise ValueError(f"{fault} happens to one of {choices}; got {where}")
        if severity is None:
            severity = FAULTS[fault].severity
        if fault in _CHOOSING:
            choose = _CHOOSING[fault]
            for name in chosen:
                candidates = np.concatenate([rows[name], spare])
                picked = choose(
                    images, labels, candidates, len(rows[name]), severity, rng
                )
                rows[name] = picked
                spare = np.setdiff1d(candidates, picked)
    sets = {name: (images[r], labels[r].astype(np.int64)) for name, r in rows.items()}
    if fault is not None and fault in _CHANGING:
        for name in chosen:
            sets[name] = _CHANGING[fault](sets, name, severity, rng)
    return Triplet(sets, schema, fault, chosen)


# Faults that choose other examples: images, labels of the pool, candidates, how many,
# severity, generator -> rows of the pool.


def _by_class_weights(
    labels: np.ndarray,
    candidates: np.ndarray,
    count: int,
    weights: np.ndarray,
    rng: Generator,
) -> np.ndarray:
    """Return rows of which each class has its share of the weights."""
    counts = rng.multinomial(count, weights / weights.sum())
    classes = labels[candidates]
    picked = [
        rng.choice(candidates[classes == c], min(n, np.sum(classes == c)), False)
        for c, n in enumerate(counts)
    ]
    return rng.permutation(np.concatenate(picked))


def _imbalance(
    images: np.ndarray,
    labels: np.ndarray,
    candidates: np.ndarray,
    count: int,
    severity: float,
    rng: Generator,
) -> np.ndarray:
    weights = np.geomspace(1.0, severity, labels.max() + 1)
    return _by_class_weights(labels, candidates, count, rng.permutation(weights), rng)


def _missing_classes(
    images: np.ndarray,
    labels: np.ndarray,
    candidates: np.ndarray,
    count: int,
    severity: float,
    rng: Generator,
) -> np.ndarray:
    weights = np.ones(labels.max() + 1)
    weights[rng.choice(len(weights), int(severity), False)] = 0.0
    return _by_class_weights(labels, candidates, count, weights, rng)


def _other_distribution(
    images: np.ndarray,
    labels: np.ndarray,
    candidates: np.ndarray,
    count: int,
    severity: float,
    rng: Generator,
) -> np.ndarray:
    """Return rows with brighter borders than usual, as many of each class as usual."""
    border = np.ones(images.shape[1:3], bool)
    border[4:-4, 4:-4] = False
    brightness = images[candidates][:, border].mean(axis=(1, 2))
    score = (brightness - brightness.mean()) / brightness.std()
    counts = np.bincount(labels[candidates[:count]], minlength=labels.max() + 1)
    picked = []
    for label, number in enumerate(counts):
        mine = np.flatnonzero(labels[candidates] == label)
        weights = np.exp(severity * score[mine])
        picked.append(rng.choice(mine, number, False, weights / weights.sum()))
    rows: np.ndarray = candidates[rng.permutation(np.concatenate(picked))]
    return rows


_CHOOSING: Mapping[str, Callable[..., np.ndarray]] = {
    "imbalance": _imbalance,
    "missing_classes": _missing_classes,
    "other_distribution": _other_distribution,
}


# Faults that change a set: all sets, its name, severity, generator -> the set.


def _processing(process: Callable[..., np.ndarray]) -> Callable[..., Part]:
    def change(sets: Sets, name: str, severity: float, rng: Generator) -> Part:
        images, labels = sets[name]
        return process(images, severity), labels

    return change


def _wrong_range(sets: Sets, name: str, severity: float, rng: Generator) -> Part:
    images, labels = sets[name]
    return (images / np.float32(severity)).astype(np.float32), labels


def _labels_from_one(sets: Sets, name: str, severity: float, rng: Generator) -> Part:
    images, labels = sets[name]
    return images, labels + int(severity)


def _corrupt_images(sets: Sets, name: str, severity: float, rng: Generator) -> Part:
    images, labels = sets[name]
    images = images.copy()
    broken = rng.choice(len(images), round(severity * len(images)), False)
    images[broken] = damage(images[broken], rng)
    return images, labels


def _with_copies(
    sets: Sets,
    name: str,
    severity: float,
    rng: Generator,
    change: Callable[[np.ndarray], np.ndarray],
) -> Part:
    images, labels = (array.copy() for array in sets[name])
    train_images, train_labels = sets["train"]
    places = rng.choice(len(images), round(severity * len(images)), False)
    originals = rng.choice(len(train_images), len(places), False)
    images[places] = change(train_images[originals])
    labels[places] = train_labels[originals]
    return images, labels


def _duplicates(sets: Sets, name: str, severity: float, rng: Generator) -> Part:
    return _with_copies(sets, name, severity, rng, lambda images: images)


def _near_duplicates(sets: Sets, name: str, severity: float, rng: Generator) -> Part:
    return _with_copies(
        sets, name, severity, rng, lambda images: re_encode(images, rng)
    )


def _ordered(sets: Sets, name: str, severity: float, rng: Generator) -> Part:
    """Return the set with `severity` of its rows in runs of one class."""
    images, labels = sets[name]
    shuffled = rng.permutation(len(labels))
    in_runs, others = np.split(shuffled, [round(severity * len(labels))])
    by_class = in_runs[np.argsort(labels[in_runs], kind="stable")]
    runs = np.array_split(by_class, max(1, len(by_class) // RUN_LENGTH))
    pieces = [*runs, *others[:, np.newaxis]]
    order = np.concatenate([pieces[k] for k in rng.permutation(len(pieces))])
    return images[order], labels[order]


def _labels_permuted(sets: Sets, name: str, severity: float, rng: Generator) -> Part:
    images, labels = sets[name]
    num_classes = int(labels.max()) + 1
    shift = rng.integers(1, num_classes)
    order = rng.permutation(num_classes)
    renamed = np.empty(num_classes, np.int64)
    renamed[order] = np.roll(order, shift)  # No class keeps its number.
    return images, renamed[labels]


def _labels_noisy(sets: Sets, name: str, severity: float, rng: Generator) -> Part:
    images, labels = sets[name]
    return images, flip_labels(labels, severity, int(labels.max()) + 1, rng)[0]


def flip_labels(
    labels: np.ndarray, share: float, num_classes: int, rng: Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return labels of which a share was replaced by another class, and which: bool [n].

    All other classes are equally likely.
    """
    is_flipped = np.zeros(len(labels), bool)
    is_flipped[rng.choice(len(labels), round(share * len(labels)), False)] = True
    steps = rng.integers(1, num_classes, len(labels))
    return np.where(is_flipped, (labels + steps) % num_classes, labels), is_flipped


_CHANGING: Mapping[str, Callable[..., Part]] = {
    "wrong_range": _wrong_range,
    "labels_from_one": _labels_from_one,
    "corrupt_images": _corrupt_images,
    "duplicates": _duplicates,
    "near_duplicates": _near_duplicates,
    "ordered": _ordered,
    "labels_permuted": _labels_permuted,
    "labels_noisy": _labels_noisy,
    **{name: _processing(process) for name, process in PROCESSINGS.items()},
}
