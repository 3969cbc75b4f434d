"""Headers are read once, before they are needed, and in bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from pydicom.dataset import Dataset

from mome_node.assembly.study import plan_study
from mome_node.catalog.states import StudyState
from mome_node.dicom.header import InstanceFacts
from mome_node.errors import HeaderError
from mome_node.jobs import known_headers, looking
from mome_node.jobs.known_headers import KnownHeaders
from mome_node.jobs.reading import SourceInstance, facts_from_file

DYNAMIC = "_dyn"
QUIET_S = 60.0


class Reader:
    """Reads headers and remembers of which instances."""

    def __init__(self) -> None:
        self.read: list[str] = []
        self.slowly: Callable[[], None] = lambda: None

    def __call__(self, instance: SourceInstance) -> InstanceFacts:
        self.read.append(instance.sop_instance_uid)
        self.slowly()
        return facts_from_file(instance)


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Reader:
    made = Reader()
    monkeypatch.setattr(known_headers, "facts_from_file", made)
    return made


@pytest.fixture
def sources(images, tmp_path) -> list[SourceInstance]:
    """Files of a whole study."""
    made = []
    for number, dataset in enumerate(images.datasets):
        path = tmp_path / f"{number}.dcm"
        dataset.save_as(path)
        made.append(SourceInstance(dataset.SOPInstanceUID, path, f"{number:064x}"))
    return made


def test_header_is_read_once_for_each_content(sources, reader) -> None:
    known = KnownHeaders()
    assert known.facts_of(sources[0]) is known.facts_of(sources[0])
    known.facts_of(replace(sources[0], sha256="other bytes"))
    assert reader.read == [sources[0].sop_instance_uid] * 2


def test_known_facts_are_what_the_file_says(sources) -> None:
    known = KnownHeaders()
    for source in sources:
        assert repr(known.facts_of(source)) == repr(facts_from_file(source))


def test_header_that_cannot_be_read_is_tried_again(tmp_path, reader) -> None:
    (tmp_path / "broken").write_bytes(b"no DICOM")
    known = KnownHeaders()
    for _ in range(2):
        with pytest.raises(HeaderError):
            known.facts_of(SourceInstance("1.2", tmp_path / "broken", "0" * 64))
    assert (len(reader.read), known.planes) == (2, 0)


def test_memory_is_bounded_and_what_was_looked_at_last_is_kept(sources, reader) -> None:
    known = KnownHeaders(max_planes=10)
    for source in sources:
        known.facts_of(sources[0])
        known.facts_of(source)
        assert known.planes <= 10
    assert reader.read.count(sources[0].sop_instance_uid) == 1
    assert len(reader.read) == len(sources)


def test_values_that_instances_share_lie_in_memory_once(sources) -> None:
    known = KnownHeaders()
    names = {id(known.facts_of(source).patient_name) for source in sources}
    orientations = {id(known.facts_of(s).frames[0].image_orientation) for s in sources}
    assert len(names) == 1
    assert len(orientations) < len(sources) / 2


def test_headers_are_read_before_the_study_is_quiet_and_not_again(bench, images, reader):
    bench.receive(images.datasets)
    bench.wait(QUIET_S / 4)
    assert bench.state is StudyState.RECEIVING
    assert len(reader.read) == len(images.datasets)
    bench.wait(QUIET_S)
    assert bench.state is StudyState.DELIVERED
    assert len(reader.read) == len(images.datasets)


def test_study_that_still_arrives_is_not_read(bench, images, reader):
    bench.receive(images.datasets)
    bench.wait(QUIET_S / 4 - 1)
    assert reader.read == []


def test_reading_ahead_takes_a_moment_of_each_turn_and_goes_on_in_the_next(bench, images, reader):
    def slowly():
        bench.clock.monotonic_s += 0.1

    reader.slowly = slowly
    bench.receive(images.datasets)
    bench.turn()
    bench.clock.advance(QUIET_S / 4)
    counts = [len(reader.read)]
    for _ in range(3):
        bench.turn()
        counts.append(len(reader.read))
    assert counts == [0, 3, 6, 9]


def test_study_larger_than_the_memory_is_read_twice_and_then_left_alone(bench_with, images, reader):
    bench = bench_with(headers_kept=10)
    incomplete = images.without(DYNAMIC)
    bench.receive(incomplete)
    bench.wait()
    for _ in range(10):
        bench.clock.advance(10)
        bench.turn()
    assert bench.state is StudyState.RECEIVING
    assert len(reader.read) <= 2 * len(incomplete)


def test_unreadable_instance_does_not_keep_others_from_being_read(bench, images, reader):
    bench.receive(images.datasets)
    first, *others = bench.catalog.instances_of(images.study_uid)
    bench.store.path(first.key).write_bytes(b"not DICOM")
    bench.wait(QUIET_S / 4)
    assert set(reader.read) == {i.sop_instance_uid for i in (first, *others)}
    bench.wait()
    assert bench.state is StudyState.QUARANTINED


def old_studies(images, count) -> list[Dataset]:
    """As many studies of one image, taken ten years ago."""

    def age(dataset):
        dataset.StudyDate = "20160101"

    one = replace(images, datasets=tuple(images.of("localizer")[:1])).changed(age)
    return [d for n in range(count) for d in one.as_study(f"1.2.{n}").datasets]


def test_looks_at_many_studies_are_parted_into_turns(bench, images, slow_planning):
    bench.receive(old_studies(images, 5))
    bench.runner.assembly_turn()
    bench.clock.advance(QUIET_S)
    decided = []
    for _ in range(4):
        bench.runner.assembly_turn()
        decided.append(len(bench.catalog.studies_in(StudyState.NOT_EVALUABLE)))
    assert decided == [2, 4, 5, 5]


def test_old_studies_wait_behind_one_that_may_be_evaluated(bench, images, slow_planning):
    bench.receive(old_studies(images, 20))
    bench.receive(images.datasets)
    bench.fall_quiet()
    assert bench.catalog.study(images.study_uid).state is StudyState.QUEUED
    assert len(bench.catalog.studies_in(StudyState.NOT_EVALUABLE)) < 3


@pytest.fixture
def slow_planning(bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look at a study takes a second."""

    def plan(*arguments, **options):
        bench.clock.monotonic_s += 1
        return plan_study(*arguments, **options)

    monkeypatch.setattr(looking, "plan_study", plan)
