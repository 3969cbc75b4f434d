"""Acts: what was done to a study's instances, beside its steps from state to state."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from mome_node.catalog.records import ActRecord
from mome_node.catalog.tables import ActTable, StudyTable


def tell(session: Session, study_uid: str, cause: str, at: datetime) -> None:
    """Append one act to the study's history."""
    revision = session.get_one(StudyTable, study_uid).revision
    session.add(ActTable(study_uid=study_uid, revision=revision, cause=cause, at=at))


def of_study(session: Session, study_uid: str) -> tuple[ActRecord, ...]:
    """Return all acts on a study, the oldest first."""
    rows = session.scalars(
        select(ActTable).where(ActTable.study_uid == study_uid).order_by(ActTable.id)
    )
    return tuple(ActRecord(row.study_uid, row.revision, row.cause, row.at) for row in rows)
