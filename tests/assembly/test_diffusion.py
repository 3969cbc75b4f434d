"""What a series tells of its diffusion images that no image tells by itself."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mome_node.assembly.diffusion import (
    by_b_value,
    is_computed,
    is_of_several,
    same_b,
    with_series_b_values,
)
from mome_node.assembly.planes import Plane, planes_of
from mome_node.assembly.rules import AssemblyRules
from mome_node.assembly.series import series_roles
from mome_node.dicom.header import Tiling


@pytest.fixture
def planes(make):
    """Planes of one diffusion series with these b-values, six slices each."""

    def build(*b_values, **values):
        images = make.diffusion(b_values=b_values)
        source = {"b_value_source": "(0018,9087)"}
        told = [
            replace(
                i,
                frames=tuple(
                    replace(f, **(source if f.b_value is not None else {})) for f in i.frames
                ),
                **values,
            )
            for i in images
        ]
        return planes_of(told)

    return build


def b_values(planes) -> set[float | None]:
    return {p.frame.b_value for p in planes}


@pytest.mark.parametrize(
    ("maker", "expected"),
    [
        ("TOSHIBA", {0.0, 800.0}),
        ("Toshiba Medical Systems", {0.0, 800.0}),
        ("CANON_MEC", {None, 800.0}),
        ("GE MEDICAL SYSTEMS", {None, 800.0}),
        ("", {None, 800.0}),
    ],
)
def test_absent_is_b_0_only_where_the_maker_leaves_b_0_out(planes, maker, expected):
    assert b_values(with_series_b_values(planes(None, 800.0, manufacturer=maker), True)) == expected


def test_absent_is_not_b_0_where_no_image_tells_a_b_value(planes):
    """A copy without any b-value may have lost it from all images, those with b 800 too."""
    assert b_values(with_series_b_values(planes(None, manufacturer="TOSHIBA"), False)) == {None}


def test_image_with_a_gradient_is_not_b_0(planes):
    of_toshiba = planes(None, 800.0, manufacturer="TOSHIBA")
    directed = [
        Plane(p.instance, replace(p.frame, diffusion_direction=(1.0, 0.0, 0.0))) for p in of_toshiba
    ]
    assert b_values(with_series_b_values(directed, True)) == {None, 800.0}


def test_description_tells_the_b_value_of_images_that_are_all_silent(planes):
    named = with_series_b_values(planes(None, series_description="ax dwi b800"), False)
    assert {(p.frame.b_value, p.frame.b_value_source) for p in named} == {(800.0, "description")}


def test_description_tells_nothing_where_another_image_tells_its_b_value(planes):
    named = with_series_b_values(planes(None, series_description="ax dwi b800"), True)
    assert b_values(named) == {None}


def test_description_tells_nothing_of_positions_that_repeat(planes):
    """b 0 and b 800 of one series that lost their elements: one name cannot be true of both."""
    both = planes(None, None, series_description="ax dwi b800")
    assert b_values(with_series_b_values(both, False)) == {None}


@pytest.mark.parametrize("description", ["dwi b 50 400 800", "dwi", "dwi calc b1400"])
def test_description_with_several_or_a_computed_b_value_tells_nothing(planes, description):
    silent = planes(
        None, series_description=description, image_type=("ORIGINAL", "PRIMARY", "OTHER")
    )
    bare = [
        Plane(p.instance, replace(p.frame, image_type=("ORIGINAL", "PRIMARY", "OTHER")))
        for p in silent
    ]
    assert b_values(with_series_b_values(bare, False)) == {None}


@pytest.mark.parametrize(
    ("description", "image_type", "computed"),
    [
        ("ep2d_diff_CALC_BVAL", ("DERIVED", "PRIMARY", "OTHER"), True),
        ("sDWI b1500", ("ORIGINAL", "PRIMARY", "OTHER"), True),
        ("MAGiC DWI", ("ORIGINAL", "PRIMARY", "OTHER"), True),
        ("cDWI", ("ORIGINAL", "PRIMARY", "M_SE"), True),
        ("synthetic b1400", ("ORIGINAL", "PRIMARY", "OTHER"), True),
        ("DWI b=2000 computed", ("ORIGINAL", "PRIMARY", "OTHER"), True),
        ("anything", ("DERIVED", "PRIMARY", "DIFFUSION", "CALC_BVALUE", "TRACEW"), True),
        # The protocol names a computed b-value; Image Type says that this is the acquired trace.
        ("diff_b50_800_calc_b1400_TRACEW", ("DERIVED", "PRIMARY", "DIFFUSION", "TRACEW"), False),
        ("ax dwi b800", ("ORIGINAL", "PRIMARY", "OTHER"), False),
        ("DWI calcifications", ("ORIGINAL", "PRIMARY", "OTHER"), False),
    ],
)
def test_computed_b_values_are_recognised(planes, description, image_type, computed):
    plane = planes(800.0, series_description=description)[0]
    typed = Plane(plane.instance, replace(plane.frame, image_type=image_type))
    assert is_computed(typed) is computed


def test_average_over_several_b_values_is_recognised_by_its_sequence_name(planes):
    assert is_of_several(planes(800.0, sequence_name="ep_b50_400_800t")[0])
    assert not is_of_several(planes(800.0, sequence_name="ep_b800t")[0])


def test_protocol_in_the_sequence_name_of_a_multi_frame_object_says_nothing_of_a_frame(make):
    frames = [make.frame(make.DIFFUSION, n, b_value=b) for b in (0.0, 800.0) for n in range(6)]
    whole = make.one_object(make.DIFFUSION, "20", 1, frames, sequence_name="DWI_b0_800")
    assert not any(is_of_several(p) for p in planes_of([whole]))
    (role,) = series_roles([whole], AssemblyRules())
    assert [s.b_value for s in role.stacks] == [0.0, 800.0]


def test_b_values_up_to_ten_are_b_0_and_imaging_gradients_make_no_new_shell(planes):
    groups = by_b_value(planes(0.0, 2.0, 800.0, 812.0, 1000.0, None))
    assert [(b, len(of_b)) for b, of_b in groups] == [
        (None, 6),
        (0.0, 12),
        (800.0, 12),
        (1000.0, 6),
    ]
    assert not same_b(800.0, 1000.0)


@given(
    st.lists(st.one_of(st.none(), st.floats(0, 1e5)), max_size=6),
    st.sampled_from(["TOSHIBA", "SIEMENS", ""]),
    st.text(max_size=30),
    st.booleans(),
)
def test_what_an_image_says_of_its_b_value_is_never_changed(make, told, maker, description, inside):
    given_planes = [
        Plane(
            replace(make.DIFFUSION.instance, manufacturer=maker, series_description=description),
            make.frame(make.DIFFUSION, n, b_value=b, b_value_source="(0018,9087)" if b else None),
        )
        for n, b in enumerate(told)
    ]
    if not given_planes:
        return
    after = with_series_b_values(given_planes, inside)
    assert len(after) == len(given_planes)
    for before, now in zip(given_planes, after, strict=True):
        assert before.frame.b_value in (None, now.frame.b_value)
        assert now.frame.b_value is None or 0 <= now.frame.b_value <= 1e5


def test_two_stacks_in_one_object_are_two_volumes(make):
    right = [make.frame(make.T2, n, stack_id="1") for n in range(5)]
    left = [make.frame(make.T2, n + 40, stack_id="2") for n in range(5)]
    (role,) = series_roles([make.one_object(make.T2, "3", 1, [*right, *left])], AssemblyRules())
    assert [len(s.frames) for s in role.stacks] == [5, 5]
    assert role.problems == ()


def test_an_identifier_a_slice_makes_no_volumes_of_one_slice(make):
    frames = [make.frame(make.T2, n, stack_id=str(n)) for n in range(5)]
    (role,) = series_roles([make.one_object(make.T2, "3", 1, frames)], AssemblyRules())
    assert [len(s.frames) for s in role.stacks] == [5]


def test_tiled_images_of_a_dynamic_are_not_taken_apart(make):
    """Its grid may become that of a segmentation, which has to name every source image."""
    positions = tuple((0.0, 0.0, 4.0 * n) for n in range(4))
    tiling = Tiling(rows=160, columns=160, across=2, positions=positions)
    images = make.volume(make.DYNAMIC, "5", 1, frame_values={"tiled": True, "tiling": tiling})
    (dynamic,) = series_roles(images, AssemblyRules())
    assert dynamic.stacks == ()
    assert any("have the scanner send single slices" in p for p in dynamic.problems)
    (diffusion,) = series_roles(
        make.volume(
            make.DIFFUSION, "20", 1, frame_values={"tiled": True, "tiling": tiling, "b_value": 8e2}
        ),
        AssemblyRules(),
    )
    assert [[f.tile for f in s.frames] for s in diffusion.stacks] == [[1, 2, 3, 4]]
    assert diffusion.problems == ()
