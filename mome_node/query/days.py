"""The days of a question, one at a time: each answer stays small, and none is cut off unseen."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta


def days_between(since: date, until: date) -> Iterator[date]:
    """Every day from ``since`` to ``until``, both included; none if that is before."""
    for number in range((until - since).days + 1):
        yield since + timedelta(days=number)


def da(day: date) -> str:
    """A day as DICOM writes it (DA, PS3.5 6.2)."""
    return day.strftime("%Y%m%d")
