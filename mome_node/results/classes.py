"""The SOP class of each kind of result object, and the transfer syntaxes that it is made in."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pydicom.uid import (
    UID,
    Comprehensive3DSRStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    KeyObjectSelectionDocumentStorage,
    ParametricMapStorage,
    RLELossless,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from mome_node.results.profile import Encoding, Kind

STORAGE_CLASSES: Final[Mapping[Kind, UID]] = MappingProxyType(
    {
        "sr": Comprehensive3DSRStorage,
        "seg": SegmentationStorage,
        "summary": SecondaryCaptureImageStorage,
        "map": ParametricMapStorage,
        "key_objects": KeyObjectSelectionDocumentStorage,
    }
)

_UNCOMPRESSED: Final = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)


def transfer_syntaxes(kind: Kind, encoding: Encoding) -> tuple[UID, ...]:
    """The transfer syntaxes that objects of a kind can be sent in: any of them will do.

    The two without compression are converted into each other.
    """
    return (RLELossless,) if encoding == "rle" and kind == "summary" else _UNCOMPRESSED
