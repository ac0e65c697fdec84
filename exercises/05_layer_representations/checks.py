"""What right answers to layer_representations promise."""

import contextlib
import tempfile
import warnings
from pathlib import Path

import keras
import numpy as np
from scipy.optimize import brentq
from scipy.spatial.distance import cdist
from scipy.special import entr
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import trustworthiness as sklearn_trustworthiness
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tfcourse.checking import check, explain
from tfcourse.projector_reading import read_projector


def new_generator():
    """Return a generator that follows the seed of the checks."""
    return np.random.default_rng(np.random.randint(2**31))


def number(value, what):
    """Return a student's number as a float, or fail with what it should have been."""
    try:
        received = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        received = None
    is_number = received is not None and received.shape == () and value is not None
    assert is_number and np.isfinite(received), explain(
        f"{what} is one finite number", expected="a float", received=value
    )
    return float(received)


def matrix(value, shape, what):
    """Return a student's array as float64, or fail with what it should have been."""
    try:
        received = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        received = None
    assert received is not None and value is not None and received.shape == shape, (
        explain(
            f"{what}: the shape is not right",
            expected=shape,
            received=value if received is None or value is None else received.shape,
        )
    )
    return received


# layer_outputs --------------------------------------------------------------------------


def small_network(rng, *, num_hidden=2):
    """Return a model with dropout, and its weights by layer."""
    inputs = keras.Input((4, 5))
    hidden = keras.layers.Flatten()(inputs)
    for index in range(num_hidden):
        activation = "relu" if index % 2 == 0 else "tanh"
        name = ("wide", "middle", "narrow")[index]
        hidden = keras.layers.Dense(9 - 2 * index, activation, name=name)(hidden)
        hidden = keras.layers.Dropout(0.5)(hidden)
    outputs = keras.layers.Dense(3, name="scores")(hidden)
    model = keras.Model(inputs, outputs)
    for weight in model.weights:
        weight.assign(rng.normal(0.2, 0.5, weight.shape))
    return model


def forward(model, images):
    """Return by layer what numpy computes: before the activation, and behind it."""
    values = images.reshape(len(images), -1).astype(np.float64)
    found = {"pixels": (values, values)}
    for layer in model.layers:
        if layer.weights:
            kernel, bias = (weight.numpy() for weight in layer.weights)
            before = values @ kernel + bias
            name = layer.activation.__name__
            values = np.maximum(before, 0) if name == "relu" else before
            values = np.tanh(before) if name == "tanh" else values
            found[layer.name] = before, values
    return found


def outputs_of(submission, model, images):
    """Return the student's outputs, or fail where they are not a dict of arrays."""
    outputs = submission.layer_outputs(model, images)
    assert isinstance(outputs, dict), explain(
        "layer_outputs() returns a dict from the layers' names to their outputs",
        expected="a dict",
        received=outputs,
    )
    return outputs


def compare_outputs(outputs, model, images):
    """Fail at the first layer whose output is not what numpy computes."""
    expected = forward(model, images)
    for name, (before, behind) in expected.items():
        assert name in outputs, explain(
            "a layer is missing", expected=name, received=[*outputs]
        )
        received = matrix(outputs[name], behind.shape, f"the output of {name!r}")
        same = np.allclose(received, behind, rtol=1e-3, atol=1e-3)
        assert same or not np.allclose(received, before, rtol=1e-3, atol=1e-3), explain(
            f"this is {name!r} before its activation: return what comes behind it",
            expected=behind[0, :3],
            received=received[0, :3],
        )
        in_order = np.allclose(np.sort(received, 0), np.sort(behind, 0), atol=1e-3)
        assert same or not in_order, explain(
            f"the rows of {name!r} are in another order than the images",
            expected=behind[0, :3],
            received=received[0, :3],
        )
        assert same, explain(
            f"the output of {name!r} is not what the model's own weights make of the "
            "images",
            expected=behind[0, :3],
            received=received[0, :3],
        )


@check(task="layer_outputs")
def pixels_then_every_layer_with_weights_in_order(submission):
    rng = new_generator()
    model = small_network(rng)
    outputs = outputs_of(
        submission, model, rng.normal(size=(6, 4, 5)).astype("float32")
    )
    expected = ["pixels", "wide", "middle", "scores"]
    assert [*outputs] == expected, explain(
        "the entries are the pixels and then each layer that has weights, in the model's "
        "order: layers without weights (flatten, dropout) make no new representation",
        expected=expected,
        received=[*outputs],
    )


@check(task="layer_outputs")
def each_output_is_what_the_weights_make_of_the_images(submission):
    rng = new_generator()
    model = small_network(rng, num_hidden=3)
    images = rng.normal(size=(30, 4, 5)).astype("float32")
    first, second = (outputs_of(submission, model, images) for _ in range(2))
    for name in forward(model, images):
        if name in first and name in second:
            shape = np.shape(first[name])
            what = f"the output of {name!r}"
            repeats = np.allclose(
                matrix(first[name], shape, what), matrix(second[name], shape, what)
            )
            assert repeats, explain(
                f"two calls give two outputs of {name!r}: dropout is on, so this is "
                "training and not inference",
                expected="the same numbers at each call",
                received="others",
            )
    compare_outputs(first, model, images)


