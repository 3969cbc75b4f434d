"""Which phase of the dynamic fills which DCE channel of the model."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from mome_node.errors import ModelInputError
from mome_node.mome.prediction import ChannelUse

FewerPosts = Literal["zeros", "refuse"]
"""What becomes of channels that no post-contrast phase fills; a copy is never put there."""

MorePosts = Literal["nearest", "first", "refuse"]
"""Which phases are taken where there are more than channels."""


def choose_channels(
    phase_times_s: Sequence[float | None],
    target_times_s: Sequence[float],
    *,
    fewer_posts: FewerPosts = "zeros",
    more_posts: MorePosts = "nearest",
) -> tuple[ChannelUse, ...]:
    """One entry a channel; there are as many channels as target times.

    ``phase_times_s`` starts with the pre-contrast phase, which fills no channel; it is empty where
    there is no dynamic at all, and then nothing is refused. Not more posts than channels: channel
    k takes post k + 1 and the rest stays empty. More: the ``first`` ones, or the ``nearest``: as
    many in time order as there are channels, so that the sum of the distances to the target times
    is least (the earlier ones where it is equal). Without known, rising times, posts spread evenly
    from the first to the last. Raises ModelInputError for a number of posts that the package
    refuses.
    """
    posts = list(range(1, len(phase_times_s)))
    channels = len(target_times_s)
    if phase_times_s:
        _check_number(len(posts), channels, fewer_posts, more_posts)
    chosen: list[int | None]
    if len(posts) <= channels:
        chosen = [*posts, *[None] * (channels - len(posts))]
    elif more_posts == "first":
        chosen = [*posts[:channels]]
    else:
        times = times_of_posts(phase_times_s)
        chosen = _spread(posts, channels) if times is None else _nearest(times, target_times_s)
    return tuple(
        ChannelUse(k, phase, None if phase is None else phase_times_s[phase])
        for k, phase in enumerate(chosen)
    )


def _check_number(
    posts: int, channels: int, fewer_posts: FewerPosts, more_posts: MorePosts
) -> None:
    for refused, field, bound in (
        (posts < channels and fewer_posts == "refuse", "fewer_posts", "at least"),
        (posts > channels and more_posts == "refuse", "more_posts", "at most"),
    ):
        if refused:
            raise ModelInputError(
                f"the dynamic has {posts} post-contrast phases, {bound} {channels} are allowed: "
                f'the model package states dce.{field} = "refuse"'
            )


def times_of_posts(phase_times_s: Sequence[float | None]) -> tuple[float, ...] | None:
    """The posts' times; None where one is missing or they do not rise."""
    times = tuple(t for t in phase_times_s[1:] if t is not None)
    if len(times) != len(phase_times_s) - 1:
        return None
    rising = all(a < b for a, b in pairwise(times))
    return times if rising else None


def _spread(posts: Sequence[int], channels: int) -> list[int | None]:
    if channels == 1:
        return [posts[0]]
    step = (len(posts) - 1) / (channels - 1)
    return [posts[int(k * step + 0.5)] for k in range(channels)]


def _nearest(times: Sequence[float], targets: Sequence[float]) -> list[int | None]:
    # cost[n] is the least distance with the channels so far filled from the first n posts.
    cost = [0.0] * (len(times) + 1)
    taken: list[list[bool]] = []
    for k, target in enumerate(targets):
        filled = [float("inf")] * (len(times) + 1)
        takes = [False] * (len(times) + 1)
        for n in range(k + 1, len(times) + 1):
            with_last = cost[n - 1] + abs(times[n - 1] - target)
            takes[n] = with_last < filled[n - 1]
            filled[n] = min(with_last, filled[n - 1])
        cost = filled
        taken.append(takes)
    chosen: list[int | None] = []
    n = len(times)
    for takes in reversed(taken):
        while not takes[n]:
            n -= 1
        chosen.append(n)
        n -= 1
    return chosen[::-1]
