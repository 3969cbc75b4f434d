from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian

from mome_node.dicom.header import FrameFacts
from mome_node.dicom.header_reading import read_facts

Save = Callable[..., Path]

SIEMENS = ("SIEMENS", "SIEMENS MR HEADER", 0x0019, 0x0C)
GE = ("GE MEDICAL SYSTEMS", "GEMS_PARM_01", 0x0043, 0x39)
PHILIPS = ("Philips Medical Systems", "Philips Imaging DD 001", 0x2001, 0x03)
UIH_EFFECTIVE = ("UIH", "Image Private Header", 0x0065, 0x09)
UIH_NOMINAL = ("UIH", "Image Private Header", 0x0065, 0x0A)


def b_value_of(path: Path) -> tuple[float | None, str | None]:
    frame: FrameFacts = read_facts(path).frames[0]
    return frame.b_value, frame.b_value_source


@pytest.mark.parametrize("creator_kept", [True, False])
@pytest.mark.parametrize(
    ("place", "vr", "value", "expected"),
    [
        (SIEMENS, "IS", 1000, 1000.0),
        (SIEMENS, "UN", b"1000", 1000.0),
        (SIEMENS, "UN", b"0 ", 0.0),
        (GE, "IS", [800, 8, 0, 0], 800.0),
        (GE, "IS", [1_000_000_800, 8, 0, 0], 800.0),
        (GE, "UN", b"1000001000\\8\\0\\0", 1000.0),
        (PHILIPS, "FL", 273.0, 273.0),
        (PHILIPS, "UN", struct.pack("<f", 1000.0), 1000.0),
        (UIH_EFFECTIVE, "FD", 929.75, 929.75),
        (UIH_NOMINAL, "FD", 1000.0, 1000.0),
        (UIH_NOMINAL, "UN", struct.pack("<d", 1000.0), 1000.0),
    ],
)
def test_private_b_value_is_found(
    place: tuple[str, str, int, int],
    vr: str,
    value: object,
    expected: float,
    creator_kept: bool,
    classic: Dataset,
    save: Save,
) -> None:
    classic.Manufacturer, creator, group, element = place
    if creator_kept:
        classic.add_new(group << 16 | 0x10, "LO", creator)
    classic.add_new(group << 16 | 0x1000 | element, vr, value)
    assert b_value_of(save(classic)) == (expected, f"({group:04X},10{element:02X})")


def test_private_b_value_is_found_in_any_block_of_its_creator(classic: Dataset, save: Save) -> None:
    classic.add_new(0x00190010, "LO", "SOMEBODY ELSE")
    classic.add_new(0x0019100C, "IS", 77)
    classic.add_new(0x00190011, "LO", "SIEMENS MR HEADER")
    classic.add_new(0x0019110C, "IS", 800)
    classic.Manufacturer = "SIEMENS"
    assert b_value_of(save(classic)) == (800.0, "(0019,110C)")


def test_private_b_value_survives_implicit_vr(classic: Dataset, save: Save) -> None:
    classic.Manufacturer = PHILIPS[0]
    classic.add_new(0x20011003, "FL", 800.0)
    classic.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    assert b_value_of(save(classic)) == (800.0, "(2001,1003)")


def test_standard_b_value_comes_first(classic: Dataset, save: Save) -> None:
    classic.Manufacturer = GE[0]
    classic.DiffusionBValue = 1000.0
    classic.add_new(0x00431039, "IS", [500, 8, 0, 0])
    assert b_value_of(save(classic)) == (1000.0, "(0018,9087)")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 1e7])
def test_implausible_b_values_are_absent(value: float, classic: Dataset, save: Save) -> None:
    classic.DiffusionBValue = value
    assert b_value_of(save(classic)) == (None, None)


def test_elements_of_an_unknown_maker_are_no_b_value(classic: Dataset, save: Save) -> None:
    classic.Manufacturer = "ACME"
    classic.add_new(0x0019100C, "IS", 1000)
    assert b_value_of(save(classic)) == (None, None)


def frame_of(path: Path) -> FrameFacts:
    (frame,) = read_facts(path).frames
    return frame


@pytest.mark.parametrize("standard", [None, 929.75])
def test_nominal_b_value_of_united_imaging_is_taken_and_the_effective_one_kept(
    standard: float | None, classic: Dataset, save: Save
) -> None:
    classic.Manufacturer = "UIH"
    if standard is not None:
        classic.DiffusionBValue = standard
    classic.add_new(0x00650010, "LO", "Image Private Header")
    classic.add_new(0x00651009, "FD", 929.75)
    classic.add_new(0x0065100A, "FD", 1000.0)
    frame = frame_of(save(classic))
    assert (frame.b_value, frame.effective_b_value) == (1000.0, 929.75)
    assert frame.b_value_source == "(0065,100A)"


