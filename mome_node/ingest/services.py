"""What is answered to requests that pynetdicom reads: its events, and our services behind them.

A C-STORE request comes here only where the transport has not taken it; see ``transport``.
"""

from __future__ import annotations

from enum import IntEnum

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE, N_ACTION, N_CREATE, N_EVENT_REPORT

from mome_node.catalog.commitments import AskingPeer
from mome_node.dicom.commitment import COMMITMENT_CLASS
from mome_node.dicom.commitment_report import ReportStatus
from mome_node.ingest.availability import (
    NOTICE_CLASS,
    NoticeAnswer,
    NoticeReception,
    NoticeStatus,
)
from mome_node.ingest.commitment import ActionAnswer, ActionStatus, CommitmentReception
from mome_node.ingest.commitment_results import CommitmentResults, ResultAnswer
from mome_node.ingest.dimse import ArrivingDataset, StreamingProvider
from mome_node.ingest.outcome import Status
from mome_node.ingest.request_commands import replace_unusable_uids
from mome_node.ingest.storage_service import StorageService
from mome_node.ingest.store_messages import MAX_COMMENT


class Services:
    """Storage, availability notices, storage commitment in both roles: each if there is one."""

    def __init__(
        self,
        storage: StorageService,
        notices: NoticeReception | None,
        commitment: CommitmentReception | None,
        results: CommitmentResults | None,
    ) -> None:
        self._storage = storage
        self._notices = notices
        self._commitment = commitment
        self._results = results

    def on_store(self, event: evt.Event) -> Dataset:
        """Answer a C-STORE request that the library has read."""
        provider = provider_of(event.assoc)
        if not isinstance(event.request, C_STORE):
            return _answer(Status.CANNOT_UNDERSTAND, "this SOP class is stored, nothing else")
        dataset = event.request.DataSet
        assert isinstance(dataset, ArrivingDataset)  # its provider put it there
        arriving = provider.claim(dataset)
        outcome = self._storage.answer(arriving, event.context.abstract_syntax, event.assoc)
        provider.tally.count(outcome)
        return _answer(outcome.status, outcome.comment)

    def on_notice(self, event: evt.Event) -> tuple[Dataset, Dataset | None]:
        """Answer an N-CREATE request."""
        provider = provider_of(event.assoc)
        assert isinstance(event.request, N_CREATE)
        attributes = event.request.AttributeList
        assert isinstance(attributes, ArrivingDataset)  # its provider put it there
        try:
            answer = self._notice_answer(event, attributes)
        finally:
            provider.free_room()
        named = None
        if answer.status is NoticeStatus.SUCCESS and not event.request.AffectedSOPInstanceUID:
            named = Dataset()
            named.AffectedSOPInstanceUID = generate_uid(prefix=None)
        return _answer(answer.status, answer.comment), named

    def _notice_answer(self, event: evt.Event, attributes: ArrivingDataset) -> NoticeAnswer:
        is_notice = attributes.names_notice and event.context.abstract_syntax == NOTICE_CLASS
        if not is_notice or self._notices is None:
            return NoticeAnswer(NoticeStatus.NO_SUCH_CLASS, "only availability notices are taken")
        if not attributes.instance_is_valid:
            return NoticeAnswer(NoticeStatus.INVALID_INSTANCE, "no UID (PS3.5 9.1)")
        if attributes.too_large:
            return NoticeAnswer(NoticeStatus.RESOURCE_LIMITATION, "the notice is too large")
        return self._notices.receive(
            attributes.getvalue(),
            event.context.transfer_syntax,
            event.assoc.requestor.ae_title.strip(),
        )

    def on_action(self, event: evt.Event) -> tuple[Dataset, None]:
        """Answer an N-ACTION request."""
        provider = provider_of(event.assoc)
        assert isinstance(event.request, N_ACTION)
        information = event.request.ActionInformation
        assert isinstance(information, ArrivingDataset)  # its provider put it there
        try:
            answer = self._action_answer(event, information)
        finally:
            provider.free_room()
        return _answer(answer.status, answer.comment), None

    def _action_answer(self, event: evt.Event, information: ArrivingDataset) -> ActionAnswer:
        is_ours = information.names_commitment and (
            event.context.abstract_syntax == COMMITMENT_CLASS
        )
        if not is_ours or self._commitment is None:
            return ActionAnswer(ActionStatus.NO_SUCH_CLASS, "only storage commitment is known")
        if not _may_ask(event):
            return ActionAnswer(ActionStatus.NOT_AUTHORISED, "the role of SCU was not agreed")
        if not information.instance_is_valid:
            return ActionAnswer(ActionStatus.NO_SUCH_INSTANCE, "not the well-known instance")
        if information.too_large:
            return ActionAnswer(ActionStatus.RESOURCE_LIMITATION, "the request is too large")
        peer = event.assoc.requestor
        return self._commitment.receive(
            event.action_type,
            information.getvalue(),
            event.context.transfer_syntax,
            AskingPeer(peer.ae_title.strip(), str(peer.address)),
            provider_of(event.assoc).reports,
        )

    def on_report(self, event: evt.Event) -> tuple[Dataset, None]:
        """Answer an N-EVENT-REPORT request."""
        provider = provider_of(event.assoc)
        assert isinstance(event.request, N_EVENT_REPORT)
        information = event.request.EventInformation
        assert isinstance(information, ArrivingDataset)  # its provider put it there
        try:
            answer = self._report_answer(event, information)
        finally:
            provider.free_room()
        return _answer(answer.status, answer.comment), None

    def _report_answer(self, event: evt.Event, information: ArrivingDataset) -> ResultAnswer:
        is_ours = information.names_commitment and (
            event.context.abstract_syntax == COMMITMENT_CLASS
        )
        if not is_ours or self._results is None:
            return ResultAnswer(ReportStatus.NO_SUCH_CLASS, "no such reports are taken")
        if not information.instance_is_valid:
            return ResultAnswer(ReportStatus.NO_SUCH_INSTANCE, "not the well-known instance")
        if information.too_large:
            return ResultAnswer(ReportStatus.RESOURCE_LIMITATION, "the report is too large")
        peer = event.assoc.requestor
        return self._results.receive(
            information.event_type,
            information.getvalue(),
            event.context.transfer_syntax,
            peer.ae_title.strip(),
            str(peer.address),
        )


def provider_of(association: Association) -> StreamingProvider:
    """Return the DIMSE service provider that was set when the connection opened."""
    provider = association.dimse
    assert isinstance(provider, StreamingProvider)
    return provider


def _may_ask(event: evt.Event) -> bool:
    """Tell whether the peer may be SCU, and is, in the presentation context of its request."""
    offered = event.assoc.acceptor.supported_contexts
    return any(c.abstract_syntax == COMMITMENT_CLASS and c.scu_role for c in offered) and any(
        context.context_id == event.context.context_id and context.as_scp
        for context in event.assoc.accepted_contexts
    )


def on_message(event: evt.Event) -> None:
    """Let a request with unusable UIDs through to its own refusal."""
    replace_unusable_uids(event.message)


def on_echo(_event: evt.Event) -> int:
    """Answer a C-ECHO request (PS3.4 annex A)."""
    return Status.SUCCESS.value


def _answer(status: IntEnum, comment: str) -> Dataset:
    answer = Dataset()
    answer.Status = status.value
    if status != Status.SUCCESS:
        answer.ErrorComment = comment[:MAX_COMMENT]
    return answer
