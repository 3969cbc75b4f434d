"""Runs the stages on this machine: a timer each, one study at a time through the models."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial

import structlog

from mome_node.assembly.arrivals import Arrived
from mome_node.assembly.completeness import Action
from mome_node.catalog.catalog import Catalog
from mome_node.catalog.records import StudyRecord
from mome_node.catalog.states import INTERRUPTIBLE, StudyState
from mome_node.delivery.commitment_reports import CommitmentReports
from mome_node.delivery.confirmation import Confirmations
from mome_node.delivery.outbox import Outbox
from mome_node.errors import TransitionRefusedError
from mome_node.jobs.archive_counts import ArchiveCounts
from mome_node.jobs.delivering import DestinationTurns
from mome_node.jobs.read_ahead import ReadAhead
from mome_node.jobs.receiving import ReceivingStudies
from mome_node.jobs.retries import times_begun
from mome_node.jobs.stages import Stages
from mome_node.jobs.timers import Timers, Turn, guarded
from mome_node.jobs.witnesses import Witnesses

log = structlog.get_logger(__name__)

PERIOD_S = 0.5
RETRY_PERIOD_S = 5.0
REJECTION_PERIOD_S = 2.0
CLEANUP_PERIOD_S = 3600.0
LOOKING_S = 2.0
LOOK_AGAIN_AFTER_FAULT = timedelta(seconds=30)
EVALUATOR_PAUSE_S = 30.0
NOTES_PAUSE_S = 300.0


class Runner:
    """Looks at the catalogue twice a second and does what is due."""

    def __init__(
        self,
        catalog: Catalog,
        stages: Stages,
        outbox: Outbox,
        confirmations: Confirmations,
        monotonic: Callable[[], float] = time.monotonic,
        archive: ArchiveCounts | None = None,
        reports: CommitmentReports | None = None,
    ) -> None:
        self._catalog = catalog
        self._stages = stages
        self._outbox = outbox
        self.destinations = tuple(
            DestinationTurns(name, catalog, outbox, confirmations, self.delivery_turn, self._hurry)
            for name in outbox.ports
        )
        self._monotonic = monotonic
        self._archive = archive
        self._reports = reports
        self._witnesses = Witnesses(catalog, archive)
        patience = stages.policy.patience
        self._receiving = ReceivingStudies(patience.quiet_s, monotonic, patience.hard_limit_s)
        self._ahead = ReadAhead(stages, monotonic)
        self._evaluator_again_at = monotonic()
        self._no_notes_until: dict[str, float] = {}
        self._timers = Timers(
            (self.assembly_turn, PERIOD_S),
            (self.evaluation_turn, PERIOD_S),
            (self.retry_turn, RETRY_PERIOD_S),
            *((each.sending_turn, PERIOD_S) for each in self.destinations),
            *((each.confirmation_turn, PERIOD_S) for each in self.destinations),
            (self.delivery_turn, PERIOD_S),
            (self.rejection_turn, REJECTION_PERIOD_S),
            *([(self.counts_turn, PERIOD_S)] if archive else []),
            *([(self.commitment_turn, PERIOD_S)] if reports else []),
            (self.cleanup_turn, CLEANUP_PERIOD_S),
        )

    def start(self) -> None:
        """Take up what a crash interrupted, then run until ``stop``."""
        self._recover("restart")
        self._timers.start()

    def stop(self) -> None:
        """Break off a running evaluation, let what else runs end, and run nothing more."""
        self._timers.ask_to_stop()
        self._stages.evaluator.interrupt()
        self._timers.join()

    def assembly_turn(self) -> None:
        """Reopen studies with late input and look at those that have become quiet."""
        guarded(self._stages.apply_notes, turn="rejection notes")
        for study in self._catalog.studies_in(StudyState.ASSEMBLED):
            # Nothing else assembles: this one was cut off before a model could have it.
            _tolerating_news(partial(self._stages.reopen, cause="its assembly broke off"), study)
        held = []
        for study in self._catalog.studies_with_late_input():
            if study.state is StudyState.HELD:
                held.append(study)
            else:
                _tolerating_news(self._stages.reopen, study)
        held = self._held_after_reopening(held)
        waiting = self._catalog.studies_awaiting_assembly()
        self._receiving.watch((*waiting, *held))
        silent_for = self._receiving.unchanged_for
        guarded(partial(self._ahead.read, waiting, silent_for), turn="reading ahead")
        # Asked for once: a query for each study would be most of what a look costs.
        noticed = self._catalog.notices.receiving() if waiting else frozenset()
        until = self._monotonic() + LOOKING_S
        for study in self._ahead.in_order(waiting):
            _tolerating_news(partial(self._look, is_noticed=study.study_uid in noticed), study)
            if self._monotonic() >= until:
                break  # the next turn goes on, with what has become due or known meanwhile

    def evaluation_turn(self) -> None:
        """Run the models on one queued study."""
        if self._catalog.paused():
            return
        waiting = self._catalog.studies_in(StudyState.QUEUED, *INTERRUPTIBLE)
        if any(study.state in INTERRUPTIBLE for study in waiting):
            # Nothing else evaluates: these could not write down how they ended.
            self._recover("its evaluation broke off")
            waiting = self._catalog.studies_in(StudyState.QUEUED)
        study = self._next_queued(waiting)
        if study is None or not self._evaluator_is_ready():
            return
        _tolerating_news(lambda s: self._stages.evaluate(s.study_uid), study)
        for each in self.destinations:
            self._hurry(each.sending_turn)

    def retry_turn(self) -> None:
        """Queue failed evaluations again, as far as the policy goes."""
        if self._catalog.paused():
            return
        for study in self._catalog.studies_in(StudyState.FAILED):
            _tolerating_news(self._stages.retry, study)

    def delivery_turn(self) -> None:
        """Settle the studies whose results have all arrived, or wait for a person."""
        if self._catalog.paused():
            return
        guarded(self._outbox.refuse_unknown, turn="unknown destinations")
        for study_uid in self._catalog.deliveries.finished():
            _tolerating_news(self._stages.settle, self._catalog.study(study_uid))

    def rejection_turn(self) -> None:
        """Make the rejection notes that destinations are still to be sent."""
        if self._catalog.paused():
            return
        now = self._monotonic()
        self._no_notes_until = {u: at for u, at in self._no_notes_until.items() if at > now}
        for study_uid in self._catalog.withdrawals.studies_to_tell_of(but_not=self._no_notes_until):
            if not guarded(partial(self._stages.reject_superseded, study_uid), study=study_uid):
                # It waits, and the others have their turn.
                self._no_notes_until[study_uid] = now + NOTES_PAUSE_S

    def commitment_turn(self) -> None:
        """Tell peers what is here of what they asked for; a part of receiving, so never paused."""
        if self._reports is not None:
            self._reports.run_round()

    def cleanup_turn(self) -> None:
        """Forget what nobody will ask for again."""
        if self._reports is not None:
            self._reports.remove_old()

    def counts_turn(self) -> None:
        """Ask the PACS what it has of the studies that receive."""
        if self._archive is not None:
            self._archive.ask(self._catalog.studies_awaiting_assembly())

    def _hurry(self, turn: Turn) -> None:
        self._timers.hurry(turn)

    def _held_after_reopening(self, held: list[StudyRecord]) -> list[StudyRecord]:
        """Reopen those held studies for which something came that has all come.

        While images still come a study stays in sight as held: it may be one that never ends.
        """
        if held:
            self._receiving.watch((*self._catalog.studies_awaiting_assembly(), *held))
        quiet = [study for study in held if self._receiving.is_quiet(study)]
        for study in quiet:
            _tolerating_news(self._stages.reopen, study)
        return [study for study in held if study not in quiet]

    def _look(self, study: StudyRecord, *, is_noticed: bool) -> None:
        """Assemble a study if it is time to."""
        arrived = self._witnesses.arrived(study, self._receiving, is_noticed=is_noticed)
        if self._receiving.is_due(study, arrived):
            self._assemble(study, arrived)

    def _assemble(self, study: StudyRecord, arrived: Arrived) -> None:
        # Set first: a study whose look fails is not looked at again twice a second.
        self._receiving.look_again_in(study, LOOK_AGAIN_AFTER_FAULT)
        self._receiving.looks_with(study, arrived)
        decision = self._stages.assemble(
            study,
            arrived=arrived,
            seen_for=self._receiving.seen_for(study),
            unchanged_for=self._receiving.unchanged_for(study),
        )
        if decision.action is not Action.WAIT:
            self._receiving.forget(study)
        elif decision.look_again_in_s is not None:
            wait = timedelta(seconds=decision.look_again_in_s)
            self._receiving.look_again_in(study, wait)

    def _next_queued(self, queued: Sequence[StudyRecord]) -> StudyRecord | None:
        """The study whose evaluation was begun least often, the oldest of those.

        So that one which brings down the models, or the node, never stands before the others.
        """
        least: tuple[int, StudyRecord] | None = None
        for study in queued:
            begun = times_begun(self._catalog.events_of(study.study_uid), study.revision)
            if begun == 0:
                return study
            if least is None or begun < least[0]:
                least = (begun, study)
        return least[1] if least else None

    def _evaluator_is_ready(self) -> bool:
        """Models that cannot be loaded are no study's fault: the studies stay queued."""
        if self._monotonic() < self._evaluator_again_at:
            return False
        ready = guarded(self._stages.evaluator.prepare, turn="inference process")
        if not ready:
            self._evaluator_again_at = self._monotonic() + EVALUATOR_PAUSE_S
        return ready

    def _recover(self, cause: str) -> None:
        for study_uid in self._catalog.recover_interrupted(cause, self._stages.clock()):
            log.info("study taken up again", study=study_uid, cause=cause)


def _tolerating_news(stage: Callable[[StudyRecord], object], study: StudyRecord) -> None:
    """Run a stage; that the study moved on in between is no fault, the next turn sees it."""

    def run() -> None:
        try:
            stage(study)
        except TransitionRefusedError as refused:
            log.info("study moved on", study=study.study_uid, why=str(refused))

    guarded(run, study=study.study_uid)
