"""All series of a study with their roles and volumes: classification and dynamics together."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from mome_node.assembly.adc_units import adc_words
from mome_node.assembly.misnamed import ParsedSeries, acquired_dynamics
from mome_node.assembly.names_in_doubt import as_believed
from mome_node.assembly.phases import Dynamic, is_ultrafast
from mome_node.assembly.plan import Role, SeriesRole, Stack
from mome_node.assembly.roles import ClassifiedSeries, classify_series
from mome_node.assembly.rules import AssemblyRules
from mome_node.assembly.runs import lacks_first
from mome_node.assembly.sides import is_unilateral, side_problem, side_words
from mome_node.assembly.stacks import PlaneStack
from mome_node.dicom.header import InstanceFacts

ACQUIRED = frozenset({Role.DCE, Role.T2, Role.DWI, Role.T1, Role.LOCALIZER})
"""Roles of images that a scan made, in whose headers the scanner wrote the contrast agent."""


@dataclass(frozen=True, slots=True)
class StudySeries:
    """What a study holds: its series with final roles, and their volumes with all evidence."""

    roles: tuple[SeriesRole, ...]
    stacks: dict[str, tuple[PlaneStack, ...]]
    dynamics: tuple[Dynamic, ...]
    agent_told: bool  # some acquired images name a contrast agent and others none

    def of_role(self, role: Role) -> tuple[SeriesRole, ...]:
        """The series that have this role."""
        return tuple(s for s in self.roles if s.role is role)


def series_roles(
    instances: Sequence[InstanceFacts], rules: AssemblyRules
) -> tuple[SeriesRole, ...]:
    """The role of every series among the instances, with its volumes and problems.

    Each series appears once, in the order of series numbers; the order of ``instances`` does not
    matter.
    """
    return assess(instances, rules).roles


def assess(instances: Sequence[InstanceFacts], rules: AssemblyRules) -> StudySeries:
    """Classify every series and find the dynamics among them."""
    by_series: dict[str, list[InstanceFacts]] = defaultdict(list)
    for instance in once_each(instances):
        by_series[instance.series_uid].append(instance)
    named = {uid: classify_series(of, rules) for uid, of in sorted(by_series.items())}
    parsed = {uid: ParsedSeries.of(s) for uid, s in as_believed(named, rules).items()}
    found, parsed = acquired_dynamics(parsed, rules)
    agent_told = _agent_told(parsed.values())
    dynamics, plain_t1 = [], set()
    for dynamic in found:
        uid = dynamic.phases[0].series_uid
        lone = len(dynamic.phases) == 1 and not dynamic.note
        if lone and not _is_one_phase(parsed[uid].series):
            plain_t1.add(uid)
        else:
            dynamics.append(replace(dynamic, lacks_pre=agent_told and _lacks_pre(dynamic)))
    plain_t1 -= {s.series_uid for d in dynamics for s in d.phases}
    placed = _placed(dynamics)
    roles = [_series_role(p, placed, rules, plain=uid in plain_t1) for uid, p in parsed.items()]
    return StudySeries(
        roles=tuple(sorted(roles, key=_listing)),
        stacks={uid: p.stacks for uid, p in parsed.items()},
        dynamics=tuple(dynamics),
        agent_told=agent_told,
    )


def once_each(instances: Iterable[InstanceFacts]) -> list[InstanceFacts]:
    """Every SOP instance once, in an order that does not depend on arrival."""
    ordered = sorted(instances, key=lambda i: (i.sop_instance_uid, i.series_uid))
    return list({i.sop_instance_uid: i for i in ordered}.values())


def plan_stack(stack: PlaneStack, phase: int | None = None, time_s: float | None = None) -> Stack:
    """The volume as the plan names it."""
    refs = tuple(p.ref for p in stack.planes)
    return Stack(stack.series_uid, refs, phase=phase, b_value=stack.b_value, time_s=time_s)


def dynamic_stacks(dynamic: Dynamic) -> tuple[Stack, ...]:
    """The phases of a dynamic as the plan names them.

    They have no number where the order or the pre-contrast phase is not known, and a lone phase has
    none either: nothing tells whether it is the pre-contrast one.
    """
    if len(dynamic.phases) == 1 or dynamic.lacks_pre:
        return tuple(plan_stack(s) for s in dynamic.phases)
    return tuple(
        plan_stack(s, n if dynamic.ordered else None, time)
        for n, (s, time) in enumerate(zip(dynamic.phases, dynamic.times_s, strict=True))
    )


def _agent_told(parsed: Iterable[ParsedSeries]) -> bool:
    acquired = [i for p in parsed if p.series.role in ACQUIRED for i in p.series.instances]
    return len({bool(i.contrast_agent) for i in acquired}) == 2


def _lacks_pre(dynamic: Dynamic) -> bool:
    """Whether the pre-contrast phase is not among the phases: all are after contrast, none first.

    A measurement may name the agent on all of its phases, the one before the injection included.
    """
    several = len(dynamic.phases) > 1 and not dynamic.note
    return several and all(dynamic.with_contrast) and lacks_first(dynamic.phases)


def _is_one_phase(series: ClassifiedSeries) -> bool:
    return any(part.evidence.dynamic_hint for part in series.kept)


_Place = tuple[Dynamic, int]


def _placed(dynamics: Iterable[Dynamic]) -> dict[int, _Place]:
    return {id(s): (d, n) for d in dynamics for n, s in enumerate(d.phases)}


def _series_role(
    parsed: ParsedSeries, placed: dict[int, _Place], rules: AssemblyRules, *, plain: bool
) -> SeriesRole:
    series, problems = parsed.series, [*parsed.problems]
    first = series.instances[0]
    numbers = Counter(i.series_number for i in series.instances if i.series_number is not None)
    role, reason = series.role, series.reason
    if plain:
        role = Role.T1
        reason += "; no other series repeats it in time, so it is no phase of a dynamic"
    listed: list[Stack] = []
    if role is Role.DCE:
        mine = [placed[id(s)] for s in parsed.stacks if id(s) in placed]
        mine.sort(key=lambda place: (place[0].started_s or 0.0, place[1]))
        listed = [dynamic_stacks(d)[n] for d, n in mine]
        reason += "".join(_phase_words(of, rules) for of in _by_dynamic(mine))
        problems += _side_problems(mine, rules)
    else:
        listed = [plan_stack(s) for s in parsed.stacks]
    if role is Role.ADC:
        words, unclear = adc_words([p for part in series.kept for p in part.planes])
        reason += words
        problems += unclear
    if len(numbers) > 1:
        problems.append("several series numbers under one Series Instance UID")
    return SeriesRole(
        series_uid=series.series_uid,
        series_number=min(numbers, default=None),
        description=first.series_description,
        role=role,
        reason=reason,
        stacks=tuple(listed),
        problems=tuple(dict.fromkeys(problems)),
    )


def _by_dynamic(places: Sequence[_Place]) -> list[list[_Place]]:
    grouped: dict[int, list[_Place]] = defaultdict(list)
    for place in places:
        grouped[id(place[0])].append(place)
    return list(grouped.values())


def _phase_words(places: Sequence[_Place], rules: AssemblyRules) -> str:
    """What the volumes of a series are within one dynamic, with the side where it shows one."""
    dynamic = places[0][0]
    side = f"; {side_words(dynamic.phases[0])}" if is_unilateral(dynamic, rules) else ""
    if len(dynamic.phases) == 1:
        return f"; {dynamic.note or 'one phase, nothing to order it by'}{side}"
    if not dynamic.ordered:
        return f"; order of its phases unknown: {dynamic.evidence}{side}"
    fast = "an ultrafast run, " if is_ultrafast(dynamic, rules) else ""
    if dynamic.lacks_pre:
        return f"; {fast}posts of which the pre-contrast phase is missing: not numbered{side}"
    names = ", ".join(phase_name(n) for _, n in places)
    note = f"; {dynamic.note}" if dynamic.note else ""
    return f"; {fast}{names} of {len(dynamic.phases)} phases by {dynamic.evidence}{side}{note}"


def _side_problems(places: Sequence[_Place], rules: AssemblyRules) -> list[str]:
    wanted = [d.phases[n] for d, n in places if is_unilateral(d, rules)]
    return [problem for s in wanted if (problem := side_problem(s)) is not None]


def phase_name(number: int) -> str:
    """A phase in words."""
    return "pre-contrast" if number == 0 else f"post {number}"


def _listing(series: SeriesRole) -> tuple[float, str]:
    number = series.series_number
    return float("inf") if number is None else number, series.series_uid


def with_note(series: SeriesRole, note: str) -> SeriesRole:
    """The same series with one more thing said in its reason."""
    return replace(series, reason=f"{series.reason}; {note}")
