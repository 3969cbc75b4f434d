"""The one line that stands first: what was found, in plain words that promise nothing.

It names scores, thresholds and regions; it never says what the patient has or needs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from mome_node.results.findings import Findings, TaskScore
from mome_node.results.phrases import (
    LARGE_SHARE_OUTSIDE,
    is_calibrated,
    is_validated,
    modality_names,
    percent,
    region_side,
    side_of,
    task_name,
)


def conclusion(findings: Findings) -> str:
    """One sentence: each score with what is known of it, regions with their sides, what lacks."""
    return f"Conclusion: {'; '.join(_parts(findings))}."


def _parts(findings: Findings) -> Iterator[str]:
    if findings.synthetic:
        yield "synthetic, not a statement about a patient"
    for score in findings.tasks:
        yield from _score(score)
    if findings.modalities_missing:
        yield f"degraded run without {modality_names(findings.modalities_missing)}"
    yield _regions(findings)
    large_share = findings.share_outside_breast >= LARGE_SHARE_OUTSIDE
    if warnings := len(findings.warnings) + large_share:
        yield f"with {_counted(warnings, 'warning')}"


def _score(score: TaskScore) -> Iterator[str]:
    told = f"calibrated {score.calibration}" if is_calibrated(score) else "not calibrated"
    yield f"{_lower(task_name(score.task))} {percent(score.prediction.probability)}, {told}"
    for point in score.operating_points:
        side = side_of(score.prediction.probability, point)
        known = "" if is_validated(point, score) else ", which was not validated for this exam"
        yield f"{side} the threshold of {point.name}{known}"
    if not score.operating_points:
        yield "no threshold is stated"


def _regions(findings: Findings) -> str:
    """How many regions there are and where; none is said not to mean anything."""
    if findings.explanation is None:
        return "regions were not looked for"
    if not findings.regions:
        return "no region is shown, which says nothing about whether there is a lesion"
    score = "score" if len(findings.tasks) == 1 else _lower(task_name(findings.tasks[0].task))
    told = f"{_counted(len(findings.regions), 'region')} influenced the {score}"
    sides = Counter(region_side(region) for region in findings.regions)
    if len(sides) > 1:
        return f"{told}, {' and '.join(_on_side(side, str(n)) for side, n in sides.items())}"
    (side,) = sides
    return f"{told}, {_on_side(side, 'both' if len(findings.regions) == 2 else '')}"


def _on_side(side: str, how_many: str) -> str:
    """Say, e.g., "both in the right breast", "in the left breast" or "1 on an unknown side"."""
    where = f"in the {side}" if side.endswith("breast") else "on an unknown side"
    return f"{how_many} {where}".strip()


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _lower(name: str) -> str:
    return f"{name[:1].lower()}{name[1:]}"
