"""Signal to stored values, and objects to files plane by plane."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from mome_node.errors import PhantomError
from mome_node.phantom.dicom_writer.identity import derived_uid

_LARGEST_VALUE = 2**32 - 2
"""The longest value that an element of defined length can have (PS3.5 7.1.1)."""


def encoded(plane: NDArray[np.float32], slope: float, bits_stored: int) -> bytes:
    """A plane (rows, columns) of signal as unsigned 16-bit little-endian stored values.

    Signal below zero or above what ``bits_stored`` can hold is clipped, as a receiver saturates.
    Raises PhantomError where a signal is not a finite number.
    """
    if not np.isfinite(plane).all():
        raise PhantomError("a plane of the phantom holds a signal that is not a finite number")
    stored: NDArray[np.float32] = np.clip(np.rint(plane / slope), 0, 2**bits_stored - 1)
    return stored.astype("<u2").tobytes()


def add_pixel_module(ds: Dataset, shape: tuple[int, int, int], bits_stored: int) -> None:
    """The Image Pixel module (PS3.3 C.7.6.3) without its Pixel Data."""
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Columns, ds.Rows = shape[:2]
    ds.BitsAllocated = 16
    ds.BitsStored = bits_stored
    ds.HighBit = bits_stored - 1
    ds.PixelRepresentation = 0


def write_object(path: Path, ds: Dataset, planes: Iterable[bytes], frames: int) -> None:
    """Write a data set without Pixel Data, then its planes one by one (Explicit VR Little Endian).

    Only one plane is in memory at a time. Pixel Data is the last element, so it is appended.
    Raises PhantomError if the planes are more than one object can hold.
    """
    length = frames * ds.Rows * ds.Columns * 2
    if length > _LARGEST_VALUE:
        raise PhantomError(
            f"{frames} frames of {ds.Rows} × {ds.Columns} are more than one object can hold: "
            f"{length} bytes, at most {_LARGEST_VALUE}; write single-frame objects instead"
        )
    ds.file_meta = _file_meta(ds)
    with path.open("wb") as file:
        dcmwrite(file, ds, enforce_file_format=True)
        file.write(struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, length))
        for plane in planes:
            file.write(plane)


def _file_meta(ds: Dataset) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(derived_uid("implementation", "phantom"))
    meta.ImplementationVersionName = "MOME_PHANTOM"
    return meta
