"""Availability notices: validate, keep, answer (PS3.4 annex R, N-CREATE).

A notice lists instances that somebody may retrieve. It is used as the list of what a study
consists of. Success is answered only when the catalogue holds it; the same notice again changes
nothing and is answered with success, too, since the first answer may have been lost.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Final

import structlog

from mome_node.catalog.catalog import Catalog
from mome_node.catalog.records import Availability, NamedInstance
from mome_node.dicom.attribute_list import (
    AttributeFault,
    AttributeRefusal,
    items_of,
    read_attribute_list,
    text_of,
    uid_of,
)
from mome_node.dicom.dataset_walk import WalkedItem, WalkLimits
from mome_node.errors import CatalogError, NoticeTooLargeError

log = structlog.get_logger(__name__)

NOTICE_CLASS: Final = "1.2.840.10008.5.1.4.33"
MAX_NOTICE_BYTES: Final = 8 << 20
MAX_REFERENCES: Final = 50_000
LIMITS: Final = WalkLimits(max_depth=8, max_elements=12 * MAX_REFERENCES)

_STUDY: Final = 0x0020000D
_SERIES_SEQUENCE: Final = 0x00081115
_SERIES: Final = 0x0020000E
_INSTANCE_SEQUENCE: Final = 0x00081199
_CLASS: Final = 0x00081150
_INSTANCE: Final = 0x00081155
_AVAILABILITY: Final = 0x00080056
_WANTED: Final = frozenset(
    {_STUDY, _SERIES_SEQUENCE, _SERIES, _INSTANCE_SEQUENCE, _CLASS, _INSTANCE, _AVAILABILITY}
)


class NoticeStatus(IntEnum):
    """Answers to an N-CREATE request (PS3.7 10.1.5.1.6 and annex C)."""

    SUCCESS = 0x0000
    INVALID_VALUE = 0x0106
    PROCESSING_FAILURE = 0x0110
    INVALID_INSTANCE = 0x0117
    NO_SUCH_CLASS = 0x0118
    MISSING_ATTRIBUTE = 0x0120
    MISSING_VALUE = 0x0121
    RESOURCE_LIMITATION = 0x0213


_STATUS_OF: Final = {
    AttributeFault.BROKEN: NoticeStatus.PROCESSING_FAILURE,
    AttributeFault.TOO_MUCH: NoticeStatus.RESOURCE_LIMITATION,
    AttributeFault.MISSING: NoticeStatus.MISSING_ATTRIBUTE,
    AttributeFault.EMPTY: NoticeStatus.MISSING_VALUE,
    AttributeFault.INVALID: NoticeStatus.INVALID_VALUE,
}


@dataclass(frozen=True, slots=True)
class NoticeAnswer:
    """What became of a notice. ``comment`` is for the sender and holds no patient data."""

    status: NoticeStatus
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """A valid notice: the instances of one study that it names."""

    study_uid: str
    named: tuple[NamedInstance, ...]


class NoticeRefusal(Exception):  # noqa: N818 (an outcome on its way up, no error of the node)
    """Ends the receipt of one notice with a failure status; never leaves ``ingest``."""

    def __init__(self, status: NoticeStatus, comment: str) -> None:
        super().__init__(comment)
        self.status = status


class NoticeReception:
    """The receipt of notices. Safe for several threads; one is read at a time."""

    def __init__(self, catalog: Catalog, clock: Callable[[], datetime]) -> None:
        self._catalog = catalog
        self._clock = clock
        self._turn = threading.Lock()

    def receive(self, attributes: bytes, transfer_syntax_uid: str, calling_ae: str) -> NoticeAnswer:
        """Take in the encoded attribute list of an N-CREATE request; how that ended."""
        try:
            with self._turn:
                notice = read_notice(attributes, transfer_syntax_uid)
                self._keep(notice, calling_ae)
        except NoticeRefusal as refusal:
            log.warning(
                "notice refused",
                status=f"{refusal.status:04X}",
                why=str(refusal),
                calling_ae=calling_ae,
            )
            return NoticeAnswer(refusal.status, str(refusal))
        log.info("notice", study=notice.study_uid, named=len(notice.named), calling_ae=calling_ae)
        return NoticeAnswer(NoticeStatus.SUCCESS)

    def _keep(self, notice: Notice, calling_ae: str) -> None:
        try:
            self._catalog.notices.record(notice.study_uid, notice.named, calling_ae, self._clock())
        except NoticeTooLargeError as error:
            raise NoticeRefusal(NoticeStatus.RESOURCE_LIMITATION, str(error)) from error
        except CatalogError as error:
            log.exception("a notice could not be kept")
            raise NoticeRefusal(
                NoticeStatus.PROCESSING_FAILURE, "the notice could not be kept: send it again"
            ) from error


def read_notice(attributes: bytes, transfer_syntax_uid: str) -> Notice:
    """Read and check an attribute list (PS3.4 table R.3.2-1).

    What nothing here depends on may be absent: the procedure step and Retrieve AE Title. Raises
    NoticeRefusal.
    """
    try:
        found = read_attribute_list(attributes, transfer_syntax_uid, _WANTED, LIMITS)
        study_uid = uid_of(found, _STUDY)
        named = tuple(_named(found))
    except AttributeRefusal as refusal:
        raise NoticeRefusal(_STATUS_OF[refusal.fault], str(refusal)) from refusal
    series_of: dict[str, str] = {}
    for instance in named:
        if series_of.setdefault(instance.sop_instance_uid, instance.series_uid) != (
            instance.series_uid
        ):
            raise NoticeRefusal(NoticeStatus.INVALID_VALUE, "an instance stands in two series")
    return Notice(study_uid, named)


def _named(notice: WalkedItem) -> Iterator[NamedInstance]:
    count = 0
    for series in items_of(notice, _SERIES_SEQUENCE):
        series_uid = uid_of(series, _SERIES)
        for reference in items_of(series, _INSTANCE_SEQUENCE):
            count += 1
            if count > MAX_REFERENCES:
                told = f"more than {MAX_REFERENCES} instances in one notice"
                raise NoticeRefusal(NoticeStatus.RESOURCE_LIMITATION, told)
            yield NamedInstance(
                series_uid,
                sop_instance_uid=uid_of(reference, _INSTANCE),
                sop_class_uid=uid_of(reference, _CLASS),
                availability=_availability(reference),
            )


def _availability(reference: WalkedItem) -> Availability:
    text = text_of(reference, _AVAILABILITY)
    try:
        return Availability(text)
    except ValueError as error:
        allowed = ", ".join(Availability)
        raise NoticeRefusal(
            NoticeStatus.INVALID_VALUE, f"Instance Availability must be of {allowed}"
        ) from error
