"""Archives on free loopback ports, by DIMSE and by HTTP, whose answers a test chooses."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind, Verification

from mome_node.delivery.association import Timeouts, association
from mome_node.delivery.destination import Destination
from mome_node.http_client import Service
from mome_node.query.cfind import CFindQuery
from mome_node.query.dicomweb import DicomWeb
from mome_node.query.rate import RateLimiter
from mome_node.query.records import QueryLimits

UNLIMITED = 1e6
SHORT = Timeouts(connect_s=2.0, associate_s=2.0, answer_s=1.0)


@dataclass
class Answer:
    """One HTTP answer."""

    body: bytes | Any = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    then: Callable[[], object] | None = None  # before the connection goes on


@dataclass
class WebArchive:
    """A DICOMweb service: ``answer`` gets the path and the query's parameters."""

    answer: Callable[[str, dict[str, list[str]]], Answer]
    port: int = 0
    asked: list[tuple[str, dict[str, list[str]]]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/dicom-web"

    def web(
        self,
        limits: QueryLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
        **service: Any,
    ) -> DicomWeb:
        return DicomWeb(Service(self.url, **service), RateLimiter(UNLIMITED), limits, clock)


@contextmanager
def served(archive: WebArchive) -> Iterator[WebArchive]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            parameters = parse_qs(parts.query)
            archive.asked.append((parts.path, parameters))
            archive.headers.append(dict(self.headers))
            answer = archive.answer(parts.path, parameters)
            body = (
                answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            )
            self.send_response(answer.status)
            told = (
                {} if "Transfer-Encoding" in answer.headers else {"Content-Length": f"{len(body)}"}
            )
            for name, value in {**told, **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                self.wfile.write(body)
                if answer.then is not None:
                    answer.then()
            except OSError:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    archive.port = server.server_address[1]
    Thread(target=lambda: server.serve_forever(poll_interval=0.02), daemon=True).start()
    try:
        yield archive
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def serve() -> Iterator[Callable[..., WebArchive]]:
    with ExitStack() as stack:
        yield lambda answer: stack.enter_context(served(WebArchive(answer)))


@dataclass
class FindPeer:
    """A C-FIND SCP: ``answer`` gets the identifier and yields (status, data set or None)."""

    answer: Callable[[Dataset], Iterator[tuple[int, Dataset | None]]]
    port: int = 0
    asked: list[Dataset] = field(default_factory=list)

    def query(self, limits: QueryLimits | None = None) -> CFindQuery:
        peer = Destination("pacs", "PACS", "127.0.0.1", self.port, "MOME")
        return CFindQuery(
            lambda contexts: association(peer, contexts, SHORT), RateLimiter(UNLIMITED), limits
        )


@pytest.fixture
def find_peer() -> Iterator[Callable[..., FindPeer]]:
    servers = []

    def start(
        answer: Callable[[Dataset], Iterator[tuple[int, Dataset | None]]],
        models: Sequence[str] = (StudyRootQueryRetrieveInformationModelFind, Verification),
    ) -> FindPeer:
        peer = FindPeer(answer)

        def on_find(event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
            peer.asked.append(event.identifier)
            yield from peer.answer(event.identifier)

        entity = AE(ae_title="PACS")
        for model in models:
            entity.add_supported_context(model)
        server = entity.start_server(
            ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, on_find)]
        )
        peer.port = server.socket.getsockname()[1]
        servers.append(server)
        return peer

    yield start
    for server in servers:
        # It waits for the server's next poll, half a second; no test has to.
        Thread(target=server.shutdown).start()
