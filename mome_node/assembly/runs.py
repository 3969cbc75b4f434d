"""Parting the volumes of one protocol into runs: copies, an ultrafast run, repeats after motion.

One protocol may be run more than once in a study, and one run may reach the archive twice. What
shows it are moments and numbers of the acquisition, contrast agent and series; never a name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from mome_node.assembly.copies import sets_of, without_copies
from mome_node.assembly.phase_order import moments_of
from mome_node.assembly.stacks import PlaneStack

FEWEST_FAST = 3
"""So many fast volumes at least are an ultrafast run within a conventional dynamic."""

CLEARLY_FASTER = 2.0
"""The conventional phases of such a dynamic take at least this many times as long."""

LIKE_PACE = 0.25
"""Gaps that differ by less than this share are one pace."""

COPY = "a second image of the same moment: not a phase of its own"
REPEATED_PRE = "repeated before contrast was given: the latest complete one is the pre-contrast"

Stacks = list[PlaneStack]


@dataclass(frozen=True, slots=True)
class Run:
    """Volumes of one run, in no order yet. ``note``: why they are no dynamic of their own."""

    stacks: tuple[PlaneStack, ...]
    note: str = ""


def runs_of(
    stacks: Sequence[PlaneStack], *, ultrafast_s: float, doubted: frozenset[str]
) -> list[Run]:
    """The runs among volumes of one protocol at one place.

    ``ultrafast_s``: phases that follow each other faster make an ultrafast run. ``doubted``: series
    whose name says that they are no phases; they yield to another volume of the same moment.
    """
    kept, copies = without_copies(stacks, doubted)
    runs = []
    for paced in _by_pace(kept, ultrafast_s):
        for run in _repeats(paced):
            phases, dropped = _one_pre(run)
            runs.append(Run(tuple(phases)))
            runs += [Run((s,), REPEATED_PRE) for s in dropped]
    return runs + [Run(tuple(s), COPY) for s in sets_of(copies, doubted)]


# Temporal resolution


def _by_pace(stacks: Sequence[PlaneStack], ultrafast_s: float) -> list[Stacks]:
    """The conventional phases, and apart from them an ultrafast run before or among them."""
    moments = moments_of(stacks)
    times = [m for m in moments if m is not None]
    if len(times) < len(stacks) or len(stacks) < FEWEST_FAST + 2:
        return [list(stacks)]
    order = sorted(range(len(stacks)), key=times.__getitem__)
    rising, timed = [stacks[n] for n in order], sorted(times)
    fast = _fast(rising, timed, ultrafast_s)
    quick = [t for t, f in zip(timed, fast, strict=True) if f]
    usual = [t for t, f in zip(timed, fast, strict=True) if not f]
    if len(quick) < FEWEST_FAST or len(usual) < 2:
        return [list(stacks)]
    if np.median(np.diff(usual)) < CLEARLY_FASTER * np.median(np.diff(quick)):
        return [list(stacks)]
    return [
        [s for s, f in zip(rising, fast, strict=True) if f is wanted] for wanted in (False, True)
    ]


def _fast(rising: Sequence[PlaneStack], times: Sequence[float], ultrafast_s: float) -> list[bool]:
    """For each volume whether it was fast: the next one begins when it ends."""
    members: dict[str, list[float]] = defaultdict(list)
    for stack, time in zip(rising, times, strict=True):
        members[stack.series_uid].append(time)
    paced = {u: max(np.diff(t)) < ultrafast_s for u, t in members.items() if len(t) >= FEWEST_FAST}
    gaps = np.diff(times)
    fast = [bool(g < ultrafast_s) for g in gaps]
    for n, stack in enumerate(rising[:-1]):
        if paced.get(stack.series_uid):
            fast[n] = True
        elif rising[n + 1].series_uid != stack.series_uid and paced.get(rising[n + 1].series_uid):
            fast[n] = False  # a conventional phase, begun shortly before the ultrafast run
    last = paced.get(rising[-1].series_uid, False)
    if not last and fast[-1] and not paced.get(rising[-2].series_uid):
        usual = float(np.median([g for g, f in zip(gaps, fast, strict=True) if f]))
        last = abs(gaps[-1] - usual) <= LIKE_PACE * usual
    return [*fast, bool(last)]


# Repeats


def _repeats(stacks: Sequence[PlaneStack]) -> list[Stacks]:
    """Part a protocol that was run twice: a whole new dynamic after an interrupted or moved one."""
    series: dict[str, Stacks] = defaultdict(list)
    moments = dict(zip(map(id, stacks), moments_of(stacks), strict=True))
    for stack in stacks:
        series[stack.series_uid].append(stack)
    for mine in series.values():
        mine.sort(key=lambda s: (_late(moments[id(s)]), s.planes[0].sort_key))
    by_time = sorted(series.values(), key=lambda m: (_late(moments[id(m[0])]), m[0].series_uid))
    timed = all(m is not None for m in moments.values())
    runs: list[list[Stacks]] = []
    for n, mine in enumerate(by_time):
        if runs and not _starts_anew(runs[-1], by_time[n:], timed=timed):
            runs[-1].append(mine)
        else:
            runs.append([mine])
    return [[s for mine in run for s in mine] for run in runs]


def _late(moment: float | None) -> float:
    return float("inf") if moment is None else moment


def _starts_anew(run: Sequence[Stacks], rest: Sequence[Stacks], *, timed: bool) -> bool:
    """Whether the first series of ``rest`` begins the protocol again rather than continuing it.

    Without a sign the earlier series is taken for the beginning: its first phase is the
    pre-contrast one, and no post-contrast phase may pass for that.
    """
    mine = rest[0]
    leader = next((m for m in run if len(m) > 1), None)
    if leader and len(mine) > 1 and _same_length(leader, mine):
        return any(map(names_agent, leader)) == any(map(names_agent, mine))
    if not timed:
        return False
    before = [names_agent(s) for m in run for s in m]
    after = [names_agent(s) for m in rest for s in m]
    if any(before) and not before[0] and not after[0] and any(after):
        return True
    return len(mine) == 1 and _counts_again(run, rest) and before[0] == after[0]


def _same_length(before: Sequence[PlaneStack], after: Sequence[PlaneStack]) -> bool:
    """Whether as many phases were meant, or taken."""
    meant = declared_phases(before)
    return len(before) == len(after) or (meant > 0 and meant == declared_phases(after))


def _counts_again(run: Sequence[Stacks], rest: Sequence[Stacks]) -> bool:
    """Whether series of one phase each count their acquisitions from the first number again."""
    if any(len(m) > 1 for m in (*run, *rest)):
        return False
    first = [s.earliest(lambda p: p.instance.acquisition_number) for (s,) in run]
    again = [s.earliest(lambda p: p.instance.acquisition_number) for (s,) in rest]
    numbers = [n for n in first if n is not None]
    if len(numbers) < max(len(first), 2) or any(b <= a for a, b in pairwise(numbers)):
        return False
    meant = declared_phases([s for (s,) in run])
    as_meant = meant > 0 and meant == declared_phases(rest[0])
    length = min(len(first), len(again)) if as_meant else len(first)
    return len(again) >= length >= 2 and again[:length] == first[:length]


def declared_phases(stacks: Sequence[PlaneStack]) -> int:
    """The phases that the scanner says it took (Number of Temporal Positions), 0 if unsaid."""
    return max((p.instance.temporal_positions or 0 for s in stacks for p in s.planes), default=0)


def lacks_first(stacks: Sequence[PlaneStack]) -> bool:
    """Whether the first of several phases is not there, by the numbers that the scanner gave them.

    Where acquisition numbers or temporal positions tell the phases apart, one of them begins with
    1, and trigger times of one series with less than a phase's length. Where none does, phases of
    several series may lack it, those of one series do not.
    """
    told = [n for n in _numbers(stacks) if len(set(n)) == len(n)]
    if told:
        return not any(min(n) == 1 for n in told)
    if len({s.series_uid for s in stacks}) > 1:
        return True
    triggers = [s.earliest(lambda p: p.frame.trigger_time_ms) for s in stacks]
    rising = sorted(t for t in triggers if t is not None)
    return len(rising) == len(stacks) and 0 < float(np.diff(rising).min()) < rising[0]


def _counted(stacks: Sequence[PlaneStack]) -> bool:
    """Whether the phases are numbered 1, 2, 3, ... as those of one measurement."""
    return any(sorted(n) == list(range(1, len(stacks) + 1)) for n in _numbers(stacks))


def _numbers(stacks: Sequence[PlaneStack]) -> list[list[int]]:
    """Acquisition numbers and temporal positions, each where every phase has one."""
    read = (
        [s.earliest(lambda p: p.instance.acquisition_number) for s in stacks],
        [s.earliest(lambda p: p.frame.temporal_position) for s in stacks],
    )
    return [[int(n) for n in numbers if n is not None] for numbers in read if None not in numbers]


def names_agent(stack: PlaneStack) -> bool:
    """Whether the headers of a volume name a contrast agent, and do not say it was yet to come."""
    return any(
        p.frame.contrast_given
        if p.frame.contrast_given is not None
        else bool(p.instance.contrast_agent)
        for p in stack.planes
    )


def _one_pre(stacks: Sequence[PlaneStack]) -> tuple[Stacks, Stacks]:
    """Of several pre-contrast series the latest complete one; the phases, and what was dropped.

    Phases that one series took before the contrast came belong together and stay.
    """
    moments = moments_of(stacks)
    if None in moments:
        return list(stacks), []
    rising = [s for _, s in sorted(zip(moments, stacks, strict=True), key=lambda t: t[0] or 0.0)]
    agents = [names_agent(s) for s in rising]
    before = rising[: agents.index(True)] if any(agents) else []
    scans: dict[str, Stacks] = defaultdict(list)
    for stack in before:
        scans[stack.series_uid].append(stack)
    one_measurement = declared_phases(before) > max(map(len, scans.values()), default=0)
    if len(scans) < 2 or agents != sorted(agents) or (one_measurement and _counted(rising)):
        return list(stacks), []
    most = max(len(s.planes) for s in rising)
    whole = [m for m in scans.values() if all(len(s.planes) == most for s in m)]
    taken = (whole or list(scans.values()))[-1]
    dropped = [s for s in before if s.series_uid != taken[0].series_uid]
    return [s for s in stacks if not any(s is d for d in dropped)], dropped
