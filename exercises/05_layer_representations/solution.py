# %%
"""What the layers of a deep MLP make of their inputs: planes, and curves over depth."""

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from scipy.spatial.distance import cdist
from scipy.special import entr
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import TSNE
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tensorboard.plugins.projector import ProjectorConfig

from tfcourse import representation_networks, representation_study
from tfcourse.runs import Run

Features = np.ndarray  # float [n, units]: one layer's outputs, a row for each example.


@dataclasses.dataclass(frozen=True)
class Config:
    """What can be set: `tfcourse run 5 --set depth=8`."""

    source: str = "real"  # Where the data come from: "embedded" or "real".
    val_fraction: float = 1 / 12  # Of the training images: 5,000 of MNIST's 60,000.
    depth: int = 5  # Hidden layers.
    width: int = 256  # Units of each.
    batch_size: int = 128
    learning_rate: float = 1e-3  # At the start; a cosine takes it to 0.
    max_shift: float = 2.0  # Pixels by which training images move.
    epochs: int = 12
    num_probe_examples: int = 10_000  # Training images that the probes are fitted on.
    probe_strengths: tuple[float, ...] = (1e-3, 1e-2, 1e-1)
    num_points: int = 5_000  # Test images in the planes.
    num_close_points: int = 1_000  # Of these: affinities, perplexities and projector.
    num_neighbours: int = 10
    perplexity: float = 30.0
    perplexities: tuple[float, ...] = (
        2.0,
        5.0,
        30.0,
        100.0,
    )  # What the study compares.
    seed: int = 0


SMOKE = Config(
    source="embedded",
    val_fraction=0.2,
    depth=3,
    width=64,
    batch_size=32,
    epochs=15,
    num_points=300,
    num_close_points=250,
    perplexities=(2.0, 30.0),
)
LAB = Config()
FULL = Config(
    depth=8, width=1024, epochs=60, num_probe_examples=55_000, num_points=10_000
)


# %%
def deep_mlp(image_shape: tuple[int, ...], num_classes: int, config: Config):
    """Return a Functional MLP from float32 [batch, height, width] to logits."""
    inputs = keras.Input(image_shape)
    hidden = keras.layers.Flatten()(inputs)  # [batch, height * width]
    for index in range(config.depth):
        options = {"kernel_initializer": "he_normal", "name": f"hidden_{index + 1}"}
        hidden = keras.layers.Dense(config.width, "relu", **options)(hidden)
    return keras.Model(inputs, keras.layers.Dense(num_classes, name="logits")(hidden))


# %%
def layer_outputs(model: keras.Model, images: np.ndarray) -> dict[str, Features]:
    """Return what each layer makes of the images, from the pixels to the logits.

    The first entry is "pixels": the images [n, height * width] as the model gets them.
    Then comes each layer that has weights, under its name and in the model's order: its
    output behind the activation, in inference mode, float32 [n, units].

    Args:
        model: A Functional model of dense layers on flattened images, maybe with dropout.
        images: float32 [n, height, width]; n may be too many for one batch.
    """
    # BEGIN SOLUTION
    outputs = {"pixels": keras.layers.Flatten()(model.input)}  # [batch, height * width]
    outputs |= {layer.name: layer.output for layer in model.layers if layer.weights}
    extractor = keras.Model(model.input, outputs)
    batches = np.split(images, range(1024, len(images), 1024))
    parts = [extractor(batch, training=False) for batch in batches]
    return {name: np.concatenate([part[name] for part in parts]) for name in outputs}
    # END SOLUTION


# %%
def principal_components(features: Features, num_components: int):
    """Return the principal components and the share of the variance that each explains.

    Returns:
        float [n, num_components]: the centred features along the directions of largest
        variance, largest first, each with either sign; and float [num_components], in
        [0, 1]: shares of the variance of all columns.
    """
    # BEGIN SOLUTION
    centred = features - features.mean(axis=0, dtype=np.float64)
    left, singular_values, _ = np.linalg.svd(centred, full_matrices=False)
    components = left * singular_values  # [n, min(n, units)]
    shares = singular_values**2 / np.sum(singular_values**2)
    return components[:, :num_components], shares[:num_components]
    # END SOLUTION


