"""The retry decision: soon at first, for hours in the end, never for what no retry mends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from mome_node.delivery.retry import RetryPolicy, next_attempt
from mome_node.errors import PermanentDeliveryError, TransientDeliveryError

NOW = datetime(2026, 1, 1, tzinfo=UTC)
AWAY = TransientDeliveryError("away")


def test_permanent_error_waits_for_a_person():
    assert next_attempt(PermanentDeliveryError("no"), 1, NOW, RetryPolicy()) is None


def test_first_retry_comes_within_seconds():
    again = next_attempt(AWAY, 1, NOW, RetryPolicy())
    assert again is not None
    assert again - NOW <= timedelta(seconds=10)


def test_delays_double_until_the_cap():
    policy = RetryPolicy(first_s=5, factor=2, longest_s=60)
    assert [policy.delay_s(n) for n in range(1, 7)] == [5, 10, 20, 40, 60, 60]


def test_attempts_outlast_a_weekend():
    policy = RetryPolicy()
    total = timedelta(seconds=sum(policy.delay_s(n) for n in range(1, policy.attempts)))
    assert total > timedelta(hours=60)


@given(attempts=st.integers(1, 10**9))
def test_every_transient_failure_is_retried_later_or_given_to_a_person(attempts):
    policy = RetryPolicy()
    again = next_attempt(AWAY, attempts, NOW, policy)
    if attempts >= policy.attempts:
        assert again is None
    else:
        assert again is not None
        assert NOW < again <= NOW + timedelta(seconds=policy.longest_s)


@given(first=st.floats(0.1, 100), factor=st.floats(1, 10), longest=st.floats(100, 10_000))
def test_delays_never_shrink_and_never_pass_the_cap(first, factor, longest):
    policy = RetryPolicy(first_s=first, factor=factor, longest_s=longest)
    delays = [policy.delay_s(n) for n in range(1, 50)]
    assert delays == sorted(delays)
    assert max(delays) <= longest
