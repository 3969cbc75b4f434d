"""What is forecast of a study by lists alone, and that no list, however odd, breaks it."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mome_node.assembly.plan import Role
from mome_node.assembly.rules import AssemblyRules
from mome_node.assembly.series_table import (
    AttributedRole,
    Confidence,
    SeriesAttributes,
    roles_from_attributes,
)
from mome_node.assembly.survey_verdict import Forecast, SurveyVerdict, judge_lists

TODAY = date(2026, 3, 10)
RULES = AssemblyRules()
USUAL = ("localizer", "t2_tse_tra", "ep2d_diff_b800", "t1_fl3d_dyn pre", "t1_fl3d_dyn post 1")


def series(
    *descriptions: str, study: str = "MRI BREAST", body_part: str = ""
) -> list[SeriesAttributes]:
    return [
        SeriesAttributes("1.2", f"1.2.{n}", study, d, n, body_part=body_part)
        for n, d in enumerate(descriptions, 1)
    ]


def judge(
    rows: list[SeriesAttributes], *, age: int | None = 1, rules: AssemblyRules = RULES
) -> SurveyVerdict:
    day = None if age is None else TODAY - timedelta(days=age)
    roles = roles_from_attributes(rows, rules)
    return judge_lists(rows, roles, rules, study_date=day, today=TODAY)


def test_a_breast_exam_with_a_dynamic_would_be_evaluated():
    verdict = judge(series(*USUAL))
    assert verdict.forecast is Forecast.EVALUATED
    assert verdict.missing == ()
    assert verdict.confidence is not Confidence.UNKNOWN


def test_what_is_not_there_but_not_needed_is_told():
    verdict = judge(series("t1_fl3d_dyn"))
    assert verdict.forecast is Forecast.EVALUATED
    assert verdict.missing == (Role.DWI, Role.T2)
    assert "without dwi and t2" in verdict.reason


def test_a_role_that_the_site_requires_is_missed():
    rules = AssemblyRules(required=(Role.DCE, Role.T2))
    verdict = judge(series("t1_fl3d_dyn"), rules=rules)
    assert (verdict.forecast, verdict.reason) == (
        Forecast.MISSING,
        "no series is told to be t2",
    )


def test_an_exam_without_contrast_is_missing_its_dynamic():
    assert judge(series("localizer", "t2_tse_tra")).forecast is Forecast.MISSING


def test_names_that_tell_nothing_leave_it_unknown():
    verdict = judge(series("t2_tse_tra", "series 7"))
    assert verdict.forecast is Forecast.UNKNOWN
    assert "the names of 1 of 2 series tell nothing" in verdict.reason


def test_an_archive_that_tells_no_series_descriptions_is_told():
    verdict = judge(series("", ""))
    assert verdict.forecast is Forecast.UNKNOWN
    assert verdict.reason == "the archive tells no Series Descriptions"


def test_one_phase_alone_is_no_dynamic():
    rows = series("pre")
    role = AttributedRole(Role.DCE, 0, "", Confidence.PLAIN)
    verdict = judge_lists(rows, [role], RULES, study_date=TODAY, today=TODAY)
    assert verdict.forecast is Forecast.MISSING


@pytest.mark.parametrize("age", [15, 400])
def test_an_old_study_says_what_would_have_become_of_it(age):
    verdict = judge(series(*USUAL), age=age)
    assert verdict.forecast is Forecast.TOO_OLD
    assert f"{age} days old" in verdict.reason
    assert "dynamic in" in verdict.reason


@pytest.mark.parametrize("age", [0, 14, None])
def test_a_young_study_or_one_of_unknown_age_is_not_too_old(age):
    assert judge(series(*USUAL), age=age).forecast is Forecast.EVALUATED


@pytest.mark.parametrize("name", ["MRI BREAST BIOPSY LEFT", "MR Mamma Stanzbiopsie", "breast VAB"])
def test_a_biopsy_guidance_exam_is_told(name):
    assert judge(series(*USUAL, study=name)).forecast is Forecast.BIOPSY


@pytest.mark.parametrize(
    "names",
    [
        ("Sagittal dyn pre", "Sagittal dyn post"),
        ("dyn links", "dyn rechts"),
        ("vibe left pre", "vibe left post 1"),
    ],
)
def test_a_dynamic_of_one_side_or_plane_is_told(names):
    assert judge(series(*names)).forecast is Forecast.WRONG_VIEW


def test_a_study_called_unilateral_is_told_unless_its_dynamic_says_both():
    assert judge(series("dyn", study="MR breast unilateral")).forecast is Forecast.WRONG_VIEW
    both = series("dyn bilat", study="MR breast unilateral")
    assert judge(both).forecast is Forecast.EVALUATED


@pytest.mark.parametrize(
    "name",
    ["MRI BREAST W WO", "MRT Mamma bds.", "IRM seins", "RM mama bilateral", "RM senologica",
     "MR Brust", "MRI borst", "MR bröst", "MR bryst", "Rintojen MRI", "MR prsu", "rezonans piersi",
     "МРТ молочных желез", "乳腺 MRI", "乳房MRI", "유방 MRI", "Meme MR", "MR dojki", "Emlő MR"],
)  # fmt: skip
def test_a_breast_exam_is_known_in_its_language(name):
    assert judge(series("t1_fl3d_dyn", study=name)).forecast is Forecast.EVALUATED


@pytest.mark.parametrize(
    "name",
    ["MRI BRAIN", "MR Knie links", "IRM genou", "RM rodilla", "RM joelho", "RM ginocchio",
     "MRT Leber dyn", "IRM foie", "MRI PROSTATE", "МРТ головного мозга", "膝 MRI", "MR LWS",
     "MRT Schulter", "MRI PELVIS", "Cardiac MR", "MRI L-SPINE"],
)  # fmt: skip
def test_an_exam_of_another_part_is_not_listed_whatever_body_part_examined_says(name):
    verdict = judge(series("t1_vibe_dyn", study=name, body_part="BREAST"))
    assert verdict.forecast is Forecast.NOT_BREAST


def test_body_part_examined_decides_nothing_alone():
    alone = judge(series("t2_tse", study="", body_part="BREAST"))
    assert alone.forecast is not Forecast.EVALUATED
    assert judge(series(*USUAL, study="", body_part="BREAST")).forecast is Forecast.EVALUATED
    # Operators leave it as it was: many breast exams say TSPINE.
    assert judge(series(*USUAL, body_part="TSPINE")).forecast is Forecast.EVALUATED
    untold = judge(series(*USUAL, study="", body_part="TSPINE"))
    assert untold.forecast is Forecast.UNKNOWN


def test_a_coil_tells_the_breast_where_no_description_does():
    rows = series(*USUAL, study="")
    roles = roles_from_attributes(rows, RULES)

    def forecast(*images_say: str) -> Forecast:
        return judge_lists(
            rows, roles, RULES, study_date=TODAY, today=TODAY, images_say=images_say
        ).forecast

    assert forecast() is Forecast.UNKNOWN
    assert forecast("8CH BREAST") is Forecast.EVALUATED
    assert forecast("Knee_16") is Forecast.NOT_BREAST


def test_a_study_that_says_nothing_and_has_no_dynamic_is_not_breast():
    assert judge(series("t2_tse", study="")).forecast is Forecast.NOT_BREAST


@given(
    st.lists(
        st.builds(
            SeriesAttributes,
            study_uid=st.just("1.2"),
            series_uid=st.just("1.2.3"),
            study_description=st.text(max_size=80),
            series_description=st.text(max_size=80) | st.sampled_from(USUAL),
            body_part=st.text(max_size=20),
            modality=st.sampled_from(["MR", "", "SR"]),
        ),
        max_size=6,
    ),
    st.none() | st.dates(),
)
def test_every_list_has_a_forecast_with_a_reason(rows, day):
    roles = roles_from_attributes(rows, RULES)
    verdict = judge_lists(rows, roles, RULES, study_date=day, today=TODAY)
    assert verdict.reason
    if verdict.forecast in (Forecast.EVALUATED, Forecast.TOO_OLD):
        assert any(r.role is Role.DCE for r in roles)
