"""The node as a receiver: `mome-node serve` with its own data directory, killed in the end."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from mome_node.bench.ingest.certificate import Certificate
from mome_node.bench.ingest.instances import PreparedInstance
from mome_node.bench.ingest.presence import count_whole
from mome_node.bench.ingest.process import LOOPBACK, Address, ReceiverProcess, free_port
from mome_node.bench.ingest.receivers import Receiver

AE_TITLE: Final = "MOME"
_READY: Final = "receives on port"

_SETTINGS = """\
[node]
ae_title = "{ae_title}"
data_dir = "{data_dir}"

[dicom]
host = "{host}"
port = {port}

[assembly]
# Nothing is looked at while it is measured.
quiet_s = 86400
deadline_s = 604800
hard_limit_s = 2592000

[[model]]
package = "demo"
"""

_TLS_SETTINGS = """
[dicom.tls]
certificate = "{certificate}"
key = "{key}"
"""


class OpenNode:
    """A running node; see OpenReceiver."""

    def __init__(self, process: ReceiverProcess, address: Address, data_dir: Path) -> None:
        self._process = process
        self.address = address
        self._data_dir = data_dir

    def peak_memory_mb(self) -> float | None:
        """See OpenReceiver: of the process that receives, without the one that runs the models."""
        return self._process.peak_memory_mb()

    def lost(self, acknowledged: Collection[PreparedInstance]) -> int:
        """See OpenReceiver. SIGKILL first: only what the disk and the catalogue hold counts."""
        self._process.kill()
        return len(acknowledged) - count_whole(self._data_dir, acknowledged)


def node_receiver() -> Receiver:
    """The node of this installation."""
    return Receiver("node", "mome-node", _open)


@contextmanager
def _open(folder: Path, certificate: Certificate | None) -> Iterator[OpenNode]:
    address = Address(AE_TITLE, free_port())
    data_dir = folder / "data"
    log = folder / "node.log"
    configuration = folder / "node.toml"
    configuration.write_text(_settings(address, data_dir, certificate))
    command = [sys.executable, "-m", "mome_node.cli.main", "serve", "--config", str(configuration)]
    # Settings of the environment would beat those of the file.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MOME_")}
    with ReceiverProcess("mome-node serve", command, log, environment) as process:
        process.wait_until(lambda: _READY in log.read_text(errors="replace"))
        yield OpenNode(process, address, data_dir)


def _settings(address: Address, data_dir: Path, certificate: Certificate | None) -> str:
    settings = _SETTINGS.format(
        ae_title=address.ae_title, data_dir=data_dir, host=LOOPBACK, port=address.port
    )
    if certificate is not None:
        settings += _TLS_SETTINGS.format(certificate=certificate.certificate, key=certificate.key)
    return settings
