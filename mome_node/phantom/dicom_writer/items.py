"""Sequence items and code sequences."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.sr.coding import Code


def item(**elements: object) -> Dataset:
    """A sequence item from keywords and values."""
    ds = Dataset()
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    return ds


def coded(code: Code) -> Sequence:
    """A code sequence of one item (PS3.3 8.8)."""
    return Sequence(
        [
            item(
                CodeValue=code.value,
                CodingSchemeDesignator=code.scheme_designator,
                CodeMeaning=code.meaning,
            )
        ]
    )
