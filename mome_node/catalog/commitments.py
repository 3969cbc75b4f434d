"""Storage commitment transactions (PS3.4 annex J): who asks for what, and what it was told.

A transaction stands here before its request is answered, and until its report has been taken or
given up. The instances that it names are forgotten then; that there was such a transaction is
remembered for a while, so that a request that comes again is known.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from mome_node.catalog.database import Database
from mome_node.catalog.tables import CommitmentTable, InstanceTable
from mome_node.dicom.commitment import ReferencedInstance

_AT_ONCE: Final = 500
MAX_OPEN_REFERENCES: Final = 500_000
"""Instances that one peer's transactions may name while they wait for their reports."""


class CommitmentState(StrEnum):
    """Where a transaction stands."""

    PENDING = "pending"
    REPORTED = "reported"
    GIVEN_UP = "given up"


class Opening(StrEnum):
    """What a request for commitment was."""

    NEW = "new"
    AGAIN = "again"  # the same transaction: it is reported once more
    OF_ANOTHER_PEER = "of another peer"
    OF_OTHER_INSTANCES = "of other instances"
    TOO_MANY = "too many"


@dataclass(frozen=True, slots=True)
class AskingPeer:
    """Who asks: its calling AE title, and the address that it calls from."""

    ae_title: str
    address: str


@dataclass(frozen=True, slots=True)
class Commitment:
    """A transaction whose report is due. Times are aware UTC."""

    commitment_id: int
    transaction_uid: str
    peer: AskingPeer
    asked: int
    asked_at: datetime
    attempts: int


@dataclass(frozen=True, slots=True)
class HeldCopy:
    """One content of a SOP Instance that the catalogue says is in the store."""

    sop_class_uid: str
    transfer_syntax_uid: str
    key: str
    sha256: str
    size: int


