"""The beginning of a PS3.10 file, read while it arrives: preamble, prefix, File Meta Information.

Only three UIDs are taken from it. The File Meta Information that is kept is written by the store.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from mome_node.errors import HeaderError
from mome_node.storage.store import InstanceIdentity

MAX_FILE_META_BYTES: Final = 1 << 16
_PREFIX_AT: Final = 128
_GROUP_LENGTH_AT: Final = 132
_META_AT: Final = 144
_PREFIX: Final = b"DICM"
_GROUP_LENGTH: Final = struct.pack("<HH2sH", 0x0002, 0x0000, b"UL", 4)
_SOP_CLASS: Final = 0x00020002
_SOP_INSTANCE: Final = 0x00020003
_TRANSFER_SYNTAX: Final = 0x00020010
_LONG_VRS: Final = frozenset(str(vr).encode() for vr in EXPLICIT_VR_LENGTH_32)


class FileMetaReader:
    """Takes the first bytes of a file piece by piece, until its data set begins (PS3.10 7.1)."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> tuple[InstanceIdentity, bytes] | None:
        """Take further bytes; the identity and the data set's first bytes, None before them.

        HeaderError where this is no PS3.10 file. A UID that the file does not tell is empty.
        """
        self._held += data
        prefix = self._held[_PREFIX_AT:_GROUP_LENGTH_AT]
        if not _PREFIX.startswith(prefix):
            raise HeaderError("this is no DICOM file: there is no DICM after 128 bytes")
        if len(self._held) < _META_AT:
            return None
        end = _META_AT + _group_length(self._held)
        if len(self._held) < end:
            return None
        values = _read(bytes(self._held[_META_AT:end]))
        identity = InstanceIdentity(
            sop_class_uid=_uid(values, _SOP_CLASS),
            sop_instance_uid=_uid(values, _SOP_INSTANCE),
            transfer_syntax_uid=_uid(values, _TRANSFER_SYNTAX),
        )
        return identity, bytes(self._held[end:])


def _group_length(held: bytearray) -> int:
    if held[_GROUP_LENGTH_AT : _META_AT - 4] != _GROUP_LENGTH:
        raise HeaderError("there is no File Meta Information Group Length (PS3.10 7.1)")
    (length,) = struct.unpack_from("<I", held, _META_AT - 4)
    if length > MAX_FILE_META_BYTES:
        raise HeaderError(
            f"File Meta Information of {length} bytes, {MAX_FILE_META_BYTES} are allowed"
        )
    return int(length)


def _read(meta: bytes) -> dict[int, bytes]:
    values: dict[int, bytes] = {}
    for tag, value in _elements(meta):
        if tag in values:
            raise HeaderError("an element stands twice in the File Meta Information")
        values[tag] = value
    return values


def _elements(meta: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and value; the encoding is Explicit VR Little Endian always (PS3.10 7.1)."""
    position = 0
    while position < len(meta):
        try:
            group, element, vr = struct.unpack_from("<HH2s", meta, position)
            layout = "<8xI" if vr in _LONG_VRS else "<6xH"
            (length,) = struct.unpack_from(layout, meta, position)
        except struct.error as error:
            raise HeaderError("the File Meta Information is cut off in an element") from error
        begin = position + struct.calcsize(layout)
        position = begin + length
        if group != 0x0002 or position > len(meta):
            raise HeaderError("the File Meta Information does not end where its length says")
        yield group << 16 | element, meta[begin:position]


def _uid(values: dict[int, bytes], tag: int) -> str:
    return values.get(tag, b"").rstrip(b"\0 ").decode("ascii", "replace")
