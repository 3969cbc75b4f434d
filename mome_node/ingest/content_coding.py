"""The content codings of a request's body, undone while it arrives (RFC 9110 8.4.1)."""

from __future__ import annotations

import zlib
from collections.abc import Generator, Iterator
from http import HTTPStatus
from typing import Final

from mome_node.ingest.http_refusal import RequestRefusal

_PIECE: Final = 1 << 16
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS
_CODINGS: Final = {"gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate", "identity": "", "": ""}


class BodyDecoder:
    """Passes a body's bytes on, inflated at most 64 KiB at a time, and counts them.

    ``coding``: the value of Content-Encoding. RequestRefusal 415 for a coding that is not known,
    413 for more than ``max_bytes``, 400 for a body that is corrupt or cut off.
    """

    def __init__(self, coding: str, max_bytes: int) -> None:
        known = _CODINGS.get(coding.strip().lower())
        if known is None:
            told = "this Content-Encoding is not known: gzip and deflate are"
            raise RequestRefusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, told)
        self._coding = known
        self._max_bytes = max_bytes
        self._count = 0
        self._held = b""
        self._inflater: zlib._Decompress | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take bytes of the body; yield what they are."""
        if not self._coding:
            yield self._counted(data)
            return
        data, self._held = self._held + data, b""
        while data:
            if self._inflater is None:
                if len(data) < 2 and self._coding == "deflate":
                    self._held = data
                    return
                self._inflater = zlib.decompressobj(_window(self._coding, data))
            data = yield from self._inflate(self._inflater, data)

    def finish(self) -> None:
        """Take the end of the body."""
        if self._inflater is not None or self._held:
            raise RequestRefusal(HTTPStatus.BAD_REQUEST, "the compressed body is cut off")

    def _inflate(self, inflater: zlib._Decompress, data: bytes) -> Generator[bytes, None, bytes]:
        """Inflate up to the end of ``data`` or of the stream; what follows that is returned."""
        while not inflater.eof:
            try:
                piece = inflater.decompress(data, _PIECE)
            except zlib.error as error:
                told = "the compressed body is corrupt"
                raise RequestRefusal(HTTPStatus.BAD_REQUEST, told) from error
            if piece:
                yield self._counted(piece)
            data = inflater.unconsumed_tail
            if not data and len(piece) < _PIECE and not inflater.eof:
                return b""
        self._inflater = None  # another stream may follow (RFC 1952 2.2)
        return inflater.unused_data

    def _counted(self, data: bytes) -> bytes:
        self._count += len(data)
        if self._count > self._max_bytes:
            told = f"the request is larger than {self._max_bytes} bytes"
            raise RequestRefusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, told)
        return data


def _window(coding: str, data: bytes) -> int:
    """Tell zlib what to expect: "deflate" is a zlib stream, but some send it without its header."""
    if coding == "gzip":
        return _GZIP_WINDOW
    is_zlib = data[0] & 0x0F == 8 and int.from_bytes(data[:2]) % 31 == 0
    return zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS
