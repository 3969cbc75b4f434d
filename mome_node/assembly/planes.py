"""Image planes with the header facts that place them, and the parts of a series that they form."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mome_node.dicom.geometry import PARALLEL_COSINE
from mome_node.dicom.header import FrameFacts, FrameRef, InstanceFacts

SAME_ECHO_MS = 0.3
"""Echo times nearer than this are one echo: in- and out-of-phase are at least 1.1 ms apart."""

COMPARED_ORIENTATIONS = 64
"""Later orientations count as new ones: no volume is made of so many, and time is bounded."""


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """One image plane and the instance that it is in. Equal only to itself: it is used as a key."""

    instance: InstanceFacts
    frame: FrameFacts

    @property
    def ref(self) -> FrameRef:
        """The plane's name."""
        return FrameRef(self.instance.sop_instance_uid, self.frame.frame_number, self.frame.tile)

    @property
    def image_type(self) -> tuple[str, ...]:
        """Image Type, of the frame where it has its own (Frame Type, PS3.3 C.8.13.3.1)."""
        return self.frame.image_type or self.instance.image_type

    @property
    def placed(self) -> bool:
        """Whether the plane says where it lies in the patient, and how large it is."""
        frame, instance = self.frame, self.instance
        said = (frame.image_position, frame.image_orientation, frame.pixel_spacing)
        finite = all(values is not None and all(map(math.isfinite, values)) for values in said)
        return finite and instance.rows > 0 and instance.columns > 0

    @property
    def sort_key(self) -> tuple[str, int, int]:
        """An order that does not depend on arrival."""
        return self.instance.sop_instance_uid, self.frame.frame_number, self.frame.tile or 0


def planes_of(instances: Iterable[InstanceFacts]) -> tuple[Plane, ...]:
    """All image planes of the instances, in an order that does not depend on arrival."""
    planes = (Plane(i, f) for i in instances for f in i.frames)
    return tuple(sorted(planes, key=lambda p: p.sort_key))


@lru_cache(maxsize=1024)
def image_type_values(image_type: tuple[str, ...]) -> frozenset[str]:
    """The values of an Image Type in upper case, with those inside compounds (M_FFE: M, FFE)."""
    values: set[str] = set()
    for value in image_type:
        whole = value.strip().upper()
        values.add(whole.replace(" ", "").replace("_", ""))
        values.update(re.split(r"[ _]+", whole))
    return frozenset(values - {""})


def parts_of(planes: Sequence[Plane]) -> tuple[tuple[Plane, ...], ...]:
    """The planes parted by Image Type and echo: what one series holds beside each other.

    Water and fat of a Dixon set, b-value images and their ADC map, or two echoes may share a
    series; each part has its own role.
    """
    echoes = sorted({p.instance.echo_time_ms for p in planes if p.instance.echo_time_ms})
    echo_number = dict(zip(echoes, cluster_numbers(echoes, SAME_ECHO_MS), strict=True))
    parts: dict[tuple[object, ...], list[Plane]] = defaultdict(list)
    for plane in planes:
        echo = echo_number.get(plane.instance.echo_time_ms or 0.0, -1)
        parts[(*sorted(image_type_values(plane.image_type)), echo)].append(plane)
    return tuple(tuple(parts[key]) for key in sorted(parts, key=str))


def cluster_numbers(ascending: Sequence[float], gap: float) -> list[int]:
    """Number ascending values so that a step above ``gap`` starts the next number."""
    steps = np.diff(np.asarray(ascending, dtype=float)) > gap
    return [0, *np.cumsum(steps).tolist()] if len(ascending) else []


def orientation_numbers(planes: Sequence[Plane]) -> list[int | None]:
    """For each plane the number of its orientation, None where it has none.

    Orientations whose direction cosines differ by less than PARALLEL_COSINE are one.
    """
    raw = sorted({o for p in planes if (o := p.frame.image_orientation) is not None})
    numbers: dict[tuple[float, ...], int] = {}
    known: NDArray[np.float64] = np.empty((0, 6))
    count = 0
    for orientation in raw:
        row = np.asarray(orientation, dtype=float)
        near = np.flatnonzero(np.abs(known - row).max(axis=1, initial=0.0) <= PARALLEL_COSINE)
        if near.size:
            numbers[orientation] = int(near[0])
        else:
            numbers[orientation] = count
            count += 1
            if count <= COMPARED_ORIENTATIONS:
                known = np.vstack([known, row])
    return [numbers.get(p.frame.image_orientation or ()) for p in planes]


def normal_of(orientation: Sequence[float]) -> NDArray[np.float64]:
    """The direction of rising slices: row direction × column direction (PS3.3 C.7.6.2.1.1)."""
    return np.cross(np.asarray(orientation[:3], float), np.asarray(orientation[3:], float))


def offsets_of(planes: Sequence[Plane]) -> list[float]:
    """Distance in mm of each plane from the origin along the common normal."""
    normal = normal_of(planes[0].frame.image_orientation or (1, 0, 0, 0, 1, 0))
    positions = np.asarray([p.frame.image_position or (0, 0, 0) for p in planes], dtype=float)
    return [float(v) for v in positions @ normal]
