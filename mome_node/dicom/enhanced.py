"""Image planes of multi-frame objects, out of their functional groups (PS3.3 C.7.6.16).

Covers Enhanced MR (A.36) and Legacy Converted Enhanced MR (A.70), which keeps classic attributes
in its groups of unassigned attributes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date

from mome_node.dicom.date_times import date_time_since, seconds_since
from mome_node.dicom.diffusion import read_diffusion
from mome_node.dicom.element_values import Elements, first_number, first_text
from mome_node.dicom.header import FrameFacts
from mome_node.dicom.plane_values import (
    image_type_of,
    orientation_of,
    position_of,
    rescale_of,
    spacing_of,
)
from mome_node.dicom.tiles import is_tiled
from mome_node.dicom.value_units import units_of

PHILIPS_CLASSIC = (0x2005, 0x0F)
"""Group and element ending of Philips' item of classic attributes in each frame, (2005,140F)."""

_PULSE_SEQUENCES = {"SPIN": ("SE",), "GRADIENT": ("GR",), "BOTH": ("SE", "GR")}

TEMPORAL_DIMENSIONS = (0x00209128, 0x0020930D, 0x00189074)
"""Dimensions that count time: Temporal Position Index, its Time Offset, Frame Acquisition DateTime.

The index comes first; a dimension (PS3.3 C.7.6.17) may point to any of them."""


@dataclass(frozen=True, slots=True)
class Groups:
    """The functional groups that hold for one frame: its own first, then the shared ones."""

    per_frame: Elements | None
    shared: Elements | None
    top: Elements
    dimensions: tuple[int | None, ...] = ()  # the attributes that Dimension Index Values count

    def macro(self, sequence: str) -> Elements | None:
        """Return the first item of a macro, the frame's own before the shared one."""
        for groups in (self.per_frame, self.shared):
            if groups is not None and (item := groups.item(sequence)) is not None:
                return item
        return None

    def sources(self, *sequences: str) -> tuple[Elements, ...]:
        """Where to look for a value: these macros, then the unassigned classic attributes."""
        macros = (self.macro(sequence) for sequence in sequences)
        unassigned = (
            None if groups is None else groups.item(sequence)
            for groups, sequence in (
                (self.per_frame, "UnassignedPerFrameConvertedAttributesSequence"),
                (self.shared, "UnassignedSharedConvertedAttributesSequence"),
            )
        )
        return tuple(item for item in (*macros, *unassigned) if item is not None)


def frame_facts(
    first: Groups,
    frame_items: Iterable[Elements],
    count: int,
    manufacturer: str,
    first_day: date | None,
) -> Iterator[FrameFacts]:
    """One FrameFacts for each of ``count`` frames; frames without an item have the shared facts.

    ``first`` are the groups of frame 1, ``frame_items`` the items of the frames after it.
    """
    indices = first.top.items("DimensionIndexSequence")
    dimensions = tuple(index.pointer("DimensionIndexPointer") for index in indices)
    first = replace(first, dimensions=dimensions)
    yield _facts_of_frame(1, first, manufacturer, first_day)
    items = iter(frame_items)
    for number in range(2, count + 1):
        groups = replace(first, per_frame=next(items, None))
        yield _facts_of_frame(number, groups, manufacturer, first_day)


def _facts_of_frame(
    number: int, groups: Groups, manufacturer: str, first_day: date | None
) -> FrameFacts:
    unassigned = groups.sources()

    def told(sequence: str) -> tuple[Elements, ...]:
        macro = groups.macro(sequence)
        return unassigned if macro is None else (macro, *unassigned)

    content = told("FrameContentSequence")
    diffusion = told("MRDiffusionSequence")
    own = tuple(item for item in (groups.per_frame,) if item is not None)
    weighting = read_diffusion((*diffusion, *own), manufacturer)
    frame_type = _frame_type(told("MRImageFrameTypeSequence"), groups.top)
    transformation = told("PixelValueTransformationSequence")
    slope, intercept = rescale_of(transformation)
    measures = told("PixelMeasuresSequence")
    trigger = told("CardiacSynchronizationSequence")
    return FrameFacts(
        frame_number=number,
        image_position=position_of(told("PlanePositionSequence")),
        image_orientation=orientation_of(told("PlaneOrientationSequence")),
        pixel_spacing=spacing_of(measures),
        slice_thickness=first_number(measures, "SliceThickness"),
        b_value=weighting.b_value,
        b_value_source=weighting.source,
        effective_b_value=weighting.effective_b_value,
        diffusion_directionality=weighting.directionality,
        diffusion_direction=weighting.direction,
        temporal_position=_temporal_position(content, groups.dimensions),
        trigger_time_ms=_first_of(
            first_number(trigger, "NominalCardiacTriggerDelayTime"),
            first_number(trigger, "TriggerTime"),
            _temporal_offset_ms(groups),
        ),
        acquired_s=_acquired(content, groups.top, first_day),
        content_s=_first_of(*_content(groups, content, first_day)),
        contrast_given=_contrast_given(groups),
        image_type=frame_type,
        rescale_slope=slope,
        rescale_intercept=intercept,
        value_units=units_of(transformation, _mapped(groups)),
        stack_id=first_text(content, "StackID"),
        tiled=is_tiled((*own, groups.top), frame_type, manufacturer),
    )


