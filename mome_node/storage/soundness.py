"""Whether an instance in the store is still what was received."""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable
from enum import Enum, auto
from typing import BinaryIO, Final

from mome_node.errors import StorageError

_GROUP_LENGTH_ENDS: Final = 144  # preamble, prefix and the first element (PS3.10 7.1)
_GROUP_LENGTH: Final = struct.Struct("<HH2sHL")


class Soundness(Enum):
    """What was found."""

    SOUND = auto()
    ABSENT = auto()
    DAMAGED = auto()  # or unreadable


def examine(
    open_instance: Callable[[str], BinaryIO],
    key: str,
    *,
    size: int | None,
    sha256_in: tuple[str, str] | None = None,
) -> Soundness:
    """Look at the file of an instance whose data set has ``size`` bytes, None if nobody knows.

    ``open_instance`` is the store's. ``sha256_in``: the transfer syntax UID and the digest over it
    and the data set (see StoredInstance), if all bytes are to be read and compared, too.
    """
    try:
        with open_instance(key) as file:
            return _examined(file, size, sha256_in)
    except StorageError as error:
        absent = isinstance(error.__cause__, FileNotFoundError)
        return Soundness.ABSENT if absent else Soundness.DAMAGED
    except OSError:
        return Soundness.DAMAGED


def _examined(file: BinaryIO, size: int | None, sha256_in: tuple[str, str] | None) -> Soundness:
    start = _dataset_start(file.read(_GROUP_LENGTH_ENDS))
    if start is None:
        return Soundness.DAMAGED
    if size is not None and file.seek(0, os.SEEK_END) - start != size:
        return Soundness.DAMAGED
    if sha256_in is None:
        return Soundness.SOUND
    transfer_syntax_uid, expected = sha256_in
    prefix = transfer_syntax_uid.encode("ascii") + b"\0"
    file.seek(start)
    found = hashlib.file_digest(file, lambda: hashlib.sha256(prefix)).hexdigest()  # type: ignore[arg-type]  # a BinaryIO of a file has readinto
    return Soundness.SOUND if found == expected else Soundness.DAMAGED


def _dataset_start(head: bytes) -> int | None:
    """Return where the data set begins, None if this is no head of a DICOM file."""
    if len(head) < _GROUP_LENGTH_ENDS or head[128:132] != b"DICM":
        return None
    group, element, vr, _, length = _GROUP_LENGTH.unpack(head[132:])
    if (group, element, vr) != (0x0002, 0x0000, b"UL"):
        return None
    return _GROUP_LENGTH_ENDS + int(length)
