"""The whole path on good and bad days: a real node, a real Orthanc, real senders."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import dcmread

from conformance import dcmtk, peers
from conformance.node import END_S, ServedNode, introduce
from conformance.waiting import wait_until
from mome_node.catalog.records import DeliveryState
from mome_node.catalog.states import StudyState
from mome_node.delivery.destination import Destination, Outgoing
from mome_node.delivery.dimse import DimseSender
from mome_node.demonstration.pacs.orthanc import Orthanc
from mome_node.errors import DeliveryError
from mome_node.phantom.dicom_writer import write_study
from mome_node.phantom.exam import Protocol, Vendor
from mome_node.phantom.render import render_exam

SMALL = Protocol((96, 96, 24), (48, 48, 12), (96, 96, 18))
SR = "1.2.840.10008.5.1.4.1.1.88.34"
SEED = 3


@pytest.fixture(scope="session")
def exam(tmp_path_factory) -> tuple[Path, ...]:
    """A small phantom exam on disk, Siemens' habits."""
    rendered = render_exam(SEED, protocol=SMALL)
    return write_study(rendered, tmp_path_factory.mktemp("exam"), vendor=Vendor.SIEMENS)


@pytest.fixture
def node(tmp_path, orthanc, exam) -> Iterator[ServedNode]:
    served = ServedNode(tmp_path / "node", orthanc.address)
    introduce(served, orthanc, exam)
    served.start()
    yield served
    served.stop()


def study_of(paths) -> str:
    return str(dcmread(paths[0], stop_before_pixels=True).StudyInstanceUID)


def destination(node: ServedNode) -> Destination:
    return Destination("node", "MOME", node.address.host, node.port, "SENDER")


def send(node: ServedNode, paths) -> list[Path]:
    """Send until the link breaks; the files that the node has acknowledged."""
    objects = {str(dcmread(p, stop_before_pixels=True).SOPInstanceUID): p for p in paths}
    outgoing = [Outgoing(uid, lambda p=p: p.open("rb")) for uid, p in objects.items()]
    acknowledged: list[Path] = []
    with suppress(DeliveryError):
        acknowledged.extend(
            objects[receipt.sop_instance_uid]
            for receipt in DimseSender(destination(node)).send(outgoing)
            if receipt.stored
        )
    return acknowledged


def results(orthanc: Orthanc, study_uid: str, exam, folder: Path):
    """What Orthanc holds of the study beyond the exam, read by QIDO and WADO."""
    known = {str(dcmread(p, stop_before_pixels=True).SOPInstanceUID) for p in exam}
    found = [dcmread(p) for p in orthanc.results_of(study_uid, folder)]
    return [ds for ds in found if ds.SOPInstanceUID not in known]


def assert_one_result(orthanc, study_uid, exam, folder):
    found = results(orthanc, study_uid, exam, folder)
    reports = [ds for ds in found if ds.SOPClassUID == SR]
    assert len(reports) == 1
    assert len({ds.SOPInstanceUID for ds in found}) == len(found)
    assert len(found) <= 2


def test_a_study_sent_by_storescu_comes_back_as_a_valid_report(orthanc, exam, tmp_path):
    node = ServedNode(tmp_path / "node", orthanc.address, explain="auto")
    introduce(node, orthanc, exam)
    node.start()
    try:
        sent = dcmtk.storescu(node.address, exam)
        assert sent.returncode == 0, sent.stderr
        node.wait_for(study_of(exam), StudyState.DELIVERED)
    finally:
        node.stop()
    found = results(orthanc, study_of(exam), exam, tmp_path / "back")
    assert {ds.Modality for ds in found} == {"SR", "SEG"}
    for path in (tmp_path / "back").iterdir():
        told = dcmtk.run_tool(peers.DCIODVFY, str(path))
        assert "Error" not in told.stderr + told.stdout, told.stderr


def test_a_pacs_that_forwards_everything_back_gets_exactly_one_revision(
    own_orthanc, exam, tmp_path
):
    orthanc = own_orthanc(auto_forward=True)
    node = ServedNode(tmp_path / "node", orthanc.address, quiet_s=3.0)
    node.start()
    try:
        orthanc.set_node(node.address)
        orthanc.store_study(exam)
        node.wait_for(study_of(exam), StudyState.DELIVERED)
        with node.catalog() as catalog:
            made = {r.result.sop_instance_uid for r in catalog.results_of(study_of(exam))}

            def came_back() -> bool:
                held = {i.sop_instance_uid for i in catalog.instances_of(study_of(exam))}
                return made <= held

            wait_until(came_back, "our own results come back to us", END_S)
            # One more quiet time and a turn: what could reopen the study would have by now.
            last = catalog.study(study_of(exam)).last_received_at
            wait_until(
                lambda: (datetime.now(UTC) - last).total_seconds() > node.quiet_s + 2,
                "the quiet time passes again",
            )
            study = catalog.study(study_of(exam))
            events = catalog.events_of(study_of(exam))
        assert study.state is StudyState.DELIVERED
        assert {e.revision for e in events} == {study.revision}
        assert_one_result(orthanc, study_of(exam), exam, tmp_path / "back")
    finally:
        node.stop()


