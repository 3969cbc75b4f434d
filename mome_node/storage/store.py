"""The port of the instance store: what ingest, volumes and delivery may ask of any store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, Protocol

from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID

from mome_node.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME


@dataclass(frozen=True, slots=True)
class InstanceIdentity:
    """What the File Meta Information says of an instance (PS3.10 7.1)."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str

    def file_meta(self) -> bytes:
        """Return preamble, prefix and File Meta Information; the data set follows them."""
        meta = FileMetaDataset()
        meta.FileMetaInformationVersion = b"\x00\x01"
        meta.MediaStorageSOPClassUID = UID(self.sop_class_uid)
        meta.MediaStorageSOPInstanceUID = UID(self.sop_instance_uid)
        meta.TransferSyntaxUID = UID(self.transfer_syntax_uid)
        meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
        meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
        encoded = DicomBytesIO()
        write_file_meta_info(encoded, meta)
        return b"\x00" * 128 + b"DICM" + encoded.getvalue()


@dataclass(frozen=True, slots=True)
class StoredInstance:
    """An instance that is durable: its key in the store, its digest and its size in bytes.

    ``sha256`` is over the transfer syntax and the bytes of the data set, ``size`` counts the
    data set alone.
    """

    key: str
    sha256: str
    size: int


class IncomingInstance(Protocol):
    """An instance on its way in: invisible until ``commit`` has made it durable."""

    @property
    def size(self) -> int:
        """Bytes of the data set so far."""

    def write(self, data: bytes) -> None:
        """Append bytes of the data set; StorageFullError when there is no room for them."""

    def open_dataset(self) -> BinaryIO:
        """Return a reader over what was written, at the first byte of the data set."""

    def commit(self) -> StoredInstance:
        """Make the instance durable under its key; StorageError if that fails."""

    def discard(self) -> None:
        """Forget the instance. Harmless after ``commit`` and when called again."""


class InstanceStore(Protocol):
    """Durable put, get and delete of instances, each under a key that its bytes decide."""

    def begin(self, identity: InstanceIdentity) -> IncomingInstance:
        """Open a new instance; StorageFullError below the free-space watermark."""

    def open(self, key: str) -> BinaryIO:
        """Return a reader over the whole file (PS3.10); StorageError if there is none."""

    def delete(self, key: str) -> None:
        """Remove an instance; nothing happens if there is none."""

    def list_keys(self) -> Iterator[tuple[str, datetime]]:
        """Yield every key with the time (UTC) when its file was written."""
