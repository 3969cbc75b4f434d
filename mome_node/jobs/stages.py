"""The stages of a study's way, each an idempotent function of its UID.

Every stage asks the catalogue where the study stands, does its work, and takes one step of the
state table; whoever runs it twice, or after a crash, changes nothing that was done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from mome_node.assembly.arrivals import Arrived
from mome_node.assembly.completeness import (
    Action,
    Decision,
    OnDeadline,
    Waited,
    decide,
)
from mome_node.assembly.plan import StudyPlan
from mome_node.assembly.promises import unkept_promises
from mome_node.catalog.catalog import Catalog
from mome_node.catalog.changes import OFFERED, HoldReason
from mome_node.catalog.records import EventRecord, ResultRow, StudyRecord
from mome_node.catalog.states import INTERRUPTIBLE, StudyState
from mome_node.delivery.confirmed import delivered_words, refused_words
from mome_node.dicom.reason_codes import OTHER, Reason
from mome_node.errors import CatalogError, NodeError, StorageError
from mome_node.jobs.deadline import cause_of, is_freed_by_hand
from mome_node.jobs.eligibility import no_model_reason, refusal_reasons, refusals, rules_for
from mome_node.jobs.evaluation_request import request_for
from mome_node.jobs.holding import to_hold
from mome_node.jobs.known_headers import KnownHeaders
from mome_node.jobs.looking import Look, look_at
from mome_node.jobs.not_evaluable import Why, results_stand
from mome_node.jobs.reading import SourceInstance
from mome_node.jobs.rejecting import apply_notes
from mome_node.jobs.requests import (
    NOT_TRIED_AGAIN,
    Evaluated,
    EvaluationInterruptedError,
    Evaluator,
    InstalledModel,
    NotEvaluated,
)
from mome_node.jobs.result_files import keep
from mome_node.jobs.retries import TRIED_AGAIN
from mome_node.jobs.site_policy import SitePolicy
from mome_node.jobs.timers import place
from mome_node.results.wording import channel_words
from mome_node.storage.local import LocalStore

log = structlog.get_logger(__name__)

MAX_REASON = 2000

NOBODY_ASKED = Arrived()


@dataclass(frozen=True, slots=True)
class Stages:
    """The stages with all that they need."""

    catalog: Catalog
    store: LocalStore
    policy: SitePolicy
    models: tuple[InstalledModel, ...]
    evaluator: Evaluator
    data_dir: Path
    clock: Callable[[], datetime]
    headers: KnownHeaders = field(default_factory=KnownHeaders)

    def apply_notes(self, study_uid: str | None = None) -> None:
        """Read the rejection notes that have come, of one study or of all, and apply them."""
        apply_notes(self.catalog, self.store, self.clock, study_uid)

    def reopen(self, study: StudyRecord, cause: str = "") -> None:
        """Receive again; what had ended, or was evaluated, opens its next revision."""
        self._step(study, StudyState.RECEIVING, cause or study.change.cause)

    def assemble(
        self,
        study: StudyRecord,
        *,
        arrived: Arrived = NOBODY_ASKED,
        seen_for: timedelta = timedelta(0),
        unchanged_for: timedelta | None = None,
    ) -> Decision:
        """Look whether a study is complete, and let it go on if it is.

        ``arrived``: what others say of it. ``seen_for``: how long somebody watched it receive; it
        counts where the recorded times say less, since a clock can be set back.
        ``unchanged_for``: how long somebody watched nothing come; without, the recorded time
        counts. A study that breaks whoever reads it is quarantined.
        """
        events = self.catalog.events_of(study.study_uid)
        by_hand = is_freed_by_hand(events)
        try:
            look = self._look(study, by_hand=by_hand)
        except (CatalogError, StorageError):
            raise
        except Exception as error:  # noqa: BLE001  # a study must not break the others' turn
            decision = Decision(Action.QUARANTINE, (f"cannot be read: {_told(error)}",))
            self._act(study, decision, timedelta(0))
            return decision
        assert study.last_input_at is not None
        now = self.clock()
        self.catalog.hold(study.study_uid, self._to_hold(study.study_uid, look), now)
        since_first = max(now - _began(study, events), seen_for)
        silence = now - study.last_input_at if unchanged_for is None else unchanged_for
        decision = decide(
            look.plan,
            arrived,
            Waited(since_first.total_seconds(), silence.total_seconds()),
            self.policy.patience,
            promises=unkept_promises(look.facts.instances),
            least=look.least,
            by_hand=by_hand,
        )
        withdraws = look.digest != study.inputs_digest and study.changed_since_results.withdraws
        self._act(study, decision, since_first, withdraws=withdraws, plan=look.plan)
        if decision.action is Action.EVALUATE:
            self._release(study.study_uid, look, withdraws=withdraws)
        return decision

    def evaluate(self, study_uid: str) -> None:
        """Run the models on a queued study and put what they find in the outbox."""
        self.apply_notes(study_uid)
        study = self.catalog.study(study_uid)
        # Asked for before the step, which is refused if anything new was among them.
        sources = self.sources(study_uid)
        self._step(study, StudyState.INFERRING, "a worker took it", seen=study.assembled_inputs)
        try:
            self._evaluate(study, sources)
        except EvaluationInterruptedError:
            self._from(study_uid, StudyState.INFERRING, StudyState.QUEUED, "the node stops")
        except Exception as error:  # noqa: BLE001  # whatever it was, it must not stay inferring
            self._fail(study_uid, error)

    def retry(self, study: StudyRecord) -> None:
        """Queue a failed study again if the policy says so and nothing new came for it."""
        events = self.catalog.events_of(study.study_uid)
        due = self.policy.retries.is_due(events, study.revision, self.clock())
        due = due and not events[-1].cause.endswith(NOT_TRIED_AGAIN)
        if due and not study.has_late_input:
            self._step(study, StudyState.QUEUED, TRIED_AGAIN)

    def reject_superseded(self, study_uid: str) -> None:
        """Tell destinations to take back what they may have and does not stand any more."""
        # Here, so that the process that receives loads highdicom only if it ever needs it.
        from mome_node.jobs.rejection_notes import reject_superseded

        sources = self.sources(study_uid)
        reject_superseded(study_uid, sources, self.catalog, self.store, self.policy)

    def settle(self, study: StudyRecord) -> None:
        """A delivering study is delivered, or failed, once nothing of it is on its way."""
        deliveries = self.catalog.deliveries.of_study(study.study_uid)
        current = max((d.revision for d in deliveries), default=0)
        deliveries = tuple(d for d in deliveries if d.revision == current)
        if any(d.state.is_on_its_way for d in deliveries):
            return
        if refused := refused_words(deliveries):
            self._step(study, StudyState.FAILED, f"not delivered: {refused}")
        else:
            self._step(study, StudyState.DELIVERED, delivered_words(deliveries))

    def _look(self, study: StudyRecord, *, by_hand: bool) -> Look:
        """Read the headers and plan the study as it is now."""
        return look_at(
            self.sources(study.study_uid),
            self.headers.facts_of,
            rules_for(self.policy.rules, self.models),
            now=self.clock(),
            may_lack=by_hand or self.policy.on_deadline is OnDeadline.EVALUATE,
        )

    def _to_hold(self, study_uid: str, look: Look) -> Mapping[str, HoldReason]:
        return to_hold(look.plan, look.facts, self._evaluated(study_uid))

    def sources(self, study_uid: str) -> tuple[SourceInstance, ...]:
        """What an evaluation may read: current instances of classes that a role uses."""
        return tuple(
            SourceInstance(i.sop_instance_uid, self.store.path(i.key), i.sha256, i.as_patient_of)
            for i in self.catalog.instances_of(study_uid)
            if i.role_using and i.standing in OFFERED
        )

    def _evaluated(self, study_uid: str) -> frozenset[str]:
        """The instances that were there when results were made that still hold."""
        results = self.catalog.results_of(study_uid)
        revision = max((r.revision for r in results if r.superseded_at is None), default=None)
        events = self.catalog.events_of(study_uid)
        made = [e.at for e in events if e.target is StudyState.ASSEMBLED and e.revision == revision]
        if not made:
            return frozenset()
        current = self.catalog.instances_of(study_uid)
        return frozenset(i.sop_instance_uid for i in current if i.received_at < made[-1])

    def _act(
        self,
        study: StudyRecord,
        decision: Decision,
        since_first: timedelta,
        *,
        withdraws: bool = False,
        plan: StudyPlan | None = None,
    ) -> None:
        """Take the step out of receiving that was decided on, or say what is waited for."""
        target = {
            Action.EVALUATE: StudyState.ASSEMBLED,
            Action.HOLD: StudyState.HELD,
            Action.NOT_EVALUABLE: StudyState.NOT_EVALUABLE,
            Action.QUARANTINE: StudyState.QUARANTINED,
        }.get(decision.action)
        cause = cause_of(decision, since_first.total_seconds())[:MAX_REASON]
        if target is StudyState.NOT_EVALUABLE:
            why = Why(decision.coded_reasons, plan=plan)
            self._end_not_evaluable(
                study, study.state, cause, why, withdraws=withdraws, seen=study.input_count
            )
        elif target is not None:
            self._step(study, target, cause, seen=study.input_count)
        elif cause != study.reason:
            self.catalog.note_waiting(study.study_uid, cause)
            log.info("study waits", study=study.study_uid, why=cause)

    def _release(self, study_uid: str, look: Look, *, withdraws: bool) -> None:
        """A complete study goes to the models, or says why no model may have it."""
        study = self.catalog.study(study_uid)
        refused = refusals(self.models, look.read, look.facts.instances)
        if self._has_results_of(study, look.digest):
            # What came late is nothing that the model reads: the results that are there stand.
            self._step(study, StudyState.DELIVERING, "the same inputs as before")
        elif len(refused) < len(self.models):
            self._step(study, StudyState.QUEUED, "a model takes it")
        else:
            why = Why(refusal_reasons(refused), tuple(refused), look.plan)
            cause = no_model_reason(refused)
            self._end_not_evaluable(study, study.state, cause, why, withdraws=withdraws)

    def _has_results_of(self, study: StudyRecord, digest: str) -> bool:
        """Whether the last evaluation read these same inputs and its results are kept."""
        if digest != study.inputs_digest:
            return False
        events = self.catalog.events_of(study.study_uid)
        last = [e.revision for e in events if e.target is StudyState.REPORTING][-1:]
        results = self.catalog.results_of(study.study_uid)
        return any(r.revision in last and r.superseded_at is None for r in results)

    def _evaluate(self, study: StudyRecord, sources: tuple[SourceInstance, ...]) -> None:
        """From inferring to delivering, or to where the evaluation says that it belongs."""
        request = request_for(study, sources, self.catalog, self.store, self.policy, self.data_dir)
        outcome = self.evaluator.evaluate(request)
        if isinstance(outcome, NotEvaluated):
            self._end_without_results(study, outcome)
            return
        self._from(
            study.study_uid,
            StudyState.INFERRING,
            StudyState.REPORTING,
            _predicted(outcome),
            digest=outcome.inputs_digest,
        )
        log.info("study evaluated", study=study.study_uid, seconds=outcome.seconds)
        rows = keep(outcome.objects, self.store, request.recorded_at)
        self.catalog.add_results(
            study.study_uid,
            study.revision,
            rows,
            self.policy.routes,
            "results are in the outbox",
            self.clock(),
        )

    def _end_without_results(self, study: StudyRecord, outcome: NotEvaluated) -> None:
        held = dict.fromkeys(outcome.undecodable, HoldReason.UNDECODABLE)
        self.catalog.hold(study.study_uid, held, self.clock())
        now_in = StudyState.INFERRING
        if outcome.quarantine:
            self._from(study.study_uid, now_in, StudyState.QUARANTINED, outcome.reason)
            return
        why = Why(outcome.reasons or (Reason(OTHER, outcome.reason),))
        withdraws = study.revision_change.withdraws
        self._end_not_evaluable(study, now_in, outcome.reason, why, withdraws=withdraws)

    def _end_not_evaluable(
        self,
        study: StudyRecord,
        source: StudyState,
        cause: str,
        why: Why,
        *,
        withdraws: bool,
        seen: int | None = None,
    ) -> None:
        """Let a study end without results, with the report on that if the site wants one.

        ``withdraws``: what earlier revisions say holds no more.
        """
        study_uid, now, cause = study.study_uid, self.clock(), cause[:MAX_REASON]
        reports: Sequence[ResultRow] = ()
        # A report that took the place of results that still stand would take them away.
        may_report = withdraws or not results_stand(self.catalog, study_uid)
        if self.policy.not_evaluable_report and may_report:
            # Here, so that the process that receives loads highdicom only if it ever needs it.
            from mome_node.jobs.not_evaluable_report import reports_on

            sources = self.sources(study_uid)
            try:
                reports = reports_on(
                    study, why, sources, self.models, self.catalog, self.store, self.policy, now
                )
            except (CatalogError, StorageError):
                raise
            except Exception as error:  # noqa: BLE001  # a header must not keep its study back
                log.error("no report", study=study_uid, cause=_told(error), at=place(error))
        self.catalog.end_without_results(
            study_uid,
            source,
            cause,
            now,
            reports=reports,
            routes=self.policy.routes,
            inputs_seen=seen,
            supersedes=withdraws,
        )
        log.info("study", study=study_uid, state=str(StudyState.NOT_EVALUABLE), cause=cause)

    def _fail(self, study_uid: str, error: Exception) -> None:
        found = self.catalog.study(study_uid).state
        log.error("study failed", study=study_uid, state=found, cause=_told(error), at=place(error))
        if found in INTERRUPTIBLE:
            self._from(study_uid, found, StudyState.FAILED, _told(error))

    def _step(
        self,
        study: StudyRecord,
        target: StudyState,
        cause: str,
        *,
        seen: int | None = None,
    ) -> None:
        self._from(study.study_uid, study.state, target, cause, seen=seen)

    def _from(
        self,
        study_uid: str,
        source: StudyState,
        target: StudyState,
        cause: str,
        *,
        seen: int | None = None,
        digest: str | None = None,
    ) -> None:
        cause = cause[:MAX_REASON]
        self.catalog.transition(
            study_uid,
            source,
            target,
            cause,
            self.clock(),
            reason=cause,
            inputs_digest=digest,
            inputs_seen=seen,
        )
        log.info("study", study=study_uid, state=str(target), cause=cause)


def _began(study: StudyRecord, events: Sequence[EventRecord]) -> datetime:
    """When the current revision's deadline began to run."""
    opened = [e.at for e in events if e.target is StudyState.RECEIVING]
    return opened[-1] if opened else study.first_received_at


def _predicted(outcome: Evaluated) -> str:
    """The cause of the step after a prediction, with the phases that the model read."""
    return f"predicted; {channel_words(outcome.channels)}" if outcome.channels else "predicted"


def _told(error: Exception) -> str:
    """An error in words for the catalogue; foreign words may name a patient."""
    return str(error) if isinstance(error, NodeError) else f"unexpected {type(error).__name__}"
