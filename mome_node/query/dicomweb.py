"""A DICOMweb service (PS3.18) that is asked: bounded in rate, time and size, never redirected."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import BinaryIO, Final

import requests

from mome_node.errors import (
    AnswerTooLargeError,
    ArchiveUnavailableError,
    HttpError,
    HttpFault,
    MalformedAnswerError,
    QueryError,
    QueryRefusedError,
)
from mome_node.http_client import Service, chunks_of, failures_told, link_fault, open_session
from mome_node.query.rate import RateLimiter
from mome_node.query.records import QueryLimits

Parameters = Mapping[str, str | Sequence[str]]
"""The parameters of a search; one with several values is given several times."""

_JSON: Final = "application/dicom+json"
_ERRORS: Final = {
    HttpFault.AWAY: ArchiveUnavailableError,
    HttpFault.REFUSED: QueryRefusedError,
    HttpFault.TOO_LARGE: AnswerTooLargeError,
    HttpFault.MALFORMED: MalformedAnswerError,
}


@dataclass(frozen=True, slots=True)
class Page:
    """The body of one answer, and whether it says that there is more (PS3.18 8.3.4.4)."""

    body: bytes
    is_partial: bool


class NothingThereError(QueryRefusedError):
    """The service answers 404 or 410: no such resource."""


class DicomWeb:
    """One DICOMweb service. Its methods raise QueryError."""

    def __init__(
        self,
        service: Service,
        limiter: RateLimiter,
        limits: QueryLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._service = service
        self._limiter = limiter
        self.limits = limits or QueryLimits()
        self._clock = clock
        self._session = open_session(service)

    def search(self, path: str, parameters: Parameters) -> Page:
        """One page of a search (QIDO-RS, PS3.18 10.6)."""
        with self._get(path, parameters, _JSON) as response:
            body = b"".join(self._chunks(response, self.limits.max_bytes))
            return Page(body, "Warning" in response.headers)

    def download(self, path: str, accept: str, into: BinaryIO, max_bytes: int) -> str:
        """Write a resource's body to ``into``; return its Content-Type."""
        with self._get(path, {}, accept) as response:
            for chunk in self._chunks(response, max_bytes):
                into.write(chunk)
            return response.headers.get("Content-Type", "")

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    @contextmanager
    def _get(self, path: str, parameters: Parameters, accept: str) -> Iterator[requests.Response]:
        self._limiter.wait()
        try:
            with (
                failures_told(),
                self._session.get(
                    self._service.at(path),
                    params=dict(parameters),
                    headers={"Accept": accept},
                    timeout=self._service.timeouts,
                    stream=True,
                    allow_redirects=False,
                ) as response,
            ):
                if (error := _refusal(response.status_code)) is not None:
                    raise error
                yield response
        except HttpError as error:
            raise _ERRORS[error.fault](str(error)) from None

    def _chunks(self, response: requests.Response, max_bytes: int) -> Iterator[bytes]:
        return chunks_of(response, max_bytes, self.limits.total_s, self._clock)


def _refusal(status: int) -> QueryError | None:
    """What a status means; None: an answer comes."""
    if status in (HTTPStatus.OK, HTTPStatus.NO_CONTENT, HTTPStatus.PARTIAL_CONTENT):
        return None
    if (fault := link_fault(status)) is not None:
        return _ERRORS[fault.fault](str(fault))
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return AnswerTooLargeError(f"HTTP {status}: the archive finds too much")
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
        return NothingThereError(f"HTTP {status}: there is no DICOMweb service at this url")
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        is_unclear = status == HTTPStatus.BAD_REQUEST
        words = "it does not understand the question" if is_unclear else "it refuses the question"
        return QueryRefusedError(f"HTTP {status}: {words}")
    return ArchiveUnavailableError(f"HTTP {status}: it failed")
