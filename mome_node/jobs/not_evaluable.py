"""Why a study is not evaluated, and whether that may take the place of what was said before."""

from __future__ import annotations

from dataclasses import dataclass

from mome_node.assembly.plan import StudyPlan
from mome_node.catalog.catalog import Catalog
from mome_node.catalog.states import StudyState
from mome_node.dicom.reason_codes import Reason
from mome_node.jobs.eligibility import Refusal


@dataclass(frozen=True, slots=True)
class Why:
    """Why a study is not evaluated: the models' refusals and the plan as far as was looked."""

    reasons: tuple[Reason, ...]
    refused: tuple[Refusal, ...] = ()
    plan: StudyPlan | None = None


def results_stand(catalog: Catalog, study_uid: str) -> bool:
    """Whether results of an evaluation still stand."""
    events = catalog.events_of(study_uid)
    evaluated = {e.revision for e in events if e.target is StudyState.REPORTING}
    return any(
        r.superseded_at is None and r.revision in evaluated for r in catalog.results_of(study_uid)
    )
