"""The most forgetful disk that POSIX allows, and what it holds after a loss of power.

A file's bytes and size last once a sync of the file that began after the change has ended; a name
once such a sync of its directory has. Everything else may be lost, each change by itself: of a
write, each block. Only a rename within one directory is one change.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Self, TypeAlias, TypeVar

from conformance.power_loss.recording import (
    DirectoryMade,
    FileMade,
    Linked,
    Operation,
    Renamed,
    Resized,
    Sent,
    SyncBegan,
    SyncEnded,
    UnknownOperationError,
    Unlinked,
    Written,
)

BLOCK = 4096
"""Bytes that a disk writes whole or not at all."""

Survives: TypeAlias = Callable[[], bool]
"""Whether the next change survives that nothing has made durable."""


def nothing() -> bool:
    """All that was not synced is lost."""
    return False


def everything() -> bool:
    """Nothing is lost: what the process itself sees."""
    return True


@dataclass(frozen=True)
class Image:
    """What is on the disk, by path relative to its root."""

    files: Mapping[str, bytes]
    directories: frozenset[str]

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Read a real folder."""
        found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
        return cls(
            {name: path.read_bytes() for name, path in found.items() if path.is_file()},
            frozenset(name for name, path in found.items() if path.is_dir()),
        )

    def write_to(self, folder: Path) -> None:
        """Lay it out in an empty or new folder."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in sorted(self.directories):
            (folder / name).mkdir()
        for name, data in self.files.items():
            (folder / name).write_bytes(data)


_Change = TypeVar("_Change")


@dataclass
class _Node(ABC, Generic[_Change]):
    """What a file or directory holds for sure, and the changes that may still be lost."""

    pending: list[tuple[int, _Change]] = field(default_factory=list)

    def settle(self, moment: int) -> None:
        """Make the changes up to a moment durable."""
        for when, change in self.pending:
            if when <= moment:
                self.settle_one(change)
        self.pending = [(when, change) for when, change in self.pending if when > moment]

    @abstractmethod
    def settle_one(self, change: _Change) -> None:
        """Make one change durable."""


@dataclass(eq=False)
class _File(_Node[Written | Resized]):
    durable: bytearray = field(default_factory=bytearray)

    def settle_one(self, change: Written | Resized) -> None:
        _change_bytes(self.durable, change)

    def after_loss(self, survives: Survives) -> bytes:
        data = bytearray(self.durable)
        for _, change in self.pending:
            if survives():
                _change_bytes(data, change)
        return bytes(data)


@dataclass(frozen=True)
class _Entries:
    """Names that change together: what each leads to, None if to nothing."""

    changed: tuple[tuple[str, _File | _Directory | None], ...]


@dataclass(eq=False)
class _Directory(_Node[_Entries]):
    durable: dict[str, _File | _Directory] = field(default_factory=dict)
    seen: dict[str, _File | _Directory] = field(default_factory=dict)  # with all that is pending

    def change(self, moment: int, *changed: tuple[str, _File | _Directory | None]) -> None:
        entries = _Entries(changed)
        self.pending.append((moment, entries))
        _change_entries(self.seen, entries)

    def settle_one(self, change: _Entries) -> None:
        _change_entries(self.durable, change)

    def after_loss(self, survives: Survives) -> dict[str, _File | _Directory]:
        entries = dict(self.durable)
        for _, change in self.pending:
            if survives():
                _change_entries(entries, change)
        return entries


class Disk:
    """Takes the operations of a recording one by one; ``root`` is an empty directory's inode."""

    def __init__(self, root: int) -> None:
        self._root = _Directory()
        self._nodes: dict[int, _File | _Directory] = {root: self._root}
        self._syncs: dict[int, tuple[tuple[_File | _Directory, ...], int]] = {}
        self._moment = 0

    def apply(self, operation: Operation) -> None:
        """Take the next operation; UnknownOperationError if it is of a file never seen."""
        self._moment += 1
        match operation:
            case FileMade(file):
                self._nodes[file] = _File()
            case Linked(directory, name, file):
                self._directory(directory).change(self._moment, (name, self._node(file)))
            case Unlinked(directory, name):
                self._directory(directory).change(self._moment, (name, None))
            case Renamed():
                self._rename(operation)
            case DirectoryMade(parent, name, directory):
                made = self._nodes[directory] = _Directory()
                self._directory(parent).change(self._moment, (name, made))
            case Written(file):
                for block in _blocks(operation):
                    self._file(file).pending.append((self._moment, block))
            case Resized(file):
                self._file(file).pending.append((self._moment, operation))
            case SyncBegan(subject, which):
                of = (self._node(subject),) if subject else tuple(self._nodes.values())
                self._syncs[which] = of, self._moment
            case SyncEnded(which):
                nodes, moment = self._syncs.pop(which)
                for node in nodes:
                    node.settle(moment)
            case Sent():
                pass

    def image(self, survives: Survives = nothing) -> Image:
        """What is there after a loss of power now."""
        files: dict[str, bytes] = {}
        directories: set[str] = set()
        waiting = [("", self._root)]
        while waiting:
            above, directory = waiting.pop()
            for name, node in directory.after_loss(survives).items():
                path = f"{above}{name}"
                if isinstance(node, _Directory):
                    directories.add(path)
                    waiting.append((f"{path}/", node))
                else:
                    files[path] = node.after_loss(survives)
        return Image(files, frozenset(directories))

    def _rename(self, renamed: Renamed) -> None:
        source, target = self._directory(renamed.directory), self._directory(renamed.to_directory)
        node = source.seen[renamed.name]
        if source is target:
            source.change(self._moment, (renamed.name, None), (renamed.to_name, node))
        else:
            source.change(self._moment, (renamed.name, None))
            target.change(self._moment, (renamed.to_name, node))

    def _node(self, inode: int) -> _File | _Directory:
        try:
            return self._nodes[inode]
        except KeyError:
            raise UnknownOperationError(f"inode {inode} was never made") from None

    def _file(self, inode: int) -> _File:
        node = self._node(inode)
        assert isinstance(node, _File)
        return node

    def _directory(self, inode: int) -> _Directory:
        node = self._node(inode)
        assert isinstance(node, _Directory)
        return node


def _blocks(written: Written) -> Iterator[Written]:
    begin, end = written.offset, written.offset + len(written.data)
    while begin < end:
        until = min(end, (begin // BLOCK + 1) * BLOCK)
        yield Written(
            written.file, begin, written.data[begin - written.offset : until - written.offset]
        )
        begin = until


def _change_bytes(data: bytearray, change: Written | Resized) -> None:
    size = change.size if isinstance(change, Resized) else change.offset
    if size > len(data):
        data.extend(bytes(size - len(data)))
    if isinstance(change, Resized):
        del data[size:]
    else:
        data[size : size + len(change.data)] = change.data


def _change_entries(entries: dict[str, _File | _Directory], change: _Entries) -> None:
    for name, node in change.changed:
        if node is None:
            entries.pop(name, None)
        else:
            entries[name] = node
