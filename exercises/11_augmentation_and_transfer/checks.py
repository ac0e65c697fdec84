"""What right answers to augmentation and transfer promise."""

import keras
import numpy as np
import scipy.special
import scipy.stats
import tensorflow as tf

from tfcourse.checking import check, explain

SHAPE = (6, 9, 3)
GREY = 0.5


def new_generator():
    """Return a generator that follows the seed of the checks."""
    return np.random.default_rng(np.random.randint(2**31))


def new_seed(rng):
    """Return a seed as the functions get it: int32 [2]."""
    return tf.constant(rng.integers(0, 2**31 - 1, 2), tf.int32)


def pictures(rng, count, shape=SHAPE):
    """Return images in [0, 1] without any two equal pixels, float32."""
    return rng.uniform(0.02, 0.98, (count, *shape)).astype("float32")


def array(value, shape, what):
    """Return a student's array as finite float64, or fail with what it should have been."""
    try:
        received = None if value is None else np.asarray(value, np.float64)
    except (TypeError, ValueError):
        received = None
    assert received is not None and received.shape == shape, explain(
        f"{what}: the shape is not right",
        expected=shape,
        received=value if received is None else received.shape,
    )
    assert np.isfinite(received).all(), explain(
        f"{what}: some are not finite",
        expected="finite numbers",
        received=f"{np.sum(~np.isfinite(received))} that are not",
    )
    return received


def pair_of(answer, what="images and labels"):
    """Return both parts of a student's answer, or fail."""
    assert isinstance(answer, tuple | list) and len(answer) == 2, explain(
        f"two things come back: {what}", expected="a pair", received=answer
    )
    return answer


def in_graph(function, images, *others):
    """Return what a function returns where nothing but the number of axes is known."""
    images = tf.constant(images)
    dataset = tf.data.Dataset.from_tensors((images, *others))
    signature = [None, None, None, images.shape[-1]]

    def call(images, *others):
        unknown = tf.compat.v1.placeholder_with_default(images, signature)
        return function(unknown, *others)

    return next(iter(dataset.map(call)))


def check_draws(change, rng, images, what):
    """Fail where draws don't follow the seed, in eager calls and in graphs.

    Args:
        change: Of images and a seed.
        rng: Gives seeds.
        images: float32 [batch, height, width, channels].
        what: Their name.
    """
    seeds = [new_seed(rng) for _ in range(2)]
    kept = images.copy()
    first = array(change(tf.constant(images), seeds[0]), images.shape, what)
    again = array(change(tf.constant(images), seeds[0]), images.shape, what)
    assert np.array_equal(first, again), (
        f"two calls with the same seed give other {what}: draw with "
        "tf.random.stateless_uniform and the seed that is given"
    )
    other = array(change(tf.constant(images), seeds[1]), images.shape, what)
    assert not np.array_equal(first, other), (
        f"another seed gives the same {what}: hand the seed on to the random function"
    )
    assert not np.allclose(first, images), f"{what} are the images, unchanged"
    assert np.array_equal(images, kept), "your function changes the images themselves"
    mapped = array(
        in_graph(change, images, seeds[0]), images.shape, f"{what} in a graph"
    )
    assert np.allclose(first, mapped, atol=1e-5), (
        f"inside of Dataset.map the same seed gives other {what}: nothing but the seed may "
        "decide, and numpy draws once, when the graph is traced"
    )


def check_own_draw(kinds, what):
    """Fail where all images of a batch were changed alike."""
    assert len(set(kinds)) > 1, (
        f"all images of the batch {what}: each image has a draw of its own, so draw as "
        "many numbers as there are images"
    )


def chance(count, total, share):
    """Tell how likely a count this far off is, if the share is right."""
    return scipy.stats.binomtest(int(count), int(total), share).pvalue


# random_flip ----------------------------------------------------------------------------


@check(task="random_flip")
def images_are_mirrored_or_stay(submission):
    rng = new_generator()
    images = pictures(rng, 40)
    answer = submission.random_flip(tf.constant(images), new_seed(rng))
    received = array(answer, images.shape, "the flipped images")
    wrongs = {
        "an image is turned upside down: left and right are the third axis": images[
            :, ::-1
        ],
        "an image is turned by half a turn: mirror left and right alone": images[
            :, ::-1, ::-1
        ],
        "the colours are turned around: the axis of columns is the third": images[
            ..., ::-1
        ],
        "images change their places in the batch, and their labels don't": images[::-1],
    }
    kinds = []
    for place, image in enumerate(received):
        for mistake, wrong in wrongs.items():
            assert not np.allclose(image, wrong[place]), mistake
        same = np.allclose(image, images[place])
        turned = np.allclose(image, images[place, :, ::-1])
        assert same or turned, (
            "an image is neither as it was nor its mirror image, left for right"
        )
        kinds.append("mirrored" if turned else "kept")
    check_own_draw(kinds, "are mirrored, or all stay")


@check(task="random_flip")
def half_of_the_images_are_mirrored(submission):
    rng = new_generator()
    images = np.tile(np.float32([[[[0.1], [0.9]]]]), (4000, 1, 1, 1))
    answer = submission.random_flip(tf.constant(images), new_seed(rng))
    received = array(answer, images.shape, "the flipped images")
    count = np.sum(received[:, 0, 0, 0] > 0.5)
    assert chance(count, 4000, 0.5) > 1e-7, explain(
        "half of the images are mirrored, on average",
        expected="about 2000 of 4000",
        received=int(count),
    )


@check(task="random_flip")
def flips_follow_the_seed(submission):
    rng = new_generator()
    check_draws(submission.random_flip, rng, pictures(rng, 30), "flipped images")


# random_crop ----------------------------------------------------------------------------


def moved(image, down, right, fill=GREY):
    """Return what a window sees that starts `down` rows below and `right` columns on."""
    height, width, _ = image.shape
    size = max(abs(down), abs(right), 1)
    around = ((size, size), (size, size), (0, 0))
    if fill in ("reflect", "edge"):
        padded = np.pad(image, around, fill)
    else:
        padded = np.pad(image, around, constant_values=fill)
    top, left = size + down, size + right
    return padded[top : top + height, left : left + width]


def place_of(image, original, padding, fill=GREY):
    """Return the move that makes an image of another, None if no move does."""
    for down in range(-padding, padding + 1):
        for right in range(-padding, padding + 1):
            if np.allclose(image, moved(original, down, right, fill), atol=1e-5):
                return down, right
    return None


@check(task="random_crop")
def each_image_is_moved_by_whole_pixels(submission):
    rng = new_generator()
    images = pictures(rng, 30)
    answer = submission.random_crop(tf.constant(images), new_seed(rng), 2)
    received = array(answer, images.shape, "the cropped images")
    places = [place_of(r, i, 2) for r, i in zip(received, images, strict=True)]
    for fill, mistake in (
        (0.0, "what moves in is black: the images are in [0, 1], so fill with GREY"),
        (1.0, "what moves in is white: fill with GREY"),
        ("reflect", "what moves in is the image, mirrored: fill with GREY"),
        ("edge", "what moves in is the border, repeated: fill with GREY"),
    ):
        others = [
            place_of(r, i, 2, fill) for r, i in zip(received, images, strict=True)
        ]
        assert None in others or None not in places, mistake
    rolled = [
        place is None
        and any(
            np.allclose(r, np.roll(i, (a, b), (0, 1)), atol=1e-5)
            for a in range(-2, 3)
            for b in range(-2, 3)
        )
        for place, r, i in zip(places, received, images, strict=True)
    ]
    assert not any(rolled), (
        "what leaves the image at one side comes in at the other: fill with GREY"
    )
    further = [
        place is None and place_of(r, i, 4) is not None
        for place, r, i in zip(places, received, images, strict=True)
    ]
    assert not any(further), (
        "an image moves by more than `padding` pixels: the window starts at 0 to 2 * "
        "padding of the padded image"
    )
    assert None not in places, (
        "an image is not itself, moved by at most `padding` pixels down and right, with "
        "GREY where nothing was"
    )
    check_own_draw(places, "are moved alike")


