"""The transport connection of an association, which takes C-STORE requests by itself.

pynetdicom decodes every P-DATA-TF PDU into objects and passes them from thread to thread, which
for images costs more than storing them. This subclass of its transport takes the way of the
bytes of an instance short: while an association is established (PS3.8 9.2, Sta6), it reads the
headers of P-DATA-TF PDUs and PDVs itself (PS3.8 9.3.5), writes the fragments of a data set
straight to the instance's file, has it taken in, and sends the C-STORE response. Every other PDU
- association, release, abort, C-ECHO, a command in several fragments, anything unexpected between
two messages - is left to the library, byte for byte as it came.

Of a Nagle sender (DCMTK's stock tools, and the many built on it) each PDU waits for our delayed
ACK, which TCP_QUICKACK ends; it is not sticky, so it is set again after each receive (Linux).
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from contextlib import suppress
from typing import Final

import structlog
from pynetdicom.transport import AssociationSocket

from mome_node.ingest.arriving import ArrivingInstance
from mome_node.ingest.dimse import StreamingProvider
from mome_node.ingest.storage_service import StorageService
from mome_node.ingest.store_messages import (
    IS_COMMAND,
    IS_LAST,
    P_DATA_TF,
    PDU_HEADER,
    PDV_HEADER,
    StoreRequest,
    read_store_request,
    store_response,
)
from mome_node.ingest.transport_limits import WAIT_S, TransportLimits, prepare
from mome_node.storage.store import InstanceIdentity

log = structlog.get_logger(__name__)

_ESTABLISHED: Final = "Sta6"
_INVALID_PDU: Final = "Evt19"  # PS3.8 table 9-10: ends in an A-ABORT
_CONNECTION_CLOSED: Final = "Evt17"
_BUFFER: Final = 1 << 18
_GATHERED: Final = 1 << 17
_LONGEST_COMMAND: Final = 4096
_LIBRARY_SPEAKS_S: Final = 1.0
"""How long after a message for the library it is expected to answer."""
_LONGEST_WORK_S: Final = 600.0
"""How long an answer of the library's may take."""
_LINGER_S: Final = 1.0


class _Ended(Exception):  # noqa: N818 (an outcome on its way up, no error of the node)
    """Ends a message that was on its way; ``event`` is what the state machine is told."""

    def __init__(self, event: str, why: str) -> None:
        super().__init__(why)
        self.event = event


