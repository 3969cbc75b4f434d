"""`mome-node bench assembly`: how long the look at a study takes, and what many studies cost.

The phantom's headers with small pixels, in a catalogue and a store of their own.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from pydicom import Dataset, dcmread
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import ExplicitVRLittleEndian

from mome_node.assembly.completeness import Action
from mome_node.assembly.rules import AssemblyRules
from mome_node.bench.timing import Seconds, in_turns, ratio
from mome_node.catalog.catalog import Catalog
from mome_node.catalog.records import Arrival
from mome_node.errors import NodeError
from mome_node.jobs.known_headers import KnownHeaders
from mome_node.jobs.requests import EvaluationRequest, NotEvaluated
from mome_node.jobs.site_policy import SitePolicy
from mome_node.jobs.stages import Stages
from mome_node.phantom.dicom_writer import write_study
from mome_node.phantom.exam import Protocol, Vendor
from mome_node.phantom.render import render_exam
from mome_node.storage.local import LocalStore
from mome_node.storage.store import InstanceIdentity

LARGE: Final = Protocol((16, 16, 480), (16, 16, 24), (16, 16, 39))
"""3,000 instances."""

SMALL: Final = Protocol((16, 16, 40), (16, 16, 6), (16, 16, 33))
"""300 instances."""

TURNS: Final = 3
FEW, MANY = 10, 1000
TINY_INSTANCES: Final = 2
SCANNER_HEADER_BYTES: Final = 120_000
"""Private elements of a scanner's header, the largest that are usual."""

NOW: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class AssemblyFigures:
    """What was measured; see docs/performance.md.

    ``decision_s`` is a look at a large study whose headers are known, as the node comes to it;
    ``unread_decision_s`` one that has to read them all first. ``spreads`` has the least and the
    largest turn of each figure that was taken in turns.
    """

    instances: int
    decision_s: float
    unread_decision_s: float
    unread_over_known: float
    per_instance_growth: float
    unread_per_instance_growth: float
    large_header_growth: float
    memory_growth: float
    spreads: dict[str, tuple[float, float]]

    def to_json(self) -> dict[str, Any]:
        """The figures by their names."""
        return asdict(self)


def bench_assembly(turns: int = TURNS, progress: Progress = lambda _: None) -> AssemblyFigures:
    """Measure. Takes about two minutes and 100 MB of disk."""
    with tempfile.TemporaryDirectory(prefix="mome-bench-") as folder:
        root = Path(folder)
        progress("writing studies of 300 and 3,000 instances")
        large, small = _phantom(LARGE, root / "large"), _phantom(SMALL, root / "small")
        with _Node(root / "node") as node:
            ways = _ways(node, large, small)
            seconds = in_turns(ways, turns, progress=progress)
        progress(f"looking at {MANY} studies")
        few, many = _apart(_memory_mb, small[:TINY_INSTANCES], root / "many")
    per_instance = len(small) / len(large)
    growth = ratio(seconds["large"], seconds["small"])
    unread_growth = ratio(seconds["large, unread"], seconds["small, unread"])
    figures = {
        "decision_s": seconds["large"],
        "unread_decision_s": seconds["large, unread"],
        "unread_over_known": ratio(seconds["large, unread"], seconds["large"]),
        "per_instance_growth": _times(growth, per_instance),
        "unread_per_instance_growth": _times(unread_growth, per_instance),
        "large_header_growth": ratio(seconds["small, long headers"], seconds["small, unread"]),
    }
    return AssemblyFigures(
        instances=len(large),
        memory_growth=many / few,
        spreads={name: figure.spread for name, figure in figures.items()},
        **{name: figure.median for name, figure in figures.items()},
    )


