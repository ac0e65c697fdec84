# %%
"""Twin networks that say whether two words were spoken by one person."""

import dataclasses
import itertools
from functools import partial

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfcourse.runs import Run
from tfcourse.speaker_study import Measures, SpeakerStudy

Places = NDArray[np.integer]  # [m], places of clips.


@dataclasses.dataclass(frozen=True)
class Config:
    """What can be set: `tfcourse run 20 --set num_splits=1`."""

    source: str = "real"  # Where the data come from: "embedded" or "real".
    num_splits: int = 5  # Of the speakers into three parts.
    num_val_speakers: int = 8
    num_test_speakers: int = 18
    n_fft: int = 512  # Samples of 1/16,000 s, like those that follow.
    win_length: int = 400
    hop_length: int = 320
    num_mels: int = 64
    range_db: float = 100.0  # What lies further below a clip's maximum is lifted to it.
    tempos: tuple[float, ...] = (0.85, 0.92, 1.0, 1.08, 1.17)  # Each makes new voices.
    max_shift: int = 1600  # Samples.
    snr_db: tuple[float, float] = (20.0, 70.0)  # From noisy to as clean as clips are.
    gain_db: float = 6.0
    channels: int = 64
    embedding_size: int = 256
    speakers_per_batch: int = 16
    clips_per_speaker: int = 4
    steps_per_epoch: int = 25
    epochs: int = 16
    learning_rate: float = 3e-3  # At first; a cosine takes it to 0.
    weight_decay: float = 0.05  # Of AdamW.
    contrastive_margin: float = 1.0  # Distance.
    triplet_margin: float = 0.3  # Cosine.
    aam_margin: float = 0.2  # Radians.
    aam_scale: float = 20.0
    num_trials: int = 2000  # Of one-shot identification.
    seed: int = 0


LAB = Config()
SMOKE = Config(
    source="embedded",
    num_splits=1,
    tempos=(0.92, 1.0, 1.08),
    num_mels=32,
    channels=32,
    embedding_size=128,
    steps_per_epoch=15,
    epochs=5,
    learning_rate=5e-3,
    num_trials=400,
)
FULL = dataclasses.replace(LAB, channels=256, epochs=200, steps_per_epoch=50)


# %%
def split_speakers(
    speakers: NDArray[np.integer], num_val: int, num_test: int, seed: int
) -> tuple[Places, Places, Places]:
    """Return the places of the clips for training, for validation and for the test.

    Speakers are drawn at random, `num_val` for validation and `num_test` for the test;
    all others are for training. All clips of a speaker are in one part. The same seed
    gives the same parts.

    Args:
        speakers: int [n], who speaks in each clip; any numbers.
        num_val: Speakers.
        num_test: Speakers.
        seed: Of the draw.
    """
    # BEGIN SOLUTION
    order = np.random.default_rng(seed).permutation(np.unique(speakers))
    parts = order[num_val + num_test :], order[:num_val], order[num_val:][:num_test]
    train, val, test = (np.flatnonzero(np.isin(speakers, part)) for part in parts)
    return train, val, test
    # END SOLUTION


# %%
def make_pairs(
    speakers: NDArray[np.integer], seed: int
) -> tuple[NDArray[np.integer], NDArray[np.bool_]]:
    """Return pairs of clips, and which are of one speaker: int [m, 2], bool [m].

    Each speaker has all pairs of two of its clips, and as many pairs of one of its clips
    with a clip of somebody else, both drawn at random. No pair comes twice, in either
    order. The same seed gives the same pairs.

    Args:
        speakers: int [n], who speaks in each clip; any numbers.
        seed: Of the draw.
    """
    # BEGIN SOLUTION
    rng = np.random.default_rng(seed)
    positive, negative = [], set()
    for speaker in np.unique(speakers):
        own, others = np.flatnonzero(speakers == speaker), speakers != speaker
        pairs = list(itertools.combinations(own, 2))
        positive += pairs
        wanted = len(negative) + len(pairs)
        while len(negative) < wanted:
            first, second = rng.choice(own), rng.choice(np.flatnonzero(others))
            negative.add((min(first, second), max(first, second)))
    same = np.arange(len(positive) + len(negative)) < len(positive)
    return np.array(positive + sorted(negative)), same
    # END SOLUTION


