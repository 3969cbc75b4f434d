"""A real Orthanc with its DICOMweb plugin on free loopback ports, with its files in one folder."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from mome_node.demonstration.pacs.dicomweb import retrieve_new
from mome_node.demonstration.pacs.pacs import LOOPBACK, DicomAddress, free_port
from mome_node.demonstration.pacs.transfer import send_files
from mome_node.errors import PacsError

AE_TITLE = "ORTHANC"
_PLUGIN_FOLDERS = (Path("/usr/share/orthanc/plugins"), Path("/usr/lib/orthanc"))
_START_S = 60.0
_STOP_S = 30.0
_POLL_S = 0.02
_HTTP_S = 120.0
_PORT_TRIES = 3
_LOG_TAIL_LINES = 20
_AUTO_FORWARD = """\
function OnStoredInstance(instanceId, tags, metadata, origin)
  SendToModality(instanceId, 'MOME')
end
"""


def find_orthanc() -> tuple[Path, Path] | None:
    """Return Orthanc's binary and its DICOMweb plugin, None where either is not installed."""
    binary = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin")
    plugins = [
        plugin
        for folder in _PLUGIN_FOLDERS
        for plugin in sorted(folder.glob("libOrthancDicomWeb.so*"))
    ]
    return (Path(binary), plugins[0]) if binary and plugins else None


