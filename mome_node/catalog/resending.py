"""What a person lets go, or go once more."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from mome_node.catalog import outbox, studies
from mome_node.catalog.records import DeliveryState, StudyRecord
from mome_node.catalog.states import StudyState
from mome_node.catalog.tables import DeliveryTable, ResultTable
from mome_node.errors import CatalogError, TransitionRefusedError

_LETS_GO = (StudyState.DELIVERING, StudyState.DELIVERED, StudyState.NOT_EVALUABLE)


def resend(
    session: Session, study_uid: str, cause: str, at: datetime, destination: str | None
) -> int:
    """Put the results of the study's latest revision in the outbox again; how many deliveries.

    Also what waits for a person; not what is held. TransitionRefusedError unless the study is
    delivering, delivered or failed, or not evaluable with results that say so; CatalogError if it
    has no results.
    """
    study = studies.find(session, study_uid)
    # A later revision with the same inputs has no results of its own: the earlier ones stand.
    latest = select(func.max(ResultTable.revision)).where(ResultTable.study_uid == study_uid)
    rows = _deliveries_of(
        session,
        study_uid,
        destination,
        ResultTable.revision == latest.scalar_subquery(),
        DeliveryTable.state != DeliveryState.HELD.value,
    )
    if not rows:
        raise CatalogError(
            "there is nothing to send again: no result that still holds has a delivery"
        )
    revision = session.scalar(latest)
    if study.state is not StudyState.NOT_EVALUABLE or revision != study.revision:
        _deliver(session, study, cause, at)
    for row in rows:
        outbox.begin_anew(row, at)
    return len(rows)


def resend_waiting(session: Session, cause: str, at: datetime, destination: str | None) -> int:
    """Put all in the outbox again that waits for a person; how many deliveries.

    Of studies that are being looked at again, or whose evaluation failed, nothing: that decides
    first what becomes of their results.
    """
    waiting = (
        select(ResultTable.study_uid)
        .join(DeliveryTable, DeliveryTable.sop_instance_uid == ResultTable.sop_instance_uid)
        .where(_waits(), *_to(destination))
        .distinct()
    )
    count = 0
    for study_uid in session.scalars(waiting).all():
        study = studies.find(session, study_uid)
        lets_go = study.state in _LETS_GO or _failed_to_deliver(session, study)
        notes_only = () if lets_go else (ResultTable.kind == outbox.NOTE,)
        rows = _deliveries_of(session, study_uid, destination, _waits(), *notes_only)
        if lets_go and study.state is not StudyState.NOT_EVALUABLE:
            _deliver(session, study, cause, at)
        for row in rows:
            outbox.begin_anew(row, at)
        count += len(rows)
    return count


def release(
    session: Session, study_uid: str, cause: str, at: datetime, destination: str | None
) -> int:
    """Let results go that are held in the node; how many deliveries.

    CatalogError if none is held, TransitionRefusedError as for ``resend``.
    """
    study = studies.find(session, study_uid)
    held = DeliveryTable.state == DeliveryState.HELD.value
    rows = _deliveries_of(session, study_uid, destination, held)
    if not rows:
        raise CatalogError(
            f"the study is {study.state}, not quarantined, and no result of it is held back"
            + (f" from {destination!r}" if destination else "")
        )
    if study.state is not StudyState.NOT_EVALUABLE:
        _deliver(session, study, cause, at)
    for row in rows:
        outbox.begin_anew(row, at)
    return len(rows)


def _deliver(session: Session, study: StudyRecord, cause: str, at: datetime) -> None:
    """Let the study deliver; TransitionRefusedError if nothing of it may go out now."""
    if study.state not in (StudyState.DELIVERING, StudyState.DELIVERED, StudyState.FAILED):
        raise TransitionRefusedError(
            f"the study is {study.state}: results go out of one that is delivering, delivered or "
            "failed"
        )
    if study.state is not StudyState.DELIVERING:
        studies.transition(session, study.study_uid, study.state, StudyState.DELIVERING, cause, at)


def _failed_to_deliver(session: Session, study: StudyRecord) -> bool:
    """Whether a study has failed because a destination refused, and for no other reason."""
    if study.state is not StudyState.FAILED:
        return False
    return studies.events_of(session, study.study_uid)[-1].source is StudyState.DELIVERING


def _deliveries_of(
    session: Session, study_uid: str, destination: str | None, *which: ColumnElement[bool]
) -> Sequence[DeliveryTable]:
    """Deliveries of results that still hold, in the order of the queue."""
    return session.scalars(
        select(DeliveryTable)
        .join(ResultTable, ResultTable.sop_instance_uid == DeliveryTable.sop_instance_uid)
        .where(
            ResultTable.study_uid == study_uid,
            or_(ResultTable.superseded_at.is_(None), ResultTable.kind == outbox.NOTE),
            *_to(destination),
            *which,
        )
        .order_by(DeliveryTable.id)
    ).all()


def _to(destination: str | None) -> tuple[ColumnElement[bool], ...]:
    return () if destination is None else (DeliveryTable.destination == destination,)


def _waits() -> ColumnElement[bool]:
    return DeliveryTable.state.in_([s.value for s in DeliveryState if s.needs_a_person])
