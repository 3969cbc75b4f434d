"""The CSA header that Siemens software up to syngo MR E writes into (0029,xx10).

Its layout is not published by the maker; it is as nibabel documents it for the form that begins
with "SV10": counted, named elements, each with counted text values padded to four bytes. All of it
is little endian, whatever the file is.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from mome_node.dicom.element_values import Elements
from mome_node.dicom.private_elements import PrivateElement, private_element

CSA_IMAGE_HEADER = PrivateElement("siemens", "SIEMENS CSA HEADER", 0x0029, 0x10, "OB")

MAX_ELEMENTS, MAX_ITEMS = 256, 1_024
"""More than any real header has: about 100 elements, one value a slice."""

_MAGIC = b"SV10"
_ELEMENT_BYTES, _ITEM_BYTES = 84, 16


def read_csa(source: Elements, manufacturer: str) -> Mapping[str, tuple[str, ...]]:
    """Return the values of a data set's CSA image header by name; {} without a readable one."""
    element = private_element(source, CSA_IMAGE_HEADER, manufacturer)
    return {} if element is None else parse_csa(element.value or b"")


def parse_csa(header: bytes) -> Mapping[str, tuple[str, ...]]:
    """Return the values of a CSA header by name, without empty ones.

    What does not parse ends the reading: the elements before it are returned.
    """
    found: dict[str, tuple[str, ...]] = {}
    if header[:4] != _MAGIC or len(header) < 16:
        return found
    (count,) = struct.unpack_from("<I", header, 8)
    at = 16
    for _ in range(min(count, MAX_ELEMENTS)):
        if at + _ELEMENT_BYTES > len(header):
            break
        name = header[at : at + 64].split(b"\0")[0].decode("ascii", errors="replace")
        (items,) = struct.unpack_from("<I", header, at + 76)
        at += _ELEMENT_BYTES
        if items > MAX_ITEMS:
            break
        values, at = _values(header, at, items)
        if values:
            found.setdefault(name, values)
    return found


def csa_numbers(csa: Mapping[str, tuple[str, ...]], name: str) -> tuple[float, ...]:
    """Return an element's values if all are numbers; () otherwise."""
    try:
        return tuple(float(value) for value in csa.get(name, ()))
    except ValueError:
        return ()


def _values(header: bytes, at: int, items: int) -> tuple[tuple[str, ...], int]:
    """The values that begin at ``at``, and where the next element begins (the end if none does)."""
    values = []
    for _ in range(items):
        if at + _ITEM_BYTES > len(header):
            return (), len(header)
        (length,) = struct.unpack_from("<I", header, at + 4)
        at += _ITEM_BYTES
        if at + length > len(header):
            return (), len(header)
        text = header[at : at + length].split(b"\0")[0].decode("ascii", errors="replace").strip()
        if text:
            values.append(text)
        at += (length + 3) // 4 * 4
    return tuple(values), at
