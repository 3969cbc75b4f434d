"""Requests for storage commitment: validate, keep, answer (PS3.4 annex J, N-ACTION).

Success says that the request is kept, not that what it names is: that is told by the report,
which is sent when the store has been looked at. The same request again is answered with success
and reported once more, since the first report may have been lost.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Final

import structlog

from mome_node.catalog.commitments import AskingPeer, CommitmentLedger, Opening
from mome_node.dicom.attribute_list import (
    AttributeFault,
    AttributeRefusal,
    items_of,
    read_attribute_list,
    uid_of,
)
from mome_node.dicom.commitment import CommitmentRequest, ReferencedInstance
from mome_node.dicom.dataset_walk import WalkedItem, WalkLimits
from mome_node.errors import CatalogError
from mome_node.ingest.event_reports import AskingAssociations, EventReports

log = structlog.get_logger(__name__)

MAX_REFERENCES: Final = 50_000
LIMITS: Final = WalkLimits(max_depth=8, max_elements=12 * MAX_REFERENCES)

_REQUEST_COMMITMENT: Final = 1  # Action Type ID, PS3.4 table J.3-1
_TRANSACTION: Final = 0x00081195
_SEQUENCE: Final = 0x00081199
_CLASS: Final = 0x00081150
_INSTANCE: Final = 0x00081155
_WANTED: Final = frozenset({_TRANSACTION, _SEQUENCE, _CLASS, _INSTANCE})


class ActionStatus(IntEnum):
    """Answers to an N-ACTION request (PS3.7 10.1.4.1.10 and annex C)."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110
    NO_SUCH_INSTANCE = 0x0112
    INVALID_VALUE = 0x0115
    NO_SUCH_CLASS = 0x0118
    NO_SUCH_ACTION = 0x0123
    NOT_AUTHORISED = 0x0124
    RESOURCE_LIMITATION = 0x0213


_STATUS_OF: Final = {
    AttributeFault.BROKEN: ActionStatus.PROCESSING_FAILURE,
    AttributeFault.TOO_MUCH: ActionStatus.RESOURCE_LIMITATION,
    AttributeFault.MISSING: ActionStatus.INVALID_VALUE,
    AttributeFault.EMPTY: ActionStatus.INVALID_VALUE,
    AttributeFault.INVALID: ActionStatus.INVALID_VALUE,
}
_REFUSED: Final = {
    Opening.OF_ANOTHER_PEER: (
        ActionStatus.NOT_AUTHORISED,
        "this Transaction UID belongs to another peer",
    ),
    Opening.OF_OTHER_INSTANCES: (
        ActionStatus.INVALID_VALUE,
        "this Transaction UID was used for other instances",
    ),
    Opening.TOO_MANY: (
        ActionStatus.RESOURCE_LIMITATION,
        "too many instances await a report: ask later",
    ),
}


@dataclass(frozen=True, slots=True)
class ActionAnswer:
    """What became of a request. ``comment`` is for the sender and holds no patient data."""

    status: ActionStatus
    comment: str = ""


class CommitmentReception:
    """The receipt of requests. Safe for several threads; one is read at a time."""

    def __init__(
        self,
        ledger: CommitmentLedger,
        clock: Callable[[], datetime],
        asking: AskingAssociations,
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._asking = asking
        self._turn = threading.Lock()

    def receive(
        self,
        action_type: int | None,
        information: bytes,
        transfer_syntax_uid: str,
        peer: AskingPeer,
        reports: EventReports,
    ) -> ActionAnswer:
        """Take in an N-ACTION request; how that ended.

        ``reports``: how the peer can be told on the association that it asks on.
        """
        if action_type != _REQUEST_COMMITMENT:
            return ActionAnswer(ActionStatus.NO_SUCH_ACTION, "only action type 1 is known")
        try:
            with self._turn:
                request = read_request(information, transfer_syntax_uid)
                # Before it can be due: without a way to the peer it would be given up.
                self._asking.note(request.transaction_uid, peer, reports)
                opening = self._ledger.open(
                    request.transaction_uid, peer, request.named, self._clock()
                )
        except AttributeRefusal as refusal:
            return _refused(_STATUS_OF[refusal.fault], str(refusal), peer)
        except CatalogError:
            log.exception("a request for commitment could not be kept")
            return _refused(
                ActionStatus.PROCESSING_FAILURE, "could not be kept: send it again", peer
            )
        if opening in _REFUSED:
            return _refused(*_REFUSED[opening], peer)
        log.info(
            "commitment asked for",
            transaction=request.transaction_uid,
            named=len(request.named),
            request=opening.value,
            calling_ae=peer.ae_title,
        )
        return ActionAnswer(ActionStatus.SUCCESS)


def read_request(information: bytes, transfer_syntax_uid: str) -> CommitmentRequest:
    """Read and check an Action Information (PS3.4 table J.3-1); AttributeRefusal.

    An instance that stands there twice is named once. Storage media are not looked at.
    """
    found = read_attribute_list(information, transfer_syntax_uid, _WANTED, LIMITS)
    transaction_uid = uid_of(found, _TRANSACTION)
    items = items_of(found, _SEQUENCE)
    if len(items) > MAX_REFERENCES:
        raise AttributeRefusal(
            AttributeFault.TOO_MUCH, f"more than {MAX_REFERENCES} instances in one request"
        )
    return CommitmentRequest(transaction_uid, tuple(dict.fromkeys(map(_reference, items))))


def _reference(item: WalkedItem) -> ReferencedInstance:
    return ReferencedInstance(uid_of(item, _CLASS), uid_of(item, _INSTANCE))


def _refused(status: ActionStatus, why: str, peer: AskingPeer) -> ActionAnswer:
    log.warning("commitment refused", status=f"{status:04X}", why=why, calling_ae=peer.ae_title)
    return ActionAnswer(status, why)
