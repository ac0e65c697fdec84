"""What right answers to network_compression promise.

Every number comes from a generator that the checks' seed sets; oracles are written here,
in another way than the solution.
"""

import math
import time
import tracemalloc

import numpy as np
import tensorflow as tf

from tfcourse.checking import check, explain
from tfcourse.weights.positions import places_from_gaps


def fresh_rng():
    """Return a generator that differs with the seed of the checks."""
    return np.random.default_rng(int(np.random.randint(2**31)))


def require_array(value, what, dtype, shape):
    """Return a student's array, or say what is wrong with its kind, dtype or shape."""
    name = np.dtype(dtype).name
    wanted = f"{name} {list(shape)}"
    assert value is not None, explain(
        f"nothing comes back for {what}: is there a return?",
        expected=wanted,
        received=None,
    )
    assert isinstance(value, np.ndarray | np.generic), explain(
        f"{what} must be a numpy array", expected=wanted, received=value
    )
    assert value.dtype == dtype, explain(
        f"{what} must be {name}: mind what numpy makes of the numbers on the way",
        expected=wanted,
        received=value,
    )
    assert value.shape == tuple(shape), explain(
        f"{what}: another shape", expected=wanted, received=value
    )
    return value


def require_parts(value, count, what):
    """Return the parts of a student's tuple, or say that it is none."""
    assert isinstance(value, tuple | list) and len(value) == count, explain(
        f"{what} come back together, as a tuple of {count}",
        expected=f"{count} values",
        received=value,
    )
    return value


def require_tensor(value, what):
    """Return a student's tensor as it is, or say that it is none."""
    assert value is not None, explain(
        f"nothing comes back for {what}: is there a return?",
        expected="a float32 tensor",
        received=None,
    )
    is_tensor = isinstance(value, tf.Tensor | tf.Variable | np.ndarray | np.generic)
    name = getattr(value.dtype, "name", "") if is_tensor else type(value).__name__
    assert is_tensor and name == "float32", explain(
        f"{what} is a float32 tensor", expected="float32", received=name
    )
    return value


def require_unchanged(now, before, what):
    """Fail if the arrays that a submission was given are others by now."""
    assert np.array_equal(now, before), explain(
        f"{what} must stay as it was: work on a copy",
        expected=before.ravel()[:4].round(3).tolist(),
        received=now.ravel()[:4].round(3).tolist(),
    )


# low_rank_factors -----------------------------------------------------------------------


def random_kernel(rng, inputs, units):
    """Return float32 [inputs, units] whose singular values fall off slowly."""
    kernel = rng.standard_normal((inputs, units)) * rng.uniform(0.5, 2, units)
    return (kernel * rng.uniform(0.3, 3)).astype(np.float32)


def factors_of(submission, kernel, rank):
    """Return the student's two factors, of the right shapes, as float64."""
    inputs, units = kernel.shape
    with np.errstate(all="ignore"):
        parts = submission.low_rank_factors(kernel.copy(), rank)
    left, right = require_parts(parts, 2, "the two factors")
    left = require_array(left, "the first factor", np.float32, (inputs, rank))
    right = require_array(right, "the second factor", np.float32, (rank, units))
    for name, factor in (("first", left), ("second", right)):
        assert np.all(np.isfinite(factor)), explain(
            f"the {name} factor is not finite: singular values can be 0, as those of a "
            "kernel that was pruned; nothing may be divided by them",
            expected="numbers",
            received=factor,
        )
    return left.astype(np.float64), right.astype(np.float64)


@check(task="low_rank_factors")
def both_factors_have_the_shapes_of_thin_layers(submission):
    rng = fresh_rng()
    for shape, rank in (((9, 6), 2), ((5, 11), 3), ((4, 4), 1), ((12, 3), 3)):
        factors_of(submission, random_kernel(rng, *shape), rank)


@check(task="low_rank_factors")
def no_product_of_this_rank_is_nearer(submission):
    rng = fresh_rng()
    for shape in ((14, 9), (7, 16), (10, 10)):
        kernel = random_kernel(rng, *shape)
        for rank in (1, 2, 5):
            left, right = factors_of(submission, kernel, rank)
            error = np.linalg.norm(kernel - left @ right)
            # Eckart and Young: the squares of what is dropped, from the Gram matrix.
            squares = np.linalg.eigvalsh(kernel.astype(np.float64).T @ kernel)[::-1]
            least = math.sqrt(squares[rank:].sum().clip(0))
            assert error <= least * (1 + 1e-4), explain(
                f"a product of rank {rank} can be nearer to a kernel {list(shape)}: keep "
                "the largest singular values, and multiply each once into the product",
                expected=f"a distance of {least:.4f}",
                received=f"{error:.4f}",
            )


@check(task="low_rank_factors")
def full_rank_gives_the_kernel_back(submission):
    rng = fresh_rng()
    for shape in ((8, 5), (5, 8), (6, 6)):
        kernel = random_kernel(rng, *shape)
        left, right = factors_of(submission, kernel, min(shape))
        error = np.abs(kernel - left @ right).max()
        assert error <= 1e-4 * np.abs(kernel).max(), explain(
            f"with full rank {min(shape)} nothing of a kernel {list(shape)} is lost; is v "
            "transposed twice?",
            expected="the kernel",
            received=f"entries that differ by {error:.3g}",
        )


@check(task="low_rank_factors")
def a_kernel_of_lower_rank_is_no_trouble(submission):
    rng = fresh_rng()
    thin = random_kernel(rng, 9, 2) @ random_kernel(rng, 2, 7)
    dead = random_kernel(rng, 8, 6)
    dead[:, 2:] = 0
    for kernel in (thin, dead, np.zeros((5, 4), np.float32)):
        left, right = factors_of(submission, kernel, 4)
        error = np.abs(kernel - left @ right).max()
        assert error <= 1e-4 * max(np.abs(kernel).max(), 1), explain(
            "a kernel whose rank is less than asked for comes back as it was",
            expected="the kernel",
            received=f"entries that differ by {error:.3g}",
        )


@check(task="low_rank_factors")
def singular_values_are_shared_evenly(submission):
    rng = fresh_rng()
    for shape, rank in (((12, 7), 3), ((6, 15), 4)):
        kernel = random_kernel(rng, *shape)
        left, right = factors_of(submission, kernel, rank)
        norms = np.linalg.norm(left), np.linalg.norm(right)
        assert np.isclose(*norms, rtol=1e-3), explain(
            "one factor is much larger than the other: share the singular values evenly, "
            "the square root to each side",
            expected="equal norms",
            received=f"{norms[0]:.3f} and {norms[1]:.3f}",
        )
        # Holds as well where the factors are turned against each other.
        grams = left.T @ left, right @ right.T
        assert np.allclose(*grams, atol=1e-3 * norms[0] ** 2), explain(
            "the norms agree as a whole, but not each singular value is shared: multiply "
            "the square root of each into both sides, not one number for all",
            expected=np.diag(grams[0]).round(3).tolist(),
            received=np.diag(grams[1]).round(3).tolist(),
        )


# magnitude_masks ------------------------------------------------------------------------


def masks_of(submission, kernels, sparsity):
    """Return the student's masks, of the right kind, and all as one vector."""
    given = [kernel.copy() for kernel in kernels]
    masks = submission.magnitude_masks(given, sparsity)
    assert isinstance(masks, list | tuple), explain(
        "the masks come back as a list, one per kernel",
        expected=f"a list of {len(kernels)}",
        received=masks,
    )
    assert len(masks) == len(kernels), explain(
        "there is one mask per kernel", expected=len(kernels), received=len(masks)
    )
    for mask, kernel in zip(masks, kernels, strict=True):
        assert isinstance(mask, np.ndarray) and mask.dtype == bool, explain(
            "a mask holds bools: True where a weight stays",
            expected=f"bool {list(kernel.shape)}",
            received=mask,
        )
        assert mask.shape == kernel.shape, explain(
            "a mask has the shape of its kernel",
            expected=list(kernel.shape),
            received=list(mask.shape),
        )
    for now, before in zip(given, kernels, strict=True):
        require_unchanged(now, before, "a kernel")
    return masks, np.concatenate([mask.ravel() for mask in masks])


def require_count(flat, sparsity, why):
    """Fail unless exactly round(sparsity * N) weights are pruned."""
    wanted, pruned = round(sparsity * len(flat)), int(np.sum(~flat))
    assert not (pruned != wanted and pruned == len(flat) - wanted), explain(
        "the masks are the wrong way round: True is for weights that stay",
        expected=f"{wanted} of {len(flat)} False",
        received=f"{pruned} False",
    )
    assert pruned == wanted, explain(
        f"{why}, sparsity {sparsity}: exactly round(sparsity * N) weights are pruned",
        expected=f"{wanted} of {len(flat)}",
        received=pruned,
    )


@check(task="magnitude_masks")
def exactly_as_many_are_pruned_as_asked_for(submission):
    rng = fresh_rng()
    # 0.29 * 100 is a little below 29; 0.19 * 10 is nearer to 2 than to 1; 2.5 becomes 2.
    for size, sparsity in ((100, 0.29), (10, 0.19), (10, 0.25), (50, 0.9), (12, 1 / 3)):
        kernel = rng.standard_normal((1, size)).astype(np.float32)
        _, flat = masks_of(submission, [kernel], sparsity)
        require_count(flat, sparsity, f"one kernel of {size}")
    shapes = ((3, 3, 2, 4), (5, 6), (2, 1))
    kernels = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    for sparsity in (0.1, 0.55, 0.93):
        _, flat = masks_of(submission, kernels, sparsity)
        require_count(flat, sparsity, "three kernels together")


