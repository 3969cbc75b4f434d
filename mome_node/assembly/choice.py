"""Which of several candidates the model reads: one dynamic, one T2."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mome_node.assembly.phases import Dynamic, is_ultrafast
from mome_node.assembly.plan import Role
from mome_node.assembly.planes import image_type_values
from mome_node.assembly.role_rules import FAT_SUPPRESSED_OPTIONS, WATER
from mome_node.assembly.role_words import FAT_SUPPRESSED, plain
from mome_node.assembly.rules import AssemblyRules
from mome_node.assembly.series import StudySeries, phase_name
from mome_node.assembly.sides import is_unilateral, said_sides, side_problem, side_words
from mome_node.assembly.stacks import PlaneStack
from mome_node.dicom.header import InstanceFacts
from mome_node.dicom.reason_codes import (
    CONTRAST_ORDER,
    NOT_AXIAL,
    ONE_SIDED,
    PHASE_ORDER,
    Reason,
)

LIKE_COVERAGE = 0.8
"""Candidates that cover at least this share of the largest are alike; the latest is taken."""


@dataclass(frozen=True, slots=True)
class DynamicFaults:
    """What keeps a dynamic from being read: ``lasting`` for good, ``open`` until more arrives."""

    dynamic: Dynamic
    lasting: tuple[Reason, ...]
    open: tuple[str, ...]


def weigh_dynamic(dynamic: Dynamic, rules: AssemblyRules) -> DynamicFaults:
    """Tell what is wrong with a dynamic, in words."""
    lasting = [*_wrong_view(dynamic, rules), *_wrong_contrast(dynamic)]
    if not dynamic.ordered:
        lasting.append(Reason(PHASE_ORDER, dynamic.evidence))
    unfinished = [*_unfinished(dynamic, rules)]
    if dynamic.lacks_pre:
        unfinished.append("the pre-contrast phase is missing: every phase names a contrast agent")
    return DynamicFaults(dynamic, tuple(lasting), tuple(unfinished))


def choose_dynamic(found: StudySeries, rules: AssemblyRules) -> DynamicFaults | None:
    """The dynamic to read: sound, conventional before ultrafast, not a fragment, the latest."""
    weighed = [weigh_dynamic(d, rules) for d in found.dynamics]
    if not weighed:
        return None
    most = max(len(w.dynamic.phases) for w in weighed)

    def rank(w: DynamicFaults) -> tuple[object, ...]:
        d = w.dynamic
        return (
            bool(w.lasting),
            bool(w.open),
            is_ultrafast(d, rules),
            found.agent_told and all(d.with_contrast),  # one with its pre-contrast phase first
            len(d.phases) * 2 < most,
            -(d.started_s or 0.0),
            -len(d.phases),
            d.phases[0].planes[0].sort_key,
        )

    return min(weighed, key=rank)


def _wrong_view(dynamic: Dynamic, rules: AssemblyRules) -> Iterable[Reason]:
    first = dynamic.phases[0]
    if first.plane_name != "axial":
        told = f"the dynamic is {first.plane_name}; the model reads axial dynamics"
        yield Reason(NOT_AXIAL, told)
    if is_unilateral(dynamic, rules):
        said = ", one side by Laterality" if len(said_sides(dynamic.phases)) == 1 else ""
        side = side_problem(first) or side_words(first)
        yield Reason(
            ONE_SIDED,
            f"the dynamic is unilateral: {first.extent_mm[0]:.0f} mm from left to right{said} "
            f"({side}); the model reads both breasts",
        )


def _wrong_contrast(dynamic: Dynamic) -> Iterable[Reason]:
    agents = dynamic.with_contrast
    if dynamic.ordered and len(agents) > 1 and agents[0] and not all(agents):
        told = "the earliest phase names a contrast agent and a later one none"
        yield Reason(CONTRAST_ORDER, told)


def _unfinished(dynamic: Dynamic, rules: AssemblyRules) -> Iterable[str]:
    posts = len(dynamic.phases) - 1
    if posts < rules.min_posts:
        yield f"{posts} post-contrast phases of at least {rules.min_posts}"
    if dynamic.declared > len(dynamic.phases):
        yield f"{len(dynamic.phases)} of {dynamic.declared} phases that the scanner says it took"
    gap = _missing_positions(dynamic)
    if gap:
        yield f"temporal positions missing: {gap}"
    yield from _unequal(dynamic)
    for n, phase in enumerate(dynamic.phases):
        for problem in phase.problems:
            yield f"{phase_name(n)}: {problem}"


def _missing_positions(dynamic: Dynamic) -> str:
    """Temporal positions below the highest that are not there, where one series counts them."""
    if len({s.series_uid for s in dynamic.phases}) > 1:
        return ""
    numbers = {p.frame.temporal_position for s in dynamic.phases for p in s.planes} - {None}
    there = {n for n in numbers if n is not None}
    if len(there) < 2 or max(there) > 2 * len(there) + 8:
        return ""
    return ", ".join(str(n) for n in range(1, max(there)) if n not in there)


def _unequal(dynamic: Dynamic) -> Iterable[str]:
    most = max(len(s.planes) for s in dynamic.phases)
    full = next(s for s in dynamic.phases if len(s.planes) == most)
    for n, phase in enumerate(dynamic.phases):
        if len(phase.planes) < most:
            yield f"{phase_name(n)} has {len(phase.planes)} of {most} slices"
        elif abs(phase.offsets[0] - full.offsets[0]) > 0.5 * _step(full):
            yield f"{phase_name(n)} lacks slices at one end that other phases have"


def _step(stack: PlaneStack) -> float:
    depth = abs(stack.offsets[-1] - stack.offsets[0])
    return depth / (len(stack.offsets) - 1) if len(stack.offsets) > 1 else 1.0


def choose_t2(found: StudySeries) -> tuple[PlaneStack | None, str]:
    """The T2 volume and why: sound, fat-suppressed before not, larger coverage, the latest."""
    stacks = _stacks(found, Role.T2)
    if not stacks:
        return None, "no T2-weighted series"
    sound = [s for s in stacks if not s.problems and len(s.planes) > 1]
    if not sound:
        words = next((s.problems[0] for s in stacks if s.problems), "one slice only")
        return None, f"T2-weighted images are faulty: {words}"
    best = min((not _fat_suppressed(s), s.plane_name != "axial") for s in sound)
    alike = [s for s in sound if (not _fat_suppressed(s), s.plane_name != "axial") == best]
    largest = max(_volume_mm3(s) for s in alike)
    covering = [s for s in alike if _volume_mm3(s) >= LIKE_COVERAGE * largest]
    chosen = min(
        covering, key=lambda s: (-(s.acquired_s or 0.0), -_volume_mm3(s), s.planes[0].sort_key)
    )
    fat = "fat-suppressed" if _fat_suppressed(chosen) else "not fat-suppressed"
    return chosen, f"{fat}, {chosen.plane_name}, the latest with its coverage"


def _fat_suppressed(stack: PlaneStack) -> bool:
    plane = stack.planes[0]
    return fat_suppressed(plane.instance, plane.image_type)


def fat_suppressed(instance: InstanceFacts, image_type: tuple[str, ...]) -> bool:
    """Whether fat is suppressed, by Scan Options, inversion time or Dixon water, else by name."""
    options = {v for o in instance.scan_options for v in o.upper().replace("_", " ").split()}
    short_inversion = 80 <= (instance.inversion_time_ms or 0.0) <= 400
    water = bool(image_type_values(image_type) & WATER)
    text = f"{plain(instance.series_description)} {plain(instance.protocol_name)}"
    return (
        bool(options & FAT_SUPPRESSED_OPTIONS)
        or short_inversion
        or water
        or FAT_SUPPRESSED.search(text) is not None
    )


def _stacks(found: StudySeries, role: Role) -> Sequence[PlaneStack]:
    return [s for series in found.of_role(role) for s in found.stacks[series.series_uid]]


def _volume_mm3(stack: PlaneStack) -> float:
    x, y, z = stack.extent_mm
    return x * y * z
