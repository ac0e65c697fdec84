"""What right answers to siamese_speakers promise."""

import itertools

import keras
import numpy as np
import tensorflow as tf

from tfcourse.checking import check, explain


def new_generator():
    """Return a generator that follows the seed of the checks."""
    return np.random.default_rng(np.random.randint(2**31))


def array(value, what, shape=None):
    """Return a student's array as float64, or fail with what it should have been."""
    try:
        received = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        received = None
    assert received is not None and value is not None, explain(
        f"{what}: numbers were expected", expected="an array", received=value
    )
    assert shape is None or received.shape == shape, explain(
        f"{what}: the shape is not right", expected=shape, received=received.shape
    )
    return received


def number(value, what):
    """Return a student's number as a float, or fail with what it should have been."""
    received = array(value, what)
    assert received.shape in ((), (1,)) and np.isfinite(received).all(), explain(
        f"{what} is one finite number", expected="a float", received=value
    )
    return float(received.reshape(()))


def integers(value, what, num_axes=1):
    """Return a student's places as int64, or fail with what they should have been."""
    received = array(value, what)
    whole = np.all(received == np.round(received)) and received.dtype != bool
    assert whole and received.ndim == num_axes, explain(
        f"{what}: whole numbers with {num_axes} axes were expected",
        expected="places of clips",
        received=value,
    )
    return received.astype(np.int64)


def several_speakers(rng, counts):
    """Return who speaks in each clip: numbers with gaps, in no order."""
    names = rng.choice(1000, len(counts), replace=False)
    return rng.permutation(np.repeat(names, counts))


# split_speakers -------------------------------------------------------------------------


def parts_of(submission, speakers, num_val, num_test, seed):
    """Return the three parts, or fail where they are not three lists of places."""
    given = speakers.copy()
    answer = submission.split_speakers(given, num_val, num_test, seed)
    assert np.array_equal(given, speakers), explain(
        "split_speakers() changed the array that it was given",
        expected="the numbers as they were",
        received="others",
    )
    assert isinstance(answer, tuple | list) and len(answer) == 3, explain(
        "three things come back: places for training, validation and test",
        expected="a tuple of three",
        received=answer,
    )
    names = ("training", "validation", "test")
    parts = [integers(p, f"the {n} part") for p, n in zip(answer, names, strict=True)]
    for part in parts:
        inside = len(part) and part.min() >= 0 and part.max() < len(speakers)
        assert inside, explain(
            "a part holds places in `speakers`, 0 to n - 1, and none is empty: these may "
            "be the speakers' own numbers",
            expected=f"places below {len(speakers)}",
            received=part[:8],
        )
    return parts


@check(task="split_speakers")
def no_speaker_is_in_two_parts(submission):
    rng = new_generator()
    speakers = several_speakers(rng, rng.integers(3, 7, 14))
    parts = parts_of(submission, speakers, 3, 5, int(rng.integers(1000)))
    for first, second in itertools.combinations(range(3), 2):
        shared = set(speakers[parts[first]]) & set(speakers[parts[second]])
        assert not shared, explain(
            "a speaker is in two parts: what is drawn are speakers, not clips; else the "
            "network is tested on voices that it knows",
            expected="no common speaker",
            received=f"{len(shared)} of 14",
        )


@check(task="split_speakers")
def parts_have_the_numbers_of_speakers_and_all_clips(submission):
    rng = new_generator()
    speakers = several_speakers(rng, rng.integers(3, 7, 14))
    parts = parts_of(submission, speakers, 3, 5, int(rng.integers(1000)))
    counts = [len(set(speakers[part])) for part in parts]
    assert counts != [6, 5, 3], explain(
        "validation and test are exchanged: the order is training, validation, test",
        expected="6, 3 and 5 speakers",
        received=counts,
    )
    assert counts == [6, 3, 5], explain(
        "of 14 speakers, 3 are for validation, 5 for the test, the rest for training",
        expected="6, 3 and 5 speakers",
        received=counts,
    )
    everything = np.sort(np.concatenate(parts))
    assert np.array_equal(everything, np.arange(len(speakers))), explain(
        "every clip is in one part, once: speakers may have different numbers of clips",
        expected=f"{len(speakers)} different places",
        received=f"{len(everything)} places, {len(set(everything))} different",
    )


@check(task="split_speakers")
def speakers_are_drawn_and_the_seed_decides(submission):
    rng = new_generator()
    speakers = np.sort(several_speakers(rng, [3] * 20))

    def tests(seed):
        part = parts_of(submission, speakers, 4, 6, seed)[2]
        return frozenset(speakers[part])

    np.random.seed(1)
    first = tests(3)
    np.random.seed(2)
    assert first == tests(3), explain(
        "the same seed gives another split: make a generator from it, "
        "np.random.default_rng(seed)",
        expected="the same speakers",
        received="others",
    )
    drawn = [tests(seed) for seed in range(4, 10)]
    assert len(set(drawn)) > 1, explain(
        "all seeds give one split: draw the speakers at random",
        expected="other speakers for other seeds",
        received="the same for six seeds",
    )
    ordered = sorted(set(speakers))
    places = [sorted(ordered.index(name) for name in part) for part in [first, *drawn]]
    runs = sum(p == list(range(p[0], p[0] + 6)) for p in places)
    assert runs < 4, explain(
        "test speakers are neighbours in the list: draw each of them at random",
        expected="a random draw",
        received=places[0],
    )


# make_pairs -----------------------------------------------------------------------------


def pairs_of(submission, speakers, seed):
    """Return the pairs and which are of one speaker, or fail where the form is wrong."""
    given = speakers.copy()
    answer = submission.make_pairs(given, seed)
    assert np.array_equal(given, speakers), explain(
        "make_pairs() changed the array that it was given",
        expected="the numbers as they were",
        received="others",
    )
    assert isinstance(answer, tuple | list) and len(answer) == 2, explain(
        "two things come back: the pairs, and which of them are of one speaker",
        expected="a tuple of two",
        received=answer,
    )
    pairs = integers(answer[0], "the pairs, [m, 2]", 2)
    assert pairs.shape[1] == 2, explain(
        "each row is a pair", expected="[m, 2]", received=pairs.shape
    )
    inside = len(pairs) and pairs.min() >= 0 and pairs.max() < len(speakers)
    assert inside, explain(
        "pairs hold places of clips, 0 to n - 1: are these the speakers' own numbers?",
        expected=f"places below {len(speakers)}",
        received=pairs[:3],
    )
    same = np.asarray(answer[1])
    flags = same.shape == (len(pairs),) and np.isin(same.astype(float), (0, 1)).all()
    assert flags, explain(
        "there is one flag a pair", expected=f"bool [{len(pairs)}]", received=answer[1]
    )
    is_flag = same.dtype == bool
    assert is_flag, explain(
        "the flags are of type bool: ~ of whole numbers is not their negation",
        expected="bool",
        received=same.dtype,
    )
    return pairs, same


@check(task="make_pairs")
def flags_say_who_speaks(submission):
    rng = new_generator()
    speakers = several_speakers(rng, [4, 5, 6, 7])
    pairs, same = pairs_of(submission, speakers, int(rng.integers(1000)))
    truth = speakers[pairs[:, 0]] == speakers[pairs[:, 1]]
    assert not np.array_equal(same, ~truth), explain(
        "the flags are upside down: True stands for one speaker",
        expected=truth[:6],
        received=same[:6],
    )
    assert np.array_equal(same, truth), explain(
        "some flags don't fit their pairs: a pair of two clips of one speaker is no "
        "negative pair",
        expected=f"{truth.sum()} pairs of one speaker",
        received=f"{same.sum()} flags",
    )


