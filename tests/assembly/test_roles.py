from dataclasses import replace

import pytest

from mome_node.assembly.plan import Role
from mome_node.assembly.role_rules import RoleRule
from mome_node.assembly.rules import AssemblyRules
from mome_node.assembly.series import series_roles

RULES = AssemblyRules()


def role_of(instances, rules=RULES):
    (only,) = series_roles(instances, rules)
    return only


def named(make, description):
    """A series that says nothing but its name."""
    return [make.blank(series_uid="1.2.3.1", sop_instance_uid="1", series_description=description)]


def test_roles_of_a_whole_exam_come_from_its_physics(make):
    silent = [replace(i, series_description="") for i in make.exam()]
    roles = {s.series_uid: s.role for s in series_roles(silent, RULES)}
    dynamic = {f"1.2.3.{n}": Role.DCE for n in (5, 6, 7, 8)}
    assert roles == dynamic | {
        "1.2.3.1": Role.LOCALIZER,
        "1.2.3.2": Role.T2,
        "1.2.3.20": Role.DWI,
        "1.2.3.21": Role.ADC,
        "1.2.3.30": Role.SUBTRACTION,
    }


def test_every_role_has_a_reason_in_words(make):
    for series in series_roles(make.exam(), RULES):
        assert len(series.reason) > 10
        assert "None" not in series.reason
        assert "{" not in series.reason


@pytest.mark.parametrize(
    ("image_type", "role"),
    [
        (("DERIVED", "PRIMARY", "M", "SUB"), Role.SUBTRACTION),
        (("DERIVED", "PRIMARY", "MIP", "ND"), Role.DERIVED),
        (("DERIVED", "PRIMARY", "PROJECTION IMAGE", "NONE"), Role.DERIVED),
        (("DERIVED", "PRIMARY", "MPR"), Role.DERIVED),
        (("DERIVED", "SECONDARY", "OTHER"), Role.DERIVED),
        (("ORIGINAL", "PRIMARY", "LOCALIZER"), Role.LOCALIZER),
        (("DERIVED", "PRIMARY", "DIXON", "WATER"), Role.DCE),
        (("DERIVED", "PRIMARY", "DIXON", "FAT"), Role.OTHER),
        (("DERIVED", "PRIMARY", "DIXON", "IN_PHASE"), Role.OTHER),
        (("ORIGINAL", "PRIMARY", "P", "ND"), Role.OTHER),
        (("ORIGINAL", "PRIMARY", "M_FFE", "M", "FFE"), Role.DCE),
    ],
)
def test_image_type_leaves_copies_and_parts_out(make, image_type, role):
    look = make.DYNAMIC.but(image_type=image_type, series_description="", contrast_agent="Gd")
    assert role_of(make.volume(look, "5")).role is role


@pytest.mark.parametrize(
    ("image_type", "role"),
    [
        (("DERIVED", "PRIMARY", "DIFFUSION", "TRACEW"), Role.DWI),
        (("DERIVED", "PRIMARY", "DIFFUSION", "ADC"), Role.ADC),
        (("DERIVED", "PRIMARY", "DIFFUSION", "FA"), Role.DERIVED),
        (("DERIVED", "PRIMARY", "DIFFUSION", "CALC_BVALUE"), Role.DERIVED),
        (("DERIVED", "PRIMARY", "EADC"), Role.DERIVED),
    ],
)
def test_trace_is_diffusion_and_maps_are_not(make, image_type, role):
    look = make.DIFFUSION.but(image_type=image_type)
    assert role_of(make.volume(look, "5", frame_values={"b_value": 800.0})).role is role


@pytest.mark.parametrize(
    ("changes", "role"),
    [
        ({"echo_time_ms": 60.0, "inversion_time_ms": 170.0, "scanning_sequence": ("IR",)}, Role.T2),
        ({"echo_time_ms": 12.0, "repetition_time_ms": 550.0}, Role.T1),
        ({"echo_time_ms": 12.0, "repetition_time_ms": 3000.0}, Role.OTHER),
        ({"echo_time_ms": 25.0, "scanning_sequence": ("GR",)}, Role.OTHER),
        ({"echo_time_ms": 90.0, "acquisition_type": "3D"}, Role.T2),
    ],
)
def test_spin_echo_weighting_follows_te_tr_and_ti(make, changes, role):
    look = make.T2.but(series_description="", **changes)
    assert role_of(make.volume(look, "5")).role is role


def test_nameless_derived_map_with_a_b_value_is_no_diffusion_image(make):
    look = make.DIFFUSION.but(
        image_type=("DERIVED", "SECONDARY", "PROCESSED"), series_description=""
    )
    adc = make.volume(look, "5", frame_values={"b_value": 800.0})
    assert role_of(adc).role is Role.DERIVED
    trace = [replace(i, series_description="DWI TRACE: from S4") for i in adc]
    assert role_of(trace).role is Role.DWI


