# %%
"""Network compression: low rank, pruning, shared weights, quantisation, Huffman codes."""

import dataclasses
import functools
import heapq
import itertools
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfcourse import lenets
from tfcourse.compression_comparisons import Comparisons, copy_of
from tfcourse.compression_study import Study
from tfcourse.runs import Run
from tfcourse.weights.masks import PruneAtEpochs, drop_dead_units
from tfcourse.weights.packing import Coder
from tfcourse.weights.positions import canonical_codewords, places_from_gaps
from tfcourse.weights.sharing import arrays_to_pack, with_shared_kernels

Array = NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Config:
    """What can be set; every number was chosen on validation images."""

    source: str = "real"  # Where the data come from: "embedded" or "real".
    val_fraction: float = 1 / 12  # Of the training images.
    batch_size: int = 128
    learning_rate: float = 1e-3  # At first; a cosine takes it to 0.
    max_shift: float = 2.0  # Pixels by which training images move.
    mlp_epochs: int = 30  # Of the networks that are then compressed.
    cnn_epochs: int = 15
    mlp_sparsities: tuple[float, ...] = (0.91, 0.945)  # One after the other.
    cnn_sparsities: tuple[float, ...] = (0.92, 0.9866)
    mlp_prune_epochs: int = 32  # For each of these sparsities,
    cnn_prune_epochs: int = 17
    ramp_share: float = 0.6  # and which share of them leads there.
    num_clusters: int = 16
    share_epochs: int = 4  # With shared values.
    bits: tuple[int, ...] = (8, 6, 5, 4, 3, 2)  # Of uniform quantisation.
    low_rank_shares: tuple[float, ...] = (0.05, 0.1, 0.2)  # Of the weights.
    border: int = 3  # Pixels at each edge that a thin perceptron does not see.
    taught_copies: int = 8  # Of each image, turned, sheared and stretched,
    taught_warp: float = 0.5  # so strongly, for networks that learn from LeNet-5.
    mlp_tune_epochs: int = 24  # Behind a low rank, over all copies,
    cnn_tune_epochs: int = 1
    tune_learning_rate: float = 5e-3
    compare_epochs: int = 10  # and of four ways to prune.
    temperature: float = 2.0
    hard_weight: float = 0.3  # Of the labels; the teacher has the rest.
    rival_units: tuple[int, ...] = (8, 16, 32)  # Hidden units of small dense networks.
    rival_filters: tuple[int, ...] = (4, 8, 12)  # Of small convolutional ones.
    rival_epochs: int = 2  # Over all copies.
    tfmot_epochs: int = 2  # Of TensorFlow's own tools,
    tfmot_networks: tuple[str, ...] = ("lenet_300_100", "lenet_5")  # used on these.
    seed: int = 0


LAB = Config()
SMOKE = Config(
    source="embedded",
    val_fraction=0.1983,  # Leaves 36 batches, and no graph for a last small one.
    batch_size=32,
    mlp_epochs=8,
    cnn_epochs=6,
    mlp_sparsities=(0.9,),
    cnn_sparsities=(0.9,),
    mlp_prune_epochs=6,
    cnn_prune_epochs=6,
    bits=(4, 2),
    low_rank_shares=(0.1,),
    taught_copies=3,
    mlp_tune_epochs=1,
    compare_epochs=3,
    rival_units=(16,),
    rival_filters=(6,),
    tfmot_networks=("lenet_300_100",),
)
FULL = dataclasses.replace(LAB, mlp_epochs=100, cnn_epochs=60, rival_epochs=8)


# %%
def low_rank_factors(kernel: Array, rank: int) -> tuple[Array, Array]:
    """Return the two factors whose product is the nearest matrix of this rank.

    Nearest in the sum of squared differences; the factors share the singular values
    evenly, so that both have the same norm.

    Args:
        kernel: float32 [inputs, units].
        rank: From 1 to the smaller of the two.

    Returns:
        float32 [inputs, rank] and float32 [rank, units].
    """
    # BEGIN SOLUTION
    u, singular_values, v = np.linalg.svd(kernel, full_matrices=False)
    root = np.sqrt(singular_values[:rank])  # [rank]
    return u[:, :rank] * root, root[:, None] * v[:rank]
    # END SOLUTION