@check(task="make_pairs")
def all_pairs_of_different_clips_of_a_speaker(submission):
    rng = new_generator()
    speakers = several_speakers(rng, [4, 5, 6, 7])
    pairs, _ = pairs_of(submission, speakers, int(rng.integers(1000)))
    assert np.all(pairs[:, 0] != pairs[:, 1]), explain(
        "a clip is paired with itself: that tells nothing, and is always right",
        expected="two different clips",
        received=f"{np.sum(pairs[:, 0] == pairs[:, 1])} pairs of one clip",
    )
    keys = [tuple(sorted(pair)) for pair in pairs.tolist()]
    own = [key for key in keys if speakers[key[0]] == speakers[key[1]]]
    assert len(own) == len(set(own)), explain(
        "a pair comes twice: (a, b) and (b, a) are the same pair",
        expected="each pair once",
        received=f"{len(own)} pairs of one speaker, {len(set(own))} different",
    )
    expected = 6 + 10 + 15 + 21
    assert len(own) == expected, explain(
        "speakers with 4, 5, 6 and 7 clips have 6, 10, 15 and 21 pairs of two clips",
        expected=expected,
        received=len(own),
    )


@check(task="make_pairs")
def as_many_pairs_with_others_for_every_speaker(submission):
    rng = new_generator()
    speakers = several_speakers(rng, [8, 8, 8, 8, 8, 8])
    pairs, _ = pairs_of(submission, speakers, int(rng.integers(1000)))
    is_own = speakers[pairs[:, 0]] == speakers[pairs[:, 1]]
    num_own, num_other = int(is_own.sum()), int((~is_own).sum())
    assert num_other < 3 * num_own, explain(
        "all pairs of two speakers are there: a judge that always says no would look good",
        expected=f"as many as pairs of one speaker, {num_own}",
        received=num_other,
    )
    keys = [tuple(sorted(pair)) for pair in pairs[~is_own].tolist()]
    assert len(keys) == len(set(keys)), explain(
        "a pair of two speakers comes twice: drawn again, or drawn for either speaker",
        expected="each pair once",
        received=f"{len(keys)} pairs, {len(set(keys))} different",
    )
    assert num_other == num_own, explain(
        "there are as many pairs of two speakers as pairs of one",
        expected=num_own,
        received=num_other,
    )
    counts = {name: int(np.sum(speakers[pairs[~is_own]] == name)) for name in speakers}
    # Each has 28 of its own, and about as many in which others have drawn it.
    assert min(counts.values()) >= 28, explain(
        "each speaker has as many pairs with others as pairs of its own",
        expected="28 or more each",
        received=counts,
    )
    assert max(counts.values()) < 110, explain(
        "one speaker is the other one in nearly all pairs",
        expected="other speakers drawn at random: about 56 each",
        received=counts,
    )


@check(task="make_pairs")
def others_are_drawn_from_everybody(submission):
    rng = new_generator()
    speakers = np.repeat(rng.permutation(12), 10)
    pairs, _ = pairs_of(submission, speakers, int(rng.integers(1000)))
    names = speakers[pairs]
    strangers = names[names[:, 0] != names[:, 1]]
    met = {frozenset(pair) for pair in strangers.tolist()}
    # 540 pairs over 66 kinds of two speakers: on average 8 each.
    assert len(met) >= 58, explain(
        "some speakers never meet: the other clip is drawn from all other speakers",
        expected="nearly all 66 pairs of speakers",
        received=len(met),
    )
    used = np.bincount(pairs[speakers[pairs[:, 0]] != speakers[pairs[:, 1]]].ravel())
    used = np.pad(used, (0, 120 - len(used)))
    assert np.sum(used == 0) < 12 and used.max() < 40, explain(
        "some clips are in nearly all pairs with strangers, and others in none: draw both "
        "clips at random",
        expected="about 9 pairs a clip",
        received=f"{used.min()} to {used.max()}",
    )


@check(task="make_pairs")
def the_seed_decides_the_pairs(submission):
    rng = new_generator()
    speakers = several_speakers(rng, [6] * 6)

    def keys(seed):
        return {
            tuple(sorted(p)) for p in pairs_of(submission, speakers, seed)[0].tolist()
        }

    np.random.seed(1)
    first = keys(5)
    np.random.seed(2)
    assert first == keys(5), explain(
        "the same seed gives other pairs: make a generator from it, "
        "np.random.default_rng(seed)",
        expected="the same pairs",
        received="others",
    )
    assert any(first != keys(seed) for seed in (6, 7, 8)), explain(
        "all seeds give the same pairs: clips of others are drawn at random",
        expected="other pairs for other seeds",
        received="the same",
    )


# vary_recordings ------------------------------------------------------------------------

STILL = {"max_shift": 0, "snr_db": (200.0, 201.0), "gain_db": 0.0}


def varied(submission, samples, noises, seed, **changes):
    """Return what vary_recordings makes: float64 [batch, n]."""
    settings = {**STILL, **changes}
    answer = submission.vary_recordings(
        tf.constant(samples), tf.constant(noises), tf.constant(seed), **settings
    )
    received = array(answer, "the varied clips", samples.shape)
    assert getattr(answer, "dtype", None) in (tf.float32, np.float32), explain(
        "clips are float32",
        expected="float32",
        received=getattr(answer, "dtype", type(answer)),
    )
    assert np.isfinite(received).all(), explain(
        "some samples are not finite",
        expected="finite numbers",
        received=f"{np.sum(~np.isfinite(received))} that are not",
    )
    return received


def clips_and_noises(rng, batch=24, length=400, num_noises=6):
    """Return clips that begin and end with zeros, and noises of many sizes."""
    samples = np.zeros((batch, length), np.float32)
    sizes = rng.uniform(0.05, 2, (batch, 1))
    samples[:, 100:300] = rng.normal(size=(batch, 200)) * sizes
    noises = rng.normal(size=(num_noises, length)) * rng.uniform(
        0.01, 1, (num_noises, 1)
    )
    return samples, noises.astype(np.float32)


def new_seed(rng):
    """Return a seed for stateless operations."""
    return rng.integers(0, 2**30, 2).astype(np.int32)


@check(task="vary_recordings")
def without_ranges_nothing_changes(submission):
    rng = new_generator()
    samples, noises = clips_and_noises(rng)
    received = varied(submission, samples, noises, new_seed(rng))
    assert np.allclose(received, samples, atol=1e-5), explain(
        "no shift, no gain, and noise 200 dB below the clip: that is the clip itself",
        expected=samples[0, 150:154],
        received=received[0, 150:154],
    )


@check(task="vary_recordings")
def clips_move_with_zeros_behind_them(submission):
    rng = new_generator()
    samples, noises = clips_and_noises(rng, batch=60)
    samples[:, :100] = rng.normal(size=(60, 100)).astype("float32")
    samples[:, 300:] = rng.normal(size=(60, 100)).astype("float32")
    received = varied(submission, samples, noises, new_seed(rng), max_shift=40)
    shifts = []
    for clip, moved in zip(samples, received, strict=True):
        found = [
            shift
            for shift in range(-40, 41)
            if np.allclose(moved, shifted(clip, shift), atol=1e-4)
        ]
        turned = any(
            np.allclose(np.roll(clip, s), moved, atol=1e-4) for s in range(-40, 41)
        )
        assert found or not turned, explain(
            "what leaves the clip comes in again at the other end: fill with zeros",
            expected="zeros",
            received="the clip, rolled",
        )
        assert found, explain(
            "a clip is not the given one, moved by at most max_shift samples with zeros "
            "where nothing comes in",
            expected=clip[:5],
            received=moved[:5],
        )
        shifts.append(found[0])
    assert len(set(shifts)) > 1, explain(
        "all clips of a batch move by the same: draw a shift for each",
        expected="different shifts",
        received=shifts[:6],
    )
    assert min(shifts) < -10 and max(shifts) > 10, explain(
        "clips move back and forth, up to max_shift samples each way",
        expected="-40 to 40",
        received=f"{min(shifts)} to {max(shifts)}",
    )


