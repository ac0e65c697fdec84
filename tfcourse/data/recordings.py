"""Recordings: speech and noises, from the synthesiser or an archive in a folder.

    speech, info = load_recordings("speech_commands")              # embedded, no network
    noise, info = load_recordings("esc10", source="real", sample_rate=16_000)
    samples = speech.fixed(16_000)                                 # float32 [n, 16000]

FOLDER/fsdd/fsdd_recordings_5_speakers.tar.xz is compared with its checksum; an archive
from elsewhere is called FOLDER/fsdd/fsdd.tar.gz, is read with the same distrust and
reported as unverified. There is no download: the registered archives lie nowhere else.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcourse.data.folder import (
    VARIABLE,
    Progress,
    find_in_folder,
    named_folder,
    sha256_of_file,
    verify_originals,
)
from tfcourse.data.recording_specs import (
    Part,
    RecordingsSpec,
    find_recordings_spec,
    noise_kinds,
)
from tfcourse.data.records import DatasetStatus, PathLike, VerifiedFile
from tfcourse.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf
    from numpy.typing import NDArray

SOURCES = ("embedded", "real")
NOBODY = -1


@dataclass(frozen=True)
class Recordings:
    """Clips of their own lengths, and what is known of each; [n] throughout."""

    clips: tuple[NDArray[np.float32], ...]  # Each [samples], about [-1, 1].
    sample_rate: int  # Hz.
    labels: NDArray[np.int64]  # Places in the info's class_names.
    speakers: NDArray[np.int64]  # Places in the info's speaker_names; -1: nobody.
    folds: NDArray[np.int64]  # As the authors of the set cut it; 0: not cut.
    origins: tuple[str, ...]  # What a clip was cut from: split noises by it.
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.clips)

    def chosen(self, places: Sequence[int] | NDArray[Any]) -> Recordings:
        """Return some of the recordings: by place, int [m], or by flag, bool [n].

        Raises:
            ValueError: If flags are not one a recording, or a place is not there.
        """
        import numpy as np

        wanted = np.asarray(places)
        if wanted.dtype == bool:
            if wanted.shape != (len(self),):
                raise ValueError(f"flags must be [{len(self)}]; got {wanted.shape}")
            wanted = np.flatnonzero(wanted)
        wanted = wanted.astype(np.int64)
        if wanted.ndim != 1 or (len(wanted) and wanted.max() >= len(self)):
            raise ValueError(f"places must be [m], below {len(self)}; got {places!r}")
        return Recordings(
            tuple(self.clips[i] for i in wanted),
            self.sample_rate,
            self.labels[wanted],
            self.speakers[wanted],
            self.folds[wanted],
            tuple(self.origins[i] for i in wanted),
            tuple(self.names[i] for i in wanted),
        )

    def fixed(self, num_samples: int) -> NDArray[np.float32]:
        """Return float32 [n, num_samples]: the beginnings, zeros behind shorter clips."""
        import numpy as np

        samples = np.zeros((len(self), num_samples), np.float32)
        for row, clip in zip(samples, self.clips, strict=True):
            row[: len(clip)] = clip[:num_samples]
        return samples

    def dataset(self) -> tf.data.Dataset:
        """Return single examples (samples float32 [None], label, speaker int64 []).

        In order, from memory, each of its own length: batch them with `padded_batch` or
        `ragged_batch`.
        """
        import numpy as np

        importlib.import_module("tfcourse.runtime")  # TensorFlow without its notes.
        import tensorflow as tf

        lengths = np.array([len(clip) for clip in self.clips], np.int64)
        everything = np.concatenate([*self.clips, np.zeros(0, np.float32)])
        ends = lengths.cumsum()
        spans = (ends - lengths, ends, self.labels, self.speakers)
        values = tf.constant(everything)  # Once, whatever the number of clips.
        return tf.data.Dataset.from_tensor_slices(spans).map(
            lambda start, end, label, speaker: (values[start:end], label, speaker)
        )


@dataclass(frozen=True)
class RecordingsInfo:
    """What was loaded, for people and for `result.json`; it names no folder."""

    name: str
    split: str  # The part: "speech" or "noise"; neither is split.
    source: str  # "embedded", "folder" or "archive".
    origin: str
    num_examples: int
    sample_rate: int  # Hz.
    seconds: float  # All clips together.
    class_names: tuple[str, ...]
    class_kinds: tuple[str, ...]  # "speech", "stationary", "impulsive" or "harmonic".
    speaker_names: tuple[str, ...]
    licence: str
    verified: bool  # By a checksum; what is embedded is computed.
    note: str = ""


def load_recordings(
    name: str,
    part: str | None = None,
    *,
    source: str = "embedded",
    sample_rate: int | None = None,
    data_dir: PathLike | None = None,
) -> tuple[Recordings, RecordingsInfo]:
    """Return (recordings, info): all clips of the part, sorted by name.

    Args:
        name: A set of recordings of the catalogue.
        part: "speech" or "noise"; default: the set's first.
        source: "embedded": the small twin. "real": the folder that `data_dir` or
            TFCOURSE_DATA_DIR names.
        sample_rate: Resample to this rate, in Hz; default: the set's own.
        data_dir: Folder of original files, for source "real".

    Raises:
        UserError: If there is no such set, or it can't be had; says what to do.
    """
    spec = find_recordings_spec(name)
    chosen = spec.part(part)
    if source not in SOURCES:
        raise UserError(f"source must be one of {', '.join(SOURCES)}; got {source!r}")
    if source == "real":
        return _real(spec, chosen, sample_rate, data_dir)
    if data_dir is not None:
        raise UserError(
            f"source 'embedded' reads no folder; got data_dir={str(data_dir)!r}: "
            "take source='real'"
        )
    return _embedded(spec, chosen, sample_rate)


def _embedded(
    spec: RecordingsSpec, part: Part, sample_rate: int | None
) -> tuple[Recordings, RecordingsInfo]:
    from tfcourse.data.spoken_twins import embedded_clips
    from tfcourse.sound_files import resample

    clips, own_rate, labels, speakers = embedded_clips(spec.name, part.name)
    rate = sample_rate or own_rate
    names = tuple(f"{place:04d}" for place in range(len(clips)))
    found = Recordings(
        tuple(resample(clip, own_rate, rate).copy() for clip in clips),
        rate,
        labels.copy(),
        speakers.copy(),
        labels * 0,
        names,
        names,
    )
    people = tuple(f"voice {number}" for number in range(speakers.max() + 1))
    twin = part.twin
    kinds = noise_kinds(twin.class_names)
    if people:
        kinds = ("speech",) * len(twin.class_names)
    return found, RecordingsInfo(
        **_facts(spec, part, found),
        source="embedded",
        origin=twin.origin,
        class_names=twin.class_names,
        class_kinds=kinds,
        speaker_names=people,
        licence=twin.licence,
        verified=True,
        note=twin.note,
    )


def _facts(spec: RecordingsSpec, part: Part, found: Recordings) -> dict[str, Any]:
    seconds = sum(len(clip) for clip in found.clips) / found.sample_rate
    return {
        "name": spec.name,
        "split": part.name,
        "num_examples": len(found),
        "sample_rate": found.sample_rate,
        "seconds": round(seconds, 1),
    }


def _real(
    spec: RecordingsSpec, part: Part, sample_rate: int | None, data_dir: PathLike | None
) -> tuple[Recordings, RecordingsInfo]:
    import numpy as np

    from tfcourse.data.sound_archives import read_archive

    path, verified = _located(spec, named_folder(data_dir))
    clips = read_archive(spec, part, path, sample_rate)
    people = tuple(sorted({clip.speaker for clip in clips} - {""}))
    number = {name: place for place, name in enumerate(people)}
    found = Recordings(
        tuple(clip.samples for clip in clips),
        clips[0].sample_rate,
        np.array([clip.label for clip in clips], np.int64),
        np.array([number.get(clip.speaker, NOBODY) for clip in clips], np.int64),
        np.array([int(clip.fold or 0) for clip in clips], np.int64),
        tuple(clip.origin or clip.name for clip in clips),
        tuple(clip.name for clip in clips),
    )
    origin = f"{path.name}, verified original from a folder of original files"
    note = f"a part of the public set: {spec.title}"
    if not verified:
        origin = f"{path.name} in the data folder, SHA-256 {sha256_of_file(path)}"
        note = f"unverified: read as it is, {len(clips):,} clips"
    return found, RecordingsInfo(
        **_facts(spec, part, found),
        source="folder" if verified else "archive",
        origin=origin,
        class_names=part.class_names,
        class_kinds=part.kinds,
        speaker_names=people,
        licence=spec.licence,
        verified=verified,
        note=note,
    )


def _located(spec: RecordingsSpec, root: Path | None) -> tuple[Path, bool]:
    """Return the archive, and whether it was compared with a registered checksum."""
    if root is None:
        raise UserError(
            f"{spec.name} is not downloaded by itself: get it from {spec.homepage}, put "
            f"it as {spec.loose_filename} in FOLDER/{spec.name}, and pass --data-dir "
            f"FOLDER or set {VARIABLE}"
        )
    found = find_in_folder(spec, root)
    if not found.registered:
        return found.path, False
    (file,) = verify_originals(spec, found.path)
    return file.path, True


def prepare_recordings(name: str, data_dir: PathLike | None) -> DatasetStatus:
    """Return what is there of the set, after reading all of it.

    Raises:
        UserError: If it is missing, damaged or holds something else.
    """
    verify_recordings(name, data_dir, None)
    return recordings_status(name, data_dir)


def verify_recordings(
    name: str, data_dir: PathLike | None, progress: Progress | None
) -> tuple[VerifiedFile, ...]:
    """Return the set's archive, read from end to end and found whole.

    One that is not the registered original must hold the set's first part; of the others
    what it holds is read, too.

    Raises:
        UserError: If it is missing, damaged or holds something else.
    """
    from tfcourse.data.sound_archives import has_part, read_archive

    spec, root = find_recordings_spec(name), named_folder(data_dir)
    if root is not None:
        found = find_in_folder(spec, root)
        if found.registered:
            return verify_originals(spec, found.path, progress)
    path, _ = _located(spec, root)
    first, *others = spec.parts
    for part in (first, *(other for other in others if has_part(path, other))):
        read_archive(spec, part, path, None)
    size, digest = path.stat().st_size, sha256_of_file(path)
    return (VerifiedFile(path, size, digest, registered=False),)


def recordings_status(name: str, data_dir: PathLike | None = None) -> DatasetStatus:
    """Return what is there of the real set; reads names and sizes only."""
    spec, root = find_recordings_spec(name), named_folder(data_dir)
    try:
        if root is None:
            _located(spec, None)
        else:
            found = find_in_folder(spec, root)
    except UserError as error:
        return DatasetStatus(name, "absent", str(error))
    if found.registered:
        detail = "original archive; it is read where it is"
        return DatasetStatus(name, "originals", detail, found.path, spec.download_bytes)
    size = found.path.stat().st_size
    return DatasetStatus(name, "archive", "read as it is, unverified", found.path, size)
