"""Switches that every process of the node sees."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy.orm import Session

from mome_node.catalog.tables import FlagTable

PAUSED: Final = "paused"  # evaluation and delivery stop, receiving goes on


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
