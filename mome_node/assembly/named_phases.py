"""The phases of a dynamic as far as names, series numbers and image counts tell them.

For a table of series (``series_table``): no clock, no position in space. GE names the posts after
the first series of the dynamic (``Ph1/ax 3d dyn``: first post-contrast), Siemens counts passes or
repeats one name, sites write pre and post. What holds several phases, or follows something that
does, has no place; neither has what nothing but a guess would place.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median_low

from mome_node.assembly.role_words import AFTER_CONTRAST, BEFORE_CONTRAST, DYNAMIC, words

SEVERAL = 1.7
"""A series with at least so many times the images of one phase holds several."""

FEWER = 0.6
"""One with less than this share of a phase's images is no whole phase."""

MOST_SLICES = 400
"""No single breast phase has more slices; what stands alone with more holds several phases."""

_GE_PHASE = words(r"\bph ?(?P<number>\d+) ?/ ?")
_ORDINAL = words(r"\b(?P<number>\d+)(st|nd|rd|th)\b( ?pass?\b)?")
_NUMBERED = words(
    r"\bpost ?(?P<a>\d{1,2})\b", r"\+ ?c ?(?P<b>\d{1,2})\b", r"\bpass ?(?P<c>\d{1,2})\b",
    r"\bph(ase)? ?(?P<d>\d{1,2})\b",
)  # fmt: skip
_SECONDS = words(r"\btt ?= ?(?P<number>\d+(\.\d+)?) ?s")
_LEFT = words(r"\b(left|lt|links|gauche|izq\w*|esq\w*|sinist\w*)\b", r"\bl breast", r"左")
_RIGHT = words(r"\b(right|rt|rechts|droite?|der\w*|dir\w*|destr\w*)\b", r"\br breast", r"右")


@dataclass(frozen=True, slots=True)
class PhaseName:
    """What a name says of a phase. ``before``, ``after``: without, with contrast.

    ``stem`` is the name without GE's phase, ``ge_phase`` that phase, ``post`` another number of a
    post-contrast phase, ``seconds`` a time after the start.
    """

    text: str
    side: str
    stem: str
    ge_phase: int | None
    post: int | None
    seconds: float | None
    before: bool
    after: bool


@dataclass(frozen=True, slots=True)
class NamedSeries:
    """One series of a dynamic: its name, its Series Number, how many images it has."""

    series_uid: str
    name: PhaseName
    number: int | None
    images: int | None


def phases_by_name(series: Iterable[NamedSeries]) -> dict[str, int]:
    """Phase numbers by Series Instance UID, of the dynamic series of one study.

    0 is the pre-contrast phase; a series that is not in the answer has no known place.
    """
    sides: dict[str, list[NamedSeries]] = defaultdict(list)
    for one in series:
        sides[one.name.side].append(one)
    placed: dict[str, int] = {}
    for of_side in sides.values():
        placed |= _by_ge_names(of_side) or _by_other_names(of_side)
    return placed


def read_phase_name(text: str) -> PhaseName:
    """Read a name, in the form of ``role_words.plain``."""
    ge_phase, ordinal, seconds = (p.search(text) for p in (_GE_PHASE, _ORDINAL, _SECONDS))
    stem = _GE_PHASE.sub("", text)
    post = ordinal.group("number") if ordinal else _first(_NUMBERED.search(stem))
    left, right = _LEFT.search(text), _RIGHT.search(text)
    return PhaseName(
        text=text,
        side="" if bool(left) == bool(right) else "left" if left else "right",
        stem=stem,
        ge_phase=int(ge_phase.group("number")) if ge_phase else None,
        post=int(post) if post else None,
        seconds=float(seconds.group("number")) if seconds else None,
        before=BEFORE_CONTRAST.search(text) is not None,
        after=AFTER_CONTRAST.search(text) is not None or bool(post),
    )


def _first(found: re.Match[str] | None) -> str | None:
    return next((v for v in found.groupdict().values() if v), None) if found else None


def _by_ge_names(reads: Sequence[NamedSeries]) -> dict[str, int]:
    """``Ph1/`` is the first post, the series of the same name without it the pre-contrast one."""
    placed: dict[str, int] = {}
    stems = {r.name.stem for r in reads if r.name.ge_phase is not None}
    for stem in stems:
        posts = [r for r in reads if r.name.ge_phase is not None and r.name.stem == stem]
        if len({r.name.ge_phase for r in posts}) < len(posts):
            continue  # a dynamic that was run twice under one name: which is which is not known
        placed |= {r.series_uid: r.name.ge_phase for r in posts if r.name.ge_phase is not None}
        one_phase = median_low([r.images or 0 for r in posts])
        others = [r for r in reads if r.name.ge_phase is None]
        first = [r for r in others if r.name.stem == stem]
        if not first and len(stems) == 1:
            first = [
                r for r in others if r.name.before and not r.name.after and _later(posts[0], r)
            ]
        if len(first) == 1 and _is_one(first[0], one_phase):
            placed[first[0].series_uid] = 0
    return placed