@check(task="layer_outputs")
def many_images_come_back_all_and_in_order(submission):
    rng = new_generator()
    model = small_network(rng)
    images = rng.normal(size=(2500, 4, 5)).astype("float32")
    outputs = outputs_of(submission, model, images)
    counts = {name: np.shape(array)[:1] for name, array in outputs.items()}
    assert set(counts.values()) == {(2500,)}, explain(
        "2,500 images, so 2,500 rows in each layer: the last batch may be short, and none "
        "is left out",
        expected="2500 rows each",
        received=counts,
    )
    compare_outputs(outputs, model, images)


@check(task="layer_outputs")
def a_linear_model_has_pixels_and_one_layer(submission):
    rng = new_generator()
    model = small_network(rng, num_hidden=0)
    images = rng.normal(size=(5, 4, 5)).astype("float32")
    outputs = outputs_of(submission, model, images)
    compare_outputs(outputs, model, images)


# principal_components -------------------------------------------------------------------


def stretched(rng, num_rows, num_columns):
    """Return correlated columns of different sizes, far from mean 0."""
    scales = np.linspace(3, 0.3, num_columns)
    rotation = np.linalg.qr(rng.normal(size=(num_columns, num_columns)))[0]
    columns = rng.normal(size=(num_rows, num_columns)) * scales @ rotation
    return columns * np.linspace(1, 4, num_columns) + rng.uniform(5, 9, num_columns)


def components_of(submission, features, num_components):
    """Return the student's components and shares, or fail where the form is wrong."""
    answer = submission.principal_components(features, num_components)
    assert isinstance(answer, tuple | list) and len(answer) == 2, explain(
        "two things come back: the components and their shares of the variance",
        expected="a pair",
        received=answer,
    )
    shape = (len(features), num_components)
    components = matrix(answer[0], shape, "the components, a row for each example")
    return components, matrix(
        answer[1], shape[1:], "the shares, one for each component"
    )


def same_up_to_signs(first, second):
    """Return whether two arrays have the same columns, each with either sign."""
    signs = np.sign(np.sum(first * second, axis=0))
    return np.allclose(
        first, second * signs, rtol=1e-3, atol=1e-3 * np.abs(second).max()
    )


@check(task="principal_components")
def components_are_scikit_learns_up_to_sign(submission):
    features = stretched(new_generator(), 60, 7)
    received, _ = components_of(submission, features, 3)
    expected = PCA(3).fit_transform(features)
    offset = received.mean(axis=0)
    assert np.allclose(offset, 0, atol=1e-3 * np.abs(expected).max()), explain(
        "take each column's mean away first: else the first direction points to the mean",
        expected="components with mean 0",
        received=offset,
    )
    standard = PCA(3).fit_transform(StandardScaler().fit_transform(features))
    assert not same_up_to_signs(received, standard), explain(
        "the columns were divided by their deviations; that is PCA of other features",
        expected=expected[0],
        received=received[0],
    )
    deviations = expected.std(axis=0)
    whitened = np.allclose(received.std(axis=0), received.std(axis=0)[0], rtol=1e-2)
    assert not whitened, explain(
        "all components have the same deviation: multiply the left singular vectors by "
        "the singular values",
        expected=deviations,
        received=received.std(axis=0),
    )
    assert received[:, 0].std() > 0.99 * deviations[0], explain(
        "the direction of largest variance comes first",
        expected=deviations,
        received=received.std(axis=0),
    )
    assert same_up_to_signs(received, expected), explain(
        "the components are not the centred features along the directions of largest "
        "variance",
        expected=expected[0],
        received=received[0],
    )


@check(task="principal_components")
def shares_are_of_the_variance_of_all_columns(submission):
    features = stretched(new_generator(), 60, 7)
    _, received = components_of(submission, features, 3)
    pca = PCA().fit(features)
    expected = pca.explained_variance_ratio_[:3]
    kept = pca.explained_variance_[:3] / pca.explained_variance_[:3].sum()
    assert not np.allclose(received, kept, rtol=1e-4), explain(
        "the shares add up to 1 although components were left out: divide by the variance "
        "of all columns before you cut",
        expected=expected,
        received=received,
    )
    roots = pca.singular_values_ / pca.singular_values_.sum()
    assert not np.allclose(received, roots[:3], rtol=1e-3), explain(
        "the variance along a direction goes with the square of its singular value",
        expected=expected,
        received=received,
    )
    assert not np.allclose(received, np.cumsum(expected), rtol=1e-3), explain(
        "each component has its own share: don't add them up",
        expected=expected,
        received=received,
    )
    assert not np.allclose(received, 100 * expected, rtol=1e-3), explain(
        "shares lie in [0, 1]", expected=expected, received=received
    )
    assert np.allclose(received, expected, rtol=1e-3), explain(
        "the shares are not the components' variances over the variance of all columns",
        expected=expected,
        received=received,
    )


