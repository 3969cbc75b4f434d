"""All series of a study with their roles and volumes: classification and dynamics together."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from mome_node.assembly.adc_units import adc_words
from mome_node.assembly.phases import Dynamic, dynamics_of
from mome_node.assembly.plan import Role, SeriesRole, Stack
from mome_node.assembly.roles import ClassifiedSeries, classify_series
from mome_node.assembly.rules import AssemblyRules
from mome_node.assembly.stacks import PlaneStack, stacks_of
from mome_node.dicom.header import InstanceFacts


@dataclass(frozen=True, slots=True)
class StudySeries:
    """What a study holds: its series with final roles, and their volumes with all evidence."""

    roles: tuple[SeriesRole, ...]
    classified: dict[str, ClassifiedSeries]
    stacks: dict[str, tuple[PlaneStack, ...]]
    dynamics: tuple[Dynamic, ...]

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
    classified = {uid: classify_series(of, rules) for uid, of in sorted(by_series.items())}
    stacks, problems = {}, {}
    for uid, series in classified.items():
        stacks[uid], problems[uid] = stacks_of(series)
    candidates = [s for u, c in classified.items() if c.role is Role.DCE for s in stacks[u]]
    dynamics, plain_t1 = [], set()
    for dynamic in dynamics_of(candidates):
        uid = dynamic.phases[0].series_uid
        if len(dynamic.phases) == 1 and not _is_one_phase(classified[uid]):
            plain_t1.add(uid)
        else:
            dynamics.append(dynamic)
    plain_t1 -= {s.series_uid for d in dynamics for s in d.phases}
    placed = _placed(dynamics)
    roles = [
        _series_role(series, stacks[uid], problems[uid], placed, plain=uid in plain_t1)
        for uid, series in classified.items()
    ]
    return StudySeries(tuple(sorted(roles, key=_listing)), classified, stacks, tuple(dynamics))


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

    They have no number where the order is not known, and a lone phase has none either: nothing
    tells whether it is the pre-contrast one.
    """
    if len(dynamic.phases) == 1:
        return (plan_stack(dynamic.phases[0]),)
    return tuple(
        plan_stack(s, n if dynamic.ordered else None, time)
        for n, (s, time) in enumerate(zip(dynamic.phases, dynamic.times_s, strict=True))
    )


def _is_one_phase(series: ClassifiedSeries) -> bool:
    return any(part.evidence.dynamic_hint for part in series.kept)


_Place = tuple[Dynamic, int]


def _placed(dynamics: Iterable[Dynamic]) -> dict[int, _Place]:
    return {id(s): (d, n) for d in dynamics for n, s in enumerate(d.phases)}


def _series_role(
    series: ClassifiedSeries,
    stacks: Sequence[PlaneStack],
    problems: Sequence[str],
    placed: dict[int, _Place],
    *,
    plain: bool,
) -> SeriesRole:
    first = series.instances[0]
    numbers = Counter(i.series_number for i in series.instances if i.series_number is not None)
    role, reason = series.role, series.reason
    if plain:
        role = Role.T1
        reason += "; no other series repeats it in time, so it is no phase of a dynamic"
    listed: list[Stack] = []
    if role is Role.DCE:
        mine = [placed[id(s)] for s in stacks if id(s) in placed]
        mine.sort(key=lambda place: (place[0].started_s or 0.0, place[1]))
        listed = [dynamic_stacks(d)[n] for d, n in mine]
        reason += _phase_words(mine)
    else:
        listed = [plan_stack(s) for s in stacks]
    if role is Role.ADC:
        words, unclear = adc_words([p for part in series.kept for p in part.planes])
        reason += words
        problems = (*problems, *unclear)
    if len(numbers) > 1:
        problems = (*problems, "several series numbers under one Series Instance UID")
    return SeriesRole(
        series_uid=series.series_uid,
        series_number=min(numbers, default=None),
        description=first.series_description,
        role=role,
        reason=reason,
        stacks=tuple(listed),
        problems=tuple(problems),
    )


def _phase_words(places: Sequence[_Place]) -> str:
    if not places:
        return ""
    dynamic = places[0][0]
    if len(dynamic.phases) == 1:
        return "; one phase, nothing to order it by"
    if not dynamic.ordered:
        return f"; order of its phases unknown: {dynamic.evidence}"
    names = ", ".join(phase_name(n) for _, n in places)
    return f"; {names} of {len(dynamic.phases)} phases by {dynamic.evidence}"


def phase_name(number: int) -> str:
    """A phase in words."""
    return "pre-contrast" if number == 0 else f"post {number}"


def _listing(series: SeriesRole) -> tuple[float, str]:
    number = series.series_number
    return float("inf") if number is None else number, series.series_uid


def with_note(series: SeriesRole, note: str) -> SeriesRole:
    """The same series with one more thing said in its reason."""
    return replace(series, reason=f"{series.reason}; {note}")