# %%
def magnitude_masks(kernels: Sequence[Array], sparsity: float) -> list[np.ndarray]:
    """Return which weights stay: bool, one mask per kernel in its shape, False for pruned.

    One ranking of all weights, whatever kernel they are in: of N weights together exactly
    `round(sparsity * N)` are pruned, those with the least magnitude; among equals it does
    not matter which. A list of one kernel prunes that one by itself.
    """
    # BEGIN SOLUTION
    magnitudes = np.concatenate([np.abs(kernel).ravel() for kernel in kernels])  # [N]
    keep = np.ones(len(magnitudes), bool)
    keep[np.argsort(magnitudes)[: round(sparsity * len(keep))]] = False
    parts = np.split(keep, np.cumsum([kernel.size for kernel in kernels])[:-1])
    return [part.reshape(k.shape) for part, k in zip(parts, kernels, strict=True)]
    # END SOLUTION


# %%
def gradual_sparsity(step: int, num_steps: int, start: float, end: float) -> float:
    """Return the sparsity after `step` steps of a cubic schedule.

    It is `start` at step 0 and `end` from step `num_steps` on, and rises fast at first,
    when much can be spared, and slowly at last.

    Source: Zhu and Gupta, 2017, arXiv:1710.01878, equation 1.
    """
    # BEGIN SOLUTION
    left = 1 - min(step / num_steps, 1.0)
    return end + (start - end) * left**3
    # END SOLUTION


# %%
def cluster_weights(
    weights: Array, num_clusters: int, num_iterations: int = 30
) -> tuple[Array, NDArray[np.int32]]:
    """Return k-means centroids of the weights that are not 0, and everybody's code.

    Centroids start evenly spaced from the least weight to the greatest: far from 0 there
    are few weights, and those matter most.

    Args:
        weights: float32 [...]; at least one is not 0.
        num_clusters: Centroids k.
        num_iterations: At most so many; it stops when nothing changes.

    Returns:
        Codebook, float32 [k], ascending, and codes, int32 [...]: the nearest centroid's
        index for a weight that is not 0, and -1 for one that is. An empty cluster keeps
        its centroid.

    Source: Han et al., 2016, arXiv:1510.00149, section 3.
    """
    # BEGIN SOLUTION
    kept = weights[weights != 0]  # [n]
    codebook = np.linspace(kept.min(), kept.max(), num_clusters, dtype=np.float32)
    for _ in range(num_iterations):
        nearest = np.digitize(kept, (codebook[1:] + codebook[:-1]) / 2)  # [n]
        counts = np.bincount(nearest, minlength=num_clusters)
        sums = np.bincount(nearest, kept, minlength=num_clusters)
        means = np.where(counts > 0, sums / np.maximum(counts, 1), codebook)
        if np.array_equal(means.astype(np.float32), codebook):
            break
        codebook = means.astype(np.float32)
    codes = np.full(weights.shape, -1, np.int32)
    codes[weights != 0] = np.digitize(kept, (codebook[1:] + codebook[:-1]) / 2)
    return codebook, codes
    # END SOLUTION


# %%
def shared_gradient(gradient: tf.Tensor, codes: tf.Tensor, num_clusters: int):
    """Return the gradient with respect to the shared values: float32 [num_clusters].

    Args:
        gradient: float32 [n], with respect to each weight.
        codes: int32 [n], in [0, num_clusters): which value the weight takes.
        num_clusters: A value that nobody takes has the gradient 0.
    """
    # BEGIN SOLUTION
    return tf.math.unsorted_segment_sum(gradient, codes, num_clusters)
    # END SOLUTION


