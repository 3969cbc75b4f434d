"""The outbox's ledger: what goes out, what is kept back or confirmed, what a person may do."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest

from mome_node.catalog.records import DeliveryState, ResultRow, Route
from mome_node.catalog.states import StudyState
from mome_node.delivery.ports import CommitmentAnswer
from mome_node.errors import CatalogError, TransitionRefusedError

S, D = StudyState, DeliveryState
SR = "1.2.840.10008.5.1.4.1.1.88.34"
STEPS = (S.RECEIVING, S.ASSEMBLED, S.QUEUED, S.INFERRING, S.REPORTING)
PACS = (Route("pacs", ""),)


@pytest.fixture
def ledger(catalog):
    return catalog.deliveries


@pytest.fixture
def study(catalog, arrival, at):
    """Bring a study to delivering, with results of these kinds."""

    def make(uid="1.2", kinds=("sr",), routes=PACS):
        catalog.record_instance(arrival(f"{uid}.3", study_uid=uid))
        for source, target in itertools.pairwise(STEPS):
            catalog.transition(uid, source, target, "test", at(1))
        rows = [ResultRow(f"{uid}.9.{n}", SR, k, f"k{uid}{n}", f"s{n}", at(2), "")
                for n, k in enumerate(kinds)]  # fmt: skip
        catalog.add_results(uid, 1, rows, routes, "made", at(3))
        return uid

    return make


def due(ledger, now, destination="pacs"):
    return [d.result.sop_instance_uid for d in ledger.due(destination, now)]


def states(ledger, uid="1.2"):
    return [d.state for d in ledger.of_study(uid)]


def send(ledger, at, uid="1.2", seconds=4):
    for delivery in ledger.of_study(uid):
        ledger.mark(delivery.delivery_id, D.SENT, at(seconds), last_status=0)


def answer(committed=(), failed=()):
    return CommitmentAnswer(frozenset(committed), dict.fromkeys(failed, 0x0112))


# What goes out


def test_deliveries_are_due_at_their_time_and_end_as_marked(ledger, study, at):
    study(kinds=("sr", "seg", "summary"))
    assert ledger.due("pacs", at(2)) == ()
    first, second, third = ledger.due("pacs", at(3))
    ledger.mark(first.delivery_id, D.SENT, at(4), last_status=0)
    ledger.mark(
        second.delivery_id,
        D.PENDING,
        at(4),
        next_attempt_at=at(60),
        last_status=0xA700,
        last_error="out of resources",
    )
    ledger.mark(third.delivery_id, D.FAILED, at(4), last_error="refused")
    assert ledger.due("pacs", at(59)) == ()
    (again,) = ledger.due("pacs", at(60))
    assert (again.attempts, again.last_status, again.last_error) == (1, 0xA700, "out of resources")
    sent, _, failed = ledger.of_study("1.2")
    assert (sent.state, sent.sent_at) == (D.SENT, at(4))
    assert (failed.state, failed.next_attempt_at) == (D.FAILED, None)
    with pytest.raises(CatalogError):
        ledger.mark(999, D.SENT, at(5))


def test_what_was_queued_first_goes_first_whatever_was_tried(ledger, study, at):
    study("1.2", ("sr", "seg"))
    study("1.3")
    first = ledger.due("pacs", at(3))[0]
    ledger.mark(first.delivery_id, D.PENDING, at(4), next_attempt_at=at(9))
    assert due(ledger, at(8)) == ["1.2.9.1", "1.3.9.0"]
    assert due(ledger, at(9)) == ["1.2.9.0", "1.2.9.1", "1.3.9.0"]
    assert len(ledger.due("pacs", at(9), limit=2)) == 2


def test_destinations_have_queues_of_their_own(ledger, study, at):
    study(routes=(Route("pacs", ""), Route("viewer", "")))
    ledger.note_failure("pacs", "away", at(60), at(4))
    ledger.pause("viewer", "by hand", at(4))
    ledger.pause("viewer", "again", at(5))
    assert due(ledger, at(59)) == due(ledger, at(59), "viewer") == []
    assert due(ledger, at(60)) == ["1.2.9.0"]
    ledger.resume("pacs")
    assert due(ledger, at(5)) == ["1.2.9.0"]
    assert [(q.name, q.pause_cause, q.failures) for q in ledger.queues()] == [
        ("pacs", "", 1),
        ("viewer", "by hand", 0),
    ]
    ledger.resume("viewer")
    assert due(ledger, at(5), "viewer") == ["1.2.9.0"]


def test_report_that_says_why_goes_out_of_a_study_that_cannot_be_evaluated(
    catalog, ledger, study, at, arrival
):
    study(kinds=("sr", "seg"))
    with catalog._database.write() as session:
        from mome_node.catalog.tables import StudyTable

        session.get_one(StudyTable, "1.2").state = S.NOT_EVALUABLE.value
    assert due(ledger, at(3)) == ["1.2.9.0"]


def test_rejection_note_goes_out_whatever_becomes_of_its_study(catalog, ledger, study, at):
    study(kinds=("sr", "rejection"))
    catalog.transition("1.2", S.DELIVERING, S.RECEIVING, "corrected", at(4))
    assert due(ledger, at(4)) == ["1.2.9.1"]


def test_superseded_results_are_withdrawn_from_wherever_they_wait(catalog, ledger, study, at):
    study(kinds=("sr", "seg", "summary", "key", "map", "rejection"))
    pending, blocked, failed, sent, *_ = ledger.due("pacs", at(3))
    ledger.block([blocked.delivery_id], "gone")
    ledger.mark(failed.delivery_id, D.FAILED, at(4))
    ledger.mark(sent.delivery_id, D.SENT, at(4))
    with catalog._database.write() as session:
        from mome_node.catalog import results

        results.supersede(session, "1.2", 2, "by those of revision 2", at(5))
    assert states(ledger) == [
        *(D.WITHDRAWN, D.WITHDRAWN, D.WITHDRAWN),
        *(D.SENT, D.WITHDRAWN, D.PENDING),
    ]
    assert pending.state is D.PENDING


def test_what_has_waited_too_long_for_one_destination_waits_for_a_person(ledger, study, at):
    study("1.2", routes=(Route("pacs", ""), Route("viewer", "")))
    study("1.3")
    assert ledger.give_up("pacs", at(3), "given up after 72 h") == 2
    assert ledger.give_up("viewer", at(2), "given up after 72 h") == 0
    assert states(ledger, "1.2") == [D.FAILED, D.PENDING]


def test_what_is_queued_for_a_former_destination_is_told(ledger, study, at):
    study("1.2", ("sr", "seg"), (Route("old", ""), Route("pacs", "")))
    ledger.mark(ledger.due("old", at(3))[0].delivery_id, D.SENT, at(4))
    assert ledger.abandon(["pacs"], "no such destination") == 1
    assert states(ledger) == [D.ACCEPTED, D.PENDING, D.FAILED, D.PENDING]
    assert ledger.abandon(["pacs"], "no such destination") == 0


def test_counts_tell_states_by_destination(ledger, study, at):
    study(kinds=("sr", "seg"), routes=(Route("pacs", ""), Route("later", "", is_held=True)))
    ledger.block([ledger.due("pacs", at(3))[0].delivery_id], "gone")
    assert ledger.counts() == {
        ("pacs", D.BLOCKED): 1,
        ("pacs", D.PENDING): 1,
        ("later", D.HELD): 2,
    }
    assert ledger.counts(D.BLOCKED, D.FAILED) == {("pacs", D.BLOCKED): 1}


# What the destinations confirm


def opened(ledger, at, uid="7.1", **rest):
    ids = [w.delivery.delivery_id for w in ledger.unconfirmed("pacs", at(5))]
    ledger.open_confirmation("pacs", ids, uid, at(125), at(5), **rest)
    return ids


def test_report_says_what_is_kept_and_what_goes_out_again(ledger, study, at):
    study(kinds=("sr", "seg", "summary"))
    send(ledger, at)
    opened(ledger, at)
    assert ledger.unconfirmed("pacs", at(6)) == ()
    said = answer(["1.2.9.0", "1.2.9.2", "9.9.9"], ["1.2.9.1", "1.2.9.2"])
    assert ledger.answer("7.1", "pacs", said, at(6))
    assert states(ledger) == [D.COMMITTED, D.PENDING, D.PENDING]
    kept, missing, _ = ledger.of_study("1.2")
    assert (kept.transaction_uid, kept.confirm_attempts) == ("7.1", 0)
    assert missing.last_error == "not committed there: Failure Reason 0x0112"
    assert due(ledger, at(10)) == []
    assert due(ledger, at(11)) == ["1.2.9.1", "1.2.9.2"]


@pytest.mark.parametrize(("uid", "destination"), [("7.2", "pacs"), ("7.1", "viewer")])
def test_report_that_was_never_asked_for_is_refused(ledger, study, at, uid, destination):
    study()
    send(ledger, at)
    opened(ledger, at)
    assert not ledger.answer(uid, destination, answer(["1.2.9.0"]), at(6))
    assert states(ledger) == [D.SENT]


def test_report_that_comes_twice_changes_nothing_more(ledger, study, at):
    study()
    send(ledger, at)
    opened(ledger, at)
    for _ in range(3):
        assert ledger.answer("7.1", "pacs", answer(failed=["1.2.9.0"]), at(6))
    assert [d.confirm_attempts for d in ledger.of_study("1.2")] == [1]
    send(ledger, at, seconds=20)
    assert ledger.answer("7.1", "pacs", answer(failed=["1.2.9.0"]), at(21))
    assert states(ledger) == [D.SENT]


def test_report_that_comes_after_its_deadline_still_counts(ledger, study, at):
    study()
    send(ledger, at)
    opened(ledger, at)
    assert ledger.expire("pacs", at(124)) == ()
    assert ledger.expire("pacs", at(125)) == ("7.1",)
    assert [w.asked for w in ledger.unconfirmed("pacs", at(125))] == [1]
    assert ledger.answer("7.1", "pacs", answer(["1.2.9.0"]), at(130))
    assert states(ledger) == [D.COMMITTED]
    assert ledger.unconfirmed("pacs", at(131)) == ()


def test_request_that_could_not_be_made_does_not_count(ledger, study, at):
    study()
    send(ledger, at)
    opened(ledger, at, asked=3)
    ledger.close_confirmation("7.1", "away", at(6), counts=False)
    assert [w.asked for w in ledger.unconfirmed("pacs", at(6))] == [2]


def test_what_a_report_leaves_out_is_asked_for_again(ledger, study, at):
    study(kinds=("sr", "seg"))
    send(ledger, at)
    opened(ledger, at)
    assert ledger.answer("7.1", "pacs", answer(["1.2.9.0"]), at(6))
    (left,) = ledger.unconfirmed("pacs", at(6))
    assert (left.delivery.result.sop_instance_uid, left.asked) == ("1.2.9.1", 1)


def test_what_a_peer_never_has_goes_out_five_times_more_and_then_needs_a_person(ledger, study, at):
    study()
    waits, now = [], at(4)
    while states(ledger) == [D.PENDING]:
        (delivery,) = ledger.of_study("1.2")
        waits.append((delivery.next_attempt_at - now).total_seconds())
        now = delivery.next_attempt_at
        ledger.mark(delivery.delivery_id, D.SENT, now)
        ledger.send_again([delivery.delivery_id], "not listed", now)
    assert waits == [-1, 5, 30, 120, 600, 1800]
    assert states(ledger) == [D.FAILED]


def test_superseded_result_that_the_peer_has_lost_is_not_sent_again(catalog, ledger, study, at):
    study(kinds=("sr", "rejection"))
    send(ledger, at)
    with catalog._database.write() as session:
        from mome_node.catalog import results

        results.supersede(session, "1.2", 2, "by hand", at(5))
    ledger.send_again([d.delivery_id for d in ledger.of_study("1.2")], "not listed", at(6))
    assert states(ledger) == [D.WITHDRAWN, D.PENDING]


def test_confirmation_keeps_the_words_of_a_warning(ledger, study, at):
    study(kinds=("sr", "seg"))
    one, other = ledger.of_study("1.2")
    ledger.mark(one.delivery_id, D.SENT, at(4), last_status=0xB000, last_error="coercion")
    ledger.mark(other.delivery_id, D.SENT, at(4), last_status=0)
    ledger.put_off([other.delivery_id], at(9), "not listed yet")
    assert len(ledger.unconfirmed("pacs", at(8))) == 1
    ledger.confirm([one.delivery_id, other.delivery_id], D.FOUND)
    assert [d.last_error for d in ledger.of_study("1.2")] == ["coercion", ""]


def test_paused_destination_is_not_asked(ledger, study, at):
    study()
    send(ledger, at)
    ledger.pause("pacs", "by hand", at(5))
    assert ledger.unconfirmed("pacs", at(6)) == ()


# What a person may do


def test_held_results_go_nowhere_until_they_are_let_go(catalog, ledger, study, at):
    study(routes=(Route("pacs", "", is_held=True), Route("viewer", "", is_held=True)))
    assert due(ledger, at(9)) == []
    catalog.transition("1.2", S.DELIVERING, S.DELIVERED, "kept here", at(9))
    assert ledger.release("1.2", "released by hand", at(10), destination="pacs") == 1
    assert states(ledger) == [D.PENDING, D.HELD]
    assert catalog.study("1.2").state is S.DELIVERING
    assert due(ledger, at(10)) == ["1.2.9.0"]
    with pytest.raises(CatalogError, match="no result of it is held back from 'pacs'"):
        ledger.release("1.2", "again", at(11), destination="pacs")
    assert ledger.release("1.2", "released by hand", at(11)) == 1


def test_results_of_a_study_that_is_looked_at_again_are_neither_released_nor_sent_again(
    catalog, ledger, study, at
):
    study(routes=(Route("pacs", "", is_held=True), Route("viewer", "")))
    catalog.transition("1.2", S.DELIVERING, S.RECEIVING, "corrected", at(4))
    for state in STEPS:
        if state is not S.RECEIVING:
            catalog.transition("1.2", catalog.study("1.2").state, state, "on", at(5))
        with pytest.raises(TransitionRefusedError, match=f"the study is {state}"):
            ledger.release("1.2", "by hand", at(6))
        with pytest.raises(TransitionRefusedError, match=f"the study is {state}"):
            ledger.resend("1.2", "by hand", at(6))
    assert states(ledger) == [D.HELD, D.PENDING]


def test_resend_makes_each_delivery_anew_and_leaves_alone_what_is_held(ledger, study, at):
    study(
        kinds=("sr",),
        routes=(Route("pacs", ""), Route("viewer", ""), Route("later", "", is_held=True)),
    )
    pacs, viewer, _ = ledger.of_study("1.2")
    ledger.block([pacs.delivery_id], "gone")
    ledger.mark(viewer.delivery_id, D.SENT, at(4))
    ledger.send_again([viewer.delivery_id], "not listed", at(5))
    assert ledger.resend("1.2", "by hand", at(100), destination="pacs") == 1
    assert states(ledger) == [D.PENDING, D.PENDING, D.HELD]
    assert ledger.resend("1.2", "by hand", at(200)) == 2
    anew = ledger.of_study("1.2")[1]
    assert (anew.attempts, anew.confirm_attempts, anew.queued_at) == (0, 0, at(200))


def test_all_that_waits_for_a_person_is_sent_again_at_once(catalog, ledger, study, at):
    for uid in ("1.2", "1.3", "1.4"):
        study(uid, routes=(Route("pacs", ""), Route("viewer", "")))
    for uid, state in (("1.2", D.FAILED), ("1.3", D.PENDING), ("1.4", D.FAILED)):
        delivery = ledger.of_study(uid)[0]
        ledger.mark(delivery.delivery_id, state, at(4), next_attempt_at=at(5))
    ledger.block([ledger.of_study("1.3")[1].delivery_id], "gone")
    catalog.transition("1.2", S.DELIVERING, S.FAILED, "refused", at(5))
    catalog.transition("1.4", S.DELIVERING, S.FAILED, "refused", at(5))
    for source, target in itertools.pairwise((S.FAILED, S.QUEUED, S.INFERRING, S.FAILED)):
        catalog.transition("1.4", source, target, "its evaluation fails", at(6))
    assert ledger.resend_waiting("by hand", at(7), destination="pacs") == 1
    assert ledger.resend_waiting("by hand", at(7)) == 1
    assert ledger.resend_waiting("by hand", at(7)) == 0
    assert [catalog.study(uid).state for uid in ("1.2", "1.3", "1.4")] == [
        S.DELIVERING,
        S.DELIVERING,
        S.FAILED,
    ]
    assert states(ledger, "1.3") == [D.PENDING, D.PENDING]
    assert states(ledger, "1.4") == [D.FAILED, D.PENDING]


def test_results_that_are_made_again_after_a_block_are_queued_again(catalog, ledger, study, at):
    study()
    ledger.block([ledger.of_study("1.2")[0].delivery_id], "gone")
    for source, target in itertools.pairwise((S.DELIVERING, S.FAILED, *STEPS[2:])):
        catalog.transition("1.2", source, target, "retry", at(5))
    rows = [r.result for r in catalog.results_of("1.2")]
    catalog.add_results("1.2", 1, rows, PACS, "made", at(6))
    assert due(ledger, at(6)) == ["1.2.9.0"]
    assert ledger.of_study("1.2")[0].queued_at - at(6) == timedelta(0)
