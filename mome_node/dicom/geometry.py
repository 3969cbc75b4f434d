"""Patient-space geometry (PS3.3 C.7.6.2): where a voxel lies in the patient, in millimetres LPS."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SAME_PLACE_MM = 0.05
"""Two positions nearer than this are one: vendors round positions to 0.01 mm or worse."""

PARALLEL_COSINE = 1e-3
"""Direction cosines that differ by less than this are the same orientation."""

Point = tuple[float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """A regular grid of voxels in the patient.

    ``shape`` is (columns, rows, slices), the order (x, y, z) of every array in this node.
    ``affine`` is 4 × 4 and takes a voxel index (column, row, slice, 1), counted from 0 at voxel
    centres, to patient coordinates LPS in millimetres (+x to the patient's left, +y to posterior,
    +z to the head).
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]

    def __post_init__(self) -> None:
        affine = np.array(self.affine, dtype=np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            raise ValueError(f"affine must be a finite 4 × 4 matrix, found shape {affine.shape}")
        if abs(np.linalg.det(affine[:3, :3])) < 1e-9:
            raise ValueError("affine is singular: the voxels have no volume")
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise ValueError(f"shape must be three positive sizes, found {self.shape}")
        affine.setflags(write=False)
        object.__setattr__(self, "affine", affine)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance in mm between voxel centres along columns, rows and slices."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(x), float(y), float(z)

    @property
    def center(self) -> Point:
        """Patient coordinates of the middle of the grid, in mm LPS."""
        return self.to_patient(tuple((n - 1) / 2 for n in self.shape))

    def to_patient(self, index: tuple[float, ...]) -> Point:
        """Patient coordinates in mm LPS of a (fractional) voxel index (x, y, z)."""
        x, y, z, _ = self.affine @ np.array([*index, 1.0])
        return float(x), float(y), float(z)

    def to_index(self, point: tuple[float, ...]) -> Point:
        """Fractional voxel index (x, y, z) of a point in patient coordinates, mm LPS."""
        x, y, z, _ = np.linalg.inv(self.affine) @ np.array([*point, 1.0])
        return float(x), float(y), float(z)

    def matches(self, other: Grid) -> bool:
        """Whether both grids have the same voxels at the same places, within SAME_PLACE_MM."""
        if self.shape != other.shape:
            return False
        corners = [(0, 0, 0), tuple(n - 1 for n in self.shape)]
        return all(
            np.allclose(self.to_patient(c), other.to_patient(c), rtol=0, atol=SAME_PLACE_MM)
            for c in corners
        ) and np.allclose(self.affine[:3, :3], other.affine[:3, :3], rtol=0, atol=SAME_PLACE_MM)
