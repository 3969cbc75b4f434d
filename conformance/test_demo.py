"""`mome-node demo`: the first thing that a newcomer runs, against a real Orthanc."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from mome_node.demonstration.run import SEED
from mome_node.phantom.render import render_exam

PICTURES = ("slice.png", "overlay.png", "contributions.png")


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "mome-demo"
    command = [sys.executable, "-m", "mome_node.cli.main", "demo", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return out, done.stdout


def test_results_come_back_from_a_real_orthanc(demo, record_property):
    out, _ = demo
    summary = json.loads((out / "demo.json").read_text())
    record_property("elapsed_s", summary["elapsed_s"])
    assert summary["pacs"].startswith("Orthanc ")
    assert sum(summary["stages"].values()) == pytest.approx(summary["elapsed_s"], rel=0.1)


def test_the_report_and_the_segmentation_belong_to_the_exams_study(demo):
    out, _ = demo
    report, segmentation = dcmread(out / "sr.dcm"), dcmread(out / "seg.dcm")
    summary = json.loads((out / "demo.json").read_text())
    assert report.StudyInstanceUID == segmentation.StudyInstanceUID == summary["StudyInstanceUID"]
    assert "research use only, not for diagnosis" in report.SeriesDescription.lower()
    assert report.SyntheticData == segmentation.SyntheticData == "YES"


def test_the_region_lies_on_the_lesion_that_the_phantom_holds(demo):
    out, _ = demo
    region = json.loads((out / "findings.json").read_text())["regions"][0]
    truth = render_exam(SEED).truth
    (lesion,) = [found for found in truth.lesions if found.malignant]
    assert np.linalg.norm(np.subtract(region["center_mm"], lesion.center_mm)) < 10.0
    assert region["laterality"] == lesion.laterality


def test_pictures_can_be_looked_at(demo):
    out, _ = demo
    for name in PICTURES:
        with Image.open(out / name) as picture:
            picture.load()
            assert min(picture.size) >= 300


def test_findings_latencies_and_paths_are_printed(demo):
    out, printed = demo
    for text in ("malignancy score", "from first C-STORE", "delivery to the PACS", "sr.dcm"):
        assert text in printed
    assert str(out / "demo.json") in printed
