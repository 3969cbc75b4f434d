from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mome_node.assembly.plan import Role, Verdict
from mome_node.assembly.rules import AssemblyRules
from mome_node.assembly.study import plan_study
from mome_node.dicom.reason_codes import (
    BIOPSY_GUIDANCE,
    DYNAMIC_UNSOUND,
    NO_DWI,
    NO_DYNAMIC,
    NO_T2,
    ONE_SIDED,
    TOO_OLD,
)

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
RULES = AssemblyRules()


def plan_of(instances, rules=RULES, **more):
    return plan_study(instances, rules, now=NOW, **more)


def all_with(instances, **changes):
    return [replace(i, **changes) for i in instances]


def some_with(instances, **changes):
    return [replace(instances[0], **changes), *instances[1:]]


def test_a_whole_exam_is_evaluable_and_names_what_it_reads(make):
    exam = make.exam()
    plan = plan_of(exam)
    assert plan.verdict is Verdict.EVALUABLE
    assert plan.warnings == ()
    assert plan.dwi.b_value == 800.0
    read = {i.series_uid for i in exam if i.sop_instance_uid in plan.inputs}
    assert read == {f"1.2.3.{n}" for n in (2, 5, 6, 7, 8, 20)}


@pytest.mark.parametrize(
    "changes",
    [
        {"patient_id": "P2"},
        {"patient_birth_date": "19800101"},
        {"patient_name": "Other^Person"},
    ],
)
def test_two_patients_under_one_study_are_quarantined_without_naming_them(make, changes):
    plan = plan_of(some_with(make.exam(), **changes))
    assert plan.verdict is Verdict.QUARANTINED
    assert "two patients" in plan.reasons[0]
    assert not any(value in r for value in changes.values() for r in plan.reasons)


def test_two_issuers_of_the_patient_id_are_two_patients(make):
    exam = all_with(make.exam(), issuer_of_patient_id="A")
    plan = plan_of(some_with(exam, issuer_of_patient_id="B"))
    assert plan.verdict is Verdict.QUARANTINED


@pytest.mark.parametrize(
    "changes", [{"patient_id": ""}, {"patient_name": "TEST^EXAM^^"}, {"patient_birth_date": ""}]
)
def test_blank_or_respelled_identity_is_no_contradiction(make, changes):
    assert plan_of(some_with(make.exam(), **changes)).verdict is Verdict.EVALUABLE


def test_unreadable_instances_are_quarantined_by_their_uid(make):
    plan = plan_of(make.exam(), unreadable=["1.9.9"])
    assert plan.verdict is Verdict.QUARANTINED
    assert "1.9.9" in plan.reasons[0]


def test_only_unreadable_instances_are_quarantined(make):
    assert plan_of([], unreadable=["1.9.9"]).verdict is Verdict.QUARANTINED


def test_nothing_yet_is_incomplete(make):
    assert plan_of([]).verdict is Verdict.INCOMPLETE


def test_an_old_study_is_not_evaluated(make):
    plan = plan_of(all_with(make.exam(), study_date="20260101"))
    assert plan.verdict is Verdict.NOT_EVALUABLE
    assert "60 days old" in plan.reasons[0]


@pytest.mark.parametrize("day", ["", "20261345", "yesterday"])
def test_unknown_study_date_passes_with_a_warning(make, day):
    plan = plan_of(all_with(make.exam(), study_date=day))
    assert plan.verdict is Verdict.EVALUABLE
    assert any("age is unknown" in w for w in plan.warnings)


def test_another_body_part_without_a_bilateral_dynamic_is_not_evaluated(make):
    brain = all_with(make.exam([]), study_description="MR Schädel", receive_coil="HeadNeck_64")
    plan = plan_of(brain)
    assert plan.verdict is Verdict.NOT_EVALUABLE
    assert "no breast MRI" in plan.reasons[0]


