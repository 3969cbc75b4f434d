"""The three-plane localizer that opens every real study."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mome_node.dicom.geometry import Grid
from mome_node.volumes.volume import Volume

MATRIX = 96
"""Columns and rows of a localizer image."""

PLANES = 3
"""Images of each orientation."""


def localizer(source: Volume) -> tuple[Volume, ...]:
    """Few axial, sagittal and coronal planes through ``source``, each orientation one volume.

    Images are square and wide enough for all of ``source``; the planes of one orientation cut it
    into quarters.
    """
    center = np.array(source.grid.center)
    extent = np.abs(source.grid.affine[:3, :3]) @ np.array(source.grid.shape)
    right, back, down = np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), np.array([0, 0, -1.0])
    return tuple(
        _resampled(source, _grid_through(center, extent, row, column))
        for row, column in ((right, back), (back, down), (right, down))
    )


def _grid_through(
    center: NDArray[np.float64],
    extent: NDArray[np.float64],
    row: NDArray[np.float64],
    column: NDArray[np.float64],
) -> Grid:
    shape = (MATRIX, MATRIX, PLANES)
    pixel = float(extent.max()) / MATRIX
    normal = np.cross(row, column)
    gap = float(np.abs(normal) @ extent) / (PLANES + 1)
    axes = np.stack([row * pixel, column * pixel, normal * gap], axis=1)
    affine = np.eye(4)
    affine[:3, :3] = axes
    affine[:3, 3] = center - axes @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine)


def _resampled(source: Volume, grid: Grid) -> Volume:
    to_source = np.linalg.inv(source.grid.affine) @ grid.affine
    array = ndimage.affine_transform(
        source.array, to_source, output_shape=grid.shape, order=1, mode="constant"
    )
    return Volume(array.astype(np.float32), grid)
