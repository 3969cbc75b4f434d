"""Peers, started on free loopback ports, and small objects to exchange with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conformance import dcmtk, objects, peers
from conformance.study_results import StudyMaker
from mome_node.demonstration.pacs.orthanc import Orthanc

StartDcmtk = Callable[..., dcmtk.DcmtkServer]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show Orthanc's log with a failure of a test that uses it."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]  # pluggy's result
    orthanc = getattr(item, "funcargs", {}).get("orthanc")
    if report.failed and isinstance(orthanc, Orthanc):
        report.sections.append(("Orthanc's log", orthanc.log_tail()))


@pytest.fixture(scope="session")
def _orthanc_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    peers.ORTHANC.find()
    peers.ORTHANC_DICOMWEB.find()
    with Orthanc(tmp_path_factory.mktemp("orthanc")) as orthanc:
        yield orthanc


@pytest.fixture
def orthanc(_orthanc_process: Orthanc) -> Iterator[Orthanc]:
    """A real Orthanc, empty; one process for the whole run."""
    _orthanc_process.empty()
    yield _orthanc_process
    _orthanc_process.empty()


@pytest.fixture
def own_orthanc(tmp_path: Path) -> Iterator[Callable[..., Orthanc]]:
    """Start an Orthanc of the test's own, e.g. with ``auto_forward=True`` or to be stopped."""
    started: list[Orthanc] = []

    def start(**options: bool) -> Orthanc:
        peers.ORTHANC.find()
        peers.ORTHANC_DICOMWEB.find()
        orthanc = Orthanc(tmp_path / f"orthanc-{len(started)}", **options)
        started.append(orthanc)
        orthanc.start()
        return orthanc

    yield start
    for orthanc in started:
        orthanc.stop()


@pytest.fixture
def start_storescp(tmp_path: Path) -> Iterator[StartDcmtk]:
    """Start DCMTK's storage SCP with more options, several if wanted."""
    yield from _starter(dcmtk.start_storescp, tmp_path / "storescp")


@pytest.fixture
def start_dcmqrscp(tmp_path: Path) -> Iterator[StartDcmtk]:
    """Start DCMTK's archive."""
    yield from _starter(dcmtk.start_dcmqrscp, tmp_path / "dcmqrscp")


def _starter(start_server: StartDcmtk, folder: Path) -> Iterator[StartDcmtk]:
    servers: list[dcmtk.DcmtkServer] = []

    def start(*options: str) -> dcmtk.DcmtkServer:
        server = start_server(folder / str(len(servers)), *options)
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def make_study(tmp_path_factory: pytest.TempPathFactory) -> StudyMaker:
    """Phantoms evaluated by the node's own pipeline; what is made stays as it is."""
    return StudyMaker(tmp_path_factory.mktemp("studies"))


@pytest.fixture
def exam(tmp_path: Path) -> objects.SmallExam:
    """Four MR slices with a SEG and an SR made from them, in one study."""
    return objects.small_exam(tmp_path / "exam")