# %%
def quantise(weights: Array, num_bits: int, axis: int | None = None):
    """Return weights as whole numbers, and the line that leads back.

    `dequantise` gives each weight back with an error of at most half a scale, and 0 as
    exactly 0. The range of the whole numbers is used as far as that allows: they reach
    from the least weight (or 0) to the greatest (or 0).

    Args:
        weights: float32 [...], finite.
        num_bits: From 2 to 8.
        axis: None for one line for all weights; else each index of this axis (the units
            of a dense kernel: -1) has a line of its own.

    Returns:
        Codes, uint8 [...], in [0, 2**num_bits); scales, float32, above 0; zero points,
        int32, in the same range as the codes. The latter two have a shape that
        broadcasts against `weights`.

    Source: Jacob et al., 2018, arXiv:1712.05877, section 2.1.
    """
    # BEGIN SOLUTION
    others = None
    if axis is not None:
        others = tuple(i for i in range(weights.ndim) if i != axis % weights.ndim)
    low = np.minimum(weights.min(others, keepdims=True), 0).astype(np.float64)
    high = np.maximum(weights.max(others, keepdims=True), 0).astype(np.float64)
    largest = 2**num_bits - 1
    scale = np.where(high > low, (high - low) / largest, 1.0)
    zero_point = np.round(-low / scale)
    codes = np.clip(np.round(weights / scale) + zero_point, 0, largest)
    return codes.astype(np.uint8), scale.astype(np.float32), zero_point.astype(np.int32)
    # END SOLUTION


def dequantise(codes, scale, zero_point) -> Array:
    """Return float32 [...]: what the whole numbers of `quantise` stand for."""
    return (scale * (codes.astype(np.int32) - zero_point)).astype(np.float32)


