"""What would become of a study, judged from an archive's lists alone: a forecast, no plan.

Pure. ``study.plan_study`` decides when the images are there: it sees what no list tells, the width
of the images, missing slices, the order of the phases.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from mome_node.assembly.body_region import Region, region_of
from mome_node.assembly.plan import Role
from mome_node.assembly.role_words import BIOPSY, plain
from mome_node.assembly.rules import EVALUATED_ROLES, AssemblyRules
from mome_node.assembly.series_table import AttributedRole, Confidence, SeriesAttributes


class Forecast(StrEnum):
    """What is expected of a study."""

    EVALUATED = "would be evaluated"
    TOO_OLD = "too old"  # it would be evaluated, had it come when it was new
    MISSING = "a required series is missing"
    WRONG_VIEW = "one breast only, or not axial"
    BIOPSY = "biopsy guidance"
    UNKNOWN = "unknown"
    NOT_BREAST = "not breast"
    UNANSWERED = "the archive did not answer"


@dataclass(frozen=True, slots=True)
class SurveyVerdict:
    """A forecast with its reason; ``missing`` names roles without which a study is evaluated."""

    forecast: Forecast
    reason: str
    confidence: Confidence = Confidence.UNKNOWN
    missing: tuple[Role, ...] = ()


VIEW_WORDS = re.compile(
    r"""
      \bsag | \bcor(onal|o)?\b
    | \bleft\b | \blt\b | \blinks\b | \bgauche\b | \bizquierd | \besquerd | \bsinistr | \blev[ao]\b
    | \bright\b | \brt\b | \brechts\b | \bdroite?\b | \bderech | \bdireit | \bdestr | \bprav[ao]\b
    | \buni ?lat
    """,
    re.VERBOSE,
)
"""A dynamic of one side, or in a plane that no model reads."""

BOTH_WORDS = re.compile(r"\bbi ?lat|\bboth\b|\bbeids|\bbeide|\bax|\btra\b|\btrans")
UNILATERAL_WORDS = re.compile(r"\buni ?lat|\beinseitig")


def judge_lists(
    series: Sequence[SeriesAttributes],
    roles: Sequence[AttributedRole],
    rules: AssemblyRules,
    *,
    study_date: date | None,
    today: date,
    images_say: Sequence[str] = (),
) -> SurveyVerdict:
    """The forecast for one study. ``roles`` are those of ``series``, in the same order.

    ``images_say``: coils and protocols, where images were looked into.
    """
    told = list(zip(series, roles, strict=True))
    dynamic = [(s, r) for s, r in told if r.role is Role.DCE]
    region = region_of(series, has_dynamic=bool(dynamic), images_say=images_say)
    if region.region is Region.OTHER:
        return SurveyVerdict(Forecast.NOT_BREAST, region.reason, Confidence.LIKELY)
    if (word := _biopsy_word(series)) is not None:
        reason = f"a description says “{word}”"
        return SurveyVerdict(Forecast.BIOPSY, reason, Confidence.PLAIN)
    if (verdict := _without_required(told, rules)) is not None:
        return verdict
    if (view := _wrong_view([s for s, _ in dynamic], series)) is not None:
        return SurveyVerdict(Forecast.WRONG_VIEW, view, Confidence.LIKELY)
    if region.region is Region.UNTOLD:
        return SurveyVerdict(Forecast.UNKNOWN, region.reason)
    there = {r.role for _, r in told}
    missing = tuple(sorted(EVALUATED_ROLES - there))
    reason = _dynamic_words([r for _, r in dynamic])
    if missing:
        reason += f"; without {' and '.join(missing)}"
    age = (today - study_date).days if study_date else 0
    if age > rules.max_study_age_days:
        reason = (
            f"{age} days old, {rules.max_study_age_days} are allowed; when it was new: {reason}"
        )
        return SurveyVerdict(Forecast.TOO_OLD, reason, _surest(dynamic), missing)
    return SurveyVerdict(Forecast.EVALUATED, reason, _surest(dynamic), missing)


Told = tuple[SeriesAttributes, AttributedRole]


def _biopsy_word(series: Sequence[SeriesAttributes]) -> str | None:
    said = {plain(text) for s in series for text in (s.study_description, s.series_description)}
    words = sorted(m.group().strip() for t in said if (m := BIOPSY.search(t)))
    return words[0] if words else None


def _without_required(told: Sequence[Told], rules: AssemblyRules) -> SurveyVerdict | None:
    there = {r.role for _, r in told}
    absent = [str(role) for role in rules.required if role not in there]
    if not absent:
        dynamic = [r for _, r in told if r.role is Role.DCE]
        if Role.DCE in rules.required and _is_one_phase(dynamic):
            reason = "of the dynamic, one phase only is there"
            return SurveyVerdict(Forecast.MISSING, reason, Confidence.LIKELY)
        return None
    reason = f"no series is told to be {' or '.join(absent)}"
    if not any(s.series_description for s, _ in told):
        return SurveyVerdict(Forecast.UNKNOWN, "the archive tells no Series Descriptions")
    untold = sum(_may_be_anything(s, r) for s, r in told)
    if untold:
        reason += f"; the names of {untold} of {len(told)} series tell nothing"
        return SurveyVerdict(Forecast.UNKNOWN, reason)
    return SurveyVerdict(Forecast.MISSING, reason, Confidence.LIKELY)


def _is_one_phase(dynamic: Sequence[AttributedRole]) -> bool:
    """Whether there is one series of one phase: a series without a number may hold them all."""
    return len(dynamic) == 1 and dynamic[0].phase is not None


def _may_be_anything(series: SeriesAttributes, role: AttributedRole) -> bool:
    return role.confidence is Confidence.UNKNOWN and series.modality in ("MR", "")


def _wrong_view(
    dynamic: Sequence[SeriesAttributes], series: Sequence[SeriesAttributes]
) -> str | None:
    names = [plain(s.series_description) for s in dynamic]
    seen = [m.group() if (m := VIEW_WORDS.search(n)) else None for n in names]
    if any(BOTH_WORDS.search(n) for n in names):
        return None
    if names and all(word is not None for word in seen):
        words = ", ".join(f"“{w}”" for w in sorted({w for w in seen if w})[:3])
        return f"every dynamic series is named for one side or plane: {words}"
    if any(UNILATERAL_WORDS.search(plain(s.study_description)) for s in series):
        return "the Study Description says one breast"
    return None


def _dynamic_words(dynamic: Sequence[AttributedRole]) -> str:
    count = len(dynamic)
    return f"dynamic in {count} series" if count > 1 else "dynamic in one series"


def _surest(dynamic: Sequence[Told]) -> Confidence:
    sure = [Confidence.PLAIN, Confidence.LIKELY, Confidence.UNKNOWN]
    return min((r.confidence for _, r in dynamic), key=sure.index, default=Confidence.UNKNOWN)
