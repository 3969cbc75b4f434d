"""Is an object what its IOD asks for? Our own check, before anything leaves.

By highdicom's tables of modules and attributes, pydicom's dictionary and validators, and what no
table has: functional groups, pixel data, content trees. No fault quotes a value.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pydicom.config import disable_value_validation
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.uid import UID

from mome_node.dicom.uids import is_valid_uid
from mome_node.results.content_tree_check import content_tree_faults
from mome_node.results.frame_check import frame_faults
from mome_node.results.iod_tables import Attribute, Attributes, attributes_of
from mome_node.results.value_check import value_faults

_CODE_VALUES: Final = ("CodeValue", "LongCodeValue", "URNCodeValue")
_CODED: Final = (*_CODE_VALUES, "CodeMeaning")
_META: Final = (
    ("MediaStorageSOPClassUID", "SOPClassUID"),
    ("MediaStorageSOPInstanceUID", "SOPInstanceUID"),
)


def iod_faults(dataset: Dataset) -> tuple[str, ...]:
    """What is wrong with an object, a line a fault; nothing if it is valid.

    ``dataset`` is read from a file, with its File Meta Information. Raises ResultError if its IOD
    is none that can be checked.
    """
    # What pydicom warns of while it reads would quote values.
    with disable_value_validation():
        attributes = attributes_of(dataset)
        return tuple(
            dict.fromkeys(
                (
                    *_meta_faults(dataset),
                    *attribute_faults(dataset, attributes),
                    *value_faults(dataset),
                    *frame_faults(dataset),
                    *content_tree_faults(dataset),
                )
            )
        )


def attribute_faults(dataset: Dataset, attributes: Attributes, at: str = "") -> Iterator[str]:
    """What of a data set is missing or empty. ``at`` is its path in the object."""
    for tag, attribute in attributes.items():
        if attribute.required and tag not in dataset:
            yield f"{at}{keyword_for_tag(tag)} is missing"
    for element in dataset:
        asked = attributes.get(element.tag, _NOTHING)
        name = f"{at}{element.keyword}"
        if asked.filled and element.is_empty:
            yield f"{name} is empty"
        elif element.VR == "SQ":
            for number, item in enumerate(element.value, start=1):
                place = f"{name}[{number}]."
                yield from attribute_faults(item, asked.items, place)
                if element.keyword.endswith("CodeSequence") or any(k in item for k in _CODED):
                    yield from (f"{place}{fault}" for fault in _code_faults(item))


_NOTHING: Final = Attribute()


def _code_faults(item: Dataset) -> Iterator[str]:
    """The Code Sequence macro's conditions (PS3.3 8.8), which a table of types cannot have."""
    present = [keyword for keyword in _CODE_VALUES if item.get(keyword)]
    if len(present) != 1:
        yield "CodeValue is missing, or not the only one"
    elif present[0] != "URNCodeValue" and not item.get("CodingSchemeDesignator"):
        yield "CodingSchemeDesignator is missing"
    if not item.get("CodeMeaning"):
        yield "CodeMeaning is missing"


def _meta_faults(dataset: Dataset) -> Iterator[str]:
    """File Meta Information (PS3.10 7.1) and whether it tells of this data set."""
    meta = getattr(dataset, "file_meta", None)
    if meta is None:
        yield "there is no File Meta Information"
        return
    for stated, actual in _META:
        if meta.get(stated) != dataset.get(actual):
            yield f"{stated} of the File Meta Information is not the {actual}"
    syntax = UID(meta.get("TransferSyntaxUID", ""))
    if not (is_valid_uid(syntax) and syntax.is_transfer_syntax):
        yield "TransferSyntaxUID of the File Meta Information is no transfer syntax"
    if not is_valid_uid(str(meta.get("ImplementationClassUID", ""))):
        yield "ImplementationClassUID of the File Meta Information is missing or no UID"
