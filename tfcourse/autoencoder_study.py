"""What stands around the trainings of autoencoders: data, one `fit`, what is kept."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfcourse import autoencoder_figures as figures
from tfcourse import training
from tfcourse.image_parts import load_image_parts
from tfcourse.runs import Run

FIRST_TUNING_DRAW = 1_000_000  # Beyond all seeds of draws that are reported.
DRAWS_PER_SEED = 1_000  # Runs with other seeds report other draws.
NUM_PROJECTED = 1_000  # Codes in TensorBoard's projector.

Part = tuple[np.ndarray, np.ndarray]  # Images float32 [n, height, width], labels [n].


def load_parts(
    run: Run, source: str, *, val_fraction: float, seed: int
) -> dict[str, Part]:
    """Return MNIST with grey levels in [0, 1], as the parts "train", "val" and "test"."""
    parts, _ = load_image_parts(
        run, "mnist", source, val_fraction=val_fraction, seed=seed
    )
    return {
        name: (images.astype(np.float32) / 255, labels)
        for name, (images, labels) in parts.items()
    }


class Study:
    """Trains autoencoders on one set of images, and measures them on test images.

    Args:
        run: Gets curves, figures and what was measured.
        settings: The exercise's config: `source`, `val_fraction`, `batch_size`,
            `learning_rate`, at the start of a cosine, and what the methods name.
    """

    def __init__(self, run: Run, settings: Any):
        self.run = run
        self.settings = settings
        self.parts = parts = load_parts(
            run,
            settings.source,
            val_fraction=settings.val_fraction,
            seed=settings.seed,
        )
        self.train_images = parts["train"][0]
        self.val_images = parts["val"][0]
        self.test_images, test_labels = parts["test"]
        self.num_classes = len(np.unique(test_labels))
        # One test image of each class, for the figures.
        self.examples = [
            int(np.argmax(test_labels == k)) for k in np.unique(test_labels)
        ]

    def train(
        self,
        name: str,
        coder: tuple[keras.Model, keras.Model],
        epochs: int,
        *,
        train_ds: tf.data.Dataset | None = None,
        val_inputs: np.ndarray | None = None,
        histograms: bool = False,
    ) -> keras.Model:
        """Return the autoencoder of an encoder and a decoder, trained.

        Args:
            name: Of the stage in the run.
            coder: Encoder and decoder.
            epochs: Number of epochs.
            train_ds: Pairs of inputs and targets; by default the images, twice.
            val_inputs: What the validation images are reconstructed from; by default
                themselves.
            histograms: Whether to log histograms of the weights.
        """
        encoder, decoder = coder
        inputs = keras.Input(encoder.input_shape[1:])
        model = keras.Model(inputs, decoder(encoder(inputs)), name="autoencoder")
        num_steps = epochs * -(-len(self.train_images) // self.settings.batch_size)
        rate = keras.optimizers.schedules.CosineDecay(
            self.settings.learning_rate, num_steps
        )
        model.compile(keras.optimizers.Adam(rate), "mean_squared_error")
        options: dict[str, Any] = {
            "epochs": epochs,
            "validation_data": (
                self.val_images if val_inputs is None else val_inputs,
                self.val_images,
            ),
            "verbose": 0,
            "callbacks": self.run.callbacks(
                name, epochs=epochs, train_ds=train_ds, histograms=histograms
            ),
        }
        if train_ds is not None:
            model.fit(train_ds, shuffle=False, validation_batch_size=1000, **options)
        else:
            images, seed = self.train_images, self.settings.seed
            size = self.settings.batch_size
            training.fit(model, images, images, batch_size=size, seed=seed, **options)
        return model

    def pretrain(
        self,
        name: str,
        coder: tuple[keras.Model, keras.Model],
        train_ds: tf.data.Dataset,
        val_inputs: np.ndarray,
    ) -> None:
        """Train an autoencoder to undo what was done to its inputs; arguments as above."""
        epochs = self.settings.pretrain_epochs
        options = {"train_ds": train_ds, "val_inputs": val_inputs, "histograms": True}
        self.train(f"pretrain/{name}", coder, epochs, **options)

    def test_error(self, reconstructions: np.ndarray) -> float:
        """Return the mean squared error per pixel of reconstructed test images."""
        return float(np.mean(np.square(reconstructions - self.test_images)))

    def tuned(
        self, name: str, accuracy: Callable[[float, float, int, str], float]
    ) -> list[float]:
        """Return the test accuracies over the draws, at the setting that does best.

        Rate and weight decay are chosen on other draws, by the accuracy on validation
        images.

        Args:
            name: What is trained.
            accuracy: Of a rate, a weight decay, a draw's seed and a part: trains and
                scores.
        """
        grid = list(itertools.product(self.settings.rates, self.settings.decays))
        num_draws = self.settings.num_tuning_draws if len(grid) > 1 else 0
        tuning = range(FIRST_TUNING_DRAW, FIRST_TUNING_DRAW + num_draws)
        trials = list(itertools.product(grid, tuning))
        scores = dict.fromkeys(grid, 0.0)
        for setting, seed in self.run.progress(trials, f"{name}, settings"):
            scores[setting] += self._trial(name, accuracy, setting, seed, "val")
        best = max(grid, key=lambda setting: scores[setting])
        title = f"{name}, rate {best[0]:g}, decay {best[1]:g}"
        seeds = self.run.progress(self.draws(), title)
        return [self._trial(name, accuracy, best, seed, "test") for seed in seeds]

    def draws(self) -> list[int]:
        """Return the seeds of the draws that are reported."""
        first = DRAWS_PER_SEED * self.settings.seed
        return list(range(first, first + self.settings.num_draws))

    def over_draws(
        self, name: str, measure: Callable[[int], list[float]]
    ) -> list[list[float]]:
        """Return for each thing measured its values over the draws that are reported."""
        rows = [
            self.run.once(f"{name}/draw_{seed}", functools.partial(measure, seed))
            for seed in self.run.progress(self.draws(), name)
        ]
        return [list(column) for column in zip(*rows, strict=True)]

    def _trial(
        self,
        name: str,
        accuracy: Callable[[float, float, int, str], float],
        setting: tuple[float, float],
        seed: int,
        part: str,
    ) -> float:
        rate, decay = setting
        stage = f"{re.sub('[^a-z]+', '_', name)}/{part}_{rate:g}_{decay:g}_{seed}"
        reached = self.run.once(stage, lambda: accuracy(rate, decay, seed, part))
        hparams = {"start": name, "rate": rate, "weight_decay": decay}
        hparams |= {"draw": seed, "part": part}
        self.run.hparams(stage, hparams, {"accuracy": reached})
        return reached

    def report_sizes(
        self,
        shown: Mapping[tuple[str, int], np.ndarray],
        encoders: Mapping[tuple[str, int], keras.Model],
    ) -> dict[str, float]:
        """Draw what each size keeps; return the errors.

        Args:
            shown: By method and size, the reconstructed test images.
            encoders: By method and size, without PCA.

        Returns:
            `<method>_error_<size>`, mean squared error per pixel of test images, and
            `<method>_worst_over_pca`, the largest ratio to PCA's of the same size.
        """
        errors: dict[str, dict[int, float]] = {}
        for (method, size), images in shown.items():
            errors.setdefault(method, {})[size] = self.test_error(images)
            self.run.scalars(
                f"sizes/{method}", {"test_error": errors[method][size]}, size
            )
        metrics = {
            f"{method.lower()}_error_{size}": error
            for method, by_size in errors.items()
            for size, error in by_size.items()
        }
        for method in errors:
            if method != "PCA":
                ratios = [
                    errors[method][size] / errors["PCA"][size]
                    for size in errors[method]
                ]
                metrics[f"{method}_worst_over_pca"] = max(ratios)
        self.run.figure("error_by_size", figures.error_by_size(errors))
        few = {key: images[self.examples] for key, images in shown.items()}
        self.run.figure(
            "reconstructions",
            figures.reconstructions(self.test_images[self.examples], few, errors),
        )
        smallest = min(size for _, size in encoders)
        if smallest == 2:
            planes = {
                method: predict(encoder, self.test_images)
                for (method, size), encoder in encoders.items()
                if size == 2
            }
            self.run.figure(
                "code_planes", figures.code_planes(planes, self.parts["test"][1])
            )
        return metrics

    def report_denoising(
        self,
        cleaned: Mapping[str, np.ndarray],
        psnr: Callable[[np.ndarray, np.ndarray], np.ndarray],
    ) -> dict[str, float]:
        """Draw noisy images and what was made of them; return the mean PSNR of each.

        Args:
            cleaned: "noisy", "PCA" and others: test images.
            psnr: Of images and reconstructions, in decibels, for each image.
        """
        decibels = {
            name: float(np.mean(psnr(self.test_images, images)))
            for name, images in cleaned.items()
        }
        few = {name: images[self.examples] for name, images in cleaned.items()}
        self.run.figure(
            "denoising",
            figures.denoising(self.test_images[self.examples], few, decibels),
        )
        metrics = {
            f"psnr_{n.replace(' ', '_').lower()}": v for n, v in decibels.items()
        }
        metrics["psnr_gain_over_pca"] = (
            metrics["psnr_trained_on_noise"] - metrics["psnr_pca"]
        )
        return metrics

    def report_labels(
        self,
        accuracies: Mapping[str, list[float]],
        student: list[list[float]],
        encoder: keras.Model,
    ) -> dict[str, float]:
        """Draw the accuracies over the draws, write the projector; return the metrics.

        Args:
            accuracies: By start, over the draws, on test images.
            student: The same of spread labels (on training images), and of the student.
            encoder: Gives the codes of the projector.
        """
        spread, best = student
        rows = {**accuracies, "spread labels": spread, "student": best}
        self.run.figure("few_labels", figures.accuracies(rows))
        chosen = np.random.default_rng(self.settings.seed).permutation(
            len(self.test_images)
        )[:NUM_PROJECTED]
        images, labels = (array[chosen] for array in self.parts["test"])
        self.run.projector("codes", predict(encoder, images), labels.tolist(), images)
        metrics = {}
        names = {
            "frozen, warps": "frozen",
            "fine-tuned": "fine_tuned",
            "student": "best",
            "spread labels": "spread_labels",
        }
        for name, values in rows.items():
            key = names.get(name, name.replace(", ", "_"))
            metrics[f"{key}_accuracy"] = float(np.mean(values))
            metrics[f"{key}_deviation"] = float(np.std(values, ddof=1))
            metrics[f"{key}_least"] = float(np.min(values))
        return metrics


def predict(model: keras.Model, inputs: np.ndarray) -> np.ndarray:
    """Return the model's outputs, a thousand inputs at a time."""
    return model.predict(inputs, batch_size=1000, verbose=0)
