"""A segmentation that is not what it was made from is seen before it leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.pixels.utils import pack_bits

from mome_node.errors import InvalidResultError
from mome_node.results.context import ResultContext
from mome_node.results.profile import ResultProfile
from mome_node.results.result_set import encode, make_results
from mome_node.results.seg_check import check_segmentation
from mome_node.results.sources import SourceImages

ORIENTATIONS = [
    *("axial", "reversed", "prone", "sagittal", "coronal", "oblique", "oblique tilted"),
    *("feet first", "feet first prone", "prone reversed", "prone oblique"),
    *("sagittal reversed", "sagittal prone", "coronal feet first"),
]


def made(exam: Any, context: ResultContext) -> bytes:
    alone = replace(context, profile=replace(context.profile, objects=("seg",)))
    (seg,) = make_results(exam.findings, alone, exam.headers).objects
    return encode(seg.dataset)


def check(encoded: bytes, exam: Any) -> None:
    check_segmentation(encoded, exam.findings, SourceImages(exam.headers, exam.findings.key_volume))


def changed(encoded: bytes, change: Callable[[Dataset], None]) -> bytes:
    dataset = dcmread(BytesIO(encoded))
    change(dataset)
    return encode(dataset)


@pytest.mark.parametrize("empty_frames", [False, True])
@pytest.mark.parametrize("iod", ["classic", "enhanced"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_segmentation_as_it_was_made_is_let_through(
    orientation: str,
    iod: str,
    empty_frames: bool,
    make_exam: Callable[..., Any],
    context: ResultContext,
) -> None:
    exam = make_exam(orientation=orientation, iod=iod, regions=3)
    profile = ResultProfile(empty_frames=empty_frames)
    encoded = made(exam, replace(context, profile=profile))
    check(encoded, exam)


def _pixels(change: Callable[[Any], Any]) -> Callable[[Dataset], None]:
    def apply(dataset: Dataset) -> None:
        dataset.PixelData = pack_bits(np.ascontiguousarray(change(dataset.pixel_array)))

    return apply


def _shift_a_slice(dataset: Dataset) -> None:
    position = dataset.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0]
    x, y, z = position.ImagePositionPatient
    position.ImagePositionPatient = [x, y, z + 3.5]


def _refer_to_the_next_slice(dataset: Dataset) -> None:
    groups = dataset.PerFrameFunctionalGroupsSequence
    groups[0].DerivationImageSequence = groups[1].DerivationImageSequence


def _shift_all(dataset: Dataset) -> None:
    for groups in dataset.PerFrameFunctionalGroupsSequence:
        position = groups.PlanePositionSequence[0]
        position.ImagePositionPatient = [v + 0.2 for v in position.ImagePositionPatient]


def _turn(dataset: Dataset) -> None:
    orientation = dataset.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    cosines = list(orientation.ImageOrientationPatient)
    orientation.ImageOrientationPatient = [*cosines[3:], *cosines[:3]]


def _space(dataset: Dataset) -> None:
    measures = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.PixelSpacing = list(measures.PixelSpacing)[::-1]


def _swap_segments(dataset: Dataset) -> None:
    for groups in dataset.PerFrameFunctionalGroupsSequence:
        item = groups.SegmentIdentificationSequence[0]
        item.ReferencedSegmentNumber = 3 - item.ReferencedSegmentNumber


def _swap_names(dataset: Dataset) -> None:
    one, two = dataset.SegmentSequence
    one.TrackingUID, two.TrackingUID = two.TrackingUID, one.TrackingUID


def _swap_sides(dataset: Dataset) -> None:
    one, two = (s.AnatomicRegionSequence[0] for s in dataset.SegmentSequence)
    name = "AnatomicRegionModifierSequence"
    one[name], two[name] = two[name], one[name]


def _swap_frame_sides(dataset: Dataset) -> None:
    for groups in dataset.PerFrameFunctionalGroupsSequence:
        anatomy = groups.FrameAnatomySequence[0]
        anatomy.FrameLaterality = {"L": "R", "R": "L"}[anatomy.FrameLaterality]


def _refer_to_another_image(dataset: Dataset) -> None:
    source = _first_source(dataset)
    source.ReferencedSOPInstanceUID = "1.2.3.4"


def _name_another_image(dataset: Dataset) -> None:
    dataset.ReferencedSeriesSequence[0].ReferencedInstanceSequence[
        0
    ].ReferencedSOPInstanceUID = "1.2.3.4"


def _other_frame_of_reference(dataset: Dataset) -> None:
    dataset.FrameOfReferenceUID = "1.2.3.4"


def _first_source(dataset: Dataset) -> Dataset:
    groups = dataset.PerFrameFunctionalGroupsSequence[0]
    source: Dataset = groups.DerivationImageSequence[0].SourceImageSequence[0]
    return source


MUTATIONS: dict[str, Callable[[Dataset], None]] = {
    "rows flipped": _pixels(lambda pixels: pixels[:, ::-1]),
    "columns flipped": _pixels(lambda pixels: pixels[:, :, ::-1]),
    "slices flipped": _pixels(lambda pixels: pixels[::-1]),
    "one voxel more": _pixels(
        lambda pixels: np.where(
            np.arange(pixels.size).reshape(pixels.shape) == 0, 1, pixels
        ).astype(np.uint8)
    ),
    "nothing left": _pixels(np.zeros_like),
    "a slice shifted": _shift_a_slice,
    "a slice of the next image": _refer_to_the_next_slice,
    "all shifted by 0.2 mm": _shift_all,
    "rows for columns": _turn,
    "spacings swapped": _space,
    "segments swapped": _swap_segments,
    "tracking UIDs swapped": _swap_names,
    "sides swapped": _swap_sides,
    "sides of the frames swapped": _swap_frame_sides,
    "an image of elsewhere": _refer_to_another_image,
    "another image named": _name_another_image,
    "another frame of reference": _other_frame_of_reference,
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_what_differs_from_the_findings_is_seen(
    mutation: str, make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam(orientation="oblique", regions=2)
    broken = changed(made(exam, context), MUTATIONS[mutation])
    with pytest.raises(InvalidResultError, match=r"the segmentation, read back, has"):
        check(broken, exam)


@pytest.mark.parametrize("frame", [1, 25])
def test_a_reference_to_another_phase_of_the_same_object_is_seen(
    frame: int, make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam(iod="enhanced", regions=1)

    def refer(dataset: Dataset) -> None:
        _first_source(dataset).ReferencedFrameNumber = frame  # phases 0 and 2; the key one is 1

    with pytest.raises(InvalidResultError, match="not of the key volume"):
        check(changed(made(exam, context), refer), exam)


def test_a_slice_that_is_missing_is_seen(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam(regions=1)
    encoded = made(exam, context)
    (region,) = exam.findings.regions
    mask = region.mask.copy()
    z = int(np.flatnonzero(~mask.any(axis=(0, 1)))[0])
    mask[5, 5, z] = True
    findings = replace(exam.findings, regions=(replace(region, mask=mask),))
    with pytest.raises(InvalidResultError, match="no frame for a slice"):
        check(encoded, replace(exam, findings=findings))


def test_another_number_of_segments_is_seen(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    encoded = made(make_exam(regions=2), context)
    with pytest.raises(InvalidResultError, match="2 segments, not 3"):
        check(encoded, make_exam(regions=3))


@pytest.mark.parametrize("keyword", ["PlaneOrientationSequence", "PixelMeasuresSequence"])
def test_what_cannot_be_read_back_is_refused(
    keyword: str, make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam(regions=2)

    def lose(dataset: Dataset) -> None:
        del dataset.SharedFunctionalGroupsSequence[0][keyword]

    with pytest.raises(InvalidResultError):
        check(changed(made(exam, context), lose), exam)


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.9])
def test_bytes_that_are_cut_off_are_refused(
    part: float, make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam(regions=2)
    encoded = made(exam, context)
    with pytest.raises(InvalidResultError):
        check(encoded[: int(len(encoded) * part)], exam)
