"""What the results say in words: the same sentences in the SR and on the pictures.

A score is never called a finding, a probability of disease or a recommendation; it stands with
its calibration, and what was not looked at is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from mome_node.dicom import codes
from mome_node.dicom.codes import PrivateCode
from mome_node.mome.prediction import ChannelUse
from mome_node.results.findings import Findings, OperatingPoint, Region, SeriesUse, TaskScore
from mome_node.volumes.volume import Modality

DEFAULT_LABEL: Final = "research use only, not for diagnosis"

LARGE_SHARE_OUTSIDE: Final = 0.25
"""A share of attribution outside the breasts from which the results warn."""

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
CONDITION_UNKNOWN: Final = "condition unknown"

_CONDITIONAL_TASKS: Final = {"tnbc": "Triple-negative", "pcr": "Response"}
_MODALITY_NAMES: Final = {"dce": "DCE", "dwi": "DWI", "t2": "T2"}


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence of the report under the concept that names it."""

    concept: PrivateCode
    text: str


def marked_label(findings: Findings, label: str) -> str:
    """The site's label; results of a demonstration model are marked as such before it."""
    cleaned = " ".join(label.replace("\\", "/").split()) or DEFAULT_LABEL
    demonstration = any(task.model.synthetic for task in findings.tasks)
    return f"DEMONSTRATION, {cleaned}" if demonstration else cleaned


def task_name(task: str) -> str:
    """The name of a task's score, e.g. "Exam malignancy score"."""
    return codes.SCORES[task].code.meaning if task in codes.SCORES else task


def modality_name(modality: str) -> str:
    """The name of a modality for people, e.g. "DCE"."""
    return _MODALITY_NAMES.get(modality, modality)


def percent(fraction: float) -> str:
    """A part of one as percent without decimals; nothing short of them reads 0 % or 100 %."""
    rounded = round(fraction * 100)
    if rounded <= 0 < fraction:
        return "below 1 %"
    if fraction < 1 and rounded >= 100:
        return "above 99 %"
    return f"{rounded} %"


def points(contribution: float) -> str:
    """A contribution in signed percentage points, without decimals, e.g. "+21"."""
    rounded = round(contribution * 100)
    return f"{rounded:+d}" if rounded else "0"


def statements(findings: Findings, label: str) -> tuple[Statement, ...]:
    """Every sentence that the report of these findings holds, in reading order."""
    return (
        *_marks(findings, label),
        *(s for task in findings.tasks for s in _score(task)),
        *_tasks_not_run(findings),
        *_images(findings),
        *_regions(findings),
        Statement(codes.FIELD_TEXT, FIELD_MEANING),
        *_not_assessed(findings),
        *(Statement(codes.WARNING, f"Warning: {text}") for text in findings.warnings),
    )


def _marks(findings: Findings, label: str) -> Iterator[Statement]:
    yield Statement(codes.LABEL, marked_label(findings, label))
    if findings.synthetic:
        yield Statement(
            codes.SYNTHETIC,
            "Synthetic: the exam is artificial or a model was trained on artificial exams. "
            "Not a statement about a patient.",
        )


def _score(score: TaskScore) -> Iterator[Statement]:
    name = task_name(score.task)
    yield Statement(codes.SCORE_TEXT, f"{name}: {score_value(score)}. {NO_SIDE}")
    yield Statement(codes.SCORE_CLASS, f"{name} stands for: {score.label_definition}")
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
    if score.calibration.strip().lower() in ("", "no"):
        return "calibrated: no"
    return f"calibrated {score.calibration}"


def ensemble(score: TaskScore) -> str:
    """Say, e.g., "mean of 5 networks, spread ±3 percentage points"; of one network, nothing."""
    if score.prediction.networks < 2:
        return ""
    rounded = round(score.prediction.spread * 100)
    spread = f"±{rounded}" if rounded else "below ±1"
    return f"mean of {score.prediction.networks} networks, spread {spread} percentage points"


def operating_point(probability: float, point: OperatingPoint) -> str:
    """On which side of the threshold a score lies, and all that is known of the threshold."""
    side = "below" if probability < point.threshold else "at or above"
    return (
        f"{side} the threshold of {point.name} ({point.threshold * 100:.3g} %): "
        f"sensitivity {_with_interval(point.sensitivity, point.sensitivity_ci)}, "
        f"specificity {_with_interval(point.specificity, point.specificity_ci)}, "
        f"n = {point.n}, prevalence {percent(point.prevalence)}, measured on {point.population}."
    )