# %%
def vary_recordings(
    samples: tf.Tensor,
    noises: tf.Tensor,
    seed: tf.Tensor,
    *,
    max_shift: int,
    snr_db: tuple[float, float],
    gain_db: float,
) -> tf.Tensor:
    """Return each clip as another recording of it might sound: float32 [batch, n].

    Each clip by itself, with even chances of all values in the ranges: it is moved in
    time, with zeros where nothing comes in; one of the noises is added, at a ratio of the
    two mean powers; then the sum becomes louder or quieter.

    Args:
        samples: float32 [batch, n]; none is silent.
        noises: float32 [m, n]; none is silent.
        seed: int [2]: the same seed gives the same result, also inside of `Dataset.map`.
        max_shift: Samples, back or forth.
        snr_db: Lowest and highest ratio of clip to noise, in dB.
        gain_db: Largest gain or loss, in dB.
    """
    # BEGIN SOLUTION
    batch, length = tf.shape(samples)[0], tf.shape(samples)[1]
    seeds = tf.unstack(tf.random.split(seed, 4))
    draw = partial(tf.random.stateless_uniform, [batch, 1])
    shifts = draw(seeds[0], -max_shift, max_shift + 1, tf.int32)  # [batch, 1]
    places = tf.range(length) + max_shift + shifts  # [batch, n], into padded clips
    padded = tf.pad(samples, [[0, 0], [max_shift, max_shift]])
    speech = tf.gather(padded, places, batch_dims=1)
    chosen = draw(seeds[1], 0, tf.shape(noises)[0], tf.int32)[:, 0]
    noise = tf.gather(noises, chosen)  # [batch, n]
    powers = [tf.reduce_mean(tf.square(x), 1, keepdims=True) for x in (samples, noise)]
    ratio = powers[0] / powers[1] / 10 ** (draw(seeds[2], *snr_db) / 10)  # [batch, 1]
    gain = 10 ** (draw(seeds[3], -gain_db, gain_db) / 20)
    return gain * (speech + tf.sqrt(ratio) * noise)
    # END SOLUTION


# %%
def speaker_encoder(num_mels: int, channels: int, embedding_size: int) -> keras.Model:
    """Return a Functional model from log-mel spectrograms to embeddings of length 1.

    It maps float32 [batch, frames, num_mels], with any number of frames, to float32
    [batch, embedding_size]: 1-D convolutions over time, mean and standard deviation over
    time of what they make, a dense layer without activation, division by the Euclidean
    norm. What is the same in all frames has a deviation of 0, and finite gradients.

    Args:
        num_mels: Bands of the input.
        channels: Of the convolutions.
        embedding_size: Numbers of the embedding.
    """
    # BEGIN SOLUTION
    # Short trainings: moving statistics must keep up with the weights.
    normalise = partial(keras.layers.BatchNormalization, momentum=0.9)
    inputs = keras.Input([None, num_mels])
    hidden = normalise()(inputs)
    levels = [hidden]
    for size, rate in ((5, 1), (3, 2), (3, 3)):
        layer = keras.layers.Conv1D(channels, size, dilation_rate=rate, padding="same")
        hidden = layer(hidden)
        hidden = keras.layers.ReLU()(hidden)
        hidden = normalise()(hidden)
        levels.append(hidden)
    frames = keras.layers.Concatenate()(levels)  # [batch, frames, mels + 3 * channels]
    mean = keras.ops.mean(frames, axis=1)
    variance = keras.ops.var(frames, axis=1)
    deviation = keras.ops.sqrt(variance + 1e-5)  # The root of 0 has no gradient.
    statistics = keras.layers.Concatenate()([mean, deviation])
    statistics = normalise()(statistics)
    statistics = keras.layers.Dropout(0.5)(statistics)
    embeddings = keras.layers.Dense(embedding_size)(statistics)
    return keras.Model(inputs, keras.layers.UnitNormalization()(embeddings))
    # END SOLUTION


