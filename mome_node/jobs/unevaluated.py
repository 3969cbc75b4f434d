"""What a report says of a study that was not evaluated, from what the stages know of it."""

from __future__ import annotations

from collections.abc import Sequence

from mome_node.assembly.plan import StudyPlan
from mome_node.dicom.reason_codes import Reason
from mome_node.jobs.eligibility import Refusal
from mome_node.jobs.requests import InstalledModel
from mome_node.results.findings import ModelAsked, NotEvaluableStudy, SeriesUse


def not_evaluable_study(
    plan: StudyPlan,
    reasons: Sequence[Reason],
    models: Sequence[InstalledModel],
    refused: Sequence[Refusal] = (),
) -> NotEvaluableStudy:
    """The study with its reasons, the series that the plan knows and the models that refused it.

    ``refused`` is of ``models``; none where the study never came as far as to be asked about.
    """
    why = {refusal.task: refusal.text for refusal in refused}
    return NotEvaluableStudy(
        study_uid=plan.study_uid,
        reasons=tuple(reasons),
        series=tuple(
            SeriesUse(s.series_uid, s.series_number, s.description, s.role.value, None, s.reason)
            for s in plan.series
        ),
        models=tuple(
            ModelAsked(m.name, m.version, m.task, why[m.task]) for m in models if m.task in why
        ),
        warnings=plan.warnings,
        demonstration=bool(models) and all(m.synthetic for m in models),
        synthetic=plan.synthetic,
    )
