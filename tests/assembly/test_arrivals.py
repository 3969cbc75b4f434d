"""What others say a study consists of, weighed against what came."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mome_node.assembly.arrivals import (
    AVAILABILITY_NOTICE,
    COUNTS_EQUAL_TWICE,
    NAMED_AT_MOST,
    Notices,
    PacsCounts,
    SeriesHere,
    SeriesNamed,
    weigh,
)

DYNAMIC, T2, REPORT = "1.2.4", "1.2.5", "1.2.9"


def here(**counts):
    names = {"dynamic": DYNAMIC, "t2": T2}
    return {names[name]: SeriesHere(n, n) for name, n in counts.items()}


def weighed(came, counts=None, notices=None, *, confirmed=True, settled=True):
    pacs = None if counts is None else PacsCounts(counts, confirmed)
    return weigh(came, pacs, notices, settled=settled)


def test_confirmed_counts_that_are_what_came_vouch_for_the_study():
    found = weighed(here(dynamic=240, t2=30), {DYNAMIC: 240, T2: 30})
    assert found.complete_by == COUNTS_EQUAL_TWICE
    assert found.missing == ()


def test_counts_told_only_once_vouch_for_nothing():
    assert not weighed(here(dynamic=240), {DYNAMIC: 240}, confirmed=False).complete_by


def test_shortfall_is_told_in_counts_and_the_series_uid():
    found = weighed(here(dynamic=180), {DYNAMIC: 240, T2: 1})
    assert found.lacking == (f"the PACS has 240 images of series {DYNAMIC}, 180 came here",)
    assert found.absent == (f"the PACS has 1 image of series {T2}, none came here",)
    assert not found.complete_by


@pytest.mark.parametrize("counts", [{}, {DYNAMIC: 200}, {DYNAMIC: 0}, {T2: 0}])
def test_pacs_that_has_less_than_came_neither_vouches_nor_blocks(counts):
    found = weighed(here(dynamic=240), counts)
    assert not found.complete_by
    assert found.missing == ()


def test_objects_that_no_role_uses_need_not_be_in_the_pacs():
    came = here(dynamic=240) | {REPORT: SeriesHere(1, 0)}
    assert weighed(came, {DYNAMIC: 240}).complete_by == COUNTS_EQUAL_TWICE


def test_notices_that_name_exactly_what_came_vouch_once_nothing_is_on_its_way():
    notices = Notices({DYNAMIC: SeriesNamed(240, 240)})
    assert weighed(here(dynamic=240), notices=notices).complete_by == AVAILABILITY_NOTICE
    assert not weighed(here(dynamic=240), notices=notices, settled=False).complete_by


def test_notices_that_leave_out_what_came_are_no_list_of_the_study():
    notices = Notices({DYNAMIC: SeriesNamed(240, 240)}, unnamed=30)
    found = weighed(here(dynamic=240, t2=30), notices=notices)
    assert not found.complete_by
    assert found.missing == ()


def test_images_that_a_notice_names_are_waited_for():
    notices = Notices({DYNAMIC: SeriesNamed(240, 180), T2: SeriesNamed(30, 0)})
    found = weighed(here(dynamic=180), notices=notices)
    assert "name 240 images of series 1.2.4, 180 of them came here" in found.lacking[0]
    assert "name 30 images of series 1.2.5, none of them came here" in found.absent[0]


def test_neither_witness_vouches_while_the_other_names_more():
    named = Notices({DYNAMIC: SeriesNamed(240, 240)})
    assert not weighed(here(dynamic=240), {DYNAMIC: 241}, named).complete_by
    named = Notices({DYNAMIC: SeriesNamed(241, 240)})
    assert not weighed(here(dynamic=240), {DYNAMIC: 240}, named).complete_by


def test_many_short_series_are_counted_and_not_all_spelled_out():
    found = weighed({}, {f"1.2.{n}": 5 for n in range(1000)})
    assert len(found.absent) == NAMED_AT_MOST + 1
    assert found.absent[-1] == "and 995 more series"


COUNTS = st.dictionaries(st.sampled_from([DYNAMIC, T2, REPORT]), st.integers(0, 4))


@given(came=COUNTS, counts=COUNTS, confirmed=st.booleans())
def test_nobody_vouches_for_less_than_the_pacs_has(came, counts, confirmed):
    held = {uid: SeriesHere(n, n) for uid, n in came.items() if n}
    found = weighed(held, counts, confirmed=confirmed)
    short = {uid for uid, n in counts.items() if came.get(uid, 0) < n}
    assert len(found.missing) == len(short)
    if found.complete_by:
        assert confirmed
        assert not short
