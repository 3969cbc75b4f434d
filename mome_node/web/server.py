"""The HTTP server: it listens, bounds how many connections there are, and runs in one thread."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Self

import structlog
from starlette.types import ASGIApp

from mome_node.errors import SettingsError
from mome_node.web.connection import Connection
from mome_node.web.limits import ConnectionLimits

log = structlog.get_logger(__name__)

_BACKLOG: Final = 128
_BUFFER_BYTES: Final = 1 << 17  # of a connection; its transport stops reading at twice as much
_PAUSE_S: Final = 0.5  # after a connection could not be accepted


@dataclass(frozen=True, slots=True)
class WebServerSettings:
    """Where the server listens and what it bears. Port 0 takes any free port."""

    host: str = "127.0.0.1"
    port: int = 8080
    max_connections: int = 32
    connection: ConnectionLimits = field(default_factory=ConnectionLimits)


class WebServer:
    """Serves an ASGI application over HTTP/1.1, or over HTTPS with ``tls``.

    More connections than ``max_connections`` wait until one is free; handshakes count, too.
    """

    def __init__(
        self, app: ASGIApp, settings: WebServerSettings, tls: ssl.SSLContext | None = None
    ) -> None:
        self._app = app
        self._settings = settings
        self._tls = tls
        self._listener: socket.socket | None = None
        self._cancel: Callable[[], object] = bool
        self._is_serving = threading.Event()
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)

    @property
    def port(self) -> int:
        """The port that is listened on; SettingsError before ``start``."""
        if self._listener is None:
            raise SettingsError("the web server has not been started")
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        """Where it listens."""
        host = f"[{self._settings.host}]" if ":" in self._settings.host else self._settings.host
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}"

    def start(self) -> None:
        """Listen; returns at once. SettingsError if the address cannot be used."""
        host, port = self._settings.host, self._settings.port
        try:
            family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            self._listener = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
            self._listener.setblocking(False)
        except OSError as error:
            raise SettingsError(
                f"web: cannot listen on {host} port {port}: {error.strerror}"
            ) from error
        self._thread.start()
        self._is_serving.wait()
        log.info("web server listens", url=self.url)

    def stop(self) -> None:
        """Stop listening and end every connection; what is open is cut off. Once."""
        if self._listener is None:
            return
        self._cancel()
        self._thread.join()
        self._listener.close()
        self._listener = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self) -> None:
        assert self._listener is not None  # the thread starts after it
        asyncio.run(self._serve(self._listener))

    async def _serve(self, listener: socket.socket) -> None:
        """Accept connections until this is cancelled, and end them then."""
        loop, serving = asyncio.get_running_loop(), asyncio.current_task()
        assert serving is not None  # this is it
        self._cancel = partial(loop.call_soon_threadsafe, serving.cancel)
        self._is_serving.set()
        places = asyncio.Semaphore(self._settings.max_connections)
        open_ones: set[asyncio.Task[None]] = set()
        try:
            while True:
                await places.acquire()
                accepted = await self._accept(listener)
                task = asyncio.create_task(self._serve_connection(accepted))
                open_ones.add(task)
                task.add_done_callback(open_ones.discard)
                task.add_done_callback(lambda _: places.release())
        except asyncio.CancelledError:
            pass
        finally:
            for task in open_ones:
                task.cancel()
            await asyncio.gather(*open_ones, return_exceptions=True)

    async def _accept(self, listener: socket.socket) -> socket.socket:
        while True:
            try:
                accepted, _ = await asyncio.get_running_loop().sock_accept(listener)
            except OSError as error:  # the peer is gone already, or we are out of files
                log.warning("a connection could not be accepted", why=error.strerror)
                await asyncio.sleep(_PAUSE_S)
            else:
                return accepted

    async def _serve_connection(self, accepted: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        limits = self._settings.connection
        reader = asyncio.StreamReader(_BUFFER_BYTES, loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        seconds = limits.header_s if self._tls else None
        try:
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol,
                accepted,
                ssl=self._tls,
                ssl_handshake_timeout=seconds,
                ssl_shutdown_timeout=seconds,
            )
        except OSError as error:  # ssl.SSLError is one
            log.warning("TLS handshake failed", why=getattr(error, "reason", "") or str(error))
            accepted.close()
            return
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        await Connection(self._app, limits, reader, writer).serve()
