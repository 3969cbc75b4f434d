"""The types that carry images from the files to the model."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from mome_node.dicom.geometry import Grid
from mome_node.dicom.header import FrameRef


class Modality(StrEnum):
    """The image kinds that the model has experts for, in the order of its token sequence."""

    DCE = "dce"
    DWI = "dwi"
    T2 = "t2"


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """Voxels float32 on a grid.

    ``array`` has the axes (x, y, z) = (columns, rows, slices) of ``grid``. ``frames`` names the
    image plane that each slice came from, slice 0 first; empty for volumes not read from DICOM.
    """

    array: NDArray[np.float32]
    grid: Grid
    frames: tuple[FrameRef, ...] = ()

    def __post_init__(self) -> None:
        if self.array.shape != self.grid.shape:
            raise ValueError(f"array {self.array.shape} does not fit its grid {self.grid.shape}")
        if self.frames and len(self.frames) != self.grid.shape[2]:
            raise ValueError(f"{len(self.frames)} frames for {self.grid.shape[2]} slices")


@dataclass(frozen=True, slots=True, eq=False)
class Exam:
    """The volumes of one exam that a model may take.

    ``dce`` holds the pre-contrast phase first, then the post-contrast phases in time order, all on
    one grid; empty when there is no dynamic. ``phase_times_s`` are seconds after the pre-contrast
    phase, one a phase (0 first).
    """

    dce: tuple[Volume, ...] = ()
    phase_times_s: tuple[float | None, ...] = ()
    dwi: Volume | None = None
    dwi_b_value: float | None = None
    t2: Volume | None = None

    def __post_init__(self) -> None:
        if len(self.phase_times_s) != len(self.dce):
            raise ValueError(f"{len(self.phase_times_s)} times for {len(self.dce)} phases")
        if any(not v.grid.matches(self.dce[0].grid) for v in self.dce):
            raise ValueError("the phases of one dynamic must share one grid")

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """The modalities that are there. A dynamic without a post-contrast phase is none."""
        present = {
            Modality.DCE: len(self.dce) > 1,
            Modality.DWI: self.dwi is not None,
            Modality.T2: self.t2 is not None,
        }
        return tuple(m for m, there in present.items() if there)
