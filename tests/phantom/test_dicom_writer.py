from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from mome_node.dicom.geometry import Grid
from mome_node.errors import PhantomError
from mome_node.phantom.dicom_writer import write_study
from mome_node.phantom.exam import PhantomExam, Vendor
from mome_node.volumes.volume import Volume

MakeExam = Callable[..., PhantomExam]
DAY = date(2025, 3, 14)
FORMS = [(vendor, enhanced) for vendor in Vendor for enhanced in (False, True)]
every_form = pytest.mark.parametrize(("vendor", "enhanced"), FORMS)
every_vendor = pytest.mark.parametrize("vendor", list(Vendor))


def study(
    exam: PhantomExam, folder: Path, vendor: Vendor, enhanced: bool = False
) -> dict[str, Dataset]:
    paths = write_study(exam, folder, vendor=vendor, enhanced=enhanced, study_date=DAY)
    return {path.name: pydicom.dcmread(path) for path in paths}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def of_kind(objects: dict[str, Dataset], description: str) -> list[Dataset]:
    return [ds for ds in objects.values() if description in ds.SeriesDescription]


DYNAMIC = {
    Vendor.SIEMENS: "t1_fl3d_tra",
    Vendor.GE: "Vibrant",
    Vendor.PHILIPS: "dyn_eTHRIVE",
}


@every_form
def test_writing_twice_gives_identical_bytes(
    small_exam: MakeExam, tmp_path: Path, vendor: Vendor, enhanced: bool
) -> None:
    for name in ("once", "twice"):
        study(small_exam(), tmp_path / name, vendor, enhanced)
    assert contents(tmp_path / "once") == contents(tmp_path / "twice")


@every_form
def test_nothing_of_the_truth_but_its_seed_reaches_the_files(
    small_exam: MakeExam, tmp_path: Path, vendor: Vendor, enhanced: bool
) -> None:
    exam = small_exam(malignant=True)
    benign = dataclasses.replace(
        exam, truth=dataclasses.replace(exam.truth, malignant=False, lesions=())
    )
    study(exam, tmp_path / "malignant", vendor, enhanced)
    study(benign, tmp_path / "benign", vendor, enhanced)
    assert contents(tmp_path / "malignant") == contents(tmp_path / "benign")


@every_form
def test_headers_do_not_depend_on_the_voxels(
    small_exam: MakeExam, tmp_path: Path, vendor: Vendor, enhanced: bool
) -> None:
    exam = small_exam()
    brighter = dataclasses.replace(
        exam, dce=tuple(Volume(v.array * np.float32(1.3), v.grid) for v in exam.dce)
    )
    one = study(exam, tmp_path / "one", vendor, enhanced)
    other = study(brighter, tmp_path / "other", vendor, enhanced)
    for ds in (*one.values(), *other.values()):
        del ds.PixelData
    assert one == other


@every_form
def test_all_files_name_one_synthetic_patient_study_and_frame_of_reference(
    small_exam: MakeExam, tmp_path: Path, vendor: Vendor, enhanced: bool
) -> None:
    objects = study(small_exam(), tmp_path, vendor, enhanced).values()
    letter = {Vendor.SIEMENS: "S", Vendor.GE: "G", Vendor.PHILIPS: "P"}[vendor]
    for ds in objects:
        assert ds.SyntheticData == "YES"
        assert ds.PatientName == "Phantom^Seed 0007"
        assert ds.PatientID == f"PHANTOM-0000007-{letter}"
        assert (ds.PatientSex, ds.Modality, ds.BodyPartExamined) == ("F", "MR", "BREAST")
        assert ds.StudyDate == "20250314"
        assert ds.StudyInstanceUID.startswith("2.25.")
        assert ds.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
    assert len({(ds.StudyInstanceUID, ds.FrameOfReferenceUID, ds.AccessionNumber)
                for ds in objects}) == 1  # fmt: skip
    assert len({ds.SOPInstanceUID for ds in objects}) == len(objects)


