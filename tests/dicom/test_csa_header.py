from __future__ import annotations

import struct
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread

from mome_node.dicom.csa_header import csa_numbers, parse_csa

MOSAIC = Path(__file__).parents[1] / "data/dicom/vendor-mr/siemens-skyra-mosaic/epi_pe_ap-00001.dcm"


def test_values_are_read_by_name(csa_header):
    csa = parse_csa(csa_header({"B_value": ["1000"], "SliceNormalVector": ["0.0", "0.0", "1.0"]}))
    assert csa == {"B_value": ("1000",), "SliceNormalVector": ("0.0", "0.0", "1.0")}
    assert csa_numbers(csa, "SliceNormalVector") == (0.0, 0.0, 1.0)
    assert csa_numbers(csa, "absent") == ()


def test_header_of_a_real_file_is_read():
    csa = parse_csa(dcmread(MOSAIC, stop_before_pixels=True)[0x0029, 0x1010].value)
    assert csa_numbers(csa, "SliceNormalVector") == (0.0, 0.0, 1.0)
    assert csa["NumberOfImagesInMosaic"] == ("5",)


def test_text_where_a_number_should_be_is_no_number():
    assert csa_numbers({"B_value": ("high",)}, "B_value") == ()


def test_a_header_that_ends_early_gives_what_came_before(csa_header):
    whole = csa_header({"B_value": ["1000"], "SliceNormalVector": ["0.0", "0.0", "1.0"]})
    assert parse_csa(whole[:-10]) == {"B_value": ("1000",)}


def test_a_count_of_four_thousand_million_values_is_not_believed(csa_header):
    whole = bytearray(csa_header({"B_value": ["1000"]}))
    whole[16 + 76 : 16 + 80] = struct.pack("<I", 0xFFFFFFFF)
    assert parse_csa(bytes(whole)) == {}


@given(st.binary(max_size=400), st.booleans())
def test_any_bytes_can_be_asked(content, magic):
    parse_csa(b"SV10" + content if magic else content)
