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
from mome_node.results import wording
from mome_node.results.findings import Findings
from mome_node.volumes.volume import Modality

FORBIDDEN = re.compile(
    r"(?<!triple-)negative|no cancer|free of|probability of|cancer risk|biopsy can be avoided"
    r"|BI-?RADS|follow-up|without findings|no findings|unremarkable|benign|normal\b|diameter"
    r"|\bvolume\b|lesion found|suspicious",
    re.IGNORECASE,
)


def _texts(findings: Findings) -> list[str]:
    return [s.text for s in wording.statements(findings, wording.DEFAULT_LABEL)]


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
    without = replace(findings, tasks=(replace(findings.tasks[0], operating_point=None),))
    assert any("states no threshold" in text for text in _texts(without))


def test_a_degraded_run_names_what_was_missing(make_exam: Callable[..., Any]) -> None:
    findings = replace(make_exam().findings, modalities_missing=(Modality.DWI, Modality.T2))
    assert any(text.startswith("Degraded run: DWI, T2 missing") for text in _texts(findings))
    assert not any("Degraded" in text for text in _texts(make_exam().findings))


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
