"""Resampling between grids that lie anywhere in the patient, without aliasing; in numpy.

Linear interpolation. Where the new voxels are coarser than the old ones, the interpolation kernel
(a triangle) is widened to the new voxel, so that every old voxel counts and noise averages out.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse

from mome_node.dicom.geometry import Grid
from mome_node.volumes.sampling import AxisSamples, Parallel, sampling
from mome_node.volumes.volume import Volume


def resample(volume: Volume, grid: Grid, *, order: Literal[0, 1] = 1, fill: float = 0.0) -> Volume:
    """The volume on another grid.

    ``order`` 1 interpolates linearly, 0 takes the nearest voxel (labels; no averaging). Voxels of
    ``grid`` whose centre lies outside the volume's field (its outermost voxels included in full)
    get ``fill``. The voxels must be finite. The result names no frames.
    """
    if volume.grid.matches(grid):
        return Volume(np.array(volume.array, dtype=np.float32), grid)
    array = np.asarray(volume.array, dtype=np.float32)
    if order == 0:
        to_source = np.linalg.inv(volume.grid.affine) @ grid.affine
        result = _interpolated(array, to_source, grid.shape, order=0)
    else:
        how = sampling(volume.grid, grid)
        if isinstance(how, Parallel):
            return Volume(_parallel(array, how, fill), grid)
        result = _interpolated(_sampled(array, how.samples), how.to_sample, grid.shape, order=1)
    result[~inside(volume.grid, grid)] = fill
    return Volume(result, grid)


def inside(field: Grid, grid: Grid) -> NDArray[np.bool_]:
    """Which voxels of ``grid`` have their centre in the field of view of ``field``; (x, y, z)."""
    to_field = np.linalg.inv(field.affine) @ grid.affine
    places = np.ogrid[tuple(slice(0, n) for n in grid.shape)]
    result = np.ones(grid.shape, dtype=np.bool_)
    for row, size in zip(to_field, field.shape, strict=False):
        index: NDArray[np.float32] = np.full((1, 1, 1), row[3], dtype=np.float32)
        for step, place in zip(row, places, strict=False):
            # An axis that does not move the index is left out: parallel grids stay one line each.
            if abs(step) * place.size > 1e-6:
                index = index + np.float32(step) * place.astype(np.float32)
        result &= (index >= -0.5) & (index <= size - 0.5)
    return result


def _parallel(array: NDArray[np.float32], how: Parallel, fill: float) -> NDArray[np.float32]:
    result = np.ascontiguousarray(_sampled(array, how.samples).transpose(np.argsort(how.pairs)))
    if fill:
        for pair, held in zip(how.pairs, how.held, strict=True):
            np.moveaxis(result, pair, 0)[~held] = fill
    return result


def _sampled(
    array: NDArray[np.float32], samples: tuple[AxisSamples, AxisSamples, AxisSamples]
) -> NDArray[np.float32]:
    x, y, z = (along.window for along in samples)
    array = array[x, y, z]
    # The axis with the largest stride first: then the biggest product needs no copy.
    for axis in sorted(range(3), key=lambda a: -abs(array.strides[a])):
        weights = samples[axis].weights
        if weights is not None:
            array = _along(array, axis, weights)
    return array


def _along(array: NDArray[np.float32], axis: int, weights: sparse.csr_array) -> NDArray[np.float32]:
    lines = np.moveaxis(array, axis, 0)
    # Laid out in memory order, so that a volume read as (slices, rows, columns) is not copied.
    others = sorted((1, 2), key=lambda a: -abs(lines.strides[a]))
    lines = lines.transpose(0, *others)
    product = weights @ lines.reshape(lines.shape[0], -1)  # (new, rest)
    product = product.reshape(-1, *lines.shape[1:]).transpose(0, *others)
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
