"""Which of the installed packages may evaluate a study by its headers, and why another may not.

Pure, and without PyTorch: the node asks before it queues a study, the inference process asks again
before it looks at the images and runs a model, and both get the same answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from mome_node.assembly.plan import StudyPlan
from mome_node.assembly.rules import AssemblyRules
from mome_node.assembly.study_checks import body_problem
from mome_node.dicom.header import InstanceFacts
from mome_node.dicom.reason_codes import NO_MODEL, Reason
from mome_node.fitness.accepts import BILATERAL, UNILATERAL
from mome_node.fitness.acquisition import acquisition_failures, b_value_failure
from mome_node.fitness.checks import (
    CONDITION_CONTRADICTED,
    CONDITION_MISSING,
    NO_BREAST_SAID,
    OTHER_BODY_PART,
    SYNTHETIC_EXAM,
    SYNTHETIC_WEIGHTS,
    Failure,
)
from mome_node.fitness.knowledge import BEFORE_TREATMENT, TOPICS, holds, known_of
from mome_node.fitness.policy import Judgement, coded, refusing
from mome_node.fitness.scanner import scanner_failures
from mome_node.jobs.acquisitions import dynamic_acquisition
from mome_node.jobs.requests import InstalledModel
from mome_node.results.wording import CONDITION_UNKNOWN

PRIMARY_TASK = "malignancy"
"""The task whose model decides and is explained, if it is run; else the first that is."""

NO_CLINICAL_MODEL = "no clinical model installed"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A task whose model may not evaluate a study, and the failed checks that forbid it."""

    task: str
    judgements: tuple[Judgement, ...]

    @property
    def text(self) -> str:
        """Why, in words."""
        return "; ".join(j.text for j in self.judgements)

    @property
    def reason(self) -> str:
        """Why, in words, each with its code before it."""
        return "; ".join(coded(j) for j in self.judgements)


def judge_headers(
    model: InstalledModel, plan: StudyPlan, instances: Sequence[InstanceFacts]
) -> tuple[Judgement, ...]:
    """The checks that a study fails by its headers, and what each does for this model.

    ``instances`` are all of the study. What is unknown is never taken for good.
    """
    failures = tuple(_package_failures(model, plan, instances))
    if any(f.check is SYNTHETIC_WEIGHTS for f in failures):
        return model.fitness.judge(failures)  # nothing else matters of such a package
    return model.fitness.judge((*failures, *_exam_failures(model, plan, instances)))


def refusals(
    models: Sequence[InstalledModel], plan: StudyPlan, instances: Sequence[InstanceFacts]
) -> tuple[Refusal, ...]:
    """Each model that may not evaluate this study by its headers, with the reason."""
    judged = ((m.task, refusing(judge_headers(m, plan, instances))) for m in models)
    return tuple(Refusal(task, forbidding) for task, forbidding in judged if forbidding)


def rules_for(rules: AssemblyRules, models: Sequence[InstalledModel]) -> AssemblyRules:
    """The site's rules with what the primary model prefers where a study offers a choice."""
    primary = min(models, key=lambda model: model.task != PRIMARY_TASK, default=None)
    return rules if primary is None else replace(rules, preferred_b=primary.preferred_b_value)


def no_model_reason(refused: Sequence[Refusal]) -> str:
    """Why no model may evaluate a study, in one line."""
    reasons = dict.fromkeys(refusal.reason for refusal in refused)
    if len(reasons) <= 1:
        return next(iter(reasons), NO_CLINICAL_MODEL)
    return "; ".join(f"{refusal.task}: {refusal.reason}" for refusal in refused)


def refusal_reasons(refused: Sequence[Refusal]) -> tuple[Reason, ...]:
    """The checks that forbid every model to evaluate a study, each once, by their codes."""
    if not refused:
        return (Reason(NO_MODEL, NO_CLINICAL_MODEL),)
    alike = len({refusal.reason for refusal in refused}) == 1
    return tuple(
        dict.fromkeys(
            Reason(j.code, j.text if alike else f"{refusal.task}: {j.text}")
            for refusal in refused
            for j in refusal.judgements
        )
    )


def known_facts(model: InstalledModel, instances: Sequence[InstanceFacts]) -> tuple[str, ...]:
    """What the site knows of a study."""
    return known_of(model.fitness.site.known, instances)


def _package_failures(
    model: InstalledModel, plan: StudyPlan, instances: Sequence[InstanceFacts]
) -> Iterator[Failure]:
    """What forbids a package whatever the images are: its weights and its conditions."""
    if model.synthetic and not plan.synthetic and not model.allow_synthetic_on_patients:
        yield Failure(SYNTHETIC_WEIGHTS, NO_CLINICAL_MODEL)
        return
    known = known_facts(model, instances)
    asserted = {*known, *(model.asserts if holds(model.when, instances) else ())}
    missing = [c for c in model.applies_when if c not in asserted]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        text = f"{' and '.join(missing)} {verb} not asserted for this study"
        yield Failure(CONDITION_MISSING, f"{CONDITION_UNKNOWN}: {text}")
    if BEFORE_TREATMENT in model.applies_when and "treatment under way" in known:
        text = "the site knows of treatment under way, the package asks for an exam before it"
        yield Failure(CONDITION_CONTRADICTED, text)


def _exam_failures(
    model: InstalledModel, plan: StudyPlan, instances: Sequence[InstanceFacts]
) -> Iterator[Failure]:
    """What the site knows and the headers say of the exam and its acquisition."""
    known = known_facts(model, instances)
    for topic in TOPICS:
        if topic.check is not None and topic.name in known:
            yield Failure(topic.check, f"{topic.name}: known from the site")
    if plan.synthetic and not model.synthetic:
        yield Failure(SYNTHETIC_EXAM, "the exam is artificial, the model is not")
    other, unsaid = body_problem(instances)
    if other is not None:
        yield Failure(OTHER_BODY_PART, other)
    if unsaid is not None:
        yield Failure(NO_BREAST_SAID, unsaid)
    inputs = plan.inputs
    read = [i for i in instances if i.sop_instance_uid in inputs]
    yield from scanner_failures(model.accepts, read, _laterality(plan, read))
    if plan.dwi is not None:
        yield from b_value_failure(plan.dwi.b_value, model.b_value_range)
    if (dynamic := dynamic_acquisition(plan, instances)) is not None:
        yield from acquisition_failures(model.accepts, dynamic)


def _laterality(plan: StudyPlan, read: Sequence[InstanceFacts]) -> str:
    """A dynamic that is read shows both breasts: assembly measures it and refuses others."""
    sides = {i.laterality.upper() for i in read}
    one_sided = len(sides) == 1 and sides <= {"L", "R"}
    return UNILATERAL if one_sided and not plan.dce else BILATERAL
