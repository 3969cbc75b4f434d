"""Data sets that a reader would take for something else than the walk does: found by fuzzing."""

import struct
import warnings
from io import BytesIO

import pytest
from pydicom.filereader import read_dataset

from mome_node.dicom.dataset_walk import Encoding, walk_header
from mome_node.errors import HeaderError

EXPLICIT = Encoding(is_implicit_vr=False, is_little_endian=True)
IMPLICIT = Encoding(is_implicit_vr=True, is_little_endian=True)
CHARACTER_SET, SOP_CLASS, PATIENT_ID = 0x00080005, 0x00080016, 0x00100020
WANTED = frozenset({CHARACTER_SET, SOP_CLASS, PATIENT_ID})


def explicit(tag, vr, value):
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value


def implicit(tag, value):
    return struct.pack("<HHL", tag >> 16, tag & 0xFFFF, len(value)) + value


def empty_sequence(tag, vr):
    head = struct.pack("<HH2sHL", tag >> 16, tag & 0xFFFF, vr, 0, 0xFFFFFFFF)
    return head + b"\xfe\xff\xdd\xe0\0\0\0\0"


def walked(data, encoding=EXPLICIT):
    return walk_header(BytesIO(data), len(data), encoding, WANTED)


def read(data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return read_dataset(BytesIO(data), is_implicit_VR=False, is_little_endian=True)


def test_data_set_that_begins_in_implicit_vr_is_read_so_to_its_end():
    data = implicit(CHARACTER_SET, b"ISO_IR 100") + implicit(SOP_CLASS, b"1.2.3\0")
    assert walked(data)[SOP_CLASS] == b"1.2.3\0"
    assert read(data).SOPClassUID == "1.2.3"


def test_change_back_to_explicit_vr_is_refused_since_readers_would_lose_what_follows():
    data = implicit(CHARACTER_SET, b"ISO_IR 100") + explicit(SOP_CLASS, b"UI", b"1.2.3\0")
    data += explicit(PATIENT_ID, b"LO", b"P-1 ")
    assert "PatientID" not in read(data)
    with pytest.raises(HeaderError):
        walked(data)


def test_change_to_implicit_vr_in_the_middle_is_followed_as_readers_do():
    data = explicit(CHARACTER_SET, b"CS", b"ISO_IR 100") + implicit(SOP_CLASS, b"1.2.3\0")
    assert walked(data)[SOP_CLASS] == b"1.2.3\0"
    assert read(data).SOPClassUID == "1.2.3"


def test_item_in_implicit_vr_ends_with_its_sequence():
    item = implicit(PATIENT_ID, b"INSIDE")
    sequence = struct.pack("<HH2sHL", 0x0008, 0x1115, b"SQ", 0, len(item) + 8)
    sequence += struct.pack("<HHL", 0xFFFE, 0xE000, len(item)) + item
    data = sequence + explicit(PATIENT_ID, b"LO", b"P-1 ")
    assert walked(data) == {PATIENT_ID: b"P-1 "}
    assert read(data).PatientID == "P-1"


@pytest.mark.parametrize("vr", [b"SQ", b"UN", b"OB"])
@pytest.mark.parametrize("tag", [CHARACTER_SET, PATIENT_ID])
def test_identifying_element_without_a_value_of_its_own_is_refused(tag, vr):
    with pytest.raises(HeaderError, match="is a sequence, or without a length"):
        walked(empty_sequence(tag, vr))


def test_implicit_vr_is_not_looked_for_where_it_was_agreed():
    value = b"AA" + bytes(0x4141 - 2)  # its length looks like the VR "AA"
    data = implicit(0x00080008, value) + implicit(SOP_CLASS, b"1.2.3\0")
    assert walked(data, IMPLICIT)[SOP_CLASS] == b"1.2.3\0"


def test_data_set_that_ends_in_the_head_of_its_pixel_data_is_refused():
    data = explicit(SOP_CLASS, b"UI", b"1.2.3\0") + b"\xe0\x7f\x10\0OW\0\0"
    assert walked(data + bytes(4))
    with pytest.raises(HeaderError, match="in the middle of an element"):
        walked(data + bytes(3))
