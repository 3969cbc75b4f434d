"""What no sound peer says on a connection: it ends, nothing is left, and others are served."""

import threading
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.conversations import conversation
from tests.fuzz.peer import converse
from tests.fuzz.scp_target import (
    FuzzedScp,
    check_kept,
    check_serves,
    fuzzed_scp,
    hold,
    numbered,
    sound_conversation,
)
from tests.fuzz.stream_reading import read_stream
from tests.fuzz.watch import Watch, eventually, resident_mb, watching

EXAMPLES = 50
NUMBERED = 450
LONG = 50_000
SEED = 6
BATCH = 50
GROWTH_MB = 80.0


@pytest.fixture(scope="module")
def watched() -> Iterator[tuple[FuzzedScp, Watch]]:
    """One receiver for all of it: it has to stay up."""
    threads = threading.active_count()
    with watching() as watch, fuzzed_scp() as target:
        check_serves(target, "2.25.1")
        yield target, watch
        check_serves(target, "2.25.2")
        assert watch.findings == []
    eventually(lambda: threading.active_count() <= threads, "the receiver's threads end")


def test_sound_conversation_is_read_as_what_it_is():
    reading = read_stream(sound_conversation("2.25.1").stream)
    assert (len(reading.messages), reading.violation, reading.other_pdus) == (3, "", ())


def test_same_number_makes_the_same_conversation():
    assert numbered(SEED, 1) == numbered(SEED, 1)


@pytest.mark.parametrize("max_length", [None, 0, 1, 5, 6, 7, 12, 0xFFFFFFFF])
def test_a_peer_is_served_whatever_length_it_says_that_it_takes(watched, max_length):
    target, watch = watched
    said = sound_conversation(f"2.25.4.{0 if max_length is None else max_length + 1}", max_length)
    (heard,) = hold(target, [said])
    check_kept(target, [said], [heard])
    assert len(heard.answers) == len(read_stream(said.stream).messages)
    assert watch.findings == []


@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(random=st.randoms(use_true_random=False), number=st.integers(0, 1 << 60))
def test_any_conversation_ends_and_leaves_nothing_on_its_way(watched, random, number):
    target, watch = watched
    said = conversation(random, f"2.25.3.{number}")
    converse(target.scp.port, said)
    target.settle()
    target.unread.add(said.uid_root)  # the same number may come again with other answers
    assert watch.findings == []


def test_what_is_answered_with_success_is_kept_whole_and_nothing_else_is(watched):
    target, watch = watched
    for begin in range(0, NUMBERED, BATCH):
        said = [numbered(SEED, number) for number in range(begin, begin + BATCH)]
        check_kept(target, said, hold(target, said))
    assert watch.findings == []


@pytest.mark.long
def test_a_great_many_conversations_leave_nothing_and_take_no_memory(record_property):
    answers = associations = 0
    resident = 0.0
    with watching() as watch:
        for part in range(10):  # each with a store of its own, so that comparing stays quick
            with fuzzed_scp() as target:
                for begin in range(part * LONG // 10, (part + 1) * LONG // 10, BATCH):
                    said = [numbered(SEED, number) for number in range(begin, begin + BATCH)]
                    heard = hold(target, said)
                    check_kept(target, said, heard)
                    assert watch.findings == [], f"among {SEED}/{begin} to {begin + BATCH}"
                    answers += sum(len(h.answers) for h in heard)
                    associations += sum(h.established for h in heard)
                check_serves(target, "2.25.2")
            resident = resident or resident_mb()
        growth = resident_mb() - resident
    record_property("associations", associations)
    record_property("answers", answers)
    record_property("growth_mb", round(growth, 1))
    assert growth < GROWTH_MB
    assert associations > LONG // 2
