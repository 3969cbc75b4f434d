"""`mome-node survey` against a real Orthanc, by C-FIND and QIDO-RS, and against DCMTK's archive.

Three vendors' breast exams, one of the knee, a biopsy and one without a dynamic: however Orthanc is
asked, the forecasts are the same. DCMTK's archive keeps no Series Description to be asked for.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import dcmread

from mome_node.cli.main import main
from mome_node.demonstration.pacs.orthanc import Orthanc
from mome_node.demonstration.pacs.pacs import LOOPBACK, DicomAddress
from mome_node.demonstration.pacs.transfer import send_files
from mome_node.phantom.dicom_writer import write_study
from mome_node.phantom.exam import Protocol, Vendor
from mome_node.phantom.render import render_exam

SMALL = Protocol((48, 48, 12), (32, 32, 8), (32, 32, 8))
EVALUATED, BIOPSY = "would be evaluated", "biopsy guidance"

pytestmark = [pytest.mark.peer("Orthanc"), pytest.mark.peer("DCMTK")]


@dataclass(frozen=True)
class Exams:
    """Files of studies made today, and the forecast of each by Study Instance UID."""

    paths: tuple[Path, ...]
    forecasts: dict[str, str]


@pytest.fixture(scope="module")
def exams(tmp_path_factory: pytest.TempPathFactory) -> Exams:
    folder, phantom = tmp_path_factory.mktemp("exams"), render_exam(5, protocol=SMALL)
    paths: list[Path] = []
    forecasts: dict[str, str] = {}

    def add(number: int, vendor: Vendor, forecast: str, change: Callable[..., bool] | None) -> None:
        uid = f"2.25.{1000 + number}"
        today = datetime.now(UTC).astimezone().date()  # the command's days are those of its place
        written = write_study(
            phantom, folder / str(number), vendor=vendor, study_uid=uid, study_date=today
        )
        for path in written:
            dataset = dcmread(path)
            dataset.PatientID, dataset.PatientName = f"ID-{number}", f"Secret^Name{number}"
            # Each study has instances of its own: they were all made from one exam.
            dataset.SOPInstanceUID += f".{number}"
            dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
            dataset.SeriesInstanceUID += f".{number}"
            if change is None or change(dataset):
                dataset.save_as(path)
                paths.append(path)
        forecasts[uid] = forecast

    def knee(dataset) -> bool:
        dataset.StudyDescription, dataset.BodyPartExamined = "MR Knie links", "BREAST"
        dataset.SeriesDescription = f"knee {dataset.SeriesNumber}"
        return True

    def biopsy(dataset) -> bool:
        dataset.StudyDescription = "MRI BREAST BIOPSY LEFT"
        return True

    def without_dynamic(dataset) -> bool:
        dataset.StudyDescription = "乳房 MRI"
        dataset.SpecificCharacterSet = "ISO_IR 192"
        return "t2" in dataset.SeriesDescription.lower()

    for number, vendor in enumerate(Vendor):
        add(number, vendor, EVALUATED, None)
    add(10, Vendor.SIEMENS, "not breast", knee)
    add(11, Vendor.SIEMENS, BIOPSY, biopsy)
    add(12, Vendor.SIEMENS, "a required series is missing", without_dynamic)
    return Exams(tuple(paths), forecasts)


@pytest.fixture
def survey(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., dict]:
    def run(pacs: str, *options: str, days: int = 2) -> dict:
        config = tmp_path / "node.toml"
        config.write_text(f'[[pacs]]\nname = "pacs"\nrequests_per_s = 200\n{pacs}')
        capsys.readouterr()
        arguments = ["survey", "--config", config, "--peer", "pacs", "--days", days, "--json"]
        assert main([str(a) for a in (*arguments, *options)]) == 0
        return json.loads(capsys.readouterr().out)

    return run


def dimse(peer: DicomAddress) -> str:
    return f'ae = "{peer.ae_title}"\nhost = "{peer.host}"\nport = {peer.port}\n'


def dicomweb(orthanc: Orthanc) -> str:
    return f'kind = "dicomweb"\nurl = "{orthanc.dicomweb_url}"\n'


def forecasts(found: dict) -> dict[str, str]:
    return {s["StudyInstanceUID"]: s["forecast"] for s in found["studies"]}


def roles(found: dict) -> dict[str, tuple[str, str]]:
    return {
        r["SeriesInstanceUID"]: (r["role"], r["SeriesDescription"])
        for s in found["studies"]
        for r in s["series"]
    }


def listed(exams: Exams) -> dict[str, str]:
    return {uid: f for uid, f in exams.forecasts.items() if f != "not breast"}


def hold(orthanc: Orthanc, exams: Exams) -> None:
    """Orthanc answers the questions of those that it knows."""
    send_files(orthanc.address, "PHANTOM", exams.paths)
    orthanc.set_node(DicomAddress("MOME", LOOPBACK, 11112))


def test_both_ways_of_asking_orthanc_give_the_same_forecasts(orthanc, exams, survey):
    hold(orthanc, exams)
    by_find, by_qido = survey(dimse(orthanc.address)), survey(dicomweb(orthanc))
    for found in (by_find, by_qido):
        assert forecasts(found) == listed(exams)
        assert found["mr_studies"] == len(exams.forecasts)
        assert found["forecasts"]["not breast"] == 1
        assert found["complete"]
    assert roles(by_find) == roles(by_qido)
    for found in (by_find, by_qido):
        assert None not in {r["instances"] for s in found["studies"] for r in s["series"]}


def test_dcmqrscp_that_tells_no_series_descriptions_gives_what_its_studies_say(
    start_dcmqrscp, exams, survey
):
    server = start_dcmqrscp()
    send_files(server.address, "PHANTOM", exams.paths)
    found = survey(dimse(server.address))
    assert found["mr_studies"] == len(exams.forecasts)
    told = {uid: f for uid, f in forecasts(found).items() if f != "unknown"}
    assert told == {uid: f for uid, f in exams.forecasts.items() if f == BIOPSY}
    reasons = {s["reason"] for s in found["studies"] if s["forecast"] == "unknown"}
    assert reasons == {"the archive tells no Series Descriptions"}


def test_an_image_of_each_series_confirms_what_the_lists_say_and_is_gone(
    orthanc, exams, survey, tmp_path, monkeypatch
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    hold(orthanc, exams)
    found = survey(dicomweb(orthanc), "--sample", "5")
    assert forecasts(found) == listed(exams)
    sampled = [s for s in found["studies"] if s["sampled"]]
    assert {s["forecast"] for s in sampled} >= {EVALUATED}
    assert len(sampled) == 4  # all but the biopsy and the knee
    assert {r["confidence"] for s in sampled for r in s["series"]} == {"image"}
    assert list(tmp_path.glob("mome-survey-*")) == []


def test_nobody_is_named_unless_it_is_asked_for(orthanc, exams, survey):
    hold(orthanc, exams)
    for pacs in (dimse(orthanc.address), dicomweb(orthanc)):
        assert "Secret" not in (told := json.dumps(survey(pacs)))
        assert "ID-1" not in told
        assert "Secret^Name11" in json.dumps(survey(pacs, "--identify"))


def test_orthanc_that_does_not_know_us_is_told_with_what_to_do(
    orthanc, exams, survey, monkeypatch, capsys
):
    monkeypatch.setattr("mome_node.survey.run.PAUSES_S", ())
    orthanc.set_node(DicomAddress("OTHER", LOOPBACK, 11112))
    with pytest.raises(AssertionError):
        survey(dimse(orthanc.address))
    assert "does it let our AE title ask?" in capsys.readouterr().err
