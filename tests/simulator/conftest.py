"""The node of the jobs' tests, a small exam, and what was evaluated of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from mome_node.assembly.plan import StudyPlan
from mome_node.assembly.rules import AssemblyRules
from mome_node.assembly.study import plan_study
from mome_node.jobs.reading import SourceInstance, inputs_digest, read_study
from mome_node.jobs.requests import EvaluationRequest
from tests.jobs.conftest import (
    Bench,
    Images,
    _files,
    _no_waiting_for_the_disk,
    bench,
    images,
)
from tests.simulator.replay import Replay

__all__ = ["_files", "_no_waiting_for_the_disk", "bench", "images"]

UNNEEDED = ("SUB", "ADC", "localizer")


@pytest.fixture
def exam(images: Images) -> Images:
    """The series that the model reads, each image once."""
    return replace(images, datasets=tuple(images.without(*UNNEEDED)))


@dataclass
class Seen:
    """Plans of all evaluations, in order, made of what each was given to read."""

    bench: Bench
    plans: list[StudyPlan] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    patients: list[frozenset[str]] = field(default_factory=list)

    def note(self) -> None:
        """Look at the request while its files are as it was asked."""
        request: EvaluationRequest = self.bench.evaluator.requests[-1]
        facts = read_study(request.instances).instances
        plan = plan_study(facts, AssemblyRules(), now=request.recorded_at)
        self.plans.append(plan)
        self.digests.append(inputs_digest(plan, _sha256(request.instances)))
        self.patients.append(frozenset(f.patient_id for f in facts))


def _sha256(instances: tuple[SourceInstance, ...]) -> dict[str, str]:
    return {i.sop_instance_uid: i.sha256 for i in instances}


@pytest.fixture
def seen(bench: Bench) -> Seen:
    made = Seen(bench)
    bench.evaluator.during = made.note
    return made


@pytest.fixture
def replay(bench: Bench) -> Replay:
    return Replay(bench)


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Callable[[], tuple[Replay, Seen]]]:
    """New nodes, as many as a property test takes examples."""
    made: list[Bench] = []

    def begin() -> tuple[Replay, Seen]:
        made.append(Bench(tmp_path / f"example-{len(made)}"))
        seen = Seen(made[-1])
        made[-1].evaluator.during = seen.note
        return Replay(made[-1]), seen

    yield begin
    for one in made:
        one.catalog.close()
