"""What may forbid the evaluation of a study as a whole: age, body part, purpose, files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime

from mome_node.assembly.role_words import BIOPSY, BREAST, OTHER_BODY, plain
from mome_node.assembly.rules import AssemblyRules
from mome_node.dicom.header import InstanceFacts

NAMED_AT_MOST = 5
"""UIDs that a reason spells out before it only counts."""


def unreadable_reason(unreadable: Sequence[str]) -> str:
    """The reason for unreadable instances, by SOP Instance UID."""
    named = ", ".join(sorted(unreadable)[:NAMED_AT_MOST])
    more = len(unreadable) - NAMED_AT_MOST
    rest = f" and {more} more" if more > 0 else ""
    return f"{len(unreadable)} unreadable instances: {named}{rest}"


def age_problem(
    instances: Sequence[InstanceFacts], rules: AssemblyRules, now: datetime
) -> tuple[str | None, str | None]:
    """Why the study is too old, and what is to be warned of about its date."""
    days = {d for i in instances if (d := _day(i.study_date)) is not None}
    if not days:
        return None, "the study has no readable Study Date: its age is unknown"
    age = (now.date() - max(days)).days
    if age > rules.max_study_age_days:
        allowed = f"those older than {rules.max_study_age_days} days are kept and not evaluated"
        return f"the study is {age} days old; {allowed}", None
    return None, "the Study Date lies in the future" if age < -1 else None


def _day(text: str) -> date | None:
    digits = text.strip().replace(".", "").replace("-", "")
    if not re.fullmatch(r"\d{8}", digits):
        return None
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None


def body_problem(instances: Sequence[InstanceFacts]) -> tuple[str | None, str | None]:
    """Why this may be no breast MRI, and what is to be warned of.

    BodyPartExamined alone decides nothing: it is often blank or wrong in breast studies.
    """
    if says_breast(instances):
        return None, None
    others = {m.group().strip() for t in _said(instances) if (m := OTHER_BODY.search(t))}
    if others:
        said_instead = ", ".join(sorted(others)[:NAMED_AT_MOST])
        return f"no breast MRI: nothing says breast, descriptions or coils say {said_instead}", None
    if any(plain(i.body_part) for i in instances):
        return None, "BodyPartExamined is not breast and no description says breast"
    return None, "nothing in the study says that it is of the breast"


def says_breast(instances: Sequence[InstanceFacts]) -> bool:
    """Whether any description, protocol, coil or body part says breast."""
    parts = _distinct(i.body_part for i in instances)
    return any(BREAST.search(t) for t in (*_said(instances), *parts))


def _said(instances: Sequence[InstanceFacts]) -> tuple[str, ...]:
    return _distinct(
        text
        for i in instances
        for text in (i.study_description, i.series_description, i.protocol_name, i.receive_coil)
    )


def biopsy_problem(instances: Sequence[InstanceFacts]) -> str | None:
    """Why this is a guidance exam, which is no diagnostic one."""
    said = _distinct(
        text
        for i in instances
        for text in (i.study_description, i.series_description, i.protocol_name)
    )
    words = {m.group().strip() for t in said if (m := BIOPSY.search(t))}
    if words:
        return f"a biopsy guidance exam (“{sorted(words)[0]}”), not a diagnostic one"
    return None


def _distinct(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({plain(t) for t in set(texts)} - {""}))
