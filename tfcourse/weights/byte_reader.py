"""Bytes from anywhere, taken from the front."""

from __future__ import annotations


class ByteReader:
    """Takes bytes from the front, and never more than there are.

    Every method raises ValueError where the content can't be right.
    """

    def __init__(self, content: bytes):
        self.content = content
        self._at = 0

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes."""
        if count > len(self.content) - self._at:
            raise ValueError(
                f"the file ends {count - len(self.content) + self._at} bytes too early"
            )
        self._at += count
        return self.content[self._at - count : self._at]

    def byte(self) -> int:
        """Return the next byte."""
        return self.take(1)[0]

    def number(self, most: int, what: str) -> int:
        """Return the next whole number, at most `most`."""
        value = 0
        for shift in range(0, 35, 7):
            byte = self.byte()
            value |= (byte & 127) << shift
            if byte < 128:
                break
        else:
            raise ValueError(f"the {what} never ends")
        if value > most:
            raise ValueError(f"the {what} is {value:,}; at most {most:,} can be right")
        return value

    def check_end(self) -> None:
        """Check that nothing is left."""
        if self._at != len(self.content):
            raise ValueError(
                f"{len(self.content) - self._at} bytes too many at the end"
            )


def write_number(value: int) -> bytes:
    """Return a whole number, 7 bits at a time, lowest first."""
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes(parts + bytes([value]))
