"""Names for patients that mean something inside one report, and nothing outside of it."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable

from mome_node.query.records import StudyRecord

_DIGITS = 8

Named = Callable[[StudyRecord], str]


def pseudonyms(key: bytes | None = None) -> Named:
    """Name each patient by a keyed hash; the key is random, and gone when the report is done.

    The same Patient ID (with its issuer) has the same name. A study without one has none: names
    alone would join strangers. Without the key nobody can try out all identifiers.
    """
    key = secrets.token_bytes(32) if key is None else key

    def named(study: StudyRecord) -> str:
        if not study.patient_id:
            return ""
        parts = f"{study.issuer_of_patient_id or ''}\0{study.patient_id}".encode("utf-8", "replace")
        return f"P{hmac.new(key, parts, hashlib.sha256).hexdigest()[:_DIGITS]}"

    return named


def identities(study: StudyRecord) -> str:
    """Name a patient by what the archive says: for those who may see it, and asked to."""
    return " ".join(part for part in (study.patient_id, study.patient_name) if part)
