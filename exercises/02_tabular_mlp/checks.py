"""What right answers to tabular_mlp promise.

Every input is drawn anew for each seed of the checks; oracles are numpy, scipy and
scikit-learn, and counting by brute force.
"""

import collections
import tempfile
import warnings
from pathlib import Path

import keras
import numpy as np
import scipy.special
import scipy.stats
from sklearn import metrics
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline

from tfcourse.checking import check, explain
from tfcourse.data import as_matrix
from tfcourse.table_networks import dense_layers, scikit_training


def generator():
    """Return a generator that follows the seed of the checks."""
    return np.random.default_rng(np.random.randint(2**31))


def texts(values):
    """Return texts as a table's column has them: Python objects."""
    return np.array([str(value) for value in values], object)


def number(value, what):
    """Return a student's number as a float, or fail with what it should have been."""
    try:
        received = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        received = None
    is_number = received is not None and received.shape == () and value is not None
    assert is_number, explain(
        f"{what} is one number", expected="a float", received=value
    )
    return float(received)


def array(value, shape, what):
    """Return a student's numbers as float64 of a shape, or fail with what is expected."""
    try:
        received = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        received = None
    assert received is not None and received.shape == shape, explain(
        what,
        expected=f"shape {shape}",
        received=value if received is None else f"shape {received.shape}",
    )
    return received


def close(received, expected, tolerance=1e-6):
    """Tell whether all numbers agree; nan agrees with nothing."""
    return bool(np.allclose(received, expected, rtol=tolerance, atol=tolerance))


def name_mistake(received, mistakes, expected, otherwise):
    """Fail unless the number is as expected; name the mistake whose result it is.

    `mistakes` are pairs (what is wrong, what it would give).
    """
    if close(received, expected):
        return
    for mistake, value in mistakes:
        assert not close(received, value), explain(
            mistake, expected=expected, received=received
        )
    raise AssertionError(explain(otherwise, expected=expected, received=received))


# column_report


def odd_table(rng):
    """Return a table with missing cells, a spike and far values on both sides."""
    body = rng.normal(100, 10, 200)
    low, high = np.quantile(body, [0.25, 0.75])
    width = high - low
    far = [high + k * width for k in (30, 20, 3.8)] + [low - 7 * width]
    near = [high + 2.0 * width, low - 2.1 * width, high + 2.2 * width]
    numbers = np.concatenate([body, far, near, [np.nan] * 5])
    spike = rng.integers(1, 6, len(numbers)).astype(float)
    spike[rng.permutation(len(numbers))[:120]] = 0.0
    words = rng.choice(["red", "green", "blue"], len(numbers), p=[0.6, 0.3, 0.1])
    words = texts(words)
    words[[3, 50]], words[[7, 9, 60]] = "", "  "
    return {"amount": numbers, "count": spike, "colour": words}


def report_of(submission, columns):
    """Return the student's report, or fail if a row or an entry is missing."""
    with np.errstate(all="ignore"):
        report = submission.column_report(columns)
    assert isinstance(report, dict) and set(report) == set(columns), explain(
        "column_report() returns a dict with a row for each column",
        expected=f"the keys {sorted(columns)}",
        received=report,
    )
    keys = {"missing", "distinct", "commonest_share", "far_out"}
    for name, row in report.items():
        assert isinstance(row, dict) and set(row) == keys, explain(
            f"the row of {name!r} has four entries",
            expected=", ".join(sorted(keys)),
            received=row,
        )
        for key, value in row.items():
            number(value, f"{key} of {name!r}")
    return report


@check(task="column_report")
def blank_texts_and_nans_are_missing(submission):
    columns = odd_table(generator())
    report = report_of(submission, columns)
    received = report["colour"]["missing"]
    assert received != 2, explain(
        "a text of blanks is missing too, not only an empty one",
        expected=5,
        received=received,
    )
    assert received == 5, explain(
        "2 texts are empty and 3 are blank", expected=5, received=received
    )
    received = report["amount"]["missing"]
    assert received == 5, explain(
        "5 numbers are nan; nan is not equal to itself: np.isnan finds it",
        expected=5,
        received=received,
    )
    received = report["count"]["missing"]
    assert received == 0, explain(
        "0 is a number, not a missing one", expected=0, received=received
    )


@check(task="column_report")
def distinct_values_are_counted_among_those_that_are_there(submission):
    columns = odd_table(generator())
    report = report_of(submission, columns)
    for name, there in (("count", 6), ("colour", 3), ("amount", 207)):
        received = report[name]["distinct"]
        missing = report[name]["missing"]
        assert received == there, explain(
            f"{name!r} has {there} different values besides those that are missing "
            f"({missing}): a missing one is no value",
            expected=there,
            received=received,
        )


@check(task="column_report")
def the_commonest_share_is_of_the_values_that_are_there(submission):
    columns = odd_table(generator())
    report = report_of(submission, columns)
    for name in ("count", "colour"):
        counts = collections.Counter(columns[name].tolist())
        present = {key: c for key, c in counts.items() if str(key).strip()}
        most, there = max(present.values()), sum(present.values())
        name_mistake(
            number(report[name]["commonest_share"], "commonest_share"),
            [
                ("the commonest share is a share, not a count", most),
                ("divide by the values that are there", most / len(columns[name])),
            ],
            most / there,
            f"the most frequent value of {name!r} stands in {most} of {there} cells",
        )


@check(task="column_report")
def far_out_values_are_counted_on_both_sides(submission):
    columns = odd_table(generator())
    values = columns["amount"][~np.isnan(columns["amount"])]
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    width = high - low
    above = int(np.sum(values > high + 3 * width))
    below = int(np.sum(values < low - 3 * width))
    received = report_of(submission, columns)["amount"]["far_out"]
    near = int(np.sum((values > high + 1.5 * width) | (values < low - 1.5 * width)))
    name_mistake(
        number(received, "far_out"),
        [
            ("3 interquartile ranges, not 1.5", near),
            ("values far below the first quartile are far out too", above),
            ("values far above the third quartile are far out too", below),
            ("quartiles of numbers with nan are nan: leave the missing out", 0),
            (
                "3 interquartile ranges from the quartiles, not 3 standard deviations, "
                "which the far values stretch",
                int(np.sum(np.abs(values - values.mean()) > 3 * values.std())),
            ),
        ],
        above + below,
        f"beyond 3 interquartile ranges ({width:.1f}) of the quartiles "
        f"{low:.1f} and {high:.1f}",
    )
    received = report_of(submission, columns)["colour"]["far_out"]
    assert received == 0, explain(
        "texts are never far out", expected=0, received=received
    )


