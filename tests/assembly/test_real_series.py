"""Roles, volumes and phases of series that real scanners made.

No freely licensed breast dynamic was found. Where a test needs one, it takes the times, numbers
and geometry of a real dynamic of another organ, whose sequence alone is replaced (``as_dynamic``).
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from mome_node.assembly.plan import Role, SeriesRole
from mome_node.assembly.rules import AssemblyRules
from mome_node.assembly.series import series_roles
from mome_node.dicom.header import InstanceFacts
from mome_node.dicom.header_reading import read_facts

DATA = Path(__file__).parents[1] / "data" / "dicom"


@cache
def facts_of(folder: str) -> tuple[InstanceFacts, ...]:
    """Facts of a folder's files, the last first: their order must not matter."""
    paths = sorted((DATA / folder).rglob("*.dcm"), reverse=True)
    return tuple(read_facts(path) for path in paths)


def roles_of(instances: Iterable[InstanceFacts]) -> tuple[SeriesRole, ...]:
    return series_roles(tuple(instances), AssemblyRules())


def only_role(instances: Iterable[InstanceFacts]) -> SeriesRole:
    (role,) = roles_of(instances)
    return role


def as_dynamic(instances: Iterable[InstanceFacts]) -> list[InstanceFacts]:
    """The same acquisitions, as if a T1-weighted 3D gradient echo had made them."""
    return [
        replace(
            i,
            scanning_sequence=("GR",),
            sequence_name="*fl3d1",
            acquisition_type="3D",
            repetition_time_ms=5.0,
            echo_time_ms=2.4,
            image_type=("ORIGINAL", "PRIMARY", "M") if "SUB" not in i.image_type else i.image_type,
            frames=tuple(
                replace(
                    f, b_value=None, image_type=() if "SUB" not in f.image_type else f.image_type
                )
                for f in i.frames
            ),
        )
        for i in instances
    ]


def b_values(role: SeriesRole) -> list[float | None]:
    return sorted({s.b_value for s in role.stacks}, key=lambda b: -1.0 if b is None else b)


def uids(role: SeriesRole, stack: int) -> set[str]:
    return {f.sop_instance_uid for f in role.stacks[stack].frames}


def with_value(instances: Sequence[InstanceFacts], value: int) -> set[str]:
    """SOP Instance UIDs of the images of one temporal position."""
    return {i.sop_instance_uid for i in instances if i.frames[0].temporal_position == value}


ROLES = [
    ("breast-mr", Role.DCE),
    ("vendor-mr/siemens-skyra-dwi", Role.DWI),
    ("vendor-mr/siemens-skyra-dwi-implicit", Role.DWI),
    ("vendor-mr/siemens-xa30-classic-dwi/11001-dwi", Role.DWI),
    ("vendor-mr/siemens-xa30-classic-dwi/12001-adc", Role.ADC),
    ("vendor-mr/siemens-xa30-classic-dwi/13001-tracew", Role.DWI),
    ("vendor-mr/siemens-xa30-classic-dwi/15001-colfa", Role.DERIVED),
    ("vendor-mr/siemens-xa30-seven-series-dynamic/19001-subtraction", Role.SUBTRACTION),
    ("vendor-mr/ge-mr750-dwi", Role.DWI),
    ("vendor-mr/ge-mr750-dwi-implicit", Role.DWI),
    ("vendor-mr/ge-pioneer-dwi", Role.DWI),
    ("vendor-mr/ge-hdxt-adc", Role.ADC),
    ("vendor-mr/philips-achieva2008-dwi-private-b-only", Role.DWI),
    ("vendor-mr/philips-elition-dwi-b2", Role.DWI),
    ("vendor-mr/philips-ingenia-dwi-implicit", Role.DWI),
    ("vendor-mr/philips-ingenia-dwi-un-bytes", Role.DWI),
    ("vendor-mr/philips-ssh-dwi", Role.DWI),
    ("vendor-mr/canon-galan-dwi", Role.DWI),
    ("vendor-mr/toshiba-galan-dwi", Role.DWI),
    ("vendor-mr/uih-umr770-dwi-vframe", Role.DWI),
    ("vendor-mr/two-slices-only", Role.T2),
    ("headers/siemens-xa30-dwi/10-dwi", Role.DWI),
    ("headers/siemens-xa30-dwi/11-adc", Role.ADC),
    ("headers/philips-elition-perfusion", Role.OTHER),
    ("enhanced/siemens-xa30-dwi", Role.DWI),
    ("enhanced/siemens-xa30-dynamic", Role.SUBTRACTION),
    ("enhanced/philips-achieva-dwi", Role.DWI),
]


