"""Quarantine by instance: what is held and why, and what a person says about it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from mome_node.catalog import acts, rejections, studies
from mome_node.catalog.changes import OFFERED, HoldReason, Standing
from mome_node.catalog.states import StudyState
from mome_node.catalog.tables import InstanceTable, StudyTable
from mome_node.dicom.patient import shown_mark
from mome_node.errors import CatalogError

_IDENTITY = frozenset(reason.value for reason in HoldReason if reason.of_identity)


@dataclass(frozen=True, slots=True)
class Identity:
    """Instances of a study that say the same of their patient and accession.

    ``shown`` stands for the patient, and tells nobody who it is; ``example`` is one of them.
    """

    shown: str
    example: str
    instances: int
    held: int


@dataclass(frozen=True, slots=True)
class QuarantinedStudy:
    """A study that waits for a person."""

    study_uid: str
    revision: int
    reason: str
    instances: int
    held: Mapping[str, tuple[str, ...]]  # reason -> SOP Instance UIDs
    identities: tuple[Identity, ...]


def hold(session: Session, study_uid: str, reasons: Mapping[str, HoldReason], at: datetime) -> None:
    """Hold exactly these instances of a study, by SOP Instance UID, and let go of all others."""
    changed: dict[str, int] = {}
    for row in _offered(session, study_uid):
        reason = reasons.get(row.sop_instance_uid)
        if reason is None:
            if row.standing == Standing.HELD:
                row.standing, row.standing_reason = Standing.READ.value, ""
        elif (row.standing, row.standing_reason) != (Standing.HELD, reason):
            row.standing, row.standing_reason = Standing.HELD.value, reason.value
            row.as_patient_of = ""
            changed[reason.value] = changed.get(reason.value, 0) + 1
    for text, count in sorted(changed.items()):
        acts.tell(session, study_uid, f"{count} instances held in quarantine: {text}", at)


def release(session: Session, study_uid: str, as_patient_of: str, at: datetime) -> None:
    """Evaluate a quarantined study, as a person says; CatalogError if it cannot be.

    ``as_patient_of`` names the instance whose patient and accession all others get; without one,
    nothing may be held for its identity. What cannot be read is left out.
    """
    _check_quarantined(session, study_uid)
    rows = _offered(session, study_uid)
    held = [row for row in rows if row.standing == Standing.HELD]
    unreadable = [row for row in held if row.standing_reason not in _IDENTITY]
    told = "released by hand"
    if as_patient_of:
        given = _release_as(rows, as_patient_of, unreadable)
        told += f": {given} instances as the patient of {as_patient_of}"
    elif len(held) > len(unreadable):
        raise CatalogError(
            "the instances contradict each other about patient or accession, and a result carries "
            "one: say whose it is with --as-patient-of and one of the instances that "
            "`mome-node quarantine` names, or reject those that do not belong"
        )
    for row in unreadable:
        row.standing = Standing.LEFT_OUT.value
    if unreadable:
        told += f", {len(unreadable)} unreadable instances left out"
    studies.follow_patient(session, study_uid)
    _reopen(session, study_uid, told, at)


def reject(
    session: Session,
    study_uid: str,
    sop_instance_uids: Collection[str],
    keep_patient_of: str,
    at: datetime,
) -> int:
    """Reject instances of a study by hand; how many. CatalogError if it has none such.

    These, or all that another patient's identity is on than on ``keep_patient_of``, or if neither
    is given all that are held.
    """
    rows = {row.sop_instance_uid: row for row in _offered(session, study_uid)}
    if keep_patient_of:
        kept = _one(rows.values(), keep_patient_of)
        uids = {uid for uid, row in rows.items() if row.patient_mark != kept.patient_mark}
    elif sop_instance_uids:
        uids = set(sop_instance_uids)
        if unknown := sorted(uids - rows.keys()):
            raise CatalogError(f"no such instance is read in this study: {', '.join(unknown[:5])}")
    else:
        uids = {uid for uid, row in rows.items() if row.standing == Standing.HELD}
    if not uids:
        raise CatalogError(
            "nothing of this study is held: name what to reject with --instance or "
            "--keep-patient-of"
        )
    return rejections.reject_by_hand(session, study_uid, uids, at)


def of_all(session: Session) -> tuple[QuarantinedStudy, ...]:
    """Return the studies in quarantine, the oldest first."""
    rows = session.scalars(
        select(StudyTable)
        .where(StudyTable.state == StudyState.QUARANTINED.value)
        .order_by(StudyTable.first_received_at, StudyTable.study_uid)
    )
    return tuple(_told(session, study) for study in rows)


def _told(session: Session, study: StudyTable) -> QuarantinedStudy:
    rows = _offered(session, study.study_uid)
    held: dict[str, list[str]] = {}
    identities: dict[tuple[str, str], list[InstanceTable]] = {}
    for row in rows:
        identities.setdefault(_identity(row), []).append(row)
        if row.standing == Standing.HELD:
            held.setdefault(row.standing_reason, []).append(row.sop_instance_uid)
    return QuarantinedStudy(
        study_uid=study.study_uid,
        revision=study.revision,
        reason=study.reason,
        instances=len(rows),
        held={reason: tuple(uids) for reason, uids in sorted(held.items())},
        identities=tuple(
            Identity(
                shown_mark(study.study_uid, f"{mark} {accession}".strip()),
                group[0].sop_instance_uid,
                len(group),
                sum(row.standing == Standing.HELD for row in group),
            )
            for (mark, accession), group in identities.items()
        ),
    )


def _release_as(
    rows: Collection[InstanceTable], uid: str, unreadable: Collection[InstanceTable]
) -> int:
    """Give all rows the patient and accession of one; how many had another."""
    reference = _one(rows, uid)
    if reference in unreadable:
        raise CatalogError(f"{uid} cannot be read: name another instance")
    given = 0
    for row in rows:
        row.standing, row.standing_reason, row.as_patient_of = Standing.READ.value, "", ""
        same = reference.patient_mark and _identity(row) == _identity(reference)
        if row is not reference and not same:
            row.standing, row.as_patient_of = Standing.RELEASED.value, uid
            given += 1
    return given


def _identity(row: InstanceTable) -> tuple[str, str]:
    return row.patient_mark, row.accession_number


def _one(rows: Collection[InstanceTable], uid: str) -> InstanceTable:
    for row in rows:
        if row.sop_instance_uid == uid:
            return row
    raise CatalogError(f"no instance {uid} is read in this study")


def _offered(session: Session, study_uid: str) -> list[InstanceTable]:
    studies.find(session, study_uid)  # or there is no such study
    return list(
        session.scalars(
            select(InstanceTable)
            .where(
                InstanceTable.study_uid == study_uid,
                InstanceTable.superseded_at.is_(None),
                InstanceTable.role_using,
                InstanceTable.standing.in_([standing.value for standing in OFFERED]),
            )
            .order_by(InstanceTable.id)
        )
    )


def _check_quarantined(session: Session, study_uid: str) -> None:
    found = studies.find(session, study_uid).state
    if found is not StudyState.QUARANTINED:
        raise CatalogError(f"the study is {found}; only a quarantined one is released")


def _reopen(session: Session, study_uid: str, cause: str, at: datetime) -> None:
    session.flush()
    studies.transition(
        session, study_uid, StudyState.QUARANTINED, StudyState.RECEIVING, cause, at, reason=cause
    )
