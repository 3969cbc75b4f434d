from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path

import pydicom
import pytest
import torch
from PIL import Image

from mome_node.cli.main import main
from mome_node.demonstration.card import LICENSE_TEXT, demonstration_statement
from mome_node.mome.config import InputSize, ModelConfig
from mome_node.mome.network import Mome
from mome_node.mome.package import write_package
from mome_node.mome.preprocess_spec import default_spec
from mome_node.phantom.dicom_writer import write_study
from mome_node.phantom.exam import PhantomExam, Vendor

TASK_KEYS = {"task", "probability", "prior", "contribution", "model"}
REGION_KEYS = {"tracking_uid", "center_mm", "laterality", "share"}
PICTURES = {"slice.png", "overlay.png", "contributions.png"}
DEBUG_PICTURES = {"debug-dce.png", "debug-dwi.png", "debug-t2.png"}


@pytest.fixture(scope="module")
def result(exam: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `analyze` leaves, in a folder that held another analysis's files."""
    out = tmp_path_factory.mktemp("result")
    for name in ("seg.dcm", "sr.dcm", "kept.txt"):
        (out / name).write_bytes(b"of an earlier analysis")
    assert main(["analyze", str(exam), "--out", str(out)]) == 0
    return out


NETWORK = ModelConfig(
    width=24,
    heads=3,
    ffn=48,
    layers=3,
    sparse_layers=2,
    adapter=6,
    experts=5,
    stem=(4, 8),
    dce=InputSize(6, (96, 64, 16)),
    dwi=InputSize(1, (48, 32, 16)),
    t2=InputSize(1, (48, 32, 16)),
)


def write_small_package(path: Path, **said: object) -> Path:
    """A package of random weights that see enhancement; its score lies above its reference."""
    torch.manual_seed(0)
    network = Mome(NETWORK).eval()
    with torch.no_grad():
        for weight in network.tokenizers.parameters():
            weight.abs_()
        first = network.tokenizers["dce"].stem["0"].weight  # (channels, phases, 3, 3, 3)
        first[:, 0] = -first[:, 1:].sum(dim=1)
        network.head.weight.mul_(3)
        network.head.bias.copy_(torch.tensor([-0.5, 0.5]))
    statement = replace(
        demonstration_statement(), preprocessing=default_spec(NETWORK).to_json(), **said
    )
    return write_package(path, network, statement, license_text=LICENSE_TEXT).path


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package for the same task as the demonstration's that is explained in a second."""
    return write_small_package(tmp_path_factory.mktemp("models") / "small")


@pytest.fixture(scope="module")
def small_result(exam: Path, small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `analyze` leaves with the small package."""
    out = tmp_path_factory.mktemp("small-result")
    assert main(["analyze", str(exam), "--out", str(out), "--model", str(small)]) == 0
    return out


@pytest.fixture(scope="module")
def subtype(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package of random weights that asks for a condition."""
    return write_small_package(
        tmp_path_factory.mktemp("models") / "subtype",
        task="tnbc",
        applies_when=("histology-proven invasive cancer",),
    )


def test_findings_have_the_keys_that_others_build_on(result: Path) -> None:
    found = json.loads((result / "findings.json").read_text())
    (task,) = found["tasks"]
    assert set(task) >= TASK_KEYS
    assert task["task"] == "malignancy"
    assert 0 <= task["probability"] <= 1
    assert set(task["contribution"]) == set(found["modalities_used"]) == {"dce", "dwi", "t2"}
    shares = sum(task["contribution"].values())
    assert task["prior"] + shares == pytest.approx(task["probability"], abs=1e-6)
    assert set(task["model"]) == {"name", "version", "digest"}
    assert found["modalities_missing"] == []
    assert isinstance(found["warnings"], list)
    assert all(set(c) == {"channel", "phase", "seconds"} for c in found["channels"])
    assert all(set(region) == REGION_KEYS for region in found["regions"])


def test_objects_and_pictures_lie_beside_the_findings(result: Path, exam: Path) -> None:
    regions = json.loads((result / "findings.json").read_text())["regions"]
    segmentation = {"seg.dcm"} if regions else set()
    expected = {"sr.dcm", "findings.json", "kept.txt"} | PICTURES | segmentation
    assert {p.name for p in result.iterdir()} == expected
    study = pydicom.dcmread(next(exam.iterdir()), stop_before_pixels=True)
    for name in ("sr.dcm", *segmentation):
        made = pydicom.dcmread(result / name)
        assert made.StudyInstanceUID == study.StudyInstanceUID
        assert made.PatientID == study.PatientID
        assert made.SyntheticData == "YES"
    for name in PICTURES:
        with Image.open(result / name) as picture:
            picture.verify()


def test_the_same_folder_gives_the_same_bytes_even_with_its_results_inside(
    run, exam_copy: Path, small: Path, small_result: Path
) -> None:
    out = exam_copy / "result"
    names = sorted(p.name for p in small_result.iterdir())
    assert "seg.dcm" in names
    for _ in range(2):
        done = run("analyze", exam_copy, "--out", out, "--model", small)
        assert (done.status, done.err) == (0, "")
        assert done.out.splitlines() == [str(out / name) for name in names]
        for name in names:
            assert (out / name).read_bytes() == (small_result / name).read_bytes(), name


def test_debug_adds_a_picture_of_every_modality_and_changes_nothing_else(
    run, exam: Path, small: Path, small_result: Path, tmp_path: Path
) -> None:
    analysis = ("analyze", exam, "--out", tmp_path, "--model", small)
    assert run(*analysis, "--debug").status == 0
    usual = {p.name for p in small_result.iterdir()}
    assert {p.name for p in tmp_path.iterdir()} == usual | DEBUG_PICTURES
    for name in usual:
        assert (tmp_path / name).read_bytes() == (small_result / name).read_bytes(), name
    for name in DEBUG_PICTURES:
        with Image.open(tmp_path / name) as picture:
            picture.verify()
            assert picture.info == {}
    # An analysis without it leaves none of an earlier one.
    assert run(*analysis).status == 0
    assert {p.name for p in tmp_path.iterdir()} == usual


def test_several_studies_are_listed_by_identifiers_only(
    run, exam_copy: Path, rendered: PhantomExam, tmp_path: Path
) -> None:
    write_study(rendered, exam_copy / "b", vendor=Vendor.GE, study_date=date(2026, 3, 2))
    headers = [pydicom.dcmread(p, stop_before_pixels=True) for p in exam_copy.rglob("*.dcm")]
    done = run("analyze", exam_copy, "--out", tmp_path / "out")
    assert (done.status, done.out) == (2, "")
    for header in headers:
        assert f"study {header.StudyInstanceUID}, patient '{header.PatientID}'" in done.err
        assert str(header.PatientName) not in done.err
        assert header.PatientBirthDate not in done.err
    assert not (tmp_path / "out").exists()


def test_one_study_of_two_patients_is_refused(run, exam_copy: Path, tmp_path: Path) -> None:
    path = next(exam_copy.iterdir())
    header = pydicom.dcmread(path)
    header.PatientID = "SOMEBODY-ELSE"
    header.save_as(path)
    done = run("analyze", exam_copy, "--out", tmp_path / "out")
    assert done.status == 2
    assert "'SOMEBODY-ELSE'" in done.err


def test_different_files_of_one_instance_are_refused(run, exam_copy: Path, tmp_path: Path) -> None:
    path = next(exam_copy.iterdir())
    header = pydicom.dcmread(path)
    header.InstanceNumber = 999
    header.save_as(exam_copy / "corrected.dcm")
    done = run("analyze", exam_copy, "--out", tmp_path / "out")
    assert done.status == 1
    assert "the same SOP Instance UID" in done.err


def test_the_demonstration_never_evaluates_a_patient(run, exam_copy: Path, tmp_path: Path) -> None:
    for path in exam_copy.iterdir():
        instance = pydicom.dcmread(path)
        del instance.SyntheticData
        instance.save_as(path)
    done = run("analyze", exam_copy, "--out", tmp_path / "out")
    assert (done.status, done.out) == (1, "")
    assert (
        done.err
        == "mome-node analyze: not evaluable: [synthetic-weights] no clinical model installed\n"
    )
    assert list((tmp_path / "out").iterdir()) == []


def test_an_exam_without_a_dynamic_is_not_evaluable(run, exam: Path, tmp_path: Path) -> None:
    (tmp_path / "t2").mkdir()
    for path in exam.iterdir():
        if "t2" in str(pydicom.dcmread(path, stop_before_pixels=True).SeriesDescription).lower():
            shutil.copy(path, tmp_path / "t2")
    done = run("analyze", tmp_path / "t2", "--out", tmp_path / "out")
    assert (done.status, done.out) == (1, "")
    assert "not evaluable" in done.err


def test_results_must_not_lie_among_their_sources(run, exam: Path) -> None:
    before = sorted(exam.iterdir())
    done = run("analyze", exam, "--out", exam / ".." / exam.name)
    assert done.status == 2
    assert "OUT is DIR" in done.err
    assert sorted(exam.iterdir()) == before


def test_an_out_that_is_a_file_is_told(run, exam: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    done = run("analyze", exam, "--out", tmp_path / "out")
    assert (done.status, done.err) == (1, f"mome-node analyze: {tmp_path / 'out'}: File exists\n")
    assert (tmp_path / "out").read_text() == "mine"


def test_a_folder_that_is_no_package_is_told_before_out_is_made(
    run, exam: Path, tmp_path: Path
) -> None:
    done = run("analyze", exam, "--out", tmp_path / "out", "--model", tmp_path)
    assert done.status == 1
    assert f"{tmp_path.name} is no model package" in done.err
    assert not (tmp_path / "out").exists()


# Several packages


def test_packages_of_several_tasks_make_one_result(
    run, exam: Path, subtype: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = run(
        *("analyze", exam, "--out", out, "--model", "demo", "--model", subtype),
        *("--asserts", "histology-proven invasive cancer"),
    )
    assert (done.status, done.err) == (0, "")
    found = json.loads((out / "findings.json").read_text())
    assert [task["task"] for task in found["tasks"]] == ["malignancy", "tnbc"]
    assert [entry["task"] for entry in found["tasks_not_run"]] == ["pcr"]


def test_a_package_runs_only_under_the_condition_that_somebody_asserts(
    run, exam: Path, subtype: Path, tmp_path: Path
) -> None:
    done = run("analyze", exam, "--out", tmp_path / "out", "--model", subtype)
    assert (done.status, done.out) == (1, "")
    assert done.err == (
        "mome-node analyze: not evaluable: [condition-not-asserted] condition unknown: "
        "histology-proven invasive cancer is not asserted for this study\n"
    )


def test_a_condition_that_no_package_may_ask_for_is_wrong_usage(
    run, exam: Path, tmp_path: Path
) -> None:
    done = run("analyze", exam, "--out", tmp_path / "out", "--asserts", "cancer")
    assert done.status == 2
    assert "'histology-proven invasive cancer', 'exam before treatment'" in done.err


def test_two_packages_of_one_task_are_told_before_out_is_made(
    run, exam: Path, tmp_path: Path
) -> None:
    done = run("analyze", exam, "--out", tmp_path / "out", "--model", "demo", "--model", "demo")
    assert done.status == 1
    assert "two packages for the task malignancy" in done.err
    assert not (tmp_path / "out").exists()
