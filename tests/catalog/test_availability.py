"""What availability notices name, in the catalogue."""

from __future__ import annotations

import pytest

from mome_node.catalog import availability
from mome_node.catalog.catalog import Catalog
from mome_node.catalog.records import Availability, NamedCounts, NamedInstance
from mome_node.catalog.states import StudyState
from mome_node.errors import NoticeTooLargeError

MR = "1.2.840.10008.5.1.4.1.1.4"
SR = "1.2.840.10008.5.1.4.1.1.88.34"
SERIES = "1.2.0"


def named(*uids, word=Availability.ONLINE, sop_class=MR):
    return [NamedInstance(SERIES, uid, sop_class, word) for uid in uids]


def test_notice_may_come_before_the_first_image_and_survives_a_restart(url, at, arrival):
    with Catalog.open(url) as catalog:
        catalog.notices.record("1.2", named("1.2.3", "1.2.4"), "PACS", at(0))
        assert catalog.studies() == ()
    with Catalog.open(url) as catalog:
        catalog.record_instance(arrival("1.2.3"))
        assert catalog.notices.named("1.2") == {SERIES: NamedCounts(2, 1)}
        assert catalog.notices.unnamed_inputs("1.2") == 0


def test_image_that_came_twice_with_other_bytes_counts_once(catalog, arrival, at):
    catalog.notices.record("1.2", named("1.2.3"), "PACS", at(0))
    catalog.record_instances([arrival("1.2.3", "a"), arrival("1.2.3", "b")])
    assert catalog.notices.named("1.2") == {SERIES: NamedCounts(1, 1)}


def test_what_no_role_uses_or_nobody_can_fetch_is_not_expected(catalog, at):
    catalog.notices.record("1.2", named("1.2.3", sop_class=SR), "PACS", at(0))
    catalog.notices.record("1.2", named("1.2.4", word=Availability.OFFLINE), "PACS", at(0))
    catalog.notices.record("1.2", named("1.2.5", word=Availability.UNAVAILABLE), "PACS", at(0))
    assert catalog.notices.named("1.2") == {}
    catalog.notices.record("1.2", named("1.2.6", word=Availability.NEARLINE), "PACS", at(0))
    assert catalog.notices.named("1.2") == {SERIES: NamedCounts(1, 0)}


@pytest.mark.parametrize("turned", [False, True])
def test_of_several_words_on_one_image_the_least_available_stays(catalog, at, turned):
    words = [Availability.ONLINE, Availability.UNAVAILABLE]
    for word in reversed(words) if turned else words:
        catalog.notices.record("1.2", named("1.2.3", word=word), "PACS", at(0))
    assert catalog.notices.named("1.2") == {}


def test_notices_beyond_the_limit_are_refused_and_change_nothing(catalog, at, monkeypatch):
    monkeypatch.setattr(availability, "MAX_NAMED", 3)
    catalog.notices.record("1.2", named("1.2.3", "1.2.4"), "PACS", at(0))
    with pytest.raises(NoticeTooLargeError):
        catalog.notices.record("1.2", named("1.2.5", "1.2.6"), "PACS", at(0))
    assert catalog.notices.named("1.2") == {SERIES: NamedCounts(2, 0)}
    catalog.notices.record("1.2", named("1.2.3", "1.2.4", "1.2.5"), "PACS", at(0))
    assert catalog.notices.named("1.2") == {SERIES: NamedCounts(3, 0)}


def test_counts_by_series_tell_inputs_from_the_rest(catalog, arrival):
    catalog.record_instances(
        [arrival("1.2.3"), arrival("1.2.4"), arrival("1.2.5", sop_class_uid=SR)]
    )
    (count,) = catalog.counts_by_series("1.2").values()
    assert (count.instances, count.inputs) == (3, 2)


def test_reason_for_waiting_is_shown_without_a_step(catalog, arrival, at):
    catalog.record_instance(arrival())
    catalog.note_waiting("1.2", "the PACS has more")
    assert catalog.study("1.2").reason == "the PACS has more"
    assert len(catalog.events_of("1.2")) == 1


def test_receiving_studies_of_which_notices_tell_are_found_at_once(catalog, arrival, at):
    for study in ("1.2", "1.3", "1.4"):
        catalog.record_instance(arrival(f"{study}.1", study_uid=study))
    for study in ("1.3", "1.4", "1.9"):
        catalog.notices.record(study, named(f"{study}.1"), "PACS", at(0))
    catalog.transition("1.4", StudyState.RECEIVING, StudyState.ASSEMBLED, "test", at(1))
    assert catalog.notices.receiving() == {"1.3"}
