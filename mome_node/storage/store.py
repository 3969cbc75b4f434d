"""The port of the instance store: what ingest, volumes and delivery may ask of any store."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from mome_node.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

_PREAMBLE: Final = b"\0" * 128 + b"DICM"


@dataclass(frozen=True, slots=True)
class InstanceIdentity:
    """What the File Meta Information says of an instance (PS3.10 7.1)."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str

    def file_meta(self) -> bytes:
        """Return preamble, prefix and File Meta Information; the data set follows them.

        Written here, as it is the same few elements for every instance that comes and the
        library's writer takes as long as storing the instance does.
        """
        version = struct.pack("<HH2s2xL2s", 0x0002, 0x0001, b"OB", 2, b"\0\1")
        elements = version + b"".join(
            (
                _element(0x0002, b"UI", self.sop_class_uid, b"\0"),
                _element(0x0003, b"UI", self.sop_instance_uid, b"\0"),
                _element(0x0010, b"UI", self.transfer_syntax_uid, b"\0"),
                _element(0x0012, b"UI", IMPLEMENTATION_CLASS_UID, b"\0"),
                _element(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME, b" "),
            )
        )
        group_length = struct.pack("<HH2sHL", 0x0002, 0x0000, b"UL", 4, len(elements))
        return _PREAMBLE + group_length + elements


def _element(number: int, vr: bytes, value: str, padding: bytes) -> bytes:
    """Encode an element of group 0002 with a short value (PS3.5 7.1.2)."""
    encoded = value.encode("ascii")
    encoded += padding * (len(encoded) % 2)
    return struct.pack("<HH2sH", 0x0002, number, vr, len(encoded)) + encoded


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
    """An instance on its way in: invisible until it is published."""

    @property
    def size(self) -> int:
        """Bytes of the data set so far."""

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes of the data set; StorageFullError when there is no room for them."""

    def open_dataset(self) -> BinaryIO:
        """Return a reader over what was written, at the first byte of the data set."""

    def finish(self) -> StoredInstance:
        """Begin to make the bytes durable, and say meanwhile what they are; StorageError."""

    def publish(self) -> None:
        """Wait until the bytes are durable, and keep them from now on; StorageError."""

    def withdraw(self) -> None:
        """Let ``discard`` remove it after all: nothing names it."""

    def take_place_of(self, other: Path) -> None:
        """Put the published file where another one is, or was; StorageError."""

    def discard(self) -> None:
        """Forget the instance. Harmless after it was published and when called again."""


class InstanceStore(Protocol):
    """Durable put, get and delete of instances, each under a key of the store's own."""

    def begin(self, identity: InstanceIdentity) -> IncomingInstance:
        """Open a new instance; StorageFullError below the free-space watermark."""

    def publish(self, finished: Sequence[IncomingInstance]) -> None:
        """Wait until finished instances are durable, and keep them; StorageError if one fails.

        Again for the same ones changes nothing.
        """

    def replace(self, key: str, published: IncomingInstance) -> None:
        """Let a published instance lie under ``key``, whose file is damaged or gone."""

    def open(self, key: str) -> BinaryIO:
        """Return a reader over the whole file (PS3.10); StorageError if there is none."""

    def delete(self, key: str) -> None:
        """Remove an instance; nothing happens if there is none."""

    def delete_abandoned(self, key: str) -> bool:
        """Remove a file unless a living receiver holds it open; whether that was done."""

    def list_keys(self) -> Iterator[tuple[str, datetime]]:
        """Yield every key with the time (UTC) when its file was written."""
