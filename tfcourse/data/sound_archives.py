"""Reads the clips of a tar archive with distrust: nothing is unpacked onto the disk.

Members are read in their order, one at a time, in memory; names only say label and
speaker. An archive from elsewhere may hold a subset or an extended set, but not fill the
memory by accident.
"""

from __future__ import annotations

import lzma
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tfcourse.data.recording_specs import Part, RecordingsSpec
from tfcourse.errors import UserError
from tfcourse.sound_files import read_audio

MAX_TIMES_REAL_SIZE = 10
MAX_MEMBERS = 1_000_000
MAX_CLIP_BYTES = 1 << 24
MAX_TOTAL_BYTES = 1 << 31  # Of all clips in memory.


class NamedClip(NamedTuple):
    """One clip, and what its name says."""

    name: str  # folder/file
    samples: NDArray[np.float32]
    sample_rate: int
    label: int
    speaker: str  # Empty, like the next two, where the name says none.
    fold: str
    origin: str


def read_archive(
    spec: RecordingsSpec, part: Part, path: Path, sample_rate: int | None
) -> list[NamedClip]:
    """Return the part's clips, sorted by name, all at one rate.

    Raises:
        UserError: If the archive or a clip is damaged, or it holds no such clips.
    """
    limit = MAX_TIMES_REAL_SIZE * part.num_clips
    clips: list[NamedClip] = []
    num_bytes = 0
    for name, content in _members(path, part):
        if len(clips) == limit:
            raise UserError(
                f"{path} holds over {limit:,} clips of {spec.name}: leave some out"
            )
        clips.append(_clip(spec, part, path, name, content, sample_rate))
        num_bytes += clips[-1].samples.nbytes
        if num_bytes > MAX_TOTAL_BYTES:
            raise UserError(
                f"{path}: its clips take over {MAX_TOTAL_BYTES:,} bytes: leave some out"
            )
    if not clips:
        raise UserError(
            f"{path} holds no {part.name} of {spec.name}: its clips must be named "
            f"{part.pattern.pattern}"
        )
    rates = {clip.sample_rate for clip in clips}
    if len(rates) > 1:
        raise UserError(
            f"{path} mixes sample rates ({', '.join(map(str, sorted(rates)))} Hz): pass "
            "sample_rate"
        )
    clips.sort(key=lambda clip: clip.name)
    twice = [a.name for a, b in zip(clips, clips[1:], strict=False) if a.name == b.name]
    if twice:
        raise UserError(f"{path} holds {twice[0]} twice")
    return clips


def has_part(path: Path, part: Part) -> bool:
    """Tell whether the archive holds a file that is named like the part's clips.

    Raises:
        UserError: If the archive is damaged.
    """
    return next(_members(path, part), None) is not None


def _clip(
    spec: RecordingsSpec,
    part: Part,
    path: Path,
    name: str,
    content: bytes,
    sample_rate: int | None,
) -> NamedClip:
    found = part.pattern.fullmatch(name)
    said = found.groupdict("") if found else {}
    label = said.get("label", "")
    if label not in part.class_names:
        names = ", ".join(part.class_names)
        raise UserError(
            f"{path}: {name} is of no class of {spec.name}; these are {names}"
        )
    samples, rate = read_audio(
        content,
        sample_rate=sample_rate,
        name=f"{path}: {name}",
        max_seconds=spec.max_seconds,
    )
    return NamedClip(
        name,
        samples,
        rate,
        part.class_names.index(label),
        *(said.get(group, "") for group in ("speaker", "fold", "origin")),
    )


def _members(path: Path, part: Part) -> Iterator[tuple[str, bytes]]:
    """Yield folder/file and content of the members that are the part's clips."""
    try:
        with tarfile.open(path, "r:*") as archive:
            for count, member in enumerate(archive):
                name = "/".join(member.name.split("/")[-2:])
                if count >= MAX_MEMBERS:
                    raise UserError(f"{path} holds over {MAX_MEMBERS:,} files")
                if not member.isfile() or not part.pattern.fullmatch(name):
                    continue
                if member.size > MAX_CLIP_BYTES:
                    raise UserError(
                        f"{path}: {name} has {member.size:,} bytes: no clip has"
                    )
                file = archive.extractfile(member)
                yield name, file.read() if file else b""
    except (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(
            f"{path} is damaged or no tar archive ({reason[:80]}): copy it again"
        ) from error