@check(task="random_crop")
def all_places_are_equally_likely(submission):
    rng = new_generator()
    image = np.full((5, 5, 1), GREY, np.float32)
    image[2, 2] = 1.0
    images = np.tile(image, (2000, 1, 1, 1))
    answer = submission.random_crop(tf.constant(images), new_seed(rng), 2)
    received = array(answer, images.shape, "the cropped images")
    found = np.argwhere(received[..., 0] > 0.9)[:, 1:]  # [2000, 2]
    assert len(found) == 2000, explain(
        "a pixel in the middle is still there after a move by its distance to the border",
        expected="once in each image",
        received=f"{len(found)} in 2000 images",
    )
    counts = np.zeros((5, 5))
    np.add.at(counts, tuple(found.T), 1)
    rows, columns = counts.sum(axis=1), counts.sum(axis=0)
    for name, values in (("row", rows), ("column", columns)):
        assert values.min() > 0, explain(
            f"some {name}s are never reached: the draw goes from -padding to padding, both "
            "ends with it (maxval is not drawn)",
            expected="2 * padding + 1 places",
            received=f"{np.sum(values > 0)} places",
        )
        assert scipy.stats.chisquare(values).pvalue > 1e-7, explain(
            f"all {name}s are equally likely",
            expected="about 400 each",
            received=values.astype(int).tolist(),
        )
    p_value = scipy.stats.chisquare(counts.ravel()).pvalue
    assert p_value > 1e-7, explain(
        "the moves down and right have to do with each other: they are two draws",
        expected="about 80 at each of 25 places",
        received=f"{np.sum(counts > 0)} places, up to {int(counts.max())} at one",
    )


@check(task="random_crop")
def crops_follow_the_seed(submission):
    rng = new_generator()

    def change(images, seed):
        return submission.random_crop(images, seed, 3)

    check_draws(change, rng, pictures(rng, 20), "cropped images")


@check(task="random_crop")
def padding_0_moves_nothing(submission):
    rng = new_generator()
    images = pictures(rng, 5)
    answer = submission.random_crop(tf.constant(images), new_seed(rng), 0)
    received = array(answer, images.shape, "the images with padding 0")
    assert np.allclose(received, images), "with padding 0 the images stay as they are"


# cutout ---------------------------------------------------------------------------------


def squares(submission, rng, images, size):
    """Return where each image was filled, bool [n, height, width]; all else stays."""
    answer = submission.cutout(tf.constant(images), new_seed(rng), size)
    received = array(answer, images.shape, "the images with a square")
    changed = ~np.isclose(received, images)  # [n, height, width, channels]
    filled = np.isclose(received, GREY)
    hidden = changed.any(axis=-1)
    assert filled[hidden].all(), explain(
        "the square is GREY in all channels, all else stays",
        expected=GREY,
        received=received[changed & ~filled][:3] if (changed & ~filled).any() else "",
    )
    return hidden


@check(task="cutout")
def each_image_has_a_square_of_its_own(submission):
    rng = new_generator()
    images = pictures(rng, 60, (10, 14, 3))
    hidden = squares(submission, rng, images, 4)
    kinds = []
    assert hidden.any(), "nothing is cut out of the images"
    for mask in hidden:
        rows = np.flatnonzero(mask.any(axis=1))
        columns = np.flatnonzero(mask.any(axis=0))
        assert len(rows) and mask[np.ix_(rows, columns)].all(), (
            "in each image one whole square is cut out, not stripes or single pixels"
            if len(rows)
            else "an image has no square: its centre lies in the image"
        )
        box = rows[0], rows[-1], columns[0], columns[-1]
        height, width = box[1] - box[0] + 1, box[3] - box[2] + 1
        assert height == len(rows) and width == len(columns), (
            "in each image one square is cut out, not several"
        )
        assert height <= 4 and width <= 4, explain(
            "the square's side has `size` pixels",
            expected="at most 4 x 4",
            received=f"{height} x {width}",
        )
        inside = box[0] > 0 and box[1] < 9 and box[2] > 0 and box[3] < 13
        assert not inside or (height == 4 and width == 4), explain(
            "the square's side has `size` pixels",
            expected="4 x 4",
            received=f"{height} x {width}",
        )
        kinds.append(tuple(int(value) for value in box))
    check_own_draw(kinds, "have their square at the same place")


@check(task="cutout")
def places_of_squares_are_equally_likely(submission):
    rng = new_generator()
    for size in (4, 3):
        images = np.tile(pictures(rng, 1, (6, 8, 1)), (3000, 1, 1, 1))
        hidden = squares(submission, rng, images, size)
        half = size // 2
        covered = []
        for axis, length in ((1, 6), (2, 8)):
            line = hidden.any(axis=3 - axis)  # [3000, length]
            share = line.mean(axis=0)
            firsts = np.arange(length) - half
            expected = np.array(
                [np.mean((firsts <= k) & (k < firsts + size)) for k in range(length)]
            )
            whole = np.mean(line.sum(axis=1) == min(size, length))
            assert whole < 0.999, (
                "squares never reach beyond the border: their centre may lie anywhere in "
                "the image, and what lies outside is lost"
            )
            p_values = [
                chance(round(s * 3000), 3000, min(e, 1.0))
                for s, e in zip(share, expected, strict=True)
            ]
            assert min(p_values) > 1e-7, explain(
                f"a square of {size} pixels starts at -(size // 2) to "
                f"{'height' if axis == 1 else 'width'} - size // 2 - 1, all places alike: "
                f"{'rows' if axis == 1 else 'columns'} are covered with other shares",
                expected=np.round(expected, 2).tolist(),
                received=np.round(share, 2).tolist(),
            )
            covered.append(line[:, 0])
        both = np.mean(covered[0] & covered[1])
        alone = covered[0].mean() * covered[1].mean()
        assert chance(round(both * 3000), 3000, alone) > 1e-7, (
            "the square's row and its column have to do with each other: they are two draws"
        )


@check(task="cutout")
def squares_follow_the_seed(submission):
    rng = new_generator()

    def change(images, seed):
        return submission.cutout(images, seed, 3)

    check_draws(change, rng, pictures(rng, 20), "images with a square")


# colour_jitter --------------------------------------------------------------------------


def colours(submission, rng, count, strength):
    """Return contrast [n, channels] and shift [n, channels] that were applied.

    The images are so pale that nothing is cut off.
    """
    base = rng.uniform(0.46, 0.54, (count, 1, 1, 3))
    images = base + rng.uniform(-0.03, 0.03, (count, 5, 7, 3))
    images = images.astype("float32")
    answer = submission.colour_jitter(tf.constant(images), new_seed(rng), strength)
    received = array(answer, images.shape, "the images with other colours")
    mean = images.mean(axis=(1, 2), keepdims=True, dtype=np.float64)
    centred = images - mean
    after = received.mean(axis=(1, 2), keepdims=True)
    power = np.sum(centred**2, axis=(1, 2))
    contrast = np.sum(centred * (received - after), axis=(1, 2)) / power
    rest = received - after - contrast[:, None, None] * centred
    assert np.abs(rest).max() < 1e-3, (
        "within one channel of an image values are stretched about their mean and moved, "
        "all by the same numbers; here the noise is another at each pixel"
    )
    return contrast, (after - mean)[:, 0, 0]


