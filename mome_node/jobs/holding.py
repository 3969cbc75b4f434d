"""Which instances of a study are held in quarantine, and why: a pure decision on its plan."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from mome_node.assembly.contradictions import of_another_accession, of_another_patient
from mome_node.assembly.plan import StudyPlan, Verdict
from mome_node.catalog.changes import HoldReason
from mome_node.jobs.reading import StudyFacts


def to_hold(
    plan: StudyPlan, facts: StudyFacts, evaluated: Collection[str]
) -> Mapping[str, HoldReason]:
    """What keeps a quarantined study from being evaluated, by SOP Instance UID.

    ``evaluated`` are the instances that results were made of: what contradicts those is held, not
    they. Without results nobody knows who is right, and all sides are held.
    """
    if plan.verdict is not Verdict.QUARANTINED:
        return {}
    read = [i for i in facts.instances if i.sop_instance_uid in plan.inputs]
    return {
        **dict.fromkeys(of_another_accession(read, evaluated), HoldReason.ACCESSION),
        **dict.fromkeys(of_another_patient(facts.instances, evaluated), HoldReason.PATIENT),
        **dict.fromkeys(facts.unreadable, HoldReason.UNREADABLE),
    }