def shifted(clip, shift):
    """Return the clip, later by `shift` samples, zeros where nothing comes in."""
    moved = np.zeros_like(clip)
    if shift >= 0:
        moved[shift:] = clip[: len(clip) - shift]
    else:
        moved[:shift] = clip[-shift:]
    return moved


@check(task="vary_recordings")
def each_clip_has_a_noise_of_its_own(submission):
    rng = new_generator()
    samples, noises = clips_and_noises(rng, batch=60)
    received = varied(submission, samples, noises, new_seed(rng), snr_db=(0.0, 20.0))
    added = received - samples
    assert np.abs(added).max() > 1e-3, explain(
        "no noise is added", expected="noise", received=added[0, :4]
    )
    directions = noises / np.linalg.norm(noises, axis=1, keepdims=True)
    sizes = np.linalg.norm(added, axis=1, keepdims=True)
    cosines = added @ directions.T / np.maximum(sizes, 1e-9)  # [batch, noises]
    assert np.all(cosines.max(axis=1) > 0.99), explain(
        "what is added to a clip is not one of the noises, scaled; is the clip itself "
        "scaled too?",
        expected="a cosine of 1 with one of the noises",
        received=cosines.max(axis=1)[:4],
    )
    chosen = set(cosines.argmax(axis=1).tolist())
    assert len(chosen) > 1, explain(
        "all clips of a batch have the same noise: clips of one speaker would share a "
        "background, and the network learns that",
        expected="a draw for each clip",
        received=f"noise {chosen} for all",
    )
    assert len(chosen) == len(noises), explain(
        "some noises are never drawn", expected=range(6), received=chosen
    )


def ratios(samples, added):
    """Return the ratio of mean powers of clip and noise, in dB."""
    return 10 * np.log10(np.mean(samples**2, 1) / np.mean(added**2, 1))


@check(task="vary_recordings")
def noise_has_the_ratio_of_mean_powers_that_was_asked_for(submission):
    rng = new_generator()
    samples, noises = clips_and_noises(rng, batch=60)
    received = varied(submission, samples, noises, new_seed(rng), snr_db=(4.0, 24.0))
    added = received - samples
    assert np.all(np.mean(added**2, 1) > 0), explain(
        "some clips have no noise", expected="noise in each", received="none"
    )
    found = ratios(samples, added)
    assert np.ptp(found) > 0.5, explain(
        "all clips of a batch have the same ratio: draw one for each",
        expected="4 to 24 dB",
        received=found[:5],
    )
    inside = np.all((found > 3.8) & (found < 24.2))
    assert inside or not np.allclose(np.clip(found, 8, 48), found, atol=0.3), explain(
        "the ratios in dB are twice what was asked for: powers go with 10 ** (dB / 10), "
        "amplitudes with 10 ** (dB / 20)",
        expected="4 to 24 dB",
        received=f"{found.min():.1f} to {found.max():.1f} dB",
    )
    negative = np.all((-found > 3.8) & (-found < 24.2))
    assert not negative, explain(
        "the noise is louder than the clip: the ratio is upside down",
        expected="4 to 24 dB",
        received=f"{found.min():.1f} to {found.max():.1f} dB",
    )
    assert inside, explain(
        "the ratio of mean powers of clip and noise, over all samples, lies between the "
        "two that were given, whatever the sizes of the two were",
        expected="4 to 24 dB",
        received=f"{found.min():.1f} to {found.max():.1f} dB",
    )
    assert found.min() < 9 and found.max() > 19, explain(
        "all ratios in dB between the two that were given are equally likely",
        expected="4 to 24 dB",
        received=f"{found.min():.1f} to {found.max():.1f} dB",
    )


@check(task="vary_recordings")
def clips_become_louder_and_quieter(submission):
    rng = new_generator()
    samples, noises = clips_and_noises(rng, batch=60)
    received = varied(submission, samples, noises, new_seed(rng), gain_db=12.0)
    gains = np.sum(received * samples, 1) / np.sum(samples**2, 1)
    exact = np.allclose(received, gains[:, None] * samples, atol=1e-4)
    assert exact, explain(
        "a gain is one factor for all samples of a clip",
        expected="the clip, times a factor",
        received=received[0, 150:153] / samples[0, 150:153],
    )
    decibels = 20 * np.log10(np.maximum(gains, 1e-9))
    assert np.ptp(decibels) > 0.1, explain(
        "all clips of a batch have the same gain: draw one for each",
        expected="-12 to 12 dB",
        received=decibels[:5],
    )
    assert np.all(np.abs(decibels) < 12.2), explain(
        "a gain is larger than was asked for: amplitudes go with 10 ** (dB / 20)",
        expected="-12 to 12 dB",
        received=f"{decibels.min():.1f} to {decibels.max():.1f} dB",
    )
    assert decibels.min() < -6.5 and decibels.max() > 6.5, explain(
        "clips become louder and quieter by up to gain_db, with even chances in dB",
        expected="-12 to 12 dB",
        received=f"{decibels.min():.1f} to {decibels.max():.1f} dB",
    )


@check(task="vary_recordings")
def the_seed_decides_also_inside_of_map(submission):
    rng = new_generator()
    samples, noises = clips_and_noises(rng, batch=8)
    ranges = {"max_shift": 20, "snr_db": (3.0, 20.0), "gain_db": 6.0}
    seed = new_seed(rng)
    first, second = (varied(submission, samples, noises, seed, **ranges) for _ in "ab")
    assert np.allclose(first, second), explain(
        "the same seed gives other clips: tf.random.stateless_uniform takes its seed with "
        "each call",
        expected="the same",
        received="others",
    )
    other = varied(submission, samples, noises, new_seed(rng), **ranges)
    assert not np.allclose(first, other), explain(
        "two seeds give the same clips: every epoch would see the same recordings",
        expected="others",
        received="the same",
    )
    keys = tf.data.Dataset.from_tensors(tf.constant(seed))
    mapped = keys.map(
        lambda key: submission.vary_recordings(
            tf.constant(samples), tf.constant(noises), key, **ranges
        )
    )
    (inside,) = (array(value, "inside of map") for value in mapped)
    assert np.allclose(first, inside, atol=1e-5), explain(
        "inside of Dataset.map the same seed gives other clips",
        expected=first[0, 150:153],
        received=inside[0, 150:153],
    )


@check(task="vary_recordings")
def shift_noise_and_gain_are_drawn_apart(submission):
    rng = new_generator()
    samples, noises = clips_and_noises(rng, batch=80, num_noises=2)
    samples[:] = 0
    samples[:, 200] = 1.0
    noises = np.stack([np.eye(400)[5], np.eye(400)[390]]).astype("float32")
    ranges = {"max_shift": 60, "snr_db": (6.0, 26.0), "gain_db": 10.0}
    received = varied(submission, samples, noises, new_seed(rng), **ranges)
    middle = np.abs(received[:, 100:300])
    shifts, gains = middle.argmax(axis=1), np.log(middle.max(axis=1))
    levels = np.maximum(np.abs(received[:, 5]), np.abs(received[:, 390]))
    draws = {
        "the shift": shifts,
        "the gain": gains,
        "the ratio": gains - np.log(np.maximum(levels, 1e-9)),
        "the noise": np.abs(received[:, 5]) > np.abs(received[:, 390]),
    }
    for first, second in itertools.combinations(draws, 2):
        pair = draws[first], draws[second]
        if all(np.std(values) > 0 for values in pair):
            correlation = np.corrcoef(*pair)[0, 1]
            assert abs(correlation) < 0.75, explain(
                f"{first} and {second} come from the same random numbers: split the seed, "
                "one for each draw",
                expected="no correlation",
                received=correlation,
            )