@check(task="colour_jitter")
def each_image_has_its_own_colours(submission):
    rng = new_generator()
    contrast, shift = colours(submission, rng, 50, 0.3)
    assert (
        np.std(contrast, axis=0).max() > 1e-3 or np.std(shift, axis=0).max() > 1e-3
    ), "all images of the batch get the same colours: each image has draws of its own"
    assert np.std(shift, axis=0).max() > 1e-3, (
        "all images of the batch get the same shift: draw [batch, 1, 1, channels]"
    )
    assert np.std(contrast, axis=0).max() > 1e-3, (
        "all images of the batch get the same contrast, or none: draw [batch, 1, 1, 1]"
    )
    assert np.abs(contrast - contrast[:, :1]).max() < 0.02, explain(
        "the contrast is one number for each image, the same in all channels",
        expected="three equal numbers",
        received=contrast[0],
    )
    assert np.std(shift, axis=1).max() > 1e-3, (
        "all channels of an image are shifted alike, which is brightness, not colour: draw "
        "[batch, 1, 1, channels]"
    )


@check(task="colour_jitter")
def contrast_and_shift_are_uniform_and_independent(submission):
    rng = new_generator()
    strength = 0.2
    contrast, shift = colours(submission, rng, 1500, strength)
    contrast = contrast[:, 0]
    scaled = {
        "contrast": ((contrast - 1) / strength + 1) / 2,
        "shift": (shift.ravel() / strength + 1) / 2,
    }
    for name, values in scaled.items():
        expected = "1 - strength to 1 + strength"
        expected = expected if name == "contrast" else "-strength to strength"
        low, high = values.min(), values.max()
        assert low > -0.02 and high < 1.02, explain(
            f"the {name} leaves its range, {expected}",
            expected="within it",
            received=f"{2 * low - 1:.2f} to {2 * high - 1:.2f} times strength",
        )
        p_value = scipy.stats.kstest(values, "uniform").pvalue
        assert p_value > 1e-7, explain(
            f"the {name} is not uniform from {expected}",
            expected="a mean in the middle, and both ends reached",
            received=f"mean {2 * values.mean() - 1:.2f}, from {2 * low - 1:.2f} to "
            f"{2 * high - 1:.2f} times strength",
        )
    table = np.corrcoef(np.column_stack([contrast, shift]).T)
    # One seed gives both draws the same numbers, of which a contrast takes one, and a
    # shift three.
    shared = np.corrcoef(contrast, shift.ravel()[: len(contrast)])[0, 1]
    together = max(np.abs(table - np.eye(4)).max(), abs(shared))
    assert together < 0.17, explain(
        "contrast and shift have to do with each other: with one seed for both, both draws "
        "are the same numbers; split the seed",
        expected="no correlation",
        received=together,
    )


@check(task="colour_jitter")
def colours_stay_in_range(submission):
    rng = new_generator()
    images = rng.choice([0.0, 0.2, 0.7, 1.0], (40, 4, 4, 3)).astype("float32")
    answer = submission.colour_jitter(tf.constant(images), new_seed(rng), 0.6)
    received = array(answer, images.shape, "the images with other colours")
    assert received.min() >= -1e-6 and received.max() <= 1 + 1e-6, explain(
        "colours leave [0, 1]: no camera gives such pixels, and a network that has seen "
        "them knows which images were changed; cut off at both ends",
        expected="0 to 1",
        received=f"{received.min():.2f} to {received.max():.2f}",
    )
    beyond = (received == 0).sum() + (received == 1).sum()
    assert beyond > 100, explain(
        "what leaves [0, 1] is cut off there, not scaled or bent",
        expected="many pixels of 0 and of 1",
        received=f"{beyond} of {received.size}",
    )


@check(task="colour_jitter")
def strength_0_changes_nothing(submission):
    rng = new_generator()
    images = pictures(rng, 6)
    answer = submission.colour_jitter(tf.constant(images), new_seed(rng), 0.0)
    received = array(answer, images.shape, "the images with strength 0")
    assert np.allclose(received, images, atol=1e-5), (
        "with strength 0 the images stay as they are: contrast is stretched about the mean "
        "of each channel, m + contrast * (x - m)"
    )


@check(task="colour_jitter")
def contrast_is_about_the_mean_of_each_channel(submission):
    rng = new_generator()
    images = np.zeros((300, 2, 2, 3), "float32")
    images += rng.uniform(0.2, 0.8, (300, 1, 1, 3)).astype("float32")
    answer = submission.colour_jitter(tf.constant(images), new_seed(rng), 0.1)
    shift = (
        array(answer, images.shape, "images of one colour")[:, 0, 0] - images[:, 0, 0]
    )
    largest = np.abs(shift).max(axis=0)
    assert largest.max() < 0.1 + 1e-4, explain(
        "an image of one colour is shifted by at most `strength`: contrast is stretched "
        "about the mean of the image's own channel, not about 0, 0.5 or the batch's mean",
        expected="at most 0.1",
        received=largest,
    )


@check(task="colour_jitter")
def colours_follow_the_seed(submission):
    rng = new_generator()

    def change(images, seed):
        return submission.colour_jitter(images, seed, 0.3)

    check_draws(change, rng, pictures(rng, 20), "images with other colours")


# mixup ----------------------------------------------------------------------------------


def mixed(submission, rng, count, alpha, images=None):
    """Return images, mixed images, and how much of which image is in each label.

    Every image has a label of its own, so that the labels tell partners and shares.
    """
    images = pictures(rng, count, (3, 4, 2)) if images is None else images
    labels = np.eye(count, dtype=np.float32)
    kept = images.copy(), labels.copy()
    seed = new_seed(rng)
    answer = submission.mixup(tf.constant(images), tf.constant(labels), seed, alpha)
    new_images, new_labels = pair_of(answer)
    new_images = array(new_images, images.shape, "the mixed images")
    new_labels = array(new_labels, labels.shape, "the mixed labels")
    unchanged = np.array_equal(images, kept[0]) and np.array_equal(labels, kept[1])
    assert unchanged, "your function changes what it is given"
    return images, new_images, new_labels


@check(task="mixup")
def labels_are_mixed_as_the_images(submission):
    rng = new_generator()
    images, new_images, new_labels = mixed(submission, rng, 40, 1.0)
    assert not np.allclose(new_images, images, atol=1e-3), "no image is mixed"
    assert not np.allclose(new_labels, np.eye(40)), (
        "the images are mixed, their labels are not: an image that is mostly another one "
        "keeps a label that is wrong; mix the labels with the same partners and shares"
    )
    sums = new_labels.sum(axis=1)
    assert np.allclose(sums, 1, atol=1e-4), explain(
        "the shares of a label add up to 1", expected=1.0, received=sums[:3]
    )
    assert new_labels.min() > -1e-6, explain(
        "shares are not negative", expected="at least 0", received=new_labels.min()
    )
    parts = (new_labels > 1e-6).sum(axis=1)
    assert parts.max() <= 2, explain(
        "each image is mixed with one other image",
        expected="two labels in a row",
        received=f"{parts.max()} labels",
    )
    expected = np.tensordot(new_labels, images.astype(np.float64), 1)
    assert np.allclose(new_images, expected, atol=1e-4), (
        "images and labels are mixed differently: partners and shares must be the same for "
        "both"
    )


