"""Storage commitment asked for (PS3.4 annex J, as SCU): one association, one transaction.

A peer reports on the association of the request, or later on one that it opens to us; that one is
``ingest``'s. Here the first is waited for, briefly: most peers want their association back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Final

import structlog
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import N_ACTION, N_EVENT_REPORT
from pynetdicom.presentation import build_context

from mome_node.delivery.association import DEFAULT_TIMEOUTS, Timeouts, association
from mome_node.delivery.destination import Destination
from mome_node.delivery.reports_elsewhere import ReportsElsewhere
from mome_node.dicom.attribute_list import AttributeRefusal
from mome_node.dicom.commitment import (
    COMMITMENT_CLASS,
    COMMITMENT_INSTANCE,
    CommitmentAnswer,
    CommitmentRequest,
    ReferencedInstance,
)
from mome_node.dicom.commitment_report import (
    STATUS_OF_FAULT,
    ReportStatus,
    is_event_type,
    read_report,
)
from mome_node.errors import (
    CatalogError,
    PermanentDeliveryError,
    RefusedForNowError,
    TransientDeliveryError,
)

_log = structlog.get_logger(__name__)

_REQUEST_COMMITMENT: Final = 1  # Action Type ID, PS3.4 table J.3-1
_MESSAGE_ID: Final = 1
_MAX_BYTES: Final = 8 << 20
_SUCCESS: Final = 0x0000
WARNINGS: Final = frozenset({0x0001, 0x0107, 0x0116, *range(0xB000, 0xC000)})
"""Statuses of an N-ACTION with which the request is taken all the same."""
PERMANENT: Final = {
    0x0112: "it does not know the well-known instance",
    0x0114: "no such argument",
    0x0115: "invalid argument value",
    0x0117: "invalid object instance",
    0x0118: "no such SOP class",
    0x0119: "class-instance conflict",
    0x0122: "SOP class not supported",
    0x0123: "no such action",
    0x0124: "not authorised",
    0x0211: "unrecognised operation",
    0x0212: "mistyped argument",
}
"""Statuses of an N-ACTION (PS3.7 10.1.4.1.10 and annex C) that no retry will change."""
TRANSIENT: Final = {
    0x0110: "processing failure",
    0x0131: "duplicate transaction UID",
    0x0210: "duplicate invocation",
    0x0213: "resource limitation",
}
"""Statuses of an N-ACTION after which the peer is asked again later, as after unknown ones."""

TakeReport = Callable[[str, CommitmentAnswer], bool]
"""Takes the report on a transaction; False if we asked this peer for no such. CatalogError."""


def takes_no_other(_transaction_uid: str, _answer: CommitmentAnswer) -> bool:
    """Refuse reports on transactions that were asked for earlier."""
    return False


@dataclass(frozen=True, slots=True)
class DimseCommitment:
    """See CommitmentScu. Waits ``wait_s`` for a report on the association of the request.

    ``take_other`` is handed reports on other transactions, which a peer may send whenever there
    is an association; they are acknowledged when it returns True. ``elsewhere`` ends the wait when
    the report has come on another association.
    """

    destination: Destination
    timeouts: Timeouts = DEFAULT_TIMEOUTS
    wait_s: float = 2.0
    take_other: TakeReport = takes_no_other
    elsewhere: ReportsElsewhere = field(default_factory=ReportsElsewhere)

    def ask(
        self, transaction_uid: str, named: Sequence[ReferencedInstance]
    ) -> CommitmentAnswer | None:
        """See CommitmentScu. ``named`` has at least one instance.

        TransientDeliveryError also for a report that cannot be read. A peer may have taken a
        request that failed here, and report on it all the same.
        """
        reports = _Reports(transaction_uid, self.destination, self.take_other)
        with (
            self.elsewhere.awaited(transaction_uid, reports.stop_waiting),
            association(
                self.destination,
                [build_context(COMMITMENT_CLASS, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])],
                self.timeouts,
                handlers=reports.handlers(),
            ) as opened,
        ):
            status = self._request(opened, CommitmentRequest(transaction_uid, tuple(named)))
            if status is not None:
                _judge(status, self.destination)
            # A peer that has reported has taken the request, whatever became of its answer.
            answer = reports.wait(self.wait_s if status is not None else 0.0)
            if answer is None and status is None:
                raise TransientDeliveryError(
                    f"{self.destination}: the link broke, or no answer to N-ACTION within "
                    f"{self.timeouts.answer_s:g} s"
                )
            return answer

    def _request(self, opened: Association, content: CommitmentRequest) -> int | None:
        """Send the N-ACTION; the peer's status, None if there is no answer."""
        context = next(iter(opened.accepted_contexts))
        request = N_ACTION()
        request.MessageID = _MESSAGE_ID
        request.RequestedSOPClassUID = UID(COMMITMENT_CLASS)
        request.RequestedSOPInstanceUID = UID(COMMITMENT_INSTANCE)
        request.ActionTypeID = _REQUEST_COMMITMENT
        request.ActionInformation = BytesIO(content.encode(str(context.transfer_syntax[0])))
        if not opened.is_established or context.context_id is None:
            return None
        opened.dimse.send_msg(request, context.context_id)
        _, answer = opened.dimse.get_msg(block=True)
        if not isinstance(answer, N_ACTION) or answer.MessageIDBeingRespondedTo != _MESSAGE_ID:
            return None
        return None if answer.Status is None else int(answer.Status)