def test_sequence_name_tells_the_b_value_where_every_element_is_silent(
    classic: Dataset, save: Save
) -> None:
    classic.Manufacturer, classic.SequenceName = "SIEMENS", "ep_b800t"
    frame = frame_of(save(classic))
    assert (frame.b_value, frame.b_value_source) == (800.0, "sequence name")
    assert frame.diffusion_directionality == "ISOTROPIC"
    classic.add_new(0x00190010, "LO", "SIEMENS MR HEADER")
    classic.add_new(0x0019100C, "IS", 750)
    assert b_value_of(save(classic)) == (750.0, "(0019,100C)")


def test_map_of_several_b_values_has_none(classic: Dataset, save: Save) -> None:
    classic.Manufacturer, classic.SequenceName = "SIEMENS", "ep_b0_2500"
    assert b_value_of(save(classic)) == (None, None)


def test_csa_header_tells_the_b_value_of_older_siemens_software(
    classic: Dataset, save: Save, csa_header: Callable[..., bytes]
) -> None:
    classic.Manufacturer, classic.ScanningSequence = "SIEMENS", "EP"
    classic.add_new(0x00290010, "LO", "SIEMENS CSA HEADER")
    classic.add_new(0x00291010, "OB", csa_header({"B_value": ["800"]}))
    assert b_value_of(save(classic)) == (800.0, "CSA header")


@pytest.mark.parametrize(("maker", "b_value"), [("CANON_MEC", 1500.0), ("ACME", None)])
def test_image_comments_tell_the_b_value_of_canon_only(
    maker: str, b_value: float | None, classic: Dataset, save: Save
) -> None:
    classic.Manufacturer, classic.ImageComments = maker, "b=1500(0.445,0.000,0.895)"
    frame = frame_of(save(classic))
    assert frame.b_value == b_value
    assert frame.diffusion_direction == ((0.445, 0.0, 0.895) if b_value else None)


@pytest.mark.parametrize(
    ("kind", "expected"), [(15, "ISOTROPIC"), (3, "DIRECTIONAL"), (16, "DIRECTIONAL"), (2, None)]
)
def test_ge_tells_its_combined_image_from_single_directions(
    kind: int, expected: str | None, classic: Dataset, save: Save
) -> None:
    classic.Manufacturer = GE[0]
    classic.add_new(0x00430010, "LO", GE[1])
    classic.add_new(0x00431030, "SS", kind)
    classic.add_new(0x00431039, "IS", [800, 8, 0, 0])
    assert frame_of(save(classic)).diffusion_directionality == expected


def test_ge_image_kind_says_nothing_of_an_image_without_diffusion(
    classic: Dataset, save: Save
) -> None:
    classic.Manufacturer = GE[0]
    classic.add_new(0x00430010, "LO", GE[1])
    classic.add_new(0x00431030, "SS", 3)
    frame = frame_of(save(classic))
    assert (frame.b_value, frame.diffusion_directionality) == (None, None)


@pytest.mark.parametrize(("word", "expected"), [("I", "ISOTROPIC"), ("O", "DIRECTIONAL")])
def test_philips_tells_trace_from_direction_in_one_letter(
    word: str, expected: str, classic: Dataset, save: Save
) -> None:
    classic.Manufacturer, classic.DiffusionBValue = PHILIPS[0], 800.0
    classic.add_new(0x20010010, "LO", PHILIPS[1])
    classic.add_new(0x20011004, "CS", word)
    assert frame_of(save(classic)).diffusion_directionality == expected


def test_b_0_has_no_direction_whatever_an_element_repeats(classic: Dataset, save: Save) -> None:
    classic.Manufacturer, classic.DiffusionBValue = PHILIPS[0], 0.0
    classic.DiffusionGradientOrientation = [1.0, 0.0, 0.0]
    frame = frame_of(save(classic))
    assert (frame.diffusion_directionality, frame.diffusion_direction) == (None, None)


def test_absent_b_value_is_never_b_0(classic: Dataset, save: Save) -> None:
    for maker in ("TOSHIBA", "CANON_MEC", "GE MEDICAL SYSTEMS", "UIH", "HITACHI", "FUJIFILM"):
        classic.Manufacturer = maker
        assert b_value_of(save(classic)) == (None, None)
