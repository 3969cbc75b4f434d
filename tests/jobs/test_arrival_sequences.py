"""Whatever the order of arrivals, answers and faults: what is never and what is always decided."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hypothesis import event, given, settings
from hypothesis import strategies as st

from mome_node.assembly.arrivals import COUNTS_EQUAL_TWICE
from mome_node.assembly.completeness import (
    Action,
    Decision,
    OnDeadline,
    Patience,
    Waited,
    decide,
)
from mome_node.assembly.plan import StudyPlan, Verdict
from mome_node.catalog.records import SeriesCount, StudyRecord
from mome_node.catalog.states import StudyState
from mome_node.errors import PacsError
from mome_node.jobs.archive_counts import ArchiveCounts
from mome_node.jobs.receiving import ReceivingStudies
from mome_node.jobs.witnesses import Witnesses

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
QUIET_S, DEADLINE_S, HARD_LIMIT_S, ASK_S = 60.0, 600.0, 2400.0, 15.0
SERIES = ("1.2.1", "1.2.2", "1.2.3")


@dataclass
class World:
    """A PACS that grows, shrinks and fails, and a node that is sent some of what it has."""

    verdict: Verdict = Verdict.EVALUABLE
    policy: OnDeadline = OnDeadline.HOLD
    now_s: float = 1000.0
    pacs: Counter[str] = field(default_factory=Counter)
    here: Counter[str] = field(default_factory=Counter)
    answers: bool = True
    told: list[tuple[float, Counter[str]]] = field(default_factory=list)

    def __post_init__(self):
        self.inputs = 0
        self.began_s = self.last_s = self.now_s
        self.restart()

    def restart(self):
        self.archive = ArchiveCounts(self, ASK_S, lambda: self.now_s)
        self.receiving = ReceivingStudies(QUIET_S, lambda: self.now_s, HARD_LIMIT_S)
        self.witnesses = Witnesses(self, self.archive)  # type: ignore[arg-type]

    # what the node asks

    def counts(self, study_uid):
        if not self.answers:
            raise PacsError("no answer")
        self.told.append((self.now_s, +self.pacs))
        return dict(self.pacs)

    def counts_by_series(self, study_uid):
        return {uid: SeriesCount(n, n) for uid, n in self.here.items() if n}

    # what happens

    def arrive(self, uid, count):
        if count > 0:
            self.here[uid] += count
            self.inputs += count
            self.last_s = self.now_s

    def turn(self) -> Decision | None:
        if not self.inputs:
            return None
        study = self._study()
        self.archive.ask([study])
        self.receiving.watch([study])
        arrived = self.witnesses.arrived(study, self.receiving, is_noticed=False)
        if not self.receiving.is_due(study, arrived):
            return None
        self.receiving.looks_with(study, arrived)
        found = decide(
            StudyPlan("1.2", self.verdict, ("because",)),
            arrived,
            Waited(
                self.receiving.seen_for(study).total_seconds(),
                self.receiving.unchanged_for(study).total_seconds(),
            ),
            Patience(QUIET_S, DEADLINE_S, HARD_LIMIT_S, self.policy),
        )
        if found.action is Action.WAIT:
            assert found.look_again_in_s is not None
            self.receiving.look_again_in(study, timedelta(seconds=found.look_again_in_s))
        return found

    def _study(self) -> StudyRecord:
        return StudyRecord(
            study_uid="1.2", patient_id="", issuer_of_patient_id="", state=StudyState.RECEIVING,
            revision=1, first_received_at=START, last_received_at=START, last_input_at=START,
            input_count=self.inputs, assembled_at=None, assembled_inputs=0, inputs_digest="",
            reason="",
        )  # fmt: skip


ROUNDS = st.lists(
    st.tuples(
        st.tuples(*[st.sampled_from([0, 0, 1, 3, -1])] * len(SERIES)),  # the PACS gains, or loses
        st.tuples(*[st.sampled_from([9, 9, 1, 0])] * len(SERIES)),  # sent here at most
        st.sampled_from([1, 14, 16, 31, 59, 61]),  # seconds of silence after it
        st.sampled_from(["", "", "", "no answers", "answers", "restart"]),
    ),
    min_size=1,
    max_size=10,
)


def play(world, rounds):
    """The first decision but WAIT, with the world left as it was then; None without one."""
    for gains, sent, silence, fault in rounds:
        if fault == "restart":
            world.restart()
        elif fault:
            world.answers = fault == "answers"
        for uid, gain, most in zip(SERIES, gains, sent, strict=True):
            world.pacs[uid] = max(0, world.pacs[uid] + gain)
            world.arrive(uid, min(most, world.pacs[uid] - world.here[uid]))
        for _ in range(silence):
            found = world.turn()
            if found is not None and found.action is not Action.WAIT:
                return found
            world.now_s += 1
    return None


@settings(max_examples=300)
@given(rounds=ROUNDS)
def test_study_is_never_called_complete_while_it_is_below_the_count_of_the_pacs(rounds):
    world = World()
    found = play(world, rounds)
    if found is None:
        return
    event(found.evidence.partition(" for ")[0])
    if found.evidence == COUNTS_EQUAL_TWICE:
        (_, before), (asked_s, last) = world.told[-2:]
        assert before == last == +world.here
        assert asked_s >= world.last_s
    elif world.archive.told("1.2") is not None and world.now_s - world.began_s < DEADLINE_S:
        _, last = world.told[-1]  # silence alone overrules no count before the deadline
        assert last <= world.here


@settings(max_examples=100)
@given(
    rounds=ROUNDS,
    verdict=st.sampled_from([Verdict.EVALUABLE, Verdict.INCOMPLETE, Verdict.NOT_EVALUABLE]),
    policy=st.sampled_from(OnDeadline),
    trickles=st.booleans(),
)
def test_no_study_stays_undecided_beyond_the_hard_limit(rounds, verdict, policy, trickles):
    world = World(verdict, policy)
    if play(world, rounds) is not None:
        return
    world.arrive(SERIES[0], 1)
    for _ in range(int(HARD_LIMIT_S / 20) + 2):
        world.now_s += 20
        if trickles:
            world.arrive(SERIES[0], 1)
        found = world.turn()
        if found is not None and found.action is not Action.WAIT:
            return
    raise AssertionError("it still waits")


@settings(max_examples=100)
@given(rounds=ROUNDS)
def test_pacs_that_never_answers_leaves_every_study_to_the_quiet_time(rounds):
    world = World(answers=False)
    found = play(world, [r for r in rounds if r[3] != "answers"])
    assert found is None or found.evidence.startswith("quiet for")