# speaker_encoder ------------------------------------------------------------------------


def encoder_of(submission, num_mels=12, channels=8, embedding_size=6):
    """Return the student's encoder, or fail where it is no such model."""
    encoder = submission.speaker_encoder(num_mels, channels, embedding_size)
    assert isinstance(encoder, keras.Model), explain(
        "speaker_encoder() returns a Keras model",
        expected="keras.Model",
        received=encoder,
    )
    shape = tuple(encoder.input_shape)
    assert len(shape) == 3 and shape[0] is None and shape[2] == num_mels, explain(
        "the encoder takes spectrograms, time before frequency",
        expected=(None, None, num_mels),
        received=shape,
    )
    assert shape[1] is None, explain(
        "the encoder takes any number of frames",
        expected=(None, None, num_mels),
        received=shape,
    )
    return encoder


def spectrograms(rng, batch=5, frames=30, num_mels=12):
    """Return inputs like log-mel spectrograms, float32 [batch, frames, mels]."""
    shape = rng.normal(size=(batch, 1, num_mels))
    return (shape + rng.normal(size=(batch, frames, num_mels))).astype("float32")


@check(task="speaker_encoder")
def embeddings_have_length_one(submission):
    rng = new_generator()
    encoder = encoder_of(submission)
    for frames in (30, 47):
        inputs = 3 * spectrograms(rng, frames=frames)
        received = array(encoder(inputs), "the embeddings", (5, 6))
        norms = np.linalg.norm(received, axis=1)
        assert np.allclose(norms, 1, atol=1e-3), explain(
            "each embedding is divided by its own Euclidean norm",
            expected="lengths of 1",
            received=norms,
        )
    # Without an activation, half of all numbers are negative.
    assert received.min() < 0, explain(
        "no embedding has a negative number: the last dense layer has no activation",
        expected="numbers of both signs",
        received=received[0],
    )


@check(task="speaker_encoder")
def each_clip_is_embedded_for_itself(submission):
    rng = new_generator()
    encoder = encoder_of(submission)
    inputs = spectrograms(rng, batch=6)
    together = array(encoder(inputs, training=False), "the embeddings", (6, 6))
    again = array(encoder(inputs, training=False), "the embeddings", (6, 6))
    alone = array(encoder(inputs[2:3], training=False), "an embedding", (1, 6))
    assert np.allclose(together, again, atol=1e-4), explain(
        "the same clips are embedded in two ways: something is drawn at random in "
        "inference too",
        expected=together[0],
        received=again[0],
    )
    assert np.allclose(together[2], alone[0], atol=1e-3), explain(
        "an embedding depends on the other clips of the batch",
        expected=alone[0],
        received=together[2],
    )
    assert np.abs(together - together[0]).max() > 1e-3, explain(
        "all clips have the same embedding", expected="others", received=together[0]
    )


@check(task="speaker_encoder")
def the_order_of_sounds_hardly_matters_and_their_shares_not(submission):
    """Pooling by mean and deviation: a clip said twice is the same, up to its edges."""
    rng = new_generator()
    encoder = encoder_of(submission)
    clips = spectrograms(rng, frames=200)
    turned = np.roll(clips, 100, axis=1)
    first, second = (
        array(encoder(values, training=False), "the embeddings", (5, 6))
        for values in (clips, turned)
    )
    between = np.sum(first * second, axis=1)
    assert between.min() > 0.9, explain(
        "the halves of a clip exchanged give another embedding: pool over time, mean and "
        "standard deviation over axis 1",
        expected="a cosine of nearly 1",
        received=between,
    )
    twice = array(
        encoder(np.concatenate([clips, clips], axis=1), training=False),
        "the embeddings",
        (5, 6),
    )
    between = np.sum(first * twice, axis=1)
    assert between.min() > 0.9, explain(
        "a clip that is heard twice in a row has another embedding: take the mean over "
        "time, not the sum",
        expected="a cosine of nearly 1",
        received=between,
    )


@check(task="speaker_encoder")
def the_deviation_over_time_counts(submission):
    rng = new_generator()
    encoder = encoder_of(submission)
    channels, frames = 12, 400
    calm = np.full((1, frames, channels), 0.3, np.float32)
    # Slow swings about the same mean, the same up and down: to layers that are nearly
    # linear here, the mean hardly changes.
    swing = np.sign(np.sin(2 * np.pi * np.arange(frames) / 50 + 0.01))[None, :, None]
    sizes = rng.uniform(0.5, 1.0, channels) * rng.choice([-1, 1], channels)
    lively = (calm + 8 * swing * sizes).astype("float32")
    layers = [layer for layer in encoder.layers if layer.weights]
    assert any(isinstance(layer, keras.layers.Conv1D) for layer in layers) or any(
        "conv" in type(layer).__name__.lower() for layer in layers
    ), explain(
        "the encoder has 1-D convolutions over time",
        expected="Conv1D",
        received=[type(layer).__name__ for layer in layers],
    )
    dense = [layer for layer in layers if isinstance(layer, keras.layers.Dense)]
    assert dense, explain(
        "a dense layer makes the embedding",
        expected="Dense",
        received=[type(layer).__name__ for layer in layers],
    )
    values = [
        array(keras.Model(encoder.input, dense[-1].input)(x), "the statistics")[0]
        for x in (calm, lively)
    ]
    moved = np.abs(values[1] - values[0])
    assert moved.max() > 1e-3, explain(
        "a clip that changes and one that doesn't have the same statistics",
        expected="other deviations",
        received=values[1][:4],
    )
    mean_only = dense[-1].input.shape[-1]
    last = [w for layer in layers for w in layer.weights]
    assert mean_only is not None and last, explain(
        "the dense layer gets a known number of statistics",
        expected="a number",
        received=mean_only,
    )


@check(task="speaker_encoder")
def gradients_are_finite_and_reach_all_weights(submission):
    rng = new_generator()
    encoder = encoder_of(submission)
    silent = np.tile(rng.normal(size=(4, 1, 12)), (1, 20, 1)).astype("float32")
    for name, inputs in (
        ("what is the same in all frames", silent),
        ("speech", spectrograms(rng, batch=8)),
    ):
        with tf.GradientTape() as tape:
            embeddings = encoder(inputs, training=True)
            target = tf.constant(rng.normal(size=embeddings.shape), tf.float32)
            value = tf.reduce_sum(tf.cast(embeddings, tf.float32) * target)
        gradients = tape.gradient(value, encoder.trainable_variables)
        finite = all(
            g is None or np.isfinite(tf.convert_to_tensor(g).numpy()).all()
            for g in gradients
        )
        assert finite, explain(
            f"a gradient is not finite for {name}: the root of 0 has none; add a small "
            "number to the variance before the root",
            expected="finite gradients",
            received="nan or inf",
        )
    missing = [
        variable.path
        for variable, gradient in zip(
            encoder.trainable_variables, gradients, strict=True
        )
        if gradient is None
    ]
    assert not missing, explain(
        "some weights get no gradient: they are not on the way to the embedding",
        expected="a gradient for each",
        received=missing,
    )


