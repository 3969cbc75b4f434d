"""How the receipt of an instance can end, in the words of PS3.4 B.2.3 and PS3.7 annex C."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import structlog

from mome_node.catalog.records import Receipt
from mome_node.errors import StorageError, StorageFullError

log = structlog.get_logger(__name__)


class Status(IntEnum):
    """Answers to a C-STORE request; the failure reasons of STOW-RS are the same numbers."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110
    OUT_OF_RESOURCES = 0xA700
    DOES_NOT_MATCH = 0xA900
    CANNOT_UNDERSTAND = 0xC000
    INVALID_UID = 0xC001
    TOO_COMPLEX = 0xC002
    TOO_LARGE = 0xC003


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one instance. ``comment`` is for the sender and holds no patient data."""

    status: Status
    comment: str = ""
    receipt: Receipt | None = None
    study_uid: str = ""
    size: int = 0


class Refusal(Exception):  # noqa: N818 (an outcome on its way up, no error of the node)
    """Ends the receipt of one instance with a failure status; never leaves ``ingest``."""

    def __init__(self, status: Status, comment: str) -> None:
        super().__init__(comment)
        self.status = status


def storage_refusal(error: StorageError) -> Refusal:
    """Say to the sender what a failure of the store means for it."""
    if isinstance(error, StorageFullError):
        log.info("no room for another instance", why=str(error))  # the alarm is told once
        return Refusal(Status.OUT_OF_RESOURCES, "out of disk space: send it again later")
    log.error("an instance could not be stored", why=str(error))
    return Refusal(Status.PROCESSING_FAILURE, "the instance could not be stored: send it again")