@check(task="mixup")
def images_stay_at_their_place_and_have_partners(submission):
    rng = new_generator()
    _, _, new_labels = mixed(submission, rng, 200, 1.0)
    own = np.diag(new_labels)
    assert np.mean(own > 1e-6) > 0.95, (
        "an image is no part of what stands at its place: s * x + (1 - s) * partner, x in "
        "its place"
    )
    others = new_labels - np.diag(own)
    partners = others.argmax(axis=1)[others.max(axis=1) > 1e-6]
    assert len(partners) > 180, explain(
        "nearly every image has another one as its partner",
        expected="about 199 of 200",
        received=len(partners),
    )
    assert len(set(partners.tolist())) == len(partners), explain(
        "each image is the partner of one other: a random order of the batch",
        expected=f"{len(partners)} different partners",
        received=len(set(partners.tolist())),
    )


@check(task="mixup")
def shares_are_drawn_from_beta_for_each_image(submission):
    rng = new_generator()
    for alpha in (0.3, 2.0):
        _, _, new_labels = mixed(
            submission, rng, 1200, alpha, images=pictures(rng, 1200, (1, 1, 1))
        )
        own = np.diag(new_labels)
        alone = np.isclose(own, 1.0, atol=1e-7)
        partnered = (new_labels > 0).sum(axis=1) > 1
        shares = np.clip(own[partnered | ~alone], 1e-7, 1 - 1e-7)
        assert len(shares) > 900, "most images have a partner"
        assert np.std(shares) > 1e-3, (
            "all images of the batch have the same share: each image has a draw of its own"
        )
        right = scipy.stats.beta(alpha, alpha)
        if scipy.stats.kstest(shares, right.cdf).pvalue < 1e-7:
            larger = scipy.stats.kstest(np.maximum(shares, 1 - shares), right.cdf)
            assert shares.min() < 0.49, explain(
                "shares below 1/2 are drawn too: Beta(alpha, alpha) is symmetric",
                expected="from 0 to 1",
                received=f"from {shares.min():.2f}, {larger.pvalue:.1g}",
            )
            uniform = scipy.stats.kstest(shares, "uniform").pvalue
            assert uniform < 1e-4, (
                "the shares are uniform whatever alpha: draw them from Beta(alpha, alpha)"
            )
            raise AssertionError(
                explain(
                    f"the shares don't have the distribution Beta({alpha}, {alpha}): a / "
                    "(a + b) has it, where a and b are two draws (with two seeds) of "
                    "Gamma(alpha)",
                    expected=f"mean 0.5, deviation {right.std():.3f}",
                    received=f"mean {shares.mean():.3f}, deviation {shares.std():.3f}",
                )
            )


@check(task="mixup")
def mixtures_follow_the_seed(submission):
    rng = new_generator()
    labels = np.eye(20, dtype=np.float32)

    def change(images, seed):
        return pair_of(submission.mixup(images, tf.constant(labels), seed, 1.0))[0]

    check_draws(change, rng, pictures(rng, 20), "mixed images")


# augment --------------------------------------------------------------------------------


class Recorder:
    """An operation that adds a number to the images, and remembers its seeds."""

    def __init__(self, number):
        self.number = number
        self.seeds = []

    def __call__(self, images, labels, seed):
        """Return changed images and labels."""
        self.seeds.append(tuple(np.asarray(seed).ravel().tolist()))
        return images * 2 + self.number, labels + self.number


def augmented(submission, seed, operations):
    """Return images and labels after the student's function, as arrays."""
    images = np.ones((2, 3, 3, 1), np.float32)
    labels = np.zeros((2, 4), np.float32)
    answer = submission.augment(
        tf.constant(images), tf.constant(labels), seed, operations
    )
    new_images, new_labels = pair_of(answer)
    return (
        array(new_images, images.shape, "the images"),
        array(new_labels, labels.shape, "the labels"),
    )


@check(task="augment")
def operations_follow_one_another(submission):
    rng = new_generator()
    numbers = rng.permutation([1, 3, 7, 9])[:3].tolist()
    expected_image, expected_label = 1.0, 0.0
    for number in numbers:
        expected_image = 2 * expected_image + number
        expected_label += number
    images, labels = augmented(
        submission, new_seed(rng), [Recorder(number) for number in numbers]
    )
    assert np.allclose(images, expected_image), explain(
        "operations act one after another, each on what the one before it returned, in the "
        "order that is given",
        expected=expected_image,
        received=images[0, 0, 0],
    )
    assert np.allclose(labels, expected_label), explain(
        "each operation gets the labels that the one before returned: mixup changes them",
        expected=expected_label,
        received=labels[0, 0],
    )
    images, labels = augmented(submission, new_seed(rng), [])
    assert np.allclose(images, 1) and np.allclose(labels, 0), (
        "without operations images and labels come back as they are"
    )


@check(task="augment")
def each_operation_has_a_seed_of_its_own(submission):
    rng = new_generator()
    base, other = new_seed(rng), new_seed(rng)

    def seeds(seed):
        operations = [Recorder(k) for k in range(4)]
        augmented(submission, seed, operations)
        calls = [operation.seeds for operation in operations]
        assert all(len(call) == 1 for call in calls), explain(
            "each operation is called once",
            expected=[1, 1, 1, 1],
            received=[len(c) for c in calls],
        )
        return [call[0] for call in calls]

    first = seeds(base)
    assert all(len(seed) == 2 for seed in first), explain(
        "a seed has two numbers", expected="int32 [2]", received=first[0]
    )
    assert len(set(first)) == 4, (
        "two operations get the same seed: then their draws are the same numbers, and only "
        "mirrored images would be cropped to one side; fold the place into the seed"
    )
    assert first == seeds(base), (
        "the same seed gives the operations other seeds: they must follow from it"
    )
    assert not set(first) & set(seeds(other)), (
        "another seed gives an operation the same seed: fold the place into the seed that "
        "is given"
    )


@check(task="augment")
def operations_work_in_a_graph(submission):
    rng = new_generator()

    def noise(images, labels, seed):
        return images + tf.random.stateless_normal(tf.shape(images), seed), labels

    def change(images, seed):
        answer = submission.augment(images, tf.zeros([4, 2]), seed, [noise, noise])
        return pair_of(answer)[0]

    check_draws(change, rng, pictures(rng, 4), "augmented images")


# batches --------------------------------------------------------------------------------


def numbered(count):
    """Return images that show their number, and labels that tell it."""
    images = np.arange(count, dtype=np.float32)[:, None, None, None]
    images = images * np.ones((1, 2, 2, 1), np.float32)
    return images, np.eye(count, dtype=np.float32)


def epoch_of(dataset, what="batches"):
    """Return the batches of one epoch as numpy arrays."""
    assert isinstance(dataset, tf.data.Dataset), explain(
        f"{what} are a tf.data.Dataset", expected="a tf.data.Dataset", received=dataset
    )
    found = []
    for element in dataset.take(100):
        images, labels = pair_of(element, "a batch's images and labels")
        found.append((images.numpy(), labels.numpy()))
    assert len(found) < 100, (
        "the batches never end: one epoch has every example once, so leave repeat out"
    )
    return found


def seen(images, labels, seed):
    """Return images with the seed as a new channel each, labels as they are."""
    # Within what a float32 tells apart.
    first, second = (tf.cast(seed[k] % 8_388_607, tf.float32) for k in (0, 1))
    shape = tf.shape(images)
    return (
        tf.concat([images, tf.fill(shape, first), tf.fill(shape, second)], axis=-1),
        labels,
    )