def _not_measured(point: OperatingPoint, score: TaskScore) -> str:
    """A threshold means nothing for another combination of modalities than it was measured with."""
    if set(point.modalities) == {m.value for m in score.modalities}:
        return ""
    return (
        f" This threshold was measured with {_names(point.modalities)}, not with "
        f"{_names(score.modalities)} as here: it was not validated for this exam."
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


def _images(findings: Findings) -> Iterator[Statement]:
    yield from _modalities(findings)
    if findings.channels:
        yield Statement(codes.CHANNELS, channel_words(findings.channels))
    for score in findings.tasks[1:]:
        if score.channels and score.channels != findings.channels:
            yield Statement(
                codes.CHANNELS, f"{task_name(score.task)}: {channel_words(score.channels)}"
            )
    if findings.dwi_b_value is not None:
        yield Statement(codes.B_VALUE, f"DWI b-value: {findings.dwi_b_value:g} s/mm²")
    for series in findings.series:
        concept = codes.SERIES_LEFT_OUT if series.used_as is None else codes.SERIES_USED
        yield Statement(concept, _series(series))


def _modalities(findings: Findings) -> Iterator[Statement]:
    used, missing = _names(findings.modalities_used), _names(findings.modalities_missing)
    yield Statement(codes.MODALITIES, f"Modalities used: {used}. Missing: {missing}.")
    if findings.modalities_missing:
        # Of a threshold that the package states, the threshold's own line tells.
        stated = findings.tasks[0].operating_points
        unknown = "" if stated else " The model package states nothing on this combination."
        yield Statement(codes.MODALITIES, f"Degraded run: {missing} missing.{unknown}")
    for score in findings.tasks[1:]:
        if score.modalities != findings.modalities_used:
            missing = _names([m for m in Modality if m not in score.modalities])
            yield Statement(
                codes.MODALITIES,
                f"{task_name(score.task)}: modalities used: {_names(score.modalities)}. "
                f"Missing: {missing}.",
            )


def _names(modalities: Sequence[str]) -> str:
    return ", ".join(modality_name(m) for m in modalities) or "none"


def channel_words(channels: Sequence[ChannelUse]) -> str:
    """Which phase fills which channel, and how many seconds after the pre-contrast phase it was."""
    mapped = "; ".join(_channel(c) for c in channels)
    return f"DCE channel, phase, time after pre-contrast: {mapped}."


def _channel(use: ChannelUse) -> str:
    if use.phase is None:
        return f"channel {use.channel}: not filled"
    phase = "phase 0 (pre-contrast)" if use.phase == 0 else f"phase {use.phase}"
    time = "time unknown" if use.time_s is None else f"{round(use.time_s)} s"
    return f"channel {use.channel}: {phase}, {time}"


def _series(series: SeriesUse) -> str:
    number = "without number" if series.number is None else str(series.number)
    use = "left out" if series.used_as is None else f"used as {modality_name(series.used_as)}"
    return f'Series {number} "{series.description}": {use}; role {series.role}: {series.reason}'


def _regions(findings: Findings) -> Iterator[Statement]:
    yield Statement(codes.REGIONS_TEXT, REGION_MEANING if findings.regions else NO_REGION)
    yield Statement(codes.REGIONS_TEXT, f"{explanation(findings)}.")
    for region in findings.regions:
        yield Statement(codes.REGIONS_TEXT, region_text(region))
    if findings.regions or findings.share_outside_breast > 0:
        yield Statement(codes.SHARE_OUTSIDE, share_outside(findings))
    if findings.share_outside_breast >= LARGE_SHARE_OUTSIDE:
        yield Statement(
            codes.WARNING,
            f"Warning: {percent(findings.share_outside_breast)} of the attribution lies outside "
            "the breasts: the score may rest on something else than breast tissue.",
        )


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


def region_text(region: Region) -> str:
    """Say, e.g., "Region 1: left breast, 34 % of the attribution"."""
    side = {"L": "left breast", "R": "right breast", None: "side unknown"}[region.laterality]
    return f"{region.tracking_id}: {side}, {percent(region.share)} of the attribution"


def share_outside(findings: Findings) -> str:
    """How much of the attribution lies outside the breasts."""
    share = percent(findings.share_outside_breast)
    return f"{share} of the attribution lies outside the breasts."