# %%
def twin_network(encoder: keras.Model) -> keras.Model:
    """Return a Functional model from two spectrograms to the cosine of their embeddings.

    Both go through the one encoder. It maps a list of two float32 [batch, frames, mels],
    whose numbers of frames may differ, to float32 [batch, 1].

    Args:
        encoder: From float32 [batch, frames, mels] to embeddings of length 1.
    """
    # BEGIN SOLUTION
    first, second = (keras.Input(encoder.input_shape[1:]) for _ in range(2))
    cosine = keras.layers.Dot(axes=1)([encoder(first), encoder(second)])
    return keras.Model([first, second], cosine)
    # END SOLUTION


# %%
def contrastive_loss(
    speakers: tf.Tensor, embeddings: tf.Tensor, margin: float
) -> tf.Tensor:
    """Return the contrastive loss of a batch, over all pairs of different clips.

    With the Euclidean distance D of two embeddings, a pair of one speaker costs D^2, one
    of two speakers max(0, margin - D)^2. The loss is the mean cost of the former plus the
    mean cost of the latter, float32 []. Gradients are finite, even between equal clips.

    Args:
        speakers: int or float [batch]; both kinds of pairs occur.
        embeddings: float32 [batch, size], of length 1.
        margin: Of the distance.

    Source: Hadsell, Chopra and LeCun, 2006, equation 4, each kind of pair balanced.
    """
    # BEGIN SOLUTION
    squared = tf.maximum(2 - 2 * embeddings @ tf.transpose(embeddings), 1e-8)
    gap = tf.maximum(margin - tf.sqrt(squared), 0.0)  # [batch, batch]
    same = tf.equal(speakers[:, None], speakers[None, :])
    itself = tf.eye(tf.shape(speakers)[0], dtype=tf.bool)
    near = tf.boolean_mask(squared, same & ~itself)
    far = tf.boolean_mask(tf.square(gap), ~same)
    return tf.reduce_mean(near) + tf.reduce_mean(far)
    # END SOLUTION


# %%
def triplet_loss(
    speakers: tf.Tensor, embeddings: tf.Tensor, margin: float
) -> tf.Tensor:
    """Return the triplet loss of each clip with its hardest partners: float32 [batch].

    Of the cosines with other clips, `positive` is the lowest with one of the same speaker
    and `negative` the highest with one of somebody else; the loss is
    max(0, margin + negative - positive).

    Args:
        speakers: int or float [batch]; each has two clips or more, and there are two or
            more speakers.
        embeddings: float32 [batch, size], of length 1.
        margin: Of the cosine.

    Source: Hermans, Beyer and Leibe, 2017, equation 5, with cosines for distances.
    """
    # BEGIN SOLUTION
    cosines = embeddings @ tf.transpose(embeddings)  # [batch, batch]
    same = tf.equal(speakers[:, None], speakers[None, :])
    # A clip's cosine with itself, 1, is never the lowest.
    positive = tf.reduce_min(tf.where(same, cosines, 2.0), axis=1)
    negative = tf.reduce_max(tf.where(same, -2.0, cosines), axis=1)
    return tf.maximum(margin + negative - positive, 0.0)
    # END SOLUTION


# %%
def aam_loss(
    speakers: tf.Tensor, cosines: tf.Tensor, margin: float, scale: float
) -> tf.Tensor:
    """Return the additive angular margin loss of each clip: float32 [batch].

    It is the softmax cross-entropy of `scale` times the cosines, where the angle theta
    between a clip and its own speaker's centre is made larger first: cos(theta + margin).
    Gradients are finite, also at cosines of 1 and -1. What becomes of angles with
    theta + margin > pi is left open, as long as the loss is no smaller than without
    the margin.

    Args:
        speakers: int or float [batch], places of the own centres.
        cosines: float32 [batch, centres], of each embedding with each centre.
        margin: Radians.
        scale: Factor of the cosines.

    Source: Deng, Guo, Xue and Zafeiriou, 2019, section 2.1.
    """
    # BEGIN SOLUTION
    own = tf.one_hot(tf.cast(speakers, tf.int32), tf.shape(cosines)[1])
    angles = tf.acos(tf.clip_by_value(cosines, -1 + 1e-6, 1 - 1e-6))
    angles = tf.minimum(angles + margin * own, np.pi)
    logits = scale * tf.cos(angles)
    return tf.nn.softmax_cross_entropy_with_logits(own, logits)
    # END SOLUTION


