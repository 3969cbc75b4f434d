"""DCMTK's `storescp` as a receiver: the ceiling. It syncs each file and keeps no index.

It has no option to sync, so that a small library is loaded before it (synced_storescp.c), which is
compiled for the benchmark.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

from mome_node.bench.ingest.certificate import Certificate
from mome_node.bench.ingest.dcmtk import dcmtk_program, version_of
from mome_node.bench.ingest.instances import PreparedInstance
from mome_node.bench.ingest.process import Address, ReceiverProcess, free_port, is_listening
from mome_node.bench.ingest.receivers import Receiver
from mome_node.errors import BenchmarkError

AE_TITLE: Final = "STORESCP"
_MAX_PDU: Final = "131072"
_SOURCE: Final = "synced_storescp.c"


class OpenStorescp:
    """A running `storescp`; see OpenReceiver."""

    def __init__(self, process: ReceiverProcess, address: Address, store: Path) -> None:
        self._process = process
        self.address = address
        self._store = store

    def peak_memory_mb(self) -> float | None:
        """See OpenReceiver: each association has a process of its own."""
        return None

    def lost(self, acknowledged: Collection[PreparedInstance]) -> int:
        """See OpenReceiver: by the files' names, of which each ends in a SOP Instance UID."""
        self._process.stop()
        held = {path.name.partition(".")[2] for path in self._store.iterdir()}
        return len({i.outbound.sop_instance_uid for i in acknowledged} - held)


def storescp_receiver(build: Path) -> Receiver | None:
    """`storescp` that syncs; None where it is not installed, or no C compiler is.

    The library is made in the folder ``build``.
    """
    binary, compiler = dcmtk_program("storescp"), shutil.which("cc")
    if binary is None or compiler is None:
        return None
    library = _compiled(compiler, build)

    @contextmanager
    def opened(folder: Path, certificate: Certificate | None) -> Iterator[OpenStorescp]:
        address, store = Address(AE_TITLE, free_port()), folder / "store"
        store.mkdir()
        command = [
            *(binary, "--fork", "+B", "--max-pdu", _MAX_PDU, "--aetitle", AE_TITLE),
            *("--output-directory", str(store)),
            *_tls_options(certificate),
            str(address.port),
        ]
        log = folder / "storescp.log"
        with ReceiverProcess("storescp", command, log, _environment(library, store)) as process:
            process.wait_until(lambda: is_listening(address.port))
            yield OpenStorescp(process, address, store)

    return Receiver("storescp", f"storescp {version_of(binary)}", opened)


def _environment(library: Path, store: Path) -> Mapping[str, str]:
    return {
        **os.environ,
        "LD_PRELOAD": str(library),
        "MOME_BENCH_STORE": f"{store.resolve()}/",
    }


def _tls_options(certificate: Certificate | None) -> tuple[str, ...]:
    if certificate is None:
        return ()
    return ("+tls", str(certificate.key), str(certificate.certificate), "--ignore-peer-cert")


def _compiled(compiler: str, build: Path) -> Path:
    library = build / "synced_storescp.so"
    build.mkdir(parents=True, exist_ok=True)
    with as_file(files(__package__) / _SOURCE) as source:
        options = ["-shared", "-fPIC", "-O2", "-o", str(library), str(source), "-ldl"]
        done = subprocess.run([compiler, *options], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchmarkError(f"{_SOURCE} cannot be compiled:\n{done.stderr}")
    return library
