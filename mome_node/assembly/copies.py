"""Volumes of one moment: one phase, reconstructed another way or archived a second time."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise

from mome_node.assembly.phase_order import SAME_MOMENT_S, moments_of
from mome_node.assembly.planes import image_type_values
from mome_node.assembly.stacks import PlaneStack

MOST_AT_ONCE = 32
"""A volume is compared with so many of its moment, so that time is bounded."""


def without_copies(
    stacks: Sequence[PlaneStack], doubted: frozenset[str]
) -> tuple[list[PlaneStack], list[PlaneStack]]:
    """Each moment once, and the copies: other reconstructions, filtered or sent a second time."""
    types = Counter(_image_types(s) for s in stacks)
    size = Counter(s.series_uid for s in stacks)

    def rank(stack: PlaneStack) -> tuple[object, ...]:
        kind = _image_types(stack)
        return (
            stack.series_uid in doubted,
            -types[kind],
            -len(kind),
            sorted(kind),
            -len(stack.planes),
            -size[stack.series_uid],
            stack.planes[0].sort_key,
        )

    moments = dict(zip(map(id, stacks), moments_of(stacks), strict=True))
    kept: list[PlaneStack] = []
    copies: list[PlaneStack] = []
    at: dict[int, list[PlaneStack]] = defaultdict(list)
    for stack in sorted(stacks, key=rank):
        moment = moments[id(stack)]
        slot = 0 if moment is None else round(moment / SAME_MOMENT_S)
        near = [k for n in (slot - 1, slot, slot + 1) for k in at[n]] if moment is not None else []
        doubtful = stack.series_uid in doubted
        if any(_is_copy(k, stack, doubtful=doubtful) for k in near):
            copies.append(stack)
            continue
        kept.append(stack)
        if moment is not None and len(near) < MOST_AT_ONCE:
            at[slot].append(stack)
    return kept, copies


def _is_copy(kept: PlaneStack, stack: PlaneStack, *, doubtful: bool) -> bool:
    """Whether two volumes of one acquisition time are one phase, and not two of a shared clock."""
    if kept.series_uid == stack.series_uid and _image_types(kept) == _image_types(stack):
        return False  # what part_in_time told apart are two phases
    if doubtful or _image_types(kept) != _image_types(stack):
        return True
    said = [_said(s) for s in (kept, stack)]
    return said[0] == said[1] and said[0][0] is not None


def _said(stack: PlaneStack) -> tuple[float | None, ...]:
    return (
        stack.earliest(lambda p: p.frame.content_s),
        stack.earliest(lambda p: p.frame.trigger_time_ms),
        stack.earliest(lambda p: p.instance.acquisition_number),
    )


def _image_types(stack: PlaneStack) -> frozenset[str]:
    return image_type_values(stack.planes[0].image_type)


def sets_of(copies: Sequence[PlaneStack], doubted: frozenset[str]) -> list[list[PlaneStack]]:
    """Copies of one kind are a set: the whole dynamic reconstructed another way."""
    sets: dict[tuple[object, ...], list[PlaneStack]] = defaultdict(list)
    for stack in copies:
        sets[stack.series_uid in doubted, *sorted(_image_types(stack))].append(stack)
    found = []
    for key in sorted(sets, key=str):
        times = sorted(m for m in moments_of(sets[key]) if m is not None)
        once = all(b - a > SAME_MOMENT_S for a, b in pairwise(times))
        found += [sets[key]] if once else [[s] for s in sets[key]]
    return found
