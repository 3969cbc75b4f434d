"""What the results say in words: the same sentences in the SR and on the pictures.

A score is never called a finding, a probability of disease or a recommendation; it stands with
its calibration, and what was not looked at is said.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mome_node.dicom import codes
from mome_node.results.conclusion import conclusion
from mome_node.results.context import Replaced
from mome_node.results.findings import Findings, OperatingPoint, TaskScore
from mome_node.results.label import DEFAULT_LABEL as DEFAULT_LABEL
from mome_node.results.label import marked_label as marked_label
from mome_node.results.phrases import LARGE_SHARE_OUTSIDE as LARGE_SHARE_OUTSIDE
from mome_node.results.phrases import (
    Statement,
    is_calibrated,
    is_validated,
    modality_names,
    side_of,
)
from mome_node.results.phrases import modality_name as modality_name
from mome_node.results.phrases import percent as percent
from mome_node.results.phrases import points as points
from mome_node.results.phrases import region_text as region_text
from mome_node.results.phrases import task_name as task_name
from mome_node.results.profile import DEFAULT_PROFILE, ResultProfile
from mome_node.results.wording_changes import changes
from mome_node.results.wording_images import channel_words as channel_words
from mome_node.results.wording_images import image_statements

NO_SIDE: Final = "This score has no side."
REGION_MEANING: Final = (
    "Regions are areas that influenced the score; not an outline, a size or a biopsy target."
)
NO_REGION: Final = (
    "No region is shown. That says nothing about whether there is a lesion; the score is of the "
    "whole exam."
)
FIELD_MEANING: Final = (
    "The box named Evaluated field stands for what the model saw and carries the exam's scores. "
    "It marks no finding. The model saw more than the box: it is drawn short of the image's right "
    "edge so that its label can be read."
)
SYNTHETIC_MEANING: Final = (
    "Synthetic: the exam is artificial or a model was trained on artificial exams. "
    "Not a statement about a patient."
)
CONDITION_UNKNOWN: Final = "condition unknown"

_CONDITIONAL_TASKS: Final = {"tnbc": "Triple-negative", "pcr": "Response"}


def statements(
    findings: Findings,
    profile: ResultProfile = DEFAULT_PROFILE,
    *,
    replaced: Replaced | None = None,
    seg_left_out: str = "",
) -> tuple[Statement, ...]:
    """Every sentence that the report of these findings holds, in reading order.

    ``replaced`` is what the report before it said, ``seg_left_out`` why there is no segmentation.
    """
    before = changes(replaced, findings.tasks, findings.modalities_used) if replaced else ()
    return (
        *_marks(findings, profile),
        *before,
        *(s for task in findings.tasks for s in _score(task)),
        *_tasks_not_run(findings),
        *image_statements(findings),
        *_regions(findings, seg_left_out),
        *_field(profile),
        *_not_assessed(findings),
        *(Statement(codes.WARNING, f"Warning: {text}") for text in findings.warnings),
    )


def _marks(findings: Findings, profile: ResultProfile) -> Iterator[Statement]:
    yield Statement(codes.LABEL, marked_label(findings, profile.label, profile.audience))
    yield Statement(codes.CONCLUSION, conclusion(findings))
    if findings.synthetic:
        yield Statement(codes.SYNTHETIC, SYNTHETIC_MEANING)


def _score(score: TaskScore) -> Iterator[Statement]:
    name = task_name(score.task)
    yield Statement(codes.SCORE_TEXT, f"{name}: {score_value(score)}. {NO_SIDE}")
    model = f"{score.model.name} {score.model.version}"
    yield Statement(codes.SCORE_CLASS, f"{name} of {model} stands for: {score.label_definition}")
    for point in score.operating_points:
        text = operating_point(score.prediction.probability, point)
        yield Statement(codes.OPERATING_POINT, f"{name}: {text}{_not_measured(point, score)}")
    if not score.operating_points:
        text = "the model package states no threshold."
        yield Statement(codes.OPERATING_POINT, f"{name}: {text}")
    yield Statement(codes.CONTRIBUTION_TEXT, f"{name}: {contributions(score)}.")


def score_value(score: TaskScore) -> str:
    """Say, e.g., "63 %, calibrated: no"; of an ensemble also of how many, and how they differ."""
    value = percent(score.prediction.probability)
    return ", ".join(part for part in (value, calibration(score), ensemble(score)) if part)


def calibration(score: TaskScore) -> str:
    """Say "calibrated: no", or "calibrated on POPULATION, prevalence P"."""
    return f"calibrated {score.calibration}" if is_calibrated(score) else "calibrated: no"


def ensemble(score: TaskScore) -> str:
    """Say, e.g., "mean of 5 networks, spread ±3 percentage points"; of one network, nothing."""
    if score.prediction.networks < 2:
        return ""
    rounded = round(score.prediction.spread * 100)
    spread = f"±{rounded}" if rounded else "below ±1"
    return f"mean of {score.prediction.networks} networks, spread {spread} percentage points"


def operating_point(probability: float, point: OperatingPoint) -> str:
    """On which side of the threshold a score lies, and all that is known of the threshold."""
    side = side_of(probability, point)
    return (
        f"{side} the threshold of {point.name} ({point.threshold * 100:.3g} %): "
        f"sensitivity {_with_interval(point.sensitivity, point.sensitivity_ci)}, "
        f"specificity {_with_interval(point.specificity, point.specificity_ci)}, "
        f"n = {point.n}, prevalence {percent(point.prevalence)}, measured on {point.population}."
    )


def _not_measured(point: OperatingPoint, score: TaskScore) -> str:
    """A threshold means nothing for another combination of modalities than it was measured with."""
    if is_validated(point, score):
        return ""
    return (
        f" This threshold was measured with {modality_names(point.modalities)}, not with "
        f"{modality_names(score.modalities)} as here: it was not validated for this exam."
    )


def _with_interval(value: float, interval: tuple[float, float]) -> str:
    low, high = (round(bound * 100) for bound in interval)
    return f"{percent(value)} (95 % interval {low} to {high} %)"


def contributions(score: TaskScore) -> str:
    """Say, e.g., "DCE +21, DWI -5 percentage points against a reference of 50 %"."""
    parts = ", ".join(
        f"{modality_name(m)} {points(value)}" for m, value in score.prediction.contributions
    )
    reference = percent(score.prediction.prior)
    return f"{parts or 'none'} percentage points against a reference of {reference}"


def _tasks_not_run(findings: Findings) -> Iterator[Statement]:
    for task in findings.not_run:
        yield Statement(
            codes.NOT_RUN,
            f"{_CONDITIONAL_TASKS.get(task.task, task_name(task.task))}: not run: {task.reason}",
        )
    told = {t.task for t in findings.tasks} | {t.task for t in findings.not_run}
    for task_key, name in _CONDITIONAL_TASKS.items():
        if task_key not in told:
            yield Statement(codes.NOT_RUN, f"{name}: not run: {CONDITION_UNKNOWN}")


def _regions(findings: Findings, seg_left_out: str) -> Iterator[Statement]:
    yield Statement(codes.REGIONS_TEXT, REGION_MEANING if findings.regions else NO_REGION)
    yield Statement(codes.REGIONS_TEXT, f"{explanation(findings)}.")
    for region in findings.regions:
        yield Statement(codes.REGIONS_TEXT, region_text(region))
    if findings.regions and seg_left_out:
        yield Statement(
            codes.REGIONS_TEXT,
            f"There is no segmentation of the regions: {seg_left_out}. Each is outlined here on "
            "the slice where it is largest.",
        )
    if findings.regions or findings.share_outside_breast > 0:
        yield Statement(codes.SHARE_OUTSIDE, share_outside(findings))
    if findings.share_outside_breast >= LARGE_SHARE_OUTSIDE:
        yield Statement(
            codes.WARNING,
            f"Warning: {percent(findings.share_outside_breast)} of the attribution lies outside "
            "the breasts: the score may rest on something else than breast tissue.",
        )


def _field(profile: ResultProfile) -> Iterator[Statement]:
    if profile.study_scores == "field":
        yield Statement(codes.FIELD_TEXT, FIELD_MEANING)


def _not_assessed(findings: Findings) -> Iterator[Statement]:
    if findings.known:
        known = ", ".join(findings.known)
        yield Statement(codes.KNOWN, f"Known from the site, not from the images: {known}.")
    if findings.not_assessed:
        text = f"Not assessed: {', '.join(findings.not_assessed)}."
        yield Statement(codes.NOT_ASSESSED, text)


def explanation(findings: Findings) -> str:
    """How the regions were found, of which score, and how exactly; or why none was looked for."""
    if findings.explanation is None:
        return f"Regions were not looked for: {findings.not_explained}"
    how, primary = findings.explanation, findings.tasks[0]
    found = "Regions by" if findings.regions else "Regions were looked for by"
    return (
        f"{found} {how.method}, {how.steps} steps, completeness error "
        f"{percent(how.completeness_error)}; of the {task_name(primary.task)} by "
        f"{primary.model.name} {primary.model.version}"
    )


def share_outside(findings: Findings) -> str:
    """How much of the attribution lies outside the breasts."""
    share = percent(findings.share_outside_breast)
    return f"{share} of the attribution lies outside the breasts."
