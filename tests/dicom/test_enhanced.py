from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian

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
    for frame, given in zip(frames, said, strict=True):
        frame.ContrastBolusUsageSequence = [item(ContrastBolusAgentAdministered=given)]
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