def test_seed_vendor_form_day_and_matrix_each_make_another_study(
    small_exam: MakeExam, tmp_path: Path
) -> None:
    exam = small_exam()
    smaller = dataclasses.replace(exam, adc=exam.t2)
    variants = [
        (exam, Vendor.GE, False, DAY),
        (exam, Vendor.PHILIPS, False, DAY),
        (exam, Vendor.GE, True, DAY),
        (exam, Vendor.GE, False, date(2025, 3, 15)),
        (small_exam(8), Vendor.GE, False, DAY),
        (smaller, Vendor.GE, False, DAY),
    ]
    uids: Counter[str] = Counter()
    for i, (one, vendor, enhanced, day) in enumerate(variants):
        paths = write_study(
            one, tmp_path / str(i), vendor=vendor, enhanced=enhanced, study_date=day
        )
        ds = pydicom.dcmread(paths[0], stop_before_pixels=True)
        uids.update({ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID})
    assert set(uids.values()) == {1}


def test_a_given_study_uid_makes_other_series_and_instances(
    small_exam: MakeExam, tmp_path: Path
) -> None:
    first, second = (
        write_study(small_exam(), tmp_path / name, vendor=Vendor.GE, study_uid=uid)
        for name, uid in (("a", "1.2.3"), ("b", None))
    )
    one, other = pydicom.dcmread(first[0]), pydicom.dcmread(second[0])
    assert one.StudyInstanceUID == "1.2.3"
    assert one.SeriesInstanceUID != other.SeriesInstanceUID
    assert one.SOPInstanceUID != other.SOPInstanceUID


def test_a_study_without_a_date_is_of_today(small_exam: MakeExam, tmp_path: Path) -> None:
    before = datetime.now().astimezone().date()
    paths = write_study(small_exam(), tmp_path, vendor=Vendor.SIEMENS)
    after = datetime.now().astimezone().date()
    assert pydicom.dcmread(paths[0]).StudyDate in {f"{d:%Y%m%d}" for d in (before, after)}


@every_vendor
def test_pixels_times_rescale_give_back_the_signal(
    small_exam: MakeExam, tmp_path: Path, vendor: Vendor
) -> None:
    exam = small_exam(phases=2)
    images = of_kind(study(exam, tmp_path, vendor), "T2" if vendor is not Vendor.SIEMENS else "t2")
    assert len(images) == exam.t2.grid.shape[2]
    for ds in images:
        slope = float(ds.get("RescaleSlope", 1))
        assert ("RescaleSlope" in ds) is (vendor is Vendor.PHILIPS)
        expected = exam.t2.array[:, :, ds.InstanceNumber - 1].T
        assert np.abs(ds.pixel_array * slope - expected).max() <= slope / 2 + 1e-3


@every_vendor
def test_enhanced_pixels_times_rescale_give_back_every_phase(
    small_exam: MakeExam, tmp_path: Path, vendor: Vendor
) -> None:
    exam = small_exam()
    found: dict[tuple[int, int], NDArray[np.float64]] = {}
    slope = 1.0
    for ds in of_kind(study(exam, tmp_path, vendor, enhanced=True), DYNAMIC[vendor]):
        if "SUBTRACTION" in ds.ImageType:
            continue
        shared = ds.SharedFunctionalGroupsSequence[0]
        slope = float(shared.PixelValueTransformationSequence[0].RescaleSlope)
        for frame, plane in zip(ds.PerFrameFunctionalGroupsSequence, ds.pixel_array, strict=True):
            content = frame.FrameContentSequence[0]
            phase = content.TemporalPositionIndex - 1
            if vendor is Vendor.SIEMENS:
                phase = ds.AcquisitionNumber - 1
            found[phase, content.InStackPositionNumber - 1] = plane * slope
    assert len(found) == len(exam.dce) * exam.dce[0].grid.shape[2]
    for (phase, k), plane in found.items():
        expected = exam.dce[phase].array[:, :, k].T
        assert np.abs(plane - expected).max() <= slope / 2 + 1e-3


@every_vendor
def test_the_grid_comes_back_from_position_orientation_and_spacing(
    small_exam: MakeExam, tmp_path: Path, vendor: Vendor
) -> None:
    exam = oblique(small_exam(phases=2))
    images = of_kind(study(exam, tmp_path, vendor), "T2" if vendor is not Vendor.SIEMENS else "t2")
    images.sort(key=lambda ds: ds.InstanceNumber)
    first, last = images[0], images[-1]
    assert grid_from(
        first, first.ImagePositionPatient, last.ImagePositionPatient, len(images)
    ).matches(exam.t2.grid)
    assert float(first.SpacingBetweenSlices) == pytest.approx(exam.t2.grid.spacing[2], abs=1e-6)


