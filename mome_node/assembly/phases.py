"""The dynamics of a study: which volumes repeat each other in time, and in which order.

Volumes are phases of one dynamic when they share orientation, spacing, matrix, frame of reference,
place and sequence. Their order comes from the clock of the acquisition, else from the trigger
time, else from the content time, else from the numbers that the scanner gave them within one
series. Where none of these tells all phases apart, the order is not guessed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mome_node.assembly.planes import Plane
from mome_node.assembly.stacks import PlaneStack
from mome_node.dicom.geometry import PARALLEL_COSINE, SAME_PLACE_MM

SAME_MOMENT_S = 0.2
"""Times nearer than this are one: the fastest breast phases are seconds apart."""

SAME_TIMING_SHARE = 0.05
"""TR and TE of phases may differ by this share: prescans shorten them a little between series."""

SHARED_PLACES = 0.5
"""Phases share at least this part of their slices; left and right breast share none."""


@dataclass(frozen=True, slots=True)
class Dynamic:
    """Phases of one dynamic. ``ordered`` is False where their order is not known.

    ``times_s`` are seconds after the first phase, None where only the order is known. ``evidence``
    names what told the order, or in words why nothing did.
    """

    phases: tuple[PlaneStack, ...]
    times_s: tuple[float | None, ...]
    ordered: bool
    evidence: str

    @property
    def started_s(self) -> float | None:
        """When the first phase was acquired, where that is known for every phase."""
        times = [s.acquired_s for s in self.phases]
        known = [t for t in times if t is not None]
        return min(known) if len(known) == len(times) else None

    @property
    def declared(self) -> int:
        """The phases that the scanner says it took (NumberOfTemporalPositions), 0 if unsaid."""
        return _declared(self.phases)

    @property
    def interval_s(self) -> float | None:
        """The usual time between post-contrast phases."""
        known = [t for t in self.times_s if t is not None]
        if len(known) < len(self.times_s) or len(known) < 2:
            return None
        return float(np.median(np.diff(known[1:] if len(known) > 2 else known)))


def dynamics_of(stacks: Iterable[PlaneStack]) -> tuple[Dynamic, ...]:
    """Group gradient-echo volumes into dynamics; a lone volume is a dynamic of one phase."""
    alike: dict[tuple[object, ...], list[list[PlaneStack]]] = defaultdict(list)
    # Larger volumes first, so that a phase still growing joins the full ones.
    for stack in sorted(stacks, key=lambda s: (-len(s.planes), s.planes[0].sort_key)):
        groups = alike[_exact_protocol(stack)]
        mates = next((g for g in groups if _same_protocol(g[0], stack)), None)
        if mates is None:
            groups.append([stack])
        else:
            mates.append(stack)
    runs = [run for groups in alike.values() for group in groups for run in _runs(group)]
    return tuple(_in_order(run) for run in runs)


def _exact_protocol(stack: PlaneStack) -> tuple[object, ...]:
    """What phases share to the letter."""
    i = stack.planes[0].instance
    scanning = tuple(sorted(set(i.scanning_sequence)))
    return i.rows, i.columns, i.frame_of_reference_uid, i.acquisition_type, scanning


def _same_protocol(one: PlaneStack, other: PlaneStack) -> bool:
    """Whether what phases share within a tolerance is the same."""
    a, b = one.planes[0], other.planes[0]
    i, j = a.instance, b.instance
    return (
        _close(a.frame.image_orientation, b.frame.image_orientation, PARALLEL_COSINE)
        and _close(a.frame.pixel_spacing, b.frame.pixel_spacing, SAME_PLACE_MM)
        and _like(i.repetition_time_ms, j.repetition_time_ms)
        and _like(i.echo_time_ms, j.echo_time_ms)
        and _like(i.flip_angle_deg, j.flip_angle_deg)
        and _share_places(one, other)
    )


def _close(a: Sequence[float] | None, b: Sequence[float] | None, tolerance: float) -> bool:
    if a is None or b is None:
        return a is b
    return max(abs(x - y) for x, y in zip(a, b, strict=True)) <= tolerance


def _like(a: float | None, b: float | None) -> bool:
    if a is None or b is None:
        return a is b
    return abs(a - b) <= SAME_TIMING_SHARE * max(abs(a), abs(b))


def _share_places(one: PlaneStack, other: PlaneStack) -> bool:
    """Whether the smaller volume has at least half of its slices where the other has some."""
    rising = np.asarray(one.offsets)
    wanted = np.asarray(other.offsets)
    after = np.searchsorted(rising, wanted).clip(1, max(len(rising) - 1, 1))
    before = after - 1
    after = after.clip(max=len(rising) - 1)
    nearest = np.where(
        np.abs(rising[before] - wanted) <= np.abs(rising[after] - wanted), before, after
    )
    found = np.abs(rising[nearest] - wanted) <= SAME_PLACE_MM
    if found.mean() < SHARED_PLACES:
        return False
    first = int(np.argmax(found))
    mate = int(nearest[first])
    return _close(
        one.planes[mate].frame.image_position,
        other.planes[first].frame.image_position,
        2 * SAME_PLACE_MM,
    )


def _runs(stacks: Sequence[PlaneStack]) -> list[list[PlaneStack]]:
    """Part a protocol that was run twice: a whole new dynamic, or a copy of one."""
    series: dict[str, list[PlaneStack]] = defaultdict(list)
    for stack in stacks:
        series[stack.series_uid].append(stack)
    runs: list[list[PlaneStack]] = []
    leaders: list[list[PlaneStack]] = []
    for uid in sorted(series, key=lambda u: (min(_clock(s) for s in series[u]), u)):
        mine = series[uid]
        if not runs or (leaders[-1] and len(mine) > 1 and _starts_anew(leaders[-1], mine)):
            runs.append([*mine])
            leaders.append(mine if len(mine) > 1 else [])
            continue
        runs[-1] += mine
        if len(mine) > 1 and not leaders[-1]:
            leaders[-1] = mine
    return runs


def _clock(stack: PlaneStack) -> float:
    return stack.acquired_s if stack.acquired_s is not None else float("inf")


def _starts_anew(before: Sequence[PlaneStack], after: Sequence[PlaneStack]) -> bool:
    """Whether a second multi-phase series repeats the first one rather than continuing it.

    A repeat is of the same length, in what the scanner meant to take or in what it took. Without
    that sign the earlier series is taken for the beginning: its first phase is the pre-contrast
    one, and no post-contrast phase may pass for that.
    """
    meant = _declared(before)
    same_length = len(before) == len(after) or (meant > 0 and meant == _declared(after))
    return same_length and _with_contrast(before) == _with_contrast(after)


def _declared(stacks: Sequence[PlaneStack]) -> int:
    return max(p.instance.temporal_positions or 0 for s in stacks for p in s.planes)


def _with_contrast(stacks: Sequence[PlaneStack]) -> bool:
    return any(p.instance.contrast_agent for s in stacks for p in s.planes)


def _in_order(stacks: Sequence[PlaneStack]) -> Dynamic:
    if len(stacks) == 1:
        return Dynamic(tuple(stacks), (0.0,), ordered=True, evidence="one phase")
    one_series = len({s.series_uid for s in stacks}) == 1
    for name, times in _readings(stacks, one_series=one_series):
        if times is None or not _apart(times, SAME_MOMENT_S):
            continue
        order = sorted(range(len(stacks)), key=times.__getitem__)
        if _contradicted([stacks[n] for n in order], one_series=one_series):
            return _unordered(stacks, f"{name} contradicts the temporal positions")
        seconds = tuple(times[n] - times[order[0]] for n in order)
        return Dynamic(tuple(stacks[n] for n in order), seconds, ordered=True, evidence=name)
    for name, ranks in _numberings(stacks, one_series=one_series):
        if ranks is not None and _apart(ranks, 0.5):
            order = sorted(range(len(stacks)), key=ranks.__getitem__)
            unknown: tuple[float | None, ...] = (0.0, *([None] * (len(stacks) - 1)))
            return Dynamic(tuple(stacks[n] for n in order), unknown, ordered=True, evidence=name)
    return _unordered(stacks, "no time or temporal position tells the order of the phases")


def _unordered(stacks: Sequence[PlaneStack], why: str) -> Dynamic:
    kept = tuple(sorted(stacks, key=lambda s: s.planes[0].sort_key))
    return Dynamic(kept, (None,) * len(kept), ordered=False, evidence=why)


def _readings(
    stacks: Sequence[PlaneStack], *, one_series: bool
) -> list[tuple[str, list[float] | None]]:
    """Clock readings in seconds, the most reliable first."""
    acquired = _all(stacks, lambda p: p.frame.acquired_s)
    trigger = _all(stacks, lambda p: p.frame.trigger_time_ms)
    content = _all(stacks, lambda p: p.frame.content_s)
    triggered = [t / 1000 for t in trigger] if trigger is not None else None
    readings = [("acquisition time", acquired)]
    if acquired is not None:
        offsets = [s.earliest(lambda p: p.frame.trigger_time_ms) for s in stacks]
        readings.append(("acquisition and trigger time", _joined(acquired, offsets)))
    if one_series:
        readings.append(("trigger time", triggered))
    return [*readings, ("content time", content)]


def _joined(acquired: Sequence[float], offsets_ms: Sequence[float | None]) -> list[float] | None:
    """Trigger times counted from an acquisition time that several phases share.

    A phase with an acquisition time of its own needs no trigger time.
    """
    joined = []
    for time, offset in zip(acquired, offsets_ms, strict=True):
        shared = sum(abs(time - other) <= SAME_MOMENT_S for other in acquired) > 1
        if shared and offset is None:
            return None
        joined.append(time + (offset or 0.0) / 1000 if shared else time)
    return joined


def _numberings(
    stacks: Sequence[PlaneStack], *, one_series: bool
) -> list[tuple[str, list[float] | None]]:
    """Numbers that rise with time though they are no time. They count within one measurement."""
    declared = _declared(stacks)
    numberings: list[tuple[str, list[float] | None]] = []
    if one_series:
        numberings.append(("temporal position", _all(stacks, lambda p: p.frame.temporal_position)))
    if one_series or declared >= len(stacks):
        numberings.append(
            ("acquisition number", _all(stacks, lambda p: p.instance.acquisition_number))
        )
    if one_series and all(s.ordered_by_instance for s in stacks):
        numberings.append(("instance number", [float(s.repeat) for s in stacks]))
    return numberings


def _all(
    stacks: Sequence[PlaneStack], value: Callable[[Plane], float | None]
) -> list[float] | None:
    found = [s.earliest(value) for s in stacks]
    known = [float(v) for v in found if v is not None]
    return known if len(known) == len(found) else None


def _apart(values: Sequence[float], gap: float) -> bool:
    return bool((np.diff(np.sort(np.asarray(values))) > gap).all())


def _contradicted(in_time: Sequence[PlaneStack], *, one_series: bool) -> bool:
    if not one_series:
        return False
    positions = _all(in_time, lambda p: p.frame.temporal_position)
    if positions is None or len(set(positions)) < len(positions):
        return False
    return positions != sorted(positions)
