"""What right answers to data_validation promise."""

import contextlib
import time
import types

import numpy as np
from scipy import stats
from scipy.fft import dct
from scipy.spatial.distance import cdist

from tfcourse.checking import check, explain

SETS = ("train", "val", "test")


def new_generator():
    """Return a generator that follows the seed of the checks."""
    return np.random.default_rng(np.random.randint(2**31))


def number(value, what, low=-np.inf, high=np.inf):
    """Return a student's number as a float, or fail with what it should have been."""
    try:
        received = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        received = None
    is_number = received is not None and received.shape == () and value is not None
    assert is_number and low <= received <= high, explain(
        f"{what} is one number" + (" from 0 to 1" if high == 1 else ""),
        expected="a float",
        received=value,
    )
    return float(received)


def p_value(value):
    """Return a student's p-value as a float."""
    return number(value, "a p-value", -1e-9, 1)


def array(value, shape, what):
    """Return a student's array, or fail with what it should have been."""
    try:
        received = np.asarray(value)
        is_plain = received.dtype.kind in "biuf"
    except (TypeError, ValueError):
        is_plain = False
    assert is_plain and value is not None and received.shape == shape, explain(
        f"{what}: the form is not right",
        expected=f"an array of shape {shape}",
        received=received.shape if is_plain and value is not None else value,
    )
    return received


def flags(value, shape, what):
    """Return a student's bool array, or fail with what it should have been."""
    received = array(value, shape, what)
    assert received.dtype == bool, explain(
        f"{what} says yes or no", expected="dtype bool", received=received.dtype
    )
    return received


def pixels(rng, *shape):
    """Return random uint8 pixels."""
    return rng.integers(0, 256, shape, dtype=np.uint8)


def unchanged(arrays, copies, what):
    """Fail if a function wrote into its arguments."""
    same = all(a.tobytes() == b.tobytes() for a, b in zip(arrays, copies, strict=True))
    assert same, explain(
        f"{what} changed the arrays that it was given: work on a copy",
        expected="inputs as they were",
        received="other values",
    )


# schema_problems ------------------------------------------------------------------------

PROBLEMS = {
    "count": "there are not as many labels as images",
    "shape": "the shape of one image counts, not how many there are",
    "dtype": "the dtype of the images is compared with the schema's",
    "not_finite": "a pixel that is infinite or not a number",
    "range": "a pixel outside schema.low to schema.high, both of which are allowed",
    "labels": "labels are integers of any width from 0 to num_classes - 1",
}


def compare_problems(submission, images, labels, schema, expected, what):
    """Fail if the student finds other problems than the expected ones."""
    before = images.copy(), labels.copy()
    received = submission.schema_problems(images, labels, schema)
    unchanged((images, labels), before, "schema_problems()")
    assert isinstance(received, set | frozenset), explain(
        "schema_problems() returns a set of names", expected="a set", received=received
    )
    for name in sorted(PROBLEMS.keys() & (received ^ expected)):
        verb = "missed" if name in expected else "found where it is not"
        raise AssertionError(
            explain(
                f"{what}: {name!r} was {verb} ({PROBLEMS[name]})",
                expected=sorted(expected),
                received=sorted(map(str, received)),
            )
        )
    assert received == expected, explain(
        f"{what}: a problem's name is one of {', '.join(PROBLEMS)}",
        expected=sorted(expected),
        received=sorted(map(str, received)),
    )


def new_schema(shape=(6, 5, 3), dtype="uint8", low=0.0, high=255.0, num_classes=4):
    return types.SimpleNamespace(
        image_shape=shape, num_classes=num_classes, dtype=dtype, low=low, high=high
    )


@check(task="schema_problems")
def a_sound_set_has_no_problem(submission):
    rng = new_generator()
    schema = new_schema()
    images = pixels(rng, 12, 6, 5, 3)
    images[0, 0, 0] = 0, 255, 255
    for dtype in (np.int64, np.int32, np.uint8):
        labels = np.arange(12, dtype=dtype) % 4
        what = f"a sound set with labels of {np.dtype(dtype)}"
        compare_problems(submission, images, labels, schema, set(), what)
    schema = new_schema(dtype="float32", low=-1.0, high=1.0)
    images = rng.uniform(-1, 1, (12, 6, 5, 3)).astype("float32")
    images[0, 0, 0], labels = (-1, 1, 0), np.zeros(12, np.int64)
    compare_problems(submission, images, labels, schema, set(), "a sound set of floats")


@check(task="schema_problems")
def each_problem_is_found_alone(submission):
    rng = new_generator()
    schema = new_schema(dtype="float32", low=0.0, high=1.0)
    images = rng.uniform(0, 1, (12, 6, 5, 3)).astype("float32")
    labels = rng.integers(0, 4, 12)
    # Each broken pixel hides in a set that is sound otherwise.
    where = tuple(rng.integers(0, images.shape))

    def with_pixel(value):
        changed = images.copy()
        changed[where] = value
        return changed

    def with_label(value):
        changed = labels.copy()
        changed[rng.integers(12)] = value
        return changed

    cases = (
        ("one label too few", images, labels[:-1], {"count"}),
        ("rows and columns exchanged", images.swapaxes(1, 2), labels, {"shape"}),
        ("images of one channel", images[..., :1], labels, {"shape"}),
        ("images without channels", images[..., 0], labels, {"shape"}),
        ("float64 for float32", images.astype("float64"), labels, {"dtype"}),
        ("one pixel is not a number", with_pixel(np.nan), labels, {"not_finite"}),
        ("one pixel is infinite", with_pixel(np.inf), labels, {"not_finite"}),
        ("one pixel is minus infinity", with_pixel(-np.inf), labels, {"not_finite"}),
        ("one pixel is a little too large", with_pixel(1.01), labels, {"range"}),
        ("one pixel is negative", with_pixel(-0.01), labels, {"range"}),
        ("one label is num_classes", images, with_label(4), {"labels"}),
        ("one label is negative", images, with_label(-1), {"labels"}),
        ("labels are floats", images, labels.astype("float32"), {"labels"}),
    )
    for what, some_images, some_labels, expected in cases:
        compare_problems(submission, some_images, some_labels, schema, expected, what)


@check(task="schema_problems")
def one_problem_hides_no_other(submission):
    rng = new_generator()
    schema = new_schema()
    images = rng.uniform(300, 400, (12, 7, 5, 3)).astype("float32")
    images[3, 2, 1, 0] = np.nan
    what = "floats of another shape, too large, one not a number, labels from 1"
    compare_problems(submission, images, np.full(11, 4), schema, set(PROBLEMS), what)
    what = "not a number beside a negative pixel"
    images = rng.uniform(0, 1, (12, 6, 5, 3)).astype("float32")
    images[1, 0, 0], images[2, 0, 0] = np.nan, -3
    expected = {"dtype", "not_finite", "range"}
    compare_problems(submission, images, np.zeros(12, int), schema, expected, what)


