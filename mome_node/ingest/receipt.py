"""The receipt of one instance: validate, store, index, answer. Every door comes through here.

Success is answered only when the file and the catalogue's row are durable, in this order: a row
never names a file that is not there. An instance whose row could not be written leaves at most a
file that nothing names; sending it again takes it up, ``remove_unindexed`` takes it away.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import structlog

from mome_node.catalog.catalog import Catalog
from mome_node.catalog.records import Arrival, Receipt
from mome_node.dicom.classes import decodable_transfer_syntaxes
from mome_node.dicom.dataset_walk import HeaderLimitError
from mome_node.errors import CatalogError, CatalogFullError, HeaderError, StorageError
from mome_node.ingest.arriving import ArrivingInstance
from mome_node.ingest.group_commit import GroupCommit
from mome_node.ingest.identity import DatasetIdentity, HeaderLimits, read_identity
from mome_node.ingest.outcome import Outcome, Refusal, Status, storage_refusal
from mome_node.ingest.rates import PeerRates
from mome_node.storage.store import InstanceIdentity, InstanceStore

log = structlog.get_logger(__name__)

DEFAULT_MAX_DATASET_BYTES: Final = 4 << 30


@dataclass(frozen=True, slots=True)
class ReceiptLimits:
    """What one instance may ask of us."""

    max_dataset_bytes: int = DEFAULT_MAX_DATASET_BYTES
    header: HeaderLimits = field(default_factory=HeaderLimits)


class Reception:
    """The one way in. Safe for several threads."""

    def __init__(
        self,
        store: InstanceStore,
        catalog: Catalog,
        clock: Callable[[], datetime],
        limits: ReceiptLimits | None = None,
        rates: PeerRates | None = None,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store = store
        self._commits = GroupCommit(store, catalog)
        self._clock = clock
        self._limits = limits or ReceiptLimits()
        self._rates = rates or PeerRates()
        self._wait = wait
        self._transfer_syntaxes = frozenset(decodable_transfer_syntaxes())

    def begin(self, identity: InstanceIdentity) -> ArrivingInstance:
        """Open an instance that is about to come.

        ``identity``: what the C-STORE request, or the part's File Meta Information, says of it.
        """
        return ArrivingInstance(
            self._store, identity, self._limits.max_dataset_bytes, self._transfer_syntaxes
        )

    def receive(
        self,
        arriving: ArrivingInstance,
        calling_ae: str,
        *,
        may_reject: bool = False,
        of_study: str = "",
    ) -> Outcome:
        """Take in an instance whose bytes have all come; how that ended. Uses it up.

        ``may_reject``: what the sender's rejection notes name is taken back. ``of_study``: the only
        study that an instance may be of, empty for any. Who sends more than it may hears of it
        later.
        """
        delay_s = self._rates.delay_s(calling_ae, 1, arriving.size)
        try:
            return self._take_in(arriving, calling_ae, of_study, may_reject=may_reject)
        except Refusal as refusal:
            log.warning(
                "instance refused",
                status=f"{refusal.status:04X}",
                why=str(refusal),
                calling_ae=calling_ae,
            )
            return Outcome(refusal.status, str(refusal))
        finally:
            arriving.discard()
            if delay_s:
                self._wait(delay_s)

    def _take_in(
        self, arriving: ArrivingInstance, calling_ae: str, of_study: str, *, may_reject: bool
    ) -> Outcome:
        stored = arriving.finish()  # the disk works while its header is read
        found = self._validated(arriving)
        if of_study and found.study_uid != of_study:
            raise Refusal(Status.DOES_NOT_MATCH, "the instance is of another study")
        arrival = Arrival(
            study_uid=found.study_uid,
            series_uid=found.series_uid,
            sop_instance_uid=found.sop_instance_uid,
            sop_class_uid=found.sop_class_uid,
            transfer_syntax_uid=arriving.identity.transfer_syntax_uid,
            key=stored.key,
            sha256=stored.sha256,
            size=stored.size,
            calling_ae=calling_ae,
            received_at=self._clock(),
            patient_id=found.patient_id,
            issuer_of_patient_id=found.issuer_of_patient_id,
            accession_number=found.accession_number,
            patient_mark=found.patient_mark,
            may_reject=may_reject,
        )
        receipt = self._committed(arriving, arrival)
        if receipt is Receipt.CHANGED:
            log.warning(
                "an instance came again with other bytes: both are kept, the new one counts",
                sop_instance_uid=found.sop_instance_uid,
                calling_ae=calling_ae,
            )
        return Outcome(Status.SUCCESS, receipt=receipt, study_uid=found.study_uid, size=stored.size)

    def _validated(self, arriving: ArrivingInstance) -> DatasetIdentity:
        identity = arriving.identity
        try:
            with arriving.open_dataset() as dataset:
                found = read_identity(
                    dataset, arriving.size, identity.transfer_syntax_uid, self._limits.header
                )
        except HeaderLimitError as error:
            raise Refusal(Status.TOO_COMPLEX, str(error)) from error
        except HeaderError as error:
            raise Refusal(Status.CANNOT_UNDERSTAND, str(error)) from error
        except OSError as error:
            raise Refusal(Status.PROCESSING_FAILURE, "cannot be read back") from error
        if found.sop_class_uid != identity.sop_class_uid:
            raise Refusal(Status.DOES_NOT_MATCH, "the data set is of another SOP class")
        if found.sop_instance_uid != identity.sop_instance_uid:
            raise Refusal(Status.DOES_NOT_MATCH, "the data set has another SOP Instance UID")
        return found

    def _committed(self, arriving: ArrivingInstance, arrival: Arrival) -> Receipt:
        try:
            return self._commits.commit(arriving.finished(), arrival)
        except StorageError as error:
            raise storage_refusal(error) from error
        except CatalogFullError as error:
            log.info("no room for another row", why=str(error))
            raise Refusal(
                Status.OUT_OF_RESOURCES, "out of disk space: send it again later"
            ) from error
        except CatalogError as error:
            log.error("an instance could not be indexed", exc_info=error)
            raise Refusal(
                Status.PROCESSING_FAILURE, "the instance could not be indexed: send it again"
            ) from error
