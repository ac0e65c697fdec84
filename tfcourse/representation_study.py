"""The experiments on what layers represent: measure each layer, compare, draw, log.

What measures comes from outside. Each stage is stored in the run, so that a resumed run
does not repeat it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import spearmanr
from threadpoolctl import threadpool_limits

from tfcourse import representation_figures as figures
from tfcourse.errors import UserError
from tfcourse.projector_reading import read_projector
from tfcourse.representation_networks import Part
from tfcourse.runs import Run

Layers = dict[str, np.ndarray]  # By name, float [n, units].
Row = dict[str, Any]  # What was measured of one layer.

NUM_NEAREST = 8  # Neighbours that are kept for the figure.
# Scalars for TensorBoard: one point per layer, the layer's depth as the step.
CURVES = ("probe", "knn_pca", "knn_tsne", "trust_pca", "trust_tsne", "same_class")


class Measures(NamedTuple):
    """Functions that measure a layer's outputs."""

    principal_components: Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]]
    neighbour_probabilities: Callable[[np.ndarray, float], np.ndarray]
    knn_accuracy: Callable[[np.ndarray, np.ndarray, int], float]
    trustworthiness: Callable[[np.ndarray, np.ndarray, int], float]
    linear_probe: Callable[[Any, Any, Any, Sequence[float]], float]
    linear_cka: Callable[[np.ndarray, np.ndarray], float]
    tsne_plane: Callable[..., np.ndarray]  # Of (features, perplexity=, seed=).


def one_thread() -> threadpool_limits:
    """Return what keeps t-SNE and numpy to one thread, while it is entered.

    t-SNE's threads meet several times in each of a thousand short iterations, and wait
    for one another by spinning. On two idle cores the second one saves half of the time;
    on busy ones it was seen to cost ten times as much. So do numpy's on small matrices.
    """
    return threadpool_limits(limits=1)


