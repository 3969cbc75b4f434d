"""Frames: functional groups (PS3.3 C.7.6.16), dimensions, segments, and how long pixel data is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.encaps import generate_fragments
from pydicom.uid import UID, ParametricMapStorage, SegmentationStorage

_PLACE: Final = ("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence")
MACROS: Final[Mapping[str, tuple[str, ...]]] = {
    # PS3.3 A.51.5.1 and A.75.5.1: the mandatory macros, and the conditional ones whose condition
    # always holds here: frames have a place in the patient and were made from images.
    SegmentationStorage: (*_PLACE, "DerivationImageSequence", "SegmentIdentificationSequence"),
    ParametricMapStorage: (
        *_PLACE,
        "PixelValueTransformationSequence",
        "RealWorldValueMappingSequence",
        "ParametricMapFrameTypeSequence",
    ),
}
"""Functional groups by SOP Class that each frame has: its own, or the shared one."""

_PIXELS: Final = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


def frame_faults(dataset: Dataset) -> Iterator[str]:
    """What is wrong with the frames of an object that has pixels; nothing for others."""
    if "Rows" not in dataset:
        return
    yield from _pixel_faults(dataset)
    has_groups = "PerFrameFunctionalGroupsSequence" in dataset
    if has_groups or str(dataset.get("SOPClassUID", "")) in MACROS:
        yield from _group_faults(dataset)
    if "SegmentSequence" in dataset:
        yield from _segment_faults(dataset)


def _pixel_faults(dataset: Dataset) -> Iterator[str]:
    present = [keyword for keyword in _PIXELS if keyword in dataset]
    if len(present) != 1:
        yield "there is no pixel data, or more than one"
        return
    pixels = dataset[present[0]].value or b""
    numbers = ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated")
    if not all(isinstance(dataset.get(keyword), int) for keyword in numbers):
        return  # told already as missing or empty
    frames = int(dataset.get("NumberOfFrames") or 1)
    syntax = UID(dataset.file_meta.get("TransferSyntaxUID", "")) if _has_meta(dataset) else UID("")
    if syntax.is_transfer_syntax and syntax.is_encapsulated:
        if sum(1 for _ in generate_fragments(pixels)) < frames + 1:  # and the offset table
            yield f"{present[0]} has too few fragments for its frames"
        return
    bits = frames
    for keyword in numbers:
        bits *= int(dataset[keyword].value)
    length = (bits + 7) // 8
    if len(pixels) != length + length % 2:
        yield f"{present[0]} is not as long as its frames are"


def _has_meta(dataset: Dataset) -> bool:
    return getattr(dataset, "file_meta", None) is not None


def _group_faults(dataset: Dataset) -> Iterator[str]:
    shared = dataset.get("SharedFunctionalGroupsSequence") or ()
    own = dataset.get("PerFrameFunctionalGroupsSequence") or ()
    if len(shared) != 1:
        yield "SharedFunctionalGroupsSequence has not one item"
    if len(own) != int(dataset.get("NumberOfFrames") or 0):
        yield "PerFrameFunctionalGroupsSequence has not one item a frame"
    for name in MACROS.get(str(dataset.get("SOPClassUID", "")), ()):
        in_all = any(name in item for item in shared)
        frames = sum(name in item for item in own)
        if frames != (0 if in_all else len(own)):
            yield f"{name} does not stand once for each frame"
    if any("FrameContentSequence" in item for item in shared):
        yield "FrameContentSequence is shared"
    dimensions = len(dataset.get("DimensionIndexSequence") or ())
    for number, item in enumerate(own, start=1):
        at = f"PerFrameFunctionalGroupsSequence[{number}]"
        content = item.get("FrameContentSequence")
        if not content:
            yield f"{at}.FrameContentSequence is missing or empty"
        elif dimensions and len(_values(content[0].get("DimensionIndexValues"))) != dimensions:
            yield f"{at} has not one DimensionIndexValues for each dimension"


def _segment_faults(dataset: Dataset) -> Iterator[str]:
    """Segments are numbered from 1 (C.8.20.2), and every frame is of one of them."""
    numbers = [segment.get("SegmentNumber") for segment in dataset.SegmentSequence]
    if numbers != list(range(1, len(numbers) + 1)):
        yield "SegmentSequence is not numbered from 1"
    for groups in (
        *(dataset.get("SharedFunctionalGroupsSequence") or ()),
        *(dataset.get("PerFrameFunctionalGroupsSequence") or ()),
    ):
        for item in groups.get("SegmentIdentificationSequence") or ():
            if item.get("ReferencedSegmentNumber") not in numbers:
                yield "a frame is of a segment that is not there"


def _values(value: Any) -> list[Any]:
    if value is None:
        return []
    return [value] if isinstance(value, int | str) else list(value)