@check(task="principal_components")
def fewer_rows_than_columns_and_dead_units_are_fine(submission):
    features = stretched(new_generator(), 12, 20)
    features[:, 4:7] = 0  # Units that never fire.
    components, shares = components_of(submission, features, 4)
    assert np.isfinite(components).all() and np.isfinite(shares).all(), explain(
        "some units are the same for all examples: don't divide by their deviation, and "
        "take no root of what rounding made negative",
        expected="finite numbers",
        received=shares,
    )
    pca = PCA(4).fit(features)
    assert same_up_to_signs(components, pca.transform(features)), explain(
        "12 examples of 20 units",
        expected=pca.transform(features)[0],
        received=components[0],
    )
    assert np.allclose(shares, pca.explained_variance_ratio_, rtol=1e-3), explain(
        "12 examples of 20 units",
        expected=pca.explained_variance_ratio_,
        received=shares,
    )


# neighbour_probabilities ----------------------------------------------------------------


def dense_and_sparse(rng):
    """Return 60 points, half of them ten times as far from one another."""
    points = rng.normal(size=(60, 4))
    points[30:] = points[30:] * 10 + 40
    return points


def probabilities_of(submission, features, perplexity):
    """Return the student's probabilities: finite, [n, n]."""
    received = submission.neighbour_probabilities(features, perplexity)
    shape = (len(features), len(features))
    received = matrix(received, shape, "row i: the probabilities that i picks each j")
    assert np.isfinite(received).all(), explain(
        "a row is 0 / 0: the weights of far points underflow; take each row's least "
        "squared distance away before exp, which changes no quotient",
        expected="finite numbers",
        received=f"{np.sum(~np.isfinite(received))} that are not",
    )
    return received


def row_perplexities(probabilities):
    """Return 2 to the power of each row's entropy in bits."""
    return np.exp(entr(np.maximum(probabilities, 0)).sum(axis=1))


def exact_probabilities(features, perplexity):
    """Return p(j|i) by a root finder, one row at a time."""
    squared = cdist(features, features, "sqeuclidean")
    rows = []
    for index, row in enumerate(squared):
        others = np.delete(row, index)
        others = others - others.min()

        def chosen(log_precision, others=others):
            weights = np.exp(-others * np.exp(log_precision))
            return weights / weights.sum()

        root = brentq(
            lambda x, p=chosen: entr(p(x)).sum() - np.log(perplexity),
            -40,
            40,
            xtol=1e-13,
        )
        rows.append(np.insert(chosen(root), index, 0))
    return np.array(rows)


@check(task="neighbour_probabilities")
def each_point_picks_others_with_probabilities(submission):
    received = probabilities_of(submission, dense_and_sparse(new_generator()), 8.0)
    own = np.diag(received)
    assert np.allclose(own, 0, atol=1e-12), explain(
        "a point does not pick itself: the diagonal is 0",
        expected=0.0,
        received=own.max(),
    )
    sums = received.sum(axis=1)
    assert not np.allclose(sums.sum(), 1, atol=1e-3), explain(
        "these are joint probabilities, which all together make 1; here each row does",
        expected="rows that add up to 1",
        received=f"a sum of 1 over all, {sums[0]:.4g} in the first row",
    )
    by_column = np.allclose(received.sum(axis=0), 1, atol=1e-3)
    assert not by_column or np.allclose(sums, 1, atol=1e-3), explain(
        "the columns add up to 1: normalise each row, over those whom i can pick",
        expected="rows that add up to 1",
        received=sums[:3],
    )
    assert np.allclose(sums, 1, atol=1e-6), explain(
        "each row adds up to 1", expected=1.0, received=sums[np.argmax(abs(sums - 1))]
    )


@check(task="neighbour_probabilities")
def each_row_has_the_perplexity(submission):
    features = dense_and_sparse(new_generator())
    for perplexity in (5.0, 20.0):
        received = row_perplexities(probabilities_of(submission, features, perplexity))
        for wrong, what in (
            (perplexity ** (1 / np.log(2)), "nats with log2 of the perplexity"),
            (perplexity ** np.log(2), "bits with ln of the perplexity"),
        ):
            assert not np.allclose(received, wrong, rtol=0.01), explain(
                f"the entropy was compared in {what}: take the same logarithm for both",
                expected=perplexity,
                received=received[:3],
            )
        ends = np.isclose(received, 1, rtol=1e-3) | (
            received > 0.9 * (len(features) - 1)
        )
        assert not ends.all(), explain(
            "the search ran to the ends of its interval, to one neighbour or to all: where "
            "a row is too wide, its sigma must become smaller",
            expected=perplexity,
            received=f"{received.min():.4g} to {received.max():.4g}",
        )
        one_width = received[:30].min() > 1.5 * received[30:].max()
        assert not one_width, explain(
            "points of the dense half have far more neighbours than those of the sparse "
            "half: each point needs a width of its own",
            expected=f"{perplexity} in every row",
            received=f"{received.min():.4g} to {received.max():.4g}",
        )
        assert np.allclose(received, perplexity, rtol=2e-3), explain(
            "2 to the power of a row's entropy in bits is the perplexity, to 0.1 %",
            expected=perplexity,
            received=f"{received.min():.6g} to {received.max():.6g}",
        )


