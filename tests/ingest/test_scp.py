"""The DIMSE door, against pynetdicom's own SCU."""

import contextlib
import socket
import threading
import time
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    ComprehensiveSRStorage,
    EnhancedMRImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    KeyObjectSelectionDocumentStorage,
    LegacyConvertedEnhancedMRImageStorage,
    MRImageStorage,
    RLELossless,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)
from pynetdicom import AE, build_context
from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from structlog.testing import capture_logs

from mome_node.catalog.catalog import Catalog
from mome_node.dicom.classes import PRIVATE_STORAGE_CLASSES
from mome_node.errors import CatalogError, SettingsError
from mome_node.ingest.dimse import StreamingProvider
from mome_node.ingest.outcome import Status
from mome_node.ingest.peers import Admission, AllowedPeer
from mome_node.ingest.receipt import Reception
from mome_node.ingest.scp import ScpSettings, StorageScp
from mome_node.storage.local import LocalStore

EXPLICIT = str(ExplicitVRLittleEndian)
STUDY = "1.2.3.4"
MR = str(MRImageStorage)


def eventually(condition, seconds=10):
    """Wait on a condition that another thread brings about."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def store_request(data, sop_instance_uid="1.2.3.4.5.1", sop_class=MR):
    request = C_STORE()
    request.MessageID = 1
    request.AffectedSOPClassUID = UID(sop_class)
    request.AffectedSOPInstanceUID = UID(sop_instance_uid)
    request.DataSet = BytesIO(data)
    return request


def send(association, data, sop_instance_uid="1.2.3.4.5.1", *, edit=lambda _command: None):
    """Send encoded bytes as they are, with a command that a library would not make."""
    context = association.accepted_contexts[0]
    message = C_STORE_RQ()
    message.primitive_to_message(store_request(data, sop_instance_uid, context.abstract_syntax))
    edit(message.command_set)
    association._reactor_checkpoint.clear()
    while not association._is_paused:
        time.sleep(0.001)
    for pdata in message.encode_msg(context.context_id, 16382):
        association.dul.send_pdu(pdata)
    _, answer = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    return answer


def test_echo_and_store_over_the_network(connect, node, make_dataset, encode):
    association = connect((MR, "1.2.840.10008.1.1"))
    assert association.send_c_echo().Status == Status.SUCCESS
    assert send(association, encode(make_dataset())).Status == Status.SUCCESS
    association.release()
    (record,) = node.catalog.instances_of(STUDY)
    assert record.calling_ae == "SENDER"
    read = dcmread(node.store.path(record.key))
    assert read.PixelData == bytes(32)
    assert read.file_meta.ImplementationVersionName.startswith("MOME_NODE")


def test_bad_instance_fails_alone(connect, node, make_dataset, encode):
    association = connect()
    good, bad = encode(make_dataset()), encode(make_dataset())[:100]
    assert send(association, bad).Status == Status.CANNOT_UNDERSTAND
    assert send(association, good).Status == Status.SUCCESS
    nothing = send(association, b"", edit=lambda c: setattr(c, "CommandDataSetType", 0x0101))
    assert nothing.Status == Status.CANNOT_UNDERSTAND
    mismatch = send(association, good, "1.2.9")
    assert mismatch.Status == Status.DOES_NOT_MATCH
    assert "SOP Instance UID" in mismatch.ErrorComment
    assert association.is_established
    assert len(node.files()) == 1


@pytest.mark.parametrize("uid", ["", "1.02.x", "1." * 40 + "1"])
def test_invalid_uid_in_a_command_fails_alone(connect, node, make_dataset, encode, uid):
    def edit(command):
        command["AffectedSOPInstanceUID"]._value = uid

    association = connect()
    answer = send(association, encode(make_dataset()), edit=edit)
    assert answer.Status == Status.INVALID_UID
    assert send(association, encode(make_dataset())).Status == Status.SUCCESS


@pytest.mark.parametrize(
    "uid",
    [
        str(EnhancedMRImageStorage),
        "1.2.840.10008.1.1",
        "1.2.840.10008.5.1.4.1.1.8",
        "1.2.x",
        "\xff",
    ],
)
def test_class_of_another_presentation_context_fails_alone(
    connect, node, make_dataset, encode, uid
):
    def edit(command):
        command["AffectedSOPClassUID"]._value = uid

    association = connect()
    answer = send(association, encode(make_dataset()), edit=edit)
    assert answer.Status in {Status.DOES_NOT_MATCH, Status.INVALID_UID}
    assert node.files() == []
    assert send(association, encode(make_dataset())).Status == Status.SUCCESS


@pytest.mark.parametrize("priority", [b"", b"\7\0", b"\0\0\1\0"])
def test_priority_that_is_none_holds_no_instance_back(connect, make_dataset, encode, priority):
    def edit(command):
        command[0x0000_0700] = RawDataElement(
            Tag(0x0000_0700), "US", len(priority), priority, 0, True, True
        )

    answer = send(connect(), encode(make_dataset()), edit=edit)
    assert answer.Status == Status.SUCCESS


def test_sender_is_told_when_indexing_fails(connect, node, make_dataset, encode, monkeypatch):
    def fail(_self, _arrivals, before_commit):
        raise CatalogError("the database failed")

    association = connect()
    with monkeypatch.context() as patched:
        patched.setattr(Catalog, "record_instances", fail)
        answer = send(association, encode(make_dataset()))
        assert answer.Status == Status.PROCESSING_FAILURE
    assert node.catalog.studies() == ()
    assert send(association, encode(make_dataset())).Status == Status.SUCCESS


def test_time_that_we_take_is_no_silence_of_the_sender(
    connect, node, make_dataset, encode, monkeypatch
):
    receive = Reception.receive

    def slowly(reception, arriving, calling_ae, **named):
        for provider in live_providers():
            provider._heard_at -= 7200.0  # as if the disk had taken two hours
        return receive(reception, arriving, calling_ae, **named)

    def live_providers():
        accepted = [t for t in threading.enumerate() if isinstance(t, Association)]
        return [a.dimse for a in accepted if isinstance(a.dimse, StreamingProvider)]

    monkeypatch.setattr(Reception, "receive", slowly)
    association = connect()
    assert send(association, encode(make_dataset())).Status == Status.SUCCESS
    (provider,) = live_providers()
    assert provider.silent_for_s() < 60
    again = encode(make_dataset("1.2.3.4.5.2"))
    assert send(association, again, "1.2.3.4.5.2").Status == Status.SUCCESS


def test_too_large_a_data_set_is_refused_over_the_network(connect, node, make_dataset, encode):
    association = connect()
    large = encode(make_dataset(PixelData=bytes(5 << 20)))
    assert send(association, large).Status == Status.TOO_LARGE
    assert node.files() == []
    assert send(association, encode(make_dataset())).Status == Status.SUCCESS


def test_connection_cut_in_the_middle_of_an_instance_leaves_nothing(
    connect, node, make_dataset, encode
):
    association = connect()
    context = association.accepted_contexts[0]
    message = C_STORE_RQ()
    message.primitive_to_message(store_request(encode(make_dataset(PixelData=bytes(1 << 20)))))
    fragments = list(message.encode_msg(context.context_id, 16382))
    for pdata in fragments[:30]:
        association.dul.send_pdu(pdata)
    eventually(lambda: len(node.files()) == 1)
    association.dul.socket.socket.shutdown(socket.SHUT_RDWR)
    eventually(lambda: node.files() == [])
    assert node.catalog.studies() == ()


def test_four_senders_at_once_lose_nothing(connect, node, make_dataset, encode):
    associations = [connect() for _ in range(4)]
    answers = []

    def feed(number, association):
        for index in range(5):
            uid = f"1.2.3.4.{number}.{index}"
            answers.append(send(association, encode(make_dataset(uid)), uid).Status)

    threads = [
        threading.Thread(target=feed, args=pair) for pair in enumerate(associations, start=1)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [Status.SUCCESS] * 20
    assert len(node.catalog.instances_of(STUDY)) == 20
    assert node.catalog.study(STUDY).input_count == 20


def test_association_beyond_the_limit_is_rejected_and_the_others_go_on(connect):
    opened = [connect() for _ in range(4)]
    assert all(association.is_established for association in opened)
    assert connect().is_rejected
    assert all(association.is_established for association in opened)


def test_association_that_calls_another_title_is_rejected(connect):
    association = connect(called="SOMEBODY")
    assert association.is_rejected
    answer = association.acceptor.primitive
    assert (answer.result, answer.result_source, answer.diagnostic) == (1, 1, 7)


def test_peer_that_is_not_allowed_is_rejected(node, monkeypatch):
    monkeypatch.setattr(Admission, "admits", lambda *_: False)
    scp = StorageScp(ScpSettings(host="127.0.0.1", port=0), node.reception, Admission())
    sender = AE("SENDER")
    sender.add_requested_context(MR)
    with scp, capture_logs() as logs:
        association = sender.associate("127.0.0.1", scp.port, ae_title="MOME")
        eventually(lambda: any(e["event"] == "association rejected" for e in logs))
    assert association.is_rejected
    answer = association.acceptor.primitive
    assert (answer.result, answer.result_source, answer.diagnostic) == (1, 1, 3)
    (line,) = [entry for entry in logs if entry["event"] == "association rejected"]
    assert (line["calling_ae"], line["host"]) == ("SENDER", "127.0.0.1")


def test_admission_knows_titles_hosts_and_this_machine():
    admission = Admission((AllowedPeer("PACS", "10.0.0.5"), AllowedPeer("MR1", "localhost")))
    assert admission.admits("PACS", "10.0.0.5")
    assert admission.admits("PACS ", "::ffff:10.0.0.5")
    assert not admission.admits("PACS", "10.0.0.6")
    assert not admission.admits("OTHER", "10.0.0.5")
    assert admission.admits("ANY", "127.0.0.1")
    assert admission.admits("ANY", "::1")
    assert not Admission().admits("PACS", "10.0.0.5")
    assert Admission(allow_any_peer=True).admits("PACS", "10.0.0.5")


def test_what_a_forwarded_study_holds_is_accepted_in_its_transfer_syntaxes(scp):
    classes = [
        MR,
        EnhancedMRImageStorage,
        LegacyConvertedEnhancedMRImageStorage,
        KeyObjectSelectionDocumentStorage,
        ComprehensiveSRStorage,
        SegmentationStorage,
        SecondaryCaptureImageStorage,
        *PRIVATE_STORAGE_CLASSES,
    ]
    syntaxes = [EXPLICIT, ExplicitVRBigEndian, RLELossless, JPEGLosslessSV1, JPEG2000Lossless]
    deflated_frames = "1.2.840.10008.1.2.8.1"
    contexts = [build_context(c, s) for c in classes for s in syntaxes]
    contexts.append(build_context(MR, deflated_frames))
    association = AE("SENDER").associate("127.0.0.1", scp.port, ae_title="MOME", contexts=contexts)
    assert len(association.accepted_contexts) == len(classes) * len(syntaxes)
    (rejected,) = association.rejected_contexts
    assert rejected.transfer_syntax == [deflated_frames]
    association.release()


def test_private_class_is_stored_and_makes_no_work(connect, node, make_dataset, encode):
    private = next(iter(PRIVATE_STORAGE_CLASSES))
    association = connect((private,))
    data = encode(make_dataset(SOPClassUID=UID(private)))
    assert send(association, data).Status == Status.SUCCESS
    assert node.catalog.studies_awaiting_assembly() == ()


def test_end_of_an_association_is_logged_without_patient_data(connect, node, make_dataset, encode):
    with capture_logs() as logs:
        association = connect()
        data = encode(make_dataset(PatientName="Doe^Jane"))
        send(association, data)
        send(association, data)
        send(association, data[:50])
        association.release()
        eventually(lambda: any(e["event"] == "association ended" for e in logs))
        association = connect()
        association.abort()
        eventually(lambda: [e["event"] for e in logs].count("association ended") == 2)
    first, second = (e for e in logs if e["event"] == "association ended")
    assert (first["stored"], first["duplicates"], first["refused"]) == (1, 1, 1)
    assert first["bytes"] == len(data)
    assert first["statuses"] == ["C000"]
    assert (first["ended_by"], second["ended_by"]) == ("peer released", "peer aborted")
    assert "Doe" not in str(logs)
    assert "P-1" not in str(logs)


def test_announced_giant_pdu_closes_the_connection_and_others_are_served(scp, connect):
    with socket.create_connection(("127.0.0.1", scp.port), timeout=10) as raw:
        raw.sendall(b"\x01\x00\xff\xff\xff\xf0" + bytes(1000))
        with contextlib.suppress(ConnectionResetError):
            assert raw.recv(100) == b""
    assert connect().is_established


def test_port_in_use_is_a_settings_error(scp, node):
    settings = ScpSettings(host="127.0.0.1", port=scp.port)
    with pytest.raises(SettingsError, match=str(scp.port)):
        StorageScp(settings, node.reception, Admission()).start()


def test_ae_title_that_is_none_is_a_settings_error(node):
    with pytest.raises(SettingsError, match="AE title"):
        StorageScp(ScpSettings(ae_title="A" * 17), node.reception, Admission())


def test_full_disk_is_told_to_the_sender(tmp_path: Path, node, make_dataset, encode):
    full = LocalStore(tmp_path / "full", min_free_bytes=2, free_bytes=lambda _: 1)
    reception = Reception(full, node.catalog, lambda: pytest.fail("nothing was stored"))
    sender = AE("SENDER")
    sender.add_requested_context(MR, [EXPLICIT])
    with StorageScp(ScpSettings(host="127.0.0.1", port=0), reception, Admission()) as scp:
        association = sender.associate("127.0.0.1", scp.port, ae_title="MOME")
        assert send(association, encode(make_dataset())).Status == Status.OUT_OF_RESOURCES
        association.release()