class Orthanc:
    """One Orthanc process; its index, files, configuration and log are in ``directory``.

    With ``auto_forward`` it sends every instance that it stores to the node (set_node), its own
    results included, as a careless routing rule does. Ports stay the same over stop and start.
    """

    def __init__(self, directory: Path, *, auto_forward: bool = False) -> None:
        self._directory = directory
        self._auto_forward = auto_forward
        self._process: subprocess.Popen[bytes] | None = None
        self._ports: tuple[int, int] | None = None  # HTTP, DICOM
        self._node: DicomAddress | None = None
        self._exam_uids: set[str] = set()
        self._name = "Orthanc"

    @property
    def name(self) -> str:
        """See Pacs."""
        return self._name

    @property
    def address(self) -> DicomAddress:
        """See Pacs."""
        return DicomAddress(AE_TITLE, LOOPBACK, self._known_ports()[1])

    @property
    def url(self) -> str:
        """Where its REST interface listens."""
        return f"http://{LOOPBACK}:{self._known_ports()[0]}"

    @property
    def dicomweb_url(self) -> str:
        """The root of its DICOMweb service."""
        return f"{self.url}/dicom-web"

    def start(self) -> None:
        """Start it and wait until it answers; if it does not, PacsError tells its log's end."""
        installed = find_orthanc()
        if installed is None:
            raise PacsError("Orthanc is not installed; apt install orthanc orthanc-dicomweb")
        self._directory.mkdir(parents=True, exist_ok=True)
        tries = 1 if self._ports else _PORT_TRIES
        for left in reversed(range(tries)):
            # A port found free may be taken before Orthanc listens on it.
            ports = self._ports or (free_port(), free_port())
            if self._launch(*installed, ports):
                break
            if not left:
                raise PacsError(f"Orthanc ended while starting; its log ends:\n{self.log_tail()}")
        if self._node is not None:
            self.set_node(self._node)

    def stop(self) -> None:
        """See Pacs."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def set_node(self, node: DicomAddress) -> None:
        """Tell it where the node is: its modality MOME."""
        self._node = node
        entry = {"AET": node.ae_title, "Host": node.host, "Port": node.port}
        self._ask("PUT", "/modalities/MOME", entry)

    def store_study(self, paths: Sequence[Path]) -> int:
        """See Pacs."""
        sent = send_files(self.address, "PHANTOM", paths)
        self._exam_uids.update(sent)
        return len(sent)

    def forward(self, study_uid: str, node: DicomAddress) -> int:
        """See Pacs."""
        if node != self._node:
            self.set_node(node)
        order = {"Resources": [self._study(study_uid)], "Synchronous": True, "Timeout": 60}
        done = self._ask("POST", "/modalities/MOME/store", order)
        if done["FailedInstancesCount"]:
            raise PacsError(f"Orthanc could not send {done['FailedInstancesCount']} instances")
        return int(done["InstancesCount"])

    def instance_count(self, study_uid: str) -> int:
        """See Pacs."""
        found = self._ask("POST", "/tools/lookup", study_uid)
        if not found:
            return 0
        statistics = self._ask("GET", f"/studies/{found[0]['ID']}/statistics")
        return int(statistics["CountInstances"])

    def results_of(self, study_uid: str, into: Path) -> tuple[Path, ...]:
        """See Pacs. They come through QIDO-RS and WADO-RS."""
        return retrieve_new(self.dicomweb_url, study_uid, self._exam_uids, into)

    def file_of(self, sop_instance_uid: str) -> bytes:
        """Return the DICOM file as Orthanc keeps it. Raises PacsError if it holds none such."""
        found = self._ask("POST", "/tools/lookup", sop_instance_uid)
        if not found:
            raise PacsError(f"Orthanc holds no instance {sop_instance_uid}")
        return self._fetch("GET", f"/instances/{found[0]['ID']}/file")

    def empty(self) -> None:
        """Delete all that it holds."""
        for study in self._ask("GET", "/studies"):
            self._ask("DELETE", f"/studies/{study}")
        self._exam_uids.clear()

    def log_tail(self) -> str:
        """Return the last lines of its log."""
        log = self._directory / "orthanc.log"
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        return "\n".join(lines[-_LOG_TAIL_LINES:])

    def _launch(self, binary: Path, plugin: Path, ports: tuple[int, int]) -> bool:
        """Start the process; return False if it ended instead of answering."""
        configuration = self._write_configuration(plugin, ports)
        with (self._directory / "orthanc.log").open("ab") as log:
            process = subprocess.Popen(
                [str(binary), str(configuration)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._process, self._ports = process, ports
        deadline = time.monotonic() + _START_S
        pause = threading.Event()
        while process.poll() is None:
            try:
                self._name = f"Orthanc {self._ask('GET', '/system')['Version']}"
            except PacsError:
                if time.monotonic() > deadline:
                    self.stop()
                    raise
                pause.wait(_POLL_S)
            else:
                return True
        self._process = self._ports = None
        return False

    def _write_configuration(self, plugin: Path, ports: tuple[int, int]) -> Path:
        scripts = []
        if self._auto_forward:
            script = self._directory / "forward.lua"
            script.write_text(_AUTO_FORWARD)
            scripts.append(str(script))
        http_port, dicom_port = ports
        configuration = self._directory / "orthanc.json"
        configuration.write_text(
            json.dumps(
                {
                    "Name": "demonstration",
                    "StorageDirectory": str(self._directory / "storage"),
                    "IndexDirectory": str(self._directory / "index"),
                    "HttpPort": http_port,
                    "RemoteAccessAllowed": False,
                    "AuthenticationEnabled": False,
                    "DicomAet": AE_TITLE,
                    "DicomPort": dicom_port,
                    "DicomAlwaysAllowStore": True,
                    "LuaScripts": scripts,
                    "Plugins": [str(plugin)],
                    "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
                },
                indent=2,
            )
        )
        return configuration

    def _known_ports(self) -> tuple[int, int]:
        if self._ports is None:
            raise PacsError("Orthanc has not been started")
        return self._ports

    def _study(self, study_uid: str) -> str:
        """Return Orthanc's own identifier of a study."""
        found = self._ask("POST", "/tools/lookup", study_uid)
        if not found:
            raise PacsError(f"Orthanc holds no study {study_uid}")
        return str(found[0]["ID"])

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        """Ask the REST interface; return the decoded answer, None for an empty one."""
        content = self._fetch(method, path, body)
        return json.loads(content) if content else None

    def _fetch(self, method: str, path: str, body: object = None) -> bytes:
        payload = body if isinstance(body, str) else json.dumps(body)
        connection = http.client.HTTPConnection(LOOPBACK, self._known_ports()[0], timeout=_HTTP_S)
        try:
            connection.request(method, path, None if body is None else payload)
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise PacsError(f"Orthanc does not answer {method} {path}: {error}") from error
        finally:
            connection.close()
        if answer.status >= http.HTTPStatus.BAD_REQUEST:
            raise PacsError(
                f"Orthanc answered {answer.status} to {method} {path}; its log ends:\n"
                f"{self.log_tail()}"
            )
        return content
