"""Which PACS the demonstration runs against."""

from __future__ import annotations

from pathlib import Path

from mome_node.demonstration.pacs.archive import Archive
from mome_node.demonstration.pacs.orthanc import Orthanc, find_orthanc
from mome_node.demonstration.pacs.pacs import Pacs


def start_pacs(directory: Path) -> Pacs:
    """Start a real Orthanc if one is installed, else the archive.

    Its files lie in ``directory``. Raises PacsError when it does not start.
    """
    if find_orthanc() is not None:
        orthanc = Orthanc(directory)
        orthanc.start()
        return orthanc
    archive = Archive(directory)
    archive.start()
    return archive