@check(task="neighbour_probabilities")
def a_row_is_a_gaussian_of_the_distance(submission):
    features = new_generator().normal(size=(40, 3))
    received = probabilities_of(submission, features, 10.0)
    distances = cdist(features, features)
    slopes = {}
    for power in (1, 2):
        errors = []
        for index, row in enumerate(received):
            fine = (row > 1e-9) & (np.arange(len(row)) != index)
            if fine.sum() > 3:
                x, y = distances[index, fine] ** power, np.log(row[fine])
                errors.append(np.std(y - np.polyval(np.polyfit(x, y, 1), x)))
        slopes[power] = np.mean(errors) if errors else np.inf
    assert slopes[1] > 1e-3, explain(
        "log p falls with the distance, but in a Gaussian with its square",
        expected="exp(-d^2 / (2 sigma^2))",
        received="exp(-d / s)",
    )
    assert slopes[2] < 1e-3, explain(
        "log p(j|i) must be a straight line over the squared distance of i and j",
        expected="exp(-d^2 / (2 sigma^2)), over the sum of its row",
        received="another function of the distance",
    )


@check(task="neighbour_probabilities")
def it_agrees_with_a_root_finder_at_every_scale(submission):
    rng = new_generator()
    features = dense_and_sparse(rng)
    expected = exact_probabilities(features, 12.0)
    for scale in (1.0, 1e-3, 1e3):
        received = probabilities_of(submission, features * scale, 12.0)
        assert np.allclose(received, expected, atol=1e-3), explain(
            f"features times {scale:g} have the same neighbours, so the same "
            "probabilities: search sigma over many orders of magnitude",
            expected=f"a largest one of {expected[0].max():.4f} in row 0",
            received=f"{received[0].max():.4f}",
        )


@check(task="neighbour_probabilities")
def a_far_point_has_neighbours_too(submission):
    rng = new_generator()
    features = rng.normal(size=(40, 3))
    features[7] += 300.0
    received = probabilities_of(submission, features, 6.0)
    perplexity = row_perplexities(received)[7]
    assert np.isclose(perplexity, 6.0, rtol=5e-3), explain(
        "one point lies 300 away from all others; its sigma grows until it has neighbours",
        expected=6.0,
        received=perplexity,
    )


# knn_accuracy ---------------------------------------------------------------------------


@check(task="knn_accuracy")
def a_point_has_no_vote_on_itself(submission):
    rng = new_generator()
    points, labels = rng.normal(size=(400, 2)), rng.integers(0, 10, 400)
    received = number(submission.knn_accuracy(points, labels, 1), "the accuracy")
    assert received < 0.9, explain(
        "labels that were drawn at random can't be told from the places: each point is "
        "counted as its own neighbour",
        expected="about 0.1",
        received=received,
    )
    expected = _leave_one_out(points, labels, 1)
    assert np.isclose(received, expected, atol=1e-6), explain(
        "400 random points, 1 neighbour", expected=expected, received=received
    )


@check(task="knn_accuracy")
def the_accuracy_is_that_of_leaving_each_point_out(submission):
    rng = new_generator()
    labels = rng.integers(0, 2, 90)
    points = rng.normal(size=(90, 2)) + labels[:, None] * 1.2
    for k in (3, 7):
        received = number(submission.knn_accuracy(points, labels, k), "the accuracy")
        expected = _leave_one_out(points, labels, k)
        assert not np.isclose(received, 100 * expected), explain(
            "the share lies in [0, 1]", expected=expected, received=received
        )
        assert not np.isclose(received, round(90 * expected)), explain(
            "return the share of points, not their number",
            expected=expected,
            received=received,
        )
        mean = _mean_share(points, labels, k)
        assert not np.isclose(received, mean), explain(
            "this is the mean share of neighbours of the right class; here they vote, and "
            "a point counts as right or wrong",
            expected=expected,
            received=received,
        )
        assert np.isclose(received, expected, atol=1e-6), explain(
            f"90 points of two classes, the {k} nearest others vote",
            expected=expected,
            received=received,
        )


def _leave_one_out(points, labels, k):
    distances = cdist(points, points)
    np.fill_diagonal(distances, np.inf)
    nearest = np.argsort(distances, axis=1)[:, :k]
    votes = [np.bincount(row).argmax() for row in labels[nearest]]
    return np.mean(votes == labels)


def _mean_share(points, labels, k):
    distances = cdist(points, points)
    np.fill_diagonal(distances, np.inf)
    nearest = np.argsort(distances, axis=1)[:, :k]
    return np.mean(labels[nearest] == labels[:, None])


