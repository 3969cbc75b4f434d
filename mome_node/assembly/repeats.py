"""Volumes that share their positions within one series, parted by the moment they were taken."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np

from mome_node.assembly.planes import Plane, cluster_numbers, offsets_of
from mome_node.dicom.geometry import SAME_PLACE_MM

Volume = tuple[list[Plane], int, bool]
"""Planes, their place among the repeats, and whether only InstanceNumber told it."""

_Value = Callable[[Plane], Hashable | None]
_EVIDENCE: tuple[_Value, ...] = (
    lambda p: p.frame.temporal_position,
    lambda p: p.instance.sop_instance_uid if len(p.instance.frames) > 1 else None,
    lambda p: p.instance.acquisition_number,
    lambda p: p.frame.acquired_s,
    lambda p: p.frame.trigger_time_ms,
    lambda p: p.frame.content_s,
)
_CLOCKS: tuple[Callable[[Plane], float | None], ...] = (
    lambda p: p.frame.acquired_s,
    lambda p: p.frame.trigger_time_ms,
    lambda p: p.frame.content_s,
)


def part_in_time(planes: list[Plane]) -> list[Volume]:
    """Part planes of one geometry into volumes.

    Positions that come back are the sign of several volumes. They are parted by the first
    evidence that gives each volume every position at most once and makes no more volumes than a
    position has images. Where none does the planes stay together, their positions doubled.
    """
    places = _places(planes)
    depth = max(map(len, _at_each(planes, places).values()))
    by_position = _parted(planes, _EVIDENCE[0])
    if by_position and len(by_position) > 1:
        # Said in so many words: it holds even while the phases are still arriving, and where it
        # does not tell the images apart nothing weaker may.
        unique = _each_place_once(by_position, places)
        if unique and len(by_position) < len(planes):
            return [(group, 0, False) for group in by_position]
        if not unique:
            return [(planes, 0, False)]
    by_acquisition = _parted(planes, _acquisition_of_3d)
    several = by_acquisition is not None and 1 < len(by_acquisition) < len(planes)
    if by_acquisition and several and _each_place_once(by_acquisition, places):
        # One 3D volume is one acquisition, also while its slices are still arriving.
        return [(group, 0, False) for group in by_acquisition]
    if depth == 1:
        return [(planes, 0, False)]
    for value in _EVIDENCE[1:]:
        groups = _parted(planes, value)
        if groups and len(groups) == depth and _each_place_once(groups, places):
            return [(group, 0, False) for group in groups]
    for clock in _CLOCKS:
        ranked = _ranked(planes, places, clock)
        if ranked and _one_after_another(ranked, clock):
            return [(group, n, False) for n, group in enumerate(ranked)]
    ranked = _ranked(planes, places, _number_in_series)
    if ranked and _numbered_in_order(ranked, places):
        return [(group, n, True) for n, group in enumerate(ranked)]
    return [(planes, 0, False)]


def _acquisition_of_3d(plane: Plane) -> int | None:
    is_3d = plane.instance.acquisition_type == "3D"
    return plane.instance.acquisition_number if is_3d else None


def _number_in_series(plane: Plane) -> float | None:
    """InstanceNumber, and within it the frame's number."""
    number = plane.instance.instance_number
    frames = len(plane.instance.frames)
    if number is None:
        return float(plane.frame.frame_number) if frames > 1 else None
    return number + (plane.frame.frame_number - 1) / frames


def _places(planes: Sequence[Plane]) -> dict[Plane, int]:
    """The number of each plane's place along the normal; places within SAME_PLACE_MM are one."""
    offsets = offsets_of(planes)
    order = np.argsort(offsets, kind="stable")
    numbers = cluster_numbers([offsets[n] for n in order], SAME_PLACE_MM)
    return {planes[n]: place for n, place in zip(order, numbers, strict=True)}


def _at_each(planes: Iterable[Plane], places: Mapping[Plane, int]) -> dict[int, list[Plane]]:
    found: dict[int, list[Plane]] = defaultdict(list)
    for plane in planes:
        found[places[plane]].append(plane)
    return found


def _parted(planes: Iterable[Plane], value: _Value) -> list[list[Plane]] | None:
    groups: dict[Hashable, list[Plane]] = defaultdict(list)
    for plane in planes:
        said = value(plane)
        if said is None:
            return None
        groups[said].append(plane)
    return list(groups.values())


def _each_place_once(groups: Iterable[Sequence[Plane]], places: Mapping[Plane, int]) -> bool:
    return all(len({places[p] for p in g}) == len(g) for g in groups)


def _ranked(
    planes: Iterable[Plane],
    places: Mapping[Plane, int],
    clock: Callable[[Plane], float | None],
) -> list[list[Plane]] | None:
    """Group n has the n-th plane of every place by this clock; None unless all can be ranked."""
    columns = []
    for column in _at_each(planes, places).values():
        times = {p: t for p in column if (t := clock(p)) is not None}
        if len(set(times.values())) < len(column):
            return None
        columns.append(sorted(column, key=times.__getitem__))
    if len({len(c) for c in columns}) > 1:
        return None
    return [list(group) for group in zip(*columns, strict=True)]


def _one_after_another(
    groups: Sequence[Sequence[Plane]], clock: Callable[[Plane], float | None]
) -> bool:
    spans = [[clock(p) or 0.0 for p in g] for g in groups]
    return all(max(a) < min(b) for a, b in pairwise(spans))


def _numbered_in_order(groups: Sequence[Sequence[Plane]], places: Mapping[Plane, int]) -> bool:
    """Whether InstanceNumber runs volume by volume, or place by place with the volumes inside."""
    if _one_after_another(groups, _number_in_series):
        return True
    columns = list(_at_each([p for g in groups for p in g], places).values())
    columns.sort(key=lambda c: min(_number_in_series(p) or 0.0 for p in c))
    return _one_after_another(columns, _number_in_series)
