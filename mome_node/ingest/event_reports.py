"""N-EVENT-REPORTs on associations that peers opened (PS3.7 10.1.1, PS3.4 J.3.3).

An association has one thread that takes requests and answers them; a message of ours must come
between two of its answers, never into one. So whoever reports only leaves the message here: that
thread sends it, when it has nothing to do and the peer has been silent for a while, and hands
over the answer when it comes. The library's own ``send_n_event_report`` would stop that thread,
and take whatever arrives next for the answer, be it the peer's next request.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Final, Protocol

from pydicom.uid import UID
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import N_EVENT_REPORT

from mome_node.catalog.commitments import AskingPeer
from mome_node.dicom.commitment import COMMITMENT_CLASS, COMMITMENT_INSTANCE
from mome_node.errors import TransientDeliveryError

SILENCE_S: Final = 1.0
"""A peer that releases after its request, or goes on sending, does so sooner than that."""

ANSWER_S: Final = 30.0
"""A peer that has not answered a report by then is not told on this association again."""

_TURN_S: Final = 2.0  # for the association's thread to come by
_MESSAGE_IDS: Final = 1 << 16


class EventContent(Protocol):
    """What an N-EVENT-REPORT says."""

    @property
    def event_type(self) -> int:
        """The Event Type ID."""

    def encode(self, transfer_syntax_uid: str) -> bytes:
        """Return the Event Information as a data set."""


@dataclass(slots=True)
class _Report:
    """A report on its way; ``status`` is the peer's answer."""

    request: N_EVENT_REPORT
    is_sent: bool = False
    status: int | None = None


class EventReports:
    """The reports on one association, one at a time."""

    def __init__(
        self,
        association: Association,
        silent_for_s: Callable[[], float],
        wake: Callable[[], None],
    ) -> None:
        self._association = association
        self._wake = wake
        self._silent_for_s = silent_for_s
        self._message_id = 0
        self._report: _Report | None = None
        self._is_usable = True
        self._changed = threading.Condition()
        self._one_at_a_time = threading.Lock()

    @property
    def is_usable(self) -> bool:
        """Whether the association is open and its peer has answered whatever it was told."""
        return self._is_usable

    def may_send(self) -> bool:
        """Tell whether the peer neither says anything nor waits for an answer."""
        return self._silent_for_s() >= SILENCE_S

    def send(self, content: EventContent) -> int | None:
        """Report to the peer; its status, or None if it became busy before anything was sent.

        Blocks until the answer comes. TransientDeliveryError if none does.
        """
        with self._one_at_a_time, self._changed:
            report = _Report(self._request(content))
            self._report = report
            self._wake()  # the association's thread
            self._changed.wait_for(lambda: report.is_sent or not self._is_usable, _TURN_S)
            if not report.is_sent and self._is_usable:
                self._report = None
                return None
            self._changed.wait_for(
                lambda: report.status is not None or not self._is_usable, ANSWER_S
            )
            self._report = None
            if report.status is None:
                self._is_usable = False
                raise TransientDeliveryError(
                    "the association ended, or brought no answer, after the report"
                )
            return report.status

    def send_waiting(self) -> None:
        """Send what waits, if the peer is silent; called by the association's own thread."""
        report = self._report
        if report is None or report.is_sent or not self.may_send():
            return
        with self._changed:
            if self._report is not report:
                return
            context_id = _context(self._association)[0]
            self._association.dimse.send_msg(report.request, context_id)
            report.is_sent = True
            self._changed.notify_all()

    def answered(self, answer: N_EVENT_REPORT) -> None:
        """Take the peer's answer to what was sent; any other is dropped."""
        with self._changed:
            report = self._report
            if (
                report is not None
                and report.is_sent
                and answer.MessageIDBeingRespondedTo == report.request.MessageID
            ):
                report.status = answer.Status if answer.Status is not None else 0
                self._changed.notify_all()

    def close(self) -> None:
        """The association has ended: nobody waits for an answer any more."""
        with self._changed:
            self._is_usable = False
            self._changed.notify_all()

    def _request(self, content: EventContent) -> N_EVENT_REPORT:
        self._message_id = (self._message_id + 1) % _MESSAGE_IDS
        request = N_EVENT_REPORT()
        request.MessageID = self._message_id
        request.AffectedSOPClassUID = UID(COMMITMENT_CLASS)
        request.AffectedSOPInstanceUID = UID(COMMITMENT_INSTANCE)
        request.EventTypeID = content.event_type
        transfer_syntax = _context(self._association)[1]
        request.EventInformation = BytesIO(content.encode(transfer_syntax))
        return request


class AskingAssociations:
    """Which association brought which peer's transaction, while it is open."""

    def __init__(self) -> None:
        self._reports: dict[tuple[str, AskingPeer], EventReports] = {}
        self._lock = threading.Lock()

    def note(self, transaction_uid: str, peer: AskingPeer, reports: EventReports) -> None:
        """Remember where the answer to a transaction may go."""
        with self._lock:
            self._reports = {key: r for key, r in self._reports.items() if r.is_usable}
            self._reports[transaction_uid, peer] = reports

    def find(self, transaction_uid: str, peer: AskingPeer) -> EventReports | None:
        """Return the way to the peer over the association that brought its request, if any."""
        with self._lock:
            reports = self._reports.get((transaction_uid, peer))
        return reports if reports is not None and reports.is_usable else None


def _context(association: Association) -> tuple[int, str]:
    """Return the accepted context for commitment: its ID and transfer syntax."""
    for context in association.accepted_contexts:
        if context.abstract_syntax == COMMITMENT_CLASS and context.context_id is not None:
            return context.context_id, str(context.transfer_syntax[0])
    raise TransientDeliveryError("the association has no presentation context for commitment")
