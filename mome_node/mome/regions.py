"""From an attribution to the few regions that a reader is shown.

The map is smoothed and only what raises the score counts. A region is one connected part of the
breasts where the smoothed map is at least a fixed part of its maximum in the breasts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mome_node.dicom.geometry import Grid, Point
from mome_node.mome.breast_mask import Breasts, Side
from mome_node.mome.prediction import Attribution
from mome_node.volumes.resample import resample
from mome_node.volumes.volume import Volume

LEVEL_STEP = 0.1
"""How far the level is raised at a time where a region would be too large to point at anything."""


@dataclass(frozen=True, slots=True, eq=False)
class FoundRegion:
    """One region. ``mask`` bool (x, y, z) on the key volume's grid, one connected part.

    ``center_mm`` LPS, weighted by the attribution. ``share`` is the region's part of the positive
    attribution of the whole field, 0 to 1. ``laterality`` None: the side cannot be told.
    """

    mask: NDArray[np.bool_]
    center_mm: Point
    laterality: Side | None
    share: float


@dataclass(frozen=True, slots=True, eq=False)
class FoundRegions:
    """The regions, the largest share first, and the part of the positive attribution elsewhere.

    ``share_outside`` (0 to 1) is what lies outside the breasts. The shares need not add up to 1:
    the rest is in the breasts, too faint or too scattered for a region.
    """

    regions: tuple[FoundRegion, ...]
    share_outside: float


def find_regions(
    attribution: Attribution,
    key: Volume,
    breasts: Breasts,
    *,
    max_regions: int = 3,
    min_share: float = 0.02,
    smoothing_mm: float = 5.0,
    level: float = 0.4,
    size_ml: tuple[float, float] = (0.05, 100.0),
) -> FoundRegions:
    """At most ``max_regions`` regions of an attribution, on the grid of ``key``.

    ``smoothing_mm`` is the standard deviation of a Gaussian, ``level`` the part of the smoothed
    map's maximum in the breasts that a region's voxels have at least. Regions with less than
    ``min_share`` of the positive attribution, smaller than the first of ``size_ml``, or outside
    the field of ``key`` are left out; where one is larger than the second, ``level`` is raised
    until none is. ``breasts`` must lie on the attribution's grid (ValueError).
    """
    if not breasts.grid.matches(attribution.grid):
        raise ValueError("the breasts must lie on the attribution's grid")
    smooth = _smoothed(attribution, smoothing_mm)
    total = float(smooth.sum(dtype=np.float64))
    if total <= 0:
        return FoundRegions((), 0.0)
    inner = np.where(breasts.mask, smooth, np.float32(0))
    share_outside = min(1.0, max(0.0, 1 - float(inner.sum(dtype=np.float64)) / total))
    if not inner.any():
        return FoundRegions((), share_outside)
    threshold, labels, sizes_ml = _parts(inner, level, size_ml[1], _voxel_ml(attribution.grid))
    sums = ndimage.sum_labels(inner, labels, np.arange(1, len(sizes_ml) + 1))
    # Around each region one voxel that belongs to no other, for the interpolated edge.
    nearby = ndimage.grey_dilation(labels, size=(3, 3, 3))
    nearby = np.where(labels > 0, labels, nearby)
    regions: list[FoundRegion] = []
    for label in np.argsort(-sums, kind="stable") + 1:
        share = float(sums[label - 1]) / total
        if share < min_share or len(regions) == max_regions:
            break
        if sizes_ml[label - 1] < size_ml[0]:
            continue
        center = _center(np.where(labels == label, inner, 0), attribution.grid)
        mask = _on_key(inner, nearby == label, threshold, attribution.grid, key.grid, center)
        if mask is not None:
            regions.append(FoundRegion(mask, center, breasts.side(center), share))
    return FoundRegions(tuple(regions), share_outside)


def _smoothed(attribution: Attribution, smoothing_mm: float) -> NDArray[np.float32]:
    """What raises the score. Smoothed before the sign is looked at, so that noise cancels."""
    sigma = [smoothing_mm / step for step in attribution.grid.spacing]
    smooth: NDArray[np.float32] = ndimage.gaussian_filter(
        attribution.array.astype(np.float32), sigma, mode="constant"
    )
    return np.maximum(smooth, np.float32(0))


def _parts(
    inner: NDArray[np.float32], level: float, largest_ml: float, voxel_ml: float
) -> tuple[float, NDArray[np.int32], NDArray[np.floating]]:
    """The threshold, the connected parts that reach it, numbered, and how large each is in ml."""
    maximum = float(inner.max())
    while True:
        labels, count = _connected(inner >= level * maximum)
        sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:] * voxel_ml
        raised = level + LEVEL_STEP
        if sizes.max() <= largest_ml or raised >= 1:
            return level * maximum, labels, sizes
        level = raised


def _voxel_ml(grid: Grid) -> float:
    return abs(float(np.linalg.det(grid.affine[:3, :3]))) / 1000


def _connected(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int32], int]:
    """Parts of a mask numbered from 1: voxels that share a face, an edge or a corner are one."""
    labels, count = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    return labels, count


def _center(weights: NDArray[np.float32], grid: Grid) -> Point:
    return grid.to_patient(tuple(float(i) for i in ndimage.center_of_mass(weights)))


def _on_key(
    values: NDArray[np.float32],
    territory: NDArray[np.bool_],
    threshold: float,
    grid: Grid,
    key: Grid,
    center: Point,
) -> NDArray[np.bool_] | None:
    """The region on the key volume's grid; None if it lies outside the key volume."""
    window = _window(territory, grid, key)
    if window is None:
        return None
    part = _part(key, window)
    strength = resample(Volume(values, grid), part).array
    belongs = resample(Volume(territory.astype(np.float32), grid), part, order=0).array > 0.5
    found = belongs & (strength >= threshold)
    labels, count = _connected(found)
    if count > 1:
        sums = ndimage.sum_labels(strength, labels, np.arange(1, count + 1))
        found = labels == int(np.argmax(sums)) + 1
    if count == 0:
        # Smaller than the key volume's voxels: the voxel that holds the centre stands for it.
        index = tuple(round(i) for i in part.to_index(center))
        if any(not 0 <= i < n for i, n in zip(index, part.shape, strict=True)):
            return None
        found[index] = True
    mask = np.zeros(key.shape, dtype=np.bool_)
    mask[window] = found
    return mask


def _window(
    territory: NDArray[np.bool_], grid: Grid, key: Grid
) -> tuple[slice, slice, slice] | None:
    """The box of the key volume's voxels around a territory; None where they do not meet."""
    box = ndimage.find_objects(territory.astype(np.int8))[0]
    ends = np.array(np.meshgrid(*[(s.start - 0.5, s.stop - 0.5) for s in box])).reshape(3, -1)
    to_key = np.linalg.inv(key.affine) @ grid.affine
    corners = to_key[:3, :3] @ ends + to_key[:3, 3:]  # (3, 8) key voxels
    low = np.maximum(0, np.floor(corners.min(axis=1)).astype(int))
    high = np.minimum(key.shape, np.ceil(corners.max(axis=1)).astype(int) + 1)
    if (low >= high).any():
        return None
    x, y, z = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return x, y, z


def _part(key: Grid, window: tuple[slice, slice, slice]) -> Grid:
    affine = key.affine.copy()
    affine[:3, 3] = key.to_patient(tuple(float(s.start) for s in window))
    x, y, z = (s.stop - s.start for s in window)
    return Grid((x, y, z), affine)
