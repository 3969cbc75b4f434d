"""A grid in DICOM's words: Image Plane module and the like (PS3.3 C.7.6.2)."""

from __future__ import annotations

import numpy as np
from pydicom.valuerep import DSfloat

from mome_node.dicom.geometry import Grid


def decimal(value: float) -> DSfloat:
    """A decimal string (DS) of at most 16 characters."""
    return DSfloat(float(value) + 0.0, auto_format=True)


def position(grid: Grid, plane: int) -> list[DSfloat]:
    """ImagePositionPatient: centre of the first voxel of a plane, mm LPS."""
    return [decimal(v) for v in grid.to_patient((0.0, 0.0, float(plane)))]


def orientation(grid: Grid) -> list[DSfloat]:
    """ImageOrientationPatient: direction cosines of a row, then of a column."""
    cosines = grid.affine[:3, :2] / np.linalg.norm(grid.affine[:3, :2], axis=0)
    return [decimal(v) for v in cosines.T.ravel()]


def pixel_spacing(grid: Grid) -> list[DSfloat]:
    """PixelSpacing: between rows, then between columns, mm."""
    column, row, _ = grid.spacing
    return [decimal(row), decimal(column)]


def slice_spacing(grid: Grid) -> float:
    """Distance between planes along their normal, mm."""
    return float(abs(grid.affine[:3, 2] @ _normal(grid)))


def slice_location(grid: Grid, plane: int) -> DSfloat:
    """SliceLocation: place of a plane along the normal, mm."""
    return decimal(float(np.array(grid.to_patient((0.0, 0.0, float(plane)))) @ _normal(grid)))


def _normal(grid: Grid) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    normal = np.cross(grid.affine[:3, 0], grid.affine[:3, 1])
    return np.asarray(normal / np.linalg.norm(normal))
