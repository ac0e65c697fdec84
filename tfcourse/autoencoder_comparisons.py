"""The comparisons of exercise 12: sizes of the bottleneck, denoising, starts from labels.

What is compared comes from outside; here is the order in which it is trained and measured.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from tfcourse.autoencoder_study import Study, predict
from tfcourse.few_labels import Trainer

Coder = tuple[keras.Model, keras.Model]  # Encoder and decoder.
Pca = Callable[[np.ndarray, np.ndarray, int], Any]


def compare_sizes(
    study: Study, pca: Pca, builders: Mapping[str, Callable[..., Coder]]
) -> dict[str, float]:
    """Return test errors by size of the bottleneck, of PCA and of autoencoders.

    Args:
        study: Its settings have `bottlenecks` and `study_epochs`.
        pca: Of training images, images and number of components.
        builders: By name, of image shape and bottleneck.
    """
    shape, shown, encoders = study.test_images.shape[1:], {}, {}
    for size in study.settings.bottlenecks:
        projected = pca(study.train_images, study.test_images, size)
        shown["PCA", size] = np.asarray(projected)
        for name, build in builders.items():
            coder = build(shape, size)
            epochs = study.settings.study_epochs
            model = study.train(f"size/{name}_{size}", coder, epochs)
            shown[name, size] = predict(model, study.test_images)
            encoders[name, size] = coder[0]
    return study.report_sizes(shown, encoders)


def linear_over_pca(
    study: Study, pca: Pca, build: Callable[..., Coder]
) -> dict[str, float]:
    """Return the ratio of a linear autoencoder's error to PCA's, on the training images.

    Nothing linear can bring it below 1.

    Args:
        study: Its settings have `bottlenecks` and `linear_epochs`.
        pca: Of training images, images and number of components.
        build: Of image shape, bottleneck and hidden units.
    """
    images, size = study.train_images, max(min(study.settings.bottlenecks), 8)
    coder = build(images.shape[1:], size, ())
    model = study.train("linear", coder, study.settings.linear_epochs)
    reached = np.mean(np.square(predict(model, images) - images))
    best = np.mean(np.square(np.asarray(pca(images, images, size)) - images))
    return {"linear_over_pca": float(reached / best)}


def compare_denoising(
    study: Study,
    coders: Mapping[str, Coder],
    pca: Pca,
    add_noise: Callable[..., Any],
    psnr: Callable[..., Any],
) -> dict[str, float]:
    """Return the mean PSNR of noisy test images, and of what was made of them.

    Args:
        study: Its settings have `noise_std` and `bottlenecks`, of which PCA takes the one
            that does best on noisy validation images.
        coders: "nothing" and "noise": what their input was corrupted by in training.
        pca: Of training images, images and number of components.
        add_noise: Of images, seed and standard deviation.
        psnr: Of images and reconstructions.
    """
    settings, images = study.settings, study.train_images
    noisy_val, noisy = (
        np.asarray(add_noise(clean, [settings.seed, place], settings.noise_std))
        for place, clean in ((2, study.val_images), (3, study.test_images))
    )
    scores = {}
    for size in settings.bottlenecks:
        projected = np.asarray(pca(images, noisy_val, size))
        scores[size] = float(np.mean(psnr(study.val_images, projected)))
    size = max(scores, key=lambda size: scores[size])
    cleaned = {"noisy": noisy, "PCA": np.asarray(pca(images, noisy, size))}
    for name in ("nothing", "noise"):
        encoder, decoder = coders[name]
        cleaned[f"trained on {name}"] = predict(decoder, predict(encoder, noisy))
    return study.report_denoising(cleaned, psnr)


def compare_starts(
    study: Study,
    encoders: Mapping[str, keras.Model],
    label_draw: Callable[..., Any],
    classifier: Callable[..., keras.Model],
) -> dict[str, list[float]]:
    """Return by start the test accuracies over the draws, each at its own best setting.

    Args:
        study: Its settings have `labels_per_class` and `label_steps`.
        encoders: By what their input was corrupted by; "warps" is also fine-tuned.
        label_draw: Of labels, number per class and seed.
        classifier: Of encoder, number of classes and start.
    """
    images, labels = study.parts["train"]
    trainers: dict[tuple[str, float], Trainer] = {}
    found = {}
    starts = {f"frozen, {name}": (encoders[name], "frozen") for name in encoders}
    starts["fine-tuned"] = encoders["warps"], "fine_tuned"
    starts["scratch"] = encoders["warps"], "scratch"

    def accuracy(
        model: keras.Model,
        start: str,
        weights: Any,
        rate: float,
        decay: float,
        seed: int,
        part: str,
    ) -> float:
        if (start, decay) not in trainers:  # The frozen ones have one architecture.
            trainers[start, decay] = Trainer(model, weight_decay=decay)
        trainer = trainers[start, decay]
        draw = np.asarray(label_draw(labels, study.settings.labels_per_class, seed))
        options = {"num_steps": study.settings.label_steps, "rate": rate, "seed": seed}
        trainer.train_on_labels(images[draw], labels[draw], weights, **options)
        return trainer.accuracy(*study.parts[part])

    for name, (encoder, start) in starts.items():
        model = classifier(encoder, study.num_classes, start)
        # Fresh weights are drawn anew for each draw of the labels.
        weights = None if start == "scratch" else model.get_weights()
        from_start = functools.partial(accuracy, model, start, weights)
        found[name] = study.tuned(name, from_start)
    return found
