"""Files that real and broken software made, through the one receipt: each has its outcome.

``tests/data/dicom/expected.csv`` says which, and why; a file it does not name is accepted.
"""

import csv
import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from mome_node.assembly.plan import Verdict
from mome_node.assembly.rules import AssemblyRules
from mome_node.assembly.study import plan_study
from mome_node.catalog.catalog import Catalog
from mome_node.dicom.header_reading import read_facts
from mome_node.dicom.pixels import decode_frames
from mome_node.errors import HeaderError, PixelDataError
from mome_node.ingest.outcome import Outcome, Status
from mome_node.ingest.receipt import Reception
from mome_node.storage.local import LocalStore
from mome_node.storage.store import InstanceIdentity

DATA = Path(__file__).parents[1] / "data" / "dicom"
NOW = datetime(2030, 1, 1, tzinfo=UTC)
FILES = sorted(p.relative_to(DATA).as_posix() for p in DATA.rglob("*.dcm"))
BASELINE = "malformed/generated/BASELINE_valid_ct.dcm"


@dataclass(frozen=True)
class Expected:
    outcome: str = "stored"
    status: Status = Status.SUCCESS
    pixels: str = "decoded"


def expectations() -> dict[str, Expected]:
    with (DATA / "expected.csv").open(newline="") as table:
        named = {
            row["file"]: Expected(row["outcome"], Status(int(row["status"], 16)), row["pixels"])
            for row in csv.DictReader(table)
        }
    return {file: named.get(file, Expected()) for file in FILES}


EXPECTED = expectations()


def files_with(*outcomes: str) -> list[str]:
    return [file for file, expected in EXPECTED.items() if expected.outcome in outcomes]


def split(data: bytes) -> tuple[dict[int, bytes], bytes]:
    """File Meta Information by element number, and the data set that a C-STORE sends."""
    position = 132 if data[128:132] == b"DICM" else 0
    meta = {}
    while position + 8 <= len(data):
        group, element, vr, length = struct.unpack("<HH2sH", data[position : position + 8])
        if group != 2:
            break
        position += 8
        if vr in (b"OB", b"UN"):
            (length,) = struct.unpack("<L", data[position : position + 4])
            position += 4
        meta[element] = data[position : position + length].rstrip(b"\0 ")
        position += length
    return meta, data[position:]


def announced_by_file_meta(file: str) -> InstanceIdentity:
    meta, _ = split((DATA / file).read_bytes())
    sop_class, instance, syntax = (meta.get(e, b"").decode("latin-1") for e in (2, 3, 0x10))
    return InstanceIdentity(sop_class, instance, syntax)


