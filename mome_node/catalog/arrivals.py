"""Arrivals that are nothing but new instances of known studies: recorded with few statements.

That is nearly every arrival there is, while a study comes in, and what is answered to a sender
waits for it. The statements are SQLAlchemy's, compiled once, and run on a connection that is kept
open: building and sending them anew takes longer than the disk does. Whatever is not plainly such
an arrival is left to ``instances.record``, which knows every case; what is recorded is the same.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    ClauseElement,
    ColumnClause,
    Dialect,
    bindparam,
    insert,
    literal_column,
    select,
)
from sqlalchemy.pool import PoolProxiedConnection

from mome_node.catalog import studies
from mome_node.catalog.changes import Standing
from mome_node.catalog.database import Database
from mome_node.catalog.records import Arrival, Receipt
from mome_node.catalog.tables import (
    InstanceTable,
    RejectionTable,
    ResultTable,
    StudyTable,
    UtcDateTime,
)
from mome_node.dicom.classes import uses_role
from mome_node.dicom.rejection_note import KEY_OBJECT_SELECTION

_PATIENT: Final = (
    select(StudyTable.patient_id, StudyTable.issuer_of_patient_id)
    .where(StudyTable.study_uid == bindparam("study_uid"))
    .with_for_update()
)
_ONE: Final[ColumnClause[int]] = literal_column("1")
_IS_KNOWN: Final = (
    select(_ONE).where(
        InstanceTable.study_uid == bindparam("study_uid"),
        InstanceTable.sop_instance_uid == bindparam("sop_instance_uid"),
    ),
    select(_ONE).where(
        RejectionTable.study_uid == bindparam("study_uid"),
        RejectionTable.sop_instance_uid == bindparam("sop_instance_uid"),
    ),
    select(_ONE).where(ResultTable.sop_instance_uid == bindparam("sop_instance_uid")),
)
"""What an instance may be beside new: a copy, rejected before it came, or ours."""

_COLUMNS: Final = tuple(c for c in InstanceTable.__table__.columns if c.name != "id")
_INSERT_IF_NEW: Final = insert(InstanceTable).from_select(
    [c.name for c in _COLUMNS],
    select(*(bindparam(c.name, type_=c.type) for c in _COLUMNS)).where(
        *(~known.exists() for known in _IS_KNOWN)
    ),
)

FurtherArrivals = Callable[[], Sequence[Arrival]]


class ArrivalWriter:
    """Records plain arrivals over one connection that stays open. Safe for several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        dialect = database.named_dialect
        self._patient = _compiled(_PATIENT, dialect)
        self._insert_if_new = _compiled(_INSERT_IF_NEW, dialect)
        self._count_arrivals = _compiled(studies.COUNT_ARRIVALS, dialect)
        self._time: Callable[[datetime], Any] = (
            UtcDateTime().bind_processor(dialect) or _as_it_is  # what the driver takes
        )
        self._connection: PoolProxiedConnection | None = None
        self._lock = threading.Lock()

    def record(
        self, arrivals: Sequence[Arrival], before_commit: FurtherArrivals
    ) -> tuple[Receipt | None, ...] | None:
        """Record all of them as new; None, and nothing recorded, if one may be anything else.

        ``before_commit`` is called inside the transaction. The arrivals that it returns, which
        came meanwhile, are recorded as well if they are plainly new: receipts of all, None for
        those that are not. CatalogError: nothing is recorded.
        """
        with self._transaction() as connection:
            cursor = connection.cursor()
            study_uids = sorted({a.study_uid for a in arrivals})  # so that locks do not cross
            for uid in study_uids:
                of_study = [a for a in arrivals if a.study_uid == uid]
                if len(self._record(cursor, uid, of_study)) < len(of_study):
                    connection.rollback()
                    return None
            further = before_commit()
            recorded: set[str] = set()
            for uid in study_uids:
                of_study = [a for a in further if a.study_uid == uid]
                recorded.update(a.key for a in self._record(cursor, uid, of_study))
            cursor.close()
            connection.commit()
            late = (Receipt.NEW if a.key in recorded else None for a in further)
            return (*((Receipt.NEW,) * len(arrivals)), *late)

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def _transaction(self) -> Iterator[PoolProxiedConnection]:
        """Have a write transaction open on the kept connection; rolled back on any error."""
        with self._lock, self._database.turn():
            if self._connection is None:
                self._connection = self._database.raw_connection()
            try:
                self._database.begin_write(self._connection)
                yield self._connection
            except BaseException:
                broken, self._connection = self._connection, None
                with suppress(Exception):
                    broken.rollback()
                broken.invalidate()
                raise

    def _record(self, cursor: Any, study_uid: str, arrivals: Sequence[Arrival]) -> list[Arrival]:
        """Record those that are plainly new; return them."""
        if not arrivals:
            return []
        cursor.execute(self._patient, {"study_uid": study_uid})
        patient = cursor.fetchone()
        new = [a for a in arrivals if patient is not None and self._take(cursor, a, patient)]
        if new:
            self._count(cursor, study_uid, new)
        return new

    def _take(self, cursor: Any, arrival: Arrival, patient: tuple[str, str]) -> bool:
        """Insert the instance, if it is plainly new."""
        if arrival.sop_class_uid == KEY_OBJECT_SELECTION:
            return False
        of = (arrival.patient_id, arrival.issuer_of_patient_id)
        if arrival.patient_id and of != tuple(patient):
            return False
        cursor.execute(self._insert_if_new, self._row(arrival))
        return bool(cursor.rowcount == 1)

    def _count(self, cursor: Any, study_uid: str, arrivals: Sequence[Arrival]) -> None:
        inputs = [a.received_at for a in arrivals if uses_role(a.sop_class_uid)]
        values = {
            "study_uid": study_uid,
            "at": self._time(max(a.received_at for a in arrivals)),
            "inputs": len(inputs),
            "input_at": self._time(max(inputs)) if inputs else None,
        }
        cursor.execute(self._count_arrivals, values)

    def _row(self, arrival: Arrival) -> dict[str, Any]:
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
            "received_at": self._time(arrival.received_at),
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


def _compiled(statement: ClauseElement, dialect: Dialect) -> str:
    """Return the SQL of a statement whose parameters are all named."""
    return str(statement.compile(dialect=dialect))


def _as_it_is(value: datetime) -> datetime:
    return value
