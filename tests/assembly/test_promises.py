"""Counts in headers that announce more than came."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from mome_node.assembly.promises import unkept_promises
from mome_node.dicom.header import FrameFacts, InstanceFacts

SERIES = "1.2.4"


def images(count, *, series=SERIES, **values):
    return [
        InstanceFacts(
            f"{series}.{n}", "1.2.840.10008.5.1.4.1.1.4", "1.2.3", series,
            frames=(FrameFacts(1),), **values,
        )
        for n in range(count)
    ]  # fmt: skip


def test_images_that_promise_nothing_keep_everything():
    assert unkept_promises(images(5)) == ()
    assert unkept_promises([]) == ()


def test_count_that_a_pacs_wrote_into_the_headers_is_a_promise():
    assert unkept_promises(images(5, series_instances=5)) == ()
    assert unkept_promises(images(5, series_instances=8)) == (
        f"series {SERIES}: 5 of 8 instances (0020,1209)",
    )


def test_images_in_acquisition_of_one_volume_are_no_shortfall_of_several():
    two = images(10, acquisition_number=1, images_in_acquisition=5)
    assert unkept_promises(two) == ()


def test_images_in_acquisition_may_lie_in_several_series():
    one = images(5, acquisition_number=7, images_in_acquisition=10)
    other = images(5, series="1.2.5", acquisition_number=7, images_in_acquisition=10)
    assert unkept_promises([*one, *other]) == ()
    assert unkept_promises(one) == (f"series {SERIES}: 5 of 10 images in acquisition (0020,1002)",)


def test_frames_of_a_multi_frame_object_count_as_images():
    (one,) = images(1, images_in_acquisition=40)
    enhanced = replace(one, frames=tuple(FrameFacts(n) for n in range(1, 41)))
    assert unkept_promises([enhanced]) == ()


def test_temporal_positions_are_counted_where_a_series_numbers_several():
    def at(position, count):
        return [
            replace(i, sop_instance_uid=f"{i.sop_instance_uid}.{position}",
                    frames=(FrameFacts(1, temporal_position=position),))
            for i in images(count, temporal_positions=3)
        ]  # fmt: skip

    assert unkept_promises(at(1, 4)) == ()  # one phase a series: it counts those of others
    (told,) = unkept_promises([*at(1, 4), *at(2, 4)])
    assert told == f"series {SERIES}: 2 of 3 temporal positions (0020,0105)"
    assert unkept_promises([*at(1, 4), *at(2, 4), *at(3, 4)]) == ()


def test_parts_of_a_concatenation_belong_together():
    parts = images(2, concatenation_uid="1.2.8", concatenation_total=3)
    assert unkept_promises(parts) == (
        f"series {SERIES}: 2 of 3 parts of a concatenation (0020,9163)",
    )
    assert unkept_promises(images(3, concatenation_uid="1.2.8", concatenation_total=3)) == ()


@given(
    count=st.integers(0, 6),
    promised=st.one_of(st.none(), st.integers(-(2**31), 2**31)),
)
def test_only_a_shortfall_of_a_sensible_count_is_told(count, promised):
    told = unkept_promises(images(count, series_instances=promised, images_in_acquisition=promised))
    short = promised is not None and count < promised <= 100_000 and count > 0
    assert len(told) == (2 if short else 0)
