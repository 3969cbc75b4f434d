"""The receipt of one Store request: content coding, then framing, then its instances."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from http import HTTPStatus

from mome_node.ingest.content_coding import BodyDecoder
from mome_node.ingest.http_refusal import RequestRefusal
from mome_node.ingest.media_types import Payload
from mome_node.ingest.multipart_parts import MultipartReader
from mome_node.ingest.part_receipt import PartReceipt, Sender, StoredPart
from mome_node.ingest.receipt import Reception


@dataclass(frozen=True, slots=True)
class StowLimits:
    """What one request may ask of us. The bytes count before and after inflating."""

    max_request_bytes: int = 4 << 30
    max_parts: int = 10_000


@dataclass(frozen=True, slots=True)
class Announcement:
    """What a request says of itself before its body comes."""

    payload: Payload
    coding: str  # Content-Encoding
    of_study: str  # from the URL, empty where it names none


@dataclass(frozen=True, slots=True)
class Received:
    """What a request came to: its parts, and why it was not read to its end, if so."""

    parts: tuple[StoredPart, ...]
    cut_by: RequestRefusal | None = None


class StoreRequest:
    """Takes a body piece by piece. One thread at a time; ``discard`` may come from another."""

    def __init__(
        self, announced: Announcement, reception: Reception, sender: Sender, limits: StowLimits
    ) -> None:
        self._decoder = BodyDecoder(announced.coding, limits.max_request_bytes)
        self._parts = PartReceipt(reception, sender, announced.of_study, limits.max_parts)
        self._bytes_left = limits.max_request_bytes
        self._cut_by: RequestRefusal | None = None
        self._turn = threading.Lock()
        boundary = announced.payload.boundary
        self._multipart = MultipartReader(boundary, self._parts) if boundary else None
        if self._multipart is None:
            self._parts.begin({})

    def feed(self, data: bytes) -> bool:
        """Take bytes of the body; tell whether more of it is wanted."""
        with self._turn:
            if self._cut_by is None:
                try:
                    self._feed(data)
                except RequestRefusal as refusal:
                    self._cut(refusal)
            return self._cut_by is None

    def end(self) -> Received:
        """Take the end of the body."""
        with self._turn:
            if self._cut_by is None:
                try:
                    self._finish()
                except RequestRefusal as refusal:
                    self._cut(refusal)
            return Received(tuple(self._parts.stored), self._cut_by)

    def discard(self) -> Received:
        """Forget what is on its way: the body will not come to its end. Harmless after ``end``."""
        with self._turn:
            if self._cut_by is None:
                self._cut(RequestRefusal(HTTPStatus.BAD_REQUEST, "the request is cut off"))
            return Received(tuple(self._parts.stored), self._cut_by)

    def _feed(self, data: bytes) -> None:
        self._bytes_left -= len(data)
        if self._bytes_left < 0:
            raise RequestRefusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the request is too large")
        for piece in self._decoder.feed(data):
            if self._multipart is not None:
                self._multipart.feed(piece)
            else:
                self._parts.write(piece)

    def _finish(self) -> None:
        self._decoder.finish()
        if self._multipart is not None:
            self._multipart.finish()
        else:
            self._parts.end()

    def _cut(self, refusal: RequestRefusal) -> None:
        self._parts.discard()
        self._cut_by = refusal
