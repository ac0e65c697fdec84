"""What each part of a good network and its training is worth: leave it out and see."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from tfcourse import convnet_figures as figures
from tfcourse import training
from tfcourse.convnet_training import Recipe, accuracy, predict, standardised
from tfcourse.convolutional_networks import good_cnn
from tfcourse.errors import UserError
from tfcourse.training.programs import Snapshot

if TYPE_CHECKING:
    from tfcourse.convnet_study import Study

TUNING_SEED = 1_000_000  # Beyond all seeds that are reported.
SEEDS_PER_RUN = 1_000  # Runs with other seeds report other trainings.


@dataclasses.dataclass(frozen=True)
class Variant:
    """The good network and its recipe, with something left out."""

    name: str
    normalised: bool = True
    global_pooling: bool = True
    augmented: bool = True
    scheduled: bool = True
    smoothed: bool = True


VARIANTS = (
    Variant("nothing"),
    Variant("normalisation", normalised=False),
    Variant("global pooling", global_pooling=False),
    Variant("augmentation", augmented=False),
    Variant("schedule", scheduled=False),
    Variant("smoothing", smoothed=False),
    Variant(
        "all of these",
        normalised=False,
        global_pooling=False,
        augmented=False,
        scheduled=False,
        smoothed=False,
    ),
)

PARTS = tuple(variant.name for variant in VARIANTS if variant.name != "nothing")


class Ablation:
    """Trains the variants on a part of Fashion-MNIST, each over several seeds.

    The rate of each variant is the one of the grid that does best on images held out,
    with a seed that is not reported; the seeds reported are scored on test images.
    """

    def __init__(self, study: Study):
        self.study = study
        self.settings = study.settings
        images, labels = study.fashion.rest
        limit = self.settings.ablation_images
        self.part = images[:limit], labels[:limit]
        wanted = self.settings.left_out
        unknown = set(wanted) - set(PARTS)
        if unknown:
            raise UserError(
                f"left_out names some of: {', '.join(PARTS)}; got {min(unknown)!r}"
            )
        self.variants = [v for v in VARIANTS if v.name in ("nothing", *wanted)]

    def measure(self) -> dict[str, float]:
        """Return `ablation_<variant>_accuracy` and `_deviation` over the seeds; draw."""
        s, run = self.settings, self.study.run
        first = SEEDS_PER_RUN * s.seed
        seeds = range(first, first + s.ablation_seeds)
        accuracies, rates = {}, {}
        for variant in run.progress(self.variants, "ablation"):
            trials = Trials(self, variant)
            if len(s.ablation_rates) > 1:
                tried = {
                    r: trials.accuracy(r, TUNING_SEED, "val") for r in s.ablation_rates
                }
                rates[variant.name] = max(tried, key=tried.__getitem__)
            else:
                rates[variant.name] = s.ablation_rates[0]
            rate = rates[variant.name]
            accuracies[variant.name] = [trials.accuracy(rate, x, "test") for x in seeds]
        run.figure("ablation", figures.ablation(accuracies))
        run.text("ablation", figures.ablation_table(accuracies, rates))
        metrics = {}
        for name, values in accuracies.items():
            key = f"ablation_without_{name.replace(' ', '_')}"
            metrics[f"{key}_accuracy"] = float(np.mean(values))
            metrics[f"{key}_deviation"] = float(np.std(values, ddof=1))
        return metrics


class Trials:
    """The trainings of one variant; those at one rate share what TensorFlow compiled."""

    def __init__(self, ablation: Ablation, variant: Variant):
        self.ablation = ablation
        self.study = ablation.study
        self.settings = ablation.settings
        self.variant = variant
        self._models: dict[float, tuple[keras.Model, Any]] = {}

    def accuracy(self, rate: float, seed: int, part: str) -> float:
        """Return the accuracy of one training on images held out ("val") or on "test"."""
        name = f"{self.variant.name.replace(' ', '_')}/{part}_{rate:g}_{seed}"
        reached = self.study.run.once(
            f"ablation/{name}", lambda: self._train(rate, seed, part)
        )
        hparams = dataclasses.asdict(self.variant) | {"rate": rate, "seed": seed}
        self.study.run.hparams(
            f"ablation/{name}", hparams, {f"{part}_accuracy": reached}
        )
        return float(reached)

    def _train(self, rate: float, seed: int, part: str) -> float:
        if rate not in self._models:
            self._models[rate] = self._compiled(rate)
        model, unused = self._models[rate]
        keras.utils.set_random_seed(seed)
        model.set_weights(self._network().get_weights())
        unused.restore()
        training.fit(
            model,
            *self.ablation.part,
            batch_size=self.settings.batch_size,
            epochs=self.settings.ablation_epochs,
            seed=seed,
        )
        fashion = self.study.fashion
        images, labels = fashion.chosen_on if part == "val" else fashion.scored
        return accuracy(predict(model, images), labels)

    def _network(self) -> keras.Model:
        fashion, variant = self.study.fashion, self.variant
        network = good_cnn(
            fashion.shape,
            len(fashion.class_names),
            self.settings.ablation_widths,
            pool_first=True,
            normalised=variant.normalised,
            global_pooling=variant.global_pooling,
        )
        return standardised(network, self.ablation.part[0])

    def _compiled(self, rate: float) -> tuple[keras.Model, Snapshot]:
        """Return the model, and what to restore before each training."""
        s, variant = self.settings, self.variant
        recipe = Recipe(
            num_steps=self.study.num_steps(
                len(self.ablation.part[0]), s.ablation_epochs
            ),
            rate=rate,
            smoothing=s.smoothing if variant.smoothed else 0.0,
            max_shift=s.fashion_shift if variant.augmented else 0,
            scheduled=variant.scheduled,
        )
        model = self.study.compiled(self._network(), recipe)
        model.optimizer.build(model.trainable_variables)
        return model, Snapshot([v.value for v in model.optimizer.variables])
