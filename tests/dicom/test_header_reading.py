from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

from mome_node.dicom.date_times import date_time_since, parse_date, parse_time, seconds_since
from mome_node.dicom.header_reading import MAX_FRAMES, check_uids, read_facts
from mome_node.errors import HeaderError

Save = Callable[..., Path]


def test_classic_image_becomes_one_plane_with_its_geometry(classic: Dataset, save: Save) -> None:
    classic.SliceThickness = 1.5
    classic.EchoTime, classic.RepetitionTime, classic.FlipAngle = 1.9, 5.1, 10
    classic.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"]
    facts = read_facts(save(classic))
    assert (facts.rows, facts.columns) == (4, 6)
    assert (facts.echo_time_ms, facts.repetition_time_ms, facts.flip_angle_deg) == (1.9, 5.1, 10)
    (frame,) = facts.frames
    assert frame.image_position == (10, 20, 30)
    assert frame.image_orientation == (1, 0, 0, 0, 1, 0)
    assert frame.pixel_spacing == (0.7, 0.8)
    assert frame.slice_thickness == 1.5
    assert frame.image_type == ("ORIGINAL", "PRIMARY", "M", "ND")
    assert (frame.b_value, frame.b_value_source) == (None, None)


def test_values_that_do_not_parse_are_absent_and_the_rest_is_kept(
    classic: Dataset, save: Save
) -> None:
    classic.SeriesNumber = 7
    path = save(classic)
    content = path.read_bytes()
    assert b"\\20.0\\" in content
    path.write_bytes(content.replace(b"\\20.0\\", b"\\2x.0\\").replace(b"20260110", b"20261310"))
    facts = read_facts(path)
    assert facts.frames[0].image_position is None
    assert facts.study_date == ""
    assert facts.series_number == 7


@pytest.mark.parametrize(
    "keyword", ["SOPInstanceUID", "SOPClassUID", "StudyInstanceUID", "SeriesInstanceUID"]
)
def test_image_without_an_identifying_uid_is_refused(
    keyword: str, classic: Dataset, tmp_path: Path
) -> None:
    delattr(classic, keyword)
    path = tmp_path / "unnamed.dcm"
    classic.save_as(path, implicit_vr=False, little_endian=True)
    with pytest.raises(HeaderError, match=keyword):
        read_facts(path)


def test_missing_file_is_a_header_error(tmp_path: Path) -> None:
    with pytest.raises(HeaderError, match="cannot be opened"):
        read_facts(tmp_path / "nothing.dcm")


def test_overlong_uid_is_read_but_not_received(classic: Dataset, save: Save) -> None:
    path = save(classic)
    facts = read_facts(path)
    check_uids(facts)
    classic.SeriesInstanceUID = "1." + "2" * 70
    with pytest.raises(HeaderError, match="64"):
        check_uids(read_facts(save(classic)))
    classic.SeriesInstanceUID = classic.StudyInstanceUID
    with pytest.raises(HeaderError, match="different"):
        check_uids(read_facts(save(classic)))


def test_million_declared_frames_are_refused(classic: Dataset, save: Save) -> None:
    classic.NumberOfFrames = 1_000_000
    with pytest.raises(HeaderError, match=str(MAX_FRAMES)):
        read_facts(save(classic))


