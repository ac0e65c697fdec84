"""What the data modules tell one another and their callers: frozen records."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

PathLike = str | os.PathLike[str]
Split = Literal["train", "test"]
SPLITS: tuple[Split, ...] = ("train", "test")


@dataclass(frozen=True)
class OriginalFile:
    """One file as its authors distribute it and TFDS registers it."""

    url: str  # Or the name alone, where the file lies nowhere.
    num_bytes: int
    sha256: str

    @property
    def filename(self) -> str:
        """The name under which TFDS looks for the file in a folder."""
        return self.url.rsplit("/", 1)[-1]

    @property
    def remedy(self) -> str:
        """What to do about a damaged copy; a file that was packed here has no address."""
        return "copy it again" + (f", or download {self.url}" * ("/" in self.url))


class Files(Protocol):
    """What is known about the files of a set: of images, of recordings, or of a table."""

    @property
    def name(self) -> str:
        """Name of the set, and of its subfolder."""

    @property
    def originals(self) -> tuple[OriginalFile, ...]:
        """The files as their authors distribute them."""

    @property
    def loose_filename(self) -> str:
        """Name of one file that may stand for them, with no checksum registered."""


@dataclass(frozen=True)
class EmbeddedTwin:
    """The small set that stands in for the real one where there is no network."""

    num_examples: dict[Split, int]
    class_names: tuple[str, ...]
    origin: str
    licence: str
    note: str  # What it is, and what it is not.


@dataclass(frozen=True)
class DatasetSpec:
    """One set of the catalogue: the real one, and its embedded twin."""

    name: str  # Also the name in TFDS, of the subfolder and of the npz.
    title: str
    licence: str
    homepage: str
    tfds_version: str
    originals: tuple[OriginalFile, ...]
    num_examples: dict[Split, int]
    image_shape: tuple[int, ...]  # Without a channel axis for grey images.
    class_names: tuple[str, ...]
    twin: EmbeddedTwin

    @property
    def loose_filename(self) -> str:
        """The name of a file in Keras's layout that may stand for the originals."""
        return f"{self.name}.npz"

    @property
    def num_classes(self) -> int:
        """Labels run from 0 to `num_classes` - 1."""
        return len(self.class_names)

    @property
    def download_bytes(self) -> int:
        """Size of the original files together."""
        return sum(original.num_bytes for original in self.originals)

    @property
    def prepared_bytes(self) -> int:
        """Size of the arrays in the cache: uint8 images and int64 labels."""
        values = 1
        for length in self.image_shape:
            values *= length
        return sum(self.num_examples.values()) * (values + 8)


@dataclass(frozen=True)
class DatasetInfo:
    """What was loaded, for people and for `result.json`; it names no folder."""

    name: str
    split: str
    source: str  # "embedded", "tfds", "folder" or "npz".
    origin: str
    num_examples: int
    image_shape: tuple[int, ...]
    dtype: str  # Of the images.
    num_classes: int
    class_names: tuple[str, ...]
    licence: str
    verified: bool  # By checksums; what is embedded came with the package.
    note: str = ""


@dataclass(frozen=True)
class DatasetStatus:
    """What is there of a set, found without reading the data themselves."""

    name: str
    # prepared: the cache has it. originals, npz, csv, archive: the folder has it.
    # absent: neither.
    # damaged: something is there that can't be used, `detail` says what to do.
    state: Literal[
        "prepared", "originals", "npz", "csv", "archive", "absent", "damaged"
    ]
    detail: str
    location: Path | None = None
    num_bytes: int = 0  # On disk at `location`.


@dataclass(frozen=True)
class VerifiedFile:
    """A file that was read from end to end and found whole."""

    path: Path
    num_bytes: int
    sha256: str
    registered: bool  # Whether the checksum was compared with a registered one.
