"""Dates and times of PS3.5 6.2 (DA, TM, DT) as seconds that rise through an exam."""

from __future__ import annotations

import re
from datetime import date

_DA = re.compile(r"(\d{4})[.-]?(\d{2})[.-]?(\d{2})")
_TM = re.compile(r"(\d{2})(?::?(\d{2})(?::?(\d{2})(?:\.(\d{1,6}))?)?)?")
_DT = re.compile(r"(\d{8})(\d{2}[\d.]*)?(?:[+-]\d{4})?")


def parse_date(text: str) -> date | None:
    """Return a DA value, also as ACR-NEMA wrote it (1997.08.21); None if it is no day."""
    match = _DA.fullmatch(text.strip())
    if match is None:
        return None
    year, month, day = (int(part) for part in match.groups())
    try:
        return date(year, month, day)
    except ValueError:
        return None


def parse_time(text: str) -> float | None:
    """Seconds since midnight of a TM value, minutes and seconds optional; None if it is none."""
    match = _TM.fullmatch(text.strip())
    if match is None:
        return None
    hours, minutes, seconds = (int(part or 0) for part in match.groups()[:3])
    if hours > 23 or minutes > 59 or seconds > 60:
        return None
    fraction = float(f"0.{match.group(4)}") if match.group(4) else 0.0
    return hours * 3600.0 + minutes * 60.0 + seconds + fraction


def seconds_since(first_day: date | None, day_text: str, time_text: str) -> float | None:
    """Seconds from midnight of ``first_day`` to a date (DA) and time (TM).

    Without either day the time counts from its own midnight. None without a time.
    """
    time = parse_time(time_text)
    if time is None:
        return None
    day = parse_date(day_text)
    if first_day is None or day is None:
        return time
    return (day - first_day).days * 86_400.0 + time


def date_time_since(first_day: date | None, text: str) -> float | None:
    """Seconds from midnight of ``first_day`` to a DT value; its offset from UTC is left out.

    All times of one exam come from one scanner, whose dates and times carry no offset either.
    """
    match = _DT.fullmatch(text.strip())
    if match is None or match.group(2) is None:
        return None
    return seconds_since(first_day, match.group(1), match.group(2))