@pytest.mark.parametrize(
    ("character_set", "name"),
    [
        ("ISO_IR 100", "Müller^Änne"),
        ("ISO_IR 126", "Διονυσιος"),
        ("ISO_IR 192", "Wang^XiaoDong=王^小东"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    ],
)
def test_text_is_decoded_with_the_character_set_of_the_instance(
    character_set: str | list[str], name: str, classic: Dataset, save: Save
) -> None:
    classic.SpecificCharacterSet = character_set
    classic.PatientName = name + "="
    assert read_facts(save(classic)).patient_name == name


def test_text_is_cut_and_freed_of_control_characters(classic: Dataset, save: Save) -> None:
    classic.SeriesDescription = "dyn\x07 one\x00"
    assert read_facts(save(classic)).series_description == "dyn one"
    classic.StudyDescription = "x" * 50_000
    assert len(read_facts(save(classic)).study_description) <= 1_024


def test_implicit_and_deflated_files_tell_the_same(classic: Dataset, save: Save) -> None:
    explicit = read_facts(save(classic))
    classic.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    implicit = read_facts(save(classic))
    classic.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    deflated = read_facts(save(classic))
    assert implicit.frames == explicit.frames == deflated.frames
    assert deflated.transfer_syntax_uid == DeflatedExplicitVRLittleEndian


def test_file_without_meta_information_is_read(classic: Dataset, tmp_path: Path) -> None:
    buffer = DicomBytesIO()
    del classic.file_meta
    classic.save_as(buffer, implicit_vr=True, little_endian=True)
    path = tmp_path / "bare"
    path.write_bytes(buffer.getvalue())
    assert read_facts(path).sop_instance_uid == classic.SOPInstanceUID


def test_acquisition_after_midnight_counts_on(classic: Dataset, save: Save) -> None:
    classic.AcquisitionDate, classic.AcquisitionTime = "20260110", "235959.5"
    before = read_facts(save(classic)).frames[0].acquired_s
    classic.AcquisitionDate, classic.AcquisitionTime = "20260111", "000100"
    after = read_facts(save(classic)).frames[0].acquired_s
    assert (before, after) == (86_399.5, 86_460.0)


def test_object_without_pixels_has_no_planes(classic: Dataset, save: Save) -> None:
    for keyword in ("Rows", "Columns", "PixelData"):
        delattr(classic, keyword)
    assert read_facts(save(classic)).frames == ()


def test_synthetic_data_is_told(classic: Dataset, save: Save) -> None:
    assert not read_facts(save(classic)).synthetic
    classic.SyntheticData = "YES"
    assert read_facts(save(classic)).synthetic


@pytest.mark.parametrize(
    ("image_type", "tiled"),
    [
        (["ORIGINAL", "PRIMARY", "M", "MOSAIC"], True),
        (["ORIGINAL", "PRIMARY", "VFRAME"], True),
        (["ORIGINAL", "PRIMARY", "M"], False),
    ],
)
def test_mosaics_are_told_by_image_type(
    image_type: list[str], tiled: bool, classic: Dataset, save: Save
) -> None:
    classic.ImageType = image_type
    assert read_facts(save(classic)).frames[0].tiled is tiled


def test_mosaic_is_told_by_its_count_of_images(classic: Dataset, save: Save) -> None:
    classic.add_new(0x00190010, "LO", "SIEMENS MR HEADER")
    classic.add_new(0x0019100A, "US", 25)
    assert read_facts(save(classic)).frames[0].tiled


def test_times_follow_the_standard() -> None:
    assert parse_time("1030") == 10 * 3600 + 30 * 60
    assert parse_time("10:30:05.25") == 10 * 3600 + 30 * 60 + 5.25
    assert parse_time("256000") is None
    assert parse_date("2026.01.10") == parse_date("20260110")
    assert seconds_since(None, "20260110", "000001") == 1.0
    assert date_time_since(parse_date("20260110"), "20260111000001.5+0100") == 86_401.5
    assert date_time_since(None, "20260110") is None


@given(st.text(max_size=40))
def test_any_text_is_a_time_or_none(text: str) -> None:
    value = parse_time(text)
    assert value is None or 0 <= value < 86_401


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_give_facts_or_a_header_error(
    data: st.DataObject, enhanced: Dataset, tmp_path: Path
) -> None:
    path = tmp_path / "damaged.dcm"
    enhanced.save_as(path, enforce_file_format=True)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(132, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content[: data.draw(st.integers(200, len(content)))]))
    with suppress(HeaderError):
        assert read_facts(path).sop_instance_uid


def test_counts_that_an_image_announces_are_read(classic: Dataset, save: Save) -> None:
    classic.ImagesInAcquisition = "240"
    classic.NumberOfSeriesRelatedInstances = "480"
    classic.ConcatenationUID = "1.2.8"
    classic.InConcatenationTotalNumber = 3
    facts = read_facts(save(classic))
    assert (facts.images_in_acquisition, facts.series_instances) == (240, 480)
    assert (facts.concatenation_uid, facts.concatenation_total) == ("1.2.8", 3)


def test_image_that_announces_nothing_has_no_counts(classic: Dataset, save: Save) -> None:
    facts = read_facts(save(classic))
    assert (facts.images_in_acquisition, facts.series_instances) == (None, None)
    assert (facts.concatenation_uid, facts.concatenation_total) == ("", None)
