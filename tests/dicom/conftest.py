"""DICOM files made for a test: classic and enhanced MR, as small as they can be."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from collections.abc import Sequence as Values
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
)

ROWS, COLUMNS = 4, 6


def _image(sop_class: str) -> Dataset:
    ds = Dataset()
    ds.SOPClassUID = sop_class
    ds.SOPInstanceUID = "1.2.826.0.1.1"
    ds.StudyInstanceUID = "1.2.826.0.1.2"
    ds.SeriesInstanceUID = "1.2.826.0.1.3"
    ds.Modality = "MR"
    ds.StudyDate = "20260110"
    ds.Rows, ds.Columns = ROWS, COLUMNS
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return ds


@pytest.fixture
def classic() -> Dataset:
    """A single-frame MR image whose stored values count up from 0."""
    ds = _image(MRImageStorage)
    ds.ImagePositionPatient = [10, 20, 30]
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.PixelSpacing = [0.7, 0.8]
    ds.PixelData = np.arange(ROWS * COLUMNS, dtype="<u2").tobytes()
    return ds


@pytest.fixture
def enhanced() -> Dataset:
    """An Enhanced MR image of three frames, 2 mm apart; frame n holds the value n."""
    ds = _image(EnhancedMRImageStorage)
    ds.NumberOfFrames = 3
    shared = Dataset()
    shared.PlaneOrientationSequence = [item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])]
    shared.PixelMeasuresSequence = [item(PixelSpacing=[0.7, 0.8], SliceThickness=2)]
    shared.MRTimingAndRelatedParametersSequence = [item(RepetitionTime=5.5, FlipAngle=12)]
    ds.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for number in range(1, 4):
        frame = Dataset()
        frame.PlanePositionSequence = [item(ImagePositionPatient=[0, 0, 2 * number])]
        frame.MREchoSequence = [item(EffectiveEchoTime=2.5)]
        frames.append(frame)
    ds.PerFrameFunctionalGroupsSequence = Sequence(frames)
    values = np.repeat(np.arange(1, 4, dtype="<u2"), ROWS * COLUMNS)
    ds.PixelData = values.tobytes()
    return ds


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """Write a data set to a file of its own and return the file."""
    count = iter(range(1_000))

    def write(ds: Dataset, **options: Any) -> Path:
        path = tmp_path / f"{next(count)}.dcm"
        ds.save_as(path, enforce_file_format=True, **options)
        return path

    return write


def item(**values: Any) -> Dataset:
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


@pytest.fixture(name="item")
def item_factory() -> Callable[..., Dataset]:
    """Make a sequence item from keywords."""
    return item


def csa_bytes(elements: Mapping[str, Values[str]]) -> bytes:
    parts = [b"SV10\4\3\2\1", struct.pack("<II", len(elements), 77)]
    for name, values in elements.items():
        told = struct.pack("<I4sIII", 1, b"FD\0\0", 0, len(values), 77)
        parts.append(name.encode().ljust(64, b"\0") + told)
        for value in values:
            text = value.encode() + b"\0"
            parts.append(struct.pack("<IIII", len(text), len(text), 77, len(text)))
            parts.append(text.ljust((len(text) + 3) // 4 * 4, b"\0"))
    return b"".join(parts)


@pytest.fixture
def csa_header() -> Callable[[Mapping[str, Values[str]]], bytes]:
    """Make a CSA image header ("SV10") as Siemens writes it, with these elements and values."""
    return csa_bytes
