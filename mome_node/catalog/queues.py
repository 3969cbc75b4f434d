"""How the queues of the destinations stand: paused, failing, until when nothing is tried."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from mome_node.catalog.records import QueueRecord
from mome_node.catalog.tables import DestinationQueueTable


def find(session: Session, name: str) -> QueueRecord:
    """Return one queue."""
    row = session.get(DestinationQueueTable, name)
    return _record(row) if row is not None else QueueRecord(name)


def all_queues(session: Session) -> tuple[QueueRecord, ...]:
    """Return the queues of which there is something to say, by name."""
    rows = session.scalars(select(DestinationQueueTable).order_by(DestinationQueueTable.name))
    return tuple(_record(row) for row in rows)


def pause(session: Session, name: str, cause: str, at: datetime) -> None:
    """Let nothing more go to a destination; the first cause and time stay."""
    row = _row(session, name)
    if row.paused_at is None:
        row.paused_at, row.pause_cause = at, cause


def resume(session: Session, name: str) -> None:
    """End a destination's pause, and try at once what was put off because it failed."""
    row = _row(session, name)
    row.paused_at, row.pause_cause, row.next_attempt_at = None, "", None


def note_failure(session: Session, name: str, why: str, until: datetime, at: datetime) -> None:
    """Count a round that failed; nothing is tried before ``until``."""
    row = _row(session, name)
    row.failures += 1
    row.failing_since = at if row.failing_since is None else row.failing_since
    row.next_attempt_at, row.last_error = until, why


def note_success(session: Session, name: str) -> None:
    """Forget the failures: the destination answers."""
    row = _row(session, name)
    row.failures, row.failing_since, row.next_attempt_at, row.last_error = 0, None, None, ""


def _row(session: Session, name: str) -> DestinationQueueTable:
    row = session.get(DestinationQueueTable, name, with_for_update=True)
    if row is None:
        row = DestinationQueueTable(
            name=name,
            paused_at=None,
            pause_cause="",
            failures=0,
            failing_since=None,
            next_attempt_at=None,
            last_error="",
        )
        session.add(row)
    return row


def _record(row: DestinationQueueTable) -> QueueRecord:
    return QueueRecord(
        name=row.name,
        paused_at=row.paused_at,
        pause_cause=row.pause_cause,
        failures=row.failures,
        failing_since=row.failing_since,
        next_attempt_at=row.next_attempt_at,
        last_error=row.last_error,
    )
