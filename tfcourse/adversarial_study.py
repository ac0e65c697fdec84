"""All attacks on all networks: which images survive, and what each attack missed.

What an attack is stands in the exercise; here it is run on every network, measured by
numpy in float64 and stored for resuming.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfcourse.adversarial_networks import (
    AttackValidation,
    Part,
    Predict,
    batches,
    predictor,
)
from tfcourse.runs import Run

# Made for one model: (images, labels, epsilon, seed) -> images.
Attack = Callable[[np.ndarray, np.ndarray, float, int], np.ndarray]
GRADIENT_ATTACKS = ("fgsm", "pgd_cross_entropy", "pgd_margin")
ATTACKS = (*GRADIENT_ATTACKS, "transfer", "square")
NUM_VAL_IMAGES = 500  # Attacked after each epoch.
SOURCES = ("standard", "other")  # Whose examples are tried on all others.


@dataclass(frozen=True)
class Tools:
    """The functions of the exercise; it documents them."""

    cross_entropy: Callable[..., tf.Tensor]
    margin_loss: Callable[..., tf.Tensor]
    input_gradient: Callable[..., tf.Tensor]
    fgsm: Callable[..., tf.Tensor]
    pgd: Callable[..., tf.Tensor]
    square_attack: Callable[..., np.ndarray]
    still_right: Callable[..., np.ndarray]
    transfer_matrix: Callable[..., np.ndarray]


def as_graph(model: keras.Model) -> Callable[..., tf.Tensor]:
    """Return the model as a compiled function that gradients go through."""

    @tf.function(reduce_retracing=True)
    def forward(images: tf.Tensor, training: bool = False) -> tf.Tensor:
        return model(images, training=training)

    return forward


def on_arrays(
    model: Callable[..., tf.Tensor], attack: Callable[..., tf.Tensor], **options: Any
) -> Attack:
    """Return the attack on the model as a function from arrays to an array.

    Its loop runs eagerly: a graph of forty unrolled steps takes seconds to make.

    Args:
        model: From images to logits.
        attack: Called as `attack(model, images, labels, epsilon=..., seed=...)`.
        **options: Passed on to it.
    """

    def examples(
        images: np.ndarray, labels: np.ndarray, epsilon: float, seed: int
    ) -> np.ndarray:
        made = []
        for index, piece in enumerate(batches(images, labels)):
            tensors = map(tf.convert_to_tensor, piece)
            fixed = {"epsilon": epsilon, "seed": tf.constant([seed, index])}
            made.append(np.asarray(attack(model, *tensors, **fixed, **options)))
        return np.concatenate(made)

    return examples


def gradient_attacks(
    model: Callable[..., tf.Tensor], tools: Tools, settings: Any, **options: Any
) -> dict[str, Attack]:
    """Return the attacks that see the model's gradient, by name.

    Args:
        model: From images to logits.
        tools: The exercise's functions.
        settings: Has `attack_steps` and `attack_step_share`.
        **options: For `pgd`: `norm`, `targeted`.
    """

    def fgsm(model, images, labels, *, epsilon, seed, norm="linf", targeted=False):
        del seed, norm
        return tools.fgsm(model, images, labels, epsilon=epsilon, targeted=targeted)

    def pgd(model, images, labels, *, epsilon, **others):
        step_size = settings.attack_step_share * epsilon
        fixed = {"num_steps": settings.attack_steps, "step_size": step_size}
        return tools.pgd(model, images, labels, epsilon=epsilon, **fixed, **others)

    losses = {
        "pgd_cross_entropy": tools.cross_entropy,
        "pgd_margin": tools.margin_loss,
    }
    made = {
        name: on_arrays(model, pgd, loss=f, **options) for name, f in losses.items()
    }
    return {"fgsm": on_arrays(model, fgsm, **options), **made}


def validation(
    network: keras.Model, parts: Mapping[str, Part], tools: Tools, settings: Any
) -> AttackValidation:
    """Return what measures a network after each epoch: FGSM and PGD on the margin."""
    made = gradient_attacks(as_graph(network), tools, settings)
    attacks = {
        name: functools.partial(made[key], epsilon=settings.epsilon, seed=settings.seed)
        for name, key in (("fgsm", "fgsm"), ("pgd", "pgd_margin"))
    }
    images, labels = (array[:NUM_VAL_IMAGES] for array in parts["val"])
    return AttackValidation(network, (images, labels), attacks)


def excess(
    candidates: np.ndarray, images: np.ndarray, epsilon: float
) -> dict[str, float]:
    """Return by how much candidates break the rules, computed in float64.

    Returns:
        `norm_excess`: largest change of a pixel, minus epsilon, which is negative if
        there is room; `range_excess`: how far outside [0, 1] a pixel is.
    """
    exact = np.asarray(candidates, np.float64)
    change = np.abs(exact - np.asarray(images, np.float64))
    outside = np.maximum(exact - 1, -exact).max()
    return {
        "norm_excess": float(change.max() - epsilon),
        "range_excess": max(0.0, float(outside)),
    }


class Study:
    """The networks under attack, on the test images.

    Args:
        run: Where results are kept and figures go.
        tools: The exercise's functions.
        networks: By name: `standard`, `other`, `masked`, `fgsm_trained`, `robust`, each
            from images to logits.
        part: Test images and labels.
        settings: The exercise's Config.
    """

    def __init__(
        self,
        run: Run,
        tools: Tools,
        networks: Mapping[str, keras.Model],
        part: Part,
        settings: Any,
    ):
        self.run = run
        self.tools = tools
        self.networks = networks
        self.settings = settings
        self.images, self.labels = part
        self.predictors = {name: predictor(m) for name, m in networks.items()}
        self.graphs = {name: as_graph(m) for name, m in networks.items()}
        self._attacks: dict[tuple[Any, ...], dict[str, Attack]] = {}
        self._examples: dict[str, np.ndarray] = {}

    def attacks(self, name: str, **options: Any) -> dict[str, Attack]:
        """Return the gradient attacks on a network, each made once."""
        key = (name, *options.items())
        if key not in self._attacks:
            made = gradient_attacks(
                self.graphs[name], self.tools, self.settings, **options
            )
            self._attacks[key] = made
        return self._attacks[key]

    def evaluate(self, names: tuple[str, ...]) -> dict[str, dict[str, Any]]:
        """Return by network and attack what `outcome` returns; "clean" is one of them."""
        plan = [(name, attack) for name in names for attack in ("clean", *ATTACKS)]
        outcomes: dict[str, dict[str, Any]] = {name: {} for name in names}
        for name, attack in self.run.progress(plan, "attacks"):
            work = functools.partial(self.outcome, name, attack)
            outcomes[name][attack] = self.run.once(f"attack/{name}/{attack}", work)
        return outcomes

    def outcome(self, name: str, attack: str) -> dict[str, Any]:
        """Return `right`, which images survive, and by how much the rules are broken.

        For the attack that asks for logits also `survivors`: how many images are still
        right after each query.
        """
        asked: list[int] = []
        predict = self.predictors[name]
        if attack == "clean":
            candidates = np.stack([self.images])
        elif attack in GRADIENT_ATTACKS:
            candidates = self._by_gradient(name, attack)
        elif attack == "transfer":
            candidates = self._transferred(name)
        else:
            candidates = self._by_queries(predict, asked)
        epsilon = self.settings.epsilon
        right = self.tools.still_right(
            predict, self.images, self.labels, candidates, epsilon
        )
        # Who was broken is not asked about again.
        survivors = [*asked[1:], int(np.sum(right))] if asked else []
        broken_rules = excess(candidates, self.images, epsilon)
        flags = np.asarray(right).tolist()
        return {"right": flags, "survivors": survivors, **broken_rules}

    def _by_gradient(self, name: str, attack: str) -> np.ndarray:
        restarts = 1 if attack == "fgsm" else self.settings.num_restarts
        make = self.attacks(name)[attack]
        seeds = [self.settings.seed * 1_000 + restart for restart in range(restarts)]
        epsilon = self.settings.epsilon
        return np.stack([make(self.images, self.labels, epsilon, s) for s in seeds])

    def _transferred(self, name: str) -> np.ndarray:
        """Return examples made for networks without a defence."""
        made = [self.examples(source) for source in SOURCES if source != name]
        return np.stack(made)

    def examples(self, name: str) -> np.ndarray:
        """Return what the attack on the margin makes for a network: as the images."""
        if name not in self._examples:
            make = self.attacks(name)["pgd_margin"]
            epsilon, seed = self.settings.epsilon, self.settings.seed
            self._examples[name] = make(self.images, self.labels, epsilon, seed)
        return self._examples[name]

    def _by_queries(self, predict: Predict, asked: list[int]) -> np.ndarray:
        def counting(images: np.ndarray) -> np.ndarray:
            asked.append(len(images))
            return predict(images)

        made = self.tools.square_attack(
            counting,
            self.images,
            self.labels,
            epsilon=self.settings.epsilon,
            num_queries=self.settings.num_queries,
            rng=np.random.default_rng(self.settings.seed),
        )
        return np.stack([made])

    def transfer(self, names: tuple[str, ...]) -> np.ndarray:
        """Return the accuracies of all networks on examples made for each."""

        def measure():
            examples = {name: self.examples(name) for name in names}
            predictors = {name: self.predictors[name] for name in names}
            return self.tools.transfer_matrix(
                predictors, examples, self.labels
            ).tolist()

        return np.array(self.run.once("transfer", measure))


def surviving(outcomes: Mapping[str, Any], attacks: tuple[str, ...] = ATTACKS) -> float:
    """Return the share of images that are right when clean and under every attack."""
    flags = [outcomes[name]["right"] for name in ("clean", *attacks)]
    return float(np.mean(np.all(flags, axis=0)))
