"""What a picture shows of the exam: one slice, or a projection, with the regions that it meets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mome_node.dicom.geometry import Grid
from mome_node.results.display import grey_slice
from mome_node.results.findings import Findings, Region
from mome_node.volumes.volume import Volume

FIELD_MARGIN: Final = 0.04
"""Part of the evaluated field's size that is shown around it, where a picture is cut to it."""

_HEAD: Final = np.array((0.0, 0.0, 1.0))  # LPS

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Section:
    """One plane of an exam to be drawn.

    ``grey`` uint8 (x, y) lies on the one slice of ``grid``; ``masks`` are the parts of regions on
    it, bool (x, y); ``field`` is the evaluated field on it as voxel indices x0, y0, x1, y1.
    """

    grey: NDArray[np.uint8]
    grid: Grid
    masks: tuple[tuple[Region, NDArray[np.bool_]], ...]
    field: Box


def slice_section(findings: Findings, volume: Volume, slice_index: int) -> Section:
    """A slice of a volume on the key volume's grid."""
    masks = tuple((r, r.mask[:, :, slice_index]) for r in findings.regions)
    x0, y0, x1, y1 = findings.field_box
    columns, rows, _ = volume.grid.shape
    affine = volume.grid.affine.copy()
    affine[:3, 3] = volume.grid.to_patient((0, 0, slice_index))
    return Section(
        grey=grey_slice(volume, slice_index),
        grid=Grid((columns, rows, 1), affine),
        masks=tuple((region, mask) for region, mask in masks if mask.any()),
        field=(x0, y0, x1, y1),
    )


def projection_section(findings: Findings) -> Section:
    """The brightest of the subtraction along the axis that is nearest to the patient's own.

    Seen from the feet, as axial slices are, whatever plane was acquired: so that the breasts lie
    beside each other.
    """
    volume = findings.key_subtraction
    directions = volume.grid.affine[:3, :3] / np.linalg.norm(volume.grid.affine[:3, :3], axis=0)
    axis = int(np.argmax(np.abs(_HEAD @ directions)))
    kept = [i for i in range(3) if i != axis]
    affine = volume.grid.affine[:, [*kept, axis, 3]]
    columns, rows = (volume.grid.shape[i] for i in kept)
    grid = Grid((columns, rows, 1), affine)
    brightest = np.fmax.reduce(volume.array, axis=axis)
    x, y = (_field_extents(findings)[i] for i in kept)
    return Section(
        grey=grey_slice(Volume(brightest[:, :, None], grid), 0),
        grid=grid,
        masks=tuple((r, np.asarray(r.mask.any(axis=axis))) for r in findings.regions),
        field=(x[0], y[0], x[1], y[1]),
    )


def _field_extents(findings: Findings) -> tuple[tuple[float, float], ...]:
    """Where the evaluated field begins and ends along each axis of the key volume, as indices.

    Along the slices that is known from the attribution's grid; without one it is all of them.
    """
    x0, y0, x1, y1 = findings.field_box
    count = findings.key_volume.grid.shape[2]
    if findings.attribution is None:
        return (x0, x1), (y0, y1), (0, count)
    grid = findings.attribution.grid
    corners = np.stack(np.meshgrid(*[(-0.5, n - 0.5) for n in grid.shape])).reshape(3, -1)
    to_key = np.linalg.inv(findings.key_volume.grid.affine) @ grid.affine
    along = to_key[2, :3] @ corners + to_key[2, 3] + 0.5  # edges count from the first voxel's
    z0, z1 = np.clip([along.min(), along.max()], 0, count)
    return (x0, x1), (y0, y1), (float(z0), float(z1))


def cut_to_field(section: Section) -> Section:
    """The part of a section that holds the evaluated field and all regions, with a margin."""
    boxes = [section.field, *(_around(mask) for _, mask in section.masks)]
    shape = np.array(section.grid.shape[:2])
    low = np.min([box[:2] for box in boxes], axis=0)
    high = np.max([box[2:] for box in boxes], axis=0)
    margin = (high - low) * FIELD_MARGIN
    x0, y0 = np.clip(np.floor(low - margin), 0, shape - 1).astype(int).tolist()
    x1, y1 = np.clip(np.ceil(high + margin), (x0 + 1, y0 + 1), shape).astype(int).tolist()
    affine = section.grid.affine.copy()
    affine[:3, 3] = section.grid.to_patient((x0, y0, 0))
    left, top, right, bottom = section.field
    return Section(
        grey=section.grey[x0:x1, y0:y1],
        grid=Grid((x1 - x0, y1 - y0, 1), affine),
        masks=tuple((region, mask[x0:x1, y0:y1]) for region, mask in section.masks),
        field=(left - x0, top - y0, right - x0, bottom - y0),
    )


def _around(mask: NDArray[np.bool_]) -> Box:
    x, y = np.nonzero(mask)
    return float(x.min()), float(y.min()), float(x.max() + 1), float(y.max() + 1)
