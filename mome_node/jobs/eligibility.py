"""Which of the installed packages may evaluate a study, and why another may not.

Pure, and without PyTorch: the node asks before it queues a study, the inference process asks again
before it runs a model, and both get the same answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from mome_node.assembly.plan import StudyPlan
from mome_node.assembly.rules import AssemblyRules
from mome_node.dicom.header import InstanceFacts
from mome_node.jobs.requests import InstalledModel
from mome_node.mome.statement import BILATERAL, UNILATERAL, Accepts
from mome_node.results.wording import CONDITION_UNKNOWN

PRIMARY_TASK = "malignancy"
"""The task whose model decides and is explained, if it is run; else the first that is."""

NO_CLINICAL_MODEL = "no clinical model installed"

SEARCHED = 64
"""So many characters of a text are searched for a site's pattern: an LO value has no more."""

FIELD_TOLERANCE = 0.05
"""A scanner sold as 3 T may tell 2.89 T in its headers, one sold as 1.5 T may tell 1.494 T."""

VENDORS = {
    "siemens": "Siemens",
    "ge": "GE",
    "philips": "Philips",
    "canon": "Canon",
    "toshiba": "Toshiba",
    "hitachi": "Hitachi",
    "fujifilm": "Fujifilm",
    "uih": "United Imaging",
    "united imaging": "United Imaging",
}
"""Manufacturers that a reason may name: it goes into the log, where no other header text may go."""


def refusals(
    models: Sequence[InstalledModel], plan: StudyPlan, instances: Sequence[InstanceFacts]
) -> tuple[tuple[str, str], ...]:
    """The task of each model that may not evaluate this study, with the reason.

    ``instances`` are all of the study. What is unknown is never taken for good: a package that
    names vendors does not run on a study that names none.
    """
    reasons = ((model.task, _refusal(model, plan, instances)) for model in models)
    return tuple((task, reason) for task, reason in reasons if reason is not None)


def rules_for(rules: AssemblyRules, models: Sequence[InstalledModel]) -> AssemblyRules:
    """The site's rules with what the primary model prefers where a study offers a choice."""
    primary = min(models, key=lambda model: model.task != PRIMARY_TASK, default=None)
    return rules if primary is None else replace(rules, preferred_b=primary.preferred_b_value)


def no_model_reason(refused: Sequence[tuple[str, str]]) -> str:
    """Why no model may evaluate a study, in one line."""
    reasons = dict.fromkeys(reason for _, reason in refused)
    if len(reasons) <= 1:
        return next(iter(reasons), NO_CLINICAL_MODEL)
    return "; ".join(f"{task}: {reason}" for task, reason in refused)


def _refusal(
    model: InstalledModel, plan: StudyPlan, instances: Sequence[InstanceFacts]
) -> str | None:
    if model.synthetic and not plan.synthetic and not model.allow_synthetic_on_patients:
        return NO_CLINICAL_MODEL
    asserted = model.asserts if _holds(model.when, instances) else ()
    missing = [c for c in model.applies_when if c not in asserted]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        return f"{CONDITION_UNKNOWN}: {' and '.join(missing)} {verb} not asserted for this study"
    inputs = plan.inputs
    read = [i for i in instances if i.sop_instance_uid in inputs]
    return _not_validated(model.accepts, plan, read)


def _holds(when: Sequence[tuple[str, str]], instances: Sequence[InstanceFacts]) -> bool:
    """Whether each pattern is found in its attribute of any instance; none: in every study."""
    return all(
        any(re.search(pattern, text, re.IGNORECASE) for text in _texts(instances, attribute))
        for attribute, pattern in when
    )


def _texts(instances: Sequence[InstanceFacts], attribute: str) -> set[str]:
    return {str(getattr(i, attribute))[:SEARCHED] for i in instances}


def _not_validated(accepts: Accepts, plan: StudyPlan, read: Sequence[InstanceFacts]) -> str | None:
    """Why the scanner or the field of view is none that the package was validated for."""
    vendors = {i.manufacturer.casefold() for i in read} or {""}
    strengths = {i.field_strength_t for i in read} or {None}
    if not all(_vendor_is_taken(accepts, v) for v in vendors) or not all(
        _strength_is_taken(accepts, s) for s in strengths
    ):
        found = f"{_listed(map(_vendor, vendors))} at {_listed(map(_strength, strengths))}"
        return f"not validated for {found}: the package takes {_scanners(accepts)}"
    laterality = _laterality(plan, read)
    if laterality not in accepts.laterality:
        taken = " or ".join(accepts.laterality)
        return f"not validated for a {laterality} exam: the package takes {taken} ones"
    return None


def _vendor_is_taken(accepts: Accepts, manufacturer: str) -> bool:
    return not accepts.vendors or any(_stands_in(v, manufacturer) for v in accepts.vendors)


def _stands_in(word: str, text: str) -> bool:
    """As a word of its own: "ge" does not stand in "agfa-gevaert"."""
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) is not None


def _strength_is_taken(accepts: Accepts, strength_t: float | None) -> bool:
    if accepts.field_strengths_t is None:
        return True
    low, high = accepts.field_strengths_t
    return strength_t is not None and (
        low * (1 - FIELD_TOLERANCE) <= strength_t <= high * (1 + FIELD_TOLERANCE)
    )


def _vendor(manufacturer: str) -> str:
    named = (name for word, name in VENDORS.items() if _stands_in(word, manufacturer))
    return next(named, "another vendor" if manufacturer.strip() else "an unknown vendor")


def _strength(strength_t: float | None) -> str:
    return "an unknown field strength" if strength_t is None else f"{strength_t:.2g} T"


def _listed(words: Iterable[str]) -> str:
    return " and ".join(sorted(set(words)))


def _scanners(accepts: Accepts) -> str:
    vendors = " or ".join(VENDORS.get(v, v) for v in accepts.vendors) or "any vendor"
    if accepts.field_strengths_t is None:
        return vendors
    low, high = accepts.field_strengths_t
    return f"{vendors} at {low:g} T" if low == high else f"{vendors} at {low:g} to {high:g} T"


def _laterality(plan: StudyPlan, read: Sequence[InstanceFacts]) -> str:
    """A dynamic that is read shows both breasts: assembly measures it and refuses others."""
    sides = {i.laterality.upper() for i in read}
    one_sided = len(sides) == 1 and sides <= {"L", "R"}
    return UNILATERAL if one_sided and not plan.dce else BILATERAL