@check(task="knn_accuracy")
def the_majority_wins_not_the_nearest(submission):
    # Each 0 has a 1 close by and two more 0s a little further away.
    centres = np.arange(10)[:, None] * [100.0, 0.0]
    offsets = np.array([[0.0, 0.0], [0.0, 3.0], [3.0, 0.0], [1.0, 1.0]])
    points = (centres[:, None] + offsets).reshape(-1, 2)
    labels = np.tile([0, 0, 0, 1], 10)
    received = number(submission.knn_accuracy(points, labels, 3), "the accuracy")
    assert not np.isclose(received, 0), explain(
        "the nearest neighbour alone decided; all 3 have one vote each",
        expected=0.75,
        received=received,
    )
    assert np.isclose(received, 0.75), explain(
        "groups of three 0s around one 1, 3 neighbours: each 0 has two 0s and the 1, the 1 "
        "has three 0s",
        expected=0.75,
        received=received,
    )


@check(task="knn_accuracy")
def a_point_at_the_same_place_is_a_neighbour(submission):
    rng = new_generator()
    places = rng.permutation(40)[:, None] * [50.0, 10.0]
    points, labels = np.repeat(places, 2, axis=0), np.tile([3, 5], 40)
    received = number(submission.knn_accuracy(points, labels, 1), "the accuracy")
    assert received == 0, explain(
        "pairs of a 3 and a 5 at the same place: the nearest other point is the twin, and "
        "always wrong. To drop the first of the sorted neighbours drops the twin as often "
        "as the point itself",
        expected=0.0,
        received=received,
    )


# trustworthiness ------------------------------------------------------------------------


def features_and_plane(rng, num_points=50):
    """Return features, and a plane that shows some of their neighbours."""
    features = rng.normal(size=(num_points, 6)) * [3, 2, 1, 1, 1, 1]
    return features, features[:, :2] + rng.normal(size=(num_points, 2))


def trust_of(submission, features, plane, k):
    """Return the student's number."""
    received = submission.trustworthiness(features, plane, k)
    return number(received, "the trustworthiness")


def raw_cost(features, plane, k, *, first_rank=1):
    """Return the sum of what wrong neighbours cost; the nearest has the first rank."""
    ranks = cdist(features, features).argsort(1).argsort(1) + first_rank - 1
    distances = cdist(plane, plane)
    np.fill_diagonal(distances, np.inf)
    nearest = np.argsort(distances, axis=1)[:, :k]
    return np.maximum(np.take_along_axis(ranks, nearest, 1) - k, 0).sum()


@check(task="trustworthiness")
def a_plane_that_keeps_all_neighbours_is_trusted(submission):
    rng = new_generator()
    plane = rng.normal(size=(50, 2))
    features = np.concatenate([plane, np.zeros((50, 3))], axis=1)
    for scale in (1.0, 7.0):
        received = trust_of(submission, features, scale * plane, 5)
        assert np.isclose(received, 1), explain(
            f"the plane shows the features, times {scale:g}: nothing is out of place",
            expected=1.0,
            received=received,
        )


@check(task="trustworthiness")
def what_comes_close_from_far_away_costs_its_rank(submission):
    rng = new_generator()
    for k in (3, 6):
        features, plane = features_and_plane(rng)
        n = len(features)
        received = trust_of(submission, features, plane, k)
        expected = sklearn_trustworthiness(features, plane, n_neighbors=k)
        swapped = sklearn_trustworthiness(plane, features, n_neighbors=k)
        assert not np.isclose(received, swapped, atol=1e-6), explain(
            "the neighbours were taken in the features and ranked in the plane, which is "
            "continuity; trust asks of neighbours in the plane how near they were",
            expected=expected,
            received=received,
        )
        scale = 2 / (n * k * (2 * n - 3 * k - 1))
        assert not np.isclose(received, 1 - expected, atol=1e-6), explain(
            "this is what the wrong neighbours cost: 1 minus it is the trust",
            expected=expected,
            received=received,
        )
        for first in (0, 2):
            wrong = 1 - scale * raw_cost(features, plane, k, first_rank=first)
            assert not np.isclose(received, wrong, atol=1e-7), explain(
                "the ranks are off by one: the nearest other point has rank 1, and the "
                "point itself 0",
                expected=expected,
                received=received,
            )
        assert np.isclose(received, expected, atol=1e-6), explain(
            f"{n} points, {k} neighbours: each of the nearest in the plane whose rank r "
            "was above k costs r - k; 2 / (n k (2n - 3k - 1)) times the sum, from 1",
            expected=expected,
            received=received,
        )


@check(task="trustworthiness")
def the_worst_plane_has_no_trust(submission):
    # In the plane each point's only neighbour is the one that was farthest away.
    num_pairs = 20
    angles = 2 * np.pi * (np.arange(2 * num_pairs) + 0.3) / (2 * num_pairs)
    features = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    plane = np.zeros((2 * num_pairs, 2))
    plane[:num_pairs, 0] = 100.0 * np.arange(num_pairs)
    plane[num_pairs:, 0] = plane[:num_pairs, 0] + 1
    received = trust_of(submission, features, plane, 1)
    assert np.isclose(received, 0, atol=1e-6), explain(
        "on a circle each point's one neighbour in the plane is its opposite, the last of "
        "all by rank: the scale makes this 0",
        expected=0.0,
        received=received,
    )


