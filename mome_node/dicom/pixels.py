"""Pixel data of monochrome images as numbers: decoded, checked and rescaled.

Frames are decoded one at a time, so that memory is bounded by one frame whatever a file declares.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from mome_node.dicom.codestream import codestream_size
from mome_node.dicom.element_values import FOREIGN_ERRORS, Elements
from mome_node.dicom.header import InstanceFacts
from mome_node.dicom.header_reading import MAX_FRAMES, read_facts
from mome_node.dicom.header_stream import UNDEFINED_LENGTH, PixelElement, open_header
from mome_node.errors import PixelDataError

MAX_PIXELS = 4_096 * 4_096
"""Pixels of one frame; breast MR has at most 1024 × 1024."""

_PIXEL_KEYWORDS = (
    "BitsAllocated",
    "BitsStored",
    "Columns",
    "HighBit",
    "NumberOfFrames",
    "PhotometricInterpretation",
    "PixelRepresentation",
    "Rows",
    "SamplesPerPixel",
)
_NATIVE = frozenset(
    {
        ImplicitVRLittleEndian,
        ExplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
    }
)


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """How the pixels of a file are written (PS3.3 C.7.6.3.1), checked to be monochrome."""

    rows: int
    columns: int
    frames: int
    bits_allocated: int
    bits_stored: int
    signed: bool
    photometric: str
    transfer_syntax: UID

    @property
    def frame_bytes(self) -> int:
        """Bytes of one uncompressed frame."""
        return self.rows * self.columns * self.bits_allocated // 8


def decode_frame(path: Path, frame_number: int = 1) -> NDArray[np.float32]:
    """Decode one frame, counted from 1: float32 (rows, columns), rescaled.

    Raises HeaderError and PixelDataError as ``decode_frames`` does.
    """
    return next(decode_frames(path, [frame_number]))


def decode_frames(
    path: Path,
    frame_numbers: Sequence[int] | None = None,
    facts: InstanceFacts | None = None,
) -> Iterator[NDArray[np.float32]]:
    """Decode frames of one file, one at a time and in ascending order of their numbers.

    ``frame_numbers`` count from 1, None means all; ``facts`` saves reading the header again.
    Yields float32 (rows, columns): stored values × Rescale Slope + Rescale Intercept, those of
    the frame (PS3.3 C.11.1, C.7.6.16.2.9). MONOCHROME1 is not inverted: it says how to show a
    value, not what it is.

    Raises HeaderError if the header cannot be read, PixelDataError if the pixels are not
    monochrome integers, are missing, truncated or larger than allowed, or cannot be decoded.
    """
    facts = facts or read_facts(path)
    wanted = {Tag(keyword) for keyword in _PIXEL_KEYWORDS}
    with open_header(path, wanted) as stream:
        layout = _pixel_format(stream.top, stream.transfer_syntax_uid)
        numbers = _checked_numbers(frame_numbers, layout.frames)
        stream.skip_frame_items()
        element = stream.pixel_element()
        if element is None or element.tag != Tag("PixelData"):
            raise PixelDataError("the object has no integer Pixel Data (7FE0,0010)")
        for number, stored in _stored_frames(element, layout, numbers):
            frame = facts.frames[number - 1]
            yield _rescaled(stored, frame.rescale_slope, frame.rescale_intercept)


def _pixel_format(top: Elements, transfer_syntax_uid: str) -> PixelFormat:
    values = {keyword: top.integer(keyword) for keyword in _PIXEL_KEYWORDS}
    rows, columns = values["Rows"] or 0, values["Columns"] or 0
    frames = max(values["NumberOfFrames"] or 1, 1)
    allocated, stored = values["BitsAllocated"] or 0, values["BitsStored"] or 0
    photometric = top.text("PhotometricInterpretation")
    if rows < 1 or columns < 1 or rows * columns > MAX_PIXELS:
        raise PixelDataError(f"{rows} rows × {columns} columns: allowed are 1 to {MAX_PIXELS}")
    if frames > MAX_FRAMES:
        raise PixelDataError(f"{frames} frames are declared; at most {MAX_FRAMES} are read")
    if allocated not in (8, 16, 32) or not 1 <= stored <= allocated:
        raise PixelDataError(f"{stored} of {allocated} bits: allowed are up to 8, 16 or 32")
    if photometric not in ("MONOCHROME1", "MONOCHROME2") or values["SamplesPerPixel"] not in (
        None,
        1,
    ):
        raise PixelDataError("the image is not monochrome: MONOCHROME1 or MONOCHROME2 are read")
    if (values["HighBit"] or stored - 1) != stored - 1:
        raise PixelDataError("High Bit is not Bits Stored - 1 (PS3.5 8.1.1)")
    return PixelFormat(
        rows,
        columns,
        frames,
        allocated,
        stored,
        values["PixelRepresentation"] == 1,
        photometric,
        UID(transfer_syntax_uid or ImplicitVRLittleEndian),
    )


def _checked_numbers(frame_numbers: Sequence[int] | None, count: int) -> list[int]:
    if frame_numbers is None:
        return list(range(1, count + 1))
    numbers = sorted(set(frame_numbers))
    if not numbers or numbers[0] < 1 or numbers[-1] > count:
        raise PixelDataError(f"frames {numbers[:1]} to {numbers[-1:]} of {count} do not exist")
    return numbers


def _stored_frames(
    element: PixelElement, layout: PixelFormat, numbers: list[int]
) -> Iterator[tuple[int, NDArray[np.generic]]]:
    native = layout.transfer_syntax in _NATIVE
    if native == (element.length == UNDEFINED_LENGTH):
        kind = "encapsulated" if native else "native"
        raise PixelDataError(f"pixel data is {kind}, which its transfer syntax does not allow")
    encoded = _native_frames if native else _encapsulated_frames
    for number, data in encoded(element, layout, numbers):
        yield number, _decoded(data, layout, element.vr)


def _native_frames(
    element: PixelElement, layout: PixelFormat, numbers: list[int]
) -> Iterator[tuple[int, bytes]]:
    there = min(element.length, element.available)
    if there < layout.frame_bytes * layout.frames:
        raise PixelDataError(
            f"pixel data has {there} bytes; {layout.frames} frames need "
            f"{layout.frame_bytes * layout.frames}"
        )
    for number in numbers:
        element.stream.seek(element.offset + (number - 1) * layout.frame_bytes)
        yield number, element.stream.read(layout.frame_bytes)


def _encapsulated_frames(
    element: PixelElement, layout: PixelFormat, numbers: list[int]
) -> Iterator[tuple[int, bytes]]:
    element.stream.seek(element.offset)
    frames = generate_frames(element.stream, number_of_frames=layout.frames)
    wanted = iter(numbers)
    sought = next(wanted, None)
    found = 0
    while sought is not None:
        try:
            data = next(frames, None)
        except FOREIGN_ERRORS as error:
            raise PixelDataError(f"frame {found + 1} is damaged or truncated") from error
        if data is None:
            raise PixelDataError(f"pixel data has {found} of {layout.frames} frames")
        found += 1
        if found == sought:
            _check_codestream(data, layout)
            # Wrapped again, alone, so that the decoder meets one frame and no offset table.
            yield found, encapsulate([data], has_bot=False)
            sought = next(wanted, None)


def _check_codestream(frame: bytes, layout: PixelFormat) -> None:
    if layout.transfer_syntax == RLELossless:
        return
    size = codestream_size(frame)
    if size is None:
        raise PixelDataError("a frame is not what its transfer syntax says")
    if (size.rows, size.columns, size.components) != (layout.rows, layout.columns, 1):
        raise PixelDataError(
            f"a compressed frame of {size.rows} × {size.columns}, {size.components} components, "
            f"where {layout.rows} × {layout.columns} is declared"
        )


def _decoded(data: bytes, layout: PixelFormat, vr: str) -> NDArray[np.generic]:
    """Decode one frame, native or encapsulated: integers (rows, columns)."""
    options: dict[str, Any] = {
        "rows": layout.rows,
        "columns": layout.columns,
        "number_of_frames": 1,
        "samples_per_pixel": 1,
        "bits_allocated": layout.bits_allocated,
        "bits_stored": layout.bits_stored,
        "pixel_representation": int(layout.signed),
        "photometric_interpretation": layout.photometric,
        "pixel_keyword": "PixelData",
        "pixel_vr": vr or "OW",
    }
    try:
        array, _ = get_decoder(layout.transfer_syntax).as_array(data, raw=True, **options)
    except FOREIGN_ERRORS as error:
        name = layout.transfer_syntax.name
        raise PixelDataError(f"a frame cannot be decoded as {name}") from error
    stored = np.asarray(array)
    if stored.shape != (layout.rows, layout.columns):
        raise PixelDataError(f"a frame decodes to shape {stored.shape}")
    return stored


def _rescaled(stored: NDArray[np.generic], slope: float, intercept: float) -> NDArray[np.float32]:
    if not (math.isfinite(slope) and math.isfinite(intercept)):
        raise PixelDataError("Rescale Slope or Intercept is no finite number")
    values = stored.astype(np.float32)
    if (slope, intercept) != (1.0, 0.0):
        values *= np.float32(slope)
        values += np.float32(intercept)
    return values
