"""The digests of a model package's files: SHA256SUMS, as ``sha256sum -c`` reads it."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from mome_node.errors import PackageError

SUMS = "SHA256SUMS"

_MAX_TEXT_BYTES = 2**20
_MAX_FILES = 200
_SUM_LINE = re.compile(r"([0-9a-f]{64})  ([^\r\n]{1,200})")
_MAX_THREADS = 8


@dataclass(frozen=True, slots=True)
class FileStamp:
    """What changes when a file is written to or replaced; cheap to ask, unlike a digest.

    A stamp that was taken before the file was hashed covers everything since.
    """

    device: int
    inode: int
    size: int
    modified_ns: int

    @staticmethod
    def of(path: Path) -> FileStamp:
        """Ask the file system. Raises OSError."""
        found = path.stat()
        return FileStamp(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def write_sums(root: Path, names: Iterable[str]) -> None:
    """Write the digests of the named files."""
    (root / SUMS).write_text(_sums_text(_digests(root, names)), encoding="utf-8")


def verified_sums(root: Path, *, required: Iterable[str]) -> dict[str, str]:
    """Read the digests and hold each file against its own.

    Raises PackageError if a file is missing, altered, a link, or not named in the digests.
    """
    if not (root / SUMS).is_file():
        raise PackageError(f"{root.name or root} is no model package: it has no {SUMS}")
    sums: dict[str, str] = {}
    for line in read_text(root / SUMS).splitlines():
        match = _SUM_LINE.fullmatch(line)
        if match is None or match[2] in sums:
            raise PackageError(f"{SUMS} has a line that is no digest, or a file twice")
        sums[match[2]] = match[1]
    found = _files(root)
    if missing := (set(required) | sums.keys()) - found:
        raise PackageError(f"the package lacks {', '.join(sorted(missing)[:5])}")
    if added := found - sums.keys() - {SUMS}:
        raise PackageError(f"{SUMS} does not name {', '.join(sorted(added)[:5])}; remove them")
    for name, digest in _digests(root, sums).items():
        if digest != sums[name]:
            raise PackageError(f"{name} was altered: it has not the digest that {SUMS} states")
    return sums


def _files(root: Path) -> set[str]:
    names = set()
    for path in root.rglob("*"):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise PackageError(f"{path.relative_to(root)} is a link or no plain file")
        if path.is_file():
            names.add(path.relative_to(root).as_posix())
        if len(names) > _MAX_FILES:
            raise PackageError(f"the package has more than {_MAX_FILES} files")
    return names


def read_text(path: Path) -> str:
    """Read a text of bounded size. Raises PackageError."""
    if path.stat().st_size > _MAX_TEXT_BYTES:
        raise PackageError(f"{path.name} has more than {_MAX_TEXT_BYTES} bytes")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise PackageError(f"{path.name} is no text in UTF-8") from error


def _digests(root: Path, names: Iterable[str]) -> dict[str, str]:
    """The digest of each file; hashing leaves Python free, so threads share the work."""
    listed = list(names)
    threads = max(1, min(_MAX_THREADS, os.cpu_count() or 1, len(listed)))
    with ThreadPoolExecutor(threads, thread_name_prefix="digest") as pool:
        return dict(zip(listed, pool.map(lambda name: sha256(root / name), listed), strict=True))


def _sums_text(sums: Mapping[str, str]) -> str:
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items()))


def digest_of(sums: Mapping[str, str]) -> str:
    """Return one digest over all files: that of the sorted list of theirs."""
    return hashlib.sha256(_sums_text(sums).encode()).hexdigest()


def sha256(path: Path) -> str:
    """Return the digest of one file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