@check(task="speaker_encoder")
def the_arguments_set_the_sizes(submission):
    encoder = encoder_of(submission, num_mels=10, channels=7, embedding_size=5)
    assert tuple(encoder.output_shape) == (None, 5), explain(
        "embedding_size numbers come out",
        expected=(None, 5),
        received=tuple(encoder.output_shape),
    )
    kernels = [
        tuple(weight.shape)
        for weight in encoder.trainable_weights
        if len(weight.shape) == 3
    ]
    assert any(shape[0] > 1 for shape in kernels), explain(
        "a convolution over time sees several frames at once",
        expected="kernels [frames, in, channels] with more than one frame",
        received=kernels,
    )
    assert any(shape[2] == 7 for shape in kernels), explain(
        "`channels` is the number of the convolutions' filters",
        expected="7 filters",
        received=kernels,
    )
    assert sum(shape[0] > 1 or shape[2] == 7 for shape in kernels) >= 2, explain(
        "one convolution sees only its few frames and bends only once: stack several",
        expected="two convolutions or more",
        received=kernels,
    )


# twin_network ---------------------------------------------------------------------------


def plain_encoder(rng, num_mels=5, size=4):
    """Return an encoder with unit-norm embeddings whose weights are all drawn."""
    inputs = keras.Input([None, num_mels])
    hidden = keras.layers.Conv1D(6, 3, padding="same", activation="tanh")(inputs)
    hidden = keras.layers.GlobalAveragePooling1D()(hidden)
    hidden = keras.layers.Dense(size)(hidden)
    encoder = keras.Model(inputs, keras.layers.UnitNormalization()(hidden))
    for weight in encoder.weights:
        weight.assign(rng.normal(0, 0.7, weight.shape))
    return encoder


def twin_of(submission, encoder):
    """Return the student's twin network, or fail where it is no model of two inputs."""
    twin = submission.twin_network(encoder)
    assert isinstance(twin, keras.Model), explain(
        "twin_network() returns a Keras model", expected="keras.Model", received=twin
    )
    inputs = twin.inputs
    assert len(inputs) == 2, explain(
        "a twin network has two inputs", expected=2, received=len(inputs)
    )
    return twin


def cosines_of(twin, first, second):
    """Return the twin's outputs, [batch]."""
    outputs = twin([first, second], training=False)
    received = array(outputs, "the cosines")
    assert received.shape in ((len(first), 1), (len(first),)), explain(
        "one cosine for each pair", expected=(len(first), 1), received=received.shape
    )
    return received.reshape(-1)


@check(task="twin_network")
def it_is_the_cosine_of_the_two_embeddings(submission):
    rng = new_generator()
    encoder = plain_encoder(rng)
    twin = twin_of(submission, encoder)
    first = spectrograms(rng, 7, 9, 5)
    second = spectrograms(rng, 7, 14, 5)
    received = cosines_of(twin, first, second)
    embeddings = [encoder(x, training=False).numpy() for x in (first, second)]
    expected = np.sum(embeddings[0] * embeddings[1], axis=1)
    distance = np.linalg.norm(embeddings[0] - embeddings[1], axis=1)
    for wrong, words in (
        (
            distance,
            "this is the Euclidean distance: small where the speakers are the same",
        ),
        (
            1 - expected,
            "this is the cosine distance: small where the speakers are the same",
        ),
        (1 / (1 + np.exp(-expected)), "no sigmoid: the threshold is chosen later"),
        ((1 + expected) / 2, "the cosine itself, from -1 to 1, comes out"),
        (np.abs(expected), "the sign of the cosine is lost"),
    ):
        near = np.allclose(received, wrong, atol=1e-4)
        assert not near or np.allclose(received, expected, atol=1e-4), explain(
            words, expected=expected[:4], received=received[:4]
        )
    assert np.allclose(received, expected, atol=1e-3), explain(
        "it is not the cosine of what the given encoder makes of the two inputs: a copy "
        "has weights of its own",
        expected=expected[:4],
        received=received[:4],
    )


@check(task="twin_network")
def both_go_through_the_one_encoder(submission):
    rng = new_generator()
    encoder = plain_encoder(rng)
    twin = twin_of(submission, encoder)
    expected = {id(weight) for weight in encoder.weights}
    foreign = [w.path for w in twin.weights if id(w) not in expected]
    assert not foreign, explain(
        "the twin network has weights of its own: both inputs go through the one encoder, "
        "and nothing else is learned",
        expected=f"the encoder's {len(expected)} weights",
        received=foreign,
    )
    assert len(twin.trainable_weights) == len(encoder.trainable_weights), explain(
        "all of the encoder's weights are trained in the twin network",
        expected=len(encoder.trainable_weights),
        received=len(twin.trainable_weights),
    )
    first, second = spectrograms(rng, 6, 9, 5), spectrograms(rng, 6, 9, 5)
    one, other = cosines_of(twin, first, second), cosines_of(twin, second, first)
    assert np.allclose(one, other, atol=1e-4), explain(
        "exchanged inputs give other cosines: both must go through the same weights",
        expected=one[:3],
        received=other[:3],
    )
    own = cosines_of(twin, first, first)
    assert np.allclose(own, 1, atol=1e-3), explain(
        "a clip and itself have a cosine of 1", expected=1.0, received=own[:3]
    )
    for weight in encoder.weights:
        weight.assign(rng.normal(0, 0.7, weight.shape))
    now = cosines_of(twin, first, second)
    embeddings = [encoder(x, training=False).numpy() for x in (first, second)]
    assert np.allclose(now, np.sum(embeddings[0] * embeddings[1], 1), atol=1e-3), (
        explain(
            "the encoder was trained further, and the twin network did not notice: it has "
            "a copy",
            expected=np.sum(embeddings[0] * embeddings[1], 1)[:3],
            received=now[:3],
        )
    )


# Losses ---------------------------------------------------------------------------------


def batch_of(rng, num_speakers=4, clips=3, size=5):
    """Return speakers int64 [batch], in no order, and embeddings of length 1."""
    speakers = rng.permutation(np.repeat(rng.choice(90, num_speakers, False), clips))
    embeddings = rng.normal(size=(len(speakers), size))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    return speakers, embeddings.astype("float32")


def loss_of(
    function, speakers, values, shape, infinite="the loss is not finite", **settings
):
    """Return a student's loss and its gradient, both as float64.

    It is called in a graph, as `fit` does, with float labels, as Keras passes them.
    """
    values = tf.constant(values, tf.float32)

    @tf.function
    def graph(labels, values):
        with tf.GradientTape() as tape:
            tape.watch(values)
            loss = function(labels, values, **settings)
            total = tf.reduce_sum(loss)
        return loss, tape.gradient(total, values)

    eager = function(tf.constant(speakers), values, **settings)
    received = array(eager, "the loss")
    assert received.shape == shape, explain(
        "the loss does not have the shape that was asked for",
        expected=shape,
        received=received.shape,
    )
    assert np.isfinite(received).all(), explain(
        infinite, expected="finite numbers", received=received
    )
    loss, gradient = graph(tf.constant(speakers, tf.float32), values)
    assert np.allclose(loss.numpy(), received, rtol=1e-3, atol=1e-4), explain(
        "in a graph, with labels as float32 as Keras passes them, the loss is another",
        expected=received,
        received=loss.numpy(),
    )
    assert gradient is not None, explain(
        "no gradient comes back: something on the way is not a TensorFlow operation",
        expected="a gradient",
        received=None,
    )
    return received, tf.convert_to_tensor(gradient).numpy()


def contrastive_costs(speakers, embeddings, margin):
    """Return costs of pairs of one speaker, and of two, as a loop over pairs."""
    near, far = [], []
    for i, j in itertools.combinations(range(len(speakers)), 2):
        distance = np.linalg.norm(embeddings[i].astype(float) - embeddings[j])
        if speakers[i] == speakers[j]:
            near.append(distance**2)
        else:
            far.append(max(0.0, margin - distance) ** 2)
    return np.array(near), np.array(far)


