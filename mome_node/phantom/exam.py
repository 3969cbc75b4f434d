"""The types of a phantom exam: its images, as a scanner would reconstruct them, and its truth."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from mome_node.dicom.geometry import Point
from mome_node.volumes.volume import Volume

VERSION = "1"
"""Raised whenever the same seed gives other voxels or another truth."""


class Vendor(StrEnum):
    """Whose habits the DICOM tags follow."""

    SIEMENS = "siemens"
    GE = "ge"
    PHILIPS = "philips"


@dataclass(frozen=True, slots=True)
class Protocol:
    """Matrix sizes of an exam (columns, rows, slices); the field of view does not change."""

    dce_matrix: tuple[int, int, int] = (256, 256, 48)
    dwi_matrix: tuple[int, int, int] = (128, 128, 24)
    t2_matrix: tuple[int, int, int] = (256, 256, 36)


@dataclass(frozen=True, slots=True)
class Lesion:
    """One lesion of the truth; ``center_mm`` in patient coordinates LPS."""

    center_mm: Point
    radii_mm: tuple[float, float, float]
    malignant: bool
    laterality: Literal["L", "R"]


@dataclass(frozen=True, slots=True)
class Truth:
    """What is in the phantom. Never written into its DICOM files."""

    seed: int
    version: str
    malignant: bool
    lesions: tuple[Lesion, ...]
    phase_times_s: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class PhantomExam:
    """One synthetic exam, all volumes axial, in arbitrary signal units from 0 to about 2000.

    ``dce`` pre-contrast first; ``dwi`` pairs of b-value in s/mm² and trace image; ``adc`` in
    10⁻⁶ mm²/s on the DWI's grid.
    """

    truth: Truth
    dce: tuple[Volume, ...]
    phase_times_s: tuple[float, ...]
    dwi: tuple[tuple[float, Volume], ...]
    adc: Volume
    t2: Volume
