"""The modules (PS3.3 annexes A and C) of each kind of object, for the conformance statement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from mome_node.results.classes import STORAGE_CLASSES
from mome_node.results.iod_tables import modules_of
from mome_node.results.profile import Kind

FROM_THE_IMAGES: Final = frozenset(
    {"patient-study", "clinical-trial-subject", "clinical-trial-study"}
)
"""Modules that an object has where the images of its study have them."""

_ALWAYS: Final[Mapping[Kind, frozenset[str]]] = MappingProxyType(
    {
        "sr": frozenset(),
        "seg": frozenset({"frame-of-reference", "common-instance-reference"}),
        "summary": frozenset({"general-equipment"}),
        "map": frozenset({"floating-point-image-pixel", "common-instance-reference"}),
        "key_objects": frozenset(),
    }
)
_SOMETIMES: Final[Mapping[tuple[Kind, str], str]] = MappingProxyType(
    {("summary", "general-reference"): "on pages that show a slice or projection"}
)


@dataclass(frozen=True, slots=True)
class WrittenModule:
    """A module that objects of a kind have. ``usage`` as its IOD says; ``when`` it is there."""

    entity: str
    key: str
    usage: str
    when: str


def written_modules(kind: Kind) -> tuple[WrittenModule, ...]:
    """What objects of a kind consist of, in the order of their IOD."""
    found = []
    for module in modules_of(STORAGE_CLASSES[kind]):
        always = module.usage == "M" or module.key in _ALWAYS[kind]
        when = "always" if always else _SOMETIMES.get((kind, module.key), "")
        if module.key in FROM_THE_IMAGES:
            when = "where the images have it"
        if when:
            found.append(WrittenModule(module.entity, module.key, module.usage, when))
    return tuple(found)
