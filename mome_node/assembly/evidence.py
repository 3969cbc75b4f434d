"""What the planes of one part of a series say together: the facts that the rules of roles ask."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mome_node.assembly.planes import Plane, image_type_values, orientation_numbers
from mome_node.assembly.role_words import DYNAMIC, plain
from mome_node.dicom.classes import uses_role
from mome_node.dicom.diffusion import NO_DIFFUSION_B
from mome_node.dicom.header import InstanceFacts

SHORTEST_DIFFUSION_TE_MS = 30.0
"""No diffusion preparation fits into a shorter echo time; a b-value beside it is a leftover."""

DIFFUSION_TYPES = frozenset({"DIFFUSION", "TRACEW", "TRACE"})


@dataclass(frozen=True, slots=True)
class Evidence:
    """The facts of one part of a series; None or empty where it does not say."""

    mr_image: bool
    colour: bool
    image_type: frozenset[str]
    text: str
    sequence: str
    scanning: frozenset[str]
    acquisition: str
    te: float | None
    tr: float | None
    ti: float | None
    flip_angles: int
    b_values: tuple[float, ...]
    diffusion: bool
    spacing: float | None
    orientations: int
    contrast: bool
    temporal_positions: int

    @property
    def silent(self) -> bool:
        """Whether the physics says nothing."""
        return self.te is None and self.tr is None and not self.scanning and not self.sequence

    @property
    def dynamic_hint(self) -> bool:
        """Whether a lone gradient echo has a sign of being one phase of a dynamic."""
        named = DYNAMIC.search(self.text) is not None
        return self.contrast or self.temporal_positions > 1 or named


def evidence_of(instances: Sequence[InstanceFacts], part: Sequence[Plane]) -> Evidence:
    """The evidence of one part of a series; ``instances`` is the whole series, never empty."""
    holders = list({p.instance.sop_instance_uid: p.instance for p in part}.values()) or instances
    first = holders[0]
    scanning = frozenset(v.upper() for i in holders for v in i.scanning_sequence)
    types = frozenset().union(*(image_type_values(t) for t in _image_types(part, holders)))
    b_values = tuple(sorted({p.frame.b_value for p in part if p.frame.b_value is not None}))
    te, tr = (
        _middle(i.echo_time_ms for i in holders),
        _middle(i.repetition_time_ms for i in holders),
    )
    sequence = plain(first.sequence_name)
    numbers = {n for n in orientation_numbers(part) if n is not None}
    rows = _middle(p.frame.pixel_spacing[0] if p.frame.pixel_spacing else None for p in part)
    return Evidence(
        mr_image=all(uses_role(i.sop_class_uid) for i in holders) and first.modality in ("MR", ""),
        colour=any(i.samples_per_pixel > 1 for i in holders),
        image_type=types,
        text=" | ".join(sorted({_text(i) for i in holders} - {""})),
        sequence=sequence,
        scanning=scanning,
        acquisition=first.acquisition_type.upper(),
        te=te,
        tr=tr,
        ti=_middle(i.inversion_time_ms for i in holders),
        flip_angles=len({round(i.flip_angle_deg) for i in instances if i.flip_angle_deg}),
        b_values=b_values,
        diffusion=_is_diffusion(part, types, b_values, scanning, sequence, te),
        spacing=rows,
        orientations=len(numbers),
        contrast=any(i.contrast_agent for i in holders),
        temporal_positions=_temporal_positions(instances, part),
    )


def _text(instance: InstanceFacts) -> str:
    return plain(instance.series_description) or plain(instance.protocol_name)


def _image_types(part: Sequence[Plane], holders: Sequence[InstanceFacts]) -> set[tuple[str, ...]]:
    return {p.image_type for p in part} or {i.image_type for i in holders}


def _middle(values: Iterable[float | None]) -> float | None:
    """The median of the known values; with an even count the lower one, so that it was said."""
    known = sorted(v for v in values if v is not None)
    return known[(len(known) - 1) // 2] if known else None


def _temporal_positions(instances: Sequence[InstanceFacts], part: Sequence[Plane]) -> int:
    declared = max((i.temporal_positions or 0 for i in instances), default=0)
    return max(declared, *(p.frame.temporal_position or 0 for p in part), 0)


def _is_diffusion(
    part: Sequence[Plane],
    types: frozenset[str],
    b_values: Sequence[float],
    scanning: frozenset[str],
    sequence: str,
    te: float | None,
) -> bool:
    if types & DIFFUSION_TYPES or sequence.replace("*", "").startswith("ep b"):
        return True
    if "EP" in scanning and "GR" not in scanning and b_values:
        return True
    if te is not None and te < SHORTEST_DIFFUSION_TE_MS:
        return False
    directed = any(p.frame.diffusion_directionality not in (None, "", "NONE") for p in part)
    return directed or any(b > NO_DIFFUSION_B for b in b_values)


def silent_evidence(text: str, *, is_mr: bool = True) -> Evidence:
    """The evidence of a series of which only its name is known; ``text`` in the plain form."""
    return Evidence(
        mr_image=is_mr,
        colour=False,
        image_type=frozenset(),
        text=text,
        sequence="",
        scanning=frozenset(),
        acquisition="",
        te=None,
        tr=None,
        ti=None,
        flip_angles=0,
        b_values=(),
        diffusion=False,
        spacing=None,
        orientations=0,
        contrast=False,
        temporal_positions=0,
    )
