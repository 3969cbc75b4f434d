"""What the images of a diffusion series are: their b-values, their direction, acquired or computed.

An image that does not tell its b-value is not a b 0. The series may tell it: by its maker's habit,
or, last of all, by its description.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from mome_node.assembly.planes import Plane, image_type_values
from mome_node.assembly.role_words import COMPUTED_B_VALUE, plain
from mome_node.dicom.diffusion import NO_DIFFUSION_B, STANDARD_B_VALUE
from mome_node.dicom.diffusion_names import (
    NamedDiffusion,
    named_in_sequence,
    named_in_text,
)

SAME_B_SHARE = 0.025
"""b-values nearer than this share are one nominal value with the imaging gradients counted in."""

SILENT_ON_B_0 = "toshiba"
"""How Manufacturer begins where (0018,9087) is written on images with b > 0 only, and nothing
private tells the rest. Canon, the same scanners later, writes it on all; GE has a private element.
"""

ABSENT_MEANS_B_0 = "absent on b 0: this maker's habit"
BY_DESCRIPTION = "description"

TRACE_TYPES = frozenset({"TRACEW", "TRACE", "ISOTROPIC"})
COMPUTED_TYPES = frozenset({"CALC", "CALCBVALUE", "CALCULATED", "COMPUTED", "SYNTHETIC"})
"""Values of Image Type for an image at a b-value that was not measured (Siemens: CALC_BVALUE)."""

_ROUNDED_DIRECTION = 2
_ROUNDED_MM = 1


def with_series_b_values(planes: Sequence[Plane], told_in_series: bool) -> tuple[Plane, ...]:
    """The planes of one diffusion series, with b-values that only the series as a whole tells.

    ``told_in_series``: whether any image of the series, of whatever part, tells a b-value itself.
    What an image itself says is never changed.
    """
    silent = [p for p in planes if p.frame.b_value is None]
    if not silent:
        return tuple(planes)
    maker = planes[0].instance.manufacturer.casefold()
    weighted = any(
        (p.frame.b_value or 0.0) > NO_DIFFUSION_B and p.frame.b_value_source == STANDARD_B_VALUE
        for p in planes
    )
    if maker.startswith(SILENT_ON_B_0) and weighted:
        return tuple(
            _with_b_value(p, 0.0, ABSENT_MEANS_B_0) if _may_be_b_0(p) else p for p in planes
        )
    if told_in_series or _positions_repeat(planes):
        return tuple(planes)  # one name for images of several b-values would be wrong for most
    return tuple(_named_by_series(p) for p in planes)


def is_computed(plane: Plane) -> bool:
    """Whether the image's b-value was computed from others, not measured.

    Where the maker says in Image Type that it is a diffusion image, that decides: descriptions
    name a protocol, of which acquired and computed images come.
    """
    types = image_type_values(plane.image_type)
    if types & COMPUTED_TYPES:
        return True
    if types & {"DIFFUSION"} or types & TRACE_TYPES:
        return False
    instance = plane.instance
    text = plain(instance.series_description) or plain(instance.protocol_name)
    return COMPUTED_B_VALUE.search(text) is not None


def is_of_several(plane: Plane) -> bool:
    """Whether the image was made from several b-values: a map, or their average."""
    return len(_in_sequence_name(plane).b_values) > 1


def is_isotropic(plane: Plane) -> bool | None:
    """True for a trace, False for a single direction, None where nothing says."""
    directed = (plane.frame.diffusion_directionality or "").upper()
    named = _in_sequence_name(plane)
    if directed == "ISOTROPIC" or image_type_values(plane.image_type) & TRACE_TYPES or named.trace:
        return True
    if directed in ("DIRECTIONAL", "BMATRIX") or named.directed:
        return False
    return None


def direction_of(plane: Plane) -> object:
    """What tells single directions apart: the gradient's vector, else Siemens's number of it."""
    vector = plane.frame.diffusion_direction
    if vector is not None:
        return tuple(round(v, _ROUNDED_DIRECTION) for v in vector)
    return plane.instance.sequence_name.casefold().rpartition("#")[2]


def same_b(one: float, other: float) -> bool:
    """Whether two b-values are one nominal value; all up to NO_DIFFUSION_B are b 0."""
    both_none = max(one, other) <= NO_DIFFUSION_B
    return both_none or abs(one - other) <= SAME_B_SHARE * max(one, other)


def by_b_value(planes: Iterable[Plane]) -> list[tuple[float | None, list[Plane]]]:
    """Planes by nominal b-value. An unknown b-value is a group of its own, never b 0."""
    known = sorted({p.frame.b_value for p in planes if p.frame.b_value is not None})
    nominal: dict[float | None, float | None] = {None: None}
    for value in known:
        near = next((n for n in nominal.values() if n is not None and same_b(n, value)), value)
        nominal[value] = near
    groups: dict[float | None, list[Plane]] = defaultdict(list)
    for plane in planes:
        groups[nominal[plane.frame.b_value]].append(plane)
    return sorted(groups.items(), key=lambda g: -1.0 if g[0] is None else g[0])


def by_direction(
    planes: Iterable[Plane], b_value: float | None
) -> list[tuple[bool | None, list[Plane]]]:
    """Planes of one b-value: the trace, each single direction, and those that do not say."""
    if b_value is not None and b_value <= NO_DIFFUSION_B:
        return [(None, list(planes))]  # some software repeats a direction on b 0, or b 2
    groups: dict[tuple[bool | None, object], list[Plane]] = defaultdict(list)
    for plane in planes:
        isotropic = is_isotropic(plane)
        groups[isotropic, direction_of(plane) if isotropic is False else None].append(plane)
    return [(key[0], groups[key]) for key in sorted(groups, key=str)]


def _in_sequence_name(plane: Plane) -> NamedDiffusion:
    """What Siemens's sequence name tells of a single-frame image.

    That of a multi-frame object is of all its frames, and some makers put the protocol into it.
    """
    if len(plane.instance.frames) > 1 and plane.frame.tile is None:
        return NamedDiffusion()
    return named_in_sequence(plane.instance.sequence_name)


def _may_be_b_0(plane: Plane) -> bool:
    frame = plane.frame
    derived = image_type_values(plane.image_type) & {"DERIVED", "ADC"}
    return frame.b_value is None and frame.diffusion_direction is None and not derived


def _named_by_series(plane: Plane) -> Plane:
    text = plane.instance.series_description or plane.instance.protocol_name
    b_value = named_in_text(text).b_value
    if b_value is None or is_computed(plane) or is_of_several(plane):
        return plane
    return _with_b_value(plane, b_value, BY_DESCRIPTION)


def _positions_repeat(planes: Sequence[Plane]) -> bool:
    places = {
        (p.frame.image_orientation, tuple(round(v, _ROUNDED_MM) for v in p.frame.image_position))
        for p in planes
        if p.frame.image_position is not None
    }
    return len(places) < len(planes)


def _with_b_value(plane: Plane, b_value: float, source: str) -> Plane:
    return Plane(plane.instance, replace(plane.frame, b_value=b_value, b_value_source=source))
