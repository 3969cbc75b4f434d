"""Studies: the only place that writes their rows, the state column above all."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    ColumnClause,
    ColumnElement,
    and_,
    bindparam,
    case,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session

from mome_node.catalog.changes import OFFERED, Change
from mome_node.catalog.records import Arrival, EventRecord, StudyRecord
from mome_node.catalog.states import (
    INITIAL_STATE,
    INTERRUPTIBLE,
    StudyState,
    find_transition,
    reopens,
)
from mome_node.catalog.tables import EventTable, InstanceTable, StudyTable
from mome_node.errors import TransitionRefusedError, UnknownStudyError

_RESULTS_ARE_SETTLED: Final = (StudyState.DELIVERING, StudyState.NOT_EVALUABLE)
"""It is decided what becomes of the results that were made before."""


def note_arrival(session: Session, arrival: Arrival) -> None:
    """Note that something of the study came; make its row if it is the first."""
    row = session.get(StudyTable, arrival.study_uid, with_for_update=True)
    if row is not None:
        row.last_received_at = max(row.last_received_at, arrival.received_at)
        return
    session.add(
        StudyTable(
            study_uid=arrival.study_uid,
            patient_id=arrival.patient_id,
            issuer_of_patient_id=arrival.issuer_of_patient_id,
            state=INITIAL_STATE.value,
            revision=1,
            first_received_at=arrival.received_at,
            last_received_at=arrival.received_at,
            last_input_at=None,
            input_count=0,
            assembled_at=None,
            assembled_inputs=0,
            inputs_digest="",
            reason="",
            change=Change.NONE,
            revision_change=Change.NONE,
        )
    )
    session.flush()
    cause = f"first instance, from {arrival.calling_ae}"
    _append_event(session, arrival.study_uid, 1, None, INITIAL_STATE, cause, arrival.received_at)


def note_input(
    session: Session, study_uid: str, at: datetime, change: Change = Change.LATE
) -> None:
    """Count a change of what a role may use: it restarts the quiet time, or reopens the study."""
    row = session.get_one(StudyTable, study_uid, with_for_update=True)
    row.input_count += 1
    row.change = max(row.change, change)
    row.last_input_at = at if row.last_input_at is None else max(row.last_input_at, at)


_LATE: Final[ColumnClause[int]] = literal_column(str(Change.LATE.value))
_NONE: Final[ColumnClause[int]] = literal_column("0")
_AT: Final = bindparam("at", type_=StudyTable.last_received_at.type)
_INPUT_AT: Final = bindparam("input_at", type_=StudyTable.last_received_at.type)
_INPUTS: Final = bindparam("inputs", type_=StudyTable.input_count.type)
COUNT_ARRIVALS: Final = (
    update(StudyTable)
    .where(StudyTable.study_uid == bindparam("study_uid"))
    .values(
        last_received_at=case(
            (StudyTable.last_received_at < _AT, _AT), else_=StudyTable.last_received_at
        ),
        input_count=StudyTable.input_count + _INPUTS,
        change=case(
            (and_(_INPUTS > _NONE, StudyTable.change < _LATE), _LATE), else_=StudyTable.change
        ),
        last_input_at=case(
            (
                or_(_INPUTS == _NONE, StudyTable.last_input_at >= _INPUT_AT),
                StudyTable.last_input_at,
            ),
            else_=_INPUT_AT,
        ),
    )
)
"""What ``note_arrival`` does to a known study's row when instances came until ``at``.

