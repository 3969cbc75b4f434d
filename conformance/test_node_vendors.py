"""What every maker's exam looks like when a real PACS forwards it, and when two senders race."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from conformance import dcmtk, peers
from conformance.node import ServedNode, introduce
from mome_node.catalog.states import StudyState
from mome_node.demonstration.pacs.orthanc import Orthanc
from mome_node.phantom.dicom_writer import write_study
from mome_node.phantom.exam import PhantomExam, Protocol, Vendor
from mome_node.phantom.render import render_exam

SMALL = Protocol((64, 64, 16), (32, 32, 10), (64, 64, 12))
SR = "1.2.840.10008.5.1.4.1.1.88.34"

pytestmark = [pytest.mark.peer("Orthanc"), pytest.mark.peer("dciodvfy")]


@pytest.fixture(scope="module")
def node(
    _orthanc_process: Orthanc, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServedNode]:
    """One node for all of them."""
    folder = tmp_path_factory.mktemp("vendors") / "node"
    served = ServedNode(folder, _orthanc_process.address, quiet_s=3.0)
    served.start()
    yield served
    served.stop()


@pytest.fixture(scope="module")
def exam() -> PhantomExam:
    # Without a lesion there is little to explain, which is what takes long.
    return render_exam(3, protocol=SMALL, with_lesions=False)


def check_one_valid_report(orthanc, study_uid, folder) -> None:
    paths = orthanc.results_of(study_uid, folder)
    assert [dcmread(path).SOPClassUID for path in paths].count(SR) == 1
    for path in paths:
        told = dcmtk.run_tool(peers.DCIODVFY, str(path))
        assert "Error" not in told.stdout + told.stderr, told.stderr


@pytest.mark.parametrize(
    "vendor",
    [
        Vendor.GE,
        *(pytest.param(v, marks=pytest.mark.long) for v in (Vendor.SIEMENS, Vendor.PHILIPS)),
    ],
)
def test_study_that_orthanc_forwards_comes_back(node, orthanc, exam, tmp_path, vendor):
    study_uid = generate_uid(prefix=None)
    paths = write_study(exam, tmp_path / "exam", vendor=vendor, study_uid=study_uid)
    orthanc.store_study(paths)
    assert orthanc.forward(study_uid, node.address) == len(paths)
    node.wait_for(study_uid, StudyState.DELIVERED)
    check_one_valid_report(orthanc, study_uid, tmp_path / "back")


@pytest.mark.peer("DCMTK storescu")
def test_study_that_two_senders_bring_at_once_has_one_result(node, orthanc, exam, tmp_path):
    study_uid = generate_uid(prefix=None)
    paths = write_study(exam, tmp_path / "exam", vendor=Vendor.GE, study_uid=study_uid)
    introduce(node, orthanc, paths)
    with ThreadPoolExecutor(2) as pool:
        sent = list(pool.map(lambda order: dcmtk.storescu(node.address, order), [paths] * 2))
    assert [s.returncode for s in sent] == [0, 0]
    node.wait_for(study_uid, StudyState.DELIVERED)
    with node.catalog() as catalog:
        study = catalog.study(study_uid)
        kept = catalog.instances_of(study_uid, current_only=False)
    assert (study.revision, study.input_count, len(kept)) == (1, len(paths), len(paths))
    check_one_valid_report(orthanc, study_uid, tmp_path / "back")
