"""Attribute lists of DIMSE-N requests, read element by element: what is wrong is told in kind.

Which status a kind of fault has depends on the service and the operation: see ``availability``
and ``commitment`` of ``ingest``, and ``commitment_report``.
"""

from __future__ import annotations

import io
from enum import Enum, auto

from pydicom.datadict import dictionary_description
from pydicom.uid import UID

from mome_node.dicom.dataset_walk import (
    Encoding,
    HeaderLimitError,
    WalkedItem,
    WalkLimits,
    walk_items,
)
from mome_node.dicom.uids import is_valid_uid
from mome_node.errors import HeaderError


class AttributeFault(Enum):
    """What may be wrong with an attribute list."""

    BROKEN = auto()  # its encoding
    TOO_MUCH = auto()
    MISSING = auto()
    EMPTY = auto()
    INVALID = auto()


class AttributeRefusal(Exception):  # noqa: N818 (an outcome on its way up, no error of the node)
    """Ends the receipt of one request; whoever receives it answers with a status."""

    def __init__(self, fault: AttributeFault, comment: str) -> None:
        super().__init__(comment)
        self.fault = fault


def read_attribute_list(
    encoded: bytes, transfer_syntax_uid: str, wanted: frozenset[int], limits: WalkLimits
) -> WalkedItem:
    """Return the ``wanted`` elements of an encoded attribute list; AttributeRefusal."""
    syntax = UID(transfer_syntax_uid)
    encoding = Encoding(syntax.is_implicit_VR, syntax.is_little_endian)
    try:
        return walk_items(io.BytesIO(encoded), len(encoded), encoding, wanted, limits)
    except HeaderLimitError as error:
        raise AttributeRefusal(AttributeFault.TOO_MUCH, str(error)) from error
    except HeaderError as error:
        raise AttributeRefusal(AttributeFault.BROKEN, str(error)) from error


def items_of(parent: WalkedItem, tag: int) -> list[WalkedItem]:
    """Return the items of a sequence, at least one; AttributeRefusal."""
    if tag not in parent.sequences:
        raise AttributeRefusal(AttributeFault.MISSING, f"there is no {_name(tag)}")
    if not parent.sequences[tag]:
        raise AttributeRefusal(AttributeFault.EMPTY, f"the {_name(tag)} is empty")
    return parent.sequences[tag]


def uid_of(parent: WalkedItem, tag: int) -> str:
    """Return a UID that is one (PS3.5 9.1); AttributeRefusal."""
    text = text_of(parent, tag)
    if not is_valid_uid(text):
        raise AttributeRefusal(AttributeFault.INVALID, f"a {_name(tag)} is no UID (PS3.5 9.1)")
    return text


def text_of(parent: WalkedItem, tag: int) -> str:
    """Return a text without its padding, not empty; AttributeRefusal."""
    if tag not in parent.values:
        raise AttributeRefusal(AttributeFault.MISSING, f"there is no {_name(tag)}")
    text = parent.values[tag].rstrip(b"\0 ").decode("ascii", "replace")
    if not text:
        raise AttributeRefusal(AttributeFault.EMPTY, f"a {_name(tag)} is empty")
    return text


def _name(tag: int) -> str:
    return dictionary_description(tag)
