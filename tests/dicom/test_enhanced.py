from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian

from mome_node.assembly.rules import AssemblyRules
from mome_node.assembly.series import series_roles
from mome_node.dicom.header_reading import read_facts
from mome_node.errors import HeaderError

Save = Callable[..., Path]
Item = Callable[..., Dataset]


def test_every_frame_becomes_a_plane_with_shared_and_own_groups(
    enhanced: Dataset, save: Save
) -> None:
    facts = read_facts(save(enhanced))
    assert [f.frame_number for f in facts.frames] == [1, 2, 3]
    assert [f.image_position for f in facts.frames] == [(0, 0, 2), (0, 0, 4), (0, 0, 6)]
    assert {f.pixel_spacing for f in facts.frames} == {(0.7, 0.8)}
    assert {f.image_orientation for f in facts.frames} == {(1, 0, 0, 0, 1, 0)}
    assert (facts.echo_time_ms, facts.repetition_time_ms, facts.flip_angle_deg) == (2.5, 5.5, 12)


def test_frame_tells_its_own_b_value_time_and_type(
    enhanced: Dataset, item: Item, save: Save
) -> None:
    for number, frame in enumerate(enhanced.PerFrameFunctionalGroupsSequence):
        frame.MRDiffusionSequence = [
            item(DiffusionBValue=800.0 * number, DiffusionDirectionality="ISOTROPIC")
        ]
        frame.FrameContentSequence = [
            item(
                TemporalPositionIndex=number + 1, FrameAcquisitionDateTime=f"2026011023590{number}"
            )
        ]
        frame.MRImageFrameTypeSequence = [item(FrameType=["ORIGINAL", "PRIMARY", "DIFFUSION"])]
        frame.PixelValueTransformationSequence = [item(RescaleSlope=2, RescaleIntercept=number)]
    frames = read_facts(save(enhanced)).frames
    assert [f.b_value for f in frames] == [0, 800, 1600]
    assert {f.b_value_source for f in frames} == {"(0018,9087)"}
    assert [f.temporal_position for f in frames] == [1, 2, 3]
    assert [f.acquired_s for f in frames] == [86_340, 86_341, 86_342]
    assert {f.image_type for f in frames} == {("ORIGINAL", "PRIMARY", "DIFFUSION")}
    assert [(f.rescale_slope, f.rescale_intercept) for f in frames] == [(2, 0), (2, 1), (2, 2)]


def test_frame_without_acquisition_time_tells_its_reference_time_and_offset(
    enhanced: Dataset, item: Item, save: Save
) -> None:
    for number, frame in enumerate(enhanced.PerFrameFunctionalGroupsSequence):
        frame.FrameContentSequence = [item(FrameReferenceDateTime=f"2026011010000{number}")]
        frame.TemporalPositionSequence = [item(TemporalPositionTimeOffset=1.5 * number)]
    frames = read_facts(save(enhanced)).frames
    assert [f.acquired_s for f in frames] == [36_000, 36_001, 36_002]
    assert [f.trigger_time_ms for f in frames] == [0, 1500, 3000]


def test_frame_tells_whether_contrast_had_been_given(
    enhanced: Dataset, item: Item, save: Save
) -> None:
    said = ("NO", "YES", "")
    frames = enhanced.PerFrameFunctionalGroupsSequence
    for frame, told in zip(frames, said, strict=True):
        frame.ContrastBolusUsageSequence = [item(ContrastBolusAgentAdministered=told)]
    assert [f.contrast_given for f in read_facts(save(enhanced)).frames] == [False, True, None]


def test_converted_frame_keeps_its_own_content_time(
    enhanced: Dataset, item: Item, save: Save
) -> None:
    enhanced.ContentDate, enhanced.ContentTime = "20260110", "110000"
    for number, frame in enumerate(enhanced.PerFrameFunctionalGroupsSequence):
        frame.UnassignedPerFrameConvertedAttributesSequence = [item(ContentTime=f"10000{number}")]
    assert [f.content_s for f in read_facts(save(enhanced)).frames] == [36_000, 36_001, 36_002]


def test_groups_of_undefined_length_read_the_same(enhanced: Dataset, save: Save) -> None:
    defined = read_facts(save(enhanced))
    for keyword in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        enhanced[keyword].is_undefined_length = True
        for frame in enhanced[keyword]:
            frame.is_undefined_length_sequence_item = True
    assert read_facts(save(enhanced)).frames == defined.frames
    enhanced.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    assert read_facts(save(enhanced)).frames == defined.frames


def test_shared_groups_may_be_large(enhanced: Dataset, save: Save) -> None:
    shared = enhanced.SharedFunctionalGroupsSequence[0]
    shared.add_new(0x00210010, "LO", "SIEMENS MR SDS 01")
    shared.add_new(0x00211019, "OB", b"\0" * 200_000)
    facts = read_facts(save(enhanced))
    assert facts.repetition_time_ms == 5.5
    assert facts.frames[2].pixel_spacing == (0.7, 0.8)