def test_another_body_part_in_the_header_of_a_sound_dynamic_is_left_to_the_images(make):
    brain = all_with(make.exam(), study_description="MR Schädel", receive_coil="HeadNeck_64")
    plan = plan_of(brain)
    assert plan.verdict is Verdict.EVALUABLE
    assert any("no breast MRI" in w for w in plan.warnings)


def test_wrong_body_part_decides_nothing_alone(make):
    assert plan_of(all_with(make.exam(), body_part="TSPINE")).verdict is Verdict.EVALUABLE
    silent = plan_of(all_with(make.exam(), body_part="TSPINE", study_description=""))
    assert silent.verdict is Verdict.EVALUABLE
    assert any("BodyPartExamined" in w for w in silent.warnings)


@pytest.mark.parametrize(
    ("description", "verdict"),
    [
        ("MRI BREAST BIOPSY UNILATERAL", Verdict.NOT_EVALUABLE),
        ("MR BREAST POST BIOPSY", Verdict.EVALUABLE),
    ],
)
def test_biopsy_guidance_is_not_diagnostic(make, description, verdict):
    assert plan_of(all_with(make.exam(), study_description=description)).verdict is verdict


def test_study_without_dynamic_waits(make):
    plan = plan_of(make.exam([]))
    assert plan.verdict is Verdict.INCOMPLETE
    assert plan.reasons == ("no dynamic contrast-enhanced series",)


def test_required_roles_are_waited_for(make):
    rules = AssemblyRules(required=("dce", "t2"))
    without_t2 = [i for i in make.exam() if i.series_uid != "1.2.3.2"]
    assert plan_of(without_t2, rules).verdict is Verdict.INCOMPLETE
    assert plan_of(without_t2).verdict is Verdict.EVALUABLE
    assert plan_of(make.exam(), rules).verdict is Verdict.EVALUABLE


def test_a_dynamic_that_is_not_required_and_faulty_is_not_read(make):
    rules = AssemblyRules(required=("t2",))
    plan = plan_of(make.exam(make.siemens_dynamic()[:-1]), rules)
    assert plan.verdict is Verdict.EVALUABLE
    assert plan.dce == ()
    assert any("the dynamic is not read" in w for w in plan.warnings)


def test_unknown_required_role_is_refused():
    with pytest.raises(ValueError, match="must be of"):
        AssemblyRules(required=("pet",))


def test_fewer_posts_than_the_site_wants_wait(make):
    plan = plan_of(make.exam(make.philips_dynamic(phases=3)), AssemblyRules(min_posts=4))
    assert plan.verdict is Verdict.INCOMPLETE


def test_unilateral_dynamic_is_refused_with_its_width(make):
    narrow = [replace(i, columns=180) for i in make.siemens_dynamic()]
    plan = plan_of(make.exam(narrow))
    assert plan.verdict is Verdict.NOT_EVALUABLE
    assert "180 mm" in plan.reasons[0]


def test_synthetic_only_if_all_that_is_read_is(make):
    exam = all_with(make.exam(), synthetic=True)
    assert plan_of(exam).synthetic
    mixed = [replace(i, synthetic=i.series_uid != "1.2.3.2") for i in exam]
    assert not plan_of(mixed).synthetic


def test_several_studies_are_a_mistake_of_the_caller(make):
    with pytest.raises(ValueError, match="2 Study Instance UIDs"):
        plan_of(some_with(make.exam(), study_uid="1.2.4"))


def test_highest_b_value_in_range_is_read_and_unknown_is_not_b_0(make):
    dynamic = make.siemens_dynamic()
    many = [*dynamic, *make.diffusion(b_values=(0.0, 100.0, 600.0, 800.0, 2500.0))]
    assert plan_of(many).dwi.b_value == 800.0
    unknown = [*dynamic, *make.diffusion(b_values=(None,))]
    plan = plan_of(unknown)
    assert plan.dwi is None
    assert any("b-values found: unknown" in w for w in plan.warnings)


