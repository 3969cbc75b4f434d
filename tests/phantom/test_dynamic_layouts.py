from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from mome_node.errors import PhantomError
from mome_node.phantom.dicom_writer import Course, DynamicLayout, write_study
from mome_node.phantom.dicom_writer.dynamic_layouts import WRITINGS
from mome_node.phantom.exam import PhantomExam, Vendor

MakeExam = Callable[..., PhantomExam]
Dynamic = Callable[..., list[Dataset]]
SLICES, PHASES = 4, 3


@pytest.fixture
def dynamic(small_exam: MakeExam, tmp_path: Path) -> Dynamic:
    def write(layout: DynamicLayout, course: Course = Course.USUAL) -> list[Dataset]:
        paths = write_study(
            small_exam(7),
            tmp_path / f"{layout}-{course}",
            vendor=WRITINGS[layout].vendor,
            study_date=date(2025, 3, 14),
            layout=layout,
            course=course,
        )
        read = [pydicom.dcmread(path, stop_before_pixels=True) for path in paths]
        return [ds for ds in read if ds.MRAcquisitionType == "3D"]

    return write


@pytest.mark.parametrize("layout", DynamicLayout)
def test_layout_says_only_what_its_scanner_says(dynamic: Dynamic, layout: DynamicLayout) -> None:
    writing, images = WRITINGS[layout], dynamic(layout)
    assert len(images) == SLICES * PHASES
    for keyword in ("TemporalPositionIdentifier", "TriggerTime"):
        said = {keyword in ds for ds in images}
        assert said == {keyword in {m.value for m in writing.marks}}
    numbers = {ds.AcquisitionNumber for ds in images}
    assert numbers == ({1, 2, 3} if writing.counted else {1})
    assert len({ds.SOPInstanceUID for ds in images}) == len(images)


@pytest.mark.parametrize(
    ("layout", "series", "clocks"),
    [
        (DynamicLayout.SIEMENS_SERIES, 3, 3),
        (DynamicLayout.SIEMENS_ACQUISITIONS, 1, 3),
        (DynamicLayout.GE_PRE_AND_PH, 3, 2),
        (DynamicLayout.GE_PRE_AND_MULTIPHASE, 2, 2),
        (DynamicLayout.GE_TRIGGER_TIMES, 1, 1),
        (DynamicLayout.GE_INSTANCE_NUMBERS, 1, 1),
        (DynamicLayout.PHILIPS_TIME_FIRST, 1, 3),
    ],
)
def test_phases_share_series_and_clock_as_the_layout_has_it(
    dynamic: Dynamic, layout: DynamicLayout, series: int, clocks: int
) -> None:
    images = dynamic(layout)
    assert len({ds.SeriesInstanceUID for ds in images}) == series
    assert len({ds.AcquisitionTime for ds in images}) == clocks


@pytest.mark.parametrize(
    ("course", "images"),
    [
        (Course.WITHOUT_PRE, SLICES * 2),
        (Course.REPEATED, SLICES * 6),
        (Course.INTERRUPTED, SLICES * 6 - 2),
        (Course.PRE_REPEATED, SLICES * 4),
        (Course.UNEQUAL, SLICES * 3 - 2),
        (Course.DOUBLED, SLICES * 4),
    ],
)
def test_course_has_the_images_that_came(dynamic: Dynamic, course: Course, images: int) -> None:
    assert len(dynamic(DynamicLayout.SIEMENS_ACQUISITIONS, course)) == images


def test_copy_of_a_phase_differs_in_nothing_but_its_uids(dynamic: Dynamic) -> None:
    images = dynamic(DynamicLayout.GE_POSITIONS, Course.DOUBLED)
    keyed = Counter(
        (str(ds.ImagePositionPatient), ds.AcquisitionTime, ds.TriggerTime, ds.ContentTime)
        for ds in images
        if ds.TemporalPositionIdentifier == 2
    )
    assert set(keyed.values()) == {2}


def test_each_side_of_a_sagittal_pair_lies_on_its_side(dynamic: Dynamic) -> None:
    images = dynamic(DynamicLayout.SIEMENS_SERIES, Course.SAGITTAL_PAIR)
    places = {
        side: [ds.ImagePositionPatient[0] for ds in images if ds.Laterality == side]
        for side in "LR"
    }
    assert min(places["L"]) > max(places["R"])


def test_layout_of_another_vendor_and_enhanced_layouts_are_refused(
    small_exam: MakeExam, tmp_path: Path
) -> None:
    wanted = DynamicLayout.GE_POSITIONS
    with pytest.raises(PhantomError, match="no layout of"):
        write_study(small_exam(), tmp_path, vendor=Vendor.SIEMENS, layout=wanted)
    with pytest.raises(PhantomError, match="single-frame"):
        write_study(small_exam(), tmp_path, vendor=Vendor.GE, enhanced=True, course=Course.REPEATED)
