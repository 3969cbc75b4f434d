"""DCMTK's command line tools as peers: run, or started on a free port until the test ends."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from conformance import peers
from mome_node.delivery.destination import Destination
from mome_node.demonstration.pacs.pacs import LOOPBACK, DicomAddress, free_port

_START_S = 20.0
_RUN_S = 120.0


def run_tool(tool: peers.Peer, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a tool to its end; the caller judges its exit status."""
    return subprocess.run(
        [str(tool.find()), *arguments], capture_output=True, text=True, timeout=_RUN_S, check=False
    )


def storescu(
    address: DicomAddress, files: Sequence[Path], *options: str
) -> subprocess.CompletedProcess[str]:
    """Send files as a site's first test does, with stock ``storescu``."""
    target = ["-aec", address.ae_title, *options, address.host, str(address.port)]
    return run_tool(peers.STORESCU, *target, *map(str, files))


def dcmsend(
    address: DicomAddress, files: Sequence[Path], *options: str
) -> subprocess.CompletedProcess[str]:
    """Send files with ``dcmsend``, which proposes what the files are."""
    target = ["-aec", address.ae_title, *options, address.host, str(address.port)]
    return run_tool(peers.DCMSEND, *target, *map(str, files))


@dataclass
class DcmtkServer:
    """A running DCMTK server; ``folder`` holds what it received."""

    address: DicomAddress
    folder: Path
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def destination(self) -> Destination:
        peer = self.address
        return Destination("dcmtk", peer.ae_title, peer.host, peer.port, "MOME")

    def received(self) -> list[Path]:
        return sorted(
            path for path in self.folder.rglob("*") if path.is_file() and path.name != "index.dat"
        )

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


def start_storescp(folder: Path, *options: str) -> DcmtkServer:
    """Start ``storescp``, bit-preserving, accepting every transfer syntax it knows."""
    received = folder / "received"
    received.mkdir(parents=True)
    port = free_port()
    command = [str(peers.STORESCP.find()), "+B", "+xa", "-aet", "STORESCP", "-od", str(received)]
    return _start([*command, *options, str(port)], "STORESCP", port, folder, received)


def start_dcmqrscp(folder: Path, port: int | None = None) -> DcmtkServer:
    """Start ``dcmqrscp``: an archive that answers queries, with AE title DCMQRSCP.

    With what it received in ``folder`` before, if it did.
    """
    received = folder / "received"
    received.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    configuration = folder / "dcmqrscp.cfg"
    configuration.write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 131072\nMaxAssociations = 16\n"
        "HostTable BEGIN\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nDCMQRSCP {received} RW (1000, 10gb) ANY\nAETable END\n"
    )
    command = [str(peers.DCMQRSCP.find()), "-c", str(configuration)]
    return _start(command, "DCMQRSCP", port, folder, received)


def _start(
    command: list[str], ae_title: str, port: int, folder: Path, received: Path
) -> DcmtkServer:
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    server = DcmtkServer(DicomAddress(ae_title, LOOPBACK, port), received, process, log)
    deadline = time.monotonic() + _START_S
    while not _listens(port):
        if process.poll() is not None or time.monotonic() > deadline:
            server.stop()
            raise AssertionError(f"{command[0]} does not listen\n{log.read_text(errors='replace')}")
    return server


def _listens(port: int) -> bool:
    """A connection, not a C-ECHO: a server that refuses every association is ready too."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1.0):
            return True
    except OSError:
        return False
