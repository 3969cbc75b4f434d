"""The one receipt: what is acknowledged, what is refused, and in which order things happen."""

import itertools
import threading
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    ComprehensiveSRStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
)
from sqlalchemy import event

from mome_node.catalog.catalog import Catalog
from mome_node.catalog.records import Receipt, ResultRow
from mome_node.catalog.states import StudyState
from mome_node.errors import CatalogError, StorageError, StorageFullError
from mome_node.ingest.orphans import remove_unindexed
from mome_node.ingest.outcome import Status
from mome_node.ingest.receipt import Reception
from mome_node.storage.local import LocalStore
from mome_node.storage.store import InstanceIdentity

STUDY = "1.2.3.4"
DEFLATED = str(DeflatedExplicitVRLittleEndian)
NOW = datetime(2030, 1, 1, tzinfo=UTC)


def deflate(data):
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflater.compress(data) + deflater.flush()


def assert_nothing_is_visible(node):
    assert node.files() == []
    assert node.catalog.studies() == ()


def test_acknowledged_instance_is_stored_byte_for_byte_and_indexed(node, make_dataset, encode):
    data = encode(make_dataset())
    outcome = node.receive(data)
    assert outcome.status is Status.SUCCESS
    assert outcome.receipt is Receipt.NEW
    (record,) = node.catalog.instances_of(STUDY)
    with node.store.open(record.key) as file:
        assert file.read().endswith(data)
    assert record.size == len(data)
    assert record.calling_ae == "PACS"
    assert record.role_using
    study = node.catalog.study(STUDY)
    assert (study.patient_id, study.issuer_of_patient_id) == ("P-1", "HOSPITAL")


@pytest.mark.parametrize(
    "syntax", [str(ImplicitVRLittleEndian), str(ExplicitVRBigEndian), DEFLATED]
)
def test_every_encoding_is_read(node, make_dataset, encode, syntax):
    data = encode(make_dataset(), syntax)
    if syntax == DEFLATED:
        data = deflate(data)
    assert node.receive(data, transfer_syntax=syntax).status is Status.SUCCESS
    (record,) = node.catalog.instances_of(STUDY)
    assert dcmread(node.store.path(record.key)).PixelData == bytes(32)


def test_character_set_that_readers_give_up_over_is_refused(node, make_dataset, encode):
    data = encode(make_dataset()).replace(b"ISO_IR 100", b"ISO\0IR 100")
    outcome = node.receive(data)
    assert outcome.status is Status.CANNOT_UNDERSTAND
    assert "Specific Character Set" in outcome.comment
    assert node.files() == []


@pytest.mark.parametrize(
    ("character_set", "patient_id", "encoded"),
    [
        ("ISO_IR 100", "Mü-1", "Mü-1".encode("latin-1")),
        ("ISO_IR 192", "王-1", "王-1".encode()),
    ],
)
def test_patient_id_is_decoded_as_its_character_set_says(
    node, make_dataset, encode, character_set, patient_id, encoded
):
    data = encode(make_dataset(SpecificCharacterSet=character_set, PatientID=encoded))
    assert node.receive(data).status is Status.SUCCESS
    assert node.catalog.study(STUDY).patient_id == patient_id


def test_same_bytes_twice_are_acknowledged_and_kept_once(node, make_dataset, encode):
    data = encode(make_dataset())
    node.receive(data)
    outcome = node.receive(data)
    assert (outcome.status, outcome.receipt) == (Status.SUCCESS, Receipt.DUPLICATE)
    assert len(node.files()) == 1
    assert node.catalog.study(STUDY).input_count == 1


def test_other_bytes_under_the_same_uid_are_both_kept_and_told(node, make_dataset, encode):
    node.receive(encode(make_dataset(PatientComments="first")))
    outcome = node.receive(encode(make_dataset(PatientComments="second")))
    assert (outcome.status, outcome.receipt) == (Status.SUCCESS, Receipt.CHANGED)
    assert len(node.files()) == 2
    old, new = node.catalog.instances_of(STUDY, current_only=False)
    assert not old.is_current
    assert new.is_current
    assert node.catalog.instances_of(STUDY) == (new,)


