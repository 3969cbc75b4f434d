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

WRONG_USAGE = 2
"""The exit status where a command was asked for what it does not do, as argparse's own."""


def console() -> Console:
    """Standard error, for people who watch."""
    return Console(stderr=True, highlight=False, markup=False)


def say(text: str = "") -> None:
    """A line of the result, on standard output; what a file or a peer said moves no cursor."""
    sys.stdout.write(f"{_without_controls(text)}\n")
    sys.stdout.flush()


def complain(command: str, text: str) -> None:
    """What is wrong, on standard error; further lines stand alone."""
    lines = [_without_controls(line) for line in text.split("\n")]
    sys.stderr.write("\n".join([f"mome-node {command}: {lines[0]}", *lines[1:]]) + "\n")


def say_json(value: Any) -> None:
    """The result for a program, on standard output."""
    sys.stdout.write(f"{json.dumps(value, indent=2, allow_nan=False)}\n")
    sys.stdout.flush()


def say_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table on a terminal, tab-separated lines elsewhere."""
    out = Console(highlight=False, markup=False)
    cells = [[_without_controls(str(cell)) for cell in row] for row in rows]
    if not out.is_terminal:
        for line in (columns, *cells):
            sys.stdout.write("\t".join(line) + "\n")
        sys.stdout.flush()
        return
    table = Table(*columns)
    for line in cells:
        table.add_row(*line)
    out.print(table)


@contextmanager
def progress(text: str, total: int | None = None) -> Iterator[Progress]:
    """A bar on standard error (nothing where that is no terminal), with one task."""
    columns = [SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
    watcher = console()
    off = not watcher.is_terminal
    with Progress(*columns, console=watcher, transient=True, disable=off) as bar:
        bar.add_task(text, total=total)
        yield bar


def _without_controls(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)
