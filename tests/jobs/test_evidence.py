"""How a study is found complete, or held: by the PACS, by notices, by silence, at its deadline."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mome_node.assembly.completeness import OnDeadline
from mome_node.assembly.rules import AssemblyRules
from mome_node.catalog.records import Availability, NamedInstance
from mome_node.catalog.states import StudyState
from mome_node.errors import PacsError
from mome_node.jobs.archive_counts import ASKED_IN_A_TURN, ArchiveCounts, QueriedCounts
from mome_node.jobs.deadline import FREED_BY_HAND

DYNAMIC = "_dyn"
RECEIVING, HELD, DELIVERED = StudyState.RECEIVING, StudyState.HELD, StudyState.DELIVERED


@dataclass
class Pacs:
    """Tells counts that a test sets; ``fault`` is raised, ``silent`` tells nothing."""

    by_series: dict[str, int] = field(default_factory=dict)
    fault: Exception | None = None
    silent: bool = False
    asked: list[str] = field(default_factory=list)

    def counts(self, study_uid):
        self.asked.append(study_uid)
        if self.fault:
            raise self.fault
        return None if self.silent else dict(self.by_series)

    def holds(self, datasets):
        self.by_series = {}
        for dataset in datasets:
            uid = str(dataset.SeriesInstanceUID)
            self.by_series[uid] = self.by_series.get(uid, 0) + 1


@pytest.fixture
def pacs(images):
    made = Pacs()
    made.holds(images.datasets)
    return made


@pytest.fixture
def asking(bench_with, pacs):
    return bench_with(pacs=pacs)


def named(datasets, availability=Availability.ONLINE):
    return [
        NamedInstance(
            str(d.SeriesInstanceUID), str(d.SOPInstanceUID), str(d.SOPClassUID), availability
        )
        for d in datasets
    ]


def notify(bench, datasets, availability=Availability.ONLINE):
    study = str(datasets[0].StudyInstanceUID)
    bench.catalog.notices.record(study, named(datasets, availability), "PACS", bench.clock.now)


def batched(datasets, size):
    return [datasets[n : n + size] for n in range(0, len(datasets), size)]


def assembled_by(bench):
    return next(e.cause for e in bench.events() if e.target is StudyState.ASSEMBLED)


def test_counts_of_the_pacs_equal_twice_complete_a_study_before_it_is_quiet(asking, images, pacs):
    asking.receive(images.datasets)
    asking.turn()
    assert asking.state is RECEIVING
    asking.clock.advance(15)
    asking.turn()
    assert asking.state is DELIVERED
    assert len(pacs.asked) == 2
    assert assembled_by(asking).startswith(
        "complete: counts of the PACS equal twice, 15 s after the first image"
    )


def test_counts_told_before_the_last_image_came_are_asked_for_again(asking, images):
    *most, last = images.datasets
    asking.receive(most)
    asking.turn()
    asking.clock.advance(15)
    asking.turn()
    asking.clock.advance(1)
    asking.receive([last])
    asking.turn()
    assert asking.state is RECEIVING  # what came is what was counted, but before it came
    asking.clock.advance(14)
    asking.turn()
    assert asking.state is DELIVERED


def test_slow_series_is_waited_for_however_long_it_pauses(asking, images, pacs):
    slow = images.of("t2_tse")
    asking.receive(images.without("t2_tse"))
    asking.receive(slow[:2])
    for _ in range(20):
        asking.wait(60)
        assert asking.state is RECEIVING
    uid = slow[0].SeriesInstanceUID
    assert asking.study().reason == (
        f"the PACS has {len(slow)} images of series {uid}, 2 came here"
    )
    asking.receive(slow[2:])
    asking.turn()
    asking.clock.advance(15)
    asking.turn()
    assert asking.state is DELIVERED
    assert asking.study().revision == 1


def test_series_that_never_begins_to_come_is_told_in_the_result_after_the_deadline(
    asking, images, pacs
):
    pacs.by_series["1.2.777"] = 30
    asking.receive(images.datasets)
    asking.wait(1799)
    assert asking.state is RECEIVING
    asking.wait(1)
    assert asking.state is DELIVERED
    (request,) = asking.evaluator.requests
    (warning,) = request.lacking
    assert warning.startswith("evaluated although this is missing: the PACS has 30 images of")


def test_pacs_that_has_less_than_came_leaves_it_to_the_quiet_time(asking, images, pacs):
    pacs.by_series = {uid: n - 1 for uid, n in pacs.by_series.items()}
    asking.receive(images.datasets)
    asking.wait(59)
    assert asking.state is RECEIVING
    asking.wait(1)
    assert asking.state is DELIVERED
    assert "complete: quiet for 60 s" in assembled_by(asking)


@pytest.mark.parametrize("fault", [{"fault": PacsError("no answer")}, {"silent": True}])
def test_pacs_that_cannot_tell_leaves_it_to_the_quiet_time(asking, images, pacs, fault):
    for name, value in fault.items():
        setattr(pacs, name, value)
    asking.receive(images.datasets)
    asking.wait(59)
    assert asking.state is RECEIVING
    asking.wait(1)
    assert asking.state is DELIVERED
    assert "complete: quiet for 60 s" in assembled_by(asking)


def test_pacs_that_loses_images_while_they_are_waited_for_frees_the_study(asking, images, pacs):
    uid = str(images.of("t2_tse")[0].SeriesInstanceUID)
    pacs.by_series[uid] += 5
    asking.receive(images.datasets)
    asking.wait(300)
    assert asking.state is RECEIVING
    pacs.by_series[uid] -= 6
    asking.wait(15)
    assert asking.state is DELIVERED


def test_pacs_is_asked_at_most_every_so_many_seconds_a_study(asking, images, pacs):
    asking.receive(images.without(DYNAMIC))
    for _ in range(60):
        asking.turn()
        asking.clock.advance(1)
    assert len(pacs.asked) == 4
    assert asking.state is RECEIVING


def test_incomplete_study_is_not_read_again_whenever_the_pacs_answers(
    asking, images, monkeypatch, pacs
):
    pacs.holds(images.without(DYNAMIC))
    asking.receive(images.without(DYNAMIC))
    asking.wait(60)
    looks = []
    monkeypatch.setattr("mome_node.jobs.looking.read_study", looks.append)
    for _ in range(100):
        asking.clock.advance(5)
        asking.turn()
    assert looks == []


def test_slow_pacs_is_asked_for_few_studies_in_a_turn(bench, images, pacs):
    bench.receive(images.datasets[:1])
    study = bench.study()
    archive = ArchiveCounts(pacs, 15.0, bench.clock.monotonic)
    many = [replace(study, study_uid=f"1.2.{n}") for n in range(10)]
    archive.ask(many)
    assert len(pacs.asked) == ASKED_IN_A_TURN
    archive.ask(many)
    archive.ask(many)
    assert sorted(pacs.asked) == sorted(s.study_uid for s in many)
    archive.ask([])
    assert archive.told("1.2.0") is None


@dataclass(frozen=True)
class Series:
    series_uid: str
    modality: str
    instance_count: int | None


def test_counts_from_a_query_are_those_of_mr_series():
    found = (Series("1.2", "MR", 240), Series("1.3", "SR", 1), Series("1.4", "MR", 30))
    assert QueriedCounts(lambda _: found).counts("1") == {"1.2": 240, "1.4": 30}


def test_query_that_leaves_a_count_out_cannot_tell():
    found = (Series("1.2", "MR", 240), Series("1.4", "MR", None))
    assert QueriedCounts(lambda _: found).counts("1") is None


def test_notice_of_all_images_completes_a_study_once_nothing_is_on_its_way(bench, images):
    notify(bench, images.datasets)
    bench.receive(images.datasets)
    bench.turn()
    assert bench.state is RECEIVING
    bench.clock.advance(5)
    bench.turn()
    assert bench.state is DELIVERED
    assert "all that availability notices name is here, 5 s after" in assembled_by(bench)


def test_image_that_a_notice_names_is_waited_for(bench, images):
    *most, last = images.datasets
    notify(bench, images.datasets)
    bench.receive(most)
    bench.wait(600)
    assert bench.state is RECEIVING
    assert "availability notices name" in bench.study().reason
    bench.receive([last])
    bench.wait(5)
    assert bench.state is DELIVERED


def test_image_that_is_unavailable_is_not_waited_for(bench, images):
    *most, last = images.datasets
    notify(bench, images.datasets)
    bench.receive(most)
    notify(bench, [last], Availability.UNAVAILABLE)
    bench.wait(5)
    assert bench.state is not RECEIVING


def test_notices_of_single_images_never_complete_a_study_that_goes_on(bench, images):
    for part in batched(images.datasets, 20):
        notify(bench, part)
        bench.receive(part)
        bench.wait(2)
    assert len([e for e in bench.events() if e.target is StudyState.ASSEMBLED]) == 0
    bench.wait(5)
    assert bench.state is DELIVERED
    assert bench.study().revision == 1


@given(data=st.data())
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_order_and_repetition_of_notices_change_nothing(bench, images, data):
    some = named(images.datasets[:6])
    words = [
        (instance, data.draw(st.sampled_from(Availability)))
        for instance in some
        for _ in range(data.draw(st.integers(1, 2)))
    ]
    told = [NamedInstance(i.series_uid, i.sop_instance_uid, i.sop_class_uid, w) for i, w in words]
    runs = []
    for notices in (told, data.draw(st.permutations(told + told[:3]))):
        study = f"1.2.{data.draw(st.uuids()).int}"
        for notice in notices:
            bench.catalog.notices.record(study, [notice], "PACS", bench.clock.now)
        runs.append(bench.catalog.notices.named(study))
    assert runs[0] == runs[1]


def test_held_study_is_looked_at_again_when_anything_comes(bench, images):
    lost = images.of(DYNAMIC)[11]
    bench.receive(d for d in images.datasets if d is not lost)
    bench.wait(1800)
    assert bench.state is HELD
    assert "slices" in bench.study().reason
    bench.receive([lost])
    bench.wait()
    assert (bench.state, bench.study().revision) == (DELIVERED, 1)


def test_same_images_again_free_a_held_study(bench, images):
    bench.receive(images.without(DYNAMIC))
    bench.wait(1800)
    assert bench.state is HELD
    bench.clock.advance(10)
    bench.receive(images.without(DYNAMIC))
    bench.wait()
    assert bench.state is RECEIVING
    assert "no dynamic" in bench.study().reason


def test_held_study_is_left_alone_while_nothing_comes(bench, images):
    bench.receive(images.without(DYNAMIC))
    bench.wait(1800)
    before = bench.events()
    bench.wait(86_400)
    assert bench.events() == before


def retry_by_hand(bench):
    bench.catalog.transition(
        bench.study().study_uid, HELD, RECEIVING, FREED_BY_HAND, bench.clock.now
    )


def test_held_study_that_is_freed_by_hand_is_evaluated_with_what_is_there(bench_with, images):
    bench = bench_with(rules=AssemblyRules(required=("dce", "t2")))
    bench.receive(images.without("t2_tse"))
    bench.wait(1800)
    assert bench.state is HELD
    retry_by_hand(bench)
    bench.wait()
    assert bench.state is DELIVERED
    (request,) = bench.evaluator.requests
    assert "evaluated although this is missing: " in request.lacking[0]
    assert assembled_by(bench).startswith("by hand")


def test_held_study_that_no_model_can_read_is_held_again_and_says_so(bench, images):
    bench.receive(images.without(DYNAMIC))
    bench.wait(1800)
    retry_by_hand(bench)
    bench.wait()
    assert bench.state is HELD
    assert bench.study().reason.startswith("no model reads what is here")


def test_site_may_evaluate_at_the_deadline_and_the_result_says_what_was_missing(bench_with, images):
    bench = bench_with(rules=AssemblyRules(required=("dce", "t2")), on_deadline=OnDeadline.EVALUATE)
    bench.receive(images.without("t2_tse"))
    bench.wait(1799)
    assert bench.state is RECEIVING
    bench.wait(1)
    assert bench.state is DELIVERED
    assert "evaluated although this is missing" in bench.evaluator.requests[0].lacking[0]
    bench.receive(images.of("t2_tse"))
    bench.wait()
    assert (bench.state, bench.study().revision) == (DELIVERED, 2)
    assert bench.evaluator.requests[1].lacking == ()


def test_site_may_end_incomplete_studies_at_the_deadline(bench_with, images):
    bench = bench_with(on_deadline=OnDeadline.NOT_EVALUABLE)
    bench.receive(images.without(DYNAMIC))
    bench.wait(1800)
    assert bench.state is StudyState.NOT_EVALUABLE
    assert "still incomplete 1800 s after the first image" in bench.study().reason


def test_study_that_never_falls_quiet_is_held_and_goes_on_when_it_does(bench_with, images):
    bench = bench_with(hard_limit_s=2000.0)
    first, *rest = images.datasets
    bench.receive([first])
    for number in range(40):
        assert bench.state is RECEIVING
        bench.wait(50)
        first.PatientWeight = str(40 + number)
        bench.receive([first])
    assert bench.state is HELD
    assert "images still arrive 2000 s after the first one" in bench.study().reason
    bench.receive(rest)
    bench.wait(50)
    assert bench.state is HELD
    bench.wait(60)
    assert bench.state is DELIVERED
