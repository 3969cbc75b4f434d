"""Rejections: what a note or a person took back, and the notes that are still to be read.

A rejection is of a SOP Instance UID under one patient, so that it does not matter whether the
note or the instance comes first, nor how often. A copy under another patient is another thing: a
corrected one, which no note about the wrong patient's takes along.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from mome_node.catalog import acts, studies
from mome_node.catalog.changes import OFFERED, Change, Standing
from mome_node.catalog.records import Arrival, NoteRecord
from mome_node.catalog.states import StudyState
from mome_node.catalog.tables import (
    InstanceTable,
    RejectionNoteTable,
    RejectionTable,
    ResultTable,
    StudyTable,
)
from mome_node.dicom.rejection_note import RejectionNote

_NOT_EVALUATED_YET = (StudyState.RECEIVING, StudyState.ASSEMBLED, StudyState.QUEUED)


def note(session: Session, arrival: Arrival, *, is_new: bool) -> None:
    """Remember that a Key Object Selection Document came: it is read later, off the network.

    The same document again is read again only if it now comes from somebody who may reject.
    """
    if not is_new:
        came = select(RejectionNoteTable.authorised).where(
            RejectionNoteTable.study_uid == arrival.study_uid,
            RejectionNoteTable.key == arrival.key,
        )
        if not arrival.may_reject or True in session.scalars(came).all():
            return
    session.add(
        RejectionNoteTable(
            study_uid=arrival.study_uid,
            sop_instance_uid=arrival.sop_instance_uid,
            key=arrival.key,
            calling_ae=arrival.calling_ae,
            authorised=arrival.may_reject,
            received_at=arrival.received_at,
            settled_at=None,
        )
    )


def pending(session: Session, study_uid: str | None) -> tuple[NoteRecord, ...]:
    """Return the documents that have not been read yet, the oldest first."""
    statement = select(RejectionNoteTable).where(RejectionNoteTable.settled_at.is_(None))
    if study_uid is not None:
        statement = statement.where(RejectionNoteTable.study_uid == study_uid)
    return tuple(
        NoteRecord(
            row.id,
            row.study_uid,
            row.sop_instance_uid,
            row.key,
            row.calling_ae,
            row.authorised,
        )
        for row in session.scalars(statement.order_by(RejectionNoteTable.id))
    )


def settle(session: Session, note_id: int, outcome: str, at: datetime) -> bool:
    """Write down that a document was read, and what came of it; False if that was done before."""
    row = session.get(RejectionNoteTable, note_id, with_for_update=True)
    if row is None or row.settled_at is not None:
        return False
    row.settled_at = at
    if outcome:
        told = f"rejection note {row.sop_instance_uid} from {row.calling_ae}: {outcome}"
        acts.tell(session, row.study_uid, told, at)
    return True


def apply(session: Session, note_id: int, said: RejectionNote, at: datetime) -> None:
    """Apply a note from somebody who may reject, once, and tell what it did."""
    row = session.get(RejectionNoteTable, note_id, with_for_update=True)
    if row is None or row.settled_at is not None:
        return
    copies = _copies(session, row.study_uid, said.instances)
    ours = _results_among(session, said.instances)
    unknown = said.instances - {c.sop_instance_uid for c in copies} - ours
    meant = [c for c in copies if _same_patient(c, said.patient_id, said.issuer_of_patient_id)]
    others = {c.sop_instance_uid for c in copies} - {c.sop_instance_uid for c in meant}
    if said.title.withdraws:
        reason = f"{said.title.meaning}, by note {row.sop_instance_uid}"
        _remember(session, row.study_uid, said, unknown, meant, reason, at)
        count = _reject(session, row.study_uid, meant, reason, at)
    else:
        count = _expire(session, row.study_uid, meant, said.title.meaning, at)
    clauses = (
        (count, "instances taken back"),
        (len(unknown), "instances have not come" + ("" if said.title.withdraws else ": ignored")),
        (len(others), "instances are another patient's: not applied"),
        (len(ours), "results of this node: no input, nothing to evaluate again"),
        (said.elsewhere, "instances of other studies: not applied"),
    )
    told = [f"{number} {text}" for number, text in clauses if number] or ["it changes nothing"]
    settle(session, note_id, f"{said.title.meaning}; {'; '.join(told)}", at)


def reject_by_hand(
    session: Session, study_uid: str, sop_instance_uids: Collection[str], at: datetime
) -> int:
    """Reject the current copies of these instances; how many."""
    copies = [
        copy
        for copy in _copies(session, study_uid, sop_instance_uids)
        if copy.superseded_at is None and copy.standing != Standing.REJECTED
    ]
    for copy in copies:
        _add(session, copy.study_uid, copy.sop_instance_uid, _patient(copy), "by hand", at)
    count = _reject(session, study_uid, copies, "by hand", at)
    acts.tell(session, study_uid, f"{count} instances rejected by hand", at)
    return count


def take_back(
    session: Session, study_uid: str, sop_instance_uids: Collection[str], at: datetime
) -> int:
    """Let the current copies of these instances be read again; how many."""
    copies = [
        copy
        for copy in _copies(session, study_uid, sop_instance_uids)
        if copy.superseded_at is None and copy.standing not in OFFERED
    ]
    for copy in copies:
        copy.standing, copy.standing_reason, copy.as_patient_of = Standing.READ.value, "", ""
    for uid in sop_instance_uids:
        for row in session.scalars(_of(study_uid, uid)):
            session.delete(row)
    if any(copy.role_using for copy in copies):
        studies.note_input(session, study_uid, at)
        studies.follow_patient(session, study_uid)
    acts.tell(session, study_uid, f"{len(copies)} instances are read again, by hand", at)
    return len(copies)


def reason_for(session: Session, arrival: Arrival) -> str:
    """Why an instance that comes is rejected already; empty if it is not."""
    for row in session.scalars(_of(arrival.study_uid, arrival.sop_instance_uid)):
        if _same_patient(arrival, row.patient_id, row.issuer_of_patient_id):
            return row.reason
    return ""


def _of(study_uid: str, sop_instance_uid: str) -> Select[RejectionTable]:
    return select(RejectionTable).where(
        RejectionTable.study_uid == study_uid,
        RejectionTable.sop_instance_uid == sop_instance_uid,
    )


def _reject(
    session: Session, study_uid: str, copies: Iterable[InstanceTable], reason: str, at: datetime
) -> int:
    changed = [copy for copy in copies if copy.standing != Standing.REJECTED]
    was_input = any(_is_offered(copy) for copy in changed)
    for copy in changed:
        copy.standing, copy.standing_reason = Standing.REJECTED.value, reason
    if was_input:
        studies.note_input(session, study_uid, at, Change.REJECTED)
        studies.follow_patient(session, study_uid)
    return len({copy.sop_instance_uid for copy in changed})


def _expire(
    session: Session, study_uid: str, copies: Iterable[InstanceTable], reason: str, at: datetime
) -> int:
    """Read these no more; what was made of them stands, and its study stays as it is."""
    changed = [copy for copy in copies if _is_offered(copy)]
    for copy in changed:
        copy.standing, copy.standing_reason = Standing.EXPIRED.value, reason
    study = session.get_one(StudyTable, study_uid)
    if changed and study.state in {state.value for state in _NOT_EVALUATED_YET}:
        studies.note_input(session, study_uid, at, Change.EXPIRED)
    return len(changed)


def _is_offered(copy: InstanceTable) -> bool:
    return copy.role_using and copy.superseded_at is None and copy.standing in OFFERED


def _remember(
    session: Session,
    study_uid: str,
    said: RejectionNote,
    unknown: Iterable[str],
    meant: Iterable[InstanceTable],
    reason: str,
    at: datetime,
) -> None:
    """Keep what is rejected for copies that are still to come."""
    patient = (said.patient_id, said.issuer_of_patient_id)
    for uid in {*unknown, *(copy.sop_instance_uid for copy in meant)}:
        _add(session, study_uid, uid, patient, reason, at)


def _add(
    session: Session, study_uid: str, uid: str, patient: tuple[str, str], reason: str, at: datetime
) -> None:
    if session.get(RejectionTable, (study_uid, uid, *patient)) is None:
        session.add(
            RejectionTable(
                study_uid=study_uid,
                sop_instance_uid=uid,
                patient_id=patient[0],
                issuer_of_patient_id=patient[1],
                reason=reason,
                at=at,
            )
        )


def _copies(
    session: Session, study_uid: str, sop_instance_uids: Collection[str]
) -> list[InstanceTable]:
    rows = session.scalars(select(InstanceTable).where(InstanceTable.study_uid == study_uid))
    return [row for row in rows if row.sop_instance_uid in sop_instance_uids]


def _results_among(session: Session, sop_instance_uids: Collection[str]) -> set[str]:
    uids = sorted(sop_instance_uids)
    found: set[str] = set()
    for start in range(0, len(uids), 500):  # databases bound how many values one query names
        named = ResultTable.sop_instance_uid.in_(uids[start : start + 500])
        found |= set(session.scalars(select(ResultTable.sop_instance_uid).where(named)))
    return found


def _patient(copy: InstanceTable) -> tuple[str, str]:
    return copy.patient_id, copy.issuer_of_patient_id


def _same_patient(copy: InstanceTable | Arrival, patient_id: str, issuer: str) -> bool:
    """The same Patient ID, of the same issuer as far as both say one."""
    issuers = {copy.issuer_of_patient_id.strip(), issuer.strip()} - {""}
    return copy.patient_id.strip() == patient_id.strip() and len(issuers) < 2