@pytest.mark.parametrize(("folder", "role"), ROLES, ids=[f for f, _ in ROLES])
def test_series_has_the_role_that_its_physics_give_it(folder, role):
    found = only_role(facts_of(folder))
    assert found.role is role, found.reason
    assert found.reason


# Functional and perfusion imaging of the brain, and proton density: none of it is for the model.
STRANGERS = [
    "vendor-mr/siemens-skyra-mosaic",
    "vendor-mr/ge-architect-multiphase",
    "vendor-mr/ge-mr750-dynamic-no-tpi",
    "vendor-mr/philips-achieva-dynamic-three",
    "vendor-mr/philips-elition-dynamic-label-control",
    "vendor-mr/hitachi-echelon-t1",
    "enhanced/siemens-xa10-dynamic",
    "enhanced/philips-achieva-temporal",
    "enhanced/small",
]


@pytest.mark.parametrize("folder", STRANGERS)
def test_series_that_repeats_in_time_is_no_dynamic_unless_its_physics_say_so(folder):
    assert only_role(facts_of(folder)).role not in (Role.DCE, Role.DWI, Role.T2)


def test_diffusion_exam_of_one_scanner_has_four_kinds_of_series():
    roles = roles_of(facts_of("vendor-mr/siemens-xa30-classic-dwi"))
    assert {r.series_number: r.role for r in roles} == {
        11001: Role.DWI,
        12001: Role.ADC,
        13001: Role.DWI,
        15001: Role.DERIVED,
    }
    dwi, _, trace, _ = roles
    assert b_values(dwi) == [0, 2500]
    assert b_values(trace) == [2500]


B_VALUES = [
    ("vendor-mr/ge-mr750-dwi", [0, 1000]),
    ("vendor-mr/ge-pioneer-dwi", [0, 1000]),
    ("vendor-mr/philips-achieva2008-dwi-private-b-only", [0, 1000]),
    ("vendor-mr/philips-ingenia-dwi-un-bytes", [0, 1000]),
    ("vendor-mr/canon-galan-dwi", [0, 1500]),
    ("vendor-mr/philips-ssh-dwi", [None]),
    ("enhanced/philips-achieva-dwi", [0, 1300]),
    ("enhanced/siemens-xa30-dwi", [2500]),
    # b 2 stands in for b 0 there
    ("vendor-mr/philips-elition-dwi-b2", [0, 2000]),
    ("vendor-mr/toshiba-galan-dwi", [0, 1500]),
    ("headers/philips-achieva-dwi-four-b", [0, 40, 273, 800]),
    ("headers/canon-galan-v61-dwi", [0, 1500]),
    ("headers/siemens-xa30-dwi/10-dwi", [0, 2500]),
]


@pytest.mark.parametrize(("folder", "expected"), B_VALUES, ids=[f for f, _ in B_VALUES])
def test_diffusion_series_is_parted_by_b_value(folder, expected):
    assert b_values(only_role(facts_of(folder))) == expected


def test_image_without_b_value_is_b_0_because_toshiba_says_so():
    role = only_role(facts_of("vendor-mr/toshiba-galan-dwi"))
    assert [(s.b_value, len(s.frames)) for s in role.stacks] == [(0, 1), (1500, 1)]


def test_image_without_b_value_of_another_maker_is_not_b_0():
    pretended = [
        replace(i, manufacturer="CANON_MEC") for i in facts_of("vendor-mr/toshiba-galan-dwi")
    ]
    assert b_values(only_role(pretended)) == [None, 1500]


