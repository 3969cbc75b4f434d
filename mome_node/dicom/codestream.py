"""What a compressed frame says of its own size, read before any decoder trusts it.

A decoder allocates what the codestream asks for, whatever Rows and Columns say: a few hostile
bytes may ask for gigabytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
"""JPEG frame headers SOF0 to SOF15 (ISO 10918-1 B.2.2) and JPEG-LS SOF55 (ISO 14495-1 C.2.2)."""

_NO_LENGTH = frozenset({0x01, 0xD8, *range(0xD0, 0xD8)})
"""JPEG markers without a segment: TEM, SOI, RST."""


@dataclass(frozen=True, slots=True)
class CodestreamSize:
    """Size in pixels and number of components of one encoded image."""

    rows: int
    columns: int
    components: int


def codestream_size(frame: bytes) -> CodestreamSize | None:
    """Read the size that a JPEG, JPEG-LS, JPEG 2000 or HTJ2K frame declares, None if none."""
    start = frame.find(b"\xff\x4f\xff\x51", 0, 4_096)
    if start >= 0:
        return _jpeg2000_size(frame, start)
    return _jpeg_size(frame) if frame[:2] == b"\xff\xd8" else None


def _jpeg2000_size(frame: bytes, start: int) -> CodestreamSize | None:
    """SIZ marker segment, ISO 15444-1 A.5.1."""
    head = frame[start + 8 : start + 42]
    if len(head) < 34:
        return None
    width, height, left, top = struct.unpack(">4L", head[:16])
    return CodestreamSize(height - top, width - left, struct.unpack(">H", head[32:34])[0])


def _jpeg_size(frame: bytes) -> CodestreamSize | None:
    position = 2
    while position + 10 <= len(frame):
        if frame[position] != 0xFF:
            return None
        marker = frame[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
        elif marker in _START_OF_FRAME:
            rows, columns, components = struct.unpack(">HHB", frame[position + 5 : position + 10])
            return CodestreamSize(rows, columns, components)
        elif marker in _NO_LENGTH:
            position += 2
        else:
            position += 2 + struct.unpack(">H", frame[position + 2 : position + 4])[0]
    return None