class _Node:
    """A catalogue, a store and the stages, whose clock stands a second after the last image."""

    def __init__(self, root: Path) -> None:
        self.store = LocalStore(root)
        self.catalog = Catalog.open(f"sqlite:///{root}/catalog.db")
        policy = SitePolicy(AssemblyRules(), 60.0, 1800.0, "BENCH")
        self.stages = Stages(
            catalog=self.catalog,
            store=self.store,
            policy=policy,
            models=(),
            evaluator=_NoEvaluator(),
            data_dir=root,
            clock=lambda: NOW + timedelta(seconds=1),
        )

    def __enter__(self) -> _Node:
        return self

    def __exit__(self, *_: object) -> None:
        self.catalog.close()

    def receive(self, images: Iterable[Dataset]) -> str:
        """Keep and index the images of one study; its UID."""
        arrivals = [self._arrival(image) for image in images]
        self.catalog.record_instances(arrivals)
        return arrivals[0].study_uid

    def look(self, study_uid: str, headers: KnownHeaders) -> None:
        """Decide on a study; it waits, so that it can be decided on again."""
        stages = replace(self.stages, headers=headers)
        decision = stages.assemble(self.catalog.study(study_uid))
        if decision.action is not Action.WAIT:
            raise NodeError(f"the benchmark's study does not wait: {decision.action}")

    def look_anew(self, study_uid: str) -> None:
        """Decide on a study of which nothing was read."""
        self.look(study_uid, KnownHeaders())

    def _arrival(self, image: Dataset) -> Arrival:
        syntax = str(ExplicitVRLittleEndian)
        identity = InstanceIdentity(str(image.SOPClassUID), str(image.SOPInstanceUID), syntax)
        buffer = DicomBytesIO()
        buffer.is_little_endian, buffer.is_implicit_VR = True, False
        write_dataset(buffer, image)
        stored = self.store.put(identity, buffer.getvalue())
        return Arrival(
            study_uid=str(image.StudyInstanceUID),
            series_uid=str(image.SeriesInstanceUID),
            sop_instance_uid=identity.sop_instance_uid,
            sop_class_uid=identity.sop_class_uid,
            transfer_syntax_uid=syntax,
            key=stored.key,
            sha256=stored.sha256,
            size=stored.size,
            calling_ae="BENCH",
            received_at=NOW,
            patient_id=str(image.PatientID),
        )


class _NoEvaluator:
    """No study of the benchmark comes to an evaluation."""

    def prepare(self) -> None:
        """See Evaluator."""

    def interrupt(self) -> None:
        """See Evaluator."""

    def evaluate(self, request: EvaluationRequest) -> NotEvaluated:
        """See Evaluator."""
        raise NodeError(f"the benchmark evaluates nothing: {request.study_uid}")


def _ways(
    node: _Node, large: list[Dataset], small: list[Dataset]
) -> dict[str, Callable[[], object]]:
    of = {"large": node.receive(large), "small": node.receive(small)}
    longer = node.receive(_with_long_headers(_as_study(image, "1.2.1")) for image in small)
    known = {name: KnownHeaders() for name in of}
    ways: dict[str, Callable[[], object]] = {}
    for name, study_uid in of.items():
        ways[name] = partial(node.look, study_uid, known[name])
        ways[f"{name}, unread"] = partial(node.look_anew, study_uid)
    ways["small, long headers"] = partial(node.look_anew, longer)
    return ways


def _phantom(protocol: Protocol, folder: Path) -> list[Dataset]:
    exam = render_exam(3, protocol=protocol)
    paths = write_study(exam, folder, vendor=Vendor.SIEMENS, study_date=NOW.date())
    return [dcmread(path) for path in paths]


def _as_study(image: Dataset, study_uid: str) -> Dataset:
    copy = deepcopy(image)
    copy.StudyInstanceUID = study_uid
    return copy


def _with_long_headers(image: Dataset) -> Dataset:
    """As many private elements, and bytes in them, as scanners write."""
    block = image.private_block(0x0029, "BENCH", create=True)
    for number in range(0x10, 0xA0):
        block.add_new(number, "LO", "a private element")
    block.add_new(0xA0, "OB", bytes(SCANNER_HEADER_BYTES))
    return image


def _memory_mb(images: list[Dataset], root: Path) -> tuple[float, float]:
    """Resident memory after looking at few and at many studies, each with headers of its own."""
    few = 0.0
    with _Node(root) as node:
        for number in range(MANY):
            study_uid = f"1.2.3.{number}"
            node.receive(_as_study(image, study_uid) for image in images)
            node.look(study_uid, node.stages.headers)
            if number + 1 == FEW:
                few = _rss_mb()
        return few, _rss_mb()


def _apart(work: Callable[..., Any], *arguments: object) -> Any:
    """Run in a process of its own, whose memory is nobody else's."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def _times(figure: Seconds, factor: float) -> Seconds:
    return Seconds(tuple(turn * factor for turn in figure.turns))


def _rss_mb() -> float:
    """VmRSS of this process: the memory that it holds now."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1e3
    raise OSError("this system does not tell a process's memory")
