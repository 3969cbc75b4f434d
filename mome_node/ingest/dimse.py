"""Data sets of requests: of C-STORE written to the store while they arrive, of DIMSE-N kept.

pynetdicom gathers a request's data set in memory, or in a temporary file that outlives an abort.
Its DIMSE service provider is replaced here, for the associations that we accept, by one that
hands the bytes to the receipt as they come, so that memory stays flat and nothing is left over.
What N-CREATE, N-ACTION and N-EVENT-REPORT requests hold is small; more of it than is allowed is
dropped.
"""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Final

import structlog
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import (
    C_STORE_RQ,
    N_ACTION_RQ,
    N_CREATE_RQ,
    N_EVENT_REPORT_RQ,
    DIMSEMessage,
)
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.pdu_primitives import P_DATA

from mome_node.dicom.element_values import FOREIGN_ERRORS
from mome_node.ingest.arriving import ArrivingInstance
from mome_node.ingest.availability import MAX_NOTICE_BYTES
from mome_node.ingest.event_reports import EventReports
from mome_node.ingest.outcome import Outcome, Status
from mome_node.ingest.storage_service import StorageService
from mome_node.storage.store import InstanceIdentity

log = structlog.get_logger(__name__)

_MAX_COMMAND_BYTES: Final = 1 << 16
_MAX_WAITING_REQUESTS: Final = 8  # no asynchronous operations are negotiated: one would do
_LEAST_PDU_BYTES: Final = 8  # of a fragment with its headers, in pynetdicom
_LOOKS_EVERY_S: Final = 0.2
_WITH_ATTRIBUTES: Final = (N_CREATE_RQ, N_ACTION_RQ, N_EVENT_REPORT_RQ)
_INVALID_PDU: Final = "Evt19"  # PS3.8 9.2.1: ends in an A-ABORT


@dataclass(slots=True)
class AssociationTally:
    """What one association brought, for the log."""

    stored: int = 0
    duplicates: int = 0
    refused: int = 0
    bytes: int = 0
    ended_by: str = ""
    statuses: set[str] = field(default_factory=set)

    def count(self, outcome: Outcome) -> None:
        """Count one answer."""
        if outcome.status is not Status.SUCCESS:
            self.refused += 1
            self.statuses.add(f"{outcome.status:04X}")
        elif outcome.receipt == "duplicate":
            self.duplicates += 1
        else:
            self.stored += 1
            self.bytes += outcome.size


class ArrivingDataset(BytesIO):
    """Stands where pynetdicom keeps a message's data set, and passes a C-STORE's bytes on.

    Of a DIMSE-N request it holds the bytes themselves, unless they are ``too_large``, and whether
    its command names what our services know.
    """

    def __init__(self, provider: StreamingProvider, message: DIMSEMessage) -> None:
        super().__init__()
        self._provider = provider
        self._message = message
        self.arriving: ArrivingInstance | None = None
        self.too_large = False
        self.names_notice = True
        self.names_commitment = True
        self.instance_is_valid = True
        self.event_type: int | None = None  # of an N-EVENT-REPORT request only

    def write(self, data: bytes) -> int:  # type: ignore[override] # pynetdicom passes bytes
        """Take bytes of the data set; other messages' data sets are none of our services'."""
        if isinstance(self._message, C_STORE_RQ):
            self.opened().write(data)
        elif isinstance(self._message, _WITH_ATTRIBUTES) and not self.too_large:
            self.too_large = not self._provider.has_room_for(len(data))
            if self.too_large:
                self.seek(0)
                self.truncate()
            else:
                super().write(data)
        return len(data)

    def opened(self) -> ArrivingInstance:
        """Return the instance, opened at its first byte, or at the end if there are none."""
        if self.arriving is None:
            self.arriving = self._provider.open_instance(self._message)
        return self.arriving


