"""Whose rejection notes count: peers that the settings name for it, and nobody else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE

from mome_node.dicom.patient import patient_mark
from mome_node.dicom.rejection_note import KEY_OBJECT_SELECTION
from mome_node.ingest.peers import Admission, AllowedPeer
from mome_node.ingest.scp import ScpSettings, StorageScp

STUDY = "1.2.3.4"


def test_only_a_peer_that_is_named_for_it_may_reject() -> None:
    peers = (AllowedPeer("PACS", "10.0.0.5", may_reject=True), AllowedPeer("MR1", "10.0.0.6"))
    admission = Admission(peers)
    assert admission.may_reject("PACS", "10.0.0.5")
    assert not admission.may_reject("PACS", "10.0.0.6")
    assert not admission.may_reject("MR1", "10.0.0.6")
    assert not admission.may_reject("ANY", "127.0.0.1")
    assert not Admission(allow_any_peer=True).may_reject("PACS", "10.0.0.5")


@pytest.fixture
def sent(node, make_dataset) -> Callable[..., None]:
    """Send a data set of a class to a receiver that knows one peer."""

    @contextmanager
    def receiver(peer: AllowedPeer) -> Iterator[StorageScp]:
        settings = ScpSettings(host="127.0.0.1", port=0, acse_timeout_s=5)
        with StorageScp(settings, node.reception, Admission((peer,))) as running:
            yield running

    def send(peer: AllowedPeer, sop_class: str) -> None:
        dataset = make_dataset(SOPClassUID=sop_class)
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        sender = AE("SENDER")
        sender.add_requested_context(sop_class)
        with receiver(peer) as scp:
            association = sender.associate("127.0.0.1", scp.port, ae_title="MOME")
            assert association.send_c_store(dataset).Status == 0
            association.release()

    return send


@pytest.mark.parametrize("may_reject", [True, False])
def test_a_note_is_kept_and_acknowledged_and_remembers_whether_its_sender_may(
    node, sent, may_reject
) -> None:
    sent(AllowedPeer("SENDER", "127.0.0.1", may_reject=may_reject), KEY_OBJECT_SELECTION)
    (note,) = node.catalog.pending_notes()
    assert (note.authorised, note.calling_ae, note.study_uid) == (may_reject, "SENDER", STUDY)
    assert node.store.path(note.key).exists()


def test_images_are_no_notes(node, sent) -> None:
    sent(AllowedPeer("SENDER", "127.0.0.1", may_reject=True), str(MRImageStorage))
    assert node.catalog.pending_notes() == ()


def test_what_an_image_says_of_patient_and_order_is_recorded(node, make_dataset, encode) -> None:
    image = make_dataset(AccessionNumber="A-1", PatientName="Doe^Jane", PatientBirthDate="19700101")
    node.receive(encode(image))
    (record,) = node.catalog.instances_of(STUDY)
    assert record.accession_number == "A-1"
    assert record.patient_mark == patient_mark("P-1", "HOSPITAL", "DOE JANE", "19700101")
