"""Results and the outbox: what this node made, and where each of it has to go."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Select, and_, exists, func, not_, or_, select, update
from sqlalchemy.orm import Session

from mome_node.catalog import acts, studies
from mome_node.catalog.changes import Change
from mome_node.catalog.records import (
    DeliveryRecord,
    DeliveryState,
    ResultRecord,
    ResultRow,
    Route,
    Superseded,
)
from mome_node.catalog.states import StudyState
from mome_node.catalog.tables import (
    DeliveryTable,
    RejectionNoteTable,
    ResultTable,
    StudyTable,
)
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
                put_in_outbox(session, row.sop_instance_uid, route, at)
    kind = Superseded.WITHDRAWN if study.changed_since_results.endangers else Superseded.REPLACED
    supersede(session, study_uid, revision, f"by those of revision {revision}", at, kind)
    studies.transition(session, study_uid, StudyState.REPORTING, StudyState.DELIVERING, cause, at)


def supersede(
    session: Session,
    study_uid: str,
    before: int,
    why: str,
    at: datetime,
    kind: Superseded = Superseded.REPLACED,
) -> int:
    """Flag the results of all revisions below ``before``: what they say holds no more; how many.

    What of them has not been sent yet is not sent any more. Rejection notes stand for ever.
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
    session.execute(
        update(DeliveryTable)
        .where(
            DeliveryTable.sop_instance_uid.in_(flagged),
            DeliveryTable.state.in_([DeliveryState.PENDING.value, DeliveryState.HELD.value]),
        )
        .values(state=DeliveryState.WITHDRAWN.value, next_attempt_at=None)
    )
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


def put_in_outbox(session: Session, sop_instance_uid: str, route: Route, at: datetime) -> None:
    """Have a result sent to a destination, or wait there until a person lets it go."""
    found = session.scalar(
        select(DeliveryTable).where(
            DeliveryTable.sop_instance_uid == sop_instance_uid,
            DeliveryTable.destination == route.destination,
        )
    )
    if found is None:
        session.add(
            DeliveryTable(
                sop_instance_uid=sop_instance_uid,
                destination=route.destination,
                state=(DeliveryState.HELD if route.is_held else DeliveryState.PENDING).value,
                attempts=0,
                next_attempt_at=None if route.is_held else at,
                last_status=None,
                last_error="",
                sent_at=None,
                transaction_uid=None,
                queued_at=at,
            )
        )
    elif found.state == DeliveryState.FAILED.value:
        found.state = DeliveryState.PENDING.value
        found.attempts = 0
        found.next_attempt_at = at


def resend(session: Session, study_uid: str, cause: str, at: datetime) -> int:
    """Put the results of the study's latest revision in the outbox again; how many deliveries.

    TransitionRefusedError unless the study is delivering, delivered or failed; CatalogError if it
    has no results.
    """
    study = studies.find(session, study_uid)
    # A later revision with the same inputs has no results of its own: the earlier ones stand.
    latest = select(func.max(ResultTable.revision)).where(ResultTable.study_uid == study_uid)
    ours = select(ResultTable.sop_instance_uid).where(
        ResultTable.study_uid == study_uid,
        ResultTable.revision == latest.scalar_subquery(),
        ResultTable.superseded_at.is_(None),
    )
    deliveries = session.scalars(
        update(DeliveryTable)
        .where(DeliveryTable.sop_instance_uid.in_(ours))
        .values(state=DeliveryState.PENDING.value, attempts=0, next_attempt_at=at)
        .returning(DeliveryTable.id)
    ).all()
    if not deliveries:
        raise CatalogError(
            "there is nothing to send again: no result that still holds has a delivery"
        )
    if study.state is not StudyState.DELIVERING:
        studies.transition(session, study_uid, study.state, StudyState.DELIVERING, cause, at)
    return len(deliveries)