class StreamingProvider(DIMSEServiceProvider):
    """The DIMSE service provider of an association that we accept (PS3.7)."""

    def __init__(self, association: Association, storage: StorageService) -> None:
        super().__init__(association)
        self.tally = AssociationTally()
        self.reports = EventReports(association, self.silent_for_s, self.wake)
        self._storage = storage
        self._heard_at = time.monotonic()
        self._is_speaking = False
        self._unanswered: set[ArrivingInstance] = set()
        self._notice_bytes = 0
        self._is_closed = False
        self._lock = threading.Lock()

    @property
    def is_idle(self) -> bool:
        """No message is on its way here, in or out: the next one may be taken elsewhere."""
        return self.message is None and not self._is_speaking

    @property
    def maximum_pdu_size(self) -> int:
        """Bytes of the longest PDU that the peer takes (PS3.8 D.1); 0: it sets no limit.

        So it is read, too, where the peer leaves it out, or says what no fragment fits in.
        """
        said = self.assoc.requestor.maximum_length
        return 0 if said is None or said < _LEAST_PDU_BYTES else said

    def silent_for_s(self) -> float:
        """Seconds since the peer was last heard."""
        return time.monotonic() - self._heard_at

    def note_heard(self) -> None:
        """The peer has said something."""
        self._heard_at = time.monotonic()

    def send_msg(self, primitive: Any, context_id: int) -> None:
        """Send a message; as long as its PDUs are being made, nobody else answers."""
        self._is_speaking = True
        try:
            super().send_msg(primitive, context_id)
        finally:
            self._is_speaking = False

    def get_msg(  # type: ignore[override] # a union, told shorter
        self, block: bool = False
    ) -> tuple[int | None, Any]:
        """Take the next request; wait for one even if not asked to, but then only a moment.

        The association's own thread looks a thousand times a second, of which a few open and
        silent associations make a busy machine; ``wake`` ends its wait. Reports of ours go out
        when there is no request, and what answers them is none. A report of the peer's gets its
        event type back: see ``request_commands``.
        """
        context_id, message = self._next_message(block=block)
        if context_id is None and self.message is None:  # else a request is arriving
            self.reports.send_waiting()
        if isinstance(message, N_EVENT_REPORT):
            information = message.EventInformation
            assert isinstance(information, ArrivingDataset)  # of requests and of answers
            if information.event_type is None:
                self.reports.answered(message)
                return None, None
            message.EventTypeID = information.event_type
        return context_id, message

    def _next_message(self, *, block: bool) -> tuple[int | None, Any]:
        timeout = self.dimse_timeout if block else _LOOKS_EVERY_S
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            left = None if deadline is None else max(deadline - time.monotonic(), 0.0)
            try:
                context_id, message = self.msg_queue.get(timeout=left)
            except queue.Empty:
                return None, None
            if message is not None or not block:
                return context_id, message

    def wake(self) -> None:
        """Let the association's thread look at what else there is for it, a release say."""
        self.msg_queue.put((None, None))

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take one P-DATA indication, in the thread that reads the connection."""
        if self.message is None:
            self.message = DIMSEMessage()
            self.message.data_set = ArrivingDataset(self, self.message)
        commands = self.message.encoded_command_set
        if commands.tell() > _MAX_COMMAND_BYTES or self.msg_queue.qsize() > _MAX_WAITING_REQUESTS:
            self.dul.event_queue.put(_INVALID_PDU)
            return
        try:
            super().receive_primitive(primitive)
        except FOREIGN_ERRORS as error:
            log.warning("a command set cannot be read", why=type(error).__name__)
            self.dul.event_queue.put(_INVALID_PDU)

    def open_instance(self, message: DIMSEMessage) -> ArrivingInstance:
        """Begin the receipt of the instance that a C-STORE request announces."""
        command = message.command_set
        # A request whose UIDs the library refuses ends the association without an answer. It has
        # to fail alone: the receipt sees what was sent, the library a stand-in.
        context = self.assoc._accepted_cx.get(message.context_id or 0)
        identity = InstanceIdentity(
            sop_class_uid=str(command.get("AffectedSOPClassUID") or ""),
            sop_instance_uid=str(command.get("AffectedSOPInstanceUID") or ""),
            transfer_syntax_uid=str(context.transfer_syntax[0]) if context else "",
        )
        arriving = self._storage.begin(identity)
        with self._lock:
            if self._is_closed:
                arriving.discard()
            else:
                self._unanswered.add(arriving)
        return arriving

    def claim(self, dataset: ArrivingDataset) -> ArrivingInstance:
        """Hand a complete instance over to the thread that answers the request."""
        arriving = dataset.opened()
        with self._lock:
            self._unanswered.discard(arriving)
        return arriving

    def has_room_for(self, count: int) -> bool:
        """Take up room for so many bytes of an attribute list, if there is any left.

        Until ``free_room``: a peer that waits for no answer gets no more room than one that does.
        """
        with self._lock:
            self._notice_bytes += count
            return self._notice_bytes <= MAX_NOTICE_BYTES

    def free_room(self) -> None:
        """Give room back: what waits to be answered is at most a few more requests."""
        with self._lock:
            self._notice_bytes = 0

    def discard_unanswered(self) -> None:
        """Forget what was on its way when the connection ended."""
        self.reports.close()
        with self._lock:
            self._is_closed = True
            for arriving in self._unanswered:
                arriving.discard()
            self._unanswered.clear()


class IndicationQueue(queue.Queue[Any]):
    """What the upper layer tells its user (PS3.8 7); the user is woken for it."""

    def __init__(self, provider: StreamingProvider) -> None:
        super().__init__()
        self._provider = provider

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Keep an indication, and wake the association's thread."""
        super().put(item, block, timeout)
        self._provider.wake()