# balance_p_value ------------------------------------------------------------------------


def counts_to_labels(rng, counts):
    return rng.permutation(np.repeat(np.arange(len(counts)), counts))


@check(task="balance_p_value")
def it_is_pearsons_chi_squared_test(submission):
    rng = new_generator()
    for _ in range(4):
        shares = rng.dirichlet(np.full(5, 8.0))
        labels = rng.choice(5, 400, p=rng.dirichlet(200 * shares))
        counts = np.bincount(labels, minlength=5)
        expected = float(stats.chisquare(counts, 400 * shares).pvalue)
        given = labels.copy(), shares.copy()
        received = p_value(submission.balance_p_value(*given))
        unchanged(given, (labels, shares), "balance_p_value()")
        statistic = stats.chisquare(counts, 400 * shares).statistic
        wrong = {
            "the degrees of freedom are the number of classes minus 1": stats.chi2.sf(
                statistic, 5
            ),
            "the p-value is the upper tail, not the lower": stats.chi2.cdf(
                statistic, 4
            ),
            "expect n times each class's own share, not equal counts": stats.chisquare(
                counts
            ).pvalue,
            "use counts, not shares: a share says nothing about n": stats.chi2.sf(
                statistic / 400, 4
            ),
            "divide by what was expected, not by what was observed": stats.chi2.sf(
                np.sum((counts - 400 * shares) ** 2 / np.maximum(counts, 1)), 4
            ),
        }
        same = np.isclose(received, expected, rtol=1e-4, atol=1e-12)
        for mistake, value in wrong.items():
            is_it = np.isclose(received, value, rtol=1e-5, atol=1e-12)
            assert same or not is_it, explain(
                mistake, expected=expected, received=received
            )
        assert same, explain(
            f"not the p-value of Pearson's test on the counts {counts.tolist()}",
            expected=expected,
            received=received,
        )


@check(task="balance_p_value")
def a_class_that_never_occurs_counts(submission):
    rng = new_generator()
    shares = np.full(6, 1 / 6)
    for absent in (5, 0):
        counts = np.full(6, 60)
        counts[absent] = 0
        received = p_value(
            submission.balance_p_value(counts_to_labels(rng, counts), shares)
        )
        expected = float(stats.chisquare(counts, 50.0).pvalue)
        assert np.isclose(received, expected, rtol=1e-4, atol=1e-14), explain(
            f"class {absent} of 6 is absent and the others are balanced: an absent class "
            "has a count of 0, and it is what the test must see",
            expected=expected,
            received=received,
        )


# order_p_value --------------------------------------------------------------------------


def runs_test(labels):
    """Return mean and variance of the number of runs, from pairs of neighbours."""
    n = len(labels)
    counts = np.unique(labels, return_counts=True)[1].astype(float)
    two = counts * (counts - 1)
    same = two.sum() / (n * (n - 1))  # Two rows are alike.
    three = (two * (counts - 2)).sum() / (n * (n - 1) * (n - 2))
    four = (two * (counts - 2) * (counts - 3)).sum() + two.sum() ** 2 - (two**2).sum()
    four /= n * (n - 1) * (n - 2) * (n - 3)
    mean = (n - 1) * same
    square = mean + 2 * (n - 2) * three + (n - 2) * (n - 3) * four
    return n - mean, square - mean**2