@check(task="contrastive_loss")
def near_pairs_and_far_pairs_cost_what_the_formula_says(submission):
    rng = new_generator()
    for margin in (0.8, 1.3):
        speakers, embeddings = batch_of(rng)
        near, far = contrastive_costs(speakers, embeddings, margin)
        received, _ = loss_of(
            submission.contrastive_loss, speakers, embeddings, (), margin=margin
        )
        expected = near.mean() + far.mean()
        num = len(speakers)
        distances = np.linalg.norm(embeddings[:, None] - embeddings[None], axis=-1)
        is_same = speakers[:, None] == speakers[None]
        wrongs = {
            "all pairs are in one mean: there are many more of two speakers than of one, "
            "and they would decide": np.append(near, far).mean(),
            "a clip is no pair with itself: leave the diagonal out": near.sum()
            * 2
            / (2 * len(near) + num)
            + far.mean(),
            "the two kinds of pairs are exchanged": np.mean(distances[~is_same] ** 2)
            + np.mean(np.maximum(0, margin - np.sqrt(near)) ** 2),
            "the distances are not squared": np.sqrt(near).mean() + np.sqrt(far).mean(),
            "pairs of two speakers cost max(0, margin - D)^2, not max(0, margin - D^2)": (
                near.mean() + np.mean(np.maximum(0, margin - distances[~is_same] ** 2))
            ),
            "the margin has a limit at 0: pairs that are far enough cost nothing": (
                near.mean() + np.mean((margin - distances[~is_same]) ** 2)
            ),
            "the mean of the two kinds was asked for as a sum: no half": expected / 2,
            "costs are averaged, not added up": near.sum() + far.sum(),
        }
        right = np.isclose(received, expected, rtol=1e-3, atol=1e-4)
        for words, wrong in wrongs.items():
            assert right or not np.isclose(received, wrong, rtol=1e-3), explain(
                words, expected=expected, received=received
            )
        assert right, explain(
            "the mean of D^2 over pairs of one speaker, plus the mean of "
            "max(0, margin - D)^2 over pairs of two",
            expected=expected,
            received=received,
        )


@check(task="contrastive_loss")
def gradients_are_finite_between_equal_clips(submission):
    rng = new_generator()
    speakers, embeddings = batch_of(rng)
    embeddings[1] = embeddings[0]
    other = np.flatnonzero(speakers != speakers[0])[-1]
    embeddings[other] = embeddings[0]
    _, gradient = loss_of(
        submission.contrastive_loss, speakers, embeddings, (), margin=1.0
    )
    assert np.isfinite(gradient).all(), explain(
        "between two equal clips the gradient is not finite: the root of 0 has none; keep "
        "what is under it above a small number",
        expected="finite gradients",
        received="nan or inf",
    )


@check(task="contrastive_loss")
def going_down_the_gradient_separates_speakers(submission):
    rng = new_generator()
    speakers, embeddings = batch_of(rng, size=8)
    first, gradient = loss_of(
        submission.contrastive_loss, speakers, embeddings, (), margin=1.0
    )
    assert np.abs(gradient).max() > 0, explain(
        "the gradient is 0 everywhere", expected="a gradient", received=0.0
    )
    moved = embeddings - 0.05 * gradient / np.linalg.norm(gradient)
    moved /= np.linalg.norm(moved, axis=1, keepdims=True)
    second, _ = loss_of(submission.contrastive_loss, speakers, moved, (), margin=1.0)
    assert second < first, explain(
        "a small step down the gradient does not lower the loss",
        expected=f"below {first}",
        received=second,
    )


def triplets_by_hand(speakers, embeddings, margin):
    """Return the losses, and those of other choices of partners, as a loop."""
    cosines = embeddings.astype(float) @ embeddings.T
    found = {"hardest": [], "easiest": [], "mean": []}
    for i, name in enumerate(speakers):
        own = [j for j in range(len(speakers)) if speakers[j] == name and j != i]
        others = np.flatnonzero(speakers != name)
        for key, near, far in (
            ("hardest", np.min, np.max),
            ("easiest", np.max, np.min),
            ("mean", np.mean, np.mean),
        ):
            gap = margin + far(cosines[i, others]) - near(cosines[i, own])
            found[key].append(gap)
    return {key: np.array(gaps) for key, gaps in found.items()}


@check(task="triplet_loss")
def hardest_partners_of_each_clip(submission):
    rng = new_generator()
    for margin in (0.2, 0.6):
        speakers, embeddings = batch_of(rng, size=4)
        # Some clips are far enough from all others already.
        names = np.unique(speakers)
        embeddings[speakers == names[0]] = [1, 0, 0, 0]
        embeddings[speakers != names[0], 0] = -np.abs(
            embeddings[speakers != names[0], 0]
        )
        embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
        gaps = triplets_by_hand(speakers, embeddings, margin)
        expected = np.maximum(gaps["hardest"], 0)
        received, _ = loss_of(
            submission.triplet_loss, speakers, embeddings, expected.shape, margin=margin
        )
        cosines = embeddings.astype(float) @ embeddings.T
        is_same = speakers[:, None] == speakers[None]
        lowest = np.where(is_same, cosines, 9).min(1)
        highest = np.where(is_same, -9, cosines).max(1)
        wrongs = {
            "these are the easiest partners: the highest cosine with an own clip, the "
            "lowest with a foreign one": np.maximum(gaps["easiest"], 0),
            "these are mean cosines: take the lowest own and the highest foreign one": (
                np.maximum(gaps["mean"], 0)
            ),
            "a loss is never negative: what is far enough costs nothing": gaps[
                "hardest"
            ],
            "own and foreign are exchanged": np.maximum(margin + lowest - highest, 0),
            "the margin is missing": np.maximum(highest - lowest, 0),
            "the margin has the wrong sign": np.maximum(highest - lowest - margin, 0),
            "a clip with itself, whose cosine is 1, is not the own partner": np.maximum(
                margin + highest - 1, 0
            ),
            "a clip with itself is not the foreign partner": np.maximum(
                margin + 1 - lowest, 0
            ),
            "the highest of all cosines may be with an own clip: hide these": np.maximum(
                margin + (cosines - 9 * np.eye(len(cosines))).max(1) - lowest, 0
            ),
            "the lowest of all cosines may be with a foreign clip: hide these": (
                np.maximum(margin + highest - cosines.min(1), 0)
            ),
        }
        right = np.allclose(received, expected, rtol=1e-3, atol=1e-4)
        for words, wrong in wrongs.items():
            assert right or not np.allclose(received, wrong, atol=1e-4), explain(
                words, expected=expected[:4], received=received[:4]
            )
        assert right, explain(
            "max(0, margin + highest foreign cosine - lowest own cosine), for each clip",
            expected=expected[:4],
            received=received[:4],
        )


@check(task="triplet_loss")
def all_clips_in_one_place_cost_the_margin(submission):
    rng = new_generator()
    speakers, embeddings = batch_of(rng)
    embeddings[:] = embeddings[0]
    received, gradient = loss_of(
        submission.triplet_loss, speakers, embeddings, (len(speakers),), margin=0.4
    )
    assert np.allclose(received, 0.4, atol=1e-3), explain(
        "all embeddings are equal: each clip costs just the margin",
        expected=0.4,
        received=received[:4],
    )
    assert np.isfinite(gradient).all(), explain(
        "where all embeddings are equal the gradient is not finite",
        expected="finite gradients",
        received="nan or inf",
    )


def aam_by_hand(speakers, cosines, margin, scale, add=np.add):
    """Return the losses in float64: cross-entropy, a loop over clips."""
    losses = []
    for label, row in zip(speakers, cosines.astype(float), strict=True):
        logits = scale * row
        logits[label] = scale * np.cos(add(np.arccos(row[label]), margin))
        losses.append(np.log(np.sum(np.exp(logits - logits.max()))) + logits.max())
        losses[-1] -= logits[label]
    return np.array(losses)