def training_epochs(submission, count, batch_size, seed, num_epochs, change=seen):
    """Return epochs of one training pipeline: numbers of the examples, seeds of batches."""
    images, labels = numbered(count)
    dataset = submission.batches(
        images, labels, change, batch_size=batch_size, seed=seed, training=True
    )
    epochs = []
    for _ in range(num_epochs):
        found = epoch_of(dataset)
        sizes = [len(x) for x, _ in found]
        full, rest = divmod(count, batch_size)
        expected = [batch_size] * full + [rest] * bool(rest)
        assert sizes == expected or sorted(sizes) != sorted(expected), explain(
            "the short batch comes before others: shuffle examples, then batch them",
            expected=expected,
            received=sizes,
        )
        assert sizes == expected, explain(
            "an epoch has every example once, in batches of batch_size; the last one is "
            "short",
            expected=expected,
            received=sizes,
        )
        shapes = {x.shape[1:] for x, _ in found}
        assert shapes == {(2, 2, 3)}, explain(
            "in training every batch goes through `change`, which here adds two channels",
            expected=[(2, 2, 3)],
            received=sorted(shapes),
        )
        numbers = np.concatenate([x[:, 0, 0, 0] for x, _ in found]).astype(int)
        told = np.concatenate([y for _, y in found]).argmax(axis=1)
        assert np.array_equal(numbers, told), (
            "images and labels are shuffled apart: put them into one data set first"
        )
        assert sorted(numbers.tolist()) == list(range(count)), (
            "an epoch has every example once"
        )
        keys = [tuple(x[0, 0, 0, 1:].tolist()) for x, _ in found]
        whole = all(np.ptp(x[..., 1:], axis=(0, 1, 2)).max() == 0 for x, _ in found)
        assert whole, (
            "`change` takes a whole batch: batch first, then map, which is vectorised"
        )
        epochs.append((numbers.tolist(), keys))
    return epochs


@check(task="batches")
def training_batches_are_shuffled_anew(submission):
    rng = new_generator()
    seed = int(rng.integers(2**31))
    (first, _), (second, _) = training_epochs(submission, 47, 10, seed, 2)
    assert first != list(range(47)), "the examples are not shuffled"
    moves = np.abs(np.array(first) - np.arange(47))
    assert moves.mean() > 8, explain(
        "the examples are hardly shuffled: the buffer must hold all of them, and whole "
        "batches must not be shuffled instead",
        expected="moves by a third of the set",
        received=f"{moves.mean():.1f} of 47 places",
    )
    groups = [sorted(first[k : k + 10]) for k in range(0, 40, 10)]
    assert not any(g == list(range(g[0], g[0] + 10)) for g in groups), (
        "batches are shuffled, not examples: shuffle before batch"
    )
    assert first != second, "each epoch has the same order"
    ((again, _),) = training_epochs(submission, 47, 10, seed, 1)
    assert first == again, "the same seed gives another order"


@check(task="batches")
def every_batch_of_every_epoch_has_a_new_seed(submission):
    rng = new_generator()
    seed = int(rng.integers(2**31))
    (_, first), (_, second) = training_epochs(submission, 30, 6, seed, 2)
    assert len(set(first)) == 5, (
        "batches of one epoch get the same seed: a number that Python draws in map is "
        "drawn once, when the function is traced; let seeds come with the data"
    )
    assert not set(first) & set(second), (
        "the second epoch has the seeds of the first: every image is changed as before. "
        "Don't cache behind the changes, and use rerandomize_each_iteration=True, or count "
        "on over the epochs"
    )
    epochs = training_epochs(submission, 30, 6, seed, 2)
    assert [keys for _, keys in epochs] == [first, second], (
        "the same seed gives other changes: the seeds of the batches must follow from it"
    )
    ((_, other),) = training_epochs(submission, 30, 6, (seed + 77) % 2**31, 1)
    assert not set(first) & set(other), "another seed gives the same changes"


@check(task="batches")
def scored_batches_come_as_they_are(submission):
    rng = new_generator()
    images, labels = numbered(23)
    labels = labels[rng.permutation(23)]
    called = []

    def change(images, labels, seed):
        called.append(1)
        return images + 100, labels

    dataset = submission.batches(
        images, labels, change, batch_size=5, seed=3, training=False
    )
    found = epoch_of(dataset, "batches for scoring")
    received = np.concatenate([x for x, _ in found])
    assert len(received) == 23, explain(
        "every example is scored, also those of the last, short batch",
        expected=23,
        received=len(received),
    )
    assert received.min() < 100, (
        "images are augmented for scoring too: the figure then stands for other images "
        "than those of the test"
    )
    assert np.array_equal(received, images), (
        "for scoring the images come in their order and unchanged"
    )
    told = np.concatenate([y for _, y in found])
    assert np.array_equal(told, labels), "for scoring the labels come in their order"
    assert len(found) == 5 and len(found[0][0]) == 5, explain(
        "batches have batch_size examples",
        expected=[5, 5, 5, 5, 3],
        received=[len(x) for x, _ in found],
    )


# four_turns -----------------------------------------------------------------------------


@check(task="four_turns")
def every_image_is_turned_four_times(submission):
    rng = new_generator()
    images = pictures(rng, 5, (4, 4, 2))
    kept = images.copy()
    new_images, turns = pair_of(
        submission.four_turns(tf.constant(images)), "images and turns"
    )
    assert np.array_equal(images, kept), "your function changes the images themselves"
    turned = array(new_images, (20, 4, 4, 2), "the turned images")
    told = array(turns, (20,), "the numbers of turns").astype(int)
    assert not tf.as_dtype(getattr(turns, "dtype", tf.int32)).is_floating, explain(
        "the numbers of turns are integers",
        expected="int32",
        received=getattr(turns, "dtype", None),
    )
    assert sorted(set(told.tolist())) == [0, 1, 2, 3], explain(
        "turns are 0, 1, 2 and 3", expected=[0, 1, 2, 3], received=sorted(set(told))
    )
    found = []
    for image in turned:
        known = [
            (place, k)
            for place in range(5)
            for k in range(4)
            if np.allclose(image, np.rot90(images[place], k))
        ]
        assert known, (
            "an image is no turn of an image: mirroring, or exchanging rows and columns, "
            "is no turn; a quarter turn is both, one after the other"
        )
        found.append(known[0])
    assert len(set(found)) == 20, explain(
        "every image comes turned by 0, 1, 2 and 3 quarters, once each",
        expected="20 different turns",
        received=f"{len(set(found))} different ones",
    )
    right = np.array([k for _, k in found])
    assert not np.array_equal(told, (-right) % 4) or np.array_equal(told, right), (
        "images are turned clockwise: 1 is a quarter turn counterclockwise"
    )
    wrong = np.flatnonzero(told != right)
    assert not len(wrong), explain(
        f"{len(wrong)} of 20 labels belong to other images: repeat gives 0 0 ... 1 1 ..., "
        "tile gives 0 1 2 3 0 1 ...; which order have the images?",
        expected=right.tolist(),
        received=told.tolist(),
    )


@check(task="four_turns")
def turns_work_in_a_graph(submission):
    rng = new_generator()
    images = pictures(rng, 3, (4, 4, 1))
    eager = pair_of(submission.four_turns(tf.constant(images)), "images and turns")
    mapped = in_graph(
        lambda batch: tuple(pair_of(submission.four_turns(batch), "images and turns")),
        images,
    )
    for name, first, second in zip(("images", "turns"), eager, mapped, strict=True):
        assert np.allclose(np.asarray(first), second.numpy()), (
            f"inside of Dataset.map the {name} are others"
        )


# transfer -------------------------------------------------------------------------------


