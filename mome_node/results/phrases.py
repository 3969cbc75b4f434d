"""Names and numbers as every sentence of the results writes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pydicom.sr.coding import Code

from mome_node.dicom import codes
from mome_node.dicom.codes import PrivateCode
from mome_node.results.findings import OperatingPoint, Region, TaskScore

LARGE_SHARE_OUTSIDE: Final = 0.25
"""A share of attribution outside the breasts from which the results warn."""

_MODALITY_NAMES: Final = {"dce": "DCE", "dwi": "DWI", "t2": "T2"}
_SIDES: Final = {"L": "left breast", "R": "right breast", None: "side unknown"}


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence of the report under the concept that names it."""

    concept: PrivateCode | Code
    text: str

    @property
    def name(self) -> Code:
        """The concept's code."""
        return self.concept.code if isinstance(self.concept, PrivateCode) else self.concept


def task_name(task: str) -> str:
    """The name of a task's score, e.g. "Exam malignancy score"."""
    return codes.SCORES[task].code.meaning if task in codes.SCORES else task


def modality_name(modality: str) -> str:
    """The name of a modality for people, e.g. "DCE"."""
    return _MODALITY_NAMES.get(modality, modality)


def modality_names(modalities: Sequence[str]) -> str:
    """The names of modalities in one line; "none" where there are none."""
    return ", ".join(modality_name(m) for m in modalities) or "none"


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


def is_calibrated(score: TaskScore) -> bool:
    """Whether the package says on whom its score was calibrated."""
    return score.calibration.strip().lower() not in ("", "no")


def side_of(probability: float, point: OperatingPoint) -> str:
    """On which side of a threshold a score lies: "below", or "at or above"."""
    return "below" if probability < point.threshold else "at or above"


def is_validated(point: OperatingPoint, score: TaskScore) -> bool:
    """Whether a threshold was measured with the modalities that this score has."""
    return set(point.modalities) == {m.value for m in score.modalities}


def region_side(region: Region) -> str:
    """Say "left breast", "right breast" or "side unknown"."""
    return _SIDES[region.laterality]


def region_text(region: Region) -> str:
    """Say, e.g., "Region 1: left breast, 34 % of the attribution"."""
    share = percent(region.share)
    return f"{region.tracking_id}: {region_side(region)}, {share} of the attribution"
