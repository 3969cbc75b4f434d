"""What availability notices (PS3.4 annex R) name, kept until the images come.

The order of notices and their repetition change nothing: of an instance that several name, the
least available word stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import and_, exists, func, insert, select, update
from sqlalchemy.orm import Session

from mome_node.catalog.database import Database
from mome_node.catalog.records import Availability, NamedCounts, NamedInstance
from mome_node.catalog.states import StudyState
from mome_node.catalog.tables import AvailabilityTable, InstanceTable, StudyTable
from mome_node.dicom.classes import ROLE_CLASSES
from mome_node.errors import NoticeTooLargeError

MAX_NAMED: Final = 50_000
"""Instances of one study that notices may name, all together."""

_RANK: Final = {word: rank for rank, word in enumerate(Availability)}
_WILL_COME: Final = (Availability.ONLINE.value, Availability.NEARLINE.value)
_RECEIVING: Final = select(StudyTable.study_uid).where(
    StudyTable.state == StudyState.RECEIVING.value,
    exists().where(AvailabilityTable.study_uid == StudyTable.study_uid),
)


class NoticeLedger:
    """What notices name. Every method is one short transaction of the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(
        self, study_uid: str, named: Sequence[NamedInstance], calling_ae: str, at: datetime
    ) -> None:
        """Keep what a notice names; durable when this returns.

        NoticeTooLargeError if more than 50,000 instances of the study would be named.
        """
        with self._database.write() as session:
            _record(session, study_uid, named, calling_ae, at)

    def receiving(self) -> frozenset[str]:
        """Return the receiving studies of which notices name something."""
        with self._database.read() as session:
            return frozenset(session.scalars(_RECEIVING))

    def named(self, study_uid: str) -> Mapping[str, NamedCounts]:
        """Return, by series, how many inputs notices name and how many of those are here.

        Only classes that a role uses count; what is off line or gone is not expected.
        """
        with self._database.read() as session:
            return _counts(session, study_uid)

    def unnamed_inputs(self, study_uid: str) -> int:
        """Return how many current inputs of a study no notice names."""
        with self._database.read() as session:
            return _unnamed_inputs(session, study_uid)


def _record(
    session: Session, study_uid: str, named: Sequence[NamedInstance], calling_ae: str, at: datetime
) -> None:
    known: dict[str, Availability] = {
        uid: Availability(word)
        for uid, word in session.execute(
            select(AvailabilityTable.sop_instance_uid, AvailabilityTable.availability).where(
                AvailabilityTable.study_uid == study_uid
            )
        )
    }
    told = _least_available(named)
    new = {uid: instance for uid, instance in told.items() if uid not in known}
    if len(known) + len(new) > MAX_NAMED:
        raise NoticeTooLargeError(f"notices name more than {MAX_NAMED} instances of one study")
    if new:
        session.execute(
            insert(AvailabilityTable),
            [_row(study_uid, instance, calling_ae, at) for instance in new.values()],
        )
    changed = [
        {"study_uid": study_uid, "sop_instance_uid": uid, "availability": i.availability.value}
        for uid, i in told.items()
        if uid in known and _RANK[i.availability] > _RANK[known[uid]]
    ]
    if changed:
        session.execute(update(AvailabilityTable), changed)
    study = session.get(StudyTable, study_uid, with_for_update=True)
    if study is not None:
        study.last_received_at = max(study.last_received_at, at)


def _least_available(named: Sequence[NamedInstance]) -> dict[str, NamedInstance]:
    told: dict[str, NamedInstance] = {}
    for instance in named:
        before = told.get(instance.sop_instance_uid)
        if before is None or _RANK[instance.availability] > _RANK[before.availability]:
            told[instance.sop_instance_uid] = instance
    return told


def _row(
    study_uid: str, instance: NamedInstance, calling_ae: str, at: datetime
) -> dict[str, object]:
    return {
        "study_uid": study_uid,
        "sop_instance_uid": instance.sop_instance_uid,
        "series_uid": instance.series_uid,
        "sop_class_uid": instance.sop_class_uid,
        "availability": instance.availability.value,
        "calling_ae": calling_ae,
        "received_at": at,
    }


def _counts(session: Session, study_uid: str) -> Mapping[str, NamedCounts]:
    table = AvailabilityTable
    rows = session.execute(
        select(table.series_uid, func.count(), func.count(InstanceTable.id))
        .select_from(table)
        .outerjoin(
            InstanceTable,
            and_(
                InstanceTable.study_uid == table.study_uid,
                InstanceTable.sop_instance_uid == table.sop_instance_uid,
                InstanceTable.superseded_at.is_(None),
            ),
        )
        .where(
            table.study_uid == study_uid,
            table.availability.in_(_WILL_COME),
            table.sop_class_uid.in_(ROLE_CLASSES),
        )
        .group_by(table.series_uid)
    )
    return {uid: NamedCounts(named, here) for uid, named, here in rows}


def _unnamed_inputs(session: Session, study_uid: str) -> int:
    named = select(AvailabilityTable.sop_instance_uid).where(
        AvailabilityTable.study_uid == study_uid
    )
    return (
        session.scalar(
            select(func.count())
            .select_from(InstanceTable)
            .where(
                InstanceTable.study_uid == study_uid,
                InstanceTable.superseded_at.is_(None),
                InstanceTable.role_using,
                InstanceTable.sop_instance_uid.not_in(named),
            )
        )
        or 0
    )
