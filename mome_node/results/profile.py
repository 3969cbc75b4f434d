"""What a destination wants of the results: which objects, and how they are written.

Destinations whose profiles are equal get the same objects. Another profile makes other objects,
with UIDs of their own: no two objects share a UID and differ in a byte.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Final, Literal

from mome_node.errors import ResultError
from mome_node.results.label import DEFAULT_LABEL, Audience

Kind = Literal["sr", "seg", "summary", "map", "key_objects"]
StudyScores = Literal["field", "group"]
Encoding = Literal["explicit", "implicit", "rle"]
CharacterSet = Literal["ISO_IR 192", "ISO_IR 100", "ISO_IR 6"]

KINDS: Final[tuple[Kind, ...]] = ("sr", "seg", "summary", "map", "key_objects")
"""Every kind of result object, in the order in which they are made and sent."""


@dataclass(frozen=True, slots=True)
class ResultProfile:
    """What is made for a destination, and how.

    ``study_scores``: the exam's scores stand in a planar group around the evaluated field, which
    viewers draw ("field"), or in a group of the whole study (TID 1501, "group"). ``encoding`` is
    the transfer syntax; "rle" compresses the pictures, the rest is explicit. ``max_frames``: a
    segmentation that would have more is left out, and the report says so; 0: no limit.
    ``empty_frames``: every slice of the source has a frame, whether a region meets it or not.
    ``series_number`` is that of the report, the other objects' follow it in the order of KINDS.
    ``series_name`` begins every Series Description. ``audience``: results for research say so
    before the label. ``character_set`` is used where all of an object's text can be written in it,
    the patient's name included; else UTF-8 is.
    """

    objects: tuple[Kind, ...] = ("sr", "seg")
    study_scores: StudyScores = "field"
    encoding: Encoding = "explicit"
    character_set: CharacterSet = "ISO_IR 192"
    max_frames: int = 0
    empty_frames: bool = False
    series_number: int = 9901
    series_name: str = "MOME"
    label: str = DEFAULT_LABEL
    audience: Audience = "research"

    def __post_init__(self) -> None:
        if unknown := set(self.objects) - set(KINDS):
            raise ResultError(f"unknown kinds of result {sorted(unknown)}; known are {KINDS}")

    @property
    def digest(self) -> str:
        """Names this profile: the same for equal ones, in every run (16 characters)."""
        content = json.dumps(asdict(self), sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(content.encode("ascii")).hexdigest()[:16]

    def number_of(self, kind: Kind) -> int:
        """Series Number of the series that holds the objects of a kind."""
        return self.series_number + KINDS.index(kind)

    def wants(self, kind: Kind) -> bool:
        """Whether objects of a kind are made."""
        return kind in self.objects


DEFAULT_PROFILE: Final = ResultProfile()
"""What is made where nothing else is said."""
