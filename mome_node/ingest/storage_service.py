"""The Storage service (PS3.4 annex B): what is answered to a C-STORE request, and why."""

from __future__ import annotations

from dataclasses import dataclass

from pynetdicom.association import Association

from mome_node.dicom.rejection_note import KEY_OBJECT_SELECTION
from mome_node.ingest.arriving import ArrivingInstance
from mome_node.ingest.outcome import Outcome, Status
from mome_node.ingest.peers import Admission
from mome_node.ingest.receipt import Reception
from mome_node.storage.store import InstanceIdentity


@dataclass(frozen=True, slots=True)
class StorageService:
    """Begins and ends the receipt of instances, whichever way their bytes take in between."""

    reception: Reception
    admission: Admission
    classes: frozenset[str]

    def stores(self, abstract_syntax: str) -> bool:
        """Tell whether instances of this SOP class are taken."""
        return abstract_syntax in self.classes

    def begin(self, identity: InstanceIdentity) -> ArrivingInstance:
        """Open an instance that a request announces."""
        return self.reception.begin(identity)

    def answer(
        self, arriving: ArrivingInstance, abstract_syntax: str, association: Association
    ) -> Outcome:
        """Take in an instance whose bytes have all come; what to answer. Uses it up."""
        sop_class = arriving.identity.sop_class_uid
        if sop_class != abstract_syntax:
            arriving.discard()
            return Outcome(Status.DOES_NOT_MATCH, "another presentation context was agreed")
        peer = association.requestor
        may_reject = sop_class == KEY_OBJECT_SELECTION and self.admission.may_reject(
            peer.ae_title, peer.address
        )
        return self.reception.receive(arriving, peer.ae_title.strip(), may_reject=may_reject)
