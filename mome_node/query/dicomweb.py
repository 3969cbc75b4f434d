"""A DICOMweb service (PS3.18) over HTTP: bounded in rate, time and size, never redirected."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO

import requests
from requests.auth import AuthBase
from urllib3.exceptions import DecodeError, HTTPError
from urllib3.exceptions import TimeoutError as ReadTimeout

from mome_node.errors import (
    AnswerTooLargeError,
    ArchiveUnavailableError,
    MalformedAnswerError,
    QueryError,
    QueryRefusedError,
)
from mome_node.query.rate import RateLimiter
from mome_node.query.records import QueryLimits

Parameters = Mapping[str, str | Sequence[str]]
"""The parameters of a search; one with several values is given several times."""

_CHUNK = 64 << 10
_CONNECT_S = 10.0
_JSON = "application/dicom+json"
_WORDS = {
    HTTPStatus.UNAUTHORIZED: "it wants other credentials; see token_file",
    HTTPStatus.FORBIDDEN: "it does not authorise us; see token_file",
    HTTPStatus.NOT_FOUND: "there is no DICOMweb service at this url",
    HTTPStatus.BAD_REQUEST: "it does not understand the question",
}


@dataclass(frozen=True, slots=True)
class Service:
    """Where a DICOMweb service is: its base URL, the one that ``/studies`` is added to.

    ``timeout_s`` is how long it may say nothing; ``ca_file`` the certificates to trust instead of
    the public ones.
    """

    url: str
    token: str = field(default="", repr=False)
    timeout_s: float = 30.0
    ca_file: Path | None = None


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
        self._session = requests.Session()
        # No proxy and no .netrc from the environment: the archive is a neighbour, and the token
        # goes to nobody else.
        self._session.trust_env = False
        self._session.verify = str(service.ca_file) if service.ca_file else True
        self._session.auth = _Bearer(service.token) if service.token else None

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
        service = self._service
        try:
            with self._session.get(
                f"{service.url.rstrip('/')}/{path}",
                params=dict(parameters),
                headers={"Accept": accept},
                timeout=(min(_CONNECT_S, service.timeout_s), service.timeout_s),
                stream=True,
                allow_redirects=False,
            ) as response:
                if (error := _refusal(response.status_code)) is not None:
                    raise error
                yield response
        except (requests.RequestException, HTTPError) as error:
            raise _failure(error) from None  # its message may hold the whole request

    def _chunks(self, response: requests.Response, max_bytes: int) -> Iterator[bytes]:
        until, length = self._clock() + self.limits.total_s, 0
        # Each read returns what has come: an archive that trickles is noticed.
        while chunk := response.raw.read1(_CHUNK, decode_content=True):
            length += len(chunk)
            if length > max_bytes:
                raise AnswerTooLargeError(f"one answer is longer than {max_bytes} bytes")
            if self._clock() > until:
                raise ArchiveUnavailableError(
                    f"an answer takes more than {self.limits.total_s:g} s"
                )
            yield chunk


class _Bearer(AuthBase):
    """The token as RFC 6750 wants it; kept out of every representation."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _refusal(status: int) -> QueryError | None:
    """What a status means; None: an answer comes."""
    if status in (HTTPStatus.OK, HTTPStatus.NO_CONTENT, HTTPStatus.PARTIAL_CONTENT):
        return None
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return QueryRefusedError(f"HTTP {status}: it sends us elsewhere; give the final url")
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return AnswerTooLargeError(f"HTTP {status}: the archive finds too much")
    if status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS):
        return ArchiveUnavailableError(f"HTTP {status}: it is busy")
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
        return NothingThereError(f"HTTP {status}: {_WORDS[HTTPStatus.NOT_FOUND]}")
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        words = next((w for s, w in _WORDS.items() if s == status), "it refuses the question")
        return QueryRefusedError(f"HTTP {status}: {words}")
    return ArchiveUnavailableError(f"HTTP {status}: it failed")


def _failure(error: requests.RequestException | HTTPError) -> QueryError:
    match error:
        case requests.exceptions.SSLError():
            return QueryRefusedError("its certificate is not trusted; see ca_file")
        case requests.Timeout() | ReadTimeout():
            return ArchiveUnavailableError("no answer in time")
        case DecodeError() | requests.exceptions.InvalidHeader():
            return MalformedAnswerError("the answer is not encoded as HTTP says")
        case requests.ConnectionError() | HTTPError():
            return ArchiveUnavailableError("no connection, or it was lost; is the archive running?")
    return QueryRefusedError("it cannot be asked over HTTP at this url")
