"""The sets of recordings of the catalogue: speech and noises, archives and twins.

An archive is read where it lies: nothing is prepared. Those that are registered are parts
of public sets, packed as they were; the whole sets lie at their homepages.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tfcourse.data.records import EmbeddedTwin, OriginalFile
from tfcourse.errors import UserError

# What a label is: "stationary" noises go on unchanged, "impulsive" ones come in events,
# "harmonic" ones have a pitch, as speech has.
Kind = str

_WORDS = ("down", "go", "left", "no", "off", "on", "right", "stop", "up", "yes")
_DIGITS = tuple("zero one two three four five six seven eight nine".split())


@dataclass(frozen=True)
class Part:
    """A part of a set, and how its clips' names are read."""

    name: str  # "speech" or "noise".
    num_clips: int
    class_names: tuple[str, ...]
    kinds: tuple[Kind, ...]  # One a class; "speech" for words.
    # Of folder/file in the archive: groups label, and where there are speaker, fold and
    # origin, the recording that a clip was cut from.
    pattern: re.Pattern[str]
    twin: EmbeddedTwin


@dataclass(frozen=True)
class RecordingsSpec:
    """One set of recordings: the real one, and its embedded twin."""

    name: str  # Also the name of the subfolder, and of an archive from elsewhere.
    title: str
    licence: str
    homepage: str
    originals: tuple[OriginalFile, ...]
    sample_rate: int  # Hz.
    max_seconds: float  # Of a clip.
    parts: tuple[Part, ...]

    @property
    def loose_filename(self) -> str:
        """The name that an archive from elsewhere must have."""
        return f"{self.name}.tar.gz"

    @property
    def num_examples(self) -> dict[str, int]:
        """A set comes in one piece: whoever uses it splits it, by speaker or recording."""
        return {"train": sum(part.num_clips for part in self.parts), "test": 0}

    @property
    def download_bytes(self) -> int:
        """Size of the archive."""
        return sum(original.num_bytes for original in self.originals)

    @property
    def prepared_bytes(self) -> int:
        """Size in the cache: that of the archive, which stays as it is."""
        return self.download_bytes

    @property
    def twin(self) -> EmbeddedTwin:
        """The twin of the first part."""
        return self.parts[0].twin

    def part(self, name: str | None) -> Part:
        """Return the part of this name; None: the first.

        Raises:
            UserError: If there is none.
        """
        for part in self.parts:
            if name in (None, part.name):
                return part
        names = ", ".join(part.name for part in self.parts)
        raise UserError(f"{self.name} has no part {name!r}; it has {names}")


def _twin(
    num_clips: int, class_names: tuple[str, ...], what: str, note: str
) -> EmbeddedTwin:
    return EmbeddedTwin(
        num_examples={"train": num_clips, "test": 0},
        class_names=class_names,
        origin=f"tfcourse's seeded {what}",
        licence="Apache-2.0",
        note=note,
    )


def noise_kinds(class_names: tuple[str, ...]) -> tuple[Kind, ...]:
    """Return the kinds of the embedded noises."""
    return ("stationary",) * 5 + ("impulsive",) * (len(class_names) - 5)


# Of noise_synthesis, which needs numpy; a test holds the two together.
SYNTHETIC_NOISES = (
    *("wind", "rumble", "hiss", "band", "hum"),
    *("clicks", "crackle", "knocks", "drops", "bursts"),
)

_FSDD = RecordingsSpec(
    name="fsdd",
    title="Free Spoken Digits, five speakers with 500 clips each, 8 kHz",
    licence="CC BY-SA 4.0",
    homepage="https://github.com/Jakobovski/free-spoken-digit-dataset",
    originals=(
        OriginalFile(
            "fsdd_recordings_5_speakers.tar.xz",
            11_814_576,
            "9414a01134bb1a14a862c31f187d55846e7157de8ad299429e00a4e52a3c2cee",
        ),
    ),
    sample_rate=8_000,
    max_seconds=10.0,
    parts=(
        Part(
            "speech",
            2_500,
            tuple("0123456789"),
            ("speech",) * 10,
            re.compile(r"recordings/(?P<label>\d)_(?P<speaker>[^_/]+)_\d+\.wav"),
            _twin(
                500,
                _DIGITS,
                "source-filter synthesis of spoken digits",
                "not Free Spoken Digits: 500 synthetic clips of five voices, 8 kHz",
            ),
        ),
    ),
)

