"""One request and its answer, between a connection and an ASGI application."""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter
from email.utils import formatdate
from http import HTTPStatus
from time import monotonic
from typing import Final
from urllib.parse import unquote_to_bytes

import h11
from starlette.types import Message, Scope

from mome_node.web.limits import ConnectionLimits
from mome_node.web.pace import Pace

_PIECE: Final = 1 << 17  # bytes of a body that the application is given at a time, about


class PeerGone(Exception):  # noqa: N818 (an end, no error of the node)
    """The peer does not read any more; never leaves ``web``."""


class Exchange:
    """Gives the application the request's body as it asks for it, and sends its answer."""

    def __init__(
        self,
        http: h11.Connection,
        request: h11.Request,
        reader: StreamReader,
        writer: StreamWriter,
        limits: ConnectionLimits,
    ) -> None:
        self._http = http
        self._request = request
        self._reader = reader
        self._writer = writer
        self._limits = limits
        self._pace = Pace(limits.min_body_bytes_per_s, limits.body_window_s)
        self._head: Message = {}
        self._is_answered = asyncio.Event()
        self._broken_by: HTTPStatus | None = None

    def scope(self) -> Scope:
        """Return the request as ASGI has it (HTTP connection scope, version 2.3)."""
        path, _, query = self._request.target.partition(b"?")
        writer = self._writer
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": self._request.http_version.decode("ascii"),
            "method": self._request.method.decode("ascii"),
            "scheme": "https" if writer.get_extra_info("sslcontext") else "http",
            "path": unquote_to_bytes(path).decode("utf-8", "replace"),
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": [(name, value) for name, value in self._request.headers],
            "client": (writer.get_extra_info("peername") or ("", 0))[:2],
            "server": (writer.get_extra_info("sockname") or ("", 0))[:2],
        }

    async def receive(self) -> Message:
        """Read on; what came of the body, at most a few pieces large."""
        if self._broken_by is not None:
            return {"type": "http.disconnect"}
        if self._http.their_state is not h11.SEND_BODY:
            await self._is_answered.wait()
            return {"type": "http.disconnect"}
        if self._http.they_are_waiting_for_100_continue:
            go_on = h11.InformationalResponse(status_code=100, headers=[], reason="Continue")
            await self._write(self._http.send(go_on))
        try:
            data = await self._next_piece()
        except h11.RemoteProtocolError as error:
            return self._broken(HTTPStatus(error.error_status_hint))
        except TimeoutError:
            return self._broken(HTTPStatus.REQUEST_TIMEOUT)
        except OSError:
            return self._broken(HTTPStatus.BAD_REQUEST)
        more = self._http.their_state is h11.SEND_BODY
        return {"type": "http.request", "body": data, "more_body": more}

    async def send(self, message: Message) -> None:
        """Send the application's answer, or what there is of it."""
        if message["type"] == "http.response.start":
            self._head = message  # until it is known that a body follows
        elif message["type"] == "http.response.body":
            data = self._begun()
            if self._request.method != b"HEAD":
                data += self._http.send(h11.Data(data=message.get("body", b""))) or b""
            if not message.get("more_body", False):
                data += self._http.send(h11.EndOfMessage()) or b""
                self._is_answered.set()
            await self._write(data)

    async def finish(self) -> None:
        """Answer in place of an application that did not."""
        if self._http.our_state is h11.SEND_RESPONSE:
            status = self._broken_by or HTTPStatus.INTERNAL_SERVER_ERROR
            self._head = {"status": status, "headers": [(b"content-length", b"0")]}
            await self.send({"type": "http.response.body"})
        self._is_answered.set()

    async def _next_piece(self) -> bytes:
        """Gather what has come; wait only where that is nothing."""
        piece = bytearray()
        while len(piece) < _PIECE:
            event = self._http.next_event()
            if isinstance(event, h11.Data):
                piece += event.data
            elif event is not h11.NEED_DATA:
                break  # the end of the message
            elif piece:
                break
            else:
                await self._read()
        return bytes(piece)

    async def _read(self) -> None:
        began = monotonic()
        async with asyncio.timeout(self._pace.patience_s):
            data = await self._reader.read(_PIECE)
        if not self._pace.keeps_up(len(data), monotonic() - began):
            raise TimeoutError
        self._http.receive_data(data)

    def _broken(self, status: HTTPStatus) -> Message:
        self._broken_by = status
        return {"type": "http.disconnect"}

    def _begun(self) -> bytes:
        """Return the answer's head, once."""
        if self._http.our_state is not h11.SEND_RESPONSE:
            return b""
        status = HTTPStatus(self._broken_by or self._head["status"])
        date = formatdate(usegmt=True).encode("ascii")
        headers = [*self._head["headers"], (b"date", date)]
        if self._http.their_state is not h11.DONE:
            headers.append((b"connection", b"close"))  # the rest of the body is not wanted
        answer = h11.Response(status_code=status, headers=headers, reason=status.phrase)
        return self._http.send(answer) or b""

    async def _write(self, data: bytes | None) -> None:
        self._writer.write(data or b"")
        try:
            async with asyncio.timeout(self._limits.answer_s):
                await self._writer.drain()
        except (OSError, TimeoutError) as error:
            self._writer.transport.abort()
            raise PeerGone from error
