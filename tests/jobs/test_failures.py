"""Evaluations that fail, studies that break their reader, pauses, and restarts."""

from __future__ import annotations

from datetime import timedelta

import pytest
import structlog

from mome_node.catalog.states import StudyState
from mome_node.errors import (
    CatalogError,
    DeviceLostError,
    ModelError,
    NodeError,
    NotANumberError,
    TransitionRefusedError,
)
from mome_node.jobs.requests import NOT_TRIED_AGAIN, EvaluationInterruptedError
from mome_node.jobs.retries import TRIED_AGAIN

FAULT = NodeError("the inference process ended")


def test_crash_of_the_evaluation_is_retried_and_then_delivers(bench, images):
    bench.evaluator.faults = [FAULT, FAULT]
    bench.receive(images.datasets)
    bench.wait()
    assert (bench.state, bench.study().reason) == (StudyState.FAILED, str(FAULT))
    bench.wait(30)
    bench.wait(300)
    bench.turn()
    assert bench.state is StudyState.DELIVERED
    assert len(bench.reports()) == 1
    assert [e.cause for e in bench.events()].count(TRIED_AGAIN) == 2


def test_study_that_always_fails_is_kept_for_a_person_whose_retry_frees_it(bench, images):
    bench.evaluator.faults = [FAULT] * 3
    bench.receive(images.datasets)
    for _ in range(20):
        bench.wait(300)
    assert bench.state is StudyState.FAILED
    assert len(bench.evaluator.requests) == 3
    assert bench.catalog.instances_of(images.study_uid)
    bench.catalog.transition(
        images.study_uid,
        StudyState.FAILED,
        StudyState.QUEUED,
        "retry by hand",
        bench.clock.now,
    )
    bench.turn()
    assert bench.state is StudyState.DELIVERED


def test_what_no_other_try_mends_is_not_tried_again_by_policy_and_says_so(bench, images):
    bench.evaluator.faults = [NotANumberError(f"the answer holds NaN; {NOT_TRIED_AGAIN}")]
    bench.receive(images.datasets)
    for _ in range(4):
        bench.wait(300)
    assert len(bench.evaluator.requests) == 1
    assert bench.state is StudyState.FAILED
    assert bench.study().reason.startswith("the answer holds NaN; not tried again")
    bench.catalog.transition(
        images.study_uid, StudyState.FAILED, StudyState.QUEUED, "retry by hand", bench.clock.now
    )
    bench.turn()
    assert bench.state is StudyState.DELIVERED


def test_failure_of_a_device_is_retried_and_its_reason_is_kept(bench, images):
    bench.evaluator.faults = [
        DeviceLostError("the device cuda:0 does not answer any more", "cuda:0")
    ]
    bench.receive(images.datasets)
    bench.wait()
    assert bench.study().reason == "the device cuda:0 does not answer any more"
    bench.wait(30)
    bench.turn()
    assert bench.state is StudyState.DELIVERED


def test_unexpected_fault_fails_the_study_and_tells_no_names(bench, images):
    bench.evaluator.faults = [ValueError("Doe^Jane")]
    bench.receive(images.datasets)
    with structlog.testing.capture_logs() as logs:
        bench.wait()
    assert bench.state is StudyState.FAILED
    assert bench.study().reason == "unexpected ValueError"
    assert "Doe" not in str(bench.events()) + str(logs)


