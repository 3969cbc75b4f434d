"""From image planes to one straight, evenly spaced stack (PS3.3 C.7.6.2): geometry, no pixels.

Slices are counted along the normal of the planes, row direction × column direction, lowest first.
So (column, row, slice) is right-handed in the patient whatever way the scanner numbered its
images, and repeats of one volume come out in the same order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mome_node.dicom.geometry import PARALLEL_COSINE, SAME_PLACE_MM, Grid
from mome_node.dicom.header import FrameFacts, FrameRef
from mome_node.errors import (
    DoubledSlicesError,
    MissingSlicesError,
    MixedMatrixError,
    MixedOrientationError,
    PlaneGeometryError,
    TiledImageError,
    TooFewSlicesError,
)

MIN_SLICES = 3
"""With two planes there is one gap, and nothing tells whether a plane is missing in it."""

UNEVEN_SHARE = 0.05
"""How far a plane may lie off its place in an even stack, as a share of the slice spacing."""

UNIT_TOLERANCE = 1e-2
"""How far direction cosines may be from unit length and a right angle: some are rounded to 0.01."""

SHEAR_SHARE = 0.02
"""How far a stack may lean sideways in a step, as a share of it: about one degree."""

SAME_SPACING = 1e-3
"""Pixel spacings that differ by less than this share are the same."""

NAMED = 3
"""At most so many planes are named in an error."""

Plane = tuple[FrameRef, FrameFacts, int, int]
"""One image plane: which, what it says of itself, its rows, its columns."""

_Vectors = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PlaneStack:
    """Planes in slice order and the grid that they make."""

    frames: tuple[FrameRef, ...]
    grid: Grid


def check_planes(planes: Sequence[Plane], *, min_slices: int = MIN_SLICES) -> None:
    """Raise the VolumeError that ``stack_planes`` would raise, if any."""
    stack_planes(planes, min_slices=min_slices)


def stack_planes(planes: Sequence[Plane], *, min_slices: int = MIN_SLICES) -> PlaneStack:
    """Order planes, given in any order, along their normal and make their grid.

    The grid's x axis runs along a row (towards higher columns), y along a column, z along the
    normal row direction × column direction.

    Raises TiledImageError, PlaneGeometryError, MixedMatrixError, MixedOrientationError,
    DoubledSlicesError, TooFewSlicesError or MissingSlicesError, whichever holds first in this
    order; each names planes and positions.
    """
    for reference, facts, _, _ in planes:
        if facts.tiled:
            raise TiledImageError(
                f"{_name(reference)} holds several slices side by side (mosaic); "
                "export the series as single slices"
            )
    if not planes:
        raise TooFewSlicesError(f"no plane; at least {min_slices} are needed")
    spacing = _common_matrix(planes)
    axes = _common_axes(planes)
    references, positions, depths = _along_normal(planes, axes)
    _check_doubled(references, depths)
    if len(planes) < max(min_slices, 2):
        raise TooFewSlicesError(
            f"{len(planes)} planes; at least {max(min_slices, 2)} are needed for a volume"
        )
    _check_gaps(depths)
    step = _straight_step(references, positions, axes)
    affine = np.eye(4)
    affine[:3, 0] = axes[0] * spacing[1]
    affine[:3, 1] = axes[1] * spacing[0]
    affine[:3, 2] = step
    affine[:3, 3] = positions[0]
    _, _, rows, columns = planes[0]
    return PlaneStack(tuple(references), Grid((columns, rows, len(planes)), affine))


def _common_matrix(planes: Sequence[Plane]) -> tuple[float, float]:
    """Return the pixel spacing (rows, columns) in mm that all planes share, with their size."""
    first, first_facts, rows, columns = planes[0]
    for reference, facts, its_rows, its_columns in planes:
        spacing = facts.pixel_spacing
        if spacing is None or min(spacing) <= 0 or its_rows < 1 or its_columns < 1:
            raise PlaneGeometryError(f"{_name(reference)} has no valid Pixel Spacing or no size")
        if (its_rows, its_columns) != (rows, columns):
            raise MixedMatrixError(
                f"{_name(reference)} has {its_rows} rows × {its_columns} columns, "
                f"{_name(first)} {rows} × {columns}"
            )
        expected = first_facts.pixel_spacing or spacing
        if not _same_spacing(spacing, expected):
            raise MixedMatrixError(
                f"{_name(reference)} has pixel spacing {spacing} mm, {_name(first)} {expected}"
            )
    return first_facts.pixel_spacing or (0.0, 0.0)


def _same_spacing(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return all(abs(a - b) <= SAME_SPACING * abs(b) for a, b in zip(one, other, strict=True))


def _common_axes(planes: Sequence[Plane]) -> _Vectors:
    """Return the unit vectors (3, 3) of row direction, column direction and normal, LPS."""
    first, first_facts, _, _ = planes[0]
    common = _orientation(first, first_facts)
    for reference, facts, _, _ in planes:
        if facts.image_position and facts.image_orientation == first_facts.image_orientation:
            continue  # in most stacks all are written alike
        if np.abs(_orientation(reference, facts) - common).max() > PARALLEL_COSINE:
            raise MixedOrientationError(
                f"{_name(reference)} and {_name(first)} are not parallel: "
                f"orientations {facts.image_orientation} and {first_facts.image_orientation}"
            )
    row, column = common
    row = row / np.linalg.norm(row)
    column = column - row * (column @ row)
    column = column / np.linalg.norm(column)
    return np.array([row, column, np.cross(row, column)])


def _orientation(reference: FrameRef, facts: FrameFacts) -> _Vectors:
    """Return Image Orientation (Patient) as (2, 3): row direction, column direction."""
    if facts.image_orientation is None or facts.image_position is None:
        raise PlaneGeometryError(f"{_name(reference)} has no position or orientation")
    vectors = np.array(facts.image_orientation, dtype=np.float64).reshape(2, 3)
    if np.abs(vectors @ vectors.T - np.eye(2)).max() > UNIT_TOLERANCE:
        raise PlaneGeometryError(
            f"{_name(reference)} has orientation {facts.image_orientation}: "
            "no two unit vectors at a right angle"
        )
    return vectors


def _along_normal(
    planes: Sequence[Plane], axes: _Vectors
) -> tuple[list[FrameRef], _Vectors, _Vectors]:
    """Sort references, positions (n, 3) and depths (n,) in mm by depth along the normal."""
    positions = np.array([facts.image_position for _, facts, _, _ in planes], dtype=np.float64)
    if not np.isfinite(positions).all():
        raise PlaneGeometryError("a position is not finite")
    depths = positions @ axes[2]
    order = np.argsort(depths, kind="stable")
    return [planes[k][0] for k in order], positions[order], depths[order]


def _check_doubled(references: list[FrameRef], depths: _Vectors) -> None:
    doubled = np.flatnonzero(np.diff(depths) < SAME_PLACE_MM)
    if doubled.size:
        pairs = "; ".join(
            f"{_name(references[k])} and {_name(references[k + 1])} at {depths[k]:.2f} mm"
            for k in doubled[:NAMED]
        )
        raise DoubledSlicesError(f"{doubled.size} places hold more than one plane: {pairs}")


def _check_gaps(depths: _Vectors) -> None:
    gaps = np.diff(depths)
    usual = float(np.sort(gaps)[(gaps.size - 1) // 2])
    wide = np.flatnonzero(gaps > 1.5 * usual)
    if wide.size:
        lost = int(sum(round(gaps[k] / usual) - 1 for k in wide))
        where = "; ".join(f"{depths[k]:.2f} to {depths[k + 1]:.2f} mm" for k in wide[:NAMED])
        raise MissingSlicesError(
            f"about {max(lost, 1)} slices are missing: planes are {usual:.2f} mm apart, "
            f"but not from {where} along the normal"
        )
    even = np.linspace(depths[0], depths[-1], depths.size)
    off = np.abs(depths - even)
    if off.max() > max(2 * SAME_PLACE_MM, UNEVEN_SHARE * usual):
        raise MissingSlicesError(
            f"planes are unevenly spaced, {gaps.min():.2f} to {gaps.max():.2f} mm apart; "
            f"worst at {depths[int(off.argmax())]:.2f} mm along the normal"
        )


def _straight_step(references: list[FrameRef], positions: _Vectors, axes: _Vectors) -> _Vectors:
    """Return the vector (3,) in mm from one slice to the next of a straight stack."""
    step: _Vectors = (positions[-1] - positions[0]) / (len(positions) - 1)
    sideways = float(np.linalg.norm(axes[:2] @ step))
    straight = positions[0] + np.outer(np.arange(len(positions)), step)
    off = np.linalg.norm((positions - straight) @ axes[:2].T, axis=1)
    length = float(axes[2] @ step)
    worst = int(off.argmax())
    if sideways > max(SHEAR_SHARE * length, SAME_PLACE_MM / len(positions)):
        raise MixedOrientationError(
            f"the planes are not stacked along their normal: {sideways:.2f} mm sideways "
            f"in a step of {length:.2f} mm"
        )
    if off[worst] > max(2 * SAME_PLACE_MM, UNEVEN_SHARE * length):
        raise MixedOrientationError(
            f"{_name(references[worst])} lies {off[worst]:.2f} mm beside the stack"
        )
    return step


def _name(reference: FrameRef) -> str:
    return f"instance {reference.sop_instance_uid} frame {reference.frame_number}"
