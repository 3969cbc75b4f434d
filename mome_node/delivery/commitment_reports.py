"""Reports on storage commitment (PS3.4 J.3.3): each goes to the peer that asked, and nobody else.

On the association that brought the request, while it is open; else on one of ours, if the
settings say where the peer listens. What is reported is looked up when the way to the peer is
open, so that a report that was delayed for hours still says what is there. A crash between the
peer's answer and the record sends the report once more, which a peer takes for what it knows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from io import BytesIO
from typing import Final, Protocol

import structlog
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.presentation import build_context, build_role

from mome_node.catalog.commitments import (
    AskingPeer,
    Commitment,
    CommitmentLedger,
    CommitmentState,
)
from mome_node.delivery.association import DEFAULT_TIMEOUTS, Timeouts, association
from mome_node.delivery.commitment_check import CommitmentCheck
from mome_node.delivery.destination import Destination
from mome_node.delivery.retry import RetryPolicy
from mome_node.dicom.commitment import COMMITMENT_CLASS, COMMITMENT_INSTANCE, CommitmentResult
from mome_node.errors import DeliveryError, PermanentDeliveryError, TransientDeliveryError

_log = structlog.get_logger(__name__)

_LOOK_AGAIN: Final = timedelta(seconds=2)
_BUSY_FOR: Final = timedelta(seconds=1)
_REMEMBERED: Final = timedelta(days=30)
_SUCCESS: Final = 0x0000
_TEMPORARY: Final = frozenset({0x0110, 0x0213})  # processing failure, resource limitation


class ReportChannel(Protocol):
    """The association that a request came on."""

    def may_send(self) -> bool:
        """Tell whether the peer neither says anything nor waits for an answer."""

    def send(self, content: CommitmentResult) -> int | None:
        """Report to the peer; its status, or None if it became busy before anything was sent."""


@dataclass(frozen=True, slots=True)
class ReportingPolicy:
    """How long is waited for instances, and how long a report is tried; seconds."""

    wait_s: float = 30.0
    give_up_s: float = 72 * 3600.0
    retry: RetryPolicy = field(default_factory=RetryPolicy)


@dataclass(slots=True)
class CommitmentReports:
    """Reports what is due.

    ``channel_of`` finds the open association that brought a peer's transaction, ``listener_of``
    where a peer can be called, None where there is none.
    """

    ledger: CommitmentLedger
    check: CommitmentCheck
    channel_of: Callable[[str, AskingPeer], ReportChannel | None]
    listener_of: Callable[[AskingPeer], Destination | None]
    clock: Callable[[], datetime]
    policy: ReportingPolicy = field(default_factory=ReportingPolicy)
    timeouts: Timeouts = DEFAULT_TIMEOUTS
    _left_until: dict[int, datetime] = field(default_factory=dict, init=False)

    def run_round(self) -> None:
        """Report what is due; those first whose peers wait on an open association."""
        now = self.clock()
        self._left_until = {n: until for n, until in self._left_until.items() if until > now}
        elsewhere: dict[AskingPeer, list[Commitment]] = {}
        for due in self.ledger.due(now):
            if due.commitment_id in self._left_until or self._awaits_instances(due):
                continue
            channel = self.channel_of(due.transaction_uid, due.peer)
            if channel is None:
                elsewhere.setdefault(due.peer, []).append(due)
            elif channel.may_send():
                self._report_on(channel, due)
            else:
                self._leave(due, self.clock() + _BUSY_FOR)
        for peer, commitments in elsewhere.items():
            self._call(peer, commitments)

    def remove_old(self) -> None:
        """Forget transactions that were settled long ago."""
        self.ledger.remove_settled(self.clock() - _REMEMBERED)

    def _awaits_instances(self, due: Commitment) -> bool:
        """Leave a transaction alone while an instance that it names may still be on its way."""
        until = due.asked_at + timedelta(seconds=self.policy.wait_s)
        now = self.clock()
        if now >= until or not self.ledger.awaits_instances(due.commitment_id):
            return False
        self._leave(due, min(until, now + _LOOK_AGAIN))
        return True

    def _leave(self, due: Commitment, until: datetime) -> None:
        """Leave a transaction alone for a moment; not worth a write that others wait for."""
        self._left_until[due.commitment_id] = until

    def _report_on(self, channel: ReportChannel, due: Commitment) -> None:
        result = self.check.result_of(due)
        try:
            status = channel.send(result)
        except DeliveryError as error:
            self._fail(due, error)
            return
        if status is None:
            self._leave(due, self.clock() + _BUSY_FOR)
            return
        self._answered(due, result, status, "the peer's association")

    def _call(self, peer: AskingPeer, commitments: Sequence[Commitment]) -> None:
        """Report several transactions on one association of ours."""
        listener = self.listener_of(peer)
        if listener is None:
            for due in commitments:
                self._give_up(
                    due, "the peer's association has ended, and dicom.allowed_peers has no port"
                )
            return
        waiting = list(commitments)
        try:
            with association(
                listener,
                [build_context(COMMITMENT_CLASS, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])],
                self.timeouts,
                roles=[build_role(COMMITMENT_CLASS, scp_role=True)],
            ) as opened:
                while waiting:
                    result = self.check.result_of(waiting[0])
                    status = _send(opened, result, listener, self.timeouts)
                    self._answered(waiting.pop(0), result, status, str(listener))
        except DeliveryError as error:
            for due in waiting:
                self._fail(due, error)

    def _answered(self, due: Commitment, result: CommitmentResult, status: int, way: str) -> None:
        if status != _SUCCESS:
            kind = TransientDeliveryError if status in _TEMPORARY else PermanentDeliveryError
            self._fail(due, kind(f"the peer answers the report with status {status:04X}"))
            return
        self.ledger.settle(due, CommitmentState.REPORTED, self.clock())
        reasons = sorted({f"{reason:04X}" for _, reason in result.failed})
        _log.info(
            "commitment reported",
            transaction=due.transaction_uid,
            calling_ae=due.peer.ae_title,
            way=way,
            committed=len(result.committed),
            failed=len(result.failed),
            reasons=reasons,
        )

    def _fail(self, due: Commitment, error: DeliveryError) -> None:
        """Try again later, even after a permanent error: somebody may mend the settings."""
        now = self.clock()
        attempts = due.attempts + 1
        again = now + timedelta(seconds=self.policy.retry.delay_s(attempts))
        if again >= due.asked_at + timedelta(seconds=self.policy.give_up_s):
            self._give_up(due, str(error))
            return
        self.ledger.postpone(due, again, str(error))
        _log.warning(
            "commitment report failed",
            transaction=due.transaction_uid,
            calling_ae=due.peer.ae_title,
            attempts=attempts,
            next_attempt_at=again.isoformat(),
            cause=str(error),
        )

    def _give_up(self, due: Commitment, cause: str) -> None:
        self.ledger.settle(due, CommitmentState.GIVEN_UP, self.clock(), cause)
        _log.error(
            "commitment report given up",
            transaction=due.transaction_uid,
            calling_ae=due.peer.ae_title,
            host=due.peer.address,
            cause=cause,
        )


def _send(
    opened: Association, result: CommitmentResult, listener: Destination, timeouts: Timeouts
) -> int:
    """Send one N-EVENT-REPORT and return the peer's status; TransientDeliveryError."""
    context = next(iter(opened.accepted_contexts))
    request = N_EVENT_REPORT()
    request.MessageID = 1
    request.AffectedSOPClassUID = UID(COMMITMENT_CLASS)
    request.AffectedSOPInstanceUID = UID(COMMITMENT_INSTANCE)
    request.EventTypeID = result.event_type
    request.EventInformation = BytesIO(result.encode(str(context.transfer_syntax[0])))
    if not opened.is_established or context.context_id is None:
        raise TransientDeliveryError(f"{listener}: the association was lost")
    opened.dimse.send_msg(request, context.context_id)
    _, answer = opened.dimse.get_msg(block=True)
    if not isinstance(answer, N_EVENT_REPORT) or answer.Status is None:
        raise TransientDeliveryError(
            f"{listener}: the link broke, or no answer to N-EVENT-REPORT within "
            f"{timeouts.answer_s:g} s"
        )
    return int(answer.Status)