# linear_probe ---------------------------------------------------------------------------


def probe_of(submission, train, val, test, strengths=(1.0,)):
    """Return the student's accuracy."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of convergence: the accuracy tells.
        received = submission.linear_probe(train, val, test, strengths)
    return number(received, "the accuracy")


def two_blobs(rng, num_examples, distance=6.0):
    """Return features [n, 5] of two classes that a line separates, and labels."""
    labels = np.arange(num_examples) % 2
    features = rng.normal(size=(num_examples, 5))
    features[:, 0] += distance * labels
    return features, labels


@check(task="linear_probe")
def a_linear_classifier_is_scored_on_the_test_part(submission):
    rng = new_generator()
    received = probe_of(submission, *(two_blobs(rng, n, 10) for n in (200, 80, 100)))
    assert not np.isclose(received, 100), explain(
        "the accuracy is a share in [0, 1]", expected=1.0, received=received
    )
    assert received > 0.97, explain(
        "two classes that a plane separates", expected=1.0, received=received
    )
    train = rng.normal(size=(60, 80)), rng.integers(0, 2, 60)
    val, test = ((rng.normal(size=(n, 80)), rng.integers(0, 2, n)) for n in (400, 500))
    received = probe_of(submission, train, val, test, (100.0,))
    assert received < 0.75, explain(
        "labels drawn at random, 60 training examples of 80 units: the training part can "
        "be learned by heart, the test part can't. Score on the test part",
        expected="about 0.5",
        received=received,
    )


@check(task="linear_probe")
def the_probe_is_linear(submission):
    rng = new_generator()
    parts = []
    for count in (400, 200, 300):
        features = rng.uniform(-1, 1, (count, 2))
        parts.append((features, (features[:, 0] * features[:, 1] > 0).astype(int)))
    received = probe_of(submission, *parts)
    assert received < 0.75, explain(
        "two classes in opposite corners, which no line separates: a probe that gets them "
        "right has learned features of its own, and says nothing about the layer's",
        expected="about 0.5",
        received=received,
    )


@check(task="linear_probe")
def only_the_training_part_is_fitted(submission):
    rng = new_generator()
    train = two_blobs(rng, 200)
    for what, num_val, num_test in (("validation", 1600, 200), ("test", 200, 1600)):
        (val, val_labels), test = two_blobs(rng, num_val), two_blobs(rng, num_test)
        if what == "validation":
            received = probe_of(submission, train, (val, 1 - val_labels), test)
            assert received > 0.9, explain(
                "the validation part has its labels exchanged, to see whether it is "
                "fitted: fit on the training part alone, score on the test part",
                expected="about 1",
                received=received,
            )
        else:
            flipped = test[0], 1 - test[1]
            received = probe_of(submission, train, (val, val_labels), flipped)
            assert received < 0.1, explain(
                "the test part has its labels exchanged, to see whether it is fitted: fit "
                "on the training part alone, score on the test part",
                expected="about 0",
                received=received,
            )


@check(task="linear_probe")
def features_are_brought_to_one_scale(submission):
    rng = new_generator()
    scales, shifts = np.array([1e-4, 1e3, 1e3, 1e3, 1e3]), np.array([0.3, 50, 0, -9, 7])
    parts = [two_blobs(rng, n, 12) for n in (300, 100, 200)]
    parts = [(features * scales + shifts, labels) for features, labels in parts]
    received = probe_of(submission, *parts, (0.1,))
    assert received > 0.97, explain(
        "the unit that tells the classes apart is small, four others are large: bring "
        "each unit to mean 0 and deviation 1 before the regression",
        expected=1.0,
        received=received,
    )


@check(task="linear_probe")
def the_scale_is_that_of_the_training_part(submission):
    rng = new_generator()
    train, val = two_blobs(rng, 300, 10), two_blobs(rng, 100, 10)
    features, labels = two_blobs(rng, 200, 10)
    test = features[labels == 1], labels[labels == 1]
    received = probe_of(submission, train, val, test)
    assert received > 0.95, explain(
        "a test part of one class only: with its own mean taken away it lies between the "
        "classes. Mean and deviation come from the training part",
        expected=1.0,
        received=received,
    )


@check(task="linear_probe")
def a_unit_that_never_fires_does_no_harm(submission):
    rng = new_generator()
    parts = [two_blobs(rng, n, 10) for n in (200, 80, 100)]
    for features, _ in parts:
        features[:, 2:4] = 0
    try:
        received = submission.linear_probe(*parts, (1.0,))
    except ValueError as error:
        assert "NaN" not in str(error), explain(
            "two units are 0 in all examples: divided by their deviation they are 0 / 0",
            expected="an accuracy of about 1",
            received=str(error).split(".")[0],
        )
        raise
    assert number(received, "the accuracy") > 0.97, explain(
        "two units are 0 in all examples, the others tell the classes apart",
        expected=1.0,
        received=received,
    )


@check(task="linear_probe")
def the_strength_is_chosen_on_the_validation_part(submission):
    rng = new_generator()
    # Unit 1 repeats the noise of unit 0. A weak regression looks at unit 0 alone, a
    # strong one at the difference.
    labels = np.arange(600) % 2
    noise = rng.normal(size=600)
    units = noise + 0.5 * (2 * labels - 1), noise + 0.05 * rng.normal(size=600)
    train = np.stack(units, axis=1), labels
    parts = {}
    for name, direction in (("weak", (1.0, 0.0)), ("strong", (1.0, -1.0))):
        features = rng.normal(size=(500, 2))
        parts[name] = features, (features @ direction > 0).astype(int)
    strengths = {"weak": 1e-5, "strong": 10.0}
    for chosen, other in (("weak", "strong"), ("strong", "weak")):
        regression = LogisticRegression(C=strengths[chosen], max_iter=1000)
        fitted = make_pipeline(StandardScaler(), regression).fit(*train)
        expected = fitted.score(*parts[other])
        for order in ((1e-5, 10.0), (10.0, 1e-5)):
            received = probe_of(submission, train, parts[chosen], parts[other], order)
            assert received < 0.93 or expected > 0.93, explain(
                "the strength was chosen where the score comes from, or not at all: take "
                "the one that is best on the validation part",
                expected=expected,
                received=received,
            )
            assert abs(received - expected) < 0.05, explain(
                f"of the strengths {order} the validation part speaks for "
                f"{strengths[chosen]:g}, which scores this on the test part",
                expected=expected,
                received=received,
            )


# linear_cka -----------------------------------------------------------------------------


def two_layers(rng, num_examples=60):
    """Return outputs of two layers of different width that share something."""
    shared = rng.normal(size=(num_examples, 3))
    first = shared @ rng.normal(size=(3, 5)) + rng.normal(size=(num_examples, 5)) + 2.0
    second = shared @ rng.normal(size=(3, 8)) + rng.normal(size=(num_examples, 8)) - 1.0
    return first, second


def gram_cka(first, second, *, centre=True):
    """Return the alignment from the two n by n matrices of inner products."""
    n = len(first)
    centring = np.eye(n) - 1 / n if centre else np.eye(n)
    grams = [centring @ (x @ x.T) @ centring for x in (first, second)]
    norms = [np.sqrt(np.sum(gram * gram)) for gram in grams]
    return float(np.sum(grams[0] * grams[1]) / np.prod(norms))


def cka_of(submission, first, second):
    """Return the student's alignment."""
    return number(submission.linear_cka(first, second), "the alignment")


