"""However instances arrive, the same ones come to the same plan and the same result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from mome_node.catalog.states import StudyState
from tests.jobs.conftest import QUIET_S, Images
from tests.simulator import scanner
from tests.simulator.timeline import Event, What, merged

FEW = settings(
    max_examples=2,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # a new node for each example
)
OTHER = "1.2.3"


@dataclass(frozen=True)
class Chunk:
    """A part of a study in one go: which, how long after the one before, how often."""

    part: int
    gap_s: float
    times: int
    restarted: bool


def chunks(parts: int, longest_gap_s: float) -> st.SearchStrategy[list[Chunk]]:
    """All parts of a study, in any order, some of them twice."""
    gaps = st.floats(0.5, longest_gap_s).map(lambda gap: round(gap, 1))

    def arranged(order: Sequence[int]) -> st.SearchStrategy[list[Chunk]]:
        return st.tuples(
            *(st.builds(Chunk, st.just(n), gaps, st.integers(1, 2), st.booleans()) for n in order)
        ).map(list)

    return st.permutations(range(parts)).flatmap(arranged)


def timeline_of(images: Sequence[Dataset], arranged: Sequence[Chunk], parts: int) -> list[Event]:
    at, events = 0.0, []
    for chunk in arranged:
        at += chunk.gap_s
        if chunk.restarted:
            events.append(Event(at, What.RESTART))
        events += scanner.at_once(list(images[chunk.part :: parts]) * chunk.times, at)
    return events


def another_patient(exam: Images) -> Images:
    def change(dataset: Dataset) -> None:
        dataset.PatientID, dataset.PatientName = "OTHER", "Other^Patient"

    return exam.as_study(OTHER).changed(change)


@FEW
@given(first=chunks(5, QUIET_S - 5), second=chunks(3, QUIET_S - 5))
def test_order_repeats_and_interleaving_never_change_plan_or_result(
    nodes, whole, exam, first, second
):
    other = another_patient(exam)
    wanted = {study.study_uid: whole(study) for study in (exam, other)}
    replay, seen = nodes()
    replay.play(
        merged(timeline_of(exam.datasets, first, 5), timeline_of(other.datasets, second, 3))
    )
    replay.settle()
    replay.settle()
    catalog = replay.bench.catalog
    assert {s.state for s in catalog.studies()} == {StudyState.DELIVERED}
    assert all(len(patients) == 1 for patients in seen.patients)
    for uid, (plan, digest, reports) in wanted.items():
        (found,) = [n for n, p in enumerate(seen.plans) if p.study_uid == uid]
        assert (seen.plans[found], seen.digests[found]) == (plan, digest)
        assert [r.result.sop_instance_uid for r in catalog.results_of(uid)] == reports


@pytest.fixture
def whole(nodes):
    """Plan, digest and results of a study that came whole, in order, alone."""

    @cache
    def end_of(study_uid: str):
        replay, seen = nodes()
        replay.play(scanner.at_once(studies[study_uid].datasets))
        replay.settle()
        (plan,), (digest,) = seen.plans, seen.digests
        return plan, digest, replay.bench.reports()

    def end_of_study(study: Images):
        studies.setdefault(study.study_uid, study)
        return end_of(study.study_uid)

    studies: dict[str, Images] = {}
    return end_of_study


@FEW
@given(arranged=chunks(4, 4 * QUIET_S))
def test_study_with_long_pauses_ends_in_the_plan_of_all_its_images(nodes, whole, exam, arranged):
    plan, digest, _ = whole(exam)
    replay, seen = nodes()
    replay.play(timeline_of(exam.datasets, arranged, 4))
    replay.settle()
    replay.settle()
    assert replay.bench.state is StudyState.DELIVERED
    assert (seen.plans[-1], seen.digests[-1]) == (plan, digest)
    assert replay.bench.sender.received == replay.bench.reports()


@FEW
@given(arranged=chunks(4, 4 * QUIET_S), kept=st.sets(st.integers(0, 3), min_size=1, max_size=3))
def test_every_study_is_decided_in_the_end_whatever_never_came(nodes, exam, arranged, kept):
    replay, seen = nodes()
    replay.play(timeline_of(exam.datasets, [c for c in arranged if c.part in kept], 4))
    replay.settle()
    assert replay.bench.state is not StudyState.RECEIVING
    assert all(p.inputs <= {d.SOPInstanceUID for d in exam.datasets} for p in seen.plans)
