"""What pictures say beside the image, in the report's own sentences where it has them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mome_node.results.findings import Findings, Region
from mome_node.results.phrases import region_text, task_name
from mome_node.results.wording import (
    NO_REGION,
    NO_SIDE,
    REGION_MEANING,
    SYNTHETIC_MEANING,
    explanation,
    score_value,
)


def slice_number(findings: Findings, slice_index: int) -> str:
    """Say, e.g., "slice 34 of 80": of the key volume, counted from 1."""
    return f"slice {slice_index + 1} of {findings.key_volume.grid.shape[2]}"


def region_notes(findings: Findings) -> tuple[str, ...]:
    """Each region with its slices, then what regions are and how they were found."""
    if not findings.regions:
        return ()
    regions = (f"{region_text(r)}; slices {_slices(r)}" for r in findings.regions)
    return (*regions, f"{REGION_MEANING} {explanation(findings)}.")


def _slices(region: Region) -> str:
    slices = np.flatnonzero(region.mask.any(axis=(0, 1))) + 1
    return f"{slices.min()} to {slices.max()}"


def no_region_notes(findings: Findings) -> tuple[str, ...]:
    """That no region is no all-clear, and, where none was looked for, why."""
    if findings.explanation is None:
        return (NO_REGION, f"{explanation(findings)}.")
    return (NO_REGION,)


def page_notes(findings: Findings, shown: Sequence[Region]) -> tuple[str, ...]:
    """Below an image of the summary: the primary score, the regions on it, and what those are."""
    primary = findings.tasks[0]
    score = f"{task_name(primary.task)}: {score_value(primary)}. {NO_SIDE}"
    if not findings.regions:
        return (score, *no_region_notes(findings))
    if not shown:
        return (score, REGION_MEANING)
    return (score, "; ".join(region_text(region) for region in shown) + ".", REGION_MEANING)


def key_object_words(findings: Findings, label: str) -> str:
    """What a selection of key images is, with the label first; ``label`` has its marks."""
    if findings.regions:
        regions = "; ".join(region_text(region) for region in findings.regions)
        what = f"The slice on which each region is largest. {regions}. {REGION_MEANING}"
    else:
        what = f"The slice that the scores are shown on. {' '.join(no_region_notes(findings))}"
    synthetic = (SYNTHETIC_MEANING,) if findings.synthetic else ()
    return " ".join((f"{label}.", *synthetic, what))