def announced(file: str) -> InstanceIdentity:
    """What a sender says of a file: the UIDs of the data set, else of File Meta Information."""
    meta = announced_by_file_meta(file)
    tags = ["SOPClassUID", "SOPInstanceUID"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read = dcmread(DATA / file, force=True, stop_before_pixels=True, specific_tags=tags)
    is_implicit, is_little = read.original_encoding
    native = ImplicitVRLittleEndian if is_implicit else ExplicitVRLittleEndian
    return InstanceIdentity(
        str(read.get("SOPClassUID") or meta.sop_class_uid),
        str(read.get("SOPInstanceUID") or meta.sop_instance_uid),
        meta.transfer_syntax_uid or str(native if is_little else ExplicitVRBigEndian),
    )


@dataclass
class Door:
    store: LocalStore
    catalog: Catalog
    reception: Reception
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    def send(self, file: str, identity: InstanceIdentity) -> Outcome:
        arriving = self.reception.begin(identity)
        _, dataset = split((DATA / file).read_bytes())
        for start in range(0, len(dataset), 65_536):
            arriving.write(dataset[start : start + 65_536])
        return self.reception.receive(arriving, "PACS")

    def received(self, file: str) -> Outcome:
        """Send the file as a careful sender does; the first time only."""
        if file not in self.outcomes:
            self.outcomes[file] = self.send(file, announced(file))
        return self.outcomes[file]

    def path(self, file: str) -> Path:
        """Where the received file's instance lies."""
        _, dataset = split((DATA / file).read_bytes())
        syntax = announced(file).transfer_syntax_uid.encode()
        digest = sha256(syntax + b"\0" + dataset).hexdigest()
        records = self.catalog.instances_of(self.received(file).study_uid, current_only=False)
        (key,) = [r.key for r in records if r.sha256 == digest]
        return self.store.path(key)

    def count(self) -> tuple[int, int]:
        """Files in the store that hold something, and instances in the catalogue."""
        root = self.store.path("0" * 64).parents[2]
        studies = [s.study_uid for s in self.catalog.studies()]
        rows = [self.catalog.instances_of(uid, current_only=False) for uid in studies]
        files = [p for p in root.rglob("*") if p.is_file() and p.stat().st_size]
        return len(files), sum(map(len, rows))


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """One node for all files, so that it has to stay up."""
    root = tmp_path_factory.mktemp("node")
    store = LocalStore(root / "data", min_free_bytes=0)
    with pytest.MonkeyPatch.context() as patch:
        # What a sync is for is proven elsewhere; hundreds of them only take time.
        patch.setattr("mome_node.storage.local.os.fsync", lambda _descriptor: None)
        with Catalog.open(f"sqlite:///{root}/catalog.db") as catalog:
            yield Door(store, catalog, Reception(store, catalog, lambda: NOW))


def test_expectations_name_only_files_that_are_there_and_every_file_with_a_fault():
    with (DATA / "expected.csv").open(newline="") as table:
        named = {row["file"] for row in csv.DictReader(table)}
    assert named <= set(FILES)
    assert {f for f in FILES if f.startswith(("malformed/", "transfer-syntaxes/"))} <= named


@pytest.mark.parametrize("file", files_with("refused"))
def test_file_that_cannot_be_placed_is_refused_and_leaves_nothing(door, file):
    before = door.count()
    outcome = door.received(file)
    assert outcome.status is EXPECTED[file].status, outcome.comment
    assert door.count() == before


@pytest.mark.parametrize(
    "file", files_with("stored", "stored, not evaluable", "stored and quarantined")
)
def test_file_that_can_be_placed_is_stored_byte_for_byte(door, file):
    _, dataset = split((DATA / file).read_bytes())
    outcome = door.received(file)
    assert outcome.status is Status.SUCCESS, outcome.comment
    assert outcome.size == len(dataset)
    assert split(door.path(file).read_bytes())[1] == dataset


@pytest.mark.parametrize("file", [f for f in files_with("stored") if EXPECTED[f].pixels != "none"])
def test_stored_image_reads_and_decodes(door, file):
    facts = read_facts(door.path(file))
    frames = sum(1 for _ in decode_frames(door.path(file), facts=facts))
    assert frames == len(facts.frames) > 0


@pytest.mark.parametrize("file", [f for f in files_with("stored") if EXPECTED[f].pixels == "none"])
def test_stored_object_without_an_image_reads_and_is_no_input(door, file):
    facts = read_facts(door.path(file))
    with pytest.raises(PixelDataError):
        list(decode_frames(door.path(file), facts=facts))


@pytest.mark.parametrize("file", files_with("stored, not evaluable"))
def test_file_whose_pixels_are_of_no_use_is_stored_and_never_becomes_input(door, file):
    facts = read_facts(door.path(file))
    with pytest.raises(PixelDataError):
        list(decode_frames(door.path(file), facts=facts))


@pytest.mark.parametrize("file", files_with("stored and quarantined"))
def test_file_whose_header_is_unreadable_quarantines_its_study(door, file):
    with pytest.raises(HeaderError):
        read_facts(door.path(file))
    uid = announced(file).sop_instance_uid
    plan = plan_study((), AssemblyRules(), now=NOW, unreadable=[uid])
    assert plan.verdict is Verdict.QUARANTINED


CONTRADICTING = [
    "malformed/generated/TC0399_sop_class_mismatch.dcm",
    "malformed/found-in-the-field/badVR.dcm",
    "transfer-syntaxes/single/JPEGLossless_1s_1f_i_16_16_bad.dcm",
    "vendor-mr/hitachi-echelon-t1/001.dcm",
]


@pytest.mark.parametrize("file", CONTRADICTING)
def test_sender_that_announces_another_instance_than_the_data_set_is_refused(door, file):
    before = door.count()
    outcome = door.send(file, announced_by_file_meta(file))
    assert outcome.status is Status.DOES_NOT_MATCH
    assert door.count() == before


def test_same_image_in_another_encoding_is_kept_beside_the_first(tmp_path):
    files = [f for f in FILES if f.startswith("transfer-syntaxes/mr-small/")]
    store = LocalStore(tmp_path / "data", min_free_bytes=0)
    with Catalog.open(f"sqlite:///{tmp_path}/catalog.db") as catalog:
        door = Door(store, catalog, Reception(store, catalog, lambda: NOW))
        outcomes = [door.send(file, announced(file)) for file in files]
        assert {o.status for o in outcomes} == {Status.SUCCESS}
        (study,) = {o.study_uid for o in outcomes}
        every = catalog.instances_of(study, current_only=False)
        assert len(catalog.instances_of(study)) == 1
        assert len({r.sha256 for r in every}) == len(every) == len(files)


def test_node_takes_a_sound_image_after_all_broken_ones(door):
    for file in FILES:
        if file.startswith("malformed/"):
            door.send(file, announced(file))
    assert door.send(BASELINE, announced(BASELINE)).status is Status.SUCCESS
