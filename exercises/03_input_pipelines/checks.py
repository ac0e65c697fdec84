"""What right answers to input_pipelines promise."""

import functools
import itertools

import numpy as np
import tensorflow as tf

from tfcourse.checking import check, explain

ORDERS = tuple(map(" ".join, itertools.permutations(("shuffle", "batch", "repeat"))))
QUESTIONS = (
    "epochs_complete",
    "epochs_blend",
    "short_batch_each_pass",
    "short_batch_at_end",
    "company_drawn_anew",
)


def arrays(*batches):
    """Return batches as a stream has them: int64 arrays."""
    return [np.array(batch, np.int64) for batch in batches]


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


def numbers(value, count, what):
    """Return a student's numbers as float64 [count], or fail with what is expected."""
    try:
        received = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        received = None
    assert received is not None and received.shape == (count,), explain(
        what, expected=f"an array of shape ({count},)", received=value
    )
    return received


# predict: the truth is measured here, on small streams with several seeds.


def small_stream(order, seed, n=50, m=8, k=3):
    """Return the batches of one order; the buffer holds all examples."""
    ds = tf.data.Dataset.range(n)
    for step in order.split():
        if step == "shuffle":
            ds = ds.shuffle(n, seed=seed)
        else:
            ds = ds.batch(m) if step == "batch" else ds.repeat(k)
    return list(ds.as_numpy_iterator())


@functools.cache  # Three checks ask.
def measured_truth(order, n=50, m=8, k=3):
    """Return for each question about one order the answer, and what was seen."""
    streams = [small_stream(order, seed, n, m, k) for seed in range(1, 7)]
    epochs = [np.concatenate(stream).reshape(k, n) for stream in streams]
    missing = [n - len(set(row)) for rows in epochs for row in rows.tolist()]
    sizes = [[len(batch) for batch in stream] for stream in streams]
    ends = [np.cumsum(row)[np.array(row) < m] for row in sizes]
    # A batch that is cut from the input holds neighbours; 0 follows the last example.
    cut = [np.all(np.diff(batch) % n == 1) for stream in streams for batch in stream]
    first = streams[0][1].tolist()
    return {
        "epochs_complete": (not any(missing), f"{missing[0]} miss epoch 0"),
        "epochs_blend": (any(missing), f"{missing[0]} miss epoch 0"),
        "short_batch_each_pass": (
            all(len(end) == k for end in ends),
            f"{len(ends[0])} short in all",
        ),
        "short_batch_at_end": (
            all(np.all(end % n == 0) for end in ends),
            f"short ones end at {', '.join(map(str, ends[0]))}",
        ),
        "company_drawn_anew": (not all(cut), f"one batch: {first}"),
    }


def table_of(submission):
    """Return the student's table, or fail if an order or a question is missing."""
    table = submission.predict()
    assert isinstance(table, dict), explain(
        "predict() returns a dict with an entry for each order",
        expected=f"a dict with the keys {ORDERS[0]!r}, ...",
        received=table,
    )
    missing = [order for order in ORDERS if order not in table]
    assert not missing, explain(
        "an order has no prediction",
        expected=f"the key {missing[:1]}",
        received=[*table],
    )
    for order in ORDERS:
        answers = table[order]
        assert isinstance(answers, dict) and set(answers) == set(QUESTIONS), explain(
            f"each question needs an answer for {order!r}",
            expected=f"a dict with the keys {', '.join(QUESTIONS)}",
            received=answers,
        )
        for question, answer in answers.items():
            assert isinstance(answer, bool | np.bool_), explain(
                f"answer {question} for {order!r} with True or False",
                expected="a bool",
                received=answer,
            )
    return table


def compare_predictions(submission, *questions):
    """Fail at the first prediction that differs from what is measured."""
    table = table_of(submission)
    for order in ORDERS:
        truth = measured_truth(order)
        for question in questions:
            answer, seen = truth[question]
            assert bool(table[order][question]) == answer, explain(
                f"{question} for {order!r}, 3 passes of 50 in batches of 8: {seen}",
                expected=answer,
                received=bool(table[order][question]),
            )


@check(task="predict")
def every_order_has_an_answer_to_every_question(submission):
    table_of(submission)


@check(task="predict")
def epochs_are_predicted_as_they_are_measured(submission):
    compare_predictions(submission, "epochs_complete", "epochs_blend")


