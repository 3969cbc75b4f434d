"""Who a data set says its patient is, in a form that can be compared without being told."""

from __future__ import annotations

import hashlib
import re

MARK_LENGTH = 16
"""Characters of a mark: 64 bits tell the few patients of one study apart."""


def same_name(name: str) -> str:
    """A name without the differences that systems make in spelling out the same one."""
    alphabetic = name.split("=")[0]
    return " ".join(re.split(r"[\^\s,.]+", alphabetic.casefold())).strip()


def patient_mark(patient_id: str, issuer: str, name: str, birth_date: str) -> str:
    """A digest that is the same for the same patient (PS3.3 C.7.1.1); empty if nothing is said."""
    values = (patient_id.strip(), issuer.strip(), same_name(name), birth_date.strip())
    if not any(values):
        return ""
    told = "".join(f"{len(value)}:{value}" for value in values)
    return hashlib.sha256(told.encode()).hexdigest()[:MARK_LENGTH]


def shown_mark(study_uid: str, mark: str) -> str:
    """A mark for a person to read: it differs from study to study, and so finds no patient."""
    if not mark:
        return "not stated"
    return hashlib.sha256(f"{study_uid} {mark}".encode()).hexdigest()[:8]
