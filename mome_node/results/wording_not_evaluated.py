"""What the report on a study that was not evaluated says: why, and that it means nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pydicom.sr.coding import Code

from mome_node.dicom import codes
from mome_node.dicom.reason_codes import REASONS
from mome_node.errors import ResultError
from mome_node.fitness.checks import CHECKS
from mome_node.results.context import Replaced
from mome_node.results.findings import ModelAsked, NotEvaluableStudy, SeriesUse
from mome_node.results.label import marked
from mome_node.results.phrases import Statement, task_name
from mome_node.results.profile import ResultProfile
from mome_node.results.wording_changes import changes
from mome_node.results.wording_images import series_name

NO_STATEMENT: Final = "This is no statement about the presence of disease."


def reason_code(code: str) -> Code:
    """The coded concept of a reason; ResultError for one that is in no table."""
    for reason in REASONS:
        if reason.code.value == code:
            return reason.code
    for check in CHECKS:
        if check.code == code:
            return Code(check.code, codes.PRIVATE_SCHEME, check.meaning)
    raise ResultError(f"{code!r} is neither a reason nor a check: a report cannot name it")


def not_evaluated_statements(
    said: NotEvaluableStudy, profile: ResultProfile, *, replaced: Replaced | None = None
) -> tuple[Statement, ...]:
    """Every sentence of the report on a study that was not evaluated, in reading order."""
    label = marked(profile.label, demonstration=said.demonstration, audience=profile.audience)
    return (
        Statement(codes.LABEL, label),
        Statement(codes.CONCLUSION, _conclusion(said)),
        *_synthetic(said),
        *(changes(replaced, (), ()) if replaced else ()),
        *(Statement(codes.NOT_EVALUATED, f"Not evaluated: {r.text}") for r in said.reasons),
        *(Statement(codes.MODEL_ASKED, _model(model)) for model in said.models),
        *(Statement(codes.SERIES_SEEN, _series(series)) for series in said.series),
        *(Statement(codes.WARNING, f"Warning: {text}") for text in said.warnings),
    )


def _conclusion(said: NotEvaluableStudy) -> str:
    meanings = dict.fromkeys(reason_code(reason.code).meaning for reason in said.reasons)
    why = "; ".join(f"{m[:1].lower()}{m[1:]}" for m in meanings)
    return f"Conclusion: the study was not evaluated: {why}. {NO_STATEMENT}"


def _synthetic(said: NotEvaluableStudy) -> Iterator[Statement]:
    if said.synthetic:
        text = "Synthetic: the exam is artificial. Not a statement about a patient."
        yield Statement(codes.SYNTHETIC, text)


def _model(model: ModelAsked) -> str:
    return f"{task_name(model.task)} by {model.name} {model.version}: not run: {model.reason}"


def _series(series: SeriesUse) -> str:
    return f"{series_name(series)}: role {series.role}: {series.reason}"