def test_legacy_converted_object_keeps_classic_attributes(
    enhanced: Dataset, item: Item, save: Save
) -> None:
    for number, frame in enumerate(enhanced.PerFrameFunctionalGroupsSequence):
        classic = item(TemporalPositionIdentifier=number + 1, TriggerTime=100.0 * number)
        classic.add_new(0x00190010, "LO", "SIEMENS MR HEADER")
        classic.add_new(0x0019100C, "IS", 50 * number)
        frame.UnassignedPerFrameConvertedAttributesSequence = [classic]
    frames = read_facts(save(enhanced)).frames
    assert [f.temporal_position for f in frames] == [1, 2, 3]
    assert [f.trigger_time_ms for f in frames] == [0, 100, 200]
    assert [f.b_value for f in frames] == [0, 50, 100]


def test_contrast_is_told_in_classic_words(enhanced: Dataset, item: Item, save: Save) -> None:
    enhanced.EchoPulseSequence, enhanced.EchoPlanarPulseSequence = "SPIN", "YES"
    shared = enhanced.SharedFunctionalGroupsSequence[0]
    shared.MRModifierSequence = [
        item(InversionRecovery="YES", InversionTimes=230.0, SpectrallySelectedSuppression="FAT")
    ]
    facts = read_facts(save(enhanced))
    assert facts.scanning_sequence == ("SE", "EP", "IR")
    assert facts.scan_options == ("FS",)
    assert facts.inversion_time_ms == 230


def test_fewer_items_than_frames_leave_the_rest_without_place(
    enhanced: Dataset, save: Save
) -> None:
    del enhanced.PerFrameFunctionalGroupsSequence[2]
    frames = read_facts(save(enhanced)).frames
    assert len(frames) == 3
    assert frames[2].image_position is None
    assert frames[2].image_orientation is not None


def test_multi_frame_object_without_groups_has_planes_without_place(
    enhanced: Dataset, save: Save
) -> None:
    del enhanced.PerFrameFunctionalGroupsSequence
    del enhanced.SharedFunctionalGroupsSequence
    frames = read_facts(save(enhanced)).frames
    assert [f.image_position for f in frames] == [None] * 3


def test_truncated_groups_are_a_header_error(enhanced: Dataset, save: Save) -> None:
    path = save(enhanced)
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"\x00\x52\x30\x92") + 40])
    with pytest.raises(HeaderError):
        read_facts(path)


def test_endless_nesting_is_a_header_error(classic: Dataset, save: Save) -> None:
    path = save(classic)
    deep = (
        b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    ) * 20_000
    start = path.read_bytes()
    cut = start.index(b"\x28\x00\x02\x00")
    path.write_bytes(start[:cut] + deep)
    with pytest.raises(HeaderError):
        read_facts(path)


