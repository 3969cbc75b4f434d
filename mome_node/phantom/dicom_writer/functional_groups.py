"""The functional groups of enhanced MR objects (PS3.3 C.7.6.16 and C.8.13.5)."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import EnhancedMRImageStorage

from mome_node.phantom.dicom_writer.geometry_elements import (
    decimal,
    orientation,
    pixel_spacing,
    position,
    slice_spacing,
)
from mome_node.phantom.dicom_writer.identity import StudyIdentity
from mome_node.phantom.dicom_writer.items import coded, item
from mome_node.phantom.dicom_writer.mr_groups import add_mr_groups
from mome_node.phantom.dicom_writer.series import ImageStack, Kind, Series
from mome_node.phantom.dicom_writer.vendors import Habits

_FRAME_TYPES = {
    Kind.LOCALIZER: ("ORIGINAL", "PRIMARY", "LOCALIZER", "NONE"),
    Kind.T2: ("ORIGINAL", "PRIMARY", "T2", "NONE"),
    Kind.DWI: ("ORIGINAL", "PRIMARY", "DIFFUSION", "NONE"),
    Kind.ADC: ("DERIVED", "PRIMARY", "DIFFUSION", "ADC"),
    Kind.DCE: ("ORIGINAL", "PRIMARY", "DYNAMIC", "NONE"),
    Kind.SUBTRACTION: ("DERIVED", "PRIMARY", "DYNAMIC", "SUBTRACTION"),
}

_FRAME_CONTENT = "FrameContentSequence"

_CONTRASTS = {Kind.T2: "T2", Kind.DWI: "DIFFUSION", Kind.ADC: "DIFFUSION"}


def image_description(kind: Kind) -> dict[str, object]:
    """The MR Image Description macro (PS3.3 C.8.13.3.1), the same for image and frames."""
    return {
        "PixelPresentation": "MONOCHROME",
        "VolumetricProperties": "VOLUME",
        "VolumeBasedCalculationTechnique": "NONE",
        "ComplexImageComponent": "MAGNITUDE",
        "AcquisitionContrast": _CONTRASTS.get(kind, "T1"),
    }


def frame_type(kind: Kind) -> list[str]:
    """Image Type and Frame Type (PS3.3 C.8.13.3.1.1)."""
    return list(_FRAME_TYPES[kind])


def dimensions(kind: Kind) -> tuple[tuple[str, str], ...]:
    """The dimensions of an object (PS3.3 C.7.6.17): attribute and its functional group."""
    place = (("StackID", _FRAME_CONTENT), ("InStackPositionNumber", _FRAME_CONTENT))
    if kind is Kind.DCE:
        return (*place, ("TemporalPositionIndex", _FRAME_CONTENT))
    if kind is Kind.DWI:
        return (*place, ("DiffusionBValue", "MRDiffusionSequence"))
    return place


def shared_groups(series: Series, habits: Habits, sources: tuple[str, ...]) -> Dataset:
    """The groups that hold for all frames; ``sources`` are the UIDs a derived image came from."""
    ds = Dataset()
    grid = series.stacks[0].volume.grid
    ds.PixelMeasuresSequence = [
        item(
            SliceThickness=decimal(slice_spacing(grid)),
            SpacingBetweenSlices=decimal(slice_spacing(grid)),
            PixelSpacing=pixel_spacing(grid),
        )
    ]
    if series.kind is not Kind.LOCALIZER:
        ds.PlaneOrientationSequence = [item(ImageOrientationPatient=orientation(grid))]
    ds.FrameAnatomySequence = [
        item(AnatomicRegionSequence=coded(codes.SCT.Breast), FrameLaterality="B")
    ]
    ds.PixelValueTransformationSequence = [
        item(
            RescaleIntercept="0", RescaleSlope=decimal(habits.slope(series.kind)), RescaleType="US"
        )
    ]
    ds.FrameVOILUTSequence = [item(WindowCenter="600", WindowWidth="1200")]
    ds.MRImageFrameTypeSequence = [
        item(FrameType=frame_type(series.kind), **image_description(series.kind))
    ]
    if series.kind is Kind.ADC:
        ds.MRDiffusionSequence = [item(DiffusionDirectionality="ISOTROPIC")]
    if sources:
        ds.DerivationImageSequence = [_derivation(series.kind, sources)]
    add_mr_groups(ds, series, habits)
    return ds


def per_frame_groups(
    series: Series, stack_index: int, plane: int, identity: StudyIdentity, habits: Habits
) -> Dataset:
    """The groups of one frame. Dimensions: stack, position in it, and time or b-value."""
    stack, kind = series.stacks[stack_index], series.kind
    localizer = kind is Kind.LOCALIZER
    stack_id, index = (stack_index + 1, 1) if localizer else (1, stack_index + 1)
    ds, duration = Dataset(), habits.technique(kind).duration_s
    ds.FrameContentSequence = [
        item(
            FrameReferenceDateTime=identity.dt(stack.start_s),
            FrameAcquisitionDateTime=identity.dt(stack.start_s),
            FrameAcquisitionDuration=duration * 1000,
            FrameAcquisitionNumber=stack.acquisition,
            StackID=str(stack_id),
            InStackPositionNumber=plane + 1,
            TemporalPositionIndex=index if kind is Kind.DCE else 1,
            DimensionIndexValues=[stack_id, plane + 1, index][: len(dimensions(kind))],
        )
    ]
    ds.PlanePositionSequence = [item(ImagePositionPatient=position(stack.volume.grid, plane))]
    if localizer:
        ds.PlaneOrientationSequence = [item(ImageOrientationPatient=orientation(stack.volume.grid))]
    if kind is Kind.DCE and not series.object_per_stack:
        ds.TemporalPositionSequence = [item(TemporalPositionTimeOffset=stack.offset_s)]
    if kind is Kind.DWI:
        ds.MRDiffusionSequence = [_diffusion(stack)]
    if any(s.contrast for s in series.stacks):
        ds.ContrastBolusUsageSequence = [
            item(
                ContrastBolusAgentNumber=1,
                ContrastBolusAgentAdministered="YES" if stack.contrast else "NO",
                ContrastBolusAgentDetected=None,
            )
        ]
    return ds


def _diffusion(stack: ImageStack) -> Dataset:
    """The MR Diffusion group (C.8.13.5.9) of a trace image or of b 0."""
    b_value = stack.b_value or 0.0
    return item(DiffusionBValue=b_value, DiffusionDirectionality="ISOTROPIC" if b_value else "NONE")


def _derivation(kind: Kind, sources: tuple[str, ...]) -> Dataset:
    """The Derivation Image group (C.7.6.16.2.6)."""
    how = (
        codes.DCM.DiffusionImageAnalysis if kind is Kind.ADC else codes.DCM.PixelByPixelSubtraction
    )
    purpose = codes.DCM.SourceImageForImageProcessingOperation
    return item(
        DerivationCodeSequence=coded(how),
        SourceImageSequence=[
            item(
                ReferencedSOPClassUID=EnhancedMRImageStorage,
                ReferencedSOPInstanceUID=uid,
                PurposeOfReferenceCodeSequence=coded(purpose),
            )
            for uid in sources
        ],
    )
