"""The embedded archive takes, forwards and gives back what a PACS would."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from mome_node.delivery.association import DEFAULT_TIMEOUTS, association
from mome_node.delivery.destination import Destination
from mome_node.demonstration.pacs.archive import Archive
from mome_node.demonstration.pacs.transfer import send_files
from mome_node.errors import PacsError
from mome_node.query.cfind import CFindQuery
from mome_node.query.rate import RateLimiter


def secondary_capture(folder: Path, study_uid: str) -> Path:
    dataset = Dataset()
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = generate_uid()
    dataset.StudyInstanceUID = study_uid
    dataset.SeriesInstanceUID = generate_uid()
    dataset.PatientName = "Phantom^Archive"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path = folder / f"{dataset.SOPInstanceUID}.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return path


@pytest.fixture
def archive(tmp_path):
    with Archive(tmp_path / "archive") as archive:
        yield archive


def test_results_are_what_came_beyond_the_exam_and_read_back_equal(archive, tmp_path):
    study = generate_uid()
    exam = [secondary_capture(tmp_path, study) for _ in range(3)]
    result = secondary_capture(tmp_path, study)
    assert archive.store_study(exam) == 3
    send_files(archive.address, "MOME", [result])
    assert archive.instance_count(study) == 4
    (back,) = archive.results_of(study, tmp_path / "back")
    assert dcmread(back) == dcmread(result)


def test_study_is_forwarded_whole(archive, tmp_path):
    study = generate_uid()
    archive.store_study([secondary_capture(tmp_path, study) for _ in range(3)])
    with Archive(tmp_path / "node") as node:
        assert archive.forward(study, node.address) == 3
        assert node.instance_count(study) == 3


def test_study_without_results_gives_none_back(archive, tmp_path):
    study = generate_uid()
    archive.store_study([secondary_capture(tmp_path, study)])
    assert archive.results_of(study, tmp_path / "back") == ()


def test_unknown_study_cannot_be_forwarded(archive):
    with pytest.raises(PacsError, match="no study"):
        archive.forward("1.2.3", archive.address)


def test_same_instance_twice_counts_once(archive, tmp_path):
    study = generate_uid()
    path = secondary_capture(tmp_path, study)
    archive.store_study([path])
    archive.store_study([path])
    assert archive.instance_count(study) == 1


def test_file_that_is_not_dicom_is_not_sent(archive, tmp_path):
    rubbish = tmp_path / "rubbish.dcm"
    rubbish.write_bytes(b"not DICOM")
    with pytest.raises(PacsError, match=r"rubbish\.dcm"):
        archive.store_study([rubbish])


def test_archive_tells_whose_a_study_is_and_what_a_series_has(archive, tmp_path):
    study = generate_uid()
    path, other = (secondary_capture(tmp_path, study) for _ in range(2))
    archive.store_study([path, other])
    sent = dcmread(path)
    peer = archive.address
    destination = Destination("archive", peer.ae_title, peer.host, peer.port, "MOME")
    query = CFindQuery(
        lambda contexts: association(destination, contexts, DEFAULT_TIMEOUTS), RateLimiter(100)
    )
    found = query.study(study)
    assert found is not None
    assert (found.study_uid, found.patient_name) == (study, str(sent.PatientName))
    assert query.instances_of_series(study, sent.SeriesInstanceUID) == {sent.SOPInstanceUID}
    assert query.study(generate_uid()) is None
