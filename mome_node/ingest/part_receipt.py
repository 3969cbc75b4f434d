"""The instances of a Store request: each part through the one receipt, on its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

import structlog

from mome_node.dicom.rejection_note import KEY_OBJECT_SELECTION
from mome_node.dicom.uids import is_valid_uid
from mome_node.errors import HeaderError
from mome_node.ingest.arriving import ArrivingInstance
from mome_node.ingest.http_refusal import RequestRefusal
from mome_node.ingest.media_types import DICOM, media_type_of
from mome_node.ingest.outcome import Outcome, Refusal, Status
from mome_node.ingest.part10 import FileMetaReader
from mome_node.ingest.receipt import Reception

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends a request, as the catalogue and the log name it."""

    name: str
    may_reject: bool = False


@dataclass(frozen=True, slots=True)
class StoredPart:
    """What became of one part. Its UIDs are empty where it did not tell valid ones."""

    sop_class_uid: str
    sop_instance_uid: str
    outcome: Outcome


class PartReceipt:
    """Takes the parts of one request; a part that is wrong fails alone.

    ``of_study``: the only study that is taken, empty for any. RequestRefusal 413 for more than
    ``max_parts``, and 503 when there was no room for any instance and the first was sent in vain.
    """

    def __init__(self, reception: Reception, sender: Sender, of_study: str, max_parts: int) -> None:
        self.stored: list[StoredPart] = []
        self._reception = reception
        self._sender = sender
        self._of_study = of_study
        self._max_parts = max_parts
        self._meta = FileMetaReader()
        self._arriving: ArrivingInstance | None = None
        self._fault: Refusal | None = None

    def begin(self, headers: Mapping[str, str]) -> None:
        """Take the header fields of the next part."""
        if len(self.stored) >= self._max_parts:
            told = f"more than {self._max_parts} instances in one request"
            raise RequestRefusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, told)
        self._meta = FileMetaReader()
        self._arriving = None
        self._fault = _fault_of(headers)

    def write(self, data: bytes) -> None:
        """Take bytes of the part."""
        if self._arriving is None and self._fault is None:
            data = self._open(data)
        if self._arriving is not None:
            self._arriving.write(data)

    def end(self) -> None:
        """Answer for the part; the instance is durable then, or gone."""
        arriving = self._arriving
        if arriving is None:
            part = StoredPart("", "", self._refused())
        else:
            outcome = self._reception.receive(
                arriving,
                self._sender.name,
                may_reject=self._may_reject(arriving),
                of_study=self._of_study,
            )
            part = _named(arriving, outcome)
            self._arriving = None
        self.stored.append(part)
        if part.outcome.status is Status.OUT_OF_RESOURCES and len(self.stored) == 1:
            raise RequestRefusal(HTTPStatus.SERVICE_UNAVAILABLE, part.outcome.comment)

    def discard(self) -> None:
        """Forget the instance that is on its way. What was answered for stays."""
        if self._arriving is not None:
            self._arriving.discard()
            self._arriving = None

    def _open(self, data: bytes) -> bytes:
        """Look for the data set's beginning; its first bytes."""
        try:
            begun = self._meta.feed(data)
        except HeaderError as error:
            self._fault = Refusal(Status.CANNOT_UNDERSTAND, str(error))
            return b""
        if begun is None:
            return b""
        identity, data = begun
        self._arriving = self._reception.begin(identity)
        return data

    def _refused(self) -> Outcome:
        fault = self._fault or Refusal(
            Status.CANNOT_UNDERSTAND, "the file ends before its data set (PS3.10 7.1)"
        )
        log.warning(
            "part refused",
            status=f"{fault.status:04X}",
            why=str(fault),
            calling_ae=self._sender.name,
        )
        return Outcome(fault.status, str(fault))

    def _may_reject(self, arriving: ArrivingInstance) -> bool:
        is_note = arriving.identity.sop_class_uid == KEY_OBJECT_SELECTION
        return is_note and self._sender.may_reject


def _fault_of(headers: Mapping[str, str]) -> Refusal | None:
    """What is wrong with a part by its header fields. They may be missing (RFC 2387 3.1)."""
    if media_type_of(headers.get("content-type", DICOM))[0] != DICOM:
        return Refusal(Status.CANNOT_UNDERSTAND, f"the part is not {DICOM}")
    encoding = headers.get("content-transfer-encoding", "binary").lower()
    if encoding not in {"binary", "8bit", "7bit"} or "content-encoding" in headers:
        return Refusal(Status.CANNOT_UNDERSTAND, "the part is encoded: only the whole body may be")
    return None


def _named(arriving: ArrivingInstance, outcome: Outcome) -> StoredPart:
    uids = (arriving.identity.sop_class_uid, arriving.identity.sop_instance_uid)
    if not all(is_valid_uid(uid) for uid in uids):
        return StoredPart("", "", outcome)
    return StoredPart(*uids, outcome)