def a_source(rng):
    """Return a small model with batch normalisation and weights of all sizes."""
    images = keras.Input((6, 6, 2))
    maps = keras.layers.Conv2D(3, 3, use_bias=False)(images)
    maps = keras.layers.BatchNormalization(momentum=0.5)(maps)
    maps = keras.layers.ReLU()(maps)
    maps = keras.layers.Conv2D(3, 3, use_bias=False)(maps)
    maps = keras.layers.BatchNormalization(momentum=0.5)(maps)
    maps = keras.layers.ReLU()(maps)
    features = keras.layers.GlobalAveragePooling2D()(maps)
    source = keras.Model(images, keras.layers.Dense(4)(features))
    for variable in source.weights:
        variable.assign(
            rng.uniform(0.2, 1.2, variable.shape) - 0.5 * ("kernel" in variable.path)
        )
    return source


def model_from(submission, source, num_classes, start):
    """Return the student's model, or fail where it is none."""
    kept = source.get_weights()
    model = submission.transfer(source, num_classes, start)
    assert isinstance(model, keras.Model), explain(
        "a model comes back", expected="a keras.Model", received=model
    )
    expected = (None, 6, 6, 2), (None, num_classes)
    received = tuple(model.input_shape), tuple(model.output_shape)
    assert received == expected, explain(
        "the model goes from the source's images to logits of the new task: cut the "
        "source's head off, and give the new one num_classes units",
        expected=f"{expected[0]} → {expected[1]}",
        received=f"{received[0]} → {received[1]}",
    )
    same = all(
        np.array_equal(a, b) for a, b in zip(kept, source.get_weights(), strict=True)
    )
    assert same, "the source's weights are others afterwards: work on a copy"
    return model


def own_parts(model, source, num_classes):
    """Return the trunk's variables in the source's order, and the head's."""
    shapes = [tuple(v.shape) for v in source.weights[:-2]]
    head = [(3, num_classes), (num_classes,)]
    weights = list(model.weights)
    # Trainable layers may come before frozen ones in some arrangements; sort by path.
    received = [tuple(v.shape) for v in weights]
    assert sorted(received) == sorted(shapes + head), explain(
        "the model has the trunk's variables and a dense head on its last features, and no "
        "others: nothing of the old head",
        expected=sorted(shapes + head),
        received=sorted(received),
    )
    heads = [v for v in weights if tuple(v.shape) in head]
    return [v for v in weights if tuple(v.shape) not in head], heads


def trunk_outputs(source, images):
    """Return the features that the source's last layer is given."""
    trunk = keras.Model(source.input, source.layers[-1].input)
    return np.asarray(trunk(images), np.float64)


def logits_by_hand(source, model, images, num_classes):
    """Return what the new head makes of the source's features."""
    _, heads = own_parts(model, source, num_classes)
    kernel = next(v for v in heads if len(v.shape) == 2).numpy()
    bias = next(v for v in heads if len(v.shape) == 1).numpy()
    return trunk_outputs(source, images) @ kernel + bias


@check(task="transfer")
def the_trunk_has_the_sources_weights(submission):
    rng = new_generator()
    source = a_source(rng)
    images = pictures(rng, 6, (6, 6, 2))
    for start in ("frozen", "fine_tuned"):
        model = model_from(submission, source, 5, start)
        expected = logits_by_hand(source, model, images, 5)
        received = array(model(images), (6, 5), "the logits")
        shares = scipy.special.softmax(expected, axis=1)
        assert not np.allclose(received, shares, atol=1e-4), (
            "the head has a softmax: logits are wanted, the loss takes the softmax itself"
        )
        positive = np.maximum(expected, 0)
        assert (expected >= 0).all() or not np.allclose(
            received, positive, atol=1e-4
        ), "the head has a ReLU: logits have no activation"
        assert np.allclose(received, expected, atol=1e-3), explain(
            f'"{start}": the logits are not a dense layer on what the source\'s trunk '
            "computes: the trunk has fresh weights (clone_model copies none), or weights "
            "in another order",
            expected=expected[0],
            received=received[0],
        )


@check(task="transfer")
def scratch_starts_fresh(submission):
    rng = new_generator()
    source = a_source(rng)
    models = [model_from(submission, source, 3 + k, "scratch") for k in range(2)]
    kernels = []
    for k, model in enumerate(models):
        trunk, _ = own_parts(model, source, 3 + k)
        kernels.append([v.numpy() for v in trunk if len(v.shape) == 4])
    old = [v.numpy() for v in source.weights if len(v.shape) == 4]
    for mine in kernels:
        for kernel in mine:
            assert not any(
                np.allclose(kernel, o) for o in old if o.shape == kernel.shape
            ), '"scratch" has the source\'s weights: it must begin with fresh ones'
    assert not np.allclose(kernels[0][0], kernels[1][0]), (
        'two models from "scratch" have the same weights: each begins with its own'
    )
    norms = [
        v.numpy()
        for v in own_parts(models[0], source, 3)[0]
        if v.path.endswith(("moving_mean", "moving_variance"))
    ]
    fresh = all(np.allclose(v, v.flat[0]) and v.flat[0] in (0, 1) for v in norms)
    assert fresh, (
        '"scratch" has the source\'s moving statistics: they are weights as well'
    )


def one_step(model, rng, num_classes):
    """Return which variables a step of training changes, by the number of axes."""
    images = tf.constant(pictures(rng, 8, (6, 6, 2)))
    before = [v.numpy() for v in model.weights]
    with tf.GradientTape() as tape:
        logits = model(images, training=True)
        loss = tf.reduce_mean(tf.square(logits - tf.range(1.0, num_classes + 1)))
    variables = model.trainable_variables
    assert variables, "nothing of the model is trainable"
    gradients = tape.gradient(loss, [v.value for v in variables])
    missing = [v.path for v, g in zip(variables, gradients, strict=True) if g is None]
    assert not missing, explain(
        "the loss does not reach all that is trainable",
        expected="a gradient for each variable",
        received=missing,
    )
    for variable, gradient in zip(variables, gradients, strict=True):
        variable.assign(variable - 0.1 * gradient)
    return [
        not np.allclose(v.numpy(), b, atol=1e-9)
        for v, b in zip(model.weights, before, strict=True)
    ]


@check(task="transfer")
def frozen_means_frozen(submission):
    rng = new_generator()
    source = a_source(rng)
    model = model_from(submission, source, 5, "frozen")
    trunk, heads = own_parts(model, source, 5)
    places = [id(v) for v in model.weights]
    changed = dict(zip(places, one_step(model, rng, 5), strict=True))
    statistics = [v for v in trunk if "moving" in v.path and changed[id(v)]]
    trained = [v for v in trunk if "moving" not in v.path and changed[id(v)]]
    assert not trained, explain(
        '"frozen": a step of training changes weights of the trunk',
        expected="trainable = False on the trunk",
        received=[v.path for v in trained],
    )
    assert not statistics, (
        '"frozen": batch normalisation runs in training mode and its moving statistics '
        "follow the batches: set trainable = False on the trunk (as on all of its layers), "
        "or call it with training=False"
    )
    assert all(changed[id(v)] for v in heads), (
        '"frozen": the head is frozen too; it is what is trained'
    )
    images = pictures(rng, 4, (6, 6, 2))
    expected = logits_by_hand(source, model, images, 5)
    received = array(model(images, training=True), (4, 5), "the logits in training")
    assert np.allclose(received, expected, atol=1e-3), (
        '"frozen": in training batch normalisation uses the batch\'s own mean and '
        "variance, so the head learns on other features than it is scored on"
    )


