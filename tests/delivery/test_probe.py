"""What a peer takes, asked without storing anything."""

from __future__ import annotations

import pytest
from pydicom.uid import (
    UID,
    Comprehensive3DSRStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from mome_node.delivery.destination import Destination
from mome_node.delivery.probe import Acceptance, probe
from mome_node.dicom.commitment import COMMITMENT_CLASS
from mome_node.errors import PermanentDeliveryError, TransientDeliveryError

FIND = UID("1.2.840.10008.5.1.4.1.2.2.1")
CLASSES = (Comprehensive3DSRStorage, SegmentationStorage, SecondaryCaptureImageStorage)
BOTH = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
PROPOSED = [(uid, syntax) for uid in CLASSES for syntax in (*BOTH, RLELossless)]


def test_what_is_taken_is_told_for_each_class_and_transfer_syntax(start_peer, short):
    peer = start_peer(syntaxes=[ImplicitVRLittleEndian], sop_classes=CLASSES[1:])
    taken = probe(peer.destination(), PROPOSED, short)
    assert taken.storage >= {(uid, ImplicitVRLittleEndian) for uid in CLASSES[1:]}
    assert taken.takes(SegmentationStorage, BOTH)
    assert not taken.takes(SegmentationStorage, [RLELossless])
    assert not taken.takes(Comprehensive3DSRStorage, BOTH)
    assert not taken.find
    assert not taken.commitment
    assert taken.echo_ms is not None
    assert peer.stored == []
    assert peer.associations == 1


def test_questions_and_commitment_are_seen(start_peer, short):
    peer = start_peer(sop_classes=[FIND, UID(COMMITMENT_CLASS)])
    taken = probe(peer.destination(), PROPOSED, short)
    assert (taken.find, taken.commitment) == (True, True)
    assert not any(taken.takes(uid, BOTH) for uid in CLASSES)


def test_a_peer_that_is_away_or_knows_us_not_is_told_as_a_delivery_would(start_peer, short):
    refusing = start_peer(check_called=True).destination("WRONG")
    with pytest.raises(PermanentDeliveryError, match="AE title WRONG"):
        probe(refusing, PROPOSED, short)
    with pytest.raises(TransientDeliveryError, match="is the peer running"):
        probe(Destination("pacs", "PACS", "127.0.0.1", 1, "MOME"), PROPOSED, short)


def test_nothing_is_taken_where_nothing_was_agreed_on():
    assert not Acceptance(None, frozenset(), False, False).takes(SegmentationStorage, BOTH)
