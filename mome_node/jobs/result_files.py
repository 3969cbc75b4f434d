"""Reading back the result objects that an evaluation left on disk."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import pydicom
from pydicom.filereader import read_file_meta_info, read_preamble

from mome_node.errors import ResultError


def dataset_bytes(path: Path) -> tuple[bytes, str]:
    """The encoded data set of a DICOM file (PS3.10) and its Transfer Syntax UID."""
    meta = read_file_meta_info(path)
    with path.open("rb") as file:
        read_preamble(file, force=False)
        # (0002,0000): 4 bytes of tag, 4 of VR and length, 4 of value, which counts what follows.
        file.seek(12, 1)
        length = meta.get("FileMetaInformationGroupLength")
        if length is None:
            raise ResultError(f"{path.name} has no File Meta Information Group Length")
        file.seek(int(length), 1)
        return file.read(), str(meta.TransferSyntaxUID)


def series_uid_of(file: BinaryIO) -> str:
    """Series Instance UID of a DICOM file."""
    header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=["SeriesInstanceUID"])
    return str(header.SeriesInstanceUID)
