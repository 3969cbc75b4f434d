"""Descriptions that belong to other series move nothing."""

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mome_node.assembly.plan import Role
from mome_node.assembly.role_rules import site_rule
from mome_node.assembly.rules import AssemblyRules
from mome_node.assembly.series import series_roles
from mome_node.assembly.study import plan_study
from mome_node.dicom.header_reading import read_facts
from mome_node.phantom.dicom_writer import write_study
from mome_node.phantom.exam import Protocol, Vendor
from mome_node.phantom.render import render_exam

TINY = Protocol((32, 32, 8), (16, 16, 6), (32, 32, 8))
RULES = AssemblyRules(max_study_age_days=36500)
NOW = datetime(2026, 11, 25, tzinfo=UTC)
SHUFFLED = settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module", params=Vendor)
def exam(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exam")
    paths = write_study(render_exam(5, protocol=TINY), folder, vendor=request.param)
    return tuple(read_facts(path) for path in paths)


def names_of(exam):
    return {i.series_uid: i.series_description for i in exam}


def renamed(exam, names):
    return [replace(i, series_description=names[i.series_uid]) for i in exam]


def inputs(plan):
    phases = tuple((s.phase, s.time_s, s.frames) for s in plan.dce)
    return plan.verdict, phases, plan.dwi and plan.dwi.frames, plan.t2 and plan.t2.frames


@SHUFFLED
@given(data=st.data())
def test_names_of_other_series_change_nothing_that_is_read(exam, data):
    names = names_of(exam)
    shuffled = data.draw(st.permutations([*names.values()]))
    misnamed = renamed(exam, dict(zip(names, shuffled, strict=True)))
    found = plan_study(misnamed, RULES, now=NOW)
    assert inputs(found) == inputs(plan_study(exam, RULES, now=NOW))
    assert found.dwi is not None
    assert found.t2 is not None


def uid_of(exam, role):
    return next(s.series_uid for s in series_roles(exam, RULES) if s.role is role)


def test_one_slip_leaves_names_their_say_and_more_are_told(exam):
    t2, dwi, dce = (uid_of(exam, role) for role in (Role.T2, Role.DWI, Role.DCE))
    one = {**names_of(exam), t2: "survey"}
    assert {s.series_uid: s for s in series_roles(renamed(exam, one), RULES)}[t2].role is (
        Role.LOCALIZER
    )
    several = {**one, dwi: "t1_fl3d_dyn", dce: "t2_tse_tra"}
    told = {s.series_uid: s for s in series_roles(renamed(exam, several), RULES)}
    assert [told[uid].role for uid in (t2, dwi, dce)] == [Role.T2, Role.DWI, Role.DCE]
    assert "the descriptions contradict the images of" in told[t2].reason


def test_the_sites_own_names_are_believed_all_the_same(exam):
    t2, dwi, dce = (uid_of(exam, role) for role in (Role.T2, Role.DWI, Role.DCE))
    names = {**names_of(exam), t2: "zebra survey", dwi: "t1_fl3d_dyn", dce: "t2_tse_tra"}
    rules = replace(RULES, role_rules=(site_rule(Role.OTHER, "^zebra"),))
    told = {s.series_uid: s.role for s in series_roles(renamed(exam, names), rules)}
    assert told[t2] is Role.OTHER


def test_a_subtraction_that_says_original_is_known_by_its_name(exam):
    dce = [i for i in exam if i.series_uid == uid_of(exam, Role.DCE)]
    copies = [
        replace(
            i,
            series_uid="2.25.9",
            sop_instance_uid=f"{i.sop_instance_uid}.9",
            series_description="dyn SUB",
            protocol_name="",
        )
        for i in dce
    ]
    told = defaultdict(set)
    for series in series_roles([*exam, *copies], RULES):
        told[series.series_uid].add(series.role)
    assert told["2.25.9"] == {Role.SUBTRACTION}
