"""How slowly a body may come."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mome_node.web.pace import Pace


@given(st.lists(st.tuples(st.integers(0, 5000), st.floats(0, 5)), max_size=50))
def test_sender_is_given_up_only_in_a_window_of_waiting_that_brought_too_little(arrivals):
    pace = Pace(min_bytes_per_s=100, window_s=10)
    waited, count = 0.0, 0
    for size, seconds in arrivals:
        keeps_up = pace.keeps_up(size, seconds)
        waited, count = waited + seconds, count + size
        assert keeps_up or (waited >= 10 and count < 1000)
        assert 0 <= pace.patience_s <= 10
        if waited >= 10:
            assert keeps_up == (count >= 1000)
            waited, count = 0.0, 0


def test_time_in_which_nobody_waits_is_not_the_senders():
    pace = Pace(min_bytes_per_s=100, window_s=10)
    assert all(pace.keeps_up(1, 0.0) for _ in range(1000))


def test_pause_of_a_whole_window_is_too_long_whatever_came_before():
    pace = Pace(min_bytes_per_s=100, window_s=10)
    assert pace.keeps_up(1 << 20, 10.0)
    assert not pace.keeps_up(0, pace.patience_s)
