"""Which phase of the dynamic fills which DCE channel of the model."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from mome_node.mome.prediction import ChannelUse


def choose_channels(
    phase_times_s: Sequence[float | None], target_times_s: Sequence[float]
) -> tuple[ChannelUse, ...]:
    """One entry a channel; there are as many channels as target times.

    ``phase_times_s`` starts with the pre-contrast phase, which fills no channel. Not more posts
    than channels: channel k takes post k + 1 and the rest stays empty. More: as many in time order
    as there are channels, so that the sum of the distances to the target times is least (the
    earlier ones where it is equal). Without known, rising times, posts spread evenly from the
    first to the last.
    """
    posts = list(range(1, len(phase_times_s)))
    channels = len(target_times_s)
    chosen: list[int | None]
    if len(posts) <= channels:
        chosen = [*posts, *[None] * (channels - len(posts))]
    else:
        times = times_of_posts(phase_times_s)
        chosen = _spread(posts, channels) if times is None else _nearest(times, target_times_s)
    return tuple(
        ChannelUse(k, phase, None if phase is None else phase_times_s[phase])
        for k, phase in enumerate(chosen)
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