class CommitmentLedger:
    """The transactions. Every method is one short transaction of the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(
        self,
        transaction_uid: str,
        peer: AskingPeer,
        named: Collection[ReferencedInstance],
        at: datetime,
    ) -> Opening:
        """Take in a request; durable when this returns. Nothing is kept of one that is refused."""
        # Packed and outside of the transaction: 50,000 rows would keep every writer waiting.
        listed = _listed(named)
        digest, packed = hashlib.sha256(listed).hexdigest(), zlib.compress(listed, 1)
        count = listed.count(b"\n")
        with self._database.write() as session:
            row = session.scalar(
                select(CommitmentTable).where(CommitmentTable.transaction_uid == transaction_uid)
            )
            if row is not None and (row.calling_ae, row.address) != (peer.ae_title, peer.address):
                return Opening.OF_ANOTHER_PEER
            if row is not None and row.digest != digest:
                return Opening.OF_OTHER_INSTANCES
            is_open = row is not None and row.state == CommitmentState.PENDING
            if not is_open and _open_count(session, peer) + count > MAX_OPEN_REFERENCES:
                return Opening.TOO_MANY
            if row is None:
                session.add(_new_row(transaction_uid, peer, digest, count, packed, at))
                return Opening.NEW
            _ask_again(row, packed, at)
            return Opening.AGAIN

    def due(self, now: datetime, *, limit: int = 1000) -> tuple[Commitment, ...]:
        """Return the transactions to look at now, those that wait longest first."""
        table = CommitmentTable
        with self._database.read() as session:
            rows = session.execute(
                select(  # without what it names, which may be long
                    table.id,
                    table.transaction_uid,
                    table.calling_ae,
                    table.address,
                    table.asked,
                    table.asked_at,
                    table.attempts,
                )
                .where(table.state == CommitmentState.PENDING, table.next_attempt_at <= now)
                .order_by(table.next_attempt_at, table.id)
                .limit(limit)
            )
            return tuple(
                Commitment(row_id, uid, AskingPeer(ae_title, address), asked, asked_at, attempts)
                for row_id, uid, ae_title, address, asked, asked_at, attempts in rows
            )

    def named_by(self, commitment_id: int) -> tuple[ReferencedInstance, ...]:
        """Return what a transaction names, each once, in the order of the UIDs."""
        with self._database.read() as session:
            packed = session.scalar(
                select(CommitmentTable.named).where(CommitmentTable.id == commitment_id)
            )
        lines = zlib.decompress(packed).decode("ascii").splitlines() if packed else []
        return tuple(ReferencedInstance(*line.split(" ")) for line in lines)

    def awaits_instances(self, commitment_id: int) -> bool:
        """Tell whether a transaction names an instance that has not come."""
        uids = list({i.sop_instance_uid for i in self.named_by(commitment_id)})
        some = (uids[at : at + _AT_ONCE] for at in range(0, len(uids), _AT_ONCE))
        return any(len(self.copies_of(asked)) < len(asked) for asked in some)

    def copies_of(self, sop_instance_uids: Collection[str]) -> Mapping[str, tuple[HeldCopy, ...]]:
        """Return all that was received of these (at most 1,000), whatever has become of it."""
        table = InstanceTable
        found: dict[str, tuple[HeldCopy, ...]] = {}
        with self._database.read() as session:
            rows = session.execute(
                select(
                    table.sop_instance_uid,
                    table.sop_class_uid,
                    table.transfer_syntax_uid,
                    table.key,
                    table.sha256,
                    table.size,
                ).where(table.sop_instance_uid.in_(sop_instance_uids))
            )
            for uid, sop_class, transfer_syntax, key, sha256, size in rows:
                copy = HeldCopy(sop_class, transfer_syntax, key, sha256, size)
                found[uid] = (*found.get(uid, ()), copy)
        return found

    def postpone(self, commitment: Commitment, until: datetime, last_error: str) -> None:
        """Count an attempt to report that failed; the next is due then."""
        attempts = commitment.attempts + 1
        self._change(
            commitment,
            {"next_attempt_at": until, "attempts": attempts, "last_error": last_error},
        )

    def settle(
        self, commitment: Commitment, state: CommitmentState, at: datetime, last_error: str = ""
    ) -> None:
        """Close a transaction; it stays open where it was asked for again in between."""
        values: dict[str, object] = {
            "state": state.value,
            "next_attempt_at": None,
            "last_error": last_error,
            "settled_at": at,
            "named": b"",
        }
        self._change(commitment, values)

    def remove_settled(self, before: datetime) -> int:
        """Forget transactions that were settled before then; how many."""
        with self._database.write() as session:
            gone = session.execute(
                delete(CommitmentTable)
                .where(CommitmentTable.settled_at < before)
                .returning(CommitmentTable.id)
            )
            return len(gone.all())

    def _change(self, commitment: Commitment, values: Mapping[str, object]) -> None:
        with self._database.write() as session:
            session.execute(
                update(CommitmentTable)
                .where(
                    CommitmentTable.id == commitment.commitment_id,
                    CommitmentTable.asked == commitment.asked,
                )
                .values(**values)
            )


def _new_row(
    transaction_uid: str, peer: AskingPeer, digest: str, count: int, named: bytes, at: datetime
) -> CommitmentTable:
    return CommitmentTable(
        transaction_uid=transaction_uid,
        calling_ae=peer.ae_title,
        address=peer.address,
        digest=digest,
        count=count,
        named=named,
        asked=1,
        asked_at=at,
        state=CommitmentState.PENDING.value,
        attempts=0,
        next_attempt_at=at,
        last_error="",
        settled_at=None,
    )


def _ask_again(row: CommitmentTable, named: bytes, at: datetime) -> None:
    row.named = named
    row.asked += 1
    row.asked_at = row.next_attempt_at = at
    row.state = CommitmentState.PENDING.value
    row.attempts = 0
    row.settled_at = None


def _open_count(session: Session, peer: AskingPeer) -> int:
    return (
        session.scalar(
            select(func.sum(CommitmentTable.count)).where(
                CommitmentTable.state == CommitmentState.PENDING,
                CommitmentTable.calling_ae == peer.ae_title,
                CommitmentTable.address == peer.address,
            )
        )
        or 0
    )


def _listed(named: Iterable[ReferencedInstance]) -> bytes:
    """One instance a line, each once, in the order of the UIDs."""
    return b"".join(
        f"{i.sop_class_uid} {i.sop_instance_uid}\n".encode("ascii") for i in sorted(set(named))
    )
