"""Reading header facts out of a file: the needed elements only, never the pixel data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path

from pydicom.datadict import tag_for_keyword

from mome_node.dicom.date_times import date_time_since, parse_date, seconds_since
from mome_node.dicom.diffusion import private_tags, read_diffusion
from mome_node.dicom.element_values import Elements, first_number, first_text
from mome_node.dicom.enhanced import (
    Groups,
    frame_facts,
    scan_options,
    scanning_sequence,
)
from mome_node.dicom.header import FrameFacts, InstanceFacts
from mome_node.dicom.header_stream import HeaderStream, open_header
from mome_node.dicom.plane_values import (
    image_type_of,
    orientation_of,
    position_of,
    rescale_of,
    spacing_of,
)
from mome_node.dicom.private_elements import tags_to_read
from mome_node.dicom.tiles import (
    IMAGES_IN_MOSAIC,
    VFRAME_ITEMS,
    is_tiled,
    tiling_of,
    vframe_items,
)
from mome_node.dicom.value_units import units_of
from mome_node.errors import HeaderError

MAX_FRAMES = 20_000
"""More frames in one object are refused: the longest breast dynamics have some 5,000."""

MAX_SIDE = 65_535
"""Rows and Columns are 16 bits (PS3.3 C.7.6.3)."""

MAX_UID = 64
"""Characters of a UID (PS3.5 9.1)."""

_UID = re.compile(r"[0-9.]{1,128}")
"""What still names an object: some software makes UIDs longer than PS3.5 allows."""

WANTED_KEYWORDS = tuple(
    """
    AccessionNumber
    AcquisitionDate AcquisitionDateTime AcquisitionNumber AcquisitionTime BodyPartExamined Columns
    ComplexImageComponent ConcatenationUID ContentDate ContentTime ContrastBolusAgent
    ContrastBolusAgentSequence DiffusionBValue DiffusionDirectionality
    DiffusionGradientDirectionSequence DiffusionGradientOrientation DimensionIndexSequence
    EchoPlanarPulseSequence EchoPulseSequence EchoTime FlipAngle FrameOfReferenceUID ImageComments
    ImageLaterality ImageOrientationPatient ImagePositionPatient ImagesInAcquisition ImageType
    InConcatenationTotalNumber InstanceNumber InversionTime IssuerOfPatientID Laterality
    MagneticFieldStrength Manufacturer ManufacturerModelName Modality MRAcquisitionType
    NumberOfFrames NumberOfSeriesRelatedInstances NumberOfTemporalPositions PatientBirthDate
    PatientID PatientName PatientPosition PatientSex PixelSpacing ProtocolName PulseSequenceName
    RealWorldValueMappingSequence ReceiveCoilName RepetitionTime RescaleIntercept RescaleSlope
    RescaleType Rows SamplesPerPixel ScanningSequence ScanOptions SequenceName SequenceVariant
    SeriesDescription SeriesInstanceUID SeriesNumber SharedFunctionalGroupsSequence SliceThickness
    SOPClassUID SOPInstanceUID SpacingBetweenSlices SpecificCharacterSet StudyDate StudyDescription
    StudyInstanceUID SyntheticData TemporalPositionIdentifier TriggerTime Units
    """.split()  # noqa: SIM905 (sixty quoted names are harder to read)
)
"""Every element that is read at the top of a data set."""


def read_facts(path: Path) -> InstanceFacts:
    """Read what one DICOM file says of itself.

    Values that do not parse are absent (None, empty); the object may be classic or multi-frame.
    Raises HeaderError if the file cannot be read as DICOM, lacks a UID that identifies instance,
    class, study or series, or has more than MAX_FRAMES frames.
    """
    with open_header(path, _wanted_tags()) as stream:
        return _facts(stream)


def check_uids(facts: InstanceFacts) -> None:
    """Refuse what ``read_facts`` lets pass but a receiver should not take.

    Raises HeaderError if an identifying UID is longer than PS3.5 9.1 allows, or if instance,
    series and study do not have three different ones.
    """
    uids = (facts.sop_instance_uid, facts.sop_class_uid, facts.study_uid, facts.series_uid)
    if any(len(uid) > MAX_UID for uid in uids):
        raise HeaderError(f"a UID has more than {MAX_UID} characters (PS3.5 9.1)")
    if len({facts.sop_instance_uid, facts.study_uid, facts.series_uid}) < 3:
        raise HeaderError("instance, series and study do not have three different UIDs")


def _facts(stream: HeaderStream) -> InstanceFacts:
    top = stream.top
    sop_instance, sop_class, study, series = _identifying_uids(top)
    rows, columns = _side(top, "Rows"), _side(top, "Columns")
    items = stream.frame_items()
    groups = Groups(next(items, None), stream.shared_groups(), top)
    frames = _frames(groups, items) if rows and columns else ()
    timing = (*groups.sources("MRTimingAndRelatedParametersSequence"), top)
    return InstanceFacts(
        sop_instance_uid=sop_instance,
        sop_class_uid=sop_class,
        study_uid=study,
        series_uid=series,
        transfer_syntax_uid=stream.transfer_syntax_uid,
        patient_id=top.text("PatientID"),
        issuer_of_patient_id=top.text("IssuerOfPatientID"),
        accession_number=top.text("AccessionNumber"),
        patient_name=top.text("PatientName").rstrip("="),  # empty component groups (PS3.5 6.2.1)
        patient_birth_date=_date(top, "PatientBirthDate"),
        patient_sex=top.text("PatientSex"),
        modality=top.text("Modality"),
        manufacturer=top.text("Manufacturer"),
        model_name=top.text("ManufacturerModelName"),
        study_date=_date(top, "StudyDate"),
        study_description=top.text("StudyDescription"),
        series_description=top.text("SeriesDescription"),
        protocol_name=top.text("ProtocolName"),
        body_part=top.text("BodyPartExamined"),
        series_number=top.integer("SeriesNumber"),
        instance_number=top.integer("InstanceNumber"),
        image_type=top.texts("ImageType"),
        scanning_sequence=top.texts("ScanningSequence") or scanning_sequence(groups),
        sequence_variant=top.texts("SequenceVariant"),
        scan_options=top.texts("ScanOptions") or scan_options(groups),
        sequence_name=top.text("SequenceName") or top.text("PulseSequenceName"),
        acquisition_type=top.text("MRAcquisitionType"),
        repetition_time_ms=first_number(timing, "RepetitionTime"),
        echo_time_ms=_echo_time(groups),
        inversion_time_ms=_inversion_time(groups),
        flip_angle_deg=first_number(timing, "FlipAngle"),
        field_strength_t=top.number("MagneticFieldStrength"),
        contrast_agent=_contrast_agent(top),
        acquisition_number=top.integer("AcquisitionNumber"),
        temporal_positions=top.integer("NumberOfTemporalPositions"),
        laterality=top.text("ImageLaterality") or top.text("Laterality"),
        patient_position=top.text("PatientPosition"),
        receive_coil=first_text((*groups.sources("MRReceiveCoilSequence"), top), "ReceiveCoilName"),
        frame_of_reference_uid=top.text("FrameOfReferenceUID"),
        rows=rows,
        columns=columns,
        samples_per_pixel=top.integer("SamplesPerPixel") or 1,
        synthetic=top.text("SyntheticData") == "YES",
        frames=frames,
        images_in_acquisition=top.integer("ImagesInAcquisition"),
        series_instances=top.integer("NumberOfSeriesRelatedInstances"),
        concatenation_uid=top.text("ConcatenationUID"),
        concatenation_total=top.integer("InConcatenationTotalNumber"),
    )


def _identifying_uids(top: Elements) -> tuple[str, str, str, str]:
    """UIDs of instance, class, study and series; HeaderError if one is missing or no UID."""
    keywords = ("SOPInstanceUID", "SOPClassUID", "StudyInstanceUID", "SeriesInstanceUID")
    uids = [top.text(keyword) for keyword in keywords]
    for keyword, uid in zip(keywords, uids, strict=True):
        if not uid:
            raise HeaderError(f"{keyword} is missing, empty or cannot be read")
        if not _UID.fullmatch(uid):
            raise HeaderError(f"{keyword} is no UID: digits and dots only (PS3.5 9.1)")
    instance, sop_class, study, series = uids
    return instance, sop_class, study, series


def _frames(groups: Groups, items: Iterator[Elements]) -> tuple[FrameFacts, ...]:
    top = groups.top
    manufacturer, first_day = top.text("Manufacturer"), parse_date(top.text("StudyDate"))
    count = max(top.integer("NumberOfFrames") or 1, 1)
    if count > MAX_FRAMES:
        raise HeaderError(f"{count} frames are declared; at most {MAX_FRAMES} are read")
    if groups.per_frame is not None or groups.shared is not None:
        return tuple(frame_facts(groups, items, count, manufacturer, first_day))
    if count == 1:
        return (_classic_frame(top, manufacturer, first_day),)
    # Planes of an older multi-frame object: nothing tells where each of them lies.
    return tuple(FrameFacts(n, image_type=top.texts("ImageType")) for n in range(1, count + 1))


def _classic_frame(top: Elements, manufacturer: str, first_day: date | None) -> FrameFacts:
    diffusion = read_diffusion((top,), manufacturer)
    image_type = image_type_of(top.texts("ImageType"), (top,))
    slope, intercept = rescale_of((top,))
    frame = FrameFacts(
        frame_number=1,
        image_position=position_of((top,)),
        image_orientation=orientation_of((top,)),
        pixel_spacing=spacing_of((top,)),
        slice_thickness=top.number("SliceThickness"),
        b_value=diffusion.b_value,
        b_value_source=diffusion.source,
        effective_b_value=diffusion.effective_b_value,
        diffusion_directionality=diffusion.directionality,
        diffusion_direction=diffusion.direction,
        temporal_position=top.integer("TemporalPositionIdentifier"),
        trigger_time_ms=top.number("TriggerTime"),
        acquired_s=_acquired(top, manufacturer, first_day),
        content_s=seconds_since(first_day, top.text("ContentDate"), top.text("ContentTime")),
        image_type=image_type,
        rescale_slope=slope,
        rescale_intercept=intercept,
        value_units=units_of((top,), (top,)),
        tiled=is_tiled((top,), image_type, manufacturer),
    )
    return replace(frame, tiling=tiling_of(top, frame, manufacturer))


def _acquired(top: Elements, manufacturer: str, first_day: date | None) -> float | None:
    """When the image's acquisition began; of a tiled image, that of its first slice."""
    acquired = seconds_since(first_day, top.text("AcquisitionDate"), top.text("AcquisitionTime"))
    if acquired is None:
        acquired = date_time_since(first_day, top.text("AcquisitionDateTime"))
    if acquired is not None:
        return acquired
    times = (
        seconds_since(first_day, item.text("AcquisitionDate"), item.text("AcquisitionTime"))
        for item in vframe_items(top, manufacturer)
    )
    return min((time for time in times if time is not None), default=None)


