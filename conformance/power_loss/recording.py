"""What a process asked of its disk: the log that the preloaded recorder wrote, as operations.

Files, directories and connections are named by their inode numbers.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

_HEADER = struct.Struct("<IIQQQQ")  # struct header in preload/record.h


class UnknownOperationError(Exception):
    """The process did something that the model of the disk does not know."""


@dataclass(frozen=True, slots=True)
class FileMade:
    """A new, empty file; its name, if it gets one, follows."""

    file: int


@dataclass(frozen=True, slots=True)
class Linked:
    directory: int
    name: str
    file: int


@dataclass(frozen=True, slots=True)
class Unlinked:
    directory: int
    name: str


@dataclass(frozen=True, slots=True)
class Renamed:
    directory: int
    name: str
    to_directory: int
    to_name: str


@dataclass(frozen=True, slots=True)
class DirectoryMade:
    parent: int
    name: str
    directory: int


@dataclass(frozen=True, slots=True)
class Written:
    file: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Resized:
    file: int
    size: int


@dataclass(frozen=True, slots=True)
class SyncBegan:
    """A sync of a file, a directory, or of everything (0); ``which`` tells its end."""

    subject: int
    which: int
    path: str


@dataclass(frozen=True, slots=True)
class SyncEnded:
    which: int


@dataclass(frozen=True, slots=True)
class Sent:
    """Bytes that are about to leave over a connection."""

    connection: int
    data: bytes


Operation: TypeAlias = (
    FileMade
    | Linked
    | Unlinked
    | Renamed
    | DirectoryMade
    | Written
    | Resized
    | SyncBegan
    | SyncEnded
    | Sent
)


def read_recording(path: Path) -> tuple[Operation, ...]:
    """Return the operations in order; UnknownOperationError."""
    log = path.read_bytes()
    operations: list[Operation] = []
    position = 0
    while position < len(log):
        kind, name_length, subject, object_, offset, length = _HEADER.unpack_from(log, position)
        position += _HEADER.size
        name = log[position : position + name_length].decode()
        position += name_length
        data = log[position : position + length]
        position += length
        operations.append(_operation(kind, name, subject, object_, offset, data))
    return tuple(operations)


def _operation(
    kind: int, name: str, subject: int, object_: int, offset: int, data: bytes
) -> Operation:
    match kind:  # enum kind in preload/record.h
        case 1:
            return FileMade(subject)
        case 2:
            return Linked(subject, name, object_)
        case 3:
            return Unlinked(subject, name)
        case 4:
            return Renamed(subject, name, object_, data.decode())
        case 5:
            return DirectoryMade(subject, name, object_)
        case 6:
            return Written(subject, offset, data)
        case 7:
            return Resized(subject, offset)
        case 8:
            return SyncBegan(subject, object_, name)
        case 9:
            return SyncEnded(object_)
        case 10:
            return Sent(subject, data)
    raise UnknownOperationError(name)
