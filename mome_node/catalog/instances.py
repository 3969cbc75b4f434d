"""Instances: what arrived, once for each SOP Instance UID and content."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from mome_node.catalog import acts, rejections, studies
from mome_node.catalog.changes import OFFERED, Change, Standing
from mome_node.catalog.records import Arrival, InstanceRecord, Receipt, SeriesCount
from mome_node.catalog.tables import InstanceTable, ResultTable, StudyTable
from mome_node.dicom.classes import uses_role
from mome_node.dicom.rejection_note import KEY_OBJECT_SELECTION
from mome_node.errors import CatalogError


def record_all(session: Session, arrivals: Sequence[Arrival]) -> list[Receipt]:
    """Record arrivals as ``record`` does, study by study: so locks of two writers do not cross."""
    receipts = [Receipt.NEW] * len(arrivals)
    for number in sorted(range(len(arrivals)), key=lambda n: arrivals[n].study_uid):
        receipts[number] = record(session, arrivals[number])
    return receipts


def record(session: Session, arrival: Arrival) -> Receipt:
    """Record an arrival and say what it was.

    An instance that this node made, or of a class that no role uses, is recorded but counts as
    no input: it neither restarts the quiet time nor reopens its study. Nor does one that was
    rejected before it came.
    """
    studies.note_arrival(session, arrival)
    copies = session.scalars(
        select(InstanceTable).where(
            InstanceTable.study_uid == arrival.study_uid,
            InstanceTable.sop_instance_uid == arrival.sop_instance_uid,
        )
    ).all()
    known = next((copy for copy in copies if copy.sha256 == arrival.sha256), None)
    current = next((copy for copy in copies if copy.superseded_at is None), None)
    if arrival.sop_class_uid == KEY_OBJECT_SELECTION:
        kept = arrival if known is None else replace(arrival, key=known.key)
        rejections.note(session, kept, is_new=known is None)
    if known is not None:
        _come_again(session, arrival, known, current)
        return Receipt.DUPLICATE
    is_input = uses_role(arrival.sop_class_uid) and not is_ours(session, arrival.sop_instance_uid)
    row = _row(arrival, role_using=is_input)
    session.add(row)
    if reason := rejections.reason_for(session, arrival):
        row.standing, row.standing_reason = Standing.REJECTED.value, reason
    _take_place(row, current, arrival)
    if is_input and row.standing == Standing.READ:
        _count(session, row, current)
    return Receipt.NEW if current is None else Receipt.CHANGED


def _take_place(row: InstanceTable, current: InstanceTable | None, arrival: Arrival) -> None:
    """The newest copy of a SOP Instance UID counts; a rejected one takes no sound one's place."""
    if current is None:
        return
    if row.standing == Standing.REJECTED and current.standing != Standing.REJECTED:
        row.superseded_at = arrival.received_at
    else:
        current.superseded_at = arrival.received_at


def _count(session: Session, row: InstanceTable, before: InstanceTable | None) -> None:
    """Count an instance as input, for what it changes."""
    change = Change.LATE
    if before is not None and before.role_using:
        change = _difference(before, row)
    studies.note_input(session, row.study_uid, row.received_at, change)
    study = session.get_one(StudyTable, row.study_uid)
    patient = (row.patient_id, row.issuer_of_patient_id)
    if row.patient_id and patient != (study.patient_id, study.issuer_of_patient_id):
        studies.follow_patient(session, row.study_uid)


def _difference(before: InstanceTable, after: InstanceTable) -> Change:
    if before.patient_id != after.patient_id or (
        before.patient_mark and before.patient_mark != after.patient_mark
    ):
        return Change.PATIENT
    if before.patient_mark and before.accession_number != after.accession_number:
        return Change.ACCESSION
    return Change.CORRECTED


def _come_again(
    session: Session, arrival: Arrival, known: InstanceTable, current: InstanceTable | None
) -> None:
    """The same bytes again: nothing new, unless what stood against them is gone."""
    if known.superseded_at is None:
        if known.standing == Standing.EXPIRED:  # who sends it keeps it still, or again
            known.standing, known.standing_reason = Standing.READ.value, ""
            studies.note_input(session, known.study_uid, arrival.received_at)
        return
    if known.standing in OFFERED and current is not None and current.standing not in OFFERED:
        # What had taken its place was rejected: a correction that was taken back.
        current.superseded_at, known.superseded_at = arrival.received_at, None
        if known.role_using:
            _count(session, known, current)
        return
    # A copy that was corrected since. Nobody knows whether it is sent again by mistake or because
    # the correction was one; what came last as new goes on to count, and the history tells.
    uid = known.sop_instance_uid
    acts.tell(
        session,
        known.study_uid,
        f"an outdated copy of {uid} came again from {arrival.calling_ae}: the newer one counts",
        arrival.received_at,
    )


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
        patient_id=arrival.patient_id,
        issuer_of_patient_id=arrival.issuer_of_patient_id,
        accession_number=arrival.accession_number,
        patient_mark=arrival.patient_mark,
        standing=Standing.READ.value,
        standing_reason="",
        as_patient_of="",
    )


def key_of(session: Session, arrival: Arrival) -> str:
    """Return the key of what was recorded with the arrival's UID and bytes; CatalogError."""
    key = session.scalar(
        select(InstanceTable.key).where(
            InstanceTable.study_uid == arrival.study_uid,
            InstanceTable.sop_instance_uid == arrival.sop_instance_uid,
            InstanceTable.sha256 == arrival.sha256,
        )
    )
    if key is None:
        raise CatalogError("no such instance was recorded")
    return key


def is_ours(session: Session, sop_instance_uid: str) -> bool:
    """Tell whether this node made the instance, whatever a PACS has changed in it since."""
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
            accession_number=row.accession_number,
            patient_mark=row.patient_mark,
            standing=Standing(row.standing),
            standing_reason=row.standing_reason,
            as_patient_of=row.as_patient_of,
        )
        for row in session.scalars(statement.order_by(InstanceTable.id))
    )


def counts_by_study(session: Session) -> Mapping[str, int]:
    """Count the current instances of each study."""
    rows = session.execute(
        select(InstanceTable.study_uid, func.count())
        .where(InstanceTable.superseded_at.is_(None))
        .group_by(InstanceTable.study_uid)
    )
    return {row[0]: row[1] for row in rows}


def counts_by_series(session: Session, study_uid: str) -> Mapping[str, SeriesCount]:
    """Count the study's current instances, by series; a PACS hides what was rejected, too."""
    rows = session.execute(
        select(
            InstanceTable.series_uid,
            func.count(),
            func.sum(case((InstanceTable.role_using, 1), else_=0)),
        )
        .where(
            InstanceTable.study_uid == study_uid,
            InstanceTable.superseded_at.is_(None),
            InstanceTable.standing.in_([standing.value for standing in OFFERED]),
        )
        .group_by(InstanceTable.series_uid)
    )
    return {uid: SeriesCount(all_, inputs) for uid, all_, inputs in rows}


def unused_keys(session: Session, keys: Collection[str]) -> frozenset[str]:
    """Return those of ``keys`` under which neither an instance nor a result lies."""
    received = session.scalars(select(InstanceTable.key).where(InstanceTable.key.in_(keys)))
    made = session.scalars(select(ResultTable.key).where(ResultTable.key.in_(keys)))
    return frozenset(keys) - frozenset(received) - frozenset(made)
