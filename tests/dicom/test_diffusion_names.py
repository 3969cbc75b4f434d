from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mome_node.dicom.diffusion_names import (
    named_in_comment,
    named_in_sequence,
    named_in_text,
)


@pytest.mark.parametrize(
    ("name", "b_value", "trace", "directed"),
    [
        ("ep_b800t", 800, True, False),
        ("*ep_b1000#3", 1000, False, True),
        ("ep_b0", 0, False, False),
        ("re_b50t", 50, True, False),  # read-out segmented
        ("EP_B2500#1", 2500, False, True),
        ("epi_dti_b1000#0", 1000, False, True),
    ],
)
def test_siemens_sequence_name_tells_b_value_and_kind(name, b_value, trace, directed):
    named = named_in_sequence(name)
    assert (named.b_value, named.trace, named.directed) == (b_value, trace, directed)


@pytest.mark.parametrize("name", ["ep_b0_2500", "*ep_b50_400_800t"])
def test_sequence_name_with_several_b_values_is_of_none_of_them(name):
    named = named_in_sequence(name)
    assert named.b_value is None
    assert len(named.b_values) > 1


@pytest.mark.parametrize("name", ["", "*fl3d1", "*tse2d1_15", "epfid2d1_72", "ep2d_diff", "b800"])
def test_other_sequence_names_tell_no_b_value(name):
    assert named_in_sequence(name).b_values == ()


def test_canon_comment_tells_b_value_and_direction():
    named = named_in_comment("b=1500(0.445,0.000,-0.895) ")
    assert (named.b_value, named.direction) == (1500, (0.445, 0.0, -0.895))
    assert named_in_comment("b=0").b_value == 0
    assert named_in_comment("b=800 was repeated").b_value is None
    assert named_in_comment("Unaliased MB3/PE3/LB SENSE1").b_value is None


@pytest.mark.parametrize(
    ("description", "b_value"),
    [
        ("ax dwi b800", 800),
        ("DWI b=800", 800),
        ("DWI_b-1000_tra", 1000),
        ("DWI B 800", 800),
        ("diff bvalue 600", 600),
        ("ep2d_diff_b800_tra", 800),
        ("DWI b800 4x4 3mm", 800),
        ("DWI b800s/mm2", 800),
        ("dwi b0", 0),
        ("b 50 400 800", None),
        ("DWI b0_b800", None),
        ("DWI b0-800", None),
        ("ep2d_diff_b50_400_800_TRACEW", None),
        ("DWI b0/600", None),
        ("B1 map", None),
        ("dwi b2", None),
        ("dwi breast 800", None),
        ("sub800", None),
        ("DWI", None),
    ],
)
def test_description_tells_a_b_value_only_if_it_names_exactly_one(description, b_value):
    assert named_in_text(description).b_value == b_value


@given(st.text(max_size=80))
def test_any_text_can_be_asked(text):
    for named in (named_in_sequence(text), named_in_comment(text), named_in_text(text)):
        assert named.b_value is None or 0 <= named.b_value < 1e5
