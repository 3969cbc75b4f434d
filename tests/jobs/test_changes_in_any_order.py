"""Arrivals, corrections, rejections, releases in any order: what always holds (a state machine)."""

from __future__ import annotations

import os
import random
import tempfile
from copy import deepcopy
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from mome_node.assembly.plan import Role
from mome_node.assembly.rules import AssemblyRules
from mome_node.assembly.study import plan_study
from mome_node.catalog.changes import OFFERED, Standing
from mome_node.catalog.states import StudyState
from mome_node.dicom.rejection_note import RejectionNote, RejectionTitle
from mome_node.errors import CatalogError
from mome_node.jobs.reading import contents_of, inputs_digest, read_study

RULES = AssemblyRules(required=(Role.T2,))
PATIENTS = ("P-1", "P-2")
SLICES = st.integers(0, 7)
SOME = st.sets(SLICES, min_size=1)
WHO = st.sampled_from(PATIENTS)
WEIGHTS = st.sampled_from(("60", "61"))


class Changes(RuleBasedStateMachine):
    """One study of one T2 series, with everything that can happen to its eight images."""

    def __init__(self, make_bench, slices) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self.bench = make_bench(Path(self._folder.name), rules=RULES)
        self.bench.evaluator.during = self._evaluation_begins
        self.slices = slices
        self.study_uid = slices[0].StudyInstanceUID
        self.uids = [s.SOPInstanceUID for s in slices]
        self.accepted: set[str] = set()
        self.revision = 1
        self.evaluations = 0
        self.wrong: list[str] = []

    def teardown(self) -> None:
        self.bench.catalog.close()
        self._folder.cleanup()

    def _evaluation_begins(self) -> None:
        """Note what is wrong with it: an error raised here would only fail the evaluation."""
        self.evaluations += 1
        request = self.bench.evaluator.requests[-1]
        facts = read_study(request.instances).instances
        if len({f.patient_id for f in facts}) != 1:
            self.wrong.append("an evaluation mixes patients")
        standing = {i.sop_instance_uid: i.standing for i in self._current()}
        if not {standing[i.sop_instance_uid] for i in request.instances} <= set(OFFERED):
            self.wrong.append("an evaluation reads what was rejected")

    def _current(self):
        return self.bench.catalog.instances_of(self.study_uid)

    def _send(self, number: int, patient: str, weight: str) -> None:
        image = deepcopy(self.slices[number])
        image.PatientID, image.PatientWeight = patient, weight
        self.bench.receive([image])
        self.accepted |= {
            i.key for i in self.bench.catalog.instances_of(self.study_uid, current_only=False)
        }

    @initialize(patient=WHO)
    def all_come(self, patient: str) -> None:
        for number in range(8):
            self._send(number, patient, "60")
        self.bench.wait()
        assert self.evaluations == 1

    @rule(numbers=SOME, patient=WHO, weight=WEIGHTS, pause=st.booleans())
    def some_come(self, numbers: set[int], patient: str, weight: str, pause: bool) -> None:
        for number in sorted(numbers):
            self._send(number, patient, weight)
        if pause:
            self.bench.wait()

    @rule(patient=WHO, weight=WEIGHTS)
    def all_are_corrected(self, patient: str, weight: str) -> None:
        for number in range(8):
            self._send(number, patient, weight)

    @rule(numbers=SOME, patient=WHO, title=st.sampled_from(RejectionTitle))
    def a_note_comes(self, numbers: set[int], patient: str, title: RejectionTitle) -> None:
        image = deepcopy(self.slices[0])
        image.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.59"
        image.SOPInstanceUID = f"1.2.3.{len(self.accepted)}.{random.getrandbits(60)}"
        self.bench.receive([image], may_reject=True)
        said = RejectionNote(
            title, self.study_uid, patient, "", frozenset(self.uids[n] for n in numbers)
        )
        (note,) = self.bench.catalog.pending_notes(self.study_uid)
        self.bench.catalog.apply_note(note.note_id, said, self.bench.clock.now)

    @rule()
    def time_passes(self) -> None:
        self.bench.wait()
        self._the_order_of_instances_decides_nothing()

    @rule()
    def the_deadline_passes(self) -> None:
        self.bench.wait(1800)

    @precondition(lambda self: self.bench.state is StudyState.QUARANTINED)
    @rule(number=SLICES)
    def a_person_releases(self, number: int) -> None:
        try:
            self.bench.catalog.release(
                self.study_uid, self.bench.clock.now, as_patient_of=self.uids[number]
            )
        except CatalogError:
            standing = {i.sop_instance_uid: i.standing for i in self._current()}
            assert standing[self.uids[number]] not in OFFERED

    @rule(numbers=SOME)
    def a_person_rejects(self, numbers: set[int]) -> None:
        offered = {i.sop_instance_uid for i in self._current() if i.standing in OFFERED}
        uids = {self.uids[n] for n in numbers} & offered
        if uids:
            self.bench.catalog.reject(self.study_uid, self.bench.clock.now, instances=uids)

    @rule(number=SLICES)
    def a_person_takes_back(self, number: int) -> None:
        standing = {i.sop_instance_uid: i.standing for i in self._current()}
        if standing[self.uids[number]] is Standing.REJECTED:
            self.bench.catalog.take_back(self.study_uid, [self.uids[number]], self.bench.clock.now)

    @invariant()
    def no_evaluation_was_wrong(self) -> None:
        assert self.wrong == []

    @invariant()
    def every_accepted_instance_is_on_disk(self) -> None:
        assert all(self.bench.store.path(key).exists() for key in self.accepted)

    @invariant()
    def revisions_only_rise(self) -> None:
        if self.accepted:
            found = self.bench.study().revision
            assert found >= self.revision
            self.revision = found

    @invariant()
    def each_image_has_one_current_copy(self) -> None:
        current = [i.sop_instance_uid for i in self._current() if i.role_using]
        assert len(current) == len(set(current))

    @invariant()
    def results_that_hold_are_of_the_latest_revision_that_has_any(self) -> None:
        results = self.bench.catalog.results_of(self.study_uid)
        latest = max((r.revision for r in results), default=0)
        assert all(r.superseded_at is not None for r in results if r.revision < latest)

    def _the_order_of_instances_decides_nothing(self) -> None:
        sources = list(self.bench.stages.sources(self.study_uid))
        facts = {f.sop_instance_uid: f for f in read_study(sources).instances}
        found = set()
        for _ in range(2):
            random.Random(0).shuffle(sources)
            plan = plan_study(
                [facts[s.sop_instance_uid] for s in sources], RULES, now=self.bench.clock.now
            )
            found.add((plan.verdict, inputs_digest(plan, contents_of(sources))))
        assert len(found) == 1


@pytest.fixture
def slices(images):
    return images.of("t2_tse")


def test_nothing_that_happens_mixes_patients_or_brings_back_what_was_rejected(slices, bench_class):
    run_state_machine_as_test(
        partial(Changes, bench_class, slices),
        settings=settings(
            max_examples=int(os.environ.get("MOME_STATE_MACHINES", "5")),
            stateful_step_count=12,
            phases=(Phase.reuse, Phase.generate),  # shrinking would take minutes
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(order=st.permutations(range(8)), note_at=st.integers(0, 8), rejected=st.sets(SLICES))
def test_same_images_and_note_end_the_same_in_whatever_order_they_come(
    slices, bench_class, order, note_at, rejected
):
    """The note before, between or after the images: the same study, byte for byte."""

    def end(order, note_at):
        machine = Changes(bench_class, slices)
        for place in range(9):
            if place == note_at and rejected:
                machine.a_note_comes(rejected, "P-1", RejectionTitle.QUALITY)
            if place < 8:
                machine._send(order[place], "P-1", "60")
        machine.bench.wait()
        study = machine.bench.study()
        found = (study.state, study.inputs_digest, machine.bench.reports())
        machine.teardown()
        return found

    assert end(order, note_at) == end(range(8), 8)
