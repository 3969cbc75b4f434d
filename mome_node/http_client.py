"""HTTP to a DICOMweb service (PS3.18): bounded in time and size, never redirected, no detours.

What goes wrong is an HttpError that says whether to ask again; who asked tells it in errors of
their own. The service's own words are in none of them: they may quote the patient.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Final

import requests
from requests.auth import AuthBase
from urllib3.exceptions import DecodeError, HTTPError, NewConnectionError
from urllib3.exceptions import TimeoutError as ReadTimeout

from mome_node.errors import HttpError, HttpFault

_CHUNK: Final = 64 << 10
_CONNECT_S: Final = 10.0
_BUSY: Final = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
)


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

    def at(self, path: str) -> str:
        """The URL of a resource below the service."""
        return f"{self.url.rstrip('/')}/{path}"

    @property
    def timeouts(self) -> tuple[float, float]:
        """How long to wait for a connection, and for each piece of an answer; seconds."""
        return min(_CONNECT_S, self.timeout_s), self.timeout_s


def open_session(service: Service) -> requests.Session:
    """A session that shows the service's token, to the service alone."""
    session = requests.Session()
    # No proxy and no .netrc from the environment: the service is a neighbour, and the token goes
    # to nobody else.
    session.trust_env = False
    session.verify = str(service.ca_file) if service.ca_file else True
    session.auth = _Bearer(service.token) if service.token else None
    return session


@contextmanager
def failures_told() -> Iterator[None]:
    """Raise HttpError for what the libraries raise; their messages may hold the whole request."""
    try:
        yield
    except (requests.RequestException, HTTPError) as error:
        raise _failure(error) from None


def chunks_of(
    response: requests.Response,
    max_bytes: int,
    total_s: float,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[bytes]:
    """The body of a streamed answer; HttpError where it is longer or takes longer than that."""
    until, length = clock() + total_s, 0
    # Each read returns what has come: a service that trickles is noticed.
    while chunk := response.raw.read1(_CHUNK, decode_content=True):
        length += len(chunk)
        if length > max_bytes:
            raise HttpError(HttpFault.TOO_LARGE, f"one answer is longer than {max_bytes} bytes")
        if clock() > until:
            raise HttpError(HttpFault.AWAY, f"an answer takes more than {total_s:g} s")
        yield chunk


def link_fault(status: int) -> HttpError | None:
    """What a status says of the service, whatever was asked of it; None where it says nothing."""
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return _refused(status, "it sends us elsewhere; give the final url")
    if status in _BUSY:
        return HttpError(HttpFault.AWAY, f"HTTP {status}: it is busy")
    if status == HTTPStatus.UNAUTHORIZED:
        return _refused(status, "it wants other credentials; see token_file")
    if status == HTTPStatus.FORBIDDEN:
        return _refused(status, "it does not authorise us; see token_file")
    return None


def _refused(status: int, words: str) -> HttpError:
    return HttpError(HttpFault.REFUSED, f"HTTP {status}: {words}")


class _Bearer(AuthBase):
    """The token as RFC 6750 wants it; kept out of every representation."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _failure(error: requests.RequestException | HTTPError) -> HttpError:
    match error:
        case requests.exceptions.SSLError():
            return HttpError(HttpFault.REFUSED, "its certificate is not trusted; see ca_file")
        case requests.ConnectTimeout():
            return HttpError(HttpFault.AWAY, "no connection in time")
        case requests.Timeout() | ReadTimeout():
            return HttpError(HttpFault.AWAY, "no answer in time", reached=True)
        case DecodeError() | requests.exceptions.InvalidHeader():
            return HttpError(HttpFault.MALFORMED, "the answer is not encoded as HTTP says")
        case requests.ConnectionError() | HTTPError():
            words = "no connection, or it was lost; is the archive running?"
            return HttpError(HttpFault.AWAY, words, reached=not _never_connected(error))
    return HttpError(HttpFault.REFUSED, "it cannot be asked over HTTP at this url")


def _never_connected(error: Exception) -> bool:
    """Whether no connection was made; the libraries tell by the cause of a cause."""
    told = error.args[0] if error.args else None
    return isinstance(getattr(told, "reason", told), NewConnectionError)
