"""Every kind of report that the node makes: as destinations want it, and on nothing at all."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydicom import dcmread

from conformance.study_results import EvaluatedStudy, StudyMaker
from mome_node.dicom.reason_codes import REASONS, Reason
from mome_node.fitness.checks import CHECKS
from mome_node.results.context import Replaced, ResultContext
from mome_node.results.findings import ModelAsked, NotEvaluableStudy, SeriesUse
from mome_node.results.not_evaluable import make_not_evaluable_report
from mome_node.results.profile import ResultProfile
from mome_node.results.result_set import encode

REPLACED = Replaced(
    0,
    datetime(2026, 11, 1, 12, tzinfo=UTC),
    "a late instance",
    (("malignancy", 0.58), ("pcr", 0.2)),
    ("dce", "t2"),
)
WANTED = (
    ResultProfile(study_scores="group"),
    ResultProfile(study_scores="group", objects=("sr",), character_set="ISO_IR 6"),
    ResultProfile(objects=("sr",), series_name="AI", series_number=70),
    ResultProfile(objects=("sr",), audience="clinical", character_set="ISO_IR 100"),
)


def report_on_nothing(study: EvaluatedStudy, folder: Path, profile: ResultProfile) -> Path:
    """A report that the study was not evaluated, for every reason that there is."""
    codes = [*(reason.code.value for reason in REASONS), *(check.code for check in CHECKS)]
    said = NotEvaluableStudy(
        study.study_uid,
        tuple(Reason(code, f"what was found of {code}") for code in codes),
        (SeriesUse("1.2.3", 4, "dyn", "dce", None, "contrast and 3 phases"),),
        (ModelAsked("random-weights", "1", "malignancy", "not validated"),),
        synthetic=True,
    )
    context = ResultContext(
        study.study_uid, 1, "", 0, REPLACED.reported_at, profile, replaces=REPLACED
    )
    path = folder / f"not-evaluable-{profile.digest}.dcm"
    header = dcmread(study.images[0], stop_before_pixels=True)
    path.write_bytes(encode(make_not_evaluable_report(said, context, header)))
    return path


def every_kind_of_report(
    make_study: StudyMaker, folder: Path, wanted: Sequence[ResultProfile], **study: Any
) -> list[Path]:
    """A report in each profile, and one on nothing in the last; each replaces another."""
    made = make_study.in_profiles(folder / "made", tuple(wanted), replaced=REPLACED, **study)
    on_nothing = [report_on_nothing(make_study(**study), folder, wanted[-1])]
    return [*(path for path in made if path.name.startswith("sr")), *on_nothing]