class StoreTransport(AssociationSocket):
    """An accepted connection. All of it runs in the thread of the library's reactor."""

    def __init__(
        self, accepted: AssociationSocket, service: StorageService, limits: TransportLimits
    ) -> None:
        assert accepted.socket is not None  # just accepted
        # The library's own wrapper has announced the connection (Evt5) already.
        accepted.event_queue.get_nowait()
        super().__init__(accepted.assoc, client_socket=accepted.socket)
        self._service = service
        self._limits = limits
        self._buffer = bytearray()
        self._start = self._end = 0
        self._is_at_end = False  # the peer has closed its side
        self._is_over = False  # what still comes is of no interest
        self._library_speaks_until = 0.0
        self._owes_answer = False  # of the library's: a peer that waits for us is silent, too
        self._contexts: dict[int, tuple[str, str]] | None = None
        self._is_tls = isinstance(self.socket, ssl.SSLSocket)
        prepare(accepted.socket, limits)

    # What the library asks of a transport

    @property
    def ready(self) -> bool:
        """Tell whether there is a PDU for the library; take C-STORE requests meanwhile."""
        if self.socket is None or not self._is_connected:
            return False
        if self._is_over:
            self._drain()
            return False
        if self.assoc.dul.state_machine.current_state != _ESTABLISHED:
            return self._holds_something(0.0)
        try:
            if self._provider.is_idle:
                return self._take_stores()
            return self._goes_on()
        except _Ended as ended:
            self._end_association(ended)
            return False

    def recv(self, nr_bytes: int) -> bytearray:
        """Read bytes of a PDU for the library; fewer if the connection ends. OSError."""
        if nr_bytes > self._limits.max_pdu_bytes:
            raise OSError(
                f"a PDU of {nr_bytes} bytes was announced, {self._limits.max_pdu_bytes} are allowed"
            )
        deadline = time.monotonic() + self._limits.pdu_s
        data = bytearray()
        while len(data) < nr_bytes:
            if self._start == self._end:
                try:
                    if not self._receive_until(deadline):
                        break
                except _Ended as ended:
                    raise TimeoutError(str(ended)) from ended
            count = min(nr_bytes - len(data), self._end - self._start)
            data += self._buffer[self._start : self._start + count]
            self._start += count
        return data

    def send(self, bytestream: bytes) -> None:
        """Send a PDU; a peer that does not take it is one that has gone (Evt17)."""
        self._owes_answer = False
        self._provider.note_heard()  # it may be silent again from now on
        if not self._is_tls or self.socket is None:
            super().send(bytestream)
            return
        self.socket.settimeout(self._limits.answer_s)
        super().send(bytestream)
        if self.socket is not None:
            self.socket.settimeout(WAIT_S)

    # C-STORE requests

    @property
    def _provider(self) -> StreamingProvider:
        provider = self.assoc.dimse
        assert isinstance(provider, StreamingProvider)  # set beside this transport
        return provider

    def _take_stores(self) -> bool:
        """Take one request after another; True at a PDU for the library, False when none comes."""
        while True:
            speaks = time.monotonic() < self._library_speaks_until
            if not self._holds_something(0.0 if speaks else WAIT_S):
                return False
            request, context_id = self._next_request()
            if request is None:
                self._owes_answer = True
                self._library_speaks_until = time.monotonic() + _LIBRARY_SPEAKS_S
                return True
            if not self._take_store(request, context_id):
                return True

    def _goes_on(self) -> bool:
        """Tell whether more of the library's message is here; silence within it has an end."""
        if self._holds_something(0.0):
            return True
        if self._provider.silent_for_s() > self._limits.message_s:
            raise _Ended(_INVALID_PDU, "nothing was said in the middle of a message for too long")
        return False

    def _holds_something(self, wait_s: float) -> bool:
        """Tell whether there are bytes, or their end; waits, unless 0 s are given."""
        if self._start < self._end or self._is_at_end:
            return True
        assert self.socket is not None  # asked for by ``ready``
        if wait_s == 0.0 and not self._is_readable(self.socket):
            return False
        if self._receive() >= 0:
            return True
        allowed_s = self._limits.idle_s + (_LONGEST_WORK_S if self._owes_answer else 0.0)
        if self._provider.silent_for_s() > allowed_s:
            raise _Ended(_INVALID_PDU, "nothing was said for too long")
        return False

    def _next_request(self) -> tuple[StoreRequest | None, int]:
        """Read the C-STORE request that the next PDU holds whole and alone; it stays if none."""
        if not self._fill(PDU_HEADER.size + PDV_HEADER.size):
            return None, 0
        kind, length = PDU_HEADER.unpack_from(self._buffer, self._start)
        if kind != P_DATA_TF or length > _LONGEST_COMMAND:
            return None, 0
        value_length, context_id, control = PDV_HEADER.unpack_from(
            self._buffer, self._start + PDU_HEADER.size
        )
        is_whole = control & (IS_COMMAND | IS_LAST) == IS_COMMAND | IS_LAST
        if not is_whole or value_length + 4 != length or context_id not in self._storage_contexts():
            return None, 0
        end = PDU_HEADER.size + length
        if not self._fill(end):
            return None, 0
        begin = PDU_HEADER.size + PDV_HEADER.size
        command_set = bytes(self._buffer[self._start + begin : self._start + end])
        request = read_store_request(command_set)
        if request is not None:
            self._start += end
        return request, context_id

    def _storage_contexts(self) -> dict[int, tuple[str, str]]:
        """The accepted presentation contexts: ID → abstract syntax, transfer syntax."""
        if self._contexts is None:
            self._contexts = {
                int(c.context_id or 0): (str(c.abstract_syntax), str(c.transfer_syntax[0]))
                for c in self.assoc.accepted_contexts
                if self._service.stores(str(c.abstract_syntax))
            }
        return self._contexts

    def _take_store(self, request: StoreRequest, context_id: int) -> bool:
        """Take the data set and answer; False if another PDU stands where it should go on."""
        abstract_syntax, transfer_syntax = self._storage_contexts()[context_id]
        identity = InstanceIdentity(
            request.sop_class_uid, request.sop_instance_uid, transfer_syntax
        )
        arriving = self._service.begin(identity)
        try:
            if not self._take_data_set(arriving, context_id):
                return False
            outcome = self._service.answer(arriving, abstract_syntax, self.assoc)
        finally:
            arriving.discard()
        self._provider.tally.count(outcome)
        self._send_answer(store_response(request, context_id, outcome.status, outcome.comment))
        return True

    def _take_data_set(self, arriving: ArrivingInstance, context_id: int) -> bool:
        """Write all fragments of a data set; False at a PDU that is no P-DATA-TF."""
        while True:
            self._await(PDU_HEADER.size, self._limits.message_s)
            kind, left = PDU_HEADER.unpack_from(self._buffer, self._start)
            if kind != P_DATA_TF:
                return False
            if left > self._limits.max_pdu_bytes:
                raise _Ended(_INVALID_PDU, f"a PDU of {left} bytes was announced")
            self._start += PDU_HEADER.size
            deadline = time.monotonic() + self._limits.pdu_s
            while left:
                self._await(PDV_HEADER.size, self._limits.pdu_s)
                length, of_context, control = PDV_HEADER.unpack_from(self._buffer, self._start)
                left -= length + 4
                if length < 2 or left < 0:
                    raise _Ended(_INVALID_PDU, "a PDV has a length that cannot be")
                if of_context != context_id or control & IS_COMMAND:
                    raise _Ended(_INVALID_PDU, "another message stands inside a data set")
                self._start += PDV_HEADER.size
                self._write_fragment(arriving, length - 2, deadline)
                if control & IS_LAST:
                    if left:
                        raise _Ended(_INVALID_PDU, "a PDU goes on after a message's end")
                    return True

    def _write_fragment(self, arriving: ArrivingInstance, length: int, deadline: float) -> None:
        while length:
            # TLS gives a record of 16 KB at a time: several are one write.
            wanted = min(length, _GATHERED) if self._is_tls else 1
            while self._end - self._start < wanted:
                if not self._receive_until(deadline):
                    raise _Ended(_CONNECTION_CLOSED, "closed in the middle of a data set")
            count = min(length, self._end - self._start)
            arriving.write(memoryview(self._buffer)[self._start : self._start + count])
            self._start += count
            length -= count

    def _send_answer(self, pdu: bytes) -> None:
        assert self.socket is not None  # it is closed in this thread only
        try:
            if self._is_tls:
                self.socket.settimeout(self._limits.answer_s)
            self.socket.sendall(pdu)
            self._provider.note_heard()  # while we worked, the peer had nothing to say
            if self._is_tls:
                self.socket.settimeout(WAIT_S)
        except OSError as error:
            raise _Ended(_CONNECTION_CLOSED, "the answer could not be sent") from error

    # Bytes

    def _await(self, count: int, within_s: float) -> None:
        """Have so many bytes in the buffer, or end the message."""
        if self._end - self._start < count:
            deadline = time.monotonic() + within_s
            while self._end - self._start < count:
                if not self._receive_until(deadline):
                    raise _Ended(_CONNECTION_CLOSED, "closed in the middle of a message")

    def _fill(self, count: int) -> bool:
        """Have so many bytes of a PDU in the buffer; False if they do not come."""
        deadline = time.monotonic() + self._limits.pdu_s
        while self._end - self._start < count:
            if self._has_short_pdu() or not self._receive_until(deadline):
                return False
        return True

    def _has_short_pdu(self) -> bool:
        """Tell whether the next PDU is here whole, so that no more of it will come."""
        held = self._end - self._start
        if held < PDU_HEADER.size:
            return False
        return held >= PDU_HEADER.size + int(PDU_HEADER.unpack_from(self._buffer, self._start)[1])

    def _receive_until(self, deadline: float) -> bool:
        """Receive some bytes; False if the peer has closed. Ends the association when late."""
        while True:
            count = self._receive()
            if count >= 0:
                # A byte now and then keeps nothing open: the deadline is the whole PDU's.
                if count and time.monotonic() > deadline:
                    raise _Ended(_INVALID_PDU, "a PDU took too long")
                return count > 0
            if time.monotonic() > deadline:
                raise _Ended(_INVALID_PDU, "a PDU took too long")

    def _receive(self) -> int:
        """Receive what there is into the buffer: bytes, 0 at the end, -1 when none came in time."""
        if self._is_at_end or self.socket is None:
            return 0
        if not self._buffer:
            self._buffer = bytearray(_BUFFER)
        if self._start == self._end:
            self._start = self._end = 0
        elif self._end == len(self._buffer):
            kept = self._buffer[self._start : self._end]
            self._buffer[: len(kept)] = kept
            self._start, self._end = 0, len(kept)
        try:
            count = self.socket.recv_into(memoryview(self._buffer)[self._end :])
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        except (BlockingIOError, TimeoutError, ssl.SSLWantReadError):
            return -1
        except OSError:
            count = 0
        if count:
            self._end += count
            self._provider.note_heard()
        else:
            self._is_at_end = True
        return count

    def _is_readable(self, connection: socket.socket) -> bool:
        if isinstance(connection, ssl.SSLSocket) and connection.pending():
            return True
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        return bool(poll.poll(0))

    def _drain(self) -> None:
        """Say no more, and throw away what still comes, for a moment.

        Closing over unread bytes would reset the connection, and our A-ABORT be lost.
        """
        until = time.monotonic() + _LINGER_S
        with suppress(OSError):
            if self.socket is not None:
                self.socket.shutdown(socket.SHUT_WR)
        while not self._is_at_end and time.monotonic() < until:
            self._start = self._end = 0
            self._receive()

    def _end_association(self, ended: _Ended) -> None:
        log.warning(
            "association broken off",
            why=str(ended),
            calling_ae=self.assoc.requestor.ae_title.strip(),
            host=self.assoc.requestor.address,
        )
        self._is_over = True
        self.event_queue.put(ended.event)
