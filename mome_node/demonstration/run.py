"""The demonstration: a phantom exam through a real PACS, a real node, and back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

from pydicom import dcmread

from mome_node.catalog.catalog import Catalog
from mome_node.catalog.records import EventRecord, StudyRecord
from mome_node.catalog.states import StudyState
from mome_node.demonstration.pacs.choose import start_pacs
from mome_node.demonstration.pacs.pacs import LOOPBACK, DicomAddress, Pacs, free_port
from mome_node.errors import NodeError
from mome_node.jobs.evaluation_request import findings_dir
from mome_node.phantom.dicom_writer import write_study
from mome_node.phantom.exam import Vendor
from mome_node.phantom.render import render_exam
from mome_node.results.classes import STORAGE_CLASSES
from mome_node.settings import parse_settings

SEED = 3
QUIET_S = 3
DEADLINE_S = 300.0
NODE_START_S = 120.0
AE_TITLE = "MOME"

CONFIGURATION = """\
[node]
ae_title = "{ae_title}"
data_dir = "{data_dir}"

[dicom]
host = "127.0.0.1"
port = {port}

[assembly]
quiet_s = {quiet_s}

[[model]]
package = "demo"

[[destination]]
name = "pacs"
ae = "{pacs.ae_title}"
host = "{pacs.host}"
port = {pacs.port}
visibility = "research"
objects = ["sr", "seg", "summary"]
"""

PASSED = (StudyState.DELIVERED,)
ENDED = (
    *PASSED,
    StudyState.HELD,
    StudyState.NOT_EVALUABLE,
    StudyState.QUARANTINED,
    StudyState.FAILED,
)


class DemonstrationError(NodeError):
    """The demonstration did not get its results back."""


@dataclass(frozen=True, slots=True)
class Demonstration:
    """What a demonstration did, and where it left it."""

    pacs: str
    study_uid: str
    elapsed_s: float
    stages: dict[str, float]
    findings: dict[str, object]
    files: tuple[Path, ...]


Say = Callable[[str], None]


def demonstrate(out: Path, say: Say) -> Demonstration:
    """Run the demonstration and leave its results in ``out``.

    Raises DemonstrationError, or what the PACS or the settings raise, if the results did not
    arrive in the PACS and could not be read back from it.
    """
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="mome-demo-") as temporary:
        work = Path(temporary)
        say("rendering a phantom exam")
        exam = render_exam(SEED)
        paths = write_study(exam, work / "exam", vendor=Vendor.SIEMENS)
        with _running_pacs(work / "pacs") as pacs:
            node = DicomAddress(AE_TITLE, LOOPBACK, free_port())
            configuration = CONFIGURATION.format(
                ae_title=AE_TITLE,
                data_dir=work / "data",
                port=node.port,
                quiet_s=QUIET_S,
                pacs=pacs.address,
            )
            say(f"PACS: {pacs.name}\n\n{configuration}")
            with _running_node(configuration, work):
                return _travel(paths, pacs, node, configuration, work, out, say)


def _travel(
    paths: tuple[Path, ...],
    pacs: Pacs,
    node: DicomAddress,
    configuration: str,
    work: Path,
    out: Path,
    say: Say,
) -> Demonstration:
    study_uid = _study_uid(paths[0])
    began = time.monotonic()
    say(f"sending {len(paths)} instances to the PACS, which forwards them to the node")
    pacs.store_study(paths)
    stored = time.monotonic()
    pacs.forward(study_uid, node)
    forwarded, forwarded_at = time.monotonic(), datetime.now(UTC)
    settings = parse_settings(_parsed(configuration), base=work)
    with Catalog.open(settings.database_url) as catalog:
        study = _wait_for_end(catalog, study_uid, say)
        events = catalog.events_of(study_uid)
    if study.state not in PASSED:
        raise DemonstrationError(f"the study ended as {study.state.value}: {study.reason}")
    delivered = time.monotonic()
    read_back = pacs.results_of(study_uid, work / "read-back")
    elapsed = time.monotonic() - began
    files = _collect(
        read_back, findings_dir(settings.node.data_dir, study_uid, study.revision), out
    )
    stages = {
        "PACS stores the exam": stored - began,
        "PACS forwards it, node receives": forwarded - stored,
        **_durations(events, forwarded_at),
        "results read back": elapsed - (delivered - began),
    }
    findings = json.loads((out / "findings.json").read_text())
    made = Demonstration(
        pacs=pacs.name,
        study_uid=study_uid,
        elapsed_s=round(elapsed, 2),
        stages={name: round(seconds, 2) for name, seconds in stages.items()},
        findings=findings,
        files=files,
    )
    _write_summary(made, out / "demo.json")
    return made


@contextmanager
def _running_pacs(directory: Path) -> Iterator[Pacs]:
    pacs = start_pacs(directory)
    try:
        yield pacs
    finally:
        pacs.stop()


@contextmanager
def _running_node(configuration: str, work: Path) -> Iterator[None]:
    """`mome-node serve` as its own process, ready to receive."""
    path = work / "node.toml"
    path.write_text(configuration)
    command = [sys.executable, "-m", "mome_node.cli.main", "serve", "--config", str(path)]
    log = work / "node.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, env={**os.environ}, text=True
        )
    try:
        _wait_until_receiving(process, log)
        yield
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_receiving(process: subprocess.Popen[str], log: Path) -> None:
    assert process.stdout is not None
    watchdog = threading.Timer(NODE_START_S, process.kill)
    watchdog.start()
    try:
        # The node says one line when its door is open; the pipe closes if it ends instead.
        if not process.stdout.readline():
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
            raise DemonstrationError(f"the node did not start; its log ends:\n{tail}")
    finally:
        watchdog.cancel()


def _wait_for_end(catalog: Catalog, study_uid: str, say: Say) -> StudyRecord:
    pause, told = threading.Event(), None
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        study = catalog.study(study_uid)
        if study.state is not told:
            say(f"study is {study.state.value}")
            told = study.state
        if study.state in ENDED:
            return study
        pause.wait(0.1)
    raise DemonstrationError(f"the study is still {told} after {DEADLINE_S:g} s")


def _durations(events: tuple[EventRecord, ...], forwarded_at: datetime) -> dict[str, float]:
    """Seconds that the study spent in each state since its last instance was sent."""
    named = {
        StudyState.RECEIVING: f"quiet for {QUIET_S} s, then assembly",
        StudyState.QUEUED: "waiting for a worker",
        StudyState.INFERRING: "volumes, inference, explanation, report",
        StudyState.REPORTING: "results stored",
        StudyState.DELIVERING: "delivery to the PACS",
    }
    return {
        named[a.target]: (b.at - max(a.at, forwarded_at)).total_seconds()
        for a, b in pairwise(events)
        if a.target in named
    }


def _collect(read_back: tuple[Path, ...], kept: Path, out: Path) -> tuple[Path, ...]:
    """Put what came back from the PACS, and the node's pictures of it, into ``out``."""
    for old in (*out.glob("*.dcm"), *out.glob("*.png")):
        old.unlink()
    by_digest = {sha256(p.read_bytes()).hexdigest(): p for p in read_back}
    if not by_digest:
        raise DemonstrationError("the PACS holds no result of the study")
    for name, path in _named(by_digest.values()):
        shutil.copyfile(path, out / name)
    for path in sorted(kept.iterdir()):
        shutil.copyfile(path, out / path.name)
    if not (out / "sr.dcm").exists():
        raise DemonstrationError("the SR did not come back from the PACS")
    return tuple(sorted(out.iterdir()))


def _named(results: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    """A file name for each result: of its kind; pictures, of which there are several, by number."""
    kinds = {sop_class: kind for kind, sop_class in STORAGE_CLASSES.items()}
    for path in results:
        wanted = ["SOPClassUID", "InstanceNumber"]
        header = dcmread(path, stop_before_pixels=True, specific_tags=wanted)
        kind = kinds.get(header.SOPClassUID, "other")
        yield f"{kind}-{header.InstanceNumber}.dcm" if kind == "summary" else f"{kind}.dcm", path


def _write_summary(made: Demonstration, path: Path) -> None:
    document = {
        "pacs": made.pacs,
        "elapsed_s": made.elapsed_s,
        "stages": made.stages,
        "StudyInstanceUID": made.study_uid,
        "files": [p.name for p in made.files],
    }
    path.write_text(json.dumps(document, indent=2) + "\n")


def _study_uid(path: Path) -> str:
    return str(dcmread(path, stop_before_pixels=True).StudyInstanceUID)


def _parsed(configuration: str) -> dict[str, object]:
    import tomllib

    return tomllib.loads(configuration)