# %%
def neighbour_probabilities(features: Features, perplexity: float) -> np.ndarray:
    """Return t-SNE's p(j|i), that point i picks j as its neighbour: float64 [n, n].

    Row i is a Gaussian of the distance from i, without i itself; its width is such that
    2 to the power of the row's entropy in bits is `perplexity`, to within 0.1 %.

    Source: van der Maaten and Hinton, 2008, section 2.
    """
    # BEGIN SOLUTION
    squared = cdist(features, features, "sqeuclidean")  # [n, n]
    np.fill_diagonal(squared, np.inf)
    squared -= squared.min(axis=1, keepdims=True)  # Else all of a row may underflow.
    low, high = np.full(len(features), -50.0), np.full(len(features), 50.0)
    for _ in range(50):
        middle = (low + high) / 2  # Logarithm of 1 / (2 sigma^2), [n]
        weights = np.exp(-squared * np.exp(middle)[:, None])
        probabilities = weights / weights.sum(axis=1, keepdims=True)
        is_wide = entr(probabilities).sum(axis=1) > np.log(perplexity)  # In nats.
        low, high = np.where(is_wide, middle, low), np.where(is_wide, high, middle)
    return probabilities
    # END SOLUTION


# %%
def knn_accuracy(points: Features, labels: np.ndarray, num_neighbours: int) -> float:
    """Return the share of points whose nearest other points outvote all other classes.

    Each of the `num_neighbours` nearest by Euclidean distance has one vote; how a tie is
    broken is left open. Another point at the very same place is a neighbour too.
    """
    # BEGIN SOLUTION
    search = NearestNeighbors(n_neighbors=num_neighbours).fit(points)
    nearest = search.kneighbors(return_distance=False)  # [n, k], itself left out
    votes = [np.bincount(row).argmax() for row in labels[nearest]]  # [n]
    return float(np.mean(votes == labels))
    # END SOLUTION


# %%
def trustworthiness(features: Features, plane: Features, num_neighbours: int) -> float:
    """Return how far neighbours in the plane were close before, in [0, 1].

    Of the k nearest in the plane, each whose rank r in the space of the features is more
    than k (the nearest has rank 1) costs r - k, scaled so that the worst case is 0.

    Source: Venna and Kaski, 2001, section 2.1.
    """
    # BEGIN SOLUTION
    distances = euclidean_distances(features)  # [n, n]
    np.fill_diagonal(distances, -1.0)  # A point is the closest to itself: rank 0.
    search = NearestNeighbors(n_neighbors=num_neighbours).fit(plane)
    nearest = search.kneighbors(return_distance=False)  # [n, k]
    reached = np.take_along_axis(distances, nearest, axis=1)  # [n, k]
    ranks = [np.sum(distances < column[:, None], axis=1) for column in reached.T]
    cost = np.sum(np.maximum(np.array(ranks) - num_neighbours, 0))
    n, k = len(features), num_neighbours
    return float(1 - cost * 2 / (n * k * (2 * n - 3 * k - 1)))
    # END SOLUTION


# %%
def linear_probe(train, val, test, strengths: Sequence[float]) -> float:
    """Return the accuracy of a linear classifier on a layer's outputs, on the test part.

    It is a softmax regression, fitted to the training part alone, on features brought to
    mean 0 and deviation 1 as they are in the training part; a unit may be constant there.
    Of the strengths, values of scikit-learn's C, the best on the validation part counts.
    A part is a pair: features [n, units] and labels int [n].
    """
    # BEGIN SOLUTION
    probes = []
    for strength in strengths:
        regression = LogisticRegression(C=strength, max_iter=1000)
        probes.append(make_pipeline(StandardScaler(), regression).fit(*train))
    return float(max(probes, key=lambda probe: probe.score(*val)).score(*test))
    # END SOLUTION


