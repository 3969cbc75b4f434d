"""Availability notices: validate, keep, answer (PS3.4 annex R, N-CREATE).

A notice lists instances that somebody may retrieve. It is used as the list of what a study
consists of. Success is answered only when the catalogue holds it; the same notice again changes
nothing and is answered with success, too, since the first answer may have been lost.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Final

import structlog
from pydicom.datadict import dictionary_description
from pydicom.uid import UID

from mome_node.catalog.catalog import Catalog
from mome_node.catalog.records import Availability, NamedInstance
from mome_node.dicom.uids import is_valid_uid
from mome_node.errors import CatalogError, HeaderError, NoticeTooLargeError
from mome_node.ingest.dataset_walk import (
    Encoding,
    HeaderLimitError,
    WalkedItem,
    WalkLimits,
    walk_items,
)

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
            self._catalog.record_notice(notice.study_uid, notice.named, calling_ae, self._clock())
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
    syntax = UID(transfer_syntax_uid)
    encoding = Encoding(syntax.is_implicit_VR, syntax.is_little_endian)
    stream = io.BytesIO(attributes)
    try:
        found = walk_items(stream, len(attributes), encoding, _WANTED, LIMITS)
    except HeaderLimitError as error:
        raise NoticeRefusal(NoticeStatus.RESOURCE_LIMITATION, str(error)) from error
    except HeaderError as error:
        raise NoticeRefusal(NoticeStatus.PROCESSING_FAILURE, str(error)) from error
    study_uid = _uid(found, _STUDY)
    named = tuple(_named(found))
    series_of: dict[str, str] = {}
    for instance in named:
        if series_of.setdefault(instance.sop_instance_uid, instance.series_uid) != (
            instance.series_uid
        ):
            raise NoticeRefusal(NoticeStatus.INVALID_VALUE, "an instance stands in two series")
    return Notice(study_uid, named)


def _named(notice: WalkedItem) -> Iterator[NamedInstance]:
    count = 0
    for series in _items(notice, _SERIES_SEQUENCE):
        series_uid = _uid(series, _SERIES)
        for reference in _items(series, _INSTANCE_SEQUENCE):
            count += 1
            if count > MAX_REFERENCES:
                told = f"more than {MAX_REFERENCES} instances in one notice"
                raise NoticeRefusal(NoticeStatus.RESOURCE_LIMITATION, told)
            yield NamedInstance(
                series_uid,
                sop_instance_uid=_uid(reference, _INSTANCE),
                sop_class_uid=_uid(reference, _CLASS),
                availability=_availability(reference),
            )


def _items(parent: WalkedItem, tag: int) -> list[WalkedItem]:
    if tag not in parent.sequences:
        raise NoticeRefusal(NoticeStatus.MISSING_ATTRIBUTE, f"there is no {_name(tag)}")
    if not parent.sequences[tag]:
        raise NoticeRefusal(NoticeStatus.MISSING_VALUE, f"the {_name(tag)} is empty")
    return parent.sequences[tag]


def _uid(parent: WalkedItem, tag: int) -> str:
    text = _text(parent, tag)
    if not is_valid_uid(text):
        raise NoticeRefusal(NoticeStatus.INVALID_VALUE, f"a {_name(tag)} is no UID (PS3.5 9.1)")
    return text


def _availability(reference: WalkedItem) -> Availability:
    text = _text(reference, _AVAILABILITY)
    try:
        return Availability(text)
    except ValueError as error:
        allowed = ", ".join(Availability)
        raise NoticeRefusal(
            NoticeStatus.INVALID_VALUE, f"{_name(_AVAILABILITY)} must be of {allowed}"
        ) from error


def _text(parent: WalkedItem, tag: int) -> str:
    if tag not in parent.values:
        raise NoticeRefusal(NoticeStatus.MISSING_ATTRIBUTE, f"there is no {_name(tag)}")
    text = parent.values[tag].rstrip(b"\0 ").decode("ascii", "replace")
    if not text:
        raise NoticeRefusal(NoticeStatus.MISSING_VALUE, f"a {_name(tag)} is empty")
    return text


def _name(tag: int) -> str:
    return dictionary_description(tag)