def test_object_of_520_frames_is_one_volume_a_direction():
    role = only_role(facts_of("headers/canon-v61-dwi-520-frames"))
    assert role.problems == ()
    assert [s.b_value for s in role.stacks].count(0) == 1
    assert [s.b_value for s in role.stacks].count(1500) == 12
    assert {len(s.frames) for s in role.stacks} == {40}


def test_adc_maps_tell_who_made_them_and_in_which_units():
    scanner = only_role(facts_of("headers/siemens-xa30-dwi/11-adc"))
    assert scanner.role is Role.ADC
    assert "made by the scanner; values in 1e-6 mm²/s" in scanner.reason
    later = only_role(facts_of("vendor-mr/ge-hdxt-adc"))
    assert "computed at a workstation" in later.reason


def test_single_directions_and_trace_are_told_apart_in_one_exam():
    roles = {r.series_number: r for r in roles_of(facts_of("vendor-mr/siemens-xa30-classic-dwi"))}
    assert roles[13001].reason.endswith("named a trace")
    assert [roles[n].role for n in (11001, 12001, 13001, 15001)] == [
        Role.DWI,
        Role.ADC,
        Role.DWI,
        Role.DERIVED,
    ]


def test_volumes_of_one_enhanced_object_are_whole():
    dwi = only_role(facts_of("enhanced/philips-achieva-dwi"))
    assert [(s.b_value, len(s.frames)) for s in dwi.stacks].count((0, 8)) == 1
    assert {len(s.frames) for s in dwi.stacks} == {8}
    assert dwi.problems == ()
    trace = only_role(facts_of("enhanced/siemens-xa30-dwi"))
    assert [len(s.frames) for s in trace.stacks] == [39]
    assert trace.problems == ()


def test_siemens_phases_are_series_in_the_order_of_their_clock_and_the_subtraction_is_left_out():
    roles = roles_of(as_dynamic(facts_of("vendor-mr/siemens-xa30-seven-series-dynamic")))
    assert [(r.series_number, r.role) for r in roles] == [
        (18001, Role.DCE),
        (18002, Role.DCE),
        (18003, Role.DCE),
        (19001, Role.SUBTRACTION),
    ]
    phases = [stack for role in roles[:3] for stack in role.stacks]
    assert [s.phase for s in phases] == [0, 1, 2]
    assert [s.time_s for s in phases] == pytest.approx([0, 4.8, 9.6])


def test_siemens_enhanced_phases_are_objects_in_the_order_of_their_clock():
    images = as_dynamic(facts_of("enhanced/siemens-xa10-dynamic"))
    role = only_role(images)
    assert role.role is Role.DCE
    assert [(s.phase, len(s.frames)) for s in role.stacks] == [(0, 6), (1, 6)]
    assert [s.time_s for s in role.stacks] == pytest.approx([0, 0.5])
    by_number = sorted(images, key=lambda i: i.acquisition_number or 0)
    assert [uids(role, n) for n in (0, 1)] == [{i.sop_instance_uid} for i in by_number]
    assert role.problems == ()


def test_ge_phases_are_temporal_positions_though_trigger_times_are_per_slice():
    images = as_dynamic(facts_of("vendor-mr/ge-architect-multiphase"))
    role = only_role(images)
    assert [(s.phase, len(s.frames)) for s in role.stacks] == [(0, 3), (1, 3)]
    assert [uids(role, n) for n in (0, 1)] == [with_value(images, v) for v in (1, 2)]
    assert role.problems == ()


def test_ge_phases_may_be_ordered_by_instance_number_and_then_have_no_times():
    images = as_dynamic(facts_of("vendor-mr/ge-mr750-dynamic-no-tpi"))
    role = only_role(images)
    assert [(s.phase, len(s.frames)) for s in role.stacks] == [(n, 2) for n in range(4)]
    assert [s.time_s for s in role.stacks][1:] == [None] * 3
    numbers = {i.sop_instance_uid: i.instance_number for i in images}
    found = [sorted(numbers[uid] or 0 for uid in uids(role, n)) for n in range(4)]
    assert found == [[7, 8], [22, 23], [37, 38], [52, 53]]