# share_by_group


def groups_and_targets(rng, sizes):
    """Return shuffled groups and targets with the sizes {group: (count, positives)}."""
    groups = np.concatenate([[name] * count for name, (count, _) in sizes.items()])
    targets = np.concatenate(
        [[1] * found + [0] * (count - found) for count, found in sizes.values()]
    )
    order = rng.permutation(len(groups))
    return texts(groups)[order], targets[order].astype(np.int64)


def shares_of(submission, groups, targets):
    """Return the student's shares, or fail if they have another form."""
    with np.errstate(all="ignore"):
        found = submission.share_by_group(groups, targets)
    names = set(np.unique(groups).tolist())
    assert isinstance(found, dict) and set(found) == names, explain(
        "share_by_group() returns a dict with an entry for each group",
        expected=f"the keys {sorted(names)}",
        received=found,
    )
    return {
        name: array(entry, (4,), f"the entry of {name!r} is (count, share, low, high)")
        for name, entry in found.items()
    }


@check(task="share_by_group")
def each_group_has_its_own_count_and_share(submission):
    rng = generator()
    sizes = {
        name: (int(count), int(rng.integers(1, count)))
        for name, count in zip("abcd", rng.integers(20, 90, 4), strict=True)
    }
    found = shares_of(submission, *groups_and_targets(rng, sizes))
    total = sum(count for count, _ in sizes.values())
    for name, (count, positives) in sizes.items():
        assert close(found[name][0], count), explain(
            f"group {name!r} has {count} rows", expected=count, received=found[name][0]
        )
        name_mistake(
            found[name][1],
            [
                ("the share is among the group's rows, not all", positives / total),
                ("the share is that of positives", 1 - positives / count),
                ("the share is a share, not a number of rows", positives),
            ],
            positives / count,
            f"{positives} of the {count} rows of group {name!r} are positive",
        )


def intervals(count, positives):
    """Return, by name of the way, the 95 % interval that it gives."""
    share = positives / count
    test = scipy.stats.binomtest(positives, count)
    wilson = test.proportion_ci(0.95, method="wilson")
    exact = test.proportion_ci(0.95, method="exact")
    normal = 1.96 * np.sqrt(share * (1 - share) / count)
    return {
        "wilson": (wilson.low, wilson.high),
        "exact": (exact.low, exact.high),
        "normal": (share - normal, share + normal),
        "one error": (share - normal / 1.96, share + normal / 1.96),
    }


