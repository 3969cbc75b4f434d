"""A node without network and models: real catalogue and store, fake evaluator, a clock in hand."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import Comprehensive3DSRStorage, ExplicitVRLittleEndian, SegmentationStorage

from mome_node.assembly.completeness import OnDeadline
from mome_node.assembly.rules import AssemblyRules
from mome_node.assembly.study import plan_study
from mome_node.catalog.catalog import Catalog
from mome_node.catalog.records import Arrival, EventRecord, StudyRecord
from mome_node.catalog.states import StudyState
from mome_node.delivery.confirmation import Confirmations
from mome_node.delivery.doubles import MemorySender
from mome_node.delivery.outbox import Outbox
from mome_node.delivery.ports import Port
from mome_node.dicom.patient import patient_mark
from mome_node.dicom.uids import derived_uid
from mome_node.jobs.archive_counts import ArchiveCounts, SeriesCounts
from mome_node.jobs.known_headers import MAX_PLANES, KnownHeaders
from mome_node.jobs.reading import contents_of, inputs_digest, read_study
from mome_node.jobs.requests import (
    Evaluated,
    EvaluationRequest,
    InstalledModel,
    MadeObject,
    NotEvaluated,
)
from mome_node.jobs.runner import Runner
from mome_node.jobs.site_policy import DestinationPolicy, SitePolicy
from mome_node.jobs.stages import Stages
from mome_node.mome.prediction import ChannelUse
from mome_node.phantom.dicom_writer import write_study
from mome_node.phantom.exam import Protocol, Vendor
from mome_node.phantom.render import render_exam
from mome_node.storage.local import LocalStore
from mome_node.storage.store import InstanceIdentity

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
TINY = Protocol((32, 32, 4), (16, 16, 3), (32, 32, 8))
QUIET_S = 60.0
DEADLINE_S = 1800.0
HARD_LIMIT_S = 7200.0
ASK_S = 15.0
CLASSES = {"sr": Comprehensive3DSRStorage, "seg": SegmentationStorage}
SYNTHETIC = InstalledModel("demo", "1", "d" * 64, "malignancy", True, False, "cpu")


@dataclass
class Clock:
    """A wall clock that can be set, and a monotonic one that cannot."""

    now: datetime = START
    monotonic_s: float = 1000.0

    def wall(self) -> datetime:
        return self.now

    def monotonic(self) -> float:
        return self.monotonic_s

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.monotonic_s += seconds


@dataclass
class FakeEvaluator:
    """Reads the study as the real one does, and makes a small SR with nothing of the pixels."""

    requests: list[EvaluationRequest] = field(default_factory=list)
    faults: list[Exception | NotEvaluated] = field(default_factory=list)
    faults_of: dict[str, Exception] = field(default_factory=dict)
    unready: Exception | None = None
    kinds: tuple[str, ...] = ("sr",)
    during: Callable[[], None] = lambda: None

    def prepare(self) -> None:
        if self.unready:
            raise self.unready

    def interrupt(self) -> None:
        """Nothing runs between two turns."""

    def evaluate(self, request: EvaluationRequest) -> Evaluated | NotEvaluated:
        self.requests.append(request)
        self.during()
        if request.study_uid in self.faults_of:
            raise self.faults_of[request.study_uid]
        if self.faults:
            fault = self.faults.pop(0)
            if isinstance(fault, NotEvaluated):
                return fault
            raise fault
        plan = plan_study(
            read_study(request.instances).instances, request.rules, now=request.recorded_at
        )
        digest = inputs_digest(plan, contents_of(request.instances))
        request.out_dir.mkdir(parents=True, exist_ok=True)
        channels = tuple(ChannelUse(n, s.phase, s.time_s) for n, s in enumerate(plan.dce[1:]))
        made = tuple(self._object(kind, request, digest) for kind in self.kinds)
        return Evaluated(made, digest, request.out_dir / "f.json", channels=channels)

    def _object(self, kind: str, request: EvaluationRequest, digest: str) -> MadeObject:
        report = Dataset()
        report.file_meta = FileMetaDataset()
        report.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        report.SOPClassUID = CLASSES[kind]
        seed = (request.study_uid, str(request.revision), digest, str(request.issue))
        report.SOPInstanceUID = derived_uid(kind, *seed)
        report.ContentDate = request.recorded_at.strftime("%Y%m%d")
        report.StudyInstanceUID = request.study_uid
        report.SeriesInstanceUID = derived_uid("series", report.SOPInstanceUID)
        path = request.out_dir / f"{kind}.dcm"
        report.save_as(path, enforce_file_format=True)
        return MadeObject(
            kind,
            request.profiles[0].digest,
            report.SOPClassUID,
            report.SOPInstanceUID,
            report.SeriesInstanceUID,
            path,
        )


@dataclass
class Bench:
    """The node's parts as the composition root puts them together, driven turn by turn."""

    folder: Path
    clock: Clock = field(default_factory=Clock)
    evaluator: FakeEvaluator = field(default_factory=FakeEvaluator)
    sender: MemorySender = field(default_factory=MemorySender)
    models: tuple[InstalledModel, ...] = (SYNTHETIC,)
    destinations: tuple[str, ...] = ("pacs",)
    policies: tuple[DestinationPolicy, ...] = ()
    ports: Mapping[str, Port] = field(default_factory=dict)
    quiet_s: float = QUIET_S
    on_deadline: OnDeadline = OnDeadline.HOLD
    hard_limit_s: float = HARD_LIMIT_S
    rules: AssemblyRules = field(default_factory=AssemblyRules)
    pacs: SeriesCounts | None = None
    headers_kept: int = MAX_PLANES
    not_evaluable_report: bool = False

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "catalog.db").write_bytes(_empty_catalog())
        self.catalog = Catalog.open(f"sqlite:///{self.folder}/catalog.db")
        self.store = LocalStore(self.folder)
        self.restart()

    def restart(self) -> None:
        """Begin with what is on disk only, as after a crash."""
        self.stages = Stages(
            catalog=self.catalog,
            store=self.store,
            policy=SitePolicy(
                self.rules,
                self.quiet_s,
                DEADLINE_S,
                "MOME",
                self.policies or tuple(DestinationPolicy(name) for name in self.destinations),
                hard_limit_s=self.hard_limit_s,
                on_deadline=self.on_deadline,
                not_evaluable_report=self.not_evaluable_report,
            ),
            models=self.models,
            evaluator=self.evaluator,
            data_dir=self.folder,
            clock=self.clock.wall,
            headers=KnownHeaders(self.headers_kept),
        )
        ledger, ports = self.catalog.deliveries, self.ports or {"pacs": Port(self.sender)}
        outbox = Outbox(ledger, self.store.open, ports, clock=self.clock.wall)
        confirmations = Confirmations(ledger, self.store.open, ports, clock=self.clock.wall)
        archive = ArchiveCounts(self.pacs, ASK_S, self.clock.monotonic) if self.pacs else None
        self.runner = Runner(
            self.catalog, self.stages, outbox, confirmations, self.clock.monotonic, archive
        )

    def receive(self, datasets: Iterable[Dataset], *, may_reject: bool = False) -> None:
        """Keep and index instances, many in one transaction."""
        arrivals = [self._arrival(d) for d in datasets]
        self.catalog.record_instances([replace(a, may_reject=may_reject) for a in arrivals])

    def _arrival(self, dataset: Dataset) -> Arrival:
        identity = InstanceIdentity(
            dataset.SOPClassUID, dataset.SOPInstanceUID, ExplicitVRLittleEndian
        )
        stored = self.store.put(identity, _encoded(dataset))
        return Arrival(
            study_uid=dataset.StudyInstanceUID,
            series_uid=dataset.SeriesInstanceUID,
            sop_instance_uid=identity.sop_instance_uid,
            sop_class_uid=identity.sop_class_uid,
            transfer_syntax_uid=identity.transfer_syntax_uid,
            key=stored.key,
            sha256=stored.sha256,
            size=stored.size,
            calling_ae="PACS",
            received_at=self.clock.now,
            patient_id=dataset.PatientID,
            issuer_of_patient_id="",
            accession_number=dataset.get("AccessionNumber", ""),
            patient_mark=patient_mark(
                dataset.PatientID,
                "",
                str(dataset.get("PatientName", "")),
                str(dataset.get("PatientBirthDate", "")),
            ),
        )

    def turn(self) -> None:
        """One turn of every timer."""
        self.runner.counts_turn()
        self.runner.assembly_turn()
        self.runner.evaluation_turn()
        self.runner.retry_turn()
        self.deliver()

    def deliver(self) -> None:
        """One turn of all that sends."""
        for destination in self.runner.destinations:
            destination.sending_turn()
            destination.confirmation_turn()
        self.runner.delivery_turn()
        self.runner.rejection_turn()

    def fall_quiet(self) -> None:
        """Let the quiet time pass, with assembly looking on and nothing else at work."""
        self.runner.assembly_turn()
        self.clock.advance(QUIET_S)
        self.runner.assembly_turn()

    def wait(self, seconds: float = QUIET_S) -> None:
        """Let time pass, with a turn at its begin and its end."""
        self.turn()
        self.clock.advance(seconds)
        self.turn()

    def study(self, study_uid: str | None = None) -> StudyRecord:
        if study_uid is None:
            (found,) = self.catalog.studies()
            return found
        return self.catalog.study(study_uid)

    @property
    def state(self) -> StudyState:
        return self.study().state

    def events(self) -> tuple[EventRecord, ...]:
        return self.catalog.events_of(self.study().study_uid)

    def reports(self) -> list[str]:
        """SOP Instance UIDs of all SRs of the one study, the oldest revision first."""
        results = self.catalog.results_of(self.study().study_uid)
        return [r.result.sop_instance_uid for r in results if r.result.kind == "sr"]