def test_result_that_cannot_be_kept_fails_the_study_and_is_retried(bench, images, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr("mome_node.jobs.stages.keep", lambda *_: (_ for _ in ()).throw(OSError()))
        bench.receive(images.datasets)
        bench.wait()
    assert bench.state is StudyState.FAILED
    bench.wait(30)
    bench.turn()
    assert bench.state is StudyState.DELIVERED


def test_predecessor_that_is_lost_fails_the_study_instead_of_holding_it(bench, images):
    bench.receive(images.without("t2_tse"))
    bench.wait()
    (made,) = bench.catalog.results_of(images.study_uid)
    bench.store.delete(made.result.key)
    bench.receive(images.of("t2_tse"))
    bench.wait()
    assert bench.state is StudyState.FAILED
    assert "cannot be read" in bench.study().reason


def test_study_that_always_fails_does_not_block_the_others(bench, images):
    poisoned = images.study_uid
    others = ["2.25.1", "2.25.2"]
    bench.evaluator.faults_of = {poisoned: FAULT}
    bench.receive(images.datasets)
    for uid in others:
        bench.clock.advance(1)
        bench.receive(images.as_study(uid).datasets)
    bench.wait()
    for _ in range(4):
        bench.turn()
    assert [bench.study(uid).state for uid in others] == [StudyState.DELIVERED] * 2
    assert bench.study(poisoned).state is StudyState.FAILED


def test_study_that_brings_the_node_down_waits_behind_the_others(bench, images):
    bench.receive(images.datasets)
    bench.fall_quiet()
    bench.receive(images.as_study("2.25.1").datasets)
    for _ in range(3):
        bench.catalog.transition(
            images.study_uid, StudyState.QUEUED, StudyState.INFERRING, "taken", bench.clock.now
        )
        bench.restart()
        bench.catalog.recover_interrupted("restart", bench.clock.now)
    bench.fall_quiet()
    bench.runner.evaluation_turn()
    assert bench.study(images.study_uid).state is StudyState.QUEUED
    assert bench.study("2.25.1").state is StudyState.DELIVERING


def test_study_that_breaks_its_reader_is_quarantined_and_blocks_nobody(bench, images, monkeypatch):
    from mome_node.jobs import looking

    plan = looking.plan_study

    def fragile(instances, *arguments, **options):
        if instances[0].study_uid == images.study_uid:
            raise ZeroDivisionError
        return plan(instances, *arguments, **options)

    monkeypatch.setattr(looking, "plan_study", fragile)
    bench.receive(images.datasets)
    bench.receive(images.as_study("2.25.1").datasets)
    bench.wait()
    assert bench.study(images.study_uid).state is StudyState.QUARANTINED
    assert "unexpected ZeroDivisionError" in bench.study(images.study_uid).reason
    assert bench.study("2.25.1").state is StudyState.DELIVERED


def test_database_that_fails_once_quarantines_nothing(bench, images, monkeypatch):
    bench.receive(images.datasets)
    bench.turn()
    bench.clock.advance(60)
    with monkeypatch.context() as broken:

        def fail(*_):
            raise CatalogError("the database failed")

        broken.setattr(type(bench.catalog), "instances_of", fail)
        bench.runner.assembly_turn()
    assert bench.state is StudyState.RECEIVING
    bench.wait(30)
    assert bench.state is StudyState.DELIVERED


def test_models_that_cannot_be_loaded_leave_the_studies_queued(bench, images):
    bench.evaluator.unready = ModelError("the package is gone")
    bench.receive(images.datasets)
    bench.wait()
    assert bench.state is StudyState.QUEUED
    bench.evaluator.unready = None
    bench.turn()
    assert bench.state is StudyState.QUEUED  # not asked twice a second
    bench.wait(30)
    assert bench.state is StudyState.DELIVERED


def test_pause_stops_evaluation_and_delivery_and_not_receiving(bench, images):
    bench.catalog.pause("maintenance", bench.clock.now)
    bench.receive(images.datasets)
    bench.wait()
    bench.wait()
    assert bench.state is StudyState.QUEUED
    bench.catalog.resume()
    bench.runner.evaluation_turn()
    assert bench.state is StudyState.DELIVERING
    bench.catalog.pause("maintenance", bench.clock.now)
    bench.wait()
    assert (bench.state, bench.sender.received) == (StudyState.DELIVERING, [])
    bench.catalog.resume()
    bench.turn()
    assert bench.state is StudyState.DELIVERED


def test_pause_holds_back_retries(bench, images):
    bench.evaluator.faults = [FAULT]
    bench.receive(images.datasets)
    bench.wait()
    bench.catalog.pause("maintenance", bench.clock.now)
    bench.wait(600)
    assert bench.state is StudyState.FAILED


def test_node_that_stops_puts_the_study_back_in_the_queue(bench, images):
    bench.evaluator.faults = [EvaluationInterruptedError("the node stops")]
    bench.receive(images.datasets)
    bench.fall_quiet()
    bench.runner.evaluation_turn()
    assert bench.state is StudyState.QUEUED


# What a crash left behind, at each of the moments where it can


class PowerCut(BaseException):
    """Ends everything, as nothing that the node catches does."""


@pytest.mark.parametrize("moment", ["assembled", "inferring", "reporting"])
def test_restart_takes_up_what_a_crash_left(bench, images, monkeypatch, moment):
    def cut(*_, **__):
        raise PowerCut

    with monkeypatch.context() as crash:
        if moment == "assembled":
            crash.setattr(type(bench.stages), "_release", cut)
        elif moment == "reporting":
            crash.setattr(type(bench.catalog), "add_results", cut)
        else:
            bench.evaluator.during = cut
        bench.receive(images.datasets)
        bench.turn()
        bench.clock.advance(60)
        with pytest.raises(PowerCut):
            bench.turn()
    assert bench.state == moment
    bench.evaluator.during = lambda: None
    bench.restart()
    bench.wait()
    bench.turn()
    assert (bench.state, bench.study().revision) == (StudyState.DELIVERED, 1)
    assert len(bench.reports()) == 1
    assert bench.sender.received == bench.reports()


def test_objects_are_the_same_before_and_after_a_crash(bench, images):
    bench.receive(images.datasets)
    bench.fall_quiet()
    bench.evaluator.faults = [NodeError("crash")]
    bench.turn()
    bench.clock.advance(86400)
    bench.turn()
    bench.turn()
    first, second = bench.evaluator.requests
    assert first == second


def test_every_stage_done_twice_changes_nothing(bench, images):
    bench.receive(images.datasets)
    receiving = bench.study()
    bench.clock.advance(60)
    bench.stages.assemble(receiving)
    with pytest.raises(TransitionRefusedError):
        bench.stages.assemble(receiving)
    bench.stages.evaluate(images.study_uid)
    with pytest.raises(TransitionRefusedError):
        bench.stages.evaluate(images.study_uid)
    delivering = bench.study()
    bench.deliver()
    events = bench.events()
    with pytest.raises(TransitionRefusedError):
        bench.stages.settle(delivering)
    bench.deliver()
    bench.stages.retry(bench.study())
    assert bench.events() == events
    assert bench.sender.received == bench.reports()
    assert len(bench.reports()) == 1


def test_clock_that_is_set_back_during_a_retry_holds_nothing_back(bench, images):
    bench.evaluator.faults = [FAULT]
    bench.receive(images.datasets)
    bench.wait()
    bench.clock.now -= timedelta(days=3650)
    bench.turn()
    bench.turn()
    assert bench.state is StudyState.DELIVERED
