"""The SEG holds the masks, voxel by voxel, at their place in the patient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from typing import Any

import highdicom as hd
import numpy as np
import pytest
from pydicom import Dataset, dcmread

from mome_node.errors import ResultError
from mome_node.results.context import ResultContext
from mome_node.results.result_set import encode, make_results

ORIENTATIONS = ["axial", "reversed", "prone", "sagittal", "coronal", "oblique", "oblique tilted"]


def _seg(exam: Any, context: ResultContext) -> Dataset:
    results = make_results(exam.findings, context, exam.headers)
    (seg,) = [o.dataset for o in results.objects if o.kind == "seg"]
    return dcmread(BytesIO(encode(seg)))


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
        assert "research use only" in segment.SegmentLabel
        (anatomy,) = segment.AnatomicRegionSequence
        assert anatomy.CodeValue == "76752008"
        modifier = anatomy.get("AnatomicRegionModifierSequence")
        sides.append(modifier[0].CodeMeaning if modifier else None)
        identification = segment.SegmentationAlgorithmIdentificationSequence[0]
        assert "ab" * 32 in identification.AlgorithmParameters
    assert sides == ["Right", "Left", None]


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
