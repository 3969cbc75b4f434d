"""What is sent: a phantom patient's MR study as PS3.10 files, with new UIDs for every sending."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final
from uuid import uuid4

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import dcmwrite
from pydicom.uid import (
    UID,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
)

from mome_node.bench.ingest.job import Outbound
from mome_node.dicom.uids import IMPLEMENTATION_CLASS_UID

TRANSFER_SYNTAX: Final = str(ExplicitVRLittleEndian)
FILE_HEAD_BYTES: Final = 128 + 4 + 12
INSTANCES_A_SERIES: Final = 150
_COLUMNS: Final = 256
_BYTES_A_PIXEL: Final = 2
_HUGE_FRAME: Final = 1024
_UID_DIGITS: Final = 38
_STAND_IN: Final = "2.25." + "7" * _UID_DIGITS
"""Where a UID comes that is made anew for every sending; all have this length."""

_STAND_IN_STUDY, _STAND_IN_SERIES, _STAND_IN_INSTANCE = (_STAND_IN[:-1] + last for last in "123")


@dataclass(frozen=True, slots=True)
class PreparedInstance:
    """An instance as it lies in its file, ready to be sent."""

    outbound: Outbound
    study_uid: str
    sha256: str
    """Over the bytes of the data set."""


class PreparedStudy:
    """Files of one study that are kept for a whole benchmark, and get new UIDs in their place.

    The files of association ``n`` of several lie in a folder of their own, as `storescu` wants it.
    """

    def __init__(self, folder: Path, instances: int, dataset_bytes: int, parts: int) -> None:
        """Write the files; ``dataset_bytes`` is about the size of each data set."""
        self._headers: list[tuple[Path, bytes, int]] = []
        self.folders = tuple(folder / f"part{n}" for n in range(parts))
        self.total_bytes = 0
        for part in self.folders:
            part.mkdir(parents=True)
        rows = max(dataset_bytes // (_COLUMNS * _BYTES_A_PIXEL), 1)
        pixels = _noise(rows)
        for number in range(instances):
            header, offset = _header(_image(number, rows), len(pixels))
            path = self.folders[number * parts // instances] / f"{number:05d}.dcm"
            path.write_bytes(header + pixels)
            self._headers.append((path, header, offset))
            self.total_bytes += len(header) - offset + len(pixels)
        self._pixels = pixels

    def renew(self) -> tuple[tuple[PreparedInstance, ...], ...]:
        """Give all instances new UIDs, of one new study; what to send over each association."""
        study, series = _new_uid(), ""
        found: dict[Path, list[PreparedInstance]] = {part: [] for part in self.folders}
        for number, (path, header, offset) in enumerate(self._headers):
            if number % INSTANCES_A_SERIES == 0:
                series = _new_uid()
            instance = _new_uid()
            renewed = _with_uids(header, study, series, instance)
            with path.open("r+b") as file:
                file.write(renewed)
            digest = sha256(renewed[offset:])
            digest.update(self._pixels)
            outbound = Outbound(str(path), str(MRImageStorage), instance, offset)
            found[path.parent].append(PreparedInstance(outbound, study, digest.hexdigest()))
        return tuple(tuple(found[part]) for part in self.folders)


def write_huge_instance(folder: Path, dataset_bytes: int) -> PreparedInstance:
    """Write an Enhanced MR instance with a data set of about ``dataset_bytes``.

    Its pixels are zeros that take no room on most disks; nothing holds it in memory.
    """
    folder.mkdir(parents=True, exist_ok=True)
    frame = _HUGE_FRAME * _HUGE_FRAME * _BYTES_A_PIXEL
    image = _image(0, _HUGE_FRAME)
    image.SOPClassUID = EnhancedMRImageStorage
    image.Columns = _HUGE_FRAME
    image.NumberOfFrames = max(dataset_bytes // frame, 1)
    pixel_bytes = frame * int(image.NumberOfFrames)
    header, offset = _header(image, pixel_bytes)
    study, instance = _new_uid(), _new_uid()
    header = _with_uids(header, study, _new_uid(), instance)
    path = folder / "huge.dcm"
    digest = sha256(header[offset:])
    with path.open("wb") as file:
        file.write(header)
        file.truncate(len(header) + pixel_bytes)
    zeros = bytes(frame)
    for _ in range(int(image.NumberOfFrames)):
        digest.update(zeros)
    outbound = Outbound(str(path), str(EnhancedMRImageStorage), instance, offset)
    return PreparedInstance(outbound, study, digest.hexdigest())


def dataset_offset(head: bytes) -> int:
    """Where the data set begins in a file of which these are the first 144 bytes or more.

    After preamble, "DICM" and File Meta Information, which begins with its length (PS3.10 7.1).
    """
    return FILE_HEAD_BYTES + int.from_bytes(head[FILE_HEAD_BYTES - 4 : FILE_HEAD_BYTES], "little")


def _image(number: int, rows: int) -> Dataset:
    """One plane of a phantom patient, without its pixels."""
    image = Dataset()
    image.SpecificCharacterSet = "ISO_IR 100"
    image.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    image.SOPClassUID = MRImageStorage
    image.SOPInstanceUID = UID(_STAND_IN_INSTANCE)
    image.SyntheticData = "YES"
    image.StudyDate, image.StudyTime = "20260101", "120000"
    image.AccessionNumber = "BENCH"
    image.Modality = "MR"
    image.Manufacturer = "mome-node"
    image.StudyDescription = "Benchmark of receiving, no patient"
    image.SeriesDescription = f"series {number // INSTANCES_A_SERIES + 1}"
    image.PatientName = "Phantom^Benchmark"
    image.PatientID = "PHANTOM-BENCH"
    image.PatientBirthDate, image.PatientSex = "", "O"
    image.ScanningSequence, image.SequenceVariant, image.ScanOptions = "GR", "NONE", ""
    image.MRAcquisitionType = "3D"
    image.SliceThickness = "1"
    image.RepetitionTime, image.EchoTime, image.EchoTrainLength = "5", "2", "1"
    image.StudyInstanceUID, image.SeriesInstanceUID = UID(_STAND_IN_STUDY), UID(_STAND_IN_SERIES)
    image.FrameOfReferenceUID = UID(_STAND_IN_STUDY)
    image.PositionReferenceIndicator = ""
    image.StudyID, image.SeriesNumber = "1", str(number // INSTANCES_A_SERIES + 1)
    image.InstanceNumber = str(number + 1)
    image.ImagePositionPatient = ["0", "0", str(number % INSTANCES_A_SERIES)]
    image.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.Rows, image.Columns, image.PixelSpacing = rows, _COLUMNS, ["1", "1"]
    image.BitsAllocated, image.BitsStored, image.HighBit = 16, 12, 11
    image.PixelRepresentation = 0
    return image


def _header(image: Dataset, pixel_bytes: int) -> tuple[bytes, int]:
    """A file up to its pixels, of which there are so many bytes; where its data set begins."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = image.SOPClassUID
    meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    image.file_meta = meta
    encoded = DicomBytesIO()
    dcmwrite(encoded, image, enforce_file_format=True)
    file = encoded.getvalue()
    pixel_data = b"\xe0\x7f\x10\x00OW\0\0" + pixel_bytes.to_bytes(4, "little")
    return file + pixel_data, dataset_offset(file)


def _with_uids(header: bytes, study: str, series: str, instance: str) -> bytes:
    for stand_in, uid in (
        (_STAND_IN_STUDY, study),
        (_STAND_IN_SERIES, series),
        (_STAND_IN_INSTANCE, instance),
    ):
        header = header.replace(stand_in.encode(), uid.encode())
    return header


def _new_uid() -> str:
    """A UUID-derived UID (PS3.5 B.2) of the one length that fits in a prepared file."""
    while len(digits := str(uuid4().int)) != _UID_DIGITS:
        pass
    return f"2.25.{digits}"


def _noise(rows: int) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 4096, (rows, _COLUMNS), dtype=np.uint16)
    return pixels.astype("<u2").tobytes()
