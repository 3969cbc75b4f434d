"""Entries of the DICOM JSON model (PS3.18 annex F), read without trusting them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from pydicom.datadict import tag_for_keyword

from mome_node.dicom.element_values import MAX_TEXT, MAX_VALUES
from mome_node.errors import MalformedAnswerError

_NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")


def parse_answer(body: bytes) -> tuple[JsonEntry, ...]:
    """The entries of a search's answer; none of an empty body (204, no match).

    Raises MalformedAnswerError for what is no list of objects.
    """
    if not body.strip():
        return ()
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        # The library's message may quote the answer.
        raise MalformedAnswerError("the answer is no JSON") from error
    if isinstance(found, dict):  # some servers send a lone entry without its list
        found = [found]
    if not isinstance(found, list):
        raise MalformedAnswerError("the answer is no list of DICOM JSON objects")
    return tuple(JsonEntry(entry) for entry in found if isinstance(entry, dict))


class JsonEntry:
    """One object of the DICOM JSON model. Asking for a value never raises."""

    def __init__(self, attributes: Mapping[str, Any]) -> None:
        self._attributes = attributes

    def __contains__(self, keyword: str) -> bool:
        return f"{tag_for_keyword(keyword) or 0:08X}" in self._attributes

    def text(self, keyword: str) -> str:
        """The values as one text, joined by a backslash; empty if absent."""
        return "\\".join(self.texts(keyword))

    def texts(self, keyword: str) -> tuple[str, ...]:
        """The values as texts, without padding and control characters; () if all are empty."""
        texts = tuple(_text(value) for value in self._values(keyword))
        return texts if any(texts) else ()

    def integer(self, keyword: str) -> int | None:
        """The first value as an integer that fits 64 bits; None otherwise."""
        value = next(iter(self._values(keyword)), None)
        try:
            number = float(value) if isinstance(value, str | int | float) else math.nan
        except (ValueError, OverflowError):
            return None
        if isinstance(value, bool) or not math.isfinite(number) or abs(number) >= 2**53:
            return None
        return int(number)

    def _values(self, keyword: str) -> list[Any]:
        element = self._attributes.get(f"{tag_for_keyword(keyword) or 0:08X}")
        values = element.get("Value") if isinstance(element, dict) else None
        return values[:MAX_VALUES] if isinstance(values, list) else []


def _text(value: object) -> str:
    if isinstance(value, dict):  # a person's name, PS3.18 F.2.2
        groups = [value.get(group, "") for group in _NAME_GROUPS]
        value = "=".join(g if isinstance(g, str) else "" for g in groups).rstrip("=")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    try:
        text = str(value)
    except ValueError:  # an integer of thousands of digits
        return ""
    return "".join(c for c in text[:MAX_TEXT] if c.isprintable()).strip()
