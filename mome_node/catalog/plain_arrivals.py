"""Arrivals that are nothing but new instances of known studies: recorded many at a time.

That is nearly every arrival there is, while a study comes in. Whatever is not plainly such a one
takes the way of ``instances.record``, which knows every case; what is recorded is the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, bindparam, insert, literal, select, tuple_, union_all
from sqlalchemy.orm import Session

from mome_node.catalog import instances, studies
from mome_node.catalog.changes import Standing
from mome_node.catalog.records import Arrival, Receipt
from mome_node.catalog.tables import InstanceTable, RejectionTable, ResultTable
from mome_node.dicom.classes import uses_role
from mome_node.dicom.rejection_note import KEY_OBJECT_SELECTION

_KNOWN: Final = union_all(
    select(InstanceTable.study_uid, InstanceTable.sop_instance_uid).where(
        tuple_(InstanceTable.study_uid, InstanceTable.sop_instance_uid).in_(
            bindparam("instances", expanding=True)
        )
    ),
    select(RejectionTable.study_uid, RejectionTable.sop_instance_uid).where(
        tuple_(RejectionTable.study_uid, RejectionTable.sop_instance_uid).in_(
            bindparam("instances", expanding=True)
        )
    ),
    select(literal(""), ResultTable.sop_instance_uid).where(
        ResultTable.sop_instance_uid.in_(bindparam("uids", expanding=True))
    ),
)
"""What one of these instances may be beside new: a copy, rejected before it came, or ours."""

_INSERT: Final = insert(InstanceTable.__table__)  # type: ignore[arg-type] # a Table, typed wider


def record_all(session: Session, arrivals: Sequence[Arrival]) -> tuple[Receipt, ...]:
    """Record arrivals and say what each of them was; see ``instances.record``."""
    connection = session.connection()
    found = studies.lock_for_arrivals(connection, {a.study_uid for a in arrivals})
    known = _known(connection, arrivals)
    times = Counter(_place(a) for a in arrivals)
    # A study's row is written in one way only.
    slow = {
        a.study_uid
        for a in arrivals
        if times[_place(a)] > 1 or not _is_plain(a, found.get(a.study_uid), known)
    }
    receipts = {
        number: instances.record(session, arrival)
        for number, arrival in enumerate(arrivals)
        if arrival.study_uid in slow
    }
    plain = [arrival for arrival in arrivals if arrival.study_uid not in slow]
    if plain:
        connection.execute(_INSERT, [_row(a) for a in plain])
        studies.note_plain_arrivals(connection, plain, found)
    return tuple(receipts.get(number, Receipt.NEW) for number in range(len(arrivals)))


def _known(connection: Connection, arrivals: Sequence[Arrival]) -> set[tuple[str, str]]:
    places = [_place(a) for a in arrivals]
    parameters = {"instances": places, "uids": [uid for _, uid in places]}
    return {(study, uid) for study, uid in connection.execute(_KNOWN, parameters)}


def _place(arrival: Arrival) -> tuple[str, str]:
    return arrival.study_uid, arrival.sop_instance_uid


def _is_plain(
    arrival: Arrival, study: studies.LockedStudy | None, known: set[tuple[str, str]]
) -> bool:
    if study is None or arrival.sop_class_uid == KEY_OBJECT_SELECTION:
        return False
    if arrival.patient_id and (arrival.patient_id, arrival.issuer_of_patient_id) != study.patient:
        return False
    return _place(arrival) not in known and ("", arrival.sop_instance_uid) not in known


def _row(arrival: Arrival) -> dict[str, Any]:
    return {
        "study_uid": arrival.study_uid,
        "series_uid": arrival.series_uid,
        "sop_instance_uid": arrival.sop_instance_uid,
        "sop_class_uid": arrival.sop_class_uid,
        "transfer_syntax_uid": arrival.transfer_syntax_uid,
        "key": arrival.key,
        "sha256": arrival.sha256,
        "size": arrival.size,
        "calling_ae": arrival.calling_ae,
        "received_at": arrival.received_at,
        "role_using": uses_role(arrival.sop_class_uid),
        "superseded_at": None,
        "patient_id": arrival.patient_id,
        "issuer_of_patient_id": arrival.issuer_of_patient_id,
        "accession_number": arrival.accession_number,
        "patient_mark": arrival.patient_mark,
        "standing": Standing.READ.value,
        "standing_reason": "",
        "as_patient_of": "",
    }