And what ``note_input`` does to it when ``inputs`` of them were new inputs, until ``input_at``.
"""


def follow_patient(session: Session, study_uid: str) -> None:
    """Give the study the patient that its current instances agree on, if they do."""
    session.flush()
    found = session.execute(
        select(InstanceTable.patient_id, InstanceTable.issuer_of_patient_id)
        .where(
            InstanceTable.study_uid == study_uid,
            InstanceTable.superseded_at.is_(None),
            InstanceTable.role_using,
            InstanceTable.standing.in_([s.value for s in OFFERED]),
            InstanceTable.as_patient_of == "",
            InstanceTable.patient_id != "",
        )
        .distinct()
        .limit(2)
    ).all()
    if len(found) == 1:
        row = session.get_one(StudyTable, study_uid)
        row.patient_id, row.issuer_of_patient_id = found[0]


def transition(
    session: Session,
    study_uid: str,
    source: StudyState,
    target: StudyState,
    cause: str,
    at: datetime,
    *,
    reason: str = "",
    inputs_digest: str | None = None,
    inputs_seen: int | None = None,
) -> None:
    """Take one step, if the table allows it and the study is where the step begins.

    ``inputs_seen`` is the ``input_count`` that the decision was made on; if more came since, the
    step is refused. TransitionRefusedError, UnknownStudyError.
    """
    step = find_transition(source, target)
    values: dict[str, Any] = {"state": target.value, "reason": reason}
    if step.opens_revision:
        values["revision"] = StudyTable.revision + 1
    if source is StudyState.RECEIVING:
        values |= {
            "assembled_at": at,
            "assembled_inputs": StudyTable.input_count,
            "change": Change.NONE.value,
            "revision_change": case(
                (StudyTable.change > StudyTable.revision_change, StudyTable.change),
                else_=StudyTable.revision_change,
            ),
        }
    elif target in _RESULTS_ARE_SETTLED:
        values["revision_change"] = Change.NONE.value
    if inputs_digest is not None:
        values["inputs_digest"] = inputs_digest
    conditions = [StudyTable.study_uid == study_uid, StudyTable.state == source.value]
    if inputs_seen is not None:
        conditions.append(StudyTable.input_count == inputs_seen)
    result = session.execute(
        update(StudyTable).where(*conditions).values(values).returning(StudyTable.revision)
    )
    revision = result.scalar_one_or_none()
    if revision is None:
        raise _refusal(session, study_uid, source, target)
    _append_event(session, study_uid, revision, source, target, cause, at)


def _refusal(
    session: Session, study_uid: str, source: StudyState, target: StudyState
) -> TransitionRefusedError:
    found = find(session, study_uid).state
    if found is source:
        return TransitionRefusedError(f"input has come since the step to {target} was decided")
    return TransitionRefusedError(f"the study is {found}, not {source}: it does not go to {target}")


def _append_event(
    session: Session,
    study_uid: str,
    revision: int,
    source: StudyState | None,
    target: StudyState,
    cause: str,
    at: datetime,
) -> None:
    session.add(
        EventTable(
            study_uid=study_uid,
            revision=revision,
            source=source.value if source else None,
            target=target.value,
            cause=cause,
            at=at,
        )
    )


def note_waiting(session: Session, study_uid: str, reason: str) -> None:
    """Say why a receiving study waits; no step, and nothing if it has gone on."""
    session.execute(
        update(StudyTable)
        .where(
            StudyTable.study_uid == study_uid,
            StudyTable.state == StudyState.RECEIVING.value,
            StudyTable.reason != reason,
        )
        .values(reason=reason)
    )


def recover_interrupted(session: Session, cause: str, at: datetime) -> tuple[str, ...]:
    """Return what a crash interrupted to the queue; the UIDs of those studies."""
    states = [state.value for state in INTERRUPTIBLE]
    rows = session.execute(
        select(StudyTable.study_uid, StudyTable.state).where(StudyTable.state.in_(states))
    ).all()
    for study_uid, state in rows:
        transition(session, study_uid, StudyState(state), StudyState.QUEUED, cause, at)
    return tuple(study_uid for study_uid, _ in rows)


def raise_issue(session: Session, study_uid: str) -> None:
    """Count a withdrawal: whatever is made of the study from now on has UIDs of its own."""
    row = session.get_one(StudyTable, study_uid, with_for_update=True)
    row.issue += 1
    session.flush()


def find(session: Session, study_uid: str) -> StudyRecord:
    """Return one study, or raise UnknownStudyError."""
    for record in _records(session, StudyTable.study_uid == study_uid):
        return record
    raise UnknownStudyError(f"the catalogue holds no study {study_uid}")


def all_studies(session: Session) -> tuple[StudyRecord, ...]:
    """Return every study, the oldest first."""
    return tuple(_records(session))


def in_states(session: Session, states: Collection[StudyState]) -> tuple[StudyRecord, ...]:
    """Return the studies in one of ``states``, the oldest first."""
    return tuple(_records(session, StudyTable.state.in_([state.value for state in states])))


def awaiting_assembly(session: Session) -> tuple[StudyRecord, ...]:
    """Return the studies that receive and hold something that a role may use."""
    return tuple(
        _records(
            session,
            StudyTable.state == StudyState.RECEIVING.value,
            StudyTable.last_input_at.is_not(None),
        )
    )


def with_late_input(session: Session) -> tuple[StudyRecord, ...]:
    """Return the studies that have to reopen: input came after they were assembled.

    A held study reopens whatever comes for it, the same images again or a notice, too.
    """
    anyhow, if_withdrawn = (
        [state.value for state in StudyState if reopens(state, withdraws=withdraws)]
        for withdraws in (False, True)
    )
    withdrawing = [change.value for change in Change if change.withdraws]
    input_came = StudyTable.input_count > StudyTable.assembled_inputs
    return tuple(
        _records(
            session,
            or_(
                and_(input_came, StudyTable.state.in_(anyhow)),
                and_(
                    input_came,
                    StudyTable.state.in_(if_withdrawn),
                    StudyTable.change.in_(withdrawing),
                ),
                and_(
                    StudyTable.state == StudyState.HELD.value,
                    StudyTable.last_received_at > StudyTable.assembled_at,
                ),
            ),
        )
    )


def events_of(session: Session, study_uid: str) -> tuple[EventRecord, ...]:
    """Return the study's history, the oldest event first."""
    rows = session.scalars(
        select(EventTable).where(EventTable.study_uid == study_uid).order_by(EventTable.id)
    )
    return tuple(
        EventRecord(
            study_uid=row.study_uid,
            revision=row.revision,
            source=StudyState(row.source) if row.source else None,
            target=StudyState(row.target),
            cause=row.cause,
            at=row.at,
        )
        for row in rows
    )


def _records(session: Session, *conditions: ColumnElement[bool]) -> Iterable[StudyRecord]:
    statement = (
        select(StudyTable)
        .where(*conditions)
        .order_by(StudyTable.first_received_at, StudyTable.study_uid)
    )
    for row in session.scalars(statement):
        yield StudyRecord(
            study_uid=row.study_uid,
            patient_id=row.patient_id,
            issuer_of_patient_id=row.issuer_of_patient_id,
            state=StudyState(row.state),
            revision=row.revision,
            first_received_at=row.first_received_at,
            last_received_at=row.last_received_at,
            last_input_at=row.last_input_at,
            input_count=row.input_count,
            assembled_at=row.assembled_at,
            assembled_inputs=row.assembled_inputs,
            inputs_digest=row.inputs_digest,
            reason=row.reason,
            change=Change(row.change),
            revision_change=Change(row.revision_change),
            issue=row.issue,
        )
