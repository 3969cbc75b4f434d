"""Where each maker writes the b-value of an image, in s/mm², and the direction of its gradient.

The standard's element comes first (PS3.3 C.8.13.5.9, since 2019 also allowed in the classic MR
object). Where it is missing the maker's own element is asked: newer GE software writes the
standard one on images with b > 0 only, so that a missing element never means b 0 by itself.
Fujifilm (Hitachi) writes the standard's elements; no private ones of theirs are known.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from mome_node.dicom.csa_header import CSA_IMAGE_HEADER, csa_numbers, read_csa
from mome_node.dicom.diffusion_names import NamedDiffusion, named_in_comment, named_in_sequence
from mome_node.dicom.element_values import Elements
from mome_node.dicom.private_elements import (
    PrivateElement,
    find_private,
    private_number,
    private_numbers,
    private_text,
    tag_name,
    tags_to_read,
)

MAX_B_VALUE = 100_000.0
"""Far above any clinical b-value; what exceeds it is no b-value."""

NO_DIFFUSION_B = 10.0
"""b-values up to this are a b 0: some protocols run b 1 or b 2 in its place (s/mm²)."""

STANDARD_B_VALUE = "(0018,9087)"

Vector = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class PrivateBValue:
    """A private b-value. ``offset`` is taken off values that are at least as large."""

    where: PrivateElement
    offset: float = 0.0


PRIVATE_B_VALUES = (
    PrivateBValue(PrivateElement("siemens", "SIEMENS MR HEADER", 0x0019, 0x0C, "IS")),
    # The first of four values; 1000001000 is b 1000 with a flag of the reconstruction.
    PrivateBValue(PrivateElement("ge", "GEMS_PARM_01", 0x0043, 0x39, "IS"), offset=1e9),
    PrivateBValue(PrivateElement("philips", "Philips Imaging DD 001", 0x2001, 0x03, "FL")),
    # The effective b-value, with the imaging gradients and the calibration counted in.
    PrivateBValue(PrivateElement("uih", "Image Private Header", 0x0065, 0x09, "FD")),
)

NOMINAL_B_VALUE = PrivateElement("uih", "Image Private Header", 0x0065, 0x0A, "FD")
"""What the protocol asked for: 1000 where 929.75 is effective."""

DIRECTION_WORDS = (
    PrivateElement("siemens", "SIEMENS MR HEADER", 0x0019, 0x0D, "CS"),
    PrivateElement("philips", "Philips Imaging DD 001", 0x2001, 0x04, "CS"),
)
_DIRECTIONALITY = {
    "ISOTROPIC": "ISOTROPIC", "DIRECTIONAL": "DIRECTIONAL", "BMATRIX": "BMATRIX",
    # Philips: isotropic; oblique, read-out, phase and slice direction
    "I": "ISOTROPIC", "O": "DIRECTIONAL", "M": "DIRECTIONAL", "P": "DIRECTIONAL",
    "S": "DIRECTIONAL",
}  # fmt: skip

GE_IMAGE_KIND = PrivateElement("ge", "GEMS_PARM_01", 0x0043, 0x30, "SS")
_GE_COMBINED = 15
_GE_DIRECTIONS = frozenset({3, 4, 5, 9, 10, 11, 16, 43, 44, 45, 46})
"""Right-left, front-back, head-feet, their oblique forms, tensor, the four of a tetrahedron."""

PRIVATE_VECTORS = (
    (PrivateElement("siemens", "SIEMENS MR HEADER", 0x0019, 0x0E, "FD"),),
    (PrivateElement("uih", "Image Private Header", 0x0065, 0x37, "FD"),),
    (
        PrivateElement("ge", "GEMS_ACQU_01", 0x0019, 0xBB, "DS"),
        PrivateElement("ge", "GEMS_ACQU_01", 0x0019, 0xBC, "DS"),
        PrivateElement("ge", "GEMS_ACQU_01", 0x0019, 0xBD, "DS"),
    ),
    (
        PrivateElement("philips", "Philips MR Imaging DD 001", 0x2005, 0xB0, "FL"),
        PrivateElement("philips", "Philips MR Imaging DD 001", 0x2005, 0xB1, "FL"),
        PrivateElement("philips", "Philips MR Imaging DD 001", 0x2005, 0xB2, "FL"),
    ),
)

COMMENTING_MAKERS = ("canon", "toshiba")
"""Makers that write b-value and direction into Image Comments."""


@dataclass(frozen=True, slots=True)
class Diffusion:
    """What one image says of its diffusion weighting.

    ``b_value`` is the nominal one where both are told, ``effective_b_value`` the other one if it
    differs. ``source`` is the element, or in words what else told it. ``directionality`` in the
    words of (0018,9075); ``direction`` is None without a gradient.
    """

    b_value: float | None = None
    source: str | None = None
    effective_b_value: float | None = None
    directionality: str | None = None
    direction: Vector | None = None


def read_diffusion(sources: tuple[Elements, ...], manufacturer: str) -> Diffusion:
    """Read b-value and direction, each from the first data set that tells it.

    The standard's elements are looked for in all of ``sources`` before any private one, names
    come last. What does not parse, or is no b-value, is absent.
    """
    diffusion = _nominal(_told(sources, manufacturer), sources, manufacturer)
    if diffusion.b_value is None:
        diffusion = _named(sources, manufacturer)
    directionality = next((v for s in sources if (v := s.text("DiffusionDirectionality"))), None)
    if (diffusion.b_value or 0.0) <= NO_DIFFUSION_B:
        # Some software repeats the direction of another image on b 0.
        return replace(diffusion, directionality=directionality)
    vector = _vector(sources, manufacturer)
    directed = vector is not None and any(vector)
    return replace(
        diffusion,
        directionality=directionality or _directionality(sources, manufacturer, vector),
        direction=vector if directed else None,
    )


def private_tags() -> frozenset[int]:
    """All private tags that ``read_diffusion`` may ask for."""
    return tags_to_read(
        (
            *(entry.where for entry in PRIVATE_B_VALUES),
            *(place for vector in PRIVATE_VECTORS for place in vector),
            *DIRECTION_WORDS,
            NOMINAL_B_VALUE,
            GE_IMAGE_KIND,
            CSA_IMAGE_HEADER,
        )
    )


def is_b_value(value: float | None) -> bool:
    """Whether a number can be a b-value."""
    return value is not None and 0 <= value <= MAX_B_VALUE


def _told(sources: tuple[Elements, ...], manufacturer: str) -> Diffusion:
    for source in sources:
        value = source.number("DiffusionBValue")
        if is_b_value(value):
            return Diffusion(value, STANDARD_B_VALUE)
    for source in sources:
        for entry in PRIVATE_B_VALUES:
            value = private_number(source, entry.where, manufacturer)
            if value is not None and entry.offset and value >= entry.offset:
                value -= entry.offset
            if is_b_value(value):
                tag = find_private(source, entry.where, manufacturer) or 0
                return Diffusion(value, tag_name(tag))
    return Diffusion()


def _nominal(told: Diffusion, sources: tuple[Elements, ...], manufacturer: str) -> Diffusion:
    """The same with the nominal b-value in front, where the maker tells it beside another."""
    for source in sources:
        value = private_number(source, NOMINAL_B_VALUE, manufacturer)
        if is_b_value(value):
            tag = find_private(source, NOMINAL_B_VALUE, manufacturer) or 0
            effective = None if told.b_value == value else told.b_value
            return Diffusion(value, tag_name(tag), effective)
    return told


def _named(sources: tuple[Elements, ...], manufacturer: str) -> Diffusion:
    """The b-value out of what is no element for it: CSA header, comments, sequence name."""
    if manufacturer.lower().startswith("siemens"):
        for source in sources:
            if "EP" not in source.texts("ScanningSequence"):
                continue  # every image has the header, and parsing it takes time
            values = csa_numbers(read_csa(source, manufacturer), "B_value")
            if values and is_b_value(values[0]):
                return Diffusion(values[0], "CSA header")
    for source in sources:
        b_value = _commented(source, manufacturer).b_value
        if is_b_value(b_value):
            return Diffusion(b_value, "image comments")
    for source in sources:
        b_value = named_in_sequence(source.text("SequenceName")).b_value
        if is_b_value(b_value):
            return Diffusion(b_value, "sequence name")
    return Diffusion()


def _commented(source: Elements, manufacturer: str) -> NamedDiffusion:
    """What Image Comments (0020,4000) tell, of makers that write diffusion into them."""
    if not manufacturer.lower().startswith(COMMENTING_MAKERS):
        return NamedDiffusion()
    return named_in_comment(source.text("ImageComments"))


def _directionality(
    sources: tuple[Elements, ...], manufacturer: str, vector: Vector | None
) -> str | None:
    """Trace or single direction of an image with b > 0, in the words of (0018,9075)."""
    for source in sources:
        for where in DIRECTION_WORDS:
            word = _DIRECTIONALITY.get(private_text(source, where, manufacturer))
            if word is not None:
                return word
        kind = private_number(source, GE_IMAGE_KIND, manufacturer)
        if kind == _GE_COMBINED:
            return "ISOTROPIC"
        if kind in _GE_DIRECTIONS:
            return "DIRECTIONAL"
    named = [named_in_sequence(source.text("SequenceName")) for source in sources]
    if any(n.trace for n in named):
        return "ISOTROPIC"
    if any(n.directed for n in named) or (vector is not None and any(vector)):
        return "DIRECTIONAL"
    if any(_standard_vector(source) == (0.0, 0.0, 0.0) for source in sources):
        return "ISOTROPIC"  # Philips: a gradient without direction is their trace
    return None


def _vector(sources: tuple[Elements, ...], manufacturer: str) -> Vector | None:
    """The direction of the diffusion gradient; all 0 where an element says that it has none."""
    for source in sources:
        if (vector := _standard_vector(source)) is not None:
            return vector
    for source in sources:
        for places in PRIVATE_VECTORS:
            values = [v for p in places for v in private_numbers(source, p, manufacturer)]
            known = [v for v in values if v is not None]
            if len(known) == len(values) == 3:
                return known[0], known[1], known[2]
    comments = (_commented(source, manufacturer).direction for source in sources)
    return next((vector for vector in comments if vector is not None), None)


def _standard_vector(source: Elements) -> Vector | None:
    """Diffusion Gradient Orientation (0018,9089), in its sequence or, in classic objects, bare."""
    item = source.item("DiffusionGradientDirectionSequence")
    values = (item or source).numbers("DiffusionGradientOrientation", 3)
    return None if values is None else (values[0], values[1], values[2])
