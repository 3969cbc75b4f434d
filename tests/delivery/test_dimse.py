"""C-STORE SCU against a loopback SCP whose answers the test chooses."""

from __future__ import annotations

import socket
import threading
from dataclasses import replace
from functools import partial

import pytest
from pydicom import dcmread
from pydicom.uid import (
    CTImageStorage,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    SecondaryCaptureImageStorage,
)
from pynetdicom import evt
from pynetdicom.pdu_primitives import MaximumLengthNotification
from pynetdicom.presentation import build_context

from mome_node.delivery.association import Timeouts, association
from mome_node.delivery.destination import Destination, Outgoing
from mome_node.delivery.dimse import DimseSender, presentation_contexts
from mome_node.delivery.instance_file import Syntax
from mome_node.errors import PermanentDeliveryError, SettingsError, TransientDeliveryError


def send(sender, *objects):
    return list(sender.send(objects))


def test_several_objects_go_over_one_association_and_keep_their_bytes(
    start_peer, make_object, data_set_of, short
):
    peer = start_peer()
    objects = [make_object() for _ in range(5)]
    receipts = send(DimseSender(peer.destination(), short), *objects)
    assert [r.sop_instance_uid for r in receipts] == [o.sop_instance_uid for o in objects]
    assert all(r.stored and r.status == 0x0000 and r.note == "" for r in receipts)
    assert peer.associations == 1
    assert peer.datasets == [data_set_of(item) for item in objects]