@check(task="linear_cka")
def it_is_the_alignment_of_the_centred_gram_matrices(submission):
    first, second = two_layers(new_generator())
    received = cka_of(submission, first, second)
    expected = gram_cka(first, second)
    uncentred = gram_cka(first, second, centre=False)
    assert not np.isclose(received, uncentred, atol=1e-4), explain(
        "take each column's mean away, in both layers: else all units that are always on "
        "look alike",
        expected=expected,
        received=received,
    )
    assert not np.isclose(received, np.sqrt(expected), atol=1e-4), explain(
        "the norm of Y^T X is squared", expected=expected, received=received
    )
    assert np.isclose(received, expected, atol=1e-4), explain(
        "||Y^T X||^2 / (||X^T X|| ||Y^T Y||) with Frobenius norms, columns centred",
        expected=expected,
        received=received,
    )


@check(task="linear_cka")
def a_layer_is_like_itself_rotated_scaled_and_shifted(submission):
    rng = new_generator()
    first, second = two_layers(rng)
    rotation = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    changed = 30.0 * first @ rotation + rng.normal(size=5) * 10
    received = cka_of(submission, first, changed)
    assert np.isclose(received, 1, atol=1e-5), explain(
        "a layer and the same one rotated, times 30, shifted: only the order and the "
        "scale of units differ",
        expected=1.0,
        received=received,
    )
    there, back = cka_of(submission, first, second), cka_of(submission, second, first)
    assert np.isclose(there, back, atol=1e-5), explain(
        "which layer comes first makes no difference", expected=there, received=back
    )


@check(task="linear_cka")
def wide_float32_layers_are_fine(submission):
    rng = new_generator()
    first, second = (x.astype(np.float32) for x in two_layers(rng, 30))
    second = np.concatenate([second, rng.normal(size=(30, 90)).astype(np.float32)], 1)
    received = cka_of(submission, first * 1000, second)
    expected = gram_cka(first.astype(float), second.astype(float))
    assert np.isclose(received, expected, atol=1e-3), explain(
        "30 examples, 5 units against 98", expected=expected, received=received
    )


# write_projector ------------------------------------------------------------------------

NAMES = ("pixels", "trained_hidden_1")


