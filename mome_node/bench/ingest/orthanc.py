"""Orthanc as a receiver: its default settings, its SQLite index, files on the same disk."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from mome_node.bench.ingest.certificate import Certificate
from mome_node.bench.ingest.instances import PreparedInstance
from mome_node.bench.ingest.process import LOOPBACK, Address, ReceiverProcess, free_port
from mome_node.bench.ingest.receivers import Receiver
from mome_node.errors import BenchmarkError

AE_TITLE: Final = "ORTHANC"
_HTTP_S: Final = 60.0


class OpenOrthanc:
    """A running Orthanc; see OpenReceiver."""

    def __init__(self, process: ReceiverProcess, address: Address, http_port: int) -> None:
        self._process = process
        self.address = address
        self._http_port = http_port

    def peak_memory_mb(self) -> float | None:
        """See OpenReceiver."""
        return self._process.peak_memory_mb()

    def lost(self, acknowledged: Collection[PreparedInstance]) -> int:
        """See OpenReceiver: by the count that it tells of itself."""
        held = int(_ask(self._http_port, "/statistics")["CountInstances"])
        self._process.stop()
        return len(acknowledged) - held


def orthanc_receiver() -> Receiver | None:
    """Orthanc; None where it is not installed."""
    binary = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin")
    if binary is None:
        return None
    told = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False)
    version = " ".join(["Orthanc", *told.stdout.split()[1:2]])

    @contextmanager
    def opened(folder: Path, certificate: Certificate | None) -> Iterator[OpenOrthanc]:
        address, http_port = Address(AE_TITLE, free_port()), free_port()
        configuration = folder / "orthanc.json"
        configuration.write_text(
            json.dumps(_configuration(folder, address.port, http_port, certificate), indent=2)
        )
        log = folder / "orthanc.log"
        command = [binary, str(configuration)]
        with ReceiverProcess("Orthanc", command, log, os.environ) as process:
            process.wait_until(lambda: _answers(http_port))
            yield OpenOrthanc(process, address, http_port)

    return Receiver("orthanc", version, opened)


def _configuration(
    folder: Path, dicom_port: int, http_port: int, certificate: Certificate | None
) -> dict[str, object]:
    """What differs from Orthanc's defaults: where it lies and listens, and TLS."""
    configuration: dict[str, object] = {
        "Name": "benchmark",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "index"),
        "HttpPort": http_port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAet": AE_TITLE,
        "DicomPort": dicom_port,
    }
    if certificate is not None:
        configuration |= {
            "DicomTlsEnabled": True,
            "DicomTlsCertificate": str(certificate.certificate),
            "DicomTlsPrivateKey": str(certificate.key),
            "DicomTlsTrustedCertificates": str(certificate.certificate),
            "DicomTlsRemoteCertificateRequired": False,
        }
    return configuration


def _answers(http_port: int) -> bool:
    try:
        return bool(_ask(http_port, "/system"))
    except BenchmarkError:
        return False


def _ask(http_port: int, path: str) -> dict[str, Any]:
    connection = http.client.HTTPConnection(LOOPBACK, http_port, timeout=_HTTP_S)
    try:
        connection.request("GET", path)
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
        return answer
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise BenchmarkError(f"Orthanc does not answer {path}: {error}") from error
    finally:
        connection.close()
