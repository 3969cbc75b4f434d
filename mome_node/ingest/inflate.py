"""Deflated data sets (PS3.5 A.5), read without trusting what they say of their size."""

from __future__ import annotations

import io
import zlib
from typing import BinaryIO, Final

from mome_node.errors import HeaderError

_CHUNK: Final = 1 << 16


class InflatingReader(io.RawIOBase):
    """Inflates a raw deflate stream while it is read, at most 64 KiB at a time.

    HeaderError from ``read`` when the stream is corrupt, cut off, or inflates to more than
    ``max_bytes``.
    """

    def __init__(self, deflated: BinaryIO, max_bytes: int) -> None:
        super().__init__()
        self._deflated = deflated
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._left = max_bytes

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # narrower than Buffer
        """Fill ``buffer`` with inflated bytes; how many, 0 at the end."""
        while not self._inflater.eof:
            pending = self._inflater.unconsumed_tail or self._deflated.read(_CHUNK)
            try:
                data = self._inflater.decompress(pending, min(len(buffer), _CHUNK))
            except zlib.error as error:
                raise HeaderError("the deflated data set is corrupt") from error
            if data:
                self._left -= len(data)
                if self._left < 0:
                    raise HeaderError("the deflated data set inflates to more than allowed")
                buffer[: len(data)] = data
                return len(data)
            if not pending and not self._inflater.eof:
                raise HeaderError("the deflated data set is cut off")
        return 0

    def drain(self) -> None:
        """Read to the end, so that the rest is checked too."""
        buffer = memoryview(bytearray(_CHUNK))
        while self.readinto(buffer):
            pass
