from dataclasses import replace

import pytest

from mome_node.assembly.adc_units import unit_of
from mome_node.assembly.plan import Role
from mome_node.assembly.rules import AssemblyRules
from mome_node.assembly.series import series_roles

ADC = ("DERIVED", "PRIMARY", "DIFFUSION", "ADC")


def adc_role(make, image_type=ADC, units="", maker=""):
    look = make.DIFFUSION.but(image_type=image_type, manufacturer=maker, series_description="ADC")
    images = make.volume(look, "21", frame_values={"value_units": units})
    (role,) = series_roles(images, AssemblyRules())
    assert role.role is Role.ADC
    return role


@pytest.mark.parametrize(
    ("told", "unit"),
    [
        ("um2/s by Real World Value Mapping", "1e-6 mm²/s"),
        ("µm2/s by Units", "1e-6 mm²/s"),
        ("10-6.mm2/s by Rescale Type", "1e-6 mm²/s"),
        ("10^-3 mm2/s by Units", "1e-3 mm²/s"),
        ("1E-06 mm2/s by Rescale Type", "1e-6 mm²/s"),
        ("mm2/s with slope 1e-06 by Real World Value Mapping", "1e-6 mm²/s"),
        ("mm^2/sec by Units", "mm²/s"),
        ("HU by Rescale Type", ""),
        ("", ""),
    ],
)
def test_units_of_diffusion_are_recognised_in_many_spellings(told, unit):
    assert unit_of(told) == unit


def test_told_units_stand_in_the_reason(make):
    role = adc_role(make, units="um2/s by Real World Value Mapping")
    assert "values in 1e-6 mm²/s (um2/s by Real World Value Mapping)" in role.reason
    assert role.problems == ()


@pytest.mark.parametrize("maker", ["SIEMENS", "GE MEDICAL SYSTEMS"])
def test_makers_whose_units_are_known_need_not_tell_them(make, maker):
    role = adc_role(make, maker=maker)
    assert "as this maker writes them" in role.reason
    assert role.problems == ()


def test_unknown_units_are_a_problem(make):
    assert any("units" in p for p in adc_role(make, maker="Philips").problems)


def test_images_that_tell_different_units_are_a_problem(make):
    images = make.volume(make.DIFFUSION.but(image_type=ADC), "21")
    images[0] = replace(
        images[0], frames=tuple(replace(f, value_units="HU by Units") for f in images[0].frames)
    )
    (role,) = series_roles(images, AssemblyRules())
    assert "the images of the ADC map tell different units" in role.problems


@pytest.mark.parametrize(
    ("image_type", "words"),
    [
        (ADC, "made by the scanner"),
        (("DERIVED", "SECONDARY", "ADC"), "computed at a workstation"),
    ],
)
def test_maps_of_the_scanner_and_of_a_workstation_are_told_apart(make, image_type, words):
    assert words in adc_role(make, image_type=image_type).reason