def centres_of(rng, batch=9, num_centres=6):
    """Return labels int64 [batch] and cosines [batch, centres], none near 1 or -1."""
    cosines = rng.uniform(-0.8, 0.9, (batch, num_centres)).astype("float32")
    return rng.integers(num_centres, size=batch), cosines


@check(task="aam_loss")
def the_margin_is_added_to_the_own_angle(submission):
    rng = new_generator()
    for margin, scale in ((0.3, 12.0), (0.15, 25.0)):
        speakers, cosines = centres_of(rng)
        expected = aam_by_hand(speakers, cosines, margin, scale)
        received, _ = loss_of(
            submission.aam_loss, speakers, cosines, (9,), margin=margin, scale=scale
        )
        rows = np.arange(9)
        less = cosines.astype(float)
        less[rows, speakers] -= margin
        everywhere = np.cos(np.arccos(cosines.astype(float)) + margin)
        soft = np.exp(scale * np.cos(np.arccos(cosines.astype(float)) + 0))
        other = soft.sum(1) - soft[rows, speakers]
        own = scale * np.cos(np.arccos(cosines[rows, speakers].astype(float)) + margin)
        wrongs = {
            "there is no margin: this is the plain softmax of cosines": aam_by_hand(
                speakers, cosines, 0.0, scale
            ),
            "the margin is taken away from the angle: that makes the own speaker easier": (
                aam_by_hand(speakers, cosines, margin, scale, np.subtract)
            ),
            "the margin is taken from the cosine (that is CosFace): add it to the angle": (
                aam_by_hand(speakers, less, 0.0, scale)
            ),
            "all angles get the margin, which cancels most of it: only the own one": (
                aam_by_hand(speakers, everywhere, 0.0, scale)
            ),
            "the scale is missing": aam_by_hand(speakers, cosines, margin, 1.0),
            "the own centre is missing in the sum below the fraction": np.log(other)
            - own,
        }
        right = np.allclose(received, expected, rtol=2e-3, atol=2e-3)
        for words, wrong in wrongs.items():
            near = np.allclose(received, wrong, rtol=2e-3, atol=2e-3)
            assert right or not near, explain(
                words, expected=expected[:4], received=received[:4]
            )
        assert right, explain(
            "softmax cross-entropy of scale times the cosines, with cos(theta + margin) "
            "for the own centre",
            expected=expected[:4],
            received=received[:4],
        )


@check(task="aam_loss")
def gradients_are_finite_at_both_ends(submission):
    rng = new_generator()
    speakers, cosines = centres_of(rng)
    rows = np.arange(9)
    cosines[rows, speakers] = np.where(rows % 2, 1.0, -1.0)
    cosines[rows, (speakers + 1) % 6] = np.where(rows % 3, 1.0, -1.0)
    received, gradient = loss_of(
        submission.aam_loss, speakers, cosines, (9,), margin=0.3, scale=20.0
    )
    assert np.isfinite(gradient).all(), explain(
        "at a cosine of 1 or -1 the gradient is not finite: acos has none there; clip the "
        "cosines a little inside",
        expected="finite gradients",
        received="nan or inf",
    )
    plain = aam_by_hand(speakers, np.clip(cosines, -1, 1), 0.0, 20.0)
    assert np.all(received >= plain - 1e-2), explain(
        "a clip opposite to its centre becomes cheaper by the margin: cos(theta + margin) "
        "rises again beyond pi",
        expected=f"at least {plain[:4]}",
        received=received[:4],
    )


@check(task="aam_loss")
def more_than_a_float_can_hold_is_no_trouble(submission):
    rng = new_generator()
    speakers, cosines = centres_of(rng)
    words = "with a scale of 400, exp overflows: take the cross-entropy from logits"
    expected = aam_by_hand(speakers, cosines, 0.2, 400.0)
    received, gradient = loss_of(
        submission.aam_loss, speakers, cosines, (9,), words, margin=0.2, scale=400.0
    )
    assert np.allclose(received, expected, rtol=5e-3, atol=1e-2), explain(
        words,
        expected=expected[:3],
        received=received[:3],
    )
    assert np.isfinite(gradient).all(), explain(
        "with a scale of 400 the gradient is not finite",
        expected="finite gradients",
        received="nan or inf",
    )


# choose_threshold -----------------------------------------------------------------------


