"""Which phases fill the DCE channels, as the model package states it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mome_node.errors import ModelInputError
from mome_node.mome.channels import choose_channels

TARGETS = (60.0, 120.0, 180.0)


def times(posts: int) -> list[float | None]:
    return [0.0, *(50.0 * (k + 1) for k in range(posts))]


def phases(posts: int, **policy: str) -> list[int | None]:
    return [c.phase for c in choose_channels(times(posts), TARGETS, **policy)]  # type: ignore[arg-type]  # words of the package


def test_as_many_phases_as_channels_suit_every_policy() -> None:
    for fewer in ("zeros", "refuse"):
        for more in ("nearest", "first", "refuse"):
            assert phases(3, fewer_posts=fewer, more_posts=more) == [1, 2, 3]


def test_fewer_phases_leave_the_last_channels_empty_and_nothing_is_copied() -> None:
    assert phases(2, fewer_posts="zeros") == [1, 2, None]


def test_fewer_phases_are_refused_where_the_package_says_so() -> None:
    with pytest.raises(ModelInputError, match=r"2 post-contrast phases, at least 3.*fewer_posts"):
        phases(2, fewer_posts="refuse")


def test_pre_contrast_phase_alone_is_refused_where_fewer_phases_are() -> None:
    with pytest.raises(ModelInputError, match="0 post-contrast phases"):
        phases(0, fewer_posts="refuse")


def test_an_exam_without_a_dynamic_is_not_refused_for_its_phases() -> None:
    found = choose_channels([], TARGETS, fewer_posts="refuse", more_posts="refuse")
    assert [c.phase for c in found] == [None, None, None]


def test_of_more_phases_those_nearest_to_the_target_times_are_taken() -> None:
    found = choose_channels([0.0, 30.0, 60.0, 90.0, 120.0, 180.0], TARGETS, more_posts="nearest")
    assert [c.time_s for c in found] == [60.0, 120.0, 180.0]


def test_of_more_phases_the_first_are_taken_where_the_package_says_so() -> None:
    found = choose_channels([0.0, 30.0, 60.0, 90.0, 120.0, 180.0], TARGETS, more_posts="first")
    assert [(c.phase, c.time_s) for c in found] == [(1, 30.0), (2, 60.0), (3, 90.0)]


def test_first_phases_need_no_times() -> None:
    found = choose_channels([0.0, *[None] * 5], TARGETS, more_posts="first")
    assert [(c.phase, c.time_s) for c in found] == [(1, None), (2, None), (3, None)]


def test_more_phases_are_refused_where_the_package_says_so() -> None:
    with pytest.raises(ModelInputError, match=r"4 post-contrast phases, at most 3.*more_posts"):
        phases(4, more_posts="refuse")


@given(
    posts=st.integers(0, 12),
    fewer=st.sampled_from(["zeros", "refuse"]),
    more=st.sampled_from(["nearest", "first", "refuse"]),
)
def test_every_policy_fills_each_channel_once_or_refuses(posts: int, fewer: str, more: str) -> None:
    try:
        found = phases(posts, fewer_posts=fewer, more_posts=more)
    except ModelInputError:
        assert (posts < 3 and fewer == "refuse") or (posts > 3 and more == "refuse")
        return
    filled = [phase for phase in found if phase is not None]
    assert len(found) == 3
    assert filled == sorted(set(filled))
    assert len(filled) == min(posts, 3)
