"""The SEG holds the masks, voxel by voxel, at their place in the patient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from typing import Any

import highdicom as hd
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread

from mome_node.errors import ResultError
from mome_node.results.context import ResultContext
from mome_node.results.profile import ResultProfile
from mome_node.results.region_styles import style_of
from mome_node.results.result_set import encode, make_results
from mome_node.results.seg import frame_count, seg_left_out

ORIENTATIONS = [
    *("axial", "reversed", "prone", "sagittal", "coronal", "oblique", "oblique tilted"),
    *("feet first", "feet first prone", "prone reversed", "prone oblique"),
    *("sagittal reversed", "sagittal prone", "coronal feet first"),
]


def _seg(exam: Any, context: ResultContext) -> Dataset:
    alone = replace(context, profile=replace(context.profile, objects=("seg",)))
    (seg,) = make_results(exam.findings, alone, exam.headers).objects
    return dcmread(BytesIO(encode(seg.dataset)))


def _marked_places(seg: Dataset, segment: int) -> set[tuple[float, ...]]:
    """Patient coordinates of every voxel of a segment, by the standard's own formula (C.7.6.2)."""
    shared = seg.SharedFunctionalGroupsSequence[0]
    cosines = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, dtype=float)
    row_spacing, column_spacing = shared.PixelMeasuresSequence[0].PixelSpacing
    pixels = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns)
    places = set()
    for frame, groups in zip(pixels, seg.PerFrameFunctionalGroupsSequence, strict=True):
        if _segment_number(seg, groups) != segment:
            continue
        position = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
        for row, column in np.argwhere(frame):
            place = (
                position + cosines[:3] * column_spacing * column + cosines[3:] * row_spacing * row
            )
            places.add(tuple(np.round(place, 2) + 0.0))
    return places


