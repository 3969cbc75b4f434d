"""The listening socket of the DIMSE door: one thread that accepts, and does nothing else.

pynetdicom's server does the TLS handshake in the thread that accepts: one caller that says nothing
keeps all others out. Here a connection's own thread does it, within a time; and connections that
have asked for nothing yet are few and are closed in time (the ARTIM timer of PS3.8 9.1.5 for all
that comes before the request).
"""

from __future__ import annotations

import errno
import socket
import ssl
import sys
import threading
from dataclasses import dataclass
from typing import Any, Final, Self

import structlog
from pynetdicom import evt
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import ThreadedAssociationServer

from mome_node.ingest.handshake import why_failed
from mome_node.ingest.log_rate import LogRate
from mome_node.ingest.pending import PendingConnections

log = structlog.get_logger(__name__)

_POLL_S: Final = 0.5
_OUT_OF_RESOURCES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_PAUSE_S: Final = 0.1  # until something is free again; callers wait in the backlog


@dataclass(frozen=True, slots=True)
class ConnectionTimes:
    """How long a connection may take, in seconds: for TLS, for its request, for one PDU."""

    handshake_s: float = 10.0
    request_s: float = 30.0
    pdu_s: float = 30.0


class SharedContexts(list[PresentationContext]):
    """What we support, for all associations to read: negotiation changes none of it.

    The library copies it for every connection, deeply, before the caller has said a word: a tenth
    of a second of all threads' time for whoever only connects.
    """

    def __deepcopy__(self, _memo: dict[int, Any]) -> Self:
        return self


class ReceivingServer(ThreadedAssociationServer):
    """Listens on one port, with TLS if it has a context, and hands connections to pynetdicom."""

    daemon_threads = True
    request_queue_size = 128  # connections that the system keeps while we are busy

    def __init__(
        self,
        *arguments: Any,
        pending: PendingConnections,
        times: ConnectionTimes,
        log_rate: LogRate,
        **named: Any,
    ) -> None:
        self._pending = pending
        self._times = times
        self._log_rate = log_rate
        self._stopping = threading.Event()
        self._is_accepting = False
        super().__init__(*arguments, **named)
        self.contexts = SharedContexts(self.contexts)
        self.bind(evt.EVT_REQUESTED, self._on_request)

    @property
    def is_tls(self) -> bool:
        """Tell whether its connections are encrypted."""
        return self.ssl_context is not None

    def accept_connections(self) -> None:
        """Accept, in a thread of its own, until ``shutdown``."""
        self.ae._servers.append(self)  # as AE.start_server does; ``shutdown`` takes it off
        self._is_accepting = True
        name = f"accept on {self.server_address[1]}"
        threading.Thread(target=self.serve_forever, args=(_POLL_S,), name=name, daemon=True).start()

    def shutdown(self) -> None:
        """Accept no more. What waits is closed, what is associated goes on."""
        self._stopping.set()
        if self._is_accepting:
            super().shutdown()
        else:
            self.server_close()
        # Not before: what is accepted until then would be waited for as long as it says nothing.
        self._pending.close_all()

    def server_bind(self) -> None:
        """Bind; an IPv6 address that stands for all takes IPv4, too (RFC 3493 5.3)."""
        assert self.socket is not None
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()
        self.socket.settimeout(0)  # a caller that has gone again holds nobody up

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept one connection. Nothing here waits for the caller."""
        assert self.socket is not None
        try:
            connection, address = self.socket.accept()
        except OSError as error:
            if error.errno in _OUT_OF_RESOURCES:
                self._say("no connection can be accepted", "", error.strerror or "")
                self._stopping.wait(_PAUSE_S)
            raise
        try:
            connection = self._prepared(connection)
        except (OSError, ValueError) as error:
            connection.close()
            raise OSError("the caller has gone again") from error
        wait_s = self._times.handshake_s if self.ssl_context else self._times.request_s
        if crowded := self._pending.add(connection, address[0], wait_s):
            self._say("a connection was closed: too many wait", crowded, "no association requested")
        return connection, address

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Agree on TLS, then let pynetdicom go on; in a thread of the connection's own."""
        if isinstance(request, ssl.SSLSocket):
            try:
                request.do_handshake()
            except (OSError, ValueError) as error:
                self._say("TLS handshake failed", client_address[0], why_failed(error))
                self.shutdown_request(request)
                return
            request.settimeout(self._times.pdu_s)
            self._pending.extend(request, self._times.request_s)
        super().process_request_thread(request, client_address)

    def service_actions(self) -> None:
        """Close what has waited too long; called twice a second."""
        super().service_actions()
        for place in self._pending.close_overdue():
            self._say("a connection was closed", place, "it asked for no association in time")

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Tell that a connection failed; not in the error's words, which a caller may have made."""
        self._say("a connection failed", client_address[0], type(sys.exception()).__name__)

    def _prepared(self, connection: socket.socket) -> socket.socket:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.ssl_context is None:
            connection.settimeout(self._times.pdu_s)
            return connection
        connection.settimeout(self._times.handshake_s)
        return self.ssl_context.wrap_socket(
            connection, server_side=True, do_handshake_on_connect=False
        )

    def _on_request(self, event: evt.Event) -> None:
        connection = getattr(event.assoc.dul.socket, "socket", None)
        if connection is not None:
            self._pending.remove(connection)

    def _say(self, what: str, host: str, why: str) -> None:
        left_out = self._log_rate.due(f"{what} {host} {why}")
        if left_out is not None:
            log.warning(what, host=host, why=why, left_out=left_out)
