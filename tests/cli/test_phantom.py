from __future__ import annotations

import json
from pathlib import Path

import pydicom
import pytest

from mome_node.phantom.lesions import is_malignant

pytestmark = pytest.mark.usefixtures("small_phantoms")

ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"


def headers(out: Path) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(p, stop_before_pixels=True) for p in (out / "dicom").iterdir()]


def test_an_exam_and_its_truth_are_written_apart(run, tmp_path: Path) -> None:
    done = run("phantom", tmp_path / "out", "--seed", 3, "--vendor", "ge")
    assert done.status == 0
    assert f"DICOM files in {tmp_path / 'out' / 'dicom'}" in done.out
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"dicom", "truth.json"}
    assert {p.suffix for p in (tmp_path / "out" / "dicom").iterdir()} == {".dcm"}
    found = headers(tmp_path / "out")
    assert {h.SyntheticData for h in found} == {"YES"}
    assert {h.Manufacturer.split()[0].upper() for h in found} == {"GE"}
    assert len({h.StudyInstanceUID for h in found}) == 1
    truth = json.loads((tmp_path / "out" / "truth.json").read_text())
    assert set(truth) == {"malignant", "lesions", "phase_times_s", "seed", "version"}
    assert (truth["seed"], truth["malignant"]) == (3, is_malignant(3))
    for lesion in truth["lesions"]:
        assert set(lesion) == {"center_mm", "radii_mm", "malignant", "laterality"}


def test_layout_and_course_of_the_dynamic_can_be_asked_for(run, tmp_path: Path) -> None:
    asked = ("--vendor", "ge", "--layout", "ge-pre-and-ph", "--course", "abbreviated")
    assert run("phantom", tmp_path, *asked).status == 0
    named = {h.SeriesDescription for h in headers(tmp_path)}
    assert {"Ax 3D Vibrant", "Ph1/Ax 3D Vibrant", "Ph2/Ax 3D Vibrant"} <= named
    assert "Ph3/Ax 3D Vibrant" not in named


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--layout", "toshiba"), "ge-pre-and-ph"),
        (("--course", "lost"), "interrupted"),
        (("--vendor", "ge", "--layout", "siemens-series"), "no layout of ge"),
        (("--enhanced", "--course", "repeated"), "single-frame"),
    ],
)
def test_layout_or_course_that_cannot_be_written_is_refused(
    run, tmp_path: Path, options: tuple[str, ...], told: str
) -> None:
    done = run("phantom", tmp_path, *options)
    assert done.status != 0
    assert told in done.err


def test_enhanced_objects_hold_many_frames(run, tmp_path: Path) -> None:
    assert run("phantom", tmp_path, "--enhanced", "--vendor", "philips").status == 0
    found = headers(tmp_path)
    assert ENHANCED_MR in {h.SOPClassUID for h in found}
    assert max(int(h.get("NumberOfFrames", 1)) for h in found) > 10


def test_without_lesion_it_is_another_study_of_the_same_woman(run, tmp_path: Path) -> None:
    seed = next(s for s in range(100) if is_malignant(s))
    assert run("phantom", tmp_path / "with", "--seed", seed).status == 0
    assert run("phantom", tmp_path / "without", "--seed", seed, "--no-lesion").status == 0
    truth = json.loads((tmp_path / "without" / "truth.json").read_text())
    assert (truth["malignant"], truth["lesions"]) == (False, [])
    one, other = headers(tmp_path / "with"), headers(tmp_path / "without")
    assert {h.PatientID for h in one} == {h.PatientID for h in other}
    assert one[0].StudyInstanceUID != other[0].StudyInstanceUID
    assert {h.SOPInstanceUID for h in one}.isdisjoint({h.SOPInstanceUID for h in other})


def test_a_second_exam_does_not_mix_with_the_first(run, tmp_path: Path) -> None:
    (tmp_path / "dicom").mkdir()
    (tmp_path / "dicom" / "there.dcm").write_bytes(b"")
    done = run("phantom", tmp_path)
    assert done.status == 1
    assert "is not empty; two exams must not mix" in done.err
    assert [p.name for p in (tmp_path / "dicom").iterdir()] == ["there.dcm"]


@pytest.mark.parametrize("blocking", ["out", "out/dicom"])
def test_a_file_in_the_way_is_told_before_anything_is_rendered(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blocking: str
) -> None:
    monkeypatch.setattr(
        "mome_node.phantom.render.render_exam", lambda *_, **__: pytest.fail("rendered")
    )
    (tmp_path / blocking).parent.mkdir(exist_ok=True)
    (tmp_path / blocking).write_bytes(b"")
    done = run("phantom", tmp_path / "out")
    assert done.status == 1
    assert done.err.startswith(f"mome-node phantom: {tmp_path / 'out'}")