def _segment_number(seg: Dataset, groups: Dataset) -> int:
    for item in (groups, seg.SharedFunctionalGroupsSequence[0]):
        if "SegmentIdentificationSequence" in item:
            return int(item.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
    raise AssertionError("the frame names no segment")


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("iod", ["classic", "enhanced"])
def test_every_voxel_lies_where_the_mask_lies(
    orientation: str, iod: str, make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam(orientation=orientation, iod=iod, regions=3)
    seg = _seg(exam, context)
    grid = exam.findings.key_volume.grid
    for number, region in enumerate(exam.findings.regions, start=1):
        expected = {
            tuple(np.round(grid.to_patient(tuple(index)), 2) + 0.0)
            for index in np.argwhere(region.mask)
        }
        assert _marked_places(seg, number) == expected


def rotation(x: float, y: float, z: float) -> Any:
    """Orthonormal directions of columns, rows and slices, turned about the axes (radians)."""
    turned = np.eye(3)
    for angle, (i, j) in ((x, (1, 2)), (y, (0, 2)), (z, (0, 1))):
        about = np.eye(3)
        about[i, i] = about[j, j] = np.cos(angle)
        about[i, j], about[j, i] = -np.sin(angle), np.sin(angle)
        turned = about @ turned
    return turned


ANGLES = st.floats(-np.pi, np.pi)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(angles=st.tuples(ANGLES, ANGLES, ANGLES), mirrored=st.booleans(), enhanced=st.booleans())
def test_every_voxel_lies_where_the_mask_lies_however_the_patient_lies(
    angles: tuple[float, float, float],
    mirrored: bool,
    enhanced: bool,
    make_exam: Callable[..., Any],
    context: ResultContext,
) -> None:
    affine = np.eye(4)
    affine[:3, :3] = rotation(*angles) @ np.diag((7, 6, -3.5 if mirrored else 3.5))
    affine[:3, 3] = (12.5, -80.25, 33.0)
    exam = make_exam(affine=affine, iod="enhanced" if enhanced else "classic", regions=2)
    seg = _seg(exam, context)
    for number, region in enumerate(exam.findings.regions, start=1):
        found = np.array(sorted(_marked_places(seg, number)))
        grid = exam.findings.key_volume.grid
        expected = np.array([grid.to_patient(tuple(i)) for i in np.argwhere(region.mask)])
        nearest = np.linalg.norm(found[:, None] - expected[None], axis=-1).min(axis=1)
        assert len(found) == len(expected)
        assert nearest.max() < 0.05  # mm


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_another_reader_finds_the_same_voxels(
    orientation: str, make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam(orientation=orientation, regions=1)
    seg = hd.seg.Segmentation.from_dataset(_seg(exam, context))
    uids = [f.sop_instance_uid for f in exam.findings.key_volume.frames]
    read = seg.get_pixels_by_source_instance(uids, assert_missing_frames_are_empty=True)
    (region,) = exam.findings.regions
    np.testing.assert_array_equal(read[..., 0].astype(bool), region.mask.transpose(2, 1, 0))


@pytest.mark.parametrize("iod", ["classic", "enhanced"])
def test_every_frame_refers_to_the_image_of_its_own_phase(
    iod: str, make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam(iod=iod, regions=2)
    seg = _seg(exam, context)
    volume = exam.findings.key_volume
    for groups in seg.PerFrameFunctionalGroupsSequence:
        position = [float(v) for v in groups.PlanePositionSequence[0].ImagePositionPatient]
        z = round(volume.grid.to_index(tuple(position))[2])
        (source,) = groups.DerivationImageSequence[0].SourceImageSequence
        assert source.ReferencedSOPInstanceUID == volume.frames[z].sop_instance_uid
        assert source.ReferencedSOPClassUID == exam.sources[0].SOPClassUID
        frame = volume.frames[z].frame_number if iod == "enhanced" else None
        assert source.get("ReferencedFrameNumber") == frame


def test_references_name_the_whole_key_volume_and_its_frame_of_reference(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam()
    seg = _seg(exam, context)
    (series,) = seg.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == exam.sources[0].SeriesInstanceUID
    named = {item.ReferencedSOPInstanceUID for item in series.ReferencedInstanceSequence}
    assert named == {str(source.SOPInstanceUID) for source in exam.sources}
    assert seg.FrameOfReferenceUID == exam.sources[0].FrameOfReferenceUID


def test_segments_are_described_as_influence_and_not_as_lesions(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam(regions=3)
    seg = _seg(exam, context)
    assert seg.SegmentationType == "BINARY"
    assert [s.TrackingUID for s in seg.SegmentSequence] == ["2.25.1001", "2.25.1002", "2.25.1003"]
    sides = []
    for number, segment in enumerate(seg.SegmentSequence, start=1):
        assert segment.SegmentNumber == number
        assert segment.TrackingID == f"Region {number}"
        assert segment.SegmentAlgorithmType == "AUTOMATIC"
        assert segment.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "309825002"
        assert segment.SegmentedPropertyTypeCodeSequence[0].CodingSchemeDesignator == "99MOME"
        assert "RESEARCH use only" in segment.SegmentLabel
        (anatomy,) = segment.AnatomicRegionSequence
        assert anatomy.CodeValue == "76752008"
        modifier = anatomy.get("AnatomicRegionModifierSequence")
        sides.append(modifier[0].CodeMeaning if modifier else None)
        identification = segment.SegmentationAlgorithmIdentificationSequence[0]
        assert "ab" * 32 in identification.AlgorithmParameters
    assert sides == ["Right", "Left", None]


def test_a_segment_has_the_colour_in_which_the_pictures_outline_its_region(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam(regions=3)
    colours = [
        hd.color.CIELabColor.from_dicom_value(segment.RecommendedDisplayCIELabValue).to_rgb()
        for segment in _seg(exam, context).SegmentSequence
    ]
    for region, colour in zip(exam.findings.regions, colours, strict=True):
        assert np.allclose(colour, style_of(region).colour, atol=1.0)


@pytest.mark.parametrize("regions", [1, 3])
def test_every_frame_tells_the_side_of_its_region(
    regions: int, make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam(regions=regions)
    seg = _seg(exam, context)
    for groups in seg.PerFrameFunctionalGroupsSequence:
        region = exam.findings.regions[_segment_number(seg, groups) - 1]
        assert groups.FrameAnatomySequence[0].FrameLaterality == (region.laterality or "B")


def test_empty_frames_are_left_out(make_exam: Callable[..., Any], context: ResultContext) -> None:
    exam = make_exam(regions=2)
    seg = _seg(exam, context)
    filled = sum(int(r.mask.any(axis=(0, 1)).sum()) for r in exam.findings.regions)
    assert seg.NumberOfFrames == filled
    assert seg.pixel_array.reshape(filled, -1).any(axis=1).all()


@pytest.mark.parametrize("iod", ["classic", "enhanced"])
def test_every_slice_has_a_frame_of_every_region_where_the_profile_wants_it(
    iod: str, make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam(iod=iod, regions=3)
    profile = ResultProfile(empty_frames=True)
    seg = _seg(exam, replace(context, profile=profile))
    volume = exam.findings.key_volume
    assert seg.NumberOfFrames == 3 * volume.grid.shape[2] == frame_count(exam.findings, profile)
    named = []
    for groups, pixels in zip(seg.PerFrameFunctionalGroupsSequence, seg.pixel_array, strict=True):
        position = [float(v) for v in groups.PlanePositionSequence[0].ImagePositionPatient]
        z = round(volume.grid.to_index(tuple(position))[2])
        (source,) = groups.DerivationImageSequence[0].SourceImageSequence
        assert source.ReferencedSOPInstanceUID == volume.frames[z].sop_instance_uid
        region = exam.findings.regions[_segment_number(seg, groups) - 1]
        np.testing.assert_array_equal(pixels.astype(bool), region.mask[:, :, z].T)
        named.append((region.number, z))
    assert len(set(named)) == seg.NumberOfFrames


def test_segmentation_with_more_frames_than_the_limit_is_left_out_and_the_reason_is_told(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam(regions=2)
    count = frame_count(exam.findings, context.profile)
    for limit, kinds in ((count, ["sr", "seg"]), (count - 1, ["sr"])):
        profile = ResultProfile(max_frames=limit)
        results = make_results(exam.findings, replace(context, profile=profile), exam.headers)
        assert [o.kind for o in results.objects] == kinds
        assert bool(seg_left_out(exam.findings, profile)) is (kinds == ["sr"])
    told = seg_left_out(exam.findings, profile)
    assert f"{count} frames" in told
    assert f"more than the {count - 1} that" in told


def test_empty_frames_count_towards_the_limit(make_exam: Callable[..., Any]) -> None:
    findings = make_exam(regions=2).findings
    slices = findings.key_volume.grid.shape[2]
    assert seg_left_out(findings, ResultProfile(max_frames=2 * slices, empty_frames=True)) == ""
    assert seg_left_out(findings, ResultProfile(max_frames=2 * slices - 1, empty_frames=True))


def test_many_regions_make_as_many_segments(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam(regions=1)
    (region,) = exam.findings.regions
    regions = []
    for number in range(1, 41):
        mask = np.zeros_like(region.mask)
        mask[number % 40, 3:9, number % 10] = True
        regions.append(
            replace(region, number=number, tracking_uid=f"2.25.{2000 + number}", mask=mask)
        )
    many = replace(exam, findings=replace(exam.findings, regions=tuple(regions)))
    seg = _seg(many, context)
    assert len(seg.SegmentSequence) == seg.NumberOfFrames == 40
    for number, one in enumerate(regions, start=1):
        assert len(_marked_places(seg, number)) == one.mask.sum()


def test_there_is_no_seg_without_a_region(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam(regions=0)
    results = make_results(exam.findings, context, exam.headers)
    assert [o.kind for o in results.objects] == ["sr"]


def test_a_volume_that_does_not_lie_where_its_images_lie_is_refused(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam(regions=1)
    volume = exam.findings.key_volume
    shuffled = replace(volume, frames=volume.frames[::-1])
    with pytest.raises(ResultError, match="does not lie where"):
        make_results(replace(exam.findings, key_volume=shuffled), context, exam.headers)


@pytest.mark.parametrize("fault", ["empty mask", "other shape", "no frame of reference"])
def test_regions_that_cannot_be_drawn_are_refused(
    fault: str, make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam(regions=1)
    (region,) = exam.findings.regions
    if fault == "empty mask":
        region = replace(region, mask=np.zeros_like(region.mask))
    elif fault == "other shape":
        region = replace(region, mask=region.mask[:-1])
    else:
        for source in exam.sources:
            del source.FrameOfReferenceUID
    with pytest.raises(ResultError):
        make_results(replace(exam.findings, regions=(region,)), context, exam.headers)


def test_a_volume_without_source_images_is_refused(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam()
    bare = replace(exam.findings, key_volume=replace(exam.findings.key_volume, frames=()))
    with pytest.raises(ResultError, match="no source images"):
        make_results(bare, context, exam.headers)