@check(task="transfer")
def otherwise_all_is_trained(submission):
    rng = new_generator()
    source = a_source(rng)
    for start in ("fine_tuned", "scratch"):
        model = model_from(submission, source, 5, start)
        changed = one_step(model, rng, 5)
        still = [v.path for v, c in zip(model.weights, changed, strict=True) if not c]
        assert not still, explain(
            f'"{start}": a step of training does not change all variables, moving '
            "statistics included",
            expected="all change",
            received=still[0] if still else "",
        )
        assert source.trainable and all(layer.trainable for layer in source.layers), (
            "the source itself is frozen afterwards: work on a copy"
        )


@check(task="transfer")
def whatever_becomes_of_it_the_source_stays(submission):
    rng = new_generator()
    source = a_source(rng)
    kept = source.get_weights()
    model = model_from(submission, source, 3, "fine_tuned")
    for variable in model.weights:
        variable.assign(variable + 1)
    same = all(
        np.array_equal(a, b) for a, b in zip(kept, source.get_weights(), strict=True)
    )
    assert same, (
        "the model trains the source's own layers: the second draw of labels would begin "
        "where the first one ended; clone the trunk"
    )
    submission.transfer(source, 3, "frozen")
    assert all(layer.trainable for layer in source.layers), (
        "the source's own layers are frozen afterwards: freeze a copy"
    )


# rate_factors ---------------------------------------------------------------------------


def some_variables(shapes):
    """Return variables of these shapes."""
    return [keras.Variable(np.zeros(shape, "float32")) for shape in shapes]


@check(task="rate_factors")
def every_block_has_its_rate(submission):
    rng = new_generator()
    conv, dense, vector = (3, 3, 2, 4), (4, 5), (4,)
    for shapes, blocks in (
        (
            [conv, vector, vector, conv, vector, vector, dense, (5,)],
            [0, 0, 0, 1, 1, 1, 2, 2],
        ),
        ([conv, conv, vector, dense], [0, 1, 1, 2]),
        ([dense, (5,)], [0, 0]),
        (
            [(6,) * 3, vector, dense, vector, dense, vector, dense],
            [0, 0, 1, 1, 2, 2, 3],
        ),
    ):
        factor = float(rng.uniform(0.3, 0.8))
        answer = submission.rate_factors(some_variables(shapes), factor)
        received = array(answer, (len(shapes),), "a factor for each variable")
        expected = factor ** (blocks[-1] - np.array(blocks, float))
        assert not np.allclose(received, expected[::-1]) or np.allclose(
            expected, expected[::-1]
        ), explain(
            "the head has the smallest rate: the order is turned around, blocks near the "
            "image know what all images share, and change least",
            expected=expected,
            received=received,
        )
        assert np.isclose(received[-1], 1, atol=1e-5), explain(
            "the last block, the head, has the whole rate",
            expected=1.0,
            received=received[-1],
        )
        by_variable = factor ** np.arange(len(shapes) - 1.0, -1, -1)
        assert np.allclose(expected, by_variable) or not np.allclose(
            received, by_variable
        ), explain(
            "the rate falls from variable to variable: a kernel and its bias, gamma and "
            "beta are one block",
            expected=expected,
            received=received,
        )
        assert len(set(blocks)) == 1 or not np.allclose(received, 1), (
            "all blocks have the same rate"
        )
        assert np.allclose(received, expected, rtol=1e-4), explain(
            "from block to block, towards the image, the rate is multiplied by `factor`; a "
            "block begins with a kernel",
            expected=expected,
            received=received,
        )


@check(task="rate_factors")
def factor_1_is_one_rate_for_all(submission):
    shapes = [(3, 3, 1, 2), (2,), (2,), (2, 4), (4,)]
    answer = submission.rate_factors(some_variables(shapes), 1.0)
    received = array(answer, (5,), "a factor for each variable")
    assert np.allclose(received, 1), explain(
        "with factor 1 all variables have the whole rate",
        expected=np.ones(5),
        received=received,
    )


# train_step -----------------------------------------------------------------------------


def a_network(rng, dropout=0.0):
    """Return a small network with batch normalisation, its weights at random."""
    images = keras.Input((4, 4, 1))
    hidden = keras.layers.Dense(5)(keras.layers.Flatten()(images))
    hidden = keras.layers.BatchNormalization(momentum=0.5)(hidden)
    if dropout:
        hidden = keras.layers.Dropout(dropout)(hidden)
    model = keras.Model(images, keras.layers.Dense(3)(hidden))
    for variable in model.trainable_variables:
        variable.assign(rng.normal(0, 0.7, variable.shape))
    return model


def step_of(submission, rng, *, factors=None, optimizer=None, soft=True):
    """Return the model before and after one step, its batch and the loss."""
    model = a_network(rng)
    images = tf.constant(rng.normal(size=(6, 4, 4, 1)), tf.float32)
    labels = rng.dirichlet(np.ones(3), 6) if soft else np.eye(3)[rng.integers(0, 3, 6)]
    labels = tf.constant(labels, tf.float32)
    optimizer = optimizer or keras.optimizers.SGD(0.3)
    optimizer.build(model.trainable_variables)
    count = len(model.trainable_variables)
    factors = np.ones(count) if factors is None else factors
    before = [v.numpy() for v in model.weights]
    given = tf.constant(factors, tf.float32)
    loss = submission.train_step(model, optimizer, images, labels, given)
    return model, before, images, labels, loss


def by_hand(model, before, images, labels):
    """Return the loss and the gradients that a step should have had, from `before`."""
    after = [v.numpy() for v in model.weights]
    for variable, value in zip(model.weights, before, strict=True):
        variable.assign(value)
    with tf.GradientTape() as tape:
        logits = model(images, training=True)
        log_shares = logits - tf.reduce_logsumexp(logits, axis=1, keepdims=True)
        loss = -tf.reduce_mean(tf.reduce_sum(labels * log_shares, axis=1))
    gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
    moving = {v.path: v.numpy() for v in model.non_trainable_variables}
    for variable, value in zip(model.weights, before, strict=True):
        variable.assign(value)
    frozen = np.asarray(model(images, training=False), np.float64)
    for variable, value in zip(model.weights, after, strict=True):
        variable.assign(value)
    logits = logits.numpy().astype(np.float64)
    return logits, frozen, [np.asarray(g) for g in gradients], moving


@check(task="train_step")
def the_loss_is_the_mean_cross_entropy(submission):
    rng = new_generator()
    model, before, images, labels, loss = step_of(submission, rng)
    received = float(array(loss, (), "the loss, a scalar"))
    logits, frozen, _, _ = by_hand(model, before, images, labels)
    targets = labels.numpy().astype(np.float64)

    def cross_entropy(logits, targets=targets):
        return -np.mean(np.sum(targets * scipy.special.log_softmax(logits, 1), axis=1))

    expected = cross_entropy(logits)
    hard = cross_entropy(logits, np.eye(3)[targets.argmax(axis=1)])
    twice = cross_entropy(scipy.special.softmax(logits, axis=1))
    for wrong, mistake in (
        (
            cross_entropy(frozen),
            "the model is called as for prediction: with training=True batch normalisation "
            "uses the batch",
        ),
        (6 * expected, "the loss is the sum over the batch: take the mean"),
        (
            hard,
            "the largest share counts as the label: mixup's labels are shares",
        ),
        (twice, "the softmax is taken twice: the model gives logits"),
        (expected / 3, "the mean is over images, not over classes too"),
    ):
        assert not np.isclose(received, wrong, rtol=1e-4), explain(
            mistake, expected=expected, received=received
        )
    assert np.isclose(received, expected, rtol=1e-3), explain(
        "this is not the mean cross-entropy of the batch before the step",
        expected=expected,
        received=received,
    )


