"""A small study of valid objects: MR slices, and a SEG and an SR that refer to them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from mome_node.delivery.destination import Outgoing

_SIZE = 64
_SLICES = 4


@dataclass(frozen=True)
class SmallExam:
    """Paths of one study's files."""

    study_uid: str
    images: tuple[Path, ...]
    seg: Path
    sr: Path

    @property
    def results(self) -> tuple[Path, ...]:
        return (self.seg, self.sr)


def outgoing(path: Path) -> Outgoing:
    """The file as the outbox would hand it over; its name is its SOP Instance UID."""
    return Outgoing(path.stem, lambda: path.open("rb"))


def small_exam(folder: Path) -> SmallExam:
    """Write the study's files to ``folder``, each named after its SOP Instance UID."""
    folder.mkdir(parents=True)
    images = _mr_slices()
    seg = _segmentation(images)
    sr = _report(images)
    return SmallExam(
        study_uid=images[0].StudyInstanceUID,
        images=tuple(_write(image, folder) for image in images),
        seg=_write(seg, folder),
        sr=_write(sr, folder),
    )


def _write(dataset: Dataset, folder: Path) -> Path:
    path = folder / f"{dataset.SOPInstanceUID}.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return path


def _mr_slices() -> list[Dataset]:
    study, series, frame_of_reference = generate_uid(), generate_uid(), generate_uid()
    slices = []
    rows, columns = np.mgrid[:_SIZE, :_SIZE]
    for index in range(_SLICES):
        image = Dataset()
        image.file_meta = FileMetaDataset()
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image.SOPClassUID = MRImageStorage
        image.SOPInstanceUID = generate_uid()
        image.StudyInstanceUID, image.SeriesInstanceUID = study, series
        image.FrameOfReferenceUID = frame_of_reference
        image.PatientName, image.PatientID = "Phantom^Conformance", "PHANTOM-1"
        image.PatientBirthDate, image.PatientSex = "19700101", "F"
        image.StudyDate, image.StudyTime = "20260101", "120000"
        image.StudyID, image.AccessionNumber, image.ReferringPhysicianName = "1", "A1", ""
        image.PositionReferenceIndicator = ""
        image.Modality, image.SeriesNumber, image.InstanceNumber = "MR", 1, index + 1
        image.SeriesDescription, image.Manufacturer = "phantom", "mome-node"
        image.SyntheticData = "YES"
        image.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
        image.ScanningSequence, image.SequenceVariant = "GR", "SP"
        image.ScanOptions, image.MRAcquisitionType = "", "3D"
        image.RepetitionTime, image.EchoTime, image.EchoTrainLength = 5.0, 2.0, 1
        image.ImagePositionPatient = [-64.0, -64.0, 3.0 * index]
        image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        image.PixelSpacing, image.SliceThickness = [2.0, 2.0], 3.0
        image.Rows = image.Columns = _SIZE
        image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
        image.BitsAllocated, image.BitsStored, image.HighBit = 16, 12, 11
        image.PixelRepresentation = 0
        image.WindowCenter, image.WindowWidth = 500, 1000
        image.PixelData = (rows * 8 + columns * 8 + index).astype("<u2").tobytes()
        slices.append(image)
    return slices


def _segmentation(images: list[Dataset]) -> Dataset:
    mask = np.zeros((_SLICES, _SIZE, _SIZE), dtype=np.uint8)
    mask[1:3, 20:30, 20:30] = 1
    segment = hd.seg.SegmentDescription(
        segment_number=1,
        segment_label="region",
        segmented_property_category=codes.SCT.SpatialAndRelationalConcept,
        segmented_property_type=hd.sr.CodedConcept("region", "99MOME", "region"),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=_algorithm(),
        tracking_uid=hd.UID(),
        tracking_id="Region 1",
    )
    return hd.seg.Segmentation(
        source_images=images,
        pixel_array=mask,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[segment],
        series_instance_uid=generate_uid(),
        series_number=101,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="mome-node",
        manufacturer_model_name="mome-node",
        software_versions="0",
        device_serial_number="0",
    )


def _algorithm() -> hd.AlgorithmIdentificationSequence:
    return hd.AlgorithmIdentificationSequence(
        name="conformance", family=codes.DCM.ArtificialIntelligence, version="0"
    )


def _report(images: list[Dataset]) -> Dataset:
    key = images[1]
    region = hd.sr.ImageRegion(
        graphic_type=hd.sr.GraphicTypeValues.POLYLINE,
        graphic_data=np.array([[8, 8], [50, 8], [50, 50], [8, 50], [8, 8]], dtype=float),
        source_image=hd.sr.SourceImageForRegion(key.SOPClassUID, key.SOPInstanceUID),
    )
    score = hd.sr.Measurement(
        name=hd.sr.CodedConcept("score", "99MOME", "Exam malignancy score"),
        value=42,
        unit=codes.UCUM.Percent,
    )
    group = hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(uid=hd.UID(), identifier="Evaluated field"),
        referenced_region=region,
        finding_type=hd.sr.CodedConcept("field", "99MOME", "evaluated field, not a finding"),
        measurements=[score],
    )
    observer = hd.sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=hd.sr.DeviceObserverIdentifyingAttributes(uid=hd.UID()),
    )
    content = hd.sr.MeasurementReport(
        observation_context=hd.sr.ObservationContext(observer_device_context=observer),
        procedure_reported=hd.sr.CodedConcept("126020", "DCM", "Multiparametric MRI"),
        imaging_measurements=[group],
        title=codes.DCM.ImagingMeasurementReport,
    )
    return hd.sr.Comprehensive3DSR(
        evidence=images,
        content=content,
        series_instance_uid=generate_uid(),
        series_number=100,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="mome-node",
        is_complete=True,
        is_final=True,
        is_verified=False,
    )
