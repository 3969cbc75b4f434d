"""Enhanced MR Image Storage (PS3.3 A.36.2, C.8.13): a series as one or few multi-frame objects."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import EnhancedMRImageStorage

from mome_node.phantom.dicom_writer.functional_groups import (
    dimensions,
    frame_type,
    image_description,
    per_frame_groups,
    shared_groups,
)
from mome_node.phantom.dicom_writer.geometry_elements import decimal
from mome_node.phantom.dicom_writer.identity import StudyIdentity, common_header
from mome_node.phantom.dicom_writer.items import coded, item
from mome_node.phantom.dicom_writer.mr_groups import add_pulse_sequence
from mome_node.phantom.dicom_writer.pixels import add_pixel_module, encoded, write_object
from mome_node.phantom.dicom_writer.series import Kind, Series
from mome_node.phantom.dicom_writer.vendors import Habits
from mome_node.phantom.exam import Vendor


def write_enhanced(
    series: Series, identity: StudyIdentity, vendor: Vendor, habits: Habits, out_dir: Path
) -> list[Path]:
    """Write one series as multi-frame objects, one frame in memory at a time."""
    del vendor  # the standard's own attributes are enough here; habits differ in the layout
    parts = [series]
    if series.object_per_stack:
        parts = [replace(series, stacks=(stack,)) for stack in series.stacks]
    return [_write_object(part, i + 1, identity, habits, out_dir) for i, part in enumerate(parts)]


def _write_object(
    series: Series, instance: int, identity: StudyIdentity, habits: Habits, out_dir: Path
) -> Path:
    frames = list(series.planes())
    ds = common_header(identity, series, habits, series.protocol)
    ds.SOPClassUID = EnhancedMRImageStorage
    ds.SOPInstanceUID = identity.instance_uid(series.number, instance)
    ds.InstanceNumber = instance
    _add_image(ds, series, identity, habits)
    if "ORIGINAL" in ds.ImageType:
        add_pulse_sequence(ds, series, habits)
    _add_dimensions(ds, series, identity)
    if any(stack.contrast for stack in series.stacks):
        ds.ContrastBolusAgentSequence = [_contrast_agent()]
    if series.sources:
        ds.SourceImageEvidenceSequence = [_evidence(series, identity)]
    add_pixel_module(ds, series.stacks[0].volume.grid.shape, habits.bits_stored)
    ds.NumberOfFrames = len(frames)
    sources = tuple(identity.instance_uid(*source) for source in series.sources)
    ds.SharedFunctionalGroupsSequence = [shared_groups(series, habits, sources)]
    ds.PerFrameFunctionalGroupsSequence = [
        per_frame_groups(series, stack, plane, identity, habits) for stack, plane in frames
    ]
    slope = habits.slope(series.kind)
    pixels = (encoded(series.stacks[s].plane(p), slope, habits.bits_stored) for s, p in frames)
    path = out_dir / f"{series.number:04d}-{instance:05d}.dcm"
    write_object(path, ds, pixels, len(frames))
    return path


def _add_image(ds: Dataset, series: Series, identity: StudyIdentity, habits: Habits) -> None:
    """The Enhanced MR Image module (PS3.3 C.8.13.1)."""
    first, last = series.stacks[0], series.stacks[-1]
    duration = habits.technique(series.kind).duration_s
    end = last.start_s + duration
    ds.ImageType = frame_type(series.kind)
    for keyword, value in image_description(series.kind).items():
        setattr(ds, keyword, value)
    ds.AcquisitionNumber = first.acquisition
    ds.AcquisitionDateTime = identity.dt(first.start_s)
    ds.AcquisitionDuration = end - first.start_s
    ds.ContentDate, ds.ContentTime = identity.da(end), identity.tm(end)
    ds.ContentQualification = "PRODUCT"
    ds.ResonantNucleus = "1H"
    ds.KSpaceFiltering = "NONE"
    ds.MagneticFieldStrength = decimal(habits.field_strength)
    ds.ApplicableSafetyStandardAgency = "IEC"
    ds.LossyImageCompression = "00"
    ds.PresentationLUTShape = "IDENTITY"
    ds.AcquisitionContextSequence = []


def _add_dimensions(ds: Dataset, series: Series, identity: StudyIdentity) -> None:
    """The Multi-frame Dimension module (PS3.3 C.7.6.17)."""
    organization = identity.uid("series", series.number, "dimensions")
    ds.DimensionOrganizationSequence = [item(DimensionOrganizationUID=organization)]
    if series.kind is Kind.DCE:
        ds.DimensionOrganizationType = "3D_TEMPORAL"
    elif series.kind in (Kind.T2, Kind.ADC, Kind.SUBTRACTION):
        ds.DimensionOrganizationType = "3D"
    ds.DimensionIndexSequence = [
        item(
            DimensionOrganizationUID=organization,
            DimensionIndexPointer=tag_for_keyword(attribute),
            FunctionalGroupPointer=tag_for_keyword(group),
            DimensionDescriptionLabel=attribute,
        )
        for attribute, group in dimensions(series.kind)
    ]


def _contrast_agent() -> Dataset:
    """An item of the Enhanced Contrast/Bolus module (PS3.3 C.7.6.4b)."""
    agent = coded(codes.SCT.Gadobutrol)[0]
    agent.ContrastBolusAgentNumber = 1
    agent.ContrastBolusAdministrationRouteSequence = coded(codes.SCT.IntravenousRoute)
    agent.ContrastBolusIngredientCodeSequence = coded(codes.SCT.Gadolinium)
    agent.ContrastBolusVolume = 7.0
    agent.ContrastBolusIngredientConcentration = None
    return agent


def _evidence(series: Series, identity: StudyIdentity) -> Dataset:
    """The objects that a derived image came from (SOP Instance Reference macro, PS3.3 10.8)."""
    source_series = series.sources[0][0]
    return item(
        StudyInstanceUID=identity.study_uid,
        ReferencedSeriesSequence=[
            item(
                SeriesInstanceUID=identity.series_uid(source_series),
                ReferencedSOPSequence=[
                    item(
                        ReferencedSOPClassUID=EnhancedMRImageStorage,
                        ReferencedSOPInstanceUID=identity.instance_uid(*source),
                    )
                    for source in series.sources
                ],
            )
        ],
    )
