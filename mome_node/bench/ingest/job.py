"""What the tuned sender is told to do and what it tells afterwards, as JSON files."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Outbound:
    """An instance to send: a PS3.10 file whose data set begins at ``dataset_offset``."""

    path: str
    sop_class_uid: str
    sop_instance_uid: str
    dataset_offset: int


@dataclass(frozen=True, slots=True)
class SendJob:
    """Instances to send to one receiver, one tuple of them over each association.

    ``ca_file``: the certificate that the receiver has to show; None sends without TLS.
    """

    host: str
    port: int
    called_ae: str
    calling_ae: str
    transfer_syntax_uid: str
    associations: tuple[tuple[Outbound, ...], ...]
    ca_file: str | None = None

    def write(self, path: Path) -> None:
        """Keep the job in a file."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> SendJob:
        """Read a job as ``write`` wrote it."""
        fields: dict[str, Any] = json.loads(path.read_text())
        fields["associations"] = tuple(
            tuple(Outbound(**instance) for instance in association)
            for association in fields["associations"]
        )
        return cls(**fields)


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """An instance that was answered with success, and how long that took, in seconds.

    ``wait_s`` is from the last byte of its data set, handed to the network, to the answer;
    ``store_s`` from the first byte of its request.
    """

    sop_instance_uid: str
    wait_s: float
    store_s: float


@dataclass(frozen=True, slots=True)
class SendReport:
    """What a sender did: seconds from the first connection to the last release."""

    seconds: float
    acknowledged: tuple[Acknowledged, ...]

    def write(self, path: Path) -> None:
        """Keep the report in a file."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> SendReport:
        """Read a report as ``write`` wrote it."""
        fields = json.loads(path.read_text())
        return cls(fields["seconds"], tuple(Acknowledged(**a) for a in fields["acknowledged"]))