@every_vendor
def test_the_grid_comes_back_from_functional_groups(
    small_exam: MakeExam, tmp_path: Path, vendor: Vendor
) -> None:
    exam = oblique(small_exam(phases=2))
    (ds,) = (
        ds for ds in study(exam, tmp_path, vendor, enhanced=True).values() if "T2" in ds.ImageType
    )
    shared, frames = ds.SharedFunctionalGroupsSequence[0], ds.PerFrameFunctionalGroupsSequence
    header = Dataset()
    header.ImageOrientationPatient = shared.PlaneOrientationSequence[0].ImageOrientationPatient
    header.PixelSpacing = shared.PixelMeasuresSequence[0].PixelSpacing
    header.Rows, header.Columns = ds.Rows, ds.Columns
    positions = [f.PlanePositionSequence[0].ImagePositionPatient for f in frames]
    assert grid_from(header, positions[0], positions[-1], len(frames)).matches(exam.t2.grid)


def oblique(exam: PhantomExam) -> PhantomExam:
    angle = 0.2
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return dataclasses.replace(
        exam, t2=Volume(exam.t2.array, Grid(exam.t2.grid.shape, turn @ exam.t2.grid.affine))
    )


def grid_from(ds: Dataset, first: list[float], last: list[float], slices: int) -> Grid:
    affine = np.eye(4)
    cosines = np.array(ds.ImageOrientationPatient, float).reshape(2, 3)
    row_spacing, column_spacing = map(float, ds.PixelSpacing)
    affine[:3, 0] = cosines[0] * column_spacing
    affine[:3, 1] = cosines[1] * row_spacing
    affine[:3, 2] = (np.array(last, float) - np.array(first, float)) / (slices - 1)
    affine[:3, 3] = first
    return Grid((ds.Columns, ds.Rows, slices), affine)


@every_form
def test_the_localizer_shows_three_orientations(
    small_exam: MakeExam, tmp_path: Path, vendor: Vendor, enhanced: bool
) -> None:
    objects = study(small_exam(), tmp_path, vendor, enhanced)
    first_series = min(ds.SeriesNumber for ds in objects.values())
    normals = Counter()
    for ds in objects.values():
        if ds.SeriesNumber != first_series:
            continue
        frames = ds.PerFrameFunctionalGroupsSequence if enhanced else [ds]
        for frame in frames:
            plane = frame.PlaneOrientationSequence[0] if enhanced else frame
            cosines = np.array(plane.ImageOrientationPatient, float)
            normals[int(np.argmax(np.abs(np.cross(cosines[:3], cosines[3:]))))] += 1
        assert ds.pixel_array.max() > 0
    assert normals == {0: 3, 1: 3, 2: 3}


def test_signal_beyond_the_stored_range_is_clipped(small_exam: MakeExam, tmp_path: Path) -> None:
    exam = small_exam()
    array = exam.t2.array.copy()
    array[0, 0, 0], array[1, 0, 0] = -5, 1e6
    wide = dataclasses.replace(exam, t2=Volume(array, exam.t2.grid))
    images = of_kind(study(wide, tmp_path, Vendor.SIEMENS), "t2_tse")
    assert images[0].pixel_array[0, :2].tolist() == [0, 4095]


def test_an_exam_that_cannot_be_written_is_refused(small_exam: MakeExam, tmp_path: Path) -> None:
    exam = small_exam()
    not_finite = Volume(np.full_like(exam.t2.array, np.nan), exam.t2.grid)
    for wrong in (
        dataclasses.replace(exam, dce=(), phase_times_s=()),
        dataclasses.replace(exam, phase_times_s=(0.0,)),
        dataclasses.replace(exam, dce=(*exam.dce[:2], exam.t2)),
        dataclasses.replace(exam, truth=dataclasses.replace(exam.truth, seed=-1)),
        dataclasses.replace(exam, adc=not_finite),
    ):
        with pytest.raises(PhantomError):
            write_study(wrong, tmp_path, vendor=Vendor.PHILIPS)


def test_a_folder_that_cannot_be_made_is_told(small_exam: MakeExam, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(PhantomError, match="cannot write"):
        write_study(small_exam(), tmp_path / "file", vendor=Vendor.GE)
