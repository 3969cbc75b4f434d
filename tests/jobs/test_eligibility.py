"""Which packages may evaluate a study: what is not known is never taken for good."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mome_node.assembly.plan import Role, SeriesRole, Stack, StudyPlan, Verdict
from mome_node.assembly.rules import AssemblyRules
from mome_node.dicom.header import FrameFacts, FrameRef, InstanceFacts
from mome_node.dicom.reason_codes import NO_MODEL
from mome_node.fitness.checks import Outcome
from mome_node.fitness.knowledge import Known
from mome_node.fitness.policy import PackageFitness, Policy, SiteFitness
from mome_node.jobs.eligibility import (
    NO_CLINICAL_MODEL,
    judge_headers,
    no_model_reason,
    refusal_reasons,
    refusals,
    rules_for,
)
from mome_node.jobs.requests import InstalledModel
from mome_node.jobs.unevaluated import not_evaluable_study
from mome_node.mome.statement import (
    BEFORE_TREATMENT,
    BILATERAL,
    CONDITIONS,
    HISTOLOGY_PROVEN,
    UNILATERAL,
    Accepts,
)

CLINICAL = InstalledModel("clinic", "1", "c" * 64, "malignancy", False, False, "cpu")
TNBC = replace(CLINICAL, task="tnbc", applies_when=(HISTOLOGY_PROVEN,))
RESPONSE = replace(CLINICAL, task="pcr", applies_when=CONDITIONS)

IMAGE = InstanceFacts(
    sop_instance_uid="1.1",
    sop_class_uid="1.2",
    study_uid="1",
    series_uid="1.3",
    manufacturer="GE MEDICAL SYSTEMS",
    field_strength_t=1.5,
    study_description="MR Mamma Staging",
    protocol_name="breast",
)
LOCALIZER = replace(IMAGE, sop_instance_uid="1.9", manufacturer="SIEMENS", protocol_name="loc")
DYNAMIC = Stack("1.3", (FrameRef("1.1"),))


def plan(*, synthetic: bool = False, dynamic: bool = True) -> StudyPlan:
    stacks = (DYNAMIC,) if dynamic else ()
    t2 = None if dynamic else DYNAMIC
    return StudyPlan("1", Verdict.EVALUABLE, (), dce=stacks, t2=t2, synthetic=synthetic)


def why_not(
    model: InstalledModel,
    *instances: InstanceFacts,
    synthetic: bool = False,
    dynamic: bool = True,
) -> str | None:
    facts = instances or (IMAGE, LOCALIZER)
    (*refused,) = refusals([model], plan(synthetic=synthetic, dynamic=dynamic), facts)
    return refused[0].text if refused else None


def test_clinical_package_that_asks_for_nothing_runs() -> None:
    assert why_not(CLINICAL) is None


# Synthetic weights


@pytest.mark.parametrize(
    ("synthetic_exam", "allowed", "runs"),
    [(False, False, False), (True, False, True), (False, True, True)],
)
def test_synthetic_package_sees_a_patient_only_where_the_site_lets_it(
    synthetic_exam: bool, allowed: bool, runs: bool
) -> None:
    model = replace(CLINICAL, synthetic=True, allow_synthetic_on_patients=allowed)
    reason = why_not(model, synthetic=synthetic_exam)
    assert reason == (None if runs else NO_CLINICAL_MODEL)


# Conditions that a site asserts


def test_condition_that_nobody_asserts_is_named() -> None:
    assert why_not(TNBC) == (
        "condition unknown: histology-proven invasive cancer is not asserted for this study"
    )
    assert why_not(RESPONSE) == (
        "condition unknown: histology-proven invasive cancer and exam before treatment are not "
        "asserted for this study"
    )


def test_only_the_condition_that_is_missing_is_named() -> None:
    reason = why_not(replace(RESPONSE, asserts=(HISTOLOGY_PROVEN,)))
    assert reason == "condition unknown: exam before treatment is not asserted for this study"


def test_asserted_for_every_study_it_runs() -> None:
    assert why_not(replace(TNBC, asserts=(HISTOLOGY_PROVEN,))) is None
    assert why_not(replace(RESPONSE, asserts=(BEFORE_TREATMENT, HISTOLOGY_PROVEN))) is None


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ((("study_description", "staging"),), True),
        ((("study_description", "STAGING$"),), True),
        ((("study_description", "screening"),), False),
        ((("study_description", "staging"), ("protocol_name", "breast")), True),
        ((("study_description", "staging"), ("protocol_name", "knee")), False),
        ((("manufacturer", "siemens"),), True),  # any image of the study, not only those read
        ((("body_part", "."),), False),  # nothing said
    ],
)
def test_assertion_holds_for_the_studies_that_every_pattern_fits(
    when: tuple[tuple[str, str], ...], holds: bool
) -> None:
    reason = why_not(replace(TNBC, asserts=(HISTOLOGY_PROVEN,), when=when))
    assert (reason is None) is holds


def test_text_beyond_what_dicom_allows_is_not_searched() -> None:
    model = replace(TNBC, asserts=(HISTOLOGY_PROVEN,), when=(("study_description", "staging"),))
    assert why_not(model, replace(IMAGE, study_description=" " * 57 + "staging")) is None
    assert why_not(model, replace(IMAGE, study_description=" " * 64 + "staging")) is not None


# What a package was validated for


@pytest.mark.parametrize(
    ("manufacturer", "taken"),
    [
        ("GE MEDICAL SYSTEMS", True),
        ("GE", True),
        ("SIEMENS", False),
        ("Agfa-Gevaert", False),
        ("Imagery Inc", False),
        ("", False),
    ],
)
def test_vendor_is_a_word_of_its_own_in_what_the_images_say(manufacturer: str, taken: bool) -> None:
    model = replace(CLINICAL, accepts=Accepts(vendors=("ge",)))
    reason = why_not(model, replace(IMAGE, manufacturer=manufacturer))
    assert (reason is None) is taken


@pytest.mark.parametrize(
    ("strength", "taken"),
    [(1.5, True), (1.494, True), (3.0, True), (2.89362, True), (1.0, False), (7.0, False)],
)
def test_field_strength_is_taken_as_scanners_tell_it(strength: float, taken: bool) -> None:
    model = replace(CLINICAL, accepts=Accepts(field_strengths_t=(1.5, 3.0)))
    reason = why_not(model, replace(IMAGE, field_strength_t=strength))
    assert (reason is None) is taken


def test_reason_names_scanner_and_what_the_package_takes() -> None:
    model = replace(CLINICAL, accepts=Accepts(("siemens", "philips"), (3.0, 3.0)))
    assert why_not(model) == (
        "not validated for GE: the package takes Siemens or Philips; "
        "not validated for 1.5 T: the package takes 3 T"
    )
    (refused,) = refusals([model], plan(), [IMAGE])
    assert refused.reason.startswith("[vendor-outside-package] not validated for GE: ")
    assert "; [field-strength-outside-package] not validated for 1.5 T: " in refused.reason


def test_unknown_scanner_is_not_one_that_was_validated() -> None:
    model = replace(CLINICAL, accepts=Accepts(("ge",), (1.5, 3.0)))
    reason = why_not(model, replace(IMAGE, manufacturer="", field_strength_t=None))
    assert reason == (
        "not validated for an unknown vendor: the package takes GE; "
        "not validated for an unknown field strength: the package takes 1.5 to 3 T"
    )


def test_text_of_a_header_never_reaches_the_reason() -> None:
    model = replace(CLINICAL, accepts=Accepts(("ge",)))
    reason = why_not(model, replace(IMAGE, manufacturer="DOE^JANE"))
    assert reason == "not validated for another vendor: the package takes GE"


def test_every_image_that_is_read_must_be_from_a_validated_scanner() -> None:
    model = replace(CLINICAL, accepts=Accepts(vendors=("ge",)))
    mixed = replace(plan(), t2=Stack("1.3", (FrameRef("1.2"),)))
    images = (IMAGE, replace(IMAGE, sop_instance_uid="1.2", manufacturer="SIEMENS"))
    (refused,) = refusals([model], mixed, images)
    assert "not validated for GE and Siemens" in refused.text


@pytest.mark.parametrize(
    ("side", "dynamic", "laterality"),
    [
        ("", True, BILATERAL),
        ("L", True, BILATERAL),  # assembly has measured that it shows both
        ("L", False, UNILATERAL),
        ("R", False, UNILATERAL),
        ("B", False, BILATERAL),
    ],
)
def test_field_of_view_is_one_that_the_model_knows(
    side: str, dynamic: bool, laterality: str
) -> None:
    image = replace(IMAGE, laterality=side)
    for taken in (BILATERAL, UNILATERAL):
        model = replace(CLINICAL, accepts=Accepts(laterality=(taken,)))
        reason = why_not(model, image, dynamic=dynamic)
        assert (reason is None) is (taken == laterality)
        assert reason is None or f"not validated for a {laterality} exam" in reason


# Several of them


def test_only_those_that_may_not_are_told_each_with_its_reason() -> None:
    synthetic = replace(CLINICAL, synthetic=True)
    refused = refusals([synthetic, TNBC, replace(RESPONSE, applies_when=())], plan(), [IMAGE])
    assert [refusal.task for refusal in refused] == ["malignancy", "tnbc"]
    assert no_model_reason(refused) == (
        "malignancy: [synthetic-weights] no clinical model installed; "
        "tnbc: [condition-not-asserted] condition unknown: histology-proven invasive cancer is not "
        "asserted for this study"
    )


def test_one_reason_for_all_is_told_once() -> None:
    synthetic = replace(CLINICAL, synthetic=True)
    refused = refusals([synthetic, replace(synthetic, task="tnbc")], plan(), [IMAGE])
    assert no_model_reason(refused) == "[synthetic-weights] no clinical model installed"
    assert no_model_reason(()) == NO_CLINICAL_MODEL  # nothing is installed at all


def test_the_checks_that_forbid_every_model_are_told_with_their_codes() -> None:
    synthetic = replace(CLINICAL, synthetic=True)
    assert refusal_reasons(refusals([synthetic, TNBC], plan(), [IMAGE])) == (
        ("synthetic-weights", "malignancy: no clinical model installed"),
        (
            "condition-not-asserted",
            (
                "tnbc: condition unknown: histology-proven invasive cancer is not asserted for "
                "this study"
            ),
        ),
    )
    alike = [synthetic, replace(synthetic, task="tnbc")]
    once = (("synthetic-weights", "no clinical model installed"),)
    assert refusal_reasons(refusals(alike, plan(), [IMAGE])) == once
    assert refusal_reasons(()) == ((NO_MODEL, NO_CLINICAL_MODEL),)


def test_a_study_that_nothing_evaluates_is_told_with_the_models_asked_and_its_series() -> None:
    seen = SeriesRole("1.3", 4, "dyn", Role.DCE, "contrast and 3 phases")
    made = replace(plan(), series=(seen,), warnings=("a warning",), synthetic=True)
    demo = replace(CLINICAL, synthetic=True)
    refused = refusals([TNBC], made, [IMAGE])
    said = not_evaluable_study(made, refusal_reasons(refused), [demo, TNBC], refused)
    assert said.study_uid == "1"
    assert [r.code for r in said.reasons] == ["condition-not-asserted"]
    assert [(m.task, m.name) for m in said.models] == [("tnbc", "clinic")]
    assert [(s.number, s.role, s.used_as) for s in said.series] == [(4, "dce", None)]
    assert (said.warnings, said.synthetic, said.demonstration) == (("a warning",), True, False)
    assert not_evaluable_study(made, said.reasons, [demo]).demonstration
    assert not not_evaluable_study(made, said.reasons, []).demonstration


# What the primary model prefers


def test_primary_model_says_which_b_value_is_read() -> None:
    clinical = replace(CLINICAL, preferred_b_value=1000.0)
    subtype = replace(TNBC, preferred_b_value=800.0)
    rules = AssemblyRules()
    assert rules_for(rules, [subtype, clinical]).preferred_b == 1000.0
    assert rules_for(rules, [subtype]).preferred_b == 800.0
    assert rules_for(rules, []) == rules


# What failed checks do


def codes(model: InstalledModel, *instances: InstanceFacts, **of_plan: object) -> dict[str, str]:
    made = replace(plan(), **of_plan)
    return {j.code: str(j.outcome) for j in judge_headers(model, made, instances or (IMAGE,))}


NAMED = replace(IMAGE, contrast_agent="agent", frames=(FrameFacts(1),))


def test_a_sound_exam_fails_nothing_by_its_headers() -> None:
    assert codes(CLINICAL, NAMED) == {}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"study_description": "MR knee", "protocol_name": ""}, "other-body-part-in-header"),
        ({"study_description": "", "protocol_name": ""}, "no-breast-in-header"),
        ({"contrast_agent": ""}, "contrast-agent-not-named"),
    ],
)
def test_what_a_header_alone_says_only_warns(changes: dict[str, str], code: str) -> None:
    assert codes(CLINICAL, replace(NAMED, **changes)) == {code: "warn"}


def test_an_artificial_exam_is_refused_by_a_clinical_package_where_the_site_says_so() -> None:
    assert codes(CLINICAL, NAMED, synthetic=True) == {"synthetic-exam": "ignore"}
    site = SiteFitness({"synthetic-exam": Outcome.REFUSE})
    strict = replace(CLINICAL, fitness=Policy(site=site))
    assert codes(strict, NAMED, synthetic=True) == {"synthetic-exam": "refuse"}


def test_a_diffusion_image_outside_the_packages_range_is_judged_as_the_package_says() -> None:
    model = replace(CLINICAL, b_value_range=(600.0, 1500.0))
    dwi = replace(DYNAMIC, b_value=50.0)
    assert codes(model, NAMED, dwi=dwi) == {"b-value-outside-package": "warn"}
    assert codes(model, NAMED, dwi=replace(dwi, b_value=800.0)) == {}
    strict = Policy(PackageFitness({"b-value-outside-package": Outcome.REFUSE}))
    refusing = replace(model, fitness=strict)
    assert codes(refusing, NAMED, dwi=dwi) == {"b-value-outside-package": "refuse"}


def test_a_scanner_outside_the_package_is_warned_of_where_package_and_site_let_it() -> None:
    model = replace(CLINICAL, accepts=Accepts(vendors=("siemens",)))
    package = PackageFitness(loosenable=("vendor-outside-package",))
    site = SiteFitness({"vendor-outside-package": Outcome.WARN})
    for policy, outcome in (
        (Policy(), "refuse"),
        (Policy(site=site), "refuse"),
        (Policy(package), "refuse"),
        (Policy(package, site), "warn"),
    ):
        assert codes(replace(model, fitness=policy), NAMED) == {"vendor-outside-package": outcome}


# What the site knows


def knowing(*facts: str, when: tuple[tuple[str, str], ...] = ()) -> Policy:
    return Policy(site=SiteFitness(known=(Known(facts, when),)))


def test_what_the_site_knows_to_be_there_fails_its_check_in_the_studies_it_names() -> None:
    model = replace(CLINICAL, fitness=knowing("implants"))
    assert codes(model, NAMED) == {"implants": "warn"}
    elsewhere = knowing("implants", when=(("study_description", "implant"),))
    assert codes(replace(CLINICAL, fitness=elsewhere), NAMED) == {}
    assert codes(replace(CLINICAL, fitness=knowing("no implants")), NAMED) == {}


def test_a_package_may_refuse_what_the_site_knows() -> None:
    package = PackageFitness({"implants": Outcome.REFUSE})
    model = replace(CLINICAL, fitness=Policy(package, knowing("implants").site))
    (refused,) = refusals([model], plan(), [NAMED])
    assert refused.reason == "[implants] implants: known from the site"


def test_a_condition_that_the_site_knows_is_asserted() -> None:
    assert why_not(replace(TNBC, fitness=knowing(HISTOLOGY_PROVEN))) is None


def test_treatment_under_way_contradicts_an_exam_before_treatment() -> None:
    model = replace(RESPONSE, asserts=CONDITIONS, fitness=knowing("treatment under way"))
    reason = why_not(model)
    assert reason is not None
    assert "treatment under way" in reason
    assert codes(replace(TNBC, asserts=CONDITIONS, fitness=model.fitness), NAMED) == {
        "treatment-under-way": "warn"
    }
