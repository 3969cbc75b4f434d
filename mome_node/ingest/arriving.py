"""An instance that comes piece by piece: what is wrong with it is answered at its end."""

from __future__ import annotations

from typing import BinaryIO

from mome_node.dicom.uids import is_valid_uid
from mome_node.errors import StorageError
from mome_node.ingest.outcome import Refusal, Status, storage_refusal
from mome_node.storage.store import (
    IncomingInstance,
    InstanceIdentity,
    InstanceStore,
    StoredInstance,
)


class ArrivingInstance:
    """Takes the bytes of a data set into the store. ``write`` never raises.

    Once something is wrong, its temporary file is gone and further bytes are thrown away: a
    sender that is in the middle of a data set listens to no answer.
    """

    def __init__(
        self,
        store: InstanceStore,
        identity: InstanceIdentity,
        max_bytes: int,
        transfer_syntaxes: frozenset[str],
    ) -> None:
        self.identity = identity
        self._max_bytes = max_bytes
        self._incoming: IncomingInstance | None = None
        self._refusal: Refusal | None = None
        try:
            if not is_valid_uid(identity.sop_class_uid):
                raise Refusal(Status.INVALID_UID, "the SOP Class UID is not valid (PS3.5 9.1)")
            if not is_valid_uid(identity.sop_instance_uid):
                raise Refusal(Status.INVALID_UID, "the SOP Instance UID is not valid (PS3.5 9.1)")
            if identity.transfer_syntax_uid not in transfer_syntaxes:
                raise Refusal(Status.CANNOT_UNDERSTAND, "the transfer syntax is not accepted")
            self._incoming = store.begin(identity)
        except Refusal as refusal:
            self._refusal = refusal
        except StorageError as error:
            self._refusal = storage_refusal(error)

    @property
    def size(self) -> int:
        """Bytes of the data set that were taken."""
        return self._incoming.size if self._incoming else 0

    def write(self, data: bytes | memoryview) -> None:
        """Take further bytes of the data set."""
        if self._incoming is None:
            return
        if self._incoming.size + len(data) > self._max_bytes:
            self.refuse(Refusal(Status.TOO_LARGE, f"data set larger than {self._max_bytes} bytes"))
            return
        try:
            self._incoming.write(data)
        except StorageError as error:
            self.refuse(storage_refusal(error))

    def open_dataset(self) -> BinaryIO:
        """Return a reader over the data set; Refusal if something is wrong with it."""
        try:
            return self._whole().open_dataset()
        except StorageError as error:
            raise storage_refusal(error) from error

    def finish(self) -> StoredInstance:
        """Begin to make the bytes durable, and say what they are; Refusal if something is wrong."""
        try:
            return self._whole().finish()
        except StorageError as error:
            raise storage_refusal(error) from error

    def finished(self) -> IncomingInstance:
        """Return what is to be published; Refusal if the instance was given up."""
        return self._whole()

    def refuse(self, refusal: Refusal) -> None:
        """Give the instance up, for this reason."""
        self.discard()
        self._refusal = refusal

    def discard(self) -> None:
        """Forget the instance. Harmless after it was published and when called again."""
        if self._incoming is not None:
            self._incoming.discard()
            self._incoming = None
            self._refusal = Refusal(Status.PROCESSING_FAILURE, "the instance was given up")

    def _whole(self) -> IncomingInstance:
        if self._incoming is None:
            raise self._refusal or Refusal(Status.PROCESSING_FAILURE, "the instance is gone")
        return self._incoming
