"""Unique identifiers: what a valid one is, and the ones this node makes (PS3.5 section 9, B.2)."""

from __future__ import annotations

import re
from typing import Final
from uuid import UUID, uuid5

IMPLEMENTATION_CLASS_UID: Final = "2.25.232052783500325443861646866562065332816"
IMPLEMENTATION_VERSION_NAME: Final = "MOME_NODE_0"  # SH: at most 16 characters (PS3.7 D.3.3.2)
MAX_UID_LENGTH: Final = 64

_COMPONENT = r"(?:0|[1-9][0-9]*)"
_VALID = re.compile(rf"{_COMPONENT}(?:\.{_COMPONENT})*", re.ASCII)
_NAMESPACE: Final = UUID("8aea4a29-fadb-501b-9754-31a682a78fdd")


def is_valid_uid(text: str) -> bool:
    """Tell whether ``text`` is a UID as PS3.5 9.1 has it.

    At most 64 characters, components of digits parted by dots, no component with a leading zero.
    """
    return len(text) <= MAX_UID_LENGTH and _VALID.fullmatch(text) is not None


def derived_uid(*parts: str) -> str:
    """Return the UID that these parts, in this order, always give (UUID-derived, PS3.5 B.2).

    The same parts give the same UID on every machine, so that doing a stage twice makes the same
    objects. Raises ValueError without parts.
    """
    if not parts:
        raise ValueError("a derived UID needs at least one part")
    name = "".join(f"{len(part)}:{part}" for part in parts)  # ("a", "b") is not ("ab",)
    return f"2.25.{uuid5(_NAMESPACE, name).int}"
