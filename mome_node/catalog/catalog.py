"""The catalogue: what the node knows, behind one object that threads and processes share.

Every method is one short transaction. Times are passed in, aware; the catalogue reads no clock.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Self

from mome_node.catalog import availability, flags, instances, results, studies
from mome_node.catalog.database import ContradictionError, Database
from mome_node.catalog.migrate import migrate
from mome_node.catalog.records import (
    Arrival,
    DeliveryRecord,
    DeliveryState,
    EventRecord,
    InstanceRecord,
    NamedCounts,
    NamedInstance,
    Receipt,
    ResultRecord,
    ResultRow,
    SeriesCount,
    StudyRecord,
)
from mome_node.catalog.states import StudyState


class Catalog:
    """Studies, their instances, their history, the results and the outbox."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, url: str) -> Self:
        """Open the database at ``url`` and bring its tables up to date; CatalogError."""
        database = Database(url)
        migrate(database)
        return cls(database)

    def close(self) -> None:
        """Close all connections."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Instances

    def record_instance(self, arrival: Arrival) -> Receipt:
        """Record one arrival; durable when this returns."""
        return self.record_instances([arrival])[0]

    def record_instances(self, arrivals: Sequence[Arrival]) -> tuple[Receipt, ...]:
        """Record several arrivals in one transaction: all of them, or none and CatalogError."""
        try:
            return self._record(arrivals)
        except ContradictionError:
            # Another process recorded the same in between: now its rows are seen.
            return self._record(arrivals)

    def _record(self, arrivals: Sequence[Arrival]) -> tuple[Receipt, ...]:
        with self._database.write() as session:
            return tuple(instances.record(session, arrival) for arrival in arrivals)

    def instances_of(
        self, study_uid: str, *, current_only: bool = True
    ) -> tuple[InstanceRecord, ...]:
        """Return the study's instances in order of arrival; all of them, or the newest of each."""
        with self._database.read() as session:
            return instances.of_study(session, study_uid, current_only=current_only)

    def is_ours(self, sop_instance_uid: str) -> bool:
        """Tell whether this node made the instance."""
        with self._database.read() as session:
            return instances.is_ours(session, sop_instance_uid)

    def counts_by_series(self, study_uid: str) -> Mapping[str, SeriesCount]:
        """Return how many current instances of each series of a study there are."""
        with self._database.read() as session:
            return instances.counts_by_series(session, study_uid)

    # Availability notices

    def record_notice(
        self, study_uid: str, named: Sequence[NamedInstance], calling_ae: str, at: datetime
    ) -> None:
        """Keep what an availability notice names; durable when this returns.

        NoticeTooLargeError if more than 50,000 instances of the study would be named.
        """
        with self._database.write() as session:
            availability.record(session, study_uid, named, calling_ae, at)

    def named_by_notices(self, study_uid: str) -> Mapping[str, NamedCounts]:
        """Return, by series, how many inputs notices name and how many of those are here."""
        with self._database.read() as session:
            return availability.counts(session, study_uid)

    def inputs_without_notice(self, study_uid: str) -> int:
        """Return how many inputs of a study no notice names."""
        with self._database.read() as session:
            return availability.unnamed_inputs(session, study_uid)

    def unused_keys(self, keys: Collection[str]) -> frozenset[str]:
        """Return those keys of the store (at most 1,000) that no instance or result has."""
        with self._database.read() as session:
            return instances.unused_keys(session, keys)

    # Studies

    def study(self, study_uid: str) -> StudyRecord:
        """Return one study, or raise UnknownStudyError."""
        with self._database.read() as session:
            return studies.find(session, study_uid)

    def studies(self) -> tuple[StudyRecord, ...]:
        """Return every study, the oldest first."""
        with self._database.read() as session:
            return studies.all_studies(session)

    def studies_in(self, state: StudyState) -> tuple[StudyRecord, ...]:
        """Return the studies in ``state``, the oldest first."""
        with self._database.read() as session:
            return studies.in_state(session, state)

    def studies_awaiting_assembly(self) -> tuple[StudyRecord, ...]:
        """Return the receiving studies that hold something that a role may use."""
        with self._database.read() as session:
            return studies.awaiting_assembly(session)

    def studies_with_late_input(self) -> tuple[StudyRecord, ...]:
        """Return the studies to reopen: input came after they were assembled."""
        with self._database.read() as session:
            return studies.with_late_input(session)

    def transition(
        self,
        study_uid: str,
        source: StudyState,
        target: StudyState,
        cause: str,
        at: datetime,
        *,
        reason: str = "",
        inputs_digest: str | None = None,
        inputs_seen: int | None = None,
    ) -> StudyRecord:
        """Take one step of the state table and write its event; return the study after it.

        ``reason`` says why the study is where it is now. ``inputs_seen``, on the way out of
        receiving, is the ``input_count`` that the decision was made on: the step is refused if
        more has come since. TransitionRefusedError, UnknownStudyError.
        """
        with self._database.write() as session:
            studies.transition(
                session,
                study_uid,
                source,
                target,
                cause,
                at,
                reason=reason,
                inputs_digest=inputs_digest,
                inputs_seen=inputs_seen,
            )
            session.flush()
            return studies.find(session, study_uid)

    def note_waiting(self, study_uid: str, reason: str) -> None:
        """Say why a receiving study waits; nothing happens if it has gone on."""
        with self._database.write() as session:
            studies.note_waiting(session, study_uid, reason)

    def recover_interrupted(self, cause: str, at: datetime) -> tuple[str, ...]:
        """Return inferring and reporting studies to the queue, after a restart; their UIDs."""
        with self._database.write() as session:
            return studies.recover_interrupted(session, cause, at)

    def events_of(self, study_uid: str) -> tuple[EventRecord, ...]:
        """Return the study's history, the oldest event first."""
        with self._database.read() as session:
            return studies.events_of(session, study_uid)

    # Results and the outbox

    def add_results(
        self,
        study_uid: str,
        revision: int,
        rows: Sequence[ResultRow],
        destinations: Mapping[str, Collection[str]],
        cause: str,
        at: datetime,
    ) -> StudyRecord:
        """Keep a revision's results, put them in the outbox and go from reporting to delivering.

        ``destinations``: name of each destination → the kinds of result that it takes. All in one
        transaction; a second call with the same results changes nothing. CatalogError if a result
        is there with other bytes, TransitionRefusedError if the study is elsewhere.
        """
        with self._database.write() as session:
            results.add(session, study_uid, revision, rows, destinations, cause, at)
            session.flush()
            return studies.find(session, study_uid)

    def results_of(self, study_uid: str) -> tuple[ResultRecord, ...]:
        """Return all results of a study, the oldest revision first."""
        with self._database.read() as session:
            return results.of_study(session, study_uid)

    def due_deliveries(self, now: datetime, *, limit: int = 100) -> tuple[DeliveryRecord, ...]:
        """Return the deliveries to try now, those that wait longest first."""
        with self._database.read() as session:
            return results.due(session, now, limit)

    def deliveries_of(self, study_uid: str) -> tuple[DeliveryRecord, ...]:
        """Return all deliveries of a study, the oldest first."""
        with self._database.read() as session:
            return results.deliveries_of(session, study_uid)

    def mark_delivery(
        self,
        delivery_id: int,
        state: DeliveryState,
        at: datetime,
        *,
        next_attempt_at: datetime | None = None,
        last_status: int | None = None,
        last_error: str = "",
    ) -> None:
        """Write down how an attempt ended and count it; CatalogError if there is none such."""
        with self._database.write() as session:
            results.mark_delivery(
                session,
                delivery_id,
                state,
                at,
                next_attempt_at=next_attempt_at,
                last_status=last_status,
                last_error=last_error,
            )

    def resend(self, study_uid: str, cause: str, at: datetime) -> int:
        """Put the current revision's results in the outbox again; how many deliveries."""
        with self._database.write() as session:
            return results.resend(session, study_uid, cause, at)

    # Flags

    def pause(self, cause: str, at: datetime) -> None:
        """Let evaluation and delivery stop; receiving goes on."""
        with self._database.write() as session:
            flags.switch_on(session, flags.PAUSED, cause, at)

    def resume(self) -> None:
        """End the pause."""
        with self._database.write() as session:
            flags.switch_off(session, flags.PAUSED)

    def paused(self) -> bool:
        """Tell whether the node is paused."""
        with self._database.read() as session:
            return flags.is_on(session, flags.PAUSED)
