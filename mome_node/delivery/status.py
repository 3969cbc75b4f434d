"""What a C-STORE status means for a delivery (PS3.4 table B.2-1, PS3.7 annex C)."""

from __future__ import annotations

from typing import Final

from mome_node.delivery.destination import Receipt
from mome_node.errors import PermanentDeliveryError, TransientDeliveryError

_SUCCESS = 0x0000
_WARNINGS = {
    0x0001: "requested optional attributes are not supported",
    0x0107: "attribute list error",
    0x0116: "attribute value out of range",
    0xB000: "coercion of data elements",
    0xB006: "elements discarded",
    0xB007: "data set does not match SOP class",
    # UIDs of results are derived from their content: what the peer has is what we sent.
    0x0111: "duplicate SOP instance: the peer has it already",
}
_PERMANENT = {
    0x0117: "invalid SOP instance",
    0x0122: "SOP class not supported",
    0x0124: "not authorised",
}
_TRANSIENT = {
    0x0110: "processing failure",
    0x0213: "resource limitation",
}
_RANGES = {
    (0xA700, 0xA7FF): "out of resources",
    (0xA900, 0xA9FF): "data set does not match SOP class",
    (0xB000, 0xBFFF): "warning",
    (0xC000, 0xCFFF): "cannot understand",
}

STATUSES: Final = (
    *((s, s) for s in (_SUCCESS, *_WARNINGS, *_PERMANENT, *_TRANSIENT)),
    *_RANGES,
)
"""First and last of all statuses that are told apart, for the conformance statement."""


def judge(sop_instance_uid: str, status: int, peer: str) -> Receipt:
    """Turn a C-STORE status into a receipt.

    Stored: success and warnings, which are noted. Transient: out of resources (0xA7xx) and
    failures that say nothing of the object, unknown ones included. Permanent: the object or its
    class is refused (0xA9xx, 0xCxxx, 0x0117, 0x0122, 0x0124).
    """
    if status == _SUCCESS:
        return Receipt(sop_instance_uid, status)
    words = f"0x{status:04X}, {words_of(status)}"
    if _is_warning(status):
        return Receipt(sop_instance_uid, status, note=words)
    kind = PermanentDeliveryError if _is_permanent(status) else TransientDeliveryError
    # The peer's Error Comment (0000,0902) is left out: it may quote the patient.
    refusal = kind(f"{peer}: did not store instance {sop_instance_uid}: {words}")
    return Receipt(sop_instance_uid, status, error=refusal)


def _is_warning(status: int) -> bool:
    return status in _WARNINGS or 0xB000 <= status <= 0xBFFF


def _is_permanent(status: int) -> bool:
    return status in _PERMANENT or 0xA900 <= status <= 0xA9FF or 0xC000 <= status <= 0xCFFF


def words_of(status: int) -> str:
    """What a failure or warning status means, in words."""
    known = _WARNINGS.get(status) or _PERMANENT.get(status) or _TRANSIENT.get(status)
    if known:
        return known
    return next(
        (w for (low, high), w in _RANGES.items() if low <= status <= high), "unknown status"
    )
