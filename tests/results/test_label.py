"""The label on every result: never lost, and marked where results are for research or a demo."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mome_node.results.findings import Findings
from mome_node.results.label import DEFAULT_LABEL, fitted, marked_label


def _of_a_demonstration(findings: Findings) -> Findings:
    (task,) = findings.tasks
    return replace(findings, tasks=(replace(task, model=replace(task.model, synthetic=True)),))


def test_results_for_research_and_of_a_demonstration_say_so_before_the_label(
    make_exam: Callable[..., Any],
) -> None:
    findings = make_exam().findings
    demo = _of_a_demonstration(findings)
    assert marked_label(findings, "for X") == "RESEARCH, for X"
    assert marked_label(findings, "for X", "clinical") == "for X"
    assert marked_label(demo, "for X", "clinical") == "DEMONSTRATION, for X"
    assert marked_label(demo, "for X", "research") == "DEMONSTRATION, RESEARCH, for X"


def test_a_word_with_which_the_label_begins_is_not_said_twice(
    make_exam: Callable[..., Any],
) -> None:
    findings = make_exam().findings
    demo = _of_a_demonstration(findings)
    assert marked_label(findings, DEFAULT_LABEL) == "RESEARCH use only, not for diagnosis"
    assert marked_label(findings, DEFAULT_LABEL, "clinical") == DEFAULT_LABEL
    assert marked_label(demo, "Demonstration of X") == "DEMONSTRATION, RESEARCH, Demonstration of X"
    assert marked_label(demo, "demonstration", "clinical") == "DEMONSTRATION"
    assert marked_label(findings, "researchers only") == "RESEARCH, researchers only"


@pytest.mark.parametrize(
    ("what", "demonstration", "audience", "told"),
    [
        ("MOME SR", False, "clinical", "MOME SR: research use only, not for diagnosis"),
        ("MOME SR", False, "research", "MOME SR: RESEARCH use only, not for diagnosis"),
        (
            "MOME SR",
            True,
            "research",
            "MOME SR: DEMONSTRATION, RESEARCH use only, not for diagnosis",
        ),
        (
            "Radiology MOME SEG",
            True,
            "research",
            "Radiology MOME SEG: DEMONSTRATION, RESEARCH…not for diagnosis",
        ),
    ],
)
def test_a_series_description_keeps_the_end_of_the_label(
    what: str, demonstration: bool, audience: Any, told: str
) -> None:
    made = fitted(what, DEFAULT_LABEL, demonstration=demonstration, audience=audience, dots="…")
    assert made == told
    assert len(made.encode()) <= 64


@settings(deadline=None)
@given(
    what=st.text(min_size=1, max_size=30),
    label=st.text(max_size=200),
    demonstration=st.booleans(),
    audience=st.sampled_from(["research", "clinical"]),
    dots=st.sampled_from(["…", "..."]),
)
def test_any_label_fits_its_element(
    what: str, label: str, demonstration: bool, audience: Any, dots: str
) -> None:
    made = fitted(what, label, demonstration=demonstration, audience=audience, dots=dots)
    assert 0 < len(made.encode()) <= 64  # as many bytes: some readers count those


@settings(deadline=None)
@given(st.text("abc ,", max_size=40), st.sampled_from(["SR", "SEG", "summary", "map"]))
def test_that_it_is_not_for_diagnosis_is_never_cut_off(first: str, what: str) -> None:
    label = f"{first}, not for diagnosis"
    made = fitted(f"MOME {what}", label, demonstration=True, audience="research", dots="…")
    assert made.endswith("not for diagnosis")