class LayerStudy:
    """Measures layers on the same examples, and keeps what was measured.

    Args:
        run: The run.
        measures: What measures.
        parts: As `representation_networks.load_parts` returns them.
        settings: The exercise's config: numbers of examples, neighbours, perplexities.
    """

    def __init__(
        self, run: Run, measures: Measures, parts: Mapping[str, Part], settings: Any
    ):
        self.run = run
        self.measures = measures
        self.settings = settings
        self.parts = dict(parts)
        images, labels = parts["train"]
        limit = settings.num_probe_examples
        self.parts["train"] = images[:limit], labels[:limit]
        self.labels = {name: labels for name, (_, labels) in self.parts.items()}
        num_test = len(self.labels["test"])
        if not settings.num_close_points <= settings.num_points <= num_test:
            raise UserError(
                f"needs num_close_points <= num_points <= {num_test}, the test images; "
                f"got {settings.num_close_points} and {settings.num_points}"
            )
        # The first half of MNIST's test set is the easier one: take some of both.
        order = np.random.default_rng(settings.seed).permutation(num_test)
        self.points = order[: settings.num_points]
        self.close = order[: settings.num_close_points]

    def outputs(
        self, layer_outputs: Callable[[np.ndarray], Layers]
    ) -> dict[str, Layers]:
        """Return a network's outputs on each part, by layer."""
        return {
            name: {
                layer: np.asarray(array)
                for layer, array in layer_outputs(images).items()
            }
            for name, (images, _) in self.parts.items()
        }

    def rows(self, name: str, outputs: Mapping[str, Layers]) -> dict[str, Row]:
        """Return what is measured of each layer of one network."""
        found = {}
        for layer in self.run.progress(outputs["test"], f"layers, {name}"):
            features = {part: layers[layer] for part, layers in outputs.items()}
            with one_thread():
                found[layer] = self.run.once(
                    f"layers/{name}_{layer}", lambda of=features: self._row(of)
                )
        return found

    def _row(self, features: Mapping[str, np.ndarray]) -> Row:
        labels, measures = self.labels, self.measures
        splits = [(features[part], labels[part]) for part in ("train", "val", "test")]
        points, of_points = features["test"][self.points], labels["test"][self.points]
        row: Row = {
            "probe": measures.linear_probe(*splits, self.settings.probe_strengths)
        }
        started, started_cpu = time.perf_counter(), time.process_time()
        tsne = self._tsne_plane(points, self.settings.perplexity)
        row["tsne_seconds"] = time.perf_counter() - started
        row["tsne_cpu_seconds"] = time.process_time() - started_cpu
        components, shares = measures.principal_components(points, points.shape[1])
        row["shares"] = np.round(shares, 6)
        for kind, plane in (("pca", components[:, :2]), ("tsne", tsne)):
            plane, k = np.asarray(plane), self.settings.num_neighbours
            row[f"knn_{kind}"] = measures.knn_accuracy(plane, of_points, k)
            row[f"trust_{kind}"] = measures.trustworthiness(points, plane, k)
            row[f"plane_{kind}"] = np.round(plane.astype(float), 3)
        return row | self._neighbours(features["test"][self.close])

    def _tsne_plane(self, features: np.ndarray, perplexity: float) -> np.ndarray:
        return np.asarray(
            self.measures.tsne_plane(
                features, perplexity=perplexity, seed=self.settings.seed
            )
        )

    def _neighbours(self, close: np.ndarray) -> Row:
        """Return whom each close point picks, and how far they are of its class."""
        chosen = self.measures.neighbour_probabilities(close, self.settings.perplexity)
        chosen = np.asarray(chosen)
        labels = self.labels["test"][self.close]
        same = np.sum(chosen * (labels[:, None] == labels), axis=1)
        nearest = np.argsort(-chosen, axis=1)[:, :NUM_NEAREST]
        return {
            "same_class": float(np.mean(same)),
            "same_class_by_point": np.round(same, 4),
            "nearest": nearest,
            "nearest_probability": np.round(
                np.take_along_axis(chosen, nearest, axis=1), 4
            ),
        }

    def alignments(self, name: str, first: Layers, second: Layers) -> np.ndarray:
        """Return the alignment of each layer (row) with each of the other network."""

        def compute() -> list[list[float]]:
            sampled = [array[self.points] for array in second.values()]
            return [
                [
                    self.measures.linear_cka(array[self.points], other)
                    for other in sampled
                ]
                for array in first.values()
            ]

        return np.array(self.run.once(f"alignment_{name}", compute))

    def perplexities(self, pixels: np.ndarray) -> list[Row]:
        """Return t-SNE's planes of digits, and of noise, at several perplexities."""
        labels = self.labels["test"][self.close]
        noise = np.random.default_rng(self.settings.seed).normal(
            size=(len(self.close), 50)
        )
        sets = {"digits": pixels[self.close], "noise": noise.astype(np.float32)}

        def row(name: str, perplexity: float) -> Row:
            plane = self._tsne_plane(sets[name], perplexity)
            found = {"set": name, "perplexity": perplexity, "plane": plane}
            if name == "digits":
                k = self.settings.num_neighbours
                found["knn"] = self.measures.knn_accuracy(plane, labels, k)
            return found

        pairs = [(name, p) for name in sets for p in self.settings.perplexities]
        with one_thread():
            return [
                self.run.once(f"perplexity/{name}_{p:g}", lambda at=(name, p): row(*at))
                for name, p in self.run.progress(pairs, "perplexities")
            ]


def compare(
    of: LayerStudy,
    outputs: Mapping[str, Mapping[str, Layers]],
    test_images: np.ndarray,
    write_projector: Callable[..., None],
) -> dict[str, float]:
    """Return the metrics on all layers; figures, curves and the projector go into the run.

    Args:
        of: The study.
        outputs: For "trained", "retrained" and "untrained" what `of.outputs` returns.
        test_images: uint8 [n, height, width], for the sprites.
        write_projector: Writes the projector's files: (folder, layers, labels, images).
    """
    test = {name: of_parts["test"] for name, of_parts in outputs.items()}
    rows = {"trained": of.rows("trained", outputs["trained"])}
    # Both networks get the same pixels.
    without_pixels = {
        part: {name: array for name, array in layers.items() if name != "pixels"}
        for part, layers in outputs["untrained"].items()
    }
    pixels = {"pixels": rows["trained"]["pixels"]}
    rows["untrained"] = pixels | of.rows("untrained", without_pixels)
    pairs = {
        name: of.alignments(name, test["trained"], test[name])
        for name in ("untrained", "retrained")
    }
    _draw(of, rows, pairs, of.perplexities(test["trained"]["pixels"]), test_images)
    accuracy = np.mean(test["trained"]["logits"].argmax(axis=1) == of.labels["test"])
    return {
        "test_accuracy": float(accuracy),
        **depth_metrics(rows),
        "cka_retrained": float(np.mean(np.diag(pairs["retrained"])[1:])),
        "cka_untrained": float(np.mean(np.diag(pairs["untrained"])[1:])),
        "projector_layers_read": _project(of, test, test_images, write_projector),
    }


