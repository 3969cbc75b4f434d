"""Results that destinations have to be told to take back: which, and by which note.

A result that was superseded may lie at a destination. The report of the next revision names its
predecessor; nothing else does, so segmentations and pictures are rejected by a note (IHE IOCM).
What is withdrawn because it may harm is rejected with its report.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, and_, exists, func, or_, select, update
from sqlalchemy.orm import Session

from mome_node.catalog import acts, outbox, results, studies
from mome_node.catalog.database import Database
from mome_node.catalog.records import (
    RejectionRow,
    ResultRecord,
    Route,
    Superseded,
)
from mome_node.catalog.states import StudyState, targets_of
from mome_node.catalog.tables import DeliveryTable, ResultTable
from mome_node.errors import CatalogError

REJECTION_KIND: Final = "rejection"
REPORT_KIND: Final = "sr"


class WithdrawalLedger:
    """What destinations have to be told. Every method is one short transaction of the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def withdraw(self, study_uid: str, cause: str, at: datetime) -> int:
        """Take back every result of a study that stands; how many. CatalogError if none does."""
        with self._database.write() as session:
            return withdraw(session, study_uid, cause, at)

    def studies_to_tell_of(
        self, *, but_not: Collection[str] = (), limit: int = 100
    ) -> tuple[str, ...]:
        """Return studies with results that destinations have to be told to take back."""
        with self._database.read() as session:
            return studies_to_tell_of(session, but_not, limit)

    def untold_since(self) -> datetime | None:
        """Return since when a destination has had to be told of something; None if of nothing."""
        with self._database.read() as session:
            return session.scalar(
                select(func.min(ResultTable.superseded_at)).where(
                    _is_to_be_rejected(), exists().where(_may_be_there())
                )
            )

    def to_reject(self, study_uid: str) -> tuple[tuple[str, Superseded, ResultRecord], ...]:
        """Return (destination, why, result) for all of a study that has to be rejected there."""
        with self._database.read() as session:
            return to_reject(session, study_uid)

    def add(self, study_uid: str, rejections: Sequence[RejectionRow], at: datetime) -> None:
        """Keep rejection notes and put them in the outbox, once. CatalogError."""
        with self._database.write() as session:
            add_rejections(session, study_uid, rejections, at)


def studies_to_tell_of(session: Session, but_not: Collection[str], limit: int) -> tuple[str, ...]:
    """Return studies with a superseded result that may lie where no note rejects it yet."""
    statement = (
        select(ResultTable.study_uid)
        .where(
            _is_to_be_rejected(),
            exists().where(_may_be_there()),
            ResultTable.study_uid.not_in(but_not),
        )
        .distinct()
        .limit(limit)
    )
    return tuple(session.scalars(statement))


def to_reject(session: Session, study_uid: str) -> tuple[tuple[str, Superseded, ResultRecord], ...]:
    """Return (destination, why, result) for all of a study that has to be rejected somewhere."""
    statement = (
        select(DeliveryTable.destination, ResultTable)
        .join(ResultTable, ResultTable.sop_instance_uid == DeliveryTable.sop_instance_uid)
        .where(ResultTable.study_uid == study_uid, _is_to_be_rejected(), _may_be_there())
        .order_by(DeliveryTable.destination, DeliveryTable.id)
    )
    return tuple(
        (destination, Superseded(row.superseded_as), results.record_of(row))
        for destination, row in session.execute(statement)
    )


def _is_to_be_rejected() -> ColumnElement[bool]:
    return and_(
        ResultTable.superseded_at.is_not(None),
        ResultTable.rejected_by == "",
        ResultTable.kind != REJECTION_KIND,
        or_(
            ResultTable.superseded_as == Superseded.WITHDRAWN.value,
            and_(
                ResultTable.superseded_as == Superseded.REPLACED.value,
                ResultTable.kind != REPORT_KIND,
            ),
        ),
    )


def _may_be_there() -> ColumnElement[bool]:
    """A destination has the result, or got it and its answer was lost."""
    return and_(
        DeliveryTable.sop_instance_uid == ResultTable.sop_instance_uid,
        DeliveryTable.tried_at.is_not(None),
    )


def add_rejections(
    session: Session, study_uid: str, rejections: Sequence[RejectionRow], at: datetime
) -> None:
    """Keep rejection notes, put them in the outbox, and mark what they reject.

    A second call with the same notes changes nothing. CatalogError if one is there with other
    bytes.
    """
    revision = studies.find(session, study_uid).revision
    for rejection in rejections:
        note = rejection.note
        if not results.keep(session, study_uid, revision, note):
            continue
        for destination in rejection.destinations:
            outbox.put(session, note.sop_instance_uid, Route(destination, note.profile), at)
        session.execute(
            update(ResultTable)
            .where(
                ResultTable.study_uid == study_uid,
                ResultTable.sop_instance_uid.in_(rejection.rejected),
                ResultTable.rejected_by == "",
            )
            .values(rejected_by=note.sop_instance_uid)
        )
        where = ", ".join(rejection.destinations)
        acts.tell(
            session,
            study_uid,
            f"{len(rejection.rejected)} results are rejected by a note to {where}",
            at,
        )


def withdraw(session: Session, study_uid: str, cause: str, at: datetime) -> int:
    """Take back every result of a study that still stands; how many. CatalogError if none does.

    A study that is on its way to other results stays on it.
    """
    study = studies.find(session, study_uid)
    count = results.supersede(
        session, study_uid, study.revision + 1, cause, at, Superseded.WITHDRAWN
    )
    if not count:
        raise CatalogError("there is nothing to withdraw: no result of this study stands")
    studies.raise_issue(session, study_uid)
    if StudyState.WITHDRAWN in targets_of(study.state):
        target = StudyState.WITHDRAWN
        studies.transition(session, study_uid, study.state, target, cause, at, reason=cause)
    return count
