"""A real `mome-node serve`, in a process of its own, that can be killed and started again."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from pydicom import dcmread
from pydicom.filereader import read_file_meta_info, read_preamble

from conformance.waiting import wait_until
from mome_node.catalog.catalog import Catalog
from mome_node.catalog.states import StudyState
from mome_node.demonstration.pacs.orthanc import Orthanc
from mome_node.demonstration.pacs.pacs import LOOPBACK, DicomAddress, free_port

ENDED = (
    StudyState.DELIVERED,
    StudyState.NOT_EVALUABLE,
    StudyState.QUARANTINED,
    StudyState.FAILED,
)
START_S = 180.0
END_S = 300.0


@dataclass
class ServedNode:
    """One node with its data in ``folder``, whose results go to ``pacs``.

    ``more_settings``: TOML that is added to its settings. It looks for regions at the model's
    tokens, as it would with a large model: at the voxels, as `auto` does with the
    demonstration's, that takes some fifty times as many passes.
    """

    folder: Path
    pacs: DicomAddress
    quiet_s: float = 1.0
    explain: str = "tokens"
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[str] | None = None
    more_settings: str = ""

    @property
    def address(self) -> DicomAddress:
        return DicomAddress("MOME", LOOPBACK, self.port)

    def start(self) -> None:
        """Start it and wait until its door is open."""
        self.folder.mkdir(parents=True, exist_ok=True)
        configuration = self.folder / "node.toml"
        configuration.write_text(
            f'[node]\ndata_dir = "data"\n'
            f'[dicom]\nhost = "{LOOPBACK}"\nport = {self.port}\n'
            f"[assembly]\nquiet_s = {self.quiet_s}\n"
            f'[[model]]\npackage = "demo"\nexplain = "{self.explain}"\n'
            f'[[destination]]\nname = "pacs"\nae = "{self.pacs.ae_title}"\n'
            f'host = "{self.pacs.host}"\nport = {self.pacs.port}\nvisibility = "research"\n'
            f"{self.more_settings}"
        )
        command = [sys.executable, "-m", "mome_node.cli.main", "serve", "--config"]
        with (self.folder / "node.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, str(configuration)], stdout=subprocess.PIPE, stderr=log, text=True
            )
        watchdog = threading.Timer(START_S, self.process.kill)
        watchdog.start()
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        watchdog.cancel()
        assert said, f"the node did not start:\n{self.log_tail()}"

    def kill(self) -> None:
        """`kill -9` of the node; its inference process has to notice by itself."""
        assert self.process is not None
        children = psutil.Process(self.process.pid).children(recursive=True)
        self.process.kill()
        self.process.wait()
        wait_until(
            lambda: not any(c.is_running() and c.status() != "zombie" for c in children),
            "the inference process ends with its parent",
        )
        self.process = None

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(60)
            self.process = None

    def catalog(self) -> Catalog:
        return Catalog.open(f"sqlite:///{self.folder / 'data' / 'catalog.db'}")

    def wait_for(self, study_uid: str, *states: StudyState) -> None:
        """Wait until the study is in one of the states."""
        # Opened once: to open it at every look would take a core from the node.
        with self.catalog() as catalog:
            try:
                wait_until(
                    lambda: _state(catalog, study_uid) in states,
                    f"the study becomes {' or '.join(states)}",
                    END_S,
                )
            except AssertionError as error:
                where = f"it is {_state(catalog, study_uid)}; the log ends:\n{self.log_tail()}"
                raise AssertionError(f"{error}; {where}") from None

    def holds(self, path: Path) -> bool:
        """Whether the data set of ``path`` is there, byte for byte, and indexed."""
        header = dcmread(path, stop_before_pixels=True)
        with self.catalog() as catalog:
            rows = [
                i
                for i in catalog.instances_of(header.StudyInstanceUID)
                if i.sop_instance_uid == header.SOPInstanceUID
            ]
        if len(rows) != 1:
            return False
        kept = self.folder / "data" / "instances" / rows[0].key[:2] / f"{rows[0].key}.dcm"
        return dataset_digest(kept) == dataset_digest(path)

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The lines of its log about this event, in order."""
        lines = (self.folder / "node.log").read_text(errors="replace").splitlines()
        told = (json.loads(line) for line in lines if line.startswith("{"))
        return [line for line in told if line.get("event") == event]

    def log_tail(self) -> str:
        lines = (self.folder / "node.log").read_text(errors="replace").splitlines()
        return "\n".join(lines[-20:])


def introduce(node: ServedNode, pacs: Orthanc, paths: Iterable[Path]) -> None:
    """What a site has before a study is routed: the PACS holds the exam, and knows the node.

    Results go only to a PACS that has their study.
    """
    pacs.store_study(tuple(paths))
    pacs.set_node(node.address)


def _state(catalog: Catalog, study_uid: str) -> StudyState | None:
    """Where a study stands; None while the node knows no such study."""
    found = [s for s in catalog.studies() if s.study_uid == study_uid]
    return found[0].state if found else None


def dataset_digest(path: Path) -> str:
    """SHA-256 of a file's data set, whatever its File Meta Information is."""
    length = int(read_file_meta_info(path).FileMetaInformationGroupLength)
    with path.open("rb") as file:
        read_preamble(file, force=False)
        file.seek(12 + length, 1)  # (0002,0000) itself takes 12 bytes
        return hashlib.sha256(file.read()).hexdigest()
