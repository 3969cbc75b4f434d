"""Requests are spaced, by a clock that a test holds."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mome_node.query.rate import RateLimiter


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


@given(
    st.floats(0.1, 100),
    st.lists(st.floats(0, 10), min_size=2, max_size=30),
)
def test_two_requests_are_never_closer_than_allowed(per_s, pauses):
    clock = Clock()
    limiter = RateLimiter(per_s, clock, clock.sleep)
    times = []
    for pause in pauses:
        clock.now += pause
        limiter.wait()
        times.append(clock.now)
    gaps = [b - a for a, b in pairwise(times)]
    assert all(gap >= 1 / per_s - 1e-9 for gap in gaps)


def test_a_first_request_does_not_wait():
    clock = Clock()
    RateLimiter(5, clock, clock.sleep).wait()
    assert clock.now == 0
