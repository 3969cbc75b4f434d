"""What a peer may send a minute: held by later answers, never by refusing."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from mome_node.ingest.outcome import Status
from mome_node.ingest.rates import MAX_DELAY_S, PeerRates, RateLimits, TokenBucket
from mome_node.ingest.receipt import Reception


def test_within_its_rate_a_peer_does_not_wait() -> None:
    now = [0.0]
    rates = PeerRates({"PACS": RateLimits(objects_a_minute=60)}, lambda: now[0])
    for _ in range(100):
        now[0] += 1.0
        assert rates.delay_s("PACS", 1, 10_000) == 0.0


def test_beyond_its_rate_a_peer_waits_as_long_as_the_rate_says() -> None:
    now = [0.0]
    rates = PeerRates({"PACS": RateLimits(objects_a_minute=60)}, lambda: now[0])
    assert [rates.delay_s("PACS", 1, 0) for _ in range(6)] == [0.0] * 6  # a tenth of a minute's
    assert [rates.delay_s("PACS", 1, 0) for _ in range(3)] == [1.0, 2.0, 3.0]
    now[0] = 3.0
    assert rates.delay_s("PACS", 1, 0) == 1.0


def test_the_tighter_of_objects_and_bytes_counts() -> None:
    limits = {"PACS": RateLimits(objects_a_minute=600, bytes_a_minute=600 << 20)}
    rates = PeerRates(limits, lambda: 0.0)
    assert rates.delay_s("PACS", 1, 65 << 20) == 0.5


def test_peers_without_limits_and_other_peers_do_not_wait() -> None:
    rates = PeerRates({"SLOW": RateLimits(1, 1)}, lambda: 0.0)
    assert rates.delay_s("SLOW", 5, 1 << 30) == MAX_DELAY_S
    assert rates.delay_s("PACS", 1000, 1 << 40) == 0.0
    assert PeerRates().delay_s("SLOW", 1000, 1 << 40) == 0.0


def test_no_answer_is_held_back_for_so_long_that_the_sender_gives_up() -> None:
    now = [0.0]
    rates = PeerRates({"PACS": RateLimits(bytes_a_minute=1 << 20)}, lambda: now[0])
    assert rates.delay_s("PACS", 1, 2 << 30) == MAX_DELAY_S
    now[0] += MAX_DELAY_S
    assert rates.delay_s("PACS", 1, 1) == MAX_DELAY_S  # and pays on


@given(
    st.integers(1, 1000),
    st.lists(st.tuples(st.floats(0, 30), st.integers(1, 50)), min_size=1, max_size=60),
)
def test_a_sender_that_waits_never_exceeds_its_rate(a_minute: int, steps) -> None:
    """Over any time since the start: at most the burst, the rate, and one last delivery."""
    bucket, now, taken = TokenBucket(a_minute, 0.0), 0.0, 0
    for pause, units in steps:
        now += pause
        allowed = max(a_minute / 10, 1) + a_minute / 60 * now
        assert taken <= allowed + 1e-6
        taken += units
        now += bucket.take(units, now)


@given(st.lists(st.floats(-5, 30), max_size=50))
def test_a_clock_that_stands_or_goes_back_gives_nothing_away(steps) -> None:
    bucket, now, latest = TokenBucket(60, 0.0), 0.0, 0.0
    for number, step in enumerate(steps, start=1):
        now += step
        latest = max(latest, now)
        owed = bucket.take(1, now)
        assert owed >= 0.0
        assert number - 6 - latest <= owed + 1e-6


def test_associations_of_one_peer_share_its_rate() -> None:
    rates = PeerRates({"PACS": RateLimits(objects_a_minute=60)}, lambda: 0.0)
    delays: list[float] = []
    threads = [
        threading.Thread(target=lambda: delays.append(rates.delay_s("PACS ", 1, 0)))
        for _ in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(delays) == [0.0] * 6 + [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


def test_the_receipt_answers_later_and_with_success(node, make_dataset, encode) -> None:
    waited: list[float] = []
    rates = PeerRates({"PACS": RateLimits(objects_a_minute=10)}, lambda: 0.0)
    node.reception = Reception(
        node.store, node.catalog, node.reception._clock, rates=rates, wait=waited.append
    )
    for _ in range(3):
        assert node.receive(encode(make_dataset())).status is Status.SUCCESS
    assert waited == [6.0, 12.0]
