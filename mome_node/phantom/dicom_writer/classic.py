"""Single-frame MR Image Storage (PS3.3 A.4, C.8.3)."""

from __future__ import annotations

from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage

from mome_node.dicom.geometry import Grid
from mome_node.phantom.dicom_writer.geometry_elements import (
    decimal,
    orientation,
    pixel_spacing,
    position,
    slice_location,
    slice_spacing,
)
from mome_node.phantom.dicom_writer.identity import StudyIdentity, common_header
from mome_node.phantom.dicom_writer.pixels import add_pixel_module, encoded, write_object
from mome_node.phantom.dicom_writer.series import ImageStack, Kind, Series
from mome_node.phantom.dicom_writer.vendor_elements import add_stack_habits
from mome_node.phantom.dicom_writer.vendors import Habits
from mome_node.phantom.exam import Vendor


def write_classic(
    series: Series, identity: StudyIdentity, vendor: Vendor, habits: Habits, out_dir: Path
) -> list[Path]:
    """Write one series as single-frame objects, one plane in memory at a time."""
    header = _series_header(series, identity, habits)
    paths = []
    for number, stack in enumerate(series.stacks):
        ds = header.copy()
        _add_stack(ds, series, stack, identity, habits)
        add_stack_habits(ds, series, number, identity.seed, vendor)
        for plane in range(stack.slices):
            instance = series.instance_number(number, plane)
            ds.SOPInstanceUID = identity.instance_uid(series.number, instance)
            ds.InstanceNumber = instance
            ds.ImagePositionPatient = position(stack.volume.grid, plane)
            ds.SliceLocation = slice_location(stack.volume.grid, plane)
            path = out_dir / f"{series.number:04d}-{instance:05d}.dcm"
            slope = habits.slope(series.kind)
            pixels = encoded(stack.plane(plane), slope, habits.bits_stored)
            write_object(path, ds, [pixels], frames=1)
            paths.append(path)
    return paths


def _series_header(series: Series, identity: StudyIdentity, habits: Habits) -> Dataset:
    ds = common_header(identity, series, habits, series.protocol)
    ds.SOPClassUID = MRImageStorage
    ds.ImageType = list(habits.image_types[series.kind])
    _add_technique(ds, series, habits)
    ds.Laterality = None  # required of a paired body part, and has no value for both sides
    ds.ReceiveCoilName = habits.coil
    ds.TransmitCoilName = "BODY"
    ds.MagneticFieldStrength = decimal(habits.field_strength)
    ds.ImagingFrequency = decimal(habits.imaging_frequency)
    ds.ImagedNucleus = "1H"
    ds.WindowCenter, ds.WindowWidth = "600", "1200"
    return ds


def _add_technique(ds: Dataset, series: Series, habits: Habits) -> None:
    technique = habits.technique(series.kind)
    ds.ScanningSequence = list(technique.scanning_sequence)
    ds.SequenceVariant = list(technique.sequence_variant)
    ds.ScanOptions = list(technique.scan_options)
    ds.MRAcquisitionType = technique.acquisition_type
    ds.AngioFlag = "N"
    ds.RepetitionTime = decimal(technique.repetition_time)
    ds.EchoTime = decimal(technique.echo_time)
    ds.EchoTrainLength = technique.echo_train
    ds.EchoNumbers = 1
    ds.FlipAngle = decimal(technique.flip_angle)
    ds.VariableFlipAngleFlag = "N"
    ds.NumberOfAverages = str(technique.averages)
    ds.PixelBandwidth = decimal(technique.bandwidth)
    ds.PercentSampling = "100"
    ds.PercentPhaseFieldOfView = "100"
    ds.InPlanePhaseEncodingDirection = "ROW"


def _add_stack(
    ds: Dataset, series: Series, stack: ImageStack, identity: StudyIdentity, habits: Habits
) -> None:
    start = stack.start_s if stack.clock_s is None else stack.clock_s
    end = start + habits.technique(series.kind).duration_s
    ds.AcquisitionDate, ds.AcquisitionTime = identity.da(start), identity.tm(start)
    ds.ContentDate, ds.ContentTime = identity.da(end), identity.tm(end)
    ds.AcquisitionNumber = stack.acquisition
    ds.Laterality = stack.laterality or None
    if stack.contrast:
        ds.ContrastBolusAgent = "GADOBUTROL"
        ds.ContrastBolusRoute = "IV"
        ds.ContrastBolusVolume = "7"
    if series.kind is Kind.SUBTRACTION:
        ds.DerivationDescription = "First post-contrast phase minus pre-contrast phase"
    _add_grid(ds, stack.volume.grid)
    add_pixel_module(ds, stack.volume.grid.shape, habits.bits_stored)


def _add_grid(ds: Dataset, grid: Grid) -> None:
    ds.ImageOrientationPatient = orientation(grid)
    ds.PixelSpacing = pixel_spacing(grid)
    ds.SliceThickness = decimal(slice_spacing(grid))
    ds.SpacingBetweenSlices = decimal(slice_spacing(grid))
    columns, rows, _ = grid.shape
    ds.AcquisitionMatrix = [0, columns, rows, 0]
