"""Resampling between grids that lie anywhere in the patient, without aliasing.

Linear interpolation. Where the new voxels are coarser than the old ones, the interpolation kernel
(a triangle) is widened to the new voxel, so that every old voxel counts and noise averages out.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse

from mome_node.dicom.geometry import SAME_PLACE_MM, Grid
from mome_node.volumes.volume import Volume


def resample(volume: Volume, grid: Grid, *, order: Literal[0, 1] = 1, fill: float = 0.0) -> Volume:
    """The volume on another grid.

    ``order`` 1 interpolates linearly, 0 takes the nearest voxel (labels; no averaging). Voxels of
    ``grid`` whose centre lies outside the volume's field (its outermost voxels included in full)
    get ``fill``. The voxels must be finite. The result names no frames.
    """
    if volume.grid.matches(grid):
        return Volume(np.array(volume.array, dtype=np.float32), grid)
    to_source = np.linalg.inv(volume.grid.affine) @ grid.affine
    array = np.asarray(volume.array, dtype=np.float32)
    if order == 0:
        result = _interpolated(array, to_source, grid.shape, order=0)
        result[~inside(volume.grid, grid)] = fill
        return Volume(result, grid)
    pairs = _paired_axes(to_source, volume.grid, grid)
    if pairs is not None:
        return Volume(_separable(array, to_source, grid.shape, pairs, fill), grid)
    array, to_source = _averaged(array, to_source)
    result = _interpolated(array, to_source, grid.shape, order=1)
    result[~inside(volume.grid, grid)] = fill
    return Volume(result, grid)


def inside(field: Grid, grid: Grid) -> NDArray[np.bool_]:
    """Which voxels of ``grid`` have their centre in the field of view of ``field``; (x, y, z)."""
    to_field = (np.linalg.inv(field.affine) @ grid.affine).astype(np.float32)
    x, y, z = np.ogrid[tuple(slice(0, n) for n in grid.shape)]
    result = np.ones(grid.shape, dtype=np.bool_)
    for row, size in zip(to_field, field.shape, strict=False):
        index = row[0] * x.astype(np.float32) + row[1] * y.astype(np.float32) + row[3]
        index = index + row[2] * z.astype(np.float32)  # (x, y, z)
        result &= (index >= -0.5) & (index <= size - 0.5)
    return result


def _paired_axes(
    to_source: NDArray[np.float64], source: Grid, grid: Grid
) -> tuple[int, int, int] | None:
    """For each axis of the source the axis of the grid parallel to it; None if they are oblique."""
    matrix = np.abs(to_source[:3, :3])
    pairs = matrix.argmax(axis=1)
    if len(set(pairs)) < 3:
        return None
    drift = matrix * (np.array(grid.shape) - 1)
    drift[np.arange(3), pairs] = 0.0
    if (drift.sum(axis=1) * source.spacing > SAME_PLACE_MM).any():
        return None
    return int(pairs[0]), int(pairs[1]), int(pairs[2])


def _separable(
    array: NDArray[np.float32],
    to_source: NDArray[np.float64],
    shape: tuple[int, int, int],
    pairs: tuple[int, int, int],
    fill: float,
) -> NDArray[np.float32]:
    # What little the other axes shift a line of voxels is taken at the middle of the grid.
    middle = to_source[:3, :3] @ ((np.array(shape) - 1) / 2) + to_source[:3, 3]
    outside = np.zeros(shape, dtype=np.bool_)
    # The axis with the largest stride first: then the biggest product needs no copy.
    for axis in sorted(range(3), key=lambda a: -abs(array.strides[a])):
        pair = pairs[axis]
        scale = to_source[axis, pair]
        positions = middle[axis] + scale * (np.arange(shape[pair]) - (shape[pair] - 1) / 2)
        size = array.shape[axis]
        array = _along(array, axis, _kernel(positions, size, abs(scale)))
        along = [1, 1, 1]
        along[pair] = shape[pair]
        outside |= ((positions < -0.5) | (positions > size - 0.5)).reshape(along)
    result = np.ascontiguousarray(array.transpose(np.argsort(pairs)))
    result[outside] = fill
    return result


def _averaged(
    array: NDArray[np.float32], to_source: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """The array averaged over the new voxel's extent along its own axes, and thinned out."""
    to_thinned = to_source.copy()
    for axis in range(3):
        extent = float(np.linalg.norm(to_source[axis, :3]))
        size = array.shape[axis]
        if extent <= 1.0 or size == 1:
            continue
        # Two samples a new voxel: interpolation between them then loses little.
        count = max(2, round((size - 1) / max(1.0, extent / 2)) + 1)
        step = (size - 1) / (count - 1)
        array = _along(array, axis, _kernel(np.arange(count) * step, size, extent))
        to_thinned[axis] /= step
    return array, to_thinned


def _kernel(positions: NDArray[np.float64], size: int, extent: float) -> sparse.csr_array:
    """Weights (positions, size) of a triangle of half width ``extent`` voxels, at least 1."""
    half = max(1.0, extent)
    reach = np.arange(int(np.ceil(2 * half)) + 1)
    columns = np.floor(positions - half).astype(np.int64)[:, None] + reach  # (positions, reach)
    weights = np.clip(1.0 - np.abs(columns - positions[:, None]) / half, 0.0, None)
    weights[(columns < 0) | (columns >= size)] = 0.0
    total = weights.sum(axis=1, keepdims=True)
    weights = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    rows = np.broadcast_to(np.arange(len(positions))[:, None], columns.shape)
    used = weights > 0
    entries = (weights[used].astype(np.float32), (rows[used], columns[used]))
    return sparse.csr_array(entries, shape=(len(positions), size))


def _along(array: NDArray[np.float32], axis: int, weights: sparse.csr_array) -> NDArray[np.float32]:
    lines = np.moveaxis(array, axis, 0)
    # Laid out in memory order, so that a volume read as (slices, rows, columns) is not copied.
    others = sorted((1, 2), key=lambda a: -abs(lines.strides[a]))
    lines = lines.transpose(0, *others)
    product = weights @ lines.reshape(lines.shape[0], -1)  # (new, rest)
    product = product.reshape(weights.shape[0], *lines.shape[1:]).transpose(0, *others)
    return np.moveaxis(product, 0, axis)


def _interpolated(
    array: NDArray[np.float32],
    to_source: NDArray[np.float64],
    shape: tuple[int, int, int],
    order: Literal[0, 1],
) -> NDArray[np.float32]:
    result: NDArray[np.float32] = ndimage.affine_transform(
        array,
        to_source[:3, :3],
        offset=to_source[:3, 3],
        output_shape=shape,
        output=np.float32,
        order=order,
        mode="nearest",
        prefilter=False,
    )
    return result