class _Reports:
    """The N-EVENT-REPORT requests on one association of ours, and what they told.

    The library serves each in a thread of its own, which sets what the association's thread is
    asked to pause by: a release may then wait for ever. So that thread is led here instead, as
    soon as there is a connection. It answers at once, since a peer may wait for that before it
    answers our request, and says nothing any more once nobody waits.
    """

    def __init__(
        self, transaction_uid: str, destination: Destination, take_other: TakeReport
    ) -> None:
        self._transaction_uid = transaction_uid
        self._destination = destination
        self._take_other = take_other
        self._association: Association | None = None
        self._answer: CommitmentAnswer | None = None
        self._fault = ""
        self._is_over = False
        self._changed = threading.Condition()
        self._bytes_left = _MAX_BYTES

    def handlers(self) -> Sequence[evt.EventHandlerType]:
        """What has to be bound to the association's events."""
        return (evt.EVT_CONN_OPEN, self._opened), (evt.EVT_CONN_CLOSE, self._closed)

    def wait(self, at_most_s: float) -> CommitmentAnswer | None:
        """Return the report on the transaction, None if none comes; TransientDeliveryError."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._answer is not None or self._is_over or self._fault, at_most_s
            )
            self._is_over = True
            if self._answer is None and self._fault:
                raise TransientDeliveryError(f"{self._destination}: {self._fault}")
            return self._answer

    def _opened(self, event: evt.Event) -> None:
        self._association = event.assoc
        # Neither has a hook in the library.
        event.assoc._serve_request = self._serve  # type: ignore[method-assign, assignment]
        connection = event.assoc.dul.socket
        if connection is None:
            return
        receive = connection.recv

        def receive_bounded(count: int) -> bytearray:
            # The library would gather 4 GiB of one PDU, and any number of PDUs of one message.
            self._bytes_left -= count
            if self._bytes_left < 0:
                self._fault = f"sent more than {_MAX_BYTES >> 20} MiB in answer to one request"
                raise OSError(self._fault)
            return receive(count)

        connection.recv = receive_bounded  # type: ignore[method-assign, assignment]

    def stop_waiting(self) -> None:
        """End the wait: nothing will come here any more."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def _closed(self, _event: evt.Event) -> None:
        self.stop_waiting()

    def _serve(self, message: object, context_id: int) -> None:
        """Take one report and answer it; called by a thread of the library's."""
        with self._changed:
            if self._is_over or not isinstance(message, N_EVENT_REPORT):
                return
            status = self._take(message)
            if status is not ReportStatus.SUCCESS:
                _log.warning(
                    "commitment report refused",
                    destination=self._destination.name,
                    status=f"{status:04X}",
                )
            answer = N_EVENT_REPORT()
            answer.MessageIDBeingRespondedTo = message.MessageID
            answer.AffectedSOPClassUID = message.AffectedSOPClassUID
            answer.AffectedSOPInstanceUID = message.AffectedSOPInstanceUID
            answer.EventTypeID = message.EventTypeID
            answer.Status = status.value
            assert self._association is not None  # it came on it
            self._association.dimse.send_msg(answer, context_id)
            self._changed.notify_all()

    def _take(self, report: N_EVENT_REPORT) -> ReportStatus:
        if report.AffectedSOPClassUID != COMMITMENT_CLASS:
            return ReportStatus.NO_SUCH_CLASS
        if report.AffectedSOPInstanceUID != COMMITMENT_INSTANCE:
            return ReportStatus.NO_SUCH_INSTANCE
        if not is_event_type(report.EventTypeID):
            return ReportStatus.NO_SUCH_EVENT
        assert self._association is not None
        context = next(iter(self._association.accepted_contexts))
        information = report.EventInformation
        try:
            found = read_report(
                information.getvalue() if information else b"", str(context.transfer_syntax[0])
            )
        except AttributeRefusal as refusal:
            self._fault = f"its report on storage commitment cannot be read: {refusal}"
            return STATUS_OF_FAULT[refusal.fault]
        if found.transaction_uid == self._transaction_uid:
            self._answer = found.answer
            return ReportStatus.SUCCESS
        try:
            known = self._take_other(found.transaction_uid, found.answer)
        except CatalogError:
            _log.exception("a commitment report could not be kept")
            return ReportStatus.PROCESSING_FAILURE
        return ReportStatus.SUCCESS if known else ReportStatus.INVALID_VALUE


def _judge(status: int, destination: Destination) -> None:
    """Raise what a failure status means; success and warnings are none."""
    if status == _SUCCESS or status in WARNINGS:
        return
    words = PERMANENT.get(status) or TRANSIENT.get(status) or "unknown status"
    # The peer's Error Comment (0000,0902) is left out: it may quote the patient.
    told = (
        f"{destination}: did not take the request for storage commitment: 0x{status:04X}, {words}"
    )
    if status in PERMANENT:
        raise PermanentDeliveryError(
            f"{told}; have the peer take such requests, or ask it for none"
        )
    raise RefusedForNowError(told)
