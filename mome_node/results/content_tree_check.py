"""Content trees of structured reports and key object selections (PS3.3 C.17.3, A.35).

Every item has what its value type asks for, stands in a relationship that the IOD allows, and
refers only to instances that the evidence names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.uid import (
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EnhancedSRStorage,
    KeyObjectSelectionDocumentStorage,
)

_VALUES: Final = frozenset(("TEXT", "CODE", "NUM", "DATETIME", "DATE", "TIME", "UIDREF", "PNAME"))
_OBJECTS: Final = frozenset(("IMAGE", "WAVEFORM", "COMPOSITE"))
_CONTAINER: Final = frozenset(("CONTAINER",))
_STATED: Final = frozenset(("TEXT", "CODE", "NUM"))

NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    "TEXT": ("TextValue",),
    "CODE": ("ConceptCodeSequence",),
    "NUM": (),  # Measured Value Sequence is of Type 2
    "DATETIME": ("DateTime",),
    "DATE": ("Date",),
    "TIME": ("Time",),
    "UIDREF": ("UID",),
    "PNAME": ("PersonName",),
    "SCOORD": ("GraphicType", "GraphicData"),
    "SCOORD3D": ("GraphicType", "GraphicData", "ReferencedFrameOfReferenceUID"),
    "TCOORD": ("TemporalRangeType",),
    "COMPOSITE": ("ReferencedSOPSequence",),
    "IMAGE": ("ReferencedSOPSequence",),
    "WAVEFORM": ("ReferencedSOPSequence",),
    "CONTAINER": ("ContinuityOfContent",),
}
"""What an item of each value type must have (PS3.3 C.17.3.2, C.18)."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Relationships that an IOD allows: (relationship, from, to). ``by_reference``: also so."""

    rows: tuple[tuple[str, frozenset[str], frozenset[str]], ...]
    by_reference: bool = False

    def allow(self, relationship: str, source: str, target: str) -> bool:
        """Whether an item of one value type may stand under one of another in this way."""
        return any(
            relationship == name and source in sources and target in targets
            for name, sources, targets in self.rows
        )


def _comprehensive(coordinates: frozenset[str], *, containers: bool) -> Rules:
    """Tables A.35.2-2 (Enhanced), A.35.3-2 (Comprehensive) and A.35.13-2 (Comprehensive 3D)."""
    nested = _CONTAINER if containers else frozenset()
    anything = _VALUES | _OBJECTS | coordinates
    return Rules(
        (
            ("CONTAINS", _CONTAINER, anything | _CONTAINER),
            ("HAS OBS CONTEXT", _CONTAINER | _STATED, _VALUES | {"COMPOSITE"}),
            ("HAS ACQ CONTEXT", _CONTAINER | _OBJECTS | {"NUM"}, _VALUES | nested),
            ("HAS CONCEPT MOD", frozenset(NEEDS), frozenset(("TEXT", "CODE"))),
            ("HAS PROPERTIES", _STATED, anything | nested),
            ("HAS PROPERTIES", frozenset(("PNAME",)), _VALUES - {"NUM"}),
            ("INFERRED FROM", _STATED, anything | nested),
            ("SELECTED FROM", frozenset(("SCOORD",)), frozenset(("IMAGE",))),
            (
                "SELECTED FROM",
                frozenset(("TCOORD",)),
                (coordinates - {"TCOORD"}) | {"IMAGE", "WAVEFORM"},
            ),
        ),
        by_reference=containers,
    )


RULES: Final[Mapping[str, Rules]] = {
    EnhancedSRStorage: _comprehensive(frozenset(("SCOORD", "TCOORD")), containers=False),
    ComprehensiveSRStorage: _comprehensive(frozenset(("SCOORD", "TCOORD")), containers=True),
    Comprehensive3DSRStorage: _comprehensive(
        frozenset(("SCOORD", "TCOORD", "SCOORD3D")), containers=True
    ),
    KeyObjectSelectionDocumentStorage: Rules(  # Table A.35.4-2
        (
            ("CONTAINS", _CONTAINER, _OBJECTS | {"TEXT"}),
            ("HAS OBS CONTEXT", _CONTAINER, frozenset(("TEXT", "CODE", "UIDREF", "PNAME"))),
            ("HAS CONCEPT MOD", _CONTAINER, frozenset(("CODE",))),
        )
    ),
}