@cache
def _empty_catalog() -> bytes:
    """The file of an empty catalogue, migrated once and not for every bench."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "catalog.db"
        Catalog.open(f"sqlite:///{path}").close()
        return path.read_bytes()


def _encoded(dataset: Dataset) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, dataset)
    return buffer.getvalue()


@dataclass(frozen=True)
class Images:
    """The images of one phantom exam."""

    datasets: tuple[Dataset, ...]

    @property
    def study_uid(self) -> str:
        return str(self.datasets[0].StudyInstanceUID)

    def of(self, *words: str) -> list[Dataset]:
        """Images of the series whose description has one of the words."""
        return [d for d in self.datasets if any(w in d.SeriesDescription for w in words)]

    def without(self, *words: str) -> list[Dataset]:
        named = {d.SOPInstanceUID for d in self.of(*words)}
        return [d for d in self.datasets if d.SOPInstanceUID not in named]

    def changed(self, change: Callable[[Dataset], None]) -> Images:
        """Copies with a change to each."""
        copies = deepcopy(self.datasets)
        for dataset in copies:
            change(dataset)
        return replace(self, datasets=copies)

    def as_study(self, study_uid: str) -> Images:
        """The same images as those of another study."""

        def move(dataset: Dataset) -> None:
            dataset.StudyInstanceUID = study_uid
            dataset.SOPInstanceUID = derived_uid(study_uid, dataset.SOPInstanceUID)
            dataset.SeriesInstanceUID = derived_uid(study_uid, dataset.SeriesInstanceUID)

        return self.changed(move)


@pytest.fixture(scope="session")
def _files(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, ...]:
    exam = render_exam(3, protocol=TINY)
    folder = tmp_path_factory.mktemp("exam")
    paths: Sequence[Path] = write_study(
        exam, folder, vendor=Vendor.SIEMENS, study_date=START.date()
    )
    return tuple(path.read_bytes() for path in paths)


@pytest.fixture
def images(_files: tuple[bytes, ...]) -> Images:
    # Read anew for each test: that costs less than a deep copy of what was parsed.
    return Images(tuple(dcmread(BytesIO(file)) for file in _files))


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "node")
    yield made
    made.catalog.close()


@pytest.fixture
def bench_with(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    benches: list[Bench] = []

    def make(**options: object) -> Bench:
        benches.append(Bench(tmp_path / f"node-{len(benches)}", **options))  # type: ignore[arg-type]
        return benches[-1]

    yield make
    for made in benches:
        made.catalog.close()


@pytest.fixture
def bench_class() -> type[Bench]:
    """For tests that need many of them."""
    return Bench
