"""The order of the phases of one dynamic, and their seconds, by what the files say of time.

Clocks first: the time of the acquisition (Acquisition Time, Frame Acquisition DateTime), with the
trigger time counted on where several phases share one acquisition time (GE), then the trigger
time alone. Where no clock parts the phases, the numbers that the scanner gave them do: temporal
position, acquisition number. The content time is that of the reconstruction: it orders volumes
whose images do not overlap in it, and gives seconds only where nothing better contradicts it. The
instance number comes last. Series number and description are never asked.

Evidence that contradicts itself orders nothing. So taking evidence away leaves the order as it
was, or leaves none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from mome_node.assembly.planes import Plane
from mome_node.assembly.stacks import PlaneStack

SAME_MOMENT_S = 0.2
"""Times nearer than this are one: the fastest breast phases are seconds apart."""

DAY_S = 86_400.0

LONGEST_PAUSE_S = DAY_S / 2
"""A longer pause in times without a date is a midnight: no exam lasts that long."""

Times = list[float]


@dataclass(frozen=True, slots=True)
class Order:
    """Indices in time order with seconds after the first, or in words why there is no order."""

    indices: tuple[int, ...] | None
    times_s: tuple[float | None, ...]
    evidence: str


def order_of(stacks: Sequence[PlaneStack]) -> Order:
    """The order of two or more phases of one protocol."""
    one_series = len({s.series_uid for s in stacks}) == 1
    numbers = dict(_numberings(stacks, one_series=one_series))
    checks = dict(numbers)
    triggered = _seconds(_all(stacks, lambda p: p.frame.trigger_time_ms)) if one_series else None
    if triggered is not None and _apart(triggered, SAME_MOMENT_S):
        checks["trigger time"] = triggered
    for name, times in _clocks(stacks, triggered):
        if times is not None and _apart(times, SAME_MOMENT_S):
            return _by_clock(name, times, checks)
    content = _content(stacks)
    for name, ranks in numbers.items():
        return _by_number(name, ranks, numbers, content)
    if content is not None:
        return _by_clock("content time", content, {})
    if one_series and all(s.ordered_by_instance for s in stacks):
        ranks = [float(s.repeat) for s in stacks]
        if _apart(ranks, 0.5):
            return _by_number("instance number", ranks, {}, None)
    return _no_order(stacks, "no time or temporal position tells the order of the phases")


def moments_of(stacks: Sequence[PlaneStack]) -> list[float | None]:
    """When each volume was begun, in seconds of the study's clock, None where that is unknown.

    Volumes of one acquisition time are told apart by their trigger times.
    """
    known = [n for n, s in enumerate(stacks) if s.acquired_s is not None]
    acquired = unwrapped([stacks[n].acquired_s or 0.0 for n in known])
    offsets = [stacks[n].earliest(lambda p: p.frame.trigger_time_ms) for n in known]
    moments: list[float | None] = [None] * len(stacks)
    for n, time, offset, mates in zip(known, acquired, offsets, _mates(acquired), strict=True):
        moments[n] = time + (offset or 0.0) / 1000 if mates > 1 else time
    return moments


def _mates(times: Sequence[float]) -> list[int]:
    """How many of the times are the same moment as each, itself included."""
    values = np.asarray(times, dtype=float)
    rising = np.sort(values)
    after = np.searchsorted(rising, values + SAME_MOMENT_S, side="right")
    counts: list[int] = (after - np.searchsorted(rising, values - SAME_MOMENT_S)).tolist()
    return counts


def unwrapped(times: Sequence[float]) -> Times:
    """Times of day with those after a midnight counted on, where no date told them apart."""
    if not times or min(times) < 0 or max(times) >= DAY_S:
        return list(times)
    rising = sorted(times)
    gap, evening = max(((b - a, b) for a, b in pairwise(rising)), default=(0.0, 0.0))
    if gap <= LONGEST_PAUSE_S:
        return list(times)
    return [t if t >= evening else t + DAY_S for t in times]


def _clocks(
    stacks: Sequence[PlaneStack], triggered: Times | None
) -> Iterator[tuple[str, Times | None]]:
    """Clock readings in seconds, the most reliable first."""
    acquired = _all(stacks, lambda p: p.frame.acquired_s)
    if acquired is not None:
        acquired = unwrapped(acquired)
        yield "acquisition time", acquired
        offsets = [s.earliest(lambda p: p.frame.trigger_time_ms) for s in stacks]
        yield "acquisition and trigger time", _joined(acquired, offsets)
    yield "trigger time", triggered


def _joined(acquired: Sequence[float], offsets_ms: Sequence[float | None]) -> Times | None:
    """Trigger times counted from an acquisition time that several phases share.

    A phase with an acquisition time of its own needs no trigger time.
    """
    joined = []
    for time, offset, mates in zip(acquired, offsets_ms, _mates(acquired), strict=True):
        if mates > 1 and offset is None:
            return None
        joined.append(time + (offset or 0.0) / 1000 if mates > 1 else time)
    return joined


def _content(stacks: Sequence[PlaneStack]) -> Times | None:
    """Content times, where the images of each volume stand together in them."""
    begun = _all(stacks, lambda p: p.frame.content_s)
    if begun is None or not _apart(begun, SAME_MOMENT_S):
        return None
    ended = [max(p.frame.content_s or 0.0 for p in s.planes) for s in stacks]
    begun, spans = unwrapped(begun), [b - a for a, b in zip(begun, ended, strict=True)]
    rising = sorted(zip(begun, spans, strict=True))
    together = all(a + span <= b for (a, span), (b, _) in pairwise(rising))
    return begun if together and min(spans) >= 0 else None


def _numberings(stacks: Sequence[PlaneStack], *, one_series: bool) -> Iterator[tuple[str, Times]]:
    """Numbers that rise with time though they are no time.

    They count within one measurement: one series, or series that declare the same number of
    phases (Number of Temporal Positions) and hold numbers up to it.
    """
    for name, ranks in (
        ("temporal position", _all(stacks, lambda p: p.frame.temporal_position)),
        ("acquisition number", _all(stacks, lambda p: p.instance.acquisition_number)),
    ):
        if ranks is not None and _apart(ranks, 0.5) and (one_series or _counted(stacks, ranks)):
            yield name, ranks


def _counted(stacks: Sequence[PlaneStack], ranks: Sequence[float]) -> bool:
    declared = {p.instance.temporal_positions for s in stacks for p in s.planes}
    most = next(iter(declared)) if len(declared) == 1 else None
    return most is not None and min(ranks) >= 1 and max(ranks) <= most


def _by_clock(name: str, times: Times, checks: dict[str, Times]) -> Order:
    order = _rising(times)
    against = next((n for n, ranks in checks.items() if _rising(ranks) != order), None)
    if against is not None:
        return Order(None, (None,) * len(times), f"{name} contradicts the {_plural(against)}")
    return Order(order, tuple(times[n] - times[order[0]] for n in order), name)


def _by_number(name: str, ranks: Times, numbers: dict[str, Times], content: Times | None) -> Order:
    order = _rising(ranks)
    against = next((n for n, other in numbers.items() if _rising(other) != order), None)
    if against is not None:
        return Order(None, (None,) * len(ranks), f"{name} contradicts the {_plural(against)}")
    if content is not None and _rising(content) == order:
        seconds = tuple(content[n] - content[order[0]] for n in order)
        return Order(order, seconds, f"{name}, seconds by content time")
    return Order(order, (0.0, *([None] * (len(ranks) - 1))), name)


def _no_order(stacks: Sequence[PlaneStack], why: str) -> Order:
    return Order(None, (None,) * len(stacks), why)


def _rising(values: Sequence[float]) -> tuple[int, ...]:
    return tuple(sorted(range(len(values)), key=values.__getitem__))


def _plural(name: str) -> str:
    return f"{name}s"


def _all(stacks: Sequence[PlaneStack], value: Callable[[Plane], float | None]) -> Times | None:
    found = [s.earliest(value) for s in stacks]
    known = [float(v) for v in found if v is not None]
    return known if len(known) == len(found) else None


def _seconds(milliseconds: Times | None) -> Times | None:
    return None if milliseconds is None else [t / 1000 for t in milliseconds]


def _apart(values: Sequence[float], gap: float) -> bool:
    return bool((np.diff(np.sort(np.asarray(values))) > gap).all())
