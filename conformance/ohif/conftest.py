"""OHIF in Chromium over the conformance run's Orthanc."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conformance import peers
from conformance.lesion_results import LesionStudyMaker
from conformance.ohif.server import OhifServer
from conformance.ohif.viewer import Viewer, open_viewer
from mome_node.demonstration.pacs.orthanc import Orthanc


@pytest.fixture(scope="module")
def viewer(_orthanc_process: Orthanc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewer]:
    """A real viewer that shows what the PACS holds: one browser for all tests of a module."""
    peers.OHIF.find()
    with (
        OhifServer(peers.OHIF_FOLDER, _orthanc_process.dicomweb_url) as server,
        open_viewer(server.url, tmp_path_factory.mktemp("viewer")) as viewer,
    ):
        yield viewer


@pytest.fixture(scope="session")
def make_lesion_study(tmp_path_factory: pytest.TempPathFactory) -> LesionStudyMaker:
    """Phantoms with findings that point at their lesions; what is made stays as it is."""
    return LesionStudyMaker(tmp_path_factory.mktemp("lesion-studies"))