def test_endless_items_are_a_header_error(
    classic: Dataset, save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mome_node.dicom.bounded_reading.MAX_READS", 5_000)
    path = save(classic)
    items = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\0\0\0\0" * 5_000
    start = path.read_bytes()
    cut = start.index(b"\x28\x00\x02\x00")
    path.write_bytes(start[:cut] + items)
    with pytest.raises(HeaderError, match="honest"):
        read_facts(path)


def test_deflate_bomb_is_refused(
    classic: Dataset, save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mome_node.dicom.header_stream.MAX_INFLATED_BYTES", 1 << 20)
    classic.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
    path = save(classic)
    assert read_facts(path).rows == 4
    content = path.read_bytes()
    length = int.from_bytes(content[140:144], "little")
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    bomb = deflater.compress(b"\0" * (4 << 20)) + deflater.flush()
    path.write_bytes(content[: 144 + length] + bomb)
    with pytest.raises(HeaderError, match="inflates"):
        read_facts(path)


def dimension(item: Item, pointer: int) -> Dataset:
    return item(DimensionIndexPointer=pointer)


@pytest.mark.parametrize("pointer", [0x00209128, 0x0020930D, 0x00189074])
def test_dimension_that_counts_time_stands_in_for_a_missing_temporal_position(
    pointer: int, enhanced: Dataset, item: Item, save: Save
) -> None:
    enhanced.DimensionIndexSequence = [dimension(item, 0x00209057), dimension(item, pointer)]
    for number, frame in enumerate(enhanced.PerFrameFunctionalGroupsSequence):
        frame.FrameContentSequence = [item(DimensionIndexValues=[1, 7 + number])]
    assert [f.temporal_position for f in read_facts(save(enhanced)).frames] == [7, 8, 9]


def test_dimension_that_counts_something_else_is_no_temporal_position(
    enhanced: Dataset, item: Item, save: Save
) -> None:
    enhanced.DimensionIndexSequence = [dimension(item, 0x00209057), dimension(item, 0x00189087)]
    for frame in enhanced.PerFrameFunctionalGroupsSequence:
        frame.FrameContentSequence = [item(DimensionIndexValues=[1, 2])]
    assert {f.temporal_position for f in read_facts(save(enhanced)).frames} == {None}


def test_too_few_dimension_index_values_tell_nothing(
    enhanced: Dataset, item: Item, save: Save
) -> None:
    enhanced.DimensionIndexSequence = [dimension(item, 0x00209057), dimension(item, 0x00209128)]
    for frame in enhanced.PerFrameFunctionalGroupsSequence:
        frame.FrameContentSequence = [item(DimensionIndexValues=[1])]
    assert {f.temporal_position for f in read_facts(save(enhanced)).frames} == {None}


@pytest.mark.parametrize(("component", "told"), [("PHASE", True), ("MAGNITUDE", False)])
def test_part_of_the_complex_signal_is_told_in_image_type(
    component: str, told: bool, enhanced: Dataset, item: Item, save: Save
) -> None:
    shared = enhanced.SharedFunctionalGroupsSequence[0]
    shared.MRImageFrameTypeSequence = [
        item(FrameType=["ORIGINAL", "PRIMARY"], ComplexImageComponent=component)
    ]
    types = {f.image_type for f in read_facts(save(enhanced)).frames}
    assert types == {("ORIGINAL", "PRIMARY", *((component,) if told else ()))}


def test_b_value_item_is_absent_on_a_map_and_the_map_has_no_b_value(
    enhanced: Dataset, item: Item, save: Save
) -> None:
    for frame in enhanced.PerFrameFunctionalGroupsSequence:
        frame.MRDiffusionSequence = [item(DiffusionDirectionality="ISOTROPIC")]
    frames = read_facts(save(enhanced)).frames
    assert {(f.b_value, f.diffusion_directionality) for f in frames} == {(None, "ISOTROPIC")}


def test_direction_of_a_frame_stands_in_its_own_sequence(
    enhanced: Dataset, item: Item, save: Save
) -> None:
    for frame in enhanced.PerFrameFunctionalGroupsSequence:
        direction = item(DiffusionGradientOrientation=[0.6, 0.0, 0.8])
        frame.MRDiffusionSequence = [
            item(DiffusionBValue=800.0, DiffusionGradientDirectionSequence=[direction])
        ]
    frames = read_facts(save(enhanced)).frames
    assert {f.diffusion_direction for f in frames} == {(0.6, 0.0, 0.8)}
    assert {f.diffusion_directionality for f in frames} == {"DIRECTIONAL"}


MACROS = (
    "FrameContentSequence", "MRDiffusionSequence", "PlanePositionSequence",
    "PlaneOrientationSequence", "PixelMeasuresSequence", "MRImageFrameTypeSequence",
    "PixelValueTransformationSequence", "UnassignedPerFrameConvertedAttributesSequence",
)  # fmt: skip
WORDS = (
    ("DiffusionBValue", "FD"), ("DiffusionGradientOrientation", "FD"), ("PixelSpacing", "DS"),
    ("ImagePositionPatient", "DS"), ("ImageOrientationPatient", "DS"), ("StackID", "SH"),
    ("DimensionIndexValues", "UL"), ("TemporalPositionIndex", "UL"), ("FrameType", "CS"),
    ("FrameAcquisitionDateTime", "DT"), ("RescaleSlope", "DS"), ("MRDiffusionSequence", "SQ"),
)  # fmt: skip


def element(keyword: str, vr: str, value: bytes) -> bytes:
    """An element in Explicit VR Little Endian, whatever bytes stand in it."""
    tag = tag_for_keyword(keyword) or 0
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    if vr == "SQ":
        return head + struct.pack("<HI", 0, len(value)) + value
    return head + struct.pack("<H", len(value)) + value


def item_bytes(elements: dict[tuple[str, str], bytes]) -> bytes:
    content = b"".join(
        element(keyword, vr, value) for (keyword, vr), value in sorted(elements.items())
    )
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(content)) + content


def junk(depth: int) -> st.SearchStrategy[bytes]:
    """Items of any elements in any macros, with any bytes in them."""
    words = st.dictionaries(st.sampled_from(WORDS), st.binary(max_size=24), max_size=4)
    if depth == 0:
        return words.map(item_bytes)
    inner = st.lists(junk(depth - 1), max_size=2).map(b"".join)
    macros = st.sampled_from([(name, "SQ") for name in MACROS])
    return st.builds(
        lambda own, nested: item_bytes(own | nested),
        words,
        st.dictionaries(macros, inner, max_size=4),
    )


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(frames=st.lists(junk(2), max_size=5), shared=st.lists(junk(2), max_size=2))
def test_any_functional_groups_give_one_plane_a_frame(
    frames: list[bytes], shared: list[bytes], enhanced: Dataset, save: Save
) -> None:
    for keyword in (
        "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "PixelData",
    ):  # fmt: skip
        if keyword in enhanced:
            del enhanced[keyword]
    path = save(enhanced)
    with path.open("ab") as file:
        file.write(element("SharedFunctionalGroupsSequence", "SQ", b"".join(shared)))
        file.write(element("PerFrameFunctionalGroupsSequence", "SQ", b"".join(frames)))
    facts = read_facts(path)
    assert [f.frame_number for f in facts.frames] == [1, 2, 3]
    assert all(role.reason for role in series_roles([facts], AssemblyRules()))
