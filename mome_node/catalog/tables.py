"""The tables (SQLAlchemy, typed). The migrations make the same ones; a test compares."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

_UID = String(64)
_SHA256 = String(64)
_ROW_ID = BigInteger().with_variant(Integer, "sqlite")


class UtcDateTime(TypeDecorator[datetime]):
    """A point in time; aware datetimes in, aware UTC out, whatever the database keeps."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive datetimes (ValueError), convert the others to UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a time zone: pass aware datetimes")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return aware UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Root of the tables; constraints have names, so that migrations can refer to them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: dict[Any, Any] = {datetime: UtcDateTime()}  # noqa: RUF012 (SQLAlchemy's)


class StudyTable(Base):
    """A study: where it stands, and what was seen of it."""

    __tablename__ = "studies"

    study_uid: Mapped[str] = mapped_column(_UID, primary_key=True)
    patient_id: Mapped[str] = mapped_column(Text)
    issuer_of_patient_id: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(16), index=True)
    revision: Mapped[int]
    first_received_at: Mapped[datetime]
    last_received_at: Mapped[datetime]
    last_input_at: Mapped[datetime | None]
    input_count: Mapped[int]
    assembled_at: Mapped[datetime | None]
    assembled_inputs: Mapped[int]
    inputs_digest: Mapped[str] = mapped_column(String(128))
    reason: Mapped[str] = mapped_column(Text)
    change: Mapped[int] = mapped_column(server_default="0")
    revision_change: Mapped[int] = mapped_column(server_default="0")
    issue: Mapped[int] = mapped_column(server_default="0")


class InstanceTable(Base):
    """An instance in the store; several of one SOP Instance UID if their bytes differ."""

    __tablename__ = "instances"
    __table_args__ = (UniqueConstraint("study_uid", "sop_instance_uid", "sha256"),)

    id: Mapped[int] = mapped_column(_ROW_ID, primary_key=True, autoincrement=True)
    study_uid: Mapped[str] = mapped_column(_UID, ForeignKey("studies.study_uid"))
    series_uid: Mapped[str] = mapped_column(_UID)
    sop_instance_uid: Mapped[str] = mapped_column(_UID, index=True)
    sop_class_uid: Mapped[str] = mapped_column(_UID)
    transfer_syntax_uid: Mapped[str] = mapped_column(_UID)
    key: Mapped[str] = mapped_column(String(128), index=True)
    sha256: Mapped[str] = mapped_column(_SHA256)
    size: Mapped[int] = mapped_column(BigInteger)
    calling_ae: Mapped[str] = mapped_column(String(64))
    received_at: Mapped[datetime]
    role_using: Mapped[bool]
    superseded_at: Mapped[datetime | None]
    patient_id: Mapped[str] = mapped_column(Text, server_default="")
    issuer_of_patient_id: Mapped[str] = mapped_column(Text, server_default="")
    accession_number: Mapped[str] = mapped_column(Text, server_default="")
    patient_mark: Mapped[str] = mapped_column(String(16), server_default="")
    standing: Mapped[str] = mapped_column(String(16), server_default="read")
    standing_reason: Mapped[str] = mapped_column(Text, server_default="")
    as_patient_of: Mapped[str] = mapped_column(_UID, server_default="")


class AvailabilityTable(Base):
    """What availability notices (PS3.4 annex R) say of the instances that they name."""

    __tablename__ = "availability"

    study_uid: Mapped[str] = mapped_column(_UID, primary_key=True)
    sop_instance_uid: Mapped[str] = mapped_column(_UID, primary_key=True)
    series_uid: Mapped[str] = mapped_column(_UID)
    sop_class_uid: Mapped[str] = mapped_column(_UID)
    availability: Mapped[str] = mapped_column(String(16))
    calling_ae: Mapped[str] = mapped_column(String(64))
    received_at: Mapped[datetime]


class CommitmentTable(Base):
    """A storage commitment transaction (PS3.4 annex J) and how far its report is.

    ``named`` holds the instances that it names, packed, until the report has been given; their
    ``count`` and ``digest`` stay. ``asked`` counts the requests for it.
    """

    __tablename__ = "commitments"
    __table_args__ = (
        UniqueConstraint("transaction_uid"),
        Index(None, "state", "next_attempt_at"),
    )

    id: Mapped[int] = mapped_column(_ROW_ID, primary_key=True, autoincrement=True)
    transaction_uid: Mapped[str] = mapped_column(_UID)
    calling_ae: Mapped[str] = mapped_column(String(64))
    address: Mapped[str] = mapped_column(String(64))
    digest: Mapped[str] = mapped_column(_SHA256)
    count: Mapped[int]
    named: Mapped[bytes]
    asked: Mapped[int]
    asked_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int]
    next_attempt_at: Mapped[datetime | None]
    last_error: Mapped[str] = mapped_column(Text)
    settled_at: Mapped[datetime | None]


class EventTable(Base):
    """The history of all studies; it outlives their other rows.

    Only ever appended to: the migration adds triggers that refuse anything else (SQLite).
    """

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(_ROW_ID, primary_key=True, autoincrement=True)
    study_uid: Mapped[str] = mapped_column(_UID, index=True)
    revision: Mapped[int]
    source: Mapped[str | None] = mapped_column(String(16))
    target: Mapped[str] = mapped_column(String(16))
    cause: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime]


