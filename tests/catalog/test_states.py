"""The study's state machine: the table itself, and every cell of it in the database."""

import itertools
import uuid
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

import mome_node
from mome_node.catalog.catalog import Catalog
from mome_node.catalog.records import ResultRow, Route
from mome_node.catalog.states import (
    INITIAL_STATE,
    TRANSITIONS,
    StudyState,
    find_transition,
    state_diagram,
    targets_of,
)
from mome_node.errors import CatalogError, TransitionRefusedError, UnknownStudyError

S = StudyState
ALLOWED = {(step.source, step.target) for step in TRANSITIONS}
ALL_PAIRS = list(itertools.product(StudyState, repeat=2))


def path_to(state):
    """The shortest way from the first state to ``state``."""
    paths = {INITIAL_STATE: ()}
    waiting = [INITIAL_STATE]
    while waiting:
        here = waiting.pop(0)
        for target in sorted(targets_of(here)):
            if target not in paths:
                paths[target] = (*paths[here], (here, target))
                waiting.append(target)
    return paths[state]


def bring_to(catalog, study_uid, state, at):
    for source, target in path_to(state):
        catalog.transition(study_uid, source, target, "test", at(1))


def test_table_has_each_pair_once_and_no_step_to_itself():
    assert len(ALLOWED) == len(TRANSITIONS)
    assert all(source is not target for source, target in ALLOWED)


def test_every_state_can_be_reached_and_left():
    for state in StudyState:
        path_to(state)
        assert targets_of(state)


def test_whatever_ended_can_reopen_as_the_next_revision():
    for state in (S.DELIVERED, S.NOT_EVALUABLE, S.QUARANTINED, S.FAILED):
        assert find_transition(state, S.RECEIVING).opens_revision
    others = [t for t in TRANSITIONS if t.opens_revision and t.target is not S.RECEIVING]
    assert others == []


def test_every_pair_of_states_is_taken_or_refused_as_the_table_says(catalog, arrival, at):
    studies = {f"1.{number}": pair for number, pair in enumerate(ALL_PAIRS)}
    catalog.record_instances([arrival(study_uid=study) for study in studies])
    with catalog._database.write() as session:  # the shortest way there
        for study, (source, _) in studies.items():
            row = {"study": study, "state": source.value}
            session.execute(text("UPDATE studies SET state = :state WHERE study_uid = :study"), row)
    for study, (source, target) in studies.items():
        before = catalog.study(study)
        history = catalog.events_of(study)
        if (source, target) in ALLOWED:
            after = catalog.transition(study, source, target, "why", at(5), reason="because")
            assert (after.state, after.reason) == (target, "because")
            opens = find_transition(source, target).opens_revision
            assert after.revision == before.revision + opens
            event = catalog.events_of(study)[-1]
            assert (event.source, event.target, event.cause) == (source, target, "why")
            assert (event.revision, event.at) == (after.revision, at(5))
            assert len(catalog.events_of(study)) == len(history) + 1
        else:
            with pytest.raises(TransitionRefusedError):
                catalog.transition(study, source, target, "why", at(5))
            assert catalog.study(study) == before
            assert catalog.events_of(study) == history


def test_step_from_a_state_that_the_study_left_is_refused(catalog, arrival, at):
    catalog.record_instance(arrival())
    catalog.transition("1.2", S.RECEIVING, S.ASSEMBLED, "first", at(1))
    with pytest.raises(TransitionRefusedError, match="assembled, not receiving"):
        catalog.transition("1.2", S.RECEIVING, S.ASSEMBLED, "second", at(1))
    with pytest.raises(UnknownStudyError):
        catalog.transition("9.9", S.RECEIVING, S.ASSEMBLED, "none", at(1))


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.sampled_from(StudyState), max_size=12))
def test_history_always_tells_the_whole_way(catalog, arrival, at, targets):
    study = f"2.25.{uuid.uuid4().int}"  # the catalogue outlives one example
    catalog.record_instance(arrival(study_uid=study))
    for target in targets:
        found = catalog.study(study)
        try:
            catalog.transition(study, found.state, target, "test", at(1))
        except TransitionRefusedError:
            assert (found.state, target) not in ALLOWED
    events = catalog.events_of(study)
    assert events[0].source is None
    for one, following in itertools.pairwise(events):
        assert following.source is one.target
        assert following.revision - one.revision in (0, 1)
    final = catalog.study(study)
    assert (final.state, final.revision) == (events[-1].target, events[-1].revision)


def test_failed_transaction_leaves_neither_state_nor_event(catalog, arrival, at):
    catalog.record_instance(arrival())
    with pytest.raises(CatalogError):
        catalog.transition("1.2", S.RECEIVING, S.ASSEMBLED, None, at(1))  # cause is required
    assert catalog.study("1.2").state is S.RECEIVING
    assert len(catalog.events_of("1.2")) == 1


def test_events_cannot_be_changed_or_deleted(catalog, arrival):
    catalog.record_instance(arrival())
    for statement in ("UPDATE events SET cause = 'other'", "DELETE FROM events"):
        with pytest.raises(CatalogError), catalog._database.write() as session:
            session.execute(text(statement))
    assert catalog.events_of("1.2")[0].cause == "first instance, from PACS"


def test_nobody_else_writes_studies():
    root = Path(mome_node.__file__).parent
    writers = {
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        if "update(StudyTable" in (source := path.read_text()) or "StudyTable(" in source
    }
    assert writers == {"catalog/studies.py", "catalog/tables.py"}


def test_diagram_shows_every_transition():
    diagram = state_diagram()
    assert diagram.startswith("stateDiagram-v2\n")
    arrows = [line for line in diagram.splitlines() if "-->" in line]
    assert len(arrows) == len(TRANSITIONS) + 1
    assert "    receiving --> assembled: complete" in arrows
    assert '    state "not evaluable" as not_evaluable' in diagram
    assert "delivered --> receiving: late or corrected input, revision + 1" in diagram


def test_restart_returns_what_was_interrupted_to_the_queue(catalog, arrival, at):
    for number, state in enumerate(StudyState):
        catalog.record_instance(arrival(study_uid=f"1.{number}"))
        bring_to(catalog, f"1.{number}", state, at)
    before = {study.study_uid: study.state for study in catalog.studies()}
    recovered = catalog.recover_interrupted("restart", at(9))
    interrupted = {uid for uid, state in before.items() if state in (S.INFERRING, S.REPORTING)}
    assert set(recovered) == interrupted
    for study in catalog.studies():
        expected = S.QUEUED if study.study_uid in interrupted else before[study.study_uid]
        assert study.state is expected
    assert catalog.recover_interrupted("restart", at(10)) == ()


def test_results_of_a_study_in_another_state_are_refused(catalog: Catalog, arrival, at):
    row = ResultRow("1.9", "1.2.840.10008.5.1.4.1.1.88.33", "sr", "k", "s", at(1))
    for number, state in enumerate(StudyState):
        if state in (S.REPORTING, S.DELIVERING, S.DELIVERED):
            continue
        study = f"1.{number}"
        catalog.record_instance(arrival(study_uid=study))
        bring_to(catalog, study, state, at)
        with pytest.raises(TransitionRefusedError):
            catalog.add_results(study, 1, [row], [Route("PACS", "")], "made", at(2))
        assert catalog.results_of(study) == ()