def test_echo_planar_images_without_diffusion_are_not_diffusion(make):
    look = make.DIFFUSION.but(
        image_type=("ORIGINAL", "PRIMARY", "EPI"),
        scanning_sequence=("EP", "GR"),
        series_description="bold",
    )
    bold = make.volume(look, "5", frame_values={"b_value": 0.0})
    assert role_of(bold).role is Role.OTHER


def test_coarse_images_with_the_shortest_echo_are_a_calibration(make):
    look = replace(make.DYNAMIC, spacing=(5.0, 5.0)).but(echo_time_ms=0.8, series_description="")
    assert role_of(make.volume(look, "5")).role is Role.OTHER


def test_leftover_b_value_on_a_short_echo_is_no_diffusion(make):
    dynamic = make.volume(
        make.DYNAMIC.but(contrast_agent="Gd"), "5", frame_values={"b_value": 1000.0}
    )
    assert role_of(dynamic).role is Role.DCE


def test_text_leaves_out_but_never_takes_in_against_physics(make):
    assert role_of(make.volume(make.T2.but(series_description="VIBRANT dyn"), "5")).role is Role.T2
    subtracted = make.DYNAMIC.but(series_description="ax dyn SUB")
    assert role_of(make.volume(subtracted, "5")).role is Role.SUBTRACTION


@pytest.mark.parametrize(
    ("description", "role"),
    [
        ("Ph1/ax 3d dyn", Role.DCE),
        ("T1_FL3D_AX_dynVIEWS_1+6", Role.DCE),
        ("dyn_eTHRIVE_8minPost", Role.DCE),
        ("AX Sen Vibrant MASK+F", Role.DCE),
        ("T2W_SPAIR", Role.T2),
        ("WATER:T2fseidealarc_BP", Role.T2),
        ("Fat:T2fseidealarc_BP", Role.OTHER),
        ("Sag STIR-WaterSat(Silicon)", Role.OTHER),
        ("Ax T2 DWI BILATERAL PRE b-800", Role.DWI),
        ("ADC: from S4: bVals=0,800", Role.ADC),
        ("Dynamic-3dfgre: SER", Role.DERIVED),
        ("Registered AX Sen Vibrant", Role.DERIVED),
        ("PJN", Role.DERIVED),
        ("3 Plane Scout", Role.LOCALIZER),
        ("multi-flip_T1-map", Role.OTHER),
        ("ax t1", Role.T1),
        ("T2 TRA FS 脂肪抑制", Role.T2),
        ("", Role.OTHER),
    ],
)
def test_name_decides_where_the_physics_is_silent(make, description, role):
    assert role_of(named(make, description)).role is role


def test_fat_and_water_in_one_series_are_parted(make):
    water = make.volume(make.DYNAMIC.but(image_type=("ORIGINAL", "PRIMARY", "W_FFE")), "5")
    fat = make.volume(make.DYNAMIC.but(image_type=("ORIGINAL", "PRIMARY", "F_FFE")), "5", first=50)
    found = role_of([*water, *fat])
    assert found.role is Role.DCE
    assert "left out: 6 images" in found.reason
    listed = {f.sop_instance_uid for s in found.stacks for f in s.frames}
    assert listed == {i.sop_instance_uid for i in water}


def test_site_rules_are_asked_first(make):
    ours = RoleRule(Role.OTHER, "a service sequence of this site", scanning=frozenset({"GR"}))
    found = role_of(make.volume(make.DYNAMIC, "5"), AssemblyRules(role_rules=(ours,)))
    assert (found.role, found.reason) == (Role.OTHER, "a service sequence of this site")


def test_objects_that_are_no_mr_images_have_no_volumes(make):
    report = make.blank(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.88.33", modality="SR",
        series_uid="1.2.3.1", sop_instance_uid="1", rows=0, columns=0,
    )  # fmt: skip
    found = role_of([report])
    assert (found.role, found.stacks) == (Role.OTHER, ())


def test_missing_slices_are_a_problem(make):
    found = role_of(make.volume(make.T2, "5", (0, 1, 2, 4, 5, 6)))
    assert any("missing" in p for p in found.problems)


def test_mixed_orientations_are_a_problem(make):
    sagittal = replace(make.T2, orientation=make.SAGITTAL)
    found = role_of([*make.volume(make.T2, "5"), *make.volume(sagittal, "5", first=50)])
    assert any("not parallel: 2 orientations" in p for p in found.problems)


def test_tiled_images_are_a_problem_and_make_no_volume(make):
    found = role_of(make.volume(make.DIFFUSION, "5", frame_values={"tiled": True}))
    assert any("tiled" in p for p in found.problems)
    assert found.stacks == ()


def test_images_without_position_are_a_problem(make):
    found = role_of(make.volume(make.T2, "5", frame_values={"image_position": None}))
    assert any("no position" in p for p in found.problems)


def test_images_at_positions_that_are_no_numbers_are_left_out(make):
    nowhere = (float("nan"), 0.0, 0.0)
    found = role_of(make.volume(make.T2, "5", frame_values={"image_position": nowhere}))
    assert found.stacks == ()


def test_series_are_listed_by_their_number(make):
    numbers = [s.series_number for s in series_roles(make.exam(), RULES)]
    assert numbers == sorted(numbers)
