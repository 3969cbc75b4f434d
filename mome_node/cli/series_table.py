"""`series --table`: roles and phases of series of which a table of attributes is all there is."""

from __future__ import annotations

import csv
import gzip
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from sys import intern
from tempfile import NamedTemporaryFile
from typing import TextIO, cast

from mome_node.assembly.rules import AssemblyRules
from mome_node.assembly.series_table import (
    AttributedRole,
    SeriesAttributes,
    roles_from_attributes,
)
from mome_node.errors import TableError

COLUMNS = {
    "StudyInstanceUID": "study_uid",
    "SeriesInstanceUID": "series_uid",
    "StudyDescription": "study_description",
    "SeriesDescription": "series_description",
    "SeriesNumber": "series_number",
    "Manufacturer": "manufacturer",
    "ManufacturerModelName": "model_name",
    "BodyPartExamined": "body_part",
    "Modality": "modality",
    "instanceCount": "instance_count",
}
"""Columns that are read; all others are passed on."""

REQUIRED = ("StudyInstanceUID", "SeriesInstanceUID", "SeriesDescription")
ADDED = ("role", "phase", "reason")

MAX_ROWS = 5_000_000
"""Rows that one table may have: each costs about half a kilobyte of memory."""

MAX_LINE = 1 << 20
"""Characters that one row may have."""

_NUMBERS = frozenset({"series_number", "instance_count"})


def tell_roles(table: Path, out: Path, rules: AssemblyRules) -> int:
    """Write the table with role, phase and reason added; the number of its rows.

    Either may end in ``.gz``. The table is read twice, so that only what the roles need is kept.
    Raises TableError where it is no table, lacks a column or is beyond all bounds.
    """
    with _rows(table) as (header, rows):
        roles = roles_from_attributes(list(_attributes(header, rows)), rules)
    with _rows(table) as (header, rows), _replacing(out) as file:
        writer = csv.writer(file, lineterminator="\n")
        kept = [n for n, name in enumerate(header) if name not in ADDED]
        writer.writerow([*(header[n] for n in kept), *ADDED])
        for row, role in zip(rows, roles, strict=True):
            writer.writerow([*(row[n] for n in kept), *_told(role)])
    return len(roles)


def _told(role: AttributedRole) -> tuple[str, str, str]:
    return role.role.value, "" if role.phase is None else str(role.phase), role.reason


def _attributes(header: Sequence[str], rows: Iterator[list[str]]) -> Iterator[SeriesAttributes]:
    """The rows as attributes; equal texts are kept once."""
    places = {name: header.index(column) for column, name in COLUMNS.items() if column in header}
    read = {name: (_integer if name in _NUMBERS else intern, n) for name, n in places.items()}
    for row in rows:
        values = {name: convert(row[n]) for name, (convert, n) in read.items()}
        yield SeriesAttributes(**values)  # type: ignore[arg-type] # by COLUMNS


def _integer(text: str) -> int | None:
    try:
        return int(float(text))
    except (ValueError, OverflowError):
        return None


@contextmanager
def _rows(table: Path) -> Iterator[tuple[list[str], Iterator[list[str]]]]:
    """Header and rows, each row as long as the header."""
    try:
        with _open(table) as file:
            lines = csv.reader(_bounded(file, table), strict=True)
            header = next(lines, [])
            missing = [name for name in REQUIRED if name not in header]
            if missing:
                raise TableError(f"{table}: no column {', '.join(missing)} in its first line")
            yield header, _checked(lines, len(header), table)
    except (csv.Error, EOFError, gzip.BadGzipFile) as error:
        raise TableError(f"{table}: cannot be read as a table: {error}") from error
    except OSError as error:
        raise TableError(f"{table}: cannot be read: {error.strerror or error}") from error


def _open(table: Path) -> TextIO:
    if table.suffix == ".gz":
        return gzip.open(table, "rt", encoding="utf-8-sig", errors="replace", newline="")
    return table.open(encoding="utf-8-sig", errors="replace", newline="")


def _bounded(file: TextIO, table: Path) -> Iterator[str]:
    """Lines of bounded length: a compressed file may hold one that never ends."""
    while line := file.readline(MAX_LINE):
        if len(line) == MAX_LINE:
            raise TableError(f"{table}: a line of more than {MAX_LINE} characters")
        yield line


def _checked(lines: Iterator[list[str]], width: int, table: Path) -> Iterator[list[str]]:
    for number, row in enumerate(filter(None, lines), 1):
        if number > MAX_ROWS:
            raise TableError(f"{table}: more than {MAX_ROWS} rows")
        if len(row) != width:
            raise TableError(f"{table}: row {number} has {len(row)} values, the header {width}")
        yield row


@contextmanager
def _replacing(out: Path) -> Iterator[TextIO]:
    """A file that takes its name only when it is whole; a device is never replaced."""
    if out.exists() and not out.is_file():
        raise TableError(f"{out}: is no file")
    try:
        with NamedTemporaryFile(dir=out.parent, prefix=f".{out.name}-", delete=False) as temporary:
            part = Path(temporary.name)
    except OSError as error:
        raise TableError(f"{out}: cannot be written: {error.strerror}") from error
    try:
        with _writing(part, packed=out.suffix == ".gz") as file:
            yield file
        part.chmod(0o666 & ~_umask())
        part.replace(out)
    except OSError as error:
        raise TableError(f"{out}: cannot be written: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)


def _writing(part: Path, *, packed: bool) -> TextIO:
    if packed:
        return cast(TextIO, gzip.open(part, "wt", encoding="utf-8", newline=""))
    return part.open("w", encoding="utf-8", newline="")


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
