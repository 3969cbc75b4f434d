"""STOW-RS (PS3.18 10.5): one request an instance, so that each answer is about one instance.

The body is read from the file while it is sent, and its length is told beforehand: not every
server takes a request in chunks. All requests of a round go over one connection.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import BinaryIO, Final

import requests

from mome_node.delivery.destination import Outgoing, Receipt
from mome_node.delivery.instance_file import read_syntax, unreadable
from mome_node.delivery.stow_answer import StoreAnswer, outcome, parse_store_answer
from mome_node.errors import (
    DeliveryError,
    HttpError,
    HttpFault,
    InterruptedDeliveryError,
    PermanentDeliveryError,
    StorageError,
    TransientDeliveryError,
)
from mome_node.http_client import Service, chunks_of, failures_told, link_fault, open_session

MAX_ANSWER_BYTES: Final = 1 << 20
ANSWER_TOTAL_S: Final = 300.0

_CHUNK: Final = 64 << 10
_ACCEPT: Final = "application/dicom+json, application/dicom+xml;q=0.5"
_AWAY: Final = frozenset(
    {
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
        HTTPStatus.INSUFFICIENT_STORAGE,
    }
)
_NO_SERVICE: Final = frozenset(
    {
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.GONE,
        HTTPStatus.NOT_IMPLEMENTED,
    }
)


@dataclass(frozen=True, slots=True)
class StowSender:
    """Sends instances to one DICOMweb service. ``name`` is what the destination is called."""

    name: str
    service: Service
    clock: Callable[[], float] = time.monotonic

    def __str__(self) -> str:
        return f"{self.name} ({self.service.url})"

    def send(self, objects: Sequence[Outgoing]) -> Generator[Receipt, None, None]:
        """See ``Sender.send``."""
        with open_session(self.service) as session:
            for item in objects:
                yield self._store(session, item)

    def probe(self) -> str:
        """Ask the service to store nothing, and return in words that it would store.

        Raises DeliveryError where it would not, or cannot be reached.
        """
        started = self.clock()
        try:
            with open_session(self.service) as session:
                status, _ = self._post(session, StoreBody())
        except HttpError as error:
            raise self._told(error) from None
        # A request without an instance is a bad one (PS3.18 10.5.3.1), and stores nothing.
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise TransientDeliveryError(f"{self}: HTTP {status} to an empty request to store")
        return f"takes STOW-RS, answered in {1000 * (self.clock() - started):.0f} ms"

    def _store(self, session: requests.Session, item: Outgoing) -> Receipt:
        try:
            read_syntax(item)
        except PermanentDeliveryError as error:
            return Receipt(item.sop_instance_uid, None, error=error)
        try:
            file = item.open()
        except (StorageError, OSError) as error:
            return Receipt(item.sop_instance_uid, None, error=unreadable(item, error))
        try:
            with file:
                status, answer = self._post(session, StoreBody(file))
        except StorageError as error:
            return Receipt(item.sop_instance_uid, None, error=unreadable(item, error))
        except HttpError as error:
            told = self._told(error)
            if error.reached and isinstance(told, TransientDeliveryError):
                raise InterruptedDeliveryError(str(told), item.sop_instance_uid) from None
            raise told from None
        return outcome(item.sop_instance_uid, status, answer, str(self))

    def _post(self, session: requests.Session, body: StoreBody) -> tuple[int, StoreAnswer | None]:
        """The HTTP status and what the answer says; DeliveryError for what the service refuses.

        HttpError where the link fails. An answer that is too long or broken says nothing.
        """
        with (
            failures_told(),
            session.post(
                self.service.at("studies"),
                data=body,
                headers={"Content-Type": body.content_type, "Accept": _ACCEPT},
                timeout=self.service.timeouts,
                stream=True,
                allow_redirects=False,
            ) as response,
        ):
            if (fault := self.service_fault(response.status_code)) is not None:
                raise fault
            return response.status_code, self._answer(response)

    def _answer(self, response: requests.Response) -> StoreAnswer | None:
        try:
            with failures_told():
                chunks = chunks_of(response, MAX_ANSWER_BYTES, ANSWER_TOTAL_S, self.clock)
                return parse_store_answer(b"".join(chunks))
        except HttpError as error:
            if error.fault is HttpFault.AWAY:
                raise
            return None

    def service_fault(self, status: int) -> DeliveryError | None:
        """What a status says of the service, not of the instance; None if of the instance."""
        if (fault := link_fault(status)) is not None:
            return self._told(fault)
        if status in _AWAY:
            return TransientDeliveryError(f"{self}: HTTP {status}: it cannot store now")
        if status in _NO_SERVICE:
            return PermanentDeliveryError(
                f"{self}: HTTP {status}: there is no STOW-RS service at this url"
            )
        return None

    def _told(self, error: HttpError) -> DeliveryError:
        permanent = error.fault is HttpFault.REFUSED
        return (PermanentDeliveryError if permanent else TransientDeliveryError)(f"{self}: {error}")


class StoreBody:
    """A multipart/related body with one instance (PS3.18 8.6.1.2.1, RFC 2387), or with none."""

    def __init__(self, file: BinaryIO | None = None) -> None:
        boundary = secrets.token_hex(16)
        self.content_type = f'multipart/related; type="application/dicom"; boundary={boundary}'
        self._file = file
        self._head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self._size = 0
        if file is None:
            self._head = b""
        else:
            self._size = file.seek(0, os.SEEK_END)
            file.seek(0)

    def __len__(self) -> int:
        return len(self._head) + self._size + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        yield self._head
        if self._file is not None:
            yield from _exactly(self._file, self._size)
        yield self._tail


def _exactly(file: BinaryIO, size: int) -> Iterator[bytes]:
    """The bytes of a file that was so long before; StorageError, which no library catches."""
    left = size
    while left:
        try:
            chunk = file.read(min(_CHUNK, left))
        except OSError as error:
            raise StorageError("the file cannot be read") from error
        if not chunk:
            raise StorageError("the file has become shorter")
        left -= len(chunk)
        yield chunk
