"""Exercise 23's comparisons: each method by itself, the rivals, TensorFlow's own tools."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfcourse import compression, lenets
from tfcourse import compression_figures as figures
from tfcourse.compression_metrics import metrics_of
from tfcourse.compression_study import DistillationLoss, Point, Study
from tfcourse.low_rank_networks import (
    LowRank,
    ranks_within,
    with_low_rank,
    without_border,
)
from tfcourse.taught_images import TaughtImages, taught_images
from tfcourse.weights.masks import PruneAtEpochs, free_weights
from tfcourse.weights.packing import Affine, Packable, Raw, Sparse

# Weights, bits and an axis or None to codes, scale and zero point.
Quantise = Callable[..., tuple[np.ndarray, np.ndarray, np.ndarray]]
MasksFor = Callable[[Sequence[np.ndarray], float], Sequence[np.ndarray]]
Schedule = Callable[..., float]
NUM_LATENCY_CALLS = 300
NUM_TFMOT_EXAMPLES = 20_000  # tf_keras's fit is several times slower than ours.
RIVAL_LEARNING_RATES = {"mlp": 3e-3, "cnn": 1e-2}
PREFIXES = {"lenet_300_100": "mlp", "lenet_5": "cnn"}  # Of metrics' names.
TITLES = {"lenet_300_100": "LeNet-300-100", "lenet_5": "LeNet-5"}
RIVALS = {"mlp": ("small MLP",), "cnn": ("small MLP", "small CNN")}


def copy_of(model: keras.Model) -> keras.Model:
    """Return a model with the same layers, names and weights."""
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    return twin


def affine_arrays(
    model: keras.Model, quantise: Quantise, num_bits: int, axis: int | None
) -> list[Packable]:
    """Return a model's kernels as whole numbers; what has one axis stays float32."""
    return [
        Affine(*quantise(weights, num_bits, axis)) if weights.ndim > 1 else Raw(weights)
        for weights in model.get_weights()
    ]


