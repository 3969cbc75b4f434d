"""What a peer reads in the A-ASSOCIATE-AC when it proposes the optional items (PS3.7 D.3.3)."""

from __future__ import annotations

import pytest
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE, build_context, build_role
from pynetdicom.pdu_primitives import (
    AsynchronousOperationsWindowNegotiation,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
    SOPClassCommonExtendedNegotiation,
    SOPClassExtendedNegotiation,
    UserIdentityNegotiation,
)

from mome_node.dicom.commitment import COMMITMENT_CLASS
from mome_node.ingest.availability import NOTICE_CLASS

VERIFICATION = "1.2.840.10008.1.1"
MR = str(MRImageStorage)
ALWAYS_THERE = (
    MaximumLengthNotification,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
)


@pytest.fixture
def propose(scp):
    """Open an association with these items; it and the optional items of its answer."""
    opened = []

    def associate(*items, classes=(MR,)):
        association = AE("SENDER").associate(
            "127.0.0.1",
            scp.port,
            ae_title="MOME",
            contexts=[build_context(uid, [ExplicitVRLittleEndian]) for uid in classes],
            ext_neg=list(items),
        )
        opened.append(association)
        answer = association.acceptor.primitive.user_information
        return association, [item for item in answer if not isinstance(item, ALWAYS_THERE)]

    yield associate
    for association in opened:
        if association.is_established:
            association.release()


def test_nothing_is_answered_that_was_not_proposed(propose):
    association, answered = propose()
    assert association.is_established
    assert answered == []


@pytest.mark.parametrize("sop_class", [MR, VERIFICATION, COMMITMENT_CLASS, NOTICE_CLASS])
def test_peer_may_be_scu_and_not_scp(propose, sop_class):
    both = build_role(sop_class, scu_role=True, scp_role=True)
    association, (answered,) = propose(both, classes=(sop_class,))
    assert answered.sop_class_uid == sop_class
    assert (answered.scu_role, answered.scp_role) == (True, False)
    (context,) = association.accepted_contexts
    assert (context.as_scu, context.as_scp) == (True, False)


def test_peer_that_proposes_only_what_is_so_anyway_is_told_so(propose):
    association, (answered,) = propose(build_role(MR, scu_role=True))
    assert (answered.scu_role, answered.scp_role) == (True, False)
    assert association.is_established


@pytest.mark.parametrize("sop_class", [MR, COMMITMENT_CLASS])
def test_peer_that_would_only_be_scp_gets_no_context(propose, sop_class):
    only_scp = build_role(sop_class, scp_role=True)
    association, _ = propose(only_scp, classes=(sop_class, VERIFICATION))
    assert [c.abstract_syntax for c in association.accepted_contexts] == [VERIFICATION]
    assert association.send_c_echo().Status == 0x0000


def test_role_for_an_unknown_class_is_not_answered(propose):
    association, answered = propose(build_role("1.2.3.4", scp_role=True))
    assert answered == []
    assert association.is_established


def test_asynchronous_operations_are_not_negotiated(propose):
    item = AsynchronousOperationsWindowNegotiation()
    item.maximum_number_operations_invoked = 16
    item.maximum_number_operations_performed = 16
    association, answered = propose(item)
    assert answered == []
    assert association.acceptor.asynchronous_operations == (1, 1)


def extended(sop_class, information):
    item = SOPClassExtendedNegotiation()
    item.sop_class_uid = UID(sop_class)
    item.service_class_application_information = information
    return item


def test_storage_scu_is_told_that_everything_is_kept_and_nothing_coerced(propose):
    _, (answered,) = propose(extended(MR, bytes((3, 0, 0, 0, 2, 0))))
    assert answered.sop_class_uid == MR
    level, _, signatures, _, coercion, _ = answered.service_class_application_information
    assert (level, signatures, coercion) == (2, 0, 0)


@pytest.mark.parametrize(
    ("sop_class", "information"),
    [(MR, b"\x03"), (VERIFICATION, bytes(6)), ("1.2.3.4", bytes(6)), (COMMITMENT_CLASS, bytes(6))],
)
def test_extended_negotiation_of_something_else_is_not_answered(propose, sop_class, information):
    association, answered = propose(extended(sop_class, information))
    assert answered == []
    assert association.is_established


def test_class_that_is_known_only_by_its_relation_is_not_accepted(propose):
    item = SOPClassCommonExtendedNegotiation()
    item.sop_class_uid = UID("1.2.3.4")
    item.service_class_uid = UID("1.2.840.10008.4.2")
    item.related_general_sop_class_identification = [UID(MR)]
    association, answered = propose(item, classes=("1.2.3.4", MR))
    assert answered == []
    assert [c.abstract_syntax for c in association.accepted_contexts] == [MR]


@pytest.mark.parametrize("kind", [1, 2, 3, 4])
def test_user_identity_is_not_confirmed_and_no_reason_to_refuse(propose, kind):
    item = UserIdentityNegotiation()
    item.user_identity_type = kind
    item.positive_response_requested = True
    item.primary_field = b"somebody"
    if kind == 2:
        item.secondary_field = b"secret"
    association, answered = propose(item)
    assert association.is_established
    assert answered == []
