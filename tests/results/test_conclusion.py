"""The first line of a report: what was found in plain words, and never more than that."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mome_node.dicom import codes
from mome_node.mome.prediction import ChannelUse, Prediction
from mome_node.results.conclusion import conclusion
from mome_node.results.context import Replaced
from mome_node.results.findings import Findings, ModelIdentity, OperatingPoint, TaskScore
from mome_node.results.profile import ResultProfile
from mome_node.results.wording import statements
from mome_node.volumes.volume import Modality

FORBIDDEN = re.compile(
    r"(?<!triple-)negative|no cancer|free of|probability of|cancer risk|biopsy can be avoided"
    r"|BI-?RADS|follow-up|recommend|without findings|no findings|unremarkable|benign|normal\b"
    r"|diameter|\bvolume\b|lesion found|suspicious|healthy|rule[sd]? out",
    re.IGNORECASE,
)


def _scored(findings: Findings, probability: float) -> Findings:
    (task,) = findings.tasks
    prediction = replace(task.prediction, probability=probability)
    return replace(findings, tasks=(replace(task, prediction=prediction),), synthetic=False)


def test_a_score_a_threshold_and_regions_stand_in_one_line(make_exam: Callable[..., Any]) -> None:
    findings = _scored(make_exam(regions=2).findings, 0.71)
    right = replace(
        findings, regions=tuple(replace(r, laterality="R") for r in findings.regions), warnings=()
    )
    assert conclusion(right) == (
        "Conclusion: exam malignancy score 71 %, not calibrated; at or above the threshold of "
        "rule-in 2025; 2 regions influenced the score, both in the right breast."
    )


@pytest.mark.parametrize(
    ("sides", "told"),
    [
        ("R", "1 region influenced the score, in the right breast."),
        ("LLL", "3 regions influenced the score, in the left breast."),
        ("RLR", "3 regions influenced the score, 2 in the right breast and 1 in the left breast."),
        (
            (None, "L"),
            "2 regions influenced the score, 1 on an unknown side and 1 in the left breast.",
        ),
        ((None, None), "2 regions influenced the score, both on an unknown side."),
    ],
)
def test_regions_are_counted_by_side(sides: Any, told: str, make_exam: Callable[..., Any]) -> None:
    findings = replace(make_exam(regions=3).findings, warnings=())
    some = zip(findings.regions, sides, strict=False)
    regions = tuple(replace(region, laterality=side) for region, side in some)
    assert conclusion(replace(findings, regions=regions)).endswith(told)


def test_no_region_is_no_all_clear(make_exam: Callable[..., Any]) -> None:
    findings = replace(make_exam(regions=0).findings, warnings=())
    assert conclusion(findings).endswith(
        "no region is shown, which says nothing about whether there is a lesion."
    )
    unexplained = replace(findings, explanation=None, not_explained="no DCE was used")
    assert conclusion(unexplained).endswith("regions were not looked for.")


def test_a_degraded_run_its_threshold_and_its_warnings_are_told(
    make_exam: Callable[..., Any],
) -> None:
    findings = make_exam(regions=0).findings
    (task,) = findings.tasks
    alone = replace(
        task,
        calibration="on two sites, prevalence 0.3",
        prediction=replace(task.prediction, contributions=((Modality.DCE, 0.1),)),
    )
    degraded = replace(
        findings,
        tasks=(alone,),
        modalities_used=(Modality.DCE,),
        modalities_missing=(Modality.DWI, Modality.T2),
        share_outside_breast=0.4,
    )
    told = conclusion(degraded)
    assert told.startswith("Conclusion: synthetic, not a statement about a patient; exam ")
    assert "63 %, calibrated on two sites, prevalence 0.3; below the threshold of" in told
    assert "which was not validated for this exam; degraded run without DWI, T2; " in told
    assert told.endswith("with 2 warnings.")


def test_without_a_threshold_none_is_told(make_exam: Callable[..., Any]) -> None:
    findings = make_exam().findings
    without = replace(findings, tasks=(replace(findings.tasks[0], operating_points=()),))
    assert "not calibrated; no threshold is stated; " in conclusion(without)


def test_each_task_is_told_and_whose_the_regions_are(make_exam: Callable[..., Any]) -> None:
    findings = make_exam(regions=1).findings
    (task,) = findings.tasks
    response = replace(task, task="pcr", operating_points=())
    told = conclusion(replace(findings, tasks=(task, response)))
    assert "; response score 63 %, not calibrated; no threshold is stated; " in told
    assert "1 region influenced the exam malignancy score, in the right breast" in told


# Over arbitrary findings

_names = st.sampled_from(["rule-in 2025", "abbreviated", "site X", "A"])
_fractions = st.floats(0, 1)
_intervals = st.tuples(_fractions, _fractions)
_subsets = st.lists(st.sampled_from(list(Modality)), min_size=1, unique=True)
_points = st.builds(
    OperatingPoint,
    name=_names,
    threshold=_fractions,
    sensitivity=_fractions,
    sensitivity_ci=_intervals,
    specificity=_fractions,
    specificity_ci=_intervals,
    n=st.integers(1, 10**6),
    prevalence=_fractions,
    population=_names,
    modalities=_subsets.map(lambda ms: tuple(m.value for m in ms)),
)
_scores = st.builds(
    TaskScore,
    task=st.sampled_from(["malignancy", "tnbc", "pcr"]),
    prediction=st.builds(
        Prediction,
        logits=st.just((0.0, 0.0)),
        probabilities=st.just((0.5, 0.5)),
        probability=_fractions,
        prior=_fractions,
        contributions=st.lists(
            st.tuples(st.sampled_from(list(Modality)), st.floats(-1, 1)), max_size=3
        ).map(tuple),
        spread=_fractions,
        networks=st.integers(1, 5),
    ),
    model=st.builds(
        ModelIdentity, _names, st.just("1"), st.just("a" * 64), synthetic=st.booleans()
    ),
    label_definition=st.just("malignant on histology"),
    calibration=st.sampled_from(["", "no", "on two sites, prevalence 0.3"]),
    operating_points=st.lists(_points, max_size=3).map(tuple),
    channels=st.lists(
        st.builds(ChannelUse, st.integers(0, 5), st.none() | st.integers(0, 5), st.none()),
        max_size=3,
    ).map(tuple),
)
_replaced = st.builds(
    Replaced,
    revision=st.integers(0, 9),
    reported_at=st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001  # bounds
    cause=st.sampled_from(["", "a late instance", "images were rejected."]),
    scores=st.lists(
        st.tuples(st.sampled_from(["malignancy", "tnbc", "pcr"]), _fractions), max_size=3
    ).map(tuple),
    modalities_used=st.lists(st.sampled_from(["dce", "dwi", "t2"]), unique=True).map(tuple),
)


def test_no_statement_on_any_findings_reassures_or_recommends(
    make_exam: Callable[..., Any],
) -> None:
    base: Findings = make_exam(regions=3).findings

    @settings(max_examples=200, deadline=None)
    @given(
        tasks=st.lists(_scores, min_size=1, max_size=3, unique_by=lambda s: s.task).map(tuple),
        used=_subsets,
        regions=st.integers(0, 3),
        share=_fractions,
        flags=st.tuples(st.booleans(), st.booleans()),
        replaced=st.none() | _replaced,
        profile=st.builds(
            ResultProfile,
            study_scores=st.sampled_from(["field", "group"]),
            audience=st.sampled_from(["research", "clinical"]),
        ),
        seg_left_out=st.sampled_from(["", "it would have 412 frames, more than the 300 allowed"]),
    )
    def holds(
        tasks: Any,
        used: Any,
        regions: int,
        share: float,
        flags: tuple[bool, bool],
        replaced: Any,
        profile: ResultProfile,
        seg_left_out: str,
    ) -> None:
        explained, synthetic = flags
        findings = replace(
            base,
            tasks=tasks,
            not_run=(),
            modalities_used=tuple(used),
            modalities_missing=tuple(m for m in Modality if m not in used),
            regions=base.regions[:regions] if explained else (),
            share_outside_breast=share,
            explanation=base.explanation if explained else None,
            not_explained="" if explained else "no DCE was used",
            synthetic=synthetic,
        )
        said = statements(findings, profile, replaced=replaced, seg_left_out=seg_left_out)
        assert [s.concept for s in said[:2]] == [codes.LABEL, codes.CONCLUSION]
        line = said[1].text
        assert line.endswith(".")
        assert ". " not in line
        assert "\n" not in line
        for statement in said:
            assert statement.text
            assert not FORBIDDEN.search(statement.text), statement.text

    holds()
