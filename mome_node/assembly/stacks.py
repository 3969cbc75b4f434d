"""One series parted into volumes: by geometry, b-value, direction and moment in time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mome_node.assembly.diffusion import (
    by_b_value,
    by_direction,
    is_computed,
    is_of_several,
    with_series_b_values,
)
from mome_node.assembly.plan import Role
from mome_node.assembly.planes import (
    Plane,
    cluster_numbers,
    normal_of,
    offsets_of,
    orientation_numbers,
    planes_of,
)
from mome_node.assembly.repeats import part_in_time
from mome_node.assembly.roles import ClassifiedSeries
from mome_node.assembly.slabs import slabs_of
from mome_node.dicom.header import InstanceFacts
from mome_node.dicom.stacking import MIN_SLICES, check_planes
from mome_node.dicom.tiles import instance_of_tiles
from mome_node.errors import VolumeError

SAME_SPACING_MM = 0.005
"""Pixel spacings nearer than this are one: vendors write between four and sixteen digits."""

NO_VOLUME_ROLES = frozenset({Role.LOCALIZER, Role.DERIVED, Role.SUBTRACTION})
"""Roles whose series nobody expects to be volumes; their geometry is no problem."""

TILED = (
    "tiled: several slices lie side by side in one image; have the scanner send single slices "
    "(Siemens: Mosaic off in the protocol; United Imaging: no VFRAME export)"
)


@dataclass(frozen=True, slots=True)
class PlaneStack:
    """The planes of one volume in slice order, with what places it among other volumes.

    ``offsets`` are the distances in mm of the slices along ``normal``. ``isotropic`` is True for a
    trace, False for one diffusion direction, None where nothing says. ``made_of`` says in words of
    what a diffusion image was computed, empty for an acquired one. ``problems`` in words.
    """

    planes: tuple[Plane, ...]
    offsets: tuple[float, ...]
    normal: tuple[float, float, float]
    b_value: float | None = None
    isotropic: bool | None = None
    made_of: str = ""
    repeat: int = 0  # its place among the repeats of its positions where only that is known
    ordered_by_instance: bool = False
    problems: tuple[str, ...] = ()

    @property
    def series_uid(self) -> str:
        """Series Instance UID."""
        return self.planes[0].instance.series_uid

    def earliest(self, value: Callable[[Plane], float | None]) -> float | None:
        """The lowest value over the planes, None unless every plane has one."""
        values = [value(p) for p in self.planes]
        known = [v for v in values if v is not None]
        return min(known) if len(known) == len(values) else None

    @property
    def acquired_s(self) -> float | None:
        """Start of the acquisition, seconds since midnight of the study's first day."""
        return self.earliest(lambda p: p.frame.acquired_s)

    @property
    def extent_mm(self) -> tuple[float, float, float]:
        """Size in the patient along left-right, front-back and head-feet."""
        plane = self.planes[0]
        rows, columns = plane.instance.rows, plane.instance.columns
        down, across = plane.frame.pixel_spacing or (0.0, 0.0)
        orientation = plane.frame.image_orientation or (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
        depth = abs(self.offsets[-1] - self.offsets[0]) if self.offsets else 0.0
        size = (
            np.abs(orientation[:3]) * columns * across
            + np.abs(orientation[3:]) * rows * down
            + np.abs(self.normal) * depth
        )
        return float(size[0]), float(size[1]), float(size[2])

    @property
    def volume_mm3(self) -> float:
        """Size of the box that the volume fills."""
        x, y, z = self.extent_mm
        return x * y * z

    @property
    def centre_x_mm(self) -> float:
        """Where the middle of the volume lies between right (−) and left (+), in mm LPS."""
        ends = [
            p.frame.image_position or (0.0, 0.0, 0.0) for p in (self.planes[0], self.planes[-1])
        ]
        plane = self.planes[0]
        orientation = plane.frame.image_orientation or (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
        down, across = plane.frame.pixel_spacing or (0.0, 0.0)
        along_row = orientation[0] * across * (plane.instance.columns - 1) / 2
        along_column = orientation[3] * down * (plane.instance.rows - 1) / 2
        return (ends[0][0] + ends[1][0]) / 2 + along_row + along_column

    @property
    def plane_name(self) -> str:
        """Axial, sagittal or coronal: the patient axis nearest to the normal."""
        return ("sagittal", "coronal", "axial")[int(np.argmax(np.abs(self.normal)))]


def stacks_of(series: ClassifiedSeries) -> tuple[tuple[PlaneStack, ...], tuple[str, ...]]:
    """The volumes of a series' own parts, and what is wrong with the series as a whole."""
    stacks: list[PlaneStack] = []
    is_diffusion = series.role is Role.DWI
    told = any(f.b_value is not None for i in series.instances for f in i.frames)
    for part in series.kept:
        planes = part.planes
        if is_diffusion:
            # Only diffusion: what else is read may become the grid of a segmentation, which has to
            # name each of its source images (see dicom/tiles.py).
            planes = with_series_b_values(_taken_apart(planes), told)
        for group in _same_geometry([p for p in planes if p.placed and not p.frame.tiled]):
            for stack in _by_stack_id(group):
                stacks += _volumes(stack, is_diffusion=is_diffusion)
    ordered = tuple(sorted(stacks, key=lambda s: s.planes[0].sort_key))
    return ordered, tuple(dict.fromkeys(_series_problems(series, ordered)))


def _series_problems(series: ClassifiedSeries, stacks: Sequence[PlaneStack]) -> Iterator[str]:
    if series.role in NO_VOLUME_ROLES:
        return
    planes = [p for part in series.kept for p in part.planes]
    if series.role is Role.DWI:
        planes = [p for p in planes if p.frame.tiling is None]  # those were taken apart
    unplaced = sum(not p.placed for p in planes)
    if unplaced:
        yield f"{unplaced} images have no position, orientation or pixel spacing"
    if any(p.frame.tiled for p in planes):
        yield TILED
    orientations = len(set(orientation_numbers([p for p in planes if p.placed])))
    if orientations > 1:
        yield f"images are not parallel: {orientations} orientations in one series"
    for stack in stacks:
        if series.role is not Role.OTHER or len(stack.planes) >= MIN_SLICES:
            yield from stack.problems


def _same_geometry(planes: Sequence[Plane]) -> list[list[Plane]]:
    """Planes of one orientation, pixel spacing, matrix, frame of reference and side."""
    spacings = sorted({v for p in planes for v in p.frame.pixel_spacing or ()})
    number = dict(zip(spacings, cluster_numbers(spacings, SAME_SPACING_MM), strict=True))
    groups: dict[tuple[object, ...], list[Plane]] = defaultdict(list)
    for plane, orientation in zip(planes, orientation_numbers(planes), strict=True):
        i = plane.instance
        spacing = tuple(number[v] for v in plane.frame.pixel_spacing or ())
        key = (orientation, spacing, i.rows, i.columns, i.frame_of_reference_uid)
        groups[key].append(plane)
    return [slab for key in sorted(groups, key=str) for slab in slabs_of(groups[key])]


def _by_stack_id(planes: list[Plane]) -> list[list[Plane]]:
    """Planes by Stack ID (PS3.3 C.7.6.16.2.2.4): two breasts in one object are two volumes.

    Where an identifier has fewer planes than a volume needs, it does not tell volumes apart.
    """
    groups: dict[str, list[Plane]] = defaultdict(list)
    for plane in planes:
        groups[plane.frame.stack_id].append(plane)
    if "" in groups or min(map(len, groups.values()), default=0) < MIN_SLICES:
        return [planes]
    return [groups[key] for key in sorted(groups)]


def _taken_apart(planes: Sequence[Plane]) -> tuple[Plane, ...]:
    """The slices of tiled images as planes of their own, where their places are known."""
    tiled = {p.instance.sop_instance_uid: p.instance for p in planes if p.frame.tiling is not None}
    rest = [p for p in planes if p.frame.tiling is None]
    of_tiles: list[InstanceFacts] = [instance_of_tiles(i) for i in tiled.values()]
    return (*rest, *(p for p in planes_of(of_tiles) if p.frame.tile is not None))


def _volumes(planes: list[Plane], *, is_diffusion: bool) -> list[PlaneStack]:
    if not is_diffusion:
        return [_stack(*v) for v in part_in_time(planes)]
    return [
        replace(
            _stack(*volume),
            b_value=b_value,
            isotropic=isotropic,
            made_of=_made_of(volume[0][0]),
        )
        for b_value, of_b in by_b_value(planes)
        for isotropic, of_direction in by_direction(of_b, b_value)
        for volume in part_in_time(of_direction)
    ]


def _made_of(plane: Plane) -> str:
    if is_computed(plane):
        return "a computed b-value"
    return "an image made from several b-values" if is_of_several(plane) else ""


def _stack(planes: Sequence[Plane], repeat: int, by_number: bool) -> PlaneStack:
    """Put planes in slice order and tell what keeps them from being one regular volume."""
    offsets = offsets_of(planes)
    order = sorted(range(len(planes)), key=lambda n: (offsets[n], planes[n].sort_key))
    heights = tuple(offsets[n] for n in order)
    normal = normal_of(planes[0].frame.image_orientation or (1, 0, 0, 0, 1, 0))
    x, y, z = (float(v) for v in normal)
    return PlaneStack(
        planes=tuple(planes[n] for n in order),
        offsets=heights,
        normal=(x, y, z),
        repeat=repeat,
        ordered_by_instance=by_number,
        problems=_problems(planes),
    )


def _problems(planes: Sequence[Plane]) -> tuple[str, ...]:
    keyed = [(p.ref, p.frame, p.instance.rows, p.instance.columns) for p in planes]
    try:
        check_planes(keyed)
    except VolumeError as error:
        return (str(error),)
    return ()
