"""Storage commitment asked for by a real Orthanc: it sends a study, asks, and reads our report."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from conformance.node import ServedNode
from conformance.objects import SmallExam
from conformance.waiting import wait_until
from mome_node.demonstration.pacs.orthanc import Orthanc
from mome_node.demonstration.pacs.pacs import LOOPBACK

REPORT_S = 60.0
NO_SUCH_INSTANCE = 0x0112
CLASS_INSTANCE_CONFLICT = 0x0119

pytestmark = pytest.mark.peer("Orthanc")


@pytest.fixture
def node(tmp_path: Path, orthanc: Orthanc) -> Iterator[ServedNode]:
    """A node that knows where Orthanc takes reports."""
    served = ServedNode(
        tmp_path / "node",
        orthanc.address,
        more_settings=(
            f'[[dicom.allowed_peers]]\nae = "{orthanc.address.ae_title}"\nhost = "{LOOPBACK}"\n'
            f"port = {orthanc.address.port}\n[commitment]\nwait_s = 2\n"
        ),
    )
    served.start()
    yield served
    served.stop()


def asked(orthanc: Orthanc, method: str, path: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(f"{orthanc.url}{path}", data, method=method), timeout=30) as answer:
        return json.load(answer)


def identity(path: Path) -> tuple[str, str]:
    header = dcmread(path, stop_before_pixels=True)
    return str(header.SOPClassUID), str(header.SOPInstanceUID)


def report_on(orthanc: Orthanc, node: ServedNode, named: list[tuple[str, str]]) -> Any:
    """Let Orthanc ask for these, and return what it was told in the end."""
    path = asked(
        orthanc,
        "POST",
        "/modalities/MOME/storage-commitment",
        {"DicomInstances": [{"SOPClassUID": c, "SOPInstanceUID": i} for c, i in named]},
    )["Path"]
    try:
        wait_until(
            lambda: asked(orthanc, "GET", path)["Status"] != "Pending",
            "Orthanc gets our report",
            REPORT_S,
        )
    except AssertionError as error:
        raise AssertionError(f"{error}; the node's log ends:\n{node.log_tail()}") from None
    return asked(orthanc, "GET", path)


def said(instances: list[dict[str, Any]]) -> set[tuple[str, str]]:
    return {(i["SOPClassUID"], i["SOPInstanceUID"]) for i in instances}


def test_orthanc_is_told_what_is_here_and_what_is_not(
    orthanc: Orthanc, node: ServedNode, exam: SmallExam
) -> None:
    orthanc.store_study(exam.images)
    assert orthanc.forward(exam.study_uid, node.address) == len(exam.images)
    sent = [identity(path) for path in exam.images]

    report = report_on(orthanc, node, sent)
    assert report["Status"] == "Success"
    assert said(report["Success"]) == set(sent)
    assert report["Failures"] == []

    never_sent = (sent[0][0], generate_uid())
    other_class = ("1.2.840.10008.5.1.4.1.1.2", sent[0][1])
    report = report_on(orthanc, node, [*sent, never_sent, other_class])
    assert report["Status"] == "Failure"
    assert said(report["Success"]) == set(sent)
    reasons = {
        (i["SOPClassUID"], i["SOPInstanceUID"]): i["FailureReason"] for i in report["Failures"]
    }
    assert reasons == {never_sent: NO_SUCH_INSTANCE, other_class: CLASS_INSTANCE_CONFLICT}

    lost = sent[1]
    with node.catalog() as catalog:
        (copy,) = catalog.commitments.copies_of([lost[1]])[lost[1]]
    (node.folder / "data" / "instances" / copy.key[:2] / f"{copy.key}.dcm").unlink()
    report = report_on(orthanc, node, sent)
    assert report["Status"] == "Failure"
    assert said(report["Success"]) == set(sent) - {lost}
    assert [(i["SOPInstanceUID"], i["FailureReason"]) for i in report["Failures"]] == [
        (lost[1], NO_SUCH_INSTANCE)
    ]
