"""The parts of a multipart body (RFC 2046 5.1), taken apart while it arrives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from mome_node.ingest.http_refusal import RequestRefusal


class PartReceiver(Protocol):
    """Takes the parts of a body, one after another."""

    def begin(self, headers: Mapping[str, str]) -> None:
        """Take a part's header fields, their names in lower case."""

    def write(self, data: bytes) -> None:
        """Take bytes of the part."""

    def end(self) -> None:
        """Take the end of the part."""


@dataclass(frozen=True, slots=True)
class FramingLimits:
    """What the framing of a body may ask of us, in fields and bytes."""

    max_header_fields: int = 16
    max_header_field_bytes: int = 4096
    max_preamble_bytes: int = 1 << 16


class MultipartReader:
    """Finds the parts of a body between its boundaries; RequestRefusal 400 where it cannot."""

    def __init__(
        self, boundary: str, receiver: PartReceiver, limits: FramingLimits | None = None
    ) -> None:
        limits = limits or FramingLimits()
        self._receiver = receiver
        self._preamble = _Preamble(boundary.encode("ascii"), limits.max_preamble_bytes)
        self._headers: dict[str, str] = {}
        self._name = bytearray()
        self._value = bytearray()
        self._has_ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_part_begin,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_part_data,
                "on_part_end": receiver.end,
                "on_end": self._on_end,
            },
            max_header_count=limits.max_header_fields,
            max_header_size=limits.max_header_field_bytes,
        )

    def feed(self, data: bytes) -> None:
        """Take bytes of the body."""
        try:
            self._parser.write(self._preamble.skip(data))
        except FormParserError as error:
            raise _malformed("its framing is broken (RFC 2046 5.1)") from error

    def finish(self) -> None:
        """Take the end of the body."""
        if not self._has_ended:
            raise _malformed("its closing boundary is missing: it may be cut off")

    def _on_part_begin(self) -> None:
        self._headers = {}

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        name = self._name.decode("latin-1").lower()
        self._headers[name] = self._value.decode("latin-1").strip()
        self._name.clear()
        self._value.clear()

    def _on_headers_finished(self) -> None:
        self._receiver.begin(self._headers)

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._receiver.write(data[start:end])

    def _on_end(self) -> None:
        self._has_ended = True


class _Preamble:
    """Leaves out what stands before the first boundary (RFC 2046 5.1.1)."""

    _LINE_END: Final = b"\r\n"

    def __init__(self, boundary: bytes, max_bytes: int) -> None:
        self._delimiter = self._LINE_END + b"--" + boundary
        self._max_bytes = max_bytes
        self._held = self._LINE_END  # the body's beginning is a line's, too
        self._is_over = False

    def skip(self, data: bytes) -> bytes:
        """Return what of ``data`` the first boundary begins, or follows it."""
        if self._is_over:
            return data
        held = self._held + data
        at = held.find(self._delimiter)
        if at >= 0:
            self._is_over = True
            self._held = b""
            return held[at + len(self._LINE_END) :]
        self._max_bytes -= len(data)
        if self._max_bytes < 0:
            raise _malformed("the boundary that Content-Type names does not come")
        self._held = held[-len(self._delimiter) :]
        return b""


def _malformed(why: str) -> RequestRefusal:
    return RequestRefusal(HTTPStatus.BAD_REQUEST, f"the multipart body cannot be read: {why}")
