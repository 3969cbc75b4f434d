"""A DICOMweb server on a free loopback port that stores what it is sent and answers as told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from mome_node.delivery.stow import StowSender
from mome_node.http_client import Service


@dataclass
class Answer:
    """One HTTP answer. ``then`` runs before the connection goes on."""

    body: bytes | Any = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    then: Callable[[], object] | None = None


@dataclass(frozen=True)
class StoreRequest:
    """What came: the path, the header, and the body without its wrapping."""

    path: str
    headers: dict[str, str]
    parts: tuple[bytes, ...]


@dataclass
class StowServer:
    """Asks ``answer`` for each request. ``reads``: whether it reads a body at all."""

    answer: Callable[[StoreRequest], Answer]
    port: int = 0
    requests: list[StoreRequest] = field(default_factory=list)
    connections: int = 0
    reads: bool = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/dicom-web"

    def sender(self, **service: Any) -> StowSender:
        return StowSender("web", Service(self.url, **{"timeout_s": 10.0, **service}))


def module(
    stored: dict[str, int | None] | None = None,
    failed: dict[str, int | None] | None = None,
    others: tuple[int, ...] = (),
) -> dict[str, Any]:
    """A Store Instances Response Module in DICOM JSON."""

    def element(vr: str, *values: object) -> dict[str, Any]:
        return {"vr": vr, "Value": list(values)}

    def items(told: dict[str, int | None], tag: str) -> dict[str, Any]:
        return element("SQ", *(
            {
                "00081150": element("UI", "1.2.840.10008.5.1.4.1.1.7"),
                "00081155": element("UI", uid),
                **({} if reason is None else {tag: element("US", reason)}),
            }
            for uid, reason in told.items()
        ))  # fmt: skip

    content: dict[str, Any] = {"00081190": {"vr": "UR"}}
    if stored:
        content["00081199"] = items(stored, "00081196")
    if failed:
        content["00081198"] = items(failed, "00081197")
    if others:
        content["0008119A"] = element("SQ", *({"00081197": element("US", r)} for r in others))
    return content


@contextmanager
def served(server: StowServer) -> Iterator[StowServer]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            server.connections += 1

        def do_POST(self) -> None:
            body = b""
            if server.reads:
                body = self.rfile.read(int(self.headers["Content-Length"]))
            request = StoreRequest(self.path, dict(self.headers), parts_of(body, self.headers))
            server.requests.append(request)
            answer = server.answer(request)
            content = (
                answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            )
            self.send_response(answer.status)
            for name, value in {"Content-Length": f"{len(content)}", **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                self.wfile.write(content)
                if answer.then is not None:
                    answer.then()
            except OSError:
                self.close_connection = True
            if not server.reads:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    server.port = http.server_address[1]
    Thread(target=lambda: http.serve_forever(poll_interval=0.02), daemon=True).start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()


def parts_of(body: bytes, headers: Message) -> tuple[bytes, ...]:
    """The parts of a multipart body (RFC 2046 5.1)."""
    boundary = str(headers.get_boundary()).encode()
    parts = (b"\r\n" + body).split(b"\r\n--" + boundary)[1:-1]
    return tuple(part.partition(b"\r\n\r\n")[2] for part in parts)