@check(task="predict")
def short_batches_are_predicted_as_they_are_measured(submission):
    compare_predictions(submission, "short_batch_each_pass", "short_batch_at_end")


@check(task="predict")
def company_is_predicted_as_it_is_measured(submission):
    compare_predictions(submission, "company_drawn_anew")


@check(task="coverage_per_epoch")
def an_example_that_comes_twice_counts_once(submission):
    batches = arrays([0, 1, 2], [3, 0, 0], [1, 2])
    received = numbers(
        submission.coverage_per_epoch(batches, 4), 2, "one share for each epoch"
    )
    assert not np.allclose(received, [1, 1]), explain(
        "count different examples, not all that are shown",
        expected=[1, 0.75],
        received=received,
    )
    assert np.allclose(received, [1, 0.75]), explain(
        "[0 1 2 3 | 0 0 1 2] with n = 4: the second epoch shows 3 of 4 examples",
        expected=[1, 0.75],
        received=received,
    )


@check(task="coverage_per_epoch")
def an_epoch_ends_after_n_examples_wherever_the_batch_ends(submission):
    batches = arrays([0, 1, 2], [3, 4, 4], [3, 2, 1], [0])
    received = numbers(
        submission.coverage_per_epoch(batches, 5), 2, "one share for each epoch"
    )
    assert np.allclose(received, [1, 1]), explain(
        "cut the stream after n examples, in the middle of a batch if need be: "
        "[0 1 2][3 4 | 4][3 2 1][0] with n = 5",
        expected=[1, 1],
        received=received,
    )


@check(task="coverage_per_epoch")
def each_epoch_has_its_own_share(submission):
    batches = arrays([0, 0], [0, 1], [2, 3], [3, 2], [1, 0], [2, 3])
    received = numbers(
        submission.coverage_per_epoch(batches, 4), 3, "one share for each epoch"
    )
    assert np.allclose(received, [0.5, 0.5, 1]), explain(
        "each epoch counts for itself, not with those before it: "
        "[0 0 0 1 | 2 3 3 2 | 1 0 2 3] with n = 4",
        expected=[0.5, 0.5, 1],
        received=received,
    )


@check(task="epoch_blending")
def whole_epochs_do_not_blend(submission):
    batches = arrays([0, 1, 2], [3, 4, 4], [3, 2, 1], [0])
    received = number(submission.epoch_blending(batches, 5), "the blending")
    assert received == 0, explain(
        "each epoch of 5 shows all of 0 to 4, so nothing is outside its epoch, though "
        "a batch crosses the border: [0 1 2][3 4 | 4][3 2 1][0]",
        expected=0,
        received=received,
    )


@check(task="epoch_blending")
def too_early_and_too_late_both_count(submission):
    batches = arrays([0, 1, 0], [2, 1, 2])
    received = number(submission.epoch_blending(batches, 3), "the blending")
    assert received not in (2, 4), explain(
        "return the share of all places, not their number",
        expected=2 / 6,
        received=received,
    )
    assert np.isclose(received, 2 / 6), explain(
        "[0 1 0 | 2 1 2]: the second 0 comes too early, the first 2 too late: 2 of 6",
        expected=2 / 6,
        received=received,
    )


@check(task="epoch_blending")
def an_example_stays_behind_until_it_has_caught_up(submission):
    batches = arrays([0, 0, 1], [0, 1, 1])
    received = number(submission.epoch_blending(batches, 2), "the blending")
    assert not np.isclose(received, 1 / 3), explain(
        "this is 1 minus the mean coverage; compare how often an example came before "
        "with the number of the epoch, at every place",
        expected=4 / 6,
        received=received,
    )
    assert np.isclose(received, 4 / 6), explain(
        "[0 0 | 1 0 | 1 1] with n = 2: the k-th appearance, counted from 0, belongs into "
        "epoch k; the 2nd, 3rd, 4th and 5th places hold what belongs elsewhere",
        expected=4 / 6,
        received=received,
    )


@check(task="company_kept")
def batches_in_another_order_are_the_same_company(submission):
    batches = arrays([0, 1, 2], [3, 4, 5], [6], [6], [5, 4, 3], [2, 0, 1])
    received = number(submission.company_kept(batches), "what is kept")
    assert np.isclose(received, 1), explain(
        "every example meets its whole company again, only the batches come in another "
        "order; who is alone in a batch does not count",
        expected=1,
        received=received,
    )


