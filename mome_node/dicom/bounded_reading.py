"""Streams for a parser that believes what a file declares: they end before it harms us."""

from __future__ import annotations

from typing import BinaryIO

MAX_READS = 200_000
"""Reads that pydicom may make at one go, some four an element: two seconds of work at most.

The functional groups count frame by frame."""

MAX_HEADER_BYTES = 1 << 28
"""Bytes that one file's header may have, pixel data not counted."""


class BoundedReader:
    """What pydicom may read of a stream before we call it hostile."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.name = "<instance>"  # pydicom writes it into its warnings
        self._reads = MAX_READS
        self._bytes = MAX_HEADER_BYTES
        self.seek = stream.seek
        self.tell = stream.tell

    def renew(self) -> None:
        """Allow another MAX_READS reads; the bytes stay limited as they were."""
        self._reads = MAX_READS

    def read(self, size: int = -1) -> bytes:
        """Read ``size`` bytes, fewer at the end of the stream."""
        data = self.stream.read(min(size, self._bytes + 1) if size >= 0 else self._bytes + 1)
        self._reads -= 1
        self._bytes -= len(data)
        if self._reads < 0 or self._bytes < 0:
            raise TooMuchReadError("the header has more elements or bytes than any honest one")
        return data


class CappedReader:
    """A stream that never asks for more than is left: a declared length allocates nothing."""

    def __init__(self, stream: BinaryIO, end: int) -> None:
        self._stream = stream
        self._end = end
        self.seek = stream.seek
        self.tell = stream.tell

    def read(self, size: int = -1) -> bytes:
        """Read ``size`` bytes, fewer at the end of the stream."""
        left = max(self._end - self._stream.tell(), 0)
        return self._stream.read(left if size < 0 else min(size, left))


class TooMuchReadError(Exception):
    """A limit of the reader is reached. No ValueError or OSError: pydicom swallows those."""
