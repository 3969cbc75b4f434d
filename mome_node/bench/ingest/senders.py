"""The two senders: the tuned one of this package, and DCMTK's `storescu` as it comes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mome_node.bench.ingest.certificate import Certificate
from mome_node.bench.ingest.dcmtk import dcmtk_program
from mome_node.bench.ingest.instances import TRANSFER_SYNTAX, PreparedInstance
from mome_node.bench.ingest.job import Acknowledged, SendJob, SendReport
from mome_node.bench.ingest.process import Address
from mome_node.errors import BenchmarkError

CALLING_AE: Final = "BENCH"
_TIMEOUT_S: Final = 1800.0

Associations = Sequence[Sequence[PreparedInstance]]


@dataclass(frozen=True, slots=True)
class Sent:
    """How long a sender took, in seconds; of each instance where it tells that."""

    seconds: float
    acknowledged: tuple[Acknowledged, ...] = ()


@dataclass(frozen=True, slots=True)
class Sender:
    """One that sends files over several associations at once, and fails unless all are taken.

    ``send`` takes the receiver's address and certificate, what goes over each association, and a
    folder for its own files.
    """

    key: str
    name: str
    send: Callable[[Address, Certificate | None, Associations, Path], Sent]


def tuned_sender() -> Sender:
    """Our own: TCP_NODELAY, PDUs as long as the receiver takes, written many at a time."""
    return Sender("tuned", "tuned sender (TCP_NODELAY)", _send_tuned)


def stock_sender() -> Sender | None:
    """`storescu` without options, Nagle's algorithm on; None where DCMTK is not installed."""
    binary = dcmtk_program("storescu")
    if binary is None:
        return None

    def send(
        address: Address, certificate: Certificate | None, associations: Associations, _work: Path
    ) -> Sent:
        return _send_stock(binary, address, certificate, associations)

    return Sender("storescu", "stock storescu (Nagle on)", send)


def _send_tuned(
    address: Address, certificate: Certificate | None, associations: Associations, work: Path
) -> Sent:
    job = SendJob(
        host=address.host,
        port=address.port,
        called_ae=address.ae_title,
        calling_ae=CALLING_AE,
        transfer_syntax_uid=TRANSFER_SYNTAX,
        associations=tuple(tuple(i.outbound for i in part) for part in associations),
        ca_file=str(certificate.certificate) if certificate else None,
    )
    order, report = work / "job.json", work / "report.json"
    job.write(order)
    command = [sys.executable, "-m", "mome_node.bench.ingest.sender", str(order), str(report)]
    _finish("the tuned sender", subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
    found = SendReport.read(report)
    return Sent(found.seconds, found.acknowledged)


def _send_stock(
    binary: str, address: Address, certificate: Certificate | None, associations: Associations
) -> Sent:
    options = ["--aetitle", CALLING_AE, "--call", address.ae_title, "--scan-directories"]
    if certificate is not None:
        options += ["--anonymous-tls", "--add-cert-file", str(certificate.certificate)]
    commands = [
        [binary, *options, address.host, str(address.port), str(Path(part[0].outbound.path).parent)]
        for part in associations
    ]
    began = time.perf_counter()
    processes = [subprocess.Popen(c, stderr=subprocess.PIPE, text=True) for c in commands]
    for process in processes:
        _finish("storescu", process)
    return Sent(time.perf_counter() - began)


def _finish(name: str, process: subprocess.Popen[str]) -> None:
    try:
        _, said = process.communicate(timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        process.kill()
        process.wait()
        raise BenchmarkError(f"{name} did not end within {_TIMEOUT_S:g} s") from error
    if process.returncode:
        raise BenchmarkError(f"{name} failed:\n{said.strip()}")