class RejectionNoteTable(Base):
    """A Key Object Selection Document that came; ``settled_at``: when it was read and applied."""

    __tablename__ = "rejection_notes"

    id: Mapped[int] = mapped_column(_ROW_ID, primary_key=True, autoincrement=True)
    study_uid: Mapped[str] = mapped_column(_UID, ForeignKey("studies.study_uid"))
    sop_instance_uid: Mapped[str] = mapped_column(_UID)
    key: Mapped[str] = mapped_column(String(128))
    calling_ae: Mapped[str] = mapped_column(String(64))
    authorised: Mapped[bool]
    received_at: Mapped[datetime]
    settled_at: Mapped[datetime | None] = mapped_column(index=True)


class RejectionTable(Base):
    """A SOP Instance UID that is rejected under one patient, whether it has come or not."""

    __tablename__ = "rejections"

    study_uid: Mapped[str] = mapped_column(_UID, ForeignKey("studies.study_uid"), primary_key=True)
    sop_instance_uid: Mapped[str] = mapped_column(_UID, primary_key=True)
    patient_id: Mapped[str] = mapped_column(Text, primary_key=True)
    issuer_of_patient_id: Mapped[str] = mapped_column(Text, primary_key=True)
    reason: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime]


class ActTable(Base):
    """What was done to a study's instances, beside its steps from state to state.

    Only ever appended to, as the events are.
    """

    __tablename__ = "acts"

    id: Mapped[int] = mapped_column(_ROW_ID, primary_key=True, autoincrement=True)
    study_uid: Mapped[str] = mapped_column(_UID, index=True)
    revision: Mapped[int]
    cause: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime]


class ResultTable(Base):
    """A result object that this node made.

    ``rejected_by``: the SOP Instance UID of the rejection note that takes it back, "" if none.
    """

    __tablename__ = "results"
    __table_args__ = (Index(None, "study_uid", "revision"),)

    sop_instance_uid: Mapped[str] = mapped_column(_UID, primary_key=True)
    sop_class_uid: Mapped[str] = mapped_column(_UID)
    kind: Mapped[str] = mapped_column(String(32))
    study_uid: Mapped[str] = mapped_column(_UID, ForeignKey("studies.study_uid"))
    revision: Mapped[int]
    key: Mapped[str] = mapped_column(String(128), index=True)
    sha256: Mapped[str] = mapped_column(_SHA256)
    created_at: Mapped[datetime]
    superseded_at: Mapped[datetime | None]
    profile: Mapped[str] = mapped_column(String(16), server_default="")
    superseded_as: Mapped[str] = mapped_column(String(16), server_default="", index=True)
    rejected_by: Mapped[str] = mapped_column(_UID, server_default="")


class DeliveryTable(Base):
    """The outbox: one row for each result and destination.

    ``transaction_uid`` is the storage commitment that was asked for it last, since it was sent.
    ``confirm_attempts`` counts how often the peer did not have it after all. ``tried_at``: from
    when on the peer may have it.
    """

    __tablename__ = "deliveries"
    __table_args__ = (
        UniqueConstraint("sop_instance_uid", "destination"),
        Index(None, "state", "next_attempt_at"),
    )

    id: Mapped[int] = mapped_column(_ROW_ID, primary_key=True, autoincrement=True)
    sop_instance_uid: Mapped[str] = mapped_column(_UID, ForeignKey("results.sop_instance_uid"))
    destination: Mapped[str] = mapped_column(String(128))
    state: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int]
    next_attempt_at: Mapped[datetime | None]
    last_status: Mapped[int | None]
    last_error: Mapped[str] = mapped_column(Text)
    sent_at: Mapped[datetime | None]
    tried_at: Mapped[datetime | None]
    transaction_uid: Mapped[str | None] = mapped_column(_UID, index=True)
    confirm_attempts: Mapped[int] = mapped_column(server_default="0")
    queued_at: Mapped[datetime]


class DestinationQueueTable(Base):
    """How the queue of one destination stands; without a row it runs and nothing has failed."""

    __tablename__ = "destination_queues"

    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    paused_at: Mapped[datetime | None]
    pause_cause: Mapped[str] = mapped_column(Text)
    failures: Mapped[int]
    failing_since: Mapped[datetime | None]
    next_attempt_at: Mapped[datetime | None]
    last_error: Mapped[str] = mapped_column(Text)


class ConfirmationTable(Base):
    """A storage commitment that this node asked a destination for (PS3.4 annex J, as SCU).

    Its instances are the deliveries that have its ``transaction_uid``; ``asked`` counts how often
    it was asked for them, this time included. ``settled_at``: when its report came, or nobody
    waits for it any more.
    """

    __tablename__ = "confirmations"

    transaction_uid: Mapped[str] = mapped_column(_UID, primary_key=True)
    destination: Mapped[str] = mapped_column(String(128))
    opened_at: Mapped[datetime]
    deadline: Mapped[datetime]
    asked: Mapped[int]
    settled_at: Mapped[datetime | None] = mapped_column(index=True)
    outcome: Mapped[str] = mapped_column(Text)


class FlagTable(Base):
    """A switch that is on while its row is there."""

    __tablename__ = "flags"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    cause: Mapped[str] = mapped_column(Text)
    set_at: Mapped[datetime]