@cache
def _wanted_tags() -> frozenset[int]:
    tags = {tag_for_keyword(keyword) for keyword in WANTED_KEYWORDS}
    private = private_tags() | tags_to_read((IMAGES_IN_MOSAIC, VFRAME_ITEMS))
    return private | {tag for tag in tags if tag is not None}


def _side(top: Elements, keyword: str) -> int:
    value = top.integer(keyword) or 0
    return value if 0 < value <= MAX_SIDE else 0


def _date(top: Elements, keyword: str) -> str:
    day = parse_date(top.text(keyword))
    return "" if day is None else day.strftime("%Y%m%d")


def _echo_time(groups: Groups) -> float | None:
    sources = (*groups.sources("MREchoSequence"), groups.top)
    effective = first_number(sources, "EffectiveEchoTime")
    return effective if effective is not None else first_number(sources, "EchoTime")


def _inversion_time(groups: Groups) -> float | None:
    sources = (*groups.sources("MRModifierSequence"), groups.top)
    times = first_number(sources, "InversionTimes")
    return times if times is not None else first_number(sources, "InversionTime")


def _contrast_agent(top: Elements) -> str:
    agent = top.item("ContrastBolusAgentSequence")
    return top.text("ContrastBolusAgent") or ("" if agent is None else agent.text("CodeMeaning"))