@check(task="magnitude_masks")
def the_least_magnitudes_are_pruned_whatever_their_sign(submission):
    rng = fresh_rng()
    for shape in ((6, 9), (3, 3, 1, 5)):
        magnitudes = rng.permutation(np.linspace(0.1, 2, math.prod(shape)))
        signs = rng.choice([-1, 1], len(magnitudes))
        kernel = (magnitudes * signs).reshape(shape).astype(np.float32)
        (mask,), flat = masks_of(submission, [kernel], 0.4)
        require_count(flat, 0.4, "weights of both signs")
        stays, goes = np.abs(kernel[mask]).min(), np.abs(kernel[~mask]).max()
        assert stays > goes, explain(
            "a weight is pruned though a smaller one stays: compare magnitudes, since "
            "a large negative weight matters as much as a large positive one",
            expected=f"all of magnitude above {np.quantile(np.abs(kernel), 0.4):.3f} stay",
            received=f"{goes:.3f} is pruned, {stays:.3f} stays",
        )


@check(task="magnitude_masks")
def one_ranking_holds_for_all_kernels(submission):
    rng = fresh_rng()
    scales = rng.permutation([0.01, 0.3, 5.0])
    kernels = [
        (scale * rng.uniform(0.5, 1, shape)).astype(np.float32)
        for scale, shape in zip(scales, ((4, 6), (3, 3, 2, 2), (10, 2)), strict=True)
    ]
    masks, flat = masks_of(submission, kernels, 0.5)
    magnitudes = np.concatenate([np.abs(kernel).ravel() for kernel in kernels])
    expected = magnitudes > np.sort(magnitudes)[len(magnitudes) // 2 - 1]
    shares = [round(float(np.mean(~mask)), 2) for mask in masks]
    assert np.array_equal(flat, expected), explain(
        "kernels are ranked each by itself, or one mask went to another kernel: one "
        "ranking of all weights decides, so a kernel of small weights loses more",
        expected=[
            round(float(np.mean(np.abs(k) <= magnitudes[~expected].max())), 2)
            for k in kernels
        ],
        received=f"shares pruned {shares}",
    )


@check(task="magnitude_masks")
def equal_magnitudes_are_not_all_pruned_together(submission):
    rng = fresh_rng()
    few = rng.choice([-0.5, 0.5, 1.0, -1.0], (8, 5)).astype(np.float32)
    same = np.full((4, 5), 0.25, np.float32)
    pruned_before = rng.standard_normal((6, 5)).astype(np.float32)
    pruned_before[rng.random((6, 5)) < 0.6] = 0
    for kernels, sparsity in (
        ([same], 0.35),
        ([few, same], 0.5),
        ([few], 0.2),
        ([pruned_before], 0.3),
    ):
        masks, flat = masks_of(submission, kernels, sparsity)
        require_count(
            flat, sparsity, "among equal magnitudes a threshold takes all or none"
        )
        values = np.concatenate([np.abs(kernel).ravel() for kernel in kernels])
        assert values[flat].min() >= values[~flat].max(), explain(
            "a weight is pruned though a smaller one stays",
            expected=f"magnitudes of at least {values[~flat].max()} stay",
            received=float(values[flat].min()),
        )


@check(task="magnitude_masks")
def the_ends_of_the_range_hold(submission):
    kernels = [
        fresh_rng().standard_normal(s).astype(np.float32) for s in ((4, 3), (5,))
    ]
    _, flat = masks_of(submission, kernels, 0.0)
    assert flat.all(), explain(
        "sparsity 0 prunes nothing: a slice [-0:] is the whole array",
        expected="17 of 17 stay",
        received=int(flat.sum()),
    )
    _, flat = masks_of(submission, kernels, 1.0)
    assert not flat.any(), explain(
        "sparsity 1 prunes everything",
        expected="0 of 17 stay",
        received=int(flat.sum()),
    )


# gradual_sparsity -----------------------------------------------------------------------


def sparsity_at(submission, step, num_steps, start, end):
    """Return the student's sparsity as a float."""
    value = submission.gradual_sparsity(step, num_steps, start, end)
    is_number = isinstance(value, int | float | np.floating)
    assert is_number and not isinstance(value, bool), explain(
        "the sparsity is one number", expected="a float", received=value
    )
    return float(value)


def random_range(rng):
    """Return a start above 0, and an end above it."""
    return float(rng.uniform(0.1, 0.5)), float(rng.uniform(0.7, 0.98))


@check(task="gradual_sparsity")
def it_begins_at_start_and_ends_at_end(submission):
    for start, end in ((0.0, 0.9), random_range(fresh_rng())):
        for num_steps in (1, 4, 10):
            for step, wanted in ((0, start), (num_steps, end)):
                received = sparsity_at(submission, step, num_steps, start, end)
                assert np.isclose(received, wanted, atol=1e-6), explain(
                    f"from {start:.3f} to {end:.3f} in {num_steps} steps: the sparsity "
                    f"after step {step} is wrong",
                    expected=wanted,
                    received=received,
                )


@check(task="gradual_sparsity")
def it_stays_at_the_end(submission):
    start, end = random_range(fresh_rng())
    for step in (11, 13, 20, 31, 1000):
        received = sparsity_at(submission, step, 10, start, end)
        assert np.isclose(received, end, atol=1e-6), explain(
            f"after the last of 10 steps, at step {step}, the sparsity stays where it is: "
            "limit the share of the way to 1",
            expected=end,
            received=received,
        )


@check(task="gradual_sparsity")
def it_is_cubic(submission):
    rng = fresh_rng()
    for start, end in ((0.0, 0.8), random_range(rng), (0.5, 0.99)):
        num_steps = int(rng.integers(7, 40))
        for step in range(1, num_steps):
            way, received = (
                step / num_steps,
                sparsity_at(submission, step, num_steps, start, end),
            )
            left = num_steps - step
            expected = end - (end - start) * (left * left * left) / num_steps**3
            for mistake, wrong in (
                ("this rises slowly at first and fast at last; the cube is of what is "
                 "left of the way, not of what is done",
                 start + (end - start) * way**3),
                ("this is linear", start + (end - start) * way),
                ("this is quadratic", end + (start - end) * (1 - way) ** 2),
                ("this ignores start", end * (1 - (1 - way) ** 3)),
            ):  # fmt: skip
                is_this = np.isclose(received, wrong, atol=1e-6)
                assert not is_this or np.isclose(wrong, expected, atol=1e-6), explain(
                    f"{mistake}; step {step} of {num_steps} from {start:.3f} to {end:.3f}",
                    expected=expected,
                    received=received,
                )
            assert np.isclose(received, expected, atol=1e-6), explain(
                "the distance to the end shrinks with the third power of the share of the "
                f"way that is left; step {step} of {num_steps} from {start:.3f} to "
                f"{end:.3f}",
                expected=expected,
                received=received,
            )


@check(task="gradual_sparsity")
def it_never_falls(submission):
    start, end = random_range(fresh_rng())
    values = [sparsity_at(submission, step, 12, start, end) for step in range(30)]
    assert np.all(np.diff(values) >= -1e-12), explain(
        "the sparsity must not fall again",
        expected="a rise, then a constant",
        received=np.round(values[8:16], 3).tolist(),
    )


# cluster_weights ------------------------------------------------------------------------


def pruned_weights(rng, shape, share=0.4):
    """Return float32 weights, normally distributed, a share of which is 0."""
    weights = rng.standard_normal(shape).astype(np.float32) * 0.1
    weights[rng.random(shape) < share] = 0
    weights.flat[:2] = 0.05, -0.07  # At least two are not 0.
    return weights


def clusters_of(submission, weights, num_clusters, *iterations):
    """Return the student's codebook and codes, of the right kind."""
    given = weights.copy()
    with np.errstate(all="ignore"):
        parts = submission.cluster_weights(given, num_clusters, *iterations)
    codebook, codes = require_parts(parts, 2, "codebook and codes")
    codebook = require_array(codebook, "the codebook", np.float32, (num_clusters,))
    codes = require_array(codes, "the codes", np.int32, weights.shape)
    require_unchanged(given, weights, "the array of weights")
    assert np.all(np.isfinite(codebook)), explain(
        "a centroid is nan: an empty cluster divides 0 by 0; it keeps its centroid",
        expected=f"{num_clusters} numbers",
        received=codebook,
    )
    return codebook, codes


def require_codes(codes, weights, num_clusters):
    """Fail unless zeros have -1 and all others a cluster."""
    is_zero = weights == 0
    assert np.all(codes[is_zero] == -1), explain(
        "a weight that is 0 has the code -1: it takes no part",
        expected=-1,
        received=codes[is_zero][:6].tolist(),
    )
    kept = codes[~is_zero]
    assert kept.min() >= 0 and kept.max() < num_clusters, explain(
        "a weight that is not 0 has the index of its centroid",
        expected=f"codes from 0 to {num_clusters - 1}",
        received=f"from {kept.min()} to {kept.max()}",
    )


def lloyd(weights, num_clusters, num_iterations):
    """Return centroids by the textbook: all distances, in float64, one by one."""
    kept = weights[weights != 0].astype(np.float64).ravel()
    low, high = kept.min(), kept.max()
    steps = max(num_clusters - 1, 1)
    centroids = np.array([low + (high - low) * i / steps for i in range(num_clusters)])
    for _ in range(num_iterations):
        nearest = np.abs(kept[:, None] - centroids).argmin(1)
        for i in range(num_clusters):
            if np.any(nearest == i):
                centroids[i] = kept[nearest == i].mean()
    return centroids


def squared_error(weights, codebook):
    """Return the sum of squared distances to the nearest centroid."""
    kept = weights[weights != 0].astype(np.float64)
    return float((np.abs(kept[:, None] - codebook).min(1) ** 2).sum())


@check(task="cluster_weights")
def zeros_take_no_part(submission):
    rng = fresh_rng()
    weights = pruned_weights(rng, (12, 15), 0.7)
    weights[3, 3] = -0.0
    codebook, codes = clusters_of(submission, weights, 4, 200)
    require_codes(codes, weights, 4)
    # The same weights without the zeros give the same codebook.
    alone = np.ascontiguousarray(weights[weights != 0])
    expected = lloyd(alone, 4, 200)
    assert np.allclose(codebook, expected, atol=1e-4), explain(
        "zeros pull centroids: start, assignment and means are for the weights that are "
        "not 0 alone",
        expected=expected.round(4).tolist(),
        received=codebook.round(4).tolist(),
    )


@check(task="cluster_weights")
def every_weight_has_its_nearest_centroid(submission):
    rng = fresh_rng()
    for shape, k, iterations in (
        ((9, 20), 5, 30),
        ((60,), 3, 30),
        ((5, 5, 2, 4), 6, 2),
    ):
        weights = pruned_weights(rng, shape)
        codebook, codes = clusters_of(submission, weights, k, iterations)
        require_codes(codes, weights, k)
        assert np.all(np.diff(codebook) >= 0), explain(
            "the codebook is in ascending order",
            expected=np.sort(codebook),
            received=codebook,
        )
        kept = weights[weights != 0].astype(np.float64)
        distances = np.abs(kept[:, None] - codebook)
        own = distances[np.arange(len(kept)), codes[weights != 0]]
        worst = int((own - distances.min(1)).argmax())
        assert own[worst] <= distances[worst].min() + 1e-6, explain(
            "a weight has another code than that of its nearest centroid: give codes once "
            f"more with the last centroids; the weight {kept[worst]:.4f}",
            expected=f"centroid {codebook[distances[worst].argmin()]:.4f}",
            received=f"{codebook[codes[weights != 0][worst]]:.4f}",
        )


@check(task="cluster_weights")
def every_centroid_is_the_mean_of_its_weights(submission):
    rng = fresh_rng()
    weights = pruned_weights(rng, (14, 20)) + np.float32(0)
    codebook, codes = clusters_of(submission, weights, 5, 500)
    require_codes(codes, weights, 5)
    for i in range(5):
        members = weights[codes == i].astype(np.float64)
        if not len(members):
            continue
        assert abs(codebook[i] - members.mean()) < 1e-5, explain(
            f"after 500 iterations centroid {i} is not the mean of its weights: give each "
            "weight to the nearest centroid (not the next greater), take means (not "
            "midpoints or medians), and repeat until nothing changes",
            expected=float(members.mean()),
            received=float(codebook[i]),
        )


@check(task="cluster_weights")
def centroids_start_evenly_spaced(submission):
    rng = fresh_rng()
    bulk = rng.normal(0, 0.02, 300)
    outliers = rng.uniform(0.8, 1, 3) * [1, -1, 1]
    weights = np.append(bulk, outliers).astype(np.float32)
    for k in (5, 8):
        codebook, _ = clusters_of(submission, weights, k, 500)
        expected = lloyd(weights, k, 500)
        missed = [w for w in outliers if np.abs(codebook - w).min() > 0.25]
        assert not missed, explain(
            "no centroid is near an outlier: start evenly spaced from the least weight to "
            "the greatest, not where most weights are, nor at random",
            expected=f"a centroid near {outliers[0]:.3f}",
            received=codebook.round(3).tolist(),
        )
        assert np.allclose(codebook, expected, atol=1e-4), explain(
            "Lloyd's algorithm leads elsewhere from centroids evenly spaced from the least "
            "weight to the greatest, both included",
            expected=expected.round(4).tolist(),
            received=codebook.round(4).tolist(),
        )
        assert squared_error(weights, codebook) <= 1.001 * squared_error(
            weights, expected
        ), explain(
            "the squared error is larger than from an even start",
            expected=squared_error(weights, expected),
            received=squared_error(weights, codebook),
        )


@check(task="cluster_weights")
def positive_weights_start_at_the_least_of_them(submission):
    rng = fresh_rng()
    weights = rng.uniform(2, 3, 80).astype(np.float32)
    weights[:30] = 0
    codebook, codes = clusters_of(submission, weights, 4, 500)
    require_codes(codes, weights, 4)
    expected = lloyd(weights, 4, 500)
    assert np.allclose(codebook, expected, atol=1e-4), explain(
        "the least weight is the least of those that are not 0: 0 is none of them, so no "
        "centroid starts there",
        expected=expected.round(4).tolist(),
        received=codebook.round(4).tolist(),
    )


@check(task="cluster_weights")
def it_stops_after_num_iterations(submission):
    rng = fresh_rng()
    weights = (rng.exponential(0.1, 400) + 0.01).astype(np.float32)
    for iterations in (1, 2, 3):
        codebook, _ = clusters_of(submission, weights, 8, iterations)
        expected = lloyd(weights, 8, iterations)
        assert np.allclose(codebook, expected, atol=1e-4), explain(
            f"num_iterations={iterations}: that many times, give each weight to its "
            "nearest centroid, then move each centroid to its weights' mean",
            expected=expected.round(4).tolist(),
            received=codebook.round(4).tolist(),
        )


@check(task="cluster_weights")
def an_empty_cluster_keeps_its_centroid(submission):
    rng = fresh_rng()
    low, high = rng.uniform(-1.1, -0.9), rng.uniform(0.9, 1.1)
    weights = np.repeat([low, high], 6).astype(np.float32).reshape(3, 4)
    codebook, codes = clusters_of(submission, weights, 5)
    require_codes(codes, weights, 5)
    expected = [low + (high - low) * i / 4 for i in range(5)]
    assert np.allclose(codebook, expected, atol=1e-5), explain(
        "weights at two places only: the centroids between are nobody's and stay",
        expected=np.round(expected, 4).tolist(),
        received=codebook.round(4).tolist(),
    )


@check(task="cluster_weights")
def a_weight_alone_is_its_own_centroid(submission):
    low, middle, high = fresh_rng().uniform([-1.1, 0.1, 0.9], [-0.9, 0.2, 1.1])
    weights = np.array([low, 0, middle, high], np.float32)
    codebook, codes = clusters_of(submission, weights, 5)
    require_codes(codes, weights, 5)
    shared = codebook[codes[[0, 2, 3]]]
    assert np.allclose(shared, [low, middle, high], atol=1e-5), explain(
        "each of three weights has a cluster to itself: it is the mean of one",
        expected=np.round([low, middle, high], 4).tolist(),
        received=shared.round(4).tolist(),
    )


@check(task="cluster_weights")
def fewer_values_than_clusters_are_no_trouble(submission):
    rng = fresh_rng()
    value = np.float32(rng.uniform(0.1, 1))
    for weights in (np.full((3, 4), value), np.array([0, value, 0], np.float32)):
        codebook, codes = clusters_of(submission, weights, 4)
        require_codes(codes, weights, 4)
        assert np.allclose(codebook[codes[weights != 0]], value), explain(
            "all weights that are not 0 are equal: that is their centroid",
            expected=float(value),
            received=codebook,
        )
    (codebook, codes) = clusters_of(submission, pruned_weights(rng, (40,)), 1)


@check(task="cluster_weights", timeout_seconds=10)
def many_weights_take_no_loop_over_weights(submission):
    weights = pruned_weights(fresh_rng(), (150, 1000))
    codebook, codes = clusters_of(submission, weights, 16, 10)
    require_codes(codes, weights, 16)


# shared_gradient ------------------------------------------------------------------------


def shared_case(rng, n=60, k=7, empty=(2,)):
    """Return a gradient, codes without the empty ones, and the sums by a loop."""
    gradient = rng.standard_normal(n).astype(np.float32)
    codes = rng.choice([i for i in range(k) if i not in empty], n).astype(np.int32)
    sums = np.zeros(k)
    for value, code in zip(gradient, codes, strict=True):
        sums[code] += value
    return gradient, codes, sums


def require_gradient(value, what, k):
    """Return a student's gradient as float64 [k]."""
    received = np.asarray(require_tensor(value, what))
    assert received.shape == (k,), explain(
        f"{what} has one entry for each shared value, also for those that nobody takes",
        expected=f"shape [{k}]",
        received=f"shape {list(received.shape)}",
    )
    return received.astype(np.float64)


@check(task="shared_gradient")
def what_has_the_same_code_adds_up(submission):
    rng = fresh_rng()
    gradient, codes, sums = shared_case(rng)
    value = submission.shared_gradient(tf.constant(gradient), tf.constant(codes), 7)
    received = require_gradient(value, "the gradient", 7)
    counts = np.maximum(np.bincount(codes, minlength=7), 1)
    assert not np.allclose(received, sums / counts, atol=1e-5), explain(
        "this is the mean; a shared value moves the loss at all its places, so the "
        "effects add up",
        expected=sums.round(3).tolist(),
        received=received.round(3).tolist(),
    )
    assert np.all(np.isfinite(received)), explain(
        "a value that nobody takes has the gradient 0",
        expected=0,
        received=received.round(3).tolist(),
    )
    assert np.allclose(received, sums, atol=1e-4), explain(
        "each shared value gets the sum of the gradients of all weights with its code",
        expected=sums.round(3).tolist(),
        received=received.round(3).tolist(),
    )


@check(task="shared_gradient")
def values_that_nobody_takes_have_gradient_zero(submission):
    rng = fresh_rng()
    for empty in ((0,), (5, 6), (0, 3, 6)):
        gradient, codes, sums = shared_case(rng, empty=empty)
        value = submission.shared_gradient(tf.constant(gradient), tf.constant(codes), 7)
        received = require_gradient(value, "the gradient", 7)
        assert np.allclose(received, sums, atol=1e-4), explain(
            f"codes {list(empty)} do not occur: their gradient is 0, and the others stay "
            "at their places",
            expected=sums.round(3).tolist(),
            received=received.round(3).tolist(),
        )


@check(task="shared_gradient")
def it_agrees_with_automatic_differentiation(submission):
    rng = fresh_rng()
    k, inputs, units = 5, 6, 4
    codes = rng.integers(0, k, inputs * units).astype(np.int32)
    values = tf.constant(rng.standard_normal(k).astype(np.float32))
    features = rng.standard_normal((8, inputs)).astype(np.float32)
    with tf.GradientTape() as tape:
        tape.watch(values)
        weights = tf.gather(values, codes)
        tape.watch(weights)
        logits = features @ tf.reshape(weights, (inputs, units))
        loss = tf.reduce_sum(tf.tanh(logits) ** 2)
    of_weights, expected = tape.gradient(loss, [weights, values])
    value = submission.shared_gradient(of_weights, tf.constant(codes), k)
    received = require_gradient(value, "the gradient", k)
    expected = tf.convert_to_tensor(expected).numpy()
    assert np.allclose(received, expected, rtol=1e-3, atol=1e-4), explain(
        "a small network with shared weights: TensorFlow finds another gradient through "
        "tf.gather",
        expected=expected.round(3).tolist(),
        received=received.round(3).tolist(),
    )


@check(task="shared_gradient")
def it_agrees_with_finite_differences(submission):
    rng = fresh_rng()
    k = 4
    codes = rng.integers(0, k, 15)
    values = rng.standard_normal(k)
    features = rng.standard_normal((6, 5))

    def loss(values):
        return float(np.sum(np.sin(features @ values[codes].reshape(5, 3))))

    def step(i):
        return 1e-5 * np.eye(k)[i]

    expected = [
        (loss(values + step(i)) - loss(values - step(i))) / 2e-5 for i in range(k)
    ]
    slopes = np.cos(features @ values[codes].reshape(5, 3))
    of_weights = (features.T @ slopes).ravel().astype(np.float32)
    value = submission.shared_gradient(
        tf.constant(of_weights), tf.constant(codes, tf.int32), k
    )
    received = require_gradient(value, "the gradient", k)
    assert np.allclose(received, expected, rtol=1e-3, atol=1e-3), explain(
        "nudge one shared value, and the loss changes by another amount",
        expected=np.round(expected, 3).tolist(),
        received=received.round(3).tolist(),
    )


@check(task="shared_gradient")
def it_works_inside_of_a_compiled_function(submission):
    gradient, codes, sums = shared_case(fresh_rng())
    # Eagerly first: what fails here is told by the other checks.
    submission.shared_gradient(tf.constant(gradient), tf.constant(codes), 7)
    shapes = []

    @tf.function
    def compiled(gradient, codes):
        result = tf.convert_to_tensor(submission.shared_gradient(gradient, codes, 7))
        shapes.append(result.shape)
        return result

    try:
        value = compiled(tf.constant(gradient), tf.constant(codes))
    except Exception as error:
        raise AssertionError(
            explain(
                "training is compiled, so this must work inside of tf.function: use "
                "TensorFlow's operations, no numpy and no .numpy()",
                expected="float32 [7]",
                received=f"{type(error).__name__}",
            )
        ) from None
    assert shapes[0].is_compatible_with([7]), explain(
        "inside of tf.function the gradient has another shape",
        expected=[7],
        received=str(shapes[0]),
    )
    received = require_gradient(value, "the gradient inside of tf.function", 7)
    assert np.allclose(received, sums, atol=1e-4), explain(
        "inside of tf.function the sums differ",
        expected=sums.round(3).tolist(),
        received=received.round(3).tolist(),
    )


# quantise -------------------------------------------------------------------------------


def lines_of(submission, weights, num_bits, axis=None):
    """Return the student's codes, scales and zero points, and the weights they give."""
    given = weights.copy()
    with np.errstate(all="ignore"):
        parts = submission.quantise(given, num_bits, axis)
    codes, scale, zero_point = require_parts(parts, 3, "codes, scales and zero points")
    require_unchanged(given, weights, "the array of weights")
    codes = require_array(codes, "the codes", np.uint8, weights.shape)
    largest = 2**num_bits - 1
    assert codes.max() <= largest, explain(
        f"codes of {num_bits} bits go from 0 to {largest}",
        expected=f"at most {largest}",
        received=int(codes.max()),
    )
    num_lines = 1 if axis is None else weights.shape[axis]
    what = "one for all weights" if axis is None else f"one per index of axis {axis}"
    for name, value, dtype in (
        ("scales", scale, np.float32),
        ("zero points", zero_point, np.int32),
    ):
        is_array = isinstance(value, np.ndarray | np.generic)
        assert is_array and value.dtype == dtype, explain(
            f"the {name} are {np.dtype(dtype).name}",
            expected=f"{np.dtype(dtype).name}, {what}",
            received=value,
        )
        fits = value.size == num_lines and value.ndim <= weights.ndim
        if fits and axis is not None:
            full = (1,) * (weights.ndim - value.ndim) + value.shape
            fits = full[axis] == num_lines
        assert fits, explain(
            f"the {name} have a shape that broadcasts against weights, {what} "
            "(keepdims=True)",
            expected=f"{num_lines} for weights {list(weights.shape)}",
            received=f"shape {list(value.shape)}",
        )
    assert np.all(np.isfinite(scale)) and np.all(scale > 0), explain(
        "scales are above 0: where all weights are 0, take 1",
        expected="above 0",
        received=scale,
    )
    assert zero_point.min() >= 0 and zero_point.max() <= largest, explain(
        "a zero point is a code: the line must reach 0, so the range holds 0 also where "
        "all weights have one sign",
        expected=f"from 0 to {largest}",
        received=f"from {zero_point.min()} to {zero_point.max()}",
    )
    steps = codes.astype(np.int64) - zero_point
    return codes, scale, zero_point, np.float64(scale) * steps


def require_close(weights, scale, back, what):
    """Fail unless each weight comes back with an error of at most half a scale."""
    allowed = np.broadcast_to(scale / 2 * (1 + 1e-3), weights.shape)
    error = np.abs(back - weights) / allowed
    worst = np.unravel_index(error.argmax(), error.shape)
    assert error[worst] <= 1, explain(
        f"{what}: an error of more than half a scale (round both, don't cut off; "
        "2**bits - 1 steps; zero point and limits before it becomes uint8)",
        expected=f"{weights[worst]:.4f}, half a scale is {allowed[worst]:.4f}",
        received=f"{back[worst]:.4f}",
    )


def require_range(weights, num_bits, scale, axis, what):
    """Fail if the scale is coarser than the range of the weights asks for."""
    others = None
    if axis is not None:
        others = tuple(i for i in range(weights.ndim) if i != axis % weights.ndim)
    wide = weights.astype(np.float64)
    low, high = np.minimum(wide.min(others), 0), np.maximum(wide.max(others), 0)
    finest = np.atleast_1d((high - low) / (2**num_bits - 1))
    received = np.ravel(scale)
    coarse = (received > finest * (1 + 1e-4)) & (finest > 0)
    assert not np.any(coarse), explain(
        f"{what}: the scale is coarser than needed; the codes reach from the least weight "
        f"(or 0) to the greatest (or 0) in 2**{num_bits} - 1 steps",
        expected=finest[coarse][:4],
        received=received[coarse][:4],
    )


def skewed(rng, shape):
    """Return float32 weights whose range is not the same on both sides of 0."""
    low, high = rng.uniform(0.1, 0.3), rng.uniform(0.7, 1)
    return rng.uniform(-low, high, shape).astype(np.float32)


@check(task="quantise")
def codes_scales_and_zero_points_have_their_types(submission):
    rng = fresh_rng()
    for shape in ((6, 9), (3, 3, 2, 5), (11,)):
        lines_of(submission, skewed(rng, shape), 8)
        lines_of(submission, skewed(rng, shape), 4, -1)


@check(task="quantise")
def no_error_is_larger_than_half_a_scale(submission):
    rng = fresh_rng()
    for num_bits in range(2, 9):
        weights = skewed(rng, (12, 10)) * rng.choice([-1, 1]) * rng.uniform(0.01, 100)
        weights = weights.astype(np.float32)
        _, scale, _, back = lines_of(submission, weights, num_bits)
        require_close(weights, scale, back, f"{num_bits} bits")
        require_range(weights, num_bits, scale, None, f"{num_bits} bits")


@check(task="quantise")
def zero_is_exactly_zero(submission):
    rng = fresh_rng()
    for num_bits in (2, 4, 8):
        for axis in (None, -1):
            weights = skewed(rng, (9, 7))
            weights[rng.random(weights.shape) < 0.4] = 0
            _, _, _, back = lines_of(submission, weights, num_bits, axis)
            zeros = back[weights == 0]
            assert np.all(zeros == 0), explain(
                "0 must come back as exactly 0: pruned weights stay pruned; the zero point "
                "is a whole number, and 0 gets it as its code",
                expected=0,
                received=float(zeros[np.abs(zeros).argmax()]),
            )


@check(task="quantise")
def weights_of_one_sign_keep_zero_in_range(submission):
    rng = fresh_rng()
    for num_bits in (3, 8):
        for sign in (1, -1):
            weights = (sign * rng.uniform(0.5, 0.9, (8, 6))).astype(np.float32)
            for axis in (None, 0):
                what = f"all weights {'above' if sign > 0 else 'below'} 0"
                _, scale, _, back = lines_of(submission, weights, num_bits, axis)
                require_close(weights, scale, back, what)
                require_range(weights, num_bits, scale, axis, what)


@check(task="quantise")
def each_index_of_the_axis_has_its_own_line(submission):
    rng = fresh_rng()
    for shape, axis in (((7, 7), -1), ((7, 7), 0), ((5, 8), 1), ((3, 3, 2, 6), -1)):
        sizes = np.geomspace(0.001, 10, shape[axis])
        along = [1] * len(shape)
        along[axis] = shape[axis]
        weights = skewed(rng, shape) * rng.permutation(sizes).reshape(along)
        weights = weights.astype(np.float32)
        for num_bits in (4, 8):
            what = f"axis {axis} of {list(shape)}, {num_bits} bits"
            _, scale, _, back = lines_of(submission, weights, num_bits, axis)
            require_close(weights, scale, back, what)
            require_range(weights, num_bits, scale, axis, what)


@check(task="quantise")
def weights_that_are_all_zero_are_no_trouble(submission):
    rng = fresh_rng()
    for shape, axis in (((4, 5), None), ((4, 5), -1), ((3, 3, 2, 4), 0)):
        *_, back = lines_of(submission, np.zeros(shape, np.float32), 8, axis)
        assert np.all(back == 0), explain(
            "all weights are 0, and so is what comes back",
            expected=0,
            received=float(back.flat[0]),
        )
    weights = skewed(rng, (6, 5))
    weights[:, 2] = 0
    _, scale, _, back = lines_of(submission, weights, 5, -1)
    assert np.all(back[:, 2] == 0), explain(
        "one unit's weights are all 0, and so is what comes back",
        expected=0,
        received=back[:, 2],
    )
    require_close(weights, scale, back, "one unit with weights 0")


@check(task="quantise")
def the_whole_range_of_codes_is_used(submission):
    rng = fresh_rng()
    for num_bits in (2, 5, 8):
        weights = skewed(rng, (40, 30))
        codes, *_ = lines_of(submission, weights, num_bits)
        largest = 2**num_bits - 1
        found = int(codes.min()), int(codes.max())
        assert found[0] == 0 and found[1] >= largest - 1, explain(
            f"{num_bits} bits, weights from {weights.min():.2f} to {weights.max():.2f}: "
            "not all codes are used; a line whose middle is 0 wastes those of the shorter "
            "side",
            expected=f"codes from 0 to {largest}",
            received=f"from {found[0]} to {found[1]}",
        )


# sparse_gaps ----------------------------------------------------------------------------


def gaps_by_walking(places, largest_gap):
    """Return the symbols by walking over the array, zero by zero."""
    has_weight = np.zeros(int(places[-1]) + 1 if len(places) else 0, bool)
    has_weight[places] = True
    symbols, zeros = [], 0
    for is_weight in has_weight:
        if is_weight:
            symbols.append(zeros)
            zeros = 0
            continue
        zeros += 1
        if zeros == largest_gap:
            symbols.append(zeros)
            zeros = 0
    return symbols


def gaps_of(submission, places, largest_gap):
    """Return the student's symbols: int64 [symbols]."""
    given = np.array(places, np.int64)
    value = submission.sparse_gaps(given, largest_gap)
    require_unchanged(given, np.array(places, np.int64), "the array of places")
    size = (len(value),) if isinstance(value, np.ndarray) and value.ndim else ("n",)
    return require_array(value, "the gaps", np.int64, size)


def compare_gaps(submission, places, largest_gap, why):
    """Fail if the student's symbols are others than those by walking."""
    expected = gaps_by_walking(np.array(places, np.int64), largest_gap)
    received = gaps_of(submission, places, largest_gap).tolist()
    assert received == expected, explain(
        f"weights at {list(places)[:6]}, largest_gap {largest_gap}: {why}",
        expected=expected[:12],
        received=received[:12],
    )


@check(task="sparse_gaps")
def a_symbol_counts_the_zeros_before_a_weight(submission):
    compare_gaps(
        submission, [2, 3, 7], 15, "a gap counts the zeros between, not the distance"
    )
    rng = fresh_rng()
    places = np.flatnonzero(rng.random(60) < 0.4)
    compare_gaps(submission, places, 60, "the zeros before each weight")


@check(task="sparse_gaps")
def the_first_gap_counts_from_the_start(submission):
    for places in ([4, 6], [5], [1, 2]):
        compare_gaps(submission, places, 15, "the first gap counts from the start")


@check(task="sparse_gaps")
def neighbours_have_gap_zero(submission):
    for places in ([1, 2, 3], [0, 1, 2], [3, 5, 6]):
        compare_gaps(submission, places, 4, "neighbours have the gap 0")


@check(task="sparse_gaps")
def a_weight_at_the_start_has_gap_zero(submission):
    compare_gaps(submission, [0], 3, "no zero lies before a weight at 0")
    compare_gaps(submission, [0, 5], 7, "no zero lies before a weight at 0")


@check(task="sparse_gaps")
def a_large_gap_takes_several_symbols(submission):
    rng = fresh_rng()
    largest = int(rng.integers(3, 9))
    why = (
        "the largest symbol stands for zeros alone, so what is left of the gap follows"
    )
    compare_gaps(submission, [largest + 2], largest, why)
    compare_gaps(submission, [3 * largest + 1, 3 * largest + 3], largest, why)
    compare_gaps(submission, [1, 1 + 7 * largest], largest, why)


@check(task="sparse_gaps")
def a_gap_of_a_multiple_ends_with_zero(submission):
    rng = fresh_rng()
    largest = int(rng.integers(2, 9))
    why = (
        "this gap is a multiple of largest_gap: that symbol says that no weight came yet, "
        "so a 0 follows"
    )
    compare_gaps(submission, [largest], largest, why)
    compare_gaps(submission, [2 * largest, 3 * largest + 1], largest, why)
    compare_gaps(submission, [0, largest + 1, 3 * largest + 2], largest, why)
    compare_gaps(submission, [3], 1, why)


@check(task="sparse_gaps")
def no_weights_give_no_symbols(submission):
    received = gaps_of(submission, [], 15)
    assert len(received) == 0, explain(
        "no weights: zeros behind the last weight are not written",
        expected="int64 [0]",
        received=received,
    )


@check(task="sparse_gaps")
def the_way_back_leads_to_the_same_places(submission):
    rng = fresh_rng()
    for largest in (1, 2, 3, 7, 15, 255):
        for share in (0.9, 0.2, 0.01):
            places = np.flatnonzero(rng.random(700) < share)
            symbols = gaps_of(submission, places, largest)
            try:
                back = places_from_gaps(symbols, largest, 700)
            except ValueError as error:
                raise AssertionError(
                    explain(
                        f"places_from_gaps refuses the symbols for largest_gap {largest}",
                        expected=f"{len(places)} places back",
                        received=str(error),
                    )
                ) from None
            assert np.array_equal(back, places), explain(
                f"places_from_gaps leads to other places, largest_gap {largest}",
                expected=places[:8],
                received=back[:8],
            )
            wanted = gaps_by_walking(places, largest)
            assert symbols.tolist() == wanted, explain(
                f"other symbols than needed, largest_gap {largest}",
                expected=wanted[:12],
                received=symbols[:12].tolist(),
            )


# huffman_lengths ------------------------------------------------------------------------


def least_bits(counts):
    """Return the bits of an optimal code: two queues, the sum of all joined counts."""
    leaves = sorted(int(count) for count in counts if count > 0)
    if len(leaves) == 1:
        return leaves[0]
    joined, total, i, j = [], 0, 0, 0
    for _ in range(len(leaves) - 1):
        pair = 0
        for _ in range(2):
            if j == len(joined) or (i < len(leaves) and leaves[i] <= joined[j]):
                pair, i = pair + leaves[i], i + 1
            else:
                pair, j = pair + joined[j], j + 1
        joined.append(pair)
        total += pair
    return total


def lengths_of(submission, counts):
    """Return the student's lengths as Python numbers."""
    counts = np.array(counts, np.int64)
    given = counts.copy()
    value = submission.huffman_lengths(given)
    require_unchanged(given, counts, "the array of counts")
    return require_array(value, "the lengths", np.int64, counts.shape).tolist()


def require_optimal(submission, counts, what):
    """Fail unless the lengths are those of an optimal prefix code."""
    lengths = lengths_of(submission, counts)
    counts = [int(count) for count in counts]
    for count, length in zip(counts, lengths, strict=True):
        assert count or not length, explain(
            f"{what}: a symbol that does not occur has no codeword",
            expected=0,
            received=length,
        )
        assert length > 0 or not count, explain(
            f"{what}: a symbol that occurs {count} times needs a codeword",
            expected="at least 1 bit",
            received=length,
        )
    used = [length for length in lengths if length]
    if len(used) > 1:
        longest = max(used)
        # In whole numbers: 60 levels deep, floats would round.
        kraft = sum(2 ** (longest - length) for length in used)
        assert kraft <= 2**longest, explain(
            f"{what}: no prefix code has such short codewords; the sum of 2**-length is "
            "above 1",
            expected=1,
            received=kraft / 2**longest,
        )
        assert kraft == 2**longest, explain(
            f"{what}: the code wastes bits; the sum of 2**-length is below 1",
            expected=1,
            received=kraft / 2**longest,
        )
    total = sum(count * length for count, length in zip(counts, lengths, strict=True))
    least = least_bits(counts)
    shortest_first = sorted(used) + [0] * lengths.count(0)
    frequent_first = zip(sorted(counts, reverse=True), shortest_first, strict=True)
    others = least == sum(count * length for count, length in frequent_first)
    assert total == least, explain(
        f"{what}: "
        + "these lengths would do for other symbols (entry i is for symbol i); "
        * others
        + "a Huffman code needs fewer bits; always join the two rarest trees, and a joined "
        "tree is as frequent as both together",
        expected=f"{least} bits",
        received=f"{total} bits, lengths {lengths[:12]}",
    )
    return lengths


@check(task="huffman_lengths")
def a_small_code_is_right(submission):
    lengths = require_optimal(submission, [5, 1, 2, 12], "counts 5, 1, 2, 12")
    assert lengths == [2, 3, 3, 1], explain(
        "counts 5, 1, 2, 12: 1 and 2 are joined, then both with 5, then all with 12; a "
        "length belongs to its symbol",
        expected=[2, 3, 3, 1],
        received=lengths,
    )


@check(task="huffman_lengths")
def no_prefix_code_needs_fewer_bits(submission):
    rng = fresh_rng()
    for size in (2, 3, 5, 17, 60):
        for counts in (
            rng.integers(1, 30, size),
            (1000 / np.arange(1, size + 1)).astype(np.int64) + 1,
            rng.geometric(0.02, size) ** 2,
        ):
            counts = rng.permutation(counts)
            require_optimal(submission, counts, f"{size} symbols")


@check(task="huffman_lengths")
def symbols_that_never_occur_have_no_codeword(submission):
    rng = fresh_rng()
    for size in (4, 20, 256):
        counts = rng.integers(1, 50, size)
        counts[rng.permutation(size)[: size // 2]] = 0
        require_optimal(submission, counts, "half of the symbols do not occur")


@check(task="huffman_lengths")
def a_symbol_alone_needs_one_bit(submission):
    for counts, symbol in (([0, 7, 0], 1), ([3], 0), ([0, 0, 1], 2)):
        lengths = lengths_of(submission, counts)
        expected = [int(i == symbol) for i in range(len(counts))]
        assert lengths == expected, explain(
            f"counts {counts}: the only symbol needs 1 bit, or nobody knows how often it "
            "comes",
            expected=expected,
            received=lengths,
        )


@check(task="huffman_lengths")
def no_symbols_at_all_are_no_trouble(submission):
    for counts in ([0, 0, 0, 0], [0]):
        lengths = lengths_of(submission, counts)
        assert lengths == [0] * len(counts), explain(
            f"counts {counts}: nothing occurs, nothing has a codeword",
            expected=[0] * len(counts),
            received=lengths,
        )


@check(task="huffman_lengths")
def equal_counts_are_no_trouble(submission):
    for size in (2, 4, 5, 8, 16, 23, 256):
        lengths = require_optimal(submission, [6] * size, f"{size} equal counts")
        short = math.floor(math.log2(size))
        assert set(lengths) <= {short, short + (size != 2**short)}, explain(
            f"{size} equal counts have codewords of nearly equal length",
            expected=f"{short} or one more",
            received=sorted(set(lengths)),
        )


@check(task="huffman_lengths")
def a_deep_tree_is_no_trouble(submission):
    fibonacci = [1, 1]
    while len(fibonacci) < 60:
        fibonacci.append(fibonacci[-1] + fibonacci[-2])
    counts = fresh_rng().permutation(fibonacci)
    lengths = require_optimal(submission, counts, "60 Fibonacci numbers as counts")
    assert max(lengths) == 59, explain(
        "60 Fibonacci numbers as counts: the tree has no branches beside its trunk",
        expected="59 bits for the rarest",
        received=max(lengths),
    )


# huffman_encode -------------------------------------------------------------------------


def codewords_of(lengths):
    """Return symbol -> text of 0 and 1 by RFC 1951: first codes from counts of lengths."""
    lengths = [int(length) for length in lengths]
    longest, code, following = max(lengths, default=0), 0, {}
    for length in range(1, longest + 1):
        code = (code + (lengths.count(length - 1) if length > 1 else 0)) << 1
        following[length] = code
    words = {}
    for symbol, length in enumerate(lengths):
        if length:
            words[symbol] = bin(following[length] + (1 << length))[3:]
            following[length] += 1
    return words


def encoded(symbols, lengths):
    """Return the bytes that a right encoder makes, by one large whole number."""
    words = codewords_of(lengths)
    text = "".join(words[int(symbol)] for symbol in symbols)
    if not text:
        return b""
    num_bytes = -(-len(text) // 8)
    return int(text.ljust(8 * num_bytes, "0"), 2).to_bytes(num_bytes, "big")


def random_lengths(rng, size):
    """Return lengths of a full prefix code for `size` symbols, and some without."""
    lengths = [1, 1]
    while len(lengths) < size:
        split = lengths.pop(int(rng.integers(len(lengths))))
        lengths += [split + 1, split + 1]
    lengths += [0] * int(rng.integers(0, 4))
    return rng.permutation(np.array(lengths, np.int64))


def random_message(rng, lengths, count):
    """Return symbols that have codewords."""
    return rng.choice(np.flatnonzero(lengths), count).astype(np.int64)


def compare_bytes(submission, symbols, lengths, why):
    """Fail if the student's bytes are others."""
    symbols, lengths = np.array(symbols, np.int64), np.array(lengths, np.int64)
    received = submission.huffman_encode(symbols.copy(), lengths.copy())
    expected = encoded(symbols, lengths)
    assert isinstance(received, bytes), explain(
        "the codewords come back as bytes", expected="bytes", received=received
    )
    num_bits = int(lengths[symbols].sum())
    words = codewords_of(lengths)
    text = "".join(words[symbol] for symbol in symbols.tolist())
    for mistake, wrong in (
        ("a bit takes a whole byte: pack eight into one", text.encode()),
        ("a bit takes a whole byte: pack eight into one", bytes(map(int, text))),
        (
            "zeros fill the last byte behind the codewords, not the first one before them",
            int("0" + text, 2).to_bytes(len(expected), "big"),
        ),
        ("a full byte is followed by none", expected + bytes(not num_bits % 8)),
        (
            "each codeword begins a byte: they follow one another without a gap",
            b"".join(encoded([symbol], lengths) for symbol in symbols[:100]),
        ),
        (
            "the first bit is the highest of a byte, not the lowest",
            bytes(int(f"{byte:08b}"[::-1], 2) for byte in expected),
        ),
    ):
        assert received != wrong or wrong == expected, explain(
            mistake, expected=expected[:16].hex(" "), received=received[:16].hex(" ")
        )
    assert received == expected, explain(
        why, expected=expected[:16].hex(" "), received=received[:16].hex(" ")
    )


@check(task="huffman_encode")
def codewords_follow_one_another_first_bit_on_top(submission):
    # 1: 0, 0: 10, 3: 11; together 0 10 11 0 10 0 11 11, sixteen bits with padding.
    why = "lengths 2 1 0 2 have the codewords 10, 0, none, 11; the first bit is the highest"
    compare_bytes(submission, [1, 0, 3, 1, 0, 1, 3, 3], [2, 1, 0, 2], why)
    compare_bytes(submission, [3, 3, 3, 3], [2, 1, 0, 2], why)
    compare_bytes(submission, [0, 1], [1, 1], "codewords 0 and 1")


@check(task="huffman_encode")
def codewords_are_the_canonical_ones(submission):
    rng = fresh_rng()
    for size in (2, 3, 8, 30):
        lengths = random_lengths(rng, size)
        symbols = random_message(rng, lengths, 50)
        compare_bytes(
            submission, symbols, lengths, "other bytes than by canonical codewords"
        )
    # Not every codeword that could be is used.
    compare_bytes(
        submission, [0, 2, 1, 2], [3, 2, 4], "a code with room left: also canonical"
    )


@check(task="huffman_encode")
def bits_left_over_are_zero(submission):
    for count in range(1, 18):
        compare_bytes(
            submission,
            [1] * count,
            [0, 1, 2, 2],
            f"{count} codewords of one bit: what is left of the last byte is 0, behind the "
            "codewords, and a full byte is followed by none",
        )
        compare_bytes(
            submission,
            [3] * count,
            [0, 1, 2, 2],
            f"{count} codewords 11: the first bit is the highest of the first byte, and "
            "what is left of the last byte is 0",
        )


@check(task="huffman_encode")
def no_symbols_give_no_bytes(submission):
    compare_bytes(submission, [], [1, 1], "no symbols give no bytes")
    compare_bytes(submission, [], [0, 0, 0], "no symbols give no bytes")


@check(task="huffman_encode")
def long_codewords_are_whole(submission):
    lengths = [*range(1, 41), 40]
    symbols = fresh_rng().integers(0, 41, 30)
    compare_bytes(submission, symbols, lengths, "codewords of up to 40 bits")


@check(task="huffman_encode", timeout_seconds=10)
def many_symbols_take_no_long_time(submission):
    rng = fresh_rng()
    lengths = random_lengths(rng, 16)
    symbols = random_message(rng, lengths, 100_000)
    compare_bytes(submission, symbols, lengths, "100,000 symbols")


# huffman_decode -------------------------------------------------------------------------


def is_refused(submission, content, lengths, count):
    """Return whether ValueError was raised, and what came back instead."""
    lengths = np.array(lengths, np.int64)
    try:
        return False, submission.huffman_decode(content, lengths, count)
    except ValueError:
        return True, None


def require_refused(submission, content, lengths, count, why):
    """Fail unless the content is refused by ValueError."""
    try:
        refused, received = is_refused(submission, content, lengths, count)
    except NotImplementedError:
        raise
    except Exception as error:
        raise AssertionError(
            explain(
                f"{why}: whatever is wrong with the content, the answer is ValueError",
                expected="ValueError",
                received=f"{type(error).__name__}: {error}"[:80],
            )
        ) from None
    assert refused, explain(why, expected="ValueError", received=received)


def require_symbols(submission, symbols, lengths, why):
    """Fail unless what was encoded here is decoded."""
    symbols, lengths = np.array(symbols, np.int64), np.array(lengths, np.int64)
    content = encoded(symbols, lengths)
    try:
        received = submission.huffman_decode(content, lengths, len(symbols))
    except ValueError as error:
        raise AssertionError(
            explain(
                f"{why}: what is right is refused; does each byte give 8 bits, the highest "
                "first?",
                expected=symbols[:12].tolist(),
                received=f"ValueError: {error}"[:100],
            )
        ) from None
    received = require_array(received, "what is decoded", np.int64, (len(symbols),))
    assert np.array_equal(received, symbols), explain(
        why, expected=symbols[:12].tolist(), received=received[:12].tolist()
    )


@check(task="huffman_decode")
def what_was_encoded_comes_back(submission):
    rng = fresh_rng()
    require_symbols(
        submission,
        [1, 0, 3, 1, 3],
        [2, 1, 0, 2],
        "lengths 2 1 0 2 have the codewords 10, 0, none, 11",
    )
    for size in (2, 3, 7, 40):
        for count in (1, 2, 9, 100):
            lengths = random_lengths(rng, size)
            symbols = random_message(rng, lengths, count)
            require_symbols(submission, symbols, lengths, "other symbols come back")


@check(task="huffman_decode")
def padding_is_no_codeword(submission):
    # The codeword of symbol 1 is 0: what fills the last byte looks like it.
    for count in range(1, 18):
        require_symbols(
            submission,
            [1] * count,
            [2, 1, 2],
            f"{count} symbols and no more: what fills the last byte is none",
        )
        require_symbols(submission, [0] * count, [1], "a symbol that is the only one")


@check(task="huffman_decode")
def no_symbols_come_back_from_nothing(submission):
    for lengths in ([1, 1], [0, 0, 0], [2, 2, 0], [1]):
        require_symbols(submission, [], lengths, "count 0 and no bytes are right")
        require_refused(
            submission, b"", lengths, 1, "no bytes hold no symbol, but count is 1"
        )


@check(task="huffman_decode")
def long_codewords_come_back(submission):
    rng = fresh_rng()
    lengths = [*range(1, 41), 40]
    require_symbols(
        submission, rng.integers(0, 41, 30), lengths, "codewords of up to 40 bits"
    )


@check(task="huffman_decode", timeout_seconds=10)
def many_symbols_come_back_soon(submission):
    rng = fresh_rng()
    lengths = random_lengths(rng, 16)
    symbols = random_message(rng, lengths, 60_000)
    require_symbols(submission, symbols, lengths, "60,000 symbols")


@check(task="huffman_decode")
def content_that_is_cut_off_is_refused(submission):
    rng = fresh_rng()
    for _ in range(10):
        lengths = random_lengths(rng, 9)
        symbols = random_message(rng, lengths, 30)
        content = encoded(symbols, lengths)
        for keep in range(len(content)):
            require_refused(
                submission, content[:keep], lengths, 30, "the content is cut off"
            )
    require_refused(
        submission,
        bytes([0b11111111]),
        [1, 2, 2],
        5,
        "the content ends in the middle of a codeword: 8 bits, 5 codewords 11",
    )
    require_refused(
        submission,
        b"\xff",
        [1, 3, 3, 2],
        3,
        "the last codeword is not whole: 111 111 11",
    )


@check(task="huffman_decode")
def bytes_left_over_are_refused(submission):
    rng = fresh_rng()
    why = "a whole byte is left over, though it is 0: fewer than 8 bits may be"
    require_refused(submission, b"\0", [1, 1], 0, why)
    require_refused(submission, b"\0\0", [1, 1], 8, why)
    for _ in range(10):
        lengths = random_lengths(rng, 6)
        symbols = random_message(rng, lengths, 20)
        content = encoded(symbols, lengths) + b"\0"
        require_refused(submission, content, lengths, 20, why)
        require_refused(
            submission,
            content + bytes([int(rng.integers(256))]),
            lengths,
            20,
            "bytes are left over",
        )


@check(task="huffman_decode")
def bits_left_over_must_be_zero(submission):
    for count in range(1, 8):
        for bit in range(8 - count):
            content = bytes([1 << bit])
            require_refused(
                submission,
                content,
                [1, 1],
                count,
                f"behind {count} codewords stands a 1: what is left of a byte is 0",
            )


@check(task="huffman_decode")
def bits_without_a_codeword_are_refused(submission):
    # 0 and 10 are codewords, 11 is none.
    for content, count in ((b"\xff", 1), (b"\xff", 4), (b"\x60", 2), (b"\xff" * 40, 9)):
        require_refused(
            submission,
            content,
            [1, 2],
            count,
            "the content begins with codewords 0 and 10, but 11 is none",
        )
    for content, count in ((b"\x00", 1), (b"\xff", 8), (b"\x00", 8)):
        require_refused(
            submission, content, [0, 0, 0], count, "there are no codewords at all"
        )
    require_refused(
        submission, b"\x80", [1], 1, "the only codeword is 0, but the content is a 1"
    )


@check(task="huffman_decode")
def lengths_that_make_no_code_are_refused(submission):
    why = "codewords of these lengths are no prefix code"
    for lengths in (
        [1, 1, 1],
        [1, 1, 5],
        [2, 2, 2, 2, 2],
        [-1, 1],
        [1, 2, 2, 3],
    ):
        for content, count in ((b"\0", 1), (b"\x50", 3), (b"", 0)):
            require_refused(submission, content, lengths, count, f"{why}: {lengths}")


@check(task="huffman_decode", timeout_seconds=10)
def a_count_that_cannot_be_is_refused_at_once(submission):
    for count in (-1, -(10**12)):
        require_refused(
            submission, b"\0", [1, 1], count, f"a count of {count} is below 0"
        )
    require_refused(submission, b"", [1, 1], -1, "a count of -1 is below 0")
    for content in (b"", b"\0", b"\x5a\xa5\x00"):
        for count in (8 * len(content) + 1, 10**6, 10**12):
            require_refused(
                submission,
                content,
                [1, 1],
                count,
                f"{len(content)} bytes can't hold {count} symbols",
            )


@check(task="huffman_decode", timeout_seconds=10)
def a_large_count_takes_no_memory(submission):
    count = 3 * 10**6
    is_refused(submission, b"\0", [1, 1], 8)  # What is loaded at first does not count.
    tracemalloc.start()
    started = time.process_time()
    try:
        require_refused(
            submission, b"\x5a", [1, 1], count, "1 byte for 3 million symbols"
        )
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    seconds = time.process_time() - started
    assert most < 10**6, explain(
        "memory is taken for as many symbols as are announced, before one was read: the "
        "count may come from anybody",
        expected="less than 1 MB for 1 byte of content",
        received=f"{most / 1e6:.0f} MB",
    )
    assert seconds < 2, explain(
        "the time depends on count, not on the content",
        expected="well below a second for 1 byte",
        received=f"{seconds:.1f} s",
    )


@check(task="huffman_decode", timeout_seconds=10)
def random_bytes_are_decoded_rightly_or_refused(submission):
    rng = fresh_rng()
    for _ in range(400):
        lengths = random_lengths(rng, int(rng.integers(2, 12)))
        if rng.random() < 0.5:
            lengths[rng.integers(len(lengths))] = rng.integers(0, 7)
        content = rng.bytes(int(rng.integers(0, 6)))
        count = int(rng.integers(0, 25))
        expected = decoded_by_prefixes(content, lengths, count)
        what = f"bytes {content.hex(' ')!r}, lengths {lengths.tolist()}, count {count}"
        if expected is None:
            require_refused(
                submission, content, lengths, count, f"{what} can't be right"
            )
            continue
        refused, received = is_refused(submission, content, lengths, count)
        assert not refused, explain(
            f"{what} is refused", expected=expected, received="ValueError"
        )
        received = require_array(received, "what is decoded", np.int64, (count,))
        assert received.tolist() == expected, explain(
            what, expected=expected, received=received.tolist()
        )


def decoded_by_prefixes(content, lengths, count):
    """Return the symbols as a list by comparing with each codeword, or None."""
    if sum(2.0 ** -int(n) for n in lengths if n > 0) > 1 or min(lengths) < 0:
        return None
    words = codewords_of(lengths)
    rest = "".join(f"{byte:08b}" for byte in content)
    symbols = []
    for _ in range(count):
        found = [s for s, word in words.items() if rest.startswith(word)]
        if not found:
            return None
        symbols += found
        rest = rest[len(words[found[0]]) :]
    return symbols if len(rest) < 8 and "1" not in rest else None


# distillation_loss ----------------------------------------------------------------------


def log_softmax(logits):
    """Return log-probabilities, float64, by numpy."""
    logits = logits.astype(np.float64)
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def loss_by_numpy(student, teacher, labels, temperature, hard_weight):
    """Return the loss, the hard part and the soft part, float64 [batch], by numpy."""
    hard = -log_softmax(student)[np.arange(len(labels)), labels]
    p, q = log_softmax(teacher / temperature), log_softmax(student / temperature)
    soft = temperature**2 * (np.exp(p) * (p - q)).sum(-1)
    return hard_weight * hard + (1 - hard_weight) * soft, hard, soft


def logits_of(rng, batch=6, classes=5, scale=3.0):
    """Return the logits of a student and a teacher, and labels."""
    student, teacher = scale * rng.standard_normal((2, batch, classes))
    labels = rng.integers(0, classes, batch).astype(np.int32)
    return student.astype(np.float32), teacher.astype(np.float32), labels


def loss_of(submission, student, teacher, labels, temperature, hard_weight):
    """Return the student's loss as float64 [batch]."""
    value = submission.distillation_loss(
        tf.constant(student),
        tf.constant(teacher),
        tf.constant(labels),
        temperature=temperature,
        hard_weight=hard_weight,
    )
    received = np.asarray(require_tensor(value, "the loss"))
    assert received.shape == (len(labels),), explain(
        "the loss has one entry per example: sum over the classes, but don't average over "
        "the batch",
        expected=f"shape [{len(labels)}]",
        received=f"shape {list(received.shape)}",
    )
    assert np.all(np.isfinite(received)), explain(
        "the loss is not finite: take tf.nn.log_softmax, not the logarithm of a softmax",
        expected="finite numbers",
        received=received,
    )
    return received.astype(np.float64)


def compare_loss(received, expected, why):
    """Fail if losses differ."""
    assert np.allclose(received, expected, rtol=1e-4, atol=1e-4), explain(
        why, expected=expected.round(4).tolist(), received=received.round(4).tolist()
    )


@check(task="distillation_loss")
def labels_alone_give_the_cross_entropy(submission):
    rng = fresh_rng()
    for temperature in (1.0, 4.0):
        student, teacher, labels = logits_of(rng)
        received = loss_of(submission, student, teacher, labels, temperature, 1.0)
        _, hard, soft = loss_by_numpy(student, teacher, labels, temperature, 1.0)
        assert not np.allclose(received, soft, rtol=1e-3), explain(
            "hard_weight 1 gives the teacher's part: the weights are the wrong way round",
            expected=hard.round(4).tolist(),
            received=received.round(4).tolist(),
        )
        compare_loss(
            received,
            hard,
            f"hard_weight 1, T = {temperature}: the cross-entropy with the labels of the "
            "logits as they are, at temperature 1",
        )


@check(task="distillation_loss")
def the_teacher_alone_gives_the_divergence(submission):
    rng = fresh_rng()
    for temperature in (1.0, 2.0, 5.0):
        student, teacher, labels = logits_of(rng)
        received = loss_of(submission, student, teacher, labels, temperature, 0.0)
        _, _, soft = loss_by_numpy(student, teacher, labels, temperature, 0.0)
        p = log_softmax(teacher / temperature)
        entropy = -(temperature**2) * (np.exp(p) * p).sum(-1)
        wrong = {
            "without T squared the soft part fades as T grows": soft / temperature**2,
            "T instead of T squared": soft / temperature,
            "KL(student || teacher) is the wrong way round": loss_by_numpy(
                teacher, student, labels, temperature, 0.0
            )[2],
            "this is the cross-entropy with the teacher; the divergence is less by the "
            "teacher's entropy": soft + entropy,
            "this is the mean over the classes, not their sum": soft / student.shape[1],
            "the logits are multiplied by T, not divided": temperature**4
            * loss_by_numpy(student, teacher, labels, 1 / temperature, 0.0)[2],
            "the logits are not divided by the temperature": temperature**2
            * loss_by_numpy(student, teacher, labels, 1.0, 0.0)[2],
        }
        for mistake, value in wrong.items():
            is_right = np.allclose(value, soft, rtol=1e-3)
            assert is_right or not np.allclose(received, value, rtol=1e-3), explain(
                f"{mistake}; hard_weight 0, T = {temperature}",
                expected=soft.round(4).tolist(),
                received=received.round(4).tolist(),
            )
        compare_loss(
            received,
            soft,
            f"hard_weight 0, T = {temperature}: T squared times KL(teacher || student), "
            "both softened",
        )


@check(task="distillation_loss")
def the_weights_of_both_parts_add_up_to_one(submission):
    rng = fresh_rng()
    for temperature, hard_weight in ((2.0, 0.3), (4.0, 0.8), (1.5, 0.5)):
        for batch, classes in ((6, 5), (1, 10), (5, 2)):
            student, teacher, labels = logits_of(rng, batch, classes)
            arguments = student, teacher, labels, temperature, hard_weight
            received = loss_of(submission, *arguments)
            expected, hard, soft = loss_by_numpy(*arguments)
            assert not np.allclose(received, hard_weight * hard + soft, rtol=1e-3), (
                explain(
                    "the teacher's part has the weight 1 - hard_weight, not 1",
                    expected=expected.round(4).tolist(),
                    received=received.round(4).tolist(),
                )
            )
            compare_loss(
                received,
                expected,
                f"hard_weight {hard_weight}, T = {temperature}: hard_weight times one part "
                "plus the rest times the other",
            )


@check(task="distillation_loss")
def a_student_like_its_teacher_has_only_the_hard_part(submission):
    student, _, labels = logits_of(fresh_rng())
    received = loss_of(submission, student, student, labels, 3.0, 0.25)
    expected = 0.25 * loss_by_numpy(student, student, labels, 3.0, 0.25)[1]
    compare_loss(
        received,
        expected,
        "student and teacher agree, so the divergence is 0 (a cross-entropy would not be)",
    )


@check(task="distillation_loss")
def large_logits_stay_finite(submission):
    rng = fresh_rng()
    for scale in (1e3, 1e4):
        student, teacher, labels = logits_of(rng, scale=scale)
        arguments = student, teacher, labels, 2.0, 0.4
        received = loss_of(submission, *arguments)
        expected, *_ = loss_by_numpy(*arguments)
        for_student, _ = gradients_of(submission, *arguments)
        assert for_student is None or np.all(np.isfinite(for_student)), explain(
            "logits in the thousands: the gradient is not finite",
            expected="finite numbers",
            received=for_student,
        )
        assert np.allclose(received, expected, rtol=1e-3, atol=1e-5 * scale), explain(
            "logits in the thousands: a logarithm of a softmax (or a small number added to "
            "it) loses them; take tf.nn.log_softmax",
            expected=expected.round(1).tolist(),
            received=received.round(1).tolist(),
        )


def gradients_of(submission, student, teacher, labels, temperature, hard_weight):
    """Return the loss's gradients for the student's and the teacher's logits."""
    student, teacher = tf.constant(student), tf.constant(teacher)
    with tf.GradientTape() as tape:
        tape.watch([student, teacher])
        loss = submission.distillation_loss(
            student,
            teacher,
            tf.constant(labels),
            temperature=temperature,
            hard_weight=hard_weight,
        )
        require_tensor(loss, "the loss")
        total = tf.reduce_sum(loss)
    return tape.gradient(total, [student, teacher])


@check(task="distillation_loss")
def the_teacher_gets_no_gradient(submission):
    arguments = *logits_of(fresh_rng()), 2.0, 0.3
    _, for_teacher = gradients_of(submission, *arguments)
    is_free = for_teacher is None or not np.any(for_teacher.numpy())
    assert is_free, explain(
        "the teacher's logits get a gradient: tf.stop_gradient makes them constants",
        expected="none",
        received=for_teacher,
    )


@check(task="distillation_loss")
def the_gradient_is_that_of_the_loss(submission):
    rng = fresh_rng()
    for temperature, hard_weight in ((3.0, 0.3), (2.0, 0.0), (2.0, 1.0)):
        student, teacher, labels = logits_of(rng, 4, 3, scale=1.0)
        arguments = student, teacher, labels, temperature, hard_weight
        for_student, _ = gradients_of(submission, *arguments)
        assert for_student is not None, explain(
            "the student's logits get no gradient: nothing would be learnt",
            expected="float32 [4, 3]",
            received=None,
        )
        expected = np.zeros((4, 3))
        for place in np.ndindex(4, 3):
            ends = []
            for step in (1e-5, -1e-5):
                moved = student.astype(np.float64)
                moved[place] += step
                ends.append(loss_by_numpy(moved, *arguments[1:])[0].sum())
            expected[place] = (ends[0] - ends[1]) / 2e-5
        received = for_student.numpy()
        assert np.allclose(received, expected, rtol=1e-2, atol=1e-3), explain(
            f"T = {temperature}, hard_weight {hard_weight}: the gradient for the student "
            "differs from finite differences",
            expected=expected[0].round(4).tolist(),
            received=received[0].round(4).tolist(),
        )
