"""Parting images of one series that lie apart in the patient: the left and the right breast."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from mome_node.assembly.planes import Plane, cluster_numbers, normal_of, offsets_of
from mome_node.dicom.geometry import SAME_PLACE_MM
from mome_node.dicom.stacking import MIN_SLICES

BESIDE_MM = 20.0
"""Parallel stacks whose images lie so far beside each other, or apart, are not one volume."""

WIDE_GAP = 3.0
"""Between two sagittal slabs there is a gap of so many slice distances at least."""

SAGITTAL_COSINE = 0.9


def slabs_of(planes: Sequence[Plane]) -> list[list[Plane]]:
    """Parallel planes by side: by Image Laterality, by place, and sagittal ones by the gap between.

    A gap parts slabs only where it holds the middle of the table and both sides are volumes: other
    gaps are missing slices, which ``stacks`` reports.
    """
    sides = {p.instance.laterality.upper() for p in planes}
    told = {"L", "R"} <= sides
    beside = _beside(planes)
    parts: dict[tuple[str, int], list[Plane]] = defaultdict(list)
    for plane, place in zip(planes, beside, strict=True):
        parts[plane.instance.laterality.upper() if told else "", place].append(plane)
    return [slab for key in sorted(parts) for slab in _halves(parts[key])]


def _beside(planes: Sequence[Plane]) -> list[int]:
    """The number of each plane's place within the common plane direction."""
    orientation = planes[0].frame.image_orientation or (1, 0, 0, 0, 1, 0)
    positions = np.asarray([p.frame.image_position or (0, 0, 0) for p in planes], dtype=float)
    across = positions @ np.asarray(orientation[:3], dtype=float)
    order = np.argsort(across, kind="stable")
    numbers = cluster_numbers(across[order].tolist(), BESIDE_MM)
    found = [0] * len(planes)
    for n, number in zip(order.tolist(), numbers, strict=True):
        found[n] = number
    return found


def _halves(planes: list[Plane]) -> list[list[Plane]]:
    normal = normal_of(planes[0].frame.image_orientation or (1, 0, 0, 0, 1, 0))
    if abs(normal[0]) < SAGITTAL_COSINE:
        return [planes]
    offsets = np.asarray(offsets_of(planes))
    places = np.unique(np.round(offsets / SAME_PLACE_MM)) * SAME_PLACE_MM
    if len(places) < 2 * MIN_SLICES:
        return [planes]
    gaps = np.diff(places)
    widest = int(gaps.argmax())
    usual = float(np.median(gaps))
    astride = places[widest] < 0 < places[widest + 1]
    enough = min(widest + 1, len(places) - widest - 1) >= MIN_SLICES
    if not (astride and enough and gaps[widest] > max(WIDE_GAP * usual, BESIDE_MM)):
        return [planes]
    middle = (places[widest] + places[widest + 1]) / 2
    lower = [p for p, o in zip(planes, offsets, strict=True) if o < middle]
    upper = [p for p, o in zip(planes, offsets, strict=True) if o >= middle]
    return [lower, upper]