# %%
def choose_threshold(same: NDArray[np.bool_], scores: NDArray[np.floating]) -> float:
    """Return a threshold at which most pairs are judged rightly.

    A pair counts as of one speaker where its score is at least the threshold.

    Args:
        same: bool [m].
        scores: float [m].
    """
    # BEGIN SOLUTION
    candidates = np.append(np.unique(scores), np.inf)
    rejected = np.searchsorted(np.sort(scores[~same]), candidates)  # Rightly.
    missed = np.searchsorted(np.sort(scores[same]), candidates)
    return float(candidates[np.argmax(rejected - missed)])
    # END SOLUTION


# %%
def equal_error_rate(same: NDArray[np.bool_], scores: NDArray[np.floating]) -> float:
    """Return the share of errors at which both kinds are equally frequent, in [0, 1].

    Of the pairs of two speakers, those whose score reaches the threshold are falsely
    accepted; of the pairs of one speaker, those below it are falsely rejected. Where the
    two shares jump past one another, it is their mean at the threshold at which they
    differ least.

    Args:
        same: bool [m]; both kinds occur.
        scores: float [m], larger where the speakers are rather the same.
    """
    # BEGIN SOLUTION
    thresholds = np.append(np.unique(scores), np.inf)
    negatives, positives = np.sort(scores[~same]), np.sort(scores[same])
    accepts = 1 - np.searchsorted(negatives, thresholds) / len(negatives)
    rejects = np.searchsorted(positives, thresholds) / len(positives)
    closest = np.argmin(np.abs(accepts - rejects))
    return float((accepts[closest] + rejects[closest]) / 2)
    # END SOLUTION


# %%
def one_shot_accuracy(
    embeddings: NDArray[np.floating],
    speakers: NDArray[np.integer],
    num_ways: int,
    num_trials: int,
    seed: int,
) -> float:
    """Return how often a speaker is recognised by a single clip, in [0, 1].

    Each trial draws `num_ways` different speakers, one clip of each to know them by, and
    another clip of one of them. It is won if, of the known clips, the one with the highest
    cosine is of the right speaker. The same seed gives the same trials.

    Args:
        embeddings: float [n, size], of length 1.
        speakers: int [n], each with two clips or more.
        num_ways: Speakers of a trial.
        num_trials: How many.
        seed: Of the draws.
    """
    # BEGIN SOLUTION
    rng = np.random.default_rng(seed)
    places = {name: np.flatnonzero(speakers == name) for name in np.unique(speakers)}
    num_won = 0
    for _ in range(num_trials):
        chosen = rng.permutation(list(places))[:num_ways]  # The first one speaks again.
        query, own = rng.choice(places[chosen[0]], 2, replace=False)
        known = [own, *(rng.choice(places[name]) for name in chosen[1:])]
        cosines = embeddings[known] @ embeddings[query]  # [num_ways]
        num_won += bool(cosines[0] > cosines[1:].max())  # A tie is not won.
    return num_won / num_trials
    # END SOLUTION


# %%
def main(config: Config, run: Run) -> dict[str, float]:
    """Return the metrics that exercise.toml promises."""
    losses = {
        "contrastive": partial(contrastive_loss, margin=config.contrastive_margin),
        "triplet": partial(triplet_loss, margin=config.triplet_margin),
        "aam": partial(aam_loss, margin=config.aam_margin, scale=config.aam_scale),
    }
    ranges = {key: getattr(config, key) for key in ("max_shift", "snr_db", "gain_db")}
    vary = partial(vary_recordings, **ranges)
    measures = Measures(
        make_pairs, vary, choose_threshold, equal_error_rate, one_shot_accuracy
    )
    study = SpeakerStudy(run, config, measures)
    counts = config.num_val_speakers, config.num_test_speakers
    sizes = config.num_mels, config.channels, config.embedding_size
    for number in range(config.num_splits):
        seed = config.seed * config.num_splits + number
        split = study.split(number, split_speakers(study.speakers, *counts, seed))
        split.measure_classical()
        for name, loss in losses.items():
            encoder = speaker_encoder(*sizes)
            seconds = split.train(name, encoder, loss)
            split.measure_twin(name, encoder, twin_network(encoder), seconds)
            encoder = split.whiten(encoder)  # In the place of its last layer.
            twin = twin_network(encoder)
            split.measure_twin(f"{name}_whitened", encoder, twin, seconds)
    return study.report()