def depth_metrics(rows: Mapping[str, Mapping[str, Row]]) -> dict[str, float]:
    """Return what the rows say about depth.

    Args:
        rows: For "trained" and "untrained", by layer: pixels, hidden ones, logits.
    """
    names = list(rows["trained"])
    first, last = names[0], names[-2]  # The last hidden layer.
    trained, untrained = rows["trained"], rows["untrained"]
    hidden = [trained[name]["probe"] for name in names[:-1]]
    metrics = {
        "probe_pixels": trained[first]["probe"],
        "probe_last_hidden": trained[last]["probe"],
        "probe_logits": trained[names[-1]]["probe"],
        "probe_untrained_last_hidden": untrained[last]["probe"],
        # Of the pixels and the hidden layers: 1 if each is better than the one before.
        "probe_rank_correlation": float(spearmanr(range(len(hidden)), hidden)[0]),
        "probe_least_step": float(np.min(np.diff(hidden))),
        "probe_gain_of_training": trained[last]["probe"] - untrained[last]["probe"],
    }
    for key in ("knn_pca", "knn_tsne", "trust_pca", "trust_tsne", "same_class"):
        metrics[f"{key}_pixels"] = trained[first][key]
        metrics[f"{key}_last_hidden"] = trained[last][key]
        metrics[f"{key}_untrained_last_hidden"] = untrained[last][key]
    everything = [row for of in rows.values() for row in of.values()]
    for key in ("tsne_seconds", "tsne_cpu_seconds"):
        metrics[f"{key}_slowest"] = max(row[key] for row in everything)
    metrics["explained_by_two_pixels"] = sum(trained[first]["shares"][:2])
    metrics["explained_by_two_last_hidden"] = sum(trained[last]["shares"][:2])
    return {name: float(value) for name, value in metrics.items()}


def _draw(
    of: LayerStudy,
    rows: Mapping[str, Mapping[str, Row]],
    pairs: Mapping[str, np.ndarray],
    planes: Sequence[Row],
    test_images: np.ndarray,
) -> None:
    run = of.run
    for name, layers in rows.items():
        for depth, row in enumerate(layers.values()):
            run.scalars(f"depth/{name}", {k: row[k] for k in CURVES}, step=depth)
    labels = of.labels["test"]
    layer_names = list(rows["trained"])
    run.figure("depth", figures.depth_curves(rows))
    run.figure("explained_variance", figures.explained_variance(rows))
    for kind in ("pca", "tsne"):
        run.figure(f"planes_{kind}", figures.planes(rows, labels[of.points], kind))
    run.figure("alignment", figures.alignments(pairs, layer_names))
    run.figure("perplexity", figures.perplexities(planes, labels[of.close]))
    figure = figures.neighbours(
        rows["trained"], test_images[of.close], labels[of.close]
    )
    run.figure("neighbours", figure)


def _project(
    of: LayerStudy,
    outputs: Mapping[str, Layers],
    test_images: np.ndarray,
    write_projector: Callable[..., None],
) -> int:
    """Write all layers for the projector; return how many it reads back, without fault."""
    layers = {"pixels": outputs["trained"]["pixels"][of.close]}
    for name in ("trained", "untrained"):
        for layer, array in outputs[name].items():
            if layer != "pixels":
                layers[f"{name}_{layer}"] = array[of.close]
    labels, images = of.labels["test"][of.close], test_images[of.close]
    of.run.projector(
        "projector", layers, labels.tolist(), images, write=write_projector
    )
    read = read_projector(of.run.directory).get("projector", {})
    return sum(
        name in read
        and read[name].labels == [str(label) for label in labels]
        and read[name].sprites is not None
        and len(read[name].sprites) >= len(images)
        and read[name].vectors.shape == array.shape
        and np.allclose(read[name].vectors, array, rtol=1e-3, atol=1e-4)
        for name, array in layers.items()
    )
