"""How commands speak: tables and progress bars for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table


def console() -> Console:
    """Standard error, for people who watch."""
    return Console(stderr=True, highlight=False, markup=False)


def say(text: str = "") -> None:
    """A line of the result, on standard output."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def say_json(value: Any) -> None:
    """The result for a program, on standard output."""
    say(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def say_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table on a terminal, tab-separated lines elsewhere."""
    out = Console(highlight=False, markup=False)
    if not out.is_terminal:
        for row in (columns, *rows):
            say("\t".join(str(cell) for cell in row))
        return
    table = Table(*columns)
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    out.print(table)


@contextmanager
def progress(text: str, total: int | None = None) -> Iterator[Progress]:
    """A bar on standard error (nothing where that is no terminal), with one task."""
    columns = [SpinnerColumn(), TextColumn("{task.description}"), BarColumn()]
    with Progress(*columns, MofNCompleteColumn(), console=console(), transient=True) as bar:
        bar.add_task(text, total=total)
        yield bar