class Comparisons:
    """What stands beside the learner's files: each method by itself, and rivals.

    Args:
        study: Where all points go.
        low_rank_factors: The learner's, as all the following.
        quantise: See `Quantise`.
        masks_for: From kernels and a sparsity to masks.
        schedule: From step, `num_steps`, `start` and `end` to a sparsity.
        loss: Also takes `temperature` and `hard_weight`.
    """

    def __init__(
        self,
        study: Study,
        low_rank_factors: LowRank,
        quantise: Quantise,
        masks_for: MasksFor,
        schedule: Schedule,
        loss: Callable[..., tf.Tensor],
    ):
        self._study = study
        self._low_rank_factors = low_rank_factors
        self._quantise = quantise
        self._masks_for = masks_for
        self._schedule = schedule
        self._loss = loss
        self._models: dict[str, keras.Model] = {}
        self._taught: TaughtImages | None = None
        self._milliseconds: dict[str, dict[str, float]] = {}

    def run(self, model: keras.Model, config: Any, sparsity: float) -> None:
        """Measure the model, then what each method by itself makes of it.

        Args:
            model: Trained; it stays as it is. The first one that is given teaches all
                networks that learn from another one.
            config: The exercise's.
            sparsity: At which ways to prune are compared, where that is cheap.
        """
        self._models[model.name] = copy_of(model)
        self._study.measure(model, "float32")
        prefix = PREFIXES[model.name]
        inner = without_border(model, config.border)
        for share in config.low_rank_shares:
            ranks = ranks_within(inner, share * model.count_params())
            thin = with_low_rank(inner, self._low_rank_factors, ranks)
            name = " ".join(f"{layer}: {rank}" for layer, rank in ranks.items())
            self._study.measure(thin, "low rank", name, network=model.name)
            self._study.distil(
                f"{model.name}/low_rank_{share:g}",
                thin,
                self._taught_by(model, config),
                self._loss_of(config),
                learning_rate=config.tune_learning_rate,
                epochs=vars(config)[f"{prefix}_tune_epochs"],
            )
            self._study.measure(thin, "low rank, tuned", name, network=model.name)
        twin = copy_of(model)  # One for all files: each would trace a graph of its own.
        for axis, method in ((None, "bits per tensor"), (-1, "bits per channel")):
            for num_bits in config.bits:
                arrays = affine_arrays(model, self._quantise, num_bits, axis)
                self._study.measure_file(twin, arrays, method, str(num_bits))
        if prefix == "mlp":
            self._compare_pruning(model, sparsity, config)
        self._run_tfmot(model, sparsity, config)

    def _taught_by(self, teacher: keras.Model, config: Any) -> TaughtImages:
        """Return warped training images with the answers of the first teacher."""
        if self._taught is None:
            self._taught = taught_images(
                *self._study.examples.train,
                teacher,
                num_copies=config.taught_copies,
                strength=config.taught_warp,
                seed=config.seed,
            )
        return self._taught

    def _loss_of(self, config: Any) -> DistillationLoss:
        """Return the loss with which a network learns from another one."""
        return functools.partial(
            self._loss, temperature=config.temperature, hard_weight=config.hard_weight
        )

    def _compare_pruning(
        self, model: keras.Model, sparsity: float, config: Any
    ) -> None:
        """Compare one shot with gradual, per layer with global, at equal epochs."""

        def per_layer(values, share):
            return [
                mask for value in values for mask in self._masks_for([value], share)
            ]

        num_steps = round(config.ramp_share * config.compare_epochs)
        gradual = functools.partial(
            self._schedule, num_steps=num_steps, start=0.0, end=sparsity
        )
        whens = {"one shot": lambda _: sparsity, "gradual": gradual}
        wheres = {"per layer": per_layer, "global": self._masks_for}
        for when, where in itertools.product(whens, wheres):
            twin = copy_of(model)
            pruning = [PruneAtEpochs(twin, whens[when], wheres[where])]
            self._study.train(
                f"{model.name}/{when} {where}".replace(" ", "_"),
                twin,
                config.compare_epochs,
                callbacks=pruning,
            )
            free_weights(twin)
            arrays = [Sparse(w) if w.ndim > 1 else Raw(w) for w in twin.get_weights()]
            method = f"pruned {when} {where}"
            self._study.measure_file(twin, arrays, method, f"{sparsity:g}")

    def _run_tfmot(self, model: keras.Model, sparsity: float, config: Any) -> None:
        """Measure what TensorFlow Model Optimization and LiteRT make of the model."""
        training = {"epochs": config.tfmot_epochs, "batch_size": 128}
        method = compression.method
        methods = [
            method("litert_float"),
            method("litert_dynamic"),
            method("litert_int8"),
        ]
        if model.name in config.tfmot_networks:
            methods += [
                method("prune", sparsity=sparsity, **training),
                method("prune_cluster_quantize", sparsity=sparsity, **training),
            ]
        stage = f"{model.name}/tfmot"
        rows = self._study.run.once(stage, lambda: self._litert_rows(model, methods))
        weights = model.count_params()
        for name, num_bytes, val_accuracy, test_accuracy, milliseconds in rows:
            scores = val_accuracy, test_accuracy
            point = Point(model.name, f"tfmot {name}", "", num_bytes, weights, *scores)
            self._study.add(point)
            self._milliseconds.setdefault(model.name, {})[name] = milliseconds

    def _litert_rows(
        self, model: keras.Model, methods: Sequence[compression.Method]
    ) -> list[tuple[str, int, float, float, float]]:
        """Return name, bytes, two accuracies and milliseconds for each method."""
        study = self._study
        images, labels = (p[:NUM_TFMOT_EXAMPLES] for p in study.examples.train)
        trained = [m for m in methods if m.kind.runs_in == "worker"]
        converted = [m for m in methods if m not in trained]
        rows = []
        # Each group needs one start of a child process.
        groups = [group for group in (converted, trained) if group]
        for group in study.run.progress(groups, f"{model.name}: tfmot"):
            for result in compression.compress_all(
                model, group, images, labels, seed=study.run.seed
            ):
                if result.problem:
                    raise ValueError(f"{result.method.name}: {result.problem}")
                content = result.content
                file = compression.LiteRTFile(content)
                packed = result.method.kind.counts_gzip  # tfmot's way to count zeros.
                num_bytes = compression.gzip_size(content) if packed else len(content)
                accuracies = (
                    float(np.mean(file.predict(some).argmax(-1) == labels_of_some))
                    for some, labels_of_some in (
                        study.examples.val,
                        study.examples.test,
                    )
                )
                example = study.examples.test[0][:1]
                latency = compression.latency_of(content, example, 1, NUM_LATENCY_CALLS)
                row = (result.method.name, num_bytes, *accuracies, latency.median)
                rows.append(row)
        return rows

    def run_rivals(self, config: Any) -> None:
        """Measure small networks that learn from the first, in 8 bits per weight."""
        some = next(iter(self._models.values()))
        shapes = {
            "image_shape": some.input_shape[1:],
            "num_classes": some.output_shape[-1],
        }
        rivals = [
            ("mlp", n, lenets.mlp((n,), name="small_mlp", **shapes))
            for n in config.rival_units
        ] + [
            ("cnn", n, lenets.small_cnn((n, n + 2, n + 2, n + 4), **shapes))
            for n in config.rival_filters
        ]
        for kind, count, model in rivals:
            self._study.distil(
                f"rivals/{kind}_{count}",
                model,
                self._taught_by(some, config),
                self._loss_of(config),
                learning_rate=RIVAL_LEARNING_RATES[kind],
                epochs=config.rival_epochs,
            )
            if kind == "cnn":
                model = lenets.with_folded_norms(model)
            arrays = affine_arrays(model, self._quantise, 8, None)
            method = f"small {kind.upper()}"
            self._study.measure_file(
                model, arrays, method, str(count), network="rivals"
            )

    def finish(self) -> dict[str, float]:
        """Return all metrics; figures and the table go into the run."""
        study, metrics = self._study, {}
        for network, prefix in PREFIXES.items():
            metrics |= metrics_of(study, network, prefix, RIVALS[prefix])
            times = self._milliseconds[network]
            metrics[f"{prefix}_float_milliseconds"] = times["litert_float"]
            metrics[f"{prefix}_int8_milliseconds"] = times["litert_int8"]
            metrics[f"{prefix}_int8_speedup"] = (
                times["litert_float"] / times["litert_int8"]
            )
            model = self._models[network]
            place = [weights.path for weights in model.weights].index("fc1/kernel")
            after = study.latest[network, "all in sequence"][place]
            before = model.get_weights()[place]
            figure = figures.weights(before, after, f"{TITLES[network]}, fc1")
            study.run.figure(f"weights_{prefix}", figure)
        metrics["rival_train_seconds"] = study.seconds["rivals"]
        study.run.text("files", study.table())
        study.run.text("latency", self._latency_table())
        panels = {TITLES[name]: (name, "rivals") for name in PREFIXES}
        names = {TITLES[name]: name for name in PREFIXES}
        study.run.figure("front", figures.front(study.points, panels))
        study.run.figure("low_rank", figures.low_rank(study.points, names))
        study.run.figure(
            "pruning_and_bits",
            figures.schedules_and_bits(study.points, "lenet_300_100"),
        )
        return metrics

    def _latency_table(self) -> str:
        """Return LiteRT's median time for one image, in microseconds, as Markdown."""
        lines = [
            "| network | method | µs, one thread | times float |",
            "|---|---|---:|---:|",
        ]
        for network, times in self._milliseconds.items():
            for method, milliseconds in times.items():
                times_float = milliseconds / times["litert_float"]
                lines.append(
                    f"| {network} | {method} | {1000 * milliseconds:.1f} | "
                    f"{times_float:.2f} |"
                )
        return "\n".join(lines)
