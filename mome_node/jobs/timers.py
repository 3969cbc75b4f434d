"""Turns that are taken again and again, whatever happens in one of them."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.job import Job
from apscheduler.schedulers.background import BackgroundScheduler

from mome_node.errors import NodeError

log = structlog.get_logger(__name__)

Turn = Callable[[], None]

_APART: Final = timedelta(seconds=0.07)
"""Turns of one period do not come due together: receiving would wait for all of them at once."""


class Timers:
    """Takes each turn every so many seconds, in a thread of its own, never the same twice at once.

    A turn that comes due while it still runs is left out; the next one sees what it would have.
    """

    def __init__(self, *turns: tuple[Turn, float]) -> None:
        self._scheduler = BackgroundScheduler(
            timezone=UTC, executors={"default": ThreadPoolExecutor(len(turns))}
        )
        now = datetime.now(UTC)
        self._jobs: dict[Turn, Job] = {}
        self._hurried: set[Turn] = set()
        self._changing = threading.Lock()
        self._is_stopping = False
        for number, (turn, period_s) in enumerate(turns):
            self._jobs[turn] = self._scheduler.add_job(
                partial(self._take, turn),
                "interval",
                seconds=period_s,
                next_run_time=now + number * _APART,
                max_instances=1,
                coalesce=True,
                misfire_grace_time=None,
            )

    def start(self) -> None:
        """Take the first turns, one soon after the other."""
        self._scheduler.start()

    def hurry(self, turn: Turn) -> None:
        """Let a turn come due now: there is something for it. One that runs is taken once more."""
        with self._changing:
            # While it shuts down the scheduler holds its jobs and waits for turns that run: one of
            # those may be the caller, which must not wait for the jobs.
            if not self._is_stopping:
                self._hurried.add(turn)
                self._jobs[turn].modify(next_run_time=datetime.now(UTC))

    def ask_to_stop(self) -> None:
        """Begin no further turn."""
        with self._changing:
            self._is_stopping = True
        if self._scheduler.running:
            self._scheduler.pause()

    def join(self) -> None:
        """Begin no further turn and wait until those that run have ended.

        Harmless if never started.
        """
        self.ask_to_stop()
        if self._scheduler.running:
            self._scheduler.shutdown(wait=True)

    def _take(self, turn: Turn) -> None:
        again = True
        while again:
            self._hurried.discard(turn)
            guarded(turn, turn=turn.__name__)
            # It may have looked before there was something for it.
            again = turn in self._hurried and not self._is_stopping


def guarded(work: Callable[[], object], **about: str) -> bool:
    """Do some work whose failure must not stop what comes after it; whether it succeeded."""
    try:
        work()
    except NodeError as error:
        log.error("failed", cause=str(error), **about)
        return False
    except Exception as error:  # noqa: BLE001  # one study's fault must not stop the node
        log.error("failed", cause=f"unexpected {type(error).__name__}", at=place(error), **about)
        return False
    return True


def place(error: BaseException) -> str:
    """Where an unexpected error was raised; its message is not told, it may name a patient."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
