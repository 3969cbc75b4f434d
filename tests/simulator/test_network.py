"""The same over the network: the real receiver, senders on loopback."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association

from mome_node.catalog.states import StudyState
from mome_node.ingest.peers import Admission
from mome_node.ingest.receipt import Reception
from mome_node.ingest.scp import ScpSettings, StorageScp

OTHER = "1.2.3"


@pytest.fixture
def scp(bench) -> Iterator[StorageScp]:
    settings = ScpSettings(host="127.0.0.1", port=0, max_associations=8)
    reception = Reception(bench.store, bench.catalog, bench.clock.wall)
    with StorageScp(settings, reception, Admission()) as running:
        yield running


@pytest.fixture
def connect(scp) -> Iterator[Callable[[], Association]]:
    opened: list[Association] = []

    def associate() -> Association:
        sender = AE("SCANNER")
        sender.add_requested_context("1.2.840.10008.5.1.4.1.1.4", ExplicitVRLittleEndian)
        opened.append(sender.associate("127.0.0.1", scp.port, ae_title="MOME"))
        assert opened[-1].is_established
        return opened[-1]

    yield associate
    for association in opened:
        if association.is_established:
            association.abort()


def send(association: Association, images: Sequence[Dataset]) -> None:
    for image in images:
        assert association.send_c_store(image).Status == 0x0000


def in_parallel(*works: Callable[[], None]) -> None:
    """All at once; what one of them raises is raised here."""
    faults: list[Exception] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001  # told to the test below
            faults.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []


def eventually(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def test_two_studies_over_parallel_lines_that_never_close_are_two_results(
    replay, seen, connect, exam
):
    def other(dataset):
        dataset.PatientID, dataset.PatientName = "OTHER", "Other^Patient"

    second = exam.as_study(OTHER).changed(other)
    lines = [connect() for _ in range(4)]
    in_parallel(
        lambda: send(lines[0], exam.datasets[::2]),
        lambda: send(lines[1], exam.datasets[1::2]),
        lambda: send(lines[2], second.datasets[::2]),
        lambda: send(lines[3], second.datasets[1::2]),
    )
    replay.turn()
    replay.settle()
    assert all(line.is_established for line in lines)
    assert {s.state for s in replay.bench.catalog.studies()} == {StudyState.DELIVERED}
    assert [len(patients) for patients in seen.patients] == [1, 1]
    assert {p.study_uid for p in seen.plans} == {exam.study_uid, OTHER}


def test_line_that_is_cut_and_everything_again_is_one_result(replay, seen, connect, exam):
    cut = connect()
    send(cut, exam.datasets[:20])
    cut.abort()
    eventually(lambda: not cut.is_established)
    again = connect()
    send(again, exam.datasets)
    replay.turn()
    replay.settle()
    assert list(replay.bench.catalog.instance_counts().values()) == [len(exam.datasets)]
    assert replay.bench.state is StudyState.DELIVERED
    assert len(seen.plans) == len(replay.bench.reports()) == 1