def _by_other_names(reads: Sequence[NamedSeries]) -> dict[str, int]:
    one_phase = _images_of_one_phase(reads)
    single = [r for r in reads if _is_one(r, one_phase)]
    single.sort(key=lambda r: (r.number is None, r.number or 0))
    if len(single) > 1 and any(r.number is None for r in single):
        single = [
            r for r in single if r.name.post is not None or (r.name.before and not r.name.after)
        ]
    if timed := _by_seconds(single):
        return timed
    pres = [r for r in single if r.name.before and not r.name.after]
    rest = _before_several([r for r in single if r not in pres], reads, one_phase)
    if not pres:
        several = len(reads) - len(single)
        return _before_a_series_of_several(rest) if several else _without_pre(rest)
    posts = [r for r in rest if _later(r, pres[0])]
    # Of a repeated pre-contrast series the last one before contrast is the one to compare with.
    earlier = [p for p in pres if not posts or not _later(p, posts[0])] or pres[:1]
    placed = {earlier[-1].series_uid: 0}
    return placed | _in_order(posts, first=1)


def _without_pre(rest: Sequence[NamedSeries]) -> dict[str, int]:
    """No series is named pre-contrast: one name repeated is a whole dynamic, its first the pre."""
    if len(rest) < 2:
        return {r.series_uid: r.name.post for r in rest if r.name.post}
    numbered = [r for r in rest if r.name.post is not None]
    if len(numbered) == len(rest):
        return _in_order(rest, first=1)
    unnumbered = [r for r in rest if r.name.post is None]
    if numbered and len(unnumbered) == 1 and not unnumbered[0].name.after:
        # The one name without a number came before those that are counted.
        return {unnumbered[0].series_uid: 0} | _in_order(numbered, first=1)
    stem, repeats = Counter(r.name.stem for r in rest).most_common(1)[0]
    if repeats > 2 and DYNAMIC.search(stem):
        return _in_order([r for r in rest if r.name.stem == stem], first=0)
    return {}


def _before_a_series_of_several(rest: Sequence[NamedSeries]) -> dict[str, int]:
    """One phase, and then a series with all others: the one is the pre-contrast phase."""
    if len(rest) == 1 and not rest[0].name.after:
        return {rest[0].series_uid: 0}
    return {}


def _in_order(reads: Sequence[NamedSeries], *, first: int) -> dict[str, int]:
    """By their own numbers where each has one, else by series number."""
    numbers = [r.name.post for r in reads]
    if None not in numbers and len(set(numbers)) == len(numbers):
        return {r.series_uid: r.name.post for r in reads if r.name.post is not None}
    return {r.series_uid: first + n for n, r in enumerate(reads)}


def _by_seconds(reads: Sequence[NamedSeries]) -> dict[str, int]:
    """Times after the start, where every name has another one."""
    times = sorted({r.name.seconds for r in reads if r.name.seconds is not None})
    if len(times) < 2 or len(times) < len(reads):
        return {}
    return {r.series_uid: times.index(r.name.seconds) for r in reads if r.name.seconds is not None}


def _images_of_one_phase(reads: Sequence[NamedSeries]) -> int:
    """Images that one phase has: as most series that are single by name, or by repetition."""
    names = Counter(r.name.text for r in reads)
    surely = [
        r.images
        for r in reads
        if r.images
        and (r.name.post or names[r.name.text] > 2 or (r.name.before and not r.name.after))
    ]
    counts = surely or [r.images for r in reads if r.images]
    smallest = min(counts, default=0)
    return median_low(counts) if counts and median_low(counts) < SEVERAL * smallest else smallest


def _is_one(read: NamedSeries, one_phase: int) -> bool:
    images = read.images
    if images is None or not one_phase:
        return True
    return FEWER * one_phase <= images < SEVERAL * one_phase and images < MOST_SLICES


def _before_several(
    rest: Sequence[NamedSeries], reads: Sequence[NamedSeries], one_phase: int
) -> list[NamedSeries]:
    """What comes before every series that holds several phases; after one, nobody can count on."""
    several = [r for r in reads if not _is_one(r, one_phase) and (r.images or 0) > one_phase]
    numbers = [r.number for r in several if r.number is not None]
    if not several:
        return list(rest)
    limit = min(numbers, default=0)
    return [r for r in rest if r.number is not None and r.number < limit]


def _later(one: NamedSeries, other: NamedSeries) -> bool:
    if one.number is None or other.number is None:
        return True
    return one.number > other.number