@check(task="company_kept")
def an_example_is_not_its_own_company(submission):
    batches = arrays([0, 1, 2], [3, 4, 5], [0, 3, 1], [2, 4, 5])
    received = number(submission.company_kept(batches), "what is kept")
    # 0: {1, 2} then {3, 1}; 1: the same; 2: {0, 1} then {4, 5}; 3, 4, 5: likewise.
    expected = (0.5 + 0.5 + 0 + 0 + 0.5 + 0.5) / 6
    with_itself = (2 / 3 + 2 / 3 + 1 / 3 + 1 / 3 + 2 / 3 + 2 / 3) / 6
    assert not np.isclose(received, with_itself), explain(
        "an example is not its own company: leave it out of both batches",
        expected=expected,
        received=received,
    )
    assert np.isclose(received, expected), explain(
        "[0 1 2][3 4 5] then [0 3 1][2 4 5]: the share of the earlier company (two "
        "others) that is in the later batch too, as a mean over the six",
        expected=expected,
        received=received,
    )


@check(task="company_kept")
def every_pair_of_successive_appearances_counts(submission):
    two, other_two = [[0, 1], [2, 3]], [[0, 2], [1, 3]]
    batches = arrays(*two, *other_two, *two, *two)
    received = number(submission.company_kept(batches), "what is kept")
    assert np.isclose(received, 1 / 3), explain(
        "four passes: company is lost from the 1st to the 2nd and from the 2nd to the "
        "3rd, and kept from the 3rd to the 4th; compare each pass with the one before",
        expected=1 / 3,
        received=received,
    )


@check(task="mixing_distance")
def moves_to_both_sides_count(submission):
    order = np.array([2, 1, 0])
    received = number(submission.mixing_distance(order), "the distance")
    assert not np.isclose(received, 0), explain(
        "signed moves cancel out: take their absolute values",
        expected=4 / 3,
        received=received,
    )
    assert np.isclose(received, 4 / 3), explain(
        "in [2 1 0] two of three examples move by 2 places",
        expected=4 / 3,
        received=received,
    )


@check(task="mixing_distance")
def the_mean_is_over_all_examples(submission):
    order = np.array([4, 0, 1, 2, 3])
    received = number(submission.mixing_distance(order), "the distance")
    assert np.isclose(received, 8 / 5), explain(
        "in [4 0 1 2 3] one example moves by 4 places and four by 1; the mean of the "
        "distances (not of their squares, not their sum, largest or median)",
        expected=8 / 5,
        received=received,
    )


@check(task="mixing_distance")
def an_order_that_stayed_has_distance_zero(submission):
    received = number(submission.mixing_distance(np.arange(7)), "the distance")
    assert received == 0, explain(
        "nothing moved in [0 1 2 3 4 5 6]", expected=0, received=received
    )


@check(task="label_entropy")
def four_classes_in_equal_parts_are_two_bits(submission):
    received = numbers(
        submission.label_entropy(arrays([0, 1, 2, 3], [3, 3, 1, 1, 0, 0, 2, 2]), 4),
        2,
        "one entropy for each batch",
    )
    assert not np.allclose(received, np.log(4)), explain(
        "this is in nats: use the logarithm to base 2", expected=2, received=received
    )
    assert not np.allclose(received, 1), explain(
        "bits are not divided by log2 of the number of classes",
        expected=2,
        received=received,
    )
    assert np.allclose(received, 2), explain(
        "four classes with a share of 1/4 each: minus the sum of p log2 p",
        expected=[2, 2],
        received=received,
    )


@check(task="label_entropy")
def a_batch_of_one_class_has_no_entropy(submission):
    with np.errstate(all="ignore"):
        value = submission.label_entropy(arrays([2, 2, 2], [0, 0]), 3)
    received = numbers(value, 2, "one entropy for each batch")
    assert np.all(np.isfinite(received)), explain(
        "a class that is absent adds 0, but 0 * log2(0) is nan: leave it out",
        expected=[0, 0],
        received=received,
    )
    assert np.allclose(received, 0, atol=1e-5), explain(
        "a batch of one class holds no surprise, whatever the other batches hold",
        expected=[0, 0],
        received=received,
    )


