"""What a result takes over from the images of patient and study, made to be valid.

What ties the result to its patient and study stays as it is. The rest is left out where it is not
valid, and a half-filled module of a clinical trial is completed or left out: else a slip in one
optional attribute of the images would keep the result from being sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset

from mome_node.results.iod_check import attribute_faults
from mome_node.results.iod_tables import module_attributes
from mome_node.results.value_check import AS_THE_IMAGES, value_faults

_MODULES: Final = ("patient", "general-study", "patient-study")
_TRIAL_MODULES: Final = ("clinical-trial-subject", "clinical-trial-study")


def settle(identity: Dataset) -> None:
    """Take out of patient and study what would make a result invalid, and complete the rest."""
    for element in tuple(identity):
        keyword = element.keyword
        if keyword in AS_THE_IMAGES or keyword == "StudyInstanceUID":
            continue
        if not any(_faults(identity, keyword)):
            continue
        if any(_asks_for(module, element.tag) for module in _MODULES):
            setattr(identity, keyword, "")  # Type 2
        else:
            del identity[element.tag]
    for module in _TRIAL_MODULES:
        _settle_module(identity, module)
    if identity.get("PatientIdentityRemoved") == "YES" and not (
        identity.get("DeidentificationMethod") or identity.get("DeidentificationMethodCodeSequence")
    ):
        del identity.PatientIdentityRemoved  # Type 1C: either must say how


def _faults(identity: Dataset, keyword: str) -> Iterator[str]:
    alone = Dataset()
    alone[keyword] = identity[keyword]
    yield from value_faults(alone)
    for module in _MODULES:
        asked = module_attributes(module)
        yield from attribute_faults(alone, {t: a for t, a in asked.items() if t in alone})


def _asks_for(module: str, tag: int) -> bool:
    attributes = module_attributes(module)
    return tag in attributes and attributes[tag].required


def _settle_module(identity: Dataset, module: str) -> None:
    """All of a module, or nothing of it."""
    asked = module_attributes(module)
    present = [tag for tag in asked if tag in identity]
    needed = [tag for tag, attribute in asked.items() if attribute.required and attribute.filled]
    if any(tag not in identity or identity[tag].is_empty for tag in needed):
        for tag in present:
            del identity[tag]
    elif present:
        for tag, attribute in asked.items():
            if attribute.required and tag not in identity:
                setattr(identity, keyword_for_tag(tag), "")
