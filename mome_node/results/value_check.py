"""Whether every value is what its VR and VM allow (PS3.5 section 6, PS3.6), and none is private.

By pydicom's dictionary and its validators. A fault names the attribute, never its value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, Final

from pydicom.config import RAISE
from pydicom.datadict import dictionary_VM, dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.valuerep import validate_value

from mome_node.dicom.uids import is_valid_uid

AS_THE_IMAGES: Final = frozenset(
    {
        *("PatientName", "PatientID", "IssuerOfPatientID", "ReferringPhysicianName"),
        *("AccessionNumber", "StudyID"),
    }
)
"""What ties a result to its patient and study must be what the archive has, valid or not."""

UIDS_OF_THE_IMAGES: Final = frozenset(
    {
        *("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"),
        *("ReferencedSOPInstanceUID", "ReferencedFrameOfReferenceUID"),
    }
)
"""UIDs that refer to what others made: scanners write zeros in front of components."""

_TEXTS: Final = frozenset(
    {
        *("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO"),
        *("LT", "PN", "SH", "ST", "TM", "UC", "UR", "UT"),
    }
)
_ONE_LINE: Final = frozenset(("LO", "PN", "SH", "UC"))
_CONTROL: Final = re.compile(r"[\x00-\x1a\x1c-\x1f\x7f\\]")  # all but ESC (PS3.5 6.1.3)
_OTHERS_UID: Final = re.compile(r"[0-9.]{1,64}", re.ASCII)
_NOT_DECODED: Final = "\ufffd"


def value_faults(dataset: Dataset, at: str = "") -> Iterator[str]:
    """What is wrong with the values of a data set and of its items, an attribute a line.

    ``at`` is the path of the data set in the object.
    """
    for element in dataset:
        name = f"{at}{element.keyword or element.tag}"
        if element.tag.is_private:
            # Nobody can tell that a private element holds no identity (PS3.15 annex E).
            yield f"{name} is private"
        elif element.VR == "SQ":
            for number, item in enumerate(element.value, start=1):
                yield from value_faults(item, f"{name}[{number}].")
        else:
            yield from (f"{name} {fault}" for fault in _faults(element, top=not at))


def _faults(element: DataElement, *, top: bool) -> Iterator[str]:
    try:
        vr, vm = dictionary_VR(element.tag), dictionary_VM(element.tag)
    except KeyError:
        yield "is not in the dictionary"
        return
    if element.VR not in vr.split(" or "):
        yield f"has VR {element.VR}, not {vr}"
        return
    if element.is_empty or isinstance(element.value, bytes):
        return
    value = element.value
    values = list(value) if isinstance(value, MultiValue | list) else [value]
    if not _counts(vm, len(values)):
        yield f"has {len(values)} values, not {vm}"
    own = not (top and element.keyword == "SeriesInstanceUID")
    others = element.keyword in UIDS_OF_THE_IMAGES and own
    if not all(_is_valid(element, value, others=others) for value in values):
        yield f"has a value that VR {element.VR} does not allow"


def _is_valid(element: DataElement, value: Any, *, others: bool) -> bool:
    if element.VR == "UI":
        text = str(value)
        return is_valid_uid(text) or (others and _OTHERS_UID.fullmatch(text) is not None)
    if element.VR in ("FD", "FL"):
        return math.isfinite(value)
    if element.VR not in _TEXTS:
        return True  # pydicom has read it as a number or tag of its size
    if element.keyword in AS_THE_IMAGES:
        return True
    text = str(value)  # numbers as they stand in the object
    if _NOT_DECODED in text:
        return False
    if element.VR in _ONE_LINE and _CONTROL.search(text):
        return False
    try:
        validate_value(element.VR, text, RAISE)
    except ValueError:
        return False
    return True


def _counts(vm: str, count: int) -> bool:
    """Whether a number of values is one that a VM such as 3, 1-n or 2-2n allows."""
    least, _, most = vm.partition("-")
    if not most:
        return count == int(least)
    if count < int(least):
        return False
    if most.isdigit():
        return count <= int(most)
    step = most.removesuffix("n")
    return count % int(step) == 0 if step else True
