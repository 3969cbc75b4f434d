"""What a study is now: its readable instances, what their headers say, and the plan of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from mome_node.assembly.plan import StudyPlan, Verdict
from mome_node.assembly.rules import AssemblyRules
from mome_node.assembly.study import plan_study
from mome_node.dicom.header import InstanceFacts
from mome_node.dicom.reason_codes import NO_IMAGES_LEFT
from mome_node.jobs.deadline import least_rules
from mome_node.jobs.reading import (
    SourceInstance,
    StudyFacts,
    contents_of,
    inputs_digest,
    read_study,
)

NOTHING_LEFT = "nothing is left to evaluate: its images were rejected, or left out"


@dataclass(frozen=True, slots=True)
class Look:
    """A study as it is now. ``least`` is its plan with no more required than models need."""

    plan: StudyPlan
    least: StudyPlan | None
    facts: StudyFacts
    sources: tuple[SourceInstance, ...]

    @property
    def read(self) -> StudyPlan:
        """The plan that an evaluation would follow."""
        if self.plan.verdict is Verdict.EVALUABLE or self.least is None:
            return self.plan
        return self.least

    @property
    def digest(self) -> str:
        """Digest of what an evaluation would read."""
        return inputs_digest(self.read, contents_of(self.sources))


def look_at(
    sources: tuple[SourceInstance, ...],
    facts_of: Callable[[SourceInstance], InstanceFacts],
    rules: AssemblyRules,
    *,
    now: datetime,
    may_lack: bool,
) -> Look:
    """Read the headers and plan the study. ``may_lack``: also with only the dynamic required."""
    facts = read_study(sources, facts_of=facts_of)
    plan = plan_study(facts.instances, rules, now=now, unreadable=facts.unreadable)
    least = None
    if not sources:
        plan = replace(
            plan,
            verdict=Verdict.NOT_EVALUABLE,
            reasons=(NOTHING_LEFT,),
            reason_codes=(NO_IMAGES_LEFT,),
        )
    elif may_lack and plan.verdict is Verdict.INCOMPLETE:
        least = plan_study(facts.instances, least_rules(rules), now=now)
    return Look(plan, least, facts, sources)