@pytest.mark.long
def test_the_same_study_sent_twice_has_one_result(node, orthanc, exam, tmp_path):
    assert len(send(node, exam)) == len(exam)
    node.wait_for(study_of(exam), StudyState.DELIVERED)
    with node.catalog() as catalog:
        before = catalog.events_of(study_of(exam))
        assert len(send(node, exam)) == len(exam)
        assert catalog.events_of(study_of(exam)) == before
        assert len(catalog.instances_of(study_of(exam), current_only=False)) == len(exam)
    assert_one_result(orthanc, study_of(exam), exam, tmp_path / "back")


def test_a_pacs_that_was_down_gets_the_result_once_when_it_is_back(own_orthanc, exam, tmp_path):
    orthanc = own_orthanc()
    node = ServedNode(tmp_path / "node", orthanc.address)
    introduce(node, orthanc, exam)
    node.start()
    try:
        orthanc.stop()
        send(node, exam)
        node.wait_for(study_of(exam), StudyState.DELIVERING)
        with node.catalog() as catalog:
            wait_until(
                lambda: any(queue.failures for queue in catalog.deliveries.queues()),
                "a delivery fails",
                END_S,
            )
            deliveries = catalog.deliveries.of_study(study_of(exam))
            assert {d.state for d in deliveries} == {DeliveryState.PENDING}
        orthanc.start()
        node.wait_for(study_of(exam), StudyState.DELIVERED)
        assert_one_result(orthanc, study_of(exam), exam, tmp_path / "back")
    finally:
        node.stop()


def test_kill_while_receiving_loses_nothing_that_was_acknowledged(node, orthanc, exam, tmp_path):
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send, node, exam)
        with node.catalog() as catalog:
            wait_until(
                lambda: any(n > len(exam) // 3 for n in catalog.instance_counts().values()),
                "a third of the study is there",
                END_S,
            )
        node.kill()
        acknowledged = sending.result()
    assert len(exam) // 3 <= len(acknowledged) < len(exam)
    node.start()
    assert all(node.holds(path) for path in acknowledged)
    assert len(send(node, exam)) == len(exam)
    node.wait_for(study_of(exam), StudyState.DELIVERED)
    assert all(node.holds(path) for path in exam)
    assert_one_result(orthanc, study_of(exam), exam, tmp_path / "back")


@pytest.mark.parametrize("moment", [StudyState.INFERRING, StudyState.DELIVERING])
def test_kill_while_working_leads_to_exactly_one_result(moment, node, orthanc, exam, tmp_path):
    if moment is StudyState.DELIVERING:
        orthanc.stop()  # so that the moment lasts
    assert len(send(node, exam)) == len(exam)
    node.wait_for(study_of(exam), moment)
    node.kill()
    if moment is StudyState.DELIVERING:
        orthanc.start()
    node.start()
    node.wait_for(study_of(exam), StudyState.DELIVERED)
    assert all(node.holds(path) for path in exam)
    assert_one_result(orthanc, study_of(exam), exam, tmp_path / "back")


@pytest.mark.parametrize(
    "vendor",
    [
        Vendor.PHILIPS,
        *(pytest.param(v, marks=pytest.mark.long) for v in (Vendor.SIEMENS, Vendor.GE)),
    ],
)
def test_enhanced_studies_of_every_vendor_go_through(vendor, node, orthanc, tmp_path):
    rendered = render_exam(SEED, protocol=SMALL)
    paths = write_study(rendered, tmp_path / "enhanced", vendor=vendor, enhanced=True)
    introduce(node, orthanc, paths)
    assert len(send(node, paths)) == len(paths)
    node.wait_for(study_of(paths), StudyState.DELIVERED)
    assert_one_result(orthanc, study_of(paths), paths, tmp_path / "back")


def test_a_real_patients_study_ends_without_a_result_of_the_demonstration(
    node, orthanc, exam, tmp_path
):
    for number, path in enumerate(exam):
        ds = dcmread(path)
        del ds.SyntheticData
        ds.save_as(tmp_path / f"{number}.dcm")
    paths = sorted(tmp_path.glob("*.dcm"))
    assert len(send(node, paths)) == len(paths)
    node.wait_for(study_of(paths), StudyState.NOT_EVALUABLE)
    with node.catalog() as catalog:
        assert "no clinical model installed" in catalog.study(study_of(paths)).reason
        assert catalog.results_of(study_of(paths)) == ()
    assert orthanc.instance_count(study_of(paths)) == len(paths)
