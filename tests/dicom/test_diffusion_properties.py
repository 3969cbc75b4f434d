"""Whatever stands in the elements of the b-value: it is a b-value or none, and never another."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from mome_node.dicom.diffusion import MAX_B_VALUE, read_diffusion
from mome_node.dicom.element_values import Elements

Raw = Mapping[int, tuple[str | None, bytes]]

SEQUENCE_NAME, COMMENTS, SCANNING = 0x00180024, 0x00204000, 0x00180020
STANDARD, DIRECTIONALITY, ORIENTATION = 0x00189087, 0x00189075, 0x00189089
PLACES = (
    STANDARD, DIRECTIONALITY, ORIENTATION, SEQUENCE_NAME, COMMENTS, SCANNING,
    0x00190010, 0x0019100C, 0x0019100D, 0x0019100E, 0x001910BB, 0x001910BC, 0x001910BD,
    0x00290010, 0x00291010, 0x00430010, 0x00431030, 0x00431039, 0x20010010, 0x20011003,
    0x20011004, 0x00650010, 0x00651009, 0x0065100A, 0x00651037, 0x0065110A,
)  # fmt: skip
MAKERS = st.sampled_from(
    ["SIEMENS", "GE MEDICAL SYSTEMS", "Philips", "UIH", "CANON_MEC", "TOSHIBA", "", "ACME"]
)
VALUES = st.one_of(
    st.binary(max_size=40),
    st.floats().map(lambda v: struct.pack("<d", v)),
    st.floats(width=32).map(lambda v: struct.pack("<f", v)),
    st.integers().map(lambda v: str(v).encode()[:40]),
    st.sampled_from([b"SIEMENS MR HEADER", b"GEMS_PARM_01", b"Image Private Header", b"ep_b800t"]),
)
VRS = st.sampled_from(["IS", "DS", "FD", "FL", "UN", "US", "SS", "LO", "CS", "OB", "SQ", None])


def elements(raw: Raw) -> Elements:
    return Elements(
        Dataset(
            {
                Tag(tag): RawDataElement(Tag(tag), vr, len(value), value, 0, vr is None, True)
                for tag, (vr, value) in raw.items()
            }
        )
    )


@given(st.dictionaries(st.sampled_from(PLACES), st.tuples(VRS, VALUES)), MAKERS)
def test_any_bytes_give_a_b_value_in_range_or_none(raw: Raw, maker: str) -> None:
    told = read_diffusion((elements(raw),), maker)
    assert told.b_value is None or 0 <= told.b_value <= MAX_B_VALUE
    assert told.effective_b_value is None or 0 <= told.effective_b_value <= MAX_B_VALUE
    assert (told.b_value is None) == (told.source is None)


@dataclass(frozen=True)
class Image:
    """What one maker writes into one image, and the effective b-value where it is told."""

    maker: str
    raw: Raw
    effective: float | None = None


def is_(value: float) -> bytes:
    return str(round(value)).encode()


def siemens(b: float, csa: Callable[..., bytes]) -> Image:
    return Image(
        "SIEMENS",
        {
            SCANNING: ("CS", b"EP"),
            SEQUENCE_NAME: ("SH", f"ep_b{b:g}#1".encode()),
            0x00190010: ("LO", b"SIEMENS MR HEADER"),
            0x0019100C: ("IS", is_(b)),
            0x0019100D: ("CS", b"DIRECTIONAL"),
            0x0019100E: ("FD", struct.pack("<3d", 0.6, 0.0, 0.8)),
            0x00290010: ("LO", b"SIEMENS CSA HEADER"),
            0x00291010: ("OB", csa({"B_value": [f"{b:g}"]})),
        },
    )


def ge(b: float, csa: Callable[..., bytes]) -> Image:
    return Image(
        "GE MEDICAL SYSTEMS",
        {
            **({STANDARD: ("FD", struct.pack("<d", b))} if b else {}),
            0x00430010: ("LO", b"GEMS_PARM_01"),
            0x00431030: ("SS", struct.pack("<h", 15 if b else 14)),
            0x00431039: ("IS", is_(b + (1e9 if b else 0)) + b"\\8\\0\\0"),
        },
    )


def philips(b: float, csa: Callable[..., bytes]) -> Image:
    return Image(
        "Philips",
        {
            STANDARD: ("FD", struct.pack("<d", b)),
            ORIENTATION: ("FD", struct.pack("<3d", 0, 0, 0)),
            0x20010010: ("LO", b"Philips Imaging DD 001"),
            0x20011003: ("UN", struct.pack("<f", b)),
            0x20011004: ("CS", b"I"),
        },
    )


def united_imaging(b: float, csa: Callable[..., bytes]) -> Image:
    effective = 0.93 * b + 1.25
    return Image(
        "UIH",
        {
            0x00650010: ("LO", b"Image Private Header"),
            0x00651009: ("FD", struct.pack("<d", effective)),
            0x0065100A: ("FD", struct.pack("<d", b)),
            0x00651037: ("FD", struct.pack("<3d", 0.6, 0.0, 0.8)),
        },
        effective,
    )


def toshiba(b: float, csa: Callable[..., bytes]) -> Image:
    return Image("TOSHIBA", {STANDARD: ("FD", struct.pack("<d", b))} if b else {})


def canon(b: float, csa: Callable[..., bytes]) -> Image:
    comment = f"b={b:g}(0.445,0.000,0.895)".encode()
    return Image("CANON_MEC", {STANDARD: ("FD", struct.pack("<d", b)), COMMENTS: ("LT", comment)})


@pytest.mark.parametrize("write", [siemens, ge, philips, united_imaging, toshiba, canon])
@pytest.mark.parametrize("b", [0.0, 50.0, 800.0, 1000.0])
def test_removing_elements_leaves_the_same_b_value_or_none(
    write: Callable[..., Image], b: float, csa_header: Callable[..., bytes]
) -> None:
    """Of every subset of what a maker writes: an anonymiser may leave any of them."""
    image = write(b, csa_header)
    allowed = {b, image.effective, None}
    tags = sorted(image.raw)
    for kept in range(1 << len(tags)):
        raw = {tag: image.raw[tag] for n, tag in enumerate(tags) if kept >> n & 1}
        for vrs_lost in (False, True):
            written = {
                t: ("UN" if vrs_lost and t >> 16 & 1 else vr, v) for t, (vr, v) in raw.items()
            }
            told = read_diffusion((elements(written),), image.maker).b_value
            assert told in allowed, (raw, told)
