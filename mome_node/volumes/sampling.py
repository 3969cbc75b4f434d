"""Which old voxels make a new one, and with what weights: the arithmetic of resampling.

It is worked out once for two grids and carried out by numpy (``volumes/resample.py``) or by torch
(``mome/resampling.py``), so that both give the same voxels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from mome_node.dicom.geometry import SAME_PLACE_MM, Grid


@dataclass(frozen=True, slots=True, eq=False)
class AxisSamples:
    """How samples along one axis of an array are made of its voxels.

    ``weights`` float32 (samples, voxels of ``window``) takes the voxels of ``window`` to the
    samples; None where these voxels are the samples.
    """

    window: slice
    weights: sparse.csr_array | None


@dataclass(frozen=True, slots=True, eq=False)
class Parallel:
    """The grids' axes are parallel: the samples along the axes of the source are the new voxels.

    The samples along axis k of the source lie along axis ``pairs[k]`` of the new grid. ``held[k]``
    bool (samples,) says which lie in the source's field; the others have no weight anywhere.
    """

    samples: tuple[AxisSamples, AxisSamples, AxisSamples]
    pairs: tuple[int, int, int]
    held: tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]


@dataclass(frozen=True, slots=True, eq=False)
class Oblique:
    """The new voxels lie between samples along the source's axes, which are averages where needed.

    ``to_sample`` 4 × 4 takes a new voxel's index to the (fractional) index of the sample there.
    ``field`` (3, 2) is the first and the last such index along each axis that lies in the source's
    field, its outermost voxels included in full.
    """

    samples: tuple[AxisSamples, AxisSamples, AxisSamples]
    to_sample: NDArray[np.float64]
    field: NDArray[np.float64]


def sampling(source: Grid, grid: Grid) -> Parallel | Oblique:
    """How the voxels of ``grid`` are made of those of ``source``."""
    to_source = np.linalg.inv(source.affine) @ grid.affine
    pairs = _paired_axes(to_source, source, grid)
    return (
        _oblique(to_source, source, grid)
        if pairs is None
        else _parallel(to_source, source, grid, pairs)
    )


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


def _parallel(
    to_source: NDArray[np.float64], source: Grid, grid: Grid, pairs: tuple[int, int, int]
) -> Parallel:
    # What little the other axes shift a line of voxels is taken at the middle of the grid.
    middle = to_source[:3, :3] @ ((np.array(grid.shape) - 1) / 2) + to_source[:3, 3]

    def along(axis: int) -> tuple[AxisSamples, NDArray[np.bool_]]:
        count, size = grid.shape[pairs[axis]], source.shape[axis]
        scale = to_source[axis, pairs[axis]]
        positions = middle[axis] + scale * (np.arange(count) - (count - 1) / 2)
        held = (positions >= -0.5) & (positions <= size - 0.5)
        return _weighted(positions, size, abs(scale), held), held

    (x, in_x), (y, in_y), (z, in_z) = (along(axis) for axis in range(3))
    return Parallel((x, y, z), pairs, (in_x, in_y, in_z))


def _oblique(to_source: NDArray[np.float64], source: Grid, grid: Grid) -> Oblique:
    to_sample = to_source.copy()
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in grid.shape])).reshape(3, -1)
    reached = to_source[:3, :3] @ corners + to_source[:3, 3:]  # (3, 8) voxels of the source
    field = np.array([(-0.5, n - 0.5) for n in source.shape])

    def along(axis: int) -> AxisSamples:
        """Samples that the new voxels lie between, along the whole axis of the source."""
        size = source.shape[axis]
        extent = float(np.linalg.norm(to_source[axis, :3]))
        averaged = extent > 1.0 and size > 1
        # Two samples a new voxel: interpolation between them then loses little.
        count = max(2, round((size - 1) / max(1.0, extent / 2)) + 1) if averaged else size
        step = (size - 1) / (count - 1) if averaged else 1.0
        low, high = reached[axis].min() / step, reached[axis].max() / step
        first = int(np.clip(np.floor(low), 0, count - 1))
        last = int(np.clip(np.ceil(high), first, count - 1))
        to_sample[axis] /= step
        to_sample[axis, 3] -= first
        field[axis] = field[axis] / step - first
        if not averaged:
            return AxisSamples(slice(first, last + 1), None)
        return _weighted(step * np.arange(first, last + 1, dtype=np.float64), size, extent)

    samples = along(0), along(1), along(2)
    return Oblique(samples, to_sample, field)


def _weighted(
    positions: NDArray[np.float64],
    size: int,
    extent: float,
    held: NDArray[np.bool_] | None = None,
) -> AxisSamples:
    """Samples at ``positions`` by a triangle of half width ``extent`` voxels, at least 1.

    ``size`` is the number of voxels along the axis. Where not ``held``, a sample gets no weights.
    """
    half = max(1.0, extent)
    reach = np.arange(int(np.ceil(2 * half)) + 1)
    columns = np.floor(positions - half).astype(np.int64)[:, None] + reach  # (positions, reach)
    weights = np.clip(1.0 - np.abs(columns - positions[:, None]) / half, 0.0, None)
    weights[(columns < 0) | (columns >= size)] = 0.0
    total = weights.sum(axis=1, keepdims=True)
    weights = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    if held is not None:
        weights[~held] = 0.0
    used = weights > 0
    if not used.any():
        return AxisSamples(slice(0, 1), sparse.csr_array((len(positions), 1), dtype=np.float32))
    window = slice(int(columns[used].min()), int(columns[used].max()) + 1)
    rows = np.broadcast_to(np.arange(len(positions))[:, None], columns.shape)
    entries = (weights[used].astype(np.float32), (rows[used], columns[used] - window.start))
    shape = (len(positions), window.stop - window.start)
    return AxisSamples(window, sparse.csr_array(entries, shape=shape))
