"""Turns that go on whatever happens in one of them."""

from __future__ import annotations

import threading

import structlog

from mome_node.errors import StorageError
from mome_node.jobs.timers import Timers, guarded

WAIT_S = 30.0


def test_turn_is_taken_again_after_it_failed():
    taken, enough = [], threading.Event()

    def turn() -> None:
        taken.append(len(taken))
        if len(taken) == 3:
            enough.set()
        raise ValueError("Doe^Jane")

    timer = Timers((turn, 0.01))
    with structlog.testing.capture_logs() as logs:
        timer.start()
        assert enough.wait(WAIT_S)
        timer.ask_to_stop()
        timer.join()
    assert len(logs) >= 3
    assert "Doe" not in str(logs)
    assert logs[0]["cause"] == "unexpected ValueError"
    assert "test_timers.py" in logs[0]["at"]


def test_stop_waits_for_the_turn_that_runs_and_begins_no_other():
    running, may_end, taken = threading.Event(), threading.Event(), []

    def turn() -> None:
        running.set()
        assert may_end.wait(WAIT_S)
        taken.append(1)

    timer = Timers((turn, 0.01))
    timer.start()
    assert running.wait(WAIT_S)
    timer.ask_to_stop()
    may_end.set()
    timer.join()
    assert taken == [1]


def test_turn_that_is_hurried_does_not_wait_for_its_time():
    taken = threading.Semaphore(0)
    timer = Timers((taken.release, 3600.0))
    timer.start()
    assert taken.acquire(timeout=WAIT_S)
    timer.hurry(taken.release)
    assert taken.acquire(timeout=WAIT_S)
    timer.ask_to_stop()
    timer.join()


def test_turn_that_is_hurried_while_it_runs_is_taken_once_more_when_it_has_ended():
    running, may_end, at_once = threading.Semaphore(0), threading.Semaphore(0), []

    def turn() -> None:
        at_once.append(1)
        running.release()
        assert may_end.acquire(timeout=WAIT_S)
        assert len(at_once) == 1
        at_once.pop()

    timer = Timers((turn, 3600.0))
    with structlog.testing.capture_logs() as logs:
        timer.start()
        assert running.acquire(timeout=WAIT_S)
        timer.hurry(turn)
        may_end.release()
        assert running.acquire(timeout=WAIT_S)
        timer.hurry(turn)
        timer.ask_to_stop()
        may_end.release()
        timer.join()
    assert logs == []
    assert not running.acquire(blocking=False), "none begins once it was asked to stop"


def test_turn_that_hurries_another_while_the_timer_stops_holds_up_nothing():
    running, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def turn() -> None:
        running.set()
        assert may_end.wait(WAIT_S)
        timer.hurry(other)

    def other() -> None:
        pass

    timer = Timers((turn, 3600.0), (other, 3600.0))

    def stop() -> None:
        timer.join()
        ended.set()

    timer.start()
    assert running.wait(WAIT_S)
    stopping = threading.Thread(target=stop, daemon=True)
    stopping.start()
    assert not ended.wait(0.3), "it waits for the turn that runs, with its jobs locked"
    with structlog.testing.capture_logs() as logs:
        may_end.set()
        assert ended.wait(WAIT_S)
    assert logs == []


def test_timer_that_was_never_started_can_be_stopped():
    timer = Timers((print, 1.0))
    timer.ask_to_stop()
    timer.join()


def test_errors_of_the_node_are_told_in_their_words():
    def fail() -> None:
        raise StorageError("the disk is full")

    with structlog.testing.capture_logs() as logs:
        assert not guarded(fail, study="1.2")
    assert logs == [
        {"event": "failed", "log_level": "error", "cause": "the disk is full", "study": "1.2"}
    ]
    assert guarded(lambda: None)
