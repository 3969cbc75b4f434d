"""A server in this process, with an application that says what came."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from mome_node.web.limits import ConnectionLimits
from mome_node.web.server import WebServer, WebServerSettings


class Application:
    """Counts bodies; ``seen`` holds what it was given, ``cut`` how often a body broke off."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.cut = 0
        self.largest_piece = 0
        self.asgi = Starlette(
            routes=[
                Route("/count", self._count, methods=["POST"]),
                Route("/early", self._early, methods=["POST"]),
                Route("/large", self._large, methods=["GET"]),
                Route("/broken", self._broken, methods=["GET"]),
            ]
        )

    async def _count(self, request: Request) -> Response:
        count = 0
        try:
            async for data in request.stream():
                count += len(data)
                self.largest_piece = max(self.largest_piece, len(data))
        except ClientDisconnect:
            self.cut += 1
            return PlainTextResponse("cut off")
        self.seen.append(count)
        return PlainTextResponse(f"{count} bytes")

    async def _early(self, request: Request) -> Response:
        return PlainTextResponse("not wanted", 413)

    async def _large(self, request: Request) -> Response:
        return Response(bytes(64 << 20))

    async def _broken(self, request: Request) -> Response:
        raise RuntimeError("a fault of ours")


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
def serve(application: Application) -> Iterator[Callable[..., WebServer]]:
    started: list[WebServer] = []

    def start(tls=None, max_connections: int = 32, **limits: float) -> WebServer:
        settings = WebServerSettings(
            port=0, max_connections=max_connections, connection=ConnectionLimits(**limits)
        )
        server = WebServer(application.asgi, settings, tls)
        server.start()
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


def connect(server: WebServer) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def until_closed(connection: socket.socket) -> bytes:
    """All that comes until the server closes, at most 20 s apart."""
    received = b""
    try:
        while data := connection.recv(1 << 16):
            received += data
    except ConnectionResetError:
        pass
    return received


def request(method: str, path: str, *fields: str) -> bytes:
    lines = (f"{method} {path} HTTP/1.1", "Host: node", *fields)
    return "\r\n".join(lines).encode() + b"\r\n\r\n"
