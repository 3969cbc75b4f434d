"""What each IOD asks for, by highdicom's copy of the standard's tables (PS3.3 annexes A and C).

The tables are flat lists made from the standard's text by a program: where they say less or more
than the standard means, ALWAYS and NOT_ALWAYS put it right, each line with its reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.uid import ParametricMapStorage, SegmentationStorage

from mome_node.errors import ResultError

Path = tuple[str, ...]

ALWAYS: Final[Mapping[str, tuple[Path, ...]]] = {
    # Conditions (1C) that hold for every object of this node.
    "segmentation-multi-frame-functional-groups": (
        ("PerFrameFunctionalGroupsSequence",),  # frames that differ in place
        ("*", "PlanePositionSequence", "ImagePositionPatient"),  # there is a frame of reference
        ("*", "PlaneOrientationSequence", "ImageOrientationPatient"),
        ("*", "PixelMeasuresSequence", "PixelSpacing"),
        ("*", "PixelMeasuresSequence", "SliceThickness"),
        ("*", "FrameContentSequence", "DimensionIndexValues"),  # there are dimensions
    ),
    "parametric-map-multi-frame-functional-groups": (
        ("PerFrameFunctionalGroupsSequence",),
        ("*", "PlanePositionSequence", "ImagePositionPatient"),
        ("*", "PlaneOrientationSequence", "ImageOrientationPatient"),
        ("*", "PixelMeasuresSequence", "PixelSpacing"),
        ("*", "PixelMeasuresSequence", "SliceThickness"),
        ("*", "FrameContentSequence", "DimensionIndexValues"),
    ),
    "segmentation-image": (
        ("SegmentSequence", "TrackingID"),  # the report's groups name them
        ("SegmentSequence", "TrackingUID"),
    ),
    "multi-frame-dimension": (("DimensionIndexSequence",),),
    "image-pixel": (("PixelData",),),  # no pixel data provider
    "common-instance-reference": (("ReferencedSeriesSequence",),),  # made from images of the study
}
"""Attributes of a module that must be there with a value; "*" is either functional group."""

NOT_ALWAYS: Final[Mapping[str, tuple[Path, ...]]] = {
    # C.8.6.3 has the condition: only without functional groups, and with more than one frame.
    "multi-frame": (("FrameIncrementPointer",),),
}
"""Attributes that the table calls Type 1, though another module of the IOD has a condition."""

NOT_BY_TABLE: Final = frozenset({"sr-document-content"})
"""Modules whose table says nothing of one item: it lists the attributes of every value type."""

MANDATORY: Final[Mapping[str, tuple[str, ...]]] = {
    # Conditional modules whose condition holds for every object of this node.
    SegmentationStorage: ("frame-of-reference", "common-instance-reference"),
    ParametricMapStorage: ("common-instance-reference",),
}

GROUPS: Final = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")


@dataclass(slots=True)
class Attribute:
    """What is asked of one attribute. ``items`` is what is asked of each item of a sequence.

    ``required``: it is present (Types 1 and 2). ``filled``: where present it has a value (Types 1
    and 1C).
    """

    required: bool = False
    filled: bool = False
    items: dict[int, Attribute] = field(default_factory=dict)


Attributes = Mapping[int, Attribute]


@dataclass(frozen=True, slots=True)
class Module:
    """A module of an IOD. ``key`` as highdicom spells it; ``usage`` M, C or U."""

    entity: str
    key: str
    usage: str


def modules_of(sop_class_uid: str) -> tuple[Module, ...]:
    """The modules of an IOD, in its order; ResultError if no table knows the SOP Class."""
    iod = _tables().iods.get(sop_class_uid)
    if iod is None:
        raise ResultError("there is no table of the object's IOD")
    return tuple(Module(row["ie"], row["key"], row["usage"]) for row in iod)


def modules_in(dataset: Dataset) -> tuple[str, ...]:
    """The modules that a data set must have, or has: an attribute that no other module has.

    Raises ResultError if no table knows its SOP Class.
    """
    sop_class_uid = str(dataset.get("SOPClassUID", ""))
    iod = modules_of(sop_class_uid)
    own = {module.key: _tables().keywords(module.key) for module in iod}
    holders = Counter(keyword for keywords in own.values() for keyword in keywords)
    return tuple(
        module.key
        for module in iod
        if module.usage == "M"
        or module.key in MANDATORY.get(sop_class_uid, ())
        or any(keyword in dataset for keyword in own[module.key] if holders[keyword] == 1)
    )


def load_tables() -> None:
    """Read the tables now, which takes a good part of a second, and not with the first object.

    Raises ResultError if highdicom has no tables any more.
    """
    _tables()


def attributes_of(dataset: Dataset) -> Attributes:
    """By tag, what the IOD of a data set asks for in the modules that it must have or has.

    Raises ResultError if no table knows its SOP Class, or highdicom has no tables any more.
    """
    merged: dict[int, Attribute] = {}
    for key in modules_in(dataset):
        if key not in NOT_BY_TABLE:
            _merge(merged, module_attributes(key))
    return merged


@cache
def module_attributes(key: str) -> Attributes:
    """By tag, what a module asks for. ``key`` as highdicom spells it: "general-study"."""
    tree: dict[int, Attribute] = {}
    for row in _tables().modules[key]:
        kind = row["type"]
        if len(row["path"]) == 1 and row["path"][0] in GROUPS and kind in ("1", "2"):
            kind = "3"  # a macro is asked for by the IOD, in one of the two: group_faults
        found = _at(tree, (*row["path"], row["keyword"]))
        found.required |= kind in ("1", "2")
        found.filled |= kind in ("1", "1C")
    for path in ALWAYS.get(key, ()):
        for one in _spelled_out(path):
            found = _at(tree, one)
            found.required = found.filled = True
    for path in NOT_ALWAYS.get(key, ()):
        _at(tree, path).required = False
    return tree


def _spelled_out(path: Path) -> Iterator[Path]:
    if path[0] == "*":
        yield from ((group, *path[1:]) for group in GROUPS)
    else:
        yield path


def _at(tree: dict[int, Attribute], path: Iterable[str]) -> Attribute:
    """The attribute at the end of a path of keywords, made with all above it if need be."""
    found = Attribute()
    for keyword in path:
        tag = tag_for_keyword(keyword)
        if tag is None:  # the tables know an attribute that pydicom does not: nobody has it
            return Attribute()
        found = tree.setdefault(tag, Attribute())
        tree = found.items
    return found


def _merge(into: dict[int, Attribute], attributes: Attributes) -> None:
    """What either asks for is asked for."""
    for tag, attribute in attributes.items():
        found = into.setdefault(tag, Attribute())
        found.required |= attribute.required
        found.filled |= attribute.filled
        _merge(found.items, attribute.items)


@dataclass(frozen=True, slots=True)
class _Tables:
    iods: Mapping[str, list[dict[str, Any]]]  # by SOP Class UID: its modules and their usage
    modules: Mapping[str, list[dict[str, Any]]]  # by module: its attributes, flat

    def keywords(self, key: str) -> frozenset[str]:
        return frozenset(row["keyword"] for row in self.modules[key] if not row["path"])


@cache
def _tables() -> _Tables:
    try:
        # Private to highdicom, and the only such tables in a library that the node has anyway.
        from highdicom._standard_utils import (
            get_iod_module_map,
            get_module_attribute_map,
            get_sop_class_iod_map,
        )
    except ImportError as error:
        raise ResultError(
            "this highdicom has no tables of IODs: install the version that mome-node asks for"
        ) from error
    modules = get_iod_module_map()
    return _Tables(
        {uid: modules[name] for uid, name in get_sop_class_iod_map().items()},
        get_module_attribute_map(),
    )
