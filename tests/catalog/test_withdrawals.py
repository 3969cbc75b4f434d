"""What was sent and does not stand any more is taken back where it may lie, by one note."""

from __future__ import annotations

import itertools

import pytest

from mome_node.catalog.changes import Change
from mome_node.catalog.records import (
    DeliveryState,
    RejectionRow,
    ResultRow,
    Route,
    Superseded,
)
from mome_node.catalog.states import StudyState as S
from mome_node.catalog.studies import note_input
from mome_node.errors import CatalogError, TransitionRefusedError

SR, SEG = "1.2.840.10008.5.1.4.1.1.88.34", "1.2.840.10008.5.1.4.1.1.66.4"
KEY_OBJECTS = "1.2.840.10008.5.1.4.1.1.88.59"
TO_REPORTING = (S.RECEIVING, S.ASSEMBLED, S.QUEUED, S.INFERRING, S.REPORTING)
ROUTES = (Route("PACS", "p"), Route("SHADOW", "p", is_held=True))


def rows(revision, at):
    return [
        ResultRow(f"1.9.{revision}1", SR, "sr", f"k{revision}1", f"s{revision}1", at(2), "p"),
        ResultRow(f"1.9.{revision}2", SEG, "seg", f"k{revision}2", f"s{revision}2", at(2), "p"),
    ]


def note(at, uid="1.9.99"):
    return ResultRow(uid, KEY_OBJECTS, "rejection", f"k{uid}", f"s{uid}", at(9), "p")


@pytest.fixture
def report(catalog, at):
    """Give the study its results of a revision and have the PACS take the first so many."""

    def make(revision, *, taken):
        for source, target in itertools.pairwise(TO_REPORTING):
            catalog.transition("1.2", source, target, "test", at(1))
        catalog.add_results("1.2", revision, rows(revision, at), ROUTES, "made", at(3))
        ledger = catalog.deliveries
        due = [d for d in ledger.due("PACS", at(3)) if d.revision == revision]
        for delivery in due[:taken]:
            ledger.mark(delivery.delivery_id, DeliveryState.SENT, at(4))
            ledger.confirm([delivery.delivery_id], DeliveryState.COMMITTED)
        ledger.note_tried([d.delivery_id for d in due], at(4))
        for delivery in due[taken:]:
            ledger.mark(delivery.delivery_id, DeliveryState.FAILED, at(4))
        catalog.transition("1.2", S.DELIVERING, S.DELIVERED, "sent", at(5))

    return make


@pytest.fixture
def study(catalog, arrival):
    catalog.record_instance(arrival())


def reopen(catalog, at, change):
    with catalog._database.write() as session:
        note_input(session, "1.2", at(6), change)
    catalog.transition("1.2", S.DELIVERED, S.RECEIVING, "more came", at(6))


def found(catalog):
    return [
        (destination, why, r.result.kind, r.revision)
        for destination, why, r in catalog.withdrawals.to_reject("1.2")
    ]


def test_a_replaced_segmentation_is_to_be_rejected_and_its_report_is_not(
    catalog, study, report, at
):
    report(1, taken=2)
    assert found(catalog) == []
    reopen(catalog, at, Change.LATE)
    report(2, taken=2)
    assert catalog.withdrawals.studies_to_tell_of() == ("1.2",)
    assert found(catalog) == [("PACS", Superseded.REPLACED, "seg", 1)]


def test_results_of_wrong_images_are_to_be_rejected_with_their_report(catalog, study, report, at):
    report(1, taken=2)
    reopen(catalog, at, Change.PATIENT)
    report(2, taken=2)
    assert found(catalog) == [
        ("PACS", Superseded.WITHDRAWN, "sr", 1),
        ("PACS", Superseded.WITHDRAWN, "seg", 1),
    ]


def test_what_was_tried_and_may_have_arrived_is_rejected_too(catalog, study, report, at):
    report(1, taken=0)
    reopen(catalog, at, Change.REJECTED)
    report(2, taken=2)
    assert [kind for _, _, kind, _ in found(catalog)] == ["sr", "seg"]


