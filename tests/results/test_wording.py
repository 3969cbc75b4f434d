"""The words: nothing that reassures, nothing that diagnoses, nothing left unsaid."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mome_node.dicom import codes
from mome_node.mome.prediction import ChannelUse, Prediction
from mome_node.results import wording
from mome_node.results.findings import Findings, ModelIdentity, TaskScore
from mome_node.volumes.volume import Modality

FORBIDDEN = re.compile(
    r"(?<!triple-)negative|no cancer|free of|probability of|cancer risk|biopsy can be avoided"
    r"|BI-?RADS|follow-up|without findings|no findings|unremarkable|benign|normal\b|diameter"
    r"|\bvolume\b|lesion found|suspicious",
    re.IGNORECASE,
)


def _texts(findings: Findings) -> list[str]:
    return [s.text for s in wording.statements(findings)]


def _with_probability(findings: Findings, probability: float) -> Findings:
    task = findings.tasks[0]
    prediction = replace(task.prediction, probability=probability)
    return replace(findings, tasks=(replace(task, prediction=prediction),))


@pytest.mark.parametrize("regions", [0, 3])
@pytest.mark.parametrize("probability", [0.0, 0.001, 0.2, 0.7, 0.999, 1.0])
def test_no_forbidden_word_is_ever_said(
    regions: int, probability: float, make_exam: Callable[..., Any]
) -> None:
    findings = _with_probability(make_exam(regions=regions).findings, probability)
    degraded = replace(
        findings, modalities_missing=(Modality.DWI,), share_outside_breast=0.6, not_run=()
    )
    for text in [*_texts(findings), *_texts(degraded)]:
        assert not FORBIDDEN.search(text), text


@pytest.mark.parametrize("concept", codes.PRIVATE_CODES, ids=lambda c: c.code.value)
def test_no_private_concept_is_named_by_a_forbidden_word(concept: codes.PrivateCode) -> None:
    assert not FORBIDDEN.search(concept.code.meaning)


def test_private_codes_are_unique_defined_and_fit_their_elements() -> None:
    values = [c.code.value for c in codes.PRIVATE_CODES]
    assert len(set(values)) == len(values)
    for concept in codes.PRIVATE_CODES:
        assert concept.code.scheme_designator == "99MOME"
        assert 0 < len(concept.code.value) <= 16
        assert 0 < len(concept.code.meaning) <= 64
        assert concept.definition.endswith(".")


def test_every_private_code_of_the_module_is_listed() -> None:
    single = [v for v in vars(codes).values() if isinstance(v, codes.PrivateCode)]
    assert {c.code.value for c in single} <= {c.code.value for c in codes.PRIVATE_CODES}


@pytest.mark.parametrize(
    ("probability", "words"),
    [(0.69, "below the threshold"), (0.70, "at or above the threshold"), (0.9, "at or above")],
)
def test_the_side_of_the_threshold_is_told(
    probability: float, words: str, make_exam: Callable[..., Any]
) -> None:
    texts = _texts(_with_probability(make_exam().findings, probability))
    assert any(words in text and "rule-in 2025" in text for text in texts)


def test_a_package_without_threshold_is_said_to_state_none(make_exam: Callable[..., Any]) -> None:
    findings = make_exam().findings
    without = replace(findings, tasks=(replace(findings.tasks[0], operating_points=()),))
    assert any("states no threshold" in text for text in _texts(without))


def test_a_degraded_run_names_what_was_missing(make_exam: Callable[..., Any]) -> None:
    findings = replace(make_exam().findings, modalities_missing=(Modality.DWI, Modality.T2))
    assert any(text.startswith("Degraded run: DWI, T2 missing") for text in _texts(findings))
    assert not any("Degraded" in text for text in _texts(make_exam().findings))


def test_a_degraded_run_without_a_threshold_says_that_nothing_is_known_of_the_combination(
    make_exam: Callable[..., Any],
) -> None:
    findings = replace(make_exam().findings, modalities_missing=(Modality.DWI,))
    without = replace(findings, tasks=(replace(findings.tasks[0], operating_points=()),))
    unknown = "Degraded run: DWI missing. The model package states nothing on this combination."
    assert unknown in _texts(without)


def _given(findings: Findings, *modalities: Modality) -> Findings:
    task = findings.tasks[0]
    alone = replace(task.prediction, contributions=tuple((m, 0.1) for m in modalities))
    return replace(
        findings,
        tasks=(replace(task, prediction=alone),),
        modalities_used=modalities,
        modalities_missing=tuple(m for m in Modality if m not in modalities),
    )


def _thresholds(findings: Findings) -> list[str]:
    concept = codes.OPERATING_POINT
    return [s.text for s in wording.statements(findings) if s.concept is concept]


def test_a_threshold_of_another_combination_is_said_not_to_be_validated(
    make_exam: Callable[..., Any],
) -> None:
    findings = make_exam().findings
    assert not any("was not validated" in text for text in _texts(findings))
    (line,) = _thresholds(_given(findings, Modality.DCE))
    assert line.endswith(
        "This threshold was measured with DCE, DWI, T2, not with DCE as here: it was not validated "
        "for this exam."
    )


def test_every_threshold_of_a_package_is_told_and_judged_by_its_own_combination(
    make_exam: Callable[..., Any],
) -> None:
    findings = _given(make_exam().findings, Modality.DCE)
    (whole,) = findings.tasks[0].operating_points
    dce = replace(whole, name="abbreviated", threshold=0.4, modalities=("dce",))
    both = replace(findings, tasks=(replace(findings.tasks[0], operating_points=(whole, dce)),))
    first, second = _thresholds(both)
    assert "below the threshold of rule-in 2025" in first
    assert "was not validated" in first
    assert "at or above the threshold of abbreviated (40 %)" in second
    assert "was not validated" not in second


@pytest.mark.parametrize(
    ("spread", "told"),
    [(0.034, "±3"), (0.12, "±12"), (0.004, "below ±1")],
)
def test_an_ensemble_says_of_how_many_and_how_far_they_differ(
    spread: float, told: str, make_exam: Callable[..., Any]
) -> None:
    findings = make_exam().findings
    assert not any("networks" in text for text in _texts(findings))
    task = findings.tasks[0]
    of_five = replace(task.prediction, networks=5, spread=spread)
    texts = _texts(replace(findings, tasks=(replace(task, prediction=of_five),)))
    assert any(
        f"63 %, calibrated: no, mean of 5 networks, spread {told} percentage points." in text
        for text in texts
    )


def _with_response(findings: Findings, *modalities: Modality) -> Findings:
    response = TaskScore(
        "pcr",
        Prediction((0.0, 0.0), (0.5, 0.5), 0.5, 0.3, tuple((m, 0.1) for m in modalities)),
        ModelIdentity("MOME response", "2", "77" * 32, synthetic=False),
        "Miller-Payne 5",
        "no",
        channels=(ChannelUse(0, 2, 180.0),),
    )
    return replace(findings, tasks=(*findings.tasks, response))


def test_another_task_says_what_it_was_given_where_that_differs(
    make_exam: Callable[..., Any],
) -> None:
    texts = _texts(_with_response(make_exam().findings, Modality.DCE, Modality.T2))
    assert "Modalities used: DCE, DWI, T2. Missing: none." in texts
    assert "Response score: modalities used: DCE, T2. Missing: DWI." in texts
    assert any(t.startswith("Response score: DCE channel") and "phase 2" in t for t in texts)
    same = _texts(_with_response(make_exam().findings, *Modality))
    assert not any(text.startswith("Response score: modalities") for text in same)


def test_the_report_says_how_regions_were_found_and_whose_they_are(
    make_exam: Callable[..., Any],
) -> None:
    findings = _with_response(make_exam(regions=2).findings, Modality.DCE)
    assert (
        "Regions by integrated gradients at the tokens, 3 steps, completeness error 2 %; of the "
        "Exam malignancy score by MOME malignancy 1.0."
    ) in _texts(findings)
    none = _texts(make_exam(regions=0).findings)
    assert any(text.startswith("Regions were looked for by integrated gradients") for text in none)


def test_the_report_says_why_no_region_was_looked_for(make_exam: Callable[..., Any]) -> None:
    findings = replace(make_exam(regions=0).findings, explanation=None, not_explained="no DCE")
    assert "Regions were not looked for: no DCE." in _texts(findings)


@pytest.mark.parametrize(("share", "warned"), [(0.24, False), (0.25, True), (0.9, True)])
def test_a_large_share_outside_the_breasts_is_a_warning(
    share: float, warned: bool, make_exam: Callable[..., Any]
) -> None:
    findings = replace(make_exam(regions=0).findings, share_outside_breast=share)
    told = any("may rest on something else" in text for text in _texts(findings))
    assert told is warned


def test_conditional_tasks_are_always_told_of(make_exam: Callable[..., Any]) -> None:
    findings = replace(make_exam().findings, not_run=())
    texts = _texts(findings)
    assert "Triple-negative: not run: condition unknown" in texts
    assert "Response: not run: condition unknown" in texts


@given(st.floats(0, 1))
def test_a_score_has_no_decimals_and_never_rounds_to_certainty(fraction: float) -> None:
    text = wording.percent(fraction)
    assert "." not in text
    if 0 < fraction < 1:
        assert text not in ("0 %", "100 %")


@given(st.floats(-1, 1))
def test_a_contribution_is_signed_and_whole(value: float) -> None:
    assert re.fullmatch(r"0|[+-][1-9][0-9]*", wording.points(value))


@pytest.mark.parametrize("label", ["", " \n", "a\\b", "two\nlines", "nur für Forschung"])
def test_any_label_makes_one_line_without_backslash(
    label: str, make_exam: Callable[..., Any]
) -> None:
    marked = wording.marked_label(make_exam().findings, label)
    assert marked
    assert "\\" not in marked
    assert "\n" not in marked
