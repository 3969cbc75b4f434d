"""Asking an archive by C-FIND: Study Root model, PS3.4 annex C, one association a question."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import date

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import _config
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at import
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

from mome_node.dicom.element_values import Elements
from mome_node.errors import (
    AnswerTooLargeError,
    ArchiveUnavailableError,
    PermanentDeliveryError,
    QueryError,
    QueryRefusedError,
    QuestionFailedError,
    TransientDeliveryError,
)
from mome_node.query.answers import (
    INSTANCE_KEYS,
    SERIES_KEYS,
    STUDY_KEYS,
    instance_uid,
    is_asked_for,
    only_study,
    series_record,
    study_record,
)
from mome_node.query.days import da, days_between
from mome_node.query.rate import RateLimiter
from mome_node.query.records import QueryLimits, SeriesRecord, StudyRecord, askable_uid

Associate = Callable[[Sequence[PresentationContext]], AbstractContextManager[Association]]
"""Opens an association that proposes these contexts; raises DeliveryError."""

_SUCCESS = 0x0000
_PENDING = (0xFF00, 0xFF01)
REFUSALS = {
    0x0122: "it does not support the Study Root model",
    0x0124: "it does not authorise us",
    0x0210: "it knows no such operation",
    0x0211: "it knows no such operation",
    0xA900: "the question does not fit its model",
}
"""Statuses (PS3.7 annex C, PS3.4 table C.4-1) that the same question will always get."""


class CFindQuery:
    """See ArchiveQuery. ``associate`` opens an association with the archive."""

    def __init__(
        self,
        associate: Associate,
        limiter: RateLimiter,
        limits: QueryLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._associate = associate
        self._limiter = limiter
        self._limits = limits or QueryLimits()
        self._clock = clock
        # The library would write every answer into its log, patients' names among it, and would
        # decode all of it for that. It has no other switch.
        _config.LOG_RESPONSE_IDENTIFIERS = False

    def studies(self, modality: str = "MR", *, since: date, until: date) -> Iterator[StudyRecord]:
        """See ArchiveQuery."""
        seen: set[str] = set()
        for day in days_between(since, until):
            identifier = _identifier("STUDY", STUDY_KEYS)
            identifier.StudyDate = da(day)
            identifier.ModalitiesInStudy = modality
            found = map(study_record, self._find(identifier))
            for study in [s for s in found if s is not None]:
                if study.study_uid not in seen and is_asked_for(study, modality, since, until):
                    seen.add(study.study_uid)
                    yield study

    def study(self, study_uid: str) -> StudyRecord | None:
        """See ArchiveQuery."""
        identifier = _identifier("STUDY", STUDY_KEYS)
        identifier.StudyInstanceUID = askable_uid(study_uid, "Study Instance UID")
        return only_study(self._find(identifier), study_uid)

    def series_of_study(self, study_uid: str) -> tuple[SeriesRecord, ...]:
        """See ArchiveQuery."""
        identifier = _identifier("SERIES", SERIES_KEYS)
        identifier.StudyInstanceUID = askable_uid(study_uid, "Study Instance UID")
        series: dict[str, SeriesRecord] = {}
        for entry in self._find(identifier):
            if (found := series_record(entry, study_uid)) is not None:
                series.setdefault(found.series_uid, found)
        return tuple(series.values())

    def instances_of_series(self, study_uid: str, series_uid: str) -> frozenset[str]:
        """See ArchiveQuery."""
        identifier = _identifier("IMAGE", INSTANCE_KEYS)
        identifier.StudyInstanceUID = askable_uid(study_uid, "Study Instance UID")
        identifier.SeriesInstanceUID = askable_uid(series_uid, "Series Instance UID")
        found = {instance_uid(e, study_uid, series_uid) for e in self._find(identifier)}
        return frozenset(uid for uid in found if uid is not None)

    def probe(self) -> str:
        """See ArchiveQuery. A C-ECHO, on an association that takes our questions, too."""
        started = self._clock()
        with self._open([build_context(Verification), _find_context()]) as assoc:
            accepted = {context.abstract_syntax for context in assoc.accepted_contexts}
            if StudyRootQueryRetrieveInformationModelFind not in accepted:
                raise QueryRefusedError("it takes no C-FIND of the Study Root model")
            if Verification in accepted and assoc.send_c_echo().get("Status") != _SUCCESS:
                raise ArchiveUnavailableError("it did not answer our C-ECHO with success")
        return f"answered C-ECHO in {1000 * (self._clock() - started):.0f} ms and takes C-FIND"

    def _find(self, identifier: Dataset) -> list[Elements]:
        """All entries of one answer."""
        self._limiter.wait()
        with self._open([_find_context()]) as assoc:
            bound = _Bound(assoc, self._limits.max_bytes)
            try:
                return list(self._entries(assoc, identifier))
            except QueryError:
                if bound.exceeded:
                    raise AnswerTooLargeError(
                        f"one answer is longer than {self._limits.max_bytes} bytes"
                    ) from None
                raise

    def _entries(self, assoc: Association, identifier: Dataset) -> Iterator[Elements]:
        limits, until = self._limits, self._clock() + self._limits.total_s
        model, count = StudyRootQueryRetrieveInformationModelFind, 0
        for answer, entry in assoc.send_c_find(identifier, model):
            status = answer.get("Status")
            if status == _SUCCESS:
                return
            if status not in _PENDING:
                raise _failure(status)
            if self._clock() > until:
                raise ArchiveUnavailableError(f"an answer takes more than {limits.total_s:g} s")
            if entry is None:
                continue  # not to be decoded
            count += 1
            if count > limits.max_entries:
                raise AnswerTooLargeError(f"one answer has more than {limits.max_entries} entries")
            yield Elements(entry)
        raise ArchiveUnavailableError("the answer ended without a status")

    @contextmanager
    def _open(self, contexts: Sequence[PresentationContext]) -> Iterator[Association]:
        try:
            with self._associate(contexts) as assoc:
                yield assoc
        except PermanentDeliveryError as error:
            raise QueryRefusedError(str(error)) from error
        except TransientDeliveryError as error:
            raise ArchiveUnavailableError(str(error)) from error
        except RuntimeError as error:  # the library's word for an association that is gone
            raise ArchiveUnavailableError("the connection was lost") from error


class _Bound:
    """Closes the connection when the peer sends more than is taken.

    The library would gather 4 GiB of one PDU, and any number of PDUs of one message.
    """

    def __init__(self, assoc: Association, max_bytes: int) -> None:
        self.exceeded = False
        self._left = max_bytes
        connection = assoc.dul.socket
        if connection is None:
            return
        self._receive = connection.recv
        connection.recv = self._receive_bounded  # type: ignore[method-assign, assignment]  # no hook

    def _receive_bounded(self, count: int) -> bytearray:
        self._left -= count
        if self._left < 0:
            self.exceeded = True
            raise OSError("more was announced than is taken")
        return self._receive(count)


def _identifier(level: str, keys: Sequence[str]) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    for keyword in keys:
        setattr(identifier, keyword, None)
    return identifier


def _find_context() -> PresentationContext:
    # None of the deflated ones: an answer must not grow after its length was counted.
    return build_context(
        StudyRootQueryRetrieveInformationModelFind,
        [ExplicitVRLittleEndian, ImplicitVRLittleEndian],
    )


def _failure(status: int | None) -> QueryError:
    if status is None:
        return ArchiveUnavailableError(
            "no answer to C-FIND, or the archive hung up: does it let our AE title ask?"
        )
    words = REFUSALS.get(status)
    if words is not None:
        return QueryRefusedError(f"C-FIND failed with status 0x{status:04X}: {words}")
    return QuestionFailedError(f"C-FIND failed with status 0x{status:04X}")