@pytest.mark.parametrize(
    ("preferred", "read"), [(1000.0, 1000.0), (650.0, 600.0), (3000.0, 1400.0)]
)
def test_b_value_nearest_to_what_the_model_prefers_is_read(make, preferred, read):
    many = [*make.siemens_dynamic(), *make.diffusion(b_values=(0.0, 600.0, 1000.0, 1400.0, 2500.0))]
    assert plan_of(many, replace(RULES, preferred_b=preferred)).dwi.b_value == read


def test_trace_is_read_before_single_directions(make):
    looks = (("20", "DIRECTIONAL"), ("22", "ISOTROPIC"))
    series = [
        i
        for number, kind in looks
        for i in make.volume(
            make.DIFFUSION,
            number,
            frame_values={"b_value": 800.0, "diffusion_directionality": kind},
        )
    ]
    plan = plan_of([*make.siemens_dynamic(), *series])
    assert plan.dwi.series_uid == "1.2.3.22"
    loser = next(s for s in plan.series if s.series_uid == "1.2.3.20")
    assert "not read: series 22 taken" in loser.reason


def test_b_values_of_one_series_are_volumes_of_their_own(make):
    series = make.diffusion(b_values=(0.0, 2.0, 800.0, 803.0))
    plan = plan_of([*make.siemens_dynamic(), *series])
    found = next(s for s in plan.series if s.role is Role.DWI)
    assert sorted(s.b_value for s in found.stacks) == [0.0, 0.0, 800.0, 800.0]


def test_faulty_diffusion_is_left_out_with_a_warning(make):
    gap = make.volume(make.DIFFUSION, "20", (0, 1, 2, 4, 5), frame_values={"b_value": 800.0})
    plan = plan_of([*make.siemens_dynamic(), *gap])
    assert plan.verdict is Verdict.EVALUABLE
    assert plan.dwi is None
    assert any("faulty" in w for w in plan.warnings)


def test_fat_suppressed_t2_is_read_before_a_later_plain_one(make):
    plain = make.volume(
        make.T2.but(scan_options=(), series_description="ax t2"),
        "3",
        frame_values={"acquired_s": make.START_S + 900},
    )
    assert plan_of([*make.exam(), *plain]).t2.series_uid == "1.2.3.2"


def test_latest_t2_of_like_coverage_is_read_and_the_loser_named(make):
    again = make.volume(make.T2, "3", frame_values={"acquired_s": make.START_S + 900})
    plan = plan_of([*make.exam(), *again])
    assert plan.t2.series_uid == "1.2.3.3"
    winner = next(s for s in plan.series if s.series_uid == "1.2.3.3")
    assert "taken before series 2" in winner.reason


def test_larger_t2_coverage_is_read_before_a_later_small_one(make):
    small = make.volume(make.T2, "3", 3, frame_values={"acquired_s": make.START_S + 900})
    assert plan_of([*make.exam(), *small]).t2.series_uid == "1.2.3.2"


def test_every_reason_against_an_evaluation_has_its_code(make):
    def told(instances, rules=RULES):
        return [code for code, _ in plan_of(instances, rules).coded_reasons]

    exam = make.exam()
    dynamic = {i.sop_instance_uid for i in make.siemens_dynamic()}
    assert told(all_with(exam, study_date="20240101")) == [TOO_OLD]
    assert told(some_with(exam, study_description="MRI BREAST BIOPSY")) == [BIOPSY_GUIDANCE]
    assert told([i for i in exam if i.sop_instance_uid not in dynamic]) == [NO_DYNAMIC]
    assert told(make.exam(make.philips_dynamic(phases=3)), AssemblyRules(min_posts=4)) == [
        DYNAMIC_UNSOUND
    ]
    narrow = [replace(i, columns=180) for i in make.siemens_dynamic()]
    assert told(make.exam(narrow)) == [ONE_SIDED]
    all_roles = AssemblyRules(required=(Role.DCE, Role.DWI, Role.T2))
    assert told(make.siemens_dynamic(), all_roles) == [NO_DWI, NO_T2]
    assert plan_of(exam).reason_codes == ()
