"""Event files record by record, checked, whatever their size. No TensorFlow.

A file is a row of records: length (uint64), masked CRC-32C of the length, data, masked
CRC-32C of the data, little-endian. The data are an `Event` of TensorBoard's protos.

Source: TFRecord format, www.tensorflow.org/tutorials/load_data/tfrecord; CRC-32C:
RFC 3720, appendix B.4.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError
from tensorboard.compat.proto import event_pb2

Event: TypeAlias = Any  # The protos have no type stubs.

# A record above this isn't held in memory: scalars and histograms have some kilobytes.
MAX_RECORD_BYTES = 64 * 1024 * 1024
BUFFER_BYTES = 1024 * 1024

POLYNOMIAL = 0x82F63B78  # Of CRC-32C, its bits reversed.
LANE_WORDS = 128  # Two bytes each.
MIN_LANES = 64  # Below, the plain loop is as fast.


def _two_byte_table() -> npt.NDArray[np.uint32]:
    """Return what each value of two bytes adds to the checksum: uint32 [65536]."""
    table = np.arange(1 << 16, dtype=np.uint32)
    one, polynomial = np.uint32(1), np.uint32(POLYNOMIAL)
    for _ in range(16):
        table = (table >> one) ^ (table & one) * polynomial
    return table


_TABLE = _two_byte_table()
_TABLE_LIST: list[int] = _TABLE.tolist()


def _skip_lane(states: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """Return the checksums after one lane of zero bytes."""
    for _ in range(LANE_WORDS):
        states = _TABLE[states & 0xFFFF] ^ (states >> 16)
    return states


# A checksum is linear in its state: these four give any state after a lane of zeros.
_LANE_TABLES: list[list[int]] = [
    _skip_lane(np.arange(256, dtype=np.uint32) << np.uint32(shift)).tolist()
    for shift in (0, 8, 16, 24)
]


def crc32c(data: bytes) -> int:
    """Return the CRC-32C of `data`, two bytes at a time.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    state, start = 0xFFFFFFFF, 0
    num_lanes = len(data) // (2 * LANE_WORDS)
    if num_lanes >= MIN_LANES:
        start = num_lanes * 2 * LANE_WORDS
        state = _crc_in_lanes(data[:start], num_lanes)
    even = start + (len(data) - start) // 2 * 2
    table = _TABLE_LIST
    for word in struct.unpack_from(f"<{(even - start) // 2}H", data, start):
        state = table[(state ^ word) & 0xFFFF] ^ (state >> 16)
    if even < len(data):
        # One byte is the upper half of a word behind eight bits that are shifted out.
        state = table[((state ^ data[-1]) & 0xFF) << 8] ^ (state >> 8)
    return state ^ 0xFFFFFFFF


def _crc_in_lanes(data: bytes, num_lanes: int) -> int:
    """Return the state after `data`, all its lanes computed side by side."""
    words = np.frombuffer(data, dtype="<u2").reshape(num_lanes, LANE_WORDS)
    states = np.zeros(num_lanes, dtype=np.uint32)
    for column in words.T:
        states = _TABLE[(states ^ column) & 0xFFFF] ^ (states >> 16)
    first, second, third, fourth = _LANE_TABLES
    state = 0xFFFFFFFF
    for lane in states.tolist():
        state = (
            first[state & 0xFF]
            ^ second[(state >> 8) & 0xFF]
            ^ third[(state >> 16) & 0xFF]
            ^ fourth[state >> 24]
            ^ lane
        )
    return state


def masked_crc32c(data: bytes) -> int:
    """Return the checksum as the records hold it: rotated, plus a constant."""
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


class EventFile:
    """One event file; after `events()` the attributes say how it ended.

    Attributes:
        path: The file.
        problem: What is wrong with the file, one line; empty if nothing.
        is_cut: Whether the last record is incomplete: the run goes on, or was killed.
        num_events: How many events were read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem = ""
        self.is_cut = False
        self.num_events = 0

    def events(self) -> Iterator[Event]:
        """Yield the events one by one, up to the end or the first damage."""
        try:
            # A pipe would be waited for, for ever.
            if not stat.S_ISREG(os.stat(self.path).st_mode):
                self.problem = "is not a regular file: ignored"
                return
            with open(self.path, "rb", buffering=BUFFER_BYTES) as file:
                yield from self._parsed(file)
        except OSError as error:
            self.problem = f"can't be read: {(error.strerror or 'error').lower()}"

    def _parsed(self, file: BinaryIO) -> Iterator[Event]:
        parse = event_pb2.Event.FromString
        for data in self._records(file):
            try:
                event = parse(data)
            except DecodeError:
                event = None
            if event is None or not (self.num_events or _looks_like_event(event)):
                if self.num_events:
                    where = f"after {self.num_events:,} events"
                    self.problem = f"holds something that is no event {where}"
                else:
                    self.problem = "holds no events: ignored"
                return
            self.num_events += 1
            yield event

    def _records(self, file: BinaryIO) -> Iterator[bytes]:
        """Yield each record's data once its checksum holds."""
        num_bytes = os.fstat(file.fileno()).st_size
        position = 0
        lengths: dict[bytes, bool] = {}  # Many records have the same length.
        while header := file.read(12):
            if len(header) < 12:
                self.is_cut = True
                return
            (length, length_crc) = struct.unpack("<QI", header)
            if header not in lengths:
                lengths[header] = masked_crc32c(header[:8]) == length_crc
            if not lengths[header]:
                self._damaged(position)
                return
            end = position + 12 + length + 4
            if end > num_bytes:  # It may have grown since.
                num_bytes = os.fstat(file.fileno()).st_size
            if end > num_bytes:
                self.is_cut = True
                return
            if length > MAX_RECORD_BYTES:
                self.problem = f"holds a record of {length:,} bytes: left out"
                file.seek(end)
            else:
                data = file.read(length)
                footer = file.read(4)
                if len(footer) < 4:
                    self.is_cut = True
                    return
                if struct.unpack("<I", footer)[0] != masked_crc32c(data):
                    self._damaged(position)
                    return
                yield data
            position = end

    def _damaged(self, position: int) -> None:
        if position:
            events = f"{self.num_events:,} events before it are used"
            self.problem = f"is damaged at byte {position:,}: the {events}"
        else:
            self.problem = "is no event file, or damaged from its first byte: ignored"


def _looks_like_event(event: Event) -> bool:
    """Return whether a first record is of a log: others parse as an empty event."""
    return bool(event.wall_time or event.WhichOneof("what"))
