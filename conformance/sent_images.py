"""Small MR images that a test sends, and the ledger of what it was told about them."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Iterable
from dataclasses import dataclass, field

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import UID, MRImageStorage

_COLUMNS = 64
SUCCESS = 0x0000


@dataclass(frozen=True)
class Image:
    """An encoded data set, explicit VR little endian."""

    study_uid: str
    sop_instance_uid: str
    data_set: bytes

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.data_set).hexdigest()


@dataclass(frozen=True)
class Told:
    """What a sender heard about one copy that it sent; no status: the link broke before that."""

    study_uid: str
    sop_instance_uid: str
    digest: str
    status: int | None
    sent_whole: bool = True

    @property
    def is_acknowledged(self) -> bool:
        return self.status == SUCCESS


@dataclass
class Ledger:
    """All that senders were told, in order; threads may share it."""

    entries: list[Told] = field(default_factory=list)

    def enter(self, image: Image, status: int | None, *, sent_whole: bool = True) -> None:
        self.entries.append(
            Told(image.study_uid, image.sop_instance_uid, image.digest, status, sent_whole)
        )

    @property
    def acknowledged(self) -> list[Told]:
        return [told for told in self.entries if told.is_acknowledged]

    @property
    def unanswered(self) -> list[Told]:
        return [told for told in self.entries if told.status is None]


def make_image(
    chance: random.Random, study_uid: str, sop_instance_uid: str, smallest: int, largest: int
) -> Image:
    """An image with noise; small ones are as frequent as large ones (bytes, log-uniform)."""
    size = math.exp(chance.uniform(math.log(smallest), math.log(largest)))
    rows = max(1, int(size) // (2 * _COLUMNS))
    dataset = Dataset()
    dataset.SOPClassUID = MRImageStorage
    dataset.SOPInstanceUID = UID(sop_instance_uid)
    dataset.Modality = "MR"
    dataset.PatientID = "PHANTOM-1"
    dataset.StudyInstanceUID = UID(study_uid)
    dataset.SeriesInstanceUID = UID(f"{study_uid}.1")
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = rows, _COLUMNS
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelRepresentation = 0
    dataset.PixelData = chance.randbytes(2 * rows * _COLUMNS)
    dataset["PixelData"].VR = "OW"
    return Image(study_uid, sop_instance_uid, _encoded(dataset))


def changed(chance: random.Random, image: Image) -> Image:
    """The image with another last pixel."""
    last = bytes([image.data_set[-1] ^ chance.randint(1, 255)])
    return Image(image.study_uid, image.sop_instance_uid, image.data_set[:-1] + last)


def studies_in(entries: Iterable[Told]) -> frozenset[str]:
    return frozenset(told.study_uid for told in entries)


def _encoded(dataset: Dataset) -> bytes:
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = False, True
    write_dataset(stream, dataset)
    return stream.getvalue()