# %%
def linear_cka(first: Features, second: Features) -> float:
    """Return the linear centred kernel alignment of two layers, in [0, 1].

    Both have a row for each example, in the same order; widths and scales may differ.

    Source: Kornblith, Norouzi, Lee and Hinton, 2019, section 3.
    """
    # BEGIN SOLUTION
    first = first - first.mean(axis=0, dtype=np.float64)
    second = second - second.mean(axis=0, dtype=np.float64)
    shared = np.linalg.norm(first.T @ second) ** 2
    own = np.linalg.norm(first.T @ first) * np.linalg.norm(second.T @ second)
    return float(shared / own)
    # END SOLUTION


# %%
def write_projector(
    folder: Path, layers: Mapping[str, Features], labels: Sequence, images: np.ndarray
) -> None:
    """Write into `folder` what TensorBoard's projector reads: points, labels, sprites.

    - `NAME.tsv` for each layer: a line for each example, its outputs between tabs;
    - `labels.tsv`: one label in each line, nothing else: a single column has no header;
    - `sprites.png`: all images at their own size in a square sheet, row by row, with as
      many in a row as the square root of their number, rounded up;
    - `projector_config.pbtxt`: the text of a `ProjectorConfig` that has an embedding for
      each layer, under its name, with the three files, named relative to the folder.

    Args:
        folder: May not exist yet.
        layers: By name, [n, units].
        labels: [n].
        images: uint8 [n, height, width].
    """
    # BEGIN SOLUTION
    folder.mkdir(parents=True, exist_ok=True)
    num_images, height, width = images.shape
    side = math.ceil(math.sqrt(num_images))
    grid = np.zeros((side * side, height, width), np.uint8)
    grid[:num_images] = images
    rows = grid.reshape(side, side, height, width).swapaxes(1, 2)  # [side, h, side, w]
    sheet = rows.reshape(side * height, side * width, 1)
    (folder / "sprites.png").write_bytes(tf.io.encode_png(sheet).numpy())
    (folder / "labels.tsv").write_text("".join(f"{label}\n" for label in labels))
    config = ProjectorConfig()
    for name, outputs in layers.items():
        np.savetxt(folder / f"{name}.tsv", outputs, "%.5g", delimiter="\t")
        entry = config.embeddings.add(tensor_name=name, tensor_path=f"{name}.tsv")
        entry.metadata_path = "labels.tsv"
        entry.sprite.image_path = "sprites.png"
        entry.sprite.single_image_dim.extend([width, height])
    (folder / "projector_config.pbtxt").write_text(str(config))
    # END SOLUTION


# %%
def tsne_plane(features: Features, *, perplexity: float, seed: int) -> Features:
    """Return scikit-learn's t-SNE of the first 50 principal components: [n, 2]."""
    components, _ = principal_components(features, 50)
    tsne = TSNE(perplexity=perplexity, init="pca", random_state=seed)
    return tsne.fit_transform(components)


# %%
def main(config: Config, run: Run) -> dict[str, float]:
    """Return the metrics that exercise.toml promises."""
    parts, test_images = representation_networks.load_parts(
        run, config.source, val_fraction=config.val_fraction, seed=config.seed
    )
    build = functools.partial(deep_mlp, test_images.shape[1:], 10, config)
    networks = representation_networks.make_networks(run, build, parts, config)
    measures = representation_study.Measures(
        principal_components=principal_components,
        neighbour_probabilities=neighbour_probabilities,
        knn_accuracy=knn_accuracy,
        trustworthiness=trustworthiness,
        linear_probe=linear_probe,
        linear_cka=linear_cka,
        tsne_plane=tsne_plane,
    )
    study = representation_study.LayerStudy(run, measures, parts, config)
    outputs = {
        name: study.outputs(functools.partial(layer_outputs, network))
        for name, network in networks.items()
    }
    return representation_study.compare(study, outputs, test_images, write_projector)