@check(task="order_p_value")
def it_is_the_runs_test_with_exact_mean_and_variance(submission):
    rng = new_generator()
    for counts in ([30, 20, 25, 9], [40, 41], [12] * 10, [0, 50, 0, 20]):
        labels = counts_to_labels(rng, counts)
        # A few neighbours brought together, so that p is neither 0 nor 1.
        front = rng.permutation(len(labels))[: len(labels) // 8]
        labels = np.concatenate([np.sort(labels[front]), np.delete(labels, front)])
        mean, variance = runs_test(labels)
        runs = 1 + np.sum(labels[1:] != labels[:-1])
        z = (runs - mean) / np.sqrt(variance)
        expected = float(stats.norm.cdf(z))
        received = p_value(submission.order_p_value(labels.copy()))
        wrong = {
            "few runs are the alarm, so the p-value is the lower tail": stats.norm.sf(
                z
            ),
            "the test is one-sided: order makes runs fewer": 2 * stats.norm.sf(abs(z)),
            "divide by the standard deviation, the root of the variance": stats.norm.cdf(
                runs, mean, variance
            ),
            "count the first run as well: it has no label before it": stats.norm.cdf(
                runs - 1, mean, np.sqrt(variance)
            ),
        }
        for mistake, value in wrong.items():
            is_it = np.isclose(received, value, rtol=1e-3)
            assert not is_it or np.isclose(value, expected, rtol=1e-2), explain(
                mistake, expected=expected, received=received
            )
        # A continuity correction, or a permutation test, would be as right.
        assert abs(received - expected) < 0.005 or np.isclose(
            received, stats.norm.cdf((runs + 0.5 - mean) / np.sqrt(variance)), rtol=1e-3
        ), explain(
            f"{runs} runs among class counts {counts}: mean {mean:.2f} and variance "
            f"{variance:.2f} in a random order",
            expected=expected,
            received=received,
        )


@check(task="order_p_value")
def order_is_seen_and_chance_is_not(submission):
    rng = new_generator()
    labels = rng.integers(0, 10, 4000)
    received = p_value(submission.order_p_value(np.sort(labels)))
    assert received < 1e-9, explain(
        "4,000 labels sorted by class: the p-value must be next to 0 (integer cubes of "
        "large counts can overflow)",
        expected="below 1e-9",
        received=received,
    )
    received = p_value(submission.order_p_value(np.tile(np.arange(10), 400)))
    assert received > 0.999, explain(
        "labels that never repeat have more runs than by chance: no sign of this leak",
        expected="next to 1",
        received=received,
    )
    values = [
        p_value(submission.order_p_value(rng.permutation(labels[:500])))
        for _ in range(60)
    ]
    low, high = stats.binom.ppf([1e-7, 1 - 1e-7], 60, 0.5)
    count = np.sum(np.array(values) < 0.5)
    assert low <= count <= high, explain(
        "in random order half of the p-values lie below a half",
        expected=f"{low:.0f} to {high:.0f} of 60",
        received=int(count),
    )


# copies ---------------------------------------------------------------------------------


@check(task="copies")
def every_copy_is_found_and_nothing_else(submission):
    rng = new_generator()
    first = pixels(rng, 40, 5, 4, 3)
    second = pixels(rng, 15, 5, 4, 3)
    places = rng.permutation(15)[:6]
    second[places] = first[rng.permutation(40)[:6]]
    second[places[1]] = second[places[0]]  # Two copies of one image.
    almost = [k for k in range(15) if k not in places][:3]
    second[almost[0]] = first[3]
    second[almost[0], 2, 2, 1] ^= 1  # One bit of one pixel.
    second[almost[1]] = np.sort(first[4].ravel()).reshape(5, 4, 3)  # Same values.
    second[almost[2]] = first[5][::-1]  # Same rows.
    twice = [k for k in range(15) if k not in places][3:5]
    second[twice[0]] = second[twice[1]]  # Not in the first set.
    expected = np.zeros(15, bool)
    expected[places] = True
    before = first.copy(), second.copy()
    received = flags(submission.copies(first, second), (15,), "an entry for each image")
    unchanged((first, second), before, "copies()")
    inside = [k for k in range(15) if received[k] and not expected[k]]
    near = set(inside) & {almost[0]}
    assert not near, explain(
        "an image that differs in one bit of one pixel is no copy: compare all pixels as "
        "they are",
        expected=False,
        received=True,
    )
    assert not set(inside) & {*almost[1:]}, explain(
        "the same values at other places are another image: sums and sorted values don't "
        "tell",
        expected=False,
        received=True,
    )
    assert not inside, explain(
        "an image that occurs twice in the second set, and not in the first, is no copy "
        "of the first",
        expected=False,
        received=True,
    )
    assert np.array_equal(received, expected), explain(
        "copies were missed, of which some occur more than once, at any place",
        expected=np.flatnonzero(expected).tolist(),
        received=np.flatnonzero(received).tolist(),
    )


@check(task="copies")
def floats_views_and_other_orders_are_fine(submission):
    rng = new_generator()
    first = rng.normal(size=(20, 3, 4, 3)).astype("float32")
    second = first[::-1].copy()
    second[::2] += np.float32(1e-3)
    for what, one, other in (
        ("floats that differ by a thousandth", first, second),
        ("a view with other strides", first[:, :, ::-1], second[:, :, ::-1]),
        ("arrays in Fortran's order", np.asfortranarray(first), second),
    ):
        received = flags(
            submission.copies(one, other), (20,), "an entry for each image"
        )
        assert np.array_equal(received, np.arange(20) % 2 == 1), explain(
            f"{what}: every second one is a copy",
            expected=np.arange(1, 20, 2).tolist(),
            received=np.flatnonzero(received).tolist(),
        )
    received = flags(submission.copies(first, first[:0]), (0,), "no image, no entry")
    received = flags(submission.copies(first[:0], first), (20,), "nothing to copy")
    assert not received.any(), explain(
        "the first set is empty", expected="no copy", received=int(received.sum())
    )


@check(task="copies")
def many_images_take_no_time(submission):
    rng = new_generator()
    first, second = pixels(rng, 3000, 8, 8, 3), pixels(rng, 3000, 8, 8, 3)
    second[17] = first[2999]
    started = time.process_time()
    {image.tobytes() for image in first}.intersection(x.tobytes() for x in second)
    own_seconds = time.process_time() - started
    started = time.process_time()
    received = submission.copies(first, second)
    seconds = time.process_time() - started
    received = flags(received, (3000,), "an entry for each image")
    assert np.flatnonzero(received).tolist() == [17], explain(
        "one image of 3,000 is a copy",
        expected=[17],
        received=np.flatnonzero(received)[:5].tolist(),
    )
    assert seconds < 0.1 + 20 * own_seconds, explain(
        "each image was compared with all others: look it up in a set instead",
        expected=f"about {own_seconds:.3f} s",
        received=f"{seconds:.1f} s",
    )


# perceptual_hash ------------------------------------------------------------------------


def smooth_images(rng, count, size=32):
    """Return random smooth colour images as floats, 0 to 255."""
    coarse = rng.normal(size=(count, 12, 12, 3)).cumsum(axis=1).cumsum(axis=2)
    grid = np.linspace(0, 11, size)
    low = np.minimum(grid.astype(int), 10)
    part = (grid - low)[:, None, None]
    rows = coarse[:, low] * (1 - part) + coarse[:, low + 1] * part
    part = (grid - low)[:, None]
    images = rows[:, :, low] * (1 - part) + rows[:, :, low + 1] * part
    images -= images.min(axis=(1, 2, 3), keepdims=True)
    return 40 + 160 * images / images.max(axis=(1, 2, 3), keepdims=True)


def true_hash(images):
    """Return the hash by matrices of cosines, one image after the other."""
    bits = []
    for image in np.asarray(images, np.float64).mean(axis=-1):
        rows, columns = (dct(np.eye(k), axis=0)[1:9] for k in image.shape)
        low = (rows @ image @ columns.T).ravel()
        bits.append((low > np.median(low), low))
    return np.array([b for b, _ in bits]), np.array([low for _, low in bits])


def hashes_of(submission, images):
    before = images.copy()
    received = submission.perceptual_hash(images)
    unchanged((images,), (before,), "perceptual_hash()")
    return flags(received, (len(images), 64), "64 bits for each image")


@check(task="perceptual_hash")
def bits_are_signs_of_low_frequencies_about_their_median(submission):
    rng = new_generator()
    for shape in ((32, 32), (28, 20)):
        size = max(shape)
        images = smooth_images(rng, 12, size)[:, : shape[0], : shape[1]]
        images = images.astype(np.uint8)
        received = hashes_of(submission, images)
        expected, low = true_hash(images)
        swapped = expected.reshape(-1, 8, 8).swapaxes(1, 2).reshape(-1, 64)
        # The coefficients next to the median may fall on either side by rounding.
        clear = np.abs(low - np.median(low, axis=1, keepdims=True)) > 1e-6
        wrong = {
            "the bits are inverted: a bit is set above the median": ~expected,
            "compare with the median of the image's own 64 coefficients, not with 0": low
            > 0,
            "compare with the median of each image, not of all images": low
            > np.median(low),
            "compare with the median, not the mean": low
            > low.mean(axis=1, keepdims=True),
            "columns and rows are exchanged: the bits are in another order": swapped,
        }
        same = np.array_equal(received & clear, expected & clear)
        for mistake, bits in wrong.items():
            is_it = np.array_equal(received & clear, bits & clear)
            assert same or not is_it, explain(
                mistake, expected=expected[0, :8], received=received[0, :8]
            )
        shifted = np.asarray(images, np.float64).mean(axis=-1)
        rows, columns = (dct(np.eye(k), axis=0)[:8] for k in shifted.shape[1:])
        zero = np.einsum("ki,nij,lj->nkl", rows, shifted, columns).reshape(-1, 64)
        with_mean = zero > np.median(zero, axis=1, keepdims=True)
        assert same or np.mean(received == with_mean) < 0.99, explain(
            "frequencies 1 to 8, not 0 to 7: those of frequency 0 tell a gradient of "
            "light, and the mean",
            expected=expected[0, :8],
            received=received[0, :8],
        )
        share = np.mean(received == expected)
        assert same, explain(
            f"images of {shape[0]} by {shape[1]}: not the bits of the cosine transform "
            "along rows and columns of each grey image",
            expected="64 bits of 64",
            received=f"{64 * share:.1f} agree, on average",
        )


@check(task="perceptual_hash")
def light_and_noise_change_few_bits(submission):
    rng = new_generator()
    images = smooth_images(rng, 40)
    original = hashes_of(submission, images.round().astype(np.uint8))
    for what, changed, most in (
        ("brighter and flatter", 0.8 * images + 30, 8),
        ("a little noise", images + rng.normal(0, 2, images.shape), 14),
        ("in [0, 1] as floats", images.round() / 255, 4),
    ):
        if "floats" not in what:
            changed = changed.clip(0, 255).round().astype(np.uint8)
        distances = (original != hashes_of(submission, changed)).sum(axis=1)
        assert np.median(distances) <= most, explain(
            f"the same images, {what}: most bits must stay",
            expected=f"at most {most} bits of 64 change",
            received=float(np.median(distances)),
        )
    others = cdist(original, original, "hamming")[~np.eye(40, dtype=bool)] * 64
    assert 24 <= np.median(others) <= 40, explain(
        "two different images differ in about half of the bits",
        expected="about 32 bits",
        received=float(np.median(others)),
    )


# overlap_p_value ------------------------------------------------------------------------


def disjoint_pairs(rng, num_rows, num_pairs):
    return rng.permutation(num_rows)[: 2 * num_pairs].reshape(-1, 2)


@check(task="overlap_p_value")
def it_is_the_chance_of_so_many_pairs_across(submission):
    rng = new_generator()
    for sizes in ([200, 100, 60], [150, 150], [30, 90, 40, 20]):
        groups = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
        across = 12
        while across == 12:  # Half of them: then several mistakes look alike.
            pairs = disjoint_pairs(rng, len(groups), 24)
            across = int(np.sum(groups[pairs[:, 0]] != groups[pairs[:, 1]]))
        n = len(groups)
        # All pairs of rows, counted one by one.
        inside = sum(int(np.sum(groups[k + 1 :] == groups[k])) for k in range(n))
        chance = 1 - inside / (n * (n - 1) / 2)
        expected = stats.binomtest(across, 24, chance, alternative="greater").pvalue
        given = pairs.copy(), groups.copy()
        received = p_value(submission.overlap_p_value(*given))
        unchanged(given, (pairs, groups), "overlap_p_value()")
        shares = np.array(sizes) / n
        with_replacement = 1 - np.sum(shares**2)
        wrong = {
            "count so many or more: sf(k) leaves k itself out": stats.binom.sf(
                across, 24, chance
            ),
            "the p-value is the upper tail: pairs across are the leak": stats.binom.cdf(
                across, 24, chance
            ),
            "this is the chance within a set, not across sets": stats.binom.sf(
                across - 1, 24, 1 - chance
            ),
            "sets differ in size, and so does the chance to be across": stats.binom.sf(
                across - 1, 24, 1 - 1 / len(sizes)
            ),
            "the two images of a pair are different ones: n - 1 are left for the second, "
            "n_g - 1 of them in the same set": stats.binom.sf(
                across - 1, 24, with_replacement
            ),
            "a pair across would be an alarm by itself: images look alike by chance "
            "too": 1 - (1 - chance) ** 24,
        }
        for mistake, value in wrong.items():
            is_it = np.isclose(received, value, rtol=1e-5)
            assert not is_it or np.isclose(value, expected, rtol=1e-4), explain(
                mistake, expected=expected, received=received
            )
        assert np.isclose(received, expected, rtol=1e-4), explain(
            f"{across} of 24 pairs lie across sets of {sizes} images; chance across "
            f"{chance:.4f}",
            expected=expected,
            received=received,
        )


@check(task="overlap_p_value")
def without_a_pair_there_is_no_alarm(submission):
    groups = np.repeat([0, 1, 2], [8, 5, 5])
    none = np.zeros((0, 2), np.int64)
    received = p_value(submission.overlap_p_value(none, groups))
    assert received > 0.999, explain(
        "no images look alike", expected=1.0, received=received
    )
    rng = new_generator()
    inside = np.arange(6).reshape(3, 2)
    received = p_value(submission.overlap_p_value(inside, groups))
    assert received > 0.999, explain(
        "all pairs lie within one set", expected=1.0, received=received
    )
    groups = rng.permutation(np.repeat([0, 1, 2], [800, 400, 400]))
    across = [[np.flatnonzero(groups == g)[k] for g in (0, 2)] for k in range(60)]
    received = p_value(submission.overlap_p_value(np.array(across), groups))
    assert received < 1e-6, explain(
        "60 pairs, all of them between two sets",
        expected="below 1e-6",
        received=received,
    )


# image_statistics -----------------------------------------------------------------------

STATISTICS = (
    "brightness",
    "contrast",
    "sharpness",
    "direction",
    "red_minus_blue",
    "top_minus_bottom",
    "left_minus_right",
)


def true_statistics(image):
    """Return the statistics of one image, by loops."""
    grey = image.astype(np.float64).sum(axis=-1) / 3
    height, width = grey.shape
    right = [
        abs(grey[i, j + 1] - grey[i, j])
        for i in range(height)
        for j in range(width - 1)
    ]
    below = [
        abs(grey[i + 1, j] - grey[i, j])
        for i in range(height - 1)
        for j in range(width)
    ]
    right, below = np.mean(right), np.mean(below)
    return {
        "brightness": grey.mean(),
        "contrast": np.sqrt(np.mean((grey - grey.mean()) ** 2)),
        "sharpness": right + below,
        "direction": right - below,
        "red_minus_blue": np.mean(image[..., 0].astype(float) - image[..., 2]),
        "top_minus_bottom": grey[: height // 2].mean() - grey[height // 2 :].mean(),
        "left_minus_right": grey[:, : width // 2].mean() - grey[:, width // 2 :].mean(),
    }


def statistics_of(submission, images):
    before = images.copy()
    received = submission.image_statistics(images)
    unchanged((images,), (before,), "image_statistics()")
    assert isinstance(received, dict), explain(
        "image_statistics() returns a dict by name",
        expected="a dict",
        received=received,
    )
    assert {*received} == {*STATISTICS}, explain(
        "the names of the statistics",
        expected=sorted(STATISTICS),
        received=sorted(map(str, received)),
    )
    what = "one number for each image"
    shape = (len(images),)
    return {k: array(v, shape, f"{k}: {what}") for k, v in received.items()}


@check(task="image_statistics")
def each_statistic_is_what_its_name_says(submission):
    rng = new_generator()
    images = smooth_images(rng, 5, 16)[:, :12, :10].astype(np.uint8)
    images[0] = pixels(rng, 12, 10, 3)
    received = statistics_of(submission, images)
    expected = [true_statistics(image) for image in images]
    for name in STATISTICS:
        truth = np.array([entry[name] for entry in expected])
        values = received[name]
        wrong = {
            "the sign is the wrong way round": -truth,
            "it is in [0, 1]: pixels keep their scale": truth / 255,
        }
        if name == "contrast":
            grey = images.astype(float).mean(axis=-1).reshape(5, -1)
            wrong["the deviation is over all channels; take it of grey"] = (
                images.reshape(5, -1).std(axis=1)
            )
            wrong["that is the variance, not the standard deviation"] = truth**2
            wrong["this deviation divides by n - 1: leave ddof at 0"] = grey.std(
                axis=1, ddof=1
            )
        same = np.allclose(values, truth, rtol=1e-4, atol=1e-3)
        for mistake, value in wrong.items():
            is_it = np.allclose(values, value, rtol=1e-4, atol=1e-3)
            assert same or not is_it, explain(
                f"{name}: {mistake}", expected=truth[:3], received=values[:3]
            )
        assert same, explain(
            f"{name} is not what the docstring says (differences of uint8 wrap around: "
            "turn pixels into floats first)",
            expected=truth[:3],
            received=values[:3],
        )


@check(task="image_statistics")
def floats_give_the_same_numbers_on_their_scale(submission):
    rng = new_generator()
    images = pixels(rng, 6, 8, 6, 3)
    first = statistics_of(submission, images)
    second = statistics_of(submission, (images / 255).astype("float32"))
    for name in STATISTICS:
        assert np.allclose(first[name], 255 * second[name], rtol=1e-3, atol=0.02), (
            explain(
                f"{name} of the same images in [0, 255] and in [0, 1]: differ by 255",
                expected=first[name][:3],
                received=255 * second[name][:3],
            )
        )


# holm -----------------------------------------------------------------------------------


def true_holm(values):
    """Return Holm's adjusted p-values from his definition."""
    adjusted = []
    for value in values:
        smaller = [v for v in values if v < value]
        terms = [(len(values) - sum(u < v for u in values)) * v for v in smaller]
        terms.append((len(values) - len(smaller)) * value)
        adjusted.append(min(1.0, max(terms)))
    return np.array(adjusted)


@check(task="holm")
def it_is_holms_step_down_procedure(submission):
    rng = new_generator()
    for count in (1, 5, 12, 40):
        values = rng.permutation(rng.uniform(0, 1, count) ** 3 / count**0.5)
        values = np.clip(values, 1e-12, 1)
        before = values.copy()
        received = array(submission.holm(values), (count,), "a p-value for each test")
        unchanged((values,), (before,), "holm()")
        expected = true_holm(values)
        order = np.argsort(values)
        m, ranks = count, np.empty(count)
        ranks[order] = np.arange(1, count + 1)
        plain = np.minimum(1, (m - ranks + 1) * values)
        wrong = {
            "that is Bonferroni: after the smallest, m - 1 tests are left": np.minimum(
                1, m * values
            ),
            "that is Benjamini and Hochberg's: it bounds the share of false alarms among "
            "the alarms, not the chance of any": stats.false_discovery_control(values),
            "these are in sorted order: put them back where they came from": expected[
                order
            ],
            "a larger p-value has a smaller adjusted one: take the maximum so "
            "far": plain,
            "that is Hochberg's step-up, which needs independent tests: take the maximum "
            "from the smallest p-value on": np.minimum.accumulate(plain[order][::-1])[
                ::-1
            ][np.argsort(order)],
            "the p-values came back as they were": values,
            "the smallest is multiplied by m, not by m - 1": np.minimum(
                1, np.maximum.accumulate(((m - ranks) * values)[order])
            )[np.argsort(order)],
        }
        same = np.allclose(received, expected, rtol=1e-6, atol=1e-15)
        for mistake, value in wrong.items():
            is_it = np.allclose(received, value, rtol=1e-6)
            assert same or not is_it, explain(
                mistake, expected=expected[:4], received=received[:4]
            )
        assert received.max() <= 1 + 1e-12, explain(
            "a p-value is at most 1", expected="at most 1", received=received.max()
        )
        assert same, explain(
            f"{count} tests: not Holm's adjusted p-values",
            expected=expected[:4],
            received=received[:4],
        )


@check(task="holm")
def ties_zeros_ones_and_lists_are_fine(submission):
    for values in ([0.01, 0.01, 0.5, 0.01], [0.0, 1.0, 0.2], [1.0, 1.0], [0.04]):
        received = array(
            submission.holm(np.array(values)), (len(values),), "a p-value for each test"
        )
        expected = true_holm(values)
        assert np.allclose(received, expected), explain(
            f"p-values {values}: equal ones have equal adjusted values, none above 1",
            expected=expected,
            received=received,
        )


# domain_classifier ----------------------------------------------------------------------


def domain_of(submission, first, second, seed=0):
    before = first.copy(), second.copy()
    answer = submission.domain_classifier(first, second, seed)
    unchanged((first, second), before, "domain_classifier()")
    assert isinstance(answer, tuple | list) and len(answer) == 2, explain(
        "two things come back: the AUC and its p-value",
        expected="a pair",
        received=answer,
    )
    return number(answer[0], "the AUC", 0, 1), p_value(answer[1])


@check(task="domain_classifier")
def nothing_is_found_where_nothing_is(submission):
    rng = new_generator()
    results = []
    for seed in range(12):
        # Nearly as many dimensions as rows: whoever scores training rows finds a lot.
        first, second = rng.normal(size=(120, 60)), rng.normal(size=(80, 60))
        results.append(domain_of(submission, first, second, seed))
    aucs, p_values = np.array(results).T
    # On 60 and 40 rows; a correction for whole numbers changes little.
    expected = stats.norm.sf((aucs - 0.5) / np.sqrt(101 / (12 * 60 * 40)))
    mistake = (
        "the p-value must belong to this AUC on the held-out halves (use scores: predicted "
        "classes are nearly all tied)"
    )
    two_sided = 2 * np.minimum(expected, 1 - expected)
    if np.all(np.abs(p_values - two_sided) < 0.03):
        mistake = "the test is one-sided: only an AUC above a half is an alarm"
    wrong = np.flatnonzero((np.abs(p_values - expected) >= 0.03) & (aucs <= 0.75))
    assert not len(wrong), explain(
        f"{mistake}, AUC {aucs[wrong[0]]:.3f}",
        expected=expected[wrong[0]],
        received=p_values[wrong[0]],
    )
    # A mean of 12 AUCs, whose deviation is about 0.06 each with 60 and 40 rows.
    assert aucs.mean() < 0.6, explain(
        "two samples of one distribution: a model scored on the rows that it learned from "
        "tells them apart, one scored on other rows can't",
        expected="AUCs about 0.5",
        received=f"{aucs.mean():.3f} on average",
    )
    assert aucs.mean() > 0.4, explain(
        "two samples of one distribution: the AUC is about a half",
        expected="about 0.5",
        received=f"{aucs.mean():.3f} on average",
    )
    assert np.sum(p_values < 0.01) <= 3 and np.sum(p_values > 0.05) >= 5, explain(
        "two samples of one distribution: small p-values must be rare",
        expected="p-values spread from 0 to 1",
        received=np.sort(p_values)[:5].round(4),
    )


@check(task="domain_classifier")
def a_shift_is_found_and_its_auc_is_right(submission):
    rng = new_generator()
    shift = np.zeros(8)
    shift[rng.integers(8)] = 2.0
    first = rng.normal(size=(900, 8))
    second = rng.normal(size=(500, 8)) + shift
    auc, p = domain_of(submission, first, second)
    best = float(stats.norm.cdf(2 / np.sqrt(2)))
    assert auc > 0.5, explain(
        "the AUC is the chance that a row of the second set scores higher, and the model "
        "gives high scores to the second set",
        expected=best,
        received=auc,
    )
    assert abs(auc - best) < 0.06, explain(
        "a mean moved by two deviations: no classifier can have another AUC than this, up "
        "to chance (use scores, not predicted classes)",
        expected=best,
        received=auc,
    )
    assert p < 1e-12, explain(
        "a mean moved by two deviations in 450 and 250 test rows",
        expected="a p-value below 1e-12",
        received=p,
    )


@check(task="domain_classifier")
def sets_of_other_sizes_orders_and_seeds(submission):
    rng = new_generator()
    first = rng.normal(size=(700, 5))
    second = rng.normal(size=(60, 5)) + 1.2
    # Sorted: whoever cuts without a permutation learns from another distribution.
    first = first[np.argsort(first[:, 0])]
    second = second[np.argsort(second[:, 0])]
    once, again = (domain_of(submission, first, second, 3) for _ in range(2))
    assert once == again, explain(
        "the same seed gives the same halves", expected=once, received=again
    )
    others = {round(domain_of(submission, first, second, k)[0], 9) for k in range(6)}
    assert len(others) > 1, explain(
        "other seeds give other halves: draw them with np.random.default_rng(seed)",
        expected="several AUCs",
        received=others,
    )
    aucs = [domain_of(submission, first, second, k)[0] for k in range(4)]
    best = float(stats.norm.cdf(1.2 * np.sqrt(5) / np.sqrt(2)))
    assert np.mean(aucs) > best - 0.06, explain(
        "700 rows against 60, each set sorted: shuffle both before you cut them",
        expected=best,
        received=float(np.mean(aucs)),
    )


# out_of_sample --------------------------------------------------------------------------


class Spy:
    """A model that notes what it is given and predicts what tells the rows apart."""

    def __init__(self, num_classes):
        self.num_classes = num_classes
        self.calls = []

    def __call__(self, train, labels, others):
        """Return a row for each of the others that says which one it is."""
        self.calls.append((np.array(train), np.array(labels), np.array(others)))
        rows = np.asarray(others)[:, 0].astype(int)
        return np.column_stack([rows + k for k in range(self.num_classes)]) / 1000.0


def spied(submission, rng, num_folds=4, num_rows=90):
    """Return the labels, the student's probabilities, and what the model was given."""
    labels = rng.permutation(np.repeat([0, 1, 2], [50, 30, 10])[:num_rows])
    features = np.column_stack([np.arange(num_rows), rng.normal(size=num_rows)])
    spy = Spy(3)
    before = features.copy(), labels.copy()
    received = submission.out_of_sample(
        features, labels, spy, num_folds, int(rng.integers(1000))
    )
    unchanged((features, labels), before, "out_of_sample()")
    assert spy.calls, explain(
        "fit_predict was not called", expected=f"{num_folds} calls", received=0
    )
    return labels, received, spy.calls


@check(task="out_of_sample")
def no_model_sees_what_it_predicts(submission):
    rng = new_generator()
    labels, _, calls = spied(submission, rng)
    for train, train_labels, others in calls:
        seen = {*train[:, 0]} & {*others[:, 0]}
        assert not seen, explain(
            "a model predicts rows that it learned from: it may have learned their wrong "
            "labels by heart",
            expected="no row in both parts",
            received=f"{len(seen)} rows",
        )
        assert np.array_equal(labels[train[:, 0].astype(int)], train_labels), explain(
            "the labels don't belong to the rows that the model learns from",
            expected="the same rows of features and labels",
            received="other rows",
        )
    predicted = np.concatenate([others[:, 0] for _, _, others in calls])
    assert len(calls) == 4 and sorted(predicted) == [*range(90)], explain(
        "every row is predicted once, by one of num_folds models",
        expected="4 models, 90 rows",
        received=f"{len(calls)} models, {len({*predicted})} rows, {len(predicted)} "
        "predictions",
    )
    sizes = [len(train) for train, _, _ in calls]
    assert min(sizes) >= 60, explain(
        "each model learns from all other folds",
        expected="about 67 rows",
        received=sizes,
    )


@check(task="out_of_sample")
def probabilities_come_back_in_the_rows_order(submission):
    rng = new_generator()
    _, received, _ = spied(submission, rng)
    received = array(
        received, (90, 3), "a row of probabilities for each row of features"
    )
    order = (1000 * received[:, 0]).round().astype(int)
    assert np.array_equal(order, np.arange(90)), explain(
        "the probabilities are in the order of the folds: put them back where their rows "
        "were",
        expected=[0, 1, 2, 3],
        received=order[:4].tolist(),
    )


@check(task="out_of_sample")
def folds_are_drawn_at_random_with_all_classes(submission):
    labels = np.repeat([0, 1, 2], [50, 30, 10])  # Sorted by class.
    features = np.column_stack([np.arange(90), np.zeros(90)])
    folds = []
    for seed in (1, 1, 2):
        spy = Spy(3)
        submission.out_of_sample(features, labels, spy, 5, seed)
        folds.append([{*others[:, 0]} for _, _, others in spy.calls])
        counts = [
            np.bincount(train_labels, minlength=3) for _, train_labels, _ in spy.calls
        ]
        assert np.ptp(counts, axis=0).max() <= 2, explain(
            "each fold has its share of every class, or a rare class may be missing from "
            "what a model learns",
            expected=[40, 24, 8],
            received=[count.tolist() for count in counts][:2],
        )
    assert folds[0] == folds[1], explain(
        "the same seed gives the same folds", expected="the same", received="others"
    )
    assert folds[0] != folds[2], explain(
        "the rows are dealt at random: another seed gives other folds (shuffle=True)",
        expected="others",
        received="the same",
    )


# confident_classes ----------------------------------------------------------------------


def noisy_sample(rng, num_rows=240, num_classes=4, noise=0.2, sharpness=2.5):
    """Return labels, some wrong, and probabilities that differ in trust by class."""
    truth = np.arange(num_rows) % num_classes
    logits = rng.normal(size=(num_rows, num_classes))
    logits[np.arange(num_rows), truth] += sharpness
    logits += np.linspace(-0.6, 0.6, num_classes)  # The last classes are favoured.
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    wrong = rng.random(num_rows) < noise
    labels = np.where(
        wrong, (truth + rng.integers(1, num_classes, num_rows)) % 4, truth
    )
    labels[:num_classes] = np.arange(num_classes)
    return labels, probabilities


def true_classes(labels, probabilities, thresholds=None):
    """Return the confident classes by loops, and where the definition leaves room."""
    num_classes = probabilities.shape[1]
    if thresholds is None:
        thresholds = [probabilities[labels == c, c].mean() for c in range(num_classes)]
    classes, open_rows = [], []
    for row in probabilities:
        reached = [c for c in range(num_classes) if row[c] >= thresholds[c] - 1e-6]
        classes.append(max(reached, key=lambda c: row[c]) if reached else -1)
        # cleanlab takes the largest of all where several are reached.
        several = len(reached) > 1 and row.argmax() not in reached
        close = np.min(np.abs(row - thresholds)) < 3e-6
        open_rows.append(several or close)
    return np.array(classes), np.array(open_rows)


def classes_of(submission, labels, probabilities):
    before = labels.copy(), probabilities.copy()
    received = submission.confident_classes(labels, probabilities)
    unchanged((labels, probabilities), before, "confident_classes()")
    received = array(received, (len(labels),), "a class for each row")
    assert np.array_equal(received, np.round(received)), explain(
        "classes are whole numbers", expected="int", received=received.dtype
    )
    return received.astype(int)


@check(task="confident_classes")
def each_class_has_a_threshold_of_its_own(submission):
    rng = new_generator()
    for sharpness in (2.5, 1.2, 0.7):
        labels, probabilities = noisy_sample(rng, sharpness=sharpness)
        received = classes_of(submission, labels, probabilities)
        expected, is_open = true_classes(labels, probabilities)
        n, k = probabilities.shape
        largest = probabilities.argmax(axis=1)
        own = probabilities[np.arange(n), labels]
        means = np.array([probabilities[largest == c, c].mean() for c in range(k)])
        medians = [np.median(probabilities[labels == c, c]) for c in range(k)]
        wrong = {
            "rows that reach no threshold belong to no class: -1": np.where(
                expected < 0, largest, expected
            ),
            "that is the most probable class: it must reach its threshold too": largest,
            "one threshold was taken for all classes: each has the mean over the rows "
            "with its label": true_classes(
                labels, probabilities, np.full(k, own.mean())
            )[0],
            "a class's threshold is the mean over the rows with this label, not over all "
            "rows": true_classes(labels, probabilities, probabilities.mean(axis=0))[0],
            "a class's threshold is the mean over the rows that have it as label, not "
            "over those that are predicted so": true_classes(
                labels, probabilities, means
            )[0],
            "a threshold is a mean, not a median": true_classes(
                labels, probabilities, medians
            )[0],
            "a threshold of one half was taken for all classes": true_classes(
                labels, probabilities, np.full(k, 0.5)
            )[0],
            "the first class that reaches its threshold was taken, not the most "
            "probable": np.where(
                (probabilities >= thresholds_of(labels, probabilities)).any(axis=1),
                (probabilities >= thresholds_of(labels, probabilities)).argmax(axis=1),
                -1,
            ),
        }
        same = np.array_equal(received[~is_open], expected[~is_open])
        for mistake, value in wrong.items():
            is_it = np.array_equal(received[~is_open], value[~is_open])
            assert same or not is_it, explain(
                mistake,
                expected=f"{np.sum(expected < 0)} rows of -1",
                received=f"{np.sum(received < 0)} rows of -1, "
                f"{np.sum(received != expected)} rows differ",
            )
        assert same, explain(
            "the confident class is the most probable of those that reach their threshold",
            expected=expected[received != expected][:6],
            received=received[received != expected][:6],
        )


def thresholds_of(labels, probabilities):
    return np.array(
        [probabilities[labels == c, c].mean() for c in range(probabilities.shape[1])]
    )


@check(task="confident_classes")
def a_favoured_class_is_not_confident_by_itself(submission):
    # The model gives class 0 a lot everywhere; where 0 is the label it gives still more.
    labels = np.array([0, 0, 1, 1, 1, 2, 2])
    probabilities = np.array(
        [
            [0.90, 0.05, 0.05],
            [0.80, 0.15, 0.05],
            [0.55, 0.45, 0.00],
            [0.60, 0.35, 0.05],
            [0.65, 0.25, 0.10],
            [0.50, 0.00, 0.50],
            [0.70, 0.00, 0.30],
        ]
    )
    received = classes_of(submission, labels, probabilities)
    # Thresholds 0.85, 0.35, 0.4.
    expected = [0, -1, 1, 1, -1, 2, -1]
    assert received.tolist() == expected, explain(
        "class 0 is the most probable one in every row, but reaches its threshold, 0.85, "
        "in one; class 1 reaches 0.35 in two, 2 reaches 0.40 in one",
        expected=expected,
        received=received.tolist(),
    )


# label_errors ---------------------------------------------------------------------------


@contextlib.contextmanager
def right_classes(function):
    """Let a student's function call right confident classes instead of the student's."""
    namespace = getattr(function, "__globals__", {})
    theirs = namespace.get("confident_classes")

    def confident_classes(labels, probabilities):
        return true_classes(np.asarray(labels), np.asarray(probabilities))[0]

    namespace["confident_classes"] = confident_classes
    try:
        yield
    finally:
        namespace["confident_classes"] = theirs


def errors_of(submission, labels, probabilities):
    before = labels.copy(), probabilities.copy()
    with right_classes(submission.label_errors):
        answer = submission.label_errors(labels, probabilities)
    unchanged((labels, probabilities), before, "label_errors()")
    assert isinstance(answer, tuple | list) and len(answer) == 2, explain(
        "two things come back: which are flagged, and how good each label is",
        expected="a pair",
        received=answer,
    )
    shape = (len(labels),)
    return flags(answer[0], shape, "the flags"), array(answer[1], shape, "the quality")


@check(task="label_errors")
def labels_are_flagged_where_another_class_is_confident(submission):
    rng = new_generator()
    labels, probabilities = noisy_sample(rng)
    received, _ = errors_of(submission, labels, probabilities)
    classes, is_open = true_classes(labels, probabilities)
    expected = (classes >= 0) & (classes != labels)
    wrong = {
        "rows without a confident class are not flagged": classes != labels,
        "those are the sound ones: flag what differs": ~expected,
        "flagged are rows whose confident class differs, not all whose most probable "
        "class differs": probabilities.argmax(axis=1) != labels,
    }
    same = np.array_equal(received[~is_open], expected[~is_open])
    for mistake, value in wrong.items():
        is_it = np.array_equal(received[~is_open], value[~is_open])
        assert same or not is_it, explain(
            mistake, expected=int(expected.sum()), received=int(received.sum())
        )
    assert same, explain(
        "a label is flagged if its row confidently belongs to another class",
        expected=f"{expected.sum()} rows",
        received=f"{received.sum()} rows, {np.sum(received != expected)} others",
    )


@check(task="label_errors")
def quality_is_the_normalised_margin(submission):
    rng = new_generator()
    labels, probabilities = noisy_sample(rng)
    _, received = errors_of(submission, labels, probabilities)
    n, k = probabilities.shape
    rows = range(n)
    others = [max(np.delete(probabilities[r], labels[r])) for r in rows]
    own = probabilities[np.arange(n), labels]
    expected = own - np.array(others)
    wrong = {
        "the largest of the other classes, not of all: a sound label must be "
        "above 0": own - probabilities.max(axis=1),
        "the sign is the wrong way round: the worst labels have the smallest": -expected,
        "that is the label's own probability; take the best other one away": own,
        "the margin is a difference, not a quotient": own / np.array(others),
        "the margin is of the given label, not of the most probable class": (
            np.sort(probabilities, axis=1)[:, -1]
            - np.sort(probabilities, axis=1)[:, -2]
        ),
        "take the largest other one away, not the mean of the others": own
        - (1 - own) / (k - 1),
    }
    same = np.allclose(received, expected, rtol=1e-4, atol=1e-5)
    for mistake, value in wrong.items():
        is_it = np.allclose(received, value, rtol=1e-4, atol=1e-5)
        assert same or not is_it, explain(
            mistake, expected=expected[:4], received=received[:4]
        )
    assert same, explain(
        "the label's probability minus the largest of any other class",
        expected=expected[:4],
        received=received[:4],
    )


# name_faults ----------------------------------------------------------------------------

FINDINGS = (
    "pixels",
    "labels",
    "absent",
    "copies",
    "twins",
    "order",
    "corrupt",
    "balance",
    "images",
    "processing",
    "agreement",
    "renamed",
)
TRAIN_VAL, TRAIN_TEST, VAL_TEST = ("train", "val"), ("train", "test"), ("val", "test")


def compare_names(submission, expected, mistake, **given):
    """Fail if the student names other faults than the expected ones."""
    findings = {name: {} if name == "processing" else set() for name in FINDINGS}
    findings |= given
    before = {name: value.copy() for name, value in findings.items()}
    received = submission.name_faults(findings)
    assert findings == before, explain(
        "name_faults() changed the findings that it was given",
        expected=before,
        received=findings,
    )
    assert isinstance(received, dict), explain(
        "name_faults() returns a dict from faults to sets",
        expected="a dict",
        received=received,
    )
    empty = [name for name, where in received.items() if not where]
    assert not empty, explain(
        "only faults that happened come back", expected=expected, received=received
    )
    what = {name: value for name, value in given.items() if value}
    assert {*received} == {*expected}, explain(
        f"{mistake} (findings: {what})", expected=expected, received=received
    )
    for name, where in expected.items():
        assert isinstance(received[name], tuple), explain(
            "the sets of a fault come as a tuple",
            expected=where,
            received=received[name],
        )
        same_sets = sorted(received[name]) == sorted(where)
        what_is_wrong = "sets stand in the order train, val, test"
        assert received[name] == where, explain(
            f"{what_is_wrong if same_sets else mistake} (findings: {what})",
            expected=expected,
            received=received,
        )


@check(task="name_faults")
def each_finding_alone_has_its_name(submission):
    name = "each finding has its own name"
    compare_names(submission, {}, "nothing was found, so nothing is named")
    sets = SETS[np.random.randint(3)]
    for finding, fault in (
        ("order", "ordered"),
        ("corrupt", "corrupt_images"),
        ("balance", "imbalance"),
        ("agreement", "labels_noisy"),
        ("pixels", "wrong_range"),
        ("labels", "labels_from_one"),
    ):
        compare_names(submission, {fault: (sets,)}, name, **{finding: {sets}})
    compare_names(submission, {"duplicates": ("test",)}, name, copies={"test"})
    compare_names(submission, {"near_duplicates": ("val",)}, name, twins={"val"})
    expected = {"ordered": ("train", "test"), "corrupt_images": ("val", "test")}
    compare_names(
        submission, expected, name, order={"test", "train"}, corrupt={"test", "val"}
    )


@check(task="name_faults")
def consequences_are_no_faults_of_their_own(submission):
    compare_names(
        submission,
        {"duplicates": ("val", "test")},
        "exact copies look alike too: near_duplicates is no fault beside them",
        copies={"val", "test"},
        twins={"val", "test"},
    )
    compare_names(
        submission,
        {"missing_classes": ("val",), "imbalance": ("train",)},
        "a set that lacks a class is out of balance for this reason; others are not",
        absent={"val"},
        balance={"val", "train"},
    )
    compare_names(
        submission,
        {"blurred": ("test",)},
        "where images differ, a model agrees less: no fault of the labels",
        images={TRAIN_TEST, VAL_TEST},
        processing={"test": "blurred"},
        agreement={"test"},
    )
    compare_names(
        submission,
        {"wrong_range": ("val",), "labels_from_one": ("test",)},
        "where the schema is broken, nothing else was tested",
        pixels={"val"},
        labels={"test"},
    )
    compare_names(
        submission,
        {"labels_permuted": ("val",), "labels_noisy": ("test",)},
        "labels that another numbering fits are permuted, others are noisy",
        agreement={"val", "test"},
        renamed={"val"},
    )


@check(task="name_faults")
def the_odd_one_out_has_the_fault(submission):
    for odd, pairs in (
        ("train", {TRAIN_VAL, TRAIN_TEST}),
        ("val", {TRAIN_VAL, VAL_TEST}),
        ("test", {TRAIN_TEST, VAL_TEST}),
    ):
        fault = ("darkened", "mirrored", "channels_swapped")[np.random.randint(3)]
        others = {name: "transposed" for name in SETS if name != odd}
        compare_names(
            submission,
            {fault: (odd,)},
            f"{odd} is in both pairs that differ: it is the odd one",
            images=pairs,
            processing=others | {odd: fault},
        )
    source = "no processing explains it: validation and test are from another source"
    compare_names(
        submission,
        {"other_distribution": ("val", "test")},
        source,
        images={TRAIN_VAL, TRAIN_TEST},
        processing={"train": None},
    )
    compare_names(
        submission,
        {"other_distribution": ("val", "test"), "ordered": ("val",)},
        "no set is in more pairs than all others",
        images={TRAIN_VAL, TRAIN_TEST, VAL_TEST},
        processing={name: "blurred" for name in SETS},
        order={"val"},
    )
    compare_names(
        submission,
        {"other_distribution": ("val", "test")},
        "no set is in more pairs than all others",
        images={TRAIN_TEST},
    )