def mark_delivery(
    session: Session,
    delivery_id: int,
    state: DeliveryState,
    at: datetime,
    *,
    next_attempt_at: datetime | None = None,
    last_status: int | None = None,
    last_error: str = "",
) -> None:
    """Write down how an attempt ended; CatalogError if there is no such delivery."""
    row = session.get(DeliveryTable, delivery_id, with_for_update=True)
    if row is None:
        raise CatalogError(f"there is no delivery {delivery_id}")
    row.state = state.value
    row.attempts += 1
    row.next_attempt_at = next_attempt_at if state is DeliveryState.PENDING else None
    row.last_status = last_status
    row.last_error = last_error
    row.sent_at = at if state is DeliveryState.SENT else row.sent_at


def of_study(session: Session, study_uid: str) -> tuple[ResultRecord, ...]:
    """Return all results of a study, the oldest revision first."""
    statement = (
        select(ResultTable)
        .where(ResultTable.study_uid == study_uid)
        .order_by(ResultTable.revision, ResultTable.kind, ResultTable.sop_instance_uid)
    )
    return tuple(record_of(row) for row in session.scalars(statement))


def due(session: Session, now: datetime, limit: int) -> tuple[DeliveryRecord, ...]:
    """Return the deliveries to try now, those that wait longest first.

    Nothing goes out of a study that is being looked at again, or about to be because something
    that was read has been corrected or rejected, or a note that may reject is still unread.
    """
    withdrawing = [change.value for change in Change if change.withdraws]
    to_be_read = exists().where(
        RejectionNoteTable.study_uid == StudyTable.study_uid,
        RejectionNoteTable.settled_at.is_(None),
        RejectionNoteTable.authorised,
    )
    statement = (
        _deliveries()
        .join(StudyTable, StudyTable.study_uid == ResultTable.study_uid)
        .where(
            DeliveryTable.state == DeliveryState.PENDING.value,
            StudyTable.state == StudyState.DELIVERING.value,
            not_(
                and_(
                    StudyTable.input_count > StudyTable.assembled_inputs,
                    StudyTable.change.in_(withdrawing),
                )
            ),
            not_(to_be_read),
            or_(DeliveryTable.next_attempt_at.is_(None), DeliveryTable.next_attempt_at <= now),
        )
        .order_by(DeliveryTable.next_attempt_at, DeliveryTable.id)
        .limit(limit)
    )
    return _records(session, statement)


def deliveries_of(session: Session, study_uid: str) -> tuple[DeliveryRecord, ...]:
    """Return all deliveries of a study, the oldest first."""
    statement = _deliveries().where(ResultTable.study_uid == study_uid).order_by(DeliveryTable.id)
    return _records(session, statement)


def _deliveries() -> Select[DeliveryTable, ResultTable]:
    return select(DeliveryTable, ResultTable).join(
        ResultTable, ResultTable.sop_instance_uid == DeliveryTable.sop_instance_uid
    )


def _records(
    session: Session, statement: Select[DeliveryTable, ResultTable]
) -> tuple[DeliveryRecord, ...]:
    return tuple(
        DeliveryRecord(
            delivery_id=delivery.id,
            study_uid=result.study_uid,
            revision=result.revision,
            result=value_of(result),
            destination=delivery.destination,
            state=DeliveryState(delivery.state),
            attempts=delivery.attempts,
            next_attempt_at=delivery.next_attempt_at,
            last_status=delivery.last_status,
            last_error=delivery.last_error,
            sent_at=delivery.sent_at,
            queued_at=delivery.queued_at,
            transaction_uid=delivery.transaction_uid,
            confirm_attempts=delivery.confirm_attempts,
        )
        for delivery, result in session.execute(statement)
    )


def record_of(row: ResultTable) -> ResultRecord:
    """The result that a row holds, with the study that it is of."""
    return ResultRecord(
        row.study_uid, row.revision, value_of(row), row.superseded_at, row.rejected_by
    )


def value_of(row: ResultTable) -> ResultRow:
    """The result that a row holds."""
    return ResultRow(
        sop_instance_uid=row.sop_instance_uid,
        sop_class_uid=row.sop_class_uid,
        kind=row.kind,
        key=row.key,
        sha256=row.sha256,
        created_at=row.created_at,
        profile=row.profile,
    )
