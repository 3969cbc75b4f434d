"""Image library of the report (PS3.16 TID 1600): the images that were used, a group a series."""

from __future__ import annotations

from dataclasses import dataclass

from highdicom.sr import (
    CodeContentItem,
    CodedConcept,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    ImageContentItem,
    NumContentItem,
    RelationshipTypeValues,
    UIDRefContentItem,
)
from pydicom.sr.coding import Code

from mome_node.dicom import codes
from mome_node.dicom.header import FrameRef
from mome_node.results.findings import Findings, SeriesUse
from mome_node.results.sources import ImageReference, SourceImages

_CONTEXT = RelationshipTypeValues.HAS_ACQ_CONTEXT
_CONTAINS = RelationshipTypeValues.CONTAINS


@dataclass(frozen=True, slots=True)
class LibraryGroup:
    """The images of one series that were used, and as what ("dce", "dwi", "t2").

    ``times_s`` of its phases after the pre-contrast one, ``b_value`` in s/mm², where known.
    """

    series_uid: str
    used_as: str | None
    images: tuple[ImageReference, ...]
    times_s: tuple[float, ...] = ()
    b_value: float | None = None


def library_groups(findings: Findings, sources: SourceImages) -> tuple[LibraryGroup, ...]:
    """The images that a model read, by series; at least those of the key volume."""
    groups = []
    key_frames = findings.key_volume.frames
    key_series = sources.instance(key_frames[0]).series_uid
    told = [series for series in findings.series if series.used_as is not None]
    if key_series not in {series.series_uid for series in told}:
        groups.append(LibraryGroup(key_series, "dce", _instances(key_frames, sources)))
    for series in told:
        frames = _frames(series, key_series, key_frames)
        if frames:
            groups.append(
                LibraryGroup(
                    series.series_uid,
                    series.used_as,
                    _instances(frames, sources),
                    series.times_s,
                    findings.dwi_b_value if series.used_as == "dwi" else None,
                )
            )
    return tuple(groups)


def _frames(
    series: SeriesUse, key_series: str, key_frames: tuple[FrameRef, ...]
) -> tuple[FrameRef, ...]:
    own = series.frames
    return tuple(dict.fromkeys((*own, *key_frames))) if series.series_uid == key_series else own


def _instances(frames: tuple[FrameRef, ...], sources: SourceImages) -> tuple[ImageReference, ...]:
    first_frames = {f.sop_instance_uid: f for f in reversed(frames)}
    return tuple(
        sources.instance(first_frames[uid])
        for uid in dict.fromkeys(f.sop_instance_uid for f in frames)
    )


def image_library(groups: tuple[LibraryGroup, ...]) -> ContainerContentItem:
    """TID 1600 with the series and its role as descriptors of each group (TID 1602)."""
    library = ContainerContentItem(name=codes.IMAGE_LIBRARY, relationship_type=_CONTAINS)
    library.ContentSequence = ContentSequence([_group(group) for group in groups])
    return library


def _group(group: LibraryGroup) -> ContainerContentItem:
    items: list[ContentItem] = [
        CodeContentItem(codes.MODALITY, codes.MAGNETIC_RESONANCE, _CONTEXT),
        UIDRefContentItem(codes.SERIES_INSTANCE_UID, group.series_uid, _CONTEXT),
    ]
    role = codes.SERIES_ROLES.get(group.used_as or "")
    if role is not None:
        items.append(CodeContentItem(codes.SERIES_ROLE.code, role, _CONTEXT))
    items += [_number(codes.PHASE_TIME.code, t, codes.SECOND) for t in group.times_s]
    if group.b_value is not None:
        items.append(_number(codes.DIFFUSION_B_VALUE, group.b_value, codes.SECOND_PER_MM2))
    source = CodedConcept.from_code(codes.SOURCE)  # one for all: a group has hundreds of images
    items.extend(
        ImageContentItem(
            name=source,
            referenced_sop_class_uid=image.sop_class_uid,
            referenced_sop_instance_uid=image.sop_instance_uid,
            relationship_type=_CONTAINS,
        )
        for image in group.images
    )
    container = ContainerContentItem(name=codes.IMAGE_LIBRARY_GROUP, relationship_type=_CONTAINS)
    container.ContentSequence = ContentSequence(items)
    return container


def _number(name: Code, value: float, unit: Code) -> NumContentItem:
    """A descriptor of the images of a group, with at most a tenth of its unit."""
    item = NumContentItem(name=name, value=0, unit=unit, relationship_type=_CONTEXT)
    item.MeasuredValueSequence[0].NumericValue = f"{round(value, 1):g}"
    return item