@contextlib.contextmanager
def written(submission, *, num_points=7):
    """Yield what a student's files are made of, and their folder, moved elsewhere."""
    rng = new_generator()
    layers = {
        NAMES[0]: rng.normal(size=(num_points, 6)),
        NAMES[1]: rng.normal(size=(num_points, 3)) * 100,
    }
    labels = rng.integers(0, 10, num_points)
    images = rng.integers(0, 256, (num_points, 8, 5), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "runs" / "projector"
        folder.parent.mkdir()
        for _ in range(2):  # The second time the folder is there already.
            submission.write_projector(folder, layers, labels.tolist(), images)
        assert (folder / "projector_config.pbtxt").is_file(), explain(
            "TensorBoard looks for a file of this name in the folder",
            expected="projector_config.pbtxt",
            received=sorted(path.name for path in folder.parent.rglob("*")),
        )
        moved = folder.rename(Path(parent) / "moved")
        yield layers, labels, images, moved


def shown(folder):
    """Return what TensorBoard's projector gets from the folder."""
    try:
        runs = read_projector(folder)
    except Exception as error:
        text = str(error).splitlines() or [type(error).__name__]
        mistake = "TensorBoard's projector can't read the files"
        if "whole thumbnails" in text[0]:
            mistake = "single_image_dim is width, then height, of one thumbnail"
        if any(part in text[0] for part in ("outside the", "not found", "no points")):
            mistake = (
                "name the files relative to the folder that the config is in: the folder "
                "may be moved, and TensorBoard takes nothing from outside it"
            )
        raise AssertionError(
            explain(mistake, expected="answers to all requests", received=text[0])
        ) from None
    embeddings = runs.get(".", {})
    assert set(embeddings) == set(NAMES), explain(
        "the config has an embedding for each layer, with tensor_name and tensor_path",
        expected=sorted(NAMES),
        received=sorted(embeddings),
    )
    return embeddings


@check(task="write_projector")
def tensorboard_gets_every_layers_points(submission):
    with written(submission) as (layers, _, _, folder):
        for name, embedding in shown(folder).items():
            expected = layers[name]
            assert embedding.vectors.shape == expected.shape, explain(
                f"{name}.tsv has a line for each example, numbers between tabs, no header",
                expected=expected.shape,
                received=embedding.vectors.shape,
            )
            assert np.allclose(embedding.vectors, expected, rtol=1e-3, atol=1e-3), (
                explain(
                    f"{name}: not the layer's outputs, or fewer than 4 digits",
                    expected=expected[0, :3],
                    received=embedding.vectors[0, :3],
                )
            )


@check(task="write_projector")
def every_point_has_its_own_label(submission):
    with written(submission) as (_, labels, _, folder):
        for name, embedding in shown(folder).items():
            expected = [str(label) for label in labels]
            assert embedding.labels, explain(
                f"{name} has no labels: its entry needs metadata_path",
                expected=expected,
                received=embedding.labels,
            )
            assert embedding.labels[1:] != expected, explain(
                "a metadata file with a single column has no header: TensorBoard takes "
                "the first line for the first point's label, and all others move down",
                expected=expected,
                received=embedding.labels,
            )
            received = [label.strip() for label in embedding.labels]
            assert received == expected, explain(
                "labels.tsv has one label in each line, in the order of the points",
                expected=expected,
                received=received,
            )


@check(task="write_projector")
def every_point_has_its_own_sprite(submission):
    with written(submission) as (_, _, images, folder):
        for name, embedding in shown(folder).items():
            sprites = embedding.sprites
            assert sprites is not None, explain(
                f"{name} has no sprites: its entry needs sprite.image_path and "
                "sprite.single_image_dim",
                expected="a sheet",
                received=None,
            )
            assert sprites.shape[1:3] != images.shape[:0:-1], explain(
                "single_image_dim is width, then height",
                expected=list(images.shape[:0:-1]),
                received=[sprites.shape[2], sprites.shape[1]],
            )
            assert sprites.shape[1:3] == images.shape[1:], explain(
                "each thumbnail has the size of an image",
                expected=images.shape[1:],
                received=sprites.shape[1:3],
            )
            assert embedding.num_columns == 3 and len(sprites) == 9, explain(
                "7 images stand in a square sheet of 3 by 3: in one row, thousands of them "
                "would make a sheet that no graphics card takes",
                expected="3 in a row, 9 places",
                received=f"{embedding.num_columns} in a row, {len(sprites)} places",
            )
            compare_sprites(
                sprites[: len(images), :, :, 0].astype(int), images.astype(int)
            )


def compare_sprites(sprites, images):
    """Fail if the thumbnails are not the images, in black on white or white on black."""
    if abs(sprites[0] - images[0]).max() > abs(255 - sprites[0] - images[0]).max():
        sprites = 255 - sprites
    columns = images[[0, 3, 6, 1, 4]], sprites[[0, 1, 2, 3, 4]]
    assert not np.allclose(*columns, atol=2), explain(
        "the thumbnails run down the columns: the second stands to the right of the first",
        expected="row by row",
        received="column by column",
    )
    wrong = [i for i in range(len(images)) if abs(sprites[i] - images[i]).max() > 2]
    assert not wrong, explain(
        "a thumbnail is not its point's image: swap the axes of [row, column, height, "
        "width] to [row, height, column, width] before the reshape, and scale nothing",
        expected="image i at place i",
        received=f"other pixels at the places {wrong}",
    )