def content_tree_faults(dataset: Dataset) -> Iterator[str]:
    """What is wrong with the content tree of a document; nothing for what is no document."""
    rules = RULES.get(str(dataset.get("SOPClassUID", "")))
    if rules is None:
        return
    if dataset.get("ValueType") != "CONTAINER":
        yield "the document's root is no container"
    if not dataset.get("ConceptNameCodeSequence"):
        yield "ConceptNameCodeSequence is missing or empty"
    evidence = frozenset(_evidence(dataset))
    yield from _item_faults(dataset, "", evidence)
    yield from _branch_faults(dataset, dataset, rules, evidence, "")


def _branch_faults(
    parent: Dataset, root: Dataset, rules: Rules, evidence: frozenset[str], at: str
) -> Iterator[str]:
    for number, item in enumerate(parent.get("ContentSequence") or (), start=1):
        place = f"{at}ContentSequence[{number}]."
        target = item
        if "ReferencedContentItemIdentifier" in item:
            found = _referenced(root, item.ReferencedContentItemIdentifier)
            if found is None or not rules.by_reference:
                yield f"{place}ReferencedContentItemIdentifier names no item"
                continue
            target = found
        relationship = str(item.get("RelationshipType", ""))
        if not relationship:
            yield f"{place}RelationshipType is missing or empty"
        elif not rules.allow(relationship, _value_type(parent), _value_type(target)):
            yield f"{place}RelationshipType is none that may be between the two value types"
        if target is item:
            yield from _item_faults(item, place, evidence)
            yield from _branch_faults(item, root, rules, evidence, place)


def _item_faults(item: Dataset, at: str, evidence: frozenset[str]) -> Iterator[str]:
    value_type = _value_type(item)
    if value_type not in NEEDS:
        yield f"{at}ValueType is missing or none of the standard's"
        return
    for keyword in NEEDS[value_type]:
        if keyword not in item or item[keyword].is_empty:
            yield f"{at}{keyword} is missing or empty"
    if value_type in _VALUES and not item.get("ConceptNameCodeSequence"):
        yield f"{at}ConceptNameCodeSequence is missing or empty"
    if value_type == "NUM":
        yield from (f"{at}{fault}" for fault in _measured_faults(item))
    if value_type == "SCOORD" and not any(
        child.get("RelationshipType") == "SELECTED FROM"
        for child in item.get("ContentSequence") or ()
    ):
        yield f"{at}ContentSequence names no image for the coordinates"
    for reference in item.get("ReferencedSOPSequence") or ():
        for keyword in ("ReferencedSOPClassUID", "ReferencedSOPInstanceUID"):
            if not reference.get(keyword):
                yield f"{at}ReferencedSOPSequence[1].{keyword} is missing or empty"
        uid = str(reference.get("ReferencedSOPInstanceUID", ""))
        if uid and uid not in evidence:
            yield f"{at}ReferencedSOPSequence[1] names an instance that is not in the evidence"


def _value_type(item: Dataset) -> str:
    return str(item.get("ValueType", ""))


def _measured_faults(item: Dataset) -> Iterator[str]:
    """A number has a value and a unit, or says why not (PS3.3 C.18.1)."""
    if "MeasuredValueSequence" not in item:
        yield "MeasuredValueSequence is missing"
        return
    if not item.MeasuredValueSequence and not item.get("NumericValueQualifierCodeSequence"):
        yield "MeasuredValueSequence is empty and no qualifier says why"
    for measured in item.MeasuredValueSequence:
        for keyword in ("NumericValue", "MeasurementUnitsCodeSequence"):
            if keyword not in measured or measured[keyword].is_empty:
                yield f"MeasuredValueSequence[1].{keyword} is missing or empty"


def _evidence(dataset: Dataset) -> Iterator[str]:
    for name in ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence"):
        for study in dataset.get(name) or ():
            for series in study.get("ReferencedSeriesSequence") or ():
                for instance in series.get("ReferencedSOPSequence") or ():
                    yield str(instance.get("ReferencedSOPInstanceUID", ""))


def _referenced(root: Dataset, identifier: Any) -> Dataset | None:
    """The item that a path such as (1, 2, 4) leads to; the root is 1 (PS3.3 C.17.3.2.5)."""
    path = [identifier] if isinstance(identifier, int) else list(identifier)
    found = root
    if path[:1] != [1]:
        return None
    for number in path[1:]:
        children = found.get("ContentSequence") or ()
        if not 0 < number <= len(children):
            return None
        found = children[number - 1]
    return found