def test_philips_phases_are_temporal_positions_though_instances_run_through_time_first():
    images = as_dynamic(facts_of("vendor-mr/philips-achieva-dynamic-three"))
    role = only_role(images)
    assert [(s.phase, len(s.frames)) for s in role.stacks] == [(0, 9), (1, 9), (2, 9)]
    assert [s.time_s for s in role.stacks] == pytest.approx([0, 2, 4])
    assert [uids(role, n) for n in range(3)] == [with_value(images, v) for v in (1, 2, 3)]
    assert role.problems == ()


def test_phases_of_one_enhanced_object_follow_its_temporal_position_index():
    images = as_dynamic(facts_of("enhanced/philips-achieva-temporal"))
    role = only_role(images)
    index = {f.frame_number: f.temporal_position for f in images[0].frames}
    assert [s.phase for s in role.stacks] == [0, 1, 2, 3]
    told = [{index[f.frame_number] for f in s.frames} for s in role.stacks]
    assert told == [{1}, {2}, {3}, {4}]
    # One Frame Acquisition DateTime for all frames: only Philips' own item tells them apart.
    assert [s.time_s for s in role.stacks] == pytest.approx([0, 3, 6, 9])


def test_label_and_control_are_reported_and_not_mixed_into_phases():
    images = as_dynamic(facts_of("vendor-mr/philips-elition-dynamic-label-control"))
    role = only_role(images)
    assert any("more than one plane" in problem for problem in role.problems)
    assert len(role.stacks) == 1  # no phase is claimed


def test_mosaic_that_is_no_diffusion_is_a_problem_that_says_what_to_switch():
    role = only_role(facts_of("vendor-mr/siemens-skyra-mosaic"))
    assert any("tiled" in p and "Mosaic off" in p for p in role.problems)
    assert role.stacks == ()


def test_tiled_diffusion_of_united_imaging_is_one_volume_a_file():
    both = (
        *facts_of("vendor-mr/uih-umr770-dwi-vframe"),
        *facts_of("headers/uih-umr770-dwi-vframe"),
    )
    role = only_role(both)
    assert role.role is Role.DWI
    assert role.problems == ()
    assert [(s.b_value, len(s.frames)) for s in role.stacks] == [(0.0, 20), (1000.0, 20)]
    assert {f.tile for f in role.stacks[1].frames} == set(range(1, 21))
    assert len(uids(role, 1)) == 1


def test_two_orientations_under_one_series_are_a_problem():
    role = only_role(facts_of("vendor-mr/two-orientations-one-series"))
    assert any("2 orientations" in problem for problem in role.problems)
    assert any("several series numbers" in problem for problem in role.problems)
    assert [len(s.frames) for s in role.stacks] == [1, 1]  # never one volume


def test_two_slices_are_a_problem():
    role = only_role(facts_of("vendor-mr/two-slices-only"))
    assert any("at least 3" in problem for problem in role.problems)


def test_frames_without_position_are_a_problem():
    role = only_role(facts_of("enhanced/small"))
    assert any("10 images have no position" in problem for problem in role.problems)


def test_lone_breast_slice_of_a_dynamic_has_no_number_among_its_phases():
    role = only_role(facts_of("breast-mr"))
    assert [s.phase for s in role.stacks] == [None]


def test_series_without_any_description_are_classified_by_physics():
    folders = [
        "vendor-mr/ge-mr750-dwi",
        "enhanced/philips-achieva-dwi",
        "vendor-mr/two-slices-only",
    ]
    found = [only_role(facts_of(folder)) for folder in folders]
    assert [r.description for r in found] == ["", "", ""]
    assert [r.role for r in found] == [Role.DWI, Role.DWI, Role.T2]


def test_roles_do_not_change_when_all_real_series_stand_together():
    folders = [folder for folder, _ in ROLES]
    # Roles are given within one study.
    together = [replace(i, study_uid="1.2") for folder in folders for i in facts_of(folder)]
    by_uid = {r.series_uid: r.role for r in roles_of(together)}
    for folder, role in ROLES:
        assert by_uid[facts_of(folder)[0].series_uid] is role
