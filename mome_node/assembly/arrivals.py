"""What others say a study consists of, weighed against what came here. Pure, over counts.

Two witnesses: the PACS's own counts of each series (0020,1209), and availability notices (PS3.4
annex R). Neither is asked to be right: a count below what is here proves nothing and blocks
nothing; a count above it is a reason to wait.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

COUNTS_EQUAL_TWICE: Final = "counts of the PACS equal twice"
AVAILABILITY_NOTICE: Final = "all that availability notices name is here"

NAMED_AT_MOST: Final = 5
"""Series that a reason spells out before it only counts."""


@dataclass(frozen=True, slots=True)
class SeriesHere:
    """What came of one series: all its instances, and those of classes that a role uses."""

    instances: int
    inputs: int


@dataclass(frozen=True, slots=True)
class SeriesNamed:
    """How many instances of a series notices name as available, and how many of them are here."""

    named: int
    here: int


@dataclass(frozen=True, slots=True)
class PacsCounts:
    """Instances by series as the PACS last told.

    ``confirmed``: it has told the same before, and was asked again after the last image came here.
    """

    by_series: Mapping[str, int]
    confirmed: bool


@dataclass(frozen=True, slots=True)
class Notices:
    """What all notices of a study name together; ``unnamed`` counts inputs that none names."""

    by_series: Mapping[str, SeriesNamed] = field(default_factory=dict)
    unnamed: int = 0


@dataclass(frozen=True, slots=True)
class Arrived:
    """The witnesses' word. ``complete_by`` says by whom all is here, if somebody says so.

    ``lacking``: of these series some images came and others did not. ``absent``: nothing came of
    these. Both in words, with UIDs and counts only.
    """

    complete_by: str = ""
    lacking: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()

    @property
    def missing(self) -> tuple[str, ...]:
        """All that somebody else has and that is not here."""
        return (*self.lacking, *self.absent)


def weigh(
    here: Mapping[str, SeriesHere],
    pacs: PacsCounts | None,
    notices: Notices | None,
    *,
    settled: bool,
) -> Arrived:
    """Weigh what came against what the witnesses say; None: that witness says nothing.

    ``settled``: neither an image nor a notice has come for a moment. The PACS vouches for a study
    if its counts are confirmed and are exactly what is here; notices do if they name exactly the
    inputs that are here. While either names more than came, nobody vouches.
    """
    short = [*_short_of_counts(here, pacs), *_short_of_notices(here, notices)]
    lacking = _named([told for told, begun in short if begun])
    absent = _named([told for told, begun in short if not begun])
    complete_by = ""
    if not short and any(series.inputs for series in here.values()):
        if pacs is not None and pacs.confirmed and _equal(here, pacs):
            complete_by = COUNTS_EQUAL_TWICE
        elif notices is not None and notices.by_series and not notices.unnamed and settled:
            complete_by = AVAILABILITY_NOTICE
    return Arrived(complete_by, lacking, absent)


def _equal(here: Mapping[str, SeriesHere], pacs: PacsCounts) -> bool:
    same = all(here[uid].instances == n for uid, n in pacs.by_series.items() if n)
    return same and all(pacs.by_series.get(uid) for uid, series in here.items() if series.inputs)


def _short_of_counts(
    here: Mapping[str, SeriesHere], pacs: PacsCounts | None
) -> Iterator[tuple[str, bool]]:
    for uid, count in sorted(pacs.by_series.items()) if pacs else ():
        came = here[uid].instances if uid in here else 0
        if came < count:
            told = f"the PACS has {_images(count)} of series {uid}, {came or 'none'} came here"
            yield told, came > 0


def _short_of_notices(
    here: Mapping[str, SeriesHere], notices: Notices | None
) -> Iterator[tuple[str, bool]]:
    for uid, series in sorted(notices.by_series.items()) if notices else ():
        if series.here < series.named:
            told = (
                f"availability notices name {_images(series.named)} of series {uid}, "
                f"{series.here or 'none'} of them came here"
            )
            yield told, uid in here


def _images(count: int) -> str:
    return f"{count} image{'' if count == 1 else 's'}"


def _named(reasons: list[str]) -> tuple[str, ...]:
    more = len(reasons) - NAMED_AT_MOST
    rest = (f"and {more} more series",) if more > 0 else ()
    return (*reasons[:NAMED_AT_MOST], *rest)