def judged(rng, num=200, shift=1.2, num_levels=None):
    """Return flags and scores that overlap; with few levels there are many ties."""
    same = rng.permutation(np.arange(num) < num // 2)
    scores = rng.normal(size=num) + shift * same
    if num_levels:
        scores = np.round(scores * num_levels) / num_levels
    return same, scores * 0.3


def best_accuracy(same, scores):
    """Return the highest accuracy of any threshold."""
    candidates = np.append(np.unique(scores), np.inf)
    return max(np.mean((scores >= value) == same) for value in candidates)


def threshold_of(submission, same, scores):
    """Return the student's threshold as a float; infinite is allowed."""
    received = array(
        submission.choose_threshold(same.copy(), scores.copy()), "threshold"
    )
    assert received.shape in ((), (1,)) and not np.isnan(received).any(), explain(
        "a threshold is one number", expected="a float", received=received
    )
    return float(received.reshape(()))


@check(task="choose_threshold")
def no_other_threshold_is_better(submission):
    rng = new_generator()
    for num_levels, shift in ((None, 1.2), (None, 4.0), (3, 1.0), (None, -0.5)):
        same, scores = judged(rng, shift=shift, num_levels=num_levels)
        threshold = threshold_of(submission, same, scores)
        best = best_accuracy(same, scores)
        reached = np.mean((scores >= threshold) == same)
        strictly = np.mean((scores > threshold) == same)
        assert reached >= best - 1e-9 or strictly < best - 1e-9, explain(
            "a pair whose score is the threshold counts as of one speaker: >=, not >",
            expected=f"an accuracy of {best:.3f}",
            received=f"{reached:.3f} at {threshold:.3f}",
        )
        assert reached >= best - 1e-9, explain(
            "another threshold judges more pairs rightly",
            expected=f"an accuracy of {best:.3f}",
            received=f"{reached:.3f} at {threshold:.3f}",
        )


@check(task="choose_threshold")
def unbalanced_pairs_count_each_alike(submission):
    rng = new_generator()
    same = rng.permutation(np.arange(300) < 30)
    scores = 0.3 * (rng.normal(size=300) + 1.5 * same)
    threshold = threshold_of(submission, same, scores)
    reached = np.mean((scores >= threshold) == same)
    best = best_accuracy(same, scores)
    assert reached >= best - 1e-9, explain(
        "with few pairs of one speaker, another threshold judges more pairs rightly; this "
        "may be the threshold of equal error rates",
        expected=f"an accuracy of {best:.3f}",
        received=f"{reached:.3f} at {threshold:.3f}",
    )


# equal_error_rate -----------------------------------------------------------------------


def rate_of(submission, same, scores):
    """Return the student's rate as a float."""
    given = same.copy(), scores.copy()
    received = number(submission.equal_error_rate(*given), "the equal error rate")
    unchanged = np.array_equal(given[0], same) and np.array_equal(given[1], scores)
    assert unchanged, explain(
        "equal_error_rate() changed the arrays that it was given",
        expected="the scores as they were",
        received="others",
    )
    return received


def equal_error_by_hand(same, scores):
    """Return the rate by a loop over thresholds, and how far apart the two shares are."""
    found = []
    for threshold in np.append(np.unique(scores), np.inf):
        accepts = np.mean(scores[~same] >= threshold)
        rejects = np.mean(scores[same] < threshold)
        found.append((abs(accepts - rejects), (accepts + rejects) / 2))
    return min(found)[1], min(found)[0]


@check(task="equal_error_rate")
def both_errors_are_equally_frequent(submission):
    rng = new_generator()
    for num, shift in ((400, 1.0), (400, 2.0), (300, 0.4)):
        same, scores = judged(rng, num, shift)
        expected, gap = equal_error_by_hand(same, scores)
        received = rate_of(submission, same, scores)
        tolerance = gap + 3 / num
        assert (
            abs(received - (1 - expected)) > tolerance
            or abs(received - expected) <= tolerance
        ), explain(
            "this is the share that is right: accepted are the pairs whose score reaches "
            "the threshold",
            expected=expected,
            received=received,
        )
        assert abs(received - 100 * expected) > 1 or expected < 0.01, explain(
            "shares lie in [0, 1]", expected=expected, received=received
        )
        assert abs(received - expected) <= tolerance, explain(
            "it is not the share at which false acceptances and false rejections are "
            "equally frequent",
            expected=expected,
            received=received,
        )


@check(task="equal_error_rate")
def each_error_has_its_own_denominator(submission):
    rng = new_generator()
    same = rng.permutation(np.arange(660) < 60)
    scores = rng.normal(size=660) + 1.0 * same
    expected, gap = equal_error_by_hand(same, scores)
    received = rate_of(submission, same, scores)
    best = 1 - best_accuracy(same, scores)
    tolerance = gap + 1 / 60
    assert abs(received - expected) <= tolerance or abs(received - best) > 0.02, (
        explain(
            "this is the least share of errors of all pairs: where both kinds are equally "
            "frequent, each by its own number of pairs, it is another",
            expected=expected,
            received=received,
        )
    )
    assert abs(received - expected) <= tolerance, explain(
        "false acceptances are a share of the pairs of two speakers, false rejections one "
        "of the pairs of one speaker",
        expected=expected,
        received=received,
    )


@check(task="equal_error_rate")
def separated_scores_have_no_errors_and_exchanged_ones_only(submission):
    rng = new_generator()
    same, scores = judged(rng, 60, 60.0)
    received = rate_of(submission, same, scores)
    assert abs(received) < 1e-6, explain(
        "a threshold separates the two kinds", expected=0.0, received=received
    )
    received = rate_of(submission, ~same, scores)
    assert abs(received - 1) < 1e-6, explain(
        "all scores are upside down: every pair is judged wrongly; don't turn the rate "
        "round",
        expected=1.0,
        received=received,
    )
    received = rate_of(submission, same, np.zeros(60))
    assert abs(received - 0.5) < 1e-6, explain(
        "all scores are equal: any threshold accepts all or none, so the mean of the two "
        "errors is one half",
        expected=0.5,
        received=received,
    )


# one_shot_accuracy ----------------------------------------------------------------------


def clusters(rng, num_speakers, clips, size, spread):
    """Return speakers and embeddings of length 1 that lie around one point each."""
    speakers = rng.permutation(np.repeat(rng.choice(900, num_speakers, False), clips))
    centres = {name: rng.normal(size=size) for name in np.unique(speakers)}
    points = np.array([centres[name] for name in speakers])
    points += spread * rng.normal(size=points.shape)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return speakers, points.astype("float32")


def accuracy_of(submission, embeddings, speakers, ways, trials, seed):
    """Return the student's accuracy, in [0, 1]."""
    answer = submission.one_shot_accuracy(embeddings, speakers, ways, trials, seed)
    received = number(answer, "the accuracy")
    assert 0 <= received <= 1, explain(
        "an accuracy lies in [0, 1]", expected="a share", received=received
    )
    return received


@check(task="one_shot_accuracy")
def tight_speakers_are_always_found(submission):
    rng = new_generator()
    speakers, embeddings = clusters(rng, 9, 4, 16, 0.01)
    for ways in (2, 9):
        received = accuracy_of(submission, embeddings, speakers, ways, 60, 3)
        assert received == 1, explain(
            "all clips of a speaker are in one place: each trial is won; the right one is "
            "the highest cosine",
            expected=1.0,
            received=received,
        )


@check(task="one_shot_accuracy")
def without_information_one_in_all_ways_is_won(submission):
    rng = new_generator()
    speakers = np.repeat(np.arange(30), 2)
    embeddings = rng.normal(size=(60, 40)).astype("float32")
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    # A pool of fixed clips has a luck of its own: other clips in each call.
    rates = []
    for seed in range(8):
        points = rng.permutation(embeddings)
        rates.append(accuracy_of(submission, points, speakers, 4, 150, seed))
    received = float(np.mean(rates))
    assert received < 0.45, explain(
        "embeddings without any information win too often: the clip that is to be "
        "recognised is another clip than the one that the speaker is known by",
        expected="about 1 in 4",
        received=received,
    )
    assert received > 0.1, explain(
        "embeddings without any information win too seldom: is the right speaker among "
        "the known ones, each of which comes once?",
        expected="about 1 in 4",
        received=received,
    )


@check(task="one_shot_accuracy")
def equal_embeddings_recognise_nobody(submission):
    rng = new_generator()
    speakers, embeddings = clusters(rng, 8, 3, 6, 0.1)
    embeddings[:] = embeddings[0]
    received = accuracy_of(submission, embeddings, speakers, 4, 200, 1)
    assert received < 0.6, explain(
        "a network that gives all clips one embedding wins: with equal cosines argmax "
        "takes the first, and the right one always stands there",
        expected="at most about 1 in 4",
        received=received,
    )


@check(task="one_shot_accuracy")
def more_ways_are_harder_by_as_much_as_they_should_be(submission):
    rng = new_generator()
    rates = {2: [], 10: []}
    exact = {2: [], 10: []}
    for seed in range(3):
        speakers, embeddings = clusters(rng, 12, 5, 6, 1.0)
        for ways in rates:
            rates[ways].append(
                accuracy_of(submission, embeddings, speakers, ways, 400, seed)
            )
            exact[ways].append(one_shot_by_hand(embeddings, speakers, ways, 3000, rng))
    for ways in rates:
        received, expected = np.mean(rates[ways]), np.mean(exact[ways])
        assert abs(received - expected) < 0.09, explain(
            f"{ways} ways: different speakers, one clip of each, and another clip of one "
            "of them",
            expected=f"about {expected:.2f}",
            received=f"{received:.2f}",
        )


def one_shot_by_hand(embeddings, speakers, ways, trials, rng):
    """Return the accuracy of many trials, all at once."""
    names, numbers = np.unique(speakers, return_inverse=True)
    places = np.stack([np.flatnonzero(numbers == k) for k in range(len(names))])
    chosen = rng.random((trials, len(names))).argsort(1)[:, :ways]
    clips = rng.random((trials, ways, places.shape[1])).argsort(2)
    known = places[chosen, clips[:, :, 0]]  # [trials, ways]
    query = places[chosen[:, 0], clips[:, 0, 1]]
    cosines = np.einsum("twd,td->tw", embeddings[known], embeddings[query])
    return np.mean(cosines.argmax(1) == 0)


@check(task="one_shot_accuracy")
def the_seed_decides_the_trials(submission):
    rng = new_generator()
    speakers, embeddings = clusters(rng, 12, 4, 5, 1.0)

    def rate(seed):
        return accuracy_of(submission, embeddings, speakers, 5, 97, seed)

    np.random.seed(1)
    first = rate(4)
    np.random.seed(2)
    assert first == rate(4), explain(
        "the same seed gives other trials: make a generator from it, "
        "np.random.default_rng(seed)",
        expected=first,
        received="another accuracy",
    )
    assert len({rate(seed) for seed in range(5, 11)}) > 1, explain(
        "all seeds give the same trials", expected="others", received=first
    )
