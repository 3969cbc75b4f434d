"""The catalogue: what the node knows, behind one object that threads and processes share.

Every method is one short transaction. Times are passed in, aware; the catalogue reads no clock.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Self

from mome_node.catalog import (
    acts,
    flags,
    instances,
    quarantine,
    rejections,
    results,
    studies,
)
from mome_node.catalog.arrivals import ArrivalWriter, FurtherArrivals
from mome_node.catalog.availability import NoticeLedger
from mome_node.catalog.changes import HoldReason
from mome_node.catalog.commitments import CommitmentLedger
from mome_node.catalog.database import ContradictionError, Database
from mome_node.catalog.deliveries import DeliveryLedger
from mome_node.catalog.migrate import migrate
from mome_node.catalog.quarantine import QuarantinedStudy
from mome_node.catalog.records import (
    ActRecord,
    Arrival,
    EventRecord,
    InstanceRecord,
    NoteRecord,
    Receipt,
    ResultRecord,
    ResultRow,
    Route,
    SeriesCount,
    StudyRecord,
)
from mome_node.catalog.states import StudyState
from mome_node.catalog.withdrawals import WithdrawalLedger
from mome_node.dicom.rejection_note import RejectionNote
from mome_node.errors import CatalogError


class Catalog:
    """Studies, their instances, their history, the results and the outbox."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._arrivals = ArrivalWriter(database)
        self.commitments = CommitmentLedger(database)
        self.deliveries = DeliveryLedger(database)
        self.withdrawals = WithdrawalLedger(database)
        self.notices = NoticeLedger(database)

    @classmethod
    def open(cls, url: str) -> Self:
        """Open the database at ``url`` and bring its tables up to date; CatalogError."""
        database = Database(url)
        migrate(database)
        return cls(database)

    def close(self) -> None:
        """Close all connections."""
        self._arrivals.close()
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Instances

    def record_instance(self, arrival: Arrival) -> Receipt:
        """Record one arrival; durable when this returns."""
        (receipt,) = self.record_instances([arrival])
        assert receipt is not None  # it is no further arrival
        return receipt

    def record_instances(
        self, arrivals: Sequence[Arrival], before_commit: FurtherArrivals = tuple
    ) -> tuple[Receipt | None, ...]:
        """Record several arrivals in one transaction: all of them, or none and CatalogError.

        ``before_commit`` makes durable what the rows name, and returns further arrivals, durable
        already, that may be recorded with the others: their receipts come behind, None for one
        that was not. It may be called twice; when it raises, nothing is recorded.
        """
        try:
            return self._record(arrivals, before_commit)
        except ContradictionError:
            # Another process recorded the same in between: now its rows are seen.
            return self._record(arrivals, before_commit)

    def _record(
        self, arrivals: Sequence[Arrival], before_commit: FurtherArrivals
    ) -> tuple[Receipt | None, ...]:
        receipts = self._arrivals.record(arrivals, before_commit)
        if receipts is not None:
            return receipts
        with self._database.write() as session:
            recorded = instances.record_all(session, arrivals)
            session.flush()
            return (*recorded, *((None,) * len(before_commit())))

    def key_of(self, arrival: Arrival) -> str:
        """Return the key of what was recorded with the arrival's UID and bytes; CatalogError."""
        with self._database.read() as session:
            return instances.key_of(session, arrival)

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

    def instance_counts(self) -> Mapping[str, int]:
        """Return how many current instances each study has, by Study Instance UID."""
        with self._database.read() as session:
            return instances.counts_by_study(session)

    def counts_by_series(self, study_uid: str) -> Mapping[str, SeriesCount]:
        """Return how many current instances of each series of a study there are."""
        with self._database.read() as session:
            return instances.counts_by_series(session, study_uid)

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

    def studies_in(self, *states: StudyState) -> tuple[StudyRecord, ...]:
        """Return the studies in one of ``states``, the oldest first."""
        with self._database.read() as session:
            return studies.in_states(session, states)

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

    def acts_of(self, study_uid: str) -> tuple[ActRecord, ...]:
        """Return what was done to the study's instances, the oldest first."""
        with self._database.read() as session:
            return acts.of_study(session, study_uid)

    # Rejections and quarantine

    def pending_notes(self, study_uid: str | None = None) -> tuple[NoteRecord, ...]:
        """Return the Key Object Selection Documents that were not read yet, the oldest first."""
        with self._database.read() as session:
            return rejections.pending(session, study_uid)

    def apply_note(self, note_id: int, said: RejectionNote, at: datetime) -> None:
        """Reject what a note names, tell what it did, and never again look at it."""
        with self._database.write() as session:
            rejections.apply(session, note_id, said, at)

    def settle_note(self, note_id: int, outcome: str, at: datetime) -> None:
        """Never again look at a note; tell why it was not applied, if it is one at all."""
        with self._database.write() as session:
            rejections.settle(session, note_id, outcome, at)

    def hold(self, study_uid: str, reasons: Mapping[str, HoldReason], at: datetime) -> None:
        """Hold exactly these instances of a study in quarantine, by SOP Instance UID."""
        with self._database.write() as session:
            quarantine.hold(session, study_uid, reasons, at)

    def quarantined(self) -> tuple[QuarantinedStudy, ...]:
        """Return the studies that wait for a person, the oldest first."""
        with self._database.read() as session:
            return quarantine.of_all(session)

    def release(self, study_uid: str, at: datetime, *, as_patient_of: str = "") -> StudyRecord:
        """Let a quarantined study be evaluated; CatalogError if it must not be."""
        with self._database.write() as session:
            quarantine.release(session, study_uid, as_patient_of, at)
            session.flush()
            return studies.find(session, study_uid)

    def reject(
        self,
        study_uid: str,
        at: datetime,
        *,
        instances: Collection[str] = (),
        keep_patient_of: str = "",
    ) -> int:
        """Reject instances by hand, by default all that are held; how many. CatalogError."""
        with self._database.write() as session:
            return quarantine.reject(session, study_uid, instances, keep_patient_of, at)

    def take_back(self, study_uid: str, instances: Collection[str], at: datetime) -> int:
        """Let rejected instances be read again; how many. CatalogError if there are none."""
        with self._database.write() as session:
            studies.find(session, study_uid)
            count = rejections.take_back(session, study_uid, instances, at)
            if not count:
                raise CatalogError("no such instance of this study is rejected")
            return count

    # Results

    def add_results(
        self,
        study_uid: str,
        revision: int,
        rows: Sequence[ResultRow],
        routes: Sequence[Route],
        cause: str,
        at: datetime,
    ) -> StudyRecord:
        """Keep a revision's results, put them in the outbox and go from reporting to delivering.

        ``routes``: where the objects of each profile go. All in one transaction; a second call
        with the same results changes nothing. CatalogError if a result is there with other bytes,
        TransitionRefusedError if the study is elsewhere.
        """
        with self._database.write() as session:
            results.add(session, study_uid, revision, rows, routes, cause, at)
            session.flush()
            return studies.find(session, study_uid)

    def end_without_results(
        self,
        study_uid: str,
        source: StudyState,
        cause: str,
        at: datetime,
        *,
        reports: Sequence[ResultRow] = (),
        routes: Sequence[Route] = (),
        inputs_seen: int | None = None,
        supersedes: bool = False,
    ) -> None:
        """Let a study end as not evaluable and put the reports on that in the outbox.

        ``inputs_seen`` as for ``transition``; ``supersedes``: what earlier revisions say holds no
        more. TransitionRefusedError, CatalogError.
        """
        with self._database.write() as session:
            results.end_without(
                session,
                study_uid,
                source,
                cause,
                at,
                rows=reports,
                routes=routes,
                inputs_seen=inputs_seen,
                supersedes=supersedes,
            )

    def results_of(self, study_uid: str) -> tuple[ResultRecord, ...]:
        """Return all results of a study, the oldest revision first."""
        with self._database.read() as session:
            return results.of_study(session, study_uid)

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

    def begin_alarm(self, name: str, cause: str, at: datetime) -> None:
        """Keep an alarm until it is ended; the first cause and time stay."""
        with self._database.write() as session:
            flags.begin_alarm(session, name, cause, at)

    def end_alarm(self, name: str) -> None:
        """End an alarm; harmless if there is none."""
        with self._database.write() as session:
            flags.end_alarm(session, name)

    def alarms(self) -> tuple[flags.AlarmRecord, ...]:
        """Return the alarms that are not over."""
        with self._database.read() as session:
            return flags.alarms(session)
