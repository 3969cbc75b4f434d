"""SOP classes and transfer syntaxes: what this node accepts, and what can become model input."""

from __future__ import annotations

from typing import Final

from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    AllTransferSyntaxes,
    DeflatedExplicitVRLittleEndian,
    EnhancedMRImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    LegacyConvertedEnhancedMRImageStorage,
    MRImageStorage,
)
from pynetdicom.presentation import AllStoragePresentationContexts

ROLE_CLASSES: Final = frozenset(
    {
        str(MRImageStorage),
        str(EnhancedMRImageStorage),
        str(LegacyConvertedEnhancedMRImageStorage),
    }
)
"""Storage SOP classes whose instances can have a role in an exam (PS3.4 B.5).

Enhanced MR Color is left out: no volume is made of colours.
"""

PRIVATE_STORAGE_CLASSES: Final = {
    "1.3.12.2.1107.5.9.1": "SiemensCSANonImageStorage",
    "1.3.46.670589.11.0.0.12.1": "PhilipsPrivateMRSpectrumStorage",
    "1.3.46.670589.11.0.0.12.2": "PhilipsPrivateMRSeriesDataStorage",
    "1.3.46.670589.11.0.0.12.3": "PhilipsPrivateMRColorImageStorage",
    "1.3.46.670589.11.0.0.12.4": "PhilipsPrivateMRExamcardDataStorage",
}
"""Makers' storage classes that MR studies hold; refusing them would fail the whole forward."""

_WITHOUT_CODEC: Final = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)


def uses_role(sop_class_uid: str) -> bool:
    """Tell whether instances of this SOP class can become model input."""
    return sop_class_uid in ROLE_CLASSES


def storage_classes() -> tuple[str, ...]:
    """Return every storage SOP class that is accepted: all of PS3.4 B.5 and the makers' own."""
    standard = [str(context.abstract_syntax) for context in AllStoragePresentationContexts]
    return (*standard, *PRIVATE_STORAGE_CLASSES)


def decodable_transfer_syntaxes() -> tuple[str, ...]:
    """Return the transfer syntaxes whose pixel data the installed packages can decode."""
    return tuple(str(syntax) for syntax in AllTransferSyntaxes if _is_decodable(str(syntax)))


def _is_decodable(transfer_syntax_uid: str) -> bool:
    if transfer_syntax_uid in _WITHOUT_CODEC:
        return True
    try:
        return bool(get_decoder(transfer_syntax_uid).is_available)
    except NotImplementedError:
        return False
