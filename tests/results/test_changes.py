"""A report that replaces another says so: which, why, and what is different now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from mome_node.dicom import codes
from mome_node.results.context import Replaced
from mome_node.results.findings import Findings
from mome_node.results.wording import statements

BEFORE = Replaced(
    revision=1,
    reported_at=datetime(2026, 11, 2, 8, 30, tzinfo=timezone(timedelta(hours=1))),
    cause="a late instance.",
    scores=(("malignancy", 0.58),),
    modalities_used=("dce", "t2"),
)


def _changes(findings: Findings, replaced: Replaced) -> list[str]:
    said = statements(findings, replaced=replaced)
    return [s.text for s in said if s.concept is codes.CHANGES]


def test_the_replaced_report_its_cause_and_every_difference_are_told(
    make_exam: Callable[..., Any],
) -> None:
    assert _changes(make_exam().findings, BEFORE) == [
        (
            "This report replaces the report of revision 1, made on 2026-11-02 at 08:30. "
            "Why: a late instance."
        ),
        "Modalities used: DWI added; now DCE, DWI, T2.",
        "Exam malignancy score was 58 %, is 63 %.",
    ]


@pytest.mark.parametrize(
    ("scores", "told"),
    [
        ((("malignancy", 0.63),), ["The scores are the same."]),
        ((("malignancy", 0.6312),), ["Exam malignancy score is, to the percent, as before 63 %."]),
        (
            (("malignancy", 0.7), ("pcr", 0.2)),
            [
                "Exam malignancy score was 70 %, is 63 %.",
                "Response score was 20 %, is not given now.",
            ],
        ),
        (
            (("pcr", 0.2),),
            [
                "Exam malignancy score was not given, is 63 %.",
                "Response score was 20 %, is not given now.",
            ],
        ),
        (
            (),
            [
                "The replaced report gave no score.",
                "Exam malignancy score was not given, is 63 %.",
            ],
        ),
    ],
)
def test_each_score_before_and_now(
    scores: Any, told: list[str], make_exam: Callable[..., Any]
) -> None:
    before = replace(BEFORE, scores=scores, modalities_used=())
    assert _changes(make_exam().findings, before)[1:] == told


def test_lost_and_equal_modalities_are_told(make_exam: Callable[..., Any]) -> None:
    findings = make_exam().findings
    same = replace(BEFORE, modalities_used=("dce", "dwi", "t2"))
    assert "The same modalities were used: DCE, DWI, T2." in _changes(findings, same)
    fewer = replace(findings, modalities_used=findings.modalities_used[:1])
    assert "Modalities used: T2 lost; now DCE." in _changes(fewer, BEFORE)


def test_a_first_report_says_nothing_of_changes(make_exam: Callable[..., Any]) -> None:
    assert not any(s.concept is codes.CHANGES for s in statements(make_exam().findings))
