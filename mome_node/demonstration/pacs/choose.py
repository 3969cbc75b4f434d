"""Which PACS the demonstration runs against."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from mome_node.demonstration.pacs.archive import Archive
from mome_node.demonstration.pacs.pacs import Pacs


def start_pacs(directory: Path) -> Pacs:
    """Start a real Orthanc if it and the extra ``demo`` are installed, else the archive.

    Its files lie in ``directory``. Raises PacsError when it does not start.
    """
    if importlib.util.find_spec("dicomweb_client") is not None:
        from mome_node.demonstration.pacs.orthanc import Orthanc, find_orthanc

        if find_orthanc() is not None:
            orthanc = Orthanc(directory)
            orthanc.start()
            return orthanc
    archive = Archive(directory)
    archive.start()
    return archive
