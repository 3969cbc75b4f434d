"""One HTTP/1.1 connection (RFC 9112): every state has a deadline, and nothing is read ahead.

h11 is the protocol, asyncio the transport, an ASGI application gives the answers. The servers that
are built of the same parts were not enough: they read bodies before the application asks for them
and say 100 Continue before it has seen who calls, bound neither the time of a body or an answer
nor the number of connections, and speak HTTP/2 in the clear to whoever begins with it.
"""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter
from contextlib import suppress
from http import HTTPStatus
from typing import Final

import h11
import structlog
from starlette.types import ASGIApp

from mome_node.web.exchange import Exchange, PeerGone
from mome_node.web.limits import ConnectionLimits

log = structlog.get_logger(__name__)

_READ_BYTES: Final = 1 << 17
_VERSIONS: Final = frozenset({b"1.0", b"1.1"})


class Connection:
    """Serves one connection until it ends."""

    def __init__(
        self, app: ASGIApp, limits: ConnectionLimits, reader: StreamReader, writer: StreamWriter
    ) -> None:
        self._app = app
        self._limits = limits
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.SERVER, limits.max_header_bytes)

    async def serve(self) -> None:
        """Answer requests; returns when the connection is closed."""
        try:
            wait_s = self._limits.header_s
            while await self._serve_request(wait_s):
                wait_s = self._limits.idle_s
            await self._linger()
        except (OSError, TimeoutError, PeerGone):
            pass  # the peer is gone, or is given up
        except asyncio.CancelledError:
            self._writer.transport.abort()
            raise
        finally:
            await self._close()

    async def _serve_request(self, wait_s: float) -> bool:
        """Serve one request; tell whether another may follow."""
        request = await self._next_request(wait_s)
        if request is None:
            return False
        exchange = Exchange(self._http, request, self._reader, self._writer, self._limits)
        try:
            await self._app(exchange.scope(), exchange.receive, exchange.send)
        except PeerGone:
            raise
        except Exception:
            log.exception("a request could not be answered")
        await exchange.finish()
        if (self._http.our_state, self._http.their_state) != (h11.DONE, h11.DONE):
            return False
        self._http.start_next_cycle()
        return True

    async def _next_request(self, wait_s: float) -> h11.Request | None:
        """Wait for a request's header; None where the peer closes, or sends none."""
        try:
            if not self._http.trailing_data[0]:
                async with asyncio.timeout(wait_s):
                    self._http.receive_data(await self._reader.read(_READ_BYTES))
            async with asyncio.timeout(self._limits.header_s):
                while (event := self._http.next_event()) is h11.NEED_DATA:
                    self._http.receive_data(await self._reader.read(_READ_BYTES))
        except h11.RemoteProtocolError as error:
            await self._refuse(HTTPStatus(error.error_status_hint))
            return None
        if not isinstance(event, h11.Request):
            return None
        if event.http_version not in _VERSIONS:
            await self._refuse(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
            return None
        return event

    async def _refuse(self, status: HTTPStatus) -> None:
        """Answer what is no HTTP request."""
        if self._http.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            return
        headers = [("Content-Length", "0"), ("Connection", "close")]
        answer = h11.Response(status_code=status, headers=headers, reason=status.phrase)
        self._writer.write(self._http.send(answer))

    async def _linger(self) -> None:
        """Take what the peer still sends off its hands: it looks for its answer only then."""
        if self._http.their_state not in {h11.SEND_BODY, h11.ERROR}:
            return
        if self._writer.can_write_eof():
            self._writer.write_eof()
        async with asyncio.timeout(self._limits.linger_s):
            while await self._reader.read(_READ_BYTES):
                pass

    async def _close(self) -> None:
        transport = self._writer.transport
        self._writer.close()
        try:
            async with asyncio.timeout(self._limits.answer_s):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            pass
        finally:
            with suppress(RuntimeError):  # the loop is closed
                transport.abort()