def _mapped(groups: Groups) -> tuple[Elements, ...]:
    """Where a Real World Value Mapping may stand: the groups themselves, then the object."""
    own = (groups.per_frame, groups.shared, groups.top)
    return tuple(source for source in own if source is not None)


def _frame_type(macros: tuple[Elements, ...], top: Elements) -> tuple[str, ...]:
    told = (source.texts("FrameType") or source.texts("ImageType") for source in macros)
    types = next((value for value in told if value), top.texts("ImageType"))
    return image_type_of(types, (*macros, top))


def _temporal_position(
    content: tuple[Elements, ...], dimensions: tuple[int | None, ...]
) -> int | None:
    """Temporal Position Index, else the frame's place along a dimension that counts time."""
    told = _first_integer(content, "TemporalPositionIndex", "TemporalPositionIdentifier")
    if told is not None:
        return told
    for dimension in TEMPORAL_DIMENSIONS:
        if dimension in dimensions:
            place = dimensions.index(dimension)
            values = next((v for c in content if (v := c.integers("DimensionIndexValues"))), ())
            return values[place] if place < len(values) else None
    return None


def _acquired(content: tuple[Elements, ...], top: Elements, first_day: date | None) -> float | None:
    """Seconds of the frame's own date and time, else of the instance's."""
    frame = (
        date_time_since(first_day, first_text(content, keyword))
        for keyword in ("FrameAcquisitionDateTime", "FrameReferenceDateTime")
    )
    classic = (
        seconds_since(first_day, source.text("AcquisitionDate"), source.text("AcquisitionTime"))
        for source in content
    )
    return _first_of(*frame, *classic, date_time_since(first_day, top.text("AcquisitionDateTime")))


def _content(
    groups: Groups, content: tuple[Elements, ...], first_day: date | None
) -> Iterator[float | None]:
    """Seconds of the frame's own content time, else of the instance's.

    A conversion keeps the frame's among the unassigned attributes; Philips, whose Frame
    Acquisition DateTime is that of the series in all frames, in an item of (2005,140F).
    """
    own = None if groups.per_frame is None else groups.per_frame.private_item(*PHILIPS_CLASSIC)
    for source in (*content, *(() if own is None else (own,)), groups.top):
        yield seconds_since(first_day, source.text("ContentDate"), source.text("ContentTime"))


def _temporal_offset_ms(groups: Groups) -> float | None:
    """Temporal Position Time Offset (0020,930D) (PS3.3 C.7.6.16), told in seconds."""
    position = groups.macro("TemporalPositionSequence")
    seconds = None if position is None else position.number("TemporalPositionTimeOffset")
    return None if seconds is None else seconds * 1000


def _contrast_given(groups: Groups) -> bool | None:
    """Whether contrast agent had been given, by the Contrast/Bolus Usage macro (C.7.6.16.2.12)."""
    usage = groups.macro("ContrastBolusUsageSequence")
    said = "" if usage is None else usage.text("ContrastBolusAgentAdministered")
    return {"YES": True, "NO": False}.get(said)


def scanning_sequence(groups: Groups) -> tuple[str, ...]:
    """Return Scanning Sequence (0018,0020) as the classic object would say it."""
    values = _PULSE_SEQUENCES.get(groups.top.text("EchoPulseSequence"), ())
    if groups.top.text("EchoPlanarPulseSequence") == "YES":
        values += ("EP",)
    modifier = groups.macro("MRModifierSequence")
    if modifier is not None and modifier.text("InversionRecovery") == "YES":
        values += ("IR",)
    return values or _unassigned_texts(groups, "ScanningSequence")


def scan_options(groups: Groups) -> tuple[str, ...]:
    """Scan Options (0018,0022): FS where fat is suppressed, and what a conversion kept."""
    modifier = groups.macro("MRModifierSequence")
    suppressed = "" if modifier is None else modifier.text("SpectrallySelectedSuppression")
    return (("FS",) if "FAT" in suppressed else ()) + _unassigned_texts(groups, "ScanOptions")


def _unassigned_texts(groups: Groups, keyword: str) -> tuple[str, ...]:
    return next((v for source in groups.sources() if (v := source.texts(keyword))), ())


def _first_integer(sources: tuple[Elements, ...], *keywords: str) -> int | None:
    values = (source.integer(keyword) for keyword in keywords for source in sources)
    return next((value for value in values if value is not None), None)


def _first_of(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)
