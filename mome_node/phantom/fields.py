"""Random smooth fields in patient space: the same for a seed, whatever the matrix of the images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from mome_node.dicom.geometry import Grid

Field = NDArray[np.float32]

EXTENT_MM = ((-190.0, 190.0), (-190.0, 190.0), (-110.0, 110.0))
"""Where fields are defined, in patient coordinates LPS; beyond it they continue with the edge."""


@dataclass(frozen=True, slots=True, eq=False)
class Axes:
    """Patient coordinates in mm of an axial grid's columns, rows and slices, ready to broadcast."""

    x: Field  # (nx, 1, 1)
    y: Field  # (1, ny, 1)
    z: Field  # (1, 1, nz)

    @classmethod
    def of(cls, grid: Grid) -> Axes:
        """Axes of a grid whose directions are those of the patient."""
        ticks = [
            (grid.affine[a, 3] + grid.affine[a, a] * np.arange(grid.shape[a])).astype(np.float32)
            for a in range(3)
        ]
        return cls(ticks[0][:, None, None], ticks[1][None, :, None], ticks[2][None, None, :])


def smooth_noise(rng: np.random.Generator, axes: Axes, scale_mm: float) -> Field:
    """Gaussian noise of unit variance with structures of about ``scale_mm``, shape of the grid."""
    step = scale_mm / 2
    sizes = [int(np.ceil((high - low) / step)) + 1 for low, high in EXTENT_MM]
    coarse = gaussian_filter(rng.standard_normal(sizes, dtype=np.float32), 1.0, mode="nearest")
    coarse = (coarse - coarse.mean()) / coarse.std()
    weights = [
        _linear_weights(ticks.ravel(), low, step, n)
        for ticks, (low, _), n in zip((axes.x, axes.y, axes.z), EXTENT_MM, sizes, strict=True)
    ]
    out = np.tensordot(weights[0], coarse, axes=(1, 0))  # (nx, my, mz)
    out = np.einsum("yb,xbz->xyz", weights[1], out, optimize=True)  # (nx, ny, mz)
    volume: Field = np.ascontiguousarray(np.tensordot(out, weights[2], axes=(2, 1)))
    return volume  # (nx, ny, nz)


def _linear_weights(ticks: Field, low: float, step: float, n: int) -> Field:
    """Matrix (ticks, n) that interpolates linearly between n samples from ``low`` on."""
    place = np.clip((ticks - low) / step, 0, n - 1 - 1e-4)
    left = place.astype(np.int64)
    weights: Field = np.zeros((len(ticks), n), dtype=np.float32)
    rows = np.arange(len(ticks))
    weights[rows, left] = 1 - (place - left)
    weights[rows, left + 1] = place - left
    return weights


def soft(signed_distance_mm: Field, edge_mm: float = 1.0) -> Field:
    """Fraction of a voxel inside a surface: 1 far inside (negative distance), 0 far outside."""
    fraction: Field = np.clip(0.5 - signed_distance_mm / (2 * edge_mm), 0, 1)
    return fraction


def ellipsoid(
    axes: Axes, center: tuple[float, float, float], radii: tuple[float, float, float]
) -> Field:
    """Approximate signed distance in mm to an axis-aligned ellipsoid (exact at the surface)."""
    q = np.sqrt(
        ((axes.x - center[0]) / radii[0]) ** 2
        + ((axes.y - center[1]) / radii[1]) ** 2
        + ((axes.z - center[2]) / radii[2]) ** 2
    )
    return np.asarray((q - 1) * np.float32(min(radii)), dtype=np.float32)


def smooth_union(a: Field, b: Field, radius_mm: float) -> Field:
    """Union of two signed distances whose crease is rounded over ``radius_mm``."""
    h = np.clip(0.5 + 0.5 * (b - a) / radius_mm, 0, 1)
    rounded: Field = b + (a - b) * h - radius_mm * h * (1 - h)
    return rounded
