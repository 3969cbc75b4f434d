"""The rows of the outbox: what goes out, in which order, and what became of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, Select, and_, exists, func, not_, or_, select, update
from sqlalchemy.orm import Session

from mome_node.catalog.changes import Change
from mome_node.catalog.records import DeliveryRecord, DeliveryState, ResultRow, Route
from mome_node.catalog.states import StudyState
from mome_node.catalog.tables import (
    DeliveryTable,
    DestinationQueueTable,
    RejectionNoteTable,
    ResultTable,
    StudyTable,
)
from mome_node.errors import CatalogError

REPORT: Final = "sr"
NOTE: Final = "rejection"
"""The kind of result that takes another one back."""

_NOT_THERE: Final = (
    DeliveryState.HELD.value,
    DeliveryState.PENDING.value,
    DeliveryState.BLOCKED.value,
    DeliveryState.FAILED.value,
)
_ON_ITS_WAY: Final = tuple(state.value for state in DeliveryState if state.is_on_its_way)


def put(session: Session, sop_instance_uid: str, route: Route, at: datetime) -> None:
    """Queue a result for a destination; again, if its delivery waits for a person."""
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
    elif DeliveryState(found.state).needs_a_person:
        begin_anew(found, at)


def begin_anew(row: DeliveryTable, at: datetime) -> None:
    """Queue a delivery as if it had never been tried; it keeps its place."""
    row.state = DeliveryState.PENDING.value
    row.attempts = row.confirm_attempts = 0
    row.next_attempt_at = row.queued_at = at
    row.transaction_uid = None


def withdraw(session: Session, sop_instance_uids: Collection[str]) -> None:
    """Send what is superseded no more; a rejection note goes its way all the same."""
    notes = select(ResultTable.sop_instance_uid).where(ResultTable.kind == NOTE)
    session.execute(
        update(DeliveryTable)
        .where(
            DeliveryTable.sop_instance_uid.in_(sop_instance_uids),
            DeliveryTable.sop_instance_uid.not_in(notes),
            DeliveryTable.state.in_(_NOT_THERE),
        )
        .values(state=DeliveryState.WITHDRAWN.value, next_attempt_at=None)
    )


def due(
    session: Session, destination: str, now: datetime, limit: int
) -> tuple[DeliveryRecord, ...]:
    """Return what to send to a destination now, in the order in which it was queued.

    Nothing while the destination's queue is paused or waits. Nothing goes out of a study that is
    being looked at again, or about to be because something that was read has been corrected or
    rejected, or a note that may reject is still unread. Of a study that cannot be evaluated the
    report goes out that says so; a rejection note does whatever becomes of its study.
    """
    queue = DestinationQueueTable
    stands_still = exists().where(
        queue.name == destination,
        or_(queue.paused_at.is_not(None), queue.next_attempt_at > now),
    )
    statement = (
        _deliveries()
        .join(StudyTable, StudyTable.study_uid == ResultTable.study_uid)
        .where(
            DeliveryTable.state == DeliveryState.PENDING.value,
            DeliveryTable.destination == destination,
            or_(DeliveryTable.next_attempt_at.is_(None), DeliveryTable.next_attempt_at <= now),
            not_(stands_still),
            or_(ResultTable.kind == NOTE, _its_study_lets_go()),
        )
        .order_by(DeliveryTable.id)
        .limit(limit)
    )
    return records(session, statement)


def _its_study_lets_go() -> ColumnElement[bool]:
    withdrawing = [change.value for change in Change if change.withdraws]
    to_be_read = exists().where(
        RejectionNoteTable.study_uid == StudyTable.study_uid,
        RejectionNoteTable.settled_at.is_(None),
        RejectionNoteTable.authorised,
    )
    return and_(
        or_(
            StudyTable.state == StudyState.DELIVERING.value,
            and_(StudyTable.state == StudyState.NOT_EVALUABLE.value, ResultTable.kind == REPORT),
        ),
        not_(
            and_(
                StudyTable.input_count > StudyTable.assembled_inputs,
                StudyTable.change.in_(withdrawing),
            )
        ),
        not_(to_be_read),
    )


def mark(
    session: Session,
    delivery_id: int,
    state: DeliveryState,
    at: datetime,
    *,
    next_attempt_at: datetime | None = None,
    last_status: int | None = None,
    last_error: str = "",
) -> None:
    """Write down how an attempt to send ended; CatalogError if there is no such delivery.

    That it was sent holds in any case. Another outcome changes nothing where something else was
    decided in between.
    """
    row = session.get(DeliveryTable, delivery_id, with_for_update=True)
    if row is None:
        raise CatalogError(f"there is no delivery {delivery_id}")
    row.attempts += 1
    row.last_status = last_status
    row.last_error = last_error
    if state is DeliveryState.SENT:
        row.sent_at = at
        row.tried_at = row.tried_at or at
        row.transaction_uid = None
    elif row.state != DeliveryState.PENDING.value:
        return
    row.state = state.value
    row.next_attempt_at = next_attempt_at if state is DeliveryState.PENDING else None


def note_tried(session: Session, delivery_ids: Collection[int], at: datetime) -> None:
    """Write down that these may be at their destination from now on."""
    session.execute(
        update(DeliveryTable)
        .where(DeliveryTable.id.in_(delivery_ids), DeliveryTable.tried_at.is_(None))
        .values(tried_at=at)
    )


def note_not_sent(session: Session, delivery_ids: Collection[int], tried_at: datetime) -> None:
    """Take back what ``note_tried`` wrote down then."""
    session.execute(
        update(DeliveryTable)
        .where(DeliveryTable.id.in_(delivery_ids), DeliveryTable.tried_at == tried_at)
        .values(tried_at=None)
    )


def block(session: Session, delivery_ids: Collection[int], why: str) -> None:
    """Keep pending deliveries back until a person has looked."""
    _end_pending(session, DeliveryTable.id.in_(delivery_ids), DeliveryState.BLOCKED, why)


def give_up(session: Session, destination: str, queued_before: datetime, why: str) -> int:
    """Let what has waited for a destination since before then wait for a person; how much."""
    old = and_(DeliveryTable.destination == destination, DeliveryTable.queued_at <= queued_before)
    return _end_pending(session, old, DeliveryState.FAILED, why)


def abandon(session: Session, destinations: Collection[str], why: str) -> int:
    """Let what is queued for other destinations than these wait for a person; how much.

    What they have accepted nobody can ask them for.
    """
    others = DeliveryTable.destination.not_in(destinations)
    session.execute(
        update(DeliveryTable)
        .where(others, DeliveryTable.state == DeliveryState.SENT.value)
        .values(state=DeliveryState.ACCEPTED.value, last_error=why)
    )
    return _end_pending(session, others, DeliveryState.FAILED, why)


def _end_pending(
    session: Session, which: ColumnElement[bool], state: DeliveryState, why: str
) -> int:
    ended = session.execute(
        update(DeliveryTable)
        .where(which, DeliveryTable.state == DeliveryState.PENDING.value)
        .values(state=state.value, next_attempt_at=None, last_error=why)
        .returning(DeliveryTable.id)
    )
    return len(ended.all())


def finished(session: Session, limit: int) -> tuple[str, ...]:
    """Return delivering studies of whose results nothing is on its way any more, oldest first."""
    on_its_way = (
        exists()
        .where(DeliveryTable.sop_instance_uid == ResultTable.sop_instance_uid)
        .where(ResultTable.study_uid == StudyTable.study_uid, DeliveryTable.state.in_(_ON_ITS_WAY))
    )
    return tuple(
        session.scalars(
            select(StudyTable.study_uid)
            .where(StudyTable.state == StudyState.DELIVERING.value, not_(on_its_way))
            .order_by(StudyTable.first_received_at, StudyTable.study_uid)
            .limit(limit)
        )
    )


def counts(
    session: Session, states: Collection[DeliveryState]
) -> Mapping[tuple[str, DeliveryState], int]:
    """Return how many deliveries there are by destination and state."""
    statement = (
        select(DeliveryTable.destination, DeliveryTable.state, func.count())
        .where(DeliveryTable.state.in_([state.value for state in states]))
        .group_by(DeliveryTable.destination, DeliveryTable.state)
    )
    return {
        (name, DeliveryState(state)): count for name, state, count in session.execute(statement)
    }


def of_study(session: Session, study_uid: str) -> tuple[DeliveryRecord, ...]:
    """Return all deliveries of a study, the oldest first."""
    statement = _deliveries().where(ResultTable.study_uid == study_uid).order_by(DeliveryTable.id)
    return records(session, statement)


def _deliveries() -> Select[DeliveryTable, ResultTable]:
    return select(DeliveryTable, ResultTable).join(
        ResultTable, ResultTable.sop_instance_uid == DeliveryTable.sop_instance_uid
    )


def records(
    session: Session, statement: Select[DeliveryTable, ResultTable]
) -> tuple[DeliveryRecord, ...]:
    """Return what a statement selects as values."""
    return tuple(record(delivery, result) for delivery, result in session.execute(statement))


def record(delivery: DeliveryTable, result: ResultTable) -> DeliveryRecord:
    """One delivery as a value."""
    return DeliveryRecord(
        delivery_id=delivery.id,
        study_uid=result.study_uid,
        revision=result.revision,
        result=result_row(result),
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


def result_row(row: ResultTable) -> ResultRow:
    """One result as a value."""
    return ResultRow(
        sop_instance_uid=row.sop_instance_uid,
        sop_class_uid=row.sop_class_uid,
        kind=row.kind,
        key=row.key,
        sha256=row.sha256,
        created_at=row.created_at,
        profile=row.profile,
    )
