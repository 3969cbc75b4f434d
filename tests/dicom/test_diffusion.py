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