_SPEECH_COMMANDS = RecordingsSpec(
    name="speech_commands",
    title="Speech Commands, 60 speakers with 10 words each, 16 kHz; background noises",
    licence="CC BY 4.0",
    homepage="http://download.tensorflow.org/data/speech_commands_test_set_v0.02.tar.gz",
    originals=(
        OriginalFile(
            "speech_commands_test_v0.02_60_speakers_x10.tar.xz",
            11_867_756,
            "0747cc64f29e592e851f1b4cfccb43c4561d2de71655b19c91cd4565cdf3065b",
        ),
    ),
    sample_rate=16_000,
    max_seconds=10.0,
    parts=(
        Part(
            "speech",
            600,
            _WORDS,
            ("speech",) * 10,
            re.compile(
                r"(?P<label>[a-z]+)/(?P<speaker>[0-9a-f]{8})_nohash_\d+\.wav",
            ),
            _twin(
                600,
                _WORDS,
                "source-filter synthesis of words",
                "not Speech Commands: 600 synthetic clips, each of 60 voices says each "
                "of ten words once",
            ),
        ),
        Part(
            "noise",
            40,
            ("_silence_",),
            ("stationary",),
            re.compile(r"(?P<label>_silence_)/(?P<origin>\d+)\.wav"),
            _twin(
                40,
                SYNTHETIC_NOISES,
                "synthesis of noises",
                "not the background noises of Speech Commands: 40 synthetic clips",
            ),
        ),
    ),
)

_ESC10_CLASSES = {
    "Dog bark": "impulsive",
    "Rain": "stationary",
    "Sea waves": "stationary",
    "Baby cry": "harmonic",
    "Clock tick": "impulsive",
    "Person sneeze": "impulsive",
    "Helicopter": "stationary",
    "Chainsaw": "stationary",
    "Rooster": "harmonic",
    "Fire crackling": "impulsive",
}

_ESC10 = RecordingsSpec(
    name="esc10",
    title="ESC-10, environmental sounds, 8 clips of 5 s for each of 10 classes, 44.1 kHz",
    licence="CC BY 3.0",
    homepage="https://github.com/karoldvl/ESC-10",
    originals=(
        OriginalFile(
            "esc10_8_per_class.tar.xz",
            7_779_908,
            "c2029b1c9abf88d25f500be1beeee4c52bbb0a751f56e21114d24eebb3ed1bed",
        ),
    ),
    sample_rate=44_100,
    max_seconds=10.0,
    parts=(
        Part(
            "noise",
            80,
            tuple(_ESC10_CLASSES),
            tuple(_ESC10_CLASSES.values()),
            re.compile(
                r"\d+ - (?P<label>[^/]+)/"
                r"(?P<fold>\d+)-(?P<origin>\d+)-[A-Z]\.(?:ogg|wav)"
            ),
            _twin(
                80,
                SYNTHETIC_NOISES,
                "synthesis of noises",
                "not ESC-10: 80 synthetic recordings of 5 s, half of them stationary, "
                "half impulsive, 16 kHz",
            ),
        ),
    ),
)

_SPECS = {spec.name: spec for spec in (_FSDD, _SPEECH_COMMANDS, _ESC10)}


def recordings_catalogue() -> tuple[RecordingsSpec, ...]:
    """Return the sets that `load_recordings` knows."""
    return tuple(_SPECS.values())


def is_recordings(name: object) -> bool:
    """Tell whether the catalogue has a set of recordings of this name."""
    return isinstance(name, str) and name in _SPECS


def find_recordings_spec(name: str) -> RecordingsSpec:
    """Return the set with this name.

    Raises:
        UserError: If the catalogue has none.
    """
    if is_recordings(name):
        return _SPECS[name]
    names = ", ".join(_SPECS)
    raise UserError(f"there is no set of recordings {name!r}; there are {names}")
