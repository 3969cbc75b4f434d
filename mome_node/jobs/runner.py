"""Runs the stages on this machine: three timers, one study at a time through the models."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from mome_node.assembly.completeness import Action
from mome_node.catalog.catalog import Catalog
from mome_node.catalog.records import StudyRecord
from mome_node.catalog.states import StudyState
from mome_node.delivery.outbox import Outbox
from mome_node.errors import NodeError, TransitionRefusedError
from mome_node.jobs.stages import Stages

log = structlog.get_logger(__name__)

PERIOD_S = 0.5


class Runner:
    """Looks at the catalogue twice a second and does what is due."""

    def __init__(self, catalog: Catalog, stages: Stages, outbox: Outbox) -> None:
        self._catalog = catalog
        self._stages = stages
        self._outbox = outbox
        self._looked_at: dict[str, tuple[int, datetime]] = {}
        self._scheduler = BackgroundScheduler(
            timezone=UTC, executors={"default": ThreadPoolExecutor(3)}
        )
        for turn in (self.assembly_turn, self.evaluation_turn, self.delivery_turn):
            self._scheduler.add_job(
                _guarded(turn),
                "interval",
                seconds=PERIOD_S,
                id=turn.__name__,
                max_instances=1,
                coalesce=True,
                misfire_grace_time=None,
            )

    def start(self) -> None:
        """Take up what a crash interrupted, then run until ``stop``."""
        now = self._stages.clock()
        for study_uid in self._catalog.recover_interrupted("restart", now):
            log.info("study taken up again after a restart", study=study_uid)
        self._scheduler.start()

    def stop(self) -> None:
        """Let what runs end, and run nothing more."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=True)

    def assembly_turn(self) -> None:
        """Reopen studies with late input and look at those that have become quiet."""
        for study in self._catalog.studies_with_late_input():
            _tolerating_news(self._stages.reopen, study)
        for study in self._catalog.studies_awaiting_assembly():
            if self._is_due(study):
                _tolerating_news(self._assemble, study)

    def evaluation_turn(self) -> None:
        """Run the models on the study that waits longest."""
        if self._catalog.paused():
            return
        for study in self._catalog.studies_in(StudyState.QUEUED)[:1]:
            _tolerating_news(lambda s: self._stages.evaluate(s.study_uid), study)

    def delivery_turn(self) -> None:
        """Send what is due, then settle the studies whose results have all arrived."""
        if self._catalog.paused():
            return
        self._outbox.run_round()
        for study in self._catalog.studies_in(StudyState.DELIVERING):
            _tolerating_news(self._stages.settle, study)

    def _is_due(self, study: StudyRecord) -> bool:
        """Quiet, and not looked at since the last input came, unless its deadline has passed."""
        assert study.last_input_at is not None
        now, policy = self._stages.clock(), self._stages.policy
        if now < study.last_input_at + timedelta(seconds=policy.quiet_s):
            # A study that never falls quiet is not complete, not even at its deadline.
            return False
        inputs, looked_at = self._looked_at.get(study.study_uid, (-1, now))
        again = looked_at + timedelta(seconds=min(policy.deadline_s, policy.quiet_s or 1.0))
        return inputs != study.input_count or now >= again

    def _assemble(self, study: StudyRecord) -> None:
        self._looked_at[study.study_uid] = (study.input_count, self._stages.clock())
        if self._stages.assemble(study) is not Action.WAIT:
            self._looked_at.pop(study.study_uid, None)


def _tolerating_news(stage: Callable[[StudyRecord], object], study: StudyRecord) -> None:
    """Run a stage; that the study moved on in between is no fault, the next turn sees it."""
    try:
        stage(study)
    except TransitionRefusedError as refused:
        log.info("study moved on", study=study.study_uid, why=str(refused))
    except NodeError as error:
        log.error("stage failed", study=study.study_uid, cause=str(error))


def _guarded(turn: Callable[[], None]) -> Callable[[], None]:
    """A turn whose database failed is logged; the timer goes on."""

    def run() -> None:
        try:
            turn()
        except NodeError as error:
            log.error("turn failed", turn=turn.__name__, cause=str(error))

    return run
