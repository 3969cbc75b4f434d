"""What an encoded data set says of where it belongs, or why it cannot be taken."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass, field
from functools import lru_cache
from typing import BinaryIO, Final

from pydicom.charset import convert_encodings, decode_bytes
from pydicom.uid import UID

from mome_node.dicom.dataset_walk import Encoding, WalkLimits, walk_header
from mome_node.dicom.patient import patient_mark
from mome_node.dicom.uids import is_valid_uid
from mome_node.errors import HeaderError
from mome_node.ingest.inflate import InflatingReader

_CHARACTER_SET: Final = 0x00080005
_SOP_CLASS: Final = 0x00080016
_SOP_INSTANCE: Final = 0x00080018
_ACCESSION: Final = 0x00080050
_PATIENT_NAME: Final = 0x00100010
_PATIENT_ID: Final = 0x00100020
_ISSUER: Final = 0x00100021
_BIRTH_DATE: Final = 0x00100030
_STUDY: Final = 0x0020000D
_SERIES: Final = 0x0020000E
_NEEDED: Final = frozenset(
    {_CHARACTER_SET, _SOP_CLASS, _SOP_INSTANCE, _STUDY, _SERIES, _PATIENT_ID, _ISSUER}
)
_IF_SOUND: Final = frozenset({_ACCESSION, _PATIENT_NAME, _BIRTH_DATE})
"""What an image is not refused for: broken, it says nothing."""
_JIS_X_0201: Final = "IR 13"  # ISO_IR 13, ISO 2022 IR 13: a yen sign instead of a backslash


@dataclass(frozen=True, slots=True)
class HeaderLimits:
    """How much a header may ask of us."""

    walk: WalkLimits = field(default_factory=WalkLimits)
    max_inflated_bytes: int = 1 << 30


@dataclass(frozen=True, slots=True)
class DatasetIdentity:
    """The identifying elements of a data set; the UIDs are valid."""

    sop_class_uid: str
    sop_instance_uid: str
    study_uid: str
    series_uid: str
    patient_id: str
    issuer_of_patient_id: str
    accession_number: str
    patient_mark: str  # dicom.patient.patient_mark


def read_identity(
    dataset: BinaryIO, size: int, transfer_syntax_uid: str, limits: HeaderLimits
) -> DatasetIdentity:
    """Read the identity from an encoded data set of ``size`` bytes.

    HeaderError if the data set is broken before its pixel data, or lacks a valid UID.
    """
    encoding, is_deflated = _encoding(transfer_syntax_uid)
    if is_deflated:
        with InflatingReader(dataset, limits.max_inflated_bytes) as inflating:
            stream = io.BufferedReader(inflating)
            values = walk_header(stream, None, encoding, _NEEDED, limits.walk, _IF_SOUND)
            inflating.drain()
    else:
        values = walk_header(dataset, size, encoding, _NEEDED, limits.walk, _IF_SOUND)
    if "\0" in _character_set(values):
        raise HeaderError("the Specific Character Set holds a NUL: readers give up over it")
    patient_id, issuer = _text(values, _PATIENT_ID), _text(values, _ISSUER)
    name, birth_date = _text(values, _PATIENT_NAME), _text(values, _BIRTH_DATE)
    return DatasetIdentity(
        sop_class_uid=_uid(values, _SOP_CLASS, "SOP Class UID"),
        sop_instance_uid=_uid(values, _SOP_INSTANCE, "SOP Instance UID"),
        study_uid=_uid(values, _STUDY, "Study Instance UID"),
        series_uid=_uid(values, _SERIES, "Series Instance UID"),
        patient_id=patient_id,
        issuer_of_patient_id=issuer,
        accession_number=_text(values, _ACCESSION),
        patient_mark=patient_mark(patient_id, issuer, name, birth_date),
    )


@lru_cache(maxsize=64)
def _encoding(transfer_syntax_uid: str) -> tuple[Encoding, bool]:
    """How elements are encoded, and whether the whole is deflated."""
    syntax = UID(transfer_syntax_uid)
    return Encoding(syntax.is_implicit_VR, syntax.is_little_endian), syntax.is_deflated


def _uid(values: dict[int, bytes], tag: int, name: str) -> str:
    if tag not in values:
        raise HeaderError(f"there is no {name} before the pixel data")
    text = values[tag].rstrip(b"\0 ").decode("ascii", "replace")
    if not is_valid_uid(text):
        raise HeaderError(f"the {name} is not valid (PS3.5 9.1)")
    return text


def _text(values: dict[int, bytes], tag: int) -> str:
    """Decode a text value as Specific Character Set says, as far as that goes."""
    value = values.get(tag, b"")
    declared = _character_set(values)
    if value.isascii() and b"\x1b" not in value and _JIS_X_0201 not in declared:
        # The same in every other character set of PS3.3 C.12.1.1.2, and nearly all there is.
        return _printable(value.decode("ascii").strip("\0 "))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of unknown character sets: the bytes are kept anyway
        try:
            encodings = convert_encodings(declared.split("\\"))
            text = decode_bytes(value, encodings, set())
        except (LookupError, ValueError):
            text = value.decode("latin-1")
    return _printable(text.strip("\0 "))


def _printable(text: str) -> str:
    return text if text.isprintable() else "".join(c for c in text if c.isprintable())


def _character_set(values: dict[int, bytes]) -> str:
    return values.get(_CHARACTER_SET, b"").decode("ascii", "replace").rstrip("\0 ")