# %%
def sparse_gaps(places: NDArray[np.int64], largest_gap: int) -> NDArray[np.int64]:
    """Return where the weights are that are not 0, as small whole numbers.

    A symbol below `largest_gap` says: so many zeros, then a weight. The symbol
    `largest_gap` says: so many zeros, and no weight yet. Zeros behind the last weight are
    not written.

    Args:
        places: int64 [n], ascending, from 0.
        largest_gap: At least 1.

    Returns:
        int64 [symbols], each in [0, largest_gap].

    Source: after Han et al., 2016, arXiv:1510.00149, figure 2, which keeps a weight 0
    where the gap is too large.
    """
    # BEGIN SOLUTION
    symbols = []
    for gap in np.diff(places, prepend=-1) - 1:
        symbols += [largest_gap] * (gap // largest_gap) + [gap % largest_gap]
    return np.array(symbols, np.int64)
    # END SOLUTION


# %%
def huffman_lengths(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many bits each symbol's codeword has in a Huffman code.

    Args:
        counts: int64 [symbols], how often each symbol occurs; 0 is allowed.

    Returns:
        int64 [symbols]: 0 for a symbol that does not occur; 1 if it is the only one.

    Source: Huffman, 1952, doi:10.1109/JRPROC.1952.273898.
    """
    # BEGIN SOLUTION
    lengths = np.zeros(len(counts), np.int64)
    trees = [(count, [symbol]) for symbol, count in enumerate(counts) if count > 0]
    if len(trees) == 1:
        lengths[trees[0][1]] = 1
    heapq.heapify(trees)
    while len(trees) > 1:
        rarest, second = heapq.heappop(trees), heapq.heappop(trees)
        members = rarest[1] + second[1]
        lengths[members] += 1  # One level deeper below a new root.
        heapq.heappush(trees, (rarest[0] + second[0], members))
    return lengths
    # END SOLUTION


# %%
def huffman_encode(symbols: NDArray[np.int64], lengths: NDArray[np.int64]) -> bytes:
    """Return the symbols' canonical codewords one after another, the first bit on top.

    Bits left over in the last byte are 0. No symbols give no bytes.
    """
    # BEGIN SOLUTION
    codewords = canonical_codewords(lengths)
    bits = "".join([codewords[symbol] for symbol in symbols.tolist()])
    return np.packbits(np.frombuffer(bits.encode(), np.uint8) - ord("0")).tobytes()
    # END SOLUTION


# %%
def huffman_decode(
    content: bytes, lengths: NDArray[np.int64], count: int
) -> NDArray[np.int64]:
    """Return the symbols that `huffman_encode` was given: int64 [count].

    The content may come from anybody. It takes no more time or memory than its own length
    asks for, whatever `count` is.

    Raises:
        ValueError: If codewords of these lengths are no prefix code, or the content is
            not exactly `count` codewords and fewer than 8 bits of 0.
    """
    # BEGIN SOLUTION
    symbol_of = {word: symbol for symbol, word in canonical_codewords(lengths).items()}
    if not 0 <= count <= 8 * len(content):  # A codeword has at least one bit.
        raise ValueError(f"{len(content)} bytes can't hold {count} symbols")
    bits = "".join(map("{:08b}".format, content))
    symbols, start, longest = [], 0, max(map(len, symbol_of), default=0)
    shortest = min(map(len, symbol_of), default=1)
    while len(symbols) < count:
        for end in range(start + shortest, start + longest + 1):
            symbol = symbol_of.get(bits[start:end])
            if symbol is not None:
                break
        else:
            raise ValueError(f"no codeword at bit {start}")
        symbols.append(symbol)
        start = end
    if len(bits) - start >= 8 or "1" in bits[start:]:
        raise ValueError(f"{len(bits) - start} bits are left over")
    return np.array(symbols, np.int64)
    # END SOLUTION


CODER = Coder(
    sparse_gaps, places_from_gaps, huffman_lengths, huffman_encode, huffman_decode
)


# %%
def distillation_loss(
    student_logits, teacher_logits, labels, *, temperature: float, hard_weight: float
):
    """Return the loss of a student that learns from a teacher: float32 [batch].

    `hard_weight` times the cross-entropy with the labels, plus the rest times T squared
    times the divergence KL(teacher || student), both softened by the temperature T.

    Args:
        student_logits: float32 [batch, classes].
        teacher_logits: float32 [batch, classes]; constants for the gradient.
        labels: int32 [batch].
        temperature: T, above 0; the logits are divided by it.
        hard_weight: In [0, 1].

    Source: Hinton et al., 2015, arXiv:1503.02531, section 2.
    """
    # BEGIN SOLUTION
    hard = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, student_logits)
    teacher = tf.nn.log_softmax(tf.stop_gradient(teacher_logits) / temperature)
    student = tf.nn.log_softmax(student_logits / temperature)
    divergence = tf.reduce_sum(tf.exp(teacher) * (teacher - student), axis=-1)
    return hard_weight * hard + (1 - hard_weight) * temperature**2 * divergence
    # END SOLUTION


# %%
def deep_compression(
    study: Study,
    model: keras.Model,
    sparsities: Sequence[float],
    num_epochs: int,
    config: Config,
) -> None:
    """Measure one file per sparsity: weights pruned, then shared, then coded.

    The model, trained, gets sparser from one to the next.

    Source: Han et al., 2016, arXiv:1510.00149, figure 1.
    """
    cluster = functools.partial(cluster_weights, num_clusters=config.num_clusters)
    num_steps = round(config.ramp_share * num_epochs)
    ramp = functools.partial(gradual_sparsity, num_steps=num_steps)
    for before, sparsity in itertools.pairwise((0.0, *sparsities)):
        schedule = functools.partial(ramp, start=before, end=sparsity)
        pruning = [PruneAtEpochs(model, schedule, magnitude_masks)]
        name = f"{model.name}/{sparsity:g}"
        study.train(f"{name}_pruned", model, num_epochs, callbacks=pruning)
        drop_dead_units(model)
        shared = with_shared_kernels(model, cluster, shared_gradient)
        study.train(f"{name}_shared", shared, config.share_epochs)
        arrays = arrays_to_pack(shared, cluster)
        study.measure_file(copy_of(model), arrays, "all in sequence", f"{sparsity:g}")


# %%
def main(config: Config, run: Run) -> dict[str, float]:
    """Return the metrics that exercise.toml promises."""
    study = Study.start(run, config, CODER)
    tools = low_rank_factors, quantise, magnitude_masks, gradual_sparsity
    comparisons = Comparisons(study, *tools, distillation_loss)
    # LeNet-5 comes first: it teaches the thin and the small networks.
    for model, kind in ((lenets.lenet_5(), "cnn"), (lenets.lenet_300_100(), "mlp")):
        study.train(f"{model.name}/uncompressed", model, vars(config)[f"{kind}_epochs"])
        sparsities = vars(config)[f"{kind}_sparsities"]
        num_epochs = vars(config)[f"{kind}_prune_epochs"]
        comparisons.run(copy_of(model), config, sparsities[-1])
        deep_compression(study, model, sparsities, num_epochs, config)
    comparisons.run_rivals(config)
    return comparisons.finish()