def test_what_was_on_its_way_when_it_was_cut_off_is_rejected_too(catalog, study, at):
    """The association broke, or the node was killed: no outcome is known, and none is counted."""
    for source, target in itertools.pairwise(TO_REPORTING):
        catalog.transition("1.2", source, target, "test", at(1))
    catalog.add_results("1.2", 1, rows(1, at), ROUTES, "made", at(3))
    first, _ = catalog.deliveries.due("PACS", at(3))
    catalog.deliveries.note_tried([first.delivery_id], at(4))
    catalog.withdrawals.withdraw("1.2", "wrong images", at(5))
    assert found(catalog) == [("PACS", Superseded.WITHDRAWN, "sr", 1)]


def test_what_never_left_the_node_needs_no_note(catalog, study, report, at):
    report(1, taken=2)
    catalog.withdrawals.withdraw("1.2", "wrong images", at(7))
    assert {destination for destination, *_ in found(catalog)} == {"PACS"}
    states = {
        d.destination: d.state
        for d in catalog.deliveries.of_study("1.2")
        if d.destination == "SHADOW"
    }
    assert states == {"SHADOW": DeliveryState.WITHDRAWN}


def test_a_note_is_made_once_and_goes_to_whom_it_concerns(catalog, study, report, at):
    report(1, taken=2)
    assert catalog.withdrawals.withdraw("1.2", "wrong images", at(7)) == 2
    rejected = frozenset(
        r.result.sop_instance_uid for _, _, r in catalog.withdrawals.to_reject("1.2")
    )
    for _ in range(2):
        catalog.withdrawals.add("1.2", [RejectionRow(note(at), rejected, ("PACS",))], at(9))
    assert catalog.withdrawals.studies_to_tell_of() == ()
    sent = [d for d in catalog.deliveries.of_study("1.2") if d.result.kind == "rejection"]
    assert [(d.destination, d.state) for d in sent] == [("PACS", DeliveryState.PENDING)]
    by_uid = {r.result.sop_instance_uid: r for r in catalog.results_of("1.2")}
    assert {by_uid[uid].rejected_by for uid in rejected} == {"1.9.99"}


def test_a_note_stands_when_later_results_supersede_all_others(catalog, study, report, at):
    report(1, taken=2)
    catalog.withdrawals.withdraw("1.2", "wrong images", at(7))
    rejected = frozenset(
        r.result.sop_instance_uid for _, _, r in catalog.withdrawals.to_reject("1.2")
    )
    catalog.withdrawals.add("1.2", [RejectionRow(note(at), rejected, ("PACS",))], at(9))
    with pytest.raises(CatalogError, match="nothing to withdraw"):
        catalog.withdrawals.withdraw("1.2", "again", at(10))
    (kept,) = [r for r in catalog.results_of("1.2") if r.result.kind == "rejection"]
    assert kept.superseded_at is None


def test_withdrawn_results_are_issued_again_under_the_next_issue(catalog, study, report, at):
    report(1, taken=2)
    assert catalog.study("1.2").issue == 0
    catalog.withdrawals.withdraw("1.2", "wrong images", at(7))
    after = catalog.study("1.2")
    assert (after.state, after.issue, after.revision) == (S.WITHDRAWN, 1, 1)
    with pytest.raises(CatalogError):
        catalog.deliveries.resend("1.2", "by hand", at(8))
    catalog.transition("1.2", S.WITHDRAWN, S.QUEUED, "issued again", at(8))
    with pytest.raises(TransitionRefusedError):
        catalog.transition("1.2", S.WITHDRAWN, S.QUEUED, "issued again", at(8))


def test_a_study_that_is_looked_at_again_stays_on_its_way(catalog, study, report, at):
    report(1, taken=2)
    reopen(catalog, at, Change.PATIENT)
    assert catalog.withdrawals.withdraw("1.2", "wrong patient", at(7)) == 2
    assert catalog.study("1.2").state is S.RECEIVING
    assert len(found(catalog)) == 2
