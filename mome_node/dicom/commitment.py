"""What storage commitment says (PS3.4 annex J): its names, its request and result as encoded."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from pydicom.uid import UID

COMMITMENT_CLASS: Final = "1.2.840.10008.1.20.1"
COMMITMENT_INSTANCE: Final = "1.2.840.10008.1.20.1.1"
"""The well-known SOP Instance of the Storage Commitment Push Model (PS3.4 J.3.5)."""

_TRANSACTION: Final = 0x00081195
_CLASS: Final = 0x00081150
_INSTANCE: Final = 0x00081155
_REASON: Final = 0x00081197
_FAILED: Final = 0x00081198
_NAMED: Final = 0x00081199
_ITEM: Final = 0xFFFEE000


class FailureReason(IntEnum):
    """Failure Reason (0008,1197), those that this node gives (PS3.3 C.14.1.1)."""

    PROCESSING_FAILURE = 0x0110
    NO_SUCH_INSTANCE = 0x0112
    CLASS_INSTANCE_CONFLICT = 0x0119
    CLASS_NOT_SUPPORTED = 0x0122


@dataclass(frozen=True, slots=True, order=True)
class ReferencedInstance:
    """A SOP Instance that somebody asks us to keep safe, or that we ask somebody to."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class CommitmentRequest:
    """What is to be kept safe, under the name of the transaction."""

    transaction_uid: str
    named: tuple[ReferencedInstance, ...]

    def encode(self, transfer_syntax_uid: str) -> bytes:
        """Return the Action Information (PS3.4 table J.3-1) as a data set."""
        encoding = _encoding(transfer_syntax_uid)
        items = (_item(encoding, what) for what in self.named)
        return encoding.uid(_TRANSACTION, self.transaction_uid) + encoding.sequence(_NAMED, items)


@dataclass(frozen=True, slots=True)
class CommitmentAnswer:
    """What a report on storage commitment says (PS3.4 J.3.3) of instances that we asked for.

    ``committed`` holds SOP Instance UIDs, ``failed`` the Failure Reason (0008,1197) by SOP
    Instance UID. Of what is in neither it says nothing.
    """

    committed: frozenset[str]
    failed: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class CommitmentResult:
    """What is safely here of the instances of one transaction, and what is not, and why."""

    transaction_uid: str
    committed: tuple[ReferencedInstance, ...]
    failed: tuple[tuple[ReferencedInstance, FailureReason], ...]

    @property
    def event_type(self) -> int:
        """Event Type ID: 1 when all is committed, 2 when failures exist (PS3.4 J.3.3.1.1)."""
        return 2 if self.failed else 1

    def encode(self, transfer_syntax_uid: str) -> bytes:
        """Return the Event Information (PS3.4 table J.3-2) as a data set.

        Written here and not by a library: 50,000 items as objects take 20 s and 80 MB. No
        Retrieve AE Title is given: nothing can be retrieved from this node.
        """
        encoding = _encoding(transfer_syntax_uid)
        parts = [encoding.uid(_TRANSACTION, self.transaction_uid)]
        if self.failed:
            failed = (_item(encoding, what, reason) for what, reason in self.failed)
            parts.append(encoding.sequence(_FAILED, failed))
        if self.committed:
            committed = (_item(encoding, what) for what in self.committed)
            parts.append(encoding.sequence(_NAMED, committed))
        return b"".join(parts)


def _item(
    encoding: _Encoding, what: ReferencedInstance, reason: FailureReason | None = None
) -> bytes:
    item = encoding.uid(_CLASS, what.sop_class_uid) + encoding.uid(_INSTANCE, what.sop_instance_uid)
    return item if reason is None else item + encoding.number(_REASON, reason)


def _encoding(transfer_syntax_uid: str) -> _Encoding:
    syntax = UID(transfer_syntax_uid)
    return _Encoding(syntax.is_implicit_VR, "<" if syntax.is_little_endian else ">")


@dataclass(frozen=True, slots=True)
class _Encoding:
    """How elements are written (PS3.5 7.1); ``order`` is the byte order in the words of struct."""

    is_implicit_vr: bool
    order: str

    def uid(self, tag: int, value: str) -> bytes:
        text = value.encode("ascii")
        return self._element(tag, b"UI", text + b"\0" * (len(text) % 2))

    def number(self, tag: int, value: int) -> bytes:
        return self._element(tag, b"US", struct.pack(f"{self.order}H", value))

    def sequence(self, tag: int, items: Iterable[bytes]) -> bytes:
        body = b"".join(self._head(_ITEM, len(item)) + item for item in items)
        if self.is_implicit_vr:
            return self._head(tag, len(body)) + body
        vr = struct.pack(f"{self.order}HH2s2xL", tag >> 16, tag & 0xFFFF, b"SQ", len(body))
        return vr + body

    def _element(self, tag: int, vr: bytes, value: bytes) -> bytes:
        if self.is_implicit_vr:
            return self._head(tag, len(value)) + value
        head = struct.pack(f"{self.order}HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value))
        return head + value

    def _head(self, tag: int, length: int) -> bytes:
        return struct.pack(f"{self.order}HHL", tag >> 16, tag & 0xFFFF, length)