@check(task="label_entropy")
def a_short_batch_is_measured_by_its_own_size(submission):
    received = numbers(
        submission.label_entropy(arrays([0, 1, 0, 1], [1, 0, 0, 0], [1, 0, 0]), 2),
        3,
        "one entropy for each batch",
    )
    quarter = -(0.25 * np.log2(0.25) + 0.75 * np.log2(0.75))
    third = -(1 / 3 * np.log2(1 / 3) + 2 / 3 * np.log2(2 / 3))
    assert np.allclose(received, [1, quarter, third]), explain(
        "shares are of the batch's own length: [0 1 0 1], [1 0 0 0], [1 0 0]",
        expected=[1.0, round(float(quarter), 4), round(float(third), 4)],
        received=received,
    )


# training_pipeline: image i is filled with i % 251 and carries i // 251 in its corner.

NUM_IMAGES = 530
BATCH_SIZE = 64


def numbered_images():
    """Return uint8 [530, 4, 4] images that carry their number, and their labels."""
    index = np.arange(NUM_IMAGES)
    images = np.repeat(index % 251, 16).reshape(-1, 4, 4).astype(np.uint8)
    images[:, 0, 0] = index // 251
    return images, (index * 7 + 3).astype(np.int64)


def keep_numbers(images, labels):
    """Return images as float32 on their own scale, so that they can be told apart."""
    return tf.cast(images, tf.float32), labels


def epochs_of(submission, count=1, *, seed=5, transform=keep_numbers):
    """Return `count` iterations over the student's pipeline: lists of numpy batches."""
    images, labels = numbered_images()
    ds = submission.training_pipeline(
        images, labels, batch_size=BATCH_SIZE, seed=seed, transform=transform
    )
    assert isinstance(ds, tf.data.Dataset), explain(
        "training_pipeline() returns a tf.data.Dataset",
        expected="a Dataset",
        received=ds,
    )
    epochs = []
    for _ in range(count):
        batches = list(itertools.islice(ds.as_numpy_iterator(), NUM_IMAGES))
        assert batches and all(
            isinstance(batch, tuple) and len(batch) == 2 for batch in batches
        ), explain(
            "each element is a pair (images, labels)",
            expected="a tuple of two",
            received=batches[0] if batches else "an empty dataset",
        )
        epochs.append(batches)
    return epochs


