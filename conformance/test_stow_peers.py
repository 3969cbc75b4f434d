"""STOW-RS senders that nobody here wrote store to the node: dicomweb-client and Orthanc."""

from __future__ import annotations

import gzip
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from dicomweb_client.api import DICOMwebClient
from dicomweb_client.session_utils import create_session
from pydicom import dcmread

from conformance.node import ServedNode
from conformance.objects import SmallExam
from mome_node.demonstration.pacs.orthanc import Orthanc
from mome_node.demonstration.pacs.pacs import LOOPBACK, DicomAddress, free_port

TOKEN = secrets.token_hex(32)
ORTHANC_S = 120


@pytest.fixture(scope="module")
def web_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, web_port: int) -> Iterator[ServedNode]:
    """One node that takes instances by HTTP. It has no PACS, and needs none."""
    folder = tmp_path_factory.mktemp("stow")
    token_file = folder / "sender.token"
    token_file.write_text(TOKEN)
    token_file.chmod(0o600)
    served = ServedNode(
        folder / "node",
        DicomAddress("NOBODY", LOOPBACK, free_port()),
        quiet_s=600.0,
        more_settings=f"[web]\nenabled = true\nport = {web_port}\n"
        f'tokens = [{{ name = "sender", file = "{token_file}" }}]\n',
    )
    served.start()
    yield served
    served.stop()


@pytest.fixture
def url(node: ServedNode, web_port: int) -> str:
    return f"http://{LOOPBACK}:{web_port}/dicom-web"


def client(url: str, token: str = TOKEN) -> DICOMwebClient:
    session = create_session()
    session.headers["Authorization"] = f"Bearer {token}"
    return DICOMwebClient(url, session=session, chunk_size=100_000)


def files_of(exam: SmallExam) -> list[Path]:
    return [*exam.images, exam.seg, exam.sr]


def test_dicomweb_client_stores_an_exam_and_reads_what_became_of_it(node, url, exam):
    files = files_of(exam)
    datasets = [dcmread(path) for path in files]
    study = str(datasets[0].StudyInstanceUID)
    for _ in range(2):  # the second time all of them are duplicates, and success
        answer = client(url).store_instances(datasets, study)
        stored = {item.ReferencedSOPInstanceUID for item in answer.ReferencedSOPSequence}
        assert stored == {d.SOPInstanceUID for d in datasets}
        assert "FailedSOPSequence" not in answer
    assert all(node.holds(path) for path in files)


def test_dicomweb_client_is_told_which_instance_is_of_another_study(node, url, exam):
    dataset = dcmread(files_of(exam)[0])
    with pytest.raises(requests.HTTPError, match="409"):
        client(url).store_instances([dataset], "1.2.3")


def test_dicomweb_client_without_a_valid_token_stores_nothing(node, url, exam):
    dataset = dcmread(files_of(exam)[0])
    with pytest.raises(requests.HTTPError, match="401"):
        client(url, "a token that nobody gave out").store_instances([dataset])


@pytest.mark.peer("Orthanc")
def test_orthanc_sends_a_study_by_stow(node, url, exam, orthanc: Orthanc):
    files = files_of(exam)
    orthanc.store_study(files)
    server = {"Url": url, "HttpHeaders": {"Authorization": f"Bearer {TOKEN}"}}
    entry = f"{orthanc.dicomweb_url}/servers/node"
    requests.put(entry, json=server, timeout=ORTHANC_S).raise_for_status()
    study = str(dcmread(files[0]).StudyInstanceUID)
    (found,) = requests.post(f"{orthanc.url}/tools/lookup", study, timeout=ORTHANC_S).json()
    order = {"Resources": [found["ID"]], "Synchronous": True}
    sent = requests.post(f"{entry}/stow", json=order, timeout=ORTHANC_S)
    assert sent.ok, (sent.text, node.log_tail(), orthanc.log_tail())
    assert all(node.holds(path) for path in files)


def test_body_that_is_compressed_as_a_whole_is_stored(node, url, exam):
    path = files_of(exam)[0]
    answer = requests.post(
        f"{url}/studies",
        data=gzip.compress(path.read_bytes()),
        headers={
            "Authorization": f"Bearer {TOKEN}",
            "Content-Type": "application/dicom",
            "Content-Encoding": "gzip",
        },
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    assert node.holds(path)
