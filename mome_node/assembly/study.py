"""The plan of one study: its verdict in words and the volumes that the model will read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise

from mome_node.assembly.choice import (
    DynamicFaults,
    choose_dynamic,
    choose_t2,
)
from mome_node.assembly.contradictions import accession_contradiction, identity_contradictions
from mome_node.assembly.dwi_choice import choose_dwi
from mome_node.assembly.phases import Dynamic, is_ultrafast
from mome_node.assembly.plan import Role, SeriesRole, StudyPlan, Verdict
from mome_node.assembly.rules import AssemblyRules
from mome_node.assembly.series import (
    StudySeries,
    assess,
    dynamic_stacks,
    once_each,
    plan_stack,
    with_note,
)
from mome_node.assembly.stacks import PlaneStack
from mome_node.assembly.study_checks import (
    NAMED_AT_MOST,
    age_problem,
    biopsy_problem,
    body_problem,
    unreadable_reason,
)
from mome_node.dicom.header import InstanceFacts
from mome_node.dicom.reason_codes import (
    BIOPSY_GUIDANCE,
    DYNAMIC_UNSOUND,
    NO_BREAST_MRI,
    NO_DWI,
    NO_DYNAMIC,
    NO_T2,
    TOO_OLD,
    Reason,
)

LONG_PAUSE = 1.7
"""A pause between posts of this many usual ones leaves room for a phase that is not there."""


def plan_study(
    instances: Sequence[InstanceFacts],
    rules: AssemblyRules,
    *,
    now: datetime,
    unreadable: Sequence[str] = (),
) -> StudyPlan:
    """Plan the evaluation of one study as it stands.

    ``instances`` are all instances of the study, in any order; ``unreadable`` the SOP Instance
    UIDs of MR instances whose header or pixels cannot be read. Raises ValueError when the
    instances are of several studies.
    """
    facts = once_each(instances)
    studies = {i.study_uid for i in facts}
    if len(studies) > 1:
        raise ValueError(f"a plan is of one study, found {len(studies)} Study Instance UIDs")
    found = assess(facts, rules)
    read = _read(found, rules)
    age, age_warning = age_problem(facts, rules, now)
    body, body_warning = body_problem(facts)
    forbidding = [
        Reason(code, told)
        for code, told in ((TOO_OLD, age), (BIOPSY_GUIDANCE, biopsy_problem(facts)))
        if told is not None
    ]
    if body is not None and (read.missing or read.lasting):
        forbidding.insert(0, Reason(NO_BREAST_MRI, body))
    elif body is not None:
        # A header is often wrong: of what has all that is read, the images decide.
        body_warning = body
    quarantine = [*identity_contradictions(facts)]
    if unreadable:
        quarantine.append(unreadable_reason(unreadable))
    against: tuple[Reason, ...] = ()
    if quarantine:
        verdict = Verdict.QUARANTINED
    elif forbidding or read.lasting:
        verdict, against = Verdict.NOT_EVALUABLE, (*forbidding, *read.lasting)
    elif read.missing:
        verdict, against = Verdict.INCOMPLETE, read.missing
    else:
        verdict = Verdict.EVALUABLE
    plan = StudyPlan(
        study_uid=next(iter(studies), ""),
        verdict=verdict,
        reasons=tuple(quarantine or [r.text for r in against] or read.reasons),
        reason_codes=tuple(r.code for r in against),
        series=_noted(found, read),
        dce=dynamic_stacks(read.dynamic) if read.dynamic else (),
        dwi=plan_stack(read.dwi) if read.dwi else None,
        t2=plan_stack(read.t2) if read.t2 else None,
        warnings=tuple(w for w in (age_warning, body_warning, *read.warnings) if w is not None),
    )
    contested = accession_contradiction([i for i in facts if i.sop_instance_uid in plan.inputs])
    if contested and plan.verdict is Verdict.EVALUABLE:
        plan = replace(plan, verdict=Verdict.QUARANTINED, reasons=(contested,))
    return replace(plan, synthetic=_synthetic(facts, plan))


@dataclass(frozen=True, slots=True)
class _Read:
    """What the model would read; what is missing for it, for now or for good."""

    dynamic: Dynamic | None
    dwi: PlaneStack | None
    dwi_reason: str
    t2: PlaneStack | None
    t2_reason: str
    lasting: tuple[Reason, ...]
    missing: tuple[Reason, ...]
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]


def _read(found: StudySeries, rules: AssemblyRules) -> _Read:
    weighed = choose_dynamic(found, rules)
    dwi, dwi_reason = choose_dwi(found, rules)
    t2, t2_reason = choose_t2(found)
    faults = _dynamic_faults(weighed)
    lasting = weighed.lasting if weighed else ()
    reasons: list[str] = []
    missing: list[Reason] = []
    warnings: list[str] = []
    if Role.DCE in rules.required:
        missing += faults
    elif faults or lasting:
        warnings += [f"the dynamic is not read: {f.text}" for f in (*lasting, *faults)]
        lasting = ()
    sound = weighed is not None and not weighed.lasting and not weighed.open
    if weighed and sound:
        d = weighed.dynamic
        reasons.append(_dynamic_words(d))
        warnings += _dynamic_warnings(d, rules)
    for role, stack, why in ((Role.DWI, dwi, dwi_reason), (Role.T2, t2, t2_reason)):
        if stack is not None:
            reasons.append(f"{role}: {why}")
        elif role in rules.required:
            missing.append(Reason(NO_DWI if role is Role.DWI else NO_T2, why))
        else:
            warnings.append(f"{role} is not read: {why}")
    return _Read(
        dynamic=weighed.dynamic if weighed and (sound or Role.DCE in rules.required) else None,
        dwi=dwi,
        dwi_reason=dwi_reason,
        t2=t2,
        t2_reason=t2_reason,
        lasting=lasting,
        missing=tuple(missing),
        reasons=tuple(reasons),
        warnings=tuple(warnings),
    )


def _dynamic_faults(weighed: DynamicFaults | None) -> tuple[Reason, ...]:
    if weighed is None:
        return (Reason(NO_DYNAMIC, "no dynamic contrast-enhanced series"),)
    return tuple(Reason(DYNAMIC_UNSOUND, told) for told in weighed.open)


def _dynamic_warnings(dynamic: Dynamic, rules: AssemblyRules) -> list[str]:
    warnings = []
    if is_ultrafast(dynamic, rules):
        warnings.append("the only dynamic is an ultrafast one")
    if None in dynamic.times_s:
        warnings.append(f"seconds between the phases are unknown: ordered by {dynamic.evidence}")
    agents = dynamic.with_contrast
    if any(agents) and list(agents) != sorted(agents):
        warnings.append("a phase without contrast agent follows one with contrast agent")
    elif any(agents) and agents.count(False) > 1:
        warnings.append(f"{agents.count(False)} phases name no contrast agent; the first is taken")
    elif all(agents):
        warnings.append("every phase names a contrast agent; the first is taken as pre-contrast")
    return [*warnings, *_long_pauses(dynamic)]


def _long_pauses(dynamic: Dynamic) -> Iterator[str]:
    """Pauses between post-contrast phases in which one may be missing."""
    interval = dynamic.interval_s
    times = [t for t in dynamic.times_s if t is not None]
    if interval is None or len(times) < len(dynamic.times_s):
        return
    for n, (before, after) in enumerate(pairwise(times[1:]), start=1):
        if after - before > LONG_PAUSE * interval:
            yield (
                f"{after - before:.0f} s between post {n} and post {n + 1}, "
                f"usually {interval:.0f} s: a phase may be missing"
            )


def _dynamic_words(dynamic: Dynamic) -> str:
    """The phases that are read, with their seconds after the pre-contrast one."""
    told = f"dynamic with {len(dynamic.phases) - 1} post-contrast phases by {dynamic.evidence}"
    seconds = [t for t in dynamic.times_s if t is not None]
    if len(seconds) < len(dynamic.times_s):
        return told
    return f"{told}, at {', '.join(f'{t:.0f}' for t in seconds[1:])} s after the pre-contrast one"


def _noted(found: StudySeries, read: _Read) -> tuple[SeriesRole, ...]:
    """The series with the choice told: what was taken over what."""
    dynamic = read.dynamic.phases if read.dynamic else ()
    taken = {
        Role.DCE: ({s.series_uid for s in dynamic}, "the dynamic that is read"),
        Role.DWI: ({read.dwi.series_uid} if read.dwi else set(), read.dwi_reason),
        Role.T2: ({read.t2.series_uid} if read.t2 else set(), read.t2_reason),
    }
    noted = []
    for series in found.roles:
        uids, why = taken.get(series.role, (set(), ""))
        if series.role not in taken:
            noted.append(series)
        elif not uids:
            noted.append(series if series.role is Role.DCE else with_note(series, why))
        elif series.series_uid in uids:
            losers = [s for s in found.of_role(series.role) if s.series_uid not in uids]
            names = _names(losers)
            over = f"; taken before {names}" if losers else ""
            noted.append(with_note(series, f"{why}{over}") if losers or why else series)
        else:
            winners = _names([s for s in found.roles if s.series_uid in uids])
            noted.append(with_note(series, f"not read: {winners} taken ({why})"))
    return tuple(noted)


def _names(series: Sequence[SeriesRole]) -> str:
    named = [_name(s) for s in series[:NAMED_AT_MOST]]
    more = len(series) - len(named)
    return ", ".join([*named, *([f"{more} more"] if more else [])])


def _name(series: SeriesRole) -> str:
    number = series.series_number
    return f"series {series.series_uid if number is None else number}"


def _synthetic(facts: Sequence[InstanceFacts], plan: StudyPlan) -> bool:
    """Whether all that is read says Synthetic Data YES; nothing read: whether all images do."""
    inputs = plan.inputs
    read = [i for i in facts if i.sop_instance_uid in inputs] or facts
    return bool(read) and all(i.synthetic for i in read)
