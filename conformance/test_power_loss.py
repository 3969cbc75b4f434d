"""Power is lost at any moment: what was acknowledged is there, whole and indexed."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from conformance.power_loss.disk import Disk, Survives, everything, nothing
from conformance.power_loss.disk import Image as DiskImage
from conformance.power_loss.recorder import Recorder, compile_recorder
from conformance.power_loss.scenario import (
    ASSOCIATIONS,
    DATA_DIR,
    IMAGES_EACH,
    Scenario,
    record_scenario,
)
from conformance.receiver_process import CATALOG

SEED = 2026
DROPS = {
    "every sync": ("*", "lost"),
    "the syncs of directories": (f"{DATA_DIR}/?*/", "lost"),
    "the syncs of instances": (f"!(*/{CATALOG}*|*/|)", "torn"),
    "the syncs of the write-ahead log": ("*-wal", "lost"),
}
"""What is left out: its pattern, and the damage that follows."""

pytestmark = pytest.mark.peer("C compiler")


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Recorder:
    return compile_recorder(tmp_path_factory.mktemp("recorder"))


@pytest.fixture(scope="module")
def scenario(recorder: Recorder, tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    return record_scenario(tmp_path_factory.mktemp("scenario"), recorder)


@dataclass(frozen=True)
class Loss:
    """Power is lost before the operation at ``position``, and so much unsynced survives."""

    position: int
    survives: Survives = nothing


def chance_survives(seed: int) -> Survives:
    """What was not synced survives by chance; how likely that is, is chance, too."""
    chance = random.Random(seed)
    likely = chance.choice((0.1, 0.5, 0.9))
    return lambda: chance.random() < likely


def damages(scenario: Scenario, losses: Iterable[Loss]) -> Iterator[tuple[Loss, list[str]]]:
    """What is wrong after each of the losses, where something is; they are in order."""
    disk, applied = Disk(scenario.root), 0
    in_memory = Path("/dev/shm")
    for loss in losses:
        for operation in scenario.operations[applied : loss.position]:
            disk.apply(operation)
        applied = loss.position
        image = disk.image(loss.survives)
        with tempfile.TemporaryDirectory(dir=in_memory if in_memory.is_dir() else None) as folder:
            found = scenario.damage(image, loss.position, Path(folder))
        if found:
            yield loss, found


def without_shm(image: DiskImage) -> dict[str, bytes]:
    return {name: data for name, data in image.files.items() if not name.endswith("-shm")}


def test_the_recording_is_complete(scenario):
    # Were a write made in a way that the recorder does not see, the rest would prove nothing.
    disk = Disk(scenario.root)
    for operation in scenario.operations:
        disk.apply(operation)
    recorded, real = disk.image(everything), DiskImage.of(scenario.disk)
    assert recorded.directories == real.directories
    assert without_shm(recorded) == without_shm(real)
    assert len(scenario.answers) == ASSOCIATIONS * IMAGES_EACH
    for answer in scenario.answers:
        assert answer.sop_instance_uid == scenario.images[answer.message_id].sop_instance_uid


def test_what_was_acknowledged_outlives_a_loss_of_power(scenario):
    losses = [Loss(answer.position) for answer in scenario.answers]
    assert list(damages(scenario, losses)) == []


@pytest.mark.parametrize("losses", [40, pytest.param(1500, marks=pytest.mark.long)])
def test_a_loss_of_power_at_any_moment_and_with_any_part_lost_leaves_a_sound_node(
    scenario, record_property, losses
):
    chance = random.Random(SEED)
    positions = sorted(chance.randrange(len(scenario.operations) + 1) for _ in range(losses))
    cases = [
        Loss(position, chance_survives(seed) if seed % 3 else nothing)
        for seed, position in enumerate(positions)
    ]
    assert list(damages(scenario, cases)) == []
    record_property("operations", len(scenario.operations))
    record_property("losses of power", losses + len(scenario.answers))


@pytest.mark.parametrize("left_out", DROPS)
def test_a_missing_sync_is_noticed(recorder, tmp_path, left_out):
    pattern, damage = DROPS[left_out]
    scenario = record_scenario(tmp_path, recorder, images_each=5, drop=pattern)
    losses = [Loss(answer.position) for answer in scenario.answers]
    _, found = next(damages(scenario, losses))
    assert {what.partition(":")[0] for what in found} >= {damage}, found