def test_two_patients_with_one_accession_number_stay_two_studies(node, make_dataset, encode):
    for number, patient in enumerate(("P-1", "P-2")):
        uid = f"1.5.{number}"
        study = f"1.6.{number}"
        elements = {"PatientID": patient, "AccessionNumber": "A-1", "StudyInstanceUID": study}
        assert node.receive(encode(make_dataset(uid, **elements)), uid).status is Status.SUCCESS
    known = {s.study_uid: (s.patient_id, s.input_count) for s in node.catalog.studies()}
    assert known == {"1.6.0": ("P-1", 1), "1.6.1": ("P-2", 1)}


def test_two_threads_sending_the_same_instance_keep_one(node, make_dataset, encode):
    data = encode(make_dataset())
    start = threading.Barrier(2)
    outcomes = []

    def send():
        start.wait()
        outcomes.append(node.receive(data))

    threads = [threading.Thread(target=send) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {outcome.status for outcome in outcomes} == {Status.SUCCESS}
    assert {outcome.receipt for outcome in outcomes} == {Receipt.NEW, Receipt.DUPLICATE}
    assert len(node.files()) == 1


def test_instance_is_not_acknowledged_when_storing_fails(node, make_dataset, encode, monkeypatch):
    def fail(_path):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("mome_node.storage.incoming.os.fdatasync", fail)
    outcome = node.receive(encode(make_dataset()))
    assert outcome.status is Status.PROCESSING_FAILURE
    assert_nothing_is_visible(node)


def test_instance_is_not_acknowledged_when_indexing_fails(node, make_dataset, encode, monkeypatch):
    data = encode(make_dataset())

    def fail(_self, _arrivals, before_commit):
        raise CatalogError("the database failed")

    with monkeypatch.context() as patched:
        patched.setattr(Catalog, "record_instances", fail)
        assert node.receive(data).status is Status.PROCESSING_FAILURE
    assert node.catalog.studies() == ()
    assert node.receive(data).receipt is Receipt.NEW  # the sender's second try


def test_row_is_never_visible_before_the_file_is_durable(node, make_dataset, encode, monkeypatch):
    seen = []
    publish = LocalStore.publish

    def watched(store, finished):
        publish(store, finished)
        seen.append((len(node.files()), node.catalog.studies()))

    monkeypatch.setattr(LocalStore, "publish", watched)
    node.receive(encode(make_dataset()))
    assert seen == [(1, ())]
    assert len(node.catalog.studies()) == 1


def test_file_that_was_never_indexed_is_removed_later(node, make_dataset, encode, monkeypatch):
    publish = LocalStore.publish

    def cut_off(store, finished):
        publish(store, finished)
        raise StorageError("cut off before the commit")

    def gone(*_):
        raise CatalogError("nothing is tidied up any more")

    with monkeypatch.context() as patched:
        patched.setattr(LocalStore, "publish", cut_off)
        patched.setattr(Catalog, "unused_keys", gone)
        outcome = node.receive(encode(make_dataset("1.9")), "1.9")
    assert outcome.status is Status.PROCESSING_FAILURE
    node.receive(encode(make_dataset()))
    assert len(node.files()) == 2
    hour = timedelta(hours=1)
    assert remove_unindexed(node.store, node.catalog, datetime.now(UTC), hour) == 0
    assert remove_unindexed(node.store, node.catalog, NOW, hour) == 1
    (record,) = node.catalog.instances_of(STUDY)
    assert node.files() == [node.store.path(record.key)]


def test_full_disk_is_answered_as_out_of_resources(node, make_dataset, encode):
    full = LocalStore(node.root, min_free_bytes=100, free_bytes=lambda _: 99)
    node.reception = Reception(full, node.catalog, lambda: NOW)
    assert node.receive(encode(make_dataset())).status is Status.OUT_OF_RESOURCES
    assert_nothing_is_visible(node)


def test_full_catalogue_is_answered_as_out_of_resources_and_goes_on_by_itself(
    node, make_dataset, encode
):
    def send(number):
        uid = f"1.7.{number}"
        return node.receive(encode(make_dataset(uid, PatientID="P" * 60)), uid).status

    statuses = [send(0), send(1)]  # the study is known, and the connection of arrivals open
    ours = node.catalog._arrivals._connection.driver_connection
    (pages,) = ours.execute("PRAGMA page_count").fetchone()

    def limit(connection, *_):
        connection.execute(f"PRAGMA max_page_count={pages}")

    engine = node.catalog._database.engine
    event.listen(engine, "checkout", limit)
    limit(ours)
    while statuses[-1] is Status.SUCCESS and len(statuses) < 500:
        statuses.append(send(len(statuses)))
    event.remove(engine, "checkout", limit)
    engine.dispose()  # what is open is limited still
    assert statuses[-1] is Status.OUT_OF_RESOURCES
    kept = node.catalog.instances_of(STUDY)
    assert len(kept) == len(node.files()) == len(statuses) - 1
    assert send(len(statuses)) is Status.SUCCESS


def test_disk_that_fills_while_an_instance_arrives_refuses_it(
    node, make_dataset, encode, monkeypatch
):
    def full(*_):
        raise StorageFullError("the disk is full")

    monkeypatch.setattr("mome_node.storage.incoming.IncomingFile.write", full)
    assert node.receive(encode(make_dataset())).status is Status.OUT_OF_RESOURCES
    assert_nothing_is_visible(node)


def test_too_large_a_data_set_is_refused_and_its_bytes_are_dropped(node, make_dataset, encode):
    data = encode(make_dataset(PixelData=bytes(5 << 20)))
    assert node.receive(data).status is Status.TOO_LARGE
    assert_nothing_is_visible(node)


def test_data_set_of_another_instance_or_class_is_refused(node, make_dataset, encode):
    data = encode(make_dataset())
    assert node.receive(data, "1.2.3.9").status is Status.DOES_NOT_MATCH
    outcome = node.receive(data, sop_class=str(ComprehensiveSRStorage))
    assert outcome.status is Status.DOES_NOT_MATCH
    assert_nothing_is_visible(node)


INVALID_UIDS = ["", "1.02", "1.2.", "a.b", "1." * 40 + "1", "1.2\\1.3", "../1"]


def test_invalid_uids_of_the_command_are_refused(node, make_dataset, encode):
    for uid in INVALID_UIDS:
        assert node.receive(encode(make_dataset()), uid).status is Status.INVALID_UID, uid
    assert_nothing_is_visible(node)


@pytest.mark.parametrize(
    "keyword", ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"]
)
@pytest.mark.filterwarnings("ignore")
def test_missing_and_invalid_uids_of_the_data_set_are_refused(node, make_dataset, encode, keyword):
    for value in [None, *INVALID_UIDS]:
        dataset = make_dataset()
        if value is None:
            del dataset[keyword]
        else:
            setattr(dataset, keyword, value)
        assert node.receive(encode(dataset)).status is Status.CANNOT_UNDERSTAND, value
    assert_nothing_is_visible(node)


def nested(depth):
    dataset = Dataset()
    for _ in range(depth):
        outer = Dataset()
        outer.ReferencedStudySequence = Sequence([dataset])
        dataset = outer
    return dataset.ReferencedStudySequence


def test_sequences_that_nest_too_deep_are_refused(node, make_dataset, encode):
    shallow = encode(make_dataset(ReferencedStudySequence=nested(20)))
    assert node.receive(shallow).status is Status.SUCCESS
    deep = encode(make_dataset("1.9", ReferencedStudySequence=nested(50)))
    assert node.receive(deep, "1.9").status is Status.TOO_COMPLEX


def test_undefined_length_sequences_that_nest_too_deep_are_refused(node, make_dataset, encode):
    opening = b"\x08\x00\x10\x11SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    assert node.receive(opening * 100_000).status is Status.TOO_COMPLEX


def test_too_many_items_are_refused(node, make_dataset, encode):
    item = b"\xfe\xff\x00\xe0\x00\x00\x00\x00"
    header = encode(make_dataset(PixelData=b""))[:-12]
    bomb = b"\x09\x00\x10\x10SQ\x00\x00\xff\xff\xff\xff" + item * 400_000
    limits = node.reception._limits.header.walk
    object.__setattr__(limits, "max_elements", 100_000)
    assert node.receive(bomb + header).status is Status.TOO_COMPLEX


@pytest.mark.parametrize("size", [64 << 10, 1 << 20])
def test_long_values_are_stored_without_being_read(node, make_dataset, encode, size):
    dataset = make_dataset()
    dataset.add_new(0x00091001, "OB", bytes(size))
    dataset.add_new(0x00090010, "LO", "MAKER")
    assert node.receive(encode(dataset)).status is Status.SUCCESS


def test_header_cut_anywhere_is_refused(node, make_dataset, encode):
    data = encode(make_dataset())
    header = len(data) - 32 - 12
    ends_of_elements = 0
    for end in range(header):
        if node.receive(data[:end]).status is Status.SUCCESS:
            ends_of_elements += 1
    # It passes only where it ends exactly between two elements, with all UIDs in it.
    assert ends_of_elements == 8


MALFORMED = {
    "nothing": b"",
    "zeros": bytes(1000),
    "text": b"this is not DICOM at all " * 40,
    "part 10 file": bytes(128) + b"DICM" + bytes(100),
    "command group": b"\x00\x00\x02\x00UI\x04\x001.2\x00",
    "meta group": b"\x02\x00\x10\x00UI\x04\x001.2\x00",
    "delimiter first": b"\xfe\xff\x0d\xe0\x00\x00\x00\x00",
    "item first": b"\xfe\xff\x00\xe0\x00\x00\x00\x00",
    "sequence without item": (
        b"\x08\x00\x10\x11SQ\x00\x00\x08\x00\x00\x00\x08\x00\x05\x00CS\x00\x00"
    ),
    "item longer than sequence": (
        b"\x08\x00\x10\x11SQ\x00\x00\x08\x00\x00\x00\xfe\xff\x00\xe0\x10\x00\x00\x00" + bytes(16)
    ),
    "unclosed sequence": (
        b"\x08\x00\x10\x11SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    ),
    "length beyond the end": b"\x09\x00\x01\x10OB\x00\x00\xf0\xff\xff\xff" + bytes(100),
}


def test_broken_structure_before_the_pixel_data_is_refused(node, make_dataset, encode):
    for fault, prefix in MALFORMED.items():
        assert node.receive(prefix).status is Status.CANNOT_UNDERSTAND, fault
        if prefix:
            outcome = node.receive(prefix + encode(make_dataset()))
            assert outcome.status is Status.CANNOT_UNDERSTAND, fault
    assert_nothing_is_visible(node)


def test_uid_in_another_representation_is_refused(node, make_dataset, encode):
    data = encode(make_dataset())
    study = b"\x20\x00\x0d\x00UI"
    assert study in data
    as_text = data.replace(study, b"\x20\x00\x0d\x00LO")
    assert node.receive(as_text).status is Status.CANNOT_UNDERSTAND


def test_uid_that_stands_twice_is_refused(node, make_dataset, encode):
    twice = b"\x08\x00\x18\x00UI\x04\x001.2\x00"
    assert node.receive(twice + encode(make_dataset())).status is Status.CANNOT_UNDERSTAND


@pytest.mark.parametrize("syntax", ["", "1.2.3", "1.2.840.10008.1.2.8.1", "x"])
def test_transfer_syntax_that_cannot_be_decoded_is_refused(node, make_dataset, encode, syntax):
    outcome = node.receive(encode(make_dataset()), transfer_syntax=syntax)
    assert outcome.status is Status.CANNOT_UNDERSTAND
    assert_nothing_is_visible(node)


def test_data_set_in_another_transfer_syntax_than_agreed_is_refused(node, make_dataset, encode):
    explicit = encode(make_dataset())
    for syntax in (str(ImplicitVRLittleEndian), str(ExplicitVRBigEndian), DEFLATED):
        outcome = node.receive(explicit, transfer_syntax=syntax)
        assert outcome.status is Status.CANNOT_UNDERSTAND, syntax
    assert_nothing_is_visible(node)


def test_broken_pixel_data_is_left_to_assembly(node, make_dataset, encode):
    data = encode(make_dataset())
    assert node.receive(data[:-20]).status is Status.SUCCESS
    encapsulated = data[:-44] + b"\xe0\x7f\x10\x00OB\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0"
    assert node.receive(encapsulated).status is Status.SUCCESS


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty"])
def test_corrupt_deflate_is_refused(node, make_dataset, encode, damage):
    data = deflate(encode(make_dataset(PixelData=bytes(range(256)) * 64)))
    broken = {
        "flipped": data[:200] + bytes([data[200] ^ 0xFF]) * 8 + data[208:],
        "cut": data[:-10],
        "empty": b"",
    }[damage]
    outcome = node.receive(broken, transfer_syntax=DEFLATED)
    assert outcome.status is Status.CANNOT_UNDERSTAND
    assert_nothing_is_visible(node)


def test_deflate_bomb_is_refused(node, make_dataset, encode):
    bomb = deflate(encode(make_dataset(PixelData=bytes(64 << 20))))
    assert len(bomb) < 1 << 20
    outcome = node.receive(bomb, transfer_syntax=DEFLATED)
    assert outcome.status is Status.CANNOT_UNDERSTAND
    assert "inflates" in outcome.comment


def test_refusal_names_no_patient_data(node, make_dataset, encode, capsys):
    dataset = make_dataset(PatientName="Doe^Jane", PatientID="SECRET", StudyInstanceUID="x")
    outcome = node.receive(encode(dataset))
    shown = capsys.readouterr()
    for text in (outcome.comment, shown.out, shown.err):
        assert "SECRET" not in text
        assert "Doe" not in text


def test_classes_without_a_role_are_recorded_and_make_no_work(node, make_dataset, encode):
    data = encode(make_dataset(SOPClassUID=ComprehensiveSRStorage))
    outcome = node.receive(data, sop_class=str(ComprehensiveSRStorage))
    assert outcome.receipt is Receipt.NEW
    assert node.catalog.study(STUDY).last_input_at is None
    assert node.catalog.studies_awaiting_assembly() == ()


def test_ours_coming_back_never_reopens_a_study(node, make_dataset, encode):
    node.receive(encode(make_dataset()))
    steps = [StudyState.RECEIVING, StudyState.ASSEMBLED, StudyState.QUEUED]
    steps += [StudyState.INFERRING, StudyState.REPORTING]
    for source, target in itertools.pairwise(steps):
        node.catalog.transition(STUDY, source, target, "test", NOW)
    # Even in a class that a role may use.
    ours = ResultRow("1.9", "1.2.840.10008.5.1.4.1.1.4", "sc", "k", "s", NOW)
    node.catalog.add_results(STUDY, 1, [ours], (), "test", NOW)
    outcome = node.receive(encode(make_dataset("1.9")), "1.9")
    assert outcome.receipt is Receipt.NEW
    assert not node.catalog.study(STUDY).has_late_input
    node.receive(encode(make_dataset("1.10")), "1.10")
    node.catalog.transition(STUDY, StudyState.DELIVERING, StudyState.DELIVERED, "test", NOW)
    assert [s.study_uid for s in node.catalog.studies_with_late_input()] == [STUDY]


@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_whatever_is_accepted_reads_back_as_what_was_acknowledged(node, make_dataset, encode, data):
    dataset = make_dataset(ReferencedStudySequence=nested(2))
    syntax = data.draw(st.sampled_from(["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"]))
    encoded = bytearray(encode(dataset, syntax))
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(encoded) - 1))
        encoded[position] = data.draw(st.sampled_from([0, 1, 8, 0x20, 0x41, 0x7F, 0xFE, 0xFF]))
    outcome = node.receive(bytes(encoded), transfer_syntax=syntax)
    if outcome.status is not Status.SUCCESS:
        return
    newest = node.catalog.instances_of(outcome.study_uid)
    tags = ["SOPInstanceUID", "SOPClassUID", "StudyInstanceUID", "SeriesInstanceUID"]
    record = next(r for r in newest if r.sop_instance_uid == "1.2.3.4.5.1")
    read = dcmread(node.store.path(record.key), stop_before_pixels=True, specific_tags=tags)
    assert read.SOPInstanceUID == record.sop_instance_uid
    assert read.SOPClassUID == record.sop_class_uid
    assert read.StudyInstanceUID == record.study_uid == outcome.study_uid
    assert read.SeriesInstanceUID == record.series_uid


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.binary(max_size=400), st.sampled_from(["1.2.840.10008.1.2", DEFLATED]))
def test_no_bytes_bring_the_receipt_down(node, data, syntax):
    assert node.receive(data, transfer_syntax=syntax).status is not Status.SUCCESS


def test_value_that_cannot_be_stored_is_told_from_one_that_cannot_be_read(tmp_path: Path):
    with pytest.raises(StorageError):
        LocalStore(tmp_path / "data").open("../../etc/passwd")
    identity = InstanceIdentity("1.2", "1.3", "1.2.840.10008.1.2.1")
    stored = LocalStore(tmp_path / "data").put(identity, b"")
    assert stored.size == 0
