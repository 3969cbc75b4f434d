"""A DICOM file read forward, in bounded memory: header, functional groups, pixel data.

Nothing is trusted: how much may be read, how large a deflated data set may become and how many
elements may be parsed are all limited, and what pydicom raises becomes HeaderError.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset, read_partial, read_preamble, read_sequence_item
from pydicom.tag import BaseTag
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from mome_node.dicom.bounded_reading import BoundedReader, CappedReader, TooMuchReadError
from mome_node.dicom.element_values import FOREIGN_ERRORS, MAX_VALUE_BYTES, Elements
from mome_node.errors import HeaderError

MAX_INFLATED_BYTES = 1 << 29
"""Size that a deflated data set may grow to, pixel data included."""

SHARED_GROUPS = 0x52009229
PER_FRAME_GROUPS = 0x52009230
PIXEL_DATA = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
UNDEFINED_LENGTH = 0xFFFFFFFF

_LONG_VRS = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN"}) | {
    b"UR",
    b"UT",
    b"UV",
}
"""Explicit value representations with a length of 32 bits (PS3.5 7.1.2)."""


@dataclass(frozen=True, slots=True)
class PixelElement:
    """Where pixel data lies: ``length`` bytes from ``offset`` of ``stream``.

    ``length`` is UNDEFINED_LENGTH for encapsulated pixel data (PS3.5 A.4).
    """

    stream: BinaryIO
    tag: int
    vr: str
    offset: int
    length: int
    available: int  # bytes that the stream really has from ``offset`` on
    little_endian: bool


class HeaderStream:
    """One open file. Ask for its parts in the order of the class: each moves forward.

    ``top`` are the wanted elements before the functional groups; ``transfer_syntax_uid`` is
    empty in files without File Meta Information.
    """

    def __init__(
        self, stream: BinaryIO, wanted: Collection[int], longest_value: int = MAX_VALUE_BYTES
    ) -> None:
        self._stream = BoundedReader(stream)
        dataset, self.transfer_syntax_uid, body = _read_top(self._stream, wanted, longest_value)
        self.top = Elements(dataset)
        self._dataset = dataset
        self._body = body
        self._encoding = dataset.original_character_set
        self._implicit, self._little = _encoding_of(dataset)

    def shared_groups(self) -> Elements | None:
        """Return the item of the Shared Functional Groups Sequence, however large it is."""
        element = self._dataset.get_item(SHARED_GROUPS, keep_deferred=True)
        if not isinstance(element, RawDataElement) or element.value is not None:
            return self.top.item("SharedFunctionalGroupsSequence")
        resume = self._body.tell()
        self._body.seek(element.value_tell)
        with _translated():
            item = read_sequence_item(
                cast(BinaryIO, self._body), self._implicit, self._little, self._encoding
            )
        self._body.seek(resume)
        return None if item is None else Elements(item)

    def frame_items(self) -> Iterator[Elements]:
        """Yield the items of the Per-Frame Functional Groups Sequence, one at a time."""
        element = self._element_header(frozenset({PER_FRAME_GROUPS}))
        if element is None:
            return
        _, vr, length = element
        implicit = self._implicit or vr == "UN"
        end = self._body.tell() + length
        while length == UNDEFINED_LENGTH or self._body.tell() < end:
            self._body.renew()
            with _translated():
                item = read_sequence_item(
                    cast(BinaryIO, self._body), implicit, self._little, self._encoding
                )
            if item is None:
                break
            yield Elements(item)

    def skip_frame_items(self) -> None:
        """Move past the functional groups, or what is left of them."""
        start = self._body.tell()
        element = self._element_header(frozenset({PER_FRAME_GROUPS}))
        if element is not None and element[2] != UNDEFINED_LENGTH:
            self._body.seek(self._body.tell() + element[2])
        elif element is not None:
            self._body.seek(start)
            for _ in self.frame_items():
                pass

    def pixel_element(self) -> PixelElement | None:
        """Where the pixel data lies, None if there is none."""
        self._body.renew()
        with _translated():
            read_dataset(
                cast(BinaryIO, self._body),
                self._implicit,
                self._little,
                stop_when=_stop_at_pixels,
                defer_size=MAX_VALUE_BYTES,
                specific_tags=[BaseTag(0x00080005)],
            )
        element = self._element_header(PIXEL_DATA)
        if element is None:
            return None
        tag, vr, length = element
        offset = self._body.tell()
        available = self._body.seek(0, io.SEEK_END) - offset
        stream = cast(BinaryIO, CappedReader(self._body.stream, offset + available))
        return PixelElement(stream, tag, vr, offset, length, available, self._little)

    def _element_header(self, expected: frozenset[int]) -> tuple[int, str, int] | None:
        """Tag, VR and length of the element at hand; None, not moved, if it is another one."""
        start = self._body.tell()
        head = self._body.read(8)
        order = "<" if self._little else ">"
        if len(head) == 8:
            group, element, length = struct.unpack(f"{order}HHL", head)
            tag = group << 16 | element
            if tag in expected:
                vr = head[4:6]
                if self._implicit:
                    return tag, "", length
                if vr not in _LONG_VRS:
                    return (
                        tag,
                        vr.decode("ascii", errors="replace"),
                        struct.unpack(f"{order}H", head[6:])[0],
                    )
                rest = self._body.read(4)
                if len(rest) == 4:
                    return (
                        tag,
                        vr.decode("ascii", errors="replace"),
                        struct.unpack(f"{order}L", rest)[0],
                    )
        self._body.seek(start)
        return None


@contextmanager
def open_header(
    path: Path, wanted: Collection[int], *, longest_value: int = MAX_VALUE_BYTES
) -> Iterator[HeaderStream]:
    """Open a DICOM file, with or without preamble and File Meta Information.

    Values of more than ``longest_value`` bytes are left unread.

    Raises HeaderError if it cannot be opened or its header cannot be parsed within the limits.
    """
    try:
        stream = path.open("rb")
    except OSError as error:
        raise HeaderError(f"the file cannot be opened: {error.strerror}") from error
    with stream:
        yield HeaderStream(stream, wanted, longest_value)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except HeaderError:
        raise
    except TooMuchReadError as error:
        raise HeaderError(str(error)) from error
    except FOREIGN_ERRORS as error:
        raise HeaderError(f"the header cannot be parsed ({type(error).__name__})") from error


def _read_top(
    stream: BoundedReader, wanted: Collection[int], longest_value: int
) -> tuple[Dataset, str, BoundedReader]:
    """Read what precedes functional groups and pixel data; the transfer syntax; the rest."""
    tags = cast("list[BaseTag | int]", list(wanted))
    with _translated():
        if _is_deflated(stream):
            body = BoundedReader(io.BytesIO(_inflated(stream.stream)))
            dataset = read_dataset(
                cast(BinaryIO, body),
                is_implicit_VR=False,
                is_little_endian=True,
                stop_when=_stop_at_body,
                defer_size=longest_value,
                specific_tags=tags,
            )
            return dataset, str(DeflatedExplicitVRLittleEndian), body
        file = read_partial(
            cast(BinaryIO, stream),
            stop_when=_stop_at_body,
            defer_size=longest_value,
            force=True,
            specific_tags=tags,
        )
        syntax = str(file.file_meta.get("TransferSyntaxUID") or "").strip(" \0")
        return file, syntax, stream


def _is_deflated(stream: BoundedReader) -> bool:
    """Whether the data set is deflated; if so the stream stands at its first byte."""
    uid = str(DeflatedExplicitVRLittleEndian).encode()
    head = stream.read(4_096)
    stream.seek(0)
    if uid not in head:
        return False
    source = cast(BinaryIO, stream)
    read_preamble(source, force=True)
    meta = read_dataset(
        source,
        is_implicit_VR=ExplicitVRLittleEndian.is_implicit_VR,
        is_little_endian=True,
        stop_when=lambda tag, _vr, _length: tag >> 16 != 2,
    )
    element = Elements(meta).raw(0x00020010)
    if element is not None and (element.value or b"").strip(b" \0") == uid:
        return True
    stream.seek(0)
    return False


def _inflated(stream: BinaryIO) -> bytes:
    """Inflate the rest of the stream (PS3.5 A.5: raw deflate), refusing too much."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = bytearray()
    while (chunk := stream.read(1 << 20)) and not inflater.eof:
        try:
            inflated += inflater.decompress(chunk, MAX_INFLATED_BYTES + 1 - len(inflated))
        except zlib.error as error:
            raise HeaderError("the deflated data set is damaged") from error
        if len(inflated) > MAX_INFLATED_BYTES:
            raise HeaderError(f"the data set inflates to more than {MAX_INFLATED_BYTES} bytes")
    return bytes(inflated)


def _encoding_of(dataset: Dataset) -> tuple[bool, bool]:
    """Whether the data set is implicit VR, and little endian, as it was found to be."""
    elements = Elements(dataset)
    for tag in dataset.keys():  # noqa: SIM118 (a data set iterates over its elements)
        element = elements.raw(tag)
        if element is not None:
            return element.is_implicit_VR, element.is_little_endian
    return False, True


def _stop_at_body(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return tag == PER_FRAME_GROUPS or tag in PIXEL_DATA


def _stop_at_pixels(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return tag in PIXEL_DATA
