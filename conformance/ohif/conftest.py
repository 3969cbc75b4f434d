"""OHIF in Chromium over the conformance run's Orthanc."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance import peers
from conformance.ohif.server import OhifServer
from conformance.ohif.viewer import Viewer, open_viewer
from mome_node.demonstration.pacs.orthanc import Orthanc


@pytest.fixture
def viewer(orthanc: Orthanc, tmp_path: Path) -> Iterator[Viewer]:
    """A real viewer that shows what ``orthanc`` holds."""
    peers.OHIF.find()
    with (
        OhifServer(peers.OHIF_FOLDER, orthanc.dicomweb_url) as server,
        open_viewer(server.url, tmp_path) as viewer,
    ):
        yield viewer