@check(task="train_step")
def one_step_is_gradient_descent(submission):
    rng = new_generator()
    model, before, images, labels, _ = step_of(submission, rng)
    _, _, gradients, moving = by_hand(model, before, images, labels)
    old = dict(zip([v.path for v in model.weights], before, strict=True))
    moved_any = any(
        not np.allclose(v.numpy(), old[v.path]) for v in model.trainable_variables
    )
    assert moved_any, "no variable changes: apply the gradients by the optimizer"
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        step = variable.numpy() - old[variable.path]
        assert not np.allclose(step, 0.3 * gradient, atol=1e-5) or np.allclose(
            gradient, 0, atol=1e-4
        ), "the step goes uphill: the optimizer wants the gradient as it is"
        assert np.allclose(step, -0.3 * gradient, atol=1e-4), explain(
            "with SGD, factors of 1 and labels that are shares a step is -rate * gradient "
            "of the mean cross-entropy in training",
            expected=(-0.3 * gradient).ravel()[:3],
            received=step.ravel()[:3],
        )
    for variable in model.non_trainable_variables:
        if "moving" in variable.path:
            assert not np.allclose(variable.numpy(), old[variable.path]), (
                "the moving statistics of batch normalisation stay: call the model with "
                "training=True"
            )
            assert np.allclose(variable.numpy(), moving[variable.path], rtol=1e-3), (
                "the moving statistics are moved more than once: call the model once"
            )


@check(task="train_step")
def factors_are_shares_of_the_rate(submission):
    rng = new_generator()
    factors = rng.permutation([0.0, 0.1, 0.35, 0.6, 0.8, 1.0])
    model, before, images, labels, _ = step_of(submission, rng, factors=factors)
    _, _, gradients, _ = by_hand(model, before, images, labels)
    old = dict(zip([v.path for v in model.weights], before, strict=True))
    variables = model.trainable_variables
    steps = [v.numpy() - old[v.path] for v in variables]
    plain = all(
        np.allclose(s, -0.3 * g, atol=1e-5)
        for s, g in zip(steps, gradients, strict=True)
    )
    assert not plain, "the factors change nothing: multiply each gradient by its own"
    squared = all(
        np.allclose(s, -0.3 * f**2 * g, atol=1e-5)
        for s, g, f in zip(steps, gradients, factors, strict=True)
    )
    assert not squared, "the factors are applied twice"
    for variable, step, gradient, factor in zip(
        variables, steps, gradients, factors, strict=True
    ):
        assert np.allclose(step, -0.3 * factor * gradient, atol=1e-4), explain(
            f"{variable.path}, factor {factor:g}: the step is -rate * factor * gradient; "
            "factors are in the order of the trainable variables",
            expected=(-0.3 * factor * gradient).ravel()[:3],
            received=step.ravel()[:3],
        )


@check(task="train_step")
def steps_add_up_in_a_graph(submission):
    rng = new_generator()
    model = a_network(rng, dropout=0.5)
    images = tf.constant(rng.normal(size=(6, 4, 4, 1)), tf.float32)
    labels = tf.one_hot(tf.constant(rng.integers(0, 3, 6)), 3)
    optimizer = keras.optimizers.SGD(0.05, momentum=0.9)
    optimizer.build(model.trainable_variables)
    factors = tf.ones([len(model.trainable_variables)])

    @tf.function
    def step():
        return submission.train_step(model, optimizer, images, labels, factors)

    first, second = (float(array(step(), (), "the loss, a scalar")) for _ in range(2))
    assert first != second, (
        "the same step again gives the same loss: nothing was learned"
    )
    count = int(optimizer.iterations.numpy())
    assert count == 2, explain(
        "each step counts once for the optimizer", expected=2, received=count
    )


# unfreeze -------------------------------------------------------------------------------


def frozen_model(rng):
    """Return a model as `transfer` gives it, frozen, compiled and trained."""
    images = keras.Input((2, 2, 1))
    hidden = keras.layers.Dense(4, "tanh")(keras.layers.Flatten()(images))
    trunk = keras.Model(images, keras.layers.BatchNormalization()(hidden))
    trunk.trainable = False
    inputs = keras.Input((2, 2, 1))
    model = keras.Model(inputs, keras.layers.Dense(3)(trunk(inputs)))
    model.compile(
        keras.optimizers.SGD(0.5), "categorical_crossentropy", run_eagerly=True
    )
    images = pictures(rng, 8, (2, 2, 1))
    labels = rng.dirichlet(np.ones(3), 8).astype("float32")
    model.fit(images, labels, verbose=0)
    return model, images, labels


@check(task="unfreeze")
def everything_is_trained_by_the_next_fit(submission):
    rng = new_generator()
    model, images, labels = frozen_model(rng)
    compiled = model.optimizer
    rate = float(rng.uniform(0.01, 0.2))
    submission.unfreeze(model, rate)
    frozen = [layer.name for layer in model.layers if not layer.trainable]
    inner = [
        layer.name
        for outer in model.layers
        for layer in getattr(outer, "layers", [])
        if not layer.trainable
    ]
    assert model.trainable and not frozen and not inner, explain(
        "layers are still frozen: Keras hands `trainable` on to inner layers only where it "
        "changes, and the model's own was True all the time",
        expected="none",
        received=frozen + inner,
    )
    assert model.optimizer is not compiled, (
        "the model is not compiled again: what is trained was settled by the last compile, "
        "so the layers stay as they are, and no error says so"
    )
    assert isinstance(model.optimizer, keras.optimizers.SGD), explain(
        "the optimizer is SGD", expected="SGD", received=type(model.optimizer).__name__
    )
    received = float(np.asarray(model.optimizer.learning_rate))
    assert np.isclose(received, rate, rtol=1e-4), explain(
        "the optimizer has the rate that is given", expected=rate, received=received
    )
    assert np.isclose(model.optimizer.momentum, 0.9), explain(
        "the momentum", expected=0.9, received=model.optimizer.momentum
    )
    # As fit does it, but eagerly: a graph of its own for each check would take long.
    model.run_eagerly = True
    before = [v.numpy() for v in model.weights]
    model.fit(images, labels, batch_size=4, epochs=2, verbose=0)
    still = [
        v.path
        for v, b in zip(model.weights, before, strict=True)
        if np.allclose(v.numpy(), b, atol=1e-9)
    ]
    assert not still, explain(
        "the next fit does not train all layers: set trainable first, then compile",
        expected="all variables change",
        received=still[0] if still else "",
    )


@check(task="unfreeze")
def the_loss_takes_logits_and_shares(submission):
    rng = new_generator()
    model, images, labels = frozen_model(rng)
    kept = model.get_weights()
    submission.unfreeze(model, 0.1)
    same = all(
        np.array_equal(a, b) for a, b in zip(kept, model.get_weights(), strict=True)
    )
    assert same, "the weights are others afterwards: the head was trained already"
    model.run_eagerly = True
    logits = np.asarray(model(images), np.float64)
    expected = -np.mean(np.sum(labels * scipy.special.log_softmax(logits, 1), axis=1))
    results = model.evaluate(images, labels, verbose=0, return_dict=True)
    received = results["loss"]
    assert np.isclose(received, expected, rtol=1e-3), explain(
        "the loss is the cross-entropy of logits with labels that are shares: "
        "from_logits=True, and not the sparse one",
        expected=expected,
        received=received,
    )
    right = np.mean(logits.argmax(axis=1) == labels.argmax(axis=1))
    assert "accuracy" in results, explain(
        'the metric "accuracy" is reported',
        expected="accuracy",
        received=sorted(results),
    )
    assert np.isclose(results["accuracy"], right, atol=1e-4), explain(
        "the accuracy compares the largest logit with the largest share",
        expected=right,
        received=results["accuracy"],
    )
