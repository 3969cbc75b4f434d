"""What destinations say of what they accepted: storage commitments that we asked for, and lists.

Only a delivery that is still sent changes here: one that goes out again, by hand or because the
peer did not have it, waits for the answer to what it is asked then.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Final, Protocol

from sqlalchemy import ColumnElement, case, func, or_, select, update
from sqlalchemy.orm import Session

from mome_node.catalog.outbox import NOTE, record
from mome_node.catalog.records import DeliveryState, UnconfirmedDelivery
from mome_node.catalog.tables import (
    ConfirmationTable,
    DeliveryTable,
    DestinationQueueTable,
    ResultTable,
)

SENT_AGAIN_AFTER: Final = tuple(timedelta(seconds=s) for s in (5, 30, 120, 600, 1800))
"""How long after each time that a peer did not have what it had accepted it is sent again."""


class CommitmentReport(Protocol):
    """What a peer says of a transaction (PS3.4 J.3.3)."""

    @property
    def committed(self) -> frozenset[str]:
        """SOP Instance UIDs."""

    @property
    def failed(self) -> Mapping[str, int]:
        """Failure Reason (0008,1197) by SOP Instance UID."""


def expire(session: Session, destination: str, now: datetime) -> tuple[str, ...]:
    """Wait no more for the reports whose deadline has passed; their transactions."""
    table = ConfirmationTable
    expired = session.scalars(
        update(table)
        .where(table.destination == destination, table.settled_at.is_(None), table.deadline <= now)
        .values(settled_at=now, outcome="no report")
        .returning(table.transaction_uid)
    )
    return tuple(expired)


def unconfirmed(
    session: Session, destination: str, now: datetime, limit: int
) -> tuple[UnconfirmedDelivery, ...]:
    """Return what the destination is to be asked about now, in the order of the queue.

    What was sent, and no open transaction names. Nothing while the queue is paused.
    """
    paused = select(DestinationQueueTable.name).where(DestinationQueueTable.paused_at.is_not(None))
    statement = (
        select(DeliveryTable, ResultTable, func.coalesce(ConfirmationTable.asked, 0))
        .join(ResultTable, ResultTable.sop_instance_uid == DeliveryTable.sop_instance_uid)
        .outerjoin(
            ConfirmationTable, ConfirmationTable.transaction_uid == DeliveryTable.transaction_uid
        )
        .where(
            DeliveryTable.state == DeliveryState.SENT.value,
            DeliveryTable.destination == destination,
            DeliveryTable.destination.not_in(paused),
            or_(DeliveryTable.next_attempt_at.is_(None), DeliveryTable.next_attempt_at <= now),
            or_(
                ConfirmationTable.transaction_uid.is_(None),
                ConfirmationTable.settled_at.is_not(None),
            ),
        )
        .order_by(DeliveryTable.id)
        .limit(limit)
    )
    return tuple(
        UnconfirmedDelivery(record(delivery, result), asked)
        for delivery, result, asked in session.execute(statement)
    )


def open_transaction(
    session: Session,
    destination: str,
    delivery_ids: Collection[int],
    transaction_uid: str,
    asked: int,
    deadline: datetime,
    at: datetime,
) -> None:
    """Enter a transaction before it is asked for."""
    session.add(
        ConfirmationTable(
            transaction_uid=transaction_uid,
            destination=destination,
            opened_at=at,
            deadline=deadline,
            asked=asked,
            settled_at=None,
            outcome="",
        )
    )
    _change_sent(session, delivery_ids, {"transaction_uid": transaction_uid})


def close(session: Session, transaction_uid: str, why: str, at: datetime, *, counts: bool) -> None:
    """Wait no more for a report: the request could not be made. ``counts``: as asked for."""
    row = session.get_one(ConfirmationTable, transaction_uid, with_for_update=True)
    if row.settled_at is None:
        row.settled_at, row.outcome = at, why
        row.asked -= not counts


def answer(
    session: Session, transaction_uid: str, destination: str, report: CommitmentReport, at: datetime
) -> bool:
    """Take a report; False if the destination was never asked for this transaction.

    One that comes again, or late, changes what is still waited for, and nothing else. What is
    said to be both committed and failed has failed.
    """
    row = session.get(ConfirmationTable, transaction_uid, with_for_update=True)
    if row is None or row.destination != destination:
        return False
    named = session.execute(
        select(DeliveryTable.id, DeliveryTable.sop_instance_uid).where(
            DeliveryTable.transaction_uid == transaction_uid,
            DeliveryTable.state == DeliveryState.SENT.value,
        )
    ).all()
    committed = [i for i, uid in named if uid in report.committed and uid not in report.failed]
    confirm(session, committed, DeliveryState.COMMITTED)
    for reason in sorted(set(report.failed.values())):
        failed = [i for i, uid in named if report.failed.get(uid) == reason]
        send_again(session, failed, f"not committed there: Failure Reason 0x{reason:04X}", at)
    if row.settled_at is None:
        row.settled_at = at
        row.outcome = f"{len(report.committed)} committed, {len(report.failed)} failed"
    return True


def confirm(
    session: Session, delivery_ids: Collection[int], state: DeliveryState, why: str = ""
) -> None:
    """Write down what is known of what was sent. ``why``: why not more; a warning stays."""
    table = DeliveryTable
    kept: ColumnElement[str] = case((table.last_status > 0, table.last_error), else_="")
    _change_sent(
        session,
        delivery_ids,
        {"state": state.value, "next_attempt_at": None, "last_error": why or kept},
    )


def put_off(session: Session, delivery_ids: Collection[int], until: datetime, why: str) -> None:
    """Ask later about what was sent."""
    _change_sent(session, delivery_ids, {"next_attempt_at": until, "last_error": why})


def send_again(session: Session, delivery_ids: Collection[int], why: str, at: datetime) -> None:
    """The peer does not have what it accepted: send it again a few times, then ask a person.

    What is superseded meanwhile is not sent again.
    """
    rows = session.execute(
        select(DeliveryTable, ResultTable)
        .join(ResultTable, ResultTable.sop_instance_uid == DeliveryTable.sop_instance_uid)
        .where(DeliveryTable.id.in_(delivery_ids), DeliveryTable.state == DeliveryState.SENT.value)
    )
    for delivery, result in rows:
        delivery.confirm_attempts += 1
        delivery.last_error, delivery.next_attempt_at = why, None
        if result.superseded_at is not None and result.kind != NOTE:
            delivery.state = DeliveryState.WITHDRAWN.value
        elif delivery.confirm_attempts > len(SENT_AGAIN_AFTER):
            delivery.state = DeliveryState.FAILED.value
        else:
            delivery.state = DeliveryState.PENDING.value
            delivery.next_attempt_at = at + SENT_AGAIN_AFTER[delivery.confirm_attempts - 1]


def _change_sent(
    session: Session, delivery_ids: Collection[int], values: Mapping[str, object]
) -> None:
    session.execute(
        update(DeliveryTable)
        .where(DeliveryTable.id.in_(delivery_ids), DeliveryTable.state == DeliveryState.SENT.value)
        .values(**values)
    )