def test_no_answer_is_lost_to_a_reactor_that_does_not_pause(start_peer, make_object, short):
    class NeverPausing(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            super().wait(0.001)  # long enough to be taken for a pause
            return True

    peer = start_peer()
    contexts = [build_context(SecondaryCaptureImageStorage)]
    with association(peer.destination(), contexts, short) as assoc:
        assoc._reactor_checkpoint = NeverPausing()
        with make_object().open() as file:
            picture = dcmread(file)
        answers = [assoc.send_c_store(picture, msg_id=number) for number in range(50)]
    assert all(answer.Status == 0x0000 for answer in answers)


def test_compressed_object_is_sent_in_its_own_transfer_syntax(
    start_peer, make_object, data_set_of, short
):
    peer = start_peer(syntaxes=[JPEG2000Lossless, ImplicitVRLittleEndian])
    item = make_object(transfer_syntax=JPEG2000Lossless)
    (receipt,) = send(DimseSender(peer.destination(), short), item)
    assert receipt.stored
    assert peer.datasets == [data_set_of(item)]


def test_peer_that_speaks_only_implicit_vr_gets_implicit_vr(start_peer, make_object, short):
    peer = start_peer(syntaxes=[ImplicitVRLittleEndian])
    (receipt,) = send(DimseSender(peer.destination(), short), make_object())
    assert receipt.stored


def test_class_that_the_peer_does_not_take_is_refused_alone(start_peer, make_object, short):
    peer = start_peer()
    refused, taken = make_object(sop_class=CTImageStorage), make_object()
    first, second = send(DimseSender(peer.destination(), short), refused, taken)
    assert isinstance(first.error, PermanentDeliveryError)
    assert "CT Image Storage" in str(first.error)
    assert second.stored
    assert peer.stored == [taken.sop_instance_uid]


def test_peer_that_takes_no_context_is_permanent(start_peer, make_object, short):
    peer = start_peer()
    with pytest.raises(PermanentDeliveryError, match="none of the SOP classes"):
        send(DimseSender(peer.destination(), short), make_object(sop_class=CTImageStorage))


@pytest.mark.parametrize("status", [0xA900, 0xA9FF, 0x0122, 0x0117, 0x0124, 0xC000, 0xC123])
def test_refusal_of_the_object_is_permanent(start_peer, make_object, short, status):
    peer = start_peer(answer=lambda _: status)
    (receipt,) = send(DimseSender(peer.destination(), short), make_object())
    assert isinstance(receipt.error, PermanentDeliveryError)
    assert receipt.status == status
    assert f"0x{status:04X}" in str(receipt.error)


@pytest.mark.parametrize("status", [0xA700, 0xA7FF, 0x0110, 0x0213, 0x9999])
def test_failure_that_says_nothing_of_the_object_is_transient(
    start_peer, make_object, short, status
):
    peer = start_peer(answer=lambda _: status)
    (receipt,) = send(DimseSender(peer.destination(), short), make_object())
    assert isinstance(receipt.error, TransientDeliveryError)
    assert receipt.status == status


@pytest.mark.parametrize("status", [0xB000, 0xB006, 0xB007, 0xB123, 0x0107, 0x0111, 0x0116])
def test_warning_counts_as_stored_and_is_noted(start_peer, make_object, short, status):
    peer = start_peer(answer=lambda _: status)
    (receipt,) = send(DimseSender(peer.destination(), short), make_object())
    assert receipt.stored
    assert f"0x{status:04X}" in receipt.note


def test_refused_instance_does_not_stop_the_others(start_peer, make_object, short):
    peer = start_peer(answer=lambda number: 0xA900 if number == 1 else 0x0000)
    receipts = send(DimseSender(peer.destination(), short), *(make_object() for _ in range(3)))
    assert [r.stored for r in receipts] == [True, False, True]


def test_called_ae_title_not_recognised_is_permanent(start_peer, make_object, short):
    peer = start_peer(check_called=True)
    with pytest.raises(PermanentDeliveryError, match="does not answer to the AE title WRONG"):
        send(DimseSender(peer.destination("WRONG"), short), make_object())


def test_calling_ae_title_not_recognised_is_permanent(start_peer, make_object, short):
    peer = start_peer(known_callers=["OTHER"])
    with pytest.raises(PermanentDeliveryError, match="does not know our AE title MOME"):
        send(DimseSender(peer.destination(), short), make_object())


def test_busy_peer_is_transient(start_peer, make_object, short):
    peer = start_peer()
    assert peer.server is not None
    peer.server.ae.maximum_associations = 1
    first = DimseSender(peer.destination(), short).send([make_object(), make_object()])
    next(first)  # holds the only association
    with pytest.raises(TransientDeliveryError, match="rejected"):
        send(DimseSender(peer.destination(), short), make_object())
    assert [r.stored for r in first] == [True]


@pytest.mark.parametrize("length", [None, 1, 6, 7])
def test_peer_that_takes_no_fragment_is_at_fault_and_not_the_instance(
    start_peer, make_object, short, length
):
    def say(event: evt.Event) -> None:
        own = event.assoc.acceptor._user_info  # of which the library always sends a length
        own[:] = [item for item in own if not isinstance(item, MaximumLengthNotification)]
        if length is not None:
            event.assoc.acceptor.maximum_length = length

    peer = start_peer()
    assert peer.server is not None
    peer.server.bind(evt.EVT_REQUESTED, say)
    with pytest.raises(TransientDeliveryError, match="length of PDU"):
        send(DimseSender(peer.destination(), short), make_object())


def test_abort_in_the_middle_is_transient_and_keeps_the_receipts_so_far(
    start_peer, make_object, short
):
    peer = start_peer(abort_at=1)
    receipts = DimseSender(peer.destination(), short).send([make_object() for _ in range(3)])
    assert next(receipts).stored
    with pytest.raises(TransientDeliveryError):
        next(receipts)


def test_nobody_listening_is_transient(make_object, short):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        away = Destination("pacs", "PACS", "127.0.0.1", unused.getsockname()[1], "MOME")
        with pytest.raises(TransientDeliveryError, match="is the peer running"):
            send(DimseSender(away, short), make_object())


def test_unknown_host_is_transient(make_object, short):
    nowhere = Destination("pacs", "PACS", "nowhere.invalid", 104, "MOME")
    with pytest.raises(TransientDeliveryError, match="cannot be resolved"):
        send(DimseSender(nowhere, short), make_object())


def test_peer_that_accepts_the_connection_and_says_nothing_is_given_up(make_object):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mute = Destination("pacs", "PACS", "127.0.0.1", silent.getsockname()[1], "MOME")
        timeouts = Timeouts(connect_s=1.0, associate_s=0.3, answer_s=0.3)
        with pytest.raises(TransientDeliveryError, match=r"within 0\.3 s"):
            send(DimseSender(mute, timeouts), make_object())


def test_peer_that_never_answers_a_store_is_given_up(start_peer, make_object, short):
    release = threading.Event()
    peer = start_peer(answer=lambda _: 0x0000 if release.wait(30) else 0xA700)
    try:
        with pytest.raises(TransientDeliveryError, match="no answer to C-STORE"):
            send(DimseSender(peer.destination(), replace(short, answer_s=0.3)), make_object())
    finally:
        release.set()


def test_file_that_is_not_dicom_is_refused_alone(start_peer, make_object, short, tmp_path):
    peer = start_peer()
    rubbish = tmp_path / "rubbish.dcm"
    rubbish.write_bytes(b"not DICOM")
    good = make_object()
    receipts = send(
        DimseSender(peer.destination(), short),
        Outgoing("1.2.3", partial(rubbish.open, "rb")),
        Outgoing("1.2.4", partial((tmp_path / "gone.dcm").open, "rb")),
        good,
    )
    assert [r.stored for r in receipts] == [False, False, True]
    assert isinstance(receipts[0].error, PermanentDeliveryError)


def test_file_of_another_instance_is_never_sent(start_peer, make_object, short):
    peer = start_peer()
    item = make_object()
    (receipt,) = send(DimseSender(peer.destination(), short), Outgoing("1.2.3", item.open))
    assert isinstance(receipt.error, PermanentDeliveryError)
    assert peer.stored == []
    assert peer.associations == 0


def test_closing_the_receipts_early_ends_the_association(start_peer, make_object, short):
    peer = start_peer()
    receipts = DimseSender(peer.destination(), short).send([make_object(), make_object()])
    next(receipts)
    receipts.close()
    assert len(peer.stored) == 1


def test_more_contexts_than_an_association_can_hold_are_refused():
    syntaxes = [
        Syntax(SecondaryCaptureImageStorage, type(CTImageStorage)(f"1.2.{n}")) for n in range(129)
    ]
    with pytest.raises(PermanentDeliveryError, match="129"):
        presentation_contexts(syntaxes)


@pytest.mark.parametrize("title", ["", "   ", "X" * 17, "A\\B", "Ä", "A\n"])
def test_ae_title_that_dicom_does_not_allow_is_refused(title):
    with pytest.raises(SettingsError, match="ae"):
        Destination("pacs", title, "127.0.0.1", 104, "MOME")


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_port_that_tcp_does_not_allow_is_refused(port):
    with pytest.raises(SettingsError, match="port"):
        Destination("pacs", "PACS", "127.0.0.1", port, "MOME")
