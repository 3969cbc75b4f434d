"""Instances: what arrived, once for each SOP Instance UID and content."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import case, func, select, update
from sqlalchemy.orm import Session

from mome_node.catalog import studies
from mome_node.catalog.records import Arrival, InstanceRecord, Receipt, SeriesCount
from mome_node.catalog.tables import InstanceTable, ResultTable
from mome_node.dicom.classes import uses_role


def record(session: Session, arrival: Arrival) -> Receipt:
    """Record an arrival and say what it was.

    An instance that this node made, or of a class that no role uses, is recorded but counts as
    no input: it neither restarts the quiet time nor reopens its study.
    """
    studies.note_arrival(session, arrival)
    if _is_known(session, arrival):
        return Receipt.DUPLICATE
    superseded = session.scalars(
        update(InstanceTable)
        .where(
            InstanceTable.study_uid == arrival.study_uid,
            InstanceTable.sop_instance_uid == arrival.sop_instance_uid,
            InstanceTable.superseded_at.is_(None),
        )
        .values(superseded_at=arrival.received_at)
        .returning(InstanceTable.id)
    ).all()
    is_input = uses_role(arrival.sop_class_uid) and not is_ours(session, arrival.sop_instance_uid)
    session.add(_row(arrival, role_using=is_input))
    if is_input:
        studies.note_input(session, arrival.study_uid, arrival.received_at)
    return Receipt.CHANGED if superseded else Receipt.NEW


def _is_known(session: Session, arrival: Arrival) -> bool:
    found = session.scalar(
        select(InstanceTable.id).where(
            InstanceTable.study_uid == arrival.study_uid,
            InstanceTable.sop_instance_uid == arrival.sop_instance_uid,
            InstanceTable.sha256 == arrival.sha256,
        )
    )
    return found is not None


def _row(arrival: Arrival, *, role_using: bool) -> InstanceTable:
    return InstanceTable(
        study_uid=arrival.study_uid,
        series_uid=arrival.series_uid,
        sop_instance_uid=arrival.sop_instance_uid,
        sop_class_uid=arrival.sop_class_uid,
        transfer_syntax_uid=arrival.transfer_syntax_uid,
        key=arrival.key,
        sha256=arrival.sha256,
        size=arrival.size,
        calling_ae=arrival.calling_ae,
        received_at=arrival.received_at,
        role_using=role_using,
        superseded_at=None,
    )


def is_ours(session: Session, sop_instance_uid: str) -> bool:
    """Tell whether this node made the instance."""
    return session.get(ResultTable, sop_instance_uid) is not None


def of_study(
    session: Session, study_uid: str, *, current_only: bool = True
) -> tuple[InstanceRecord, ...]:
    """Return the study's instances in order of arrival."""
    statement = select(InstanceTable).where(InstanceTable.study_uid == study_uid)
    if current_only:
        statement = statement.where(InstanceTable.superseded_at.is_(None))
    return tuple(
        InstanceRecord(
            study_uid=row.study_uid,
            series_uid=row.series_uid,
            sop_instance_uid=row.sop_instance_uid,
            sop_class_uid=row.sop_class_uid,
            transfer_syntax_uid=row.transfer_syntax_uid,
            key=row.key,
            sha256=row.sha256,
            size=row.size,
            calling_ae=row.calling_ae,
            received_at=row.received_at,
            role_using=row.role_using,
            superseded_at=row.superseded_at,
        )
        for row in session.scalars(statement.order_by(InstanceTable.id))
    )


def counts_by_series(session: Session, study_uid: str) -> Mapping[str, SeriesCount]:
    """Count the study's current instances, by series."""
    rows = session.execute(
        select(
            InstanceTable.series_uid,
            func.count(),
            func.sum(case((InstanceTable.role_using, 1), else_=0)),
        )
        .where(InstanceTable.study_uid == study_uid, InstanceTable.superseded_at.is_(None))
        .group_by(InstanceTable.series_uid)
    )
    return {uid: SeriesCount(all_, inputs) for uid, all_, inputs in rows}


def unused_keys(session: Session, keys: Collection[str]) -> frozenset[str]:
    """Return those of ``keys`` under which neither an instance nor a result lies."""
    received = session.scalars(select(InstanceTable.key).where(InstanceTable.key.in_(keys)))
    made = session.scalars(select(ResultTable.key).where(ResultTable.key.in_(keys)))
    return frozenset(keys) - frozenset(received) - frozenset(made)
