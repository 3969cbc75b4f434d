"""Which diffusion image the model reads, and what the reason tells of the others."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mome_node.assembly.plan import Role
from mome_node.assembly.rules import AssemblyRules
from mome_node.assembly.series import series_roles
from mome_node.assembly.study import plan_study

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
RULES = AssemblyRules()


@pytest.fixture
def plan(make):
    """The plan of an exam with these diffusion series, and what its reasons say of them."""

    def build(*series, rules=RULES):
        images = [*make.siemens_dynamic(), *(i for one in series for i in one)]
        planned = plan_study(images, rules, now=NOW)
        return planned.dwi, " | ".join(
            w for w in (*planned.reasons, *planned.warnings) if "dwi" in w
        )

    return build


@pytest.fixture
def dwi(make):
    def build(number, slices=6, *, look=None, **frame_values):
        values = {"b_value": 800.0, "acquired_s": make.START_S - 300.0} | frame_values
        return make.volume(look or make.DIFFUSION, number, slices, frame_values=values)

    return build


def test_whole_repeat_is_read_before_a_later_fragment(plan, dwi, make):
    whole = dwi("20", 12)
    fragment = dwi("22", 6, acquired_s=make.START_S - 100.0)
    chosen, _ = plan(whole, fragment)
    assert chosen.series_uid == "1.2.3.20"


def test_latest_of_two_whole_repeats_is_read_and_the_reason_counts_them(plan, dwi, make):
    chosen, words = plan(dwi("20"), dwi("22", acquired_s=make.START_S - 100.0))
    assert chosen.series_uid == "1.2.3.22"
    assert "the latest complete one of 2" in words


def test_trace_is_read_before_a_direction_of_a_better_b_value(plan, dwi):
    trace = dwi("20", diffusion_directionality="ISOTROPIC")
    directed = dwi("22", b_value=1000.0, diffusion_directionality="DIRECTIONAL")
    chosen, words = plan(trace, directed, rules=replace(RULES, preferred_b=1000.0))
    assert chosen.b_value == 800.0
    assert "high-b trace with b 800; not b 1000" in words


def test_directions_of_one_b_value_are_volumes_of_their_own(plan, make):
    vectors = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    series = [
        i
        for n, vector in enumerate(vectors)
        for i in make.volume(
            make.DIFFUSION,
            "20",
            first=1 + 100 * n,
            frame_values={
                "b_value": 800.0,
                "diffusion_directionality": "DIRECTIONAL",
                "diffusion_direction": vector,
            },
        )
    ]
    chosen, words = plan(series)
    assert len(chosen.frames) == 6
    assert "single directions are not combined" in words


def test_b_2_is_a_b_0_and_never_the_high_b_image(plan, dwi):
    rules = replace(RULES, dwi_b_range=(1.0, 1500.0))
    chosen, words = plan(dwi("20", b_value=2.0), rules=rules)
    assert chosen is None
    assert "b-values found: 2" in words


def test_effective_b_value_of_a_preferred_1000_is_in_range(plan, dwi):
    rules = replace(RULES, dwi_b_range=(1000.0, 1000.0), preferred_b=1000.0)
    effective = dwi("20", b_value=929.75, b_value_source="(0065,1009)")
    assert plan(effective, rules=rules)[0].b_value == 929.75
    # Another maker's b 929.75 is one that was asked for, and outside.
    assert plan(dwi("20", b_value=929.75), rules=rules)[0] is None


def test_both_b_values_are_told(plan, dwi):
    series = dwi("20", b_value=1000.0, effective_b_value=929.75, b_value_source="(0065,100A)")
    _, words = plan(series)
    assert "b 1000 (effective 929.75) by (0065,100A)" in words


def test_b_value_outside_the_package_s_range_is_not_read_and_the_reason_names_it(plan, dwi):
    chosen, words = plan(dwi("20", b_value=2500.0))
    assert chosen is None
    assert "no diffusion image with b from 500 to 1500; b-values found: 2500" in words


def test_computed_image_is_never_read(plan, dwi, make):
    look = make.DIFFUSION.but(
        series_description="cDWI b1000", image_type=("ORIGINAL", "PRIMARY", "OTHER")
    )
    computed = dwi("22", look=look, b_value=1000.0)
    chosen, words = plan(dwi("20"), computed, rules=replace(RULES, preferred_b=1000.0))
    assert chosen.b_value == 800.0
    assert "high-b" in words
    assert plan(computed)[0] is None
    (series,) = series_roles(computed, RULES)
    assert (series.role, series.reason) == (
        Role.DERIVED,
        "named a computed b-value (“cdwi”)",
    )


def test_computed_image_that_only_its_image_type_tells_is_left_out_beside_the_acquired(
    plan, dwi, make
):
    look = make.DIFFUSION.but(image_type=("DERIVED", "PRIMARY", "DIFFUSION", "SYNTHETIC"))
    computed = dwi("22", look=look, b_value=1000.0)
    chosen, words = plan(dwi("20"), computed, rules=replace(RULES, preferred_b=1000.0))
    assert chosen.b_value == 800.0
    assert "left out: a computed b-value" in words


def test_average_over_several_b_values_is_no_high_b_image(plan, dwi, make):
    look = make.DIFFUSION.but(sequence_name="ep_b50_400_800t")
    chosen, words = plan(dwi("22", look=look))
    assert chosen is None
    assert "left out: an image made from several b-values" in words


def test_reason_names_the_series_that_lost(make, dwi):
    images = [*make.siemens_dynamic(), *dwi("20"), *dwi("22", b_value=1000.0)]
    planned = plan_study(images, RULES, now=NOW)
    winner = next(s for s in planned.series if s.series_uid == "1.2.3.22")
    assert "taken before series 20" in winner.reason


def test_choice_does_not_depend_on_the_order_of_arrival(plan, dwi, make):
    series = [dwi("20"), dwi("22"), dwi("24", b_value=1000.0), dwi("26", b_value=0.0)]
    assert plan(*series) == plan(*series[::-1])
