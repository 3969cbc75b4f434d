"""What is answered to the optional items of an association request (PS3.7 D.3.3).

- Roles (D.3.3.4): we are SCP of all that we accept. A peer that proposes to be SCU is told that it
  may; one that proposes to be SCP, too, that it may not; one that wants to be SCP only gets no
  presentation context. Storage commitment alone has both roles: a peer that we have asked is SCP
  on the association that it opens to report. One that only reports here is offered nothing else.
- Asynchronous operations (D.3.3.3): no answer, which means one operation at a time.
- SOP Class Extended Negotiation (D.3.3.5): answered for storage, below. Common Extended
  Negotiation (D.3.3.6) has no answer: a class is accepted if it is known by its own UID.
- User identity (D.3.3.7): not looked at and not kept. The association is accepted without a
  response, which tells a peer that asked for one that its identity was not verified.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Final

from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.association import Association

from mome_node.dicom.classes import storage_classes
from mome_node.dicom.commitment import COMMITMENT_CLASS

VERIFICATION: Final = "1.2.840.10008.1.1"

STORAGE_SUPPORT: Final = bytes(
    (
        2,  # level of support: full, every attribute is kept
        0,
        0,  # digital signatures: unspecified; they are kept as they come, and not verified
        0,
        0,  # element coercion: none
        0,
    )
)
"""Service-class-application-information of a Storage SCP (PS3.4 B.3.1.2).

Signature level 3 would promise that whoever retrieves an instance gets its signatures: nothing
can be retrieved from this node, so nothing is promised.
"""


def accept_as_scp(
    entity: AE, sop_class: str, transfer_syntaxes: Sequence[str] | None = None
) -> None:
    """Accept presentation contexts of a class; by default in the uncompressed transfer syntaxes."""
    syntaxes = None if transfer_syntaxes is None else list(transfer_syntaxes)
    # The roles are those that the requestor may have.
    entity.add_supported_context(sop_class, syntaxes, scu_role=True, scp_role=False)


def accept_commitment(
    entity: AE, transfer_syntaxes: Sequence[str], *, may_ask: bool, may_report: bool
) -> None:
    """Accept storage commitment in the roles that peers may have, if any."""
    if may_ask or may_report:
        entity.add_supported_context(
            COMMITMENT_CLASS, list(transfer_syntaxes), scu_role=may_ask, scp_role=may_report
        )


def offer_reporting_only(association: Association) -> None:
    """Accept of this association, which is not negotiated yet, C-ECHO and reports to us."""
    offered = {c.abstract_syntax: c for c in association.acceptor.supported_contexts}
    reports = copy(offered[UID(COMMITMENT_CLASS)])  # all associations share the one that is there
    reports.scu_role = False
    association.acceptor.supported_contexts = [offered[UID(VERIFICATION)], reports]


def answer_extended(event: evt.Event) -> dict[UID, bytes]:
    """Answer SOP Class Extended Negotiation of the storage classes that we accept, no others."""
    known = frozenset(storage_classes())
    return {
        sop_class: STORAGE_SUPPORT
        for sop_class, proposed in event.assoc.requestor.sop_class_extended.items()
        if sop_class in known and len(proposed) == len(STORAGE_SUPPORT)
    }