def indices_of(batches):
    """Return the numbers of the examples of each batch, read from the labels."""
    return [(np.atleast_1d(labels) - 3) // 7 for _, labels in batches]


@check(task="training_pipeline")
def one_iteration_shows_every_example_once(submission):
    (batches,) = epochs_of(submission)
    shown = np.concatenate(indices_of(batches))
    different = len(np.unique(shown))
    left_over = NUM_IMAGES % BATCH_SIZE
    assert not (len(shown) == NUM_IMAGES - left_over), explain(
        "drop_remainder leaves out the last short batch: it belongs to the epoch",
        expected=f"{NUM_IMAGES} examples",
        received=f"{len(shown)} examples",
    )
    assert len(shown) >= NUM_IMAGES, explain(
        "examples are missing in an iteration",
        expected=f"{NUM_IMAGES} examples",
        received=f"{len(shown)} examples",
    )
    assert len(shown) == NUM_IMAGES, explain(
        "one iteration is one epoch: leave repeat to whoever iterates",
        expected=f"{NUM_IMAGES} examples",
        received=f"{len(shown)} examples"
        + (" or more" if len(batches) == NUM_IMAGES else ""),
    )
    assert different == NUM_IMAGES, explain(
        "some examples come twice in an epoch and others never: epochs blend, as with "
        "repeat before shuffle, or examples are drawn with replacement",
        expected=f"{NUM_IMAGES} different examples",
        received=f"{different} different examples",
    )
    sizes = [len(labels) for _, labels in batches]
    full = [BATCH_SIZE] * (NUM_IMAGES // BATCH_SIZE) + [left_over]
    assert sizes == full, explain(
        "all batches are full but the last: batch after shuffle, and once",
        expected=full,
        received=sizes,
    )


@check(task="training_pipeline")
def images_keep_their_labels(submission):
    (batches,) = epochs_of(submission)
    for images, labels in batches:
        assert images.ndim == 3 and labels.ndim == 1, explain(
            "batches of images with a batch of labels",
            expected="[batch, height, width] and [batch]",
            received=f"{list(images.shape)} and {list(labels.shape)}",
        )
        from_images = images[:, 0, 0] * 251 + images[:, 1, 1]
        assert np.array_equal(from_images, (labels - 3) // 7), explain(
            "images and labels must move together: shuffle pairs, or gather both with "
            "the same indices",
            expected=f"labels {(from_images[:4] * 7 + 3).astype(int).tolist()}",
            received=f"labels {labels[:4].tolist()}",
        )


@check(task="training_pipeline")
def the_transform_is_applied_once_to_whole_batches(submission):
    ranks = []

    def record(images, labels):
        ranks.append((images.shape.rank, images.dtype.name))
        return tf.cast(images, tf.float32) / 255.0, labels

    (batches,) = epochs_of(submission, transform=record)
    assert ranks, explain(
        "training_pipeline() must call transform",
        expected="a call with a batch",
        received="no call",
    )
    assert (2, "uint8") not in ranks, explain(
        "map before batch transforms image by image: batch first, then map",
        expected="images of rank 3",
        received="images of rank 2",
    )
    assert set(ranks) == {(3, "uint8")}, explain(
        "transform gets a batch of images as they are stored: don't convert them before, "
        "and don't transform twice",
        expected="uint8 images of rank 3",
        received=", ".join(f"{dtype} images of rank {rank}" for rank, dtype in ranks),
    )
    images = np.concatenate([images for images, _ in batches])
    assert images.dtype == np.float32, explain(
        "the images are what transform returns, nothing behind it",
        expected="float32",
        received=images.dtype.name,
    )
    assert np.isclose(images.max(), 250 / 255), explain(
        "the images are what transform returns: normalised once, not twice",
        expected=250 / 255,
        received=float(images.max()),
    )


@check(task="training_pipeline")
def every_epoch_has_a_new_order_and_new_company(submission):
    first, second = (indices_of(batches) for batches in epochs_of(submission, 2))
    flat = [np.concatenate(epoch) for epoch in (first, second)]
    assert not np.array_equal(*flat), explain(
        "the second epoch has the order of the first: cache after shuffle keeps it, and "
        "so do reshuffle_each_iteration=False and a permutation that is drawn once",
        expected="another order",
        received=f"{flat[1][:5].tolist()} ... in both epochs",
    )
    partners = {}
    for batch in first:
        members = set(batch.tolist())
        partners.update((example, members) for example in members)
    kept = np.mean(
        [
            len(partners.get(example, set()) & set(batch.tolist())) / len(batch)
            for batch in second
            for example in batch.tolist()
        ]
    )
    assert kept < 0.5, explain(
        "batches come in a new order, but their members stay together: batch then "
        "shuffle moves whole batches; shuffle first",
        expected=f"a share of about {BATCH_SIZE / NUM_IMAGES:.2f} that meets again",
        received=f"{kept:.2f}",
    )


@check(task="training_pipeline")
def examples_can_come_from_anywhere(submission):
    (batches,) = epochs_of(submission)
    shown = np.concatenate(indices_of(batches))
    places = np.arange(len(shown))
    moved = float(np.mean(np.abs(shown - places)))
    assert moved > NUM_IMAGES / 4, explain(
        "the shuffle buffer is too small (or nothing shuffles): examples hardly move; "
        "it must hold the whole set, so hold indices instead of images",
        expected=f"a mean distance of about n / 3 = {NUM_IMAGES / 3:.0f} places",
        received=f"{moved:.0f} places",
    )


@check(task="training_pipeline")
def the_seed_decides_the_order(submission):
    def order(seed):
        return [
            np.concatenate(indices_of(e)) for e in epochs_of(submission, 2, seed=seed)
        ]

    one, again, other = order(5), order(5), order(6)
    assert all(map(np.array_equal, one, again)), explain(
        "the same seed must give the same epochs: pass it to what shuffles",
        expected=one[0][:5].tolist(),
        received=again[0][:5].tolist(),
    )
    assert not np.array_equal(one[0], other[0]), explain(
        "another seed must give another order: use the argument, not a fixed number",
        expected="another order",
        received=f"{other[0][:5].tolist()} ... with both",
    )
