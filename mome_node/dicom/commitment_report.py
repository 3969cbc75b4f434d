"""Reports on storage commitment that a peer sends (N-EVENT-REPORT, PS3.4 J.3.3), read as hostile.

They come on an association that we opened to ask, or on one that the peer opens to tell; both
read them here, and answer with the same statuses.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from pydicom.uid import UID

from mome_node.dicom.attribute_list import (
    AttributeFault,
    AttributeRefusal,
    items_of,
    read_attribute_list,
    uid_of,
)
from mome_node.dicom.commitment import CommitmentAnswer, FailureReason
from mome_node.dicom.dataset_walk import WalkedItem, WalkLimits

MAX_REFERENCES: Final = 50_000
LIMITS: Final = WalkLimits(max_depth=8, max_elements=12 * MAX_REFERENCES)

_EVENT_TYPES: Final = frozenset({1, 2})  # all is committed; failures exist (PS3.4 J.3.3.1.1)
_US_BYTES: Final = 2
_TRANSACTION: Final = 0x00081195
_INSTANCE: Final = 0x00081155
_REASON: Final = 0x00081197
_FAILED: Final = 0x00081198
_COMMITTED: Final = 0x00081199
_WANTED: Final = frozenset({_TRANSACTION, _INSTANCE, _REASON, _FAILED, _COMMITTED})


class ReportStatus(IntEnum):
    """Our answers to an N-EVENT-REPORT request (PS3.7 10.1.1.1.8 and annex C)."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110
    NO_SUCH_INSTANCE = 0x0112
    NO_SUCH_EVENT = 0x0113
    INVALID_VALUE = 0x0115
    NO_SUCH_CLASS = 0x0118
    RESOURCE_LIMITATION = 0x0213


STATUS_OF_FAULT: Final = {
    AttributeFault.BROKEN: ReportStatus.PROCESSING_FAILURE,
    AttributeFault.TOO_MUCH: ReportStatus.RESOURCE_LIMITATION,
    AttributeFault.MISSING: ReportStatus.INVALID_VALUE,
    AttributeFault.EMPTY: ReportStatus.INVALID_VALUE,
    AttributeFault.INVALID: ReportStatus.INVALID_VALUE,
}


@dataclass(frozen=True, slots=True)
class CommitmentReport:
    """A valid report."""

    transaction_uid: str
    answer: CommitmentAnswer


def is_event_type(number: int | None) -> bool:
    """Tell whether an Event Type ID is one of the class's."""
    return number in _EVENT_TYPES


def read_report(information: bytes, transfer_syntax_uid: str) -> CommitmentReport:
    """Read and check an Event Information (PS3.4 table J.3-2); AttributeRefusal.

    What the sequences say counts, not the event type beside them. An instance that stands in
    both is not committed. What nothing here depends on may be absent, such as SOP Class UIDs.
    """
    found = read_attribute_list(information, transfer_syntax_uid, _WANTED, LIMITS)
    transaction_uid = uid_of(found, _TRANSACTION)
    failed = found.sequences.get(_FAILED, [])
    # One of the two has to say something.
    committed = found.sequences.get(_COMMITTED, []) if failed else items_of(found, _COMMITTED)
    if len(failed) + len(committed) > MAX_REFERENCES:
        raise AttributeRefusal(
            AttributeFault.TOO_MUCH, f"more than {MAX_REFERENCES} instances in one report"
        )
    little = UID(transfer_syntax_uid).is_little_endian
    reasons = {uid_of(item, _INSTANCE): _reason(item, little=little) for item in failed}
    safe = frozenset(uid_of(item, _INSTANCE) for item in committed)
    return CommitmentReport(transaction_uid, CommitmentAnswer(safe - reasons.keys(), reasons))


def _reason(item: WalkedItem, *, little: bool) -> int:
    """Return the Failure Reason (0008,1197); a failure without a sound one is one all the same."""
    value = item.values.get(_REASON, b"")
    if len(value) != _US_BYTES:
        return FailureReason.PROCESSING_FAILURE
    return int.from_bytes(value, "little" if little else "big")
