"""Switches that every process of the node sees."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from mome_node.catalog.tables import FlagTable

PAUSED: Final = "paused"  # evaluation and delivery stop, receiving goes on
_ALARM: Final = "alarm "  # before the name of an alarm: a person is needed


@dataclass(frozen=True, slots=True)
class AlarmRecord:
    """Something that needs a person and is not over yet: its name, its cause, since when."""

    name: str
    cause: str
    since: datetime


def switch_on(session: Session, name: str, cause: str, at: datetime) -> None:
    """Switch a flag on; the first cause stays if it is on already."""
    if session.get(FlagTable, name) is None:
        session.add(FlagTable(name=name, cause=cause, set_at=at))


def switch_off(session: Session, name: str) -> None:
    """Switch a flag off."""
    row = session.get(FlagTable, name)
    if row is not None:
        session.delete(row)


def is_on(session: Session, name: str) -> bool:
    """Tell whether a flag is on."""
    return session.get(FlagTable, name) is not None


def begin_alarm(session: Session, name: str, cause: str, at: datetime) -> None:
    """Keep an alarm until it is ended; the first cause stays."""
    switch_on(session, _ALARM + name, cause, at)


def end_alarm(session: Session, name: str) -> None:
    """End an alarm; harmless if there is none."""
    switch_off(session, _ALARM + name)


def alarms(session: Session) -> tuple[AlarmRecord, ...]:
    """Return the alarms that are not over, by name."""
    rows = session.scalars(
        select(FlagTable).where(FlagTable.name.startswith(_ALARM)).order_by(FlagTable.name)
    )
    return tuple(AlarmRecord(r.name.removeprefix(_ALARM), r.cause, r.set_at) for r in rows)
