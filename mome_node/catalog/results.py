"""Results: what this node made, and which of it still holds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from mome_node.catalog import acts, outbox, studies
from mome_node.catalog.records import ResultRecord, ResultRow, Route, Superseded
from mome_node.catalog.states import StudyState
from mome_node.catalog.tables import ResultTable
from mome_node.errors import CatalogError, TransitionRefusedError

_RESULTS_ARE_OUT = (StudyState.DELIVERING, StudyState.DELIVERED)


def add(
    session: Session,
    study_uid: str,
    revision: int,
    rows: Sequence[ResultRow],
    routes: Sequence[Route],
    cause: str,
    at: datetime,
) -> None:
    """Keep the results of a revision, put them in the outbox, and let the study deliver.

    Nothing changes when the study delivers this revision already. CatalogError if a result is
    there with other bytes, TransitionRefusedError if the study is at another revision or state.
    """
    study = studies.find(session, study_uid)
    if study.revision != revision:
        raise TransitionRefusedError(
            f"results of revision {revision} came late: the study is at {study.revision}"
        )
    missing = [row for row in rows if not _is_known(session, row)]
    if study.state in _RESULTS_ARE_OUT and not missing:
        return
    for row in missing:
        keep(session, study_uid, revision, row)
    session.flush()
    for row in rows:
        for route in routes:
            if row.profile == route.profile:
                outbox.put(session, row.sop_instance_uid, route, at)
    kind = Superseded.WITHDRAWN if study.changed_since_results.endangers else Superseded.REPLACED
    supersede(session, study_uid, revision, f"by those of revision {revision}", at, kind)
    studies.transition(session, study_uid, StudyState.REPORTING, StudyState.DELIVERING, cause, at)


def end_without(
    session: Session,
    study_uid: str,
    source: StudyState,
    cause: str,
    at: datetime,
    *,
    rows: Sequence[ResultRow] = (),
    routes: Sequence[Route] = (),
    inputs_seen: int | None = None,
    supersedes: bool = False,
) -> None:
    """Let a study end as not evaluable, with the reports on that, if there are any.

    ``supersedes``: what earlier revisions say holds no more. TransitionRefusedError.
    """
    target = StudyState.NOT_EVALUABLE
    studies.transition(
        session, study_uid, source, target, cause, at, reason=cause, inputs_seen=inputs_seen
    )
    session.flush()
    revision = studies.find(session, study_uid).revision
    if supersedes or rows:
        kind = Superseded.WITHDRAWN if supersedes else Superseded.REPLACED
        supersede(session, study_uid, revision, f"since: {cause}", at, kind)
    for row in rows:
        keep(session, study_uid, revision, row)
        for route in routes:
            if row.profile == route.profile:
                outbox.put(session, row.sop_instance_uid, route, at)


def supersede(
    session: Session,
    study_uid: str,
    before: int,
    why: str,
    at: datetime,
    kind: Superseded = Superseded.REPLACED,
) -> int:
    """Flag the results of all revisions below ``before``: what they say holds no more; how many.

    What of them is not at its destination yet is not sent any more. Rejection notes stand for ever.
    """
    flagged = session.scalars(
        update(ResultTable)
        .where(
            ResultTable.study_uid == study_uid,
            ResultTable.revision < before,
            ResultTable.superseded_at.is_(None),
            ResultTable.kind != "rejection",
        )
        .values(superseded_at=at, superseded_as=kind.value)
        .returning(ResultTable.sop_instance_uid)
    ).all()
    outbox.withdraw(session, flagged)
    if flagged:
        acts.tell(session, study_uid, f"{len(flagged)} results are superseded, {why}", at)
    return len(flagged)


def _is_known(session: Session, row: ResultRow) -> bool:
    found = session.get(ResultTable, row.sop_instance_uid)
    if found is not None and found.sha256 != row.sha256:
        raise CatalogError(f"result {row.sop_instance_uid} is there already, with other bytes")
    return found is not None


def keep(session: Session, study_uid: str, revision: int, row: ResultRow) -> bool:
    """Keep a result; False if it is there. CatalogError if that one has other bytes."""
    if _is_known(session, row):
        return False
    session.add(
        ResultTable(
            sop_instance_uid=row.sop_instance_uid,
            sop_class_uid=row.sop_class_uid,
            kind=row.kind,
            study_uid=study_uid,
            revision=revision,
            key=row.key,
            sha256=row.sha256,
            created_at=row.created_at,
            superseded_at=None,
            profile=row.profile,
        )
    )
    session.flush()
    return True


def of_study(session: Session, study_uid: str) -> tuple[ResultRecord, ...]:
    """Return all results of a study, the oldest revision first."""
    statement = (
        select(ResultTable)
        .where(ResultTable.study_uid == study_uid)
        .order_by(ResultTable.revision, ResultTable.kind, ResultTable.sop_instance_uid)
    )
    return tuple(record_of(row) for row in session.scalars(statement))


def record_of(row: ResultTable) -> ResultRecord:
    """The result that a row holds, with the study that it is of."""
    return ResultRecord(
        row.study_uid, row.revision, outbox.result_row(row), row.superseded_at, row.rejected_by
    )
