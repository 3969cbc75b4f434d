"""Watches what nobody is to see while a receiver is fuzzed: dying threads, tracebacks, growth."""

from __future__ import annotations

import gc
import logging
import threading
import time
import traceback
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import psutil
import structlog

ACCEPTED = {
    "Unable to decode the received PDU data": "an invalid PDU (PS3.8 AA-1, AA-8): we abort",
    "Connection closed before the entire PDU was received": "the peer went away",
    "Received an invalid DIMSE message": "a command set that is none: we abort",
}
"""What pynetdicom says right before a traceback, and why it is no fault of ours."""

ACCEPTED_IN = {
    "pynetdicom/utils.py": "a title or UID that is not ASCII: tried again otherwise, or we abort",
    "pynetdicom/service_class.py": "a request that its service does not know: we abort",
    "pynetdicom/service_class_n.py": "a request that its service does not know: we abort",
}
"""Where pynetdicom raises what it logs with a traceback, and why it is no fault of ours."""

LOG_LINES = "pynetdicom/_handlers.py"
"""The library's own log lines of a broken PDU: that it cannot write them is no fault of ours."""


class Watch(logging.Handler):
    """Collects findings: log records with a traceback, and exceptions that end a thread."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.findings: list[str] = []
        self._announced: dict[int, str] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record of the standard library's logging, as pynetdicom's.

        It says in one record what failed, and in the next of the same thread gives the traceback.
        """
        thread = record.thread or 0
        if not record.exc_info:
            self._announced[thread] = record.getMessage()
        elif not self._is_accepted(self._announced.pop(thread, ""), record.exc_info[1]):
            self._add(record.getMessage(), record.exc_info[1])

    def _is_accepted(self, announced: str, error: BaseException | None) -> bool:
        frames = traceback.extract_tb(error.__traceback__) if error else []
        if announced in ACCEPTED or any(f.filename.endswith(LOG_LINES) for f in frames):
            return True
        return bool(frames) and frames[-1].filename.endswith(tuple(ACCEPTED_IN))

    def take_event(
        self, _logger: object, method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """Take an event of the node's own log."""
        if method in ("exception", "critical") or event.get("exc_info"):
            self._add(str(event.get("event")), None)
        raise structlog.DropEvent

    def thread_died(self, args: threading.ExceptHookArgs) -> None:
        """Stand as threading.excepthook."""
        self._add(f"thread {args.thread.name if args.thread else ''} died", args.exc_value)

    def _add(self, what: str, error: BaseException | None) -> None:
        trace = "" if error is None else "".join(traceback.format_exception(error)[-4:])
        self.findings.append(f"{what}\n{trace}" if trace else f"{what}\n{traceback.format_exc()}")


@contextmanager
def watching() -> Iterator[Watch]:
    """Watch this process; what was there before is there again afterwards."""
    watch = Watch()
    logger = logging.getLogger("pynetdicom")
    before, level = threading.excepthook, logger.level
    configured = structlog.get_config()
    logger.addHandler(watch)
    logger.setLevel(logging.ERROR)
    threading.excepthook = watch.thread_died
    structlog.configure(processors=[watch.take_event], cache_logger_on_first_use=False)
    try:
        yield watch
    finally:
        structlog.configure(**configured)
        threading.excepthook = before
        logger.setLevel(level)
        logger.removeHandler(watch)


def resident_mb() -> float:
    """What this process keeps in memory, rid of what is only waiting to be collected."""
    gc.collect()
    return float(psutil.Process().memory_info().rss) / (1 << 20)


def eventually(condition: Callable[[], bool], what: str, seconds: float = 15.0) -> None:
    """Wait until another thread has brought it about; AssertionError if it does not."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(0.002)
