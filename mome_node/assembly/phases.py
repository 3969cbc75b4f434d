"""The dynamics of a study: which volumes repeat each other in time, and in which order.

Volumes are phases of one dynamic when they share orientation, spacing, matrix, frame of reference,
place and sequence, and belong to one run of it (``runs``). What orders them is in ``phase_order``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mome_node.assembly.phase_order import order_of
from mome_node.assembly.role_rules import FAT_SUPPRESSED_OPTIONS
from mome_node.assembly.rules import AssemblyRules
from mome_node.assembly.runs import Run, declared_phases, names_agent, runs_of
from mome_node.assembly.stacks import PlaneStack
from mome_node.dicom.geometry import PARALLEL_COSINE, SAME_PLACE_MM

SAME_TIMING_SHARE = 0.05
"""TR and TE of phases may differ by this share: prescans shorten them a little between series."""

SHARED_PLACES = 0.5
"""Phases share at least this part of their slices; left and right breast share none."""

COMPARED_PROTOCOLS = 64
"""A volume is compared with so many groups of its matrix, so that time is bounded."""


@dataclass(frozen=True, slots=True)
class Dynamic:
    """Phases of one dynamic. ``ordered`` is False where their order is not known.

    ``times_s`` are seconds after the first phase, None where only the order is known: from the
    start of its acquisition to the start of each phase's, as the scanner wrote them, not the
    moments at which the centre of k-space was read. ``evidence`` names what told the order, or in
    words why nothing did. ``note``: why its volumes are no phases of a dynamic of their own.
    ``lacks_pre``: its pre-contrast phase is not there, so that nobody knows which posts these are.
    """

    phases: tuple[PlaneStack, ...]
    times_s: tuple[float | None, ...]
    ordered: bool
    evidence: str
    note: str = ""
    lacks_pre: bool = False

    @property
    def started_s(self) -> float | None:
        """When the first phase was acquired, where that is known for every phase."""
        times = [s.acquired_s for s in self.phases]
        if None in times:
            return None
        return times[0] if self.ordered else min(t for t in times if t is not None)

    @property
    def declared(self) -> int:
        """The phases that the scanner says it took (NumberOfTemporalPositions), 0 if unsaid."""
        return declared_phases(self.phases)

    @property
    def with_contrast(self) -> tuple[bool, ...]:
        """For each phase whether its headers name a contrast agent."""
        return tuple(names_agent(s) for s in self.phases)

    @property
    def interval_s(self) -> float | None:
        """The usual time between post-contrast phases."""
        known = [t for t in self.times_s if t is not None]
        if len(known) < len(self.times_s) or len(known) < 2:
            return None
        return float(np.median(np.diff(known[1:] if len(known) > 2 else known)))


def is_ultrafast(dynamic: Dynamic, rules: AssemblyRules) -> bool:
    """Whether the phases follow each other faster than a conventional dynamic's."""
    interval = dynamic.interval_s
    return interval is not None and interval < rules.ultrafast_s


def dynamics_of(
    stacks: Iterable[PlaneStack],
    *,
    ultrafast_s: float,
    doubted: frozenset[str] = frozenset(),
) -> tuple[Dynamic, ...]:
    """Group gradient-echo volumes into dynamics; a lone volume is a dynamic of one phase.

    ``doubted`` are series whose name says that they are no phases (``runs_of``).
    """
    alike: dict[tuple[object, ...], list[list[PlaneStack]]] = defaultdict(list)
    # Larger volumes first, so that a phase still growing joins the full ones.
    for stack in sorted(stacks, key=lambda s: (-len(s.planes), s.planes[0].sort_key)):
        groups = alike[_exact_protocol(stack)]
        compared = groups[:COMPARED_PROTOCOLS]
        mates = next((g for g in compared if _same_protocol(g[0], stack)), None)
        if mates is None:
            groups.append([stack])
        else:
            mates.append(stack)
    return tuple(
        _in_order(run)
        for groups in alike.values()
        for group in groups
        for run in runs_of(group, ultrafast_s=ultrafast_s, doubted=doubted)
    )


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
        and _same_suppression(one, other)
        and _share_places(one, other)
    )


def _same_suppression(one: PlaneStack, other: PlaneStack) -> bool:
    """Whether Scan Options of both suppress fat, or of neither; silent ones fit either."""
    said = [{v.upper() for v in s.planes[0].instance.scan_options} for s in (one, other)]
    return not all(said) or len({bool(v & FAT_SUPPRESSED_OPTIONS) for v in said}) == 1


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


def _in_order(run: Run) -> Dynamic:
    stacks = run.stacks
    if len(stacks) == 1:
        return Dynamic(stacks, (0.0,), ordered=True, evidence="one phase", note=run.note)
    order = order_of(stacks)
    if order.indices is None:
        kept = tuple(sorted(stacks, key=lambda s: s.planes[0].sort_key))
        return Dynamic(kept, order.times_s, ordered=False, evidence=order.evidence, note=run.note)
    phases = tuple(stacks[n] for n in order.indices)
    return Dynamic(phases, order.times_s, ordered=True, evidence=order.evidence, note=run.note)
