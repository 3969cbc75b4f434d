"""What the demonstration and the conformance tests ask of a PACS."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class DicomAddress:
    """Where a DICOM application entity listens."""

    ae_title: str
    host: str
    port: int


class Pacs(Protocol):
    """A running PACS. Its methods raise PacsError, or DeliveryError where they send."""

    @property
    def name(self) -> str:
        """Product and version, e.g. "Orthanc 1.10.1"."""
        ...

    @property
    def address(self) -> DicomAddress:
        """Where it takes C-STORE."""
        ...

    def store_study(self, paths: Sequence[Path]) -> int:
        """Send DICOM files to it by C-STORE; return how many. They count as the exam's images."""
        ...

    def forward(self, study_uid: str, node: DicomAddress) -> int:
        """Have it send all that it holds of a study to ``node`` by C-STORE; return how many."""
        ...

    def instance_count(self, study_uid: str) -> int:
        """Return how many instances of a study it holds."""
        ...

    def results_of(self, study_uid: str, into: Path) -> tuple[Path, ...]:
        """Read back what it holds of a study beyond the exam's images, as files in ``into``."""
        ...

    def stop(self) -> None:
        """Stop it. What it holds stays in its directory."""
        ...


def free_port() -> int:
    """Return a loopback TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
