"""Reports on storage commitment that we asked for (PS3.4 J.3.3): check, keep, answer.

They are N-EVENT-REPORTs and come on associations that destinations open with us. A report is
taken from the destination that was asked and nobody else; success is answered when it is kept.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

import structlog

from mome_node.dicom.attribute_list import AttributeRefusal
from mome_node.dicom.commitment import CommitmentAnswer
from mome_node.dicom.commitment_report import (
    STATUS_OF_FAULT,
    CommitmentReport,
    ReportStatus,
    is_event_type,
    read_report,
)
from mome_node.errors import CatalogError
from mome_node.ingest.peers import Admission

log = structlog.get_logger(__name__)


class AskedTransactions(Protocol):
    """The transactions that this node opened with its destinations."""

    def answer(
        self, transaction_uid: str, destination: str, report: CommitmentAnswer, at: datetime, /
    ) -> bool:
        """Take in a report; durable when this returns. False: no such transaction with it.

        True for one that is settled, too: a report comes again when our answer was lost.
        CatalogError if it cannot be kept.
        """
        ...


@dataclass(frozen=True, slots=True)
class ResultAnswer:
    """What became of a report. ``comment`` is for the sender and holds no patient data."""

    status: ReportStatus
    comment: str = ""


_UNKNOWN: Final = ResultAnswer(
    ReportStatus.INVALID_VALUE, "you were not asked for such a transaction"
)


class CommitmentResults:
    """The receipt of reports. Safe for several threads; one is read at a time.

    ``speakers``: by the destination's name, the callers that may speak for it. ``kept`` is called
    with the Transaction UID of each report that was kept, before it is answered.
    """

    def __init__(
        self,
        transactions: AskedTransactions,
        clock: Callable[[], datetime],
        speakers: Mapping[str, Admission],
        kept: Callable[[str], None] = lambda _transaction_uid: None,
    ) -> None:
        self._transactions = transactions
        self._clock = clock
        self._speakers = dict(speakers)
        self._kept = kept
        self._turn = threading.Lock()

    def speaks(self, ae_title: str, address: str) -> tuple[str, ...]:
        """Return the names of the destinations that a caller may speak for.

        Waits two seconds a destination at most, for a name service.
        """
        return tuple(
            name
            for name, callers in self._speakers.items()
            if callers.named(ae_title, address) is not None
        )

    def receive(
        self,
        event_type: int | None,
        information: bytes,
        transfer_syntax_uid: str,
        ae_title: str,
        address: str,
    ) -> ResultAnswer:
        """Take in an N-EVENT-REPORT request; how that ended."""
        destinations = self.speaks(ae_title, address)
        if not destinations:
            # Told what a destination is told of a transaction that is not its own.
            return _refused(_UNKNOWN, ae_title)
        if not is_event_type(event_type):
            told = ResultAnswer(ReportStatus.NO_SUCH_EVENT, "only event types 1 and 2 are known")
            return _refused(told, ae_title)
        try:
            with self._turn:
                report = read_report(information, transfer_syntax_uid)
                destination = self._keep(report, destinations)
        except AttributeRefusal as refusal:
            told = ResultAnswer(STATUS_OF_FAULT[refusal.fault], str(refusal))
            return _refused(told, ae_title)
        except CatalogError:
            log.exception("a commitment report could not be kept")
            told = ResultAnswer(ReportStatus.PROCESSING_FAILURE, "could not be kept: send it again")
            return _refused(told, ae_title)
        if destination is None:
            return _refused(_UNKNOWN, ae_title)
        self._kept(report.transaction_uid)
        log.info(
            "commitment report",
            transaction=report.transaction_uid,
            destination=destination,
            committed=len(report.answer.committed),
            failed=len(report.answer.failed),
            reasons=sorted({f"{reason:04X}" for reason in report.answer.failed.values()}),
        )
        return ResultAnswer(ReportStatus.SUCCESS)

    def _keep(self, report: CommitmentReport, destinations: Sequence[str]) -> str | None:
        """Hand a report to the transactions; which destination it is of, None if of none."""
        now = self._clock()
        return next(
            (
                name
                for name in destinations
                if self._transactions.answer(report.transaction_uid, name, report.answer, now)
            ),
            None,
        )


def _refused(answer: ResultAnswer, ae_title: str) -> ResultAnswer:
    log.warning(
        "commitment report refused",
        status=f"{answer.status:04X}",
        why=answer.comment,
        calling_ae=ae_title,
    )
    return answer