@check(task="share_by_group")
def the_interval_is_wilsons(submission):
    rng = generator()
    sizes = {
        name: (int(count), int(rng.integers(2, count // 4)))
        for name, count in zip("abc", (12, 40, 300), strict=True)
    }
    found = shares_of(submission, *groups_and_targets(rng, sizes))
    for name, (count, positives) in sizes.items():
        known = intervals(count, positives)
        received = found[name][2:]
        if close(received, known["wilson"], 2e-4):
            continue
        where = f"{positives} positives of {count}"
        for way, mistake in (
            (
                "normal",
                "this is the share plus and minus 1.96 standard errors, which "
                "fails for few rows",
            ),
            ("one error", "this is the share plus and minus one standard error"),
            ("exact", "this is the exact interval by Clopper and Pearson"),
        ):
            near = close(received, np.clip(known[way], 0, 1), 2e-4)
            assert not near and not close(received, known[way], 2e-4), explain(
                f"{mistake}; Wilson's is wanted ({where})",
                expected=np.round(known["wilson"], 4).tolist(),
                received=np.round(received, 4).tolist(),
            )
        raise AssertionError(
            explain(
                f"Wilson's interval (low, high) with z = 1.96 for {where}",
                expected=np.round(known["wilson"], 4).tolist(),
                received=np.round(received, 4).tolist(),
            )
        )


@check(task="share_by_group")
def a_group_without_positives_is_not_certain(submission):
    rng = generator()
    count = int(rng.integers(8, 20))
    sizes = {"none": (count, 0), "all": (count, count), "some": (60, 20)}
    found = shares_of(submission, *groups_and_targets(rng, sizes))
    low, high = intervals(count, 0)["wilson"]
    assert close(found["none"][1:], [0, low, high], 2e-4), explain(
        f"none of {count} rows is positive: the interval must say how little that is",
        expected=[0.0, 0.0, round(high, 4)],
        received=np.round(found["none"][1:], 4).tolist(),
    )
    assert close(found["all"][1:], [1, 1 - high, 1], 2e-4), explain(
        f"all of {count} rows are positive: an interval from below 1 up to 1",
        expected=[1.0, round(1 - high, 4), 1.0],
        received=np.round(found["all"][1:], 4).tolist(),
    )


# split_rows


def folds_of(submission, targets, num_folds, seed):
    """Return the student's folds as int arrays, or fail if they have another form."""
    folds = submission.split_rows(targets, num_folds=num_folds, seed=seed)
    try:
        folds = [tuple(np.asarray(part) for part in fold) for fold in folds]
    except TypeError:
        folds = None
    ok = folds is not None and all(
        len(fold) == 3
        and all(part.ndim == 1 and part.dtype.kind in "iu" for part in fold)
        for fold in folds
    )
    assert ok, explain(
        "split_rows() returns a tuple (train, val, test) of row numbers for each fold",
        expected="a list of three int arrays each",
        received=folds,
    )
    assert len(folds) == num_folds, explain(
        "one entry for each of num_folds folds", expected=num_folds, received=len(folds)
    )
    return folds


def sorted_targets(rng):
    """Return targets whose positives stand mostly at the end, as in the loan table."""
    num_rows = int(rng.integers(400, 480))
    chance = np.where(np.arange(num_rows) < 0.8 * num_rows, 0.12, 0.4)
    return (rng.random(num_rows) < chance).astype(np.int64)


@check(task="split_rows")
def no_row_is_in_two_parts_and_none_is_lost(submission):
    rng = generator()
    targets = sorted_targets(rng)
    for train, val, test in folds_of(submission, targets, 5, 3):
        for names, (one, other) in (
            ("train and test", (train, test)),
            ("val and test", (val, test)),
            ("train and val", (train, val)),
        ):
            shared = np.intersect1d(one, other)
            assert not len(shared), explain(
                f"rows are in {names}: what is scored must not be learnt from",
                expected="no row in both",
                received=f"{len(shared)} rows, such as {shared[0]}"
                if len(shared)
                else 0,
            )
        everything = np.sort(np.concatenate([train, val, test]))
        assert np.array_equal(everything, np.arange(len(targets))), explain(
            "the three parts together are all rows, each once",
            expected=f"{len(targets)} different rows",
            received=f"{len(np.unique(everything))} different of {len(everything)}",
        )


@check(task="split_rows")
def every_row_is_tested_in_one_fold(submission):
    targets = sorted_targets(generator())
    for num_folds in (3, 5):
        folds = folds_of(submission, targets, num_folds, 1)
        tested = np.concatenate([test for _, _, test in folds])
        times = np.bincount(tested, minlength=len(targets))
        assert times.max() == times.min() == 1, explain(
            f"with {num_folds} folds, each row is in test exactly once: cut the rows "
            "into folds, don't draw test sets anew",
            expected="once each",
            received=f"{times.min()} to {times.max()} times",
        )


@check(task="split_rows")
def the_parts_have_their_sizes(submission):
    targets = sorted_targets(generator())
    fold_size = len(targets) / 5
    for train, val, test in folds_of(submission, targets, 5, 2):
        for name, part, size in (
            ("test", test, 1),
            ("val", val, 1),
            ("train", train, 3),
        ):
            assert abs(len(part) - size * fold_size) <= 2, explain(
                f"of 5 folds, {name} is {size} of 5 parts of {len(targets)} rows",
                expected=f"about {size * fold_size:.0f} rows",
                received=len(part),
            )


@check(task="split_rows")
def the_parts_have_positives_in_proportion(submission):
    targets = sorted_targets(generator())
    share = targets.mean()
    for train, val, test in folds_of(submission, targets, 5, 4):
        for name, part in (("test", test), ("val", val), ("train", train)):
            wanted = share * len(part)
            assert abs(targets[part].sum() - wanted) <= 2, explain(
                f"the split must be stratified: {share:.1%} of the rows are positive, "
                f"in {name} as in the table",
                expected=f"about {wanted:.0f} of {len(part)}",
                received=int(targets[part].sum()),
            )


@check(task="split_rows")
def the_rows_are_shuffled(submission):
    targets = sorted_targets(generator())
    folds = folds_of(submission, targets, 5, 6)
    place = np.empty(len(targets), int)  # Of a row among those of its class.
    for label in (0, 1):
        place[targets == label] = np.arange(np.sum(targets == label))
    for name, parts in (("test", 2), ("val", 1)):
        spans = []
        for fold in folds:
            places = place[fold[parts][targets[fold[parts]] == 0]]
            spans.append((places.max() - places.min() + 1) / len(places))
        assert max(spans) > 2, explain(
            f"the rows of {name} lie side by side in the file, which is sorted: shuffle",
            expected="rows from everywhere",
            received="blocks of neighbours",
        )


@check(task="split_rows")
def the_seed_decides_the_folds(submission):
    targets = sorted_targets(generator())
    one, again, other = (
        folds_of(submission, targets, 5, seed) for seed in (11, 11, 12)
    )

    def same(first, second):
        return all(
            np.array_equal(np.sort(a), np.sort(b))
            for folds in zip(first, second, strict=True)
            for a, b in zip(*folds, strict=True)
        )

    assert same(one, again), explain(
        "the same seed must give the same folds: pass it on",
        expected="equal rows",
        received="others",
    )
    assert not same(one, other), explain(
        "another seed must give other folds: use the argument, not a fixed number",
        expected="other rows",
        received="the same",
    )


# fit_pipeline and preprocessing_model

CATEGORIES = {"purpose": ("car", "boat", "house"), "home": ("rent", "own")}


def small_table(rng, num_rows=240):
    """Return columns, targets and training rows; the rest has another distribution.

    Texts stand among the numbers, and the commonest category is not the first.
    """
    columns = {
        "rate": rng.normal(0.12, 0.02, num_rows),
        "purpose": texts(
            rng.choice(CATEGORIES["purpose"], num_rows, p=[0.3, 0.1, 0.6])
        ),
        "balance": rng.normal(12_000, 4_000, num_rows),
        "home": texts(rng.choice(CATEGORIES["home"], num_rows, p=[0.7, 0.3])),
    }
    chance = 1 / (1 + np.exp(-60 * (columns["rate"] - 0.12)))
    targets = (rng.random(num_rows) < chance).astype(np.int64)
    rows = rng.permutation(num_rows)
    train = np.sort(rows[: num_rows // 2])
    for category, place in zip(CATEGORIES["purpose"], train[:3], strict=True):
        columns["purpose"][place] = category
    columns["home"][train[:2]] = CATEGORIES["home"]
    rest = rows[num_rows // 2 :]
    columns["rate"][rest] += 0.01  # Enough to be seen in a mean over all rows.
    columns["balance"][rest] *= 1.5
    return columns, targets, train, rest


def encoded(columns, rows, scaled=True, order=None):
    """Return the features that are asked for, with numbers fitted to `rows`."""
    parts = []
    for name in ("rate", "balance"):
        values = columns[name]
        mean, deviation = values[rows].mean(), values[rows].std()
        parts.append((values - mean) / deviation if scaled else values)
    for name in ("purpose", "home"):
        for category in (order or {}).get(name, sorted(CATEGORIES[name])):
            parts.append((columns[name] == category).astype(float))
    return np.stack(parts, axis=1)  # [n, 7]


def by_frequency(columns, rows):
    """Return the categories of each column of texts, the commonest first."""
    return {
        name: [
            category
            for category, _ in collections.Counter(columns[name][rows]).most_common()
        ]
        for name in CATEGORIES
    }


def seven_features(received, num_rows, what):
    """Return what was received as float64 [rows, 7]; fail if it has another form."""
    try:
        received = received.toarray() if hasattr(received, "toarray") else received
        received = np.asarray(received, np.float64)
    except (TypeError, ValueError):
        received = np.zeros(0)
    assert received.ndim == 2 and len(received) == num_rows, explain(
        f"{what} makes a row of numbers of each row",
        expected=f"shape ({num_rows}, 7)",
        received=f"shape {received.shape}",
    )
    reasons = {
        4: "a category is not a number: one column for each, not a code",
        5: "every category has a column of its own, none is dropped",
        9: "an unknown category is all zeros: it has no column of its own",
    }
    width = received.shape[1]
    assert width == 7, explain(
        reasons.get(width, "2 numbers, 3 categories and 2 more make 7 features"),
        expected="7 features",
        received=f"{width} features",
    )
    return received


def compare_features(received, columns, rows, what):
    """Fail unless the features are those asked for; name the mistake if it is known."""
    expected = encoded(columns, rows)
    received = seven_features(received, len(expected), what)
    everything = np.arange(len(expected))
    known = (
        ("computed from all rows: use the training rows alone", (everything,), {}),
        ("the numbers are not standardised", (rows,), {"scaled": False}),
        (
            "categories stand by frequency: in alphabetical order, please",
            (rows,),
            {"order": by_frequency(columns, rows)},
        ),
    )
    if close(received, expected, 2e-4):
        return
    for mistake, arguments, options in known:
        assert not close(received, encoded(columns, *arguments, **options), 2e-4), (
            explain(
                mistake, expected=expected[0].round(3), received=received[0].round(3)
            )
        )
    same_columns = close(np.sort(received, axis=1), np.sort(expected, axis=1), 2e-4)
    assert not same_columns, explain(
        "the right features in another order: first the numbers as the columns stand, "
        "then the categories",
        expected=expected[0].round(3).tolist(),
        received=received[0].round(3).tolist(),
    )
    for place, name in enumerate(("rate", "balance")):
        assert close(received[:, place], expected[:, place], 2e-4), explain(
            f"{name!r} minus its mean, over its standard deviation (n), both of the "
            "training rows",
            expected=expected[:3, place].round(3).tolist(),
            received=received[:3, place].round(3).tolist(),
        )
    raise AssertionError(
        explain(
            "a category is 1 in its own column and 0 in the others, not scaled",
            expected=expected[0, 2:].tolist(),
            received=received[0, 2:].round(3).tolist(),
        )
    )


def fitted(submission, columns, targets, rows, classifier=None):
    """Return the student's pipeline, or fail if it is none."""
    with scikit_training():  # Unscaled columns give a warning too; the check says more.
        pipeline = submission.fit_pipeline(
            columns, targets, rows, classifier or LogisticRegression(max_iter=1000)
        )
    assert isinstance(pipeline, Pipeline) and len(pipeline.steps) >= 2, explain(
        "fit_pipeline() returns a Pipeline of an encoder and the classifier",
        expected="a fitted sklearn.pipeline.Pipeline",
        received=pipeline,
    )
    return pipeline


def features_of(pipeline, columns):
    """Return what the pipeline's encoder makes of raw columns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of unknown categories, and what is done.
        return pipeline[:-1].transform(as_matrix(columns))


def says(pipeline, columns):
    """Return the probability of the positive class for raw columns: float64 [n]."""
    return pipeline.predict_proba(as_matrix(columns))[:, 1]


@check(task="fit_pipeline")
def the_pipeline_takes_raw_columns(submission):
    columns, targets, train, _ = small_table(generator())
    classifier = LogisticRegression(C=0.37)
    pipeline = fitted(submission, columns, targets, train, classifier)
    last = pipeline.steps[-1][1]
    assert isinstance(last, LogisticRegression) and last.C == 0.37, explain(
        "the last step is the classifier that was given",
        expected=classifier,
        received=last,
    )
    received = says(pipeline, columns)
    assert received.shape == targets.shape, explain(
        "a probability for each row", expected=targets.shape, received=received.shape
    )
    expected = LogisticRegression(C=0.37).fit(
        encoded(columns, train)[train], targets[train]
    )
    expected = expected.predict_proba(encoded(columns, train))[:, 1]
    assert close(received, expected, 5e-3), explain(
        "the same as encoding by hand and fitting the classifier to the training rows",
        expected=expected[:3].round(3).tolist(),
        received=received[:3].round(3).tolist(),
    )


@check(task="fit_pipeline")
def the_encoder_makes_the_features_in_order(submission):
    columns, targets, train, _ = small_table(generator())
    pipeline = fitted(submission, columns, targets, train)
    features = features_of(pipeline, columns)
    compare_features(features, columns, train, "the encoder")


@check(task="fit_pipeline")
def only_training_rows_decide(submission):
    columns, targets, train, rest = small_table(generator())
    before = says(fitted(submission, columns, targets, train), columns)[train]
    flipped = targets.copy()
    flipped[rest] = 1 - flipped[rest]
    after = says(fitted(submission, columns, flipped, train), columns)[train]
    assert close(before, after), explain(
        "the classifier learns from targets outside train_rows: a leak, fit it to the "
        "training rows alone",
        expected="the same probabilities when other rows' targets change",
        received=f"they move by up to {np.abs(before - after).max():.3f}",
    )
    other = {name: values.copy() for name, values in columns.items()}
    other["rate"][rest] *= 50
    other["balance"][rest] -= 1e6
    after = says(fitted(submission, other, targets, train), columns)[train]
    assert close(before, after), explain(
        "the scaling leaks: it was fitted to rows outside train_rows; fit the encoder "
        "to the training rows alone",
        expected="the same probabilities when other rows change",
        received=f"they move by up to {np.abs(before - after).max():.3f}",
    )


@check(task="fit_pipeline")
def an_unknown_category_is_no_error(submission):
    columns, targets, train, rest = small_table(generator())
    pipeline = fitted(submission, columns, targets, train)
    columns["purpose"][rest[0]] = "spaceship"
    try:
        features = features_of(pipeline, columns)
    except ValueError as error:
        raise AssertionError(
            explain(
                "a category that the training rows don't have must not be an error: "
                'handle_unknown="ignore"',
                expected="all zeros",
                received=str(error),
            )
        ) from None
    features = features.toarray() if hasattr(features, "toarray") else features
    received = np.asarray(features, float)[rest[0], 2:5]
    assert close(received, [0, 0, 0]), explain(
        "an unknown category is 0 in the columns of all known ones",
        expected=[0, 0, 0],
        received=received.tolist(),
    )
    columns, targets, train, rest = small_table(generator())
    columns["purpose"][rest[1]] = "rocket"  # Known to the table, not to the training.
    width = features_of(fitted(submission, columns, targets, train), columns)
    assert width.shape[1] == 7, explain(
        "a category that only other rows have gets no column: a leak",
        expected="7 features",
        received=f"{width.shape[1]} features",
    )


def preprocessing_of(submission, columns, rows):
    """Return the student's preprocessing model, or fail if it takes other inputs."""
    model = submission.preprocessing_model(columns, rows)
    assert isinstance(model, keras.Model), explain(
        "preprocessing_model() returns a Functional model",
        expected="a keras.Model",
        received=model,
    )
    inputs = getattr(model, "input", None)
    assert isinstance(inputs, dict) and set(inputs) == set(columns), explain(
        "the model takes a dict with an input for each raw column",
        expected=f"inputs {', '.join(columns)}",
        received=inputs if not isinstance(inputs, dict) else ", ".join(inputs),
    )
    for name, tensor in inputs.items():
        wanted = "string" if columns[name].dtype == object else "float32"
        assert keras.backend.standardize_dtype(tensor.dtype) == wanted, explain(
            f"the input {name!r} holds what the column holds",
            expected=wanted,
            received=tensor.dtype,
        )
        assert tuple(tensor.shape) == (None,), explain(
            f"the input {name!r} takes one value for each row, as the column has them",
            expected="shape (None,)",
            received=f"shape {tuple(tensor.shape)}",
        )
    return model


@check(task="preprocessing_model")
def the_model_makes_the_encoders_features(submission):
    columns, _, train, _ = small_table(generator())
    model = preprocessing_of(submission, columns, train)
    features = np.asarray(model(columns))
    compare_features(features, columns, train, "the model")
    assert features.dtype == np.float32, explain(
        "features are float32", expected="float32", received=features.dtype.name
    )


@check(task="preprocessing_model")
def only_training_rows_are_adapted_to(submission):
    columns, _, train, rest = small_table(generator())
    before = np.asarray(preprocessing_of(submission, columns, train)(columns))[train]
    other = {name: values.copy() for name, values in columns.items()}
    other["rate"][rest] *= 50
    other["balance"][rest] -= 1e6
    other["purpose"][rest[0]] = "rocket"
    after = np.asarray(preprocessing_of(submission, other, train)(columns))[train]
    assert before.shape == after.shape, explain(
        "a category that only other rows have got a place: a leak, look up those of the "
        "training rows alone",
        expected=f"{before.shape[1]} features",
        received=f"{after.shape[1]} features",
    )
    assert close(before, after, 1e-4), explain(
        "the scaling leaks: adapt the Normalization to the training rows alone",
        expected="the same features when other rows change",
        received=f"they move by up to {np.abs(before - after).max():.3g}",
    )


@check(task="preprocessing_model")
def unknown_texts_are_all_zeros(submission):
    columns, _, train, rest = small_table(generator())
    model = preprocessing_of(submission, columns, train)
    columns["purpose"][rest[:2]] = "spaceship", ""
    received = np.asarray(model(columns))
    assert received.shape[1] != 9, explain(
        "StringLookup keeps the first place of its one-hot output for unknown texts: "
        "cut it off",
        expected="7 features",
        received="9 features",
    )
    received = received[rest[:2], 2:5]
    assert close(received, np.zeros((2, 3))), explain(
        "a text that the training rows don't have is 0 in the columns of all known ones",
        expected="zeros",
        received=received.tolist(),
    )


@check(task="preprocessing_model")
def the_model_survives_its_file(submission):
    columns, _, train, _ = small_table(generator(), 60)
    model = preprocessing_of(submission, columns, train)
    expected = np.asarray(model(columns))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        try:
            model.save(path)
            received = np.asarray(keras.models.load_model(path)(columns))
        except Exception as error:
            first = str(error).strip().splitlines()[0] if str(error).strip() else error
            raise AssertionError(
                explain(
                    "the model can't be saved and loaded: a Lambda layer or a layer of "
                    "your own holds code, which a file must not; slices and keras.ops can",
                    expected="the same model from its .keras file",
                    received=f"{type(error).__name__}: {first}"[:100],
                )
            ) from None
    assert close(received, expected, 1e-5), explain(
        "the loaded model must make the same features",
        expected=expected[0].round(3).tolist(),
        received=received[0].round(3).tolist(),
    )


# keras_mlp: on a preprocessing model that is made here.

NUM_FEATURES = 5


def own_preprocessing(rng):
    """Return a Functional model from two raw columns to five features, and columns."""
    inputs = {
        "size": keras.Input((), dtype="float32", name="size"),
        "colour": keras.Input((), dtype="string", name="colour"),
    }
    lookup = keras.layers.StringLookup(
        vocabulary=["red", "green", "blue"], output_mode="one_hot"
    )
    scaled = keras.layers.Rescaling(0.5, -1.0)(inputs["size"][:, None])
    features = keras.layers.Concatenate()([scaled, lookup(inputs["colour"])])
    columns = {
        "size": rng.normal(2, 2, 40),
        "colour": texts(rng.choice(["red", "green", "blue", "pink"], 40)),
    }
    return keras.Model(inputs, features), columns


def models_of(submission, preprocessing, hidden_units, alpha=0.7, batch_size=25):
    """Return the student's two models, or fail if they are none."""
    pair = submission.keras_mlp(
        preprocessing, hidden_units, alpha=alpha, batch_size=batch_size
    )
    ok = (
        isinstance(pair, tuple | list)
        and len(pair) == 2
        and all(isinstance(model, keras.Model) for model in pair)
    )
    assert ok, explain(
        "keras_mlp() returns two models: the network, and the one with raw inputs",
        expected="(network, raw_model)",
        received=pair,
    )
    network, raw_model = pair
    assert network.output_shape == (None, 1) and network.input_shape == (
        None,
        NUM_FEATURES,
    ), explain(
        "the network goes from the features to one logit",
        expected=f"(None, {NUM_FEATURES}) → (None, 1)",
        received=network,
    )
    return network, raw_model


def scikit_network(rng, hidden_units, alpha=0.7):
    """Return a small MLPClassifier with random weights, and features for it."""
    features = rng.normal(size=(100, NUM_FEATURES))
    targets = (features[:, 0] * features[:, 1] > 0).astype(int)
    classifier = MLPClassifier(
        hidden_units,
        alpha=alpha,
        batch_size=25,
        max_iter=1,
        random_state=int(rng.integers(1000)),
    )
    with scikit_training():
        classifier.fit(features, targets)
    # Random weights: a network that was trained for so short could be nearly constant.
    for weights in (classifier.coefs_, classifier.intercepts_):
        weights[:] = [rng.normal(size=values.shape) for values in weights]
    logits = scipy.special.logit(classifier.predict_proba(features)[:, 1])
    classifier.intercepts_[-1] -= np.median(logits)  # Half of them negative.
    return classifier, features.astype("float32")


def with_weights(network, classifier, hidden_units):
    """Put the classifier's weights into the network; fail if the layers don't fit."""
    dense = dense_layers(network)
    widths = [layer.units for layer in dense]
    assert widths == [*hidden_units, 1], explain(
        "a dense layer for each of hidden_units, and one with one unit for the logit",
        expected=[*hidden_units, 1],
        received=widths,
    )
    for layer, *weights in zip(
        dense, classifier.coefs_, classifier.intercepts_, strict=True
    ):
        assert layer.use_bias, explain(
            "every layer has biases, as in scikit-learn",
            expected="a bias per unit",
            received="none",
        )
        layer.set_weights(weights)


@check(task="keras_mlp")
def the_network_has_scikit_learns_parameters(submission):
    rng = generator()
    preprocessing, _ = own_preprocessing(rng)
    for hidden_units in ((6,), (8, 3)):
        network, _ = models_of(submission, preprocessing, hidden_units)
        widths = [NUM_FEATURES, *hidden_units, 1]
        expected = sum(
            (n_in + 1) * n_out for n_in, n_out in zip(widths, widths[1:], strict=False)
        )
        assert network.count_params() == expected, explain(
            f"hidden_units {hidden_units} on {NUM_FEATURES} features: each layer has "
            "(inputs + 1) times units parameters",
            expected=f"{expected} parameters",
            received=f"{network.count_params()} parameters",
        )


@check(task="keras_mlp")
def with_the_same_weights_it_says_the_same(submission):
    rng = generator()
    hidden_units = (7, 4)
    preprocessing, _ = own_preprocessing(rng)
    network, _ = models_of(submission, preprocessing, hidden_units)
    classifier, features = scikit_network(rng, hidden_units)
    with_weights(network, classifier, hidden_units)
    received = np.asarray(network(features), np.float64)[:, 0]
    probability = classifier.predict_proba(features)[:, 1]
    assert not close(received, probability, 1e-3), explain(
        "the network's output is probabilities: it must return logits, the sigmoid "
        "belongs into raw_model",
        expected="logits",
        received=received[:3].round(3).tolist(),
    )
    said = 1 / (1 + np.exp(-received))
    assert close(said, probability, 1e-3), explain(
        "with the weights of an MLPClassifier the network says something else: ReLU in "
        "the hidden layers, nothing behind the last one",
        expected=probability[:3].round(3).tolist(),
        received=said[:3].round(3).tolist(),
    )


@check(task="keras_mlp")
def alpha_means_what_it_means_in_scikit_learn(submission):
    rng = generator()
    hidden_units, alpha, batch_size = (6, 4), float(rng.uniform(0.5, 5)), 25
    preprocessing, _ = own_preprocessing(rng)
    network, _ = models_of(submission, preprocessing, hidden_units, alpha, batch_size)
    classifier, _ = scikit_network(rng, hidden_units, alpha)
    classifier.intercepts_ = [bias + 1 for bias in classifier.intercepts_]
    with_weights(network, classifier, hidden_units)
    received = float(sum(np.asarray(loss) for loss in network.losses))
    squares = [float(np.sum(kernel**2)) for kernel in classifier.coefs_]
    biases = sum(float(np.sum(bias**2)) for bias in classifier.intercepts_)
    expected = alpha / (2 * batch_size) * sum(squares)
    name_mistake(
        received,
        [
            ("the network has no penalty", 0),
            (
                "alpha is not Keras's L2 factor: it is over 2 batch_size",
                alpha * sum(squares),
            ),
            ("divide alpha by the batch size too", alpha / 2 * sum(squares)),
            ("half of it: alpha over 2 batch_size", alpha / batch_size * sum(squares)),
            ("biases have no penalty", expected + alpha / (2 * batch_size) * biases),
            (
                "the output layer's kernel has a penalty too",
                alpha / (2 * batch_size) * sum(squares[:-1]),
            ),
        ],
        expected,
        "alpha / (2 batch_size) times the sum of all squared kernel weights",
    )


@check(task="keras_mlp")
def the_raw_model_is_the_network_behind_the_preprocessing(submission):
    rng = generator()
    preprocessing, columns = own_preprocessing(rng)
    network, raw_model = models_of(submission, preprocessing, (6,))
    inputs = getattr(raw_model, "input", None)
    assert isinstance(inputs, dict) and set(inputs) == {"size", "colour"}, explain(
        "raw_model takes the raw columns that preprocessing takes",
        expected="inputs size, colour",
        received=inputs,
    )
    features = np.asarray(preprocessing(columns))
    for where in ("at first", "after the network's weights have changed"):
        logits = np.asarray(network(features), np.float64)
        received = np.asarray(raw_model(columns), np.float64)
        assert received.shape == (40, 1), explain(
            "one probability for each row", expected=(40, 1), received=received.shape
        )
        if where == "at first":
            assert not close(received, logits, 1e-5), explain(
                "raw_model returns probabilities: the sigmoid of the logits",
                expected="in [0, 1]",
                received=received[:3, 0].round(3).tolist(),
            )
        expected = 1 / (1 + np.exp(-logits))
        assert close(received, expected, 1e-5), explain(
            f"raw_model is preprocessing, network and sigmoid, with the network's own "
            f"layers ({where})",
            expected=expected[:3, 0].round(3).tolist(),
            received=received[:3, 0].round(3).tolist(),
        )
        for layer in dense_layers(network):
            layer.set_weights([rng.normal(size=w.shape) for w in layer.get_weights()])


# undo_weights


def weighted_case(rng, size=50):
    """Return probabilities, weights, and what training with these makes of them."""
    share = rng.uniform(0.1, 0.25)
    weights = {0: 0.5 / (1 - share), 1: 0.5 / share}
    truth = rng.uniform(0.01, 0.7, size)
    # A weight counts like so many rows: weighted positives over all weighted rows.
    weighted = truth * weights[1] / (truth * weights[1] + (1 - truth) * weights[0])
    return truth, weights, weighted


def undone(submission, probabilities, weights):
    """Return the student's probabilities: float64 [n]."""
    with np.errstate(all="ignore"):
        value = submission.undo_weights(probabilities, weights)
    return array(value, probabilities.shape, "one probability for each")


@check(task="undo_weights")
def the_odds_shrink_by_the_ratio_of_the_weights(submission):
    truth, weights, weighted = weighted_case(generator())
    received = undone(submission, weighted, weights)
    again = (
        weighted * weights[1] / (weighted * weights[1] + (1 - weighted) * weights[0])
    )
    for mistake, value in (
        ("this applies the weights a second time", again),
        ("dividing probabilities is not enough: odds shrink", weighted / weights[1]),
        ("a factor on probabilities: odds shrink", weighted * weights[0] / weights[1]),
        ("nothing was undone", weighted),
        ("these are odds, not probabilities", truth / (1 - truth)),
    ):
        assert not close(received, value), explain(
            mistake, expected=truth[:3].round(4), received=received[:3].round(4)
        )
    assert close(received, truth), explain(
        "with the weights the odds p / (1 - p) were w1 / w0 times as large",
        expected=truth[:3].round(4),
        received=received[:3].round(4),
    )


@check(task="undo_weights")
def certainty_and_order_stay(submission):
    _, weights, weighted = weighted_case(generator())
    scores = np.sort(np.concatenate([[0.0, 1.0], weighted]))
    received = undone(submission, scores, weights)
    assert close(received[[0, -1]], [0, 1]), explain(
        "0 and 1 stay what they are", expected=[0, 1], received=received[[0, -1]]
    )
    assert np.all(np.diff(received) >= 0), explain(
        "the order of the rows stays", expected="growing", received="not growing"
    )


@check(task="undo_weights")
def only_the_ratio_of_the_weights_counts(submission):
    _, weights, weighted = weighted_case(generator())
    twice = {label: 2 * weight for label, weight in weights.items()}
    first = undone(submission, weighted, weights)
    second = undone(submission, weighted, twice)
    assert close(first, second), explain(
        "weights of 2 and 6 do the same as 1 and 3",
        expected=first[:3].round(4),
        received=second[:3].round(4),
    )
    equal = undone(submission, weighted, {0: 3.0, 1: 3.0})
    assert close(equal, weighted), explain(
        "equal weights change nothing",
        expected=weighted[:3].round(4),
        received=equal[:3].round(4),
    )


# roc_auc and average_precision


def scored_rows(rng, num_rows=300, decimals=None):
    """Return targets and scores that are a little better than chance."""
    targets = (rng.random(num_rows) < 0.2).astype(np.int64)
    targets[:2] = 0, 1
    scores = rng.normal(size=num_rows) + 0.8 * targets
    return targets, scores if decimals is None else np.round(scores, decimals)


def by_pairs(targets, scores, tie=0.5):
    """Return the AUC by comparing every positive with every negative."""
    positive, negative = scores[targets == 1], scores[targets == 0]
    difference = positive[:, None] - negative
    return float(np.mean((difference > 0) + tie * (difference == 0)))


@check(task="roc_auc")
def the_auc_counts_pairs(submission):
    targets, scores = scored_rows(generator())
    received = number(submission.roc_auc(targets, scores), "the AUC")
    expected = by_pairs(targets, scores)
    name_mistake(
        received,
        [
            ("upside down: a positive should have the higher score", 1 - expected),
            ("this is the accuracy at a threshold", np.mean((scores > 0.5) == targets)),
            (
                "this is the average precision",
                metrics.average_precision_score(targets, scores),
            ),
            (
                "a share of pairs, not their number",
                expected * np.sum(targets) * np.sum(1 - targets),
            ),
        ],
        expected,
        "the share of pairs (a positive, a negative) in the right order",
    )


@check(task="roc_auc")
def a_tie_is_half_a_pair(submission):
    targets, scores = scored_rows(generator(), decimals=0)
    expected = by_pairs(targets, scores)
    for changed in (np.arange(len(targets)), np.argsort(targets), np.argsort(-targets)):
        received = number(
            submission.roc_auc(targets[changed], scores[changed]), "the AUC"
        )
        name_mistake(
            received,
            [
                ("a tie counts one half, not nothing", by_pairs(targets, scores, 0)),
                ("a tie counts one half, not one", by_pairs(targets, scores, 1)),
            ],
            expected,
            "equal scores: each such pair counts one half, in whatever order rows come",
        )


@check(task="roc_auc")
def only_the_order_of_the_scores_matters(submission):
    targets, scores = scored_rows(generator())
    first = number(submission.roc_auc(targets, scores), "the AUC")
    for name, other in (
        ("exp(score)", np.exp(scores)),
        ("score / 1000", scores / 1000),
        ("ranks", scipy.stats.rankdata(scores).astype(int)),
    ):
        received = number(submission.roc_auc(targets, other), "the AUC")
        assert close(received, first), explain(
            f"the AUC of {name} is that of the scores: no threshold comes into it",
            expected=first,
            received=received,
        )
    constant = number(submission.roc_auc(targets, np.zeros(len(targets))), "the AUC")
    assert close(constant, 0.5), explain(
        "the same score for all rows orders nothing", expected=0.5, received=constant
    )


@check(task="average_precision")
def precision_is_added_where_a_positive_is_found(submission):
    targets, scores = scored_rows(generator())
    received = number(submission.average_precision(targets, scores), "the result")
    expected = metrics.average_precision_score(targets, scores)
    precision, recall, _ = metrics.precision_recall_curve(targets, scores)
    found = np.cumsum(targets[np.argsort(-scores)])
    name_mistake(
        received,
        [
            (
                "upside down: the highest score comes first",
                metrics.average_precision_score(targets, -scores),
            ),
            (
                "this is the area by trapezoids, which is too kind",
                metrics.auc(recall, precision),
            ),
            (
                "a mean of the precision over all rows; only where recall grows",
                np.mean(found / np.arange(1, len(found) + 1)),
            ),
            ("this is the ROC AUC", by_pairs(targets, scores)),
            (
                "divide by the number of positives, not of rows",
                expected * np.mean(targets),
            ),
        ],
        expected,
        "the sum of (R_n - R_{n-1}) P_n, from the highest score down",
    )


@check(task="average_precision")
def equal_scores_are_one_threshold(submission):
    rng = generator()
    targets, scores = scored_rows(rng, decimals=0)
    expected = metrics.average_precision_score(targets, scores)
    orders = (rng.permutation(len(targets)), np.argsort(targets), np.argsort(-targets))
    for order in orders:
        received = number(
            submission.average_precision(targets[order], scores[order]), "the result"
        )
        assert close(received, expected), explain(
            "rows with equal scores pass the threshold together: the result must not "
            "depend on the order in which they stand",
            expected=expected,
            received=received,
        )


@check(task="average_precision")
def chance_level_is_the_share_of_positives(submission):
    targets, _ = scored_rows(generator())
    received = number(
        submission.average_precision(targets, np.full(len(targets), 0.3)), "the result"
    )
    expected = float(np.mean(targets))
    assert close(received, expected), explain(
        "with one score for all rows there is one threshold, at which the precision is "
        "the share of positives",
        expected=expected,
        received=received,
    )
    best = number(submission.average_precision(targets, targets * 1.0), "the result")
    assert close(best, 1), explain(
        "all positives above all negatives", expected=1, received=best
    )


# calibration_curve


def curve_of(submission, targets, probabilities, num_bins):
    """Return the student's three arrays, or fail if they have another form."""
    with np.errstate(all="ignore"):
        curve = submission.calibration_curve(targets, probabilities, num_bins)
    assert isinstance(curve, tuple | list) and len(curve) == 3, explain(
        "calibration_curve() returns three arrays",
        expected="(predicted, observed, counts)",
        received=curve,
    )
    return [
        array(part, (num_bins,), f"{name} has one number for each of {num_bins} bins")
        for part, name in zip(curve, ("predicted", "observed", "counts"), strict=True)
    ]


def uncertain_rows(rng, num_rows):
    """Return targets and probabilities, most of them small, in no order."""
    probabilities = rng.beta(1.2, 6, num_rows)
    return (rng.random(num_rows) < probabilities**1.5).astype(np.int64), probabilities


@check(task="calibration_curve")
def bins_have_equal_size(submission):
    rng = generator()
    targets, probabilities = uncertain_rows(rng, 403)
    _, _, counts = curve_of(submission, targets, probabilities, 8)
    width = np.histogram(probabilities, 8, (0, 1))[0]
    assert not close(counts, width), explain(
        "bins of equal width: nearly all rows fall into the first ones; cut the sorted "
        "rows into bins of equal size",
        expected="50 or 51 rows each",
        received=counts.astype(int).tolist(),
    )
    assert counts.sum() == 403, explain(
        "every row is in a bin",
        expected="403 rows",
        received=f"{counts.sum():.0f} rows",
    )
    assert counts.max() - counts.min() <= 1, explain(
        "bins differ by one row at most",
        expected="50 or 51 rows each",
        received=counts.astype(int).tolist(),
    )


@check(task="calibration_curve")
def each_bin_compares_what_was_said_with_what_came(submission):
    rng = generator()
    targets, probabilities = uncertain_rows(rng, 400)
    predicted, observed, _ = curve_of(submission, targets, probabilities, 8)
    order = sorted(range(400), key=lambda row: probabilities[row])
    bins = [order[start : start + 50] for start in range(0, 400, 50)]
    said = [sum(probabilities[row] for row in rows) / 50 for rows in bins]
    came = [sum(targets[row] for row in rows) / 50 for rows in bins]
    unsorted = probabilities.reshape(8, 50).mean(axis=1)
    assert not close(predicted, unsorted), explain(
        "sort the rows by probability before you cut them into bins",
        expected=np.round(said, 3).tolist(),
        received=predicted.round(3).tolist(),
    )
    assert not (close(predicted, came) and close(observed, said)), explain(
        "predicted comes first, then observed",
        expected=np.round(said, 3).tolist(),
        received=predicted.round(3).tolist(),
    )
    assert close(predicted, said), explain(
        "predicted is the mean probability in each bin, not its middle or its edge",
        expected=np.round(said, 3).tolist(),
        received=predicted.round(3).tolist(),
    )
    by_answer = [np.mean([probabilities[r] >= 0.5 for r in rows]) for rows in bins]
    assert not (close(observed, by_answer) and not close(came, by_answer)), explain(
        "observed is the share of targets that are 1, not of answers",
        expected=np.round(came, 3).tolist(),
        received=observed.round(3).tolist(),
    )
    assert close(observed, came), explain(
        "observed is the share of positives among the rows of each bin, which must be "
        "sorted together with the probabilities",
        expected=np.round(came, 3).tolist(),
        received=observed.round(3).tolist(),
    )
