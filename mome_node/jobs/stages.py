"""The stages of a study's way, each an idempotent function of its UID.

Every stage asks the catalogue where the study stands, does its work, and takes one step of the
state table; whoever runs it twice, or after a crash, changes nothing that was done.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

import structlog

from mome_node.assembly.completeness import Action, decide
from mome_node.assembly.plan import StudyPlan
from mome_node.assembly.rules import AssemblyRules
from mome_node.assembly.study import plan_study
from mome_node.catalog.catalog import Catalog
from mome_node.catalog.records import DeliveryState, ResultRow, StudyRecord
from mome_node.catalog.states import StudyState
from mome_node.errors import NodeError
from mome_node.jobs.reading import SourceInstance, inputs_digest, read_study
from mome_node.jobs.requests import Evaluated, EvaluationRequest, InstalledModel, NotEvaluated
from mome_node.jobs.result_files import dataset_bytes, series_uid_of
from mome_node.results.context import Predecessor
from mome_node.storage.local import LocalStore
from mome_node.storage.store import InstanceIdentity

log = structlog.get_logger(__name__)

MAX_REASON = 2000


class Evaluator(Protocol):
    """Evaluates one study somewhere else; raises NodeError when that fails."""

    def evaluate(self, request: EvaluationRequest) -> Evaluated | NotEvaluated:
        """Leave the study's result objects in the request's folder."""
        ...


@dataclass(frozen=True, slots=True)
class SitePolicy:
    """What the settings say about studies and results."""

    rules: AssemblyRules
    quiet_s: float
    deadline_s: float
    label: str
    station_name: str
    destinations: tuple[str, ...]


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

    def reopen(self, study: StudyRecord) -> None:
        """Late or corrected input opens the next revision."""
        self._step(study, StudyState.RECEIVING, "late or corrected input")

    def assemble(self, study: StudyRecord) -> Action:
        """Look whether a study is complete, and let it go on if it is."""
        assert study.last_input_at is not None
        now = self.clock()
        plan, sources = self._plan(study, now)
        decision = decide(
            plan,
            first_input_at=self._revision_began(study),
            last_input_at=study.last_input_at,
            now=now,
            quiet_s=self.policy.quiet_s,
            deadline_s=self.policy.deadline_s,
        )
        reason = "; ".join(decision.reasons)[:MAX_REASON]
        match decision.action:
            case Action.EVALUATE:
                digest = inputs_digest(plan, {s.sop_instance_uid: s.sha256 for s in sources})
                self._release(study, plan, digest, reason)
            case Action.NOT_EVALUABLE:
                self._step(study, StudyState.NOT_EVALUABLE, reason, seen=study.input_count)
            case Action.QUARANTINE:
                self._step(study, StudyState.QUARANTINED, reason, seen=study.input_count)
            case Action.WAIT:
                pass
        return decision.action

    def evaluate(self, study_uid: str) -> None:
        """Run the models on a queued study and put what they find in the outbox."""
        study = self.catalog.study(study_uid)
        self._step(study, StudyState.INFERRING, "a worker took it")
        request = self._request(study)
        try:
            outcome = self.evaluator.evaluate(request)
        except NodeError as error:
            self._fail(study_uid, StudyState.INFERRING, error)
            return
        if isinstance(outcome, NotEvaluated):
            target = StudyState.QUARANTINED if outcome.quarantine else StudyState.NOT_EVALUABLE
            self._from(study_uid, StudyState.INFERRING, target, outcome.reason)
            return
        self._from(study_uid, StudyState.INFERRING, StudyState.REPORTING, "predicted")
        try:
            rows = self._keep(outcome, request.recorded_at)
            self.catalog.add_results(
                study_uid,
                study.revision,
                rows,
                {name: frozenset(row.kind for row in rows) for name in self.policy.destinations},
                "results are in the outbox",
                self.clock(),
            )
        except NodeError as error:
            self._fail(study_uid, StudyState.REPORTING, error)

    def settle(self, study: StudyRecord) -> None:
        """A delivering study is delivered, or failed, once nothing of it is pending."""
        states = {d.state for d in self.catalog.deliveries_of(study.study_uid)}
        if DeliveryState.PENDING in states:
            return
        if DeliveryState.FAILED in states:
            self._step(study, StudyState.FAILED, "a destination refused a result for good")
        elif states or not self.policy.destinations:
            cause = "all destinations have it" if states else "kept here: no destination is set"
            self._step(study, StudyState.DELIVERED, cause)

    def _plan(
        self, study: StudyRecord, now: datetime
    ) -> tuple[StudyPlan, tuple[SourceInstance, ...]]:
        sources = self._sources(study.study_uid)
        facts = read_study(sources)
        plan = plan_study(facts.instances, self.policy.rules, now=now, unreadable=facts.unreadable)
        return plan, sources

    def _sources(self, study_uid: str) -> tuple[SourceInstance, ...]:
        """What an evaluation may read: current instances of classes that a role uses."""
        return tuple(
            SourceInstance(i.sop_instance_uid, self.store.path(i.key), i.sha256)
            for i in self.catalog.instances_of(study_uid)
            if i.role_using
        )

    def _revision_began(self, study: StudyRecord) -> datetime:
        """When the current revision's deadline began to run."""
        opened = [
            e.at
            for e in self.catalog.events_of(study.study_uid)
            if e.target is StudyState.RECEIVING
        ]
        return max(opened, default=study.first_received_at)

    def _release(self, study: StudyRecord, plan: StudyPlan, digest: str, reason: str) -> None:
        """A complete study goes to the models, or says why no model may have it."""
        self._step(study, StudyState.ASSEMBLED, reason, seen=study.input_count, digest=digest)
        assembled = self.catalog.study(study.study_uid)
        if digest == study.inputs_digest and self.catalog.results_of(study.study_uid):
            # What came late is nothing that the model reads: the results that are there stand.
            self._step(assembled, StudyState.DELIVERING, "the same inputs as before")
        elif self._has_model(plan):
            self._step(assembled, StudyState.QUEUED, "a model takes it")
        else:
            self._step(assembled, StudyState.NOT_EVALUABLE, "no clinical model installed")

    def _has_model(self, plan: StudyPlan) -> bool:
        return any(
            plan.synthetic or not m.synthetic or m.allow_synthetic_on_patients for m in self.models
        )

    def _request(self, study: StudyRecord) -> EvaluationRequest:
        events = self.catalog.events_of(study.study_uid)
        assembled_at = max(e.at for e in events if e.target is StudyState.ASSEMBLED)
        return EvaluationRequest(
            study_uid=study.study_uid,
            revision=study.revision,
            instances=self._sources(study.study_uid),
            rules=self.policy.rules,
            label=self.policy.label,
            station_name=self.policy.station_name,
            recorded_at=assembled_at.astimezone(),
            out_dir=findings_dir(self.data_dir, study),
            pictures=True,
            predecessor=self._predecessor(study),
        )

    def _predecessor(self, study: StudyRecord) -> Predecessor | None:
        """The SR of the latest earlier revision that has one."""
        reports = [
            r
            for r in self.catalog.results_of(study.study_uid)
            if r.result.kind == "sr" and r.revision < study.revision
        ]
        if not reports:
            return None
        last = max(reports, key=lambda r: r.revision).result
        with self.store.open(last.key) as file:
            return Predecessor(last.sop_class_uid, last.sop_instance_uid, series_uid_of(file))

    def _keep(self, outcome: Evaluated, created_at: datetime) -> list[ResultRow]:
        """Put the result objects into the store, durable, under the catalogue's keys."""
        rows = []
        for made in outcome.objects:
            dataset, transfer_syntax = dataset_bytes(made.path)
            identity = InstanceIdentity(made.sop_class_uid, made.sop_instance_uid, transfer_syntax)
            stored = self.store.put(identity, dataset)
            rows.append(
                ResultRow(
                    sop_instance_uid=made.sop_instance_uid,
                    sop_class_uid=made.sop_class_uid,
                    kind=made.kind,
                    key=stored.key,
                    sha256=stored.sha256,
                    created_at=created_at,
                )
            )
            made.path.unlink()
        return rows

    def _fail(self, study_uid: str, source: StudyState, error: NodeError) -> None:
        log.error("study failed", study=study_uid, state=str(source), cause=str(error))
        self._from(study_uid, source, StudyState.FAILED, str(error))

    def _step(
        self,
        study: StudyRecord,
        target: StudyState,
        cause: str,
        *,
        seen: int | None = None,
        digest: str | None = None,
    ) -> None:
        self._from(study.study_uid, study.state, target, cause, seen=seen, digest=digest)

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


def findings_dir(data_dir: Path, study: StudyRecord) -> Path:
    """Where findings.json and the pictures of a revision are kept; UIDs never make paths."""
    name = hashlib.sha256(study.study_uid.encode()).hexdigest()[:32]
    return data_dir / "findings" / name / f"revision-{study.revision}"
