"""The node as a receiver: `mome-node serve` with its own data directory, killed in the end."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from mome_node import __version__
from mome_node.bench.ingest.certificate import Certificate
from mome_node.bench.ingest.instances import PreparedInstance
from mome_node.bench.ingest.presence import count_whole
from mome_node.bench.ingest.process import (
    LOOPBACK,
    Address,
    ReceiverProcess,
    free_port,
    is_listening,
)
from mome_node.bench.ingest.receivers import Receiver

AE_TITLE: Final = "MOME"

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
port = {port}
"""


class OpenNode:
    """A running node; see OpenReceiver."""

    def __init__(self, process: ReceiverProcess, address: Address, data_dir: Path) -> None:
        self._process = process
        self.address = address
        self._data_dir = data_dir

    def peak_memory_mb(self) -> float:
        """See OpenReceiver: of the process that receives, without the one that runs the models."""
        return self._process.peak_memory_mb()

    def lost(self, acknowledged: Collection[PreparedInstance]) -> int:
        """See OpenReceiver. SIGKILL first: only what the disk and the catalogue hold counts."""
        self._process.kill()
        return len(acknowledged) - count_whole(self._data_dir, acknowledged)


def node_receiver() -> Receiver:
    """The node of this installation, with a new data directory each time."""
    return Receiver("node", f"mome-node {__version__}", open_node)


@contextmanager
def open_node(
    folder: Path, certificate: Certificate | None = None, data_dir: Path | None = None
) -> Iterator[OpenNode]:
    """Run `mome-node serve` until the block ends; ``data_dir`` may be one that was kept.

    BenchmarkError with the end of its log if it does not start.
    """
    data_dir = data_dir or folder / "data"
    plain, secure = Address(AE_TITLE, free_port()), Address(AE_TITLE, free_port())
    settings = _SETTINGS.format(
        ae_title=AE_TITLE, data_dir=data_dir, host=LOOPBACK, port=plain.port
    )
    if certificate is not None:
        settings += _TLS_SETTINGS.format(
            certificate=certificate.certificate, key=certificate.key, port=secure.port
        )
    log, configuration = folder / "node.log", folder / "node.toml"
    configuration.write_text(settings)
    command = [sys.executable, "-m", "mome_node.cli.main", "serve", "--config", str(configuration)]
    # Settings of the environment would beat those of the file.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MOME_")}
    with ReceiverProcess("mome-node serve", command, log, environment) as process:
        address = secure if certificate else plain
        process.wait_until(lambda: is_listening(address.port))  # the node opens its door last
        yield OpenNode(process, address, data_dir)
